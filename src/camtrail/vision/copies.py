"""The closer look at two pictures whose hashes are near: one picture saved again, or two of one scene."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from camtrail.vision.align import fitted_tone
from camtrail.vision.decode import Pixels, luminance, resized
from camtrail.vision.ssim import SIDE_PX, score_tiles

__all__ = ["DIFFERENT", "LOOKED_PX", "Look", "is_copy", "look"]

LOOKED_PX = 192
"""Longer side of the pixels that are looked at; of larger ones no more is seen."""

_FINE_PX = 128  # side at which the two are compared
_MOST_STRETCHED = 1.04  # what rounding may do to the shape of a small copy
_BLUR_PX = 5  # parts that are compared: what compression did to single pixels is gone
_LEAST_SHARE = 0.03  # of tiles that show something; of fewer nothing can be said after the light was fitted
_LEAST_SSIM, _MOST_WORST = 0.87, 12.0  # copies reach 0.99 and 5.3; frames moved by 1 % 0.84 and 14
_MOST_TONE = 64.0  # mean change of a colour; gamma 0.5 makes 60. Beyond it the fit makes anything of anything
_CONTRAST, _NOISE = 50.0, 5.0  # deviations of a usual picture, and of what compression adds
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
    fitted than a change of tone would need.

    Parameters
    ----------
    a, b : (h, w, 3), best `LOOKED_PX` on the longer side

    Notes
    -----
    At 128 pixels a side: SSIM of tiles (`score_tiles`) of the colours, and the largest difference of the greys under
    a square of 5 pixels. 3 ms.
    """
    if _stretched(a, b) > _MOST_STRETCHED:
        return DIFFERENT
    h, w = a.shape[:2]
    scale = _FINE_PX / max(h, w)
    width, height = max(SIDE_PX, round(w * scale)), max(SIDE_PX, round(h * scale))
    p, q = resized(a, width, height), resized(b, width, height)
    if luminance(p).std() < luminance(q).std():
        p, q = q, p
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


def _stretched(a: Pixels, b: Pixels) -> float:
    """How many times as wide one is as the other, of one height; at least 1. A pixel more or less is rounding."""
    (least_a, most_a), (least_b, most_b) = (
        ((w - 0.5) / (h + 0.5), (w + 0.5) / (h - 0.5)) for h, w in (a.shape[:2], b.shape[:2])
    )
    return float(max(1.0, least_a / most_b, least_b / most_a))


def _worst(a: Pixels, b: Pixels) -> float:
    differ = luminance(a).astype(np.float32) - luminance(b)
    return float(np.abs(cv2.blur(differ, (_BLUR_PX, _BLUR_PX))).max())
