"""Stays: photos grouped by place and time, and the stay that a moment belongs to."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from camtrail.core import geo
from camtrail.core.model import Floats, Ints
from camtrail.core.options import opt

__all__ = ["Centres", "Nearest", "PlaceOptions", "centres", "extents", "grouped", "nearest"]

_PARTS = 2.0**38  # sums of 33 million unit vectors fit
_HALF_TURN_M = np.pi * geo.EARTH_RADIUS_M


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """What belongs to one place."""

    group_distance_km: float = opt(
        3.0, "a new place begins farther than this from the first photo of a place, kilometres",
        flag="--max-distance-km", least=0,
    )  # fmt: skip
    within_s: float = opt(
        1800.0, "a new place begins after a longer pause; photos farther from a place in time are not its own",
        flag="--max-seconds", least=0,
    )  # fmt: skip


def grouped(time_s: Floats, lat_deg: Floats, lon_deg: Floats, options: PlaceOptions) -> Ints:
    """Label of the stay of each photo.

    Parameters
    ----------
    time_s, lat_deg, lon_deg : (n,) in any order; NaN where absent

    Returns
    -------
    (n,) labels 0..k-1 in the order of time; -1 for photos without time or position

    Notes
    -----
    In the order of time a new stay begins where a photo is farther from the stay's first photo than one limit, or
    later than the photo before it by more than the other one. So no two photos of a stay lie farther apart than
    twice the distance, a place that is visited again is a new stay, and the order of the rows does not matter.
    O(n log n), with one short loop in Python.
    """
    label = np.full(len(time_s), -1, np.int64)
    known = np.flatnonzero(np.isfinite(time_s) & np.isfinite(lat_deg) & np.isfinite(lon_deg))
    order = _in_order(time_s, lat_deg, lon_deg, known)
    if not len(order):
        return label
    late = np.concatenate([[True], np.diff(time_s[order]) > options.within_s])
    at = geo.earth_centred(lat_deg[order], lon_deg[order])
    label[order] = np.cumsum(_begins(at, late, options.group_distance_km * 1000.0)) - 1
    return label


def _in_order(time_s: Floats, lat_deg: Floats, lon_deg: Floats, rows: Ints) -> Ints:
    """Rows by time, those of one time by position."""
    order = rows[np.argsort(time_s[rows], kind="stable")]
    same = np.diff(time_s[order]) == 0.0
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False)) if len(order) else order
    those = order[tied]
    order[tied] = those[np.lexsort((lon_deg[those], lat_deg[those], time_s[those]))]
    return order


def _begins(at: Floats, late: np.ndarray[tuple[int], np.dtype[np.bool_]], most_m: float) -> Ints:
    """(n,) 1 where a stay begins, else 0."""
    most = (2.0 * geo.EARTH_RADIUS_M * np.sin(most_m / (2.0 * geo.EARTH_RADIUS_M))) ** 2
    if most_m >= _HALF_TURN_M:
        most = np.inf
    begins = np.zeros(len(late), np.int64)
    x = y = z = 0.0
    found = []
    rows = zip(late.tolist(), at[:, 0].tolist(), at[:, 1].tolist(), at[:, 2].tolist())
    for i, (is_late, a, b, c) in enumerate(rows):
        if is_late or (a - x) * (a - x) + (b - y) * (b - y) + (c - z) * (c - z) > most:
            x, y, z = a, b, c
            found.append(i)
    begins[found] = 1
    return begins


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """The middle of each stay; every column has shape (k,)."""

    lat_deg: Floats
    lon_deg: Floats
    radius_m: Floats  # largest distance of a photo from the middle
    count: Ints


def centres(label: Ints, lat_deg: Floats, lon_deg: Floats) -> Centres:
    """The middle of the photos of each label, on the sphere.

    Parameters
    ----------
    label : (n,) 0..k-1, each at least once; -1 for photos that count for none
    lat_deg, lon_deg : (n,) finite where `label` is not -1

    Notes
    -----
    The direction of the sum of unit vectors: right across the date line and at the poles. They are summed as whole
    numbers of 2^-38 (0.02 mm on the ground), so that the order of the rows does not matter. Where they balance out,
    the place of the southernmost photo.
    """
    rows = np.flatnonzero(label >= 0)
    rows = rows[np.argsort(label[rows], kind="stable")]
    starts, count = _runs(label[rows])
    if not len(starts):
        nothing = np.zeros(0)
        return Centres(nothing, nothing, nothing, count)
    whole = np.rint(geo.unit(lat_deg[rows], lon_deg[rows]) * _PARTS).astype(np.int64)
    total = np.add.reduceat(whole, starts, axis=0) / _PARTS
    lat = np.degrees(np.arctan2(total[:, 2], np.hypot(total[:, 0], total[:, 1])))
    lon = np.degrees(np.arctan2(total[:, 1], total[:, 0]))
    lost = np.linalg.norm(total, axis=1) < 1e-9 * count
    for k in np.flatnonzero(lost).tolist():
        own = rows[starts[k] : starts[k] + count[k]]
        first = own[np.lexsort((lon_deg[own], lat_deg[own]))[0]]
        lat[k], lon[k] = lat_deg[first], lon_deg[first]
    chord_m = geo.distance_m(lat_deg[rows], lon_deg[rows], np.repeat(lat, count), np.repeat(lon, count))
    half = np.clip(np.maximum.reduceat(chord_m, starts) / (2.0 * geo.EARTH_RADIUS_M), 0.0, 1.0)
    return Centres(lat, lon, np.asarray(2.0 * geo.EARTH_RADIUS_M * np.arcsin(half)), count)


def extents(label: Ints, values: Floats) -> tuple[Floats, Floats]:
    """Least and greatest value of each label, (k,) each; NaN where one of its values is.

    Parameters
    ----------
    label : (n,) 0..k-1, each at least once; -1 for rows that count for none
    """
    rows = np.flatnonzero(label >= 0)
    rows = rows[np.argsort(label[rows], kind="stable")]
    starts, _ = _runs(label[rows])
    if not len(starts):
        return np.zeros(0), np.zeros(0)
    return np.minimum.reduceat(values[rows], starts), np.maximum.reduceat(values[rows], starts)


def _runs(label: Ints) -> tuple[Ints, Ints]:
    """Where the runs of ascending labels begin, and how long they are."""
    if not len(label):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], label[1:] != label[:-1]]))
    return starts, np.diff(np.concatenate([starts, [len(label)]]))


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The stay that a moment belongs to; every column has shape (n,)."""

    row: Ints  # of the stay; -1 where there is none, or no moment
    outside_s: Floats  # before its start or after its end; 0 within; infinite where there is none
    photo_s: Floats  # to the nearest photo of it

    def better(self, other: Nearest) -> Nearest:
        """Of each moment the nearer of two answers; this one where they are alike."""
        is_other = (other.outside_s < self.outside_s) | (
            (other.outside_s == self.outside_s) & (other.photo_s < self.photo_s)
        )
        return Nearest(
            np.where(is_other, other.row, self.row),
            np.where(is_other, other.outside_s, self.outside_s),
            np.where(is_other, other.photo_s, self.photo_s),
        )


def nearest(
    time_s: Floats,
    start_s: Floats,
    end_s: Floats,
    radius_m: Floats,
    photo_s: Floats | None = None,
    stay: Ints | None = None,
) -> Nearest:
    """The stay that holds each moment, else the nearest one in time.

    Parameters
    ----------
    time_s : (n,) moments; NaN where absent
    start_s, end_s : (k,) of the stays, start <= end; NaN: it is nobody's. They may overlap
    radius_m : (k,) NaN where unknown
    photo_s, stay : (m,) when their photos were taken, and of which stay they are; start and end always count as
        such

    Returns
    -------
    Of several stays that hold a moment, the one with the nearest photo in time; then that with the smaller radius;
    then the one that begins first.

    Notes
    -----
    Stays are dealt into layers in which none overlap, and each layer is searched by bisection: O((n + m) d log k)
    for stays that overlap d deep.
    """
    n = len(time_s)
    known = np.isfinite(start_s) & np.isfinite(end_s)
    numbers = np.arange(len(start_s))
    moments, owner = [start_s, end_s], [numbers, numbers]
    if photo_s is not None and stay is not None:
        moments.append(photo_s)
        owner.append(stay)
    moment, of = np.concatenate(moments), np.concatenate(owner)
    wide = np.where(np.isnan(radius_m), np.inf, radius_m)
    rank = np.empty(len(start_s), np.int64)
    rank[np.lexsort((wide, end_s, start_s))] = numbers
    best = _Best(n)
    layer_of = np.full(len(start_s), -1, np.int64)
    layers = list(_layers(start_s, end_s, np.flatnonzero(known)))
    for number, rows in enumerate(layers):
        layer_of[rows] = number
    for number, rows in enumerate(layers):
        mine = np.sort(moment[(layer_of[of] == number) & np.isfinite(moment)])
        left = np.searchsorted(start_s[rows], time_s, side="right") - 1
        for i in (left, left + 1):
            there = np.isfinite(time_s) & (i >= 0) & (i < len(rows))
            row = rows[np.clip(i, 0, len(rows) - 1)]
            with np.errstate(invalid="ignore"):
                outside = np.maximum(np.maximum(start_s[row] - time_s, time_s - end_s[row]), 0.0)
            photo = np.where(outside > 0.0, outside, _distance(mine, time_s))
            best.offer(there, row, outside, photo, wide[row], rank[row])
    return Nearest(best.row, best.outside, best.photo)


def _layers(start_s: Floats, end_s: Floats, rows: Ints) -> Iterator[Ints]:
    """Rows in as few layers as there can be in which no two stays touch; ascending in each."""
    layers: list[list[int]] = []
    ends: list[tuple[float, int]] = []
    for i in rows[np.lexsort((end_s[rows], start_s[rows]))].tolist():
        if ends and ends[0][0] < start_s[i]:
            layer = heapq.heappop(ends)[1]
        else:
            layer = len(layers)
            layers.append([])
        layers[layer].append(i)
        heapq.heappush(ends, (float(end_s[i]), layer))
    return (np.array(layer, np.int64) for layer in layers)


def _distance(sorted_s: Floats, time_s: Floats) -> Floats:
    """(n,) to the nearest of sorted moments, of which there is at least one."""
    right = np.searchsorted(sorted_s, time_s)
    before = sorted_s[np.clip(right - 1, 0, len(sorted_s) - 1)]
    after = sorted_s[np.clip(right, 0, len(sorted_s) - 1)]
    return np.asarray(np.minimum(np.abs(time_s - before), np.abs(after - time_s)))


class _Best:
    """The best offer of each moment so far."""

    def __init__(self, n: int) -> None:
        self.row = np.full(n, -1, np.int64)
        self.outside, self.photo, self.radius = (np.full(n, np.inf) for _ in range(3))
        self.rank = np.full(n, np.iinfo(np.int64).max)

    def offer(
        self,
        there: np.ndarray[tuple[int], np.dtype[np.bool_]],
        row: Ints,
        outside: Floats,
        photo: Floats,
        radius: Floats,
        rank: Ints,
    ) -> None:
        """Takes what is better, column after column."""
        is_better = rank < self.rank
        for new, old in ((radius, self.radius), (photo, self.photo), (outside, self.outside)):
            is_better = (new < old) | ((new == old) & is_better)
        take = there & is_better
        self.row[take], self.rank[take] = row[take], rank[take]
        self.outside[take], self.photo[take], self.radius[take] = outside[take], photo[take], radius[take]
