"""The corners of a picture, few and quick to compare: which of many pictures may be parts of each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from camtrail.vision.decode import Pixels, luminance

__all__ = ["LEAST_AGREEING", "SKETCH_PX", "Sketch", "agreeing", "sketch"]

SKETCH_PX = 400
"""Longer side of the picture that a sketch is best made of."""

LEAST_AGREEING = 9
"""Corners that agree from which on a closer look pays; those of two pictures that show
different things are seldom as many."""

_CORNERS = 400
_RATIO = 0.85
_NEAR_PX = 3.0
_LEAST_SCALE, _MOST_SCALE = 0.1, 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """The corners of one picture: 15 kB."""

    at: npt.NDArray[np.float32]  # (n, 2) x, y in pixels
    looks: npt.NDArray[np.uint8]  # (n, 32) what is around them, upright


def sketch(pixels: Pixels) -> Sketch:
    """The corners of a picture, at most 400; none where it is smooth.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w), best with `SKETCH_PX` on its longer side

    Notes
    -----
    ORB (Rublee et al. 2011). 4 ms.
    """
    places, looks = cv2.ORB.create(_CORNERS, fastThreshold=7).detectAndCompute(luminance(pixels), None)
    if looks is None:
        return Sketch(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))
    return Sketch(np.array([p.pt for p in places], np.float32), np.asarray(looks, np.uint8))


def agreeing(a: Sketch, b: Sketch) -> int:
    """How many corners of two pictures agree that one is a moved, turned and scaled part of the other.

    Notes
    -----
    Pairs by the ratio of distances (Lowe 2004), a similarity transform by RANSAC with OpenCV's fixed seed. 1 ms.
    """
    if min(len(a.at), len(b.at)) < LEAST_AGREEING:
        return 0
    distance, nearest = cv2.batchDistance(a.looks, b.looks, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=2)
    clear = np.flatnonzero(distance[:, 0] < _RATIO * distance[:, 1])
    if len(clear) < LEAST_AGREEING:
        return 0
    found, agree = cv2.estimateAffinePartial2D(
        a.at[clear],
        b.at[nearest[clear, 0]],
        method=cv2.RANSAC,
        ransacReprojThreshold=_NEAR_PX,
        maxIters=500,
    )
    if found is None or not _LEAST_SCALE < float(np.hypot(found[0, 0], found[1, 0])) < _MOST_SCALE:
        return 0
    return int(agree.sum())
