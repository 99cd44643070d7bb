"""`camtrail video jobs` and `camtrail video labels`, in the words that are documented."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from camio_cloud import TOKEN, Cloud, image, job
from camtrail.core.clock import RealClock
from camtrail.core.secrets import Secret
from camtrail.services.camio import wire
from camtrail.services.camio.client import Box, Client, Storage
from camtrail.services.camio.sandbox import CamioSandbox
from camtrail.transfer.http import Http
from camtrail.transfer.line import Body

CAMERAS = ("front", 'back "door"', "Küche")
START = "2016-10-09T12:02:37.000"
LONG_S = 60.0


def content(camera: str) -> bytes:
    return f"a video of {camera}".encode() * 50


def sha1(camera: str) -> str:
    return hashlib.sha1(content(camera)).hexdigest()


def imported(box: CamioSandbox) -> str:
    """The id of a job with one video of each camera, all of which the service has."""
    device = box.environment()["CAMIO_BOX_DEVICE_ID"]
    items = [wire.Item(sha1(c), f"{c}.mp4", len(content(c))) for c in CAMERAS]
    http = Http((box.url, box.box_url, box.storage_url), user_agent="tests", clock=RealClock())
    with http:
        cloud = Client(http, box.url, Secret(TOKEN))
        cloud.put_cameras({wire.local_camera_id(c): wire.camera(device, c, "PLUS", {}) for c in CAMERAS})
        known = cloud.cameras()
        made = cloud.create_job(
            wire.job_request(device, items, [(START, LONG_S)] * len(items), list(known.values()))
        )
        for camera in CAMERAS:
            data = content(camera)
            Box(http, box.box_url, Secret(device)).post_content(
                local_camera_id=wire.local_camera_id(camera),
                camera_id=known[wire.local_camera_id(camera)]["camera_id"],
                sha1=sha1(camera),
                timestamp=START,
                body=Body(len(data), lambda data=data: iter([data])),
            )
        (shard,) = made.shards
        Storage(http).put_manifest(shard.upload_url or "", wire.manifest(made.id, shard.id, items))
    return made.id


@pytest.fixture(scope="module")
def box() -> Iterator[CamioSandbox]:
    with CamioSandbox() as made:
        yield made


@pytest.fixture(scope="module")
def job_id(box: CamioSandbox) -> str:
    return imported(box)


@pytest.fixture
def env(box: CamioSandbox) -> dict[str, str]:
    return {**box.environment(), "CAMIO_OAUTH_TOKEN": TOKEN}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Two pictures of one millisecond, by two cameras."""
    both = image("12:00:01.000", "dog"), image("12:00:01.000", "cat", camera="rear", event="e2")
    with Cloud(*both) as made:
        yield made


def to(cloud: Cloud) -> dict[str, str]:
    return {"CAMIO_SERVER_URL": cloud.url, "CAMIO_OAUTH_TOKEN": TOKEN}


class TestARealJob:
    """One that was imported into the stand-in just now."""

    def test_watch_waits_and_every_video_has_its_labels(self, camtrail, box, env, tmp_path):
        fresh = imported(box)
        done = camtrail("video", "labels", fresh, "--watch", env=env)
        assert done.code == 0
        document = json.loads((tmp_path / f"{fresh}_results.json").read_text())
        assert document["job_id"] == fresh and document["complete"] is True
        parts = [p for e in document["labels"].values() for p in e.get("by_camera", {"": e}).values()]
        assert {p["camera_name"] for p in parts} == set(CAMERAS)
        assert {p["source"]["hash"] for p in parts} == {sha1(c) for c in CAMERAS}
        for part in parts:
            assert part["camera_id"].endswith(wire.local_camera_id(part["camera_name"]))
            assert part["source"]["hash"] in part["labels"]
            assert START[:16] <= part["earliest_date"] <= part["latest_date"]

    def test_the_documented_lines(self, camtrail, env, job_id, tmp_path):
        assert camtrail("video", "labels", job_id, "--watch", "-q", env=env).code == 0
        out = tmp_path / "home" / "outputfile.json"
        out.parent.mkdir()
        done = camtrail("video", "labels", "-v", job_id, out, env=env)
        assert done.code == 0 and json.loads(out.read_text())["labels"]
        assert out.read_bytes() == (tmp_path / f"{job_id}_results.json").read_bytes()
        done = camtrail(
            "video", "labels", "--access_token", TOKEN, "--csv", "--xml", "--testing", "--quiet", job_id, "o.csv",
            env={"CAMIO_SERVER_URL": env["CAMIO_SERVER_URL"]},
        )  # fmt: skip
        assert (done.code, done.out, done.err) == (0, "", "")
        rows = list(csv.DictReader(io.StringIO((tmp_path / "o.csv").read_text())))
        root = ET.fromstring((tmp_path / "o.xml").read_bytes())
        split = [
            p
            for e in json.loads(out.read_text())["labels"].values()
            for p in e.get("by_camera", {"": e}).values()
        ]
        assert len(rows) == sum(len(p["labels"]) for p in split) == len(list(root.iter("label")))
        assert int(root.get("count") or 0) == len(split)
        assert {r["label_kind"] for r in rows} >= {"color", "source"}

    def test_the_jobs_without_an_id(self, camtrail, env, job_id, tmp_path):
        done = camtrail("video", "labels", env=env)
        listed = json.loads((tmp_path / "job_list.json").read_text())
        assert done.code == 0 and "wrote job_list.json" in done.out and job_id in done.out
        assert listed[job_id].keys() == {
            "start_time", "end_time", "item_count", "status", "shard_count", "progress",
        }  # fmt: skip
        assert (listed[job_id]["start_time"], listed[job_id]["item_count"]) == (START, len(CAMERAS))
        assert camtrail("video", "labels", env=env).code == 0  # over its own file

    def test_jobs_and_one_of_them(self, camtrail, env, job_id, box, tmp_path):
        found = camtrail("video", "jobs", "--json", env=env).json["jobs"]
        assert job_id in {j["job_id"] for j in found}
        (document,) = [j for j in box.received()["jobs"] if j["job_id"] == job_id]
        shown = camtrail("video", "jobs", job_id, "--json", env=env).json["job"]
        assert shown["request"] == document["request"] and shown.keys() == document.keys()
        text = camtrail("video", "jobs", job_id, env=env).out
        assert f"job       {job_id}\n" in text and "  shard 0: 3 items, " in text
        table = camtrail("video", "jobs", "-o", "jobs.json", env=env).out
        assert max(map(len, table.splitlines())) <= 80
        assert job_id in json.loads((tmp_path / "jobs.json").read_text())


class TestOutputs:
    def test_standard_output_has_the_document_alone(self, camtrail, cloud):
        done = camtrail("video", "labels", "J1", "-", env=to(cloud))
        entry = json.loads(done.out)["labels"]["2016-10-09T12:00:01.000-0000"]
        assert done.code == 0 and "note: " in done.err
        assert {n: p["labels"] for n, p in entry["by_camera"].items()} == {"front": ["dog"], "rear": ["cat"]}
        done = camtrail("video", "labels", "J1", "-", "-c", "-q", env=to(cloud))
        assert [r["label"] for r in csv.DictReader(io.StringIO(done.out))] == [
            "dog",
            "cat",
        ] and done.err == ""
        done = camtrail("video", "jobs", "-o", "-", env=to(cloud))
        assert json.loads(done.out).keys() == {"J1"}

    def test_json_tells_what_was_done(self, camtrail, cloud, tmp_path):
        done = camtrail("video", "labels", "J1", "--json", "-x", env=to(cloud))
        answer = done.json
        assert answer["command"] == "video labels" and answer["outputs"] == ["J1_results.xml"]
        assert (answer["job_id"], answer["complete"]) == ("J1", True)
        assert answer["counts"] == {"bookmarks": 2, "cameras": 2, "events": 2, "labels": 2}
        assert (tmp_path / "J1_results.xml").exists() and not (tmp_path / "J1_results.json").exists()

    def test_a_white_list_from_the_line_and_from_a_file(self, camtrail, cloud, tmp_path):
        (tmp_path / "list").write_text('["dog"]')
        for given in (["-w", '["dog"]'], ["-f", "list"], ["--label_white_list_file", "list"]):
            done = camtrail("video", "labels", "J1", "-", "-c", *given, env=to(cloud))
            assert [r["label"] for r in csv.DictReader(io.StringIO(done.out))] == ["dog"]

    def test_an_interrupted_download_is_no_success(self, camtrail, cloud, tmp_path):
        cloud.page = 1
        cloud.images[1]["date_created"] = "2016-10-09T12:00:02.000-0000"
        cloud.set_faults(["status=401,path=/api/search,nth=2-"])
        done = camtrail("video", "labels", "J1", env=to(cloud))
        document = json.loads((tmp_path / "J1_results.json").read_text())
        assert done.code == 6 and document["complete"] is False and len(document["labels"]) == 1
        assert "J1: " in done.err and TOKEN not in done.err


class TestErrors:
    @pytest.mark.parametrize(
        "line",
        [
            ["labels", "J1", "a", "-o", "b"],
            ["labels", "J1", "a", "b"],
            ["labels", "J1", "-", "--json"],
            ["labels", "J1", "-", "-c", "-x"],
            ["labels", "-c"],
            ["labels", "-x"],
            ["labels", "--watch"],
            ["labels", "-o", "-", "--json"],
            ["labels", "J1", "-w", "dog"],
            ["labels", "J1", "--schema", "other"],
            ["jobs", "J1", "J2"],
            ["jobs", "J1", "-o", "x"],
            ["jobs", "-o", "-", "--json"],
        ],
    )
    def test_what_cannot_be_meant_is_a_usage_error(self, camtrail, cloud, line, tmp_path):
        done = camtrail("video", *line, env=to(cloud))
        assert done.code == 2 and list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("line", [["jobs"], ["jobs", "J1"], ["labels"], ["labels", "J1"]])
    def test_without_a_token_nothing_is_asked(self, camtrail, cloud, line):
        done = camtrail("video", *line, env={"CAMIO_SERVER_URL": cloud.url, "CAMIO_OAUTH_TOKEN": ""})
        assert done.code == 6 and "CAMIO_OAUTH_TOKEN" in done.err and cloud.requests() == []

    @pytest.mark.parametrize("verb", ["jobs", "labels"])
    def test_an_unknown_job_is_named_with_the_way_to_the_others(self, camtrail, cloud, verb, tmp_path):
        done = camtrail("video", verb, "J9", env=to(cloud))
        assert done.code == 3 and "there is no job J9; camtrail video jobs lists" in done.err
        assert list(tmp_path.iterdir()) == []

    def test_a_token_on_the_command_line_works_is_warned_about_and_never_shown(self, camtrail, cloud):
        done = camtrail("video", "labels", "-a", "wrong-token", "-v", "J1", env=to(cloud))
        assert done.code == 6 and "warning" in done.err and "CAMIO_OAUTH_TOKEN" in done.err
        assert "wrong-token" not in done.err + done.out
        done = camtrail("video", "jobs", "-a", TOKEN, env={"CAMIO_SERVER_URL": cloud.url})
        assert done.code == 0 and TOKEN not in done.err + done.out

    def test_no_service(self, camtrail):
        env = {"CAMIO_SERVER_URL": "http://127.0.0.1:1", "CAMIO_OAUTH_TOKEN": TOKEN}
        assert camtrail("video", "jobs", env=env).code == 5

    def test_a_file_of_somebody_else_stays(self, camtrail, cloud, tmp_path):
        (tmp_path / "J1_results.json").write_text('{"mine": 1}')
        done = camtrail("video", "labels", "J1", env=to(cloud))
        assert done.code == 11 and (tmp_path / "J1_results.json").read_text() == '{"mine": 1}'
        (tmp_path / "photo.jpg").write_bytes(b"a photo")
        assert camtrail("video", "jobs", "-o", "photo.jpg", env=to(cloud)).code == 11
        assert cloud.requests() == []
        assert camtrail("video", "labels", "J1", "--force", env=to(cloud)).code == 0


def test_the_zone_of_the_machine_changes_nothing(camtrail, cloud):
    cloud.jobs = [job(earliest_date="2016-10-09T05:00:00-07:00")]
    zones = ("America/Los_Angeles", "UTC", "Asia/Kolkata")
    found = [camtrail("video", "labels", "J1", "-", env={**to(cloud), "TZ": zone}).out for zone in zones]
    assert found[0] == found[1] == found[2] and json.loads(found[0])["labels"]
    tables = [camtrail("video", "jobs", env={**to(cloud), "TZ": zone}).out for zone in zones]
    assert tables[0] == tables[1] == tables[2] and "2016-10-09 12:00 - 13:00" in tables[0]
