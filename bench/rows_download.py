"""Downloads from the stand-in for Mapillary, each answer of which comes 20 ms late.

After the clock has stopped, every image must be there, and the server must have been asked for each once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import sleep
from typing import Any

from bench import peers
from bench.programs import CAMTRAIL, asked, done, environment, sandbox
from bench.rows import Measure, Pair, Room, Row, Size, measured

__all__ = ["ROWS"]

_WORKER = Path(__file__).with_name("worker_download.py")
_LATE = ("delay=0.02",)
_MANY, _FEW = Size(2000, 400), Size(400, 200)
_SEQUENCE = 100  # images of one
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is downloaded, in a folder that holds all that the stand-in has."""

    path: Path
    n: int

    @property
    def first(self) -> Path:
        """Another list, of one image, to warm up with."""
        return self.path.with_name("first.txt")


def _wanted(room: Room, size: Size) -> _Wanted:
    n = room.of(size)
    wanted = _Wanted(room.folder / f"list-{n}" / "list.txt", n)
    if not wanted.path.exists():
        wanted.path.parent.mkdir()
        lines = []
        for i in range(n + 1):
            sequence = sha256(f"sequence {i // _SEQUENCE}".encode()).hexdigest()[:22]
            lines.append(f"{sequence},{100_000_000_000_000 + 7919 * i},{48.2 + 1e-4 * i:.6f},16.3738\n")
        wanted.first.write_text(lines.pop())
        wanted.path.write_text("".join(lines))
    return wanted


_Run = Callable[[_Wanted, str, dict[str, str]], Measure]
_Way = Callable[[str, str, _Wanted, str, dict[str, str]], Measure]


def _files(out: str) -> list[Path]:
    return sorted(Path(out).glob("*/*.jpg"))


def _fetches(url: str) -> list[dict[str, Any]]:
    """Requests for pictures, in their order."""
    return [r for r in asked(url, "requests") if r["path"].startswith("/v/")]


# One run each.


def _fetched(room: Room, wanted: _Wanted, run: _Run) -> Measure:
    """One run against a stand-in that starts empty, into a folder that does."""
    data = wanted.path.parent
    with tempfile.TemporaryDirectory(dir=room.folder) as home, sandbox("mapillary", _LATE, data) as box:
        out = f"{home}/out"
        measure = run(wanted, out, environment(Path(home), box, MAPILLARY_TOKEN="bench"))
        times = Counter(r["path"] for r in _fetches(box["url"]))
        files = _files(out)
    if len(files) != wanted.n or len(times) < wanted.n or set(times.values()) != {1}:
        raise RuntimeError(f"{wanted.n} images were to be fetched once, {len(files)} files are there")
    return measure


def _timed(interpreter: str, way: str, wanted: _Wanted, out: str, env: dict[str, str]) -> Measure:
    words = ("timed", way, str(wanted.path), out, str(wanted.first))
    return measured(interpreter, *words, worker=_WORKER, env=env)


def _whole(interpreter: str, way: str, wanted: _Wanted, out: str, env: dict[str, str]) -> Measure:
    return Measure(wanted.n, done([interpreter, "-P", str(_WORKER), way, str(wanted.path), out], env))


def _program(wanted: _Wanted, out: str, env: dict[str, str]) -> Measure:
    return Measure(wanted.n, done(_line(wanted, out), env))


def _line(wanted: _Wanted, out: str, *words: str) -> list[str]:
    return [CAMTRAIL, "mapillary", "download_sequences", str(wanted.path), "-o", out, *words]


def _resumed(room: Room, wanted: _Wanted) -> Measure:
    """Percent of what was served before a `kill -9` in the middle that is not served again."""
    n, data = wanted.n, wanted.path.parent
    with (
        tempfile.TemporaryDirectory(dir=room.folder) as home,
        sandbox("mapillary", _LATE, data) as box,
    ):
        env = environment(Path(home), box, MAPILLARY_TOKEN="bench")
        line = _line(wanted, f"{home}/out", "--raw", "-q")
        with subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL) as process:
            while process.poll() is None and len(_fetches(box["url"])) < n // 2:
                sleep(_POLL_S)
            process.kill()
        before = _fetches(box["url"])
        seconds = done(line, env)
        after = _fetches(box["url"])
        sizes = {path.name: path.stat().st_size for path in _files(f"{home}/out")}
    if len(sizes) != n or not n // 2 <= len(before) < n:
        raise RuntimeError(f"killed after {len(before)} of {n} images, {len(sizes)} are there in the end")
    first_bytes, all_bytes = _served(before, sizes), _served(after, sizes)
    return Measure(100 * (1 - (all_bytes - sum(sizes.values())) / first_bytes), seconds)


def _served(requests: Sequence[dict[str, Any]], sizes: dict[str, int]) -> int:
    """Bytes that the answers to these have, those included that nobody was there to receive any more."""
    total = 0
    for request in requests:
        name = os.path.basename(request["path"]).replace("_original", "")
        is_part = request["status"] == 206
        total += sizes[name] - (int(request["range"].removeprefix("bytes=").split("-")[0]) if is_part else 0)
    return total


# The rows.


def _beside(size: Size, ours: _Run, peer: _Way, name: str, room: Room) -> Pair:
    interpreter = sys.executable
    if name == "script":
        peers.environment()
        interpreter = peers.python()
    wanted = _wanted(room, size)
    return Pair(
        partial(_fetched, room, wanted, ours),
        partial(_fetched, room, wanted, partial(peer, interpreter, name)),
    )


def _resume(room: Room) -> Pair:
    return Pair(partial(_resumed, room, _wanted(room, _MANY)))


_OURS = partial(_timed, sys.executable, "camtrail")
_LATE_20 = "each answer 20 ms late"
_BARE = "a bare client: `urllib3`, 8 threads, look-ups of 50, files written as they come"
_SCRIPT = (
    "the way published with such lists: one after the other, a look-up for each, decoded and saved again"
)

ROWS = (
    Row(
        "download-bare",
        "{n} images, "
        + _LATE_20
        + ": the workflow of `camtrail mapillary download_sequences`, 8 connections, "
        f"place and time written, tables; {_BARE}",
        "images",
        partial(_beside, _MANY, _OURS, _timed, "bare"),
        ratio=0.9,
        size=_MANY,
    ),
    Row(
        "download-bare-program",
        "the same, whole programs",
        "images",
        partial(_beside, _MANY, _program, _whole, "bare"),
        size=_MANY,
    ),
    Row(
        "download-script",
        "{n} images, " + _LATE_20 + f": the same workflow; {_SCRIPT}",
        "images",
        partial(_beside, _FEW, _OURS, _timed, "script"),
        ratio=5,
        size=_FEW,
    ),
    Row(
        "download-script-program",
        "the same, whole programs",
        "images",
        partial(_beside, _FEW, _program, _whole, "script"),
        ratio=5,
        size=_FEW,
    ),
    Row(
        "download-resume",
        "{n} images: killed in the middle, then run again: of the bytes served before, those not served again",
        "",
        _resume,
        amount="%",
        least=90,
        size=_MANY,
    ),
)
