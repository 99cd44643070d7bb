"""Structural similarity: what it promises of all pictures, and equal to the libraries that it stands for."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scenes import again, lit, scene
from skimage.metrics import structural_similarity

from camtrail.core.errors import MissingDependency, UsageError
from camtrail.vision.ssim import (
    score_tiles,
    ssim_tiles,
    ssim_tiles_batch,
    ssim_windows,
    ssim_windows_batch,
)

BOTH = pytest.mark.parametrize("ssim", [ssim_tiles, ssim_windows])
C1, C2 = 6.5025, 58.5225


@st.composite
def pairs(draw, least=7, most=30):
    """Two pictures of one shape: noise, or nearly flat ones, where sums cancel."""
    shape = draw(st.tuples(st.integers(least, most), st.integers(least, most), st.sampled_from([1, 3, 4])))
    low = draw(st.integers(0, 255))
    values = (
        st.integers(low, draw(st.integers(low, min(255, low + 3))))
        if draw(st.booleans())
        else st.integers(0, 255)
    )
    return tuple(draw(arrays.arrays(np.uint8, shape, elements=values, fill=values)) for _ in "ab")


def one_tile(p, q):
    p, q = p.astype(np.longdouble), q.astype(np.longdouble)
    mp, mq = p.mean(), q.mean()
    covariance = ((p - mp) * (q - mq)).mean()
    return (2 * mp * mq + C1) * (2 * covariance + C2) / ((mp**2 + mq**2 + C1) * (p.var() + q.var() + C2))


def slow_tiles(a, b):
    """The definition, tile by tile."""
    h, w, channels = a.shape
    found = [
        one_tile(a[y : y + 7, x : x + 7, c], b[y : y + 7, x : x + 7, c])
        for y in range(0, h - 6, 7)
        for x in range(0, w - 6, 7)
        for c in range(channels)
    ]
    return float(np.mean(found))


@given(pairs())
def test_tiles_are_what_the_definition_says(pair):
    assert ssim_tiles(*pair) == pytest.approx(slow_tiles(*pair), abs=1e-9)


@given(pairs())
def test_windows_are_those_of_scikit_image(pair):
    expected = structural_similarity(*pair, channel_axis=-1, data_range=255)
    assert ssim_windows(*pair) == pytest.approx(expected, abs=1e-6)


def by_ssim_pil(a, b):
    from SSIM_PIL import compare_ssim

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads pixels in a way that Pillow will drop
        return compare_ssim(Image.fromarray(a), Image.fromarray(b), GPU=False)


@pytest.mark.parametrize("quality", [5, 50, 95])
def test_tiles_are_those_of_ssim_pil(quality):
    a = scene(1, 150, 101)
    for p, q in ((a, again(a, quality)), (a, scene(2, 150, 101)), (a[..., 0], again(a, quality)[..., 0])):
        assert ssim_tiles(p, q) == pytest.approx(by_ssim_pil(p, q), abs=1e-6)


@pytest.mark.parametrize("quality", [5, 50, 95])
def test_windows_of_a_large_picture_are_those_of_scikit_image(quality):
    a = scene(1)  # several bands
    b = again(a, quality)
    expected = structural_similarity(a, b, channel_axis=-1, data_range=255)
    assert ssim_windows(a, b) == pytest.approx(expected, abs=1e-6)
    assert ssim_windows(a[..., 1], b[..., 1]) == pytest.approx(
        structural_similarity(a[..., 1], b[..., 1], data_range=255), abs=1e-6
    )


@pytest.mark.parametrize("least", [0, 128, 253])
def test_nothing_is_lost_where_pictures_are_bright_and_flat(least):
    random = np.random.default_rng(0)
    a, b = (random.integers(least, least + 3, (200, 300, 3), dtype=np.uint8) for _ in "ab")
    assert ssim_tiles(a, b) == pytest.approx(slow_tiles(a, b), abs=1e-10)
    expected = structural_similarity(a, b, channel_axis=-1, data_range=255)
    assert ssim_windows(a, b) == pytest.approx(expected, abs=1e-6)


@BOTH
@given(pair=pairs(most=20))
def test_a_picture_is_like_itself_and_two_are_alike_both_ways(ssim, pair):
    a, b = pair
    assert ssim(a, a) == pytest.approx(1, abs=1e-6)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-6)
    assert -1 <= ssim(a, b) <= 1 + 1e-6


@BOTH
def test_the_worse_a_copy_the_lower(ssim):
    a = scene(3)
    found = [ssim(a, again(a, quality)) for quality in (95, 75, 40, 10)]
    assert found == sorted(found, reverse=True)
    assert ssim(a, scene(4)) < 0.2 < 0.8 < found[0]


@pytest.mark.parametrize(
    ("one", "many"), [(ssim_tiles, ssim_tiles_batch), (ssim_windows, ssim_windows_batch)]
)
def test_many_pairs_are_scored_as_each_alone(one, many):
    a = np.stack([scene(i, 90, 70) for i in range(4)])
    b = np.stack([again(p, 30) for p in a])
    assert many(a, b).tolist() == [one(p, q) for p, q in zip(a, b)]
    assert many(a[..., 0], b[..., 0]).tolist() == [one(p, q) for p, q in zip(a[..., 0], b[..., 0])]
    assert many(a[:0], b[:0]).shape == (0,)


def test_what_is_left_over_at_right_and_below_counts_nothing():
    a = scene(1, 70, 70)
    b = again(a, 20)
    wider = [np.pad(p, ((0, 6), (0, 6), (0, 0)), constant_values=v) for p, v in ((a, 0), (b, 255))]
    assert ssim_tiles(*wider) == ssim_tiles(a, b)


def test_pictures_that_are_cut_out_of_larger_ones_are_no_different():
    a, b = scene(1), again(scene(1), 20)
    for ssim in (ssim_tiles, ssim_windows):
        inside = ssim(a[5:105, 9:209], b[5:105, 9:209])
        assert inside == ssim(a[5:105, 9:209].copy(), b[5:105, 9:209].copy())


@BOTH
@pytest.mark.parametrize(
    ("shapes", "kind"),
    [(((9, 9, 3), (9, 8, 3)), np.uint8), (((6, 9, 3),) * 2, np.uint8), (((9,),) * 2, np.uint8)],
)
def test_what_cannot_be_compared(ssim, shapes, kind):
    with pytest.raises(ValueError):
        ssim(*(np.zeros(s, kind) for s in shapes))


@BOTH
def test_pixels_are_bytes(ssim):
    with pytest.raises(TypeError):
        ssim(np.zeros((9, 9, 3)), np.zeros((9, 9, 3)))


class TestTilesThatShowSomething:
    def insect(self, seed):
        paper = np.full((210, 280, 3), 240, np.uint8)
        paper[70:140, 70:140] = scene(seed, 70, 70)
        return paper

    def test_two_insects_on_white_paper_are_told_apart(self):
        score = score_tiles(self.insect(1), self.insect(2))
        assert score.ssim > 0.9
        assert score.detail < 0.3
        assert score.share == pytest.approx(1 / 12, abs=0.01)

    def test_a_copy_is_one_there_too(self):
        score = score_tiles(self.insect(1), again(self.insect(1), 92))
        assert score.ssim > 0.95
        assert score.detail > 0.85

    def test_pictures_that_show_nothing_have_no_detail(self):
        grey = np.full((70, 70, 3), 99, np.uint8)
        score = score_tiles(grey, grey)
        assert score.ssim == pytest.approx(1)
        assert np.isnan(score.detail)
        assert score.share == 0

    @given(pairs())
    def test_the_mean_is_that_of_all_tiles(self, pair):
        assert score_tiles(*pair).ssim == ssim_tiles(*pair)
        assert 0 <= score_tiles(*pair).share <= 1


class TestDevices:
    def test_without_pytorch_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)
        a = scene(1, 70, 70)
        with pytest.raises(MissingDependency) as caught:
            ssim_tiles(a, a, device="cuda")
        assert "camtrail[gpu]" in caught.value.hint

    def test_without_a_gpu_it_is_said(self):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        a = scene(1, 70, 70)
        with pytest.raises(MissingDependency):
            ssim_tiles(a, a, device="cuda")

    def test_a_device_that_nobody_knows(self):
        pytest.importorskip("torch", reason="PyTorch is not installed")
        a = scene(1, 70, 70)
        with pytest.raises(UsageError):
            ssim_tiles(a, a, device="abacus")

    @pytest.mark.parametrize("chunk", [1, 1 << 24])
    @pytest.mark.parametrize("device", ["cpu:0", "cuda"])
    def test_pytorch_answers_the_same(self, device, chunk, monkeypatch):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        if device == "cuda" and not torch.cuda.is_available():
            pytest.skip("there is no GPU")
        monkeypatch.setattr("camtrail.vision.ssim._CHUNK", chunk)
        a = np.stack(
            [scene(1, 150, 101), lit(scene(2, 150, 101), 1.6), np.full((101, 150, 3), 254, np.uint8)]
        )
        b = np.stack([again(a[0], 10), scene(3, 150, 101), np.full((101, 150, 3), 255, np.uint8)])
        for many in (ssim_tiles_batch, ssim_windows_batch):
            assert many(a, b, device=device) == pytest.approx(many(a, b), abs=1e-6)
            assert many(a[..., 0], b[..., 0], device=device) == pytest.approx(
                many(a[..., 0], b[..., 0]), abs=1e-6
            )
        for p, q in zip(a, b):
            assert score_tiles(p, q, device=device) == pytest.approx(score_tiles(p, q), abs=1e-6, nan_ok=True)
