"""The closer look: crops, turned and changed copies are found, and other pictures are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from scenes import REAL_DATA, again, fit, image, lit, scene

from camtrail.core.bytes import FileBytes
from camtrail.vision.align import Similarity, Window, compare, fitted_tone, locate
from camtrail.vision.decode import decode, resized
from camtrail.vision.ssim import ssim_tiles

LARGE = scene(1, 1600, 1200)
WHOLE = fit(LARGE, 1024)
OTHER = scene(2, 1024, 768)
RATIO = 1024 / 1600


def near(window, left, top, width, height, by=3.0):
    return np.abs(np.array(window) - np.array((left, top, width, height))).max() < by


def box(left, top, width, height):
    """A part of the large picture, and its window in the one of 1024 px."""
    return LARGE[top : top + height, left : left + width], tuple(
        v * RATIO for v in (left, top, width, height)
    )


class TestCrops:
    @settings(max_examples=25)
    @given(
        st.data(),
        st.integers(0, 30),
        st.floats(0.4, 0.95),
        st.floats(0.4, 0.95),
        st.sampled_from([240, 500, 900]),
    )
    def test_a_crop_of_any_shape_is_found_where_it_was_cut(self, data, seed, across, down, most):
        large = scene(seed, 1600, 1200)
        width, height = round(1600 * across), round(1200 * down)
        left, top = data.draw(st.integers(0, 1600 - width)), data.draw(st.integers(0, 1200 - height))
        part = again(fit(large[top : top + height, left : left + width], most), 85)
        found = locate(part, fit(large, 1024))
        assert found is not None
        assert found.part == "a"
        assert near(found.window, *(v * RATIO for v in (left, top, width, height)))
        assert abs(found.angle_deg) < 1
        assert found.score.ssim > 0.85

    @pytest.mark.parametrize("most", [240, 748, 1024])
    def test_a_small_crop_that_was_stored_large(self, most):
        part, window = box(500, 400, 400, 280)
        found = locate(again(fit(part, most), 90), WHOLE)
        assert found is not None
        assert near(found.window, *window)
        assert found.score.ssim > 0.85

    def test_which_of_both_is_the_part_is_said(self):
        part, window = box(300, 200, 800, 500)
        for a, b, name in ((part, WHOLE, "a"), (WHOLE, part, "b")):
            found = locate(a, b)
            assert found is not None
            assert found.part == name
            assert near(found.window, *window)

    def test_grey_pictures(self):
        part, window = box(300, 200, 800, 500)
        found = locate(part[..., 1], WHOLE[..., 1])
        assert found is not None
        assert near(found.window, *window)
        assert found.score.ssim > 0.85

    def test_the_same_answer_each_time(self):
        part, _ = box(300, 200, 800, 500)
        one, two = locate(again(part, 60), WHOLE), locate(again(part, 60), WHOLE)
        assert one is not None
        assert two is not None
        assert (one.window, one.angle_deg, one.score) == (two.window, two.angle_deg, two.score)

    def test_a_part_of_two_that_overlap_is_no_crop(self):
        assert compare(box(0, 0, 900, 900)[0], box(500, 200, 900, 900)[0]).how == "whole"

    def test_a_white_border_around_a_copy(self):
        framed = np.pad(WHOLE, ((60, 60), (60, 60), (0, 0)), constant_values=255)
        found = locate(framed, WHOLE)
        assert found is not None
        assert found.part == "b"
        assert near(found.window, 60, 60, 1024, 768)

    def test_what_was_compared_is_given(self):
        found = locate(box(300, 200, 800, 500)[0], WHOLE)
        assert found is not None
        assert ssim_tiles(*found.pair) == found.score.ssim


class TestTurns:
    @settings(max_examples=15)
    @given(st.integers(0, 20), st.floats(-180, 180), st.floats(0.5, 1.0))
    def test_a_turned_copy_is_found(self, seed, angle, scale):
        whole = scene(seed, 1024, 768)
        w, h = 420, 300
        turn = cv2.getRotationMatrix2D((512, 384), angle, scale)
        turn[:, 2] += (w / 2 - 512, h / 2 - 384)
        part = cv2.warpAffine(whole, turn, (w, h), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
        reach = np.hypot(w, h) / 2 / scale
        assume(reach < 380)
        found = locate(part, whole)
        assert found is not None
        assert (
            abs((found.angle_deg - angle + 180) % 360 - 180) < 1
        )  # OpenCV's angles go the other way, and back
        assert found.score.ssim > 0.85

    @pytest.mark.parametrize("turns", [1, 2, 3])
    def test_quarter_turns(self, turns):
        found = compare(WHOLE, again(np.ascontiguousarray(np.rot90(WHOLE, turns)), 90))
        assert found.how == "rotated"
        assert found.ssim > 0.95
        assert found.plain_ssim < 0.4

    @pytest.mark.parametrize("turns", [1, 2, 3])
    def test_quarter_turns_of_what_has_no_corners(self, turns):
        soft = resized(resized(scene(3, 400, 300), 40, 30), 400, 300)
        found = compare(soft, np.ascontiguousarray(np.rot90(soft, turns)))
        assert found.how == "rotated"
        assert found.ssim > 0.95


class TestOthers:
    @settings(max_examples=20)
    @given(st.integers(0, 40), st.integers(41, 80), st.sampled_from([240, 640]), st.floats(0.5, 2))
    def test_other_pictures_stay_others(self, seed, other, width, softness):
        a, b = scene(seed, width, width * 3 // 4, softness), scene(other, 640, 480, softness)
        found = compare(a, b)
        assert found.ssim < 0.6
        assert (found.how, found.is_toned, found.window) == ("whole", False, None)

    def test_two_shots_of_one_scene_are_not_one(self):
        # The camera moved: what is near moved more than what is far.
        near_things = scene(9, 640, 480)
        mask = cv2.GaussianBlur(scene(11, 640, 480)[..., 1], (0, 0), 9)[..., None] > 120
        one = np.where(mask, near_things, scene(10, 640, 480))
        two = np.where(np.roll(mask, 14, 1), np.roll(near_things, 14, 1), np.roll(scene(10, 640, 480), 3, 1))
        assert compare(one, two).ssim < 0.8

    def test_two_empty_pictures_are_not_made_alike(self):
        sky, wall = (
            np.clip(np.linspace(low, high, 480)[:, None, None] + random.normal(0, 1, (480, 640, 3)), 0, 255)
            for low, high, random in (
                (200, 250, np.random.default_rng(1)),
                (30, 50, np.random.default_rng(2)),
            )
        )
        found = compare(sky.astype(np.uint8), wall.astype(np.uint8))
        assert not found.is_toned
        assert found.ssim == found.plain_ssim < 0.8

    @pytest.mark.parametrize(
        "sizes", [((1, 1), (1, 1)), ((1, 300), (200, 5)), ((6, 6), (480, 640)), ((31, 31), (31, 31))]
    )
    def test_tiny_pictures(self, sizes):
        a, b = (scene(i, 640, 480)[:h, :w] for i, (h, w) in enumerate(sizes))
        assert -1 <= compare(a, b).ssim <= 1
        assert compare(a, a).ssim == pytest.approx(1)
        assert locate(a, b) is None

    def test_nothing_is_in_nothing(self):
        flat = np.full((300, 400, 3), 128, np.uint8)
        assert locate(flat, WHOLE) is None
        assert locate(flat, flat) is None
        assert compare(flat, flat).ssim == 1


class TestCompare:
    @given(st.integers(0, 40), st.integers(0, 40), st.integers(9, 200), st.integers(9, 200))
    def test_both_ways_and_itself(self, seed, other, width, height):
        a, b = scene(seed, 160, 120), resized(scene(other, 160, 120), width, height)
        there, back = compare(a, b, closely=False), compare(b, a, closely=False)
        assert there == back
        assert there.ssim <= 1 + 1e-9
        assert compare(a, a) == compare(a, a, closely=False) == Similarity(1, "whole", detail=1, plain_ssim=1)

    def test_the_larger_is_made_as_large_as_the_smaller(self):
        assert compare(WHOLE, fit(OTHER, 240), closely=False).ssim == ssim_tiles(
            resized(WHOLE, 240, 180), fit(OTHER, 240)
        )

    @pytest.mark.parametrize("most", [240, 500, 1024])
    @pytest.mark.parametrize("quality", [85, 90])
    def test_resized_and_recompressed_copies_are_wholes(self, most, quality):
        found = compare(WHOLE, again(fit(LARGE, most), quality))
        assert found.how == "whole"
        assert found.ssim > 0.92
        assert found.detail > 0.9

    @pytest.mark.parametrize(
        "light", [{"gain": 0.8}, {"gain": 1.2}, {"gamma": 0.7}, {"gamma": 1.4}, {"gain": 0.5}]
    )
    def test_copies_in_another_light(self, light):
        copy = again(lit(WHOLE, **light), 90)
        found = compare(WHOLE, copy)
        assert found.how == "whole"
        assert found.is_toned or found.plain_ssim >= 0.95
        assert found.ssim > 0.92
        assert found.plain_ssim == compare(WHOLE, copy, closely=False).ssim

    def test_a_copy_without_colour(self):
        found = compare(WHOLE, np.asarray(image(WHOLE).convert("L").convert("RGB")))
        assert found.ssim > 0.97

    def test_a_crop_in_another_light(self):
        part, window = box(300, 200, 800, 500)
        found = compare(again(lit(part, gamma=0.6), 90), WHOLE)
        assert (found.how, found.is_toned, found.part) == ("crop", True, "a")
        assert found.ssim > 0.9
        assert near(found.window, *window)
        assert isinstance(found.window, Window)

    def test_a_trimmed_edge_is_still_the_whole(self):
        found = compare(WHOLE[3:-2, 1:-4], WHOLE)
        assert (found.how, found.window, found.part) == ("whole", None, None)
        assert found.ssim > 0.95 > found.plain_ssim

    def test_without_a_closer_look_wholes_are_compared_and_nothing_else(self):
        part, _ = box(300, 200, 800, 500)
        found = compare(part, WHOLE, closely=False)
        assert (found.how, found.is_toned) == ("whole", False)
        assert found.ssim == found.plain_ssim < 0.5


@given(st.integers(0, 20), st.floats(0.4, 1.5), st.floats(0.5, 2))
def test_fitted_tone_takes_a_change_of_light_back(seed, gain, gamma):
    p = scene(seed, 160, 120)
    changed = lit(p, gain, gamma)
    assume((changed == 255).mean() < 0.02)
    assert ssim_tiles(fitted_tone(changed, p), p) > 0.95
    assert (fitted_tone(p, p) == p).all()


def test_fitted_tone_of_what_is_flat():
    flat = np.full((20, 30), 9, np.uint8)
    assert fitted_tone(flat, flat + 200).tolist() == (flat + 200).tolist()


PHOTOS = ["dcsf0118", "dcsf0119", "dcsf0123", "dcsf0124"]


def photo(name, most=1024):
    with FileBytes(str(REAL_DATA / "photos" / "nature" / f"{name}.jpg")) as source:
        return decode(source, most).pixels


def online(name, most):
    """As a service would show the photo: shrunk twice, and stored twice."""
    path = REAL_DATA / "photos" / "nature" / f"{name}.jpg"
    first = again(fit(np.asarray(Image.open(path).convert("RGB")), 2048), 95)
    return again(fit(first, most), 90)


@pytest.mark.data
@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(("most", "least"), [(240, 0.92), (500, 0.94), (1024, 0.96)])
def test_real_photos_and_what_a_service_shows_of_them(name, most, least):
    found = compare(photo(name, most), online(name, most))
    assert found.how == "whole"
    assert found.ssim > least


@pytest.mark.data
@pytest.mark.parametrize("most", [240, 500, 748])
def test_a_real_crop(most):
    found = compare(photo("dcsf0119"), photo("dcsf0119_crop", most))
    assert (found.how, found.part) == ("crop", "b")
    assert found.ssim > 0.95
    assert near(found.window, 457, 355, 190, 133, by=5)


@pytest.mark.data
def test_different_real_photos_are_different():
    pictures = [photo(name) for name in [*PHOTOS, "dcsf0119_crop"]]
    for i, a in enumerate(pictures):
        for j, b in enumerate(pictures[:i]):
            if (i, j) != (4, 1):
                assert compare(a, b).ssim < 0.3
