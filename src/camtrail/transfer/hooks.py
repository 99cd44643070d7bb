"""Hooks: a user's own code that posts videos somewhere, loaded and called in one child process.

The child keeps faults away (a crash, a hang, an exit is the error of one video); it is no sandbox. Two forms of hooks
answer the same calls: modules with the published functions (`register_camera`, `post_video_content`, …), whose
arguments are bound by their names, and subclasses of `Hook`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import logging
import os
import re
import stat
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar, overload

from camtrail.core.child import Child, OnLog
from camtrail.core.errors import CamtrailError, QuotaExceeded, Rejected, SafetyRefusal, UsageError
from camtrail.core.names import shown
from camtrail.core.secrets import Secret

__all__ = [
    "Assigned",
    "Check",
    "Hook",
    "HookInfo",
    "HookSpec",
    "Hooks",
    "HooksNotLoaded",
    "Permanent",
    "Posted",
    "Registered",
    "Retry",
    "Video",
    "WrongAnswer",
    "is_secret",
    "resolve",
    "scrubbed",
    "syntax_error",
]

T = TypeVar("T")
Record = dict[str, Any]

PYTHON_2 = "use the built-in hook camio, or port the file to Python 3"
"""What to do about hooks of older days."""

_MOST_BYTES = 10 << 20  # of a Python file
_MEMORY_BYTES = 4 << 30
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|KEYS?(?![A-Z])")
_OTHER_SERVICES = ("AWS_", "INAT_", "MAPILLARY_")
_OLD_FORMS = re.compile(
    rb"^[ \t]*(?:(?:print|exec)[ \t]+[^\s(=]|except\b[^:\n(]*,[ \t]*\w+[ \t]*:|raise[ \t]+[\w.]+[ \t]*,)",
    re.MULTILINE,
)


# ---- what hooks are told and answer


@dataclass(frozen=True, slots=True)
class HookSpec:
    """Hooks that a user named, looked at and not yet loaded.

    Attributes
    ----------
    name : what the import's state knows them by: the built-in's name, the object's dotted name, or the file's stem
    target : the file, ``module``, or ``module:object``
    path : the file, links resolved; None for a module
    sha256 : of the file's bytes, hex; only these are loaded; None for a module
    warnings : what the user ought to know before they run
    """

    name: str
    target: str
    path: str | None = None
    sha256: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookInfo:
    """What loaded hooks offer.

    Attributes
    ----------
    functions : the published names of what they have, whichever their form
    origin : the service that they post to, as they knew it when they were loaded; None where they name none
    is_api2 : whether they are a `Hook`
    """

    functions: frozenset[str]
    origin: str | None
    is_api2: bool


@dataclass(frozen=True, slots=True)
class Assigned:
    """The job of new videos (None where there is none), and the records that the hooks changed, by key."""

    job_id: str | None
    changed: dict[str, Record]


@dataclass(frozen=True, slots=True)
class Posted:
    """Whether a video was stored, and the records that the hooks changed, by key."""

    ok: bool
    changed: dict[str, Record]


@dataclass(frozen=True, slots=True)
class Registered:
    """Whether the jobs were told that they are complete, and the records that the hooks changed, by key."""

    ok: bool
    changed: dict[str, Record]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at before an import: token, device, address, clock."""

    name: str
    ok: bool
    message: str


class WrongAnswer(CamtrailError):
    """Hooks that answer something else than what is published."""

    exit_code = 3
    code = "hook_answer"


class HooksNotLoaded(CamtrailError):
    """The child is a new one; `Hooks` loads them again and repeats the call."""


# ---- the form of new hooks


class Permanent(Rejected):
    """Raised by `Hook.submit`: this video will not be taken, however often it is posted.

    Parameters
    ----------
    reason : one line for the user
    hint : what to do about it
    """


class Retry(QuotaExceeded):
    """Raised by `Hook.submit`: the video may be posted again.

    Parameters
    ----------
    reason : one line for the user
    after_s : the pause that the service asks for; None where it names none
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason, retry_after_s=after_s)


class _Field(Generic[T]):
    """A value of the record under a name with its unit; None where the record lacks it."""

    def __init__(self, key: str) -> None:
        self._key = key

    @overload
    def __get__(self, video: None, owner: type[Video]) -> _Field[T]: ...
    @overload
    def __get__(self, video: Video, owner: type[Video]) -> T: ...
    def __get__(self, video: Video | None, owner: type[Video]) -> Any:
        return self if video is None else video.record.get(self._key)

    def __set__(self, video: Video, value: T) -> None:
        video.record[self._key] = value


@dataclass(slots=True)
class Video:
    """A video as hooks see it. What is set here, or in `record`, comes back to the import's state.

    Attributes
    ----------
    record : every value that is known; JSON values, further keys are kept
    key : SHA-1 of the content, hex
    camera, timestamp : its camera's name; UTC as ``YYYY-MM-DDTHH:MM:SS.mmm``
    lat_deg, lon_deg : None where unknown
    path, relative_name : the file, and its path below the folder that is imported
    duration_s : None where unknown
    """

    record: Record

    key = _Field[str]("key")
    camera = _Field[str]("camera")
    timestamp = _Field[str]("timestamp")
    lat_deg = _Field[float | None]("lat")
    lon_deg = _Field[float | None]("lng")
    path = _Field[str]("filename")
    relative_name = _Field[str | None]("relative_name")
    given_name = _Field[str | None]("given_name")
    duration_s = _Field[float | None]("duration")
    size_bytes = _Field[int]("size")
    codec = _Field[str | None]("codec")
    container = _Field[str | None]("container")
    uploaded_on = _Field[str | None]("uploaded_on")
    job_id = _Field[str | None]("job_id")
    shard_id = _Field[str | None]("shard_id")
    upload_url = _Field[str | None]("upload_url")


class Hook:
    """Base of hooks that are a class: override `register_camera` and `submit`, and what else is of use.

    It lives in a process of its own, which is started again after a crash or a hang: `configure` is then called
    again, and `videos` is filled again, with all that was given before.

    Attributes
    ----------
    logger : its records reach the import's log
    videos : every video that the import knows, by key; a live view
    """

    logger: logging.Logger = logging.getLogger("camtrail.hook")
    videos: Mapping[str, Video] = MappingProxyType({})

    def configure(self, data: Mapping[str, Any]) -> None:
        """Takes settings, before all else; once more with ``{"registered_cameras": [answers of register_camera]}``."""

    def register_camera(self, name: str, host: str | None, port: str | None) -> Mapping[str, Any]:
        """Makes a camera known, in every run; the answer's ``camera_id`` is given to `submit`."""
        raise NotImplementedError

    def assign(self, videos: Sequence[Video], all: Mapping[str, Video]) -> str | None:
        """Makes a job of new videos, sets their `job_id` and `shard_id`, and names it; None where there is none."""
        return None

    def submit(self, video: Video, camera_id: str | None, host: str | None, port: str | None) -> None:
        """Stores a video. Raises `Permanent` or `Retry` where it is not stored."""
        raise NotImplementedError

    def finish(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Tells the service that jobs, (job_id, shard_id), have all their videos. Raises where it cannot."""

    def origin(self) -> str | None:
        """The service that videos go to: what was sent to one was not sent to another."""
        return None

    def check(self, host: str | None, port: str | None) -> list[Check]:
        """Looks at token, device, address and clock, and changes nothing."""
        return []


# ---- which hooks


def resolve(text: str, builtins: Mapping[str, str]) -> HookSpec:
    """The hooks that a text names; their code is not run.

    Parameters
    ----------
    text : the name of a built-in, in any case; a file (it ends in .py, has a separator, or is there);
        ``module:object`` or ``module``
    builtins : ``module:object`` of each, by name

    Raises
    ------
    UsageError
        They are not there, or no Python 3.
    SafetyRefusal
        Everybody on this machine may change the file, or put another in its place.
    """
    for name, target in builtins.items():
        if name.lower() == text.lower():
            return HookSpec(name, target)
    if text.lower().endswith(".py") or "/" in text or os.sep in text or os.path.exists(text):
        return _file(text)
    module, _, attribute = text.partition(":")
    parts = [*module.split("."), *(attribute.split(".") if ":" in text else ())]
    if not all(p.isidentifier() for p in parts) or not _is_there(parts[0]):
        known = ", ".join(builtins)
        raise UsageError(
            f"{shown(text)}: no such hooks",
            f"name a Python file, module:object, or {known}"
            if known
            else "name a Python file, or module:object",
        )
    return HookSpec(".".join(parts), text)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _file(text: str) -> HookSpec:
    name = shown(text)
    try:
        path = os.path.realpath(text)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{name}: is no file", "name a Python file")
        with open(path, "rb") as f:
            status = os.fstat(f.fileno())
            data = f.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as e:
        why = (e.strerror or str(e)) if isinstance(e, OSError) else str(e)
        raise UsageError(f"{name}: cannot be read ({why})", "name a Python file that is there") from e
    said = _safety(text, path, status)
    _check_python(name, data)
    stem = os.path.splitext(os.path.basename(text))[0]
    return HookSpec(stem, path, path, hashlib.sha256(data).hexdigest(), said)


def _safety(text: str, path: str, status: os.stat_result) -> tuple[str, ...]:
    """What is to be said of who may change a file. Raises SafetyRefusal."""
    if os.name != "posix":
        return ()
    name = shown(text)
    if status.st_mode & stat.S_IWOTH:
        raise SafetyRefusal(f"{name}: everybody on this machine may change it", f"chmod go-w {name}")
    for folder in {os.path.dirname(path), os.path.dirname(os.path.abspath(text))}:
        mode = os.stat(folder).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise SafetyRefusal(
                f"{name}: everybody on this machine may put another file in its place",
                f"chmod go-w {shown(folder)}",
            )
    said = []
    if status.st_mode & stat.S_IWGRP:
        said.append(f"{name}: everybody of its group may change it; chmod g-w {name}")
    if status.st_uid not in (0, os.geteuid()):
        said.append(f"{name}: belongs to another user, who may change it")
    return tuple(said)


def _check_python(name: str, data: bytes) -> None:
    """Raises UsageError where bytes are no Python 3."""
    if len(data) > _MOST_BYTES:
        raise UsageError(
            f"{name}: is no Python file (more than {_MOST_BYTES >> 20} MiB)", "name a Python file"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(data, "hooks", "exec", flags=ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as e:
        raise syntax_error(name, e, data) from e
    except (ValueError, OverflowError, RecursionError, MemoryError) as e:
        raise UsageError(f"{name}: is no Python file ({shown(str(e))})", "name a Python file") from e


def syntax_error(name: str, error: SyntaxError, data: bytes) -> UsageError:
    """What is said of a file, and its bytes or some of them, that Python 3 cannot read."""
    where = f"{name}: line {error.lineno}" if error.lineno else name
    if _OLD_FORMS.search(data):
        return UsageError(f"{where}: is Python 2", PYTHON_2)
    return UsageError(f"{where}: {shown(error.msg)}", "mend the file; Python 3 reads it")


# ---- the environment


def is_secret(name: str) -> bool:
    """Whether a variable or a setting of that name holds what is not for the log."""
    return bool(_SECRET_NAME.search(name.upper())) or name.upper().endswith("DEVICE_ID")


def scrubbed(env: Mapping[str, str]) -> dict[str, str]:
    """The environment for hooks: less what is a secret of anybody but Camio.

    Left out are names with TOKEN, SECRET, PASSWORD, PASSWD, CREDENTIAL or KEY in them (but not KEYRING, KEYBOARD) that
    do not begin with ``CAMIO_``, and all that begin with ``AWS_``, ``INAT_`` or ``MAPILLARY_``. Hooks that need another secret
    get it by their hook data.
    """
    return {name: value for name, value in env.items() if _is_for_hooks(name.upper())}


def _is_for_hooks(name: str) -> bool:
    return name.startswith("CAMIO_") or not (name.startswith(_OTHER_SERVICES) or _SECRET_NAME.search(name))


# ---- the calls


class Hooks:
    """Hooks in their child process.

    Every call may raise what the hooks raise: an error of camtrail's tree as it is, any other exception as
    `ChildFailed`, a crash as `ChildEnded`, a hang as `ChildTimedOut`. After a crash or a hang the next call loads
    them anew, and gives them the hook data and the records that they had.

    Parameters
    ----------
    spec : from `resolve`
    env : their whole environment, see `scrubbed`; None inherits
    call_s : time for a call that names none itself
    on_log : see `Child`
    memory_bytes : address space of the child where the system can limit it; None for no limit
    """

    def __init__(
        self,
        spec: HookSpec,
        *,
        env: Mapping[str, str] | None = None,
        call_s: float = 120.0,
        on_log: OnLog | None = None,
        memory_bytes: int | None = _MEMORY_BYTES,
    ) -> None:
        self._spec = spec
        self._call_s = call_s
        self._memory_bytes = memory_bytes
        self._child = Child("camtrail.transfer.hookchild", env=env, on_log=on_log)
        self._data: list[Record] = []  # the settings, and all that was told later
        self._records: dict[str, Mapping[str, Any]] = {}
        for name, value in (env or {}).items():
            if is_secret(name):
                Secret(value)  # from here on blanked out of the log

    def start(self) -> HookInfo:
        """Loads them.

        Raises
        ------
        UsageError
            They cannot be loaded, or `register_camera` or `post_video_content` is not there.
        SafetyRefusal
            The file is not the one that was looked at.
        """
        said = self._load()
        origin = self.origin() if "service_origin" in said["functions"] else None
        return HookInfo(frozenset(said["functions"]), origin, bool(said["is_api2"]))

    def set_hook_data(self, data: Mapping[str, Any]) -> None:
        """Tells them settings; the first time a ``logger`` is added. JSON values."""
        told = dict(data)
        self._ask("set_hook_data", {"data": told, "first": not self._data})
        self._data = [*self._data[:1], {**self._data[1], **told} if len(self._data) > 1 else told]

    def origin(self) -> str | None:
        """The service that they post to, as they know it by now; None where they name none."""
        origin = self._ask("service_origin", {})
        if not (origin is None or isinstance(origin, str)):
            raise _wrong("service_origin", "text", origin)
        return origin or None

    def register_camera(self, camera: str, host: str | None, port: str | None) -> dict[str, Any]:
        """What they know of a camera, such as its ``camera_id``."""
        answer = self._ask("register_camera", {"camera": camera, "host": host, "port": port})
        if not isinstance(answer, dict):
            raise _wrong("register_camera", "a dictionary", answer)
        return answer

    def assign_job_ids(
        self, records: Mapping[str, Mapping[str, Any]], unscheduled: Sequence[str]
    ) -> Assigned:
        """The job of new videos.

        Parameters
        ----------
        records : every video that is known, by key
        unscheduled : keys of those that have no job yet
        """
        self._records = dict(records)
        answer = self._ask("assign_job_ids", {"records": self._records, "unscheduled": list(unscheduled)})
        value, changed = self._changes("assign_job_ids", answer)
        if value and not isinstance(value, str | int):
            raise _wrong("assign_job_ids", "the text of a job's id", value)
        return Assigned(str(value) if value else None, changed)

    def post_video_content(
        self,
        record: Mapping[str, Any],
        camera_id: str | None,
        host: str | None,
        port: str | None,
        timeout_s: float,
    ) -> Posted:
        """Has them store a video. Of other records, what they put into ``db`` comes back now, what they changed in
        place with the next `assign_job_ids` or `register_jobs`."""
        self._records[record["key"]] = record
        arguments = {"record": dict(record), "camera_id": camera_id, "host": host, "port": port}
        value, changed = self._changes(
            "post_video_content", self._ask("post_video_content", arguments, timeout_s)
        )
        return Posted(bool(value), changed)

    def register_jobs(
        self,
        jobs: Sequence[tuple[Any, Any]],
        timeout_s: float,
        records: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Registered:
        """Has them tell their service that jobs are complete.

        Parameters
        ----------
        jobs : (job_id, shard_id), as the hooks put them into records
        records : every video as it is known by now, by key; None where nothing but what the hooks did has changed
        """
        self._records.update(records or {})
        arguments = {"jobs": [list(job) for job in jobs], "records": dict(records or {})}
        value, changed = self._changes("register_jobs", self._ask("register_jobs", arguments, timeout_s))
        return Registered(bool(value), changed)

    def changes(self) -> dict[str, Record]:
        """What a call that raised had changed of records before; nothing where its process has ended."""
        try:
            changed = self._child.call("changes", {}, self._call_s)
        except CamtrailError:
            return {}
        return self._changes("changes", [None, changed])[1]

    def check(self, host: str | None, port: str | None) -> list[Check]:
        """What they say of token, device, address and clock; empty where they offer no check."""
        answer = self._ask("check", {"host": host, "port": port})
        if not isinstance(answer, list):
            raise _wrong("check", "a list", answer)
        return [_check(item) for item in answer]

    def close(self) -> None:
        """Ends the child."""
        self._child.close()

    def _ask(self, name: str, arguments: Record, timeout_s: float | None = None) -> Any:
        within_s = self._call_s if timeout_s is None else timeout_s
        try:
            return self._child.call(name, arguments, within_s)
        except HooksNotLoaded:
            self._load()
            return self._child.call(name, arguments, within_s)

    def _load(self) -> Record:
        spec = self._spec
        said = self._child.call(
            "load",
            {
                "target": spec.target, "path": spec.path, "sha256": spec.sha256,
                "memory_bytes": self._memory_bytes,
            },
            self._call_s,
        )  # fmt: skip
        if not (isinstance(said, dict) and isinstance(said.get("functions"), list) and "is_api2" in said):
            raise _wrong("load", "a description", said)
        if said["is_new"]:
            try:
                self._tell_again()
            except CamtrailError:
                self._child.close()  # hooks that know the half are not called
                raise
        return said

    def _tell_again(self) -> None:
        for number, data in enumerate(self._data):
            self._child.call("set_hook_data", {"data": data, "first": number == 0}, self._call_s)
        if self._records:
            self._child.call("know", {"records": self._records}, self._call_s)

    def _changes(self, name: str, answer: Any) -> tuple[Any, dict[str, Record]]:
        if not (isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], dict)):
            raise _wrong(name, "records", answer)
        value, changed = answer
        if not all(isinstance(record, dict) for record in changed.values()):
            raise _wrong(name, "records", changed)
        self._records.update(changed)
        return value, changed


def _wrong(name: str, wanted: str, answer: Any) -> WrongAnswer:
    return WrongAnswer(f"{name} must answer {wanted}, not {shown(repr(answer)[:100])}", "mend the hooks")


def _check(item: Any) -> Check:
    if isinstance(item, list) and [type(v) for v in item] == [str, bool, str]:
        return Check(shown(item[0]), item[1], shown(item[2]))
    raise _wrong("check", "(name, whether it is well, message)", item)
