"""Groups hold what agrees with all, whatever chain leads to it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from camtrail.steps.groups import attached, grouped, numbered


def columns(links):
    first, second = (np.array([link[k] for link in links], np.int64) for k in (0, 1))
    return first, second, np.array([link[2] for link in links], np.float64)


def always(i, j):
    return True


class TestGrouped:
    @given(st.lists(st.floats(0, 10), max_size=12), st.floats(0, 3))
    def test_no_group_is_wider_than_what_agrees(self, places, most):
        n = len(places)
        links = [
            (i, j, -abs(places[i] - places[j]))
            for i in range(n)
            for j in range(i + 1, n)
            if abs(places[i] - places[j]) <= most
        ]
        label = grouped(n, *columns(links), lambda i, j: abs(places[i] - places[j]) <= most)
        for group in numbered(label):
            own = [places[i] for i in group[:8]]
            assert max(own) - min(own) <= most
        # Two groups that agree in all are one.
        assert all(label[label[i]] == label[i] <= i for i in range(n))

    def test_a_chain_is_cut_at_its_weakest_link(self):
        links = [(0, 1, 0.9), (1, 2, 0.8)]
        assert grouped(3, *columns(links), lambda i, j: (i, j) != (0, 2)).tolist() == [0, 0, 2]
        assert grouped(3, *columns(links), always).tolist() == [0, 0, 0]

    @given(st.permutations([(0, 1, 0.9), (1, 2, 0.8), (3, 4, 0.8), (2, 3, 0.1)]))
    def test_the_order_of_links_does_not_count(self, links):
        assert grouped(5, *columns(links), lambda i, j: j - i < 3).tolist() == [0, 0, 0, 3, 3]

    def test_none_are_none(self):
        assert grouped(0, *columns([]), always).tolist() == []


class TestAttached:
    def test_a_part_goes_to_the_heaviest_of_its_wholes(self):
        label = np.arange(3)
        assert attached(label, [(0, 1, 1.0), (0, 2, 2.0)]).tolist() == [0, 1, 0]

    def test_parts_carry_nothing_on(self):
        assert attached(np.arange(3), [(0, 1, 1.0), (1, 2, 2.0)]).tolist() == [0, 1, 1]

    def test_all_of_a_group_come_along(self):
        assert attached(np.array([0, 0, 2, 2]), [(3, 1, 1.0)]).tolist() == [0, 0, 0, 0]


def test_groups_of_one_are_left_out():
    assert numbered(np.array([0, 1, 0, 3, 1])) == [[0, 2], [1, 4]]
