"""The values of one photo's header, as a row of the columns of Photos.

This is the hot path of every scan: one open, one read of 16 KiB, and `struct`. A picture of Exif values costs
some 25 µs.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import TypeAlias

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import UnreadableFile
from camtrail.metadata import jpeg, xmp
from camtrail.metadata.tiff import Block, Entries

__all__ = ["EMPTY", "Row", "header"]

Row: TypeAlias = tuple[
    float, float, float, float, float, float, float, float, float, float, float, float, float, float,
    str | None, str | None, str | None, str | None, str | None, str | None, str | None, str | None, str | None,
]  # fmt: skip
"""local_s … height_px, heading_ref … note: the columns of Photos between mtime_ns and fault, in their order."""

_NAN = float("nan")
EMPTY: Row = (_NAN,) * 14 + (None,) * 9
"""The row of a file of which nothing is known."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()

# Tags (Exif 2.32, tables 4 to 15).
_DESCRIPTION, _MAKE, _MODEL, _ORIENTATION, _MODIFIED = 0x010E, 0x010F, 0x0110, 0x0112, 0x0132
_EXIF_AT, _GPS_AT, _DNG_SERIAL = 0x8769, 0x8825, 0xC62F
_ORIGINAL, _DIGITIZED = 0x9003, 0x9004
_OFFSET, _OFFSET_ORIGINAL, _OFFSET_DIGITIZED = 0x9010, 0x9011, 0x9012
_SUBSEC, _SUBSEC_ORIGINAL, _SUBSEC_DIGITIZED = 0x9290, 0x9291, 0x9292
_WIDTH, _HEIGHT, _SERIAL, _LENS = 0xA002, 0xA003, 0xA431, 0xA434
_FIRST = frozenset((_DESCRIPTION, _MAKE, _MODEL, _ORIENTATION, _MODIFIED, _EXIF_AT, _GPS_AT, _DNG_SERIAL))
_EXIF = frozenset(
    (_ORIGINAL, _DIGITIZED, _OFFSET, _OFFSET_ORIGINAL, _OFFSET_DIGITIZED, _SUBSEC, _SUBSEC_ORIGINAL,
     _SUBSEC_DIGITIZED, _WIDTH, _HEIGHT, _SERIAL, _LENS)
)  # fmt: skip
_GPS = frozenset((1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 29, 31))
_ORIENTATIONS = frozenset(range(1, 9))
_LOWEST_M, _HIGHEST_M = -20000.0, 100000.0
_NORTHS = {b"T": "T", b"M": "M", b"t": "T", b"m": "M"}
_MPS_OF = {"K": 1 / 3.6, "M": 1609.344 / 3600, "N": 1852 / 3600}

_KINDS = (  # what a file is, by its first bytes
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF or raw picture"),
    (b"MM\0*", "a TIFF or raw picture"),
    (b"BM", "a BMP picture"),
    (b"%PDF", "a PDF document"),
    (b"PK", "a ZIP archive"),
    (b"<", "a web page or XML"),
)

_DATE = re.compile(
    rb"\s*(\d{4})[:\-/.](\d{1,2})[:\-/.](\d{1,2})[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d+))?)?\s*"
    rb"(Z|[+-]\d{2}:?\d{2})?\s*"
)


@lru_cache(8192)
def _day_s(raw: bytes) -> float:
    """`2018:06:08` -> POSIX seconds of its midnight; NaN where there is no such day."""
    try:
        year, month, day = int(raw[:4]), int(raw[5:7]), int(raw[8:10])
        return (date(year, month, day).toordinal() - _EPOCH_DAY) * 86400.0 if 1800 <= year <= 2100 else _NAN
    except ValueError:
        return _NAN


def _clock(raw: bytes, sub: bytes) -> tuple[float, float]:
    """Reading of a camera clock, and what it is ahead of UTC where the text says so; NaN where absent.

    The usual form, `2018:06:08 13:24:10`, is read by position; others by pattern. A fraction of a second in
    the sub-second tag wins over one in the text. Hour 24 is the next day's 0.
    """
    ahead = _NAN
    if len(raw) == 19 and raw[13] == 58 and raw[16] == 58 and raw[4] in b":-" and raw[10] in b" T":
        day, hour, minute, second = _day_s(raw[:10]), raw[11:13], raw[14:16], raw[17:19]
    else:
        m = _DATE.fullmatch(raw)
        if m is None:
            return _NAN, _NAN
        day = _day_s(b"%04d:%02d:%02d" % (int(m[1]), int(m[2]), int(m[3])))
        hour, minute, second = m[4], m[5], m[6] or b"0"
        sub = sub if sub.strip()[:1].isdigit() else m[7] or b""
        ahead = _ahead(m[8]) if m[8] else _NAN
    try:
        h, mi, s = int(hour), int(minute), int(second)
    except ValueError:
        return _NAN, _NAN
    if not (0 <= h <= 24 and 0 <= mi < 60 and 0 <= s <= 60):
        return _NAN, _NAN
    return day + h * 3600.0 + mi * 60.0 + s + (_fraction(sub) if sub else 0.0), ahead


@lru_cache(1024)
def _fraction(sub: bytes) -> float:
    """`5` -> 0.5, `05` -> 0.05; leading digits count, blanks are none."""
    m = re.match(rb"\d+", sub.strip()[:9])
    return int(m[0]) / 10.0 ** len(m[0]) if m else 0.0


@lru_cache(256)
def _ahead(raw: bytes) -> float:
    """`-07:00` -> -25200 seconds; NaN where it is no offset."""
    text = raw.strip()
    if text in (b"Z", b"UTC"):
        return 0.0
    m = re.fullmatch(rb"([+-])(\d{2}):?(\d{2})", text)
    if m is None or int(m[2]) > 14 or int(m[3]) > 59:
        return _NAN
    seconds = int(m[2]) * 3600.0 + int(m[3]) * 60.0
    return -seconds if m[1] == b"-" else seconds


def _capture_time(block: Block, first: Entries, exif: Entries) -> tuple[float, float, str | None]:
    """Clock reading, what it is ahead of UTC, and what is wrong with the dates."""
    original = block.raw(exif.get(_ORIGINAL))
    modified = block.raw(first.get(_MODIFIED))
    wrong: str | None = None
    for raw, sub, ahead in (
        (original, _SUBSEC_ORIGINAL, _OFFSET_ORIGINAL),
        (b"", _SUBSEC_DIGITIZED, _OFFSET_DIGITIZED),
        (modified, _SUBSEC, _OFFSET),
    ):
        if ahead == _OFFSET_DIGITIZED:
            raw = block.raw(exif.get(_DIGITIZED))
        if not raw:
            continue
        local, own = _clock(raw, block.raw(exif.get(sub)))
        if local != local:
            if wrong is None and any(c in b"0123456789" for c in raw):
                wrong = f"its date {raw.decode('latin-1')!r} is none"
            continue
        offset = _ahead(block.raw(exif.get(ahead)))
        if offset != offset and raw == modified:
            offset = _ahead(
                block.raw(exif.get(_OFFSET))
            )  # phones write one for all dates of an unedited photo
        return local, own if offset != offset else offset, None
    return _NAN, _NAN, wrong


def _gps_time(block: Block, gps: Entries) -> float:
    """POSIX seconds of GPSDateStamp and GPSTimeStamp; NaN where one is missing or no time."""
    day = block.raw(gps.get(29))
    hms = block.three(gps.get(7)) if len(day) >= 10 else None
    if hms is None:
        return _NAN
    h, m, s = hms
    if not (0 <= h <= 24 and 0 <= m < 60 and 0 <= s < 61):
        return _NAN
    start = _day_s(day[:10])
    return start + h * 3600.0 + m * 60.0 + s if start else _NAN  # 1970-01-01: a receiver that knows no date


def _degrees(
    block: Block, gps: Entries, tag: int, positive: bytes, negative: bytes, limit: float
) -> tuple[float, bool]:
    """Signed degrees of a position tag, NaN where there are none, and whether a letter says on which side."""
    dms = block.three(gps.get(tag))
    if dms is None:
        return _NAN, False
    value = dms[0] + dms[1] / 60.0 + dms[2] / 3600.0
    if not 0.0 <= value <= limit:
        return _NAN, False
    letter = block.raw(gps.get(tag - 1)).strip()[:1].upper()
    return (-value, True) if letter == negative else (value, letter == positive)


def _direction(block: Block, gps: Entries, tag: int) -> tuple[float, str | None]:
    """Degrees below 360 and the reference of a direction tag; NaN, None where absent or no angle."""
    value = block.number(gps.get(tag))
    if not -360.0 <= value <= 720.0:
        return _NAN, None
    reference = block.raw(gps.get(tag - 1)).strip()[:1]
    return value % 360.0 % 360.0, _NORTHS.get(reference)  # twice: -1e-20 % 360 is 360


def _altitude(block: Block, gps: Entries) -> float:
    value = block.number(gps.get(6))
    reference = gps.get(5)
    # 1: below sea level, 3: below the ellipsoid (Exif 3.0); some write the digit as text.
    below = reference is not None and reference[2][:1] in (b"\x01", b"\x03", b"1", b"3")
    if not _LOWEST_M < value < _HIGHEST_M:
        return _NAN
    return -abs(value) if below else value


def header(source: ByteSource) -> Row:
    """The values of one JPEG's header, in the order of the columns of Photos.

    NaN and None where absent; what is damaged or nonsense is named in the last field and left out.

    Raises
    ------
    UnreadableFile
        The source cannot be read, is empty, or is no JPEG.
    """
    window = source.read_at(0, jpeg.WINDOW_BYTES)
    if window[:3] != b"\xff\xd8\xff":
        raise _no_jpeg(source, window)
    head = jpeg.head(source, window)
    notes: list[str] = [head.damage] if head.damage else []
    first: Entries = {}
    exif: Entries = {}
    gps: Entries = {}
    if head.tiff_at >= 0:
        block = Block(source, head.tiff_at, head.tiff_end, window)
        first = block.first(_FIRST)
        if at := block.pointer(first.get(_EXIF_AT)):
            exif = block.directory(at, _EXIF, "Exif")
        # The values beside a directory are read before the next one, which may lie far behind.
        local, ahead, wrong_date = _capture_time(block, first, exif)
        lens, serial = block.text(exif.get(_LENS)), block.text(exif.get(_SERIAL))
        make, model = block.text(first.get(_MAKE)), block.text(first.get(_MODEL))
        description = block.text(first.get(_DESCRIPTION))
        orientation = block.number(first.get(_ORIENTATION))
        if serial is None and _DNG_SERIAL in first:
            serial = block.text(first.get(_DNG_SERIAL))
        width, height = head.width_px, head.height_px
        if width != width or height != height:
            width, height = _pixels(block, exif, _WIDTH), _pixels(block, exif, _HEIGHT)
        if at := block.pointer(first.get(_GPS_AT)):
            gps = block.directory(at, _GPS, "GPS")
        lat, lat_is_sure = _degrees(block, gps, 2, b"N", b"S", 90.0)
        lon, lon_is_sure = _degrees(block, gps, 4, b"E", b"W", 180.0)
        gps_time = _gps_time(block, gps)
        alt = _altitude(block, gps)
        heading, heading_ref = _direction(block, gps, 17)
        course, course_ref = _direction(block, gps, 15)
        speed = block.number(gps.get(13))
        if speed == speed:
            speed *= _MPS_OF.get(block.raw(gps.get(12)).decode("latin-1").upper()[:1] or "K", _NAN)
        dop, error = block.number(gps.get(11)), block.number(gps.get(31))
        if wrong_date:
            notes.append(wrong_date)
        if (
            (alt != alt and 6 in gps)
            or (heading != heading and 17 in gps)
            or (course != course and 15 in gps)
        ):
            notes += _nonsense(
                block, gps, (("altitude", 6, alt), ("direction", 17, heading), ("track", 15, course))
            )
        if block.damage:
            notes.append(block.damage)
    else:
        local = ahead = gps_time = lat = lon = alt = heading = course = speed = dop = error = orientation = (
            _NAN
        )
        lat_is_sure = lon_is_sure = False
        heading_ref = course_ref = make = model = lens = serial = description = None
        width, height = head.width_px, head.height_px
    position_in: str | None = "exif"
    if lat != lat or lon != lon or (lat == 0.0 and lon == 0.0):
        if 2 in gps or 4 in gps:
            notes.append(_why_no_position("", lat, lon))
        lat = lon = _NAN
        position_in = None
        if head.xmp_at >= 0:
            found = xmp.position(source.read_at(head.xmp_at, head.xmp_end - head.xmp_at))
            if (
                abs(found.lat_deg) <= 90.0
                and abs(found.lon_deg) <= 180.0
                and (found.lat_deg or found.lon_deg)
            ):
                lat, lon, position_in = found.lat_deg, found.lon_deg, "xmp"
                if alt != alt and _LOWEST_M < found.alt_m < _HIGHEST_M:
                    alt = found.alt_m
                if heading != heading and 0.0 <= found.heading_deg <= 360.0:
                    heading = found.heading_deg % 360.0
            elif found.lat_deg == found.lat_deg or found.lon_deg == found.lon_deg:
                notes.append(_why_no_position("XMP ", found.lat_deg, found.lon_deg))
    elif not (lat_is_sure and lon_is_sure):
        notes.append("its position has no N/S or E/W letter and was taken as north or east there")
    if head.picture_at >= 0 and not jpeg.is_whole(source, head.picture_at):
        notes.append(jpeg.CUT_IN_PICTURE)
    return (
        local, ahead, gps_time, lat, lon, alt, heading, course,
        speed if speed >= 0 else _NAN, dop if dop > 0 else _NAN, error if error >= 0 else _NAN,
        orientation if orientation in _ORIENTATIONS else _NAN, width, height,
        heading_ref, course_ref, position_in, make, model, lens, serial, description,
        "; ".join(notes) if notes else None,
    )  # fmt: skip


def _pixels(block: Block, exif: Entries, tag: int) -> float:
    value = block.number(exif.get(tag))
    return value if value >= 1.0 and value == int(value) else _NAN


def _nonsense(block: Block, gps: Entries, values: tuple[tuple[str, int, float], ...]) -> list[str]:
    """What to say of values that were left out; nothing of 0/0, which is how cameras write "unknown"."""
    numbers = [(name, block.number(gps.get(tag))) for name, tag, value in values if value != value]
    return [f"its {name} of {number:g} is none" for name, number in numbers if number == number]


def _why_no_position(where: str, lat: float, lon: float) -> str:
    if lat == 0.0 and lon == 0.0:
        return f"its {where}position is 0, 0, which cameras write without a fix"
    return f"its {where}position is none (a part is divided by zero, missing or out of range)"


def _no_jpeg(source: ByteSource, window: bytes) -> UnreadableFile:
    if not window:
        return UnreadableFile(source.name, "is empty", "copy it again from the card or a backup")
    kind = next((what for start, what in _KINDS if window.startswith(start)), None)
    if kind is None and window[4:8] == b"ftyp":
        kind = "a HEIC picture or a video"
    if kind is None and window[:4] == b"RIFF" and window[8:12] == b"WEBP":
        kind = "a WebP picture"
    if kind is not None:
        return UnreadableFile(source.name, f"is no JPEG but {kind}", "give it the suffix of what it is")
    return UnreadableFile(
        source.name, "is no JPEG (its first bytes are not one's)", "copy it again from the card or a backup"
    )
