"""A plugin registers by standing in its folder. Core never names one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from camtrail.core.bytes import ByteSource
from camtrail.core.model import Item, Note, Placement, Track

__all__ = ["Export", "Source", "discover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One format that positions come from.

    Attributes
    ----------
    name : what `--geotag_source` calls it
    about : one line for the manual
    suffixes : lower case, with the dot
    read : yields Tracks, Placements and Notes; raises UnreadableFile. None where the scan has the values
    options : dataclass of the format's own options; `read` takes an instance of it
    accepts : a look at the first 4096 bytes, where several formats share a suffix
    only_tracks : whether a file with such a suffix is a recorded track and nothing else
    """

    name: str
    about: str
    suffixes: frozenset[str] = frozenset()
    read: Callable[[ByteSource, Any], Iterator[Track | Placement | Note]] | None = None
    options: type[Any] | None = None
    accepts: Callable[[bytes], bool] | None = None
    only_tracks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One format that answers go to.

    Attributes
    ----------
    name : what `--format` calls it
    about : one line for the manual
    suffixes : lower case, with the dot
    write : the file's bytes, in chunks, from the items
    mark : bytes within the first 512 of each file that camtrail wrote; a file without them is not replaced
    is_mark_last : whether they stand within the last 65,536 instead
    """

    name: str
    about: str
    suffixes: frozenset[str]
    write: Callable[[Iterable[Item], bool], Iterator[bytes]]
    mark: bytes
    is_mark_last: bool = False


def discover(package: ModuleType) -> dict[str, Any]:
    """The PLUGIN of every module of a package, by name, in alphabetical order."""
    found: dict[str, Any] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        plugin = getattr(importlib.import_module(f"{package.__name__}.{info.name}"), "PLUGIN", None)
        if plugin is not None:
            found[plugin.name] = plugin
    return found
