"""The closer look at two pictures whose hashes are near: one picture saved again, or two of one scene."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from camtrail.vision.align import fitted_tone
from camtrail.vision.decode import Pixels, luminance, resized
from camtrail.vision.ssim import SIDE_PX, score_tiles

__all__ = ["DIFFERENT", "LOOKED_PX", "PLAIN_LEVELS", "PLAIN_STRETCHED", "Look", "is_copy", "look", "stretch"]

LOOKED_PX = 192
"""Longer side of the pixels that are looked at; of larger ones no more is seen."""

PLAIN_LEVELS = 6.0
"""By which the mean colours of two copies of a plain picture may differ; compression and gamma move black by 3."""

PLAIN_STRETCHED = 1.02
"""How many times as wide one of them may be as the other: they show nothing else that could tell them apart."""

_FINE_PX = 128  # side at which the two are compared
_MOST_STRETCHED = 1.04  # what rounding may do to the shape of a small copy
_BLUR_PX = 5  # parts that are compared: what compression did to single pixels is gone
_LEAST_SHARE = 0.03  # of tiles that show something; of fewer nothing can be said after the light was fitted
_LEAST_SSIM, _MOST_WORST = 0.87, 12.0  # copies reach 0.99 and 5.3; frames moved by 1 % 0.84 and 14
_MOST_TONE = 64.0  # mean change of a colour; gamma 0.5 makes 60. Beyond it the fit makes anything of anything
_CONTRAST, _NOISE = 50.0, 5.0  # deviations of a usual picture, and of what compression adds
_MOST_UNEVEN = 4.0  # levels by which parts of a plain picture may differ from its mean colour
_SMOOTH_WORST, _SMOOTH_TONE, _LEAST_RANGE = 2.0, 24.0, 4.0


class Look(NamedTuple):
    """How two pictures differ after the light of one was fitted to the other's."""

    ssim: float  # mean of tiles, 1 for equal ones
    worst: float  # what their parts differ by at most, levels of grey; more where there is little contrast


DIFFERENT = Look(0.0, 255.0)
"""What is said of two pictures that need no measure."""


def look(a: Pixels, b: Pixels) -> Look:
    """How alike two pictures are as wholes, and where they are least.

    Frames of a burst are alike nearly everywhere and differ where something moved; copies of one picture differ a
    little everywhere. Of smooth pictures, which show no detail that could prove anything, the light is no more
    fitted than a change of tone would need. Two plain ones, of one colour all over, are compared by that colour and
    their shape.

    Parameters
    ----------
    a, b : (h, w, 3), best `LOOKED_PX` on the longer side

    Notes
    -----
    At 128 pixels a side: SSIM of tiles (`score_tiles`) of the colours, and the largest difference of the greys under
    a square of 5 pixels. 3 ms.
    """
    if (stretched := stretch(a.shape[:2], b.shape[:2])) > _MOST_STRETCHED:
        return DIFFERENT
    h, w = a.shape[:2]
    scale = _FINE_PX / max(h, w)
    width, height = max(SIDE_PX, round(w * scale)), max(SIDE_PX, round(h * scale))
    p, q = resized(a, width, height), resized(b, width, height)
    if luminance(p).std() < luminance(q).std():
        p, q = q, p
    if luminance(p).std() <= _MOST_UNEVEN and _is_plain(p) and _is_plain(q):
        return _plain_look(p, q) if stretched <= PLAIN_STRETCHED else DIFFERENT
    fitted = fitted_tone(q, p)
    score = score_tiles(p, fitted)
    contrast = min(1.0, (luminance(p).std() + _NOISE) / _CONTRAST)
    worst = float(_worst(p, fitted) / contrast)
    change = max(float(np.abs(p[..., c].astype(np.int16) - q[..., c]).mean()) for c in range(3))
    if score.share >= _LEAST_SHARE:
        return Look(min(score.ssim, score.detail), worst) if change <= _MOST_TONE else DIFFERENT
    is_near = worst <= _SMOOTH_WORST and change <= _SMOOTH_TONE and luminance(p).std() >= _LEAST_RANGE
    return Look(score.ssim, worst) if is_near else DIFFERENT


def is_copy(found: Look, *, leeway: float = 1.0) -> bool:
    """Whether a look shows two copies of one picture.

    Parameters
    ----------
    leeway : how many times as different as two neighbouring copies they may be; less than 1 is stricter
    """
    return 1 - found.ssim <= (1 - _LEAST_SSIM) * leeway and found.worst <= _MOST_WORST * leeway


def _is_plain(pixels: Pixels) -> bool:
    """Whether a picture is one colour: no part has another, and no tile shows anything."""
    parts = cv2.blur(pixels, (_BLUR_PX, _BLUR_PX)).astype(np.float32)
    uneven = np.abs(parts - pixels.mean(axis=(0, 1))).max()
    return bool(uneven <= _MOST_UNEVEN) and score_tiles(pixels, pixels).share == 0


def _plain_look(a: Pixels, b: Pixels) -> Look:
    differ = float(np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))).max())
    return Look(1 - differ / 255, differ) if differ <= PLAIN_LEVELS else DIFFERENT


def stretch(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """How many times as wide one of two is as the other, of one height; at least 1. A pixel more or less is rounding.

    Parameters
    ----------
    a, b : height and width, pixels
    """
    (least_a, most_a), (least_b, most_b) = (((w - 0.5) / (h + 0.5), (w + 0.5) / (h - 0.5)) for h, w in (a, b))
    return float(max(1.0, least_a / most_b, least_b / most_a))


def _worst(a: Pixels, b: Pixels) -> float:
    differ = luminance(a).astype(np.float32) - luminance(b)
    return float(np.abs(cv2.blur(differ, (_BLUR_PX, _BLUR_PX))).max())
