"""A thousand files that are no videos among some that are: each is named, and none stops the rest."""

from __future__ import annotations

import os
import random
import struct
import threading
from pathlib import Path

import pytest

from .conftest import QUIET, TWO, codes, fill, footage, name_of, outcomes, sha1, video

COUNT = 1000


def box(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I4s", len(body) + 8 if size is None else size, kind) + body


def without(kind: bytes) -> bytes:
    """A video without one of its boxes at the top."""
    data, at, kept = footage(), 0, b""
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] != kind:
            kept += data[at : at + size]
        at += size
    return kept


def damaged(n: int, kind: str) -> bytes:
    """The n-th file that no one can play, of a kind."""
    chance = random.Random(n)
    whole = video(n)
    if kind == "empty":
        return b""
    if kind == "cut":  # before the header, which lies at the end
        return footage()[: chance.randrange(1, footage().index(b"moov") - 4)]
    if kind == "no header":
        return without(b"moov") + n.to_bytes(8, "big")
    if kind == "text":
        return f"This is no video, number {n}.\n".encode() * chance.randrange(1, 50)
    if kind == "noise":
        return chance.randbytes(chance.randrange(1, 5000))
    if kind == "noise inside":
        at = whole.index(b"moov") + 4
        return whole[:at] + chance.randbytes(200) + whole[at + 200 :]
    if kind == "zeros":
        return bytes(chance.randrange(1, 5000))
    if kind == "huge box":
        return box(b"ftyp", b"isom" + bytes(4)) + struct.pack(">I4sQ", 1, b"moov", 2**63 - n)
    if kind == "deep":
        inner = b""
        for _ in range(60):
            inner = box(b"moov", inner)
        return inner + n.to_bytes(4, "big")
    if kind == "picture":
        return b"\xff\xd8\xff\xe0" + chance.randbytes(500) + b"\xff\xd9"
    raise ValueError(kind)


KINDS = ("empty", "cut", "no header", "text", "noise", "noise inside", "zeros", "huge box", "deep", "picture")


OTHERS = ("", ".mkv", ".AVI", ".mov", ".ts", "")
"""Behind the name; what is no MP4 is for the decoder to judge."""


def test_a_thousand_damaged_files_among_good_ones(hooks, tmp_path, imported):
    folder = tmp_path / "card"
    wanted = fill(folder, 20)
    bad = []
    for n in range(100, 100 + COUNT):
        name = name_of(n, f"BAD{n % 7}") + OTHERS[n // len(KINDS) % len(OTHERS)]
        (folder / name).write_bytes(damaged(n, KINDS[n % len(KINDS)]))
        bad.append(name)
    file = hooks(TWO + QUIET)
    done = imported(file, of=folder)
    became = outcomes(done)
    assert {name for name, outcome in became.items() if outcome == "sent"} == set(wanted)
    assert {name for name, outcome in became.items() if outcome == "failed"} == set(bad)
    named = [os.path.basename(f.item) for f in done.result.failures]
    assert sorted(named) == sorted(bad)
    assert codes(done) == {3}, {f.code for f in done.result.failures if f.exit_code != 3}
    assert all(f.message and "\n" not in f.message and f.code != "bug" for f in done.result.failures)
    assert sorted(file.posted()) == sorted(wanted)


def test_a_video_that_is_cut_off_is_named_and_sent_when_it_is_whole(hooks, folder, imported):
    path = folder / name_of(1)
    whole = path.read_bytes()
    moved = without(b"moov")
    header = whole[whole.index(b"moov") - 4 : len(footage())]
    early = moved[: moved.index(b"mdat") - 4] + header + moved[moved.index(b"mdat") - 4 :]
    path.write_bytes(early[:-100])
    file = hooks(TWO + QUIET)
    done = imported(file)
    assert outcomes(done)[name_of(1)] == "failed"
    (failure,) = done.result.failures
    assert "ends before its pictures do" in failure.message and "copy" in failure.hint
    path.write_bytes(early)
    assert dict(imported(file).counts) == {"sent": 1, "sent before": 2}


@pytest.mark.skipif(os.name == "nt", reason="links, pipes and bytes of POSIX")
def test_what_else_may_lie_in_a_folder(hooks, folder, imported, tmp_path):
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / name_of(10)).symlink_to(tmp_path / "nowhere.mp4")
    os.mkfifo(folder / name_of(11))
    (folder / name_of(12)).mkdir()
    (folder / name_of(12) / name_of(13)).write_bytes(video(13))
    (folder / f".{name_of(14)}").write_bytes(video(14))
    (folder / name_of(15)).symlink_to(folder / name_of(0))
    (folder / name_of(16)).symlink_to(folder / name_of(16))
    os.makedirs(os.fsencode(folder) + b"/caf\xe9")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9/" + name_of(17).encode())).write_bytes(video(17))
    long = f"{'L' * 235}-1476014557.mp4"
    (folder / long).write_bytes(video(18))
    (folder / "new\nline").mkdir()
    (folder / "new\nline" / name_of(19)).write_bytes(video(19))
    (folder / f"{name_of(20)}.part").write_bytes(video(20))
    (folder / "notes.txt").write_text("no video")
    file = hooks(TWO + QUIET)
    done = imported(file)
    assert outcomes(done) == {
        name_of(0): "sent", name_of(1): "sent", name_of(2): "sent", name_of(10): "failed", name_of(11): "failed",
        name_of(13): "sent", name_of(15): "duplicate", name_of(16): "failed", name_of(17): "sent", long: "sent",
        name_of(19): "sent",
    }  # fmt: skip
    assert codes(done) == {3} and all("\n" not in f.message for f in done.result.failures)
    assert any("loop" in note and "not followed" in note for note in done.result.notes)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom rights hold back")
def test_files_and_folders_that_may_not_be_read_are_named(hooks, folder, imported):
    (folder / name_of(1)).chmod(0)
    (folder / "closed").mkdir(mode=0)
    try:
        file = hooks(TWO + QUIET)
        done = imported(file)
        assert {os.path.basename(f.item) for f in done.result.failures} == {name_of(1), "closed"}
        assert dict(done.counts) == {"sent": 2, "failed": 1} and codes(done) == {3}
    finally:
        (folder / "closed").chmod(0o755)
        (folder / name_of(1)).chmod(0o644)
    assert dict(imported(file).counts) == {"sent": 1, "sent before": 2}


def test_a_video_that_goes_away_costs_itself(hooks, folder, imported):
    fill(folder, 40)
    text = (
        TWO
        + "def trouble(name):\n    for n in os.listdir(FOLDER):\n        if n > name and n.endswith('7.mp4') and n[-6] in '13579': os.unlink(os.path.join(FOLDER, n))\n"
    )
    file = hooks(text.replace("FOLDER", repr(str(folder))))
    done = imported(file, workers=1)
    gone = {name for name, outcome in outcomes(done).items() if outcome == "failed"}
    assert gone and codes(done) == {3}
    assert all(
        "not there" in f.message or "cannot be" in f.message or f.retryable for f in done.result.failures
    )
    assert len(outcomes(done)) == 40 and sum(done.counts.values()) == 40


def test_a_video_that_grows_while_it_is_read_is_left_out(hooks, folder, imported):
    path = folder / name_of(1)
    with path.open("ab") as f:
        f.write(box(b"free", size=0))  # reaches to the end of the file, wherever that is
        f.truncate(1 << 27)
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab") as f:
            while not stop.is_set():
                f.write(b"\0" * 1000)
                f.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        done = imported(hooks(TWO + QUIET))
    finally:
        stop.set()
        writer.join()
    assert outcomes(done) == {name_of(0): "sent", name_of(1): "failed", name_of(2): "sent"}
    (failure,) = done.result.failures
    assert failure.retryable and "changed while it was read" in failure.message


def test_a_video_that_was_written_to_is_read_again(hooks, folder, imported):
    file = hooks(TWO + QUIET)
    imported(file)
    path = folder / name_of(1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x40
    with path.open("r+b") as f:
        f.write(data)
    os.utime(path)
    done = imported(file)
    assert dict(done.counts) == {"sent": 1, "sent before": 2}
    assert {v["sha1"] for v in done.videos} == {sha1(video(0)), sha1(bytes(data)), sha1(video(2))}
