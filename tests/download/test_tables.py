"""The tables of a folder of downloads: what other programs read of them."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest

from camtrail.core import geo
from camtrail.services.mapillary import sandbox_images
from camtrail.services.mapillary.sandbox import MapillarySandbox

from .folders import Folder, Run, ids_of, sequence_of


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def full(box: MapillarySandbox, lists: Path, tmp_path: Path) -> Path:
    assert Run(box).lists(lists, tmp_path / "out", picture_size="320").code == 0
    return tmp_path / "out"


def test_the_manifest_is_read_by_geopandas(full: Path) -> None:
    rows = rows_of(full, "manifest.csv")
    table = geopandas.read_parquet(full / "manifest.parquet")
    assert len(table) == len(rows) == 200 and "CRS84" in table.crs.name
    assert list(rows[0]) == [c for c in table.columns if c != "geometry"]
    for name in (
        "image_id",
        "sequence_id",
        "path",
        "state",
        "position_source",
        "sha256",
        "served_sha256",
        "scaled_from",
    ):
        assert table[name].tolist() == [row[name] for row in rows]
    assert table.geometry.y.tolist() == [float(row["lat_deg"]) for row in rows]
    assert table.geometry.x.tolist() == [float(row["lon_deg"]) for row in rows]
    assert table["bytes"].tolist() == [int(row["bytes"]) for row in rows]
    assert table["is_pano"].tolist() == [row["is_pano"] == "true" for row in rows]
    times = [t.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" for t in table["time"]]
    assert times == [row["time"] for row in rows]


def test_the_manifest_names_what_failed_and_why(box: MapillarySandbox, tmp_path: Path) -> None:
    known, gone, bad = ids_of(0, 3)
    (tmp_path / "ids.txt").write_text("\n".join([known, gone, bad]))
    box.set_quirks(gone=[gone])
    box.set_faults([f"status=422,path=/v/{bad}_*"])
    done = Run(box).lists(tmp_path / "ids.txt", tmp_path / "out", picture_size="1024")
    assert done.code == 3 and done.counts == {"fetched": 1, "unknown": 1, "failed": 1}
    rows = rows_of(tmp_path / "out", "manifest.csv")
    assert [row["state"] for row in rows] == ["fetched", "missing", "failed"]
    assert rows[1]["message"] == "the service does not know it" and "422" in rows[2]["message"]
    assert rows[2]["computed_lat_deg"] and not rows[2]["path"] and not rows[2]["sha256"]
    table = geopandas.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert table.geometry.isna().tolist() == [False, True, False]


def test_pairs_have_the_distances_of_the_lists(full: Path, lists: Path) -> None:
    pairs = rows_of(full, "pairs.csv")
    lines = [line.split(",") for p in sorted(lists.glob("pairs_*")) for line in p.read_text().splitlines()]
    assert len(pairs) == len(lines) == 100
    manifest = {row["image_id"]: row for row in rows_of(full, "manifest.csv")}
    for row, line in zip(pairs, lines):
        said = [row[f"{what}_{side}"] for what in ("sequence", "image") for side in ("database", "query")]
        assert said == line[:4]
        places = [float(cell) for cell in line[4:]]
        assert [
            float(row[f"{what}_{side}"]) for side in ("database", "query") for what in ("lat", "lon")
        ] == places
        expected = geo.on_sphere_m(*(np.array([v]) for v in places))[0]
        assert float(row["distance_m"]) == pytest.approx(expected, abs=0.001)
        a, b = (manifest[row[f"image_{side}"]] for side in ("database", "query"))
        assert (row["path_database"], row["path_query"]) == (a["path"], b["path"])
        turn = abs(float(a["heading_deg"]) - float(b["heading_deg"])) % 360
        assert float(row["heading_difference_deg"]) == pytest.approx(min(turn, 360 - turn), abs=0.002)
        passed_s = (np.datetime64(b["time"][:-1]) - np.datetime64(a["time"][:-1])) / np.timedelta64(1, "s")
        assert float(row["time_s"]) == pytest.approx(float(passed_s), abs=0.002)


def test_pairs_of_images_that_are_not_there(box: MapillarySandbox, lists: Path, tmp_path: Path) -> None:
    box.set_quirks(gone=ids_of(1, 50))
    done = Run(box).lists(lists, tmp_path / "out", picture_size="320")
    assert done.code == 3 and done.counts["unknown"] == 50
    pairs = rows_of(tmp_path / "out", "pairs.csv")
    lost = [row for row in pairs if row["sequence_query"] == sequence_of(1)]
    assert len(pairs) == 100 and len(lost) == 50
    for row in lost:
        assert row["distance_m"] and row["path_database"]  # the list places it all the same
        assert not row["path_query"] and not row["time_s"] and not row["heading_difference_deg"]


def test_sequences_have_their_way(full: Path) -> None:
    rows = rows_of(full, "sequences.csv")
    assert sorted(row["sequence_id"] for row in rows) == [sequence_of(k) for k in range(4)]
    manifest = rows_of(full, "manifest.csv")
    for row in rows:
        of = [m for m in manifest if m["sequence_id"] == row["sequence_id"]]
        lat, lon = (np.array([float(m[c]) for m in of]) for c in ("list_lat_deg", "list_lon_deg"))
        way_km = geo.on_sphere_m(lat[:-1], lon[:-1], lat[1:], lon[1:]).sum() / 1000
        assert float(row["covered_km"]) == pytest.approx(way_km, abs=0.001)
        assert (row["lines"], row["images"], row["fetched"]) == ("50", "50", "50")
        assert int(row["panoramas"]) == sum(m["is_pano"] == "true" for m in of)


def test_a_whole_sequence_has_its_way_whatever_was_fetched_before(
    box: MapillarySandbox, tmp_path: Path
) -> None:
    run, ids = Run(box), ids_of(0, 50)
    assert run.lists(sequence_of(0), tmp_path / "fresh", picture_size="320").code == 0
    (tmp_path / "before.txt").write_text("\n".join([ids[40], ids[3], ids[20]]))
    run.lists(tmp_path / "before.txt", tmp_path / "out", picture_size="320")
    for names in (sequence_of(0), [str(tmp_path / "before.txt"), sequence_of(0)]):
        assert run.lists(names, tmp_path / "out", picture_size="320").code == 0
        (usual,), (row,) = (rows_of(tmp_path / name, "sequences.csv") for name in ("fresh", "out"))
        assert row == usual and row["lines"] == "50" and float(row["covered_km"]) > 0.1


def test_what_is_no_panorama_in_a_whole_sequence_is_named(
    box: MapillarySandbox, lists: Path, tmp_path: Path
) -> None:
    listed = Run(box).lists(lists, tmp_path / "listed", picture_size="320")
    whole = Run(box).lists([sequence_of(k) for k in range(4)], tmp_path / "whole", picture_size="320")
    assert len(whole.notes) == 1 and whole.notes == listed.notes


def test_what_is_no_panorama_among_panoramas_is_named(
    box: MapillarySandbox, lists: Path, tmp_path: Path
) -> None:
    done = Run(box).lists(lists, tmp_path / "out", picture_size="320")
    flat = [r["image_id"] for r in rows_of(tmp_path / "out", "manifest.csv") if r["is_pano"] == "false"]
    assert 0 < len(flat) <= 5
    (note,) = done.notes
    assert note.startswith(f"no panoramas, in sequences of which most are: {len(flat)} images") and all(
        id in note for id in flat
    )


def test_text_of_the_service_does_no_harm(
    box: MapillarySandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = '=\ud800HYPERLINK("http://x","y")\x1b[31m\r\n,"'
    for name in ("make", "model", "camera_type"):
        monkeypatch.setitem(sandbox_images._FIELDS, name, lambda i: evil)
    monkeypatch.setitem(sandbox_images._FIELDS, "creator", lambda i: {"username": "@SUM(1)"})
    (tmp_path / "ids.txt").write_text(ids_of(0, 1)[0])
    done = Run(box).lists(tmp_path / "ids.txt", tmp_path / "out", picture_size="1024")
    assert done.code == 0, done
    data = (tmp_path / "out" / "manifest.csv").read_bytes()
    assert b"\x1b" not in data and b"\r" not in data
    (row,) = csv.DictReader(io.StringIO(data.decode()))
    for name in ("make", "model", "camera_type", "creator"):
        assert row[name] and row[name][0] not in "=@+-", row


def test_without_arrow_there_is_no_parquet_and_a_note(
    box: MapillarySandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: Any = None
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, missing)
    (tmp_path / "ids.txt").write_text(ids_of(0, 1)[0])
    done = Run(box).lists(tmp_path / "ids.txt", tmp_path / "out", picture_size="1024")
    assert done.code == 0 and done.counts == {"fetched": 1}, done
    assert any("manifest.parquet" in note and "camtrail[tables]" in note for note in done.notes), done.notes
    assert not (tmp_path / "out" / "manifest.parquet").exists()
    Folder(tmp_path / "out").is_consistent()
