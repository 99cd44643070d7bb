"""The TIFF block: types, counts and offsets are believed only where they stay inside of it."""

from __future__ import annotations

import math
import struct

import pytest
from headers import WANTED, CountedBytes, hostile_tiff
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.metadata import tiff
from camtrail.metadata.tiff import Block, Entry
from photos import exif

TAG = 0x1234


def block_of(data: bytes, *, at: int = 0, window: int = 16384) -> Block:
    """A block that lies `at` bytes into a file of which `window` bytes are at hand."""
    source = CountedBytes(bytes(at) + data)
    return Block(source, at, at + len(data), source.read_at(0, window))


def entry_of(kind: int, count: int, raw: bytes, order: str = "<", behind: bytes = b"") -> tuple[Block, Entry]:
    """A block with one entry, and values behind its directory, at 26."""
    start = struct.pack(
        f"{order}2sHIHHHI4sI", b"II" if order == "<" else b"MM", 42, 8, 1, TAG, kind, count, raw, 0
    )
    block = block_of(start + behind)
    return block, block.first((TAG,))[TAG]


_FORMS = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}


@given(st.sampled_from(sorted(_FORMS)), st.sampled_from("<>"), st.data())
def test_a_number_of_every_type_comes_back(kind: int, order: str, data: st.DataObject) -> None:
    form = struct.Struct(order + _FORMS[kind])
    raw = data.draw(st.binary(min_size=form.size, max_size=form.size))
    value = form.unpack(raw)[0]
    if form.size <= 4:
        block, entry = entry_of(kind, 1, raw.ljust(4, b"\xee"), order)
    else:
        block, entry = entry_of(kind, 1, struct.pack(f"{order}I", 26), order, raw)
    number = block.number(entry)
    assert number == value if math.isfinite(value) else math.isnan(number)


@given(st.sampled_from((5, 10)), st.sampled_from("<>"), st.binary(min_size=8, max_size=8))
def test_a_rational_is_divided_unless_by_zero(kind: int, order: str, raw: bytes) -> None:
    over, under = struct.unpack(order + ("II" if kind == 5 else "ii"), raw)
    block, entry = entry_of(kind, 1, struct.pack(f"{order}I", 26), order, raw)
    number = block.number(entry)
    assert number == over / under if under else math.isnan(number)


@pytest.mark.parametrize("kind", [0, 2, 14, 15, 16, 20, 255, 65535])
def test_a_type_that_is_no_number_is_none(kind: int) -> None:
    block, entry = entry_of(kind, 1, b"\1\1\1\1")
    assert math.isnan(block.number(entry)) and block.three(entry) is None and block.pointer(entry) == 0


@pytest.mark.parametrize("kind", [0, 3, 4, 5, 12, 20, 65535])
def test_a_type_that_is_no_text_is_none(kind: int) -> None:
    block, entry = entry_of(kind, 4, b"text")
    assert block.text(entry) is None and block.raw(entry) == b""


@pytest.mark.parametrize("count", [0, 0xFFFF, 0x10000, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", range(21))
def test_absurd_counts_are_absent_or_what_there_is(kind: int, count: int) -> None:
    block, entry = entry_of(kind, count, struct.pack("<I", 26), "<", b"12345678" * 3)
    assert len(block.raw(entry)) <= 64
    text = block.text(entry)
    assert text is None or len(text) <= 100
    assert not math.isinf(block.number(entry))
    block.three(entry)
    assert block.pointer(entry) == 0


@pytest.mark.parametrize("offset", [50, 51, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_value_behind_the_block_is_absent_and_named(offset: int) -> None:
    block, entry = entry_of(2, 10, struct.pack("<I", offset), "<", b"x" * 24)
    assert block.text(entry) is None
    assert block.damage == "an EXIF value lies outside of the block"


def test_a_value_that_is_cut_by_the_end_of_the_block_is_what_there_is() -> None:
    block, entry = entry_of(2, 30, struct.pack("<I", 40), "<", b"x" * 24)
    assert block.text(entry) == "x" * 10
    assert block.damage == "an EXIF value lies outside of the block"


def test_three_numbers_of_fewer_rationals() -> None:
    for count, expected in ((3, (1.0, 2.0, 3.0)), (2, (1.0, 2.0, 0.0)), (1, (1.0, 0.0, 0.0))):
        values = struct.pack("<6I", 1, 1, 4, 2, 9, 3)[: 8 * count]
        block, entry = entry_of(5, count, struct.pack("<I", 26), "<", values)
        assert block.three(entry) == expected


@given(st.integers(0, 40_000), st.integers(0, 20_000))
def test_pieces_are_the_bytes_that_lie_there(offset: int, n: int) -> None:
    data = b"II*\0" + bytes(i * 7 % 251 for i in range(29_996))
    block = block_of(data, at=5000)
    block.piece(25_000, 10)  # the bytes at hand are now others
    assert block.piece(offset, n) == data[offset : offset + n]


@given(st.integers(0, 3000))
def test_a_block_that_the_file_cuts_off_gives_what_there_is(n: int) -> None:
    data = exif({0x010F: (2, "Made")}, {0x9003: (2, "2018:06:08 13:24:10")})[:n]
    source = CountedBytes(data)
    block = Block(source, 0, 5000, data)
    first = block.first(WANTED)
    assert block.text(first.get(0x010F)) in (None, "", *("Made"[:i] for i in range(1, 5)))


@settings(max_examples=200)
@given(hostile_tiff(), st.integers(0, 20_000))
def test_no_directory_loops_or_reads_outside_of_the_block(data: bytes, at: int) -> None:
    source = CountedBytes(bytes(at) + data + bytes(1000))
    block = Block(source, at, at + len(data), source.read_at(0, 16384))
    for entries in (block.first(WANTED), block.second(WANTED), block.directory(200, WANTED, "Exif")):
        for entry in entries.values():
            assert len(block.raw(entry)) <= 64
            text = block.text(entry)
            assert text is None or len(text.encode()) <= 2 * len(data)
            assert not math.isinf(block.number(entry))
            block.three(entry)
            assert 0 <= block.pointer(entry) <= 0xFFFFFFFF
    assert all(at <= offset and offset + n <= at + len(data) for offset, n in source.spans[1:])


@pytest.mark.parametrize("start", [b"", b"II", b"II*\0", b"II\0*", b"MM*\0", b"XX*\0\x08\0\0\0"])
def test_a_block_without_a_header_is_empty(start: bytes) -> None:
    block = block_of(start)
    assert block.first(WANTED) == {} and block.second(WANTED) == {}
    assert (block.damage == "the EXIF block has no TIFF header") is (start != b"II*\0")


def test_a_long_caption_is_not_remembered() -> None:
    # Makes and models repeat; captions of a million photos must not pile up.
    for i in range(3):
        block, entry = entry_of(2, 5000, struct.pack("<I", 26), "<", (b"%d" % i) * 5000)
        before = tiff._remembered.cache_info().currsize
        assert block.text(entry) == str(i) * 5000
        assert tiff._remembered.cache_info().currsize == before
