"""How the position of a photo was found, as GPSProcessingMethod says it.

Format: CIPA DC-008 (Exif 2.32) section 4.6.6, tag 27: eight bytes that name the character code, then the text.
"""

from __future__ import annotations

from camtrail.core.bytes import ByteSource
from camtrail.metadata import jpeg
from camtrail.metadata.tiff import Block

__all__ = ["ESTIMATE", "position_method"]

ESTIMATE = "camtrail estimate"
"""Of a position that was not measured: the photo was taken near others at about that time."""

_GPS_AT, _METHOD = 0x8825, 27
_MOST_BYTES = 256
_CODES = (b"ASCII\0\0\0", bytes(8))


def position_method(source: ByteSource) -> str | None:
    """The method, such as `GPS` or `CELLID`; None where the photo does not say one in ASCII.

    Raises
    ------
    UnreadableFile
        From the source.
    """
    window = source.read_at(0, jpeg.WINDOW_BYTES)
    head = jpeg.head(source, window)
    if window[:3] != b"\xff\xd8\xff" or head.tiff_at < 0:
        return None
    block = Block(source, head.tiff_at, head.tiff_end, window)
    at = block.pointer(block.first((_GPS_AT,)).get(_GPS_AT))
    entry = block.directory(at, (_METHOD,), "GPS").get(_METHOD) if at else None
    if entry is None or entry[1] <= len(_CODES[0]):
        return None
    data = block.piece(block.pointer((4, 1, entry[2])), min(entry[1], _MOST_BYTES))
    if data[:8] not in _CODES:
        return None
    return data[8:].split(b"\0", 1)[0].decode("ascii", "replace").strip() or None
