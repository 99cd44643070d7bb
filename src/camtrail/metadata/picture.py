"""The identity of a picture: its coded data, which no change of tags touches."""

from __future__ import annotations

import hashlib

from camtrail.core.bytes import ByteSource
from camtrail.metadata import jpeg

__all__ = ["picture_sha256", "scan_at"]

_CHUNK_BYTES = 1 << 20
_MOST_SEGMENTS = 4096


def picture_sha256(source: ByteSource) -> bytes | None:
    """The digest of a JPEG from its first scan to the end of the file; None where it has no scan.

    Raises
    ------
    UnreadableFile
        From the source.

    Notes
    -----
    ITU-T T.81, annex B. Metadata lie in front of the scan; what some cameras put behind the picture counts.
    Reads all of the file, 1 ms for 2 MB.
    """
    at = scan_at(source)
    if at < 0:
        return None
    digest = hashlib.sha256()
    while data := source.read_at(at, _CHUNK_BYTES):
        digest.update(data)
        at += len(data)
    return digest.digest()


def scan_at(source: ByteSource) -> int:
    """Where the marker of the first scan lies; -1 where there is none. Raises UnreadableFile."""
    window = source.read_at(0, jpeg.WINDOW_BYTES)
    if window[:3] != b"\xff\xd8\xff":
        return -1
    at = jpeg.head(source, window).picture_at
    for _ in range(_MOST_SEGMENTS if at >= 0 else 0):
        data = source.read_at(at, 4)
        if len(data) < 4 or data[0] != 0xFF:
            return -1
        if data[1] == 0xDA:
            return at
        at += 1 if data[1] == 0xFF else 2 + max(2, data[2] << 8 | data[3])
    return -1
