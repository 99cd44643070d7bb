"""`report` and `process --report`: what is asked for is on the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from photos import Shot


def data(path: Path) -> Any:
    """What the page's scripts read."""
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', path.read_text("utf-8"))
    return json.loads(found[1])


def policy(path: Path) -> str:
    return re.search(r'Content-Security-Policy" content="([^"]*)"', path.read_text("utf-8"))[1]


def test_the_track_of_a_run_is_on_its_page(camtrail, photos, track, tmp_path):
    assert camtrail("process", photos, "--track", track, "--report", "r.html").code == 3  # one photo is none
    assert data(tmp_path / "r.html")["tracks"]["lat"]["n"] == 2


def test_a_track_is_drawn_afterwards(camtrail, photos, track, tmp_path):
    assert camtrail("process", photos).code == 3
    assert camtrail("report", photos, "-o", "r.html").code == 0
    assert data(tmp_path / "r.html")["tracks"]["lat"]["n"] == 0
    assert camtrail("report", photos, "-o", "r.html", "--track", track).code == 0
    assert data(tmp_path / "r.html")["tracks"]["lat"]["n"] == 2
    assert camtrail("report", photos, track, "-o", "s.html").code == 0
    assert data(tmp_path / "s.html") == data(tmp_path / "r.html")
    ended = camtrail("report", track, "-o", "r.html")
    assert ended.code == 2 and "no photo or folder is given" in ended.err
    ended = camtrail("report", photos, "-o", "r.html", "--track", "none.gpx")
    assert ended.code == 4 and "none.gpx" in ended.err


@pytest.mark.parametrize("verb", [("report", "-o"), ("process", "--report")])
def test_tiles_are_named_in_the_policy(camtrail, photos, tmp_path, verb):
    address = "https://tile.example.org/{z}/{x}/{y}.png"
    camtrail(verb[0], photos, verb[1], "r.html", "--tiles", address)
    assert data(tmp_path / "r.html")["tiles"] == address
    assert "img-src data: file: https://tile.example.org;" in policy(tmp_path / "r.html")
    ended = camtrail(
        verb[0], photos, verb[1], "s.html", "--tiles", "https://tile.example.org/{z}/{x}; script-src *"
    )
    assert ended.code == 2 and "is no address of map tiles" in ended.err
    assert not (tmp_path / "s.html").exists()


def test_thumbnails_are_part_of_the_page_while_there_is_room(camtrail, tmp_path):
    """Of 500 photos at most, and as many as leave the page below 15 MB."""
    small = b"\xff\xd8\xff\xe0" + bytes(56_000) + b"\xff\xd9"
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(200):
        (folder / f"{i:03}.jpg").write_bytes(Shot(local="2026:05:09 10:00:00", thumbnail=small).bytes())
    camtrail("process", folder, "--report", "r.html")
    page = tmp_path / "r.html"
    assert page.stat().st_size < 15e6
    embedded = page.read_bytes().count(b"data:image/jpeg;base64,")
    assert embedded == 9_000_000 // len(small)
    assert "this page needs them where they are now" in page.read_text("utf-8")
