"""The position in an XMP packet, in the forms that programs write."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from camtrail.metadata.xmp import XmpPosition, angle, position


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("0,4.21601S", -4.21601 / 60),
        ("34,22.9161N", 34 + 22.9161 / 60),
        ("34,22,54.9E", 34 + 22 / 60 + 54.9 / 3600),
        ("34,22,54W", -(34 + 22 / 60 + 54 / 3600)),
        ("34,22W", -(34 + 22 / 60)),
        ("12.5", 12.5),
        ("-12.5", -12.5),
        ("+12.5", 12.5),
        ("12.5S", -12.5),
        ("12.5 N", 12.5),
        ("12.5w", -12.5),
        # The letter wins over the sign, which some write in addition.
        ("-12.5S", -12.5),
        ("-12.5N", 12.5),
        ("-8,30.0W", -8.5),
        ("-8,30.0E", 8.5),
        (" 12.5\n", 12.5),
        ("12.", 12.0),
        ("0", 0.0),
    ],
)
def test_an_angle(text: str, degrees: float) -> None:
    assert angle(text) == pytest.approx(degrees, abs=1e-12)


@pytest.mark.parametrize(
    "text", ["", "N", "-", "12,5,5,5N", "12 30N", "12°30'N", "1e3", "nan", "inf", "--1", "12.5X", "0x10", ",30N", "12/1"]
)  # fmt: skip
def test_what_is_no_angle(text: str) -> None:
    assert math.isnan(angle(text))


_degrees = st.floats(0, 180)


@given(_degrees, st.sampled_from("NSEW"), st.sampled_from(("minutes", "seconds", "decimal")))
@example(179.99999999999997, "W", "seconds")
def test_an_angle_comes_back_from_every_form(degrees: float, letter: str, form: str) -> None:
    whole, minutes = int(degrees), (degrees - int(degrees)) * 60
    text = {
        "minutes": f"{whole},{minutes:.9f}",
        "seconds": f"{whole},{int(minutes)},{(minutes - int(minutes)) * 60:.7f}",
        "decimal": f"{degrees:.11f}",
    }[form]
    assert angle(text + letter) == pytest.approx(-degrees if letter in "SW" else degrees, abs=1e-10)


@given(st.text(max_size=64))
def test_any_text_is_a_finite_angle_or_none(text: str) -> None:
    assert math.isnan(angle(text)) or math.isfinite(angle(text))


LAT, LON = -(12 + 30 / 60), 45.25


@pytest.mark.parametrize(
    "packet",
    [
        '<rdf:Description exif:GPSLatitude="12,30.0S" exif:GPSLongitude="45,15.0E"/>',
        "<rdf:Description exif:GPSLatitude='12,30.0S' exif:GPSLongitude='45,15.0E'/>",
        '<rdf:Description exif:GPSLatitude = "12,30.0S"\n  exif:GPSLongitude\n=\n"45,15.0E"/>',
        "<exif:GPSLatitude>12,30.0S</exif:GPSLatitude><exif:GPSLongitude>45,15.0E</exif:GPSLongitude>",
        "<exif:GPSLatitude>\n  12,30.0S\n</exif:GPSLatitude><exif:GPSLongitude>\n 45,15.0E</exif:GPSLongitude>",
        '<rdf:Description my-exif.2:GPSLatitude="12,30.0S" ns1:GPSLongitude="45,15.0E"/>',
        '<rdf:Description exif:GPSLatitude="-12.5" exif:GPSLongitude="45.25"/>',
        '<rdf:Description exif:GPSLatitude="12.5S" exif:GPSLongitude="45.25E"/>',
        '<rdf:Description exif:GPSLatitude="-12.5S" exif:GPSLongitude="-45.25E"/>',
        '<rdf:Description exif:GPSLongitude="45,15,0E" exif:GPSLatitude="12,30,0S"/>',
        '<r exif:GPSLatitude="12,30.0S" exif:GPSLongitude="45,15.0E"/><r exif:GPSLatitude="1,0N" exif:GPSLongitude="1,0E"/>',
        'cut in front GPSLatitude="1,0N" exif:GPSLatitude="12,30.0S" exif:GPSLongitude="45,15.0E" and behind <exif:GPSLat',
    ],
)
def test_a_position_in_the_forms_that_programs_write(packet: str) -> None:
    found = position(packet.encode())
    assert (
        found[:2] == pytest.approx((LAT, LON)) and math.isnan(found.alt_m) and math.isnan(found.heading_deg)
    )


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"<x:xmpmeta/>",
        b'<r GPSLatitude="12,30.0S" GPSLongitude="45,15.0E"/>',
        b'<r exif:GPSDestLatitude="12,30.0S" exif:GPSDestLongitude="45,15.0E"/>',
        b'<r exif:GPSLatitudeRef="S" exif:GPSLongitudeRef="E"/>',
        b'<r exif:GPSLatitude="" exif:GPSLongitude=""/>',
        b"<r exif:GPSLatitude='12,30.0S exif:GPSLongitude",
    ],
)
def test_a_packet_without_a_position(packet: bytes) -> None:
    found = position(packet)
    assert math.isnan(found.lat_deg) and math.isnan(found.lon_deg)


@pytest.mark.parametrize(
    ("attributes", "alt", "heading"),
    [
        ('e:GPSAltitude="75/10" e:GPSAltitudeRef="0" e:GPSImgDirection="1763/10"', 7.5, 176.3),
        ('e:GPSAltitude="75/10" e:GPSAltitudeRef="1"', -7.5, math.nan),
        ('e:GPSAltitudeRef="1" e:GPSAltitude="-7.5"', -7.5, math.nan),
        ('e:GPSAltitude="7.5" e:GPSImgDirection="12.25"', 7.5, 12.25),
        ('e:GPSAltitude="7/0" e:GPSImgDirection="0/0"', math.nan, math.nan),
        ('e:GPSAltitude="inf" e:GPSImgDirection="1e999"', math.nan, math.nan),
        ('e:GPSAltitude="high" e:GPSImgDirection="north"', math.nan, math.nan),
    ],
)
def test_altitude_and_direction(attributes: str, alt: float, heading: float) -> None:
    found = position(f"<r {attributes}/>".encode())
    assert found.alt_m == pytest.approx(alt, nan_ok=True)
    assert found.heading_deg == pytest.approx(heading, nan_ok=True)


_pieces = st.sampled_from(
    [b"exif:GPSLatitude", b"exif:GPSLongitude", b"exif:GPSAltitude", b"exif:GPSImgDirection", b"Ref", b"=", b'"', b"'", b">",
     b"<", b"1e999", b"12,30.0S", b"-", b"nan", b"1/0", b"\xff", b" ", b"\0"]
)  # fmt: skip


@given(st.lists(_pieces | st.binary(max_size=5), max_size=30).map(b"".join))
def test_any_packet_gives_finite_numbers_or_none(packet: bytes) -> None:
    found = position(packet)
    assert isinstance(found, XmpPosition)
    assert all(math.isnan(value) or math.isfinite(value) for value in found)


@pytest.mark.parametrize(
    "packet",
    [b"a" * 65500, b"a:" * 32750, b"a:GPSLatitude" * 5000, b"a:GPSLatitude" + b" " * 65000, b"a:GPSLatitude =" * 4300, b"." * 65500],
    ids=["letters", "prefixes", "names", "blanks", "signs", "dots"],
)  # fmt: skip
def test_the_largest_packet_takes_a_moment(packet: bytes) -> None:
    start = time.process_time()
    position(packet)
    assert time.process_time() - start < 1.0
