"""What every export promises; a new one inherits all of it."""

from __future__ import annotations

import csv
import io
import json
import math
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import camtrail.exports
from camtrail.core.model import OUTCOMES, Item
from camtrail.core.plugins import Export, discover

EXPORTS: dict[str, Export] = discover(camtrail.exports)
Places = list[tuple[float, float]]
NAN = math.nan
BINARY = {".parquet"}

ODD = "\n\r\t\0\x1b[31m\"'<>&;,\\=+-@\u202e\u2028\ufeff\ufffe\uffff\x85\x7f\udcff\udce9\ud800]]>--é日🚲/ {}%$"
names = st.text(st.sampled_from(ODD) | st.characters(), max_size=12)
texts = st.none() | names
numbers = st.floats(allow_nan=True, allow_infinity=True)
seconds = st.just(NAN) | st.floats(-1e9, 5e9) | numbers
lats = st.just(NAN) | st.floats(-90, 90) | st.sampled_from([-90.0, -0.0, 0.0, 1e-9, -1e-8, 90.0])
lons = st.just(NAN) | st.floats(-180, 180) | st.sampled_from([-180.0, -0.0, 179.99999999, 180.0])

items = st.builds(
    Item,
    path=names,
    root=names.map("/".__add__),
    file=names.map("/".__add__),
    time_s=seconds,
    order_s=seconds,
    local_s=seconds,
    time_source=texts,
    lat_deg=lats,
    lon_deg=lons,
    alt_m=numbers,
    position_source=texts,
    heading_deg=st.just(NAN) | st.floats(0, 360, exclude_max=True),
    heading_source=texts,
    heading_ref=st.sampled_from([None, "T", "M"]),
    fix_before_s=numbers,
    fix_after_s=numbers,
    error_m=numbers,
    sequence=st.none() | st.sampled_from(["a", "", "<b>&\0"]) | names,
    sequence_index=st.integers(-1, 5),
    duplicate_of=texts,
    outcome=st.sampled_from(OUTCOMES),
    reason=texts,
    make=texts,
    model=texts,
    serial=texts,
    orientation=numbers,
    width_px=numbers,
    height_px=numbers,
    size_bytes=st.integers(0, 2**40),
    dop=numbers,
    message=texts,
    hint=texts,
)
PLAIN = Item(
    "a.jpg", "/p", "/p/a.jpg", 1.7e9, 1.7e9, 1.7e9, "gps", 47.1, 8.2, 400.0, "exif", 90.0, "exif", "T", NAN, NAN,
    5.0, "s", 0, None, "located", None, "Make", "Model", "1", 1.0, 4000.0, 3000.0, 9, 1.0, None, None,
)  # fmt: skip


def xml_places(
    data: bytes, found: Callable[[str, dict[str, str]], None], text: Callable[[str], None]
) -> None:
    parser = expat.ParserCreate()
    parser.StartElementHandler = found
    parser.CharacterDataHandler = text
    parser.Parse(data, True)


def read_geojson(data: bytes) -> Places:
    features = json.loads(data)["features"]
    points = [f["geometry"]["coordinates"] for f in features if f["geometry"]]
    return [(lat, lon) for lon, lat, *_ in points]


def read_gpx(data: bytes) -> Places:
    places: Places = []

    def found(tag: str, attributes: dict[str, str]) -> None:
        if tag in ("wpt", "trkpt"):
            places.append((float(attributes["lat"]), float(attributes["lon"])))

    xml_places(data, found, lambda text: None)
    return places


def read_kml(data: bytes) -> Places:
    stack: list[str] = []
    points: list[list[str]] = []

    def found(tag: str, attributes: dict[str, str]) -> None:
        stack.append(tag)
        if tag == "Point":
            points.append([])

    def text(chunk: str) -> None:
        if stack[-2:] == ["Point", "coordinates"]:
            points[-1].append(chunk)

    xml_places(data, found, text)
    cells = ["".join(p).split(",") for p in points]
    return [(float(lat), float(lon)) for lon, lat, *_ in cells]


def read_csv(data: bytes) -> Places:
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))
    assert all(None not in row and None not in row.values() for row in rows)
    return [(float(r["lat_deg"]), float(r["lon_deg"])) for r in rows if r["lat_deg"]]


def read_description(data: bytes) -> Places:
    entries = json.loads(data)
    return [(e["MAPLatitude"], e["MAPLongitude"]) for e in entries if "error" not in e]


def read_geoparquet(data: bytes) -> Places:
    from pyarrow import parquet

    places: Places = []
    for wkb in parquet.read_table(io.BytesIO(data)).column("geometry").to_pylist():
        if wkb is not None:
            order, _, lon, lat = struct.unpack("<BIdd", wkb[:21])
            assert order == 1 and len(wkb) in (21, 29)
            places.append((lat, lon))
    return places


READERS: dict[str, Callable[[bytes], Places]] = {
    ".geojson": read_geojson,
    ".gpx": read_gpx,
    ".kml": read_kml,
    ".csv": read_csv,
    ".json": read_description,
    ".parquet": read_geoparquet,
}


def reader(export: Export) -> Callable[[bytes], Places] | None:
    """The format's parser, None for a format that brings its own test."""
    return next((READERS[s] for s in export.suffixes if s in READERS), None)


def is_marked(export: Export, data: bytes) -> bool:
    return export.mark in (data[-(1 << 16) :] if export.is_mark_last else data[:512])


def written(export: Export, of: list[Item], several_roots: bool = False) -> bytes:
    return b"".join(export.write(iter(of), several_roots))


def has_place(item: Item) -> bool:
    return not (math.isnan(item.lat_deg) or math.isnan(item.lon_deg))


def expected(export: Export, of: list[Item]) -> Places:
    """The places that the format keeps: all, or of a description those with a time and a readable name."""
    kept = [i for i in of if has_place(i)]
    if ".json" in export.suffixes:
        kept = [i for i in kept if i.outcome in ("located", "estimated") and dated(i) and readable(i.file)]
    return [(i.lat_deg, i.lon_deg) for i in kept]


def dated(item: Item) -> bool:
    time_s = item.time_s if math.isnan(item.order_s) else item.order_s
    return -62135596800 <= time_s < 253402300799


def readable(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)


def written_as(place: tuple[float, float]) -> tuple[float, float]:
    """To 7 decimals; 180° is both east and west."""
    lat, lon = (round(degrees, 7) for degrees in place)
    return lat, -180.0 if lon == 180.0 else lon


def all_kept(found: Places, wanted: Places) -> bool:
    """Whether both hold the same places, in any order (tracks are sorted by time)."""
    return Counter(map(written_as, found)) == Counter(map(written_as, wanted))


each_export = pytest.mark.parametrize("export", EXPORTS.values(), ids=lambda e: e.name)


def test_the_documented_formats_are_there() -> None:
    suffixes = {s for e in EXPORTS.values() for s in e.suffixes}
    assert suffixes >= {".geojson", ".gpx", ".kml", ".csv", ".json", ".parquet"}
    assert sum(len(e.suffixes) for e in EXPORTS.values()) == len(suffixes), "two formats share a suffix"


@each_export
def test_describes_itself(export: Export) -> None:
    assert export.name and export.about and export.mark
    assert all(s == s.lower() and s.startswith(".") for s in export.suffixes)


@each_export
@pytest.mark.parametrize("several_roots", [False, True])
def test_nothing_is_a_valid_file(export: Export, several_roots: bool) -> None:
    data = written(export, [], several_roots)
    assert is_marked(export, data)
    read = reader(export)
    assert read is None or read(data) == []


@each_export
@settings(max_examples=150, deadline=None)
@given(of=st.lists(items, max_size=6), several_roots=st.booleans())
@example([PLAIN, PLAIN._replace(path="b.jpg", lon_deg=180.0, sequence=None)], True)
@example([PLAIN._replace(lat_deg=0.0), PLAIN._replace(lat_deg=1.2e-7, sequence=None)], False)
@example([PLAIN._replace(path="\udcff\n<&>\"'\ufffe", file="/\udcff")], False)
def test_any_items(export: Export, of: list[Item], several_roots: bool) -> None:
    data = written(export, of, several_roots)
    assert is_marked(export, data)
    assert data == written(export, of, several_roots)
    read = reader(export)
    if read is not None:
        if not export.suffixes & BINARY:
            data.decode()
        assert all_kept(read(data), expected(export, of))


@each_export
def test_streams(export: Export) -> None:
    """The first bytes come before the items are asked for."""

    def never() -> Any:
        raise AssertionError("asked for an item")
        yield

    assert next(export.write(never(), False))
