"""Pairs of pictures of one place: how far apart they are, and how much way their sequences cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camtrail.core import geo
from camtrail.core.model import Floats, Ints

__all__ = ["Coverage", "Pairs", "coverage", "measured"]


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
