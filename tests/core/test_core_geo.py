"""Geometry, against slower formulas that share nothing with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from camtrail.core import geo

lats = st.floats(-90, 90)
lons = st.floats(-180, 180)
places = st.tuples(lats, lons)


def column(*values):
    return np.array(values, float)


def distance(a, b):
    return float(geo.distance_m(column(a[0]), column(a[1]), column(b[0]), column(b[1]))[0])


def bearing(a, b):
    return float(geo.bearing_deg(column(a[0]), column(a[1]), column(b[0]), column(b[1]))[0])


def vincenty_m(a, b):
    """The inverse geodesic of T. Vincenty (Survey Review 1975) on WGS 84."""
    major, flat = 6378137.0, 1 / 298.257223563
    minor = major * (1 - flat)
    u1, u2 = (math.atan((1 - flat) * math.tan(math.radians(p[0]))) for p in (a, b))
    span = math.radians((b[1] - a[1] + 180) % 360 - 180)
    lam = span
    for _ in range(200):
        east = math.cos(u2) * math.sin(lam)
        north = math.cos(u1) * math.sin(u2) - math.sin(u1) * math.cos(u2) * math.cos(lam)
        sin_s = math.hypot(east, north)
        if sin_s == 0:
            return 0.0
        cos_s = math.sin(u1) * math.sin(u2) + math.cos(u1) * math.cos(u2) * math.cos(lam)
        sigma = math.atan2(sin_s, cos_s)
        sin_a = math.cos(u1) * math.cos(u2) * math.sin(lam) / sin_s
        cos2_a = 1 - sin_a**2
        mid = cos_s - 2 * math.sin(u1) * math.sin(u2) / cos2_a if cos2_a > 1e-15 else 0.0
        c = flat / 16 * cos2_a * (4 + flat * (4 - 3 * cos2_a))
        before = lam
        lam = span + (1 - c) * flat * sin_a * (sigma + c * sin_s * (mid + c * cos_s * (-1 + 2 * mid**2)))
        if abs(lam - before) < 1e-14:
            break
    u = cos2_a * (major**2 - minor**2) / minor**2
    big_a = 1 + u / 16384 * (4096 + u * (-768 + u * (320 - 175 * u)))
    big_b = u / 1024 * (256 + u * (-128 + u * (74 - 47 * u)))
    delta = big_b * sin_s * (
        mid
        + big_b / 4 * (
            cos_s * (-1 + 2 * mid**2) - big_b / 6 * mid * (-3 + 4 * sin_s**2) * (-3 + 4 * mid**2)
        )
    )  # fmt: skip
    return minor * big_a * (sigma - delta)


@given(st.floats(-89.9, 89.9), lons, st.floats(-0.08, 0.08), st.floats(-0.08, 0.08))
@example(0.0, 180.0, 0.0, 0.01)
def test_distance_is_the_geodesic_up_to_10_km_less_2_mm(lat, lon, north, east):
    b = (min(90.0, max(-90.0, lat + north)), (lon + east + 180) % 360 - 180)
    true = vincenty_m((lat, lon), b)
    assume(true <= 10_000)
    assert true - 0.002 <= distance((lat, lon), b) <= true + 1e-4


@given(places, places)
def test_distance_is_a_distance(a, b):
    assert distance(a, a) == 0
    assert distance(a, b) == distance(b, a)
    assert 0 <= distance(a, b) <= 2 * 6378138


@given(lats, st.floats(-0.01, 0.01))
def test_distance_knows_no_antimeridian(lat, east):
    across = distance((lat, 180 - 0.005), (lat, -180 + east))
    assert across == pytest.approx(distance((lat, -0.005), (lat, east)), abs=1e-6)


def test_distance_of_what_is_not_known():
    assert np.isnan(geo.distance_m(column(np.nan, 1), column(1, 1), column(1, np.nan), column(1, 1))).all()
    assert len(geo.distance_m(column(), column(), column(), column())) == 0


def test_known_distances():
    # A degree of latitude at the equator and at the pole, one of longitude at the equator (WGS 84).
    assert distance((-0.005, 0), (0.005, 0)) == pytest.approx(1105.743, abs=0.001)
    assert distance((89.99, 0), (89.99, 180)) == pytest.approx(2 * 1116.939, abs=0.01)
    assert distance((0, 179.995), (0, -179.995)) == pytest.approx(1113.195, abs=0.001)


@given(places, places)
def test_a_bearing_is_on_the_circle_and_agrees_with_the_way_there(a, b):
    out = bearing(a, b)
    assert 0 <= out < 360
    u, v = geo.unit(column(a[0], b[0]), column(a[1], b[1]))
    assume(1e-6 < np.linalg.norm(u - v) < 2 - 1e-6 and abs(a[0]) < 89.999)
    # The same from vectors: the way to b in the plane of north and east at a.
    lat, lon = math.radians(a[0]), math.radians(a[1])
    north = np.array([-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat)])
    east = np.array([-math.sin(lon), math.cos(lon), 0.0])
    slow = math.degrees(math.atan2(v @ east, v @ north))
    assert abs((out - slow + 180) % 360 - 180) < 1e-4


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0), (1, 0), 0), ((0, 0), (0, 1), 90), ((0, 0), (-1, 0), 180), ((0, 0), (0, -1), 270),
        ((0, 179.9), (0, -179.9), 90), ((0, -179.9), (0, 179.9), 270), ((52, 13), (90, 0), 0),
        ((1, 1), (1, 1), 0), ((0, 0), (1, -1e-18), 0),
    ],
)  # fmt: skip
def test_bearings(a, b, expected):
    assert bearing(a, b) == pytest.approx(expected, abs=1e-9)


def test_a_bearing_of_what_is_not_known():
    assert math.isnan(bearing((math.nan, 0), (1, 1)))


@given(st.lists(st.tuples(st.floats(-80, 80), st.floats(-5, 5)), min_size=1, max_size=6), lons)
def test_the_middle_turns_with_the_globe(points, east):
    lat = column(*(p[0] for p in points))
    lon = column(*(p[1] for p in points))
    here = geo.mean_position(lat, lon)
    there = geo.mean_position(lat, (lon + east + 180) % 360 - 180)
    assert there[0] == pytest.approx(here[0], abs=1e-6)
    assert abs((there[1] - here[1] - east + 180) % 360 - 180) < 1e-6
    assert min(lat) - 1e-6 <= here[0] <= max(lat) + 1e-6 or np.ptp(lon) > 0
    assert min(lon) - 1e-6 <= here[1] <= max(lon) + 1e-6


def test_the_middle_across_the_antimeridian():
    lat, lon = geo.mean_position(column(10, 10), column(179, -179))
    assert lat == pytest.approx(10, abs=0.01) and abs(lon) == pytest.approx(180)


@pytest.mark.parametrize("pole", [90, -90])
def test_the_middle_around_a_pole(pole):
    lat, lon = geo.mean_position(np.full(4, pole - math.copysign(1, pole)), column(0, 90, 180, -90))
    assert lat == pytest.approx(pole) and -180 <= lon <= 180


@pytest.mark.parametrize(
    ("lat", "lon"), [((), ()), ((0, 0), (0, 180)), ((90, -90), (0, 0)), ((math.nan, 1), (1, 1))]
)
def test_no_middle(lat, lon):
    assert np.isnan(geo.mean_position(column(*lat), column(*lon))).all()


@given(st.floats(), st.floats())
def test_plausible(lat, lon):
    expected = math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180
    expected = expected and not lat == lon == 0
    assert geo.plausible(column(lat), column(lon)).tolist() == [expected]


def test_plausible_at_the_edges():
    lat, lon = column(90, -90, 0, 0, 0, 90.0001), column(180, -180, 1e-9, 0, -180, 0)
    assert geo.plausible(lat, lon).tolist() == [True, True, True, False, True, False]


@given(places)
def test_vectors(place):
    (v,) = geo.unit(column(place[0]), column(place[1]))
    assert np.linalg.norm(v) == pytest.approx(1)
    (x,) = geo.earth_centred(column(place[0]), column(place[1]))
    # On the ellipsoid: (x / a)^2 + (y / a)^2 + (z / b)^2 = 1
    assert (x[0] ** 2 + x[1] ** 2) / 6378137.0**2 + x[2] ** 2 / 6356752.314245**2 == pytest.approx(1)
    assert abs(np.linalg.norm(x) - geo.EARTH_RADIUS_M) < 15_000


class TestOnASphere:
    def test_the_documented_distance_of_two_photos(self):
        places = ([37.41059167], [-121.79070278], [37.41030556], [-121.78996667])
        assert round(float(geo.on_sphere_m(*map(np.array, places))[0]), 2) == 72.38

    @given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-1e-2, 1e-2), st.floats(-1e-2, 1e-2))
    def test_it_is_near_the_ellipsoid(self, lat, lon, north, east):
        places = [np.array([v]) for v in (lat, lon, lat + north, lon + east)]
        assert geo.on_sphere_m(*places)[0] == pytest.approx(geo.distance_m(*places)[0], rel=0.007, abs=1e-3)
