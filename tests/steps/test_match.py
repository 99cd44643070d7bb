"""Which photo is which: groups by time, and one assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.steps.match import assign, clock_offset_s, components

NAN = float("nan")
times = st.lists(st.one_of(st.integers(0, 2000).map(float), st.just(NAN)), max_size=30)


def labels(time_s: list[float], threshold_s: float = 180.0) -> list[int]:
    t = np.array(time_s, float)
    return components(t, np.full(len(t), -1), np.zeros(len(t), bool), threshold_s).tolist()


class TestComponents:
    @given(times)
    def test_they_are_the_chains_of_small_steps(self, time_s):
        found = labels(time_s)
        known = sorted((t, k) for t, k in zip(time_s, found) if t == t)
        assert all(k == -1 for t, k in zip(time_s, found) if t != t)
        for (t, a), (u, b) in itertools.pairwise(known):
            assert b == a + (u - t > 180.0)

    @given(times, st.randoms())
    def test_the_order_of_the_photos_does_not_matter(self, time_s, random):
        order = list(range(len(time_s)))
        random.shuffle(order)
        shuffled = labels([time_s[i] for i in order])
        assert [shuffled[order.index(i)] for i in range(len(order))] == labels(time_s)

    def test_a_photo_belongs_where_any_member_is_near(self):
        assert labels([0.0, 170.0, 340.0, 1000.0]) == [0, 0, 0, 1]

    def test_a_date_alone_joins_its_whole_day(self):
        t = np.array([100.0, 50_000.0, NAN, 90_000.0])
        day = np.array([-1, -1, 0, -1])
        assert components(t, day, np.isnan(t), 180.0).tolist() == [0, 0, 0, 1]

    def test_dates_without_photos_stand_alone(self):
        t = np.array([NAN, NAN, NAN])
        assert components(t, np.array([3, -1, 3]), np.isnan(t), 180.0).tolist() == [0, -1, 0]


scores = st.integers(1, 5).flatmap(
    lambda n: st.integers(1, 5).flatmap(
        lambda m: st.lists(
            st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), min_size=m, max_size=m), min_size=n, max_size=n
        )
    )
)


def best(score: np.ndarray, threshold: float) -> float:
    """The slow, obvious way."""
    n, m = score.shape
    gain = np.where(score >= threshold, np.nan_to_num(score) - threshold + 1e-6, 0.0)
    if n > m:
        gain, n, m = gain.T, m, n
    return max(
        sum(gain[i, j] for i, j in enumerate(chosen)) for chosen in itertools.permutations(range(m), n)
    )


class TestAssign:
    @given(scores)
    def test_it_is_one_to_one_and_the_best(self, rows):
        score = np.array(rows)
        found = assign(score, 0.5)
        assert len(set(found.row.tolist())) == len(found.row) == len(set(found.column.tolist()))
        assert (found.score >= 0.5).all()
        assert (found.score - 0.5 + 1e-6).sum() == pytest.approx(best(score, 0.5))
        assert (found.margin >= 0).all()

    def test_two_copies_of_one_file_are_ambiguous(self):
        found = assign(np.array([[0.99], [0.99]]), 0.95)
        assert len(found.row) == 1 and found.margin[0] == 0

    def test_a_burst_of_near_likenesses_is_not(self):
        score = np.full((4, 4), 0.955)
        np.fill_diagonal(score, 0.985)
        found = assign(score, 0.95)
        assert found.row.tolist() == found.column.tolist() and (found.margin > 0.05).all()

    def test_a_pair_without_rivals_is_sure(self):
        assert assign(np.array([[0.951, 0.2]]), 0.95).margin.tolist() == [np.inf]

    def test_a_weak_chain_does_not_make_a_strong_pair_doubtful(self):
        found = assign(np.array([[0.99, 0.951], [0.955, NAN]]), 0.95)
        assert (found.row.tolist(), found.column.tolist()) == ([0], [0]) and found.margin[0] > 0.03

    def test_nothing_reaches_the_threshold(self):
        assert len(assign(np.array([[0.3, NAN]]), 0.95).row) == 0
        assert len(assign(np.zeros((0, 3)), 0.95).row) == 0


class TestClockOffset:
    @given(st.lists(st.floats(0, 59), min_size=3, max_size=20))
    def test_seconds_that_were_cut_off_are_no_offset(self, within):
        assert clock_offset_s(np.array(within)) == 0.0

    @given(st.lists(st.floats(0, 59), min_size=3, max_size=20), st.sampled_from((-3600.0, -170.0, 170.0)))
    def test_a_constant_error_is_found(self, within, error_s):
        found = clock_offset_s(np.array(within) + error_s)
        assert found == 0.0 or abs(found - error_s) <= 31

    def test_few_pairs_say_nothing(self):
        assert clock_offset_s(np.array([200.0, 200.0, NAN])) == 0.0
