"""The stand-in for Mapillary answers as the documentation and the public client say."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.services.mapillary.sandbox import MapillarySandbox

UP = "/mapillary_public_uploads"


class Client:
    """A client with a token."""

    def __init__(self, box: MapillarySandbox, token: str = "tester") -> None:
        self._at = urlsplit(box.url).netloc
        self.headers = {"Authorization": f"OAuth {token}"} if token else {}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one call."""
        line = http.client.HTTPConnection(self._at, timeout=30)
        try:
            line.request(method, path, body, {**self.headers, **headers})
            answer = line.getresponse()
            data = answer.read()
        finally:
            line.close()
        return answer.status, json.loads(data) if "json" in answer.getheader("Content-Type", "") else data

    def post(self, path: str, value: Any) -> tuple[int, Any]:
        return self.ask("POST", path, json.dumps(value).encode())

    def send(self, key: str, data: bytes, offset: int = 0) -> tuple[int, Any]:
        return self.ask("POST", f"{UP}/{key}", data, Offset=str(offset))

    def upload(self, key: str, data: bytes) -> str:
        status, answer = self.send(key, data)
        assert status == 200
        return answer["h"]

    def manifest(self, handles: list[Any], name: str = "m.json", **more: Any) -> str:
        said = {"image_handles": handles, "upload_type": "images", "version": "1", **more}
        return self.upload(name, json.dumps(said).encode())

    def finish(self, handle: Any, kind: Any = "mly_bundle_manifest", **more: Any) -> tuple[int, Any]:
        return self.post("/finish_upload", {"file_handle": handle, "file_type": kind, **more})


@pytest.fixture
def box() -> Iterator[MapillarySandbox]:
    with MapillarySandbox() as made:
        yield made


@pytest.fixture
def client(box: MapillarySandbox) -> Client:
    return Client(box)


def entry(name: str, data: bytes, times: int = 1) -> dict[str, Any]:
    return {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "times": times}


class TestAccounts:
    @pytest.mark.parametrize(
        ("token", "name"),
        [
            ("tester", "tester"), ("my-name_2", "my-name_2"), ("MLY|1|2", "sandbox"), ("x" * 33, "sandbox"),
            ("two words", "sandbox"),
            ("anything", "sandbox"),
        ],
    )  # fmt: skip
    def test_who_a_token_is(self, box, token, name):
        status, me = Client(box, token).ask("GET", "/me?fields=id,username")
        assert status == 200 and me == {"id": me["id"], "username": name}
        assert me["id"].isdecimal() and me["id"] == Client(box, token).ask("GET", "/me")[1]["id"]

    def test_two_names_are_two_users(self, box):
        assert Client(box, "a").ask("GET", "/me") != Client(box, "b").ask("GET", "/me")

    def test_only_the_fields_that_were_asked_for(self, client):
        assert list(client.ask("GET", "/me")[1]) == ["id"]
        assert list(client.ask("GET", "/123?fields=slug,description,name")[1]) == [
            "id",
            "slug",
            "name",
            "description",
        ]
        assert client.ask("GET", "/123?fields=name")[1] == {"id": "123", "name": "Sandbox 123"}

    def test_a_token_in_the_query(self, box):
        assert (
            Client(box, "").ask("GET", "/me?access_token=tester&fields=username")[1]["username"] == "tester"
        )

    def test_without_a_token(self, box):
        nobody = Client(box, "")
        for method, path in [("GET", "/me"), ("GET", "/1"), ("POST", "/finish_upload"), ("POST", "/login")]:
            status, answer = nobody.ask(method, path, b"{}" if method == "POST" else None)
            assert (status, answer["error"]["code"], answer["error"]["type"]) == (401, 190, "OAuthException")
        status, answer = nobody.ask("GET", f"{UP}/a.jpg")
        assert status == 401
        assert answer["debug_info"]["type"] == "NotAuthorizedError" and not answer["debug_info"]["retriable"]

    def test_only_one_token_where_one_is_set(self):
        with MapillarySandbox(token="right-one") as box:
            assert Client(box, "right-one").ask("GET", "/me?fields=username")[1]["username"] == "right-one"
            assert Client(box, "other").ask("GET", "/me")[0] == 401
            assert Client(box, "other").ask("GET", f"{UP}/a.jpg")[0] == 401
            program = Client(box, "MLY|sandbox|sandbox")
            status, answer = program.post(
                "/login", {"email": "ann@x.org", "password": "p", "locale": "en_US"}
            )
            assert (status, answer["access_token"]) == (200, "right-one")
            assert Client(box, "right-one").ask("GET", "/me?fields=username")[1]["username"] == "ann"

    def test_login(self, box):
        program = Client(box, "MLY|sandbox|sandbox")
        status, answer = program.post("/login", {"email": "ann.b@x.org", "password": "p", "locale": "en_US"})
        assert status == 200 and set(answer) == {"access_token", "user_id"}
        me = Client(box, answer["access_token"]).ask("GET", "/me?fields=id,username")[1]
        assert me == {"id": answer["user_id"], "username": "ann.b"}
        assert box.received()["logins"] == 1

    def test_a_wrong_password(self, box, client):
        status, answer = client.post("/login", {"email": "a@x.org", "password": "wrong"})
        assert status == 400 and answer["error"]["error_subcode"] == 1348028
        assert answer["error"]["error_user_title"] and answer["error"]["error_user_msg"]
        assert box.received()["logins"] == 0

    @pytest.mark.parametrize("sent", [b"", b"{", b"[]", b'{"email":1,"password":"p"}', b"[" * 100_000])
    def test_a_login_that_says_nothing(self, client, sent):
        status, answer = client.ask("POST", "/login", sent)
        assert (status, answer["error"]["code"]) == (400, 100)

    def test_what_is_not_there(self, client):
        for method, path in [("GET", "/nobody"), ("GET", "/"), ("POST", "/me"), ("DELETE", "/1")]:
            status, answer = client.ask(method, path)
            assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (400, 100, 33)


class TestUploads:
    def test_one_file(self, box, client):
        assert client.ask("GET", f"{UP}/a.jpg") == (200, {"offset": 0})
        status, answer = client.send("a.jpg", b"picture")
        assert status == 200 and list(answer) == ["h"] and answer["h"]
        assert client.ask("GET", f"{UP}/a.jpg") == (200, {"offset": 7})
        assert box.received()["images"] == [entry("a.jpg", b"picture")]

    def test_nothing_left_to_send_gives_the_handle_again(self, box, client):
        handle = client.upload("a.jpg", b"picture")
        assert client.send("a.jpg", b"", offset=7) == (200, {"h": handle})
        assert box.received()["images"] == [entry("a.jpg", b"picture")]

    @pytest.mark.parametrize("offset", [0, 3, 8])
    def test_a_wrong_offset(self, box, client, offset):
        client.upload("a.jpg", b"picture")
        status, answer = client.send("a.jpg", b"more", offset=offset)
        assert status == 412
        assert (
            answer["debug_info"]["retriable"] is True and answer["debug_info"]["type"] == "OffsetInvalidError"
        )
        assert box.received()["images"] == [entry("a.jpg", b"picture")]

    @pytest.mark.parametrize("offset", ["-1", "x", "1.0", ""])
    def test_an_offset_that_is_none(self, client, offset):
        assert client.ask("POST", f"{UP}/a.jpg", b"x", Offset=offset)[0] == 400

    @given(st.binary(min_size=1, max_size=2000), st.lists(st.integers(0, 2000), max_size=4))
    def test_resuming_at_the_offset_that_was_kept(self, data, cuts):
        with MapillarySandbox(keep=True) as box:
            client = Client(box)
            for cut in cuts:
                offset = client.ask("GET", f"{UP}/a.jpg")[1]["offset"]
                box.set_faults([f"reset={cut},method=POST"])
                with pytest.raises(ConnectionError):
                    client.send("a.jpg", data[offset:], offset)
                box.set_faults([])
                assert box.received()["images"] == []
            offset = client.ask("GET", f"{UP}/a.jpg")[1]["offset"]
            assert offset == min(len(data), sum(cuts))
            assert client.send("a.jpg", data[offset:], offset)[0] == 200
            assert box.received()["images"] == [entry("a.jpg", data)]
            assert client.ask("GET", "/_sandbox/received/a.jpg")[1] == data

    def test_a_lost_answer_is_an_upload(self, box, client):
        box.set_faults(["lost,method=POST,times=1"])
        with pytest.raises(ConnectionError):
            client.send("a.jpg", b"picture")
        assert client.ask("GET", f"{UP}/a.jpg") == (200, {"offset": 7})
        assert client.send("a.jpg", b"", offset=7)[0] == 200
        assert box.received()["images"] == [entry("a.jpg", b"picture")]

    def test_the_same_content_in_two_sessions_counts_twice(self, box, client):
        assert client.upload("a.jpg", b"picture") != client.upload("b.jpg", b"picture")
        assert box.received()["images"] == [entry("a.jpg", b"picture", times=2)]

    def test_what_grows_counts_as_what_it_became(self, box, client):
        client.upload("a.jpg", b"pic")
        client.send("a.jpg", b"ture", offset=3)
        assert box.received()["images"] == [entry("a.jpg", b"picture")]

    def test_sessions_are_of_an_account(self, box, client):
        handle = client.upload("a.jpg", b"picture")
        other = Client(box, "other")
        assert other.ask("GET", f"{UP}/a.jpg") == (200, {"offset": 0})
        assert other.finish(other.manifest([handle]))[0] == 400

    def test_kinds(self, box, client):
        client.upload("a.mp4", b"film")
        client.upload("a.zip", b"archive")
        packed = client.upload("mly_tools_x", b"also an archive")
        assert client.finish(packed, "zip")[0] == 200
        got = box.received()
        assert got["videos"] == [entry("a.mp4", b"film")]
        assert got["archives"] == [entry("a.zip", b"archive"), entry("mly_tools_x", b"also an archive")]
        assert got["images"] == got["manifests"] == []

    def test_bytes_are_kept_only_on_request(self, box, client):
        client.upload("a.jpg", b"picture")
        client.upload("m.json", b"{}")
        assert client.ask("GET", "/_sandbox/received/a.jpg")[0] == 404
        assert client.ask("GET", "/_sandbox/received/m.json") == (200, b"{}")
        assert (box.content("a.jpg"), box.content("m.json"), box.content("x")) == (None, b"{}", None)
        assert client.ask("GET", "/_sandbox/nothing")[0] == 404

    def test_what_is_received_over_http_too(self, box, client):
        client.upload("a.jpg", b"picture")
        assert client.ask("GET", "/_sandbox/received") == (200, box.received())
        assert [r.status for r in box.requests()] == [200]


class TestFinish:
    def test_a_sequence(self, box, client):
        handles = [client.upload(f"{n}.jpg", n.encode()) for n in ("b", "a")]
        status, answer = client.finish(client.manifest(handles), organization_id="77")
        assert status == 200 and answer["cluster_id"].isdecimal()
        got = box.received()
        assert got["manifests"] == [
            {
                "name": "m.json", "images": ["b.jpg", "a.jpg"], "organization_id": "77", "times": 1,
                "cluster_id": answer["cluster_id"],
            }
        ]  # fmt: skip
        assert got["images"] == [entry("b.jpg", b"b"), entry("a.jpg", b"a")]

    def test_finishing_twice_shows(self, box, client):
        handle = client.manifest([client.upload("a.jpg", b"a")])
        assert client.finish(handle) == client.finish(handle)
        got = box.received()
        assert got["manifests"][0]["times"] == 2
        assert got["images"] == [entry("a.jpg", b"a", times=2)]

    def test_publishing_in_two_manifests_shows(self, box, client):
        image = client.upload("a.jpg", b"a")
        for name in ("m.json", "n.json"):
            assert client.finish(client.manifest([image], name))[0] == 200
        assert [m["times"] for m in box.received()["manifests"]] == [1, 1]
        assert box.received()["images"] == [entry("a.jpg", b"a", times=2)]

    def test_a_lost_answer_is_a_publication(self, box, client):
        handle = client.manifest([client.upload("a.jpg", b"a")])
        box.set_faults(["lost,path=/finish_upload"])
        with pytest.raises(ConnectionError):
            client.finish(handle)
        assert box.received()["manifests"][0]["times"] == 1

    def test_a_manifest_that_was_not_finished(self, box, client):
        client.manifest([client.upload("a.jpg", b"a")])
        assert box.received()["manifests"] == [
            {"name": "m.json", "images": [], "organization_id": None, "times": 0, "cluster_id": None}
        ]

    @pytest.mark.parametrize("kind", ["zip", "mly_camm_video", "mly_blackvue_video"])
    def test_other_files(self, client, kind):
        assert client.finish(client.upload("x", b"x"), kind)[0] == 200

    @pytest.mark.parametrize(
        ("handles", "more"),
        [
            ([], {}), (["nobody's"], {}), ([1], {}), ([None], {}), ("text", {}), (None, {}), ([[]], {}),
            ("good", {"version": "2"}), ("good", {"upload_type": "videos"}), ("good", {"version": 1}),
        ],
    )  # fmt: skip
    def test_a_manifest_that_says_nothing_good(self, box, client, handles, more):
        good = client.upload("a.jpg", b"a")
        status, answer = client.finish(client.manifest([good] if handles == "good" else handles, **more))
        assert (status, answer["error"]["code"]) == (400, 100)
        assert box.received()["manifests"][0]["times"] == 0

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
    def test_a_manifest_that_is_none(self, client, data):
        assert client.finish(client.upload("m.json", data))[0] == 400

    def test_an_image_that_is_not_whole_is_not_known(self, box, client):
        whole = client.upload("a.jpg", b"a")
        box.set_faults(["reset=3,path=*/a.jpg"])
        with pytest.raises(ConnectionError):
            client.send("a.jpg", b"more", offset=1)
        assert client.finish(client.manifest([whole]))[0] == 400

    @pytest.mark.parametrize(
        ("handle", "kind"), [("x", "zip"), (1, "zip"), (None, "zip"), ([], "zip"), ("x", "jpg"), ("x", None), ("x", [])]
    )  # fmt: skip
    def test_what_is_not_known(self, client, handle, kind):
        status, answer = client.finish(handle, kind)
        assert (status, answer["error"]["code"]) == (400, 100)

    def test_telemetry(self, box, client):
        assert client.post("/logging", {"action_type": "upload_finished_upload", "properties": {}})[0] == 200
        assert box.received()["events"] == 1


def test_the_environment_sends_clients_here(box):
    assert box.environment() == {
        "CAMTRAIL_MAPILLARY_URL": box.url,
        "MAPILLARY_GRAPH_API_ENDPOINT": box.url,
        "MAPILLARY_UPLOAD_ENDPOINT": f"{box.url}/mapillary_public_uploads",
        "MAPILLARY_CLIENT_TOKEN": "MLY|sandbox|sandbox",
    }
