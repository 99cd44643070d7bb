"""The thumbnail's bytes come back as they stand, or not at all."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from headers import CountedBytes, hostile_tiff, in_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.metadata.thumbnail import thumbnail
from photos import exif, jpeg

SMALL = jpeg(columns=3, rows=2)
DATA = Path(__file__).parents[2].parent / "shared" / "data"


@given(st.sampled_from("<>"), st.integers(0, 60_000), st.booleans(), st.integers(1, 30))
def test_a_thumbnail_comes_back(order: str, gap: int, dated: bool, size: int) -> None:
    small = jpeg(columns=size, rows=2)
    tags = {0x9003: (2, "2018:06:08 13:24:10")} if dated else None
    source = CountedBytes(jpeg(exif({0x010F: (2, "Made")}, tags, {}, order=order, gap=gap, thumbnail=small)))
    assert thumbnail(source) == small
    assert source.total <= 16384 + 3 * 4096 + 1024


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"a text", jpeg(), jpeg(b"junk"), jpeg(exif({})), jpeg(exif({}, {}, {}))]
)
def test_there_is_none(data: bytes) -> None:
    assert thumbnail(MemoryBytes(data)) is None


def damaged(tag: int, kind: int, value: bytes) -> bytes:
    """A photo with a thumbnail of which one entry says something else."""
    block = exif({0x010F: (2, "Made")}, thumbnail=SMALL)
    at = block.index(struct.pack("<HHI", tag, 4, 1))
    return jpeg(block[:at] + struct.pack("<HHI4s", tag, kind, 1, value) + block[at + 12 :])


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [
        (0x0201, 4, struct.pack("<I", 0)), (0x0201, 4, struct.pack("<I", 0xFFFFFFFF)), (0x0201, 4, struct.pack("<I", 9)),
        (0x0202, 4, struct.pack("<I", 0)), (0x0202, 4, struct.pack("<I", 4)), (0x0202, 4, struct.pack("<I", 65536)),
        (0x0202, 4, struct.pack("<I", 60_000)), (0x0202, 4, struct.pack("<I", 0xFFFFFFFF)), (0x0202, 2, b"9\0\0\0"),
        (0x0201, 11, struct.pack("<f", float("inf"))), (0x0201, 11, struct.pack("<f", float("nan"))),
        (0x0201, 11, struct.pack("<f", 3e38)), (0x0202, 11, struct.pack("<f", 5.5)), (0x0202, 11, struct.pack("<f", float("-inf"))),
    ],
)  # fmt: skip
def test_a_thumbnail_that_cannot_be_is_none(tag: int, kind: int, value: bytes) -> None:
    assert thumbnail(MemoryBytes(damaged(tag, kind, value))) is None


def test_bytes_that_are_no_picture_are_none() -> None:
    assert thumbnail(MemoryBytes(jpeg(exif({}, thumbnail=b"no picture at all")))) is None


@settings(max_examples=200)
@given(hostile_tiff())
def test_directories_that_no_camera_writes_have_a_thumbnail_or_none(block: bytes) -> None:
    source = CountedBytes(in_jpeg(block))
    found = thumbnail(source)
    assert found is None or found.startswith(b"\xff\xd8\xff")
    assert source.total <= 1 << 20


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_has_a_thumbnail_or_none(at: int, new: bytes) -> None:
    data = jpeg(exif({0x010F: (2, "Made")}, thumbnail=SMALL))
    found = thumbnail(MemoryBytes(data[:at] + new + data[at + len(new) :]))
    assert found is None or found.startswith(b"\xff\xd8\xff")
    assert thumbnail(MemoryBytes(data[:at])) in (None, SMALL)


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is not there"):
        thumbnail(FileBytes(str(tmp_path / "gone.jpg")))


@pytest.mark.data
def test_a_thumbnail_as_large_as_the_block_is_found() -> None:
    with FileBytes(str(DATA / "broken" / "corrupt_exif_large_thumbnail.jpg")) as source:
        found = thumbnail(source)
    assert found is not None and len(found) == 64500
