"""Searches in the events of a stand-in for Camio."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from camtrail.services.camio.sandbox_events import HASH, Event, Image, event, milliseconds, stamp
from camtrail.services.camio.sandbox_state import Quirks, Refused, device_id

__all__ = ["search"]

_MOST_RESULTS = 100
_HOUR_MS = 3_600_000
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a text asks for: of each kind that it names, one must be there."""

    cameras: frozenset[str]
    hashes: frozenset[str]
    labels: frozenset[str]
    is_of_box: bool  # asks for what was not uploaded yet

    def takes(self, one: Event) -> bool:
        """Whether an event is asked for."""
        return (
            (not self.cameras or one.camera in self.cameras)
            and (not self.hashes or one.sha1 in self.hashes)
            and (not self.labels or not self.labels.isdisjoint(one.labels))
        )


def _wanted(text: str, names: Iterable[str]) -> _Wanted:
    words = {re.sub(r"\\(.)", r"\1", m[1]) if m[1] is not None else m[2] for m in _TOKEN.finditer(text)}
    cameras = words.intersection(names)
    is_of_box = "tag:box" in words
    others = words - cameras - {"all", "tag:box"}
    hashes = {w for w in others if HASH.fullmatch(w)}
    return _Wanted(frozenset(cameras), frozenset(hashes), frozenset(others - hashes), is_of_box)


def search(
    given: Mapping[str, str], events: Sequence[Event], names: Iterable[str], owner: str, quirks: Quirks
) -> dict[str, Any]:
    """The answer to a search. Raises Refused.

    Parameters
    ----------
    given : the parameters of the request
    events : all of the account, in their order
    names : of the account's cameras

    Notes
    -----
    A page is longer than was asked for where it would end between events of one moment; the date that it was
    considered to is that of the first event that follows, so that no event is on two pages or on none.
    """
    wanted = _wanted(given.get("text", ""), names)
    date = given.get("date", "")
    date_ms = milliseconds(date) if date else None
    if date and date_ms is None:
        raise Refused(400, "date is no time")
    is_descending = given.get("sort") == "desc"
    found = (one for one in _from(events, date_ms, is_descending) if wanted.takes(one))
    page, after = _page(found, _number(given.get("num_results", "")))
    considered_ms = after.start_ms if after else _latest(page, date_ms, is_descending)
    buckets = [_bucket(one, quirks) for one in page]
    if quirks.beyond_range and date_ms is not None:
        buckets.insert(0, _bucket(_beyond(wanted, date_ms - _HOUR_MS), quirks))
    first, last = sorted((date_ms if date_ms is not None else considered_ms, considered_ms))
    answer = {
        "query": {
            "date": date or None,
            "sort": "desc" if is_descending else "asc",
            "cameras": sorted(wanted.cameras),
            "labels": sorted(wanted.labels | wanted.hashes),
            "motion_type": "lmo",
            "object_type": "event",
            "content_type": "image",
            "user": given.get("user") or owner,
            "earliest_date_considered": stamp(first),
            "latest_date_considered": stamp(last),
            "text": given.get("text", ""),
            "remainder": "",
            "zones": [],
            "colors": [],
        },
        "result": {
            "bucket_type": "event",
            "more_results": after is not None or quirks.more_results,
            "latest_date_considered": stamp(considered_ms),
            "buckets": buckets,
        },
    }
    if wanted.is_of_box:
        answer["operations"] = {"upload_commands": [{"device_id_internal": device_id(0)} for _ in page]}
    return answer


def _from(events: Sequence[Event], date_ms: int | None, is_descending: bool) -> Iterable[Event]:
    if is_descending:
        end = len(events) if date_ms is None else bisect_right(events, date_ms, key=_start)
        return (events[i] for i in range(end - 1, -1, -1))
    return islice(events, 0 if date_ms is None else bisect_left(events, date_ms, key=_start), None)


def _start(one: Event) -> int:
    return one.start_ms


def _page(found: Iterable[Event], most: int) -> tuple[list[Event], Event | None]:
    """The events of a page, and the first that follows."""
    page: list[Event] = []
    for one in found:
        if len(page) >= most and one.start_ms != page[-1].start_ms:
            return page, one
        page.append(one)
    return page, None


def _latest(page: Sequence[Event], date_ms: int | None, is_descending: bool) -> int:
    if not page:
        return date_ms or 0
    return page[-1].start_ms if is_descending else max(one.end_ms for one in page)


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        return _MOST_RESULTS
    return min(max(1, int(text)), _MOST_RESULTS)


def _beyond(wanted: _Wanted, ms: int) -> Event:
    camera = min(wanted.cameras, default="elsewhere")
    return event(camera, "", ms, [(ms, ["_ml_human"])])


def _bucket(one: Event, quirks: Quirks) -> dict[str, Any]:
    images = [_image(one, image, quirks) for image in one.images]
    span_s = (one.end_ms - one.start_ms) / 1000
    return {
        "bucket_id": one.id,
        "source": one.camera,
        "labels": one.labels,
        "earliest_date": stamp(one.start_ms),
        "latest_date": stamp(one.end_ms),
        "cover_image_id": images[0]["id"],
        "max_interest_level": 1,
        "aspect_ratio": 16 / 9,
        "color": "#808080",
        "count": len(images),
        "images": images,
        "videos": [
            {
                "id": f"{one.id}-v",
                "date_created": stamp(one.start_ms),
                "content_type": "video/mp4",
                "source": one.camera,
                "labels": one.labels,
                "video_length": span_s,
                "movie": {
                    "server_id": "sandbox",
                    "duration_sec": span_s,
                    "timestamp": {"date": stamp(one.start_ms)},
                    "playback_speed_ratio": 1,
                    "format_info": {"codec_name": "h264", "profile": "High"},
                },
            }
        ],
    }


def _image(one: Event, image: Image, quirks: Quirks) -> dict[str, Any]:
    return {
        "id": image.id,
        "date_created": stamp(image.date_ms),
        "content_type": "image/jpeg",
        "source": one.camera,
        "labels": [*image.labels, ""] if quirks.empty_labels else list(image.labels),
        "interest_level": 1,
        "interest_score": 0.5,
        "access_token": image.id[::-1],
    }
