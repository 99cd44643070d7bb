"""One attempt of one HTTP request: to places known before, watched for progress, with an answer of bounded size.

Nothing here tries again (`transfer/retry.py` says what may be), follows a redirect, keeps a cookie, or reads
`~/.netrc` and the proxies of the environment.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from camtrail.core.clock import Clock
from camtrail.core.errors import AuthError, BadAnswer, SafetyRefusal, ServiceError, Unreachable, UsageError
from camtrail.core.names import shown
from camtrail.core.secrets import Secret, redacted
from camtrail.transfer.addresses import is_here, is_loopback, is_near, is_public
from camtrail.transfer.framing import Cut, Garbled, Incoming
from camtrail.transfer.line import Admits, Body, Line, Watchdog

__all__ = ["Answer", "Body", "Http", "Redirected", "Sink", "Unheard", "Untrusted", "origin_of"]

log = logging.getLogger(__name__)

_PORTS = {"http": 80, "https": 443}
_IDLE_S = 30.0
_LEFT_BYTES = 1 << 20  # of an answer that a sink leaves
_MOST_PLACES = 64  # beyond the given ones, lines are not kept any more
_NONE: Mapping[str, str | Secret] = {}
_VISIBLE = re.compile(r"[!-~]+").fullmatch
_VALUE = re.compile(r"[ -~]*").fullmatch
_CHECK = "check the connection and run again"


Sink = Callable[[int, Mapping[str, str]], Callable[[bytes], object] | None]
"""Is told status and headers of an answer; what it returns takes the body, piece by piece. None: it is left."""


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


def origin_of(url: str) -> str:
    """`scheme://host:port` of an address, the port left out where it is the scheme's own. Raises UsageError."""
    parts, port = _split(url)
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or not host or port == 0:
        said = shown(url.partition("?")[0].rpartition("@")[2])[:200]
        raise UsageError(f"{said}: is no address of a service", "give https://HOST")
    if "@" in parts.netloc:
        raise UsageError("an address holds a user name or a password", "give it without them")
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}" + (f":{port}" if port and port != _PORTS[parts.scheme] else "")


def _split(url: str) -> tuple[SplitResult, int | None]:
    """The parts of an address and its port; none of them where it is no address."""
    try:
        parts = urlsplit(url if _VISIBLE(url) else "")
        return parts, parts.port
    except ValueError:
        return urlsplit(""), None


class _Call(NamedTuple):
    """One request, ready to be sent, and what becomes of its answer."""

    method: str
    head: bytes
    body: bytes | Body | None
    most_bytes: int
    encodings: frozenset[str]
    progress: Callable[[int], None] | None
    sink: Sink | None


class _Place:
    """An origin, and its lines that wait for the next request."""

    __slots__ = ("admits", "host", "idle", "is_given", "name", "origin", "port", "tls")

    def __init__(self, origin: str, is_given: bool = True, admits: Admits | None = None) -> None:
        parts = urlsplit(origin)
        self.is_given = is_given  # as an address to speak with, not by somebody's answer
        self.admits = admits
        self.origin = origin
        self.name = parts.netloc  # as the header Host and messages have it
        self.host = parts.hostname or ""
        self.port = parts.port or _PORTS[parts.scheme]
        self.tls = parts.scheme == "https"
        self.idle: list[Line] = []


class Http:
    """Requests to a few origins over connections that are kept. Threads share one.

    Parameters
    ----------
    origins : those that may be spoken with; plain http only where one is given as http
    pointed_by : a service whose answers point to other origins, which then may be asked for something, too, without
        a secret: by https, at a public address. A service that is in a private network or on this machine may point
        there, and by plain http from this machine to this machine
    connections : how many of an origin are kept for the next request; where more threads ask, more are made
    connect_s : how long one address may take to connect
    stall_s, least_bytes_per_s : a request that moves less than this, either way, over that time fails

    Notes
    -----
    A connection that rested for 30 s is not used again: routers forget those that say nothing, without a word to
    either side, and a request that is lost on one may be one that is not made twice.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        pointed_by: str | None = None,
        connections: int = 4,
        user_agent: str,
        clock: Clock,
        connect_s: float = 10,
        stall_s: float = 60,
        least_bytes_per_s: float = 1024,
    ) -> None:
        self._places = {origin: _Place(origin) for origin in map(origin_of, origins)}
        self._pointed_by = None if pointed_by is None else _Place(origin_of(pointed_by))
        self._most_kept = len(self._places) + _MOST_PLACES
        self._connections = connections
        self._user_agent = user_agent
        self._clock = clock
        self._connect_s = connect_s
        least_bytes = max(1, round(least_bytes_per_s * stall_s))
        self._overdue = f"less than {least_bytes} bytes in {stall_s:g} s"
        self._watchdog = Watchdog(stall_s, least_bytes)
        self._lock = threading.Lock()  # guards what the places keep, and the trust
        self._trust: ssl.SSLContext | None = None

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up; calls under way raise Unreachable, and so do all later ones."""
        self._watchdog.close()
        with self._lock:
            lines = [line for place in self._places.values() for line in place.idle]
            for place in self._places.values():
                place.idle.clear()
        for line in lines:
            line.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | Secret] = _NONE,
        body: bytes | Body | None = None,
        most_bytes: int = 1 << 20,
        gzip: bool = False,
        progress: Callable[[int], None] | None = None,
        sink: Sink | None = None,
    ) -> Answer:
        """The answer to one request, whatever its status.

        Parameters
        ----------
        headers : those of the request itself; Host, User-Agent and those of the body are added
        body : what `Body.chunks` raises passes through, and the server does not take the body for whole
        most_bytes : of the answer's body; of one that a sink leaves, 1 MiB
        gzip : whether the answer's body may be compressed so, which it then still is
        progress : is told how many bytes of the body were handed to the network since it was told the last time
        sink : asked once, when an answer begins; what it or its taker raises passes. The answer is returned without
            what was taken. What was taken when an error is raised may be any part from the beginning on

        Raises
        ------
        Unreachable
            No connection (Unheard), cut off, too slow, or no HTTP.
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
        if not place.is_given and (
            body is not None
            or method not in ("GET", "HEAD")
            or any(isinstance(v, Secret) for v in headers.values())
        ):
            raise ValueError("a place that only an answer names gets nothing of ours")
        encodings = frozenset({"gzip", "identity"} if gzip else {"identity"})
        head = self._head(place, method, path, headers, body, "gzip" if gzip else "identity")
        call = _Call(method, head, body, most_bytes, encodings, progress, sink)
        if not log.isEnabledFor(logging.DEBUG):
            return self._answer(place, call)
        start_s = self._clock.monotonic_s()
        said = "failed"
        try:
            answer = self._answer(place, call)
            said = str(answer.status)
            return answer
        finally:
            ms = (self._clock.monotonic_s() - start_s) * 1000
            log.debug("%s %s%s: %s, %.0f ms", method, place.origin, path.partition("?")[0], said, ms)

    def _place(self, url: str) -> tuple[_Place, str]:
        end = url.find("/", url.find("://") + 3)
        origin, path = (url, "/") if end < 0 else (url[:end], url[end:])
        place = self._places.get(origin) or self._pointed_to(origin)
        if not _VISIBLE(path) or "#" in path:
            raise ValueError("the path of a request has a character that needs escaping")
        return place, path

    def _pointed_to(self, origin: str) -> _Place:
        """A place that an answer names. Raises SafetyRefusal."""
        said = shown(origin.partition("?")[0].rpartition("@")[2])[:200]
        leader = self._pointed_by
        if leader is None:
            raise SafetyRefusal(f"{said} is none of the places that this run may speak with")
        try:
            name = origin_of(origin)
        except UsageError as e:
            raise SafetyRefusal(f"the service points to {said}, which is no address") from e
        if "?" in origin or "#" in origin:
            raise SafetyRefusal(f"the service points to {said}, which is no address")
        admits: Admits | None = None if is_near(leader.host) else is_public
        if name.startswith("http:"):
            if leader.tls or not is_here(leader.host):
                raise SafetyRefusal(
                    f"the service points to {said} without encryption; nothing was asked there"
                )
            admits = is_loopback
        with self._lock:
            return self._places.setdefault(name, _Place(name, False, admits))

    def _head(
        self,
        place: _Place,
        method: str,
        path: str,
        headers: Mapping[str, str | Secret],
        body: bytes | Body | None,
        encoding: str,
    ) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.1\r\nHost: {place.name}\r\nUser-Agent: {self._user_agent}\r\n"
            f"Accept: */*\r\nAccept-Encoding: {encoding}"
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

    def _answer(self, place: _Place, call: _Call) -> Answer:
        line = self._idle(place)
        while True:
            is_new = line is None
            line = line or self._new(place)
            try:
                return self._spoken(place, line, call)
            except (OSError, Garbled, HTTPError) as e:
                # A server may hang up a kept line in the very moment in which it is used again.
                # What a sink has taken cannot be given a second time.
                is_stale = (
                    not is_new
                    and isinstance(e, ConnectionError)
                    and not line.is_overdue
                    and (call.sink is None or not line.is_answered)
                )
                if self._watchdog.is_closed or not is_stale or call.method not in ("GET", "HEAD"):
                    raise self._translated(place, line, e) from e
            line = None

    def _idle(self, place: _Place) -> Line | None:
        """A line that waits; None where a new one is needed."""
        while True:
            with self._lock:
                line = place.idle.pop() if place.idle else None
            if line is None:
                return None
            if self._clock.monotonic_s() - line.idle_since_s < _IDLE_S and line.is_fresh():
                return line
            line.close()

    def _new(self, place: _Place) -> Line:
        if place.tls:
            with self._lock:
                self._trust = self._trust or ssl.create_default_context()
        trust = self._trust if place.tls else None
        return Line(place.host, place.port, self._connect_s, trust, place.admits)

    def _spoken(self, place: _Place, line: Line, call: _Call) -> Answer:
        keep = False
        self._watchdog.begin(line)
        try:
            if self._watchdog.is_closed:
                raise ConnectionAbortedError
            incoming = line.connect()
            if self._watchdog.is_closed:  # while it was made, when there was nothing yet to cut
                raise ConnectionAbortedError
            is_whole = line.send(call.head, call.body, call.progress)
            answer, stays = _read(place, incoming, call)
            if not is_whole and answer.status < 300:
                raise Garbled("it answered before it had everything")
            keep = stays and is_whole
            return answer
        finally:
            self._watchdog.end(line)
            if not (keep and self._kept(place, line)):
                line.close()

    def _kept(self, place: _Place, line: Line) -> bool:
        with self._lock:
            keep = (
                len(place.idle) < self._connections
                and (place.is_given or len(self._places) <= self._most_kept)
                and not self._watchdog.is_closed
            )
            if keep:
                line.idle_since_s = self._clock.monotonic_s()
                place.idle.append(line)
            return keep

    def _translated(self, place: _Place, line: Line, e: Exception) -> ServiceError:
        """The one translation of what sockets, TLS, urllib3 and unread answers say."""
        name = place.name
        if self._watchdog.is_closed:
            return Unreachable(f"the connection to {name} was closed, because this run ends")
        if line.is_overdue:
            return Unreachable(f"the connection to {name} stopped moving: {self._overdue}", _CHECK)
        if line.incoming is not None:
            return Unreachable(f"the connection to {name} broke ({_reason(e)})", _CHECK)
        if isinstance(e, ssl.SSLCertVerificationError):
            return Untrusted(
                f"{name} does not prove that it is {place.host} ({shown(e.verify_message)[:200]})",
                "check the machine's clock, and whether this network puts itself between",
            )
        if isinstance(e, ssl.SSLError) and not isinstance(e, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Untrusted(
                f"{name} does not speak TLS as it should ({_reason(e)})", "check the address and the network"
            )
        if isinstance(e, NameResolutionError):
            return Unheard(f"the name {place.host} is not known", _CHECK)
        if isinstance(e, ConnectTimeoutError) and not isinstance(e, NewConnectionError):
            return Unheard(f"{name} does not answer within {self._connect_s:g} s", _CHECK)
        cause = e.__cause__ if isinstance(e, HTTPError) and isinstance(e.__cause__, OSError) else e
        return Unheard(f"{name} cannot be reached ({_reason(cause)})", _CHECK)


def _read(place: _Place, incoming: Incoming, call: _Call) -> tuple[Answer, bool]:
    """The answer, and whether another request may follow on the same line."""
    head = incoming.head(call.method)
    if 300 <= head.status < 400 and "location" in head.headers:
        raise _redirected(place, head.headers["location"])
    if head.headers.get("content-encoding", "identity").lower() not in call.encodings:
        raise BadAnswer(f"{place.name} answered compressed, which nobody asked for")
    pieces: list[bytes] = []
    take = None if call.sink is None else call.sink(head.status, head.headers)
    most_bytes = call.most_bytes if call.sink is None or take else min(call.most_bytes, _LEFT_BYTES)
    left = most_bytes - (head.length or 0)
    if left >= 0:
        put = take or pieces.append
        for piece in incoming.body(head):
            left -= len(piece) if head.length is None else 0
            if left < 0:
                break
            put(piece)
    if left < 0:
        raise BadAnswer(f"{place.name} answered more than {most_bytes} bytes")
    if take is not None and not incoming.is_empty:
        raise BadAnswer(f"{place.name} answered more than it says")
    return Answer(head.status, head.headers, b"".join(pieces)), head.stays


def _redirected(place: _Place, location: str) -> Redirected:
    try:
        host = urlsplit(redacted(location)).hostname  # which makes small letters of it
    except ValueError:
        host = None
    return Redirected(
        f"{place.name} points to {shown(host or 'another path')[:200]}; nothing was sent there",
        "check the address of the service, and whether this network has a login page",
    )


def _reason(e: BaseException) -> str:
    """Why, in a few words."""
    if isinstance(e, Garbled | Cut):
        return str(e)
    said = (getattr(e, "reason", None) if isinstance(e, ssl.SSLError) else getattr(e, "strerror", None)) or ""
    return shown(str(said))[:200] or type(e).__name__
