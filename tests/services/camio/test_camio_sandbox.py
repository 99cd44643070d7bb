"""The stand-in for Camio answers as the batch importer's documentation and code say, on each of its three origins."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import InputError
from camtrail.services.camio.sandbox import CamioSandbox, Quirks
from camtrail.services.camio.sandbox_ends import Ends
from camtrail.services.camio.sandbox_events import milliseconds, scripted, stamp

START = "2016-10-09T12:02:37.000"
NOON_S = 1_476_014_557.0  # that, in POSIX seconds


class Fixed:
    """A clock that stands still."""

    def now_s(self) -> float:
        return NOON_S

    def monotonic_s(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None: ...


def sha1(data: bytes | str) -> str:
    return hashlib.sha1(data.encode() if isinstance(data, str) else data).hexdigest()


def footage(seconds: int) -> bytes:
    """An MP4 of H.264, larger than what the Box looks at of either end."""
    noise = np.random.default_rng(1)
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast", "qp": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for _ in range(seconds):
            picture = noise.integers(0, 255, (128, 160, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def values(**sizes_px: int) -> dict[str, Any]:
    plan = {"is_multiselect": False, "options": [{"name": "Plan", "value": "PLUS"}]}
    return {"plan": plan, **{k: {"options": [{"name": k, "value": v}]} for k, v in sizes_px.items()}}


def camera(name: str = "C2_Hi", **sizes_px: int) -> dict[str, Any]:
    return {
        "device_id_discovering": "box",
        "acquisition_method": "batch",
        "device_user_agent": "video-importer script",
        "local_camera_id": sha1(name),
        "name": name,
        "mac_address": name,
        "is_authenticated": True,
        "should_config": True,
        "actual_values": values(**sizes_px),
        "default_values": values(**sizes_px),
    }


class Client:
    """What a batch importer says to a sandbox."""

    def __init__(self, box: CamioSandbox, token: str = "tester") -> None:
        self.box = box
        self.headers = {"Authorization": f"token {token}"} if token else {}
        self.answered: dict[str, str] = {}  # headers of the last answer

    def ask(
        self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        parts = urlsplit(url)
        line = http.client.HTTPConnection(parts.netloc, timeout=30)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            line.request(method, url.partition(parts.netloc)[2], data, headers or {})
            answer = line.getresponse()
            got = answer.read()
        finally:
            line.close()
        self.answered = dict(answer.getheaders())
        return answer.status, json.loads(got) if "json" in answer.getheader("Content-Type", "") else got

    def cloud(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self.ask(method, self.box.url + path, body, self.headers)

    def told(self, path: str, body: Any = None) -> tuple[int, Any]:
        return self.ask("GET" if body is None else "POST", f"{self.box.url}/_sandbox/{path}", body)

    def register(self, name: str = "C2_Hi", **sizes_px: int) -> dict[str, Any]:
        status, answer = self.cloud("POST", "/api/cameras/discovered", {sha1(name): camera(name, **sizes_px)})
        assert status == 200
        found: dict[str, Any] = answer[sha1(name)]
        return found

    def request(self, count: int = 1, average_bytes: int = 160, **more: Any) -> dict[str, Any]:
        return {
            "device_id": "box",
            "item_count": count,
            "item_average_size_bytes": average_bytes,
            "earliest_date": START,
            "latest_date": "2016-10-09T12:12:36.993000",
            "cameras": list(self.cloud("GET", "/api/cameras/discovered")[1].values()),
            **more,
        }

    def job(self, count: int = 1, average_bytes: int = 160) -> dict[str, Any]:
        status, answer = self.cloud("PUT", "/api/jobs", self.request(count, average_bytes))
        assert status == 200
        found: dict[str, Any] = answer
        return found

    def content(self, data: bytes, entry: dict[str, Any], **changed: Any) -> tuple[int, Any]:
        query = {
            "access_token": self.box.environment()["CAMIO_BOX_DEVICE_ID"],
            "local_camera_id": entry["local_camera_id"],
            "camera_id": entry["camera_id"],
            "hash": sha1(data),
            "timestamp": START,
            **changed,
        }
        query = {k: v for k, v in query.items() if v is not None}
        return self.ask("POST", f"{self.box.box_url}/box/content?{urlencode(query)}", data)

    def manifest(self, shard: dict[str, Any], *hashes: str, **changed: Any) -> tuple[int, Any]:
        return self.ask("PUT", shard["upload_url"], self.listed(shard, *hashes, **changed))

    def listed(self, shard: dict[str, Any], *hashes: str, **changed: Any) -> dict[str, Any]:
        files = {h: {"original_filename": f"{h[:4]}.mp4", "size_MB": 0.1} for h in hashes}
        names = {"job_id": shard["job_id"], "shard_id": shard["shard_id"]}
        return {**names, "item_count": len(files), "hash_map": files, **changed}

    def search(self, text: str = "all", date: str | None = START, **more: str) -> dict[str, Any]:
        query = {"text": text, **({"date": date} if date else {}), **more}
        status, answer = self.cloud("GET", f"/api/search?{urlencode(query)}")
        assert status == 200
        found: dict[str, Any] = answer
        return found

    def found(self, text: str = "all", **more: str) -> list[dict[str, Any]]:
        buckets: list[dict[str, Any]] = self.search(text, **more)["result"]["buckets"]
        return buckets


@pytest.fixture
def make() -> Iterator[Callable[..., Client]]:
    """Starts a sandbox, by default one whose time stands still."""
    boxes: list[CamioSandbox] = []

    def begin(**options: Any) -> Client:
        boxes.append(CamioSandbox(**{"virtual_clock": True, **options}))
        return Client(boxes[-1])

    yield begin
    for box in boxes:
        box.close()


@pytest.fixture
def client(make: Callable[..., Client]) -> Client:
    return make()


class TestImport:
    def test_the_documented_sequence(self, client: Client):
        data = b"a video"
        statuses = [client.cloud("POST", "/api/cameras/discovered", {sha1("C2_Hi"): camera()})[0]]
        status, cameras = client.cloud("GET", "/api/cameras/discovered")
        statuses.append(status)
        status, job = client.cloud("PUT", "/api/jobs", client.request())
        statuses.append(status)
        statuses.append(client.content(data, cameras[sha1("C2_Hi")])[0])
        shard = job["shard_map"]["0"]
        statuses.append(client.manifest(shard, sha1(data))[0])
        assert statuses == [200, 200, 200, 204, 200]
        received = client.box.received()
        assert received["videos"] == [
            {
                "name": f"{sha1(data)[:4]}.mp4",
                "bytes": 7,
                "sha256": hashlib.sha256(data).hexdigest(),
                "sha1": sha1(data),
                "camera_id": cameras[sha1("C2_Hi")]["camera_id"],
                "timestamp": START,
                "times": 1,
                "state": "received",
            }
        ]
        assert received["manifests"] == [
            {
                "job_id": job["job_id"], "shard_id": "0", "item_count": 1, "hashes": [sha1(data)], "times": 1,
            }
        ]  # fmt: skip
        assert [j["job_id"] for j in received["jobs"]] == [job["job_id"]]
        assert list(received["cameras"]) == [sha1("C2_Hi")] and received["leaks"] == []
        assert client.told("received") == (200, received)

    def test_states_follow_the_clock(self, client: Client):
        entry, job = client.register(), client.job()
        url = f"/api/jobs/{job['job_id']}"
        assert job["status"] == "shards_missing" and job["shard_map"]["0"]["status"] == "missing"
        client.manifest(job["shard_map"]["0"], sha1(b"x"))
        client.content(b"x", entry)
        seen = []
        for _ in range(4):
            one = client.cloud("GET", url)[1]
            state = client.box.received()["videos"][0]["state"]
            seen.append((state, one["shard_map"]["0"]["status"], one["status"], len(client.found()) > 0))
            assert client.told("clock", {"advance_s": 0.5})[0] == 200
        assert seen == [
            ("received", "running", "running", False),
            ("segmenting", "running", "running", False),
            ("events_ready", "running", "running", False),
            ("submitted", "complete", "complete", True),
        ]
        assert [j["status"] for j in client.cloud("GET", "/api/jobs")[1]] == ["complete"]

    def test_a_job_waits_for_all_that_its_manifest_lists(self, client: Client):
        entry, job = client.register(), client.job(2)
        client.content(b"x", entry)
        client.manifest(job["shard_map"]["0"], sha1(b"x"), sha1(b"y"))
        client.box.advance(60)
        url = f"/api/jobs/{job['job_id']}"
        assert client.cloud("GET", url)[1]["status"] == "running"
        client.content(b"y", entry)
        client.box.advance(60)
        assert client.cloud("GET", url)[1]["status"] == "complete"

    def test_by_itself_it_takes_seconds(self, make):
        client = make(virtual_clock=False)
        entry, job = client.register(), client.job()
        client.content(b"x", entry)
        client.manifest(job["shard_map"]["0"], sha1(b"x"))
        until_s = time.monotonic() + 10
        while client.cloud("GET", f"/api/jobs/{job['job_id']}")[1]["status"] != "complete":
            assert time.monotonic() < until_s
        assert client.found()

    def test_two_sandboxes_say_the_same(self, make):
        def said(client: Client) -> Any:
            entry, job = client.register(), client.job(3)
            client.content(b"x", entry)
            client.content(b"y", entry)
            client.manifest(job["shard_map"]["0"], sha1(b"x"), sha1(b"y"))
            client.box.advance(5)
            text = json.dumps([client.box.received(), client.search(), client.cloud("GET", "/api/devices")])
            return re.sub(r"127\.0\.0\.1:\d+", "HERE", text)

        assert said(make(clock=Fixed())) == said(make(clock=Fixed()))


class TestAccounts:
    @pytest.mark.parametrize(
        "path", ["/api/devices", "/api/jobs", "/api/jobs/1", "/api/search", "/api/nothing"]
    )
    @pytest.mark.parametrize("said", [None, "OAuth tester", "Bearer tester", "token", "token  "])
    def test_without_a_token(self, client: Client, path, said):
        headers = {"Authorization": said} if said else {}
        assert client.ask("GET", client.box.url + path, None, headers)[0] == 401

    def test_one_good_token(self, make):
        client = make(token="good-one")
        assert client.cloud("GET", "/api/devices")[0] == 401
        assert Client(client.box, "good-one").cloud("GET", "/api/devices")[0] == 200

    def test_each_has_its_own(self, client: Client):
        entry = client.register()
        job = client.job()
        client.content(b"x", entry)
        client.box.advance(5)
        other = Client(client.box, "somebody else")
        assert other.cloud("GET", f"/api/jobs/{job['job_id']}")[0] == 404
        assert other.cloud("GET", "/api/jobs") == (200, [])
        assert other.cloud("GET", "/api/cameras/discovered") == (200, {})
        assert other.found() == [] and client.found() != []

    def test_what_is_not_there(self, client: Client):
        assert client.cloud("GET", "/api/jobs/none")[0] == 404
        assert client.cloud("GET", "/api/nothing")[0] == 404
        assert client.cloud("DELETE", "/api/jobs")[0] == 404
        assert client.ask("GET", client.box.box_url + "/nothing")[0] == 404
        assert client.ask("GET", client.box.box_url + "/box/content")[0] == 405
        assert client.ask("PUT", client.box.storage_url + "/nothing")[0] == 404
        assert client.told("nothing")[0] == 404
        assert client.told("received", {})[0] == 404


class TestDevices:
    def test_one_by_default(self, client: Client):
        (device,) = client.cloud("GET", "/api/devices")[1]
        assert device["device_id"] == client.box.environment()["CAMIO_BOX_DEVICE_ID"]
        assert device["state"]["queue_stats"]["upload_queue_length"] == 0
        url = f"/api/devices/state/?device_id={device['device_id']}"
        actual = {"network_configuration_actual": {"ip_address": "127.0.0.1"}}
        assert client.cloud("GET", url) == (200, {"state": actual})
        assert client.cloud("GET", "/api/devices/state/?device_id=x")[0] == 404
        assert client.ask("GET", client.box.box_url + "/box/settings") == (
            200,
            {"device_id": device["device_id"], "user-agent": "sandbox"},
        )

    @pytest.mark.parametrize("count", [0, 3])
    def test_none_or_many(self, client: Client, count):
        client.box.set_quirks(devices=count)
        ids = [d["device_id"] for d in client.cloud("GET", "/api/devices")[1]]
        assert len(ids) == len(set(ids)) == count

    def test_an_address_that_comes_late(self, make):
        client = make(quirks=Quirks(address_missing=2))
        url = f"/api/devices/state/?device_id={client.box.environment()['CAMIO_BOX_DEVICE_ID']}"
        assert [bool(client.cloud("GET", url)[1]["state"]) for _ in range(3)] == [False, False, True]

    def test_the_queue_is_told(self, client: Client):
        client.content(b"x", client.register())
        (device,) = client.cloud("GET", "/api/devices")[1]
        assert device["state"]["queue_stats"]["upload_queue_length"] == 1


class TestCameras:
    def test_the_id_keeps_hexadecimal_digits_of_the_name(self, client: Client):
        entry = client.register("C2_Hi20161009")
        user, mac, local = entry["camera_id"].split(":")
        assert (user, mac) == (entry["user_id"], "C220161009")
        assert local == "81219708c6fe2a5eb9cb35896b8ed78610ce9c6f" == entry["local_camera_id"]
        assert entry["name"] == "C2_Hi20161009" and entry["tags"] == []

    @pytest.mark.parametrize(
        ("sizes_px", "height_px"),
        [
            ({"img_y_size_extraction": 300, "img_y_size": 720, "img_y_size_cover": 500}, 720),
            ({"img_y_size_extraction": 1080, "img_y_size": 720}, 1080),
            ({"img_y_size_cover": 500}, 500),
            ({"img_x_size": 500}, None),
        ],
    )
    def test_nothing_is_shown_larger_than_it_is_extracted(self, client: Client, sizes_px, height_px):
        entry = client.register(**sizes_px)
        for name in ("actual_values", "default_values"):
            found = entry[name].get("img_y_size_extraction")
            assert (found["options"][0]["value"] if found else None) == height_px

    def test_registering_again_changes_it(self, client: Client):
        first, second = client.register(), client.register(img_y_size=720)
        assert first["camera_id"] == second["camera_id"]
        assert second["actual_values"]["img_y_size"]["options"][0]["value"] == 720
        assert len(client.cloud("GET", "/api/cameras/discovered")[1]) == 1

    def test_the_older_form(self, client: Client):
        told = {
            "mine": {
                "device_id": "box", "acquisition_method": "batch", "user_id": "1", "local_camera_id": "mine",
                "name": "Front door", "mac_address": "DUMMYYVALUEE", "should_config": True,
            }
        }  # fmt: skip
        status, answer = client.cloud("POST", "/api/cameras/discovered", told)
        assert status == 200 and answer["mine"]["camera_id"].endswith(":DAEE:mine")

    @pytest.mark.parametrize(
        "changed",
        [
            {"name": None}, {"name": ""}, {"acquisition_method": None}, {"mac_address": 5},
            {"local_camera_id": "another"}, {"device_id_discovering": None}, {"device_id_discovering": 1},
            {"actual_values": None}, {"default_values": []}, {"actual_values": {}},
            {"actual_values": {"plan": "PLUS"}}, {"actual_values": {"plan": {"options": []}}},
            {"actual_values": {"plan": {"options": [{"name": "Plan", "value": "FREE"}]}}},
            {"default_values": {**values(), "img_y_size": {"options": [{"name": "img_y_size", "value": "9"}]}}},
            {"default_values": {**values(), "img_y_size": 720}},
        ],
    )  # fmt: skip
    def test_what_is_refused(self, client: Client, changed):
        entry = {k: v for k, v in {**camera(), **changed}.items() if v is not None}
        status, answer = client.cloud("POST", "/api/cameras/discovered", {sha1("C2_Hi"): entry})
        assert status == 400 and answer["error"] and "\n" not in answer["error"]
        assert client.cloud("GET", "/api/cameras/discovered") == (200, {})

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"x": 5}', b"[" * 100_000])
    def test_what_is_none(self, client: Client, body):
        assert client.cloud("POST", "/api/cameras/discovered", body)[0] == 400

    def test_one_that_is_seen_late(self, make):
        client = make(quirks=Quirks(camera_delay_s=10))
        local_id = sha1("C2_Hi")
        assert client.cloud("POST", "/api/cameras/discovered", {local_id: camera()}) == (200, {})
        client.box.advance(9)
        assert client.cloud("GET", "/api/cameras/discovered")[1] == {}
        client.box.advance(1)
        assert list(client.cloud("GET", "/api/cameras/discovered")[1]) == [local_id]


class TestJobs:
    @pytest.mark.parametrize(
        ("count", "average_bytes", "shards"),
        [
            (4099, 512, [2048, 2048, 3]),
            (25_000, 512, [2048] * 12 + [424]),
            (6554, 160, [6553, 1]),
            (2, 1 << 21, [1, 1]),
        ],
    )
    def test_items_are_dealt_to_shards(self, client: Client, count, average_bytes, shards):
        client.register()
        job = client.job(count, average_bytes)
        assert list(job["shard_map"]) == [str(i) for i in range(len(shards))]
        assert [s["item_count"] for s in job["shard_map"].values()] == shards
        assert {s["status"] for s in job["shard_map"].values()} == {"missing"}
        assert all(s["job_id"] == job["job_id"] and s["shard_id"] == i for i, s in job["shard_map"].items())

    @given(count=st.integers(1, 5000), most=st.integers(1, 700))
    def test_no_item_is_lost_and_no_shard_too_large(self, many: Client, count, most):
        many.box.set_quirks(shard_items=most)
        counts = [s["item_count"] for s in many.job(count)["shard_map"].values()]
        assert sum(counts) == count and all(0 < n <= most for n in counts)

    def test_what_was_asked_comes_back(self, client: Client):
        client.register()
        asked = client.request()
        assert client.cloud("PUT", "/api/jobs", asked)[1]["request"] == asked

    @pytest.mark.parametrize(
        "changed",
        [
            {"device_id": ""}, {"item_count": 0}, {"item_count": True}, {"item_average_size_bytes": "160"},
            {"item_average_size_bytes": 0}, {"earliest_date": "yesterday"}, {"latest_date": None},
            {"latest_date": "2016-10-09T12:02:36.999"}, {"cameras": []}, {"cameras": [{"camera_id": "1:2:3"}]},
            {"cameras": "C2_Hi"},
        ],
    )  # fmt: skip
    def test_what_is_refused(self, client: Client, changed):
        client.register()
        status, answer = client.cloud("PUT", "/api/jobs", client.request(**changed))
        assert status == 400 and "\n" not in answer["error"]
        assert client.cloud("GET", "/api/jobs") == (200, [])

    def test_the_same_job_twice_is_two(self, client: Client):
        client.register()
        assert client.job()["job_id"] != client.job()["job_id"]

    def test_a_status_that_lags(self, make):
        client = make(quirks=Quirks(lagging_status=True))
        entry, job = client.register(), client.job()
        client.manifest(job["shard_map"]["0"], sha1(b"x"))
        url = f"/api/jobs/{job['job_id']}"
        told = client.cloud("GET", url)[1]
        assert (told["status"], told["shard_map"]["0"]["status"]) == ("shards_missing", "running")
        client.content(b"x", entry)
        client.box.advance(5)
        assert client.cloud("GET", url)[1]["status"] == "complete"


@pytest.fixture(scope="module")
def many() -> Iterator[Client]:
    with CamioSandbox(virtual_clock=True) as box:
        client = Client(box)
        client.register()
        yield client


class TestBox:
    @pytest.mark.parametrize(
        ("changed", "status", "words"),
        [
            ({"access_token": None}, 401, "access_token"),
            ({"access_token": "another"}, 403, "access_token"),
            ({"access_token": "é"}, 403, "access_token"),
            ({"local_camera_id": None}, 400, "local_camera_id is missing"),
            ({"camera_id": ""}, 400, "camera_id is missing"),
            ({"hash": None}, 400, "hash is missing"),
            ({"timestamp": None}, 400, "timestamp is missing"),
            ({"local_camera_id": "another"}, 400, "the camera is not known"),
            ({"camera_id": "1:2:3"}, 400, "the camera is not known"),
            ({"hash": "5" * 40}, 400, "does not match"),
            ({"hash": "x" * 40}, 400, "no SHA-1"),
            ({"timestamp": "1476014557"}, 400, "timestamp is no"),
            ({"timestamp": "2016-10-09T12:02:37.000-0700"}, 400, "timestamp is no"),
            ({"timestamp": "2016-10-09T25:02:37"}, 400, "timestamp is no"),
        ],
    )
    def test_what_is_refused(self, client: Client, changed, status, words):
        got, answer = client.content(b"a video", client.register(), **changed)
        assert got == status and words in answer["error"] and "\n" not in answer["error"]
        assert client.box.received()["videos"] == []

    def test_nothing(self, client: Client):
        status, answer = client.content(b"", client.register())
        assert status == 400 and answer["error"] == "the body is empty"

    def test_the_same_again_is_accepted_and_counted(self, client: Client):
        entry = client.register()
        assert [client.content(b"x", entry)[0] for _ in range(3)] == [204] * 3
        client.box.advance(5)
        assert client.content(b"x", entry)[0] == 204
        client.box.advance(5)
        assert [(v["bytes"], v["times"]) for v in client.box.received()["videos"]] == [(1, 4)]
        assert len({b["bucket_id"] for b in client.found()}) == len(client.found())

    def test_a_full_queue(self, make):
        client = make(quirks=Quirks(queue_items=1, retry_after_s=7))
        entry = client.register()
        assert client.content(b"x", entry)[0] == 204
        assert client.content(b"y", entry)[0] == 429 and client.answered["Retry-After"] == "7"
        assert client.content(b"x", entry)[0] == 204
        client.box.set_quirks(retry_after_s=None)
        assert client.content(b"y", entry)[0] == 429 and "Retry-After" not in client.answered
        client.box.advance(1.5)
        assert client.content(b"y", entry)[0] == 204

    def test_bytes_are_kept_on_request(self, make):
        data = bytes(range(256)) * 5000
        for keep in (True, False):
            client = make(keep=keep)
            assert client.content(data, client.register())[0] == 204
            assert client.box.content(sha1(data)) == (data if keep else None)
            assert client.box.received()["videos"][0]["bytes"] == len(data)
        assert client.box.content("unknown") is None

    def test_a_body_that_breaks_off_is_nothing(self, client: Client):
        client.box.set_faults(["reset=1000,origin=box"])
        entry = client.register()
        with pytest.raises(OSError):
            client.content(bytes(5000), entry)
        assert client.box.received()["videos"] == []

    def test_a_token_of_the_cloud_is_noticed(self, client: Client):
        client.ask("GET", client.box.box_url + "/box/settings", None, client.headers)
        assert client.box.received()["leaks"] == [{"origin": "box", "method": "GET", "path": "/box/settings"}]


class TestStorage:
    @pytest.fixture
    def shard(self, client: Client) -> dict[str, Any]:
        client.register()
        found: dict[str, Any] = client.job()["shard_map"]["0"]
        return found

    def test_an_address_of_its_own_origin(self, client: Client, shard):
        assert shard["upload_url"].startswith(client.box.storage_url + "/storage/bij-")
        assert len({client.box.url, client.box.box_url, client.box.storage_url}) == 3

    def test_it_expires(self, client: Client, shard):
        expires_s = int(parse_qs(urlsplit(shard["upload_url"]).query)["Expires"][0])
        now_s = client.told("clock")[1]["now_s"]
        assert 1200 <= expires_s - now_s < 1201
        client.box.advance(1199)
        assert client.manifest(shard, sha1(b"x"))[0] == 200
        client.told("clock", {"advance_s": 2})
        status, answer = client.manifest(shard, sha1(b"x"))
        assert status == 403 and "expired" in answer["error"]

    def test_a_new_address(self, client: Client, shard):
        client.box.advance(2000)
        url = f"/api/jobs/{shard['job_id']}"
        assert client.cloud("GET", url)[1]["shard_map"]["0"]["upload_url"] == shard["upload_url"]
        client.box.set_quirks(fresh_urls=True, url_life_s=60)
        fresh = client.cloud("GET", url)[1]["shard_map"]["0"]
        assert client.manifest(fresh, sha1(b"x"))[0] == 200
        client.box.advance(62)
        assert client.manifest(fresh, sha1(b"x"))[0] == 403

    @pytest.mark.parametrize(
        "change",
        [
            lambda url: re.sub("Signature=.", "Signature=%00", url),
            lambda url: re.sub(r"Expires=\d+", "Expires=9999999999", url),
            lambda url: re.sub(r"Expires=\d+", "Expires=x", url),
            lambda url: url.partition("?")[0],
            lambda url: url.replace("-0?", "-1?"),
        ],
    )
    def test_another_address(self, client: Client, shard, change):
        assert client.manifest({**shard, "upload_url": change(shard["upload_url"])}, sha1(b"x"))[0] == 403
        assert client.ask("GET", shard["upload_url"])[0] == 403
        assert client.box.received()["manifests"] == []

    def test_a_token_is_refused_and_noticed(self, client: Client, shard):
        listed = client.listed(shard, sha1(b"x"))
        assert client.ask("PUT", shard["upload_url"], listed, client.headers)[0] == 400
        (leak,) = client.box.received()["leaks"]
        assert leak["origin"] == "storage" and "tester" not in json.dumps(leak)
        assert client.box.received()["manifests"] == []

    @pytest.mark.parametrize(
        "changed",
        [
            {"item_count": 2}, {"hash_map": {}}, {"hash_map": []}, {"hash_map": {"x": {}}, "item_count": 1},
            {"hash_map": {"A" * 40: {}}, "item_count": 1}, {"hash_map": {"5" * 40: 1}, "item_count": 1},
            {"job_id": "another"}, {"shard_id": "1"},
        ],
    )  # fmt: skip
    def test_a_manifest_that_is_wrong(self, client: Client, shard, changed):
        status, answer = client.manifest(shard, sha1(b"x"), **changed)
        assert status == 400 and "\n" not in answer["error"]
        assert client.box.received()["manifests"] == []

    @pytest.mark.parametrize("body", [b"", b"no JSON", b"[]"])
    def test_what_is_no_manifest(self, client: Client, shard, body):
        assert client.ask("PUT", shard["upload_url"], body)[0] == 400

    def test_again_is_accepted_and_counted(self, client: Client, shard):
        assert [client.manifest(shard, sha1(b"x"))[0] for _ in range(2)] == [200, 200]
        assert [m["times"] for m in client.box.received()["manifests"]] == [2]

    def test_answers_without_a_body(self, make):
        client = make(quirks=Quirks(bodyless=True))
        registered = client.cloud("POST", "/api/cameras/discovered", {sha1("C2_Hi"): camera()})
        assert registered == (204, b"")
        shard = client.job()["shard_map"]["0"]
        assert client.manifest(shard, sha1(b"x")) == (204, b"")


class TestEvents:
    def fill(self, client: Client, *names: str, per_camera: int = 1) -> dict[str, list[str]]:
        made: dict[str, list[str]] = {}
        for name in names:
            entry = client.register(name)
            for i in range(per_camera):
                data = f"{name} {i}".encode()
                at = datetime(2016, 10, 9, 12, 2, 37) + timedelta(minutes=i)
                client.content(data, entry, timestamp=at.isoformat(timespec="milliseconds"))
                made.setdefault(name, []).append(sha1(data))
        client.box.advance(5)
        return made

    def test_each_video_has_one_with_its_hash(self, client: Client):
        hashes = {h for hs in self.fill(client, "A", "B", per_camera=10).values() for h in hs}
        buckets = client.found(num_results="100")
        by_hash = {h: [b for b in buckets if h in b["labels"]] for h in hashes}
        assert all(by_hash.values()) and sum(map(len, by_hash.values())) == len(buckets)
        for bucket in buckets:
            dates = [i["date_created"] for i in bucket["images"]]
            assert dates == sorted(dates) and bucket["earliest_date"] == dates[0]
            assert bucket["latest_date"] == dates[-1] and bucket["count"] == len(dates)
            for image in bucket["images"]:
                assert re.fullmatch(r"2016-10-09T12:\d\d:\d\d\.\d{3}-0000", image["date_created"])
                assert image["source"] == bucket["source"] and hashes & set(image["labels"])
                assert any(label.startswith("_color_") for label in image["labels"])
        assert any(label.startswith("_ml_") for b in buckets for label in b["labels"])

    def test_pages_have_all_of_them_once_in_order(self, client: Client):
        self.fill(client, "A", "B b", per_camera=12)
        whole = client.found()
        for size in (1, 2, 7, 100):
            date, got = START, []
            while True:
                result = client.search(date=date, num_results=str(size))["result"]
                got += result["buckets"]
                assert len(result["buckets"]) <= size
                if not result["more_results"]:
                    break
                assert result["latest_date_considered"] > date
                date = result["latest_date_considered"]
            assert got == whole
        earliest = [b["earliest_date"] for b in whole]
        assert earliest == sorted(earliest) and len(whole) >= 24

    def test_a_hundred_at_most(self, client: Client):
        self.fill(client, "A", per_camera=70)
        result = client.search(num_results="1000")["result"]
        assert len(result["buckets"]) == 100 and result["more_results"]

    def test_what_a_text_asks_for(self, client: Client):
        made = self.fill(client, "front", 'back "yard" 1', "Küche&Co", per_camera=3)
        everything = client.found()
        assert everything == client.found("")
        for text, names in (
            ("front", {"front"}),
            ("all front ", {"front"}),
            ("all front Küche&Co", {"front", "Küche&Co"}),
            ('all "back \\"yard\\" 1"', {'back "yard" 1'}),
            ("all nowhere", set()),
            ("back", set()),
        ):
            assert {b["source"] for b in client.found(text)} == names, text
        one = made["front"][1]
        assert {one} == {h for b in client.found(one) for h in b["labels"] if h in made["front"]}
        label = next(x for x in everything[0]["labels"] if x.startswith("_color_"))
        assert client.found(f"all {label}") == [b for b in everything if label in b["labels"]]
        assert client.found(f"all front {label}") == [
            b for b in everything if label in b["labels"] and b["source"] == "front"
        ]
        assert client.search("front tag:box")["operations"]["upload_commands"]

    def test_dates(self, client: Client):
        self.fill(client, "A", per_camera=5)
        everything = client.found()
        third = everything[2]["earliest_date"]
        assert client.found(date=third) == everything[2:]
        assert client.found(date="2016-10-09T12:02:37 00:00") == everything
        assert client.cloud("GET", "/api/search?text=all&date=2016-10-09T12:02:37+00:00")[1]["result"][
            "buckets"
        ] == (everything)
        assert client.found(date="2016-10-09T05:02:37-07:00") == everything
        assert client.found(date="2030-01-01T00:00:00Z") == []
        assert client.search(date=None)["result"]["buckets"] == everything
        assert client.cloud("GET", "/api/search?text=all&date=today")[0] == 400

    def test_the_latest_first(self, client: Client):
        self.fill(client, "A", per_camera=5)
        everything = client.found()
        assert client.search(date=None, sort="desc")["result"]["buckets"] == everything[::-1]
        third = everything[2]["earliest_date"]
        assert client.found(date=third, sort="desc") == everything[2::-1]

    def test_quirks_of_searches(self, client: Client):
        self.fill(client, "A")
        usual = client.found()
        client.box.set_quirks(more_results=True)
        result = client.search()["result"]
        again = client.search(date=result["latest_date_considered"])["result"]
        assert result["more_results"] and again["more_results"]
        assert again["latest_date_considered"] == result["latest_date_considered"]
        client.box.set_quirks(more_results=False, beyond_range=True, empty_labels=True)
        first, *others = client.found("all A")
        assert first["latest_date"] < START and first["source"] == "A"
        assert [b["bucket_id"] for b in others] == [b["bucket_id"] for b in usual]
        assert all("" in i["labels"] for b in others for i in b["images"])

    @given(
        digest=st.binary(min_size=20, max_size=20),
        duration_s=st.none() | st.floats(0, 1e9, allow_nan=False),
    )
    def test_scripts_stay_within_the_video(self, digest, duration_s):
        start_ms = 1_476_014_557_000
        events = scripted(digest.hex(), "A", start_ms, duration_s)
        dates = [i.date_ms for e in events for i in e.images]
        assert dates == sorted(set(dates)) and dates[0] >= start_ms
        assert dates[-1] <= start_ms + max(0, round(min(duration_s or 60, 86_400) * 1000))
        again = scripted(digest.hex(), "A", start_ms, duration_s)
        assert [(e.id, [i.labels for i in e.images]) for e in events] == [
            (e.id, [i.labels for i in e.images]) for e in again
        ]

    @given(
        st.integers(0, 7_000_000_000_000),
        st.sampled_from(["-0000", "+00:00", "Z", "", " 00:00", "+0000"]),
    )
    def test_times_come_back(self, ms, zone):
        text = stamp(ms)
        assert len(text) == 28 and milliseconds(text.replace("-0000", zone)) == ms
        moment = datetime.fromtimestamp(ms // 1000, UTC)
        assert milliseconds(moment.isoformat()) == ms // 1000 * 1000

    @pytest.mark.parametrize(
        "text", ["", "2016", "2016-10-09", "2016-02-30T00:00:00", "1850-01-01T00:00:00", "x"]
    )
    def test_what_is_no_time(self, text):
        assert milliseconds(text) is None


class TestReplay:
    def bookmark(self, *labels: str, name: str = "A") -> dict[str, Any]:
        return {"camera": {"name": name}, "labels": list(labels)}

    def client(self, make: Any, folder: Any, *documents: Any) -> Client:
        for i, document in enumerate(documents):
            text = document if isinstance(document, str) else json.dumps(document)
            (folder / f"{i}.json").write_text(text, encoding="utf-8")
        client: Client = make(data=str(folder))
        return client

    def shown(self, client: Client) -> list[list[tuple[str, list[str]]]]:
        return [[(i["date_created"], i["labels"]) for i in b["images"]] for b in client.found(date=None)]

    def test_by_hash_with_gaps(self, make, tmp_path):
        h = sha1(b"x")
        labels = {
            f"2016-10-09T05:02:{s}-0000": self.bookmark("_color_red", h)
            for s in ("42.081", "50.081", "58.082")
        }
        client = self.client(make, tmp_path, {"job_id": "1", "labels": labels})
        entry = client.register("A")
        client.content(b"x", entry)
        client.content(b"unknown", entry)
        client.box.advance(5)
        one = sorted(["_color_red", h])
        assert self.shown(client) == [
            [("2016-10-09T05:02:42.081-0000", one), ("2016-10-09T05:02:50.081-0000", one)],
            [("2016-10-09T05:02:58.082-0000", one)],
        ]

    def test_by_camera_and_time(self, make, tmp_path):
        times = {
            "2016-10-09T12:02:36.999-0000",
            "2016-10-09T12:02:37.000-0000",
            "2016-10-09T12:03:36.999-0000",
        }
        labels: dict[str, Any] = {t: self.bookmark("_ml_human") for t in times}
        labels["2016-10-09T12:03:37.000-0000"] = self.bookmark("late")
        labels["2016-10-09T12:02:38.000-0000"] = self.bookmark("another", name="B")
        client = self.client(make, tmp_path, {"labels": labels}, "[1, 2]")
        client.content(b"x", client.register("A"))
        client.box.advance(5)
        one = sorted(["_ml_human", sha1(b"x")])
        assert self.shown(client) == [
            [("2016-10-09T12:02:37.000-0000", one)],
            [("2016-10-09T12:03:36.999-0000", one)],
        ]

    def test_two_cameras_at_one_moment(self, make, tmp_path):
        split = {"A": {"labels": ["red"]}, "B": {"labels": ["blue"]}}
        entry = {"by_camera": split, "cameras": {"A": {}, "B": {}}, "labels": ["blue", "red"]}
        client = self.client(make, tmp_path, {"labels": {"2016-10-09T12:02:40.000-0000": entry}})
        for name in "AB":
            client.content(name.encode(), client.register(name))
        client.box.advance(5)
        found = {b["source"]: b["labels"] for b in client.found()}
        assert found == {"A": sorted(["red", sha1(b"A")]), "B": sorted(["blue", sha1(b"B")])}
        assert client.found(num_results="1") == client.found()

    def test_two_videos_at_one_moment_keep_their_own_labels(self, make, tmp_path):
        split = {
            n: {"labels": [c], "source": {"hash": sha1(n.encode())}} for n, c in (("A", "red"), ("B", "blue"))
        }
        entry = {"by_camera": split, "source": {"hash": sha1(b"A")}, "labels": ["blue", "red"]}
        client = self.client(make, tmp_path, {"labels": {"2016-10-09T12:02:40.000-0000": entry}})
        for name in "AB":
            client.content(name.encode(), client.register(name))
        client.box.advance(5)
        found = {b["source"]: b["labels"] for b in client.found()}
        assert found == {"A": sorted(["red", sha1(b"A")]), "B": sorted(["blue", sha1(b"B")])}

    def test_a_video_covers_as_much_as_it_runs(self, make, tmp_path):
        data = footage(seconds=100)
        assert len(data) > 2 << 20
        times = [f"2016-10-09T12:0{m}-0000" for m in ("4:16.999", "4:17.000")]
        labels = {t: self.bookmark("_ml_human") for t in times}
        client = self.client(make, tmp_path, {"labels": labels})
        client.content(data, client.register("A"))
        client.box.advance(5)
        assert self.shown(client) == [[(times[0], sorted(["_ml_human", sha1(data)]))]]

    def test_as_people_write_it(self, make, tmp_path):
        h = sha1(b"x")
        entry = '{"cameras": {"A": {}}, "labels": ["%s",]}'
        text = '{"labels": {"2016-10-09T12:02:40.000-0000": ' + entry.replace("%s", h) + "}}}"
        client = self.client(make, tmp_path, text)
        client.content(b"x", client.register("A"))
        client.box.advance(5)
        assert self.shown(client) == [[("2016-10-09T12:02:40.000-0000", [h])]]

    def test_data_that_cannot_be_used(self, make, tmp_path):
        with pytest.raises(InputError, match="no folder"):
            make(data=str(tmp_path / "nowhere"))
        (tmp_path / "other.json").write_text("[]")
        with pytest.raises(InputError, match="has no bookmarks"):
            make(data=str(tmp_path))
        (tmp_path / "other.json").write_text('{"labels": ')
        with pytest.raises(InputError, match=r"other\.json.*is no JSON"):
            make(data=str(tmp_path))


class TestEnds:
    @given(
        sizes=st.lists(st.integers(1, 1_500_000), max_size=5),
        reads=st.lists(st.tuples(st.integers(0, 8_000_000), st.integers(0, 3_000_000)), max_size=4),
    )
    def test_both_ends_read_as_they_were(self, sizes, reads):
        data = (hashlib.sha256(repr(sizes).encode()).digest() * 250_000)[: sum(sizes)]
        ends, at = Ends(), 0
        for size in sizes:
            ends.add(memoryview(data)[at : at + size])
            at += size
        assert ends.size == len(data)
        mib = 1 << 20
        assert ends.read_at(0, mib) == data[:mib]
        assert ends.read_at(max(0, len(data) - mib), 2 * mib) == data[-mib:]
        for offset, n in reads:
            got, true = ends.read_at(offset, n), data[offset : offset + n]
            assert len(got) == len(true)
            assert all(a == b or b == 0 for a, b in zip(true[::997], got[::997], strict=True))


class TestClock:
    def test_it_stands_still(self, client: Client):
        first = client.told("clock")[1]
        assert client.told("clock")[1] == first and first["is_virtual"]
        assert client.told("clock", {"advance_s": 90.5})[1]["now_s"] == pytest.approx(first["now_s"] + 90.5)
        date = parsedate_to_datetime(client.answered["Date"])
        assert date.timestamp() == pytest.approx(first["now_s"] + 90.5, abs=1)

    def test_by_default_it_runs(self, make):
        client = make(virtual_clock=False)
        first = client.told("clock")[1]
        assert not first["is_virtual"] and abs(first["now_s"] - time.time()) < 60
        assert client.told("clock")[1]["now_s"] > first["now_s"]
        assert client.told("clock", {"advance_s": 1000})[1]["now_s"] > first["now_s"] + 1000

    @pytest.mark.parametrize(
        "body", [b"", b"5", b"{}", b'{"advance_s": -1}', b'{"advance_s": "5"}', b'{"advance_s": NaN}',
                 b'{"advance_s": true}', b'{"advance_s": 1e300}'],
    )  # fmt: skip
    def test_what_does_not_move_it(self, client: Client, body):
        before = client.told("clock")
        assert client.told("clock", body)[0] == 400 and client.told("clock") == before


class TestQuirks:
    def test_they_are_told_and_changed(self, client: Client):
        usual = client.told("quirks")[1]
        assert usual["devices"] == 1 and usual["shard_items"] is None
        changed = {"devices": 2, "shard_items": 7, "url_life_s": 60, "more_results": True}
        assert client.told("quirks", changed) == (200, {**usual, **changed})
        assert client.told("quirks")[1] == {**usual, **changed}

    @pytest.mark.parametrize(
        "said",
        [
            {"nonsense": 1}, {"devices": -1}, {"devices": None}, {"devices": True}, {"devices": 1.5},
            {"more_results": 1}, {"url_life_s": "5"}, {"retry_after_s": False}, [], "x",
            {"more_results": True, "nonsense": 1},
        ],
    )  # fmt: skip
    def test_what_is_none(self, client: Client, said):
        before = client.told("quirks")
        status, answer = client.told("quirks", said)
        assert status == 400 and answer["error"] and client.told("quirks") == before

    def test_from_code(self, client: Client):
        with pytest.raises(ValueError, match="there is no quirk 'nonsense'"):
            client.box.set_quirks(nonsense=1)

    def test_on_every_origin(self, client: Client):
        for url in (client.box.url, client.box.box_url, client.box.storage_url):
            for what in ("received", "clock", "quirks", "requests"):
                assert client.ask("GET", f"{url}/_sandbox/{what}")[0] == 200
        assert client.box.requests() == []


class TestFaults:
    def test_on_each_origin(self, client: Client):
        client.box.set_faults(
            [f"status=50{i},origin={name}" for i, name in enumerate(("cloud", "box", "storage"))]
        )
        assert client.cloud("GET", "/api/devices")[0] == 500
        assert client.ask("GET", client.box.box_url + "/box/settings")[0] == 501
        assert client.ask("PUT", client.box.storage_url + "/storage/x", b"{}")[0] == 502
        assert [(r.origin, r.status) for r in client.box.requests()] == [
            ("cloud", 500), ("box", 501), ("storage", 502),
        ]  # fmt: skip

    def test_an_answer_that_is_lost_was_done(self, client: Client):
        entry = client.register()
        client.box.set_faults(["lost,origin=box"])
        with pytest.raises(OSError):
            client.content(b"x", entry)
        assert [v["times"] for v in client.box.received()["videos"]] == [1]


class _Listener(BaseHTTPRequestHandler):
    """Keeps what it is told, and tells it on."""

    heard: list[Any]
    woken: threading.Semaphore

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.woken.release()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def listener() -> Iterator[tuple[str, list[Any], threading.Semaphore]]:
    heard: list[Any] = []
    woken = threading.Semaphore(0)
    kind = type("Listener", (_Listener,), {"heard": heard, "woken": woken})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/tasks/1", heard, woken
        server.shutdown()
        thread.join()


class TestHooks:
    def hook(self, client: Client, url: str, **more: Any) -> tuple[int, Any]:
        return client.cloud(
            "POST", "/api/users/me/hooks", {"callback_url": url, "type": "query_match", **more}
        )

    def test_the_registry(self, client: Client):
        status, made = self.hook(client, "http://example.com/x", parsed_query="1==1")
        assert status == 200 and made["callback_url"] == "http://example.com/x"
        assert client.cloud("GET", "/api/users/me/hooks") == (200, [made])
        assert Client(client.box, "other").cloud("GET", "/api/users/me/hooks") == (200, [])
        assert Client(client.box, "other").cloud("DELETE", f"/api/users/me/hooks/{made['id']}")[0] == 404
        assert client.cloud("DELETE", f"/api/users/me/hooks/{made['id']}")[0] == 204
        assert client.cloud("DELETE", f"/api/users/me/hooks?id={made['id']}")[0] == 404
        assert client.cloud("GET", "/api/users/me/hooks") == (200, [])

    @pytest.mark.parametrize(
        "changed",
        [
            {"type": "other"}, {"callback_url": 5}, {"callback_url": "nowhere"}, {"parsed_query": "1 +"},
            {"parsed_query": "open('x')"}, {"parsed_query": "secret == 1"}, {"parsed_query": "labels.sort"},
            {"parsed_query": "date.__class__ == 1"}, {"parsed_query": "1 + 1 == 2"}, {"parsed_query": "-1 < 0"},
            {"parsed_query": "not " * 5000 + "1"}, {"parsed_query": 5},
        ],
    )  # fmt: skip
    def test_what_is_refused(self, client: Client, changed):
        said = {"callback_url": "http://127.0.0.1:1/", "type": "query_match", **changed}
        assert client.cloud("POST", "/api/users/me/hooks", said)[0] == 400

    def test_events_that_match_are_told_and_labels_come_back(self, client: Client, listener):
        url, heard, woken = listener
        for name, query in (("A", "camera == 'A' and date.year >= 2016"), ("none", "'nothing' in labels")):
            assert self.hook(client, url, parsed_query=query)[0] == 200, name
        for name in "AB":
            client.content(name.encode(), client.register(name))
        client.box.advance(5)
        expected = client.found("A")
        for _ in expected:
            assert woken.acquire(timeout=30)
        assert {t["camera"] for t in heard} == {"A"} and len(heard) == len(expected)
        first = heard[0]
        assert [i["timestamp"] for i in first["images"]] == [i["date_created"] for i in expected[0]["images"]]
        assert first["images"][0]["type"] == "image/jpeg" and first["images"][0]["image_b64"]
        date = first["images"][0]["timestamp"]
        reply = {"status": "success", "labels": {date: {"cat": {"probability": 0.9}}}}
        assert client.ask("POST", first["callback_url"], reply)[0] == 200
        assert "cat" in client.found("A")[0]["images"][0]["labels"]
        assert client.ask("POST", first["callback_url"], {"labels": 5})[0] == 400
        assert client.ask("POST", client.box.url + "/hookreply/none", reply)[0] == 404

    def test_a_job_that_is_complete_is_told(self, client: Client, listener):
        url, heard, woken = listener
        assert self.hook(client, url, type="job_completed")[0] == 200
        entry, job = client.register(), client.job()
        client.content(b"x", entry)
        client.manifest(job["shard_map"]["0"], sha1(b"x"))
        client.box.advance(5)
        assert woken.acquire(timeout=30)
        assert [(t["type"], t["job_id"]) for t in heard] == [("job_completed", job["job_id"])]

    def test_only_this_machine_is_called(self, client: Client, listener):
        url, _, woken = listener
        elsewhere = url.replace("127.0.0.1", "127.0.0.2")
        self.hook(client, elsewhere)
        self.hook(client, url)
        client.content(b"x", client.register())
        client.box.advance(5)
        for _ in client.found():
            assert woken.acquire(timeout=30)
        assert len(client.cloud("GET", "/api/users/me/hooks")[1]) == 2
        client.box.close()
        received = client.box.received()
        here = next(h["id"] for h in received["hooks"] if h["callback_url"] == url)
        assert {(c["id"], c["status"]) for c in received["calls"]} == {(here, 200)}

    def test_interactions_are_kept(self, client: Client):
        assert client.cloud("POST", "/api/users/me/interactions", {"actions": [1]}) == (200, {})
        assert client.box.received()["interactions"] == [{"actions": [1]}]


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("shasum"), reason="needs curl and shasum")
def test_the_documented_shell_commands(client: Client, tmp_path):
    (tmp_path / "a video.mp4").write_bytes(b"a video")
    entry = client.register()
    registered = subprocess.run(
        ["curl", "-s", "-H", "Authorization: token tester", "--data-binary", "@-",
         client.box.url + "/api/cameras/discovered"],
        input=json.dumps({"mine": {**camera("mine"), "local_camera_id": "mine"}}).encode(),
        capture_output=True, check=True,
    )  # fmt: skip
    assert set(json.loads(registered.stdout)) == {"mine", entry["local_camera_id"]}
    printed = subprocess.run(
        ["shasum", "-b", "a video.mp4"], cwd=tmp_path, capture_output=True, check=True, text=True
    ).stdout
    query = (
        f"access_token={client.box.environment()['CAMIO_BOX_DEVICE_ID']}"
        f"&local_camera_id={entry['local_camera_id']}&camera_id={entry['camera_id']}"
        f"&hash={printed.split()[0]}&timestamp={START}"
    )
    posted = subprocess.run(
        ["curl", "-s", "-w", "%{http_code}", "--data-binary", "@a video.mp4",
         f"{client.box.box_url}/box/content?{query}"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    assert posted.stdout == b"204"
    assert [v["sha1"] for v in client.box.received()["videos"]] == [sha1(b"a video")]


def test_names_in_the_address_may_be_escaped_or_not(client: Client):
    entry = client.register("Küche & Co")
    assert client.content(b"x", entry)[0] == 204
    client.box.advance(5)
    text = quote('all "Küche & Co"', safe="")
    buckets = client.cloud("GET", f"/api/search?text={text}&date={quote(START)}")[1]["result"]["buckets"]
    assert buckets and {b["source"] for b in buckets} == {"Küche & Co"}
