"""What is known of PATHs, and of one photo."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from camtrail.app.context import Context
from camtrail.app.feeds import is_track
from camtrail.app.process import ProcessOptions, Result, known
from camtrail.app.scan import ScanOptions
from camtrail.app.state import existing
from camtrail.app.undo import journal_of
from camtrail.catalog.journal import JournalRun
from camtrail.catalog.store import Catalog
from camtrail.core.errors import UsageError
from camtrail.core.model import OUTCOMES, Item, Places, Ranks
from camtrail.core.names import shown

__all__ = ["Known", "iso", "status", "why"]


_COPY_OF = [f.name for f in fields(Ranks)].index("duplicate_of")
_OUTCOME = [f.name for f in fields(Places)].index("outcome")


@dataclass(frozen=True, slots=True)
class Known:
    """What the state of one PATH says."""

    path: str  # as typed
    state: str | None = None  # absolute folder; None where there is no state yet
    photos: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # of photos that were geotagged, by outcome
    runs: list[tuple[str, str, dict[str, int]]] = field(default_factory=list)  # ISO time, command, counts
    size_bytes: int = 0
    written: list[JournalRun] = field(default_factory=list)  # runs that changed files, the newest first
    undo_bytes: int = 0  # of what undo needs


def status(paths: Sequence[str], options: ScanOptions, context: Context) -> list[Known]:
    """What is known of each PATH; scans nothing and makes nothing.

    Raises
    ------
    InputError
        A PATH is not there.
    """
    return [_status(path, options, context) for path in paths]


def _status(path: str, options: ScanOptions, context: Context) -> Known:
    if is_track(path, context):
        raise UsageError(f"{shown(path)}: is a track, of which nothing is kept", "name a folder of photos")
    space = existing(context.fs, path, options.state_dir)
    if space is None:
        return Known(path)
    written, undo_bytes = journal_of(path, options, context)
    if not space.has_catalog(context.fs):
        return Known(path, space.state, written=written, undo_bytes=undo_bytes) if written else Known(path)
    below = space.relative(space.roots[0])
    with Catalog(space.catalog) as catalog:
        photos = catalog.photos(below)
        copies = {p for p, row in catalog.ranks(below).items() if row[_COPY_OF] is not None}
        found = Counter(
            "duplicate" if p in copies else row[_OUTCOME] for p, row in catalog.places(below).items()
        )
        runs = [(iso(at_s), command, json.loads(counts)) for _, at_s, command, counts in catalog.runs()]
    counts = {o: found[o] for o in OUTCOMES if found[o]}
    size_bytes = context.fs.entry(space.catalog).size_bytes
    return Known(path, space.state, len(photos), counts, runs, size_bytes, written, undo_bytes)


def iso(time_s: float) -> str:
    """POSIX seconds as ISO 8601, UTC."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def why(photo: str, options: ProcessOptions, context: Context) -> tuple[Result, list[tuple[str, str]]]:
    """Everything known of one photo, as (name, words) in the order of reading.

    Raises
    ------
    UsageError
        The path is a folder.
    InputError
        There is no such file.
    """
    if context.fs.entry(photo).kind == "folder":
        raise UsageError(f"{shown(photo)}: is a folder", "name one photo")
    result = known("why", [photo], options, context)
    items = [item for c in result.collections for item in c.items()]
    return result, _facts(items[0])


def _facts(item: Item) -> list[tuple[str, str]]:
    facts = [("photo", shown(item.file)), ("outcome", item.outcome.replace("_", " "))]
    if item.reason:
        facts.append(("because", item.reason))
    if item.time_s == item.time_s:
        facts.append(("time", f"{_moment(item.time_s)}Z (from {item.time_source})"))
    if item.local_s == item.local_s:
        facts.append(("camera clock", _moment(item.local_s)))
    if item.lat_deg == item.lat_deg:
        facts.append(("place", f"{item.lat_deg:.7f}, {item.lon_deg:.7f} (from {item.position_source})"))
    if item.alt_m == item.alt_m:
        facts.append(("altitude", f"{item.alt_m:.1f} m"))
    if item.error_m == item.error_m:
        facts.append(("error", f"about {item.error_m:.0f} m"))
    for name, seconds in (("fix before", item.fix_before_s), ("fix after", item.fix_after_s)):
        if seconds == seconds:
            facts.append((name, f"{seconds:.1f} s"))
    if item.heading_deg == item.heading_deg:
        north = ", magnetic north" if item.heading_ref == "M" else ""
        facts.append(("heading", f"{item.heading_deg:.1f}° (from {item.heading_source}{north})"))
    if item.sequence:
        facts.append(("sequence", f"{item.sequence}, photo {item.sequence_index + 1}"))
    camera = " ".join(v for v in (item.make, item.model, item.serial) if v)
    if camera:
        facts.append(("camera", shown(camera)))
    return facts


def _moment(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
