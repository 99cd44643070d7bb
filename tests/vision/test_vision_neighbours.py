"""Near pairs are those that a slow comparison of all with all finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.vision import neighbours
from camtrail.vision.neighbours import nearest, pairs_within


def bits_between(a, b):
    return sum(int(x ^ y).bit_count() for x, y in zip(np.atleast_1d(a).tolist(), np.atleast_1d(b).tolist()))


def by_hand(hashes, most_bits):
    n = len(hashes)
    return [
        (i, j, bits)
        for i in range(n)
        for j in range(i + 1, n)
        if (bits := bits_between(hashes[i], hashes[j])) <= most_bits
    ]


def made(seed, n, words, most_bits):
    """Random hashes, of which a third are others with some bits changed, and some are equal."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 1 << 64, (n, words), dtype=np.uint64)
    for i in range(0, n - 1, 3):
        bits = np.unpackbits(hashes[random.integers(0, n)].view(np.uint8))
        bits[random.choice(len(bits), random.integers(0, most_bits + 3), replace=False)] ^= 1
        hashes[i] = np.packbits(bits).view(np.uint64)
    return hashes


def listed(pairs):
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.bits.tolist()))


class TestPairs:
    @given(
        seed=st.integers(0, 1 << 32),
        n=st.integers(0, 200),
        words=st.sampled_from([1, 4]),
        most_bits=st.integers(0, 26),
    )
    def test_all_pairs_are_found_and_no_others(self, seed, n, words, most_bits):
        hashes = made(seed, n, words, most_bits)
        assert listed(pairs_within(hashes, most_bits)) == by_hand(hashes, most_bits)

    def test_hashes_of_64_bits_may_be_one_column(self):
        hashes = made(1, 150, 1, 5)
        assert listed(pairs_within(hashes[:, 0], 5)) == listed(pairs_within(hashes, 5))

    def test_equal_hashes_are_pairs(self):
        assert listed(pairs_within(np.zeros(3, np.uint64), 0)) == [(0, 1, 0), (0, 2, 0), (1, 2, 0)]

    def test_below_no_bit_there_are_none(self):
        assert listed(pairs_within(np.zeros(3, np.uint64), -1)) == []

    def test_numpy_before_2_counts_the_same(self, monkeypatch):
        hashes = made(2, 150, 4, 24)
        expected = listed(pairs_within(hashes, 24))
        monkeypatch.setattr(neighbours, "_count", neighbours._count_by_byte)
        assert listed(pairs_within(hashes, 24)) == expected

    def test_many_are_compared_within_little_memory(self):
        hashes = made(3, 30_000, 4, 24)
        found = pairs_within(hashes, 24)
        assert len(found.first) > 5_000
        assert (found.bits <= 24).all() and (found.first < found.second).all()


def unit(seed, n, size=16):
    vectors = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    vectors[1::2] = vectors[: len(vectors[1::2])] + 0.2 * vectors[1::2]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class TestNearest:
    @given(seed=st.integers(0, 1 << 32), n=st.integers(0, 60), k=st.integers(1, 12), least=st.floats(-1, 1))
    def test_they_are_what_sorting_all_gives(self, seed, n, k, least):
        vectors = unit(seed, n) if n else np.zeros((0, 16), np.float32)
        found = nearest(vectors, k, least)
        assert found.is_exact
        alike = vectors @ vectors.T
        for row in range(n):
            own = found.neighbour[found.row == row]
            assert row not in own and len(own) <= k
            others = np.delete(alike[row], row)
            expected = np.sort(others[others >= np.float32(least)])[::-1][:k]
            assert np.allclose(np.sort(alike[row, own])[::-1], expected, atol=1e-5)
            assert np.allclose(found.cosine[found.row == row], expected, atol=1e-5)

    def test_blocks_change_nothing(self, monkeypatch):
        vectors = unit(5, 300)
        whole = nearest(vectors, 5, 0.1)
        monkeypatch.setattr(neighbours, "_BLOCK", 1000)
        parts = nearest(vectors, 5, 0.1)
        assert (whole.row == parts.row).all() and np.allclose(whole.cosine, parts.cosine, atol=1e-6)

    def test_equal_ones_come_in_order(self):
        found = nearest(np.ones((4, 1), np.float32), 2, 0.9)
        assert found.neighbour.tolist() == [1, 2, 0, 2, 0, 1, 0, 1]

    def test_the_index_finds_nearly_all(self, monkeypatch):
        pytest.importorskip("faiss", reason="FAISS is not installed")
        vectors = unit(6, 6000, 32)
        exact = nearest(vectors, 5, 0.9)
        monkeypatch.setattr(neighbours, "_FEW", 1000)
        found = nearest(vectors, 5, 0.9, approximate=True)
        assert not found.is_exact
        pairs = set(zip(exact.row.tolist(), exact.neighbour.tolist()))
        assert len(pairs & set(zip(found.row.tolist(), found.neighbour.tolist()))) > 0.95 * len(pairs)

    def test_without_the_index_all_are_compared(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "faiss", None)
        monkeypatch.setattr(neighbours, "_FEW", 10)
        assert nearest(unit(7, 50), 5, 0.5, approximate=True).is_exact
