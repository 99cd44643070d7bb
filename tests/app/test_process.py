"""The main job on made collections: every photo placed, ordered, explained."""

from __future__ import annotations

import dataclasses
import math
import time
from datetime import UTC, datetime, timedelta

import pytest

from camtrail.app.context import Context
from camtrail.app.feeds import SourceOptions
from camtrail.app.process import PresetOptions, ProcessOptions, geotag, sequence
from camtrail.core.errors import InputError, UnreadableFile, UsageError
from camtrail.steps.clock import TimeOptions
from camtrail.steps.direction import DirectionOptions
from camtrail.steps.duplicates import DuplicateOptions
from camtrail.steps.interpolate import JoinOptions
from camtrail.steps.sequences import SplitOptions

from .conftest import gpx, items, processed

T = datetime(2026, 5, 9, 8, 0, 0, tzinfo=UTC)
M = 1 / 111_319.49  # degrees of longitude on the equator
TRACK = gpx(("2026-05-09T08:00:00Z", 0, 10), ("2026-05-09T08:00:20Z", 0, 10 + 200 * M))


def local(seconds: float) -> str:
    return (T + timedelta(seconds=seconds)).strftime("%Y:%m:%d %H:%M:%S")


def options(**parts) -> ProcessOptions:
    return dataclasses.replace(ProcessOptions(), **parts)


def sourced(*names: str, path=()) -> ProcessOptions:
    return options(
        sources=SourceOptions(geotag_source=names, geotag_source_path=tuple(str(p) for p in path)),
        time=TimeOptions(time_zone="UTC"),
    )


class TestSources:
    def test_the_photos_own_place(self, put, root):
        put("a.jpg", local=local(0), lat_deg=-33.5, lon_deg=-70.25, alt_m=-3.0, heading_deg=12.5)
        item = items(processed(root))["a.jpg"]
        assert (item.lat_deg, item.lon_deg, item.alt_m, item.heading_deg) == pytest.approx(
            (-33.5, -70.25, -3, 12.5)
        )
        assert (item.outcome, item.position_source, item.heading_source) == ("located", "exif", "exif")

    def test_a_track_fills_what_has_no_place_and_keeps_what_has(self, put, root, tmp_path):
        put("own.jpg", local=local(10), lat_deg=50.0, lon_deg=8.0)
        put("none.jpg", local=local(10))
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        found = items(processed(root, track, options=options(time=TimeOptions(time_zone="UTC"))))
        assert (found["own.jpg"].lat_deg, found["own.jpg"].position_source) == (50, "exif")
        assert found["none.jpg"].lon_deg == pytest.approx(10 + 100 * M, abs=1e-7)
        assert (found["none.jpg"].position_source, found["none.jpg"].heading_source) == ("gpx", "track")
        assert (found["none.jpg"].fix_before_s, found["none.jpg"].fix_after_s) == (10, 10)
        assert found["none.jpg"].error_m > 5

    def test_a_source_that_is_not_named_is_not_used(self, put, root, tmp_path):
        put("a.jpg", local=local(54), lat_deg=50.0, lon_deg=8.0)
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        item = items(processed(root, options=sourced("gpx", path=[track])))["a.jpg"]
        assert item.outcome == "outside_track"
        assert math.isnan(item.lat_deg)
        assert item.reason == "outside the track by 34 s, after its end"
        assert item.seconds_to_fix == 34
        item = items(processed(root, options=sourced("gpx", "exif", path=[track])))["a.jpg"]
        assert (item.outcome, item.position_source) == ("located", "exif")

    def test_the_first_named_source_wins(self, put, root, tmp_path):
        put("a.jpg", local=local(10), lat_deg=50.0, lon_deg=8.0)
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        assert (
            items(processed(root, options=sourced("exif", "gpx", path=[track])))["a.jpg"].position_source
            == "exif"
        )
        assert (
            items(processed(root, options=sourced("gpx", "exif", path=[track])))["a.jpg"].position_source
            == "gpx"
        )

    def test_a_table_by_name(self, put, root, tmp_path):
        put("a/x.jpg", local=local(0)), put("b/x.jpg", local=local(0)), put("b/y.jpg", local=local(0))
        put("z.jpg", local=local(0))
        table = tmp_path / "t.csv"
        table.write_text("filename,lat,lon,heading\na/x.jpg,1,2,30\ny.jpg,3,4,\nx.jpg,5,6,\nnone.jpg,7,8,\n")
        result = processed(root, options=sourced("csv", path=[table]))
        found = items(result)
        assert (found["a/x.jpg"].lat_deg, found["a/x.jpg"].heading_deg, found["b/y.jpg"].lon_deg) == (
            1,
            30,
            4,
        )
        assert found["b/x.jpg"].outcome == found["z.jpg"].outcome == "no_place"
        assert "fits several photos of that name; write the path there" in found["b/x.jpg"].reason
        assert "no row of" in found["z.jpg"].reason
        assert any("1 row names no photo here: none.jpg" in n for n in result.notes)

    def test_a_time_in_a_table_is_the_time_of_the_photo(self, put, root, tmp_path):
        put("a.jpg", local=local(0)), put("b.jpg", local=local(0))
        table = tmp_path / "t.csv"
        table.write_text(
            "filename,time,lat,lon\na.jpg,2026-07-01T12:00:00Z,1,2\nb.jpg,2026-07-01 12:00:00,47.37,8.54\n"
        )
        found = items(
            processed(root, options=options(
                sources=SourceOptions(geotag_source=("csv",), geotag_source_path=(str(table),))
            ))
        )  # fmt: skip
        noon = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
        assert (found["a.jpg"].time_s, found["a.jpg"].time_source) == (noon, "csv")
        assert (found["b.jpg"].time_s, found["b.jpg"].time_source) == (noon - 7200, "place")

    def test_a_row_without_a_usable_place_is_the_reason(self, put, root, tmp_path):
        put("a.jpg", local=local(0)), put("b.jpg", local=local(0))
        table = tmp_path / "t.csv"
        table.write_text("filename,lat,lon\na.jpg,91,0\nb.jpg,1,2\n")
        item = items(processed(root, options=sourced("csv", path=[table])))["a.jpg"]
        assert item.outcome == "no_place"
        assert "it is among the rows with a position off the globe" in item.reason

    def test_names_are_judged_against_all_paths_of_a_run(self, put, root, tmp_path):
        for folder in ("A", "B"):
            put(f"{folder}/IMG.jpg", local=local(0))
            processed(root / folder)  # each has its own state
        table = tmp_path / "t.csv"
        table.write_text("filename,lat,lon\nIMG.jpg,1,2\n")
        result = processed(root / "A", root / "B", options=sourced("csv", path=[table]))
        assert result.counts() == {"no_place": 2}
        assert not any("no photo" in n for n in result.notes)

    def test_the_order_of_sources_counts_for_time_too(self, put, root, tmp_path):
        put("a.jpg", local=local(0), offset="+00:00", lat_deg=50.0, lon_deg=8.0)
        table = tmp_path / "t.csv"
        table.write_text("filename,time,lat,lon\na.jpg,2020-01-01T00:00:00Z,1,2\n")
        first = items(processed(root, options=sourced("csv", "exif", path=[table])))["a.jpg"]
        assert (first.time_source, first.lat_deg) == ("csv", 1)
        second = items(processed(root, options=sourced("exif", "csv", path=[table])))["a.jpg"]
        assert (second.time_source, second.lat_deg) == ("option", 50)

    def test_a_track_that_did_not_place_a_photo_is_not_told_of(self, put, root, tmp_path):
        put("a.jpg", local=local(900), lat_deg=50.0, lon_deg=8.0)
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        item = items(processed(root, options=sourced("gpx", "exif", path=[track])))["a.jpg"]
        assert (item.position_source, item.outcome) == ("exif", "located")
        assert math.isnan(item.seconds_to_fix)

    def test_a_folder_as_a_track_of_which_one_has_no_fix(self, put, root, tmp_path):
        put("a.jpg", local=local(10))
        folder = tmp_path / "tracks"
        folder.mkdir()
        (folder / "good.gpx").write_text(TRACK)
        (folder / "empty.gpx").write_text("<gpx><wpt lat='1' lon='2'/></gpx>")
        result = processed(
            root,
            options=options(sources=SourceOptions(track=(str(folder),)), time=TimeOptions(time_zone="UTC")),
        )
        assert items(result)["a.jpg"].outcome == "located"
        assert any("empty.gpx: holds no position" in n for n in result.notes)

    def test_what_camtrail_exported_is_no_track_beside_the_photos(self, put, root):
        from camtrail.app.export import ExportOptions, export

        put("a.jpg", local=local(0)), put("b.jpg", local=local(0), lat_deg=1.0, lon_deg=2.0)
        export([str(root)], ProcessOptions(), ExportOptions(output=str(root / "out.gpx")), Context())
        (root / "a.jpg.json").write_text("{}")
        assert not any("--track" in n for n in processed(root).notes)

    def test_a_folder_called_like_a_track_is_a_folder(self, put, root):
        put("trip.gpx/a.jpg", local=local(0), lat_deg=1.0, lon_deg=2.0)
        assert processed(root / "trip.gpx").counts() == {"located": 1}

    def test_a_description_file(self, put, root, tmp_path):
        put("a.jpg")
        file = tmp_path / "d.json"
        file.write_text(
            '{"a.jpg": {"MAPLatitude": 1.5, "MAPLongitude": 2.5, "MAPCaptureTime": "2026_05_09_08_00_00_250"}}'
        )
        item = items(processed(root, options=sourced("json", path=[file])))["a.jpg"]
        assert (item.lat_deg, item.lon_deg, item.time_s) == (1.5, 2.5, T.timestamp() + 0.25)

    def test_a_folder_of_tracks_of_which_one_is_broken(self, put, root, tmp_path):
        put("a.jpg", local=local(10))
        folder = tmp_path / "tracks"
        folder.mkdir()
        (folder / "good.gpx").write_text(TRACK)
        (folder / "bad.gpx").write_text("no xml")
        result = processed(root, options=sourced("gpx", path=[folder]))
        assert items(result)["a.jpg"].outcome == "located"
        assert [f.item for f in result.failures] == [str(folder / "bad.gpx")]
        assert result.exit_code() == 3

    @pytest.mark.parametrize(
        ("names", "paths", "error", "words"),
        [
            (("foo",), (), UsageError, "no source 'foo'"),
            (("gpx",), (), UsageError, "has nothing to read"),
            (("exif",), ("x.gpx",), UsageError, "no source that reads it"),
            (("gpx",), ("missing.gpx",), InputError, "missing.gpx: is not there"),
            (("gpx",), ("*.nothing",), InputError, "matches no file"),
            (("gpx", "csv"), ("a.txt",), InputError, "of no kind that a source reads"),
        ],
    )
    def test_what_is_said_of_wrong_sources(
        self, put, root, tmp_path, monkeypatch, names, paths, error, words
    ):
        put("a.jpg")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "x.gpx").write_text(TRACK), (tmp_path / "a.txt").write_text("x")
        with pytest.raises(error, match=words.replace("*", r"\*")):
            processed(root, options=sourced(*names, path=paths))

    def test_a_track_that_cannot_be_used_stops_the_run_before_it_begins(self, put, root, tmp_path):
        put("a.jpg")
        bad, empty = tmp_path / "bad.gpx", tmp_path / "empty.gpx"
        bad.write_text("<gpx><!DOCTYPE x>"), empty.write_text("<gpx><wpt lat='1' lon='2'/></gpx>")
        with pytest.raises(UnreadableFile, match=r"bad\.gpx"):
            processed(root, bad)
        with pytest.raises(InputError, match="holds no position that a photo could take"):
            processed(root, empty)

    def test_tracks_alone_are_no_photos(self, tmp_path):
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        with pytest.raises(UsageError, match="only tracks"):
            processed(track)

    def test_tracks_beside_the_photos_are_pointed_out(self, put, root):
        put("a.jpg", local=local(0))
        (root / "ride.gpx").write_text(TRACK)
        assert any("ride.gpx" in n and "--track" in n for n in processed(root).notes)


class TestTime:
    def test_gps_time_wins_over_the_clock(self, put, root):
        put("a.jpg", local="2018:06:08 13:24:10", offset="-07:00", lat_deg=45.5, lon_deg=-122.5,
            gps_time=datetime(2018, 6, 8, 20, 24, 11, tzinfo=UTC))  # fmt: skip
        item = items(processed(root))["a.jpg"]
        assert item.time_s == datetime(2018, 6, 8, 20, 24, 11, tzinfo=UTC).timestamp()
        assert (item.time_source, item.reason) == ("gps", None)
        clock = items(processed(root, options=options(time=TimeOptions(time_source="clock"))))["a.jpg"]
        assert (clock.time_s, clock.time_source) == (item.time_s - 1, "offset")

    def test_the_zone_is_that_of_the_place(self, put, root):
        put("a.jpg", local="2026:07:01 12:00:00", lat_deg=47.37, lon_deg=8.54)
        item = items(processed(root))["a.jpg"]
        assert item.time_s == datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()
        assert item.time_source == "place"

    def test_the_zone_is_that_of_the_track(self, put, root, tmp_path):
        put("a.jpg", local="2026:07:01 12:00:05")
        track = tmp_path / "t.gpx"
        track.write_text(gpx(("2026-07-01T10:00:00Z", 47.37, 8.54), ("2026-07-01T10:00:10Z", 47.38, 8.54)))
        item = items(processed(root, track))["a.jpg"]
        assert (item.outcome, item.time_source) == ("located", "place")
        assert item.lat_deg == pytest.approx(47.375, abs=1e-6)

    def test_a_track_across_zones(self, put, root, tmp_path):
        # Noon on the clock in Lisbon, and noon in Madrid: one hour apart.
        put("lisbon.jpg", local="2026:07:01 12:00:00"), put("madrid.jpg", local="2026:07:02 12:00:00")
        track = tmp_path / "t.gpx"
        track.write_text(
            gpx(
                ("2026-07-01T10:55:00Z", 38.72, -9.14),
                ("2026-07-01T11:05:00Z", 38.72, -9.14),
                ("2026-07-02T09:55:00Z", 40.42, -3.70),
                ("2026-07-02T10:05:00Z", 40.42, -3.70),
            )
        )
        found = items(processed(root, track))
        assert found["lisbon.jpg"].time_s == datetime(2026, 7, 1, 11, tzinfo=UTC).timestamp()
        assert found["madrid.jpg"].time_s == datetime(2026, 7, 2, 10, tzinfo=UTC).timestamp()
        assert {i.outcome for i in found.values()} == {"located"}

    def test_the_machines_zone_is_taken_with_a_warning(self, put, root):
        put("a.jpg", local="2026:07:01 12:00:00")
        item = items(processed(root))["a.jpg"]
        assert item.time_source == "machine"
        assert "this machine's zone (UTC+00:00); give --time-zone" in item.reason

    def test_a_slow_clock_and_a_stale_fix_stand_in_the_reason(self, put, root):
        for i in range(8):
            moment = T + timedelta(seconds=30 * i)
            put(f"{i}.jpg", local=local(30 * i - 90), offset="+00:00", lat_deg=1.0, lon_deg=2.0,
                gps_time=moment if i != 3 else moment - timedelta(seconds=60))  # fmt: skip
        found = items(processed(root))
        assert [found[f"{i}.jpg"].time_s for i in range(8)] == [T.timestamp() + 30 * i for i in range(8)]
        assert "its clock is 90 s slow against GPS time" in found["0.jpg"].reason
        assert "its own GPS time is 60 s old (a stale fix)" in found["3.jpg"].reason

    def test_offset_time_is_added_before_the_join(self, put, root, tmp_path):
        put("a.jpg", local=local(110))
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        shifted = options(time=TimeOptions(time_zone="UTC", offset_time_s=-100))
        item = items(processed(root, track, options=shifted))["a.jpg"]
        assert item.lon_deg == pytest.approx(10 + 100 * M, abs=1e-7)
        assert item.time_s == T.timestamp() + 10

    def test_the_first_photo_meets_the_first_fix_when_asked(self, put, root, tmp_path):
        put("a.jpg", local=local(7777)), put("b.jpg", local=local(7787))
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        aligned = options(join=JoinOptions(use_gps_start_time=True))
        result = processed(root, track, options=aligned)
        found = items(result)
        assert found["a.jpg"].lon_deg == 10
        assert found["b.jpg"].lon_deg == pytest.approx(10 + 100 * M, abs=1e-7)
        assert any("shifted by" in n for n in result.notes)

    def test_offset_time_is_added_to_the_alignment(self, put, root, tmp_path):
        put("a.jpg", local=local(7777)), put("b.jpg", local=local(7780))
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        aligned = options(join=JoinOptions(use_gps_start_time=True), time=TimeOptions(offset_time_s=5))
        assert items(processed(root, track, options=aligned))["a.jpg"].lon_deg == pytest.approx(
            10 + 50 * M, abs=1e-7
        )

    @pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
    def test_the_machines_zone_does_not_get_into_the_comparison_with_gps_time(
        self, put, root, monkeypatch, zone
    ):
        # Its clocks go forward in the middle of the outing; those of the photos do not.
        if not hasattr(time, "tzset"):
            pytest.skip("the zone of this system cannot be set")
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        start = datetime(2024, 3, 30, 23, 50, tzinfo=UTC)
        for i in range(6):
            moment = start + timedelta(minutes=i)
            put(f"{i}.jpg", local=(moment + timedelta(hours=3)).strftime("%Y:%m:%d %H:%M:%S"),
                lat_deg=-1.3, lon_deg=36.8, gps_time=moment)  # fmt: skip
        put("x.jpg", local="2024:03:31 03:01:00", lat_deg=-1.3, lon_deg=36.8)
        item = items(processed(root))["x.jpg"]
        assert item.time_s == datetime(2024, 3, 31, 0, 1, tzinfo=UTC).timestamp()

    def test_a_wrong_offset_tag_is_named_as_such(self, put, root):
        for i in range(5):
            moment = T + timedelta(minutes=i)
            put(
                f"{i}.jpg",
                local=local(60 * i + 7200),
                offset="+01:00",
                lat_deg=48.1,
                lon_deg=11.6,
                gps_time=moment,
            )
        assert items(processed(root))["0.jpg"].reason == (
            "its OffsetTime tag and its clock are 60 min ahead of GPS time, a whole zone"
        )

    def test_a_photo_with_a_place_and_no_time_keeps_its_place(self, put, root, tmp_path):
        put("a.jpg", lat_deg=1.0, lon_deg=2.0), put("b.jpg", local="0000:00:00 00:00:00")
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        found = items(processed(root, track))
        assert (found["a.jpg"].outcome, found["a.jpg"].lat_deg) == ("no_time", 1)
        assert found["b.jpg"].outcome == "no_time"
        assert "0000:00:00" in found["b.jpg"].reason

    def test_a_burst_lies_along_the_track(self, put, root, tmp_path):
        for i in range(4):
            put(f"IMG_{i + 8}.jpg", local=local(10))
        track = tmp_path / "t.gpx"
        track.write_text(TRACK)
        found = items(processed(root, track, options=options(time=TimeOptions(time_zone="UTC"))))
        metres = [round((found[f"IMG_{i + 8}.jpg"].lon_deg - 10) / M, 2) for i in range(4)]
        assert metres == [100, 102.5, 105, 107.5]
        assert {i.time_s for i in found.values()} == {T.timestamp() + 10}
        assert [found[f"IMG_{i + 8}.jpg"].sequence_index for i in range(4)] == [0, 1, 2, 3]


class TestSequences:
    def ride(self, put, n, *, folder="", step_m=20.0, step_s=2, start_s=0, **more):
        for i in range(n):
            put(f"{folder}{i:03d}.jpg", local=local(start_s + step_s * i), offset="+00:00", lat_deg=0.0001,
                lon_deg=(10 + i * step_m * M), **more)  # fmt: skip

    def test_one_ride_is_one_sequence_and_looks_where_it_goes(self, put, root):
        self.ride(put, 5)
        found = items(processed(root))
        assert len({i.sequence for i in found.values()}) == 1
        assert [found[f"{i:03d}.jpg"].sequence_index for i in range(5)] == list(range(5))
        assert [round(i.heading_deg, 3) for i in found.values()] == [90.0] * 5
        assert {i.heading_source for i in found.values()} == {"sequence"}

    def test_folders_and_cameras_apart(self, put, root):
        self.ride(put, 3, folder="a/"), self.ride(put, 3, folder="b/")
        self.ride(put, 3, folder="a/x", model="Other"), self.ride(put, 3, folder="a/y", serial="77")
        assert processed(root).sequences == 4

    def test_cut_by_time_by_distance_and_by_count(self, put, root):
        self.ride(put, 4), self.ride(put, 4, folder="z", start_s=8 + 61)
        assert processed(root).sequences == 2
        split = SplitOptions(cutoff_distance_m=10)
        assert processed(root, options=options(split=split)).sequences == 8
        assert processed(root, options=options(split=SplitOptions(max_images=3))).sequences == 4

    def test_presets(self, put, root):
        self.ride(put, 4, step_m=150)
        assert processed(root).sequences == 1
        assert processed(root, options=options(preset=PresetOptions(preset="modern"))).sequences == 4

    def test_ids_are_the_same_for_the_same_photos(self, put, root, tmp_path):
        self.ride(put, 3)
        one = {i.sequence for i in items(processed(root)).values()}
        assert {i.sequence for i in items(processed(root)).values()} == one
        root.rename(tmp_path / "moved")
        assert {i.sequence for i in items(processed(tmp_path / "moved")).values()} == one

    def test_headings_are_recomputed_only_when_asked_and_turned_once(self, put, root):
        self.ride(put, 3, heading_deg=200.0)
        assert {i.heading_deg for i in items(processed(root)).values()} == {200}
        turn = DirectionOptions(offset_angle_deg=-90)
        assert {i.heading_deg for i in items(processed(root, options=options(turn=turn))).values()} == {110}
        derived = DirectionOptions(interpolate_directions=True, offset_angle_deg=10)
        found = items(processed(root, options=options(turn=derived)))
        assert [round(i.heading_deg, 3) for i in found.values()] == [100] * 3
        again = sequence([str(root)], options(turn=derived), Context())
        assert [round(i.heading_deg, 3) for i in items(again).values()] == [100] * 3

    def test_duplicates_only_when_asked(self, put, root):
        self.ride(put, 4, step_m=0.05, heading_deg=90.0)
        assert processed(root).counts() == {"located": 4}
        result = processed(root, options=options(repeat=DuplicateOptions(flag_duplicates=True)))
        assert result.counts() == {"located": 2, "duplicate": 2}
        item = items(result)["001.jpg"]
        assert item.duplicate_of == "000.jpg"
        assert item.reason == "0.05 m and 0° from 000.jpg"
        assert item.sequence is None

    def test_a_missing_heading_by_preset(self, put, root):
        self.ride(put, 3, step_m=0)
        asked = DuplicateOptions(flag_duplicates=True)
        assert processed(root, options=options(repeat=asked)).counts() == {"located": 3}
        modern = options(repeat=asked, preset=PresetOptions(preset="modern"))
        assert processed(root, options=modern).counts() == {"located": 1, "duplicate": 2}

    def test_one_photo_processed_again_stays_in_its_sequence(self, put, root):
        self.ride(put, 4)
        whole = items(processed(root))
        one = items(processed(root / "002.jpg"))["002.jpg"]
        assert (one.sequence, one.sequence_index) == (whole["002.jpg"].sequence, 2)
        from camtrail.app.process import known

        assert repr(items(known("export", [str(root)], ProcessOptions(), Context()))) == repr(whole)

    def test_ids_do_not_depend_on_where_the_state_is_and_copies_have_their_own(self, put, root, tmp_path):
        from camtrail.app.scan import ScanOptions

        self.ride(put, 3, folder="a/"), self.ride(put, 3, folder="b/")
        both = {i.path: i.sequence for i in items(processed(root)).values()}
        assert len(set(both.values())) == 2
        elsewhere = options(scan=ScanOptions(state_dir=str(tmp_path / "state")))
        found = {i.path: i.sequence for i in items(processed(root / "a", options=elsewhere)).values()}
        assert found["000.jpg"] == both["a/000.jpg"]

    def test_duplicate_of_is_named_as_the_photo_itself_is(self, put, root):
        self.ride(put, 2, folder="sub/", step_m=0, heading_deg=1.0)
        processed(root)
        asked = options(repeat=DuplicateOptions(flag_duplicates=True))
        item = items(processed(root / "sub", options=asked))["001.jpg"]
        assert (item.duplicate_of, item.reason) == ("000.jpg", "0.00 m and 0° from 000.jpg")

    def test_the_parts_one_by_one_come_to_the_same(self, put, root):
        self.ride(put, 4), put("odd.jpg", b"x"), put("bare.jpg")
        whole = items(processed(root))
        (root / ".camtrail" / "catalog.sqlite").unlink()
        geotag([str(root)], ProcessOptions(), Context())
        parts = items(sequence([str(root)], ProcessOptions(), Context()))
        assert repr(parts) == repr(whole)


class TestPlaces:
    def test_null_island_is_no_place(self, put, root):
        put("a.jpg", local=local(0), lat_deg=0.0, lon_deg=0.0)
        item = items(processed(root))["a.jpg"]
        assert item.outcome == "no_place"
        assert "0, 0" in item.reason

    def test_what_to_do_stands_in_the_reason(self, put, root):
        put("a.jpg", local=local(0)), put("b.jpg")
        found = items(processed(root))
        assert "its EXIF has no position; give --track FILE" in found["a.jpg"].reason
        assert "no capture time" in found["b.jpg"].reason

    def test_an_empty_folder(self, root):
        result = processed(root)
        assert (result.counts(), result.exit_code()) == ({}, 0)

    def test_same_input_same_answers_whatever_the_workers(self, put, root):
        import shutil

        from camtrail.app.scan import ScanOptions

        TestSequences().ride(put, 6)
        one = items(processed(root))
        shutil.rmtree(root / ".camtrail")
        two = items(processed(root, options=options(scan=ScanOptions(workers=2))))
        assert repr(one) == repr(two)
