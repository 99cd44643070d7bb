"""What is known goes into the files: only that, only once, and no byte more."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
import shutil
import sqlite3
import subprocess
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.app.context import Context
from camtrail.app.feeds import SourceOptions
from camtrail.app.process import ProcessOptions, Result, known, process
from camtrail.app.scan import ScanOptions
from camtrail.app.undo import UndoOptions, undo
from camtrail.app.write import Written, run
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import InputError, UsageError
from camtrail.core.model import Photos
from camtrail.metadata.read import header
from camtrail.steps.clock import TimeOptions
from camtrail.steps.direction import DirectionOptions
from camtrail.steps.duplicates import DuplicateOptions
from camtrail.steps.interpolate import JoinOptions

from .conftest import gpx, items

T = datetime(2026, 5, 9, 8, 0, 0, tzinfo=UTC)
LAT, LON = 47.37, 8.54  # Zurich: two hours ahead of UTC in May
REAL_PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos"
NAMES = [f.name for f in dataclasses.fields(Photos)][3:-3]
Header = namedtuple("Header", NAMES)
SIX = ("a.jpg", "b.jpg", "c.jpg", "day 2/d.jpg", "day 2/e.jpg", "day 2/f.jpg")


def local(seconds: float) -> str:
    """The reading of a clock in Zurich."""
    return (T + timedelta(hours=2, seconds=seconds)).strftime("%Y:%m:%d %H:%M:%S")


def track(path: Path) -> Path:
    """Fixes every 10 s for two minutes, on a bent way."""
    fixes = [
        (
            (T + timedelta(seconds=10 * k)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            LAT + 1e-4 * k + 3e-6 * k * k,
            LON + 7.7e-5 * k,
        )
        for k in range(13)
    ]
    path.write_text(gpx(*fixes))
    return path


def table(path: Path) -> Path:
    """A place and a heading for each photo."""
    rows = [f"{name},{LAT + k / 999},{LON + k / 777},{k * 37.123}\n" for k, name in enumerate(SIX)]
    path.write_text("filename,lat,lon,heading\n" + "".join(rows))
    return path


def asked(**parts: Any) -> tuple[ProcessOptions, WriteOptions, ImportMetaOptions]:
    """Options by the names of their fields, wherever they belong."""
    groups = {
        "sources": SourceOptions, "time": TimeOptions, "join": JoinOptions, "turn": DirectionOptions,
        "repeat": DuplicateOptions, "scan": ScanOptions,
    }  # fmt: skip
    made: dict[str, Any] = {}
    for name, cls in groups.items():
        own = {k: parts.pop(k) for k in [f.name for f in dataclasses.fields(cls)] if k in parts}
        made[name] = cls(**own)
    to = {k: parts.pop(k) for k in [f.name for f in dataclasses.fields(WriteOptions)] if k in parts}
    return ProcessOptions(**made), WriteOptions(**{"write": "exif", **to}), ImportMetaOptions(**parts)


def written(*paths: Path | str, context: Context | None = None, **parts: Any) -> tuple[Result, Written]:
    """`process PATHS --write …`."""
    options, to, meta = asked(**parts)
    return run(process, [str(p) for p in paths], options, to, meta, context or Context())


def write_verb(*paths: Path | str, **parts: Any) -> tuple[Result, Written]:
    """`write PATHS …`."""
    options, to, meta = asked(**parts)
    job = functools.partial(known, "write")
    return run(job, [str(p) for p in paths], options, to, meta, Context(), fresh=False)


def taken_back(*paths: Path | str, **options: Any):
    return undo([str(p) for p in paths], ScanOptions(), UndoOptions(**options), Context())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below, but the state."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".camtrail" not in p.parts
    }


def row(path: Path) -> Header:
    return Header(*header(MemoryBytes(path.read_bytes(), str(path))))


def changed(before: Header, after: Header) -> set[str]:
    """Names of the values that differ."""
    pairs = zip(NAMES, before, after)
    return {n for n, a, b in pairs if a != b and not (isinstance(a, float) and math.isnan(a) and b != b)}


def instant(seconds: float = 0.0) -> float:
    return T.timestamp() + seconds


@pytest.fixture
def ride(put, root, tmp_path):
    """Six photos of two cameras: two in one second, one with a place, one with a place and a GPS time."""
    put("a.jpg", local=local(3), make="Canon", model="R5", serial="1")
    put("b.jpg", local=local(13), make="Canon", model="R5", serial="1")
    put("c.jpg", local=local(13), make="Canon", model="R5", serial="1", alt_m=None)
    put("day 2/d.jpg", local=local(37), make="Sony", model="A7", serial="2", lat_deg=LAT, lon_deg=LON)
    put("day 2/e.jpg", local=local(61), make="Sony", model="A7", serial="2", offset="+02:00")
    put("day 2/f.jpg", local=local(47), make="Sony", model="A7", serial="2",
        lat_deg=LAT + 1e-3, lon_deg=LON, gps_time=T + timedelta(seconds=50), heading_deg=12.0)  # fmt: skip
    return root


class TestWhatIsWritten:
    def test_a_photo_that_knows_its_place_gets_the_time_and_nothing_else(self, put, root):
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON, alt_m=400.0, heading_deg=12.0)
        before = row(path)
        _, done = written(root)
        assert (done.counts, done.changes) == ({"written": 1}, [(str(path), "gps-time")])
        assert changed(before, row(path)) == {"gps_time_s"}
        assert row(path).gps_time_s == instant()

    def test_a_photo_that_knows_everything_is_not_touched(self, put, root):
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON, gps_time=T)
        before = path.stat()
        assert written(root)[1].counts == {"unchanged": 1}
        assert path.stat() == before

    def test_a_track_gives_place_and_time_and_no_direction(self, put, root, tmp_path):
        path = put("a.jpg", local=local(15))
        before = row(path)
        written(root, track(tmp_path / "t.gpx"))
        assert changed(before, row(path)) == {"lat_deg", "lon_deg", "gps_time_s", "position_in"}
        assert row(path).gps_time_s == instant(15)

    @pytest.mark.parametrize(
        "options", [{"interpolate_directions": True}, {"offset_angle_deg": 90.0}, {"geotag_source": ("csv",)}]
    )
    def test_a_direction_is_written_where_it_was_given(self, ride, tmp_path, options):
        if "geotag_source" in options:
            written(ride, **options, geotag_source_path=(str(table(tmp_path / "t.csv")),))
        else:
            written(ride, track(tmp_path / "t.gpx"), **options)
        assert all(math.isfinite(row(ride / name).heading_deg) for name in SIX)

    def test_by_the_zone_of_this_machine_no_time_is_written(self, put, root, tmp_path):
        path = put("a.jpg", local=local(0))
        rows = tmp_path / "t.csv"
        rows.write_text("filename,lat,lon\nb.jpg,1,2\n")
        written(root, device_make="Test", geotag_source=("csv",), geotag_source_path=(str(rows),))
        assert math.isnan(row(path).gps_time_s) and row(path).make == "Test"

    def test_make_model_orientation_and_accuracy_by_options(self, put, root):
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON, gps_time=T, make="Canon")
        for degrees, orientation in (("0", 1), ("90", 6), ("180", 3), ("270", 8)):
            written(
                root, device_make="Apple", device_model="iPhone SE", orientation=degrees, gps_accuracy_m=1.5
            )
            assert (row(path).make, row(path).model, row(path).error_m) == ("Apple", "iPhone SE", 1.5)
            assert row(path).orientation == orientation

    def test_duplicates_get_a_place_and_no_description(self, put, root, tmp_path):
        put("a.jpg", local=local(10)), put("b.jpg", local=local(10))
        result, _ = written(
            root, track(tmp_path / "t.gpx"), flag_duplicates=True, duplicate_distance_m=50.0, description=True
        )
        assert result.counts() == {"located": 1, "duplicate": 1}
        kept, copy = row(root / "a.jpg"), row(root / "b.jpg")
        assert math.isfinite(copy.lat_deg) and copy.description is None
        assert json.loads(kept.description)["MAPLatitude"] == pytest.approx(kept.lat_deg, abs=1e-7)

    def test_what_is_no_photo_is_left_alone(self, put, root, tmp_path):
        put("a.jpg", b"no photo"), put("b.png", b"\x89PNG"), put("c.jpg", b"")
        for mode in ("exif", "sidecar", "copy"):
            before = tree(root)
            output = str(tmp_path / "out") if mode == "copy" else ""
            _, done = written(root, write=mode, output=output, device_make="Test")
            assert (done.counts, tree(root)) == ({}, before)
            assert not (tmp_path / "out").exists()

    def test_a_photo_outside_of_the_track_gets_what_options_say_only(self, put, root, tmp_path):
        path = put("a.jpg", local=local(9999), lat_deg=1.0, lon_deg=2.0)
        before = row(path)
        source = {"geotag_source": ("gpx",), "geotag_source_path": (str(track(tmp_path / "t.gpx")),)}
        assert written(root, **source)[1].counts == {"unchanged": 1}
        written(root, **source, device_make="Test", gps_accuracy_m=3.0)
        assert changed(before, row(path)) == {"make"}


class TestTheClock:
    """--fix-time."""

    def test_a_clock_that_is_wrong(self, put, root):
        for k in range(6):
            put(
                f"{k}.jpg",
                local=local(10 * k - 37),
                lat_deg=LAT,
                lon_deg=LON,
                gps_time=T + timedelta(seconds=10 * k),
            )
        put("6.jpg", local=local(60 - 37))
        written(root, fix_time=True)
        read = [row(root / f"{k}.jpg") for k in range(7)]
        assert [r.local_s for r in read] == [instant(7200 + 10 * k) for k in range(7)]
        assert {r.offset_s for r in read[:6]} == {7200.0}

    def test_a_clock_that_is_right_is_left_alone(self, put, root):
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON, gps_time=T)
        assert written(root, fix_time=True)[1].counts == {"unchanged": 1}
        assert math.isnan(row(path).offset_s)

    def test_ten_minutes_are_an_error_and_no_zone(self, put, root):
        path = put("a.jpg", local=local(600), lat_deg=LAT, lon_deg=LON, gps_time=T)
        written(root, fix_time=True)
        assert (row(path).local_s, row(path).offset_s) == (instant(7200), 7200.0)

    def test_a_clock_on_winter_time(self, put, root):
        """An hour is added; the place is in Zurich."""
        path = put("a.jpg", local=local(-3600), lat_deg=LAT, lon_deg=LON)
        written(root, fix_time=True, offset_time_s=3600.0)
        assert (row(path).local_s, row(path).offset_s, row(path).gps_time_s) == (
            instant(7200),
            7200,
            instant(),
        )

    def test_the_zone_is_what_the_option_says(self, put, root, tmp_path):
        path = put("a.jpg", local=local(0 - 5), offset="")
        written(root, track(tmp_path / "t.gpx"), fix_time=True, time_zone="+02:00", offset_time_s=7.0)
        assert (row(path).local_s, row(path).offset_s) == (instant(7202), 7200)

    def test_a_tag_that_is_known_stays_right(self, put, root):
        path = put("a.jpg", local=local(-30), offset="+02:00", lat_deg=LAT, lon_deg=LON, gps_time=T)
        written(root, fix_time=True)
        assert (row(path).local_s, row(path).offset_s) == (instant(7200), 7200)

    def test_without_the_option_the_clock_stays(self, ride, tmp_path):
        before = [row(ride / name).local_s for name in SIX]
        written(ride, track(tmp_path / "t.gpx"), offset_time_s=5.0)
        assert [row(ride / name).local_s for name in SIX] == before


FLAGS: dict[str, dict[str, Any]] = {
    "offset-time": {"offset_time_s": 4.5},
    "gps-start": {"use_gps_start_time": True},
    "offset-angle": {"offset_angle_deg": 90.0},
    "interpolate": {"interpolate_directions": True},
    "duplicates": {"flag_duplicates": True, "duplicate_distance_m": 8.0, "duplicate_angle_deg": 360.0},
    "make": {"device_make": "Test", "device_model": "M 1"},
    "accuracy": {"gps_accuracy_m": 1.5, "orientation": "90"},
    "description": {"description": True, "add_file_name": True, "add_import_date": True},
    "fix-time": {"fix_time": True},
    "zone": {"time_zone": "Europe/Zurich"},
    "clock": {"time_source": "clock"},
}
SOURCES = ("none", "track", "gpx", "csv")


def sourced(name: str, folder: Path) -> tuple[list[Path], dict[str, Any]]:
    if name == "track":
        return [track(folder / "t.gpx")], {}
    if name in ("gpx", "csv"):
        file = (track if name == "gpx" else table)(folder / f"t.{name}")
        return [], {"geotag_source": (name,), "geotag_source_path": (str(file),)}
    return [], {}


def assert_once(ride: Path, folder: Path, source: str, options: dict[str, Any], **more: Any) -> None:
    """Written once and again: the second time there is nothing to do; and undo brings everything back."""
    paths, where = sourced(source, folder)
    before = tree(ride)
    first = written(ride, *paths, **where, **options, **more)
    after, there = tree(ride), items(first[0])
    second = written(ride, *paths, **where, **options, **more)
    assert second[1].changes == [] and second[1].failures == []
    assert tree(ride) == after
    third = write_verb(ride, **{k: v for k, v in {**options, **more}.items() if k in WRITING})
    assert third[1].changes == [] and tree(ride) == after
    for name, item in items(second[0]).items():
        assert (item.sequence, item.sequence_index) == (there[name].sequence, there[name].sequence_index)
    taken_back(ride, all=True)
    assert tree(ride) == before
    again = items(process([str(ride), *map(str, paths)], asked(**where, **options)[0], Context()))
    same = [(n, i.lat_deg, i.time_s, i.time_source, i.heading_deg, i.sequence) for n, i in there.items()]
    assert repr(same) == repr(
        [(n, i.lat_deg, i.time_s, i.time_source, i.heading_deg, i.sequence) for n, i in again.items()]
    )


WRITING = {f.name for cls in (WriteOptions, ImportMetaOptions) for f in dataclasses.fields(cls)}


class TestWritingTwiceIsWritingOnce:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize(
        "flags", [(), *[(f,) for f in FLAGS], *itertools.combinations(FLAGS, 2), tuple(FLAGS)], ids="+".join
    )
    def test_exif(self, ride, tmp_path, source, flags):
        options = {k: v for flag in flags for k, v in FLAGS[flag].items()}
        assert_once(ride, tmp_path, source, options)

    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("flags", [(), *[(f,) for f in FLAGS], tuple(FLAGS)], ids="+".join)
    def test_sidecars(self, ride, tmp_path, source, flags):
        options = {k: v for flag in flags for k, v in FLAGS[flag].items()}
        assert_once(ride, tmp_path, source, options, write="sidecar")

    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("flags", [(), *[(f,) for f in FLAGS], tuple(FLAGS)], ids="+".join)
    def test_copies(self, ride, tmp_path, source, flags):
        options = {k: v for flag in flags for k, v in FLAGS[flag].items()}
        out = tmp_path / "out"
        before = tree(ride)
        paths, where = sourced(source, tmp_path)
        to = {**where, **options, "write": "copy", "output": str(out)}
        written(ride, *paths, **to)
        made = tree(out)
        assert tree(ride) == before and set(made) == set(SIX)
        _, done = written(ride, *paths, **to)
        assert (done.counts, tree(out)) == ({"unchanged": 6}, made)
        taken_back(ride)
        assert tree(out) == {} and tree(ride) == before

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_two_cameras_with_clocks_of_their_own(self, tmp_path_factory, data):
        """Errors of clocks, GPS times of some photos, bursts: whatever was written is no evidence."""
        from photos import Shot

        folder = tmp_path_factory.mktemp("p")
        root = folder / "photos"
        root.mkdir()
        seconds = st.integers(0, 110)
        for make in ("Canon", "Sony"):
            error = data.draw(st.sampled_from((0, 0, 37, -3, 600)))
            for k in range(data.draw(st.integers(1, 8))):
                at = data.draw(seconds)
                shot: dict[str, Any] = {"local": local(at + error), "make": make, "serial": make}
                shot |= {
                    "subsec": data.draw(st.sampled_from((None, "25"))),
                    "offset": data.draw(st.sampled_from((None, "+02:00", "+01:00"))),
                }
                if data.draw(st.booleans()):
                    shot |= {
                        "lat_deg": LAT + at * 1e-5,
                        "lon_deg": LON,
                        "gps_time": T + timedelta(seconds=at),
                    }
                (root / f"{make}{k}.jpg").write_bytes(Shot(**shot).bytes())
        flags = data.draw(st.lists(st.sampled_from(sorted(FLAGS)), unique=True, max_size=4))
        options = {k: v for flag in flags for k, v in FLAGS[flag].items()}
        source = data.draw(st.sampled_from(("none", "track", "gpx")))
        assert_once(root, folder, source, options)

    @pytest.mark.parametrize("more", [{"use_gps_start_time": True}, {"offset_time_s": 4.5}])
    def test_a_gps_time_that_is_left_out_says_nothing_about_the_zone(self, put, root, tmp_path, more):
        put("a.jpg", local=local(0), offset="")
        path = put("b.jpg", local=local(601), offset="", make="Other", lat_deg=LAT, lon_deg=LON, gps_time=T)
        options = {"time_source": "clock", "fix_time": True, **more}
        assert_once(root, tmp_path, "gpx", options)
        written(root, track(tmp_path / "t.gpx"), **options)
        assert row(path).local_s == instant(601 + 7200 + more.get("offset_time_s", 0.0))


class TestOneRunAfterAnother:
    """What one run wrote stays when the next one writes something else."""

    def test_place_then_camera_then_direction(self, ride, tmp_path):
        rows = (str(table(tmp_path / "t.csv")),)
        for mode, out in (("exif", ""), ("sidecar", ""), ("copy", str(tmp_path / "out"))):
            to = {"write": mode, "output": out}
            before = tree(ride)
            written(ride, geotag_source=("csv",), geotag_source_path=rows, **to)
            written(ride, device_make="Test", **to)
            written(ride, orientation="180", **to)
            for k, name in enumerate(SIX):
                if mode == "sidecar":
                    said = (ride / f"{name}.xmp").read_text()
                    assert "<tiff:Make>Test<" in said and "<tiff:Orientation>3<" in said
                    assert "GPSLatitude" in said and "GPSImgDirection" in said
                else:
                    said = row((ride if mode == "exif" else tmp_path / "out") / name)
                    assert (said.make, said.orientation) == ("Test", 3)
                    assert said.heading_deg == pytest.approx(k * 37.123 % 360, abs=0.01)
            taken_back(ride, all=True)
            assert tree(ride) == before and not (tmp_path / "out" / "a.jpg").exists()

    def test_the_same_in_another_order_is_the_same(self, ride, tmp_path):
        steps = [
            {"device_make": "Test"},
            {"gps_accuracy_m": 2.0},
            {"description": True, "add_file_name": True},
        ]
        said = []
        for order in itertools.permutations(steps):
            for step in order:
                written(ride, **step)
            written(ride, **{k: v for step in steps for k, v in step.items()})
            said.append([repr(row(ride / name)) for name in SIX])
            taken_back(ride, all=True)
        assert all(one == said[0] for one in said)

    def test_an_angle_is_added_to_what_was_written_before(self, ride, tmp_path):
        rows = (str(table(tmp_path / "t.csv")),)
        written(ride, geotag_source=("csv",), geotag_source_path=rows)
        for angle in (10.0, 10.0, 30.0):
            written(ride, offset_angle_deg=angle)
            for k, name in enumerate(SIX):
                assert row(ride / name).heading_deg == pytest.approx((k * 37.123 + angle) % 360, abs=0.011)

    def test_an_offset_is_added_to_the_zone_that_was_given_before(self, put, root):
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON)
        written(root, time_zone="UTC")
        assert row(path).gps_time_s == instant(7200)
        for offset in (5.0, 5.0, 9.0):
            written(root, offset_time_s=offset)
            assert row(path).gps_time_s == instant(7200 + offset)
        assert written(root)[1].counts == {"unchanged": 1}

    def test_an_offset_stays_beside_gps_times_of_the_outing(self, put, root):
        for k in range(7):
            own = {"gps_time": T + timedelta(seconds=10 * k)} if k < 6 else {}
            put(f"{k}.jpg", local=local(10 * k - 37), lat_deg=LAT + k / 999, lon_deg=LON, **own)
        for options in ({"offset_time_s": 5.0}, {"offset_time_s": 5.0}, {}, {"device_make": "Test"}):
            written(root, **options)
            assert [row(root / f"{k}.jpg").gps_time_s for k in range(7)] == [
                instant(10 * k + 5) for k in range(7)
            ]

    def test_the_clock_alone_after_gps(self, put, root):
        for k in range(7):
            own = {"gps_time": T + timedelta(seconds=10 * k)} if k < 6 else {}
            put(f"{k}.jpg", local=local(10 * k - 37), lat_deg=LAT + k / 999, lon_deg=LON, **own)
        assert written(root)[1].counts == {"unchanged": 6, "written": 1}
        written(root, time_source="clock")
        assert [row(root / f"{k}.jpg").gps_time_s for k in range(7)] == [
            instant(10 * k - 37) for k in range(7)
        ]

    def test_another_zone_corrects_the_first(self, put, root):
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON)
        written(root, time_zone="UTC")
        written(root, time_zone="Europe/Zurich")
        assert row(path).gps_time_s == instant()

    def test_our_own_times_are_no_evidence_of_a_clocks_error(self, put, root, tmp_path):
        """Four GPS times are too few for that; with ours there would be ten."""
        for k in range(4):
            at = T + timedelta(seconds=10 * k)
            put(f"{k}.jpg", local=local(10 * k - 37), lat_deg=LAT, lon_deg=LON, gps_time=at)
        for k in range(4, 10):
            put(f"{k}.jpg", local=local(10 * k))
        after = written(root, track(tmp_path / "t.gpx"))
        assert after[1].counts == {"unchanged": 4, "written": 6}
        assert written(root, track(tmp_path / "t.gpx"))[1].counts == {"unchanged": 10}
        assert written(root / "7.jpg")[1].counts == {"unchanged": 1}

    def test_written_by_an_earlier_process(self, ride, tmp_path):
        process([str(ride), str(track(tmp_path / "t.gpx"))], asked(offset_time_s=5.0)[0], Context())
        _, done = write_verb(ride)
        assert done.counts == {"written": 6}
        after = tree(ride)
        assert written(ride, track(tmp_path / "t.gpx"), offset_time_s=5.0)[1].counts == {"unchanged": 6}
        assert write_verb(ride)[1].counts == {"unchanged": 6} and tree(ride) == after

    def test_the_date_of_the_import_is_set_once(self, ride, tmp_path):
        for mode, out in (("exif", ""), ("sidecar", ""), ("copy", str(tmp_path / "out"))):
            options = {"description": True, "add_import_date": True, "write": mode, "output": out}
            written(ride, **options)
            first = tree(ride), tree(tmp_path)
            assert written(ride, **options)[1].counts == {"unchanged": 6}
            assert (tree(ride), tree(tmp_path)) == first
            taken_back(ride)

    def test_the_pictures_name_outlives_new_tags_and_names(self, ride):
        written(ride, description=True)
        name = json.loads(row(ride / "day 2/d.jpg").description)["MAPPhotoUUID"]
        (ride / "day 2/d.jpg").rename(ride / "z.jpg")
        written(ride, description=True, device_make="Test", time_zone="UTC")
        assert json.loads(row(ride / "z.jpg").description)["MAPPhotoUUID"] == name

    def test_after_a_run_that_was_killed_behind_the_last_rename(self, put, root):
        """Its rows are settled before anything is read: the offset is not added to our own time."""
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON)
        written(root, offset_time_s=5.0)
        with sqlite3.connect(root / ".camtrail/journal.sqlite") as journal:
            journal.execute("UPDATE changes SET state = 'begun'")
        journal.close()
        assert written(root, offset_time_s=5.0)[1].counts == {"unchanged": 1}
        assert row(path).gps_time_s == instant(5)


FOREIGN = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:subject><rdf:Bag><rdf:li>forest</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""


class TestSidecars:
    def test_what_another_program_or_a_hand_wrote_stays(self, put, root):
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            put(name, local=local(0), lat_deg=LAT, lon_deg=LON)
        written(root, write="sidecar", device_make="First")
        ours = (root / "b.jpg.xmp").read_bytes()
        foreign = FOREIGN.encode()
        (root / "a.jpg.xmp").write_bytes(foreign)
        (root / "b.jpg.xmp").write_bytes(ours.replace(b"</rdf:Desc", b"<!-- mine --></rdf:Desc"))
        (root / "c.jpg.xmp").write_bytes(b"<x:xmpmeta")
        before = tree(root)
        _, done = written(root, write="sidecar", device_make="Test")
        assert done.counts == {"written": 2, "failed": 1}
        assert [(f.item.rpartition("/")[2], f.exit_code) for f in done.failures] == [("c.jpg", 3)]
        merged = (root / "a.jpg.xmp").read_bytes()
        assert b"<rdf:li>forest</rdf:li>" in merged and b"<tiff:Make>Test<" in merged
        mine = (root / "b.jpg.xmp").read_bytes()
        assert b"<!-- mine -->" in mine and b"<tiff:Make>Test<" in mine and b"First" not in mine
        again = tree(root)
        assert written(root, write="sidecar", device_make="Test")[1].counts == {"unchanged": 2, "failed": 1}
        assert tree(root) == again
        taken_back(root)
        assert tree(root) == before

    def test_a_better_place_replaces_the_first(self, put, root, tmp_path):
        put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON)
        rows = tmp_path / "t.csv"
        for lat in (1.5, LAT):
            rows.write_text(f"filename,lat,lon\na.jpg,{lat},{LON}\n")
            written(root, write="sidecar", geotag_source=("csv",), geotag_source_path=(str(rows),))
            assert f"{int(lat)}," in (root / "a.jpg.xmp").read_text()


class TestCopies:
    def test_photos_that_need_nothing_are_copied_too(self, put, root, tmp_path):
        path = put("day/a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON, gps_time=T)
        os.utime(path, ns=(5, 7_000_000_000))
        _, done = written(root, write="copy", output=str(tmp_path / "out"))
        copy = tmp_path / "out/day/a.jpg"
        assert done.changes == [(str(copy), "copy")]
        assert copy.read_bytes() == path.read_bytes() and copy.stat().st_mtime_ns == 7_000_000_000

    @pytest.mark.parametrize("where", ["photos", "photos/new", "link"])
    def test_not_among_the_photos(self, put, root, tmp_path, where):
        put("a.jpg", local=local(0))
        (tmp_path / "link").symlink_to(root)
        with pytest.raises(UsageError, match="lies among the photos"):
            written(root, write="copy", output=str(tmp_path / where))

    def test_what_is_there_already_is_never_replaced(self, put, root, tmp_path):
        put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON)
        out = tmp_path / "out"
        out.mkdir()
        (out / "a.jpg").write_bytes(b"mine")
        _, done = written(root, write="copy", output=str(out))
        assert [(f.code, f.exit_code) for f in done.failures] == [("refused", 3)]
        assert (out / "a.jpg").read_bytes() == b"mine"

    def test_a_photo_that_changed_since_does_not_replace_its_copy(self, put, root, tmp_path):
        put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON)
        out = tmp_path / "out"
        written(root, write="copy", output=str(out))
        made = tree(out)
        put("a.jpg", local=local(9), lat_deg=LAT, lon_deg=LON, size=(4, 4))
        _, done = written(root, write="copy", output=str(out))
        assert len(done.failures) == 1 and tree(out) == made

    def test_two_photos_of_one_name_have_no_one_copy(self, put, root, tmp_path):
        put("a/x.jpg", local=local(0)), put("b/x.jpg", local=local(9))
        (root / ".camtrail").mkdir()
        _, done = written(root / "a", root / "b", write="copy", output=str(tmp_path / "out"))
        assert done.counts == {"failed": 1, "written": 1}
        assert (tmp_path / "out/x.jpg").read_bytes() == (root / "a/x.jpg").read_bytes()


class TestWhatIsRefused:
    def test_links_are_written_where_they_point_to(self, put, root, tmp_path):
        path = put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON)
        (root / "b.jpg").symlink_to("a.jpg")
        _, done = written(root)
        assert done.counts == {"written": 1, "unchanged": 1} and (root / "b.jpg").is_symlink()
        assert row(path).gps_time_s == instant()
        assert written(root)[1].counts == {"unchanged": 2}

    def test_a_link_out_of_the_folder(self, put, root, tmp_path):
        put("a.jpg", local=local(0), lat_deg=LAT, lon_deg=LON).rename(tmp_path / "x.jpg")
        (root / "b.jpg").symlink_to(tmp_path / "x.jpg")
        before = (tmp_path / "x.jpg").read_bytes()
        _, done = written(root)
        assert "outside of the folder" in done.failures[0].message and done.failures[0].exit_code == 3
        assert (tmp_path / "x.jpg").read_bytes() == before

    def test_hard_links_and_read_only_files(self, put, root, tmp_path):
        one, two = (put(n, local=local(0), lat_deg=LAT, lon_deg=LON) for n in ("a.jpg", "b.jpg"))
        os.link(one, tmp_path / "second.jpg")
        two.chmod(0o444)
        before = tree(root)
        _, done = written(root)
        assert [f.exit_code for f in done.failures] == [3, 3] and tree(root) == before
        assert written(root, break_hardlinks=True)[1].counts == {"failed": 1, "written": 1}
        assert (tmp_path / "second.jpg").read_bytes() == before["a.jpg"]


class TestImportMetadata:
    def test_for_all_and_by_name(self, put, root, tmp_path):
        put("a.jpg", local=local(0)), put("b.jpg", local=local(1))
        file = tmp_path / "meta.json"
        file.write_text(
            '{"MAPDeviceMake": "All", "MAPOrientation": 8, "b.jpg": {"MAPDeviceMake": "B"}, "z.jpg": {}}'
        )
        _, done = written(root, import_meta_source="json", import_meta_source_path=str(file))
        assert [row(root / n).make for n in ("a.jpg", "b.jpg")] == ["All", "B"]
        assert row(root / "b.jpg").orientation == 8
        assert len(done.notes) == 1 and "z.jpg" in done.notes[0]
        written(root, device_make="Option", import_meta_source="json", import_meta_source_path=str(file))
        assert row(root / "b.jpg").make == "Option"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("{", "is no JSON"), ("[]", "no JSON object"), ('{"make": "X"}', "no key"), ('"\xff"', "is no JSON"),
            ('{"MAPOrientation": 90}', "MAPOrientation is not 1, 3, 6 or 8"),
            ('{"a.jpg": {"MAPGPSAccuracyMeters": -1}}', "MAPGPSAccuracyMeters of a.jpg"),
            ('{"MAPMetaTags": {"strings": [1]}}', "MAPMetaTags"), ('{"MAPDeviceMake": 3}', "MAPDeviceMake"),
            ("[" * 100000, "nested too deep"),
        ],
    )  # fmt: skip
    def test_what_it_cannot_say(self, put, root, tmp_path, text, words):
        put("a.jpg", local=local(0))
        before = tree(root)
        file = tmp_path / "meta.json"
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError, match=words) as e:
            written(root, import_meta_source="json", import_meta_source_path=str(file))
        assert e.value.path == str(file) and tree(root) == before and not (root / ".camtrail").exists()


def test_a_dry_run_changes_nothing(ride, tmp_path):
    for mode, out in (("exif", ""), ("sidecar", ""), ("copy", str(tmp_path / "out"))):
        before = tree(tmp_path)
        _, done = written(ride, write=mode, output=out, device_make="Test", dry_run=True)
        assert done.counts == {"to be written": 6} and len(done.changes) == 6
        assert tree(tmp_path) == before and not (ride / ".camtrail/journal.sqlite").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"write": "copy"}, "needs a folder"),
        ({"write": "exif", "output": "x"}, "-o names the folder"),
        ({"write": "none", "output": "x"}, "-o names the folder"),
        ({"import_meta_source": "json"}, "needs a file"),
    ],
)
def test_contradictions(put, root, options, words):
    put("a.jpg", local=local(0))
    with pytest.raises(UsageError, match=words):
        written(root, **options)
    assert not (root / ".camtrail").exists()


def dump(*folders: Path) -> dict[str, dict[str, Any]]:
    """Every tag of every photo that exiftool knows, but those of the file and those it computes from positions."""
    command = ["exiftool", "-a", "-G1", "-u", "-j", "-r", "-struct", "-ext", "jpg", *map(str, folders)]
    out = subprocess.run(command, capture_output=True, check=False).stdout
    drop = ("SourceFile", "ExifTool:", "System:", "File:ImageDataHash", "Composite:")
    starts = ("Start", "Offset")
    return {
        os.path.relpath(photo["SourceFile"], folders[0]): {
            k: v
            for k, v in photo.items()
            if not k.startswith(drop) and not (k.endswith(starts) and "Time" not in k)
        }
        for photo in json.loads(out)
    }


NEW = {
    "GPS:GPSDateStamp", "GPS:GPSTimeStamp", "IFD0:Make", "IFD0:GPSInfo", "GPS:GPSVersionID", "ExifIFD:ExifVersion",
}  # fmt: skip


@pytest.mark.data
@pytest.mark.exiftool
class TestRealPhotos:
    @pytest.fixture
    def real(self, tmp_path):
        shutil.copytree(REAL_PHOTOS, tmp_path / "real")
        for path in (tmp_path / "real").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return tmp_path / "real"

    def test_into_them(self, real):
        before, tags = tree(real), dump(real)
        _, done = written(real, device_make="Test")
        assert not done.failures and done.counts["written"] == len(before)
        after = dump(real)
        for name, was in tags.items():
            differs = {k for k in {**was, **after[name]} if was.get(k) != after[name].get(k)}
            assert "IFD0:Make" in differs and differs <= NEW, (name, differs)
            assert after[name]["IFD0:Make"] == "Test"
        assert self.pixels(tree(real)) == self.pixels(before)
        kept = tree(real)
        assert written(real, device_make="Test")[1].changes == [] and tree(real) == kept
        assert not taken_back(real).failures and tree(real) == before

    def test_beside_them(self, real):
        before = tree(real)
        _, done = written(real, device_make="Test", write="sidecar")
        assert not done.failures and done.counts["written"] == len(before)
        out = subprocess.run(
            ["exiftool", "-j", "-r", "-Make", "-ext", "xmp", str(real)], capture_output=True, check=True
        ).stdout
        assert [p["Make"] for p in json.loads(out)] == ["Test"] * len(before)
        kept = tree(real)
        assert {k: v for k, v in kept.items() if not k.endswith(".xmp")} == before
        assert written(real, device_make="Test", write="sidecar")[1].changes == [] and tree(real) == kept
        assert not taken_back(real).failures and tree(real) == before

    def test_copies_of_them(self, real, tmp_path):
        before, out = tree(real), tmp_path / "out"
        to = {"device_make": "Test", "write": "copy", "output": str(out)}
        _, done = written(real, **to)
        assert not done.failures and set(tree(out)) == set(before) and tree(real) == before
        assert {photo["IFD0:Make"] for photo in dump(out).values()} == {"Test"}
        assert self.pixels(tree(out)) == self.pixels(before)
        kept = tree(out)
        assert written(real, **to)[1].changes == [] and tree(out) == kept
        assert not taken_back(real).failures and tree(out) == {} and tree(real) == before

    @staticmethod
    def pixels(files: dict[str, bytes]) -> dict[str, str]:
        """What lies from the first frame header behind the metadata on."""
        from camtrail.metadata.picture import picture_sha256

        digests = {name: picture_sha256(MemoryBytes(data)) for name, data in files.items()}
        return {name: digest.hex() for name, digest in digests.items() if digest is not None}


class TestShiftsAndNeighbours:
    def test_a_shift_is_not_lost_when_later_only_a_turn_is_asked_for(self, put, root):
        for k in range(3):
            put(
                f"{k}.jpg",
                local=local(10 * k),
                offset="+02:00",
                lat_deg=LAT,
                lon_deg=LON + k / 999,
                heading_deg=10.0,
            )
        written(root, offset_time_s=5.0)
        shifted = row(root / "1.jpg").gps_time_s
        assert shifted == instant(15)
        written(root, offset_angle_deg=90.0)
        assert row(root / "1.jpg").gps_time_s == shifted
        assert row(root / "1.jpg").heading_deg == 100.0

    def test_one_photo_again_leaves_two_cameras_apart_that_now_have_one_name(self, put, root):
        for k in range(3):
            for model in ("One", "Two"):
                put(f"{model}{k}.jpg", local=local(10 * k), offset="+02:00", lat_deg=LAT, lon_deg=LON + k / 999,
                    model=model)  # fmt: skip
        written(root, device_make="Rig", device_model="Rig")
        whole = {
            path: item.sequence
            for path, item in items(process([str(root)], ProcessOptions(), Context())).items()
        }
        assert len(set(whole.values())) == 2
        process([str(root / "One1.jpg")], ProcessOptions(), Context())
        again = items(known("export", [str(root)], ProcessOptions(), Context()))
        assert {path: item.sequence for path, item in again.items()} == whole
