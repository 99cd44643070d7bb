"""What is known goes into the files: planned first, then written by the one safe writer, then undoable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from camtrail.app.context import Context
from camtrail.app.feeds import is_track
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.scan import read_one
from camtrail.app.state import Workspace, absolute, workspaces
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.catalog.journal import SqliteJournal
from camtrail.catalog.store import Catalog
from camtrail.core.bytes import ByteSource, SplicedBytes
from camtrail.core.errors import (
    CamtrailError,
    Failure,
    FolderBusy,
    InputError,
    SafetyRefusal,
    UnreadableFile,
    UsageError,
    failure_of,
)
from camtrail.core.journal import Change, back
from camtrail.core.model import Collection, Item, Photos
from camtrail.core.names import shown
from camtrail.exports.image_description import DescriptionExtras, image_description
from camtrail.metadata import read, safeio, sidecar
from camtrail.metadata.safeio import Splice
from camtrail.metadata.write import NewTags, Values, carried, differs, new_head, tags_of

__all__ = ["Written", "as_taken", "locked", "read_again", "run", "write"]

_TURNS = {0: 1, 90: 6, 180: 3, 270: 8}  # clockwise rotation for display -> EXIF orientation


@dataclass(slots=True)
class Written:
    """What was written, or would be."""

    mode: str
    counts: dict[str, int] = field(default_factory=dict)  # written, unchanged, failed
    changes: list[tuple[str, str]] = field(default_factory=list)  # path as typed, what in words
    failures: list[Failure[str]] = field(default_factory=list)

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
) -> tuple[Result, Written]:
    """One of the workflows of `process`, and then its answers into the files, in folders that are ours alone.

    Raises
    ------
    FolderBusy
        Another run owns a folder.
    """
    if to.write in ("", "none"):
        return job(paths, options, context), Written("none")
    spaces: list[Workspace] = []
    if not to.dry_run:
        photos = [p for p in paths if not is_track(p, context)]
        spaces = workspaces(context.fs, photos, options.scan.state_dir, flat=options.scan.skip_subfolders)
    with locked(spaces, to.wait, context):
        result = job(paths, options, context)
        return result, write(result, to, meta, context)


def write(result: Result, to: WriteOptions, meta: ImportMetaOptions, context: Context) -> Written:
    """Writes what a result knows into its photos; the caller owns the folders.

    Only what differs from the file is written: position, altitude, GPS time; headings only where a source or an
    option gave them; make, model, orientation where an option did.

    Raises
    ------
    UsageError
        `copy` without a folder, or with one among the photos.
    StorageError, CatalogError
        The disk is full, or the journal cannot be written; what was written before is undoable.
    """
    written = Written(to.write)
    target = _copy_folder(to, result)
    extras = _extras(meta, context)
    for space, collection in zip(result.spaces, result.collections):
        with _journal(space, result.command, context) as journal:
            plans = _planned(collection, space, journal, to, meta, extras, target, written, context)
            if to.dry_run:
                written.changes += [(p.typed, p.words) for p in plans]
                written.add("to be written", len(plans))
            else:
                _apply(plans, space, journal, to, written, context)
    return written


@dataclass(frozen=True, slots=True)
class _Plan:
    """One file to be written."""

    splice: Splice
    typed: str
    words: str


def _journal(space: Workspace, command: str, context: Context) -> SqliteJournal:
    journal = SqliteJournal(space.journal, space.base, command, context.clock.now_s())
    try:
        begun = [(number, change) for number, _, change in journal.changes(("begun",))]
        safeio.settle(context.fs, journal, begun)
    except BaseException:
        journal.close()
        raise
    return journal


def _copy_folder(options: WriteOptions, result: Result) -> str:
    if options.write != "copy":
        if options.output:
            raise UsageError("-o names the folder of --write copy", "add --write copy, or leave it out")
        return ""
    if not options.output:
        raise UsageError("--write copy needs a folder for the copies", "give -o DIR")
    target = absolute(options.output)
    for c in result.collections:
        for root in c.roots:
            if target == root or target.startswith(root.rstrip("/") + "/"):
                raise UsageError(
                    f"{shown(options.output)}: lies among the photos",
                    "name a folder outside of them for the copies",
                )
    return target


def _planned(
    collection: Collection,
    space: Workspace,
    journal: SqliteJournal,
    options: WriteOptions,
    meta: ImportMetaOptions,
    extras: _Extras,
    target: str,
    written: Written,
    context: Context,
) -> list[_Plan]:
    """What is to be done, file by file; what cannot be done is among the failures."""
    latest = _latest(journal)
    plans: list[_Plan] = []
    rows = _rows(collection.photos)
    offsets = zip(collection.photos.offset_s.tolist(), collection.ranks.turned_deg.tolist())
    descriptions = collection.photos.description.tolist()
    paths = collection.photos.path.tolist()
    for path, item, row, (offset_s, turned), old in zip(
        paths, collection.items(), rows, offsets, descriptions
    ):
        if item.outcome in ("unreadable", "unsupported"):
            continue
        typed = space.as_typed(path)
        try:
            try:
                wanted = _wanted(item, options, meta, extras, offset_s, turned, old)
            except (ValueError, TypeError) as e:  # what the user's JSON says
                raise InputError(meta.import_meta_source_path, str(e), "correct it") from e
            plan = _plan(item, typed, row, wanted, options, target, latest, context)
        except CamtrailError as e:
            written.failures.append(_failure(typed, e))
            written.add("failed")
            continue
        if plan is None:
            written.add("unchanged")
        else:
            plans.append(plan)
    return plans


def _failure(typed: str, e: CamtrailError) -> Failure[str]:
    failure = failure_of(typed, e)
    # A refusal of one file is an item that could not be written.
    return replace(failure, exit_code=3) if failure.exit_code == SafetyRefusal.exit_code else failure


def _rows(photos: Photos) -> Iterator[read.Row]:
    """What the scan read of each file, as the reader gave it."""
    names = [f.name for f in fields(Photos)]
    names = names[names.index("mtime_ns") + 1 : names.index("fault")]
    return zip(*(getattr(photos, name).tolist() for name in names))


def _latest(journal: SqliteJournal) -> dict[str, list[Change]]:
    """Our changes to each file, the newest first."""
    found: dict[str, list[Change]] = {}
    for _, _, change in journal.changes(("done",)):
        found.setdefault(change.path, []).append(change)
    return found


@dataclass(frozen=True, slots=True)
class _Extras:
    """What `--import-meta-source json` says: for all photos, and by file name."""

    everywhere: dict[str, Any]
    by_name: dict[str, dict[str, Any]]
    import_ms: int

    def of(self, item: Item) -> dict[str, Any]:
        """What is said of one photo."""
        named = self.by_name.get(item.path) or self.by_name.get(item.path.rpartition("/")[2]) or {}
        return {**self.everywhere, **named}


_META_KEYS = (
    "MAPOrientation",
    "MAPDeviceMake",
    "MAPDeviceModel",
    "MAPGPSAccuracyMeters",
    "MAPMetaTags",
    "MAPCameraUUID",
)


def _extras(meta: ImportMetaOptions, context: Context) -> _Extras:
    now_ms = int(context.clock.now_s() * 1000)
    if meta.import_meta_source != "json":
        return _Extras({}, {}, now_ms)
    if not meta.import_meta_source_path:
        raise UsageError("--import-meta-source json needs a file", "give --import-meta-source-path FILE")
    import json

    path = meta.import_meta_source_path
    with context.fs.source(path) as source:
        raw = source.read_at(0, source.size)
    try:
        found = json.loads(raw)
    except ValueError as e:
        raise InputError(path, f"is no JSON ({e})", "write it again") from e
    if not isinstance(found, dict):
        raise InputError(
            path, "is no JSON object", "give one object of MAP keys, or one object for each file name"
        )
    if any(key in _META_KEYS for key in found):
        return _Extras({k: v for k, v in found.items() if k in _META_KEYS}, {}, now_ms)
    named = {name: value for name, value in found.items() if isinstance(value, dict)}
    if not named:
        raise InputError(path, "has no key that camtrail knows", f"known: {', '.join(_META_KEYS)}")
    return _Extras({}, named, now_ms)


def _wanted(
    item: Item,
    options: WriteOptions,
    meta: ImportMetaOptions,
    extras: _Extras,
    offset_s: float,
    turned_deg: float,
    old_description: str | None,
) -> Values:
    """What the file is to say."""
    said = extras.of(item)
    nan = float("nan")
    has_place = item.lat_deg == item.lat_deg and item.outcome != "unreadable"
    # A time by this machine's zone is a guess, unless a track agrees with it.
    is_sure = item.time_source != "machine" or item.fix_before_s == item.fix_before_s
    given = item.heading_source not in (None, "exif", "course", "track", "sequence") or turned_deg != 0.0
    accuracy = meta.gps_accuracy_m if meta.gps_accuracy_m is not None else said.get("MAPGPSAccuracyMeters")
    make = meta.device_make or said.get("MAPDeviceMake")
    model = meta.device_model or said.get("MAPDeviceModel")
    orientation = _TURNS[int(meta.orientation)] if meta.orientation else said.get("MAPOrientation")
    local_s, ahead_s = nan, nan
    if options.fix_time and item.time_s == item.time_s and item.local_s == item.local_s:
        ahead_s = round((item.local_s - item.time_s) / 900.0) * 900.0
        local_s, ahead_s = item.time_s + ahead_s, ahead_s if offset_s == offset_s else nan
    values = Values(
        lat_deg=item.lat_deg if has_place else nan,
        lon_deg=item.lon_deg if has_place else nan,
        alt_m=item.alt_m if has_place else nan,
        time_s=item.time_s if has_place and is_sure else nan,
        heading_deg=item.heading_deg if given else nan,
        error_m=float(accuracy) if accuracy is not None and has_place else nan,
        local_s=local_s,
        offset_s=ahead_s,
        make=str(make) if make else None,
        model=str(model) if model else None,
        orientation=int(orientation) if orientation else None,
    )
    if not options.description or item.outcome not in ("located", "estimated") or item.time_s != item.time_s:
        return values
    more = DescriptionExtras(
        orientation=values.orientation,
        make=values.make,
        model=values.model,
        accuracy_m=float(accuracy) if accuracy is not None else None,
        original_file_name=item.path if meta.add_file_name else None,
        import_date_ms=_import_date(old_description, extras.import_ms) if meta.add_import_date else None,
        meta_tags=said.get("MAPMetaTags") or {},
    )
    return replace(values, description=image_description(item, more))


def _import_date(old_description: str | None, now_ms: int) -> int:
    """The date that the file says already, else now."""
    import json

    try:
        dates = json.loads(old_description or "")["MAPMetaTags"]["dates"]
        return next(int(d["value"]) for d in dates if d["key"] == "import_date")
    except (ValueError, TypeError, KeyError, StopIteration):
        return now_ms


def _plan(
    item: Item,
    typed: str,
    row: read.Row,
    wanted: Values,
    options: WriteOptions,
    target: str,
    latest: dict[str, list[Change]],
    context: Context,
) -> _Plan | None:
    """How the file comes to say it; None where it does already."""
    values = differs(row, wanted)
    if options.write == "sidecar":
        return _sidecar_plan(item, typed, values, context)
    if options.write == "copy":
        return _copy_plan(item, typed, values, target, context)
    if not values:
        return None
    real = context.fs.real(item.file)
    if not real.startswith(context.fs.real(item.root).rstrip("/") + "/"):
        raise SafetyRefusal(
            f"{shown(typed)}: is a link to {shown(real)}, outside of the folder", "name that folder as a PATH"
        )
    with context.fs.source(real) as source:
        original = _original(source, latest.get(real) or latest.get(item.file) or [])
        before = carried(original, source) if original is not source else NewTags()
        head, tail_at = new_head(original, tags_of(values), before)
        while isinstance(original, SplicedBytes):
            tail_at, original = original.inner_offset(tail_at), original.inner
    words = _words(values)
    return _Plan(Splice(real, head, tail_at, real, words), typed, words)


def _original(source: ByteSource, changes: Sequence[Change]) -> ByteSource:
    """The file as it was before our first addition, as far back as it is still as we left it."""
    inner: ByteSource = source
    for change in changes:
        if change.kind != "patch" or inner.size != change.new_size:
            return inner
        head = inner.read_at(0, change.head_bytes)
        if safeio.sha256(head) != change.new_sha256:
            return inner
        inner = SplicedBytes(inner, back(head, change.undo), change.head_bytes)
    return inner


def as_taken(space: Workspace, photos: Photos, context: Context, *, whole: bool) -> Photos:
    """The same photos with what their cameras wrote, where camtrail has written since.

    Parameters
    ----------
    whole : clock, GPS time and heading, too, not only make and model
    """
    with SqliteJournal(space.journal, space.base) as journal:
        latest = _latest(journal)
    names = ["make", "model"]
    if whole:
        names += ["local_s", "offset_s", "gps_time_s", "heading_deg", "heading_ref"]
    columns = {name: getattr(photos, name).copy() for name in names}
    order = [f.name for f in fields(Photos)]
    first = order.index("mtime_ns") + 1
    for i, name in enumerate(photos.path.tolist()):
        path = space.absolute(name)
        changes = latest.get(path) or (latest.get(context.fs.real(path)) if latest else None)
        if not changes:
            continue
        try:
            with context.fs.source(path) as source:
                original = _original(source, changes)
                row = read.header(original) if original is not source else None
        except UnreadableFile:
            continue
        if row is not None:
            for column_name, column in columns.items():
                column[i] = row[order.index(column_name) - first]
    return replace(photos, **columns)


def _sidecar_plan(item: Item, typed: str, values: Values, context: Context) -> _Plan | None:
    if not values:
        return None
    path = context.fs.real(f"{item.file}.xmp")
    data = sidecar.sidecar(values)
    try:
        size = context.fs.status(path).size_bytes
    except FileNotFoundError:
        return _Plan(Splice(path, data, 0, "", _words(values)), f"{typed}.xmp", _words(values))
    with context.fs.source(path, size) as source:
        old = source.read_at(0, size)
    if old == data:
        return None
    if not sidecar.is_ours(old):
        raise SafetyRefusal(
            f"{shown(typed)}.xmp: was written by another program", "use --write exif or copy for this photo"
        )
    return _Plan(Splice(path, data, size, path, _words(values)), f"{typed}.xmp", _words(values))


def _copy_plan(item: Item, typed: str, values: Values, target: str, context: Context) -> _Plan | None:
    path = f"{target.rstrip('/')}/{item.path}"
    with context.fs.source(item.file) as source:
        head, tail_at = new_head(source, tags_of(values)) if values else (b"", 0)
        try:
            size = context.fs.status(path).size_bytes
        except FileNotFoundError:
            words = _words(values) if values else "copy"
            return _Plan(Splice(path, head, tail_at, item.file, words), typed, words)
        with context.fs.source(path, size) as copy:
            rest = source.size - tail_at
            same = size == len(head) + rest and copy.read_at(0, len(head)) == head
            if same and all(
                copy.read_at(len(head) + at, 1 << 20) == source.read_at(tail_at + at, 1 << 20)
                for at in range(0, rest, 1 << 20)
            ):
                return None
    raise SafetyRefusal(
        f"{shown(path)}: is there already and is another file", "name an empty folder for the copies"
    )


def _words(values: Values) -> str:
    """What is written, in words: `position altitude gps-time`."""
    named = (
        ("position", values.lat_deg), ("altitude", values.alt_m), ("gps-time", values.time_s),
        ("heading", values.heading_deg), ("accuracy", values.error_m), ("time", values.local_s),
        ("make", values.make), ("model", values.model), ("orientation", values.orientation),
        ("description", values.description),
    )  # fmt: skip
    return " ".join(name for name, value in named if value is not None and value == value)


def _apply(
    plans: Sequence[_Plan],
    space: Workspace,
    journal: SqliteJournal,
    options: WriteOptions,
    written: Written,
    context: Context,
) -> None:
    if options.write == "copy":
        for folder in sorted({os.path.dirname(p.splice.path) for p in plans}):
            context.fs.make_folder(folder)
    typed = {p.splice.path: p.typed for p in plans}
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
            written.failures.append(replace(answer.at(typed[plan.splice.path]), exit_code=exit_code))
            written.add("failed")
        else:
            written.changes.append((plan.typed, plan.words))
            written.add("written")
            changed.append(plan.splice.path)
    if options.write == "exif":
        read_again(space, changed, context)


def read_again(space: Workspace, files: Sequence[str], context: Context) -> None:
    """Reads files that we changed into the catalog: their times may be what they were."""
    rows = []
    prefix = space.base.rstrip("/") + "/"
    for file in files:
        if not file.startswith(prefix):
            continue
        try:
            entry = context.fs.entry(file)
            rows.append(read_one(context.fs, (space.relative(file), entry)))
        except UnreadableFile:
            continue  # the next scan says so
    with Catalog(space.catalog) as catalog:
        known = catalog.photos()
        catalog.put_photos([row for row in rows if row[0] in known])
