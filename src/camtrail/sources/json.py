"""Places by file name from JSON: Mapillary description files, objects keyed by file name, GeoJSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import UnreadableFile
from camtrail.core.model import Note, Placement
from camtrail.core.plugins import Source
from camtrail.sources._fixes import Left
from camtrail.sources._times import Times, epoch

__all__ = ["PLUGIN", "JsonOptions", "accepts", "read"]

_NAN = float("nan")
_HEAD = 4096

_FILE = ("filename", "file", "path", "MAPFilename")
_LAT = ("MAPLatitude", "lat", "latitude", "lat_deg")
_LON = ("MAPLongitude", "lon", "lng", "longitude", "lon_deg")
_ALT = ("MAPAltitude", "alt", "altitude", "ele", "alt_m")
_TIME = ("MAPCaptureTime", "time", "timestamp", "capture_time")
_HEADING = ("MAPCompassHeading", "heading", "heading_deg", "direction")
_TELLING = (*_LAT, "error", "MAPGPSTrack")
_VIDEOS = frozenset({"video", "camm", "gopro", "blackvue"})

_LIKELY = re.compile(
    rb"\"MAP[A-Z]\w*\"\s*:|\"(?:lat|latitude|lat_deg)\"\s*:|\"FeatureCollection\"|^\s*[\[{]\s*[\]}]\s*$"
    rb"|^\s*\[\s*\{\s*\"error\"\s*:\s*\{|\"(?:filename|file|path)\"\s*:"
)
# exiftool -json, and what Google Takeout writes beside each photo: `geoData` is no name of a file.
_OTHER = re.compile(rb"\"(?:SourceFile|photoTakenTime|geoData|geoDataExif)\"\s*:")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonOptions:
    """A list of files needs no telling."""


def accepts(head: bytes) -> bool:
    """Whether the first bytes look like a list of files with positions, and not like another kind of JSON."""
    start = _utf8(head[:_HEAD])
    return _LIKELY.search(start) is not None and _OTHER.search(start) is None


def read(data: ByteSource, options: JsonOptions) -> Iterator[Placement | Note]:
    """One Placement per entry with a file, then Notes of what was left out.

    Where an entry's position cannot be used, its Placement has none and says why in `fault`. A name that stands
    twice gives two Placements. Raises UnreadableFile for what is no list of files.

    Notes
    -----
    Mapillary's description file (mapillary_tools, image_description_schema.json: an array; MAPCaptureTime is UTC),
    its older `mapillary_tag.json` (an object keyed by file name), and GeoJSON (RFC 7946) whose features have a
    `path`. The whole file is held in memory, some 1 kB an entry.
    """
    if data.size == 0:
        raise UnreadableFile(data.name, "is empty", _HINT)
    if not accepts(data.read_at(0, _HEAD)):  # before a gigabyte of something else is loaded
        raise _no_list(data)
    document = _decoded(data)
    told = (_tells(entry) for _, entry in _entries(data, document))
    if not (next(told, True) or any(told)):  # no entry at all is a list, too
        raise _no_list(data)
    left, times = Left(), Times()
    for file, entry in _entries(data, document):
        placement = _placement(file, entry, left, times)
        if placement is not None:
            yield placement
    yield from left.notes()


_HINT = "give a Mapillary description file, or an object of file names with lat, lon and time"


def _no_list(data: ByteSource) -> UnreadableFile:
    return UnreadableFile(data.name, "is no list of files with positions", _HINT)


class _Name:
    """A key of the outermost object, different from every other, so that none that stands twice is lost."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _name(_: type, text: Any) -> _Name:
    return _Name(text)


_OBJECT = msgspec.json.Decoder(dict[_Name, Any], dec_hook=_name)
_ANY = msgspec.json.Decoder()


def _utf8(raw: bytes) -> bytes:
    """Without mark; from UTF-16 where a mark says so."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace").encode()
    return raw.removeprefix(b"\xef\xbb\xbf")


def _decoded(data: ByteSource) -> Any:
    raw = _utf8(data.read_at(0, data.size)).strip()
    try:
        return (_OBJECT if raw[:1] == b"{" else _ANY).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        where = re.search(r"\(byte (\d+)\)", str(e))
        breaks = raw.count(b"\n", 0, int(where[1])) if where else 0
        line = f" in line {breaks + 1}" if where else ""
        what = "is nested too deep" if isinstance(e, RecursionError) else "is cut off or damaged JSON"
        raise UnreadableFile(
            data.name, f"{what}{line} ({e})", "write the file again with the program that made it"
        ) from e


def _entries(data: ByteSource, document: Any) -> Iterator[tuple[str | None, Any]]:
    """File names, where they are keys, and what stands below them."""
    if isinstance(document, list):
        return ((None, entry) for entry in document)
    if not isinstance(document, dict):
        raise _no_list(data)
    named = [(name.text, value) for name, value in document.items()]
    features = next((value for key, value in named if key == "features"), None)
    if ("type", "FeatureCollection") in named and isinstance(features, list):
        return ((None, _flat(feature)) for feature in features)
    return iter(named)


def _flat(feature: Any) -> Any:
    """The properties of a GeoJSON feature with the position of its point among them."""
    if not isinstance(feature, dict) or not isinstance(feature.get("properties"), dict):
        return feature
    entry = {key: value for key, value in feature["properties"].items() if key not in (*_LAT, *_LON)}
    match feature.get("geometry"):
        case {"type": "Point", "coordinates": [lon, lat, *rest]}:
            entry |= {"lat": lat, "lon": lon}
            if rest and entry.get("alt_m") is None:
                entry["alt_m"] = rest[0]
        case _:
            entry["lat"] = None
    return entry


def _tells(entry: Any) -> bool:
    """Whether an entry is one of a list of positions, even if it says that it has none."""
    return isinstance(entry, dict) and not entry.keys().isdisjoint(_TELLING)


def _placement(file: str | None, entry: Any, left: Left, times: Times) -> Placement | None:
    """What an entry says, or None where it names no photo; what has no use is counted."""
    if not isinstance(entry, dict):
        return _faulty(file, "entries that are no object", left)
    name = file if file is not None else _first(entry, _FILE)
    is_video = isinstance(entry.get("filetype"), str) and entry["filetype"] in _VIDEOS
    if entry.get("error") is not None:
        return _faulty(None if is_video else name, "files that the description lists as failed", left)
    if is_video:
        left.add(1, "videos, which have a track and no one place")
        return None
    if not isinstance(name, str) or not name.strip():
        left.add(1, "entries without a file name")
        return None
    try:
        lat, lon = _number(_first(entry, _LAT)), _number(_first(entry, _LON))
    except ValueError:
        return _faulty(name, "files with a position that is no number", left)
    if lat != lat or lon != lon:
        return _faulty(name, "files without a position", left)
    if not (abs(lat) <= 90.0 and abs(lon) <= 180.0) or (lat == 0.0 and lon == 0.0):
        return _faulty(name, "files with an impossible position", left)
    time_s, local_s = _times(entry, left, times)
    return Placement(
        name,
        lat,
        lon,
        alt_m=_or_nan(_first(entry, _ALT), left, "altitudes that are no number"),
        time_s=time_s,
        local_s=local_s,
        heading_deg=_heading(entry, left),
    )


def _faulty(name: Any, reason: str, left: Left) -> Placement | None:
    """What is said of a file without a usable position, once that is counted; None where there is no name."""
    left.add(1, reason)
    return Placement(name, _NAN, _NAN, fault=reason) if isinstance(name, str) and name.strip() else None


def _first(entry: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((entry[key] for key in keys if entry.get(key) is not None), None)


def _number(value: Any) -> float:
    """NaN for null. Raises ValueError for what is no number."""
    if value is None:
        return _NAN
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("no number")
    try:
        number = float(value)
    except OverflowError as e:  # an integer of hundreds of digits
        raise ValueError("too large") from e
    if number - number != 0.0:  # "NaN" or "inf" in quotes
        raise ValueError("not finite")
    return number


def _or_nan(value: Any, left: Left, reason: str) -> float:
    try:
        return _number(value)
    except ValueError:
        left.add(1, reason)
        return _NAN


def _heading(entry: dict[str, Any], left: Left) -> float:
    value = _first(entry, _HEADING)
    if isinstance(value, dict):  # Mapillary's tools write both, equal
        value = _first(value, ("TrueHeading", "MagneticHeading"))
    degrees = _or_nan(value, left, "headings that are no number")
    if abs(degrees) > 720.0:
        left.add(1, "headings that are no direction")
        return _NAN
    return degrees % 360.0 % 360.0  # twice: -1e-20 % 360 is 360


def _times(entry: dict[str, Any], left: Left, times: Times) -> tuple[float, float]:
    """POSIX seconds and the clock's reading, either may be NaN."""
    time_s, local_s = _NAN, _NAN
    try:
        value = _first(entry, _TIME)
        if isinstance(value, str):
            seconds, is_instant = times.read(value)
            time_s, local_s = (seconds, _NAN) if is_instant else (_NAN, seconds)
        elif value is not None:
            time_s = epoch(_number(value))
        if isinstance(entry.get("local_time"), str):
            local_s = times.read(entry["local_time"])[0]
    except ValueError:
        left.add(1, "times that cannot be read")
    return time_s, local_s


PLUGIN = Source(
    name="json",
    about="places by file name from a Mapillary description file, an object of file names, or GeoJSON",
    suffixes=frozenset({".json", ".geojson"}),
    read=read,
    options=JsonOptions,
    accepts=accepts,
)
