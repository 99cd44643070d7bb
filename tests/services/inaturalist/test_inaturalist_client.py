"""The client asks for everything once, for nothing twice, in its own time, and says what went wrong."""

from __future__ import annotations

import io
import itertools
import json
import logging
import math
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    Failure,
    QuotaExceeded,
    Rejected,
    SafetyRefusal,
    ServiceError,
    Unreachable,
    UsageError,
)
from camtrail.services.inaturalist import client as module
from camtrail.services.inaturalist.client import ranges
from camtrail.services.inaturalist.sample import LOGIN
from camtrail.services.inaturalist.sandbox import InaturalistSandbox
from camtrail.services.inaturalist.wire import User

DAYS = ("2026-05-01", "2026-05-31")
USER = User(7, LOGIN, None)


def listed(client, **more):
    return list(client.observations(USER, *DAYS, **more))


def count(box, origin="api"):
    return sum(r.origin == origin for r in box.requests())


def many(ids):
    return [
        {
            "id": i,
            "user": {"id": 7, "login": LOGIN},
            "observed_on": "2026-05-02",
            "observation_photos": [
                {"id": 10 * i, "photo": {"id": 100 * i, "url": f"https://x/photos/{100 * i}/square.jpg"}}
            ],
        }
        for i in ids
    ]


class TestUsers:
    def test_one_that_is_there(self, connect):
        assert connect().user(LOGIN) == User(7, LOGIN, 8)

    @pytest.mark.parametrize("login", ["nobody", "", "a/b?c#d", "é", "\udcff", "x" * 300])
    def test_one_that_is_not(self, connect, login):
        with pytest.raises(Rejected, match="is not an iNaturalist user login") as e:
            connect().user(login)
        assert not e.value.retryable and "--user" in e.value.hint

    @pytest.mark.parametrize("status", [404, 422])
    def test_however_the_service_says_it(self, box, connect, status):
        box.set_faults([f"status={status}"])
        with pytest.raises(Rejected, match="'ann' is not an iNaturalist user login"):
            connect().user("ann")

    def test_whose_the_token_is(self, connect):
        assert connect(LOGIN).me() == User(7, LOGIN, 8)
        with pytest.raises(AuthError, match="no token"):
            connect().me()


class TestObservations:
    def test_all_that_are_listed(self, connect):
        found = listed(connect())
        assert [o.id for o in found] == list(range(1001, 1009))
        assert [len(o.photos) for o in found] == [3, 1, 2, 1, 1, 1, 1, 2]
        by_id = {o.id: o for o in found}
        assert by_id[1002].is_obscured and by_id[1002].has_seconds
        assert by_id[1003].is_obscured and math.isnan(by_id[1003].lat_deg)
        assert by_id[1004].taxon is None
        assert math.isnan(by_id[1005].local_s) and by_id[1005].date == "2026-05-03"
        assert all(p.file_name is None for o in found for p in o.photos)

    def test_its_owner_is_told_more(self, connect):
        found = {o.id: o for o in listed(connect("a-token"))}
        assert found[1001].photos[0].file_name == "IMG_100101.jpg"
        assert (found[1003].lat_deg, found[1003].is_obscured) == (47.1003, False)
        assert not listed(connect())[0].photos[0].file_name  # what the owner was told is kept for the owner

    def test_only_the_dates_that_were_asked_for(self, connect):
        client = connect()
        assert [o.id for o in client.observations(USER, "2026-05-03", "2026-05-03")] == [
            1004,
            1005,
            1006,
            1007,
        ]
        assert list(client.observations(USER, "2026-05-05", "2026-06-01")) == []
        with pytest.raises(ValueError):
            next(client.observations(USER, "yesterday", "today"))

    def test_one_that_cannot_be_read_is_named(self, box, connect, caplog):
        wrong = {**many([2])[0], "location": [1, 2]}
        box.fill([*many([1]), wrong, *many([3])])
        skipped = []
        with caplog.at_level(logging.WARNING):
            assert [o.id for o in listed(connect(), skipped=skipped.append)] == [1, 3]
        assert [(s.id, s.reason) for s in skipped] == [(2, "location of the observation is a list")]
        assert "observation 2 cannot be read and is left out: location" in caplog.text

    def test_a_whole_page_that_cannot_be_read(self, box, connect):
        box.fill([{**o, "taxon": 5} for o in many(range(1, 4))] + many([9]))
        skipped = []
        client = connect()
        client._per_page = 2
        assert [o.id for o in listed(client, skipped=skipped.append)] == [9] and len(skipped) == 3


class TestPaging:
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        ids=st.sets(st.integers(1, 10**9), max_size=40),
        per_page=st.integers(1, 9),
        data=st.data(),
    )
    def test_each_once_whatever_goes_meanwhile(self, box, connect, ids, per_page, data):
        box.fill(many(ids))
        client = connect(bypass=True)
        client._per_page = per_page
        gone, found = set(), []
        for o in listed_lazily(client):
            found.append(o.id)
            if data.draw(st.integers(0, 3)) == 0 and ids:
                gone |= data.draw(st.sets(st.sampled_from(sorted(ids)), max_size=5))
                box.delete(*gone)
        assert found == sorted(set(found))
        assert ids - gone <= set(found) <= ids

    def test_many(self, box, connect, clock):
        box.fill(many(range(1, 1001)))
        assert [o.id for o in listed(connect())] == list(range(1, 1001))
        assert count(box) == 5 and clock.slept == []

    @pytest.mark.parametrize(
        ("answers", "words"),
        [
            ([many([1]), many([1])], "listed before"),
            ([many([2, 1])], "listed before"),
            ([many([1, 1])], "listed before"),
            ([many([1]), many([2])], "does not come to an end"),
            ([[]], "names none"),
        ],
    )
    def test_pages_that_lead_nowhere(self, box, connect, answers, words):
        total = 5
        box.set_faults(
            [
                f"json={json.dumps({'total_results': total, 'results': results})},nth={i + 1}{'-' if i == len(answers) - 1 else ''}"
                for i, results in enumerate(answers)
            ]
        )
        with pytest.raises(BadAnswer, match=words):
            listed(connect())
        assert count(box) == len(answers) + 4


def listed_lazily(client):
    return client.observations(USER, *DAYS)


class TestRanges:
    @given(st.lists(st.dates(date(2000, 1, 1), date(2030, 1, 1)), max_size=30), st.integers(0, 400))
    def test_they_cover_every_date_and_no_long_gap(self, days, gap):
        found = ranges([d.isoformat() for d in days], gap)
        spans = [(date.fromisoformat(a), date.fromisoformat(b)) for a, b in found]
        assert all(any(a <= d <= b for a, b in spans) for d in days)
        assert {d for span in spans for d in span} <= set(days)
        assert all(b + timedelta(gap + 1) < c for (_, b), (c, _) in itertools.pairwise(spans))
        for a, b in spans:
            inside = sorted({d for d in days if a <= d <= b})
            assert all(y - x <= timedelta(gap + 1) for x, y in itertools.pairwise(inside))

    def test_what_is_no_date(self):
        with pytest.raises(ValueError):
            ranges(["2026-02-30"])


class TestKept:
    def test_nothing_is_asked_for_twice(self, box, connect):
        first = listed(connect())
        photos = [p for o in first for p in o.photos if p.url_of("small")]
        sizes = {p.photo_id: len(connect().photo(p, "small")) for p in photos}
        asked = len(box.requests())
        client = connect()
        assert listed(client) == first
        assert {p.photo_id: len(client.photo(p, "small")) for p in photos} == sizes
        assert len(box.requests()) == asked

    def test_answers_grow_old_and_photos_do_not(self, box, connect, clock):
        client = connect()
        photo = listed(client)[0].photos[0]
        client.photo(photo, "thumb")
        clock.sleep(module.ANSWER_AGE_S + 1)
        listed(client)
        client.photo(photo, "thumb")
        assert (count(box), count(box, "photos")) == (2, 1)

    def test_bypassed_answers_are_asked_for_anew(self, box, connect):
        listed(connect())
        listed(connect(bypass=True))
        listed(connect())
        assert count(box) == 2

    def test_offline(self, box, connect, clock):
        client = connect()
        user, observations = client.user(LOGIN), listed(client)
        photo, other = observations[0].photos[:2]
        data = client.photo(photo, "small")
        box.close()
        clock.sleep(10**6)
        client = connect(offline=True)
        assert client.user(LOGIN) == user and listed(client) == observations
        assert client.photo(photo, "small") == data
        for call in (
            lambda: client.photo(other, "small"),
            lambda: client.user("ann"),
            lambda: list(client.observations(USER, "2020-01-01", "2020-01-02")),
        ):
            with pytest.raises(Unreachable, match="offline") as e:
                call()
            assert e.value.hint == "run again without --offline"
        ends = dict(client.photos([photo, other], "small"))
        assert ends[photo] == data and isinstance(ends[other], Failure) and ends[other].exit_code == 5

    def test_a_photo_that_was_turned_is_another(self, box, connect):
        client = connect()
        photo = next(o for o in listed(client) if o.id == 1006).photos[0]
        client.photo(photo, "thumb")
        from dataclasses import replace

        client.photo(replace(photo, url=photo.url.replace("?1714750000", "?1714750001")), "thumb")
        moved = replace(photo, url=photo.url.replace("/photos/", "/elsewhere/photos/"))
        client.photo(moved, "thumb")
        assert count(box, "photos") == 2


class TestPhotos:
    def test_sizes(self, connect):
        client = connect()
        photo = listed(client)[0].photos[0]
        for size, expected in {
            "original": (1600, 1200), "large": (1024, 768), "medium": (500, 375), "small": (240, 180),
            "thumb": (100, 75), "square": (75, 75),
        }.items():  # fmt: skip
            with Image.open(io.BytesIO(client.photo(photo, size))) as image:
                assert image.size == expected and image.format == "JPEG"

    def test_other_kinds(self, connect):
        client = connect()
        by_id = {o.id: o for o in listed(client)}
        assert client.photo(by_id[1006].photos[0], "thumb")[:2] == b"\xff\xd8"
        assert client.photo(by_id[1007].photos[0], "thumb").startswith(b"\x89PNG")

    def test_several_at_once(self, connect):
        client = connect()
        photos = [p for o in listed(client) for p in o.photos]
        client.photo(photos[3], "small")
        ends = list(client.photos(photos, "small"))
        assert ends[0][0] == photos[3] and {p.photo_id for p, _ in ends} == {p.photo_id for p in photos}
        failed = [end for _, end in ends if isinstance(end, Failure)]
        assert [f.code for f in failed] == ["gone"] and "no picture of it any more" in failed[0].message
        assert list(client.photos([], "small")) == []

    @pytest.mark.parametrize("status", [403, 404, 410])
    def test_one_that_is_gone(self, box, connect, status):
        client = connect()
        photo = listed(client)[0].photos[0]
        box.set_faults([f"status={status},origin=photos"])
        with pytest.raises(Rejected, match=r"photo 100101 .small.: is not there any more"):
            client.photo(photo, "small")
        assert count(box, "photos") == 1

    def test_another_place_is_not_asked(self, box, connect):
        photos = [{"id": i, "photo": {"id": i, "url": u}} for i, u in enumerate(
            ["https://evil.org/photos/1/square.jpg", "https://static.inaturalist.org/photos/1/square.jpg"], 1)]  # fmt: skip
        client = connect()
        box.fill(
            [
                {
                    "id": 1,
                    "user": {"id": 7, "login": LOGIN},
                    "observed_on": "2026-05-02",
                    "observation_photos": photos,
                }
            ]
        )
        with InaturalistSandbox() as other:
            box._service.photo_url = other.photo_url.replace("127.0.0.1", "localhost")
            (o,) = listed(client)
            for photo in o.photos:
                with pytest.raises(Rejected, match="leads to localhost"):
                    client.photo(photo, "small")
            assert other.requests() == []

    def test_a_redirect_is_not_followed(self, box, connect):
        client = connect()
        photo = listed(client)[0].photos[0]
        box.set_faults([f"redirect={box.url}/v1/users/me,origin=photos"])
        with pytest.raises(SafetyRefusal, match="points to"):
            client.photo(photo, "small")
        assert count(box) == 1


class TestTokens:
    def test_it_goes_to_the_api_alone(self, box, connect):
        client = connect("a-token-of-mine")
        photos = [p for o in listed(client) for p in o.photos if p.url_of("small")]
        client.me()
        client.photo(photos[0], "small")
        assert sum(isinstance(e, bytes) for _, e in client.photos(photos, "thumb")) == len(photos)
        assert {(r.origin, r.authorization) for r in box.requests()} == {("api", True), ("photos", False)}

    def test_it_does_not_even_where_both_are_one_place(self, box, connect):
        client = connect("a-token-of-mine")
        box._service.photo_url = box.url
        photo = listed(client)[0].photos[0]
        with pytest.raises(Rejected):
            client.photo(photo, "small")
        assert [(r.path, r.authorization) for r in box.requests()][1:] == [
            ("/photos/100101/small.jpg", False)
        ]

    def test_one_that_is_no_longer_good(self, connect):
        with InaturalistSandbox(token="the-right-one") as box:
            client = connect("another-one", url=box.url)
            with pytest.raises(AuthError) as e:
                listed(client)
            assert "users/api_token" in e.value.hint and "another-one" not in str(e.value)
            assert len(box.requests()) == 1
            assert listed(connect("the-right-one", url=box.url))

    def test_it_is_in_no_file(self, connect, tmp_path):
        client = connect("a-token-of-mine")
        listed(client)
        kept = [f.read_bytes() for f in (tmp_path / "cache").rglob("*") if f.is_file()]
        assert len(kept) >= 2 and not any(b"a-token-of-mine" in data for data in kept)


class TestTrouble:
    @pytest.mark.parametrize(
        "fault",
        [
            "status=500,times=3", "status=503,times=4", "lost,times=3", "reset=0,times=3", "truncate=100,times=3",
            "html,times=2", "json={},times=2", "raw=HTTP/1.1 200 OK\\r\\n\\r\\n{\"total_results\":5,times=2",
            "length=-5,times=1",
        ],
    )  # fmt: skip
    def test_what_passes_is_waited_for(self, box, connect, fault):
        box.set_faults([fault])
        assert len(listed(connect())) == 8

    @pytest.mark.parametrize(
        "fault",
        [
            "status=500,times=3", "lost,times=2", "truncate=1,times=2", "truncate=3000,times=2", "html,times=2",
            "json={},times=2", "status=200,body=,times=2", "length=-50,times=1",
        ],
    )  # fmt: skip
    def test_so_it_is_with_photos(self, box, connect, fault):
        client = connect()
        photo, other = listed(client)[0].photos[:2]
        whole = client.photo(photo, "small")
        box.set_faults([f"{fault},origin=photos"])
        got = client.photo(other, "small")
        assert got[:2] == b"\xff\xd8" and got[-2:] == b"\xff\xd9"
        with Image.open(io.BytesIO(got)) as image:
            image.load()
        box.set_faults([f"{fault},origin=photos"])
        ends = dict(client.photos([photo, other], "thumb"))
        assert all(isinstance(end, bytes) and end[-2:] == b"\xff\xd9" for end in ends.values()) and whole

    def test_a_picture_that_is_always_cut_off_is_never_kept(self, box, connect):
        client = connect()
        photo = listed(client)[0].photos[0]
        whole = client.photo(photo, "thumb")
        for fault in ("truncate=2,origin=photos", "length=-2,origin=photos"):
            box.set_faults([fault])
            with pytest.raises(ServiceError) as e:
                client.photo(photo, "small")
            assert e.value.retryable
        box.set_faults([])
        assert len(client.photo(photo, "small")) > len(whole)

    def test_a_login_page_in_place_of_a_picture(self, box, connect):
        client = connect()
        photo = listed(client)[0].photos[0]
        box.set_faults(["html,origin=photos"])
        with pytest.raises(BadAnswer, match="no picture"):
            client.photo(photo, "small")
        assert count(box, "photos") == 5

    @pytest.mark.parametrize("call", ["user", "observations", "photo"])
    def test_a_service_that_is_gone(self, box, connect, call):
        client = connect()
        photo = listed(client)[0].photos[0]
        box.close()
        with pytest.raises(Unreachable):
            {
                "user": lambda: client.user(LOGIN),
                "observations": lambda: list(client.observations(USER, "2020-01-01", "2020-01-01")),
                "photo": lambda: client.photo(photo, "small"),
            }[call]()

    def test_a_pause_that_is_asked_for_holds_for_all(self, box, connect, clock):
        client = connect()
        photos = [p for o in listed(client) for p in o.photos if p.url_of("small")][:6]
        box.set_faults(["status=429,retry-after=30,origin=photos,nth=2"])
        before_s = clock.at_s
        assert all(isinstance(end, bytes) for _, end in client.photos(photos, "small", workers=1))
        assert 30 <= clock.at_s - before_s < 35
        box.set_faults(["status=429,retry-after=40,origin=api,times=2"])
        before_s = clock.at_s
        client.user(LOGIN)
        assert 80 <= clock.at_s - before_s < 90

    def test_a_machine_that_is_shut_out(self, box, connect):
        box.set_faults(["status=403,origin=api"])
        with pytest.raises(ServiceError, match="answers this machine no more") as e:
            listed(connect())
        assert not e.value.retryable and e.value.exit_code == 5 and count(box) == 1

    def test_a_redirect_is_not_followed(self, box, connect):
        box.set_faults(["redirect=https://login.example.org/"])
        with pytest.raises(SafetyRefusal, match=r"login\.example\.org"):
            connect("a-token-of-mine").user(LOGIN)


class TestBudget:
    def test_sixty_a_minute_over_all_runs(self, connect, clock):
        for i in range(60):
            with pytest.raises(Rejected):
                connect().user(f"user-{i}")
        assert clock.slept == []
        connect().user(LOGIN)
        assert 59 < sum(clock.slept) < 62

    def test_a_day_that_is_spent(self, box, connect, clock):
        cache = connect()._cache
        cache.meter(f"{box.url} requests", module.API_LIMITS).add(10_000)
        clock.sleep(3_600)
        client = connect()
        with pytest.raises(QuotaExceeded) as e:
            client.user(LOGIN)
        assert str(e.value) == (
            "the 10,000 requests that iNaturalist asks for in a day are used up; run again in 24 h; what was done is kept"
        )
        assert e.value.exit_code == 5 and box.requests() == [] and clock.slept == [3_600]
        with pytest.raises(QuotaExceeded):
            list(client.observations(USER, *DAYS))

    def test_another_service_has_a_budget_of_its_own(self, box, connect):
        connect()._cache.meter("https://api.inaturalist.org requests", module.API_LIMITS).add(10_000)
        assert connect().user(LOGIN)

    def test_bytes_of_photos_are_counted(self, box, connect, clock):
        client = connect()
        photos = [p for o in listed(client) for p in o.photos if p.url_of("small")]
        size = len(client.photo(photos[0], "small"))
        meter = client._cache.meter(f"{box.url} photo bytes", module.PHOTO_LIMITS)
        assert meter.used(module.PHOTO_LIMITS[0]) == size + 1
        box.set_faults(["status=500,origin=photos,times=1,body=xxxx"])
        more = len(client.photo(photos[1], "small"))
        assert meter.used(module.PHOTO_LIMITS[0]) == size + more + 4 + 3

    def test_photos_that_are_spent_end_what_is_left(self, box, connect):
        client = connect()
        photos = [p for o in listed(client) for p in o.photos if p.url_of("small")]
        client.photo(photos[0], "small")
        client._cache.meter(f"{box.url} photo bytes", module.PHOTO_LIMITS).add(5 * 10**9)
        ends = list(client.photos(photos, "small"))
        assert isinstance(ends[0][1], bytes) and len(ends) == len(photos)
        assert {(e.code, e.exit_code) for _, e in ends[1:]} == {("quota", 5)}
        with pytest.raises(QuotaExceeded, match="5 GB"):
            client.photo(photos[1], "small")


def test_how_it_names_itself(box, connect):
    from camtrail import __version__
    from camtrail.app.inaturalist_service import USER_AGENT

    assert USER_AGENT.startswith(f"camtrail/{__version__} (") and USER_AGENT.isascii()


def test_an_address_that_is_none(connect):
    with pytest.raises(UsageError):
        connect(url="nowhere")
