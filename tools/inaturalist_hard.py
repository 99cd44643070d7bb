"""Photos and observations that are hard to put together, with the truth: for tests and for the benchmark.

Usage: python tools/inaturalist_hard.py DIR [SCALE]
       python tools/inaturalist_hard.py DIR day N

DIR gets `local/`, the photos of somebody's disk; `data/`, what `camtrail sandbox inaturalist --data DIR/data` serves;
and `truth.json`, photo id by local name. SCALE (1) multiplies how many there are of each kind; `day` makes a plain
day of N photos of 12 megapixels. The same arguments make the same files.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

LOGIN = "hard"
_PHOTOS = "https://static.inaturalist.org/photos"
_TAXA = (
    (42051, "Canis latrans", "species", "Coyote"),
    (1001, "Puma concolor couguar", "subspecies", "north american cougar"),
    (1002, "Quercus", "genus", None),
    None,
)

Pixels = npt.NDArray[np.uint8]


def scene(seed: int, width_px: int = 1600, height_px: int = 1200) -> Pixels:
    """A picture with detail at all scales, with edges, and with smooth parts, as photos have."""
    random = np.random.default_rng(seed)
    made = np.zeros((height_px, width_px, 3), np.float32)
    for cells, weight in ((3, 70.0), (7, 40.0), (19, 25.0), (53, 16.0), (160, 10.0), (500, 7.0)):
        coarse = random.standard_normal((cells * 3 // 4 + 1, cells, 3)).astype(np.float32)
        coarse = 0.7 * coarse.mean(axis=2, keepdims=True) + 0.3 * coarse
        made += weight * cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    made = made * np.float32(random.uniform(0.5, 0.9)) + random.uniform(90, 150, 3).astype(np.float32)
    picture = np.clip(made, 0, 255).astype(np.uint8)
    for _ in range(int(random.integers(12, 30))):
        _shape(picture, random)
    return picture


def _shape(picture: Pixels, random: np.random.Generator) -> None:
    h, w = picture.shape[:2]
    at = (int(random.integers(0, w)), int(random.integers(0, h)))
    color = [int(v) for v in random.integers(0, 256, 3)]
    size = (int(random.integers(8, w // 12)), int(random.integers(8, h // 12)))
    thick = int(random.choice([-1, -1, 3, 7]))
    cv2.ellipse(picture, at, size, float(random.uniform(0, 180)), 0, 360, color, thick, cv2.LINE_AA)


def burst(seed: int, n: int) -> Iterator[Pixels]:
    """Frames of one scene: a hand that is not still, an animal that moves, and noise that is new each time."""
    random = np.random.default_rng(seed)
    whole = scene(seed, 1700, 1300)
    x, y, at = 50.0, 50.0, np.array([500.0, 600.0])
    for _ in range(n):
        x, y = np.clip([x + random.normal(0, 5), y + random.normal(0, 5)], 1, 99)
        at += random.normal(0, 18, 2) + (8, 0)
        frame = cv2.warpAffine(whole, np.float32([[1, 0, -x], [0, 1, -y]]), (1600, 1200))
        where = (int(at[0]) % 1600, int(at[1]) % 1200)
        cv2.ellipse(frame, where, (90, 50), 20, 0, 360, (60, 90, 140), -1, cv2.LINE_AA)
        cv2.circle(frame, (where[0] + 85, where[1] - 25), 30, (50, 80, 120), -1, cv2.LINE_AA)
        noise = random.normal(0, 2.0, frame.shape[:2] + (1,))
        yield np.clip(frame + noise, 0, 255).astype(np.uint8)


@dataclass(slots=True)
class Set:
    """What is being made."""

    folder: Path
    random: np.random.Generator
    observations: list[dict[str, Any]] = field(default_factory=list)
    truth: dict[str, int] = field(default_factory=dict)
    ambiguous: list[str] = field(default_factory=list)
    files: list[tuple[Path, Pixels, int, bytes]] = field(default_factory=list)  # path, picture, quality, EXIF
    next_id: int = 1000

    def local(
        self, name: str, picture: Pixels, at: datetime, orientation: int = 1, quality: int = 93
    ) -> None:
        """A photo on the disk."""
        self.files.append((self.folder / "local" / name, picture, quality, exif(at, orientation)))

    def online(self, pictures: list[tuple[str | None, Pixels]], at: datetime | None, **more: Any) -> None:
        """An observation with photos, each with the local name that is the truth."""
        self.next_id += 1
        places = []
        for position, (name, picture) in enumerate(pictures):
            self.next_id += 1
            number = self.next_id
            quality = int(self.random.integers(80, 96))
            self.files.append((self.folder / "data" / "photos" / f"{number}.jpg", picture, quality, b""))
            if name is not None:
                self.truth[name] = number
            photo = {"id": number, "url": f"{_PHOTOS}/{number}/square.jpg"}
            places.append({"id": 10 * number, "uuid": _uuid(number), "position": position, "photo": photo})
        self.observations.append(_observation(self.next_id + 1, at, places, more))
        self.next_id += 1


def exif(at: datetime, orientation: int = 1) -> bytes:
    """The EXIF block of a photo, with its time, its place and how it is to be turned."""
    from PIL import Image

    block = Image.Exif()
    block[0x0112] = orientation
    block.get_ifd(0x8769)[0x9003] = at.strftime("%Y:%m:%d %H:%M:%S")
    block.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 30.0), 3: "E", 4: (8.0, 32.0, 10.0)})
    return block.tobytes()


def _observation(number: int, at: datetime | None, places: list[Any], more: dict[str, Any]) -> dict[str, Any]:
    zone = more.pop("zone", "+02:00")
    day = more.pop("day", None) or (at.date().isoformat() if at else None)
    moment = at.replace(second=0).isoformat() + zone if at else None
    taxon = _TAXA[number % len(_TAXA)]
    return {
        "id": number,
        "uuid": _uuid(number),
        "observed_on": day,
        "time_observed_at": moment,
        "location": "47.375,8.536",
        "obscured": False,
        "user": {"id": 1, "login": LOGIN},
        "taxon": taxon and dict(zip(("id", "name", "rank", "preferred_common_name"), taxon)),
        "observation_photos": places,
        **more,
    }


def _uuid(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"camtrail hard {number}"))


def lit(picture: Pixels, gain: float, offset: float, gamma: float = 1.0) -> Pixels:
    """The picture with other brightness, contrast and gamma."""
    table = 255 * ((np.arange(256) / 255) ** gamma)
    return np.clip(table * gain + offset, 0, 255).astype(np.uint8)[picture]


def recompressed(picture: Pixels, quality: int) -> Pixels:
    """The picture after a JPEG of that quality."""
    return cv2.imdecode(
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


def cropped(picture: Pixels, share: float, random: np.random.Generator) -> Pixels:
    """A part of the picture, at least so much of its area."""
    h, w = picture.shape[:2]
    side = share**0.5
    ratio = random.uniform(0.9, 1.1)
    height, width = int(h * min(0.98, side * ratio)), int(w * min(0.98, side / ratio))
    y, x = int(random.integers(0, h - height + 1)), int(random.integers(0, w - width + 1))
    return np.ascontiguousarray(picture[y : y + height, x : x + width])


def make_day(folder: Path, n: int) -> None:
    """A day of n photos of 12 megapixels, all of which are online, three an observation."""
    made = Set(folder, np.random.default_rng(11))
    start = datetime(2026, 5, 2, 6, 0, 0)
    _folders(folder)
    grain = made.random.normal(0, 4, (3000, 4000, 1)).astype(np.float32)
    for i in range(0, n, 3):
        posted: list[tuple[str | None, Pixels]] = []
        for k in range(i, min(i + 3, n)):
            picture = scene(5000 + k, 1000, 750)
            large = cv2.resize(picture, (4000, 3000), interpolation=cv2.INTER_CUBIC) + grain
            at = start + timedelta(seconds=150 * k)
            name = f"day{k:03}.jpg"
            made.local(name, np.clip(large, 0, 255).astype(np.uint8), at, quality=90)
            posted.append((name, cv2.resize(made.files[-1][1], (1600, 1200), interpolation=cv2.INTER_AREA)))
        made.online(posted, start + timedelta(seconds=150 * i))
        for file in made.files:
            _save(file)
        made.files.clear()
    _told(made)


def make(folder: Path, scale: float = 1.0) -> None:
    """Makes all kinds."""
    made = Set(folder, np.random.default_rng(7))
    first, second = datetime(2026, 5, 2, 6, 0, 0), datetime(2026, 5, 3, 6, 0, 0)
    _plain(made, first, max(2, round(12 * scale)))
    _bursts(made, first + timedelta(hours=2), max(6, round(40 * scale)))
    _crops(made, first + timedelta(hours=4), max(2, round(10 * scale)))
    _turned(made, first + timedelta(hours=6), max(3, round(8 * scale)))
    _lit(made, first + timedelta(hours=8), max(2, round(10 * scale)))
    _clock(made, second, max(4, round(10 * scale)))
    _odd_times(made, first + timedelta(days=5), max(1, round(4 * scale)))
    _foreign(made, second + timedelta(hours=8), max(2, round(8 * scale)))
    _copies(made, second + timedelta(hours=10))
    _folders(folder)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(_save, made.files))
    _told(made)


def _folders(folder: Path) -> None:
    for path in ("local", "data/photos"):
        (folder / path).mkdir(parents=True, exist_ok=True)


def _told(made: Set) -> None:
    """The observations, and which pairs are right."""
    text = json.dumps(made.observations)
    (made.folder / "data" / "observations.json").write_text(text, encoding="utf-8")
    truth = {"pairs": made.truth, "ambiguous": made.ambiguous}
    (made.folder / "truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")


def _save(file: tuple[Path, Pixels, int, bytes]) -> None:
    from PIL import Image

    path, picture, quality, block = file
    more = {"exif": block} if block else {}
    Image.fromarray(np.ascontiguousarray(picture[:, :, ::-1])).save(path, "JPEG", quality=quality, **more)


def _plain(made: Set, at: datetime, n: int) -> None:
    """Recompressed, from quality 70 to 95; three photos an observation, the later ones after its time."""
    photos = []
    for i in range(n):
        picture = scene(100 + i)
        made.local(f"plain{i}.jpg", picture, at + timedelta(seconds=40 * i))
        photos.append((f"plain{i}.jpg", recompressed(picture, 70 + 25 * i // max(1, n - 1))))
    for i in range(0, n, 3):
        made.online(photos[i : i + 3], at + timedelta(seconds=40 * i))


def _bursts(made: Set, at: datetime, n: int) -> None:
    """Five frames in eight are online with their local ones, one is online alone, two are local only."""
    photos: list[tuple[str | None, Pixels]] = []
    for i, frame in enumerate(burst(500, n)):
        name = f"burst{i:02}.jpg"
        if i % 8 != 5:
            made.local(name, frame, at + timedelta(seconds=i // 3))
        if i % 8 not in (2, 6):
            photos.append((None if i % 8 == 5 else name, recompressed(frame, 85)))
    for i in range(0, len(photos), 8):
        made.online(photos[i : i + 8], at)


def _crops(made: Set, at: datetime, n: int) -> None:
    """Every other crop is on the disk as well, beside its original; both are online."""
    for i in range(n):
        when = at + timedelta(minutes=2 * i)
        picture = scene(600 + i)
        part = cropped(picture, float(made.random.uniform(0.2, 0.7)), made.random)
        made.local(f"crop{i}.jpg", picture, when)
        if i % 2:
            made.local(f"crop{i}part.jpg", part, when)
            made.online([(f"crop{i}part.jpg", part), (f"crop{i}.jpg", picture)], when)
        else:
            made.online([(f"crop{i}.jpg", part)], when)


def _turned(made: Set, at: datetime, n: int) -> None:
    """Turned by a quarter or a half before the upload; and stored turned, with an orientation."""
    for i in range(n):
        when = at + timedelta(minutes=i)
        picture = scene(700 + i)
        name = f"turned{i}.jpg"
        if i % 4 == 3:
            made.local(name, picture, when, orientation=6)
            made.online([(name, np.ascontiguousarray(np.rot90(picture, -1)))], when)
        else:
            made.local(name, picture, when)
            made.online([(name, np.ascontiguousarray(np.rot90(picture, 1 + i % 4)))], when)


def _lit(made: Set, at: datetime, n: int) -> None:
    """Brighter, darker, with more and less contrast; one grey."""
    for i in range(n):
        when = at + timedelta(minutes=i)
        picture = scene(800 + i)
        gain, offset = float(made.random.uniform(0.7, 1.3)), float(made.random.uniform(-30, 30))
        edited = lit(picture, gain, offset, float(made.random.uniform(0.8, 1.25)))
        if i == n - 1:
            edited = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        made.local(f"lit{i}.jpg", picture, when)
        made.online([(f"lit{i}.jpg", edited)], when)


def _clock(made: Set, at: datetime, n: int) -> None:
    """A camera whose clock is three minutes ahead; its photos lie far apart."""
    for i in range(n):
        when = at + timedelta(minutes=9 * i, seconds=13 * i % 60)
        picture = scene(900 + i)
        made.local(f"clock{i}.jpg", picture, when + timedelta(minutes=3))
        made.online([(f"clock{i}.jpg", picture)], when)


def _odd_times(made: Set, at: datetime, n: int) -> None:
    """Observations of a date alone, around midnight, in another zone; places obscured and private."""
    midnight = at.replace(hour=0, minute=0)
    for i in range(n):
        names = [f"{kind}{i}.jpg" for kind in ("date", "midnight", "zone", "hidden")]
        pictures = [scene(1000 + 10 * i + k) for k in range(4)]
        times = (
            at + timedelta(hours=4, minutes=7 * i),
            midnight + timedelta(seconds=70 * i - 60),
            at + timedelta(hours=6, minutes=11 * i),
            at + timedelta(hours=7, minutes=i),
        )
        for name, picture, when in zip(names, pictures, times):
            made.local(name, picture, when)
        made.online([(names[0], pictures[0])], None, day=times[0].date().isoformat())
        made.online([(names[1], pictures[1])], times[1])
        # Its zone is that of a place far away: another wall clock, the same instant.
        made.online([(names[2], pictures[2])], times[2] - timedelta(hours=9), zone="-07:00")
        hidden = {"geoprivacy": "private", "location": None} if i % 2 else {"geoprivacy": "obscured"}
        made.online([(names[3], pictures[3])], times[3], obscured=True, **hidden)


def _foreign(made: Set, at: datetime, n: int) -> None:
    """Photos of one time that are not each other, on both sides; some of flat things, as sky and paper."""
    for i in range(n):
        when = at + timedelta(seconds=20 * i)
        mine, other = scene(2000 + i), scene(2100 + i)
        if i % 4 == 3:
            mine, other = _paper(2000 + i), _paper(2100 + i)
        made.local(f"foreign{i}.jpg", mine, when)
        made.online([(None, other)], when)


def _paper(seed: int) -> Pixels:
    """Something small on something light and plain."""
    random = np.random.default_rng(seed)
    picture = np.full((1200, 1600, 3), 225, np.float32) + random.normal(0, 1.5, (1200, 1600, 1))
    made = picture.clip(0, 255).astype(np.uint8)
    for _ in range(5):
        at = (int(random.integers(600, 1000)), int(random.integers(400, 800)))
        cv2.ellipse(made, at, (60, 25), float(random.uniform(0, 180)), 0, 360, (40, 50, 60), -1, cv2.LINE_AA)
    return made


def _copies(made: Set, at: datetime) -> None:
    """Two local files with one picture."""
    picture = scene(3000)
    for name in ("copy1.jpg", "copy2.jpg"):
        made.local(name, picture, at)
        made.ambiguous.append(name)
    made.online([(None, picture)], at)


if __name__ == "__main__":
    if sys.argv[2:3] == ["day"]:
        make_day(Path(sys.argv[1]), int(sys.argv[3]))
    else:
        make(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
