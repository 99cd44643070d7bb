"""Which pictures are copies of one: equal files, equal pixels, saved again, turned, cropped."""

from __future__ import annotations

import hashlib
import math
import os
import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from camtrail.app.context import Context
from camtrail.app.similar_pictures import Shot
from camtrail.catalog.store import Catalog
from camtrail.core.errors import UnreadableFile
from camtrail.core.model import Floats, Ints
from camtrail.steps.groups import attached, grouped
from camtrail.vision.align import compare
from camtrail.vision.copies import (
    DIFFERENT,
    LOOKED_PX,
    PLAIN_LEVELS,
    PLAIN_STRETCHED,
    Look,
    is_copy,
    look,
    stretch,
)
from camtrail.vision.decode import Pixels, decode
from camtrail.vision.descriptors import TURNS, light_hashes, turned
from camtrail.vision.hashes import Hashes
from camtrail.vision.neighbours import pairs_within

__all__ = ["KINDS", "Copies", "copies"]

KINDS = ("same_bytes", "same_pixels", "copy", "turned", "crop")
"""How a picture is a copy of the best of its group."""

_LOOKS, _PIXELS = "similar-looks", "similar-pixels"  # stages of the catalog
_THREADS = min(os.cpu_count() or 1, 4)
_KEPT_PICTURES = 1024  # of 83 kB
_LEAST_LIGHT = 3.0  # deviation of the light below which a hash says nothing
_LEAST_ALIKE = 0.93  # correlation of the light of copies; gamma 0.5 leaves 0.97
_MOST_LOOKS = (
    16  # of each picture at those that are most like it; more are copies of each other, or nearly plain
)
_MOST_ALIKE_HASHES = 24  # pictures of one hash that are all compared with each other
_TURNED_BITS = 6
_ANOTHER_TIME = 0.35  # leeway of two that were taken at different times
_GROUP = 2.0  # leeway of two that are copies of a third
_CROP_PX = 640
_LEAST_CROP, _MOST_CROP = 0.85, 0.92  # likeness; share of the whole from which on it is another frame
_SAME_SECOND = 8  # pictures of one second that are all compared with each other
_TIME_S = 1.0
_ADDED = re.compile(r"(?:[ _-]+[a-z][a-z0-9 ]*|\s*\(\d+\))+$")  # as in IMG_1-edited.jpg, IMG_1 (2).jpg
_SAME_LIGHT = 2  # levels by which the small pictures of equal pixels may differ


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """Which pictures are copies of each other."""

    label: Ints  # (n,) as `steps.groups` names groups
    hashes: Hashes  # (n, 1)
    pixels: dict[int, bytes] = field(
        default_factory=dict
    )  # digests of whole pixels, of those that needed one
    upright: Ints = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )  # (n,) groups without turned and cropped ones
    parts: dict[int, str] = field(default_factory=dict)  # of these groups those that are turned or cropped


def copies(shots: Sequence[Shot], max_distance_bits: int, context: Context) -> Copies:
    """Groups of copies among pictures.

    Parameters
    ----------
    max_distance_bits : of the hashes of two that are looked at

    Notes
    -----
    Equal pictures count as one. Pairs whose hashes are near are looked at closely; a group holds only pictures that
    are copies of each other, too. Turned and mirrored pictures are found by the hashes of what was turned, and are of
    one group where all are copies of each other in some turn. Plain pictures, whose hashes say nothing, are looked
    at where their light and shape are near. Crops are looked for among pictures of one second or of one name
    (`IMG_1.jpg`, `IMG_1_crop.jpg`): they are in no hash.
    """
    light = np.stack([s.about.light for s in shots]) if shots else np.zeros((0, 32, 32), np.uint8)
    hashes = light_hashes(light)
    first = _first_of_each(shots)
    alone = np.flatnonzero(first == np.arange(len(shots)))
    is_shown = light[alone].std(axis=(1, 2)) >= _LEAST_LIGHT if len(alone) else np.zeros(0, bool)
    shows = alone[is_shown]
    looks = _Looks(shots, context)
    pairs = _alike(light, light, _candidates(hashes, shows, max_distance_bits))
    pairs += _plain_pairs(shots, light, alone[~is_shown])
    looks.prefetch((i, j, 0) for i, j in pairs)
    links = [(i, j, looks.get(i, j).ssim) for i, j in pairs if looks.are_copies(i, j)]
    rows, partners, scores = _columns(links)
    label = grouped(len(shots), rows, partners, scores, lambda i, j: looks.are_copies(i, j, leeway=_GROUP))
    turns = _turned_links(shots, light, hashes, shows, min(max_distance_bits, _TURNED_BITS), label, looks)
    joined = _joined(shots, light, label, turns, looks)
    crops = _crop_links(shots, shows, joined, looks)
    whole = attached(joined, crops)
    kinds = {
        int(label[i]): "turned" for link in turns for i in link[:2] if joined[link[0]] == joined[link[1]]
    }
    kinds |= {int(label[i]): "crop" for i, j, _ in crops if whole[i] == whole[j]}
    looks.keep()
    done = Copies(whole[first], hashes, upright=label[first], parts=kinds)
    digests = _pixel_digests(shots, done.label, first, context)
    done.pixels.update({i: digests[j] for i, j in enumerate(first.tolist()) if j in digests})
    return done


def _first_of_each(shots: Sequence[Shot]) -> Ints:
    """(n,) the first row with the same coded picture."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(_name(s), i) for i, s in enumerate(shots)], np.int64)


def _name(shot: Shot) -> bytes:
    """What is the same for equal pictures: the coded data, their size, and how they lie."""
    size = f"{shot.about.width_px} {shot.about.height_px}".encode()
    return hashlib.sha256(shot.about.picture + shot.about.light.tobytes() + size).digest()


def _columns(links: Sequence[tuple[int, int, float]]) -> tuple[Ints, Ints, Floats]:
    rows, partners = (np.array([link[k] for link in links], np.int64) for k in (0, 1))
    return rows, partners, np.array([link[2] for link in links], np.float64)


def _candidates(hashes: Hashes, rows: Ints, most_bits: int) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose hashes are near.

    Of very many with one hash, such as pages of text, each is paired with those that follow it: all with all would
    be the square of them.
    """
    distinct, inverse = np.unique(hashes[rows, 0], return_inverse=True)
    order = np.argsort(inverse.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(inverse.reshape(-1), minlength=len(distinct)))
    of = [part.tolist() for part in np.split(rows[order], ends[:-1])] if len(distinct) else []
    for members in of:
        yield from (
            (a, b) for k, a in enumerate(members) for b in members[k + 1 : k + 1 + _MOST_ALIKE_HASHES]
        )
    found = pairs_within(distinct, most_bits)
    for i, j in zip(found.first.tolist(), found.second.tolist()):
        yield from _across(of[i], of[j])


def _across(ours: list[int], theirs: list[int]) -> Iterator[tuple[int, int]]:
    for a in ours[:_MOST_ALIKE_HASHES]:
        for b in theirs[:_MOST_ALIKE_HASHES]:
            yield _ordered(a, b)


def _plain_pairs(shots: Sequence[Shot], light: npt.NDArray[np.uint8], rows: Ints) -> list[tuple[int, int]]:
    """Pairs of rows with hardly any contrast whose mean light and shape are near; of very many each with the next."""
    mean = light[rows].mean(axis=(1, 2)) if len(rows) else np.zeros(0)
    order = np.argsort(mean, kind="stable")
    ends = np.searchsorted(mean[order], mean[order] + PLAIN_LEVELS, side="right").tolist()
    listed = rows[order].tolist()
    shapes = [_size(shots[i])[::-1] for i in listed]
    pairs: list[tuple[int, int]] = []
    for k, end in enumerate(ends):
        near = (m for m in range(k + 1, end) if stretch(shapes[k], shapes[m]) <= PLAIN_STRETCHED)
        pairs += [_ordered(listed[k], listed[m]) for m in islice(near, _MOST_ALIKE_HASHES)]
    return sorted(pairs)


def _ordered(a: int, b: int) -> tuple[int, int]:
    return min(a, b), max(a, b)


def _alike(
    ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8], pairs: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Those pairs whose small pictures are alike, in order; of each picture the most alike."""
    listed = np.array(sorted(set(pairs)), np.int64).reshape(-1, 2)
    alike = np.zeros(len(listed))
    for start in range(0, len(listed), 4096):
        part = listed[start : start + 4096]
        both = (light[rows] for light, rows in zip((ours, theirs), part.T))
        a, b = (small.reshape(len(part), -1).astype(np.float32) for small in both)
        alike[start : start + 4096] = _correlation(a, b)
    listed, alike = listed[alike >= _LEAST_ALIKE], alike[alike >= _LEAST_ALIKE]
    keep = np.zeros(len(listed), bool)
    for k in (0, 1):
        order = np.lexsort((-alike, listed[:, k]))
        sorted_rows = listed[order, k]
        place = np.arange(len(order)) - np.searchsorted(sorted_rows, sorted_rows, side="left")
        keep[order[place < _MOST_LOOKS]] = True
    return [(i, j) for i, j in listed[keep].tolist()]


def _correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> Floats:
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    length = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.maximum(length, 1e-6), np.float64)


def _turned_links(
    shots: Sequence[Shot],
    light: npt.NDArray[np.uint8],
    hashes: Hashes,
    rows: Ints,
    most_bits: int,
    label: Ints,
    looks: _Looks,
) -> list[tuple[int, int, float]]:
    """(row, row, likeness) of pictures of two groups of which one is the other turned or mirrored."""
    n = len(rows)
    links: list[tuple[int, int, float]] = []
    # A quarter turn back is one the other way, so that of both one is enough.
    for turn in (t for t in range(1, TURNS) if t != 3):
        way = turned(light, turn)
        both = np.concatenate([hashes[rows], light_hashes(way[rows])])
        found = pairs_within(both, most_bits)
        across = (found.first < n) & (found.second >= n)
        pairs = zip(rows[found.first[across]].tolist(), rows[found.second[across] - n].tolist())
        other = _alike(light, way, ((i, j) for i, j in pairs if label[i] != label[j]))
        looks.prefetch((i, j, turn) for i, j in other)
        for i, j in other:
            shown = looks.get(i, j, turn)
            if is_copy(shown):
                links.append((i, j, shown.ssim))
    return links


def _joined(
    shots: Sequence[Shot],
    light: npt.NDArray[np.uint8],
    label: Ints,
    links: Sequence[tuple[int, int, float]],
    looks: _Looks,
) -> Ints:
    """The groups after those became one that hold the same picture turned.

    Of each group its largest picture is asked: it must be a copy, in some turn, of that of all groups it comes to.
    """
    best: dict[int, int] = {}
    linked = {int(label[i]) for link in links for i in link[:2]}
    for i in np.flatnonzero(np.isin(label, list(linked))).tolist():
        group = int(label[i])
        if group not in best or shots[i].pixels > shots[best[group]].pixels:
            best[group] = i

    def agrees(a: int, b: int) -> bool:
        i, j = sorted((best[a], best[b]))
        ways = np.stack([turned(light[j], turn) for turn in range(TURNS)])
        ours, theirs = (small.reshape(-1, light[0].size).astype(np.float32) for small in (light[i], ways))
        alike = _correlation(ours, theirs)
        turns = [t for t in np.argsort(-alike, kind="stable").tolist() if alike[t] >= _LEAST_ALIKE]
        return any(looks.are_copies(i, j, leeway=_GROUP, turn=turn) for turn in turns)

    groups = _columns([(*_ordered(int(label[i]), int(label[j])), likeness) for i, j, likeness in links])
    return grouped(len(shots), *groups, agrees)[label]


def _largest(shots: Sequence[Shot], rows: Ints, label: Ints) -> dict[int, int]:
    """How many pixels the largest picture of each group has."""
    largest: dict[int, int] = defaultdict(int)
    for i in rows.tolist():
        largest[int(label[i])] = max(largest[int(label[i])], shots[i].pixels)
    return largest


def _crop_links(
    shots: Sequence[Shot], rows: Ints, label: Ints, looks: _Looks
) -> list[tuple[int, int, float]]:
    """(part, whole, weight) of pictures of one second, or of one name, of which one is a part of the other."""
    together: dict[object, list[int]] = defaultdict(list)
    for i in rows.tolist():
        shot = shots[i]
        if shot.local_s == shot.local_s:
            together[math.floor(shot.local_s)].append(i)
        together[_stem(shot.path)].append(i)
    pairs = {
        (a, b)
        for members in together.values()
        if len(members) <= _SAME_SECOND
        for a in members
        for b in members
        if a < b and label[a] != label[b] and _size(shots[a]) != _size(shots[b])
    }
    looks.prefetch((i, j, -1) for i, j in sorted(pairs))
    largest = _largest(shots, rows, label)
    links = []
    for i, j in sorted(pairs):
        found = looks.get(i, j, -1)
        if found.ssim >= _LEAST_CROP and abs(found.worst) <= _MOST_CROP:
            part, whole = (i, j) if found.worst > 0 else (j, i)
            links.append((part, whole, largest[int(label[whole])] + found.ssim))
    return links


def _size(shot: Shot) -> tuple[int, int]:
    """Width and height: those of a crop are others, those of a burst the same."""
    return shot.about.width_px, shot.about.height_px


def _stem(path: str) -> str:
    """The name without what programs and people add to that of another version."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{_ADDED.sub('', name.rpartition('.')[0].lower())}"


class _Looks:
    """Pairs that were looked at, now or in an earlier run; pictures that are decoded for it, the last ones kept."""

    def __init__(self, shots: Sequence[Shot], context: Context) -> None:
        self._shots, self._context = shots, context
        self._names = [_name(s).hex()[:24] for s in shots]
        self._found: dict[tuple[str, str, int], Look] = {}
        self._new: set[int] = set()
        self._kept: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._lock = threading.Lock()
        for space in {s.space.catalog: s.space for s in shots}.values():
            with Catalog(space.catalog) as catalog:
                for text in catalog.kept(_LOOKS).values():
                    self._found.update(_looks_of(text))

    def are_copies(self, i: int, j: int, leeway: float = 1.0, turn: int = 0) -> bool:
        """Whether two pictures are copies of one, the second one turned; of different times they must be more alike."""
        a, b = self._shots[i].local_s, self._shots[j].local_s
        is_another = abs(a - b) >= _TIME_S  # False where one has no time
        return is_copy(self.get(i, j, turn), leeway=leeway * (_ANOTHER_TIME if is_another else 1.0))

    def get(self, i: int, j: int, turn: int = 0) -> Look:
        """How two differ, the second one turned; with a turn of -1 how one is a part of the other.

        The latter has in `worst` the share that it covers: negative where the second is the part.
        """
        key = self._names[i], self._names[j], turn
        if key not in self._found:
            self._found[key] = self._look(i, j, turn)
            self._new.add(i)
        return self._found[key]

    def prefetch(self, pairs: Iterable[tuple[int, int, int]]) -> None:
        """Looks at pairs, on all cores."""
        todo = [p for p in pairs if (self._names[p[0]], self._names[p[1]], p[2]) not in self._found]
        with ThreadPoolExecutor(_THREADS) as threads:
            answers = threads.map(lambda pair: self._look(*pair), todo)
            for n, ((i, j, turn), found) in enumerate(zip(todo, answers), 1):
                self._found[self._names[i], self._names[j], turn] = found
                self._new.add(i)
                if n % 16 == 0 or n == len(todo):
                    self._context.progress("closer looks", n, len(todo))

    def keep(self) -> None:
        """Remembers what was looked at."""
        by_first: dict[str, list[str]] = defaultdict(list)
        for (first, second, turn), found in self._found.items():
            by_first[first].append(f"{second} {turn} {found.ssim:.5f} {found.worst:.4f}")
        values: dict[str, dict[str, str]] = defaultdict(dict)
        for i in self._new:
            name, shot = self._names[i], self._shots[i]
            values[shot.space.catalog][shot.path] = "\n".join([name, *sorted(by_first[name])])
        for catalog_file, texts in values.items():
            with Catalog(catalog_file) as catalog:
                catalog.keep(_LOOKS, texts)
        self._new.clear()

    def _look(self, i: int, j: int, turn: int) -> Look:
        try:
            if turn < 0:
                return _part(self._pixels(i, _CROP_PX), self._pixels(j, _CROP_PX))
            a, b = self._pixels(i, LOOKED_PX), self._pixels(j, LOOKED_PX)
        except UnreadableFile:  # it went away meanwhile
            return DIFFERENT
        return look(a, np.ascontiguousarray(np.moveaxis(turned(np.moveaxis(b, -1, 0), turn), 0, -1)))

    def _pixels(self, i: int, most_px: int) -> Pixels:
        with self._lock:
            if (i, most_px) in self._kept:
                self._kept.move_to_end((i, most_px))
                return self._kept[i, most_px]
        with self._context.fs.source(self._shots[i].file) as source:
            made = decode(source, most_px).pixels
        with self._lock:
            self._kept[i, most_px] = made
            most = _KEPT_PICTURES * LOOKED_PX**2 // most_px**2
            while len(self._kept) > most:
                self._kept.popitem(last=False)
        return made


def _looks_of(text: str) -> Iterator[tuple[tuple[str, str, int], Look]]:
    first, *lines = text.split("\n")
    for line in lines:
        try:
            second, turn, ssim, worst = line.split(" ")
            yield (first, second, int(turn)), Look(float(ssim), float(worst))
        except ValueError:  # of another version
            continue


def _part(a: Pixels, b: Pixels) -> Look:
    """How alike a picture is to a part of another, and the part's share: negative where `b` is the part."""
    found = compare(a, b)
    if found.how != "crop" or found.window is None:
        return DIFFERENT
    whole = b if found.part == "a" else a
    share = found.window.width_px * found.window.height_px / (whole.shape[0] * whole.shape[1])
    return Look(min(found.ssim, found.detail), share if found.part == "a" else -share)


def _pixel_digests(shots: Sequence[Shot], label: Ints, first: Ints, context: Context) -> dict[int, bytes]:
    """Digests of all pixels of pictures of one group that have one size and one look, as far as there are two."""
    alike: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for i, shot in enumerate(shots):
        if first[i] == i:
            alike[int(label[i]), shot.about.width_px, shot.about.height_px].append(i)
    todo = sorted(
        {
            i
            for rows in alike.values()
            for i in rows
            if any(_same_light(shots[i], shots[j]) for j in rows if j != i)
        }
    )
    made: dict[int, bytes] = {}
    spaces = {shots[i].space.catalog for i in todo}
    kept: dict[str, dict[str, str]] = {}
    for file in spaces:
        with Catalog(file) as catalog:
            kept[file] = catalog.kept(_PIXELS)
    marks = {i: _name(shots[i]).hex()[:24] + " " for i in todo}
    for i in todo:
        text = kept[shots[i].space.catalog].get(shots[i].path, "")
        if text.startswith(marks[i]):
            made[i] = bytes.fromhex(text[len(marks[i]) :])
    missing = [i for i in todo if i not in made]
    with ThreadPoolExecutor(_THREADS) as threads:
        for i, digest in zip(missing, threads.map(lambda i: _pixel_digest(shots[i], context), missing)):
            if digest:
                made[i] = digest
    for file in spaces:
        with Catalog(file) as catalog:
            fresh = [i for i in missing if i in made and shots[i].space.catalog == file]
            catalog.keep(_PIXELS, {shots[i].path: marks[i] + made[i].hex() for i in fresh})
    return made


def _same_light(a: Shot, b: Shot) -> bool:
    difference = a.about.light.astype(np.int16) - b.about.light
    return bool(np.abs(difference).max() <= _SAME_LIGHT)


def _pixel_digest(shot: Shot, context: Context) -> bytes | None:
    """The digest of the pixels as they are displayed; None where the file went away."""
    try:
        with context.fs.source(shot.file) as source:
            made = decode(source)
    except UnreadableFile:
        return None
    digest = hashlib.sha256(f"{made.pixels.shape}".encode())
    digest.update(np.ascontiguousarray(made.pixels).data)
    return digest.digest()
