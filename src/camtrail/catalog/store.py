"""The catalog: what was read of each photo and what was found out about it. A rescan rebuilds it.

Paths are stored as the bytes of the name, relative to the folder that the state belongs to.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from camtrail.catalog.database import Database, Kept, Layout
from camtrail.core.model import Photos, Places, Ranks

__all__ = ["Catalog"]

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


_LAYOUT = Layout(
    name="catalog",
    version=3,
    tables=("photos", "places", "ranks", "runs", "kept"),
    schema=(
        _table("photos", Photos),
        _table("places", Places),
        _table("ranks", Ranks),
        "CREATE TABLE runs (id INTEGER PRIMARY KEY, at_s REAL, command TEXT, counts TEXT)",
        "CREATE TABLE kept (stage TEXT, path BLOB, value TEXT, PRIMARY KEY (stage, path)) WITHOUT ROWID",
    ),
    rebuilt=True,
    hint_newer="update camtrail or give --state-dir DIR",
    hint_full="free some space or give --state-dir DIR",
)
# One seek for each stage: DISTINCT would read the whole table.
_STAGES = (
    "WITH RECURSIVE found (stage) AS (SELECT min(stage) FROM kept UNION ALL "
    "SELECT (SELECT min(stage) FROM kept WHERE kept.stage > found.stage) FROM found WHERE stage IS NOT NULL) "
    "SELECT stage FROM found WHERE stage IS NOT NULL"
)


class Catalog(Kept):
    """One catalog file. Only the main process opens it.

    Raises
    ------
    CatalogError
        Written by a newer camtrail, or locked for more than 30 s.
    StorageError
        The file cannot be made or written.
    """

    def __init__(self, path: str) -> None:
        self._file = Database(path, _LAYOUT, _WAIT_S)

    def _rows(self, cls: type[Any], table: str, folder: str) -> dict[str, tuple[Any, ...]]:
        names = _columns(cls)
        if "path" not in names:
            names = ["path", *names]
        below, bounds = _below(folder)
        where = f" WHERE {below}" if below else ""
        paths = [i for i, name in enumerate(names) if name in _PATHS]
        sql = f"SELECT {', '.join(names)} FROM {table}{where}"  # noqa: S608 - names of our own columns
        found = self._file.read(sql, bounds)
        decode = os.fsdecode
        try:
            if paths == [0]:
                return {(p := decode(row[0])): (p, *row[1:]) for row in found}
            return {
                decode(row[0]): tuple(
                    decode(v) if i in paths and v is not None else v for i, v in enumerate(row)
                )
                for row in found
            }
        except TypeError as e:  # a path that is none: the page of the row is damaged
            self._file.damaged(e)
            return {}

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
        """Adds or replaces rows of Photos, and drops what was found out about those that changed.

        What stages keep stays: a stage compares its own evidence.
        """
        keys = [(os.fsencode(p),) for p in changed]
        with self._file.writing() as db:
            _insert(db, "photos", Photos, lambda: ((os.fsencode(row[0]), *row[1:]) for row in rows))
            for table in ("places", "ranks"):
                db.executemany(f"DELETE FROM {table} WHERE path = ?", keys)  # noqa: S608

    def forget(self, paths: Iterable[str]) -> None:
        """Drops photos that are no longer there, and what was known of them."""
        keys = [(os.fsencode(p),) for p in paths]
        if keys:
            with self._file.writing() as db:
                for table in ("photos", "places", "ranks"):
                    db.executemany(f"DELETE FROM {table} WHERE path = ?", keys)  # noqa: S608
                for stage in db.execute(_STAGES).fetchall():
                    db.executemany(
                        "DELETE FROM kept WHERE stage = ? AND path = ?", ((*stage, *key) for key in keys)
                    )

    def put_answers(self, paths: Sequence[str], places: Places, ranks: Ranks | None) -> None:
        """Stores what was found out about photos; without `ranks` their old ones are dropped."""
        keys = [os.fsencode(p) for p in paths]
        with self._file.writing() as db:
            self._put(db, "places", keys, places)
            if ranks is None:
                db.executemany("DELETE FROM ranks WHERE path = ?", ((k,) for k in keys))
            else:
                self._put(db, "ranks", keys, ranks)

    def drop_ranks(self, paths: Sequence[str]) -> None:
        """Forgets where photos stand among the others."""
        if paths:
            with self._file.writing() as db:
                db.executemany("DELETE FROM ranks WHERE path = ?", [(os.fsencode(p),) for p in paths])

    def put_ranks(self, paths: Sequence[str], ranks: Ranks) -> None:
        """Stores where photos stand among the others."""
        with self._file.writing() as db:
            self._put(db, "ranks", [os.fsencode(p) for p in paths], ranks)

    @staticmethod
    def _put(db: sqlite3.Connection, table: str, keys: list[bytes], answers: Places | Ranks) -> None:
        columns: list[list[Any]] = []
        for name in _columns(type(answers)):
            values = getattr(answers, name).tolist()
            columns.append([v if v is None else os.fsencode(v) for v in values] if name in _PATHS else values)
        _insert(db, table, type(answers), lambda: zip(keys, *columns))

    def keep(self, stage: str, values: Mapping[str, str]) -> None:
        """Stores what a stage found out, by path; under the path "" what holds for the whole state.

        The photos need not be known. Values of other paths stay.
        """
        if values:
            rows = [(stage, os.fsencode(path), value) for path, value in values.items()]
            with self._file.writing() as db:
                _insert_rows(db, "kept", ("Texts", "BLOB", "Texts"), lambda: rows)

    def kept(self, stage: str, folder: str = "") -> dict[str, str]:
        """What a stage stored of paths at or below a folder; for "" everything, with the whole state's under ""."""
        below, bounds = _below(folder)
        where = f"stage = ? AND ({below})" if below else "stage = ?"
        found = self._file.read(f"SELECT path, value FROM kept WHERE {where}", (stage, *bounds))  # noqa: S608
        try:
            return {os.fsdecode(path): _text(value) for path, value in found}
        except TypeError as e:
            self._file.damaged(e)
            return {}

    def drop_kept(self, stage: str, paths: Iterable[str] | None = None) -> None:
        """Forgets what a stage stored of these paths; without them, everything of the stage."""
        keys = [(stage, os.fsencode(path)) for path in paths or ()]
        if keys or paths is None:
            with self._file.writing() as db:
                if paths is None:
                    db.execute("DELETE FROM kept WHERE stage = ?", (stage,))
                db.executemany("DELETE FROM kept WHERE stage = ? AND path = ?", keys)

    def add_run(self, at_s: float, command: str, counts: str) -> None:
        """Remembers that a run ended, for `status`; the newest hundred are kept."""
        with self._file.writing() as db:
            db.execute("INSERT INTO runs (at_s, command, counts) VALUES (?, ?, ?)", (at_s, command, counts))
            db.execute("DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - 100")

    def runs(self) -> list[tuple[int, float, str, str]]:
        """(id, POSIX seconds, command, counts as JSON) of runs, the newest first."""
        return self._file.read("SELECT id, at_s, command, counts FROM runs ORDER BY id DESC")


def _below(folder: str) -> tuple[str, tuple[bytes, ...]]:
    """The condition for paths at or below a folder; empty for all."""
    if not folder:
        return "", ()
    key = os.fsencode(folder)
    return "path = ? OR (path > ? AND path < ?)", (key, key + b"/", key + b"0")  # "0" follows "/"


def _insert(
    db: sqlite3.Connection, table: str, cls: type[Any], rows: Callable[[], Iterable[tuple[Any, ...]]]
) -> None:
    """Adds or replaces rows of (path, the other columns)."""
    _insert_rows(db, table, ["BLOB", *(str(f.type) for f in fields(cls) if f.name != "path")], rows)


def _insert_rows(
    db: sqlite3.Connection, table: str, kinds: Sequence[str], rows: Callable[[], Iterable[Sequence[Any]]]
) -> None:
    insert = f"INSERT OR REPLACE INTO {table} VALUES "  # noqa: S608 - names of our own tables
    try:
        db.executemany(f"{insert} ({', '.join('?' * len(kinds))})", rows())
    except UnicodeEncodeError:  # a text holds bytes of a name; rare, so asked only now
        marks = ", ".join("CAST(? AS TEXT)" if kind == "Texts" else "?" for kind in kinds)
        db.executemany(
            f"{insert} ({marks})",
            (
                [v.encode("utf-8", "surrogatepass") if isinstance(v, str) else v for v in row]
                for row in rows()
            ),
        )


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"a value is a {type(value).__name__}")
    return value
