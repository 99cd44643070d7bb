"""What a workflow is handed: the world, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from camtrail.core.clock import Clock, RealClock
from camtrail.core.fs import FileSystem, RealFileSystem

__all__ = ["Context", "silent"]


def silent(what: str, done: int, total: int) -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """File system, clock, and who is told of progress as (what, done, total)."""

    fs: FileSystem = field(default_factory=RealFileSystem)
    clock: Clock = field(default_factory=RealClock)
    progress: Callable[[str, int, int], None] = silent
