"""Lists of 200 images, the folder that an undisturbed run makes of them, and sandboxes that serve them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox
from crashpoints import Server

from .commands import served
from .folders import Folder, Run, sequence_of, write_lists

SEQUENCES, IMAGES = 4, 50


@pytest.fixture(scope="session")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sequences of 50 images, and two lists of 50 pairs."""
    return write_lists(tmp_path_factory.mktemp("lists") / "lists", SEQUENCES, IMAGES)


@pytest.fixture(scope="session")
def one_list(lists: Path) -> Path:
    """The list of the first sequence."""
    return lists / f"{sequence_of(0)}.txt"


@pytest.fixture(scope="session")
def undisturbed(lists: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pictures, by their paths, after a run that nobody disturbed."""
    folder = Folder(tmp_path_factory.mktemp("undisturbed"))
    with MapillarySandbox(data=str(lists)) as box:
        done = Run(box).lists(lists, folder.path, picture_size="1024")
    assert done.code == 0 and done.counts == {"fetched": SEQUENCES * IMAGES}, done
    return folder.files()


@pytest.fixture
def box(lists: Path) -> Iterator[MapillarySandbox]:
    """A sandbox that has the images of the lists."""
    with MapillarySandbox(data=str(lists)) as running:
        yield running
        assert running.received()["tokens_at_images"] == 0


@pytest.fixture
def made_box() -> Iterator[MapillarySandbox]:
    """A sandbox with the made-up collection."""
    with MapillarySandbox() as running:
        yield running
        assert running.received()["tokens_at_images"] == 0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Starts commands quickly."""
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def sandbox() -> Iterator[Callable[..., MapillarySandbox]]:
    """Makes sandboxes that end with the test."""
    running: list[MapillarySandbox] = []

    def made(**more: Any) -> MapillarySandbox:
        running.append(MapillarySandbox(**more))
        return running[-1]

    yield made
    for one in running:
        one.close()
