"""The built-in hook against the stand-in: cloud, Box and storage over real HTTP."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.app import camio_hook
from camtrail.app.camio_hook import CamioHook
from camtrail.app.null_hook import NullHook
from camtrail.core.bytes import MemoryBytes
from camtrail.core.clock import RealClock
from camtrail.core.errors import (
    AuthError,
    InputError,
    Rejected,
    SafetyRefusal,
    ServiceError,
    Unreachable,
    UsageError,
)
from camtrail.core.fs import RealFileSystem
from camtrail.services.camio.sandbox import CamioSandbox
from camtrail.services.camio.wire import local_camera_id
from camtrail.transfer.faultserver import FaultServer, json_reply
from camtrail.transfer.hooks import Hooks, Permanent, Retry, Video, resolve
from clocks import FakeClock

TOKEN = "canary-token-9"
EXAMPLE = Path(__file__).parents[2] / "examples" / "batch_import" / "camio_hooks.py"
MIB = 1 << 20


class Clock(FakeClock):
    """Tells the stand-in's time; sleeping moves both."""

    def __init__(self, sandbox):
        super().__init__()
        self.sandbox = sandbox
        self.ahead_s = 0.0

    def now_s(self):
        return RealClock().now_s() + self.at_s - 1_000_000.0 + self.ahead_s

    def sleep(self, seconds):
        super().sleep(seconds)
        self.sandbox.advance(seconds)


class Import:
    """An import that calls a hook as the engine does, its records in one dictionary."""

    def __init__(self, sandbox, folder, *, data=None, environment=None):
        self.sandbox = sandbox
        self.folder = folder
        self.clock = Clock(sandbox)
        self.data = data or {}
        self.environment = {"CAMIO_OAUTH_TOKEN": TOKEN, **sandbox.environment(), **(environment or {})}
        self.records = {}
        self.hooks = []
        self.hook = self.new_hook()

    def new_hook(self):
        """What a new run has."""
        hook = CamioHook(self.environment, self.clock, RealFileSystem(), random.Random(1))
        hook.videos = {key: Video(record) for key, record in self.records.items()}
        self.hooks.append(hook)
        hook.configure(self.data)
        return hook

    def close(self):
        for hook in self.hooks:
            hook.close()

    def add(self, *contents, camera="front", **more):
        """Files with these contents, and their records."""
        made = []
        for content in contents:
            sha1 = hashlib.sha1(content).hexdigest()
            path = self.folder / f"{camera}-{len(self.records)}.mp4"
            path.write_bytes(content)
            self.records[sha1] = {
                "camera": camera, "timestamp": "2016-10-09T12:02:37.000", "lat": None, "lng": None,
                "filename": str(path), "duration": 10.5, "key": sha1, "given_name": "x", "uploaded_on": None,
                "job_id": None, "shard_id": None, "size": len(content), "relative_name": path.name,
                "codec": "h264", "container": "mp4", **more,
            }  # fmt: skip
            made.append(self.records[sha1])
        return made

    def assign(self):
        for camera in {r["camera"] for r in self.records.values()}:
            self.hook.register_camera(camera, None, None)
        videos = {key: Video(record) for key, record in self.records.items()}
        return self.hook.assign([v for v in videos.values() if not v.job_id], videos)

    def submit(self, record):
        camera_id = self.hook.register_camera(record["camera"], None, None)["camera_id"]
        self.hook.submit(Video(record), camera_id, None, None)
        record["uploaded_on"] = "2026-01-01T00:00:00+00:00"

    def submit_all(self):
        for record in list(self.records.values()):
            if not record["uploaded_on"]:
                self.submit(record)

    def finish(self):
        self.hook.finish(
            sorted({(r["job_id"], r["shard_id"]) for r in self.records.values() if r["uploaded_on"]})
        )

    def run(self):
        job_id = self.assign()
        self.submit_all()
        self.finish()
        return job_id

    def manifests(self):
        return {(m["job_id"], m["shard_id"]): set(m["hashes"]) for m in self.sandbox.received()["manifests"]}

    def posts(self):
        return {v["sha1"]: v["times"] for v in self.sandbox.received()["videos"]}


@pytest.fixture
def sandbox():
    with CamioSandbox(keep=True) as sandbox:
        yield sandbox


@pytest.fixture
def importing(sandbox, tmp_path):
    """Makes imports into the stand-in, or another one."""
    with contextlib.ExitStack() as stack:

        def make(into=sandbox, **more):
            made = Import(into, tmp_path, **more)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def run(importing):
    return importing()


def hashes(records):
    return {r["key"] for r in records}


class TestAnImport:
    def test_sends_every_video_once_and_puts_its_list(self, run):
        records = run.add(b"one" * 1000, b"two" * 1000, b"x" * (3 * MIB + 5))
        job_id = run.run()
        assert run.posts() == {r["key"]: 1 for r in records}
        assert run.manifests() == {(job_id, "0"): hashes(records)}
        assert all(run.sandbox.content(r["key"]) == Path(r["filename"]).read_bytes() for r in records)
        run.sandbox.advance(60)
        assert run.sandbox.received()["jobs"][0]["status"] == "complete"

    def test_asks_for_a_job_that_spans_it(self, run):
        run.add(b"a", b"b", camera="front")
        run.add(b"c", camera="back", timestamp="2016-10-09T12:00:00.000", duration=None)
        run.assign()
        (job,) = run.sandbox.received()["jobs"]
        request = job["request"]
        assert request["item_count"] == 3
        assert request["earliest_date"] == "2016-10-09T12:00:00.000"
        assert request["latest_date"] == "2016-10-09T12:02:47.500000"
        assert {c["name"] for c in request["cameras"]} == {"front", "back"}

    def test_lists_names_relative_to_the_folder(self, run):
        (record,) = run.add(b"a", relative_name="sub/a.mp4")
        run.run()
        assert run.sandbox.received()["videos"][0]["name"] == "sub/a.mp4"
        assert str(run.folder) not in json.dumps(run.sandbox.received())
        assert record["registered_on"]

    def test_lists_whole_paths_where_that_is_wished(self, sandbox, importing):
        run = importing(data={"full_paths": True})
        (record,) = run.add(b"a")
        run.run()
        assert sandbox.received()["videos"][0]["name"] == record["filename"]

    def test_puts_the_lists_of_all_shards(self, run):
        run.sandbox.set_quirks(shard_items=1)
        records = run.add(*(b"%d" % i for i in range(13)))
        job_id = run.run()
        assert [r["shard_id"] for r in records] == [str(i) for i in range(13)]
        assert run.manifests() == {(job_id, r["shard_id"]): {r["key"]} for r in records}

    def test_leaks_no_token(self, run, caplog):
        with caplog.at_level(logging.DEBUG):
            run.add(b"a")
            run.run()
        assert run.sandbox.received()["leaks"] == []
        assert TOKEN not in caplog.text
        assert run.environment["CAMIO_BOX_DEVICE_ID"] not in caplog.text

    def test_that_is_done_does_nothing_more(self, run):
        run.add(b"a")
        job_id = run.run()
        before = len(run.sandbox.requests())
        run.hook = run.new_hook()
        assert run.assign() is None
        run.finish()
        asked = [(r.method, r.path) for r in run.sandbox.requests()[before:]]
        assert {method for method, _ in asked} <= {"GET"}
        assert run.manifests().keys() == {(job_id, "0")}


class TestCameras:
    def test_are_registered_with_their_own_values_before_those_for_all(self, sandbox, importing):
        data = {
            "plan": "Basic", "img_x_size": 640, "img_y_size": 480, "img_y_size_extraction": 600, "img_y_size_cover": 0,
            "cameras": {"front": {"plan": "pro", "img_x_size": 1280, "img_y_size": None, "img_y_size_cover": 1080}},
        }  # fmt: skip
        run = importing(data=data)
        values = {}
        for name in ("front", "back"):
            actual = run.hook.register_camera(name, None, None)["actual_values"]
            values[name] = {key: v["options"][0]["value"] for key, v in actual.items()}
        assert values == {
            "front": {
                "plan": "PRO", "img_x_size": 1280, "img_y_size": 480, "img_y_size_cover": 1080, "img_y_size_extraction": 1080,
            },
            "back": {"plan": "BASIC", "img_x_size": 640, "img_y_size": 480, "img_y_size_extraction": 600},
        }  # fmt: skip

    def test_without_a_plan_get_plus_and_a_warning(self, run, caplog):
        entry = run.hook.register_camera("front", None, None)
        assert entry["actual_values"]["plan"]["options"][0]["value"] == "PLUS"
        assert "PLUS" in caplog.text

    def test_that_are_as_they_should_be_are_left_alone(self, run):
        first = run.hook.register_camera("front", None, None)
        assert run.new_hook().register_camera("front", None, None) == first
        assert [r.method for r in run.sandbox.requests()].count("POST") == 1
        run.data = {"plan": "pro"}
        run.new_hook().register_camera("front", None, None)
        assert [r.method for r in run.sandbox.requests()].count("POST") == 2

    def test_are_waited_for_once(self, run):
        run.sandbox.set_quirks(camera_delay_s=10.0)
        assert run.hook.register_camera("front", None, None)["name"] == "front"
        assert run.clock.slept == [15.0]

    def test_that_never_appear_are_named(self, run):
        run.sandbox.set_quirks(camera_delay_s=1000.0)
        with pytest.raises(ServiceError, match="front"):
            run.hook.register_camera("front", None, None)

    @pytest.mark.parametrize("name", ['two words & "more"', "冫ü", "a+b%2F#?"])
    def test_may_have_any_name(self, run, name):
        (record,) = run.add(b"a", camera="x")
        record["camera"] = name
        run.run()
        assert run.posts() == {record["key"]: 1}
        assert local_camera_id(name) in run.sandbox.received()["cameras"]

    def test_that_no_video_has_are_said(self, sandbox, importing, caplog):
        run = importing(data={"cameras": {"fornt": {}}, "plan": "pro", "colour": 1})
        run.hook.configure({"registered_cameras": [run.hook.register_camera("front", None, None)]})
        assert "fornt" in caplog.text and "colour" in caplog.text


class TestTheAccount:
    def test_without_a_token_ends_with_6(self, sandbox, importing):
        run = importing(environment={"CAMIO_OAUTH_TOKEN": ""})
        with pytest.raises(AuthError, match="CAMIO_OAUTH_TOKEN") as e:
            run.hook.register_camera("front", None, None)
        assert e.value.exit_code == 6

    def test_may_have_its_token_in_the_hook_data(self, importing):
        with CamioSandbox(token="the-right-one") as sandbox:
            run = importing(sandbox, data={"access_token": "the-right-one"})
            assert run.hook.register_camera("front", None, None)["name"] == "front"

    def test_with_one_box_needs_not_say_which(self, sandbox, importing):
        run = importing(environment={"CAMIO_BOX_DEVICE_ID": ""})
        run.add(b"a")
        run.run()
        assert len(run.posts()) == 1

    def test_with_several_boxes_must_say_which(self, sandbox, importing):
        sandbox.set_quirks(devices=2)
        run = importing(environment={"CAMIO_BOX_DEVICE_ID": ""})
        with pytest.raises(UsageError) as e:
            run.hook.register_camera("front", None, None)
        assert "Box 1" in str(e.value) and "Box 2" in str(e.value) and "CAMIO_BOX_DEVICE_ID" in str(e.value)

    def test_with_no_box_is_told_so(self, sandbox, importing):
        sandbox.set_quirks(devices=0)
        run = importing(environment={"CAMIO_BOX_DEVICE_ID": ""})
        with pytest.raises(UsageError, match="no Camio Box"):
            run.hook.register_camera("front", None, None)


class TestAddresses:
    @pytest.mark.parametrize(
        ("data", "environment", "origin"),
        [
            ({}, {}, "https://www.camio.com"), ({"test": True}, {}, "https://test.camio.com"),
            ({"test": True}, {"CAMIO_SERVER_URL": "http://127.0.0.1:5"}, "http://127.0.0.1:5"),
            ({"server_url": "https://a.example/x"}, {"CAMIO_SERVER_URL": "http://127.0.0.1:5"}, "https://a.example"),
        ],
    )  # fmt: skip
    def test_of_the_cloud(self, data, environment, origin):
        with contextlib.closing(CamioHook(environment)) as hook:
            hook.configure(data)
            assert hook.origin() == origin

    @pytest.mark.parametrize(
        ("host", "port", "data", "environment", "url"),
        [
            ("192.168.1.57", None, {}, "", "http://192.168.1.57:8080"),
            ("192.168.1.57", "81", {}, "", "http://192.168.1.57:81"),
            ("192.168.1.57:82", None, {}, "", "http://192.168.1.57:82"),
            ("http://box.local:83", None, {"ip_address": "10.0.0.1"}, "http://10.0.0.2:9", "http://box.local:83"),
            ("http://box.local", None, {}, "", "http://box.local:8080"),
            ("https://box.local", None, {}, "", "https://box.local"),
            ("127.0.0.1", None, {}, "http://127.0.0.1:9", "http://127.0.0.1:9"),
            ("127.0.0.1", None, {}, "http://127.0.0.2:9", "http://127.0.0.1:8080"),
            ("127.0.0.1", "84", {}, "http://127.0.0.1:9", "http://127.0.0.1:84"),
            ("fe80::1", None, {}, "", "http://[fe80::1]:8080"),
            ("[::1]:85", None, {}, "", "http://[::1]:85"),
            (None, None, {"ip_address": "10.0.0.1"}, "http://10.0.0.2:9", "http://10.0.0.1:8080"),
            (None, "86", {"ip_address": "10.0.0.1"}, "", "http://10.0.0.1:86"),
            (None, None, {}, "http://10.0.0.2:9/", "http://10.0.0.2:9"),
            (None, "87", {}, "http://10.0.0.2:9", "http://10.0.0.2:87"),
        ],
    )  # fmt: skip
    def test_of_the_box(self, host, port, data, environment, url):
        hook = CamioHook({"CAMIO_BOX_URL": environment})
        hook.configure(data)
        assert hook._box_url(host, port) == url

    @pytest.mark.parametrize("host", ["ftp://x", "a b", "http://u:p@h", "h:99999", "h:port", "http://h/?q"])
    def test_that_are_none_are_refused(self, host):
        with pytest.raises(UsageError):
            CamioHook({})._box_url(host, None)

    def test_of_the_box_may_come_from_the_cloud(self, sandbox, importing):
        run = importing(environment={"CAMIO_BOX_URL": ""})
        assert run.hook._box_url(None, None) == "http://127.0.0.1:8080"
        sandbox.set_quirks(address_missing=100)
        with pytest.raises(UsageError, match="where the Box is"):
            run.hook._box_url(None, None)

    @pytest.mark.parametrize(
        ("server", "upload", "good"),
        [
            ("https://www.camio.com", "https://storage.googleapis.com/b?Expires=1", True),
            ("https://www.camio.com", "http://storage.googleapis.com/b", False),
            ("https://www.camio.com", "https://127.0.0.1/b", False),
            ("https://www.camio.com", "https://169.254.169.254/b", False),
            ("https://www.camio.com", "https://localhost/b", False),
            ("http://127.0.0.1:5", "http://127.0.0.1:6/b", True),
            ("http://127.0.0.1:5", "file:///etc/passwd", False),
            ("https://www.camio.com", "https://s.example/b#x", False),
        ],
    )  # fmt: skip
    def test_of_the_storage_are_judged(self, server, upload, good):
        hook = CamioHook({"CAMIO_SERVER_URL": server})
        with contextlib.nullcontext() if good else pytest.raises((SafetyRefusal, ServiceError)):
            hook._storage(upload)
        hook.close()


class TestVideos:
    @pytest.mark.parametrize(
        ("codec", "container"), [("hevc", "mp4"), ("h264", "avi"), ("mjpeg", "avi"), ("h264", "mov")]
    )
    def test_that_no_box_takes_are_never_posted(self, run, codec, container):
        good, bad = run.add(b"good"), run.add(b"bad", codec=codec, container=container)
        job_id = run.assign()
        assert bad[0]["job_id"] is None
        run.submit(good[0])
        with pytest.raises(Permanent) as e:
            run.submit(bad[0])
        assert e.value.code == "unsupported_for_backend" and e.value.exit_code == 3
        run.finish()
        assert run.posts() == {good[0]["key"]: 1}
        assert run.manifests() == {(job_id, "0"): hashes(good)}

    @pytest.mark.parametrize(
        ("codec", "container"), [(None, None), ("h264", None), (None, "mp4"), ("h264", "m4v")]
    )
    def test_that_may_be_what_a_box_takes_are_posted(self, run, codec, container):
        run.add(b"good", codec=codec, container=container)
        run.run()
        assert len(run.posts()) == 1

    @pytest.mark.parametrize("size_bytes", [7, MIB, 3 * MIB, 3 * MIB + 1])
    @pytest.mark.parametrize("change", ["last byte", "first byte", "shorter", "longer"])
    def test_that_were_changed_since_are_never_taken(self, run, size_bytes, change):
        content = random.Random(size_bytes).randbytes(size_bytes)
        (record,) = run.add(content)
        run.assign()
        flipped = bytes([content[-1] ^ 1])
        Path(record["filename"]).write_bytes(
            {
                "last byte": content[:-1] + flipped, "first byte": bytes([content[0] ^ 1]) + content[1:],
                "shorter": content[:-1], "longer": content + b"x",
            }[change]
        )  # fmt: skip
        with pytest.raises(Permanent, match="changed since it was read") as e:
            run.submit(record)
        assert e.value.code == "changed"
        assert run.posts() == {}
        assert not [r for r in run.sandbox.requests() if r.path == "/box/content" and r.status == 204]

    def test_that_are_gone_cost_only_themselves(self, run):
        gone, there = run.add(b"gone", b"there")
        job_id = run.assign()
        Path(gone["filename"]).unlink()
        with pytest.raises(InputError, match="is not there"):
            run.submit(gone)
        run.submit(there)
        run.finish()
        assert run.manifests() == {(job_id, "0"): {there["key"]}}

    @pytest.mark.parametrize("status", [400, 413, 415, 422])
    def test_that_are_refused_cost_only_themselves(self, run, status):
        records = run.add(b"a", b"b", b"c")
        job_id = run.assign()
        run.sandbox.set_faults([f"status={status},path=/box/content,nth=2"])
        run.submit(records[0])
        with pytest.raises(Permanent) as e:
            run.submit(records[1])
        assert e.value.exit_code == 3 and not e.value.retryable
        run.submit(records[2])
        run.finish()
        assert run.manifests() == {(job_id, "0"): hashes([records[0], records[2]])}
        assert run.clock.slept == []

    def test_that_are_taken_after_all_get_a_job_of_their_own(self, run):
        records = run.add(b"a", b"b")
        job_id = run.assign()
        run.sandbox.set_faults(["status=400,path=/box/content,nth=2"])
        run.submit(records[0])
        with pytest.raises(Permanent):
            run.submit(records[1])
        run.finish()
        run.sandbox.set_faults([])
        run.hook = run.new_hook()
        run.assign()
        run.submit_all()
        run.finish()
        assert run.manifests() == {
            (job_id, "0"): {records[0]["key"]},
            (records[1]["job_id"], "0"): {records[1]["key"]},
        }

    @pytest.mark.parametrize(
        "fault", ["status=429", "status=500", "status=503", "status=408", "reset=10", "lost"]
    )
    def test_are_offered_again_after_what_passes(self, run, fault):
        records = run.add(b"a" * 1000)
        run.assign()
        run.sandbox.set_faults([f"{fault},path=/box/content,times=3"])
        run.submit_all()
        assert list(run.posts()) == [records[0]["key"]]
        assert len(run.clock.slept) >= 3

    def test_wait_as_long_as_the_box_says(self, run):
        run.add(b"a")
        run.assign()
        run.sandbox.set_faults(["status=429,retry-after=77,path=/box/content,times=1"])
        run.submit_all()
        assert run.clock.slept == [77.0]

    @pytest.mark.parametrize("fault", ["status=429", "status=500"])
    def test_are_given_up_for_now_after_eight_tries(self, run, fault):
        (record,) = run.add(b"a")
        run.assign()
        run.sandbox.set_faults([f"{fault},path=/box/content"])
        with pytest.raises(Retry) as e:
            run.submit(record)
        assert e.value.exit_code == 5 and e.value.retryable
        assert len([r for r in run.sandbox.requests() if r.path == "/box/content"]) == 8
        assert sum(run.clock.slept) < 1800
        with pytest.raises(Retry, match="1 video"):
            run.finish()
        assert run.manifests() == {}

    def test_are_asked_for_no_more_where_the_box_is_gone(self, run):
        records = run.add(b"a", b"b", b"c")
        run.assign()
        run.sandbox.set_faults(["reset=0,path=/box/content"])
        with pytest.raises(Retry):
            run.submit(records[0])
        with pytest.raises(Unreachable):
            run.submit(records[1])
        before = len(run.sandbox.requests())
        with pytest.raises(Unreachable, match="nothing succeeds any more"):
            run.submit(records[2])
        assert not [r for r in run.sandbox.requests()[before:] if r.path == "/box/content"]

    @pytest.mark.parametrize(("status", "code"), [(401, 6), (403, 6), (404, 5)])
    def test_end_the_run_where_none_will_be_taken(self, run, status, code):
        records = run.add(b"a", b"b")
        run.assign()
        run.sandbox.set_faults([f"status={status},path=/box/content"])
        with pytest.raises(ServiceError) as e:
            run.submit(records[0])
        assert e.value.exit_code == code and not isinstance(e.value, Permanent | Retry)
        assert run.clock.slept == []


class TestLists:
    def test_wait_for_the_last_video_of_their_shard(self, run):
        run.sandbox.set_quirks(shard_items=2)
        records = run.add(*(b"%d" % i for i in range(4)))
        job_id = run.assign()
        for record in records[:2]:
            run.submit(record)
        assert run.manifests() == {}
        run.submit(records[2])
        assert run.manifests() == {(job_id, "0"): hashes(records[:2])}
        run.submit(records[3])
        run.finish()
        assert run.manifests()[job_id, "1"] == hashes(records[2:])

    def test_are_put_before_their_address_expires(self, run):
        records = run.add(*(b"%d" % i for i in range(4)))
        job_id = run.assign()
        run.submit(records[0])
        run.clock.sleep(880)
        run.submit(records[1])
        assert run.manifests() == {}
        run.clock.sleep(30)
        run.submit(records[2])
        assert run.manifests() == {(job_id, "0"): hashes(records)}
        run.submit(records[3])
        run.finish()
        assert run.sandbox.received()["manifests"][0]["times"] == 1
        assert {r["job_id"] for r in records} == {job_id}

    def test_expire_by_the_clock_of_the_cloud(self, sandbox, importing):
        run = importing()
        run.clock.ahead_s = 7 * 3600.0
        records = run.add(b"a", b"b")
        job_id = run.assign()
        run.submit(records[0])
        run.submit(records[1])
        assert run.manifests() == {}
        run.finish()
        assert run.manifests() == {(job_id, "0"): hashes(records)}

    def test_get_a_new_address_where_the_cloud_gives_one(self, run):
        records = run.add(b"a", b"b")
        job_id = run.assign()
        run.submit_all()
        run.clock.sleep(2000)
        run.sandbox.set_quirks(fresh_urls=True)
        run.hook = run.new_hook()
        assert run.assign() == job_id
        run.finish()
        assert run.manifests() == {(job_id, "0"): hashes(records)}

    def test_become_those_of_another_job_where_the_cloud_gives_none(self, run, caplog):
        records = run.add(b"a", b"b")
        job_id = run.assign()
        run.submit_all()
        run.clock.sleep(2000)
        run.hook = run.new_hook()
        run.assign()
        run.finish()
        (new,) = {r["job_id"] for r in records}
        assert new != job_id
        assert run.manifests() == {(new, "0"): hashes(records)}
        assert f"belong to job {new}" in caplog.text

    @pytest.mark.parametrize(
        "fault", ["status=403", "status=401", "status=400,body=<Code>ExpiredToken</Code>"]
    )
    def test_whose_address_is_refused_become_those_of_another_job(self, run, fault):
        records = run.add(b"a", b"b")
        job_id = run.assign()
        run.submit_all()
        run.sandbox.set_faults([f"{fault},origin=storage,times=1"])
        run.finish()
        (new,) = {r["job_id"] for r in records}
        assert new != job_id
        assert run.manifests() == {(new, "0"): hashes(records)}

    @pytest.mark.parametrize("fault", ["status=400", "redirect=http://127.0.0.1:1/"])
    def test_that_are_refused_are_no_fault_of_the_next_video(self, run, fault, caplog):
        run.sandbox.set_quirks(shard_items=1)
        run.add(b"a", b"b")
        run.assign()
        run.sandbox.set_faults([f"{fault},origin=storage"])
        run.submit_all()
        assert len(run.posts()) == 2 and "tried again later" in caplog.text
        with pytest.raises((Rejected, SafetyRefusal)):
            run.finish()

    def test_are_what_the_hook_made_them_though_records_come_back_as_they_were(self, run):
        """What `submit` changed in other records than its own, or before it raised, the engine does not know."""
        records = run.add(b"0", b"1", b"bad", b"3")
        bad = records[2]
        old_id = run.assign()
        known = copy.deepcopy(run.records)
        run.sandbox.set_faults(["status=400,path=/box/content,nth=2"])
        run.submit(records[0])
        with pytest.raises(Permanent):
            run.submit(bad)
        run.clock.sleep(2000)
        for record in (records[1], records[3]):
            run.submit(record)  # the first finds the address expired, and makes another job
            known[record["key"]] = copy.deepcopy(record)
        for key, record in run.records.items():
            record.clear()
            record.update(copy.deepcopy(known[key]))
        run.finish()
        (new_id,) = {r["job_id"] for r in records} - {old_id}
        assert run.manifests() == {(new_id, "0"): hashes(records) - {bad["key"]}}
        assert all(r["registered_on"] for r in records if r is not bad)
        assert bad["left_out_on"] and not bad.get("registered_on")

    def test_end_the_run_where_the_token_is_no_longer_good(self, run):
        run.add(b"a", b"b")
        run.assign()
        run.clock.sleep(2000)
        run.sandbox.set_faults(["status=401,path=/api/jobs/*"])
        with pytest.raises(AuthError):
            run.submit_all()

    def test_that_arrived_before_a_crash_are_not_put_again(self, run):
        records = run.add(b"a")
        run.assign()
        run.submit_all()
        before = copy.deepcopy(run.records)
        run.finish()
        run.records = before  # the process ended before it could write that down
        run.clock.sleep(2000)
        run.hook = run.new_hook()
        run.assign()
        run.finish()
        (manifest,) = run.sandbox.received()["manifests"]
        assert manifest["times"] == 1 and len(run.sandbox.received()["jobs"]) == 1
        assert all(r["registered_on"] for r in run.records.values())
        assert hashes(records) == set(manifest["hashes"])

    def test_are_put_again_after_what_passes(self, run):
        run.add(b"a")
        run.sandbox.set_faults(["status=503,origin=storage,times=3"])
        run.run()
        assert len(run.manifests()) == 1

    def test_that_cannot_be_put_stop_no_video(self, run):
        run.sandbox.set_quirks(shard_items=1)
        records = run.add(b"a", b"b", b"c")
        run.assign()
        run.sandbox.set_faults(["status=503,origin=storage"])
        run.submit_all()
        assert len(run.posts()) == 3
        with pytest.raises(Unreachable):
            run.finish()
        run.sandbox.set_faults([])
        run.finish()
        assert {h for m in run.manifests().values() for h in m} == hashes(records)

    def test_go_on_where_the_last_run_was_ended(self, run):
        run.sandbox.set_quirks(shard_items=2)
        records = run.add(*(b"%d" % i for i in range(6)))
        job_id = run.assign()
        for record in records[:3]:
            run.submit(record)
        run.hook = run.new_hook()
        assert run.assign() == job_id
        run.submit_all()
        run.finish()
        assert run.posts() == {r["key"]: 1 for r in records}
        assert [m["times"] for m in run.sandbox.received()["manifests"]] == [1, 1, 1]


class TestJobs:
    def test_of_a_run_that_ended_before_it_knew_of_them_are_taken_up(self, run):
        run.add(b"a", b"b")
        fresh = copy.deepcopy(run.records)
        job_id = run.assign()
        run.records = fresh
        run.hook = run.new_hook()
        assert run.run() == job_id
        assert len(run.sandbox.received()["jobs"]) == 1

    def test_that_expired_or_are_in_use_are_not_taken_up(self, run):
        run.add(b"a", b"b")
        fresh = copy.deepcopy(run.records)
        first = run.assign()
        run.clock.sleep(2000)
        run.records, run.hook = copy.deepcopy(fresh), run.new_hook()
        second = run.run()
        run.records, run.hook = fresh, run.new_hook()
        assert len({first, second, run.assign()}) == 3

    def test_whose_making_was_never_answered_are_made_once(self, run):
        run.add(b"a")
        run.sandbox.set_faults(["lost,method=PUT,path=/api/jobs,times=1"])
        job_id = run.run()
        assert [j["job_id"] for j in run.sandbox.received()["jobs"]] == [job_id]

    @settings(max_examples=25)
    @given(
        st.lists(st.integers(1, 4), min_size=1, max_size=14),
        st.booleans(),
    )
    def test_deal_in_the_order_of_the_shards_numbers(self, counts, is_reversed):
        shard_map = {
            str(i): {"item_count": n, "status": "missing", "upload_url": f"http://127.0.0.1:1/{i}"}
            for i, n in enumerate(counts)
        }
        if is_reversed:
            shard_map = dict(reversed(shard_map.items()))

        def cloud(request):
            if request.method == "PUT":
                request.body.read()
                return json_reply({"job_id": "j", "shard_map": shard_map})
            return json_reply({} if "cameras" in request.path else [])

        with FaultServer({"cloud": cloud}) as server:
            environment = {
                "CAMIO_OAUTH_TOKEN": TOKEN,
                "CAMIO_SERVER_URL": server.url("cloud"),
                "CAMIO_BOX_DEVICE_ID": "d",
            }
            hook = CamioHook(environment)
            videos = [
                Video(
                    {
                        "key": f"{i:040x}",
                        "camera": "c",
                        "timestamp": "2020-01-01T00:00:00.000",
                        "filename": "x",
                        "size": 1,
                    }
                )
                for i in range(sum(counts))
            ]
            assert hook.assign(videos, {v.key: v for v in videos}) == "j"
            hook.close()
        assert [v.shard_id for v in videos] == [str(i) for i, n in enumerate(counts) for _ in range(n)]


class TestReading:
    @given(st.integers(0, 5 * 64 + 1), st.booleans())
    def test_gives_all_or_not_the_last_piece(self, size_bytes, is_same):
        data = random.Random(size_bytes).randbytes(size_bytes)
        sha1 = hashlib.sha1(data if is_same else data + b"x").hexdigest()
        pieces = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(camio_hook, "_PIECE_BYTES", 64)
            with contextlib.nullcontext() if is_same or not data else pytest.raises(Permanent):
                pieces.extend(camio_hook._pieces(MemoryBytes(data), size_bytes, sha1))
        if is_same:
            assert b"".join(pieces) == data
        else:
            assert len(b"".join(pieces)) < max(1, size_bytes)


def checks(hook):
    return {c.name: (c.ok, c.message) for c in hook.check(None, None)}


class TestCheck:
    def test_says_that_all_is_well(self, run):
        found = checks(run.hook)
        assert list(found) == ["token", "device", "box", "clock"]
        assert all(ok for ok, _ in found.values())
        assert {r.method for r in run.sandbox.requests()} == {"GET"}

    def test_finds_a_wrong_token(self, importing):
        with CamioSandbox(token="another") as sandbox:
            found = checks(importing(sandbox).hook)
        assert not found["token"][0] and found["box"][0]

    def test_finds_a_wrong_box(self, run):
        run.environment["CAMIO_BOX_DEVICE_ID"] = "another-device"
        found = checks(run.new_hook())
        assert found["token"][0] and not found["device"][0] and not found["box"][0]
        assert "another-device" not in str(found)

    def test_finds_a_clock_that_is_off(self, run):
        run.sandbox.advance(60)
        ok, message = checks(run.hook)["clock"]
        assert not ok and "behind" in message

    def test_finds_a_box_that_is_not_there(self, run):
        run.environment["CAMIO_BOX_URL"] = "http://127.0.0.1:1"
        assert not checks(run.new_hook())["box"][0]


@pytest.mark.parametrize("hooks", [str(EXAMPLE), "camio"])
def test_the_file_and_the_built_in_hook_do_the_same_in_their_process(hooks, sandbox, run):
    sandbox.set_quirks(shard_items=2)
    records = run.add(*(b"%d" % i for i in range(5)))
    environment = {**run.environment, "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    spec = resolve(hooks, {"camio": "camtrail.app.camio_hook:CamioHook"})
    child = Hooks(spec, env=environment)
    with contextlib.closing(child):
        child.start()
        child.set_hook_data({"plan": "pro"})
        assert child.origin() == sandbox.url
        camera = child.register_camera("front", None, None)
        child.set_hook_data({"registered_cameras": [camera]})
        assigned = child.assign_job_ids(run.records, list(run.records))
        run.records.update(assigned.changed)
        for number, key in enumerate([r["key"] for r in records]):
            if number == 3:
                child.close()  # as after a crash
            posted = child.post_video_content(run.records[key], camera["camera_id"], None, None, 60.0)
            assert posted.ok
            run.records.update(posted.changed)
            run.records[key]["uploaded_on"] = "2026-01-01T00:00:00+00:00"
        shards = sorted({(r["job_id"], r["shard_id"]) for r in run.records.values()})
        registered = child.register_jobs(shards, 60.0, run.records)
        run.records.update(registered.changed)
        assert all(c.ok for c in child.check(None, None))
    assert registered.ok
    assert run.posts() == dict.fromkeys(run.records, 1)
    assert {h for m in run.manifests().values() for h in m} == set(run.records)
    assert len(sandbox.received()["jobs"]) == 1
    assert all(r["registered_on"] for r in run.records.values())
    assert [m["times"] for m in sandbox.received()["manifests"]][1:] == [1, 1]


def test_the_null_hook_takes_everything():
    hook = NullHook()
    assert hook.register_camera("front", None, None)["camera_id"]
    hook.submit(Video({"key": "x"}), "id", None, None)
    hook.finish([("a", "b")])
    assert hook.origin() == "null:" and hook.check(None, None) == []
