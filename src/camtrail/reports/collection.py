"""The report of a collection: what came out, where, what is wrong, and every photo by name."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from camtrail.core.geo import distance_m
from camtrail.core.model import OUTCOMES, Item
from camtrail.core.names import natural, shown
from camtrail.exports.values import has_place, heading_deg, in_order, iso
from camtrail.reports import map as maps
from camtrail.reports.bundle import script, style, world
from camtrail.reports.columns import words
from camtrail.reports.map import Ride
from camtrail.reports.page import (
    Column,
    Markup,
    Part,
    element,
    file_url,
    image,
    joined,
    page,
    section,
    table,
)

__all__ = ["report"]

_MEANING = {
    "located": ("has a place and a time", ""),
    "estimated": ("the place is an estimate", "Look at it on the map before you rely on it."),
    "no_place": (
        "no place in the file or in any source",
        "Give a track that was recorded at that time (--track FILE).",
    ),
    "no_time": (
        "no capture time",
        "Set the date of the photo, or take it from its file name (camtrail dates).",
    ),
    "outside_track": (
        "taken before or after the track",
        "Give the track of that time, or correct the camera's clock (--offset-time).",
    ),
    "in_gap": (
        "taken while the track had no fix",
        "Give a further track, or allow a longer gap (--max-gap).",
    ),
    "duplicate": (
        "as good as the same picture as its neighbour",
        "Nothing; it is left out of the sequences.",
    ),
    "unreadable": (
        "the file is damaged or cannot be opened",
        "Copy it again from the card, or check who may read it.",
    ),
    "unsupported": (
        "not a kind of file that is read here",
        "Convert pictures to JPEG. Videos may stay: they are left alone.",
    ),
}
_CUT = re.compile(r"cut off|no end|wrong length|no picture size")
_AGAIN = "Copy it again from the card or a backup."
_DOUBTS = (
    (re.compile(r"stale fix"), "Look at it on the map: its place may be that of another time."),
    (re.compile(r"clock|zone"), "Check its time; --time-zone and --offset-time correct a camera's clock."),
)
_DOUBTFUL = "Check its place and time before you rely on them."
_OPTION = re.compile(r"(--[a-z][a-z-]*|camtrail dates)")
_ROWS = 500  # of a table; the list beside the map has no end
_EACH = 200  # photos of one outcome among the problems


def report(
    title: str,
    items: Sequence[Item],
    notes: Sequence[str],
    *,
    page_path: str | None,
    thumbnails: Mapping[str, bytes] = {},
    recordings: Sequence[maps.Recording] = (),
    max_gap_s: float = math.inf,
    tiles: str = "",
) -> Iterator[bytes]:
    """A page about a collection, in chunks: summary, map, problems, sequences, every photo.

    Parameters
    ----------
    title : its heading
    items : all photos
    notes : what else is to be said, one line each
    page_path : absolute path that the page will have; photos are linked relative to its folder. None: no links
    thumbnails : JPEG of a photo by its `file`, as the sensor saw it; the others show the photo itself, by its link
    recordings : tracks that are drawn beside the photos
    max_gap_s : longest time between two fixes of a track that is no gap
    tiles : address of online map tiles, which the reader may turn on, see `tile_origin`; empty: none

    Raises
    ------
    ValueError : `tiles` is no address of tiles

    Notes
    -----
    Summary, problems, sequences and the first 500 photos need no script; the map and the list of all do. 10,000
    photos are a page of 1 MB without thumbnails.
    """
    rides = _rides(items)
    named = _by_name(items)
    folder = None if page_path is None else os.path.dirname(page_path)
    problems = [item for item in items if item.outcome != "located"]
    doubtful = [item for item in named if item.outcome == "located" and _reason(item)]
    contents = [
        ("summary", "Summary"),
        ("map", "Map and photos"),
        ("problems", f"Not located ({len(problems):,})"),
        *([("warnings", f"Warnings ({len(doubtful):,})")] if doubtful else []),
        ("sequences", f"Sequences ({len(rides):,})"),
        ("photos", f"Details ({len(items):,})"),
        *([("notes", f"Notes ({len(notes):,})")] if notes else []),
    ]

    def parts() -> Iterator[Part]:
        yield section("summary", "Summary", _summary(items, rides))
        yield section("map", "Map and photos", *_map(named, folder, thumbnails))
        yield section("problems", "Not located", *_problems(problems, items, folder))
        if doubtful:
            yield section("warnings", "Warnings", _warnings(doubtful, folder))
        yield section("sequences", "Sequences", *_sequences(rides))
        yield section("photos", "Details of all photos", *_photos(named, folder, thumbnails))
        if notes:
            yield section("notes", "Notes", element("ul", *(element("li", note) for note in notes)))

    links = [element("li", element("a", words, href=f"#{ident}")) for ident, words in contents]
    way = element("nav", element("ul", *links), aria_label="Sections of this page")
    yield from page(
        title,
        parts(),
        lead=[way],
        styles=[style("leaflet/leaflet"), maps.STYLE + style("report")],
        scripts=script(),
        data={
            "report": _data(named, rides, folder, recordings, max_gap_s, tiles),
            "world": world(),
        },
        tiles=tiles,
    )


def _data(
    named: Sequence[Item],
    rides: Sequence[Ride],
    folder: str | None,
    recordings: Sequence[maps.Recording],
    max_gap_s: float,
    tiles: str,
) -> dict[str, Any]:
    counts = Counter(item.outcome for item in named)
    outcomes = _known(counts)
    west = maps.west_deg(named, recordings)
    return {
        "photos": {
            **maps.photo_data(named, rides, outcomes, west, folder),
            "why": words(map(_reason, named)),
            "advice": words(map(_advice, named)),
            "camera": words(map(_camera, named)),
        },
        "outcomes": [{"name": _in_words(o), "photos": counts[o]} for o in outcomes],
        "sequences": [{"name": shown(_short(ride)), "photos": len(ride.photos)} for ride in rides],
        "tracks": maps.track_data(recordings, west, max_gap_s),
        "tiles": tiles,
    }


def _rides(items: Iterable[Item]) -> list[Ride]:
    """The sequences, by the time of their first photo."""
    members: dict[str, list[Item]] = {}
    for item in items:
        if item.sequence is not None:
            members.setdefault(item.sequence, []).append(item)
    rides = []
    for ident, unordered in members.items():
        photos = in_order(unordered)
        placed = [item for item in photos if has_place(item)]
        rides.append(Ride(ident, photos, placed, _length_m(placed)))
    return sorted(rides, key=lambda r: (math.isnan(r.photos[0].order_s), r.photos[0].order_s, r.ident))


def _length_m(placed: Sequence[Item]) -> float:
    lat = np.array([item.lat_deg for item in placed])
    lon = np.array([item.lon_deg for item in placed])
    return float(distance_m(lat[:-1], lon[:-1], lat[1:], lon[1:]).sum()) if len(placed) > 1 else 0.0


def _summary(items: Sequence[Item], rides: Sequence[Ride]) -> Markup:
    located = sum(item.outcome == "located" for item in items)
    instants = [item.time_s for item in items if iso(item.time_s) is not None]
    length_m = sum(ride.length_m for ride in rides)
    share = f" ({_percent(located, len(items))})" if items else ""
    facts = [
        ("Photos", f"{len(items):,}"),
        ("Located", f"{located:,}{share}"),
        ("Sequences", f"{len(rides):,}"),
        ("Covered", f"{length_m / 1000:,.1f} km"),
        ("First photo", f"{_time(min(instants))} UTC" if instants else "unknown"),
        ("Last photo", f"{_time(max(instants))} UTC" if instants else "unknown"),
        ("Cameras", _cameras(items)),
    ]
    boxes = [element("div", element("dt", name), element("dd", value)) for name, value in facts]
    return element("dl", *boxes, class_="figures")


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that only all of them are 100 %."""
    return f"{100 * part // whole} %"


def _known(counts: Mapping[str, int]) -> list[str]:
    """The outcomes that occur, in the order of OUTCOMES."""
    return [o for o in OUTCOMES if counts.get(o)] + sorted(set(counts) - set(OUTCOMES))


def _cameras(items: Iterable[Item]) -> str:
    """Makes and models with their photos; bodies are counted, their serial numbers stay private."""
    photos: Counter[str] = Counter()
    bodies: dict[str, set[str]] = {}
    for item in items:
        name = _camera(item)
        photos[name] += 1
        bodies.setdefault(name, set()).update([item.serial] if item.serial else [])
    said = []
    for name, count in sorted(photos.items(), key=lambda c: (-c[1], c[0])):
        several = f" in {len(bodies[name])} bodies" if len(bodies[name]) > 1 else ""
        said.append(f"{name} ({count:,}{several})")
    return ", ".join(said) or "none"


def _camera(item: Item) -> str:
    make, model = (item.make or "").strip(), (item.model or "").strip()
    if model.lower().startswith(make.lower()):
        return model or "unknown camera"
    return f"{make} {model}".strip()


def _map(items: Sequence[Item], folder: str | None, thumbnails: Mapping[str, bytes]) -> Iterator[Part]:
    placed = sum(map(has_place, items))
    yield element(
        "p",
        "The map and the list of all photos need JavaScript. Below are the problems, the sequences and "
        f"{'all' if len(items) <= _ROWS else f'the first {_ROWS:,}'} photos.",
        class_="unscripted",
    )
    yield element("div", id="bench", hidden=True)
    said = [] if placed else ["No photo has a place."]
    if folder is not None and any(_is_picture(item) and item.file not in thumbnails for item in items):
        less = "Pictures" if not thumbnails else "Pictures that are not inside of this page"
        said.append(f"{less} are shown from the photos themselves: this page needs them where they are now.")
    if said:
        yield element("p", " ".join(said), class_="quiet")


def _is_picture(item: Item) -> bool:
    return item.outcome not in ("unreadable", "unsupported")


def _problems(problems: Sequence[Item], items: Sequence[Item], folder: str | None) -> Iterator[Part]:
    if not problems:
        yield element("p", "Every photo has its place and time.")
        return
    counts = Counter(item.outcome for item in items)
    columns = [Column("Outcome", "line"), Column("Photos", "number"), Column("Meaning"), Column("What to do")]
    rows = [(_in_words(o), f"{counts[o]:,}", *_MEANING.get(o, ("", ""))) for o in _known(counts)]
    yield table("Photos by outcome", columns, ((*row[:3], _marked(row[3])) for row in rows))
    groups = [[item for item in problems if item.outcome == o] for o in _known(counts)]
    ordered = [item for group in groups for item in _by_name(group)[:_EACH]]
    caption = f"{len(problems):,} photos that are not located, and what to do"
    if len(ordered) < len(problems):
        caption += f"; at most {_EACH} of each outcome, the list beside the map has all"
    columns = [Column("Photo", "name"), Column("Outcome", "line"), Column("Reason"), Column("What to do")]
    rows_ = ((_name(item, folder), _outcome(item), _reason(item), _marked(_advice(item))) for item in ordered)
    yield table(caption, columns, rows_)


def _warnings(doubtful: Sequence[Item], folder: str | None) -> Markup:
    caption = f"{_photos_of(len(doubtful))} located, with something odd about {'it' if len(doubtful) == 1 else 'them'}"
    if len(doubtful) > _EACH:
        caption += f"; the first {_EACH}, the list beside the map has all"
    columns = [Column("Photo", "name"), Column("Warning"), Column("What to do")]
    rows = ((_name(item, folder), _reason(item), _marked(_advice(item))) for item in doubtful[:_EACH])
    return table(caption, columns, rows)


def _photos_of(count: int) -> str:
    return f"{count:,} photo{' is' if count == 1 else 's are'}"


def _reason(item: Item) -> str:
    """Why a photo came out so; of a located one what is odd about it, empty where nothing is."""
    reason, message = item.reason or "", item.message or ""
    if message and reason.startswith(message):
        reason = ""  # that of a damaged file is its message and its hint, which have columns of their own
    said = [message, reason, f"kept: {item.duplicate_of}" if item.duplicate_of else ""]
    nothing = "" if item.outcome == "located" else _MEANING.get(item.outcome, ("", ""))[0]
    return "; ".join(filter(None, said)) or nothing


def _advice(item: Item) -> str:
    """What to do about it; empty where there is nothing to do."""
    reason = _reason(item)
    if item.hint:
        return item.hint
    if item.outcome in ("located", "no_place", "no_time") and _CUT.search(reason):
        return _AGAIN
    if item.outcome != "located":
        return _MEANING.get(item.outcome, ("", ""))[1]
    return next((advice for said, advice in _DOUBTS if said.search(reason)), _DOUBTFUL) if reason else ""


def _marked(advice: str) -> Markup:
    """Words whose options do not break at their dashes."""
    words = _OPTION.split(advice)
    return joined(element("code", word) if i % 2 else word for i, word in enumerate(words))


def _sequences(rides: Sequence[Ride]) -> Iterator[Part]:
    if not rides:
        yield element("p", "There are no sequences.")
        return
    columns = [
        Column("Sequence", "line"),
        Column("Photos", "number"),
        Column("From (UTC)", "line"),
        Column("To (UTC)", "line"),
        Column("Length, m", "number"),
        Column("Camera"),
        Column("Folder"),
    ]
    caption = f"{len(rides):,} sequences by time"
    if len(rides) > _ROWS:
        caption += f"; the first {_ROWS:,}"
    yield table(caption, columns, _sequence_rows(rides[:_ROWS]))


def _sequence_rows(rides: Sequence[Ride]) -> Iterator[Sequence[Part]]:
    for number, ride in enumerate(rides):
        first, last = ride.photos[0], ride.photos[-1]
        yield (
            joined([_swatch(number), element("code", _short(ride))], " "),
            f"{len(ride.photos):,}",
            _time(first.time_s),
            _time(last.time_s),
            f"{ride.length_m:,.0f}",
            _several([_camera(item) for item in ride.photos], "cameras"),
            _several([item.path.rpartition("/")[0] or "." for item in ride.photos], "folders"),
        )


def _short(ride: Ride) -> str:
    return ride.ident[:8] or "unnamed"


def _swatch(number: int) -> Markup:
    line = element("line", class_="way", x1=0, y1=5, x2=26, y2=5)
    return element(
        "svg", line, class_=f"swatch {maps.colour(number)}", viewBox="0 0 26 10", aria_hidden="true"
    )


def _several(values: Iterable[str], kind: str) -> str:
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else f"{len(found)} {kind}: {found[0]}, …"


def _photos(named: Sequence[Item], folder: str | None, thumbnails: Mapping[str, bytes]) -> Iterator[Part]:
    if not named:
        yield element("p", "There are no photos.")
        return
    has_roots = len({item.root for item in named}) > 1
    columns = [
        Column("Photo", "name"),
        *([Column("Under")] if has_roots else []),
        *([Column("Picture")] if thumbnails else []),
        Column("Time (UTC)", "line"),
        Column("Latitude", "number"),
        Column("Longitude", "number"),
        Column("Heading", "number"),
        Column("Place from"),
        Column("Outcome", "line"),
        Column("Reason"),
    ]

    def row(number: int, item: Item) -> Sequence[Part]:
        heading = heading_deg(item)
        magnetic = " magnetic" if item.heading_ref == "M" else ""
        known = has_place(item)
        return (
            _name(item, folder),
            *([item.root] if has_roots else []),
            *([_thumbnail(item, number, thumbnails)] if thumbnails else []),
            _when(item),
            f"{item.lat_deg:.6f}" if known else "",
            f"{item.lon_deg:.6f}" if known else "",
            "" if heading is None else f"{heading:.0f}°{magnetic}",
            item.position_source or "",
            _outcome(item),
            item.reason or item.message or "",
        )

    caption = f"All {len(named):,} photos by name"
    if len(named) > _ROWS:
        caption = f"The first {_ROWS:,} of {len(named):,} photos by name; the list beside the map has all"
    yield table(caption, columns, itertools.starmap(row, enumerate(named[:_ROWS])))


def _thumbnail(item: Item, row: int, thumbnails: Mapping[str, bytes]) -> Part:
    jpeg = thumbnails.get(item.file)
    if jpeg is None:
        return ""
    # It is stored as the sensor saw it, as one inside EXIF is, and has no orientation of its own.
    turn = f" o{item.orientation:.0f}" if 2 <= item.orientation <= 8 else ""
    picture = image(jpeg, f"Thumbnail of {item.path.rpartition('/')[2]}", f"thumb{turn}")
    return element("div", picture, id=f"picture-{row}")  # the list and the map show it, too


def _by_name(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (item.root, natural(item.path)))


def _name(item: Item, folder: str | None) -> Part:
    url = None if folder is None else file_url(item.file, folder)
    return item.path if url is None else element("a", item.path, href=url)


def _outcome(item: Item) -> str:
    return _in_words(item.outcome)


def _in_words(outcome: str) -> str:
    return outcome.replace("_", " ")


def _when(item: Item) -> str:
    """The instant, or what the camera's clock showed where that is all there is."""
    time = _time(item.time_s)
    if time:
        return time
    clock = _time(item.local_s)
    return f"{clock} (camera's clock)" if clock else ""


def _time(seconds: float) -> str:
    """To the millisecond where the photo has that; empty where there is no time."""
    return (iso(round(seconds, 3), "") or "").replace("T", " ")
