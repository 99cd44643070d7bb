"""KML 2.2: each sequence a folder with its line and its photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from camtrail.core.model import Item
from camtrail.core.plugins import Export
from camtrail.exports.values import decimal, has_place, heading_deg, in_order, instant_s, iso, xml

__all__ = ["PLUGIN", "write"]

_MARK = b"<!-- written by camtrail -->"
_HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    + _MARK
    + b'\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>camtrail</name>\n'
)


def write(items: Iterable[Item], several_roots: bool) -> Iterator[bytes]:
    """A Document with a Folder for each sequence, after one of photos outside of all; none without a place.

    Parameters
    ----------
    items : photos with what is known of them
    several_roots : whether the description of a photo names the `root` that its path is relative to

    Notes
    -----
    OGC 07-147r2. A line over 180° is cut there, since viewers draw its long way round. Photos of one second
    have times spread over it. Holds the photos of sequences until the end.
    """
    yield _HEAD
    sequences: dict[str, list[Item]] = {}
    is_open = False
    for item in items:
        if not has_place(item):
            continue
        if item.sequence is not None:
            sequences.setdefault(item.sequence, []).append(item)
            continue
        if not is_open:
            yield b"<Folder><name>Photos outside of sequences</name>\n"
            is_open = True
        yield _photo(item, several_roots)
    if is_open:
        yield b"</Folder>\n"
    for sequence, members in sequences.items():
        yield from _folder(sequence, in_order(members), several_roots)
    yield b"</Document></kml>\n"


def _folder(sequence: str, members: list[Item], with_root: bool) -> Iterator[bytes]:
    title = xml(sequence) or _name(members[0])
    yield f"<Folder><name>{title}</name>\n".encode()
    lines = "".join(
        f"<LineString><tessellate>1</tessellate><coordinates>{' '.join(part)}</coordinates></LineString>"
        for part in _lines(members)
    )
    if lines:
        yield f"<Placemark><name>{title}</name><MultiGeometry>{lines}</MultiGeometry></Placemark>\n".encode()
    for item in members:
        yield _photo(item, with_root)
    yield b"</Folder>\n"


def _photo(item: Item, with_root: bool) -> bytes:
    time = iso(instant_s(item))
    when = f"<TimeStamp><when>{time}</when></TimeStamp>" if time else ""
    return (
        f"<Placemark><name>{_name(item)}</name><description>{_description(item, with_root)}</description>{when}"
        f"<Point><coordinates>{_place(item)}</coordinates></Point></Placemark>\n"
    ).encode()


def _description(item: Item, with_root: bool) -> str:
    """What is known, in words, for a viewer that takes it for HTML."""
    heading = heading_deg(item)
    looks = None if heading is None else f"heading {decimal(heading, 3)}°"
    said = [item.path, item.root if with_root else None, looks, item.outcome, item.reason]
    # Viewers render the text of a description as HTML, so it is escaped once for them and once for XML.
    return "&lt;br&gt;".join(xml(xml(s)) for s in said if s)


def _lines(members: list[Item]) -> list[list[str]]:
    """The sequence as lines of at least two positions, cut where it crosses 180°."""
    parts = [[_place(members[0])]]
    for a, b in pairwise(members):
        if abs(b.lon_deg - a.lon_deg) > 180.0:
            edge = 180.0 if a.lon_deg > 0 else -180.0
            across = b.lon_deg + 2 * edge - a.lon_deg  # from a to b the short way
            share = (edge - a.lon_deg) / across if across else 0.0
            lat = decimal(a.lat_deg + share * (b.lat_deg - a.lat_deg), 7)
            parts[-1].append(f"{decimal(edge, 0)},{lat}")
            parts.append([f"{decimal(-edge, 0)},{lat}"])
        parts[-1].append(_place(b))
    return [part for part in parts if len(part) > 1]


def _place(item: Item) -> str:
    place = f"{decimal(item.lon_deg, 7)},{decimal(item.lat_deg, 7)}"
    alt = decimal(item.alt_m, 3)
    return f"{place},{alt}" if alt else place


def _name(item: Item) -> str:
    return xml(item.path.rpartition("/")[2])


PLUGIN = Export(
    name="kml",
    about="KML 2.2, one folder a sequence",
    suffixes=frozenset({".kml"}),
    write=write,
    mark=_MARK,
)
