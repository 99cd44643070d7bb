"""What the named sources hold: their files are found and read here, once for each run."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from camtrail.app.context import Context
from camtrail.app.scan import known_sources, source_suffixes, suffix_of
from camtrail.app.state import absolute
from camtrail.core.errors import Failure, InputError, UnreadableFile, UsageError, failure_of
from camtrail.core.model import Note, Placement, Track
from camtrail.core.names import shown
from camtrail.core.options import opt
from camtrail.core.plugins import Source

__all__ = ["Feed", "SourceOptions", "feeds", "is_track"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Where positions come from."""

    geotag_source: tuple[str, ...] = opt(
        (),
        "where positions come from, in this order: exif, gpx, csv, json (default: exif); others are not used",
    )
    geotag_source_path: tuple[str, ...] = opt((), "files, folders or patterns that those sources read")
    track: tuple[str, ...] = opt(
        (), "a track or table: positions that are there stay, the others are filled from it"
    )


@dataclass(slots=True)
class Feed:
    """What one source holds."""

    source: str
    scanned: bool = False  # the photos' own values
    files: list[str] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    placements: list[tuple[str, Placement]] = field(default_factory=list)  # with the folder of the table
    notes: list[str] = field(default_factory=list)


def is_track(path: str) -> bool:
    """Whether a PATH's suffix is a track's or a table's, and not a photo's."""
    return suffix_of(path) in source_suffixes()


def feeds(
    options: SourceOptions, extra: Sequence[str], settings: Mapping[str, Any], context: Context
) -> tuple[list[Feed], list[Failure[str]]]:
    """What the sources of a run hold, in the order in which they are tried, and what could not be read.

    Parameters
    ----------
    extra : PATHs that are tracks; they count as `--track`
    settings : options of single sources, by the source's name

    Raises
    ------
    UsageError
        An unknown source, one without a path, a path that no named source reads.
    UnreadableFile
        A file that was named by itself cannot be used.
    """
    known = known_sources()
    names = [_known(name, known) for name in options.geotag_source] or ["exif"]
    made: list[Feed] = []
    failures: list[Failure[str]] = []
    readers = [n for n in dict.fromkeys(names) if known[n].read]
    files: dict[str, list[tuple[str, bool]]] = {n: [] for n in readers}
    for given in options.geotag_source_path:
        if not readers:
            raise UsageError(
                "--geotag_source_path is given, but no source that reads it",
                "add --geotag_source gpx (or csv, json)",
            )
        for path, by_itself in _expanded(
            given, frozenset().union(*(known[n].suffixes for n in readers)), context
        ):
            files[_reader_of(path, [known[n] for n in readers], by_itself, context)].append((path, by_itself))
    for name in dict.fromkeys(names):
        source = known[name]
        if not source.read:
            made.append(Feed(name, scanned=True))
            continue
        if not files[name]:
            raise UsageError(
                f"the source {name} has nothing to read", "name files or folders by --geotag_source_path"
            )
        made.append(_read(source, files[name], settings, failures, context))
    for path in [*options.track, *extra]:
        for file, by_itself in _expanded(path, source_suffixes(), context):
            readers_here = [s for s in known.values() if s.read]
            source = known[_reader_of(file, readers_here, by_itself, context)]
            made.append(_read(source, [(file, by_itself)], settings, failures, context))
    return made, failures


def _known(name: str, known: Mapping[str, Source]) -> str:
    folded = name.strip().lower()
    if folded not in known:
        raise UsageError(f"there is no source {name!r}", f"there are {', '.join(known)}")
    return folded


def _expanded(given: str, suffixes: frozenset[str], context: Context) -> list[tuple[str, bool]]:
    """(file, whether it was named by itself) for a file, a folder or a pattern."""
    if not os.path.lexists(given) and glob.has_magic(given):
        found = sorted(glob.glob(given, recursive=True))
        if not found:
            raise InputError(given, "matches no file", "check the pattern")
        return [(f, False) for f in found if os.path.isfile(f)]
    entry = context.fs.entry(given)
    if entry.kind != "folder":
        return [(given, True)]
    inside = [e.path for e in context.fs.entries(given) if e.kind == "file" and suffix_of(e.name) in suffixes]
    if not inside:
        raise InputError(
            given, "is a folder without a file that the source reads", f"known: {' '.join(sorted(suffixes))}"
        )
    return [(f, False) for f in inside]


def _reader_of(path: str, readers: Sequence[Source], by_itself: bool, context: Context) -> str:
    """The source that reads a file: by suffix, then by its first bytes; the only one, where there is one."""
    fit = [s for s in readers if suffix_of(path) in s.suffixes]
    if len(fit) > 1:
        with context.fs.source(path) as data:
            start = data.read_at(0, 4096)
        fit = [s for s in fit if s.accepts is None or s.accepts(start)] or fit
    if fit:
        return fit[0].name
    if len(readers) == 1 and by_itself:
        return readers[0].name
    suffixes = sorted(frozenset().union(*(s.suffixes for s in readers)))
    raise InputError(path, "is of no kind that a source reads", f"known: {' '.join(suffixes)}")


def _read(
    source: Source,
    files: Sequence[tuple[str, bool]],
    settings: Mapping[str, Any],
    failures: list[Failure[str]],
    context: Context,
) -> Feed:
    assert source.read is not None
    feed = Feed(source.name)
    settings_here = settings.get(source.name) or (source.options() if source.options else None)
    for path, by_itself in files:
        feed.files.append(path)
        folder = absolute(path).rpartition("/")[0]
        try:
            with context.fs.source(path) as data:
                for piece in source.read(data, settings_here):
                    if isinstance(piece, Track):
                        feed.tracks.append(piece)
                    elif isinstance(piece, Placement):
                        feed.placements.append((folder, piece))
                    else:
                        _note(feed, path, piece)
        except UnreadableFile as e:
            if by_itself:
                raise
            failures.append(failure_of(path, e))
    if not feed.tracks and not feed.placements:
        names = ", ".join(shown(f) for f in feed.files)
        why = f" ({'; '.join(feed.notes)})" if feed.notes else ""
        raise InputError(names, f"holds no position that a photo could take{why}", "name another file")
    return feed


def _note(feed: Feed, path: str, note: Note) -> None:
    feed.notes.append(
        f"{shown(os.path.basename(path))}: {note.count} {note.reason}" if note.count else note.reason
    )
