"""`camtrail similar` as people call it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three pictures, and one of them twice."""
    folder = tmp_path / "album"
    folder.mkdir()
    for seed in range(3):
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"{seed}.jpg")
    shutil.copy(folder / "1.jpg", folder / "again.jpg")
    return folder


def test_groups_are_said_and_files_written(camtrail, album):
    done = camtrail("similar", "album", "-o", "out.csv", "-o", "out.json", "--output", "out.html")
    assert done.code == 0 and done.err == ""
    assert "best         album/1.jpg" in done.out and "same bytes   album/again.jpg" in done.out
    assert "wrote out.csv" in done.out
    rows = json.loads((album.parent / "out.json").read_text())
    assert [row["filepath"] for row in rows] == [f"album/{n}.jpg" for n in ("0", "1", "2", "again")]
    assert rows[3]["similar_images"] == ["album/1.jpg"]


def test_json_has_groups(camtrail, album):
    made = camtrail("similar", "album", "--json").json
    assert made["command"] == "similar"
    assert made["counts"] == {"pictures": 4, "groups": 1, "same_bytes": 1}
    (group,) = made["groups"]
    assert (group["kind"], group["best"]) == ("same_bytes", "album/1.jpg")
    assert [image["path"] for image in group["images"]] == ["album/1.jpg", "album/again.jpg"]


@pytest.mark.parametrize(
    "method", ["hash", "cosine", "approximate", "nearest_neighbors", "nearest-neighbors"]
)
def test_every_method_is_taken(camtrail, album, method):
    assert len(camtrail("similar", "album", "--method", method, "--json").json["groups"]) == 1


def test_nothing_is_changed(camtrail, album):
    before = {p.name: p.read_bytes() for p in album.glob("*.jpg")}
    camtrail("similar", "album", "-o", "out.html")
    assert {p.name: p.read_bytes() for p in album.glob("*.jpg")} == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("album", "-o", "out.txt"), 2),
        (("album", "--method", "magic"), 2),
        (("album", "--threshold", "2"), 2),
        (("album", "--embedder", "keras:a"), 2),
        (("nowhere",), 4),
        (("album", "--embedder", "onnx:nowhere.onnx"), 4),
        (("album", "-o", "taken.csv"), 11),
    ],
)
def test_misuse_has_its_code(camtrail, album, arguments, code):
    if "--embedder" in arguments and code == 4:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    (album.parent / "taken.csv").write_text("mine\n")
    done = camtrail("similar", *arguments)
    assert done.code == code and done.err.strip()


def test_a_picture_that_cannot_be_read_makes_3(camtrail, album):
    (album / "none.jpg").write_bytes(b"")
    done = camtrail("similar", "album", "--json")
    assert done.code == 3
    assert [f["path"] for f in done.json["failures"]] == ["album/none.jpg"]
    assert len(done.json["groups"]) == 1
