"""The images that a stand-in has to offer: made up, or of a folder of photos and id lists."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from camtrail.core.errors import InputError, UnreadableFile
from camtrail.core.fs import FileSystem, RealFileSystem
from camtrail.core.geo import bearing_deg
from camtrail.core.model import Floats, Photos
from camtrail.core.names import natural
from camtrail.metadata.read import header
from camtrail.steps.id_lists import joined, parse
from camtrail.steps.tiling import Box, inside

__all__ = ["CREATOR", "Collection", "Served", "drawn", "made_up", "number", "of_folder"]

CREATOR = "sandbox"
"""Who made all images."""

_NAN = float("nan")
_PHOTOS = (".jpg", ".jpeg", ".jpe")
_LISTS = (".txt", ".csv")
_STEP_MS = 2000
_FIRST_MS = 1_577_836_800_000  # 2020-01-01
_YEARS_MS = 5 * 365 * 86_400_000
_FLAT_OF = 97  # of so many images of a list, one is no panorama
_BARE_OF = 40  # of so many made-up images, one was not reconstructed
_PANO_PX, _FLAT_PX = (2560, 1280), (2560, 1920)
_M_PER_DEG = 111_320.0


@dataclass(frozen=True, slots=True)
class Served:
    """One image as the service knows it; NaN and None where it does not."""

    id: str
    sequence: str
    captured_ms: int | None  # since 1970, UTC
    lat_deg: float
    lon_deg: float
    computed_lat_deg: float
    computed_lon_deg: float
    heading_deg: float
    computed_heading_deg: float
    alt_m: float
    computed_alt_m: float
    is_pano: bool
    width_px: int
    height_px: int
    make: str | None
    model: str | None
    path: str | None = None  # of the photo; None where the picture is made up


class Collection:
    """Images, by id, by sequence and by place. Of an id that is there twice, the first counts."""

    def __init__(self, images: Iterable[Served]) -> None:
        self._images: dict[str, Served] = {}
        self._sequences: dict[str, list[Served]] = {}
        for image in images:
            if self._images.setdefault(image.id, image) is image:
                self._sequences.setdefault(image.sequence, []).append(image)
        self._rows = list(self._images.values())
        self._lat_deg = np.array([i.lat_deg for i in self._rows])
        self._lon_deg = np.array([i.lon_deg for i in self._rows])
        self._computed_lat_deg = np.array([i.computed_lat_deg for i in self._rows])
        self._computed_lon_deg = np.array([i.computed_lon_deg for i in self._rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Served]:
        """All of them, sequence by sequence as they were given."""
        return iter(self._rows)

    def get(self, image_id: str) -> Served | None:
        """The image with an id."""
        return self._images.get(image_id)

    def sequence(self, sequence_id: str) -> list[Served]:
        """A sequence's images in order; none where there is no such sequence."""
        return self._sequences.get(sequence_id, [])

    def within(self, box: Box) -> list[Served]:
        """Images whose original position lies in a box, its edges included; the southern edge first."""
        rows = np.flatnonzero(inside(self._lat_deg, self._lon_deg, box))
        return [self._rows[i] for i in rows[np.argsort(self._lat_deg[rows], kind="stable")]]

    def positions(self, *, computed: bool) -> tuple[Floats, Floats]:
        """Latitudes and longitudes of all images in their order; NaN where there is none."""
        if computed:
            return self._computed_lat_deg, self._computed_lon_deg
        return self._lat_deg, self._lon_deg

    def at(self, rows: Iterable[int]) -> list[Served]:
        """The images of these rows of `positions`."""
        return [self._rows[i] for i in rows]


def number(of: str) -> str:
    """A number of the service's kind, the same each time for the same thing."""
    return str(
        10**15 + int.from_bytes(hashlib.sha256(of.encode("utf-8", "surrogateescape")).digest()[:6], "big")
    )


def drawn(of: str) -> int:
    """64 bits that look random, the same each time for the same text."""
    return int.from_bytes(
        hashlib.blake2b(of.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big"
    )


@cache
def made_up() -> Collection:
    """What is there without data: streets of 45.0 to 45.1, -122.6 to -122.5, and of a part of Sydney.

    Twelve streets of 150 images cross the first box, and 2,600 images lie in a spot of 0.001 degrees at 45.045,
    -122.555: more than a search gives at once. Four streets of 100 images cross -33.90 to -33.85, 151.15 to 151.25.
    Every third sequence is of panoramas, and one of 40 images was not reconstructed. The first street lies below
    sea level, and its altitudes are wrapped as the service's are: unsigned, of 32 bits. Most ids are above 2**53.
    """
    return Collection(i for k, line in enumerate(_lines()) for i in _street(k, *line))


def _lines() -> Iterator[tuple[Floats, Floats]]:
    """Latitudes and longitudes of the made-up sequences."""
    along = np.linspace(0.001, 0.099, 150)
    for k in range(6):
        yield np.full(150, 45.008 + 0.0165 * k), -122.6 + along
        yield 45.0 + along, np.full(150, -122.592 + 0.0165 * k)
    to_and_fro = np.linspace(0.0, 0.001, 260)
    for k in range(10):
        yield np.full(260, 45.0443 + 0.0001 * k), -122.5557 + to_and_fro
    south = np.linspace(0.001, 0.049, 100)
    for k in range(2):
        yield np.full(100, -33.89 + 0.02 * k), 151.15 + 2 * south
        yield -33.90 + south, np.full(100, 151.17 + 0.04 * k)


def _street(k: int, lat_deg: Floats, lon_deg: Floats) -> Iterator[Served]:
    name = f"street {k}"
    ids = [str(9 * 10**15 + drawn(f"{name} {i}") % 2**48) for i in range(len(lat_deg))]
    lat_deg, lon_deg = np.round(lat_deg, 7), np.round(lon_deg, 7)
    for image in _along(_sequence_id(name), ids, lat_deg, lon_deg, is_pano=k % 3 == 0):
        if k == 0:
            image = replace(image, alt_m=2.0**32 - 3.5, computed_alt_m=-3.5)
        if drawn(f"bare {image.id}") % _BARE_OF == 0:
            image = replace(
                image, computed_lat_deg=_NAN, computed_lon_deg=_NAN, computed_heading_deg=_NAN,
                computed_alt_m=_NAN,
            )  # fmt: skip
        yield image


def _along(
    sequence: str, ids: list[str], lat_deg: Floats, lon_deg: Floats, *, is_pano: bool
) -> Iterator[Served]:
    """Images 2 s apart whose computed positions are these; original ones are 1 to 5 m beside them."""
    begun_ms = _FIRST_MS + drawn(f"begun {sequence}") % _YEARS_MS
    columns = (lat_deg.tolist(), lon_deg.tolist(), _toward(lat_deg, lon_deg).tolist())
    for i, (image_id, lat, lon, toward) in enumerate(zip(ids, *columns)):
        chance = drawn(image_id)
        pano = is_pano and chance % _FLAT_OF != 0
        width_px, height_px = _PANO_PX if pano else _FLAT_PX
        beside_lat_deg, beside_lon_deg = _beside(image_id, lat, lon)
        height_m = 20.0 + i % 50 / 10
        yield Served(
            image_id, sequence, begun_ms + _STEP_MS * i,
            lat_deg=beside_lat_deg, lon_deg=beside_lon_deg,
            computed_lat_deg=lat, computed_lon_deg=lon,
            heading_deg=round((toward + chance % 21 - 10) % 360, 2), computed_heading_deg=round(toward % 360, 4),
            alt_m=round(height_m + chance % 30 / 10, 1), computed_alt_m=height_m,
            is_pano=pano, width_px=width_px, height_px=height_px,
            make="Sandbox", model="Sphere" if pano else "Plane",
        )  # fmt: skip


def _toward(lat_deg: Floats, lon_deg: Floats) -> Floats:
    """(n,) directions to the next position; of the last, as of the one before."""
    if len(lat_deg) < 2:
        return np.zeros(len(lat_deg))
    ahead = bearing_deg(lat_deg[:-1], lon_deg[:-1], lat_deg[1:], lon_deg[1:])
    return np.append(ahead, ahead[-1])


def _sequence_id(of: str) -> str:
    digest = hashlib.sha256(of.encode("utf-8", "surrogateescape")).digest()
    return base64.urlsafe_b64encode(digest[:17]).decode()[:22]


def of_folder(folder: str, fs: FileSystem | None = None) -> Collection:
    """The images of a folder and of those below it: geotagged photos, and images that id lists name.

    A photo's sequence is its folder. Of images of lists, positions are the computed ones, and one of 97 is no
    panorama. Files and folders whose names begin with a dot are passed over, and so are photos that cannot be
    read or have no position.

    Raises
    ------
    InputError
        The folder cannot be read, a list is none, or there is nothing of either.
    """
    fs = fs or RealFileSystem()
    lists: list[str] = []
    photos: list[str] = []
    for path in _files(fs, folder):
        if path.lower().endswith(_LISTS):
            lists.append(path)
        elif path.lower().endswith(_PHOTOS):
            photos.append(path)
    found = Collection([*_of_lists(fs, lists), *_of_photos(fs, folder, photos)])
    if not len(found):
        raise InputError(
            folder, "holds neither geotagged photos nor id lists", "name a folder that does, or leave it out"
        )
    return found


def _files(fs: FileSystem, folder: str) -> Iterator[str]:
    for entry in fs.entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.kind == "file":
            yield entry.path
        elif entry.kind == "folder":
            yield from _files(fs, entry.path)


def _of_lists(fs: FileSystem, paths: list[str]) -> Iterator[Served]:
    """The images of all lists; a sequence's order is that in which they are named first."""
    if not paths:
        return
    listed = joined([parse(_bytes(fs, path), path) for path in paths])
    rows_of: dict[str, list[int]] = {}
    for row, sequence in enumerate(listed.sequence.tolist()):
        rows_of.setdefault(sequence or _sequence_id(""), []).append(row)
    for sequence, rows in rows_of.items():
        ids = listed.image[rows].tolist()
        yield from _along(sequence, ids, listed.lat_deg[rows], listed.lon_deg[rows], is_pano=True)


def _bytes(fs: FileSystem, path: str) -> bytes:
    with fs.source(path) as source:
        return source.read_at(0, source.size)


def _of_photos(fs: FileSystem, folder: str, paths: list[str]) -> Iterator[Served]:
    """The geotagged photos, folder by folder in the order of their times."""
    rows = []
    for path in paths:
        with fs.source(path) as source:
            try:
                rows.append((path, source.size, 0, *header(source), None, None, None))
            except UnreadableFile:
                continue
    photos = Photos.of_rows(rows)
    time_s = np.where(
        np.isnan(photos.gps_time_s), photos.local_s - np.nan_to_num(photos.offset_s), photos.gps_time_s
    )
    names = [path for path, *_ in rows]
    order = sorted(
        np.flatnonzero(~np.isnan(photos.lat_deg)).tolist(),
        key=lambda i: (names[i].rpartition("/")[0], np.nan_to_num(time_s[i]), natural(names[i])),
    )
    for i in order:
        yield _photo(photos, i, float(time_s[i]), folder)


def _photo(photos: Photos, i: int, time_s: float, folder: str) -> Served:
    name = photos.path[i].removeprefix(folder).lstrip("/")
    width_px, height_px = int(photos.width_px[i]), int(photos.height_px[i])
    if photos.orientation[i] > 4:
        width_px, height_px = height_px, width_px
    lat_deg, lon_deg = float(photos.lat_deg[i]), float(photos.lon_deg[i])
    heading_deg, alt_m = float(photos.heading_deg[i]), float(photos.alt_m[i])
    beside_lat_deg, beside_lon_deg = _beside(name, lat_deg, lon_deg)
    return Served(
        number(f"photo {name}"),
        _sequence_id(name.rpartition("/")[0]),
        None if math.isnan(time_s) else round(time_s * 1000),
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        computed_lat_deg=beside_lat_deg,
        computed_lon_deg=beside_lon_deg,
        heading_deg=heading_deg,
        computed_heading_deg=heading_deg,
        alt_m=alt_m,
        computed_alt_m=alt_m,
        is_pano=width_px == 2 * height_px,
        width_px=width_px,
        height_px=height_px,
        make=photos.make[i],
        model=photos.model[i],
        path=photos.path[i],
    )


def _beside(of: str, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """A position 1 to 5 m beside one."""
    chance = drawn(of)
    way_m, angle = 1.0 + chance % 4001 / 1000, chance % 6283 / 1000
    north_deg = way_m * math.cos(angle) / _M_PER_DEG
    east_deg = way_m * math.sin(angle) / _M_PER_DEG / max(math.cos(math.radians(lat_deg)), 0.01)
    return round(lat_deg + north_deg, 7), round(lon_deg + east_deg, 7)
