"""Rows of a table to photos, by the name of the file: the one join by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from camtrail.core.model import Ints
from camtrail.core.names import folded

__all__ = ["NO_PHOTO", "SEVERAL_PHOTOS", "find"]

NO_PHOTO, SEVERAL_PHOTOS = -1, -2
"""Why a name finds no row: no photo has it, or more than one."""


def find(names: Sequence[str], paths: Sequence[str], folders: Sequence[str]) -> Ints:
    """Row of the photo that each name means.

    Parameters
    ----------
    names : (n,) as a table has them: absolute, relative, or bare; `/` or `\\` between folders
    paths : absolute, `/` between folders
    folders : absolute; what a relative name may be relative to, in this order

    Returns
    -------
    (n,) rows of `paths`; NO_PHOTO; or SEVERAL_PHOTOS, where a name fits no path and several base names.

    Notes
    -----
    By the whole path first, then by the base name where one photo alone has it; never by a part of a name.
    Composed and decomposed accents are the same.
    """
    by_path = {folded(p): i for i, p in enumerate(paths)}
    base_names = [p.rpartition("/")[2] for p in by_path]
    count = Counter(base_names)
    by_base = dict(zip(base_names, by_path.values()))
    out = np.full(len(names), NO_PHOTO, np.int64)
    for row, raw in enumerate(names):
        name = folded(raw)
        found = _by_path(name, by_path, folders)
        if found is None and "\\" in name:
            name = name.replace("\\", "/")
            found = _by_path(name, by_path, folders)
        if found is None:
            base = name.rpartition("/")[2]
            found = by_base.get(base, NO_PHOTO) if count[base] < 2 else SEVERAL_PHOTOS
        out[row] = found
    return out


def _by_path(name: str, by_path: dict[str, int], folders: Sequence[str]) -> int | None:
    if (found := by_path.get(name)) is not None:
        return found
    name = name.removeprefix("./")
    return next((i for f in folders if (i := by_path.get(f"{f.rstrip('/')}/{name}")) is not None), None)
