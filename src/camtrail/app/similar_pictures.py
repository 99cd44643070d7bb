"""The pictures of folders and what is kept of each to find its like, made by all cores and remembered."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camtrail.app.context import Context
from camtrail.app.scan import Scanned, ScanOptions, suffix_of
from camtrail.app.state import Workspace
from camtrail.catalog.store import Catalog
from camtrail.core.errors import Failure
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.executors.serial import Serial
from camtrail.vision.descriptors import Description, describe

if TYPE_CHECKING:
    from camtrail.executors.dask import Dask
    from camtrail.executors.processes import Processes

__all__ = ["STAGE", "Shot", "describe_one", "described", "pictures_of"]

log = logging.getLogger(__name__)

STAGE = "similar"
_DECODABLE = frozenset(".jpg .jpeg .jpe .png .webp .gif .tif .tiff".split())
_IN_PROCESS = 48  # pictures below which the start of processes costs more than it saves
_CHUNK = 16
_GROUP = 512  # descriptions of one commit


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture."""

    space: Workspace
    path: str  # relative to the state's base
    typed: str  # as the user knows it
    file: str  # absolute
    size_bytes: int
    mtime_ns: int
    local_s: float  # capture time as its clock had it; NaN where it has none
    about: Description

    @property
    def pixels(self) -> int:
        """Of the whole picture."""
        return self.about.width_px * self.about.height_px


@dataclass(frozen=True, slots=True)
class _Named:
    """A picture that is not described yet."""

    path: str
    typed: str
    size_bytes: int
    mtime_ns: int
    local_s: float

    @property
    def mark(self) -> str:
        """What a description is kept with: it counts as long as this is the same."""
        return f"{self.size_bytes} {self.mtime_ns} "


def pictures_of(part: Scanned) -> tuple[list[_Named], int]:
    """The pictures of a part, by path, and how many files there are that cannot be looked at, such as videos."""
    photos, space = part.photos, part.space
    roots = {space.relative(root) for root in space.roots}
    columns = (photos.path, photos.size_bytes, photos.mtime_ns, photos.local_s)
    rows = [
        _Named(path, space.as_typed(path), size, mtime, local_s)
        for path, size, mtime, local_s in zip(*(c.tolist() for c in columns))
    ]
    named = [row for row in rows if suffix_of(row.path) in _DECODABLE or row.path in roots]
    return named, len(rows) - len(named)


def described(
    parts: Sequence[Scanned], options: ScanOptions, context: Context
) -> tuple[list[Shot], list[Failure[str]], list[str]]:
    """The pictures of all parts, by the names that users know; what failed; and what is to be said."""
    shots: list[Shot] = []
    failures: list[Failure[str]] = []
    left = 0
    for part in parts:
        named, others = pictures_of(part)
        left += others
        own = {n.typed for n in named}
        failures += [f for f in part.failures if f.item not in own]
        made, failed = _described(part.space, named, options, context)
        shots += made
        failures += failed
    notes = [note for part in parts for note in part.notes]
    if left:
        notes.append(f"{left:,} videos, raw and HEIC files were not looked at")
    return sorted(shots, key=lambda shot: os.fsencode(shot.typed)), failures, notes


def _described(
    space: Workspace, named: Sequence[_Named], options: ScanOptions, context: Context
) -> tuple[list[Shot], list[Failure[str]]]:
    with Catalog(space.catalog) as catalog:
        kept = {} if options.rerun else catalog.kept(STAGE)
        found: dict[str, Description] = {}
        for n in named:
            text = kept.get(n.path, "")
            if text.startswith(n.mark) and (about := Description.of_text(text[len(n.mark) :])):
                found[n.path] = about
        failures = _make(space, [n for n in named if n.path not in found], found, catalog, options, context)
    shots = [
        Shot(
            space, n.path, n.typed, space.absolute(n.path), n.size_bytes, n.mtime_ns, n.local_s, found[n.path]
        )
        for n in named
        if n.path in found
    ]
    return shots, failures


def _make(
    space: Workspace,
    missing: Sequence[_Named],
    found: dict[str, Description],
    catalog: Catalog,
    options: ScanOptions,
    context: Context,
) -> list[Failure[str]]:
    """Adds the descriptions of what is missing, and keeps them in groups; what failed comes back."""
    failures: list[Failure[str]] = []
    fresh: dict[str, str] = {}
    try:
        with closing(_executor(len(missing), options)) as executor:
            answers = executor.map(
                functools.partial(describe_one, context.fs), [space.absolute(n.path) for n in missing]
            )
            for done, (n, answer) in enumerate(zip(missing, answers), 1):
                if isinstance(answer, Failure):
                    if answer.detail:
                        log.error("%s: %s", shown(n.path), answer.detail)
                    failures.append(answer.at(n.typed))
                elif about := Description.of_text(answer):
                    found[n.path] = about
                    fresh[n.path] = n.mark + answer
                if len(fresh) >= _GROUP:
                    catalog.keep(STAGE, fresh)
                    fresh = {}
                if done % 4 == 0 or done == len(missing):
                    context.progress("pictures", done, len(missing))
    finally:
        catalog.keep(STAGE, fresh)
    return failures


def describe_one(fs: FileSystem, path: str) -> str:
    """The description of a file's picture, as text. Raises UnreadableFile."""
    with fs.source(path) as source:
        return describe(source).text()


def _executor(n: int, options: ScanOptions) -> Serial | Processes | Dask:
    if options.scheduler:
        from camtrail.executors.dask import Dask

        return Dask(options.scheduler, _CHUNK)
    workers = options.workers or (min(os.cpu_count() or 1, 8) if n >= _IN_PROCESS else 1)
    if workers == 1 or n < 2:
        return Serial()
    from camtrail.executors.processes import Processes

    return Processes(workers, _CHUNK)
