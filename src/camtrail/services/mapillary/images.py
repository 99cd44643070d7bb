"""What Mapillary says of its images, as values.

Notes
-----
Graph API v4. Nothing of an answer is trusted to have the type or the range that it should: a field that has not is
absent. Only an answer that is no answer to the question is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import BadAnswer
from camtrail.core.names import plain, shown
from camtrail.metadata import jpeg
from camtrail.services.mapillary.values import captured_s, heading_deg, is_name, number, within
from camtrail.transfer.http import Answer

__all__ = [
    "SIZES",
    "Image",
    "damage",
    "fields",
    "ids_in",
    "image_of",
    "images_by_id",
    "images_in",
]

SIZES = ("256", "1024", "2048", "original")
"""Widths in pixels that the service has pictures of; the original is the processed picture in its full size."""

_FIELDS = (
    "id,sequence,captured_at,geometry,computed_geometry,compass_angle,computed_compass_angle,altitude,"
    "computed_altitude,camera_type,is_pano,make,model,width,height,creator"
)
_NAN = float("nan")
_MOST_TEXT = 256  # characters of a name
_MOST_URL = 8192
_MOST_ALT_M = 100_000.0
_ID = re.compile(r"[0-9]{1,20}", re.ASCII).fullmatch
_URL = re.compile(r"https?://[!-\"$-~]+").fullmatch
_LATER = "run again later"


@dataclass(frozen=True, slots=True)
class Image:
    """One image. Numbers that the service does not give are NaN, other values None."""

    id: str
    sequence: str | None
    captured_s: float  # POSIX seconds
    lat_deg: float  # as the uploader's file had them
    lon_deg: float
    computed_lat_deg: float  # as reconstruction found them
    computed_lon_deg: float
    heading_deg: float  # 0 to 360, clockwise from north
    computed_heading_deg: float
    alt_m: float
    computed_alt_m: float
    camera_type: str | None
    is_pano: bool | None
    make: str | None
    model: str | None
    width_px: int | None  # of the original
    height_px: int | None
    creator: str | None  # the user's name
    url: str | None  # of the picture in the size asked for; good for some hours


def fields(size: str) -> str:
    """What to ask for, so that `Image.url` leads to a picture of that size. Raises ValueError for none of `SIZES`."""
    if size not in SIZES:
        raise ValueError(f"there are no pictures of the size {size!r}")
    return f"{_FIELDS},thumb_{size}_url"


def images_by_id(answer: Answer, ids: frozenset[str], size: str) -> dict[str, Image]:
    """Those of the images asked for that an answer has. Raises BadAnswer, also where it speaks of something else."""
    value = _object(answer)
    if other := value.keys() - ids:
        what = shown(min(other))[:64]
        raise BadAnswer(f"the service answers with {what!r} in place of the images asked for", _LATER)
    return {key: _image(row, size, key) for key, row in value.items() if isinstance(row, dict)}


def image_of(answer: Answer, id: str, size: str) -> Image:
    """The one image that was asked for. Raises BadAnswer."""
    return _image(_object(answer), size, id)


def images_in(answer: Answer, size: str) -> list[Image]:
    """The images of a list, each once, in its order. Raises BadAnswer."""
    found: dict[str, Image] = {}
    for row in _rows(answer):
        image = _image(row, size)
        found.setdefault(image.id, image)
    return list(found.values())


def ids_in(answer: Answer) -> list[str]:
    """The ids of a list, each once, in its order. Raises BadAnswer."""
    return list(dict.fromkeys(_id(row) for row in _rows(answer)))


def damage(source: ByteSource) -> str | None:
    """Why bytes are no whole JPEG, in a few words; None for one that has a beginning, a size and an end.

    Stricter than reading: the service writes nothing behind a picture, so that what stands there is of another
    answer. Raises UnreadableFile from the source.
    """
    window = source.read_at(0, jpeg.WINDOW_BYTES)
    if not window:
        return "it is empty"
    if not window.startswith(b"\xff\xd8\xff"):
        begins = window.lstrip()[:1]
        return "it is a page" if begins in (b"<", b"{") else "it is no JPEG"
    head = jpeg.head(source, window)
    if head.picture_at < 0 or math.isnan(head.width_px) or math.isnan(head.height_px):
        return "its picture has no size"
    tail = source.read_at(max(0, source.size - 16), 16)
    return None if tail.rstrip(b"\0\r\n ").endswith(b"\xff\xd9") else "its picture has no end"


def _object(answer: Answer) -> dict[str, Any]:
    value = answer.json()
    if not isinstance(value, dict):
        raise BadAnswer("the service's answer is no object", _LATER)
    return value


def _rows(answer: Answer) -> Iterator[dict[str, Any]]:
    data = _object(answer).get("data")
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise BadAnswer("the service's answer has no list of images", _LATER)
    yield from data


def _id(row: dict[str, Any]) -> str:
    value = row.get("id")
    text = str(value) if type(value) is int and 0 < value < 1 << 64 else value
    if not isinstance(text, str) or not _ID(text):
        raise BadAnswer("the service's answer has an image without an id", _LATER)
    return text


def _image(row: dict[str, Any], size: str, asked: str | None = None) -> Image:
    id = _id(row)
    if asked is not None and id != asked:
        raise BadAnswer(f"the service answers with image {shown(id)} in place of {shown(asked)[:64]}", _LATER)
    lat, lon = _position(row.get("geometry"))
    computed_lat, computed_lon = _position(row.get("computed_geometry"))
    creator = row.get("creator")
    sequence = row.get("sequence")
    return Image(
        id=id,
        sequence=sequence if is_name(sequence) else None,
        captured_s=captured_s(row.get("captured_at")),
        lat_deg=lat,
        lon_deg=lon,
        computed_lat_deg=computed_lat,
        computed_lon_deg=computed_lon,
        heading_deg=heading_deg(row.get("compass_angle")),
        computed_heading_deg=heading_deg(row.get("computed_compass_angle")),
        alt_m=_altitude(row.get("altitude")),
        computed_alt_m=_altitude(row.get("computed_altitude")),
        camera_type=_text(row.get("camera_type")),
        is_pano=_claim(row.get("is_pano")),
        make=_text(row.get("make")),
        model=_text(row.get("model")),
        width_px=_pixels(row.get("width")),
        height_px=_pixels(row.get("height")),
        creator=_text(creator.get("username")) if isinstance(creator, dict) else None,
        url=_address(row.get(f"thumb_{size}_url")),
    )


def _position(value: Any) -> tuple[float, float]:
    """Latitude and longitude of a GeoJSON point; NaN for both where it is none, or 0, 0."""
    at = value.get("coordinates") if isinstance(value, dict) and value.get("type") == "Point" else None
    if not isinstance(at, list) or len(at) < 2:
        return _NAN, _NAN
    lat, lon = within(number(at[1]), -90.0, 90.0), within(number(at[0]), -180.0, 180.0)
    return (lat, lon) if lat == lat and lon == lon and (lat or lon) else (_NAN, _NAN)


def _altitude(value: Any) -> float:
    """Metres; a negative number that the service gives as an unsigned one of 32 bits, of m or mm, is put right."""
    alt_m = number(value)
    for turn in (2.0**32, 2.0**32 / 1000):
        if turn / 2 < alt_m <= turn:
            alt_m -= turn
    return within(alt_m, -_MOST_ALT_M, _MOST_ALT_M)


def _text(value: Any) -> str | None:
    return plain(value[:_MOST_TEXT]) if isinstance(value, str) and value.strip() else None


def _claim(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _pixels(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 1 << 31 else None


def _address(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= _MOST_URL and _URL(value) else None
