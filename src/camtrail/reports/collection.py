"""The report of a collection: what came out, where, what is wrong, and every photo by name."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from camtrail.core.geo import distance_m
from camtrail.core.model import OUTCOMES, Item
from camtrail.core.names import natural
from camtrail.exports.values import has_place, heading_deg, in_order, iso
from camtrail.reports import map as maps
from camtrail.reports.page import (
    Column,
    Markup,
    Part,
    element,
    figure,
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
    "no_time": ("no capture time", "Set the date of the photo, or give its place by file name."),
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
    "unsupported": ("not a kind of file that is read here", "Leave it out, or convert it to JPEG."),
}
_OPTION = re.compile(r"(--[a-z][a-z-]*)")


@dataclass(frozen=True, slots=True)
class _Ride:
    """One sequence, its photos in order."""

    ident: str
    photos: list[Item]
    placed: list[Item]
    length_m: float


def report(
    title: str,
    items: Sequence[Item],
    notes: Sequence[str],
    *,
    page_path: str | None,
    thumbnails: Mapping[str, bytes] = {},
) -> Iterator[bytes]:
    """A page about a collection, in chunks: summary, map, problems, sequences, every photo.

    Parameters
    ----------
    title : its heading
    items : all photos
    notes : what else is to be said, one line each
    page_path : absolute path that the page will have; photos are linked relative to its folder. None: no links
    thumbnails : JPEG of a photo by its `file`

    Notes
    -----
    Needs no script. 10,000 photos are 3 MB without thumbnails.
    """
    rides = _rides(items)
    folder = None if page_path is None else os.path.dirname(page_path)
    problems = [item for item in items if item.outcome != "located"]
    contents = [
        ("summary", "Summary"),
        ("map", "Map"),
        ("problems", f"Not located ({len(problems):,})"),
        ("sequences", f"Sequences ({len(rides):,})"),
        ("photos", f"All photos ({len(items):,})"),
    ]

    def parts() -> Iterator[Part]:
        yield section("summary", "Summary", *_summary(items, rides, notes))
        yield section("map", "Map", _map(items, rides))
        yield section("problems", "Not located", _problems(problems, folder))
        yield section("sequences", "Sequences", _sequences(rides))
        yield section("photos", "All photos", _photos(items, folder, thumbnails))

    links = [element("li", element("a", words, href=f"#{ident}")) for ident, words in contents]
    way = element("nav", element("ul", *links), aria_label="Sections of this page")
    yield from page(title, parts(), lead=[way], styles=[maps.STYLE + _STYLE])


_STYLE = """
.thumb{width:80px;height:60px;object-fit:contain;image-orientation:none;display:block}
.o2{transform:scaleX(-1)}.o3{transform:rotate(180deg)}.o4{transform:scaleY(-1)}
.o5,.o6,.o7,.o8{width:60px;height:80px;margin:-10px 10px}
.o5{transform:rotate(90deg) scaleY(-1)}.o6{transform:rotate(90deg)}
.o7{transform:rotate(-90deg) scaleY(-1)}.o8{transform:rotate(-90deg)}
.quiet{color:var(--quiet)}
"""


def _rides(items: Iterable[Item]) -> list[_Ride]:
    """The sequences, by the time of their first photo."""
    members: dict[str, list[Item]] = {}
    for item in items:
        if item.sequence is not None:
            members.setdefault(item.sequence, []).append(item)
    rides = []
    for ident, unordered in members.items():
        photos = in_order(unordered)
        placed = [item for item in photos if has_place(item)]
        rides.append(_Ride(ident, photos, placed, _length_m(placed)))
    return sorted(rides, key=lambda r: (math.isnan(r.photos[0].order_s), r.photos[0].order_s, r.ident))


def _length_m(placed: Sequence[Item]) -> float:
    lat = np.array([item.lat_deg for item in placed])
    lon = np.array([item.lon_deg for item in placed])
    return float(distance_m(lat[:-1], lon[:-1], lat[1:], lon[1:]).sum()) if len(placed) > 1 else 0.0


def _summary(items: Sequence[Item], rides: Sequence[_Ride], notes: Sequence[str]) -> Iterator[Part]:
    counts = Counter(item.outcome for item in items)
    known = [o for o in OUTCOMES if counts[o]] + sorted(set(counts) - set(OUTCOMES))
    instants = [item.time_s for item in items if iso(item.time_s) is not None]
    length_m = sum(ride.length_m for ride in rides)
    facts = [
        ("Photos", f"{len(items):,}"),
        ("Located", f"{counts['located']:,}"),
        ("First photo", f"{_time(min(instants))} UTC" if instants else "unknown"),
        ("Last photo", f"{_time(max(instants))} UTC" if instants else "unknown"),
        ("Sequences", f"{len(rides):,}"),
        ("Covered", f"{length_m / 1000:,.1f} km"),
        ("Cameras", _cameras(items)),
    ]
    yield element("dl", *(element(tag, words) for fact in facts for tag, words in zip(("dt", "dd"), fact)))
    rows = [(o.replace("_", " "), f"{counts[o]:,}", _MEANING.get(o, ("", ""))[0]) for o in known]
    if rows:
        columns = [Column("Outcome", "line"), Column("Photos", "number"), Column("Meaning")]
        yield table("Photos by outcome", columns, rows)
    if notes:
        yield element("h3", "Notes")
        yield element("ul", *(element("li", note) for note in notes))


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


def _map(items: Sequence[Item], rides: Sequence[_Ride]) -> Markup:
    lines = [ride.placed for ride in rides if ride.placed]
    alone = [item for item in items if item.sequence is None and has_place(item)]
    if not lines and not alone:
        return element("p", "No photo has a place.")
    about = f"Map of {sum(map(len, lines)) + len(alone):,} photos in {len(lines):,} sequences; the table below names all"
    drawing = maps.draw(lines, alone, _words, about)
    said = [
        f"{drawing.placed:,} photos with a place, north up. Lines are sequences, ticks show where the lens looks."
    ]
    if any(item.outcome != "located" for item in (*alone, *(i for line in lines for i in line))):
        said.append("Hollow dots are photos of the next table.")
    if alone:
        said.append("Grey dots belong to no sequence.")
    if drawing.dots < drawing.placed:
        said.append(f"{drawing.dots:,} of them are drawn as dots.")
    return figure(" ".join(said), drawing.svg)


def _words(item: Item) -> str:
    heading = heading_deg(item)
    said = [item.path, _when(item), f"looks {heading:.0f}°" if heading is not None else "", _outcome(item)]
    return " · ".join(word for word in said if word)


def _problems(problems: Sequence[Item], folder: str | None) -> Markup:
    if not problems:
        return element("p", "Every photo has its place and time.")
    rank = {outcome: i for i, outcome in enumerate(OUTCOMES)}
    ordered = sorted(_by_name(problems), key=lambda item: rank.get(item.outcome, len(rank)))
    columns = [Column("Photo", "name"), Column("Outcome", "line"), Column("Reason"), Column("What to do")]
    rows = ((_name(item, folder), _outcome(item), _reason(item), _advice(item)) for item in ordered)
    return table(f"{len(problems):,} photos that are not located, and what to do", columns, rows)


def _reason(item: Item) -> str:
    said = [item.reason, item.message if item.message != item.reason else None]
    if item.duplicate_of:
        said.append(f"kept: {item.duplicate_of}")
    return "; ".join(word for word in said if word) or _MEANING.get(item.outcome, ("", ""))[0]


def _advice(item: Item) -> Markup:
    """What to do, in words whose options do not break at their dashes."""
    said = item.hint or _MEANING.get(item.outcome, ("", ""))[1]
    words = _OPTION.split(said)
    return joined(element("code", word) if i % 2 else word for i, word in enumerate(words))


def _sequences(rides: Sequence[_Ride]) -> Markup:
    if not rides:
        return element("p", "There are no sequences.")
    columns = [
        Column("Sequence"),
        Column("Photos", "number"),
        Column("From (UTC)", "line"),
        Column("To (UTC)", "line"),
        Column("Length, m", "number"),
        Column("Camera"),
        Column("Folder"),
    ]
    return table(f"{len(rides):,} sequences by time", columns, _sequence_rows(rides))


def _sequence_rows(rides: Sequence[_Ride]) -> Iterator[Sequence[Part]]:
    number = 0
    for ride in rides:
        # The map numbers those that have a line on it.
        mark: Part = _swatch(number) if ride.placed else ""
        number += bool(ride.placed)
        first, last = ride.photos[0], ride.photos[-1]
        yield (
            joined([mark, element("code", ride.ident[:8] or "unnamed")], " " if ride.placed else ""),
            f"{len(ride.photos):,}",
            _time(first.time_s),
            _time(last.time_s),
            f"{ride.length_m:,.0f}",
            _several([_camera(item) for item in ride.photos], "cameras"),
            _several([item.path.rpartition("/")[0] or "." for item in ride.photos], "folders"),
        )


def _swatch(number: int) -> Markup:
    line = element("line", class_="way", x1=0, y1=5, x2=26, y2=5)
    return element(
        "svg", line, class_=f"swatch {maps.colour(number)}", viewBox="0 0 26 10", aria_hidden="true"
    )


def _several(values: Iterable[str], kind: str) -> str:
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else f"{len(found)} {kind}: {found[0]}, …"


def _photos(items: Sequence[Item], folder: str | None, thumbnails: Mapping[str, bytes]) -> Markup:
    if not items:
        return element("p", "There are no photos.")
    has_roots = len({item.root for item in items}) > 1
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

    def row(item: Item) -> Sequence[Part]:
        heading = heading_deg(item)
        magnetic = " magnetic" if item.heading_ref == "M" else ""
        known = has_place(item)
        return (
            _name(item, folder),
            *([item.root] if has_roots else []),
            *([_thumbnail(item, thumbnails)] if thumbnails else []),
            _when(item),
            f"{item.lat_deg:.6f}" if known else "",
            f"{item.lon_deg:.6f}" if known else "",
            "" if heading is None else f"{heading:.0f}°{magnetic}",
            item.position_source or "",
            _outcome(item),
            item.reason or item.message or "",
        )

    return table(f"All {len(items):,} photos by name", columns, map(row, _by_name(items)))


def _thumbnail(item: Item, thumbnails: Mapping[str, bytes]) -> Part:
    jpeg = thumbnails.get(item.file)
    if jpeg is None:
        return ""
    # A thumbnail inside EXIF is stored as the sensor saw it and has no orientation of its own.
    turn = f" o{item.orientation:.0f}" if 2 <= item.orientation <= 8 else ""
    return image(jpeg, f"Thumbnail of {item.path.rpartition('/')[2]}", f"thumb{turn}")


def _by_name(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (item.root, natural(item.path)))


def _name(item: Item, folder: str | None) -> Part:
    url = None if folder is None else file_url(item.file, folder)
    return item.path if url is None else element("a", item.path, href=url)


def _outcome(item: Item) -> str:
    return item.outcome.replace("_", " ")


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
