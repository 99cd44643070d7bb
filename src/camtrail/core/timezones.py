"""Clock readings and instants: the zone at a place (offline data), a zone by name, the machine's own."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from camtrail.core.errors import MissingDependency, UsageError
from camtrail.core.model import Floats, Ints, Texts, distinct, texts

__all__ = ["AMBIGUOUS", "SKIPPED", "instants", "machine_instants", "named", "zones_at"]

_EPOCH = datetime(1970, 1, 1)
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)
AMBIGUOUS, SKIPPED = 1, 2
"""Why a clock reading does not name one instant: the hour occurs twice, or not at all."""


def zones_at(lat_deg: Floats, lon_deg: Floats) -> Texts:
    """(n,) names of the IANA zones at places; None where there is no place.

    Notes
    -----
    timezone-boundary-builder's polygons (OpenStreetMap, ODbL) through tzfpy: 0.15 s to load, then some 3 µs a
    place; places that agree to 0.01 degrees are asked for once.
    """
    out = np.empty(len(lat_deg), object)
    rows = np.flatnonzero(np.isfinite(lat_deg) & np.isfinite(lon_deg))
    if not len(rows):
        return out
    import tzfpy

    # One number for each cell of the grid: 0.01 degrees each way.
    lat, lon = np.round(lat_deg[rows] * 100), np.round(lon_deg[rows] * 100)
    cells, back = distinct(lat * 100_000 + lon)
    rows_of_cells = np.empty(len(cells), np.int64)
    rows_of_cells[back] = np.arange(len(rows))
    places = zip(lat[rows_of_cells].tolist(), lon[rows_of_cells].tolist())
    names = texts([tzfpy.get_tz(x / 100, y / 100) or None for y, x in places])
    out[rows] = names[back]
    return out


def named(text: str) -> tzinfo:
    """The zone called `Europe/Berlin`, `UTC`, `+02:00` or `-7`. Raises UsageError, MissingDependency."""
    text = text.strip()
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    if m := _OFFSET.fullmatch(text):
        ahead = timedelta(hours=int(m[2]), minutes=int(m[3] or 0))
        if ahead > timedelta(hours=14, minutes=59):
            raise UsageError(f"no zone is {text} from UTC", "give hours and minutes, as in +02:00")
        return timezone(-ahead if m[1] == "-" else ahead)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        if not available_timezones():
            raise MissingDependency("this machine has no time-zone data", "pip install tzdata") from e
        raise UsageError(
            f"there is no time zone {text!r}", "give a name such as Europe/Berlin or an offset such as +02:00"
        ) from e


def instants(local_s: Floats, zone: tzinfo) -> tuple[Floats, Ints]:
    """Clock readings in one zone -> POSIX seconds, and where a reading names no single instant.

    Parameters
    ----------
    local_s : (n,) readings, seconds as if they were UTC; NaN where absent

    Returns
    -------
    (n,) POSIX seconds; NaN where absent
    (n,) 0, AMBIGUOUS (the first of both is taken) or SKIPPED (standard time is taken)

    Notes
    -----
    PEP 495: with fold 0 a repeated hour is its first, a skipped one is read by the offset before the change.
    Offsets change on whole seconds. Where a quarter of an hour begins and ends alike, one look-up serves all
    of it; in the others (Newfoundland changed at 0:01) each reading is looked up.
    """
    quarter = np.floor(local_s / 900.0) * 900.0
    cells, back = distinct(quarter)
    ahead = np.full(len(cells), np.nan)
    odd = np.zeros(len(cells), np.int64)
    mixed = np.zeros(len(cells), bool)
    for i, s in enumerate(cells.tolist()):
        if s == s:
            ahead[i], odd[i] = start = _ahead(zone, s)
            mixed[i] = start != _ahead(zone, s + 899)
    ahead, odd = ahead[back], odd[back]
    for row in np.flatnonzero(mixed[back]).tolist():
        ahead[row], odd[row] = _ahead(zone, float(np.floor(local_s[row])))
    return local_s - ahead, odd


def _ahead(zone: tzinfo, local_s: float) -> tuple[float, int]:
    """What the clock is ahead of UTC at one reading, and whether that names a single instant."""
    t = _EPOCH + timedelta(seconds=local_s)
    first = _seconds(zone, t)
    second = _seconds(zone, t.replace(fold=1))
    # Clocks go back: the first offset is the larger one. Clocks go forward: the smaller one.
    return first, 0 if first == second else AMBIGUOUS if first > second else SKIPPED


def _seconds(zone: tzinfo, t: datetime) -> float:
    return (zone.utcoffset(t) or timedelta()).total_seconds()


def machine_instants(local_s: Floats) -> tuple[Floats, Ints]:
    """The same in the zone that this machine is set to."""
    return instants(local_s, _Machine())


class _Machine(tzinfo):
    """The zone this machine is set to, by its rules for the date asked for."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        if dt is None:
            return timedelta()
        try:
            return dt.replace(tzinfo=None).astimezone().utcoffset() or timedelta()
        # The C library of Windows knows no time before 1970; year 1 and 9999 lie partly outside the calendar.
        except (OSError, OverflowError, ValueError):
            return timedelta(seconds=-time.timezone)

    def tzname(self, dt: datetime | None) -> str:
        return "machine"

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None
