"""The machine's zone has no part in an import: all that is sent and written is the same everywhere."""

from __future__ import annotations

import json
import shutil

import pytest

from .conftest import environment, fill, footage, video

ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
REGEX = r".*/(?P<camera>[A-Z]+)-(?:(?P<epoch>\d{10})|(?P<timestamp>[\dT.]+))\.mp4"


@pytest.fixture
def videos(tmp_path):
    """Named by epochs, by a wall clock in summer and winter, and one whose time stands in the video."""
    folder = tmp_path / "videos"
    fill(folder, 2)
    (folder / "WALL-20160710T120237.mp4").write_bytes(video(10))
    (folder / "WALL-20161231T235959.5.mp4").write_bytes(video(11))
    (folder / "MADE-.mp4").write_bytes(made_at(1_476_014_557))
    return folder


def made_at(epoch_s: int) -> bytes:
    """A video whose header says when it was made (ISO 14496-12, mvhd: seconds since 1904)."""
    data = bytearray(footage())
    at = data.index(b"mvhd") + 8
    data[at : at + 4] = (epoch_s + 2_082_844_800).to_bytes(4, "big")
    return bytes(data)


def all_of_it(zone, folder, camio, camtrail, tmp_path):
    """What an import in a zone comes to, without what depends on the day or a port."""
    shutil.rmtree(folder / ".camtrail", ignore_errors=True)
    with camio(state_s=0.05) as box:
        env = {**environment(box), "TZ": zone}
        regex = REGEX.replace("[\\dT.]+", "[\\dT.]*")
        words = ("video", "import", "-r", regex, "--timezone", "Europe/Berlin", folder, "camio", "--json")
        ended = camtrail(*words, env=env)
        assert ended.code == 0, ended
        (job,) = ended.json["jobs"]
        assert camtrail("video", "labels", job, f"{zone[:3]}.json", "--watch", env=env).code == 0
        told = box.received()
        printed = camtrail("video", "import", folder, "--csv", env=env).out
    csv = [[c for n, c in enumerate(row.split(",")) if n not in (4, 5, 12)] for row in printed.splitlines()]
    return {
        "videos": ended.json["videos"],
        "timestamps": sorted((v["sha1"], v["timestamp"]) for v in told["videos"]),
        "jobs": [j["request"] for j in told["jobs"]],
        "csv": csv,
        "labels": json.loads((tmp_path / f"{zone[:3]}.json").read_text()),
    }


def test_results_are_the_same_in_every_zone(videos, camio, camtrail, tmp_path):
    first, *others = (all_of_it(zone, videos, camio, camtrail, tmp_path) for zone in ZONES)
    times = {v["path"].rpartition("/")[2]: (v["time"], v["time_source"]) for v in first["videos"]}
    assert times == {
        "CAM-1476014557.mp4": ("2016-10-09T12:02:37.000Z", "epoch"),
        "CAM-1476014617.mp4": ("2016-10-09T12:03:37.000Z", "epoch"),
        "MADE-.mp4": ("2016-10-09T12:02:37.000Z", "container"),
        "WALL-20160710T120237.mp4": ("2016-07-10T10:02:37.000Z", "timestamp"),
        "WALL-20161231T235959.5.mp4": ("2016-12-31T22:59:59.500Z", "timestamp"),
    }
    for other in others:
        assert other == first


def test_a_wall_clock_without_a_zone_is_no_time(videos, camtrail):
    ended = camtrail("video", "import", "-r", REGEX, videos, "null", "--json", env={"TZ": "Asia/Kolkata"})
    failed = {f["path"].rpartition("/")[2]: f for f in ended.json["failures"]}
    assert ended.code == 3 and set(failed) == {
        "MADE-.mp4", "WALL-20160710T120237.mp4", "WALL-20161231T235959.5.mp4",
    }  # fmt: skip
    assert "--timezone" in failed["WALL-20160710T120237.mp4"]["message"]
