"""Files -> columns, reading only what changed since the last scan."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import camtrail.sources
from camtrail.app.context import Context
from camtrail.app.state import FOLDER as STATE
from camtrail.app.state import Workspace, workspaces
from camtrail.catalog.store import Catalog
from camtrail.core.errors import Failure, InputError, UnreadableFile
from camtrail.core.fs import Entry, FileSystem
from camtrail.core.model import Ints, Photos
from camtrail.core.names import shown
from camtrail.core.options import opt
from camtrail.core.plugins import Source, discover
from camtrail.executors.serial import Serial
from camtrail.metadata import read

if TYPE_CHECKING:
    from camtrail.executors.dask import Dask
    from camtrail.executors.processes import Processes

__all__ = ["ScanOptions", "Scanned", "known_sources", "read_one", "scan", "source_suffixes", "suffix_of"]

log = logging.getLogger(__name__)

READABLE = frozenset({".jpg", ".jpeg", ".jpe"})
_OTHER_PHOTOS = frozenset(
    ".png .webp .gif .bmp .tif .tiff .heic .heif .hif .avif .jxl .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 "
    ".orf .rw2 .raf .pef .srw .3fr .iiq .x3f .gpr .insp .pgm .pnm".split()
)
_VIDEOS = frozenset(
    ".mp4 .mov .m4v .avi .mkv .mts .m2ts .m2t .ts .3gp .wmv .360 .insv .lrv .mpg .mpeg .dv .qt .webm".split()
)

_IN_PROCESS = 20_000  # below this the start of a pool costs more than it saves
_GROUP = 5_000  # rows of one commit

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """What is scanned, where the result is kept, and by whom."""

    state_dir: str = opt("", "folder for the state, in place of .camtrail beside the photos")
    skip_subfolders: bool = opt(False, "leave folders inside PATH alone")
    rerun: bool = opt(False, "read every file again, also those that look unchanged")
    workers: int = opt(0, "processes that read photos; 0: as many as pay off", least=0, most=1024)
    scheduler: str = opt("", "address of a Dask scheduler whose workers read the photos")


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """The photos of one workspace."""

    space: Workspace
    photos: Photos
    roots: tuple[str, ...]  # absolute folders that they were found under
    root: Ints  # (n,) index into `roots`
    failures: list[Failure[str]]  # items are paths as the user knows them
    tracks: list[str]  # absolute, files of known sources that lie beside the photos
    notes: list[str]  # what else is to be said
    read: int  # how many files were read; the others were known
    is_whole: bool  # whether all photos of the folders are here: no PATH is a single file
    taken: Photos  # the photos as the cameras wrote them, where camtrail has written into some since


@functools.cache
def known_sources() -> dict[str, Source]:
    """Every registered source, by name."""
    return discover(camtrail.sources)


def source_suffixes() -> frozenset[str]:
    """Suffixes of files that hold tracks or tables of places."""
    return frozenset().union(*(s.suffixes for s in known_sources().values() if s.read))


def suffix_of(name: str) -> str:
    """Lower case, with the dot; "" where there is none."""
    return os.path.splitext(name)[1].lower()


def scan(paths: Sequence[str], options: ScanOptions, context: Context) -> list[Scanned]:
    """The photos at PATHs, one result for each state folder.

    Raises
    ------
    InputError
        A PATH is not there, or is a folder that may not be read.
    StorageError, CatalogError
        The state cannot be written.
    """
    done = []
    for space in workspaces(context.fs, paths, options.state_dir, flat=options.skip_subfolders):
        with Catalog(space.catalog) as catalog:
            done.append(_scan_one(space, catalog, options, context))
    return done


def _scan_one(space: Workspace, catalog: Catalog, options: ScanOptions, context: Context) -> Scanned:
    failures: list[Failure[str]] = []
    seen = _Seen()
    found: dict[str, tuple[Entry, int]] = {}
    known: dict[str, Row] = {}
    folders: list[str] = []
    for number, root in enumerate(space.roots):
        known.update(catalog.photos(space.relative(root)))
        for entry in _files(context.fs, root, options.skip_subfolders, space, failures, seen):
            suffix = suffix_of(entry.name)
            if suffix in READABLE or suffix in _OTHER_PHOTOS or suffix in _VIDEOS or entry.path == root:
                found.setdefault(space.relative(entry.path), (entry, number))
            elif suffix in source_suffixes():
                seen.tracks.append(entry.path)
        is_file = space.relative(root) in found
        folders.append(root.rpartition("/")[0] or "/" if is_file else root)
    order = sorted(found, key=os.fsencode)
    rows: dict[str, Row] = {}
    todo: list[Entry] = []
    for path in order:
        entry = found[path][0]
        row = known.get(path)
        is_same = row is not None and row[1] == entry.size_bytes and row[2] == entry.mtime_ns
        if row is not None and is_same and not options.rerun:
            rows[path] = row
            if row[-3] == "unreadable":
                failures.append(Failure(space.as_typed(path), "unreadable", row[-2], row[-1] or ""))
        else:
            todo.append(entry)
    with closing(_read(space, catalog, todo, known, failures, options, context)) as read_rows:
        for row in read_rows:
            rows[row[0]] = row
    catalog.forget(p for p in known.keys() - found.keys() if _is_gone(p, seen.folders))
    photos = Photos.of_rows([rows[p] for p in order])
    number_of = np.array([found[p][1] for p in order], np.int64)
    return Scanned(
        space,
        photos,
        tuple(folders),
        number_of,
        failures,
        sorted(seen.tracks),
        seen.notes(),
        len(todo),
        is_whole=folders == list(space.roots),
        taken=photos,
    )


def _is_gone(path: str, listed: dict[str, set[str]]) -> bool:
    """Whether the nearest folder above that could be listed does not have what leads to the path."""
    name = path
    while name:
        folder, _, last = name.rpartition("/")
        if folder in listed:
            return last not in listed[folder] or name == path
        name = folder
    return False


class _Seen:
    """What a walk came by."""

    def __init__(self) -> None:
        self.folders: dict[str, set[str]] = {}  # folder that was listed -> its folders; relative
        self.tracks: list[str] = []
        self.links: list[str] = []
        self.states: list[str] = []

    def notes(self) -> list[str]:
        """What people should know of it."""
        said = []
        if self.links:
            said.append(
                f"{_few(self.links)}: links to folders are not followed; name what they point to as a PATH"
            )
        if self.states:
            said.append(
                f"{_few(self.states)}: has a state of its own from an earlier run, which is not updated"
            )
        return said


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown(n) for n in names[:3]) + more


def _files(
    fs: FileSystem, root: str, flat: bool, space: Workspace, failures: list[Failure[str]], seen: _Seen
) -> Iterator[Entry]:
    """Files at or below a root; hidden names are passed over, links to folders not followed."""
    top = fs.entry(root)
    if top.kind != "folder":
        yield top._replace(path=root, name=root.rpartition("/")[2])
        return
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        below = space.relative(folder)
        try:
            entries = fs.entries(folder)
        except InputError as e:
            if folder == root:
                raise InputError(space.as_typed(below), e.reason, e.hint) from e
            failures.append(Failure(space.as_typed(below), e.code, e.reason, e.hint, e.retryable))
            continue
        seen.folders[below] = {e.name for e in entries if e.kind == "folder"}
        for entry in entries:
            if entry.name.startswith("."):
                if entry.name == STATE and folder != space.base and entry.kind == "folder":
                    seen.states.append(space.as_typed(below))
            elif entry.kind == "folder":
                if not flat:
                    waiting.append(entry.path)
            elif entry.kind == "link":
                seen.links.append(space.as_typed(space.relative(entry.path)))
            else:
                yield entry


def _read(
    space: Workspace,
    catalog: Catalog,
    todo: list[Entry],
    known: dict[str, Row],
    failures: list[Failure[str]],
    options: ScanOptions,
    context: Context,
) -> Generator[Row, None, None]:
    """Rows of files that are new or changed, put into the catalog in groups."""
    items = [(space.relative(e.path), e) for e in todo]
    group: list[Row] = []
    try:
        with closing(_executor(len(items), options)) as executor:
            answers = executor.map(functools.partial(read_one, context.fs), items)
            for done, answer in enumerate(answers, 1):
                keep = True
                if isinstance(answer, Failure):
                    path, entry = answer.item
                    failures.append(answer.at(space.as_typed(path)))
                    if answer.detail:
                        log.error("%s: %s", shown(path), answer.detail)
                    row: Row = (
                        path,
                        entry.size_bytes,
                        entry.mtime_ns,
                        *read.EMPTY,
                        "unreadable",
                        answer.message,
                        answer.hint,
                    )
                    keep = not answer.retryable and answer.code == "unreadable"
                else:
                    row = answer
                if keep:
                    group.append(row)
                    if len(group) >= _GROUP:
                        catalog.put_photos(group, _changed(group, known))
                        group = []
                if done % 16 == 0 or done == len(items):
                    context.progress("scan", done, len(items))
                yield row
    finally:
        if group:
            catalog.put_photos(group, _changed(group, known))


def _changed(rows: Sequence[Row], known: Mapping[str, Row]) -> list[str]:
    """Paths of those that were known as something else: what was found out about them counts no more."""
    # As texts: NaN is not equal to itself.
    return [row[0] for row in rows if (old := known.get(row[0])) is not None and repr(old) != repr(row)]


def _executor(n: int, options: ScanOptions) -> Serial | Processes | Dask:
    if options.scheduler:
        from camtrail.executors.dask import Dask

        return Dask(options.scheduler)
    workers = options.workers or (min(os.cpu_count() or 1, 8) if n > _IN_PROCESS else 1)
    if workers == 1 or n < 2:
        return Serial()
    from camtrail.executors.processes import Processes

    return Processes(workers)


def read_one(fs: FileSystem, item: tuple[str, Entry]) -> Row:
    """The row of Photos of one file. Raises UnreadableFile."""
    path, entry = item
    if entry.kind == "broken":
        raise UnreadableFile(
            entry.path, "is a link that leads nowhere", "mend or remove the link", retryable=True
        )
    if entry.kind == "other":  # a pipe, a socket: reading it may never end
        raise UnreadableFile(entry.path, "is no ordinary file", "move it out of the folder")
    suffix = suffix_of(entry.name)
    if suffix in _OTHER_PHOTOS or suffix in _VIDEOS:
        kind = "a video" if suffix in _VIDEOS else f"a {suffix[1:].upper()} picture"
        hint = "camtrail places JPEG photos so far; this file was left alone"
        return (path, entry.size_bytes, entry.mtime_ns, *read.EMPTY, "unsupported", f"is {kind}", hint)
    with fs.source(entry.path, entry.size_bytes) as source:
        return (path, entry.size_bytes, entry.mtime_ns, *read.header(source), None, None, None)
