"""What is known goes into the files: planned first, then written by the one safe writer, then undoable.

What a run wrote is no evidence for the next one: `as_taken` tells the two apart, so that a clock's error is not
measured against our own times, an offset is added once, and cameras keep their own names.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import numpy as np

from camtrail.app import import_meta
from camtrail.app.context import Context
from camtrail.app.feeds import is_track
from camtrail.app.geotag import bodies
from camtrail.app.import_meta import ImportMeta
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.scan import read_one
from camtrail.app.state import Workspace, absolute, workspaces
from camtrail.app.write_options import ChangeOptions, ImportMetaOptions, Told, WriteOptions
from camtrail.catalog.journal import SqliteJournal
from camtrail.catalog.store import Catalog
from camtrail.core import timezones
from camtrail.core.bytes import ByteSource, SplicedBytes
from camtrail.core.errors import (
    CamtrailError,
    Failure,
    FolderBusy,
    SafetyRefusal,
    StorageError,
    UnreadableFile,
    UsageError,
    failure_of,
)
from camtrail.core.journal import Change, back
from camtrail.core.model import Collection, Item, Photos, Texts
from camtrail.core.names import shown
from camtrail.exports.image_description import DescriptionExtras, image_description, settled
from camtrail.metadata import picture, read, safeio, sidecar
from camtrail.metadata.safeio import Splice
from camtrail.metadata.write import NewTags, Values, carried, differs, new_head, tags_of
from camtrail.steps import clock

__all__ = [
    "XMP_MARK",
    "Plan",
    "SentForms",
    "Written",
    "apply_plans",
    "are_same",
    "as_taken",
    "check_inside",
    "check_options",
    "copied_from",
    "copy_folder",
    "copy_mark",
    "journal_in",
    "locked",
    "read_again",
    "run",
    "settle",
    "write",
]

_NAN = float("nan")
_COLUMNS = [f.name for f in fields(Photos)]
_COLUMNS = _COLUMNS[_COLUMNS.index("mtime_ns") + 1 : _COLUMNS.index("fault")]  # of read.Row
_AT = {name: i for i, name in enumerate(_COLUMNS)}
_SAME_HEADING_DEG = 0.05  # a direction computed from places that EXIF rounded is the same one
_LEAST_FIXES = 5  # from these on GPS times tell a clock's error (steps.clock)

# What the journal notes beside the names of values.
_SHIFTED = (
    "shifted"  # the time is not what clock and GPS say by themselves: an offset was added, a table told it
)
_TURNED = (
    "turned:"  # the angle that was added to the heading, degrees; nan: to one that is found anew each time
)
_COURSE = "course:"  # of the track where the photo was placed, degrees: EXIF has no room for it, the next run needs it
_COPY_OF = "copy-of:"
XMP_MARK = "xmp"
"""Beside the values of a change to XMP: what is found anew in EXIF is not."""


def _number(row: read.Row, name: str) -> float:
    value = row[_AT[name]]
    return value if isinstance(value, float) else _NAN


def _text(row: read.Row, name: str) -> str | None:
    value = row[_AT[name]]
    return value if isinstance(value, str) else None


@dataclass(slots=True)
class Written:
    """What was written, or would be."""

    mode: str
    counts: dict[str, int] = field(default_factory=dict)  # written, unchanged, failed; to be written
    changes: list[tuple[str, str]] = field(default_factory=list)  # path as typed, what in words
    failures: list[Failure[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, n: int = 1) -> None:
        """Counts."""
        self.counts[what] = self.counts.get(what, 0) + n


@contextmanager
def locked(spaces: Sequence[Workspace], wait: bool, context: Context) -> Iterator[None]:
    """Owns the folders of workspaces while the block runs.

    Raises
    ------
    FolderBusy
        Another run owns one of them.
    """
    if not spaces:
        yield
        return
    first, rest = spaces[0], spaces[1:]
    with context.fs.lock(f"{first.state}/lock", 86400.0 if wait else 1.0) as held:
        if not held:
            raise FolderBusy(
                f"{shown(first.base)}: another run owns this folder", "let it end, or give --wait"
            )
        with locked(rest, wait, context):
            yield


def run(
    job: Callable[[Sequence[str], ProcessOptions, Context], Result],
    paths: Sequence[str],
    options: ProcessOptions,
    to: WriteOptions,
    meta: ImportMetaOptions,
    context: Context,
    *,
    fresh: bool = True,
) -> tuple[Result, Written]:
    """One of the workflows of `process`, and then its answers into the files, in folders that are ours alone.

    Parameters
    ----------
    fresh : whether the job finds its answers by `options`; False: it takes those of an earlier run

    Raises
    ------
    UsageError, InputError
        Options that contradict each other, or a file of import metadata that cannot be used; nothing was done.
    FolderBusy
        Another run owns a folder.
    """
    check_options(to, meta)
    if to.write in ("", "none"):
        return job(paths, options, context), Written("none")
    import_meta.said_in(meta, context)
    spaces: list[Workspace] = []
    if not to.dry_run:
        photos = [p for p in paths if not is_track(p, context)]
        spaces = workspaces(context.fs, photos, options.scan.state_dir, flat=options.scan.skip_subfolders)
    with locked(spaces, to.wait, context):
        for space in spaces:
            settle(space, context)
        result = job(paths, options, context)
        return result, write(result, to, meta, context, options if fresh else None)


def check_options(to: WriteOptions, meta: ImportMetaOptions) -> None:
    """Raises UsageError where options contradict each other."""
    if to.write == "copy" and not to.output:
        raise UsageError("--write copy needs a folder for the copies", "give -o DIR")
    if to.write != "copy" and to.output:
        raise UsageError("-o names the folder of --write copy", "add --write copy, or leave it out")
    import_meta.check(meta)


def write(
    result: Result,
    to: WriteOptions,
    meta: ImportMetaOptions,
    context: Context,
    options: ProcessOptions | None = None,
    told: Told | None = None,
) -> Written:
    """Writes what a result knows into its photos; the caller owns the folders.

    Only what differs from the file is written: position, altitude, GPS time; headings only where a source or an
    option gave them; make, model, orientation where an option did.

    Parameters
    ----------
    options : by which the result was found; None where that is not known
    told : what earlier stages found out

    Raises
    ------
    UsageError
        `copy` without a folder, or with one among the photos.
    InputError
        The file of import metadata cannot be used.
    StorageError, CatalogError
        The disk is full, or the journal cannot be written; what was written before is undoable.
    """
    check_options(to, meta)
    if to.write == "none":
        return Written("none")
    told = told or Told()
    written = Written(to.write)
    target = copy_folder(to, result, context)
    said = import_meta.import_meta(result, meta, told.meta, context, written.notes)
    if (meta.add_file_name or meta.add_import_date) and not to.description:
        written.notes.append(
            "--add-file-name and --add-import-date go into the description; give --description to write it"
        )
    for space, collection in zip(result.spaces, result.collections):
        task = _Task(space, collection, to, meta, said, told, target, options, context)
        if to.dry_run:
            if space.has_journal(context.fs):
                with journal_in(space, context) as journal:
                    task.latest = _latest(journal)
            plans = _planned(task, written)
            written.changes += [(p.typed, p.words) for p in plans]
            written.add("to be written", len(plans))
            continue
        with journal_in(space, context, result.command) as journal:
            task.latest = _latest(journal)
            apply_plans(_planned(task, written), space, journal, to, written, context)
    return written


@dataclass(frozen=True, slots=True)
class Plan:
    """One file that is to be written."""

    splice: Splice
    path: str  # of the photo, relative to the state's base
    typed: str  # of the file that is written
    words: str


def journal_in(space: Workspace, context: Context, command: str = "") -> SqliteJournal:
    """The journal of a workspace. Its paths have all links resolved, and so has the folder they are relative to."""
    return SqliteJournal(space.journal, context.fs.real(space.base), command, context.clock.now_s())


def settle(space: Workspace, context: Context) -> None:
    """Finds out what became of files that a run which was killed had begun to write; the caller owns the folder."""
    if not space.has_journal(context.fs):
        return
    with journal_in(space, context) as journal:
        begun = [(number, change) for number, _, change in journal.changes(("begun",))]
        if not begun:
            return
        safeio.settle(context.fs, journal, begun)
    base = context.fs.real(space.base).rstrip("/") + "/"
    changed = [c.path for _, c in begun if c.path.startswith(base)]
    read_again(space, [path[len(base) :] for path in changed], context)


def copy_folder(options: WriteOptions, result: Result, context: Context) -> str:
    """The absolute folder of the copies; "" where there are to be none. Raises UsageError."""
    if options.write != "copy":
        return ""
    target = absolute(options.output)
    real = context.fs.real(target)
    for c in result.collections:
        for root in map(context.fs.real, c.roots):
            if real == root or real.startswith(root.rstrip("/") + "/"):
                raise UsageError(
                    f"{shown(options.output)}: lies among the photos",
                    "name a folder outside of them for the copies",
                )
    return target


@dataclass(frozen=True, slots=True)
class _Base:
    """One workspace's photos as their cameras wrote them, of what decides about times."""

    local_s: list[float]
    offset_s: list[float]
    gps_s: list[float]
    zones: Texts  # of the places


@dataclass
class _Task:
    """What one workspace's files are written by."""

    space: Workspace
    collection: Collection
    to: WriteOptions
    meta: ImportMetaOptions
    said: ImportMeta
    told: Told
    target: str
    options: ProcessOptions | None
    context: Context
    latest: dict[str, list[Change]] = field(default_factory=dict)

    @cached_property
    def base(self) -> _Base:
        """Read only where somebody asks: it opens every photo that was written before."""
        photos = self.collection.photos
        taken = _originals(self.space, photos, self.latest, self.context)

        def column(name: str) -> list[float]:
            values = getattr(photos, name).tolist()
            return [_number(taken[i].original, name) if i in taken else v for i, v in enumerate(values)]

        places = self.collection.places
        zones = timezones.zones_at(places.lat_deg, places.lon_deg)
        return _Base(column("local_s"), column("offset_s"), column("gps_time_s"), zones)

    @property
    def is_shifted(self) -> bool:
        """Whether something was added to all times."""
        o = self.options
        return o is not None and bool(o.time.offset_time_s or o.join.use_gps_start_time)


def _planned(task: _Task, written: Written) -> list[Plan]:
    """What is to be done, file by file; what cannot be done is among the failures."""
    plans: dict[str, Plan] = {}
    c = task.collection
    for i, (path, item, row) in enumerate(zip(c.photos.path.tolist(), c.items(), _rows(c.photos))):
        if i % 16 == 0:
            task.context.progress("plan", i, len(c))
        if item.outcome in ("unreadable", "unsupported"):
            continue
        typed = task.space.as_typed(path)
        try:
            plan = _plan(task, i, path, typed, item, row)
            if plan is not None and plan.splice.path in plans:
                _check_copy(plan, plans[plan.splice.path], task)
                plan = None  # a second name of a file that is written already
        except CamtrailError as e:
            written.failures.append(_failure(typed, e))
            written.add("failed")
            continue
        if plan is None:
            written.add("unchanged")
        else:
            plans[plan.splice.path] = plan
    return list(plans.values())


def _check_copy(plan: Plan, first: Plan, task: _Task) -> None:
    """Refuses one copy for two photos."""
    if task.to.write == "copy":
        raise SafetyRefusal(
            f"{shown(plan.typed)}: is the copy of {shown(task.space.as_typed(first.path))} already",
            "name the folder above both as the one PATH",
        )


def _failure(typed: str, e: CamtrailError) -> Failure[str]:
    failure = failure_of(typed, e)
    # A refusal of one file is an item that could not be written.
    return replace(failure, exit_code=3) if failure.exit_code == SafetyRefusal.exit_code else failure


def _rows(photos: Photos) -> Iterator[read.Row]:
    """What the scan read of each file, as the reader gave it."""
    return zip(*(getattr(photos, name).tolist() for name in _COLUMNS))


def _latest(journal: SqliteJournal) -> dict[str, list[Change]]:
    """Our changes to each file, the newest first."""
    found: dict[str, list[Change]] = {}
    for _, _, change in journal.changes(("done",)):
        found.setdefault(change.path, []).append(change)
    return found


# What a file is to say.


def _wanted(task: _Task, i: int, item: Item, row: read.Row) -> Values:
    """Everything but the description; `row`: what the file says."""
    given: Values | None = task.told.values.get(item.file)
    if given is not None:
        return given
    said = import_meta.keys_of(item, None, task.meta, task.said)
    has_place = item.lat_deg == item.lat_deg
    # A time by this machine's zone is a guess, unless a track agrees with it.
    is_sure = item.time_source != "machine" or item.fix_before_s == item.fix_before_s
    accuracy = said.get("MAPGPSAccuracyMeters")
    local_s, offset_s = _fixed_clock(task, i, item, row, is_sure) if task.to.fix_time else (_NAN, _NAN)
    return Values(
        lat_deg=item.lat_deg if has_place else _NAN,
        lon_deg=item.lon_deg if has_place else _NAN,
        alt_m=item.alt_m if has_place else _NAN,
        time_s=item.time_s if has_place and is_sure else _NAN,
        heading_deg=_heading(item, _turned_deg(task, i), row),
        error_m=float(accuracy) if accuracy is not None and has_place else _NAN,
        local_s=local_s,
        offset_s=offset_s,
        make=said.get("MAPDeviceMake") or None,
        model=said.get("MAPDeviceModel") or None,
        orientation=said.get("MAPOrientation"),
    )


def _turned_deg(task: _Task, i: int) -> float:
    return float(task.collection.ranks.turned_deg[i])


def _heading(item: Item, turned_deg: float, row: read.Row) -> float:
    """Where a source or an option gave it; that of the file where it is the same but for rounding."""
    if item.heading_source in (None, "exif", "course", "track", "sequence") and not turned_deg:
        return _NAN
    there = _number(row, "heading_deg")
    is_same = abs((there - item.heading_deg + 180.0) % 360.0 - 180.0) <= _SAME_HEADING_DEG
    return there if is_same and _text(row, "heading_ref") != "M" else item.heading_deg


def _fixed_clock(task: _Task, i: int, item: Item, row: read.Row, is_sure: bool) -> tuple[float, float]:
    """The corrected reading of the camera's clock in the camera's own zone, and that zone where it is known.

    The zone is found once: where an earlier run has corrected the clock, its zone holds.
    """
    base = task.base
    own_s, time_s = base.local_s[i], item.time_s
    if own_s != own_s or time_s != time_s or _is_taken_as_right(task, i, item):
        return _NAN, _NAN
    now_s, now_offset_s, now_gps_s = _times(row)
    ahead_s, is_known = _ahead(task, i, item)
    if abs(now_s - own_s) > 1e-3:
        if now_offset_s == now_offset_s:
            ahead_s, is_known = now_offset_s, True
        elif now_gps_s == now_gps_s and not abs(now_gps_s - base.gps_s[i]) <= 1e-3:  # ours, not the camera's
            ahead_s = round((now_s - now_gps_s) / 60.0) * 60.0
    local_s = time_s + ahead_s
    # A clock that is right gets no zone added; one that says a zone says the right one.
    tell = is_sure and is_known and abs(local_s - own_s) > 5e-4
    return local_s, ahead_s if tell or now_offset_s == now_offset_s else _NAN


def _is_taken_as_right(task: _Task, i: int, item: Item) -> bool:
    """Whether the clock was taken as right as it is, GPS time left out: there is nothing to correct then."""
    options, gps_s = task.options, task.base.gps_s[i]
    if options is not None and (options.time.offset_time_s or options.join.use_gps_start_time):
        return False
    left_out = gps_s == gps_s and item.time_source in ("option", "offset", "place", "machine")
    return left_out or (options is not None and options.time.time_source == "clock")


def _ahead(task: _Task, i: int, item: Item) -> tuple[float, bool]:
    """What the camera's clock is to be ahead of UTC, and whether that is known or only the nearest zone."""
    base, options = task.base, task.options
    tag_s = base.offset_s[i]
    place_s = _NAN
    if (zone := base.zones[i]) is not None:
        place_s = _offset_s(zone, item.time_s)
    if item.time_source == "offset" and tag_s == tag_s:
        return tag_s, True
    if item.time_source == "option" and options is not None and options.time.time_zone:
        option_s = _offset_s(options.time.time_zone, item.time_s)
        return option_s, option_s == option_s
    if item.time_source == "place" and place_s == place_s:
        return place_s, True
    true_s = item.time_s - (options.time.offset_time_s if options is not None else 0.0)
    if item.time_source == "gps" and (gps_s := base.gps_s[i]) == gps_s:
        true_s = gps_s
    ahead_s = base.local_s[i] - true_s
    for known_s in (tag_s, place_s):
        if abs(ahead_s - known_s) < 1800.0:
            return known_s, True
    return round(ahead_s / 900.0) * 900.0, False


def _offset_s(zone: str, time_s: float) -> float:
    """What a zone is ahead of UTC at an instant; NaN where no calendar has it."""
    try:
        ahead = datetime.fromtimestamp(time_s, timezones.named(zone)).utcoffset()
    except (OverflowError, ValueError, OSError):
        return _NAN
    return ahead.total_seconds() if ahead is not None else _NAN


def _described(
    task: _Task, item: Item, values: Values, row: read.Row, source: ByteSource | None = None
) -> Values:
    """The same with the description where it is asked for and the photo has place and time."""
    if not task.to.description or item.outcome not in ("located", "estimated") or item.time_s != item.time_s:
        return values
    old = _text(row, "description")
    digest = _digest(task, item, source)
    said = import_meta.keys_of(item, old, task.meta, task.said)
    owner = task.told.owner
    more = DescriptionExtras(
        user_name=owner.user_name or None,
        user_key=owner.user_key or None,
        organization_key=owner.organization_key or None,
        is_private=owner.is_private or None,
        orientation=values.orientation if values.orientation in (1, 3, 6, 8) else None,
        make=values.make,
        model=values.model,
        accuracy_m=values.error_m if values.error_m == values.error_m else None,
        meta_tags=said.get("MAPMetaTags") or {},
        photo_key=f"sha256:{digest.hex()}" if digest is not None else None,
    )
    described = image_description(item, more)
    return replace(values, description=settled(old, described, is_derived=item.heading_source == "sequence"))


def _digest(task: _Task, item: Item, source: ByteSource | None) -> bytes | None:
    """Of the picture, which names it for ever; None where the file has none."""
    if source is not None:
        return picture.picture_sha256(source)
    if item.file in task.told.digests:
        return task.told.digests[item.file]
    with task.context.fs.source(item.file) as own:
        return picture.picture_sha256(own)


# How the files come to say it.


def _plan(task: _Task, i: int, path: str, typed: str, item: Item, row: read.Row) -> Plan | None:
    """How one file comes to say what is known; None where it does already."""
    if task.to.write == "sidecar":
        return _sidecar_plan(task, i, path, typed, item, row)
    if task.to.write == "copy":
        return _copy_plan(task, i, path, typed, item, row)
    wanted = _described(task, item, _wanted(task, i, item, row), row)
    values = differs(row, wanted)
    if not values:
        return None
    real = task.context.fs.real(item.file)
    check_inside(real, typed, item, task.context)
    splice = _patched(task, real, values, _marks(task, i, item, values))
    return Plan(splice, path, typed, _words(values))


def check_inside(real: str, typed: str, item: Item, context: Context) -> None:
    """Raises SafetyRefusal where a file that is to be written lies outside of the PATH of its photo."""
    if not real.startswith(context.fs.real(item.root).rstrip("/") + "/"):
        raise SafetyRefusal(
            f"{shown(typed)}: is a link to {shown(real)}, outside of the folder", "name that folder as a PATH"
        )


def _patched(task: _Task, real: str, values: Values, marks: str) -> Splice:
    """A file with new values in place of our earlier addition and these."""
    seen = task.context.fs.status(real)
    # What was written into its XMP since lies in front of our EXIF: that stays.
    ours = list(itertools.takewhile(lambda c: XMP_MARK not in c.tags.split(), task.latest.get(real, ())))
    with task.context.fs.source(real) as source:
        original = _states(source, ours)[-1]
        before = carried(original, source) if original is not source else NewTags()
        head, tail_at = new_head(original, tags_of(values), before)
        while isinstance(original, SplicedBytes):
            tail_at, original = original.inner_offset(tail_at), original.inner
    return Splice(real, head, tail_at, real, f"{_words(values)}{marks}", seen)


def _marks(task: _Task, i: int, item: Item, values: Values) -> str:
    """What the journal notes so that the next run knows what was added."""
    marks = ""
    if values.heading_deg == values.heading_deg and _turned_deg(task, i):
        is_found_anew = item.heading_source in ("course", "track", "sequence", "interpolated")
        marks += f" {_TURNED}{_NAN if is_found_anew else _turned_deg(task, i)!r}"
    if values.lat_deg == values.lat_deg and item.heading_source == "track":
        marks += f" {_COURSE}{(item.heading_deg - _turned_deg(task, i)) % 360.0!r}"
    timed = values.time_s == values.time_s or values.local_s == values.local_s
    return f"{marks} {_SHIFTED}" if timed and _is_shifted(task, i, item) else marks


def _is_shifted(task: _Task, i: int, item: Item) -> bool:
    """Whether a photo's time is another than clock and GPS say; True where that cannot be told."""
    if item.time_source not in clock.NAMES:
        return True
    if task.options is not None:
        return task.is_shifted
    base = task.base
    if item.time_source == "gps":
        return not abs(base.gps_s[i] - item.time_s) <= 1e-3
    zone = base.zones[i]
    if item.time_source == "place" and zone is not None:
        return not abs(base.local_s[i] - _offset_s(zone, item.time_s) - item.time_s) <= 0.5
    return not abs(base.local_s[i] - base.offset_s[i] - item.time_s) <= 0.5


def _states(source: ByteSource, changes: Sequence[Change]) -> list[ByteSource]:
    """The file as it is, as it was before our newest change, and so on as far as it is still as we left it."""
    states: list[ByteSource] = [source]
    for change in changes:
        inner = states[-1]
        if change.kind != "patch" or inner.size != change.new_size:
            break
        head = inner.read_at(0, change.head_bytes)
        if safeio.sha256(head) != change.new_sha256:
            break
        states.append(SplicedBytes(inner, back(head, change.undo), change.head_bytes))
    return states


@dataclass(frozen=True, slots=True)
class _Taken:
    """What the header of a photo said before we wrote into it, and in between."""

    original: read.Row
    told: read.Row | None = None  # after the newest change of ours to its times; None where there was none
    is_shifted: bool = False  # that change
    turned_deg: float = 0.0  # what was added to the heading that it has now; NaN: not to one of its own
    course_deg: float = _NAN  # of the track by which it has its place now


def _originals(
    space: Workspace,
    photos: Photos,
    latest: dict[str, list[Change]],
    context: Context,
    *,
    whole: bool = False,
) -> dict[int, _Taken]:
    """Photos that we have written into, by their rows."""
    found: dict[int, _Taken] = {}
    if not latest:
        return found
    folders: dict[str, str] = {}
    for i, name in enumerate(photos.path.tolist()):
        changes = latest.get(_real(space.absolute(name), folders, context))
        if not changes or changes[0].kind != "patch":
            continue
        try:
            with context.fs.source(space.absolute(name)) as source:
                states = _states(source, changes)
                if len(states) > 1:
                    found[i] = _taken(states, changes, whole)
        except UnreadableFile:
            continue  # the scan says so
    return found


def _taken(states: Sequence[ByteSource], changes: Sequence[Change], whole: bool) -> _Taken:
    original = read.header(states[-1])
    told, is_shifted = None, False
    words = [change.tags.split() for change in changes[: len(states) - 1]]
    for k, said in enumerate(words):
        if ("gps-time" in said or "time" in said) and not (whole and _SHIFTED in said):
            told, is_shifted = read.header(states[k]), _SHIFTED in said
            break
    turned_deg = _noted(words, "heading", _TURNED, 0.0)
    course_deg = _noted(words, "position", _COURSE, _NAN)
    return _Taken(original, told, is_shifted, turned_deg, course_deg)


def _noted(words: Sequence[Sequence[str]], value: str, mark: str, otherwise: float) -> float:
    """What the newest change of a value notes beside it."""
    for word in next((said for said in words if value in said), ()):
        if word.startswith(mark):
            return float(word.removeprefix(mark))
    return otherwise


def _real(path: str, folders: dict[str, str], context: Context) -> str:
    """The path with all links resolved; a folder is asked once."""
    folder, _, name = path.rpartition("/")
    try:
        if context.fs.status(path).kind == "link":
            return context.fs.real(path)
    except OSError:
        return path
    if folder not in folders:
        folders[folder] = context.fs.real(folder or "/")
    return f"{folders[folder].rstrip('/')}/{name}"


def as_taken(space: Workspace, photos: Photos, context: Context, *, times: bool, headings: bool) -> Photos:
    """The same photos with what their cameras wrote, where camtrail has written since.

    Cameras have their own names. A time that we wrote holds for its photo and is no evidence for others: where the
    outing has GPS times of its own it is found again from them, else it stands as an offset of the clock.

    Parameters
    ----------
    times, headings : something is added to them: they are as they were before we last added something
    """
    with journal_in(space, context) as journal:
        latest = _latest(journal)
    taken = _originals(space, photos, latest, context, whole=times)
    if not taken:
        return photos
    names = ("make", "model", "local_s", "offset_s", "gps_time_s", "heading_deg", "course_deg")
    columns = {name: getattr(photos, name).copy() for name in names}
    for i, t in taken.items():
        for name in names[:5]:
            columns[name][i] = t.original[_AT[name]]
        if t.course_deg == t.course_deg and columns["course_deg"][i] != columns["course_deg"][i]:
            columns["course_deg"][i] = t.course_deg
        if headings and t.turned_deg != t.turned_deg:
            columns["heading_deg"][i] = t.original[_AT["heading_deg"]]
        elif headings:
            columns["heading_deg"][i] = (columns["heading_deg"][i] - t.turned_deg) % 360.0
    first = replace(photos, **columns)
    outing = clock.outings(first.local_s, bodies(first))
    has = np.isfinite(first.gps_time_s) & (outing >= 0)
    fixes = np.bincount(outing[has], minlength=int(outing.max(initial=-1)) + 1)
    for i, t in taken.items():
        if t.told is not None:
            is_dated = bool(outing[i] >= 0 and fixes[outing[i]] >= _LEAST_FIXES)
            values = _told_times(t.original, t.told, t.is_shifted, is_dated)
            for name, value in zip(names[2:5], values):
                columns[name][i] = value
    return replace(photos, **columns)


_Times = tuple[float, float, float]


def _times(row: read.Row) -> _Times:
    """Clock reading, its offset, GPS time."""
    return _number(row, "local_s"), _number(row, "offset_s"), _number(row, "gps_time_s")


def _told_times(original: read.Row, told: read.Row, is_shifted: bool, is_dated: bool) -> _Times:
    """The times that stand for a photo whose times we wrote.

    `is_dated`: GPS times of its outing date it without ours.
    """
    was, now = _times(original), _times(told)
    if is_dated and not is_shifted:
        return was
    local_s, _, gps_s = now
    if gps_s != gps_s or local_s != local_s or abs(gps_s - was[2]) < 1e-3:
        return now
    if is_dated:
        return _NAN, _NAN, gps_s
    return local_s, local_s - gps_s, _NAN


def _sidecar_plan(task: _Task, i: int, path: str, typed: str, item: Item, row: read.Row) -> Plan | None:
    fs = task.context.fs
    beside = fs.real(f"{item.file}.xmp")
    there, old, seen = None, None, None
    with contextlib.suppress(FileNotFoundError):
        seen = fs.status(beside)
        with fs.source(beside, seen.size_bytes) as source:
            there = source.read_at(0, seen.size_bytes)
        old = sidecar.values_of(there)
    told = row if old is None else _overlaid(row, old)
    values = differs(told, _described(task, item, _wanted(task, i, item, told), told))
    if not values:
        return None
    check_inside(beside, f"{typed}.xmp", item, task.context)
    if there is None or old is not None:
        whole = sidecar.sidecar(values if old is None else _merged(old, values))
    else:  # another program's, or one of ours that somebody added to: all of that stays
        whole = sidecar.edited_sidecar(there, sidecar.changes_of(values), f"{typed}.xmp")
    if whole == there:
        return None
    words = _words(values)
    splice = Splice(beside, whole, len(there or b""), "" if there is None else beside, words, seen)
    return Plan(splice, path, f"{typed}.xmp", words)


def _overlaid(row: read.Row, values: Values) -> read.Row:
    """What a photo and its sidecar say together."""
    cells: list[Any] = list(row)
    for name, value in _given(values):
        if name != "method":  # the reader of photos does not ask for it
            cells[_AT["gps_time_s" if name == "time_s" else name]] = value
    if values.heading_deg == values.heading_deg:
        cells[_AT["heading_ref"]] = "T"
    if values.lat_deg == values.lat_deg:
        cells[_AT["position_in"]] = "exif"
    return tuple(cells)


def _merged(old: Values, new: Values) -> Values:
    if old.method is not None and new.lat_deg == new.lat_deg:
        old = replace(old, method=None, error_m=_NAN)  # of the position that was
    return replace(old, **dict(_given(new)))


def _given(values: Values) -> list[tuple[str, Any]]:
    named = ((f.name, getattr(values, f.name)) for f in fields(Values))
    return [(name, value) for name, value in named if value is not None and value == value]


def _copy_plan(task: _Task, i: int, path: str, typed: str, item: Item, row: read.Row) -> Plan | None:
    """A new copy, or our own one with what it does not say yet."""
    fs = task.context.fs
    place = f"{task.target.rstrip('/')}/{item.path}"
    of_output = f"{task.to.output.rstrip('/')}/{item.path}"
    real = fs.real(place)
    try:
        size = fs.status(real).size_bytes
    except FileNotFoundError:
        values = differs(row, _described(task, item, _wanted(task, i, item, row), row))
        photo = fs.real(item.file)
        seen = fs.status(photo)
        with fs.source(photo) as source:
            head, tail_at = new_head(source, tags_of(values)) if values else (b"", 0)
        words = _words(values) or "copy"
        of = f" {copy_mark(path)}"
        return Plan(
            Splice(real, head, tail_at, photo, f"{words}{_marks(task, i, item, values)}{of}", seen),
            path, of_output, words,
        )  # fmt: skip
    except NotADirectoryError as e:
        raise SafetyRefusal(
            f"{shown(of_output)}: a folder of its path is a file", "name an empty folder for the copies"
        ) from e
    with fs.source(item.file) as source, fs.source(real, size) as copy:
        if not _is_our_copy(task, real, source, copy):
            raise SafetyRefusal(
                f"{shown(of_output)}: is there already and is another file",
                "name an empty folder for the copies",
            )
        told = read.header(copy)
        values = differs(told, _described(task, item, _wanted(task, i, item, told), told, copy))
    if not values:
        return None
    of = f"{_marks(task, i, item, values)} {copy_mark(path)}"
    return Plan(_patched(task, real, values, of), path, of_output, _words(values))


def _is_our_copy(task: _Task, real: str, source: ByteSource, copy: ByteSource) -> bool:
    """Whether a file is the copy that a run of ours made of this photo, as it left it; or an exact one of anybody's.

    The bytes behind the heads are compared: the photo may have changed since.
    """
    changes = task.latest.get(real, [])
    if not changes:
        return are_same(source, copy)
    original = _states(copy, changes)[-1]
    made = changes[-1]
    if made.kind != "new" or original.size != made.new_size:
        return False
    picture_at = picture.scan_at(original)
    scan_at = picture.scan_at(source)
    if picture_at < 0 or scan_at < 0:
        return are_same(source, original)
    return are_same(source, original, scan_at, picture_at)


def are_same(one: ByteSource, other: ByteSource, at: int = 0, other_at: int = 0) -> bool:
    """Whether two sources have the same bytes, from these offsets on. Raises UnreadableFile."""
    if one.size - at != other.size - other_at:
        return False
    return all(
        one.read_at(at + n, 1 << 20) == other.read_at(other_at + n, 1 << 20)
        for n in range(0, one.size - at, 1 << 20)
    )


def copy_mark(path: str) -> str:
    """What the journal notes of a copy.

    Parameters
    ----------
    path : of the photo, relative to the state's base
    """
    return f"{_COPY_OF}{quote(os.fsencode(path))}"


def copied_from(change: Change) -> str | None:
    """The photo of which a file is a copy that we made, relative to the state's base; None where it is none."""
    for word in change.tags.split():
        if word.startswith(_COPY_OF):
            return os.fsdecode(unquote_to_bytes(word.removeprefix(_COPY_OF)))
    return None


def _words(values: Values) -> str:
    """What is written, in words: `position altitude gps-time`."""
    named = (
        ("position", values.lat_deg), ("altitude", values.alt_m), ("gps-time", values.time_s),
        ("heading", values.heading_deg), ("accuracy", values.error_m), ("method", values.method),
        ("time", values.local_s),
        ("make", values.make), ("model", values.model), ("orientation", values.orientation),
        ("description", values.description),
    )  # fmt: skip
    return " ".join(name for name, value in named if value is not None and value == value)


class SentForms:
    """Photos as they are sent: with their descriptions, byte for byte what writing would make of the files.

    The files themselves stay as they are.

    Parameters
    ----------
    options : by which the result was found; None where that is not known
    """

    def __init__(
        self,
        result: Result,
        meta: ImportMetaOptions,
        context: Context,
        told: Told,
        options: ProcessOptions | None = None,
    ) -> None:
        to = WriteOptions(write="exif", description=True)
        said = import_meta.import_meta(result, meta, told.meta, context, result.notes)
        self._tasks = [
            _Task(space, collection, to, meta, said, told, "", options, context)
            for space, collection in zip(result.spaces, result.collections)
        ]
        for task in self._tasks:
            if task.space.has_journal(context.fs):
                with journal_in(task.space, context) as journal:
                    task.latest = _latest(journal)

    def of(self, collection: int, row: int, item: Item) -> tuple[bytes, int]:
        """New first bytes of one photo, and the offset in its file from which on the rest follows.

        No bytes, and 0, where the file says everything already.

        Raises
        ------
        SafetyRefusal
            The description cannot be added without loss.
        UnreadableFile
            The file cannot be read.
        """
        task = self._tasks[collection]
        cells = tuple(getattr(task.collection.photos, name)[row] for name in _COLUMNS)
        wanted = _described(task, item, _wanted(task, row, item, cells), cells)
        values = differs(cells, wanted)
        if not values:
            return b"", 0
        splice = _patched(task, task.context.fs.real(item.file), values, "")
        return splice.head, splice.tail_at


def apply_plans(
    plans: Sequence[Plan],
    space: Workspace,
    journal: SqliteJournal,
    options: ChangeOptions,
    written: Written,
    context: Context,
) -> None:
    """Writes files of one workspace; the caller owns its folder.

    Raises
    ------
    StorageError, CatalogError
        The disk is full, or the journal cannot be written; what was written before is undoable.
    """
    if options.write == "copy":
        for folder in sorted({os.path.dirname(p.splice.path) for p in plans}):
            try:
                context.fs.make_folder(folder)
            except OSError as e:
                reason = e.strerror or type(e).__name__
                raise StorageError(
                    f"{shown(folder)}: cannot be made ({reason})", "name another folder for the copies"
                ) from e
    answers = safeio.replace(
        context.fs,
        journal,
        [p.splice for p in plans],
        keep_mtime=not options.touch,
        break_links=options.break_hardlinks,
        done=lambda n: context.progress("write", n, len(plans)),
    )
    changed: list[str] = []
    for plan, answer in zip(plans, answers):
        if isinstance(answer, Failure):
            exit_code = 3 if answer.exit_code == SafetyRefusal.exit_code else answer.exit_code
            written.failures.append(replace(answer.at(plan.typed), exit_code=exit_code))
            written.add("failed")
        else:
            written.changes.append((plan.typed, plan.words))
            written.add("written")
            changed.append(plan.path)
    if options.write == "exif":
        read_again(space, changed, context)


def read_again(space: Workspace, paths: Sequence[str], context: Context) -> None:
    """Reads photos that we changed into the catalog: their sizes and times may be what they were.

    Parameters
    ----------
    paths : relative to the state's base; what the catalog does not know is left out
    """
    if not paths:
        return
    with Catalog(space.catalog) as catalog:
        known = catalog.photos()
        rows = []
        for path in paths:
            if path not in known:
                continue
            try:
                rows.append(read_one(context.fs, (path, context.fs.entry(space.absolute(path)))))
            except UnreadableFile:
                continue  # the next scan says so
        catalog.put_photos(rows)
