"""`kill -9` in a loop over 200 photos, then the same command, then `undo --all`: nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import fill, sums, temporaries

N = 200
WRITE = ("write", "photos", "--write", "exif", "--device-make", "Test", "--quiet")
UNDO = ("undo", "photos", "--all", "--quiet")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "camtrail", *arguments], cwd=folder)


def ended(folder: Path, *arguments: str) -> int:
    with started(folder, *arguments) as process:
        return process.wait(120)


def inodes(folder: Path) -> dict[str, int]:
    """A replaced file has another number."""
    return {str(p): p.stat().st_ino for p in folder.rglob("*.jpg")}


def killed(folder: Path, arguments: tuple[str, ...], is_time) -> int:
    """Kills a command when `is_time` says so; its exit code, which is 0 where it was quicker."""
    with started(folder, *arguments) as process:
        while process.poll() is None and not is_time():
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        return process.wait(60)


def journal_bytes(photos: Path) -> int:
    try:
        return (photos / ".camtrail" / "journal.sqlite").stat().st_size
    except FileNotFoundError:
        return 0


def moments(photos: Path):
    """When to kill: by how many photos are staged, how long the journal is, how many photos have changed."""
    before = inodes(photos)
    grown = journal_bytes(photos)

    def changed(n):
        return lambda: sum(before[p] != i for p, i in inodes(photos).items()) >= n

    def staged(n):
        return lambda: len(temporaries(photos)) >= n

    yield "3 staged", staged(3)
    yield "60 staged", staged(60)
    yield "the journal has grown", lambda: journal_bytes(photos) > grown
    for n in (1, 20, 64, 65, 100, 128, 190):
        yield f"{n} changed", changed(n)


def whole(now: dict[str, str], old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Photos that hold neither the old nor the new bytes."""
    now = {k: v for k, v in now.items() if "/.camtrail-" not in k}
    return [p for p in {*old, *now} if now.get(p) not in (old[p], new[p])]


def test_two_hundred_photos(tmp_path):
    photos = tmp_path / "photos"
    fill(photos, N)
    old = sums(photos)
    assert ended(tmp_path, *WRITE) == 0
    new = sums(photos)
    assert len(new) == N and all(old[p] != new[p] for p in old)
    assert ended(tmp_path, *UNDO) == 0
    assert sums(photos) == old

    stopped: list[str] = []
    for i, (name, is_time) in enumerate(moments(photos)):
        if killed(tmp_path, WRITE, is_time) == -signal.SIGKILL:
            stopped.append(name)
        assert not whole(sums(photos), old, new), name
        if i % 3 == 2:  # each time from what the last left, or from the start
            assert ended(tmp_path, *WRITE) == 0
            assert sums(photos) == new, name
            assert temporaries(photos) == []
            assert ended(tmp_path, *UNDO) == 0
            assert sums(photos) == old, name
    assert len(stopped) >= 3, stopped
    assert ended(tmp_path, *WRITE) == 0
    assert sums(photos) == new
    assert temporaries(photos) == []

    before = inodes(photos)
    undone: list[int] = []
    for n in (1, 70, 150):
        killed(tmp_path, UNDO, lambda n=n: sum(before[p] != i for p, i in inodes(photos).items()) >= n)
        now = sums(photos)
        assert not whole(now, old, new)
        undone.append(sum(now.get(p) == old[p] for p in old))
    assert undone == sorted(undone) and 0 < undone[0] < N, undone
    assert ended(tmp_path, *UNDO) == 0
    assert sums(photos) == old
    assert temporaries(photos) == []
    times = {p.stat().st_mtime_ns for p in photos.rglob("*.jpg")}
    assert times == {1_700_000_000_123_456_789 + i for i in range(N)}


def test_a_second_value_over_the_first(tmp_path):
    photos = tmp_path / "photos"
    fill(photos, 80)
    old = sums(photos)
    assert ended(tmp_path, *WRITE) == 0
    first = sums(photos)
    other = (*WRITE[:5], "A longer name of a maker", *WRITE[6:])
    before = inodes(photos)
    killed(tmp_path, other, lambda: any(before[p] != i for p, i in inodes(photos).items()))
    now = {k: v for k, v in sums(photos).items() if "/.camtrail-" not in k}
    assert ended(tmp_path, *other) == 0
    second = sums(photos)
    assert all(now[p] in (first[p], second[p]) for p in old)
    assert temporaries(photos) == []
    assert ended(tmp_path, *UNDO) == 0
    assert sums(photos) == old


def test_a_write_that_was_killed_and_then_undo_at_once(tmp_path):
    photos = tmp_path / "photos"
    fill(photos, N)
    old = sums(photos)
    before = inodes(photos)
    killed(tmp_path, WRITE, lambda: sum(before[p] != i for p, i in inodes(photos).items()) >= 70)
    assert ended(tmp_path, *UNDO) == 0
    assert {k: v for k, v in sums(photos).items() if "/.camtrail-" not in k} == old
