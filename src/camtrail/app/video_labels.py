"""Labels of a job: fetched page by page, cut down to the job's own, and written as JSON, CSV or XML."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from camtrail.app.camio_service import ATTEMPTS
from camtrail.app.context import Context
from camtrail.app.export import check_target
from camtrail.app.labels_options import LabelsOptions
from camtrail.app.process import Result
from camtrail.app.state import absolute
from camtrail.app.video_jobs import (
    cameras_of,
    document_of,
    find_job,
    index_path,
    is_complete,
    say_shards,
    span_of,
    utc_of,
)
from camtrail.catalog.imports import Imports, JobIndex
from camtrail.core.errors import (
    CamtrailError,
    InputError,
    StorageError,
    Unreachable,
    UnusableDescription,
    UsageError,
    failure_of,
)
from camtrail.core.json_text import loads
from camtrail.core.names import shown
from camtrail.metadata import safeio
from camtrail.reports.bookmarks import Bookmark, Bookmarks, csv_of, json_of, kind_of, xml_of
from camtrail.services.camio.client import Client, Image, Job
from camtrail.transfer.http import origin_of
from camtrail.transfer.retry import patiently

__all__ = [
    "Labels",
    "check_outputs",
    "labels",
    "outputs_of",
    "own_videos",
    "rendered",
    "search_text",
    "white_list",
    "write",
]

log = logging.getLogger(__name__)

_BEFORE, _AFTER = timedelta(seconds=1), timedelta(seconds=10)  # around a job's time, for clocks that round
_PAGE = 100
_MOST_EMPTY = 1000  # pages without a picture in a row: nothing comes any more
_MOST_LIST_BYTES = 1 << 20
_MARKS = {
    "json": b'"job_id"', "csv": b"job_id,timestamp,camera_name", "xml": b"<bookmarks ", "list": b'"item_count"',
}  # fmt: skip
_SUFFIXES = (".json", ".csv", ".xml")
_PLAIN = re.compile(r"[^\s\"'\\]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Labels:
    """What a run came to."""

    result: Result
    found: Bookmarks

    def counts(self) -> dict[str, int]:
        """Bookmarks, their cameras and events, and labels in all."""
        marks = self.found.marks
        return {
            "bookmarks": len(marks),
            "cameras": len({m.camera for m in marks}),
            "events": len({m.event_id for m in marks if m.event_id}),
            "labels": sum(len(m.labels) for m in marks),
        }


def outputs_of(job_id: str, out: str, options: LabelsOptions) -> dict[str, str]:
    """What is written where: json, csv or xml -> path, `-` for standard output.

    Parameters
    ----------
    out : the file that stands behind the job's id, "" for none

    Raises
    ------
    UsageError
        Two places for one document, or one place for two.
    """
    if out and options.output_file and out != options.output_file:
        raise UsageError(
            f"{shown(out)} and --output_file {shown(options.output_file)}: which of them is meant?",
            "give one of them",
        )
    where = out or options.output_file
    kinds = [kind for kind, is_wanted in (("csv", options.as_csv), ("xml", options.as_xml)) if is_wanted]
    if not where:
        if re.search(r"[/\\\0]", job_id):
            raise UsageError(f"{shown(job_id)}: no file can be named after this job", "give OUT")
        return {kind: f"{job_id}_results.{kind}" for kind in kinds or ["json"]}
    if len(kinds) < 2:
        return {(kinds or ["json"])[0]: where}
    if where == "-":
        raise UsageError("-: standard output takes one document", "give --csv or --xml, or a file")
    stem, suffix = os.path.splitext(where)
    stem = stem if suffix.lower() in _SUFFIXES else where
    return {kind: f"{stem}.{kind}" for kind in kinds}


def check_outputs(outputs: Mapping[str, str], force: bool, context: Context) -> None:
    """Looks, before anything is asked, whether the files can be written.

    Parameters
    ----------
    outputs : json, csv, xml or list (of jobs) -> path

    Raises
    ------
    SafetyRefusal
        One is there and was not written by camtrail.
    StorageError
        Its folder is not there.
    """
    for kind, path in outputs.items():
        if path == "-":
            continue
        check_target(path, _MARKS[kind], force or (kind == "list" and _is_empty_list(path, context)), context)
        try:
            context.fs.entry(os.path.dirname(absolute(path)))
        except InputError as e:
            raise StorageError(
                f"{shown(path)}: its folder is not there", "make the folder or name another one"
            ) from e


def _is_empty_list(path: str, context: Context) -> bool:
    """Whether a file is the list of no jobs, which has no mark."""
    try:
        with context.fs.source(path) as source:
            return source.read_at(0, 9) == document_of([])
    except InputError:
        return False


def white_list(options: LabelsOptions, context: Context) -> frozenset[str] | None:
    """The labels that are wanted; None for all. Raises UsageError, UnusableDescription, UnreadableFile."""
    wanted: set[str] = set()
    if options.label_white_list:
        try:
            wanted |= _texts(options.label_white_list)
        except ValueError as e:
            raise UsageError(f"--label_white_list: {e}", """write it as '["_ml_human"]'""") from e
    if path := options.label_white_list_file:
        with context.fs.source(path) as source:
            if source.size > _MOST_LIST_BYTES:
                raise UnusableDescription(path, "is too large for a list of labels")
            data = source.read_at(0, _MOST_LIST_BYTES)
        try:
            wanted |= _texts(data.decode())
        except UnicodeDecodeError as e:
            raise UnusableDescription(path, "is no text in UTF-8") from e
        except ValueError as e:
            raise UnusableDescription(path, str(e), """write it as ["_ml_human"]""") from e
    return frozenset(wanted) or None


def _texts(text: str) -> set[str]:
    value, warnings = loads(text)
    for warning in warnings:
        log.warning("list of labels: %s", warning)
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError("is no array of texts")
    return {v.strip() for v in value if v.strip()}


def own_videos(
    job_id: str, options: LabelsOptions, server_url: str, context: Context
) -> dict[str, str] | None:
    """Names of the job's videos by their SHA-1 in hex; None where they are not known here.

    They stand in the state file of the import: that of the options, else the one that this user imported with.

    Raises
    ------
    InputError
        The file of the options is not there.
    CatalogError, StorageError
        A state file cannot be read.
    """
    storage = absolute(options.storage) if options.storage else _storage(job_id, server_url, context)
    if storage is None:
        return None
    if options.storage:
        context.fs.entry(options.storage)  # a file that is not there would be made
    with Imports(storage) as imports:
        return imports.videos_of_job(job_id) or None


def _storage(job_id: str, server_url: str, context: Context) -> str | None:
    """The state file of the import that made a job; None where it is not known, or gone."""
    try:
        context.fs.entry(index_path(context))
        with JobIndex(index_path(context)) as index:
            storage = index.storage(origin_of(server_url), job_id)
        return None if storage is None else context.fs.entry(storage).path
    except (InputError, StorageError):
        return None


def labels(
    job_id: str,
    options: LabelsOptions,
    client: Client,
    context: Context,
    *,
    own: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Labels:
    """The labels of a job. An error after the first page leaves what was fetched, and stands in the failures.

    Parameters
    ----------
    own : names of the job's videos by SHA-1; None where they are not known
    say : told how far the service is, while it is waited for

    Raises
    ------
    Gone
        There is no such job.
    Unreachable
        The job is not complete after the time that was given.
    """
    start_s = context.clock.monotonic_s()
    wanted = white_list(options, context)
    job = (
        _watched(job_id, options, client, context, say)
        if options.watch
        else find_job(client, job_id, context.clock)
    )
    result = Result("video labels")
    if not is_complete(job):
        result.notes.append(f"the job is not complete ({say_shards(job)}); --watch waits for it")
    pages = _Pages(job, not options.no_filter)
    error = pages.fetch(client, context)
    if error is not None:
        result.failures.append(failure_of(job_id, error))
        result.notes.append("the labels are incomplete; the same command fetches them anew")
    marks = _Selection(job, options, wanted, own, pages.images).marks(result.notes)
    asked = job.request
    found = Bookmarks(
        job.id, _text(asked.get("earliest_date")), _text(asked.get("latest_date")), marks, error is None
    )
    result.elapsed_s = context.clock.monotonic_s() - start_s
    return Labels(result, found)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _watched(
    job_id: str, options: LabelsOptions, client: Client, context: Context, say: Callable[[str], None]
) -> Job:
    """The job when it is complete. The longer it takes, the rarer it is asked for: every 1 to 30 s."""
    clock = context.clock
    start_s, said = clock.monotonic_s(), ""
    while True:
        job = find_job(client, job_id, clock)
        if is_complete(job):
            return job
        now = say_shards(job)
        if now != said:
            say(now)
            said = now
        past_s = clock.monotonic_s() - start_s
        wait_s = min(max(past_s / 10, 1.0), 30.0)
        if options.timeout_s is not None:
            if past_s >= options.timeout_s:
                raise Unreachable(
                    f"job {shown(job_id)} is not complete after {options.timeout_s:g} s ({now})",
                    "run again later; without --watch it fetches what is there",
                )
            wait_s = min(wait_s, options.timeout_s - past_s)
        clock.sleep(wait_s)


def search_text(cameras: Iterable[str]) -> str:
    """What the service is asked for: everything of these cameras; names that are no single word in quotes."""
    return " ".join(["all", *(_quoted(name) for name in cameras)])


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Pages:
    """All images that the service has of a job's cameras in its time."""

    def __init__(self, job: Job, is_filtered: bool) -> None:
        first, last = span_of(job)
        self.images: dict[str, Image] = {}  # pages overlap; by id
        self._text = search_text(sorted(cameras_of(job)))
        start = first or _EPOCH
        self._start = start - _BEFORE if is_filtered and first else start
        self._end = last + _AFTER if is_filtered and last else last

    def fetch(self, client: Client, context: Context) -> CamtrailError | None:
        """Asks page after page; the error that stopped it after the first one, None where there was none.

        `more` is no reason to go on by itself: it stays true behind the last page.
        """
        at, date = self._start, _stamp(self._start)
        is_first = True
        empty = 0  # pages in a row
        while True:
            try:
                page = patiently(
                    lambda date=date: client.search(self._text, date, _PAGE),  # type: ignore[misc]
                    clock=context.clock,
                    random=Random(),  # noqa: S311
                    attempts=ATTEMPTS,
                )
            except CamtrailError as e:
                if is_first:
                    raise
                return e
            is_first = False
            for image in page.images:
                self.images.setdefault(image.id or f"{image.date} {image.source} {len(self.images)}", image)
            seen = utc_of(page.latest_considered)
            empty = 0 if page.images else empty + 1
            if not page.more or seen is None or seen <= at or empty >= _MOST_EMPTY:
                return None
            if self._end is not None:
                context.progress(
                    "reading labels", _ms(min(seen, self._end) - self._start), _ms(self._end - self._start)
                )
                if seen >= self._end:
                    return None
            at, date = seen, str(page.latest_considered)


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds" if when.microsecond else "seconds")


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


@dataclass(slots=True)
class _Event:
    """The first and last moment of an event, as written."""

    earliest: tuple[datetime, str]
    latest: tuple[datetime, str]


@dataclass(slots=True)
class _Mark:
    """What is gathered of one camera at one moment."""

    when: datetime
    event_ids: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


class _Selection:
    """The images that count, as bookmarks."""

    def __init__(
        self,
        job: Job,
        options: LabelsOptions,
        wanted: frozenset[str] | None,
        own: Mapping[str, str] | None,
        images: Mapping[str, Image],
    ) -> None:
        self._cameras = cameras_of(job)
        self._options = options
        self._wanted = wanted
        self._own = None if options.no_filter else own
        self._names = own or {}
        self._images = images.values()
        first, last = (None, None) if options.no_filter else span_of(job)
        self._first = first - _BEFORE if first else None
        self._last = last + _AFTER if last else None

    def marks(self, notes: list[str]) -> list[Bookmark]:
        """One for each camera and moment; `notes` gets what was left out."""
        events = self._events()
        marks: dict[tuple[str, str], _Mark] = {}
        timeless = outside = foreign = 0
        for image in self._images:
            when = utc_of(image.date)
            labels = {label for label in image.labels if label.strip()}
            if when is None:
                timeless += bool(labels)
            elif not self._is_inside(when):
                outside += bool(labels)
            elif self._own is not None and labels and self._own.keys().isdisjoint(_hashes(labels)):
                foreign += 1
            elif labels and (self._wanted is None or labels & self._wanted):
                mark = marks.setdefault((image.date, image.source), _Mark(when))
                mark.labels |= labels
                mark.event_ids |= {image.event_id} if image.event_id else set()
        self._note(notes, timeless, outside, foreign)
        return [self._bookmark(time, camera, mark, events) for (time, camera), mark in marks.items()]

    def _is_inside(self, when: datetime) -> bool:
        return (self._first is None or self._first <= when) and (self._last is None or when <= self._last)

    def _events(self) -> dict[str, _Event]:
        events: dict[str, _Event] = {}
        for image in self._images:
            when = utc_of(image.date)
            if when is None or not image.event_id:
                continue
            moment = (when, image.date)
            event = events.setdefault(image.event_id, _Event(moment, moment))
            event.earliest = min(event.earliest, moment)
            event.latest = max(event.latest, moment)
        return events

    def _note(self, notes: list[str], timeless: int, outside: int, foreign: int) -> None:
        for count, why in (
            (timeless, "have no time that can be read"),
            (outside, "lie outside the job's time"),
            (foreign, "belong to other imports"),
        ):
            if count:
                notes.append(f"pictures with labels left out because they {why}: {count:,}")
        if self._own is None and not self._options.no_filter:
            notes.append(
                "which videos belong to the job is not known here, so labels of other imports of the same time and "
                "cameras may be among these; --storage FILE names the import's file"
            )

    def _bookmark(self, time: str, camera: str, mark: _Mark, events: Mapping[str, _Event]) -> Bookmark:
        event_id = min(mark.event_ids, default=None)
        event = events[event_id] if event_id else None
        hashes = _hashes(mark.labels)
        names = self._names
        known = sorted(hashes & names.keys() or hashes)
        kept = mark.labels
        if self._options.strip_source_labels:
            kept = {label for label in kept if kind_of(label) != "source"}
        if self._wanted is not None and self._options.white_list_mode == "labels":
            kept = kept & self._wanted
        return Bookmark(
            time=time,
            time_s=mark.when.timestamp(),
            camera=camera,
            camera_id=self._cameras.get(camera),
            event_id=event_id,
            earliest=event.earliest[1] if event else time,
            latest=event.latest[1] if event else time,
            labels=tuple(sorted(kept)),
            source_hash=known[0] if known else None,
            source_name=names.get(known[0]) if known else None,
        )


def _hashes(labels: Iterable[str]) -> set[str]:
    return {label.lower() for label in labels if kind_of(label) == "source"}


def rendered(done: Labels, kind: str, options: LabelsOptions) -> Iterable[bytes]:
    """The bytes of a document: json, csv or xml."""
    if kind == "csv":
        return csv_of(done.found, is_safe=options.csv_safe)
    return xml_of(done.found) if kind == "xml" else [json_of(done.found, options.schema)]


def write(done: Labels, outputs: Mapping[str, str], options: LabelsOptions, context: Context) -> None:
    """Writes the documents to their files, each whole or not at all. Raises StorageError."""
    for kind, path in outputs.items():
        if path != "-":
            safeio.put(context.fs, path, rendered(done, kind, options))
            done.result.outputs.append(path)
