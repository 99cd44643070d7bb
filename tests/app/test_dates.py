"""Dates by names: found, written where there is none, once, and taken back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.app.context import Context
from camtrail.app.dates import dates
from camtrail.app.dates_options import DatesOptions
from camtrail.app.process import ProcessOptions
from camtrail.app.scan import ScanOptions
from camtrail.app.undo import UndoOptions, undo
from camtrail.app.write_options import ChangeOptions
from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import UsageError
from camtrail.metadata.read import header
from photos import Shot

from .conftest import items, processed

ZURICH = {"lat_deg": 47.37, "lon_deg": 8.54}
PXL, WA, IMG, FB = (
    "PXL_20231026_210642603.jpg", "IMG-20230408-WA0001.jpg", "IMG_20190509_154733.jpg",
    "FB_IMG_1681562400000.jpg",
)  # fmt: skip


def run(*paths, write="", dry_run=False, **options):
    return dates(
        [str(p) for p in paths], ProcessOptions(), DatesOptions(**options),
        ChangeOptions(write=write, dry_run=dry_run), Context(),
    )  # fmt: skip


def row(done, name):
    (found,) = [r for r in done.rows if r.path.endswith(name)]
    return found


def clock(path):
    """What the file says: the wall clock, and its offset in hours or None."""
    data = path.read_bytes()
    local_s, offset_s, *_ = header(MemoryBytes(data, "x"))
    if local_s != local_s:
        return None
    moment = datetime.fromtimestamp(round(local_s, 3), UTC).replace(tzinfo=None)
    return moment.isoformat(" "), None if offset_s != offset_s else offset_s / 3600


def tree(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".camtrail" not in p.parts
    }


def takeout(path, name, taken_s=1681562400, lat=0.0, lon=0.0, alt=0.0):
    said = {
        "title": path.name, "photoTakenTime": {"timestamp": str(taken_s)},
        "geoData": {"latitude": lat, "longitude": lon, "altitude": alt},
    }  # fmt: skip
    (path.parent / name).write_text(json.dumps(said))


def test_nothing_changes_without_being_asked(put, root):
    put(WA)
    put(PXL)
    before = tree(root)
    done = run(root)
    assert done.counts() == {"dated": 2} and tree(root) == before and done.exit_code() == 0


@pytest.mark.parametrize(
    ("name", "shot", "options", "wanted"),
    [
        (WA, {}, {}, ("2023-04-08 00:00:00", None)),
        (WA, ZURICH, {"time_zone": "UTC"}, ("2023-04-08 00:00:00", None)),  # a day has no zone
        (IMG, {}, {}, ("2019-05-09 15:47:33", None)),
        (IMG, ZURICH, {}, ("2019-05-09 15:47:33", 2.0)),
        (IMG, ZURICH, {"time_zone": "Asia/Tokyo"}, ("2019-05-09 15:47:33", 9.0)),
        (PXL, ZURICH, {}, ("2023-10-26 23:06:42.603000", 2.0)),
        (PXL, ZURICH, {"time_zone": "-07:00"}, ("2023-10-26 14:06:42.603000", -7.0)),
        (PXL, {}, {}, ("2023-10-26 21:06:42.603000", 0.0)),
        (FB, {}, {"time_zone": "Asia/Kolkata"}, ("2023-04-15 18:10:00", 5.5)),
        ("Bebop2_20180719194940+0200.jpg", {}, {"time_zone": "UTC"}, ("2018-07-19 19:49:40", 2.0)),
        ("2021-05-27_7a1b3c4d-1234-4abc-8def-0123456789ab-main.jpg", {}, {"time_zone": "-07:00"},
         ("2021-05-27 00:00:00", None)),
        ("2022/2022.11/2022.11.09/x.jpg", {}, {}, ("2022-11-09 00:00:00", None)),
        ("x8.jpg", {}, {"pattern": (r"x(?P<epoch>\d)",)}, None),
        ("x080423.jpg", {}, {"pattern": (r"x(?P<day>..)(?P<month>..)(?P<year>..)",)}, ("2023-04-08 00:00:00", None)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["exif", "copy"])
def test_what_is_written(put, root, tmp_path, name, shot, options, wanted, mode):
    photo = put(name, **shot)
    before = photo.read_bytes()
    if mode == "copy":
        done = run(root, output=str(tmp_path / "out"), **options)
        copy = tmp_path / "out" / name
        assert photo.read_bytes() == before and copy.exists() == (wanted is not None)
        found = clock(copy) if wanted else None
    else:
        done = run(root, write="exif", **options)
        found = clock(photo)
    assert found == wanted
    assert done.counts() == {"dated" if wanted else "impossible": 1}


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system's zone is not a variable")
def test_the_machines_zone_is_the_last_resort_and_is_named(put, root, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    photo = put(PXL)
    done = run(root, write="exif")
    assert clock(photo) == ("2023-10-26 17:06:42.603000", -4.0)
    assert row(done, PXL).zone_source == "machine"
    assert any("--time-zone" in note for note in done.result.notes)
    other = put(IMG)
    assert not run(other, write="exif").result.notes and clock(other) == ("2019-05-09 15:47:33", None)


def test_a_photo_that_has_a_date_keeps_it(put, root):
    put(WA, local="2023:04:08 17:00:00")
    put(IMG, local="2019:05:09 15:47:32")
    put("GX.jpg", local="2019:05:09 15:47:32")
    put("2019-05-09.jpg", gps_time=datetime(2019, 5, 9, 3, tzinfo=UTC), **ZURICH)
    before = tree(root)
    done = run(root, write="exif")
    assert done.counts() == {"kept": 4} and tree(root) == before
    assert {r.source for r in done.rows} == {"exif", "gps"}


def test_a_date_far_from_the_names_is_named_and_replaced_only_on_request(put, root):
    photo = put(IMG, local="2001:01:01 00:00:01", subsec="77")
    before = photo.read_bytes()
    done = run(root, write="exif")
    assert row(done, IMG).outcome == "kept" and photo.read_bytes() == before
    assert "2001-01-01" in row(done, IMG).reason and "2019-05-09 15:47:33" in row(done, IMG).reason
    assert run(root, write="exif", replace=True).counts() == {"dated": 1}
    assert clock(photo) == ("2019-05-09 15:47:33", None)


@pytest.mark.parametrize("name", [WA, "2023-04-08 harbour/scan1.jpg"])
@pytest.mark.parametrize(
    "shot",
    [{"local": "2023:04:02 10:11:12"}, {"gps_time": datetime(2023, 4, 2, 10, 11, 12, tzinfo=UTC), **ZURICH}],
)
def test_a_day_never_replaces_a_time_of_day(put, root, name, shot):
    photo = put(name, **shot)
    before = photo.read_bytes()
    done = run(root, write="exif", replace=True)
    assert row(done, name).outcome == "kept" and photo.read_bytes() == before
    assert "2023-04-02 10:11:12" in row(done, name).reason and "--replace" not in row(done, name).reason


def test_a_day_replaces_the_midnight_of_another_one_on_request(put, root):
    photo = put(WA, local="2000:01:01 00:00:00")
    assert row(run(root), WA).reason.endswith("--replace takes that")
    assert run(root, write="exif", replace=True).counts() == {"dated": 1}
    assert clock(photo) == ("2023-04-08 00:00:00", None)


def test_a_midnight_gives_way_to_a_finer_time_of_its_day(put, root):
    photo = put(IMG, local="2019:05:09 00:00:00")
    assert run(root, write="exif").counts() == {"dated": 1}
    assert clock(photo) == ("2019-05-09 15:47:33", None)
    day = put(WA, local="2023:04:08 00:00:00")
    assert row(run(day), WA).outcome == "kept"


def test_a_date_in_xmp_is_one(put, root):
    photo = put(IMG)
    packet = (
        b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:DateCreated="1999-01-01"/></rdf:RDF></x:xmpmeta>'
    )
    data = photo.read_bytes()
    photo.write_bytes(data[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + data[2:])
    assert (row(run(root), IMG).outcome, row(run(root), IMG).source) == ("kept", "xmp")


def test_what_tells_nothing_nonsense_or_is_no_jpeg(put, root):
    put("IMG_1234.jpg")
    put("signal-2026-05-23-164190.jpeg")
    put("Screenshot_20230415-143022.png", b"\x89PNG")
    put("IMG_20190231_112112.mp4", b"video")
    put("broken.jpg", b"")
    done = run(root, write="exif")
    assert done.counts() == {"no_date": 1, "impossible": 1, "unsupported": 2, "unreadable": 1}
    assert "16:41:90" in row(done, "164190.jpeg").reason
    png = row(done, ".png")
    assert "2023-04-15 14:30:22" in png.reason and png.precision == "second"
    assert "2019-02-31" in row(done, ".mp4").reason
    assert done.exit_code() == 3  # broken.jpg


def test_own_pattern_takeout_name_folder_in_this_order(put, root):
    photo = put(f"2022-11-09/{IMG}")
    assert row(run(root), IMG).source == "name"
    takeout(photo, f"{IMG}.supplemental-metadata.json")
    assert row(run(root), IMG).source == "takeout"
    assert row(run(root, ignore_takeout=True), IMG).source == "name"
    assert row(run(root, pattern=(r"_(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",)), IMG).source == "pattern"
    other = put("2022-11-09/x.jpg")
    assert row(run(other), "x.jpg").source == "folder"
    assert row(run(other, ignore_folders=True), "x.jpg").outcome == "no_date"


def test_takeout_tells_an_instant_and_a_place(put, root):
    photo = put("a.jpg")
    takeout(photo, "a.jpg.json", lat=52.5, lon=13.4, alt=30.0)
    done = run(root, write="exif")
    assert clock(photo) == ("2023-04-15 14:40:00", 2.0) and row(done, "a.jpg").lat_deg == 52.5
    assert items(processed(root))["a.jpg"].lat_deg != 52.5  # a date was asked for
    done = run(root, write="exif", positions=True)
    assert row(done, "a.jpg").outcome == "kept"
    item = items(processed(root))["a.jpg"]
    assert (item.lat_deg, item.lon_deg, item.alt_m) == pytest.approx((52.5, 13.4, 30.0))
    has_one = put("b.jpg", **ZURICH)
    takeout(has_one, "b.jpg.json", lat=52.5, lon=13.4)
    run(root, write="exif", positions=True)
    assert items(processed(root))["b.jpg"].lat_deg == pytest.approx(47.37)


def test_two_photos_never_become_one_copy(put, root, tmp_path):
    for folder in ("one", "two"):
        put(f"{folder}/{IMG}")
        run(root / folder, write="exif")  # each has a state of its own
    said = []
    for dry_run in (True, False):
        done = run(root / "one", root / "two", output=str(tmp_path / "out"), dry_run=dry_run)
        (failure,) = done.written.failures
        assert len(done.result.spaces) == 2 and failure.item.endswith(f"two/{IMG}")
        said.append(failure.message)
    assert "is the copy of" in said[0] and said[0] == said[1]


@pytest.mark.parametrize(
    ("name", "taken_s", "wanted"),
    [
        ("IMG_20230408_123456.jpg", 1680950096, ("2023-04-08 12:34:56", 2.0)),  # 10:34:56 UTC
        ("IMG_20230408_123456.jpg", 1680950095, ("2023-04-08 12:34:55", 2.0)),
        ("Screenshot_20230408-063456.jpg", 1680950096, ("2023-04-08 06:34:56", -4.0)),
        ("IMG_20230408_161956.jpg", 1680950096, ("2023-04-08 16:19:56", 5.75)),
        ("IMG_20230408_124456.jpg", 1680950096, None),  # no zone is 2:10 ahead
        ("IMG_20230409_023456.jpg", 1680950096, None),  # nor 16:00
        ("PXL_20230408_103456000.jpg", 1680950096, None),
        ("WhatsApp Image 2023-04-08 at 12.34.56.jpg", 1680950096, None),  # when it came
        ("IMG-20230408-WA0001.jpg", 1680950096, None),
    ],
)  # fmt: skip
def test_a_clock_in_the_name_tells_the_zone_of_takeout(put, root, name, taken_s, wanted):
    photo = put(name)
    takeout(photo, f"{name}.json", taken_s=taken_s)
    done = run(root, write="exif")
    assert row(done, name).time_s == taken_s
    assert row(done, name).zone_source == ("name" if wanted else "machine") and bool(
        done.result.notes
    ) != bool(wanted)
    assert wanted is None or clock(photo) == wanted
    assert row(run(photo, time_zone="Asia/Tokyo", replace=True), name).zone_source in ("option", "")


def test_old_pictures_of_takeout(put, root):
    photo = put("a.jpg")
    takeout(photo, "a.jpg.json", taken_s=-473385600)
    run(root, write="exif", time_zone="UTC")
    assert clock(photo) == ("1955-01-01 00:00:00", 0.0)
    none = put("b.jpg")
    takeout(none, "b.jpg.json", taken_s=0)
    assert row(run(none), "b.jpg").outcome == "no_date"


@pytest.mark.parametrize("mode", ["exif", "sidecar"])
def test_writing_twice_is_writing_once_and_undo_gives_all_back(put, root, mode):
    put(WA)
    put(PXL, **ZURICH)
    put(IMG, local="2019:05:09 15:47:33")
    put("none.jpg")
    before = tree(root)
    assert run(root, write=mode).written.counts == {"written": 2}
    after = tree(root)
    assert after != before
    again = run(root, write=mode)
    assert again.counts() == {"kept": 3, "no_date": 1} and not again.written.counts and tree(root) == after
    undo([str(root)], ScanOptions(), UndoOptions(), Context())
    assert tree(root) == before
    assert run(root).counts() == {"dated": 2, "kept": 1, "no_date": 1}


def test_a_sidecar_of_another_program_keeps_what_it_says(put, root):
    photo = put(IMG)
    beside = root / f"{IMG}.xmp"
    beside.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>'
    )
    before = beside.read_bytes(), photo.read_bytes()
    run(root, write="sidecar")
    text = beside.read_text()
    assert 'xmp:Rating="5"' in text and "2019-05-09T15:47:33" in text
    assert row(run(root, write="sidecar"), IMG).source == "xmp"
    undo([str(root)], ScanOptions(), UndoOptions(), Context())
    assert (beside.read_bytes(), photo.read_bytes()) == before


def test_copies_are_whole_have_the_capture_time_and_say_what_is_missing(put, root, tmp_path):
    put(PXL, **ZURICH)
    put(f"day/{WA}")
    put("kept.jpg", local="2020:01:02 03:04:05", offset="+01:00")
    put("none.jpg")
    before, out = tree(root), tmp_path / "out"
    done = run(root, output=str(out))
    assert tree(root) == before and set(tree(out)) == {PXL, f"day/{WA}", "kept.jpg"}
    assert (out / "kept.jpg").read_bytes() == (root / "kept.jpg").read_bytes()
    assert os.stat(out / PXL).st_mtime_ns == 1698354402603000000
    assert os.stat(out / "kept.jpg").st_mtime == datetime(2020, 1, 2, 2, 4, 5, tzinfo=UTC).timestamp()
    assert os.stat(out / "day" / WA).st_mtime == datetime(2023, 4, 8, tzinfo=UTC).timestamp()
    assert any("none.jpg" in note for note in done.result.notes)
    copies = tree(out)
    assert run(root, output=str(out)).written.counts == {"unchanged": 3} and tree(out) == copies
    refused = run(root, output=str(out), time_zone="Asia/Tokyo")
    assert refused.written.counts == {"unchanged": 2, "failed": 1} and refused.exit_code() == 3
    undo([str(root)], ScanOptions(), UndoOptions(), Context())
    assert tree(out) == {}


def test_a_dry_run_changes_nothing(put, root, tmp_path):
    put(WA)
    before = tree(root)
    for more in ({"write": "exif"}, {"write": "sidecar"}, {"output": str(tmp_path / "out")}):
        assert run(root, dry_run=True, **more).written.counts == {"to be written": 1}
    assert tree(root) == before and not (tmp_path / "out").exists()


def test_read_only_files_are_refused_and_the_others_written(put, root):
    put(WA).chmod(0o444)
    other = put(IMG)
    done = run(root, write="exif")
    assert done.written.counts == {"failed": 1, "written": 1} and done.exit_code() == 3
    assert "read-only" in done.written.failures[0].message and clock(other) is not None


@pytest.mark.parametrize(
    ("write", "options"),
    [
        ("copy", {}), ("exif", {"output": "out"}), ("", {"pattern": ("(",)}), ("", {"time_zone": "Mars"}),
    ],
)  # fmt: skip
def test_contradictions(put, root, write, options):
    put(WA)
    with pytest.raises(UsageError):
        run(root, write=write, **options)


def test_copies_among_the_photos_are_refused(put, root):
    put(WA)
    with pytest.raises(UsageError, match="among the photos"):
        run(root, output=str(root / "out"))


def test_what_was_written_is_the_capture_time_of_the_next_run(put, root):
    put(PXL, **ZURICH)
    put(IMG)
    run(root, write="exif")
    found = items(processed(root))
    assert found[PXL].time_s == pytest.approx(1698354402.603)
    assert found[IMG].time_s == datetime(2019, 5, 9, 15, 47, 33, tzinfo=UTC).timestamp()
    assert items(processed(root))[PXL].time_s == found[PXL].time_s


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes(datetime(1990, 1, 1), datetime(2025, 1, 1)), st.sampled_from([None, "<", ">"]))
def test_any_second_comes_back_and_goes_again(tmp_path, moment, order):
    folder = tmp_path / "any"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    photo = folder / moment.strftime("IMG_%Y%m%d_%H%M%S.jpg")
    before = Shot(order=order).bytes() if order else Shot(make=None, model=None, orientation=None).bytes()
    photo.write_bytes(before)
    run(folder, write="exif")
    assert clock(photo) == (moment.replace(microsecond=0).isoformat(" "), None)
    undo([str(folder)], ScanOptions(), UndoOptions(), Context())
    assert photo.read_bytes() == before


@pytest.mark.exiftool
def test_exiftool_reads_what_was_written(put, root):
    put(PXL, **ZURICH)
    put(WA)
    run(root, write="exif")
    args = ["exiftool", "-j", "-n", "-validate", "-DateTimeOriginal", "-SubSecTimeOriginal", "-OffsetTimeOriginal",
            "-CreateDate", "-ModifyDate"]  # fmt: skip
    told = json.loads(subprocess.run([*args, root / PXL, root / WA], capture_output=True, check=True).stdout)
    assert [t.get("DateTimeOriginal") for t in told] == ["2023:10:26 23:06:42", "2023:04:08 00:00:00"]
    assert (str(told[0]["SubSecTimeOriginal"]), told[0]["OffsetTimeOriginal"]) == ("603", "+02:00")
    assert "OffsetTimeOriginal" not in told[1]
    assert all("CreateDate" not in t and "ModifyDate" not in t for t in told)
