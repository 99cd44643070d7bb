"""`video import`: every video of a folder to the user's hooks, each content once, whatever happens in between.

The order is the documented one: cameras are registered, a job is made, videos are posted, the job is told that it is
complete. What was done is written down before and after each call that another machine could see.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from camtrail.app.context import Context, Transfer
from camtrail.app.hook_data import HookData, hook_data
from camtrail.app.process import Result
from camtrail.app.state import Workspace, absolute, owned, workspaces
from camtrail.app.video_files import Found, Read, VideoFile, read_all, walk
from camtrail.app.video_jobs import index_path
from camtrail.app.video_options import BoxOptions, ImportOptions, NameOptions
from camtrail.catalog.imports import IN_DOUBT, Imports, JobIndex, Stored
from camtrail.core.errors import (
    CamtrailError,
    Failure,
    InputError,
    MissingDependency,
    StorageError,
    failure_of,
)
from camtrail.core.names import plain, shown
from camtrail.steps.video_names import ClockRule, Name, Pattern, compiled, given_name, parse, wire_time
from camtrail.transfer.hooks import Check, Hooks, HookSpec, resolve, scrubbed

__all__ = [
    "BUILTINS", "OUTCOMES", "Imported", "Parsed", "check", "data_of", "hooks_of", "import_videos", "parsed", "rows_of",
    "storage_path",
]  # fmt: skip

log = logging.getLogger(__name__)

BUILTINS = {"camio": "camtrail.app.camio_hook:CamioHook", "null": "camtrail.app.null_hook:NullHook"}
"""Hooks that come with camtrail, by their names."""

_LEFT = "left for the next run"
OUTCOMES = ("sent", "to send", "sent before", "duplicate", "failed", _LEFT)
"""What may become of a video in one run."""

_IMPORTED = ("uploaded", "registered")
_STOPPING = frozenset({6, 7, 8, 9})  # exit codes: what ends a run, whichever video met it
_OURS = frozenset({"key", "camera", "filename", "relative_name", "size"})  # in a record; hooks do not set it
_LOST = 2  # videos in a row that the service could not be told: it is taken for gone
_UNTOLD = frozenset(
    {"child_ended", "child_timeout", "child_failed", "hook_answer"}
)  # of hooks that did not say
_CALL_S = 120.0
_JOBS_S = 3600.0
_BYTES_PER_S = 1e6
_MOST_NAMED = 10
_PLANNED = 512  # records that are written down together


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a name says."""

    file: VideoFile
    name: Name


@dataclass(slots=True)
class Imported:
    """What an import came to."""

    result: Result
    storage: str
    counts: Counter[str] = field(default_factory=Counter)  # sent, sent before, duplicate, failed, …
    jobs: list[str] = field(default_factory=list)  # ids, in the order of their making
    videos: list[dict[str, Any]] = field(default_factory=list)  # one for each file: path, outcome, …
    size_bytes: int = 0  # of what was sent
    has_jobs: bool = False  # whether the hooks make any


def parsed(
    folder: str, options: NameOptions, data: HookData, context: Context, most: int | None = None
) -> tuple[list[Parsed], list[str]]:
    """What an import would read out of the names of a folder's videos, and what is to be said of the regular expression.

    Raises
    ------
    InputError
        The folder is not there or cannot be listed.
    UsageError
        The regular expression is none, or the zone.
    """
    pattern, rule = compiled(options.regex), _rule(options, data.cameras)
    found = walk(_space(folder, context), context)
    files = found.files if most is None else found.files[:most]
    return [Parsed(f, _name(f, pattern, rule)) for f in files], list(pattern.warnings)


def storage_path(folder: str, options: ImportOptions, context: Context) -> str:
    """The file that remembers what was sent of a folder. Raises InputError, StorageError."""
    if options.storage:
        path = absolute(options.storage)
        above = path.rpartition("/")[0] or "/"
        try:
            context.fs.make_folder(above)
        except OSError as e:
            raise StorageError(
                f"{shown(above)}: cannot be made ({e.strerror})", "give another --storage"
            ) from e
        return path
    return f"{_space(folder, context).state}/import.sqlite"


def hooks_of(text: str) -> HookSpec:
    """The hooks that a word of the command line means. Raises UsageError, SafetyRefusal, MissingDependency."""
    if text.lower() == "local":
        raise MissingDependency(
            "the built-in hook local is not there yet: it comes with motion events",
            "use camio, or null to rehearse, or hooks of your own",
        )
    return resolve(text, BUILTINS)


def data_of(box: BoxOptions, context: Context) -> HookData:
    """The settings for the hooks. Raises InputError, UsageError."""
    return hook_data(box.hook_data_json or None, box.hook_data_json_file or None, context.fs)


def rows_of(storage: str, context: Context) -> list[tuple[str, str, Stored]]:
    """All that a state file knows, by file name; none where there is no file. Raises CatalogError, StorageError."""
    try:
        context.fs.status(storage)
    except FileNotFoundError:
        return []
    except OSError:
        pass  # opening it says why
    with Imports(storage) as imports:
        return imports.rows()


def check(
    spec: HookSpec, data: HookData, address: tuple[str | None, str | None], env: Mapping[str, str]
) -> list[Check]:
    """What the hooks say of token, device, address and clock; nothing is sent. Raises what loading them does."""
    with closing(Hooks(spec, env=scrubbed(env), call_s=_CALL_S)) as hooks:
        hooks.start()
        hooks.set_hook_data(data.data)
        return hooks.check(*address)


def import_videos(
    folder: str,
    spec: HookSpec,
    data: HookData,
    address: tuple[str | None, str | None],
    options: ImportOptions,
    env: Mapping[str, str],
    context: Context,
) -> Imported:
    """Every video of a folder, each content once.

    Parameters
    ----------
    address : host and port for the hooks, as text; None leaves it to them
    env : the environment; the hooks get it without the tokens of other services

    Raises
    ------
    InputError
        The folder is not there or cannot be listed.
    UsageError, SafetyRefusal
        The hooks cannot be loaded, or may not be; the regular expression is none.
    FolderBusy
        Another run owns the storage.
    StorageError, CatalogError
        The storage cannot be read or written.
    """
    started_s = context.clock.monotonic_s()
    space = _space(folder, context)
    pattern = compiled(options.names.regex)
    storage = storage_path(folder, options, context)
    with (
        owned(f"{storage}.lock", options.wait, f"{shown(storage)}: another run imports with it", context.fs),
        Imports(storage) as imports,
        closing(Hooks(spec, env=scrubbed(env), call_s=_CALL_S)) as hooks,
    ):
        run = _Import(space, pattern, data, hooks, imports, address, options, context)
        run.begin(spec)
        run.run()
    done = run.done
    done.storage = storage
    if done.jobs:
        _index(run.origin, done.jobs, storage, context)
    done.result.elapsed_s = context.clock.monotonic_s() - started_s
    return done


def _space(folder: str, context: Context) -> Workspace:
    if context.fs.entry(folder).kind != "folder":
        raise InputError(folder, "is no folder", "name the folder that the videos lie in")
    return workspaces(context.fs, [folder])[0]


def _index(origin: str, jobs: Sequence[str], storage: str, context: Context) -> None:
    """Makes jobs known to whoever asks for their labels in another folder; it is no harm where that fails."""
    path = index_path(context)
    try:
        context.fs.make_folder(path.rpartition("/")[0])
        with JobIndex(path) as index:
            index.put(origin, jobs, storage)
    except (CamtrailError, OSError) as e:
        log.warning("%s; give --storage %s when you ask for labels", e, shown(storage))


def _rule(options: NameOptions, cameras: Mapping[str, Any]) -> ClockRule:
    return ClockRule(
        time_zone=options.timezone,
        timestamp_format=options.timestamp_format,
        dst_fold=options.dst_fold,
        cameras=cameras,
        default_camera=options.default_camera,
        camera_name_suffix=options.camera_name_suffix,
    )


class _Import:
    def __init__(
        self,
        space: Workspace,
        pattern: Pattern,
        data: HookData,
        hooks: Hooks,
        imports: Imports,
        address: tuple[str | None, str | None],
        options: ImportOptions,
        context: Context,
    ) -> None:
        self.space, self.pattern, self.data, self.hooks, self.imports = space, pattern, data, hooks, imports
        self.address, self.options, self.context = address, options, context
        self.result = Result("video import", paths=[space.given[0]])
        self.done = Imported(self.result, "")
        self.origin = ""
        self.service = 0
        self.known: dict[str, Stored] = {}
        self.first: dict[str, dict[str, Any]] = {}  # key -> the video that was first with it in this run
        self.typed: dict[str, str] = {}  # key -> path as people know it
        self.started = datetime.fromtimestamp(context.clock.now_s(), UTC).isoformat(timespec="seconds")
        self.cameras: dict[str, dict[str, Any] | Failure[str]] = {}
        self.stopped: Failure[str] | None = None
        self.lost = 0
        self.is_typed = False  # hooks of the class form
        self.all_bytes = 0
        self.doubted = 0

    def begin(self, spec: HookSpec) -> None:
        """Loads the hooks and what is known of their service."""
        for warning in (*spec.warnings, *self.data.warnings, *self.pattern.warnings):
            log.warning("%s", warning)
        if spec.path is not None:
            log.info("hooks: %s, sha256 %s", shown(spec.path), spec.sha256)
        info = self.hooks.start()
        self.hooks.set_hook_data(self.data.data)
        self.origin = self.hooks.origin() or _origin(self.address, spec)
        self.done.has_jobs = "assign_job_ids" in info.functions
        self.is_typed = info.is_api2
        self.service = self.imports.service(spec.name, self.origin)
        self.known = self.imports.videos(self.service)

    def run(self) -> None:
        """All of it."""
        with closing(self._planned(self._found())) as planned:  # it writes to the state at its end
            if self.options.dry_run:
                for record in planned:
                    self._outcome(record["key"], "to send")
            elif self.done.has_jobs:
                self._sent_as_jobs(list(planned))
            else:  # nothing depends on the whole: sending begins while others are still read
                self._send(self._with_cameras(planned))
        self._told()

    def _found(self) -> list[Found]:
        """Videos whose names say enough; the others are failures."""
        walked = walk(self.space, self.context)
        self.result.failures += walked.failures
        self.result.notes += walked.notes
        rule = _rule(self.options.names, self.data.cameras)
        found: list[Found] = []
        problems: Counter[str] = Counter()
        for file in walked.files:
            name = _name(file, self.pattern, rule)
            if not name.camera:
                hint = "give --default-camera NAME, or another --regex; --regex-test shows what it finds"
                why = ": ".join(("its name tells no camera", *name.problems))
                self._failed(file, Failure(file.typed, "name", why, hint))
                continue
            problems.update(name.problems)
            found.append(Found(file, name))
        for problem, count in problems.items():
            self.result.notes.append(f"{count:,} video{'' if count == 1 else 's'}: {problem}")
        return found

    def _planned(self, found: Sequence[Found]) -> Generator[dict[str, Any], None, None]:
        """The record of each content that is to be sent, in order; written down in groups."""
        group: list[dict[str, Any]] = []
        workers = self.options.workers or min(4, os.cpu_count() or 1)
        total = len(found)
        with closing(read_all(found, self.imports, workers, self.context)) as reads:
            for number, read in enumerate(reads, 1):
                if self.stopped is not None:
                    for item in found[number - 1 :]:  # a disk is not read for nothing
                        self._told_of(item.file, _LEFT, self.stopped.message)
                    return
                self.context.progress("reading", number, total)
                record = self._decided(read)
                if record is None:
                    continue
                self.all_bytes += record["size"]
                if self.options.dry_run or not self.done.has_jobs:
                    yield record
                    continue
                group.append(record)
                if len(group) == _PLANNED:
                    self._put(group, "planned")
                    yield from group
                    group = []
        self._put(group, "planned")
        yield from group

    def _decided(self, read: Read) -> dict[str, Any] | None:
        """The record of a video that is to be sent; None for any other, which has its outcome then."""
        file = read.found.file
        if read.content is None:
            assert read.failure is not None
            self._failed(file, read.failure)
            return None
        key = read.content.sha1
        if key in self.first:
            first = self.typed[key]
            self._told_of(
                file, "duplicate", f"the same content as {shown(first)}", key=key, duplicate_of=first
            )
            return None
        stored = self.known.get(key)
        self.typed[key] = file.typed
        if stored is not None and stored.state in _IMPORTED:
            self.first[key] = stored.record
            self._told_of(file, "sent before", "", key=key, job_id=stored.record.get("job_id"))
            return None
        record = self._record(read)
        if record is None:
            self.typed.pop(key)
            return None
        if stored is not None and _may_be_there(stored):
            record["in_doubt"] = True
            self.doubted += stored.state == IN_DOUBT
        self.first[key] = record
        self.known[key] = Stored(
            stored.state if stored else "planned", record, stored.reason if stored else ""
        )
        return record

    def _record(self, read: Read) -> dict[str, Any] | None:
        """What hooks are told of a video; None where nobody knows when it was taken."""
        assert read.content is not None
        file, name, content = read.found.file, read.found.name, read.content
        time_s, source = name.time_s, name.time_source
        if time_s is None and not name.blocks:
            if (made_s := content.probe.get("creation_s")) is not None:
                time_s, source = made_s, "container"
            elif self.options.names.allow_mtime:
                time_s, source = content.mtime_ns / 1e9, "mtime"
        if time_s is None:
            zone = "give --timezone ZONE for wall-clock times, or --dst-fold for hours that occur twice"
            hint = zone if name.blocks else "give another --regex, or --allow-mtime for the file's own date"
            why = "; ".join(name.problems) or "neither its name nor the video tells when it was taken"
            self._failed(file, Failure(file.typed, "time", why, hint))
            return None
        timestamp = wire_time(time_s)
        fresh = {
            "camera": name.camera,
            "timestamp": timestamp,
            "lat": name.lat_deg,
            "lng": name.lng_deg,
            "filename": file.path,
            "duration": content.probe.get("duration_s"),
            "key": content.sha1,
            "given_name": given_name(name.camera or "", timestamp, content.sha1),
            "discovered_on": self.started,
            "uploaded_on": None,
            "confirmed_on": None,
            "job_id": None,
            "shard_id": None,
            "size": content.size_bytes,
            "relative_name": file.relative,
            "codec": content.probe.get("codec"),
            "container": content.probe.get("container"),
            "timestamp_source": source,
        }
        stored = self.known.get(content.sha1)
        if stored is None or not stored.record.get("job_id"):
            return fresh
        kept = {**stored.record, "filename": file.path, "relative_name": file.relative, "refused": None}
        if (kept.get("camera"), kept.get("timestamp")) != (fresh["camera"], fresh["timestamp"]):
            self.result.notes.append(
                f"{shown(file.typed)}: stays with camera {shown(str(kept.get('camera')))} at {kept.get('timestamp')}, "
                f"under which it belongs to job {shown(str(kept['job_id']))}"
            )
        return kept

    def _sent_as_jobs(self, records: list[dict[str, Any]]) -> None:
        """Cameras, job, videos, and the word that the job is complete."""
        self._let_go()
        open_jobs = [s for s in self.known.values() if s.state == "uploaded" and s.record.get("job_id")]
        if not records and not open_jobs:
            return
        ready = list(self._with_cameras(records))
        if self.stopped is None:
            self._assign(ready)
        self._send(ready)
        self._register()

    def _let_go(self) -> None:
        """Has no job wait for a video that is not there any more."""
        read = {record["filename"] for record in self.first.values()}
        for key, stored in self.known.items():
            record = stored.record
            path = str(record.get("filename"))
            is_over = stored.state in _IMPORTED or not record.get("job_id") or record.get("refused")
            if key in self.first or is_over or not (path in read or self._is_gone(path)):
                continue
            why = "is not there any more, and was not sent"
            record["refused"] = why
            self._put([record], "refused", why)
            self._fail(Failure(path, "gone", why, "bring it back and run again, where it is to be sent"))

    def _is_gone(self, path: str) -> bool:
        try:
            self.context.fs.status(path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False

    def _with_cameras(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The videos whose cameras the hooks know. For hooks that make jobs all are registered before the first."""
        told = 0
        waiting: list[dict[str, Any]] = []
        for record in records:
            if self.stopped is not None:
                self._left(record)
                continue
            camera = record["camera"]
            if camera not in self.cameras:
                self.cameras[camera] = self._registered(camera)
            answer = self.cameras[camera]
            if isinstance(answer, Failure):
                self._lost_video(record, answer.at(self.typed[record["key"]]))
            else:
                waiting.append(record)
            if not self.done.has_jobs:
                told = self._told_of_cameras(told)
                yield from waiting
                waiting = []
        self._told_of_cameras(told)
        yield from waiting

    def _registered(self, camera: str) -> dict[str, Any] | Failure[str]:
        try:
            answer = self.hooks.register_camera(camera, *self.address)
        except CamtrailError as e:
            failure = failure_of(f"camera {camera}", e)
            self._judge(failure)
            return failure
        if not answer.get("camera_id"):
            log.warning("camera %s: the hooks name no camera_id for it", shown(camera))
        return answer

    def _told_of_cameras(self, told: int) -> int:
        """Tells the hooks of all cameras where there are more than they were told of."""
        known = [a for a in self.cameras.values() if not isinstance(a, Failure)]
        if len(known) > told and self.stopped is None:
            try:
                self.hooks.set_hook_data({"registered_cameras": known})
            except CamtrailError as e:
                self._stop(failure_of("cameras", e))
        return len(known)

    def _assign(self, ready: list[dict[str, Any]]) -> None:
        new = [r["key"] for r in ready if not r.get("job_id")]
        mine = {r["key"]: r for r in ready}
        records = {key: mine.get(key, stored.record) for key, stored in self.known.items()}
        try:
            answer = self.hooks.assign_job_ids(records, new)
        except CamtrailError as e:
            self._changed(self.hooks.changes())
            self._stop(failure_of("job", e))
            return
        self._changed(answer.changed)
        if answer.job_id is None and new and not self.is_typed:
            log.warning("the hooks named no job for %d video%s", len(new), "" if len(new) == 1 else "s")

    def _send(self, records: Iterable[dict[str, Any]]) -> None:
        sent_bytes = 0
        for number, planned in enumerate(records):
            record = self.known[planned["key"]].record
            if self.stopped is not None:
                self._left(record)
                continue
            typed = self.typed[record["key"]]
            log.info("%d uploading %s", number + 1, shown(typed))
            self.context.transferred(
                Transfer(f"sending {shown(typed)[-40:]}", number, number + 1, sent_bytes, self.all_bytes)
            )
            self._send_one(record, typed)
            sent_bytes += record["size"]

    def _send_one(self, record: dict[str, Any], typed: str) -> None:
        """One video: written down as being sent, sent, and written down as what became of it."""
        self._put([record], IN_DOUBT)
        camera = self.cameras.get(record["camera"])
        camera_id = camera.get("camera_id") if isinstance(camera, dict) else None
        timeout_s = self.options.box.hook_timeout_s + record["size"] / _BYTES_PER_S
        try:
            posted = self.hooks.post_video_content(record, camera_id, *self.address, timeout_s)
        except CamtrailError as e:
            self._changed(self.hooks.changes())
            failure = failure_of(typed, e)
            self._lost_video(self.known[record["key"]].record, failure)
            self._judge(failure)
            return
        changed = self._merged(posted.changed)
        stored = self.known[record["key"]]
        if not posted.ok:
            self._keep(changed)
            failure = Failure(
                typed, "hook", "the hooks could not post it", "-v shows what they say; run again", True
            )
            self._lost_video(stored.record, failure)
            return
        self.lost = 0
        stored.state, stored.reason = "uploaded", ""
        stored.record.pop("in_doubt", None)
        stored.record["uploaded_on"] = datetime.fromtimestamp(self.context.clock.now_s(), UTC).isoformat(
            timespec="seconds"
        )
        self._keep([*changed, stored])
        self.done.size_bytes += record["size"]
        self._outcome(record["key"], "sent")

    def _register(self) -> None:
        """Tells every job that has all it will get that it is complete."""
        waiting = {  # as the hooks put them
            repr(pair): pair
            for s in self.known.values()
            if s.record.get("job_id") and s.state == "uploaded"
            for pair in [(s.record["job_id"], s.record.get("shard_id"))]
        }
        if not waiting or (self.stopped is not None and self.stopped.exit_code == 6):
            return
        try:
            records = {key: stored.record for key, stored in self.known.items()}
            answer = self.hooks.register_jobs([waiting[k] for k in sorted(waiting)], _JOBS_S, records)
        except CamtrailError as e:
            self._changed(self.hooks.changes())
            self._stop(failure_of("job", e))
            return
        self._changed(answer.changed)
        if not answer.ok:
            self._fail(
                Failure(
                    "job",
                    "hook",
                    "the hooks could not register it",
                    "run again: no video is sent twice",
                    True,
                )
            )
            return
        rows = [s for s in self.known.values() if s.state == "uploaded" and s.record.get("job_id")]
        for row in rows:
            row.state = "registered"
        self._keep(rows)

    def _jobs(self) -> list[str]:
        """The jobs of this run's videos; the one that it made comes last."""
        found: dict[str, bool] = {}
        for key, record in self.first.items():
            if job := self.known[key].record.get("job_id"):
                found[str(job)] = found.get(str(job), False) or record.get("discovered_on") == self.started
        return sorted(found, key=lambda job: found[job])

    def _changed(self, changed: Mapping[str, dict[str, Any]]) -> None:
        """Keeps what the hooks wrote into records."""
        self._keep(self._merged(changed))

    def _merged(self, changed: Mapping[str, dict[str, Any]]) -> list[Stored]:
        rows = []
        for key, record in changed.items():
            stored = self.known.get(key)
            if stored is None:
                continue
            stored.record.update({name: v for name, v in record.items() if name not in _OURS})
            rows.append(stored)
        return rows

    def _put(self, records: Sequence[dict[str, Any]], state: str, reason: str = "") -> None:
        rows = []
        for record in records:
            stored = self.known[record["key"]]
            stored.state, stored.record, stored.reason = state, record, reason
            rows.append(stored)
        self._keep(rows)

    def _keep(self, rows: Sequence[Stored]) -> None:
        """Writes down what is known of videos, in one commit."""
        self.imports.put(self.service, rows, self.context.clock.now_s())

    def _lost_video(self, record: dict[str, Any], failure: Failure[str]) -> None:
        is_refused = failure.exit_code == 3 and not failure.retryable and failure.code not in _UNTOLD
        self._put([record], "refused" if is_refused else "failed", failure.message)
        self._fail(failure)
        self._outcome(record["key"], "failed", failure.message)

    def _judge(self, failure: Failure[str]) -> None:
        """Ends the run where no other video would fare better."""
        if failure.exit_code in _STOPPING:
            self._stop(None, failure)
        elif failure.exit_code == 5:
            self.lost += 1
            if self.lost >= _LOST or not failure.retryable:
                self._stop(None, failure)

    def _stop(self, named: Failure[str] | None, why: Failure[str] | None = None) -> None:
        cause = named or why
        assert cause is not None
        if named is not None:
            self._fail(named)
        if self.stopped is None:
            self.stopped = cause

    def _left(self, record: dict[str, Any]) -> None:
        """A video that waits for the next run."""
        assert self.stopped is not None
        self._outcome(record["key"], _LEFT, self.stopped.message)

    def _failed(self, file: VideoFile, failure: Failure[str]) -> None:
        self._fail(failure)
        self._told_of(file, "failed", failure.message)

    def _fail(self, failure: Failure[str]) -> None:
        self.result.failures.append(failure)

    def _outcome(self, key: str, outcome: str, reason: str = "") -> None:
        record = self.known[key].record
        self.done.counts[outcome] += 1
        self.done.videos.append(
            {
                "path": plain(self.typed[key]), "outcome": outcome, "reason": reason, "sha1": key,
                "camera": plain(record["camera"]), "time": f"{record['timestamp']}Z",
                "time_source": record.get("timestamp_source"), "job_id": record.get("job_id"),
                "shard_id": record.get("shard_id"),
            }
        )  # fmt: skip

    def _told_of(
        self, file: VideoFile, outcome: str, reason: str, key: str | None = None, **more: Any
    ) -> None:
        self.done.counts[outcome] += 1
        self.done.videos.append(
            {"path": plain(file.typed), "outcome": outcome, "reason": reason, "sha1": key, **more}
        )

    def _told(self) -> None:
        self.done.videos.sort(key=lambda v: v["path"])
        self.done.jobs = self._jobs()
        twice = [v for v in self.done.videos if v["outcome"] == "duplicate"]
        for v in twice[:_MOST_NAMED]:
            self.result.notes.append(f"{v['path']}: {v['reason']}")
        if len(twice) > _MOST_NAMED:
            self.result.notes.append(
                f"{len(twice) - _MOST_NAMED:,} more have the content of another one; --json lists all"
            )
        counts = self.done.counts
        self.done.counts = Counter({o: counts[o] for o in OUTCOMES if counts[o]})
        if self.doubted:
            some = f"{self.doubted:,} video{'' if self.doubted == 1 else 's'}"
            self.result.notes.append(
                f"{some} may have arrived in an earlier run that was ended in between; hooks that cannot tell send again"
            )
        left = self.done.counts[_LEFT]
        if left and self.stopped is not None:
            self.result.notes.append(
                f"{left:,} video{'' if left == 1 else 's'} left for the next run: {shown(self.stopped.message)}"
            )


def _name(file: VideoFile, pattern: Pattern, rule: ClockRule) -> Name:
    """What a video's name tells, with the camera that it then belongs to."""
    name = parse(file.path, file.relative, pattern, rule)
    camera = name.camera or rule.default_camera
    return name.of_camera(camera + rule.camera_name_suffix) if camera else name


def _may_be_there(stored: Stored) -> bool:
    """Whether a service may have a video of which nobody wrote down that it arrived."""
    return stored.state in (IN_DOUBT, "failed") or bool(stored.record.get("in_doubt"))


def _origin(address: tuple[str | None, str | None], spec: HookSpec) -> str:
    """What a service is known by whose hooks name none: where they send to, and which file they are."""
    host, port = address
    return f"{host or ''}{f':{port}' if port else ''} {spec.path or ''}".strip()
