"""Imports at Camio over real HTTP: names, jobs of many parts, addresses that expire, services that are away."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from camtrail.app.camio_hook import CamioHook
from camtrail.app.context import Context
from camtrail.app.hook_data import HookData
from camtrail.app.video import parsed, rows_of
from camtrail.app.video_options import NameOptions
from camtrail.services.camio.wire import local_camera_id
from camtrail.transfer.hooks import Video

from .conftest import (
    QUICK,
    START_S,
    codes,
    environment,
    fill,
    footage,
    name_of,
    outcomes,
    sha1,
    times,
    video,
)

# ---- names


def epoch(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        (
            r".*/(?P<camera>\w+?)\-.*\-(?P<epoch>\d+)\.mp4",
            {"CAMERA_FRONT-rand-1475973147.mp4": ("CAMERA_FRONT", 1475973147),
             "C2_Hi20161009-120237-1476014557.mp4": ("C2_Hi20161009", 1476014557)},
        ),
        (r".*/(?P<camera>\w+?)\-(?P<epoch>\d+)\.mp4", {"office_street-1495068758.mp4": ("office_street", 1495068758)}),
        (
            r".*/(?P<camera>.*_\D+)\d+\-.*\-(?P<epoch>\d+)\.mp4",
            {"C2_Hi20161009-120237-1476014557.mp4": ("C2_Hi", 1476014557)},
        ),
        (
            r".*[\\](?P<camera>.*_\D+)\d+\-.*\-(?P<epoch>\d+)\.mp4",
            {"C2_Hi20161009-120237-1476014557.mp4": ("C2_Hi", 1476014557)},
        ),
    ],
)  # fmt: skip
def test_the_documented_expressions_find_what_they_found(regex, expected, tmp_path):
    for name in (
        "CAMERA_FRONT-rand-1475973147.mp4", "C2_Hi20161009-120237-1476014557.mp4", "office_street-1495068758.mp4",
        "nothing.mp4", "C3_Lo1-2-3.mp4.bak",
    ):  # fmt: skip
        (tmp_path / name).write_bytes(b"")
    rows, warnings = parsed(str(tmp_path), NameOptions(regex=regex), HookData({}, ()), Context())
    found = {p.file.entry.name: (p.name.camera, int(p.name.time_s)) for p in rows if p.name.camera}
    assert (found, warnings) == (expected, [])


@pytest.mark.parametrize(
    "camera", ["Haus Tür", 'a "quoted" one', "R&D=1?x#y", "猫カメラ", "50%", "a+b", "x" * 120]
)
def test_a_camera_may_have_any_name(camera, tmp_path, quick, imported, camio):
    folder = tmp_path / "named"
    folder.mkdir()
    try:
        (folder / name_of(0, camera)).write_bytes(video())
    except OSError:
        pytest.skip("this file system has no such names")
    box = camio()
    regex = r".*/(?P<camera>[^/]+)-(?P<epoch>\d+)\.mp4"
    done = imported(quick, of=folder, env=environment(box), names={"regex": regex})
    assert (dict(done.counts), done.result.failures) == ({"sent": 1}, [])
    told = box.received()
    (only,) = told["cameras"].values()
    assert only["name"] == camera and only["local_camera_id"] == local_camera_id(camera)
    assert told["cameras"].keys() == {local_camera_id(camera)}
    assert told["videos"][0]["camera_id"] == only["camera_id"]


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no UTF-8")
def test_names_whose_bytes_are_no_utf8_are_sent_and_told_escaped(quick, tmp_path, imported, camio):
    folder = tmp_path / "latin"
    below = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    below.mkdir(parents=True)
    (below / name_of(0)).write_bytes(video(0))
    Path(os.fsdecode(os.fsencode(folder) + b"/C\xe9-1476014617.mp4")).write_bytes(video(1))
    box = camio()
    names = {"regex": r".*/(?P<camera>[^/]+)-(?P<epoch>\d+)\.mp4"}
    done = imported(quick, of=folder, env=environment(box), names=names)
    assert (dict(done.counts), done.result.failures) == ({"sent": 2}, [])
    assert {v["camera"] for v in done.videos} == {"CAM", r"C\xe9"}
    assert {v["name"] for v in box.received()["videos"]} == {
        rf"caf\xe9/{name_of(0)}",
        r"C\xe9-1476014617.mp4",
    }
    assert dict(imported(quick, of=folder, env=environment(box), names=names).counts) == {"sent before": 2}


def test_a_suffix_makes_another_camera(quick, folder, imported, camio):
    box = camio()
    imported(
        quick,
        env=environment(box),
        names={"camera_name_suffix": "-1"},
        data={"cameras": {"CAM-1": {"plan": "pro"}}},
    )
    (only,) = box.received()["cameras"].values()
    assert only["name"] == "CAM-1"
    assert only["actual_values"]["plan"]["options"][0]["value"] == "PRO"


def test_a_video_keeps_the_camera_of_its_job(quick, folder, imported, camio):
    box = camio("status=500,origin=box,path=/box/content")
    imported(quick, env=environment(box), names={"camera_name_suffix": "-1"})
    box.set_faults([])
    done = imported(quick, env=environment(box), names={"camera_name_suffix": "-2"})
    assert dict(done.counts) == {"sent": 3} and done.result.failures == []
    names = {c["camera_id"]: c["name"] for c in box.received()["cameras"].values()}
    assert {names[v["camera_id"]] for v in box.received()["videos"]} == {"CAM-1"}
    assert len([n for n in done.result.notes if "stays with camera CAM-1" in n]) == 3
    assert len(box.received()["jobs"]) == 1


# ---- jobs


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of durable commits would measure the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as name:
        yield Path(name)


def test_a_job_of_4099_videos_has_three_parts_and_all_are_told(quick, memory, imported, camio):
    folder = memory / "many"
    fill(folder, 4099)
    box = camio(shard_items=2048)
    done = imported(quick, of=folder, env=environment(box))
    assert (dict(done.counts), done.result.failures) == ({"sent": 4099}, [])
    told = box.received()
    (job,) = told["jobs"]
    assert [s["item_count"] for s in job["shard_map"].values()] == [2048, 2048, 3]
    assert sorted(m["item_count"] for m in told["manifests"]) == [3, 2048, 2048]
    assert {m["times"] for m in told["manifests"]} == set(times(box).values()) == {1}
    assert {key for m in told["manifests"] for key in m["hashes"]} == set(times(box))
    assert job["status"] != "shards_missing" and told["leaks"] == []


def records(count: int) -> dict[str, Video]:
    made = {}
    for n in range(count):
        key = f"{n:040x}"
        stamp = f"{datetime.fromtimestamp(START_S + n, UTC):%Y-%m-%dT%H:%M:%S}.000"
        made[key] = Video(
            {"key": key, "camera": "CAM", "timestamp": stamp, "duration": 2.0, "filename": f"/v/{n}.mp4",
             "relative_name": f"{n}.mp4", "size": 100, "codec": "h264", "container": "mp4", "job_id": None}
        )  # fmt: skip
    return made


def test_a_job_of_25000_videos_has_13_parts_in_the_order_of_their_numbers(camio):
    box = camio(shard_items=2048)
    hook = CamioHook(environment(box))
    try:
        hook.register_camera("CAM", None, None)
        videos = records(25_000)
        job = hook.assign(list(videos.values()), videos)
        assert {v.job_id for v in videos.values()} == {job}
        shards = [int(v.shard_id) for v in videos.values()]
        assert shards == sorted(shards) and set(shards) == set(range(13))
        assert [shards.count(n) for n in (0, 9, 10, 12)] == [2048, 2048, 2048, 25_000 - 12 * 2048]
        for v in videos.values():
            v.record["accepted_on"] = "2026-01-01T00:00:00+00:00"
        again = CamioHook(environment(box))
        again.assign([], videos)
        again.finish([])
        again.close()
        manifests = box.received()["manifests"]
        assert len(manifests) == 13 and sum(m["item_count"] for m in manifests) == 25_000
        assert {m["times"] for m in manifests} == {1}
    finally:
        hook.close()


def job_of(count: int, name_letters: int, camio) -> tuple[int, list[int]]:
    """What a job of so many videos asks for as their average size in its list, and the sizes of its parts."""
    box = camio()
    hook = CamioHook(environment(box))
    try:
        hook.register_camera("CAM", None, None)
        videos = records(count)
        for v in videos.values():
            v.record["relative_name"] = "x" * name_letters
        hook.assign(list(videos.values()), videos)
    finally:
        hook.close()
    (job,) = box.received()["jobs"]
    return job["request"]["item_average_size_bytes"], [s["item_count"] for s in job["shard_map"].values()]


@pytest.mark.parametrize(("average_bytes", "most"), [(160, 6553), (512, 2048)])
def test_a_part_holds_what_a_mebibyte_of_its_list_does(average_bytes, most, camio):
    one_letter, _ = job_of(1, 1, camio)
    assert job_of(most + 1, average_bytes - one_letter + 1, camio) == (average_bytes, [most, 1])


def test_addresses_that_expire_while_videos_are_sent_lose_nothing(hooks, folder, imported, camio):
    fill(folder, 8)
    box = camio("delay=0.4,origin=box", url_life_s=1.0)
    done = imported("camio", env=environment(box))
    assert (dict(done.counts), done.result.failures) == ({"sent": 8}, [])
    told = box.received()
    listed = sorted(key for m in told["manifests"] for key in m["hashes"])
    assert listed == sorted(times(box)) and set(times(box).values()) == {1}


def test_videos_that_come_later_make_a_job_of_their_own(quick, folder, imported, camio):
    box = camio()
    first = imported(quick, env=environment(box))
    fill(folder, 5)
    second = imported(quick, env=environment(box))
    assert dict(second.counts) == {"sent": 2, "sent before": 3}
    assert len(second.jobs) == 2 and set(first.jobs) < set(second.jobs)
    assert sorted(m["item_count"] for m in box.received()["manifests"]) == [2, 3]


def test_the_same_content_under_two_names_is_in_one_list(quick, folder, imported, camio):
    (folder / "copy").mkdir()
    (folder / "copy" / name_of(9)).write_bytes(video(0))
    box = camio()
    done = imported(quick, env=environment(box))
    assert dict(done.counts) == {"sent": 3, "duplicate": 1}
    assert [m["item_count"] for m in box.received()["manifests"]] == [3]
    assert set(times(box).values()) == {1}


def test_names_in_lists_are_those_below_the_folder(quick, folder, imported, camio):
    box = camio()
    imported(quick, env=environment(box))
    assert {v["name"] for v in box.received()["videos"]} == {name_of(n) for n in range(3)}


# ---- what a Box does not take


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (name_of(7), footage("mpeg4"), "this is mpeg4 in mp4"),
        (f"CAM-{START_S}.mov", footage("libx264", "mov"), "this is h264 in"),
        (f"CAM-{START_S}.avi", footage("mpeg4", "avi"), "this is mpeg4 in avi"),
        (f"CAM-{START_S}.mkv", footage("libx264", "matroska"), "this is h264 in"),
    ],
)
def test_what_is_no_h264_in_mp4_is_named_and_never_posted(name, data, said, quick, folder, imported, camio):
    (folder / name).write_bytes(data)
    box = camio()
    regex = r".*/(?P<camera>\w+?)\-(?P<epoch>\d+)\.(mp4|mov|avi|mkv)"
    done = imported(quick, env=environment(box), names={"regex": regex})
    assert dict(done.counts) == {"sent": 3, "failed": 1} and codes(done) == {3}
    (failure,) = done.result.failures
    assert failure.code == "unsupported_for_backend" and said in failure.message
    assert failure.item.endswith(name) and sha1(data) not in times(box)
    assert [m["item_count"] for m in box.received()["manifests"]] == [3]


def test_suffixes_in_capitals_are_videos(quick, tmp_path, imported, camio):
    folder = tmp_path / "capitals"
    folder.mkdir()
    (folder / f"CAM-{START_S}.MP4").write_bytes(video())
    box = camio()
    done = imported(
        quick,
        of=folder,
        env=environment(box),
        names={"regex": r"(?i).*/(?P<camera>\w+?)\-(?P<epoch>\d+)\.mp4"},
    )
    assert dict(done.counts) == {"sent": 1} and len(times(box)) == 1


# ---- services that are away


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("away", ["CAMIO_SERVER_URL", "CAMIO_BOX_URL"])
def test_a_service_that_is_away_ends_the_run_with_5(away, quick, folder, imported, camio):
    fill(folder, 6)
    box = camio()
    env = environment(box)
    gone = {**env, away: f"http://127.0.0.1:{closed_port()}"}
    if away == "CAMIO_SERVER_URL":  # the same service, which is not there for a while
        box.set_faults(["reset=0,origin=cloud"])
        gone = env
    done = imported(quick, env=gone)
    assert codes(done) == {5} and not times(box)
    assert sum(done.counts.values()) == 6 and done.counts["sent"] == 0
    box.set_faults([])
    done = imported(quick, env=env)
    assert dict(done.counts) == {"sent": 6} and done.result.failures == []
    assert set(times(box).values()) == {1}
    assert len([j for j in box.received()["jobs"] if j["status"] != "shards_missing"]) == 1


def test_a_cloud_that_goes_away_when_all_is_sent_is_told_in_the_next_run(quick, folder, imported, camio):
    box = camio("reset=0,origin=storage", "reset=0,origin=cloud,path=/api/jobs/*")
    done = imported(quick, env=environment(box))
    assert dict(done.counts) == {"sent": 3} and codes(done) == {5}
    box.set_faults([])
    done = imported(quick, env=environment(box))
    assert dict(done.counts) == {"sent before": 3} and done.result.failures == []
    assert set(times(box).values()) == {1} and len(box.received()["manifests"]) == 1


def test_a_video_that_is_replaced_while_others_are_sent_is_never_sent_as_what_it_was(
    hooks, folder, imported, camio
):
    text = QUICK + (
        "    def submit(self, video, camera_id, host, port):\n"
        "        other = video.path.replace('4557', '4617')\n"
        "        if other != video.path: open(other, 'ab').write(b'more')\n"
        "        super().submit(video, camera_id, host, port)\n"
    )
    box = camio()
    done = imported(hooks(text, "camio.py"), env=environment(box))
    assert outcomes(done) == {name_of(0): "sent", name_of(1): "failed", name_of(2): "sent"}
    assert codes(done) == {3} and "changed" in done.result.failures[0].message
    done = imported(hooks(QUICK, "camio.py"), env=environment(box))
    assert dict(done.counts) == {"sent": 1, "sent before": 2} and done.result.failures == []
    assert sha1((folder / name_of(1)).read_bytes()) in times(box)
    assert sha1(video(1)) not in times(box)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_no_job_waits_for_a_video_that_is_gone(how, quick, folder, imported, camio, tmp_path: Path):
    box = camio("status=500,origin=box,nth=2-,path=/box/content")
    env = environment(box)
    assert imported(quick, env=env).counts["sent"] == 1
    box.set_faults([])
    lost = folder / name_of(2)
    if how == "removed":
        lost.unlink()
    else:
        lost.write_bytes(video(77))
    done = imported(quick, env=env)
    assert codes(done) == {3}
    (failure,) = done.result.failures
    assert (failure.item, failure.code) == (str(lost), "gone")
    first = {sha1(video(0)), sha1(video(1))}
    lists = [set(m["hashes"]) for m in box.received()["manifests"]]
    assert lists == ([first] if how == "removed" else [first, {sha1(video(77))}])
    assert imported(quick, env=env).result.failures == [], "it is said once"
    (folder / name_of(9)).write_bytes(video(2))
    done = imported(quick, env=env)
    assert done.counts["sent"] == 1 and done.result.failures == []
    assert {sha1(video(2))} in [set(m["hashes"]) for m in box.received()["manifests"]]
    assert set(times(box).values()) == {1}
    assert "shards_missing" not in {j["status"] for j in box.received()["jobs"]}


def test_a_job_waits_for_the_videos_of_another_folder(quick, folder, imported, camio, tmp_path: Path):
    box = camio("status=500,origin=box,nth=2-,path=/box/content")
    env, storage = environment(box), str(tmp_path / "both.sqlite")
    imported(quick, env=env, storage=storage)
    box.set_faults([])
    fill(tmp_path / "other", 1, "OTHER")
    (tmp_path / "other" / name_of(0, "OTHER")).write_bytes(video(50))
    done = imported(quick, of=tmp_path / "other", env=env, storage=storage)
    assert (
        done.counts["sent"] == 1 and codes(done) == {5} and "waits for 2" in done.result.failures[0].message
    )
    done = imported(quick, env=env, storage=storage)
    assert dict(done.counts) == {"sent": 2, "sent before": 1} and done.result.failures == []
    assert sorted(m["item_count"] for m in box.received()["manifests"]) == [1, 3]


def test_a_folder_that_is_moved_goes_on(quick, folder, imported, camio, tmp_path: Path):
    box = camio("status=500,origin=box,nth=2-,path=/box/content")
    assert imported(quick, env=environment(box)).counts["sent"] == 1
    box.set_faults([])
    os.rename(folder, tmp_path / "moved")
    done = imported(quick, of=tmp_path / "moved", env=environment(box))
    assert dict(done.counts) == {"sent": 2, "sent before": 1} and done.result.failures == []
    assert len(box.received()["jobs"]) == 1 and len(box.received()["manifests"]) == 1


def test_the_state_is_kept_by_hooks_and_the_clouds_address(quick, folder, imported, camio):
    box = camio()
    imported(quick, env=environment(box))
    rows = rows_of(imported(quick, env=environment(box)).storage, Context())
    assert {(hook, origin) for hook, origin, _ in rows} == {("camio", box.url)}
