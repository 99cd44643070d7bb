"""The stand-in for iNaturalist answers as its documentation and its server's source say."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from PIL import Image

from camtrail.core.errors import InputError
from camtrail.services.inaturalist.sample import LOGIN
from camtrail.services.inaturalist.sandbox import InaturalistSandbox

ALL = list(range(1001, 1009))


def ask(
    url: str, path: str, token: str = "", method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Status, value and headers of one call."""
    line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    if token:
        headers["Authorization"] = token
    try:
        line.request(method, path, body, headers)
        answer = line.getresponse()
        data = answer.read()
    finally:
        line.close()
    found = {k.lower(): v for k, v in answer.getheaders()}
    return answer.status, json.loads(data) if "json" in found.get("content-type", "") else data, found


@pytest.fixture
def v1(box):
    """The value of `GET /v1/PATH?PARAMETERS`, which succeeds."""

    def get(path="observations", token="", **parameters):
        query = urlencode(parameters)
        status, value, _ = ask(box.url, f"/v1/{path}" + (f"?{query}" if query else ""), token)
        assert status == 200, value
        return value

    return get


def ids(value: Any) -> list[int]:
    return [o["id"] for o in value["results"]]


class TestLists:
    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [
            ({}, ALL), ({"user_login": LOGIN}, ALL), ({"user_login": "ann,7"}, ALL), ({"user_id": LOGIN}, ALL),
            ({"user_login": "ann"}, []), ({"id": "1001,1005,9"}, [1001, 1005]), ({"photos": "true"}, ALL),
            ({"photos": "false"}, []), ({"id_above": 1003}, ALL[3:]), ({"id_below": 1003}, ALL[:2]),
            ({"id_above": 1003, "id_below": 1006}, [1004, 1005]), ({"d1": "2026-05-03"}, ALL[3:]),
            ({"d2": "2026-05-02"}, ALL[:3]), ({"d1": "2026-05-03", "d2": "2026-05-03"}, [1004, 1005, 1006, 1007]),
            ({"day": 3, "month": 5, "year": 2026}, [1004, 1005, 1006, 1007]), ({"day": "02,04"}, [1001, 1002, 1003, 1008]),
            ({"observed_on": "2026-05-04"}, [1008]),
        ],
    )  # fmt: skip
    def test_filters(self, v1, parameters, expected):
        value = v1(order_by="id", order="asc", **parameters)
        assert ids(value) == expected and value["total_results"] == len(expected)

    def test_order(self, v1):
        assert ids(v1(order_by="id", order="desc")) == ALL[::-1]
        assert ids(v1(order_by="observed_on", order="asc"))[-1] == 1008
        assert ids(v1()) == ALL[::-1]

    def test_pages(self, v1):
        value = v1(per_page=3, page=2, order_by="id", order="asc")
        assert (ids(value), value["page"], value["per_page"], value["total_results"]) == (
            [1004, 1005, 1006],
            2,
            3,
            8,
        )
        value = v1(per_page=3, id_above=1006, order_by="id", order="asc")
        assert (ids(value), value["total_results"]) == ([1007, 1008], 2)
        value = v1(per_page=0)
        assert (ids(value), value["total_results"]) == ([], 8)
        assert v1()["per_page"] == 30 and v1(per_page=1000)["per_page"] == 200
        assert v1(only_id="true", per_page=1, order_by="id", order="asc")["results"] == [{"id": 1001}]

    def test_no_window_beyond_ten_thousand(self, box, v1):
        assert v1(per_page=200, page=50)["results"] == []
        status, value, _ = ask(box.url, "/v1/observations?per_page=200&page=51")
        assert (status, value["status"]) == (403, 403) and "less than or equal to 10000" in value["error"]

    def test_they_may_be_kept_for_five_minutes(self, box):
        assert ask(box.url, "/v1/observations")[2]["cache-control"] == "public, max-age=300"

    def test_some_by_their_ids(self, v1):
        assert ids(v1("observations/1003")) == [1003] and ids(v1("observations/1001,1002,7")) == [1001, 1002]
        assert v1("observations/7")["total_results"] == 0

    def test_what_comes_and_goes(self, box, v1):
        box.delete(1002, 7)
        assert 1002 not in ids(v1()) and v1()["total_results"] == 7
        box.fill([{"id": 5}])
        assert ids(v1(user_login="anybody")) == [5]

    @pytest.mark.parametrize(
        "path", ["/", "/v1", "/v1/taxa", "/v3/observations", "/v1/observations/x", "/v1/users/a/b"]
    )
    def test_nothing_else(self, box, path):
        assert ask(box.url, path)[:2] == (404, {"error": "Not Found", "status": 404})


class TestUsers:
    def test_by_name_and_number(self, v1):
        (user,) = v1(f"users/{LOGIN}")["results"]
        assert user == {"id": 7, "login": LOGIN, "name": "A naturalist", "observations_count": 8}
        assert v1("users/7")["results"] == [user]

    def test_nobody(self, box):
        status, value, _ = ask(box.url, "/v1/users/ann")
        assert (status, value) == (404, {"error": "User does not exist", "status": 404})

    def test_me(self, box, v1):
        assert ask(box.url, "/v1/users/me")[:2] == (401, {"error": "Unauthorized", "status": 401})
        for token in (LOGIN, "anything", f"Bearer {LOGIN}"):
            assert v1("users/me", token)["results"][0]["login"] == LOGIN

    def test_one_token_where_one_is_set(self):
        with InaturalistSandbox(token="right-one") as box:
            assert ask(box.url, "/v1/observations", "other")[0] == 401
            assert ask(box.url, "/v1/observations", "right-one")[0] == 200
            assert ask(box.url, "/v1/observations")[0] == 200


class TestOwners:
    def test_names_of_files_and_private_places_are_the_owners(self, v1):
        for token, is_told in (("", False), (LOGIN, True), ("anything", True)):
            text = json.dumps(v1(token=token))
            assert ("original_filename" in text, "private_location" in text) == (is_told, is_told)

    def test_others_are_not_told(self, box):
        user = {"id": 8, "login": "ann"}
        box.fill([
            {"id": 1, "user": user, "private_location": "1,2"},
            {"id": 2, "user": {"id": 9, "login": "bob"}, "private_location": "3,4"},
        ])  # fmt: skip
        for token, expected in (("ann", [1]), ("bob", [2]), ("anything", [1])):
            _, value, _ = ask(box.url, "/v1/observations", token)
            assert [o["id"] for o in value["results"] if "private_location" in o] == expected


class TestFields:
    def get(self, box, fields, **more):
        query = urlencode(
            {"fields": fields, "id": 1001, **more} if fields is not None else {"id": 1001, **more}
        )
        status, value, _ = ask(box.url, f"/v2/observations?{query}")
        assert status == 200, value
        (found,) = value["results"]
        return found

    def test_only_the_uuid_unless_asked(self, box):
        assert list(self.get(box, None)) == ["uuid"]

    def test_a_list_of_names(self, box):
        found = self.get(box, "id,observed_on,taxon,observation_photos,nothing")
        assert list(found) == ["id", "uuid", "observed_on", "taxon", "observation_photos"]
        assert (
            found["taxon"] == {"id": 42051} and [list(p) for p in found["observation_photos"]] == [["id"]] * 3
        )

    def test_rison(self, box):
        fields = "(id:!t,location:!f,taxon:(name:!t),observation_photos:(uuid:!t,photo:(url:!t)))"
        found = self.get(box, fields)
        assert list(found) == ["id", "uuid", "taxon", "observation_photos"]
        assert found["taxon"] == {"id": 42051, "name": "Canis latrans"}
        assert list(found["observation_photos"][0]) == ["id", "uuid", "photo"]
        assert found["observation_photos"][0]["photo"]["url"].startswith(box.photo_url)

    def test_all(self, box, v1):
        assert self.get(box, "all") == v1(id=1001)["results"][0]

    @pytest.mark.parametrize(
        "fields", ["(id:!t", "(id)", "(id:!x)", "(!t:id)", "(id:!t))", "(id:!t;a:!t)", "(" * 5000]
    )
    def test_what_is_no_rison(self, box, fields):
        status, value, _ = ask(box.url, "/v2/observations?" + urlencode({"fields": fields}))
        assert status == 422 and value["errors"][0]["errorCode"] == "422"

    def test_a_post_that_stands_for_a_get(self, box):
        body = {
            "fields": {"id": True, "user": {"login": True}},
            "id": [1001, 1002],
            "photos": True,
            "order": None,
        }
        override = {"X-HTTP-Method-Override": "GET"}
        status, value, _ = ask(
            box.url,
            "/v2/observations?order_by=id&order=asc",
            "",
            "POST",
            json.dumps(body).encode(),
            **override,
        )
        assert status == 200 and ids(value) == [1001, 1002]
        assert value["results"][0]["user"] == {"id": 7, "login": LOGIN}
        assert ask(box.url, "/v2/observations", "", "POST", b"{}")[0] == 401
        for body in (b"{", b"[]", b'{"fields":5}'):
            assert ask(box.url, "/v2/observations", "", "POST", body, **override)[0] in (400, 422)


class TestLimit:
    def test_more_than_a_hundred_a_minute(self, clock):
        with InaturalistSandbox(limit=True, clock=clock) as box:
            assert {ask(box.url, "/v1/users/7")[0] for _ in range(100)} == {200}
            clock.sleep(20)
            status, value, headers = ask(box.url, "/v1/users/7")
            assert (status, value["error"], headers["retry-after"]) == (429, "Too Many Requests", "41")
            clock.sleep(41)
            assert ask(box.url, "/v1/users/7")[0] == 200


class TestPhotos:
    @pytest.mark.parametrize(
        ("size", "pixels"),
        [
            ("original", (1600, 1200)), ("large", (1024, 768)), ("medium", (500, 375)), ("small", (240, 180)),
            ("thumb", (100, 75)), ("square", (75, 75)),
        ],
    )  # fmt: skip
    def test_sizes(self, box, size, pixels):
        status, data, headers = ask(box.photo_url, f"/photos/5/{size}.jpg?123")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == pixels

    @pytest.mark.parametrize(
        ("ending", "kind"), [("jpeg", "JPEG"), ("JPG", "JPEG"), ("png", "PNG"), ("gif", "GIF")]
    )
    def test_kinds(self, box, ending, kind):
        _, data, _ = ask(box.photo_url, f"/photos/5/thumb.{ending}")
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.format == kind

    def test_the_same_each_time(self, box):
        first = ask(box.photo_url, "/photos/5/small.jpg")[1]
        with InaturalistSandbox() as other:
            assert ask(other.photo_url, "/photos/5/small.jpg")[1] == first
            assert ask(other.photo_url, "/photos/6/small.jpg")[1] != first

    @pytest.mark.parametrize(
        "path", ["/", "/photos/5", "/photos/5/huge.jpg", "/photos/x/small.jpg", "/photos/5/small.tif"]
    )
    def test_nothing_else(self, box, path):
        status, data, _ = ask(box.photo_url, path)
        assert status == 403 and b"AccessDenied" in data

    def test_no_token_is_wanted_here(self, box):
        assert ask(box.photo_url, "/photos/5/small.jpg", "a-token")[0] == 400

    def test_not_at_the_api(self, box):
        assert ask(box.url, "/photos/5/small.jpg")[0] == 404


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A collection of one's own."""
    folder = tmp_path / "data"
    (folder / "photos").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    exif[0x0132] = "2021:02:01 10:00:00"
    picture = Image.linear_gradient("L").resize((3000, 1000)).convert("RGB")
    picture.save(folder / "photos" / "11.jpg", exif=exif, quality=95)
    (folder / "photos" / "12.jpg").write_bytes(b"no picture")
    url = "https://static.inaturalist.org/photos"
    photos = [
        {"id": 101, "photo": {"id": 11, "url": f"{url}/11/square.JPG?7"}},
        {"id": 102, "photo": {"id": 12, "url": "http://127.0.0.1:9/base/photos/12/square.jpg"}},
        {"id": 103, "photo": {"id": 13, "url": "https://www.inaturalist.org/assets/copyright-infringement-square.png"}},
        {"id": 104, "photo": None},
    ]  # fmt: skip
    observations = [
        {
            "id": 3,
            "user": {"id": 1, "login": "ann"},
            "observation_photos": photos,
            "photos": [p["photo"] for p in photos],
        }
    ]
    (folder / "observations.json").write_text(json.dumps(observations))
    return folder


class TestData:
    def test_photos_are_those_of_the_folder(self, data):
        with InaturalistSandbox(data=str(data)) as box:
            (o,) = ask(box.url, "/v1/observations")[1]["results"]
            urls = [p["photo"] and p["photo"]["url"] for p in o["observation_photos"]]
            assert urls == [
                f"{box.photo_url}/photos/11/square.JPG?7",
                f"{box.photo_url}/photos/12/square.jpg",
                f"{box.photo_url}/assets/copyright-infringement-square.png",
                None,
            ]
            assert [p and p["url"] for p in o["photos"]] == urls
            _, got, _ = ask(box.photo_url, "/photos/11/original.JPG")
            with Image.open(io.BytesIO(got)) as image:
                assert image.size == (683, 2048) and not image.getexif() and image.info.get("exif") is None
            for path in ("/photos/12/square.jpg", "/photos/13/square.jpg"):
                assert ask(box.photo_url, path)[0] == 403

    def test_a_sandbox_can_be_filled_from_another(self, data, tmp_path):
        """What one lists is data for the next."""
        with InaturalistSandbox(data=str(data)) as box:
            listed = ask(box.url, "/v1/observations", "ann")[1]["results"]
        (data / "observations.json").write_text(json.dumps(listed))
        with InaturalistSandbox(data=str(data)) as box:
            (o,) = ask(box.url, "/v1/observations")[1]["results"]
            assert o["observation_photos"][0]["photo"]["url"].startswith(box.photo_url)

    @pytest.mark.parametrize(
        "text", [None, "", "{", "{}", "[1]", '[{"id":"1"}]', '[{"id":true}]', '[{"x":1}]']
    )
    def test_what_is_no_collection(self, tmp_path, text):
        if text is not None:
            (tmp_path / "observations.json").write_text(text)
        with pytest.raises(InputError) as e:
            InaturalistSandbox(data=str(tmp_path))
        assert e.value.path == f"{tmp_path}/observations.json" and e.value.hint

    def test_odd_values_are_served_as_they_are(self, box):
        odd = [{"id": i, "user": v, "observed_on": v, "observation_photos": v, "photos": v, "observed_on_details": v}
               for i, v in enumerate([None, 5, "x", [], [5, {"photo": 5}], {"url": 5}, True], 1)]  # fmt: skip
        box.fill(odd)
        for query in ("", "?user_login=x&d1=2020-01-01&photos=true&day=1", "?order_by=observed_on"):
            assert ask(box.url, f"/v1/observations{query}")[0] == 200
        assert ids(ask(box.url, "/v1/observations?order_by=id&order=asc", "x")[1]) == list(range(1, 8))


def test_what_clients_are_told(box):
    assert box.environment() == {"CAMTRAIL_INATURALIST_URL": box.url} and box.url != box.photo_url
    assert ask(box.url, "/_sandbox/received")[:2] == (200, {"images": []})
    assert hashlib.sha256(ask(box.photo_url, "/photos/1/thumb.jpg")[1]).digest()
    assert [(r["origin"], r["path"]) for r in ask(box.url, "/_sandbox/requests")[1]] == [
        ("photos", "/photos/1/thumb.jpg")
    ]
