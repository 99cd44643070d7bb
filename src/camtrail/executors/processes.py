"""`map` on processes of this machine, in chunks, with the answers in order."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from camtrail.core.errors import Failure
from camtrail.executors.serial import answers

__all__ = ["Processes", "chunks", "crash", "run_chunk"]

T = TypeVar("T")
R = TypeVar("R")


def chunks(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """The items in lists of `n`; the last may be shorter."""
    rest = iter(items)
    while part := list(itertools.islice(rest, n)):
        yield part


def run_chunk(fn: Callable[[T], R], items: list[T]) -> list[R | Failure[T]]:
    """What a worker does with its chunk."""
    return list(answers(fn, items))


def crash(item: T) -> Failure[T]:
    """What comes of an item that ends the process that reads it."""
    return Failure(item, "crash", "ended the process that read it", "report the file; it was left alone")


def _submitted(
    pool: ProcessPoolExecutor, fn: Callable[[T], R], part: list[T]
) -> Future[list[R | Failure[T]]]:
    try:
        return pool.submit(run_chunk, fn, part)
    except BrokenProcessPool as e:  # a worker died since the last answer; the chunk waits its turn
        broken: Future[list[R | Failure[T]]] = Future()
        broken.set_exception(e)
        return broken


def _answered(future: Future[list[R | Failure[T]]]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


class Processes:
    """Runs items on a pool of processes; function and items must pickle.

    A worker that dies (out of memory, a crash in a decoder) costs one item: its chunk runs again item by
    item, and the deadly one is the Failure.
    """

    def __init__(self, workers: int, chunk: int = 500) -> None:
        if workers < 1 or chunk < 1:
            raise ValueError("workers and chunk are 1 or more")
        self.workers = workers
        self.chunk = chunk

    def _pool(self) -> ProcessPoolExecutor:
        # spawn: the same on every system, and safe in a program that has threads
        return ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"))

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> Iterator[R | Failure[T]]:
        """One answer for each item, in their order."""
        parts = chunks(items, self.chunk)
        waiting: deque[tuple[list[T], Future[list[R | Failure[T]]]]] = deque()
        pool = self._pool()
        try:
            while True:
                while len(waiting) < 3 * self.workers and (part := next(parts, None)):
                    waiting.append((part, _submitted(pool, fn, part)))
                if not waiting:
                    return
                part, future = waiting.popleft()
                try:
                    yield from future.result()
                except BrokenProcessPool:
                    pool.shutdown(wait=False, cancel_futures=True)
                    yield from self._one_by_one(fn, part)
                    pool = self._pool()
                    waiting = deque((p, f if _answered(f) else _submitted(pool, fn, p)) for p, f in waiting)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Gives back what it holds: nothing between two maps."""

    def _one_by_one(self, fn: Callable[[T], R], items: list[T]) -> Iterator[R | Failure[T]]:
        pool: ProcessPoolExecutor | None = None
        try:
            for item in items:
                if pool is None:
                    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
                try:
                    yield from pool.submit(run_chunk, fn, [item]).result()
                except BrokenProcessPool:
                    pool = None
                    yield crash(item)
        finally:
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
