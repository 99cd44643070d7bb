"""Stays: what lies together in place and time, and the stay that a moment belongs to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core import geo
from camtrail.steps.places import Nearest, PlaceOptions, centres, extents, grouped, nearest

NAN = math.nan
seconds = st.integers(0, 40).map(lambda n: n * 600.0)
# Near the date line and a pole, too: few places, so that photos meet.
spots = st.sampled_from(
    [(47.0, 8.0), (47.01, 8.0), (47.05, 8.0), (0.0, 179.999), (0.0, -179.999), (89.999, 0.0), (89.999, 180.0)]
)
shots = st.lists(st.tuples(seconds, spots, st.booleans()), max_size=30)


def columns(rows):
    """Time, latitude and longitude; some photos have none of one."""
    t = np.array([NAN if lost and k % 2 else s for k, (s, _, lost) in enumerate(rows)], float)
    lat = np.array([NAN if lost and not k % 2 else at[0] for k, (_, at, lost) in enumerate(rows)], float)
    return t, lat, np.array([at[1] for _, at, _ in rows], float)


def slowly(t, lat, lon, options):
    """The same, one photo after the other."""
    label = [-1] * len(t)
    rows = sorted((a, b, c, i) for i, (a, b, c) in enumerate(zip(t, lat, lon)) if a == a and b == b)
    k, first, before = -1, None, 0.0
    for time_s, a, b, i in rows:
        is_late = first is None or time_s - before > options.within_s
        if is_late or geo.distance_m(*map(np.array, (*first, a, b))) > options.group_distance_km * 1000.0:
            k, first = k + 1, (a, b)
        label[i], before = k, time_s
    return label


@given(shots, st.sampled_from([0.0, 0.5, 2.0, 3.0, 10.0]), st.sampled_from([0.0, 600.0, 1800.0]))
def test_grouping_is_what_a_slow_loop_finds(rows, km, within_s):
    options = PlaceOptions(group_distance_km=km, within_s=within_s)
    t, lat, lon = columns(rows)
    label = grouped(t, lat, lon, options)
    assert label.tolist() == slowly(t, lat, lon, options)
    known = np.isfinite(t) & np.isfinite(lat)
    assert ((label >= 0) == known).all()
    middle = centres(label, lat, lon)
    assert int(middle.count.sum()) == int(known.sum())
    assert (middle.radius_m <= 2000.0 * km + 1e-3).all() or km < 0.01


@given(shots, st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows, random):
    t, lat, lon = columns(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    label, other = (
        grouped(t, lat, lon, PlaceOptions()),
        grouped(t[order], lat[order], lon[order], PlaceOptions()),
    )
    assert label[order].tolist() == other.tolist()
    one, two = centres(label, lat, lon), centres(other, lat[order], lon[order])
    for name in ("lat_deg", "lon_deg", "radius_m", "count"):
        assert getattr(one, name).tolist() == getattr(two, name).tolist()


def test_a_place_that_is_visited_again_is_a_new_stay():
    t = np.array([0.0, 600, 1200, 1800, 86400 * 365.0])
    lat = np.array([47.0, 47.0, 48.0, 47.0, 47.0])
    assert grouped(t, lat, np.full(5, 8.0), PlaceOptions()).tolist() == [0, 0, 1, 2, 3]


def test_days_count():
    t = np.array([0.0, 2 * 86400 + 300.0])
    assert grouped(t, np.array([47.0, 47.0]), np.array([8.0, 8.0]), PlaceOptions()).tolist() == [0, 1]


def test_the_limits_themselves_belong_to_a_stay():
    lat = np.array([0.0, np.degrees(3000.0 / geo.EARTH_RADIUS_M)])
    options = PlaceOptions(group_distance_km=3.0 * 1.01, within_s=1800)
    assert grouped(np.array([0.0, 1800.0]), lat, np.array([8.0, 8.0]), options).tolist() == [0, 0]
    assert grouped(np.array([0.0, 1801.0]), lat, np.array([8.0, 8.0]), options).tolist() == [0, 1]
    options = PlaceOptions(group_distance_km=3.0 * 0.99)
    assert grouped(np.array([0.0, 1.0]), lat, np.array([8.0, 8.0]), options).tolist() == [0, 1]


def test_half_the_globe_is_no_limit():
    t = np.array([0.0, 1.0])
    ends = np.array([90.0, -90.0])
    assert grouped(t, ends, np.zeros(2), PlaceOptions(group_distance_km=20100)).tolist() == [0, 0]
    assert grouped(t, ends, np.zeros(2), PlaceOptions(group_distance_km=12000)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("lat", "lon", "middle"),
    [
        ([10.0, 10.0], [179.9, -179.9], (10.0, 180.0)),
        ([89.9, 89.9], [0.0, 180.0], (90.0, None)),
        ([-33.8, -33.9], [151.2, 151.2], (-33.85, 151.2)),
        ([9.9, 9.9], [-84.1, -84.0], (9.9, -84.05)),
        ([41.385], [2.1734], (41.385, 2.1734)),
    ],
)
def test_the_middle_on_the_sphere(lat, lon, middle):
    found = centres(np.zeros(len(lat), np.int64), np.array(lat), np.array(lon))
    assert found.lat_deg[0] == pytest.approx(middle[0], abs=1e-4)
    if middle[1] is not None:
        assert abs(found.lon_deg[0]) == pytest.approx(abs(middle[1]), abs=1e-9)
        assert math.copysign(1, found.lon_deg[0]) == math.copysign(1, middle[1]) or abs(middle[1]) == 180.0
    assert found.radius_m[0] < 12_000.0
    if len(lat) == 1:
        assert found.radius_m[0] < 1e-4


def test_opposite_ends_of_the_globe_have_one_of_them_as_their_middle():
    found = centres(np.zeros(2, np.int64), np.array([-90.0, 90.0]), np.zeros(2))
    assert found.lat_deg[0] == -90.0 and found.radius_m[0] > 1e7


def test_extents_say_where_something_is_unknown():
    first, last = extents(np.array([1, 0, 1, -1]), np.array([5.0, 2.0, 3.0, 9.0]))
    assert first.tolist() == [2.0, 3.0] and last.tolist() == [2.0, 5.0]
    assert np.isnan(extents(np.array([0, 0]), np.array([1.0, NAN]))[0]).all()
    assert len(extents(np.zeros(0, np.int64), np.zeros(0))[0]) == 0


spans = st.lists(
    st.tuples(
        st.integers(0, 30), st.integers(0, 8), st.sampled_from([NAN, 10.0, 20.0]), st.lists(st.floats(0, 1))
    ),
    max_size=8,
)


@given(st.lists(st.integers(-5, 45) | st.just(NAN), max_size=10), spans)
def test_the_nearest_is_what_a_slow_loop_finds(moments, rows):
    start = np.array([float(s) for s, _, _, _ in rows])
    end = np.array([float(s + d) for s, d, _, _ in rows])
    radius = np.array([r for _, _, r, _ in rows], float)
    photos = [(s + round(f * d, 3), k) for k, (s, d, _, fs) in enumerate(rows) for f in fs]
    photo = np.array([p for p, _ in photos], float)
    stay = np.array([k for _, k in photos], np.int64)
    found = nearest(np.array(moments, float), start, end, radius, photo, stay)
    for i, t in enumerate(moments):
        if t != t or not rows:
            assert found.row[i] == -1 and found.outside_s[i] == math.inf
            continue

        def key(k, t=t):
            own = [*(p for p, owner in photos if owner == k), start[k], end[k]]
            outside = max(start[k] - t, t - end[k], 0.0)
            near = min(abs(t - p) for p in own)
            return (
                outside,
                outside or near,
                math.inf if radius[k] != radius[k] else radius[k],
                start[k],
                end[k],
            )

        best = min(range(len(rows)), key=key)
        assert key(int(found.row[i])) == key(best)
        assert (found.outside_s[i], found.photo_s[i]) == pytest.approx(key(best)[:2])


def test_stays_of_unknown_time_are_nobodys():
    found = nearest(np.array([5.0]), np.array([NAN]), np.array([NAN]), np.array([1.0]))
    assert found.row.tolist() == [-1]


def test_the_better_of_two_answers():
    one = Nearest(np.array([0, 1]), np.array([0.0, 5.0]), np.array([3.0, 5.0]))
    two = Nearest(np.array([2, 3]), np.array([0.0, 4.0]), np.array([3.0, 4.0]))
    assert one.better(two).row.tolist() == [0, 3]
