"""An HTTP server that stands in for a service, and misbehaves when it is told to.

It speaks HTTP/1.1 over plain sockets of this machine, a thread a connection, since servers of libraries can send no
reset, no short answer and no nonsense. What it answers is handed in, one callable an origin.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl

from camtrail.core.errors import CamtrailError, UsageError
from camtrail.transfer.faults import ACTIONS, LANGUAGE, Fault, parse

__all__ = [
    "LANGUAGE",
    "App",
    "Body",
    "BodyCut",
    "Fault",
    "FaultServer",
    "Logged",
    "Reply",
    "Request",
    "StandIn",
    "json_reply",
    "parse",
]

LOG = logging.getLogger(__name__)

_BUFFER_BYTES = 1 << 19
_SPARE = 16  # buffers that wait for the next connection
_HEAD_BYTES = 1 << 16
_LINE_BYTES = 1 << 12
_JOINED_BYTES = 1 << 16  # an answer up to this size goes out with its head
_TICK_S = 0.05  # of what drips
_LOGGED = 100_000  # requests that are remembered
_RST = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)

_PAGE = "<!doctype html><html><head><title>Welcome</title></head><body><h1>Log in to use this network</h1></body></html>"


class BodyCut(ConnectionError):
    """The body of a request ended before its end; what came before was handed out."""


class Body:
    """The body of a request, piece by piece as it arrives.

    A piece is valid until the next one is asked for. Iterating raises BodyCut where the client, or a fault, ends
    the connection before the body has ended.
    """

    __slots__ = ("_pieces", "ended", "received_bytes")

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self.received_bytes = 0
        self.ended = False

    def __iter__(self) -> Iterator[memoryview]:
        for piece in self._pieces:
            self.received_bytes += len(piece)
            yield piece
        self.ended = True

    def read(self, most_bytes: int = 1 << 26) -> bytes:
        """All of it. Raises BodyCut, and ValueError where it is longer than `most_bytes`."""
        out = bytearray()
        for piece in self:
            out += piece
            if len(out) > most_bytes:
                raise ValueError(f"a body of more than {most_bytes} bytes")
        return bytes(out)

    def _drain(self) -> None:
        for _ in self:
            pass


@dataclass(slots=True)
class Request:
    """One request.

    Attributes
    ----------
    method : upper case
    path : as it was sent, without the query
    query : what stood behind the question mark
    headers : names in lower case
    origin : name of the origin that was asked
    body : its body
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    origin: str
    body: Body

    def parameters(self) -> dict[str, str]:
        """The query's parameters; of one that is there twice, the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(slots=True)
class Reply:
    """What is answered. A body that is no bytes goes out in chunks unless the headers have a Content-Length."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply of JSON."""
    data = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, data, {"Content-Type": "application/json", **(headers or {})})


App = Callable[[Request], Reply]
"""What answers the requests of an origin. It may be called by several threads at once."""


@dataclass(slots=True)
class Logged:
    """What is remembered of a request; never the value of a credential, never the query."""

    number: int  # from 1
    origin: str
    method: str
    path: str
    offset: str | None  # the header Offset
    range: str | None  # the header Range
    authorization: bool  # whether there was such a header
    cookie: bool
    fault: str | None = None  # the fault that it met
    status: int | None = None  # None until it was answered, and where no status was sent
    body_bytes: int = 0  # of the request, that arrived


class _Nonsense(Exception):
    """What came is no HTTP."""


class _Wire:
    """The bytes of one connection, read through one large buffer."""

    __slots__ = ("_buffer", "_end", "_start", "_view", "sock")

    def __init__(self, sock: socket.socket, buffer: bytearray) -> None:
        self.sock = sock
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._start = self._end = 0

    def _fill(self) -> bool:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == _BUFFER_BYTES:
            rest = bytes(self._view[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = self.sock.recv_into(self._view[self._end :])
        self._end += count
        return count > 0

    def until(self, mark: bytes, most_bytes: int) -> bytes | None:
        """What stands before a mark, which is passed over; None where the stream has ended."""
        while (at := self._buffer.find(mark, self._start, self._end)) < 0:
            if self._end - self._start > most_bytes:
                raise _Nonsense("too long")
            if not self._fill():
                return None
        data = bytes(self._view[self._start : at])
        self._start = at + len(mark)
        return data

    def exactly(self, count: int) -> Iterator[memoryview]:
        """So many bytes, in pieces. Raises BodyCut."""
        while count:
            if self._start == self._end and not self._fill():
                raise BodyCut("the client hung up")
            n = min(count, self._end - self._start)
            piece = self._view[self._start : self._start + n]
            self._start += n
            count -= n
            yield piece

    def chunks(self) -> Iterator[memoryview]:
        """A body in chunks (RFC 9112 section 7.1), in pieces. Raises BodyCut."""
        while True:
            line = self._line()
            try:
                count = int(line.partition(b";")[0], 16)
            except ValueError as e:
                raise _Nonsense("no size of a chunk") from e
            if count == 0:
                while self._line():
                    pass  # trailers
                return
            yield from self.exactly(count)
            if self._line():
                raise _Nonsense("no end of a chunk")

    def _line(self) -> bytes:
        line = self.until(b"\r\n", _LINE_BYTES)
        if line is None:
            raise BodyCut("the client hung up")
        return line

    def reset(self) -> None:
        """Ends the connection with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.sock.close()


def _continued(wire: _Wire, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
    wire.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    yield from pieces


def _until(pieces: Iterator[memoryview], count: int) -> Iterator[memoryview]:
    for piece in pieces:
        if len(piece) >= count:
            yield piece[:count]
            break
        count -= len(piece)
        yield piece
    raise BodyCut("a fault")


@dataclass(slots=True)
class _Exchange:
    """A request on its way through the server."""

    wire: _Wire
    request: Request
    stays: bool  # whether the client will ask more on this connection
    has_body: bool
    log: Logged

    def note(self, status: int | None) -> None:
        """Completes the log before the client hears of the end."""
        self.log.status = status
        self.log.body_bytes = self.request.body.received_bytes


@dataclass(slots=True)
class _Counted:
    """A fault in force, and how often it was asked."""

    fault: Fault
    number: int = 0  # of requests that it concerns
    met: int = 0  # of those that it hit

    def meets(self, request: Request) -> bool:
        fault = self.fault
        if not fault.concerns(request.origin, request.method, request.path):
            return False
        self.number += 1
        return (fault.times is None or self.met < fault.times) and fault.hits(self.number)


class FaultServer:
    """Serves origins on 127.0.0.1 until it is closed; use it in a `with`.

    `GET /_sandbox/requests` on each origin gives the log of requests as JSON, and `POST /_sandbox/faults` takes a
    JSON list of faults, in the language of `LANGUAGE`, in place of those in force. Other paths below `/_sandbox/`
    go to the origin's app. None of them is logged or meets a fault.

    Parameters
    ----------
    origins : what answers, by the origin's name
    port : of the first origin, the others follow; 0 takes free ones
    faults : the faults in force
    pause : returns after so many seconds; None waits, but not longer than the server is open

    Raises
    ------
    UsageError
        A port is taken, or a fault is none.
    """

    def __init__(
        self,
        origins: Mapping[str, App],
        *,
        port: int = 0,
        faults: Iterable[str | Fault] = (),
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._apps = dict(origins)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._waits = pause or self._closing.wait
        self._log: deque[Logged] = deque(maxlen=_LOGGED)
        self._number = 0
        self._open: dict[socket.socket, threading.Thread] = {}
        self._buffers: list[
            bytearray
        ] = []  # of connections that have ended: new memory costs more than a request
        self.set_faults(faults)
        self._listeners = _listen(list(self._apps), port)
        self._ports = {name: s.getsockname()[1] for name, s in self._listeners.items()}
        self._wake, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="sandbox", daemon=True)
        self._acceptor.start()

    def url(self, origin: str) -> str:
        """`http://127.0.0.1:PORT` of an origin."""
        return f"http://127.0.0.1:{self._ports[origin]}"

    def requests(self) -> list[Logged]:
        """The last 100,000 requests, in the order of their arrival."""
        with self._lock:
            return list(self._log)

    def set_faults(self, faults: Iterable[str | Fault]) -> None:
        """Puts faults in place of those in force; they count requests from here. Raises UsageError."""
        plan = [f if isinstance(f, Fault) else parse(f) for f in faults]
        with self._lock:
            self._plan = [_Counted(fault) for fault in plan]

    def close(self) -> None:
        """Ends all connections and threads; may be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.send(b"x")
        self._acceptor.join()
        for listener in (*self._listeners.values(), self._wake, self._woken):
            listener.close()
        with self._lock:
            left = list(self._open.items())
        for sock, thread in left:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pause(self, seconds: float) -> None:
        self._waits(min(seconds, threading.TIMEOUT_MAX))

    def _accept(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._woken, selectors.EVENT_READ)
            for origin, listener in self._listeners.items():
                waiting.register(listener, selectors.EVENT_READ, origin)
            while not self._closing.is_set():
                for key, _ in waiting.select():
                    if isinstance(key.fileobj, socket.socket) and key.data is not None:
                        self._begin(key.fileobj, key.data)

    def _begin(self, listener: socket.socket, origin: str) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:  # gone again, or too many are open
            self._closing.wait(_TICK_S)
            return
        sock.setblocking(True)
        thread = threading.Thread(target=self._serve, args=(sock, origin), name="sandbox", daemon=True)
        with self._lock:
            self._open[sock] = thread
        thread.start()

    def _serve(self, sock: socket.socket, origin: str) -> None:
        with self._lock:
            buffer = self._buffers.pop() if self._buffers else bytearray(_BUFFER_BYTES)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = _Wire(sock, buffer)
            while self._one(wire, origin):
                pass
        except _Nonsense:
            with contextlib.suppress(OSError):
                _last(sock, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except OSError:
            pass
        finally:
            sock.close()
            with self._lock:
                self._open.pop(sock, None)
                if len(self._buffers) < _SPARE:
                    self._buffers.append(buffer)

    def _one(self, wire: _Wire, origin: str) -> bool:
        """Answers one request; whether the connection stays."""
        head = wire.until(b"\r\n\r\n", _HEAD_BYTES)
        if head is None or self._closing.is_set():
            return False
        request, stays, has_body = _request(wire, head, origin)
        if request.path.startswith("/_sandbox/"):
            unlogged = _Exchange(wire, request, stays, has_body, _logged(0, request))
            return self._send(unlogged, self._told(request))
        log, fault = self._met(request)
        exchange = _Exchange(wire, request, stays, has_body, log)
        try:
            if fault is None:
                return self._send(exchange, self._reply(request))
            return _DO[fault.action](self, exchange, fault)
        finally:
            log.body_bytes = request.body.received_bytes

    def _met(self, request: Request) -> tuple[Logged, Fault | None]:
        with self._lock:
            self._number += 1
            log = _logged(self._number, request)
            self._log.append(log)
            met = None
            for counted in self._plan:
                if counted.meets(request) and met is None:
                    counted.met += 1
                    met = counted.fault
                    log.fault = met.spec()
        return log, met

    def _told(self, request: Request) -> Reply:
        if request.path == "/_sandbox/requests" and request.method == "GET":
            return json_reply([asdict(entry) for entry in self.requests()])
        if request.path == "/_sandbox/faults" and request.method == "POST":
            try:
                specs = json.loads(request.body.read())
                if not isinstance(specs, list) or not all(isinstance(s, str) for s in specs):
                    raise UsageError("what was sent is no JSON list of texts")
                self.set_faults(specs)
            except (ValueError, RecursionError):
                return json_reply({"error": "what was sent is no JSON"}, 400)
            except CamtrailError as e:
                return json_reply({"error": str(e)}, 400)
            return json_reply({"faults": specs})
        return self._reply(request)

    def _reply(self, request: Request) -> Reply:
        try:
            return self._apps[request.origin](request)
        except (OSError, _Nonsense):
            raise
        except Exception:
            LOG.exception("the sandbox failed at %s %s", request.method, request.path)
            return Reply(500, b"the sandbox failed", {"Content-Type": "text/plain"})

    def _send(self, exchange: _Exchange, reply: Reply, *, length: int | None = None, cut: int = 0) -> bool:
        request = exchange.request
        request.body._drain()
        exchange.note(reply.status)
        head, chunked = _head(reply, exchange.stays and not cut, length)
        sock = exchange.wire.sock
        body = reply.body
        if request.method == "HEAD" or reply.status in (204, 304):
            sock.sendall(head)
        elif isinstance(body, bytes):
            data = body[: max(len(body) - cut, 0)]
            if len(data) <= _JOINED_BYTES:
                sock.sendall(head + data)
            else:
                sock.sendall(head)
                sock.sendall(data)
        else:
            sock.sendall(head)
            for piece in body:
                if piece:
                    sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                sock.sendall(b"0\r\n\r\n")
        return exchange.stays and not cut

    # One method for each action. They return whether the connection stays.

    def _status(self, exchange: _Exchange, fault: Fault) -> bool:
        status = int(fault.amount)
        headers = {"Content-Type": fault.type or "application/json"}
        if fault.retry_after is not None:
            headers["Retry-After"] = fault.retry_after
        body = b"{}" if fault.body is None else _bytes(fault.body)
        reply = Reply(status, body, headers)
        if fault.early:
            exchange.note(status)
            _last(exchange.wire.sock, _head(reply, False, None)[0] + body)
            return False
        return self._send(exchange, reply)

    def _reset(self, exchange: _Exchange, fault: Fault) -> bool:
        count = int(fault.amount)
        body = exchange.request.body
        if count and exchange.has_body:
            body._pieces = _until(body._pieces, count)
            try:
                if fault.keep:
                    self._reply(exchange.request)
                body._drain()
            except (BodyCut, _Nonsense):
                pass
        exchange.note(None)
        exchange.wire.reset()
        return False

    def _stall(self, exchange: _Exchange, fault: Fault) -> bool:
        self._pause(fault.amount)
        return False

    def _redirect(self, exchange: _Exchange, fault: Fault) -> bool:
        location = _bytes(fault.text).decode("latin-1")
        return self._send(exchange, Reply(fault.status or 307, b"", {"Location": location}))

    def _raw(self, exchange: _Exchange, fault: Fault) -> bool:
        exchange.request.body._drain()
        exchange.note(None)
        exchange.wire.sock.sendall(_bytes(fault.text))
        return False

    def _html(self, exchange: _Exchange, fault: Fault) -> bool:
        page = _bytes(_PAGE if fault.body is None else fault.body)
        reply = Reply(fault.status or 200, page, {"Content-Type": "text/html; charset=utf-8"})
        return self._send(exchange, reply)

    def _json(self, exchange: _Exchange, fault: Fault) -> bool:
        reply = Reply(fault.status or 200, _bytes(fault.text), {"Content-Type": "application/json"})
        return self._send(exchange, reply)

    def _lost(self, exchange: _Exchange, fault: Fault) -> bool:
        reply = self._reply(exchange.request)
        exchange.request.body._drain()
        exchange.note(reply.status)
        exchange.wire.reset()
        return False

    def _delay(self, exchange: _Exchange, fault: Fault) -> bool:
        reply = self._reply(exchange.request)
        exchange.request.body._drain()
        self._pause(fault.amount)
        return self._send(exchange, reply)

    def _drip(self, exchange: _Exchange, fault: Fault) -> bool:
        reply = _whole_reply(self._reply(exchange.request))
        exchange.request.body._drain()
        exchange.note(reply.status)
        head, _ = _head(reply, exchange.stays, None)
        bare = exchange.request.method == "HEAD" or reply.status in (204, 304)
        data = head if bare else head + bytes(reply.body)  # type: ignore[arg-type]
        step = max(int(fault.amount * _TICK_S), 1)
        for at in range(0, len(data), step):
            if self._closing.is_set():
                return False
            exchange.wire.sock.sendall(data[at : at + step])
            self._pause(step / fault.amount)
        return exchange.stays

    def _truncate(self, exchange: _Exchange, fault: Fault) -> bool:
        reply = _whole_reply(self._reply(exchange.request))
        return self._send(exchange, reply, cut=int(fault.amount))

    def _length(self, exchange: _Exchange, fault: Fault) -> bool:
        reply = _whole_reply(self._reply(exchange.request))
        length = max(len(reply.body) + int(fault.amount), 0)  # type: ignore[arg-type]
        return self._send(exchange, reply, length=length)

    def _slow(self, exchange: _Exchange, fault: Fault) -> bool:
        exchange.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        body = exchange.request.body
        body._pieces = self._slowly(body._pieces, fault.amount)
        return self._send(exchange, self._reply(exchange.request))

    def _slowly(self, pieces: Iterator[memoryview], speed: float) -> Iterator[memoryview]:
        step = max(int(speed * _TICK_S), 1)
        for piece in pieces:
            for at in range(0, len(piece), step):
                if self._closing.is_set():
                    raise BodyCut("the server closes")
                part = piece[at : at + step]
                self._pause(len(part) / speed)
                yield part


_DO: dict[str, Callable[[FaultServer, _Exchange, Fault], bool]] = {
    action: getattr(FaultServer, f"_{action}") for action in ACTIONS
}


class StandIn:
    """What every sandbox of a service has: its server, with the log of requests and the faults in force."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server

    def requests(self) -> list[Logged]:
        """The log of requests."""
        return self._server.requests()

    def set_faults(self, faults: Iterable[str | Fault]) -> None:
        """Puts faults in place of those in force. Raises UsageError."""
        self._server.set_faults(faults)

    def close(self) -> None:
        """Ends it; may be called again."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listen(names: Sequence[str], port: int) -> dict[str, socket.socket]:
    made: dict[str, socket.socket] = {}
    for i, name in enumerate(names):
        number = port + i if port else 0
        try:
            made[name] = socket.create_server(("127.0.0.1", number), backlog=256)
        except (OSError, OverflowError) as e:
            for listener in made.values():
                listener.close()
            reason = getattr(e, "strerror", None) or str(e)
            raise UsageError(
                f"port {number} cannot be used ({reason})", "name another, or 0 for a free one"
            ) from e
        made[name].setblocking(False)
    return made


def _request(wire: _Wire, head: bytes, origin: str) -> tuple[Request, bool, bool]:
    """A request from its head, whether the connection may stay, and whether there is a body."""
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = first.split(" ")
    except ValueError as e:
        raise _Nonsense("no request line") from e
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise _Nonsense("no header")
        headers[name.lower()] = value.strip()
    has_body = True
    if headers.get("transfer-encoding", "").lower() == "chunked":
        pieces = wire.chunks()
    else:
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise _Nonsense("no length")
        has_body = int(length) > 0
        pieces = wire.exactly(int(length))
    if has_body and headers.get("expect", "").lower() == "100-continue":
        pieces = _continued(wire, pieces)
    if target.startswith("http://"):
        target = "/" + target[7:].partition("/")[2]
    path, _, query = target.partition("?")
    stays = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Request(method.upper(), path, query, headers, origin, Body(pieces)), stays, has_body


def _logged(number: int, request: Request) -> Logged:
    headers = request.headers
    return Logged(
        number, request.origin, request.method, request.path, headers.get("offset"), headers.get("range"),
        "authorization" in headers, "cookie" in headers,
    )  # fmt: skip


_REASONS = {int(s): s.phrase for s in HTTPStatus}


def _head(reply: Reply, stays: bool, length: int | None) -> tuple[bytes, bool]:
    """The head of an answer, and whether its body goes out in chunks."""
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    chunked = False
    if reply.status not in (204, 304):
        if length is None and isinstance(reply.body, bytes):
            length = len(reply.body)
        if length is not None:
            lines.append(f"Content-Length: {length}")
        elif not any(name.lower() == "content-length" for name in reply.headers):
            chunked = True
            lines.append("Transfer-Encoding: chunked")
    if not stays:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"), chunked


def _whole_reply(reply: Reply) -> Reply:
    """The same reply with its body in one piece."""
    if isinstance(reply.body, bytes):
        return reply
    headers = {k: v for k, v in reply.headers.items() if k.lower() != "content-length"}
    return Reply(reply.status, b"".join(reply.body), headers)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _last(sock: socket.socket, data: bytes) -> None:
    """Says the last words of a connection, and waits for the client to hang up."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)  # closing while something is unread would reset, and take the answer back
    while sock.recv(_JOINED_BYTES):
        pass
