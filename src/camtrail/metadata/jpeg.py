"""JPEG segments from the start of the file to its picture, touching only the bytes of the markers.

Format: ITU-T T.81 annex B; EXIF in APP1 (CIPA DC-008), XMP in APP1 (Adobe XMP part 3, 1.1.3).
"""

from __future__ import annotations

from typing import NamedTuple

from camtrail.core.bytes import ByteSource

__all__ = ["CUT_IN_PICTURE", "WINDOW_BYTES", "Head", "head", "is_whole"]

WINDOW_BYTES = 16384
"""What is read of a file at first: holds all of the metadata of most."""

_HOP_BYTES = 1024
_MOST_SEGMENTS = 4096
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_TRAILERS = (b"SEFT", b"ftyp", b"moov", b"mdat", b"QDIOBS", b"SEFH")


class Head(NamedTuple):
    """Where things lie in a file; -1 where they are not."""

    tiff_at: int  # of the EXIF's TIFF block
    tiff_end: int
    xmp_at: int
    xmp_end: int
    picture_at: int  # of the frame header, behind which nothing but the picture is left
    width_px: float  # of the coded picture; NaN where no frame was found
    height_px: float
    damage: str | None


_NAN = float("nan")
_AGAIN = "copy it again from the card or a backup"
_CUT_BEFORE = f"the file is cut off before its picture: {_AGAIN}"
CUT_IN_PICTURE = f"the picture has no end, the file is cut off: {_AGAIN}"


def head(source: ByteSource, window: bytes) -> Head:
    """Walks the markers. `window` holds the file's first bytes; further ones are read where a marker is.

    Never raises for what the bytes say; the damage is named instead. Raises UnreadableFile from the source.
    """
    tiff_at = tiff_end = xmp_at = xmp_end = -1
    damage: str | None = None
    base, data = 0, window
    at = 2
    for _ in range(_MOST_SEGMENTS):
        i = at - base
        if i + 10 > len(data):
            base, data, i = at, source.read_at(at, _HOP_BYTES), 0
            if len(data) < 4:
                damage = _CUT_BEFORE
                break
        if data[i] != 0xFF:
            damage = "a segment of the file has a wrong length"
            break
        marker = data[i + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        if marker == 0xDA or marker == 0xD9:
            damage = "the file has no picture size"
            break
        length = data[i + 2] << 8 | data[i + 3]
        if length < 2:
            damage = "a segment of the file has a wrong length"
            break
        if marker == 0xE1:
            # A segment too short for its own name holds the name of another one.
            if tiff_at < 0 and length >= 8 and data[i + 4 : i + 10] == b"Exif\0\0":
                tiff_at, tiff_end = at + 10, at + 2 + length
            elif xmp_at < 0 and length >= 2 + len(_XMP) and data[i + 4 : i + 10] == b"http:/":
                name = source.read_at(at + 4, len(_XMP))
                if name == _XMP:
                    xmp_at, xmp_end = at + 4 + len(_XMP), at + 2 + length
        elif marker in _FRAMES:
            if len(data) < i + 9:
                damage = _CUT_BEFORE
                break
            height, width = data[i + 5] << 8 | data[i + 6], data[i + 7] << 8 | data[i + 8]
            return Head(tiff_at, tiff_end, xmp_at, xmp_end, at, width or _NAN, height or _NAN, None)
        at += 2 + length
    else:
        damage = "the file has more segments than any camera writes"
    return Head(tiff_at, tiff_end, xmp_at, xmp_end, -1, _NAN, _NAN, damage)


def is_whole(source: ByteSource, picture_at: int) -> bool:
    """Whether the file ends as a picture does: with its end mark, padding or a known trailer behind it.

    Reads 16 bytes, and 64 KiB of the few files that end otherwise; nothing before `picture_at`, since a
    thumbnail there has an end mark of its own.
    """
    size = source.size
    tail = source.read_at(max(0, size - 16), 16)
    if tail.endswith(b"\xff\xd9") or tail.rstrip(b"\0\n\r ").endswith(b"\xff\xd9"):
        return True
    tail = source.read_at(max(picture_at, size - 65536), 65536)
    return b"\xff\xd9" in tail or any(mark in tail for mark in _TRAILERS)
