"""What goes over the wire to Camio, and what is made of what comes back."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import BadAnswer, CamtrailError, UsageError
from camtrail.services.camio import wire
from camtrail.services.camio.wire import Item
from camtrail.transfer.http import Answer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
READERS = [
    wire.devices_in,
    wire.device_address_in,
    wire.cameras_in,
    wire.job_in,
    wire.jobs_in,
    wire.search_in,
    wire.settings_in,
]
JOB = {
    "job_id": "agpIDYggsM",
    "request": {"device_id": "d123pdq", "item_count": 4099, "cameras": [{"name": "starboard"}]},
    "shard_map": {
        str(i): {"item_count": n, "job_id": "agpIDYggsM", "shard_id": str(i), "status": "missing"}
        for i, n in ((10, 7), (2, 3), (1, 2048), (0, 2048))
    },
    "status": "shards_missing",
}  # fmt: skip


def answer(value):
    return Answer(200, {"content-type": "application/json"}, json.dumps(value).encode())


def mutated(value):
    """A value with one place in it replaced."""
    if isinstance(value, dict) and value:
        return st.sampled_from(sorted(value)).flatmap(
            lambda k: (
                mutated(value[k]).map(lambda v: {**value, k: v})
                | st.just({a: b for a, b in value.items() if a != k})
            )
        )
    if isinstance(value, list) and value:
        return mutated(value[0]).map(lambda v: [v, *value[1:]])
    return json_values


class TestKnownValues:
    def test_a_local_id_is_the_sha1_of_the_name(self):
        assert wire.local_camera_id("C2_Hi") == "5f72bf2d11034854c0ff34ff54b8b0b74b138e50"
        assert wire.local_camera_id("C2_Hi20161009") == "81219708c6fe2a5eb9cb35896b8ed78610ce9c6f"
        assert wire.local_camera_id("冫 ü") == hashlib.sha1("冫 ü".encode()).hexdigest()

    def test_the_end_of_a_job_has_six_digits(self):
        assert wire.shifted("2016-10-09T06:12:37.000", 599.993) == "2016-10-09T06:22:36.993000"

    def test_a_request_spans_all_its_videos(self):
        items = [Item("a" * 40, "front-1476014557.mp4", 12_345_678), Item("b" * 40, "b.mp4", 1)]
        spans = [("2016-10-09T06:12:37.000", 599.993), ("2016-10-09T06:20:00.000", None)]
        request = wire.job_request("d1", items, spans, [{"name": "c"}])
        mean = sum(len(json.dumps({"key": i.sha1, **i.entry()})) for i in items) // 2
        assert request == {
            "device_id": "d1", "item_count": 2, "earliest_date": "2016-10-09T06:12:37.000",
            "latest_date": "2016-10-09T06:22:36.993000", "item_average_size_bytes": mean, "cameras": [{"name": "c"}],
        }  # fmt: skip

    def test_a_list_has_sizes_in_millions_of_bytes(self):
        body = wire.manifest("j", "3", [Item("a" * 40, "sub/ü.mp4", 2_500_000)])
        assert json.loads(body) == {
            "job_id": "j", "shard_id": "3", "item_count": 1,
            "hash_map": {"a" * 40: {"original_filename": "sub/ü.mp4", "size_MB": 2.5}},
        }  # fmt: skip

    def test_a_camera_has_its_values_twice(self):
        made = wire.camera("d1", "front", "PRO", {"img_y_size": 720})
        assert made["local_camera_id"] == wire.local_camera_id("front")
        assert made["actual_values"] == made["default_values"] == {
            "plan": {"is_multiselect": False, "options": [{"name": "Plan", "value": "PRO"}]},
            "img_y_size": {"options": [{"name": "img_y_size", "value": 720}]},
        }  # fmt: skip
        assert made["acquisition_method"] == "batch" and made["device_id_discovering"] == "d1"


@given(st.lists(st.text(alphabet="abü\udc80/", min_size=1), min_size=1, max_size=20))
def test_the_mean_size_foretells_the_size_of_the_list(names):
    items = [Item(f"{i:040x}", name, i * 1000) for i, name in enumerate(names)]
    request = wire.job_request("d", items, [("2020-01-01T00:00:00.000", 1.0)] * len(items), [])
    hash_map = json.loads(wire.manifest("j", "0", items))["hash_map"]
    assert list(hash_map) == [i.sha1 for i in items]
    mean = sum(len(json.dumps({"key": k, **v})) for k, v in hash_map.items()) / len(items)
    assert abs(request["item_average_size_bytes"] - mean) <= 1


class TestAnswers:
    def test_shards_come_in_the_order_of_their_numbers(self):
        job = wire.job_in(answer(JOB))
        assert [(s.id, s.item_count) for s in job.shards] == [("0", 2048), ("1", 2048), ("2", 3), ("10", 7)]
        assert job.status == "shards_missing" and job.document == JOB
        assert all(s.upload_url is None and s.status == "missing" for s in job.shards)

    def test_words_of_a_status_are_open(self):
        job = wire.job_in(answer({**JOB, "status": "dreaming"}))
        assert job.status == "dreaming"

    def test_a_job_may_lack_all_but_its_id(self):
        (job,) = wire.jobs_in(answer([{"job_id": "x"}]))
        assert (job.id, job.status, job.request, job.shards) == ("x", "", {}, ())

    def test_a_search_without_a_result_is_no_page(self):
        with pytest.raises(BadAnswer):
            wire.search_in(answer({"query": {}}))

    def test_an_image_without_a_camera_has_that_of_its_event(self):
        image = {"id": "i", "date_created": "2016-10-09T05:02:42.081-0000", "labels": ["a", 5, ""]}
        bucket = {"bucket_id": 7, "source": "front", "images": [image]}
        page = wire.search_in(answer({"result": {"buckets": [bucket], "more_results": 1}}))
        (found,) = page.images
        assert (found.source, found.labels, found.event_id) == ("front", ("a", ""), "7")
        assert not page.more and page.latest_considered is None

    def test_the_video_that_an_event_was_cut_from_is_that_of_its_pictures(self):
        sha1 = "0123456789" * 4
        image = {"id": "i", "date_created": "2016-10-09T05:02:42.081-0000", "labels": ["_ml_human"]}
        bucket = {
            "bucket_id": "b",
            "source": "front",
            "labels": [sha1, "_ml_human", "_other"],
            "images": [image],
        }
        (found,) = wire.search_in(answer({"result": {"buckets": [bucket]}})).images
        assert found.labels == ("_ml_human", sha1)

    @pytest.mark.parametrize("reader", READERS)
    @given(value=json_values)
    def test_any_json_is_read_or_refused(self, reader, value):
        try:
            reader(answer(value))
        except CamtrailError as e:
            assert isinstance(e, BadAnswer)

    @given(mutated(JOB))
    def test_a_damaged_job_is_read_or_refused(self, value):
        try:
            job = wire.job_in(answer(value))
        except BadAnswer:
            return
        assert all(s.item_count is None or type(s.item_count) is int for s in job.shards)

    @pytest.mark.parametrize("reader", READERS)
    def test_what_is_no_json_is_refused(self, reader):
        with pytest.raises(BadAnswer):
            reader(Answer(200, {}, b"<html>"))
        with pytest.raises(BadAnswer):
            reader(Answer(204, {}, b""))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s/b/bij-1-0?GoogleAccessId=x&Expires=1496280000&Signature=a%2Bb", 1496280000.0),
        ("https://s/b?Expires=soon", None), ("https://s/b", None), ("https://s/b?Expires=", None),
        ("https://s/b?Expires=" + "9" * 400, None), ("https://s/b?Expires=-5", None),
    ],
)  # fmt: skip
def test_an_address_says_until_when_it_is_good(url, expected):
    assert wire.expires_s(url) == expected


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://www.camio.com", "https://www.camio.com"), ("HTTPS://WWW.Camio.com:443/", "https://www.camio.com"),
        ("http://127.0.0.1:8080/x/", "http://127.0.0.1:8080/x"),
    ],
)  # fmt: skip
def test_an_address_has_one_form(url, base):
    assert wire.base_of(url) == base


@pytest.mark.parametrize(
    "url", ["camio.com", "ftp://camio.com", "https://u:p@camio.com", "https://camio.com/?a=b", ""]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError):
        wire.base_of(url)
