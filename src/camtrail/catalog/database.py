"""One SQLite file of the state: its version, patient waiting, transactions, and what SQLite's errors mean."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import UnionType
from typing import Any, Self, TypeVar

from camtrail.core.errors import CatalogError, StorageError
from camtrail.core.names import shown

__all__ = ["Database", "Kept", "Layout", "marks", "parts", "typed"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_POLL_S = 0.2
_BATCH = 500  # old builds of SQLite take 999 values in one statement
_TROUBLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter where a message quotes a damaged page
_UNDECODED = "Could not decode to UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a kind of file holds, and how much it matters.

    A file that is `rebuilt` need not survive a power cut, only a killed process; where it is older or damaged it
    is made anew. Of any other every commit is durable, and where it is damaged nothing goes on.
    """

    name: str
    version: int
    schema: tuple[str, ...]  # the statements that make it
    rebuilt: bool
    tables: tuple[str, ...] = ()  # that an older file may have; only of one that is rebuilt
    hint_newer: str
    hint_full: str
    hint_damaged: str = ""


class Database:
    """One open file. Threads may share it: each transaction is one thread's.

    Parameters
    ----------
    path : of the file, which is made where it is missing
    layout : what stands in it
    wait_s : how long another program may hold it

    Raises
    ------
    CatalogError
        Written by a newer camtrail, or locked for more than `wait_s`; damaged, unless it is rebuilt.
    StorageError
        The file cannot be made or written.
    """

    def __init__(self, path: str, layout: Layout, wait_s: float) -> None:
        self.path = path
        self._layout = layout
        self._wait_s = wait_s
        self._lock = threading.RLock()
        self._db = self._opened()

    def close(self) -> None:
        """Gives the file back."""
        self._db.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block's statements, or none where it raises.

        Raises
        ------
        CatalogError
            Locked for too long, or damaged; what is rebuilt has then been made anew.
        StorageError
            A full disk, a file that may not be written.
        """
        with self._lock:
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
                if not self._is_damage(e, reading=False):
                    raise self._translated(e, "written") from e
                self.damaged(e)
                raise CatalogError(
                    f"{shown(self.path)}: was damaged ({e})", "run again: it is made anew"
                ) from e

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows; none where a file that is rebuilt is damaged, which is then made anew.

        Raises
        ------
        CatalogError
            Locked for too long; damaged, unless it is rebuilt.
        StorageError
            The disk does not give the file's bytes.
        """
        with self._lock:
            try:
                return self._fetched(sql, values)
            except _TROUBLE as e:
                if not self._is_damage(e, reading=True):
                    raise self._translated(e, "read") from e
                self.damaged(e)
                return []

    def damaged(self, error: Exception) -> None:
        """What follows from rows that are noise: a file that is rebuilt is put aside and made anew.

        Raises
        ------
        CatalogError
            It is not rebuilt.
        """
        if not self._layout.rebuilt:
            raise CatalogError(
                f"{shown(self.path)}: is damaged ({error})", self._layout.hint_damaged
            ) from error
        with self._lock:
            self._db.close()
            self._move_aside(error)
            self._db = self._opened()

    def shrink(self) -> None:
        """Gives the room of rows that were dropped back to the disk. Raises CatalogError, StorageError."""
        with self._lock:
            try:
                self._patiently(lambda: self._db.execute("VACUUM"))
            except _TROUBLE as e:
                if not self._is_damage(e, reading=False):
                    raise self._translated(e, "written") from e
                self.damaged(e)

    def _fetched(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._patiently(lambda: self._db.execute(sql, values).fetchall())
        except sqlite3.OperationalError as e:
            if _UNDECODED not in str(e):
                raise
        try:
            self._db.text_factory = _with_surrogates
            return self._patiently(lambda: self._db.execute(sql, values).fetchall())
        finally:
            self._db.text_factory = str

    def _opened(self, anew: bool = False) -> sqlite3.Connection:
        try:
            return self._patiently(self._connected)
        except _TROUBLE as e:
            if not self._is_damage(e, reading=False):
                raise self._translated(e, "opened") from e
            if not self._layout.rebuilt:
                self.damaged(e)
            if anew:
                raise self._translated(e, "opened") from e
            self._move_aside(e)
        return self._opened(anew=True)

    def _connected(self) -> sqlite3.Connection:
        lasts = not self._layout.rebuilt
        before = (_size(self.path), _size(self.path + "-journal")) if lasts else (-1, -1)
        db = sqlite3.connect(self.path, timeout=_POLL_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute(f"PRAGMA synchronous={'FULL' if lasts else 'OFF'}")
            db.execute("BEGIN")  # one look at the file, which nobody makes longer or shorter meanwhile
            version = self._version(db)
            self._check_length(db)
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode=TRUNCATE")
            if version < self._layout.version and self._make(db) and before[0] == 0:
                log.warning("%s: was empty; nothing is known of what was done before", shown(self.path))
            if before[1] > 0:  # a run ended in the middle of a commit
                self._check_all(db)
        except BaseException:
            db.close()
            raise
        return db

    def _version(self, db: sqlite3.Connection) -> int:
        version: int
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > self._layout.version:
            raise CatalogError(
                f"{shown(self.path)}: was written by a newer camtrail", self._layout.hint_newer
            )
        return version

    def _make(self, db: sqlite3.Connection) -> bool:
        """Makes the tables; False where another run was faster."""
        db.execute("BEGIN IMMEDIATE")
        ours = self._version(db) < self._layout.version
        if ours:
            if not self._layout.rebuilt and db.execute("SELECT name FROM sqlite_master").fetchone():
                raise sqlite3.DatabaseError("it belongs to another program")
            for name in self._layout.tables:
                db.execute(f"DROP TABLE IF EXISTS {name}")
            for statement in self._layout.schema:
                db.execute(statement)
            db.execute(f"PRAGMA user_version={self._layout.version}")
        db.execute("COMMIT")
        return ours

    def _check_length(self, db: sqlite3.Connection) -> None:
        # SQLite reads what a copy lacks at its end as zeros, and takes them for rows.
        (pages,), (page_bytes,) = (db.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
        size = _size(self.path)
        if 0 <= size < pages * page_bytes:  # where it went away, the next statement says so
            raise sqlite3.DatabaseError(f"it ends after {size} of {pages * page_bytes} bytes")
        # It takes a file of one byte for a new one.
        if pages == 0 and size > 0 and not self._layout.rebuilt:
            raise sqlite3.DatabaseError("it is cut off")

    def _check_all(self, db: sqlite3.Connection) -> None:
        (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise sqlite3.DatabaseError(" ".join(str(said).split()))

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

    def _patiently(self, do: Callable[[], T]) -> T:
        """What `do` returns, tried again for a while where another program holds the file.

        SQLite's own waiting cannot be interrupted, so each wait of its is short.
        """
        until = time.monotonic() + self._wait_s
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
                        "%s: another program holds it; waiting for at most %g s",
                        shown(self.path),
                        self._wait_s,
                    )
                    said = True

    def _busy(self) -> CatalogError:
        return CatalogError(
            f"{shown(self.path)}: another program has held it for {self._wait_s:g} s",
            "wait for the other run to end",
        )

    def _is_damage(self, e: Exception, *, reading: bool) -> bool:
        """Whether it says that the file is not what it should be: malformed, or with tables that are not ours."""
        if isinstance(e, sqlite3.OperationalError):
            return str(e).startswith((_UNDECODED, "no such table", "no such column", "table "))
        if isinstance(e, sqlite3.DataError | sqlite3.IntegrityError):
            # A row whose length is noise is "too big". A wrong value of ours must not cost a catalog.
            return reading or not self._layout.rebuilt
        # The other children of DatabaseError are defects of ours.
        return type(e) in (sqlite3.DatabaseError, UnicodeDecodeError)

    def _translated(self, e: Exception, what: str) -> Exception:
        if _locked(e):
            return self._busy()
        if isinstance(e, sqlite3.OperationalError) or self._is_damage(e, reading=False):
            return StorageError(f"{shown(self.path)}: cannot be {what} ({e})", self._layout.hint_full)
        return RuntimeError(f"a statement of the {self._layout.name} is wrong: {e}")  # a defect of ours


def typed(row: Sequence[Any], types: Sequence[type | UnionType]) -> Sequence[Any]:
    """The row. Raises DatabaseError where a value has another type than was put."""
    for value, expected in zip(row, types):
        if not isinstance(value, expected):
            raise sqlite3.DatabaseError(f"{expected} expected, {type(value).__name__} found")
    return row


def _with_surrogates(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _locked(e: Exception) -> bool:
    return isinstance(e, sqlite3.OperationalError) and "locked" in str(e)


def _size(path: str) -> int:
    """Of a file; -1 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


class Kept:
    """What is kept in one file, which `_file` has open; use it in a `with`."""

    _file: Database

    def close(self) -> None:
        """Gives the file back."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def marks(values: Collection[object]) -> str:
    """A question mark for each value, as a statement has them."""
    return ", ".join("?" * len(values))


def parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, as many at a time as one statement takes."""
    for at in range(0, len(values), _BATCH):
        yield values[at : at + _BATCH]
