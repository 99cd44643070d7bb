"""Lists of ids to download: images with their places, pairs of images, whole sequences.

One line names an image (`sequence, image, latitude, longitude`), a pair of images of one place (`sequence, sequence,
image, image, latitude, longitude, latitude, longitude`, the one of the database first and that of the query second),
or nothing but one id. With a line of headings the columns may stand in any order, and further ones among them.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from camtrail.core.errors import InputError
from camtrail.core.model import Floats, Ints, Note, Texts, texts
from camtrail.core.names import shown

__all__ = ["IdList", "is_image_id", "is_sequence_id", "joined", "parse"]

_NAN = float("nan")
# 4 characters and fewer may be a device of Windows; dots, slashes and colons lead out of a folder.
_SEQUENCE = re.compile(r"[A-Za-z0-9_-]{5,64}", re.ASCII)
_IMAGE = re.compile(r"[0-9]{1,20}", re.ASCII)
_ROUNDED = re.compile(r"[0-9]+(?:[.,][0-9]*)?(?:[eE]\+?[0-9]+)?", re.ASCII)
_SEPARATORS = ",;\t"
_LINE_END = re.compile(r"\r\n|\n|\r")
_WORD = re.compile(r"[a-z]+")

_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "sequence": ("sequenceid", "sequence", "sequencekey", "seq", "seqid"),
    "image": ("imageid", "image", "imagekey", "id", "key"),
    "lat": ("lat", "latitude", "latdeg"),
    "lon": ("lon", "longitude", "londeg", "lng", "long"),
}
"""Our name of a column -> headings that mean it, in lower case without signs; the first that is there wins."""

_SIDES = ("database", "query")
_SIDE_WORDS = {"database": "database", "db": "database", "query": "query", "q": "query"}
_FOUR = ("sequence", "image", "lat", "lon")
_EIGHT = (
    "sequence database", "sequence query", "image database", "image query", "lat database", "lon database",
    "lat query", "lon query",
)  # fmt: skip
"""The columns of lines without headings; where there are two of a kind, our name ends with the side."""

_EXPECTED = (
    "a list has 4 columns (sequence, image, latitude, longitude), 8 (sequence, image, latitude and longitude, each of "
    "the database and the query), one id a line, or a first line with the names of its columns"
)


@dataclass(frozen=True, slots=True, eq=False)
class IdList:
    """What lists name: images, each once, and sequences of which all images are meant.

    Images and sequences stand in the order in which they are named first.
    """

    name: str  # of the file, for messages
    whole: Texts  # (k,) ids of sequences
    image: Texts  # (n,) ids
    sequence: Texts  # (n,) ids; None where the list does not say
    lat_deg: Floats  # (n,) NaN where the list gives no place
    lon_deg: Floats
    row: Ints  # (r,) the image of each line, as the list has them: one may come again. Of pairs, those of the database first
    database: Ints  # (m,) the image of each pair that is in the database
    query: Ints  # (m,) and the one that asks
    notes: tuple[Note, ...]  # what was passed over

    def __len__(self) -> int:
        return len(self.image)


def is_image_id(text: str) -> bool:
    """Whether it may be an image's id, and so the name of a file: 1 to 20 digits."""
    return _IMAGE.fullmatch(text) is not None


def is_sequence_id(text: str) -> bool:
    """Whether it may be a sequence's id, and so the name of a folder: 5 to 64 letters, digits, `_` and `-`."""
    return _SEQUENCE.fullmatch(text) is not None


def parse(data: bytes, name: str) -> IdList:
    """What a list names.

    Parameters
    ----------
    data : of the file: UTF-8, `,` `;` or tab between the columns; blank lines and those that start with `#` say
        nothing
    name : of the file, for messages

    Raises
    ------
    InputError
        It is no text, has other columns, an id that is none, or a place off the globe. The message names the line.

    Notes
    -----
    A line without headings and with one id names an image where it has digits only, else a sequence. 0, 0 is no
    place. Of an image that several lines place the first counts.
    """
    lines = _lines(data, name)
    first = next(lines, None)
    if first is None:
        raise InputError(name, "has no line with an id", _EXPECTED)
    number, text = first
    separator = max(_SEPARATORS, key=text.count)
    cells = _cells(number, text, separator, name)
    columns = _headed(cells, number, name)
    made = _Parser(name, columns or _counted(cells, number, name), separator != ",", is_exact=columns is None)
    if columns is None:
        made.add(number, cells)
    for number, text in lines:
        made.add(number, _cells(number, text, separator, name))
    if not made.lines:
        raise InputError(name, "has no line with an id below its headings", _EXPECTED)
    return made.list()


def joined(lists: Sequence[IdList]) -> IdList:
    """Several lists as one, each image once.

    What one list does not say of an image, another may. Lines and pairs of a later list count where they name an
    image or a pair that no list before has.

    Raises
    ------
    InputError
        Two lists put an image into different sequences.
    """
    images = _Images()
    whole: dict[str, None] = {}
    rows: list[int] = []
    pairs: list[tuple[int, int]] = []
    notes: dict[str, int] = {}
    for one in lists:
        columns = (one.image, one.sequence, one.lat_deg, one.lon_deg)
        number = [
            images.put(key, sequence, lat, lon, shown(one.name), one.name)
            for key, sequence, lat, lon in zip(*(column.tolist() for column in columns))
        ]
        whole.update(dict.fromkeys(one.whole.tolist()))
        seen, seen_pairs = set(rows), set(pairs)
        rows.extend(number[r] for r in one.row.tolist() if number[r] not in seen)
        named = [(number[a], number[b]) for a, b in zip(one.database.tolist(), one.query.tolist())]
        pairs.extend(pair for pair in named if pair not in seen_pairs)
        for note in one.notes:
            notes[note.reason] = notes.get(note.reason, 0) + note.count
    name = lists[0].name if len(lists) == 1 else f"{len(lists)} lists"
    return images.list(name, whole, rows, pairs, notes)


def _lines(data: bytes, name: str) -> Iterator[tuple[int, str]]:
    """(number, text) of each line that says something."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(name, "is no UTF-8 text", "give a list of ids as CSV or plain text") from e
    for number, line in enumerate(_LINE_END.split(text), 1):
        if line.strip(" \t,;") and not line.lstrip().startswith("#"):
            yield number, line


def _cells(number: int, line: str, separator: str, name: str) -> list[str]:
    cells = line.split(separator)
    if '"' in line:
        try:
            (cells,) = csv.reader([line], delimiter=separator, strict=True)
        except csv.Error as e:
            raise InputError(name, f"line {number}: is no CSV ({e})", "save it again as CSV") from e
    return [cell.strip() for cell in cells]


def _headed(cells: list[str], number: int, name: str) -> dict[str, int] | None:
    """Index of each column by the headings; None where the line has none."""
    here = [_heading(cell) for cell in cells]
    found: dict[str, int] = {}
    for column, headings in _HEADINGS.items():
        for side in ("", *_SIDES):
            at = next((here.index((h, side)) for h in headings if (h, side) in here), -1)
            if at >= 0:
                found[_column(column, side)] = at
    if not found:
        return None
    if here == [("id", "")]:
        return {"id": 0}
    is_paired = all(_column("image", side) in found for side in _SIDES)
    sides = _SIDES if is_paired else ("",)
    if not is_paired and not {"image", "sequence"} & found.keys():
        raise _unfit(name, number, cells, "names no column of images")
    if any((_column("lat", side) in found) != (_column("lon", side) in found) for side in sides):
        raise _unfit(name, number, cells, "lacks a latitude or a longitude")
    wanted = {_column(column, side) for column in _FOUR for side in sides}
    return {column: at for column, at in found.items() if column in wanted}


def _column(column: str, side: str) -> str:
    return f"{column} {side}" if side else column


def _heading(cell: str) -> tuple[str, str]:
    """(the heading without its side, the side): `lat_db` is `lat` of the database. With a digit in it it is none."""
    if any(c.isdigit() for c in cell):
        return "", ""
    words = _WORD.findall(cell.lower())
    side = next((_SIDE_WORDS[w] for w in words if w in _SIDE_WORDS), "")
    return "".join(w for w in words if w not in _SIDE_WORDS), side


def _counted(cells: list[str], number: int, name: str) -> dict[str, int]:
    """Index of each column by their count; empty ones behind the last do not count."""
    filled = max((i + 1 for i, cell in enumerate(cells) if cell), default=0)
    for count in (len(cells), filled):
        for columns in (("id",), _FOUR, _EIGHT):
            if count == len(columns):
                return {column: i for i, column in enumerate(columns)}
    raise _unfit(name, number, cells, f"has {len(cells)} columns")


def _unfit(name: str, number: int, cells: list[str], what: str) -> InputError:
    here = ", ".join(shown(cell[:30]) for cell in cells[:12])
    return InputError(name, f"line {number}: {what}: {here}", _EXPECTED)


class _Images:
    """Images, each once, while lists are read."""

    def __init__(self) -> None:
        self.moved = 0  # rows that place an image elsewhere
        self._number: dict[str, int] = {}
        self._sequence: list[str | None] = []
        self._said_in: list[str] = []  # where the sequence was said
        self._place: list[tuple[float, float]] = []

    def put(
        self,
        key: str,
        sequence: str | None,
        lat: float,
        lon: float,
        said_in: str,
        name: str,
        prefix: str = "",
    ) -> int:
        """The number of an image; what is not known of it yet is taken. Raises InputError."""
        number = self._number.setdefault(key, len(self._number))
        if number == len(self._place):
            self._sequence.append(sequence)
            self._said_in.append(said_in)
            self._place.append((lat, lon))
            return number
        before = self._sequence[number]
        if before is None:
            self._sequence[number], self._said_in[number] = sequence, said_in
        elif sequence not in (None, before):
            raise InputError(
                name,
                f"{prefix}image {key} is of sequence {sequence} here and of {before} in {self._said_in[number]}",
                "an image is of one sequence; correct one of them",
            )
        place = self._place[number]
        if place[0] != place[0]:
            self._place[number] = lat, lon
        elif lat == lat and (lat, lon) != place:
            self.moved += 1
        return number

    def list(
        self,
        name: str,
        whole: Iterable[str],
        rows: Sequence[int],
        pairs: Sequence[tuple[int, int]],
        notes: Mapping[str, int],
    ) -> IdList:
        """All of them, and what else lists say."""
        lat, lon = np.array(self._place, float).reshape(-1, 2).T
        database, query = np.array(pairs, np.int64).reshape(-1, 2).T
        return IdList(
            name,
            texts(list(whole)),
            texts(list(self._number)),
            texts(self._sequence),
            lat,
            lon,
            np.array(rows, np.int64),
            database,
            query,
            tuple(Note(count, reason) for reason, count in notes.items() if count),
        )


class _Parser:
    """Lines of one list while they are read.

    Parameters
    ----------
    columns : index of each; `id` alone, or `image` and its like, of both sides where they are pairs
    is_exact : whether a line has these columns and no other
    """

    def __init__(self, name: str, columns: Mapping[str, int], has_comma: bool, *, is_exact: bool) -> None:
        self.lines = 0
        self._name = name
        self._width = max(columns.values()) + 1
        self._is_exact = is_exact
        self._has_comma = has_comma
        self._is_plain = "id" in columns
        sides = _SIDES if _column("image", "query") in columns else ("",)
        self._sides = [[columns.get(_column(c, side), -1) for c in _FOUR] for side in sides]
        self._rows: list[list[int]] = [[] for _ in sides]
        self._whole: dict[str, None] = {}
        self._images = _Images()
        self._nowhere = 0

    def add(self, line: int, cells: list[str]) -> None:
        """Takes a line. Raises InputError."""
        while self._is_exact and len(cells) > self._width and not cells[-1]:
            cells.pop()
        if len(cells) < self._width or (self._is_exact and len(cells) > self._width):
            raise _unfit(self._name, line, cells, f"has {len(cells)} columns, not {self._width}")
        self.lines += 1
        if self._is_plain:
            self._add_id(line, cells[0])
            return
        for rows, (sequence, image, lat, lon) in zip(self._rows, self._sides):
            if image < 0:
                self._whole.setdefault(self._sequence_id(line, sequence, cells[sequence]))
                continue
            key = self._image_id(line, image, cells[image])
            is_said = sequence >= 0 and cells[sequence] != ""
            said = self._sequence_id(line, sequence, cells[sequence]) if is_said else None
            at = self._place(line, lat, lon, cells) if lat >= 0 else (_NAN, _NAN)
            rows.append(self._put(line, key, said, at))

    def _add_id(self, line: int, text: str) -> None:
        if is_image_id(text):
            self._rows[0].append(self._put(line, text, None, (_NAN, _NAN)))
        else:
            self._whole.setdefault(self._sequence_id(line, 0, text))

    def _put(self, line: int, key: str, sequence: str | None, at: tuple[float, float]) -> int:
        return self._images.put(key, sequence, *at, f"line {line}", self._name, f"line {line}: ")

    def _image_id(self, line: int, column: int, text: str) -> str:
        if is_image_id(text):
            return text
        hint = "an image's id is a number of at most 20 digits"
        if _ROUNDED.fullmatch(text):
            hint += "; a spreadsheet took it for an amount: save the column as text"
        raise self._wrong(line, column, text, "no image id", hint)

    def _sequence_id(self, line: int, column: int, text: str) -> str:
        if is_sequence_id(text):
            return text
        what = "no id" if self._is_plain else "no sequence id"
        hint = "a sequence's id has 5 to 64 letters, digits, _ and -, as a rule 22"
        raise self._wrong(line, column, text, what, hint)

    def _place(self, line: int, lat_at: int, lon_at: int, cells: list[str]) -> tuple[float, float]:
        lat = self._degrees(line, lat_at, cells[lat_at], 90.0, "no latitude")
        lon = self._degrees(line, lon_at, cells[lon_at], 180.0, "no longitude")
        if (lat != lat) != (lon != lon):
            empty = lat_at if lat != lat else lon_at
            raise self._wrong(line, empty, "", "half a place", "give latitude and longitude, or none of them")
        if lat == 0.0 and lon == 0.0:
            self._nowhere += 1
            return _NAN, _NAN
        return lat, lon

    def _degrees(self, line: int, column: int, text: str, most: float, what: str) -> float:
        if not text:
            return _NAN
        try:
            value = float(text.replace(",", ".") if self._has_comma else text)
        except ValueError:
            value = math.inf
        if not abs(value) <= most:
            raise self._wrong(line, column, text, what, f"give degrees from -{most:g} to {most:g}")
        return value

    def _wrong(self, line: int, column: int, text: str, what: str, hint: str) -> InputError:
        return InputError(
            self._name, f"line {line}, column {column + 1}: {shown(text[:60])!r} is {what}", hint
        )

    def list(self) -> IdList:
        """All of them."""
        notes = {
            "lines that give an image another place than before; the first counts": self._images.moved,
            "lines with the place 0, 0, which is none": self._nowhere,
        }
        pairs = list(zip(*self._rows)) if len(self._rows) == 2 else []
        return self._images.list(self._name, self._whole, list(chain(*self._rows)), pairs, notes)
