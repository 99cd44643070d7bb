"""Tasks in threads, where one that waits holds no worker."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from camtrail.core.clock import Clock
from camtrail.core.errors import CamtrailError, Failure, QuotaExceeded, Rejected, failure_of
from camtrail.transfer.pace import Pace

__all__ = ["Again", "Queue"]

T = TypeVar("T")
R = TypeVar("R")

_STOPPING = frozenset({6, 7, 8, 11})  # exit codes of trouble that the next item would meet as well
_STOPPING_CODES = frozenset({"tls"})
_NAP_S = 0.05  # how soon one who sleeps hears that something else is to be done
_END_S = 2.0
_TICK_S = 0.5  # how soon an interrupt is heard where waiting cannot be interrupted (Windows)


@dataclass(frozen=True, slots=True)
class Again:
    """What a step returns for a task that is not finished: come back.

    Parameters
    ----------
    after_s : not before
    pause_s : nobody is to ask the service before, as it wishes itself
    error : why, where the attempt failed
    gained : whether the service did something since the step before
    """

    after_s: float
    pause_s: float = 0.0
    error: CamtrailError | None = None
    gained: bool = False


class Queue(Generic[T, R]):
    """Takes each task through its steps; iterate over it once for (task, answer) in the order in which they end.

    Parameters
    ----------
    step : one attempt at a task: its answer, or Again. Called in threads, never twice at a time for one task.
        What it raises is the task's end: counting attempts is its own affair
    workers : threads
    pace : asked before each step, and told what became of it
    tasks : to begin with; taken one by one, when a worker is free
    on_stop : called by `stop` where steps are going on, before it waits for them: to close connections, say

    Notes
    -----
    The answer of a task that raised is a Failure. One that the next task would meet as well (login, storage,
    safety, a certificate) ends the handing out, and so does `pace.ended`: what waits then comes out as a Failure
    with the same code and exit code.

    Iterate in one thread; leaving the loop stops the workers. Tasks may be added meanwhile, also by steps.
    """

    def __init__(
        self,
        step: Callable[[T], R | Again],
        *,
        workers: int,
        clock: Clock,
        pace: Pace,
        tasks: Iterable[T] = (),
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self._step = step
        self._workers = workers
        self._clock = clock
        self._pace = pace
        self._on_stop = on_stop
        lock = threading.Lock()  # guards all below
        self._todo = threading.Condition(lock)  # workers wait here
        self._news = threading.Condition(lock)  # who iterates or stops waits here
        self._feed: Iterator[T] | None = iter(tasks)
        self._ready: deque[T] = deque()
        self._aside: list[tuple[float, int, T]] = []  # due, number, task: a heap
        self._numbers = itertools.count()
        self._running = 0
        self._ends: deque[tuple[T, R | Failure[T]]] = deque()
        self._given_up: Failure[None] | None = None
        self._broken: BaseException | None = None
        self._stopped = False
        self._has_sleeper = False
        self._alive = 0

    def __enter__(self) -> Queue[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, task: T) -> None:
        """One more task; it comes before those that were handed over at the beginning."""
        with self._todo:
            self._ready.append(task)
            self._todo.notify()
            self._news.notify()

    def stop(self) -> None:
        """No step begins any more; returns when those that are going on have ended, or after 2 s."""
        with self._todo:
            is_first, self._stopped = not self._stopped, True
            at_work = is_first and self._running > 0
            self._todo.notify_all()
        if at_work and self._on_stop is not None:
            self._on_stop()
        with self._news:
            self._news.wait_for(lambda: not self._alive, _END_S)

    def __iter__(self) -> Iterator[tuple[T, R | Failure[T]]]:
        """Ends of tasks, until none is left."""
        for number in range(self._workers):
            with self._todo:
                if self._stopped:
                    break
                self._alive += 1
            threading.Thread(target=self._work, name=f"transfer-{number}", daemon=True).start()
        try:
            while (end := self._next_end()) is not None:
                yield end
        finally:
            self.stop()

    def _next_end(self) -> tuple[T, R | Failure[T]] | None:
        """The next end, in the caller's thread; None where nothing is left."""
        with self._news:
            while True:
                if self._broken is not None:
                    raise self._broken
                if self._ends:
                    return self._ends.popleft()
                if self._stopped:
                    return None
                self._fill()
                waiting = self._ready or self._aside
                if self._given_up is not None and waiting:
                    left = self._ready.popleft() if self._ready else heapq.heappop(self._aside)[2]
                    return left, self._given_up.at(left)
                if not waiting and not self._running and not self._broken:
                    return None
                self._news.wait(_TICK_S)

    def _fill(self) -> None:
        """Takes one of the first tasks where no other is ready."""
        if self._ready or self._feed is None:
            return
        try:
            self._ready.append(next(self._feed))
        except StopIteration:
            self._feed = None
        except BaseException as e:  # noqa: BLE001 - it is raised in the thread that iterates
            self._feed, self._broken = None, e
            self._news.notify()

    def _work(self) -> None:
        try:
            while (taken := self._taken()) is not None:
                (task,) = taken
                try:
                    answer: R | Again | Failure[T] = self._step(task)
                except Exception as e:  # noqa: BLE001 - one task's exception becomes its Failure
                    answer = failure_of(task, e)
                with self._todo:
                    self._running -= 1
                    self._put(task, answer)
        except BaseException as e:  # noqa: BLE001 - it is raised in the thread that iterates
            with self._todo:
                self._broken, self._stopped = e, True
        finally:
            with self._todo:
                self._alive -= 1
                self._todo.notify()
                self._news.notify_all()

    def _taken(self) -> tuple[T] | None:
        """The next task to take a step with, as soon as there is one; None where no step is to begin any more."""
        with self._todo:
            while not self._stopped and self._given_up is None:
                wait_s = self._wait_s()
                if self._given_up is not None:
                    break
                if wait_s == 0:
                    self._running += 1
                    self._todo.notify()  # somebody else may take what is due next, or watch the clock for it
                    return (self._ready.popleft(),)
                if wait_s is None or self._has_sleeper:
                    self._todo.wait()
                else:
                    self._nap(wait_s)
            return None

    def _wait_s(self) -> float | None:
        """0 where a task is ready and may start, else how long until then; None where nothing waits."""
        now_s = self._clock.monotonic_s()
        if self._aside and self._aside[0][0] <= now_s:
            self._ready.appendleft(heapq.heappop(self._aside)[2])
        self._fill()
        if not self._ready:
            return self._aside[0][0] - now_s if self._aside else None
        wait_s = self._pace.start()
        if self._pace.ended is not None:
            self._give_up(failure_of(None, self._pace.ended))
        return wait_s

    def _nap(self, wait_s: float) -> None:
        self._has_sleeper = True
        self._todo.release()
        try:
            self._clock.sleep(min(wait_s, _NAP_S))
        finally:
            self._todo.acquire()
            self._has_sleeper = False

    def _put(self, task: T, answer: R | Again | Failure[T]) -> None:
        if isinstance(answer, Again):
            self._note(answer)
            self._aside_put(task, answer)
            return
        if isinstance(answer, Failure):
            self._judge(answer)
        else:
            self._pace.succeeded()
        self._ends.append((task, answer))
        self._news.notify()

    def _aside_put(self, task: T, again: Again) -> None:
        due_s = self._clock.monotonic_s() + max(0.0, again.after_s)
        heapq.heappush(self._aside, (due_s, next(self._numbers), task))
        self._todo.notify()
        if self._given_up is not None:
            self._news.notify()

    def _note(self, again: Again) -> None:
        if again.gained:
            self._pace.succeeded()
        if again.pause_s > 0:
            self._pace.pause(again.pause_s)
        # A pause has an end of its own; a service that asks for none and does nothing has not.
        if again.error is not None and not (again.pause_s > 0 and isinstance(again.error, QuotaExceeded)):
            self._pace.failed(again.error.message)
        if self._pace.ended is not None:
            self._give_up(failure_of(None, self._pace.ended))

    def _judge(self, failure: Failure[T]) -> None:
        if failure.exit_code in _STOPPING or failure.code in _STOPPING_CODES:
            self._give_up(failure.at(None))
        elif failure.code == Rejected.code:
            self._pace.succeeded()
        elif failure.exit_code == 5 and failure.retryable and failure.code != QuotaExceeded.code:
            self._pace.failed(failure.message)

    def _give_up(self, why: Failure[None]) -> None:
        if self._given_up is None:
            self._given_up = Failure(
                None, why.code, f"left for the next run: {why.message}", why.hint, True, why.exit_code
            )
            self._todo.notify_all()
            self._news.notify()
