"""The calls of the older notebooks, with their names and arguments, on the workflows of camtrail.

`from camtrail import create_exif_map, map_images, ImageProcessor, ImageEmbedder, EmbeddingRetriever` loads them.
Originals are never changed: what is written are tables, and copies that `camtrail undo` takes back. What went wrong
with single files, or is to be said of them, is logged as a warning, and the others go on.
"""

from __future__ import annotations

import ast
import functools
import importlib
import io
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from camtrail.app.context import Context
from camtrail.app.dates import dates
from camtrail.app.dates_options import DatesOptions
from camtrail.app.places import apply, build
from camtrail.app.places_options import ApplyOptions, BuildOptions
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.scan import READABLE, ScanOptions, suffix_of
from camtrail.app.state import absolute, workspaces
from camtrail.app.write import Plan, Written, apply_plans, copy_mark, journal_in, locked, settle
from camtrail.app.write_options import ChangeOptions
from camtrail.core.bytes import ByteSource, SplicedBytes
from camtrail.core.errors import (
    InputError,
    MissingDependency,
    SafetyRefusal,
    StorageError,
    UsageError,
)
from camtrail.core.fs import FileSystem
from camtrail.core.names import plain, shown
from camtrail.metadata import read, safeio
from camtrail.metadata.safeio import Splice
from camtrail.metadata.write import Values, differs, new_head, tags_of
from camtrail.steps.name_dates import date_in
from camtrail.steps.places import PlaceOptions
from camtrail.vision.descriptors import describe
from camtrail.vision.neighbours import Vectors, nearest

if TYPE_CHECKING:
    import pandas

__all__ = ["EmbeddingRetriever", "ImageEmbedder", "ImageProcessor", "create_exif_map", "map_images"]

log = logging.getLogger(__name__)

AnyPath: TypeAlias = str | os.PathLike[str]
_P = ParamSpec("_P")
_T = TypeVar("_T")

_FLAT = ScanOptions(skip_subfolders=True)
_EPOCH = datetime(1970, 1, 1)
_CHUNK_BYTES = 1 << 20
_METHODS = ("cosine", "nearest_neighbors")
_FINE = 1e-6  # what equal vectors may differ from a cosine of 1
_MARK = b"camtrail"
"""Key in the metadata of a Parquet file by which ours are told from others."""


def _needed(module: str, what: str) -> Any:
    """A library of the tables. Raises MissingDependency."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise MissingDependency(
            f"{what} needs {module.split('.')[0]}", "pip install 'camtrail[tables]'"
        ) from e


def _with_old_name(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """The same call, which takes `directory_path=` for `path=`, too."""

    @functools.wraps(call)
    def renamed(*args: _P.args, **named: _P.kwargs) -> _T:
        if "directory_path" in named:
            if args or "path" in named:
                raise UsageError("path and directory_path are two names of one argument", "give one of them")
            named["path"] = named.pop("directory_path")
        return call(*args, **named)

    return renamed


@_with_old_name
def create_exif_map(
    path: AnyPath,
    min_gps_threshold_similar: float = 3,
    min_seconds_threshold_similar: float = 1800,
    output_exif_map: AnyPath = "location_mapping.csv",
    name_filters_l: Sequence[str] = (".jpg", ".jpeg"),
    copy_grouped_pics_path: AnyPath | None = None,
) -> pandas.DataFrame:
    """The places of the photos in a folder, and when they were taken there; also written as a CSV file.

    Parameters
    ----------
    path : folder of photos, `directory_path=` is the same; folders in it are left alone
    min_gps_threshold_similar : a new place begins farther than this from the first photo of a place, kilometres
    min_seconds_threshold_similar : and after a longer pause, seconds
    output_exif_map : CSV file to write; one that camtrail wrote before is replaced
    name_filters_l : what the names of photos end in; case does not matter
    copy_grouped_pics_path : folder for copies named by their place, `1_NAME.jpg`; None: no copies

    Returns
    -------
    One row for each place, in the order of time, with the columns of the file: start, end (`YYYY:MM:DD HH:MM:SS` by
    the clocks of the photos), lat, long (degrees, south and west negative), n_pics, lat_dms, long_dms (tuples without
    a sign), then start_utc, end_utc, radius_m, cameras and ids (a list of names). No row where no photo has time and
    position.

    Raises
    ------
    InputError
        The folder cannot be read, or has photos of which none matches the filters.
    SafetyRefusal
        The table is there already and camtrail did not write it.
    UsageError
        A limit is negative, or the copies would lie among the photos.
    MissingDependency
        pandas is not installed.

    Notes
    -----
    Otherwise than in the older notebooks, a place that is visited again is another row, days count as such, and west
    and south are negative. Always a table comes back, also for a single photo. See `app.places.build`.
    """
    pandas = _needed("pandas", "create_exif_map")
    context = Context()
    limits = PlaceOptions(
        group_distance_km=_limit("min_gps_threshold_similar", min_gps_threshold_similar),
        within_s=_limit("min_seconds_threshold_similar", min_seconds_threshold_similar),
    )
    to = BuildOptions(
        output=os.fspath(output_exif_map),
        copy_groups="" if copy_grouped_pics_path is None else os.fspath(copy_grouped_pics_path),
    )
    try:
        built = build(_photos(path, name_filters_l, context), _FLAT, limits, to, context)
    except SafetyRefusal as e:
        raise SafetyRefusal(e.message, "name another output_exif_map, or move that file away") from e
    _tell(built.result)
    return pandas.read_csv(
        io.BytesIO(built.data),
        keep_default_na=False,
        na_values={"radius_m": [""]},
        converters={"lat_dms": ast.literal_eval, "long_dms": ast.literal_eval, "ids": json.loads},
    )


def map_images(
    path: AnyPath,
    output_image_path: AnyPath,
    name_filters_l: Sequence[str] = (".jpg", ".jpeg"),
    location_mapping_csv: AnyPath = "location_mapping.csv",
) -> None:
    """Writes copies of the photos in a folder, with the places of a table where those have none.

    A photo without position gets the place whose time span holds its capture time, or else stays without; where it
    has no capture time the date of its file counts, which is written into the copy.

    Parameters
    ----------
    path : folder of photos; folders in it are left alone
    output_image_path : folder for the copies, which is made; what is there already stays
    name_filters_l : what the names of photos end in; case does not matter
    location_mapping_csv : from `create_exif_map`, `camtrail places build` or the older notebooks

    Raises
    ------
    InputError
        Folder or table cannot be read, or no photo matches the filters.
    UsageError
        The copies would lie among the photos.

    Notes
    -----
    Otherwise than in the older notebooks, a position or a capture time that a photo has stays as it is, hemispheres
    are written, and so is that the place is an estimate and how far off it may be. The date goes into
    DateTimeOriginal. See `app.places.apply`.
    """
    context = Context()
    done = apply(
        _photos(path, name_filters_l, context),
        _FLAT,
        PlaceOptions(within_s=0.0),
        ApplyOptions(
            mapping=os.fspath(location_mapping_csv),
            set_dates=True,
            write="copy",
            output=os.fspath(output_image_path),
        ),
        context,
    )
    _tell(done.result)


def _limit(name: str, value: float) -> float:
    if not value >= 0:
        raise UsageError(f"{name} is {value}", "give a number that is not negative")
    return float(value)


def _photos(path: AnyPath, filters: Sequence[str], context: Context) -> list[str]:
    """What to scan: the folder where all its photos match, else those that do. Raises InputError."""
    folder = os.fspath(path)
    names = [e.name for e in context.fs.entries(folder) if e.kind == "file" and not e.name.startswith(".")]
    matching = [name for name in names if _matches(name, filters)]
    others = [name for name in names if suffix_of(name) in READABLE and not _matches(name, filters)]
    if not others:
        return [folder]
    if not matching:
        ends = ", ".join(map(repr, _ends(filters)))
        raise InputError(folder, f"has no photo whose name ends in {ends or 'nothing'}", "give other filters")
    return [os.path.join(folder, name) for name in matching]


def _matches(name: str, filters: Sequence[str]) -> bool:
    return name.lower().endswith(_ends(filters))


def _ends(filters: Sequence[str]) -> tuple[str, ...]:
    """`jpg` and `.jpg` are the same filter."""
    given = (filters,) if isinstance(filters, str) else filters
    return tuple(f.lower() if "." in f else f".{f.lower()}" for f in given)


def _tell(result: Result) -> None:
    for note in result.notes:
        log.warning("%s", note)
    for failure in result.failures:
        name = f"{shown(failure.item)}: "
        log.warning("%s%s", name, failure.message.removeprefix(name))


class ImageProcessor:
    """Dates out of the names of pictures, into copies of them."""

    def get_filename_from_path(self, file_path: AnyPath) -> str:
        """The last part of a path."""
        return os.path.basename(os.fspath(file_path))

    def list_pic_files_in_folder(
        self, folder_path: AnyPath, filters: Sequence[str] = ("jpg", "jpeg")
    ) -> list[str]:
        """Paths of the files in a folder whose names end in one of the suffixes, sorted; case does not matter.

        Raises
        ------
        InputError
            The folder cannot be read; the older class printed that and answered an empty list.
        """
        folder = os.fspath(folder_path)
        found = [e.name for e in Context().fs.entries(folder) if e.kind == "file"]
        return [os.path.join(folder, name) for name in found if _matches(name, filters)]

    def extract_datetime_from_title(
        self, filename: AnyPath, filter_extensions: Sequence[str] | None = None
    ) -> datetime | None:
        """When a picture was taken, sent or saved by its name; None where that does not say, or its suffix is another.

        Parameters
        ----------
        filename : a name, or a path of which the last part counts
        filter_extensions : suffixes; None means jpg, jpeg

        Returns
        -------
        Without a zone: what the clock on the wall said, midnight where the name tells a day alone. Names in UTC
        (Pixel, Facebook) are turned into the time of this machine's zone.

        Notes
        -----
        The older class knew two forms of WhatsApp; this one knows those of `steps.name_dates`, and refuses dates
        that no calendar has.
        """
        name = os.path.basename(os.fspath(filename))
        if not _matches(name, ("jpg", "jpeg") if filter_extensions is None else filter_extensions):
            return None
        found = date_in(name, now_s=Context().clock.now_s())
        if found is None:
            return None
        if found.local_s == found.local_s:
            return _EPOCH + timedelta(seconds=found.local_s)
        return datetime.fromtimestamp(found.time_s)

    def clone_and_save_with_exif(
        self, original_filename: AnyPath, output_filename: AnyPath, datetime_obj: datetime
    ) -> None:
        """Writes a copy of a JPEG file whose capture time is another; also the date of the file is that.

        Parameters
        ----------
        output_filename : its folder is made; nothing happens where the very same copy is there already
        datetime_obj : reading of the clock; one with a zone is written with it

        Raises
        ------
        InputError
            The original cannot be read.
        SafetyRefusal
            Another file has that name, the original among them; or its EXIF cannot be changed without loss.
        StorageError
            The copy cannot be written.
        UsageError
            It is no time that a photo can have.

        Notes
        -----
        Only DateTimeOriginal (and OffsetTimeOriginal) says it; the older class wrote it into two more tags and into
        the picture again. Nothing else of the original changes.
        """
        context = Context()
        fs, values = context.fs, _taken_at(datetime_obj)
        typed = os.fspath(output_filename)
        (space,) = workspaces(fs, [os.fspath(original_filename)], flat=True)
        original, output = fs.real(os.fspath(original_filename)), fs.real(typed)
        if original == output:
            raise SafetyRefusal(f"{shown(typed)}: is the original", "name another file for the copy")
        written = Written("copy")
        with locked([space], False, context):
            settle(space, context)
            seen = fs.status(original)
            with fs.source(original) as source:
                new = differs(read.header(source), values)
                head, tail_at = new_head(source, tags_of(new)) if new else (b"", 0)
                if _is_there(output, SplicedBytes(source, head, tail_at), typed, fs):
                    return
            path = space.relative(absolute(os.fspath(original_filename)))
            mtime_ns = round(datetime_obj.timestamp() * 1e6) * 1000
            splice = Splice(output, head, tail_at, original, f"time {copy_mark(path)}", seen, mtime_ns)
            with journal_in(space, context, "clone_and_save_with_exif") as journal:
                plan = Plan(splice, path, typed, "time")
                apply_plans([plan], space, journal, ChangeOptions(write="copy"), written, context)
        for failure in written.failures:
            error = StorageError if failure.code == "unwritable" else SafetyRefusal
            raise error(failure.message, failure.hint)

    def process_images_with_exif(
        self, folder_path: AnyPath, folder_path_exif: AnyPath, filters: Sequence[str]
    ) -> None:
        """Writes copies of the photos in a folder, with the capture times that their names tell.

        Parameters
        ----------
        folder_path : folders in it are left alone
        folder_path_exif : folder for the copies, which is made; what is there already stays
        filters : what the names of photos end in; case does not matter

        Raises
        ------
        InputError
            The folder cannot be read, or no photo matches the filters.
        UsageError
            The copies would lie among the photos.

        Notes
        -----
        A photo that has a capture time is copied with it, unless its name tells the same day more finely. One that
        has none, in name or file, is not copied and is named in a warning. See `app.dates.dates`.
        """
        context = Context()
        done = dates(
            _photos(folder_path, filters, context),
            ProcessOptions(scan=_FLAT),
            DatesOptions(output=os.fspath(folder_path_exif), ignore_takeout=True, ignore_folders=True),
            ChangeOptions(write="copy"),
            context,
        )
        done.result.failures += done.written.failures
        _tell(done.result)


def _taken_at(moment: datetime) -> Values:
    """Raises UsageError where no photo can have been taken then."""
    if not isinstance(moment, datetime) or moment != moment:  # pandas.NaT is a datetime, and not itself
        raise UsageError(f"{moment!r} is no datetime", "leave out pictures whose names tell no time")
    ahead = moment.utcoffset()
    values = Values(
        local_s=(moment.replace(tzinfo=None) - _EPOCH).total_seconds(),
        offset_s=math.nan if ahead is None else ahead.total_seconds(),
    )
    if not tags_of(values):
        raise UsageError(f"{moment}: no photo was taken then", "give a time from 1800 to 2100")
    return values


def _is_there(path: str, wanted: ByteSource, typed: str, fs: FileSystem) -> bool:
    """Whether a file holds the wanted bytes. Raises SafetyRefusal where it holds others."""
    try:
        size = fs.status(path).size_bytes
    except FileNotFoundError:
        return False
    except OSError as e:
        raise StorageError(f"{shown(typed)}: cannot be written ({e.strerror})", "name another file") from e
    with fs.source(path, size) as there:
        at = range(0, size, _CHUNK_BYTES)
        if size == wanted.size and all(
            there.read_at(i, _CHUNK_BYTES) == wanted.read_at(i, _CHUNK_BYTES) for i in at
        ):
            return True
    raise SafetyRefusal(
        f"{shown(typed)}: is there already and is another file", "name another file for the copy"
    )


class ImageEmbedder:
    """Vectors of pictures by which similar ones are found."""

    def __init__(self) -> None:
        self._rows: dict[str, npt.NDArray[np.float32]] = {}

    def get_embedding(self, image_path: AnyPath, save_embedding: bool = True) -> npt.NDArray[np.float32]:
        """(225,) the layout of a picture's light, colours and edges, as it is displayed; of length 1.

        Parameters
        ----------
        save_embedding : whether a row of `embeddings_df` keeps it; one picture has one row

        Raises
        ------
        UnreadableFile
            It is no JPEG, PNG, WebP, TIFF or GIF, or is damaged.

        Notes
        -----
        No model is needed (`vision.embedding`); the older class had a ResNet-50 with vectors of 2048, which are no
        use beside these.
        """
        path = os.fspath(image_path)
        with Context().fs.source(path) as source:
            vector = describe(source).embedding
        if save_embedding:
            self._rows[path] = vector
        return vector.copy()

    @property
    def embeddings_df(self) -> pandas.DataFrame:
        """What was kept: columns filepath and embedding, in the order of asking. Raises MissingDependency."""
        pandas = _needed("pandas", "embeddings_df")
        return pandas.DataFrame({"filepath": list(self._rows), "embedding": list(self._rows.values())})

    def save_embeddings(self, save_path: AnyPath) -> None:
        """Writes `embeddings_df` as Parquet; the folder is made.

        Raises
        ------
        SafetyRefusal
            The file is there already and camtrail did not write it.
        StorageError
            It cannot be written.
        MissingDependency
            pandas or pyarrow is not installed.
        """
        _save(self.embeddings_df, os.fspath(save_path))


_Found: TypeAlias = tuple[str, float, npt.NDArray[Any]]
"""Path, cosine, and the embedding as it was given."""


class EmbeddingRetriever:
    """Which pictures of a table are similar.

    Parameters
    ----------
    embeddings_df : columns filepath and embedding, of any length as long as it is one, from `ImageEmbedder` or a
        Parquet file; it stays as it is, and counts as it is now

    Raises
    ------
    UsageError
        A column is missing, or the embeddings differ in their length.
    """

    def __init__(self, embeddings_df: pandas.DataFrame) -> None:
        missing = [c for c in ("filepath", "embedding") if c not in embeddings_df]
        if missing:
            raise UsageError(
                f"the table has no column {', '.join(missing)}", "give the table of an ImageEmbedder"
            )
        self.embeddings_df = embeddings_df
        self._paths = [str(path) for path in embeddings_df["filepath"]]
        self._embeddings = [np.asarray(e) for e in embeddings_df["embedding"]]
        self._vectors = _of_length_1(self._embeddings)

    def find_similar_embeddings(
        self, input_value: int | AnyPath, method: str = "cosine", N: int = 10, threshold: float = 0.95
    ) -> list[_Found]:
        """The pictures that are most like one, as (path, similarity, embedding), the nearest first.

        The picture itself is never among them; exact copies of it under other names are.

        Parameters
        ----------
        input_value : number of its row from 0, or its path as it stands in the table
        method : `cosine` or `nearest_neighbors`; for one picture both compare with all
        N : most that come back
        threshold : least cosine, -1 to 1

        Raises
        ------
        UsageError
            No such row, path, method or threshold.
        """
        _check(method, N, threshold)
        row = self._row(input_value)
        cosine = np.clip(self._vectors @ self._vectors[row], -1.0, 1.0)
        is_other = np.array([path != self._paths[row] for path in self._paths])
        hits = np.flatnonzero(is_other & (cosine >= threshold - _FINE))
        best = hits[np.argsort(-cosine[hits], kind="stable")][:N]
        return [(self._paths[i], float(cosine[i]), self._embeddings[i]) for i in best.tolist()]

    def update_similar_images(
        self,
        method: str = "cosine",
        N: int = 10,
        threshold: float = 0.95,
        output_file: AnyPath = "data/similar_images.parquet",
    ) -> pandas.DataFrame:
        """The table with the pictures similar to each one; also written as Parquet, whose folder is made.

        Parameters
        ----------
        method : `cosine` compares all with all; `nearest_neighbors` asks an index where there are more than 20,000
            and FAISS is installed, which may miss one neighbour of a hundred
        N : most that are named of each
        threshold : least cosine, -1 to 1
        output_file : one that camtrail wrote before is replaced

        Returns
        -------
        Columns filepath, embedding, similar_images (a list of paths, the nearest first) and threshold.

        Raises
        ------
        UsageError
            No such method or threshold.
        SafetyRefusal
            The file is there already and camtrail did not write it.
        StorageError
            It cannot be written.
        MissingDependency
            pandas or pyarrow is not installed.
        """
        _check(method, N, threshold)
        pandas = _needed("pandas", "update_similar_images")
        paths = self._paths
        similar: list[list[str]] = [[] for _ in paths]
        again = max(Counter(paths).values(), default=1) - 1  # rows of a path that are no others to it
        approximate = method == "nearest_neighbors"
        found = nearest(self._vectors, N + again if N else 0, threshold - _FINE, approximate=approximate)
        for row, other in zip(found.row.tolist(), found.neighbour.tolist()):
            if paths[other] != paths[row] and len(similar[row]) < N:
                similar[row].append(paths[other])
        made = pandas.DataFrame(
            {
                "filepath": paths,
                "embedding": self._embeddings,
                "similar_images": similar,
                "threshold": [float(threshold)] * len(paths),
            }
        )
        _save(made, os.fspath(output_file))
        return made

    def _row(self, value: int | AnyPath) -> int:
        if isinstance(value, int | np.integer):
            if not 0 <= value < len(self._paths):
                raise UsageError(
                    f"there is no row {value}", f"the table has {len(self._paths)} rows, from 0 on"
                )
            return int(value)
        path = os.fspath(value)
        if path not in self._paths:
            raise UsageError(f"{shown(path)}: is not in the table", "give a path of its column filepath")
        return self._paths.index(path)


def _check(method: str, n: int, threshold: float) -> None:
    if method not in _METHODS:
        raise UsageError(f"{method!r} is no method", f"methods are {', '.join(_METHODS)}")
    if n < 0:
        raise UsageError(f"N is {n}", "give a number that is not negative")
    if not -1.0 <= threshold <= 1.0:
        raise UsageError(f"threshold is {threshold}", "give a cosine, -1 to 1")


def _of_length_1(embeddings: Sequence[npt.NDArray[Any]]) -> Vectors:
    """(n, d); 0 where a picture says nothing. Raises UsageError."""
    if len({e.shape for e in embeddings}) > 1 or any(e.ndim != 1 for e in embeddings):
        raise UsageError("the embeddings differ in their length", "give those of one embedder")
    if not embeddings:
        return np.zeros((0, 0), np.float32)
    vectors = np.nan_to_num(np.stack(embeddings).astype(np.float64))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0.0, length, 1.0), np.float32)


def _save(table: pandas.DataFrame, path: str) -> None:
    """Writes a table as Parquet that says that it is ours."""
    arrow, parquet = (_needed(module, "writing Parquet") for module in ("pyarrow", "pyarrow.parquet"))
    fs = Context().fs
    whole = absolute(path)
    if os.path.exists(whole) and not _is_our_table(whole, arrow, parquet):
        raise SafetyRefusal(
            f"{shown(path)}: is there already and was not written by camtrail", "name another file"
        )
    made = arrow.Table.from_pandas(
        table.assign(filepath=[plain(p) for p in table["filepath"]]), preserve_index=False
    )
    made = made.replace_schema_metadata({**(made.schema.metadata or {}), _MARK: b"embeddings"})
    out = arrow.BufferOutputStream()
    parquet.write_table(made, out)
    folder = os.path.dirname(whole)
    try:
        fs.make_folder(folder)
    except OSError as e:
        raise StorageError(f"{shown(folder)}: cannot be made ({e.strerror})", "name another file") from e
    safeio.put(fs, whole, [out.getvalue().to_pybytes()])


def _is_our_table(path: str, arrow: Any, parquet: Any) -> bool:
    try:
        return _MARK in (parquet.read_schema(path).metadata or {})
    except (OSError, arrow.ArrowException):
        return False
