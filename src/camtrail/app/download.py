"""Mapillary's images into a folder: those of an area or of lists, each once, and proof of what is there.

What was fetched stands in the folder's own state, by service, image and size. A run that was stopped goes on: what it
had fetched is not fetched again.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from random import Random
from typing import Any, TypeVar

from camtrail.app.context import Context, Transfer
from camtrail.app.download_area import found_in
from camtrail.app.download_files import (
    Staged,
    digest_of,
    make_durable,
    part_path,
    parts_in,
    place_of,
    stage,
    staged_in,
    useless_in,
)
from camtrail.app.download_folder import (
    Downloaded,
    check_folder,
    image_of,
    locked,
    made,
    said_of,
    served_for,
    state_path,
)
from camtrail.app.download_obstacles import Obstacles
from camtrail.app.download_options import AreaOptions, DownloadOptions
from camtrail.app.download_tables import check_tables, write_tables
from camtrail.app.process import Result
from camtrail.app.state import absolute
from camtrail.catalog.downloads import Download, Downloads
from camtrail.core.errors import (
    BadAnswer,
    Failure,
    InputError,
    QuotaExceeded,
    Rejected,
    SafetyRefusal,
    ServiceError,
    StorageError,
    failure_of,
)
from camtrail.core.names import shown
from camtrail.metadata.safeio import Part
from camtrail.services.mapillary.client import MOST_AT_ONCE, Client
from camtrail.services.mapillary.images import Image, damage
from camtrail.steps import id_lists, tiling
from camtrail.steps.id_lists import IdList
from camtrail.transfer.fetch import Damaged, Fetched, discard, fetch
from camtrail.transfer.http import Http
from camtrail.transfer.pace import Pace
from camtrail.transfer.queue import Again, Queue
from camtrail.transfer.retry import SHORTEST_QUOTA_S, Backoff, Gone, patiently

__all__ = ["Service", "download_images", "download_sequences", "lists_of"]

R = TypeVar("R")

log = logging.getLogger(__name__)

_BACKOFF = Backoff(first_s=0.005, factor=4.0)
_RENEWALS = 3  # new addresses for one image
_DAMAGED = 3  # attempts for a picture that comes whole and is none
_GAIN_BYTES = 1 << 16  # an attempt that brings so much of a picture is not in vain
_LIST_SUFFIXES = (".txt", ".csv")
_MOST_LIST_BYTES = 1 << 28
_SHARE = 4  # so many times longer than the last commit took nothing is written down
_MOST_NAMED = 10  # failed images for one reason, beyond which the manifest alone tells which
_PAGE = 5000  # rows of the state that are in memory at a time
_UNKNOWN = "unknown"  # folder of images that belong to no sequence
_COUNTS = ("fetched", "there_before", "unknown", "failed")
_LEFT = "it was left alone"
_DELETED = "it may have been deleted"
_FOREIGN = Failure(
    "", "refused", "is there already and was not written by camtrail",
    "name another folder with -o, or give --force to replace it",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Service:
    """How the service is reached."""

    client: Client
    http: Http  # for pictures, wherever the service says that they are
    origin: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    image: str
    sequence: str | None
    lat_deg: float
    lon_deg: float


def download_images(
    edges: Sequence[float], options: AreaOptions, service: Service, context: Context
) -> Downloaded:
    """The first images that are found in an area, at most `max_results`.

    Parameters
    ----------
    edges : least and greatest latitude, least and greatest longitude, degrees

    Raises
    ------
    UsageError
        The edges are those of no area.
    ServiceError
        The area cannot be searched.
    """
    boxes = tiling.area(*edges)
    size = options.picture_size or "1024"
    with _opened(
        "mapillary download_images", options.output or "downloaded", size, None, options, service, context
    ) as run:
        most = options.max_results
        try:
            found = found_in(
                boxes,
                most,
                run.served,
                service.client,
                run.asked,
                lambda n: context.progress("searching", n, most),
            )
        except BaseException as e:
            if not isinstance(e, Exception):  # interrupted
                log.warning(
                    "the search of the area did not end, and begins anew; a smaller area, or fewer images with "
                    "--max_results, are found sooner"
                )
            raise
        run.fetch([_Wanted(i.id, _folder_of(i), math.nan, math.nan) for i in found])
        if len(found) >= most:
            run.done.result.notes.append(
                f"the area has {most:,} images or more; --max_results says how many are taken"
            )
        elif not found:
            run.done.result.notes.append("the service has no images in this area")
    return run.done


def download_sequences(
    names: Sequence[str], options: DownloadOptions, service: Service, context: Context
) -> Downloaded:
    """The images of lists, of whole sequences, or of both.

    Parameters
    ----------
    names : files with ids, folders of such files, ids of sequences

    Raises
    ------
    InputError
        A file is not there or no list, or lists contradict each other.
    ServiceError
        The service cannot be asked for the images of a sequence.
    """
    lists = lists_of(names, context)
    size = options.picture_size or "original"
    with _opened(
        "mapillary download_sequences", options.output or "downloads", size, lists, options, service, context
    ) as run:
        wanted = [
            _Wanted(*row)
            for row in zip(
                lists.image.tolist(), lists.sequence.tolist(), lists.lat_deg.tolist(), lists.lon_deg.tolist()
            )
        ]
        known = {w.image for w in wanted}
        for sequence in lists.whole.tolist():
            ids = run.images_of(sequence, is_typed=sequence in names)
            run.done.whole[sequence] = ids
            wanted += [_Wanted(i, sequence, math.nan, math.nan) for i in ids if i not in known]
            known.update(ids)
        run.fetch(wanted)
        run.done.result.notes += [f"{note.count:,} {note.reason}" for note in lists.notes]
    return run.done


def lists_of(names: Sequence[str], context: Context) -> IdList:
    """What files, folders of files and ids name. Raises InputError."""
    lists: list[IdList] = []
    for name in names:
        try:
            entry = context.fs.entry(name)
        except InputError:
            if not (id_lists.is_sequence_id(name) and "/" not in name):
                raise
            lists.append(id_lists.parse(name.encode(), name))
            continue
        paths = list(_lists_below(entry.path, context)) if entry.kind == "folder" else [name]
        if not paths:
            raise InputError(
                name, "has no list in it", f"name files that end with {' or '.join(_LIST_SUFFIXES)}"
            )
        lists += [_parsed(path, context) for path in paths]
    return id_lists.joined(lists)


def _lists_below(folder: str, context: Context) -> Iterator[str]:
    for entry in context.fs.entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.kind == "folder":
            yield from _lists_below(entry.path, context)
        elif entry.kind == "file" and entry.name.lower().endswith(_LIST_SUFFIXES):
            yield entry.path


def _parsed(path: str, context: Context) -> IdList:
    with context.fs.source(path) as source:
        if source.size > _MOST_LIST_BYTES:
            raise InputError(
                path, "is too large for a list of ids", "name a text file with one id or image a line"
            )
        return id_lists.parse(source.read_at(0, source.size), path)


@contextmanager
def _opened(
    command: str,
    output: str,
    size: str,
    lists: IdList | None,
    options: DownloadOptions,
    service: Service,
    context: Context,
) -> Iterator[_Run]:
    """A folder of downloads, ours alone while the block runs; behind it its tables are written.

    Raises FolderBusy, SafetyRefusal, StorageError, UsageError.
    """
    check_folder(output, context)
    check_tables(output, lists, options.force, context)
    parts = made(output, context)
    with locked(output, options.wait, context), Downloads(state_path(output)) as downloads:
        started_s = context.clock.monotonic_s()
        run = _Run(command, output, absolute(output), parts, size, downloads, options, service, context)
        run.done.lists = lists
        yield run
        write_tables(run.done, downloads, service.origin, context)
        run.done.result.elapsed_s = context.clock.monotonic_s() - started_s


@dataclass(slots=True, eq=False)
class _Task:
    """Images that are to be looked up, or one that is to be fetched."""

    ids: list[str]
    image: Image | None = None
    failed: int = 0  # attempts in a row without any gain
    most_bytes: int = 0  # of the picture, that were here after any of them
    renewed: int = 0
    is_stale: bool = False  # its address is not good any more


class _Run:
    def __init__(
        self,
        command: str,
        output: str,
        folder: str,
        parts: str,
        size: str,
        downloads: Downloads,
        options: DownloadOptions,
        service: Service,
        context: Context,
    ) -> None:
        self.folder, self.parts, self.size = folder, parts, size
        self.served = served_for(size)
        self.width_px = None if self.served == size else int(size)
        self.downloads, self.options, self.service, self.context = downloads, options, service, context
        self.done = Downloaded(Result(command, paths=[output]), folder, size, self.served)
        self.random = Random()  # noqa: S311 - spreads waiting, keeps no secret
        self.wanted: dict[str, _Wanted] = {}
        self.said: dict[str, str] = {}  # of what is under way
        # Each with the part that it was made of and its row, in one: an interrupt may come between two statements.
        self.ready: list[tuple[Staged, str, Download]] = []
        self.rows: list[Download] = []  # of images without a file
        self.folders: set[str] = set()
        self.damaged: set[str] = set()  # images whose files are not what was written
        self.obstacles = Obstacles(context.fs, folder)
        self.kept_s = 0.0  # not before the next commit
        self.lost: dict[Failure[str], list[str]] = {}  # images that met the same failure
        self.left = 0
        self.untold = 0

    def asked(self, call: Callable[[], R]) -> R:
        """What a call returns that may be made several times."""
        return patiently(
            call, clock=self.context.clock, random=self.random, attempts=self.options.max_attempts,
            most_wait_s=self.options.max_wait_s,
        )  # fmt: skip

    def images_of(self, sequence: str, is_typed: bool) -> list[str]:
        """The images of a sequence; none, and a failure of the run, where the service gives none.

        `is_typed`: what was meant may have been a file.
        """
        item = f"sequence {sequence}"
        try:
            ids = self.asked(partial(self.service.client.image_ids, sequence))
        except (BadAnswer, Rejected) as e:
            self.done.result.failures.append(failure_of(item, e))
            return []
        if not ids:
            hint = "; there is no file or folder of this name either" if is_typed else ""
            self._fail(item, "unknown", "the service knows no such sequence", f"check the id{hint}")
        return ids

    def _fail(self, item: str, code: str, message: str, hint: str = "") -> None:
        self.done.result.failures.append(Failure(item, code, message, hint))

    def fetch(self, wanted: Sequence[_Wanted]) -> None:
        """Everything that is not there yet."""
        self.wanted = {w.image: w for w in wanted}
        origin, size = self.service.origin, self.size
        self._adopt()
        self._move()  # before the new places are remembered: where a kill comes between, the next run does it
        self.downloads.want(origin, size, [(w.image, w.sequence, w.lat_deg, w.lon_deg) for w in wanted])
        todo = list(self._not_there())
        self.done.counts["there_before"] = len(wanted) - len(todo) - self.done.counts["failed"]
        self.left = len(todo)
        if todo:
            self._fetch(todo)
        for failure, ids in self.lost.items():
            named = [f"image {id}" for id in ids] if len(ids) <= _MOST_NAMED else [f"{len(ids):,} images"]
            self.done.result.failures += map(failure.at, named)
        if self.untold:
            self.done.result.notes.append(
                f"as they were served, because nothing can be written into them: {self.untold:,} pictures; "
                "message in manifest.csv says why"
            )
        self._tell_others()
        counts = self.done.counts
        self.done.counts = Counter({name: counts[name] for name in _COUNTS if counts[name]})

    def _tell_others(self) -> None:
        """Names the files of other sizes, of which the manifest does not tell."""
        found: Counter[str] = Counter()
        for (_, size), states in self.downloads.counts().items():
            found[size] += states.get("fetched", 0)
        del found[self.size]
        if found := +found:
            said = ", ".join(f"{n:,} of size {size}" for size, n in found.items())
            self.done.result.notes.append(
                f"other files are in this folder, too: {said}; manifest.csv tells of size {self.size} alone"
            )

    def _adopt(self) -> None:
        """Takes what a run that was stopped had ready."""
        for path in useless_in(self.context.fs, self.parts):
            Part(self.context.fs, path).remove()
        ready = staged_in(self.context.fs, self.parts)
        mine = [s for s in ready if s.size == self.size]
        known = self.downloads.found(self.service.origin, self.size, [s.image for s in mine])
        for staged in ready:
            row = known.get(staged.image) if staged.size == self.size else None
            if row is None or not row.said or self._damage(staged.path) is not None:
                Part(self.context.fs, staged.path).remove()
                continue
            if self._obstacle(_path_of(row.sequence, row.image), {row.path}):
                continue
            if row.state == "fetched":  # new values for a file that is there
                if digest_of(self.context.fs, staged.path) == (row.sha256, row.size_bytes):
                    self.ready.append((staged, self._part(staged.image), row))
                else:
                    Part(self.context.fs, staged.path).remove()
                continue
            self.said[staged.image] = row.said
            made_of = self._row(staged, row.sequence, row.lat_deg, row.lon_deg)
            self.ready.append((staged, self._part(staged.image), made_of))
        self._keep()
        whole = {image: self._part(image) for image in parts_in(self.context.fs, self.parts, self.served)}
        for row in self.downloads.found(self.service.origin, self.size, list(whole)).values():
            if self._is_there(row):  # it has its file, and a kill came before this was taken away
                discard(self.context.fs, whole[row.image])

    def _move(self) -> None:
        """Writes the places of the lists into files that were written with others."""
        moved = as_written = 0
        for part in self._pages():
            for row in self.downloads.found(self.service.origin, self.size, part).values():
                if self.obstacles.before(row.path or "") or not self._is_there(row):
                    continue
                as_written += self._is_raw(row) != self.options.raw
                wanted = self.wanted[row.image]
                is_new = (row.lat_deg, row.lon_deg) != (wanted.lat_deg, wanted.lon_deg)
                if not is_new or math.isnan(wanted.lat_deg) or self._is_raw(row):
                    continue
                if self._moved(row, wanted):
                    moved += 1
                else:
                    self.damaged.add(row.image)
                if self.context.clock.monotonic_s() >= self.kept_s:
                    self._keep()
        self._keep()
        notes = self.done.result.notes
        if moved:
            notes.append(
                f"the lists have other places than before: written into {moved:,} files that were there"
            )
        if as_written:
            how = "with place and time in them" if self.options.raw else "as they were served"
            notes.append(
                f"{as_written:,} files that were there stay {how}; name another folder with -o to have them the other way"
            )

    def _is_raw(self, row: Download) -> bool:
        """Whether a file was left as it was served; of one that was made smaller nobody knows."""
        if self.width_px is not None or row.message:
            return self.options.raw
        return row.sha256 == row.served_sha256

    def _moved(self, row: Download, wanted: _Wanted) -> bool:
        """Writes a new place into a file that is there; False where it is not what was written."""
        image, path = image_of(row.said), f"{self.folder}/{row.path}"
        served_bytes, served_sha256 = row.served_bytes, row.served_sha256
        if image is None or served_bytes is None or served_sha256 is None:
            return False
        if digest_of(self.context.fs, path) != (row.sha256, row.size_bytes):
            return False
        served = Fetched(served_bytes, served_sha256.hex(), 0)
        place = place_of(image, wanted.lat_deg, wanted.lon_deg)
        staged = stage(self.context.fs, path, self.parts, self.size, served, image, place, None, False)
        digest, size_bytes = digest_of(self.context.fs, staged.path)
        new = dataclasses.replace(
            row, lat_deg=wanted.lat_deg, lon_deg=wanted.lon_deg, sha256=digest, size_bytes=size_bytes
        )
        self.ready.append((staged, self._part(row.image), new))
        return True

    def _pages(self) -> Iterator[list[str]]:
        """The images that are wanted, some at a time."""
        ids = iter(self.wanted)
        while part := list(islice(ids, _PAGE)):
            yield part

    def _not_there(self) -> Iterator[str]:
        """The images that are wanted and do not lie in the folder."""
        for part in self._pages():
            known = self.downloads.found(self.service.origin, self.size, part)
            for id in part:
                row = known[id]
                if row.state == "fetched" and (obstacle := self.obstacles.before(row.path or "")):
                    self._refused(
                        id, obstacle
                    )  # its row stays: the file may be whole, and come back to its place
                elif not self._is_there(row):
                    yield id

    def _is_there(self, row: Download) -> bool:
        """Whether an image lies in the folder as it was written."""
        if row.state != "fetched" or row.path is None or row.image in self.damaged:
            return False
        try:
            return self.context.fs.status(f"{self.folder}/{row.path}").size_bytes == row.size_bytes
        except OSError:
            return False

    def _fetch(self, todo: list[str]) -> None:
        batches = (_Task(todo[at : at + MOST_AT_ONCE]) for at in range(0, len(todo), MOST_AT_ONCE))
        clock = self.context.clock
        pace = Pace(clock, longest_s=self.options.max_wait_s, limit=max(12, self.options.max_attempts))
        queue: Queue[_Task, Any] = Queue(
            self._step,
            workers=self.options.connections,
            clock=clock,
            pace=pace,
            tasks=batches,
            on_stop=self._cut,
        )
        try:
            for task, answer in queue:
                self._end(task, answer, queue)
                if clock.monotonic_s() >= self.kept_s:
                    self._keep()
        finally:
            queue.stop()
            self._keep()

    def _cut(self) -> None:
        self.service.client.close()
        self.service.http.close()

    def _step(self, task: _Task) -> Any:
        """One attempt, in a thread."""
        client = self.service.client
        try:
            if task.image is None:
                return client.images(task.ids, self.served)
            if task.is_stale:
                task.image, task.is_stale = client.image(task.ids[0], self.served), False
            return self._fetched(task.image)
        except Gone as e:
            if task.image is None or task.is_stale:
                raise
            if task.renewed >= _RENEWALS:
                raise Rejected("the service knows it, and gives no picture of it", "run again later") from e
            task.renewed += 1
            task.is_stale = True
            return Again(0.0, error=e, gained=True)
        except SafetyRefusal as e:
            if task.image is None:
                raise
            raise Rejected(e.message, e.hint or _LEFT) from e  # of this one picture; the others go on
        except Damaged:
            task.failed += 1
            if task.failed >= min(_DAMAGED, self.options.max_attempts):
                raise
            return Again(_BACKOFF.delay_s(task.failed, self.random), gained=True)
        except ServiceError as e:
            gained = self._has_gained(task)
            task.failed = 1 if gained else task.failed + 1
            if not e.retryable or task.failed >= self.options.max_attempts:
                raise
            pause_s = 0.0
            if isinstance(e, QuotaExceeded):
                pause_s = SHORTEST_QUOTA_S if e.retry_after_s is None else e.retry_after_s
            return Again(_BACKOFF.delay_s(task.failed, self.random), pause_s, e, gained)

    def _has_gained(self, task: _Task) -> bool:
        """Whether more of a picture is here than after any attempt before."""
        if task.image is None:
            return False
        try:
            size_bytes = self.context.fs.status(self._part(task.image.id)).size_bytes
        except OSError:
            return False
        gained = size_bytes >= task.most_bytes + _GAIN_BYTES
        task.most_bytes = max(task.most_bytes, size_bytes)
        return gained

    def _fetched(self, image: Image) -> tuple[Staged, str]:
        """One picture, ready for its last name."""
        if image.url is None:
            raise Rejected(f"the service has no picture of {self.served}", "ask for another --image_size")
        part = self._part(image.id)
        fs = self.context.fs
        fetched: Fetched = fetch(self.service.http, image.url, fs, part, damage=damage)
        wanted = self.wanted[image.id]
        place = place_of(image, wanted.lat_deg, wanted.lon_deg)
        staged = stage(
            fs, part, self.parts, self.size, fetched, image, place, self.width_px, self.options.raw
        )
        return staged, part

    def _part(self, image: str) -> str:
        return part_path(self.parts, image, self.served)

    def _end(self, task: _Task, answer: Any, queue: Queue[_Task, Any]) -> None:
        if task.image is None:
            self._looked_up(task, answer, queue)
        elif isinstance(answer, Failure):
            self._lost(task.ids[0], answer)
        else:
            staged, part = answer
            wanted = self.wanted[staged.image]
            row = self._row(staged, wanted.sequence, wanted.lat_deg, wanted.lon_deg)
            self.ready.append((staged, part, row))
            self.done.counts["fetched"] += 1
            self.done.size_bytes += staged.served_bytes
            self.untold += staged.note != ""
            self._passed()

    def _looked_up(self, task: _Task, answer: Any, queue: Queue[_Task, Any]) -> None:
        if isinstance(answer, Failure):
            for image in task.ids:
                self._lost(image, answer)
            return
        known = []
        for id in task.ids:
            image = answer.get(id)
            if image is None:
                self._missing(id)
                continue
            self.said[id] = said_of(image)
            if self.wanted[id].sequence is None:
                self.wanted[id] = dataclasses.replace(self.wanted[id], sequence=_folder_of(image))
            known.append(_Task([id], image))
        known = self._unobstructed(known)
        # Before the first of them is fetched: what is ready without that is of no use to the next run.
        rows = [self._known(one.ids[0], "wanted") for one in known]
        self.downloads.put(self.service.origin, self.size, rows)
        for one in known:
            queue.add(one)

    def _unobstructed(self, tasks: list[_Task]) -> list[_Task]:
        """Those whose files may be written; the others have failed."""
        paths = {task.ids[0]: _path_of(self.wanted[task.ids[0]].sequence, task.ids[0]) for task in tasks}
        ours = self.downloads.written(list(paths.values()))
        free = []
        for task in tasks:
            if obstacle := self._obstacle(paths[task.ids[0]], ours):
                self._lost(task.ids[0], obstacle)
            else:
                free.append(task)
        return free

    def _obstacle(self, path: str, ours: Collection[str | None]) -> Failure[str] | None:
        """Why a file may not be written; `ours`: paths at which camtrail wrote the last one."""
        obstacle = self.obstacles.before(path)
        if obstacle or self.options.force or path in ours or not self.obstacles.is_file(path):
            return obstacle
        return _FOREIGN

    def _known(self, id: str, state: str, message: str = "") -> Download:
        """The row of an image of which there is no file."""
        wanted = self.wanted[id]
        return Download(
            image=id, sequence=wanted.sequence, lat_deg=wanted.lat_deg, lon_deg=wanted.lon_deg, state=state,
            said=self.said.get(id, ""), message=message,
        )  # fmt: skip

    def _missing(self, id: str) -> None:
        discard(self.context.fs, self._part(id))
        self.rows.append(self._known(id, "missing", "the service does not know it"))
        self.said.pop(id, None)
        self.done.counts["unknown"] += 1
        self._fail(f"image {id}", "unknown", "the service does not know it", _DELETED)
        self._passed()

    def _lost(self, id: str, failure: Failure[Any]) -> None:
        if failure.code == Gone.code:
            self._missing(id)
            return
        if not failure.retryable:
            discard(self.context.fs, self._part(id))
        self.rows.append(self._known(id, "failed", failure.message))
        self.said.pop(id, None)
        self._refused(id, failure)
        self._passed()

    def _refused(self, id: str, failure: Failure[Any]) -> None:
        self.done.counts["failed"] += 1
        self.lost.setdefault(failure.at(""), []).append(id)

    def _passed(self) -> None:
        counts, size_bytes = self.done.counts, self.done.size_bytes
        done = sum(counts[name] for name in ("fetched", "unknown", "failed"))
        expected = counts["fetched"] + self.left - done
        all_bytes = round(size_bytes / counts["fetched"] * expected) if counts["fetched"] else 0
        self.context.transferred(Transfer("downloading", done, self.left, size_bytes, all_bytes))

    def _row(self, staged: Staged, sequence: str | None, lat_deg: float, lon_deg: float) -> Download:
        digest, size_bytes = digest_of(self.context.fs, staged.path)
        return Download(
            image=staged.image, sequence=sequence, lat_deg=lat_deg, lon_deg=lon_deg, state="fetched",
            path=_path_of(sequence, staged.image), size_bytes=size_bytes, sha256=digest,
            served_bytes=staged.served_bytes, served_sha256=bytes.fromhex(staged.served_sha256),
            said=self.said.pop(staged.image, ""), message=staged.note,
        )  # fmt: skip

    def _damage(self, path: str) -> str | None:
        """Why a file is no whole picture: a power cut takes what was written last, and leaves its name."""
        with self.context.fs.source(path) as source:
            return damage(source)

    def _keep(self) -> None:
        """Writes down what became of images, then gives those that are ready their last names.

        The bytes of a file are durable before its row is, so that after a power cut a row speaks of what is there: the
        file under its last name, or as one that is ready, or none.
        """
        rows, self.rows = self.rows, []
        ready, self.ready = self.ready, []
        if not rows and not ready:
            return
        clock = self.context.clock
        before_s = clock.monotonic_s()
        make_durable(self.context.fs, [staged.path for staged, _, _ in ready])
        self.downloads.put(self.service.origin, self.size, [*rows, *(row for _, _, row in ready)])
        for staged, part, row in ready:
            path = f"{self.folder}/{row.path}"
            self._make_folder(os.path.dirname(path))
            Part(self.context.fs, staged.path).place(path)
            discard(self.context.fs, part)
        now_s = clock.monotonic_s()
        self.kept_s = now_s + _SHARE * (now_s - before_s)

    def _make_folder(self, folder: str) -> None:
        if folder not in self.folders:
            try:
                self.context.fs.make_folder(folder)
            except OSError as e:
                raise StorageError(
                    f"{shown(folder)}: cannot be made ({e.strerror})", "check the disk, run again"
                ) from e
            self.folders.add(folder)


def _path_of(sequence: str | None, image: str) -> str:
    """Of an image's file in the folder."""
    return f"{sequence or _UNKNOWN}/{image}.jpg"


def _folder_of(image: Image) -> str | None:
    """The sequence that the service says, where a folder may be called so."""
    return image.sequence if image.sequence and id_lists.is_sequence_id(image.sequence) else None
