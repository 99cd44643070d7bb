"""The stand-in server: HTTP as it should be, and every way in which it can fail."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import UsageError
from camtrail.transfer.faultserver import BodyCut, FaultServer, Reply, Request, json_reply


class Keeper:
    """An app that keeps what arrives, by path, and answers with its length."""

    def __init__(self) -> None:
        self.kept: dict[str, bytearray] = {}
        self.whole: set[str] = set()

    def __call__(self, request: Request) -> Reply:
        data = self.kept.setdefault(request.path, bytearray())
        if request.path == "/stream":
            return Reply(200, iter([b"one", b"", b"two"]))
        if request.path == "/file":
            return Reply(206, iter([b"one", b"two"]), {"Content-Length": "6"})
        if request.path == "/early":
            return Reply(412, b"no")
        for piece in request.body:
            data += piece
        self.whole.add(request.path)
        told = {"bytes": len(data), "query": request.parameters(), "origin": request.origin}
        return json_reply(told)


class Wire:
    """A client that sends what it is told to."""

    def __init__(self, server: FaultServer, origin: str = "api") -> None:
        at = urlsplit(server.url(origin))
        self.sock = socket.create_connection((at.hostname, at.port), timeout=30)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Wire:
        self.sock.sendall(data)
        return self

    def rest(self) -> bytes:
        """Everything until the other side ends. Raises ConnectionResetError."""
        out = b""
        while data := self.sock.recv(65536):
            out += data
        return out

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One answer of a known length."""
        return read(self.sock)


def read(sock: socket.socket, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    answer = http.client.HTTPResponse(sock, method=method)
    answer.begin()
    body = answer.read()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, body
    answer.close()
    return found


def get(path: str = "/", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(path: str, pieces: list[bytes]) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"


def arrived(pieces: list[bytes], cut: int) -> Iterator[bytes]:
    """What is in the first `cut` bytes of a request in chunks."""
    cut -= len(chunked("/x", [])) - len(b"0\r\n\r\n")
    for piece in pieces:
        cut -= len(b"%x\r\n" % len(piece))
        yield piece[: max(cut, 0)]
        cut -= len(piece) + 2


@pytest.fixture
def app() -> Keeper:
    return Keeper()


@pytest.fixture
def server(app: Keeper) -> Iterator[FaultServer]:
    with FaultServer({"api": app, "pictures": app}) as made:
        yield made


def told(server: FaultServer, path: str = "/_sandbox/requests") -> object:
    with Wire(server) as wire:
        return json.loads(wire.send(get(path)).answer()[2])


class TestHttp:
    def test_many_requests_on_one_connection(self, server, app):
        with Wire(server) as wire:
            for i in range(3):
                status, headers, body = wire.send(post(f"/{i}?a=1&b=%20", b"x" * i)).answer()
                assert status == 200 and headers["content-type"] == "application/json"
                assert json.loads(body) == {"bytes": i, "query": {"a": "1", "b": " "}, "origin": "api"}
        assert app.whole == {"/0", "/1", "/2"}

    def test_origins_have_ports_of_their_own(self, server):
        assert server.url("api") != server.url("pictures")
        with Wire(server, "pictures") as wire:
            assert json.loads(wire.send(get()).answer()[2])["origin"] == "pictures"

    def test_requests_that_come_together(self, server):
        with Wire(server) as wire:
            data = wire.send(
                post("/a", b"12") + chunked("/b", [b"3", b"45"]) + b"GET / HTTP/1.0\r\n\r\n"
            ).rest()
        assert data.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert [data.count(b'{"bytes":%d,' % n) for n in (0, 2, 3)] == [1, 1, 1]

    def test_a_head_has_no_body(self, server):
        with Wire(server) as wire:
            wire.send(b"HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            head, _, body = wire.rest().partition(b"\r\n\r\n")
        assert b"Content-Length: " in head and body == b""

    def test_bodies_that_are_streamed(self, server):
        with Wire(server) as wire:
            status, headers, body = wire.send(get("/stream")).answer()
            assert (status, headers["transfer-encoding"], body) == (200, "chunked", b"onetwo")
            status, headers, body = wire.send(get("/file")).answer()
            assert (status, headers["content-length"], body) == (206, "6", b"onetwo")

    def test_a_client_that_asks_first_whether_it_may_send(self, server):
        with Wire(server) as wire:
            wire.send(b"POST /x HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert wire.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert wire.send(b"ab").answer()[0] == 200

    def test_an_answer_before_the_body_was_read_leaves_the_connection_usable(self, server):
        with Wire(server) as wire:
            assert wire.send(post("/early", b"x" * 3_000_000)).answer()[0] == 412
            assert wire.send(get("/x")).answer()[0] == 200

    @pytest.mark.parametrize("headers", ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nConnection: close\r\n\r\n"])
    def test_the_connection_ends_when_the_client_says_so(self, server, headers):
        with Wire(server) as wire:
            assert b"200 OK" in wire.send(b"GET / " + headers.encode()).rest()

    @pytest.mark.parametrize(
        "data",
        [
            b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ],
    )  # fmt: skip
    def test_nonsense_is_refused(self, server, data):
        with Wire(server) as wire:
            assert wire.send(data).rest().startswith(b"HTTP/1.1 400 ")

    def test_a_head_without_end_is_refused(self, server):
        with Wire(server) as wire:
            assert wire.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 600_000).rest().startswith(b"HTTP/1.1 400 ")

    def test_an_absolute_target(self, server, app):
        with Wire(server) as wire:
            assert wire.send(get("http://elsewhere:80/x?q=1")).answer()[0] == 200
        assert "/x" in app.whole

    def test_sixteen_connections_at_once(self, server, app):
        def one(k: int) -> list[int]:
            with Wire(server) as wire:
                return [
                    json.loads(wire.send(post(f"/{k}/{i}", bytes(1000 * k + i))).answer()[2])["bytes"]
                    for i in range(20)
                ]

        with ThreadPoolExecutor(16) as pool:
            got = list(pool.map(one, range(16)))
        assert got == [[1000 * k + i for i in range(20)] for k in range(16)]
        log = server.requests()
        assert [entry.number for entry in log] == list(range(1, 321))
        assert sum(entry.body_bytes for entry in log) == sum(map(sum, got))


class TestBodies:
    @given(st.lists(st.binary(max_size=3000), max_size=8), st.integers(0, 9000), st.booleans())
    def test_a_reset_keeps_exactly_what_came_before(self, pieces, count, in_chunks):
        sent = b"".join(pieces)
        app = Keeper()
        data = chunked("/x", pieces) if in_chunks else post("/x", sent)
        with FaultServer({"api": app}, faults=[f"reset={count}"]) as server, Wire(server) as wire:
            with pytest.raises(ConnectionError):
                wire.send(data).rest()
                raise AssertionError("no reset")
            (entry,) = server.requests()
        assert app.kept.get("/x", b"") == sent[:count]
        assert entry.body_bytes == min(count, len(sent)) and entry.status is None
        assert app.whole == set()

    @given(st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=8), st.data())
    def test_a_client_that_hangs_up_leaves_a_beginning(self, pieces, drawn):
        data = chunked("/x", pieces)
        cut = drawn.draw(st.integers(0, len(data) - 1))
        app = Keeper()
        with FaultServer({"api": app}) as server, Wire(server) as wire:
            wire.send(data[:cut])
            wire.sock.shutdown(socket.SHUT_WR)
            assert wire.rest() == b""
        assert app.kept.get("/x", b"") == b"".join(arrived(pieces, cut))
        assert app.whole == set()

    @given(st.lists(st.binary(max_size=3000), max_size=8), st.lists(st.integers(1, 5000), max_size=6))
    def test_pieces_do_not_depend_on_how_the_bytes_travel(self, pieces, cuts):
        app = Keeper()
        data = chunked("/x", pieces)
        with FaultServer({"api": app}) as server, Wire(server) as wire:
            for n in cuts:
                wire.send(data[:n])
                data = data[n:]
            assert wire.send(data).answer()[0] == 200
        assert app.kept["/x"] == b"".join(pieces)

    def test_a_body_larger_than_every_buffer(self, server, app):
        data = bytes(range(256)) * 40_000
        with Wire(server) as wire:
            wire.send(post("/x", data)).answer()
            wire.send(chunked("/y", [data[:5_000_001], data[5_000_001:]])).answer()
        assert app.kept["/x"] == app.kept["/y"] == data

    def test_what_came_before_a_cut_can_be_read_and_the_end_is_told(self, server):
        seen = []

        def app(request: Request) -> Reply:
            try:
                request.body.read()
            except BodyCut:
                seen.append((request.body.received_bytes, request.body.ended))
                raise
            return Reply()

        with FaultServer({"api": app}) as other, Wire(other) as wire:
            wire.send(post("/x", b"abc")[:-1])
            wire.sock.shutdown(socket.SHUT_WR)
            wire.rest()
        assert seen == [(2, False)]


class TestFaults:
    @pytest.fixture
    def pauses(self) -> list[float]:
        return []

    @pytest.fixture
    def server(self, app: Keeper, pauses: list[float]) -> Iterator[FaultServer]:
        with FaultServer({"api": app, "pictures": app}, pause=pauses.append) as made:
            yield made

    def test_a_status(self, server, app):
        server.set_faults(["status=503,retry-after=Fri, 31 Dec 1999 23:59:59 GMT,body=busy,type=text/plain"])
        with Wire(server) as wire:
            status, headers, body = wire.send(post("/x", b"abc")).answer()
            assert (status, body) == (503, b"busy")
            assert headers["retry-after"] == "Fri, 31 Dec 1999 23:59:59 GMT"
            assert headers["content-type"] == "text/plain"
            server.set_faults(["status=429"])
            assert wire.send(get()).answer()[::2] == (429, b"{}")
        assert app.kept == {}
        assert [(e.status, e.body_bytes) for e in server.requests()] == [(503, 3), (429, 0)]

    def test_a_status_before_the_body_was_read(self, server):
        server.set_faults(["status=413,early=yes"])
        with Wire(server) as wire:
            wire.send(post("/x", b"abc")[:-2])  # the rest never comes
            assert wire.answer()[0] == 413
            wire.sock.shutdown(socket.SHUT_WR)
            assert wire.rest() == b""

    def test_a_reset_without_keeping(self, server, app):
        server.set_faults(["reset=2,keep=no"])
        with Wire(server) as wire, pytest.raises(ConnectionError):
            wire.send(post("/x", b"abc")).rest()
        assert app.kept == {} and server.requests()[0].body_bytes == 2

    def test_a_reset_of_a_request_without_body_is_not_carried_out(self, server, app):
        server.set_faults(["reset=5"])
        with Wire(server) as wire, pytest.raises(ConnectionError):
            wire.send(get("/x")).rest()
        assert app.kept == {}

    def test_a_lost_answer(self, server, app):
        server.set_faults(["lost"])
        with Wire(server) as wire, pytest.raises(ConnectionError):
            wire.send(post("/x", b"abc")).rest()
        assert app.whole == {"/x"}
        assert [(e.fault, e.status) for e in server.requests()] == [("lost", 200)]

    def test_a_stall_says_nothing_and_hangs_up(self, app):
        asked, goes_on = threading.Event(), threading.Event()

        def pause(seconds: float) -> None:
            assert seconds == 3600
            asked.set()
            assert goes_on.wait(30)

        with FaultServer({"api": app}, faults=["stall=1h"], pause=pause) as server, Wire(server) as wire:
            wire.send(get("/x"))
            assert asked.wait(30)
            wire.sock.settimeout(0)
            with pytest.raises(BlockingIOError):
                wire.sock.recv(1)
            wire.sock.settimeout(30)
            goes_on.set()
            assert wire.rest() == b""
        assert app.kept == {}

    def test_a_stall_ends_with_the_server(self, app):
        with FaultServer({"api": app}, faults=["stall=1e12"]) as server, Wire(server) as wire:
            wire.send(get("/x"))
            while not server.requests():
                pass
            server.close()
            assert wire.rest() == b""

    def test_a_late_answer(self, server, app, pauses):
        server.set_faults(["delay=90"])
        with Wire(server) as wire:
            assert wire.send(post("/x", b"abc")).answer()[0] == 200
        assert pauses == [90.0] and app.whole == {"/x"}

    @pytest.mark.parametrize("speed", [1, 100, 10_000])
    def test_an_answer_that_drips(self, server, pauses, speed):
        server.set_faults([f"drip={speed}"])
        with Wire(server) as wire:
            wire.send(b"GET /stream HTTP/1.0\r\n\r\n")
            data = wire.rest()
        assert data.endswith(b"\r\n\r\nonetwo")
        assert len(data) <= speed * sum(pauses) < len(data) + max(speed, 20) * 0.05 + 1
        assert max(pauses) <= max(0.05, 1 / speed) + 1e-9

    def test_a_body_that_is_read_slowly(self, server, app, pauses):
        server.set_faults(["slow=1000"])
        with Wire(server) as wire:
            assert wire.send(post("/x", bytes(1234))).answer()[0] == 200
        assert sum(pauses) == pytest.approx(1.234) and max(pauses) <= 0.05
        assert len(app.kept["/x"]) == 1234

    @pytest.mark.parametrize(("path", "body"), [("/stream", b"onetwo"), ("/file", b"onetwo")])
    def test_an_answer_that_is_cut_short(self, server, path, body):
        server.set_faults(["truncate=2"])
        with Wire(server) as wire:
            head, _, data = wire.send(get(path)).rest().partition(b"\r\n\r\n")
        assert b"Content-Length: 6" in head and data == body[:-2]

    def test_an_answer_that_is_cut_to_nothing(self, server):
        server.set_faults(["truncate=1000"])
        with Wire(server) as wire:
            assert wire.send(get("/file")).rest().endswith(b"\r\n\r\n")

    @pytest.mark.parametrize(("delta", "length"), [(3, b"9"), (-2, b"4"), (-100, b"0")])
    def test_a_wrong_length_on_a_connection_that_stays(self, server, delta, length):
        server.set_faults([f"length={delta},nth=1"])
        with Wire(server) as wire:
            wire.send(get("/file") + b"GET /gone HTTP/1.0\r\n\r\n")
            first, _, rest = wire.rest().partition(b"\r\n\r\n")
        assert b"Content-Length: " + length in first
        assert rest.startswith(b"onetwoHTTP/1.1 200 OK")

    def test_a_redirect(self, server, app):
        server.set_faults(["redirect=http://127.0.0.1:1/x?a,b,times=1", "redirect=/y,status=301"])
        with Wire(server) as wire:
            status, headers, _ = wire.send(post("/x", b"abc")).answer()
            assert (status, headers["location"]) == (307, "http://127.0.0.1:1/x?a,b")
            status, headers, _ = wire.send(get()).answer()
            assert (status, headers["location"]) == (301, "/y")
        assert app.kept == {}

    def test_garbage(self, server):
        server.set_faults([r"raw=\x16\x03\xff\r\n"])
        with Wire(server) as wire:
            assert wire.send(post("/x", b"abc")).rest() == b"\x16\x03\xff\r\n"

    def test_the_page_of_a_hotel(self, server):
        server.set_faults(["html"])
        with Wire(server) as wire:
            status, headers, body = wire.send(get()).answer()
        assert status == 200 and headers["content-type"].startswith("text/html") and b"<html>" in body

    def test_json_of_ones_own(self, server):
        server.set_faults(['json={"offset":true,"x":[1,2]},status=201'])
        with Wire(server) as wire:
            status, headers, body = wire.send(get()).answer()
        assert (status, headers["content-type"]) == (201, "application/json")
        assert json.loads(body) == {"offset": True, "x": [1, 2]}


class TestSelection:
    def statuses(self, server: FaultServer, *asked: tuple[str, bytes]) -> list[int]:
        got = []
        for origin, data in asked:
            with Wire(server, origin) as wire:
                got.append(wire.send(data).answer()[0])
        return got

    @pytest.mark.parametrize(
        ("which", "hit"),
        [
            ("", [1, 2, 3, 4, 5, 6]), (",nth=2", [2]), (",nth=2-3", [2, 3]), (",nth=5-", [5, 6]), (",times=2", [1, 2]),
            (",nth=2-,times=1", [2]), (",rate=0", []), (",rate=100%", [1, 2, 3, 4, 5, 6]), (",origin=pictures", []),
            (",method=get", [1, 2, 3, 4, 5, 6]), (",method=POST", []), (",path=/a?", []), (",path=/*", [1, 2, 3, 4, 5, 6]),
        ],
    )  # fmt: skip
    def test_which_requests(self, server, which, hit):
        server.set_faults([f"status=500{which}"])
        got = self.statuses(server, *[("api", get("/a?token=1"))] * 6)
        assert [i for i, s in enumerate(got, 1) if s == 500] == hit

    def test_numbers_are_of_the_requests_that_it_concerns(self, server):
        server.set_faults(
            ["status=500,origin=pictures,nth=2", "status=501,path=/b,nth=1", "status=502,nth=4"]
        )
        asked = [
            ("api", get()),
            ("pictures", get()),
            ("api", get("/b")),
            ("pictures", get("/b")),
            ("api", get("/b")),
        ]
        assert self.statuses(server, *asked) == [200, 200, 501, 500, 200]
        server.set_faults(["status=502,nth=1"])
        assert self.statuses(server, ("api", get())) == [502]

    def test_the_first_that_applies_is_carried_out(self, server):
        server.set_faults(["status=500,nth=2", "status=501,nth=2-3"])
        assert self.statuses(server, *[("api", get())] * 4) == [200, 500, 501, 200]


class TestControl:
    def test_the_log_has_no_value_of_a_credential_and_no_query(self, server):
        with Wire(server) as wire:
            secret = "canary-5ecret"
            wire.send(
                get(f"/x?access_token={secret}", f"Authorization: OAuth {secret}", f"Cookie: {secret}")
            ).answer()
            wire.send(post("/y", b"abc", "Offset: 17", "Range: bytes=5-")).answer()
        log = told(server)
        assert secret not in json.dumps(log)
        assert log == [
            {
                "number": 1, "origin": "api", "method": "GET", "path": "/x", "offset": None, "range": None,
                "authorization": True, "cookie": True, "fault": None, "status": 200, "body_bytes": 0,
            },
            {
                "number": 2, "origin": "api", "method": "POST", "path": "/y", "offset": "17", "range": "bytes=5-",
                "authorization": False, "cookie": False, "fault": None, "status": 200, "body_bytes": 3,
            },
        ]  # fmt: skip

    def test_faults_are_replaced(self, server):
        with Wire(server) as wire:
            faults = ["status=503,path=/x", "lost,nth=9"]
            status, _, body = wire.send(post("/_sandbox/faults", json.dumps(faults).encode())).answer()
            assert (status, json.loads(body)) == (200, {"faults": faults})
            assert wire.send(get("/x")).answer()[0] == 503
            wire.send(post("/_sandbox/faults", b"[]")).answer()
            assert wire.send(get("/x")).answer()[0] == 200
        assert [e.fault for e in server.requests()] == ["status=503,path=/x", None]

    @pytest.mark.parametrize(
        ("sent", "words"),
        [(b"{", "no JSON"), (b"[" * 100_000, "no JSON"), (b'"lost"', "no JSON list"), (b'["loss"]', "no action 'loss'")],
    )  # fmt: skip
    def test_wrong_faults_are_refused_and_the_old_ones_stay(self, server, sent, words):
        server.set_faults(["status=418"])
        with Wire(server) as wire:
            status, _, body = wire.send(post("/_sandbox/faults", sent)).answer()
            assert status == 400 and words in json.loads(body)["error"]
            assert wire.send(get("/x")).answer()[0] == 418

    def test_its_own_paths_meet_no_faults(self, server):
        server.set_faults(["lost"])
        assert told(server) == []

    def test_a_taken_port(self, server, app):
        taken = urlsplit(server.url("api")).port
        with pytest.raises(UsageError, match=f"port {taken} cannot be used"):
            FaultServer({"api": app}, port=taken)

    def test_a_wrong_fault_opens_nothing(self, app):
        with pytest.raises(UsageError, match="there is no action 'x'"):
            FaultServer({"api": app}, faults=["x"])


class TestClosing:
    def test_connections_and_threads_end(self, app):
        before = threading.active_count()
        with FaultServer({"api": app}) as server:
            wires = [Wire(server) for _ in range(5)]
            wires[0].send(get()).answer()
            wires[1].send(post("/x", b"abc")[:-1])
            server.close()
            for wire in wires:
                with wire, contextlib.suppress(ConnectionError):
                    assert wire.rest() == b""
            with pytest.raises(OSError):
                Wire(server)
        assert threading.active_count() == before
        assert server.url("api").startswith("http://127.0.0.1:")
