"""Writes TIFF directories the way cameras lay them out."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

__all__ = [
    "Entry",
    "Pointer",
    "ascii_",
    "block",
    "byte",
    "directory",
    "long_",
    "rational",
    "short",
    "signed",
    "undefined",
]


class Pointer(NamedTuple):
    """Stands for the offset of another part."""

    part: str


class Entry(NamedTuple):
    """One tag; `values` are bytes, or numbers to pack with `code`, or a Pointer."""

    kind: int
    n: int  # values
    code: str
    values: bytes | Pointer | tuple[int, ...]


def ascii_(text: str) -> Entry:
    """ASCII with its NUL."""
    return Entry(2, len(text) + 1, "", text.encode("ascii") + b"\0")


def byte(*values: int) -> Entry:
    """BYTE."""
    return Entry(1, len(values), "", bytes(values))


def short(*values: int) -> Entry:
    """SHORT."""
    return Entry(3, len(values), "H", values)


def long_(value: int | Pointer) -> Entry:
    """LONG, or where another part lies."""
    return Entry(4, 1, "I", value if isinstance(value, Pointer) else (value,))


def rational(*values: tuple[int, int]) -> Entry:
    """RATIONAL, as numerator and denominator."""
    return Entry(5, len(values), "I", tuple(n for pair in values for n in pair))


def signed(value: Fraction) -> Entry:
    """SRATIONAL."""
    return Entry(10, 1, "i", (value.numerator, value.denominator))


def undefined(data: bytes) -> Entry:
    """UNDEFINED."""
    return Entry(7, len(data), "", data)


def block(
    order: str,
    parts: Sequence[tuple[str, Mapping[int, Entry] | bytes]],
    following: Mapping[str, str],
) -> tuple[bytes, dict[str, int]]:
    """A TIFF block and the offset of each part.

    Parameters
    ----------
    order : `<` or `>`
    parts : directories and bare bytes with their names, as they shall lie in the file, IFD0 first; the values
        of a directory follow it, in the order of its tags
    following : directory -> the one that its "next" offset names
    """
    at, offset = {}, 8
    for name, part in parts:
        at[name] = offset
        offset += _size(part)
    out = [(b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)]
    for name, part in parts:
        if isinstance(part, bytes):
            out.append(part + b"\0" * (len(part) % 2))
        else:
            out.append(_directory(order, part, at, at[name], at.get(following.get(name, ""), 0)))
    return b"".join(out), at


def directory(order: str, tags: Mapping[int, Entry]) -> bytes:
    """A lone directory whose values all fit into its table."""
    return _directory(order, tags, {}, 0, 0)


def _length(entry: Entry) -> int:
    if isinstance(entry.values, bytes):
        return len(entry.values)
    return 4 if isinstance(entry.values, Pointer) else len(entry.values) * (2 if entry.code == "H" else 4)


def _size(part: Mapping[int, Entry] | bytes) -> int:
    if isinstance(part, bytes):
        return len(part) + len(part) % 2
    values = sum(n + n % 2 for n in map(_length, part.values()) if n > 4)
    return 2 + 12 * len(part) + 4 + values


def _directory(
    order: str, tags: Mapping[int, Entry], at: Mapping[str, int], offset: int, following: int
) -> bytes:
    values_at = offset + 2 + 12 * len(tags) + 4
    table, values = [struct.pack(order + "H", len(tags))], []
    for tag in sorted(tags):
        entry = tags[tag]
        if isinstance(entry.values, bytes):
            data = entry.values
        elif isinstance(entry.values, Pointer):
            data = struct.pack(order + "I", at[entry.values.part])
        else:
            data = struct.pack(f"{order}{len(entry.values)}{entry.code}", *entry.values)
        if len(data) > 4:
            data += b"\0" * (len(data) % 2)
            values.append(data)
            data = struct.pack(order + "I", values_at)
            values_at += len(values[-1])
        table.append(struct.pack(order + "HHI", tag, entry.kind, entry.n) + data.ljust(4, b"\0"))
    table.append(struct.pack(order + "I", following))
    return b"".join(table + values)
