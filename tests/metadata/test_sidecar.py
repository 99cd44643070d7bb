"""What a sidecar says is what was given: to a parser of XML, to our own reader and to exiftool."""

from __future__ import annotations

import json
import math
import re
import subprocess
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from camtrail.metadata import xmp
from camtrail.metadata.sidecar import is_ours, sidecar, values_of
from camtrail.metadata.write import Values

EXIF, TIFF = "{http://ns.adobe.com/exif/1.0/}", "{http://ns.adobe.com/tiff/1.0/}"
DC, RDF = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
XML = "{http://www.w3.org/XML/1998/namespace}"
EPOCH = datetime(1970, 1, 1)

FULL = Values(
    lat_deg=-47.1234567,
    lon_deg=8.2,
    alt_m=-12.5,
    time_s=1700000000.25,
    heading_deg=123.4,
    error_m=2.5,
    method="camtrail estimate",
    local_s=1700003600.5,
    offset_s=3600.0,
    make="Make & Söhne",
    model='M<1>"2"',
    orientation=6,
    description='{"MAPLatitude":47.1}\nSüd]]>',
)


def properties(data: bytes) -> dict[str, str]:
    """Every property by its name; raises where the file is not what XMP asks for."""
    root = ElementTree.fromstring(data.decode())
    assert root.tag == "{adobe:ns:meta/}xmpmeta"
    (rdf,) = root
    assert rdf.tag == RDF + "RDF"
    (description,) = rdf
    assert description.tag == RDF + "Description" and description.attrib == {RDF + "about": ""}
    found = {}
    for element in description:
        assert element.tag not in found
        name = element.tag
        if name == DC + "description":
            (alternatives,) = element
            (element,) = alternatives
            assert alternatives.tag == RDF + "Alt" and element.tag == RDF + "li"
            assert element.attrib == {XML + "lang": "x-default"}
        assert len(element) == 0
        found[name] = element.text or ""
    return found


def seconds(text: str) -> tuple[float, str]:
    """The clock's reading and the zone behind it."""
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)(Z|[+-]\d\d:\d\d|)", text)
    assert m is not None, text
    return (datetime.fromisoformat(m[1]) - EPOCH) / timedelta(seconds=1), m[2]


def test_the_whole_of_it() -> None:
    assert sidecar(FULL).decode() == (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="camtrail">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about=""\n'
        '    xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        '    xmlns:exif="http://ns.adobe.com/exif/1.0/"\n'
        '    xmlns:tiff="http://ns.adobe.com/tiff/1.0/">\n'
        "   <tiff:Make>Make &amp; Söhne</tiff:Make>\n"
        "   <tiff:Model>M&lt;1&gt;&quot;2&quot;</tiff:Model>\n"
        "   <tiff:Orientation>6</tiff:Orientation>\n"
        "   <exif:DateTimeOriginal>2023-11-14T23:13:20.5+01:00</exif:DateTimeOriginal>\n"
        "   <exif:GPSVersionID>2.3.0.0</exif:GPSVersionID>\n"
        "   <exif:GPSMapDatum>WGS-84</exif:GPSMapDatum>\n"
        "   <exif:GPSLatitude>47,07.40740200S</exif:GPSLatitude>\n"
        "   <exif:GPSLongitude>8,12.00000000E</exif:GPSLongitude>\n"
        "   <exif:GPSProcessingMethod>camtrail estimate</exif:GPSProcessingMethod>\n"
        "   <exif:GPSAltitude>25/2</exif:GPSAltitude>\n"
        "   <exif:GPSAltitudeRef>1</exif:GPSAltitudeRef>\n"
        "   <exif:GPSImgDirection>617/5</exif:GPSImgDirection>\n"
        "   <exif:GPSImgDirectionRef>T</exif:GPSImgDirectionRef>\n"
        "   <exif:GPSHPositioningError>5/2</exif:GPSHPositioningError>\n"
        "   <exif:GPSTimeStamp>2023-11-14T22:13:20.25Z</exif:GPSTimeStamp>\n"
        '   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
        "{&quot;MAPLatitude&quot;:47.1}\nSüd]]&gt;</rdf:li></rdf:Alt></dc:description>\n"
        "  </rdf:Description>\n"
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
    )


def test_nothing_known_is_nothing_said() -> None:
    assert properties(sidecar(Values())) == {}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (Values(lat_deg=1.0), set()),
        (Values(lon_deg=1.0), set()),
        (Values(lat_deg=90.1, lon_deg=0.0), set()),
        (Values(lat_deg=0.0, lon_deg=-180.1), set()),
        (Values(lat_deg=0.0, lon_deg=0.0), {"GPSVersionID", "GPSMapDatum", "GPSLatitude", "GPSLongitude"}),
        (Values(alt_m=0.0), {"GPSAltitude", "GPSAltitudeRef"}),
        (Values(alt_m=1e12), set()),
        (Values(alt_m=-math.inf), set()),
        (Values(heading_deg=0.0), {"GPSImgDirection", "GPSImgDirectionRef"}),
        (Values(heading_deg=math.inf), set()),
        (Values(error_m=0.0), {"GPSHPositioningError"}),
        (Values(error_m=-1.0), set()),
        (Values(time_s=0.0), {"GPSTimeStamp"}),
        (Values(time_s=1e15), set()),
        (Values(time_s=-math.inf), set()),
        (Values(local_s=0.0), {"DateTimeOriginal"}),
        (Values(offset_s=3600.0), set()),
    ],
)
def test_each_property_stands_alone(values: Values, names: set[str]) -> None:
    assert {name.removeprefix(EXIF) for name in properties(sidecar(values))} == names


@pytest.mark.parametrize(
    ("lat", "lon", "texts"),
    [
        (0.0, -0.0, ("0,00.00000000N", "0,00.00000000E")),
        (-1e-13, 1e-13, ("0,00.00000000N", "0,00.00000000E")),
        (-1e-9, 1e-9, ("0,00.00000006S", "0,00.00000006E")),
        # Never 60 minutes.
        (46.99999999999999, -179.99999999999997, ("47,00.00000000N", "180,00.00000000W")),
        (-90.0, 180.0, ("90,00.00000000S", "180,00.00000000E")),
        (12.5, -0.5, ("12,30.00000000N", "0,30.00000000W")),
    ],
)
def test_an_angle(lat: float, lon: float, texts: tuple[str, str]) -> None:
    found = properties(sidecar(Values(lat_deg=lat, lon_deg=lon)))
    assert (found[EXIF + "GPSLatitude"], found[EXIF + "GPSLongitude"]) == texts


@pytest.mark.parametrize(
    ("heading", "text"),
    [(360.0, "0/1"), (359.9999999999, "0/1"), (-90.0, "270/1"), (-1e-20, "0/1"), (0.01, "1/100"), (450.5, "181/2")],
)  # fmt: skip
def test_a_heading_is_below_360(heading: float, text: str) -> None:
    assert properties(sidecar(Values(heading_deg=heading)))[EXIF + "GPSImgDirection"] == text


@pytest.mark.parametrize(("alt", "text", "ref"), [(0.1, "1/10", "0"), (-0.1, "1/10", "1"), (-0.0, "0/1", "0"),
                                                   (-1e-9, "0/1", "0"), (8848.86, "442443/50", "0")])  # fmt: skip
def test_an_altitude_has_its_sign_in_its_reference(alt: float, text: str, ref: str) -> None:
    found = properties(sidecar(Values(alt_m=alt)))
    assert (found[EXIF + "GPSAltitude"], found[EXIF + "GPSAltitudeRef"]) == (text, ref)


@pytest.mark.parametrize(
    ("offset", "zone"),
    [(math.nan, ""), (0.0, "+00:00"), (-0.0, "+00:00"), (3600.0, "+01:00"), (-12600.0, "-03:30"), (20700.0, "+05:45"),
     (-86340.0, "-23:59"), (86400.0, ""), (3601.0, ""), (60.5, ""), (math.inf, "")],
)  # fmt: skip
def test_a_clock_has_its_zone_where_it_is_known(offset: float, zone: str) -> None:
    found = properties(sidecar(Values(local_s=1700000000.0, offset_s=offset)))
    assert found[EXIF + "DateTimeOriginal"] == "2023-11-14T22:13:20" + zone


@pytest.mark.parametrize(
    ("given_s", "text"),
    [(-62135596800.0, "0001-01-01T00:00:00Z"), (1.57, "1970-01-01T00:00:01.57Z"), (-0.5, "1969-12-31T23:59:59.5Z"),
     (0.9999999, "1970-01-01T00:00:01Z"), (10.0, "1970-01-01T00:00:10Z")],
)  # fmt: skip
def test_a_time(given_s: float, text: str) -> None:
    assert properties(sidecar(Values(time_s=given_s)))[EXIF + "GPSTimeStamp"] == text


@pytest.mark.parametrize("orientation", [0, -1, 9, 90])
def test_what_is_no_orientation_is_not_written(orientation: int) -> None:
    assert properties(sidecar(Values(orientation=orientation))) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" a\tb\nc ", " a\tb\nc "),
        ("a\r\nb\r", "a\r\nb\r"),
        ("a\0b\x1bc\ufffe\uffff", "a\ufffdb\ufffdc\ufffd\ufffd"),
        ("a\udcff", "a\\xff"),
        ("\x85\u2028\U0001f600\U0001ffff", "\x85\u2028\U0001f600\U0001ffff"),
        ("&amp;<!--'\"]]>", "&amp;<!--'\"]]>"),
    ],
)
def test_a_text(text: str, expected: str) -> None:
    found = properties(sidecar(Values(make=text, model=text, description=text)))
    assert found == {TIFF + "Make": expected, TIFF + "Model": expected, DC + "description": expected}


@pytest.mark.parametrize(
    "text", ['x exif:GPSLatitude="1,0N"', "exif:GPSLatitude='1,0N'", "<a:GPSLatitude>1</a>"]
)
def test_no_text_is_taken_for_a_property(text: str) -> None:
    found = xmp.position(sidecar(Values(make=text, model=text, description=text)))
    assert all(math.isnan(value) for value in found)


def test_a_mark_tells_ours() -> None:
    data = sidecar(FULL)
    assert is_ours(data) and is_ours(sidecar(Values()))
    assert not is_ours(b"") and not is_ours(data[:40])
    assert not is_ours(data.replace(b'"camtrail"', b'"XMP Core 4.4.0-Exiv2"'))
    assert not is_ours(sidecar(Values(make='x:xmptk="camtrail"')).replace(b'"camtrail"', b'"darktable"', 1))


floats = st.floats() | st.floats(-400, 400)
seconds_of_now = st.floats(-1e9, 4e9) | st.floats()
texts = (
    st.none() | st.text(st.characters(exclude_categories=())) | st.text("<>&\"'\r\n\t\0]-:x= \udcff\ufffe")
)
some_values = st.builds(
    Values,
    lat_deg=st.floats(-90, 90) | floats,
    lon_deg=st.floats(-180, 180) | floats,
    alt_m=st.floats(-500, 9000) | floats,
    time_s=seconds_of_now,
    heading_deg=floats,
    error_m=floats,
    local_s=seconds_of_now,
    offset_s=st.integers(-2000, 2000).map(lambda minutes: minutes * 60.0) | floats,
    make=texts,
    model=texts,
    orientation=st.none() | st.integers(-1, 9),
    description=texts,
)


def is_in(value: float, low: float, high: float) -> bool:
    return low <= value <= high


def as_xml(text: str) -> str:
    """What XML can hold of a text."""
    return "".join(
        f"\\x{ord(c) - 0xDC00:02x}"
        if 0xDC80 <= ord(c) <= 0xDCFF
        else f"\\u{ord(c):04x}"
        if 0xD800 <= ord(c) <= 0xDFFF
        else "\ufffd"
        if c in "\ufffe\uffff" or (ord(c) < 32 and c not in "\t\n\r")
        else c
        for c in text
    )


@given(some_values)
@example(FULL)
@example(Values(time_s=253402300799.99997, local_s=253402300800.0))
def test_everything_given_is_read_again_and_nothing_else(values: Values) -> None:
    data = sidecar(values)
    assert data == sidecar(replace(values))
    found = properties(data)
    told = {name.rpartition("}")[2]: text for name, text in found.items()}

    has_place = is_in(values.lat_deg, -90, 90) and is_in(values.lon_deg, -180, 180)
    assert {"GPSLatitude", "GPSLongitude", "GPSVersionID", "GPSMapDatum"} & set(told) == (
        {"GPSLatitude", "GPSLongitude", "GPSVersionID", "GPSMapDatum"} if has_place else set()
    )
    ours = xmp.position(data)
    if has_place:
        assert ours.lat_deg == pytest.approx(values.lat_deg, abs=2e-10)
        assert ours.lon_deg == pytest.approx(values.lon_deg, abs=2e-10)
    if is_in(values.alt_m, -20000, 20000):
        assert ours.alt_m == pytest.approx(values.alt_m, abs=1e-5)
    assert ("GPSAltitude" in told) == is_in(abs(values.alt_m), 0, 2**31 - 2) == ("GPSAltitudeRef" in told)
    assert ("GPSImgDirection" in told) == math.isfinite(values.heading_deg) == ("GPSImgDirectionRef" in told)
    if "GPSImgDirection" in told:
        assert 0.0 <= ours.heading_deg < 360.0
        off = (ours.heading_deg - values.heading_deg % 360.0) % 360.0
        assert min(off, 360.0 - off) < 1e-5
    assert ("GPSHPositioningError" in told) == is_in(values.error_m, 0, 2**31 - 2)
    for name in {"GPSAltitude", "GPSImgDirection", "GPSHPositioningError"} & set(told):
        over, under = map(int, told[name].split("/"))
        assert 0 <= over < 2**31 and 0 < under < 2**31
    if is_in(values.error_m, 0, 20000):
        assert over_under(told["GPSHPositioningError"]) == pytest.approx(values.error_m, abs=1e-5)

    for name, given_s in (("GPSTimeStamp", values.time_s), ("DateTimeOriginal", values.local_s)):
        assert (name in told) == (-62135596800 <= given_s < 253402300800)
        if name in told:
            read_s, zone = seconds(told[name])
            assert read_s == pytest.approx(given_s, abs=2e-6, rel=0)
            if name == "GPSTimeStamp":
                assert zone == "Z"
            elif zone:
                sign, hours, minutes = zone[0], int(zone[1:3]), int(zone[4:])
                assert (hours * 3600 + minutes * 60) * (-1 if sign == "-" else 1) == values.offset_s
            else:
                assert not abs(values.offset_s) < 86400 or values.offset_s % 60

    expected = {"Make": values.make, "Model": values.model, "description": values.description}
    expected = {name: as_xml(text) for name, text in expected.items() if text is not None}
    assert {name: text for name, text in told.items() if name in ("Make", "Model", "description")} == expected
    assert told.get("Orientation") == (str(values.orientation) if values.orientation in range(1, 9) else None)


def over_under(text: str) -> float:
    over, under = map(int, text.split("/"))
    return over / under


def test_every_value_has_a_property() -> None:
    """A field that is added to Values comes to this file, too."""
    whole = sidecar(FULL)
    for field in fields(Values):
        assert sidecar(replace(FULL, **{field.name: field.default})) != whole, field.name


def ask(folder: Path, *options: str) -> list[dict[str, Any]]:
    command = ["exiftool", "-j", "-n", "-G1", "-charset", "utf8", *options, "-ext", "xmp", str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    answers = json.loads(done.stdout)
    return sorted(answers, key=lambda answer: answer["SourceFile"])


ORACLE = (
    FULL,
    Values(),
    Values(lat_deg=0.0, lon_deg=-1e-9),
    Values(lat_deg=89.999999999, lon_deg=-179.123456789, alt_m=8848.86),
    Values(lat_deg=-33.8567844, lon_deg=151.2152967, heading_deg=359.99, time_s=1.57, local_s=1e9),
    Values(make="Ünïcödé 日本 😀", model="A&B <C>", description="line\nline 'x' \"y\"", orientation=8),
    Values(local_s=1700000000.123456, offset_s=-12600.0, error_m=0.007, alt_m=-430.5),
)


@pytest.mark.exiftool
def test_exiftool_reads_the_same(tmp_path: Path) -> None:
    for i, values in enumerate(ORACLE):
        (tmp_path / f"{i}.jpg.xmp").write_bytes(sidecar(values))
    answers = ask(tmp_path)
    assert len(answers) == len(ORACLE)
    for told, values in zip(answers, ORACLE):
        found = {name: told[name] for name in told if name.startswith("XMP-") and name != "XMP-x:XMPToolkit"}
        expected: dict[str, Any] = {}
        if values.lat_deg == values.lat_deg:
            expected |= {"XMP-exif:GPSVersionID": "2.3.0.0", "XMP-exif:GPSMapDatum": "WGS-84"}
            expected["XMP-exif:GPSLatitude"] = pytest.approx(values.lat_deg, abs=1e-9)
            expected["XMP-exif:GPSLongitude"] = pytest.approx(values.lon_deg, abs=1e-9)
        if values.alt_m == values.alt_m:
            expected["XMP-exif:GPSAltitude"] = pytest.approx(abs(values.alt_m), abs=1e-5)
            expected["XMP-exif:GPSAltitudeRef"] = int(values.alt_m < 0)
            assert told["Composite:GPSAltitude"] == pytest.approx(values.alt_m, abs=1e-5)
        if values.heading_deg == values.heading_deg:
            expected["XMP-exif:GPSImgDirection"] = pytest.approx(values.heading_deg, abs=1e-5)
            expected["XMP-exif:GPSImgDirectionRef"] = "T"
        if values.error_m == values.error_m:
            expected["XMP-exif:GPSHPositioningError"] = pytest.approx(values.error_m, abs=1e-5)
        for name, given_s, zone in (
            ("GPSDateTime", values.time_s, "Z"),
            (
                "DateTimeOriginal",
                values.local_s,
                {3600.0: "+01:00", -12600.0: "-03:30"}.get(values.offset_s, ""),
            ),
        ):
            if given_s == given_s:
                text = (EPOCH + timedelta(seconds=given_s)).strftime("%Y:%m:%d %H:%M:%S.%f").rstrip("0")
                expected[f"XMP-exif:{name}"] = text.rstrip(".") + zone
        texts_of = {
            "tiff:Make": values.make,
            "tiff:Model": values.model,
            "dc:Description": values.description,
            "exif:GPSProcessingMethod": values.method,
        }
        expected |= {f"XMP-{name}": text for name, text in texts_of.items() if text is not None}
        if values.orientation is not None:
            expected["XMP-tiff:Orientation"] = values.orientation
        assert found == expected
        assert told["XMP-x:XMPToolkit"] == "camtrail"


@pytest.mark.exiftool
def test_exiftool_finds_nothing_wrong(tmp_path: Path) -> None:
    for i, values in enumerate(ORACLE):
        (tmp_path / f"{i}.jpg.xmp").write_bytes(sidecar(values))
    answers = ask(tmp_path, "-validate", "-warning", "-error", "-a")
    assert len(answers) == len(ORACLE)
    for told in answers:
        assert told["ExifTool:Validate"] in ("0 0 0", "OK"), told
        assert "ExifTool:Warning" not in told and "ExifTool:Error" not in told


@pytest.mark.exiftool
def test_what_exiftool_changed_is_not_ours_any_more(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg.xmp"
    file.write_bytes(sidecar(FULL))
    command = ["exiftool", "-q", "-overwrite_original", "-XMP-dc:Creator=Somebody", str(file)]
    subprocess.run(command, check=True, timeout=60)
    assert not is_ours(file.read_bytes())


@given(values=st.builds(
    Values, lat_deg=st.floats(-95, 95) | st.just(math.nan), lon_deg=st.floats(-190, 190) | st.just(math.nan),
    alt_m=st.floats(), time_s=st.floats(-1e11, 3e11) | st.floats(), heading_deg=st.floats(), error_m=st.floats(),
    local_s=st.floats(-1e11, 3e11) | st.floats(), offset_s=st.integers(-900, 900).map(lambda m: 60.0 * m) | st.floats(),
    make=st.none() | st.text(st.characters(exclude_categories=())),
    model=st.none() | st.text("<>&\"'\r\n;#39a]"), orientation=st.none() | st.integers(-1, 9),
    description=st.none() | st.text(st.characters(exclude_categories=())),
))  # fmt: skip
@example(values=FULL)
@example(values=Values())
@example(
    values=Values(make="&amp;#13;&quot;", description="</dc:description>\n   <tiff:Make>x</tiff:Make>\n")
)
def test_what_it_says_is_read_back(values: Values) -> None:
    data = sidecar(values)
    found = values_of(data)
    assert found is not None and sidecar(found) == data
    for name in ("lat_deg", "lon_deg"):
        if "GPSLatitude" in data.decode():
            assert getattr(found, name) == pytest.approx(getattr(values, name), abs=1e-9)


def test_what_is_read_back_is_what_was_given() -> None:
    found = values_of(sidecar(FULL))
    assert found is not None
    assert found == replace(FULL, lat_deg=found.lat_deg, heading_deg=found.heading_deg)
    assert (found.lat_deg, found.heading_deg) == pytest.approx((FULL.lat_deg, FULL.heading_deg))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Make>", b"Make >"),
        (b"</x:xmpmeta>\n", b"</x:xmpmeta>"),
        (b"  </rdf:Description>\n", b"   <dc:rights>me</dc:rights>\n  </rdf:Description>\n"),
        (b"617/5", b"1234/10"),
        (b"47,07", b"47;07"),
        (b"617/5", b"1/0"),
        (b"2023-11-14T22", b"2023-11-99T22"),
        (b"camtrail", b"someone"),
        (b"Orientation>6", b"Orientation>six"),
        ("ö".encode(), b"\xff"),
    ],
)
def test_what_others_changed_is_not_ours(old: bytes, new: bytes) -> None:
    data = sidecar(FULL)
    assert old in data and values_of(data) is not None
    assert values_of(data.replace(old, new)) is None
