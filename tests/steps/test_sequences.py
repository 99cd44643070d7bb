"""Order, bursts, sequences."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.options import resolve
from camtrail.steps.sequences import SplitOptions, in_order, index_in, split, spread

CLASSIC = resolve(SplitOptions(), "classic")
MODERN = resolve(SplitOptions(), "modern")

times = st.lists(st.integers(0, 50).map(lambda x: x / 2), max_size=40)


def test_presets():
    assert (CLASSIC.cutoff_distance_m, CLASSIC.cutoff_time_s, CLASSIC.max_images) == (600, 60, 500)
    assert (MODERN.cutoff_distance_m, MODERN.cutoff_time_s, MODERN.max_images) == (100, 60, 1000)


@given(times, st.data())
def test_order_is_by_group_time_and_name_whatever_the_rows(values, data):
    n = len(values)
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int64)
    names = data.draw(st.permutations(range(n)))
    time_s = np.array(values, float)
    order = in_order(group, time_s, lambda i: names[i])
    keys = [(group[i], time_s[i], names[i]) for i in order]
    assert keys == sorted(keys)
    assert sorted(order.tolist()) == list(range(n))


@given(times)
def test_spread_keeps_the_order_and_stays_within_the_second(values):
    time_s = np.sort(np.array(values, float))
    out = spread(np.zeros(len(time_s), np.int64), time_s)
    assert len(out) == len(time_s)
    assert (np.diff(out) > 0).all()
    assert (out >= time_s).all()
    assert (np.floor(out) == np.floor(time_s)).all()
    np.testing.assert_allclose(spread(np.zeros(len(time_s), np.int64), out), out)


def test_five_photos_of_one_second():
    group = np.zeros(6, np.int64)
    np.testing.assert_allclose(
        spread(group, np.array([10.0] * 5 + [12.0])), [10.0, 10.2, 10.4, 10.6, 10.8, 12.0]
    )
    np.testing.assert_allclose(spread(group[:3], np.array([10.0, 10.0, 10.5])), [10.0, 10.25, 10.5])


def test_two_cameras_that_shoot_at_once_are_no_burst():
    assert spread(np.array([0, 1]), np.array([10.0, 10.0])).tolist() == [10.0, 10.0]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 1000), st.floats(-1, 1), st.floats(-1, 1)), max_size=60
    )
)
def test_a_cut_is_where_a_limit_is_exceeded_and_nowhere_else(rows):
    rows.sort(key=lambda r: (r[0], r[1]))
    group, time_s, lat, lon = (np.array([r[i] for r in rows]) for i in range(4))
    label = split(group, time_s, lat, lon, CLASSIC)
    assert len(label) == len(rows)
    if not len(rows):
        return
    assert label[0] == 0
    from camtrail.core.geo import distance_m

    for i in range(1, len(rows)):
        metres = distance_m(lat[i - 1 : i], lon[i - 1 : i], lat[i : i + 1], lon[i : i + 1])[0]
        cut = group[i] != group[i - 1] or time_s[i] - time_s[i - 1] > 60 or metres > 600
        assert label[i] - label[i - 1] == cut


def test_limits_themselves_do_not_cut():
    group, still = np.zeros(3, np.int64), np.zeros(3)
    assert split(group, np.array([0.0, 60.0, 120.5]), still, still, CLASSIC).tolist() == [0, 0, 1]


@given(st.lists(st.integers(0, 1), max_size=50), st.integers(1, 7))
def test_long_sequences_are_cut_into_pieces_in_order(steps, most):
    label = np.cumsum(np.array(steps, np.int64)) if steps else np.zeros(0, np.int64)
    cut, position = index_in(label, most)
    assert len(cut) == len(label)
    assert (position < most).all()
    for k in set(cut.tolist()):
        rows = np.flatnonzero(cut == k)
        assert position[rows].tolist() == list(range(len(rows)))
        assert len(set(label[rows].tolist())) == 1
    whole, _ = index_in(label, None)
    assert (np.diff(whole) == (np.diff(label) != 0)).all()
