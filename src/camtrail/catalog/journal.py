"""The journal: which run changed which file, and what brings its old bytes back.

It is never rebuilt, and every commit is durable. Paths below the state's folder are kept relative to it, so that
the journal moves with the photos.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from camtrail.core.errors import CatalogError, StorageError
from camtrail.core.journal import Change, Undo
from camtrail.core.names import shown

__all__ = ["JournalRun", "SqliteJournal"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_VERSION = 1
_WAIT_S = 30
_POLL_S = 0.2
_COLUMNS = (
    "path, kind, undo_runs, undo_keep, undo_rest, old_size, old_sha256, new_size, head_bytes, new_sha256, "
    "old_mtime_ns, tags"
)
_SCHEMA = (
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, at_s REAL NOT NULL, command TEXT NOT NULL)",
    "CREATE TABLE changes (id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, state TEXT NOT NULL, "
    "path BLOB NOT NULL, kind TEXT NOT NULL, undo_runs BLOB NOT NULL, undo_keep INTEGER NOT NULL, "
    "undo_rest BLOB NOT NULL, old_size INTEGER NOT NULL, old_sha256 BLOB NOT NULL, new_size INTEGER NOT NULL, "
    "head_bytes INTEGER NOT NULL, new_sha256 BLOB NOT NULL, old_mtime_ns INTEGER NOT NULL, tags TEXT NOT NULL)",
    "CREATE INDEX changes_path ON changes (path)",
)


@dataclass(frozen=True, slots=True)
class JournalRun:
    """One run that changed files."""

    number: int
    at_s: float  # POSIX seconds
    command: str
    states: dict[str, int]  # done, undone, begun: how many files


class SqliteJournal:
    """The journal of one state folder.

    Parameters
    ----------
    path : of the file, which is made where it is missing
    base : absolute folder that paths are kept relative to
    command, at_s : of the run that is going on; it is written down with its first change

    Raises
    ------
    CatalogError
        The file is damaged, written by a newer camtrail, or locked for more than 30 s.
    StorageError
        It cannot be made or written.
    """

    def __init__(self, path: str, base: str, command: str = "", at_s: float = 0.0) -> None:
        self.path = path
        self._base = base if base.endswith("/") else base + "/"
        self._command = command
        self._at_s = at_s
        self._run: int | None = None
        self._db = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self.path, timeout=_POLL_S, isolation_level=None)
        except sqlite3.Error as e:
            raise self._translated(e) from e
        try:
            self._patiently(lambda: self._made(db))
        except BaseException as e:
            db.close()
            if isinstance(e, sqlite3.Error):
                raise self._translated(e) from e
            raise
        return db

    def _made(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode=TRUNCATE")
        db.execute("PRAGMA synchronous=FULL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise CatalogError(f"{shown(self.path)}: was written by a newer camtrail", "update camtrail")
        if version < _VERSION:
            self._check_empty(db)
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA user_version={_VERSION}")
            db.execute("COMMIT")

    def _check_empty(self, db: sqlite3.Connection) -> None:
        # SQLite takes what is shorter than its smallest page for a new file; here it is one that was cut off.
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        if pages == 0 and os.stat(self.path).st_size > 0:
            raise sqlite3.DatabaseError("it is cut off")

    def _patiently(self, do: Callable[[], T]) -> T:
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                return do()
            except sqlite3.OperationalError as e:
                if "locked" not in str(e) or time.monotonic() >= until:
                    raise

    def _translated(self, e: sqlite3.Error) -> StorageError:
        if isinstance(e, sqlite3.OperationalError) and "locked" in str(e):
            return CatalogError(
                f"{shown(self.path)}: another program holds it", "wait for the other run to end"
            )
        if isinstance(e, sqlite3.OperationalError):
            return StorageError(
                f"{shown(self.path)}: cannot be written ({e})", "free some space; nothing was changed"
            )
        return CatalogError(
            f"{shown(self.path)}: is damaged ({e})",
            "bring it back from a backup; without it nothing can be undone, and so nothing is changed",
        )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._patiently(lambda: self._db.execute("BEGIN IMMEDIATE"))
            try:
                yield self._db
                self._patiently(lambda: self._db.execute("COMMIT"))
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as e:
            raise self._translated(e) from e

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._patiently(lambda: self._db.execute(sql, values).fetchall())
        except sqlite3.Error as e:
            raise self._translated(e) from e

    def close(self) -> None:
        """Gives the file back."""
        self._db.close()

    def __enter__(self) -> SqliteJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, changes: Sequence[Change]) -> list[int]:
        """Writes rows, durable when this returns; the files have not changed yet. Returns their ids."""
        ids: list[int] = []
        if not changes:
            return ids
        with self._writing() as db:
            if self._run is None:
                made = db.execute(
                    "INSERT INTO runs (at_s, command) VALUES (?, ?)", (self._at_s, self._command)
                )
                self._run = made.lastrowid
            for c in changes:
                row = (
                    self._run, "begun", self._kept(c.path), c.kind, _packed(c.undo.runs), c.undo.keep, c.undo.rest,
                    c.old_size, c.old_sha256, c.new_size, c.head_bytes, c.new_sha256, c.old_mtime_ns, c.tags,
                )  # fmt: skip
                made = db.execute(
                    f"INSERT INTO changes (run, state, {_COLUMNS}) VALUES ({', '.join('?' * 14)})",  # noqa: S608
                    row,
                )
                ids.append(made.lastrowid or 0)
        return ids

    def end(self, ids: Sequence[int], state: str) -> None:
        """Says what became of rows: "done", "undone", or "dropped", which forgets them."""
        if not ids:
            return
        with self._writing() as db:
            if state == "dropped":
                db.executemany("DELETE FROM changes WHERE id = ?", [(i,) for i in ids])
                db.execute("DELETE FROM runs WHERE id NOT IN (SELECT run FROM changes)")
                self._run = None
            else:
                db.executemany("UPDATE changes SET state = ? WHERE id = ?", [(state, i) for i in ids])

    def changes(
        self, states: Sequence[str] = ("done",), run: int | None = None
    ) -> list[tuple[int, int, Change]]:
        """(id, run, change) of rows in these states, the newest first; of one run, or of all."""
        marks = ", ".join("?" * len(states))
        where = f"state IN ({marks})" + (" AND run = ?" if run is not None else "")
        values = [*states, *([run] if run is not None else [])]
        rows = self._read(f"SELECT id, run, {_COLUMNS} FROM changes WHERE {where} ORDER BY id DESC", values)  # noqa: S608
        return [(row[0], row[1], self._change(row[2:])) for row in rows]

    def runs(self) -> list[JournalRun]:
        """Runs that changed files, the newest first."""
        found: dict[int, JournalRun] = {}
        sql = (
            "SELECT r.id, r.at_s, r.command, c.state, count(*) FROM runs r JOIN changes c ON c.run = r.id "
            "GROUP BY r.id, c.state ORDER BY r.id DESC"
        )
        for number, at_s, command, state, count in self._read(sql):
            found.setdefault(number, JournalRun(number, at_s, command, {})).states[state] = count
        return list(found.values())

    def forget(self, before_s: float) -> int:
        """Drops what undo needs of runs before a time; returns how many rows."""
        with self._writing() as db:
            gone = db.execute(
                "DELETE FROM changes WHERE run IN (SELECT id FROM runs WHERE at_s < ?)", (before_s,)
            ).rowcount
            db.execute("DELETE FROM runs WHERE id NOT IN (SELECT run FROM changes)")
        try:
            self._db.execute("VACUUM")
        except sqlite3.Error as e:
            raise self._translated(e) from e
        return gone

    def _kept(self, path: str) -> bytes:
        return os.fsencode(path.removeprefix(self._base))

    def _change(self, row: Sequence[Any]) -> Change:
        path = os.fsdecode(row[0])
        whole = path if path.startswith("/") or path[1:2] == ":" else self._base + path
        undo = Undo(_unpacked(row[2]), row[3], row[4])
        return Change(whole, row[1], undo, *row[5:])


def _packed(runs: Sequence[tuple[int, bytes]]) -> bytes:
    """Runs as (offset, length, bytes), numbers of 8 bytes."""
    return b"".join(at.to_bytes(8, "big") + len(data).to_bytes(8, "big") + data for at, data in runs)


def _unpacked(data: bytes) -> tuple[tuple[int, bytes], ...]:
    runs: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        offset, length = (int.from_bytes(data[i : i + 8], "big") for i in (at, at + 8))
        runs.append((offset, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return tuple(runs)
