"""Which local photo is which online photo: who may belong together by time, and one assignment for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from camtrail.core.errors import MissingDependency
from camtrail.core.model import Bools, Floats, Ints

__all__ = ["Assignment", "assign", "clock_offset_s", "components"]

_DAY_S = 86400.0
_LEAST_GAIN = 1e-6  # of a pair that just reaches the threshold
_RIVALS = 3
_LEAST_PAIRS = 3  # that tell of a clock that is off
_SPREAD_S = 45.0  # observations are cut to the minute: 30 s to either side, and a bit


def components(time_s: Floats, day: Ints, is_day_long: Bools, threshold_s: float) -> Ints:
    """Which photos, local and online ones together, may belong together by time.

    Parameters
    ----------
    time_s : (n,) wall clock, seconds as if it were UTC; NaN where there is none
    day : (n,) number of the day, for photos whose time of day is not known; -1 where that is not known either
    is_day_long : (n,) whether a photo may belong to any time of its day
    threshold_s : chains of at most that many seconds join

    Returns
    -------
    (n,) labels 0.. in the order of time; -1 for photos with neither time nor day

    Notes
    -----
    Two photos belong together when there is a way from one to the other in steps of at most the threshold: no
    photo is lost between two groups. O(n log n).
    """
    label = np.full(len(time_s), -1, np.int64)
    known = np.flatnonzero(np.isfinite(time_s))
    order = known[np.argsort(time_s[known], kind="stable")]
    if len(order):
        t = time_s[order]
        label[order] = np.concatenate([[0], np.cumsum(np.diff(t) > threshold_s)])
    days = np.where(np.isfinite(time_s), np.floor(np.nan_to_num(time_s) / _DAY_S), day).astype(np.int64)
    following = int(label.max(initial=-1)) + 1
    for number in np.unique(days[is_day_long & (days >= 0)]).tolist():
        members = np.flatnonzero((days == number) & (is_day_long | (label >= 0)))
        joined = np.unique(label[members[label[members] >= 0]])
        target = int(joined[0]) if len(joined) else following
        following += not len(joined)
        label[members] = target
        for other in joined[1:].tolist():
            label[label == other] = target
    return _renumbered(label, np.where(np.isfinite(time_s), time_s, days * _DAY_S))


def _renumbered(label: Ints, time_s: Floats) -> Ints:
    """Labels in the order of the first photo of each."""
    used = label >= 0
    if not used.any():
        return label
    names, inverse = np.unique(label[used], return_inverse=True)
    first = np.full(len(names), np.inf)
    np.minimum.at(first, inverse, time_s[used])
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(names))
    out = label.copy()
    out[used] = rank[inverse]
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Which rows and columns belong together, and how sure that is."""

    row: Ints  # (k,) ascending
    column: Ints  # (k,)
    score: Floats  # (k,)
    margin: Floats  # (k,) what the sum loses when a rival gets the row or the column; infinite without rivals


def assign(score: Floats, threshold: float) -> Assignment:
    """The one-to-one assignment with the greatest sum of what scores are above the threshold.

    Parameters
    ----------
    score : (n, m) similarity of row and column, at most 1; NaN or less than the threshold: they cannot belong
        together

    Returns
    -------
    Each row and each column at most once. `margin` is near 0 where another photo would do as well, as of two
    copies of one file.

    Raises
    ------
    MissingDependency
        scipy is not installed.

    Notes
    -----
    Jonker & Volgenant (1987), scipy's `linear_sum_assignment`; one more solution for each of the three best rivals
    in a pair's row and column. Deterministic.
    """
    gain = np.where(score >= threshold, np.nan_to_num(score) - threshold + _LEAST_GAIN, 0.0)
    solve = _solver()
    row, column = solve(gain, maximize=True)
    total = float(gain[row, column].sum())
    real = gain[row, column] > 0.0
    row, column = row[real].astype(np.int64), column[real].astype(np.int64)
    margin = [_margin(gain, i, j, total, solve) for i, j in zip(row.tolist(), column.tolist())]
    return Assignment(row, column, score[row, column], np.array(margin, float))


def _margin(gain: Floats, i: int, j: int, total: float, solve: Any) -> float:
    """What the sum loses when the best rival takes the row or the column of a pair."""
    least = np.inf
    in_row = [(i, k) for k in np.argsort(-gain[i], kind="stable")[: _RIVALS + 1].tolist() if k != j]
    in_column = [(k, j) for k in np.argsort(-gain[:, j], kind="stable")[: _RIVALS + 1].tolist() if k != i]
    for r, c in in_row + in_column:
        if gain[r, c] <= 0.0:
            continue
        rest = np.delete(np.delete(gain, r, 0), c, 1)
        rows, columns = solve(rest, maximize=True)
        least = min(least, total - float(gain[r, c]) - float(rest[rows, columns].sum()))
    return max(0.0, least)


def _solver() -> Any:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as e:
        raise MissingDependency("matching needs scipy", "pip install 'camtrail[inat]'") from e
    return linear_sum_assignment


def clock_offset_s(difference_s: Floats) -> float:
    """What a camera's clock is ahead of the observations' by, seconds; 0 where nothing says so.

    Parameters
    ----------
    difference_s : (k,) local time less observation's time, of pairs that are sure

    Returns
    -------
    The median, where at least three pairs agree to 45 s and it is more than a minute beside the half minute that
    observations lose, which are cut to whole minutes.
    """
    known = difference_s[np.isfinite(difference_s)]
    if len(known) < _LEAST_PAIRS:
        return 0.0
    middle = float(np.median(known))
    agree = np.abs(known - middle) <= _SPREAD_S
    offset_s = middle - 30.0
    return offset_s if agree.sum() >= max(_LEAST_PAIRS, len(known) * 2 // 3) and abs(offset_s) > 60.0 else 0.0
