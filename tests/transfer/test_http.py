"""The HTTP client over real connections of this machine, to servers that behave and to servers that do not."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import socket
import struct
import threading
import time
from typing import ClassVar

import certificates
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.core.clock import RealClock
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    SafetyRefusal,
    ServiceError,
    Unreachable,
    UnreadableFile,
    UsageError,
    failure_of,
)
from camtrail.core.secrets import Redaction, Secret
from camtrail.transfer import line as line_module
from camtrail.transfer.faultserver import FaultServer, Reply
from camtrail.transfer.http import Answer, Body, Http, Redirected, Unheard, Untrusted, origin_of
from clocks import FakeClock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_RST = struct.pack("ii", 1, 0)


class Scripted:
    """A server whose connections are handled by a function each; the last one handles all further ones."""

    def __init__(self, *scripts, tls=None):
        self.scripts = list(scripts)
        self.tls = tls
        self.accepted = 0
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.connections = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self.closing.is_set():
                sock.close()
                return
            script = self.scripts[min(self.accepted, len(self.scripts) - 1)]
            self.accepted += 1
            self.connections.append(sock)
            thread = threading.Thread(target=self._run, args=(script, sock), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, script, sock):
        with contextlib.suppress(OSError, EOFError):
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self.connections.append(sock)
            script(sock, self.closing)
        with contextlib.suppress(OSError):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self.threads[0].join()
        self.listener.close()
        for sock in self.connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for sock in self.connections:
            sock.close()


def head_of(sock):
    """The head of the next request."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1 if len(data) < 4 else 65536)
        if not more:
            raise EOFError
        data += more
    return data


def says(*pieces, wait_s=0.0, times=1):
    """A script that reads a head and then sends pieces."""

    def script(sock, closing):
        for _ in range(times):
            head_of(sock)
            for piece in pieces:
                sock.sendall(piece)
                if wait_s and closing.wait(wait_s):
                    return

    return script


def keeps_saying(answer=OK):
    return says(answer, times=10_000)


def resets(sock, closing=None):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    sock.close()


def waits(sock, closing=None):
    """Takes everything and never answers."""
    while sock.recv(1 << 16):
        pass


def client(*servers, **options):
    return Http(
        [s if isinstance(s, str) else s.url for s in servers],
        user_agent="camtrail/test",
        clock=RealClock(),
        **options,
    )


def asked(script, *, method="GET", body=None, tls=None, **options):
    """The answer to one request to a scripted server."""
    names = {k: options.pop(k) for k in ("headers", "most_bytes", "progress") if k in options}
    with Scripted(script, tls=tls) as server, client(server, **options) as http:
        return http.request(method, f"{server.url}/a?b=c", body=body, **names)


class Taken:
    """An app that takes bodies."""

    def __init__(self):
        self.bodies = []
        self.headers = []

    def __call__(self, request):
        self.headers.append(request.headers)
        data = bytearray()
        for piece in request.body:
            data += piece
        self.bodies.append(bytes(data))
        return Reply(200, b"thanks", {"X-Two": "words", "Set-Cookie": "a=b"})


@pytest.fixture
def taken():
    return Taken()


@pytest.fixture
def server(taken):
    with FaultServer({"api": taken}) as server:
        server.address = server.url("api")
        yield server


class TestTheAnswer:
    def test_has_status_headers_and_body(self, server):
        with client(server.address) as http:
            answer = http.request("GET", f"{server.address}/x?y=1")
        assert (answer.status, answer.body) == (200, b"thanks")
        assert answer.headers["x-two"] == "words"

    def test_joins_a_header_that_is_there_twice(self):
        answer = asked(says(b"HTTP/1.1 201 Made\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n"))
        assert (answer.status, answer.headers["a"], answer.body) == (201, "1, 2", b"")

    @pytest.mark.parametrize(
        ("raw", "body"),
        [
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                b"abcde",
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
            (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
            (b"HTTP/1.1 204 None\r\n\r\n", b""),
            (b"HTTP/1.1 304 Same\r\n\r\n", b""),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
            (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", b"busy"),
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        ],
    )
    def test_is_read_however_it_is_framed(self, raw, body):
        assert asked(says(raw)).body == body

    def test_has_no_body_when_only_the_head_was_asked_for(self):
        assert asked(says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), method="HEAD").body == b""

    def test_may_arrive_byte_by_byte(self):
        assert asked(says(*(bytes([b]) for b in OK))).body == b"ok"

    @pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b'{"a":1}{', b"[" * 100_000])
    def test_that_is_no_json_says_so(self, body):
        with pytest.raises(BadAnswer) as e:
            Answer(200, {"content-type": "text/html; charset=x"}, body).json()
        assert "text/html" in e.value.message and e.value.retryable

    def test_that_is_json_gives_its_value(self):
        assert Answer(200, {}, b'{"a": [1]}').json() == {"a": [1]}

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101,
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000,
        ],
    )
    def test_that_is_too_long_is_refused(self, raw):
        with pytest.raises(BadAnswer, match="more than 100 bytes"):
            asked(says(raw), most_bytes=100)

    def test_of_just_the_size_is_taken(self):
        assert len(asked(says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100), most_bytes=100).body) == 100

    @pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity", "GZIP"])
    def test_that_is_compressed_is_refused(self, encoding):
        raw = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\nok".encode()
        with pytest.raises(BadAnswer, match="compressed"):
            asked(says(raw))

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9999,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2 \xb2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 100 Go on\r\n\r\n" * 40 + OK,
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 000 Zero\r\n\r\n",
            b"HTTP/1.1 two hundred\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
            b"HTTP/1.1 " + b"2" * 100_000 + b"\r\n\r\n",
        ],
    )
    def test_that_is_cut_off_or_nonsense_may_be_better_next_time(self, raw):
        with pytest.raises(Unreachable) as e:
            asked(says(raw), method="POST")
        assert e.value.retryable and not hasattr(e.value, "is_unheard")
        assert "\n" not in str(e.value)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(raw=st.binary(max_size=200) | st.binary(max_size=100).map(lambda b: b"HTTP/1.1 200 OK\r\n" + b))
    def test_that_is_anything_gives_an_answer_or_a_named_error(self, raw):
        try:
            asked(says(raw), method="POST")
        except (ServiceError, SafetyRefusal) as e:
            assert failure_of("x", e).code != "bug"


class TestWhereItGoes:
    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:{port}/",
            "http://127.0.0.1:{other}/",
            "https://127.0.0.1:{port}/",
            "http://127.0.0.1/",
            "http://127.0.0.1:{port}@example.org/",
            "http://user@127.0.0.1:{port}/",
            "http://127.0.0.1:{port}.example.org/",
            "http://127.0.0.1:{port}?q=secret-in-query",
            "//127.0.0.1:{port}/",
            "/path",
            "file:///etc/passwd",
            "",
        ],
    )
    def test_only_origins_that_were_given(self, server, url):
        port = int(server.address.rpartition(":")[2])
        with client(server.address) as http, pytest.raises(SafetyRefusal) as e:
            http.request("POST", url.format(port=port, other=port + 1), body=b"photo")
        assert e.value.exit_code == 11
        assert "secret" not in str(e.value)
        assert server.requests() == []

    @pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/ä", "/\x00", "/a#b"])
    def test_a_path_that_cannot_be_sent_is_a_mistake(self, server, path):
        with client(server.address) as http, pytest.raises(ValueError):
            http.request("GET", server.address + path)
        assert server.requests() == []

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
    @pytest.mark.parametrize(
        "to", ["http://{there}/x?token=1", "/login?token=1", "https://[bad", "file:///etc"]
    )
    def test_no_redirect_is_followed(self, server, taken, status, to):
        other = Taken()
        with FaultServer({"there": other}) as there:
            where = to.format(there=there.url("there").removeprefix("http://"))
            server.set_faults([f"redirect={where},status={status}"])
            with client(server.address) as http, pytest.raises(Redirected) as e:
                http.request(
                    "POST",
                    f"{server.address}/x",
                    headers={"Authorization": Secret("OAuth abcdefg")},
                    body=b"x",
                )
            assert there.requests() == []
        assert (e.value.code, e.value.exit_code, e.value.retryable) == ("redirect", 11, False)
        assert "token" not in str(e.value)

    def test_a_redirect_names_the_host_that_it_points_to(self):
        raw = b"HTTP/1.1 307 There\r\nLocation: http://portal.example/login?s=1\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(Redirected, match=r"portal\.example"):
            asked(says(raw))

    def test_a_redirect_to_nowhere_is_an_answer(self):
        assert asked(says(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")).status == 302

    def test_environment_and_netrc_change_nothing(self, server, taken, clean, monkeypatch):
        (clean / ".netrc").write_text("machine 127.0.0.1 login me password netrc-password\n")
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        with client(server.address) as http:
            http.request("GET", f"{server.address}/")
        assert "authorization" not in taken.headers[0]

    def test_cookies_are_not_kept(self, server, taken):
        with client(server.address) as http:
            for _ in range(2):
                http.request("GET", f"{server.address}/")
        assert len(taken.headers) == 2
        assert "cookie" not in taken.headers[1]

    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("https://graph.mapillary.com", "https://graph.mapillary.com"),
            ("https://Graph.Mapillary.com:443/a/b", "https://graph.mapillary.com"),
            ("http://127.0.0.1:80/", "http://127.0.0.1"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://[::1]:8443/x", "https://[::1]:8443"),
            ("http://a:443", "http://a:443"),
        ],
    )
    def test_an_origin_has_one_spelling(self, url, origin):
        assert origin_of(url) == origin
        assert origin_of(origin) == origin

    @pytest.mark.parametrize(
        "url",
        ["", "x", "ftp://a", "http://", "https:///a", "http://a:b", "http://a:99999", "http://a:0", "http://u:p@a",
         "http://u@a", "http://a\tb", "http://a b", "http://ä.de", "http://[::1", "javascript:alert(1)", "a.com"],
    )  # fmt: skip
    def test_what_is_no_address_is_refused(self, url):
        with pytest.raises(UsageError) as e:
            origin_of(url)
        assert "u:p" not in str(e.value)


class TestWhatIsSent:
    def test_headers_are_the_needed_ones(self, server, taken):
        with client(server.address) as http:
            http.request("GET", f"{server.address}/", headers={"Offset": "5"})
        assert taken.headers == [
            {
                "host": server.address.removeprefix("http://"),
                "user-agent": "camtrail/test",
                "accept": "*/*",
                "accept-encoding": "identity",
                "offset": "5",
            }
        ]

    @pytest.mark.parametrize("body", [None, b"", b"x", b"y" * 70_000, b"z" * 5_000_000])
    def test_bytes_have_a_length(self, server, taken, body):
        told = []
        with client(server.address) as http:
            http.request("POST", f"{server.address}/", body=body, progress=told.append)
        assert taken.headers[0]["content-length"] == str(len(body or b""))
        assert taken.bodies == [body or b""]
        assert sum(told) == len(body or b"")

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        sizes=st.lists(st.sampled_from([0, 1, 5, 1000, 65_535, 65_536, 65_537, 300_000]), max_size=6),
        chunked=st.booleans(),
        as_views=st.booleans(),
    )
    def test_what_is_made_while_it_is_sent_arrives_whole(self, server, taken, sizes, chunked, as_views):
        pieces = [os.urandom(n) for n in sizes]
        whole = b"".join(pieces)
        body = Body(len(whole), lambda: (memoryview(p) if as_views else p for p in pieces), chunked)
        told = []
        with client(server.address) as http:
            for _ in range(2):
                http.request("POST", f"{server.address}/", body=body, progress=told.append)
        assert taken.bodies[-2:] == [whole, whole]
        assert sum(told) == 2 * len(whole)
        assert ("transfer-encoding" in taken.headers[-1]) == chunked

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize("pieces", [[], [b"abc"], [b"abc", b"defg"], [b"x" * 70_000] * 2])
    def test_a_body_of_another_size_is_a_mistake_and_never_whole(self, server, taken, pieces, chunked):
        with client(server.address) as http:
            with pytest.raises(ValueError, match="of 5 bytes"):
                http.request("POST", f"{server.address}/", body=Body(5, lambda: iter(pieces), chunked))
            assert http.request("GET", f"{server.address}/").status == 200
        assert taken.bodies == [b""]

    @pytest.mark.parametrize("chunked", [False, True])
    def test_what_a_body_raises_passes_and_the_body_is_not_whole(self, server, taken, chunked):
        def chunks():
            yield b"x" * 100_000
            raise UnreadableFile("a.jpg", "is not there")

        with client(server.address) as http, pytest.raises(UnreadableFile):
            http.request("POST", f"{server.address}/", body=Body(200_000, chunks, chunked))
        assert taken.bodies == []

    def test_a_secret_is_sent_and_never_shown(self, server, taken, caplog):
        caplog.set_level(logging.DEBUG)
        caplog.handler.addFilter(Redaction())
        secret = Secret("OAuth canary-1234")
        server.set_faults(["reset=0,method=POST"])
        with client(server.address) as http:
            http.request(
                "GET", f"{server.address}/p?access_token=canary-1234", headers={"Authorization": secret}
            )
            with pytest.raises(Unreachable) as e:
                http.request("POST", f"{server.address}/p", headers={"Authorization": secret}, body=b"x")
        assert taken.headers[0]["authorization"] == "OAuth canary-1234"
        assert "canary" not in caplog.text and "canary" not in str(e.value)
        assert f"GET {server.address}/p: 200" in caplog.text
        assert f"POST {server.address}/p: failed" in caplog.text

    @pytest.mark.parametrize(
        "text", ["canary\r\nX-Evil: 1", "canary\n", "canaryä", "canary\x00", "canary\u2028"]
    )
    def test_a_secret_that_no_header_can_hold(self, server, text):
        with client(server.address) as http, pytest.raises(AuthError) as e:
            http.request("GET", f"{server.address}/", headers={"Authorization": Secret(text)})
        assert "canary" not in str(e.value)
        assert server.requests() == []

    def test_a_header_that_no_request_can_have_is_a_mistake(self, server):
        with client(server.address) as http, pytest.raises(ValueError):
            http.request("GET", f"{server.address}/", headers={"X": "a\r\nb"})
        assert server.requests() == []


class TestConnections:
    def test_are_kept(self):
        with Scripted(keeps_saying()) as server, client(server) as http:
            for _ in range(20):
                assert http.request("GET", f"{server.url}/").body == b"ok"
            assert server.accepted == 1

    @pytest.mark.parametrize(
        "raw",
        [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nok",
        ],
    )
    def test_are_not_kept_where_the_server_will_not(self, raw):
        with Scripted(says(raw)) as server, client(server, stall_s=0.2) as http:
            for _ in range(3):
                with contextlib.suppress(Unreachable):
                    http.request("POST", f"{server.url}/")
            assert server.accepted == 3

    @pytest.mark.parametrize(("rest_s", "connections"), [(29, 1), (31, 2)])
    def test_that_rested_for_long_are_not_used(self, rest_s, connections):
        clock = FakeClock()
        with (
            Scripted(keeps_saying()) as server,
            Http([server.url], user_agent="camtrail/test", clock=clock) as http,
        ):
            for _ in range(2):
                assert http.request("POST", f"{server.url}/").status == 200
                clock.sleep(rest_s)
            assert server.accepted == connections

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_that_were_closed_meanwhile_are_noticed(self, method):
        with Scripted(says(OK)) as server, client(server) as http:
            for _ in range(5):
                assert http.request(method, f"{server.url}/").status == 200
                server.threads[-1].join()
            assert server.accepted == 5

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("ends", [resets, socket.socket.close])
    def test_that_end_when_they_are_used_again(self, method, ends):
        def once(sock, closing):
            says(OK)(sock, closing)
            head_of(sock)
            ends(sock)

        with Scripted(once, keeps_saying()) as server, client(server) as http:
            assert http.request("GET", f"{server.url}/").status == 200
            if method == "GET":
                assert http.request(method, f"{server.url}/").status == 200
                assert server.accepted == 2
            else:  # nobody knows whether the server did it
                with pytest.raises(Unreachable):
                    http.request(method, f"{server.url}/", body=b"x")
                assert server.accepted == 1

    def test_that_fail_when_they_are_new_are_not_tried_again(self):
        with Scripted(resets) as server, client(server) as http:
            with pytest.raises(Unreachable):
                http.request("GET", f"{server.url}/")
            assert server.accepted == 1

    def test_with_something_said_in_between_are_dropped(self):
        def chatty(sock, closing):
            says(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")(sock, closing)
            head_of(sock)

        with Scripted(chatty, keeps_saying()) as server, client(server) as http:
            bodies = {http.request("GET", f"{server.url}/").body for _ in range(3)}
            assert b"evil" not in bodies

    def test_serve_many_threads(self, server, taken):
        data = os.urandom(300_000)
        failures = []

        def work(number):
            for i in range(10):
                n = (number * 31 + i * 7919) % len(data)
                body = Body(len(data) - n, lambda n=n: iter([data[n:]]), bool(i % 2))
                if http.request("POST", f"{server.address}/", body=body).body != b"thanks":
                    failures.append(number)

        with client(server.address, connections=3) as http:
            threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            idle = sum(len(place.idle) for place in http._places.values())
        assert not failures
        assert len(taken.bodies) == 120
        assert all(data.endswith(body) for body in taken.bodies)
        assert 1 <= idle <= 3

    def test_to_nobody_were_not_heard(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with client(url) as http, pytest.raises(Unheard, match=os.strerror(errno.ECONNREFUSED)) as e:
            http.request("POST", f"{url}/", body=b"x")
        assert e.value.retryable and e.value.is_unheard

    def test_to_a_name_that_nobody_knows_were_not_heard(self, monkeypatch):
        def unknown(*_, **__):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with (
            client("http://nowhere.invalid") as http,
            pytest.raises(Unheard, match=r"name nowhere\.invalid is not known"),
        ):
            http.request("GET", "http://nowhere.invalid/")

    def test_that_take_too_long_to_make(self, monkeypatch):
        def slow(*_, **__):
            raise TimeoutError("timed out")

        monkeypatch.setattr(socket.socket, "connect", slow)
        with client("http://127.0.0.1:9") as http, pytest.raises(Unheard, match="within 10 s"):
            http.request("GET", "http://127.0.0.1:9/")

    def test_leave_no_descriptor_open(self, server):
        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("no /proc here")
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with client(server.address) as http, contextlib.suppress(Unreachable):
                http.request("GET", f"{server.address}/")
                server.set_faults(["reset=0"])
                http.request("POST", f"{server.address}/", body=b"x")
        deadline = time.monotonic() + 5
        while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
            time.sleep(0.01)  # the server closes its side a moment later
        assert len(os.listdir("/proc/self/fd")) <= before


class TestEarlyAnswers:
    BIG = 30_000_000

    def body(self, chunked):
        piece = bytes(1 << 20)
        return Body(
            self.BIG,
            lambda: (piece[: min(1 << 20, self.BIG - at)] for at in range(0, self.BIG, 1 << 20)),
            chunked,
        )

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize("end", ["reset", "close", "stay"])
    @pytest.mark.parametrize("status", [401, 413])
    def test_are_read(self, status, end, chunked):
        def script(sock, closing):
            head_of(sock)
            sock.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nno!".encode())
            if end == "stay":
                closing.wait(30)
            elif end == "close":  # the system resets, since there is unread data
                closing.wait(0.05)
                sock.close()
            else:
                closing.wait(0.05)
                resets(sock)

        with Scripted(script) as server, client(server) as http:
            answer = http.request("POST", f"{server.url}/", body=self.body(chunked))
        assert (answer.status, answer.body) == (status, b"no!")

    @pytest.mark.parametrize("chunked", [False, True])
    def test_are_read_through_tls(self, chunked, trusted):
        def script(sock, closing):
            head_of(sock)
            sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nno!")
            time.sleep(0.05)

        with Scripted(script, tls=certificates.context(certificates.VALID)) as server, client(server) as http:
            try:
                assert http.request("POST", f"{server.url}/", body=self.body(chunked)).status == 413
            except Unreachable as e:  # where the reset overtook the answer
                assert not hasattr(e, "is_unheard")

    @pytest.mark.parametrize("chunked", [False, True])
    def test_that_claim_success_are_none(self, chunked):
        def script(sock, closing):
            head_of(sock)
            sock.sendall(OK)
            closing.wait(30)

        with pytest.raises(Unreachable, match="before it had everything"):
            asked(script, method="POST", body=self.body(chunked))

    @pytest.mark.parametrize("chunked", [False, True])
    def test_that_are_none_are_a_broken_connection(self, chunked):
        def script(sock, closing):
            head_of(sock)
            resets(sock)

        with pytest.raises(Unreachable) as e:
            asked(script, method="POST", body=self.body(chunked))
        assert not hasattr(e.value, "is_unheard")


@pytest.fixture(params=["kernel", "counted"])
def watched(request, monkeypatch):
    """The watchdog asks the kernel where that can tell, and counts by itself elsewhere."""
    if request.param == "counted":
        monkeypatch.setattr(line_module, "_TCP_INFO", None)
    elif line_module._TCP_INFO is None:
        pytest.skip("the kernel does not tell")


def drips(raw):
    return says(*(bytes([b]) for b in raw), wait_s=0.02)


@pytest.mark.usefixtures("watched")
class TestTheWatchdog:
    QUICK: ClassVar = {"stall_s": 0.12, "least_bytes_per_s": 1 << 24}

    @pytest.mark.parametrize(
        "script",
        [
            waits,
            drips(OK[:-1] + b"HTTP" * 1000),
            drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + bytes(9999)),
            drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 9999),
            drips(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9999),
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", wait_s=99),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_ends_what_does_not_move(self, script, method):
        with Scripted(script) as server, client(server, **self.QUICK) as http:
            with pytest.raises(Unreachable, match="stopped moving") as e:
                http.request(method, f"{server.url}/", body=b"x" * 100_000 if method == "POST" else None)
            assert server.accepted == 1
        assert e.value.retryable and not hasattr(e.value, "is_unheard")

    def test_ends_a_body_that_nobody_reads(self):

        def script(sock, closing):
            head_of(sock)
            closing.wait(30)

        with Scripted(script) as server, client(server, **self.QUICK) as http:
            body = Body(30_000_000, lambda: iter([bytes(1_000_000)] * 30), True)
            with pytest.raises(Unreachable, match="stopped moving"):
                http.request("POST", f"{server.url}/", body=body)

    def test_ends_a_tls_handshake_that_nobody_answers(self, trusted):
        with Scripted(lambda sock, closing: closing.wait(30)) as server:
            url = server.url.replace("http:", "https:")
            with client(url, **self.QUICK) as http, pytest.raises(Unreachable, match="stopped moving"):
                http.request("GET", f"{url}/")

    def test_leaves_alone_what_is_slow(self):
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 120000\r\n\r\n" + bytes(120_000)
        pieces = [raw[at : at + 6000] for at in range(0, len(raw), 6000)]
        answer = asked(says(*pieces, wait_s=0.03), stall_s=0.3, least_bytes_per_s=1024)
        assert len(answer.body) == 120_000

    def test_leaves_alone_a_body_that_is_read_slowly(self):
        def script(sock, closing):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            left = 2_000_000 - len(head_of(sock).partition(b"\r\n\r\n")[2])
            while left > 0 and not closing.wait(0.02):
                left -= len(sock.recv(100_000))
            sock.sendall(OK)

        pieces = [bytes(50_000)] * 40
        answer = asked(
            script,
            method="POST",
            body=Body(2_000_000, lambda: iter(pieces)),
            stall_s=0.3,
            least_bytes_per_s=1024,
        )
        assert answer.body == b"ok"

    def test_has_nothing_to_say_about_connections_that_wait(self):
        with Scripted(keeps_saying()) as server, client(server, stall_s=0.05, least_bytes_per_s=1024) as http:
            for _ in range(3):
                assert http.request("GET", f"{server.url}/").status == 200
                time.sleep(0.15)
            assert server.accepted == 1


class TestClosing:
    def test_ends_calls_that_are_going_on(self):
        caught = []
        asked = threading.Event()

        def script(sock, closing):
            head_of(sock)
            asked.set()
            waits(sock)

        with Scripted(script) as server:
            http = client(server)

            def call():
                with pytest.raises(Unreachable, match="this run ends") as e:
                    http.request("GET", f"{server.url}/")
                caught.append(e.value)

            thread = threading.Thread(target=call)
            thread.start()
            assert asked.wait(10)
            http.close()
            thread.join(10)
            assert len(caught) == 1 and server.accepted == 1

    def test_ends_a_body_on_its_way(self):
        asked = threading.Event()

        def script(sock, closing):
            head_of(sock)
            asked.set()
            asked.wait()
            while not closing.wait(0.01):
                pass

        caught = []
        with Scripted(script) as server:
            http = client(server)

            def call():
                try:
                    http.request(
                        "POST", f"{server.url}/", body=Body(10**9, lambda: iter([bytes(10**6)] * 1000))
                    )
                except Unreachable as e:
                    caught.append(e)

            thread = threading.Thread(target=call)
            thread.start()
            assert asked.wait(10)
            http.close()
            thread.join(10)
        assert len(caught) == 1

    def test_ends_a_connection_that_is_only_made_then(self, monkeypatch):
        connected = line_module.Line.connect

        def late(line):
            http.close()
            return connected(line)

        monkeypatch.setattr(line_module.Line, "connect", late)
        caught = []
        with Scripted(waits) as server:
            http = client(server)

            def call():
                with pytest.raises(Unreachable, match="this run ends") as e:
                    http.request("GET", f"{server.url}/")
                caught.append(e.value)

            thread = threading.Thread(target=call)
            thread.start()
            thread.join(10)
            assert len(caught) == 1

    def test_is_for_good(self, server):
        http = client(server.address)
        assert http.request("GET", f"{server.address}/").status == 200
        http.close()
        http.close()
        with pytest.raises(Unreachable, match="this run ends"):
            http.request("GET", f"{server.address}/")
        assert len(server.requests()) == 1


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """The machine trusts the authority of the test certificates."""
    path = tmp_path / "authority.pem"
    path.write_text(certificates.AUTHORITY)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))


@pytest.mark.usefixtures("trusted")
class TestTls:
    def test_that_holds(self):
        tls = certificates.context(certificates.VALID)
        with Scripted(keeps_saying(), tls=tls) as server, client(server) as http:
            for _ in range(3):
                assert http.request("GET", f"{server.url}/").body == b"ok"
            assert server.accepted == 1

    @pytest.mark.parametrize("chunked", [False, True])
    def test_carries_big_bodies(self, chunked):
        data = os.urandom(3_000_000)
        taken = bytearray()

        def script(sock, closing):
            got = head_of(sock)
            taken.extend(got.partition(b"\r\n\r\n")[2])
            while not taken.endswith(b"0\r\n\r\n" if chunked else data[-20:]):
                taken.extend(sock.recv(1 << 16))
            sock.sendall(OK)

        tls = certificates.context(certificates.VALID)
        answer = asked(script, method="POST", tls=tls, body=Body(len(data), lambda: iter([data]), chunked))
        assert answer.body == b"ok"
        assert data in taken if chunked else taken == data

    @pytest.mark.parametrize(
        ("certificate", "word"),
        [
            (certificates.EXPIRED, "expired"),
            (certificates.SELF_SIGNED, "self-signed|self signed"),
            (certificates.ELSEWHERE, "not valid for"),
        ],
    )
    def test_that_does_not_hold_ends_it(self, certificate, word):
        with pytest.raises(Untrusted, match=word) as e:
            asked(keeps_saying(), tls=certificates.context(certificate))
        assert (e.value.code, e.value.exit_code, e.value.retryable) == ("tls", 5, False)

    def test_of_an_unknown_authority_ends_it(self, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(Untrusted):
            asked(keeps_saying(), tls=certificates.context(certificates.VALID))

    def test_that_is_none_ends_it(self):
        with Scripted(says(OK)) as server:
            url = server.url.replace("http:", "https:")

            def plain(sock, closing):
                sock.recv(1 << 16)
                sock.sendall(OK)

            server.scripts = [plain]
            with client(url) as http, pytest.raises(Untrusted, match="TLS"):
                http.request("GET", f"{url}/")

    def test_that_is_cut_off_may_be_better_next_time(self):
        def cut(sock, closing):
            sock.recv(100)
            resets(sock)

        with Scripted(cut) as server:
            url = server.url.replace("http:", "https:")
            with client(url) as http, pytest.raises(Unheard):
                http.request("GET", f"{url}/")

    def test_that_turns_to_garbage_may_be_better_next_time(self):
        def garbled(sock, closing):
            head_of(sock)
            os.write(sock.fileno(), os.urandom(2000))

        with pytest.raises(Unreachable) as e:
            asked(garbled, tls=certificates.context(certificates.VALID))
        assert not hasattr(e.value, "is_unheard")
