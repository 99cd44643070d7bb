"""When and where each photo was taken: clocks, sources and the join, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from camtrail.app.feeds import Feed
from camtrail.core import geo, timezones
from camtrail.core.model import Bools, Floats, Ints, Photos, Places, Texts, Track, texts
from camtrail.core.names import natural, shown
from camtrail.steps import clock, interpolate, naming, sequences
from camtrail.steps.clock import TimeOptions
from camtrail.steps.interpolate import JoinOptions

__all__ = ["bodies", "geotag", "groups", "is_known"]


def bodies(photos: Photos) -> Ints:
    """(n,) number of the camera body: make, model and serial, or the folder where a camera says nothing."""
    numbers: dict[tuple[str | None, ...], int] = {}
    keys = zip(photos.make.tolist(), photos.model.tolist(), photos.serial.tolist(), photos.path.tolist())
    return np.array(
        [
            numbers.setdefault((a, b, c) if a or b or c else (_folder(path),), len(numbers))
            for a, b, c, path in keys
        ],
        np.int64,
    )


def groups(photos: Photos, body: Ints) -> Ints:
    """(n,) number of the folder and camera body, ascending with the folders' names."""
    folders: dict[str, int] = {}
    for path in photos.path.tolist():
        folders.setdefault(_folder(path), 0)
    for number, folder in enumerate(sorted(folders)):
        folders[folder] = number
    of = np.array([folders[_folder(p)] for p in photos.path.tolist()], np.int64)
    return of * (int(body.max(initial=0)) + 1) + body


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(slots=True)
class _Rows:
    """The columns while they are being filled, and the reasons as lists of words."""

    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats
    position_source: Texts
    heading_deg: Floats
    heading_source: Texts
    before_s: Floats
    after_s: Floats
    error_m: Floats
    outcome: Texts
    reasons: dict[int, list[str]]

    def put(
        self, rows: Bools, lat: Floats, lon: Floats, alt: Floats, error: Floats, source: str | Texts
    ) -> None:
        """Places rows; what a track said of them before does not hold any longer."""
        self.lat_deg[rows], self.lon_deg[rows] = lat[rows], lon[rows]
        self.alt_m[rows], self.error_m[rows] = alt[rows], error[rows]
        self.position_source[rows] = source if isinstance(source, str) else source[rows]
        self.before_s[rows] = self.after_s[rows] = np.nan

    def turn(self, rows: Bools, heading: Floats, source: str) -> None:
        """Gives headings to rows that have none."""
        new = rows & ~np.isfinite(self.heading_deg) & np.isfinite(heading)
        self.heading_deg[new], self.heading_source[new] = heading[new], source

    def say(self, rows: Ints, words: Callable[[int], str]) -> None:
        for i in rows.tolist():
            self.reasons.setdefault(i, []).append(words(i))


def geotag(
    photos: Photos,
    roots: Sequence[str],
    feeds: Sequence[Feed],
    time_options: TimeOptions,
    join_options: JoinOptions,
) -> tuple[Places, list[str]]:
    """Instants and places of the photos of a run.

    Parameters
    ----------
    photos : with absolute paths; of all PATHs, so that a name in a table is judged against all of them
    roots : absolute; what names in tables may be relative to
    feeds : what the sources hold, in the order in which they are tried

    Returns
    -------
    One row for each photo, and what is to be said of the whole run.

    Raises
    ------
    UsageError
        There is no such time zone.
    """
    n = len(photos)
    notes = [note for feed in feeds for note in feed.notes]
    named = {id(feed): _Named.of(photos, roots, feed, notes) for feed in feeds if feed.placements}
    body = bodies(photos)
    time_s, source, rows = _instants(photos, body, feeds, named, time_options)
    tracks = [t for feed in feeds for t in feed.tracks]
    if join_options.use_gps_start_time and tracks and np.isfinite(time_s).any():
        shift = min(float(t.time_s[0]) for t in tracks) - float(np.nanmin(time_s))
        time_s = time_s + shift
        notes.append(
            f"all photos were shifted by {shift:.3f} s, so that the first meets the track's first fix"
        )
    time_s = time_s + time_options.offset_time_s
    group = groups(photos, body)
    names = photos.path.tolist()
    order = sequences.in_order(group, time_s, lambda i: natural(names[i]))
    order_s = np.full(n, np.nan)
    order_s[order] = sequences.spread(group[order], time_s[order])

    for feed in feeds:
        if feed.scanned:
            _take_own(rows, photos)
        if id(feed) in named:
            named[id(feed)].place(rows)
        if feed.tracks:
            _take_tracks(rows, feed, order_s, join_options)
    _judge(rows, photos, feeds, list(named.values()), time_s)
    for i, note in enumerate(photos.note.tolist()):
        if note is not None:  # what the scan found damaged stands in front
            rows.reasons[i] = [note, *rows.reasons.get(i, [])]
    return (
        Places(
            time_s, order_s, texts([_name_of(s, feeds) for s in source.tolist()]),
            rows.lat_deg, rows.lon_deg, rows.alt_m, rows.position_source, rows.heading_deg, rows.heading_source,
            rows.before_s, rows.after_s, rows.error_m, rows.outcome,
            texts(["; ".join(rows.reasons[i]) if i in rows.reasons else None for i in range(n)]),
        ),
        notes,
    )  # fmt: skip


_FROM_TABLE = len(clock.NAMES)  # time_source codes from here on: the feed that gave the time


def _name_of(code: int, feeds: Sequence[Feed]) -> str | None:
    if code == clock.NOTHING:
        return None
    return clock.NAMES[code] if code < _FROM_TABLE else feeds[code - _FROM_TABLE].source


@dataclass(frozen=True, slots=True, eq=False)
class _Named:
    """One source's rows, joined to photos by name; (n,) columns with a row for each photo."""

    feed: Feed
    row: Ints  # index of the placement, or what naming.join says instead
    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats
    heading_deg: Floats
    time_s: Floats
    local_s: Floats
    fault: Texts  # why the row has no position

    @classmethod
    def of(cls, photos: Photos, roots: Sequence[str], feed: Feed, notes: list[str]) -> _Named:
        placements = [p for _, p in feed.placements]
        tables = list(dict.fromkeys(folder for folder, _ in feed.placements))
        files = [p.file for p in placements]
        row, reached = naming.join(files, photos.path.tolist(), tables, roots)
        missing = [files[i] for i in np.flatnonzero(reached == 0).tolist()]
        if missing:
            few = ", ".join(shown(m) for m in missing[:3]) + (" …" if len(missing) > 3 else "")
            what = "1 row names" if len(missing) == 1 else f"{len(missing)} rows name"
            notes.append(f"{feed.source}: {what} no photo here: {few}")
        if repeats := len(files) - len(set(files)):
            notes.append(
                f"{feed.source}: {repeats} rows repeat the name of an earlier row; the first one counts"
            )

        def column(name: str) -> Floats:
            values = np.array([getattr(p, name) for p in placements] or [np.nan], np.float64)
            return np.where(row >= 0, values[np.maximum(row, 0)], np.nan)

        lat, lon = column("lat_deg"), column("lon_deg")
        fault = texts([placements[r].fault if r >= 0 else "" for r in row.tolist()])
        bad = ~geo.plausible(lat, lon)
        return cls(
            feed, row, np.where(bad, np.nan, lat), np.where(bad, np.nan, lon), column("alt_m"),
            column("heading_deg"), column("time_s"), column("local_s"), fault,
        )  # fmt: skip

    def place(self, rows: _Rows) -> None:
        """Fills what is not placed yet."""
        new = ~np.isfinite(rows.lat_deg) & np.isfinite(self.lat_deg)
        rows.put(new, self.lat_deg, self.lon_deg, self.alt_m, np.full(len(new), np.nan), self.feed.source)
        rows.turn(new, self.heading_deg % 360.0, self.feed.source)


def _instants(
    photos: Photos,
    body: Ints,
    feeds: Sequence[Feed],
    named: Mapping[int, _Named],
    options: TimeOptions,
) -> tuple[Floats, Ints, _Rows]:
    """The time rule; returns instants, codes of their sources, and rows with what is to be said of them."""
    n = len(photos)
    local_s, offset_s, gps_s = photos.local_s, photos.offset_s, photos.gps_time_s
    table_s, table_source = np.full(n, np.nan), np.full(n, clock.NOTHING, np.int64)
    lat, lon = np.full(n, np.nan), np.full(n, np.nan)
    for number, feed in enumerate(feeds):
        free = ~np.isfinite(lat)
        if feed.scanned:
            lat, lon = np.where(free, photos.lat_deg, lat), np.where(free, photos.lon_deg, lon)
        if id(feed) in named:
            # A table that places a photo and says when, says it better than the photo's own clock.
            table = named[id(feed)]
            placed = free & np.isfinite(table.lat_deg)
            timed, clocked = placed & np.isfinite(table.time_s), placed & np.isfinite(table.local_s)
            clocked &= ~timed
            table_s[timed], table_source[timed] = table.time_s[timed], _FROM_TABLE + number
            local_s = np.where(clocked, table.local_s, local_s)
            offset_s, gps_s = np.where(clocked, np.nan, offset_s), np.where(clocked, np.nan, gps_s)
            lat, lon = np.where(placed, table.lat_deg, lat), np.where(placed, table.lon_deg, lon)
    told = np.isfinite(table_s)
    local_s, gps_s = np.where(told, np.nan, local_s), np.where(told, np.nan, gps_s)
    if options.time_source == "clock":
        gps_s = np.full(n, np.nan)
    option = timezones.named(options.time_zone) if options.time_zone else None
    outing = clock.outings(local_s, body)
    zones = texts([None] * n)
    decides = clock.in_need_of_zone(local_s, offset_s, gps_s, outing)
    if option is None and decides.any():
        zones = clock.fill_zones(timezones.zones_at(np.where(decides, lat, np.nan), lon), outing, local_s)
        without = np.array([z is None for z in zones.tolist()], bool) & decides
        tracks = [t for feed in feeds for t in feed.tracks]
        if tracks and without.any():
            zones[without] = _zones_on_tracks(tracks, local_s[without])
    reading = clock.readings(local_s, offset_s, zones, option, decides)
    instants = clock.instants(local_s, gps_s, reading, outing)
    time_s = np.where(told, table_s, instants.time_s)
    source = np.where(told, table_source, instants.source)

    rows = _unplaced(n)
    with np.errstate(invalid="ignore"):
        rows.say(np.flatnonzero(np.abs(instants.error_s) > 2.0), lambda i: _clock_words(instants.error_s[i]))
    rows.say(np.flatnonzero(np.isfinite(instants.stale_s)), lambda i: _stale_words(instants.stale_s[i]))
    shifted = (instants.source == clock.GPS) & (instants.zone_s != 0) & (reading.source != clock.MACHINE)
    rows.say(np.flatnonzero(shifted), lambda i: _zone_words(int(reading.source[i]), instants.zone_s[i]))
    by_clock = (source == reading.source) & ~told
    rows.say(
        np.flatnonzero(by_clock & (reading.odd == timezones.AMBIGUOUS)),
        lambda i: "its hour occurs twice that day (clocks go back); the first was taken",
    )
    rows.say(
        np.flatnonzero(by_clock & (reading.odd == timezones.SKIPPED)),
        lambda i: "its hour is skipped that day (clocks go forward); standard time was taken",
    )
    rows.say(
        np.flatnonzero(by_clock & (source == clock.MACHINE)),
        lambda i: (
            f"its clock was read in this machine's zone ({_offset_words(local_s[i] - time_s[i])}); "
            "give --time-zone if that is wrong"
        ),
    )
    return time_s, source, rows


def _unplaced(n: int) -> _Rows:
    def nan() -> Floats:
        return np.full(n, np.nan)

    nothing, no_place = texts([None] * n), texts(["no_place"] * n)
    return _Rows(nan(), nan(), nan(), nothing, nan(), nothing.copy(), nan(), nan(), nan(), no_place, {})


def _clock_words(error_s: float) -> str:
    return f"its clock is {_span(abs(error_s))} {'slow' if error_s > 0 else 'fast'} against GPS time"


def _stale_words(stale_s: float) -> str:
    return f"its own GPS time is {_span(abs(stale_s))} {'old' if stale_s > 0 else 'ahead'} (a stale fix)"


def _zone_words(source: int, zone_s: float) -> str:
    by = f"{_span(abs(zone_s))} {'behind' if zone_s > 0 else 'ahead'}"
    if source == clock.OFFSET:
        return f"its OffsetTime tag and its clock are {by} of GPS time, a whole zone"
    if source == clock.OPTION:
        return f"its clock in --time-zone is {by} of GPS time, a whole zone"
    return f"its clock is set {by} of the zone there"


def _offset_words(ahead_s: float) -> str:
    """`UTC+02:00`."""
    minutes = round(ahead_s / 60)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _span(seconds: float) -> str:
    """`34 s`, `12 min 5 s`, `3 h 20 min`, `5 d 3 h`."""
    s = round(seconds)
    if s < 120:
        return f"{s} s"
    if s < 7200:
        return f"{s // 60} min" + (f" {s % 60} s" if s % 60 else "")
    if s < 172800:
        return f"{s // 3600} h" + (f" {s % 3600 // 60} min" if s % 3600 // 60 else "")
    return f"{s // 86400} d" + (f" {s % 86400 // 3600} h" if s % 86400 // 3600 else "")


def _zones_on_tracks(tracks: Sequence[Track], local_s: Floats) -> Texts:
    """The zone of each clock reading, where the receiver was at that time.

    A track may cross zones: each zone along it is tried, and the one holds in which the track was there and
    then. Where none does, the zone of the track's first fix.
    """
    lat = np.concatenate([t.lat_deg[:: max(1, len(t.lat_deg) // 64)] for t in tracks])
    lon = np.concatenate([t.lon_deg[:: max(1, len(t.lon_deg) // 64)] for t in tracks])
    at = np.concatenate([t.time_s[:: max(1, len(t.time_s) // 64)] for t in tracks])
    order = np.argsort(at, kind="stable")
    at, zones = at[order], timezones.zones_at(lat[order], lon[order])
    out = np.full(len(local_s), zones[0], object)
    for zone in sorted({z for z in zones.tolist() if z}):
        moment, _ = timezones.instants(local_s, timezones.named(zone))
        right = np.clip(np.searchsorted(at, moment), 0, len(at) - 1)
        left = np.maximum(right - 1, 0)
        near = np.where(np.abs(at[left] - moment) <= np.abs(at[right] - moment), left, right)
        out[
            (zones[near] == zone) & (moment >= at[0] - clock.PAUSE_S) & (moment <= at[-1] + clock.PAUSE_S)
        ] = zone
    return out


def _take_own(rows: _Rows, photos: Photos) -> None:
    new = ~np.isfinite(rows.lat_deg) & np.isfinite(photos.lat_deg)
    rows.put(new, photos.lat_deg, photos.lon_deg, photos.alt_m, photos.error_m, photos.position_in)
    everywhere = np.ones(len(new), bool)
    rows.turn(everywhere, photos.heading_deg, "exif")
    rows.turn(everywhere, photos.course_deg, "course")


def _take_tracks(rows: _Rows, feed: Feed, order_s: Floats, options: JoinOptions) -> None:
    joined = interpolate.join(feed.tracks, order_s, options)
    left = ~np.isfinite(rows.lat_deg)
    new = left & (joined.verdict == interpolate.LOCATED)
    rows.put(new, joined.lat_deg, joined.lon_deg, joined.alt_m, joined.error_m, feed.source)
    rows.turn(new, joined.course_deg, "track")
    # Of several tracks that do not reach a photo the nearest one is told of.
    with np.errstate(invalid="ignore"):
        tell = new | (left & ~(joined.seconds_off >= np.fmin(rows.before_s, rows.after_s)))
    rows.before_s[tell], rows.after_s[tell] = joined.before_s[tell], joined.after_s[tell]
    missed = tell & ~new & (joined.verdict != interpolate.UNTIMED)
    rows.outcome[missed] = np.where(joined.verdict[missed] == interpolate.IN_GAP, "in_gap", "outside_track")


def _judge(
    rows: _Rows, photos: Photos, feeds: Sequence[Feed], named: Sequence[_Named], time_s: Floats
) -> None:
    """The one outcome of each photo, and why."""
    placed, timed = np.isfinite(rows.lat_deg), np.isfinite(time_s)
    tracked = any(feed.tracks for feed in feeds)
    rows.outcome[placed & timed] = "located"
    rows.outcome[placed & ~timed] = "no_time"
    if tracked:
        rows.outcome[~placed & ~timed] = "no_time"
    faulty = np.array([f is not None for f in photos.fault.tolist()], bool)
    rows.outcome[faulty] = photos.fault[faulty]
    for column in (rows.lat_deg, rows.lon_deg, rows.alt_m, rows.heading_deg, rows.error_m):
        column[faulty] = np.nan  # a table may have named the file
    rows.position_source[faulty] = rows.heading_source[faulty] = None
    for i in np.flatnonzero(faulty).tolist():
        rows.reasons[i] = [f"{photos.message[i]}; {photos.hint[i]}" if photos.hint[i] else photos.message[i]]
    bare = ~placed & ~faulty
    outcome = rows.outcome
    before, after = rows.before_s, rows.after_s
    rows.say(
        np.flatnonzero(bare & (outcome == "outside_track")),
        lambda i: _outside_words(before[i], after[i]),
    )
    rows.say(
        np.flatnonzero(bare & (outcome == "in_gap")),
        lambda i: (
            f"in a gap of the track: {_exactly(before[i])} after one fix, {_exactly(after[i])} before the next"
        ),
    )
    rows.say(
        np.flatnonzero(bare & (outcome == "no_time")),
        lambda i: "has no capture time, so no track can place it; its file name may have a date",
    )
    rows.say(np.flatnonzero(placed & ~timed & ~faulty), lambda i: "has a place and no capture time")
    nowhere = np.flatnonzero(bare & (outcome == "no_place"))
    rows.say(nowhere, lambda i: _no_place_words(i, feeds, named, bool(timed[i])))


def _outside_words(before_s: float, after_s: float) -> str:
    if after_s != after_s or before_s <= after_s:
        return f"outside the track by {_exactly(before_s)}, after its end"
    return f"outside the track by {_exactly(after_s)}, before its start"


def _exactly(seconds: float) -> str:
    """`34 s`, `2.5 s`, `6834 s (1 h 53 min)`."""
    exact = f"{seconds:.1f}".removesuffix(".0") if seconds < 10 else f"{seconds:.0f}"
    return f"{exact} s" if seconds < 120 else f"{exact} s ({_span(seconds)})"


def _no_place_words(i: int, feeds: Sequence[Feed], named: Sequence[_Named], timed: bool) -> str:
    words = ["its EXIF has no position" for feed in feeds if feed.scanned]
    words += [_row_words(table, i) for table in named]
    if not named:
        words.append(
            "give --track FILE" if timed else "it has no capture time either, which a track could use"
        )
    return "; ".join(words)


def _row_words(table: _Named, i: int) -> str:
    where = ", ".join(shown(f) for f in table.feed.files)
    row = int(table.row[i])
    if row == naming.SEVERAL_PHOTOS:
        return f"a row of {where} fits several photos of that name; write the path there"
    if row == naming.SEVERAL_ROWS:
        return f"several rows of {where} fit its name; write the path there"
    if row == naming.NO_ROW:
        return f"no row of {where} names it"
    return f"in {where} it is among the {table.fault[i] or 'rows without a position'}"


def is_known(places: Places) -> Bools:
    """(n,) which photos have both a place and a time."""
    return np.asarray(np.isfinite(places.lat_deg) & np.isfinite(places.time_s))
