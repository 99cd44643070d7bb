"""Sequences: photos of one camera in one folder, cut where time or way breaks off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from camtrail.core import geo
from camtrail.core.model import Floats, Ints
from camtrail.core.options import by_preset, opt

__all__ = ["SplitOptions", "in_order", "index_in", "split", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Where a sequence ends."""

    cutoff_distance_m: float | None = by_preset(
        "start a new sequence after a longer jump, metres", {"classic": 600.0, "modern": 100.0}, least=0
    )
    cutoff_time_s: float = opt(60.0, "start a new sequence after a longer pause", least=0)
    max_images: int | None = by_preset(
        "most photos of one sequence", {"classic": 500, "modern": 1000}, least=1
    )


def in_order(group: Ints, time_s: Floats, name: Callable[[int], object]) -> Ints:
    """Rows sorted by group, time and, where two times are one, name.

    Parameters
    ----------
    group, time_s : (n,); NaN sorts last
    name : sort key of a row; asked only for rows whose time another one has, too
    """
    order = np.lexsort((np.arange(len(time_s)), time_s, group))
    g, t = group[order], time_s[order]
    tied = np.flatnonzero((g[1:] == g[:-1]) & (t[1:] == t[:-1]))
    if len(tied):
        starts = tied[np.concatenate([[True], np.diff(tied) > 1])]
        ends = tied[np.concatenate([np.diff(tied) > 1, [True]])] + 2
        for a, b in zip(starts.tolist(), ends.tolist()):
            order[a:b] = sorted(order[a:b].tolist(), key=name)  # type: ignore[arg-type]
    return order


def spread(group: Ints, time_s: Floats) -> Floats:
    """Times with those that several photos share (to the millisecond) spread evenly behind the first.

    Parameters
    ----------
    group, time_s : (n,) in the order of `in_order`

    Returns
    -------
    (n,) times; a run of equal ones fills the time to the next whole second, or to the next photo's time if
    that comes first, without reaching it. Never changes the order.

    Notes
    -----
    A camera that shoots five a second and writes whole seconds: its photos then lie along the track.
    """
    n = len(time_s)
    if n < 2:
        return time_s.copy()
    ms = np.floor(time_s * 1000.0 + 1e-3)
    new = np.concatenate([[True], (group[1:] != group[:-1]) | ~(ms[1:] == ms[:-1])])
    start = np.flatnonzero(new)
    if len(start) == n:
        return time_s.copy()
    count = np.diff(np.concatenate([start, [n]]))
    t = time_s[start]
    following = np.concatenate([t[1:], [np.inf]])
    other = np.concatenate([group[start][1:] != group[start][:-1], [True]])
    following = np.where(other | ~(following > t), np.inf, following)
    end = np.minimum(np.floor(t) + 1.0, following)
    run = np.cumsum(new) - 1
    position = np.arange(n) - start[run]
    step = (end - t) / count
    return np.where(count[run] > 1, t[run] + position * step[run], time_s)


def split(group: Ints, time_s: Floats, lat_deg: Floats, lon_deg: Floats, options: SplitOptions) -> Ints:
    """Sequence label of each photo.

    Parameters
    ----------
    group : (n,) photos of one folder and camera body share a number; ascending
    time_s : (n,) instants, ascending in each group
    options : resolved, no None left

    Returns
    -------
    (n,) labels 0..k-1, never decreasing; no photo is dropped

    Notes
    -----
    A break opens where either limit is exceeded. O(n), no Python loop.
    """
    if not len(time_s):
        return np.zeros(0, np.int64)
    jump_m = geo.distance_m(lat_deg[:-1], lon_deg[:-1], lat_deg[1:], lon_deg[1:])
    far = np.inf if options.cutoff_distance_m is None else options.cutoff_distance_m
    breaks = (np.diff(group) != 0) | (np.diff(time_s) > options.cutoff_time_s) | (jump_m > far)
    return np.concatenate([[0], np.cumsum(breaks)])


def index_in(label: Ints, most: int | None = None) -> tuple[Ints, Ints]:
    """Labels with long sequences cut after `most` photos, and the place of each photo in its own.

    Parameters
    ----------
    label : (n,) never decreasing

    Returns
    -------
    (n,) labels 0..k-1, never decreasing; (n,) 0.. in each
    """
    n = len(label)
    if not n:
        return label.copy(), label.copy()
    new = np.concatenate([[True], label[1:] != label[:-1]])
    position = np.arange(n) - np.flatnonzero(new)[np.cumsum(new) - 1]
    if most:
        new |= position % most == 0
        position = np.arange(n) - np.flatnonzero(new)[np.cumsum(new) - 1]
    return np.cumsum(new) - 1, position
