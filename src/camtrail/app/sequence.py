"""Where each photo stands among the others: sequences, duplicates, headings."""

from __future__ import annotations

import uuid

import numpy as np

from camtrail.app.geotag import bodies, groups, is_known
from camtrail.core import geo
from camtrail.core.model import Floats, Ints, Photos, Places, Ranks, Texts, texts
from camtrail.core.names import natural, shown
from camtrail.steps import direction, duplicates, sequences
from camtrail.steps.direction import DirectionOptions
from camtrail.steps.duplicates import DuplicateOptions
from camtrail.steps.sequences import SplitOptions

__all__ = ["sequence"]

_NAMES = uuid.uuid5(uuid.NAMESPACE_OID, "camtrail sequence")


def sequence(
    photos: Photos,
    places: Places,
    split: SplitOptions,
    turn: DirectionOptions,
    repeat: DuplicateOptions,
    turned_deg: Floats | None = None,
) -> Ranks:
    """Photos with a place and a time, put into sequences, per folder and camera body.

    Parameters
    ----------
    split, repeat : resolved by a preset
    turned_deg : (n,) added to each heading; None for the offset angle of `turn`

    Returns
    -------
    One row for each photo; those without a place or a time stand outside of all sequences.
    """
    n = len(photos)
    heading, heading_source = places.heading_deg.copy(), places.heading_source.copy()
    label_of, index_of = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    same_as = np.full(n, -1, np.int64)
    faulty = np.array([f is not None for f in photos.fault.tolist()], bool)
    usable = np.flatnonzero(is_known(places) & ~faulty)
    if len(usable):
        names = photos.path[usable].tolist()
        group = groups(photos, bodies(photos))
        rows = usable[sequences.in_order(group[usable], places.order_s[usable], lambda i: natural(names[i]))]
        lat, lon, time_s = places.lat_deg[rows], places.lon_deg[rows], places.order_s[rows]
        label = sequences.split(group[rows], time_s, lat, lon, split)
        if turn.interpolate_directions:
            _derive(rows, label, lat, lon, heading, heading_source, everywhere=True)
        kept = np.ones(len(rows), bool)
        if repeat.flag_duplicates:
            first = duplicates.flag(label, time_s, lat, lon, heading[rows], repeat)
            kept = first < 0
            same_as[rows[~kept]] = rows[first[~kept]]
        rows, label, lat, lon = rows[kept], label[kept], lat[kept], lon[kept]
        label, index = sequences.index_in(label, split.max_images)
        _derive(rows, label, lat, lon, heading, heading_source, everywhere=turn.interpolate_directions)
        label_of[rows], index_of[rows] = label, index
    by_deg = np.full(n, turn.offset_angle_deg) if turned_deg is None else turned_deg
    ids = _ids(photos, places, label_of, index_of)
    paths = photos.path.tolist()
    return Ranks(
        direction.turned(heading, by_deg),
        heading_source,
        np.where(np.isfinite(heading), by_deg, 0.0),
        texts([ids[k] if k >= 0 else None for k in label_of.tolist()]),
        index_of,
        texts([paths[k] if k >= 0 else None for k in same_as.tolist()]),
        texts(
            [_why(i, k, places, heading, paths) if k >= 0 else None for i, k in enumerate(same_as.tolist())]
        ),
    )


def _derive(
    rows: Ints,
    label: Ints,
    lat: Floats,
    lon: Floats,
    heading: Floats,
    source: Texts,
    *,
    everywhere: bool,
) -> None:
    """Headings from the way of the sequence: where there is none, or everywhere."""
    way = direction.towards_next(label, lat, lon)
    wanted = np.isfinite(way) & (everywhere | ~np.isfinite(heading[rows]))
    heading[rows[wanted]] = way[wanted]
    source[rows[wanted]] = "interpolated" if everywhere else "sequence"


def _ids(photos: Photos, places: Places, label: Ints, index: Ints) -> list[str]:
    """Id of each sequence: uuid5 of its camera and its first photo, wherever the folder lies.

    Of a copy of the same sequence in another folder the second one's id takes in the path, too.
    """
    first = np.flatnonzero(index == 0)
    first = first[np.argsort(label[first])]
    made: list[str] = []
    taken: set[str] = set()
    for i in first.tolist():
        name = photos.path[i].rpartition("/")[2]
        parts = (name, photos.serial[i], f"{places.order_s[i]:.3f}")
        words = "\n".join(shown(p or "") for p in parts)
        made.append(str(uuid.uuid5(_NAMES, words)))
        if made[-1] in taken:
            made[-1] = str(uuid.uuid5(_NAMES, f"{words}\n{shown(photos.path[i])}"))
        taken.add(made[-1])
    return made


def _why(i: int, kept: int, places: Places, heading: Floats, paths: list[str]) -> str:
    one, two = slice(i, i + 1), slice(kept, kept + 1)
    apart = geo.distance_m(
        places.lat_deg[one], places.lon_deg[one], places.lat_deg[two], places.lon_deg[two]
    )[0]
    turn = abs((heading[i] - heading[kept] + 180.0) % 360.0 - 180.0)
    angle = f" and {turn:.0f}°" if turn == turn else ", heading unknown,"
    return f"{apart:.2f} m{angle} from {shown(paths[kept].rpartition('/')[2])}"
