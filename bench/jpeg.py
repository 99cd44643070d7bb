"""Valid baseline JPEGs without a codec: grey bands for small photos, noise for thumbnails and large photos.

The Huffman codes are unary (`0`, `10`, `110`, …), which baseline JPEG allows (ITU-T T.81, Annex C): an even
block then costs two bits, and a picture of 12 megapixels 70 KB, of full size for every decoder.
"""

from __future__ import annotations

import functools
import struct
from random import Random

__all__ = ["noise", "picture", "thumbnail"]

_BLOCKS = 6  # of a 4:2:0 unit: four of luma, one each of the two chroma planes
_DC_SIZES = bytes(range(8))  # code lengths 1..8
_AC_SYMBOLS = bytes(range(4))  # end of block, then a value of 1..3 bits; code lengths 1..4
_DC_STEP = 8  # quantization: one unit of DC is one grey level


def segment(marker: int, body: bytes) -> bytes:
    """A marker segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def picture(width_px: int, height_px: int, sky: int, road: int, horizon: float) -> bytes:
    """Tables to EOI of a picture: `sky` above the horizon (0..1 of the height), `road` below it, -127..127.

    Each row of units is a restart interval, so that rows of one grey are the same bytes.
    """
    columns, rows = -(-width_px // 16), -(-height_px // 16)
    turn = int(rows * horizon)
    parts = [_head(width_px, height_px, columns)]
    for row in range(rows):
        level = sky - row // 4 if row < turn else road + (row - turn) // 4
        parts.append(_row(columns, max(-127, min(127, level))))
        parts.append(bytes((0xFF, 0xD0 + row % 8)))
    parts[-1] = b"\xff\xd9"
    return b"".join(parts)


def thumbnail(random: Random, detail: int) -> bytes:
    """A whole JPEG of 160 x 120 with about `detail` coefficients a block."""
    return b"\xff\xd8" + _head(160, 120, 0) + _noisy(random, 10 * 8, detail) + b"\xff\xd9"


def noise(random: Random, width_px: int, height_px: int, detail: int) -> bytes:
    """Tables to EOI of a picture with about `detail` coefficients a block, as large as real photos.

    Rows are drawn from eight different ones.
    """
    columns, rows = -(-width_px // 16), -(-height_px // 16)
    drawn = [_noisy(random, columns, detail) for _ in range(8)]
    parts = [_head(width_px, height_px, columns)]
    for row in range(rows):
        parts += (random.choice(drawn), bytes((0xFF, 0xD0 + row % 8)))
    parts[-1] = b"\xff\xd9"
    return b"".join(parts)


def _noisy(random: Random, units: int, detail: int) -> bytes:
    """The coded data of so many units."""
    bits: list[str] = []
    before = [0, 0, 0]
    for block in range(units * _BLOCKS):
        plane = max(0, block % _BLOCKS - 3)
        level = int(random.random() * 40) - 20
        bits.append(_value(level - before[plane]))
        before[plane] = level
        for _ in range(int(detail * (0.5 + random.random()))):
            bits.append(_value(random.randrange(1, 8) * (1 if random.random() < 0.5 else -1)))
        bits.append("0")
    return _packed("".join(bits))


def _value(value: int) -> str:
    """Size in unary, then the bits of the value (T.81, F.1.2.1)."""
    size = abs(value).bit_length()
    if not size:
        return "0"
    return "1" * size + "0" + format(value if value > 0 else value + (1 << size) - 1, f"0{size}b")


def _packed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")


@functools.cache
def _row(columns: int, level: int) -> bytes:
    return _packed(_value(level) + "0" + "0" * (2 * (_BLOCKS * columns - 1)))


@functools.cache
def _head(width_px: int, height_px: int, restart: int) -> bytes:
    components = b"\x01\x22\x00\x02\x11\x00\x03\x11\x00"  # id, sampling, quantization table
    tables = segment(0xDB, b"\x00" + bytes([_DC_STEP]) + bytes([12]) * 63)
    tables += segment(0xC0, struct.pack(">BHHB", 8, height_px, width_px, 3) + components)
    for table, values in ((0x00, _DC_SIZES), (0x10, _AC_SYMBOLS)):
        lengths = b"\x01" * len(values) + b"\x00" * (16 - len(values))
        tables += segment(0xC4, bytes([table]) + lengths + values)
    if restart:
        tables += segment(0xDD, struct.pack(">H", restart))
    return tables + segment(0xDA, b"\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00")
