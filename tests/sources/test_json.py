"""Lists of files in JSON, and what only looks like one."""

from __future__ import annotations

import json as stdlib_json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.core.model import Note, Placement
from camtrail.sources import json

NOON = 1577880000.0  # 2020-01-01T12:00:00Z


def _answers(document: Any) -> list[Placement | Note]:
    raw = document if isinstance(document, bytes) else stdlib_json.dumps(document).encode()
    return list(json.read(MemoryBytes(raw, "places.json"), json.JsonOptions()))


def _read(document: Any) -> tuple[list[Placement], dict[str, int]]:
    answers = _answers(document)
    return (
        [a for a in answers if isinstance(a, Placement) and not a.fault],
        {a.reason: a.count for a in answers if isinstance(a, Note)},
    )


numbers = st.floats(-400, 400) | st.integers(-400, 400) | st.sampled_from([0, 10**400, "45.5", "x", "NaN"])
junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(
    ["filename", "file", "MAPLatitude", "MAPLongitude", "MAPAltitude", "MAPCaptureTime", "MAPCompassHeading",
     "lat", "lng", "time", "local_time", "heading", "filetype", "error", "TrueHeading"]
)  # fmt: skip
entries = st.dictionaries(keys, numbers | junk, max_size=9) | junk


@settings(deadline=None)
@given(st.lists(entries, max_size=6))
def test_each_entry_is_a_placement_or_is_counted(drawn: list[Any]) -> None:
    anchor = {"filename": "a.jpg", "lat": 45, "lon": 7}
    placements, notes = _read([anchor, *drawn])
    assert (placements[0].file, placements[0].lat_deg) == ("a.jpg", 45.0)
    kept = ("altitudes", "headings", "times")  # these leave out a value and keep the entry
    left = sum(count for reason, count in notes.items() if not reason.startswith(kept))
    assert len(placements) + left == len(drawn) + 1


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1).filter(str.strip), st.tuples(st.floats(-90, 90), st.floats(1, 180)), max_size=6
    )
)
def test_all_shapes_say_the_same(drawn: dict[str, tuple[float, float]]) -> None:
    expected = [(file, lat, lon) for file, (lat, lon) in drawn.items()]
    shapes = (
        {file: {"lat": lat, "lon": lon} for file, lat, lon in expected},
        [{"filename": file, "MAPLatitude": lat, "MAPLongitude": lon} for file, lat, lon in expected],
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "geometry": {"type": "Point", "coordinates": [lon, lat]},
                    "properties": {"path": file},
                }
                for file, lat, lon in expected
            ],
        },
    )
    for shape in shapes:
        placements, notes = _read(shape)
        assert [(p.file, p.lat_deg, p.lon_deg) for p in placements] == expected and not notes


def test_a_name_that_stands_twice_is_not_lost() -> None:
    placements, notes = _read(b'{"a": {"lat": 1, "lon": 2}, "a": {"lat": 3, "lon": 4}}')
    assert [(p.file, p.lat_deg) for p in placements] == [("a", 1.0), ("a", 3.0)] and not notes


@pytest.mark.parametrize(
    ("key", "value", "time_s", "local_s"),
    [
        ("MAPCaptureTime", "2020_01_01_12_00_00_500", NOON + 0.5, None),
        ("time", "2020-01-01T12:00:00Z", NOON, None),
        ("time", "2020-01-01T12:00:00", None, NOON),
        ("time", NOON, NOON, None),
        ("time", int(NOON * 1000), NOON, None),
        ("time", None, None, None),
    ],
)
def test_times(key: str, value: Any, time_s: float | None, local_s: float | None) -> None:
    (p,), notes = _read([{"filename": "a", "lat": 1, "lon": 2, key: value}])
    assert [None if math.isnan(s) else s for s in (p.time_s, p.local_s)] == [time_s, local_s]
    assert not notes


@pytest.mark.parametrize(
    ("value", "degrees"),
    [
        ({"TrueHeading": 0, "MagneticHeading": 3}, 0.0),
        ({"MagneticHeading": 3}, 3.0),
        (360, 0.0),
        (-90.5, 269.5),
    ],
)
def test_headings(value: Any, degrees: float) -> None:
    (p,), notes = _read([{"filename": "a", "lat": 1, "lon": 2, "MAPCompassHeading": value}])
    assert p.heading_deg == degrees and not notes


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "is empty"),
        ({"locations": [{"latitudeE7": 1, "longitudeE7": 2}]}, "no list of files"),
        ([{"endTime": "x", "timelinePath": []}], "no list of files"),
        ({"semanticSegments": []}, "no list of files"),
        ([1, 2], "no list of files"),
        (b'"lat": 1', "damaged"),
        (b'[{"filename": "a", "lat": 1', "cut off"),
        (b'[{"filename": "a",\n "lat": NaN}]', "line 2"),
        (b'{"lat": ' + b"[" * 100_000, "deep"),
        (b'[{"filename": "\xff", "lat": 1}]', "damaged"),
        ({"lat": 1, "lon": 2}, "no list of files"),
    ],
)
def test_what_is_no_list_of_files_says_so(document: Any, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason) as caught:
        _read(document)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"lat": None}, "files without a position"),
        ({"lat": 1}, "files without a position"),
        ({"lat": "x", "lon": 1}, "files with a position that is no number"),
        ({"lat": 91, "lon": 1}, "files with an impossible position"),
        ({"lat": 0, "lon": 0}, "files with an impossible position"),
        ({"error": {"type": "E", "message": "m"}}, "files that the description lists as failed"),
        ({"error": {"type": "E", "message": "m"}, "lat": 1, "lon": 2}, "files that the description lists as failed"),
    ],
)  # fmt: skip
def test_a_file_without_a_usable_position_says_why(entry: dict[str, Any], fault: str) -> None:
    # The position of the second entry shows that this is a list of positions.
    for document in ([{"filename": "a.jpg", **entry}, {"filename": "b", "lat": 1, "lon": 2}],
                     {"a.jpg": entry, "b": {"lat": 1, "lon": 2}}):  # fmt: skip
        placement, good, note = _answers(document)
        assert isinstance(placement, Placement) and isinstance(good, Placement)
        assert (placement.file, placement.fault, good.fault) == ("a.jpg", fault, "")
        assert math.isnan(placement.lat_deg) and math.isnan(placement.lon_deg)
        assert note == Note(1, fault)


def test_a_key_with_no_object_is_a_file_without_a_position() -> None:
    placement, _, note = _answers({"a.jpg": None, "b.jpg": {"lat": 1, "lon": 2}})
    assert isinstance(placement, Placement)
    assert (placement.file, placement.fault) == ("a.jpg", "entries that are no object")
    assert note == Note(1, "entries that are no object")


@pytest.mark.parametrize("entry", [{"MAPGPSTrack": []}, {"error": {"type": "E", "message": "m"}}])
def test_a_video_is_counted_and_no_photo(entry: dict[str, Any]) -> None:
    (note,) = _answers([{"filename": "v.mp4", "filetype": "video", **entry}])
    assert isinstance(note, Note) and note.count == 1


def test_what_is_no_list_of_files_gives_nothing_before_it_says_so() -> None:
    answers = json.read(
        MemoryBytes(b'{"a": {"path": "x"}, "b": {"path": "y"}}', "package.json"), json.JsonOptions()
    )
    with pytest.raises(UnreadableFile, match="no list of files"):
        next(answers)


TAKEOUT = {
    "title": "IMG_1.jpg", "description": "", "imageViews": "3",
    "photoTakenTime": {"timestamp": "1577880000", "formatted": "Jan 1, 2020, 12:00:00 PM UTC"},
    "geoData": {"latitude": 45.5, "longitude": 7.5, "altitude": 0.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0},
    "geoDataExif": {"latitude": 45.5, "longitude": 7.5, "altitude": 0.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0},
}  # fmt: skip
EXIFTOOL = [{
    "SourceFile": "./a.jpg", "FileName": "a.jpg", "GPSLatitude": 45.5, "GPSLongitude": 7.5,
    "XMP": {"path": "x", "lat": 1}, "File": {"file": "a.jpg"},
}]  # fmt: skip


@pytest.mark.parametrize("document", [TAKEOUT, EXIFTOOL], ids=["takeout", "exiftool"])
def test_another_kind_of_json_is_left_to_others(document: Any) -> None:
    assert not json.accepts(stdlib_json.dumps(document, indent=2).encode()[:4096])
    with pytest.raises(UnreadableFile, match="no list of files"):
        _read(document)


@pytest.mark.parametrize("document", [[], {}, {"type": "FeatureCollection", "features": []}])
def test_an_empty_list_is_a_list(document: Any) -> None:
    assert _read(document) == ([], {})


def test_a_gigabyte_of_something_else_is_not_loaded() -> None:
    class Large(MemoryBytes):
        def read_at(self, offset: int, n: int) -> bytes:
            assert n <= 4096
            return super().read_at(offset, n)

    large = Large(b'{"locations": [' + b'{"latitudeE7": 1},' * 10_000 + b"{}]}", "Records.json")
    with pytest.raises(UnreadableFile, match="no list of files"):
        list(json.read(large, json.JsonOptions()))


def test_with_a_mark_or_in_utf_16() -> None:
    text = '[{"filename": "ü.jpg", "lat": 1, "lon": 2}]'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (p,), _ = _read(text.encode(encoding))
        assert p.file == "ü.jpg"
        assert json.accepts(text.encode(encoding)[:4096])
