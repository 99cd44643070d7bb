"""The process in which a user's hooks run: loads them, and answers the calls of `camtrail.transfer.hooks`."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from camtrail.core.child import limit_memory, serve
from camtrail.core.errors import CamtrailError, SafetyRefusal, UsageError
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.transfer.hooks import (
    PYTHON_2,
    Check,
    Hook,
    HooksNotLoaded,
    Video,
    WrongAnswer,
    is_secret,
    syntax_error,
)

__all__ = ["Importer", "Records", "main"]

Record = dict[str, Any]

log = logging.getLogger(__name__)
LOGGER = logging.getLogger("camtrail.hook")

_SCALARS = frozenset((str, int, float, bool, type(None)))
_NEEDED = ("register_camera", "post_video_content")
# What the published calls pass by position, and what by keyword.
_FORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "set_hook_data": (("data",), ()),
    "register_camera": (("camera_name",), ("host", "port")),
    "assign_job_ids": (("importer", "db", "unscheduled"), ()),
    "post_video_content": (
        ("camera_name", "camera_id", "filepath", "timestamp"),
        ("location", "host", "port"),
    ),
    "register_jobs": (("importer", "db", "jobs"), ()),
    "service_origin": ((), ()),
    "check": (("host", "port"), ()),
}
_ALIASES = {"latlng": "location", "data_dict": "data", "hook_data": "data"}
_METHODS = {
    "configure": "set_hook_data", "register_camera": "register_camera", "assign": "assign_job_ids",
    "submit": "post_video_content", "finish": "register_jobs", "origin": "service_origin", "check": "check",
}  # fmt: skip
_GONE_MODULES = frozenset(
    "ConfigParser Cookie HTMLParser Queue SocketServer StringIO Tkinter cPickle cStringIO cookielib httplib imp "
    "urllib2 urlparse".split()
)


# ---- what hooks see


class Records(MutableMapping[str, Record]):
    """The ``db`` of hooks: every video's record, by key. Records are put and changed, never deleted."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._told: dict[str, Record] = {}  # as the parent knows them
        self._put: dict[str, None] = {}

    def __getitem__(self, key: str) -> Record:
        return self._records[key]

    def __setitem__(self, key: str, record: Record) -> None:
        if not isinstance(key, str) or not isinstance(record, dict):
            raise TypeError("db takes dictionaries by text")
        self._records[key] = record
        self._put[key] = None

    def __delitem__(self, key: str) -> None:
        raise TypeError("records cannot be deleted from db")

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def sync(self) -> None:
        """Nothing: what was changed is kept after each call."""

    def close(self) -> None:
        """Nothing."""

    def know(self, records: Mapping[str, Record]) -> None:
        """Takes records from the parent; hooks that hold one of them see its new values."""
        for key, record in records.items():
            held = self._records.setdefault(key, record)
            if held is not record:
                held.clear()
                held.update(record)
            self._told[key] = _plain(record)

    def changed(self, keys: Iterable[str] | None = None) -> dict[str, Record]:
        """The records that differ from what the parent knows, which it is told by this: among those keys and those
        that were put, or among all."""
        among: Iterable[str] = self._records if keys is None else dict.fromkeys((*keys, *self._put))
        differ = {k: r for k in among if (r := self._records[k]) != self._told.get(k)}
        told = {key: _told(key, record) for key, record in differ.items()}
        self._put.clear()
        self._told |= told
        return told


def _told(key: str, record: Record) -> Record:
    try:
        plain: Record = _plain(record)
    except TypeError as e:
        raise WrongAnswer(
            f"the record {shown(key)} of db has a value that is no JSON: {e}",
            "put text, numbers, lists and dictionaries into records",
        ) from e
    return plain


def _plain(value: Any) -> Any:
    """A copy, all through. Raises TypeError for what is no JSON value."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise TypeError("a dictionary whose keys are no text")
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, str | int | float):
        return value
    raise TypeError(f"a {type(value).__name__}")


class _Nothing:
    """Options of the importer of older days: every one is None."""

    def __getattr__(self, name: str) -> None:
        return None


class Importer:
    """What functions get as ``importer``.

    Attributes
    ----------
    db : every record by key
    args : has None under every name
    logger : its records reach the import's log
    """

    def __init__(self, db: Records) -> None:
        self.db = db
        self.args = _Nothing()
        self.logger = LOGGER

    @property
    def records(self) -> list[Record]:
        """All records."""
        return list(self.db.values())


class _Videos(Mapping[str, Video]):
    def __init__(self, db: Records) -> None:
        self._db = db

    def __getitem__(self, key: str) -> Video:
        return Video(self._db[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._db)

    def __len__(self) -> int:
        return len(self._db)


# ---- the two forms, one set of calls


class _Api(Protocol):
    functions: frozenset[str]
    is_api2: bool

    def configure(self, data: Record) -> None: ...
    def register_camera(self, camera: str, host: str | None, port: str | None) -> Any: ...
    def assign(self, unscheduled: list[str]) -> Any: ...
    def post(self, record: Record, camera_id: str | None, host: str | None, port: str | None) -> bool: ...
    def register_jobs(self, jobs: list[tuple[str, str]]) -> bool: ...
    def origin(self) -> Any: ...
    def check(self, host: str | None, port: str | None) -> Any: ...


class _Functions:
    """The published functions of a module, or of any object that has them."""

    is_api2 = False

    def __init__(self, source: object, name: str, db: Records) -> None:
        self._db = db
        self._importer = Importer(db)
        found = {n: f for n in _FORMS if callable(f := getattr(source, n, None))}
        _check_needed(found, name, _NEEDED)
        self._bound = {n: _bound(f, n, name) for n, f in found.items()}
        self.functions = frozenset(found)

    def configure(self, data: Record) -> None:
        self._call("set_hook_data", data=data)

    def register_camera(self, camera: str, host: str | None, port: str | None) -> Any:
        return self._call("register_camera", camera_name=camera, host=host, port=port)

    def assign(self, unscheduled: list[str]) -> Any:
        records = [self._db[key] for key in unscheduled]
        return self._call("assign_job_ids", importer=self._importer, db=self._db, unscheduled=records)

    def post(self, record: Record, camera_id: str | None, host: str | None, port: str | None) -> bool:
        lat, lng = record.get("lat"), record.get("lng")
        return bool(
            self._call(
                "post_video_content",
                camera_name=record.get("camera"),
                camera_id=camera_id,
                filepath=record.get("filename"),
                timestamp=record.get("timestamp"),
                location=None if lat is None or lng is None else (lat, lng),
                host=host,
                port=port,
            )
        )

    def register_jobs(self, jobs: list[tuple[str, str]]) -> bool:
        if "register_jobs" not in self._bound:
            return True
        return bool(self._call("register_jobs", importer=self._importer, db=self._db, jobs=set(jobs)))

    def origin(self) -> Any:
        return self._call("service_origin")

    def check(self, host: str | None, port: str | None) -> Any:
        return self._call("check", host=host, port=port) or []

    def _call(self, name: str, **values: Any) -> Any:
        if name not in self._bound:
            return None
        answer = self._bound[name](values)
        if inspect.iscoroutine(answer) or inspect.isgenerator(answer):
            answer.close()
            raise WrongAnswer(
                f"{name} is asynchronous or a generator: it did not run", "make it a plain function"
            )
        return answer


class _Object:
    """A `Hook`."""

    is_api2 = True

    def __init__(self, hook: Hook, name: str, db: Records) -> None:
        self._hook = hook
        self._videos = _Videos(db)
        found = {m for m in _METHODS if getattr(type(hook), m) is not getattr(Hook, m)}
        _check_needed(found, name, ("register_camera", "submit"))
        self.functions = frozenset(_METHODS[m] for m in found)
        hook.videos = self._videos
        hook.logger = LOGGER

    def configure(self, data: Record) -> None:
        self._hook.configure(data)

    def register_camera(self, camera: str, host: str | None, port: str | None) -> Any:
        answer: Any = self._hook.register_camera(camera, host, port)
        return dict(answer) if isinstance(answer, Mapping) else answer

    def assign(self, unscheduled: list[str]) -> Any:
        return self._hook.assign([self._videos[key] for key in unscheduled], self._videos)

    def post(self, record: Record, camera_id: str | None, host: str | None, port: str | None) -> bool:
        self._hook.submit(Video(record), camera_id, host, port)
        return True

    def register_jobs(self, jobs: list[tuple[str, str]]) -> bool:
        self._hook.finish(jobs)
        return True

    def origin(self) -> Any:
        return self._hook.origin()

    def check(self, host: str | None, port: str | None) -> Any:
        return self._hook.check(host, port)


def _check_needed(found: Iterable[str], name: str, needed: Sequence[str]) -> None:
    missing = [n for n in needed if n not in set(found)]
    if missing:
        raise UsageError(
            f"{shown(name)} has no {' and no '.join(missing)}", f"hooks need {' and '.join(needed)}"
        )


def _bound(function: Callable[..., Any], name: str, source: str) -> Callable[[Mapping[str, Any]], Any]:
    """The function as one of its values by their published names.

    A parameter takes the value of its name; one of another name takes, in their order, the values that the published
    call passes by position.
    """
    positional, keyword = _FORMS[name]
    known = (*positional, *keyword)
    parameters = _parameters(function)
    named = {p.name: _ALIASES.get(p.name, p.name) for p in parameters}
    rest = [v for v in positional if v not in named.values()]
    used = {v for v in named.values() if v in known}
    args: list[tuple[str | None, Any]] = []
    kwargs: dict[str, str] = {}
    for p in parameters:
        value = named[p.name] if named[p.name] in known else None
        if p.kind is p.VAR_POSITIONAL:
            args += [(v, None) for v in rest]
            used.update(rest)
            rest.clear()
        elif p.kind is p.VAR_KEYWORD:
            kwargs |= {v: v for v in known if v not in used}
        else:
            if value is None and rest and p.kind is not p.KEYWORD_ONLY:
                value = rest.pop(0)
                used.add(value)
            if value is None and p.default is p.empty:
                raise UsageError(
                    f"{shown(source)}: nothing is known for the parameter {p.name} of {name}",
                    f"its parameters are {', '.join(known)}",
                )
            if p.kind is not p.KEYWORD_ONLY:
                args.append((value, p.default))
            elif value is not None:
                kwargs[p.name] = value
    return lambda values: function(
        *(values[v] if v is not None else default for v, default in args),
        **{n: values[v] for n, v in kwargs.items()},
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # one that is written in C may tell none
        kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        return [inspect.Parameter(n, k) for n, k in zip(("args", "kwargs"), kinds)]


# ---- loading


class _Source(importlib.machinery.SourceFileLoader):
    """Source that is compiled each time: cached bytecode of a folder may be anybody's."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Beside(importlib.abc.MetaPathFinder):
    """Finds modules in the folder of the hooks, before those that are installed and after Python's own."""

    def __init__(self, path: str) -> None:
        self._folder = os.path.dirname(path)
        self._owners = {0, os.stat(path).st_uid, os.geteuid()} if os.name == "posix" else set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if path is not None or fullname in sys.stdlib_module_names or fullname == "camtrail":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, [self._folder])
        if spec is None or spec.origin is None:  # a folder without __init__ hides no module
            return None
        if not self._is_ours(spec.origin):
            log.warning("%s: left alone, as others may have written it", shown(spec.origin))
            return None
        if type(spec.loader) is not importlib.machinery.SourceFileLoader:
            return spec
        return importlib.util.spec_from_file_location(
            fullname,
            spec.origin,
            loader=_Source(fullname, spec.origin),
            submodule_search_locations=spec.submodule_search_locations,
        )

    def _is_ours(self, path: str) -> bool:
        if os.name != "posix":
            return True
        status = os.stat(path)
        return status.st_uid in self._owners and not status.st_mode & stat.S_IWOTH


def _object(target: str, path: str | None, sha256: str | None) -> object:
    """The module, class or other object that has the hooks. Raises UsageError, SafetyRefusal."""
    name = target if path is None else path
    try:
        if path is not None:
            return _class_in(_module_of(path, sha256))
        module, _, attributes = target.partition(":")
        found: object = importlib.import_module(module)
        for attribute in attributes.split(".") if attributes else ():
            found = getattr(found, attribute)
        if isinstance(found, ModuleType):
            return _class_in(found)
        return found() if isinstance(found, type) and issubclass(found, Hook) else found
    except CamtrailError:
        raise
    except SyntaxError as e:
        raise syntax_error(shown(e.filename or name), e, (e.text or "").encode("utf-8", "replace")) from e
    except ModuleNotFoundError as e:
        hint = (
            PYTHON_2 if e.name in _GONE_MODULES else f"pip install it beside camtrail, for {sys.executable}"
        )
        raise UsageError(f"{shown(name)}: there is no module {shown(str(e.name))}", hint) from e
    except (Exception, SystemExit) as e:
        log.debug("loading the hooks failed", exc_info=True)
        raise UsageError(
            f"{shown(name)}: {shown(f'{type(e).__name__}: {e}')}, while it was loaded", "mend the file"
        ) from e


def _module_of(path: str, sha256: str | None) -> ModuleType:
    with open(path, "rb") as f:
        data = f.read()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SafetyRefusal(f"{shown(path)}: was changed after it was looked at", "look at it, and run again")
    # A name that no import finds: a file that is called as a module of Python's own does not take its place.
    name = f"hooks:{shown(os.path.splitext(os.path.basename(path))[0])}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(name, path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    finder = next(i for i, f in enumerate(sys.meta_path) if f is importlib.machinery.PathFinder)
    sys.meta_path.insert(finder, _Beside(path))
    sys.dont_write_bytecode = True  # nothing appears in the user's folder
    exec(compile(data, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what the user named
    return module


def _class_in(module: ModuleType) -> object:
    """The `Hook` that a file defines instead of functions, or the module."""
    own = [
        v for v in vars(module).values()
        if isinstance(v, type) and issubclass(v, Hook) and v.__module__ == module.__name__
    ]  # fmt: skip
    if len(own) == 1 and not any(hasattr(module, n) for n in _NEEDED):
        return own[0]()
    return module


# ---- the calls


class _Calls:
    """The child's handlers."""

    def __init__(self) -> None:
        self._db = Records()
        self._loaded: _Api | None = None

    @property
    def _api(self) -> _Api:
        if self._loaded is None:
            raise HooksNotLoaded("the hooks are not loaded")
        return self._loaded

    def load(self, target: str, path: str | None, sha256: str | None, memory_bytes: int | None) -> Record:
        """Loads them, unless they are."""
        is_new = self._loaded is None
        if self._loaded is None:
            if memory_bytes is not None:
                limit_memory(memory_bytes)
            for name, value in os.environ.items():
                _keep_unseen(name, value)
            found = _object(target, path, sha256)
            name = target if path is None else path
            self._loaded = (
                _Object(found, name, self._db)
                if isinstance(found, Hook)
                else _Functions(found, name, self._db)
            )
        return {"functions": sorted(self._api.functions), "is_api2": self._api.is_api2, "is_new": is_new}

    def know(self, records: dict[str, Record]) -> None:
        """Takes the records that a child before had."""
        self._db.know(records)

    def set_hook_data(self, data: Record, first: bool) -> None:
        """Settings for the hooks."""
        api = self._api
        _keep_unseen("", data)
        api.configure({"logger": LOGGER, **data} if first else data)

    def service_origin(self) -> Any:
        """Where they send to."""
        return self._api.origin()

    def register_camera(self, camera: str, host: str | None, port: str | None) -> Any:
        """One camera."""
        return self._api.register_camera(camera, host, port)

    def assign_job_ids(self, records: dict[str, Record], unscheduled: list[str]) -> list[Any]:
        """(job id, changed records)."""
        api = self._api
        self._db.know(records)
        return [api.assign(unscheduled), self._db.changed()]

    def post_video_content(
        self, record: Record, camera_id: str | None, host: str | None, port: str | None
    ) -> list[Any]:
        """(whether it was stored, changed records)."""
        api, key = self._api, record["key"]
        self._db.know({key: record})
        return [api.post(self._db[key], camera_id, host, port), self._db.changed([key])]

    def register_jobs(self, jobs: list[list[str]], records: dict[str, Record]) -> list[Any]:
        """(whether they were told, changed records)."""
        api = self._api
        self._db.know(records)
        return [api.register_jobs([(_hashable(j), _hashable(s)) for j, s in jobs]), self._db.changed()]

    def changes(self) -> dict[str, Record]:
        """Records that differ from what the parent knows."""
        self._api  # noqa: B018 - raises where nothing is loaded
        return self._db.changed()

    def check(self, host: str | None, port: str | None) -> Any:
        """(name, ok, message) of each check."""
        answer = self._api.check(host, port)
        return [_triple(v) for v in answer] if isinstance(answer, Iterable) else answer


def _hashable(value: Any) -> Any:
    """An id as it may stand in a set."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _triple(item: Any) -> Any:
    if isinstance(item, Check):
        return [item.name, item.ok, item.message]
    if isinstance(item, Mapping):
        return [item.get("name"), item.get("ok"), item.get("message", "")]
    return list(item) if isinstance(item, tuple) else item


def _keep_unseen(name: str, value: Any) -> None:
    """Has the log blank out what a name, or a name in a dictionary below it, says is a secret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _keep_unseen(key, inner)
    elif isinstance(value, str) and is_secret(name):
        Secret(value)


def main() -> None:
    """Answers the parent until it is gone."""
    calls = _Calls()
    serve({n: getattr(calls, n) for n in vars(_Calls) if not n.startswith("_")})


if __name__ == "__main__":
    main()
