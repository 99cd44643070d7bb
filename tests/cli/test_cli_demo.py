"""`camtrail demo`: the whole story runs, and nothing of the user's own is touched; the sample that it runs on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from camtrail.app import demo_sample
from camtrail.core.bytes import MemoryBytes
from camtrail.core.fs import RealFileSystem
from camtrail.metadata import isobmff

LOOPBACK = """
import json, os, sys
asked = open(os.environ["ASKED"], "a")
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        asked.write(json.dumps([event, str(arguments[1] if event == "socket.connect" else arguments[0])]) + "\\n")
        asked.flush()
sys.addaudithook(hook)
from camtrail.cli.main import main
main()
"""


@dataclass(frozen=True)
class Ran:
    """A demo that ran in a folder above which another collection has its state."""

    said: Any
    folder: Path
    home: Path
    above: Path
    asked: list[list[str]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One demo for all tests that only look at it."""
    above = tmp_path_factory.mktemp("pictures")
    home = tmp_path_factory.mktemp("nobody")
    (above / "own").mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CAMTRAIL_", "XDG_", "CAMIO_"))}
    env |= {"HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home)}
    # What would send to a real account, were it looked at.
    env |= {"MAPILLARY_TOKEN": "real-token", "INAT_TOKEN": "real-token", "CAMIO_OAUTH_TOKEN": "real-token"}
    env |= {"ASKED": str(above / "asked")}
    subprocess.run([sys.executable, "-m", "camtrail", "scan", "."], cwd=above, env=env, check=True)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOPBACK, "demo", "here", "--json"],
        cwd=above, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    asked = [json.loads(line) for line in (above / "asked").read_text().splitlines()]
    return Ran(json.loads(done.stdout), above / "here", home, above, asked)


def sums(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_every_step_comes_out_as_it_should(ran):
    assert [step["verdict"] for step in ran.said["steps"]] == ["ok"] * len(ran.said["steps"])
    assert ran.said["failures"] == [] and ran.said["notes"] == []
    by_about = {step["about"]: step["said"] for step in ran.said["steps"]}
    assert by_about["send it again: nothing is sent twice"] == "0 sent, 98 were there already"
    assert (
        by_about["take back what was written into the photos"] == "98 photos are byte for byte what they were"
    )
    assert "Red Fox" in by_about["find which photos are on iNaturalist, and write that into them"]


def test_its_pages_and_tables_are_there(ran):
    assert [os.path.basename(page) for page in ran.said["pages"]] == [
        "report.html", "inaturalist.html", "similar.html"
    ]  # fmt: skip
    for output in ran.said["outputs"]:
        assert (ran.above / output).stat().st_size > 100
    assert len(list((ran.folder / "downloaded").rglob("*.jpg"))) == 12
    assert json.loads((ran.folder / "labels.json").read_text())["job_id"]


def test_nothing_of_the_users_own_is_touched(ran):
    assert sums(ran.home) == {}
    assert {p.name for p in ran.above.iterdir()} == {"own", "here", ".camtrail", "asked"}
    assert (ran.folder / ".camtrail" / "catalog.sqlite").exists()
    assert (ran.folder / ".own" / "ledger.sqlite").exists()
    if os.name != "nt":
        assert (ran.folder / ".own").stat().st_mode & 0o077 == 0
    kept = b"".join(p.read_bytes() for p in (ran.above / ".camtrail").iterdir() if p.is_file())
    assert b"PHONE_" not in kept


def test_only_this_machine_is_asked(ran):
    hosts = [where for _, where in ran.asked]
    assert hosts and all("127.0.0.1" in where or "localhost" in where for where in hosts), hosts


def test_the_photos_are_what_they_were_but_for_what_is_on_inaturalist(ran, tmp_path):
    demo_sample.make(RealFileSystem(), str(tmp_path))
    fresh, now = sums(tmp_path), sums(ran.folder)
    changed = {name for name in fresh if now[name] != fresh[name]}
    assert changed == {f"walk/IMG_{n}.JPG" for n in (4, 5, 9, 16)}


OWN = {"process", "undo", "places", "similar", "dates"}
"""Verbs whose commands need no service, so that they can be typed again."""


def is_address(word: str) -> bool:
    return "=http://127.0.0.1:" in word


def test_no_command_of_it_reaches_a_real_service_as_it_stands(ran):
    lines = [line for step in ran.said["steps"] for line in step["commands"]]
    variables = {
        "mapillary": ["CAMTRAIL_MAPILLARY_URL"],
        "inaturalist": ["CAMTRAIL_INATURALIST_URL"],
        "video": ["CAMIO_SERVER_URL", "CAMIO_BOX_URL"],
    }
    seen = set()
    for line in lines:
        before, _, verb = line.partition("camtrail ")
        service = verb.split()[0]
        if service in variables and not verb.endswith(" null"):
            seen.add(service)
            assert [word.partition("=")[0] for word in before.split()] == variables[service]
            assert all(map(is_address, before.split()))
        else:
            assert before == ""
    assert seen == set(variables)


def test_its_commands_are_what_a_user_can_type(ran, tmp_path):
    typed = [shlex.split(line) for step in ran.said["steps"] for line in step["commands"]]
    typed = [list(dropwhile(is_address, words)) for words in typed]
    assert {words[1] for words in typed} == {*OWN, "demo", "sandbox", "mapillary", "inaturalist", "video"}
    env = {k: v for k, v in os.environ.items() if k != "CAMTRAIL_KEYRING"}
    for words in typed:
        assert words[0] == "camtrail"
        if words[1] not in OWN and words[1:3] != ["video", "import"]:
            continue
        if words[-1] != "null" and words[1] == "video":
            words.append("--regex-test")
        done = subprocess.run(
            [sys.executable, "-m", "camtrail", *words[1:]],
            cwd=ran.above, env=env, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)


def test_for_people_and_the_second_time_is_as_the_first(camtrail, tmp_path):
    first = camtrail("demo", "d")
    assert (first.code, first.err) == (0, "")
    assert "\x1b" not in first.out
    lines = first.out.splitlines()
    assert lines[-3:] == ["  d/report.html", "  d/inaturalist.html", "  d/similar.html"]
    assert "  $ camtrail process d --track d/ride/ride.gpx --report d/report.html" in lines
    assert any(
        line.endswith("start camtrail sandbox first, which prints what sends them to new ones.")
        for line in lines
    )

    (tmp_path / "d" / "downloaded" / "mine.txt").write_text("mine")
    again = camtrail("demo", "d")
    changing = re.compile(r"127\.0\.0\.1:\d+|All of it took .* s\.")
    assert changing.sub("", again.out) == changing.sub("", first.out)
    assert (tmp_path / "d" / "downloaded" / "mine.txt").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_what_it_forgets_is_its_own(camtrail, tmp_path):
    own = tmp_path / "d" / ".own"
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept.txt").write_text("kept")
    own.mkdir(parents=True)
    (tmp_path / "d" / ".camtrail-demo").write_text("A demo that was ended lies here.")
    (own / "away").symlink_to(other)
    (tmp_path / "d" / "downloaded").symlink_to(other)
    camtrail("demo", "d")
    assert (other / "kept.txt").read_text() == "kept"


@pytest.mark.skipif(os.name == "nt", reason="a browser is a shell script here")
def test_again_where_one_step_fails_quietly_and_with_a_browser(camtrail, ran, tmp_path):
    shutil.copytree(ran.folder, tmp_path / "d")
    (tmp_path / "d" / "similar.html").write_text("mine")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    ended = camtrail("demo", "d", "-q", "--open", env={"BROWSER": str(browser)})
    assert (ended.code, ended.out) == (11, "")
    assert ended.err == (
        "camtrail: find copies among the photos of the walk and the chat: d/similar.html: is there already and was not "
        "written by camtrail; move it away\n"
    )
    assert (tmp_path / "d" / "similar.html").read_text() == "mine"
    opened = (tmp_path / "opened").read_text().splitlines()
    assert opened == [(tmp_path / "d" / f"{name}.html").as_uri() for name in ("report", "inaturalist")]


def test_a_folder_with_something_else_in_it_is_left_alone(camtrail, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("a")
    ended = camtrail("demo", "mine")
    assert ended.code == 11 and "mine: has something else in it; name a folder that is empty" in ended.err
    assert sums(tmp_path / "mine") == {"a.txt": hashlib.sha256(b"a").hexdigest()}
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["a.txt"]
    assert camtrail("demo", "mine/a.txt").code == 7
    assert camtrail("demo", "one", "two").code == 2


# ---- the sample


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    demo_sample.make(RealFileSystem(), str(folder))
    return folder


def test_the_sample_is_the_same_each_time(made, tmp_path):
    told = demo_sample.make(RealFileSystem(), str(tmp_path))
    assert sums(made) == sums(tmp_path)
    photos = [p for p in tmp_path.rglob("*") if p.suffix.lower() == ".jpg" and ".services" not in p.parts]
    assert (told.photos, told.videos) == (len(photos), len(list(tmp_path.rglob("*.mp4"))))


def test_its_photos_can_be_looked_at(made):
    for path in made.rglob("*"):
        if path.suffix.lower() == ".jpg" and path.name != "cut-off.jpg":
            with Image.open(path) as image:
                image.load()
                assert image.width >= 160


def test_its_videos_can_be_looked_at(made):
    import av

    for path in sorted((made / "videos").iterdir()):
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 40
        said = isobmff.probe(MemoryBytes(path.read_bytes(), path.name))
        assert (said.container, said.codec, said.duration_s) == ("mp4", "h264", pytest.approx(4.0, abs=0.1))


def test_without_the_extra_its_videos_are_bare(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    told = demo_sample.make(RealFileSystem(), str(tmp_path))
    assert not told.is_playable
    for path in sorted((tmp_path / "videos").iterdir()):
        said = isobmff.probe(MemoryBytes(path.read_bytes(), path.name))
        assert (said.container, said.codec, said.duration_s, said.fps) == ("mp4", "h264", 4.0, 10.0)
        assert said.creation_s == float(path.stem.rpartition("-")[2])
        assert not said.is_truncated
