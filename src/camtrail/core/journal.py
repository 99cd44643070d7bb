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
    """One changed file."""

    path: str  # absolute
    kind: str  # "patch": the file had other bytes before; "new": there was no file
    undo: Undo
    old_size: int
    old_sha256: bytes  # of the whole old file; empty for a new one
    new_size: int
    head_bytes: int  # length of the new head; all of a new file
    head_sha256: bytes
    old_mtime_ns: int
    tags: str  # what was written, in words, for people and for reading back


class Journal(Protocol):
    """Durable rows of changes."""

    def begin(self, changes: Sequence[Change]) -> list[int]:
        """Writes rows, durable when this returns; the files have not changed yet. Returns their ids."""
        ...

    def done(self, ids: Sequence[int]) -> None:
        """The files have changed."""
        ...

    def drop(self, ids: Sequence[int]) -> None:
        """The files did not change after all."""
        ...


def undo_of(old: bytes, new: bytes) -> Undo:
    """The difference between two heads, as runs."""
    common = min(len(old), len(new))
    runs: list[tuple[int, bytes]] = []
    at = 0
    step = 4096
    while at < common:
        end = min(at + step, common)
        if old[at:end] != new[at:end]:
            i = at
            while i < end:
                if old[i] != new[i]:
                    start = i
                    while i < end and old[i] != new[i]:
                        i += 1
                    runs.append((start, old[start:i]))
                i += 1
        at = end
    changed = sum(len(data) + 12 for _, data in runs)
    first = runs[0][0] if runs else common
    if changed > len(old) - first:  # a rewritten head: its old bytes whole are shorter than many runs
        return Undo((), first, old[first:])
    return Undo(tuple(runs), common, old[common:])


def back(new: bytes, undo: Undo) -> bytes:
    """The old head."""
    out = bytearray(new[: undo.keep])
    for at, data in undo.runs:
        out[at : at + len(data)] = data
    return bytes(out) + undo.rest
