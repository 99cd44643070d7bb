"""The join by time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core import geo
from camtrail.core.model import Track
from camtrail.steps.interpolate import IN_GAP, LOCATED, OUTSIDE, UNTIMED, JoinOptions, join

DEFAULT = JoinOptions()


def track(*fixes: tuple[float, float, float], alt: float = math.nan, hdop: float = math.nan) -> Track:
    t, lat, lon = (np.array(c, float) for c in zip(*fixes))
    nothing = np.full(len(t), np.nan)
    return Track(t, lat, lon, np.full(len(t), alt), nothing, nothing, np.full(len(t), hdop))


def at(tracks: list[Track], *times: float, options: JoinOptions = DEFAULT):
    return join(tracks, np.array(times, float), options)


lats = st.floats(-90, 90)
lons = st.floats(-180, 180)


@given(lats, lons, lats, lons, st.floats(0, 1))
def test_a_position_lies_on_the_great_circle_at_its_share_of_the_way(lat_a, lon_a, lat_b, lon_b, share):
    a, b = (
        geo.unit(np.array([lat_a]), np.array([lon_a]))[0],
        geo.unit(np.array([lat_b]), np.array([lon_b]))[0],
    )
    angle = 2 * math.asin(min(1.0, float(np.linalg.norm(a - b)) / 2))
    if angle > 3.1:  # antipodes have no one great circle
        return
    found = at([track((0, lat_a, lon_a), (100, lat_b, lon_b))], 100 * share)
    p = geo.unit(found.lat_deg, found.lon_deg)[0]

    def apart(u: np.ndarray, v: np.ndarray) -> float:
        return 2 * math.asin(min(1.0, float(np.linalg.norm(u - v)) / 2)) * geo.EARTH_RADIUS_M

    assert apart(a, p) == pytest.approx(share * angle * geo.EARTH_RADIUS_M, abs=1.0)
    assert apart(p, b) == pytest.approx((1 - share) * angle * geo.EARTH_RADIUS_M, abs=1.0)


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=40, unique=True),
    st.lists(st.integers(-100, 10**6 + 100), max_size=30),
    st.randoms(use_true_random=False),
)
def test_each_instant_has_one_row_whatever_the_order(fixes, times, random):
    fixes.sort()
    tracks = [track(*((t, t / 20000, t / 10000) for t in fixes))]
    found = at(tracks, *times)
    assert len(found.verdict) == len(times)
    shuffled = list(range(len(times)))
    random.shuffle(shuffled)
    again = at(tracks, *(times[i] for i in shuffled))
    np.testing.assert_array_equal(again.verdict, found.verdict[shuffled])
    np.testing.assert_array_equal(again.lat_deg, found.lat_deg[shuffled])
    for i, t in enumerate(times):
        before = max((f for f in fixes if f <= t), default=None)
        after = min((f for f in fixes if f > t), default=None)
        assert (found.before_s[i] == t - before) if before is not None else math.isnan(found.before_s[i])
        assert (found.after_s[i] == after - t) if after is not None else math.isnan(found.after_s[i])
        near = min(abs(f - t) for f in fixes)
        joined = before is not None and after is not None and after - before <= DEFAULT.max_gap_s
        assert (found.verdict[i] == LOCATED) == (joined or near <= DEFAULT.max_outside_s)


def test_a_fix_itself_comes_out_as_it_went_in():
    found = at([track((0, 47.1234567, 8.7654321), (10, 47.2, 8.8))], 0, 10)
    assert found.lat_deg.tolist() == [47.1234567, 47.2]
    assert found.lon_deg.tolist() == [8.7654321, 8.8]


def test_across_the_antimeridian_the_short_way():
    found = at([track((0, 10, 179.9), (10, 10, -179.9))], 5)
    assert abs(found.lon_deg[0]) == pytest.approx(180, abs=1e-9)
    assert found.lat_deg[0] == pytest.approx(10, abs=1e-4)


def test_over_the_pole():
    found = at([track((0, 89.9, 0), (10, 89.9, 180))], 5)
    assert found.lat_deg[0] == pytest.approx(90, abs=1e-9)


def test_the_limit_outside_the_track_holds_the_end_and_says_how_far():
    found = at([track((100, 1, 2), (110, 1, 3))], 98, 99.5, 110.9, 144)
    assert found.verdict.tolist() == [OUTSIDE, LOCATED, LOCATED, OUTSIDE]
    assert (found.lat_deg[1], found.lon_deg[1], found.lon_deg[2]) == (1, 2, 3)
    assert found.after_s[0] == 2
    assert found.before_s[3] == 34
    assert np.isnan(found.lat_deg[[0, 3]]).all()


def test_the_limit_inside_a_gap():
    fixes = [track((0, 0, 0), (1801, 0, 1))]
    found = at(fixes, 900, 0.5, 1800.5)
    assert found.verdict.tolist() == [IN_GAP, LOCATED, LOCATED]
    assert found.lon_deg[1:].tolist() == [0, 1]
    assert at(fixes, 900, options=JoinOptions(max_gap_s=2000)).verdict.tolist() == [LOCATED]


def test_nothing_is_interpolated_from_one_segment_into_the_next():
    segments = [track((0, 0, 0), (10, 0, 1)), track((20, 0, 2), (30, 0, 3))]
    found = at(segments, 5, 15, 25, 10.5, 19.5)
    assert found.verdict.tolist() == [LOCATED, IN_GAP, LOCATED, LOCATED, LOCATED]
    assert found.before_s[1] == 5
    assert found.after_s[1] == 5


def test_between_two_days_a_photo_is_outside():
    days = [track((0, 0, 0), (10, 0, 1)), track((86400, 0, 2), (86410, 0, 3))]
    assert at(days, 40000).verdict.tolist() == [OUTSIDE]


def test_of_two_receivers_side_by_side_the_surer_one_wins_in_either_order():
    coarse = track((0, 0, 0), (1000, 0, 1))
    fine = track((490, 50, 0), (510, 50, 1))
    for tracks in ([coarse, fine], [fine, coarse]):
        found = at(tracks, 500, 100)
        assert found.lat_deg[0] == pytest.approx(50, abs=1e-2)
        assert found.lat_deg[1] == pytest.approx(0, abs=1e-3)


def test_the_error_grows_with_the_seconds_to_the_fix_and_with_hdop():
    fast = track((0, 0, 0), (100, 0, 0.01))  # 11 m/s
    found = at([fast], 0, 1, 50)
    assert found.error_m[0] == 5
    assert found.error_m[0] < found.error_m[1] < found.error_m[2]
    assert at([track((0, 0, 0), (100, 0, 0.01), hdop=4.0)], 0).error_m[0] == 20


def test_altitude_is_absent_where_one_side_has_none():
    mixed = track((0, 0, 0), (10, 0, 1), alt=100.0)
    mixed.alt_m[1] = np.nan
    found = at([mixed], 0, 5)
    assert found.alt_m[0] == 100
    assert math.isnan(found.alt_m[1])


def test_course_is_where_the_receiver_moved_and_absent_where_it_stood():
    found = at([track((0, 0, 0), (10, 0, 1), (20, 0, 1))], 5, 15, 20)
    assert found.course_deg[0] == pytest.approx(90)
    assert np.isnan(found.course_deg[1:]).all()


def test_photos_without_time_and_runs_without_a_fix():
    assert at([track((0, 0, 0))], math.nan, 0).verdict.tolist() == [UNTIMED, LOCATED]
    assert at([], math.nan, 0).verdict.tolist() == [UNTIMED, OUTSIDE]
