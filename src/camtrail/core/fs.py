"""The file system as a value: the real one here; tests hand in one that fails, delays or counts.

It hands out byte sources and plain values only, so that another one can stand in for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from camtrail.core.bytes import ByteSource, FileBytes, unreadable
from camtrail.core.errors import StorageError, UnreadableFile
from camtrail.core.names import shown

__all__ = ["Access", "Entry", "FileSystem", "NewFile", "RealFileSystem", "Status"]

# What network drives and FUSE say of a folder; PostgreSQL passes over the same (fsync_fname_ext).
_CANNOT_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS)


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    path: str
    kind: str  # "file", "folder", "link" (a symbolic link to a folder), "broken" (one to nothing), "other"
    size_bytes: int
    mtime_ns: int


class Status(NamedTuple):
    """What tells whether a file is still the same, and whether it may be replaced."""

    kind: str  # as of Entry
    size_bytes: int
    mtime_ns: int
    inode: int
    links: int  # names that the file has
    is_read_only: bool  # its owner may not write it


class Access(NamedTuple):
    """Who may get at a file or folder. Both are True where the system keeps no such modes (Windows)."""

    is_ours: bool  # it belongs to who runs this
    is_private: bool  # nobody but its owner may read, write or enter it


class NewFile(Protocol):
    """A file being written."""

    def write(self, data: bytes) -> None:
        """All of the bytes. Raises OSError."""
        ...

    def reserve(self, n: int) -> None:
        """Takes the room for `n` bytes at once, where the file system can. Raises OSError where it is full."""
        ...

    def copy_from(self, path: str, offset: int, n: int) -> None:
        """`n` bytes of another file, by the kernel where it can. Raises OSError, also where it ends before."""
        ...

    def sync(self) -> None:
        """Returns when the bytes are durable. Raises OSError."""
        ...

    def close(self) -> None:
        """Gives the file back."""
        ...


class FileSystem(Protocol):
    """What camtrail asks of a file system."""

    def entries(self, folder: str) -> list[Entry]:
        """What lies in a folder, sorted by the bytes of the name. Raises UnreadableFile."""
        ...

    def entry(self, path: str) -> Entry:
        """One path, links followed. Raises UnreadableFile."""
        ...

    def source(self, path: str, size: int = -1) -> AbstractContextManager[ByteSource]:
        """The bytes of a file; nothing is opened before the first read."""
        ...

    def make_folder(self, path: str, private: bool = False) -> None:
        """Makes a folder, durably; one that is there already is fine and stays as it is. Raises OSError.

        Readable as usual, or, with all folders made on the way, only by its owner.
        """
        ...

    def real(self, path: str) -> str:
        """The absolute path with all links resolved, `/` between folders."""
        ...

    def matching(self, pattern: str) -> list[str]:
        """Files that a pattern with `*`, `?`, `[…]` or `**` names, sorted."""
        ...

    def is_writable_folder(self, path: str) -> bool:
        """Whether a folder is there in which files can be made."""
        ...

    def is_writable_file(self, path: str) -> bool:
        """Whether a file may be written; True where there is none."""
        ...

    def open_device(self, path: str) -> NewFile:
        """Something that is there and is no ordinary file (a pipe, a device), for writing. Raises OSError."""
        ...

    def create(self, path: str, private: bool = False) -> NewFile:
        """A new, empty file for writing; none may be there. Raises OSError.

        Readable as usual, or, from its first instant on, only by its owner.
        """
        ...

    def open_end(self, path: str) -> NewFile:
        """An ordinary file that is there, no link, for writing behind what it has. Raises OSError."""
        ...

    def access(self, path: str) -> Access:
        """Who may get at a path, links followed. Raises OSError."""
        ...

    def make_private(self, path: str) -> None:
        """Takes the rights of everybody but the owner away. Raises OSError."""
        ...

    def status(self, path: str) -> Status:
        """Of a path, links not followed. Raises OSError."""
        ...

    def keep_attributes(self, old: str, new: str, *, mtime: bool) -> None:
        """Gives a new file the mode, owner, extended attributes and perhaps mtime of an old one. Raises OSError."""
        ...

    def lock(self, path: str, wait_s: float) -> AbstractContextManager[bool]:
        """Holds a lock file while the block runs; False where another process has it after so many seconds.

        Raises StorageError where it cannot be made, or where this disk has no locks.
        """
        ...

    def rename(self, old: str, new: str) -> None:
        """Gives a file another name at once, in place of what had it. Raises OSError."""
        ...

    def remove(self, path: str) -> None:
        """Takes a file away; one that is not there is fine. Raises OSError."""
        ...

    def set_mtime(self, path: str, mtime_ns: int) -> None:
        """Sets when a file was changed. Raises OSError."""
        ...

    def sync_file(self, path: str) -> None:
        """Makes a file's bytes durable. Raises OSError."""
        ...

    def sync_folder(self, path: str) -> None:
        """Makes the names in a folder durable, where the system can. Raises OSError."""
        ...


class RealFileSystem:
    """The machine's own file system."""

    def entries(self, folder: str) -> list[Entry]:
        """What lies in a folder, sorted by the bytes of the name. Raises UnreadableFile."""
        try:
            with os.scandir(folder) as found:
                # `path` is joined here with `/`: one form of a name on every system.
                join = folder if folder.endswith("/") else folder + "/"
                made = [_entry(e, join + e.name) for e in found]
        except (OSError, ValueError) as e:
            raise _translated(folder, e) from e
        made.sort(key=_bytes_of_name)
        return made

    def entry(self, path: str) -> Entry:
        """One path, links followed. Raises UnreadableFile."""
        try:
            st = os.stat(path)
        except (OSError, ValueError) as e:
            raise _translated(path, e) from e
        return Entry(os.path.basename(path), path, _kind(st.st_mode), st.st_size, st.st_mtime_ns)

    def source(self, path: str, size: int = -1) -> FileBytes:
        """The bytes of a file; nothing is opened before the first read."""
        return FileBytes(path, size)

    def make_folder(self, path: str, private: bool = False) -> None:
        """Makes a folder, durably; one that is there already is fine and stays as it is. Raises OSError.

        Readable as usual, or, with all folders made on the way, only by its owner.
        """
        missing: list[str] = []
        above = os.path.abspath(path)
        while not os.path.isdir(above) and os.path.dirname(above) != above:
            missing.append(above)
            above = os.path.dirname(above)
        if private:
            for folder in reversed(missing):
                with contextlib.suppress(FileExistsError):  # another run made it in this instant
                    os.mkdir(folder, 0o700)
                    # The umask takes rights away, even the owner's. A disk without modes gave none to others.
                    with contextlib.suppress(PermissionError):
                        os.chmod(folder, 0o700)
        os.makedirs(path, exist_ok=True)
        for folder in missing:
            self.sync_folder(os.path.dirname(folder))

    def real(self, path: str) -> str:
        """The absolute path with all links resolved, `/` between folders."""
        whole = os.path.realpath(path)
        return whole.replace("\\", "/") if os.name == "nt" else whole

    def matching(self, pattern: str) -> list[str]:
        """Files that a pattern with `*`, `?`, `[…]` or `**` names, sorted."""
        import glob  # costs start-up, and few need it

        return sorted(f for f in glob.glob(pattern, recursive=True) if os.path.isfile(f))

    def is_writable_file(self, path: str) -> bool:
        """Whether a file may be written; True where there is none."""
        return not os.path.exists(path) or os.access(path, os.W_OK)

    def open_device(self, path: str) -> NewFile:
        """Something that is there and is no ordinary file (a pipe, a device), for writing. Raises OSError."""
        return _RealNewFile(os.open(path, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)))

    def is_writable_folder(self, path: str) -> bool:
        """Whether a folder is there in which files can be made."""
        return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)

    def create(self, path: str, private: bool = False) -> NewFile:
        """A new, empty file for writing; none may be there. Raises OSError.

        Readable as usual, or, from its first instant on, only by its owner.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600 if private else 0o666)
        if private and hasattr(os, "fchmod"):
            with contextlib.suppress(PermissionError):  # as in make_folder
                os.fchmod(fd, 0o600)
        return _RealNewFile(fd)

    def open_end(self, path: str) -> NewFile:
        """An ordinary file that is there, no link, for writing behind what it has. Raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "no ordinary file")
        return _RealNewFile(fd)

    def access(self, path: str) -> Access:
        """Who may get at a path, links followed. Raises OSError."""
        st = os.stat(path)
        if not hasattr(os, "geteuid"):
            return Access(True, True)
        return Access(st.st_uid == os.geteuid(), not st.st_mode & 0o077)

    def make_private(self, path: str) -> None:
        """Takes the rights of everybody but the owner away. Raises OSError."""
        if os.name != "nt":  # there chmod knows nothing but the read-only mark
            os.chmod(path, os.stat(path).st_mode & 0o700)

    def status(self, path: str) -> Status:
        """Of a path, links not followed. Raises OSError."""
        st = os.lstat(path)
        kind = "link" if stat.S_ISLNK(st.st_mode) else _kind(st.st_mode)
        return Status(kind, st.st_size, st.st_mtime_ns, st.st_ino, st.st_nlink, not st.st_mode & stat.S_IWUSR)

    def keep_attributes(self, old: str, new: str, *, mtime: bool) -> None:
        """Gives a new file the mode, owner, extended attributes and perhaps mtime of an old one. Raises OSError."""
        import shutil  # costs start-up, and only writing needs it

        st = os.stat(old)
        if hasattr(os, "chown") and (st.st_uid, st.st_gid) != (os.stat(new).st_uid, os.stat(new).st_gid):
            with contextlib.suppress(
                PermissionError
            ):  # somebody else's file: it becomes ours, as with any editor
                os.chown(new, st.st_uid, st.st_gid)
        shutil.copystat(old, new)
        if not mtime:
            os.utime(new)

    @contextlib.contextmanager
    def lock(self, path: str, wait_s: float) -> Iterator[bool]:
        """Holds a lock file while the block runs; False where another process has it after so many seconds.

        Raises StorageError where it cannot be made, or where this disk has no locks.
        """
        fd = -1
        try:
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
                until = time.monotonic() + wait_s
                while not (held := _locked(fd)) and time.monotonic() < until:
                    time.sleep(0.05)
            except OSError as e:
                raise StorageError(
                    f"{shown(path)}: cannot be locked ({e.strerror or type(e).__name__})",
                    "free some space, or give --state-dir DIR on another disk",
                ) from e
            yield held
        finally:
            if fd >= 0:
                with contextlib.suppress(OSError):  # nothing was written into it
                    os.close(fd)  # gives the lock back

    def rename(self, old: str, new: str) -> None:
        """Gives a file another name at once, in place of what had it. Raises OSError."""
        os.replace(old, new)

    def remove(self, path: str) -> None:
        """Takes a file away; one that is not there is fine. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def set_mtime(self, path: str, mtime_ns: int) -> None:
        """Sets when a file was changed. Raises OSError."""
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def sync_file(self, path: str) -> None:
        """Makes a file's bytes durable. Raises OSError."""
        # Windows wants a file that is open for writing; a read-only one cannot be opened so.
        flags = (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | getattr(os, "O_BINARY", 0)
        fd = os.open(path, flags)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_folder(self, path: str) -> None:
        """Makes the names in a folder durable. Windows has no such call: its rename is journalled."""
        if os.name == "nt":
            return
        try:
            fd = os.open(path or ".", os.O_RDONLY)
        except PermissionError:  # a folder that may be written and not listed
            return
        try:
            os.fsync(fd)
        except OSError as e:
            if e.errno not in _CANNOT_SYNC:
                raise
        finally:
            os.close(fd)


class _RealNewFile:
    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        """All of the bytes. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def reserve(self, n: int) -> None:
        """Takes the room for `n` bytes at once, where the file system can. Raises OSError where it is full."""
        _reserve(self._fd, n)

    def copy_from(self, path: str, offset: int, n: int) -> None:
        """`n` bytes of another file, by the kernel where it can. Raises OSError, also where it ends before."""
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            end = offset + n
            offset = _kernel_copy(fd, self._fd, offset, end)
            os.lseek(fd, offset, os.SEEK_SET)
            while offset < end:
                data = os.read(fd, min(1 << 20, end - offset))
                if not data:
                    raise OSError(errno.EIO, "it became shorter while it was read")
                self.write(data)
                offset += len(data)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Returns when the bytes are durable. Raises OSError."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._fd)


def _translated(path: str, error: OSError | ValueError) -> UnreadableFile:
    # No file has a name with a NUL in it, which is a ValueError.
    return unreadable(path, error if isinstance(error, OSError) else FileNotFoundError())


def _reserve(fd: int, n: int) -> None:
    """Takes the room for `n` bytes at once, where the file system can by itself. Raises OSError where it is full.

    Blocks that are taken need not be found when the file gets its name, which costs 2 ms for 3 MB on ext4; a
    full disk is noticed before the copy. Python's posix_fallocate writes zeros where the file system cannot.
    """
    if n <= 0 or not sys.platform.startswith("linux"):
        return
    global _fallocate
    if _fallocate is None:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
        if call is not None:
            call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)
        _fallocate = (call, ctypes.get_errno)
    call, get_errno = _fallocate
    if call is not None and call(fd, 0, 0, n) != 0 and get_errno() in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(get_errno(), os.strerror(get_errno()))


_fallocate: tuple[Any, Any] | None = None  # the C library's, once it is asked for


def _kernel_copy(source: int, target: int, offset: int, end: int) -> int:
    """Copies without going through this process where the system can; returns how far it came."""
    copy = getattr(os, "copy_file_range", None)
    while copy is not None and offset < end:
        try:
            done = copy(source, target, end - offset, offset)
        except OSError as e:
            if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
                raise
            break  # another file system, or one that cannot
        if not done:
            break
        offset += done
    return offset


def _locked(fd: int) -> bool:
    """Takes the lock of an open file if nobody has it. Raises OSError where there are no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            getattr(msvcrt, "locking")(fd, getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009 - not there elsewhere
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise
        return False
    return True


def _bytes_of_name(e: Entry) -> bytes:
    return os.fsencode(e.name)


def _kind(mode: int) -> str:
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def _entry(e: os.DirEntry[str], path: str) -> Entry:
    if e.is_dir(follow_symlinks=False):
        return Entry(e.name, path, "folder", 0, 0)
    try:
        st = e.stat()
    except OSError:  # a link to nothing, to itself, or a file that went away
        return Entry(e.name, path, "broken", 0, 0)
    if stat.S_ISDIR(st.st_mode):
        return Entry(e.name, path, "link", 0, 0)
    return Entry(e.name, path, _kind(st.st_mode), st.st_size, st.st_mtime_ns)
