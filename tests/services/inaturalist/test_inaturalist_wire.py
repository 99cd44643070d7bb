"""Observations as the service really lists them, odd ones included, become values; one that is unreadable is alone."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import BadAnswer, Rejected, UsageError
from camtrail.services.inaturalist.wire import (
    SIZES,
    Endpoints,
    Taxon,
    identification,
    identification_parts,
    observation_in,
    page_in,
    user_in,
)
from camtrail.transfer.http import Answer

PLACE = "https://static.inaturalist.org/photos"


def photo(number: int = 5, **more: Any) -> dict[str, Any]:
    return {"id": number, "url": f"{PLACE}/{number}/square.jpg", **more}


def observation(**more: Any) -> dict[str, Any]:
    """An ordinary one, with other values for some keys."""
    return {
        "id": 68980359,
        "uuid": "7d0a0e8e-0b1c-4d46-9a3c-3d4b0b9e3b1f",
        "observed_on": "2021-02-01",
        "observed_on_details": {"date": "2021-02-01", "hour": 10},
        "time_observed_at": "2021-02-01T10:35:00-08:00",
        "location": "37.4103055556,-121.7899666667",
        "positional_accuracy": 12,
        "obscured": False,
        "taxon": {"id": 42051, "name": "Canis latrans", "rank": "species", "preferred_common_name": "Coyote"},
        "observation_photos": [{"id": 9, "uuid": "u", "position": 0, "photo": photo()}],
        "a key that nobody foresaw": [1, 2],
        **more,
    }


def answer(value: Any) -> Answer:
    return Answer(200, {"content-type": "application/json"}, json.dumps(value).encode())


def page(*results: Any, total: Any = None) -> Any:
    return page_in(
        answer({"total_results": len(results) if total is None else total, "results": list(results)})
    )


class TestTime:
    def test_the_wall_clock_and_the_instant(self):
        o = observation_in(observation())
        assert o.local_s == datetime(2021, 2, 1, 10, 35, tzinfo=UTC).timestamp()
        assert o.time_s == o.local_s + 8 * 3600
        assert (o.date, o.has_seconds) == ("2021-02-01", False)

    def test_seconds_are_there_where_they_are_not_zero(self):
        o = observation_in(observation(time_observed_at="2018-07-07T08:57:22+00:00"))
        assert o.has_seconds and o.local_s % 60 == 22

    @pytest.mark.parametrize("text", [None, "", "2021-02-01"])
    def test_a_date_without_a_time(self, text):
        o = observation_in(observation(time_observed_at=text))
        assert math.isnan(o.local_s) and math.isnan(o.time_s) and o.date == "2021-02-01" and not o.has_seconds

    def test_nothing_known(self):
        o = observation_in(observation(time_observed_at=None, observed_on=None, observed_on_details=None))
        assert o.date is None

    def test_the_date_is_that_of_the_place(self):
        moment = "2021-02-01T23:30:00-08:00"
        o = observation_in(observation(time_observed_at=moment, observed_on=None, observed_on_details=None))
        assert o.date == "2021-02-01"

    def test_a_time_without_a_zone_has_no_instant(self):
        o = observation_in(observation(time_observed_at="2021-02-01T10:35:00"))
        assert not math.isnan(o.local_s) and math.isnan(o.time_s)

    @given(
        st.datetimes(datetime(1850, 1, 1), datetime(2150, 1, 1)).map(lambda d: d.replace(microsecond=0)),
        st.integers(-14 * 60, 14 * 60),
    )
    def test_any_time_in_any_zone(self, local, minutes):
        moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        o = observation_in(observation(time_observed_at=moment.isoformat()))
        assert o.time_s == moment.timestamp() and o.local_s - o.time_s == minutes * 60


class TestPlace:
    def test_as_it_is(self):
        o = observation_in(observation())
        assert (o.lat_deg, o.lon_deg, o.accuracy_m) == (37.4103055556, -121.7899666667, 12.0)
        assert not o.is_obscured

    @pytest.mark.parametrize("location", [None, ""])
    def test_a_private_one(self, location):
        o = observation_in(
            observation(location=location, positional_accuracy=None, obscured=True, geoprivacy="private")
        )
        assert math.isnan(o.lat_deg) and math.isnan(o.lon_deg) and math.isnan(o.accuracy_m) and o.is_obscured

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({"obscured": True}, True), ({"obscured": False, "taxon_geoprivacy": "obscured"}, False),
            ({"obscured": None, "taxon_geoprivacy": "obscured"}, True), ({"obscured": None, "geoprivacy": "open"}, False),
            ({"obscured": None, "geoprivacy": "obscured_private"}, True), ({"obscured": None}, False),
        ],
    )  # fmt: skip
    def test_an_obscured_one(self, more, expected):
        assert observation_in(observation(**more)).is_obscured is expected

    def test_its_owner_is_told_where_it_was(self):
        o = observation_in(observation(location="37.4,-121.7", private_location="37.1,-121.2", obscured=True))
        assert (o.lat_deg, o.lon_deg, o.is_obscured) == (37.1, -121.2, False)

    def test_a_small_number(self):
        assert observation_in(observation(location="1.0e-05,-0")).lat_deg == 1e-5


class TestTaxon:
    def test_none(self):
        assert observation_in(observation(taxon=None)).taxon is None

    def test_without_a_common_name(self):
        taxon = observation_in(observation(taxon={"id": 1, "name": "Quercus", "rank": "Genus"})).taxon
        assert taxon == Taxon(1, "Quercus", "genus", "")

    def test_ancestors_come_from_whoever_names_them(self):
        chain = [
            {"id": 1, "name": "Animalia", "rank": "kingdom", "preferred_common_name": "Animals"},
            {"id": 2, "name": "Canis", "rank": "genus"},
            {"id": 42051, "name": "Canis latrans", "rank": "species"},
        ]
        expected = [(1, "Animalia", "Animals"), (2, "Canis", "")]
        others = [
            {"taxon": None}, "noise", {"taxon": {"id": 7, "ancestors": [{"id": 1, "name": "Animalia"}]}},
            {"taxon": {"id": 42051, "ancestors": "noise"}},
        ]  # fmt: skip
        same = {"taxon": {"id": 42051, "name": "Canis latrans", "ancestors": chain[:2]}}
        finer = {"taxon": {"id": 99, "name": "Canis latrans lestes", "ancestors": chain}}
        for identifications in ([*others, same], [*others, finer], [finer, same]):
            taxon = observation_in(observation(identifications=identifications)).taxon
            assert [(a.id, a.name, a.common_name) for a in taxon.ancestors] == expected
        for nothing in (None, others, "noise", 5):
            assert observation_in(observation(identifications=nothing)).taxon.ancestors == ()


NAMES = [
    (("Canis latrans", "species", "Coyote"), "Coyote (Canis latrans)"),
    (("Canis latrans", "species", ""), "Canis latrans"),
    (("Puma concolor couguar", "subspecies", "north american cougar"), "North American Cougar (Puma concolor ssp. couguar)"),
    (("Eschscholzia californica maritima", "variety", ""), "Eschscholzia californica var. maritima"),
    (("Quercus", "genus", "oaks"), "Oaks (Quercus sp.)"),
    (("Quercus", "genus", ""), "Quercus sp."),
    (("Aves", "class", "birds"), "Birds (Aves)"),
    (("Epilobium densiflorum", "species", "dense-flowered willowherb"), "Dense-Flowered Willowherb (Epilobium densiflorum)"),
    (("Callipepla californica", "species", "California quail's kin"), "California Quail's Kin (Callipepla californica)"),
    (("Anas × b", "hybrid", ""), "Anas × b"),
    (("Odd", "subspecies", ""), "Odd"),
]  # fmt: skip


class TestIdentification:
    @pytest.mark.parametrize(("taxon", "expected"), NAMES)
    def test_the_text(self, taxon, expected):
        assert identification(Taxon(1, *taxon)) == expected

    def test_of_nothing(self):
        assert identification(None) == "" and identification_parts(None) == ()

    def test_what_is_italic(self):
        taxon = Taxon(1, "Puma concolor couguar", "subspecies", "Cougar")
        assert [text for text, italic in identification_parts(taxon) if italic] == [
            "Puma",
            "concolor",
            "couguar",
        ]
        assert [t for t, i in identification_parts(Taxon(1, "Quercus", "genus", "")) if not i] == [" ", "sp."]

    @given(st.text(min_size=1), st.sampled_from(["species", "genus", "variety", "subspecies", ""]), st.text())
    def test_the_parts_are_the_whole(self, name, rank, common):
        taxon = Taxon(1, name, rank, common)
        assert "".join(t for t, _ in identification_parts(taxon)) == identification(taxon)


class TestPhotos:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            (f"{PLACE}/5/square.jpg", f"{PLACE}/5/large.jpg"),
            (f"{PLACE}/5/medium.JPG?1545345841", f"{PLACE}/5/large.JPG?1545345841"),
            (
                "https://inaturalist-open-data.s3.amazonaws.com/photos/5/square.jpeg",
                "https://inaturalist-open-data.s3.amazonaws.com/photos/5/large.jpeg",
            ),
            ("http://static.inaturalist.org/photos/5/square.png", f"{PLACE}/5/large.png"),
            ("http://127.0.0.1:81/photos/5/square.gif", "http://127.0.0.1:81/photos/5/large.gif"),
            ("https://www.inaturalist.org/assets/copyright-infringement-square.png", None),
            ("https://www.inaturalist.org/attachment_defaults/local_photos/square.png", None),
            ("https://live.staticflickr.com/1/2_3_s.jpg", None),
            (f"{PLACE}/5/square.jpg#x", None), (f"{PLACE}/5/ square.jpg", None), (f"{PLACE}/5/square.jpg\n", None),
            (f"{PLACE}/é/photos/5/square.jpg", None), ("javascript:alert(1)/photos/5/square.jpg", None), ("", None),
        ],
    )  # fmt: skip
    def test_where_a_size_lies(self, url, expected):
        (p,) = observation_in(observation(observation_photos=[{"id": 9, "photo": photo(url=url)}])).photos
        assert p.url_of("large") == expected
        with pytest.raises(ValueError, match="huge"):
            p.url_of("huge")

    def test_all_that_is_known(self):
        (p,) = observation_in(
            observation(
                observation_photos=[
                    {
                        "id": 9,
                        "uuid": "u",
                        "position": 3,
                        "photo": photo(
                            license_code="cc-by",
                            attribution="(c) me",
                            original_dimensions={"width": 2048, "height": 0},
                            original_filename="IMG_1.JPG",
                        ),
                    }
                ]
            )
        ).photos
        assert (p.id, p.uuid, p.photo_id, p.position) == (9, "u", 5, 0)
        assert (p.width_px, p.height_px, p.file_name) == (2048, None, "IMG_1.JPG")
        assert (p.license_code, p.attribution) == ("cc-by", "(c) me")

    def test_the_order_is_that_of_the_service(self):
        places = [(14, None), (13, 2), (12, 0), (11, None), (10, 0)]
        o = observation_in(
            observation(
                observation_photos=[{"id": i, "position": n, "photo": photo(i)} for i, n in places]
                + [{"id": 9, "position": 1, "photo": None}]
            )
        )
        assert [(p.id, p.position) for p in o.photos] == [(10, 0), (12, 1), (13, 2), (11, 3), (14, 4)]

    @pytest.mark.parametrize("value", [None, []])
    def test_none(self, value):
        assert observation_in(observation(observation_photos=value)).photos == ()


WRONG = [
    {"id": None}, {"id": "1"}, {"id": True}, {"id": -1}, {"id": 1.5}, {"uuid": 5}, {"time_observed_at": 5},
    {"time_observed_at": "yesterday"}, {"observed_on_details": None, "observed_on": "soon"},
    {"observed_on_details": {"date": "2021-02-30"}}, {"location": [37, -121]}, {"location": "37"},
    {"location": "91,0"}, {"location": "nan,nan"}, {"location": "1,2,3"}, {"private_location": "1;2"},
    {"positional_accuracy": "12"}, {"positional_accuracy": True}, {"obscured": "yes"}, {"obscured": None, "geoprivacy": 1},
    {"taxon": "Coyote"}, {"taxon": {"id": 1}}, {"taxon": {"name": "x"}}, {"taxon": {"id": 1, "name": "x", "rank": 2}},
    {"observation_photos": {}}, {"observation_photos": [5]}, {"observation_photos": [{"photo": photo()}]},
    {"observation_photos": [{"id": 1, "photo": "x"}]}, {"observation_photos": [{"id": 1, "photo": {"id": None}}]},
    {"observation_photos": [{"id": 1, "photo": photo(url=5)}]}, {"time_observed_at": "0000-01-01T00:00:00Z"},
    {"observation_photos": [{"id": 1, "position": -1, "photo": photo()}]},
    {"observation_photos": [{"id": 1, "photo": photo(original_dimensions={"width": "2"})}]},
    {"observation_photos": [{"id": 1, "photo": photo(original_dimensions=[1, 2])}]}, {"uuid": "x" * 5000},
]  # fmt: skip


class TestPages:
    @pytest.mark.parametrize("wrong", WRONG, ids=str)
    def test_one_that_is_wrong_is_left_out_alone(self, wrong):
        found = page(observation(id=1), observation(**{"id": 2, **wrong}), observation(id=3))
        assert [o.id for o in found.observations] == [1, 3]
        (skipped,) = found.skipped
        assert skipped.id in (2, None) and skipped.reason.isprintable() and len(skipped.reason) < 200

    @pytest.mark.parametrize("noise", [None, 5, "x", [], [1]])
    def test_what_is_no_object_at_all(self, noise):
        found = page(observation(id=1), noise)
        assert len(found.observations) == 1 and found.skipped[0].id is None and found.ids == (1,)

    @pytest.mark.parametrize(
        "value",
        [
            None, 5, [], {}, {"results": []}, {"total_results": 1}, {"total_results": "1", "results": []},
            {"total_results": 1, "results": {}}, {"total_results": -1, "results": []},
        ],
    )  # fmt: skip
    def test_what_is_no_page(self, value):
        with pytest.raises(BadAnswer):
            page_in(answer(value))

    def test_a_login_page(self):
        with pytest.raises(BadAnswer, match="log in there"):
            page_in(Answer(200, {"content-type": "text/html"}, b"<html>"))

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )

    @given(st.data())
    def test_any_value_anywhere_is_read_or_left_out(self, data):
        value = observation(id=7)
        inside = data.draw(st.sampled_from(["observation", "photo", "place", "taxon"]))
        place = value["observation_photos"][0]
        target = {"observation": value, "photo": place["photo"], "place": place, "taxon": value["taxon"]}[
            inside
        ]
        target[data.draw(st.sampled_from(sorted(target)))] = data.draw(self.json_values)
        found = page(observation(id=1), value)
        assert len(found.observations) + len(found.skipped) == 2 and found.observations[0].id == 1

    def test_halves_of_characters_are_escaped(self):
        body = json.dumps({"total_results": 1, "results": [observation(taxon={"id": 1, "name": "\ud800x"})]})
        (o,) = page_in(Answer(200, {}, body.encode())).observations
        assert o.taxon.name == "\\ud800x"


class TestUser:
    def test_as_it_is(self):
        user = user_in(
            answer({"results": [{"id": 5, "login": "ann", "observations_count": 12, "name": None}]})
        )
        assert (user.id, user.login, user.observation_count) == (5, "ann", 12)
        assert user_in(answer({"results": [{"id": 5, "login": "ann"}]})).observation_count is None

    def test_nobody(self):
        with pytest.raises(Rejected):
            user_in(answer({"total_results": 0, "results": []}))

    @pytest.mark.parametrize("user", [None, {}, {"id": "5", "login": "ann"}, {"id": 5, "login": 7}])
    def test_what_is_no_user(self, user):
        with pytest.raises(BadAnswer):
            user_in(answer({"results": [user]}))


class TestEndpoints:
    def test_the_service(self):
        for given_url in (None, "", "https://api.inaturalist.org"):
            at = Endpoints.of(given_url)
            assert at.api == "https://api.inaturalist.org/v1" and at.is_own

    @pytest.mark.parametrize(
        ("base", "api"),
        [("http://127.0.0.1:81", "http://127.0.0.1:81/v1"), ("http://h/a/b/", "http://h/a/b/v1")],
    )
    def test_a_sandbox(self, base, api):
        at = Endpoints.of(base)
        assert at.api == api and not at.is_own

    @pytest.mark.parametrize("base", ["nowhere", "ftp://h", "http://h?x=1", "http://a:b@h", "http://h/ä"])
    def test_what_is_no_address(self, base):
        with pytest.raises(UsageError):
            Endpoints.of(base)

    @pytest.mark.parametrize(
        ("base", "url", "expected"),
        [
            ("", f"{PLACE}/5/small.jpg?1", ("https://static.inaturalist.org", "photos/5/small.jpg?1")),
            ("", "https://STATIC.inaturalist.org:443/p", ("https://static.inaturalist.org", "p")),
            ("http://127.0.0.1:81", "http://127.0.0.1:82/photos/5", ("http://127.0.0.1:82", "photos/5")),
            ("http://127.0.0.1:81", "http://127.0.0.1:81/photos/5", ("http://127.0.0.1:81", "photos/5")),
            ("https://h", "https://h:444/x", ("https://h:444", "x")),
        ],
    )
    def test_where_photos_may_lie(self, base, url, expected):
        assert Endpoints.of(base).photo_at(url) == expected

    @pytest.mark.parametrize(
        ("base", "url"),
        [
            ("", "http://static.inaturalist.org/p"), ("", "https://evil.org/p"), ("", "https://api.inaturalist.org/p"),
            ("", "https://static.inaturalist.org.evil.org/p"), ("", "https://static.inaturalist.org@evil.org/p"),
            ("", "https://static.inaturalist.org:444/p"), ("", "nonsense"), ("http://127.0.0.1:81", "http://127.0.0.2:81/p"),
            ("http://127.0.0.1:81", f"{PLACE}/5/small.jpg"), ("https://h", "http://h/p"), ("http://127.0.0.1:81", "nonsense"),
        ],
    )  # fmt: skip
    def test_where_they_may_not(self, base, url):
        with pytest.raises(Rejected, match="no photos"):
            Endpoints.of(base).photo_at(url)


def test_sizes():
    assert SIZES == {"original": 2048, "large": 1024, "medium": 500, "small": 240, "thumb": 100, "square": 75}
