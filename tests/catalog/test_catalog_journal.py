"""The journal: its rows survive, it is never rebuilt, and what is wrong with the file has a name."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.catalog import journal as module
from camtrail.catalog.journal import JournalRun, SqliteJournal
from camtrail.core.errors import CatalogError, StorageError
from camtrail.core.journal import Change, Undo


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "journal.sqlite")


def change(path="/photos/a.jpg", **known):
    values = {
        "kind": "patch", "undo": Undo(((4, b"old"),), 9, b"rest"), "old_size": 12, "old_sha256": b"1" * 32,
        "new_size": 40, "head_bytes": 30, "new_sha256": b"2" * 32, "old_mtime_ns": 5, "tags": "position",
    }  # fmt: skip
    return Change(path, **{**values, **known})


def opened(path, command="write", at_s=1.0):
    return SqliteJournal(path, "/photos", command, at_s)


names = st.text(st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1)
runs = st.lists(st.tuples(st.integers(0, 2**40), st.binary(min_size=1, max_size=9)), max_size=3).map(tuple)


@settings(max_examples=30)
@given(
    st.lists(
        st.builds(
            change,
            st.sampled_from(["/photos/", "/elsewhere/", "/photos/\udcff/"]).flatmap(
                lambda f: names.map(f.__add__)
            ),
            undo=st.builds(Undo, runs, st.integers(0, 2**40), st.binary(max_size=20)),
            old_mtime_ns=st.integers(-(2**62), 2**62),
        ),
        max_size=4,
    )
)
def test_changes_come_back_the_newest_first(tmp_path_factory, changes):
    path = str(tmp_path_factory.mktemp("j") / "journal.sqlite")
    with opened(path) as journal:
        ids = journal.begin(changes)
    with opened(path) as journal:
        assert journal.changes() == []
        assert journal.changes(("begun",)) == [(i, 1, c) for i, c in zip(ids, changes)][::-1]
        journal.end(ids, "done")
        assert [c for _, _, c in journal.changes()] == changes[::-1]
        assert journal.runs() == ([JournalRun(1, 1.0, "write", {"done": len(ids)})] if ids else [])


def test_it_moves_with_the_photos(path):
    with opened(path) as journal:
        journal.begin([change("/photos/a.jpg"), change("/elsewhere/b.jpg")])
    with SqliteJournal(path, "/moved") as journal:
        assert [c.path for _, _, c in journal.changes(("begun",))] == ["/elsewhere/b.jpg", "/moved/a.jpg"]


def test_what_was_dropped_leaves_no_run(path):
    with opened(path) as journal:
        journal.end(journal.begin([change()]), "dropped")
        assert journal.runs() == []
        journal.end(journal.begin([change()]), "done")
        assert [r.states for r in journal.runs()] == [{"done": 1}]


def test_forgetting_gives_the_room_back(path):
    with opened(path, at_s=1.0) as journal:
        journal.begin([change(undo=Undo((), 0, bytes(100_000)))])
    with opened(path, at_s=9.0) as journal:
        journal.begin([change()])
        assert journal.forget(5.0) == 1
        assert [r.at_s for r in journal.runs()] == [9.0]
    assert os.path.getsize(path) < 50_000


def test_a_change_after_a_full_disk_has_its_run(path):
    with opened(path) as journal:
        (pages,) = journal._file._db.execute("PRAGMA page_count").fetchone()
        journal._file._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageError, match=r"full.*; free some space; nothing was changed") as e:
            journal.begin([change(undo=Undo((), 0, bytes(100_000)))])
        assert e.value.exit_code == 7 and journal.runs() == []
        journal._file._db.execute("PRAGMA max_page_count=100000")
        journal.begin([change()])
        assert [r.states for r in journal.runs()] == [{"begun": 1}]


def open_bytes(path):
    with open(path, "rb") as f:
        return f.read()


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("big") / "journal.sqlite")
    with opened(path) as journal:
        journal.end(journal.begin([change(f"/photos/{i}.jpg") for i in range(100)]), "done")
    return open_bytes(path)


GARBAGE = {
    "noise": lambda big: random.Random(1).randbytes(20_000),
    "text": lambda big: b"This is a letter, and no journal.\n" * 50,
    "one letter": lambda big: b"x",
    "cut in the middle": lambda big: big[: len(big) // 2],
    "cut at the end": lambda big: big[:-1],
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_damaged_one_is_an_error_and_stays_as_it_is(path, big, kind):
    data = GARBAGE[kind](big)
    with open(path, "wb") as f:
        f.write(data)
    with pytest.raises(CatalogError, match=r"is damaged .*; bring it back from a backup") as e:
        opened(path)
    assert e.value.exit_code == 8
    assert open_bytes(path) == data and os.listdir(os.path.dirname(path)) == ["journal.sqlite"]


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.sampled_from([8, 512, 4096]))
def test_noise_in_the_file_is_an_error_and_nothing_else(tmp_path_factory, big, seed, n):
    path = str(tmp_path_factory.mktemp("noise") / "journal.sqlite")
    noise = random.Random(seed)
    raw = bytearray(big)
    at = noise.randrange(len(raw) // n) * n
    raw[at : at + n] = noise.randbytes(n)
    with open(path, "wb") as f:
        f.write(raw)
    try:
        with opened(path) as journal:
            journal.runs()
            journal.changes()
            journal.end(journal.begin([change()]), "done")
            journal.forget(0.0)
    except StorageError as e:
        assert e.exit_code in (7, 8) and e.hint
    assert {f.removesuffix("-journal") for f in os.listdir(os.path.dirname(path))} == {"journal.sqlite"}


def test_a_path_that_is_noise_is_damage(path):
    with opened(path) as journal:
        journal.begin([change()])
        journal._file._db.execute("UPDATE changes SET path = 7")
        with pytest.raises(CatalogError, match="is damaged"):
            journal.changes(("begun",))


def test_an_empty_file_is_a_new_journal_and_a_warning(path, caplog):
    with open(path, "wb"):
        pass
    with opened(path) as journal:
        journal.begin([change()])
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert "was empty" in warning


def test_a_newer_journal_is_not_touched(path, big):
    with open(path, "wb") as f:
        f.write(big)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={module._LAYOUT.version + 1}")
    before = open_bytes(path)
    with pytest.raises(CatalogError, match="written by a newer camtrail; update camtrail") as e:
        opened(path)
    assert e.value.exit_code == 8 and open_bytes(path) == before


def test_a_journal_that_another_program_holds(path, monkeypatch):
    monkeypatch.setattr(module, "_WAIT_S", 0)
    with opened(path) as journal, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for ask in (lambda: opened(path), lambda: journal.begin([change()]), journal.changes):
            with pytest.raises(CatalogError, match="another program has held it") as e:
                ask()
            assert e.value.exit_code == 8 and "wait for the other run" in e.value.hint
