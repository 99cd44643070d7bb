"""The TIFF structure inside EXIF: directories are walked with `struct`, only wanted tags are decoded.

Format: CIPA DC-008 (Exif 2.32) section 4.6, TIFF 6.0 section 2. Every offset and count is checked against the
block before it is used; three directories are read at most, so nothing can loop.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from functools import lru_cache
from math import isfinite
from typing import TypeAlias

from camtrail.core.bytes import ByteSource

__all__ = ["Block", "Entries", "Entry"]

Entry: TypeAlias = tuple[int, int, bytes]
"""Type, count and the four bytes that hold the value or its offset."""

Entries: TypeAlias = dict[int, Entry]

_NAN = float("nan")
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
_HOP_BYTES = 4096


class _Order:
    """The structs of one byte order."""

    __slots__ = ("entry", "formats", "long", "pair", "short", "spair", "three")

    def __init__(self, order: str) -> None:
        self.entry = struct.Struct(order + "HHI4s")
        self.short = struct.Struct(order + "H")
        self.long = struct.Struct(order + "I")
        self.pair = struct.Struct(order + "II")
        self.spair = struct.Struct(order + "ii")
        self.three = struct.Struct(order + "IIIIII")
        self.formats = {
            1: struct.Struct("B"), 3: self.short, 4: self.long, 6: struct.Struct("b"), 7: struct.Struct("B"),
            8: struct.Struct(order + "h"), 9: struct.Struct(order + "i"), 11: struct.Struct(order + "f"),
            12: struct.Struct(order + "d"), 13: self.long,
        }  # fmt: skip


_ORDERS = {b"II*\0": _Order("<"), b"MM\0*": _Order(">")}


def _decoded(raw: bytes) -> str | None:
    text = raw.split(b"\0", 1)[0]
    try:
        out = text.decode()
    except UnicodeDecodeError:
        out = text.decode("latin-1")
    return out.strip() or None


_remembered = lru_cache(8192)(_decoded)
_LONGEST_REMEMBERED = 256  # a caption belongs to one photo and may be 64 KB long


class Block:
    """The TIFF block of one file, of which the first part may already have been read.

    Parameters
    ----------
    source : the whole file
    at, end : where the block lies in it
    window : the file's first bytes
    """

    __slots__ = ("_at", "_base", "_data", "_long", "_order", "_size", "_source", "damage")

    def __init__(self, source: ByteSource, at: int, end: int, window: bytes) -> None:
        self._source = source
        self._at = at
        self._size = end - at
        self._data = window  # the bytes at hand ...
        self._base = -at  # ... and the offset in the block at which they begin
        self.damage: str | None = None
        order = _ORDERS.get(self.piece(0, 4))
        if order is None:
            self.damage = "the EXIF block has no TIFF header"
            order = _ORDERS[b"II*\0"]
            self._size = 0
        self._order = order
        self._long = order.long.unpack

    def piece(self, offset: int, n: int) -> bytes:
        """`n` bytes of the block; fewer, or none, where the block or the file ends."""
        i = offset - self._base
        if i >= 0:
            found = self._data[i : i + n]
            if len(found) == n and offset + n <= self._size:
                return found
        if offset < 0 or n <= 0 or offset >= self._size:
            return b""
        n = min(n, self._size - offset)
        more = max(n, min(_HOP_BYTES, self._size - offset))
        self._data, self._base = self._source.read_at(self._at + offset, more), offset
        return self._data[:n]

    def first(self, wanted: Collection[int]) -> Entries:
        """Wanted entries of the first directory."""
        where = self.piece(4, 4)
        return self.directory(self._order.long.unpack(where)[0], wanted, "first") if len(where) == 4 else {}

    def second(self, wanted: Collection[int]) -> Entries:
        """Wanted entries of the directory behind the first one: the thumbnail's."""
        where = self.piece(4, 4)
        if len(where) < 4:
            return {}
        offset: int = self._long(where)[0]
        head = self.piece(offset, 2)
        if len(head) < 2:
            return {}
        link = self.piece(offset + 2 + 12 * int(self._order.short.unpack(head)[0]), 4)
        following = int(self._long(link)[0]) if len(link) == 4 else 0
        return self.directory(following, wanted, "thumbnail") if following else {}

    def directory(self, offset: int, wanted: Collection[int], name: str) -> Entries:
        """Wanted entries of the directory at an offset; damage is noted and what stands is returned."""
        head = self.piece(offset, 2) if offset >= 8 else b""
        if len(head) < 2:
            self.damage = self.damage or f"the EXIF's {name} directory lies outside of the file"
            return {}
        count: int = self._order.short.unpack(head)[0]
        table = self.piece(offset + 2, 12 * count)
        if len(table) < 12 * count:
            self.damage = self.damage or f"the EXIF's {name} directory is cut off"
            table = table[: len(table) // 12 * 12]
        return {
            tag: (kind, n, raw) for tag, kind, n, raw in self._order.entry.iter_unpack(table) if tag in wanted
        }

    def _value(self, entry: Entry, most: int) -> bytes:
        """The first `most` bytes of a value; empty where it lies outside of the block."""
        kind, count, raw = entry
        size = _SIZES[kind] * count if kind < len(_SIZES) else 0
        if size <= 4:
            return raw[:size]
        offset = self._long(raw)[0]
        i = offset - self._base
        if i >= 0 and offset + size <= self._size:
            found = self._data[i : i + size]
            if len(found) == size:
                return found if size <= most else found[:most]
        elif offset + size > self._size:
            self.damage = self.damage or "an EXIF value lies outside of the block"
        return self.piece(offset, min(size, most))

    def raw(self, entry: Entry | None, most: int = 64) -> bytes:
        """A text's bytes up to its first NUL; empty where absent."""
        if entry is None or entry[0] not in (1, 2, 7):
            return b""
        return self._value(entry, most).split(b"\0", 1)[0]

    def text(self, entry: Entry | None, most: int = 65536) -> str | None:
        """A text without surrounding blanks; None where absent or blank. UTF-8, else Latin-1."""
        if entry is None or entry[0] not in (1, 2, 7):
            return None
        data = self._value(entry, most)
        return _remembered(data) if len(data) <= _LONGEST_REMEMBERED else _decoded(data)

    def number(self, entry: Entry | None) -> float:
        """The first number of a value; NaN where absent, divided by zero or infinite."""
        if entry is None or not entry[1]:
            return _NAN
        kind = entry[0]
        if kind == 5 or kind == 10:
            data = self._value(entry, 8)
            if len(data) < 8:
                return _NAN
            over, under = (self._order.pair if kind == 5 else self._order.spair).unpack(data)
            return over / under if under else _NAN
        form = self._order.formats.get(kind)
        if form is None:
            return _NAN
        data = self._value(entry, form.size)
        value = float(form.unpack(data)[0]) if len(data) == form.size else _NAN
        return value if isfinite(value) else _NAN

    def three(self, entry: Entry | None) -> tuple[float, float, float] | None:
        """Three rationals (degrees, minutes, seconds or hours, minutes, seconds).

        None where absent; NaN for a part that is divided by zero; 0 for a part that is not there.
        """
        if entry is None or entry[0] not in (5, 10) or not entry[1]:
            return None
        data = self._value(entry, 24)
        if len(data) == 24:
            a, b, c, d, e, f = self._order.three.unpack(data)
            if b and d and f:
                return a / b, c / d, e / f
            return a / b if b else _NAN, c / d if d else _NAN, e / f if f else _NAN
        parts = [x / y if y else _NAN for x, y in self._order.pair.iter_unpack(data[: len(data) // 8 * 8])]
        if not parts:
            return None
        return parts[0], parts[1] if len(parts) > 1 else 0.0, 0.0

    def pointer(self, entry: Entry | None) -> int:
        """Where a directory lies; 0 where there is none."""
        if entry is None or entry[0] not in (4, 13) or entry[1] != 1:
            return 0
        return int(self._order.long.unpack(entry[2])[0])
