"""Rows with names, a source that counts what is read of it, and directories that no camera writes."""

from __future__ import annotations

import math
import struct
from collections import namedtuple
from dataclasses import fields

from hypothesis import strategies as st

from camtrail.core.bytes import MemoryBytes
from camtrail.core.model import Photos
from camtrail.metadata.read import header
from photos import segment

NAMES = [field.name for field in fields(Photos)][3:-3]
Header = namedtuple("Header", NAMES)
TEXTS = NAMES[-9:]
"""The columns that hold text or None; the others are numbers."""

WANTED = (
    *range(32), 0x010E, 0x010F, 0x0110, 0x0112, 0x0132, 0x0201, 0x0202, 0x8769, 0x8825, 0x9003, 0x9004, 0x9010,
    0x9011, 0x9012, 0x9290, 0x9291, 0x9292, 0xA002, 0xA003, 0xA431, 0xA434, 0xC62F,
)  # fmt: skip
"""Every tag that is read, and some between."""


class CountedBytes(MemoryBytes):
    """Bytes in memory that remember what was asked of them."""

    __slots__ = ("spans",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.spans: list[tuple[int, int]] = []

    def read_at(self, offset: int, n: int) -> bytes:
        """As a file has it: nothing lies before its begin, and no count is below 0."""
        assert offset >= 0 and n >= 0, (offset, n)
        self.spans.append((offset, n))
        return super().read_at(offset, n)

    @property
    def total(self) -> int:
        """How many bytes were asked for."""
        return sum(n for _, n in self.spans)


def read(data: bytes) -> Header:
    """The row of a file in memory."""
    return check(Header(*header(MemoryBytes(data, "a.jpg"))))


def check(row: Header) -> Header:
    """The row, of which every value is absent or one that there can be."""

    def within(value: float, low: float, high: float) -> bool:
        return math.isnan(value) or (math.isfinite(value) and low <= value <= high)

    for name, value in row._asdict().items():
        if name in TEXTS:
            assert value is None or (
                isinstance(value, str) and value == value.strip() != "" and "\0" not in value
            )
        else:
            assert math.isnan(value) or math.isfinite(value), (name, value)
    days = 86400.0 * 366
    assert within(row.local_s, -171 * days, 132 * days)
    assert within(row.gps_time_s, -171 * days, 132 * days)
    assert within(row.offset_s, -15 * 3600 + 60, 15 * 3600 - 60)
    assert within(row.lat_deg, -90, 90) and within(row.lon_deg, -180, 180)
    assert math.isnan(row.lat_deg) == math.isnan(row.lon_deg) == (row.position_in is None)
    assert (row.lat_deg, row.lon_deg) != (0, 0)
    assert row.position_in in (None, "exif", "xmp")
    assert within(row.alt_m, -100_000, 100_000)
    for angle, north in ((row.heading_deg, row.heading_ref), (row.course_deg, row.course_ref)):
        assert within(angle, 0, 360) and angle != 360
        assert north in (None, "T", "M")
    for value in (row.speed_mps, row.dop, row.error_m):
        assert math.isnan(value) or value >= 0
    assert math.isnan(row.orientation) or row.orientation in range(1, 9)
    for size in (row.width_px, row.height_px):
        assert math.isnan(size) or (size >= 1 and size == int(size))
    return row


_COUNTS = (0, 1, 2, 3, 4, 24, 0xFFFF, 0x10000, 0xFFFFFFFF)


@st.composite
def hostile_tiff(draw: st.DrawFn) -> bytes:
    """A TIFF block whose directories are entered, and whose types, counts and offsets are anything."""
    order = draw(st.sampled_from("<>"))
    places = st.sampled_from(
        (0, 1, 4, 7, 8, 9, 62, 200, 400, 600, 799, 800, 801, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
    )
    block = bytearray(
        draw(st.binary(max_size=64)).ljust(800, draw(st.sampled_from((b"\0", b"\1", b"\xff", b"9"))))
    )
    struct.pack_into(
        f"{order}2sHI", block, 0, b"II" if order == "<" else b"MM", 42, draw(st.just(8) | places)
    )
    for at, link in ((8, 0x8769), (200, 0x8825), (400, 0)):
        tags = draw(st.lists(st.sampled_from(WANTED), max_size=12))
        entries = [(t, draw(st.integers(0, 20)), draw(st.sampled_from(_COUNTS)), draw(places)) for t in tags]
        if at == 8:
            entries += [
                (0x8769, 4, 1, draw(st.just(200) | places)),
                (0x8825, 4, 1, draw(st.just(400) | places)),
            ]
        count = draw(st.just(len(entries)) | st.sampled_from((0, 0xFFFF)))
        struct.pack_into(f"{order}H", block, at, count)
        table = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
        table += struct.pack(f"{order}I", draw(places))
        block[at + 2 : at + 2 + len(table)] = table
    return bytes(block)


def in_jpeg(block: bytes) -> bytes:
    """The shortest JPEG that has this block as its EXIF: no pixels, but a frame of 16 x 8."""
    frame = struct.pack(">BHHB", 8, 8, 16, 1) + b"\1\x11\0"
    return b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + block) + segment(0xC0, frame) + b"\xff\xd9"
