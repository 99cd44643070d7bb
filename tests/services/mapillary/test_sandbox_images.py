"""The stand-in's images are found, described and handed out as the service does it."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import math
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from camtrail.core.errors import InputError, UsageError
from camtrail.core.geo import distance_m
from camtrail.services.mapillary import tiles
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.sandbox_collection import Collection, Served, made_up, of_folder
from camtrail.steps.tiling import Box
from camtrail.steps.tiling import tiles as tiles_of
from clocks import FakeClock
from photos import Shot

LISTS = Path(__file__).parents[4] / "shared" / "data" / "vpr"
SIZES = {"256": 256, "1024": 1024, "2048": 2048, "original": 2560}
URLS = ",".join(f"thumb_{size}_url" for size in SIZES)


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, int, str]:
        error = self.json["error"]
        return self.status, error["code"], error["type"]


def ask(url: str, path: str, token: str | None = "tester", method: str = "GET", **headers: str) -> Answer:
    """One request; `**headers` have `_` for `-`."""
    line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"OAuth {token}"
    try:
        line.request(method, path, headers=sent)
        answer = line.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        line.close()


def search(box: MapillarySandbox, **asked: Any) -> Answer:
    return ask(box.url, "/images?" + urlencode(asked))


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [row["id"] for row in answer.json["data"]]


def url_of(box: MapillarySandbox, image: Served, size: str = "1024") -> str:
    return ask(box.url, f"/{image.id}?fields=thumb_{size}_url").json[f"thumb_{size}_url"]


def file(url: str, method: str = "GET", **headers: str) -> Answer:
    parts = urlsplit(url)
    return ask(url, f"{parts.path}?{parts.query}", None, method, **headers)


@pytest.fixture(scope="module")
def shared() -> Iterator[MapillarySandbox]:
    """For tests that leave it as it is."""
    with MapillarySandbox() as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000.0)


@pytest.fixture
def box(clock: FakeClock) -> Iterator[MapillarySandbox]:
    with MapillarySandbox(clock=clock) as made:
        yield made


@pytest.fixture(scope="module")
def known() -> Collection:
    return made_up()


@pytest.fixture(scope="module")
def some(known: Collection) -> list[Served]:
    """Sixty images of several sequences."""
    return list(known)[::80]


class TestLookUps:
    def test_nothing_but_the_id_unless_asked_for(self, shared, some):
        assert ask(shared.url, f"/{some[0].id}").json == {"id": some[0].id}
        asked = ask(
            shared.url, f"/{some[0].id}?fields=" + quote("sequence, is_pano, creator{id,username}")
        ).json
        assert set(asked) == {"id", "sequence", "is_pano", "creator"}
        assert asked["creator"]["username"] == "sandbox" and asked["creator"]["id"].isdecimal()

    def test_what_is_known_of_an_image(self, shared, known):
        image = next(i for i in known if i.is_pano and not math.isnan(i.computed_lat_deg))
        fields = (
            "captured_at,geometry,computed_geometry,compass_angle,camera_type,width,height,make,thumb_256_url"
        )
        asked = ask(shared.url, f"/{image.id}?fields={fields}").json
        assert asked.pop("thumb_256_url").startswith(shared.image_url + "/")
        assert asked == {
            "id": image.id, "captured_at": image.captured_ms,
            "geometry": {"type": "Point", "coordinates": [image.lon_deg, image.lat_deg]},
            "computed_geometry": {
                "type": "Point", "coordinates": [image.computed_lon_deg, image.computed_lat_deg],
            },
            "compass_angle": image.heading_deg, "camera_type": "spherical", "width": 2560, "height": 1280,
            "make": "Sandbox",
        }  # fmt: skip

    def test_what_is_not_known_is_not_there(self, shared, known):
        bare = next(i for i in known if math.isnan(i.computed_lat_deg))
        asked = ask(shared.url, f"/{bare.id}?fields=computed_geometry,computed_altitude,geometry,mesh").json
        assert set(asked) == {"id", "geometry"}

    def test_an_altitude_below_zero_is_wrapped(self, shared, known):
        low = next(i for i in known if i.computed_alt_m < 0)
        assert ask(shared.url, f"/{low.id}?fields=altitude").json["altitude"] == 2**32 - 3.5

    @pytest.mark.parametrize("path", ["/{}", "/?ids={}", "/images?image_ids={}"])
    def test_a_field_that_there_is_not(self, shared, some, path):
        joint = "&" if "?" in path else "?"
        answer = ask(shared.url, f"{path.format(some[0].id)}{joint}fields=id,thumb_640_url")
        assert answer.error == (400, 100, "OAuthException") and b"thumb_640_url" in answer.body

    def test_an_id_that_there_is_not(self, box, some):
        answer = ask(box.url, "/123456789012345?fields=geometry")
        assert (
            answer.error == (400, 100, "GraphMethodException") and answer.json["error"]["error_subcode"] == 33
        )
        box.set_quirks(gone=[some[0].id])
        assert ask(box.url, f"/{some[0].id}?fields=geometry").status == 400
        assert some[0].id not in ids(ask(box.url, f"/image_ids?sequence_id={some[0].sequence}"))

    def test_an_organisation_is_no_image(self, shared):
        assert ask(shared.url, "/123?fields=slug").json == {"id": "123", "slug": "sandbox_123"}

    def test_several_at_once(self, box, some):
        asked = [i.id for i in some[:40]] + ["1"]
        got = ask(box.url, f"/?ids={','.join(asked)}&fields=sequence").json
        assert got == {i.id: {"id": i.id, "sequence": i.sequence} for i in some[:40]}
        assert list(got) == asked[:-1]
        assert ids(ask(box.url, f"/images?image_ids={','.join(reversed(asked))}")) == asked[-2::-1]
        box.set_quirks(missing="error")
        assert ask(box.url, f"/?ids={','.join(asked)}").error == (400, 100, "GraphMethodException")
        assert ask(box.url, f"/?ids={','.join(asked[:-1])}").status == 200

    def test_at_most_fifty_at_once(self, shared, some):
        assert len(ask(shared.url, "/?ids=" + ",".join(i.id for i in some[:50])).json) == 50
        assert ask(shared.url, "/?ids=" + ",".join(i.id for i in some[:51])).error[:2] == (400, 100)

    def test_a_sequence_is_in_order(self, shared, known, some):
        for sequence in {i.sequence for i in some}:
            got = ids(ask(shared.url, f"/image_ids?sequence_id={sequence}"))
            assert got == [i.id for i in known if i.sequence == sequence]
            assert got == ids(search(shared, sequence_ids=sequence))
            times_ms = [known.get(i).captured_ms for i in got]
            assert set(np.diff(times_ms)) == {2000}
        assert ids(ask(shared.url, "/image_ids?sequence_id=nobody")) == []
        assert ask(shared.url, "/image_ids").error[:2] == (400, 100)


class TestTokens:
    def test_none(self, shared, some):
        for path in (
            f"/?ids={some[0].id}",
            f"/{some[0].id}",
            "/images?bbox=1,2,3,4",
            "/maps/vtp/mly1_public/2/14/1/1",
        ):
            assert ask(shared.url, path, None).error == (500, 190, "MLYApiException")

    @pytest.mark.parametrize("header", ["tester", "OAuth", "Basic dGVzdGVy"])
    def test_none_that_can_be_read(self, shared, some, header):
        answer = ask(shared.url, f"/{some[0].id}", None, Authorization=header)
        assert answer.error == (401, 190, "OAuthException")

    def test_in_the_query(self, shared, some):
        assert ask(shared.url, f"/{some[0].id}?access_token=tester", None).status == 200

    def test_one_that_was_never_issued(self, some):
        with MapillarySandbox(token="right") as box:
            path = f"/{some[0].id}"
            assert ask(box.url, path, "right").status == 200
            assert ask(box.url, path, "MLY|123|abc").status == 200
            assert ask(box.url, path, "wrong").error[:2] == (401, 190)
            assert ask(box.url, f"{path}?access_token=wrong", None).error[:2] == (400, 190)

    def test_too_many_calls(self, box, some):
        box.set_quirks(over_limit=2)
        answers = [ask(box.url, f"/{some[0].id}") for _ in range(3)]
        assert [a.status for a in answers] == [429, 429, 200]
        assert (
            answers[0].error[1] == 4 and json.loads(answers[0].headers["x-app-usage"])["call_volume"] == 100
        )


class TestSearch:
    @given(data=st.data())
    def test_a_box_has_what_lies_in_it_from_the_south(self, shared, known, data):
        middle = data.draw(st.sampled_from(list(known)))
        west, east, south, north = (data.draw(st.floats(0.0001, 0.0049)) for _ in range(4))
        edges = (middle.lon_deg - west, middle.lat_deg - south, middle.lon_deg + east, middle.lat_deg + north)
        limit = data.draw(st.sampled_from([1, 100, 2000, 5000]))
        inside = [
            i for i in known
            if edges[0] <= i.lon_deg <= edges[2] and edges[1] <= i.lat_deg <= edges[3]
        ]  # fmt: skip
        inside.sort(key=lambda i: i.lat_deg)
        got = ids(search(shared, bbox=",".join(map(repr, edges)), limit=limit))
        assert got == [i.id for i in inside][: min(limit, 2000)]
        assert got

    def test_too_many_in_a_box_are_those_of_one_edge(self, shared, known):
        rows = search(shared, bbox="-122.56,45.04,-122.5501,45.0499", fields="geometry").json["data"]
        lats = [row["geometry"]["coordinates"][1] for row in rows]
        assert len(rows) == 2000 and max(lats) < max(i.lat_deg for i in known if 45.044 < i.lat_deg < 45.046)

    @pytest.mark.parametrize(
        ("edges", "status"),
        [
            ("-122.6,45.0,-122.5901,45.0099", 200), ("-122.6,45.0,-122.59,45.005", 400), ("0,0,0.001,0.01", 400),
            ("45.0,-122.6,45.1,-122.5", 400), ("-122.5,45.0,-122.6,45.0001", 400), ("1,2,3", 400), ("a,b,c,d", 400),
            ("nan,0,1,1", 400), ("0,0,0.001,inf", 400), ("", 400), ("179.999,0,180.001,0.001", 400),
        ],
    )  # fmt: skip
    def test_how_large_a_box_may_be(self, shared, edges, status):
        assert search(shared, bbox=edges).status == status

    def test_a_large_box_is_no_wrong_one(self, shared):
        assert search(shared, bbox="-122.6,45.0,-122.5,45.1").error[2] == "MLYApiException"
        assert search(shared, bbox="1,2,3").error[2] == "OAuthException"

    def test_a_dense_cell_is_too_much_however_small_the_box(self, box):
        cell = [-122.556, 45.044, -122.554, 45.046]
        box.set_quirks(dense_cells=[cell])
        for side_deg in (0.009, 0.001, 0.00001):
            edges = f"-122.555,45.045,{-122.555 + side_deg},{45.045 + side_deg}"
            assert search(box, bbox=edges).error == (500, 1, "OAuthException")
        assert search(box, bbox="-122.55,45.044,-122.545,45.046").status == 200

    def test_filters(self, shared, known):
        sequence = next(i.sequence for i in known if i.is_pano)
        images = [i for i in known if i.sequence == sequence]
        at = datetime.fromtimestamp(images[10].captured_ms / 1000, UTC)
        found = {
            "is_pano=true": [i for i in images if i.is_pano],
            "is_pano=false": [i for i in images if not i.is_pano],
            f"start_captured_at={quote(at.isoformat())}": images[10:],
            f"end_captured_at={at:%Y-%m-%dT%H:%M:%S.%fZ}": images[:11],
            "model=Plane": [i for i in images if not i.is_pano],
            "make=Nobody": [],
            "creator_username=sandbox": images,
            "creator_username=ann": [],
            "organization_id=1": [],
        }
        for query, expected in found.items():
            answer = ask(shared.url, f"/images?sequence_ids={sequence}&{query}")
            assert ids(answer) == [i.id for i in expected], query
        assert 0 < len(found["is_pano=false"]) < len(found["is_pano=true"])
        assert ask(shared.url, f"/images?sequence_ids={sequence}&start_captured_at=May").status == 400

    def test_near_a_point(self, shared, known, some):
        at = some[20]
        got = ids(search(shared, lat=at.lat_deg, lng=at.lon_deg, radius=50))
        lat, lon = (np.array(v) for v in zip(*((i.lat_deg, i.lon_deg) for i in known)))
        near = distance_m(lat, lon, np.array([at.lat_deg]), np.array([at.lon_deg])) <= 50
        assert got == [i.id for i, is_near in zip(known, near) if is_near] and at.id in got
        assert search(shared, lat=1, lng=1, radius=51).error == (400, 100, "MLYApiException")

    @pytest.mark.parametrize("asked", [{}, {"limit": 5}, {"lat": 1}, {"image_ids": "1", "limit": "x"}])
    def test_a_search_that_says_nothing(self, shared, asked):
        assert search(shared, **asked).error[:2] == (400, 100)


def tile(box: MapillarySandbox, z: int, x: int, y: int, kind: str = "mly1_public", **headers: str) -> Answer:
    return ask(box.url, f"/maps/vtp/{kind}/2/{z}/{x}/{y}", **headers)


def place(lat_deg: float, lon_deg: float) -> tuple[int, int, int]:
    (found,) = tiles_of(Box(lat_deg, lat_deg, lon_deg, lon_deg))
    return found


class TestTiles:
    def test_every_image_is_in_the_tile_of_its_place(self, shared, known):
        wanted: dict[tuple[int, int, int], list[Served]] = {}
        for image in known:
            wanted.setdefault(place(image.lat_deg, image.lon_deg), []).append(image)
        assert len(wanted) > 20
        for at, images in wanted.items():
            got = {i.id: i for i in tiles.images_of(tile(shared, *at).body, *at)}
            assert got.keys() == {i.id for i in images}
            for image in images:
                said = got[image.id]
                way_m = distance_m(*map(np.array, (said.lat_deg, said.lon_deg, image.lat_deg, image.lon_deg)))
                assert way_m < 1.0
                assert (said.sequence, said.is_pano) == (image.sequence, image.is_pano)
                assert said.captured_s == pytest.approx(image.captured_ms / 1000)
                assert said.heading_deg == pytest.approx(image.heading_deg)

    def test_computed_positions_have_tiles_of_their_own(self, shared, known):
        images = [i for i in known if not math.isnan(i.computed_lat_deg)]
        at = place(images[0].computed_lat_deg, images[0].computed_lon_deg)
        got = tiles.images_of(tile(shared, *at, kind="mly1_computed_public").body, *at)
        there = [i.id for i in images if place(i.computed_lat_deg, i.computed_lon_deg) == at]
        assert [i.id for i in got] == there

    def test_how_it_is_packed(self, shared, some):
        at = place(some[0].lat_deg, some[0].lon_deg)
        asked, bare = tile(shared, *at, Accept_Encoding="gzip"), tile(shared, *at, Accept_Encoding="identity")
        assert asked.headers["content-encoding"] == "gzip" and "content-encoding" not in bare.headers
        assert asked.body == bare.body and gzip.decompress(bare.body)

    def test_where_nothing_is(self, box, some):
        z, x, y = place(some[0].lat_deg, some[0].lon_deg)
        assert tile(box, 14, 0, 0).status == 404
        assert tile(box, 12, x // 4, y // 4)[::2] == (200, b"")
        assert tile(box, 15, 2 * x, 2 * y).status == tile(box, 14, 2**14, 0).status == 404
        box.set_quirks(gone=[some[0].id])
        assert some[0].id not in {i.id for i in tiles.images_of(tile(box, z, x, y).body, z, x, y)}

    @pytest.mark.gdal
    def test_gdal_reads_the_same(self, shared, known, tmp_path):
        z, x, y = place(45.045, -122.555)
        wanted = {int(i.id): i for i in known if place(i.lat_deg, i.lon_deg) == (z, x, y)}
        folder = tmp_path / str(z) / str(x)
        folder.mkdir(parents=True)
        (folder / f"{y}.pbf").write_bytes(gzip.decompress(tile(shared, z, x, y).body))
        done = subprocess.run(
            ["ogr2ogr", "-f", "GeoJSON", "-t_srs", "EPSG:4326", "/vsistdout/", folder / f"{y}.pbf", "image"],
            capture_output=True, check=True,
        )  # fmt: skip
        rows = json.loads(done.stdout)["features"]
        assert {r["properties"]["id"] for r in rows} == wanted.keys() and len(rows) > 2000
        assert max(wanted) > 2**53
        for row in rows:
            image, said = wanted[row["properties"]["id"]], row["properties"]
            assert row["geometry"]["coordinates"] == pytest.approx([image.lon_deg, image.lat_deg], abs=1e-5)
            assert (said["sequence_id"], said["captured_at"]) == (image.sequence, image.captured_ms)
            assert said["is_pano"] == image.is_pano


class TestFiles:
    @pytest.mark.parametrize("is_pano", [True, False])
    def test_each_size_is_a_whole_picture_of_that_width(self, shared, known, is_pano):
        image = next(i for i in known if i.is_pano == is_pano)
        urls = ask(shared.url, f"/{image.id}?fields={URLS},width,height").json
        small = []
        for size, width_px in SIZES.items():
            answer = file(urls[f"thumb_{size}_url"])
            assert answer.status == 200 and answer.headers["content-type"] == "image/jpeg"
            with Image.open(io.BytesIO(answer.body)) as picture:
                assert picture.size == (width_px, width_px // 2 if is_pano else width_px * 3 // 4)
                assert not picture.getexif() and "progressive" not in picture.info
                rows = picture.height // 8
                small.append(np.asarray(picture.resize((32, 16), Image.Resampling.BOX), float))
            # Decoders pass over markers that are out of order, with a warning that nobody hears.
            assert [m[1] - 0xD0 for m in re.findall(rb"\xff[\xd0-\xd7]", answer.body)] == [
                row % 8 for row in range(rows - 1)
            ]
        assert (urls["width"], urls["height"]) == (2560, 1280 if is_pano else 1920)
        # All sizes show the same.
        assert all(np.abs(other - small[0]).mean() < 12 for other in small)

    def test_no_two_are_alike(self, shared, some):
        got = {file(url_of(shared, i, "256")).body for i in some}
        assert len(got) == len(some)
        pixels = [np.asarray(Image.open(io.BytesIO(data)), float) for data in got]
        like = [
            np.abs(p - q).mean()
            for p in pixels[:10]
            for q in pixels[:10]
            if p is not q and p.shape == q.shape
        ]
        assert min(like) > 5

    def test_the_same_in_another_sandbox(self, shared, box, some):
        for image in some[:5]:
            assert file(url_of(shared, image)).body == file(url_of(box, image)).body

    def test_an_address_expires(self, box, clock, some):
        url = url_of(box, some[0])
        assert urlsplit(url).netloc == urlsplit(box.image_url).netloc != urlsplit(box.url).netloc
        clock.at_s += 3599
        assert file(url).status == 200
        clock.at_s += 1
        assert file(url)[::2] == (403, b"URL signature expired")
        assert file(url_of(box, some[0])).status == 200
        box.set_quirks(url_life_s=0.5)
        url = url_of(box, some[0])
        assert file(url).status == 200
        clock.at_s += 0.5
        assert file(url).status == 403

    def test_an_address_cannot_be_made_up(self, box, some):
        url = url_of(box, some[0])
        base, _, query = url.partition("?")
        for wrong in (
            base,
            f"{base}?{query[:-1]}x",
            url.replace("oe=", "oe=f"),
            url_of(box, some[1]).partition("?")[0] + "?" + query,
        ):
            assert file(wrong).status == 403, wrong
        assert file(f"{box.image_url}/v/1_256.jpg?{query}").status == 404
        assert file(url, "POST").status == 405

    @given(data=st.data())
    def test_any_part(self, shared, some, data):
        image = data.draw(st.sampled_from(some[:3]))
        url = url_of(shared, image, "256")
        whole = file(url).body
        first = data.draw(st.integers(0, len(whole) + 5))
        last = data.draw(st.none() | st.integers(first, len(whole) + 5))
        answer = file(url, Range=f"bytes={first}-{'' if last is None else last}")
        part = whole[first:] if last is None else whole[first : last + 1]
        if part:
            assert (answer.status, answer.body) == (206, part)
            end = first + len(part) - 1
            assert answer.headers["content-range"] == f"bytes {first}-{end}/{len(whole)}"
            assert int(answer.headers["content-length"]) == len(part)
        else:
            assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(whole)}")

    def test_the_end_and_what_is_no_part(self, shared, some):
        url = url_of(shared, some[0])
        whole = file(url)
        assert file(url, Range="bytes=-10").body == whole.body[-10:]
        assert file(url, Range="bytes=-0").status == 416
        assert file(url, Range="bytes=-99999999").body == whole.body
        for odd in ("bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=x-"):
            assert file(url, Range=odd)[::2] == (200, whole.body)

    def test_a_part_of_the_same_only(self, shared, some):
        url, other = url_of(shared, some[0]), url_of(shared, some[1])
        tag = file(url).headers["etag"]
        assert tag == file(url).headers["etag"] != file(other).headers["etag"]
        assert file(url, Range="bytes=5-", If_Range=tag).status == 206
        assert file(other, Range="bytes=5-", If_Range=tag).status == 200

    def test_parts_can_be_switched_off(self, box, some):
        box.set_quirks(ignores_range=True)
        answer = file(url_of(box, some[0]), Range="bytes=5-")
        assert answer.status == 200 and answer.body.startswith(b"\xff\xd8")

    def test_only_the_head(self, shared, some):
        url = url_of(shared, some[0])
        head, whole = file(url, "HEAD"), file(url)
        assert (head.status, head.body) == (200, b"") and head.headers == whole.headers

    def test_a_token_has_no_business_there(self, box, some):
        url = url_of(box, some[0])
        assert file(url).status == 200 and box.received()["tokens_at_images"] == 0
        assert file(url, Authorization="OAuth tester").status == 200
        assert file(url + "&access_token=tester").status == 200
        assert box.received()["tokens_at_images"] == 2
        assert [r.authorization for r in box.requests() if r.origin == "images"] == [False, True, False]

    def test_faults_on_either_origin(self, box, some):
        url = url_of(box, some[0])
        whole = file(url).body
        box.set_faults(
            ["truncate=10,origin=images,nth=1", "html,origin=images,nth=2", "status=503,origin=api,nth=1"]
        )
        with pytest.raises(http.client.IncompleteRead) as cut:
            file(url)
        assert cut.value.partial == whole[:-10]
        assert file(url).headers["content-type"].startswith("text/html")
        assert file(url).body == whole
        assert ask(box.url, f"/{some[0].id}").status == 503
        assert ask(box.url, f"/{some[0].id}").status == 200


class TestQuirks:
    def test_they_are_told_and_set_over_http(self, box):
        usual = ask(box.url, "/_sandbox/quirks", None).json
        assert usual["url_life_s"] == 3600 and usual["dense_cells"] == []
        line = http.client.HTTPConnection(urlsplit(box.url).netloc, timeout=30)
        wanted = {"url_life_s": 1.5, "dense_cells": [[1.0, 2.0, 3.0, 4.0]], "gone": ["7"], "over_limit": 1}
        line.request("POST", "/_sandbox/quirks", json.dumps(wanted))
        answer = line.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {**usual, **wanted})
        for wrong in (
            b'{"life": 1}',
            b'{"url_life_s": "x"}',
            b'{"gone": [1]}',
            b'{"dense_cells": [[1]]}',
            b"[]",
            b"{",
        ):
            line.request("POST", "/_sandbox/quirks", wrong)
            answer = line.getresponse()
            assert (answer.status, list(json.loads(answer.read()))) == (400, ["error"])
        line.close()
        assert ask(box.url, "/_sandbox/quirks", None).json == {**usual, **wanted}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"url_life": 1}, {"url_life_s": -1}, {"url_life_s": True}, {"over_limit": 1.5}, {"missing": "both"},
            {"ignores_range": 1}, {"gone": "7"}, {"dense_cells": [[1, 2, 3, "x"]]},
        ],
    )  # fmt: skip
    def test_what_is_none(self, box, wrong):
        with pytest.raises(UsageError):
            box.set_quirks(**wrong)


class TestMadeUp:
    def test_where_it_is(self, known):
        first = [i for i in known if 45.0 <= i.lat_deg <= 45.1 and -122.6 <= i.lon_deg <= -122.5]
        south = [i for i in known if -33.9 <= i.lat_deg <= -33.85 and 151.15 <= i.lon_deg <= 151.25]
        assert len(first) > 2000 and len({i.sequence for i in first}) > 5
        assert len(south) > 100 and len({i.sequence for i in south}) > 1
        assert len(first) + len(south) == len(known)

    def test_ids_and_names_are_of_the_services_kind(self, known):
        assert all(i.id.isdecimal() and 15 <= len(i.id) <= 17 for i in known)
        assert all(len(i.sequence) == 22 for i in known)

    def test_original_positions_are_some_metres_beside(self, known):
        rows = [i for i in known if not math.isnan(i.computed_lat_deg)]
        columns = zip(*((i.lat_deg, i.lon_deg, i.computed_lat_deg, i.computed_lon_deg) for i in rows))
        way_m = distance_m(*map(np.array, columns))
        assert way_m.min() > 0.9 and way_m.max() < 5.1


FOUR = "AAAAAAAAAAAAAAAAAAAAAA,10001,45.5,9.1\nAAAAAAAAAAAAAAAAAAAAAA,10002,45.5,9.2\n"
EIGHT = "AAAAAAAAAAAAAAAAAAAAAA,BBBBBBBBBBBBBBBBBBBBBB,10001,20001,45.5,9.1,45.6,9.3\n"


class TestData:
    def test_id_lists(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "one.txt").write_text(FOUR)
        (tmp_path / "pairs.txt").write_text(EIGHT)
        (tmp_path / ".camtrail").mkdir()
        (tmp_path / ".camtrail" / "x.txt").write_text("no list, and nobody's business")
        with MapillarySandbox(data=str(tmp_path)) as box:
            assert ids(ask(box.url, "/image_ids?sequence_id=" + "A" * 22)) == ["10001", "10002"]
            assert ids(ask(box.url, "/image_ids?sequence_id=" + "B" * 22)) == ["20001"]
            asked = ask(
                box.url, "/20001?fields=computed_geometry,geometry,is_pano,camera_type,thumb_original_url"
            ).json
            assert asked["computed_geometry"]["coordinates"] == [9.3, 45.6]
            assert asked["geometry"]["coordinates"] != [9.3, 45.6]
            assert asked["geometry"]["coordinates"] == pytest.approx([9.3, 45.6], abs=1e-4)
            assert (asked["is_pano"], asked["camera_type"]) in {(True, "spherical"), (False, "perspective")}
            assert Image.open(io.BytesIO(file(asked["thumb_original_url"]).body)).width == 2560

    def test_photos(self, tmp_path):
        start = datetime(2026, 5, 9, 8, 0, tzinfo=UTC)
        for name, minutes in (
            ("ride/b.jpg", 0),
            ("ride/a.JPG", 1),
            ("other/c.jpeg", 2),
            ("other/nowhere.jpg", None),
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shot = Shot(size=(40, 20))
            if minutes is not None:
                at = start + timedelta(minutes=minutes)
                shot = Shot(
                    local=f"{at:%Y:%m:%d %H:%M:%S}", offset="+00:00", lat_deg=47.37 + minutes / 100, lon_deg=8.54,
                    gps_time=at, size=(40, 20), make="Ricoh",
                )  # fmt: skip
            (tmp_path / name).write_bytes(shot.bytes())
        (tmp_path / "other" / "broken.jpg").write_bytes(b"no picture")
        with MapillarySandbox(data=str(tmp_path)) as box:
            (image,) = search(
                box, bbox="8.539,47.369,8.541,47.371", fields=f"sequence,captured_at,make,is_pano,{URLS}"
            ).json["data"]
            assert (
                image["captured_at"] == start.timestamp() * 1000
                and image["make"] == "Ricoh"
                and image["is_pano"]
            )
            ride = ids(ask(box.url, f"/image_ids?sequence_id={image['sequence']}"))
            assert len(ride) == 2 and ride[0] == image["id"]
            for size, width_px in {"256": 256, "original": 320, "2048": 320}.items():
                picture = Image.open(io.BytesIO(file(image[f"thumb_{size}_url"]).body))
                assert picture.size == (width_px, width_px // 2) and not picture.getexif()
            assert len(of_folder(str(tmp_path))) == 3
            url = ask(box.url, f"/{ride[1]}?fields=thumb_1024_url").json["thumb_1024_url"]
            (tmp_path / "ride" / "a.JPG").unlink()
            assert file(url).status == 404

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [("list.txt", "a,b,c\n", "line 1"), ("notes.md", FOUR, "neither geotagged photos nor id lists")],
    )
    def test_what_cannot_be_used(self, tmp_path, name, text, words):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=words):
            MapillarySandbox(data=str(tmp_path))

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="not there"):
            MapillarySandbox(data=str(tmp_path / "nowhere"))

    @pytest.mark.data
    def test_the_published_lists(self):
        found = of_folder(str(LISTS))
        assert len(found) == 3844 and len({i.sequence for i in found}) == 16
        flat = sum(not i.is_pano for i in found)
        assert 10 < flat < 100
        with MapillarySandbox(data=str(LISTS)) as box:
            files = set()
            for sequence in sorted({i.sequence for i in found})[:2]:
                rows = search(box, sequence_ids=sequence, fields="thumb_256_url").json["data"]
                assert [r["id"] for r in rows] == [i.id for i in found.sequence(sequence)]
                files.update(file(r["thumb_256_url"]).body for r in rows)
            assert len(files) == sum(len(found.sequence(s)) for s in sorted({i.sequence for i in found})[:2])
