"""Shapes of EXIF blocks: nine made-up cameras with the tags, orders and sizes of real kinds of camera.

The makes are invented, so that no reader takes the pseudo-random maker notes for a format that it knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from time import gmtime, strftime

from bench import jpeg, tiff
from bench.tiff import Entry, Pointer

__all__ = ["SHAPES", "Fix", "Shape", "photo"]


@dataclass(frozen=True, slots=True)
class Fix:
    """Where and when a photo was taken, before the camera rounds it."""

    time_s: float  # POSIX seconds
    zone_s: int  # of the place
    lat_deg: float
    lon_deg: float
    alt_m: float
    course_deg: float
    speed_mps: float


# Groups of tags that come and go together. Exif:
_APEX = (0x9201, 0x9202, 0x9203, 0x9204, 0x9205)
_SCENE = (0xA300, 0xA301, 0xA401, 0xA402, 0xA403, 0xA404, 0xA406)
_TUNING = (0xA407, 0xA408, 0xA409, 0xA40A, 0xA40C)
_SUBSEC = (0x9290, 0x9291, 0x9292)
_ZONES = (0x9010, 0x9011, 0x9012)
_FOCAL_PLANE = (0xA20E, 0xA20F, 0xA210)
_LENS = (0xA432, 0xA433, 0xA434, 0xA435)
_BASE = (
    0x829A, 0x829D, 0x8822, 0x8827, 0x9000, 0x9003, 0x9004, 0x9101, 0x9207, 0x9208, 0x9209, 0x920A, 0x927C,
    0xA000, 0xA001, 0xA002, 0xA003, 0xA005,
)  # fmt: skip
# GPS:
_PLACE = (0, 1, 2, 3, 4, 5, 6)
_GPS_TIME = (7, 29)
_MOTION = (12, 13, 14, 15)
_LOOK = (16, 17)


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of camera."""

    make: str
    model: str
    prefix: str  # of its file names
    order: str
    width_px: int
    height_px: int
    note_bytes: tuple[int, int]
    ifd0: tuple[int, ...]  # optional tags beside the usual ones
    exif: tuple[int, ...]
    gps: tuple[int, ...]
    gps_last: bool  # the GPS directory lies behind the maker note
    detail: int  # of the thumbnail
    seconds: int = 1  # denominator of the seconds in positions
    fraction: int = 1  # denominator of the seconds in GPS times
    jfif: bool = False
    panorama: bool = False
    clock_error_s: float = 0.0
    often: tuple[int, ...] = field(default=())  # Exif tags that two of three files have


SHAPES = (
    Shape("ROADCAM", "RC-300X", "RDC", "<", 3840, 2160, (4_000, 9_000), (0x010E,),
          _BASE + _SCENE[:5] + (0x9011, 0x9204, 0x9205),
          _PLACE + _GPS_TIME + (9, 10, 11) + _MOTION + (18,), False, 20, 100, clock_error_s=1.2,
          often=(0xA408, 0xA409)),
    Shape("Pomaceous", "Phone 12", "IMG_", ">", 4032, 3024, (1_000, 2_600), (),
          _BASE + _APEX[:4] + _SUBSEC + _ZONES + (0xA402, 0xA403) + _LENS[2:3],
          _PLACE + _GPS_TIME + (12, 13) + _LOOK + (31,), False, 24, 100, often=(0x9214, 0xA460)),
    Shape("Ondori", "CX-90 Mark II", "_MG_", "<", 3872, 2592, (30_000, 50_000), (0x013B, 0x8298),
          _BASE + _APEX[:4] + _SUBSEC + _ZONES + _FOCAL_PLANE + (0xA301, 0xA402, 0xA403, 0xA431) + _LENS[:3],
          _PLACE + _GPS_TIME + (9,), True, 26, 1000, 1000, clock_error_s=0.4,
          often=(0x8830, 0x8832, 0xA404)),
    Shape("OLDCAM CORPORATION", "E-2100", "PICT", ">", 2048, 1536, (1_000, 3_000), (),
          tuple(t for t in _BASE if t not in (0x8822, 0x9208)), (0, 1, 2, 3, 4), False, 10, 100,
          often=(0x9102, 0x9205)),
    Shape("GoCube", "MAX 5", "GS__", "<", 5376, 2688, (10_000, 24_000), (),
          _BASE + _SCENE[:4] + _SUBSEC[1:] + (0x9205, 0xA431),
          _PLACE + _GPS_TIME + (10, 11) + _MOTION[:2], False, 18, 1000, 1000, panorama=True,
          often=(0xA408, 0xA409)),
    Shape("NIPPON KOGAKU WORKS", "DZ-810", "DSC_", ">", 3008, 2000, (36_000, 57_000), (0x013B, 0x8298),
          _BASE + _SCENE + _SUBSEC + _ZONES[:1] + _TUNING[:4] + (0x9102, 0x9204, 0x9205, 0x9286, 0xA405),
          _PLACE + _GPS_TIME + (8, 18), True, 8, 10000, 100, clock_error_s=2.0, often=(0xA40C, 0xA432)),
    Shape("Galactic", "SM-X21", "2024", "<", 3264, 2448, (1_000, 1_800), (),
          _BASE + _APEX[:2] + _ZONES[:2] + _SUBSEC[:2] + (0xA402,), _PLACE + _GPS_TIME, False, 22, 10000,
          often=(0xA405, 0xA406, 0xA420)),
    Shape("DashVision", "DV 900", "EVT", "<", 1920, 1080, (1_000, 1_500), (),
          tuple(t for t in _BASE if t not in (0x8822, 0x9208)), _PLACE + _GPS_TIME + (13,), False, 12, 1000,
          jfif=True, clock_error_s=-1.1, often=(0x9205,)),
    Shape("Lumiere", "X-T9", "DSCL", "<", 2592, 1944, (18_000, 34_000), (0x8298,),
          _BASE + _APEX + _SUBSEC + _ZONES + _SCENE[:4] + _LENS[:1] + _LENS[2:3] + (0xA431,),
          _PLACE + _GPS_TIME + _LOOK, True, 24, 100, 100, often=(0x9286, 0xA406)),
)  # fmt: skip


def photo(
    shape: Shape, fix: Fix, number: int, random: Random, small: bytes, body: bytes | None = None
) -> tuple[bytes, dict[str, int]]:
    """A whole JPEG, and what the summary wants to know: tags, note_bytes, gps_at.

    `gps_at` is the offset of the GPS directory in the file. `small` is the thumbnail, `body` the picture:
    grey bands where it is None.
    """
    note = _note(shape, random)
    tags = {
        "ifd0": _ifd0(shape, fix),
        "exif": _exif(shape, fix, number, random, note),
        "gps": _gps(shape, fix, random),
        "interop": {1: tiff.ascii_("R98"), 2: tiff.undefined(b"0100")},
        "ifd1": _ifd1(shape, small),
    }
    middle = ("exif", "interop", "gps") if shape.gps_last else ("gps", "exif", "interop")
    names = ("ifd0", *middle, "ifd1")
    parts: list[tuple[str, dict[int, Entry] | bytes]] = [(n, tags[n]) for n in names]
    exif, at = tiff.block(shape.order, [*parts, ("small", small)], {"ifd0": "ifd1"})
    head = b"\xff\xd8"
    if shape.jfif:
        head += jpeg.segment(0xE0, b"JFIF\0\x01\x01\x01\0\x48\0\x48\0\0")
    exif_at = len(head) + 10
    head += jpeg.segment(0xE1, b"Exif\0\0" + exif)
    if shape.panorama:
        head += jpeg.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _gpano(shape).encode())
    sky, road = 60 + int(random.random() * 40), -40 - int(random.random() * 50)
    if body is None:
        body = jpeg.picture(shape.width_px, shape.height_px, sky, road, 0.3 + 0.3 * random.random())
    pointers = 3  # to Exif, GPS and Interop: not counted as tags
    facts = {
        "tags": sum(map(len, tags.values())) - pointers,
        "note_bytes": len(note),
        "gps_at": exif_at + at["gps"],
    }
    return head + body, facts


def _note(shape: Shape, random: Random) -> bytes:
    """A maker note: a name, a directory of small values, then bytes that mean nothing."""
    tags = {tag: tiff.short(random.randrange(1 << 16)) for tag in range(1, 13)}
    head = shape.make[:7].encode().ljust(8, b"\0") + tiff.directory(shape.order, tags)
    return head + random.randbytes(random.randrange(*shape.note_bytes) - len(head))


def _stamp(seconds: float) -> str:
    return strftime("%Y:%m:%d %H:%M:%S", gmtime(math.floor(seconds)))


def _ratio(value: float, denominator: int) -> tuple[int, int]:
    return round(value * denominator), denominator


def _ifd0(shape: Shape, fix: Fix) -> dict[int, Entry]:
    local = fix.time_s + fix.zone_s + shape.clock_error_s
    values = {
        0x010F: tiff.ascii_(shape.make),
        0x0110: tiff.ascii_(shape.model),
        0x0112: tiff.short(1),
        0x011A: tiff.rational((72, 1)),
        0x011B: tiff.rational((72, 1)),
        0x0128: tiff.short(2),
        0x0131: tiff.ascii_(f"{shape.model} v1.02"),
        0x0132: tiff.ascii_(_stamp(local)),
        0x0213: tiff.short(2),
        0x8769: tiff.long_(Pointer("exif")),
        0x8825: tiff.long_(Pointer("gps")),
    }
    optional = {
        0x010E: tiff.ascii_(" " * 31),  # what many cameras fill in
        0x013B: tiff.ascii_("A. Photographer"),
        0x8298: tiff.ascii_("(c) A. Photographer"),
    }
    return values | {tag: optional[tag] for tag in shape.ifd0}


def _ifd1(shape: Shape, small: bytes) -> dict[int, Entry]:
    return {
        0x0103: tiff.short(6),
        0x0112: tiff.short(1),
        0x011A: tiff.rational((72, 1)),
        0x011B: tiff.rational((72, 1)),
        0x0128: tiff.short(2),
        0x0201: tiff.long_(Pointer("small")),
        0x0202: tiff.long_(len(small)),
    }


def _exif(shape: Shape, fix: Fix, number: int, random: Random, note: bytes) -> dict[int, Entry]:
    local = fix.time_s + fix.zone_s + shape.clock_error_s
    stamp = tiff.ascii_(_stamp(local))
    part = tiff.ascii_(f"{local % 1:.3f}"[2:5])
    sign = "-" if fix.zone_s < 0 else "+"
    zone = tiff.ascii_(f"{sign}{abs(fix.zone_s) // 3600:02d}:{abs(fix.zone_s) // 60 % 60:02d}")
    speed = random.randrange(30, 2000)  # of the shutter, 1/s
    wide = 2.0 + shape.width_px / 1000
    values = {
        0x829A: tiff.rational((1, speed)),
        0x829D: tiff.rational((28 + random.randrange(30), 10)),
        0x8822: tiff.short(2),
        0x8827: tiff.short(random.randrange(50, 1600)),
        0x8830: tiff.short(2),
        0x8832: tiff.long_(random.randrange(50, 1600)),
        0x9000: tiff.undefined(b"0231"),
        0x9003: stamp,
        0x9004: stamp,
        0x9010: zone,
        0x9011: zone,
        0x9012: zone,
        0x9101: tiff.undefined(b"\1\2\3\0"),
        0x9102: tiff.rational((4, 1)),
        0x9201: tiff.signed(Fraction(round(math.log2(speed) * 1000), 1000)),
        0x9202: tiff.rational(_ratio(2.97, 1000)),
        0x9203: tiff.signed(Fraction(random.randrange(-200, 900), 100)),
        0x9204: tiff.signed(Fraction(random.randrange(-3, 4), 3)),
        0x9205: tiff.rational((297, 100)),
        0x9207: tiff.short(5),
        0x9208: tiff.short(0),
        0x9209: tiff.short(16),
        0x920A: tiff.rational(_ratio(wide, 100)),
        0x9214: tiff.short(shape.width_px // 2, shape.height_px // 2, 900, 700),
        0x927C: tiff.undefined(note),
        0x9286: tiff.undefined(b"ASCII\0\0\0" + b" " * (16 + 16 * (number % 3))),
        0x9290: part,
        0x9291: part,
        0x9292: part,
        0xA000: tiff.undefined(b"0100"),
        0xA001: tiff.short(1),
        0xA002: tiff.long_(shape.width_px),
        0xA003: tiff.long_(shape.height_px),
        0xA005: tiff.long_(Pointer("interop")),
        0xA20E: tiff.rational((shape.width_px * 10, 9)),
        0xA20F: tiff.rational((shape.height_px * 10, 6)),
        0xA210: tiff.short(2),
        0xA217: tiff.short(2),
        0xA300: tiff.undefined(b"\3"),
        0xA301: tiff.undefined(b"\1"),
        0xA401: tiff.short(0),
        0xA402: tiff.short(0),
        0xA403: tiff.short(0),
        0xA404: tiff.rational((1, 1)),
        0xA405: tiff.short(28),
        0xA406: tiff.short(0),
        0xA407: tiff.short(0),
        0xA408: tiff.short(0),
        0xA409: tiff.short(0),
        0xA40A: tiff.short(0),
        0xA40C: tiff.short(0),
        0xA420: tiff.ascii_(random.randbytes(16).hex()),
        0xA430: tiff.ascii_("A. Photographer"),
        0xA431: tiff.ascii_(f"{7_000_000 + shape.width_px:010d}"),
        0xA432: tiff.rational(_ratio(wide, 100), _ratio(wide * 3, 100), (28, 10), (45, 10)),
        0xA433: tiff.ascii_(shape.make),
        0xA434: tiff.ascii_(f"{shape.make.split()[0]} {wide:.1f}-{wide * 3:.1f}mm f/2.8-4.5"),
        0xA435: tiff.ascii_("0000c15bd3"),
        0xA460: tiff.short(2),
    }
    chosen = shape.exif + tuple(tag for tag in shape.often if random.random() < 2 / 3)
    return {tag: values[tag] for tag in chosen}


def _angle(degrees: float, denominator: int) -> Entry:
    """Degrees, minutes, seconds; the seconds in whole `denominator`ths."""
    units = round(abs(degrees) * 3600 * denominator)
    minutes, seconds = divmod(units, 60 * denominator)
    return tiff.rational((minutes // 60, 1), (minutes % 60, 1), (seconds, denominator))


def _gps(shape: Shape, fix: Fix, random: Random) -> dict[int, Entry]:
    units = math.floor(fix.time_s * shape.fraction)
    day = units // shape.fraction % 86400
    second = day % 60 * shape.fraction + units % shape.fraction
    values = {
        0: tiff.byte(2, 3, 0, 0),
        1: tiff.ascii_("N" if fix.lat_deg >= 0 else "S"),
        2: _angle(fix.lat_deg, shape.seconds),
        3: tiff.ascii_("E" if fix.lon_deg >= 0 else "W"),
        4: _angle(fix.lon_deg, shape.seconds),
        5: tiff.byte(int(fix.alt_m < 0)),
        6: tiff.rational(_ratio(abs(fix.alt_m), 100)),
        7: tiff.rational((day // 3600, 1), (day // 60 % 60, 1), (second, shape.fraction)),
        8: tiff.ascii_(f"{random.randrange(6, 15):02d}"),
        9: tiff.ascii_("A"),
        10: tiff.ascii_("3"),
        11: tiff.rational((random.randrange(80, 250), 100)),
        12: tiff.ascii_("K"),
        13: tiff.rational(_ratio(fix.speed_mps * 3.6, 100)),
        14: tiff.ascii_("T"),
        15: tiff.rational(_ratio(fix.course_deg, 100)),
        16: tiff.ascii_("T"),
        17: tiff.rational(_ratio((fix.course_deg + random.random() * 8) % 360, 100)),
        18: tiff.ascii_("WGS-84"),
        27: tiff.undefined(b"ASCII\0\0\0GPS"),
        29: tiff.ascii_(strftime("%Y:%m:%d", gmtime(units // shape.fraction))),
        30: tiff.short(0),
        31: tiff.rational((random.randrange(300, 900), 100)),
    }
    return {tag: values[tag] for tag in shape.gps}


def _gpano(shape: Shape) -> str:
    """The XMP of a full panorama (Google's Photo Sphere metadata)."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:GPano="http://ns.google.com/photos/1.0/panorama/">'
        "<GPano:ProjectionType>equirectangular</GPano:ProjectionType>"
        f"<GPano:FullPanoWidthPixels>{shape.width_px}</GPano:FullPanoWidthPixels>"
        f"<GPano:FullPanoHeightPixels>{shape.height_px}</GPano:FullPanoHeightPixels>"
        f"<GPano:CroppedAreaImageWidthPixels>{shape.width_px}</GPano:CroppedAreaImageWidthPixels>"
        f"<GPano:CroppedAreaImageHeightPixels>{shape.height_px}</GPano:CroppedAreaImageHeightPixels>"
        "<GPano:CroppedAreaLeftPixels>0</GPano:CroppedAreaLeftPixels>"
        "<GPano:CroppedAreaTopPixels>0</GPano:CroppedAreaTopPixels>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>" + " " * 2000 + '<?xpacket end="w"?>'
    )
