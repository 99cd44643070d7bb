"""GeoParquet as other programs read it."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.app.context import Context
from camtrail.app.export import ExportOptions, export
from camtrail.app.process import ProcessOptions
from camtrail.core.errors import MissingDependency, SafetyRefusal
from camtrail.exports import geoparquet
from camtrail.exports.geoparquet import MARK, PLUGIN, write, write_table
from photos import Shot

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

NAN = math.nan
EPOCH = datetime(1970, 1, 1)


def written(*args):
    return b"".join(write_table(*args))


def table(data):
    return pq.read_table(io.BytesIO(data))


def geo(data):
    return json.loads(pq.read_metadata(io.BytesIO(data)).metadata[b"geo"])


def frame(data):
    """As geopandas has it."""
    import geopandas

    return geopandas.read_parquet(io.BytesIO(data))


KINDS = {
    "text": (st.none() | st.text(max_size=8), str),
    "number": (st.none() | st.floats(), float),
    "integer": (st.none() | st.integers(-(2**63), 2**63 - 1), int),
    "flag": (st.none() | st.booleans(), bool),
    "instant": (st.none() | st.floats(), float),
    "clock": (st.none() | st.floats(-62135596800.0, 253402300799.0), float),
}
degrees = (
    st.none() | st.just(NAN) | st.floats(-200, 200) | st.sampled_from([90.0, -90.0, 180.0, -180.0, 0.0, -0.0])
)
rows = st.lists(
    st.tuples(degrees, degrees, st.none() | st.floats(), *(values for values, _ in KINDS.values())),
    max_size=7,
)


def cell(kind, value):
    """What is read where a value was written."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if kind in ("instant", "clock"):
        if not -62135596800.0 <= value < 253402300799.0:
            return None
        time = EPOCH + timedelta(microseconds=round(value * 1e6))
        return time.replace(tzinfo=UTC) if kind == "instant" else time
    return value


def point(lat, lon, alt):
    """The same in the words of the format's specification."""
    numbers = [NAN if v is None else v for v in (lon, lat, alt)]
    if not (abs(numbers[1]) <= 90 and abs(numbers[0]) <= 180):
        return None
    if math.isfinite(numbers[2]):
        return struct.pack("<BIddd", 1, 1001, *numbers)
    return struct.pack("<BIdd", 1, 1, *numbers[:2])


@settings(max_examples=150)
@given(rows, st.sampled_from([1, 3, 1 << 16]))
def test_what_is_written_is_read(of, group):
    columns = [(f"my {kind}", kind) for kind in KINDS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geoparquet, "_ROWS", group)
        data = written(columns, iter(of))
    read = table(data)
    assert read.column_names == [*(name for name, _ in columns), "geometry"]
    for i, kind in enumerate(KINDS):
        assert read.column(f"my {kind}").to_pylist() == [cell(kind, row[3 + i]) for row in of]
    points = [point(*row[:3]) for row in of]
    assert read.column("geometry").to_pylist() == points
    told = geo(data)["columns"]["geometry"]
    assert set(told["geometry_types"]) == {("Point Z" if len(p) == 29 else "Point") for p in points if p}
    assert ("bbox" in told) == any(points)
    for p in filter(None, points):
        at = struct.unpack("<" + "d" * ((len(p) - 5) // 8), p[5:])
        half = len(told["bbox"]) // 2
        assert all(least <= v <= most for v, least, most in zip(at, told["bbox"][:half], told["bbox"][half:]))


def test_what_a_file_says_of_itself():
    data = written([("n", "integer")], [(47.5, 8.25, NAN, 1), (-33.0, 151.0, None, 2), (NAN, NAN, NAN, None)])
    assert geo(data) == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {"encoding": "WKB", "geometry_types": ["Point"], "bbox": [8.25, -33.0, 151.0, 47.5]}
        },
    }
    high = geo(written([], [(1.0, 2.0, 30.0), (3.0, 4.0, NAN)]))["columns"]["geometry"]
    assert high["geometry_types"] == ["Point", "Point Z"] and high["bbox"] == [2.0, 1.0, 30.0, 4.0, 3.0, 30.0]
    nothing = geo(written([], [(NAN, NAN, NAN)]))["columns"]["geometry"]
    assert nothing == {"encoding": "WKB", "geometry_types": []}
    assert MARK in data[-400:] and data[:4] == data[-4:] == b"PAR1"


def test_types_do_not_hang_on_the_values():
    columns = [(kind, kind) for kind in KINDS]
    empty = table(written(columns, [])).schema
    unknown = table(written(columns, [(NAN, NAN, NAN, *[None] * len(KINDS))])).schema
    assert empty.types == unknown.types
    assert [str(t) for t in empty.types] == [
        "string", "double", "int64", "bool", "timestamp[us, tz=UTC]", "timestamp[us]", "binary",
    ]  # fmt: skip


def test_a_text_that_is_no_unicode_is_escaped():
    data = written(
        [("path", "text")], [(NAN, NAN, NAN, os.fsdecode(b"caf\xe9.jpg")), (NAN, NAN, NAN, "日\n🚲\0")]
    )
    assert table(data).column("path").to_pylist() == ["caf\\xe9.jpg", "日\n🚲\0"]


def test_a_value_of_another_kind_is_a_defect():
    with pytest.raises((TypeError, ValueError)):
        written([("n", "integer")], [(1.0, 2.0, NAN, "one")])
    with pytest.raises(KeyError):
        write_table([("n", "colour")], [])


def test_rows_are_asked_for_when_they_are_needed():
    asked = []

    def some():
        for i in range(5):
            asked.append(i)
            yield 1.0, 2.0, NAN

    chunks = write_table([], some())
    assert next(chunks) == b"PAR1" and asked == []
    assert b"".join(chunks) and asked == [0, 1, 2, 3, 4]


def test_columns_of_numpy_are_taken():
    lat, lon, n = np.array([1.0, NAN]), np.array([2.0, 3.0]), np.array([5, 6])
    data = written([("n", "integer"), ("at", "instant")], zip(lat, lon, [None] * 2, n, np.array([0.5, NAN])))
    assert table(data).column("n").to_pylist() == [5, 6]
    assert table(data).column("at").to_pylist() == [datetime(1970, 1, 1, 0, 0, 0, 500000, UTC), None]


def test_all_that_is_known_of_a_photo(make):
    item = make(fix_before_s=2.0, fix_after_s=0.5004, error_m=3.21987, position_source="gpx", reason="near")
    (row,) = table(b"".join(write([item], False))).to_pylist()
    assert row == {
        "path": "day 1/a.jpg",
        "time": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "local_time": datetime(2023, 11, 14, 23, 13, 20),
        "time_source": "gps",
        "lat_deg": 47.1234567,
        "lon_deg": 8.2,
        "alt_m": 400.5,
        "position_source": "gpx",
        "heading_deg": 90.0,
        "heading_source": "exif",
        "heading_ref": "T",
        "sequence": "seq-1",
        "sequence_index": 0,
        "duplicate_of": None,
        "outcome": "located",
        "reason": "near",
        "seconds_to_fix": 0.5,
        "fix_before_s": 2.0,
        "fix_after_s": 0.5,
        "error_m": 3.22,
        "make": "Make",
        "model": "Model",
        "geometry": struct.pack("<BIddd", 1, 1001, 8.2, 47.1234567, 400.5),
    }


def test_nothing_known_is_null_and_the_photo_is_there(make):
    (row,) = table(b"".join(write([make.bare(path="x.jpg")], True))).to_pylist()
    assert {key for key, value in row.items() if value is not None} == {"path", "root", "outcome"}


def test_geopandas_reads_photos(make):
    of = [
        make(path="a.jpg"),
        make(path="é\n.jpg", alt_m=NAN, lat_deg=-33.5, lon_deg=-180.0),
        make.bare(path="c.jpg"),
    ]
    photos = frame(b"".join(PLUGIN.write(iter(of), True)))
    assert str(photos.crs) == "OGC:CRS84"
    assert photos.path.tolist() == ["a.jpg", "é\n.jpg", "c.jpg"] and photos.root.tolist() == ["/p"] * 3
    assert [g and g.wkt for g in photos.geometry] == [
        "POINT Z (8.2 47.1234567 400.5)",
        "POINT (-180 -33.5)",
        None,
    ]
    assert photos.time.dt.tz is not None and photos.time[0].isoformat() == "2023-11-14T22:13:20+00:00"
    assert photos.local_time[0].isoformat() == "2023-11-14T23:13:20"
    assert photos.total_bounds.tolist() == [-180.0, -33.5, 8.2, 47.1234567]


def test_geopandas_reads_a_table_without_rows():
    nothing = frame(written([("n", "integer")], []))
    assert len(nothing) == 0 and str(nothing.crs) == "OGC:CRS84" and list(nothing) == ["n", "geometry"]


def test_geopandas_reads_part_of_a_table():
    import geopandas

    data = written([("n", "integer")], [(float(i), float(i), NAN, i) for i in range(-50, 50)])
    some = geopandas.read_parquet(io.BytesIO(data), columns=["geometry"])
    assert len(some.cx[0:9, 0:9]) == 10


def test_a_table_of_another_program_is_not_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(Shot(lat_deg=1.0, lon_deg=2.0).bytes())
    out = tmp_path / "out.parquet"

    def exported(force=False):
        to = ExportOptions(output=str(out), force=force)
        export([str(tmp_path / "photos")], ProcessOptions(), to, Context())
        return out.read_bytes()

    foreign = pa.table({"path": ["camtrail"] * 3})
    pq.write_table(foreign, out)
    with pytest.raises(SafetyRefusal, match="was not written by camtrail"):
        exported()
    assert pq.read_table(out) == foreign
    ours = exported(force=True)
    assert [g.wkt for g in frame(ours).geometry] == ["POINT (2 1)"]
    assert exported() == ours


def test_without_pyarrow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match="pyarrow") as e:
        PLUGIN.write(iter([]), False)
    assert e.value.exit_code == 10 and "camtrail[tables]" in e.value.hint
