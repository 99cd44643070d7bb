"""Values agree with exiftool's, on made photos of both byte orders and on real ones."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from headers import Header, read

from photos import exif, gps_tags, jpeg

pytestmark = pytest.mark.exiftool

DATA = Path(__file__).parents[2].parent / "shared" / "data"
EPOCH = datetime(1970, 1, 1)


def ask(paths: Sequence[Path]) -> list[dict[str, str]]:
    """What exiftool says of each file; every value as its text."""
    command = ["exiftool", "-j", "-n", "-G1", "-charset", "utf8", "--", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    answers = json.loads(done.stdout, parse_float=str, parse_int=str)
    assert [Path(answer["SourceFile"]) for answer in answers] == list(paths)
    return answers


def instant(text: str) -> float:
    """`2018:06:08 13:24:10.5Z` -> seconds as if it were UTC."""
    m = re.fullmatch(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)(\.\d+)?Z?", text)
    assert m is not None, text
    when = datetime(*(int(part) for part in m.groups()[:6]))
    return (when - EPOCH).total_seconds() + float(m[7] or 0)


def expected(told: dict[str, str]) -> dict[str, Any]:
    """exiftool's answer in our columns."""

    def number(*names: str) -> float:
        return next((float(told[name]) for name in names if name in told), math.nan)

    def word(*names: str) -> str | None:
        return next((told[name].strip() for name in names if name in told), "") or None

    local = offset = math.nan
    for date, sub, ahead in (
        ("ExifIFD:DateTimeOriginal", "ExifIFD:SubSecTimeOriginal", "ExifIFD:OffsetTimeOriginal"),
        ("ExifIFD:CreateDate", "ExifIFD:SubSecTimeDigitized", "ExifIFD:OffsetTimeDigitized"),
        ("IFD0:ModifyDate", "ExifIFD:SubSecTime", "ExifIFD:OffsetTime"),
    ):
        if date in told:
            local = instant(told[date]) + (float(f"0.{told[sub]}") if sub in told else 0.0)
            written = told.get(ahead)
            if written is None and told[date] == told.get("IFD0:ModifyDate"):
                written = told.get("ExifIFD:OffsetTime")
            if written is not None:
                sign = -1 if written[0] == "-" else 1
                offset = sign * (int(written[1:3]) * 3600.0 + int(written[4:6]) * 60)
            break
    alt = number("GPS:GPSAltitude", "XMP-exif:GPSAltitude")
    below = word("GPS:GPSAltitudeRef", "XMP-exif:GPSAltitudeRef") == "1"
    unit = {None: 3.6, "K": 3.6, "M": 3600 / 1609.344, "N": 3600 / 1852}[word("GPS:GPSSpeedRef")]
    return {
        "local_s": local,
        "offset_s": offset,
        "gps_time_s": instant(told["Composite:GPSDateTime"]) if "Composite:GPSDateTime" in told else math.nan,
        "lat_deg": number("Composite:GPSLatitude", "XMP-exif:GPSLatitude"),
        "lon_deg": number("Composite:GPSLongitude", "XMP-exif:GPSLongitude"),
        "alt_m": -alt if below else alt,
        "heading_deg": number("GPS:GPSImgDirection", "XMP-exif:GPSImgDirection"),
        "heading_ref": word("GPS:GPSImgDirectionRef"),
        "course_deg": number("GPS:GPSTrack"),
        "course_ref": word("GPS:GPSTrackRef"),
        "speed_mps": number("GPS:GPSSpeed") / unit,
        "dop": number("GPS:GPSDOP"),
        "error_m": number("GPS:GPSHPositioningError"),
        "orientation": number("IFD0:Orientation"),
        "width_px": number("File:ImageWidth"),
        "height_px": number("File:ImageHeight"),
        "make": word("IFD0:Make"),
        "model": word("IFD0:Model"),
        "lens": word("ExifIFD:LensModel"),
        "serial": word("ExifIFD:SerialNumber"),
        "description": word("IFD0:ImageDescription"),
    }


def differences(row: Header, told: dict[str, str]) -> list[str]:
    found = []
    for name, theirs in expected(told).items():
        ours = getattr(row, name)
        if isinstance(theirs, float):
            agree = (math.isnan(ours) and math.isnan(theirs)) or abs(ours - theirs) <= 1e-6
        else:
            agree = ours == theirs
        if not agree:
            found.append(f"{name}: {ours!r}, exiftool says {theirs!r}")
    return found


def _made(seed: int) -> bytes:
    """A photo with some of the tags, each value drawn."""
    draw = random.Random(seed)
    order, gap = "<>"[seed % 2], draw.choice((0, 100, 17_000, 55_000))
    when = datetime(2000, 1, 1) + timedelta(seconds=draw.randrange(10**9))
    dates = {0x9003: 0x9291, 0x9004: 0x9292, 0x0132: 0x9290}
    first: dict[int, tuple[int, Any]] = {}
    rest: dict[int, tuple[int, Any]] = {0xA434: (2, draw.choice(("24-70mm F2.8", "Objectif é", " padded  ")))}
    for date, sub in dates.items():
        if draw.random() < 0.6:
            (first if date == 0x0132 else rest)[date] = (2, when.strftime("%Y:%m:%d %H:%M:%S"))
        if draw.random() < 0.5:
            rest[sub] = (2, f"{draw.randrange(1000):0{draw.choice((3, 6))}d}")
        when += timedelta(seconds=draw.choice((0, 7)))
    for tag in (0x9010, 0x9011, 0x9012):
        if draw.random() < 0.5:
            rest[tag] = (2, f"{draw.choice('+-')}{draw.randrange(13):02d}:{draw.choice((0, 30, 45)):02d}")
    for tag, words in ((0x010F, "Made"), (0x0110, "Model Ü 1"), (0x010E, "a caption\nof two lines")):
        if draw.random() < 0.8:
            first[tag] = (2, words.encode() + b"\0" * draw.choice((1, 8)))
    if draw.random() < 0.8:
        first[0x0112] = (3, draw.randint(1, 8))
    if draw.random() < 0.5:
        rest[0xA431] = (2, f"SN-{draw.randrange(10**6)}")
    gps = gps_tags(
        draw.uniform(-90, 90), draw.uniform(-180, 180), alt_m=draw.choice((None, draw.uniform(-400, 8000))),
        time=draw.choice((None, when.replace(tzinfo=UTC, microsecond=draw.choice((0, 250_000))))),
        heading_deg=draw.choice((None, draw.uniform(0, 359))),
    )  # fmt: skip
    if draw.random() < 0.5:
        gps[12], gps[13] = (2, draw.choice("KMN")), (5, Fraction(draw.randrange(5000), 37))
    for tag, most in ((11, 50), (31, 900), (15, 359)):
        if draw.random() < 0.5:
            gps[tag] = (5, Fraction(draw.randrange(100, most * 100), 100))
    if 15 in gps:
        gps[14] = (2, draw.choice("TM"))
    thumbnail = jpeg() if draw.random() < 0.3 else b""
    block = exif(first, rest, gps, order=order, gap=gap, thumbnail=thumbnail)
    return jpeg(block, columns=draw.randint(1, 4), rows=draw.randint(1, 4))


def _agree(paths: Sequence[Path]) -> None:
    found = {
        path.name: wrong
        for path, told in zip(paths, ask(paths), strict=True)
        if (wrong := differences(read(path.read_bytes()), told))
    }
    assert found == {}


def test_made_photos(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed:03d}.jpg" for seed in range(120)]
    for seed, path in enumerate(paths):
        path.write_bytes(_made(seed))
    _agree(paths)


def test_positions_in_xmp(tmp_path: Path) -> None:
    start = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    start += b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:EX="http://ns.adobe.com/exif/1.0/" '
    end = b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    forms = (
        b'EX:GPSLatitude="12,30.25S" EX:GPSLongitude="45,15.5E" EX:GPSAltitude="75/10" EX:GPSAltitudeRef="1"/>',
        b'EX:GPSLatitude="12,30,15N" EX:GPSLongitude="45,15,54W" EX:GPSImgDirection="1763/10"/>',
        b'EX:GPSLatitude="-12.5" EX:GPSLongitude="45.25"/>',
        b"><EX:GPSLatitude>0,4.21601S</EX:GPSLatitude><EX:GPSLongitude>34,22.9161E</EX:GPSLongitude></rdf:Description>",
    )
    paths = []
    for i, prefix in enumerate((b"exif", b"other")):
        for j, form in enumerate(forms):
            packet = (
                (start + form + end).replace(b"EX:", prefix + b":").replace(b":EX=", b":" + prefix + b"=")
            )
            paths.append(tmp_path / f"{i}{j}.jpg")
            paths[-1].write_bytes(jpeg(xmp=packet))
    _agree(paths)
    assert all(read(path.read_bytes()).position_in == "xmp" for path in paths)


@pytest.mark.data
def test_real_photos() -> None:
    paths = sorted([*DATA.glob("photos/*/*.[jJ]*"), *DATA.glob("broken/*.jpg")])
    assert len(paths) >= 10
    _agree(paths)
