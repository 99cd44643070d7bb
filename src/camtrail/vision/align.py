"""Whether two pictures are one: as wholes, with the light changed, turned, or one a part of the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from camtrail.core.model import Floats
from camtrail.vision.decode import Pixels, luminance, resized
from camtrail.vision.hashes import signature
from camtrail.vision.ssim import SIDE_PX, TileScore, score_tiles

__all__ = ["How", "Placed", "Similarity", "Window", "compare", "fitted_tone", "locate"]

How: TypeAlias = Literal["whole", "crop", "rotated"]

_ENOUGH = 0.95  # nothing that a closer look could find is better
_LEAST_SSIM, _LEAST_DETAIL = 0.6, 0.5  # of a closer look; other pictures reach 0.46 and 0.4
_BETTER = 0.02  # a crop must be better than the whole by
_LEAST_TURN = 0.8  # correlation of the small pictures
_SMALL_PX = 64
_WHOLE = 0.98  # share of the larger picture from which on a part is the whole
_STRAIGHT_DEG = 2.0

_CORNERS = 1500
_EDGE_PX = 8  # a crop has most of its features near its edges
_RATIO = 0.8  # of the distances to the nearest and the second nearest (Lowe 2004)
_NEAR_PX = 2.0
_LEAST_PAIRS, _MANY_PAIRS = 8, 25
_LEAST_SIDE_PX = 32
_LEAST_SCALE, _MOST_SCALE = 0.05, 20.0
_OVER = 0.03  # share of its side by which a part may reach out of the other picture
_ECC_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


class Window(NamedTuple):
    """A rectangle of a picture, in its pixels."""

    left_px: float
    top_px: float
    width_px: float
    height_px: float


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one of two pictures lies in the other."""

    part: Literal["a", "b"]  # the one that lies in the other
    window: Window  # that it covers there; of a turned one the rectangle around it
    angle_deg: float  # by which it is turned there, clockwise, -180 to 180
    score: TileScore  # of the part and of what the window shows, at the coarser scale of both
    pair: tuple[Pixels, Pixels]  # what was scored: the part, and the window turned and scaled as it


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike two pictures are, at their best."""

    ssim: float  # mean of tiles, 1 for equal ones; of what `how` says
    how: How
    window: Window | None = None  # in the larger picture; None for the whole and for quarter turns
    part: Literal["a", "b"] | None = None  # which of both the window shows
    is_toned: bool = False  # the light of one was fitted to the other's before
    detail: float = math.nan  # SSIM of the tiles that show something; NaN where hardly any does
    plain_ssim: float = math.nan  # of the pictures as wholes and as they are


def compare(a: Pixels, b: Pixels, *, closely: bool = True, device: str = "cpu") -> Similarity:
    """How alike two pictures are: as wholes, and where that is not much, in every way that copies differ.

    Parameters
    ----------
    a, b : (h, w, 3) or (h, w), of any sizes; both the same kind
    closely : look for changed light, quarter turns and crops where the wholes are less alike than 0.95
    device : for the comparison of the wholes, as `ssim_tiles` takes it; a GPU gains nothing for single pairs

    Returns
    -------
    The best of all looks. A closer look counts only where the tiles that show something are alike (`detail` of
    0.5 or more), so that two nearly empty pictures do not become one.

    Raises
    ------
    MissingDependency
        The device is not there.

    Notes
    -----
    Of different sizes the one with more pixels is made as large as the other, whatever its shape. 3 ms for two
    pictures of 1024 x 768; a closer look that finds nothing takes some 150 ms.
    """
    p, q = _of_one_size(a, b)
    score = score_tiles(p, q, device=device)
    whole = Similarity(score.ssim, "whole", detail=score.detail, plain_ssim=score.ssim)
    if not closely or whole.ssim >= _ENOUGH:
        return whole
    best = _better(whole, _toned(replace(whole, is_toned=True), p, q), 0.0)
    if best.ssim < _ENOUGH and (turned := _turned(a, b)):
        best = _better(best, turned, _BETTER)
    if best.ssim < _ENOUGH and (placed := locate(a, b)):
        found = Similarity(placed.score.ssim, *_how(placed, a, b), detail=placed.score.detail)
        best = _better(best, found, _BETTER)
        best = _better(best, _toned(replace(found, is_toned=True), *placed.pair), _BETTER)
    return replace(best, plain_ssim=whole.ssim)


def _better(old: Similarity, new: Similarity, by: float) -> Similarity:
    is_sure = new.ssim >= _LEAST_SSIM and new.detail >= _LEAST_DETAIL
    return new if is_sure and new.ssim > old.ssim + by else old


def _of_one_size(a: Pixels, b: Pixels) -> tuple[Pixels, Pixels]:
    """Both at the size of the one with fewer pixels, and at least as large as a tile."""
    (h, w) = min((p.shape[0] * p.shape[1], p.shape[:2]) for p in (a, b))[1]
    width, height = max(w, SIDE_PX), max(h, SIDE_PX)
    return resized(a, width, height), resized(b, width, height)


def fitted_tone(pixels: Pixels, like: Pixels) -> Pixels:
    """The picture with the distribution of light of another one, channel by channel.

    It undoes whatever changed each value to another in the same way everywhere: brightness, contrast, gamma,
    white balance. Different pictures become hardly more alike by it.

    Parameters
    ----------
    pixels, like : (h, w, c) or (h, w), of any sizes

    Notes
    -----
    Histogram matching: each value becomes the one with the same share of values below.
    """
    out = np.empty_like(pixels)
    flat_out, flat, flat_like = (p[..., None] if p.ndim == 2 else p for p in (out, pixels, like))
    for channel in range(flat.shape[2]):
        ours, theirs = (_shares(p[..., channel]) for p in (flat, flat_like))
        table = np.rint(np.interp(ours, theirs, np.arange(256))).astype(np.uint8)
        flat_out[..., channel] = table[flat[..., channel]]
    return out


def _shares(values: Pixels) -> Floats:
    """(256,) which share of the values lies below each, half of its own counted."""
    counts = np.bincount(values.ravel(), minlength=256)
    return np.asarray((np.cumsum(counts) - counts / 2) / max(1, values.size))


def _toned(base: Similarity, a: Pixels, b: Pixels) -> Similarity:
    """The similarity after the duller picture was given the light of the other."""
    if _is_grey(a) != _is_grey(b):
        a, b = luminance(a), luminance(b)
    if a.std() < b.std():
        a, b = b, a
    score = score_tiles(a, fitted_tone(b, a))
    return replace(base, ssim=score.ssim, detail=score.detail)


def _is_grey(pixels: Pixels) -> bool:
    if pixels.ndim == 2:
        return True
    red, green, blue = (pixels[::4, ::4, c] for c in range(3))
    return bool((red == green).all() and (green == blue).all())


def _turned(a: Pixels, b: Pixels) -> Similarity | None:
    """The similarity after the quarter turns that bring `b` nearest to `a`; None where none does."""
    small_a, small_b = (_within(p, _SMALL_PX) for p in (a, b))
    light = signature(small_a)
    alike = [float(light @ signature(np.rot90(small_b, turns))) for turns in (1, 2, 3)]
    if max(alike) < _LEAST_TURN:
        return None
    turns = 1 + alike.index(max(alike))
    p, q = _of_one_size(a, np.ascontiguousarray(np.rot90(b, turns)))
    score = score_tiles(p, q)
    plain = Similarity(score.ssim, "rotated", detail=score.detail)
    return _better(plain, _toned(replace(plain, is_toned=True), p, q), _BETTER)


def _within(pixels: Pixels, most_px: int) -> Pixels:
    h, w = pixels.shape[:2]
    scale = min(1.0, most_px / max(h, w))
    return resized(pixels, max(1, round(w * scale)), max(1, round(h * scale)))


def _how(placed: Placed, a: Pixels, b: Pixels) -> tuple[How, Window | None, Literal["a", "b"] | None]:
    outer = b if placed.part == "a" else a
    share = placed.window.width_px * placed.window.height_px / (outer.shape[0] * outer.shape[1])
    if abs(placed.angle_deg) > _STRAIGHT_DEG:
        return "rotated", placed.window, placed.part
    return ("whole", None, None) if share >= _WHOLE else ("crop", placed.window, placed.part)


def locate(a: Pixels, b: Pixels) -> Placed | None:
    """Where one of two pictures lies in the other, scaled and turned by any angle; None where it does not.

    Parameters
    ----------
    a, b : (h, w, 3) or (h, w), both the same kind; best at 500 to 1024 px

    Returns
    -------
    The same for the same pixels. A crop of a twentieth of a photo is found in three cases of five, one of a tenth
    in four of five, one of a quarter nearly always; pictures of sky or water alone never are.

    Notes
    -----
    ORB features (Rublee et al. 2011) at two scales, pairs by the ratio of distances, a similarity transform by
    RANSAC with OpenCV's fixed seed, made exact by the enhanced correlation coefficient (Evangelidis and
    Psarakis 2008), which does not see brightness and contrast.
    """
    if min(*a.shape[:2], *b.shape[:2]) < _LEAST_SIDE_PX:
        return None
    found = _transform(luminance(a), luminance(b))
    if found is None:
        return None
    back = np.asarray(cv2.invertAffineTransform(found), np.float64)
    both = (_placed(a, b, found, "a"), _placed(b, a, back, "b"))
    return max((p for p in both if p), key=lambda p: p.score.ssim, default=None)


_Features: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]


def _transform(a: Pixels, b: Pixels) -> Floats | None:
    """(2, 3) from pixels of `a` to pixels of `b`; None where too few features agree."""
    best: Floats | None = None
    most = _LEAST_PAIRS - 1
    known: dict[tuple[bool, float], _Features | None] = {}
    # A crop that was stored larger than the whole is blurred at that scale, or has detail that the whole has not.
    for scale_a, scale_b in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5)):
        for which, grey, scale in ((True, a, scale_a), (False, b, scale_b)):
            if (which, scale) not in known:
                known[which, scale] = _features(grey, scale)
        ours, theirs = known[True, scale_a], known[False, scale_b]
        if ours is None or theirs is None:
            continue
        for is_forward in (True, False):
            i, j = _pairs(ours[1], theirs[1]) if is_forward else _pairs(theirs[1], ours[1])[::-1]
            found, agree = _similarity(ours[0][i], theirs[0][j])
            if found is not None and agree > most:
                best, most = found, agree
            if most >= _MANY_PAIRS:
                return best
    return best


def _features(grey: Pixels, scale: float) -> _Features | None:
    """Places in pixels of the unscaled picture, and what they look like."""
    h, w = grey.shape
    if scale != 1.0:
        grey = resized(grey, max(1, round(w * scale)), max(1, round(h * scale)))
    if min(grey.shape) < _LEAST_SIDE_PX:
        return None
    finder = cv2.ORB.create(_CORNERS, edgeThreshold=_EDGE_PX, fastThreshold=7)
    places, looks = finder.detectAndCompute(grey, None)
    if looks is None or len(places) < _LEAST_PAIRS:
        return None
    at = np.array([place.pt for place in places], np.float32)
    ratio = np.array([w / grey.shape[1], h / grey.shape[0]], np.float32)
    return (at + np.float32(0.5)) * ratio - np.float32(0.5), np.asarray(looks, np.uint8)


def _pairs(
    ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows of both that look alike, and like nothing else."""
    distance, nearest = cv2.batchDistance(ours, theirs, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=2)
    clear = np.flatnonzero(distance[:, 0] < _RATIO * distance[:, 1])
    return clear, np.asarray(nearest[clear, 0], np.intp)


def _similarity(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> tuple[Floats | None, int]:
    """The transform that most pairs agree with, and how many do."""
    if len(ours) < _LEAST_PAIRS:
        return None, 0
    found, agree = cv2.estimateAffinePartial2D(
        ours, theirs, method=cv2.RANSAC, ransacReprojThreshold=_NEAR_PX, maxIters=2000, confidence=0.999
    )
    if found is None or not _LEAST_SCALE < math.hypot(found[0, 0], found[1, 0]) < _MOST_SCALE:
        return None, 0
    return np.asarray(found, np.float64), int(agree.sum())


def _placed(part: Pixels, whole: Pixels, to_whole: Floats, name: Literal["a", "b"]) -> Placed | None:
    """Scores what lies in the whole where the part is said to be; None where that is outside of it, or too small."""
    if not _is_inside(_corners(part, to_whole), whole):
        return None
    scale = math.hypot(to_whole[0, 0], to_whole[1, 0])
    small = _scaled(part, min(1.0, scale))
    coarse = _scaled(whole, min(1.0, 1.0 / scale))
    if min(small.shape[:2]) < _LEAST_SIDE_PX:
        return None
    before, after = _between(small, part), _between(whole, coarse)
    seen, to_coarse = _exact(small, coarse, (after @ _square(to_whole) @ before)[:2])
    to_whole = (np.linalg.inv(after) @ _square(to_coarse) @ np.linalg.inv(before))[:2]
    corners = _corners(part, to_whole).clip(0, (whole.shape[1], whole.shape[0]))
    least, most = corners.min(axis=0), corners.max(axis=0)
    window = Window(*(float(v) for v in (*least, *(most - least))))
    angle = math.degrees(math.atan2(to_whole[1, 0], to_whole[0, 0]))
    return Placed(name, window, angle, score_tiles(small, seen), (small, seen))


def _corners(part: Pixels, to_whole: Floats) -> Floats:
    """(4, 2) where the corners of the part lie, from the whole's upper left corner."""
    h, w = part.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) - 0.5
    return np.asarray(corners @ to_whole[:, :2].T + to_whole[:, 2] + 0.5)


def _is_inside(corners: Floats, whole: Pixels) -> bool:
    least, most = corners.min(axis=0), corners.max(axis=0)
    slack = _OVER * (most - least)
    return bool(
        (least >= -slack).all() and (most <= np.array([whole.shape[1], whole.shape[0]]) + slack).all()
    )


def _square(transform: Floats) -> Floats:
    return np.vstack([transform, [0, 0, 1]])


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    h, w = pixels.shape[:2]
    return resized(pixels, max(1, round(w * scale)), max(1, round(h * scale)))


def _between(old: Pixels, new: Pixels) -> Floats:
    """(3, 3) from the pixels of a picture to those of the same one at another size; pixels count from their middle."""
    y, x = new.shape[0] / old.shape[0], new.shape[1] / old.shape[1]
    return np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])


def _exact(part: Pixels, whole: Pixels, to_whole: Floats) -> tuple[Pixels, Floats]:
    """What of the whole lies under the part, and the transform, right to a fraction of a pixel."""
    seen = _warped(whole, to_whole, part.shape)
    try:
        _, move = cv2.findTransformECC(
            luminance(part), luminance(seen), np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, _ECC_STOP
        )
    except cv2.error:  # it finds no way that makes them more alike
        return seen, to_whole
    exact = to_whole @ _square(np.asarray(move, np.float64))
    moved = _warped(whole, exact, part.shape)
    both = ((seen, to_whole), (moved, exact))
    return max(both, key=lambda found: score_tiles(part, found[0]).ssim)


def _warped(whole: Pixels, to_whole: Floats, shape: tuple[int, ...]) -> Pixels:
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(whole, to_whole, (shape[1], shape[0]), flags=how, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen, np.uint8)
