"""A fetched picture as a file of the user's: place, time and heading in it, at the size that was asked for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from camtrail.core.bytes import ByteSource, MemoryBytes, SplicedBytes
from camtrail.core.errors import SafetyRefusal, StorageError
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.metadata import jpeg, write
from camtrail.metadata.safeio import Part
from camtrail.metadata.xmp_edit import Edit, NewText
from camtrail.metadata.xmp_jpeg import composed, new_xmp_head
from camtrail.metadata.xmp_packet import NAMESPACES
from camtrail.services.mapillary.images import Image
from camtrail.transfer.fetch import TAG, Fetched

__all__ = [
    "Place",
    "Staged",
    "digest_of",
    "make_durable",
    "part_path",
    "parts_in",
    "place_of",
    "stage",
    "staged_in",
    "useless_in",
]

_PIECE_BYTES = 1 << 20
_NEW = ".new"
_PICTURE = ".jpg"
_STAGED = re.compile(r"([0-9]+)_([0-9a-z]+)\.([0-9]+)\.([0-9a-f]{64})\.ready", re.ASCII)
_QUALITY = 90
_SYNCING = 16  # files that are made durable at a time: most of that is waiting
_GPANO = NAMESPACES["GPano"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image was taken, and who says so."""

    lat_deg: float  # NaN where nobody does
    lon_deg: float
    source: str | None  # list, computed or original


@dataclass(frozen=True, slots=True)
class Staged:
    """A picture that is ready for its last name, and what it was made of. The name of its file says the latter."""

    path: str
    image: str
    size: str  # that was asked for
    served_bytes: int
    served_sha256: str  # hexadecimal
    note: str = ""  # why something could not be written into it


def part_path(folder: str, image: str, served: str) -> str:
    """Where a picture lies while it comes, in the size that the service is asked for."""
    return f"{folder}/{image}_{served}{_PICTURE}"


def parts_in(fs: FileSystem, folder: str, served: str) -> list[str]:
    """The images of which a folder has a part, or a whole picture that is not ready yet."""
    end = f"_{served}{_PICTURE}"
    return [e.name.removesuffix(end) for e in fs.entries(folder) if e.name.endswith(end)]


def staged_in(fs: FileSystem, folder: str) -> list[Staged]:
    """What a run that was stopped had ready in a folder."""
    found = []
    for entry in fs.entries(folder):
        if m := _STAGED.fullmatch(entry.name):
            found.append(Staged(entry.path, m[1], m[2], int(m[3]), m[4]))
    return found


def useless_in(fs: FileSystem, folder: str) -> list[str]:
    """What a run that was stopped left in a folder, and nobody can go on with."""
    names = {entry.name: entry.path for entry in fs.entries(folder)}
    return [
        path
        for name, path in names.items()
        if name.endswith(_NEW)
        or (name.endswith(_PICTURE) and name + TAG not in names)
        or (name.endswith(TAG) and name.removesuffix(TAG) not in names)
    ]


def place_of(image: Image, lat_deg: float, lon_deg: float) -> Place:
    """The list's place, else the one that the service computed, else the uploader's."""
    for lat, lon, source in (
        (lat_deg, lon_deg, "list"),
        (image.computed_lat_deg, image.computed_lon_deg, "computed"),
        (image.lat_deg, image.lon_deg, "original"),
    ):
        if math.isfinite(lat) and math.isfinite(lon):
            return Place(lat, lon, source)
    return Place(math.nan, math.nan, None)


def stage(
    fs: FileSystem,
    part: str,
    folder: str,
    size: str,
    fetched: Fetched,
    image: Image,
    place: Place,
    width_px: int | None,
    raw: bool,
) -> Staged:
    """Makes a file of a fetched picture, complete, in a folder on the disk where it is to be; the part stays.

    Parameters
    ----------
    part : the picture; or what was made of it before, into which other values are written
    width_px : of the picture that is wanted where the service has none of that width; it is made smaller
    raw : nothing is written into it

    Raises
    ------
    UnreadableFile
        The picture cannot be decoded, where it is to be made smaller.
    StorageError
        The disk does not take it.
    """
    path = f"{folder}/{image.id}_{size}.{fetched.size}.{fetched.sha256}.ready"
    with fs.source(part) as source:
        whole: ByteSource = source if width_px is None else _smaller(source, width_px)
        note = ""
        if not raw:
            try:
                whole = _told(whole, image, place)
            except SafetyRefusal as e:
                note = e.message
        made = Part(fs, path + _NEW)
        try:
            made.begin()
            for piece in _pieces(whole):
                made.write(piece)
            made.place(path)
        except BaseException:
            made.remove()
            raise
    return Staged(path, image.id, size, fetched.size, fetched.sha256, note)


def digest_of(fs: FileSystem, path: str) -> tuple[bytes, int]:
    """SHA-256 of a file, and how many bytes it has. Raises UnreadableFile."""
    digest, size_bytes = sha256(), 0
    with fs.source(path) as source:
        for piece in _pieces(source):
            digest.update(piece)
            size_bytes += len(piece)
    return digest.digest(), size_bytes


def make_durable(fs: FileSystem, paths: Sequence[str]) -> None:
    """Returns when the bytes of files are on the disk, which takes them side by side. Raises StorageError."""
    with ThreadPoolExecutor(_SYNCING) as threads:
        done = [(path, threads.submit(fs.sync_file, path)) for path in paths]
    for path, future in done:
        try:
            future.result()
        except OSError as e:
            raise StorageError(
                f"{shown(path)}: the disk did not confirm it ({e.strerror or type(e).__name__})",
                "check the disk, run again",
            ) from e


def _pieces(source: ByteSource) -> Iterator[bytes]:
    at = 0
    while piece := source.read_at(at, _PIECE_BYTES):
        yield piece
        at += len(piece)


def _smaller(source: ByteSource, width_px: int) -> ByteSource:
    from camtrail.vision.decode import decode, resized
    from camtrail.vision.encode import jpeg_of

    picture = decode(source)
    if picture.width_px <= width_px:
        return source
    height_px = max(1, round(picture.height_px * width_px / picture.width_px))
    return MemoryBytes(jpeg_of(resized(picture.pixels, width_px, height_px), _QUALITY), source.name)


def _told(source: ByteSource, image: Image, place: Place) -> ByteSource:
    """The picture with what is known of it. Raises SafetyRefusal where that cannot be written."""
    heading_deg = image.heading_deg if math.isnan(image.computed_heading_deg) else image.computed_heading_deg
    alt_m = image.alt_m if math.isnan(image.computed_alt_m) else image.computed_alt_m
    said = {"MAPSequenceUUID": image.sequence, "mapillary_id": image.id}
    values = write.Values(
        lat_deg=place.lat_deg,
        lon_deg=place.lon_deg,
        alt_m=alt_m,
        time_s=image.captured_s,
        heading_deg=heading_deg,
        local_s=image.captured_s,
        offset_s=0.0,
        make=image.make,
        model=image.model,
        description=json.dumps({k: v for k, v in said.items() if v is not None}),
    )
    changed = write.new_head(source, write.tags_of(values))
    if image.is_pano:
        between = SplicedBytes(source, *changed) if changed[0] else source
        panorama = new_xmp_head(between, _panorama(source))
        changed = composed(changed, panorama) if changed[0] else panorama
    return SplicedBytes(source, *changed) if changed[0] else source


def _panorama(source: ByteSource) -> list[Edit]:
    """Google's photo sphere metadata of a picture that shows everything around."""
    head = jpeg.head(source, source.read_at(0, jpeg.WINDOW_BYTES))
    width, height = str(round(head.width_px)), str(round(head.height_px))
    told = {
        "ProjectionType": "equirectangular", "UsePanoramaViewer": "True",
        "FullPanoWidthPixels": width, "FullPanoHeightPixels": height,
        "CroppedAreaImageWidthPixels": width, "CroppedAreaImageHeightPixels": height,
        "CroppedAreaLeftPixels": "0", "CroppedAreaTopPixels": "0",
    }  # fmt: skip
    return [NewText((_GPANO, name), text) for name, text in told.items()]
