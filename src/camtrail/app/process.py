"""The main job: scan, geotag, sequence; and its parts one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from camtrail.app.context import Context
from camtrail.app.feeds import SourceOptions, feeds, is_track
from camtrail.app.geotag import geotag as find_places
from camtrail.app.scan import Scanned, ScanOptions
from camtrail.app.scan import scan as find_photos
from camtrail.app.sequence import sequence as find_ranks
from camtrail.catalog.store import Catalog
from camtrail.core.errors import Failure, UsageError, worst
from camtrail.core.model import OUTCOMES, Collection, Places, Ranks
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
    failures: list[Failure[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0

    def counts(self) -> dict[str, int]:
        """How many photos came out as what, in the order of OUTCOMES; those that none came out as left out."""
        found: Counter[str] = Counter()
        for c in self.collections:
            copies = sum(d is not None for d in c.ranks.duplicate_of.tolist())
            found.update(c.places.outcome.tolist())
            if copies:
                found["duplicate"] += copies
                found["located"] -= copies
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
    return _run("scan", paths, options, context, _kept)


def geotag(paths: Sequence[str], options: ProcessOptions, context: Context) -> Result:
    """Scans, and finds when and where each photo was taken."""
    return _run("geotag", paths, options, context, _placed)


def sequence(paths: Sequence[str], options: ProcessOptions, context: Context) -> Result:
    """Scans, and orders photos by the places that `geotag` found; new photos by their own."""
    return _run("sequence", paths, options, context, _ranked)


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
    return _run("process", paths, options, context, _processed)


def known(command: str, paths: Sequence[str], options: ProcessOptions, context: Context) -> Result:
    """What is known of the photos at PATHs; photos that nothing is known of are processed with defaults."""
    return _run(command, paths, options, context, _kept_or_processed)


_Job = Callable[[Scanned, Catalog, Sequence[Any], ProcessOptions, list[str]], tuple[Places, Ranks]]


def _run(command: str, paths: Sequence[str], options: ProcessOptions, context: Context, job: _Job) -> Result:
    started = context.clock.monotonic_s()
    tracks = [p for p in paths if is_track(p)]
    photos = [p for p in paths if p not in tracks]
    if not photos:
        raise UsageError(
            "no photo or folder is given" + (", only tracks" if tracks else ""), "name a folder of photos"
        )
    result = Result(command)
    needs_feeds = job in (_placed, _processed)
    if tracks and not needs_feeds:
        raise UsageError(f"{shown(tracks[0])} is a track, which {command} has no use for", "leave it out")
    found, failed = feeds(options.sources, tracks, options.of_sources, context) if needs_feeds else ([], [])
    result.failures += failed
    for scanned in find_photos(photos, options.scan, context):
        result.failures += scanned.failures
        with Catalog(scanned.space.catalog) as catalog:
            places, ranks = job(scanned, catalog, found, options, result.notes)
            space = scanned.space
            result.collections.append(
                Collection(space.base, space.roots, scanned.root, scanned.photos, places, ranks)
            )
            if needs_feeds or job is _ranked:
                counts = Result(command, [result.collections[-1]]).counts()
                catalog.add_run(context.clock.now_s(), command, json.dumps(counts))
        if scanned.tracks and needs_feeds and not any(f.tracks for f in found):
            few = ", ".join(shown(t.rpartition("/")[2]) for t in scanned.tracks[:3])
            if any(o in ("no_place",) for o in places.outcome.tolist()):
                result.notes.append(
                    f"there are tracks beside the photos ({few}); give --track FILE to use them"
                )
    result.elapsed_s = context.clock.monotonic_s() - started
    return result


def _processed(
    scanned: Scanned, catalog: Catalog, found: Sequence[Any], options: ProcessOptions, notes: list[str]
) -> tuple[Places, Ranks]:
    places = _find_places(scanned, found, options, notes)
    ranks = _find_ranks(scanned, places, options)
    catalog.put_answers(scanned.photos.path.tolist(), places, ranks)
    return places, ranks


def _placed(
    scanned: Scanned, catalog: Catalog, found: Sequence[Any], options: ProcessOptions, notes: list[str]
) -> tuple[Places, Ranks]:
    places = _find_places(scanned, found, options, notes)
    catalog.put_answers(scanned.photos.path.tolist(), places, None)
    return places, Ranks.none(places)


def _ranked(
    scanned: Scanned, catalog: Catalog, found: Sequence[Any], options: ProcessOptions, notes: list[str]
) -> tuple[Places, Ranks]:
    places, fresh = _places_kept(scanned, catalog, options)
    ranks = _find_ranks(scanned, places, options)
    paths = scanned.photos.path.tolist()
    if fresh:
        catalog.put_answers(paths, places, ranks)
    else:
        catalog.put_ranks(paths, ranks)
    return places, ranks


def _kept(
    scanned: Scanned, catalog: Catalog, found: Sequence[Any], options: ProcessOptions, notes: list[str]
) -> tuple[Places, Ranks]:
    places, _ = _places_kept(scanned, catalog, options)
    return places, _ranks_kept(scanned, catalog, places)


def _kept_or_processed(
    scanned: Scanned, catalog: Catalog, found: Sequence[Any], options: ProcessOptions, notes: list[str]
) -> tuple[Places, Ranks]:
    places, fresh = _places_kept(scanned, catalog, options)
    if fresh == len(places) and fresh:
        ranks = _find_ranks(scanned, places, options)
        catalog.put_answers(scanned.photos.path.tolist(), places, ranks)
        return places, ranks
    return places, _ranks_kept(scanned, catalog, places)


def _find_places(scanned: Scanned, found: Sequence[Any], options: ProcessOptions, notes: list[str]) -> Places:
    space = scanned.space
    places, said = find_places(scanned.photos, space.base, space.roots, found, options.time, options.join)
    notes += said
    return places


def _find_ranks(scanned: Scanned, places: Places, options: ProcessOptions) -> Ranks:
    space, preset = scanned.space, options.preset.preset
    # A state elsewhere has absolute paths; ids are to be the same as of one beside the photos.
    below = (
        space.relative(space.roots[0]) if not space.state.startswith(space.base.rstrip("/") + "/.") else ""
    )
    return find_ranks(
        scanned.photos,
        places,
        resolve(options.split, preset),
        options.turn,
        resolve(options.repeat, preset),
        below=below,
    )


def _places_kept(scanned: Scanned, catalog: Catalog, options: ProcessOptions) -> tuple[Places, int]:
    """Places as they were kept, those of new photos found with defaults; and how many were new."""
    kept: dict[str, tuple[Any, ...]] = {}
    for root in scanned.space.roots:
        kept.update(catalog.places(scanned.space.relative(root)))
    paths = scanned.photos.path.tolist()
    missing = sum(p not in kept for p in paths)
    if not missing:
        return Places.of_rows([kept[p] for p in paths]), 0
    from camtrail.app.feeds import Feed

    new = _find_places(scanned, [Feed("exif", scanned=True)], options, [])
    if missing == len(paths):
        return new, missing
    rows = zip(*(getattr(new, name).tolist() for name in Places.__slots__))
    return Places.of_rows([kept.get(p, row) for p, row in zip(paths, rows)]), missing


def _ranks_kept(scanned: Scanned, catalog: Catalog, places: Places) -> Ranks:
    kept: dict[str, tuple[Any, ...]] = {}
    for root in scanned.space.roots:
        kept.update(catalog.ranks(scanned.space.relative(root)))
    none = Ranks.none(places)
    if not kept:
        return none
    rows = zip(*(getattr(none, name).tolist() for name in Ranks.__slots__))
    return Ranks.of_rows([kept.get(p, row) for p, row in zip(scanned.photos.path.tolist(), rows)])
