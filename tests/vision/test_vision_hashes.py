"""Hashes and signatures: their definitions, and what they stay the same under."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scenes import again, fit, lit, scene

from camtrail.vision import hashes
from camtrail.vision.decode import luminance
from camtrail.vision.hashes import (
    average_hash,
    average_hashes,
    difference_hash,
    difference_hashes,
    hamming,
    perceptual_hash,
    perceptual_hashes,
    signature,
    signatures,
)

EACH = pytest.mark.parametrize(
    ("one", "many"),
    [
        (perceptual_hash, perceptual_hashes),
        (difference_hash, difference_hashes),
        (average_hash, average_hashes),
    ],
)
SEEDS = range(40)
NUMBERS = arrays.arrays(np.uint64, st.integers(0, 20), elements=st.integers(0, 2**64 - 1))
COPIES = {
    "q50": lambda p: again(p, 50),
    "q20": lambda p: again(p, 20),
    "half": lambda p: fit(p, 320),
    "160 px, q70": lambda p: again(fit(p, 160), 70),
    "other shape by a pixel": lambda p: p[1:-1, 1:-1],
    "lighter": lambda p: lit(p, 1.2),
    "darker": lambda p: lit(p, 0.8),
    "gamma 0.8": lambda p: lit(p, gamma=0.8),
    "gamma 1.25": lambda p: lit(p, gamma=1.25),
}


def bits(pixels, width, height):
    small = Image.fromarray(pixels).convert("L").resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(small).astype(int)


def number(rows):
    return int("".join("1" if bit else "0" for row in rows for bit in row), 2)


def slow_perceptual(pixels):
    """Sum by sum."""
    grey = bits(pixels, 32, 32)
    cosine = [[math.cos(math.pi * k * (2 * i + 1) / 64) for i in range(32)] for k in range(8)]
    low = [
        [
            sum(cosine[u][y] * cosine[v][x] * grey[y][x] for y in range(32) for x in range(32))
            for v in range(8)
        ]
        for u in range(8)
    ]
    middle = sorted(c for row in low for c in row)
    return number([[c > (middle[31] + middle[32]) / 2 for c in row] for row in low])


@pytest.mark.parametrize("seed", range(3))
def test_the_definitions(seed):
    p = scene(seed, 97, 60)
    assert perceptual_hash(p) == slow_perceptual(p)
    grey = bits(p, 9, 8)
    assert difference_hash(p) == number([[row[i + 1] > row[i] for i in range(8)] for row in grey])
    grey = bits(p, 8, 8)
    assert average_hash(p) == number(grey > grey.mean())


@EACH
def test_many_are_each_alone(one, many):
    pictures = [scene(1), scene(2, 64, 48), scene(3)[..., 0], np.zeros((1, 1, 3), np.uint8)]
    found = many(iter(pictures))
    assert found.dtype == np.uint64
    assert found.tolist() == [int(one(p)) for p in pictures]
    assert many([]).shape == (0,)


@EACH
def test_grey_values_may_be_given(one, many):
    assert one(luminance(scene(5))) == one(scene(5))


@pytest.mark.parametrize("light", [0, 1, 127, 255])
def test_a_picture_that_shows_nothing_has_one_hash(light):
    flat = [np.full((h, w, 3), light, np.uint8) for h, w in ((8, 8), (77, 33), (300, 500))]
    assert len(set(perceptual_hashes(flat).tolist())) == 1
    assert set(difference_hashes(flat).tolist()) == set(average_hashes(flat).tolist()) == {0}
    assert not signatures(flat).any()


@pytest.mark.parametrize("copy", COPIES)
def test_copies_have_nearly_the_same_perceptual_hash(copy):
    made = [COPIES[copy](scene(seed)) for seed in SEEDS]
    far = np.diag(hamming(perceptual_hashes(scene(s) for s in SEEDS), perceptual_hashes(made)))
    assert np.median(far) <= 2
    assert far.max() <= 8


@pytest.mark.parametrize("copy", COPIES)
def test_copies_have_nearly_the_same_signature(copy):
    made = [COPIES[copy](scene(seed)) for seed in SEEDS]
    alike = (signatures(scene(s) for s in SEEDS) * signatures(made)).sum(axis=1)
    assert alike.min() > 0.97


@EACH
def test_other_pictures_have_other_hashes(one, many):
    far = hamming(*[many(scene(s) for s in SEEDS)] * 2)[~np.eye(len(SEEDS), dtype=bool)]
    assert 24 < np.median(far) < 40
    assert far.min() >= 10


def test_other_pictures_have_other_signatures():
    s = signatures(scene(seed) for seed in SEEDS)
    alike = (s @ s.T)[~np.eye(len(SEEDS), dtype=bool)]
    assert np.abs(alike).max() < 0.8
    assert np.median(np.abs(alike)) < 0.3


@given(st.integers(0, 20), st.floats(0.3, 1.0), st.integers(0, 40))
def test_a_signature_knows_nothing_of_brightness_and_contrast(seed, gain, more):
    p = scene(seed, 64, 48)
    other = (p * (gain * 200 / 255) + more).round().astype(np.uint8)
    assert float(signature(p) @ signature(other)) > 0.995
    assert float(signature(p) @ signature(p)) == pytest.approx(1)
    assert float(signature(p) @ signature(255 - p)) == pytest.approx(-1, abs=0.01)


@given(NUMBERS, NUMBERS)
def test_hamming_counts_bits(a, b):
    found = hamming(a, b)
    assert found.dtype == np.uint8
    assert found.tolist() == [[(int(x) ^ int(y)).bit_count() for y in b] for x in a]


@given(NUMBERS, NUMBERS)
def test_hamming_without_numpy_2(a, b):
    with pytest.MonkeyPatch.context() as m:
        m.setattr(hashes, "_bits", hashes._bits_by_table)
        m.setattr(hashes, "_PAIRS", 3)
        slow = hamming(a, b)
    assert (slow == hamming(a, b)).all()
