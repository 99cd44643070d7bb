"""`map` in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from camtrail.core.errors import Failure, failure_of

__all__ = ["Serial", "answers"]

T = TypeVar("T")
R = TypeVar("R")


def answers(fn: Callable[[T], R], items: Iterable[T]) -> Iterator[R | Failure[T]]:
    """One answer for each item; the boundary at which an exception becomes data."""
    for item in items:
        try:
            yield fn(item)
        except Exception as e:  # noqa: BLE001 - the one place: one bad item never stops a run
            yield failure_of(item, e)


class Serial:
    """Runs items one after the other."""

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> Iterator[R | Failure[T]]:
        """One answer for each item, in their order."""
        return answers(fn, items)

    def close(self) -> None:
        """Gives back what it holds: nothing between two maps."""
