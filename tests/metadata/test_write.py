"""New values come back, and nothing else changes: no byte moves, and what is in doubt is refused."""

from __future__ import annotations

import math
import struct
import tracemalloc
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from headers import Header, hostile_tiff, in_jpeg, read
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import SafetyRefusal
from camtrail.metadata import jpeg as segments
from camtrail.metadata.read import header
from camtrail.metadata.write import NewTags, Values, carried, differs, new_head, tags_of
from photos import Shot, exif, gps_tags, jpeg, segment

EPOCH = datetime(1970, 1, 1)
EXIF_AT, GPS_AT, INTEROP_AT, NOTE = 0x8769, 0x8825, 0xA005, 0x927C
SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
JFIF = segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0")
PLACE = Values(lat_deg=47.5, lon_deg=8.25)

Entry = tuple[int, int, bytes]


def of(data: bytes) -> MemoryBytes:
    return MemoryBytes(data, "a.jpg")


def written(data: bytes, new: NewTags, before: NewTags | None = None) -> bytes:
    """The whole new file."""
    head, at = new_head(of(data), new, before)
    return head + data[at:]


def block_at(data: bytes) -> tuple[int, int]:
    head = segments.head(of(data), data[: segments.WINDOW_BYTES])
    return head.tiff_at, head.tiff_end


def entries_of(data: bytes) -> dict[tuple[str, int], Entry]:
    """Every entry of a file's EXIF with the bytes of its value, by directory and tag: a slow, obvious reader."""
    at, end = block_at(data)
    if at < 0:
        return {}
    block = data[at:end]
    order = "<" if block[:2] == b"II" else ">"
    found: dict[tuple[str, int], Entry] = {}

    def directory(name: str, offset: int) -> int:
        (count,) = struct.unpack_from(order + "H", block, offset)
        for i in range(count):
            tag, kind, n, raw = struct.unpack_from(order + "HHI4s", block, offset + 2 + 12 * i)
            size = (SIZES[kind] if kind < len(SIZES) else 0) * n
            (where,) = struct.unpack(order + "I", raw)
            if tag in (EXIF_AT, GPS_AT):
                directory({EXIF_AT: "exif", GPS_AT: "gps"}[tag], where)
            else:
                assert (name, tag) not in found
                found[name, tag] = (kind, n, block[where : where + size] if size > 4 else raw)
        return int(struct.unpack_from(order + "I", block, offset + 2 + 12 * count)[0])

    following = directory("first", struct.unpack_from(order + "I", block, 4)[0])
    if following:
        directory("second", following)
    return found


def touched(new: NewTags, old: dict[tuple[str, int], Entry]) -> set[tuple[str, int]]:
    """Entries that may differ after these tags were written."""
    names = {(name, tag) for name in ("first", "exif", "gps") for tag in getattr(new, name)}
    if new.gps and ("gps", 0) not in old:
        names.add(("gps", 0))
    if new.exif and not any(name == "exif" for name, _ in old):
        names.add(("exif", 0x9000))
    if 0x9003 in new.exif and ("exif", 0x9291) in old:
        names.add(("exif", 0x9291))
    if 2 in new.gps and old.get(("gps", 18), (2, 7, b"WGS-84\0"))[2].rstrip(b"\0") not in (b"WGS-84", b""):
        names.add(("gps", 18))
    return names


# Photos


@dataclass(frozen=True)
class Made:
    """A file and what a reader of its parts needs to know."""

    data: bytes
    has_exif: bool


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
words = st.sampled_from(("Canon", "Made É", "x", "WGS-84", "TOKYO", "2018:06:08 13:24:10", "250", "+02:00"))
odd_values = st.one_of(
    words.map(lambda v: (2, v)), st.binary(min_size=1, max_size=40).map(lambda v: (7, v)),
    st.lists(st.integers(0, 65535), min_size=1, max_size=4).map(lambda v: (3, v)),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3).map(lambda v: (4, v)),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=3).map(lambda v: (9, v)),
    st.integers(0, 10**6).map(lambda v: (5, Fraction(v, 100))),
)  # fmt: skip


@st.composite
def photos(draw: st.DrawFn, with_exif: bool | None = None) -> Made:
    """A file as cameras and programs write them: either order, each directory there or not, and data around."""
    order = draw(st.sampled_from("<>"))
    extra = [
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(range(200))),
        segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + bytes(40)),
    ]
    trailing = draw(st.sampled_from((b"", b"\0" * 100, jpeg(columns=3), b"SEFH\1\2\3SEFT")))
    xmp = draw(
        st.sampled_from(
            (b"", b'<x exif:GPSLatitude="12,30.25S" exif:GPSLongitude="45,15.5E" exif:GPSAltitude="75/10"/>')
        )
    )
    block = b""
    if draw(st.booleans()) if with_exif is None else with_exif:
        first = draw(
            st.dictionaries(
                st.sampled_from((0x010E, 0x010F, 0x0110, 0x0131, 0xC4A5, 0xEEEE)), odd_values, max_size=5
            )
        )
        if draw(st.booleans()):
            first[0x0112] = (3, draw(st.integers(1, 8)))
        rest = None
        if draw(st.booleans()):
            rest = draw(
                st.dictionaries(
                    st.sampled_from((0x9000, 0x9003, 0x9291, 0x9011, 0x9004, 0xA431, 0xA002)),
                    odd_values,
                    max_size=5,
                )
            )
            if draw(st.booleans()):
                rest[NOTE] = (7, draw(st.binary(min_size=5, max_size=300)))
        gps = None
        if draw(st.booleans()):
            gps = gps_tags(
                *draw(st.sampled_from(((None, None), (47.5, 8.25), (-0.5, 179.75)))),
                alt_m=draw(st.none() | st.integers(-400, 9000)), heading_deg=draw(st.none() | st.integers(0, 359)),
                time=draw(st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))),
            )  # fmt: skip
            gps.update(
                draw(st.dictionaries(st.sampled_from((10, 11, 18, 27, 31, 0x7FFF)), odd_values, max_size=4))
            )
            if draw(st.booleans()):
                del gps[0]
        block = exif(
            first, rest, gps, order=order, gap=draw(st.sampled_from((0, 1, 99, 17_000))),
            thumbnail=draw(st.sampled_from((b"", jpeg(), jpeg() + b"\0"))),
        )  # fmt: skip
        block += draw(st.sampled_from((b"", b"\xee", b"\xee" * 1000)))
    data = (
        jpeg(block, xmp=xmp, extra=extra[: draw(st.integers(0, 2))], columns=draw(st.integers(1, 3)))
        + trailing
    )
    if draw(st.booleans()):
        data = data[:2] + JFIF + data[2:]
    return Made(data, bool(block))


def nan_or(values: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.just(math.nan) | values


def none_or(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


# Of the values some, and of the numbers any that a program could hand over.
sane = st.builds(
    Values, lat_deg=nan_or(st.floats(-90, 90)), lon_deg=nan_or(st.floats(-180, 180)), alt_m=nan_or(st.floats(-11_000, 90_000)),
    time_s=nan_or(st.floats(-5e9, 4e9)), heading_deg=nan_or(st.floats(0, 360)), error_m=nan_or(st.floats(0, 10_000)),
    local_s=nan_or(st.floats(-5e9, 4e9)), offset_s=nan_or(st.floats(-53_000, 53_000)), make=none_or(texts), model=none_or(texts),
    orientation=none_or(st.integers(1, 8)), description=none_or(texts),
)  # fmt: skip
wild = st.builds(
    Values, **{f.name: st.floats() for f in fields(Values) if f.type == "float"}, make=none_or(st.text()),
    model=none_or(st.text(st.characters(codec=None))), orientation=none_or(st.integers()), description=none_or(st.text()),
)  # fmt: skip
any_values = sane | wild


def agrees(row: Header, values: Values) -> None:
    """The reader gives these values back."""

    def near(name: str, there: float, within: float) -> None:
        wanted = getattr(values, name)
        assert math.isnan(wanted) or abs(there - wanted) <= within, (name, there, wanted)

    if not (values.lat_deg == 0 == values.lon_deg) and not math.isnan(values.lat_deg + values.lon_deg):
        assert row.position_in == "exif"
        near("lat_deg", row.lat_deg, 1e-9)
        near("lon_deg", row.lon_deg, 1e-9)
    near("alt_m", row.alt_m, 5.001e-4)
    near("time_s", row.gps_time_s, 1.5e-6)
    near("error_m", row.error_m, 5.001e-4)
    near("local_s", row.local_s, 1.5e-6)
    if not math.isnan(values.heading_deg):
        assert abs((row.heading_deg - values.heading_deg + 180) % 360 - 180) <= 0.005 + 1e-9
        assert row.heading_ref == "T"
    if not math.isnan(values.local_s) and not math.isnan(values.offset_s):
        assert abs(row.offset_s - values.offset_s) <= 30
    for name in ("make", "model", "description", "orientation"):
        wanted = getattr(values, name)
        assert wanted is None or getattr(row, name) == (
            wanted.strip() or None if name != "orientation" else wanted
        ), name


def storable(values: Values) -> bool:
    """Whether every value is one that a reader takes: days of 1970-01-01 and fixes at 0, 0 stand for none."""
    day = 86400.0
    tiny = abs(values.lat_deg) < 1e-9 and abs(values.lon_deg) < 1e-9
    return not (
        tiny or -1 < values.time_s < day or values.time_s > 4133980799 or values.local_s > 4133980799
        or any(text is not None and not text.strip() for text in (values.make, values.model, values.description))
    )  # fmt: skip


# Properties


@settings(max_examples=300)
@given(photos(), any_values)
def test_no_byte_moves_and_no_other_entry_changes(made: Made, values: Values) -> None:
    data, new = made.data, tags_of(values)
    head, tail_at = new_head(of(data), new)
    if not new:
        assert (head, tail_at) == (b"", 0)
        return
    after = head + data[tail_at:]
    at, end = block_at(data)
    at_after, end_after = block_at(after)
    assert tail_at == (end if at >= 0 else (2 if data[3] != 0xE0 else 2 + len(JFIF)))
    assert end_after == len(head)
    if at >= 0:  # of the old bytes only the length and the pointer are others
        assert at_after == at
        assert after[: at - 8] + data[at - 8 : at - 6] + after[at - 6 : at + 4] == data[: at + 4]
        assert after[at + 8 : end] == data[at + 8 : end]
    else:
        assert after[:tail_at] == data[:tail_at]
    assert (end_after - at_after) % 2 == 0
    old, now = entries_of(data), entries_of(after)
    may = touched(new, old)
    assert {k: v for k, v in now.items() if k not in may} == {k: v for k, v in old.items() if k not in may}
    assert now.keys() == old.keys() | may
    assert data[:tail_at] + after[len(head) :] == data  # undo


@settings(max_examples=300)
@given(photos(), sane)
def test_values_come_back(made: Made, values: Values) -> None:
    assume(values and storable(values))
    agrees(read(written(made.data, tags_of(values))), values)


@settings(max_examples=300)
@given(photos(), any_values)
@example(Made(jpeg(), False), Values(heading_deg=12.345))
@example(Made(jpeg(), False), Values(heading_deg=359.996, time_s=86400.0, local_s=0.0))
@example(Made(jpeg(), False), Values(lat_deg=-90.0, lon_deg=-180.0, alt_m=-0.0001, error_m=3999999.9999))
@example(Made(jpeg(), False), Values(make="\ud800", model=" \x85", description="a\0b"))
@example(Made(jpeg(xmp=b'<x exif:GPSLatitude="12,30S" exif:GPSLongitude="4,1E" exif:GPSAltitude="75/10"/>'), False),
         Values(lat_deg=1.0, lon_deg=2.0, alt_m=7.5))  # fmt: skip
def test_writing_what_differs_leaves_no_difference(made: Made, values: Values) -> None:
    new = differs(header(of(made.data)), values)
    after = written(made.data, tags_of(new))
    assert not differs(header(of(after)), values), (new, read(after))
    if not new:
        assert after == made.data
    else:
        assert tags_of(new)


@settings(max_examples=300)
@given(photos(), sane, sane)
def test_a_second_addition_is_as_if_both_were_one(made: Made, a: Values, b: Values) -> None:
    merged = Values(**{
        f.name: getattr(b, f.name) if getattr(b, f.name) == getattr(b, f.name) and getattr(b, f.name) is not None
        else getattr(a, f.name) for f in fields(Values)
    })  # fmt: skip
    # What goes together is replaced together; a half is none, and the day of 1970 is none for a GPS time.
    assume(math.isnan(a.lat_deg) == math.isnan(a.lon_deg) and math.isnan(b.lat_deg) == math.isnan(b.lon_deg))
    assume(not math.isnan(a.local_s) or math.isnan(a.offset_s))
    assume(not math.isnan(b.local_s) or math.isnan(b.offset_s))
    assume(storable(a) and storable(b))
    before = made.data
    middle = written(before, tags_of(a))
    kept = carried(of(before), of(middle))
    assert entries_of(written(before, NewTags(), kept)) == entries_of(middle)
    twice = written(before, tags_of(b), kept)
    once = written(before, tags_of(merged))
    assert entries_of(twice) == entries_of(once)
    assert len(twice) <= len(once)


@settings(max_examples=500)
@given(photos(with_exif=True), st.data())
def test_damaged_files_are_refused_or_written_whole(made: Made, choose: st.DataObject) -> None:
    data = bytearray(made.data)
    # Near directories and segments, where bytes mean something; any byte of them.
    for _ in range(choose.draw(st.integers(1, 4))):
        at = choose.draw(st.integers(0, min(600, len(data) - 1)))
        data[at] = choose.draw(st.sampled_from((0, 1, 8, 0xFF)) | st.integers(0, 255))
    cut = choose.draw(st.none() | st.integers(0, len(data)))
    check_any(bytes(data[:cut]))


@settings(max_examples=300)
@given(hostile_tiff())
def test_hostile_directories_are_refused_or_written_whole(block: bytes) -> None:
    check_any(in_jpeg(block))


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_no_bytes_raise_anything_else(start: bytes, end: bytes) -> None:
    check_any(start + end)
    check_any(b"\xff\xd8\xff\xe1\0\x40Exif\0\0II*\0" + start + jpeg()[2:])
    check_any(jpeg(b"MM\0*" + start) + end)


def check_any(data: bytes) -> None:
    values = Values(
        lat_deg=-1.5,
        lon_deg=2.5,
        alt_m=3.0,
        time_s=1.5e9,
        heading_deg=90.0,
        local_s=1e9,
        make="M",
        orientation=6,
    )
    try:
        head, at = new_head(of(data), tags_of(values))
    except SafetyRefusal as e:
        assert str(e).startswith("a.jpg: ") and e.hint
        with suppress(SafetyRefusal):
            assert carried(of(data), of(data)) == NewTags()
        return
    after = head + data[at:]
    old_at, old_end = block_at(data)
    if old_at >= 0:
        assert (
            after[: old_at - 8] == data[: old_at - 8]
            and after[old_at + 8 : old_end] == data[old_at + 8 : old_end]
        )
    agrees(read(after), values)
    assert carried(of(data), of(data)) == NewTags()
    kept = carried(of(data), of(after))
    again = written(data, NewTags(), kept)  # values that were equal need not be written twice
    agrees(read(again), values)
    assert len(again) <= len(after)


# Named cases: values


def tag(values: Values, directory: str, number: int) -> Any:
    return getattr(tags_of(values), directory)[number][1]


@pytest.mark.parametrize(("degrees", "letter", "dms"), [
    (0.0, b"N\0", (0, 1, 0, 1, 0, 1)), (-0.0, b"N\0", (0, 1, 0, 1, 0, 1)), (-1e-13, b"N\0", (0, 1, 0, 1, 0, 1)),
    (-1e-9, b"S\0", (0, 1, 0, 1, 1, 250_000)), (59.999999999999 / 60, b"N\0", (1, 1, 0, 1, 0, 1)),
    (-89.99999999999999, b"S\0", (90, 1, 0, 1, 0, 1)), (12.5, b"N\0", (12, 1, 30, 1, 0, 1)),
])  # fmt: skip
def test_degrees(degrees: float, letter: bytes, dms: tuple[int, ...]) -> None:
    values = Values(lat_deg=degrees, lon_deg=8.0)
    assert tag(values, "gps", 1) == letter
    if degrees == -1e-9:
        assert tag(values, "gps", 2) == (0, 1, 0, 1, 1, 250_000)  # 4 µas
    else:
        assert tag(values, "gps", 2) == dms


def test_the_meridian_is_east_and_zero_zero_is_no_position() -> None:
    assert tag(Values(lat_deg=-5.0, lon_deg=-0.0), "gps", 3) == b"E\0"
    assert not tags_of(Values(lat_deg=0.0, lon_deg=-0.0))
    assert not tags_of(Values(lat_deg=90.01, lon_deg=0.0)) and not tags_of(Values(lat_deg=1.0))


@given(st.floats(0, 180))
def test_seconds_are_below_60_and_their_denominator_is_small(degrees: float) -> None:
    d, one, m, one_too, over, under = tag(Values(lat_deg=1.0, lon_deg=degrees), "gps", 4)
    assert one == one_too == 1 and m < 60 and over < 60 * under and under <= 10**6
    assert abs(Fraction(d) + Fraction(m, 60) + Fraction(over, under * 3600) - Fraction(degrees)) <= Fraction(
        1, 10**9
    )


def test_gps_time() -> None:
    noon = (datetime(2024, 2, 29, 12) - EPOCH).total_seconds()
    values = Values(time_s=noon + 59.9999999)
    assert tag(values, "gps", 7) == (12, 1, 1, 1, 0, 1) and tag(values, "gps", 29) == b"2024:02:29\0"
    values = Values(time_s=noon + 43199.9999999)
    assert tag(values, "gps", 7) == (0, 1, 0, 1, 0, 1) and tag(values, "gps", 29) == b"2024:03:01\0"
    values = Values(time_s=-86400.0 * 365.25 * 10 - 0.25)
    assert tag(values, "gps", 7)[4:] == (239, 4) and tag(values, "gps", 29)[:4] == b"1960"
    assert not tags_of(Values(time_s=0.0)) and not tags_of(Values(time_s=math.inf))


def test_capture_time() -> None:
    when = (datetime(2018, 6, 8, 13, 24, 10) - EPOCH).total_seconds()
    values = Values(local_s=when + 0.05, offset_s=-1800.0)
    assert tag(values, "exif", 0x9003) == b"2018:06:08 13:24:10\0"
    assert tag(values, "exif", 0x9291) == b"05\0" and tag(values, "exif", 0x9011) == b"-00:30\0"
    assert (
        0x9291 not in tags_of(Values(local_s=when)).exif and 0x9011 not in tags_of(Values(local_s=when)).exif
    )
    assert tag(Values(local_s=when + 0.9999999), "exif", 0x9003) == b"2018:06:08 13:24:11\0"
    assert tag(Values(local_s=when, offset_s=20_700.0), "exif", 0x9011) == b"+05:45\0"
    assert not tags_of(Values(offset_s=3600.0))


def test_altitude_error_and_direction() -> None:
    assert (tag(Values(alt_m=-12.5), "gps", 5), tag(Values(alt_m=-12.5), "gps", 6)) == ((1,), (25, 2))
    assert (tag(Values(alt_m=0.0), "gps", 5), tag(Values(alt_m=-1e-9), "gps", 5)) == ((0,), (0,))
    assert tag(Values(heading_deg=-0.001), "gps", 17) == (0, 1) and tag(
        Values(heading_deg=123.456), "gps", 17
    ) == (6173, 50)
    assert tag(Values(error_m=3.21), "gps", 31) == (321, 100) and not tags_of(Values(error_m=-1.0))


def test_a_fraction_of_another_second_does_not_stay() -> None:
    data = Shot(local="2018:06:08 13:24:10", subsec="75").bytes()
    when = (datetime(2020, 1, 1) - EPOCH).total_seconds()
    assert read(written(data, tags_of(Values(local_s=when)))).local_s == when
    assert (
        differs(header(of(data)), Values(local_s=read(data).local_s - 0.75)).local_s
        == read(data).local_s - 0.75
    )
    # Nor does one that an earlier addition wrote.
    first = written(jpeg(), tags_of(Values(local_s=when + 0.5, offset_s=3600.0)))
    second = written(jpeg(), tags_of(Values(local_s=when)), carried(of(jpeg()), of(first)))
    assert (read(second).local_s, read(second).offset_s) == (when, 3600.0)
    assert ("exif", 0x9291) not in entries_of(second)


def test_another_datum_does_not_stay_beside_a_position() -> None:
    data = jpeg(exif({}, None, gps_tags(35.0, 139.0, t18=(2, "TOKYO"))))
    assert entries_of(written(data, tags_of(PLACE)))["gps", 18] == (2, 7, b"WGS-84\0")
    assert entries_of(written(data, tags_of(Values(alt_m=5.0))))["gps", 18] == (2, 6, b"TOKYO\0")
    data = jpeg(exif({}, None, gps_tags(35.0, 139.0, t18=(2, "WGS 84 "))))
    assert entries_of(written(data, tags_of(PLACE)))["gps", 18] == (2, 8, b"WGS 84 \0")


def test_versions_are_written_only_where_they_are_missing() -> None:
    assert entries_of(written(jpeg(), tags_of(PLACE)))["gps", 0] == (1, 4, b"\2\3\0\0")
    old = jpeg(exif({}, {0xA431: (2, "serial")}, {0: (1, [2, 2, 0, 0])}))
    now = entries_of(written(old, tags_of(replace(PLACE, local_s=1e9))))
    assert now["gps", 0] == (1, 4, b"\2\2\0\0") and ("exif", 0x9000) not in now
    assert entries_of(written(jpeg(), tags_of(Values(local_s=1e9))))["exif", 0x9000] == (7, 4, b"0232")
    assert "gps" not in {name for name, _ in entries_of(written(jpeg(), tags_of(Values(local_s=1e9))))}


def test_an_altitude_above_the_ellipsoid_becomes_one_above_the_sea() -> None:
    data = jpeg(exif({}, None, {5: (1, 3), 6: (5, 20)}))
    row = read(data)
    assert row.alt_m == -20 and not differs(header(of(data)), Values(alt_m=-20.0))
    assert entries_of(written(data, tags_of(Values(alt_m=-20.5))))["gps", 5] == (1, 1, b"\1\0\0\0")


def test_entries_of_a_wrong_type_are_replaced() -> None:
    data = jpeg(exif({0x0112: (2, "6")}, None, {5: (5, Fraction(1)), 6: (2, "high"), 1: (3, 7)}))
    now = entries_of(written(data, tags_of(replace(PLACE, alt_m=-3.0, orientation=6))))
    assert (now["gps", 5], now["gps", 6][0], now["gps", 1]) == ((1, 1, b"\1\0\0\0"), 5, (2, 2, b"N\0\0\0"))
    assert now["first", 0x0112][0] == 3


def test_differences_by_value() -> None:
    data = Shot(
        lat_deg=47.5, lon_deg=180.0, alt_m=400, heading_deg=359.999, more_gps={"t16": (2, "M")}, make=" Made "
    ).bytes()
    row = header(of(data))

    def only(**given: Any) -> set[str]:
        new = differs(row, Values(**given))
        return {name for name, value in asdict(new).items() if value is not None and value == value}

    assert only(lat_deg=47.5 + 4e-8, lon_deg=-180.0) == set()
    assert only(lat_deg=47.5 + 6e-8, lon_deg=180.0) == {"lat_deg", "lon_deg"}
    assert only(lat_deg=0.0, lon_deg=0.0) == only(lat_deg=47.6) == set()
    assert only(alt_m=400.004, make="Made", model="Sample One", orientation=1) == set()
    assert only(alt_m=400.006, make="made", orientation=3, description="x") == {
        "alt_m",
        "make",
        "orientation",
        "description",
    }
    assert only(heading_deg=359.999) == {"heading_deg"}  # the file's one is magnetic
    assert only(time_s=1e9, local_s=1e9, offset_s=3600.0) == {"time_s", "local_s", "offset_s"}
    assert only(offset_s=3600.0) == set()


def test_a_position_in_xmp_counts_as_one() -> None:
    data = jpeg(
        xmp=b'<x exif:GPSLatitude="12,30S" exif:GPSLongitude="4,15E" exif:GPSAltitude="75/10" exif:GPSImgDirection="90"/>'
    )
    row = header(of(data))
    there = Values(lat_deg=-12.5, lon_deg=4.25, alt_m=7.5, heading_deg=90.0)
    assert not differs(row, there)
    moved = replace(there, lat_deg=-12.0)
    assert differs(row, moved) == moved  # else altitude and direction would be lost to readers


def test_old_and_new_values_of_a_second_addition() -> None:
    before = Shot(
        local="2018:06:08 13:24:10", lat_deg=1.0, lon_deg=2.0, description="a caption", order=">"
    ).bytes()
    now = written(before, tags_of(replace(PLACE, description="A" * 1000, make="Made")))
    kept = carried(of(before), of(now))
    assert (
        set(kept.gps) == {2, 4} and set(kept.first) == {0x010E} and not kept.exif
    )  # the letters and the make were equal
    again = written(before, tags_of(Values(description="b", orientation=6)), kept)
    row = read(again)
    assert (row.lat_deg, row.lon_deg, row.description, row.orientation) == (47.5, 8.25, "b", 6)
    assert len(again) < len(now)
    assert carried(of(before), of(before)) == NewTags()


# Named cases: places in the file


def test_a_new_segment_stands_behind_jfif() -> None:
    jfxx = segment(0xE0, b"JFXX\0\x13" + bytes(100))
    data = b"\xff\xd8" + JFIF + jfxx + jpeg(xmp=b"<x/>")[2:]
    after = written(data, tags_of(PLACE))
    assert after.startswith(b"\xff\xd8" + JFIF + jfxx + b"\xff\xe1") and read(after).lat_deg == 47.5
    other = b"\xff\xd8" + segment(0xE0, b"AVI1\0\0") + jpeg()[2:]
    assert written(other, tags_of(PLACE))[2:4] == b"\xff\xe1"


def test_an_empty_directory_and_one_without_a_link() -> None:
    for block in (b"II*\0\x08\0\0\0\0\0\0\0\0\0", b"MM\0*\0\0\0\x08\0\0"):
        assert read(written(jpeg(block), tags_of(PLACE))).lat_deg == 47.5


def test_a_second_exif_segment_is_left_alone() -> None:
    other = segment(0xE1, b"Exif\0\0" + exif({0x010F: (2, "Other")}))
    data = jpeg(exif({0x010F: (2, "Made")}), extra=[other])
    after = written(data, tags_of(PLACE))
    assert other in after and read(after).make == "Made" and read(after).lat_deg == 47.5


def test_an_exif_segment_behind_others_and_fill_bytes() -> None:
    data = jpeg(exif({0x010F: (2, "Made")}))
    data = b"\xff\xd8" + segment(0xE2, bytes(20_000)) + b"\xff\xff" + data[2:]
    after = written(data, tags_of(PLACE))
    assert after[:20_010] == data[:20_010] and read(after).lat_deg == 47.5


def test_a_sub_directory_behind_everything_keeps_its_link() -> None:
    block = bytearray(exif({}, {0xA431: (2, "serial")}, order="<", thumbnail=jpeg()))
    data = jpeg(bytes(block))
    after = written(data, tags_of(Values(local_s=1e9)))
    assert entries_of(after)["second", 0x0201] == entries_of(data)["second", 0x0201]


def test_memory_is_bounded() -> None:
    data = b"\xff\xd8" + segment(0xE2, bytes(60_000)) + jpeg(exif({}, None, gps_tags(1, 2), gap=60_000))[2:]
    source, new = of(data + bytes(10**6) + b"\xff\xd9"), tags_of(PLACE)
    new_head(source, new)
    tracemalloc.start()
    new_head(source, new)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 450_000  # of an EXIF of 60 kB behind 60 kB; 150 kB where it comes first


# Refusals


def refusal(data: bytes, new: NewTags | None = None) -> str:
    with pytest.raises(SafetyRefusal) as caught:
        new_head(of(data), new or tags_of(PLACE))
    return str(caught.value)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def tiff(*entries: bytes, first_at: int = 8, link: int = 0, behind: bytes = b"") -> bytes:
    """A little-endian block with one directory at 8."""
    return (
        struct.pack("<2sHIH", b"II", 42, first_at, len(entries))
        + b"".join(entries)
        + struct.pack("<I", link)
        + behind
    )


EXIF_ENTRY = entry(EXIF_AT, 4, 1, 26)


@pytest.mark.parametrize(("block", "reason"), [
    (b"no TIFF at all", "has no TIFF header"),
    (b"II*\0", "has no TIFF header"),
    (tiff(first_at=0), "a directory of its EXIF lies outside of the block"),
    (tiff(first_at=500), "a directory of its EXIF lies outside of the block"),
    (tiff(first_at=2**32 - 1), "a directory of its EXIF lies outside of the block"),
    (tiff()[:8] + b"\x09\0" + bytes(30), "a directory of its EXIF is cut off"),
    (tiff()[:8] + b"\x00\x05" + bytes(20_000), "a directory of its EXIF is cut off"),
    (tiff(entry(0x0112, 3, 1, 1), entry(0x0112, 3, 1, 6)), "has one tag twice in a directory"),
    (tiff(entry(GPS_AT, 4, 1, 26), behind=tiff(entry(11, 3, 1, 1), entry(11, 3, 1, 1))[8:]), "has one tag twice in a directory"),
    (tiff(link=8), "links go in a circle"),
    (tiff(link=14, behind=bytes(2) + struct.pack("<I", 14)), "links go in a circle"),
    (tiff(EXIF_ENTRY, link=26, behind=bytes(6)), "lie at one place"),
    (tiff(entry(EXIF_AT, 4, 1, 8)), "lie at one place"),
    (tiff(link=5000), "a directory of its EXIF lies outside of the block"),
    (tiff(entry(GPS_AT, 3, 1, 26), behind=bytes(6)), "a pointer in its EXIF has a wrong type"),
    (tiff(entry(GPS_AT, 4, 2, 26), behind=bytes(8)), "a pointer in its EXIF has a wrong type"),
    (tiff(entry(GPS_AT, 4, 1, 6000)), "a directory of its EXIF lies outside of the block"),
    (tiff(EXIF_ENTRY, behind=tiff(entry(INTEROP_AT, 4, 1, 900))[8:]), "a directory of its EXIF lies outside of the block"),
    (tiff(entry(0x010E, 2, 100, 20)), "a value of its EXIF lies outside of the block"),
    (tiff(entry(0x0201, 4, 1, 20), entry(0x0202, 4, 1, 900)), "its thumbnail reaches beyond the EXIF block"),
])  # fmt: skip
def test_refused_blocks(block: bytes, reason: str) -> None:
    said = refusal(jpeg(block) + bytes(1000))
    assert said.startswith("a.jpg: ") and reason in said
    assert "nothing was written into it; use --write sidecar" in said


def test_what_lies_out_of_reach_is_no_reason_to_refuse() -> None:
    block = tiff(entry(0x010E, 2, 100, 2**31), entry(0x0201, 4, 1, 2**30), entry(0x0202, 4, 1, 900))
    assert read(written(jpeg(block), tags_of(PLACE))).lat_deg == 47.5


def test_refused_files() -> None:
    whole = Shot(lat_deg=1.0, lon_deg=2.0).bytes()
    assert "it is no JPEG, so nothing was written into it; use --write sidecar" in refusal(b"\x89PNG" + whole)
    assert "it is no JPEG" in refusal(b"")
    said = refusal(whole[:100])
    assert said == (
        "a.jpg: the file is cut off before its picture, so nothing was written into it; "
        "copy it again from the card or a backup"
    )
    assert "a segment of the file has a wrong length" in refusal(
        whole[:2] + segment(0xE2, b"") + b"\0\0" + whole[2:]
    )
    assert "behind 140,014 bytes of other data" in refusal(
        b"\xff\xd8" + segment(0xE2, bytes(65_000)) * 2 + segment(0xE2, bytes(9990)) + whole[2:]
    )
    assert "a name that is not the standard's" in refusal(
        jpeg(extra=[segment(0xE1, b"Exif\0\xff" + exif({}))])
    )
    assert "in front of the EXIF" in refusal(b"\xff\xd8" + segment(0xE2, b"MPF\0II*\0") + whole[2:])
    assert "counts from the start of the file" in refusal(whole + b"AXS!" + bytes(8))


def test_a_segment_holds_no_more() -> None:
    data = jpeg(exif({}, None, gps_tags(1, 2), gap=60_000))
    said = refusal(data, tags_of(Values(description="d" * 10_000)))
    assert "its EXIF would grow to 70," in said and "a JPEG segment holds 65,535" in said
    room = 65_535 - 8 - (block_at(data)[1] - block_at(data)[0])
    for text, fits in ((room - 42, True), (room, False)):
        try:
            after = written(data, tags_of(Values(description="d" * text)))
        except SafetyRefusal:
            assert not fits
        else:
            assert fits and len(read(after).description) == text


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("form", ["number", "numbers", "relative", "sony", "first byte"])
def test_a_preview_behind_the_picture_that_a_maker_note_points_to(order: str, form: str) -> None:
    preview = jpeg(columns=3) if form != "first byte" else b"\0" + jpeg(columns=3)[1:]

    def made(distance: int, behind: bytes = preview) -> bytes:
        if form == "sony":
            note = b"SONY DSC \0\0\0" + struct.pack(f"{order}HHHII", 1, 0x2001, 7, 500, distance) + bytes(40)
        elif form == "numbers":
            note = struct.pack(f"{order}HHHII", 1, 0x00B6, 4, 3, 0) + struct.pack(
                f"{order}4I", 0, 5, 6, distance
            )
            note = note[:10] + struct.pack(f"{order}I", 18) + note[14:]
        else:
            note = struct.pack(f"{order}HHHII", 1, 0x0088, 4, 1, distance) + bytes(40)
        return jpeg(exif({}, {NOTE: (7, note)}, order=order)) + behind

    plain = made(0, b"")
    at, _ = block_at(plain)
    base = at
    if form == "relative":
        base = plain.find(entries_of(plain)["exif", NOTE][2])
    data = made(len(plain) - base)
    assert len(data) == len(plain) + len(preview)
    assert "its maker note points to a preview behind the picture" in refusal(data)
    assert read(written(made(len(plain) - base, bytes(500)), tags_of(PLACE))).lat_deg == 47.5
    assert read(written(made(100), tags_of(PLACE))).lat_deg == 47.5


def test_an_addition_that_is_not_ours_is_not_taken_back() -> None:
    before = Shot(lat_deg=1.0, lon_deg=2.0).bytes()
    now = written(before, tags_of(PLACE))
    other = Shot(lat_deg=1.5, lon_deg=2.0).bytes()
    for a, b in (
        (other, now),
        (now, before),
        (before, other),
        (before, Shot(order=">").bytes()),
        (before, jpeg()),
    ):
        with pytest.raises(SafetyRefusal, match="another program has changed its EXIF"):
            carried(of(a), of(b))
    with pytest.raises(SafetyRefusal, match="is no JPEG"):
        carried(of(before), of(b"gone"))


def test_nothing_to_write_is_no_change() -> None:
    assert new_head(of(b"no JPEG at all"), NewTags()) == (b"", 0)
    assert not Values() and not NewTags() and Values(orientation=1)


def test_a_picture_that_is_cut_off_is_left_alone():
    whole = Shot(local="2026:05:09 10:00:00", size=(20, 15)).bytes()
    with pytest.raises(SafetyRefusal, match="its picture has no end"):
        new_head(MemoryBytes(whole[:-200]), tags_of(Values(make="Test")))
    assert new_head(MemoryBytes(whole), tags_of(Values(make="Test")))[0]
