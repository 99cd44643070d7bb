"""Settings for hooks: a JSON object of a file and one of the command line, and what Camio knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from camtrail.core import secrets
from camtrail.core.errors import InputError, UsageError
from camtrail.core.fs import FileSystem
from camtrail.core.json_text import BadJson, loads
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.services.camio.wire import IMAGE_KEYS

__all__ = ["PLANS", "HookData", "check_camio", "hook_data", "redacted", "unseen"]

PLANS = ("basic", "plus", "pro")
"""What Camio sells."""

_MOST_BYTES = 16 << 20
_TEXTS = ("access_token", "device_id", "ip_address", "server_url", "box_url")
_SWITCHES = ("test", "full_paths")
_OF_CAMERA = ("plan", *IMAGE_KEYS, "timezone", "clock_offset")
_KNOWN = frozenset((*_OF_CAMERA, *_TEXTS, *_SWITCHES, "cameras"))
_SECRET = ("token", "secret", "password", "device_id", "api_key", "apikey")


@dataclass(frozen=True, slots=True)
class HookData:
    """What hooks are told before all else."""

    data: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def cameras(self) -> dict[str, Any]:
        """The settings of single cameras, by their names; empty where there are none."""
        cameras = self.data.get("cameras")
        return cameras if isinstance(cameras, dict) else {}


def hook_data(text: str | None, file: str | None, fs: FileSystem) -> HookData:
    """The settings of a file, and of a text whose keys win over those of the file.

    Secrets among them are blanked out of the log from then on.

    Raises
    ------
    InputError
        The file cannot be read, or holds no JSON object.
    UsageError
        The text is no JSON object.
    """
    data: dict[str, Any] = {}
    warnings: list[str] = []
    if file is not None:
        found, said = _of_file(file, fs)
        data |= found
        warnings += [f"{shown(file)}: {warning}" for warning in said]
    if text is not None:
        found, said = _of_text(text)
        data |= found
        warnings += [f"--hook_data_json: {warning}" for warning in said]
    _hide(data)
    return HookData(data, tuple(warnings))


def _of_file(file: str, fs: FileSystem) -> tuple[dict[str, Any], list[str]]:
    with fs.source(file) as source:
        if source.size > _MOST_BYTES:
            raise InputError(file, "is too large for settings", "name the JSON file of the hook data")
        raw = source.read_at(0, source.size)
    try:
        value, warnings = loads(raw.decode(json.detect_encoding(raw)))
    except UnicodeDecodeError as e:
        raise InputError(file, f"is no text in UTF-8 (byte {e.start})", "save it as UTF-8") from e
    except BadJson as e:
        raise InputError(file, f"is no JSON: {e}", "correct it there") from e
    if not isinstance(value, dict):
        raise InputError(file, "holds no JSON object", 'write {"NAME": VALUE, …}')
    return value, warnings


def _of_text(text: str) -> tuple[dict[str, Any], list[str]]:
    try:
        value, warnings = loads(text)
    except BadJson as e:
        raise UsageError(f"--hook_data_json is no JSON: {e}", "mind the quotation marks of the shell") from e
    if not isinstance(value, dict):
        raise UsageError("--hook_data_json is no JSON object", 'give {"NAME": VALUE, …}')
    return value, warnings


def _hide(value: object) -> None:
    """Makes secrets known, so that no log has them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and _is_secret(key):
                Secret(inner)
            _hide(inner)
    elif isinstance(value, list):
        for inner in value:
            _hide(inner)


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET)


def redacted(data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as people may see them: `***` in place of what is secret."""
    return {
        secrets.redacted(key): "***" if _is_secret(key) and inner else _redacted(inner)
        for key, inner in data.items()
    }


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return redacted(value)
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    return secrets.redacted(value) if isinstance(value, str) else value


def check_camio(data: Mapping[str, Any]) -> list[str]:
    """A sentence on each setting that Camio does not know.

    Raises
    ------
    UsageError
        A setting that Camio knows has a value that it cannot have.
    """
    warnings = [f"hook data: {shown(key)[:60]} is no setting of Camio" for key in data if key not in _KNOWN]
    for key in _TEXTS:
        _check(data, key, "", isinstance(data.get(key), str), "a text")
    for key in _SWITCHES:
        _check(data, key, "", isinstance(data.get(key), bool), "true or false")
    _check_camera(data, "")
    cameras = data.get("cameras")
    _check(data, "cameras", "", isinstance(cameras, dict), "an object of cameras")
    for name, camera in (cameras or {}).items():
        where = f"cameras.{shown(name)[:60]}"
        if not isinstance(camera, dict):
            raise UsageError(f"hook data: {where} must be an object", "write the camera's settings in { }")
        warnings += [
            f"hook data: {where}.{shown(key)[:60]} is no setting of a camera"
            for key in camera
            if key not in _OF_CAMERA
        ]
        _check_camera(camera, f"{where}.")
    return warnings


def _check_camera(settings: Mapping[str, Any], where: str) -> None:
    plan = settings.get("plan")
    is_plan = isinstance(plan, str) and (not plan or plan.lower() in PLANS)
    _check(settings, "plan", where, is_plan, "basic, plus or pro")
    for key in IMAGE_KEYS:
        size_px = settings.get(key)
        _check(settings, key, where, type(size_px) is int and size_px >= 0, "a number of pixels")
    _check(settings, "timezone", where, isinstance(settings.get("timezone"), str), "a text")
    offset = settings.get("clock_offset")
    is_offset = isinstance(offset, str | int | float) and not isinstance(offset, bool)
    _check(settings, "clock_offset", where, is_offset, "±HH:MM:SS or a number of seconds")


def _check(settings: Mapping[str, Any], key: str, where: str, is_good: bool, what: str) -> None:
    if settings.get(key) is not None and not is_good:
        raise UsageError(f"hook data: {where}{key} must be {what}", "correct it there")


def unseen(data: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """A sentence on each camera that has settings but no video.

    Parameters
    ----------
    names : of the cameras of this run
    """
    cameras = data.get("cameras")
    seen = set(names)
    return [
        f"hook data: no video is of camera {shown(name)[:60]}"
        for name in (cameras if isinstance(cameras, dict) else ())
        if name not in seen
    ]
