"""What goes to Camio and comes back, as values: addresses, cameras, jobs, lists, pages of a search.

Notes
-----
The service's batch interface as its documentation and its own importer of 2017 have it. Words of a status are open:
one that is not known is no error.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from camtrail.core.errors import BadAnswer, UsageError
from camtrail.core.names import natural, plain, shown
from camtrail.transfer.http import Answer, origin_of

__all__ = [
    "BOX_PORT",
    "DEFAULT_SERVER",
    "IMAGE_KEYS",
    "TEST_SERVER",
    "Device",
    "Image",
    "Item",
    "Job",
    "SearchPage",
    "Shard",
    "base_of",
    "camera",
    "cameras_in",
    "device_address_in",
    "devices_in",
    "expires_s",
    "job_in",
    "job_request",
    "jobs_in",
    "local_camera_id",
    "manifest",
    "search_in",
    "settings_in",
    "shifted",
]

DEFAULT_SERVER = "https://www.camio.com"
TEST_SERVER = "https://test.camio.com"
BOX_PORT = 8080
IMAGE_KEYS = (
    "img_x_size",
    "img_y_size",
    "img_x_size_cover",
    "img_y_size_cover",
    "img_x_size_extraction",
    "img_y_size_extraction",
)
_MEGA = 1_000_000
_WIRE_LETTERS = 23  # of YYYY-MM-DDTHH:MM:SS.mmm
_LOGIN = "if this network has a login page, log in there and run again"
_SHA1 = re.compile(r"[0-9a-f]{40}")
_LATER = "run again later; what was done is kept"


@dataclass(frozen=True, slots=True)
class Device:
    """A Box of the account."""

    id: str
    name: str  # empty where it has none
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a job, with a list of its own."""

    id: str
    item_count: int | None
    status: str  # empty where none is said
    upload_url: str | None  # where its list is to be put


@dataclass(frozen=True, slots=True)
class Job:
    """An import as the service knows it; shards in the order of their numbers.

    `request` and `shards` are empty, and `status` is "", where the service says nothing of them.
    """

    id: str
    status: str
    request: Mapping[str, Any]
    shards: tuple[Shard, ...]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """A picture of an event, as a search finds it."""

    id: str  # empty where it has none
    date: str  # as the service writes it
    source: str  # the camera's name
    labels: tuple[str, ...]
    event_id: str | None
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of a search."""

    images: tuple[Image, ...]
    more: bool  # the service says so of the last page too
    latest_considered: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """A video as a list has it."""

    sha1: str
    filename: str
    size_bytes: int

    def entry(self) -> dict[str, Any]:
        """What the list says of it."""
        return {"original_filename": plain(self.filename), "size_MB": self.size_bytes / _MEGA}


def base_of(url: str) -> str:
    """An address without a slash at its end, its origin in the form that `Http` compares. Raises UsageError."""
    origin = origin_of(url)
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if parts.query or parts.fragment or "?" in url or not all("!" <= c <= "~" for c in path):
        raise UsageError(f"{shown(origin)}: the address of a service has no query", "give https://HOST/PATH")
    return origin + path


def local_camera_id(name: str) -> str:
    """What a camera is known by on this side: SHA-1 of its name in UTF-8, 40 hexadecimal digits."""
    return hashlib.sha1(name.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def camera(device_id: str, name: str, plan: str, sizes_px: Mapping[str, int]) -> dict[str, Any]:
    """A camera as it is registered.

    Parameters
    ----------
    plan : BASIC, PLUS or PRO
    sizes_px : of pictures, by some of `IMAGE_KEYS`
    """
    values: dict[str, Any] = {
        "plan": {"is_multiselect": False, "options": [{"name": "Plan", "value": plan}]},
    }
    for key, size_px in sizes_px.items():
        values[key] = {"options": [{"name": key, "value": size_px}]}
    return {
        "device_id_discovering": device_id,
        "acquisition_method": "batch",
        "device_user_agent": "camtrail",
        "local_camera_id": local_camera_id(name),
        "name": plain(name),
        "mac_address": plain(name),
        "is_authenticated": True,
        "should_config": True,
        "actual_values": values,
        "default_values": values,
    }


def shifted(timestamp: str, seconds: float) -> str:
    """A moment later, with six digits of the second."""
    then = datetime.fromisoformat(timestamp[:_WIRE_LETTERS]) + timedelta(seconds=seconds)
    return then.isoformat(timespec="microseconds")


def job_request(
    device_id: str,
    items: Sequence[Item],
    spans: Iterable[tuple[str, float | None]],
    cameras: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What a job is asked for with.

    Parameters
    ----------
    items : one or more
    spans : (begin as text, duration in s or None) of each
    cameras : the service's own entries
    """
    both = [(begin, shifted(begin, duration_s or 0.0)) for begin, duration_s in spans]
    size_bytes = sum(len(json.dumps({"key": i.sha1, **i.entry()})) for i in items)
    return {
        "device_id": device_id,
        "item_count": len(items),
        "earliest_date": min(begin for begin, _ in both),
        "latest_date": max(end for _, end in both),
        "item_average_size_bytes": max(1, size_bytes // len(items)),
        "cameras": list(cameras),
    }


def manifest(job_id: str, shard_id: str, items: Sequence[Item]) -> bytes:
    """The list of a shard's videos."""
    value = {
        "job_id": job_id,
        "shard_id": shard_id,
        "item_count": len(items),
        "hash_map": {i.sha1: i.entry() for i in items},
    }
    return json.dumps(value).encode()


def expires_s(url: str) -> float | None:
    """Until when a signed address is good, POSIX seconds; None where it does not say so."""
    said = parse_qs(urlsplit(url).query).get("Expires", [""])[-1]
    return float(said) if said.isascii() and said.isdigit() and len(said) < 16 else None


def devices_in(answer: Answer) -> list[Device]:
    """The Boxes of an account. Raises BadAnswer."""
    found = []
    for value in _list(answer, "the devices"):
        one = _as_object(value, "a device")
        found.append(Device(_text(one, "device_id", "a device"), _said(one, "name"), one))
    return found


def device_address_in(answer: Answer) -> str | None:
    """Where a Box is on its own network; None where the service does not know. Raises BadAnswer."""
    value: Any = _object(answer, "the state of a device")
    for key in ("state", "network_configuration_actual", "ip_address"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None


def settings_in(answer: Answer) -> dict[str, Any]:
    """What a Box says of itself. Raises BadAnswer."""
    return _object(answer, "the settings of a Box")


def cameras_in(answer: Answer) -> dict[str, dict[str, Any]]:
    """The cameras of an account, by their local id. Raises BadAnswer."""
    found = _object(answer, "the cameras")
    return {key: _as_object(value, "a camera") for key, value in found.items()}


def job_in(answer: Answer) -> Job:
    """A job. Raises BadAnswer."""
    return _job(_object(answer, "a job"))


def jobs_in(answer: Answer) -> list[Job]:
    """The jobs of an account. Raises BadAnswer."""
    return [_job(_as_object(value, "a job")) for value in _list(answer, "the jobs")]


def search_in(answer: Answer) -> SearchPage:
    """A page of a search. Raises BadAnswer."""
    result = _as_object(_object(answer, "a page of events").get("result"), "a page of events")
    images = []
    for bucket in _as_list(result.get("buckets"), "the events"):
        event = _as_object(bucket, "an event")
        event_id = event.get("bucket_id")
        sources = [t for t in _texts(event.get("labels")) if _SHA1.fullmatch(t)]  # what an event was cut from
        for value in _as_list(event.get("images") or [], "the pictures of an event"):
            one = _as_object(value, "a picture")
            labels = dict.fromkeys((*_texts(one.get("labels")), *sources))
            date = _text(one, "date_created", "a picture")
            images.append(
                Image(
                    _said(one, "id"),
                    date,
                    _said(one, "source") or _said(event, "source"),
                    tuple(labels),
                    str(event_id) if isinstance(event_id, str | int) and event_id else None,
                    one,
                )
            )
    latest = result.get("latest_date_considered")
    return SearchPage(
        tuple(images),
        result.get("more_results") is True,
        latest if isinstance(latest, str) and latest else None,
    )


def _texts(value: Any) -> list[str]:
    """The texts of a list of labels. Raises BadAnswer for what is no list."""
    return [label for label in _as_list(value or [], "labels") if isinstance(label, str)]


def _job(value: dict[str, Any]) -> Job:
    request, shards = value.get("request"), value.get("shard_map")
    made = [
        _shard(key, _as_object(shard, "a shard"))
        for key, shard in (shards.items() if isinstance(shards, dict) else ())
    ]
    return Job(
        _text(value, "job_id", "a job"),
        _said(value, "status"),
        request if isinstance(request, dict) else {},
        tuple(sorted(made, key=lambda s: natural(s.id))),
        value,
    )


def _shard(key: str, value: dict[str, Any]) -> Shard:
    count, url = value.get("item_count"), value.get("upload_url")
    return Shard(
        key,
        count if type(count) is int and count >= 0 else None,
        _said(value, "status"),
        url if isinstance(url, str) and url else None,
    )


def _object(answer: Answer, what: str) -> dict[str, Any]:
    return _as_object(answer.json(), what)


def _list(answer: Answer, what: str) -> list[Any]:
    return _as_list(answer.json(), what)


def _as_object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadAnswer(f"the service answers something else in place of {what}", _LOGIN)
    return value


def _as_list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadAnswer(f"the service answers something else in place of {what}", _LOGIN)
    return value


def _text(value: dict[str, Any], key: str, what: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise BadAnswer(f"the service's answer holds no {key}, and so not {what}", _LATER)
    return text


def _said(value: dict[str, Any], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""
