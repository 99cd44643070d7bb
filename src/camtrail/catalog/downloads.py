"""What was asked for and what was fetched into one folder, so that a run that was killed goes on.

An image belongs to a service's origin and a size: a rehearsal has another origin, and 1024 pixels are another file than
the original. Every commit is durable, and costs as much as a file: rows are put in groups.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from camtrail.catalog.database import Database, Kept, Layout, marks, parts, typed
from camtrail.core.names import plain

__all__ = ["STATES", "Download", "Downloads"]

STATES = ("wanted", "fetched", "failed", "missing")
"""What becomes of an image: not tried yet, whole in the folder, not fetched for a reason, unknown to the service."""

_NAN = float("nan")
_WAIT_S = 30
_DIGEST_BYTES = 32
_PAGE = 5000
_FIELDS = (
    "image", "sequence", "lat_deg", "lon_deg", "state", "path", "size_bytes", "sha256", "served_bytes",
    "served_sha256", "said", "message",
)  # fmt: skip
_TYPES = (
    str, str | None, float | None, float | None, str, bytes | None, int | None, bytes | None, int | None,
    bytes | None, str, str,
)  # fmt: skip
_LAYOUT = Layout(
    name="list of downloads",
    version=1,
    schema=(
        "CREATE TABLE kinds (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, size TEXT NOT NULL, UNIQUE (origin, size))",
        "CREATE TABLE images (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, image TEXT NOT NULL, sequence TEXT, "
        "lat_deg REAL, lon_deg REAL, state TEXT NOT NULL, path BLOB, size_bytes INTEGER, sha256 BLOB, "
        "served_bytes INTEGER, served_sha256 BLOB, said TEXT NOT NULL, message TEXT NOT NULL, UNIQUE (kind, image))",
        "CREATE INDEX images_path ON images (path)",
    ),
    rebuilt=False,
    hint_newer="update camtrail",
    hint_full="free some space or make it writable, then run again",
    hint_damaged="remove it and run again with --force: what is in the folder is then fetched anew",
)
_COLUMNS = ", ".join(_FIELDS)
_PUT = (
    f"INSERT INTO images (kind, {_COLUMNS}) VALUES (?{', ?' * len(_FIELDS)}) "  # noqa: S608 - names of ours only
    "ON CONFLICT (kind, image) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[1:] if name != "path")
    + ", path = coalesce(excluded.path, path)"
)
# What was fetched lies in the folder of the sequence that was known then.
_WANT = (
    "INSERT INTO images (kind, image, sequence, lat_deg, lon_deg, state, said, message) "
    "VALUES (?, ?, ?, ?, ?, 'wanted', '', '') ON CONFLICT (kind, image) DO UPDATE SET "
    "sequence = CASE state WHEN 'fetched' THEN sequence ELSE coalesce(excluded.sequence, sequence) END, "
    "lat_deg = coalesce(excluded.lat_deg, lat_deg), lon_deg = coalesce(excluded.lon_deg, lon_deg)"
)
_NO_LONGER = (
    "UPDATE images SET state = CASE state WHEN 'fetched' THEN 'wanted' ELSE state END, path = NULL, size_bytes = NULL, sha256 = NULL, served_bytes = NULL, "
    "served_sha256 = NULL WHERE path = ? AND NOT (kind = ? AND image = ?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One image of one origin and size, and what became of it."""

    image: str
    sequence: str | None = None
    lat_deg: float = _NAN  # as a list gives it; NaN where none does
    lon_deg: float = _NAN
    state: str = "wanted"
    path: str | None = (
        None  # of the file that was written last, relative to the folder; stays until another one is
    )
    size_bytes: int | None = None  # of the file as it was written
    sha256: bytes | None = None
    served_bytes: int | None = None  # of the picture as the service gave it
    served_sha256: bytes | None = None
    said: str = ""  # what the service says of the image, as JSON; empty where it was not asked
    message: str = ""  # why it was not fetched


class Downloads(Kept):
    """The downloads of one folder. Threads may share it.

    Text that is no valid Unicode is kept with what is wrong in it escaped.

    Parameters
    ----------
    path : of the file, which is made where it is missing; its folder is there

    Raises
    ------
    CatalogError
        The file is damaged, written by a newer camtrail, or locked for more than 30 s; this goes for every method.
    StorageError
        It cannot be made or written; this goes for every method as well.
    """

    def __init__(self, path: str) -> None:
        self._file = Database(path, _LAYOUT, _WAIT_S)

    def want(self, origin: str, size: str, images: Iterable[tuple[str, str | None, float, float]]) -> None:
        """Remembers what is to be fetched, in one commit; what is known already keeps its state and its rank.

        Parameters
        ----------
        images : id, sequence, latitude and longitude of the list; None and NaN where it does not say. They replace
            what was known, but for the sequence of one that is fetched
        """
        with self._file.writing() as db:
            kind = _made(db, origin, size)
            db.executemany(
                _WANT,
                (
                    (kind, plain(image), None if sequence is None else plain(sequence), lat, lon)
                    for image, sequence, lat, lon in images
                ),
            )

    def put(self, origin: str, size: str, rows: Sequence[Download]) -> None:
        """Remembers what became of images, in one commit, durable when this returns.

        A file holds one image: of another one that had its path nothing is there any more, and it is wanted again.

        Raises
        ------
        ValueError
            There is no such state, or a fetched image lacks its path, a size or a digest. Nothing is written then.
        """
        put = [_cells(row) for row in rows]
        if not put:
            return
        with self._file.writing() as db:
            kind = _made(db, origin, size)
            db.executemany(_PUT, ((kind, *cells) for cells in put))
            owner = {os.fsencode(row.path): row.image for row in rows if row.path and row.state == "fetched"}
            db.executemany(_NO_LONGER, ((path, kind, plain(image)) for path, image in owner.items()))

    def rows(self, origin: str, size: str, states: Sequence[str] = STATES) -> Iterator[Download]:
        """The images in these states, in the order in which they were named first; 5,000 in memory at a time."""
        last = 0
        left_out = [state for state in STATES if state not in states]  # so that what is none of them is found
        sql = (
            f"SELECT i.id, {_COLUMNS} FROM images i JOIN kinds k ON k.id = i.kind WHERE k.origin = ? AND k.size = ? "  # noqa: S608
            f"AND i.id > ? AND state NOT IN ({marks(left_out)}) ORDER BY i.id LIMIT {_PAGE}"
        )
        while found := self._file.read(sql, (plain(origin), plain(size), last, *left_out)):
            for number, *cells in found:
                yield self._download(cells)
                last = number

    def found(self, origin: str, size: str, images: Sequence[str]) -> dict[str, Download]:
        """What is known of these images, by id; those that were never named are left out."""
        known: dict[str, Download] = {}
        wanted = sorted({plain(image) for image in images})
        for part in parts(wanted):
            sql = (
                f"SELECT {_COLUMNS} FROM images i JOIN kinds k ON k.id = i.kind WHERE k.origin = ? AND k.size = ? "  # noqa: S608
                f"AND image IN ({marks(part)})"
            )
            for cells in self._file.read(sql, (plain(origin), plain(size), *part)):
                row = self._download(cells)
                known[row.image] = row
        return known

    def written(self, paths: Sequence[str]) -> set[str]:
        """Those of these paths where a file of ours was put last, of whatever origin and size."""
        found: set[str] = set()
        for part in parts([os.fsencode(path) for path in paths]):
            sql = f"SELECT path FROM images WHERE path IN ({marks(part)})"  # noqa: S608 - marks only
            found.update(os.fsdecode(path) for (path,) in self._file.read(sql, part))
        return found

    def counts(self) -> dict[tuple[str, str], Mapping[str, int]]:
        """How many images are in each state, by (origin, size), sorted; states without any are left out."""
        counted: dict[tuple[str, str], dict[str, int]] = {}
        sql = (
            "SELECT origin, size, state, count(*) FROM images i JOIN kinds k ON k.id = i.kind "
            "GROUP BY origin, size, state ORDER BY origin, size, state"
        )
        for origin, size, state, n in self._file.read(sql):
            counted.setdefault((origin, size), {})[state] = n
        return dict(counted)

    def _download(self, cells: Sequence[Any]) -> Download:
        try:
            return _of_cells(cells)
        except sqlite3.DatabaseError as e:
            self._file.damaged(e)
            raise


def _made(db: sqlite3.Connection, origin: str, size: str) -> int:
    """The number of an origin and size, which is made where it is missing."""
    key = (plain(origin), plain(size))
    db.execute("INSERT OR IGNORE INTO kinds (origin, size) VALUES (?, ?)", key)
    (number,) = db.execute("SELECT id FROM kinds WHERE origin = ? AND size = ?", key).fetchone()
    return int(number)


def _cells(row: Download) -> tuple[Any, ...]:
    """In the order of the columns. Raises ValueError."""
    if row.state not in STATES:
        raise ValueError(f"there is no state {row.state!r}")
    digests = (row.sha256, row.served_sha256)
    if row.state == "fetched" and None in (row.path, row.size_bytes, row.served_bytes, *digests):
        raise ValueError(f"{row.image} is fetched and lacks its path, a size or a digest")
    if any(d is not None and len(d) != _DIGEST_BYTES for d in digests):
        raise ValueError(f"a digest has {_DIGEST_BYTES} bytes")
    return (
        plain(row.image),
        None if row.sequence is None else plain(row.sequence),
        row.lat_deg,  # SQLite has no NaN: it is NULL
        row.lon_deg,
        row.state,
        None if row.path is None else os.fsencode(row.path),
        row.size_bytes,
        row.sha256,
        row.served_bytes,
        row.served_sha256,
        plain(row.said),
        plain(row.message),
    )


def _of_cells(cells: Sequence[Any]) -> Download:
    """Raises DatabaseError where a value is none that was put."""
    row = dict(zip(_FIELDS, typed(cells, _TYPES)))
    if row["state"] not in STATES:
        raise sqlite3.DatabaseError("a state expected, something else found")
    for name in ("lat_deg", "lon_deg"):
        row[name] = math.nan if row[name] is None else row[name]
    row["path"] = None if row["path"] is None else os.fsdecode(row["path"])
    return Download(**row)
