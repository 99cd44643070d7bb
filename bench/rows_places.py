"""Places by time: one thread, columns in memory."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from bench.rows import Measure, Pair, Room, Row

__all__ = ["ROWS"]

_PHOTOS = 1_000_000


def _build(n: int) -> Measure:
    """Groups photos of a year of trips in random order and finds the middle of each group."""
    from camtrail.steps import places

    random = np.random.default_rng(6)
    time_s = np.sort(random.uniform(0.0, 3e7, n))
    lat = np.clip(20.0 + np.cumsum(random.normal(0.0, 0.003, n)), -89.0, 89.0)
    lon = (np.cumsum(random.normal(0.0, 0.003, n)) + 180.0) % 360.0 - 180.0
    order = random.permutation(n)
    time_s, lat, lon = time_s[order], lat[order], lon[order]
    start = time.perf_counter()
    label = places.grouped(time_s, lat, lon, places.PlaceOptions())
    middle = places.centres(label, lat, lon)
    places.extents(label, time_s)
    seconds = time.perf_counter() - start
    if int(middle.count.sum()) != n:
        raise ValueError("photos were lost")
    return Measure(n, seconds)


def _row(room: Room) -> Pair:
    return Pair(partial(_build, _PHOTOS))


ROWS = (
    Row(
        "places",
        "`steps.places`: 1,000,000 photos in random order to places, with middle, radius and span",
        "",
        _row,
        within_s=3.0,
    ),
)
