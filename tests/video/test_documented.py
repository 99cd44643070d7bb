"""The documented command line against a stand-in for Camio, and the labels of its job in the documented forms."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from camtrail.services.camio.wire import local_camera_id

from .conftest import REGEX, SECONDS, START_S, TOKEN, environment, fill, name_of, sha1, video

EXAMPLES = Path(__file__).parents[2] / "examples" / "batch_import"
HOOKS = EXAMPLES / "camio_hooks.py"
SETTINGS = EXAMPLES / "samples" / "sample_hook_data.json"


def documented(folder):
    """As it is printed; the port is that of CAMIO_BOX_URL, whose host is the same."""
    return (
        "video", "import", "--regex", REGEX, "--hook_data_json_file", SETTINGS, folder, HOOKS, "127.0.0.1",
    )  # fmt: skip


@pytest.fixture
def videos(tmp_path):
    """Of two cameras, one of which the settings know."""
    folder = tmp_path / "input_videos"
    made = fill(folder, 2, "camera_name_1")
    (folder / "sub").mkdir()
    for n in (2, 3):
        (folder / "sub" / name_of(n, "office_street")).write_bytes(video(n))
        made[f"sub/{name_of(n, 'office_street')}"] = sha1(video(n))
    return folder, made


def test_the_documented_line_and_all_forms_of_its_labels(videos, camio, camtrail, tmp_path):
    folder, wanted = videos
    box = camio(state_s=0.1)
    env = environment(box)
    ended = camtrail(*documented(folder), env=env)
    assert ended.code == 0, ended.err
    *_, last = ended.out.splitlines()
    assert last.startswith("Job ID: ")
    job = last.removeprefix("Job ID: ")

    told = box.received()
    assert {v["sha1"]: (v["times"], v["name"]) for v in told["videos"]} == {
        key: (1, name) for name, key in wanted.items()
    }
    assert [(m["job_id"], m["item_count"], m["times"]) for m in told["manifests"]] == [(job, 4, 1)]
    assert told["leaks"] == []
    cameras = {c["name"]: c for c in told["cameras"].values()}
    plans = {n: c["actual_values"]["plan"]["options"][0]["value"] for n, c in cameras.items()}
    assert plans == {"camera_name_1": "PRO", "office_street": "PLUS"}
    (told_job,) = told["jobs"]
    request = told_job["request"]
    assert (request["item_count"], request["earliest_date"]) == (4, "2016-10-09T12:02:37.000")
    assert request["latest_date"].startswith(f"2016-10-09T12:05:{37 + SECONDS}")

    env_labels = {k: v for k, v in env.items() if k != "CAMIO_BOX_URL"}
    ended = camtrail("video", "labels", job, "out.json", "--watch", env=env_labels, timeout_s=30)
    assert ended.code == 0, ended.err
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["job_id"], written["earliest_date"]) == (job, "2016-10-09T12:02:37.000")
    entries = written["labels"]
    assert {e["source"]["hash"] for e in entries.values()} == set(wanted.values())
    assert {e["source"]["filename"] for e in entries.values()} == set(wanted)
    assert {e["camera"]["name"] for e in entries.values()} == {"camera_name_1", "office_street"}
    assert all(e["labels"] for e in entries.values()) and list(entries) == sorted(entries)
    assert {name[:10] for name in entries} == {"2016-10-09"}

    assert camtrail("video", "labels", "--csv", job, "out.csv", env=env_labels).code == 0
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == sum(len(e["labels"]) for e in entries.values())
    assert {row["source_hash"] for row in rows} == set(wanted.values())
    assert {row["job_id"] for row in rows} == {job}
    assert camtrail("video", "labels", "--xml", job, "out.xml", env=env_labels).code == 0
    root = ET.parse(tmp_path / "out.xml").getroot()
    assert (root.tag, root.get("job_id"), len(root)) == ("bookmarks", job, len(entries))
    assert {s.get("hash") for s in root.iter("source")} == set(wanted.values())

    again = camtrail(*documented(folder), env=env)
    assert again.code == 0 and again.out.splitlines() == ["        4  sent before", f"Job ID: {job}"]
    assert {v["times"] for v in box.received()["videos"]} == {1}


def test_the_built_in_hook_and_its_file_have_a_state_each(videos, camio, camtrail):
    folder, wanted = videos
    box = camio()
    env = environment(box)
    assert camtrail(*documented(folder), env=env).code == 0
    built_in = camtrail("video", "import", "-r", REGEX, folder, "camio", "--json", env=env)
    assert built_in.json["counts"] == {"sent": 4}
    assert len(box.received()["videos"]) == len(wanted)


def test_nothing_secret_is_said(videos, camio, camtrail):
    folder, _ = videos
    box = camio()
    env = environment(box)
    for more in (("-v",), ("--json", "-v")):
        ended = camtrail(*documented(folder), *more, env=env)
        assert ended.code == 0
        said = ended.out + ended.err
        assert TOKEN not in said and env["CAMIO_BOX_DEVICE_ID"] not in said
    state = (folder / ".camtrail" / "import.sqlite").read_bytes()
    assert TOKEN.encode() not in state and env["CAMIO_BOX_DEVICE_ID"].encode() not in state


def test_check_looks_at_all_and_sends_nothing(videos, camio, camtrail):
    folder, _ = videos
    box = camio()
    env = environment(box)
    ended = camtrail(*documented(folder), "--check", env=env)
    assert ended.code == 0, ended.out
    assert [line[:9] for line in ended.out.splitlines()] == [
        "  ok  tok",
        "  ok  dev",
        "  ok  box",
        "  ok  clo",
    ]
    bad = camtrail(*documented(folder), "--check", "--json", env={**env, "CAMIO_OAUTH_TOKEN": "other"})
    assert bad.code == 6 and bad.json["checks"][0]["ok"] is False
    assert box.received()["videos"] == box.received()["jobs"] == []


def test_without_a_token_it_says_what_to_set(videos, camio, camtrail):
    folder, _ = videos
    env = camio().environment()
    ended = camtrail(*documented(folder), env=env)
    assert ended.code == 6 and "CAMIO_OAUTH_TOKEN" in ended.err


def test_the_stand_in_of_the_command_line(videos, camtrail):
    folder, wanted = videos
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "camtrail", "sandbox", "camio", "--json"], stdout=subprocess.PIPE, text=True,
        env={**os.environ},
    )  # fmt: skip
    try:
        env = json.loads(sandbox.stdout.readline())["camio"]["env"]
        env = {**env, "CAMIO_OAUTH_TOKEN": TOKEN}
        ended = camtrail("video", "import", "-r", REGEX, folder, "camio", "--json", env=env)
        assert ended.code == 0 and ended.json["counts"] == {"sent": 4}
        (job,) = ended.json["jobs"]
        labels = camtrail("video", "labels", job, "-", "--watch", "-q", env=env, timeout_s=30)
        assert labels.code == 0
        assert {e["source"]["hash"] for e in labels.json["labels"].values()} == set(wanted.values())
    finally:
        sandbox.terminate()
        sandbox.wait(10)
        sandbox.stdout.close()


def test_cameras_are_known_by_the_hash_of_their_names():
    assert local_camera_id("C2_Hi") == "5f72bf2d11034854c0ff34ff54b8b0b74b138e50"
    assert local_camera_id("C2_Hi20161009") == "81219708c6fe2a5eb9cb35896b8ed78610ce9c6f"
    assert START_S == 1476014557
