"""Corners tell which pictures a closer look is worth."""

from __future__ import annotations

import numpy as np
import pytest

from camtrail.vision.decode import resized
from camtrail.vision.sketch import LEAST_AGREEING, agreeing, sketch
from inaturalist_hard import cropped, lit, scene

PICTURE = scene(1, 400, 300)


@pytest.mark.parametrize(
    "copy",
    [
        np.ascontiguousarray(np.rot90(PICTURE)),
        lit(PICTURE, 0.7, 30),
        resized(PICTURE, 320, 240),
        cropped(PICTURE, 0.5, np.random.default_rng(1)),
    ],
    ids=["turned", "lit", "small", "crop"],
)
def test_corners_of_copies_agree(copy):
    assert agreeing(sketch(PICTURE), sketch(copy)) >= LEAST_AGREEING


def test_corners_of_others_seldom_do():
    ours = sketch(PICTURE)
    found = [agreeing(ours, sketch(scene(seed, 400, 300))) for seed in range(2, 22)]
    assert sum(n >= LEAST_AGREEING for n in found) <= 4 and max(found) < 2 * LEAST_AGREEING


def test_a_plain_picture_has_none():
    plain = sketch(np.full((300, 400, 3), 128, np.uint8))
    assert len(plain.at) == 0 and agreeing(plain, sketch(PICTURE)) == 0
