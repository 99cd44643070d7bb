"""One vector of each picture that needs no model: where what light, which colours, and edges of which direction."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from camtrail.vision.decode import Pixels, resized

__all__ = ["EMBEDDING_PX", "EMBEDDING_SIZE", "embedding"]

EMBEDDING_PX = 64
"""Side of the picture that an embedding is made of."""

_LIGHT, _COLOUR, _CELLS, _WAYS = 8, 4, 4, 8
EMBEDDING_SIZE = _LIGHT**2 + 2 * _COLOUR**2 + _CELLS**2 * _WAYS + 1
"""How many numbers an embedding has."""

_WEIGHTS = (0.5, 0.2, 0.3)  # of light, colours and edges
_FAINT = (4.0, 6.0, 2.0)  # levels: deviations of light, colour and edges below which they count little
_FLAT = 0.02  # weight of what all pictures share: flat ones are alike in it


def embedding(pixels: Pixels) -> npt.NDArray[np.float32]:
    """(225,) the picture's layout of light, colours and edges; length 1. The product of two is their cosine.

    From 0.95 on two pictures show one scene, most often; copies reach 0.99, unrelated photos some 0.1 to 0.5.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w), upright

    Notes
    -----
    Three parts, each brought to its own weight: the light at 8 x 8 without its mean (weight 0.5), the colours Cb
    and Cr (ITU-R BT.601) at 4 x 4 (0.2), and histograms of eight directions of the gradient in 4 x 4 cells, their
    roots without their mean (0.3). Colour layout follows the descriptor of that name of MPEG-7 (ISO/IEC 15938-3),
    edges the histograms of Dalal and Triggs (2005). Numbers have the precision of half floats, so that a stored
    embedding is what it was.
    """
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    small = resized(colour, EMBEDDING_PX, EMBEDDING_PX)
    y, cr, cb = (np.asarray(c, np.float32) for c in cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)))
    light = _mean(y, _LIGHT)
    parts = (
        (light - light.mean()).reshape(-1),
        np.concatenate([_mean(cb - 128, _COLOUR), _mean(cr - 128, _COLOUR)]).reshape(-1),
        _edges(y),
    )
    made = [_weighted(part, faint, weight) for part, faint, weight in zip(parts, _FAINT, _WEIGHTS)]
    whole = np.concatenate([*made, np.full(1, _FLAT)])
    return np.asarray((whole / np.linalg.norm(whole)).astype(np.float16), np.float32)


def _mean(values: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """(side, side) means of equal squares."""
    n = len(values) // side
    return np.asarray(values.reshape(side, n, side, n).mean(axis=(1, 3)))


def _edges(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(128,) how much of the light's change in each cell goes which way."""
    across, down = (cv2.Scharr(light, cv2.CV_32F, *way) / 16 for way in ((1, 0), (0, 1)))
    size = np.hypot(across, down)
    way = np.floor((np.arctan2(down, across) % np.pi) * (_WAYS / np.pi)).astype(np.intp) % _WAYS
    n = EMBEDDING_PX // _CELLS
    at = np.arange(EMBEDDING_PX) // n
    cell = at[:, None] * _CELLS + at
    sums = np.bincount((cell * _WAYS + way).reshape(-1), size.reshape(-1), _CELLS**2 * _WAYS)
    roots = np.sqrt(sums / n**2).astype(np.float32)
    return np.asarray(roots - roots.mean())


def _weighted(part: npt.NDArray[np.float32], faint: float, weight: float) -> npt.NDArray[np.float32]:
    """The part with a length that says how much it counts: its whole weight, less where it is faint."""
    length = float(np.linalg.norm(part))
    return np.asarray(part * (np.sqrt(weight) / (length + faint)))
