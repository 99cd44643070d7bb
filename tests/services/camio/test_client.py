"""The client against the stand-in over real HTTP, and what it makes of refusals."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from urllib.parse import parse_qs

import pytest

from camtrail.core.clock import RealClock
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    QuotaExceeded,
    Rejected,
    SafetyRefusal,
    Unreachable,
)
from camtrail.core.secrets import Redaction, Secret
from camtrail.services.camio import wire
from camtrail.services.camio.client import Box, Client, NoBox, Storage, UrlRefused
from camtrail.services.camio.sandbox import CamioSandbox
from camtrail.services.camio.wire import Item, local_camera_id
from camtrail.transfer.faultserver import FaultServer, json_reply
from camtrail.transfer.http import Body, Http
from camtrail.transfer.retry import Gone

TOKEN = Secret("canary-token-7")
NAME = 'Heck & "Bug" 冫+ü'
START = "2016-10-09T12:02:37.000"


def http_to(*urls):
    return Http(urls, user_agent="camtrail/test", clock=RealClock())


class Service:
    """A stand-in, and what speaks with its three origins."""

    def __init__(self, sandbox, stack):
        self.sandbox = sandbox
        self.device = Secret(sandbox.environment()["CAMIO_BOX_DEVICE_ID"])
        self.client = Client(stack.enter_context(http_to(sandbox.url)), sandbox.url, TOKEN)
        self.box = Box(stack.enter_context(http_to(sandbox.box_url)), sandbox.box_url, self.device)
        self.storage = Storage(stack.enter_context(http_to(sandbox.storage_url)))

    def register(self, name=NAME):
        local_id = local_camera_id(name)
        self.client.put_cameras(
            {local_id: wire.camera(self.device.reveal(), name, "PLUS", {"img_y_size": 720})}
        )
        return self.client.cameras()[local_id]

    def job(self, *contents, name=NAME):
        items = [Item(hashlib.sha1(c).hexdigest(), f"{i}.mp4", len(c)) for i, c in enumerate(contents)]
        spans = [(START, 60.0)] * len(items)
        request = wire.job_request(self.device.reveal(), items, spans, [self.register(name)])
        return self.client.create_job(request), items

    def post(self, content, name=NAME, **more):
        given = {
            "local_camera_id": local_camera_id(name),
            "camera_id": self.client.cameras()[local_camera_id(name)]["camera_id"],
            "sha1": hashlib.sha1(content).hexdigest(),
            "timestamp": START,
            **more,
        }
        self.box.post_content(**given, body=Body(len(content), lambda: iter([content])))


@pytest.fixture
def service():
    with CamioSandbox(keep=True) as sandbox, contextlib.ExitStack() as stack:
        yield Service(sandbox, stack)


class TestCalls:
    def test_tell_the_boxes_of_the_account(self, service):
        service.sandbox.set_quirks(devices=3)
        found = service.client.devices()
        assert [d.name for d in found] == ["Box 1", "Box 2", "Box 3"]
        assert found[0].id == service.device.reveal()
        assert "state" in found[0].document

    def test_tell_where_a_box_is_once_the_cloud_knows(self, service):
        service.sandbox.set_quirks(address_missing=1)
        assert service.client.device_address(service.device.reveal()) is None
        assert service.client.device_address(service.device.reveal()) == "127.0.0.1"

    def test_register_a_camera_with_the_values_it_was_given(self, service):
        entry = service.register()
        assert entry["name"] == NAME and entry["camera_id"].endswith(local_camera_id(NAME))
        assert entry["actual_values"]["img_y_size"] == {"options": [{"name": "img_y_size", "value": 720}]}

    def test_make_a_job_whose_shards_are_in_the_order_of_their_numbers(self, service):
        service.sandbox.set_quirks(shard_items=1)
        job, _ = service.job(*(bytes([i]) for i in range(12)))
        assert [s.id for s in job.shards] == [str(i) for i in range(12)]
        assert {(s.item_count, s.status) for s in job.shards} == {(1, "missing")}
        assert [j.id for j in service.client.jobs()] == [job.id]
        assert service.client.job(job.id).request["item_count"] == 12

    def test_take_a_video_and_its_list_to_the_end(self, service):
        content = b"not much of a film" * 1000
        job, items = service.job(content)
        service.post(content)
        (shard,) = job.shards
        service.storage.put_manifest(shard.upload_url, wire.manifest(job.id, shard.id, items))
        service.sandbox.advance(60)
        assert service.client.job(job.id).status == "complete"
        received = service.sandbox.received()
        assert [(v["sha1"], v["times"]) for v in received["videos"]] == [(items[0].sha1, 1)]
        assert received["leaks"] == []
        assert service.sandbox.content(items[0].sha1) == content

    def test_find_its_events_with_the_hash_as_a_label(self, service):
        service.job(b"film")
        service.post(b"film")
        service.sandbox.advance(60)
        page = service.client.search("all", "2016-10-09T14:02:37+02:00")
        assert page.images
        for image in page.images:
            assert hashlib.sha1(b"film").hexdigest() in image.labels
            assert image.source == NAME and image.event_id
        later = service.client.search("all", "2016-10-10T00:00:00+00:00")
        assert later.images == ()

    def test_ask_for_a_text_and_a_date_as_they_are(self):
        seen = []

        def answer(request):
            seen.append(request.query)
            return json_reply({"result": {"buckets": [], "more_results": False}})

        with FaultServer({"cloud": answer}) as server, http_to(server.url("cloud")) as http:
            Client(http, server.url("cloud"), TOKEN).search('all "a & b" +ü', "2016-10-09T05:02:37+02:00", 7)
        assert "+" not in seen[0]
        assert parse_qs(seen[0]) == {
            "text": ['all "a & b" +ü'], "date": ["2016-10-09T05:02:37+02:00"], "num_results": ["7"],
        }  # fmt: skip

    def test_tell_the_box_its_own_id(self, service):
        assert service.box.settings()["device_id"] == service.device.reveal()

    def test_know_how_far_the_clock_of_the_cloud_is_ahead(self, service):
        assert service.client.skew_s is None
        service.client.devices()
        assert abs(service.client.skew_s) < 3
        service.sandbox.advance(3600)
        service.client.devices()
        assert abs(service.client.skew_s - 3600) < 3

    def test_get_along_without_bodies_where_there_is_nothing_to_say(self, service):
        service.sandbox.set_quirks(bodyless=True)
        assert service.register()["name"] == NAME


class TestRefusals:
    def test_of_a_token(self):
        with CamioSandbox(token="another") as box, http_to(box.url) as http, pytest.raises(AuthError) as e:
            Client(http, box.url, TOKEN).devices()
        assert "there is no good token" in e.value.message
        assert e.value.exit_code == 6

    def test_of_a_job_that_is_not_there(self, service):
        with pytest.raises(Gone, match="job no/such job"):
            service.client.job("no/such job")

    def test_of_a_device_id_that_is_another(self, service):
        service.register()
        with http_to(service.sandbox.box_url) as http:
            service.box = Box(http, service.sandbox.box_url, Secret("another-device"))
            with pytest.raises(AuthError) as e:
                service.post(b"film")
        assert "CAMIO_BOX_DEVICE_ID" in e.value.hint and "token" not in e.value.hint

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"sha1": "0" * 40}, "hash does not match"), ({"timestamp": "noon"}, "timestamp"),
            ({"camera_id": "1:2:3"}, "camera is not known"),
        ],
    )  # fmt: skip
    def test_of_a_video_say_why(self, service, changed, said):
        service.register()
        with pytest.raises(Rejected, match=said):
            service.post(b"film", **changed)

    def test_of_a_place_that_is_no_box(self, service):
        service.register()
        with http_to(service.sandbox.storage_url) as http:
            service.box = Box(http, service.sandbox.storage_url, service.device)
            with pytest.raises(NoBox, match="404") as e:
                service.post(b"film")
        assert not e.value.retryable and e.value.exit_code == 5

    def test_of_a_busy_box_name_the_time(self, service):
        service.register()
        service.sandbox.set_quirks(queue_items=0, retry_after_s=7)
        with pytest.raises(QuotaExceeded) as e:
            service.post(b"film")
        assert e.value.retry_after_s == 7

    def test_of_an_address_that_is_no_longer_good(self, service):
        job, items = service.job(b"film")
        url, body = job.shards[0].upload_url, wire.manifest(job.id, "0", items)
        with pytest.raises(UrlRefused):
            service.storage.put_manifest(url.replace("Signature=", "Signature=x"), body)
        service.sandbox.advance(1201)
        with pytest.raises(UrlRefused):
            service.storage.put_manifest(url, body)
        assert service.sandbox.received()["manifests"] == []

    def test_of_a_list_that_is_wrong_are_no_matter_of_its_address(self, service):
        job, items = service.job(b"film")
        with pytest.raises(Rejected, match="item_count"):
            service.storage.put_manifest(
                job.shards[0].upload_url,
                wire.manifest(job.id, "0", items).replace(b'_count": 1', b'_count": 2'),
            )

    @pytest.mark.parametrize("status", [400, 413, 415, 422])
    def test_of_one_video_are_its_own(self, service, status):
        service.register()
        service.sandbox.set_faults([f"status={status},origin=box"])
        with pytest.raises(Rejected) as e:
            service.post(b"film")
        assert e.value.exit_code == 3 and not e.value.retryable

    @pytest.mark.parametrize(
        "fault", ["status=408", "status=425", "status=500", "status=503", "reset=0", "lost"]
    )
    def test_that_may_pass_are_worth_another_try(self, service, fault):
        service.register()
        service.sandbox.set_faults([f"{fault},origin=box"])
        with pytest.raises(CamtrailError) as e:
            service.post(b"film")
        assert e.value.retryable

    @pytest.mark.parametrize("origin", ["cloud", "box", "storage"])
    def test_a_login_page_is_no_yes(self, service, origin):
        job, items = service.job(b"film")
        service.post(b"film")
        service.sandbox.set_faults([f"html,origin={origin}"])
        calls = {
            "cloud": lambda: service.register(),
            "box": lambda: service.box.post_content(
                local_camera_id="a",
                camera_id="b",
                sha1="c",
                timestamp=START,
                body=Body(1, lambda: iter([b"x"])),
            ),
            "storage": lambda: service.storage.put_manifest(
                job.shards[0].upload_url, wire.manifest(job.id, "0", items)
            ),
        }
        with pytest.raises(BadAnswer):
            calls[origin]()

    @pytest.mark.parametrize("origin", ["cloud", "box", "storage"])
    def test_nothing_follows_to_another_host(self, service, origin):
        job, _ = service.job(b"film")
        service.sandbox.set_faults([f"redirect=http://127.0.0.1:1/,origin={origin}"])
        calls = {
            "cloud": service.client.devices,
            "box": service.box.settings,
            "storage": lambda: service.storage.put_manifest(job.shards[0].upload_url, b"{}"),
        }
        with pytest.raises(SafetyRefusal):
            calls[origin]()


def test_a_service_that_is_not_there_can_be_asked_again():
    with CamioSandbox() as sandbox:
        url = sandbox.url
    with http_to(url) as http, pytest.raises(Unreachable):
        Client(http, url, TOKEN).jobs()


def test_token_and_device_id_are_in_no_log(service, caplog):
    caplog.handler.addFilter(Redaction())
    with caplog.at_level(logging.DEBUG):
        service.register()
        service.post(b"film")
        with pytest.raises(Rejected) as e:
            service.post(b"film", timestamp="noon")
    assert caplog.records
    text = caplog.text + str(e.value) + repr(vars(service.client))
    assert TOKEN.reveal() not in text
    assert service.device.reveal() not in text
