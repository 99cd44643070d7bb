"""What a camera wrote comes back; what it did not write is absent; what is nonsense is named and left out."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from headers import CountedBytes, Header, check, hostile_tiff, in_jpeg, read
from hypothesis import example, given, settings
from hypothesis import strategies as st

from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.metadata.read import EMPTY, header
from photos import Shot, exif, gps_tags, jpeg, segment

EPOCH = datetime(1970, 1, 1)
DATA = Path(__file__).parents[2].parent / "shared" / "data"
AT = "2018:06:08 13:24:10"
AT_S = 1528464250.0

orders = st.sampled_from("<>")
# Before the GPS directory: none, some, past the first window, at the end of a segment.
gaps = st.sampled_from((0, 1, 15_000, 16_384, 20_000, 60_000)) | st.integers(0, 60_000)


def same(a: float, b: float, within: float = 0.0) -> bool:
    return (math.isnan(a) and math.isnan(b)) or abs(a - b) <= within


def camera(
    exif_tags: Mapping[int, tuple[int, Any]] | None = None, gps: Mapping[int, tuple[int, Any]] | None = None,
    first: Mapping[int, tuple[int, Any]] | None = None, *, order: str = "<", xmp: bytes = b"",
) -> Header:  # fmt: skip
    """The row of a photo with these tags."""
    return read(jpeg(exif(first or {}, exif_tags, gps, order=order), xmp=xmp))


def text(value: str | bytes) -> tuple[int, Any]:
    return 2, value


# Properties: values


@given(st.floats(-90, 90), st.floats(-180, 180), orders, gaps)
@example(90.0, -180.0, ">", 60_000)
@example(-1e-9, 1e-9, "<", 0)
@example(-59.99999999 / 60, 179.9999999999, "<", 0)
def test_a_position_comes_back(lat: float, lon: float, order: str, gap: int) -> None:
    row = read(jpeg(exif({}, None, gps_tags(lat, lon), order=order, gap=gap)))
    if abs(lat) < 1e-9 and abs(lon) < 1e-9:
        return
    assert same(row.lat_deg, lat, 1e-7) and same(row.lon_deg, lon, 1e-7)
    assert (row.position_in, row.note) == ("exif", None)


@given(
    st.datetimes(datetime(1800, 1, 1), datetime(2100, 12, 31)), st.none() | st.text("0123456789", min_size=1, max_size=9),
    st.none() | st.tuples(st.sampled_from("+-"), st.integers(0, 14), st.integers(0, 59)), orders, gaps,
    st.sampled_from(((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012), (0x0132, 0x9290, 0x9010))),
)  # fmt: skip
@example(EPOCH, "000000001", ("-", 0, 0), "<", 0, (0x9003, 0x9291, 0x9011))
def test_a_capture_time_comes_back(
    when: datetime, sub: str | None, ahead: tuple[str, int, int] | None, order: str, gap: int, tags: tuple[int, int, int]
) -> None:  # fmt: skip
    when = when.replace(microsecond=0)
    written = when.strftime("%Y:%m:%d %H:%M:%S").rjust(19, "0")
    values = {tags[0]: text(written)}
    expected_offset = math.nan
    if sub is not None:
        values[tags[1]] = text(sub)
    if ahead is not None:
        sign, hours, minutes = ahead
        values[tags[2]] = text(f"{sign}{hours:02d}:{minutes:02d}")
        expected_offset = (hours * 3600 + minutes * 60) * (-1 if sign == "-" else 1)
    first = {t: v for t, v in values.items() if t == 0x0132}
    rest = {t: v for t, v in values.items() if t != 0x0132}
    row = read(jpeg(exif(first, rest, gps_tags(1, 2), order=order, gap=gap)))
    fraction = float(Fraction(f"0.{sub}")) if sub else 0.0
    assert same(row.local_s, (when - EPOCH) // timedelta(seconds=1) + fraction, 1e-6)
    assert same(row.offset_s, expected_offset)
    assert row.note is None


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 12, 31)), orders, gaps
)  # fmt: skip
def test_a_gps_time_comes_back(when: datetime, order: str, gap: int) -> None:
    row = read(jpeg(exif({}, {}, gps_tags(time=when.replace(tzinfo=UTC)), order=order, gap=gap)))
    assert same(row.gps_time_s, (when - EPOCH).total_seconds(), 2e-6)
    assert math.isnan(row.local_s) and row.note is None


# Above 1e-9 a rational with a denominator of 10^6 says it; NaN and None are tags that are not written.
_angles = st.none() | st.integers(0, 35_999).map(lambda v: Fraction(v, 100))
_amounts = st.none() | st.integers(1, 10**6).map(lambda v: Fraction(v, 1000))
_words = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
_UNITS = {"K": 3.6, "M": 3600 / 1609.344, "N": 3600 / 1852}


@settings(max_examples=200)
@given(
    heading=_angles, course=_angles, norths=st.tuples(st.sampled_from("TM"), st.sampled_from("TM")), speed=_amounts,
    unit=st.sampled_from((None, "K", "M", "N", "k")), dop=_amounts, error=_amounts,
    alt=st.none() | st.integers(-11_000_000, 99_000_000).map(lambda v: v / 1000), orientation=st.none() | st.integers(1, 8),
    words=st.tuples(_words, _words, _words, _words, _words), size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    order=orders, gap=gaps, thumbnail=st.booleans(),
)  # fmt: skip
def test_every_other_value_comes_back(
    heading: Fraction | None, course: Fraction | None, norths: tuple[str, str], speed: Fraction | None, unit: str | None,
    dop: Fraction | None, error: Fraction | None, alt: float | None, orientation: int | None,
    words: tuple[str | None, ...], size: tuple[int, int], order: str, gap: int, thumbnail: bool,
) -> None:  # fmt: skip
    gps = gps_tags(47.5, 8.5, alt_m=alt)
    for tag, value in ((17, heading), (15, course), (13, speed), (11, dop), (31, error)):
        if value is not None:
            gps[tag] = (5, value)
    gps[16], gps[14] = text(norths[0]), text(norths[1])
    if unit is not None:
        gps[12] = text(unit)
    first: dict[int, tuple[int, Any]] = {} if orientation is None else {0x0112: (3, orientation)}
    exif_tags: dict[int, tuple[int, Any]] = {}
    for tag, word in zip((0x010E, 0x010F, 0x0110, 0xA431, 0xA434), words, strict=True):
        if word is not None:
            (first if tag < 0x8000 else exif_tags)[tag] = text(word)
    block = exif(first, exif_tags, gps, order=order, gap=gap, thumbnail=jpeg() if thumbnail else b"")
    row = read(jpeg(block, columns=size[0], rows=size[1]))

    def number(value: Any) -> float:
        return math.nan if value is None else float(value)

    assert same(row.alt_m, number(alt), 6e-4)
    assert same(row.heading_deg, number(heading), 1e-9) and same(row.course_deg, number(course), 1e-9)
    assert (row.heading_ref, row.course_ref) == (
        norths[0] if heading is not None else None, norths[1] if course is not None else None,
    )  # fmt: skip
    assert same(row.speed_mps, number(speed) / _UNITS[(unit or "K").upper()], 1e-9)
    assert same(row.dop, number(dop)) and same(row.error_m, number(error))
    assert same(row.orientation, number(orientation))
    stripped = [None if word is None else word.strip() or None for word in words]
    assert [row.description, row.make, row.model, row.serial, row.lens] == stripped
    assert (row.width_px, row.height_px) == (size[0] * 8, size[1] * 8)
    assert row.note is None


def test_both_byte_orders_say_the_same() -> None:
    shots = [
        Shot(
            local=AT, subsec="05", offset="-07:00", lat_deg=-33.856784, lon_deg=151.215297, alt_m=-4.5,
            gps_time=datetime(2018, 6, 8, 20, 24, 11, tzinfo=UTC), heading_deg=271.5, serial="1", description="d",
            order=order,
        )
        for order in "<>"
    ]  # fmt: skip
    little, big = (read(shot.bytes()) for shot in shots)
    assert repr(little) == repr(big)
    assert (little.local_s, little.offset_s, little.gps_time_s) == (AT_S + 0.05, -25200.0, 1528489451.0)
    assert (little.alt_m, little.heading_deg, little.serial) == (-4.5, 271.5, "1")


# Properties: anything else

_SHOT = Shot(
    local=AT, subsec="123", offset="+02:00", lat_deg=47.3, lon_deg=-8.5, alt_m=408.25, heading_deg=12.5, serial="SN",
    description="a caption", gps_time=datetime(2018, 6, 8, 11, 24, 10, tzinfo=UTC), thumbnail=jpeg(),
    more_gps={"t13": (5, Fraction(5)), "t15": (5, Fraction(3)), "t11": (5, Fraction(2)), "t31": (5, Fraction(4))},
)  # fmt: skip
_XMP = b'<x:xmpmeta><rdf:Description exif:GPSLatitude="0,4.2S" exif:GPSLongitude="34,22.9E"/></x:xmpmeta>'
VALID = {
    "little": _SHOT.bytes(),
    "big": jpeg(exif({}, {0x9003: text(AT)}, gps_tags(1, 2, alt_m=3), order=">", gap=20_000)),
    "xmp": jpeg(exif({}, {0x9003: text(AT)}), xmp=_XMP),
}
_changes = st.lists(
    st.tuples(st.sampled_from(("set", "cut", "put", "drop")), st.integers(0, 700) | st.integers(0, 30_000), st.binary(min_size=1, max_size=8)),
    min_size=1, max_size=6,
)  # fmt: skip


def changed(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, at, new in changes:
        at %= len(data) + 1
        if kind == "cut":
            data = data[:at]
        else:
            rest = data[at:] if kind == "put" else data[at + len(new) :]
            data = data[:at] + (b"" if kind == "drop" else new) + rest
    return data


def row_or_error(data: bytes) -> Header | UnreadableFile:
    """Reads it, and holds the reader to its bounds on the way."""
    source = CountedBytes(data)
    try:
        row = check(Header(*header(source)))
    except UnreadableFile as e:
        assert str(e).startswith("<memory>: ") and e.hint
        return e
    assert max(n for _, n in source.spans) <= 65536
    assert source.total <= 1 << 20
    return row


@settings(max_examples=400, deadline=timedelta(seconds=2))
@given(st.sampled_from(sorted(VALID)), _changes)
def test_a_damaged_file_gives_a_row_or_is_unreadable(
    name: str, changes: list[tuple[str, int, bytes]]
) -> None:
    row_or_error(changed(VALID[name], changes))


@settings(max_examples=200, deadline=timedelta(seconds=2))
@given(
    st.sampled_from((b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\0\x40Exif\0\0II*\0\x08\0\0\0")),
    st.binary(max_size=600),
)
def test_any_bytes_give_a_row_or_are_unreadable(start: bytes, rest: bytes) -> None:
    found = row_or_error(start + rest)
    assert isinstance(found, UnreadableFile) == ((start + rest)[:3] != b"\xff\xd8\xff")


@settings(max_examples=500, deadline=timedelta(seconds=2))
@given(hostile_tiff())
def test_directories_that_no_camera_writes_give_a_row(block: bytes) -> None:
    row = row_or_error(in_jpeg(block))
    assert isinstance(row, Header) and (row.width_px, row.height_px) == (16, 8)


@settings(max_examples=100)
@given(st.sampled_from(sorted(VALID)), st.lists(_changes, max_size=1))
def test_a_file_and_its_bytes_in_memory_say_the_same(
    folder: Path, name: str, changes: list[list[tuple[str, int, bytes]]]
) -> None:
    data = changed(VALID[name], changes[0] if changes else [])
    path = folder / "a.jpg"
    path.write_bytes(data)

    def answer(source: Any) -> str:
        try:
            return repr(header(source))
        except UnreadableFile as e:
            return repr((e.reason, e.hint))

    with FileBytes(str(path)) as source:
        assert answer(source) == answer(MemoryBytes(data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("name", sorted(VALID))
def test_every_cut_of_a_file_is_noticed(name: str) -> None:
    data = VALID[name]
    for at in [*range(min(700, len(data))), *range(700, len(data), 97), len(data) - 2, len(data) - 1]:
        found = row_or_error(data[:at])
        if isinstance(found, Header):
            assert found.note is not None, at
            assert "cut off" in found.note and "copy it again" in found.note, (at, found.note)


def test_a_cut_behind_the_thumbnail_is_noticed_although_that_one_has_an_end() -> None:
    # The thumbnail's end mark lies in the last 64 KiB of a small file.
    data = jpeg(exif({}, thumbnail=jpeg()), columns=40, rows=40)
    assert read(data).note is None
    assert "the picture has no end" in (read(data[:-100]).note or "")


# Cost


def large(block: bytes, **more: Any) -> bytes:
    """A photo of 3 MB."""
    return jpeg(block, **more)[:-2] + b"\x55" * 3_000_000 + b"\xff\xd9"


@pytest.mark.parametrize(
    ("gap", "most"), [(0, 16384 + 16), (15_000, 16384 + 16 + 1024), (20_000, 16384 + 4096 + 16 + 1024)]
)
@pytest.mark.parametrize("order", "<>")
def test_only_the_needed_bytes_of_a_photo_are_read(gap: int, most: int, order: str) -> None:
    gps = gps_tags(1, 2, alt_m=3, heading_deg=4, time=datetime(2018, 6, 8, tzinfo=UTC))
    data = large(
        exif(
            {0x010F: text("Made")},
            {0x9003: text(AT), 0xA434: text("A lens")},
            gps,
            order=order,
            gap=gap,
            thumbnail=bytes(30_000 if gap > 16_384 else 0),
        )
    )
    source = CountedBytes(data)
    row = Header(*header(source))
    assert (row.make, row.local_s, row.lat_deg, row.lens, row.note) == ("Made", AT_S, 1.0, "A lens", None)
    assert source.total <= most
    picture = data.index(b"\x55" * 1000) + 16384
    assert not [span for span in source.spans if picture < span[0] + span[1] and span[0] < len(data) - 16]


def test_the_xmp_is_left_alone_where_the_exif_has_a_position() -> None:
    filler = (segment(0xE2, bytes(30_000)),)
    data = large(exif({}, None, gps_tags(1, 2)), xmp=_XMP + bytes(40_000), extra=filler)
    source = CountedBytes(data)
    row = Header(*header(source))
    assert (row.lat_deg, row.position_in) == (1.0, "exif")
    assert source.total < 16384 + 4096


@settings(max_examples=50)
@given(st.integers(0, 60_000))
def test_a_directory_anywhere_costs_one_more_read(gap: int) -> None:
    gps = gps_tags(1, 2, alt_m=3)
    source = CountedBytes(large(exif({}, {0x9003: text(AT)}, gps, gap=gap)))
    row = Header(*header(source))
    assert (row.lat_deg, row.alt_m, row.local_s) == (1.0, 3.0, AT_S)
    assert source.total <= 16384 + 2 * 4096 + 1024 + 16


# Named cases: files that are no photos


@pytest.mark.parametrize(
    ("data", "reason", "hint"),
    [
        (b"", "is empty", "copy it again from the card or a backup"),
        (b"\xff", "is no JPEG (its first bytes are not one's)", "copy it again"),
        (b"\xff\xd8", "is no JPEG", "copy it again"),
        (b"\0" * 5000, "is no JPEG", "copy it again"),
        (b"hello", "is no JPEG", "copy it again"),
        (b"\x89PNG\r\n\x1a\n", "is no JPEG but a PNG picture", "give it the suffix of what it is"),
        (b"GIF89a", "is no JPEG but a GIF picture", "suffix"),
        (b"II*\0\x08\0\0\0", "is no JPEG but a TIFF or raw picture", "suffix"),
        (b"MM\0*\0\0\0\x08", "is no JPEG but a TIFF or raw picture", "suffix"),
        (b"BM\x36\0", "is no JPEG but a BMP picture", "suffix"),
        (b"%PDF-1.4", "is no JPEG but a PDF document", "suffix"),
        (b"PK\3\4", "is no JPEG but a ZIP archive", "suffix"),
        (b"<!DOCTYPE html>", "is no JPEG but a web page or XML", "suffix"),
        (b"\0\0\0\x18ftypheic", "is no JPEG but a HEIC picture or a video", "suffix"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "is no JPEG but a WebP picture", "suffix"),
    ],
)
def test_a_file_that_is_no_jpeg_is_named_with_what_to_do(data: bytes, reason: str, hint: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        header(MemoryBytes(data, "day 1/a.jpg"))
    assert caught.value.reason.startswith(reason)
    assert hint in caught.value.hint
    assert str(caught.value).startswith("day 1/a.jpg: ") and "\n" not in str(caught.value)
    assert not caught.value.retryable


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is not there") as caught:
        header(FileBytes(str(tmp_path / "gone.jpg")))
    assert caught.value.retryable and "gone.jpg" in str(caught.value)


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile) as caught:
        header(FileBytes(str(tmp_path)))
    assert caught.value.reason in ("is a folder", "may not be read") and caught.value.hint


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        (PermissionError(13, "Permission denied"), "may not be read", "give yourself the right to read it"),
        (OSError(5, "Input/output error"), "cannot be read (Input/output error)", "check the disk"),
    ],
)
def test_a_file_that_the_system_does_not_give_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str, hint: str
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(VALID["little"])

    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr("camtrail.core.bytes.os.open", refuse)
    with pytest.raises(UnreadableFile) as caught:
        header(FileBytes(str(path)))
    assert caught.value.reason == reason and hint in caught.value.hint and caught.value.retryable


class _Failing(MemoryBytes):
    """A card that is pulled out after the first read."""

    def read_at(self, offset: int, n: int) -> bytes:
        if offset:
            raise UnreadableFile(
                self.name, "cannot be read (Input/output error)", "check the disk", retryable=True
            )
        return super().read_at(offset, n)


def test_a_disk_that_fails_in_between_is_no_damage_of_the_file() -> None:
    with pytest.raises(UnreadableFile, match="Input/output error"):
        header(_Failing(VALID["big"]))


@pytest.mark.data
@pytest.mark.parametrize("name", ["corrupt_exif.jpg", "corrupt_exif_large_thumbnail.jpg"])
def test_broken_files_from_the_field_are_read(name: str) -> None:
    row = read((DATA / "broken" / name).read_bytes())
    assert row.width_px > 0
    if name == "corrupt_exif.jpg":
        assert row.model == "ONEPLUS A3003" and same(row.lat_deg, 48.0810453, 1e-7)


# Named cases: dates


@pytest.mark.parametrize(
    ("written", "seconds", "ahead"),
    [
        ("2018:06:08 13:24:10", 0.0, None),
        ("2018-06-08 13:24:10", 0.0, None),
        ("2018-06-08T13:24:10", 0.0, None),
        ("2018/06/08 13:24:10", 0.0, None),
        ("2018.06.08 13:24:10", 0.0, None),
        ("2018: 6: 8 13:24:10", 0.0, None),
        ("2018:6:8 13:24:10", 0.0, None),
        ("2018:06:08 13:24:10 ", 0.0, None),
        ("  2018:06:08 13:24:10", 0.0, None),
        ("2018:06:08  13:24:10", 0.0, None),
        ("2018:06:08 13:24", -10.0, None),
        ("2018:06:08 13:24:10.25", 0.25, None),
        ("2018:06:08 13:24:10,5", 0.5, None),
        ("2018:06:08 13:24:10Z", 0.0, 0.0),
        ("2018-06-08T13:24:10.5Z", 0.5, 0.0),
        ("2018:06:08 13:24:10+05:45", 0.0, 20700.0),
        ("2018:06:08 13:24:10 -0330", 0.0, -12600.0),
        ("2018:06:08 13:24:60", 50.0, None),
        ("2018:06:07 24:00:00", -48250.0, None),
        ("2018:06:07 24:30:00", -46450.0, None),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_dates_as_cameras_and_programs_write_them(
    written: str, seconds: float, ahead: float | None, order: str
) -> None:
    row = camera({0x9003: text(written)}, order=order)
    assert row.local_s == AT_S + seconds
    assert same(row.offset_s, math.nan if ahead is None else ahead)
    assert row.note is None


@pytest.mark.parametrize(
    "written",
    [
        "0000:00:00 00:00:00", "2018:02:30 13:24:10", "2018:13:01 13:24:10", "2018:06:08 25:00:00", "2018:06:08 13:60:00",
        "2018:06:08 13:24:61", "9999:99:99 99:99:99", "9999:12:31 23:59:59", "1799:12:31 23:59:59", "2018:06:08", "13:24:10",
        "2018:06:08 13:24:10 Uhr", "2018:06:08 -1:24:10", "2018:06:08 13:24:1x", "1528464250",
    ],
)  # fmt: skip
def test_a_date_that_is_none_is_named(written: str) -> None:
    row = camera({0x9003: text(written)})
    assert math.isnan(row.local_s)
    assert row.note == f"its date {written!r} is none"


@pytest.mark.parametrize("written", ["", "    :  :     :  :  ", "                   ", b"\0" * 20])
def test_a_blank_date_is_an_absent_one(written: str | bytes) -> None:
    row = camera({0x9003: text(written)})
    assert math.isnan(row.local_s) and row.note is None


def test_control_characters_of_a_date_do_not_reach_the_terminal() -> None:
    row = camera({0x9003: text("2018\x1b[31m\n")})
    assert row.note is not None and "\x1b" not in row.note and "\n" not in row.note


def test_the_date_taken_wins_over_digitized_and_changed() -> None:
    taken, digitized, changed_ = (text(f"2018:06:08 13:24:{s}") for s in (10, 20, 30))
    modified = {0x0132: changed_}
    assert camera({0x9003: taken, 0x9004: digitized}, first=modified).local_s == AT_S
    assert camera({0x9004: digitized}, first=modified).local_s == AT_S + 10
    assert camera({}, first=modified).local_s == AT_S + 20
    assert camera(None, first=modified).local_s == AT_S + 20


@pytest.mark.parametrize("bad", ["0000:00:00 00:00:00", "    :  :     :  :  ", ""])
def test_a_date_that_is_none_falls_back_to_the_next(bad: str) -> None:
    row = camera({0x9003: text(bad), 0x9004: text(AT)})
    assert (row.local_s, row.note) == (AT_S, None)
    row = camera({0x9003: text(bad), 0x9004: text(bad)}, first={0x0132: text(AT)})
    assert (row.local_s, row.note) == (AT_S, None)


@pytest.mark.parametrize(
    ("tags", "ahead"),
    [
        ({0x9003: AT, 0x9011: "-07:00"}, -25200.0),
        ({0x9003: AT, 0x9011: "+0530"}, 19800.0),
        ({0x9003: AT, 0x9011: "Z"}, 0.0),
        ({0x9003: AT, 0x9011: " +01:00 "}, 3600.0),
        ({0x9003: AT, 0x9011: "+15:00"}, None),
        ({0x9003: AT, 0x9011: "+01:60"}, None),
        ({0x9003: AT, 0x9011: "   :  "}, None),
        ({0x9003: AT, 0x9011: "CEST"}, None),
        ({0x9004: AT, 0x9012: "+01:00"}, 3600.0),
        ({0x0132: AT, 0x9010: "+01:00"}, 3600.0),
        # Of an unedited photo, whose date of change is the one it was taken at, one offset speaks for both ...
        ({0x9003: AT, 0x0132: AT, 0x9010: "+01:00"}, 3600.0),
        ({0x9003: AT, 0x0132: AT, 0x9010: "+01:00", 0x9011: "+02:00"}, 7200.0),
        ({0x9003: AT, 0x0132: AT, 0x9010: "+01:00", 0x9011: "   :  "}, 3600.0),
        # ... of an edited one it speaks for the computer.
        ({0x9003: AT, 0x0132: "2020:01:01 00:00:00", 0x9010: "+01:00"}, None),
        ({0x9003: AT, 0x9012: "+01:00"}, None),
        # An offset that is none does not hide the one in the text.
        ({0x9003: AT + "+03:00", 0x9011: "   :  "}, 10800.0),
        ({0x9003: AT + "+03:00", 0x9011: "+04:00"}, 14400.0),
    ],
)
def test_what_the_clock_is_ahead_of_utc(tags: dict[int, str], ahead: float | None) -> None:
    first = {t: text(v) for t, v in tags.items() if t == 0x0132}
    row = camera({t: text(v) for t, v in tags.items() if t != 0x0132}, first=first)
    assert row.local_s == AT_S
    assert same(row.offset_s, math.nan if ahead is None else ahead)


@pytest.mark.parametrize(
    ("sub", "fraction"),
    [
        ("5", 0.5), ("05", 0.05), ("005", 0.005), ("50", 0.5), ("123456", 0.123456), ("  ", 0.0), ("", 0.0), ("12 ", 0.12),
        (" 12", 0.12), ("12ms", 0.12), ("x", 0.0), ("0", 0.0), ("999999999999", 0.999999999),
    ],
)  # fmt: skip
def test_digits_of_a_second(sub: str, fraction: float) -> None:
    assert same(camera({0x9003: text(AT), 0x9291: text(sub)}).local_s, AT_S + fraction, 1e-6)


def test_the_sub_second_tag_wins_over_the_fraction_in_the_text_unless_it_is_blank() -> None:
    written = text(AT + ".75")
    assert camera({0x9003: written, 0x9291: text("5")}).local_s == AT_S + 0.5
    assert camera({0x9003: written, 0x9291: text("   ")}).local_s == AT_S + 0.75


# Named cases: GPS time


@pytest.mark.parametrize(
    ("day", "clock", "seconds"),
    [
        ("2018:06:08", [13, 24, 10], AT_S),
        ("2018-06-08", [13, 24, 10], AT_S),
        ("2018:06:08", [13, 24, Fraction(21, 2)], AT_S + 0.5),
        ("2018:06:08", [24, 0, 0], 1528502400.0),
        ("2018:06:08", [13, 24, 60], AT_S + 50),
        ("1970:01:01", [13, 24, 10], math.nan),
        ("1970:01:02", [0, 0, 0], 86400.0),
        ("0000:00:00", [13, 24, 10], math.nan),
        ("9999:12:31", [13, 24, 10], math.nan),
        ("2018:02:30", [13, 24, 10], math.nan),
        ("2018", [13, 24, 10], math.nan),
        ("", [13, 24, 10], math.nan),
        (None, [13, 24, 10], math.nan),
        ("2018:06:08", None, math.nan),
        ("2018:06:08", [25, 0, 0], math.nan),
        ("2018:06:08", [13, 60, 0], math.nan),
        ("2018:06:08", [13, 24, 61], math.nan),
        ("2018:06:08", [(0, 0), (0, 0), (0, 0)], math.nan),
        ("2018:06:08", [13, 24, (0, 0)], math.nan),
    ],
)
def test_gps_date_and_time(day: str | None, clock: list[Any] | None, seconds: float) -> None:
    gps: dict[int, tuple[int, Any]] = {}
    if day is not None:
        gps[29] = text(day)
    if clock is not None:
        gps[7] = (5, clock)
    assert same(camera(None, gps).gps_time_s, seconds)


# Named cases: position


@pytest.mark.parametrize(
    ("gps", "note"),
    [
        ({1: text("N"), 2: (5, [0, 0, 0]), 3: text("E"), 4: (5, [0, 0, 0])}, "is 0, 0"),
        ({1: text("S"), 2: (5, [0, 0, 0]), 3: text("W"), 4: (5, [0, 0, 0])}, "is 0, 0"),
        ({1: text("N"), 2: (5, [(0, 0), (0, 0), (0, 0)]), 3: text("E"), 4: (5, [(0, 0), (0, 0), (0, 0)])}, "divided by zero"),
        ({1: text("N"), 2: (5, [47, 30, (1, 0)]), 3: text("E"), 4: (5, [8, 0, 0])}, "divided by zero"),
        ({1: text("N"), 2: (5, [91, 0, 0]), 3: text("E"), 4: (5, [8, 0, 0])}, "out of range"),
        ({1: text("N"), 2: (5, [90, 0, 1]), 3: text("E"), 4: (5, [8, 0, 0])}, "out of range"),
        ({1: text("N"), 2: (5, [47, 0, 0]), 3: text("E"), 4: (5, [180, 0, 1])}, "out of range"),
        ({1: text("N"), 2: (10, [-47, 0, 0]), 3: text("E"), 4: (5, [8, 0, 0])}, "out of range"),
        ({1: text("N"), 2: (5, [47, 0, 0])}, "missing"),
        ({3: text("E"), 4: (5, [8, 0, 0])}, "missing"),
        ({1: text("N"), 2: text("47.5"), 3: text("E"), 4: text("8.5")}, "missing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", "<>")
def test_a_position_that_is_none_is_named(gps: dict[int, tuple[int, Any]], note: str, order: str) -> None:
    row = camera({0x9003: text(AT)}, gps, order=order)
    assert math.isnan(row.lat_deg) and math.isnan(row.lon_deg) and row.position_in is None
    assert row.note is not None and row.note.startswith("its position") and note in row.note
    assert row.local_s == AT_S


def test_a_photo_without_gps_or_time_has_nothing_to_complain_of() -> None:
    row = camera()
    assert (row.position_in, row.note) == (None, None)
    assert math.isnan(row.local_s) and math.isnan(row.lat_deg) and math.isnan(row.gps_time_s)
    assert repr(read(jpeg())) == repr(Header(*EMPTY)._replace(width_px=16, height_px=16))


@pytest.mark.parametrize(
    ("refs", "lat", "lon", "noted"),
    [
        (("N", "E"), 47.5, 8.25, False), (("S", "W"), -47.5, -8.25, False), (("s", "w"), -47.5, -8.25, False),
        (("South", "West"), -47.5, -8.25, False), ((" S", " W"), -47.5, -8.25, False), ((None, None), 47.5, 8.25, True),
        (("S", None), -47.5, 8.25, True), ((None, "W"), 47.5, -8.25, True), (("", ""), 47.5, 8.25, True),
        (("?", "W"), 47.5, -8.25, True), (("W", "S"), 47.5, 8.25, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", "<>")
def test_hemispheres(
    refs: tuple[str | None, str | None], lat: float, lon: float, noted: bool, order: str
) -> None:
    gps: dict[int, tuple[int, Any]] = {2: (5, [47, 30, 0]), 4: (5, [8, 15, 0])}
    gps.update({tag: text(ref) for tag, ref in zip((1, 3), refs, strict=True) if ref is not None})
    row = camera(None, gps, order=order)
    assert (row.lat_deg, row.lon_deg) == (lat, lon)
    assert (row.note is not None and "no N/S or E/W letter" in row.note) == noted


@pytest.mark.parametrize(
    ("parts", "lat"),
    [
        ([47, 30, 0], 47.5), ([Fraction(95, 2), 0, 0], 47.5), ([47, Fraction(61, 2), 0], 47 + 30.5 / 60), ([47, 30], 47.5),
        ([Fraction(95, 2)], 47.5), ([47, 59, 60], 48.0), ([90, 0, 0], 90.0), ([(4294967295, 4294967295), 0, 0], 1.0),
    ],
)  # fmt: skip
def test_degrees_minutes_and_seconds_in_every_split(parts: list[Any], lat: float) -> None:
    row = camera(None, {1: text("N"), 2: (5, parts), 3: text("E"), 4: (5, [8, 0, 0])})
    assert same(row.lat_deg, lat, 1e-12) and row.note is None


def test_the_poles_and_the_date_line_are_places() -> None:
    row = camera(None, gps_tags(-90.0, -180.0))
    assert (row.lat_deg, row.lon_deg, row.note) == (-90.0, -180.0, None)
    row = camera(None, gps_tags(0.0, 10.0))
    assert (row.lat_deg, row.lon_deg, row.note) == (0.0, 10.0, None)


# Named cases: the other numbers


@pytest.mark.parametrize(
    ("reference", "value", "alt"),
    [
        ((1, 0), (5, Fraction(100)), 100.0), ((1, 1), (5, Fraction(100)), -100.0), ((1, 2), (5, Fraction(100)), 100.0),
        ((1, 3), (5, Fraction(100)), -100.0), ((2, "1"), (5, Fraction(100)), -100.0), ((2, "0"), (5, Fraction(100)), 100.0),
        (None, (5, Fraction(100)), 100.0), ((1, 0), (10, Fraction(-5, 2)), -2.5), ((1, 1), (10, Fraction(-5, 2)), -2.5),
        ((1, 0), (5, [(0, 0)]), math.nan), ((1, 0), (5, [(1, 0)]), math.nan), ((1, 1), (5, Fraction(0)), 0.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", "<>")
def test_altitude_above_and_below(reference: Any, value: Any, alt: float, order: str) -> None:
    gps = gps_tags(1, 2)
    gps[6] = value
    if reference is not None:
        gps[5] = reference
    row = camera(None, gps, order=order)
    assert same(row.alt_m, alt) and row.note is None


@pytest.mark.parametrize(
    ("tag", "value", "column", "note"),
    [
        (6, (5, [(4294967295, 1)]), "alt_m", "its altitude of 4.29497e+09 is none"),
        (17, (5, [(65535, 1)]), "heading_deg", "its direction of 65535 is none"),
        (15, (5, [(65535, 1)]), "course_deg", "its track of 65535 is none"),
        (17, (5, [(0, 0)]), "heading_deg", None),
        (15, (5, [(1, 0)]), "course_deg", None),
        (13, (10, Fraction(-1)), "speed_mps", None),
        (11, (5, Fraction(0)), "dop", None),
        (31, (10, Fraction(-1)), "error_m", None),
    ],
)
def test_a_number_out_of_range_is_left_out(tag: int, value: Any, column: str, note: str | None) -> None:
    row = camera(None, {**gps_tags(1, 2), tag: value})
    assert math.isnan(getattr(row, column))
    assert (row.lat_deg, row.note) == (1.0, note)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300, -1e300, -1e-300])
@pytest.mark.parametrize("tag", [6, 11, 13, 15, 17, 31])
@pytest.mark.parametrize(("kind", "letter"), [(11, "f"), (12, "d")])
def test_floats_where_rationals_belong_are_numbers_or_left_out(
    number: float, tag: int, kind: int, letter: str
) -> None:
    if letter == "f" and math.isfinite(number):
        number = math.copysign(1e-38 if abs(number) < 1 else 3e38, number)
    # The builder writes no floats: 8 bytes of another type, which is then put right.
    raw = struct.pack(f"<{letter}", number)
    block = exif({}, None, {**gps_tags(1, 2), tag: (7, raw.ljust(8, b"\0"))})
    entry = block.index(struct.pack("<HHI", tag, 7, 8))
    if kind == 12:
        block = block[:entry] + struct.pack("<HHI", tag, 12, 1) + block[entry + 8 :]
    else:
        block = block[:entry] + struct.pack("<HHI4s", tag, 11, 1, raw) + block[entry + 12 :]
    row = read(jpeg(block))
    assert row.lat_deg == 1.0
    columns = {
        6: row.alt_m,
        11: row.dop,
        13: row.speed_mps,
        15: row.course_deg,
        17: row.heading_deg,
        31: row.error_m,
    }
    if not math.isfinite(number):
        assert math.isnan(columns[tag])


@pytest.mark.parametrize(
    ("value", "orientation"),
    [(1, 1), (6, 6), (8, 8), (0, None), (9, None), (65535, None)],
)
@pytest.mark.parametrize("order", "<>")
def test_orientation(value: int, orientation: int | None, order: str) -> None:
    row = camera(first={0x0112: (3, value)}, order=order)
    assert same(row.orientation, math.nan if orientation is None else orientation) and row.note is None


def test_an_orientation_between_two_is_none() -> None:
    assert math.isnan(camera(first={0x0112: (5, Fraction(3, 2))}).orientation)


@pytest.mark.parametrize(
    ("value", "heading"),
    [
        (Fraction(0), 0.0),
        (Fraction(360), 0.0),
        (Fraction(361), 1.0),
        (Fraction(720), 0.0),
        (Fraction(35999, 100), 359.99),
    ],
)
def test_directions_go_round(value: Fraction, heading: float) -> None:
    assert camera(None, {17: (5, value)}).heading_deg == heading
    assert camera(None, {15: (5, value)}).course_deg == heading


def test_a_direction_to_the_left_of_north() -> None:
    assert camera(None, {17: (10, Fraction(-90))}).heading_deg == 270.0


@pytest.mark.parametrize(
    ("written", "reference"), [("T", "T"), ("M", "M"), ("t", "T"), (" M", "M"), ("X", None), ("", None), ("\xdf", None), (None, None)]
)  # fmt: skip
def test_references_of_directions(written: str | None, reference: str | None) -> None:
    gps: dict[int, tuple[int, Any]] = {15: (5, Fraction(1)), 17: (5, Fraction(2))}
    if written is not None:
        gps[14] = gps[16] = text(written)
    row = camera(None, gps)
    assert (row.heading_ref, row.course_ref) == (reference, reference)


@pytest.mark.parametrize(
    ("unit", "mps"),
    [("K", 10.0), ("M", 36 * 0.44704), ("N", 36 * 1852 / 3600), (None, 10.0), ("", 10.0), ("n", 36 * 1852 / 3600), ("X", math.nan)],
)  # fmt: skip
def test_units_of_speed(unit: str | None, mps: float) -> None:
    gps: dict[int, tuple[int, Any]] = {13: (5, Fraction(36))}
    if unit is not None:
        gps[12] = text(unit)
    assert same(camera(None, gps).speed_mps, mps, 1e-12)


# Named cases: texts and sizes


@pytest.mark.parametrize(
    ("written", "make"),
    [
        (b"SONY\0", "SONY"), (b"SONY", "SONY"), (b"SONY\0\0\0\0\0\0", "SONY"), (b"SONY  \0", "SONY"), (b" SONY", "SONY"),
        (b"SONY\0rest of a buffer\0", "SONY"), (b"Caf\xe9 Cam\0", "Café Cam"), ("Café Cam\0".encode(), "Café Cam"),
        (b"\0\0\0\0\0\0", None), (b"", None), (b"   \0", None), (b"A", "A"), (b"ABC\0", "ABC"), (b"ABCD\0", "ABCD"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", "<>")
def test_texts_as_cameras_write_them(written: bytes, make: str | None, order: str) -> None:
    row = camera(first={0x010F: text(written), 0x0110: text(b"Model\0")}, order=order)
    assert (row.make, row.model, row.note) == (make, "Model", None)


def test_a_long_caption_comes_back_whole() -> None:
    caption = "é" * 15_000
    assert camera(first={0x010E: text(caption)}).description == caption


def test_the_serial_of_a_dng_camera_is_taken_where_there_is_no_other() -> None:
    assert camera({}, first={0xC62F: text("DNG1")}).serial == "DNG1"
    assert camera({0xA431: text("BODY")}, first={0xC62F: text("DNG1")}).serial == "BODY"


def no_frame(exif_tags: Mapping[int, tuple[int, Any]]) -> bytes:
    """A file that goes from its metadata straight to the scan."""
    block = segment(0xE1, b"Exif\0\0" + exif({}, exif_tags))
    return b"\xff\xd8" + block + segment(0xDA, bytes(10)) + b"\0" * 20 + b"\xff\xd9"


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        ((4, 4000), 4000.0),
        ((3, 4000), 4000.0),
        ((4, 0), math.nan),
        ((9, -4), math.nan),
        ((5, Fraction(3, 2)), math.nan),
    ],
)
def test_without_a_frame_the_size_is_what_the_exif_says(width: tuple[int, Any], expected: float) -> None:
    row = read(no_frame({0xA002: width, 0xA003: (4, 3000)}))
    assert same(row.width_px, expected) and row.height_px == 3000
    assert row.note == "the file has no picture size"


def test_the_frame_wins_over_the_size_that_the_exif_says() -> None:
    row = camera({0xA002: (4, 4000), 0xA003: (4, 3000)})
    assert (row.width_px, row.height_px) == (16, 16)


# Named cases: a damaged EXIF block


@pytest.mark.parametrize(
    ("block", "note"),
    [
        (b"", "the EXIF block has no TIFF header"),
        (b"junk and more junk", "the EXIF block has no TIFF header"),
        (b"II*\0", None),
        (b"II*\0\0\0\0\0", "the EXIF's first directory lies outside of the file"),
        (b"II*\0\4\0\0\0", "the EXIF's first directory lies outside of the file"),
        (b"II*\0\xff\xff\xff\xff", "the EXIF's first directory lies outside of the file"),
        (b"II*\0\x08\0\0\0\xff\xff", "the EXIF's first directory is cut off"),
        (b"MM\0*\0\0\0\x08\xff\xff", "the EXIF's first directory is cut off"),
        (b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x8825, 4, 1, 0xFFFFFFF0), "the EXIF's GPS directory lies outside"),
        (b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x8769, 4, 1, 999), "the EXIF's Exif directory lies outside"),
        (b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x010F, 2, 100, 20), "an EXIF value lies outside of the block"),
        (b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x010F, 2, 0xFFFFFFFF, 8), "an EXIF value lies outside of the block"),
    ],
)  # fmt: skip
def test_damage_of_the_exif_is_named_and_the_picture_still_known(block: bytes, note: str | None) -> None:
    row = read(in_jpeg(block))
    assert (row.width_px, row.height_px) == (16, 8)
    assert (row.note or "").startswith(note or "") and (row.note is None) == (note is None)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("link", [0x8769, 0x8825])
def test_a_directory_that_contains_itself_ends(order: str, link: int) -> None:
    block = struct.pack(f"{order}2sHIHHHIII", b"II" if order == "<" else b"MM", 42, 8, 1, link, 4, 1, 8, 8)
    assert read(in_jpeg(block)).width_px == 16


def test_what_stands_before_the_damage_is_kept() -> None:
    block = exif({0x010F: text("Made")}, {0x9003: text(AT)}, gps_tags(1, 2))
    entry = block.index(struct.pack("<HHI", 0x8825, 4, 1))
    row = read(jpeg(block[: entry + 8] + b"\xff\xff\xff\xff" + block[entry + 12 :]))
    assert (row.make, row.local_s, row.position_in) == ("Made", AT_S, None)
    assert row.note == "the EXIF's GPS directory lies outside of the file"


def test_the_first_of_two_exif_blocks_counts() -> None:
    second = segment(0xE1, b"Exif\0\0" + exif({0x010F: text("Second")}))
    assert read(jpeg(exif({0x010F: text("First")}), extra=(second,))).make == "First"


def test_several_complaints_are_one_line() -> None:
    row = camera({0x9003: text("0000:00:00 00:00:00")}, gps_tags(0.0, 0.0))
    assert row.note == (
        "its date '0000:00:00 00:00:00' is none; its position is 0, 0, which cameras write without a fix"
    )


# Position in XMP (its forms: test_xmp)


@pytest.mark.parametrize(
    "gps", [None, gps_tags(0.0, 0.0), gps_tags(alt_m=5.0), {2: (5, [95, 0, 0]), 4: (5, [1, 0, 0])}]
)
def test_the_xmp_speaks_where_the_exif_has_no_position(gps: dict[int, tuple[int, Any]] | None) -> None:
    row = camera(None, gps, xmp=_XMP)
    assert (row.lat_deg, row.lon_deg, row.position_in) == (-4.2 / 60, 34 + 22.9 / 60, "xmp")


def test_a_photo_with_nothing_but_xmp_has_a_place() -> None:
    row = read(jpeg(xmp=_XMP))
    assert (row.lat_deg, row.position_in, row.note) == (-4.2 / 60, "xmp", None)


def test_the_exif_wins_over_the_xmp() -> None:
    row = camera(None, gps_tags(1, 2), xmp=_XMP.replace(b"/>", b' exif:GPSAltitude="7/1"/>'))
    assert (row.lat_deg, row.lon_deg, row.position_in) == (1.0, 2.0, "exif")
    assert math.isnan(row.alt_m)


def test_altitude_and_direction_of_the_xmp_fill_what_the_exif_lacks() -> None:
    packet = _XMP.replace(
        b"/>", b' exif:GPSAltitude="75/10" exif:GPSAltitudeRef="1" exif:GPSImgDirection="90/1"/>'
    )
    row = camera(None, None, xmp=packet)
    assert (row.alt_m, row.heading_deg) == (-7.5, 90.0)
    row = camera(None, {5: (1, 0), 6: (5, Fraction(3)), 17: (5, Fraction(4))}, xmp=packet)
    assert (row.alt_m, row.heading_deg, row.position_in) == (3.0, 4.0, "xmp")


@pytest.mark.parametrize("value", ["1e999", "inf", "nan", "-1e5", "100001", "1e300/1e-300", "1/0", "x", ""])
def test_nonsense_beside_the_position_of_the_xmp_is_left_out(value: str) -> None:
    extra = f' exif:GPSAltitude="{value}" exif:GPSImgDirection="{value}"/>'
    row = camera(None, None, xmp=_XMP.replace(b"/>", extra.encode()))
    assert math.isnan(row.alt_m) and math.isnan(row.heading_deg) and row.position_in == "xmp"


@pytest.mark.parametrize(
    ("lat", "lon", "note"),
    [("0,0N", "0,0E", "its XMP position is 0, 0"), ("91,0N", "8,0E", "its XMP position is none"), ("47,0N", "", "its XMP position is none")],
)  # fmt: skip
def test_a_position_of_the_xmp_that_is_none_is_named(lat: str, lon: str, note: str) -> None:
    row = camera(xmp=f'<r exif:GPSLatitude="{lat}" exif:GPSLongitude="{lon}"/>'.encode())
    assert row.position_in is None and (row.note or "").startswith(note)
