"""Duplicates: photos of one sequence that show what the last kept one shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camtrail.core import geo
from camtrail.core.model import Floats, Ints
from camtrail.core.options import by_preset, opt

__all__ = ["DuplicateOptions", "flag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateOptions:
    """What counts as a duplicate."""

    flag_duplicates: bool = opt(False, "flag photos that show what the last kept one of the sequence shows")
    duplicate_distance_m: float = opt(0.1, "flag photos nearer than this, metres", least=0)
    duplicate_angle_deg: float = opt(5.0, "and whose headings differ by less than this, degrees", least=0)
    duplicate_time_s: float | None = opt(
        None, "and that lie at most this far apart in time (off by default)", least=0
    )
    duplicate_rule: str | None = by_preset(
        "strict: below both limits, a missing heading is no duplicate; "
        "loose: at most the limits, a missing heading counts as equal",
        {"classic": "strict", "modern": "loose"},
        choices=("strict", "loose"),
    )


def flag(
    label: Ints,
    time_s: Floats,
    lat_deg: Floats,
    lon_deg: Floats,
    heading_deg: Floats,
    options: DuplicateOptions,
) -> Ints:
    """Row of the kept photo that each duplicate repeats; -1 where a photo is kept.

    Parameters
    ----------
    label : (n,) sequences, equal ones side by side, each in its order
    heading_deg : (n,) NaN where unknown
    options : resolved, no None left but `duplicate_time_s`

    Notes
    -----
    Each photo is compared with the last kept one, by distance (chord, WGS 84) and angle. A walk over the
    sequences in which any two neighbours are near enough; in the others there can be none.
    """
    n = len(label)
    kept_row = np.full(n, -1, np.int64)
    limit = options.duplicate_distance_m
    loose = options.duplicate_rule == "loose"
    near = np.zeros(max(n - 1, 0), bool)
    if n > 1:
        step_m = geo.distance_m(lat_deg[:-1], lon_deg[:-1], lat_deg[1:], lon_deg[1:])
        near = (label[:-1] == label[1:]) & ((step_m <= limit) if loose else (step_m < limit))
    for a, b in _runs(label, np.unique(label[:-1][near])):
        kept_row[a:b] = _walk(a, b, time_s, lat_deg, lon_deg, heading_deg, options)
    return kept_row


def _runs(label: Ints, wanted: Ints) -> list[tuple[int, int]]:
    a = np.searchsorted(label, wanted, side="left")
    b = np.searchsorted(label, wanted, side="right")
    return list(zip(a.tolist(), b.tolist()))


def _walk(
    a: int,
    b: int,
    time_s: Floats,
    lat_deg: Floats,
    lon_deg: Floats,
    heading_deg: Floats,
    options: DuplicateOptions,
) -> Ints:
    loose = options.duplicate_rule == "loose"
    far, wide = options.duplicate_distance_m, options.duplicate_angle_deg
    longest = float("inf") if options.duplicate_time_s is None else options.duplicate_time_s
    x, y, z = geo.earth_centred(lat_deg[a:b], lon_deg[a:b]).T.tolist()
    heading, time = heading_deg[a:b].tolist(), time_s[a:b].tolist()
    out = np.full(b - a, -1, np.int64)
    kept = 0
    for i in range(1, b - a):
        d = ((x[i] - x[kept]) ** 2 + (y[i] - y[kept]) ** 2 + (z[i] - z[kept]) ** 2) ** 0.5
        if d < far or (loose and d == far):
            turn = abs((heading[i] - heading[kept] + 180.0) % 360.0 - 180.0)
            same = turn < wide or (loose and (turn == wide or turn != turn))
            if same and time[i] - time[kept] <= longest:
                out[i] = a + kept
                continue
        kept = i
    return out
