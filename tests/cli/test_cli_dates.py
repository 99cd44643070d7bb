"""`dates` as people and programs call it."""

from __future__ import annotations

import fcntl

import pytest

from photos import Shot


@pytest.fixture
def named(tmp_path):
    """One photo that its name dates, one that keeps its date, one that tells nothing, one that is impossible."""
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "IMG-20230408-WA0001.jpg").write_bytes(Shot().bytes())
    (folder / "IMG_20190509_154733.jpg").write_bytes(Shot(local="2019:05:09 15:47:33").bytes())
    (folder / "none.jpg").write_bytes(Shot().bytes())
    (folder / "signal-2026-05-23-164190.jpeg").write_bytes(Shot().bytes())
    return folder


def tree(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def test_a_table_for_people_and_nothing_changed(camtrail, named):
    before = tree(named)
    ended = camtrail("dates", named)
    assert ended.code == 0 and tree(named) == before
    assert ended.out.splitlines()[:4] == [
        "        1  dated", "        1  kept", "        1  no date", "        1  impossible",
    ]  # fmt: skip
    assert "dated: " in ended.out and "2023-04-08 00:00:00 (day, received, by name whatsapp)" in ended.out
    assert "16:41:90 is no time of day" in ended.out


def test_at_most_20_lines(camtrail, named):
    for n in range(30):
        (named / f"IMG-20230408-WA1{n:03d}.jpg").write_bytes(Shot().bytes())
    lines = camtrail("dates", named).out.splitlines()
    assert sum(line.startswith(("dated: ", "no date: ", "impossible: ")) for line in lines) == 20
    assert "… and 13 more; --json lists all" in lines


def test_all_of_it_for_programs(camtrail, named):
    ended = camtrail("dates", named, "--write", "exif", "--json")
    assert (ended.code, ended.json["command"]) == (0, "dates")
    assert ended.json["counts"] == {"dated": 1, "kept": 1, "no_date": 1, "impossible": 1}
    assert ended.json["written"] == {"written": 1}
    assert ended.json["changes"] == [{"path": str(named / "IMG-20230408-WA0001.jpg"), "what": ["time"]}]
    first = ended.json["dates"][0]
    assert first | {"path": ""} == {
        "path": "", "outcome": "dated", "reason": None, "source": "name", "rule": "whatsapp", "meaning": "received",
        "precision": "day", "zone": "local", "zone_source": None, "local_time": "2023-04-08T00:00:00", "time": None,
        "had_local_time": None, "lat_deg": None, "lon_deg": None, "position_source": None,
    }  # fmt: skip
    assert len(ended.json["dates"]) == 4
    restored = camtrail("undo", named, "--json").json["restored"]
    assert restored == [str(named / "IMG-20230408-WA0001.jpg")]


def test_copies_and_a_zone(camtrail, named, tmp_path):
    (named / "PXL_20231026_210642603.jpg").write_bytes(Shot().bytes())
    ended = camtrail("dates", named, "-o", tmp_path / "out", "--time-zone", "Europe/Berlin", "--json")
    assert ended.code == 0 and len(tree(tmp_path / "out")) == 3
    pixel = next(d for d in ended.json["dates"] if d["rule"] == "pixel")
    assert (pixel["local_time"], pixel["time"], pixel["zone_source"]) == (
        "2023-10-26T23:06:42.603+02:00", "2023-10-26T21:06:42.603Z", "option",
    )  # fmt: skip


def test_a_dry_run(camtrail, named):
    before = tree(named)
    ended = camtrail("dates", named, "--write", "sidecar", "--dry-run")
    assert "1  to be written" in ended.out and tree(named) == before


@pytest.mark.parametrize(
    "line",
    [
        ("--write", "copy"), ("--write", "exif", "-o", "out"), ("--pattern", "("), ("--pattern", "x"),
        ("--time-zone", "Mars"), ("-o", "named/out"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_contradictions_end_with_2(camtrail, named, line):
    before = tree(named)
    ended = camtrail("dates", named, *line)
    assert ended.code == 2 and ended.err.startswith("camtrail: ") and tree(named) == before


def test_a_folder_that_another_run_owns_ends_with_9(camtrail, named):
    camtrail("dates", named)
    with open(named / ".camtrail/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert camtrail("dates", named, "--write", "exif").code == 9
        assert camtrail("dates", named).code == 0


def test_help_says_what_a_day_becomes(camtrail):
    text = " ".join(camtrail("dates", "--help").out.split())
    assert "00:00:00" in text and "--pattern" in text
