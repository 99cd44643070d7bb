"""Jobs of the video service: which there are, and how far each is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from camtrail.app.camio_service import ATTEMPTS
from camtrail.app.context import Context
from camtrail.app.state import absolute
from camtrail.core.clock import Clock
from camtrail.core.names import shown
from camtrail.services.camio.client import Client, Job
from camtrail.transfer.retry import Gone, patiently

__all__ = [
    "cameras_of",
    "document_of",
    "find_job",
    "find_jobs",
    "index_path",
    "is_complete",
    "lines_of",
    "say_shards",
    "span_of",
    "summary_of",
    "table_of",
    "utc_of",
]

_COMPLETE = "complete"
_MISSING = "missing"
_WORDS = {
    "missing": "without manifest",
    "running": "being analysed",
    "shards_missing": "waits for manifests",
}
_WIDE = 80
_HEADS = ("job", "status", "items", "shards", "progress", "time span (UTC)")
_LEFT = (0, 1, 5)  # columns of texts


def find_job(client: Client, job_id: str, clock: Clock) -> Job:
    """One job. Raises Gone where there is none of that id."""
    try:
        return patiently(lambda: client.job(job_id), clock=clock, random=Random(), attempts=ATTEMPTS)  # noqa: S311
    except Gone as e:
        raise Gone(
            f"there is no job {shown(job_id)}", "camtrail video jobs lists those that there are"
        ) from e


def find_jobs(client: Client, clock: Clock) -> list[Job]:
    """All jobs of the token's owner, by the time that they begin at; those without one last."""
    jobs = patiently(client.jobs, clock=clock, random=Random(), attempts=ATTEMPTS)  # noqa: S311
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(jobs, key=lambda job: (span_of(job)[0] or never, job.id))


def index_path(context: Context) -> str:
    """The file that knows which state file knows the videos of a job."""
    from platformdirs import user_data_dir

    folder = context.data_dir or user_data_dir("camtrail", appauthor=False)
    return absolute(f"{folder}/video-jobs.sqlite")


def utc_of(text: object) -> datetime | None:
    """The instant that a text of the service stands for: with its own offset, else in UTC; None where it is none."""
    try:
        when = datetime.fromisoformat(text.strip()) if isinstance(text, str) else None
        return when and (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def span_of(job: Job) -> tuple[datetime | None, datetime | None]:
    """When a job's videos begin and end; None where the job does not say."""
    return utc_of(job.request.get("earliest_date")), utc_of(job.request.get("latest_date"))


def is_complete(job: Job) -> bool:
    """Whether all of a job was analysed. Its shards decide: its own status lags behind theirs."""
    states = [shard.status for shard in job.shards] or [job.status]
    return all(_folded(state) == _COMPLETE for state in states)


def say_shards(job: Job) -> str:
    """How far its shards are: `1 of 3 shards complete, 2 being analysed`."""
    count = Counter(_folded(shard.status) for shard in job.shards)
    total = len(job.shards)
    text = f"{count.pop(_COMPLETE, 0):,} of {total:,} shard{'' if total == 1 else 's'} complete"
    return ", ".join([text, *(f"{n:,} {_in_words(state)}" for state, n in sorted(count.items()))])


def summary_of(job: Job) -> dict[str, Any]:
    """What the list of jobs says of one; None for what the service does not say.

    `progress` is the share of the items whose manifest the service has.
    """
    asked = job.request
    counts = [shard.item_count or 0 for shard in job.shards]
    there = sum(n for n, shard in zip(counts, job.shards) if _folded(shard.status) != _MISSING)
    return {
        "start_time": asked.get("earliest_date"),
        "end_time": asked.get("latest_date"),
        "item_count": asked.get("item_count", sum(counts) if counts else None),
        "status": job.status or None,
        "shard_count": len(job.shards),
        "progress": there / sum(counts) if sum(counts) else None,
    }


def document_of(jobs: Sequence[Job]) -> bytes:
    """The documented list of jobs: a JSON object by id."""
    value = {job.id: summary_of(job) for job in jobs}
    return f"{json.dumps(value, indent=2, sort_keys=True)}\n".encode()


def table_of(jobs: Sequence[Job]) -> list[str]:
    """The jobs as lines of a table; where an id leaves no room for the rest, that stands below it."""
    rows = [_HEADS, *map(_row, jobs)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(_HEADS))]
    is_beside = sum(wide) + 2 * (len(wide) - 1) <= _WIDE
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i in _LEFT else c.rjust(w) for i, (c, w) in enumerate(zip(row, wide))]
        beside = [row[0]] if not is_beside else []
        rest = cells if is_beside else ["", *cells[1:]]
        lines += [*beside, "  ".join(rest).rstrip()]
    return lines


def _row(job: Job) -> tuple[str, ...]:
    known = summary_of(job)
    progress, items = known["progress"], known["item_count"]
    return (
        shown(job.id),
        _cut(_in_words(_COMPLETE if is_complete(job) else _folded(job.status)), 20),
        f"{items:,}" if type(items) is int else "",
        str(len(job.shards)),
        "" if progress is None else f"{int(100 * progress)}%",
        _span(*span_of(job)),
    )


def _span(first: datetime | None, last: datetime | None) -> str:
    """`2016-10-09 05:02 - 06:22`; with days alone where it takes several."""
    if first is None or last is None:
        known = first or last
        return f"{known:%Y-%m-%d %H:%M}" if known else ""
    if first.date() == last.date():
        return f"{first:%Y-%m-%d %H:%M} - {last:%H:%M}"
    return f"{first:%Y-%m-%d} - {last:%Y-%m-%d}"


def lines_of(job: Job) -> list[str]:
    """One job for people: what it is about, and its shards."""
    known = summary_of(job)
    first, last = span_of(job)
    items = known["item_count"]
    about = {
        "job": shown(job.id),
        "status": _in_words(_COMPLETE if is_complete(job) else _folded(job.status)),
        "items": f"{items:,}" if type(items) is int else "",
        "from": f"{first:%Y-%m-%d %H:%M:%S} UTC" if first else "",
        "to": f"{last:%Y-%m-%d %H:%M:%S} UTC" if last else "",
        "cameras": shown(", ".join(_names_of(job))),
        "shards": say_shards(job),
    }
    lines = [f"{name:<8}  {value}" for name, value in about.items() if value]
    for shard in job.shards:
        count = (
            ""
            if shard.item_count is None
            else f"{shard.item_count:,} item{'' if shard.item_count == 1 else 's'}, "
        )
        lines.append(f"  shard {shown(str(shard.id))}: {count}{_in_words(_folded(shard.status))}")
    return lines


def cameras_of(job: Job) -> dict[str, str | None]:
    """The id of each camera of a job, by name; None where the job does not say."""
    listed = job.request.get("cameras")
    entries = (
        list(listed.values()) if isinstance(listed, Mapping) else listed if isinstance(listed, list) else []
    )
    found: dict[str, str | None] = {}
    for entry in entries:
        if isinstance(entry, Mapping) and isinstance(name := entry.get("name"), str) and name:
            number = entry.get("camera_id")
            found[name] = number if isinstance(number, str) else None
    return found


def _names_of(job: Job) -> list[str]:
    """Its cameras' names, in order."""
    return sorted(cameras_of(job))


def _folded(status: str) -> str:
    return status.strip().casefold()


def _in_words(status: str) -> str:
    return _WORDS.get(status) or shown(status.replace("_", " ")) or "unknown"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
