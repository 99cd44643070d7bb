"""Vector tiles of a stand-in: images as points.

Notes
-----
Mapbox Vector Tile 2.1, `vector_tile.proto`; Web Mercator as of the tiles of OpenStreetMap.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

import numpy as np

from camtrail.core.model import Floats

__all__ = ["EXTENT", "Value", "layer", "place"]

EXTENT = 4096
"""Units along a side of a tile."""

Value = str | bool | int | float
"""What a property of a point may be."""

_POINT = 1
_MOVE_ONCE = 9
_VARINT, _EIGHT_BYTES, _LENGTH = 0, 1, 2


def place(lat_deg: Floats, lon_deg: Floats, z: int) -> tuple[Floats, Floats]:
    """(n,), (n,) how many tiles of a zoom lie west and north of positions, with fractions."""
    lat = np.radians(lat_deg)
    x = (lon_deg + 180.0) / 360.0 * 2**z
    y = (1.0 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * 2**z
    return x, y


def layer(name: str, points: Iterable[tuple[int, int, Mapping[str, Value]]]) -> bytes:
    """A tile of one layer of points: x, y from 0 to the extent, and properties."""
    keys: dict[str, int] = {}
    values: dict[bytes, int] = {}
    features = []
    for x, y, properties in points:
        tags = []
        for key, value in properties.items():
            tags += [
                keys.setdefault(key, len(keys)),
                values.setdefault(_value(value), len(values)),
            ]
        move = (_MOVE_ONCE, 2 * x, 2 * y)  # zigzag, of what is not below 0
        features.append(
            _bytes(2, b"".join(map(_varint, tags)))
            + _number(3, _POINT)
            + _bytes(4, b"".join(map(_varint, move)))
        )
    parts = [_number(15, 2), _bytes(1, name.encode())]
    parts += [_bytes(2, f) for f in features]
    parts += [_bytes(3, k.encode()) for k in keys]
    parts += [_bytes(4, v) for v in values]
    parts.append(_number(5, EXTENT))
    return _bytes(3, b"".join(parts))


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return _bytes(1, value.encode())
    if isinstance(value, bool):
        return _number(7, value)
    if isinstance(value, float):
        return _varint(3 << 3 | _EIGHT_BYTES) + struct.pack("<d", value)
    return _number(4, value % 2**64)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH) + _varint(len(data)) + data


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
