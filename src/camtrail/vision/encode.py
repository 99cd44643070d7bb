"""Pixels as a file, for pages that show pictures small."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

__all__ = ["jpeg_of"]


def jpeg_of(pixels: npt.NDArray[np.uint8], quality: int = 80) -> bytes:
    """A JPEG file of a picture, RGB of shape (h, w, 3). The same pixels give the same bytes."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()
