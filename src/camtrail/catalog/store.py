"""The catalog: what was read of each photo and what was found out about it. A rescan rebuilds it.

Paths are stored as the bytes of the name, relative to the folder that the state belongs to.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from camtrail.core.errors import CatalogError, StorageError
from camtrail.core.model import Photos, Places, Ranks
from camtrail.core.names import shown

__all__ = ["Catalog"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_VERSION = 3
_WAIT_S = 30
_POLL_S = 0.2
_SQL_TYPES = {"Texts": "TEXT", "Ints": "INTEGER", "Floats": "REAL"}
_TROUBLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter where a message quotes a damaged page
_UNDECODED = "Could not decode to UTF-8"
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
    "CREATE TABLE kept (stage TEXT, path BLOB, value TEXT, PRIMARY KEY (stage, path)) WITHOUT ROWID",
)
# One seek for each stage: DISTINCT would read the whole table.
_STAGES = (
    "WITH RECURSIVE found (stage) AS (SELECT min(stage) FROM kept UNION ALL "
    "SELECT (SELECT min(stage) FROM kept WHERE kept.stage > found.stage) FROM found WHERE stage IS NOT NULL) "
    "SELECT stage FROM found WHERE stage IS NOT NULL"
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

    def _opened(self, anew: bool = False) -> sqlite3.Connection:
        try:
            return self._patiently(self._connected)
        except _TROUBLE as e:
            if anew or not _damaged(e):
                raise self._translated(e, "opened") from e
            self._move_aside(e)
        return self._opened(anew=True)

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_POLL_S, isolation_level=None)
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
                for name in ("photos", "places", "ranks", "runs", "kept"):
                    db.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={_VERSION}")
                db.execute("COMMIT")
            else:
                db.execute("PRAGMA journal_mode=TRUNCATE")
                self._check_length(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check_length(self, db: sqlite3.Connection) -> None:
        # SQLite reads what a copy lacks at its end as zeros, and takes them for rows.
        (pages,), (page_bytes,) = (db.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
        try:
            size = os.stat(self.path).st_size
        except OSError:  # it went away; the next statement says so
            return
        if size < pages * page_bytes:
            raise sqlite3.DatabaseError(f"it ends after {size} of {pages * page_bytes} bytes")

    def _move_aside(self, error: Exception) -> None:
        aside = f"{self.path}.corrupt-{int(time.time())}"
        try:
            os.replace(self.path, aside)
            for suffix in ("-journal", "-wal", "-shm"):
                if os.path.exists(self.path + suffix):
                    os.replace(self.path + suffix, aside + suffix)
        except OSError as e:
            raise StorageError(
                f"{shown(self.path)}: is damaged ({error}) and cannot be put aside ({e.strerror})",
                "remove it, or give --state-dir DIR",
            ) from e
        log.warning(
            "%s is damaged (%s); it was kept as %s and is made anew", shown(self.path), error, shown(aside)
        )

    def _made_anew(self, error: Exception) -> None:
        self._db.close()
        self._move_aside(error)
        self._db = self._opened()

    def _patiently(self, do: Callable[[], T]) -> T:
        """What `do` returns, tried again for a while where another program holds the file.

        SQLite's own waiting cannot be interrupted, so each wait of its is short.
        """
        until = time.monotonic() + _WAIT_S
        said = False
        while True:
            try:
                return do()
            except sqlite3.OperationalError as e:
                if not _locked(e):
                    raise
                if time.monotonic() >= until:
                    raise self._busy() from e
                if not said:
                    log.warning(
                        "%s: another program holds it; waiting for at most %g s", shown(self.path), _WAIT_S
                    )
                    said = True

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
            self._patiently(lambda: self._db.execute("BEGIN IMMEDIATE"))
            try:
                yield self._db
                self._patiently(lambda: self._db.execute("COMMIT"))
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise
        except _TROUBLE as e:
            if _damaged(e):
                self._made_anew(e)
                raise CatalogError(
                    f"{shown(self.path)}: was damaged ({e})", "run again: it is made anew"
                ) from e
            raise self._translated(e, "written") from e

    def _translated(self, e: Exception, what: str) -> Exception:
        if _locked(e):
            return self._busy()
        if isinstance(e, sqlite3.OperationalError) or _damaged(e):
            return StorageError(
                f"{shown(self.path)}: cannot be {what} ({e})", "free some space or give --state-dir DIR"
            )
        return RuntimeError(f"a statement of the catalog is wrong: {e}")  # a defect of ours

    def _read(self, sql: str, bounds: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows; none where the catalog is damaged, which is then made anew."""
        try:
            try:
                return self._patiently(lambda: self._db.execute(sql, bounds).fetchall())
            except sqlite3.OperationalError as e:
                if _UNDECODED not in str(e):
                    raise
            try:
                self._db.text_factory = _with_surrogates
                return self._patiently(lambda: self._db.execute(sql, bounds).fetchall())
            finally:
                self._db.text_factory = str
        except _TROUBLE as e:
            # A row whose length is noise is "too big".
            if not (_damaged(e) or isinstance(e, sqlite3.DataError)):
                raise self._translated(e, "read") from e
            self._made_anew(e)
            return []

    def _rows(self, cls: type[Any], table: str, folder: str) -> dict[str, tuple[Any, ...]]:
        names = _columns(cls)
        if "path" not in names:
            names = ["path", *names]
        below, bounds = _below(folder)
        where = f" WHERE {below}" if below else ""
        paths = [i for i, name in enumerate(names) if name in _PATHS]
        sql = f"SELECT {', '.join(names)} FROM {table}{where}"  # noqa: S608 - names of our own columns
        found = self._read(sql, bounds)
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
            self._made_anew(e)
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
        with self._writing() as db:
            _insert(db, "photos", Photos, lambda: ((os.fsencode(row[0]), *row[1:]) for row in rows))
            for table in ("places", "ranks"):
                db.executemany(f"DELETE FROM {table} WHERE path = ?", keys)  # noqa: S608

    def forget(self, paths: Iterable[str]) -> None:
        """Drops photos that are no longer there, and what was known of them."""
        keys = [(os.fsencode(p),) for p in paths]
        if keys:
            with self._writing() as db:
                for table in ("photos", "places", "ranks"):
                    db.executemany(f"DELETE FROM {table} WHERE path = ?", keys)  # noqa: S608
                for stage in db.execute(_STAGES).fetchall():
                    db.executemany(
                        "DELETE FROM kept WHERE stage = ? AND path = ?", ((*stage, *key) for key in keys)
                    )

    def put_answers(self, paths: Sequence[str], places: Places, ranks: Ranks | None) -> None:
        """Stores what was found out about photos; without `ranks` their old ones are dropped."""
        keys = [os.fsencode(p) for p in paths]
        with self._writing() as db:
            self._put(db, "places", keys, places)
            if ranks is None:
                db.executemany("DELETE FROM ranks WHERE path = ?", ((k,) for k in keys))
            else:
                self._put(db, "ranks", keys, ranks)

    def drop_ranks(self, paths: Sequence[str]) -> None:
        """Forgets where photos stand among the others."""
        if paths:
            with self._writing() as db:
                db.executemany("DELETE FROM ranks WHERE path = ?", [(os.fsencode(p),) for p in paths])

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
        _insert(db, table, type(answers), lambda: zip(keys, *columns))

    def keep(self, stage: str, values: Mapping[str, str]) -> None:
        """Stores what a stage found out, by path; under the path "" what holds for the whole state.

        The photos need not be known. Values of other paths stay.
        """
        if values:
            rows = [(stage, os.fsencode(path), value) for path, value in values.items()]
            with self._writing() as db:
                _insert_rows(db, "kept", ("Texts", "BLOB", "Texts"), lambda: rows)

    def kept(self, stage: str, folder: str = "") -> dict[str, str]:
        """What a stage stored of paths at or below a folder; for "" everything, with the whole state's under ""."""
        below, bounds = _below(folder)
        where = f"stage = ? AND ({below})" if below else "stage = ?"
        found = self._read(f"SELECT path, value FROM kept WHERE {where}", (stage, *bounds))  # noqa: S608
        try:
            return {os.fsdecode(path): _text(value) for path, value in found}
        except TypeError as e:
            self._made_anew(e)
            return {}

    def drop_kept(self, stage: str, paths: Iterable[str] | None = None) -> None:
        """Forgets what a stage stored of these paths; without them, everything of the stage."""
        keys = [(stage, os.fsencode(path)) for path in paths or ()]
        if keys or paths is None:
            with self._writing() as db:
                if paths is None:
                    db.execute("DELETE FROM kept WHERE stage = ?", (stage,))
                db.executemany("DELETE FROM kept WHERE stage = ? AND path = ?", keys)

    def add_run(self, at_s: float, command: str, counts: str) -> None:
        """Remembers that a run ended, for `status`; the newest hundred are kept."""
        with self._writing() as db:
            db.execute("INSERT INTO runs (at_s, command, counts) VALUES (?, ?, ?)", (at_s, command, counts))
            db.execute("DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - 100")

    def runs(self) -> list[tuple[int, float, str, str]]:
        """(id, POSIX seconds, command, counts as JSON) of runs, the newest first."""
        return self._read("SELECT id, at_s, command, counts FROM runs ORDER BY id DESC")


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


def _with_surrogates(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _locked(e: Exception) -> bool:
    return isinstance(e, sqlite3.OperationalError) and "locked" in str(e)


def _damaged(e: Exception) -> bool:
    """Whether making the catalog anew helps: what SQLite calls malformed, or tables that are not ours."""
    if isinstance(e, sqlite3.OperationalError):
        return str(e).startswith((_UNDECODED, "no such table", "no such column", "table "))
    # The other children of DatabaseError are defects of ours.
    return type(e) in (sqlite3.DatabaseError, UnicodeDecodeError)
