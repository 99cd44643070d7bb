"""The catalog: what was read of each photo and what was found out about it. A rescan rebuilds it.

Paths are stored as the bytes of the name, relative to the folder that the state belongs to.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from camtrail.core.errors import CatalogError, StorageError
from camtrail.core.model import Photos, Places, Ranks
from camtrail.core.names import shown

__all__ = ["Catalog"]

log = logging.getLogger(__name__)

_VERSION = 1
_WAIT_S = 30
_SQL_TYPES = {"Texts": "TEXT", "Ints": "INTEGER", "Floats": "REAL"}
_PATHS = {"path", "duplicate_of"}  # columns with names of files: bytes


def _columns(cls: type[Any]) -> list[str]:
    return [f.name for f in fields(cls)]


def _table(name: str, cls: type[Any]) -> str:
    made = [
        f"{f.name} {'BLOB' if f.name in _PATHS else _SQL_TYPES[str(f.type)]}"
        for f in fields(cls)
        if f.name != "path"
    ]
    return f"CREATE TABLE {name} (path BLOB PRIMARY KEY, {', '.join(made)}) WITHOUT ROWID"


_SCHEMA = (
    _table("photos", Photos),
    _table("places", Places),
    _table("ranks", Ranks),
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, at_s REAL, command TEXT, counts TEXT)",
)


class Catalog:
    """One catalog file. Only the main process opens it.

    Raises
    ------
    CatalogError
        Written by a newer camtrail, or locked for more than 30 s.
    StorageError
        The file cannot be made or written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._db = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            db = self._connected()
        except sqlite3.DatabaseError as e:
            if _locked(e):
                raise self._busy() from e
            if isinstance(e, sqlite3.OperationalError):
                raise StorageError(
                    f"{shown(self.path)}: cannot be opened ({e})", "free some space or give --state-dir DIR"
                ) from e
            self._move_aside(e)
            db = self._connected()
        return db

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
        try:
            # A rescan rebuilds it, so it need not survive a power cut; it survives a killed process.
            db.execute("PRAGMA synchronous=OFF")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise CatalogError(
                    f"{shown(self.path)}: was written by a newer camtrail",
                    "update camtrail or give --state-dir DIR",
                )
            if version < _VERSION:
                db.execute("PRAGMA journal_mode=TRUNCATE")
                db.execute("BEGIN IMMEDIATE")
                for name in ("photos", "places", "ranks", "runs"):
                    db.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={_VERSION}")
                db.execute("COMMIT")
            else:
                db.execute("PRAGMA journal_mode=TRUNCATE")
        except BaseException:
            db.close()
            raise
        return db

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = f"{self.path}.corrupt-{int(time.time())}"
        log.warning(
            "%s is damaged (%s); it was kept as %s and is made anew", shown(self.path), error, shown(aside)
        )
        os.replace(self.path, aside)
        for suffix in ("-journal", "-wal", "-shm"):
            if os.path.exists(self.path + suffix):
                os.replace(self.path + suffix, aside + suffix)

    def _busy(self) -> CatalogError:
        return CatalogError(
            f"{shown(self.path)}: another program has held it for {_WAIT_S} s",
            "wait for the other run to end",
        )

    def close(self) -> None:
        """Gives the file back."""
        self._db.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as e:
            raise self._translated(e) from e

    def _translated(self, e: sqlite3.DatabaseError) -> StorageError:
        if _locked(e):
            return self._busy()
        if isinstance(e, sqlite3.OperationalError):
            return StorageError(
                f"{shown(self.path)}: cannot be written ({e})", "free some space or give --state-dir DIR"
            )
        return CatalogError(f"{shown(self.path)}: is damaged ({e})", "remove it; the next run makes it anew")

    def _rows(self, cls: type[Any], table: str, folder: str) -> dict[str, tuple[Any, ...]]:
        names = _columns(cls)
        if "path" not in names:
            names = ["path", *names]
        where, bounds = _below(folder)
        paths = [i for i, name in enumerate(names) if name in _PATHS]
        sql = f"SELECT {', '.join(names)} FROM {table}{where}"  # noqa: S608 - names of our own columns
        try:
            found = self._db.execute(sql, bounds).fetchall()
        except sqlite3.DatabaseError as e:
            if isinstance(e, sqlite3.OperationalError) and _locked(e):
                raise self._busy() from e
            self._db.close()
            self._move_aside(e)
            self._db = self._connected()
            return {}
        decode = os.fsdecode
        if paths == [0]:
            return {(p := decode(row[0])): (p, *row[1:]) for row in found}
        return {
            decode(row[0]): tuple(decode(v) if i in paths and v is not None else v for i, v in enumerate(row))
            for row in found
        }

    def photos(self, folder: str = "") -> dict[str, tuple[Any, ...]]:
        """Rows of Photos at or below a folder, by path; the whole catalog for ""."""
        return self._rows(Photos, "photos", folder)

    def places(self, folder: str = "") -> dict[str, tuple[Any, ...]]:
        """Rows of Places at or below a folder, by path."""
        return {path: row[1:] for path, row in self._rows(Places, "places", folder).items()}

    def ranks(self, folder: str = "") -> dict[str, tuple[Any, ...]]:
        """Rows of Ranks at or below a folder, by path."""
        return {path: row[1:] for path, row in self._rows(Ranks, "ranks", folder).items()}

    def put_photos(self, rows: Sequence[tuple[Any, ...]], changed: Iterable[str] = ()) -> None:
        """Adds or replaces rows of Photos, and drops what was found out about those that changed."""
        marks = ", ".join("?" * len(_columns(Photos)))
        keys = [(os.fsencode(p),) for p in changed]
        with self._writing() as db:
            db.executemany(
                f"INSERT OR REPLACE INTO photos VALUES ({marks})",  # noqa: S608
                ((os.fsencode(row[0]), *row[1:]) for row in rows),
            )
            for table in ("places", "ranks"):
                db.executemany(f"DELETE FROM {table} WHERE path = ?", keys)  # noqa: S608

    def forget(self, paths: Iterable[str]) -> None:
        """Drops photos that are no longer there, and what was known of them."""
        keys = [(os.fsencode(p),) for p in paths]
        if keys:
            with self._writing() as db:
                for table in ("photos", "places", "ranks"):
                    db.executemany(f"DELETE FROM {table} WHERE path = ?", keys)  # noqa: S608

    def put_answers(self, paths: Sequence[str], places: Places, ranks: Ranks | None) -> None:
        """Stores what was found out about photos; without `ranks` their old ones are dropped."""
        keys = [os.fsencode(p) for p in paths]
        with self._writing() as db:
            self._put(db, "places", keys, places)
            if ranks is None:
                db.executemany("DELETE FROM ranks WHERE path = ?", ((k,) for k in keys))
            else:
                self._put(db, "ranks", keys, ranks)

    def put_ranks(self, paths: Sequence[str], ranks: Ranks) -> None:
        """Stores where photos stand among the others."""
        with self._writing() as db:
            self._put(db, "ranks", [os.fsencode(p) for p in paths], ranks)

    @staticmethod
    def _put(db: sqlite3.Connection, table: str, keys: list[bytes], answers: Places | Ranks) -> None:
        columns: list[list[Any]] = []
        for name in _columns(type(answers)):
            values = getattr(answers, name).tolist()
            columns.append([v if v is None else os.fsencode(v) for v in values] if name in _PATHS else values)
        marks = ", ".join("?" * (len(columns) + 1))
        db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", zip(keys, *columns))  # noqa: S608

    def add_run(self, at_s: float, command: str, counts: str) -> None:
        """Remembers that a run ended, for `status`; the newest hundred are kept."""
        with self._writing() as db:
            db.execute("INSERT INTO runs (at_s, command, counts) VALUES (?, ?, ?)", (at_s, command, counts))
            db.execute("DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - 100")

    def runs(self) -> list[tuple[int, float, str, str]]:
        """(id, POSIX seconds, command, counts as JSON) of runs, the newest first."""
        return self._db.execute("SELECT id, at_s, command, counts FROM runs ORDER BY id DESC").fetchall()


def _below(folder: str) -> tuple[str, tuple[bytes, ...]]:
    """The condition for paths at or below a folder."""
    if not folder:
        return "", ()
    key = os.fsencode(folder)
    return " WHERE path = ? OR (path > ? AND path < ?)", (key, key + b"/", key + b"0")  # "0" follows "/"


def _locked(e: sqlite3.DatabaseError) -> bool:
    return isinstance(e, sqlite3.OperationalError) and "locked" in str(e)
