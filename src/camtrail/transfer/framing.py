"""Answers of HTTP/1.1 as they come over a connection: where a head ends, and how long a body is.

Notes
-----
RFC 9112, read strictly: what could be framed in two ways is no answer. The standard library's reader takes a head
that was cut off for a whole one, and reads to the end of the connection for a chunk of -1 bytes.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Cut", "Garbled", "Head", "Incoming"]

_HEAD_BYTES = 1 << 16
_LINE_BYTES = 1 << 12
_PIECE_BYTES = 1 << 16
_LARGE_BYTES = 1 << 18  # of a body that is so long: fewer pieces, of which each costs system calls elsewhere
_MOST_INTERIM = 16  # answers of 100 and such before the one that counts
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?").fullmatch
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*").fullmatch
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?").fullmatch


class Cut(ConnectionError):
    """The connection ended before the answer did."""


class Garbled(Exception):
    """What came is no HTTP, or could be read in two ways."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer."""

    status: int
    headers: dict[str, str]  # names in lower case; values of a repeated name joined by ", "
    stays: bool  # whether the server keeps the connection open behind it
    length: int | None  # bytes of the body; None where only its end will tell
    chunked: bool


class Incoming:
    """What comes over one connection, answer by answer."""

    __slots__ = ("_data", "_sock", "received_bytes")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = bytearray()
        self.received_bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether all that came was taken."""
        return not self._data

    def head(self, method: str) -> Head:
        """The head of the answer to a request with that method.

        Raises
        ------
        Cut, Garbled, OSError
            There is none.
        """
        for _ in range(_MOST_INTERIM):
            head = _head(self._until(b"\r\n\r\n", _HEAD_BYTES), method)
            if head.status >= 200 or head.status == 101:
                return head
        raise Garbled("it never comes to its answer")

    def body(self, head: Head) -> Iterator[bytes]:
        """The body that belongs to a head, in pieces as they come. Raises as `head` does."""
        if head.chunked:
            return self._chunks()
        return self._rest() if head.length is None else self._exactly(head.length)

    def _received(self, most_bytes: int) -> bytes:
        data = self._sock.recv(most_bytes)
        self.received_bytes += len(data)
        return data

    def _fill(self) -> bool:
        data = self._received(_PIECE_BYTES)
        self._data += data
        return bool(data)

    def _until(self, mark: bytes, most_bytes: int) -> bytes:
        """What stands before a mark, which is passed over."""
        start = 0
        while (at := self._data.find(mark, start)) < 0:
            if len(self._data) > most_bytes:
                break
            start = max(0, len(self._data) - len(mark) + 1)
            if not self._fill():
                raise Cut("it hung up before its answer was whole")
        if not 0 <= at <= most_bytes:
            raise Garbled("its answer has too long a head")
        taken = bytes(self._data[:at])
        del self._data[: at + len(mark)]
        return taken

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count:
            if self._data:
                piece = bytes(self._data[:count])
                del self._data[:count]
            else:
                # Not copied through the buffer; one byte more than there should be shows that there is more.
                piece = self._received(min(count + 1, _LARGE_BYTES))
                if not piece:
                    raise Cut("it hung up before its answer was whole")
                self._data += piece[count:]
                piece = piece[:count]
            count -= len(piece)
            yield piece

    def _rest(self) -> Iterator[bytes]:
        while self._data or self._fill():
            piece = bytes(self._data)
            self._data.clear()
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = _CHUNK(self._until(b"\r\n", _LINE_BYTES))
            if size is None:
                raise Garbled("its answer has a chunk without a size")
            if (count := int(size[1], 16)) == 0:
                break
            yield from self._exactly(count)
            if self._until(b"\r\n", _LINE_BYTES):
                raise Garbled("its answer has a chunk without an end")
        left = _HEAD_BYTES
        while line := self._until(b"\r\n", _LINE_BYTES):  # trailers
            left -= len(line)
            if left < 0:
                raise Garbled("its answer has too long a tail")


def _head(data: bytes, method: str) -> Head:
    first, *lines = data.split(b"\r\n")
    status_line = _STATUS(first)
    if status_line is None:
        raise Garbled("it does not speak HTTP")
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD(line)
        if field is None:
            raise Garbled("its answer has a header that is none")
        name, value = field[1].decode("ascii").lower(), field[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    status = int(status_line[2])
    asked_to_close = "close" in headers.get("connection", "").lower()
    stays = status_line[1] == b"1" and not asked_to_close and status != 101
    if method == "HEAD" or status < 200 or status in (204, 304):
        return Head(status, headers, stays, 0, False)
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
            raise Garbled("its answer has no clear length")
        return Head(status, headers, stays, None, True)
    length = headers.get("content-length")
    if length is None:
        return Head(status, headers, False, None, False)
    if not _LENGTH(length):
        raise Garbled("its answer has no clear length")
    return Head(status, headers, stays, int(length), False)
