"""Places by time: photos that have a place are put together to stays, and photos that have none get theirs."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime

import numpy as np

from camtrail.app import process as app
from camtrail.app.context import Context
from camtrail.app.export import check_target
from camtrail.app.places_options import MAPPING, ApplyOptions, BuildOptions
from camtrail.app.places_table import MARK, Stays, clock_text, read_table, table
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.scan import ScanOptions
from camtrail.app.state import Workspace, workspaces
from camtrail.app.write import (
    Plan,
    Written,
    apply_plans,
    are_same,
    check_options,
    copy_folder,
    copy_mark,
    journal_in,
    locked,
    settle,
    write,
)
from camtrail.app.write_options import ChangeOptions, ImportMetaOptions, Told, WriteOptions
from camtrail.core import timezones
from camtrail.core.errors import CamtrailError, Failure, SafetyRefusal, UnreadableFile, UsageError, failure_of
from camtrail.core.model import Bools, Collection, Floats, texts
from camtrail.core.names import shown
from camtrail.metadata import safeio
from camtrail.metadata.method import ESTIMATE, position_method
from camtrail.metadata.safeio import Splice
from camtrail.metadata.write import Values
from camtrail.metadata.xmp_packet import named, properties
from camtrail.steps.name_dates import date_in
from camtrail.steps.places import Nearest, PlaceOptions, centres, extents, grouped, nearest

__all__ = ["Applied", "Built", "Estimate", "apply", "build", "stays_of"]

_NAN = float("nan")
_LEAST_ERROR_M = 100.0  # of an estimate
_UNKNOWN_RADIUS_M = 3000.0  # of a place in a table of the older notebooks, which take 3 km together
_WALK_MPS = 1.5  # how far somebody gets who leaves a place
_DAY_S = 86400.0


@dataclass(slots=True)
class Built:
    """What a run of `build` came to."""

    result: Result
    stays: Stays
    data: bytes  # of the table
    written: Written = field(default_factory=lambda: Written("none"))  # copies of the groups


@dataclass(frozen=True, slots=True)
class Estimate:
    """The place that one photo got, and by which stay."""

    typed: str
    lat_deg: float
    lon_deg: float
    error_m: float
    radius_m: float  # NaN where unknown
    start: str  # of the stay, by the clocks of its photos; "" where unknown
    end: str
    outside_s: float  # the photo was taken so long before or after the stay; 0: within
    photo_s: float  # to the nearest photo that is known of it
    by: str  # instant or clock: what was compared
    is_dated_by_file: bool


@dataclass(slots=True)
class Applied:
    """What a run of `apply` came to."""

    result: Result
    estimates: list[Estimate] = field(default_factory=list)
    dated: list[str] = field(default_factory=list)  # photos that got their file's date, as typed
    written: Written = field(default_factory=lambda: Written("none"))


# From photos to stays.


def build(
    paths: Sequence[str], scan: ScanOptions, places: PlaceOptions, options: BuildOptions, context: Context
) -> Built:
    """Puts photos with time and position together to stays, and writes them as a table.

    With `-` for the table only the result has it. Places that camtrail has estimated are no evidence and count for
    nothing.

    Raises
    ------
    SafetyRefusal
        The table is there and is none of camtrail's.
    UsageError
        The folder for copies lies among the photos.
    FolderBusy
        Copies are to be made, and another run owns the folder.
    StorageError
        The table or the copies cannot be written.
    """
    target = options.output or MAPPING
    if target != "-":
        check_target(target, MARK, options.force, context)
    started = context.clock.monotonic_s()
    is_copying = bool(options.copy_groups) and not options.dry_run
    flat = scan.skip_subfolders
    spaces = workspaces(context.fs, paths, scan.state_dir, flat=flat) if is_copying else []
    with locked(spaces, options.wait, context):
        for space in spaces:
            settle(space, context)
        result = app.scan(paths, ProcessOptions(scan=scan), context)
        result.command = "places build"
        stays, members = _stays(result, places, context)
        built = Built(result, stays, b"".join(table(stays)))
        if options.copy_groups:
            _copy_groups(built, members, options, context)
    if target != "-" and not options.dry_run:
        safeio.put(context.fs, target, [built.data])
        result.outputs.append(os.fspath(target))
    result.failures += built.written.failures
    result.elapsed_s = context.clock.monotonic_s() - started
    return built


def stays_of(
    paths: Sequence[str], scan: ScanOptions, places: PlaceOptions, context: Context
) -> tuple[Stays, Result]:
    """The stays of the photos at PATHs, and what was found there; nothing is written."""
    result = app.scan(paths, ProcessOptions(scan=scan), context)
    return _stays(result, places, context)[0], result


_Member = tuple[int, int]  # number of the collection, row in it


def _stays(result: Result, options: PlaceOptions, context: Context) -> tuple[Stays, list[list[_Member]]]:
    """The stays of a result, and which photos they are of, in the order of time."""
    parts = list(zip(result.spaces, result.collections))
    columns = [_evidence(space, c, context, result.notes) for space, c in parts]
    time_s, instant_s, local_s, lat, lon = (
        np.concatenate(column) if columns else np.zeros(0) for column in zip(*columns)
    )
    owner = [(number, row) for number, (_, c) in enumerate(parts) for row in range(len(c))]
    label = grouped(time_s, lat, lon, options)
    middle = centres(label, lat, lon)
    start_s, end_s = extents(label, instant_s)
    start_local_s, end_local_s = extents(label, np.floor(local_s))
    k = len(middle.count)
    members: list[list[_Member]] = [[] for _ in range(k)]
    taken = np.flatnonzero(label >= 0)
    several = sum(len(c.roots) for _, c in parts) > 1
    names = [_names(space, c, several) for space, c in parts]
    for i in taken[np.argsort(time_s[taken], kind="stable")].tolist():
        members[int(label[i])].append(owner[i])
    ids = np.empty(k, object)
    ids[:] = [tuple(names[number][row] for number, row in group) for group in members]
    cameras = texts([_cameras(group, result.collections) for group in members])
    known = (start_s == start_s) & (end_s == end_s)
    return Stays(
        np.where(known, start_s, np.nan), np.where(known, end_s, np.nan), start_local_s, end_local_s,
        middle.lat_deg, middle.lon_deg, middle.radius_m, middle.count, cameras, ids,
        instant_s[taken], np.floor(local_s)[taken], label[taken],
    ), members  # fmt: skip


def _evidence(
    space: Workspace, c: Collection, context: Context, notes: list[str]
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Time that orders, instant where it is known, clock reading, latitude and longitude of each photo.

    NaN where a photo is none that counts.
    """
    p = c.places
    ours = _estimated(c, context)
    if ours.any():
        n = int(ours.sum())
        said = (
            "1 photo has an estimated place, which counts"
            if n == 1
            else f"{n:,} photos have estimated places, which count"
        )
        notes.append(f"{said} for no place of their own")
    is_guess = np.array([s == "machine" for s in p.time_source.tolist()], bool)
    counts = ~ours & np.array([f is None for f in c.photos.fault.tolist()], bool)
    local_s = _local_s(c)
    return (
        np.where(counts, p.time_s, np.nan), np.where(is_guess, np.nan, p.time_s), local_s,
        np.where(counts, p.lat_deg, np.nan), np.where(counts, p.lon_deg, np.nan),
    )  # fmt: skip


def _estimated(c: Collection, context: Context) -> Bools:
    """(n,) which photos have a place that camtrail has estimated; only those that say an error are asked."""
    out = np.zeros(len(c), bool)
    p = c.photos
    is_candidate = np.isfinite(p.error_m) & np.isfinite(p.lat_deg)
    for i in np.flatnonzero(is_candidate).tolist():
        with (
            contextlib.suppress(UnreadableFile),
            context.fs.source(f"{c.base.rstrip('/')}/{p.path[i]}") as source,
        ):
            out[i] = position_method(source) == ESTIMATE
    return out


def _local_s(c: Collection) -> Floats:
    """Readings of the clocks; of photos that have GPS time alone, the reading of a clock in the zone there."""
    local_s = c.photos.local_s.copy()
    p = c.places
    rows = np.flatnonzero(~np.isfinite(local_s) & np.isfinite(p.time_s) & np.isfinite(p.lat_deg))
    for i, zone in zip(rows.tolist(), timezones.zones_at(p.lat_deg[rows], p.lon_deg[rows]).tolist()):
        if zone is not None:
            local_s[i] = _reading(float(p.time_s[i]), zone)
    return local_s


def _reading(time_s: float, zone: str) -> float:
    try:
        return datetime.fromtimestamp(time_s, timezones.named(zone)).replace(tzinfo=UTC).timestamp()
    except (OverflowError, ValueError, OSError):
        return _NAN


def _names(space: Workspace, c: Collection, several: bool) -> list[str]:
    paths = c.photos.path.tolist()
    return [space.as_typed(path) for path in paths] if several else [item.path for item in c.items()]


def _cameras(group: Sequence[_Member], collections: Sequence[Collection]) -> str | None:
    found = set()
    for number, row in group:
        photos = collections[number].photos
        make, model = photos.make[row] or "", photos.model[row] or ""
        found.add(model if model.startswith(make) else f"{make} {model}".strip())
    return "; ".join(sorted(found - {""})) or None


def _copy_groups(
    built: Built, members: Sequence[Sequence[_Member]], options: BuildOptions, context: Context
) -> None:
    """Copies of the photos, `1_NAME.jpg` of the first place and so on; what is there already stays."""
    result, written = built.result, built.written
    written.mode = "copy"
    to = WriteOptions(write="copy", output=options.copy_groups)
    target = copy_folder(to, result, context)
    plans: list[list[Plan]] = [[] for _ in result.spaces]
    taken: set[str] = set()
    for number, group in enumerate(members, 1):
        for part, row in group:
            space = result.spaces[part]
            path = str(result.collections[part].photos.path[row])
            name = _free_name(f"{number}_{path.rpartition('/')[2]}", taken)
            typed = f"{options.copy_groups.rstrip('/')}/{name}"
            try:
                plan = _copy_plan(space, path, f"{target.rstrip('/')}/{name}", typed, context)
            except CamtrailError as e:
                written.failures.append(replace(failure_of(typed, e), exit_code=3))
                written.add("failed")
                continue
            if plan is None:
                written.add("unchanged")
            else:
                plans[part].append(plan)
    for space, of_space in zip(result.spaces, plans):
        if options.dry_run:
            written.changes += [(plan.typed, plan.words) for plan in of_space]
            written.add("to be written", len(of_space))
        elif of_space:
            with journal_in(space, context, result.command) as journal:
                apply_plans(of_space, space, journal, ChangeOptions(write="copy"), written, context)


def _free_name(name: str, taken: set[str]) -> str:
    """The name, or `NAME~2.jpg` where another photo of the group has it; letters that fold to one count as one."""
    stem, suffix = os.path.splitext(name)
    number = 1
    while (new := name if number == 1 else f"{stem}~{number}{suffix}").casefold() in taken:
        number += 1
    taken.add(new.casefold())
    return new


def _copy_plan(space: Workspace, path: str, place: str, typed: str, context: Context) -> Plan | None:
    """One exact copy; None where it is there already. Raises SafetyRefusal where another file is."""
    fs = context.fs
    photo, real = fs.real(space.absolute(path)), fs.real(place)
    try:
        size = fs.status(real).size_bytes
    except FileNotFoundError:
        splice = Splice(real, b"", 0, photo, f"copy {copy_mark(path)}", fs.status(photo))
        return Plan(splice, path, typed, "copy")
    except NotADirectoryError as e:
        raise SafetyRefusal(f"{shown(typed)}: its folder is a file", "name an empty folder") from e
    with fs.source(photo) as source, fs.source(real, size) as there:
        if are_same(source, there):
            return None
    raise SafetyRefusal(f"{shown(typed)}: is there already and is another file", "name an empty folder")


# From stays to photos.


def apply(
    paths: Sequence[str], scan: ScanOptions, places: PlaceOptions, options: ApplyOptions, context: Context
) -> Applied:
    """Gives photos at PATHs that have no position the place of the stay that they were taken in.

    A photo gets the place whose span holds its capture time, else that of the nearest span within the limit, else
    none. One that has a position keeps it; one of which only the day is known, by its name, gets none. What is
    written is marked as an estimate, and says how far off it may be.

    Raises
    ------
    UsageError
        No places are given, or options contradict each other.
    InputError
        The table or a PATH cannot be used.
    FolderBusy
        Another run owns a folder.
    StorageError, CatalogError
        The disk is full, or the journal cannot be written; what was written before is undoable.
    """
    started = context.clock.monotonic_s()
    to = _write_options(options)
    known, notes, failures = _known_stays(options, scan, places, context)
    is_writing = to.write != "none" and not to.dry_run
    flat = scan.skip_subfolders
    spaces = workspaces(context.fs, paths, scan.state_dir, flat=flat) if is_writing else []
    with locked(spaces, to.wait, context):
        for space in spaces:
            settle(space, context)
        result = app.scan(paths, ProcessOptions(scan=scan), context)
        result.command = "places apply"
        result.notes = [*notes, *result.notes]
        result.failures += failures
        done = Applied(result)
        values: dict[str, Values] = {}
        for number, (space, c) in enumerate(zip(result.spaces, result.collections)):
            asked = _Asked(space, c, known, places, options, to.write, context)
            result.collections[number] = asked.settled(done, values)
        if to.write != "none":
            done.written = write(result, to, ImportMetaOptions(), context, told=Told(values=values))
    result.failures += done.written.failures
    result.notes += done.written.notes
    result.elapsed_s = context.clock.monotonic_s() - started
    return done


def _write_options(options: ApplyOptions) -> WriteOptions:
    mode = options.write or ("copy" if options.output else "none")
    to = WriteOptions(
        write=mode, output=options.output, break_hardlinks=options.break_hardlinks, touch=options.touch,
        dry_run=options.dry_run, wait=options.wait,
    )  # fmt: skip
    check_options(to, ImportMetaOptions())
    return to


def _known_stays(
    options: ApplyOptions, scan: ScanOptions, places: PlaceOptions, context: Context
) -> tuple[Stays, list[str], list[Failure[str]]]:
    """The stays that are given, what is to be said of them, and what could not be read."""
    if bool(options.mapping) == bool(options.rolls):
        raise UsageError(
            "places come from a table or from photos" + (", not from both" if options.mapping else ""),
            "give --mapping FILE.csv or --from FOLDER",
        )
    if options.mapping:
        with context.fs.source(options.mapping) as source:
            data = source.read_at(0, source.size)
        stays = read_table(data, options.mapping)
        return stays, [] if len(stays) else [f"{shown(options.mapping)}: has no places"], []
    made: list[Stays] = []
    notes: list[str] = []
    failures: list[Failure[str]] = []
    for roll in dict.fromkeys(options.rolls):  # each by itself: two people may be in two places at one time
        stays, result = stays_of([roll], replace(scan, rerun=False), places, context)
        made.append(stays)
        notes += result.notes
        failures += result.failures
        if not len(stays):
            notes.append(f"{shown(roll)}: has no photo with time and position")
    return _joined(made), notes, failures


def _joined(parts: Sequence[Stays]) -> Stays:
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    moved = [replace(part, stay=part.stay + at) for part, at in zip(parts, offsets)]
    return Stays(*(np.concatenate([getattr(part, f.name) for part in moved]) for f in fields(Stays)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The photos of one workspace, and the stays that they may belong to."""

    space: Workspace
    c: Collection
    stays: Stays
    places: PlaceOptions
    options: ApplyOptions
    mode: str
    context: Context

    def settled(self, done: Applied, values: dict[str, Values]) -> Collection:
        """The same photos with the places that they got; what is to be written goes into `values`."""
        c, p = self.c, self.c.places
        when = _moments(c, self.options.set_dates, self.context.clock.now_s())
        near, is_instant = _belonging(self.stays, when, self.places.within_s)
        placed = np.isfinite(c.photos.lat_deg) | np.isfinite(p.lat_deg)
        ours = _estimated(c, self.context)
        lat, lon, error = p.lat_deg.copy(), p.lon_deg.copy(), p.error_m.copy()
        outcome, reason, source = p.outcome.copy(), p.reason.copy(), p.position_source.copy()
        for i, path in enumerate(c.photos.path.tolist()):
            if c.photos.fault[i] is not None:
                continue
            typed, file = self.space.as_typed(path), self.space.absolute(path)
            new = Values(local_s=float(when.local_s[i]) if when.by_file[i] else _NAN)
            if when.by_file[i]:
                done.dated.append(typed)
            beside = None if placed[i] else self._sidecar(file)
            if ours[i] or beside == ESTIMATE:
                outcome[i], reason[i] = "estimated", "has the place that an earlier run estimated"
            elif beside is not None:
                outcome[i], reason[i] = "located", "its sidecar has a position"
            elif placed[i]:
                if when.by_file[i]:
                    outcome[i], reason[i] = "located", "the date of its file is its capture time"
            elif when.day_only[i]:
                outcome[i] = "no_time"
                reason[i] = "its capture time is the midnight of the day that its name tells, no time of day"
            elif not when.is_known[i]:
                outcome[i] = "no_time"
                reason[i] = "has no capture time; --set-dates takes the date of its file"
            elif not near.outside_s[i] <= self.places.within_s:
                outcome[i] = "no_place"
                reason[i] = self._far_words(int(near.row[i]), float(near.outside_s[i]))
            else:
                made = self._estimate(typed, near, i, bool(is_instant[i]), bool(when.by_file[i]))
                done.estimates.append(made)
                lat[i], lon[i], error[i] = made.lat_deg, made.lon_deg, made.error_m
                outcome[i], reason[i], source[i] = "estimated", _words(made), "estimate"
                new = replace(
                    new, lat_deg=made.lat_deg, lon_deg=made.lon_deg, error_m=made.error_m, method=ESTIMATE
                )
            values[file] = new
        at = replace(p, lat_deg=lat, lon_deg=lon, error_m=error)
        return replace(c, places=replace(at, outcome=outcome, reason=reason, position_source=source))

    def _sidecar(self, file: str) -> str | None:
        """How the position in a sidecar was found; "" where it does not say how, None where it has no position.

        Our estimate in a sidecar counts only where sidecars are written: elsewhere the photo is to get it, too.
        """
        fs = self.context.fs
        try:
            size = fs.status(fs.real(f"{file}.xmp")).size_bytes
        except OSError:
            return None
        try:
            with fs.source(f"{file}.xmp", size) as source:
                found = properties(source.read_at(0, size), f"{file}.xmp")
        except UnreadableFile:
            return None
        if named("exif:GPSLatitude") not in found:
            return None
        method = found.get(named("exif:GPSProcessingMethod"))
        text = method.text if method is not None else ""
        return None if text == ESTIMATE and self.mode not in ("sidecar", "none") else text or ""

    def _far_words(self, k: int, outside_s: float) -> str:
        if k < 0:
            return "no place is known of any time"
        span = _span_words(self.stays, k)
        return f"no place is known within {self.places.within_s:g} s; the nearest, {span}, is {outside_s:.0f} s away"

    def _estimate(self, typed: str, near: Nearest, i: int, is_instant: bool, is_by_file: bool) -> Estimate:
        stays, k = self.stays, int(near.row[i])
        radius, outside = float(stays.radius_m[k]), float(near.outside_s[i])
        return Estimate(
            typed, float(stays.lat_deg[k]), float(stays.lon_deg[k]), _error_m(radius, outside), radius,
            *_span(stays, k), outside, float(near.photo_s[i]), "instant" if is_instant else "clock", is_by_file,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """When photos were taken; every column has shape (n,)."""

    time_s: Floats  # the instant, NaN where unknown or a guess
    local_s: Floats  # reading of the clock, whole seconds
    by_file: Bools  # whether it is the date of the file
    day_only: Bools  # whether its name tells the day and no more is known; such a photo has no moment

    @property
    def is_known(self) -> Bools:
        """Whether there is one at all."""
        return np.asarray(np.isfinite(self.time_s) | np.isfinite(self.local_s))


def _moments(c: Collection, set_dates: bool, now_s: float) -> _Moments:
    """A time that was found by the zone of this machine is a guess: the reading of the clock counts alone."""
    local_s = np.floor(c.photos.local_s)
    is_guess = np.array([s == "machine" for s in c.places.time_source.tolist()], bool)
    day_only = _only_days(c, local_s, now_s)
    time_s = np.where(is_guess | day_only, np.nan, c.places.time_s)
    local_s[day_only] = np.nan
    if not set_dates:
        return _Moments(time_s, local_s, np.zeros(len(c), bool), day_only)
    is_sound = np.array([f is None for f in c.photos.fault.tolist()], bool)
    by_file = is_sound & ~day_only & ~np.isfinite(c.places.time_s) & ~np.isfinite(local_s)
    time_s[by_file] = c.photos.mtime_ns[by_file] / 1e9
    local_s[by_file] = [_machine_reading(t) for t in time_s[by_file].tolist()]
    return _Moments(time_s, local_s, by_file, day_only)


def _only_days(c: Collection, local_s: Floats, now_s: float) -> Bools:
    """(n,) whose clock reading is but the midnight of the day in the name, as `dates` writes it."""
    out = np.zeros(len(c), bool)
    for i in np.flatnonzero((local_s % _DAY_S == 0.0) & ~np.isfinite(c.photos.gps_time_s)).tolist():
        told = date_in(c.photos.path[i].rpartition("/")[2], now_s=now_s)
        out[i] = told is not None and told.is_day and told.clock_s == local_s[i]
    return out


def _belonging(stays: Stays, when: _Moments, within_s: float) -> tuple[Nearest, Bools]:
    """The stay of each photo, and whether it was found by instants.

    Instants are compared where both sides know them, else readings of clocks. The date of a file is tried by both:
    a file that was sent or copied has that of another zone.
    """
    is_known = np.isfinite(when.time_s)
    by_instant = nearest(when.time_s, stays.start_s, stays.end_s, stays.radius_m, stays.photo_s, stays.stay)

    def by_clock(photos: Bools, of: Bools) -> Nearest:
        readings, start = np.where(photos, when.local_s, np.nan), np.where(of, stays.start_local_s, np.nan)
        return nearest(readings, start, stays.end_local_s, stays.radius_m, stays.photo_local_s, stays.stay)

    anywhere = np.ones(len(stays), bool)
    best = by_instant.better(by_clock(~is_known, anywhere))
    best = best.better(by_clock(is_known, ~np.isfinite(stays.start_s)))
    best = best.better(by_clock(when.by_file & ~(best.outside_s <= within_s), anywhere))
    is_instant = is_known & (best.row == by_instant.row) & (best.outside_s == by_instant.outside_s)
    return best, np.asarray(is_instant)


def _machine_reading(time_s: float) -> float:
    """What a clock in this machine's zone says; NaN outside of the calendar."""
    try:
        return math.floor(datetime.fromtimestamp(time_s).replace(tzinfo=UTC).timestamp())
    except (OverflowError, ValueError, OSError):
        return _NAN


def _error_m(radius_m: float, outside_s: float) -> float:
    """How far off an estimate may be: never less than the radius, and what somebody walks in the time between."""
    radius_m = _UNKNOWN_RADIUS_M if math.isnan(radius_m) else radius_m
    return math.ceil(max(radius_m, _LEAST_ERROR_M) + _WALK_MPS * outside_s)


def _span(stays: Stays, k: int) -> tuple[str, str]:
    start, end = (clock_text(float(c[k])) for c in (stays.start_local_s, stays.end_local_s))
    if not start:
        start, end = (f"{clock_text(float(c[k]))} UTC" for c in (stays.start_s, stays.end_s))
    return start, end


def _span_words(stays: Stays, k: int) -> str:
    start, end = _span(stays, k)
    return f"{start} to {end}"


def _words(made: Estimate) -> str:
    where = f"the place of {made.start} to {made.end}"
    near = f"{made.photo_s:.0f} s from its nearest known photo"
    when = f"within it, {near}" if not made.outside_s else f"{made.outside_s:.0f} s outside of it"
    dated = "; by the date of its file" if made.is_dated_by_file else ""
    return f"{where}, {when}; to {made.error_m:.0f} m{dated}"
