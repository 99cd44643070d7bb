"""A sandbox, a cache of one's own, and clients that wait for nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from camtrail.app.context import Context
from camtrail.app.inaturalist_service import open_cache, open_client
from camtrail.core.secrets import Secret
from camtrail.services.inaturalist.client import Client
from camtrail.services.inaturalist.sandbox import InaturalistSandbox
from clocks import FakeClock

Open = Callable[..., Client]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_800_000_000.0)


@pytest.fixture
def box() -> Iterator[InaturalistSandbox]:
    with InaturalistSandbox() as made:
        yield made


@pytest.fixture
def connect(box: InaturalistSandbox, tmp_path: Any, clock: FakeClock) -> Iterator[Open]:
    """A client of the sandbox, with the one cache of the test: `connect(token="…", offline=True)`."""
    with ExitStack() as stack:

        def made(token: str = "", url: str = "", **options: Any) -> Client:
            cache = open_cache(Context(clock=clock), str(tmp_path / "cache"), **options)
            stack.callback(cache.close)
            given = Secret(token) if token else None
            return stack.enter_context(open_client(url or box.url, given, cache, clock))

        yield made
