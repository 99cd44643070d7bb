"""What a row of the table is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import peers
from bench.corpus import Corpus

__all__ = ["Measure", "Missing", "Pair", "Room", "Row", "Size", "measured"]


class Measure(NamedTuple):
    """One timed run."""

    items: int
    seconds: float


class Missing(Exception):
    """A program or a part that the row needs is not there."""


class Pair(NamedTuple):
    """Both sides of a row, ready to be run again and again; each call is one measure."""

    ours: Callable[[], Measure]
    peer: Callable[[], Measure] | None = None


class Size(NamedTuple):
    """How many items a row has where they are not the whole corpus."""

    whole: int
    quick: int


@dataclass(frozen=True, slots=True)
class Room:
    """What rows are measured on."""

    corpus: Corpus
    folder: Path  # for what they write; emptied afterwards
    quick: bool

    def of(self, size: Size) -> int:
        """The size that counts here."""
        return size.quick if self.quick else size.whole

    def listed(self, files: list[str]) -> str:
        """A file with these names, one a line."""
        path = self.folder / f"files-{len(files)}.txt"
        path.write_text("\n".join(files))
        return str(path)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. At most one target: a ratio, items per second, or seconds."""

    name: str
    what: str  # camtrail's side, then the peer's, as the table prints it; `{n}` stands for the size
    unit: str  # what the items are; empty where the whole run counts, in seconds
    prepare: Callable[[Room], Pair]
    ratio: float | None = None
    rate: float | None = None
    within_s: float | None = None
    size: Size | None = None

    def shown(self, room: Room) -> str:
        """`what` with its size."""
        return self.what.format(n=f"{room.of(self.size):,}") if self.size else self.what


def measured(interpreter: str, *arguments: str) -> Measure:
    """One run of the worker."""
    answer = peers.work(interpreter, *arguments)
    return Measure(int(str(answer["items"])), float(str(answer["seconds"])))
