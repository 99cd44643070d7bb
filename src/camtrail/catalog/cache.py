"""Answers and pictures of services, kept so that they are asked for once; and how much was asked in the last day.

It is a folder: one file for each thing that is kept, and `cache.sqlite`, which knows them. Nothing in it is more than
a copy, so whatever is damaged or missing is forgotten and fetched again.
"""

from __future__ import annotations

import hashlib
import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from camtrail.catalog.database import Database, Kept, Layout
from camtrail.core.clock import Clock
from camtrail.core.errors import CatalogError, QuotaExceeded, StorageError, UnreadableFile, UsageError
from camtrail.core.fs import FileSystem
from camtrail.core.names import plain, shown
from camtrail.metadata import safeio

__all__ = ["MOST_BYTES", "Cache", "Limit", "Meter"]

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_BYTES = 2 * 10**9
"""What a cache may take on the disk where nobody says otherwise."""

_WAIT_S = 5
_FILES = "files"
_USED_S = 3600.0  # a use is written down when the last one is that long ago: the order needs no more
_KEPT_SHARE = 0.9  # of the limit, after room was made
_CLOCK_S = 60.0  # what lies farther in the future was written before the clock was put right
_PATIENCE_S = 120.0
_LAYOUT = Layout(
    name="cache",
    version=1,
    tables=("entries", "spent"),
    schema=(
        "CREATE TABLE entries (key TEXT PRIMARY KEY, file TEXT NOT NULL, size_bytes INTEGER NOT NULL, "
        "sha256 BLOB NOT NULL, at_s REAL NOT NULL, used_s REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX entries_used ON entries (used_s)",
        "CREATE TABLE spent (name TEXT, at_s INTEGER, amount INTEGER NOT NULL, PRIMARY KEY (name, at_s)) WITHOUT ROWID",
    ),
    rebuilt=True,
    hint_newer="update camtrail, or give another folder for the cache",
    hint_full="free some space, or give another folder for the cache",
)


@dataclass(frozen=True, slots=True)
class Limit:
    """So much in any span of so many seconds, in the words for people."""

    amount: int
    span_s: int
    words: str


class Cache(Kept):
    """What was fetched, in one folder. Threads may share it, and so may processes.

    Parameters
    ----------
    folder : is made, for its owner only, where it is missing
    most_bytes : of all that is kept; what was not used for the longest time goes first
    bypass : what can grow old is taken for old: it is fetched anew, and then kept
    offline : nothing is too old, since nothing else can be had; it is for who asks a service to look at this

    Raises
    ------
    StorageError
        The folder cannot be made or written.
    CatalogError
        Written by a newer camtrail, or locked.
    UsageError
        Both `bypass` and `offline`.
    """

    def __init__(
        self,
        folder: str,
        fs: FileSystem,
        clock: Clock,
        *,
        most_bytes: int = MOST_BYTES,
        bypass: bool = False,
        offline: bool = False,
    ) -> None:
        if bypass and offline:
            raise UsageError("offline there is nothing but the cache, so it cannot be bypassed", "give one")
        self.offline = offline
        self._folder = folder.rstrip("/")
        self._fs = fs
        self._clock = clock
        self._most_bytes = most_bytes
        self._bypass = bypass
        self._lock = threading.Lock()
        self._said = False
        try:
            fs.make_folder(self._folder, private=True)
        except OSError as e:
            reason = e.strerror or type(e).__name__
            raise StorageError(
                f"{shown(folder)}: cannot be made ({reason})", "give another folder for the cache"
            ) from e
        self._file = Database(f"{self._folder}/cache.sqlite", _LAYOUT, _WAIT_S)
        self._size_bytes = self._counted()
        if not self._size_bytes:
            self._swept()

    @property
    def size_bytes(self) -> int:
        """Of all that is kept, as far as this process knows."""
        return self._size_bytes

    def get(self, key: str, most_age_s: float | None = None) -> bytes | None:
        """What is kept under a key; None where nothing is, or nothing that may be used.

        Parameters
        ----------
        most_age_s : what is older is not used; None for what never grows old

        Notes
        -----
        Bytes that are not those that were put are forgotten. A cache that cannot be read is an empty one.
        """
        try:
            rows = self._file.read(
                "SELECT file, size_bytes, sha256, at_s, used_s FROM entries WHERE key = ?", (plain(key),)
            )
            if not rows:
                return None
            file, size, digest, at_s, used_s = rows[0]
            now_s = self._clock.now_s()
            if most_age_s is not None and not self._is_young(now_s - at_s, most_age_s):
                return None
            data = self._bytes(str(file), size)
            if data is None or hashlib.sha256(data).digest() != digest:
                self._forget(key, str(file), digest)
                return None
            if abs(now_s - used_s) > _USED_S:
                with self._file.writing() as db:
                    db.execute("UPDATE entries SET used_s = ? WHERE key = ?", (now_s, plain(key)))
            return data
        except (StorageError, TypeError) as e:  # the latter where a damaged row has other types
            self._complain(e)
            return None

    def put(self, key: str, data: bytes, suffix: str = "") -> None:
        """Keeps bytes under a key, in place of what was there; says so once, and goes on, where that cannot be.

        Parameters
        ----------
        suffix : of the file, for people who look into the folder
        """
        if len(data) > self._most_bytes:
            return
        name = hashlib.sha256(plain(key).encode()).hexdigest()[:40]
        file = f"{_FILES}/{name[:2]}/{name}{suffix}"
        with self._lock:
            try:
                self._put(plain(key), file, data)
                if self._size_bytes > self._most_bytes:
                    self._make_room()
            except (OSError, StorageError) as e:
                self._complain(e)

    def meter(self, name: str, limits: Sequence[Limit]) -> Meter:
        """How much of something was used up, whichever run it was, and how much may be.

        Parameters
        ----------
        name : of what is metered; a service's own name is part of it
        """
        return Meter(self._written, self._clock, plain(name), limits)

    def _put(self, key: str, file: str, data: bytes) -> None:
        path = f"{self._folder}/{file}"
        self._fs.make_folder(path.rpartition("/")[0], private=True)
        safeio.put(self._fs, path, [data], private=True)
        now_s = self._clock.now_s()
        row = (key, file, len(data), hashlib.sha256(data).digest(), now_s, now_s)

        def write(db: sqlite3.Connection) -> int:
            old = db.execute("SELECT size_bytes FROM entries WHERE key = ?", (key,)).fetchone()
            db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
            return len(data) - (old[0] if old else 0)

        self._size_bytes += self._written(write)

    def _is_young(self, age_s: float, most_age_s: float) -> bool:
        return self.offline or (not self._bypass and -_CLOCK_S <= age_s <= most_age_s)

    def _bytes(self, file: str, size: int) -> bytes | None:
        try:
            with self._fs.source(f"{self._folder}/{file}") as source:
                data = source.read_at(0, size + 1)
        except UnreadableFile:
            return None
        return data if len(data) == size else None

    def _forget(self, key: str, file: str, digest: bytes) -> None:
        def drop(db: sqlite3.Connection) -> int:
            # Another process may have put it anew in this moment.
            sql = "DELETE FROM entries WHERE key = ? AND sha256 = ?"
            return db.execute(sql, (plain(key), digest)).rowcount

        if self._written(drop):
            safeio.remove(self._fs, f"{self._folder}/{file}")
            self._size_bytes = self._counted()

    def _make_room(self) -> None:
        """Takes away what was not used for the longest time."""
        self._size_bytes = self._counted()  # other processes keep things as well
        sql = "SELECT key, file, size_bytes FROM entries ORDER BY used_s, key"
        for key, file, size in self._file.read(sql) if self._size_bytes > self._most_bytes else ():
            if self._size_bytes <= self._most_bytes * _KEPT_SHARE:
                break
            safeio.remove(self._fs, f"{self._folder}/{file}")
            with self._file.writing() as db:
                db.execute("DELETE FROM entries WHERE key = ?", (key,))
            self._size_bytes -= size

    def _counted(self) -> int:
        rows = self._file.read("SELECT total(size_bytes) FROM entries")
        return int(rows[0][0]) if rows else 0

    def _swept(self) -> None:
        """Takes away files that nobody knows any more, since the database was made anew."""
        try:
            for folder in self._fs.entries(f"{self._folder}/{_FILES}"):
                for entry in self._fs.entries(folder.path) if folder.kind == "folder" else ():
                    safeio.remove(self._fs, entry.path)
        except (UnreadableFile, StorageError):
            return  # there is no such folder yet

    def _written(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """What a transaction returns; a database that was found damaged is made anew, and it is done in that."""
        try:
            with self._file.writing() as db:
                return do(db)
        except CatalogError:
            with self._file.writing() as db:
                return do(db)

    def _complain(self, error: Exception) -> None:
        if not self._said:
            log.warning("the cache cannot be used: %s", error)
            self._said = True


class Meter:
    """How much of one thing was used up in the last while; made by `Cache.meter`."""

    def __init__(
        self,
        written: Callable[[Callable[[sqlite3.Connection], float]], float],
        clock: Clock,
        name: str,
        limits: Sequence[Limit],
    ) -> None:
        self._written = written
        self._clock = clock
        self._name = name
        self._limits = tuple(limits)
        self._longest_s = max(limit.span_s for limit in limits)

    def take(self) -> float:
        """0 where one more may be used, which then is; else how many seconds until it may, at most 120.

        Raises
        ------
        QuotaExceeded
            It takes longer than that.
        CatalogError, StorageError
            Nobody can say how much was used.
        """
        return self._written(self._taken)

    def add(self, amount: int) -> None:
        """Says that more was used than was taken. Raises CatalogError, StorageError."""

        def add(db: sqlite3.Connection) -> float:
            self._put(db, int(self._clock.now_s()), amount)
            return 0.0

        self._written(add)

    def used(self, limit: Limit) -> int:
        """How much was used in the last span of a limit. Raises CatalogError, StorageError."""
        return int(self._written(lambda db: float(self._sum(db, int(self._clock.now_s()), limit))))

    def _taken(self, db: sqlite3.Connection) -> float:
        exact_s = self._clock.now_s()
        now_s = int(exact_s)
        db.execute(
            "DELETE FROM spent WHERE name = ? AND (at_s < ? OR at_s > ?)",
            (self._name, now_s - self._longest_s, now_s + int(_CLOCK_S)),
        )
        for limit in self._limits:
            if (used := self._sum(db, now_s, limit)) >= limit.amount:
                wait_s = max(self._free_s(db, now_s, limit, used) - exact_s, 0.001)
                if wait_s <= _PATIENCE_S:
                    return wait_s
                raise QuotaExceeded(
                    f"{limit.words} are used up",
                    f"run again in {_duration(wait_s)}; what was done is kept",
                    retry_after_s=wait_s,
                )
        self._put(db, now_s, 1)
        return 0.0

    def _sum(self, db: sqlite3.Connection, now_s: int, limit: Limit) -> int:
        # Seconds are cut, so a span is taken one second longer than it is.
        sql = "SELECT total(amount) FROM spent WHERE name = ? AND at_s >= ?"
        return int(db.execute(sql, (self._name, now_s - limit.span_s)).fetchone()[0])

    def _free_s(self, db: sqlite3.Connection, now_s: int, limit: Limit, used: int) -> float:
        """When enough of what was used is long enough ago."""
        sql = "SELECT at_s, amount FROM spent WHERE name = ? AND at_s >= ? ORDER BY at_s"
        for at_s, amount in db.execute(sql, (self._name, now_s - limit.span_s)).fetchall():
            used -= amount
            if used < limit.amount:
                return float(at_s + limit.span_s + 1)
        return float(now_s + limit.span_s + 1)

    def _put(self, db: sqlite3.Connection, now_s: int, amount: int) -> None:
        db.execute(
            "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (name, at_s) DO UPDATE SET amount = amount + excluded.amount",
            (self._name, now_s, amount),
        )


def _duration(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{math.ceil(minutes / 60)} h"
