"""Reading headers: a library in its own process, one thread, all files read once before the clock starts."""

from __future__ import annotations

import sys
from functools import partial

from bench import peers
from bench.rows import Missing, Pair, Room, Row, Size, measured

__all__ = ["ROWS"]

_SLOW = Size(1000, 1000)  # photos for peers that need minutes for all


def _alone(room: Room) -> Pair:
    return Pair(partial(measured, sys.executable, "headers", "camtrail", room.listed(room.corpus.files)))


def _beside(reader: str, room: Room) -> Pair:
    listed = room.listed(room.corpus.files)
    return Pair(
        partial(measured, sys.executable, "headers", "camtrail", listed),
        partial(measured, peers.python(), "headers", reader, listed),
    )


def _exiftool(room: Room) -> Pair:
    if peers.exiftool() is None:
        raise Missing("exiftool is not installed")
    files = room.corpus.files
    n = room.of(_SLOW)
    fewer = files[:: len(files) // n][:n]
    return Pair(
        partial(measured, sys.executable, "headers", "camtrail", room.listed(files)),
        partial(measured, sys.executable, "headers", "exiftool", room.listed(fewer)),
    )


ROWS = (
    Row("headers", "`metadata.read.header`, one core", "photos", _alone, rate=20_000),
    Row(
        "headers-exifread",
        "the same; `exifread.process_file(f, details=False)`",
        "photos",
        partial(_beside, "exifread"),
        ratio=8,
    ),
    Row(
        "headers-mapillary",
        "the same; mapillary_tools' EXIF reader, all its fields",
        "photos",
        partial(_beside, "mapillary_tools"),
        ratio=10,
    ),
    Row(
        "headers-exiftool",
        "the same; one `exiftool -stay_open -j -n -fast2` with 20 tags, {n} of the photos, batches of 100",
        "photos",
        _exiftool,
        ratio=60,
        size=_SLOW,
    ),
)
