"""The nouns: tracks, placements, photos and what is found out about them, all as plain columns.

Numbers are float64 with NaN where nothing is known; texts are object arrays with None. Nothing absent is
ever 0. Latitude comes before longitude, both in degrees on WGS 84.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from camtrail.core.errors import Failure

__all__ = [
    "OUTCOMES",
    "Bools",
    "Collection",
    "Executor",
    "Floats",
    "Ints",
    "Item",
    "Note",
    "Photos",
    "Placement",
    "Places",
    "Ranks",
    "Texts",
    "Track",
    "columns_of",
    "distinct",
    "joined_columns",
    "texts",
]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Texts: TypeAlias = npt.NDArray[np.object_]

OUTCOMES = (
    "located",
    "estimated",
    "no_place",
    "no_time",
    "outside_track",
    "in_gap",
    "duplicate",
    "unreadable",
    "unsupported",
)
"""What a photo can come out as; every photo has exactly one."""

NAN = float("nan")
T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Runs a function over items: here, on processes, or on a cluster."""

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> Iterator[R | Failure[T]]:
        """One answer for each item, in the order of the items. Never raises for an item."""
        ...

    def close(self) -> None:
        """Gives back what it holds."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Fixes of one receiver without a break; every column has shape (n,).

    A place where the receiver lost its fix, or a new segment of the file, starts a new Track.
    """

    time_s: Floats  # POSIX seconds, UTC, strictly increasing
    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats  # NaN where the receiver gave none
    course_deg: Floats  # where it moves, true north; NaN where the file does not say
    speed_mps: Floats
    hdop: Floats


@dataclass(frozen=True, slots=True)
class Placement:
    """Place, and perhaps time, of one named file. NaN where the source does not say.

    A row that names a file and has no usable position is one, too: `fault` says why.
    """

    file: str
    lat_deg: float
    lon_deg: float
    alt_m: float = NAN
    time_s: float = NAN  # POSIX seconds
    local_s: float = NAN  # a time without zone, seconds as if it were UTC
    heading_deg: float = NAN
    fault: str = ""  # "rows with a position off the globe"


@dataclass(frozen=True, slots=True)
class Note:
    """What a source left out, and why: `Note(12, "points without time")`."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """What a scan found; every column has shape (n,), in the order of the paths' bytes."""

    path: Texts  # relative to the collection's base, `/` between folders
    size_bytes: Ints
    mtime_ns: Ints
    local_s: Floats  # the camera's clock, seconds as if it were UTC
    offset_s: Floats  # what the clock is ahead of UTC, from OffsetTime*
    gps_time_s: Floats  # GPS date and time, POSIX seconds
    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats  # negative below sea level
    heading_deg: Floats  # where the lens looks (GPSImgDirection), 0 <= h < 360
    course_deg: Floats  # where it moved (GPSTrack), 0 <= c < 360
    speed_mps: Floats
    dop: Floats
    error_m: Floats  # GPSHPositioningError
    orientation: Floats  # 1..8
    width_px: Floats  # of the stored picture, before orientation
    height_px: Floats
    heading_ref: Texts  # "T" true or "M" magnetic north
    course_ref: Texts
    position_in: Texts  # "exif" or "xmp", None where there is no position
    make: Texts
    model: Texts
    lens: Texts
    serial: Texts  # of the camera body
    description: Texts  # ImageDescription
    note: Texts  # what is damaged or nonsense in the metadata, in words
    fault: Texts  # None, or "unreadable" or "unsupported"
    message: Texts  # of the fault
    hint: Texts

    def __len__(self) -> int:
        return len(self.path)

    def take(self, rows: npt.NDArray[Any]) -> Photos:
        """The photos of these rows (indices or a mask)."""
        return Photos(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[Any, ...]]) -> Photos:
        """From tuples in the order of the columns."""
        return cls(*columns_of(cls, rows))

    @classmethod
    def joined(cls, parts: Sequence[Photos]) -> Photos:
        """Tables one behind the other."""
        return parts[0] if len(parts) == 1 else cls(*joined_columns(cls, parts))


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """When and where each photo was taken; row i belongs to photo i."""

    time_s: Floats  # the instant, POSIX seconds
    order_s: Floats  # the instant with photos of one second spread over it; orders them
    time_source: Texts  # gps, option, offset, place, machine, or a source's name
    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats
    position_source: Texts  # exif, xmp, gpx, csv, ...
    heading_deg: Floats  # 0 <= h < 360, as the source gave it
    heading_source: Texts  # exif, course (where it moved), track, csv, json
    fix_before_s: Floats  # seconds since the fix before, where a track was asked
    fix_after_s: Floats  # seconds to the fix after
    error_m: Floats  # estimated error of the position, one standard deviation
    outcome: Texts  # one of OUTCOMES
    reason: Texts  # in words; None where the outcome says all

    def __len__(self) -> int:
        return len(self.time_s)

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[Any, ...]]) -> Places:
        """From tuples in the order of the columns."""
        return cls(*columns_of(cls, rows))

    @classmethod
    def joined(cls, parts: Sequence[Places]) -> Places:
        """Tables one behind the other."""
        return parts[0] if len(parts) == 1 else cls(*joined_columns(cls, parts))

    def take(self, rows: npt.NDArray[Any]) -> Places:
        """The places of these rows (indices or a mask)."""
        return Places(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Where each photo stands among the others; row i belongs to photo i."""

    heading_deg: Floats  # as reported, with --offset-angle added
    heading_source: Texts  # as in Places; sequence: towards the next photo; interpolated: that, as asked for
    turned_deg: Floats  # what --offset-angle added
    sequence: Texts  # id of the sequence, None outside of all
    sequence_index: Ints  # 0.. in the sequence, -1 outside of all
    duplicate_of: Texts  # path of the photo that was kept; None where this one is
    reason: Texts  # of the duplicate

    def __len__(self) -> int:
        return len(self.heading_deg)

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[Any, ...]]) -> Ranks:
        """From tuples in the order of the columns."""
        return cls(*columns_of(cls, rows))

    def take(self, rows: npt.NDArray[Any]) -> Ranks:
        """The ranks of these rows (indices or a mask)."""
        return Ranks(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def none(cls, places: Places) -> Ranks:
        """Photos that were not put into an order: nothing but their own headings."""
        n = len(places)
        nothing = texts([None] * n)
        return cls(
            places.heading_deg,
            places.heading_source,
            np.zeros(n),
            nothing,
            np.full(n, -1, np.int64),
            nothing,
            nothing,
        )


class Item(NamedTuple):
    """One photo with everything known of it, in plain Python; NaN and None where absent."""

    path: str  # relative to the PATH it was found under
    root: str  # that PATH, absolute
    file: str  # absolute
    time_s: float
    order_s: float
    local_s: float
    time_source: str | None
    lat_deg: float
    lon_deg: float
    alt_m: float
    position_source: str | None
    heading_deg: float
    heading_source: str | None
    heading_ref: str | None  # "T" true or "M" magnetic north
    fix_before_s: float
    fix_after_s: float
    error_m: float
    sequence: str | None
    sequence_index: int
    duplicate_of: str | None
    outcome: str
    reason: str | None
    make: str | None
    model: str | None
    serial: str | None
    orientation: float
    width_px: float
    height_px: float
    size_bytes: int
    dop: float
    message: str | None  # why the file could not be read
    hint: str | None  # what to do about it

    @property
    def seconds_to_fix(self) -> float:
        """Seconds to the nearer fix of the track that placed the photo or failed to; NaN where none was asked."""
        before, after = self.fix_before_s, self.fix_after_s
        return after if not before <= after and after == after else before


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Photos of one state folder that were asked for, and what is known of them."""

    base: str  # absolute folder that the paths are relative to
    roots: tuple[str, ...]  # absolute folders that they were found under: PATHs, or the folders of PATHs
    root: Ints  # (n,) index into `roots`
    photos: Photos
    places: Places
    ranks: Ranks

    def __len__(self) -> int:
        return len(self.photos)

    def outcomes(self) -> Texts:
        """(n,) the one outcome of each photo."""
        out = self.places.outcome.copy()
        out[self._copies()] = "duplicate"
        return out

    def _copies(self) -> Bools:
        return np.array([d is not None for d in self.ranks.duplicate_of.tolist()], bool)

    def items(self, rows: npt.NDArray[Any] | None = None) -> Iterator[Item]:
        """One Item for each photo (of these rows), in the order of the paths."""
        take = np.arange(len(self)) if rows is None else rows
        p, a, r = self.photos, self.places, self.ranks
        copy = self._copies()
        is_own, is_course = r.heading_source == "exif", r.heading_source == "course"
        reference = p.heading_ref.copy()
        reference[is_course] = p.course_ref[is_course]
        reference[~is_own & ~is_course] = "T"
        reference[~np.isfinite(r.heading_deg)] = None
        outcome, reason = a.outcome.copy(), a.reason.copy()
        outcome[copy], reason[copy] = "duplicate", r.reason[copy]
        columns = (
            p.path, self.root, r.duplicate_of, a.time_s, a.order_s, p.local_s, a.time_source, a.lat_deg, a.lon_deg,
            a.alt_m, a.position_source, r.heading_deg, r.heading_source, reference, a.fix_before_s, a.fix_after_s,
            a.error_m, r.sequence, r.sequence_index, outcome, reason, p.make, p.model, p.serial, p.orientation,
            p.width_px, p.height_px, p.size_bytes, p.dop, p.message, p.hint,
        )  # fmt: skip
        join = _folder(self.base)
        for path, root, same_as, *values in zip(*(c[take].tolist() for c in columns)):
            below = self.roots[root]
            kept = None if same_as is None else (join + same_as).removeprefix(_folder(below))
            head, tail = values[:16], values[16:]
            file = join + path
            yield Item._make((file.removeprefix(_folder(below)), below, file, *head, kept, *tail))


def _folder(path: str) -> str:
    """With the slash at its end, which a root has already."""
    return path if path.endswith("/") else path + "/"


def texts(values: Sequence[str | None]) -> Texts:
    """An object column of texts and None."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def distinct(values: Floats) -> tuple[Floats, Ints]:
    """The values that occur, ascending, and for each value the row of it there; NaN comes last.

    What numpy's `unique` does, without the import of its masked arrays, which costs more than the rest.
    """
    ordered = np.sort(values)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    first[1:] &= ~(np.isnan(ordered[1:]) & np.isnan(ordered[:-1]))
    cells = ordered[first]
    return cells, np.searchsorted(cells, values).astype(np.int64)


def joined_columns(cls: type[Any], parts: Sequence[Any]) -> list[npt.NDArray[Any]]:
    """The columns of tables one behind the other; of none: empty ones."""
    if not parts:
        return columns_of(cls, [])
    return [np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)]


def columns_of(cls: type[Any], rows: Sequence[tuple[Any, ...]]) -> list[npt.NDArray[Any]]:
    """Rows in field order -> columns of the types that the dataclass declares."""
    names = [(f.name, str(f.type)) for f in fields(cls)]
    cells: Iterable[Sequence[Any]] = zip(*rows) if rows else [()] * len(names)
    made: list[npt.NDArray[Any]] = []
    for (_, kind), column in zip(names, cells):
        if kind == "Texts":
            made.append(texts(column))
        else:
            made.append(np.array(column, np.int64 if kind == "Ints" else np.float64))
    return made
