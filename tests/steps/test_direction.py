"""Headings from the way of a sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.steps.direction import towards_next, turned

NAN = float("nan")


def way(points, label=None):
    lat, lon = (np.array([p[i] for p in points], float) for i in range(2))
    return towards_next(np.zeros(len(points), np.int64) if label is None else np.array(label), lat, lon)


def test_towards_the_next_and_the_last_as_the_one_before():
    np.testing.assert_allclose(way([(0, 0), (0, 1), (1, 1)]), [90, 0, 0], atol=1e-6)


def test_a_photo_that_stands_still_looks_where_the_next_one_goes():
    np.testing.assert_allclose(way([(0, 0), (0, 0), (0, 1), (0, 1)]), [90, 90, 90, 90])


def test_a_sequence_that_stands_still_has_no_direction_nor_has_a_photo_alone():
    assert np.isnan(way([(1, 1), (1, 1)])).all()
    assert np.isnan(way([(1, 1)])).all()
    assert not len(way([]))


def test_no_direction_from_one_sequence_into_the_next():
    out = way([(0, 0), (0, 1), (5, 5), (6, 5), (9, 9)], [0, 0, 1, 1, 2])
    np.testing.assert_allclose(out[:4], [90, 90, 0, 0], atol=1e-6)
    assert np.isnan(out[4])


def test_across_the_antimeridian():
    np.testing.assert_allclose(way([(0, 179.9), (0, -179.9)]), [90, 90])


@given(st.lists(st.floats(0, 360, exclude_max=True) | st.just(NAN), max_size=20), st.floats(-1000, 1000))
def test_turned_headings_stay_on_the_circle_and_absent_ones_absent(headings, angle):
    out = turned(np.array(headings, float), angle)
    for before, after in zip(headings, out.tolist()):
        if before != before:
            assert after != after
        else:
            assert 0 <= after < 360
            assert np.cos(np.radians(after)) == pytest.approx(np.cos(np.radians(before + angle)), abs=1e-9)
