"""What the map of a report is drawn from: places, times and lines as columns that a script unpacks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from camtrail.core.geo import distance_m, plausible
from camtrail.core.model import Floats, Item, Track
from camtrail.core.names import shown
from camtrail.exports.values import FIRST_S, LAST_S, has_place, heading_deg
from camtrail.reports.columns import lines, numbers, words
from camtrail.reports.page import file_url

__all__ = ["COLOURS", "STYLE", "Recording", "Ride", "colour", "photo_data", "track_data", "west_deg"]

COLOURS = 10
"""Colours there are; the eleventh line takes the first again, dashed."""

_LIGHT = [
    "#0065b3",
    "#c44a00",
    "#00795a",
    "#a8327e",
    "#7d6200",
    "#5a4fb0",
    "#00798c",
    "#b3263a",
    "#4d7a1f",
    "#6b4a3a",
]
_DARK = [
    "#5cb0f5",
    "#ff9a52",
    "#3fcf9f",
    "#f285c9",
    "#dcc04a",
    "#ada4ff",
    "#4ecbe0",
    "#ff8090",
    "#a6d668",
    "#cfa793",
]

STYLE = (
    ":root{"
    + "".join(f"--c{i}:{c};" for i, c in enumerate(_LIGHT))
    + "}\n@media (prefers-color-scheme:dark){:root{"
    + "".join(f"--c{i}:{c};" for i, c in enumerate(_DARK))
    + "}}\n"
    + "".join(f".c{i}{{--c:var(--c{i})}}" for i in range(COLOURS))
    + "\n"
)

_MANY = 200_000  # from here on places are kept to a metre and times to a second
_MOST_FIXES = 1_000_000
_MOST_GAPS = 5000
_PAUSE_S, _JUMP_M, _DAY_S = 30.0, 100.0, 86400.0
_NO_HEADING = 360
_HAS_PLACE, _HAS_TIME, _IS_CLOCK, _IS_MAGNETIC = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Ride:
    """One sequence, its photos in order."""

    ident: str
    photos: list[Item]
    placed: list[Item]
    length_m: float


@dataclass(frozen=True, slots=True)
class Recording:
    """The tracks of one source, by the name of their file."""

    name: str
    tracks: Sequence[Track]


def colour(number: int) -> str:
    """Classes of the n-th sequence: one of ten colours, and dashes from the eleventh on."""
    dash = number // COLOURS % 3
    return f"c{number % COLOURS}" + (f" dash{dash}" if dash else "")


def photo_data(
    items: Sequence[Item], rides: Sequence[Ride], outcomes: Sequence[str], west: float, folder: str | None
) -> dict[str, Any]:
    """Columns of photos, in the order of the rows.

    Parameters
    ----------
    items : all photos, by name
    rides : the sequences, by time
    outcomes : every outcome that occurs
    west : longitude in degrees that all others are counted on from
    folder : absolute; links are relative to it. None: no links

    Returns
    -------
    `degree` and `second`: parts of one that the whole numbers of places and times count; `lat lon time outcome flags
    heading sequence`, one number a row; `order`, the rows of all sequences one after the other; `names`; `roots`,
    `root` and `urls`, which lead to the files; `gaps`, pairs of rows where one sequence ends and the next begins
    """
    degree, second = (100_000, 1) if len(items) > _MANY else (1_000_000, 1000)
    has = np.array([has_place(item) for item in items], bool)
    lat = np.array([item.lat_deg for item in items], float)
    lon = _from(west, np.array([item.lon_deg if placed else 0.0 for item, placed in zip(items, has)], float))
    time = np.array([_seconds(item) for item in items], float)
    row_of = {id(item): row for row, item in enumerate(items)}
    number_of: dict[str | None, int] = {ride.ident: number for number, ride in enumerate(rides, 1)}
    place_of = {outcome: i for i, outcome in enumerate(outcomes)}
    roots = {root: i for i, root in enumerate(dict.fromkeys(item.root for item in items))}
    flags = [
        _HAS_PLACE * bool(placed)
        | _HAS_TIME * (seconds == seconds)
        | _IS_CLOCK * (not FIRST_S <= item.time_s < LAST_S)
        | _IS_MAGNETIC * (item.heading_ref == "M")
        for item, placed, seconds in zip(items, has.tolist(), time.tolist())
    ]
    return {
        "degree": degree,
        "second": second,
        "lat": numbers(_whole(lat, degree, has)),
        "lon": numbers(_whole(lon, degree, has)),
        "time": numbers(_whole(time, second, np.isfinite(time))),
        "flags": numbers(np.array(flags, np.int64)),
        "heading": numbers(np.array([_heading(item) for item in items], np.int64)),
        "outcome": numbers(np.array([place_of[item.outcome] for item in items], np.int64)),
        "sequence": numbers(np.array([number_of.get(item.sequence, 0) for item in items], np.int64)),
        "order": numbers(np.array([row_of[id(i)] for ride in rides for i in ride.photos], np.int64)),
        "names": lines(item.path for item in items),
        "roots": [{"name": shown(root), "url": _folder_url(root, folder)} for root in roots],
        "root": numbers(np.array([roots[item.root] for item in items], np.int64)),
        "urls": _odd_urls(items, folder),
        "source": words(item.position_source or "" for item in items),
        "gaps": [[row_of[id(a)], row_of[id(b)]] for a, b in _gaps(rides)],
    }


def track_data(recordings: Sequence[Recording], west: float, max_gap_s: float) -> dict[str, Any]:
    """Columns of fixes: `lat lon time`, all tracks one after the other.

    Parameters
    ----------
    west : longitude in degrees that all others are counted on from
    max_gap_s : longest time between two fixes that is no gap

    Returns
    -------
    further `starts`, the first row of each track; `of`, to which of `names` it belongs; `gaps`, pairs of rows
    between which the receiver had no fix, or none for longer than `max_gap_s`

    Notes
    -----
    Of more than a million fixes every k-th is kept, and the ends of all tracks.
    """
    chosen = [(n, t) for n, recording in enumerate(recordings) for t in recording.tracks if len(t.time_s)]
    total = sum(len(t.time_s) for _, t in chosen)
    step = max(1, math.ceil(total / _MOST_FIXES))
    kept = [_kept(t, step) for _, t in chosen]
    sizes = [len(t.time_s[k]) for (_, t), k in zip(chosen, kept)]
    lat, lon, time = (
        np.concatenate([getattr(t, name)[k] for (_, t), k in zip(chosen, kept)] or [np.zeros(0)])
        for name in ("lat_deg", "lon_deg", "time_s")
    )
    is_place = plausible(lat, lon)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)[: len(sizes)]
    degree, second = (100_000, 1) if len(lat) > _MANY else (1_000_000, 1000)
    return {
        "degree": degree,
        "second": second,
        "lat": numbers(_whole(lat, degree, is_place)),
        "lon": numbers(_whole(_from(west, np.where(is_place, lon, 0.0)), degree, is_place)),
        "time": numbers(_whole(time, second, np.isfinite(time))),
        "starts": numbers(starts),
        "of": numbers(np.array([n for n, _ in chosen], np.int64)),
        "names": lines(recording.name for recording in recordings),
        "gaps": _silences([n for n, _ in chosen], starts.tolist(), time, max_gap_s * step),
    }


def _kept(track: Track, step: int) -> Any:
    if step == 1:
        return slice(None)
    rows = np.arange(0, len(track.time_s), step)
    return np.unique(np.append(rows, len(track.time_s) - 1))


def _silences(of: Sequence[int], starts: Sequence[int], time: Floats, most_s: float) -> list[list[int]]:
    """Rows before and behind what a receiver left out, the longest first."""
    wide = np.flatnonzero(np.diff(time) > most_s)
    first = set(starts)
    inside = [(row, row + 1) for row in wide.tolist() if row + 1 not in first]
    ends = [start - 1 for start in [*starts[1:], len(time)]]
    by_time = sorted(range(len(starts)), key=lambda k: (of[k], time[starts[k]]))
    between = [(ends[a], starts[b]) for a, b in pairwise(by_time) if of[a] == of[b]]
    waits = [(float(time[b] - time[a]), [a, b]) for a, b in (*inside, *between)]
    waits = [w for w in waits if 0 < w[0] < _DAY_S]
    return [pair for _, pair in sorted(waits, key=lambda w: (-w[0], w[1]))[:_MOST_GAPS]]


def _gaps(rides: Sequence[Ride]) -> Iterator[tuple[Item, Item]]:
    """Where a camera's photos of one folder pause within a day, or jump; not where a sequence is full."""
    last: dict[tuple[str | None, ...], Item] = {}
    found = 0
    for ride in rides:
        if not ride.placed:
            continue
        first = ride.placed[0]
        key = (first.make, first.model, first.serial, first.root, first.path.rpartition("/")[0])
        before = last.get(key)
        last[key] = ride.placed[-1]
        if before is not None and found < _MOST_GAPS and _is_gap(before, first):
            found += 1
            yield before, first


def _is_gap(a: Item, b: Item) -> bool:
    pause_s = b.order_s - a.order_s
    if not 0 < pause_s < _DAY_S:
        return False
    jump_m = distance_m(*(np.array([v]) for v in (a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg)))
    return pause_s > _PAUSE_S or float(jump_m[0]) > _JUMP_M


def _whole(values: Floats, unit: int, known: Any) -> Any:
    """Whole parts of a unit; where there is no value, that of the row before, which costs nothing."""
    rows = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    filled = np.where(rows >= 0, np.where(known, values, 0.0)[rows], 0.0) if len(values) else values
    return np.rint(filled * unit).astype(np.int64)


def west_deg(items: Iterable[Item], recordings: Iterable[Recording]) -> float:
    """The western edge of the narrowest band of longitudes that holds all places, -180 <= x < 180.

    Longitudes that are counted on from there keep a ride across 180° in one piece.
    """
    found = [np.array([item.lon_deg for item in items if has_place(item)], float)]
    for track in (t for recording in recordings for t in recording.tracks):
        found.append(track.lon_deg[plausible(track.lat_deg, track.lon_deg)])
    around = np.sort(np.concatenate(found) % 360.0)
    if not len(around):
        return -180.0
    widest = int(np.argmax(np.diff(around, append=around[:1] + 360.0)))
    west = float(around[(widest + 1) % len(around)])
    return west - 360.0 if west >= 180.0 else west


def _from(west: float, lon_deg: Floats) -> Floats:
    beyond = (lon_deg - west) % 360.0
    # The westernmost place itself may be a hair off by rounding.
    return np.asarray(west + np.where(beyond > 359.9999999, 0.0, beyond))


def _seconds(item: Item) -> float:
    """The instant, or what the camera's clock showed; NaN where neither is known."""
    for seconds in (item.time_s, item.local_s):
        if FIRST_S <= seconds < LAST_S:
            return seconds
    return math.nan


def _heading(item: Item) -> int:
    heading = heading_deg(item)
    return _NO_HEADING if heading is None else round(heading) % 360


def _folder_url(root: str, folder: str | None) -> str | None:
    """What stands before a photo's name in its link."""
    url = None if folder is None else file_url(os.path.join(root, "x"), folder)
    return url and url[:-1]


def _odd_urls(items: Sequence[Item], folder: str | None) -> Mapping[int, str | None]:
    """Links of the photos that are not their folder's with their name as it is shown."""
    if folder is None:
        return {}
    return {
        row: file_url(item.file, folder)
        for row, item in enumerate(items)
        if shown(item.path) != item.path or item.file != os.path.join(item.root, item.path)
    }
