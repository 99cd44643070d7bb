"""The cloud of a stand-in for Camio: devices, cameras, jobs, searches and what calls back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from camtrail.services.camio.sandbox_events import Event, milliseconds
from camtrail.services.camio.sandbox_hooks import Hooks
from camtrail.services.camio.sandbox_search import search
from camtrail.services.camio.sandbox_state import Job, Refused, State, asked
from camtrail.transfer.faultserver import Reply, Request, json_reply

__all__ = ["Cloud"]

_SIZES = ("img_x_size", "img_y_size", "img_x_size_cover", "img_y_size_cover", "img_x_size_extraction")
_EXTRACTION = "img_y_size_extraction"
_PLANS = ("BASIC", "PLUS", "PRO")
_CAMERA_TEXTS = ("acquisition_method", "local_camera_id", "name", "mac_address")
_JOB_PATH = re.compile("/api/jobs/([^/]+)/?")
_HOOK_PATH = re.compile("/api/users/me/hooks/([^/]+)")
_REPLY_PATH = re.compile("/hookreply/([^/]+)")


class Cloud:
    """Answers an account's calls; the account is who the token names."""

    def __init__(self, state: State, hooks: Hooks) -> None:
        self._state = state
        self._hooks = hooks
        self._calls: dict[tuple[str, str], Callable[[Request, str], Reply]] = {
            ("GET", "/api/devices"): self._devices,
            ("GET", "/api/devices/state"): self._address,
            ("GET", "/api/cameras/discovered"): self._cameras,
            ("POST", "/api/cameras/discovered"): self._discovered,
            ("GET", "/api/jobs"): self._jobs,
            ("PUT", "/api/jobs"): self._announced,
            ("GET", "/api/search"): self._search,
            ("GET", "/api/users/me/hooks"): self._listed_hooks,
            ("POST", "/api/users/me/hooks"): self._hooked,
            ("DELETE", "/api/users/me/hooks"): self._unhooked,
            ("POST", "/api/users/me/interactions"): self._interacted,
        }
        self._addresses = 0  # calls that asked for one

    def answer(self, request: Request) -> Reply:
        """The reply to a request. Raises Refused."""
        if request.method == "POST" and (m := _REPLY_PATH.fullmatch(request.path)):
            return self._labelled(m[1], asked(request))
        owner = self._owner(request)
        call = self._calls.get((request.method, request.path.rstrip("/")))
        if call is not None:
            return call(request, owner)
        if request.method == "GET" and (m := _JOB_PATH.fullmatch(request.path)):
            return self._job(unquote(m[1]), owner)
        if request.method == "DELETE" and (m := _HOOK_PATH.fullmatch(request.path)):
            return self._removed(m[1], owner)
        raise Refused(404, "there is no such thing here")

    def _owner(self, request: Request) -> str:
        """The id of the account that asks."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        good = self._state.token
        if scheme.lower() != "token" or not token or (good and token != good):
            raise Refused(401, "there is no good token")
        return str(10**15 + int.from_bytes(hashlib.sha256(f"user {token}".encode()).digest()[:6], "big"))

    def _devices(self, request: Request, owner: str) -> Reply:
        with self._state.lock:
            ids, queued = self._state.device_ids(), self._state.queued()
        return json_reply(
            [
                {
                    "device_id": one,
                    "name": f"Box {i + 1}",
                    "state": {"queue_stats": {"upload_queue_length": queued if i == 0 else 0}},
                }
                for i, one in enumerate(ids)
            ]
        )

    def _address(self, request: Request, owner: str) -> Reply:
        with self._state.lock:
            if request.parameters().get("device_id") not in self._state.device_ids():
                raise Refused(404, "there is no such device")
            self._addresses += 1
            is_missing = self._addresses <= self._state.quirks.address_missing
        known = {} if is_missing else {"network_configuration_actual": {"ip_address": "127.0.0.1"}}
        return json_reply({"state": known})

    def _cameras(self, request: Request, owner: str) -> Reply:
        with self._state.lock:
            return json_reply(self._state.listed_cameras(owner))

    def _discovered(self, request: Request, owner: str) -> Reply:
        said = asked(request)
        if not isinstance(said, dict):
            raise Refused(400, "cameras are an object by local camera id")
        checked = {local_id: _camera(local_id, entry) for local_id, entry in said.items()}
        with self._state.lock:
            for local_id, document in checked.items():
                self._state.put_camera(owner, local_id, document)
            if self._state.quirks.bodyless:
                return Reply(204)
            return json_reply(self._state.listed_cameras(owner))

    def _jobs(self, request: Request, owner: str) -> Reply:
        with self._state.lock:
            mine = [job for job in self._state.jobs.values() if job.owner == owner]
            return json_reply([self._told(job) for job in mine])

    def _job(self, job_id: str, owner: str) -> Reply:
        with self._state.lock:
            job = self._state.jobs.get(job_id)
            if job is None or job.owner != owner:
                raise Refused(404, "there is no such job")
            return json_reply(self._told(job))

    def _told(self, job: Job) -> dict[str, Any]:
        if self._state.quirks.fresh_urls:
            self._state.renew(job)
        return self._state.told_job(job)

    def _announced(self, request: Request, owner: str) -> Reply:
        said = asked(request)
        with self._state.lock:
            _check_job(said, self._state.listed_cameras(owner))
            return json_reply(self._state.told_job(self._state.add_job(owner, said)))

    def _search(self, request: Request, owner: str) -> Reply:
        with self._state.lock:
            self._state.settle()
            names = {c.document["name"] for (whose, _), c in self._state.cameras.items() if whose == owner}
            found = self._state.events.get(owner, [])
            return json_reply(search(request.parameters(), found, names, owner, self._state.quirks))

    def _listed_hooks(self, request: Request, owner: str) -> Reply:
        return json_reply(self._hooks.listed(owner))

    def _hooked(self, request: Request, owner: str) -> Reply:
        return json_reply(self._hooks.add(owner, asked(request)))

    def _unhooked(self, request: Request, owner: str) -> Reply:
        return self._removed(request.parameters().get("id", ""), owner)

    def _removed(self, hook_id: str, owner: str) -> Reply:
        if not self._hooks.remove(owner, hook_id):
            raise Refused(404, "there is no such hook")
        return Reply(204)

    def _interacted(self, request: Request, owner: str) -> Reply:
        said = asked(request)
        with self._state.lock:
            self._state.interactions.append(said)
        return json_reply({})

    def _labelled(self, event_id: str, said: Any) -> Reply:
        """Adds the labels that whoever was called found in an event's images."""
        with self._state.lock:
            event = next((e for es in self._state.events.values() for e in es if e.id == event_id), None)
            if event is None:
                raise Refused(404, "there is no such event")
            _add_labels(event, said.get("labels") if isinstance(said, dict) else None)
        return json_reply({})


def _add_labels(event: Event, by_date: Any) -> None:
    if not isinstance(by_date, dict) or not all(isinstance(v, dict) for v in by_date.values()):
        raise Refused(400, "labels are an object by time and label")
    for date, labels in by_date.items():
        ms = milliseconds(date)
        for image in event.images:
            if image.date_ms == ms:
                image.labels = sorted({*image.labels, *labels})


def _camera(local_id: str, entry: Any) -> dict[str, Any]:
    """A camera's document, as it is kept. Raises Refused."""
    if not isinstance(entry, dict):
        raise Refused(400, "a camera is an object")
    for name in _CAMERA_TEXTS:
        if not isinstance(entry.get(name), str) or not entry[name]:
            raise Refused(400, f"{name} of a camera is missing")
    if entry["local_camera_id"] != local_id:
        raise Refused(400, "local_camera_id is not what the camera is listed by")
    is_new = "device_id_discovering" in entry
    if not isinstance(entry.get("device_id_discovering" if is_new else "device_id"), str):
        raise Refused(400, "device_id_discovering of a camera is missing")
    made = dict(entry)
    for name in ("actual_values", "default_values"):
        if is_new or name in entry:
            made[name] = _values(name, entry.get(name))
    return made


def _values(name: str, said: Any) -> dict[str, Any]:
    """A camera's settings, as the service has them: never extracting less than it shows. Raises Refused."""
    if not isinstance(said, dict):
        raise Refused(400, f"{name} of a camera is missing")
    if _option("plan", said.get("plan")) not in _PLANS:
        raise Refused(400, f"plan in {name} is none of {', '.join(_PLANS)}")
    sizes_px = {key: _option(key, said[key]) for key in (*_SIZES, _EXTRACTION) if key in said}
    for key, value in sizes_px.items():
        if type(value) is not int or value < 1:
            raise Refused(400, f"{key} in {name} is no size")
    heights_px = [v for k in (_EXTRACTION, "img_y_size", "img_y_size_cover") if (v := sizes_px.get(k))]
    if not heights_px:
        return said
    return {**said, _EXTRACTION: {"options": [{"name": _EXTRACTION, "value": max(heights_px)}]}}


def _option(key: str, said: Any) -> Any:
    options = said.get("options") if isinstance(said, dict) else None
    if not isinstance(options, list) or len(options) != 1 or not isinstance(options[0], dict):
        raise Refused(400, f"{key} has no list of one option")
    return options[0].get("value")


def _check_job(said: Any, cameras: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises Refused for what announces no job."""
    if not isinstance(said, dict):
        raise Refused(400, "a job is an object")
    if not isinstance(said.get("device_id"), str) or not said["device_id"]:
        raise Refused(400, "device_id is missing")
    for name in ("item_count", "item_average_size_bytes"):
        if type(said.get(name)) is not int or not 1 <= said[name] <= 10**9:
            raise Refused(400, f"{name} is no number from 1 on")
    dates = [milliseconds(d) if isinstance(d := said.get(k), str) else None for k in _DATES]
    if dates[0] is None or dates[1] is None or dates[0] > dates[1]:
        raise Refused(400, "earliest_date and latest_date are no span of time")
    listed = said.get("cameras")
    if not isinstance(listed, list) or not listed or not _are_known(listed, cameras.values()):
        raise Refused(400, "cameras are no list of cameras that are known")


_DATES = ("earliest_date", "latest_date")


def _are_known(listed: list[Any], cameras: Iterable[Mapping[str, Any]]) -> bool:
    ids = {camera["camera_id"] for camera in cameras}
    return all(isinstance(c, dict) and c.get("camera_id") in ids for c in listed)
