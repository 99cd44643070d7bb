"""Makes a sample collection: a ride with two cameras and a recorded track, a walk, and what goes wrong.

Usage: python tools/sample.py FOLDER

The same files each time. `make run` runs the main job on them.
"""

from __future__ import annotations

import math
import os
import sys
from datetime import UTC, datetime, timedelta

from photos import Shot, jpeg

_START = datetime(2026, 5, 9, 8, 0, 0, tzinfo=UTC)
_LAT, _LON = 47.3686, 8.5392


def _ride(seconds: float) -> tuple[float, float, float]:
    """Where the bicycle is: along a lake shore, 5 m/s, slightly winding."""
    along = 5.0 * seconds
    lat = _LAT - along * 0.85 / 111_200 + 0.0004 * math.sin(seconds / 40)
    lon = _LON + along * 0.55 / (111_320 * math.cos(math.radians(lat))) + 0.0003 * math.cos(seconds / 55)
    return lat, lon, 408 + 4 * math.sin(seconds / 90)


def _landscape(seed: float, horizon: float):
    def colour(x: int, y: int) -> tuple[int, int, int]:
        line = horizon + 3 * math.sin(x / 5 + seed) + 1.5 * math.sin(x / 2.3 + seed * 1.7)
        if y < line - 4:
            return 120 + 4 * y, 170 + 2 * y, 235
        if y < line:
            return 88, 104 + int(20 * math.sin(x + seed)), 96
        return 60 + 3 * (x % 5), 120 - 2 * (y % 4), 70

    return colour


def _put(folder: str, name: str, data: bytes) -> None:
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as out:
        out.write(data)


def _exif(moment: datetime, hours: float) -> str:
    return (moment + timedelta(hours=hours)).strftime("%Y:%m:%d %H:%M:%S")


def make(folder: str) -> None:
    """Writes the collection."""
    ride, walk, odd = (os.path.join(folder, name) for name in ("ride", "walk", "odd"))
    # A phone that knows where it is, and an action camera that does not and started before the recorder.
    for i in range(40):
        seconds = 10.0 * i + 3
        lat, lon, alt = _ride(seconds)
        moment = _START + timedelta(seconds=seconds)
        shot = Shot(
            local=_exif(moment, 2), subsec=f"{37 * i % 1000:03d}", offset="+02:00", lat_deg=lat, lon_deg=lon,
            alt_m=alt, gps_time=moment, make="Made", model="Phone", size=(40, 30),
            colour=_landscape(i / 7, 14),
        )  # fmt: skip
        _put(ride, f"PHONE_{i + 1:04d}.jpg", shot.bytes())
    for i in range(60):
        moment = _START + timedelta(seconds=6.0 * i - 13)
        shot = Shot(
            local=_exif(moment, 2), make="Made", model="Action", serial="A-1701",
            size=(48, 27), colour=_landscape(i / 11 + 2, 11), order=">",
        )  # fmt: skip
        _put(ride, f"ACT{i + 1:05d}.JPG", shot.bytes())
    points = "".join(
        f'<trkpt lat="{lat:.7f}" lon="{lon:.7f}"><ele>{alt:.1f}</ele>'
        f"<time>{(_START + timedelta(seconds=s)).strftime('%Y-%m-%dT%H:%M:%SZ')}</time></trkpt>\n"
        for s in range(0, 371, 5)
        for lat, lon, alt in [_ride(s)]
    )
    track = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="sample" '
        f'xmlns="http://www.topografix.com/GPX/1/1"><trk><name>ride</name><trkseg>\n{points}</trkseg></trk></gpx>\n'
    )
    _put(ride, "ride.gpx", track.encode())
    # A walk in the hills above: no offset, no GPS time; the zone is that of the place.
    for i in range(24):
        moment = datetime(2026, 3, 14, 9, 30, tzinfo=UTC) + timedelta(seconds=45 * i)
        shot = Shot(
            local=_exif(moment, 1), lat_deg=47.3555 - i * 0.0004 + 0.0003 * math.sin(i / 2),
            lon_deg=8.5660 + i * 0.0002, alt_m=560.0 + 3 * i, make="Made", model="Compact", size=(36, 27),
            colour=_landscape(i / 3 + 5, 9 + i / 8),
        )  # fmt: skip
        _put(walk, f"IMG_{i + 1}.JPG", shot.bytes())
    # What goes wrong in real folders.
    _put(odd, "no-place.jpg", Shot(local="2026:05:09 12:00:00", size=(20, 15)).bytes())
    _put(odd, "no-time.jpg", Shot(lat_deg=47.36, lon_deg=8.54, size=(20, 15)).bytes())
    _put(
        odd,
        "null-island.jpg",
        Shot(local="2026:05:09 12:00:05", lat_deg=0.0, lon_deg=0.0, size=(20, 15)).bytes(),
    )
    _put(
        odd,
        "cut-off.jpg",
        Shot(local="2026:05:09 12:00:10", lat_deg=47.36, lon_deg=8.54, size=(20, 15)).bytes()[:-200],
    )
    _put(odd, "no-exif.jpg", jpeg(columns=20, rows=15))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(sys.argv[1])
