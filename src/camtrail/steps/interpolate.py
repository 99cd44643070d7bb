"""Positions on tracks at given instants: the one join by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from camtrail.core import geo
from camtrail.core.model import Bools, Floats, Ints, Track
from camtrail.core.options import opt

__all__ = ["IN_GAP", "LOCATED", "OUTSIDE", "UNTIMED", "JoinOptions", "Joined", "join"]

LOCATED, OUTSIDE, IN_GAP, UNTIMED = range(4)
"""Verdicts of the join."""

FIX_ERROR_M = 5.0
"""Of a receiver under open sky at HDOP 1: the 95 % that the GPS performance standard (2020) promises, rounded."""

_WALKING_MPS = 1.4
_OUTING_S = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOptions:
    """Limits of the join by time."""

    max_gap_s: float = opt(1800.0, "longest time between two fixes to interpolate in", least=0)
    max_outside_s: float = opt(
        1.0, "farthest before or after the track; the end's position is taken there", least=0
    )
    use_gps_start_time: bool = opt(
        False, "shift all photos so that the first one meets the track's first fix"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """One row for each instant; (n,) columns, NaN where there is no position."""

    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats
    course_deg: Floats  # where the receiver moved, NaN where it stood
    error_m: Floats  # estimate, one standard deviation
    before_s: Floats  # seconds since the fix before; NaN where there is none
    after_s: Floats  # seconds to the fix after; NaN where there is none
    verdict: Ints

    @property
    def seconds_off(self) -> Floats:
        """Seconds to the nearer fix."""
        return np.fmin(self.before_s, self.after_s)


def join(tracks: Sequence[Track], time_s: Floats, options: JoinOptions) -> Joined:
    """Position at each instant, on the great circle between the fixes on either side.

    Parameters
    ----------
    tracks : runs of fixes without a break; nothing is interpolated from one into another
    time_s : (n,) POSIX seconds; NaN where unknown

    Returns
    -------
    (n,) rows. LOCATED; OUTSIDE of all tracks; IN_GAP, between fixes farther apart than `max_gap_s` or
    between two runs less than 4 h apart; UNTIMED. Where several tracks hold an instant the smallest
    estimated error wins.

    Notes
    -----
    One binary search over all fixes, then spherical interpolation (Shoemake 1985) of unit vectors, right at
    the poles and across the antimeridian. The error is that of a fix (5 m x HDOP) and half of what the
    receiver moved in the seconds to the nearer fix, at walking pace at least, added in quadrature. O(n log m).
    """
    layers = _layers([t for t in tracks if len(t.time_s)])
    best: Joined | None = None
    for layer in layers:
        found = _on_layer(layer, time_s, options)
        best = found if best is None else _better(best, found)
    if best is None:
        nothing = np.full(len(time_s), np.nan)
        verdict = np.where(np.isfinite(time_s), OUTSIDE, UNTIMED).astype(np.int64)
        best = Joined(nothing, nothing, nothing, nothing, nothing, nothing, nothing, verdict)
    return best


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Runs that do not overlap, one behind the other; (m,) columns."""

    track: Track
    run: Ints  # which run a fix belongs to


def _layers(tracks: list[Track]) -> list[_Layer]:
    """As few layers as possible: usually one, more where receivers ran side by side."""
    stacks: list[list[Track]] = []
    for t in sorted(tracks, key=lambda t: (t.time_s[0], t.time_s[-1], t.lat_deg[0], t.lon_deg[0])):
        for stack in stacks:
            if stack[-1].time_s[-1] < t.time_s[0]:
                stack.append(t)
                break
        else:
            stacks.append([t])
    made = []
    for stack in stacks:
        columns = [np.concatenate([getattr(t, f.name) for t in stack]) for f in fields(Track)]
        run = np.repeat(np.arange(len(stack)), [len(t.time_s) for t in stack])
        made.append(_Layer(Track(*columns), run))
    return made


def _on_layer(layer: _Layer, time_s: Floats, options: JoinOptions) -> Joined:
    track, run, n = layer.track, layer.run, len(layer.track.time_s)
    known = np.isfinite(time_s)
    t = np.where(known, time_s, track.time_s[0])
    right = np.searchsorted(track.time_s, t, side="right")
    has_left, has_right = right > 0, right < n
    i, j = np.maximum(right - 1, 0), np.minimum(right, n - 1)
    before = np.where(has_left, t - track.time_s[i], np.nan)
    after = np.where(has_right, track.time_s[j] - t, np.nan)
    hit = has_left & (before == 0.0)
    span = track.time_s[j] - track.time_s[i]
    within = has_left & has_right & (run[i] == run[j])
    bridged = within & (span <= options.max_gap_s)
    near = np.fmin(before, after)
    # Not between two joined fixes, but so near to one that its position holds.
    held = ~bridged & (near <= options.max_outside_s)
    located = bridged | held | hit
    weight = np.where(bridged, np.divide(before, span, out=np.zeros(len(t)), where=bridged & (span > 0)), 0.0)
    weight = np.where(held, (after < before) | ~has_left, weight)
    weight = np.where(hit, 0.0, weight)

    lat, lon, moved_m = _between(track, i, j, weight)
    speed = np.divide(moved_m, span, out=np.zeros(len(t)), where=within & (span > 0))
    with np.errstate(invalid="ignore"):
        alt = np.where(
            weight == 0.0,
            track.alt_m[i],
            np.where(weight == 1.0, track.alt_m[j], track.alt_m[i] * (1 - weight) + track.alt_m[j] * weight),
        )
    nearest = np.where(weight > 0.5, j, i)
    dop = np.where(np.isfinite(track.hdop[nearest]), np.maximum(track.hdop[nearest], 1.0), 1.0)
    drift = np.maximum(speed, _WALKING_MPS) * near * np.where(held, 1.0, 0.5)
    error = np.hypot(FIX_ERROR_M * dop, np.where(hit, 0.0, drift))
    course = _course(track, run, i, j, within, nearest)

    split = has_left & has_right & ~within
    gap = (within & ~bridged) | (split & (span <= _OUTING_S))
    verdict = np.where(located, LOCATED, np.where(gap, IN_GAP, OUTSIDE))
    verdict = np.where(known, verdict, UNTIMED).astype(np.int64)
    bad = verdict != LOCATED
    return Joined(
        np.where(bad, np.nan, lat),
        np.where(bad, np.nan, lon),
        np.where(bad, np.nan, alt),
        np.where(bad, np.nan, course),
        np.where(bad, np.nan, error),
        np.where(known, before, np.nan),
        np.where(known, after, np.nan),
        verdict,
    )


def _between(track: Track, i: Ints, j: Ints, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Position at a weight between two fixes, and the metres between them."""
    a = geo.unit(track.lat_deg[i], track.lon_deg[i])
    b = geo.unit(track.lat_deg[j], track.lon_deg[j])
    chord = np.sqrt(np.einsum("ij,ij->i", b - a, b - a))
    angle = 2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))
    sine = np.sin(angle)
    flat = sine < 1e-12
    safe = np.where(flat, 1.0, sine)
    wa = np.where(flat, 1.0 - weight, np.sin((1.0 - weight) * angle) / safe)
    wb = np.where(flat, weight, np.sin(weight * angle) / safe)
    v = wa[:, None] * a + wb[:, None] * b
    lat = np.degrees(np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1])))
    lon = np.degrees(np.arctan2(v[:, 1], v[:, 0]))
    # A fix itself comes out as it went in, not as its vector rounds.
    for at, fix in ((0.0, i), (1.0, j)):
        lat = np.where(weight == at, track.lat_deg[fix], lat)
        lon = np.where(weight == at, track.lon_deg[fix], lon)
    return lat, lon, angle * geo.EARTH_RADIUS_M


def _course(track: Track, run: Ints, i: Ints, j: Ints, within: Bools, nearest: Ints) -> Floats:
    """Where the receiver moved: as the file says at the nearer fix, else along the stretch around it."""
    n = len(track.time_s)
    # The last fix of a run has nothing behind it: the stretch before it is taken.
    back = np.maximum(i - 1, 0)
    alone = ~within & (run[back] == run[i])
    a, b = np.where(alone, back, i), np.where(within, j, i)
    first = ~within & ~alone & (i + 1 < n)
    follow = np.minimum(i + 1, n - 1)
    b = np.where(first & (run[follow] == run[i]), follow, b)
    lat_a, lon_a, lat_b, lon_b = track.lat_deg[a], track.lon_deg[a], track.lat_deg[b], track.lon_deg[b]
    moved = geo.distance_m(lat_a, lon_a, lat_b, lon_b) > 0.5
    bearing = np.where(moved, geo.bearing_deg(lat_a, lon_a, lat_b, lon_b), np.nan)
    own = track.course_deg[nearest]
    return np.where(np.isfinite(own), own, bearing)


_RANK = np.array([0, 2, 1, 3])  # LOCATED, then IN_GAP, then OUTSIDE


def _better(a: Joined, b: Joined) -> Joined:
    """Row by row the better of two answers; the first where they are equal."""
    ra, rb = _RANK[a.verdict], _RANK[b.verdict]
    with np.errstate(invalid="ignore"):
        nearer = np.where(ra == 0, b.error_m < a.error_m, b.seconds_off < a.seconds_off)
    take = (rb < ra) | ((rb == ra) & nearer)
    return Joined(*(np.where(take, getattr(b, f.name), getattr(a, f.name)) for f in fields(Joined)))
