"""Areas as services take them: small boxes of latitude and longitude, and the tiles of a web map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from camtrail.core.errors import UsageError
from camtrail.core.model import Bools, Floats

__all__ = ["SIDE_DEG", "Box", "area", "boxes", "inside", "quarters", "tiles"]

SIDE_DEG = 0.0099
"""Longest side of a box that a search takes: below 0.01 degrees, in numbers that were rounded, too."""

_MOST_LAT_DEG = math.degrees(math.atan(math.sinh(math.pi)))  # where the square map of the world ends
_HALF_TURN_DEG = 180.0


@dataclass(frozen=True, slots=True)
class Box:
    """An area between two latitudes and two longitudes, its edges belong to it; it never crosses 180°."""

    min_lat_deg: float
    max_lat_deg: float
    min_lon_deg: float
    max_lon_deg: float


def area(min_lat_deg: float, max_lat_deg: float, min_lon_deg: float, max_lon_deg: float) -> tuple[Box, ...]:
    """The area that four numbers of a user stand for: one box, or two where it crosses 180°.

    Raises
    ------
    UsageError
        A number is off the globe, the least latitude is not the lesser, or the area is empty.

    Notes
    -----
    It crosses 180° where the least longitude is the greater and the way east from there is shorter than half a turn;
    if it is longer, the two were rather given the wrong way round.
    """
    _check("latitude", (min_lat_deg, max_lat_deg), 90.0)
    _check("longitude", (min_lon_deg, max_lon_deg), _HALF_TURN_DEG)
    if min_lat_deg >= max_lat_deg:
        raise UsageError(
            f"the least latitude, {min_lat_deg:g}, is not below the greatest, {max_lat_deg:g}", _ORDER
        )
    if min_lon_deg < max_lon_deg:
        return (Box(min_lat_deg, max_lat_deg, min_lon_deg, max_lon_deg),)
    if not _HALF_TURN_DEG < min_lon_deg - max_lon_deg < 2 * _HALF_TURN_DEG:
        raise UsageError(
            f"the least longitude, {min_lon_deg:g}, is not below the greatest, {max_lon_deg:g}",
            f"{_ORDER}; an area across 180° has its western edge first, as in 179.9 -179.9",
        )
    sides = ((min_lon_deg, _HALF_TURN_DEG), (-_HALF_TURN_DEG, max_lon_deg))
    return tuple(Box(min_lat_deg, max_lat_deg, west, east) for west, east in sides if west < east)


_ORDER = "give MIN_LAT MAX_LAT MIN_LON MAX_LON"


def _check(what: str, values: tuple[float, float], most: float) -> None:
    for value in values:
        if not abs(value) <= most:
            raise UsageError(f"{value:g} is no {what}", f"give degrees from -{most:g} to {most:g}")


def boxes(box: Box, side_deg: float = SIDE_DEG) -> Iterator[Box]:
    """Boxes with no side longer than `side_deg` that fill a box without gap, from the south-west, row by row.

    Neighbours share their edge to the last bit, so what lies on it is in both.
    """
    lats = _cuts(box.min_lat_deg, box.max_lat_deg, side_deg)
    lons = _cuts(box.min_lon_deg, box.max_lon_deg, side_deg)
    for south, north in pairwise(lats):
        for west, east in pairwise(lons):
            yield Box(south, north, west, east)


def quarters(box: Box) -> tuple[Box, ...]:
    """The four quarters of a box, from the south-west; for a search that finds too much.

    Raises
    ------
    ValueError
        It is too small to be cut: there is no number between its edges.
    """
    lats = _halves(box.min_lat_deg, box.max_lat_deg)
    lons = _halves(box.min_lon_deg, box.max_lon_deg)
    return tuple(Box(*lat, *lon) for lat in lats for lon in lons)


def tiles(box: Box, zoom: int = 14) -> Iterator[tuple[int, int, int]]:
    """(zoom, x, y) of each tile that touches a box, from the north-west, row by row.

    Beyond 85.05° of latitude there are none.

    Notes
    -----
    Web Mercator as in the OGC Two Dimensional Tile Matrix Set, annex D.1: x from 180° west, y from the north, both
    0 <= v < 2^zoom. O(number of tiles), without a list of them.
    """
    if box.min_lat_deg > _MOST_LAT_DEG or box.max_lat_deg < -_MOST_LAT_DEG:
        return
    count = 1 << zoom
    west, east = (_tile((lon + 180.0) / 360.0, count) for lon in (box.min_lon_deg, box.max_lon_deg))
    north, south = (_tile(_from_north(lat), count) for lat in (box.max_lat_deg, box.min_lat_deg))
    for y in range(north, south + 1):
        for x in range(west, east + 1):
            yield zoom, x, y


def inside(lat_deg: Floats, lon_deg: Floats, box: Box) -> Bools:
    """(n,) whether positions lie in a box or on its edge; one that is NaN does not."""
    in_lat = (lat_deg >= box.min_lat_deg) & (lat_deg <= box.max_lat_deg)
    return np.asarray(in_lat & (lon_deg >= box.min_lon_deg) & (lon_deg <= box.max_lon_deg))


def _cuts(least: float, most: float, side_deg: float) -> list[float]:
    n = max(1, math.ceil((most - least) / side_deg))
    return [least, *(least + (most - least) * k / n for k in range(1, n)), most]


def _halves(least: float, most: float) -> tuple[tuple[float, float], tuple[float, float]]:
    middle = (least + most) / 2
    if not least < middle < most:
        raise ValueError(f"there is nothing between {least!r} and {most!r}")
    return (least, middle), (middle, most)


def _from_north(lat_deg: float) -> float:
    """Share of the map's height above a latitude."""
    lat = math.radians(min(max(lat_deg, -_MOST_LAT_DEG), _MOST_LAT_DEG))
    return (1.0 - math.asinh(math.tan(lat)) / math.pi) / 2


def _tile(share: float, count: int) -> int:
    return min(max(math.floor(share * count), 0), count - 1)
