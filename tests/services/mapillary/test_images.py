"""Images looked up and fetched: against the stand-in over real HTTP, and what is made of answers that are none."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.bytes import MemoryBytes
from camtrail.core.clock import RealClock
from camtrail.core.errors import AuthError, BadAnswer, CamtrailError, QuotaExceeded, Rejected, Unreachable
from camtrail.core.fs import RealFileSystem
from camtrail.core.secrets import Secret
from camtrail.services.mapillary import images
from camtrail.services.mapillary.client import MOST_AT_ONCE, MOST_IN_BOX, Client
from camtrail.services.mapillary.images import SIZES, Image, damage, image_of
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.wire import Endpoints
from camtrail.steps.tiling import Box, boxes
from camtrail.transfer.faultserver import FaultServer, Reply, json_reply
from camtrail.transfer.fetch import fetch
from camtrail.transfer.http import Answer, Http
from camtrail.transfer.retry import Gone, TooMuch

TOKEN = Secret("canary-token-1")
SMALL = Box(45.03, 45.0395, -122.56, -122.5505)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=5), c, max_size=3),
    max_leaves=8,
)
NAMES = images.fields("1024").split(",")


@pytest.fixture(scope="module")
def sandbox():
    with MapillarySandbox() as sandbox:
        yield sandbox


@pytest.fixture
def box(sandbox):
    sandbox.set_faults([])
    sandbox.set_quirks(url_life_s=3600, dense_cells=[], gone=[], missing="absent", over_limit=0)
    return sandbox


@pytest.fixture
def client(box):
    with http_to(box.url) as http:
        yield Client(http, Endpoints.of(box.url), TOKEN)


def http_to(url):
    return Http(Endpoints.of(url).origins, user_agent="camtrail/test", clock=RealClock())


def some(client, size="1024", count=60):
    """Images of the made-up collection."""
    found = []
    for part in boxes(Box(45.0, 45.1, -122.6, -122.5)):
        found += client.images_in(part, size)
        if len(found) >= count:
            return found[:count]
    raise AssertionError(len(found))


def said(call, reply):
    """What a call makes of one answer, and the requests that it made."""
    asked = []

    def app(request):
        asked.append(request)
        return reply(request) if callable(reply) else reply

    with FaultServer({"api": app}) as server, http_to(server.url("api")) as http:
        return call(Client(http, Endpoints.of(server.url("api")), TOKEN)), asked


def answer(value):
    return Answer(200, {"content-type": "application/json"}, json.dumps(value).encode())


class TestLookUps:
    def test_give_what_the_service_knows(self, client):
        image = some(client, count=1)[0]
        assert image.id.isdigit() and image.sequence
        assert 45 <= image.lat_deg <= 45.1 and -122.6 <= image.lon_deg <= -122.5
        assert image.captured_s > 1_500_000_000 and image.captured_s < 1_900_000_000
        assert 0 <= image.heading_deg < 360 and image.is_pano in (True, False)
        assert image.width_px and image.height_px and image.creator == "sandbox"
        assert image.camera_type and image.url and image.url.startswith("http://127.0.0.1:")

    def test_of_one_and_of_many_are_the_same(self, client):
        found = some(client, count=MOST_AT_ONCE)
        ids = [i.id for i in found]
        many = client.images(ids, "1024")
        assert set(many) == set(ids)

        def known(image):
            return dataclasses.replace(image, url=None)

        for image in found[:3]:
            one = client.image(image.id, "1024")
            assert repr(known(one)) == repr(known(many[image.id])) == repr(known(image))

    # Refused for two of ten, halves are asked for down to those two: 1 + 7 + 7 requests.
    @pytest.mark.parametrize(("missing", "requests"), [("absent", 1), ("error", 15)])
    def test_of_ids_that_nobody_knows_leave_them_out(self, client, box, missing, requests):
        ids = [i.id for i in some(client, count=9)]
        box.set_quirks(missing=missing, gone=[ids[3]])
        before = len(box.requests())
        assert set(client.images([*ids, "123", ids[0]], "256")) == set(ids) - {ids[3]}
        assert len(box.requests()) - before == requests
        assert client.images(["123"], "256") == {}

    def test_of_one_id_that_nobody_knows_say_so(self, client):
        with pytest.raises(Gone, match="image 123") as e:
            client.image("123", "256")
        assert not e.value.retryable and e.value.exit_code == 3

    def test_of_nothing_ask_nothing(self, client, box):
        before = len(box.requests())
        assert client.images([], "256") == {}
        assert len(box.requests()) == before

    def test_of_too_many_or_of_no_size_are_a_mistake(self, client):
        with pytest.raises(ValueError):
            client.images([str(n) for n in range(1, MOST_AT_ONCE + 2)], "256")
        with pytest.raises(ValueError):
            client.images(["1"], "640")

    def test_of_a_sequence_give_its_images_in_order(self, client):
        sequence = some(client, count=1)[0].sequence
        ids = client.image_ids(sequence)
        found = client.images(ids[:MOST_AT_ONCE], "256")
        times = [found[i].captured_s for i in ids[:MOST_AT_ONCE]]
        assert len(ids) > 1 and times == sorted(times)
        assert {i.sequence for i in found.values()} == {sequence}
        assert client.image_ids("nobody-knows-this-one") == []

    @pytest.mark.parametrize("size", SIZES)
    def test_lead_to_pictures_of_a_size(self, client, size, tmp_path):
        image = some(client, size, count=1)[0]
        path = tmp_path / "a.part"
        with Http([], pointed_by=client._endpoints.origin, user_agent="x", clock=RealClock()) as http:
            fetched = fetch(http, image.url, RealFileSystem(), str(path), damage=damage)
        data = path.read_bytes()
        assert fetched.size == len(data) and fetched.sha256 == hashlib.sha256(data).hexdigest()
        width = images.jpeg.head(MemoryBytes(data), data[: images.jpeg.WINDOW_BYTES]).width_px
        assert width == (image.width_px if size == "original" else int(size))

    def test_give_a_new_address_when_the_old_one_is_no_longer_good(self, client, box, tmp_path):
        box.set_quirks(url_life_s=0)
        image = some(client, count=1)[0]
        path = str(tmp_path / "a.part")
        with Http([], pointed_by=box.url, user_agent="x", clock=RealClock()) as http:
            with pytest.raises(Gone, match="403"):
                fetch(http, image.url, RealFileSystem(), path, damage=damage)
            box.set_quirks(url_life_s=3600)
            again = client.image(image.id, "1024")
            assert again.url != image.url
            fetch(http, again.url, RealFileSystem(), path, damage=damage)
        assert box.received()["tokens_at_images"] == 0
        assert Path(path).read_bytes().endswith(b"\xff\xd9")


class TestAreas:
    def test_hold_images_that_lie_in_them(self, client):
        (area,) = boxes(SMALL)
        found = client.images_in(area, "256")
        assert found and len({i.id for i in found}) == len(found)
        for image in found:
            assert area.min_lat_deg <= image.lat_deg <= area.max_lat_deg
            assert area.min_lon_deg <= image.lon_deg <= area.max_lon_deg

    def test_may_be_asked_for_a_few(self, client):
        assert len(client.images_in(SMALL, "256", limit=5)) == 5

    def test_that_are_too_large_are_to_be_split(self, client):
        with pytest.raises(TooMuch) as e:
            client.images_in(Box(45.0, 45.1, -122.6, -122.5), "256")
        assert "too large" in e.value.message and not e.value.retryable

    def test_that_are_too_dense_are_to_be_split(self, client, box):
        box.set_quirks(dense_cells=[[-122.56, 45.03, -122.55, 45.04]])
        with pytest.raises(TooMuch, match="reduce the amount"):
            client.images_in(SMALL, "256")

    @pytest.mark.parametrize(("rows", "limit", "is_too_much"), [
        (MOST_IN_BOX, MOST_IN_BOX, True), (MOST_IN_BOX - 1, MOST_IN_BOX, False), (7, 7, False), (9, 7, False),
    ])  # fmt: skip
    def test_with_as_many_as_there_can_be_are_to_be_split(self, rows, limit, is_too_much):
        reply = json_reply({"data": [{"id": str(n)} for n in range(1, rows + 1)]})

        def call(client):
            return client.images_in(SMALL, "256", limit)

        if is_too_much:
            with pytest.raises(TooMuch):
                said(call, reply)
        else:
            found, (asked,) = said(call, reply)
            assert [i.id for i in found] == [str(n) for n in range(1, min(rows, limit) + 1)]
            assert asked.parameters()["bbox"] == "-122.56,45.03,-122.5505,45.0395"
            assert asked.parameters()["limit"] == str(limit)


CALLS = {
    "images": lambda c: c.images(["1", "2"], "256"),
    "image": lambda c: c.image("1", "256"),
    "image_ids": lambda c: c.image_ids("s"),
    "images_in": lambda c: c.images_in(SMALL, "256"),
    "tile": lambda c: c.tile(14, 1, 2),
}


def error(status, code, message="x", **more):
    kind = {"type": "OAuthException"} | more
    return json_reply({"error": {"message": message, "code": code, **kind}}, status)


@pytest.mark.parametrize("name", CALLS)
class TestErrors:
    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (error(500, 190, type="MLYApiException"), AuthError),
            (error(401, 190), AuthError),
            (error(400, 190), AuthError),
            (error(500, 2), Unreachable),
            (error(503, 2), Unreachable),
            (error(500, 1, "Please reduce the amount of data you're asking for"), TooMuch),
            (error(500, 1, "An unknown error occurred"), Unreachable),
            (error(400, 4), QuotaExceeded),
            (error(429, 4), QuotaExceeded),
            (error(400, 100), Rejected),
            (Reply(400, b"<html>"), Rejected),
            (Reply(500, b"[]"), Unreachable),
        ],
    )
    def test_of_the_service_are_what_they_mean(self, name, reply, kind):
        with pytest.raises(CamtrailError) as e:
            said(CALLS[name], reply)
        assert type(e.value) is kind or (kind is QuotaExceeded and isinstance(e.value, kind))
        assert "canary" not in str(e.value)

    def test_about_a_request_as_such_mean_too_much_only_of_an_area(self, name):
        with pytest.raises(TooMuch if name == "images_in" else Rejected) as e:
            said(CALLS[name], error(400, 100, type="MLYApiException"))
        assert isinstance(e.value, TooMuch) == (name == "images_in")

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"x"', b"7", b'{"data": 1}', b'{"data": [1]}',
                                      b'{"data": [{}]}', b'{"data": [{"id": "../x"}]}', b'{"id": "2"}', b'{"1": {}}',
                                      b'{"1": {"id": "9"}}', b'{"data": [{"id": true}]}', b"[" * 99_999])  # fmt: skip
    def test_in_answers_are_named(self, name, body):
        try:
            got, _ = said(CALLS[name], Reply(200, body, {"Content-Type": "application/json"}))
        except BadAnswer as e:
            assert e.retryable and "\n" not in str(e)
        else:
            assert not got

    def test_of_a_connection_are_one_attempt(self, name):
        with (
            FaultServer({"api": lambda r: Reply(500)}, faults=["lost"]) as server,
            http_to(server.url("api")) as http,
        ):
            with pytest.raises(Unreachable):
                CALLS[name](Client(http, Endpoints.of(server.url("api")), TOKEN))
            assert len(server.requests()) == 1 and server.requests()[0].authorization

    def test_keep_the_token_out_of_addresses(self, name, box):
        with http_to(box.url) as http:
            try:
                CALLS[name](Client(http, Endpoints.of(box.url), TOKEN))
            except CamtrailError as e:
                assert isinstance(e, Gone)
        assert box.requests()[-1].authorization


@pytest.mark.parametrize(
    "body", [{"data": []}, {"error": {}}, {"1": {"id": "1"}, "error": {}}, {"3": {"id": "3"}}]
)
def test_an_answer_about_something_else_makes_no_image_unknown(body):
    with pytest.raises(BadAnswer, match="in place of the images asked for"):
        said(CALLS["images"], json_reply(body))


def test_an_answer_without_any_image_is_one():
    found, _ = said(CALLS["images"], json_reply({}))
    assert found == {}


class TestValues:
    ROW = {  # noqa: RUF012 - not changed
        "id": "17",
        "sequence": "AbC-_9",
        "captured_at": 1_600_000_000_500,
        "geometry": {"type": "Point", "coordinates": [-122.5, 45.0]},
        "computed_geometry": {"type": "Point", "coordinates": [-122.4, 45.1]},
        "compass_angle": 12.5,
        "computed_compass_angle": 360,
        "altitude": 7,
        "computed_altitude": -3.5,
        "camera_type": "spherical",
        "is_pano": True,
        "make": "GoPro",
        "model": "Max",
        "width": 5760,
        "height": 2880,
        "creator": {"id": "1", "username": "jo"},
        "thumb_1024_url": "https://cdn.example/x?a=b&c=d",
    }

    def read(self, **changed):
        row = {k: v for k, v in {**self.ROW, **changed}.items() if v is not ...}
        return image_of(answer(row), "17", "1024")

    def test_are_read(self):
        assert self.read() == Image(
            "17", "AbC-_9", 1_600_000_000.5, 45.0, -122.5, 45.1, -122.4, 12.5, 0.0, 7.0, -3.5, "spherical", True,
            "GoPro", "Max", 5760, 2880, "jo", "https://cdn.example/x?a=b&c=d",
        )  # fmt: skip

    @given(st.dictionaries(st.sampled_from(NAMES[1:]), JSON))
    def test_of_any_kind_are_in_range_or_absent(self, changed):
        image = self.read(**changed)
        for f in dataclasses.fields(Image):
            value = getattr(image, f.name)
            if f.type == "float":
                assert type(value) is float and not math.isinf(value)
            elif value is not None:
                assert type(value).__name__ == str(f.type).removesuffix(" | None")
        assert math.isnan(image.lat_deg) == math.isnan(image.lon_deg)
        assert image.sequence is None or "/" not in image.sequence

    def test_that_are_missing_are_absent(self):
        image = image_of(answer({"id": 17}), "17", "original")
        assert image.id == "17"
        for f in dataclasses.fields(Image)[1:]:
            value = getattr(image, f.name)
            assert math.isnan(value) if f.type == "float" else value is None

    @pytest.mark.parametrize(
        ("given", "alt_m"),
        [(0, 0), (8848.9, 8848.9), (-430.5, -430.5), (4294967290, -6), (2**32 - 430.5, -430.5), (2**32 - 1, -1),
         (4294967.296 - 4.25, -4.25), (4294967, -0.296), (2**40, None), (-(10**9), None), (10**400, None), ("7", None),
         (True, None), (150_000, None)],
    )  # fmt: skip
    def test_altitudes_below_the_sea_are_put_right(self, given, alt_m):
        image = self.read(altitude=given, computed_altitude=given)
        for value in (image.alt_m, image.computed_alt_m):
            assert math.isnan(value) if alt_m is None else value == pytest.approx(alt_m, abs=1e-6)

    @pytest.mark.parametrize(
        "geometry",
        [None, [], {"type": "Point"}, {"type": "Point", "coordinates": [1]}, {"type": "Point", "coordinates": [1, 91]},
         {"type": "Point", "coordinates": [181, 1]}, {"type": "Point", "coordinates": [0, 0]},
         {"type": "Point", "coordinates": ["1", "2"]}, {"type": "LineString", "coordinates": [1, 2]},
         {"type": "Point", "coordinates": [True, 2]}, {"type": "Point", "coordinates": [float("nan"), 2]}],
    )  # fmt: skip
    def test_a_position_that_is_none_is_absent(self, geometry):
        image = self.read(geometry=geometry)
        assert math.isnan(image.lat_deg) and math.isnan(image.lon_deg)

    def test_a_position_on_the_equator_is_one(self):
        image = self.read(geometry={"type": "Point", "coordinates": [10, 0, 5]})
        assert (image.lat_deg, image.lon_deg) == (0, 10)

    @pytest.mark.parametrize("sequence", ["../x", "a/b", "", "a" * 65, "a.b", "C:", "a\0b", 7, "é", "a\n"])
    def test_a_sequence_that_no_folder_can_be_named_for_is_absent(self, sequence):
        assert self.read(sequence=sequence).sequence is None

    @pytest.mark.parametrize(
        "url", ["", "x", "file:///etc/passwd", "ftp://a/b", "https://a/b c", "https://a/b\r\nX: y", "https://a/#b", 7,
                "https://", "https://" + "a" * 9000, "https://ä/", "//a/b", "javascript:alert(1)"],
    )  # fmt: skip
    def test_an_address_that_is_none_is_absent(self, url):
        assert self.read(thumb_1024_url=url).url is None

    def test_of_another_image_are_no_answer(self):
        with pytest.raises(BadAnswer, match="in place of"):
            self.read(id="18")


def jpeg_bytes(width=16, height=16):
    start = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    frame = b"\xff\xc0\0\x0b\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\1\1\x11\0"
    return start + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(range(200)) * 3 + b"\xff\xd9"


class TestDamage:
    def test_is_none_in_a_whole_picture(self):
        for behind in (b"", b"\0" * 7, b"\r\n"):
            assert damage(MemoryBytes(jpeg_bytes() + behind)) is None

    @given(st.integers(1, len(jpeg_bytes()) - 1))
    def test_is_in_every_cut_one(self, missing):
        assert damage(MemoryBytes(jpeg_bytes()[:-missing]))

    @pytest.mark.parametrize(
        ("data", "why"),
        [(b"", "empty"), (b"<!doctype html>", "page"), (b' {"error": 1}', "page"), (b"\x89PNG\r\n", "no JPEG"),
         (b"\xff\xd8\xff\xd9", "no size"), (jpeg_bytes(0), "no size"), (jpeg_bytes() + b"x" * 20, "no end"),
         (b"\xff\xd8\xff\xe0\0\x04\xff\xd9", "no size")],
    )  # fmt: skip
    def test_is_named(self, data, why):
        assert why in damage(MemoryBytes(data))

    @given(st.binary(max_size=300).map(lambda b: b"\xff\xd8\xff" + b))
    def test_of_anything_is_a_word_or_nothing(self, data):
        assert damage(MemoryBytes(data)) is None or damage(MemoryBytes(data)).startswith("it")
