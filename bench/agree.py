"""Before anything is timed: do all readers find the same place and time in the corpus?"""

from __future__ import annotations

import sys

from bench import peers
from bench.corpus import Truth
from bench.rows import Room

__all__ = ["check"]

_SAMPLE = 200
_PLACE_DEG = 2e-6  # half of the coarsest unit that a camera of the corpus writes, 0.01", and a little
_EQUAL_DEG = 1e-9
_TIME_S = 0.0015  # half of the finest unit, and what a GPS time rounded down may lack


def check(room: Room) -> str:
    """A sentence on what was compared. Raises RuntimeError where two readers, or one and the truth, differ."""
    files, truth = room.corpus.files, room.corpus.truth
    rows = range(0, len(files), max(1, len(files) // _SAMPLE))
    listed = room.folder / "sample.txt"
    listed.write_text("\n".join(files[i] for i in rows))
    readers = {"camtrail": sys.executable, "exifread": peers.python(), "mapillary_tools": peers.python()}
    if peers.exiftool():
        readers["exiftool"] = sys.executable
    found = {
        name: peers.work(python, "places", name, str(listed))["places"] for name, python in readers.items()
    }
    for name, places in found.items():
        assert isinstance(places, list)
        for i, place, first in zip(rows, places, found["camtrail"], strict=True):  # type: ignore[call-overload]
            _compare(name, truth[i], place, first)
    return f"{len(rows)} photos: {', '.join(found)} agree on latitude, longitude and time"


def _compare(name: str, truth: Truth, place: list[float], first: list[float]) -> None:
    lat, lon, time_s = place
    wrong = abs(lat - truth.lat_deg) > _PLACE_DEG or abs(lon - truth.lon_deg) > _PLACE_DEG
    if truth.gps_time_s is None:
        wrong |= not truth.local_s <= time_s < truth.local_s + 1
    else:
        wrong |= abs(time_s - truth.gps_time_s) > _TIME_S
    wrong |= any(abs(a - b) > limit for a, b, limit in zip(place, first, (_EQUAL_DEG, _EQUAL_DEG, _TIME_S)))
    if wrong:
        raise RuntimeError(f"{name} reads {place} in {truth}; camtrail reads {first}")
