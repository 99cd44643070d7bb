"""The bench corpus: rides of made-up cameras, and GPX tracks; the same bytes each time.

`python -m bench.corpus [N]` makes N photos (10,000) and prints what they are like.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median
from time import gmtime, strftime

from bench import jpeg
from bench.cameras import SHAPES, Fix, Shape, photo

__all__ = ["CACHE", "Corpus", "Truth", "corpus", "gpx"]

VERSION = 2
"""Raise it with every change of the bytes: it names the cache."""

CACHE = Path(__file__).resolve().parent.parent / ".bench"
_PACE_S = 2.0

# Latitude, longitude, altitude, the zone's offset then, and the start of the ride (UTC).
_PLACES = (
    (45.5169, -122.5727, 70.0, -7 * 3600, 1_718_040_000),  # Portland
    (52.3702, 4.8952, -3.5, 2 * 3600, 1_717_400_000),  # Amsterdam, below the sea
    (-33.8688, 151.2093, 40.0, 10 * 3600, 1_716_600_000),  # Sydney
    (48.2082, 16.3738, 171.0, 1 * 3600, 1_700_040_000),  # Vienna, winter
    (28.6139, 77.2090, 216.0, 19_800, 1_709_530_000),  # Delhi, half an hour
    (-22.9068, -43.1729, 12.0, -3 * 3600, 1_710_000_000),  # Rio de Janeiro
    (35.6762, 139.6503, 38.0, 9 * 3600, 1_712_970_000),  # Tokyo
    (51.5074, -0.1278, 20.0, 0, 1_701_600_000),  # London, by the meridian
    (64.1466, -21.9426, 15.0, 0, 1_719_800_000),  # Reykjavik
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What a reader should find in one photo."""

    file: str
    lat_deg: float
    lon_deg: float
    gps_time_s: float | None  # as precise as the camera writes it
    local_s: float  # the clock, whole seconds, as if it were UTC


@dataclass(frozen=True, slots=True)
class Corpus:
    """Photos on disk."""

    folder: Path
    files: list[str]
    truth: list[Truth]
    summary: dict[str, object]


def corpus(n: int = 10_000) -> Corpus:
    """The corpus of `n` photos; made where the cache has none."""
    home = CACHE / f"corpus-{sha256(f'{VERSION} {n}'.encode()).hexdigest()[:12]}"
    if not home.exists():
        making = home.with_suffix(".part")
        shutil.rmtree(making, ignore_errors=True)
        _make(making, n)
        making.rename(home)
    facts = json.loads((home / "corpus.json").read_text())
    truth = [Truth(*row) for row in facts["truth"]]
    folder = home / "photos"
    return Corpus(folder, [str(folder / t.file) for t in truth], truth, facts["summary"])


def _make(home: Path, n: int) -> None:
    rows, facts = [], []
    for file, data, truth, fact in _photos(n):
        path = home / "photos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        rows.append(tuple(asdict(truth).values()))
        facts.append(fact | {"bytes": len(data)})
    (home / "corpus.json").write_text(json.dumps({"summary": _summary(facts), "truth": rows}))


def _summary(facts: list[dict[str, int]]) -> dict[str, object]:
    def spread(key: str) -> list[float]:
        values = [f[key] for f in facts]
        return [min(values), median(values), max(values)]

    late = sum(f["gps_at"] > 32 * 1024 for f in facts)
    return {
        "photos": len(facts),
        "cameras": len({f["camera"] for f in facts}),
        "rides": len({f["ride"] for f in facts}),
        "big_endian": sum(f["big"] for f in facts) / len(facts),
        "tags": spread("tags"),
        "maker_note_bytes": spread("note_bytes"),
        "file_bytes": spread("bytes"),
        "all_bytes": sum(f["bytes"] for f in facts),
        "gps_past_32_kb": late / len(facts),
    }


def _photos(n: int) -> Iterator[tuple[str, bytes, Truth, dict[str, int]]]:
    made = ride = 0
    usual = 500 if n >= 10_000 else max(1, n // 13)
    while made < n:
        random = Random(f"camtrail ride {ride}")
        length = min(n - made, usual + random.randrange(usual + 1))
        which = ride % len(SHAPES)
        shape = SHAPES[which]
        small = [jpeg.thumbnail(random, shape.detail) for _ in range(6)]
        folder = f"ride-{ride + 1:03d}-{shape.make.split()[0].lower()}"
        for i, fix in enumerate(_ride(random, ride, length)):
            data, fact = photo(shape, fix, i, random, small[i % len(small)])
            file = f"{folder}/{shape.prefix}{i + 1:05d}.JPG"
            fact |= {"camera": which, "ride": ride, "big": shape.order == ">"}
            yield file, data, _truth(file, shape, fix), fact
        made += length
        ride += 1


def _truth(file: str, shape: Shape, fix: Fix) -> Truth:
    gps = math.floor(fix.time_s * shape.fraction) / shape.fraction if 29 in shape.gps else None
    local = math.floor(fix.time_s + fix.zone_s + shape.clock_error_s)
    return Truth(file, fix.lat_deg, fix.lon_deg, gps, local)


def _ride(random: Random, ride: int, length: int) -> Iterator[Fix]:
    """A bicycle or a car in a town: it turns, stops at lights, and the camera releases every two seconds."""
    lat, lon, alt, zone, start = _PLACES[ride % len(_PLACES)]
    lap = ride // len(_PLACES)
    lat, lon, start = lat + 0.01 * lap, lon + 0.01 * lap, start + 86_400 * lap
    course, speed, waits = random.random() * 360, 8.0, 0
    for i in range(length):
        yield Fix(
            start + _PACE_S * i + 0.3 * random.random(), zone, lat, lon, alt, course, 0.0 if waits else speed
        )
        if waits:
            waits -= 1
            continue
        waits = 4 if random.random() < 0.005 else 0
        speed = min(14.0, max(3.0, speed + random.random() * 2 - 1))
        course = (course + random.random() * 16 - 8 + (90 if random.random() < 0.01 else 0)) % 360
        lat, lon = _moved(lat, lon, course, speed * _PACE_S)
        alt += random.random() * 0.4 - 0.2


def _moved(lat_deg: float, lon_deg: float, course_deg: float, step_m: float) -> tuple[float, float]:
    north = step_m * math.cos(math.radians(course_deg)) / 111_200
    east = step_m * math.sin(math.radians(course_deg)) / (111_200 * math.cos(math.radians(lat_deg)))
    return lat_deg + north, lon_deg + east


def gpx(points: int, start_s: int | None = None, pace_s: int = 1) -> Path:
    """A GPX 1.1 track of that many points, `pace_s` apart; by default along the time of the first ride."""
    start = _PLACES[0][4] - 60 if start_s is None else start_s
    path = CACHE / f"track-{VERSION}-{points}-{start}-{pace_s}.gpx"
    if path.exists():
        return path
    CACHE.mkdir(exist_ok=True)
    making = path.with_suffix(".part")
    random = Random(f"camtrail track {points}")
    lat, lon, alt, course = _PLACES[0][0], _PLACES[0][1], 70.0, 45.0
    with making.open("w", encoding="utf-8") as f:
        f.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<gpx version="1.1" creator="camtrail bench" xmlns="http://www.topografix.com/GPX/1/1">\n'
            "<trk><name>ride</name><trkseg>\n"
        )
        for i in range(points):
            when = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(start + pace_s * i))
            f.write(
                f'<trkpt lat="{lat:.7f}" lon="{lon:.7f}"><ele>{alt:.1f}</ele><time>{when}</time></trkpt>\n'
            )
            course = (course + random.random() * 16 - 8 - 0.02 * (lat - _PLACES[0][0])) % 360
            lat, lon = _moved(lat, lon, course, 6.0 * pace_s)
            alt += random.random() * 0.4 - 0.2
        f.write("</trkseg></trk></gpx>\n")
    making.rename(path)
    return path


def main(arguments: list[str]) -> None:
    """Makes the corpus and prints its summary."""
    made = corpus(int(arguments[0])) if arguments else corpus()
    print(made.folder)
    for name, value in made.summary.items():
        print(f"{name:>18}  {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
