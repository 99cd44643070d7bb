"""The small JPEG that cameras put into the EXIF block, a hundredth of the work of decoding the picture."""

from __future__ import annotations

from camtrail.core.bytes import ByteSource
from camtrail.metadata import jpeg
from camtrail.metadata.tiff import Block

__all__ = ["thumbnail"]

_OFFSET, _LENGTH = 0x0201, 0x0202


def thumbnail(source: ByteSource) -> bytes | None:
    """The thumbnail's JPEG bytes as they stand; None where there is none or it is damaged.

    Format: Exif 2.32, 4.5.5 (the second directory). Raises UnreadableFile from the source.
    """
    window = source.read_at(0, jpeg.WINDOW_BYTES)
    head = jpeg.head(source, window) if window[:3] == b"\xff\xd8\xff" else None
    if head is None or head.tiff_at < 0:
        return None
    block = Block(source, head.tiff_at, head.tiff_end, window)
    entries = block.second((_OFFSET, _LENGTH))
    offset, length = block.number(entries.get(_OFFSET)), block.number(entries.get(_LENGTH))
    if not (offset > 0 and 4 < length <= 65535):
        return None
    data = block.piece(int(offset), int(length))
    return data if len(data) == length and data.startswith(b"\xff\xd8\xff") else None
