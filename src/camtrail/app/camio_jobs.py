"""Camio's jobs: videos dealt to shards, and the list of each shard put where the cloud says, in time.

A record of a video gets `job_id`, `shard_id`, `upload_url` and `upload_url_since_s` when it is dealt;
`accepted_on` when the Box has it, `refused` when it never will; `registered_on` when its shard's list was put with
it, `left_out_on` when without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from camtrail.core.clock import Clock
from camtrail.core.errors import BadAnswer
from camtrail.core.names import shown
from camtrail.services.camio import wire
from camtrail.services.camio.client import Client, Job, Shard, Storage, UrlRefused
from camtrail.services.camio.wire import Item
from camtrail.transfer.retry import Gone

__all__ = ["Jobs", "Patience", "Record"]

log = logging.getLogger(__name__)

R = TypeVar("R")

Record = dict[str, Any]
"""What an import knows of one video."""

_MISSING = "missing"  # the one status of a shard whose list the cloud does not have
_LATE = 0.25  # of an address's life; then its list is put, whatever the videos do
_PAUSE_S = 60.0  # after a list that could not be put


class Patience(Protocol):
    """How often a call is made that may be made again."""

    def __call__(self, call: Callable[[], R], /) -> R:
        """What it returns at last. Raises its last error."""
        ...


@dataclass(slots=True)
class _Part:
    """A shard whose list is to be put."""

    job_id: str
    id: str
    records: list[Record] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)  # keys of videos that the Box neither has nor will refuse
    not_before_s: float = 0.0

    @property
    def url(self) -> str:
        url = self.records[0].get("upload_url")
        return url if isinstance(url, str) else ""

    def __str__(self) -> str:
        return f"shard {shown(self.id)[:20]} of job {shown(self.job_id)[:100]}"


class Jobs:
    """The jobs of one import.

    Parameters
    ----------
    client, storage : the cloud, and the storage at an address
    patience : for each call
    request : what a job for (records, their items in lists) is asked for with
    full_paths : whether lists have whole paths in place of those relative to the folder
    """

    def __init__(
        self,
        client: Client,
        storage: Callable[[str], Storage],
        patience: Patience,
        request: Callable[[Sequence[Record], Sequence[Item]], dict[str, Any]],
        clock: Clock,
        *,
        full_paths: bool,
    ) -> None:
        self._client = client
        self._storage = storage
        self._patience = patience
        self._request = request
        self._clock = clock
        self._full_paths = full_paths
        self._records: dict[str, Record] = {}
        self._parts: dict[tuple[str, str], _Part] = {}
        # By key, what was written into records: the engine may give them back as they were before, since it learns
        # only of the video that it sends, and of that only where nothing is raised.
        self._written: dict[str, Record] = {}

    def keep(self, records: Mapping[str, Record]) -> None:
        """All that is known of the import, in place of what was known before."""
        self._records = dict(records)
        self._restore()
        self._group()

    def add(self, record: Record) -> None:
        """One video, known or not."""
        key = str(record["key"])
        record.update(self._written.get(key, {}))
        if key not in self._records:
            self._records[key] = record
            self._sort_in(record)

    def settle(self, record: Record, refused: str = "") -> None:
        """The Box has a video, or will never have it, for a reason."""
        if refused:
            self._write(record, refused=refused)
        else:
            self._write(record, refused=None, accepted_on=_text(self._clock.now_s()))
        part = self._parts.get(_key(record))
        if part is not None:
            part.waiting.discard(str(record["key"]))

    def _write(self, record: Record, **values: Any) -> None:
        record.update(values)
        self._written.setdefault(str(record["key"]), {}).update(values)

    def _restore(self) -> None:
        for key, values in self._written.items():
            if key in self._records:
                self._records[key].update(values)

    @property
    def open_job(self) -> str | None:
        """The last job with a shard whose list is still to be put."""
        return next((job_id for job_id, _ in reversed(self._parts)), None)

    def deal(self, records: Sequence[Record]) -> str:
        """Gives kept videos a job, and each a shard of it; returns the job's id.

        Notes
        -----
        A job that an earlier run asked for with the same words, and did not come to use, is taken up.
        """
        request = self._request(records, [self._item(r) for r in records])
        job = self._patience(lambda: self._unused(request) or self._client.create_job(request))
        since_s = self._now_s()
        left = iter(records)
        for shard, count in _counted(job, len(records)):
            for _, record in zip(range(count), left):  # a shard may have room for more
                self._write(
                    record,
                    job_id=job.id,
                    shard_id=shard.id,
                    upload_url=shard.upload_url,
                    upload_url_since_s=since_s,
                    registered_on=None,
                    left_out_on=None,
                )
        self._group()
        return job.id

    def _unused(self, request: Mapping[str, Any]) -> Job | None:
        mine = {r.get("job_id") for r in self._records.values()}
        for job in self._client.jobs():
            if job.id not in mine and _is_same(job.request, request) and self._is_unused(job):
                log.info("job %s of an earlier run is taken up", shown(job.id))
                return job
        return None

    def _is_unused(self, job: Job) -> bool:
        return bool(job.shards) and all(
            s.status == _MISSING and s.item_count and s.upload_url and self._life_s(s.upload_url) > 0
            for s in job.shards
        )

    def put_due(self) -> None:
        """Puts the lists of shards whose videos are all settled, or whose address will not be good much longer."""
        now_s = self._clock.monotonic_s()
        for part in list(self._parts.values()):
            if now_s >= part.not_before_s and self._is_due(part):
                part.not_before_s = now_s + _PAUSE_S
                self._put(part, is_last=False)

    def put_last(self) -> int:
        """As `put_due`, at the end of a run; returns how many videos the lists that are left wait for."""
        self._restore()
        strays = [r for r in self._records.values() if r.get("left_out_on") and _is_accepted(r)]
        if strays:
            job_id = self.deal(strays)
            log.warning("%d videos that were refused before belong to job %s", len(strays), shown(job_id))
        for part in list(self._parts.values()):
            if self._is_due(part):
                self._put(part, is_last=True)
        return sum(len(part.waiting) for part in self._parts.values())

    def _is_due(self, part: _Part) -> bool:
        return not part.waiting or self._is_late(part)

    def _is_late(self, part: _Part) -> bool:
        since_s = part.records[0].get("upload_url_since_s")
        left_s = self._life_s(part.url)
        if not isinstance(since_s, int | float):
            return left_s <= 0
        return left_s < _LATE * (left_s + self._now_s() - since_s)

    def _put(self, part: _Part, *, is_last: bool) -> None:
        parts = [part]
        if self._life_s(part.url) <= 0:
            parts = self._renewed(part)
            if not is_last:
                parts = [p for p in parts if self._is_due(p)]
        for one in parts:
            try:
                self._put_list(one)
            except UrlRefused:
                log.info("the storage takes no list of %s there", one)
                for renewed in self._renewed(one):
                    self._put_list(renewed)

    def _put_list(self, part: _Part) -> None:
        listed = _listed(part)
        if not listed:
            log.warning("%s has no video that could be sent; it stays without a list", part)
            self._registered(part)
            return
        body = wire.manifest(part.job_id, part.id, [self._item(r) for r in listed])
        storage = self._storage(part.url)
        self._patience(lambda: storage.put_manifest(part.url, body))
        self._registered(part)
        log.info("the list of %s was put, with %d videos", part, len(listed))

    def _registered(self, part: _Part) -> None:
        then = _text(self._clock.now_s())
        for record in part.records:
            self._write(record, **{"left_out_on" if record.get("refused") else "registered_on": then})
        self._parts.pop((part.job_id, part.id), None)

    def _renewed(self, part: _Part) -> list[_Part]:
        """What is to be put in place of a shard whose address is no longer good; none where its list is there."""
        shard = self._asked(part)
        if shard is not None and shard.status and shard.status != _MISSING:
            log.info("the list of %s is there already", part)
            self._registered(part)
            return []
        url = shard.upload_url if shard is not None else None
        if url and url != part.url and self._life_s(url) > 0:
            for record in part.records:
                self._write(record, upload_url=url, upload_url_since_s=self._now_s())
            return [part]
        return self._followed(part)

    def _asked(self, part: _Part) -> Shard | None:
        try:
            job = self._patience(lambda: self._client.job(part.job_id))
        except Gone:
            return None
        return next((s for s in job.shards if s.id == part.id), None)

    def _followed(self, part: _Part) -> list[_Part]:
        """The same videos in a job of their own."""
        records = _listed(part)
        self._parts.pop((part.job_id, part.id), None)
        for record in part.records:
            if record.get("refused"):
                self._write(record, left_out_on=_text(self._clock.now_s()))
        if not records:
            return []
        job_id = self.deal(records)
        log.warning(
            "the address for the list of %s is no longer good: its %d videos belong to job %s from now on",
            part,
            len(records),
            shown(job_id),
        )
        return [p for p in self._parts.values() if p.job_id == job_id]

    def _group(self) -> None:
        old, self._parts = self._parts, {}
        for record in self._records.values():
            self._sort_in(record)
        for place, part in self._parts.items():
            if place in old:
                part.not_before_s = old[place].not_before_s

    def _sort_in(self, record: Record) -> None:
        if not record.get("job_id") or record.get("registered_on") or record.get("left_out_on"):
            return
        place = _key(record)
        part = self._parts.setdefault(place, _Part(*place))
        part.records.append(record)
        if not (_is_accepted(record) or record.get("refused")):
            part.waiting.add(str(record["key"]))

    def _item(self, record: Record) -> Item:
        relative = record.get("relative_name")
        name = record["filename"] if self._full_paths or not relative else relative
        return Item(str(record["key"]), str(name), int(record["size"]))

    def _now_s(self) -> float:
        """The cloud's clock, as far as it told."""
        return self._clock.now_s() + (self._client.skew_s or 0.0)

    def _life_s(self, url: str) -> float:
        """How long an address is good; infinite where it does not say."""
        until_s = wire.expires_s(url)
        return float("inf") if until_s is None else until_s - self._now_s()


def _key(record: Record) -> tuple[str, str]:
    return str(record.get("job_id")), str(record.get("shard_id"))


def _is_accepted(record: Record) -> bool:
    return bool(record.get("accepted_on") or record.get("uploaded_on"))


def _listed(part: _Part) -> list[Record]:
    return [r for r in part.records if not r.get("refused")]


def _text(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")


def _counted(job: Job, most: int) -> Iterator[tuple[Shard, int]]:
    """The shards and how many videos each takes. Raises BadAnswer where they do not take so many."""
    room = [s.item_count or 0 for s in job.shards]
    if sum(room) < most or not all(s.upload_url for s in job.shards):
        raise BadAnswer(
            f"job {shown(job.id)[:100]} has no room for {most} videos, or not all addresses",
            "run again later",
        )
    yield from zip(job.shards, room)


def _is_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a job was asked for with the same words."""
    if any(old.get(k) != v for k, v in new.items() if k != "cameras"):
        return False
    return _names(old.get("cameras")) == _names(new["cameras"])


def _names(cameras: object) -> list[str]:
    found = cameras if isinstance(cameras, list) else []
    return sorted(str(c.get("name")) for c in found if isinstance(c, dict))
