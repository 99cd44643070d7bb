"""Tracks from GPX 1.0 and 1.1, one per segment, streamed."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from xml.parsers import expat

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import UnreadableFile
from camtrail.core.model import Note, Placement, Track
from camtrail.core.plugins import Source
from camtrail.sources._fixes import UNREADABLE, Left, taken, track_of
from camtrail.sources._times import Times

__all__ = ["PLUGIN", "GpxOptions", "read"]

_CHUNK = 1 << 18
_LONGEST_TAG = 1 << 24  # bytes that expat may hold back; without a limit, it scans them again for each chunk
_DEEPEST = 1000
_NAN = float("nan")
_NO_GPX = "check that this is the file your receiver or app exported as GPX"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpxOptions:
    """GPX needs no telling."""


def read(data: ByteSource, options: GpxOptions) -> Iterator[Track | Placement | Note]:
    """One Track per segment, then Notes of what was left out.

    A file that is damaged after its first track point gives what stands before the damage, and a Note.
    Raises UnreadableFile for what is no GPX.

    Notes
    -----
    GPX 1.1 (https://www.topografix.com/GPX/1/1/) and 1.0, in any namespace or none; course and speed also from
    Garmin's TrackPointExtension v2 and from its like. Times without zone are UTC, as the standard has it.
    About 4 µs a point, half of it in expat; memory is the columns of one segment.
    """
    return _Reader(data).tracks()


# What an element is to us. Those up to _HDOP are the number of their column.
_TIME, _ALT, _COURSE, _SPEED, _HDOP = 0, 3, 4, 5, 6
_POINT, _SEGMENT, _FOLDER, _EXTENSIONS, _WAYPOINT, _ROUTE_POINT, _OTHER = range(7, 14)
_KINDS = {
    "trkpt": _POINT,
    "time": _TIME,
    "ele": _ALT,
    "course": _COURSE,
    "speed": _SPEED,
    "hdop": _HDOP,
    "trkseg": _SEGMENT,
    "trk": _SEGMENT,
    "gpx": _FOLDER,
    "rte": _FOLDER,
    "extensions": _EXTENSIONS,
    "wpt": _WAYPOINT,
    "rtept": _ROUTE_POINT,
}
_MISLABELLED = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}encoding\s*=\s*[\"']utf-?16", re.IGNORECASE)


class _Reader:
    """What expat has told so far."""

    __slots__ = ("columns", "data", "done", "fed", "is_rooted", "kinds", "left", "parser", "points", "text")

    def __init__(self, data: ByteSource) -> None:
        self.data = data
        self.kinds: dict[str, int] = {}  # name as written, prefix and all -> what it is to us
        self.left = Left()
        self.done: list[Track] = []
        self.columns = tuple(array("d") for _ in range(7))  # of the segment; the last three may lag behind
        self.text: list[str] = []
        self.fed = 0  # bytes
        self.points = 0  # in finished segments
        self.is_rooted = False

    def tracks(self) -> Iterator[Track | Placement | Note]:
        """See `read`."""
        head = self.data.read_at(0, _CHUNK)
        if not head.strip(b" \t\r\n\0"):
            raise UnreadableFile(self.data.name, "is empty", "export the track again")
        self._prepare(head)
        fault = ""
        for chunk in _chunks(self.data, head):
            fault = self._feed(chunk)
            yield from self.done
            self.done.clear()
            if fault:
                break
        self._finish()
        yield from self.done
        yield from self.left.notes()
        if fault:
            yield Note(1, fault)

    def _prepare(self, head: bytes) -> None:
        # .NET programs write "utf-16" into the declaration of what they then save as UTF-8.
        is_mislabelled = _MISLABELLED.match(head)
        self.parser = parser = expat.ParserCreate("utf-8" if is_mislabelled else None)
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._handlers()
        parser.CharacterDataHandler = self.text.append
        parser.StartDoctypeDeclHandler = self._doctype

    def _feed(self, chunk: bytes) -> str:
        """What is damaged, in words, or nothing. An empty chunk is the end."""
        try:
            self.parser.Parse(chunk, not chunk)
        except expat.ExpatError as e:
            what = expat.ErrorString(e.code)
            if not self.points and not self.columns[0]:
                raise UnreadableFile(
                    self.data.name,
                    f"is no GPX: {what} at line {e.lineno}" if self.is_rooted else "is no GPX and no XML",
                    _NO_GPX,
                ) from e
            return (
                f"place where the file is damaged, line {e.lineno} ({what}); what stands before it was used, "
                "what follows was not"
            )
        except (LookupError, ValueError) as e:  # pyexpat asks Python's codecs for unusual encodings
            raise UnreadableFile(
                self.data.name,
                "is written in an encoding that XML readers do not know",
                "save it as UTF-8 and run again",
            ) from e
        self.fed += len(chunk)
        if self.fed - self.parser.CurrentByteIndex > _LONGEST_TAG:
            raise UnreadableFile(self.data.name, "is no GPX: a tag in it has no end", _NO_GPX)
        del self.text[64:]
        return ""

    def _handlers(self) -> tuple[Callable[[str, dict[str, str]], None], Callable[[str], None]]:
        """Both see every element of the file, so they keep their state in local names, which is the fastest."""
        kinds, kind_of, text, clear = self.kinds, self._kind_of, self.text, self.text.clear
        times = Times()
        minutes, tails, read_time = times.minutes, times.tails, times.read
        add_time, add_lat, add_lon, add_alt = (column.append for column in self.columns[:4])
        time_s = lat = lon = alt = _NAN
        inside = False  # a point
        skipping = 0  # elements open below one that is none of ours
        extended = False  # that one is the <extensions> of a point

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal time_s, lat, lon, alt, inside, skipping, extended
            if skipping:
                skipping += 1
                if skipping > _DEEPEST:
                    raise UnreadableFile(self.data.name, "is no GPX: elements nested too deep", _NO_GPX)
                clear()
                return
            try:
                kind = kinds[name]
            except KeyError:
                kind = kind_of(name)
            if inside:
                clear()
                if kind > _HDOP:
                    skipping = 1
                    extended = kind == _EXTENSIONS
            elif kind == _POINT and self.is_rooted:
                inside = True
                time_s = alt = _NAN
                try:
                    lat, lon = float(attributes["lat"]), float(attributes["lon"])
                except (KeyError, ValueError):
                    lat = lon = _NAN
            else:
                skipping = self._enter(name, kind)

        def end(name: str) -> None:
            nonlocal time_s, alt, inside, skipping, extended
            if skipping:
                skipping -= 1
                if extended:
                    kind = kind_of(name)
                    if kind in (_SPEED, _COURSE):
                        self._set(kind)
                    extended = skipping > 0
                return
            kind = kinds[name]
            if not inside:
                if kind == _SEGMENT:
                    self._finish()
            elif kind == _TIME:
                written = text[0] if len(text) == 1 else "".join(text)
                try:
                    time_s = minutes[written[:17]] + tails[written[17:]]
                except KeyError:
                    try:
                        time_s = read_time(written)[0]
                    except ValueError:
                        time_s = UNREADABLE if written.strip() else _NAN
            elif kind == _ALT:
                try:
                    alt = float(text[0] if len(text) == 1 else "".join(text))
                except ValueError:
                    self._count_unreadable()
            elif kind == _POINT:
                inside = False
                add_time(time_s)
                add_lat(lat)
                add_lon(lon)
                add_alt(alt)
            else:
                self._set(kind)

        return start, end

    def _kind_of(self, name: str) -> int:
        kind = _KINDS.get(name.rpartition(":")[2], _OTHER)
        self.kinds[name] = kind
        return kind

    def _enter(self, name: str, kind: int) -> int:
        """Enters an element outside of points; 1 where what is in it is none of ours."""
        if not self.is_rooted:
            if name.rpartition(":")[2] != "gpx":
                raise UnreadableFile(
                    self.data.name, f"is no GPX but XML that begins with <{name[:40]}>", _NO_GPX
                )
            self.is_rooted = True
        elif kind == _SEGMENT:
            self._finish()
        elif kind == _WAYPOINT:
            self.left.add(1, "waypoints, which belong to no track")
        elif kind == _ROUTE_POINT:
            self.left.add(1, "points of routes, which have no time")
        return int(kind not in (_SEGMENT, _FOLDER))

    def _set(self, kind: int) -> None:
        """Course, speed or HDOP of the point that is read; the first of several stays."""
        column, row = self.columns[kind], len(self.columns[0])
        if len(column) > row:
            return
        try:
            value = float("".join(self.text))
        except ValueError:
            self._count_unreadable()
            return
        column.extend(repeat(_NAN, row - len(column)))
        column.append(value)

    def _count_unreadable(self) -> None:
        if "".join(self.text).strip():
            self.left.add(1, "values of altitude, course, speed or HDOP that are no number")

    def _doctype(self, *_: object) -> None:
        raise UnreadableFile(
            self.data.name, "has a DOCTYPE, which no GPX needs", "delete the <!DOCTYPE ...> from the file"
        )

    def _finish(self) -> None:
        """Makes a Track of the rows since the last one."""
        n = len(self.columns[0])
        if not n:
            return
        self.points += n
        track = track_of(taken(self.columns), self.left)
        if track is not None:
            self.done.append(track)


def _chunks(data: ByteSource, head: bytes) -> Iterator[bytes]:
    """The file, and an empty chunk at its end."""
    # Blank lines before the declaration are a fault of some exporters, and no loss.
    yield head.lstrip(b" \t\r\n")
    at = len(head)
    while chunk := data.read_at(at, _CHUNK):
        yield chunk
        at += len(chunk)
    yield b""


PLUGIN = Source(
    name="gpx",
    about="track from a GPX file",
    suffixes=frozenset({".gpx"}),
    read=read,
    options=GpxOptions,
    only_tracks=True,
)
