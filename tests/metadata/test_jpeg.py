"""The walk over the markers: what it finds, what it passes over, and that it ends."""

from __future__ import annotations

import math
import struct

import pytest
from headers import CountedBytes, Header, check, read
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.metadata.jpeg import WINDOW_BYTES, Head, head, is_whole
from camtrail.metadata.read import header
from photos import exif, jpeg, picture, plain, segment

BLOCK = exif({0x010F: (2, "Made")})
EXIF = segment(0xE1, b"Exif\0\0" + BLOCK)
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
XMP = segment(0xE1, XMP_NAME + b'<r exif:GPSLatitude="1,0N" exif:GPSLongitude="2,0E"/>')
EXTENDED_XMP = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b'<r exif:GPSLatitude="9,0N"/>')
JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
PICTURE = b"".join(picture(2, 3, plain))
END = b"\xff\xd9"


def walk(data: bytes) -> Head:
    source = MemoryBytes(data)
    return head(source, source.read_at(0, WINDOW_BYTES))


_others = st.sampled_from(
    [JFIF, EXTENDED_XMP, segment(0xFE, b"a comment"), segment(0xED, b"Photoshop 3.0\0"), segment(0xE2, bytes(65533)),
     segment(0xE1, b""), segment(0xE1, b"Exif"), segment(0xE1, b"http:/"), segment(0xE5, b"\xff\xd9\xff\xc0" * 4),
     segment(0xC4, bytes(20)), segment(0xDD, b"\0\0"), b"\xff\x01", b"\xff\xd0"]
)  # fmt: skip


@given(st.lists(_others, max_size=4), st.lists(_others, max_size=4), st.booleans(), st.integers(0, 40))
def test_segments_are_found_wherever_they_lie(
    before: list[bytes], between: list[bytes], xmp_first: bool, fill: int
) -> None:
    start = b"\xff\xd8" + b"".join(before)
    first, second = (XMP, EXIF) if xmp_first else (EXIF, XMP)
    data = start + b"\xff" * fill + first + b"".join(between) + second + PICTURE + END
    found = walk(data)
    assert data[found.tiff_at : found.tiff_end] == BLOCK
    assert data[found.xmp_at : found.xmp_end] == XMP[4 + len(XMP_NAME) :]
    assert (found.width_px, found.height_px, found.damage) == (16, 24, None)
    assert data[found.picture_at : found.picture_at + 2] == b"\xff\xc0"
    assert (read(data).make, read(data).lat_deg) == ("Made", 1.0)


@given(st.binary(max_size=400))
def test_the_walk_ends_on_any_bytes(rest: bytes) -> None:
    source = CountedBytes(b"\xff\xd8\xff" + rest)
    found = head(source, source.read_at(0, WINDOW_BYTES))
    assert (found.damage is None) == (found.picture_at >= 0)
    assert math.isnan(found.width_px) or found.width_px > 0


@pytest.mark.parametrize("marker", sorted(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}))
def test_every_kind_of_frame_has_a_size(marker: int) -> None:
    frame = segment(marker, struct.pack(">BHHB", 8, 3000, 65535, 1) + b"\1\x11\0")
    found = walk(b"\xff\xd8" + EXIF + frame + END)
    assert (found.width_px, found.height_px) == (65535, 3000)


def test_a_frame_without_height_leaves_it_open() -> None:
    # The height may stand behind the first scan (T.81, B.2.5).
    frame = segment(0xC0, struct.pack(">BHHB", 8, 0, 16, 1) + b"\1\x11\0")
    row = read(
        b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + exif({}, {0xA002: (4, 16), 0xA003: (4, 9)})) + frame + END
    )
    assert (row.width_px, row.height_px, row.note) == (16, 9, None)


@pytest.mark.parametrize(
    ("rest", "damage"),
    [
        (b"\xff", "the file is cut off before its picture: copy it again from the card or a backup"),
        (b"\xff\xe1", "the file is cut off before its picture: copy it again from the card or a backup"),
        (EXIF, "the file is cut off before its picture: copy it again from the card or a backup"),
        (
            EXIF + b"\xff\xc0\0\x11\x08",
            "the file is cut off before its picture: copy it again from the card or a backup",
        ),
        (
            b"\xff\xe1\xff\xff" + bytes(100),
            "the file is cut off before its picture: copy it again from the card or a backup",
        ),
        (EXIF + segment(0xDA, bytes(10)) + bytes(20) + END, "the file has no picture size"),
        (EXIF + END + bytes(20), "the file has no picture size"),
        (b"\xff\xe0\0\1" + bytes(20), "a segment of the file has a wrong length"),
        (b"\xff\xe0\0\0" + bytes(20), "a segment of the file has a wrong length"),
        (b"\xff\xe0\0\4" + bytes(20), "a segment of the file has a wrong length"),
        (b"\xff\x01" * 5000, "the file has more segments than any camera writes"),
        (b"\xff" * 5000, "the file has more segments than any camera writes"),
    ],
)
def test_what_is_wrong_with_the_segments_is_named(rest: bytes, damage: str) -> None:
    found = walk(b"\xff\xd8" + rest)
    assert found.damage == damage and found.picture_at == -1
    note = read((b"\xff\xd8" + rest).ljust(3, b"\xff")).note
    assert note is not None and note.startswith(damage)


def test_a_name_longer_than_its_segment_is_no_name(tmp_path: object) -> None:
    # The text behind the length goes on in the next segment; a count below 0 is never asked for.
    short = b"\xff\xe1\0\x08" + XMP_NAME
    for data in (b"\xff\xd8" + short + PICTURE + END, b"\xff\xd8\xff\xe1\0\x04Exif\0\0" + PICTURE + END):
        source = CountedBytes(data)
        row = check(Header(*header(source)))
        found = walk(data)
        assert (found.tiff_at, found.xmp_at) == (-1, -1)
        assert row.note is not None


def test_a_short_xmp_segment_reads_the_same_from_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("short") / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1\0\x08" + XMP_NAME + PICTURE + END)
    with FileBytes(str(path)) as source:
        assert Header(*header(source)).note is not None


def test_an_exif_segment_of_the_greatest_length_is_read() -> None:
    block = exif(
        {0x010E: (2, "x" * 60_000)}, None, {1: (2, "N"), 2: (5, [1, 0, 0]), 3: (2, "E"), 4: (5, [2, 0, 0])}
    )
    block = block.ljust(65533 - 6, b"\0")
    row = read(jpeg(block))
    assert len(row.description) == 60_000 and row.lat_deg == 1.0


def test_a_file_of_many_segments_costs_a_bounded_number_of_reads() -> None:
    data = b"\xff\xd8" + segment(0xE2, bytes(1100)) * 10_000 + PICTURE + END
    source = CountedBytes(data)
    found = head(source, source.read_at(0, WINDOW_BYTES))
    assert found.damage == "the file has more segments than any camera writes"
    assert len(source.spans) <= 4097 and source.total <= 5 << 20


@pytest.mark.parametrize(
    ("behind", "whole"),
    [
        (END, True), (END + b"\0" * 10, True), (END + b"\0" * 5000, True), (END + b"\r\n", True), (b"", False),
        (b"\0" * 70_000, False), (b"\0" * 100_000 + b"SEFH" + b"\0" * 50 + b"SEFT", True), (b"\xff\xd8 a second picture" + END, True),
        (END + b"\0\0\0\x18ftypmp42" + b"\0" * 3000, True),
    ],
)  # fmt: skip
def test_the_end_of_a_picture(behind: bytes, whole: bool) -> None:
    data = b"\xff\xd8" + EXIF + PICTURE + behind
    assert is_whole(MemoryBytes(data), walk(data).picture_at) is whole
    assert (read(data).note is None) is whole


def test_the_end_costs_16_bytes_of_a_whole_file_and_64_kib_of_another() -> None:
    data = b"\xff\xd8" + EXIF + PICTURE + bytes(200_000)
    for end, most in ((END, 16), (b"", 16 + 65536)):
        source = CountedBytes(data + end)
        is_whole(source, walk(data).picture_at)
        assert source.total <= most
