"""All that is kept of a picture to find its like, from one reading and one decoding of its file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Image import Resampling

from camtrail.core.bytes import ByteSource, MemoryBytes
from camtrail.metadata.picture import scan_at
from camtrail.vision.decode import Pixels, decode, luminance
from camtrail.vision.embedding import EMBEDDING_SIZE, embedding
from camtrail.vision.hashes import Hashes
from camtrail.vision.quality import Quality, quality

__all__ = ["DESCRIBED_PX", "LIGHT_PX", "TURNS", "Description", "describe", "light_hashes", "turned"]

DESCRIBED_PX = 256
"""Longer side of the pixels that a description is made of."""

LIGHT_PX = 32
"""Side of the small grey picture that a description holds."""

TURNS = 8
"""In how many ways a picture may lie: four turns, each also mirrored. 0 is as it is."""

_MOST_READ_BYTES = 1 << 28  # of a file that is read at once; a larger one is read as the decoder asks
_CHUNK_BYTES = 1 << 20
_FORM = struct.Struct(">BII3f32s32s")
_VERSION = 1
_FINE = 1e-6  # what two machines may compute differently
_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """What is kept of one picture: 1.6 kB."""

    width_px: int  # of the whole picture, as it is displayed
    height_px: int
    light: npt.NDArray[np.uint8]  # (32, 32) grey values
    embedding: npt.NDArray[np.float32]  # (225,)
    quality: Quality
    picture: bytes  # digest of the coded picture, which no change of a JPEG's tags touches
    head: bytes  # digest of what is in front of it: equal files have both equal

    def text(self) -> str:
        """As ASCII, for the catalog."""
        numbers = _FORM.pack(_VERSION, self.width_px, self.height_px, *self.quality, self.picture, self.head)
        vector = self.embedding.astype("<f2").tobytes()
        return base64.b64encode(numbers + self.light.tobytes() + vector).decode()

    @classmethod
    def of_text(cls, text: str) -> Description | None:
        """What `text` wrote; None for a text of another version, or a damaged one."""
        try:
            data = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            return None
        vector_at = _FORM.size + LIGHT_PX**2
        if len(data) != vector_at + 2 * EMBEDDING_SIZE or data[0] != _VERSION:
            return None
        _, width_px, height_px, sharpness, exposure, clipped, picture, head = _FORM.unpack_from(data)
        light = np.frombuffer(data, np.uint8, LIGHT_PX**2, _FORM.size).reshape(LIGHT_PX, LIGHT_PX)
        vector = np.frombuffer(data, "<f2", EMBEDDING_SIZE, vector_at).astype(np.float32)
        return cls(width_px, height_px, light, vector, Quality(sharpness, exposure, clipped), picture, head)


def describe(source: ByteSource) -> Description:
    """The description of a picture, which is read once and decoded once.

    Raises
    ------
    UnreadableFile
        As `decode`.

    Notes
    -----
    A 12 MP JPEG takes 25 ms, of which decoding to a quarter or an eighth of its size is all but 3. The digest is
    SHA-256, of a JPEG from its first scan on.
    """
    if source.size <= _MOST_READ_BYTES:
        source = MemoryBytes(source.read_at(0, source.size), source.name)
    made = decode(source, DESCRIBED_PX)
    start = max(0, scan_at(source))
    pixels = made.pixels
    return Description(
        made.width_px,
        made.height_px,
        _small_light(pixels),
        embedding(pixels),
        quality(pixels),
        _digest(source, start, source.size),
        _digest(source, 0, start),
    )


def _digest(source: ByteSource, start: int, end: int) -> bytes:
    digest = hashlib.sha256()
    for at in range(start, end, _CHUNK_BYTES):
        digest.update(source.read_at(at, min(_CHUNK_BYTES, end - at)))
    return digest.digest()


def _small_light(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """(32, 32) the grey values that hashes are made of."""
    grey = Image.fromarray(luminance(pixels))
    return np.asarray(grey.resize((LIGHT_PX, LIGHT_PX), Resampling.LANCZOS))


def turned(light: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    """(…, h, w) pictures turned by `turn % 4` quarters counter-clockwise, and mirrored before where `turn` is 4 or more."""
    way = light[..., ::-1] if turn >= 4 else light
    return np.ascontiguousarray(np.rot90(way, turn % 4, axes=(-2, -1)))


def light_hashes(light: npt.NDArray[np.uint8], side: int = 8) -> Hashes:
    """(n, side² / 64) hashes of (n, 32, 32) grey values: 64 bits with a side of 8, 256 with 16.

    Notes
    -----
    With a side of 8 the `phash` of imagehash, bit for bit: the lowest frequencies of the cosine transform (type II),
    each 1 where it is above their median. 4 µs a picture.
    """
    k, i = np.arange(side)[:, None], np.arange(LIGHT_PX)
    cosines = 2 * np.cos(np.pi * k * (2 * i + 1) / (2 * LIGHT_PX))
    out = np.empty((len(light), side * side // 64), np.uint64)
    for start in range(0, len(light), _ROWS):
        part = light[start : start + _ROWS].astype(np.float64)
        low = np.round((cosines @ part @ cosines.T) / _FINE).reshape(len(part), side * side)
        bits = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
        out[start : start + _ROWS] = bits.view(">u8").reshape(len(part), -1)
    return out
