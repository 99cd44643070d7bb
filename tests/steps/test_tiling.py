"""Areas: small boxes that fill a big one, quarters, and the tiles of a map that cover it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from camtrail.core.errors import UsageError
from camtrail.steps.tiling import SIDE_DEG, Box, area, boxes, inside, quarters, tiles

HEMISPHERES = [
    Box(45.0, 45.1, -122.6, -122.5),
    Box(-33.90, -33.85, 151.2, 151.25),
    Box(-0.01, 0.01, -0.01, 0.01),
    Box(89.97, 90.0, 10.0, 10.05),
    Box(-90.0, -89.99, -180.0, -179.97),
    Box(65.0, 65.02, 179.98, 180.0),
]
shares = st.floats(0, 1)


@st.composite
def some_boxes(draw, most_deg=0.1):
    side = st.floats(1e-7, most_deg)
    lat, lon = draw(st.floats(-90, 89.8)), draw(st.floats(-180, 179.8))
    return Box(lat, lat + draw(side), lon, lon + draw(side))


def at(box, down, across):
    """A place in a box, by shares of its sides."""
    lat = box.min_lat_deg + down * (box.max_lat_deg - box.min_lat_deg)
    lon = box.min_lon_deg + across * (box.max_lon_deg - box.min_lon_deg)
    return min(lat, box.max_lat_deg), min(lon, box.max_lon_deg)


def holds(box, lat, lon):
    return bool(inside(np.array([lat]), np.array([lon]), box)[0])


def corners(parts):
    lats = [v for b in parts for v in (b.min_lat_deg, b.max_lat_deg)]
    lons = [v for b in parts for v in (b.min_lon_deg, b.max_lon_deg)]
    return min(lats), max(lats), min(lons), max(lons)


def size(box):
    return (box.max_lat_deg - box.min_lat_deg) * (box.max_lon_deg - box.min_lon_deg)


@given(some_boxes(), shares, shares)
@example(HEMISPHERES[0], 0.5, 1.0)
@example(Box(0.0, SIDE_DEG, 0.0, 0.01), 0.0, 0.0)
@example(Box(-0.1, 0.0, -0.0999999, 0.0), 0.0, 0.0)
def test_small_boxes_fill_the_big_one(box, down, across):
    parts = list(boxes(box))
    assert corners(parts) == corners([box])
    assert sum(map(size, parts)) == pytest.approx(size(box), rel=1e-6)
    assert any(holds(p, *at(box, down, across)) for p in parts)
    for p in parts:
        written = [float(f"{v:.6f}") for v in (p.min_lat_deg, p.max_lat_deg, p.min_lon_deg, p.max_lon_deg)]
        assert written[1] - written[0] < 0.01 and written[3] - written[2] < 0.01


@pytest.mark.parametrize("box", HEMISPHERES)
def test_neighbours_share_their_edge_and_the_order_is_from_the_south_west(box):
    parts = list(boxes(box))
    assert parts == sorted(parts, key=lambda b: (b.min_lat_deg, b.min_lon_deg))
    souths, wests = ({getattr(p, name) for p in parts} for name in ("min_lat_deg", "min_lon_deg"))
    assert len(parts) == len(souths) * len(wests)
    assert {p.max_lat_deg for p in parts} - {box.max_lat_deg} == souths - {box.min_lat_deg}
    assert {p.max_lon_deg for p in parts} - {box.max_lon_deg} == wests - {box.min_lon_deg}


def test_a_tenth_of_a_degree_is_121_boxes():
    assert len(list(boxes(HEMISPHERES[0]))) == 121


def test_a_box_that_is_small_enough_stays_whole():
    box = Box(1.0, 1.009, 2.0, 2.001)
    assert list(boxes(box)) == [box]


def test_a_whole_continent_costs_nothing_before_it_is_asked_for():
    assert next(boxes(Box(-89.0, 89.0, -180.0, 180.0))).min_lat_deg == -89.0


@given(some_boxes(), shares, shares)
def test_quarters_fill_a_box(box, down, across):
    parts = quarters(box)
    assert len(set(parts)) == 4
    assert corners(parts) == corners([box])
    assert sum(map(size, parts)) == pytest.approx(size(box), rel=1e-6)
    assert any(holds(p, *at(box, down, across)) for p in parts)


def test_what_has_no_middle_is_not_quartered():
    box = HEMISPHERES[0]
    with pytest.raises(ValueError, match="nothing between"):
        for _ in range(100):
            box = quarters(box)[0]
    assert size(box) < 1e-20


def bounds(zoom, x, y):
    """South, north, west and east of a tile, from the service's own formula."""
    n = 2**zoom
    south, north = (math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * v / n)))) for v in (y + 1, y))
    return Box(south, north, x / n * 360 - 180, (x + 1) / n * 360 - 180)


@given(some_boxes(), shares, shares, st.sampled_from([0, 1, 14]))
@example(HEMISPHERES[4], 0.0, 0.0, 14)
@example(Box(85.0, 85.06, 179.9, 180.0), 0.1, 1.0, 14)
def test_tiles_cover_a_box_and_each_touches_it(box, down, across, zoom):
    found = list(tiles(box, zoom))
    assert len(set(found)) == len(found)
    lat, lon = at(box, down, across)
    rim = 1e-9  # of the two roundings
    for tile in found:
        b = bounds(*tile)
        assert tile[0] == zoom and 0 <= tile[1] < 2**zoom and 0 <= tile[2] < 2**zoom
        assert b.min_lat_deg <= box.max_lat_deg + rim and b.max_lat_deg >= box.min_lat_deg - rim
        assert b.min_lon_deg <= box.max_lon_deg + rim and b.max_lon_deg >= box.min_lon_deg - rim
    assume(abs(lat) <= 85.05)
    wide = [bounds(*t) for t in found]
    assert any(
        holds(
            Box(b.min_lat_deg - rim, b.max_lat_deg + rim, b.min_lon_deg - rim, b.max_lon_deg + rim), lat, lon
        )
        for b in wide
    )


def test_named_tiles():
    # The example of mercantile's manual, 53.12...53.33 north, 8.79...9.14 west; and its mirror image in the south.
    assert list(tiles(Box(53.2, 53.3, -9.0, -8.9), 10)) == [(10, 486, 332)]
    assert list(tiles(Box(-53.3, -53.2, 8.9, 9.0), 10)) == [(10, 1023 - 486, 1023 - 332)]
    assert list(tiles(Box(53.3, 53.3308, -9.0, -9.0), 10)) == [(10, 486, 332)]
    assert list(tiles(Box(53.3, 53.3309, -9.0, -9.0), 10)) == [(10, 486, 331), (10, 486, 332)]
    assert list(tiles(Box(-85.0, 85.0, -180.0, 180.0), 1)) == [(1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1)]


def test_beyond_the_map_there_are_no_tiles():
    assert list(tiles(HEMISPHERES[3])) == list(tiles(HEMISPHERES[4])) == []
    (first, *_) = tiles(Box(84.0, 90.0, 0.0, 0.001))
    assert first == (14, 8192, 0)


def test_an_area_in_one_piece():
    assert area(-33.9, -33.8, 151.2, 151.3) == (Box(-33.9, -33.8, 151.2, 151.3),)
    assert area(-90, 90, -180, 180) == (Box(-90, 90, -180, 180),)


def test_an_area_across_180_degrees_is_two():
    assert area(-17.0, -16.9, 179.95, -179.95) == (
        Box(-17.0, -16.9, 179.95, 180.0),
        Box(-17.0, -16.9, -180.0, -179.95),
    )
    assert area(1, 2, 180.0, -179.9) == (Box(1, 2, -180.0, -179.9),)
    assert area(1, 2, 179.9, -180.0) == (Box(1, 2, 179.9, 180.0),)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((45.1, 45.0, 1, 2), "the least latitude, 45.1, is not below"),
        ((45.0, 45.0, 1, 2), "the least latitude"),
        ((45.0, 45.1, -122.5, -122.6), "the least longitude, -122.5, is not below"),
        ((45.0, 45.1, 7, 7), "the least longitude"),
        ((45.0, 45.1, 180, -180), "the least longitude"),
        ((45.0, 90.1, 1, 2), "90.1 is no latitude"),
        ((45.0, 45.1, 1, 180.5), "180.5 is no longitude"),
        ((math.nan, 45.1, 1, 2), "nan is no latitude"),
        ((45.0, 45.1, -math.inf, 2), "-inf is no longitude"),
    ],
)
def test_what_is_no_area_says_why(numbers, said):
    with pytest.raises(UsageError, match=said) as e:
        area(*numbers)
    assert e.value.hint


def test_a_place_that_is_not_known_is_not_inside():
    lat, lon = np.array([1.0, math.nan, 1.5, 2.1]), np.array([2.0, 2.0, math.nan, 2.0])
    assert inside(lat, lon, Box(1, 2, 2, 3)).tolist() == [True, False, False, False]
