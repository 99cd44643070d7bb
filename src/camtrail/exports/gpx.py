"""GPX 1.1: each sequence a track, photos outside of sequences waypoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from camtrail.core.model import Item
from camtrail.core.plugins import Export
from camtrail.exports.values import decimal, has_place, in_order, instant_s, iso, xml

__all__ = ["PLUGIN", "write"]

_MARK = b'creator="camtrail"'
_HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" '
    + _MARK
    + b' xmlns="http://www.topografix.com/GPX/1/1">\n'
)


def write(items: Iterable[Item], several_roots: bool) -> Iterator[bytes]:
    """Waypoints, then one track for each sequence with its photos by time; photos without a place are left out.

    Parameters
    ----------
    items : photos with what is known of them
    several_roots : makes no difference; points carry the file's name alone

    Notes
    -----
    The schema wants waypoints before tracks, and 180° east written as 180° west. Photos of one second have
    times spread over it, since readers drop points that repeat a time. Holds the photos of sequences until
    the end.
    """
    yield _HEAD
    sequences: dict[str, list[Item]] = {}
    for item in items:
        if not has_place(item):
            continue
        if item.sequence is None:
            yield _point("wpt", item).encode()
        else:
            sequences.setdefault(item.sequence, []).append(item)
    for sequence, members in sequences.items():
        yield from _track(sequence, in_order(members))
    yield b"</gpx>\n"


def _track(sequence: str, members: list[Item]) -> Iterator[bytes]:
    first, last = _name(members[0]), _name(members[-1])
    about = f"{len(members)} photos, {first} to {last}" if len(members) > 1 else first
    yield f"<trk><name>{xml(sequence) or first}</name><desc>{about}</desc><trkseg>\n".encode()
    for item in members:
        yield _point("trkpt", item).encode()
    yield b"</trkseg></trk>\n"


def _point(tag: str, item: Item) -> str:
    lat, lon, alt = decimal(item.lat_deg, 7), decimal(item.lon_deg, 7), decimal(item.alt_m, 3)
    time = iso(instant_s(item))
    ele = f"<ele>{alt}</ele>" if alt else ""
    when = f"<time>{time}</time>" if time else ""
    east = "-180" if lon == "180" else lon
    return f'<{tag} lat="{lat}" lon="{east}">{ele}{when}<name>{_name(item)}</name></{tag}>\n'


def _name(item: Item) -> str:
    return xml(item.path.rpartition("/")[2])


PLUGIN = Export(
    name="gpx",
    about="GPX 1.1, one track a sequence",
    suffixes=frozenset({".gpx"}),
    write=write,
    mark=_MARK,
)
