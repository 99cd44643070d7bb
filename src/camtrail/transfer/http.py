"""One attempt of one HTTP request: to places named before, watched for progress, with an answer of bounded size.

Nothing here tries again (`transfer/retry.py` says what may be), follows a redirect, keeps a cookie, or reads
`~/.netrc` and the proxies of the environment.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3.connection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError
from urllib3.util.wait import wait_for_read, wait_for_socket

from camtrail.core.clock import Clock
from camtrail.core.errors import AuthError, BadAnswer, SafetyRefusal, ServiceError, Unreachable, UsageError
from camtrail.core.names import shown
from camtrail.core.secrets import Secret

__all__ = ["Answer", "Body", "Http", "Redirected", "Unheard", "Untrusted", "origin_of"]

log = logging.getLogger(__name__)

_TICKS = 8  # how often the watchdog looks in the time that a call may stall
_SLICE_BYTES = 1 << 16  # what a TLS socket is given at once: progress is counted behind each
_SMALL_BYTES = 1 << 16  # a body up to this goes out with the head
_PIECE_BYTES = 1 << 15
_NONE: Mapping[str, str | Secret] = {}
_WORD = re.compile(r"[!-~]+").fullmatch
_VALUE = re.compile(r"[ -~]*").fullmatch
# Linux: where struct tcp_info has the bytes acknowledged by the other side and those received from it.
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_ACKED_AND_RECEIVED = struct.Struct("=QQ")
_ACKED_AT = 120


class Redirected(SafetyRefusal):
    """An answer that points elsewhere: whoever gave it is not the service, or the address is an old one."""

    code = "redirect"


class Unheard(Unreachable):
    """No connection: nothing of the request left this machine."""

    is_unheard = True


class Untrusted(ServiceError):
    """A certificate that does not prove who answers; asking again cannot help."""

    code = "tls"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case; values of a repeated name joined by ", "
    body: bytes

    def json(self) -> Any:
        """The body's value. Raises BadAnswer where it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as e:
            kind = self.headers.get("content-type", "").partition(";")[0].strip()[:60]
            said = f" but {shown(kind)}" if kind and kind != "application/json" else ""
            raise BadAnswer(
                f"the answer ({self.status}) is no JSON{said}",
                "if this network has a login page, log in there and run again",
            ) from e


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body that is made while it is sent."""

    size: int  # bytes in all
    chunks: Callable[
        [], Iterator[bytes | memoryview]
    ]  # from the beginning, at each call; some 1 MiB each is best
    chunked: bool = False  # sent with Transfer-Encoding: chunked in place of Content-Length


class _Call:
    """A connection at work, as the watchdog sees it."""

    __slots__ = ("counted", "mark", "overdue", "since", "tap")

    def __init__(self) -> None:
        self.tap: socket.socket | None = (
            None  # a second handle of the socket, which TLS and threads leave alone
        )
        self.begin()

    def begin(self) -> None:
        self.counted = 0  # bytes given to the socket and taken from it
        self.mark = -1  # what had moved when enough had moved the last time
        self.since = 0  # ticks since then
        self.overdue = False

    def moved(self) -> int:
        if _TCP_INFO is not None and self.tap is not None:
            try:
                info = self.tap.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED_AT + 16)
                # A slow line empties the socket's buffer for minutes after the last byte was put into it.
                return sum(_ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AT))
            except (OSError, struct.error):
                pass
        return self.counted

    def cut(self) -> None:
        if self.tap is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self.tap.shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        if self.tap is not None:
            self.tap.close()
            self.tap = None


class _Tapped:
    """Mixed into urllib3's connections: the socket gets its second handle before TLS wraps it."""

    call: _Call

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        self.call.tap = sock.dup()
        return sock


class _Plain(_Tapped, urllib3.connection.HTTPConnection):
    pass


class _Tls(_Tapped, urllib3.connection.HTTPSConnection):
    pass


class _Line:
    """A connection and its call."""

    __slots__ = ("call", "connection", "sock", "tls")

    def __init__(self, connection: _Plain | _Tls, tls: bool) -> None:
        self.call = connection.call = _Call()
        self.connection = connection
        self.tls = tls
        self.sock: socket.socket | None = None

    def connect(self) -> socket.socket:
        self.connection.connect()
        self.sock = self.connection.sock
        assert self.sock is not None
        self.sock.settimeout(None)  # from here on the watchdog sees to it, which costs no system call a read
        return self.sock

    def is_fresh(self) -> bool:
        """Whether the other side has neither closed nor said a word meanwhile."""
        assert self.sock is not None
        try:
            return not wait_for_read(self.sock, 0)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        self.connection.close()
        self.call.drop()


class _Early(Exception):
    """The server said something before the whole body was sent."""


def origin_of(url: str) -> str:
    """`scheme://host:port` of an address, the port left out where it is the scheme's own. Raises UsageError."""
    try:
        parts = urlsplit(url if _WORD(url) else "")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or port == 0:
        said = shown(url.partition("?")[0].rpartition("@")[2])[:200]
        raise UsageError(f"{said}: is no address of a service", "give https://HOST")
    if parts.username is not None or parts.password is not None:
        raise UsageError("an address holds a user name or a password", "give it without them")
    own = {"http": 80, "https": 443}[parts.scheme]
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}" + (f":{port}" if port and port != own else "")


class _Place:
    """An origin and its connections that wait for the next request."""

    __slots__ = ("host", "host_header", "idle", "origin", "port", "tls")

    def __init__(self, origin: str) -> None:
        parts = urlsplit(origin)
        self.origin = origin
        self.tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        self.host_header = parts.netloc
        self.idle: list[_Line] = []


class Http:
    """Requests to a few origins over connections that are kept.

    Parameters
    ----------
    origins : `scheme://host:port` of all that may be spoken with; plain http only where one is given as http
    connections : how many are kept for the next request; more are made where more threads ask at once
    connect_s : how long one address may take to connect
    stall_s, least_bytes_per_s : a request that moves less than this, either way, over that time fails

    Notes
    -----
    Threads share one. A thread of its own looks at the calls under way `_TICKS` times in `stall_s` and shuts
    the socket of one that does not move; on Linux it asks the kernel what the other side acknowledged.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        connections: int = 4,
        user_agent: str,
        clock: Clock,
        connect_s: float = 10,
        stall_s: float = 60,
        least_bytes_per_s: float = 1024,
    ) -> None:
        self._places = {origin: _Place(origin) for origin in map(origin_of, origins)}
        self._connections = connections
        self._user_agent = user_agent
        self._clock = clock
        self._connect_s = connect_s
        self._stall_s = stall_s
        self._least_bytes = max(1, round(least_bytes_per_s * stall_s))
        self._trust: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._active: set[_Call] = set()
        self._watchdog: threading.Thread | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Shuts every socket, also those at work: their calls raise Unreachable, and so do all later ones."""
        self._closed.set()
        with self._lock:
            lines = [line for place in self._places.values() for line in place.idle]
            for place in self._places.values():
                place.idle.clear()
            for call in self._active:
                call.cut()
            watchdog = self._watchdog
        for line in lines:
            line.close()
        if watchdog is not None and watchdog is not threading.current_thread():
            watchdog.join()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | Secret] = _NONE,
        body: bytes | Body | None = None,
        most_bytes: int = 1 << 20,
        progress: Callable[[int], None] | None = None,
    ) -> Answer:
        """The answer to one request, whatever its status.

        Parameters
        ----------
        headers : those of the request itself; Host, User-Agent and those of the body are added
        body : what `Body.chunks` raises passes through, and the server does not take the body for whole
        most_bytes : of the answer's body
        progress : is told how many bytes of the body were handed to the network since it was told the last time

        Raises
        ------
        Unreachable
            No connection, no name, cut off, too slow, or no HTTP.
        BadAnswer
            More than `most_bytes`, or compressed though nobody asked for that.
        Untrusted
            A certificate that does not hold.
        SafetyRefusal
            An origin that was not given; Redirected for an answer that points elsewhere.
        AuthError
            A secret that cannot stand in a header.
        ValueError
            A body that yields other than its `size`, a URL or a header that no request can have.
        """
        place, path = self._place(url)
        if not log.isEnabledFor(logging.DEBUG):
            return self._once(place, method, path, headers, body, most_bytes, progress)
        start_s = self._clock.monotonic_s()
        said = "failed"
        try:
            answer = self._once(place, method, path, headers, body, most_bytes, progress)
            said = str(answer.status)
            return answer
        finally:
            ms = (self._clock.monotonic_s() - start_s) * 1000
            log.debug("%s %s%s: %s, %.0f ms", method, place.origin, path.partition("?")[0], said, ms)

    def _place(self, url: str) -> tuple[_Place, str]:
        end = url.find("/", url.find("://") + 3)
        origin, path = (url, "/") if end < 0 else (url[:end], url[end:])
        place = self._places.get(origin)
        if place is None:
            raise SafetyRefusal(
                f"{shown(origin.partition('?')[0].rpartition('@')[2])[:200]} is none of the places that this run "
                "may speak with"
            )
        if not _WORD(path) or "#" in path:
            raise ValueError("the path of a request has a character that needs escaping")
        return place, path

    def _once(
        self,
        place: _Place,
        method: str,
        path: str,
        headers: Mapping[str, str | Secret],
        body: bytes | Body | None,
        most_bytes: int,
        progress: Callable[[int], None] | None,
    ) -> Answer:
        head = self._head(place, method, path, headers, body)
        line, is_new = self._line(place)
        while True:
            try:
                return self._spoken(place, line, method, head, body, most_bytes, progress)
            except (OSError, http.client.HTTPException, HTTPError) as e:
                # A server may close a kept connection in the very moment in which it is used again.
                stale = isinstance(e, http.client.RemoteDisconnected | ConnectionError)
                if is_new or not stale or line.call.overdue or method not in ("GET", "HEAD"):
                    raise self._translated(place, line, e) from e
            if self._closed.is_set():
                raise self._ended(place)
            line, is_new = self._new_line(place), True

    def _head(
        self,
        place: _Place,
        method: str,
        path: str,
        headers: Mapping[str, str | Secret],
        body: bytes | Body | None,
    ) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.1\r\nHost: {place.host_header}\r\nUser-Agent: {self._user_agent}\r\n"
            "Accept: */*\r\nAccept-Encoding: identity"
        ]
        for name, value in headers.items():
            text = value.reveal() if isinstance(value, Secret) else value
            if not _VALUE(text):
                if isinstance(value, Secret):
                    raise AuthError("the token has characters that no token has", "get a new one")
                raise ValueError(f"the header {name!r} has a character that none can have")
            lines.append(f"{name}: {text}")
        if isinstance(body, Body):
            lines.append("Transfer-Encoding: chunked" if body.chunked else f"Content-Length: {body.size}")
        elif body is not None or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body or b'')}")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("ascii")

    def _line(self, place: _Place) -> tuple[_Line, bool]:
        while True:
            with self._lock:
                if self._closed.is_set():
                    raise self._ended(place)
                line = place.idle.pop() if place.idle else None
            if line is None:
                return self._new_line(place), True
            if line.is_fresh():
                return line, False
            line.close()

    def _new_line(self, place: _Place) -> _Line:
        if not place.tls:
            return _Line(_Plain(place.host, place.port, timeout=self._connect_s), False)
        with self._lock:
            if self._trust is None:
                self._trust = ssl.create_default_context()
        made = _Tls(place.host, place.port, timeout=self._connect_s, ssl_context=self._trust)
        return _Line(made, True)

    def _spoken(
        self,
        place: _Place,
        line: _Line,
        method: str,
        head: bytes,
        body: bytes | Body | None,
        most_bytes: int,
        progress: Callable[[int], None] | None,
    ) -> Answer:
        call = line.call
        call.begin()
        keep = False
        with self._lock:
            if self._watchdog is None and not self._closed.is_set():
                self._watchdog = threading.Thread(target=self._watch, name="http-watchdog", daemon=True)
                self._watchdog.start()
            self._active.add(call)
        try:
            sock = line.sock or line.connect()
            if self._closed.is_set():
                raise ConnectionAbortedError
            whole = _sent(line, sock, head, body, progress)
            answer, keep = self._read(place, call, sock, method, most_bytes)
            if not whole:
                keep = False
                if answer.status < 300:
                    raise http.client.ResponseNotReady
            return answer
        finally:
            with self._lock:
                self._active.discard(call)
                keep = keep and not self._closed.is_set() and len(place.idle) < self._connections
                if keep:
                    place.idle.append(line)
            if not keep:
                line.close()

    def _read(
        self, place: _Place, call: _Call, sock: socket.socket, method: str, most_bytes: int
    ) -> tuple[Answer, bool]:
        """The answer, and whether another request may follow on this connection."""
        response = http.client.HTTPResponse(sock, method=method)
        try:
            response.begin()
            headers: dict[str, str] = {}
            for name, value in response.getheaders():
                name = name.lower()
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            if 300 <= response.status < 400 and "location" in headers:
                raise _redirected(place, headers["location"])
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise BadAnswer(f"{place.host_header} answered compressed, which nobody asked for")
            length = response.length
            if length is not None and length > most_bytes:
                raise _too_long(place, most_bytes)
            data = _all(place, call, response, most_bytes)
            return Answer(response.status, headers, data), not response.will_close
        finally:
            response.close()

    def _translated(self, place: _Place, line: _Line, e: Exception) -> ServiceError:
        """The one translation of what sockets, TLS, urllib3 and http.client say."""
        if self._closed.is_set():
            return self._ended(place)
        host = place.host_header
        if line.call.overdue:
            return Unreachable(
                f"{host} stopped moving: less than {self._least_bytes} bytes in {self._stall_s:g} s",
                "check the connection and run again",
            )
        if isinstance(e, ssl.SSLCertVerificationError):
            return Untrusted(
                f"{host} does not prove that it is {place.host} ({shown(e.verify_message)[:200]})",
                "check the machine's clock and whether this network puts itself between",
            )
        in_handshake = line.tls and line.sock is None
        if (
            in_handshake
            and isinstance(e, ssl.SSLError)
            and not isinstance(e, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        ):
            reason = shown(str(getattr(e, "reason", "") or type(e).__name__))[:200]
            return Untrusted(
                f"{host} does not speak TLS as it should ({reason})", "check the address and the network"
            )
        if isinstance(e, NameResolutionError):
            return Unheard(f"the name {place.host} is not known", "check the connection and run again")
        if isinstance(e, ConnectTimeoutError):
            return Unheard(
                f"{host} does not answer within {self._connect_s:g} s", "check the connection and run again"
            )
        cause = e.__cause__ if isinstance(e, HTTPError) and isinstance(e.__cause__, OSError) else e
        reason = (cause.strerror if isinstance(cause, OSError) else "") or _WORDS.get(type(cause), "")
        reason = reason or type(cause).__name__
        hint = "check the connection and run again"
        if line.sock is None:
            return Unheard(f"{host} cannot be reached ({shown(reason)})", hint)
        return Unreachable(f"the connection to {host} broke ({shown(reason)})", hint)

    def _ended(self, place: _Place) -> Unreachable:
        return Unreachable(f"the connection to {place.host_header} was closed, because this run ends")

    def _watch(self) -> None:
        while not self._closed.wait(self._stall_s / _TICKS):
            with self._lock:
                for call in self._active:
                    if call.tap is not None:  # until then the time to connect counts
                        self._look(call)

    def _look(self, call: _Call) -> None:
        moved = call.moved()
        if call.mark < 0 or moved < call.mark or moved - call.mark >= self._least_bytes:
            call.mark, call.since = moved, 0
            return
        call.since += 1
        if call.since >= _TICKS:
            call.overdue = True
            call.cut()


_WORDS: dict[type[BaseException], str] = {
    http.client.RemoteDisconnected: "it hung up without an answer",
    http.client.IncompleteRead: "its answer was cut off",
    http.client.BadStatusLine: "it does not speak HTTP",
    http.client.ResponseNotReady: "it answered before it had everything",
    ConnectionResetError: "it hung up",
    TimeoutError: "it took too long",
}


def _redirected(place: _Place, location: str) -> Redirected:
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    return Redirected(
        f"{place.host_header} points to {shown(host or 'another path')[:200]}; nothing was sent there",
        "check the address of the service, and whether this network has a login page",
    )


def _too_long(place: _Place, most_bytes: int) -> BadAnswer:
    return BadAnswer(f"{place.host_header} answered more than {most_bytes} bytes")


def _all(place: _Place, call: _Call, response: http.client.HTTPResponse, most_bytes: int) -> bytes:
    length = response.length
    if length == 0:
        return b""
    data = bytearray()
    piece = bytearray(_PIECE_BYTES if length is None else min(length, _PIECE_BYTES))
    view = memoryview(piece)
    while n := response.readinto(piece):
        call.counted += n
        if len(data) + n > most_bytes:
            raise _too_long(place, most_bytes)
        data += view[:n]
    if length is not None and len(data) < length:
        raise http.client.IncompleteRead(b"", length - len(data))
    return bytes(data)


def _sent(
    line: _Line,
    sock: socket.socket,
    head: bytes,
    body: bytes | Body | None,
    progress: Callable[[int], None] | None,
) -> bool:
    """Sends a request; False where the server spoke, or closed, before it had all of it."""
    if not isinstance(body, Body):
        whole = head + body if body and len(body) <= _SMALL_BYTES else head
        sock.sendall(whole)
        line.call.counted += len(whole)
        if body is None or len(whole) > len(head) or not body:
            if body and progress:
                progress(len(body))
            return True
        data = body
        body = Body(len(data), lambda: iter((data,)))
        head = b""
    return _stream(line, sock, head, body, progress)


def _stream(
    line: _Line, sock: socket.socket, head: bytes, body: Body, progress: Callable[[int], None] | None
) -> bool:
    put = _put_tls if line.tls else _put
    left = body.size
    before, after = head, b""
    if not line.tls:
        sock.setblocking(False)
    try:
        for chunk in body.chunks():
            n = len(chunk)
            left -= n
            if left < 0 or not n:
                continue
            if body.chunked:
                before += b"%x\r\n" % n
                after = b"\r\n" if left else b"\r\n0\r\n\r\n"
            if n <= _SMALL_BYTES:
                put(line.call, sock, b"".join((before, chunk, b"" if left else after)))
            else:
                if before:
                    put(line.call, sock, before)
                put(line.call, sock, chunk)
                if after and not left:
                    put(line.call, sock, after)
            before = after if left else b""
            if progress:
                progress(n)
        if left:
            raise ValueError(f"a body of {body.size} bytes yields {'more' if left < 0 else f'{left} less'}")
        if not body.size:
            put(line.call, sock, before + (b"0\r\n\r\n" if body.chunked else b""))
    except (_Early, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        if line.call.overdue:
            raise
        return False
    finally:
        if not line.tls:
            sock.setblocking(True)
    return True


def _put(call: _Call, sock: socket.socket, data: bytes | memoryview) -> None:
    view = memoryview(data).cast("B")
    while view:
        try:
            n = sock.send(view)
        except BlockingIOError:
            wait_for_socket(sock, read=True, write=True)
            if wait_for_read(sock, 0):
                raise _Early from None
            continue
        call.counted += n
        view = view[n:]


def _put_tls(call: _Call, sock: socket.socket, data: bytes | memoryview) -> None:
    view = memoryview(data).cast("B")
    for at in range(0, len(view), _SLICE_BYTES):
        piece = view[at : at + _SLICE_BYTES]
        sock.sendall(piece)
        call.counted += len(piece)
