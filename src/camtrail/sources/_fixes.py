"""Rows of a log -> a Track: what is no fix is left out and counted, the rest is put in order of time."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from camtrail.core.model import Bools, Floats, Note, Track

__all__ = ["UNREADABLE", "Left", "taken", "track_of"]

UNREADABLE = float("-inf")
"""Stands in a column of times where something is written that is no time; NaN stands where nothing is."""


class Left:
    """Counts what was left out of a file's tracks."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, count: int | np.integer[Any], reason: str) -> None:
        """Counts `count` more for a reason; 0 is no reason."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + int(count)

    def notes(self) -> Iterator[Note]:
        """One Note for each reason, in the order in which they came up."""
        for reason, count in self.counts.items():
            yield Note(count, reason)


def track_of(columns: list[Floats], left: Left) -> Track | None:
    """The fixes among rows, or None where there is none.

    Parameters
    ----------
    columns : time_s, lat_deg, lon_deg, alt_m, course_deg, speed_mps, hdop, each (n,), absent is NaN.
        The list is used up, so that only one column is held twice at a time
    left : takes the counts of rows without place, without time, and of repeated times

    Notes
    -----
    O(n), and O(n log n) where the rows are not in order. Of equal times the first row stays. Altitude that is
    infinite, speed below 0, course outside 0..360 and HDOP not above 0 are what loggers write for "unknown".
    """
    time_s, lat, lon = columns[:3]
    # False for NaN. 0,0 is what receivers and programs write that have no fix.
    placed = (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0) & ((lat != 0.0) | (lon != 0.0))
    left.add(np.count_nonzero(~placed), "points with no possible position")
    left.add(np.count_nonzero(placed & np.isnan(time_s)), "points without time")
    left.add(np.count_nonzero(placed & np.isneginf(time_s)), "points with a time that cannot be read")
    placed &= np.isfinite(time_s)
    if not (placed.all() and (time_s[1:] > time_s[:-1]).all()):
        rows = np.flatnonzero(placed)
        rows = rows[np.argsort(time_s[rows], kind="stable")]
        ordered = time_s[rows]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = ordered[1:] > ordered[:-1]
        rows = rows[is_first]
        left.add(len(ordered) - len(rows), "points that repeat the time of another")
        del time_s, lat, lon, ordered
        for i in range(len(columns)):
            columns[i] = columns[i][rows]
    if not len(columns[0]):
        return None
    alt, course, speed, hdop = columns[3:]
    columns[3] = _without(np.isinf(alt), alt)
    columns[4] = _without((course < 0.0) | (course > 360.0), course)
    if (columns[4] == 360.0).any():
        columns[4] = columns[4] % 360.0
    columns[5] = _without((speed < 0.0) | np.isinf(speed), speed)
    columns[6] = _without((hdop <= 0.0) | np.isinf(hdop), hdop)
    return Track(*columns)


def _without(is_unknown: Bools, column: Floats) -> Floats:
    return np.where(is_unknown, np.nan, column) if is_unknown.any() else column


def taken(columns: Sequence[array[float]]) -> list[Floats]:
    """The rows that a parser gathered, as columns; the arrays are empty afterwards.

    The first column says how many rows there are. Of the others, one may end early where the last rows have no
    value, and one cell too late where the last row was not finished; all that are empty become one column of
    NaN.
    """
    n = len(columns[0])
    unknown = np.full(n, np.nan)
    made = []
    for column in columns:
        if column:
            column.extend(repeat(float("nan"), n - len(column)))
            made.append(np.array(column)[:n])
            del column[:]  # at once, so that only one column is held twice
        else:
            made.append(unknown)
    return made
