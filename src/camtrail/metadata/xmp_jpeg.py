"""The XMP packet of a JPEG: read, and changed in its place without a look at the picture.

Format: Adobe XMP specification part 3 (2020), 1.1.3: one APP1 segment with the packet, and "Extended XMP" segments
for what does not fit into it; CIPA DC-007 (Multi-Picture Format) for indexes of previews behind the picture.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import SafetyRefusal
from camtrail.core.names import shown
from camtrail.metadata import jpeg, write
from camtrail.metadata.xmp_edit import Edit, edited

__all__ = ["composed", "new_xmp_head", "read_xmp"]

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEADER_BYTES = (
    len(_EXTENSION) + 32 + 8
)  # the digest of the whole, its length, and where this part goes
_LARGEST_PACKET = 65535 - 2 - len(_XMP)
_MOST_BEFORE = 1 << 20  # bytes in front of the packet
_MOST_SEGMENTS = 4096
_PEEK_BYTES = 4 + _EXTENSION_HEADER_BYTES
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length
_SCAN, _END = 0xDA, 0xD9
_ADVICE = "use --write sidecar for this photo"


def read_xmp(source: ByteSource) -> bytes | None:
    """The first packet of a JPEG, as readers take it; None where there is none, or the file is no JPEG.

    Extended XMP is not part of it. Raises UnreadableFile from the source.
    """
    window = source.read_at(0, jpeg.WINDOW_BYTES)
    if window[:3] != b"\xff\xd8\xff":
        return None
    head = jpeg.head(source, window)
    if head.xmp_at < 0:
        return None
    if head.xmp_end <= len(window):
        return window[head.xmp_at : head.xmp_end]
    return source.read_at(head.xmp_at, head.xmp_end - head.xmp_at)


def new_xmp_head(source: ByteSource, changes: Sequence[Edit]) -> tuple[bytes, int]:
    """The file's first bytes with changes to its XMP, and the offset in the old file from which the rest follows.

    The new file is the head, then the old file from that offset on. Where the file says all of it: no bytes, and 0.

    Parameters
    ----------
    source : the file
    changes : one for each property

    Raises
    ------
    SafetyRefusal
        The packet or the file cannot be changed without loss, or the packet would not fit into a segment; nothing
        was changed.
    UnreadableFile
        From the source.

    Notes
    -----
    A new packet is put behind the EXIF, without one behind the JFIF segments. A packet that keeps its length moves
    nothing, so that a file with an index in front of it can be changed, too. 0.2 ms.
    """
    try:
        segments = list(_segments(source))
        packets = [s for s in segments if s.marker == 0xE1 and s.name.startswith(_XMP)]
        if packets and packets[0].at > _frame_at(segments):
            raise _Unsure("its XMP lies behind the begin of its picture")
        _refuse_elsewhere(source, segments, packets[1:], changes)
        at, end, packet = _place(source, segments, packets)
        new = edited(packet, changes, name=source.name, advice=_ADVICE)
        if new == (packet or b""):
            return b"", 0
        if len(new) > _LARGEST_PACKET:
            raise _Unsure(
                f"its XMP would grow to {len(new):,} bytes, and a JPEG segment holds {_LARGEST_PACKET:,}"
            )
        if not jpeg.is_whole(source, segments[-1].at):
            raise _Unsure("its picture has no end (the file is cut off)")
        if packet is None or len(new) != len(packet):
            _refuse_distances(source, segments, at)
    except (_Unsure, write._Unsure) as e:
        what, _, advice = str(e).partition(": ")
        raise SafetyRefusal(
            f"{shown(source.name)}: {what}, so nothing was written into it", advice or _ADVICE
        ) from e
    marker = struct.pack(">HH", 0xFFE1, 2 + len(_XMP) + len(new))
    return b"".join((source.read_at(0, at), marker, _XMP, new)), end


def composed(first: tuple[bytes, int], second: tuple[bytes, int]) -> tuple[bytes, int]:
    """Two changes of a file's front as one.

    Parameters
    ----------
    first : new head of the file, and where in the file the rest follows
    second : new head of the file as `first` makes it, and where in that one the rest follows

    Both are as `new_head` and `new_xmp_head` give them; no bytes and 0: no change.
    """
    (head, tail_at), (front, rest_at) = first, second
    if rest_at >= len(head):
        return front, rest_at - len(head) + tail_at
    return front + head[rest_at:], tail_at


class _Unsure(Exception):
    """Why a file cannot be changed without loss."""


class _Segment(NamedTuple):
    marker: int
    at: int
    end: int
    name: bytes  # the first bytes of what is in it


def _segments(source: ByteSource) -> Iterator[_Segment]:
    """The segments of a file up to that of its first scan."""
    if source.read_at(0, 3) != b"\xff\xd8\xff":
        raise _Unsure("it is no JPEG")
    at = 2
    for _ in range(_MOST_SEGMENTS):
        data = source.read_at(at, _PEEK_BYTES)
        if len(data) < 4:
            raise _Unsure("the file is cut off before its picture")
        marker, length = data[1], data[2] << 8 | data[3]
        if data[0] != 0xFF or marker == 0:
            raise _Unsure("a segment of the file has a wrong length")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        if marker == _END:
            raise _Unsure("the file has no picture")
        if length < 2:
            raise _Unsure("a segment of the file has a wrong length")
        name = data[4 : 2 + length] if 0xE0 <= marker <= 0xEF else b""
        yield _Segment(marker, at, at + 2 + length, name)
        if marker == _SCAN:
            return
        at += 2 + length
    raise _Unsure("the file has more segments than any camera writes")


def _frame_at(segments: Sequence[_Segment]) -> int:
    """Where the picture begins, behind which readers of metadata do not look."""
    return next((s.at for s in segments if s.marker in _FRAMES), segments[-1].at)


def _place(
    source: ByteSource, segments: Sequence[_Segment], packets: Sequence[_Segment]
) -> tuple[int, int, bytes | None]:
    """Where the packet's segment begins and ends, and the packet; where a new one goes, and None."""
    if packets:
        at, end, name = packets[0].at, packets[0].end, len(_XMP)
        packet = source.read_at(at + 4 + name, end - at - 4 - name)
        if len(packet) < end - at - 4 - name:
            raise _Unsure("the file is cut off in its XMP")
    else:
        at, packet = 2, None
        for s in segments:
            if s.marker != 0xE0 or not s.name.startswith((b"JFIF\0", b"JFXX\0")):
                break
            at = s.end
        front = (s for s in segments if s.at < _frame_at(segments))
        at = next((s.end for s in front if s.marker == 0xE1 and s.name.startswith(b"Exif\0\0")), at)
        end = at
    if at > _MOST_BEFORE:
        raise _Unsure(f"its XMP lies behind {at:,} bytes of other data")
    return at, end, packet


def _refuse_elsewhere(
    source: ByteSource, segments: Sequence[_Segment], packets: Sequence[_Segment], changes: Sequence[Edit]
) -> None:
    """Refuses what is said in Extended XMP or in a second packet: a second word on it would contradict."""
    parts: dict[bytes, list[tuple[int, bytes]]] = {}
    for s in segments:
        if s.marker == 0xE1 and s.name.startswith(_EXTENSION) and len(s.name) == _EXTENSION_HEADER_BYTES:
            start = s.at + 4 + _EXTENSION_HEADER_BYTES
            digest, (offset,) = s.name[len(_EXTENSION) : -8], struct.unpack(">I", s.name[-4:])
            parts.setdefault(digest, []).append((offset, source.read_at(start, s.end - start)))
    texts = [b"".join(text for _, text in sorted(found)) for found in parts.values()]
    texts += [source.read_at(s.at + 4, s.end - s.at - 4).replace(b"\0", b"") for s in packets]
    for change in changes:
        # With any prefix, or none; without a look at namespaces, since to refuse is safe.
        pattern = re.compile(rb"[:<\s]" + re.escape(change.name[1].encode()) + rb"[\s=>/]")
        if any(pattern.search(text) for text in texts):
            raise _Unsure(f"its XMP has {change.name[1]} in a part that only some programs read")


def _refuse_distances(source: ByteSource, segments: Sequence[_Segment], at: int) -> None:
    """Refuses files in which something is found by its distance across the place where the length changes."""
    if any(s.marker == 0xE2 and s.at < at and s.name.startswith(b"MPF\0") for s in segments):
        raise _Unsure("an index of its previews lies in front of the XMP")
    exif = write._place(source)
    write._refuse_distances(source, exif.block, exif.at, exif.end)
