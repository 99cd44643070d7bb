"""Tracks and steps: one thread, columns in memory."""

from __future__ import annotations

import sys
from functools import partial

from bench import peers
from bench.corpus import gpx
from bench.rows import Pair, Room, Row, Size, measured

__all__ = ["ROWS"]

_POINTS = Size(200_000, 20_000)


def _task(*arguments: str) -> Pair:
    return Pair(partial(measured, sys.executable, *arguments))


def _track(room: Room) -> Pair:
    file = str(gpx(room.of(_POINTS)))
    return Pair(
        partial(measured, sys.executable, "track", "camtrail", file),
        partial(measured, peers.python(), "track", "gpxpy", file),
    )


ROWS = (
    Row(
        "gpx-gpxpy",
        "`sources.gpx.read`, {n} points with times to columns; `gpxpy.parse`, without lxml (with it it is "
        "slower), to tuples",
        "points",
        _track,
        size=_POINTS,
    ),
    Row(
        "join",
        "`steps.interpolate.join`, 100,000 photos in random order on 1,000,000 points",
        "",
        lambda room: _task("join", "1000000", "100000"),
        within_s=1.0,
    ),
    Row(
        "sequence",
        "`steps.sequences`: order, spread, cut and number 1,000,000 photos in random order",
        "",
        lambda room: _task("sequence", "1000000"),
        within_s=3.0,
    ),
    Row(
        "duplicates",
        "`steps.duplicates.flag`, 1,000,000 photos, 2 % duplicates",
        "",
        lambda room: _task("duplicates", "1000000"),
    ),
)
