"""GeoJSON (RFC 7946): one Feature for every photo, those without a place with a null geometry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from camtrail.core.model import Item
from camtrail.core.names import plain
from camtrail.core.plugins import Export
from camtrail.exports.values import has_place, heading_deg, iso, rounded, text_of

__all__ = ["PLUGIN", "write"]

_MARK = b'"generator":"camtrail"'


def write(items: Iterable[Item], several_roots: bool) -> Iterator[bytes]:
    """A FeatureCollection with one Feature a line, in the order of the items.

    Parameters
    ----------
    items : photos with what is known of them
    several_roots : whether each Feature names the `root` that its path is relative to

    Notes
    -----
    RFC 7946: longitude first, altitude third where known; 7 decimals are 1 cm. `generator` is a foreign
    member (§6.1). Holds one item at a time.
    """
    # The encoder writes NaN as null; all that may be NaN is rounded, and None, before.
    encode = msgspec.json.Encoder().encode
    yield b'{"type":"FeatureCollection",' + _MARK + b',"features":[\n'
    before = b""
    for item in items:
        yield before + encode(_feature(item, several_roots))
        before = b",\n"
    yield b"\n]}\n"


def _feature(item: Item, with_root: bool) -> dict[str, Any]:
    alt_m = rounded(item.alt_m, 3)
    geometry = None
    if has_place(item):
        at = [rounded(item.lon_deg, 7), rounded(item.lat_deg, 7)]
        geometry = {"type": "Point", "coordinates": at if alt_m is None else [*at, alt_m]}
    name: dict[str, Any] = {"path": plain(item.path)}
    if with_root:
        name["root"] = plain(item.root)
    known = {
        "time": iso(item.time_s),
        "local_time": iso(item.local_s, ""),
        "time_source": text_of(item.time_source),
        "position_source": text_of(item.position_source),
        "alt_m": alt_m,
        "heading_deg": heading_deg(item),
        "heading_source": text_of(item.heading_source),
        "heading_ref": item.heading_ref,
        "sequence": text_of(item.sequence),
        "sequence_index": item.sequence_index if item.sequence_index >= 0 else None,
        "duplicate_of": None if item.duplicate_of is None else plain(item.duplicate_of),
        "outcome": item.outcome,
        "reason": text_of(item.reason),
        "seconds_to_fix": rounded(item.seconds_to_fix, 3),
        "fix_before_s": rounded(item.fix_before_s, 3),
        "fix_after_s": rounded(item.fix_after_s, 3),
        "error_m": rounded(item.error_m, 3),
    }
    return {"type": "Feature", "geometry": geometry, "properties": name | known}


PLUGIN = Export(
    name="geojson",
    about="GeoJSON, one Feature a photo",
    suffixes=frozenset({".geojson"}),
    write=write,
    mark=_MARK,
)
