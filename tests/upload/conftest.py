"""A ride whose photos are ready, made once and copied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox
from crashpoints import Server

from .commands import served
from .rides import Ride, fill, prepared, processed


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 photos in 3 sequences, with their descriptions, and the state of the run that wrote them."""
    home = tmp_path_factory.mktemp("template")
    folder = fill(home / "ride")
    processed(folder, home)
    return folder


@pytest.fixture
def ride(template: Path, tmp_path: Path) -> Iterator[Ride]:
    """A copy of it, and a sandbox of its own."""
    with prepared(template, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def foreign() -> Iterator[MapillarySandbox]:
    """A host that nobody has any business with."""
    with MapillarySandbox() as running:
        yield running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Starts commands quickly."""
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running
