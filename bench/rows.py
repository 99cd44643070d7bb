"""What a row of the table is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import peers
from bench.corpus import Corpus

__all__ = ["Measure", "Missing", "Pair", "Room", "Row", "Size", "measured"]


class Measure(NamedTuple):
    """One run."""

    items: float  # done in that time; of a row with an `amount` the amount itself
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
    """One line of the table. At most one target: a ratio, items per second, seconds, or the amount."""

    name: str
    what: str  # camtrail's side, then the peer's, as the table prints it; `{n}` stands for the size
    unit: str  # what the items are; empty where the whole run counts, in seconds
    prepare: Callable[[Room], Pair]
    ratio: float | None = None
    rate: float | None = None
    within_s: float | None = None
    amount: str = ""  # its unit, of a row that is not about speed
    least: float | None = None
    most: float | None = None
    size: Size | None = None

    def shown(self, room: Room) -> str:
        """`what` with its size."""
        return self.what.format(n=f"{room.of(self.size):,}") if self.size else self.what


def measured(
    interpreter: str, *arguments: str, worker: Path = peers.WORKER, env: Mapping[str, str] | None = None
) -> Measure:
    """One run of a worker."""
    answer = peers.work(interpreter, *arguments, worker=worker, env=env)
    return Measure(float(str(answer["items"])), float(str(answer["seconds"])))
