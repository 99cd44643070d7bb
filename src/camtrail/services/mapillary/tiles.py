"""Images in Mapillary's vector tiles.

Notes
-----
Mapbox Vector Tile Specification 2.1 in Protocol Buffers' wire format; of it what the points of the layer `image`
need. A tile comes as it is or as gzip. Positions: Web Mercator (EPSG:3857), x to the east and y to the south.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from camtrail.core.errors import BadAnswer
from camtrail.services.mapillary.values import captured_s, heading_deg, is_name

__all__ = ["TileImage", "images_of"]

_MOST_BYTES = 1 << 26
_LAYER = "image"
_POINT = 1
_MOVE_TO = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class TileImage:
    """What a tile says of an image. Numbers that it does not give are NaN, other values None."""

    id: str
    sequence: str | None
    captured_s: float  # POSIX seconds
    lat_deg: float  # WGS 84, good to a metre
    lon_deg: float
    heading_deg: float  # 0 to 360, clockwise from north
    is_pano: bool | None
    creator_id: str | None
    organization_id: str | None


class _Damaged(Exception):
    """The bytes are no tile."""


def images_of(data: bytes, z: int, x: int, y: int) -> list[TileImage]:
    """The images of a tile, in its order; [] for an empty one. Raises BadAnswer for what is no tile."""
    try:
        if data.startswith(_GZIP):
            data = _inflated(data)
        return [
            image
            for number, layer in _fields(data)
            if number == 3
            for image in _images(_message(layer), z, x, y)
        ]
    except (_Damaged, struct.error, UnicodeDecodeError) as e:
        raise BadAnswer(f"tile {z}/{x}/{y} is damaged", "run again later") from e


def _inflated(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(31)
    try:
        plain = unpacking.decompress(data, _MOST_BYTES)
    except zlib.error as e:
        raise _Damaged from e
    if not unpacking.eof or unpacking.unused_data:
        raise _Damaged
    return plain


def _images(layer: bytes, z: int, x: int, y: int) -> Iterator[TileImage]:
    name, extent = "", 4096
    features: list[bytes] = []
    keys: list[str] = []
    values: list[Any] = []
    for number, field in _fields(layer):
        if number == 1:
            name = _message(field).decode()
        elif number == 2:
            features.append(_message(field))
        elif number == 3:
            keys.append(_message(field).decode())
        elif number == 4:
            values.append(_value(_message(field)))
        elif number == 5:
            extent = _integer(field)
    if name != _LAYER:
        return
    if not extent:
        raise _Damaged
    for feature in features:
        image = _image(feature, keys, values, extent, z, x, y)
        if image is not None:
            yield image


def _image(
    feature: bytes, keys: list[str], values: list[Any], extent: int, z: int, x: int, y: int
) -> TileImage | None:
    """An image; None for a feature that is no point, or has no id."""
    own_id = kind = 0
    tags: list[int] = []
    geometry: list[int] = []
    for number, field in _fields(feature):
        if number == 1:
            own_id = _integer(field)
        elif number == 2:
            tags = list(_varints(_message(field)))
        elif number == 3:
            kind = _integer(field)
        elif number == 4:
            geometry = list(_varints(_message(field)))
    if len(tags) % 2 or max(tags[::2], default=-1) >= len(keys) or max(tags[1::2], default=-1) >= len(values):
        raise _Damaged
    said = {keys[k]: values[v] for k, v in zip(tags[::2], tags[1::2], strict=True)}
    id = _id(said.get("id")) or _id(own_id)
    if kind != _POINT or id is None:
        return None
    if len(geometry) < 3 or geometry[0] & 7 != _MOVE_TO:
        raise _Damaged
    lat_deg, lon_deg = _position(_signed(geometry[1]) / extent, _signed(geometry[2]) / extent, z, x, y)
    pano = said.get("is_pano")
    sequence = said.get("sequence_id")
    return TileImage(
        id=id,
        sequence=sequence if is_name(sequence) else None,
        captured_s=captured_s(said.get("captured_at")),
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        heading_deg=heading_deg(said.get("compass_angle")),
        is_pano=pano if isinstance(pano, bool) else None,
        creator_id=_id(said.get("creator_id")),
        organization_id=_id(said.get("organization_id")),
    )


def _position(across: float, down: float, z: int, x: int, y: int) -> tuple[float, float]:
    """Latitude and longitude, degrees, of a place in a tile, both ways 0 to 1 or a little beside."""
    if not (-1 <= across <= 2 and -1 <= down <= 2):
        raise _Damaged
    tiles = 1 << z
    lat = math.atan(math.sinh(math.pi * (1 - 2 * (y + down) / tiles)))
    return math.degrees(lat), (x + across) / tiles * 360 - 180


def _id(value: Any) -> str | None:
    if type(value) is int:
        return str(value) if 0 < value < 1 << 64 else None
    return value if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _value(data: bytes) -> Any:
    """The value of a property; None for a kind that the specification has not."""
    found: Any = None
    for number, field in _fields(data):
        if number == 1:
            found = _message(field).decode()
        elif number == 2:
            found = struct.unpack("<f", _message(field))[0]
        elif number == 3:
            found = struct.unpack("<d", _message(field))[0]
        elif number in (4, 5):
            found = _integer(field)
            if number == 4 and found >= 1 << 63:
                found -= 1 << 64
        elif number == 6:
            found = _signed(_integer(field))
        elif number == 7:
            found = bool(_integer(field))
    return found


def _signed(number: int) -> int:
    return number >> 1 ^ -(number & 1)


def _message(field: int | bytes) -> bytes:
    if isinstance(field, int):
        raise _Damaged
    return field


def _integer(field: int | bytes) -> int:
    if not isinstance(field, int):
        raise _Damaged
    return field


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message: an integer, or bytes. Raises _Damaged."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise _Damaged
        if size > len(data) - at:
            raise _Damaged
        yield key >> 3, data[at : at + size]
        at += size


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of at most 64 bits, and where the next byte is. Raises _Damaged."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise _Damaged
