"""What the named sources hold: their files are found and read here, once for each run."""

from __future__ import annotations

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


def is_track(path: str, context: Context) -> bool:
    """Whether a PATH is a file whose suffix is a track's or a table's, and not a photo's."""
    if suffix_of(path) not in source_suffixes():
        return False
    try:
        return context.fs.entry(path).kind != "folder"
    except InputError:
        return True  # it will be missed as a track


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
    InputError
        A file that was named by itself cannot be used, or none of several can.
    """
    known = known_sources()
    names = list(dict.fromkeys(_known(name, known) for name in options.geotag_source)) or ["exif"]
    readers = [n for n in names if known[n].read]
    files: dict[str, list[_File]] = {n: [] for n in readers}
    for given in options.geotag_source_path:
        if not readers:
            raise UsageError(
                "--geotag_source_path is given, but no source that reads it",
                "add --geotag_source gpx (or csv, json)",
            )
        for name, file in _by_reader(given, [known[n] for n in readers], context):
            files[name].append(file)
    made: list[Feed] = []
    failures: list[Failure[str]] = []
    for name in names:
        if not known[name].read:
            made.append(Feed(name, scanned=True))
        elif files[name]:
            made.append(_read(known[name], files[name], settings, failures, context))
        else:
            hint = "name files or folders by --geotag_source_path"
            if options.track or extra:
                hint += (
                    f"; or leave --geotag_source {name} out: a track by itself fills what EXIF does not say"
                )
            raise UsageError(f"the source {name} has nothing to read", hint)
    for given in [*options.track, *extra]:
        found: dict[str, list[_File]] = {}
        for name, file in _by_reader(given, [s for s in known.values() if s.read], context):
            found.setdefault(name, []).append(file)
        made += [_read(known[name], of_one, settings, failures, context) for name, of_one in found.items()]
    return made, failures


_File = tuple[str, bool]  # path, and whether it was named by itself


def _known(name: str, known: Mapping[str, Source]) -> str:
    folded = name.strip().lower()
    if folded not in known:
        raise UsageError(f"there is no source {name!r}", f"there are {', '.join(known)}")
    return folded


def _by_reader(given: str, readers: Sequence[Source], context: Context) -> list[tuple[str, _File]]:
    """The files that a file, a folder or a pattern means, each with the source that reads it."""
    suffixes = frozenset().union(*(s.suffixes for s in readers))
    fs = context.fs
    is_pattern = any(c in given for c in "*?[")
    try:
        entry = fs.entry(given)
    except InputError:
        if not is_pattern:
            raise
        found = fs.matching(given)
        if not found:
            raise InputError(given, "matches no file", "check the pattern") from None
    else:
        if entry.kind != "folder":
            return [(_reader_of(given, readers, True, context), (given, True))]
        found = [e.path for e in fs.entries(given) if e.kind == "file" and suffix_of(e.name) in suffixes]
        if not found:
            known = f"known: {' '.join(sorted(suffixes))}"
            raise InputError(given, "is a folder without a file that the source reads", known)
    return [(_reader_of(f, readers, False, context), (f, False)) for f in found]


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
    files: Sequence[_File],
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
        before = len(feed.tracks) + len(feed.placements)
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
        else:
            if len(feed.tracks) + len(feed.placements) == before:
                if by_itself:
                    raise _useless(path, feed)
                feed.notes.append(
                    f"{shown(os.path.basename(path))}: holds no position that a photo could take"
                )
    if not feed.tracks and not feed.placements:
        raise _useless(", ".join(feed.files), feed)
    return feed


def _useless(name: str, feed: Feed) -> InputError:
    why = f" ({'; '.join(feed.notes)})" if feed.notes else ""
    return InputError(name, f"holds no position that a photo could take{why}", "name another file")


def _note(feed: Feed, path: str, note: Note) -> None:
    feed.notes.append(
        f"{shown(os.path.basename(path))}: {note.count} {note.reason}" if note.count else note.reason
    )
