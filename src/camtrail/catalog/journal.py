"""The journal: which run changed which file, and what brings its old bytes back.

It is never rebuilt, and every commit is durable. Paths below the state's folder are kept relative to it, so that
the journal moves with the photos.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from camtrail.catalog.database import Database, Kept, Layout
from camtrail.core.journal import Change, Undo

__all__ = ["JournalRun", "SqliteJournal"]

_WAIT_S = 30
_COLUMNS = (
    "path, kind, undo_runs, undo_keep, undo_rest, old_size, old_sha256, new_size, head_bytes, new_sha256, "
    "old_mtime_ns, tags"
)
_LAYOUT = Layout(
    name="journal",
    version=1,
    schema=(
        "CREATE TABLE runs (id INTEGER PRIMARY KEY, at_s REAL NOT NULL, command TEXT NOT NULL)",
        "CREATE TABLE changes (id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, state TEXT NOT NULL, "
        "path BLOB NOT NULL, kind TEXT NOT NULL, undo_runs BLOB NOT NULL, undo_keep INTEGER NOT NULL, "
        "undo_rest BLOB NOT NULL, old_size INTEGER NOT NULL, old_sha256 BLOB NOT NULL, new_size INTEGER NOT NULL, "
        "head_bytes INTEGER NOT NULL, new_sha256 BLOB NOT NULL, old_mtime_ns INTEGER NOT NULL, tags TEXT NOT NULL)",
        "CREATE INDEX changes_path ON changes (path)",
    ),
    rebuilt=False,
    hint_newer="update camtrail",
    hint_full="free some space; nothing was changed",
    hint_damaged="bring it back from a backup; without it nothing can be undone, and so nothing is changed",
)


@dataclass(frozen=True, slots=True)
class JournalRun:
    """One run that changed files."""

    number: int
    at_s: float  # POSIX seconds
    command: str
    states: dict[str, int]  # done, undone, begun: how many files


class SqliteJournal(Kept):
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
        self._base = base if base.endswith("/") else base + "/"
        self._command = command
        self._at_s = at_s
        self._run: int | None = None
        self._file = Database(path, _LAYOUT, _WAIT_S)

    def begin(self, changes: Sequence[Change]) -> list[int]:
        """Writes rows, durable when this returns; the files have not changed yet. Returns their ids."""
        ids: list[int] = []
        if not changes:
            return ids
        run = self._run
        with self._file.writing() as db:
            if run is None:
                made = db.execute(
                    "INSERT INTO runs (at_s, command) VALUES (?, ?)", (self._at_s, self._command)
                )
                run = made.lastrowid
            for c in changes:
                row = (
                    run, "begun", self._kept(c.path), c.kind, _packed(c.undo.runs), c.undo.keep, c.undo.rest,
                    c.old_size, c.old_sha256, c.new_size, c.head_bytes, c.new_sha256, c.old_mtime_ns, c.tags,
                )  # fmt: skip
                made = db.execute(
                    f"INSERT INTO changes (run, state, {_COLUMNS}) VALUES ({', '.join('?' * 14)})",  # noqa: S608
                    row,
                )
                ids.append(made.lastrowid or 0)
        self._run = run  # not before: what was rolled back has no run
        return ids

    def end(self, ids: Sequence[int], state: str) -> None:
        """Says what became of rows: "done", "undone", or "dropped", which forgets them."""
        if not ids:
            return
        with self._file.writing() as db:
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
        sql = f"SELECT id, run, {_COLUMNS} FROM changes WHERE {where} ORDER BY id DESC"  # noqa: S608
        try:
            return [(row[0], row[1], self._change(row[2:])) for row in self._file.read(sql, values)]
        except TypeError as e:  # a path that is none: the page of the row is damaged
            self._file.damaged(e)
            return []

    def runs(self) -> list[JournalRun]:
        """Runs that changed files, the newest first."""
        found: dict[int, JournalRun] = {}
        sql = (
            "SELECT r.id, r.at_s, r.command, c.state, count(*) FROM runs r JOIN changes c ON c.run = r.id "
            "GROUP BY r.id, c.state ORDER BY r.id DESC"
        )
        for number, at_s, command, state, count in self._file.read(sql):
            found.setdefault(number, JournalRun(number, at_s, command, {})).states[state] = count
        return list(found.values())

    def forget(self, before_s: float) -> int:
        """Drops what undo needs of runs before a time; returns how many rows."""
        with self._file.writing() as db:
            gone = db.execute(
                "DELETE FROM changes WHERE run IN (SELECT id FROM runs WHERE at_s < ?)", (before_s,)
            ).rowcount
            db.execute("DELETE FROM runs WHERE id NOT IN (SELECT run FROM changes)")
        self._file.shrink()
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
