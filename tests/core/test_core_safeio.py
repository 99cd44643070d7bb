"""A file is replaced as a whole or not at all, whatever the disk does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import StorageError
from camtrail.core.fs import RealFileSystem
from camtrail.metadata.safeio import make_private, put

OLD, NEW = b"old" * 1000, [b"new" * 1000, b"", b"er" * 5000]
WHOLE = b"".join(NEW)


class _FailingFile:
    def __init__(self, fs, file):
        self._fs, self._file = fs, file

    def write(self, data):
        self._fs.count("write", lambda: self._file.write(data[: len(data) // 2]))
        self._file.write(data)

    def sync(self):
        self._fs.count("sync")
        self._file.sync()

    def close(self):
        self._file.close()  # the number of the file is given back even then
        self._fs.count("close")


class Failing(RealFileSystem):
    """The machine's file system, whose k-th changing call fails, and every later one where it stays broken."""

    def __init__(self, k, number, stays=False):
        self.k, self.number, self.stays = k, number, stays
        self.calls: list[str] = []

    def count(self, call, halfway=lambda: None):
        self.calls.append(call)
        if len(self.calls) == self.k or (self.stays and len(self.calls) > self.k):
            halfway()
            raise OSError(self.number, os.strerror(self.number))

    def create(self, path, private=False):
        self.count("create")
        return _FailingFile(self, super().create(path, private))

    def rename(self, old, new):
        self.count("rename")
        super().rename(old, new)

    def remove(self, path):
        self.count("remove")
        super().remove(path)

    def sync_folder(self, path):
        self.count("sync_folder")
        super().sync_folder(path)


CALLS = ["remove", "create", "write", "write", "write", "sync", "close", "rename", "sync_folder"]


def test_a_run_without_faults_makes_these_calls(tmp_path):
    fs = Failing(0, 0)
    put(fs, str(tmp_path / "page.html"), NEW)
    assert fs.calls == CALLS


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("k", range(1, len(CALLS) + 2))
def test_whichever_call_fails_the_file_is_whole_and_nothing_is_left_over(tmp_path, k, number, there):
    file = tmp_path / "page\n.html"
    if there:
        file.write_bytes(OLD)
    fs = Failing(k, number)
    if k > len(CALLS):
        put(fs, str(file), NEW)
        assert file.read_bytes() == WHOLE
    else:
        with pytest.raises(StorageError) as e:
            put(fs, str(file), NEW)
        replaced = CALLS[k - 1] == "sync_folder"
        assert (file.read_bytes() if file.exists() else None) == (
            WHOLE if replaced else OLD if there else None
        )
        assert type(e.value) is StorageError and e.value.exit_code == 7
        assert "page\\x0a.html" in e.value.message and e.value.hint and "\n" not in str(e.value)
        assert ("the disk is full" in e.value.message) == (number == errno.ENOSPC and not replaced)
        assert ("is written" in e.value.message) == replaced
    assert {p.name for p in tmp_path.iterdir()} <= {file.name}
    put(RealFileSystem(), str(file), NEW)  # the same again is the recovery
    assert file.read_bytes() == WHOLE


@pytest.mark.parametrize("k", range(1, len(CALLS) + 1))
def test_a_disk_that_stays_broken_loses_nothing_either(tmp_path, k):
    file = tmp_path / "page.html"
    file.write_bytes(OLD)
    with pytest.raises(StorageError):
        put(Failing(k, errno.EIO, stays=True), str(file), NEW)
    assert file.read_bytes() == (WHOLE if CALLS[k - 1] == "sync_folder" else OLD)
    put(RealFileSystem(), str(file), NEW)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert file.read_bytes() == WHOLE


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyboardInterrupt()])
def test_what_makes_the_bytes_may_fail_too(tmp_path, error):
    def chunks():
        yield b"some"
        raise error

    file = tmp_path / "page.html"
    file.write_bytes(OLD)
    with pytest.raises(type(error)):
        put(RealFileSystem(), str(file), chunks())
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert file.read_bytes() == OLD


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_all_chunks_in_their_order(tmp_path_factory, chunks):
    file = tmp_path_factory.mktemp("put") / "out"
    put(RealFileSystem(), str(file), iter(chunks))
    assert file.read_bytes() == b"".join(chunks)


def test_what_a_killed_run_left_is_no_obstacle(tmp_path):
    left = tmp_path / f".camtrail-{os.getpid()}-out.partial"
    left.write_bytes(b"half")
    put(RealFileSystem(), str(tmp_path / "out"), [b"all"])
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(RealFileSystem(), "out", [b"x"])
    assert (tmp_path / "out").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "message"),
    [("none/out", "none/out: its folder is not there; make the folder"), (".", "is a folder")],
)
def test_places_that_cannot_be_written(tmp_path: Path, name, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").touch()
    with pytest.raises(StorageError, match=message):
        put(RealFileSystem(), "folder" if name == "." else name, [b"x"])
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["n" * 255, "写" * 85])
def test_the_longest_names_that_a_folder_takes(tmp_path, name):
    file = tmp_path / name
    try:
        file.touch()
    except OSError:
        pytest.skip("this file system takes shorter ones only")
    put(RealFileSystem(), str(file), [b"x"])
    assert file.read_bytes() == b"x"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_private_file_is_for_its_owner_whatever_was_there(tmp_path, umask):
    file = tmp_path / "token"
    file.touch()
    file.chmod(0o666)
    before = os.umask(umask)
    try:
        for name in ("token", "new"):
            put(RealFileSystem(), str(tmp_path / name), [b"x"], private=True)
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_rights_of_others_are_taken_away(tmp_path):
    file = tmp_path / "token"
    file.touch()
    file.chmod(0o644)
    make_private(RealFileSystem(), str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StorageError, match="gone"):
        make_private(RealFileSystem(), str(tmp_path / "gone"))
