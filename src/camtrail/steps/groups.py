"""Groups of what belongs together, so that a chain of small differences joins nothing that differs much."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from camtrail.core.model import Floats, Ints

__all__ = ["attached", "grouped", "numbered"]

_CHECKED = 8  # members of each side whose pairs are asked about before two groups become one


def grouped(n: int, first: Ints, second: Ints, score: Floats, agrees: Callable[[int, int], bool]) -> Ints:
    """The group of each row, named by the lowest row in it; a row that is alone is its own group.

    Parameters
    ----------
    first, second : (k,) rows that are linked
    score : (k,) how sure each link is; the surest are followed first, equal ones in the order of rows
    agrees : whether two rows may be in one group; asked of the pairs that a union would bring together, of at most
        eight rows of each side

    Notes
    -----
    Agglomeration with complete linkage (Defays 1977) along the given links: A with B and B with C make one group
    only where A and C agree, too.
    """
    label = np.arange(n, dtype=np.int64)
    members: dict[int, list[int]] = {}
    for k in np.lexsort((second, first, -score)).tolist():
        i, j = int(first[k]), int(second[k])
        a, b = sorted((int(label[i]), int(label[j])))
        if a == b:
            continue
        ours, theirs = members.get(a, [a]), members.get(b, [b])
        pairs = ((p, q) for p in ours[:_CHECKED] for q in theirs[:_CHECKED] if {p, q} != {i, j})
        if all(agrees(min(pair), max(pair)) for pair in pairs):
            members[a] = sorted([*ours, *members.pop(b, [b])])
            label[theirs] = a
    return label


def attached(label: Ints, links: Iterable[tuple[int, int, float]]) -> Ints:
    """The groups after parts were put to their wholes; each group is a part of one other at most.

    Parameters
    ----------
    label : (n,) as `grouped` names groups
    links : (row of the part, row of the whole, weight), the heaviest followed first. What has parts is no part, so
        that nothing is carried on along a chain
    """
    whole_of: dict[int, int] = {}
    wholes: set[int] = set()
    for part, whole, _ in sorted(links, key=lambda link: (-link[2], link[0], link[1])):
        a, b = int(label[part]), int(label[whole])
        if a != b and a not in whole_of and b not in whole_of and a not in wholes:
            whole_of[a] = b
            wholes.add(b)
    moved = np.array([whole_of.get(int(group), int(group)) for group in label], np.int64)
    return _by_lowest(moved)


def _by_lowest(label: Ints) -> Ints:
    """The same groups, each named by its lowest row."""
    _, lowest, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(lowest[inverse.reshape(-1)], np.int64)


def numbered(label: Ints) -> list[list[int]]:
    """The rows of each group of two or more, in the order of their lowest rows."""
    found: dict[int, list[int]] = {}
    for row, group in enumerate(label.tolist()):
        found.setdefault(group, []).append(row)
    return [rows for _, rows in sorted(found.items()) if len(rows) > 1]
