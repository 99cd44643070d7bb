"""Headers of MP4 files: what is written in them is read, damage costs a message, and never time or memory."""

from __future__ import annotations

import io
import json
import math
import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from headers import CountedBytes
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.metadata.isobmff import ISOBMFF_SUFFIXES, VIDEO_SUFFIXES, Video, accepts, probe

REAL_DATA = Path(__file__).parents[3] / "shared" / "data"
SINCE_1904_S = 2082844800
TAKEN_S = 1476014557
ONE = 0x10000
TURNS = {0: (ONE, 0, 0, ONE), 90: (0, ONE, -ONE, 0), 180: (-ONE, 0, 0, -ONE), 270: (0, -ONE, ONE, 0)}
MIB = 1 << 20


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of 32 bits."""
    data = b"".join(parts)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def big(kind: bytes, data: bytes, size: int | None = None) -> bytes:
    """A box of 64 bits, perhaps with a size that is not its own."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(data) if size is None else size) + data


def full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def times(kind: bytes, version: int, created: int, scale: int, length: int, rest: int) -> bytes:
    """An mvhd or mdhd."""
    form = ">QQIQ" if version else ">IIII"
    return full(kind, version, 0, struct.pack(form, created, 0, scale, length), bytes(rest))


def tkhd(version: int, number: int, turn: tuple[int, ...], size_px: tuple[int, int], flags: int = 7) -> bytes:
    a, b, c, d = turn
    head = struct.pack(">QQIIQ" if version else ">IIIII", 0, 0, number, 0, 0)
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return full(
        b"tkhd", version, flags, head, bytes(16), matrix, struct.pack(">II", *(v << 16 for v in size_px))
    )


def track(
    *,
    version: int = 0,
    number: int = 1,
    handler: bytes = b"vide",
    codec: bytes = b"avc1",
    size_px: tuple[int, int] = (1920, 1080),
    shown_px: tuple[int, int] = (1920, 1080),
    turn: tuple[int, ...] = TURNS[0],
    scale: int = 30000,
    length: int | None = None,
    stts: Iterable[tuple[int, int]] = ((300, 1001),),
    samples: int | None = None,
    created: int = 0,
    flags: int = 7,
) -> bytes:
    """A trak; `length` None: what its samples add up to."""
    pairs = list(stts)
    n = sum(c for c, _ in pairs) if samples is None else samples
    length = sum(c * d for c, d in pairs) if length is None else length
    entry = box(codec, bytes(24), struct.pack(">HH", *size_px), bytes(50)) if codec else b""
    table = box(
        b"stbl",
        full(b"stsd", 0, 0, struct.pack(">I", bool(codec)), entry),
        full(b"stts", 0, 0, struct.pack(">I", len(pairs)), *(struct.pack(">II", *p) for p in pairs)),
        full(b"stsz", 0, 0, struct.pack(">II", 0, n), bytes(4 * min(n, 1000))),
    )
    return box(
        b"trak",
        tkhd(version, number, turn, shown_px, flags),
        box(b"edts", bytes(28)),
        box(
            b"mdia",
            times(b"mdhd", version, created, scale, length, 4),
            full(b"hdlr", 0, 0, bytes(4), handler, bytes(13)),
            box(b"minf", full(b"vmhd", 0, 1, bytes(8)), box(b"dinf", bytes(28)), table),
        ),
    )


def mvhd(
    version: int = 0, created: int = SINCE_1904_S + TAKEN_S, scale: int = 1000, length: int = 10010
) -> bytes:
    return times(b"mvhd", version, created, scale, length, 80)


def moov(*parts: bytes) -> bytes:
    return box(b"moov", *(parts or (mvhd(), track())))


FTYP = box(b"ftyp", b"isom", bytes(4), b"isommp42")
MDAT = box(b"mdat", bytes(500))


def read(data: bytes) -> Video:
    """What is read of a file in memory; of absent values none is 0, and none is one that there cannot be."""
    video = probe(MemoryBytes(data, "a.mp4"))
    for name in ("codec", "width_px", "height_px", "fps", "duration_s", "creation_s", "brand", "container"):
        assert getattr(video, name) != 0 and getattr(video, name) != ""
    for value in (video.fps, video.duration_s, video.creation_s):
        assert value is None or (math.isfinite(value) and value > 0)
    assert video.rotation_deg is None or 0 <= video.rotation_deg < 360
    assert not video.is_truncated or video.reason
    return video


def refused(data: bytes) -> str:
    with pytest.raises(UnreadableFile) as e:
        probe(MemoryBytes(data, "a.mp4"))
    assert e.value.path == "a.mp4" and e.value.hint
    return e.value.reason


# ---- what is written is read

junk = st.lists(
    st.builds(
        box, st.sampled_from((b"free", b"wide", b"uuid", b"udta", b"skip", b"meta")), st.binary(max_size=60)
    ),
    max_size=3,
).map(b"".join)


@given(
    version=st.sampled_from((0, 1)),
    size_px=st.tuples(st.integers(1, 65535), st.integers(1, 65535)),
    turn=st.sampled_from(sorted(TURNS)),
    scale=st.integers(1, 1_000_000),
    stts=st.lists(st.tuples(st.integers(1, 500), st.integers(1, 100_000)), min_size=1, max_size=5),
    taken=st.integers(631152000, (1 << 32) - SINCE_1904_S - 1),
    codec=st.sampled_from(((b"avc1", "h264"), (b"hvc1", "hevc"), (b"mp4v", "mpeg4"), (b"av01", "av1"),
                           (b"vp09", "vp9"), (b"jpeg", "mjpeg"), (b"abcd", "abcd"))),
    is_moov_first=st.booleans(),
    others=st.tuples(junk, junk, junk, junk),
    has_64_bits=st.booleans(),
)  # fmt: skip
def test_a_header_says_what_was_written(
    version: int, size_px: tuple[int, int], turn: int, scale: int, stts: list[tuple[int, int]], taken: int,
    codec: tuple[bytes, str], is_moov_first: bool, others: tuple[bytes, ...], has_64_bits: bool,
) -> None:  # fmt: skip
    trak = track(version=version, codec=codec[0], size_px=size_px, turn=TURNS[turn], scale=scale, stts=stts)
    sound = track(version=version, number=2, handler=b"soun", codec=b"mp4a", turn=TURNS[90])
    head = box(b"moov", mvhd(version, SINCE_1904_S + taken), others[0], sound, others[1], trak)
    media = big(b"mdat", bytes(40)) if has_64_bits else box(b"mdat", bytes(40))
    body = head + others[2] + media if is_moov_first else others[2] + media + head
    video = read(FTYP + body + others[3])
    duration_s = sum(n * d for n, d in stts) / scale
    assert (video.container, video.brand, video.codec) == ("mp4", "isom", codec[1])
    assert (video.width_px, video.height_px, video.rotation_deg) == (*size_px, turn)
    assert video.duration_s == (duration_s if duration_s <= 366 * 86400 else 10.01)
    assert video.creation_s == taken
    frames = sum(n for n, _ in stts)
    if duration_s <= 366 * 86400 and frames / duration_s <= 100_000:
        assert video.fps == pytest.approx(frames / duration_s)
    assert not video.is_truncated and video.reason is None


def test_the_length_of_a_track_is_that_of_its_samples_where_its_header_has_none() -> None:
    stts = ((10, 1000), (1, 500))
    assert read(FTYP + moov(mvhd(), track(scale=1000, length=0, stts=stts)) + MDAT).duration_s == 10.5
    unknown = track(scale=1000, length=0xFFFFFFFF, stts=stts)
    assert read(FTYP + moov(mvhd(), unknown) + MDAT).duration_s == 10.5
    unknown = track(version=1, scale=1000, length=(1 << 64) - 1, stts=stts)
    assert read(FTYP + moov(mvhd(1), unknown) + MDAT).duration_s == 10.5


def test_the_length_of_the_movie_stands_in_for_a_track_without_one() -> None:
    assert read(FTYP + moov(mvhd(), track(length=0, stts=())) + MDAT).duration_s == 10.01
    assert read(FTYP + moov(mvhd(), track(scale=0)) + MDAT).duration_s == 10.01
    video = read(FTYP + moov(mvhd(length=0), track(scale=0)) + MDAT)
    assert video.duration_s is None and video.fps is None


@pytest.mark.parametrize(
    ("movie", "media", "expected"),
    [
        (SINCE_1904_S + TAKEN_S, 0, TAKEN_S),
        (0, SINCE_1904_S + TAKEN_S, TAKEN_S),
        (0, 0, None),
        (SINCE_1904_S, 0, None),  # 1970
        (SINCE_1904_S + 631152000 - 1, 0, None),  # the last second of 1989
        (TAKEN_S, 0, TAKEN_S),  # counted from 1970
        (86400, SINCE_1904_S + TAKEN_S, TAKEN_S),
        (1, 1, None),
    ],
)
def test_a_creation_time_is_one_that_there_can_be(movie: int, media: int, expected: int | None) -> None:
    assert read(FTYP + moov(mvhd(created=movie), track(created=media)) + MDAT).creation_s == expected


def test_years_behind_2100_are_none() -> None:
    late = mvhd(1, SINCE_1904_S + 4102444800)
    assert read(FTYP + moov(late, track()) + MDAT).creation_s is None


@pytest.mark.parametrize("turn", [(-ONE, 0, 0, ONE), (ONE, 0, 0, -ONE), (0, 0, 0, 0)])
def test_a_matrix_that_mirrors_or_flattens_is_no_rotation(turn: tuple[int, ...]) -> None:
    assert read(FTYP + moov(mvhd(), track(turn=turn)) + MDAT).rotation_deg is None


@pytest.mark.parametrize(
    ("ftyp", "container", "brand"),
    [
        (b"qt  ", "mov", "qt"), (b"M4V ", "m4v", "M4V"), (b"3gp5", "3gp", "3gp5"), (b"3g2a", "3gp", "3g2a"),
        (b"mp42", "mp4", "mp42"), (b"\x1b[2J", "mp4", r"\x1b[2J"), (b"", "mov", None),
    ],
)  # fmt: skip
def test_the_container_is_named_by_its_brand(ftyp: bytes, container: str, brand: str | None) -> None:
    head = box(b"ftyp", ftyp, bytes(4)) if ftyp else b""
    video = read(head + moov() + MDAT)
    assert (video.container, video.brand) == (container, brand)


def test_the_track_header_has_the_size_where_the_description_has_none() -> None:
    video = read(FTYP + moov(mvhd(), track(size_px=(0, 0), shown_px=(640, 480))) + MDAT)
    assert (video.width_px, video.height_px) == (640, 480)
    video = read(FTYP + moov(mvhd(), track(size_px=(0, 0), shown_px=(0, 0))) + MDAT)
    assert (video.width_px, video.height_px) == (None, None)


def test_a_codec_of_odd_letters_is_shown_and_none_is_absent() -> None:
    assert read(FTYP + moov(mvhd(), track(codec=b"\0\x01ab")) + MDAT).codec == r"\x00\x01ab"
    assert read(FTYP + moov(mvhd(), track(codec=b"\0\0\0\0")) + MDAT).codec is None
    assert read(FTYP + moov(mvhd(), track(codec=b"")) + MDAT).codec is None


def test_the_first_track_that_is_enabled_counts() -> None:
    off = track(number=1, codec=b"jpeg", flags=0)
    on = track(number=2, codec=b"hvc1")
    assert read(FTYP + moov(mvhd(), off, on, track(number=3)) + MDAT).codec == "hevc"
    assert read(FTYP + moov(mvhd(), off) + MDAT).codec == "mjpeg"


def test_sound_alone_has_a_length_and_a_reason() -> None:
    video = read(FTYP + moov(mvhd(), track(handler=b"soun")) + MDAT)
    assert video.codec is None and video.duration_s == 10.01 and video.reason == "has no video track"


# ---- fragments


def trex(number: int = 1, duration: int = 0) -> bytes:
    return full(b"trex", 0, 0, struct.pack(">IIIII", number, 1, duration, 0, 0))


def mvex(*parts: bytes) -> bytes:
    return box(b"mvex", *parts)


def fragment(
    number: int,
    durations: list[int] | int,
    *,
    start: int | None = None,
    default: int | None = None,
    version: int = 0,
    has_more: bool = False,
) -> bytes:
    """A moof and its mdat; durations of each sample, or how many samples there are."""
    tfhd = full(
        b"tfhd", 0, 0 if default is None else 0x9,
        struct.pack(">I", number) + (b"" if default is None else struct.pack(">QI", 0, default)),
    )  # fmt: skip
    tfdt = b"" if start is None else full(b"tfdt", version, 0, struct.pack(">Q" if version else ">I", start))
    if isinstance(durations, int):
        trun = full(b"trun", 0, 0x200, struct.pack(">I", durations), bytes(4 * durations))
    else:
        rows = b"".join(
            struct.pack(">II" if has_more else ">I", *((d, 9) if has_more else (d,))) for d in durations
        )
        flags = 0x105 | (0x200 if has_more else 0)
        trun = full(b"trun", 0, flags, struct.pack(">Iii", len(durations), 0, 0), rows)
    return box(b"moof", full(b"mfhd", 0, 0, bytes(4)), box(b"traf", tfhd, tfdt, trun)) + box(
        b"mdat", bytes(9)
    )


def fragmented(*fragments: bytes, extends: bytes = b"", **options: Any) -> bytes:
    head = moov(mvhd(length=0), track(scale=1000, stts=(), **options), extends or mvex(trex()))
    return FTYP + head + b"".join(fragments)


@given(
    st.lists(st.lists(st.integers(1, 10_000), min_size=1, max_size=20), min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 1 << 31),
    st.booleans(),
)
def test_fragments_add_up(runs: list[list[int]], is_timed: bool, begin: int, has_more: bool) -> None:
    at, fragments = begin, []
    for i, run in enumerate(runs):
        fragments.append(fragment(1, run, start=at if is_timed else None, version=i % 2, has_more=has_more))
        fragments.append(fragment(2, [50_000], start=at))  # the sound's
        at += sum(run)
    video = read(fragmented(*fragments))
    assert video.duration_s == (at - begin) / 1000
    assert video.fps == pytest.approx(sum(map(len, runs)) * 1000 / (at - begin))


def test_a_sample_lasts_as_long_as_its_fragment_its_track_says() -> None:
    assert read(fragmented(fragment(1, 10, default=40), fragment(1, 5, default=20))).duration_s == 0.5
    assert read(fragmented(fragment(1, 10), extends=mvex(trex(2, 7), trex(1, 100)))).duration_s == 1.0
    assert read(fragmented(fragment(1, 10))).duration_s is None


@pytest.mark.parametrize("version", [0, 1])
def test_a_promised_length_wins(version: int) -> None:
    mehd = full(b"mehd", version, 0, struct.pack(">Q" if version else ">I", 77_000))
    video = read(fragmented(fragment(1, [1000] * 25), extends=mvex(mehd, trex())))
    assert video.duration_s == 77.0 and video.fps == 1.0


def test_fragments_go_on_behind_the_samples_of_the_header() -> None:
    head = moov(mvhd(length=0), track(scale=1000, stts=((10, 100),)), mvex(trex()))
    video = read(FTYP + head + MDAT + fragment(1, [100] * 10, start=1000))
    assert video.duration_s == 2.0 and video.fps == 10.0


def test_of_very_many_fragments_the_ends_are_looked_at() -> None:
    timed = [fragment(1, [40], start=40 * i) for i in range(9000)]
    source = CountedBytes(fragmented(*timed))
    video = probe(source)
    assert video.duration_s == 360.0 and video.fps is None
    assert video.reason == "has more fragments than are counted"
    assert source.total < MIB
    assert read(fragmented(*[fragment(1, [40])] * 9000)).duration_s is None


def test_fragments_that_are_cut_off_are_truncated_and_count_as_far_as_they_go() -> None:
    data = fragmented(fragment(1, [1000] * 2), fragment(1, [1000] * 2))
    video = read(data[:-3])
    assert (
        video.is_truncated
        and video.duration_s == 4.0
        and video.reason == "ends 3 bytes before its media does"
    )
    assert read(data[:-30]).is_truncated


# ---- damage


def test_no_video_is_said_to_be_none() -> None:
    assert refused(b"") == "is empty"
    for data in (b"\xff\xd8\xff\xe0" + bytes(50), b"RIFF\0\0\0\0AVI LIST", b"text", b"\0" * 9999, b"\0"):
        assert refused(data) == "is no MP4 or QuickTime video"


def test_a_picture_in_boxes_is_said_to_be_one() -> None:
    assert (
        refused(box(b"ftyp", b"heic", bytes(8)) + box(b"meta", bytes(40)) + MDAT)
        == "is a picture and no video"
    )


@pytest.mark.parametrize(
    "media",
    [MDAT, big(b"mdat", bytes(40)), struct.pack(">I4s", 0, b"mdat") + bytes(99), big(b"mdat", b"", 1 << 63)],
)
def test_a_recording_that_was_cut_off_is_said_to_be(media: bytes) -> None:
    assert refused(FTYP + media) == "has no moov: the recording was cut off before its end"


def test_a_moov_that_is_cut_off_or_empty_is_refused() -> None:
    data = FTYP + MDAT + moov()
    for n in (1, 50, len(moov()) - 8):
        assert refused(data[:-n]) == "has a moov that is cut off"
    assert refused(data[: -len(moov())]) == "has no moov: the recording was cut off before its end"
    assert "no movie header" in refused(FTYP + box(b"moov") + MDAT)
    assert "no movie header" in refused(FTYP + box(b"moov", track()) + MDAT)
    assert refused(FTYP) == "has no moov: it is damaged or no video"


def test_media_that_reaches_beyond_the_file_is_truncated() -> None:
    video = read((FTYP + moov() + MDAT)[:-123])
    assert video.is_truncated and video.reason == "ends 123 bytes before its media does"
    assert video.duration_s == pytest.approx(10.01)
    assert read(FTYP + moov() + big(b"mdat", bytes(9), 1 << 63)).is_truncated
    assert read(FTYP + moov()).is_truncated
    assert not read(FTYP + moov() + MDAT + b"rest").is_truncated
    assert not read(FTYP + moov() + struct.pack(">I4s", 0, b"mdat") + bytes(50)).is_truncated


@pytest.mark.parametrize("size", [0, 1, 2, 7, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", [b"mvhd", b"trak", b"tkhd", b"mdia", b"mdhd", b"hdlr", b"minf", b"stbl", b"stsd",
                                  b"stts", b"stsz", b"mvex", b"moov", b"ftyp", b"mdat"])  # fmt: skip
def test_a_bogus_size_costs_values_or_a_message(kind: bytes, size: int) -> None:
    data = bytearray(FTYP + moov(mvhd(), track(), mvex(trex())) + MDAT)
    at = data.index(kind) - 4
    data[at : at + 4] = struct.pack(">I", size)
    outcome(bytes(data))


def outcome(data: bytes) -> Video | None:
    """Reads a file that may be damaged, within limits; None where it is refused."""
    source = CountedBytes(data)
    try:
        video = probe(source)
    except UnreadableFile:
        video = None
    assert source.total <= min(17 * MIB, 65536 + 4 * len(data))
    assert all(n <= MIB for _, n in source.spans)
    return video


BASES = (
    FTYP + moov(mvhd(), track(), track(number=2, handler=b"soun")) + MDAT,
    FTYP + big(b"mdat", bytes(50)) + moov(mvhd(1), track(version=1)),
    fragmented(*(fragment(1, [40] * 5, start=200 * i) for i in range(5)), extends=mvex(full(b"mehd", 0, 0, bytes(4)), trex())),
)  # fmt: skip
EXTREMES = (
    b"\0\0\0\0",
    b"\0\0\0\1",
    b"\0\0\0\7",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\x10",
)


@given(
    st.sampled_from(BASES),
    st.lists(
        st.tuples(st.integers(0, 5000), st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=8)),
        max_size=6,
    ),
    st.none() | st.integers(0, 5000),
)
def test_damaged_files_cost_a_message_at_most(
    base: bytes, changes: list[tuple[int, bytes]], length: int | None
) -> None:
    data = bytearray(base)
    for at, raw in changes:
        at %= len(base)
        data[at : at + len(raw)] = raw
    outcome(bytes(data[:length]))


@given(st.sampled_from((b"ftyp", b"moov", b"mdat", b"moof", b"uuid")), st.binary(max_size=300))
def test_any_bytes_cost_a_message_at_most(kind: bytes, data: bytes) -> None:
    outcome(bytes(3) + b"\x08" + kind + data)


def test_deep_nesting_many_boxes_and_many_tracks_are_walked_once() -> None:
    deep = b""
    for _ in range(2000):
        deep = box(b"moov", deep)
    assert outcome(FTYP + deep + MDAT) is None
    assert outcome(FTYP + box(b"free") * 600_000 + moov()) is None
    assert outcome(FTYP + moov(mvhd(), box(b"trak") * 100_000) + MDAT) is not None
    assert outcome(FTYP + moov(mvhd(), *[track()] * 1000) + MDAT) is not None


def test_a_table_that_claims_to_be_huge_is_not_read() -> None:
    huge = full(b"stts", 0, 0, struct.pack(">I", 0x20000000), bytes(3 * MIB))
    data = track(length=0).replace(full(b"stts", 0, 0, struct.pack(">III", 1, 300, 1001)), huge)
    source = CountedBytes(FTYP + moov(mvhd(), data) + MDAT)
    probe(source)
    assert source.total < MIB


@pytest.mark.parametrize("is_first", [True, False])
def test_a_file_of_ten_gigabytes_takes_a_few_reads(tmp_path: Path, is_first: bool) -> None:
    path, length = tmp_path / "big.mp4", 10 << 30
    start, end = FTYP + box(b"wide"), b""
    if is_first:
        start += moov()
    else:
        end = moov()
    start += struct.pack(">I4sQ", 1, b"mdat", length)
    with path.open("wb") as f:
        f.write(start)
        f.seek(len(start) - 16 + length)
        f.write(end)
        f.truncate(len(start) - 16 + length + len(end))
    calls: list[int] = []

    class Counted(FileBytes):
        def read_at(self, offset: int, n: int) -> bytes:
            calls.append(n)
            return super().read_at(offset, n)

    with Counted(str(path)) as source:
        video = probe(source)
    assert video.duration_s == pytest.approx(10.01) and not video.is_truncated
    assert len(calls) <= 8 and sum(calls) <= 16384


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is not there"):
        probe(FileBytes(str(tmp_path / "gone.mp4")))


def test_a_look_at_the_begin_tells_boxes_from_others() -> None:
    assert accepts(FTYP[:8]) and accepts(MDAT[:8])
    assert not accepts(b"RIFF\0\0\0\0") and not accepts(b"") and not accepts(b"\0\0\0\x18fty")
    assert ISOBMFF_SUFFIXES < VIDEO_SUFFIXES
    assert all(s == s.lower() and s.startswith(".") for s in VIDEO_SUFFIXES)
    assert {".mp4", ".mov", ".avi", ".mkv", ".mts", ".insv", ".360"} <= VIDEO_SUFFIXES


# ---- others who write and read such files


def made(path: Path, kind: str, codec: str, rate: int, frames: int, **options: str) -> bytes:
    """A video that FFmpeg writes."""
    with av.open(str(path), "w", format=kind, options=options) as container:
        container.metadata["creation_time"] = "2016-10-09T12:02:37Z"
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), 8 * i % 256, np.uint8), "yuv420p")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "codec", "options"),
    [
        ("mp4", "mpeg4", {}),
        ("mov", "mjpeg", {}),
        ("mov", "mpeg4", {"movflags": "faststart"}),
        ("3gp", "mpeg4", {}),
        ("ipod", "mpeg4", {}),
        ("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}),
        ("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov+default_base_moof+omit_tfhd_offset"}),
        ("mp4", "mpeg4", {"movflags": "frag_every_frame+delay_moov"}),
    ],
)
@pytest.mark.parametrize(("rate", "frames"), [(25, 40), (10, 1), (60, 7)])
def test_ffmpeg_writes_what_is_read(
    tmp_path: Path, kind: str, codec: str, options: dict[str, str], rate: int, frames: int
) -> None:
    data = made(tmp_path / "a", kind, codec, rate, frames, **options)
    video = read(data)
    assert (video.codec, video.width_px, video.height_px, video.rotation_deg) == (codec, 64, 48, 0)
    assert video.duration_s == pytest.approx(frames / rate, abs=1e-3)
    assert video.fps == pytest.approx(rate, rel=2e-2)
    assert video.creation_s == TAKEN_S and not video.is_truncated and video.reason is None
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == video.codec
        assert container.metadata["creation_time"].startswith("2016-10-09T12:02:37")


@pytest.mark.exiftool
@pytest.mark.parametrize("turn", sorted(TURNS))
@pytest.mark.parametrize("created", [SINCE_1904_S + TAKEN_S, TAKEN_S])
def test_exiftool_reads_the_same(tmp_path: Path, turn: int, created: int) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(FTYP + moov(mvhd(created=created), track(turn=TURNS[turn])) + MDAT)
    (said,) = json.loads(
        subprocess.run(
            ["exiftool", "-j", "-n", "-api", "QuickTimeUTC=0", "-CreateDate", "-Rotation", "-MediaDuration",
             "-ImageWidth", "-ImageHeight", str(path)],
            check=True, capture_output=True,
        ).stdout
    )  # fmt: skip
    video = read(path.read_bytes())
    assert said["CreateDate"] == "2016:10:09 12:02:37" and video.creation_s == TAKEN_S
    assert said["Rotation"] == video.rotation_deg == turn
    assert said["MediaDuration"] == pytest.approx(video.duration_s)
    assert (said["ImageWidth"], said["ImageHeight"]) == (video.width_px, video.height_px)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("karma.mp4", Video("mp4", "mp41", "h264", 854, 480, 0, 30000 / 1001, 1087086 / 90000, 1492457277.0)),
        ("sample-5s.mp4", Video("mp4", "isom", "h264", 1920, 1080, 0, 30.0, 5.7)),
    ],
)
def test_real_files(tmp_path: Path, name: str, expected: Video) -> None:
    path = shutil.copyfile(REAL_DATA / "video" / name, tmp_path / name)
    with FileBytes(str(path)) as source:
        assert probe(source) == expected
    data = path.read_bytes()
    assert refused(data[: len(data) // 2]) == "has no moov: the recording was cut off before its end"
