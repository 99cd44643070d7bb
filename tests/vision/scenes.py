"""Made-up pictures that look like photos to a program: light at all scales, edges, corners, colours."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

REAL_DATA = Path(__file__).parents[3] / "shared" / "data"


@lru_cache(64)
def scene(seed: int, width: int = 640, height: int = 480, softness: float = 1.0) -> np.ndarray:
    """(height, width, 3) RGB; the same for the same arguments, another one for another seed."""
    random = np.random.default_rng(seed)
    light = np.zeros((height, width, 1), np.float32)
    colour = np.zeros((height, width, 3), np.float32)
    size = 3
    while size < max(width, height):
        # As much light at each scale, as in photos; colours change slowly.
        light[..., 0] += _noise(random, size, 1, width, height) * size ** (0.2 - 0.25 * softness)
        colour += _noise(random, size, 3, width, height) * size**-0.8
        size *= 2
    picture = light / light.std() * 35 + colour / colour.std() * 20 + 120
    picture = picture.clip(0, 255).astype(np.uint8)
    for _ in range(int(60 / softness)):
        middle = tuple(int(v) for v in random.integers(0, (width, height)))
        axes = tuple(int(v) for v in random.integers(4, max(6, width // 12), 2))
        colour = tuple(int(v) for v in random.integers(0, 256, 3))
        turn = int(random.integers(0, 180))
        if random.random() < 0.5:
            cv2.ellipse(picture, middle, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            end = tuple(int(m + a) for m, a in zip(middle, random.integers(-60, 60, 2)))
            cv2.line(picture, middle, end, colour, int(random.integers(1, 5)), cv2.LINE_AA)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7)
    picture.flags.writeable = False
    return picture


def _noise(random: np.random.Generator, size: int, channels: int, width: int, height: int) -> np.ndarray:
    coarse = random.normal(0, 1, (size, size, channels)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def image(pixels: np.ndarray) -> Image.Image:
    """As Pillow has it."""
    return Image.fromarray(pixels)


def encoded(picture: Image.Image | np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of a file."""
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, kind, **options)
    return out.getvalue()


def again(pixels: np.ndarray, quality: int = 85) -> np.ndarray:
    """What is left of a picture after it was saved as JPEG."""
    return np.asarray(Image.open(io.BytesIO(encoded(pixels, quality=quality))).convert("RGB"))


def fit(pixels: np.ndarray, most_px: int, how: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    """Its longer side that long, as another program would make it."""
    h, w = pixels.shape[:2]
    scale = most_px / max(w, h)
    return np.asarray(Image.fromarray(pixels).resize((round(w * scale), round(h * scale)), how))


def lit(pixels: np.ndarray, gain: float = 1.0, gamma: float = 1.0) -> np.ndarray:
    """The same in another light; what gets too bright is white."""
    table = (255 * (np.arange(256) / 255) ** gamma * gain).round().clip(0, 255).astype(np.uint8)
    return table[pixels]
