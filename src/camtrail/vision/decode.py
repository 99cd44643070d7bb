"""Pictures out of files: as they are displayed, no larger than asked for, and never more than memory bears."""

from __future__ import annotations

import io
import logging
import math
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.Image import Resampling, Transpose

from camtrail.core.bytes import ByteSource, SplicedBytes
from camtrail.core.errors import CamtrailError, UnreadableFile
from camtrail.core.names import shown
from camtrail.metadata import jpeg
from camtrail.metadata.tiff import Block

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["MOST_PIXELS", "Picture", "Pixels", "decode", "luminance", "resized"]

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""(h, w, 3) RGB, or (h, w) where a function says that it takes grey ones."""

MOST_PIXELS = 200_000_000
"""Of one picture; what claims more is refused before a byte of it is decoded."""

_MOST_BYTES = 1 << 30  # of a JPEG's scans, as far as they are counted
_MOST_SEGMENTS = 4096
_MOST_SCANS = 200  # of a JPEG; encoders write some ten, and each costs a pass over the picture
_SPARE = 1.5  # a JPEG is decoded to this times the size asked for, so that its coarse scaling is not seen
_GAP = 2.0
_BUFFER_BYTES = 1 << 18
_ORIENTATION = 0x0112
_AGAIN = "copy it again from the card or a backup"
_TURNS = {  # Exif 2.32, 4.6.4: what brings the stored picture upright
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_BACK = {6: 8, 8: 6}  # the others undo themselves
_GREY = frozenset(("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
_QUIET = threading.Lock()
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs of damaged files stands in our errors


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture, upright."""

    pixels: Pixels  # (h, w, 3) RGB; not writable
    width_px: int  # of the whole picture as it is displayed, not of `pixels`
    height_px: int
    is_gray: bool  # stored without colour


def decode(source: ByteSource, most_px: int | None = None, *, orientation: int | None = None) -> Picture:
    """The picture of a JPEG, PNG, WebP, TIFF or GIF (its first frame), turned as its orientation says.

    Parameters
    ----------
    most_px : of the longer side of the pixels; a smaller picture keeps its size. None: as large as it is
    orientation : 1 to 8 where it is known; None: the file's own

    Raises
    ------
    UnreadableFile
        Not such a file, cut off, damaged, or of more than MOST_PIXELS.

    Notes
    -----
    A 12 MP JPEG costs some 45 ms down to 1024 px and 20 ms down to 32 px, most of it Huffman decoding, with
    the interpreter's lock released. JPEGs are decoded at 1/2, 1/4 or 1/8 (ITU-T T.81's cosine transform at a
    smaller size), at least 1.5 times as large as asked for, and the rest is a cubic filter over the area of
    each pixel: at 500 px nearer to what other programs make of the picture by 0.03 to 0.1 of SSIM than the
    coarse scaling alone. Transparent parts are white; colour profiles are not applied.
    """
    if most_px is not None and most_px < 1:
        raise ValueError("a picture has at least one pixel")
    if orientation is not None and not 1 <= orientation <= 8:
        raise ValueError("an orientation is 1 to 8")
    start = source.read_at(0, jpeg.WINDOW_BYTES)
    try:
        if start.startswith(b"\xff\xd8\xff"):
            own = 1 if orientation else _of_jpeg(source, start)
            return _made(source, JpegImagePlugin.JpegImageFile(_lean(source)), most_px, orientation or own)
        for reader, signs in _READERS:
            if signs(start):
                return _of_other(source, reader, most_px, orientation)
    except CamtrailError:
        raise
    except Exception as e:  # the decoders raise whatever their code meets in a damaged file
        raise _damaged(source, start, e) from e
    raise _unknown(source, start)


def resized(pixels: Pixels, width_px: int, height_px: int) -> Pixels:
    """The picture at another size: each pixel made by a cubic filter over the area that it stands for.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w)
    """
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width_px, height_px), Resampling.BICUBIC, reducing_gap=_GAP))


def luminance(pixels: Pixels) -> Pixels:
    """(h, w) grey values of (h, w, 3) RGB by the weights of ITU-R BT.601; grey ones come back as they are."""
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


class _Reader(io.RawIOBase):
    """A source as the file that decoders want."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._source.read_at(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._at, self._source.size)[whence]
        if base + offset < 0:
            raise ValueError("before the start of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at


def _of_jpeg(source: ByteSource, start: bytes) -> int:
    """The orientation that the EXIF has; 1 where it has none."""
    head = jpeg.head(source, start)
    if head.tiff_at < 0:
        return 1
    block = Block(source, head.tiff_at, head.tiff_end, start)
    value = block.number(block.first((_ORIENTATION,)).get(_ORIENTATION))
    return int(value) if value in _TURNS else 1


def _lean(source: ByteSource) -> io.BufferedReader:
    """A JPEG without its metadata: they cost time, and nothing that they hold is wanted here.

    JFIF and Adobe segments stay, since they say what the colours are. From the first thing that is no segment
    on everything stays: the decoder judges it.
    """
    kept, at, is_progressive = [b"\xff\xd8"], 2, False
    for _ in range(_MOST_SEGMENTS):
        head = source.read_at(at, 9)
        marker, length = head[1:2], int.from_bytes(head[2:4], "big")
        if head[:1] != b"\xff" or marker in (b"\xd9", b"\xda", b"\xff") or length < 2:
            break
        is_progressive |= marker in (b"\xc2", b"\xca")
        colours = head[4:] in (b"JFIF\0", b"Adobe")
        if not (b"\xe0" <= marker <= b"\xef" or marker == b"\xfe") or colours:
            kept.append(source.read_at(at, 2 + length))
        at += 2 + length
    if is_progressive and source.read_at(at, _MOST_BYTES).count(b"\xff\xda") > _MOST_SCANS:
        raise UnreadableFile(
            source.name, "has more scans than any encoder writes", "look at where it is from"
        )
    return _file(SplicedBytes(source, b"".join(kept), at))


def _file(source: ByteSource) -> io.BufferedReader:
    return io.BufferedReader(_Reader(source), _BUFFER_BYTES)


def _of_other(
    source: ByteSource,
    reader: Callable[[io.BufferedReader], Image.Image],
    most_px: int | None,
    given: int | None,
) -> Picture:
    # What is odd in metadata is no news to whom looks at pixels. The filters are the process's: one at a time.
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = reader(_file(source))
        _refuse_large(source, image)
        own = _of_exif(image)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            image.load()  # turns it, and reads metadata once more
            turn = own if given is None else given
            return _made(source, image, most_px, *((1,) if turn == own else (_BACK.get(own, own), turn)))
    return _made(source, image, most_px, given or own)


def _of_exif(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - a damaged block says nothing, and the picture stands
        return 1
    return value if value in _TURNS else 1


def _refuse_large(source: ByteSource, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise UnreadableFile(
            source.name,
            f"claims {width} x {height} pixels, more than the {MOST_PIXELS // 10**6} million that are decoded",
            "make it smaller",
        )


def _made(source: ByteSource, image: Image.Image, most_px: int | None, *turns: int) -> Picture:
    """Decodes, resizes and turns, in this order."""
    _refuse_large(source, image)
    width, height = image.size
    size, box = (width, height), None
    if most_px is not None and most_px < max(width, height):
        scale = most_px / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        wanted = math.ceil(width * scale * _SPARE), math.ceil(height * scale * _SPARE)
        drafted = image.draft(None, wanted)
        box = drafted[1] if drafted else None
    is_gray = image.mode in _GREY
    image = _even(image)
    if image.size != size:
        image = image.resize(size, Resampling.BICUBIC, box, _GAP)
    image = _eight_bits(image)
    for turn in turns:
        if turn in _TURNS:
            image = image.transpose(_TURNS[turn])
        if turn >= 5:
            width, height = height, width
    return Picture(np.asarray(image.convert("RGB")), width, height, is_gray)


def _even(image: Image.Image) -> Image.Image:
    """The decoded picture in a form whose values may be averaged: one or more values of each pixel, no palette."""
    image.load()
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("LA", "RGBA", "I", "F"):
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in _GREY else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey or RGB, over white where it is transparent."""
    if image.mode in ("I", "F"):
        return _stretched(image)
    if image.mode in ("LA", "RGBA"):
        under = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(under, image.convert("RGBA")).convert("RGB")
    return image


def _stretched(image: Image.Image) -> Image.Image:
    """Eight bits of a range that no standard fixes: its least value is black, its greatest white."""
    values = np.asarray(image, np.float64)
    known = np.isfinite(values)
    least, most = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    share = np.where(known, values - least, 0.0) / max(most - least, 1e-12)
    return Image.fromarray(np.rint(share.clip(0.0, 1.0) * 255).astype(np.uint8))


def _is_webp(start: bytes) -> bool:
    return start.startswith(b"RIFF") and start[8:12] == b"WEBP"


_READERS: tuple[tuple[Callable[[io.BufferedReader], Image.Image], Callable[[bytes], bool]], ...] = (
    (PngImagePlugin.PngImageFile, lambda start: start.startswith(b"\x89PNG\r\n\x1a\n")),
    (WebPImagePlugin.WebPImageFile, _is_webp),
    (TiffImagePlugin.TiffImageFile, lambda start: start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (GifImagePlugin.GifImageFile, lambda start: start[:6] in (b"GIF87a", b"GIF89a")),
)


def _is_cut(source: ByteSource, start: bytes, error: Exception) -> bool:
    """Whether bytes are missing at the end, by what the format promises of it, else by what the decoder says."""
    end = source.read_at(max(0, source.size - 16), 16)
    if start.startswith(b"\xff\xd8"):
        return not jpeg.is_whole(source, jpeg.head(source, start).picture_at)
    if start.startswith(b"\x89PNG"):
        return b"IEND" not in end
    if start.startswith(b"GIF8"):
        return not end.endswith(b";")
    if _is_webp(start):
        return int.from_bytes(start[4:8], "little") + 8 > source.size
    directory_at = int.from_bytes(start[4:8], "little" if start.startswith(b"II") else "big")
    return directory_at >= source.size or isinstance(error, EOFError) or "truncated" in str(error).lower()


def _damaged(source: ByteSource, start: bytes, error: Exception) -> UnreadableFile:
    if isinstance(error, MemoryError):
        return UnreadableFile(
            source.name, "needs more memory to decode than there is", "decode fewer at a time", retryable=True
        )
    if _is_cut(source, start, error):
        return UnreadableFile(source.name, "is cut off, its picture has no end", _AGAIN)
    said = shown(str(error))[:120] or type(error).__name__
    return UnreadableFile(source.name, f"has a picture that cannot be decoded ({said})", _AGAIN)


def _unknown(source: ByteSource, start: bytes) -> UnreadableFile:
    if not start:
        return UnreadableFile(source.name, "is empty", _AGAIN)
    if start[4:8] == b"ftyp":
        return UnreadableFile(
            source.name, "is a HEIC or AVIF picture or a video", "convert it to JPEG or PNG"
        )
    return UnreadableFile(
        source.name,
        "is no picture that can be decoded (JPEG, PNG, WebP, TIFF, GIF)",
        "convert it to JPEG or PNG",
    )
