"""Rows of a table to photos, by the name of the file: the one join by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from camtrail.core.model import Bools, Ints
from camtrail.core.names import folded

__all__ = ["NO_ROW", "SEVERAL_PHOTOS", "SEVERAL_ROWS", "join"]

NO_ROW, SEVERAL_PHOTOS, SEVERAL_ROWS = -1, -2, -3
"""Why a photo has no row: no row names it; a row fits it and others by name; several rows fit it by name."""


def join(
    names: Sequence[str], paths: Sequence[str], folders: Sequence[str], roots: Sequence[str] = ()
) -> tuple[Ints, Ints]:
    """The row of a table that each photo belongs to.

    Parameters
    ----------
    names : (m,) as a table has them: absolute, relative, or bare; `/` or `\\` between folders
    paths : (n,) absolute, `/` between folders
    folders : absolute; what a relative name may be relative to, in this order
    roots : absolute; what it may be relative to, too, none before the others

    Returns
    -------
    (n,) rows of `names`; NO_ROW, SEVERAL_PHOTOS or SEVERAL_ROWS
    (m,) how many photos each row reached: 0 where it names none

    Notes
    -----
    By the whole path first; what is left, by the base name, where one photo alone has it and one name alone
    asks for it; never by a part of a name. Rows of one and the same name: the first counts. Composed and
    decomposed accents are the same; so are capitals, where nothing else fits.
    """
    row = np.full(len(paths), NO_ROW, np.int64)
    reached = np.zeros(len(names), np.int64)
    by_path = {folded(p): i for i, p in enumerate(paths)}
    left: dict[str, list[int]] = {}
    for number, raw in enumerate(names):
        name = folded(raw)
        photos = _by_path(name, by_path, folders, roots)
        if not photos and "\\" in name:
            name = name.replace("\\", "/")
            photos = _by_path(name, by_path, folders, roots)
        reached[number] = len(photos)
        if not photos:
            left.setdefault(name, []).append(number)
        for photo in photos:
            if len(photos) > 1:
                row[photo] = SEVERAL_PHOTOS if row[photo] < 0 else row[photo]
            elif row[photo] < 0:
                row[photo] = number
    taken = row != NO_ROW
    for form in (str, str.casefold):  # as written, then whatever the capitals
        wanted = [(name, rows) for name, rows in left.items() if not reached[rows[0]]]
        _by_base(wanted, form, by_path, taken, row, reached)
        taken = row != NO_ROW
    return row, reached


def _by_base(
    wanted: Iterable[tuple[str, list[int]]],
    form: Callable[[str], str],
    by_path: dict[str, int],
    taken: Bools,
    row: Ints,
    reached: Ints,
) -> None:
    photos: dict[str, list[int]] = {}
    for path, i in by_path.items():
        photos.setdefault(form(path.rpartition("/")[2]), []).append(i)
    asking: dict[str, list[list[int]]] = {}
    for name, rows in wanted:
        asking.setdefault(form(name.rpartition("/")[2]), []).append(rows)
    for base, groups in asking.items():
        free = [i for i in photos.get(base, ()) if not taken[i]]
        for rows in groups:
            reached[rows] += len(free)
        if len(free) == 1 and len(photos[base]) == 1:
            row[free[0]] = groups[0][0] if len(groups) == 1 else SEVERAL_ROWS
        else:
            row[free] = SEVERAL_PHOTOS


def _by_path(name: str, by_path: dict[str, int], folders: Sequence[str], roots: Sequence[str]) -> list[int]:
    """The photos whose path a name may be."""
    if (found := by_path.get(name)) is not None:
        return [found]
    name = name.removeprefix("./")
    for folder in folders:
        if (found := by_path.get(f"{folder.rstrip('/')}/{name}")) is not None:
            return [found]
    below = (by_path.get(f"{root.rstrip('/')}/{name}") for root in roots)
    return list(dict.fromkeys(i for i in below if i is not None))
