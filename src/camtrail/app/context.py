"""What a workflow is handed: the world, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from camtrail.core.clock import Clock, RealClock
from camtrail.core.fs import FileSystem, RealFileSystem

__all__ = ["Context", "Transfer", "silent", "unseen"]


def silent(what: str, done: int, total: int) -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How far a transfer is."""

    what: str
    items: int
    all_items: int
    size_bytes: int
    all_bytes: int


def unseen(transfer: Transfer) -> None:
    """A transfer that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """File system, clock, and who is told of progress: as (what, done, total), of transfers with their bytes.

    The latter is called from threads. `data_dir` is the folder of what belongs to the user and to no folder of
    photos; "" for the system's place.
    """

    fs: FileSystem = field(default_factory=RealFileSystem)
    clock: Clock = field(default_factory=RealClock)
    progress: Callable[[str, int, int], None] = silent
    transferred: Callable[[Transfer], None] = unseen
    data_dir: str = ""
