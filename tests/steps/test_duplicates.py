"""Duplicates against the last kept photo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core import geo
from camtrail.core.options import resolve
from camtrail.steps.duplicates import DuplicateOptions, flag

NAN = float("nan")
STRICT = resolve(DuplicateOptions(flag_duplicates=True, duplicate_distance_m=2), "classic")
LOOSE = resolve(DuplicateOptions(flag_duplicates=True, duplicate_distance_m=2), "modern")
M = 1 / 111_319.49  # degrees of longitude on the equator


def flagged(east_m, heading, options, label=None, time=None):
    n = len(east_m)
    return flag(
        np.zeros(n, np.int64) if label is None else np.array(label),
        np.arange(n, dtype=float) if time is None else np.array(time, float),
        np.zeros(n),
        np.array(east_m, float) * M,
        np.array(heading, float),
        options,
    ).tolist()


@given(
    st.lists(
        st.tuples(st.floats(0, 6), st.sampled_from([0.0, 3.0, 358.0, 90.0, NAN]), st.booleans()), max_size=30
    ),
    st.sampled_from([STRICT, LOOSE]),
)
def test_agrees_with_the_slow_obvious_walk(rows, options):
    east, heading = [r[0] for r in rows], [r[1] for r in rows]
    label = np.cumsum([r[2] for r in rows]).tolist()
    lon, zero = np.array(east) * M, np.zeros(1)
    expected, kept = [], None
    for i in range(len(rows)):
        same = False
        if kept is not None and label[kept] == label[i]:
            d = geo.distance_m(zero, lon[kept : kept + 1], zero, lon[i : i + 1])[0]
            turn = abs((heading[i] - heading[kept] + 180) % 360 - 180)
            if options is LOOSE:
                same = d <= 2 and (turn != turn or turn <= 5)
            else:
                same = d < 2 and turn < 5
        expected.append(kept if same else -1)
        if not same:
            kept = i
    assert flagged(east, heading, options, label) == expected


def test_it_is_the_last_kept_one_that_counts_not_the_one_before():
    # A slow walk in steps of 1.5 m: each is near the one before, every second is far from the last kept.
    assert flagged([0, 1.5, 3.0, 4.5, 6.0], [0] * 5, STRICT) == [-1, 0, -1, 2, -1]


def test_headings_compare_around_north():
    assert flagged([0, 0], [358, 2], STRICT) == [-1, 0]
    assert flagged([0, 0], [358, 4], STRICT) == [-1, -1]


def test_a_missing_heading():
    assert flagged([0, 0], [NAN, 10], STRICT) == [-1, -1]
    assert flagged([0, 0], [NAN, NAN], STRICT) == [-1, -1]
    assert flagged([0, 0], [NAN, 10], LOOSE) == [-1, 0]


def test_limits_themselves():
    assert flagged([0, 0], [0, 5], STRICT) == [-1, -1]
    assert flagged([0, 0], [0, 5], LOOSE) == [-1, 0]


def test_never_across_sequences():
    assert flagged([0, 0, 0], [0] * 3, STRICT, label=[0, 1, 1]) == [-1, -1, 1]


def test_the_time_limit_is_off_unless_given():
    assert flagged([0, 0], [0, 0], STRICT, time=[0, 10**6]) == [-1, 0]
    limited = resolve(DuplicateOptions(duplicate_distance_m=2, duplicate_time_s=10), "classic")
    assert flagged([0, 0, 0], [0] * 3, limited, time=[0, 10, 21]) == [-1, 0, -1]


@pytest.mark.parametrize("n", [0, 1])
def test_few_photos(n):
    assert flagged([0] * n, [0] * n, STRICT) == [-1] * n
