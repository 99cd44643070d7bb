"""The ledger: which picture was sent to which service, so that none is ever published twice.

It is one file for a user, never rebuilt, and every commit is durable. Everything in it belongs to an account of a
service's origin: a rehearsal has another origin and never counts for the service. A picture is the SHA-256 of
its data, so that a folder that was copied is known.

A call publishes pictures and may be made once only: it stands here as "sent" before it is made, and as "done",
"uncertain" or "dropped" after it. Of one that is uncertain nobody knows whether the service did what was asked.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from camtrail.catalog.database import Database, Kept, Layout, marks, parts, typed
from camtrail.core.errors import FolderBusy
from camtrail.core.names import plain

__all__ = ["Call", "Counts", "Ledger", "Stored"]

_WAIT_S = 30
_DIGEST_BYTES = 32
_LAYOUT = Layout(
    name="ledger",
    version=1,
    schema=(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, account TEXT NOT NULL, "
        "UNIQUE (origin, account))",
        "CREATE TABLE names (origin TEXT NOT NULL, name TEXT NOT NULL, account TEXT NOT NULL, "
        "PRIMARY KEY (origin, name)) WITHOUT ROWID",
        "CREATE TABLE stored (account INTEGER NOT NULL, picture BLOB NOT NULL, session TEXT NOT NULL, "
        "handle TEXT NOT NULL, at_s REAL NOT NULL, PRIMARY KEY (account, picture)) WITHOUT ROWID",
        # A number is never given twice. The pictures come last: the state is read without them.
        "CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, "
        "state TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, at_s REAL NOT NULL, answer TEXT NOT NULL, "
        "pictures BLOB NOT NULL)",
        "CREATE INDEX calls_state ON calls (account, state)",
        "CREATE TABLE sent (account INTEGER NOT NULL, picture BLOB NOT NULL, call INTEGER NOT NULL, "
        "PRIMARY KEY (account, picture, call)) WITHOUT ROWID",
    ),
    rebuilt=False,
    hint_newer="update camtrail",
    hint_full="free some space or make it writable, then run again",
    hint_damaged="bring it back from a backup; without it nobody knows what was sent, and so nothing is sent",
)
_CALL = "c.id, c.kind, c.key, c.state, c.at_s, c.pictures, c.answer"
_CALL_TYPES = (int, str, str, str, float, bytes, str)
_ENDS = ("done", "uncertain", "dropped")
_REFUSALS = {
    "sent": "being published by another run",
    "done": "published already",
    "uncertain": "in a call whose outcome nobody knows",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture that the service holds and that is not published yet."""

    session: str  # the upload's key
    handle: str  # what the service gave for it
    at_s: float  # POSIX seconds


@dataclass(frozen=True, slots=True)
class Call:
    """One call that publishes pictures."""

    number: int
    kind: str
    key: str
    state: str  # sent, done, uncertain
    at_s: float  # POSIX seconds, when it began
    items: tuple[bytes, ...]  # its pictures, in the order they were given
    answer: str  # what the service said; empty where it said nothing


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pictures of one account; one may be counted in several."""

    published: int = 0
    stored: int = 0
    uncertain: int = 0


class Ledger(Kept):
    """The ledger of one user. Threads may share it.

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

    def account_key(self, origin: str, name: str) -> str | None:
        """The id that a user's name has at a service; None where it was never asked for."""
        found = self._file.read(
            "SELECT account FROM names WHERE origin = ? AND name = ?", (plain(origin), plain(name))
        )
        return str(found[0][0]) if found else None

    def put_account(self, origin: str, name: str, key: str) -> None:
        """Remembers the id of a user's name, as the service said it."""
        row = (plain(origin), plain(name), plain(key))
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", row)

    def done(self, origin: str, account: str, pictures: Sequence[bytes]) -> set[bytes]:
        """Those of the pictures that are published. O(n log m) for n pictures among m."""
        return {picture for picture, *_ in self._in_calls(origin, account, pictures, "done")}

    def uncertain(self, origin: str, account: str, pictures: Sequence[bytes]) -> dict[bytes, Call]:
        """The call of each picture of which nobody knows whether it was published; of several the newest."""
        newest: dict[bytes, int] = {}
        for picture, number in self._in_calls(origin, account, pictures, "uncertain"):
            newest[picture] = max(number, newest.get(picture, 0))
        calls: dict[int, Call] = {}
        for part in parts(sorted(set(newest.values()))):
            for call in self._calls(f"c.id IN ({marks(part)})", part):
                calls[call.number] = call
        return {picture: calls[number] for picture, number in newest.items() if number in calls}

    def stored(self, origin: str, account: str, pictures: Sequence[bytes]) -> dict[bytes, Stored]:
        """What the service gave for those of the pictures that it holds whole, until a call with them is done."""
        number = self._account(origin, account)
        found: dict[bytes, Stored] = {}
        for part in parts(sorted(set(pictures))) if number is not None else ():
            sql = (
                "SELECT picture, session, handle, at_s FROM stored "  # noqa: S608 - question marks only
                f"WHERE account = ? AND picture IN ({marks(part)})"
            )
            try:
                for picture, *row in self._file.read(sql, (number, *part)):
                    found[picture] = Stored(*typed(row, (str, str, float)))
            except sqlite3.DatabaseError as e:
                self._file.damaged(e)
        return found

    def put_stored(self, origin: str, account: str, rows: Iterable[tuple[bytes, Stored]]) -> None:
        """Remembers pictures that the service holds whole, in one commit; a later row replaces an earlier one."""
        put = [(_checked(p), plain(s.session), plain(s.handle), s.at_s) for p, s in rows]
        if put:
            with self._file.writing() as db:
                number = _made(db, origin, account)
                db.executemany(
                    "INSERT OR REPLACE INTO stored VALUES (?, ?, ?, ?, ?)", ((number, *row) for row in put)
                )

    def begin(
        self,
        origin: str,
        account: str,
        kind: str,
        key: str,
        pictures: Sequence[bytes],
        at_s: float,
        *,
        again: bool = False,
    ) -> int:
        """Writes a call down as sent, durable when this returns; it has not been made yet. Returns its number.

        Parameters
        ----------
        origin, account : whose call; the id as the service says it
        kind, key : what is called and for what, for people and for the caller
        pictures : digests of 32 bytes, each once
        at_s : POSIX seconds
        again : pictures that are or may be published are published once more, on purpose

        Raises
        ------
        FolderBusy
            Some of the pictures are in a call of this account that is sent, done or uncertain; with `again`, sent.
            Nothing is written then. Of two runs that begin at once exactly one gets through.
        """
        if len(set(pictures)) < len(pictures):
            raise ValueError("a picture is twice in one call")
        items = b"".join(map(_checked, pictures))
        with self._file.writing() as db:
            owner = _made(db, origin, account)
            _refuse(db, owner, pictures, ("sent",) if again else tuple(_REFUSALS))
            row = (owner, "sent", plain(kind), plain(key), at_s, "", items)
            number = db.execute(
                "INSERT INTO calls (account, state, kind, key, at_s, answer, pictures) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
            db.executemany(
                "INSERT INTO sent VALUES (?, ?, ?)", ((owner, p, number) for p in sorted(pictures))
            )
        assert number is not None  # an INSERT gives one
        return number

    def end(self, number: int, state: str, answer: str = "") -> None:
        """Says what became of a call that is sent or uncertain, durable when this returns.

        Parameters
        ----------
        state : "done", its pictures are published and no longer stored; "uncertain"; or "dropped", it was
            not made or the service refused it, and it is forgotten
        answer : what the service said

        Raises
        ------
        ValueError
            There is no such call, or it is done: what is published stays so.
        """
        if state not in _ENDS:
            raise ValueError(f"a call does not end as {state!r}")
        with self._file.writing() as db:
            row = db.execute("SELECT account, state, pictures FROM calls WHERE id = ?", (number,)).fetchone()
            if row is None or row[1] == "done":
                raise ValueError(f"call {number} is not open")
            keys = [(row[0], picture) for picture in _split(row[2])]
            if state == "dropped":
                db.executemany(
                    "DELETE FROM sent WHERE account = ? AND picture = ? AND call = ?",
                    ((*key, number) for key in keys),
                )
                db.execute("DELETE FROM calls WHERE id = ?", (number,))
                return
            db.execute("UPDATE calls SET state = ?, answer = ? WHERE id = ?", (state, plain(answer), number))
            if state == "done":
                db.executemany("DELETE FROM stored WHERE account = ? AND picture = ?", keys)

    def settle(self, origin: str, account: str) -> list[Call]:
        """Calls that are still sent become uncertain, and are returned, the oldest first.

        They belong to runs that died in the middle: the caller owns the lock of the account.
        """
        left = self.calls(origin, account, ("sent",))
        if left:
            with self._file.writing() as db:
                db.executemany(
                    "UPDATE calls SET state = 'uncertain' WHERE id = ? AND state = 'sent'",
                    [(call.number,) for call in left],
                )
        return [replace(call, state="uncertain") for call in left]

    def calls(self, origin: str, account: str, states: Sequence[str]) -> list[Call]:
        """Calls in these states, the oldest first."""
        number = self._account(origin, account)
        if number is None:
            return []
        return self._calls(f"c.account = ? AND c.state IN ({marks(states)})", (number, *states))

    def counts(self) -> dict[tuple[str, str], Counts]:
        """How many pictures by (origin, account), sorted; accounts without any are left out."""
        found: dict[tuple[str, str], Counts] = {}
        sql = "SELECT id, origin, account FROM accounts ORDER BY origin, account"
        for number, origin, account in self._file.read(sql):
            (row,) = self._file.read(_COUNTS, (number, number, "done", number, number, number, "uncertain"))
            if any(row):
                found[origin, account] = Counts(*row)
        return found

    def _account(self, origin: str, account: str) -> int | None:
        found = self._file.read(_ACCOUNT, (plain(origin), plain(account)))
        return int(found[0][0]) if found else None

    def _in_calls(
        self, origin: str, account: str, pictures: Sequence[bytes], state: str
    ) -> Iterator[tuple[bytes, int]]:
        """(picture, number) for each call in a state that has one of the pictures."""
        number = self._account(origin, account)
        for part in parts(sorted(set(pictures))) if number is not None else ():
            for picture, call, _ in self._file.read(_sent(part, (state,)), (number, *part, state)):
                yield picture, call

    def _calls(self, where: str, values: Sequence[Any]) -> list[Call]:
        rows = self._file.read(f"SELECT {_CALL} FROM calls c WHERE {where} ORDER BY c.id", values)  # noqa: S608
        try:
            return [_call(row) for row in rows]
        except sqlite3.DatabaseError as e:
            self._file.damaged(e)
            raise


_ACCOUNT = "SELECT id FROM accounts WHERE origin = ? AND account = ?"
# Lists the calls first: looking each one up takes four times as long.
_OF_STATE = (
    "(SELECT count(DISTINCT picture) FROM sent WHERE account = ? AND call IN "
    "(SELECT id FROM calls WHERE account = ? AND state = ?))"
)
_COUNTS = f"SELECT {_OF_STATE}, (SELECT count(*) FROM stored WHERE account = ?), {_OF_STATE}"  # noqa: S608


def _sent(pictures: Sequence[bytes], states: Sequence[str]) -> str:
    return (
        "SELECT s.picture, s.call, c.state FROM sent s JOIN calls c ON c.id = s.call "  # noqa: S608
        f"WHERE s.account = ? AND s.picture IN ({marks(pictures)}) AND c.state IN ({marks(states)})"
    )


def _made(db: sqlite3.Connection, origin: str, account: str) -> int:
    """The number of an account, which is made where it is missing."""
    key = (plain(origin), plain(account))
    found = db.execute(_ACCOUNT, key).fetchone()
    if found is None:
        found = (db.execute("INSERT INTO accounts (origin, account) VALUES (?, ?)", key).lastrowid,)
    return int(found[0])


def _refuse(db: sqlite3.Connection, account: int, pictures: Sequence[bytes], states: Sequence[str]) -> None:
    found: dict[bytes, str] = {}
    for part in parts(sorted(pictures)):
        for picture, _, state in db.execute(_sent(part, states), (account, *part, *states)):
            if state == "sent" or found.get(picture) != "sent":
                found[picture] = state
    if found:
        counts = Counter(found.values())
        said = ", ".join(f"{counts[state]} {words}" for state, words in _REFUSALS.items() if state in counts)
        raise FolderBusy(
            f"{len(found)} of {len(pictures)} pictures are not sent: {said}",
            "run again: what is published is left out",
        )


def _checked(picture: bytes) -> bytes:
    if len(picture) != _DIGEST_BYTES:
        raise ValueError(f"a digest has {_DIGEST_BYTES} bytes, not {len(picture)}")
    return picture


def _call(row: Sequence[Any]) -> Call:
    number, kind, key, state, at_s, items, answer = typed(row, _CALL_TYPES)
    return Call(number, kind, key, state, at_s, tuple(_split(items)), answer)


def _split(items: Any) -> list[bytes]:
    """Digests, out of the bytes of several. Raises DatabaseError where they are none."""
    if type(items) is not bytes or len(items) % _DIGEST_BYTES:
        raise sqlite3.DatabaseError("pictures of a call expected, something else found")
    return [items[at : at + _DIGEST_BYTES] for at in range(0, len(items), _DIGEST_BYTES)]
