"""Camio's cloud with jobs and events that a test writes down, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from camtrail.transfer.faultserver import FaultServer, Reply, Request, json_reply

__all__ = ["TOKEN", "Cloud", "image", "job"]

TOKEN = "a-token-for-tests"


def job(job_id: str = "J1", *, shards: Iterable[str] = ("complete",), **request: Any) -> dict[str, Any]:
    """A job's document: one item a shard, an hour of 2016-10-09 from noon on unless `request` says otherwise."""
    states = list(shards)
    asked: dict[str, Any] = {
        "earliest_date": "2016-10-09T12:00:00.000", "latest_date": "2016-10-09T13:00:00.000000",
        "item_count": len(states), "cameras": [{"name": "front", "camera_id": "u:f:1"}, {"name": "rear", "camera_id": "u:e:2"}],
    }  # fmt: skip
    shard_map = {str(i): {"item_count": 1, "status": state} for i, state in enumerate(states)}
    return {
        "job_id": job_id,
        "request": {**asked, **request},
        "status": "shards_missing",
        "shard_map": shard_map,
    }


def image(
    time: str, *labels: str, camera: str = "front", event: str = "e1", day: str = "2016-10-09"
) -> dict[str, Any]:
    """A picture at a time of the day, as `12:00:01.500`; with its event and camera."""
    date = f"{day}T{time}-0000"
    return {
        "id": f"{camera} {date} {event}",
        "date_created": date,
        "source": camera,
        "labels": [*labels],
        "event": event,
    }


class Cloud:
    """Answers with `jobs` (newest state first in line) and pages of at most `page` of the `images`.

    Attributes
    ----------
    more : what `more_results` says; None for the truth
    considered : the date that a page was considered to, from the truth
    asked : parameters of each search
    """

    def __init__(self, *images: dict[str, Any], jobs: Iterable[dict[str, Any]] = (), page: int = 100) -> None:
        self.images = sorted(images, key=lambda i: i["date_created"])
        self.jobs = list(jobs) or [job()]
        self.page = page
        self.more: bool | None = None
        self.considered: Callable[[str], str] = lambda date: date
        self.asked: list[dict[str, str]] = []
        self.polls = 0
        self._server = FaultServer({"cloud": self._answer})
        self.url = self._server.url("cloud")
        self.requests = self._server.requests
        self.set_faults = self._server.set_faults

    def __enter__(self) -> Cloud:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"token {TOKEN}":
            return json_reply({"error": "no such token"}, 401)
        if request.path == "/api/jobs":
            return json_reply(self.jobs)
        if request.path == "/api/search":
            return json_reply(self._searched(request.parameters()))
        return self._job(request.path.removeprefix("/api/jobs/"))

    def _job(self, job_id: str) -> Reply:
        """The document of a job: the next one of its id at each call, the last one again and again."""
        states = [j for j in self.jobs if j["job_id"] == job_id]
        if not states:
            return json_reply({"error": "no such job"}, 404)
        self.polls += 1
        return json_reply(states[min(self.polls, len(states)) - 1])

    def _searched(self, given: dict[str, str]) -> dict[str, Any]:
        self.asked.append(given)
        start = datetime.fromisoformat(given["date"])
        found = [i for i in self.images if datetime.fromisoformat(i["date_created"]) >= start]
        page, rest = found[: self.page], found[self.page :]
        last = page[-1]["date_created"] if page else given["date"]
        buckets: dict[str, list[dict[str, Any]]] = {}
        for one in page:
            buckets.setdefault(one["event"], []).append(one)
        return {
            "result": {
                "bucket_type": "event",
                "more_results": bool(rest) if self.more is None else self.more,
                "latest_date_considered": self.considered(rest[0]["date_created"] if rest else last),
                "buckets": [{"bucket_id": e, "images": i} for e, i in buckets.items()],
            }
        }
