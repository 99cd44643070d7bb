"""The same everywhere: a file system whose k-th changing call fails or is the last one, k = 1, 2, … until none is."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from camtrail.app import undo as undo_app
from camtrail.app import write as write_app
from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, known
from camtrail.app.scan import ScanOptions
from camtrail.app.undo import UndoOptions, undo
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.catalog.journal import SqliteJournal
from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import CamtrailError, CatalogError, Failure, FolderBusy, StorageError
from camtrail.core.fs import RealFileSystem
from camtrail.core.journal import Change
from camtrail.metadata import safeio
from camtrail.metadata.safeio import Splice

from .conftest import afresh, fill, photo, sums, temporaries


class Killed(BaseException):
    """The process is no more: whatever it still tries to change raises this, too."""


class Failing(RealFileSystem):
    """The machine's file system, whose k-th changing call fails.

    Parameters
    ----------
    fault : an errno; or "kill": this call does half of its work and nothing happens after it; or "lost": the call
        does its work and says that it failed, as on a network drive
    """

    def __init__(self, k=0, fault="kill"):
        self.k, self.fault = k, fault
        self.calls: list[str] = []
        self.is_dead = False
        self._lock = threading.Lock()

    def point(self, name, halfway=lambda: None, whole=None):
        with self._lock:
            if self.is_dead:
                raise Killed
            self.calls.append(name)
            if len(self.calls) != self.k:
                return
            self.is_dead = self.fault == "kill"
        if self.fault == "kill":
            halfway()
            raise Killed
        if self.fault == "lost":
            if whole is not None:
                whole()
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return
        halfway()
        raise OSError(self.fault, os.strerror(self.fault))

    def make_folder(self, path, private=False):
        if not os.path.isdir(path):
            self.point("make_folder")
        super().make_folder(path, private)

    def create(self, path, private=False):
        self.point("create")
        return FailingFile(self, super().create(path, private))

    def keep_attributes(self, old, new, *, mtime):
        self.point("keep_attributes")
        super().keep_attributes(old, new, mtime=mtime)

    def set_mtime(self, path, mtime_ns):
        self.point("set_mtime")
        super().set_mtime(path, mtime_ns)

    def rename(self, old, new):
        self.point("rename", whole=lambda: os.replace(old, new))
        super().rename(old, new)

    def remove(self, path):
        is_there = os.path.lexists(path)
        self.point("remove" if is_there else "remove nothing", whole=lambda: is_there and os.unlink(path))
        super().remove(path)

    def sync_file(self, path):
        self.point("sync_file")
        super().sync_file(path)

    def sync_folder(self, path):
        self.point("sync_folder")
        super().sync_folder(path)


class FailingFile:
    def __init__(self, fs, file):
        self._fs, self._file = fs, file

    def write(self, data):
        self._fs.point("write", lambda: self._file.write(data[: len(data) // 2]))
        self._file.write(data)

    def reserve(self, n):
        self._fs.point("reserve")
        self._file.reserve(n)

    def copy_from(self, path, offset, n):
        self._fs.point("copy_from", lambda: self._file.copy_from(path, offset, n // 2))
        self._file.copy_from(path, offset, n)

    def close(self):
        self._file.close()  # the number of the file is given back even then
        self._fs.point("close")


@pytest.fixture
def journal_points(monkeypatch):
    """The journal is a place where a run can end, too: before and after each of its commits."""
    found: dict[str, Failing] = {}

    class Counted(SqliteJournal):
        def begin(self, changes):
            found["fs"].point("journal.begin")
            made = super().begin(changes)
            found["fs"].point("journal.begun")
            return made

        def end(self, ids, state):
            if ids:
                found["fs"].point(f"journal.{state}")
            super().end(ids, state)
            if ids:
                found["fs"].point(f"journal.{state}, after")

    monkeypatch.setattr(write_app, "SqliteJournal", Counted)
    monkeypatch.setattr(undo_app, "SqliteJournal", Counted)

    def watch(fs):
        found["fs"] = fs
        return fs

    return watch


def write(root, mode="exif", make="Test", fs=None, **options) -> int:
    """The exit code of `camtrail write`."""
    to = WriteOptions(write=mode, output=str(root / "out") if mode == "copy" else "", **options)
    job = functools.partial(known, "write")
    try:
        result, written = write_app.run(
            job, [str(root / "photos")], ProcessOptions(), to, ImportMetaOptions(device_make=make),
            Context(fs=fs or RealFileSystem()),
        )  # fmt: skip
    except CamtrailError as e:
        return e.exit_code
    result.failures += written.failures
    return result.exit_code()


def undone(root, fs=None, **options) -> int:
    """The exit code of `camtrail undo`."""
    try:
        done = undo(
            [str(root / "photos")],
            ScanOptions(),
            UndoOptions(**options),
            Context(fs=fs or RealFileSystem()),
        )
    except CamtrailError as e:
        return e.exit_code
    return done.exit_code()


def files(root: Path) -> dict[str, str]:
    return sums(root / "photos", root / "out")


COMMANDS = {
    "exif": (write, ()),
    "compaction": (functools.partial(write, make="Other"), (write,)),
    "sidecar": (functools.partial(write, mode="sidecar"), ()),
    "sidecar again": (
        functools.partial(write, mode="sidecar", make="Other"),
        (functools.partial(write, mode="sidecar"),),
    ),
    "copy": (functools.partial(write, mode="copy"), ()),
    "undo": (undone, (write,)),
    "undo all": (functools.partial(undone, all=True), (write, functools.partial(write, make="Other"))),
    "undo of sidecars": (undone, (functools.partial(write, mode="sidecar"),)),
}
FAULTS = ["kill", errno.ENOSPC, errno.EIO, "lost"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_whichever_call_fails_no_file_is_lost(tmp_path, name, fault, journal_points, monkeypatch):
    command, before = COMMANDS[name]
    base, place = tmp_path / "base", tmp_path / "place"
    fill(place / "photos", 3)
    first = files(place)
    versions = [first]
    for command_before in before:
        journal_points(Failing())
        assert command_before(place) == 0
        versions.append(files(place))
    old = files(place)
    afresh(place, base)
    fs = journal_points(Failing())
    assert command(place, fs=fs) == 0
    clean, new = fs.calls, files(place)
    assert new != old and len(clean) > 10
    # An undo of several runs may end at each of them.
    allowed = [*versions, new] if name == "undo all" else [old, new]

    wrong: list[str] = []
    for k in range(1, len(clean) + 1):
        afresh(base, place)
        fs = journal_points(Failing(k, fault))
        try:
            code = command(place, fs=fs)
        except Killed:
            code = -9
        except OSError as e:
            if not fs.calls[k - 1].startswith("journal"):
                wrong.append(f"{fs.calls[k - 1]} #{k}: {e!r}")
            code = 1
        fs.is_dead = False
        what = f"{fs.calls[k - 1]} #{k}"  # files are prepared side by side, in any order
        now = {p: v for p, v in files(place).items() if "/.camtrail-" not in p}
        for path in {*old, *new, *now}:
            if now.get(path) not in [v.get(path) for v in allowed]:
                wrong.append(f"{what}: LOST {path}")
        if fault == "kill" and code != -9:
            wrong.append(f"{what}: was not killed")
        if code == 0 and now != new:
            wrong.append(f"{what}: ended well and did not do it")
        if fault != "kill" and not fs.calls[k - 1].startswith("remove"):
            left = [p for p in temporaries(place) if "/.camtrail/" not in p]
            wrong += [f"{what}: left {p}" for p in left]
        for again, wanted in ((command, new), (functools.partial(undone, all=True), first)):
            journal_points(Failing())
            if (code := again(place)) != 0:
                wrong.append(f"{what}: then again: {code}")
            if files(place) != wanted:
                wrong.append(f"{what}: then again: not what it should be")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(clean)} points ({clean}):", *wrong[:30]])


@pytest.mark.parametrize("fault", [errno.ENOSPC, "kill"])
def test_trouble_in_a_later_group_keeps_what_the_earlier_ones_wrote(tmp_path, fault):
    fill(tmp_path / "photos", 67)
    old = files(tmp_path)
    afresh(tmp_path / "photos", tmp_path / "spare")
    fs = Failing()
    assert write(tmp_path, fs=fs) == 0
    new = files(tmp_path)
    seen = [i for i, call in enumerate(fs.calls) if call == "create"]
    afresh(tmp_path / "spare", tmp_path / "photos")
    fs = Failing(seen[65] + 2, fault)
    if fault == "kill":
        with pytest.raises(Killed):
            write(tmp_path, fs=fs)
    else:
        assert write(tmp_path, fs=fs) == 7
    now = files(tmp_path)
    written = sum(now[p] == new[p] for p in old)
    assert written + sum(now[p] == old[p] for p in old) == 67
    # The third group of 32 is written while the second one gets its names, at which a kill may stop it.
    assert written == 64 if fault != "kill" else 32 <= written <= 64
    assert write(tmp_path) == 0 and files(tmp_path) == new
    assert undone(tmp_path, all=True) == 0 and files(tmp_path) == old


def test_a_killed_second_write_of_the_same_length_and_then_the_first_one_again(tmp_path):
    fill(tmp_path / "photos", 1)
    assert write(tmp_path, make="Maker1") == 0
    first = files(tmp_path)
    fs = Failing()
    afresh(tmp_path / "photos", tmp_path / "spare")
    assert write(tmp_path, make="Maker2", fs=fs) == 0
    afresh(tmp_path / "spare", tmp_path / "photos")
    with pytest.raises(Killed):
        write(tmp_path, make="Maker2", fs=Failing(fs.calls.index("rename") + 2))
    assert write(tmp_path, make="Maker1") == 0
    assert files(tmp_path) == first


class Meddling(RealFileSystem):
    """Somebody else does something to a photo at our first call of a kind for it."""

    def __init__(self, at, path, do):
        self._at, self._path, self._do = at, path, do

    def _met(self, call, path):
        if call == self._at and self._path.name in os.path.basename(path) and self._do is not None:
            do, self._do = self._do, None
            do()

    def create(self, path, private=False):
        self._met("create", path)
        outer = self

        class Out(FailingFile):
            def copy_from(self, source, offset, n):
                outer._met("copy_from", path)
                super().copy_from(source, offset, n)

        return Out(Failing(), super().create(path, private))

    def keep_attributes(self, old, new, *, mtime):
        self._met("keep_attributes", new)
        super().keep_attributes(old, new, mtime=mtime)

    def sync_file(self, path):
        self._met("sync_file", path)
        super().sync_file(path)


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def _shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def _touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _edited(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def _edited_secretly(path: Path) -> None:
    before = path.stat()
    _edited(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(path: Path) -> None:
    other = path.with_name("other.tmp")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize("at", ["create", "copy_from", "keep_attributes", "sync_file"])
@pytest.mark.parametrize("do", [_longer, _shorter, _touched, _edited, _edited_secretly, _replaced, os.remove])
def test_a_file_that_changes_while_it_is_worked_on_is_left_as_the_other_made_it(tmp_path, at, do):
    fill(tmp_path / "photos", 2)
    path = tmp_path / "photos" / "IMG_0001.jpg"
    after: list[bytes | None] = []

    def meddle():
        do(path)
        after.append(path.read_bytes() if path.exists() else None)

    secret = do is _edited_secretly and at in ("create", "copy_from")  # then it is copied as it is, edited
    fs = Meddling(at, path, meddle)
    code = write(tmp_path, fs=fs)
    assert after, "nobody meddled"
    if secret:
        assert code in (0, 3)
    else:
        assert code == 3
        assert (path.read_bytes() if path.exists() else None) == after[0]
        assert b"Test" in (tmp_path / "photos" / "IMG_0000.jpg").read_bytes()
    assert temporaries(tmp_path / "photos") == []
    undone(tmp_path, all=True)
    assert (path.read_bytes() if path.exists() else None) == after[0]


class Misreading(RealFileSystem):
    """Temporaries are read back otherwise than they were written."""

    def __init__(self, change):
        self._change = change

    def source(self, path, size=-1):
        if os.path.basename(path).startswith(".camtrail-"):
            return contextlib.nullcontext(MemoryBytes(self._change(Path(path).read_bytes()), path))
        return super().source(path, size)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: data[:30] + b"\xa5" + data[31:],
        lambda data: data[:-30] + b"\xa5" + data[-29:],
    ],
    ids=["short by one", "short", "empty", "long", "another head", "another tail"],
)
@pytest.mark.parametrize("mode", ["exif", "copy", "sidecar"])
def test_a_read_back_that_differs_replaces_nothing(tmp_path, change, mode):
    fill(tmp_path / "photos", 2)
    old = files(tmp_path)
    assert write(tmp_path, mode, fs=Misreading(change)) in (3, 7)
    assert files(tmp_path) == old
    assert write(tmp_path, mode) == 0


class TestLinks:
    def test_a_file_of_several_names_is_refused_unless_told(self, tmp_path):
        fill(tmp_path / "photos", 2)
        other = tmp_path / "other.jpg"
        os.link(tmp_path / "photos" / "IMG_0000.jpg", other)
        before = other.read_bytes()
        assert write(tmp_path) == 3
        assert (tmp_path / "photos" / "IMG_0000.jpg").read_bytes() == before
        assert b"Test" in (tmp_path / "photos" / "IMG_0001.jpg").read_bytes()
        assert write(tmp_path, break_hardlinks=True) == 0
        assert b"Test" in (tmp_path / "photos" / "IMG_0000.jpg").read_bytes()
        assert other.read_bytes() == before
        assert undone(tmp_path, all=True) == 0
        assert (tmp_path / "photos" / "IMG_0000.jpg").read_bytes() == before

    def test_a_link_inside_is_written_through_once_and_stays_a_link(self, tmp_path):
        fill(tmp_path / "photos", 2)
        old = files(tmp_path)
        link = tmp_path / "photos" / "link.jpg"
        link.symlink_to("IMG_0000.jpg")
        assert write(tmp_path) == 0
        assert link.is_symlink()
        assert link.read_bytes() == (tmp_path / "photos" / "IMG_0000.jpg").read_bytes()
        assert b"Test" in link.read_bytes()
        assert temporaries(tmp_path / "photos") == []
        assert undone(tmp_path, all=True) == 0
        link.unlink()
        assert files(tmp_path) == old

    def test_a_link_to_outside_is_refused(self, tmp_path):
        fill(tmp_path / "photos", 2)
        outside = tmp_path / "elsewhere.jpg"
        outside.write_bytes(photo(7))
        before = outside.read_bytes()
        (tmp_path / "photos" / "link.jpg").symlink_to(outside)
        assert write(tmp_path) == 3
        assert outside.read_bytes() == before
        assert (tmp_path / "photos" / "link.jpg").is_symlink()

    def test_two_names_of_one_file_in_two_groups(self, tmp_path):
        path = tmp_path / "a.jpg"
        path.write_bytes(b"head" + b"tail" * 9)
        others = [tmp_path / f"{i}.jpg" for i in range(70)]
        for o in others:
            o.write_bytes(b"headtail")
        new = Splice(str(path), b"longer head", 4, str(path))
        more = [Splice(str(o), b"longer head", 4, str(o)) for o in others]
        with SqliteJournal(str(tmp_path / "j"), str(tmp_path)) as journal:
            answers = safeio.replace(
                RealFileSystem(), journal, [new, *more, new, dataclasses.replace(new, head=b"x")]
            )
            assert len(journal.changes()) == 71
        assert answers[0] == answers[71] and isinstance(answers[0], Change)
        assert isinstance(answers[72], Failure) and answers[72].code == "refused"
        assert path.read_bytes() == b"longer head" + b"tail" * 9


class TestRefusals:
    def test_a_file_that_is_another_one_than_was_looked_at(self, tmp_path):
        path = tmp_path / "a.jpg"
        path.write_bytes(b"headtail")
        fs = RealFileSystem()
        new = Splice(str(path), b"longer head", 4, str(path), seen=fs.status(str(path)))
        path.write_bytes(b"another tail")
        with SqliteJournal(str(tmp_path / "j"), str(tmp_path)) as journal:
            (answer,) = safeio.replace(fs, journal, [new])
            assert journal.changes(("begun", "done")) == []
        assert isinstance(answer, Failure) and "changed while" in answer.message
        assert path.read_bytes() == b"another tail"

    @pytest.mark.parametrize("mode", ["exif", "sidecar", "copy"])
    def test_a_read_only_file(self, tmp_path, mode):
        fill(tmp_path / "photos", 2)
        old = files(tmp_path)
        path = tmp_path / "photos" / "IMG_0000.jpg"
        path.chmod(0o444)
        assert write(tmp_path, mode) == (3 if mode == "exif" else 0)
        assert files(tmp_path)["photos/IMG_0000.jpg"] == old["photos/IMG_0000.jpg"]
        assert path.stat().st_mode & 0o777 == 0o444
        assert undone(tmp_path, all=True) == 0
        assert files(tmp_path) == old

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EFBIG])
    @pytest.mark.parametrize("mode", ["exif", "sidecar", "copy"])
    def test_a_folder_that_takes_no_new_file(self, tmp_path, mode, number):
        class ReadOnly(RealFileSystem):
            def create(self, path, private=False):
                raise OSError(number, os.strerror(number))

        fill(tmp_path / "photos", 2)
        old = files(tmp_path)
        full = number in (errno.EDQUOT, errno.EFBIG)
        assert write(tmp_path, mode, fs=ReadOnly()) == (7 if full else 3)
        assert files(tmp_path) == old
        assert undone(tmp_path, all=True) == 0

    def test_a_rename_that_is_not_allowed(self, tmp_path):
        class Fixed(RealFileSystem):
            def rename(self, old, new):
                raise PermissionError(errno.EPERM, "not permitted")

        fill(tmp_path / "photos", 2)
        old = files(tmp_path)
        assert write(tmp_path, fs=Fixed()) == 3
        assert files(tmp_path) == old and temporaries(tmp_path / "photos") == []


class TestJournal:
    def journal(self, root: Path) -> Path:
        return root / "photos" / ".camtrail" / "journal.sqlite"

    def test_one_that_cannot_be_written_changes_no_photo(self, tmp_path):
        fill(tmp_path / "photos", 2)
        old = files(tmp_path)
        self.journal(tmp_path).mkdir(parents=True)
        assert write(tmp_path) == 7
        assert files(tmp_path) == old

    def test_one_whose_commit_fails_changes_no_photo(self, tmp_path, monkeypatch):
        class Full(SqliteJournal):
            def begin(self, changes):
                raise StorageError("full")

        fill(tmp_path / "photos", 2)
        old = files(tmp_path)
        monkeypatch.setattr(write_app, "SqliteJournal", Full)
        assert write(tmp_path) == 7
        assert files(tmp_path) == old

    @pytest.mark.parametrize("length", [1, 100, 4096, 5000, 8192, 12288])
    def test_one_that_is_cut_off(self, tmp_path, length):
        self._damaged(tmp_path, lambda data: data[:length])

    @pytest.mark.parametrize("page", range(4))
    def test_one_with_a_page_of_noise(self, tmp_path, page):
        self._damaged(tmp_path, lambda data: data[: 4096 * page] + b"\xa7" * 4096 + data[4096 * (page + 1) :])

    def test_one_that_is_a_text(self, tmp_path):
        self._damaged(tmp_path, lambda data: b"some notes of mine\n" * 300)

    def _damaged(self, root, change):
        fill(root / "photos", 2)
        old = files(root)
        assert write(root) == 0
        journal = self.journal(root)
        damaged = change(journal.read_bytes())
        assert damaged != journal.read_bytes()
        journal.write_bytes(damaged)
        now = files(root)
        assert write(root, make="Other") == 8
        assert files(root) == now
        assert journal.read_bytes() == damaged
        # Where what undo reads is whole, undo may go by it.
        assert (undone(root), files(root)) in [(8, now), (0, old)]

    def test_one_of_a_newer_camtrail(self, tmp_path):
        import sqlite3

        fill(tmp_path / "photos", 1)
        assert write(tmp_path) == 0
        now = files(tmp_path)
        db = sqlite3.connect(self.journal(tmp_path))
        db.execute("PRAGMA user_version=99")
        db.close()
        assert (write(tmp_path, make="Other"), undone(tmp_path)) == (8, 8)
        assert files(tmp_path) == now


class TestSettling:
    def begun(self, tmp_path, new: bytes):
        """A journal with a row that was begun, and a photo that holds `new`."""
        path = tmp_path / "a.jpg"
        path.write_bytes(b"headtail")
        journal = SqliteJournal(str(tmp_path / "j"), str(tmp_path))
        fs = Failing()
        fs.k = 10**9
        (change,) = safeio.replace(fs, journal, [Splice(str(path), b"longer head", 4, str(path))])
        number = journal.changes()[0][0]
        journal.end([number], "begun")
        path.write_bytes(new)
        return path, journal, [(number, change)]

    @pytest.mark.parametrize(
        ("now", "state"), [(b"headtail", None), (b"longer headtail", "done"), (b"mine", "done")]
    )
    def test_by_what_the_file_holds(self, tmp_path, now, state):
        _, journal, begun = self.begun(tmp_path, now)
        with journal:
            safeio.settle(RealFileSystem(), journal, begun)
            assert journal.changes(("begun",)) == []
            assert len(journal.changes(("done",))) == (state == "done")

    def test_what_undo_needs_is_kept_for_a_file_that_was_moved(self, tmp_path):
        path, journal, begun = self.begun(tmp_path, b"longer headtail")
        with journal:
            path.rename(tmp_path / "elsewhere.jpg")
            safeio.settle(RealFileSystem(), journal, begun)
            (tmp_path / "elsewhere.jpg").rename(path)
            assert safeio.restore(RealFileSystem(), journal, begun) == [None]
        assert path.read_bytes() == b"headtail"

    def test_one_file_that_cannot_be_read_stops_nobody(self, tmp_path):
        class Unreadable(RealFileSystem):
            def status(self, path):
                raise OSError(errno.EIO, "a bad sector")

        _, journal, begun = self.begun(tmp_path, b"longer headtail")
        with journal:
            safeio.settle(Unreadable(), journal, begun)
            assert len(journal.changes(("begun",))) == 1


HOLD = """
import sys
from camtrail.core.fs import RealFileSystem
with RealFileSystem().lock(sys.argv[1], 5) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


class TestLock:
    @pytest.fixture
    def other(self, tmp_path):
        """Another process that owns a folder of written photos until its standard input ends."""
        fill(tmp_path / "photos", 2)
        assert write(tmp_path) == 0
        state = tmp_path / "photos" / ".camtrail"
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(state / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout.readline().strip() == b"True"
            yield process
            process.stdin.close()

    @pytest.mark.parametrize(
        "command", [functools.partial(write, make="Other"), undone], ids=["write", "undo"]
    )
    def test_held_by_another_process(self, tmp_path, other, command):
        old = files(tmp_path)
        started = time.monotonic()
        assert command(tmp_path) == FolderBusy.exit_code == 9
        assert time.monotonic() - started < 2
        assert files(tmp_path) == old

    @pytest.mark.parametrize(
        "command", [functools.partial(write, make="Other"), undone], ids=["write", "undo"]
    )
    def test_waiting_for_it(self, tmp_path, other, command):
        codes: list[int] = []
        thread = threading.Thread(target=lambda: codes.append(command(tmp_path, wait=True)))
        thread.start()
        thread.join(1.5)
        assert thread.is_alive()
        other.stdin.close()
        thread.join(20)
        assert codes == [0]

    def test_given_back_by_one_that_is_killed(self, tmp_path, other):
        other.kill()
        other.wait()
        assert write(tmp_path) == 0

    def test_a_place_for_it_that_cannot_be_had(self, tmp_path):
        place = RealFileSystem().lock(str(tmp_path / "none" / "lock"), 0)
        with pytest.raises(StorageError, match="cannot be locked"), place:
            pass

    def test_a_disk_without_locks(self, tmp_path, monkeypatch):
        fcntl = pytest.importorskip("fcntl")

        def none(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", none)
        place = RealFileSystem().lock(str(tmp_path / "lock"), 0)
        with pytest.raises(StorageError, match="No locks available") as e, place:
            pass
        assert type(e.value) is StorageError and not isinstance(e.value, CatalogError)


class TestBetweenTheSteps:
    """What happens between planning, writing and undoing."""

    def test_a_file_that_changes_after_it_was_planned(self, tmp_path, monkeypatch):
        fill(tmp_path / "photos", 1)
        path = tmp_path / "photos" / "IMG_0000.jpg"
        other = photo(0, description="what somebody else has written meanwhile")
        replace = safeio.replace

        def later(*args, **more):
            path.write_bytes(other)
            return replace(*args, **more)

        monkeypatch.setattr(safeio, "replace", later)
        assert write(tmp_path) == 3
        assert path.read_bytes() == other

    def test_undo_after_a_write_that_was_killed_before_its_first_row(self, tmp_path):
        fill(tmp_path / "photos", 1)
        with pytest.raises(Killed):
            write(tmp_path, fs=Failing(5))
        assert temporaries(tmp_path / "photos")
        assert undone(tmp_path, all=True) == 0
        assert [p for p in temporaries(tmp_path / "photos") if "/.camtrail/" not in p] == []

    def test_copies_of_a_card_that_was_locked_when_they_were_made(self, tmp_path):
        class Locked(RealFileSystem):
            def make_folder(self, path):
                if path.endswith("/photos/.camtrail"):
                    raise OSError(errno.EROFS, "Read-only file system")
                super().make_folder(path)

        fill(tmp_path / "photos", 1)
        assert write(tmp_path, "copy", fs=Locked()) == 0
        assert (tmp_path / "out" / "IMG_0000.jpg").exists()
        assert write(tmp_path, "copy") == 0
        assert undone(tmp_path, all=True) == 0
        assert not (tmp_path / "out" / "IMG_0000.jpg").exists()
