"""The public uploader, unmodified, takes the stand-in for the service."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox
from photos import Shot

START = datetime(2026, 5, 9, 8, 0, tzinfo=UTC)
COUNT = 5


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A short ride."""
    folder = tmp_path / "ride"
    folder.mkdir()
    for i in range(COUNT):
        moment = START + timedelta(seconds=5 * i)
        shot = Shot(
            local=moment.strftime("%Y:%m:%d %H:%M:%S"), offset="+00:00", lat_deg=47.37 + i * 1e-4, lon_deg=8.54,
            gps_time=moment, size=(40, 30),
        )  # fmt: skip
        (folder / f"{i}.jpg").write_bytes(shot.bytes())
    return folder


@pytest.fixture
def box() -> Iterator[MapillarySandbox]:
    with MapillarySandbox(keep=True) as made:
        yield made


Run = Callable[..., str]


def runner(command: list[str], folder: Path, box: MapillarySandbox) -> Run:
    env = {
        **os.environ,
        **box.environment(),
        "MAPILLARY_TOOLS_PROMPT_DISABLED": "YES",
        "MAPILLARY_CONFIG_PATH": str(folder / "config"),
        "MAPILLARY_UPLOAD_HISTORY_PATH": str(folder / "history"),
        "MAPILLARY_TOOLS_UPLOAD_CACHE_DIR": str(folder / "cache"),
        "PYTHONIOENCODING": "utf-8",
    }

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [*command, *map(str, arguments)], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 0, said
        return said

    return run


@pytest.fixture
def tools(tmp_path: Path, box: MapillarySandbox) -> Run:
    """Runs `mapillary_tools ARGUMENTS` as a user who has logged in."""
    run = runner([sys.executable, "-m", "mapillary_tools.commands"], tmp_path, box)
    said = run("authenticate", "--user_name", "profile", "--jwt", "tester")
    assert "'MAPSettingsUsername': 'tester'" in said
    return run


def arrived_once(box: MapillarySandbox) -> list[str]:
    """The names of the one finished sequence, all of whose images arrived and were published once."""
    got = box.received()
    (manifest,) = got["manifests"]
    assert manifest["times"] == 1 and manifest["cluster_id"]
    assert [i["times"] for i in got["images"]] == [1] * COUNT
    assert sorted(manifest["images"]) == sorted(i["name"] for i in got["images"])
    for image in got["images"]:
        data = box.content(image["name"])
        assert data is not None and hashlib.sha256(data).hexdigest() == image["sha256"]
        assert image["name"] == f"mly_tools_{hashlib.md5(data).hexdigest()}.jpg"
    assert (got["videos"], got["archives"], got["events"]) == ([], [], 1)
    return list(manifest["images"])


def test_process_and_upload(tools, box, photos):
    tools("process_and_upload", "--geotag_source", "native", photos)
    assert len(arrived_once(box)) == COUNT
    assert {r.status for r in box.requests()} == {200} and all(r.authorization for r in box.requests())


def test_process_then_upload_to_an_organisation(tools, box, photos):
    tools("process", "--geotag_source", "native", photos)
    tools("upload", "--organization_key", "12345", photos)
    arrived_once(box)
    assert box.received()["manifests"][0]["organization_id"] == "12345"


def test_what_went_wrong_is_sent_again(tools, box, photos):
    tools("process", "--geotag_source", "native", photos)
    box.set_faults(
        [
            "reset=1000,method=POST,path=/mapillary_public_uploads/*.jpg,nth=1",
            "lost,method=POST,path=/mapillary_public_uploads/*.jpg,nth=3",
            "status=429,body={\"backoff\":1},method=GET,path=/mapillary_public_uploads/*.jpg,nth=2",
            'json={"offset":99},method=GET,path=*.json,nth=1',
        ]
    )  # fmt: skip
    said = tools("upload", photos)
    arrived_once(box)
    faults = [r.fault for r in box.requests() if r.fault]
    assert len(faults) == 4, said
    assert any(int(r.offset or 0) == 1000 for r in box.requests())  # it went on where it was cut


def test_a_zip(tools, box, photos, tmp_path):
    tools("process", "--geotag_source", "native", photos)
    tools("zip", photos, tmp_path / "zips")
    (archive,) = (tmp_path / "zips").glob("*.zip")
    (tmp_path / "none.json").write_text("[]")
    tools("upload", "--desc_path", tmp_path / "none.json", archive)
    (got,) = box.received()["archives"]
    assert got["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest() and got["times"] == 1
    assert box.received()["images"] == box.received()["manifests"] == []


def test_our_description_is_taken(tools, box, photos, tmp_path):
    camtrail = runner([sys.executable, "-m", "camtrail"], tmp_path, box)
    description = tmp_path / "mapillary_image_description.json"
    camtrail("process", photos)
    camtrail("export", photos, "-o", description)
    assert len(json.loads(description.read_bytes())) == COUNT
    tools("upload", "--desc_path", description, photos)
    names = arrived_once(box)
    # In the order of capture: what was sent has the time of what lies here.
    sent = [box.content(name) or b"" for name in names]
    times = [(START + timedelta(seconds=5 * i)).strftime("%Y:%m:%d %H:%M:%S").encode() for i in range(COUNT)]
    assert [time in data for time, data in zip(times, sent, strict=True)] == [True] * COUNT
