"""Calls of Camio's cloud, of a Box, and of the storage that takes lists of videos; each is one attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from camtrail.core.clock import Clock, RealClock
from camtrail.core.errors import AuthError, BadAnswer, CamtrailError, ServiceError
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.services.camio import wire
from camtrail.services.camio.wire import (
    DEFAULT_SERVER,
    TEST_SERVER,
    Device,
    Image,
    Job,
    SearchPage,
    Shard,
    local_camera_id,
)
from camtrail.transfer.http import Answer, Body, Http
from camtrail.transfer.retry import Gone, error_of

__all__ = [
    "DEFAULT_SERVER",
    "TEST_SERVER",
    "Box",
    "Client",
    "Device",
    "Image",
    "Job",
    "NoBox",
    "SearchPage",
    "Shard",
    "Storage",
    "UrlRefused",
    "local_camera_id",
]

_MOST_BYTES = 1 << 26
_CLOCK = RealClock()


class NoBox(ServiceError):
    """Something that is no Camio Box answers at its address."""

    code = "box"


class UrlRefused(ServiceError):
    """A signed address that is no longer good; a new one may be."""

    code = "url"


class Client:
    """What an account may ask of the cloud.

    Parameters
    ----------
    http : made for the origin of `server_url`
    token : it goes there and nowhere else

    Notes
    -----
    All calls raise what `Http.request` and `transfer.retry.error_of` do, and BadAnswer for an answer that is not
    what was asked for.
    """

    def __init__(self, http: Http, server_url: str, token: Secret, clock: Clock = _CLOCK) -> None:
        self._http = http
        self._clock = clock
        self._base = wire.base_of(server_url)
        self._headers: Mapping[str, str | Secret] = {"Authorization": Secret(f"token {token.reveal()}")}
        self.skew_s: float | None = None
        """How much the cloud's clock is ahead of ours, as its last answer has it; None where it said nothing."""

    def devices(self) -> list[Device]:
        """The Boxes of the account."""
        return wire.devices_in(self._asked("/api/devices", "the devices"))

    def device_address(self, device_id: str) -> str | None:
        """Where a Box is on its own network; None where the cloud does not know."""
        query = urlencode({"device_id": device_id})
        return wire.device_address_in(self._asked(f"/api/devices/state/?{query}", "the state of the Box"))

    def put_cameras(self, cameras: Mapping[str, Mapping[str, Any]]) -> None:
        """Registers cameras, given by their local id; those that are there get the new values."""
        answer = self._sent("POST", "/api/cameras/discovered", cameras)
        _accepted(answer, "the registration of cameras")

    def cameras(self) -> dict[str, dict[str, Any]]:
        """The cameras of the account, by their local id."""
        return wire.cameras_in(self._asked("/api/cameras/discovered", "the cameras"))

    def create_job(self, request: Mapping[str, Any]) -> Job:
        """Makes a job.

        After an error that is `retryable` nobody knows whether it was made; `jobs` tells.
        """
        answer = self._sent("PUT", "/api/jobs", request)
        _check(answer, "the job")
        return wire.job_in(answer)

    def job(self, job_id: str) -> Job:
        """A job by its number. Raises Gone for one that the account does not have."""
        what = f"job {shown(job_id)[:100]}"
        return wire.job_in(self._asked(f"/api/jobs/{quote(job_id, safe='')}", what))

    def jobs(self) -> list[Job]:
        """All jobs of the account."""
        return wire.jobs_in(self._asked("/api/jobs", "the jobs"))

    def search(self, text: str, date: str, num_results: int = 100) -> SearchPage:
        """The events from a date on that a text describes, earliest first.

        Parameters
        ----------
        date : ISO 8601 with offset
        num_results : events at most; the service gives no more than 100
        """
        query = urlencode({"text": text, "num_results": num_results, "date": date}, quote_via=quote)
        return wire.search_in(self._asked(f"/api/search?{query}", "a page of events"))

    def _asked(self, path: str, what: str) -> Answer:
        answer = self._request("GET", path, self._headers, None)
        _check(answer, what)
        return answer

    def _sent(self, method: str, path: str, value: Mapping[str, Any]) -> Answer:
        headers = {**self._headers, "Content-Type": "application/json"}
        return self._request(method, path, headers, json.dumps(value).encode())

    def _request(
        self, method: str, path: str, headers: Mapping[str, str | Secret], body: bytes | None
    ) -> Answer:
        answer = self._http.request(
            method, self._base + path, headers=headers, body=body, most_bytes=_MOST_BYTES
        )
        date_s = _date_s(answer)
        self.skew_s = None if date_s is None else date_s - self._clock.now_s()
        return answer


class Storage:
    """Where lists of videos are put, at addresses that the cloud signed.

    Parameters
    ----------
    http : made for the origin of the addresses; one of its own, which the cloud's token never meets
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def put_manifest(self, url: str, body: bytes) -> None:
        """Puts a list. Raises UrlRefused for an address that is no longer good."""
        answer = self._http.request("PUT", url, headers={"Content-Type": "application/json"}, body=body)
        if answer.status in (401, 403, 410) or (answer.status == 400 and b"Expired" in answer.body):
            raise UrlRefused(
                f"the storage refuses the address that it gave for a list ({answer.status})",
                "run again; what was done is kept",
            )
        _accepted(answer, "the list of a shard")


class Box:
    """A Camio Box, which takes the videos themselves.

    Parameters
    ----------
    http : made for the origin of `url`
    device_id : the Box's own; what it and its users share as a secret
    """

    def __init__(self, http: Http, url: str, device_id: Secret) -> None:
        self._http = http
        self._base = wire.base_of(url)
        self._device_id = device_id

    def settings(self) -> dict[str, Any]:
        """What the Box says of itself; `device_id` is its own. Raises NoBox."""
        answer = self._http.request("GET", f"{self._base}/box/settings")
        _check_box(answer, "the settings of the Box")
        return wire.settings_in(answer)

    def post_content(
        self, *, local_camera_id: str, camera_id: str, sha1: str, timestamp: str, body: Body
    ) -> None:
        """Gives the Box a video, H.264 in MP4.

        Parameters
        ----------
        sha1 : of all bytes, hexadecimal; the Box takes a video that it has already as well
        timestamp : when it begins, `YYYY-MM-DDTHH:MM:SS.mmm` in UTC

        Raises
        ------
        NoBox
            Nothing takes videos at this address.
        AuthError
            The Box has another device id.
        """
        query = urlencode(
            {
                "access_token": self._device_id.reveal(),
                "local_camera_id": local_camera_id,
                "camera_id": camera_id,
                "hash": sha1,
                "timestamp": timestamp,
            },
            quote_via=quote,
            safe="",
        )
        answer = self._http.request("POST", f"{self._base}/box/content?{query}", body=body)
        _check_box(answer, "the Box")
        _accepted(answer, "the Box")


def _check(answer: Answer, what: str) -> None:
    if error := _error_of(answer, what):
        raise error


def _error_of(answer: Answer, what: str) -> CamtrailError | None:
    """As `error_of`; with what the service says in an `error` that is a text."""
    error = error_of(answer, what)
    if error is not None:
        said = _reason(answer)
        if said and said not in error.message:
            error.message = f"{error.message} ({said})"
    return error


def _reason(answer: Answer) -> str:
    try:
        value: Any = answer.json()
    except BadAnswer:
        return ""
    said = value.get("error") if isinstance(value, dict) else None
    return shown(" ".join(said.split()))[:200] if isinstance(said, str) else ""


def _check_box(answer: Answer, what: str) -> None:
    error = _error_of(answer, what)
    if isinstance(error, AuthError):
        raise AuthError(error.message, "the Box has another device id: check CAMIO_BOX_DEVICE_ID")
    if isinstance(error, Gone):
        raise NoBox(
            f"what answers in place of the Box is none ({answer.status})",
            "check its address and port: HOST, --port, ip_address of the hook data or CAMIO_BOX_URL",
        )
    if error is not None:
        raise error


def _accepted(answer: Answer, what: str) -> None:
    """Raises BadAnswer for a page of HTML as well: no part of the service says yes with one."""
    _check(answer, what)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html" and answer.body:
        raise BadAnswer(
            f"{what}: answered with a web page",
            "if this network has a login page, log in there and run again",
        )


def _date_s(answer: Answer) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
