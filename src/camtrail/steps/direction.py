"""Headings: where the lens looked, or where the sequence goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camtrail.core import geo
from camtrail.core.model import Floats, Ints
from camtrail.core.options import opt

__all__ = ["DirectionOptions", "towards_next", "turned"]

_STANDING_M = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionOptions:
    """What is done to headings."""

    interpolate_directions: bool = opt(False, "derive all headings from the way of the sequence")
    offset_angle_deg: float = opt(
        0.0, "degrees added to each heading: 90 the camera looks right, 180 back, -90 left"
    )


def towards_next(label: Ints, lat_deg: Floats, lon_deg: Floats) -> Floats:
    """Bearing from each photo to the next one of its sequence, degrees.

    Parameters
    ----------
    label : (n,) sequences, equal ones side by side, each in its order

    Returns
    -------
    (n,) 0 <= x < 360. A photo within 0.1 m of the next one takes the bearing of the next that moves on; the
    last ones that of the photo before them; NaN where a whole sequence stands still.
    """
    n = len(label)
    if n < 2:
        return np.full(n, np.nan)
    a, b = (lat_deg[:-1], lon_deg[:-1]), (lat_deg[1:], lon_deg[1:])
    moves = np.flatnonzero((label[:-1] == label[1:]) & (geo.distance_m(*a, *b) > _STANDING_M))
    if not len(moves):
        return np.full(n, np.nan)
    bearing = geo.bearing_deg(*a, *b)
    at = np.searchsorted(moves, np.arange(n))
    later, earlier = moves[np.minimum(at, len(moves) - 1)], moves[np.maximum(at - 1, 0)]
    ahead = (at < len(moves)) & (label[later] == label)
    behind = (at > 0) & (label[earlier] == label)
    return np.where(ahead, bearing[later], np.where(behind, bearing[earlier], np.nan))


def turned(heading_deg: Floats, by_deg: Floats | float) -> Floats:
    """Headings turned by an angle, or each by its own, 0 <= x < 360; NaN stays NaN."""
    out = (heading_deg + by_deg) % 360.0
    return np.where(out >= 360.0, 0.0, out)
