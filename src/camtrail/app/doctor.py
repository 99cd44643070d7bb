"""Whether this installation is in order: what is there, what is missing, and what to do about it.

It asks nobody on the network, and changes nothing.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from camtrail import __version__
from camtrail.app.context import Context
from camtrail.app.process import Result
from camtrail.app.state import FOLDER, existing
from camtrail.app.tokens import system_keyring
from camtrail.core import timezones
from camtrail.core.errors import CamtrailError, Failure, InputError, UsageError, worst
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.core.options import Option

__all__ = ["EXTRAS", "Check", "Checkup", "Surroundings", "doctor"]

EXTRAS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "video": (("av",), "videos of other formats than MP4 are looked into"),
    "tables": (("pandas", "pyarrow"), "GeoParquet and Parquet, DataFrames in notebooks"),
    "inat": (("scipy",), "matching photos with iNaturalist"),
    "similar": (("faiss-cpu",), "similar pictures among a hundred thousand and more"),
    "keyring": (("keyring",), "tokens lie in the system's keyring, not in a file"),
    "cluster": (("distributed",), "scanning on a Dask cluster"),
    "onnx": (("onnxruntime",), "models of your own compare pictures: --embedder onnx:FILE"),
    "gpu": (("torch",), "models of PyTorch, and comparing pictures on a graphics card"),
}
"""The optional parts: what each installs, and what that adds."""

_PROGRAMS = {
    "exiftool": "another look at what is in a photo; camtrail reads and writes by itself",
    "ffmpeg": "cutting and converting videos; camtrail needs none of it",
}
_MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL"}
_NAMED = {"opencv-python-headless": "OpenCV", "pillow": "Pillow"}
_SECRETS = ("MAPILLARY_TOKEN", "MAPILLARY_CLIENT_TOKEN", "INAT_TOKEN", "CAMIO_OAUTH_TOKEN")
_ADDRESSES = ("CAMTRAIL_MAPILLARY_URL", "CAMTRAIL_INATURALIST_URL", "CAMIO_SERVER_URL", "CAMIO_BOX_URL")
_OURS = (*_ADDRESSES, "CAMTRAIL_CONFIG", "CAMTRAIL_KEYRING")  # that are no options
_READ = (*_SECRETS, *_ADDRESSES, "NUMBER_THREADS", "MAX_ATTEMPTS")
_LITTLE_BYTES, _NONE_BYTES = 500_000_000, 10_000_000
_PLACE, _ZONE = (47.37, 8.54), "Europe/Zurich"
_DAY_S = 86_400.0
_YEARS = (2025, 2100)
_MISSING, _STORAGE = 10, 7  # exit codes: something to install, a disk that does not take or give what is ours


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What only the program that was started knows.

    `configure` reads the configuration and returns how many options it sets; it raises where it cannot be used.
    `options` tells all that there are.
    """

    environment: Mapping[str, str]
    config_path: str
    configure: Callable[[], int]
    encoding: str = "utf-8"  # of what is printed
    is_terminal: bool = False
    columns: int = 80
    has_colours: bool = False
    options: Callable[[], Iterable[Option]] = tuple


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: str  # ok, note: good to know, NO: camtrail cannot do its work
    said: str
    hint: str = ""
    exit_code: int = 0  # of a NO


@dataclass(slots=True)
class Checkup:
    """What a look over the installation came to."""

    result: Result
    checks: list[Check] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How often each verdict was given."""
        found = Counter(check.verdict for check in self.checks)
        return {verdict: found[verdict] for verdict in ("ok", "note", "NO")}

    def exit_code(self) -> int:
        """0, 10 where something has to be installed, 7 where the disk or what lies on it is in the way."""
        return worst({check.exit_code for check in self.checks})


def doctor(paths: Sequence[str], around: Surroundings, context: Context) -> Checkup:
    """Looks at versions, extras, programs, time zones, configuration, folders, tokens, clock and terminal.

    Parameters
    ----------
    paths : folders of photos whose state is looked at, too
    """
    start_s = context.clock.monotonic_s()
    done = Checkup(Result("doctor", paths=list(paths)))
    for part in (
        _versions(),
        _extras(),
        _programs(),
        _zones(),
        _configuration(around, context.fs),
        _environment(around),
        _folders(around, context.fs),
        _states(paths, context.fs),
        _tokens(around, context.fs),
        _clock(context),
        _terminal(around),
    ):
        done.checks += part
    done.result.failures += [
        Failure(c.name, "doctor", c.said, c.hint, exit_code=c.exit_code)
        for c in done.checks
        if c.verdict == "NO"
    ]
    done.result.elapsed_s = context.clock.monotonic_s() - start_s
    return done


# ---- what is installed


def _versions() -> Iterator[Check]:
    where = f"{platform.system()} {platform.machine()}"
    yield Check("Python", "ok", f"{platform.python_version()} at {shown(sys.executable)}, {where}")
    yield Check("camtrail", "ok", f"{__version__} at {shown(os.path.dirname(os.path.dirname(__file__)))}")
    for name, least in _required():
        yield _library(name, least)
    yield Check("SQLite", "ok", str(importlib.import_module("sqlite3").sqlite_version))


def _required() -> list[tuple[str, str]]:
    """(distribution, least version) of what camtrail needs; those of other systems and of extras left out."""
    try:
        listed = importlib.metadata.requires("camtrail") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder
        listed = ["numpy", "opencv-python-headless", "pillow", "urllib3"]
    found = [
        m for text in listed if ";" not in text and (m := re.match(r"([\w.-]+)(?:\s*>=\s*([\d.]+))?", text))
    ]
    return [(m[1].lower(), m[2] or "0") for m in found]


def _library(name: str, least: str) -> Check:
    module, called = _MODULES.get(name, name.replace("-", "_")), _NAMED.get(name, name)
    install = f"pip install '{name}>={least}'"
    try:
        loaded = importlib.import_module(module)
    except Exception as e:  # noqa: BLE001 - a library that is broken raises what it likes
        reason = "is not installed" if isinstance(e, ModuleNotFoundError) else f"cannot be loaded ({e})"
        return Check(called, "NO", shown(reason), install, _MISSING)
    version = _version(name) or str(getattr(loaded, "__version__", ""))
    if version and _numbers(version) < _numbers(least):
        return Check(called, "NO", f"{version} is older than {least}", install, _MISSING)
    return Check(called, "ok", version or "is there")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("+")[0])[:3])


def _extras() -> Iterator[Check]:
    for extra, (names, adds) in EXTRAS.items():
        versions = [f"{name} {_version(name)}" for name in names if _version(name)]
        if len(versions) == len(names):
            yield Check(f"extra {extra}", "ok", f"{', '.join(versions)}: {adds}")
        else:
            said = f"is not installed; it adds: {adds}"
            yield Check(f"extra {extra}", "note", said, f"pip install 'camtrail[{extra}]'")


def _programs() -> Iterator[Check]:
    for name, adds in _PROGRAMS.items():
        if path := shutil.which(name):
            yield Check(name, "ok", f"{shown(path)} (optional: {adds})")
        else:
            yield Check(name, "note", f"is not there; optional: {adds}")


def _zones() -> Iterator[Check]:
    try:
        timezones.named(_ZONE)
    except CamtrailError as e:
        yield Check("time zones", "NO", e.message, e.hint, _MISSING)
        return
    try:
        (found,) = timezones.zones_at(np.array([_PLACE[0]]), np.array([_PLACE[1]])).tolist()
    except Exception as e:  # noqa: BLE001 - as above
        yield Check("time zones", "NO", shown(f"places have none ({e})"), "pip install tzfpy", _MISSING)
        return
    if found == _ZONE:
        yield Check("time zones", "ok", "by name and by place")
    else:
        yield Check("time zones", "note", f"the zone at {_PLACE} is {found}, not {_ZONE}", "update tzfpy")


# ---- what is kept


def _configuration(around: Surroundings, fs: FileSystem) -> Iterator[Check]:
    name, path = "configuration", shown(around.config_path)
    try:
        is_there = fs.entry(around.config_path).kind == "file"
    except InputError:
        is_there = False
    try:
        n = around.configure()
    except CamtrailError as e:
        yield Check(name, "NO", shown(e.message), e.hint, _STORAGE)
    else:
        if is_there:
            yield Check(name, "ok", f"{path} sets {n} option{'' if n == 1 else 's'}")
        elif around.environment.get("CAMTRAIL_CONFIG"):
            said = f"there is none at {path}, which CAMTRAIL_CONFIG names"
            yield Check(name, "note", said, "make that file, or correct the variable")
        else:
            yield Check(name, "ok", f"there is none at {path}")


def _environment(around: Surroundings) -> Iterator[Check]:
    name = "environment"
    seen = sorted(v for v in around.environment if v in _READ or v.startswith("CAMTRAIL_"))
    if seen:
        yield Check("environment", "ok", f"{', '.join(seen)} {'is' if len(seen) == 1 else 'are'} set")
    given = {v: text for v in seen if v not in (*_OURS, *_SECRETS) and (text := around.environment[v])}
    options = (_known(around) if given else None) or []
    for variable, text in given.items() if options else ():
        named = [o for o in options if o.env == variable]
        if not named:
            hint = _nearest(variable, [o.env for o in options if o.env])
            yield Check(name, "note", f"{shown(variable)}: there is no such option", hint)
        elif refused := next(filter(None, (_refused(o, text) for o in named)), None):
            yield Check(
                name, "NO", f"{variable}: {shown(refused.message)}", refused.hint or "correct it", _STORAGE
            )
    for variable in _ADDRESSES:
        if text := around.environment.get(variable, "").strip():
            yield from _address(variable, text)


def _known(around: Surroundings) -> list[Option] | None:
    """All options; None where a library is missing that declares some, as another line tells."""
    try:
        return list(around.options())
    except ImportError:
        return None


def _refused(option: Option, text: str) -> UsageError | None:
    try:
        option.value(text)
    except UsageError as e:
        return e
    return None


def _nearest(variable: str, options: Iterable[str]) -> str:
    (near,) = difflib.get_close_matches(variable, [*options, *_OURS], 1, 0.85) or [""]
    return f"is {near} meant?" if near else "unset it: nothing reads it"


def _address(variable: str, text: str) -> Iterator[Check]:
    try:
        from camtrail.transfer.http import origin_of
    except ImportError:  # what is missing is told already
        return
    try:
        origin_of(text if "//" in text or variable != "CAMIO_BOX_URL" else f"http://{text}")
    except UsageError as e:
        yield Check("environment", "NO", f"{variable}: {shown(e.message)}", e.hint, _STORAGE)


def _folders(around: Surroundings, fs: FileSystem) -> Iterator[Check]:
    from platformdirs import user_cache_dir, user_data_dir

    data, cache = (f("camtrail", appauthor=False) for f in (user_data_dir, user_cache_dir))
    config = os.path.dirname(os.path.abspath(around.config_path))
    yield _folder("data folder", data, "what was uploaded, by account", fs)
    yield _folder("cache folder", cache, "answers and pictures of services", fs)
    yield _folder("configuration folder", config, "accounts and their tokens", fs)


def _folder(name: str, path: str, holds: str, fs: FileSystem) -> Check:
    """Whether files can be made in a folder, or the folder itself, and what room there is."""
    there = path
    while not os.path.lexists(there) and os.path.dirname(there) != there:
        there = os.path.dirname(there)
    said = f"{shown(path)} ({holds})"
    if not fs.is_writable_folder(there):
        hint = f"make {shown(there)} a folder that you may write"
        return Check(name, "NO", f"{said} cannot be written", hint, _STORAGE)
    try:
        free = shutil.disk_usage(there).free
    except OSError as e:
        return Check(name, "note", f"{said}: nobody knows how much room there is ({e.strerror})")
    room = f"{free / 1e9:,.1f} GB free" if free >= 1e8 else f"{free / 1e6:,.1f} MB free"
    if free < _NONE_BYTES:
        return Check(name, "NO", f"{said}: {room}", "make room on that disk", _STORAGE)
    later = "" if there == path else ", is made when it is needed"
    verdict, hint = ("note", "make room on that disk") if free < _LITTLE_BYTES else ("ok", "")
    return Check(name, verdict, f"{said}{later}, {room}", hint)


def _states(paths: Sequence[str], fs: FileSystem) -> Iterator[Check]:
    for path in paths:
        name = f"state of {shown(path)}"
        try:
            space = existing(fs, path)
            folder = path if fs.entry(path).kind == "folder" else os.path.dirname(os.path.abspath(path))
        except InputError as e:
            yield Check(name, "NO", e.reason, e.hint, 4)
            continue
        if space is not None:
            yield _folder(name, space.state, "what is known of the photos", fs)
        elif fs.is_writable_folder(folder):
            yield _folder(name, f"{folder.rstrip('/')}/{FOLDER}", "what is known of the photos", fs)
        else:
            yield Check(name, "note", "that folder cannot be written, so its state goes to the data folder")


# ---- accounts


def _tokens(around: Surroundings, fs: FileSystem) -> Iterator[Check]:
    folder = os.path.join(os.path.dirname(os.path.abspath(around.config_path)), "accounts")
    seen = 0
    for path in (folder, f"{folder}/tokens.json"):
        try:
            access = fs.access(path)
        except OSError:
            continue
        seen += 1
        if not access.is_ours:
            hint = "move it away, or make it your own"
            yield Check("tokens", "NO", f"{shown(path)} belongs to somebody else", hint, _STORAGE)
        elif not access.is_private:
            said = f"{shown(path)}: others on this machine can read it"
            yield Check("tokens", "note", said, f"chmod go= {shown(path)}")
        elif path != folder:
            yield Check("tokens", "ok", f"{shown(path)}, for you alone")
    if not seen:
        yield Check("tokens", "ok", "none are kept in a file")
    yield _keyring(around)


def _keyring(around: Surroundings) -> Check:
    if around.environment.get("CAMTRAIL_KEYRING", "").strip().lower() in ("0", "off", "no", "false"):
        return Check("keyring", "ok", "is not used, as CAMTRAIL_KEYRING says")
    backend: Any = system_keyring()
    if backend is None:
        return Check("keyring", "note", "there is none, so tokens are kept in a file that only you can read")
    return Check("keyring", "ok", shown(f"{type(backend).__module__}.{type(backend).__name__}"))


# ---- clock and terminal


def _clock(context: Context) -> Iterator[Check]:
    now_s = context.clock.now_s()
    installed_s = context.fs.status(os.path.realpath(__file__)).mtime_ns / 1e9
    now = datetime.fromtimestamp(now_s).astimezone()
    said = f"{now:%Y-%m-%d %H:%M:%S %z} ({now.tzname()})"
    set_it = "set the machine's clock: dates of photos are judged by it, and services refuse a wrong one"
    if now_s < installed_s - _DAY_S or not _YEARS[0] <= now.year < _YEARS[1]:
        yield Check("clock", "note", f"{said} cannot be right", set_it)
    else:
        yield Check("clock", "ok", said)


def _terminal(around: Surroundings) -> Iterator[Check]:
    wide = f"{around.columns} columns, {'colours' if around.has_colours else 'no colours'}"
    said = f"{around.encoding}, {wide if around.is_terminal else 'no terminal'}"
    names = sys.getfilesystemencoding()
    if around.encoding.lower().replace("-", "") != "utf8" or names.lower().replace("-", "") != "utf8":
        hint = "set LC_ALL=C.UTF-8, or PYTHONUTF8=1"
        yield Check("locale", "note", f"{said}; file names are {names}: some letters show as escapes", hint)
    else:
        yield Check("locale", "ok", said)
