"""The instant of each photo, from its camera's clock and its GPS time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from camtrail.core import timezones
from camtrail.core.model import Bools, Floats, Ints, Texts
from camtrail.core.options import opt

__all__ = [
    "NAMES",
    "Instants",
    "Readings",
    "TimeOptions",
    "fill_zones",
    "in_need_of_zone",
    "instants",
    "outings",
    "readings",
]

NAMES = ("gps", "option", "offset", "place", "machine")
"""What `time_source` says; the index of a name is its code, -1 is no time."""

GPS, OPTION, OFFSET, PLACE, MACHINE = range(5)
NOTHING = -1

PAUSE_S = 4 * 3600.0
_ZONE_S = 900.0  # zones differ by multiples of a quarter-hour
_LEAST_FIXES = 5
_ROLLOVER_S = 1024 * 7 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOptions:
    """How the instant of a photo is found."""

    time_zone: str = opt("", "zone of the camera's clock, as Europe/Berlin or +02:00")
    time_source: str = opt(
        "gps", "gps: GPS time corrects the clock; clock: leave GPS time out", choices=("gps", "clock")
    )
    offset_time_s: float = opt(
        0.0,
        "seconds added to the capture time before the join; negative: earlier",
        least=-1e10,
        most=1e10,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What the camera's clock says by itself; (n,) columns."""

    time_s: Floats  # NaN where there is no clock reading
    source: Ints  # OPTION, OFFSET, PLACE, MACHINE or NOTHING
    odd: Ints  # 0, timezones.AMBIGUOUS or timezones.SKIPPED


@dataclass(frozen=True, slots=True, eq=False)
class Instants:
    """When each photo was taken; (n,) columns."""

    time_s: Floats  # POSIX seconds, NaN where nothing says it
    source: Ints  # code of NAMES
    error_s: Floats  # what the clock is behind GPS time beside whole zones; NaN where not known
    zone_s: Floats  # the multiple of 15 min between reading and GPS time; 0 where not known
    stale_s: Floats  # how old the photo's own GPS time is, where that is more than 10 s; else NaN


def outings(local_s: Floats, body: Ints) -> Ints:
    """(n,) label of the outing of each photo: one camera body without a pause of more than 4 h.

    -1 where there is no clock reading. Labels ascend by body, then by time.
    """
    out = np.full(len(local_s), -1, np.int64)
    rows = np.flatnonzero(np.isfinite(local_s))
    rows = rows[np.lexsort((local_s[rows], body[rows]))]
    new = (np.diff(body[rows]) != 0) | (np.diff(local_s[rows]) > PAUSE_S)
    out[rows] = np.concatenate([[0], np.cumsum(new)])[: len(rows)]
    return out


def in_need_of_zone(local_s: Floats, offset_s: Floats, gps_s: Floats, outing: Ints) -> Bools:
    """(n,) photos whose zone decides about an instant: the outings in which GPS time cannot date every photo.

    Whole zones cancel out of the comparison with GPS time, so the zone is asked for only where a clock
    without an offset tag stands alone.
    """
    fixes = np.bincount(outing[np.isfinite(gps_s) & (outing >= 0)], minlength=int(outing.max(initial=-1)) + 1)
    alone = np.isfinite(local_s) & ~np.isfinite(offset_s) & ~np.isfinite(gps_s)
    alone &= fixes[np.maximum(outing, 0)] < _LEAST_FIXES if len(fixes) else False
    wanted = np.zeros(len(fixes), bool)
    wanted[outing[alone]] = True
    return np.isfinite(local_s) & (wanted[np.maximum(outing, 0)] if len(fixes) else False)


def fill_zones(zones: Texts, outing: Ints, local_s: Floats) -> Texts:
    """(n,) zones, with photos that have no place given the zone of their nearest neighbour in the outing.

    Neighbours never sit on different clocks. None stays where a whole outing has no place.
    """
    known = np.array([z is not None for z in zones.tolist()], bool)
    out = zones.copy()
    rows = np.flatnonzero(~known & (outing >= 0))
    have = np.flatnonzero(known & (outing >= 0))
    if not len(rows) or not len(have):
        return out
    have = have[np.lexsort((local_s[have], outing[have]))]
    # One axis for outing and time: outings lie far apart on it.
    start = np.nanmin(local_s)
    far = 4 * (np.nanmax(local_s) - start) + 1.0
    at, axis = outing[rows] * far + (local_s[rows] - start), outing[have] * far + (local_s[have] - start)
    right = np.clip(np.searchsorted(axis, at), 0, len(axis) - 1)
    left = np.maximum(right - 1, 0)
    near = have[np.where(np.abs(axis[left] - at) <= np.abs(axis[right] - at), left, right)]
    same = outing[near] == outing[rows]
    out[rows[same]] = zones[near[same]]
    return out


def readings(
    local_s: Floats,
    offset_s: Floats,
    zones: Texts,
    option: tzinfo | None,
    decides: Bools | None = None,
    machine: tzinfo | None = None,
) -> Readings:
    """The clock's reading as an instant: by `--time-zone`, the offset tag, the zone at the place, the machine.

    Parameters
    ----------
    local_s : (n,) clock readings, seconds as if UTC; NaN where absent
    offset_s : (n,) what the tag says the clock is ahead of UTC; NaN where absent
    zones : (n,) names of zones at the places; None where absent
    option : the zone that the user gave
    decides : (n,) where the zone matters (`in_need_of_zone`); None: everywhere. Elsewhere a clock without tag is
        read as UTC, so that no machine's zone, with its changes of the clock, gets into the comparison
    machine : in place of the machine's own zone
    """
    n = len(local_s)
    time_s, source, odd = np.full(n, np.nan), np.full(n, NOTHING, np.int64), np.zeros(n, np.int64)
    left = np.isfinite(local_s)
    if option is not None:
        time_s[left], odd[left] = timezones.instants(local_s[left], option)
        source[left] = OPTION
        return Readings(time_s, source, odd)
    tagged = left & np.isfinite(offset_s)
    time_s[tagged], source[tagged] = local_s[tagged] - offset_s[tagged], OFFSET
    left = left & ~tagged
    names = zones.tolist()
    for zone in sorted({z for z, wanted in zip(names, left.tolist()) if wanted and z is not None}):
        rows = left & (zones == zone)
        time_s[rows], odd[rows] = timezones.instants(local_s[rows], timezones.named(zone))
        source[rows] = PLACE
        left = left & ~rows
    if decides is not None:
        free = left & ~decides
        time_s[free], source[free] = local_s[free], MACHINE
        left = left & decides
    if left.any():
        if machine is None:
            time_s[left], odd[left] = timezones.machine_instants(local_s[left])
        else:
            time_s[left], odd[left] = timezones.instants(local_s[left], machine)
        source[left] = MACHINE
    return Readings(time_s, source, odd)


def _unrolled(gps_s: Floats, reading_s: Floats) -> Floats:
    """GPS times of receivers whose week counter rolled over, put right where the clock shows it.

    The counter has 10 bits (IS-GPS-200, 20.3.3.3.1.1): such a time is a multiple of 1024 weeks too early.
    """
    weeks = np.round((reading_s - gps_s) / _ROLLOVER_S)
    right = gps_s + weeks * _ROLLOVER_S
    with np.errstate(invalid="ignore"):
        return np.where((weeks >= 1) & (np.abs(right - reading_s) < 2 * 86400.0), right, gps_s)


def instants(local_s: Floats, gps_s: Floats, clock: Readings, outing: Ints) -> Instants:
    """When each photo was taken.

    Parameters
    ----------
    local_s : (n,) clock readings; only whether they have sub-seconds matters here
    gps_s : (n,) the photos' own GPS times, POSIX seconds; NaN where absent or left out
    clock : what the clock says by itself
    outing : (n,) labels of `outings`

    Notes
    -----
    In an outing with at least five GPS times the clock, corrected, dates every photo, so that neighbours
    never sit on different clocks. The difference GPS - clock is split into a multiple of 15 min (zones) and a
    rest; a fix may be old and is never early, so the rest's 90th percentile is the clock's error. With fewer
    each photo's own GPS time holds. A clock without sub-seconds yields to a photo's own GPS time within 1 s.
    """
    n = len(local_s)
    gps_s = _unrolled(gps_s, clock.time_s)
    has = np.isfinite(gps_s)
    time_s = np.where(has, gps_s, clock.time_s)
    source = np.where(has, GPS, clock.source)
    difference = gps_s - clock.time_s
    zone_s = np.nan_to_num(_ZONE_S * np.round(difference / _ZONE_S))
    error_s, stale_s = difference - zone_s, np.full(n, np.nan)
    order = np.lexsort((local_s, outing))
    for rows in np.split(order, np.flatnonzero(np.diff(outing[order])) + 1):
        if not len(rows) or outing[rows[0]] < 0 or np.count_nonzero(has[rows]) < _LEAST_FIXES:
            continue
        error, zone = _clock_error(difference[rows])
        error_s[rows] = error
        whole = not np.any(local_s[rows] % 1.0)
        correction = error if whole or abs(error) >= 1.0 else 0.0
        t = clock.time_s[rows] + correction + zone
        own = gps_s[rows]
        with np.errstate(invalid="ignore"):
            if whole:
                t = np.where(np.abs(own - t) <= 1.0, own, t)
            stale_s[rows] = np.where(np.abs(own - t) > 10.0, t - own, np.nan)
        time_s[rows], source[rows], zone_s[rows] = t, GPS, zone
    return Instants(time_s, source, error_s, zone_s, stale_s)


def _clock_error(difference_s: Floats) -> tuple[float, Floats]:
    """The clock's error, and the multiple of 15 min of each photo, of one outing in the order of the clock."""
    has = np.flatnonzero(np.isfinite(difference_s))
    d = difference_s[has]
    rest = d - _ZONE_S * np.round(d / _ZONE_S)
    # Rests near +-7.5 min must not fall apart into two heaps: they are unwrapped around their middle.
    middle = _circular_middle(rest)
    rest = (rest - middle + _ZONE_S / 2) % _ZONE_S - _ZONE_S / 2 + middle
    zone = np.round((d - rest) / _ZONE_S) * _ZONE_S
    near = np.clip(np.searchsorted(has, np.arange(len(difference_s))), 0, len(has) - 1)
    before = np.maximum(near - 1, 0)
    i = np.arange(len(difference_s))
    nearest = np.where(np.abs(has[before] - i) <= np.abs(has[near] - i), before, near)
    return _percentile(rest, 0.9), zone[nearest]


def _percentile(values: Floats, q: float) -> float:
    """The q-th part of the way through the sorted values, linear between two of them."""
    ordered = np.sort(values)
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


def _circular_middle(rest_s: Floats) -> float:
    turns = np.exp(2j * np.pi * rest_s / _ZONE_S).mean()
    return float(np.angle(turns) * _ZONE_S / (2 * np.pi)) if abs(turns) > 1e-9 else float(np.median(rest_s))
