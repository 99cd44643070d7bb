"""`places build` and `places apply` as people and programs call them."""

from __future__ import annotations

import csv
import io

import pytest

from photos import Shot


@pytest.fixture
def roll(tmp_path):
    folder = tmp_path / "roll"
    folder.mkdir()
    for k in range(30):
        shot = Shot(local=f"2023:04:{1 + k:02} 12:00:00", lat_deg=-33.86 + k / 10, lon_deg=151.2)
        (folder / f"{k:02}.jpg").write_bytes(shot.bytes())
    return folder


@pytest.fixture
def bare(tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    for k in range(1, 30):
        (folder / f"{k:02}.jpg").write_bytes(Shot(local=f"2023:04:{1 + k:02} 12:10:00").bytes())
    (folder / "none.jpg").write_bytes(Shot().bytes())
    return folder


def test_build_and_apply(camtrail, roll, bare, tmp_path):
    ended = camtrail(
        "places", "build", roll, "--max-distance-km", "3", "--max-seconds", "1800", "-o", "m.csv"
    )
    assert ended.code == 0 and "30  places" in ended.out and "wrote m.csv" in ended.out
    assert len(ended.out.splitlines()) <= 20
    before = (bare / "01.jpg").read_bytes()
    ended = camtrail("places", "apply", bare, "--mapping", "m.csv", "-o", "out", "--json")
    assert ended.code == 0 and ended.json["counts"] == {"estimated": 29, "no_time": 1}
    assert ended.json["written"] == {"written": 30}
    first = ended.json["estimates"][0]
    assert (
        first["seconds_outside"] == 600.0
        and first["lat"] == pytest.approx(-33.76)
        and first["error_m"] == 1000
    )
    assert (bare / "01.jpg").read_bytes() == before and len(list((tmp_path / "out").iterdir())) == 30
    ended = camtrail("places", "apply", bare, "--from", roll, "--write", "exif")
    assert ended.code == 0 and len(ended.out.splitlines()) <= 20
    assert "29  estimated" in ended.out and "no time: " in ended.out and "more; --json lists all" in ended.out
    ended = camtrail("undo", bare, "--json")
    assert len(ended.json["restored"]) == 29 and (bare / "01.jpg").read_bytes() == before


def test_the_table_has_a_name_of_its_own(camtrail, roll, tmp_path):
    assert camtrail("places", "build", roll, "--json").json["outputs"] == ["location_mapping.csv"]
    ended = camtrail("places", "build", roll, "-o", "-")
    assert len(list(csv.DictReader(io.StringIO(ended.out)))) == 30
    assert camtrail("places", "build", roll, "-o", "-", "--json").code == 2
    (tmp_path / "mine.csv").write_text("mine\n")
    assert camtrail("places", "build", roll, "-o", "mine.csv").code == 11
    assert (tmp_path / "mine.csv").read_text() == "mine\n"


def test_exit_codes(camtrail, bare, tmp_path):
    assert camtrail("places", "apply", bare).code == 2
    ended = camtrail("places", "apply", bare, "--mapping", "missing.csv")
    assert ended.code == 4 and "missing.csv" in ended.err
    (tmp_path / "bad.csv").write_text("start,end,lat,long\n2023:04:01 12:00:00,x,1,2\n")
    ended = camtrail("places", "apply", bare, "--mapping", "bad.csv", "--json")
    assert ended.code == 4 and "line 2, column end" in ended.json["failures"][0]["message"]
    (tmp_path / "none.csv").write_text("start,end,lat,long\n")
    ended = camtrail("places", "apply", bare, "--mapping", "none.csv", "--json")
    assert (ended.code, ended.json["counts"]) == (0, {"no_place": 29, "no_time": 1})
    assert camtrail("places", "apply", bare, "--mapping", "none.csv", "--fail-on", "no_place").code == 3
