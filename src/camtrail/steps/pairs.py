"""Pairs of pictures of one place: how far apart they are, which belong together, and how much way they cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camtrail.core import geo
from camtrail.core.model import Floats, Ints

__all__ = ["REACH_M", "Coverage", "Pairs", "coverage", "measured", "nearest"]

REACH_M = 30.0
"""Farthest that two pictures of one place are apart in the published lists."""

_BLOCK = 256
_METRES_PER_DEG = np.pi / 180.0 * geo.EARTH_RADIUS_M


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of pictures; every column has shape (m,), NaN where one of the two does not say."""

    database: Ints  # row of the picture that is known
    query: Ints  # row of the picture that is looked for
    distance_m: Floats
    time_s: Floats  # from the picture of the database to that of the query
    turn_deg: Floats  # between the two headings, 0 to 180


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """What a sequence shows; every column has shape (k,), row i belongs to label i."""

    rows: Ints  # lines of the list
    images: Ints  # different ones among them
    covered_km: Floats  # way from line to line; 0 where fewer than two have a place


def measured(
    database: Ints, query: Ints, lat_deg: Floats, lon_deg: Floats, time_s: Floats, heading_deg: Floats
) -> Pairs:
    """The pairs with their differences, in their order.

    Parameters
    ----------
    database, query : (m,) rows of the other columns
    lat_deg, lon_deg, time_s, heading_deg : (n,) of the pictures; NaN where absent

    Notes
    -----
    Distances on the sphere, as the tables about the published lists have them.
    """
    a, b = database, query
    turn = np.abs(heading_deg[b] - heading_deg[a]) % 360.0
    return Pairs(
        a,
        b,
        geo.on_sphere_m(lat_deg[a], lon_deg[a], lat_deg[b], lon_deg[b]),
        time_s[b] - time_s[a],
        np.minimum(turn, 360.0 - turn),
    )


def nearest(
    database: Ints, query: Ints, lat_deg: Floats, lon_deg: Floats, reach_m: float = REACH_M
) -> tuple[Ints, Ints]:
    """Each picture of the database with the nearest one of the query, where that lies within reach.

    Parameters
    ----------
    database, query : (a,), (b,) rows of the columns; those without a place belong to no pair
    lat_deg, lon_deg : (n,)
    reach_m : a pair is nearer than that

    Returns
    -------
    (m,), (m,) rows, in the order of `database`. Of several as near as each other the first of `query` is taken.

    Notes
    -----
    Looks only at pictures whose latitude is within reach: O((a + b) log b + pictures in such strips).
    """
    known = query[np.isfinite(lat_deg[query]) & np.isfinite(lon_deg[query])]
    north = np.argsort(lat_deg[known], kind="stable")
    lat, lon = lat_deg[known[north]], lon_deg[known[north]]
    partner = np.full(len(database), -1, np.int64)
    asking = np.flatnonzero(np.isfinite(lat_deg[database]) & np.isfinite(lon_deg[database]))
    asking = asking[np.argsort(lat_deg[database[asking]], kind="stable")]
    strip_deg = reach_m / _METRES_PER_DEG * (1 + 1e-9)
    for at in range(0, len(asking), _BLOCK):
        block = asking[at : at + _BLOCK]
        a_lat, a_lon = lat_deg[database[block]], lon_deg[database[block]]
        low = np.searchsorted(lat, a_lat[0] - strip_deg)
        high = np.searchsorted(lat, a_lat[-1] + strip_deg, "right")
        if low == high:
            continue
        far = geo.on_sphere_m(a_lat[:, None], a_lon[:, None], lat[None, low:high], lon[None, low:high])
        least = far.min(axis=1)
        first = np.where(far == least[:, None], north[None, low:high], len(known)).min(axis=1)
        partner[block] = np.where(least < reach_m, first, -1)
    found = partner >= 0
    return database[found], known[partner[found]]


def coverage(label: Ints, image: Ints, lat_deg: Floats, lon_deg: Floats) -> Coverage:
    """How many images each sequence has, and how long its way is.

    Parameters
    ----------
    label : (r,) sequence of each line, 0..k-1, in any order
    image : (r,) image of each line; a list may name one again
    lat_deg, lon_deg : (r,) NaN where the place is not known; the way goes on behind such a line

    Notes
    -----
    The way goes from line to line on the sphere, as the tables about the published lists have it. O(r log r).
    """
    k = int(label.max(initial=-1)) + 1
    order = np.argsort(label, kind="stable")
    order = order[np.isfinite(lat_deg[order]) & np.isfinite(lon_deg[order])]
    of, lat, lon = label[order], lat_deg[order], lon_deg[order]
    is_same = of[1:] == of[:-1]
    step_m = geo.on_sphere_m(lat[:-1], lon[:-1], lat[1:], lon[1:])[is_same]
    by_image = np.lexsort((image, label))
    is_new = np.ones(len(label), bool)
    is_new[1:] = (np.diff(label[by_image]) != 0) | (np.diff(image[by_image]) != 0)
    return Coverage(
        np.bincount(label, minlength=k).astype(np.int64),
        np.bincount(label[by_image][is_new], minlength=k).astype(np.int64),
        np.bincount(of[1:][is_same], weights=step_m, minlength=k) / 1000.0,
    )
