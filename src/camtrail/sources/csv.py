"""Places by file name, or a track, from tables in text form (CSV, TSV, exiftool -csv)."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import UnreadableFile, UsageError
from camtrail.core.model import Note, Placement, Track
from camtrail.core.options import opt
from camtrail.core.plugins import Source
from camtrail.sources._fixes import UNREADABLE, Left, taken, track_of
from camtrail.sources._times import Times, epoch, gps_instant

if TYPE_CHECKING:
    import _csv

__all__ = ["PLUGIN", "CsvOptions", "read"]

_NAN = float("nan")
_EPOCH = datetime(1970, 1, 1)
_CHUNK = 1 << 18
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """What a table does not say itself. Columns are found by their heading; a number (from 1) overrides it."""

    csv_delimiter: str | None = opt(
        None, "what separates the columns of a CSV (found out; `tab` for a tab)", aliases=("--delimiter",)
    )
    csv_filename_column: int | None = opt(
        None, "number of the column with file names", aliases=("--filename-column",)
    )
    csv_timestamp_column: int | None = opt(
        None, "number of the column with times", aliases=("--timestamp-column",)
    )
    csv_latitude_column: int | None = opt(
        None, "number of the column with latitudes", aliases=("--latitude-column",)
    )
    csv_longitude_column: int | None = opt(
        None, "number of the column with longitudes", aliases=("--longitude-column",)
    )
    csv_heading_column: int | None = opt(
        None, "number of the column with headings", aliases=("--heading-column",)
    )
    csv_altitude_column: int | None = opt(
        None, "number of the column with altitudes", aliases=("--altitude-column",)
    )
    csv_gps_week_column: int | None = opt(
        None, "number of the column with GPS weeks", aliases=("--gps-week-column",)
    )
    csv_time_format: str | None = opt(
        None, "how times are written, as for strptime: %Y:%m:%d %H:%M:%S.%f", aliases=("--time-format",)
    )
    csv_convert_gps_time: bool = opt(
        False, "times are GPS seconds since 1980-01-06, or of a week", aliases=("--convert-gps-time",)
    )
    csv_convert_utc_time: bool = opt(
        False, "times are seconds or milliseconds since 1970", aliases=("--convert-utc-time",)
    )

    def __post_init__(self) -> None:
        for name in _NUMBERED:
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UsageError(f"there is no column {number}", "columns count from 1")
        if self.csv_delimiter is not None and len(_delimiter(self.csv_delimiter)) != 1:
            raise UsageError(f"{self.csv_delimiter!r} is no delimiter", "give one character, or tab")
        _check_format(self.csv_time_format or "%Y")
        if sum((self.csv_time_format is not None, self.csv_convert_gps_time, self.csv_convert_utc_time)) > 1:
            raise UsageError(
                "times cannot be in two forms", "give one of time format, convert GPS time, convert UTC time"
            )


_NUMBERED = {
    "csv_filename_column": "file",
    "csv_timestamp_column": "time",
    "csv_latitude_column": "lat",
    "csv_longitude_column": "lon",
    "csv_heading_column": "heading",
    "csv_altitude_column": "alt",
    "csv_gps_week_column": "week",
}

_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "file": (
        "path", "sourcefile", "filepath", "file", "filename", "imagepath", "imagename", "image", "img", "photo",
        "picture", "mapfilename", "name",
    ),
    "time": (
        "time", "gpsdatetime", "timestamp", "datetime", "capturetime", "mapcapturetime", "captureddate", "utc",
        "timeutc", "utctime", "datetimeutc", "times", "epoch", "subsecdatetimeoriginal", "datetimeoriginal",
        "createdate", "date",
    ),
    "date": ("date", "dateutc", "utcdate", "gpsdatestamp", "day"),
    "local": ("localtime", "localdatetime"),
    "lat": ("lat", "latitude", "latdeg", "maplatitude", "gpslatitude", "gpslat", "latitudedeg"),
    "lon": ("lon", "lng", "long", "longitude", "londeg", "maplongitude", "gpslongitude", "gpslon", "longitudedeg"),
    "lat_ref": ("gpslatituderef", "latituderef", "latref", "ns"),
    "lon_ref": ("gpslongituderef", "longituderef", "lonref", "ew"),
    "alt": ("alt", "ele", "elevation", "altitude", "altm", "elem", "altitudem", "elevationm", "mapaltitude", "gpsaltitude"),
    "heading": (
        "heading", "headingdeg", "gpsimgdirection", "imgdirection", "mapcompassheading", "compassheading",
        "compassangle", "direction", "bearing", "course", "coursedeg", "gpstrack", "azimuth",
    ),
    "speed": ("speedmps", "speedms"),
    "hdop": ("hdop",),
    "week": ("gpsweek", "week"),
}  # fmt: skip
"""Our name of a column -> headings that mean it, in lower case without blanks and signs, the first wins."""


def read(data: ByteSource, options: CsvOptions) -> Iterator[Track | Placement | Note]:
    """One Placement per row that names a file; one Track where no column does; then Notes.

    Where a row's position cannot be used, its Placement has none and says why in `fault`. Raises UnreadableFile for what is no table, or lacks columns.

    Notes
    -----
    RFC 4180 with any of `, ; | tab` between the columns, in UTF-8, UTF-16 with a mark, or Latin-1. Numbers may have a
    decimal comma, degrees the forms that exiftool writes. A row that cannot be used is counted, with the first of
    its kind named by its line. About 2.5 µs a row; memory is the columns of a track, and one row otherwise.
    """
    table = _Table(data, options)
    yield from table.placements() if "file" in table.columns else table.track()


class _Table:
    """An open table: which column is what, and the rows below the headings."""

    __slots__ = ("columns", "data", "is_ours", "left", "lines", "options", "rows", "times")

    def __init__(self, data: ByteSource, options: CsvOptions) -> None:
        self.data = data
        self.options = options
        self.left = Left()
        self.times = Times()
        self.lines: dict[str, int] = {}  # reason -> line of the first row
        skip, delimiter = _layout(data, options)
        self.rows = _rows(data, skip, delimiter)
        try:
            first = next(self.rows, [])
        except csv.Error as e:
            raise UnreadableFile(data.name, f"is no table ({e})", _NO_TABLE) from e
        self.is_ours = [_plain(cell) for cell in first[:1]] == ["path"]
        self.columns, has_headings = self._found(first)
        if not has_headings:  # then it is a row
            self.rows = _rows(data, skip, delimiter)

    def _found(self, first: list[str]) -> tuple[dict[str, int], bool]:
        """Index of each column we know, and whether the first row has headings."""
        names = [_plain(cell) for cell in first]
        found = {}
        for column, headings in _HEADINGS.items():
            index = next((names.index(h) for h in headings if h in names), -1)
            if index >= 0:
                found[column] = index
        has_headings = bool(found)
        for option, column in _NUMBERED.items():
            number = getattr(self.options, option)
            if number is not None:
                if number > len(first):
                    raise UnreadableFile(
                        self.data.name,
                        f"has {len(first)} columns in its first row; column {number} was asked for",
                        "check the number of the column and the delimiter",
                    )
                found[column] = number - 1
        if found.get("date") == found.get("time"):
            found.pop("date", None)
        if not {"lat", "lon"} <= found.keys() or not found.keys() & {"file", "time"}:
            here = ", ".join(repr(cell.strip()[:30]) for cell in first[:30]) or "none"
            raise UnreadableFile(
                self.data.name,
                f"lacks columns: it needs latitude, longitude, and file name or time; its first row has {here}",
                "name the columns filename, time, latitude, longitude in the first row, or give their numbers "
                "with --csv-latitude-column and its like",
            )
        return found, has_headings

    def _all(self) -> Iterator[list[str]]:
        """The rows below the headings; what is no row is counted."""
        rows = iter(self.rows)
        while True:
            before = self.rows.line_num
            try:
                for row in rows:
                    before = self.rows.line_num
                    if row:
                        yield row
                return
            except csv.Error:
                # A quote that is never closed has swallowed what follows.
                self._skip(_OPEN, before + 1, self.rows.line_num - before)

    def _skip_row(self, row: list[str], reason: str) -> str:
        """Counts a row; the reason, which is another one where a quote seems to have swallowed rows."""
        breaks = sum(cell.count("\n") for cell in row)
        file = self.columns.get("file", len(row))
        own = row[file].count("\n") if file < len(row) and reason != _SHORT else 0
        first = self.rows.line_num - breaks
        if breaks > own:  # a name may have a line break, a position has none
            self._skip(_OPEN, first, breaks + 1)
            return _OPEN
        self._skip(reason, first)
        return reason

    def _skip(self, reason: str, line: int = 0, count: int = 1) -> None:
        self.lines.setdefault(reason, line or self.rows.line_num)
        self.left.add(count, reason)

    def _notes(self) -> Iterator[Note]:
        for note in self.left.notes():
            line = self.lines.get(note.reason)
            yield Note(note.count, f"{note.reason}, the first in line {line}") if line else note

    def placements(self) -> Iterator[Track | Placement | Note]:
        """See `read`."""
        place = self._place()
        seconds = self._seconds()
        file = self.columns["file"]
        alt, heading, local = (self.columns.get(name, -1) for name in ("alt", "heading", "local"))
        for row in self._all():
            name = row[file].strip() if len(row) > file else ""
            if self.is_ours and name[:1] == "'" and _FORMULA.match(name, 1):
                name = name[1:]
            if not name:
                self._skip("rows without a file name")
                continue
            try:
                lat, lon = place(row)
            except _Unusable as e:
                fault = self._skip_row(row, str(e))
                if fault != _OPEN or "\n" not in name:  # swallowed rows are no name
                    yield Placement(name, _NAN, _NAN, fault=fault)
                continue
            time_s, is_instant = seconds(row)
            if time_s == UNREADABLE:
                self._skip("times that cannot be read")
                time_s = _NAN
            local_s = _NAN if is_instant else time_s
            if 0 <= local < len(row) and local_s != local_s:
                local_s = self._written(row[local])
            yield Placement(
                name,
                lat,
                lon,
                alt_m=self._value(row, alt, _altitude, "altitudes that cannot be read"),
                time_s=time_s if is_instant else _NAN,
                local_s=local_s,
                heading_deg=self._value(row, heading, _direction, "headings that cannot be read"),
            )
        yield from self._notes()

    def _written(self, text: str) -> float:
        try:
            return self.times.read(text)[0]
        except ValueError:
            return _NAN

    def _value(self, row: list[str], index: int, number: Callable[[str], float], reason: str) -> float:
        """A cell's number, NaN where the cell is empty or says nothing."""
        if not 0 <= index < len(row):
            return _NAN
        try:
            return number(row[index])
        except ValueError:
            self._skip(reason)
            return _NAN

    def track(self) -> Iterator[Track | Placement | Note]:
        """See `read`."""
        place = self._place()
        seconds = self._seconds()
        naive = 0
        columns = [array("d") for _ in range(7)]
        add_time, add_lat, add_lon = (column.append for column in columns[:3])
        extra = [
            (columns[to], self.columns[name], number)
            for to, name, number in (
                (3, "alt", _altitude), (4, "heading", _direction), (5, "speed", _number), (6, "hdop", _number),
            )
            if name in self.columns
        ]  # fmt: skip
        unreadable = "values of altitude, course, speed or HDOP that cannot be read"
        for row in self._all():
            try:
                lat, lon = place(row)
            except _Unusable as e:
                self._skip_row(row, str(e))
                continue
            time_s, is_instant = seconds(row)
            if time_s - time_s != 0.0:  # neither NaN nor infinite
                self._skip("rows without time" if time_s != time_s else "times that cannot be read")
                continue
            naive += not is_instant
            for column, index, number in extra:
                try:
                    column.append(float(row[index]))
                except (ValueError, IndexError):
                    column.append(self._value(row, index, number, unreadable))
            add_time(time_s)
            add_lat(lat)
            add_lon(lon)
        track = track_of(taken(columns), self.left)
        if track is not None:
            yield track
        yield from self._notes()
        if naive:
            yield Note(naive, "times without zone, taken as UTC")

    def _place(self) -> Callable[[list[str]], tuple[float, float]]:
        """A function from a row to latitude and longitude; it raises _Unusable."""
        at_lat, at_lon = self.columns["lat"], self.columns["lon"]
        ref_lat, ref_lon = self.columns.get("lat_ref", -1), self.columns.get("lon_ref", -1)

        def place(row: list[str]) -> tuple[float, float]:
            try:
                lat, lon = float(row[at_lat]), float(row[at_lon])
            except IndexError:
                raise _Unusable(_SHORT) from None
            except ValueError:
                if max(at_lat, at_lon) >= len(row):
                    raise _Unusable(_SHORT) from None
                if not row[at_lat].strip() and not row[at_lon].strip():
                    raise _Unusable("rows without a position") from None
                try:
                    lat, lon = _degrees(row[at_lat], "NS"), _degrees(row[at_lon], "EW")
                except ValueError:
                    raise _Unusable("rows with a position that cannot be read") from None
            if ref_lat >= 0 and row[ref_lat : ref_lat + 1]:
                lat = _signed(lat, row[ref_lat], "NS")
            if ref_lon >= 0 and row[ref_lon : ref_lon + 1]:
                lon = _signed(lon, row[ref_lon], "EW")
            if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
                is_absent = lat != lat and lon != lon
                raise _Unusable(
                    "rows without a position" if is_absent else "rows with a position off the globe"
                )
            if lat == 0.0 and lon == 0.0:
                raise _Unusable("rows with the position 0,0, which says that there was no fix")
            return lat, lon

        return place

    def _seconds(self) -> Callable[[list[str]], tuple[float, bool]]:
        """A function from a row to its time, and whether that is an instant or a clock reading.

        NaN where no time is written, UNREADABLE where something else is.
        """
        at, at_date, at_week = (self.columns.get(name, -1) for name in ("time", "date", "week"))
        options, times = self.options, self.times
        minutes, tails, naive = times.minutes, times.tails, times.naive

        def convert(row: list[str], text: str) -> tuple[float, bool]:
            if options.csv_convert_gps_time:
                week = float(row[at_week]) if 0 <= at_week < len(row) else 0.0
                return gps_instant(_number(text), week), True
            if options.csv_convert_utc_time:
                return epoch(_number(text)), True
            if options.csv_time_format is not None:
                return _by_format(text, options.csv_time_format)
            return _any_form(text, times)

        def seconds(row: list[str]) -> tuple[float, bool]:
            try:
                text = row[at] if at >= 0 else ""
                tail = text[17:]
                if is_plain:
                    return minutes[text[:17]] + tails[tail], tail not in naive
            except KeyError:
                pass
            except IndexError:
                return _NAN, True
            text = text.strip()
            if not text or text.startswith("0000:00:00"):  # EXIF 2.32: what a clock that was never set says
                return _NAN, True
            try:
                return convert(row, text)
            except (ValueError, OverflowError):
                pass
            try:
                return convert(row, f"{row[at_date].strip()} {text}" if at_date >= 0 else "")
            except (ValueError, OverflowError, IndexError):
                return UNREADABLE, True

        is_plain = not (
            options.csv_convert_gps_time
            or options.csv_convert_utc_time
            or options.csv_time_format is not None
        )
        return seconds


_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
"""What camtrail's export puts a `'` before, so that no spreadsheet runs a name."""
_SHORT = "rows that are too short"
_OPEN = "lines without a readable row (a quote is not closed?)"


class _Unusable(Exception):
    """Why a row gives no place. Never leaves this module."""


_NO_TABLE = "export it again as CSV with one row per photo or fix"


class _Raw(io.RawIOBase):
    """A byte source as Python's text reader wants it."""

    def __init__(self, data: ByteSource) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        chunk = self._data.read_at(self._at, len(buffer))
        buffer[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


def _latin(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8 are read as Latin-1, one by one, so that the rest of a row stays as it is."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    if error.encoding.startswith("utf-16"):
        return "\ufffd", error.end
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("camtrail-latin-1", _latin)


def _text(data: ByteSource) -> io.TextIOWrapper:
    head = data.read_at(0, 4)
    encoding = "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    raw = io.BufferedReader(_Raw(data), _CHUNK)
    return io.TextIOWrapper(raw, encoding, errors="camtrail-latin-1", newline="")


def _layout(data: ByteSource, options: CsvOptions) -> tuple[int, str]:
    """How many lines stand before the headings, and what separates the columns."""
    text = _text(data)
    skip = 0
    line = text.readline(_LONGEST_LINE)
    while line and not line.strip("\r\n\t ,;|\0"):
        skip += 1
        line = text.readline(_LONGEST_LINE)
    if not line:
        raise UnreadableFile(data.name, "is empty", _NO_TABLE)
    if options.csv_delimiter is not None:
        return skip, _delimiter(options.csv_delimiter)
    if m := re.fullmatch(r"\"?sep=(.)\"?\s*", line):  # Excel's way to say it
        return skip + 1, m[1] if m[1] not in '"\r\n' else ","
    if len(line) >= _LONGEST_LINE or not line.replace("\t", " ").strip("\r\n \ufeff").isprintable():
        raise UnreadableFile(data.name, "is no table of text", _NO_TABLE)
    known = {heading for headings in _HEADINGS.values() for heading in headings}

    def worth(delimiter: str) -> tuple[int, bool, int]:
        cells = line.split(delimiter)
        # Without headings, a comma may be a decimal one where another delimiter is there as well.
        return sum(_plain(cell) in known for cell in cells), delimiter != "," and len(cells) > 2, len(cells)

    return skip, max(",;\t|", key=worth)


def _rows(data: ByteSource, skip: int, delimiter: str) -> _csv.Reader:
    text = _text(data)
    for _ in range(skip):
        text.readline(_LONGEST_LINE)
    return csv.reader(iter(partial(text.readline, _LONGEST_LINE), ""), delimiter=delimiter)


def _delimiter(text: str) -> str:
    return "\t" if text.lower() in ("tab", "\\t") else text


def _plain(heading: str) -> str:
    """`EXIF:GPS Latitude` -> `gpslatitude`."""
    return re.sub(r"[^a-z0-9]", "", heading.rpartition(":")[2].lower())


def _number(text: str) -> float:
    """A number with a point or a comma; NaN for an empty cell. Raises ValueError."""
    text = text.strip()
    value = float(text.replace(",", ".")) if text else _NAN
    if math.isinf(value):
        raise ValueError("infinite")
    return value


_HEIGHT = re.compile(
    r"([-+]?\d+(?:[.,]\d+)?)\s*(?:m|metres|meters)?\.?\s*((?:above|below)\s+sea\s+level)?", re.I | re.A
)


def _altitude(text: str) -> float:
    """Metres; also `120.5 m Below Sea Level`, as exiftool has it. Raises ValueError."""
    if m := _HEIGHT.fullmatch(text.strip()):
        metres = _number(m[1])
        return -abs(metres) if (m[2] or "").lower().startswith("below") else metres
    return _number(text)


def _direction(text: str) -> float:
    """0 <= degrees < 360. Raises ValueError."""
    degrees = _number(text.strip().removesuffix("°"))
    if degrees < -360.0 or degrees > 720.0:
        raise ValueError("no direction")
    return degrees % 360.0 % 360.0  # twice: -1e-20 % 360 is 360


_PART = r"(\d+(?:[.,]\d+)?)"
_DEGREES = re.compile(
    rf"([NSEW])?\s*([-+])?\s*{_PART}\s*(?:(?:deg|°|º|d|\s)\s*(?:{_PART}\s*(?:['’′m]|\s|$)\s*(?:{_PART}\s*(?:\"|''|”|″|s)?)?)?)?\s*([NSEW])?[a-z]*",
    re.IGNORECASE | re.ASCII,
)
_XMP = re.compile(r"()([-+])?(\d{1,3}),(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?([NSEW])", re.ASCII)


def _degrees(text: str, letters: str) -> float:
    """Degrees from `45.5`, `45,5`, `45 deg 30' 12.3" N`, `N45°30.2'`, or XMP's `45,30.2N`; a letter wins over a sign.

    NaN for an empty cell. Raises ValueError.
    """
    text = text.strip()
    if not text:
        return _NAN
    m = _XMP.fullmatch(text) if "." in text or text.count(",") > 1 else None
    m = m or _DEGREES.fullmatch(text)
    if m is None:
        return _number(text)
    degrees, minutes, seconds = (float(part.replace(",", ".")) if part else 0.0 for part in m.group(3, 4, 5))
    if minutes >= 60.0 or seconds > 60.0:
        raise ValueError("no angle")
    value = degrees + minutes / 60.0 + seconds / 3600.0
    value = -value if m[2] == "-" else value
    letter = (m[1] or m[6] or "").upper()
    if letter and letter not in letters:
        raise ValueError(f"{letter} is not one of {letters}")
    return _signed(value, letter, letters)


def _signed(value: float, reference: str, letters: str) -> float:
    """The value with the sign that a letter (or a word, `South`) gives it, if it is one of both."""
    letter = reference.strip()[:1].upper()
    if not letter or letter not in letters:
        return value
    return -abs(value) if letter == letters[1] else abs(value)


def _check_format(form: str) -> None:
    try:
        datetime.strptime("", form)
    except ValueError as e:
        if "bad directive" in str(e) or "stray" in str(e):
            raise UsageError(
                f"{form!r} is no time format", "write it as for strptime: %Y-%m-%d %H:%M:%S"
            ) from e


def _by_format(text: str, form: str) -> tuple[float, bool]:
    t = datetime.strptime(text, form)
    ahead = t.utcoffset()
    local = (t.replace(tzinfo=None) - _EPOCH) / timedelta(seconds=1)
    return (local, False) if ahead is None else (local - ahead.total_seconds(), True)


def _any_form(text: str, times: Times) -> tuple[float, bool]:
    """A written time, or seconds or milliseconds since 1970. Raises ValueError."""
    try:
        return times.read(text)
    except ValueError:
        value = _number(text)
        if value < 1e8:  # a count since something else than 1970
            raise
        return epoch(value), True


PLUGIN = Source(
    name="csv",
    about="places by file name, or a track, from a table (CSV, TSV, exiftool -csv)",
    suffixes=frozenset({".csv", ".tsv"}),
    read=read,
    options=CsvOptions,
)
