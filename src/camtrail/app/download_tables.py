"""What a folder of downloads holds, as tables: images, pairs, sequences; and whether the files are what was written."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import numpy as np

from camtrail.app.context import Context
from camtrail.app.download_files import place_of
from camtrail.app.download_folder import Downloaded, image_of, locked, state_path
from camtrail.app.export import check_target
from camtrail.app.process import Result
from camtrail.app.state import absolute
from camtrail.catalog.downloads import Download, Downloads
from camtrail.core.errors import Failure, InputError, MissingDependency
from camtrail.core.fs import FileSystem
from camtrail.core.names import plain
from camtrail.exports import geoparquet
from camtrail.exports.csv import inert
from camtrail.metadata import safeio
from camtrail.services.mapillary.images import Image
from camtrail.steps import pairs

__all__ = ["Verified", "check_tables", "verify", "write_tables"]

_COLUMNS = (
    ("image_id", "text"), ("sequence_id", "text"), ("path", "text"), ("state", "text"), ("lat_deg", "number"),
    ("lon_deg", "number"), ("position_source", "text"), ("list_lat_deg", "number"), ("list_lon_deg", "number"),
    ("computed_lat_deg", "number"), ("computed_lon_deg", "number"), ("original_lat_deg", "number"),
    ("original_lon_deg", "number"), ("alt_m", "number"), ("heading_deg", "number"), ("heading_source", "text"),
    ("time", "instant"), ("camera_type", "text"), ("is_pano", "flag"), ("make", "text"), ("model", "text"),
    ("creator", "text"), ("original_width_px", "integer"), ("original_height_px", "integer"), ("image_size", "text"),
    ("scaled_from", "text"), ("bytes", "integer"), ("sha256", "text"), ("served_bytes", "integer"),
    ("served_sha256", "text"), ("message", "text"),
)  # fmt: skip
_PAIRS = (
    "sequence_database", "sequence_query", "image_database", "image_query", "path_database", "path_query",
    "lat_database", "lon_database", "lat_query", "lon_query", "distance_m", "time_s", "heading_difference_deg",
)  # fmt: skip
_SEQUENCES = ("sequence_id", "lines", "images", "covered_km", "fetched", "panoramas")
_MARKS = {
    "manifest.csv": b"image_id,sequence_id,path,",
    "pairs.csv": b"sequence_database,sequence_query,",
    "sequences.csv": b"sequence_id,lines,images,",
}
_PIECE_BYTES = 1 << 20
_MOST_NAMED = 5


def check_tables(folder: str, force: bool, context: Context) -> None:
    """Raises SafetyRefusal where a table would replace a file that camtrail did not write."""
    for name, mark in _MARKS.items():
        check_target(f"{absolute(folder)}/{name}", mark, force, context)
    check_target(f"{absolute(folder)}/manifest.parquet", geoparquet.MARK, force, context, is_mark_last=True)


def write_tables(done: Downloaded, downloads: Downloads, origin: str, context: Context) -> None:
    """The manifest of all images of this service and size, and of lists their pairs and sequences."""
    rows = list(downloads.rows(origin, done.size))
    said = {row.image: image for row in rows if (image := image_of(row.said)) is not None}
    scaled_from = None if done.served == done.size else done.served
    values = [_row(row, said.get(row.image), done.size, scaled_from) for row in rows]
    _put(done, "manifest.csv", _csv([name for name, _ in _COLUMNS], map(_cells, values)), context)
    try:
        table = [(v[4], v[5], v[13], *v) for v in values]
        path = f"{done.folder}/manifest.parquet"
        safeio.put(context.fs, path, geoparquet.write_table(_COLUMNS, table))
        done.result.outputs.append(path)
    except MissingDependency as e:
        done.result.notes.append(f"there is no manifest.parquet: {e}")
    if untold := sum(row.state == "fetched" and row.message != "" for row in rows):
        done.result.notes.append(
            f"{untold:,} pictures are as they were served, because nothing can be written into them; "
            "message in manifest.csv says why"
        )
    if done.lists is not None:
        by_image = {row.image: row for row in rows}
        if len(done.lists.database):
            _put(done, "pairs.csv", _csv(_PAIRS, _pairs(done, by_image, said)), context)
        _put(done, "sequences.csv", _csv(_SEQUENCES, _sequences(done, rows, said)), context)
        _flat(done, by_image, said)


def _put(done: Downloaded, name: str, text: str, context: Context) -> None:
    path = f"{done.folder}/{name}"
    safeio.put(context.fs, path, [text.encode()])
    done.result.outputs.append(path)


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(head)
    table.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        inert(plain(value))
        if isinstance(value, str)
        else repr(value)
        if isinstance(value, float)
        else str(value)
    )


def _cells(row: Sequence[Any]) -> list[Any]:
    """The values as a table for people has them: times as text."""
    return [
        _iso(value) if kind == "instant" and value is not None else value
        for value, (_, kind) in zip(row, _COLUMNS)
    ]


def _iso(time_s: float) -> str | None:
    if not math.isfinite(time_s):
        return None
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _row(row: Download, image: Image | None, size: str, scaled_from: str | None) -> list[Any]:
    """One line of the manifest, in the order of `_COLUMNS`."""
    image = image or _unknown(row)
    place = place_of(image, row.lat_deg, row.lon_deg)
    is_computed = not math.isnan(image.computed_heading_deg)
    heading_deg = image.computed_heading_deg if is_computed else image.heading_deg
    alt_m = image.alt_m if math.isnan(image.computed_alt_m) else image.computed_alt_m
    return [
        row.image, row.sequence or image.sequence, row.path, row.state, place.lat_deg, place.lon_deg, place.source,
        row.lat_deg, row.lon_deg, image.computed_lat_deg, image.computed_lon_deg, image.lat_deg, image.lon_deg,
        alt_m, heading_deg, None if math.isnan(heading_deg) else "computed" if is_computed else "original",
        image.captured_s, image.camera_type, image.is_pano, image.make, image.model, image.creator,
        image.width_px, image.height_px, size, scaled_from, row.size_bytes,
        row.sha256.hex() if row.sha256 else None, row.served_bytes,
        row.served_sha256.hex() if row.served_sha256 else None, row.message or None,
    ]  # fmt: skip


def _unknown(row: Download) -> Image:
    """An image of which the service said nothing."""
    return Image(row.image, row.sequence, *[math.nan] * 9, *[None] * 8)  # type: ignore[arg-type]


def _pairs(done: Downloaded, rows: dict[str, Download], said: dict[str, Image]) -> Iterable[Sequence[Any]]:
    lists = done.lists
    assert lists is not None
    time_s, heading_deg = (np.full(len(lists), np.nan) for _ in range(2))
    lat_deg, lon_deg = lists.lat_deg.copy(), lists.lon_deg.copy()
    for i, id in enumerate(lists.image.tolist()):
        if (image := said.get(id)) is None:
            continue
        time_s[i] = image.captured_s
        heading_deg[i] = (
            image.heading_deg if math.isnan(image.computed_heading_deg) else image.computed_heading_deg
        )
        if math.isnan(lat_deg[i]):
            place = place_of(image, math.nan, math.nan)
            lat_deg[i], lon_deg[i] = place.lat_deg, place.lon_deg
    found = pairs.measured(lists.database, lists.query, lat_deg, lon_deg, time_s, heading_deg)
    ids, sequences = lists.image.tolist(), lists.sequence.tolist()
    paths = [row.path if (row := rows.get(id)) is not None else None for id in ids]
    for a, b, distance_m, s, turn_deg in zip(
        found.database.tolist(), found.query.tolist(), found.distance_m.tolist(), found.time_s.tolist(),
        found.turn_deg.tolist(),
    ):  # fmt: skip
        yield (
            sequences[a], sequences[b], ids[a], ids[b], paths[a], paths[b], float(lat_deg[a]), float(lon_deg[a]),
            float(lat_deg[b]), float(lon_deg[b]), round(distance_m, 3), round(s, 3), round(turn_deg, 3),
        )  # fmt: skip


def _sequences(done: Downloaded, rows: Sequence[Download], said: dict[str, Image]) -> Iterable[Sequence[Any]]:
    """Each sequence of the lists, in their order: its lines, images and way."""
    lists = done.lists
    assert lists is not None
    by_image = {row.image: row for row in rows}
    whole = set(lists.whole.tolist())
    ids = lists.image[lists.row].tolist()
    listed = set(ids)
    ids += [row.image for row in rows if row.sequence in whole and row.image not in listed]
    known = [by_image[id] for id in ids if id in by_image]
    names = list(dict.fromkeys(row.sequence or "" for row in known))
    labels = {name: i for i, name in enumerate(names)}
    numbers = {id: i for i, id in enumerate(dict.fromkeys(ids))}
    places = [_place(row, said) for row in known]
    covered = pairs.coverage(
        np.array([labels[row.sequence or ""] for row in known], np.int64),
        np.array([numbers[row.image] for row in known], np.int64),
        np.array([lat for lat, _ in places], np.float64),
        np.array([lon for _, lon in places], np.float64),
    )
    fetched: dict[str, set[str]] = defaultdict(set)
    panoramas: dict[str, set[str]] = defaultdict(set)
    for row in known:
        if row.state == "fetched":
            fetched[row.sequence or ""].add(row.image)
        if (image := said.get(row.image)) is not None and image.is_pano:
            panoramas[row.sequence or ""].add(row.image)
    for i, name in enumerate(names):
        yield (
            name, int(covered.rows[i]), int(covered.images[i]), round(float(covered.covered_km[i]), 3),
            len(fetched[name]), len(panoramas[name]),
        )  # fmt: skip


def _place(row: Download, said: dict[str, Image]) -> tuple[float, float]:
    if (image := said.get(row.image)) is None:
        return row.lat_deg, row.lon_deg
    place = place_of(image, row.lat_deg, row.lon_deg)
    return place.lat_deg, place.lon_deg


def _flat(done: Downloaded, rows: dict[str, Download], said: dict[str, Image]) -> None:
    """Names the images that are no panoramas in sequences of which most are."""
    assert done.lists is not None
    by_sequence: dict[str, list[Image]] = defaultdict(list)
    for id in done.lists.image.tolist():
        if (image := said.get(id)) is not None and image.is_pano is not None:
            by_sequence[rows[id].sequence or ""].append(image)
    flat = [
        image.id
        for images in by_sequence.values()
        if 2 * sum(bool(i.is_pano) for i in images) > len(images)
        for image in images
        if not image.is_pano
    ]
    if flat:
        few = ", ".join(flat[:_MOST_NAMED]) + (", …" if len(flat) > _MOST_NAMED else "")
        done.result.notes.append(
            f"{len(flat)} images are no panoramas, in sequences of which most are ({few}); "
            "is_pano in manifest.csv tells all"
        )


@dataclass(slots=True)
class Verified:
    """What a look at every file came to."""

    result: Result
    counts: Counter[str] = field(default_factory=Counter)  # whole, missing, damaged, not_fetched


def verify(folder: str, context: Context, wait: bool = False) -> Verified:
    """Reads every downloaded file again. What is missing or damaged is fetched again by the next download.

    Raises
    ------
    InputError
        There are no downloads in the folder.
    """
    done = Verified(Result("mapillary verify", paths=[folder]))
    state = state_path(folder)
    try:
        context.fs.entry(state)
    except InputError as e:
        raise InputError(folder, "has no downloads in it", "name the folder that was given with -o") from e
    with locked(folder, wait, context), Downloads(state) as downloads:
        kinds = list(downloads.counts())
        fetched = {row.image for kind in kinds for row in downloads.rows(*kind, ("fetched",))}
        for origin, size in kinds:
            _verify(folder, origin, size, downloads, fetched, done, context)
    done.counts = +done.counts
    return done


def _verify(
    folder: str,
    origin: str,
    size: str,
    downloads: Downloads,
    fetched: set[str],
    done: Verified,
    context: Context,
) -> None:
    """`fetched`: the images of which there is a file, in whatever size: a place has room for one."""
    lost: list[Download] = []
    rows = list(downloads.rows(origin, size))
    for number, row in enumerate(rows, 1):
        if row.path is None or row.state != "fetched":
            if row.image in fetched:
                continue
            done.counts["not_fetched"] += 1
            done.result.failures.append(_absent(row))
            continue
        why = _trouble(context.fs, f"{absolute(folder)}/{row.path}", row)
        if not why:
            done.counts["whole"] += 1
        else:
            done.counts["missing" if why == _GONE else "damaged"] += 1
            lost.append(_wanted_again(row, why))
            name = f"{folder.rstrip('/')}/{row.path}"
            done.result.failures.append(Failure(name, "damaged", why, "run the download again", True))
        context.progress("verifying", number, len(rows))
    downloads.put(origin, size, lost)


def _absent(row: Download) -> Failure[str]:
    """Why there is no file of an image."""
    if row.state == "missing":
        return Failure(f"image {row.image}", "unknown", row.message, "it may have been deleted")
    why = row.message or "it was not fetched yet"
    return Failure(f"image {row.image}", "absent", why, "run the download again", True)


def _wanted_again(row: Download, why: str) -> Download:
    """The row of an image whose file is not what was written."""
    return Download(
        image=row.image, sequence=row.sequence, lat_deg=row.lat_deg, lon_deg=row.lon_deg, said=row.said,
        message=f"its file {why}",
    )  # fmt: skip


_GONE = "is not there"


def _trouble(fs: FileSystem, path: str, row: Download) -> str:
    """Why a file is not what was written; empty where it is."""
    digest, at = sha256(), 0
    try:
        with fs.source(path) as source:
            while piece := source.read_at(at, _PIECE_BYTES):
                digest.update(piece)
                at += len(piece)
    except InputError as e:
        return e.reason
    if at != row.size_bytes:
        return f"has {at:,} bytes and not {row.size_bytes:,}"
    return "" if digest.digest() == row.sha256 else "has other bytes than were written"
