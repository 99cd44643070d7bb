"""Which local photo is which photo of an observation: found by time and picture, written as ids and identification."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from camtrail.app import process as app
from camtrail.app.context import Context
from camtrail.app.inaturalist_options import MatchOptions
from camtrail.app.inaturalist_tags import Known, edits, known_in, properties_of
from camtrail.app.match import Features, Likeness, Looked, Side, best_pairs, features
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.state import Workspace, workspaces
from camtrail.app.write import XMP_MARK, Plan, Written, apply_plans, check_inside, journal_in, locked
from camtrail.app.write import settle as settle_files
from camtrail.app.write_options import ChangeOptions
from camtrail.catalog.store import Catalog
from camtrail.core import geo
from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import (
    CamtrailError,
    Failure,
    InputError,
    Rejected,
    UnreadableFile,
    UsageError,
    failure_of,
    worst,
)
from camtrail.core.model import Bools, Floats, Item
from camtrail.core.names import shown
from camtrail.metadata.safeio import Splice
from camtrail.metadata.sidecar import edited_sidecar
from camtrail.metadata.xmp_edit import Edit
from camtrail.metadata.xmp_jpeg import new_xmp_head
from camtrail.metadata.xmp_packet import Name, Property, properties
from camtrail.services.inaturalist.client import Client, ranges
from camtrail.services.inaturalist.wire import SIZES, Observation, ObservationPhoto, User, identification
from camtrail.steps.match import clock_offset_s, components
from camtrail.vision.decode import decode
from camtrail.vision.encode import jpeg_of
from camtrail.vision.hashes import SIGNATURE_PX

__all__ = ["THRESHOLDS", "Day", "Local", "Matched", "Online", "Pair", "match"]

THRESHOLDS = {"small": 0.8, "medium": 0.9, "large": 0.95, "original": 0.95}
"""Least likeness of two pictures that are one, by the size of the online ones."""

_STAGE = "inaturalist"  # identifications that we wrote, so that they are replaced and nothing else is
_THUMBNAIL_PX = 256
_NAN = float("nan")
_EPOCH = datetime(1970, 1, 1)


@dataclass(slots=True, eq=False)
class Local:
    """One local photo."""

    space: Workspace
    path: str  # relative to the state's base
    typed: str
    item: Item
    local_s: (
        float  # its wall clock, seconds as if it were UTC; the file's own date where the camera wrote none
    )
    found: Mapping[Name, Property]
    known: Known

    @property
    def day(self) -> str:
        """The date of its wall clock, YYYY-MM-DD."""
        return (_EPOCH + timedelta(seconds=self.local_s)).date().isoformat()


@dataclass(frozen=True, slots=True)
class Online:
    """One photo of an observation."""

    observation: Observation
    photo: ObservationPhoto

    @property
    def text(self) -> str:
        """The identification; "" where there is none yet."""
        return identification(self.observation.taxon)


@dataclass(frozen=True, slots=True)
class Pair:
    """A local photo and an online one that were looked at together."""

    local: Local
    online: Online
    verdict: str  # matched, known, ambiguous, different
    similarity: float = _NAN  # 0 to 1
    how: str = ""  # whole, crop, rotated, …; name: by the file's name
    margin: float = _NAN
    clock_s: float = 0.0  # what the camera's clock was ahead by

    @property
    def seconds(self) -> float:
        """Time between photo and observation, whole seconds; NaN where the observation has no time of day."""
        difference = abs(self.local.local_s - self.clock_s - self.online.observation.local_s)
        return float(math.floor(difference)) if difference == difference else _NAN

    @property
    def distance_m(self) -> float:
        """Between photo and observation; NaN where one has no place, or a hidden one."""
        o, item = self.online.observation, self.local.item
        if o.is_obscured:
            return _NAN
        places = ([item.lat_deg], [item.lon_deg], [o.lat_deg], [o.lon_deg])
        return float(geo.on_sphere_m(*(np.array(p, float) for p in places))[0])


@dataclass(frozen=True, slots=True)
class Day:
    """How many pictures a day has, and how many without those that are known."""

    date: str
    online: int
    local: int
    online_left: int
    local_left: int


@dataclass(slots=True)
class Matched:
    """What a run came to."""

    result: Result
    days: list[Day] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    lone_local: list[Local] = field(default_factory=list)
    lone_online: list[Online] = field(default_factory=list)
    stale: list[Local] = field(default_factory=list)  # with the ids of photos that are not there
    changes: list[tuple[Pair, str, str]] = field(default_factory=list)  # pair, former and new identification
    counts: Counter[str] = field(default_factory=Counter)  # annotations_added, …_modified, identifications_…
    written: Written = field(default_factory=lambda: Written("none"))
    failures: list[Failure[str]] = field(default_factory=list)
    clock_s: float = 0.0  # what the camera's clock was found to be ahead by
    threshold: float = _NAN
    loaded_s: float = 0.0  # how long reading the photos took
    thumbnails: dict[int, bytes] = field(
        default_factory=dict
    )  # small JPEGs by photo id, where they are wanted

    def unknown(self) -> tuple[int, int]:
        """How many local and online photos have no partner, ambiguous ones included."""
        doubtful = [p for p in self.pairs if p.verdict == "ambiguous"]
        local = {id(x) for x in self.lone_local} | {id(p.local) for p in doubtful}
        online = {o.photo.photo_id for o in self.lone_online} | {p.online.photo.photo_id for p in doubtful}
        return len(local), len(online)

    def exit_code(self) -> int:
        """0, or that of the gravest failure."""
        failures = (*self.result.failures, *self.failures, *self.written.failures)
        return worst({f.exit_code for f in failures})


def match(
    paths: Sequence[str],
    scan: ProcessOptions,
    options: MatchOptions,
    to: ChangeOptions,
    open_client: Callable[[], Client],
    context: Context,
) -> Matched:
    """Finds which photos at PATHs are which photos of a user's observations, and writes it into them.

    Parameters
    ----------
    open_client : the service, asked only when there are photos

    Raises
    ------
    UsageError
        No user is given, there is no such user, or options contradict each other.
    Unreachable, QuotaExceeded, AuthError
        The service cannot be asked; nothing was written.
    FolderBusy
        Another run owns the folder.
    """
    if not options.user:
        raise UsageError("no user is given", "give --user LOGIN, as iNaturalist knows you")
    if to.write == "copy":
        raise UsageError("--write copy is none of this verb's", "use --write exif, sidecar or none")
    is_writing = to.write != "none" and not to.dry_run
    spaces = (
        workspaces(context.fs, paths, scan.scan.state_dir, flat=scan.scan.skip_subfolders)
        if is_writing
        else []
    )
    with locked(spaces, to.wait, context):
        for space in spaces:
            settle_files(space, context)
        return _match(paths, scan, options, to, open_client, context)


def _match(
    paths: Sequence[str],
    scan: ProcessOptions,
    options: MatchOptions,
    to: ChangeOptions,
    open_client: Callable[[], Client],
    context: Context,
) -> Matched:
    started = context.clock.monotonic_s()
    result = app.scan(paths, scan, context)
    result.command = "inaturalist match"
    done = Matched(result, threshold=_threshold(options))
    locals_ = list(_locals(result, to, context, done))
    done.loaded_s = context.clock.monotonic_s() - started
    if locals_:
        with open_client() as client:
            user = _user(client, options.user)
            if user.observation_count == 0:
                result.notes.append(f"{shown(user.login)} has no observations")
            else:
                online = _observations(client, user, locals_, done)
                _find(locals_, online, client, options, context, done)
                if options.logfile:
                    _thumbnails(done, client, options.image_size)
    done.pairs.sort(key=lambda p: (p.local.local_s, p.local.typed, p.verdict))
    _write(done, options, to, context)
    result.elapsed_s = context.clock.monotonic_s() - started
    return done


def _user(client: Client, login: str) -> User:
    """The user of a login. A login that nobody has is an option's wrong value, whoever finds that out."""
    try:
        return client.user(login)
    except Rejected as e:
        raise UsageError(e.message, e.hint) from e


def _threshold(options: MatchOptions) -> float:
    given = options.ssim_threshold_ratio
    return THRESHOLDS[options.image_size] if given is None else given


# What is here.


def _locals(result: Result, to: ChangeOptions, context: Context, done: Matched) -> Iterator[Local]:
    """Photos that can be matched; a note or a failure says so of the others."""
    for space, c in zip(result.spaces, result.collections):
        clocks = zip(c.photos.local_s.tolist(), c.photos.mtime_ns.tolist())
        for path, item, (local_s, mtime_ns) in zip(c.photos.path.tolist(), c.items(), clocks):
            typed = space.as_typed(path)
            if item.outcome in ("unreadable", "unsupported"):
                continue
            if local_s != local_s:
                moment = datetime.fromtimestamp(mtime_ns // 10**9).replace(tzinfo=UTC)
                local_s = moment.timestamp()
                done.result.notes.append(
                    f"'{shown(typed)}': EXIF tag 'Date/Time Original' is missing; using file modification time "
                    f"'{moment:%Y-%m-%d %H:%M:%S}'."
                )
            try:
                found = _properties(item.file, to, context)
            except CamtrailError as e:
                beside = isinstance(e, InputError) and e.path == f"{item.file}.xmp"
                at = f"{typed}.xmp" if beside else typed
                done.failures.append(replace(failure_of(at, e), exit_code=3))
                continue
            yield Local(space, path, typed, item, local_s, found, known_in(found))


def _properties(file: str, to: ChangeOptions, context: Context) -> Mapping[Name, Property]:
    """What the photo says in XMP, and over it what its sidecar does."""
    with context.fs.source(file) as source:
        found = dict(properties_of(source))
    if to.write in ("sidecar", "none"):
        beside = _sidecar(file, context)
        if beside:
            found |= properties(beside, f"{file}.xmp")
    return found


def _sidecar(file: str, context: Context) -> bytes | None:
    try:
        size = context.fs.status(context.fs.real(f"{file}.xmp")).size_bytes
    except OSError:
        return None
    with context.fs.source(f"{file}.xmp", size) as source:
        return source.read_at(0, size)


# What is online.


def _observations(client: Client, user: User, locals_: Sequence[Local], done: Matched) -> list[Online]:
    """Photos of the observations of all days that have local photos, and of the days beside them."""
    days = sorted({day for local in locals_ for day in _around(local.day)})
    online: list[Online] = []
    for first, last in ranges(days):
        for observation in client.observations(user, first, last):
            online += [Online(observation, photo) for photo in observation.photos]
    if not online:
        done.result.notes.append(f"{shown(user.login)} has no observations with photos on these days")
    return list({(o.observation.id, o.photo.photo_id): o for o in online}.values())


def _around(day: str) -> Iterator[str]:
    """A day and those beside it: a wall clock may stand in another zone."""
    middle = date.fromisoformat(day)
    for n in (-1, 0, 1):
        yield (middle + timedelta(days=n)).isoformat()


def _day_of(online: Online) -> str | None:
    o = online.observation
    if o.local_s == o.local_s:
        return (_EPOCH + timedelta(seconds=o.local_s)).date().isoformat()
    return o.date


# Which is which.


def _find(
    locals_: list[Local],
    online: list[Online],
    client: Client,
    options: MatchOptions,
    context: Context,
    done: Matched,
) -> None:
    days = sorted({local.day for local in locals_})
    known = [] if options.recompute else list(_known_pairs(locals_, online))
    done.pairs += known
    taken = {p.online.photo.photo_id for p in known}
    settled = {id(p.local) for p in known}
    # A photo may stand in several observations; the first one has it where nothing says otherwise.
    single = list({o.photo.photo_id: o for o in reversed(online)}.values())[::-1]
    left = [o for o in single if o.photo.photo_id not in taken]
    free: list[Local] = []
    for local in locals_:
        if id(local) in settled:
            continue
        if local.known.is_photo and not options.recompute:
            done.stale.append(local)
            done.result.notes.append(
                f"'{shown(local.typed)}': carries the ids of a photo that is not among the observations of these days; "
                "left as it is (--recompute matches it again)"
            )
            continue
        free.append(local)
    for day in days:
        done.days.append(
            Day(
                day,
                sum(_day_of(o) == day for o in single),
                sum(local.day == day for local in locals_),
                sum(_day_of(o) == day for o in left),
                sum(local.day == day for local in free),
            )
        )
    if free and left:
        free, left = _by_picture(free, left, client, options, context, done)
    done.lone_local = free
    done.lone_online = [o for o in left if _day_of(o) in days]


def _known_pairs(locals_: Iterable[Local], online: Iterable[Online]) -> Iterator[Pair]:
    """Photos that carry the ids of one of the online ones."""
    photos: dict[int, list[Online]] = {}
    places: dict[int | str, list[Online]] = {}
    for o in online:
        photos.setdefault(o.photo.photo_id, []).append(o)
        places.setdefault(o.photo.id, []).append(o)
        if o.photo.uuid:
            places.setdefault(o.photo.uuid, []).append(o)
    for local in locals_:
        known = local.known
        if not known.is_photo:
            continue
        found = photos.get(known.photo, []) if isinstance(known.photo, int) else []
        found = found or places.get(known.observation_photo or "", [])
        for o in found:
            if known.observation in (o.observation.id, o.observation.uuid):
                yield Pair(local, o, "known")
                break


def _named(locals_: Sequence[Local], online: Sequence[Online]) -> Bools:
    """(n, m) pairs of one file name, which only the owner of the observations is told; both names occur once."""
    ours = [_name(local) for local in locals_]
    theirs = [(o.photo.file_name or "").lower() for o in online]
    counts, others = Counter(ours), Counter(theirs)
    column = {name: j for j, name in enumerate(theirs) if name and others[name] == 1}
    found = np.zeros((len(ours), len(theirs)), bool)
    for i, name in enumerate(ours):
        j = column.get(name)
        if counts[name] == 1 and j is not None and _day_of(online[j]) in set(_around(locals_[i].day)):
            found[i, j] = True
    return found


def _name(local: Local) -> str:
    return local.item.path.rpartition("/")[2].lower()


def _by_picture(
    locals_: list[Local],
    online: list[Online],
    client: Client,
    options: MatchOptions,
    context: Context,
    done: Matched,
) -> tuple[list[Local], list[Online]]:
    """Compares what may belong together; returns what stays without a partner.

    First what does by time; then with the clock's error that the pairs tell of; then by instants, for wall clocks of
    two zones; at last what is left of a day, in which three pairs that are off by one time tell of a clock, too.
    """
    comparison = _Comparison(locals_, online, client, options, context, done)
    clock = np.array([local.local_s for local in locals_])
    wall = np.array([o.observation.local_s for o in online])
    narrowed = _narrowed(locals_, online, options)

    def possible(local_s: Floats, online_s: Floats) -> Bools:
        return _possible(local_s, online_s, online, options)

    named = _named(locals_, online)
    told = narrowed if narrowed is not None else np.zeros(named.shape, bool)
    only: Bools = told | ~told.any(axis=1, keepdims=True)
    comparison.look((possible(clock, wall) | told) & only, named)
    offset_s = clock_offset_s(_firsts(comparison.found()))
    if offset_s:
        comparison.take_clock(offset_s)
        comparison.look(possible(clock - offset_s, wall) & only, named)
    instants = np.array([local.item.time_s for local in locals_])
    moments = np.array([o.observation.time_s for o in online])
    comparison.look(possible(instants, moments) & only, named)
    offset_s = clock_offset_s(_firsts(comparison.likely(_of_a_day(locals_, online) & only)))
    if offset_s:
        comparison.take_clock(offset_s)
        comparison.look(possible(clock - offset_s, wall) & only, named)
    return comparison.ended()


def _firsts(pairs: Iterable[Pair]) -> Floats:
    """(k,) by how much the first photo of each observation is later than that: the others are later anyway."""
    first: dict[int, float] = {}
    for pair in pairs:
        difference_s = pair.local.local_s - pair.online.observation.local_s
        number = pair.online.observation.id
        if difference_s == difference_s:
            first[number] = min(first.get(number, math.inf), difference_s)
    return np.array(list(first.values()), float)


def _narrowed(locals_: Sequence[Local], online: Sequence[Online], options: MatchOptions) -> Bools | None:
    """(n, m) photos of the observation that a local one names; None where none does. No row where it is not there."""
    if options.recompute or all(local.known.observation is None for local in locals_):
        return None
    rows = [
        [local.known.observation in (o.observation.id, o.observation.uuid or None) for o in online]
        if local.known.observation is not None
        else [False] * len(online)
        for local in locals_
    ]
    return np.array(rows, bool).reshape(len(locals_), len(online))


def _of_a_day(locals_: Sequence[Local], online: Sequence[Online]) -> Bools:
    """(n, m) whether a local and an online photo are of one day or of two that follow each other."""
    ours = np.array([_number_of(local.day) for local in locals_])
    theirs = np.array([_number_of(_day_of(o)) for o in online])
    near: Bools = np.abs(np.subtract.outer(ours, theirs)) <= 1
    return near & (theirs >= 0)


def _possible(local_s: Floats, online_s: Floats, online: Sequence[Online], options: MatchOptions) -> Bools:
    """(n, m) whether a local and an online photo may be the same, by time."""
    n = len(local_s)
    day = [_number_of(o.observation.date) for o in online]
    is_day_long = np.array(
        [False] * n + [o.observation.local_s != o.observation.local_s for o in online], bool
    )
    label = components(
        np.concatenate([local_s, online_s]),
        np.array([-1] * n + day, np.int64),
        is_day_long,
        options.cluster_threshold_s,
    )
    possible: Bools = np.equal.outer(label[:n], label[n:]) & (label[:n, None] >= 0)
    return possible


def _number_of(day: str | None) -> int:
    return -1 if day is None else (date.fromisoformat(day) - date(1970, 1, 1)).days


class _Comparison:
    """Pictures that are compared, and the pairs that came of it so far."""

    def __init__(
        self,
        locals_: list[Local],
        online: list[Online],
        client: Client,
        options: MatchOptions,
        context: Context,
        done: Matched,
    ) -> None:
        self.locals, self.online, self.client = locals_, online, client
        self.options, self.context, self.done = options, context, done
        self.clock_s = 0.0
        self.pairs: dict[int, Pair] = {}  # by the number of the local photo
        self._columns: dict[int, int] = {}  # of pairs that are settled
        self._looked = np.zeros((len(locals_), len(online)), bool)
        self._gone: set[int] = set()  # online photos that cannot be had, or cannot be read
        self._ours: dict[int, Any] = {}  # features
        self._theirs: dict[int, Any] = {}

    def take_clock(self, offset_s: float) -> None:
        """From now on the camera's clock counts as so much ahead."""
        self.done.clock_s = self.clock_s = offset_s

    def found(self) -> list[Pair]:
        """Pairs that are sure."""
        return [p for p in self.pairs.values() if p.verdict == "matched"]

    def look(self, possible: Bools, named: Bools) -> None:
        """Compares those that may be the same and have no partner yet, unless they were compared before."""
        possible, named = self._open(possible), self._open(named)
        if not ((possible | named) & ~self._looked).any():
            return
        self._looked |= possible | named
        rows, columns, found, measured = self._compared(possible, named, True)
        for likeness in found:
            self._keep(
                rows[likeness.row],
                columns[likeness.column],
                likeness,
                bool(named[rows[likeness.row], columns[likeness.column]]),
            )
        self._note_rivals(measured, rows, columns)
        self._note_different(measured, rows, columns)

    def likely(self, possible: Bools) -> list[Pair]:
        """Pairs of those that have no partner by their pictures alone; they are not kept."""
        possible = self._open(possible) & ~self._looked
        if not possible.any():
            return []
        rows, columns, found, _ = self._compared(possible, np.zeros_like(possible), False)
        return [
            Pair(self.locals[rows[x.row]], self.online[columns[x.column]], "matched", x.similarity.ssim)
            for x in found
            if x.margin >= self.options.min_margin_ratio
        ]

    def _open(self, table: Bools) -> Bools:
        table = table.copy()
        for i, j in self._columns.items():
            table[i, :] = False
            table[:, j] = False
        return table

    def _compared(
        self, possible: Bools, named: Bools, second_look: bool
    ) -> tuple[list[int], list[int], list[Likeness], dict[tuple[int, int], Looked]]:
        wanted = possible | named
        columns = self._fetched(np.flatnonzero(wanted.any(axis=0)).tolist())
        rows = np.flatnonzero(wanted[:, columns].any(axis=1)).tolist()
        ours = self._features(rows, self._ours, self._shot, self._refuse)
        theirs = self._features(columns, self._theirs, self._view, self._miss)
        part = np.ix_(rows, columns)
        clock = np.array([self.locals[i].local_s - self.clock_s for i in rows])
        wall = np.array([self.online[j].observation.local_s for j in columns])
        found, measured = best_pairs(
            [self._shot(i) for i in rows], [self._view(j) for j in columns], ours, theirs, possible[part],
            SIZES[self.options.image_size], self.done.threshold, self.options.device, named[part], second_look,
            np.abs(np.subtract.outer(clock, wall)), lambda n, total: self.context.progress("compare", n, total),
        )  # fmt: skip
        return rows, columns, found, measured

    def _features(
        self,
        numbers: Sequence[int],
        kept: dict[int, Any],
        side: Callable[[int], Side],
        refuse: Callable[[int, Any], None],
    ) -> Features:
        """Features of some photos; of each they are made once."""
        new = [i for i in numbers if i not in kept]
        made = features([side(i) for i in new], lambda n: self.context.progress("read", n, len(new)))
        for k, i in enumerate(new):
            kept[i] = (made.light[k], made.corners[k])
            if k in made.failures:
                refuse(i, made.failures[k])
        light = np.array([kept[i][0] for i in numbers]).reshape(len(numbers), SIGNATURE_PX**2)
        return Features(light, tuple(kept[i][1] for i in numbers), {})

    def _refuse(self, i: int, failure: Failure[str]) -> None:
        self.done.failures.append(replace(failure.at(self.locals[i].typed), exit_code=3))

    def _miss(self, j: int, failure: Failure[str]) -> None:
        number = self.online[j].photo.photo_id
        self._gone.add(number)
        self.done.failures.append(replace(failure.at(f"photo id {number}"), exit_code=3))

    def _keep(self, i: int, j: int, found: Likeness, is_named: bool) -> None:
        is_sure = found.margin >= self.options.min_margin_ratio
        if is_sure:
            self._columns[i] = j
        self.pairs[i] = Pair(
            self.locals[i], self.online[j], "matched" if is_sure else "ambiguous", found.similarity.ssim,
            "name" if is_named else found.similarity.how, found.margin, self.clock_s,
        )  # fmt: skip

    def _note_rivals(
        self, measured: Mapping[tuple[int, int], Looked], rows: Sequence[int], columns: Sequence[int]
    ) -> None:
        """Local photos that are as good for an online one as the one that is ambiguous."""
        doubtful = {p.online.photo.photo_id for p in self.pairs.values() if p.verdict == "ambiguous"}
        for (r, c), looked in sorted(measured.items()):
            i, j = rows[r], columns[c]
            if i in self.pairs or looked.score < self.done.threshold:
                continue
            if self.online[j].photo.photo_id in doubtful:
                similarity = looked.similarity
                self.pairs[i] = Pair(
                    self.locals[i],
                    self.online[j],
                    "ambiguous",
                    similarity.ssim,
                    similarity.how,
                    0.0,
                    self.clock_s,
                )

    def _note_different(
        self, measured: Mapping[tuple[int, int], Looked], rows: Sequence[int], columns: Sequence[int]
    ) -> None:
        """The best likeness of photos that have no partner, so that people can see it."""
        best: dict[int, tuple[float, int, Looked]] = {}
        for (r, c), looked in sorted(measured.items()):
            i, j = rows[r], columns[c]
            if (
                i not in self.pairs
                and j not in self._columns.values()
                and looked.score > best.get(i, (-1.0,))[0]
            ):
                best[i] = (looked.score, j, looked)
        for i, (_, j, looked) in best.items():
            similarity = looked.similarity
            self.pairs[i] = Pair(
                self.locals[i],
                self.online[j],
                "different",
                similarity.ssim,
                similarity.how,
                _NAN,
                self.clock_s,
            )

    def _fetched(self, columns: Sequence[int]) -> list[int]:
        """The online photos of these that are there; they are kept in the cache."""
        wanted = {
            self.online[j].photo.photo_id: self.online[j].photo
            for j in columns
            if j not in self._theirs and self.online[j].photo.photo_id not in self._gone
        }
        for n, (photo, data) in enumerate(self.client.photos(wanted.values(), self.options.image_size), 1):
            self.context.progress("fetch", n, len(wanted))
            if isinstance(data, Failure):
                self._gone.add(photo.photo_id)
                code = data.exit_code if data.retryable else 3
                self.done.failures.append(replace(data.at(f"photo id {photo.photo_id}"), exit_code=code))
        return [j for j in columns if self.online[j].photo.photo_id not in self._gone]

    def _shot(self, i: int) -> Side:
        local, context = self.locals[i], self.context

        def pixels(most_px: int) -> Any:
            with context.fs.source(local.item.file) as source:
                return decode(source, most_px).pixels

        return Side(local.typed, pixels)

    def _view(self, j: int) -> Side:
        photo = self.online[j].photo

        def pixels(most_px: int) -> Any:
            data = self.client.photo(photo, self.options.image_size)
            return decode(MemoryBytes(data, f"photo {photo.photo_id}"), most_px).pixels

        return Side(f"photo id {photo.photo_id}", pixels)

    def ended(self) -> tuple[list[Local], list[Online]]:
        """What has no partner; all pairs are among the result's."""
        taken = {p.online.photo.photo_id for p in self.pairs.values() if p.verdict != "different"}
        self.done.pairs += [
            p for p in self.pairs.values() if p.verdict != "different" or p.online.photo.photo_id not in taken
        ]
        partners = {i for i, p in self.pairs.items() if p.verdict != "different"}
        lone = [x for i, x in enumerate(self.locals) if i not in partners]
        return lone, [o for o in self.online if o.photo.photo_id not in taken]


def _thumbnails(done: Matched, client: Client, compared: str) -> None:
    """Small pictures of all online photos that the page shows; what cannot be had is left out.

    Those that were compared are in the cache; of the others the small ones are asked for.
    """
    photos = {o.photo.photo_id: o.photo for o in (*(p.online for p in done.pairs), *done.lone_online)}
    seen = {p.online.photo.photo_id for p in done.pairs if p.verdict != "known"}
    for size, wanted in ((compared, seen), ("small", photos.keys() - seen)):
        chosen = [photos[number] for number in photos if number in wanted]
        for photo, data in client.photos(chosen, size):
            if isinstance(data, Failure):
                continue
            try:
                small = decode(MemoryBytes(data, "a thumbnail"), _THUMBNAIL_PX).pixels
            except UnreadableFile:
                continue
            done.thumbnails[photo.photo_id] = jpeg_of(small)


# Into the files.


def _write(done: Matched, options: MatchOptions, to: ChangeOptions, context: Context) -> None:
    mode = to.write or "exif"
    done.written = Written(mode)
    numbers = {id(space): n for n, space in enumerate(done.result.spaces)}
    by_space: dict[int, list[Pair]] = {}
    for pair in done.pairs:
        if pair.verdict in ("matched", "known"):
            by_space.setdefault(numbers[id(pair.local.space)], []).append(pair)
    for number, pairs in by_space.items():
        space = done.result.spaces[number]
        with Catalog(space.catalog) as catalog:
            former = {path: json.loads(value) for path, value in catalog.kept(_STAGE).items()}
        plans = _plans(pairs, former, mode, options, done, context)
        if to.dry_run or mode == "none":
            done.written.changes += [(plan.typed, plan.words) for plan, _ in plans.values()]
            done.written.add("to be written", len(plans))
            failed: set[str] = set()
        else:
            with journal_in(space, context, done.result.command) as journal:
                to_do = [plan for plan, _ in plans.values()]
                apply_plans(to_do, space, journal, replace(to, write=mode), done.written, context)
            failed = {f.item for f in done.written.failures}
            _remember(space, pairs, failed, former)
        for plan, pair in plans.values():
            if plan.typed not in failed:
                _count(pair, _former(pair, former), done)


def _plans(
    pairs: Iterable[Pair],
    recorded: Mapping[str, list[str]],
    mode: str,
    options: MatchOptions,
    done: Matched,
    context: Context,
) -> dict[str, tuple[Plan, Pair]]:
    """What is to be done, by the file that is changed; what cannot be done is among the failures."""
    plans: dict[str, tuple[Plan, Pair]] = {}
    for pair in pairs:
        try:
            plan = _plan(pair, _former(pair, recorded), mode, options, context)
        except CamtrailError as e:
            done.written.failures.append(replace(failure_of(pair.local.typed, e), exit_code=3))
            done.written.add("failed")
            continue
        # The second name of a file that is written already is unchanged by that.
        if plan is None or plan.splice.path in plans:
            done.written.add("unchanged")
        else:
            plans[plan.splice.path] = plan, pair
    return plans


def _former(pair: Pair, recorded: Mapping[str, list[str]]) -> list[str]:
    """Identifications that may stand in a file in place of the present one: ours, and those of this observation.

    Of a file that had no ids nothing is known to be ours, whatever its keywords are called.
    """
    known, observation = pair.local.known, pair.online.observation
    if not known.is_photo:
        return []
    former = list(recorded.get(pair.local.path, []))
    if known.observation in (observation.id, observation.uuid or None):
        former += map(identification, observation.identified)
    return [text for text in dict.fromkeys(former) if text and text != pair.online.text]


def _remember(
    space: Workspace, pairs: Iterable[Pair], failed: Container[str], former: Mapping[str, list[str]]
) -> None:
    """Keeps which identifications are ours, so that the next ones take their places."""
    values: dict[str, str] = {}
    for pair in pairs:
        path, typed = pair.local.path, pair.local.typed
        if pair.online.text and typed not in failed and f"{typed}.xmp" not in failed:
            values[path] = json.dumps(sorted({*former.get(path, []), pair.online.text}))
    if values:
        with Catalog(space.catalog) as catalog:
            catalog.keep(_STAGE, values)


def _plan(
    pair: Pair, former: Sequence[str], mode: str, options: MatchOptions, context: Context
) -> Plan | None:
    """How a file comes to say which photo it is; None where it says so already."""
    local, online = pair.local, pair.online
    changes = edits(
        local.found, online.observation, online.photo, former,
        with_tree=options.keywords == "hierarchical", with_dwc=options.dwc,
    )  # fmt: skip
    return (_sidecar_plan if mode == "sidecar" else _jpeg_plan)(local, changes, context)


def _count(pair: Pair, former: Sequence[str], done: Matched) -> None:
    """What people are told of a change."""
    known, online = pair.local.known, pair.online
    ids = (online.observation.id, online.photo.id, online.photo.photo_id)
    there = (known.observation, known.observation_photo, known.photo)
    if there != ids:
        done.counts["annotations_modified" if known.is_photo else "annotations_added"] += 1
    text = online.text
    if text and text not in known.keywords:
        gone = next((k for k in known.keywords if k in former), "")
        done.counts["identifications_modified" if gone else "identifications_added"] += 1
        done.changes.append((pair, gone, text))


def _jpeg_plan(local: Local, changes: Sequence[Edit], context: Context) -> Plan | None:
    real = context.fs.real(local.item.file)
    check_inside(real, local.typed, local.item, context)
    seen = context.fs.status(real)
    with context.fs.source(real) as source:
        head, tail_at = new_xmp_head(source, changes)
    if not head:
        return None
    return Plan(
        Splice(real, head, tail_at, real, f"{XMP_MARK} ids", seen),
        local.path,
        local.typed,
        "ids identification",
    )


def _sidecar_plan(local: Local, changes: Sequence[Edit], context: Context) -> Plan | None:
    beside = context.fs.real(f"{local.item.file}.xmp")
    old = _sidecar(local.item.file, context)
    seen = None if old is None else context.fs.status(beside)
    new = edited_sidecar(old, changes, f"{local.typed}.xmp")
    if new == old:
        return None
    source = "" if old is None else beside
    splice = Splice(beside, new, len(old or b""), source, f"{XMP_MARK} ids", seen)
    return Plan(splice, local.path, f"{local.typed}.xmp", "ids identification")
