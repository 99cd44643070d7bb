"""The machine's file system, as plain values."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import UnreadableFile
from camtrail.core.fs import Entry, RealFileSystem

FS = RealFileSystem()
posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX system")


def test_kinds(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    os.utime(tmp_path / "file", ns=(5, 1_234_567_890_123_456_789 // 100 * 100))
    (tmp_path / "folder").mkdir()
    expected = {"file": ("file", 3), "folder": ("folder", 0)}
    try:
        (tmp_path / "to_file").symlink_to("file")
        (tmp_path / "to_folder").symlink_to("folder")
        (tmp_path / "dangling").symlink_to("nothing")
        (tmp_path / "loop").symlink_to("loop")
        expected |= {
            "to_file": ("file", 3), "to_folder": ("link", 0), "dangling": ("broken", 0), "loop": ("broken", 0)
        }  # fmt: skip
    except OSError:  # Windows without the right to make links
        assert os.name == "nt"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        expected["pipe"] = ("other", 0)
    found = FS.entries(str(tmp_path))
    assert {e.name: (e.kind, e.size_bytes) for e in found} == expected
    assert all(e.path == f"{tmp_path}/{e.name}" for e in found)
    (file,) = (e for e in found if e.name == "file")
    assert file.mtime_ns == os.stat(tmp_path / "file").st_mtime_ns
    for e in found:
        if e.kind in ("file", "other"):
            assert FS.entry(e.path) == e
    assert FS.entry(str(tmp_path / "folder")).kind == "folder"


@posix
def test_one_entry_follows_links(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "to_folder").symlink_to("folder")
    (tmp_path / "loop").symlink_to("loop")
    assert FS.entry(str(tmp_path / "to_folder")).kind == "folder"
    with pytest.raises(UnreadableFile, match="cannot be read"):
        FS.entry(str(tmp_path / "loop"))


@posix
@given(
    st.sets(
        st.binary(min_size=1, max_size=20).filter(lambda b: b not in (b".", b"..") and not {0, 47} & set(b))
    )
)
def test_any_name_is_found_again_in_the_order_of_its_bytes(tmp_path_factory, names):
    folder = os.fsencode(tmp_path_factory.mktemp("any"))
    for name in names:
        with open(folder + b"/" + name, "wb") as f:
            f.write(name)
    found = FS.entries(os.fsdecode(folder))
    assert [os.fsencode(e.name) for e in found] == sorted(names)
    for e in found:
        with FS.source(e.path, e.size_bytes) as source:
            assert source.read_at(0, 100) == os.fsencode(e.name)


def test_a_folder_with_a_slash_at_its_end(tmp_path):
    (tmp_path / "a").touch()
    assert [e.path for e in FS.entries(f"{tmp_path}/")] == [f"{tmp_path}/a"]


@pytest.mark.parametrize("ask", [FS.entries, FS.entry])
@pytest.mark.parametrize("name", ["gone", "a\0b"])
def test_what_is_not_there(ask, name, tmp_path):
    with pytest.raises(UnreadableFile, match=r"is not there|no file can have"):
        ask(f"{tmp_path}/{name}")


def test_entries_of_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnreadableFile):
        FS.entries(str(tmp_path / "file"))


def test_a_folder_that_may_not_be_read(monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UnreadableFile, match="may not be read"):
        FS.entries("somewhere")


def test_a_file_that_goes_away_while_its_folder_is_listed(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    real = os.scandir

    class Gone:
        name = "a"

        def is_dir(self, follow_symlinks=True):
            return False

        def stat(self):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    class Listing:
        def __enter__(self):
            return iter([Gone()])

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", lambda _: Listing())
    assert FS.entries("x") == [Entry("a", "x/a", "broken", 0, 0)]
    monkeypatch.setattr(os, "scandir", real)


def test_create_writes_everything_and_refuses_what_is_there(tmp_path):
    path = str(tmp_path / "new")
    out = FS.create(path)
    out.write(b"abc" * 100_000)
    out.write(b"")
    out.sync()
    out.close()
    with open(path, "rb") as f:
        assert f.read() == b"abc" * 100_000
    with pytest.raises(FileExistsError):
        FS.create(path)


@posix
def test_create_follows_no_link(tmp_path):
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(FileExistsError):
        FS.create(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()


@posix
def test_a_write_that_takes_only_a_part_goes_on(tmp_path, monkeypatch):
    out = FS.create(str(tmp_path / "new"))
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    out.write(b"0123456789" * 5)
    monkeypatch.undo()
    out.close()
    assert (tmp_path / "new").read_bytes() == b"0123456789" * 5


def test_rename_remove_and_folders(tmp_path):
    (tmp_path / "old").write_text("new")
    (tmp_path / "there").write_text("old")
    FS.rename(str(tmp_path / "old"), str(tmp_path / "there"))
    assert (tmp_path / "there").read_text() == "new" and not (tmp_path / "old").exists()
    FS.remove(str(tmp_path / "there"))
    FS.remove(str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()
    FS.make_folder(str(tmp_path / "a" / "b"))
    FS.make_folder(str(tmp_path / "a" / "b"))
    assert FS.is_writable_folder(str(tmp_path / "a" / "b"))
    assert not FS.is_writable_folder(str(tmp_path / "none"))
    (tmp_path / "file").touch()
    assert not FS.is_writable_folder(str(tmp_path / "file"))


@posix
def test_names_are_made_durable_where_the_system_can(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    FS.sync_folder(str(tmp_path))
    assert synced == [os.stat(tmp_path).st_ino]
    monkeypatch.chdir(tmp_path)
    FS.sync_folder("")
    assert synced == [os.stat(tmp_path).st_ino] * 2


@posix
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_syncs_no_folders_is_no_error(tmp_path, monkeypatch, number):
    def refuse(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    FS.sync_folder(str(tmp_path))


@posix
def test_a_folder_that_may_be_written_but_not_listed_is_no_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    FS.sync_folder(str(tmp_path))


@posix
def test_a_disk_that_fails_to_sync_is_an_error(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        FS.sync_folder(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        FS.sync_folder(str(tmp_path / "gone"))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="has no such sockets")
def test_a_socket_is_no_photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # their names must be short
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("sock")
        assert FS.entry("sock").kind == "other"


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_what_is_private_is_so_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        FS.make_folder(str(tmp_path / "a" / "b"), private=True)
        out = FS.create(str(tmp_path / "a" / "b" / "token"), private=True)
        out.write(b"secret")
        out.close()
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/token")]
    assert modes == [0o700, 0o700, 0o600]
    for name in ("a", "a/b", "a/b/token"):
        assert FS.access(str(tmp_path / name)) == (True, True)


@posix
def test_a_folder_that_is_there_keeps_its_mode(tmp_path):
    (tmp_path / "a").mkdir(mode=0o755)
    FS.make_folder(str(tmp_path / "a" / "b"), private=True)
    FS.make_folder(str(tmp_path / "a"), private=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@posix
@given(st.integers(0, 0o777))
def test_making_private_takes_rights_and_gives_none(tmp_path_factory, mode):
    file = tmp_path_factory.mktemp("mode") / "file"
    file.touch()
    file.chmod(mode)
    assert FS.access(str(file)).is_private == (mode & 0o077 == 0)
    FS.make_private(str(file))
    assert file.stat().st_mode & 0o777 == mode & 0o700
    assert FS.access(str(file)) == (True, True)


@posix
def test_what_belongs_to_somebody_else(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "file").stat().st_uid + 1)
    assert not FS.access(str(tmp_path / "link")).is_ours
    with pytest.raises(FileNotFoundError):
        FS.access(str(tmp_path / "gone"))


@posix
def test_a_disk_that_knows_no_modes_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    FS.make_folder(str(tmp_path / "a"), private=True)
    FS.create(str(tmp_path / "a" / "file"), private=True).close()
    assert (tmp_path / "a" / "file").exists()
