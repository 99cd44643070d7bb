"""Imports of videos: reading, planning, and sending to the stand-in for Camio.

After the clock has stopped, the Box must have every video once, with the right SHA-1.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench import peers
from bench.programs import CAMTRAIL, asked, done, environment, sandbox
from bench.rows import Measure, Missing, Pair, Room, Row, Size, measured

__all__ = ["ROWS"]

_WORKER = Path(__file__).with_name("worker_video.py")
_CAMERA, _START_S = "yard", 1_718_040_000
_LARGE, _COUNT = Size(256, 64), 4  # MB each
_MANY = Size(10_000, 1_000)
_PROBED, _TIMES = 20, 20
_MOST_MB = 200
_RATE, _SEEN = 30, 60  # pictures a second, and how many there are before they come again
_BARE = "a bare client: `hashlib.sha1` of a video, then the video by `http.client`, one after the other"

_measured = partial(measured, worker=_WORKER)


def _name(number: int) -> str:
    """Of a video, as the importer expects names by default."""
    return f"{_CAMERA}-bench-{_START_S + number}.mp4"


def _other(number: int) -> bytes:
    """A box that is skipped; behind a video, it makes it another one."""
    return (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")


@cache
def _footage(width_px: int, height_px: int, pictures: int) -> bytes:
    """H.264 in MP4: noise, so that it is as large as that of a camera at its best."""
    import av
    import numpy as np

    random, out = np.random.default_rng(7), io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream: Any = file.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        for _ in range(pictures):
            noise = random.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


def _long(path: Path, size_bytes: int) -> None:
    """A video of that size at least: the same two seconds again and again."""
    import av

    with (
        av.open(io.BytesIO(_footage(1280, 720, _SEEN)), "r") as source,
        av.open(str(path), "w", format="mp4") as file,
    ):
        packets = [p for p in source.demux(video=0) if p.dts is not None]
        stream = file.add_stream_from_template(source.streams.video[0])
        again = round(_SEEN / _RATE / Fraction(packets[0].time_base or 1))
        for _ in range(-(-size_bytes // sum(p.size for p in packets))):
            for packet in packets:
                packet.stream = stream
                file.mux(packet)
                packet.pts, packet.dts = (packet.pts or 0) + again, (packet.dts or 0) + again


def _made(room: Room, name: str, fill: Callable[[Path], None]) -> Path:
    """A folder that is filled where an earlier row has not done so."""
    folder = room.folder / name
    if not folder.exists():
        making = folder.with_suffix(".part")
        making.mkdir()
        fill(making)
        making.rename(folder)
    return folder


def _large(room: Room) -> Path:
    size_bytes = room.of(_LARGE) * 1_000_000

    def fill(folder: Path) -> None:
        whole = folder / "whole"
        _long(whole, size_bytes)
        for number in range(_COUNT):
            path = folder / _name(number)
            shutil.copy(whole, path)
            with path.open("ab") as file:
                file.write(_other(number))
        whole.unlink()

    return _made(room, f"videos-{room.of(_LARGE)}-mb", fill)


def _small(room: Room, count: int) -> Path:
    def fill(folder: Path) -> None:
        data = _footage(64, 48, 5)
        for number in range(count):
            (folder / _name(number)).write_bytes(data + _other(number))

    return _made(room, f"videos-{count}", fill)


# One run each.


def _home(room: Room) -> tempfile.TemporaryDirectory[str]:
    """With a state of its own."""
    return tempfile.TemporaryDirectory(dir=room.folder)


def _line(folder: Path, home: str, hook: str, *words: str) -> list[str]:
    return [CAMTRAIL, "video", "import", str(folder), hook, "--storage", f"{home}/import.sqlite", *words]


def _hashed(room: Room, folder: Path, who: str, sums: list[str]) -> Measure:
    with _home(room) as home:
        storage = f"{home}/import.sqlite"
        answer = peers.work(sys.executable, "hashed", who, str(folder), storage, worker=_WORKER)
    if answer["sums"] != sums:
        raise RuntimeError(f"{who} finds other sums: {answer['sums']}")
    return Measure(float(str(answer["items"])), float(str(answer["seconds"])))


def _planned(room: Room, folder: Path) -> Measure:
    with _home(room) as home:
        line = _line(folder, home, "null", "--dry-run")
        return Measure(len(os.listdir(folder)), done(line, environment(Path(home))))


def _peak(room: Room, folder: Path, *words: str) -> Measure:
    with _home(room) as home:
        line = _line(folder, home, "null", *words)
        return measured(sys.executable, "peak", *line, worker=_WORKER, env=environment(Path(home)))


def _sent(
    room: Room, folder: Path, sums: list[str], send: Callable[[str, dict[str, str]], Measure]
) -> Measure:
    """One run against a stand-in that starts empty."""
    with _home(room) as home, sandbox("camio") as box:
        measure = send(home, environment(Path(home), box, CAMIO_OAUTH_TOKEN="bench"))
        got = asked(box["url"])
    arrived = sorted((v["sha1"], v["times"]) for v in got["videos"])
    if arrived != sorted((s, 1) for s in sums):
        raise RuntimeError(f"{len(sums)} videos were to be sent once, {arrived} arrived")
    return measure


def _imported(folder: Path, home: str, env: dict[str, str]) -> Measure:
    storage = f"{home}/import.sqlite"
    return measured(sys.executable, "imported", str(folder), storage, worker=_WORKER, env=env)


def _peak_sending(folder: Path, home: str, env: dict[str, str]) -> Measure:
    return measured(sys.executable, "peak", *_line(folder, home, "camio"), worker=_WORKER, env=env)


def _program(folder: Path, home: str, env: dict[str, str]) -> Measure:
    seconds = done(_line(folder, home, "camio"), env)
    return Measure(sum(p.stat().st_size for p in folder.iterdir()) / 1e6, seconds)


def _bare(folder: Path, home: str, env: dict[str, str]) -> Measure:
    words = (str(folder), _CAMERA, str(_START_S))
    return measured(sys.executable, "bare", *words, worker=_WORKER, env=env)


# The rows.


def _sums(folder: Path) -> list[str]:
    """SHA-1 of each video; afterwards they are all in memory."""
    return [_sha1(path) for path in sorted(folder.glob("*.mp4"))]


def _sha1(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def _hashing(room: Room) -> Pair:
    folder = _large(room)
    sums = _sums(folder)
    return Pair(
        partial(_hashed, room, folder, "camtrail", sums), partial(_hashed, room, folder, "hashlib", sums)
    )


def _planning(room: Room) -> Pair:
    folder = _small(room, room.of(_MANY))
    _sums(folder)
    return Pair(partial(_planned, room, folder))


def _linux() -> None:
    if sys.platform != "linux":
        raise Missing("measured on Linux only")


def _memory_sending(room: Room) -> Pair:
    _linux()
    folder = _large(room)
    return Pair(partial(_sent, room, folder, _sums(folder), partial(_peak_sending, folder)))


def _memory(words: tuple[str, ...], room: Room) -> Pair:
    _linux()
    return Pair(partial(_peak, room, _small(room, room.of(_MANY)), *words))


def _sending(ours: Callable[[Path, str, dict[str, str]], Measure], room: Room) -> Pair:
    folder = _large(room)
    sums = _sums(folder)
    return Pair(
        partial(_sent, room, folder, sums, partial(ours, folder)),
        partial(_sent, room, folder, sums, partial(_bare, folder)),
    )


def _probing(peer: str, room: Room) -> Pair:
    if peer == "ffprobe" and shutil.which(peer) is None:
        raise Missing("ffprobe is not installed")
    folder = _made(room, "videos-probed", _fill_probed)
    lengths_s = [
        peers.work(sys.executable, "probed", who, str(folder), "1", worker=_WORKER)["lengths_s"]
        for who in ("camtrail", peer)
    ]
    if lengths_s[0] != lengths_s[1]:
        raise RuntimeError(f"camtrail finds {lengths_s[0]}, {peer} {lengths_s[1]}")
    return Pair(
        *(
            partial(_measured, sys.executable, "probed", w, str(folder), str(_TIMES))
            for w in ("camtrail", peer)
        )
    )


def _fill_probed(folder: Path) -> None:
    for number in range(_PROBED):
        _long(folder / _name(number), 1_000_000 * (1 + number))


_VIDEOS = f"{_COUNT} videos of {{n}} MB, H.264 in MP4"

ROWS = (
    Row(
        "video-hash",
        f"{_VIDEOS}: read, hashed and probed as `camtrail video import` does it; `hashlib.sha1` in one thread",
        "MB",
        _hashing,
        rate=400,
        size=_LARGE,
    ),
    Row(
        "video-plan",
        "{n} small videos: `camtrail video import DIR null --dry-run`, whole program, nothing known before",
        "",
        _planning,
        within_s=10,
        size=_MANY,
    ),
    Row(
        "video-plan-memory",
        "the same: most memory of all its processes together",
        "",
        partial(_memory, ("--dry-run",)),
        amount="MB",
        most=_MOST_MB,
        size=_MANY,
    ),
    Row(
        "video-import-memory",
        "{n} small videos: `camtrail video import DIR null`, most memory of all its processes together",
        "",
        partial(_memory, ()),
        amount="MB",
        most=_MOST_MB,
        size=_MANY,
    ),
    Row(
        "video-send",
        f"{_VIDEOS}: the workflow of `camtrail video import DIR camio`, with its process of hooks, job and list; {_BARE}",
        "MB",
        partial(_sending, _imported),
        ratio=0.95,
        size=_LARGE,
    ),
    Row(
        "video-send-program",
        "the same, the whole program; the bare client without the start of its interpreter",
        "MB",
        partial(_sending, _program),
        size=_LARGE,
    ),
    Row(
        "video-send-memory",
        "the same: most memory of all its processes together",
        "",
        _memory_sending,
        amount="MB",
        most=_MOST_MB,
        size=_LARGE,
    ),
    Row(
        "video-probe-av",
        f"{_PROBED} videos of 1 to {_PROBED} MB: codec and length by `metadata.isobmff.probe`; by `av.open`, the same",
        "videos",
        partial(_probing, "av"),
    ),
    Row(
        "video-probe-ffprobe",
        "the same; `ffprobe`, a process for each video",
        "videos",
        partial(_probing, "ffprobe"),
    ),
)
