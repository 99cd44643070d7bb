"""Small JPEGs with EXIF as cameras write it, for the sample collection and the tests.

Needs nothing but the standard library. The picture is a mosaic: each 8 x 8 block has one colour.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

# Tag -> (type, value); values: text, int, bytes, a Fraction or a sequence of ints or Fractions.
Tags = Mapping[int, tuple[int, Any]]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}


def _packed(order: str, kind: int, value: Any) -> tuple[int, bytes]:
    """(count, bytes) of a value."""
    if kind == 2:
        data = value if isinstance(value, bytes) else value.encode() + b"\0"
        return len(data), data
    if isinstance(value, bytes):
        return len(value) // _SIZES[kind], value
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if kind in (5, 10):
        numbers = []
        for v in values:
            over, under = (
                v if isinstance(v, tuple) else (Fraction(v).limit_denominator(10**6).as_integer_ratio())
            )
            numbers += [over, under]
        return len(values), struct.pack(f"{order}{len(numbers)}{'I' if kind == 5 else 'i'}", *numbers)
    letter = {1: "B", 3: "H", 4: "I", 7: "B", 9: "i"}[kind]
    return len(values), struct.pack(f"{order}{len(values)}{letter}", *values)


def exif(
    first: Tags, exif_tags: Tags | None = None, gps: Tags | None = None, *, order: str = "<", thumbnail: bytes = b"",
    gap: int = 0,
) -> bytes:  # fmt: skip
    """A TIFF block with directories IFD0, Exif, GPS and, with a thumbnail, IFD1.

    `gap` bytes lie before the GPS directory, as behind a large maker note.
    """
    out = bytearray(struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8))

    def directory(tags: Tags, pointers: Mapping[int, int], following: int) -> tuple[bytes, int]:
        """Bytes of a directory that begins at the end of `out`, and where the link to the next one lies."""
        entries = {t: _packed(order, kind, v) + (kind,) for t, (kind, v) in tags.items()}
        for tag, offset in pointers.items():
            entries[tag] = (1, struct.pack(f"{order}I", offset), 4)
        at = len(out) + 6 + 12 * len(entries)
        table, values = bytearray(struct.pack(f"{order}H", len(entries))), bytearray()
        for tag in sorted(entries):
            count, data, kind = entries[tag]
            if len(data) <= 4:
                raw = data.ljust(4, b"\0")
            else:
                raw = struct.pack(f"{order}I", at + len(values))
                values += data + b"\0" * (len(data) % 2)
            table += struct.pack(f"{order}HHI4s", tag, kind, count, raw)
        link = len(out) + len(table)
        return bytes(table + struct.pack(f"{order}I", following) + values), link

    pointers = {}
    if exif_tags is not None:
        pointers[0x8769] = 0
    if gps is not None:
        pointers[0x8825] = 0
    made, link = directory(first, pointers, 0)
    out += made

    def point(tag: int) -> None:
        position = out.find(struct.pack(f"{order}HHI", tag, 4, 1), 8)
        struct.pack_into(f"{order}I", out, position + 8, len(out))

    if exif_tags is not None:
        point(0x8769)
        out += directory(exif_tags, {}, 0)[0]
    out += bytes(gap)
    if gps is not None:
        point(0x8825)
        out += directory(gps, {}, 0)[0]
    if thumbnail:
        struct.pack_into(f"{order}I", out, link, len(out))
        tags: dict[int, tuple[int, Any]] = {0x0103: (3, 6), 0x0201: (4, 0), 0x0202: (4, len(thumbnail))}
        size = len(directory(tags, {}, 0)[0])
        tags[0x0201] = (4, len(out) + size)
        out += directory(tags, {}, 0)[0] + thumbnail
    return bytes(out)


def dms(degrees: float) -> list[Fraction]:
    """Degrees, minutes, seconds of an absolute angle."""
    a = abs(Fraction(degrees).limit_denominator(10**9))
    d = int(a)
    m = int((a - d) * 60)
    return [Fraction(d), Fraction(m), Fraction(round(((a - d) * 60 - m) * 60 * 10**6), 10**6)]


def gps_tags(
    lat_deg: float | None = None, lon_deg: float | None = None, *, alt_m: float | None = None,
    time: datetime | None = None, heading_deg: float | None = None, **more: tuple[int, Any],
) -> dict[int, tuple[int, Any]]:  # fmt: skip
    """A GPS directory; `time` is written in UTC. `t11=(5, Fraction(2))` adds tag 11."""
    tags: dict[int, tuple[int, Any]] = {0: (1, [2, 3, 0, 0])}
    if lat_deg is not None and lon_deg is not None:
        tags[1], tags[2] = (2, "S" if lat_deg < 0 else "N"), (5, dms(lat_deg))
        tags[3], tags[4] = (2, "W" if lon_deg < 0 else "E"), (5, dms(lon_deg))
    if alt_m is not None:
        tags[5], tags[6] = (1, 1 if alt_m < 0 else 0), (5, Fraction(abs(alt_m)).limit_denominator(1000))
    if time is not None:
        utc = time.astimezone(UTC)
        seconds = Fraction(utc.second) + Fraction(utc.microsecond, 10**6)
        tags[7], tags[29] = (5, [utc.hour, utc.minute, seconds]), (2, utc.strftime("%Y:%m:%d"))
    if heading_deg is not None:
        tags[16], tags[17] = (2, "T"), (5, Fraction(heading_deg).limit_denominator(100))
    tags.update({int(name[1:]): value for name, value in more.items()})
    return tags


def segment(marker: int, data: bytes) -> bytes:
    """A JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


# Huffman codes of the DC differences of T.81 table K.3, category -> (bits, length); end of block is '00' in a
# table with that one code.
_DC = (
    (0, 2),
    (2, 3),
    (3, 3),
    (4, 3),
    (5, 3),
    (6, 3),
    (14, 4),
    (30, 5),
    (62, 6),
    (126, 7),
    (254, 8),
    (510, 9),
)
_DC_COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])

Colour = tuple[int, int, int]


def picture(columns: int, rows: int, colour: Callable[[int, int], Colour]) -> list[bytes]:
    """Segments and scan of a mosaic of `columns` x `rows` blocks, without the start and the end mark."""
    bits: list[str] = []
    before = [0, 0, 0]
    for y in range(rows):
        for x in range(columns):
            r, g, b = colour(x, y)
            ycc = (
                0.299 * r + 0.587 * g + 0.114 * b - 128,
                -0.168736 * r - 0.331264 * g + 0.5 * b,
                0.5 * r - 0.418688 * g - 0.081312 * b,
            )
            for i, value in enumerate(ycc):
                level = round(value)  # quantiser 8: the DC coefficient is 8 x the mean
                difference = level - before[i]
                before[i] = level
                size = abs(difference).bit_length()
                code, length = _DC[size]
                bits.append(f"{code:0{length}b}")
                if size:
                    bits.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
                bits.append("0")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = struct.pack(">BHHB", 8, rows * 8, columns * 8, 3) + b"".join(
        bytes([i, 0x11, 0]) for i in (1, 2, 3)
    )
    return [
        segment(0xDB, b"\0" + bytes([8] * 64)),
        segment(0xC0, frame),
        segment(0xC4, b"\x00" + _DC_COUNTS + bytes(range(12))),
        segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
        segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0])) + scan,
    ]


def plain(x: int, y: int) -> Colour:
    """A grey picture."""
    return 128, 128, 128


def jpeg(
    block: bytes = b"", *, xmp: bytes = b"", columns: int = 2, rows: int = 2,
    colour: Callable[[int, int], Colour] = plain, extra: Sequence[bytes] = (),
) -> bytes:  # fmt: skip
    """A JPEG with a TIFF block as its EXIF, an XMP packet, and further segments before the picture."""
    parts = [b"\xff\xd8"]
    if block:
        parts.append(segment(0xE1, b"Exif\0\0" + block))
    if xmp:
        parts.append(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp))
    return b"".join([*parts, *extra, *picture(columns, rows, colour), b"\xff\xd9"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One photo of a made collection; None where the camera wrote nothing."""

    local: str | None = None  # as EXIF has it: 2026:05:09 10:00:00
    subsec: str | None = None
    offset: str | None = None  # +02:00
    lat_deg: float | None = None
    lon_deg: float | None = None
    alt_m: float | None = None
    gps_time: datetime | None = None
    heading_deg: float | None = None
    make: str | None = "Made"
    model: str | None = "Sample One"
    serial: str | None = None
    description: str | None = None
    orientation: int | None = 1
    colour: Callable[[int, int], Colour] = plain
    size: tuple[int, int] = (2, 2)
    order: str = "<"
    thumbnail: bytes = b""
    more_gps: Mapping[str, tuple[int, Any]] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """The JPEG file."""
        first: dict[int, tuple[int, Any]] = {}
        for tag, text in ((0x010E, self.description), (0x010F, self.make), (0x0110, self.model)):
            if text is not None:
                first[tag] = (2, text)
        if self.orientation is not None:
            first[0x0112] = (3, self.orientation)
        tags: dict[int, tuple[int, Any]] = {}
        for tag, text in (
            (0x9003, self.local), (0x9291, self.subsec), (0x9011, self.offset), (0xA431, self.serial)
        ):  # fmt: skip
            if text is not None:
                tags[tag] = (2, text)
        gps = None
        if self.lat_deg is not None or self.gps_time is not None or self.more_gps:
            gps = gps_tags(
                self.lat_deg, self.lon_deg, alt_m=self.alt_m, time=self.gps_time, heading_deg=self.heading_deg,
                **self.more_gps,
            )  # fmt: skip
        block = exif(first, tags or None, gps, order=self.order, thumbnail=self.thumbnail)
        return jpeg(block, columns=self.size[0], rows=self.size[1], colour=self.colour)
