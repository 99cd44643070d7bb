"""Writing places into photos, and taking them out again: a library in its own process, on fresh copies.

All write latitude, longitude, altitude, direction, GPS date and time with their references; what they wrote is
read back and compared after the clock has stopped.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from bench import jpeg, peers
from bench.cameras import SHAPES, Fix, photo
from bench.rows import Measure, Missing, Pair, Room, Row, Size, measured

__all__ = ["ROWS"]

_LARGE = Size(48, 16)
_SMALL = Size(640, 128)
_FIX = Fix(1_718_040_000.0, -7 * 3600, 45.5169, -122.5727, 70.0, 90.0, 8.0)
_OLD_NS = 1_718_040_000_123_456_789  # when a photo was changed last
_DEG, _M, _S = 1e-7, 0.01, 0.001


@functools.cache
def _large() -> bytes:
    """A photo of 3 MB with a maker note of some 30 kB and a thumbnail of some 10 kB."""
    shape, random = SHAPES[8], Random("camtrail large photo")
    body = jpeg.noise(random, shape.width_px * 3 // 2, shape.height_px * 3 // 2, 14)
    shape = replace(shape, width_px=shape.width_px * 3 // 2, height_px=shape.height_px * 3 // 2)
    data, _ = photo(shape, _FIX, 0, random, jpeg.thumbnail(random, shape.detail), body)
    assert 2_900_000 < len(data) < 3_100_000, len(data)
    return data


@functools.cache
def _small() -> bytes:
    """A photo of 50 kB: that of a phone with less even sky."""
    shape, random = replace(SHAPES[6], width_px=2976, height_px=2232), Random("camtrail small photo")
    data, _ = photo(shape, _FIX, 0, random, jpeg.thumbnail(random, shape.detail))
    assert 47_000 < len(data) < 53_000, len(data)
    return data


def _jobs(folder: Path, n: int, data: bytes) -> list[tuple[str, float, float, float, float, float]]:
    """Fresh copies and what goes into each: latitude, longitude, altitude, time, direction.

    They are on the disk when this returns, as photos are: what is still to be written would slow the next run.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    jobs = []
    for i in range(n):
        path = folder / f"IMG_{i:05d}.JPG"
        path.write_bytes(data)
        os.utime(path, ns=(_OLD_NS, _OLD_NS))
        jobs.append(
            (str(path), -33.8 + i * 1.234567e-4, 18.4 + i * 7.654321e-4, 12.5 + i, 1.7e9 + i, i % 360 + 0.25)
        )
    if hasattr(os, "sync"):
        os.sync()
    return jobs


def _write(
    interpreter: str, task: str, writer: str, size: Size, make: Callable[[], bytes], room: Room
) -> Measure:
    """One run of a writer, or of undo."""
    n, folder = room.of(size), room.folder / "write"
    data = make()
    jobs = _jobs(folder, n + 1, data)  # the first one is for warming up
    listed = room.folder / "jobs.json"
    listed.write_text(json.dumps(jobs))
    measure = measured(interpreter, task, writer, str(listed))
    if measure.items != n:
        raise RuntimeError(f"{writer} wrote {measure.items} of {n} photos")
    for path, *values in jobs:
        if task == "undo" or writer == "floor":
            if Path(path).read_bytes() != data or (task == "undo" and os.stat(path).st_mtime_ns != _OLD_NS):
                raise RuntimeError(f"{path} is not as it was")
        else:
            _check(writer, path, values)
    if left := [name for name in os.listdir(folder) if not name.startswith(("IMG_", ".state"))]:
        raise RuntimeError(f"{writer} left {left[0]}")
    shutil.rmtree(folder)
    return measure


def _check(writer: str, path: str, values: list[float]) -> None:
    from camtrail.core.bytes import FileBytes
    from camtrail.metadata.read import header

    with FileBytes(path) as source:
        row = header(source)
    _, _, time_s, lat, lon, alt, heading, *_ = row
    for found, wanted, within in zip(
        (lat, lon, alt, time_s, heading), values, (_DEG, _DEG, _M, _S, _M), strict=True
    ):
        if not abs(found - wanted) <= within:
            raise RuntimeError(f"{writer} wrote {found}, not {wanted}")


def _pair(ours: str, peer: str, size: Size, make: Callable[[], bytes], room: Room) -> Pair:
    if peer == "exiftool" and peers.exiftool() is None:
        raise Missing("exiftool is not installed")
    theirs = peers.python() if peer in ("mapillary_tools", "piexif") else sys.executable
    return Pair(
        partial(_write, sys.executable, "write", ours, size, make, room),
        partial(_write, theirs, "write", peer, size, make, room),
    )


def _floor(room: Room) -> Pair:
    if not hasattr(os, "copy_file_range"):
        raise Missing("this system has no copy_file_range")
    return _pair("camtrail-durable", "floor", _LARGE, _large, room)


def _undo(room: Room) -> Pair:
    return Pair(partial(_write, sys.executable, "undo", "camtrail", _LARGE, _large, room))


_OURS = "`metadata.write.new_head` and `safeio.replace` with journal, undo data and read-back"

ROWS = (
    Row(
        "write-mapillary",
        f"{{n}} photos of 3 MB: {_OURS}, photos not synced; mapillary_tools' `ExifEdit`, in place",
        "photos",
        partial(_pair, "camtrail", "mapillary_tools", _LARGE, _large),
        ratio=1.5,
        size=_LARGE,
    ),
    Row(
        "write-floor",
        "the same, synced; the least that is safe: `copy_file_range`, `fsync`, `os.replace` of each photo, nothing "
        "written into it",
        "photos",
        _floor,
        ratio=0.4,
        size=_LARGE,
    ),
    Row(
        "write-durable",
        "{n} photos of 50 kB, synced; the same by camtrail, not synced",
        "photos",
        partial(_pair, "camtrail-durable", "camtrail", _SMALL, _small),
        ratio=0.8,
        size=_SMALL,
    ),
    Row(
        "write-piexif",
        "as `write-mapillary`; `piexif.load`, `dump`, `insert`, in place",
        "photos",
        partial(_pair, "camtrail", "piexif", _LARGE, _large),
        size=_LARGE,
    ),
    Row(
        "write-exiftool",
        "as `write-mapillary`; one `exiftool -stay_open -overwrite_original`",
        "photos",
        partial(_pair, "camtrail", "exiftool", _LARGE, _large),
        size=_LARGE,
    ),
    Row(
        "write-undo",
        "{n} photos of 3 MB: `safeio.restore`, synced, each compared with the sum of its first bytes",
        "photos",
        _undo,
        size=_LARGE,
    ),
)
