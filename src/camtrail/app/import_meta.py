"""What is known of camera and import beside time and place: from options, from a JSON file, from an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from camtrail.app.context import Context
from camtrail.app.process import Result
from camtrail.app.state import absolute
from camtrail.app.write_options import ImportMetaOptions
from camtrail.core.errors import InputError, UsageError
from camtrail.core.model import Item
from camtrail.core.names import plain, shown
from camtrail.exports.image_description import DescriptionExtras, import_date_ms
from camtrail.steps import naming

__all__ = ["TURNS", "ImportMeta", "check", "import_meta", "keys_of", "said_in"]

TURNS = {0: 1, 90: 6, 180: 3, 270: 8}
"""Clockwise rotation for display, degrees -> EXIF orientation."""


def check(meta: ImportMetaOptions) -> None:
    """Raises UsageError where options contradict each other."""
    if meta.import_meta_source == "json" and not meta.import_meta_source_path:
        raise UsageError("--import-meta-source json needs a file", "give --import-meta-source-path FILE")


@dataclass(frozen=True, slots=True)
class ImportMeta:
    """MAP keys that hold for all photos, and for some of them by their absolute paths."""

    everywhere: Mapping[str, Any]
    by_file: Mapping[str, Mapping[str, Any]]
    earlier: Mapping[str, Mapping[str, Any]]  # kept by an earlier run, by absolute path
    now_ms: int

    def of(self, item: Item) -> dict[str, Any]:
        """What is said of one photo: of its own, of all, of an earlier run."""
        return {**self.earlier.get(item.file, {}), **self.everywhere, **self.by_file.get(item.file, {})}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_accuracy(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0


def _are_tags(value: object) -> bool:
    try:
        DescriptionExtras(meta_tags=value)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False
    return True


_META_KEYS: dict[str, tuple[Callable[[object], bool], str]] = {
    "MAPOrientation": (
        lambda v: isinstance(v, int) and not isinstance(v, bool) and v in (1, 3, 6, 8),
        "1, 3, 6 or 8",
    ),
    "MAPDeviceMake": (_is_text, "a text"),
    "MAPDeviceModel": (_is_text, "a text"),
    "MAPGPSAccuracyMeters": (_is_accuracy, "a number of metres"),
    "MAPMetaTags": (_are_tags, "an object of lists of {key, value} by their kinds: strings, doubles, longs, "
                               "dates, booleans"),
    "MAPCameraUUID": (_is_text, "a text"),
}  # fmt: skip


def said_in(meta: ImportMetaOptions, context: Context) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The file of import metadata: what holds for all photos, and what for single ones by their names.

    Raises InputError where it is not what it must be.
    """
    if meta.import_meta_source != "json":
        return {}, {}
    import json

    path = meta.import_meta_source_path
    try:
        with context.fs.source(path) as source:
            found = json.loads(source.read_at(0, source.size))
    except RecursionError as e:
        raise InputError(path, "is nested too deep", "write it again") from e
    except ValueError as e:
        raise InputError(path, f"is no JSON ({e})", "write it again") from e
    if not isinstance(found, dict):
        raise InputError(
            path, "is no JSON object", "give one object of MAP keys, or one object for each file name"
        )
    everywhere = _known_keys(path, "", found)
    named = {
        name: _known_keys(path, name, value)
        for name, value in found.items()
        if isinstance(value, dict) and name not in _META_KEYS
    }
    if found and not everywhere and not any(named.values()):
        raise InputError(path, "has no key that camtrail knows", f"known: {', '.join(_META_KEYS)}")
    return everywhere, named


def _known_keys(path: str, name: str, found: dict[str, Any]) -> dict[str, Any]:
    known = {key: value for key, value in found.items() if key in _META_KEYS and value is not None}
    for key, value in known.items():
        is_one, words = _META_KEYS[key]
        if not is_one(value):
            where = f"{key} of {shown(name)}" if name else key
            raise InputError(path, f"{where} is not {words}", "correct it")
    return known


def import_meta(
    result: Result,
    meta: ImportMetaOptions,
    earlier: Mapping[str, Mapping[str, Any]],
    context: Context,
    notes: list[str],
) -> ImportMeta:
    """What the file of import metadata says of the photos of a result, over what an earlier run kept.

    Parameters
    ----------
    earlier : MAP keys by absolute path
    notes : is told of names that no photo has

    Raises
    ------
    InputError
        The file cannot be used.
    """
    everywhere, named = said_in(meta, context)
    by_file: dict[str, dict[str, Any]] = {}
    if named:
        files = [item.file for c in result.collections for item in c.items()]
        roots = [root for c in result.collections for root in (*c.roots, c.base)]
        names = list(named)
        folder = absolute(meta.import_meta_source_path).rpartition("/")[0]
        row, reached = naming.join(names, files, [folder], roots)
        by_file = {file: named[names[r]] for file, r in zip(files, row.tolist()) if r >= 0}
        missed = [names[i] for i in np.flatnonzero(reached != 1).tolist()]
        if missed:
            few = ", ".join(map(shown, missed[:3])) + (" …" if len(missed) > 3 else "")
            notes.append(
                f"{shown(meta.import_meta_source_path)}: names that are not those of one photo: {few}"
            )
    return ImportMeta(everywhere, by_file, earlier, int(context.clock.now_s() * 1000))


def keys_of(
    item: Item, description: str | None, meta: ImportMetaOptions, given: ImportMeta
) -> dict[str, Any]:
    """The MAP keys that options, a JSON file and earlier runs say of one photo; options win.

    Parameters
    ----------
    description : of the file as it is; the date of an import in it stays

    Returns
    -------
    Only what was said: what the photo's own EXIF says is not repeated.
    """
    said = given.of(item)
    if meta.device_make:
        said["MAPDeviceMake"] = meta.device_make
    if meta.device_model:
        said["MAPDeviceModel"] = meta.device_model
    if meta.orientation:
        said["MAPOrientation"] = TURNS[int(meta.orientation)]
    if meta.gps_accuracy_m is not None:
        said["MAPGPSAccuracyMeters"] = meta.gps_accuracy_m
    tags = {kind: list(found) for kind, found in (said.get("MAPMetaTags") or {}).items()}
    if meta.add_file_name:
        _set(tags, "strings", "original_file_name", plain(item.path))
    if meta.add_import_date:
        dates = [t["value"] for t in tags.get("dates", ()) if t["key"] == "import_date"]
        date = import_date_ms(description) or (dates[0] if dates else given.now_ms)
        _set(tags, "dates", "import_date", date)
    if tags:
        said["MAPMetaTags"] = tags
    return said


def _set(tags: dict[str, list[dict[str, Any]]], kind: str, key: str, value: Any) -> None:
    others = [tag for tag in tags.get(kind, ()) if tag["key"] != key]
    tags[kind] = [*others, {"key": key, "value": value}]
