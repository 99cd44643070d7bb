"""A sandbox, a cache of one's own, and clients that wait for nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from camtrail.app.context import Context
from camtrail.app.inaturalist_service import open_cache, open_client
from camtrail.core.secrets import Secret
from camtrail.services.inaturalist.client import Client
from camtrail.services.inaturalist.sandbox import InaturalistSandbox

Open = Callable[..., Client]


class QuickClock:
    """Sleeping returns at once, and it is later."""

    def __init__(self) -> None:
        self.at_s = 1_800_000_000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.slept.append(seconds)
            self.at_s += seconds


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


@pytest.fixture
def box() -> Iterator[InaturalistSandbox]:
    with InaturalistSandbox() as made:
        yield made


@pytest.fixture
def connect(box: InaturalistSandbox, tmp_path: Any, clock: QuickClock) -> Iterator[Open]:
    """A client of the sandbox, with the one cache of the test: `connect(token="…", offline=True)`."""
    with ExitStack() as stack:

        def made(token: str = "", url: str = "", **options: Any) -> Client:
            cache = open_cache(Context(clock=clock), str(tmp_path / "cache"), **options)
            stack.callback(cache.close)
            given = Secret(token) if token else None
            return stack.enter_context(open_client(url or box.url, given, cache, clock))

        yield made
