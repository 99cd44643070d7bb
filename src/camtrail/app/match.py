"""Local and online pictures compared, and put together: features of all, likenesses of the few that may be."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from camtrail.core.errors import Failure, UnreadableFile, failure_of
from camtrail.core.model import Bools, Floats
from camtrail.steps.match import assign
from camtrail.vision.align import Similarity, compare, fitted_tone, locate
from camtrail.vision.decode import Pixels, luminance, resized
from camtrail.vision.hashes import SIGNATURE_PX, signature
from camtrail.vision.sketch import LEAST_AGREEING, SKETCH_PX, Sketch, agreeing, sketch

__all__ = ["Features", "Likeness", "Looked", "Side", "best_pairs", "features", "worst_part"]

_THREADS = min(os.cpu_count() or 1, 4)
_KEPT_BYTES = 1 << 26  # of decoded pictures of each side
_NEAREST = 4  # candidates of each photo whose likeness is measured
_LEAST_ALIKE = 0.35  # correlation of signatures below which pictures are not compared as wholes
_NEAR = 0.2  # what a candidate may be less alike than the best
_TURNED_ALIKE = 0.8  # the same from which on a turned picture is looked at
_CLOSELY = 2  # candidates of each photo for the second look
_MOST_SKETCHED = 6_000  # pairs whose corners are compared: 6 s on one core
_LEAST_DETAIL = 0.6  # likeness of what shows something; below it two are alike only in what is plain
_LEAST_NAMED = 0.6  # likeness that is enough for pairs of one name; other pictures reach 0.46
_DOUBT = 0.15  # what the score at half the size may lack for the whole size to be looked at
_FINE_PX = 128  # side of what is compared part by part
_MOST_DIFFERENT, _MOST_TONED = (
    12.0,
    40.0,
)  # levels of grey between parts of one picture, in the same light and not


@dataclass(frozen=True, slots=True)
class Side:
    """One local or online picture.

    `pixels` gives it with at most so many pixels a side, upright; it raises UnreadableFile.
    """

    name: str
    pixels: Callable[[int], Pixels]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What is kept of each picture while all are compared."""

    light: Floats  # (n, 1024) signatures; NaN for a picture that cannot be read
    corners: tuple[Sketch | None, ...]
    failures: dict[int, Failure[str]]  # why a picture cannot be read

    def known(self) -> Bools:
        """(n,) whether a picture could be read."""
        known: Bools = np.isfinite(self.light[:, 0]) if len(self.light) else np.zeros(0, bool)
        return known


@dataclass(frozen=True, slots=True)
class Looked:
    """Two pictures that were compared."""

    similarity: Similarity
    score: float  # by which pairs are found: the similarity, less what single parts of the pictures differ by


@dataclass(frozen=True, slots=True)
class Likeness:
    """A local (row) and an online picture (column) that belong together."""

    row: int
    column: int
    similarity: Similarity
    margin: (
        float  # how much better it is than the best rival; 0: another would do as well, NaN: nothing to see
    )


class _Pictures:
    """Decoded pictures, the last ones kept. Threads may share it."""

    def __init__(self, sides: Sequence[Side], size_px: int) -> None:
        self._sides = sides
        self._size_px = size_px
        self._kept: OrderedDict[int, Future[Pixels]] = OrderedDict()
        self._most = max(4, _KEPT_BYTES // (3 * size_px * size_px * 3 // 4))
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> Pixels:
        """The picture; whoever asks meanwhile waits for the one who decodes it. Raises UnreadableFile."""
        with self._lock:
            future = self._kept.get(number)
            is_first = future is None
            if future is None:
                future = self._kept[number] = Future()
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(number)
        if is_first:
            try:
                future.set_result(self._sides[number].pixels(self._size_px))
            except BaseException as e:  # noqa: BLE001 - whoever waits for it is told
                future.set_exception(e)
        return future.result()


def features(sides: Sequence[Side], progress: Callable[[int], None] = lambda done: None) -> Features:
    """What is kept of each picture."""

    def one(side: Side) -> tuple[Any, Sketch] | Failure[str]:
        try:
            pixels = side.pixels(SKETCH_PX)
            return signature(pixels), sketch(pixels)
        except UnreadableFile as e:
            return failure_of(side.name, e)

    light = np.full((len(sides), SIGNATURE_PX**2), np.nan)
    corners: list[Sketch | None] = []
    failures: dict[int, Failure[str]] = {}
    with ThreadPoolExecutor(_THREADS) as threads:
        for i, made in enumerate(threads.map(one, sides)):
            if isinstance(made, Failure):
                failures[i] = made
                corners.append(None)
            else:
                light[i] = made[0]
                corners.append(made[1])
            progress(i + 1)
    return Features(light, tuple(corners), failures)


def best_pairs(
    local: Sequence[Side],
    online: Sequence[Side],
    local_features: Features,
    online_features: Features,
    possible: Bools,
    size_px: int,
    threshold: float,
    device: str = "cpu",
    sure: Bools | None = None,
    second_look: bool = True,
    apart_s: Floats | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Likeness], dict[tuple[int, int], Looked]]:
    """Which pictures are the same, by one assignment of all; and every pair that was compared.

    Parameters
    ----------
    possible : (n, m) whether two pictures may be the same as far as time says
    size_px : longer side at which they are compared
    sure : (n, m) pairs that something else speaks for; they are compared in any case, and what is half alike is enough
    second_look : whether what stays without a partner is looked at again
    apart_s : (n, m) time between them, NaN where unknown: of very many that stay only the nearest are looked at again

    Notes
    -----
    Of each picture the nearest ones by their light are compared as wholes, four at most. What stays without a
    partner is looked at again: where corners agree or a quarter turn makes them alike, as crops, turned, with
    another light, and at half the size, where what compression did is gone. Memory: 64 MB of decoded pictures a side.
    """
    alike = np.where(possible, local_features.light @ online_features.light.T, np.nan)
    shots, views = _Pictures(local, size_px), _Pictures(online, size_px)
    measured: dict[tuple[int, int], Looked] = {}

    def measure(pairs: Iterable[tuple[int, int]], closely: bool) -> None:
        todo = sorted(p for p in pairs if closely or p not in measured)

        def one(pair: tuple[int, int]) -> Looked | None:
            try:
                return _looked(shots[pair[0]], views[pair[1]], threshold, closely, device)
            except UnreadableFile:
                return None

        with ThreadPoolExecutor(_THREADS) as threads:
            for n, (pair, found) in enumerate(zip(todo, threads.map(one, todo)), 1):
                if found is not None and (pair not in measured or found.score > measured[pair].score):
                    measured[pair] = found
                progress(n, len(todo))

    named = np.zeros(alike.shape, bool) if sure is None else sure
    known: Bools = np.logical_and.outer(local_features.known(), online_features.known())
    measure(_nearest(alike, _LEAST_ALIKE) | _listed(named & known), closely=False)
    score = _scores(measured, alike.shape)
    if second_look:
        reached = score >= threshold
        open_: Bools = np.logical_and.outer(~reached.any(axis=1), ~reached.any(axis=0))
        doubtful = (possible | named) & known & open_
        measure(_listed(doubtful & (score >= threshold - _DOUBT)), closely=True)
        reached = _scores(measured, alike.shape) >= threshold
        doubtful &= np.logical_and.outer(~reached.any(axis=1), ~reached.any(axis=0))
        measure(_candidates(doubtful, named, apart_s, local_features, online_features), closely=True)
        score = _scores(measured, alike.shape)
    score[named & (score >= _LEAST_NAMED)] += 1.0
    found = assign(score, threshold)
    rows = zip(found.row.tolist(), found.column.tolist(), found.margin.tolist())
    return [_likeness(i, j, measured[i, j], margin) for i, j, margin in rows], measured


def _likeness(row: int, column: int, looked: Looked, margin: float) -> Likeness:
    shows = looked.similarity.detail == looked.similarity.detail
    return Likeness(row, column, looked.similarity, margin if shows else float("nan"))


def _looked(a: Pixels, b: Pixels, threshold: float, closely: bool, device: str) -> Looked:
    """A second look begins at half the size, which costs a quarter, and goes on where that leaves a doubt."""
    if not closely:
        similarity = compare(a, b, closely=False, device=device)
        return Looked(similarity, _score(a, b, similarity))
    small_a, small_b = _halved(a), _halved(b)
    similarity = compare(small_a, small_b)
    coarse = Looked(similarity, _score(small_a, small_b, similarity))
    if not threshold - _DOUBT <= coarse.score < threshold:
        return coarse
    similarity = compare(a, b)
    return max(coarse, Looked(similarity, _score(a, b, similarity)), key=lambda found: found.score)


def _halved(pixels: Pixels) -> Pixels:
    h, w = pixels.shape[:2]
    return resized(pixels, max(1, w // 2), max(1, h // 2))


def _score(a: Pixels, b: Pixels, similarity: Similarity) -> float:
    """The similarity, where only something plain is alike that of the rest; less what the worst part differs by."""
    if similarity.detail < _LEAST_DETAIL:
        return min(similarity.ssim, similarity.detail)
    if similarity.ssim < _LEAST_DETAIL:
        return similarity.ssim
    most = _MOST_TONED if similarity.is_toned else _MOST_DIFFERENT
    return similarity.ssim - max(0.0, worst_part(a, b, similarity) - most) / 255


def worst_part(a: Pixels, b: Pixels, similarity: Similarity) -> float:
    """How much the parts of two pictures differ at most, levels of grey 0 to 255.

    Frames of a burst differ in a part, where something moved, and are alike in all others; copies of one picture differ
    a little everywhere.

    Parameters
    ----------
    similarity : what `compare` said of them

    Notes
    -----
    At 128 pixels a side, in the same light or with the light fitted, whichever differs less. A crop is found anew, as
    exactly as it was for the similarity.
    """
    if similarity.window is not None:
        placed = locate(a, b)
        return 255.0 if placed is None else _worst(*placed.pair)
    turns = range(1, 4) if similarity.how == "rotated" else range(1)
    return min(_worst(a, np.ascontiguousarray(np.rot90(b, n))) for n in turns)


def _worst(a: Pixels, b: Pixels) -> float:
    h, w = a.shape[:2]
    scale = _FINE_PX / max(h, w)
    width, height = max(1, round(w * scale)), max(1, round(h * scale))
    p, q = (luminance(resized(pixels, width, height)) for pixels in (a, b))
    dull, bright = (p, q) if p.std() < q.std() else (q, p)
    found = (np.abs(x.astype(np.int16) - bright).max() for x in (dull, fitted_tone(dull, bright)))
    return float(min(found))


def _nearest(alike: Floats, least: float) -> set[tuple[int, int]]:
    """Of each row and each column the pairs that are most alike, and nearly as alike as the best of them."""
    pairs: set[tuple[int, int]] = set()
    for table, is_turned in ((alike, False), (alike.T, True)):
        for i, row in enumerate(table):
            known = np.flatnonzero(row >= least)
            if len(known):
                known = known[row[known] >= row[known].max() - _NEAR]
            for j in known[np.argsort(-row[known], kind="stable")][:_NEAREST].tolist():
                pairs.add((j, i) if is_turned else (i, j))
    return pairs


def _candidates(
    doubtful: Bools, named: Bools, apart_s: Floats | None, local: Features, online: Features
) -> set[tuple[int, int]]:
    """Pairs that a second look is worth: their corners agree, a quarter turn makes them alike, or they are named."""
    if not doubtful.any():
        return set()
    turned = np.where(doubtful, _turned(local.light, online.light), np.nan)
    alike = np.where(doubtful, local.light @ online.light.T, np.nan)
    agree = np.full(doubtful.shape, np.nan)
    apart = np.zeros(doubtful.shape) if apart_s is None else np.nan_to_num(apart_s, nan=np.inf)
    pairs = list(islice(_by_time(np.where(doubtful, apart, np.nan)), _MOST_SKETCHED))

    def count(pair: tuple[int, int]) -> int:
        ours, theirs = local.corners[pair[0]], online.corners[pair[1]]
        return agreeing(ours, theirs) if ours is not None and theirs is not None else 0

    with ThreadPoolExecutor(_THREADS) as threads:
        for pair, n in zip(pairs, threads.map(count, pairs)):
            agree[pair] = n
    found = _best(agree, LEAST_AGREEING) | _best(turned, _TURNED_ALIKE) | _best(alike, _TURNED_ALIKE)
    return found | _listed(named & doubtful)


def _turned(ours: Floats, theirs: Floats) -> Floats:
    """(n, m) how alike pictures are after the best of three quarter turns."""
    squares = theirs.reshape(-1, SIGNATURE_PX, SIGNATURE_PX)
    turned = (np.rot90(squares, n, axes=(1, 2)).reshape(len(theirs), -1) for n in (1, 2, 3))
    return np.asarray(np.max([ours @ light.T for light in turned], axis=0))


def _by_time(apart_s: Floats) -> Iterator[tuple[int, int]]:
    """Pairs, the nearest first; those that are NaN are left out."""
    order = np.argsort(apart_s, axis=None, kind="stable")
    for row, column in zip(*(k.tolist() for k in np.unravel_index(order, apart_s.shape))):
        if apart_s[row, column] == apart_s[row, column]:
            yield row, column


def _best(value: Floats, least: float) -> set[tuple[int, int]]:
    """Of each row and each column the pairs with the greatest values."""
    pairs: set[tuple[int, int]] = set()
    for table, is_turned in ((value, False), (value.T, True)):
        for i, row in enumerate(table):
            known = np.flatnonzero(row >= least)
            for j in known[np.argsort(-row[known], kind="stable")][:_CLOSELY].tolist():
                pairs.add((j, i) if is_turned else (i, j))
    return pairs


def _listed(table: Bools) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in np.argwhere(table)}


def _scores(measured: dict[tuple[int, int], Looked], shape: tuple[int, ...]) -> Floats:
    score = np.full(shape, np.nan)
    for pair, looked in measured.items():
        score[pair] = looked.score
    return score
