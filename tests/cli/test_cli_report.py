"""`report` and `process --report`: what is asked for is on the page."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrail.core.bytes import MemoryBytes
from camtrail.vision.decode import decode
from camtrail.vision.encode import jpeg_of
from photos import Shot, exif, segment


def data(path: Path) -> Any:
    """What the page's scripts read."""
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', path.read_text("utf-8"))
    return json.loads(found[1])


def policy(path: Path) -> str:
    return re.search(r'Content-Security-Policy" content="([^"]*)"', path.read_text("utf-8"))[1]


def embedded(page: Path) -> list[bytes]:
    found = re.findall(rb'src="data:image/jpeg;base64,([^"]*)"', page.read_bytes())
    return [base64.b64decode(data) for data in found]


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
    ended = camtrail(verb[0], photos, verb[1], "s.html", "--tiles", "https://{s}.example.org/{z}/{x}/{y}.png")
    assert ended.code == 2 and "it has {s}, which stands for one of several servers" in ended.err
    assert not (tmp_path / "s.html").exists()


def test_thumbnails_are_part_of_the_page_while_there_is_room(camtrail, tmp_path):
    """Of 500 photos at most, and as many as leave the page below 15 MB."""
    small = b"\xff\xd8\xff\xe0" + bytes(56_000) + b"\xff\xd9"
    folder = tmp_path / "many"
    folder.mkdir()
    photo = Shot(local="2026:05:09 10:00:00", thumbnail=small).bytes()
    for i in range(200):
        (folder / f"{i:03}.jpg").write_bytes(photo[:-40])  # its picture is cut, its thumbnail whole
    (folder / "whole.jpg").write_bytes(photo)
    camtrail("process", folder, "--report", "r.html")
    page = tmp_path / "r.html"
    assert page.stat().st_size < 15e6
    *own, made = embedded(page)
    assert own == [small] * (9_000_000 // len(small))
    assert len(made) < 5000, "one that is large is made anew where the picture is whole"
    assert "this page needs them where they are now" in page.read_text("utf-8")


def test_a_photo_without_a_thumbnail_gets_one(camtrail, tmp_path):
    """As its picture is stored, so that its orientation turns it as it turns the others; a damaged one gets none."""
    pixels = np.zeros((600, 800, 3), np.uint8)
    pixels[:300] = (200, 40, 40)
    picture, own = jpeg_of(pixels), jpeg_of(pixels[::8, ::8])
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "a-own.jpg").write_bytes(Shot(local="2026:05:09 10:00:00", thumbnail=own).bytes())
    (folder / "b-plain.jpg").write_bytes(picture)
    (folder / "c-cut.jpg").write_bytes(picture[: len(picture) // 2])
    turned = segment(0xE1, b"Exif\0\0" + exif({0x0112: (3, [6])}))
    (folder / "d-turned.jpg").write_bytes(picture[:2] + turned + picture[2:])
    camtrail("process", folder, "--report", "r.html")
    kept, made, stored = embedded(tmp_path / "r.html")
    assert kept == own
    seen = decode(MemoryBytes(made))
    assert (seen.width_px, seen.height_px) == (160, 120)
    assert np.abs(seen.pixels[30, 80].astype(int) - (200, 40, 40)).max() < 12
    assert stored == made
    text = (tmp_path / "r.html").read_text("utf-8")
    assert text.count('class="thumb"') == 2 and text.count('class="thumb o6"') == 1
    camtrail("report", folder, "-o", "s.html")
    assert embedded(tmp_path / "s.html") == [kept, made, stored]
