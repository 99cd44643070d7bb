"""The table of places: CSV with the columns of the older notebooks first, then ours.

`start,end` are readings of the photos' clocks, `YYYY:MM:DD HH:MM:SS`; `lat,long` signed decimal degrees on WGS 84;
`lat_dms,long_dms` Python tuples without a sign, as EXIF has them; `start_utc,end_utc` ISO 8601; `ids` a JSON list
of the photos' paths.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from camtrail.core.errors import InputError
from camtrail.core.model import Floats, Ints, Texts, texts
from camtrail.core.names import plain, shown
from camtrail.exports.values import decimal, iso

__all__ = ["MARK", "Stays", "clock_text", "read_table", "table"]

_OLD = ("start", "end", "lat", "long", "n_pics", "lat_dms", "long_dms")
_NEW = ("start_utc", "end_utc", "radius_m", "cameras", "ids")
MARK = ",".join((*_OLD, *_NEW)).encode()
"""The first line of a table of ours."""

_EPOCH = datetime(1970, 1, 1)
_NAN = float("nan")
_CLOCK = re.compile(
    r"(\d{4})[:\-/.](\d{1,2})[:\-/.](\d{1,2})[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,]\d*)?)?"
)
_DEGREE = 3600 * 10**6
_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
_MOST_FIELD = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Stays:
    """Places and when photos were taken there; every column has shape (k,), in the order of time."""

    start_s: Floats  # POSIX seconds; NaN where unknown
    end_s: Floats
    start_local_s: (
        Floats  # reading of the photos' clocks, whole seconds as if they were UTC; NaN where unknown
    )
    end_local_s: Floats
    lat_deg: Floats
    lon_deg: Floats
    radius_m: Floats  # largest distance of a photo from the middle; NaN where unknown
    count: Ints  # of photos; 0 where unknown
    cameras: Texts  # names with "; " between them, None where unknown
    ids: Texts  # tuples of paths
    photo_s: Floats  # (m,) when each photo was taken, where that is known
    photo_local_s: Floats  # (m,)
    stay: Ints  # (m,) which stay it belongs to

    def __len__(self) -> int:
        return len(self.start_s)


def clock_text(local_s: float) -> str:
    """`2023:04:08 12:34:56`; empty where there is none."""
    if not math.isfinite(local_s):
        return ""
    t = _EPOCH + timedelta(seconds=math.floor(local_s))
    return f"{t.year:04}:{t.month:02}:{t.day:02} {t.hour:02}:{t.minute:02}:{t.second:02}"


def table(stays: Stays) -> Iterator[bytes]:
    """The lines of the table, UTF-8; the same for the same stays.

    Notes
    -----
    Positions to 1e-9 of a degree. A text that a spreadsheet would take for a formula gets a leading `'`.
    """
    yield MARK + b"\n"
    columns = (
        stays.start_local_s, stays.end_local_s, stays.lat_deg, stays.lon_deg, stays.count, stays.start_s, stays.end_s,
        stays.radius_m, stays.cameras, stays.ids,
    )  # fmt: skip
    for start, end, lat, lon, count, start_s, end_s, radius, cameras, ids in zip(
        *(c.tolist() for c in columns)
    ):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow((
            clock_text(start), clock_text(end), _degrees(lat), _degrees(lon), count, _dms(lat), _dms(lon),
            iso(start_s) or "", iso(end_s) or "", decimal(radius, 2), _inert(cameras),
            json.dumps([plain(i) for i in ids], ensure_ascii=False),
        ))  # fmt: skip
        yield out.getvalue().encode()


def _degrees(value: float) -> str:
    text = decimal(value, 9)
    return text if "." in text else f"{text}.0"


def _dms(degrees: float) -> str:
    """`(41, 23, 6.0)`: never 60 seconds."""
    whole, rest = divmod(round(abs(degrees) * _DEGREE), _DEGREE)
    minutes, rest = divmod(rest, _DEGREE // 60)
    return f"({whole}, {minutes}, {rest / 10**6!r})"


def _inert(text: str | None) -> str:
    text = shown(text or "")
    return f"'{text}" if _FORMULA.match(text) else text


def read_table(data: bytes, name: str) -> Stays:
    """The stays of a table of ours or of the older notebooks.

    The order of the columns, further ones, a byte order mark, and `;` or tabs between the cells do not matter.

    Parameters
    ----------
    name : of the file, for messages

    Raises
    ------
    InputError
        A column is missing, or a cell has no value that it could have; the message names line and column.
    """
    lines = _lines(data, name)
    found = _Rows(name)
    for line, cells in lines:
        found.add(line, cells)
    return found.stays()


def _lines(data: bytes, name: str) -> list[tuple[int, Mapping[str, str]]]:
    """Cells by the names of their columns, with the number of the line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(name, "is no UTF-8 text", "save it again as CSV in UTF-8") from e
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    before = csv.field_size_limit(_MOST_FIELD)  # of the whole process, and other tables are to be read by it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    made: list[tuple[int, Mapping[str, str]]] = []
    try:
        head = [column.strip().lower() for column in next(reader, [])]
        missing = [c for c in ("lat", "long") if c not in head]
        missing += [c for c in ("start", "end") if c not in head and f"{c}_utc" not in head]
        if missing:
            raise InputError(
                name,
                f"line 1: has no column {', '.join(missing)}",
                "give a table that camtrail places build wrote, with start, end, lat, long",
            )
        comma = delimiter == ";"
        for cells in reader:
            if not any(c.strip() for c in cells):
                continue
            row = {column: cell.strip() for column, cell in zip(head, cells)}
            if comma:
                row |= {c: row.get(c, "").replace(",", ".") for c in ("lat", "long", "radius_m")}
            made.append((reader.line_num, row))
    except csv.Error as e:
        raise InputError(name, f"line {reader.line_num}: is no CSV ({e})", "save it again as CSV") from e
    finally:
        csv.field_size_limit(before)
    return made


class _Rows:
    """Rows of a table while they are read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: list[tuple[float, ...]] = []
        self._cameras: list[str | None] = []
        self._ids: list[tuple[str, ...]] = []

    def add(self, line: int, cells: Mapping[str, str]) -> None:
        def read(column: str, of: Callable[[str], float], what: str) -> float:
            text = cells.get(column, "")
            value = of(text) if text else _NAN
            if text and not math.isfinite(value):
                raise InputError(self._name, f"line {line}, column {column}: {shown(text)!r} is {what}")
            return value

        def needed(column: str, of: Callable[[str], float], what: str) -> float:
            value = read(column, of, what)
            if value != value:
                raise InputError(self._name, f"line {line}, column {column}: is empty")
            return value

        lat = needed("lat", lambda t: _number(t, -90.0, 90.0), "no latitude")
        lon = needed("long", lambda t: _number(t, -180.0, 180.0), "no longitude")
        times = [read(c, _instant, "no ISO time with a zone") for c in ("start_utc", "end_utc")]
        clocks = [read(c, _clock, "no time YYYY:MM:DD HH:MM:SS") for c in ("start", "end")]
        if any(math.isnan(a) for a in times):
            for column, value in zip(("start", "end"), clocks):
                if value != value:
                    raise InputError(self._name, f"line {line}, column {column}: is empty")
            times = [_NAN, _NAN]
        if any(math.isnan(a) for a in clocks):
            clocks = [_NAN, _NAN]
        for pair, column in ((clocks, "end"), (times, "end_utc")):
            if pair[1] < pair[0]:
                raise InputError(self._name, f"line {line}, column {column}: lies before the start")
        count = read("n_pics", lambda t: _number(t, 0.0, 1e12), "no count")
        radius = read("radius_m", lambda t: _number(t, 0.0, 1e8), "no radius")
        self._rows.append((*times, *clocks, lat, lon, radius, 0.0 if math.isnan(count) else count))
        self._cameras.append(cells.get("cameras") or None)
        self._ids.append(_ids(cells.get("ids", "")))

    def stays(self) -> Stays:
        columns = np.array(self._rows, float).reshape(-1, 8).T
        ids = np.empty(len(self._ids), object)
        ids[:] = self._ids
        start, end, start_local, end_local, lat, lon, radius, count = columns
        nothing = np.zeros(0)
        return Stays(
            start, end, start_local, end_local, lat, lon, radius, count.astype(np.int64), texts(self._cameras), ids,
            nothing, nothing, np.zeros(0, np.int64),
        )  # fmt: skip


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return _NAN
    return value if least <= value <= most else _NAN


def _clock(text: str) -> float:
    m = _CLOCK.match(text)
    if m is None:
        return _NAN
    try:
        t = datetime(int(m[1]), int(m[2]), int(m[3]), int(m[4]), int(m[5]), int(m[6] or 0))
    except ValueError:
        return _NAN
    return (t - _EPOCH) / timedelta(seconds=1)


def _instant(text: str) -> float:
    try:
        t = datetime.fromisoformat(text)
        if t.tzinfo is None:
            return _NAN
        return (t.astimezone(UTC).replace(tzinfo=None) - _EPOCH) / timedelta(seconds=1)
    except (ValueError, OverflowError):
        return _NAN


def _ids(text: str) -> tuple[str, ...]:
    """Ids are for people and programs that look a photo up; what is no list of texts has none."""
    try:
        found: object = json.loads(text) if text else []
    except ValueError:
        return ()
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ()
    return tuple(i for i in found if isinstance(i, str))
