"""Tables as people and programs write them."""

from __future__ import annotations

import csv as stdlib_csv
import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import UnreadableFile, UsageError
from camtrail.core.model import Note, Placement, Track
from camtrail.sources import csv
from camtrail.sources._times import Times

NAN = math.nan
NOON = 1577880000.0  # 2020-01-01T12:00:00Z

names = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(" ,;|\"'"),
    min_size=1,
    max_size=9,
).filter(lambda name: name.strip() == name)
degrees = st.integers(-89_999_999, 89_999_999).filter(bool).map(lambda n: n / 1e6)
rows = st.lists(st.tuples(names, degrees, degrees, st.none() | st.integers(-300, 9000)), max_size=8)


def _answers(raw: bytes | str, **options: Any) -> list[Placement | Track | Note]:
    raw = raw.encode() if isinstance(raw, str) else raw
    return list(csv.read(MemoryBytes(raw, "places.csv"), csv.CsvOptions(**options)))


def _faults(raw: bytes | str) -> list[tuple[str, str]]:
    return [(a.file, a.fault) for a in _answers(raw) if isinstance(a, Placement) and a.fault]


def _read(raw: bytes | str, **options: Any) -> tuple[list[Placement], list[Track], dict[str, int]]:
    answers = _answers(raw, **options)
    return (
        [a for a in answers if isinstance(a, Placement) and not a.fault],
        [a for a in answers if isinstance(a, Track)],
        {a.reason: a.count for a in answers if isinstance(a, Note)},
    )


@settings(deadline=None)
@given(
    rows,
    st.permutations(["file", "lat", "lon", "alt"]),
    st.sampled_from([("filename", "Latitude", "LONGITUDE", "ele"), ("SourceFile", "EXIF:GPSLatitude", "GPS Longitude", "Altitude (m)"),
                     ("path", "lat_deg", "lon_deg", "alt_m"), ("Image", "mapLatitude", "lng", "alt")]),
    st.sampled_from([",", ";", "\t", "|"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)  # fmt: skip
def test_every_way_to_write_a_table_is_the_same_table(
    drawn: list[tuple[str, float, float, int | None]],
    order: list[str],
    headings: tuple[str, ...],
    delimiter: str,
    has_comma: bool,
    encoding: str,
    newline: str,
    is_quoted: bool,
) -> None:
    head = dict(zip(["file", "lat", "lon", "alt"], headings))
    out = io.StringIO(newline="")
    writer = stdlib_csv.writer(
        out,
        delimiter=delimiter,
        lineterminator=newline,
        quoting=stdlib_csv.QUOTE_ALL if is_quoted else stdlib_csv.QUOTE_MINIMAL,
    )
    writer.writerow([head[name] for name in order])
    for file, lat, lon, alt in drawn:
        cells = {"lat": f"{lat:.6f}", "lon": f"{lon:.6f}", "alt": "" if alt is None else str(alt)}
        if has_comma:
            cells = {key: value.replace(".", ",") for key, value in cells.items()}
        writer.writerow([{"file": file, **cells}[name] for name in order])
    placements, tracks, notes = _read(out.getvalue().encode(encoding))
    assert not tracks and not notes
    assert [(p.file, p.lat_deg, p.lon_deg) for p in placements] == [d[:3] for d in drawn]
    assert [None if math.isnan(p.alt_m) else p.alt_m for p in placements] == [d[3] for d in drawn]


BAD = [
    "x,,",
    "x,0,0",
    "x,91,4",
    "x,4,181",
    "x,four,5",
    "x",
    ",45,7",
    "x,4 5 6 7,8",
    "x,1e999,1",
    "x,\xff,1",
    "x,45E,7",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(BAD) | st.integers(1, 80), max_size=20))
def test_undamaged_rows_survive_and_the_others_are_counted(drawn: list[str | int]) -> None:
    lines = ["name,lat,lon", *(d if isinstance(d, str) else f"IMG_{d}.jpg,{d},{d}" for d in drawn)]
    placements, _, notes = _read("\n".join(lines).encode("latin-1"))
    good = [d for d in drawn if isinstance(d, int)]
    assert [(p.file, p.lat_deg) for p in placements] == [(f"IMG_{d}.jpg", d) for d in good]
    assert sum(notes.values()) == len(drawn) - len(good)


@settings(deadline=None)
@given(st.lists(st.sampled_from(BAD) | st.integers(1, 80), max_size=20))
def test_every_row_that_names_a_file_says_something_of_it(drawn: list[str | int]) -> None:
    lines = ["name,lat,lon", *(d if isinstance(d, str) else f"IMG_{d}.jpg,{d},{d}" for d in drawn)]
    answers = _answers("\n".join(lines).encode("latin-1"))
    named = [f"IMG_{d}.jpg" if isinstance(d, int) else d.split(",")[0] for d in drawn]
    assert [a.file for a in answers if isinstance(a, Placement)] == [name for name in named if name]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a.jpg,,", "rows without a position"),
        ("a.jpg,nan,nan", "rows without a position"),
        ("a.jpg,0,0", "rows with the position 0,0, which says that there was no fix"),
        ("a.jpg,91,4", "rows with a position off the globe"),
        ("a.jpg,four,5", "rows with a position that cannot be read"),
        ("a.jpg", "rows that are too short"),
        ('a.jpg,"1\nb.jpg,2,3', "lines without a readable row (a quote is not closed?)"),
    ],
)
def test_a_row_without_a_usable_position_says_why(row: str, fault: str) -> None:
    head = "name,lat,lon\n"
    placement, note = _answers(head + row)
    assert isinstance(placement, Placement) and isinstance(note, Note)
    assert (placement.file, placement.fault) == ("a.jpg", fault)
    assert math.isnan(placement.lat_deg) and math.isnan(placement.lon_deg)
    assert note.reason == f"{fault}, the first in line 2"


def test_a_name_may_have_a_line_break_and_one_that_swallowed_rows_is_none() -> None:
    head = "path,lat,lon\n"
    assert _faults(head + '"a\nb.jpg",,\n') == [("a\nb.jpg", "rows without a position")]
    assert _read(head + '"a\nb.jpg",,\n')[2] == {"rows without a position, the first in line 2": 1}
    assert _faults(head + '"a.jpg,1,2\nb.jpg,1,2\n') == []
    assert sum(_read(head + '"a.jpg,1,2\nb.jpg,1,2\n')[2].values()) >= 2


fixes = st.lists(st.tuples(st.integers(0, 30), degrees, degrees), min_size=1, max_size=20)


@settings(deadline=None)
@given(fixes)
def test_a_track_is_sorted_and_keeps_the_first_of_equal_times(drawn: list[tuple[int, float, float]]) -> None:
    _, (track,), notes = _read("time,lat,lon\n" + "\n".join(f"{NOON + t:.0f},{y},{x}" for t, y, x in drawn))
    first: dict[int, tuple[float, float]] = {}
    for t, y, x in drawn:
        first.setdefault(t, (y, x))
    np.testing.assert_array_equal(track.time_s, [NOON + t for t in sorted(first)])
    np.testing.assert_array_equal(track.lat_deg, [first[t][0] for t in sorted(first)])
    assert sum(notes.values()) == len(drawn) - len(first)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("45.5", 45.5), ("45,5", 45.5), ("-45.5", -45.5), ("45.5 S", -45.5), ("S45.5", -45.5), ("-45.5N", 45.5),
        ("-45.5 S", -45.5), ("45 deg 30' 36.00\" S", -45.51), ("45° 30.6' N", 45.51), ("45°30'36\"N", 45.51),
        ("45°30′36″ N", 45.51), ("N 45 30 36", 45.51), ("45,30.6N", 45.51), ("45,30,36S", -45.51),
        ("45 deg 30' 36.00\" North", 45.51),
    ],
)  # fmt: skip
def test_degrees(text: str, degrees: float) -> None:
    quoted = text.replace('"', '""')
    (placement,), _, notes = _read(f'file,lat,lon\na.jpg,"{quoted}",7\n')
    assert placement.lat_deg == pytest.approx(degrees, abs=1e-12) and not notes


@pytest.mark.parametrize("text", ["45.5 E", "45 deg 61' 0\"", "x", "45..5", "45,30,5", "1,234.5.6"])
def test_no_degrees(text: str) -> None:
    quoted = text.replace('"', '""')
    placements, _, notes = _read(f'file,lat,lon\na.jpg,"{quoted}",7\n')
    assert not placements and notes == {"rows with a position that cannot be read, the first in line 2": 1}


def test_a_reference_column_gives_the_sign() -> None:
    head = "SourceFile,GPSLatitude,GPSLatitudeRef,GPSLongitude,GPSLongitudeRef\n"
    placements, _, _ = _read(
        head + "a,45.5,South,7.5,West\nb,-45.5,S,-7.5,W\nc,45.5,N,7.5,E\nd,45.5,,-7.5,\n"
    )
    assert [(p.lat_deg, p.lon_deg) for p in placements] == [
        (-45.5, -7.5),
        (-45.5, -7.5),
        (45.5, 7.5),
        (45.5, -7.5),
    ]


@pytest.mark.parametrize(
    ("options", "text", "time_s", "local_s"),
    [
        ({}, "2020-01-01T12:00:00Z", NOON, NAN),
        ({}, "2020-01-01T12:00:00", NAN, NOON),
        ({}, "2020:01:01 12:00:00.5", NAN, NOON + 0.5),
        ({}, "2020_01_01_12_00_00_500", NOON + 0.5, NAN),
        ({}, "1577880000", NOON, NAN),
        ({}, "1577880000500", NOON + 0.5, NAN),
        ({}, "", NAN, NAN),
        ({}, "0000:00:00 00:00:00", NAN, NAN),
        ({"csv_time_format": "%d.%m.%Y %H:%M"}, "01.01.2020 12:00", NAN, NOON),
        ({"csv_time_format": "%d.%m.%Y %H:%M %z"}, "01.01.2020 14:00 +0200", NOON, NAN),
        ({"csv_convert_gps_time": True}, "1261915218", NOON, NAN),
        ({"csv_convert_utc_time": True}, "1577880000", NOON, NAN),
        ({"csv_convert_utc_time": True}, "1577880000000", NOON, NAN),
        ({"csv_convert_utc_time": True}, "5", 5.0, NAN),
    ],
)
def test_times(options: dict[str, Any], text: str, time_s: float, local_s: float) -> None:
    (placement,), _, notes = _read(f"file,time,lat,lon\na.jpg,{text},45,7\n", **options)
    np.testing.assert_array_equal([placement.time_s, placement.local_s], [time_s, local_s])
    assert not notes


@pytest.mark.parametrize("text", ["5", "12:00", "soon", "2020-02-30T00:00:00Z", "1e300"])
def test_no_times(text: str) -> None:
    (placement,), _, notes = _read(f"file,time,lat,lon\na.jpg,{text},45,7\n")
    assert math.isnan(placement.time_s) and math.isnan(placement.local_s)
    assert notes == {"times that cannot be read, the first in line 2": 1}


def test_date_and_time_in_two_columns() -> None:
    (placement,), _, _ = _read("date;time;file;lat;lon\n2020-01-01;12:00:00;a.jpg;45;7\n")
    assert placement.local_s == NOON


def test_columns_by_number_with_and_without_headings() -> None:
    numbers = {
        "csv_filename_column": 1,
        "csv_latitude_column": 3,
        "csv_longitude_column": 2,
        "csv_heading_column": 4,
    }
    for head in ("", "file,x,y,z\n"):
        (placement,), _, notes = _read(head + "a.jpg,7,45,90\n", **numbers)
        assert (placement.file, placement.lat_deg, placement.heading_deg) == (
            "a.jpg",
            45.0,
            90.0,
        ) and not notes


def test_a_number_beyond_the_table_is_named() -> None:
    with pytest.raises(UnreadableFile, match="column 9"):
        _read("file,lat,lon\na,1,2\n", csv_filename_column=9)


def test_a_given_delimiter_wins() -> None:
    (placement,), _, _ = _read("file;lat;lon,x\na;1;2,5\n", csv_delimiter=";", csv_longitude_column=3)
    assert placement.lon_deg == 2.5
    (placement,), _, _ = _read("file\tlat\tlon\na\t1\t2\n", csv_delimiter="tab")
    assert placement.lon_deg == 2.0


@pytest.mark.parametrize(
    "options",
    [
        {"csv_filename_column": 0},
        {"csv_delimiter": "::"},
        {"csv_time_format": "%Q"},
        {"csv_convert_gps_time": True, "csv_convert_utc_time": True},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        csv.CsvOptions(**options)


@pytest.mark.parametrize("raw", ["a,b\n1,2\n", "file,lat\n", "lat,lon\n1,2\n", "hello\n", "file,time\n"])
def test_missing_columns_are_named(raw: str) -> None:
    with pytest.raises(UnreadableFile, match="needs latitude, longitude, and file name or time") as caught:
        _read(raw)
    assert raw.split(",")[0].split("\n")[0] in caught.value.reason


@pytest.mark.parametrize("raw", [b"", b"\n\n \n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_empty(raw: bytes) -> None:
    with pytest.raises(UnreadableFile, match="is empty"):
        _read(raw)


def test_binary_is_no_table() -> None:
    with pytest.raises(UnreadableFile, match="no table"):
        _read(b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(UnreadableFile, match="no table"):
        _read("file,lat,lon," + "x" * 200_000 + "\n")


def test_a_quote_that_is_never_closed_is_counted_with_what_it_swallows() -> None:
    row = "2020-01-01T12:00:{:02d}Z,1,1\n"
    short = "time,lat,lon\n" + row.format(1) + '2020-01-01T12:00:02Z,1,"1\n' + row.format(3) * 3
    _, (track,), notes = _read(short)
    assert len(track.time_s) == 1 and sum(notes.values()) >= 4
    long = (
        "time,lat,lon\n"
        + row.format(1)
        + '2020-01-01T12:00:02Z,1,"1\n'
        + row.format(3) * 9000
        + row.format(4)
    )
    _, (track,), notes = _read(long)
    assert track.time_s.tolist() == [NOON + 1, NOON + 3, NOON + 4]
    assert sum(notes.values()) + len(track.time_s) == 9003


def test_latin_1_and_a_damaged_byte() -> None:
    (placement,), _, _ = _read("file,lat,lon\nStraße.jpg,1,2\n".encode("latin-1"))
    assert placement.file == "Straße.jpg"
    placements, _, _ = _read("file,lat,lon\nStraße.jpg,1,2\n".encode() + b"\xff.jpg,1,2\n")
    assert [p.file for p in placements] == ["Straße.jpg", "ÿ.jpg"]


def test_what_the_export_put_before_a_formula_is_taken_away() -> None:
    placements, _, _ = _read("path,lat_deg,lon_deg\n'-1.jpg,1,2\n'a.jpg,1,2\n'＝1,1,2\n''=1,1,2\n")
    assert [p.file for p in placements] == ["-1.jpg", "'a.jpg", "＝1", "'=1"]
    (placement,), _, _ = _read("file,lat,lon\n'-1.jpg,1,2\n")
    assert placement.file == "'-1.jpg"


def test_times_without_zone_are_utc_in_a_track_and_it_says_so() -> None:
    _, (track,), notes = _read("time,lat,lon\n2020-01-01 12:00:00,1,2\n")
    assert track.time_s.tolist() == [NOON] == [Times().read("2020-01-01T12:00:00Z")[0]]
    assert notes == {"times without zone, taken as UTC": 1}
