"""`map` on a Dask cluster, in chunks, with the answers in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from camtrail.core.errors import Failure, MissingDependency, UsageError
from camtrail.executors.processes import chunks, crash, run_chunk

__all__ = ["Dask"]

T = TypeVar("T")
R = TypeVar("R")


class Dask:
    """Runs items on the workers of a scheduler, which must see the files under the same names.

    An item that ends the processes that read it (Dask tries four) costs itself, as in Processes.

    Parameters
    ----------
    address : as `tcp://host:8786`
    chunk : items of one task; a task costs some 2 ms

    Raises
    ------
    MissingDependency
        The extra is not installed.
    UsageError
        No scheduler answers.
    """

    def __init__(self, address: str, chunk: int = 500) -> None:
        try:
            from distributed import Client
        except ImportError as e:
            raise MissingDependency("--scheduler needs Dask", "pip install 'camtrail[cluster]'") from e
        try:
            connect: Any = Client
            self._client = connect(address, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as e:
            raise UsageError(
                f"no Dask scheduler answers at {address}", "start one, or correct the address"
            ) from e
        self.chunk = chunk

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> Iterator[R | Failure[T]]:
        """One answer for each item, in their order."""
        from distributed import KilledWorker

        parts = chunks(items, self.chunk)
        waiting: deque[tuple[list[T], Any]] = deque()
        most = 3 * max(1, sum(self._client.nthreads().values()))
        while True:
            while len(waiting) < most and (part := next(parts, None)):
                waiting.append((part, self._client.submit(run_chunk, fn, part, pure=False)))
            if not waiting:
                return
            part, future = waiting.popleft()
            try:
                yield from future.result()
            except KilledWorker:
                # The scheduler blames whatever ran beside the deadly item: it is looked for alone.
                for _, other in waiting:
                    other.exception()  # returns when it is done
                for item in part:
                    try:
                        yield from self._client.submit(run_chunk, fn, [item], pure=False).result()
                    except KilledWorker:
                        yield crash(item)

    def close(self) -> None:
        """Leaves the cluster as it is and goes."""
        self._client.close()
