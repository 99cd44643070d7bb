"""How good a picture is to look at: sharp, and neither too dark nor burnt out. It says which of several to keep."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from camtrail.vision.decode import Pixels, luminance

__all__ = ["Quality", "quality"]

_MIDDLE = 0.45  # of the range from black to white, where a well exposed picture has its mean
_DARK, _BRIGHT = 3, 252
_HALF_SHARP = 12.0  # deviation of the Laplacian that counts as half sharp
_SHARP_SHARE = 0.6


class Quality(NamedTuple):
    """What a picture looks like, compared at one size."""

    sharpness: float  # deviation of the Laplacian, levels of grey; 0 for a picture that shows nothing
    exposure: float  # 0 to 1: 1 where the mean is in the middle and nothing is black or white
    clipped: float  # share of the pixels that are black or white

    @property
    def score(self) -> float:
        """Both in one number, 0 to 1: sharpness counts 0.6, exposure 0.4."""
        sharp = self.sharpness / (self.sharpness + _HALF_SHARP)
        return _SHARP_SHARE * sharp + (1 - _SHARP_SHARE) * self.exposure


def quality(pixels: Pixels) -> Quality:
    """Sharpness and exposure of a picture; of several compare only those of one size.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w)

    Notes
    -----
    Sharpness by the Laplacian, whose variance falls with any blur (Pech-Pacheco et al. 2000). Blur that is finer
    than a pixel of what is looked at is not seen.
    """
    grey = luminance(pixels)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F, borderType=cv2.BORDER_REFLECT_101).std())
    clipped = float(np.mean((grey <= _DARK) | (grey >= _BRIGHT)))
    off = abs(float(grey.mean()) / 255 - _MIDDLE) / (1 - _MIDDLE)
    return Quality(sharpness, (1 - clipped) * (1 - min(1.0, off) ** 2), clipped)
