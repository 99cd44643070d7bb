"""`kill -9` before and after every commit of the state, then the same command: nothing lost, nothing sent twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import (
    QUIET,
    REGEX,
    TWO,
    HookFile,
    command,
    environment,
    fill,
    hook_file,
    name_of,
    sha1,
    times,
    video,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork and memfd")


@dataclass
class Runs:
    """A process that runs commands and kills them."""

    process: subprocess.Popen[str]

    def __call__(self, *arguments: str | Path, at: int = 0, when: str = "") -> dict[str, int]:
        line = {"arguments": [*map(str, arguments)], "at": at, "when": when}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def runs() -> Iterator[Callable[[dict[str, str]], Runs]]:
    made: list[subprocess.Popen[str]] = []

    def start(env: dict[str, str]) -> Runs:
        script = Path(__file__).with_name("killing.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        made.append(subprocess.Popen([sys.executable, script], env={**os.environ, **env}, text=True, **pipes))
        return Runs(made[-1])

    yield start
    for process in made:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def imports(folder: Path, hook: str | Path) -> tuple[Any, ...]:
    return ("video", "import", "--regex", REGEX, "--json", "-q", folder, hook)


def afresh(folder: Path) -> dict[str, str]:
    shutil.rmtree(folder, ignore_errors=True)
    return fill(folder, 2)


def everything(
    run: Runs, command: tuple[Any, ...], each: Callable[[str], None], start: Callable[[], Any]
) -> int:
    """Kills a command at each of its points and lets it run again; how many points there were."""
    start()
    assert run(*command)["code"] == 0
    start()
    commits = run(*command)["commits"]
    for at in range(1, commits + 1):
        for when in ("before", "after"):
            start()
            assert run(*command, at=at, when=when)["code"] == -9
            assert run(*command)["code"] == 0, (at, when)
            each(f"{when} commit {at} of {commits}")
    return 2 * commits


@pytest.mark.parametrize("events", ["there", "late"])
def test_camio_has_each_video_once_and_every_list(events, runs, camio, tmp_path):
    box = camio(state_s=0.0 if events == "there" else 1e6)
    run = runs(environment(box))
    folder = tmp_path / "videos"
    twice: list[str] = []
    round_ = 0

    def start() -> None:
        nonlocal round_
        round_ += 1  # a run of its own: other contents, other times
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for n in (2 * round_, 2 * round_ + 1):
            (folder / name_of(n)).write_bytes(video(n))

    def each(point: str) -> None:
        mine = {sha1(video(n)) for n in (2 * round_, 2 * round_ + 1)}
        told = box.received()
        seen = {v["sha1"]: v["times"] for v in told["videos"] if v["sha1"] in mine}
        assert seen.keys() == mine, point
        again = [key for key, count in seen.items() if count > 1]
        assert len(again) <= (0 if events == "there" else 1) and max(seen.values()) <= 2, point
        twice.extend(point for _ in again)
        lists = [m for m in told["manifests"] if mine & set(m["hashes"])]
        assert [set(m["hashes"]) for m in lists] == [mine], point
        jobs = [j for j in told["jobs"] if {s["status"] for s in j["shard_map"].values()} == {"missing"}]
        assert jobs == [], f"{point}: a job that nobody uses"

    points = everything(run, imports(folder, "camio"), each, start)
    assert points > 20
    # Without events nothing can tell that the Box has a video: the moments between its answer and our note.
    assert len(twice) == (0 if events == "there" else 2), twice
    assert box.received()["leaks"] == []


def test_hooks_of_ones_own_lose_nothing_and_repeat_only_what_is_in_doubt(runs, tmp_path):
    file: HookFile = hook_file(tmp_path, TWO + QUIET)
    folder = tmp_path / "videos"
    run = runs(file.env)
    repeated: list[str] = []

    def start() -> None:
        afresh(folder)
        file.forget()

    def each(point: str) -> None:
        posted = file.posted()
        assert set(posted) == {name_of(0), name_of(1)}, point
        repeated.extend(point for _ in posted[2:])

    assert everything(run, imports(folder, file.path), each, start) > 10
    assert len(repeated) == 2, repeated


def test_a_result_names_what_may_have_arrived(runs, camio, tmp_path, camtrail):
    box = camio(state_s=1e6)
    env = environment(box)
    command = imports(tmp_path / "videos", "camio")
    run = runs(env)
    at = 0
    while not times(box):  # until the Box has the first and nobody wrote it down
        at += 1
        afresh(tmp_path / "videos")
        assert run(*command, at=at, when="before")["code"] == -9
    ended = camtrail(*command, env=env)
    assert ended.code == 0 and ended.json["counts"] == {"sent": 2}
    (note,) = [n for n in ended.json["notes"] if "may have arrived" in n]
    assert note.startswith("1 video may have arrived in an earlier run")
    assert sorted(times(box).values()) == [1, 2]
    assert camtrail(*command, env=env).json["notes"] == []


def test_a_disk_that_is_full_in_the_middle_loses_nothing(tmp_path, camtrail):
    file = hook_file(tmp_path, TWO + QUIET)
    folder = tmp_path / "videos"
    wanted = fill(folder, 100)
    limit = 'ulimit -f 128; exec "$@"'  # no file longer than 64 KiB: writing ends as it does on a full disk
    full = subprocess.run(
        ["sh", "-c", limit, "sh", *command(*imports(folder, file.path))],
        env={**os.environ, **file.env},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert full.returncode == 7 and b"import.sqlite" in full.stderr and b"Traceback" not in full.stderr
    before = len(file.posted())
    assert 10 < before < 100
    assert camtrail(*imports(folder, file.path), env=file.env).code == 0
    assert set(file.posted()) == set(wanted) and len(file.posted()) <= 101
