"""GeoParquet 1.1: tables of rows that have a place each, for dataframes, databases and maps.

The geometry is a point in WKB, longitude first, on WGS 84 (OGC:CRS84, what is meant where a file names none), with
the altitude where that is known, and null where the place is not. Instants are timestamps in UTC, clocks timestamps
without zone, both to the microsecond.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np

from camtrail.core.errors import MissingDependency
from camtrail.core.model import Bools, Floats, Item
from camtrail.core.names import plain
from camtrail.core.plugins import Export
from camtrail.exports.values import FIRST_S, LAST_S, heading_deg, rounded, text_of

__all__ = ["MARK", "PLUGIN", "libraries", "write", "write_table"]

MARK = b"camtrail/geoparquet"
"""Stands in the metadata at the end of a file of ours."""

_ROWS = 1 << 16  # in memory at a time; a row group of the file
_GEOMETRY = "geometry"
_POINT, _POINT_Z = 1, 1001  # ISO WKB
_FLAT, _HIGH = struct.Struct("<BIdd"), struct.Struct("<BIddd")
_COLUMNS = (
    ("time", "instant"), ("local_time", "clock"), ("time_source", "text"), ("lat_deg", "number"),
    ("lon_deg", "number"), ("alt_m", "number"), ("position_source", "text"), ("heading_deg", "number"),
    ("heading_source", "text"), ("heading_ref", "text"), ("sequence", "text"), ("sequence_index", "integer"),
    ("duplicate_of", "text"), ("outcome", "text"), ("reason", "text"), ("seconds_to_fix", "number"),
    ("fix_before_s", "number"), ("fix_after_s", "number"), ("error_m", "number"), ("make", "text"), ("model", "text"),
)  # fmt: skip


def write(items: Iterable[Item], several_roots: bool) -> Iterator[bytes]:
    """One row for each photo, in the order of the items; the values are those of the other formats.

    Parameters
    ----------
    items : photos with what is known of them
    several_roots : whether there is a column with the `root` that a path is relative to

    Raises
    ------
    MissingDependency
        pyarrow is not installed.
    """
    names = (("path", "text"), ("root", "text")) if several_roots else (("path", "text"),)
    return write_table(names + _COLUMNS, (_row(item, several_roots) for item in items))


def write_table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """The bytes of a GeoParquet file, in chunks; the same for the same rows.

    Parameters
    ----------
    columns : (name, kind); kinds are `text`, `number`, `integer`, `flag`, `instant` (POSIX seconds) and `clock`
        (seconds of a clock without zone, as if it were UTC)
    rows : latitude, longitude and altitude in m, NaN where unknown, then a value for each column. A value that is
        None, NaN or infinite, and a time that no calendar has, is null; what is wrong in a text is escaped

    Raises
    ------
    MissingDependency
        pyarrow is not installed.

    Notes
    -----
    GeoParquet 1.1.0, ISO 13249-3 for points with altitude. Holds 65,536 rows at a time.
    """
    arrow, parquet = libraries()
    kinds = _kinds(arrow)
    fields = [(name, kinds[kind]) for name, kind in columns]
    schema = arrow.schema([*fields, (_GEOMETRY, arrow.binary())])
    return _written(arrow, parquet, schema, [kind for _, kind in columns], iter(rows))


def _written(
    arrow: ModuleType, parquet: ModuleType, schema: Any, kinds: Sequence[str], rows: Iterator[Sequence[Any]]
) -> Iterator[bytes]:
    sink, extent = _Sink(), _Extent()
    # Without the schema of Arrow, which readers of other languages pass over, a file has one truth about its types.
    writer = parquet.ParquetWriter(sink, schema, compression="zstd", store_schema=False)
    yield sink.taken()
    while part := list(islice(rows, _ROWS)):
        lat, lon, alt, *values = zip(*part)
        points = extent.points(*(_numbers(c) for c in (lat, lon, alt)))
        made = [
            _CELLS[kind](arrow, column, schema.field(i).type)
            for i, (kind, column) in enumerate(zip(kinds, values))
        ]
        writer.write_table(
            arrow.Table.from_arrays([*made, arrow.array(points, arrow.binary())], schema=schema)
        )
        yield sink.taken()
    writer.add_key_value_metadata({"geo": json.dumps(extent.described()), "writer": MARK.decode()})
    writer.close()
    yield sink.taken()


def _row(item: Item, with_root: bool) -> tuple[Any, ...]:
    known = -90.0 <= item.lat_deg <= 90.0 and -180.0 <= item.lon_deg <= 180.0
    lat, lon = (rounded(v, 7) if known else None for v in (item.lat_deg, item.lon_deg))
    alt = rounded(item.alt_m, 3)
    return (
        lat,
        lon,
        alt,
        item.path,
        *((item.root,) if with_root else ()),
        item.time_s,
        item.local_s,
        text_of(item.time_source),
        lat,
        lon,
        alt,
        text_of(item.position_source),
        heading_deg(item),
        text_of(item.heading_source),
        item.heading_ref,
        text_of(item.sequence),
        item.sequence_index if item.sequence_index >= 0 else None,
        item.duplicate_of,
        item.outcome,
        text_of(item.reason),
        rounded(item.seconds_to_fix, 3),
        rounded(item.fix_before_s, 3),
        rounded(item.fix_after_s, 3),
        rounded(item.error_m, 3),
        text_of(item.make),
        text_of(item.model),
    )


class _Sink:
    """A file that hands on what is written into it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keeps a copy."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is behind it."""

    def close(self) -> None:
        """What was written is still there."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class _Extent:
    """Points as they are written, and what the file says of all of them."""

    def __init__(self) -> None:
        self._types: set[str] = set()
        self._least = np.full(3, np.inf)
        self._most = np.full(3, -np.inf)

    def points(self, lat: Floats, lon: Floats, alt: Floats) -> list[bytes | None]:
        """WKB of each place; None where there is none on the globe."""
        known = (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0)
        high = known & np.isfinite(alt)
        for name, mask in (("Point", known & ~high), ("Point Z", high)):
            if mask.any():
                self._types.add(name)
        for axis, (values, mask) in enumerate(((lon, known), (lat, known), (alt, high))):
            self._least[axis] = min(self._least[axis], values[mask].min(initial=np.inf))
            self._most[axis] = max(self._most[axis], values[mask].max(initial=-np.inf))
        flat, z = _FLAT.pack, _HIGH.pack
        return [
            z(1, _POINT_Z, x, y, a) if is_high else flat(1, _POINT, x, y) if is_known else None
            for y, x, a, is_known, is_high in zip(*(c.tolist() for c in (lat, lon, alt, known, high)))
        ]

    def described(self) -> dict[str, Any]:
        """What GeoParquet wants to be told."""
        column: dict[str, Any] = {"encoding": "WKB", "geometry_types": sorted(self._types)}
        axes = 3 if "Point Z" in self._types else 2
        if self._types:
            column["bbox"] = [*self._least[:axes].tolist(), *self._most[:axes].tolist()]
        return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}


def _numbers(column: Sequence[Any]) -> Floats:
    return np.array(column, np.float64)  # None becomes NaN


def _text(arrow: ModuleType, column: Sequence[Any], kind: Any) -> Any:
    return arrow.array([None if v is None else plain(v) for v in column], kind)


def _number(arrow: ModuleType, column: Sequence[Any], kind: Any) -> Any:
    values = _numbers(column)
    return arrow.array(values, kind, mask=~np.isfinite(values))


def _same(arrow: ModuleType, column: Sequence[Any], kind: Any) -> Any:
    return arrow.array(column, kind)


def _time(arrow: ModuleType, column: Sequence[Any], kind: Any) -> Any:
    seconds = _numbers(column)
    known: Bools = (seconds >= FIRST_S) & (seconds < LAST_S)
    microseconds = np.rint(np.where(known, seconds, 0.0) * 1e6).astype("datetime64[us]")
    return arrow.array(microseconds, kind, mask=~known)


_CELLS: Mapping[str, Callable[[ModuleType, Sequence[Any], Any], Any]] = {
    "text": _text, "number": _number, "integer": _same, "flag": _same, "instant": _time, "clock": _time,
}  # fmt: skip


def _kinds(arrow: ModuleType) -> dict[str, Any]:
    """The type of each kind of column."""
    return {
        "text": arrow.string(),
        "number": arrow.float64(),
        "integer": arrow.int64(),
        "flag": arrow.bool_(),
        "instant": arrow.timestamp("us", "UTC"),
        "clock": arrow.timestamp("us"),
    }


def libraries() -> tuple[ModuleType, ModuleType]:
    """pyarrow and pyarrow.parquet. Raises MissingDependency."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise MissingDependency("a .parquet file needs pyarrow", "pip install 'camtrail[tables]'") from e
    return pyarrow, pyarrow.parquet


PLUGIN = Export(
    name="geoparquet",
    about="GeoParquet 1.1, one row a photo",
    suffixes=frozenset({".parquet", ".geoparquet"}),
    write=write,
    mark=MARK,
    is_mark_last=True,
)
