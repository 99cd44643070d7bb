"""The ledger: what was sent is never forgotten, and no picture gets into two calls."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from camtrail.catalog import ledger as module
from camtrail.catalog.ledger import Call, Counts, Ledger, Stored
from camtrail.core.errors import CatalogError, FolderBusy, StorageError

HERE = ("https://service", "17")


def digest(name):
    return hashlib.sha256(str(name).encode()).digest()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.sqlite")


PICTURES = [digest(i) for i in range(6)]
ACCOUNTS = [("https://service", "17"), ("https://service", "4"), ("http://127.0.0.1:1", "17")]
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=5) | st.just("a\0'\"")
some_pictures = st.lists(st.sampled_from(PICTURES), unique=True)
accounts = st.sampled_from(ACCOUNTS)


class Model(RuleBasedStateMachine):
    """The ledger beside plain dicts."""

    folder = None  # set by the test

    def __init__(self):
        super().__init__()
        Model.runs += 1
        self.path = str(Model.folder / f"{Model.runs}.sqlite")
        self.ledger = Ledger(self.path)
        self.calls = {}  # number -> (account, Call)
        self.stored = {}  # (account, picture) -> Stored
        self.names = {}

    def of(self, account, *states):
        return [c for a, c in self.calls.values() if a == account and c.state in states]

    @rule(account=accounts, pictures=some_pictures, again=st.booleans(), kind=TEXTS, key=TEXTS)
    def begin(self, account, pictures, again, kind, key):
        states = ("sent",) if again else ("sent", "uncertain", "done")
        taken = {p for c in self.of(account, *states) for p in c.items} & set(pictures)
        try:
            number = self.ledger.begin(*account, kind, key, pictures, 1.5, again=again)
        except FolderBusy as e:
            assert f"{len(taken)} of {len(pictures)} pictures" in e.message
            assert taken and e.exit_code == 9
        else:
            assert not taken and number > max(self.calls, default=0)
            self.calls[number] = (account, Call(number, kind, key, "sent", 1.5, tuple(pictures), ""))

    @rule(pick=st.randoms(use_true_random=False), state=st.sampled_from(module._ENDS), answer=TEXTS)
    def end(self, pick, state, answer):
        number = pick.choice([*self.calls, 999])
        account, call = self.calls.get(number, (None, None))
        if call is None or call.state in ("done", "dropped"):
            with pytest.raises(ValueError, match="not open"):
                self.ledger.end(number, state, answer)
            return
        self.ledger.end(number, state, answer)
        self.calls[number] = (account, replace(call, state=state, answer=answer))
        if state == "done":
            for p in call.items:
                self.stored.pop((account, p), None)

    @rule(account=accounts, pictures=some_pictures, handle=TEXTS)
    def put_stored(self, account, pictures, handle):
        rows = [(p, Stored(f"key {i}", handle, float(i))) for i, p in enumerate(pictures)]
        self.ledger.put_stored(*account, iter(rows))
        self.stored.update({(account, p): s for p, s in rows})

    @rule(account=accounts)
    def settle(self, account):
        left = [replace(c, state="uncertain") for c in self.of(account, "sent")]
        assert self.ledger.settle(*account) == left
        self.calls.update({c.number: (account, c) for c in left})

    @rule(account=accounts, name=TEXTS)
    def put_account(self, account, name):
        self.ledger.put_account(account[0], name, account[1])
        self.names[account[0], name] = account[1]

    @rule()
    def reopen(self):
        self.ledger.close()
        self.ledger = Ledger(self.path)

    @invariant()
    def agrees(self):
        counts = {}
        for account in ACCOUNTS:
            done, uncertain = self.of(account, "done"), self.of(account, "uncertain")
            published = {p for c in done for p in c.items}
            unknown = {p: c for c in uncertain for p in c.items}  # the newest comes last
            kept = {p: s for (a, p), s in self.stored.items() if a == account}
            assert self.ledger.done(*account, PICTURES) == published
            assert self.ledger.uncertain(*account, PICTURES) == unknown
            assert self.ledger.stored(*account, PICTURES) == kept
            assert self.ledger.calls(*account, ("sent",)) == self.of(account, "sent")
            assert self.ledger.calls(*account, ("done", "uncertain")) == self.of(account, "done", "uncertain")
            if published or kept or unknown:
                counts[account] = Counts(len(published), len(kept), len(unknown))
        assert self.ledger.counts() == counts and list(self.ledger.counts()) == sorted(counts)
        for (origin, name), key in self.names.items():
            assert self.ledger.account_key(origin, name) == key
        assert self.ledger.account_key("nowhere", "x") is None

    def teardown(self):
        self.ledger.close()


def test_it_is_what_plain_dicts_would_be(tmp_path):
    from hypothesis.stateful import run_state_machine_as_test

    Model.folder, Model.runs = tmp_path, 0
    run_state_machine_as_test(Model, settings=settings(max_examples=30, stateful_step_count=20))


def test_only_what_was_asked_for_comes_back(path):
    many = [digest(i) for i in range(1203)]  # more than one statement takes
    with Ledger(path) as ledger:
        number = ledger.begin(*HERE, "images", "k", many, 1.0)
        ledger.put_stored(*HERE, ((p, Stored("s", "h", 1.0)) for p in many))
        assert ledger.stored(*HERE, many[:700]).keys() == set(many[:700])
        ledger.end(number, "uncertain", "no answer")
        found = ledger.uncertain(*HERE, [*many[5:1100], digest("other")])
        assert found.keys() == set(many[5:1100])
        assert {c.items for c in found.values()} == {tuple(many)}
        ledger.end(number, "done", "3141")
        assert ledger.done(*HERE, [*many[:600], *many[:600], digest("other")]) == set(many[:600])
        assert ledger.stored(*HERE, many) == {}
        assert ledger.done(*HERE, []) == set() and ledger.done("else", "17", many) == set()


def test_what_is_refused_says_how_many_and_why(path):
    with Ledger(path) as ledger:
        ledger.end(ledger.begin(*HERE, "images", "a", PICTURES[:2], 1.0), "done")
        ledger.end(ledger.begin(*HERE, "images", "b", PICTURES[2:3], 1.0), "uncertain")
        ledger.begin(*HERE, "images", "c", PICTURES[3:4], 1.0)
        said = (
            "4 of 5 pictures are not sent: 1 being published by another run, 2 published already, "
            "1 in a call whose outcome nobody knows"
        )
        with pytest.raises(FolderBusy, match=said) as e:
            ledger.begin(*HERE, "images", "d", PICTURES[:5], 1.0)
        assert e.value.exit_code == 9 and e.value.hint
        with pytest.raises(FolderBusy, match="1 of 5 pictures"):
            ledger.begin(*HERE, "images", "d", PICTURES[:5], 1.0, again=True)
        assert [c.key for c in ledger.calls(*HERE, ("sent",))] == ["c"]
        again = ledger.begin(*HERE, "images", "d", PICTURES[:3], 1.0, again=True)
        ledger.end(again, "dropped")
        assert ledger.done(*HERE, PICTURES) == set(PICTURES[:2])


def test_misuse_changes_nothing(path):
    with Ledger(path) as ledger:
        for pictures in ([b"short"], [PICTURES[0], PICTURES[0]]):
            with pytest.raises(ValueError):
                ledger.begin(*HERE, "images", "k", pictures, 1.0)
        with pytest.raises(ValueError):
            ledger.put_stored(*HERE, [(PICTURES[0], Stored("s", "h", 1.0)), (b"", Stored("s", "h", 1.0))])
        number = ledger.begin(*HERE, "images", "k", PICTURES, 1.0)
        with pytest.raises(ValueError, match="does not end"):
            ledger.end(number, "sent")
        ledger.end(number, "done")
        with pytest.raises(ValueError, match="not open"):
            ledger.end(number, "dropped")
        assert ledger.done(*HERE, PICTURES) == set(PICTURES)
        assert ledger.counts() == {HERE: Counts(published=6)}


def test_a_number_is_never_given_twice(path):
    with Ledger(path) as ledger:
        first = ledger.begin(*HERE, "images", "k", PICTURES, 1.0)
        ledger.end(first, "dropped")
        assert ledger.begin(*HERE, "images", "k", PICTURES, 1.0) > first


def test_text_that_is_no_unicode_is_kept_escaped(path):
    with Ledger(path) as ledger:
        ledger.put_account("o", "n\udcff", "\ud800")
        assert ledger.account_key("o", "n\udcff") == "\\ud800"
        number = ledger.begin("o", "\udcff", "k", "k", PICTURES, 1.0)
        ledger.end(number, "uncertain", "said \udcff")
        (call,) = ledger.calls("o", "\udcff", ("uncertain",))
        assert call.answer == "said \\xff"


def test_threads_share_it(path):
    with Ledger(path) as ledger:
        ready = threading.Barrier(4)

        def one(i):
            ready.wait(10)
            got = 0
            for k in range(10):
                with contextlib.suppress(FolderBusy):
                    ledger.end(ledger.begin(*HERE, "images", f"{i}", [digest(k)], 1.0), "done")
                    got += 1
            return got

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(one, range(4))) == 10
        assert ledger.counts() == {HERE: Counts(published=10)}


RUN = """
import hashlib, sys
from camtrail.catalog.ledger import Ledger
from camtrail.core.errors import FolderBusy
def digest(name):
    return hashlib.sha256(str(name).encode()).digest()
HERE = ("https://service", "17")
"""
RACER = (
    RUN
    + """
print("ready", flush=True)
sys.stdin.readline()
won = []
with Ledger(sys.argv[1]) as ledger:
    for i in range(30):
        try:
            ledger.begin(*HERE, "images", sys.argv[2], [digest(i), digest((sys.argv[2], i))], 1.0)
            won.append(i)
        except FolderBusy:
            pass
print(*won)
"""
)


def started(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_of_two_runs_that_begin_at_once_exactly_one_gets_through(path):
    with started(RACER, path, "a") as a, started(RACER, path, "b") as b:
        assert a.stdout.readline() == b.stdout.readline() == "ready\n"
        for run in (a, b):
            run.stdin.write("go\n")
            run.stdin.flush()
        won = [[int(i) for i in run.communicate()[0].split()] for run in (a, b)]
    assert (a.returncode, b.returncode) == (0, 0)
    assert sorted(won[0] + won[1]) == list(range(30))
    with Ledger(path) as ledger:
        calls = ledger.calls(*HERE, ("sent",))
        assert {c.items[0] for c in calls} == {digest(i) for i in range(30)}
        # A call that was refused left nothing behind.
        assert ledger.counts() == {} and len(calls) == 30


KILLED = (
    RUN
    + """
with Ledger(sys.argv[1]) as ledger:
    ledger.end(ledger.begin(*HERE, "images", "first", [digest("first")], 1.0), "done")
    def ask(sql):
        if sql.startswith("COMMIT"):
            print("now", flush=True)
            sys.stdin.read()
    if sys.argv[2] == "before":
        ledger._file._db.execute("PRAGMA cache_size=1")  # pages go to the disk before the commit
        ledger._file._db.set_trace_callback(ask)
    ledger.begin(*HERE, "images", "second", [digest(i) for i in range(1000)], 1.0)
    print("now", flush=True)
    sys.stdin.read()
"""
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_run_leaves_a_call_exactly_if_begin_had_returned(path, when):
    with started(KILLED, path, when) as run:
        assert run.stdout.readline() == "now\n"
        run.kill()
    assert (os.path.getsize(path + "-journal") > 0) == (when == "before")
    with Ledger(path) as ledger:
        assert ledger.done(*HERE, [digest("first")])
        left = ledger.settle(*HERE)
        assert [c.key for c in left] == (["second"] if when == "after" else [])
        assert ledger.settle(*HERE) == []
        found = ledger.uncertain(*HERE, [digest(i) for i in range(1000)])
        assert len(found) == (1000 if when == "after" else 0)
        if when == "before":
            ledger.begin(*HERE, "images", "again", [digest(i) for i in range(1000)], 1.0)


TRACED = (
    RUN
    + """
import os
with Ledger(sys.argv[1]) as ledger:
    os.write(2, b"opened\\n")
    number = ledger.begin(*HERE, "images", "k", [digest(1)], 1.0)
    os.write(2, b"begun\\n")
    ledger.end(number, "done")
    os.write(2, b"ended\\n")
"""
)


@pytest.mark.strace
def test_what_begin_and_end_wrote_is_on_the_disk_when_they_return(path):
    calls = "trace=write,pwrite64,fsync,fdatasync,ftruncate"
    log = path + ".log"
    subprocess.run(
        ["strace", "-y", "-o", log, "-e", calls, sys.executable, "-c", TRACED, path],
        check=True,
        capture_output=True,
    )
    with open(log) as f:
        lines = f.read().split('"opened')[1].splitlines()[1:]
    for told in ("begun", "ended"):
        upto = next(i for i, line in enumerate(lines) if f'"{told}' in line)
        unsynced = set()
        for line in lines[:upto]:
            name, file = re.match(r"(\w+)\(\d+<([^>]*)>", line).groups()
            if "sync" in name:
                unsynced.discard(file)
            elif file.startswith(path):
                unsynced.add(file)
                assert file != path or path + "-journal" not in unsynced  # old pages are durable first
        assert any("sync" in line for line in lines[:upto])
        assert unsynced == set()
        lines = lines[upto + 1 :]


# What is wrong with the file


def used(path):
    with Ledger(path) as ledger:
        ledger.account_key(*HERE)
        ledger.done(*HERE, PICTURES)
        ledger.stored(*HERE, PICTURES)
        ledger.uncertain(*HERE, PICTURES)
        ledger.counts()
        ledger.settle(*HERE)
        for call in ledger.calls(*HERE, ("uncertain",)):
            ledger.end(call.number, "done")
        ledger.put_stored(*HERE, [(digest("new"), Stored("s", "h", 1.0))])
        ledger.put_account(*HERE, "name")
        ledger.end(ledger.begin(*HERE, "images", "k", [digest("new")], 1.0), "done")


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    file = tmp_path_factory.mktemp("big") / "ledger.sqlite"
    with Ledger(str(file)) as ledger:
        for k in range(6):
            pictures = [PICTURES[k], *(digest((k, i)) for i in range(80))]
            number = ledger.begin(*HERE, "images", str(k), pictures, 1.0)
            ledger.put_stored(*HERE, [(p, Stored("s" * 9, "h" * 30, 1.0)) for p in pictures])
            if k < 4:
                ledger.end(number, ("done", "uncertain")[k % 2], "1")
        ledger.put_account(HERE[0], "somebody", HERE[1])
    return file.read_bytes()


def open_bytes(path):
    with open(path, "rb") as f:
        return f.read()


def test_the_big_one_is_whole(path, big):
    with open(path, "wb") as f:
        f.write(big)
    used(path)


GARBAGE = {
    "noise": lambda big: random.Random(1).randbytes(20_000),
    "text": lambda big: b"This is a letter, and no ledger.\n" * 50,
    "one letter": lambda big: b"x",
    "header only": lambda big: big[:16],
    "cut within the first page": lambda big: big[:1000],
    "cut in the middle": lambda big: big[: len(big) // 2],
    "cut at the end": lambda big: big[:-1],
    "first page of noise": lambda big: random.Random(2).randbytes(4096) + big[4096:],
    "a photo": lambda big: b"\xff\xd8\xff\xe1" + bytes(9000),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_damaged_one_is_an_error_and_stays_as_it_is(path, big, kind):
    data = GARBAGE[kind](big)
    with open(path, "wb") as f:
        f.write(data)
    with pytest.raises(CatalogError, match="is damaged") as e:
        used(path)
    assert e.value.exit_code == 8 and "nothing is sent" in e.value.hint
    assert "\n" not in str(e.value)
    assert open_bytes(path) == data and os.listdir(os.path.dirname(path)) == ["ledger.sqlite"]


@settings(max_examples=100)
@given(seed=st.integers(0, 10_000), n=st.sampled_from([8, 512, 4096]))
@example(seed=0, n=4096)
def test_noise_in_the_file_is_an_error_and_nothing_else(tmp_path_factory, big, seed, n):
    path = str(tmp_path_factory.mktemp("noise") / "ledger.sqlite")
    noise = random.Random(seed)
    raw = bytearray(big)
    at = noise.randrange(len(raw) // n) * n
    raw[at : at + n] = noise.randbytes(n)
    with open(path, "wb") as f:
        f.write(raw)
    try:
        used(path)
    except FolderBusy:
        raise
    except StorageError as e:
        assert e.exit_code in (7, 8) and e.hint
    assert {f.removesuffix("-journal") for f in os.listdir(os.path.dirname(path))} == {"ledger.sqlite"}


def test_after_a_crash_all_of_it_is_checked(path, big):
    leaf = big.index(digest((3, 7)))  # of a table that opening does not look at
    page = leaf // 4096 * 4096
    with open(path, "wb") as f:
        f.write(big[:page] + b"\xa7" * 4096 + big[page + 4096 :])
    Ledger(path).close()
    with open(path + "-journal", "wb") as f:
        f.write(b"what a run left")
    with pytest.raises(CatalogError, match="is damaged"):
        Ledger(path)


def test_an_empty_file_is_a_new_ledger_and_a_warning(path, caplog):
    with open(path, "wb"):
        pass  # what a run leaves that was killed at the very start
    used(path)
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert "was empty; nothing is known of what was done before" in warning


def test_a_new_one_comes_without_a_word(path, caplog):
    used(path)
    assert not caplog.records


def test_the_file_of_another_program_is_left_alone(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (x)")
    before = open_bytes(path)
    with pytest.raises(CatalogError, match="damaged") as e:
        Ledger(path)
    assert e.value.exit_code == 8 and open_bytes(path) == before


def test_a_newer_ledger_is_not_touched(path, big):
    with open(path, "wb") as f:
        f.write(big)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={module._LAYOUT.version + 1}")
    before = open_bytes(path)
    with pytest.raises(CatalogError, match="written by a newer camtrail; update camtrail") as e:
        Ledger(path)
    assert e.value.exit_code == 8 and open_bytes(path) == before


def test_a_ledger_that_another_program_holds(path, monkeypatch, caplog):
    monkeypatch.setattr(module, "_WAIT_S", 0)
    with Ledger(path) as ledger, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        number = ledger.begin(*HERE, "images", "k", PICTURES, 1.0)
        other.execute("BEGIN EXCLUSIVE")
        for ask in (
            lambda: Ledger(path),
            lambda: ledger.done(*HERE, PICTURES),
            lambda: ledger.end(number, "done"),
            lambda: ledger.begin(*HERE, "images", "k", [digest("new")], 1.0),
        ):
            with pytest.raises(CatalogError, match="another program has held it") as e:
                ask()
            assert e.value.exit_code == 8 and "wait for the other run" in e.value.hint
        monkeypatch.setattr(module, "_WAIT_S", 0.3)
        with pytest.raises(CatalogError, match=r"has held it for 0\.3 s"):
            Ledger(path)
        assert "another program holds it; waiting for at most 0.3 s" in caplog.text
        other.execute("ROLLBACK")
        assert [c.number for c in ledger.calls(*HERE, ("sent",))] == [number]


def test_a_ledger_that_may_not_be_written(path):
    with Ledger(path) as ledger:
        ledger.end(ledger.begin(*HERE, "images", "k", PICTURES, 1.0), "done")
        ledger._file._db.execute("PRAGMA query_only=ON")  # what SQLite says of a read-only file as well
        for ask in (
            lambda: ledger.begin(*HERE, "images", "k", [digest("new")], 1.0),
            lambda: ledger.put_account(*HERE, "name"),
        ):
            with pytest.raises(StorageError, match=r"cannot be written .*readonly") as e:
                ask()
            assert e.value.exit_code == 7
        assert ledger.done(*HERE, PICTURES) == set(PICTURES)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may write everything")
def test_a_file_without_the_right_to_write_can_be_read(path, big):
    with open(path, "wb") as f:
        f.write(big)
    os.chmod(path, 0o444)
    with Ledger(path) as ledger:
        assert ledger.done(*HERE, PICTURES)
        with pytest.raises(StorageError, match="readonly"):
            ledger.put_account(*HERE, "name")


def test_a_full_disk_begins_nothing(path):
    with Ledger(path) as ledger:
        (pages,) = ledger._file._db.execute("PRAGMA page_count").fetchone()
        ledger._file._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageError, match=r"full.*; free some space") as e:
            ledger.begin(*HERE, "images", "k", [digest(i) for i in range(2000)], 1.0)
        assert e.value.exit_code == 7 and ledger.calls(*HERE, ("sent",)) == []


@pytest.mark.parametrize("kind", ["missing folder", "folder in its place"])
def test_a_place_that_cannot_be(tmp_path, kind):
    path = tmp_path / "x" / "ledger.sqlite"
    if kind == "folder in its place":
        path.mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be opened") as e:
        Ledger(str(path))
    assert e.value.exit_code == 7
