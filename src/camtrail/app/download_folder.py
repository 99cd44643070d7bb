"""A folder of downloads: its state, who may work in it, and what a run into it came to."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from camtrail.app.context import Context
from camtrail.app.process import Result
from camtrail.app.state import FOLDER, absolute, owned
from camtrail.core.errors import InputError, StorageError, UsageError
from camtrail.core.names import shown
from camtrail.services.mapillary.images import Image
from camtrail.steps.id_lists import IdList

__all__ = ["Downloaded", "check_folder", "image_of", "locked", "made", "said_of", "served_for", "state_path"]


_STATE = "downloads.sqlite"
_PARTS = "parts"
_SERVED = {"320": "1024", "640": "1024"}  # the next larger picture that the service has
_KEPT = tuple(f.name for f in dataclasses.fields(Image) if f.name != "url")
_NUMBERS = frozenset(f.name for f in dataclasses.fields(Image) if f.type == "float")


@dataclass(slots=True)
class Downloaded:
    """What a download came to."""

    result: Result
    folder: str
    size: str
    served: str  # that the service was asked for
    counts: Counter[str] = field(
        default_factory=Counter
    )  # fetched, there_before, unknown, failed: those that there are
    lists: IdList | None = None
    whole: dict[str, list[str]] = field(default_factory=dict)  # the images of whole sequences, in their order
    size_bytes: int = 0  # of the pictures that were fetched


def served_for(size: str) -> str:
    """The size that the service is asked for, for pictures of a size."""
    return _SERVED.get(size, size)


def state_path(folder: str) -> str:
    """The state of a folder of downloads."""
    return f"{absolute(folder)}/{FOLDER}/{_STATE}"


def made(folder: str, context: Context) -> str:
    """Makes a folder of downloads where it is missing; returns where files lie while they come.

    Raises StorageError.
    """
    parts = f"{absolute(folder)}/{FOLDER}/{_PARTS}"
    try:
        context.fs.make_folder(parts)
    except OSError as e:
        raise StorageError(
            f"{shown(folder)}: cannot be made or written ({e.strerror})", "name another one with -o"
        ) from e
    return parts


def check_folder(folder: str, context: Context) -> None:
    """Raises UsageError where what has a folder's name is none."""
    try:
        entry = context.fs.entry(absolute(folder))
    except InputError:
        return  # it is to be made
    if entry.kind != "folder":
        raise UsageError(f"{shown(folder)}: is no folder", "name another one with -o")


def locked(folder: str, wait: bool, context: Context) -> AbstractContextManager[None]:
    """A folder of downloads, ours alone while the block runs. Raises FolderBusy, StorageError."""
    return owned(
        f"{state_path(folder)}.lock", wait, f"{shown(folder)}: another run downloads into it", context.fs
    )


def said_of(image: Image) -> str:
    """What the service says of an image, as it is kept; its address is good for minutes only."""
    values = {name: getattr(image, name) for name in _KEPT}
    return json.dumps({k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()})


def image_of(said: str) -> Image | None:
    """What was kept of an image; None where nothing was."""
    if not said:
        return None
    values: dict[str, Any] = json.loads(said)
    filled: dict[str, Any] = {k: math.nan if v is None and k in _NUMBERS else v for k, v in values.items()}
    return Image(**filled, url=None)
