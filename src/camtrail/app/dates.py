"""Capture times out of file names, Google Takeout and folders, for photos whose cameras' dates are gone."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from camtrail.app import process as app
from camtrail.app.context import Context
from camtrail.app.dates_options import DatesOptions
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.state import Workspace, absolute, workspaces
from camtrail.app.write import Plan, Written, apply_plans, check_inside, journal_in, locked
from camtrail.app.write import settle as settle_files
from camtrail.app.write_options import ChangeOptions
from camtrail.core import timezones
from camtrail.core.errors import (
    CamtrailError,
    Failure,
    InputError,
    SafetyRefusal,
    UnreadableFile,
    UsageError,
    failure_of,
    worst,
)
from camtrail.core.model import Collection, Item, Photos
from camtrail.core.names import shown
from camtrail.metadata import picture, read, sidecar
from camtrail.metadata.safeio import Splice
from camtrail.metadata.write import Values, differs, new_head, tags_of
from camtrail.metadata.xmp_jpeg import read_xmp
from camtrail.metadata.xmp_packet import Name, named, properties
from camtrail.steps import name_dates, takeout
from camtrail.steps.name_dates import Impossible, NameDate
from camtrail.steps.takeout import Told

__all__ = ["OUTCOMES", "Dated", "Row", "dates"]

OUTCOMES = ("dated", "kept", "no_date", "impossible", "unsupported", "unreadable")
"""What a photo can come out as; every photo has exactly one."""

_NAN = float("nan")
_DAY_S = 86400.0
_FARTHEST_ZONES_S = 14 * 3600.0
_ZONES_S = 900.0  # what all zones are a multiple of
_NAME_S = 2.0  # what phones name a photo later than they take it
_EPOCH = datetime(1970, 1, 1)
_HAS_A_DATE = "has a date"
_LARGEST_JSON_BYTES = 1 << 20
_COLUMNS = [f.name for f in fields(Photos)]
_COLUMNS = _COLUMNS[_COLUMNS.index("mtime_ns") + 1 : _COLUMNS.index("fault")]  # of read.Row
# Where programs put a capture time into XMP (CIPA DC-010; IPTC Photo Metadata, date created).
_XMP_DATES: tuple[Name, ...] = (
    named("exif:DateTimeOriginal"),
    ("http://ns.adobe.com/photoshop/1.0/", "DateCreated"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One photo and what became of its date; NaN and "" where absent."""

    path: str  # as typed
    outcome: str
    reason: str = ""
    source: str = ""  # pattern, takeout, name, folder; of one that is kept: exif, gps, xmp
    rule: str = ""  # the form of the name
    meaning: str = ""  # taken, sent, received, saved
    precision: str = ""  # day, minute, second, millisecond
    zone: str = ""  # what the name says: local, offset, utc, epoch
    local_s: float = _NAN  # the wall clock, seconds as if it were UTC; of a day its midnight
    offset_s: float = _NAN  # what it is ahead of UTC, where that is known
    zone_source: str = ""  # name, option, place, machine
    had_s: float = _NAN  # the wall clock that the photo had
    lat_deg: float = _NAN  # told by Google Takeout
    lon_deg: float = _NAN
    alt_m: float = _NAN

    @property
    def time_s(self) -> float:
        """The instant, POSIX seconds; NaN where no zone is known."""
        return self.local_s - self.offset_s


@dataclass(slots=True)
class Dated:
    """What a run came to."""

    result: Result
    rows: list[Row] = field(default_factory=list)
    written: Written = field(default_factory=lambda: Written("none"))

    def counts(self) -> dict[str, int]:
        """How many photos came out as what, in the order of OUTCOMES."""
        found = Counter(row.outcome for row in self.rows)
        return {o: found[o] for o in OUTCOMES if found[o]}

    def exit_code(self) -> int:
        """0, or that of the gravest failure."""
        return worst({f.exit_code for f in (*self.result.failures, *self.written.failures)})


def dates(
    paths: Sequence[str], scan: ProcessOptions, options: DatesOptions, to: ChangeOptions, context: Context
) -> Dated:
    """Finds capture times of the photos at PATHs that have none, and writes them where that is asked for.

    Raises
    ------
    UsageError
        Options contradict each other, or a pattern or a zone is none.
    InputError
        A PATH is not there.
    FolderBusy
        Another run owns a folder that would be written.
    """
    mode = _mode(options, to)
    patterns = [name_dates.compiled(p) for p in options.pattern]
    if options.time_zone:
        timezones.named(options.time_zone)
    is_writing = mode != "none" and not to.dry_run
    spaces = (
        workspaces(context.fs, paths, scan.scan.state_dir, flat=scan.scan.skip_subfolders)
        if is_writing
        else []
    )
    with locked(spaces, to.wait, context):
        for space in spaces:
            settle_files(space, context)
        started = context.clock.monotonic_s()
        result = app.scan(paths, scan, context)
        result.command = "dates"
        done = Dated(result, written=Written(mode))
        target = _copy_folder(options, result, context) if mode == "copy" else ""
        judge = _Judge(options, mode, patterns, context)
        seen: dict[str, str] = {}
        for space, collection in zip(result.spaces, result.collections):
            rows = judge.rows(space, collection)
            done.rows += rows
            if mode != "none":
                of = replace(to, write=mode)
                _Task(space, collection, rows, options, of, target, context, done, seen).write()
        result.notes += judge.notes()
        if mode == "copy":
            result.notes += _left_out(done.rows)
        result.elapsed_s = context.clock.monotonic_s() - started
        return done


def _mode(options: DatesOptions, to: ChangeOptions) -> str:
    """none, exif, sidecar or copy. Raises UsageError."""
    if to.write == "copy" and not options.output:
        raise UsageError("--write copy needs a folder for the copies", "give -o DIR")
    if to.write in ("exif", "sidecar", "none") and options.output:
        raise UsageError(
            "-o names the folder of copies", f"leave it out, or give --write copy in place of {to.write}"
        )
    return "copy" if options.output else to.write or "none"


def _copy_folder(options: DatesOptions, result: Result, context: Context) -> str:
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


def _left_out(rows: Sequence[Row]) -> list[str]:
    """Names what is not among the copies."""
    missing = [row.path for row in rows if row.outcome not in ("dated", "kept")]
    if not missing:
        return []
    few = ", ".join(shown(p) for p in missing[:3]) + (
        f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    )
    return [f"not among the copies, because no date was written: {few}"]


# Which date holds.


@dataclass(frozen=True, slots=True)
class _Own:
    """The date that a photo has already."""

    source: str  # exif, gps, xmp; "" where there is none
    local_s: float = _NAN  # of gps: the instant
    said: str = ""  # in words


class _Judge:
    """Decides photo by photo."""

    def __init__(
        self, options: DatesOptions, mode: str, patterns: Sequence[re.Pattern[str]], context: Context
    ) -> None:
        self._options = options
        self._mode = mode
        self._patterns = patterns
        self._context = context
        self._now_s = context.clock.now_s()
        self._by_machine = 0

    def notes(self) -> list[str]:
        """What people should know of it."""
        if not self._by_machine:
            return []
        n = self._by_machine
        return [
            f"{n:,} photo{' has a name or' if n == 1 else 's have names or'} a Takeout file in UTC and no place; the "
            "zone of this machine was taken for the wall clock (--time-zone names another)"
        ]

    def rows(self, space: Workspace, c: Collection) -> list[Row]:
        """One for each photo, in their order."""
        told = self._takeout(space, c)
        files: dict[str, set[str]] = {}
        made = []
        columns = zip(c.photos.local_s.tolist(), c.photos.gps_time_s.tolist())
        for path, item, (local_s, gps_s) in zip(c.photos.path.tolist(), c.items(), columns):
            typed = space.as_typed(path)
            if item.outcome == "unreadable":
                made.append(Row(typed, "unreadable", item.message or ""))
                continue
            google = told.get(path)
            found, source = self._found(item, google)
            row = self._row(typed, item, found, source, google)
            if item.outcome == "unsupported":
                row = self._unsupported(row, found, item)
            elif isinstance(found, NameDate):
                row = self._judged(row, found, self._own(item, local_s, gps_s, files))
            elif (own := self._own(item, local_s, gps_s, files)).source:
                row = replace(row, outcome="kept", source=own.source, had_s=local_s, reason=_HAS_A_DATE)
            made.append(row)
        return made

    def _takeout(self, space: Workspace, c: Collection) -> dict[str, Told]:
        """What Google's files say, by the photos' paths."""
        if self._options.ignore_takeout:
            return {}
        folders: dict[str, list[str]] = defaultdict(list)
        for path in c.photos.path.tolist():
            folder, _, name = path.rpartition("/")
            folders[folder].append(name)
        told: dict[str, Told] = {}
        for folder, names in folders.items():
            found = self._sidecars(space.absolute(folder) if folder else space.base)
            join = f"{folder}/" if folder else ""
            for name, its in takeout.matched(names, found).items() if found else ():
                told[join + name] = found[its]
        return told

    def _sidecars(self, folder: str) -> dict[str, Told]:
        """All descriptions by Google in a folder, by their names."""
        found: dict[str, Told] = {}
        try:
            entries = self._context.fs.entries(folder)
        except InputError:
            return found
        for entry in entries:
            if entry.kind != "file" or not entry.name.lower().endswith(".json"):
                continue
            if entry.size_bytes > _LARGEST_JSON_BYTES:
                continue
            try:
                with self._context.fs.source(entry.path, entry.size_bytes) as source:
                    told = takeout.parsed(source.read_at(0, entry.size_bytes))
            except UnreadableFile:
                continue
            if told is not None:
                found[entry.name] = told
        return found

    def _found(self, item: Item, google: Told | None) -> tuple[NameDate | Impossible | None, str]:
        """The first that tells a date: own patterns, Takeout, the name, the folders."""
        folder, _, name = item.path.rpartition("/")
        own = name_dates.own_date(name, self._patterns, now_s=self._now_s)
        if isinstance(own, NameDate):
            return own, "pattern"
        # 0 is how Google writes that there is none; earlier ones people have set for scanned photos.
        if google is not None and google.taken_s <= self._now_s + _DAY_S and google.taken_s:
            return NameDate(google.taken_s, "epoch", "second", "taken", "takeout"), "takeout"
        said = name_dates.read(name, now_s=self._now_s) or own
        if said is not None or self._options.ignore_folders:
            return said, "name" if said is not None else ""
        # The folder that was named counts, too: people name the folder of a day.
        last = item.root.rstrip("/").rpartition("/")[2]
        day = name_dates.folder_date(f"{last}/{folder}", now_s=self._now_s)
        return day, "folder" if day is not None else ""

    def _row(
        self, typed: str, item: Item, found: NameDate | Impossible | None, source: str, google: Told | None
    ) -> Row:
        """What is said about a photo; the outcome is not yet judged."""
        row = Row(typed, "no_date", "neither its name nor anything beside it tells a date")
        if google is not None:
            row = replace(row, lat_deg=google.lat_deg, lon_deg=google.lon_deg, alt_m=google.alt_m)
        if isinstance(found, Impossible):
            return replace(row, outcome="impossible", reason=found.reason, source=source, rule=found.rule)
        if found is None:
            return row
        local_s, offset_s, zone_source = self._wall_clock(found, item, google)
        return replace(
            row, source=source, rule=found.rule, meaning=found.meaning, precision=found.precision, zone=found.zone,
            local_s=local_s, offset_s=offset_s, zone_source=zone_source, reason="",
        )  # fmt: skip

    def _wall_clock(self, found: NameDate, item: Item, google: Told | None) -> tuple[float, float, str]:
        """Clock reading, what it is ahead of UTC, and who says so."""
        if found.is_day:
            return found.clock_s, _NAN, ""
        if found.zone == "offset":
            return found.clock_s, found.offset_s, "name"
        zone, zone_source = self._options.time_zone, "option"
        if not zone:
            zone, zone_source = _zone_at(item, google), "place"
        if found.zone == "local":
            return (
                found.clock_s,
                _ahead_of(zone, found.clock_s) if zone else _NAN,
                zone_source if zone else "",
            )
        if not zone:
            ahead_s = self._ahead_by_name(found, item)
            if ahead_s == ahead_s:
                return found.clock_s + ahead_s, ahead_s, "name"
            zone_source = "machine"
        moment = datetime.fromtimestamp(found.clock_s, UTC)
        there = moment.astimezone(timezones.named(zone) if zone else None)
        ahead = there.utcoffset() or timedelta()
        return found.clock_s + ahead.total_seconds(), ahead.total_seconds(), zone_source

    def _ahead_by_name(self, found: NameDate, item: Item) -> float:
        """What the wall clock in a photo's name is ahead of Takeout's instant; NaN where no zone is so far ahead."""
        said = name_dates.read(item.path.rpartition("/")[2], now_s=self._now_s)
        if (
            found.rule != "takeout"
            or not isinstance(said, NameDate)
            or said.is_day
            or said.meaning != "taken"
        ):
            return _NAN
        ahead_s = said.local_s - found.clock_s  # NaN where the name is in UTC, too
        if not abs(ahead_s) <= _FARTHEST_ZONES_S + _NAME_S:
            return _NAN
        zone_s = round(ahead_s / _ZONES_S) * _ZONES_S
        return zone_s if abs(ahead_s - zone_s) <= _NAME_S else _NAN

    def _unsupported(self, row: Row, found: NameDate | Impossible | None, item: Item) -> Row:
        reason = item.message or ""
        if isinstance(found, NameDate):
            reason += f"; its {_called(row.source)} says {_said(row.local_s, row.offset_s, row.precision)}"
        elif isinstance(found, Impossible):
            reason += f"; in its name {found.reason}"
        return replace(row, outcome="unsupported", reason=reason)

    def _own(self, item: Item, local_s: float, gps_s: float, files: dict[str, set[str]]) -> _Own:
        """The date that a photo has: EXIF, else GPS, else XMP in it, and where sidecars are written in its sidecar."""
        if local_s == local_s:
            return _Own("exif", local_s, f"its EXIF says {_said(local_s, _NAN)}")
        if gps_s == gps_s:
            return _Own("gps", gps_s, f"its GPS time is {_said(gps_s, 0.0)}")
        try:
            if text := _xmp_date(item.file, self._context):
                return _Own("xmp", said=f"its XMP says {shown(text)}")
            if self._mode == "sidecar":
                folder, _, name = item.file.rpartition("/")
                if folder not in files:
                    files[folder] = {e.name for e in self._context.fs.entries(folder or "/")}
                if f"{name}.xmp" in files[folder] and (
                    text := _date_of(_whole(f"{item.file}.xmp", self._context))
                ):
                    return _Own("xmp", said=f"its sidecar says {shown(text)}")
        except InputError:
            pass  # writing refuses it, and says why
        return _Own("")

    def _judged(self, row: Row, found: NameDate, own: _Own) -> Row:
        """Whether the photo gets the date."""
        if not own.source:
            return self._dated(row, "")
        had_s = own.local_s if own.source == "exif" else _NAN
        row = replace(row, had_s=had_s)
        far = _is_far(row, own)
        is_finer = found.is_day and own.local_s % _DAY_S != 0.0
        if far and self._options.replace and not is_finer:
            return self._dated(row, f"in place of: {own.said}")
        if not far and not found.is_day:
            if (
                own.source == "exif"
                and own.local_s % _DAY_S == 0.0
                and own.local_s // _DAY_S == row.local_s // _DAY_S
            ):
                return self._dated(row, "finer than the midnight that its EXIF had")
            if own.source == "gps":
                return self._dated(row, "")
        said = _said(row.local_s, row.offset_s, row.precision)
        reason = f"{own.said}, its {_called(row.source)} {said} ({row.meaning})" if far else _HAS_A_DATE
        if far:
            reason += "; a day alone replaces no time" if is_finer else "; --replace takes that"
        return replace(row, outcome="kept", source=own.source, reason=reason)

    def _dated(self, row: Row, reason: str) -> Row:
        self._by_machine += row.zone_source == "machine"
        return replace(row, outcome="dated", reason=reason)


def _is_far(row: Row, own: _Own) -> bool:
    """Whether the date of a photo is more than a day from that of its name."""
    if own.local_s != own.local_s:
        return False
    if own.source == "gps":
        known = row.offset_s == row.offset_s
        return abs(own.local_s - (row.time_s if known else row.local_s)) > _DAY_S * (
            1 + (row.precision == "day")
        ) + (0.0 if known else _FARTHEST_ZONES_S)
    if row.precision == "day":
        return abs(own.local_s // _DAY_S - row.local_s // _DAY_S) > 1
    return abs(own.local_s - row.local_s) > _DAY_S


def _called(source: str) -> str:
    return {"takeout": "Takeout file", "folder": "folder"}.get(source, "name")


def _said(local_s: float, offset_s: float, precision: str = "second") -> str:
    """`2023-04-08 12:34:56+02:00`, or the day alone."""
    moment = _EPOCH + timedelta(seconds=local_s)
    if precision == "day":
        return moment.date().isoformat()
    return moment.isoformat(" ", "seconds" if precision != "millisecond" else "milliseconds") + _offset(
        offset_s
    )


def _offset(offset_s: float) -> str:
    if offset_s != offset_s:
        return ""
    minutes = round(abs(offset_s) / 60)
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _zone_at(item: Item, google: Told | None) -> str:
    """The zone of the photo's own place, else of Google's; "" where there is neither."""
    places = [(item.lat_deg, item.lon_deg)]
    if google is not None:
        places.append((google.lat_deg, google.lon_deg))
    for lat, lon in places:
        if lat == lat and lon == lon:
            (zone,) = timezones.zones_at(np.array([lat]), np.array([lon])).tolist()
            if zone is not None:
                return str(zone)
    return ""


def _ahead_of(zone: str, local_s: float) -> float:
    """What a zone's clock is ahead of UTC at a reading of it."""
    instant, _ = timezones.instants(np.array([local_s]), timezones.named(zone))
    return local_s - float(instant[0])


def _xmp_date(file: str, context: Context) -> str:
    """The capture time in the XMP of a photo; "" where there is none."""
    with context.fs.source(file) as source:
        packet = read_xmp(source)
    return _date_of(packet) if packet is not None else ""


def _date_of(packet: bytes) -> str:
    try:
        found: Mapping[Name, object] = properties(packet, "XMP")
    except UnreadableFile:
        return ""
    for name in _XMP_DATES:
        texts = getattr(found.get(name), "texts", ())
        if texts:
            return str(texts[0])
    return ""


def _whole(path: str, context: Context) -> bytes:
    """All of a file. Raises UnreadableFile."""
    with context.fs.source(path) as source:
        return source.read_at(0, source.size)


# Into the files.


@dataclass
class _Task:
    """What the files of one workspace are written by."""

    space: Workspace
    collection: Collection
    rows: list[Row]
    options: DatesOptions
    to: ChangeOptions
    target: str
    context: Context
    done: Dated
    seen: dict[str, str]  # what is written already, and of which photo; one for all workspaces

    def write(self) -> None:
        """Plans all, then writes all."""
        plans = list(self._plans())
        written = self.done.written
        if self.to.dry_run:
            written.changes += [(p.typed, p.words) for p in plans]
            written.add("to be written", len(plans))
            return
        with journal_in(self.space, self.context, "dates") as journal:
            apply_plans(plans, self.space, journal, self.to, written, self.context)

    def _plans(self) -> Iterator[Plan]:
        c, written = self.collection, self.done.written
        cells = zip(*(getattr(c.photos, name).tolist() for name in _COLUMNS))
        plan_of = {"exif": self._exif_plan, "sidecar": self._sidecar_plan, "copy": self._copy_plan}[
            self.to.write
        ]
        for path, item, row, cell in zip(c.photos.path.tolist(), c.items(), self.rows, cells):
            if row.outcome in ("unsupported", "unreadable"):
                continue
            values = self._values(row, cell)
            if row.outcome not in ("dated", "kept") and (self.to.write == "copy" or not values):
                continue
            if row.outcome == "kept" and self.to.write != "copy" and not values:
                continue
            try:
                plan = plan_of(path, item, row, cell, values)
                if plan is not None and plan.splice.path in self.seen:
                    plan = None  # a second name of a file that is written already
            except CamtrailError as e:
                written.failures.append(_failure(row.path, e))
                written.add("failed")
                continue
            if plan is None:
                written.add("unchanged")
            else:
                self.seen[plan.splice.path] = row.path
                yield plan

    def _values(self, row: Row, cell: read.Row) -> Values:
        """What is to be said of a photo; empty where that is nothing."""
        values = Values()
        if row.outcome == "dated":
            values = replace(values, local_s=row.local_s, offset_s=row.offset_s)
        has_place = cell[_COLUMNS.index("lat_deg")] == cell[_COLUMNS.index("lat_deg")]
        if self.options.positions and not has_place and row.lat_deg == row.lat_deg:
            values = replace(values, lat_deg=row.lat_deg, lon_deg=row.lon_deg, alt_m=row.alt_m)
        return values

    def _exif_plan(self, path: str, item: Item, row: Row, cell: read.Row, values: Values) -> Plan | None:
        fs = self.context.fs
        real = fs.real(item.file)
        check_inside(real, row.path, item, self.context)
        new = differs(cell, values)
        if not new:
            return None
        status = fs.status(real)
        with fs.source(real) as source:
            head, tail_at = new_head(source, tags_of(new))
        words = _words(new)
        return Plan(Splice(real, head, tail_at, real, words, status), path, row.path, words)

    def _sidecar_plan(self, path: str, item: Item, row: Row, cell: read.Row, values: Values) -> Plan | None:
        fs = self.context.fs
        beside, typed = fs.real(f"{item.file}.xmp"), f"{row.path}.xmp"
        there, old, status = None, None, None
        try:
            status = fs.status(beside)
            there = _whole(beside, self.context)
            old = sidecar.values_of(there)
        except FileNotFoundError:
            pass
        check_inside(beside, typed, item, self.context)
        if there is None or old is not None:
            whole = sidecar.sidecar(values if old is None else _merged(old, values))
        else:
            whole = sidecar.edited_sidecar(there, sidecar.changes_of(values), typed)
        if whole == there:
            return None
        words = _words(values)
        source = "" if there is None else beside
        return Plan(Splice(beside, whole, len(there or b""), source, words, status), path, typed, words)

    def _copy_plan(self, path: str, item: Item, row: Row, cell: read.Row, values: Values) -> Plan | None:
        fs = self.context.fs
        place = fs.real(f"{self.target.rstrip('/')}/{item.path}")
        typed = f"{self.options.output.rstrip('/')}/{item.path}"
        if place in self.seen:
            raise SafetyRefusal(
                f"{shown(typed)}: is the copy of {shown(self.seen[place])} already",
                "name the folder above both as the one PATH",
            )
        try:
            fs.status(place)
        except FileNotFoundError:
            photo = fs.real(item.file)
            status = fs.status(photo)
            new = differs(cell, values)
            with fs.source(photo) as source:
                head, tail_at = new_head(source, tags_of(new)) if new else (b"", 0)
            words = _words(new) or "copy"
            mtime_ns = _mtime_ns(row, cell)
            return Plan(Splice(place, head, tail_at, photo, words, status, mtime_ns), path, typed, words)
        except NotADirectoryError as e:
            raise SafetyRefusal(
                f"{shown(typed)}: a folder of its path is a file", "name an empty folder for the copies"
            ) from e
        with fs.source(item.file) as source, fs.source(place) as copy:
            mine, theirs = picture.picture_sha256(source), picture.picture_sha256(copy)
            if mine is None or mine != theirs or differs(read.header(copy), values):
                raise SafetyRefusal(
                    f"{shown(typed)}: is there already and says something else",
                    "name an empty folder for the copies",
                )
        return None


def _failure(typed: str, e: CamtrailError) -> Failure[str]:
    """A refusal of one file is an item that could not be written."""
    failure = failure_of(typed, e)
    return replace(failure, exit_code=3) if failure.exit_code in (SafetyRefusal.exit_code, 4) else failure


def _merged(old: Values, new: Values) -> Values:
    values = ((f.name, getattr(new, f.name)) for f in fields(Values))
    return replace(old, **{name: v for name, v in values if v is not None and v == v})


def _words(values: Values) -> str:
    named = (("position", values.lat_deg), ("altitude", values.alt_m), ("time", values.local_s))
    return " ".join(name for name, value in named if value == value)


def _mtime_ns(row: Row, cell: read.Row) -> int | None:
    """The capture time for the file's date; of a wall clock without a zone, what file managers here show as it."""
    local_s, offset_s = row.local_s, row.offset_s
    if row.outcome == "kept":
        own = (cell[_COLUMNS.index(name)] for name in ("local_s", "offset_s", "gps_time_s"))
        local_s, offset_s, gps_s = (float(v) if isinstance(v, (int, float)) else _NAN for v in own)
        if local_s != local_s:
            local_s, offset_s = gps_s, 0.0
    if local_s != local_s:
        return None
    if offset_s == offset_s:
        return round((local_s - offset_s) * 1e6) * 1000
    instants, _ = timezones.machine_instants(np.array([local_s]))
    return round(float(instants[0]) * 1e6) * 1000
