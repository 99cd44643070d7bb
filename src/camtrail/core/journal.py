"""What the safe writer asks of a journal, and what it writes into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Change", "Journal", "Undo", "back", "undo_of"]


@dataclass(frozen=True, slots=True)
class Undo:
    """How the old head of a file comes out of the new one.

    Patches append, so that a few bytes are enough: those that changed in place, and what stood behind them.
    """

    runs: tuple[tuple[int, bytes], ...]  # (offset, old bytes), of the same length in the new head
    keep: int  # how many bytes of the new head the old one begins with, runs put back
    rest: bytes  # the old head behind them


@dataclass(frozen=True, slots=True)
class Change:
    """One file that was replaced or made."""

    path: str  # absolute
    kind: str  # "patch": there was a file; "new": there was none
    undo: Undo
    old_size: int  # 0 where there was none
    old_sha256: bytes  # of the whole old file; empty where there was none
    new_size: int
    head_bytes: int  # length of the new head: behind it the old file goes on
    new_sha256: bytes  # of the new head; of a new file, of all of it
    old_mtime_ns: int
    tags: str  # what was written, one word each, for people


class Journal(Protocol):
    """Durable rows of changes."""

    def begin(self, changes: Sequence[Change]) -> list[int]:
        """Writes rows, durable when this returns; the files have not changed yet. Returns their ids."""
        ...

    def end(self, ids: Sequence[int], state: str) -> None:
        """Says what became of rows: "done", "undone", or "dropped" where the file did not change after all."""
        ...


def undo_of(old: bytes, new: bytes) -> Undo:
    """The difference between two heads."""
    common = min(len(old), len(new))
    runs: list[tuple[int, bytes]] = []
    for at in range(0, common, 4096):  # large pieces are compared first, then small ones: most are the same
        end = min(at + 4096, common)
        if old[at:end] != new[at:end]:
            for piece in range(at, end, 64):
                last = min(piece + 64, end)
                if old[piece:last] != new[piece:last]:
                    runs += _runs(old, new, piece, last)
    first = runs[0][0] if runs else common
    if sum(len(data) + 16 for _, data in runs) > len(old) - first:
        return Undo((), first, old[first:])  # a rewritten head: its old bytes are shorter than the runs
    return Undo(tuple(runs), common, old[common:])


def _runs(old: bytes, new: bytes, at: int, end: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    start = -1
    for i in range(at, end):
        if old[i] == new[i]:
            if start >= 0:
                found.append((start, old[start:i]))
            start = -1
        elif start < 0:
            start = i
    if start >= 0:
        found.append((start, old[start:end]))
    return found


def back(new: bytes, undo: Undo) -> bytes:
    """The old head, out of the new one."""
    out = bytearray(new[: undo.keep])
    for at, data in undo.runs:
        out[at : at + len(data)] = data
    return bytes(out) + undo.rest
