"""Small numbers that stay the same when a picture is saved again: hashes of 64 bits, and a vector of its light.

They survive recompression, resizing and changes of tone. Cropped and turned copies need `align`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Image import Resampling

from camtrail.core.model import Floats
from camtrail.vision.decode import Pixels, luminance

__all__ = [
    "SIGNATURE_PX",
    "Hashes",
    "average_hash",
    "average_hashes",
    "difference_hash",
    "difference_hashes",
    "hamming",
    "perceptual_hash",
    "perceptual_hashes",
    "signature",
    "signatures",
]

Hashes: TypeAlias = npt.NDArray[np.uint64]

SIGNATURE_PX = 32
"""Side of the picture that a signature is made of."""

_SIDE = 8
_FINE = 1e-6  # what two machines may compute differently; a real difference is larger
_FLAT = 0.5  # standard deviation below which a picture shows nothing, of 255
_PAIRS = 1 << 22  # at a time


def perceptual_hash(pixels: Pixels) -> np.uint64:
    """64 bits of the picture's coarse structure; copies differ in at most some 8 of them, others in some 32.

    Parameters
    ----------
    pixels : (h, w, 3), or (h, w) grey values, which save the conversion where several hashes are wanted

    Notes
    -----
    The `phash` of imagehash, bit for bit: grey values at 32 x 32, their cosine transform (type II, not scaled),
    of which the 8 x 8 lowest frequencies, each 1 where it is above their median; row by row, the first the
    highest bit. Coefficients are rounded to 1e-6, so that a flat picture has one hash everywhere.
    """
    return np.uint64(perceptual_hashes([pixels])[0])


def perceptual_hashes(pictures: Iterable[Pixels]) -> Hashes:
    """(n,) `perceptual_hash` of pictures of any sizes."""
    small = _shrunk(pictures, 4 * _SIDE, 4 * _SIDE)
    low = _COSINES @ small @ _COSINES.T
    low = np.round(low / _FINE).reshape(len(low), _SIDE * _SIDE)
    return _packed(low > np.median(low, axis=1, keepdims=True))


def difference_hash(pixels: Pixels) -> np.uint64:
    """64 bits, each of whether the light grows to the right; sensitive to fine changes of smooth pictures.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w)

    Notes
    -----
    The `dhash` of imagehash, bit for bit: grey values at 9 x 8, each compared with its left neighbour.
    """
    return np.uint64(difference_hashes([pixels])[0])


def difference_hashes(pictures: Iterable[Pixels]) -> Hashes:
    """(n,) `difference_hash` of pictures of any sizes."""
    small = _shrunk(pictures, _SIDE + 1, _SIDE)
    return _packed(small[:, :, 1:] > small[:, :, :-1])


def average_hash(pixels: Pixels) -> np.uint64:
    """64 bits, each of whether a part is lighter than the picture's mean; the weakest of the three.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w)

    Notes
    -----
    The `average_hash` of imagehash, bit for bit: grey values at 8 x 8 compared with their mean.
    """
    return np.uint64(average_hashes([pixels])[0])


def average_hashes(pictures: Iterable[Pixels]) -> Hashes:
    """(n,) `average_hash` of pictures of any sizes."""
    small = _shrunk(pictures, _SIDE, _SIDE)
    return _packed(small > small.mean(axis=(1, 2), keepdims=True))


def hamming(a: Hashes, b: Hashes) -> npt.NDArray[np.uint8]:
    """(n, m) in how many bits each of (n,) hashes differs from each of (m,).

    Notes
    -----
    1.5 ns a pair with NumPy 2, 8 ns before. The answer takes n * m bytes: of large sets ask for rows in turn.
    """
    a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
    out = np.empty((len(a), len(b)), np.uint8)
    rows = max(1, _PAIRS // max(1, len(b)))
    for start in range(0, len(a), rows):
        differ = a[start : start + rows, None] ^ b
        out[start : start + rows] = _bits(differ)
    return out


def signature(pixels: Pixels) -> npt.NDArray[np.float32]:
    """(1024,) the picture's light at 32 x 32, without its brightness and contrast; length 1.

    The product of two is their correlation: 1 for copies, also brightened ones, near 0 for others. All 0 for a
    picture that shows nothing.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w)
    """
    return np.asarray(signatures([pixels])[0])


def signatures(pictures: Iterable[Pixels]) -> npt.NDArray[np.float32]:
    """(n, 1024) `signature` of pictures of any sizes; `s @ s.T` compares all with all."""
    small = _shrunk(pictures, SIGNATURE_PX, SIGNATURE_PX).reshape(-1, SIGNATURE_PX**2)
    small -= small.mean(axis=1, keepdims=True)
    length = np.sqrt((small * small).sum(axis=1, keepdims=True))
    shows = length >= _FLAT * SIGNATURE_PX
    unit: Floats = np.divide(small, length, out=np.zeros_like(small), where=shows)
    return unit.astype(np.float32)


def _shrunk(pictures: Iterable[Pixels], width_px: int, height_px: int) -> Floats:
    """(n, h, w) grey values at a small size."""
    found = [
        np.asarray(Image.fromarray(luminance(p)).resize((width_px, height_px), Resampling.LANCZOS))
        for p in pictures
    ]
    return np.array(found, np.float64).reshape(len(found), height_px, width_px)


def _cosines(n: int, rows: int) -> Floats:
    """The first rows of the cosine transform of type II: 2 cos(pi k (2 i + 1) / 2 n)."""
    k, i = np.arange(rows)[:, None], np.arange(n)
    return 2 * np.cos(np.pi * k * (2 * i + 1) / (2 * n))


_COSINES = _cosines(4 * _SIDE, _SIDE)


def _packed(bits: npt.NDArray[np.bool_]) -> Hashes:
    """(n, 8, 8) bits -> (n,) numbers, the first bit the highest."""
    return np.packbits(bits.reshape(len(bits), 64), axis=1).view(">u8").astype(np.uint64).reshape(-1)


def _bits_by_table(numbers: Hashes) -> npt.NDArray[np.uint8]:
    """How many bits of each number are set, two bytes at a time."""
    counts = _TABLE[numbers.view(np.uint16)].reshape(*numbers.shape, 4)
    return np.asarray(counts.sum(axis=-1, dtype=np.uint8))


_TABLE = np.array([bin(i).count("1") for i in range(1 << 16)], np.uint8)
_bits: Callable[[Hashes], npt.NDArray[np.uint8]] = getattr(np, "bitwise_count", _bits_by_table)
