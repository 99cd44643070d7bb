"""One connection: made by urllib3, filled with requests, and watched for progress while it works."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import urllib3.connection
from urllib3.util.wait import wait_for_read, wait_for_socket

from camtrail.core.errors import SafetyRefusal
from camtrail.core.names import shown
from camtrail.transfer.framing import Incoming

__all__ = ["Admits", "Body", "Line", "Watchdog"]

Admits = Callable[[str], bool]
"""Whether a numeric address may be spoken with."""

_SLICE_BYTES = 1 << 16  # what a TLS socket is given at once: what was sent is counted behind each
_SMALL_BYTES = 1 << 16  # a piece up to this goes out together with what frames it
_TICKS = 8  # how often the watchdog looks in the time that a line may stall
# Linux: where struct tcp_info has the bytes that the other side acknowledged and those that came from it.
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_ACKED_AND_RECEIVED = struct.Struct("=QQ")
_ACKED_AT = 120


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body that is made while it is sent.

    Attributes
    ----------
    size : bytes in all
    chunks : gives them from the beginning each time it is called; pieces of some 1 MiB are sent fastest
    chunked : sent with Transfer-Encoding: chunked in place of Content-Length
    """

    size: int
    chunks: Callable[[], Iterator[bytes | memoryview]]
    chunked: bool = False


class _Early(Exception):
    """The server spoke, or hung up, before the whole body was sent."""


class _Tapped:
    """Mixed into urllib3's connections: a second handle of the socket, made before TLS takes the first."""

    tap: socket.socket | None = None
    admits: Admits | None = None

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            # Judged here and not by the name: what a name stands for may change with every question.
            if self.admits is not None and not self.admits(address := sock.getpeername()[0]):
                host = shown(getattr(self, "host", ""))[:200]
                raise SafetyRefusal(
                    f"{host} is at {address}, where no service has reason to point; nothing was asked there"
                )
            self.tap = sock.dup()
        except BaseException:
            sock.close()
            raise
        return sock


class _Plain(_Tapped, urllib3.connection.HTTPConnection):
    pass


class _Tls(_Tapped, urllib3.connection.HTTPSConnection):
    pass


class Line:
    """A connection to a host, of use for one request after the other.

    Parameters
    ----------
    trust : what TLS is judged by; None for a connection without
    admits : asked about the address that the host turned out to have; None for any. Where it says no, nothing is
        sent, and SafetyRefusal raised
    """

    __slots__ = (
        "_connection",
        "_mark",
        "_received_bytes",
        "_sent_bytes",
        "_since",
        "_sock",
        "idle_since_s",
        "incoming",
        "is_overdue",
    )

    def __init__(
        self,
        host: str,
        port: int,
        connect_s: float,
        trust: ssl.SSLContext | None,
        admits: Admits | None = None,
    ) -> None:
        self._connection: _Plain | _Tls = (
            _Plain(host, port, timeout=connect_s)
            if trust is None
            else _Tls(host, port, timeout=connect_s, ssl_context=trust)
        )
        self._connection.admits = admits
        self._sock: socket.socket | None = None
        self.incoming: Incoming | None = None  # None until it is connected
        self.idle_since_s = 0.0  # for who keeps it
        self.begin()

    @property
    def is_tls(self) -> bool:
        """Whether it is encrypted."""
        return isinstance(self._connection, _Tls)

    @property
    def is_answered(self) -> bool:
        """Whether anything came back since the request began."""
        return self.incoming is not None and self.incoming.received_bytes > self._received_bytes

    def connect(self) -> Incoming:
        """What comes back over it. Raises what urllib3 and ssl do."""
        if self.incoming is None:
            self._connection.connect()
            self._sock = self._connection.sock
            assert self._sock is not None
            self._sock.settimeout(None)  # the watchdog sees to it, which costs no system call a read
            self.incoming = Incoming(self._sock)
        return self.incoming

    def is_fresh(self) -> bool:
        """Whether the other side has neither hung up nor said a word since the last answer."""
        assert self._sock is not None and self.incoming is not None
        try:
            return self.incoming.is_empty and not wait_for_read(self._sock, 0)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()
        if self._connection.tap is not None:
            self._connection.tap.close()

    def send(
        self, head: bytes, body: bytes | Body | None, progress: Callable[[int], None] | None = None
    ) -> bool:
        """Sends a request; False where the server spoke, or hung up, before it had all of it.

        Raises
        ------
        OSError
            The connection broke before the head was through.
        ValueError
            A body that yields other than its `size`. It does not look whole to the server.
        """
        if isinstance(body, Body):
            return self._stream(head, body, progress)
        if body and len(body) > _SMALL_BYTES:
            data = body
            return self._stream(head, Body(len(data), lambda: iter((data,))), progress)
        assert self._sock is not None
        self._sock.sendall(head + body if body else head)
        self._sent_bytes += len(head) + len(body or b"")
        if body and progress is not None:
            progress(len(body))
        return True

    def _stream(self, head: bytes, body: Body, progress: Callable[[int], None] | None) -> bool:
        assert self._sock is not None
        put = self._put_tls if self.is_tls else self._put
        before, between, last = head, b"", b""
        if body.chunked:
            between, last = b"\r\n", b"\r\n0\r\n\r\n"
        left = body.size
        if not self.is_tls:
            self._sock.setblocking(False)
        try:
            for piece in body.chunks():
                n = len(piece)
                left -= n
                if left < 0 or not n:
                    continue
                if body.chunked:
                    before += b"%x\r\n" % n
                after = between if left else last
                if n <= _SMALL_BYTES:
                    put(b"".join((before, piece, after)))
                else:
                    for part in (before, piece, after):
                        if part:
                            put(part)
                before = b""
                if progress is not None:
                    progress(n)
            if left:
                said = "more" if left < 0 else f"{left} less"
                raise ValueError(f"a body of {body.size} bytes yields {said}")
            if not body.size:
                put(before + last[2:])
        except (_Early, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return False  # what it said, or that it says no more, comes to light by reading
        finally:
            if not self.is_tls:
                self._sock.setblocking(True)
        return True

    def _put(self, data: bytes | memoryview) -> None:
        assert self._sock is not None
        view = memoryview(data).cast("B")
        while view:
            try:
                n = self._sock.send(view)
            except BlockingIOError:
                wait_for_socket(self._sock, read=True, write=True)
                if wait_for_read(self._sock, 0):
                    raise _Early from None
                continue
            self._sent_bytes += n
            view = view[n:]

    def _put_tls(self, data: bytes | memoryview) -> None:
        # What can be read of a TLS socket need not be an answer, so that an early one shows only in an error.
        assert self._sock is not None
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _SLICE_BYTES):
            piece = view[at : at + _SLICE_BYTES]
            self._sock.sendall(piece)
            self._sent_bytes += len(piece)

    def begin(self) -> None:
        """A request begins; what moved before does not count for it."""
        self._sent_bytes = 0
        self._received_bytes = 0 if self.incoming is None else self.incoming.received_bytes
        self._mark = -1  # what had moved when enough had moved the last time
        self._since = 0  # looks since then
        self.is_overdue = False

    def look(self, least_bytes: int) -> None:
        """Cuts the line where fewer bytes moved in the time of the last looks. For the watchdog."""
        if self._connection.tap is None:
            return  # it still connects, which has a time of its own
        tap = self._connection.tap
        moved = _moved(tap)
        looks = _TICKS
        if moved is None:
            # Only what was put into the socket is known; that it holds may leave at the slowest pace allowed.
            moved = self._sent_bytes + (self.incoming.received_bytes if self.incoming is not None else 0)
            looks += _TICKS * _held_bytes(tap, self._sent_bytes) // least_bytes
        if self._mark < 0 or moved < self._mark or moved - self._mark >= least_bytes:
            self._mark, self._since = moved, 0
            return
        self._since += 1
        if self._since >= looks:
            self.is_overdue = True
            self.cut()

    def cut(self) -> None:
        """Ends whatever another thread does with it, by an error there."""
        if self._connection.tap is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._connection.tap.shutdown(socket.SHUT_RDWR)


def _moved(sock: socket.socket) -> int | None:
    """Bytes that the other side acknowledged, and those that came from it; None where the system does not tell."""
    if _TCP_INFO is not None:
        with contextlib.suppress(OSError, struct.error):
            info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED_AT + 16)
            acked, received = _ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AT)
            return int(acked + received)
    return None


def _held_bytes(sock: socket.socket, sent_bytes: int) -> int:
    """At most so many of the bytes sent are still in this machine."""
    try:
        return min(sent_bytes, sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
    except OSError:
        return 0


class Watchdog:
    """A thread that cuts lines at work over which too little moves.

    Parameters
    ----------
    stall_s, least_bytes : a line may go on as long as at least so much moves, either way, in that time
    """

    def __init__(self, stall_s: float, least_bytes: int) -> None:
        self._tick_s = stall_s / _TICKS
        self._least_bytes = least_bytes
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether nothing is to go on any more."""
        return self._closed.is_set()

    def begin(self, line: Line) -> None:
        """A request begins on a line."""
        line.begin()
        with self._lock:
            self._lines.add(line)
            if self._thread is None and not self.is_closed:
                self._thread = threading.Thread(target=self._run, name="http-watchdog", daemon=True)
                self._thread.start()

    def end(self, line: Line) -> None:
        """The request ended, in whatever way."""
        with self._lock:
            self._lines.discard(line)

    def close(self) -> None:
        """Cuts all lines at work, and watches no more."""
        self._closed.set()
        with self._lock:
            for line in self._lines:
                line.cut()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._tick_s):
            with self._lock:
                for line in self._lines:
                    line.look(self._least_bytes)
