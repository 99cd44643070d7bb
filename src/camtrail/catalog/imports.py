"""What the importer of videos has done: which contents went to which service, under which job.

One file a collection (`--storage`). It alone decides what was sent already, by hook, service and content, so that a
rehearsal never counts for the service.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from camtrail.catalog.database import Database, Kept, Layout, marks, parts, typed
from camtrail.core.names import plain

__all__ = ["IN_DOUBT", "STATES", "HashedFile", "Imports", "JobIndex", "Stored"]

_WAIT_S = 30
STATES = ("planned", "sending", "uploaded", "registered", "failed", "refused")
"""What may be known of a content.

planned
    It is to be sent.
sending
    A run began to send it, and nobody wrote down what became of it: the service may have it.
uploaded
    The service has it.
registered
    The job it belongs to was told that it is complete.
failed
    The last try failed in a way that another one may not; its answer may have been lost.
refused
    The service does not take it.
"""

IN_DOUBT = "sending"

_LAYOUT = Layout(
    name="import state",
    version=1,
    schema=(
        "CREATE TABLE services (id INTEGER PRIMARY KEY, hook TEXT NOT NULL, origin TEXT NOT NULL, "
        "UNIQUE (hook, origin))",
        "CREATE TABLE files (path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
        "inode INTEGER NOT NULL, sha1 BLOB NOT NULL, probe TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE videos (service INTEGER NOT NULL, sha1 BLOB NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, "
        "at_s REAL NOT NULL, job TEXT, record TEXT NOT NULL, PRIMARY KEY (service, sha1)) WITHOUT ROWID",
        "CREATE INDEX videos_job ON videos (job)",
    ),
    rebuilt=False,
    hint_newer="update camtrail",
    hint_full="free some space or make it writable, then run again",
    hint_damaged="bring it back from a backup, or give another --storage FILE: everything is then sent again",
)
_INDEX = Layout(
    name="jobs",
    version=1,
    tables=("jobs",),
    schema=(
        "CREATE TABLE jobs (origin TEXT, job TEXT, storage BLOB NOT NULL, PRIMARY KEY (origin, job)) WITHOUT ROWID",
    ),
    rebuilt=True,
    hint_newer="update camtrail",
    hint_full="free some space",
)


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file whose content is known as long as size, time and inode stay the same."""

    size_bytes: int
    mtime_ns: int
    inode: int
    sha1: str  # hex
    probe: dict[str, Any]  # what the video says of itself


@dataclass(slots=True)
class Stored:
    """What is known of one content."""

    state: str  # one of STATES
    record: dict[str, Any]  # as hooks see it; its `key` is the SHA-1
    reason: str = ""  # why it failed


class Imports(Kept):
    """The state of imports. Threads may share it.

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
        self.path = path
        self._file = Database(path, _LAYOUT, _WAIT_S)

    def service(self, hook: str, origin: str) -> int:
        """The number of a service, which is made where it is new."""
        key = (plain(hook), plain(origin))
        with self._file.writing() as db:
            db.execute("INSERT OR IGNORE INTO services (hook, origin) VALUES (?, ?)", key)
            (number,) = db.execute("SELECT id FROM services WHERE hook = ? AND origin = ?", key).fetchone()
        return int(number)

    def files(self, paths: Sequence[str]) -> dict[str, HashedFile]:
        """What is known of files, by path; those of which nothing is known are left out."""
        found: dict[str, HashedFile] = {}
        for part in parts(paths):
            names = {os.fsencode(p): p for p in part}
            sql = f"SELECT * FROM files WHERE path IN ({marks(names)})"  # noqa: S608 - question marks only
            for row in self._file.read(sql, tuple(names)):
                path, size, mtime, inode, sha1, probe = self._typed(row, bytes, int, int, int, bytes, str)
                found[names[path]] = HashedFile(size, mtime, inode % 2**64, sha1.hex(), self._object(probe))
        return found

    def put_files(self, rows: Iterable[tuple[str, HashedFile]]) -> None:
        """Remembers contents of files, in one commit."""
        put = [
            (
                os.fsencode(p), f.size_bytes, f.mtime_ns, _signed(f.inode), bytes.fromhex(f.sha1),
                json.dumps(f.probe),
            )
            for p, f in rows
        ]  # fmt: skip
        if put:
            with self._file.writing() as db:
                db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", put)

    def videos(self, service: int) -> dict[str, Stored]:
        """All that is known of a service's contents, by SHA-1 in hex."""
        sql = "SELECT sha1, state, reason, record FROM videos WHERE service = ? ORDER BY sha1"
        rows = (self._typed(row, bytes, str, str, str) for row in self._file.read(sql, (service,)))
        return {
            sha1.hex(): Stored(state, self._object(record), reason) for sha1, state, reason, record in rows
        }

    def put(self, service: int, rows: Iterable[Stored], at_s: float) -> None:
        """Remembers contents, durable when this returns; a later row replaces an earlier one."""
        put = [
            (
                service, bytes.fromhex(row.record["key"]), row.state, plain(row.reason), at_s,
                _job_of(row.record), json.dumps(row.record),
            )
            for row in rows
        ]  # fmt: skip
        if put:
            with self._file.writing() as db:
                db.executemany("INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?, ?, ?)", put)

    def rows(self) -> list[tuple[str, str, Stored]]:
        """(hook, origin, what is known) of every content, by file name."""
        sql = (
            "SELECT s.hook, s.origin, v.state, v.reason, v.record FROM videos v "
            "JOIN services s ON s.id = v.service ORDER BY s.id, v.sha1"
        )
        rows = (self._typed(row, str, str, str, str, str) for row in self._file.read(sql))
        found = [
            (hook, origin, Stored(state, self._object(record), reason))
            for hook, origin, state, reason, record in rows
        ]
        return sorted(found, key=lambda row: str(row[2].record.get("filename", "")))

    def videos_of_job(self, job_id: str) -> dict[str, str]:
        """The name of each video of a job below the imported folder, by SHA-1; none where the job is not known here."""
        rows = self._file.read("SELECT sha1, record FROM videos WHERE job = ?", (plain(job_id),))
        found = (self._typed(row, bytes, str) for row in rows)
        return {sha1.hex(): str(self._object(record).get("relative_name") or "") for sha1, record in found}

    def _typed(self, row: Sequence[Any], *types: type) -> Sequence[Any]:
        try:
            return typed(row, types)
        except sqlite3.DatabaseError as e:
            self._file.damaged(e)
            raise

    def _object(self, text: str) -> dict[str, Any]:
        """A value that was put as JSON."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            self._file.damaged(sqlite3.DatabaseError("an object expected, something else found"))
        return value or {}


class JobIndex(Kept):
    """Which state file knows the files of which job, for whoever asks for a job's labels elsewhere.

    A copy of what the state files have: where it is lost, people name the file.

    Parameters
    ----------
    path : of the file, which is made where it is missing; its folder is there
    """

    def __init__(self, path: str) -> None:
        self._file = Database(path, _INDEX, 5)

    def put(self, origin: str, jobs: Iterable[str], storage: str) -> None:
        """Remembers where jobs are known. Raises CatalogError, StorageError."""
        rows = [(plain(origin), plain(job), os.fsencode(storage)) for job in jobs]
        if rows:
            with self._file.writing() as db:
                db.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", rows)

    def storage(self, origin: str, job: str) -> str | None:
        """The state file that knows a job; None where none is known. Raises CatalogError, StorageError."""
        sql = "SELECT storage FROM jobs WHERE origin = ? AND job = ?"
        found = self._file.read(sql, (plain(origin), plain(job)))
        return os.fsdecode(found[0][0]) if found else None


def _signed(number: int) -> int:
    """An inode of 64 bits as SQLite can hold it."""
    return number - 2**64 if number >= 2**63 else number


def _job_of(record: Mapping[str, Any]) -> str | None:
    job = record.get("job_id")  # from hooks: of any type
    return None if job is None else plain(str(job))
