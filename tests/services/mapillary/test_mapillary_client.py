"""The client against the stand-in over real HTTP, and what it makes of answers that are none."""

from __future__ import annotations

import contextlib
import json
import logging
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.clock import RealClock
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    QuotaExceeded,
    Rejected,
    SafetyRefusal,
    Unreachable,
    UsageError,
)
from camtrail.core.secrets import Redaction, Secret
from camtrail.services.mapillary import wire
from camtrail.services.mapillary.client import Client
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.wire import Account, Endpoints, Organization
from camtrail.transfer.faultserver import FaultServer, Reply
from camtrail.transfer.http import Answer, Body, Http
from camtrail.transfer.pace import Pace
from camtrail.transfer.queue import Queue
from camtrail.transfer.resume import Resumable, RetryPolicy
from camtrail.transfer.retry import BadOffset, Gone, WrongOffset

TOKEN = Secret("canary-token-1")


@pytest.fixture
def box():
    with MapillarySandbox(keep=True) as box:
        yield box


@pytest.fixture
def client(box):
    with http_to(box.url) as http:
        yield Client(http, Endpoints.of(box.url), TOKEN)


def http_to(url, **more):
    return Http(Endpoints.of(url).origins, user_agent="camtrail/test", clock=RealClock(), **more)


def whole(data):
    return Body(len(data), lambda: iter([data]))


def published(client, *contents):
    """The handle of a list of these images."""
    handles = [client.send(f"camtrail_{c.hex()}.jpg", 0, whole(c)) for c in contents]
    return client.send("list.json", 0, whole(wire.manifest(handles)))


class TestCalls:
    def test_say_who_the_token_belongs_to(self, client):
        account = client.me()
        assert account.name == "canary-token-1" and account.id.isdigit()
        assert client.me() == account

    def test_say_what_an_organization_is(self, client):
        assert client.organization("123") == Organization("123", "sandbox_123", "Sandbox 123")

    def test_log_in(self, client, box):
        login = client.login("jo@example.org", Secret("right-password"), Secret("MLY|1|secret"))
        assert login.token and login.user_id.isdigit()
        assert box.received()["logins"] == 1

    def test_say_in_the_services_words_why_not(self, client):
        with pytest.raises(AuthError) as e:
            client.login("jo@example.org", Secret("wrong"), Secret("MLY|1|secret"))
        assert "Incorrect Password" in e.value.message and "password that you've entered" in e.value.message
        assert e.value.exit_code == 6

    def test_upload_and_publish(self, client, box):
        cluster = client.finish(published(client, b"one", b"two"), None)
        assert cluster.isdigit()
        received = box.received()
        assert [i["bytes"] for i in received["images"]] == [3, 3]
        assert received["manifests"][0]["times"] == 1
        assert received["manifests"][0]["cluster_id"] == cluster
        assert received["manifests"][0]["organization_id"] is None

    def test_publish_for_an_organization(self, client, box):
        client.finish(published(client, b"one"), "42")
        assert box.received()["manifests"][0]["organization_id"] == "42"

    def test_ask_how_much_is_there_and_go_on(self, client, box):
        data = bytes(range(256)) * 2000
        assert client.offset("k.jpg") == 0
        box.set_faults(["reset=100000,method=POST"])
        with pytest.raises(Unreachable):
            client.send("k.jpg", 0, whole(data))
        box.set_faults([])
        there = client.offset("k.jpg")
        assert 0 < there < len(data)
        client.send("k.jpg", there, whole(data[there:]))
        assert box.content("k.jpg") == data

    def test_give_the_handle_again_for_nothing_more(self, client):
        handle = client.send("k.jpg", 0, whole(b"abc"))
        assert client.send("k.jpg", 3, whole(b"")) == handle

    def test_send_what_the_service_needs_to_know(self, client, box):
        client.offset("k.jpg")
        client.send("k.jpg", 0, whole(b"abc"))
        asked, sent = box.requests()
        assert (asked.method, asked.path) == ("GET", "/mapillary_public_uploads/k.jpg")
        assert (sent.method, sent.path, sent.offset) == ("POST", "/mapillary_public_uploads/k.jpg", "0")
        assert asked.authorization and sent.authorization and not sent.cookie

    @pytest.mark.parametrize("key", ["a/../b", "ä ö.jpg", "a?b#c", "%2f", "a\r\nX: y"])
    def test_put_odd_keys_into_one_piece_of_a_path(self, client, box, key):
        with contextlib.suppress(Rejected):
            client.offset(key)
        (asked,) = box.requests()
        assert asked.path.count("/") == 2 and asked.path.isascii() and " " not in asked.path

    def test_are_one_attempt_each(self, client, box):
        box.set_faults(["status=503"])
        calls = [
            client.me,
            lambda: client.organization("1"),
            lambda: client.offset("k"),
            lambda: client.send("k", 0, whole(b"x")),
            lambda: client.finish("h", None),
            lambda: client.login("a", Secret("b"), Secret("c")),
        ]
        for number, call in enumerate(calls, 1):
            with pytest.raises(CamtrailError) as e:
                call()
            assert e.value.retryable
            assert len(box.requests()) == number


class TestErrors:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ("status=400", Rejected),
            ("status=413", Rejected),
            ("status=404", Gone),
            ("status=401", AuthError),
            ("status=403", AuthError),
            ("status=412", WrongOffset),
            ("status=409", WrongOffset),
            ("status=429,retry-after=20", QuotaExceeded),
            ("status=500", Unreachable),
            ("status=502", Unreachable),
            ("html", BadAnswer),
            ("json=[]", BadAnswer),
            ("json={}", BadAnswer),
            ('json="text"', BadAnswer),
            ("json=null", BadAnswer),
            ("redirect=http://127.0.0.1:9/x", SafetyRefusal),
            ("raw=nonsense", Unreachable),
            ("reset=0", Unreachable),
            ("lost", Unreachable),
            ("truncate=3", Unreachable),
        ],
    )
    @pytest.mark.parametrize("call", ["me", "offset", "send", "finish"])
    def test_have_a_name_each(self, client, box, fault, expected, call):
        calls = {
            "me": client.me,
            "offset": lambda: client.offset("k.jpg"),
            "send": lambda: client.send("k.jpg", 0, whole(b"abc")),
            "finish": lambda: client.finish("h", None),
        }
        box.set_faults([fault])
        with pytest.raises(expected) as e:
            calls[call]()
        assert "canary" not in str(e.value)
        assert len(box.requests()) == 1

    def test_about_offsets_are_the_services_own(self, client):
        client.send("k.jpg", 0, whole(b"abc"))
        with pytest.raises(WrongOffset, match="offset is invalid"):
            client.send("k.jpg", 1, whole(b"bc"))

    def test_about_a_list_that_names_what_is_not_there(self, client, box):
        handle = client.send("list.json", 0, whole(wire.manifest(["no such handle"])))
        with pytest.raises(Rejected):
            client.finish(handle, None)
        assert box.received()["manifests"][0]["times"] == 0

    def test_about_a_token(self):
        with MapillarySandbox(token="the only one") as box, http_to(box.url) as http:
            client = Client(http, Endpoints.of(box.url), TOKEN)
            for call in (client.me, lambda: client.offset("k"), lambda: client.send("k", 0, whole(b"x"))):
                with pytest.raises(AuthError) as e:
                    call()
                assert "canary" not in str(e.value)

    def test_show_no_secret_in_any_log(self, client, box, caplog):
        caplog.set_level(logging.DEBUG)
        caplog.handler.addFilter(Redaction())
        box.set_faults(["status=500,method=POST"])
        client.me()
        for call in (
            lambda: client.login("a@b", Secret("canary-password"), Secret("canary-client")),
            lambda: client.finish("h", None),
        ):
            with pytest.raises(Unreachable):
                call()
        assert "canary" not in caplog.text

    @pytest.mark.parametrize("body", [b'{"error": []}', b'{"error": {"error_subcode": [1]}}', b"[]", b"no"])
    def test_of_a_login_without_sense_are_only_rejected(self, body):
        with (
            FaultServer({"api": lambda request: Reply(400, body)}) as server,
            http_to(server.url("api")) as http,
        ):
            client = Client(http, Endpoints.of(server.url("api")), TOKEN)
            with pytest.raises(Rejected):
                client.login("a@b", Secret("secret-password"), Secret("MLY|1|s"))


class TestTheTokenStays:
    def test_with_the_origins_that_it_is_for(self, box):
        with MapillarySandbox() as other, http_to(other.url) as http:
            client = Client(http, Endpoints.of(box.url), TOKEN)
            with pytest.raises(SafetyRefusal):
                client.me()
            assert other.requests() == [] and box.requests() == []

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_when_the_service_points_elsewhere(self, box, client, status):
        with MapillarySandbox() as other:
            box.set_faults([f"redirect={other.url}/me,status={status}"])
            for call in (
                client.me,
                lambda: client.send("k.jpg", 0, whole(b"photo")),
                lambda: client.finish("h", None),
            ):
                with pytest.raises(SafetyRefusal) as e:
                    call()
                assert e.value.exit_code == 11
            assert other.requests() == []


class TestEndpoints:
    def test_are_the_services_own(self):
        e = Endpoints.of(None)
        assert e.graph == e.origin == "https://graph.mapillary.com"
        assert e.upload == "https://rupload.facebook.com/mapillary_public_uploads"
        assert e.tiles == "https://tiles.mapillary.com"
        assert e.origins == (
            "https://graph.mapillary.com",
            "https://rupload.facebook.com",
            "https://tiles.mapillary.com",
        )

    @pytest.mark.parametrize(
        ("url", "graph", "origin"),
        [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://Proxy.Example:443/mly/", "https://proxy.example/mly", "https://proxy.example"),
        ],
    )
    def test_lie_below_a_base_that_is_given(self, url, graph, origin):
        e = Endpoints.of(url)
        assert (e.graph, e.tiles, e.origin) == (graph, graph, origin)
        assert e.upload == f"{graph}/mapillary_public_uploads"
        assert e.origins == (origin,)

    @pytest.mark.parametrize(
        "url",
        ["", " ", "sandbox", "127.0.0.1:80", "ftp://a", "http://", "http://a?b=c", "http://a/?", "http://a/#x",
         "http://u:secretpw@a", "http://a/ä", "http://a b", "http://a\n", "https://a:port"],
    )  # fmt: skip
    def test_are_not_made_of_nonsense(self, url):
        with pytest.raises(UsageError) as e:
            Endpoints.of(url)
        assert "secretpw" not in str(e.value)


def answer(value, status=200):
    return Answer(status, {}, value if isinstance(value, bytes) else json.dumps(value).encode())


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["offset", "h", "cluster_id", "id", "username", "access_token", "user_id", "slug", "name"]
            ),
            inner,
        )
    ),
)
READERS = [
    wire.offset_in,
    wire.handle_in,
    wire.cluster_in,
    wire.account_in,
    wire.login_in,
    wire.organization_in,
]


class TestTheWire:
    @given(
        value=junk.map(lambda v: json.dumps(v).encode()) | st.binary(max_size=30),
        reader=st.sampled_from(READERS),
    )
    def test_reads_anything_or_says_that_it_is_none(self, value, reader):
        try:
            assert reader(answer(value)) is not None
        except BadAnswer as e:
            assert e.retryable

    @given(n=st.integers())
    def test_takes_any_integer_for_an_offset(self, n):
        assert wire.offset_in(answer({"offset": n})) == n

    @pytest.mark.parametrize("n", [None, True, "5", 5.0, [5], {}])
    def test_takes_nothing_else_for_one(self, n):
        with pytest.raises(BadOffset):
            wire.offset_in(answer({"offset": n}))

    def test_tells_a_page_from_an_offset_without_sense(self):
        for page in (b"<html>", [], "x"):
            with pytest.raises(BadAnswer) as e:
                wire.offset_in(answer(page))
            assert not isinstance(e.value, BadOffset)
        with pytest.raises(BadOffset):
            wire.offset_in(answer({}))

    @pytest.mark.parametrize(
        "value", [{}, {"cluster_id": None}, {"cluster_id": ""}, {"cluster_id": True}, {"cluster_id": [1]}]
    )
    def test_without_a_cluster_nothing_was_published(self, value):
        with pytest.raises(BadAnswer):
            wire.cluster_in(answer(value))

    @pytest.mark.parametrize("value", [123456789012345678901, "123456789012345678901"])
    def test_keeps_numbers_as_texts(self, value):
        assert wire.cluster_in(answer({"cluster_id": value})) == "123456789012345678901"
        assert wire.account_in(answer({"id": value, "username": "jo"})) == Account(
            "123456789012345678901", "jo"
        )

    def test_lists_handles_in_order(self):
        said = json.loads(wire.manifest(["b", "a", "ä"]))
        assert said == {"image_handles": ["b", "a", "ä"], "upload_type": "images", "version": "1"}


def test_many_images_arrive_whatever_goes_wrong(box):
    """Faults of all kinds; every image arrives byte for byte, and no more than once."""
    box.set_faults(
        [
            "status=503,rate=5%,seed=1",
            "reset=20000,rate=5%,seed=2,method=POST",
            "truncate=2,rate=4%,seed=3",
            "lost,rate=3%,seed=4,method=POST",
            "html,rate=2%,seed=5",
            'json={"offset":"7"},nth=40,method=GET',
            "status=412,rate=3%,seed=6,method=POST",
            "status=429,retry-after=0,rate=2%,seed=7",
        ]
    )
    random = Random(1)
    contents = [random.randbytes(50_000 + 13 * i) for i in range(120)]
    clock = RealClock()
    with http_to(box.url) as http:
        client = Client(http, Endpoints.of(box.url), TOKEN)
        uploads = [
            Resumable(
                f"camtrail_{i}.jpg",
                len(data),
                lambda offset, data=data: whole(data[offset:]),
                client,
                RetryPolicy(),
                random,
                lambda n, i=i: f"camtrail_{i}_{n}.jpg",
            )
            for i, data in enumerate(contents)
        ]
        pace = Pace(clock)
        with Queue(
            Resumable.step, workers=4, clock=clock, pace=pace, tasks=uploads, on_stop=http.close
        ) as queue:
            answers = dict(queue)
    assert len(answers) == len(contents)
    assert all(isinstance(a, str) for a in answers.values())
    for upload, data in zip(uploads, contents):
        assert box.content(upload.key) == data
    assert {i["times"] for i in box.received()["images"]} == {1}
