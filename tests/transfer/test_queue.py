"""Tasks in threads: each ends once, none that waits holds a worker, and trouble that all would meet ends it."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.core.clock import RealClock
from camtrail.core.errors import (
    AuthError,
    CatalogError,
    Failure,
    QuotaExceeded,
    Rejected,
    SafetyRefusal,
    StorageError,
    Unreachable,
    UnreadableFile,
)
from camtrail.transfer.http import Untrusted
from camtrail.transfer.pace import Pace
from camtrail.transfer.queue import Again, Queue
from clocks import FakeClock


def queue(step, tasks=(), *, workers=4, clock=None, pace=None, **more):
    clock = clock or FakeClock()
    return Queue(step, workers=workers, clock=clock, pace=pace or Pace(clock), tasks=tasks, **more)


def ended(step, tasks, **more):
    with queue(step, tasks, **more) as q:
        return list(q)


class Scripted:
    """Steps as they were written down; watches that no two of one task overlap, and that none comes too early."""

    def __init__(self, scripts, clock):
        self.scripts = [list(s) for s in scripts]
        self.clock = clock
        self.lock = threading.Lock()
        self.busy = set()
        self.due_s = {}

    def __call__(self, task):
        with self.lock:
            assert task not in self.busy
            self.busy.add(task)
        try:
            assert self.clock.at_s >= self.due_s.get(task, 0) - 1e-6
            outcome = self.scripts[task].pop(0)
            if isinstance(outcome, Again):
                self.due_s[task] = self.clock.at_s + outcome.after_s
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            with self.lock:
                self.busy.discard(task)


outcomes = st.sampled_from(
    ["done", Rejected("no"), UnreadableFile("a", "gone", retryable=True), KeyError("bug")]
)
scripts = st.lists(
    st.tuples(st.lists(st.floats(0, 40).map(Again), max_size=4), outcomes).map(lambda t: [*t[0], t[1]]),
    max_size=12,
)


@settings(max_examples=60)
@given(scripts=scripts, workers=st.integers(1, 6))
def test_each_task_ends_once_with_its_own_answer(scripts, workers):
    clock = FakeClock()
    step = Scripted(scripts, clock)
    seen = dict(ended(step, range(len(scripts)), workers=workers, clock=clock))
    assert sorted(seen) == list(range(len(scripts)))
    for task, answer in seen.items():
        expected = scripts[task][-1]
        if isinstance(expected, Exception):
            assert isinstance(answer, Failure) and answer.item == task
            assert answer.code == getattr(expected, "code", "bug")
        else:
            assert answer == expected
    assert not any(step.scripts)


def test_one_that_waits_holds_no_worker():
    clock = FakeClock()
    first = [True]

    def step(task):
        if task == 0 and first:
            first.clear()
            return Again(100)
        return clock.at_s

    order = ended(step, range(50), workers=1, clock=clock)
    assert [task for task, _ in order] == [*range(1, 50), 0]
    assert order[-1][1] >= order[0][1] + 100


def test_those_that_wait_come_back_in_their_order():
    waits = {0: 30.0, 1: 10.0, 2: 20.0, 3: 0.0}

    def step(task):
        wait_s = waits.pop(task, None)
        return "done" if wait_s is None else Again(wait_s)

    assert [t for t, _ in ended(step, range(4), workers=1)] == [3, 1, 2, 0]


def test_nobody_watches_the_clock_all_the_time():
    class Counting(RealClock):
        slept = 0

        def sleep(self, seconds):
            self.slept += 1
            super().sleep(seconds)

    clock = Counting()
    again = [True] * 3
    ended(lambda _: Again(0.3) if again and again.pop() else "done", range(3), clock=clock)
    assert 1 <= clock.slept <= 30


class TestTasks:
    def test_are_taken_when_a_worker_is_free(self):
        taken = itertools.count()
        with queue(lambda task: task, taken, workers=3) as q:
            for n, _ in enumerate(q):
                if n == 20:
                    break
        # Ends that nobody has looked at yet may lie there; a queue that took all would not come back.
        assert next(taken) > 20

    def test_may_be_added_by_who_looks_at_the_ends(self):
        seen = []
        with queue(lambda task: task) as q:
            q.add(5)
            for task, _ in q:
                seen.append(task)
                if task:
                    q.add(task - 1)
        assert seen == [5, 4, 3, 2, 1, 0]

    def test_may_be_added_by_steps(self):
        def step(task):
            if task:
                q.add(task - 1)
                q.add(task - 1)
            return task

        with queue(step, [4]) as q:
            counted = Counter(task for task, _ in q)
        assert counted == {4: 1, 3: 2, 2: 4, 1: 8, 0: 16}

    def test_that_are_added_come_first(self):
        with queue(lambda task: task, range(10), workers=1) as q:
            q.add("a")
            q.add("b")
            assert [task for task, _ in q][:2] == ["a", "b"]

    def test_none_at_all(self):
        assert ended(lambda task: task, []) == []

    def test_whose_source_fails_fail_in_the_callers_thread(self):
        def source():
            yield 1
            raise LookupError("the source")

        seen = []
        with pytest.raises(LookupError), queue(lambda task: task, source()) as q:
            for task, _ in q:
                seen.append(task)
        assert seen in ([], [1])
        no_workers_left()


@pytest.mark.parametrize(
    "error",
    [
        AuthError("no token"),
        StorageError("full"),
        CatalogError("damaged"),
        SafetyRefusal("no"),
        Untrusted("expired"),
    ],
)
class TestTroubleThatAllWouldMeet:
    def test_ends_it(self, error):
        steps = itertools.count()

        def step(task):
            next(steps)
            if task == 3:
                raise error
            return Again(1000) if task < 3 else "done"

        seen = dict(ended(step, range(1000), workers=2))
        assert len(seen) == 1000
        assert next(steps) < 10
        assert seen[3].message == error.message
        left = [a for t, a in seen.items() if isinstance(a, Failure) and t != 3]
        assert len(left) > 990
        assert {(f.code, f.exit_code, f.retryable) for f in left} == {(error.code, error.exit_code, True)}
        assert all(f.message == f"left for the next run: {error.message}" for f in left)
        assert all(f.item != 3 for f in left)

    def test_also_ends_what_is_added_later(self, error):
        def step(task):
            raise error

        with queue(step, [0]) as q:
            answers = []
            for task, answer in q:
                answers.append(answer)
                if task < 5:
                    q.add(task + 1)
        assert [a.code for a in answers] == [error.code] * 6


class TestThePace:
    def test_pauses_everybody(self):
        clock = FakeClock()
        asked_s = []
        again = [True]

        def step(task):
            asked_s.append(clock.at_s)
            if again:
                again.clear()
                return Again(0, pause_s=60, error=QuotaExceeded("slow", retry_after_s=60))
            return "done"

        begun_s = clock.at_s
        assert len(ended(step, range(10), workers=1, clock=clock)) == 10
        assert asked_s[0] == begun_s
        assert min(asked_s[1:]) >= begun_s + 60

    def test_ends_it_where_pauses_would_be_too_long(self):
        clock = FakeClock()
        begun_s = clock.at_s
        quota = QuotaExceeded("slow", retry_after_s=300)
        seen = ended(
            lambda _: Again(0.1, pause_s=300, error=quota),
            range(100),
            clock=clock,
            pace=Pace(clock, longest_s=900),
        )
        assert len(seen) == 100
        assert {(f.code, f.exit_code, f.retryable) for _, f in seen} == {("quota", 5, True)}
        assert clock.at_s - begun_s <= 901

    @pytest.mark.parametrize("raises", [False, True])
    @pytest.mark.parametrize("workers", [1, 4])
    def test_ends_it_where_nothing_answers(self, workers, raises):
        clock = FakeClock()
        begun_s = clock.at_s
        steps = itertools.count()

        def step(_):
            next(steps)
            if raises:
                raise Unreachable("it cannot be reached")
            return Again(0.1, error=Unreachable("it cannot be reached"))

        seen = ended(step, range(1000), workers=workers, clock=clock)
        assert len(seen) == 1000
        assert all(isinstance(f, Failure) and (f.exit_code, f.retryable) == (5, True) for _, f in seen)
        assert 45 <= clock.at_s - begun_s <= 80
        assert next(steps) < 40

    def test_goes_on_where_something_succeeds_now_and_then(self):
        clock = FakeClock()
        tries = Counter()

        def step(task):
            tries[task] += 1
            return "done" if tries[task] > 8 else Again(1.0, error=Unreachable("no"), gained=tries[task] == 4)

        assert {a for _, a in ended(step, range(40), clock=clock)} == {"done"}

    def test_is_told_that_a_rejected_item_was_an_answer(self):
        clock = FakeClock()
        pace = Pace(clock)

        def step(task):
            clock.sleep(10)
            if task % 10 == 0:
                raise Rejected("no")
            raise Unreachable("no")

        ended(step, range(100), workers=1, clock=clock, pace=pace)
        assert pace.ended is None

    def test_keeps_a_rate(self):
        clock = FakeClock()
        begun_s = clock.at_s
        ended(lambda task: task, range(101), clock=clock, pace=Pace(clock, per_s=10))
        assert clock.at_s - begun_s == pytest.approx(9.1, abs=0.2)


def no_workers_left():
    assert [t.name for t in threading.enumerate() if t.name.startswith("transfer-")] == []


class TestStopping:
    def test_happens_at_the_end_of_the_iteration(self):
        with queue(lambda task: task, range(5), workers=8) as q:
            assert len(list(q)) == 5
            no_workers_left()

    def test_before_the_beginning(self):
        q = queue(lambda task: task, range(5))
        q.stop()
        assert list(q) == []
        no_workers_left()

    @pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
    def test_by_an_interrupt_in_the_loop_ends_steps_too(self, interrupt):
        closed, begun = threading.Event(), threading.Event()
        called = []

        def step(task):
            if task:
                begun.set()
                closed.wait(30)
                raise Unreachable("closed")
            return task

        def close():
            called.append(1)
            closed.set()

        with pytest.raises(interrupt), queue(step, range(100), workers=3, on_stop=close) as q:
            for _ in q:
                assert begun.wait(30)
                raise interrupt
        assert called == [1]
        no_workers_left()

    def test_wakes_who_watches_the_clock(self):
        with queue(lambda _: Again(10_000), range(5), clock=RealClock()) as q:
            ends = iter(q)
            stopper = threading.Timer(0.1, q.stop)
            stopper.start()
            assert list(ends) == []
            stopper.join()
        no_workers_left()

    def test_closes_nothing_where_no_step_is_going_on(self):
        called = []
        with queue(lambda task: task, range(5), on_stop=lambda: called.append(1)) as q:
            assert len(list(q)) == 5
        assert called == []

    def test_waits_only_so_long(self, monkeypatch):
        from camtrail.transfer import queue as module

        monkeypatch.setattr(module, "_END_S", 0.05)
        release = threading.Event()
        q = queue(lambda task: release.wait(30), [0])
        threading.Timer(0.1, q.stop).start()
        assert list(q) == []
        release.set()
        for thread in threading.enumerate():
            if thread.name.startswith("transfer-"):
                thread.join()

    def test_what_is_no_exception_of_a_step_comes_through(self):
        def step(task):
            raise SystemExit(3)

        with pytest.raises(SystemExit), queue(step, range(3)) as q:
            list(q)
        no_workers_left()
