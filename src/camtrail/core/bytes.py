"""Where bytes come from: a file, memory, later a bucket. Readers take one of these, never only a path."""

from __future__ import annotations

import os
from typing import Protocol

from camtrail.core.errors import UnreadableFile

__all__ = ["ByteSource", "FileBytes", "MemoryBytes", "SplicedBytes", "unreadable"]

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_PREAD = getattr(os, "pread", None)  # Windows has none
_MUCH_BYTES = 1 << 24  # a read that reaches farther is cut to the file first: damaged files claim 64 bits


class ByteSource(Protocol):
    """Bytes that can be read anywhere."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def size(self) -> int:
        """Bytes in all. Raises UnreadableFile."""
        ...

    def read_at(self, offset: int, n: int) -> bytes:
        """At most `n` bytes from `offset`; fewer only at the end. Raises UnreadableFile."""
        ...


def unreadable(name: str, error: OSError) -> UnreadableFile:
    """The one translation of what an operating system says when it does not give a file's bytes."""
    if isinstance(error, FileNotFoundError):
        return UnreadableFile(name, "is not there", "check the name", retryable=True)
    if isinstance(error, PermissionError):
        return UnreadableFile(
            name, "may not be read", "give yourself the right to read it and run again", retryable=True
        )
    if isinstance(error, IsADirectoryError):
        return UnreadableFile(name, "is a folder", "name a file")
    reason = error.strerror or type(error).__name__
    return UnreadableFile(
        name, f"cannot be read ({reason})", "check the disk or the connection and run again", retryable=True
    )


class MemoryBytes:
    """Bytes in memory."""

    __slots__ = ("_data", "name", "size")

    def __init__(self, data: bytes, name: str = "<memory>") -> None:
        self.name = name
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, n: int) -> bytes:
        """At most `n` bytes from `offset`."""
        return self._data[offset : offset + n]


class SplicedBytes:
    """Other bytes at the front of a source: `head`, then the source from `tail_at` on."""

    __slots__ = ("_head", "_tail_at", "inner", "name")

    def __init__(self, inner: ByteSource, head: bytes, tail_at: int) -> None:
        self.name = inner.name
        self.inner = inner
        self._head = head
        self._tail_at = tail_at

    @property
    def size(self) -> int:
        """Bytes in all. Raises UnreadableFile."""
        return len(self._head) + self.inner.size - self._tail_at

    def inner_offset(self, offset: int) -> int:
        """Where the source has the byte at an offset that lies behind the head."""
        if offset < len(self._head):
            raise ValueError("the offset lies in the head")
        return offset - len(self._head) + self._tail_at

    def read_at(self, offset: int, n: int) -> bytes:
        """At most `n` bytes from `offset`; fewer only at the end. Raises UnreadableFile."""
        data = self._head[offset : offset + n]
        if len(data) < n:
            start = max(offset, len(self._head))
            data += self.inner.read_at(self.inner_offset(start), n - len(data))
        return data


class FileBytes:
    """Bytes of a local file. Opens at the first read; close it, or use it in a `with`."""

    __slots__ = ("_fd", "_size", "name")

    def __init__(self, name: str, size: int = -1) -> None:
        self.name = name
        self._fd = -1
        self._size = size

    @property
    def size(self) -> int:
        """Bytes in all. Raises UnreadableFile."""
        if self._size < 0:
            try:
                self._size = os.stat(self.name).st_size
            except (OSError, ValueError) as e:
                raise _translated(self.name, e) from e
        return self._size

    def read_at(self, offset: int, n: int) -> bytes:
        """At most `n` bytes from `offset`; fewer only at the end. Raises UnreadableFile."""
        try:
            if self._fd < 0:
                self._fd = os.open(self.name, _READ)
            if offset + n > _MUCH_BYTES:
                n = min(n, os.fstat(self._fd).st_size - offset)
                if n <= 0:
                    return b""
            data: bytes = _PREAD(self._fd, n, offset) if _PREAD else self._seek_read(offset, n)
            if len(data) < n and data:
                data = self._rest(data, offset, n)
            return data
        except (OSError, ValueError) as e:
            raise _translated(self.name, e) from e

    def _seek_read(self, offset: int, n: int) -> bytes:
        os.lseek(self._fd, offset, os.SEEK_SET)
        return os.read(self._fd, n)

    def _rest(self, data: bytes, offset: int, n: int) -> bytes:
        # A read may come back short before the end on network drives.
        while len(data) < n:
            more: bytes = (
                _PREAD(self._fd, n - len(data), offset + len(data))
                if _PREAD
                else self._seek_read(offset + len(data), n - len(data))
            )
            if not more:
                break
            data += more
        return data

    def close(self) -> None:
        """Gives the file back; reading again opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> FileBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _translated(name: str, error: OSError | ValueError) -> UnreadableFile:
    if isinstance(error, OSError):
        return unreadable(name, error)
    return UnreadableFile(name, "has a name that no file can have", "check the name")
