"""What a folder of downloads holds, as tables: images, pairs, sequences; and whether the files are what was written."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain, islice
from typing import Any

import numpy as np

from camtrail.app.context import Context
from camtrail.app.download_files import digest_of, place_of
from camtrail.app.download_folder import Downloaded, image_of, locked, served_for, state_path
from camtrail.app.download_obstacles import Obstacles
from camtrail.app.export import check_target
from camtrail.app.process import Result
from camtrail.app.state import absolute
from camtrail.catalog.downloads import Download, Downloads
from camtrail.core.errors import Failure, FolderBusy, InputError, MissingDependency, StorageError
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.exports import geoparquet
from camtrail.exports.csv import inert
from camtrail.metadata import safeio
from camtrail.services.mapillary.images import Image
from camtrail.steps import pairs
from camtrail.steps.id_lists import IdList

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
_HEAD = [name for name, _ in _COLUMNS]
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
_TABLES = (*_MARKS, "manifest.parquet")
_MOST_NAMED = 5
_LINES = 1000  # of a table, that are written at once


def check_tables(folder: str, lists: IdList | None, force: bool, context: Context) -> None:
    """Raises SafetyRefusal where a table would replace a file that camtrail did not write."""
    for name in _names(lists):
        check_target(f"{absolute(folder)}/{name}", _MARKS[name], force, context)
    check_target(f"{absolute(folder)}/manifest.parquet", geoparquet.MARK, force, context, is_mark_last=True)


def _names(lists: IdList | None) -> tuple[str, ...]:
    """The tables that there will be, beside the manifest as Parquet."""
    if lists is None:
        return ("manifest.csv",)
    return ("manifest.csv", *(["pairs.csv"] if len(lists.database) else []), "sequences.csv")


@dataclass(frozen=True, slots=True)
class _Known:
    """What the tables of lists say of an image."""

    sequence: str
    path: str | None
    lat_deg: float
    lon_deg: float
    captured_s: float
    heading_deg: float
    is_pano: bool | None


def write_tables(done: Downloaded, downloads: Downloads, origin: str, context: Context) -> None:
    """The manifest of all images of this service and size, and of lists their pairs and sequences.

    Notes
    -----
    Rows are read twice, and 5,000 are in memory at a time; of images of lists, a few numbers.
    """
    _clear(done.folder, context)
    _put(done, "manifest.csv", _HEAD, map(_cells, _values(downloads, origin, done.size)), context)
    try:
        table = ((v[4], v[5], v[13], *v) for v in _values(downloads, origin, done.size))
        path = f"{done.folder}/manifest.parquet"
        safeio.put(context.fs, path, geoparquet.write_table(_COLUMNS, table))
        done.result.outputs.append(path)
    except MissingDependency as e:
        done.result.notes.append(f"there is no manifest.parquet: {e}")
    if done.lists is not None:
        known = {row.image: _known(row) for row in downloads.rows(origin, done.size)}
        if len(done.lists.database):
            _put(done, "pairs.csv", _PAIRS, _pairs(done.lists, known), context)
        _put(done, "sequences.csv", _SEQUENCES, _sequences(done, done.lists, known), context)
        done.result.notes += _flat(done, done.lists, known)


def _values(downloads: Downloads, origin: str, size: str) -> Iterator[list[Any]]:
    """The lines of the manifest of a service and size."""
    served = served_for(size)
    for row in downloads.rows(origin, size):
        yield _row(row, _image(row), size, None if served == size else served)


def _clear(folder: str, context: Context) -> None:
    """Takes away what runs left that were killed while they wrote a table."""
    for entry in context.fs.entries(folder):
        if safeio.left_by_put(entry.name) in _TABLES:
            safeio.remove(context.fs, entry.path)


def _image(row: Download) -> Image:
    """What the service said of an image; nothing where it was not asked."""
    return image_of(row.said) or Image(row.image, row.sequence, *[math.nan] * 9, *[None] * 8)  # type: ignore[arg-type]


def _known(row: Download) -> _Known:
    image = _image(row)
    place = place_of(image, row.lat_deg, row.lon_deg)
    heading_deg, _ = _heading(image)
    return _Known(
        row.sequence or "",
        _path(row),
        place.lat_deg,
        place.lon_deg,
        image.captured_s,
        heading_deg,
        image.is_pano,
    )


def _path(row: Download) -> str | None:
    """Of an image's file; None where there is none that is whole."""
    return row.path if row.state == "fetched" else None


def _heading(image: Image) -> tuple[float, str | None]:
    """Where it looks, and who says so."""
    if not math.isnan(image.computed_heading_deg):
        return image.computed_heading_deg, "computed"
    return image.heading_deg, None if math.isnan(image.heading_deg) else "original"


def _put(
    done: Downloaded, name: str, head: Sequence[str], rows: Iterable[Sequence[Any]], context: Context
) -> None:
    path = f"{done.folder}/{name}"
    safeio.put(context.fs, path, _csv(head, rows))
    done.result.outputs.append(path)


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    lines = chain([head], ([_cell(value) for value in row] for row in rows))
    while some := list(islice(lines, _LINES)):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(some)
        yield out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return inert(shown(value)) if isinstance(value, str) else str(value)


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


def _row(row: Download, image: Image, size: str, scaled_from: str | None) -> list[Any]:
    """One line of the manifest, in the order of `_COLUMNS`."""
    place = place_of(image, row.lat_deg, row.lon_deg)
    heading_deg, heading_source = _heading(image)
    alt_m = image.alt_m if math.isnan(image.computed_alt_m) else image.computed_alt_m
    return [
        row.image, row.sequence or image.sequence, _path(row), row.state, place.lat_deg, place.lon_deg, place.source,
        row.lat_deg, row.lon_deg, image.computed_lat_deg, image.computed_lon_deg, image.lat_deg, image.lon_deg,
        alt_m, heading_deg, heading_source, image.captured_s, image.camera_type, image.is_pano, image.make,
        image.model, image.creator, image.width_px, image.height_px, size, scaled_from, row.size_bytes,
        row.sha256.hex() if row.sha256 else None, row.served_bytes,
        row.served_sha256.hex() if row.served_sha256 else None, row.message or None,
    ]  # fmt: skip


def _pairs(lists: IdList, known: Mapping[str, _Known]) -> Iterator[Sequence[Any]]:
    ids = lists.image.tolist()
    there = [known[id] for id in ids]
    lat_deg, lon_deg, time_s, heading_deg = np.array(
        [(k.lat_deg, k.lon_deg, k.captured_s, k.heading_deg) for k in there]
    ).T
    found = pairs.measured(lists.database, lists.query, lat_deg, lon_deg, time_s, heading_deg)
    for a, b, distance_m, s, turn_deg in zip(
        found.database.tolist(), found.query.tolist(), found.distance_m.tolist(), found.time_s.tolist(),
        found.turn_deg.tolist(),
    ):  # fmt: skip
        yield (
            there[a].sequence, there[b].sequence, ids[a], ids[b], there[a].path, there[b].path, there[a].lat_deg,
            there[a].lon_deg, there[b].lat_deg, there[b].lon_deg, round(distance_m, 3), round(s, 3),
            round(turn_deg, 3),
        )  # fmt: skip


def _sequences(done: Downloaded, lists: IdList, known: Mapping[str, _Known]) -> Iterator[Sequence[Any]]:
    """Each sequence of the lists, in their order: its lines, images and way.

    The lines of a whole sequence are its images, in the order that the service has.
    """
    listed = lists.image[lists.row].tolist()
    whole = [id for ids in done.whole.values() for id in ids]
    in_whole = set(whole)
    ids = [id for id in listed if id not in in_whole] + whole
    lines = [known[id] for id in ids]
    labels = {name: i for i, name in enumerate(dict.fromkeys(k.sequence for k in lines))}
    numbers = {id: i for i, id in enumerate(dict.fromkeys(ids))}
    covered = pairs.coverage(
        np.array([labels[k.sequence] for k in lines], np.int64),
        np.array([numbers[id] for id in ids], np.int64),
        np.array([k.lat_deg for k in lines], np.float64),
        np.array([k.lon_deg for k in lines], np.float64),
    )
    fetched = Counter(known[id].sequence for id in numbers if known[id].path is not None)
    panoramas = Counter(known[id].sequence for id in numbers if known[id].is_pano)
    for name, i in labels.items():
        yield (
            name, int(covered.rows[i]), int(covered.images[i]), round(float(covered.covered_km[i]), 3),
            fetched[name], panoramas[name],
        )  # fmt: skip


def _flat(done: Downloaded, lists: IdList, known: Mapping[str, _Known]) -> list[str]:
    """Names the images that are no panoramas in sequences of which most are."""
    ids = chain(lists.image.tolist(), *done.whole.values())
    said = {id: k for id in ids if (k := known[id]).is_pano is not None}
    images = Counter(k.sequence for k in said.values())
    panoramas = Counter(k.sequence for k in said.values() if k.is_pano)
    flat = [id for id, k in said.items() if not k.is_pano and 2 * panoramas[k.sequence] > images[k.sequence]]
    if not flat:
        return []
    few = ", ".join(flat[:_MOST_NAMED]) + (", …" if len(flat) > _MOST_NAMED else "")
    return [
        f"no panoramas, in sequences of which most are: {len(flat):,} images ({few}); "
        "is_pano in manifest.csv tells all"
    ]


@dataclass(slots=True)
class Verified:
    """What a look at every file came to."""

    result: Result
    counts: Counter[str] = field(default_factory=Counter)  # whole, missing, unread, damaged, not_fetched


def verify(folder: str, context: Context, wait: bool = False) -> Verified:
    """Reads every downloaded file again. What is missing or damaged is fetched again by the next download.

    Of a file that was read and is not what was written, that is remembered, if the folder can be written. Of one that
    cannot be read nothing is: its disk may be back tomorrow.

    Raises
    ------
    InputError
        There are no downloads in the folder.
    FolderBusy
        Another run downloads into it.
    """
    done = Verified(Result("mapillary verify", paths=[folder]))
    state = state_path(folder)
    if not _is_there(state, context):
        above = os.path.dirname(absolute(folder))
        meant = shown(above) if _is_there(state_path(above), context) else "the folder that was given with -o"
        raise InputError(folder, "has no downloads in it", f"name {meant}")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, wait, context))
            is_ours = True
        except FolderBusy:
            raise
        except StorageError:  # nobody writes there, nor can we
            is_ours = False
        downloads = stack.enter_context(Downloads(state))
        kinds = list(downloads.counts())
        fetched = {row.image for kind in kinds for row in downloads.rows(*kind, ("fetched",))}
        if why := _manifest_trouble(f"{absolute(folder)}/manifest.csv", downloads, context):
            name = f"{folder.rstrip('/')}/manifest.csv"
            done.result.failures.append(Failure(name, "manifest", why, _AGAIN, True))
        for origin, size in kinds:
            damaged = _verify(folder, origin, size, downloads, fetched, done, context)
            if is_ours:
                downloads.put(origin, size, damaged)
            elif damaged:
                done.result.notes.append(
                    "the folder cannot be written: the next download does not know of this"
                )
    done.counts = +done.counts
    return done


def _is_there(path: str, context: Context) -> bool:
    try:
        context.fs.entry(path)
    except InputError:
        return False
    return True


def _manifest_trouble(path: str, downloads: Downloads, context: Context) -> str:
    """Why a manifest is not that of any size that is here; empty where it is, or a run has yet to write it."""
    counts = downloads.counts()
    if any("wanted" in states for states in counts.values()):
        return ""
    try:
        digest, _ = digest_of(context.fs, path)
    except InputError as e:
        return e.reason
    for kind in counts:
        written = sha256()
        for piece in _csv(_HEAD, map(_cells, _values(downloads, *kind))):
            written.update(piece)
        if written.digest() == digest:
            return ""
    return "is not what was written of these downloads"


def _verify(
    folder: str,
    origin: str,
    size: str,
    downloads: Downloads,
    fetched: set[str],
    done: Verified,
    context: Context,
) -> list[Download]:
    """Looks at the files of a size; the new rows of those that were read and are not what was written.

    `fetched`: the images of which there is a file, in whatever size: a place has room for one.
    """
    damaged: list[Download] = []
    obstacles = Obstacles(context.fs, absolute(folder))
    rows = list(downloads.rows(origin, size))
    for number, row in enumerate(rows, 1):
        if row.path is None or row.state != "fetched":
            if row.image in fetched:
                continue
            done.counts["not_fetched"] += 1
            done.result.failures.append(_absent(row))
            continue
        name = f"{folder.rstrip('/')}/{row.path}"
        try:
            obstacle = obstacles.before(row.path)
            why = "" if obstacle else _trouble(context.fs, f"{absolute(folder)}/{row.path}", row)
        except InputError as e:
            is_missing = e.reason == _GONE
            done.counts["missing" if is_missing else "unread"] += 1
            hint = _AGAIN if is_missing else "make it readable"
            done.result.failures.append(Failure(name, "damaged", e.reason, hint, is_missing))
        else:
            done.counts["unread" if obstacle else "damaged" if why else "whole"] += 1
            if obstacle:
                done.result.failures.append(obstacle.at(name))
            elif why:
                damaged.append(_wanted_again(row, why))
                done.result.failures.append(Failure(name, "damaged", why, _AGAIN, True))
        context.progress("verifying", number, len(rows))
    return damaged


def _absent(row: Download) -> Failure[str]:
    """Why there is no file of an image."""
    if row.state == "missing":
        return Failure(f"image {row.image}", "unknown", row.message, "it may have been deleted")
    why = row.message or "it was not fetched yet"
    return Failure(f"image {row.image}", "absent", why, _AGAIN, True)


def _wanted_again(row: Download, why: str) -> Download:
    """The row of an image whose file is not what was written."""
    return Download(
        image=row.image, sequence=row.sequence, lat_deg=row.lat_deg, lon_deg=row.lon_deg, said=row.said,
        message=f"its file {why}",
    )  # fmt: skip


_GONE = "is not there"
_AGAIN = "run the download again"


def _trouble(fs: FileSystem, path: str, row: Download) -> str:
    """Why a file is not what was written; empty where it is. Raises UnreadableFile."""
    digest, at = digest_of(fs, path)
    if at != row.size_bytes:
        return f"has {at:,} bytes and not {row.size_bytes:,}"
    return "" if digest == row.sha256 else "has other bytes than were written"
