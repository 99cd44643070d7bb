"""Which of many pictures are near each other: hashes that differ in few bits, vectors that point the same way.

Nothing here is ever as large as the square of the number of pictures, unless the answer is.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from camtrail.core.model import Ints
from camtrail.vision.hashes import Hashes

__all__ = ["Nearest", "Pairs", "Vectors", "has_index", "nearest", "pairs_within"]

Vectors: TypeAlias = npt.NDArray[np.float32]
"""(n, d) of length 1, or 0 where a picture says nothing."""

_BLOCK = 1 << 24  # numbers of one block of products
_FEW = 20_000  # vectors below which an index is slower than all products
_LISTS_PER_ROOT, _SHARE_SEEN = (
    2,
    8,
)  # of an index: lists for each root of n, and which part of them is searched


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of rows, each once, in order: by the first, then by the second."""

    first: Ints  # (k,), each below its partner
    second: Ints  # (k,)
    bits: Ints  # (k,) in which they differ


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The neighbours of rows, by row, the nearest first."""

    row: Ints  # (k,)
    neighbour: Ints  # (k,), never the row itself
    cosine: Vectors  # (k,)
    is_exact: bool  # whether all rows were compared; an index may miss some


def pairs_within(hashes: Hashes, most_bits: int) -> Pairs:
    """All pairs of hashes that differ in at most so many bits.

    Parameters
    ----------
    hashes : (n,) of 64 bits, or (n, w) of 64 w bits

    Notes
    -----
    Pigeonhole (Norouzi, Punjani, Fleet 2012): of hashes cut into one part more than the bits that may differ, one
    part is equal. Rows are sorted by each part in turn, and each is compared with those behind it that have the
    same. 100,000 hashes on one core: 64 bits within 5 in 0.1 s, 256 within 24 in 0.8 s, in some 100 MB. Where so
    many bits may differ that the parts say nothing, all are compared with all: 100,000 in 10 s.
    """
    table = np.ascontiguousarray(hashes if hashes.ndim == 2 else hashes[:, None], np.uint64)
    n, words = table.shape
    parts = most_bits + 1
    found: list[tuple[Ints, Ints]] = []
    if n < 2 or most_bits < 0:
        return _pairs(table, [])
    if 2.0 ** (64 * words / parts) / parts < 4 or n < 64:
        found.extend(_near(table, np.arange(n), np.full(n, n), most_bits))
        return _pairs(table, found)
    bits = np.unpackbits(table.view(np.uint8).reshape(n, -1), axis=1)
    for part in range(parts):
        # Every so-manieth bit: neighbouring bits of a hash say much the same.
        key = _keys(bits[:, part::parts])
        order, size = _by_key(key)
        found.extend(_near(table[order], order, size, most_bits))
    return _pairs(table, found)


def _keys(bits: npt.NDArray[np.uint8]) -> Ints:
    """(n,) a number for each row of bits; equal ones where the rows are."""
    if bits.shape[1] <= 62:
        return np.asarray(bits.astype(np.int64) @ (1 << np.arange(bits.shape[1], dtype=np.int64)))
    return np.unique(bits, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _by_key(key: Ints) -> tuple[Ints, Ints]:
    """Rows that share their key with another, in runs of one key, the longest run first; and each one's run length."""
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    size = counts[inverse.reshape(-1)]
    order = np.lexsort((key, -size))
    order = order[size[order] > 1]
    return order.astype(np.int64), size[order].astype(np.int64)


def _near(table: Hashes, order: Ints, size: Ints, most_bits: int) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of near rows of each run, by what they are called in `order`.

    The k-th step compares each row with the k-th behind it. Runs get shorter, so that those which are long enough
    stand at the front. A pair of two runs that happens to be near is right, too.
    """
    columns = [np.ascontiguousarray(table[:, i]) for i in range(table.shape[1])]
    shorter = -size
    for step in range(1, int(size[0]) if len(size) else 0):
        top = int(np.searchsorted(shorter, -step, side="left"))
        if top <= step:
            return
        differ = _count(columns[0][: top - step] ^ columns[0][step:top])
        hit = np.flatnonzero(differ <= most_bits)
        if len(columns) > 1 and len(hit):
            total = differ[hit].astype(np.int64)
            for column in columns[1:]:
                total += _count(column[hit] ^ column[hit + step])
            hit = hit[total <= most_bits]
        if len(hit):
            yield order[hit], order[hit + step]


def _pairs(table: Hashes, found: list[tuple[Ints, Ints]]) -> Pairs:
    """Each pair once, in order."""
    n = max(1, len(table))
    keys = [np.minimum(a, b) * n + np.maximum(a, b) for a, b in found]
    key = np.unique(np.concatenate([*keys, np.zeros(0, np.int64)]))
    first, second = key // n, key % n
    bits = _count(table[first] ^ table[second]).sum(axis=1, dtype=np.int64)
    return Pairs(first, second, bits)


def _count_by_byte(numbers: Hashes) -> npt.NDArray[np.uint8]:
    """How many bits of each number are set, where NumPy has no function for it."""
    each = np.unpackbits(np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8), axis=1)
    return np.asarray(each.sum(axis=1, dtype=np.uint8)).reshape(numbers.shape)


_count: Callable[[Hashes], npt.NDArray[np.uint8]] = getattr(np, "bitwise_count", _count_by_byte)


def has_index() -> bool:
    """Whether FAISS is installed, which large sets are searched by."""
    return importlib.util.find_spec("faiss") is not None


def nearest(vectors: Vectors, n: int, least: float, *, approximate: bool = False) -> Nearest:
    """The n neighbours of each vector that are most alike, as far as their cosine is at least `least`.

    Parameters
    ----------
    vectors : (m, d) of length 1
    n : neighbours of each, at most; equally near ones come in the order of rows
    approximate : more than 20,000 vectors by an index of FAISS, where it is installed

    Notes
    -----
    The product of all with all, in blocks of 64 MB: 30,000 vectors of 225 numbers in 10 s on two cores. The index
    (inverted lists, IndexIVFFlat) takes 2.4 s, and found 99.99 % of the neighbours above 0.5 among made-up clusters.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    if n < 1 or len(vectors) < 2:
        return _listed([], True)
    if approximate and len(vectors) > _FEW and has_index():
        return _listed(list(_by_index(vectors, n, least)), False)
    return _listed(list(_by_products(vectors, n, least)), True)


_Part: TypeAlias = tuple[Ints, Ints, Vectors]


def _listed(parts: list[_Part], is_exact: bool) -> Nearest:
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    row, neighbour, cosine = (np.concatenate(column) for column in zip(empty, *parts))
    return Nearest(row, neighbour, cosine, is_exact)


def _by_products(vectors: Vectors, n: int, least: float) -> Iterator[_Part]:
    m = len(vectors)
    rows = max(1, _BLOCK // m)
    for start in range(0, m, rows):
        alike = vectors[start : start + rows] @ vectors.T
        own = np.arange(len(alike))
        alike[own, start + own] = -np.inf
        if n < m - 1:
            # The n-th best of each row: ties with it stay, and are cut below in the order of rows.
            bound = np.partition(alike, m - n, axis=1)[:, m - n]
            row, neighbour = np.nonzero(alike >= np.maximum(bound, np.float32(least))[:, None])
        else:
            row, neighbour = np.nonzero(alike >= np.float32(least))
        yield _best(row + start, neighbour, alike[row, neighbour], n)


def _best(row: Ints, neighbour: Ints, cosine: Vectors, n: int) -> _Part:
    """The n best of each row, the best first."""
    order = np.lexsort((neighbour, -cosine, row))
    row, neighbour, cosine = row[order], neighbour[order], cosine[order]
    starts = np.searchsorted(row, row, side="left")
    keep = np.arange(len(row)) - starts < n
    return row[keep], neighbour[keep], cosine[keep]


def _by_index(vectors: Vectors, n: int, least: float) -> Iterator[_Part]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what generates its bindings
        library: Any = importlib.import_module("faiss")
    lists = int(_LISTS_PER_ROOT * np.sqrt(len(vectors)))
    index = library.index_factory(vectors.shape[1], f"IVF{lists},Flat", library.METRIC_INNER_PRODUCT)
    index.cp.seed = 1
    index.train(vectors)
    index.add(vectors)
    index.nprobe = max(1, lists // _SHARE_SEEN)
    for start in range(0, len(vectors), _FEW):
        cosine, neighbour = index.search(vectors[start : start + _FEW], n + 1)
        row = np.repeat(np.arange(start, start + len(cosine)), n + 1)
        cosine, neighbour = cosine.reshape(-1), neighbour.reshape(-1).astype(np.int64)
        keep = (neighbour >= 0) & (neighbour != row) & (cosine >= least)
        yield _best(row[keep], neighbour[keep], cosine[keep], n)
