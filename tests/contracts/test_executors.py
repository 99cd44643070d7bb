"""What every executor promises: one answer for each item, in their order, and no exception for any of them."""

from __future__ import annotations

import itertools
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.core.errors import Failure, MissingDependency, StorageError, UnreadableFile, UsageError
from camtrail.executors import processes
from camtrail.executors.dask import Dask
from camtrail.executors.processes import Processes, chunks, crash
from camtrail.executors.serial import Serial


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    ) as made:
        yield made


@pytest.fixture(params=["serial", "processes", "dask"])
def executor(request):
    if request.param == "serial":
        made = Serial()
    elif request.param == "processes":
        made = Processes(2, chunk=3)
    else:
        made = Dask(request.getfixturevalue("cluster").scheduler_address, chunk=3)
    yield made
    made.close()


def square(x):
    return x * x


def troubled(x):
    """Items by their remainder: an answer, an unreadable file, a full disk, a defect."""
    if x % 4 == 1:
        raise UnreadableFile(f"{x}\udcff.jpg", "is cut off", "copy it again", retryable=True)
    if x % 4 == 2:
        raise StorageError("the disk is full", "make room")
    if x % 4 == 3:
        return x // 0
    return x


def deadly(x):
    if x < 0:
        os._exit(13)
    return x


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.lock = itertools.count()
        self.fn = lambda: None


def odd_exception(x):
    raise Unpicklable(1, 2)


def expected(x):
    if x % 4 == 1:
        return Failure(x, "unreadable", "is cut off", "copy it again", True, 3)
    if x % 4 == 2:
        return Failure(x, "storage", "the disk is full", "make room", False, 7)
    return x


def check(found, items):
    assert len(found) == len(items)
    for answer, x in zip(found, items):
        if x % 4 == 3:
            assert (answer.item, answer.code, answer.exit_code, answer.retryable) == (x, "bug", 1, False)
            assert answer.message.startswith("ZeroDivisionError: ")
            assert "in troubled" in answer.detail and "x // 0" in answer.detail
        else:
            assert answer == expected(x)


@pytest.mark.parametrize("n", [0, 1, 3, 4, 100])
def test_one_answer_for_each_item_in_their_order(executor, n):
    assert list(executor.map(square, range(n))) == [x * x for x in range(n)]


def test_exceptions_become_failures_where_they_happen(executor):
    check(list(executor.map(troubled, range(30))), range(30))


@given(st.lists(st.integers(0, 100)))
def test_serial_answers_are_right_for_any_items(items):
    check(list(Serial().map(troubled, items)), items)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(st.integers(0, 100), max_size=20), chunk=st.integers(1, 8))
def test_chunks_of_any_size_give_the_same(cluster, items, chunk):
    dask = Dask(cluster.scheduler_address, chunk=chunk)
    check(list(dask.map(troubled, items)), items)
    dask.close()


def test_an_exception_that_does_not_pickle_is_a_failure_too(executor):
    (found,) = executor.map(odd_exception, [7])
    assert (found.item, found.code) == (7, "bug") and found.message.startswith("Unpicklable")


def test_items_are_taken_when_they_are_needed(executor):
    taken = []

    def items():
        for i in itertools.count():  # without end
            taken.append(i)
            yield i

    answers = executor.map(square, items())
    assert taken == []
    assert list(itertools.islice(answers, 5)) == [0, 1, 4, 9, 16]
    assert len(taken) < 100
    answers.close()
    assert len(taken) < 100


def test_closing_early_leaves_an_executor_that_works(executor):
    answers = executor.map(square, range(1000))
    next(answers)
    answers.close()
    assert list(executor.map(square, [3])) == [9]


def test_an_error_of_the_items_themselves_comes_through(executor):
    def items():
        yield 1
        raise ValueError("the list ends here")

    with pytest.raises(ValueError, match="the list ends here"):
        list(executor.map(square, items()))
    assert list(executor.map(square, [3])) == [9]


@pytest.fixture(params=["processes", "dask"])
def remote(request):
    if request.param == "processes":
        made = Processes(2, chunk=3)
    else:
        made = Dask(request.getfixturevalue("cluster").scheduler_address, chunk=3)
    yield made
    made.close()


def test_a_worker_that_dies_costs_one_item(remote, monkeypatch):
    # The scheduler lives in this process, and calls it an error.
    monkeypatch.setattr(logging.getLogger("distributed.scheduler"), "disabled", True)
    items = [0, 1, -2, 3, 4, 5, 6, 7]
    found = list(remote.map(deadly, items))
    assert found == [crash(x) if x < 0 else x for x in items]


def test_several_deadly_items():
    items = [-1, -2, 3, *range(10, 30), -4]
    found = list(Processes(2, chunk=3).map(deadly, items))
    assert found == [crash(x) if x < 0 else x for x in items]


@pytest.mark.parametrize("k", range(1, 12))
def test_a_pool_that_is_found_broken_when_it_is_given_work(k, monkeypatch):
    """A worker may die while nobody waits for an answer; the next chunk is then refused, and not lost."""
    asked, ran = [], []

    class Pool(ThreadPoolExecutor):
        def submit(self, *args):
            asked.append(args)
            if len(asked) == k:
                raise BrokenProcessPool("a worker died")
            return super().submit(*args)

    monkeypatch.setattr(Processes, "_pool", lambda self: Pool(1))
    answers = Processes(1, chunk=2).map(lambda x: ran.append(x) or x, range(14))
    monkeypatch.setattr(processes, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    assert list(answers) == list(range(14))
    assert len(ran) <= 14 + 3 * 2  # what was answered before is not asked again


def test_every_thread_of_a_cluster_has_work():
    class Client:
        waiting = 0

        def nthreads(self):
            return {f"tcp://host:{i}": 4 for i in range(20)}

        def submit(self, fn, *args, pure):
            self.waiting += 1
            return SimpleNamespace(result=lambda: fn(*args))

    dask = Dask.__new__(Dask)
    dask.chunk, dask._client = 1, Client()
    answers = dask.map(square, itertools.count())
    assert next(answers) == 0
    assert 80 <= dask._client.waiting <= 400


def test_chunks():
    assert list(chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(chunks([], 3)) == []


@pytest.mark.parametrize("arguments", [(0, 5), (2, 0)])
def test_no_workers_or_no_items_is_misuse(arguments):
    with pytest.raises(ValueError, match="1 or more"):
        Processes(*arguments)


def test_dask_that_is_not_installed_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match=r"pip install 'camtrail\[cluster\]'"):
        Dask("tcp://127.0.0.1:1")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_no_scheduler_at_an_address(address, monkeypatch):
    import distributed

    real = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda *a, timeout, **k: real(*a, timeout="0.2s", **k))
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at .*; start one") as e:
        Dask(address)
    assert e.value.exit_code == 2
