"""Vector tiles: what this package's own reader makes of them, of damaged ones, and what GDAL makes of the same."""

from __future__ import annotations

import gzip
import json
import math
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.clock import RealClock
from camtrail.core.errors import BadAnswer, Unreachable
from camtrail.core.secrets import Secret
from camtrail.services.mapillary.client import Client
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.sandbox_tiles import EXTENT, layer
from camtrail.services.mapillary.tiles import images_of
from camtrail.services.mapillary.wire import Endpoints
from camtrail.steps.tiling import Box, boxes, tiles
from camtrail.transfer.faultserver import FaultServer, Reply
from camtrail.transfer.http import Http

Z, X, Y = 14, 2613, 5886

POINT = st.tuples(
    st.integers(0, EXTENT + 100),
    st.integers(0, EXTENT + 100),
    st.fixed_dictionaries(
        {"id": st.integers(1, 2**63 - 1)},
        optional={
            "sequence_id": st.from_regex(r"\A[A-Za-z0-9_-]{1,22}\Z"),
            "captured_at": st.integers(0, 2 * 10**12),
            "compass_angle": st.floats(0, 359.99),
            "is_pano": st.booleans(),
            "creator_id": st.integers(1, 2**63 - 1),
            "organization_id": st.integers(1, 2**63 - 1),
            "other": st.text(max_size=5),
        },
    ),
)


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def part(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def whole(number, value):
    return varint(number << 3) + varint(value)


def tile(*features, keys=(b"id",), values=(whole(5, 7),), name=b"image", extent=4096):
    parts = [
        part(1, name),
        *(part(2, f) for f in features),
        *(part(3, k) for k in keys),
        *(part(4, v) for v in values),
    ]
    return part(3, b"".join(parts) + (whole(5, extent) if extent is not None else b""))


def feature(tags=b"\0\0", kind=1, geometry=b"\x09\x02\x02", more=b""):
    return part(2, tags) + whole(3, kind) + part(4, geometry) + more


class TestImages:
    @given(st.lists(POINT, max_size=20), st.booleans())
    def test_come_back_as_they_were_put_in(self, points, packed):
        data = layer("image", points)
        found = images_of(gzip.compress(data) if packed else data, Z, X, Y)
        assert len(found) == len(points)
        for image, (x, y, told) in zip(found, points, strict=True):
            assert image.id == str(told["id"])
            assert image.sequence == told.get("sequence_id")
            assert image.is_pano == told.get("is_pano")
            assert image.creator_id == (str(told["creator_id"]) if "creator_id" in told else None)
            assert image.organization_id == (
                str(told["organization_id"]) if "organization_id" in told else None
            )
            for value, key, unit in (
                (image.captured_s, "captured_at", 1000),
                (image.heading_deg, "compass_angle", 1),
            ):
                assert value == pytest.approx(told[key] / unit) if key in told else math.isnan(value)
            # The inverse of where the maps of the web put a position.
            lat = math.radians(image.lat_deg)
            across = (image.lon_deg + 180) / 360 * 2**Z - X
            down = (1 - math.log(math.tan(lat) + 1 / math.cos(lat)) / math.pi) / 2 * 2**Z - Y
            assert (across * EXTENT, down * EXTENT) == pytest.approx((x, y), abs=1e-3)

    def test_of_other_layers_are_none(self):
        assert images_of(layer("sequence", [(1, 1, {"id": 1})]) + layer("overview", []), Z, X, Y) == []

    def test_of_an_empty_tile_are_none(self):
        assert images_of(b"", Z, X, Y) == [] == images_of(gzip.compress(b""), Z, X, Y)

    def test_are_where_the_corner_of_the_world_is(self):
        (image,) = images_of(tile(feature(geometry=b"\x09\0\0")), 0, 0, 0)
        assert (image.lat_deg, image.lon_deg) == pytest.approx((85.0511287798, -180))

    @pytest.mark.parametrize(
        ("value", "id"),
        [
            (whole(5, 2**64 - 1), "18446744073709551615"),
            (whole(4, 2**53 + 1), "9007199254740993"),
            (whole(6, 2 * 12), "12"),
            (b"\x28" + b"\x81" + b"\x80" * 8 + b"\x02", "1"),  # what is above 64 bits does not count
            (part(1, b"123"), "123"),
        ],
    )
    def test_have_their_id_in_each_form(self, value, id):
        assert [i.id for i in images_of(tile(feature(), values=(value,)), Z, X, Y)] == [id]

    @pytest.mark.parametrize(
        "value",
        [whole(4, 2**64 - 5), whole(5, 0), whole(6, 9), part(1, b"../x"), part(1, "٣".encode()), whole(7, 1)],
    )
    def test_without_an_id_are_left_out(self, value):
        assert images_of(tile(feature(), values=(value,)), Z, X, Y) == []

    def test_may_have_their_id_as_that_of_the_feature(self):
        assert [i.id for i in images_of(tile(feature(tags=b"", more=whole(1, 9))), Z, X, Y)] == ["9"]

    def test_that_are_no_points_are_left_out(self):
        assert images_of(tile(feature(kind=2, geometry=b"\x09\x02\x02\x0a\x02\x02")), Z, X, Y) == []

    @pytest.mark.parametrize("number", [2, 3])
    def test_may_have_a_direction_of_either_size(self, number):
        fixed = struct.pack("<f", 90.5) if number == 2 else struct.pack("<d", 90.5)
        value = varint(number << 3 | (5 if number == 2 else 1)) + fixed
        data = tile(feature(tags=b"\0\0\1\1"), keys=(b"id", b"compass_angle"), values=(whole(5, 7), value))
        assert [i.heading_deg for i in images_of(data, Z, X, Y)] == [90.5]

    def test_stand_in_a_tile_of_any_extent(self):
        data = tile(feature(geometry=b"\x09" + varint(2 * 512) * 2), extent=1024)
        without = tile(feature(geometry=b"\x09" + varint(2 * 2048) * 2), extent=None)
        (image,), (other,) = images_of(data, Z, X, Y), images_of(without, Z, X, Y)
        assert (image.lat_deg, image.lon_deg) == (other.lat_deg, other.lon_deg)

    def test_may_stand_a_little_beside_it(self):
        (image,) = images_of(tile(feature(geometry=b"\x09\x01\x01"), extent=1), 1, 1, 1)
        assert (image.lat_deg, image.lon_deg) == pytest.approx((85.0511287798, -180))


class TestDamage:
    GOOD = layer(
        "image", [(5, 9, {"id": 2**60, "sequence_id": "s", "compass_angle": 1.5, "is_pano": True})] * 3
    )

    @given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda b: part(3, part(1, b"image") + b)))
    def test_of_any_kind_is_named(self, data):
        try:
            images_of(data, Z, X, Y)
        except BadAnswer as e:
            assert e.retryable and "14/2613/5886" in e.message

    @given(st.data())
    def test_of_a_byte_is_named_or_does_no_harm(self, data):
        at = data.draw(st.integers(0, len(self.GOOD) - 1))
        bent = bytearray(self.GOOD)
        bent[at] = data.draw(st.integers(0, 255))
        try:
            for image in images_of(bytes(bent), Z, X, Y):
                assert image.id.isdigit() and -90 < image.lat_deg < 90
        except BadAnswer:
            pass

    @given(st.integers(1, len(GOOD) - 1), st.booleans())
    def test_of_the_end_is_named(self, missing, packed):
        data = gzip.compress(self.GOOD) if packed else self.GOOD
        with pytest.raises(BadAnswer):
            images_of(data[: -min(missing, len(data) - 2)], Z, X, Y)

    @pytest.mark.parametrize(
        "data",
        [
            b"<html>",
            tile(feature(tags=b"\0")),
            tile(feature(tags=b"\1\0")),
            tile(feature(tags=b"\0\1")),
            tile(feature(geometry=b"\x09\2")),
            tile(feature(geometry=b"\x0a\2\2")),
            tile(feature(geometry=b"\x09" + varint(2**63) + b"\2")),
            tile(feature(), extent=0),
            tile(feature(), name=b"\xff"),
            tile(feature(), keys=(b"\xff",)),
            tile(feature(), values=(part(3, b"abc"),)),
            tile(whole(2, 7)),
            part(3, part(1, b"image") + b"\x0b"),
            b"\xff" * 11,
            gzip.compress(b"\0" * (1 << 27), 1),
            gzip.compress(b"") + b"more",
        ],
    )
    def test_is_named(self, data):
        with pytest.raises(BadAnswer, match="damaged"):
            images_of(data, Z, X, Y)


class TestTheCall:
    def client(self, http, url):
        return Client(http, Endpoints.of(url), Secret("canary-token-1"))

    def http(self, url):
        return Http([url], user_agent="camtrail/test", clock=RealClock())

    @pytest.mark.parametrize(
        "area", [Box(45.03, 45.04, -122.56, -122.55), Box(-33.88, -33.87, 151.2, 151.21)]
    )
    def test_finds_what_a_search_finds(self, area):
        with MapillarySandbox() as box, self.http(box.url) as http:
            client = self.client(http, box.url)
            searched = {i.id: i for part in boxes(area) for i in client.images_in(part, "256")}
            found = {i.id: i for z, x, y in tiles(area) for i in client.tile(z, x, y)}
        assert searched and searched.keys() <= found.keys()
        for id, image in searched.items():
            other = found[id]
            assert (other.lat_deg, other.lon_deg) == pytest.approx((image.lat_deg, image.lon_deg), abs=2e-5)
            assert (other.sequence, other.is_pano) == (image.sequence, image.is_pano)
            assert other.captured_s == pytest.approx(image.captured_s, nan_ok=True)

    @pytest.mark.parametrize(
        "reply", [Reply(404, b""), Reply(200, b""), Reply(204), Reply(200, gzip.compress(b""))]
    )
    def test_finds_nothing_where_there_is_nothing(self, reply):
        with FaultServer({"api": lambda r: reply}) as server, self.http(server.url("api")) as http:
            assert self.client(http, server.url("api")).tile(Z, X, Y) == []

    @pytest.mark.parametrize("says", [{}, {"Content-Encoding": "gzip"}])
    def test_reads_compressed_tiles_whatever_they_say_they_are(self, says):
        data = gzip.compress(layer("image", [(1, 1, {"id": 5})]))
        asked = []

        def app(request):
            asked.append(request)
            return Reply(200, data, says)

        with FaultServer({"api": app}) as server, self.http(server.url("api")) as http:
            assert [i.id for i in self.client(http, server.url("api")).tile(Z, X, Y)] == ["5"]
        assert asked[0].path == f"/maps/vtp/mly1_public/2/{Z}/{X}/{Y}" and asked[0].query == ""

    def test_is_cut_like_any_other(self):
        data = gzip.compress(layer("image", [(1, 1, {"id": 5})] * 999))
        server = FaultServer({"api": lambda r: Reply(200, data)}, faults=["truncate=3"])
        with server, self.http(server.url("api")) as http, pytest.raises(Unreachable):
            self.client(http, server.url("api")).tile(Z, X, Y)


@pytest.mark.gdal
def test_gdal_reads_the_same(tmp_path):
    points = [(10 * n, 4000 - 7 * n, {"id": 2**53 + n, "sequence_id": f"s{n}"}) for n in range(20)]
    data = layer("image", points)
    (tmp_path / f"{Z}-{X}-{Y}.pbf").write_bytes(data)
    options = ["-oo", f"X={X}", "-oo", f"Y={Y}", "-oo", f"Z={Z}", "-oo", "METADATA_FILE="]
    command = [
        "ogr2ogr",
        "-f",
        "GeoJSON",
        "-t_srs",
        "EPSG:4326",
        "-lco",
        "COORDINATE_PRECISION=9",
        "/vsistdout/",
    ]
    done = subprocess.run(
        [*command, *options, str(tmp_path / f"{Z}-{X}-{Y}.pbf"), "image"], capture_output=True, check=True
    )
    rows = json.loads(done.stdout)["features"]
    ours = images_of(data, Z, X, Y)
    assert [str(r["properties"]["id"]) for r in rows] == [i.id for i in ours]
    for row, image in zip(rows, ours, strict=True):
        lon, lat = row["geometry"]["coordinates"]
        assert (lat, lon) == pytest.approx((image.lat_deg, image.lon_deg), abs=1e-7)
