"""What a video of the MP4 family (MP4, MOV, M4V, 3GP) says of itself, by a walk over its boxes.

Format: ISO/IEC 14496-12 (boxes, tracks, fragments) and Apple's QuickTime File Format. Boxes are looked up along
fixed paths, each lies behind the one before and is cut to the box around it, and a file is read a thousand bytes at
a time up to a limit: damage costs neither time nor memory.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import UnreadableFile
from camtrail.core.names import shown

__all__ = ["ISOBMFF_SUFFIXES", "VIDEO_SUFFIXES", "Video", "accepts", "probe"]

ISOBMFF_SUFFIXES = frozenset(".mp4 .m4v .mov .qt .3gp .3g2 .360 .insv".split())
"""Of files that are made of boxes."""

VIDEO_SUFFIXES = ISOBMFF_SUFFIXES | frozenset(
    ".avi .mkv .webm .mts .m2ts .m2t .ts .flv .wmv .asf .mpg .mpeg".split()
)
"""Of every file that counts as a video, small letters."""

_BOX = struct.Struct(">I4s")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_FIRST_BYTES = 4096
_HOP_BYTES = 1024
_HEAD_BYTES = 16  # of a box
_MOST_BYTES = 16 << 20  # of one file in all
_MOST_BOXES = 500_000  # at the top of a file
_MOST_FRAGMENTS = 8_000
_LAST_FRAGMENTS = 16
_TABLE_BYTES = 1 << 20  # of one table

_FIRST_KINDS = frozenset(
    (
        b"ftyp",
        b"styp",
        b"moov",
        b"mdat",
        b"moof",
        b"free",
        b"skip",
        b"wide",
        b"pnot",
        b"uuid",
        b"sidx",
        b"udta",
    )
)
_CODECS = {
    b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"dvh1": "hevc", b"dvhe": "hevc",
    b"jpeg": "mjpeg", b"mjpa": "mjpeg", b"mjpb": "mjpeg", b"mp4v": "mpeg4", b"av01": "av1", b"vp09": "vp9",
}  # fmt: skip

_PICTURES = frozenset((b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"jp2 "))

_EPOCH_S = 2082844800  # from 1904-01-01 to 1970-01-01
_EARLIEST_S, _LATEST_S = 631152000, 4102444800  # 1990-01-01 and 2100-01-01
_LONGEST_S = 366 * 86400.0
_MOST_FPS = 100_000.0

_Box: TypeAlias = tuple[bytes, int, int]
"""Kind, where the content begins, where the box ends."""


@dataclass(frozen=True, slots=True)
class Video:
    """What the header of a video says; None where it does not, never 0.

    container : `mp4`, `mov`, `m4v`, `3gp`, or another format's name
    brand : the major brand, four letters without blanks
    codec : `h264`, `hevc`, `mjpeg`, `mpeg4`, `av1`, `vp9`, otherwise the four letters of the file
    width_px, height_px : as stored, before it is turned
    rotation_deg : 0 to 359, clockwise, by which it is turned to be seen upright
    fps : frames by duration
    duration_s : of the first video track
    creation_s : POSIX seconds; many cameras write their local time here
    is_truncated : media that the header promises is not in the file
    reason : why a value is absent or not to be relied on; None where nothing is wrong
    """

    container: str | None = None
    brand: str | None = None
    codec: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    rotation_deg: int | None = None
    fps: float | None = None
    duration_s: float | None = None
    creation_s: float | None = None
    is_truncated: bool = False
    reason: str | None = None


def accepts(head: bytes) -> bool:
    """Whether a file that begins with these 8 bytes is made of boxes."""
    return len(head) >= 8 and head[4:8] in _FIRST_KINDS


def probe(source: ByteSource) -> Video:
    """What the header of a video of the MP4 family says.

    Raises
    ------
    UnreadableFile
        It is empty or another kind of file, has no moov, or its moov is cut off or damaged.

    Notes
    -----
    Some 40 µs for a small file; a file of 10 GB with its moov at the end takes as many reads. A creation time
    before 1970 is taken to count from 1970, as ExifTool and FFmpeg do: some writers forget the year 1904.
    """
    size = source.size
    if not size:
        raise UnreadableFile(source.name, "is empty", "copy it again from the camera")
    view = _View(source)
    if not accepts(view.piece(0, 8)):
        raise UnreadableFile(source.name, "is no MP4 or QuickTime video", "check what kind of file it is")
    try:
        return _video(view, _walked(view, size))
    except _Damage as e:
        raise UnreadableFile(
            source.name, str(e), "copy it again from the camera, or repair it with a program for that"
        ) from e


class _Damage(Exception):
    """Why no header can be had."""


class _View:
    """A file of which the last piece that was read is at hand."""

    __slots__ = ("_base", "_data", "_source", "size", "spent")

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.size = source.size
        self._base = 0
        self._data = source.read_at(0, min(_FIRST_BYTES, self.size))
        self.spent = len(self._data)

    def piece(self, offset: int, n: int, hop: int = _HOP_BYTES) -> bytes:
        """`n` bytes from an offset; fewer, or none, where the file ends. Raises _Damage.

        Where they are not at hand, `hop` bytes are read.
        """
        i = offset - self._base
        if i >= 0:
            found = self._data[i : i + n]
            if len(found) == n:
                return found
        if n <= 0 or not 0 <= offset < self.size:
            return b""
        if self.spent > _MOST_BYTES:
            raise _Damage("has more boxes than a video needs")
        self._data, self._base = self._source.read_at(offset, min(max(n, hop), self.size - offset)), offset
        self.spent += len(self._data)
        return self._data[:n]


@dataclass(slots=True)
class _Fragments:
    """What the fragments of one track add up to, in units of its clock."""

    start: int | None = None  # None: no fragment yet
    end: int = 0
    samples: int = 0
    is_timed: bool = True  # each says when it begins


@dataclass(frozen=True, slots=True)
class _Layout:
    """The boxes at the top of a file that matter."""

    brand: bytes
    moov: _Box
    moofs: list[_Box]
    has_media: bool
    missing_bytes: int  # that the last box promises beyond the end of the file


def _boxes(view: _View, at: int, end: int, hop: int = _HOP_BYTES) -> Iterator[_Box]:
    """The boxes in a stretch of a file. It ends at the first that cannot be one; `end` may lie behind the file's."""
    while at + 8 <= end:
        head = view.piece(at, _HEAD_BYTES, hop)
        if len(head) < 8:
            return
        n, kind = _BOX.unpack_from(head)
        inside = 8
        if n == 1:
            if len(head) < 16:
                return
            n, inside = _U64.unpack_from(head, 8)[0], 16
        elif n == 0:
            n = end - at
        if n < inside:
            return
        yield kind, at + inside, at + n
        at += n


def _within(view: _View, box: _Box) -> Iterator[_Box]:
    """The boxes in a box, none of which reaches out of it."""
    _, at, end = box
    for kind, start, stop in _boxes(view, at, end):
        yield kind, start, min(stop, end)


def _child(view: _View, box: _Box | None, *path: bytes) -> _Box | None:
    """The first box of each kind along a path."""
    for kind in path:
        box = next((b for b in _within(view, box) if b[0] == kind), None) if box is not None else None
    return box


def _walked(view: _View, size: int) -> _Layout:
    brand, moov, moofs = b"", None, []
    has_media, missing = False, 0
    for box in islice(_boxes(view, 0, size, _HEAD_BYTES), _MOST_BOXES):
        kind, at, end = box
        if kind == b"moov" and moov is None:
            moov = box
        elif kind == b"ftyp" and not brand:
            brand = view.piece(at, min(4, end - at))
        elif kind == b"moof":
            moofs.append(box)
        if kind in (b"mdat", b"moof"):
            has_media = True
            missing = max(missing, end - size)
    if moov is None:
        if brand in _PICTURES:
            raise _Damage("is a picture and no video")
        if not has_media:
            raise _Damage("has no moov: it is damaged or no video")
        raise _Damage("has no moov: the recording was cut off before its end")
    if moov[2] > size:
        raise _Damage("has a moov that is cut off")
    return _Layout(brand, moov, moofs, has_media, missing)


@dataclass(frozen=True, slots=True)
class _Track:
    """A video track; 0 where its boxes say nothing."""

    box: _Box
    number: int
    is_enabled: bool
    rotation_deg: int | None
    shown_px: tuple[int, int]


def _video(view: _View, layout: _Layout) -> Video:
    movie: tuple[int, int, int] | None = None
    tracks: list[_Track] = []
    extends: _Box | None = None
    for box in _within(view, layout.moov):
        kind = box[0]
        if kind == b"mvhd":
            movie = _times(view, box)
        elif kind == b"mvex":
            extends = box
        elif kind == b"trak" and _content(view, _child(view, box, b"mdia", b"hdlr"), 12)[8:] == b"vide":
            tracks.append(_track(view, box))
    if movie is None:
        raise _Damage("has a damaged moov: there is no movie header in it")
    created, scale, length = movie
    track = next((t for t in tracks if t.is_enabled), tracks[0] if tracks else None)
    brand = layout.brand.decode("latin-1").strip()
    container = _container(brand, bool(layout.brand))
    if track is None:
        return Video(
            container, shown(brand) or None, duration_s=_seconds(length, scale), creation_s=_created(created),
            is_truncated=layout.missing_bytes > 0, reason="has no video track",
        )  # fmt: skip
    return _of_track(view, layout, track, extends, movie, container, shown(brand) or None)


def _of_track(
    view: _View,
    layout: _Layout,
    track: _Track,
    extends: _Box | None,
    movie: tuple[int, int, int],
    container: str,
    brand: str | None,
) -> Video:
    media_created, scale, length = _times(view, _child(view, track.box, b"mdia", b"mdhd")) or (0, 0, 0)
    table = _child(view, track.box, b"mdia", b"minf", b"stbl")
    codec, width_px, height_px = _described(view, table, track.shown_px)
    samples = _samples(view, table)
    length = length or _decoded_length(view, table)
    promised_s: float | None = None
    fragments = _Fragments()
    if extends is not None:
        promised_s = _seconds(_promised(view, extends), movie[1])
        fragments = _counted(view, layout.moofs, track.number, _default_duration(view, extends, track.number))
    is_counted = len(layout.moofs) <= _MOST_FRAGMENTS
    if fragments.start is not None and (is_counted or fragments.is_timed):
        # Fragments count on from the samples in moov; a piece of a stream begins wherever it was cut.
        length = max(length, fragments.end - (0 if samples else fragments.start))
        samples += fragments.samples
    said_s = _seconds(length, scale)
    reasons = []
    if layout.missing_bytes > 0:
        reasons.append(f"ends {layout.missing_bytes} bytes before its media does")
    elif samples and not layout.has_media:
        reasons.append("has a header and no media")
    is_truncated = bool(reasons)
    if not is_counted:
        reasons.append("has more fragments than are counted")
    duration_s = promised_s or said_s or _seconds(movie[2], movie[1])
    fps = samples / said_s if said_s and samples and is_counted else None
    return Video(
        container, brand, codec, width_px, height_px, track.rotation_deg,
        fps if fps is not None and fps <= _MOST_FPS else None, duration_s,
        _created(movie[0]) or _created(media_created), is_truncated, "; ".join(reasons) or None,
    )  # fmt: skip


def _content(view: _View, box: _Box | None, n: int) -> bytes:
    """The first `n` bytes in a box; none where there is no box, or it has fewer."""
    if box is None or box[2] - box[1] < n:
        return b""
    data = view.piece(box[1], n)
    return data if len(data) == n else b""


def _times(view: _View, box: _Box | None) -> tuple[int, int, int] | None:
    """Creation, ticks a second and length in an mvhd or mdhd, 0 where unknown; None where there is no such box."""
    data = _content(view, box, 20)
    if data[:1] == b"\1":
        data = _content(view, box, 32)
    if not data:
        return None
    created, _, scale, length = struct.unpack_from(">QQIQ" if data[0] == 1 else ">IIII", data, 4)
    return created, scale, 0 if length == (0xFFFFFFFFFFFFFFFF if data[0] == 1 else 0xFFFFFFFF) else length


def _seconds(length: int, scale: int) -> float | None:
    if not length or not scale:
        return None
    seconds = length / scale
    return seconds if seconds <= _LONGEST_S else None


def _created(seconds: int) -> float | None:
    """POSIX seconds of seconds since 1904; None where no camera can have been running."""
    if seconds >= _EPOCH_S:
        seconds -= _EPOCH_S
    return float(seconds) if _EARLIEST_S <= seconds < _LATEST_S else None


def _container(brand: str, has_brand: bool) -> str:
    if not has_brand or brand == "qt":
        return "mov"  # QuickTime files have no brand before 2001
    return {"3gp": "3gp", "3g2": "3gp", "M4V": "m4v"}.get(brand[:3], "mp4")


def _track(view: _View, box: _Box) -> _Track:
    head = _child(view, box, b"tkhd")
    data = _content(view, head, 96) or _content(view, head, 84)
    if not data or (data[0] == 1 and len(data) < 96):
        return _Track(box, 0, True, None, (0, 0))
    number, matrix = (20, 52) if data[0] == 1 else (12, 40)
    a, b, _, c, d = struct.unpack_from(">5i", data, matrix)
    width, height = struct.unpack_from(">II", data, matrix + 36)
    return _Track(
        box, _U32.unpack_from(data, number)[0], bool(data[3] & 1), _rotation(a, b, c, d),
        (width >> 16, height >> 16),
    )  # fmt: skip


def _rotation(a: int, b: int, c: int, d: int) -> int | None:
    """Degrees clockwise; None for a matrix that mirrors or flattens."""
    if a * d - b * c <= 0:
        return None
    return round(math.degrees(math.atan2(b, a))) % 360


def _described(
    view: _View, table: _Box | None, shown_px: tuple[int, int]
) -> tuple[str | None, int | None, int | None]:
    """Codec, width and height of the first sample description."""
    data = _content(view, _child(view, table, b"stsd"), 44)
    kind = data[12:16]
    if not kind.strip(b"\0 "):
        return None, None, None
    codec = _CODECS.get(kind) or shown(kind.decode("latin-1").strip())
    width_px, height_px = struct.unpack_from(">HH", data, 40)
    if not width_px or not height_px:
        width_px, height_px = shown_px
    return codec, width_px or None, height_px or None


def _samples(view: _View, table: _Box | None) -> int:
    box = _child(view, table, b"stsz") or _child(view, table, b"stz2")
    data = _content(view, box, 12)
    return int(_U32.unpack_from(data, 8)[0]) if data else 0


def _decoded_length(view: _View, table: _Box | None) -> int:
    """What the times of all samples add up to; 0 where their table is absent or absurdly long."""
    box = _child(view, table, b"stts")
    data = _content(view, box, 8)
    if box is None or not data:
        return 0
    n = 8 * int(_U32.unpack_from(data, 4)[0])
    if n > min(_TABLE_BYTES, box[2] - box[1] - 8):
        return 0
    pairs = np.frombuffer(view.piece(box[1] + 8, n), ">u4").astype(np.uint64).reshape(-1, 2)
    return int(np.sum(pairs[:, 0].astype(float) * pairs[:, 1]))


def _promised(view: _View, extends: _Box) -> int:
    """The length of a fragmented movie as its header promises it; 0 where it does not."""
    box = _child(view, extends, b"mehd")
    data = _content(view, box, 12) or _content(view, box, 8)
    if not data or (data[0] == 1 and len(data) < 12):
        return 0
    return int((_U64 if data[0] == 1 else _U32).unpack_from(data, 4)[0])


def _default_duration(view: _View, extends: _Box, number: int) -> int:
    for box in _within(view, extends):
        if box[0] == b"trex":
            data = _content(view, box, 24)
            if data and _U32.unpack_from(data, 4)[0] == number:
                return int(_U32.unpack_from(data, 12)[0])
    return 0


def _counted(view: _View, moofs: list[_Box], number: int, default: int) -> _Fragments:
    """What all fragments of a track add up to; of very many, the first and the last are looked at."""
    out = _Fragments()
    if len(moofs) > _MOST_FRAGMENTS:
        moofs = moofs[:1] + moofs[-_LAST_FRAGMENTS:]
    for moof in moofs:
        for traf in _within(view, moof):
            if traf[0] == b"traf":
                _add_fragment(view, traf, number, default, out)
    return out


def _add_fragment(view: _View, traf: _Box, number: int, default: int, out: _Fragments) -> None:
    start = out.end
    length = samples = 0
    is_timed = False
    for box in _within(view, traf):
        kind = box[0]
        if kind == b"tfhd":
            data = _content(view, box, 8)
            if not data or _U32.unpack_from(data, 4)[0] != number:
                return
            default = _fragment_default(view, box, default)
        elif kind == b"tfdt":
            data = _content(view, box, 8)
            if data and data[0] == 1:
                data = _content(view, box, 12)
            if data:
                start, is_timed = int((_U64 if data[0] == 1 else _U32).unpack_from(data, 4)[0]), True
        elif kind == b"trun":
            n, ticks = _run(view, box, default)
            samples += n
            length += ticks
    if out.start is None or start < out.start:
        out.start = start
    out.end = max(out.end, start + length)
    out.samples += samples
    out.is_timed &= is_timed


def _fragment_default(view: _View, box: _Box, default: int) -> int:
    """The duration of a sample in a tfhd, or the track's."""
    flags = _U32.unpack_from(_content(view, box, 8))[0]
    if not flags & 0x8:
        return default
    at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    data = _content(view, box, at + 4)
    return int(_U32.unpack_from(data, at)[0]) if data else default


def _run(view: _View, box: _Box, default: int) -> tuple[int, int]:
    """How many samples a trun has, and what they last."""
    data = _content(view, box, 8)
    if not data:
        return 0, 0
    flags, n = struct.unpack(">II", data)
    if not flags & 0x100:
        return n, n * default
    width = 4 * (flags & 0xF00).bit_count()
    at = box[1] + 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    length = min(n, max(0, box[2] - at) // width, _TABLE_BYTES // width)
    raw = view.piece(at, length * width)
    rows = np.frombuffer(raw[: len(raw) // width * width], ">u4").reshape(-1, width // 4)
    return len(rows), int(rows[:, 0].sum(dtype=np.uint64))
