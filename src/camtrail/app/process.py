"""The main job: scan, geotag, sequence; and its parts one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from camtrail.app.context import Context
from camtrail.app.feeds import Feed, SourceOptions, feeds, is_track
from camtrail.app.geotag import geotag as find_places
from camtrail.app.scan import Scanned, ScanOptions, known_sources, suffix_of
from camtrail.app.scan import scan as find_photos
from camtrail.app.sequence import sequence as find_ranks
from camtrail.app.state import Workspace
from camtrail.catalog.store import Catalog
from camtrail.core.errors import Failure, UsageError, worst
from camtrail.core.model import OUTCOMES, Collection, Photos, Places, Ranks, texts
from camtrail.core.names import shown
from camtrail.core.options import PRESETS, opt, resolve
from camtrail.steps.clock import TimeOptions
from camtrail.steps.direction import DirectionOptions
from camtrail.steps.duplicates import DuplicateOptions
from camtrail.steps.interpolate import JoinOptions
from camtrail.steps.sequences import SplitOptions

__all__ = ["PresetOptions", "ProcessOptions", "Result", "geotag", "known", "process", "scan", "sequence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetOptions:
    """Which set of defaults."""

    preset: str = opt(
        "classic", "defaults of sequences and duplicates: classic (600 m, 500 images) or modern (100 m, 1000)",
        choices=PRESETS,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """Everything that the main job can be told."""

    scan: ScanOptions = field(default_factory=ScanOptions)
    sources: SourceOptions = field(default_factory=SourceOptions)
    time: TimeOptions = field(default_factory=TimeOptions)
    join: JoinOptions = field(default_factory=JoinOptions)
    preset: PresetOptions = field(default_factory=PresetOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    turn: DirectionOptions = field(default_factory=DirectionOptions)
    repeat: DuplicateOptions = field(default_factory=DuplicateOptions)
    of_sources: Mapping[str, Any] = field(default_factory=dict)  # options of single sources, by their names


@dataclass(slots=True)
class Result:
    """What a run came to."""

    command: str
    collections: list[Collection] = field(default_factory=list)
    spaces: list[Workspace] = field(default_factory=list)  # one for each collection
    paths: list[str] = field(default_factory=list)  # PATHs that are no tracks, as typed
    feeds: list[Feed] = field(default_factory=list)  # what the named sources hold
    failures: list[Failure[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0

    def counts(self) -> dict[str, int]:
        """How many photos came out as what, in the order of OUTCOMES; those that none came out as left out."""
        found = Counter(outcome for c in self.collections for outcome in c.outcomes().tolist())
        return {o: found[o] for o in OUTCOMES if found[o]}

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return sum(len({s for s in c.ranks.sequence.tolist() if s is not None}) for c in self.collections)

    def exit_code(self, fail_on: Sequence[str] = ()) -> int:
        """0, or that of the gravest failure; an outcome in `fail_on` counts as 3."""
        codes = {f.exit_code for f in self.failures}
        if any(self.counts().get(o) for o in fail_on):
            codes.add(3)
        return worst(codes)


def scan(paths: Sequence[str], options: ProcessOptions, context: Context) -> Result:
    """Reads what is new or changed at PATHs; what is known of the others stays."""
    return _run("scan", paths, options, context)


def geotag(
    paths: Sequence[str], options: ProcessOptions, context: Context, *, keep_ranks: bool = False
) -> Result:
    """Scans, and finds when and where each photo was taken.

    `keep_ranks`: the sequences of an earlier run stand, although places may have changed since.
    """
    return _run("geotag", paths, options, context, places=True, keep_ranks=keep_ranks)


def sequence(
    paths: Sequence[str],
    options: ProcessOptions,
    context: Context,
    *,
    turned_deg: Mapping[str, float] | None = None,
) -> Result:
    """Scans, and orders photos by the places that `geotag` found; new photos by their own.

    `turned_deg`: added to the headings of single photos, by their absolute paths, in place of the offset angle.
    """
    return _run("sequence", paths, options, context, ranks=True, turned_deg=turned_deg)


def process(paths: Sequence[str], options: ProcessOptions, context: Context) -> Result:
    """The main job: every photo at PATHs placed, ordered and explained. Changes no photo.

    Parameters
    ----------
    paths : folders, photos, and tracks (a PATH with a track's suffix counts as `--track`)

    Raises
    ------
    InputError
        A PATH or a track cannot be used.
    UsageError
        Options that contradict each other.
    """
    return _run("process", paths, options, context, places=True, ranks=True)


def known(command: str, paths: Sequence[str], options: ProcessOptions, context: Context) -> Result:
    """What is known of the photos at PATHs.

    Where nothing is known of any, they are processed with defaults. Photos that are new or changed since the
    last run have what their own EXIF says, and stand outside of all sequences; a note says how many.
    """
    return _run(command, paths, options, context, fill=True)


def _run(
    command: str,
    paths: Sequence[str],
    options: ProcessOptions,
    context: Context,
    *,
    places: bool = False,
    ranks: bool = False,
    fill: bool = False,
    keep_ranks: bool = False,
    turned_deg: Mapping[str, float] | None = None,
) -> Result:
    """Scans; finds places and ranks, or takes those that were kept; `fill`: finds them where none were."""
    started = context.clock.monotonic_s()
    tracks = [p for p in paths if is_track(p, context)]
    named = [p for p in paths if p not in tracks]
    if not named:
        only = ", only tracks" if tracks else ""
        raise UsageError(f"no photo or folder is given{only}", "name a folder of photos")
    if tracks and not places:
        raise UsageError(f"{shown(tracks[0])} is a track, which {command} has no use for", "leave it out")
    result = Result(command, paths=named)
    found: list[Feed] = []
    if places:
        found, result.failures = feeds(options.sources, tracks, options.of_sources, context)
        result.feeds = found
    parts = find_photos(named, options.scan, context)
    parts = [replace(part, taken=_as_taken(part.space, part.photos, options, context)) for part in parts]
    placed = _places_of(parts, found, options, result.notes) if places else [None] * len(parts)
    for part, at in zip(parts, placed):
        result.failures += part.failures
        result.notes += part.notes
        with Catalog(part.space.catalog) as catalog:
            collection = _settled(
                part,
                at,
                catalog,
                options,
                context,
                result.notes,
                ranks=ranks,
                fill=fill,
                keep_ranks=keep_ranks,
                turned_deg=turned_deg,
            )
            result.collections.append(collection)
            result.spaces.append(part.space)
            if places or ranks:
                counts = json.dumps(Result(command, [collection]).counts())
                catalog.add_run(context.clock.now_s(), command, counts)
        if places and not any(feed.tracks for feed in found):
            result.notes += _unused_tracks(part, collection, context)
    result.elapsed_s = context.clock.monotonic_s() - started
    return result


def _as_taken(space: Workspace, photos: Photos, options: ProcessOptions, context: Context) -> Photos:
    """Photos with what the cameras wrote where camtrail has written since: what we wrote is no evidence.

    Cameras are told apart by their own names. Clocks and headings are as they were where something is added to
    them, so that it is added once and not once a run.
    """
    if not space.has_journal(context.fs):
        return photos
    from camtrail.app.write import as_taken

    times = bool(options.time.offset_time_s or options.join.use_gps_start_time)
    return as_taken(space, photos, context, times=times, headings=bool(options.turn.offset_angle_deg))


def _places_of(
    parts: Sequence[Scanned], found: Sequence[Feed], options: ProcessOptions, notes: list[str]
) -> list[Places]:
    """Places of the photos of all parts, found together: a name in a table is judged against all of them."""
    photos = Photos.joined(
        [
            replace(
                part.taken,
                path=texts([part.space.absolute(p) for p in part.photos.path.tolist()]),
            )
            for part in parts
        ]
    )
    roots = [root for part in parts for root in (*part.roots, part.space.base)]
    places, said = find_places(photos, roots, found, options.time, options.join)
    notes += said
    ends = np.cumsum([len(part.photos) for part in parts])
    return [places.take(np.arange(end - len(part.photos), end)) for part, end in zip(parts, ends)]


def _settled(
    part: Scanned,
    places: Places | None,
    catalog: Catalog,
    options: ProcessOptions,
    context: Context,
    notes: list[str],
    *,
    ranks: bool,
    fill: bool,
    keep_ranks: bool,
    turned_deg: Mapping[str, float] | None,
) -> Collection:
    """What a run knows of one part at its end; what it found is kept."""
    paths = part.photos.path.tolist()
    fresh = len(paths)
    is_found = places is not None
    if places is None:
        places, fresh = _places_kept(part, catalog, options)
    if ranks or (fill and 0 < fresh == len(paths)):
        standing = _ranked(part, places, fresh, catalog, options, context, turned_deg)
    elif is_found and keep_ranks:
        standing = _ranks_kept(part, catalog, places)
        catalog.put_answers(paths, places, standing)
    elif is_found:
        standing = Ranks.none(places)
        catalog.put_answers(paths, places, None)
        catalog.drop_ranks(_beside(part, catalog))
    else:
        standing = _ranks_kept(part, catalog, places)
        if fill and fresh:
            notes.append(
                f"{fresh} photos are new or changed since the last run and stand here as their EXIF has them; "
                "run camtrail process"
            )
    return Collection(part.space.base, part.roots, part.root, part.photos, places, standing)


def _ranked(
    part: Scanned,
    places: Places,
    fresh: int,
    catalog: Catalog,
    options: ProcessOptions,
    context: Context,
    turned_deg: Mapping[str, float] | None,
) -> Ranks:
    """Ranks of a part's photos, found and kept; of those beside them, too, which belong to the same sequences."""
    paths = part.photos.path.tolist()
    beside = _beside(part, catalog)
    photos, at = part.taken, places
    if beside:
        rows, kept = catalog.photos(), catalog.places()
        beside = [p for p in beside if p in kept]
        others = Photos.of_rows([rows[p] for p in beside])
        photos = Photos.joined([photos, _as_taken(part.space, others, options, context)])
        at = Places.joined([at, Places.of_rows([kept[p] for p in beside])])
    preset = options.preset.preset
    by_deg = None
    if turned_deg is not None:
        absolute = map(part.space.absolute, photos.path.tolist())
        by_deg = np.array([turned_deg.get(path, options.turn.offset_angle_deg) for path in absolute], float)
    ranks = find_ranks(
        photos, at, resolve(options.split, preset), options.turn, resolve(options.repeat, preset), by_deg
    )
    n = len(paths)
    own = ranks.take(np.arange(n))
    if fresh:
        catalog.put_answers(paths, places, own)
    else:
        catalog.put_ranks(paths, own)
    if beside:
        catalog.put_ranks(beside, ranks.take(np.arange(n, len(photos))))
    return own


def _beside(part: Scanned, catalog: Catalog) -> list[str]:
    """Photos that are known in the folders of a part's photos and do not belong to it: PATHs may be single files."""
    if part.is_whole:
        return []
    here = set(part.photos.path.tolist())
    folders = {p.rpartition("/")[0] for p in here}
    return [p for p in sorted(catalog.photos()) if p.rpartition("/")[0] in folders and p not in here]


def _places_kept(part: Scanned, catalog: Catalog, options: ProcessOptions) -> tuple[Places, int]:
    """Places as they were kept, those of new photos found with defaults; and how many were new."""
    kept = _kept(part, catalog.places)
    paths = part.photos.path.tolist()
    missing = sum(p not in kept for p in paths)
    if not missing:
        return Places.of_rows([kept[p] for p in paths]), 0
    (new,) = _places_of([part], [Feed("exif", scanned=True)], options, [])
    return Places.of_rows([kept.get(p, row) for p, row in zip(paths, _rows(new))]), missing


def _ranks_kept(part: Scanned, catalog: Catalog, places: Places) -> Ranks:
    kept = _kept(part, catalog.ranks)
    rows = zip(part.photos.path.tolist(), _rows(Ranks.none(places)))
    return Ranks.of_rows([kept.get(p, row) for p, row in rows])


def _kept(part: Scanned, load: Callable[[str], dict[str, tuple[Any, ...]]]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for root in part.space.roots:
        found.update(load(part.space.relative(root)))
    return found


def _rows(table: Places | Ranks) -> Iterator[tuple[Any, ...]]:
    return zip(*(getattr(table, f.name).tolist() for f in fields(table)))


def _unused_tracks(part: Scanned, collection: Collection, context: Context) -> list[str]:
    """A hint at recorded tracks beside photos that have no place; what camtrail exported itself is none."""
    if not part.tracks or "no_place" not in collection.outcomes().tolist():
        return []
    from camtrail.app.export import is_ours

    suffixes = frozenset().union(*(s.suffixes for s in known_sources().values() if s.only_tracks))
    found = [t for t in part.tracks if suffix_of(t) in suffixes and not is_ours(t, context)]
    few = ", ".join(shown(part.space.as_typed(part.space.relative(t))) for t in found[:3])
    return [f"there are tracks beside the photos ({few}); give --track FILE to use them"] if found else []
