"""Places by time: from photos to a table, and from the table, or a camera roll, to photos without a place."""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.app.context import Context
from camtrail.app.places import apply, build
from camtrail.app.places_options import ApplyOptions, BuildOptions
from camtrail.app.places_table import Stays, read_table, table
from camtrail.app.scan import ScanOptions
from camtrail.app.undo import UndoOptions, undo
from camtrail.core.bytes import FileBytes
from camtrail.core.errors import InputError, SafetyRefusal, UsageError
from camtrail.core.model import texts
from camtrail.metadata.method import ESTIMATE, position_method
from camtrail.metadata.read import header
from camtrail.steps.places import PlaceOptions

from .conftest import items

REAL = Path(__file__).parents[3] / "shared" / "data" / "photos"
# Barcelona, San José (W), Sydney (S): three trips in two months.
TRIPS = {
    "bcn": (41.3851, 2.1734, "2023:04:08"),
    "sjo": (9.9281, -84.0907, "2023:04:20"),
    "syd": (-33.8688, 151.2093, "2023:05:02"),
}


def built(*paths, out, options=None, **more):
    return build(
        [str(p) for p in paths], ScanOptions(), options or PlaceOptions(),
        BuildOptions(output=str(out), **more), Context(),
    )  # fmt: skip


def applied(*paths, options=None, **more):
    return apply(
        [str(p) for p in paths], ScanOptions(), options or PlaceOptions(), ApplyOptions(**more), Context()
    )


def read(path: Path):
    return header(FileBytes(str(path)))


def method(path: Path):
    return position_method(FileBytes(str(path)))


def tree(folder: Path):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".camtrail" not in p.parts
    }


@pytest.fixture
def trips(put):
    """Three photos of each trip, some metres apart, five minutes after each other."""
    for name, (lat, lon, day) in TRIPS.items():
        for k in range(3):
            put(f"roll/{name}{k}.jpg", local=f"{day} 12:{5 * k:02}:00", lat_deg=lat + k * 1e-5, lon_deg=lon)


@pytest.fixture
def bare(put):
    """One photo of each trip without a place, between its first and its last."""
    for name, (_, _, day) in TRIPS.items():
        put(f"bare/{name}.jpg", local=f"{day} 12:07:00")


def rows_of(path: Path):
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


def test_trips_of_all_hemispheres_come_back(root, trips, bare, tmp_path):
    done = built(root / "roll", out=tmp_path / "m.csv")
    rows = rows_of(tmp_path / "m.csv")
    assert list(rows[0])[:7] == ["start", "end", "lat", "long", "n_pics", "lat_dms", "long_dms"]
    assert [r["start"] for r in rows] == [f"{day} 12:00:00" for _, _, day in TRIPS.values()]
    assert [r["end"] for r in rows] == [f"{day} 12:10:00" for _, _, day in TRIPS.values()]
    assert [r["n_pics"] for r in rows] == ["3", "3", "3"] and done.result.counts() == {"located": 9}
    for row, (lat, lon, _) in zip(rows, TRIPS.values()):
        assert float(row["lat"]) == pytest.approx(lat + 1e-5, abs=1e-7)
        assert float(row["long"]) == pytest.approx(lon, abs=1e-7)
        for cell, value in ((row["lat_dms"], lat + 1e-5), (row["long_dms"], lon)):
            d, m, s = ast.literal_eval(cell)
            assert d + m / 60 + s / 3600 == pytest.approx(abs(value), abs=1e-7)
    before = tree(root / "bare")
    done = applied(root / "bare", mapping=str(tmp_path / "m.csv"), write="exif")
    assert done.result.counts() == {"estimated": 3} and done.written.counts == {"written": 3}
    for name, (lat, lon, _) in TRIPS.items():
        path = root / "bare" / f"{name}.jpg"
        row = read(path)
        assert row[3:5] == pytest.approx((lat + 1e-5, lon), abs=1e-6)
        assert row[10] >= 100.0 and row[2] != row[2]  # an error, and no GPS time
        assert method(path) == ESTIMATE
    assert "within it, 180 s from its nearest known photo" in (items(done.result)["sjo.jpg"].reason or "")
    after = tree(root / "bare")
    again = applied(root / "bare", mapping=str(tmp_path / "m.csv"), write="exif")
    assert again.written.counts == {"unchanged": 3} and again.result.counts() == {"estimated": 3}
    assert tree(root / "bare") == after
    assert not undo([str(root / "bare")], ScanOptions(), UndoOptions(), Context()).failures
    assert tree(root / "bare") == before


def test_a_roll_gives_what_its_table_does(root, trips, bare, tmp_path):
    built(root / "roll", out=tmp_path / "m.csv")
    applied(root / "bare", mapping=str(tmp_path / "m.csv"), output=str(tmp_path / "a"))
    applied(root / "bare", rolls=(str(root / "roll"),), output=str(tmp_path / "b"))
    one, two = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert set(one) == set(two) == {"bcn.jpg", "sjo.jpg", "syd.jpg"}
    for name in one:
        a, b = read(tmp_path / "a" / name), read(tmp_path / "b" / name)
        assert a[3:5] == pytest.approx(b[3:5], abs=1e-8)


def test_estimates_are_no_evidence(root, trips, bare, tmp_path):
    applied(root / "bare", rolls=(str(root / "roll"),), write="exif")
    done = built(root / "bare", out=tmp_path / "m.csv")
    assert len(done.stays) == 0 and rows_of(tmp_path / "m.csv") == []
    assert any("estimated places" in note for note in done.result.notes)


def test_a_photo_that_has_a_position_keeps_it(root, put, trips, tmp_path):
    path = put("mine/a.jpg", local="2023:04:08 12:07:00", lat_deg=1.0, lon_deg=2.0)
    before = path.read_bytes()
    done = applied(root / "mine", rolls=(str(root / "roll"),), write="exif")
    assert done.result.counts() == {"located": 1} and path.read_bytes() == before


@pytest.mark.parametrize(
    ("clock", "outcome", "words"),
    [
        ("2023:04:08 12:40:00", "estimated", "1800 s outside of it"),
        ("2023:04:08 11:30:00", "estimated", "1800 s outside of it"),
        ("2023:04:08 12:40:01", "no_place", "is 1801 s away"),
        ("2024:04:08 12:07:00", "no_place", "no place is known within 1800 s"),
    ],
)
def test_the_nearest_in_time_within_the_limit(root, put, trips, clock, outcome, words):
    put("bare/a.jpg", local=clock)
    done = applied(root / "bare", rolls=(str(root / "roll"),))
    item = items(done.result)["a.jpg"]
    assert item.outcome == outcome and words in (item.reason or "")
    if outcome == "estimated":
        assert item.error_m == 100 + 1.5 * 1800
    assert done.written.counts == {}


def test_two_people_in_two_places_at_one_time(root, put):
    for k in range(3):
        put(f"ann/a{k}.jpg", local=f"2023:04:08 12:{10 * k:02}:00", lat_deg=47.0, lon_deg=8.0)
        put(f"bob/b{k}.jpg", local=f"2023:04:08 12:{10 * k + 4:02}:00", lat_deg=52.0, lon_deg=13.0)
    put("bare/near_ann.jpg", local="2023:04:08 12:11:00")
    put("bare/near_bob.jpg", local="2023:04:08 12:13:00")
    done = applied(root / "bare", rolls=(str(root / "ann"), str(root / "bob")))
    found = items(done.result)
    assert found["near_ann.jpg"].lat_deg == pytest.approx(47.0)
    assert found["near_bob.jpg"].lat_deg == pytest.approx(52.0)


def test_instants_are_compared_where_both_know_them(root, put, tmp_path):
    put("roll/a.jpg", local="2023:04:08 12:00:00", lat_deg=35.68, lon_deg=139.69)  # Tokyo, 03:00 UTC
    put("bare/b.jpg", local="2023:04:08 05:05:00", offset="+02:00")
    put("bare/c.jpg", local="2023:04:08 12:05:00")
    built(root / "roll", out=tmp_path / "m.csv")
    done = applied(root / "bare", mapping=str(tmp_path / "m.csv"))
    assert {e.typed[-5:]: e.by for e in done.estimates} == {"b.jpg": "instant", "c.jpg": "clock"}


def test_the_midnight_of_a_day_in_a_name_is_no_moment(root, put, tmp_path):
    put("roll/a.jpg", local="2023:04:07 23:50:00", lat_deg=41.0, lon_deg=2.0)
    put("roll/b.jpg", local="2023:04:08 00:10:00", lat_deg=41.0, lon_deg=2.0)
    put("bare/IMG-20230408-WA0001.jpg", local="2023:04:08 00:00:00")
    put("bare/IMG-20230408-WA0002.jpg", local="2023:04:08 00:00:01")
    put("bare/IMG-20230409-WA0003.jpg", local="2023:04:08 00:00:00")
    put("bare/DSC00001.jpg", local="2023:04:08 00:00:00")
    for set_dates in (False, True):
        done = applied(root / "bare", rolls=(str(root / "roll"),), set_dates=set_dates)
        assert done.result.counts() == {"estimated": 3, "no_time": 1} and not done.dated
        places = done.result.collections[0].places
        (reason,) = places.reason[places.outcome == "no_time"].tolist()
        assert "midnight" in reason


def test_the_date_of_a_file_counts_only_when_asked_for(root, put, trips, tmp_path):
    path = put("bare/wa.jpg")
    at = datetime(
        2023, 4, 8, 12, 7, tzinfo=UTC
    ).timestamp()  # this machine is in UTC: the reading of its clock
    os.utime(path, (at, at))
    roll = (str(root / "roll"),)
    done = applied(root / "bare", rolls=roll, output=str(tmp_path / "a"))
    assert (
        done.result.counts() == {"no_time": 1} and (tmp_path / "a/wa.jpg").read_bytes() == path.read_bytes()
    )
    done = applied(root / "bare", rolls=roll, output=str(tmp_path / "b"), set_dates=True)
    assert done.result.counts() == {"estimated": 1} and done.dated == [str(path)]
    row = read(tmp_path / "b/wa.jpg")
    assert row[0] == at and row[3] == pytest.approx(TRIPS["bcn"][0], abs=1e-4)
    assert "by the date of its file" in (items(done.result)["wa.jpg"].reason or "")
    done = applied(root / "bare", rolls=roll, output=str(tmp_path / "b"), set_dates=True)
    assert done.written.counts == {"unchanged": 1}


def test_sidecars(root, trips, bare):
    roll = (str(root / "roll"),)
    other = root / "bare" / "syd.jpg.xmp"
    other.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="1,0N" '
        'exif:GPSLongitude="2,0E"/></rdf:RDF></x:xmpmeta>'
    )
    before = tree(root / "bare")
    done = applied(root / "bare", rolls=roll, write="sidecar")
    assert done.result.counts() == {"located": 1, "estimated": 2}
    assert set(tree(root / "bare")) - set(before) == {"bcn.jpg.xmp", "sjo.jpg.xmp"}
    assert b"camtrail estimate" in (root / "bare/sjo.jpg.xmp").read_bytes()
    after = tree(root / "bare")
    done = applied(root / "bare", rolls=roll, write="sidecar")
    assert done.result.counts() == {"located": 1, "estimated": 2} and tree(root / "bare") == after
    undo([str(root / "bare")], ScanOptions(), UndoOptions(), Context())
    assert tree(root / "bare") == before


def test_copies_of_the_groups(root, trips, put, tmp_path):
    put("roll/more/bcn0.jpg", local="2023:04:08 12:01:00", lat_deg=41.3851, lon_deg=2.1734)
    folder = tmp_path / "groups"
    done = built(root / "roll", out=tmp_path / "m.csv", copy_groups=str(folder))
    names = {"1_bcn0.jpg", "1_bcn0~2.jpg", "1_bcn1.jpg", "1_bcn2.jpg", "2_sjo0.jpg", "2_sjo1.jpg", "2_sjo2.jpg",
             "3_syd0.jpg", "3_syd1.jpg", "3_syd2.jpg"}  # fmt: skip
    assert set(tree(folder)) == names and done.written.counts == {"written": 10}
    assert (folder / "2_sjo1.jpg").read_bytes() == (root / "roll/sjo1.jpg").read_bytes()
    (folder / "3_syd2.jpg").write_bytes(b"another file")
    done = built(root / "roll", out=tmp_path / "m.csv", copy_groups=str(folder))
    assert done.written.counts == {"unchanged": 9, "failed": 1} and done.result.exit_code() == 3
    assert (folder / "3_syd2.jpg").read_bytes() == b"another file"
    (folder / "3_syd2.jpg").unlink()
    undo([str(root / "roll")], ScanOptions(), UndoOptions(), Context())
    assert set(tree(folder)) <= {"3_syd2.jpg"}


def test_a_dry_run_writes_nothing(root, trips, bare, tmp_path):
    before = tree(tmp_path)
    done = built(root / "roll", out=tmp_path / "m.csv", copy_groups=str(tmp_path / "g"), dry_run=True)
    assert done.written.counts == {"to be written": 9}
    done = applied(root / "bare", rolls=(str(root / "roll"),), output=str(tmp_path / "c"), dry_run=True)
    assert done.written.counts == {"to be written": 3}
    assert tree(tmp_path) == before


def test_photos_that_count_for_none_have_a_reason(root, put, tmp_path):
    put("a.jpg", local="2023:04:08 12:00:00")
    put("b.jpg", lat_deg=1.0, lon_deg=2.0)
    put("c.jpg", b"no photo")
    put("d.jpg", local="2023:04:08 12:00:00", lat_deg=-1.0, lon_deg=-2.0, make="Acme", model="Acme One")
    done = built(root, out=tmp_path / "m.csv")
    assert done.result.counts() == {"located": 1, "no_place": 1, "no_time": 1, "unreadable": 1}
    assert [r["cameras"] for r in rows_of(tmp_path / "m.csv")] == ["Acme One"]
    assert done.result.exit_code() == 3


def test_only_a_table_of_ours_is_replaced(root, trips, tmp_path):
    out = tmp_path / "m.csv"
    out.write_text("start,end,lat,long,n_pics,lat_dms,long_dms\n")
    with pytest.raises(SafetyRefusal):
        built(root, out=out)
    built(root, out=out, force=True)
    built(root, out=out)


@pytest.mark.parametrize("more", [{}, {"mapping": "a.csv", "rolls": ("b",)}, {"mapping": "a.csv", "output": "x", "write": "exif"},
                                  {"mapping": "a.csv", "write": "copy"}])  # fmt: skip
def test_options_that_contradict_each_other(root, more):
    with pytest.raises(UsageError):
        applied(root, **more)


OLD = (
    "start,end,lat,long,n_pics,lat_dms,long_dms\n"
    '2023:04:08 12:00:00,2023:04:08 12:10:00,41.385,2.1734,3,"(41, 23, 6.0)","(2, 10, 24.24)"\n'
)


@pytest.mark.parametrize(
    "text",
    [
        OLD,
        "\ufeff" + OLD.replace("\n", "\r\n"),
        "long;lat;end;start\n2,1734;41,385;2023-04-08 12:10:00;2023-04-08T12:00:00\n\n",
        ",Start,END,lat,long\n0,2023:04:08 12:00:00,2023:04:08 12:10:00,41.385,2.1734\n",
    ],
)
def test_tables_of_the_older_notebooks(root, put, text, tmp_path):
    stays = read_table(text.encode(), "old.csv")
    assert (stays.lat_deg.tolist(), stays.lon_deg.tolist()) == ([41.385], [2.1734])
    assert np.isnan(stays.start_s).all()
    put("a.jpg", local="2023:04:08 12:05:00", offset="+09:00")
    (tmp_path / "old.csv").write_text(text, "utf-8")
    done = applied(root, mapping=str(tmp_path / "old.csv"))
    (made,) = done.estimates
    assert made.by == "clock" and made.error_m == 3000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: has no column lat, long, start, end"),
        ("a,b\n1,2\n", "has no column lat"),
        (OLD.replace("41.385", "141.385"), "line 2, column lat: '141.385' is no latitude"),
        (OLD.replace("2.1734", "east"), "line 2, column long: 'east' is no longitude"),
        (OLD.replace("12:10:00", "soon"), "line 2, column end"),
        (OLD.replace("2023:04:08 12:10", "2022:04:08 12:10"), "line 2, column end: lies before the start"),
        (OLD.replace("2023:04:08 12:00:00", ""), "line 2, column start: is empty"),
        (OLD.replace("2023:04:08 12:00", "2023:02:30 12:00"), "line 2, column start"),
        ("start_utc,end_utc,lat,long\n2023-04-08T12:00:00,2023-04-08T12:00:00Z,1,2\n", "column start_utc"),
    ],
)
def test_a_table_that_cannot_be_used(text, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(")) as e:
        read_table(text.encode(), "m.csv")
    assert e.value.exit_code == 4
    with pytest.raises(InputError):
        read_table(b"\xff\xfe\0", "m.csv")


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 4_000_000_000), st.integers(0, 90_000),
                          st.floats(0, 1e6), st.text(max_size=5))))  # fmt: skip
def test_tables_are_read_back(rows):
    lat, lon, start, length, radius = (np.array([r[k] for r in rows], float) for k in range(5))
    ids = np.empty(len(rows), object)
    ids[:] = [(r[5], "b;,\"'.jpg") for r in rows]
    one = Stays(start, start + length + 0.25, start, start + length, lat, lon, radius, length.astype(np.int64),
                texts(["=M; N"] * len(rows)), ids, np.zeros(0), np.zeros(0), np.zeros(0, np.int64))  # fmt: skip
    two = read_table(b"".join(table(one)), "m.csv")
    for name, off in (
        ("lat_deg", 1e-7),
        ("lon_deg", 1e-7),
        ("start_s", 1e-5),
        ("end_s", 1e-5),
        ("radius_m", 0.01),
    ):
        assert getattr(two, name) == pytest.approx(getattr(one, name), abs=off)
    assert two.start_local_s.tolist() == start.tolist() and two.count.tolist() == one.count.tolist()
    assert all(i[1] == "b;,\"'.jpg" for i in two.ids.tolist())
    assert all(c == "'=M; N" for c in two.cameras.tolist())


@pytest.mark.data
def test_real_photos(tmp_path):
    state = ScanOptions(state_dir=str(tmp_path / "state"))
    for km, counts in ((0.5, [3, 2]), (3.0, [5])):
        done = build([str(REAL / "nature")], state, PlaceOptions(group_distance_km=km),
                     BuildOptions(output=str(tmp_path / "m.csv")), Context())  # fmt: skip
        assert done.stays.count.tolist() == counts
        found = items(done.result)
        for lat, lon, ids in zip(done.stays.lat_deg, done.stays.lon_deg, done.stays.ids):
            assert lat == pytest.approx(np.mean([found[i].lat_deg for i in ids]), abs=1e-6)
            assert lon == pytest.approx(np.mean([found[i].lon_deg for i in ids]), abs=1e-6)


@pytest.mark.parametrize("text", ["start,end,lat,long\n", "nothing\n"])
def test_reading_a_table_changes_nothing_for_the_readers_of_others(text):
    before = csv.field_size_limit()
    with contextlib.suppress(InputError):
        read_table(text.encode(), "m.csv")
    assert csv.field_size_limit() == before
