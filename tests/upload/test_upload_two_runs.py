"""Two uploads at once: of one folder, and of two copies of one folder."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crashpoints import Server

from .commands import Command, Said, Stopper, served
from .rides import fill

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs fork")

N = 8


@pytest.fixture(scope="module")
def servers(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with served(tmp_path_factory.mktemp("served")) as other:
        yield server, other


class Both:
    """Two commands of one user, the first of which can be held in the middle of a request."""

    def __init__(self, servers: tuple[Server, Server], home: Path) -> None:
        self.box = Stopper()
        self.box.when = self._hold
        self.first, self.second = (
            Command(server, home, self.box, said=str(i)) for i, server in enumerate(servers)
        )
        self._held = threading.Event()
        self._free = threading.Event()
        self._threads = ThreadPoolExecutor(2)

    def _hold(self) -> None:
        self._held.set()
        self._free.wait(60)

    def begin(self, folder: Path, fault: str) -> None:
        """The first begins, and is held where the fault is met."""
        self.box.set_faults([fault])
        self._ended = self._threads.submit(self.first.upload, folder)
        assert self._held.wait(30)

    def end(self) -> Said:
        """The first goes on to its end."""
        self._free.set()
        return self._ended.result(60)

    def times(self) -> list[int]:
        return [image["times"] for image in self.box.received()["images"]]

    def __enter__(self) -> Both:
        return self

    def __exit__(self, *_: object) -> None:
        self._free.set()
        self._threads.shutdown()
        self.box.close()


POINTS = ["delay=1,path=/me", "delay=1,path=*.jpg,nth=7", "delay=1,path=/finish_upload,nth=1"]


@pytest.mark.parametrize("fault", POINTS)
@pytest.mark.parametrize("is_copy", [False, True])
def test_the_second_ends_at_once(
    servers: tuple[Server, Server], tmp_path: Path, fault: str, is_copy: bool
) -> None:
    folder = fill(tmp_path / "ride", N)
    other = Path(shutil.copytree(folder, tmp_path / "copy")) if is_copy else folder
    with Both(servers, tmp_path) as both:
        both.begin(folder, fault)
        if is_copy and fault == POINTS[0]:
            # Neither has the account yet: whoever is first has it, and nothing goes out twice.
            both.box.set_faults([])
            second = both.second.upload(other)
            assert second.code == 0, second
            first = both.end()
            assert first.code == 0 and first.json["upload"]["counts"]["already_uploaded"] == N, first
        else:
            second = both.second.upload(other)
            assert second.code == 9 and second.elapsed_s < 2.5, second
            assert "another run" in second.text and "--wait" in second.text, second
            first = both.end()
            assert first.code == 0, first
            again = both.second.upload(other)
            assert again.code == 0 and again.json["upload"]["counts"]["already_uploaded"] == N, again
        assert both.times() == [1] * N


@pytest.mark.parametrize("is_copy", [False, True])
def test_or_waits(servers: tuple[Server, Server], tmp_path: Path, is_copy: bool) -> None:
    folder = fill(tmp_path / "ride", N)
    other = Path(shutil.copytree(folder, tmp_path / "copy")) if is_copy else folder
    with Both(servers, tmp_path) as both:
        both.begin(folder, POINTS[1])
        waiting = both._threads.submit(both.second.upload, other, more=("--wait",))
        with pytest.raises(TimeoutError):
            waiting.result(1.5)
        assert both.end().code == 0
        second = waiting.result(60)
        assert second.code == 0 and second.json["upload"]["counts"]["already_uploaded"] == N, second
        assert both.times() == [1] * N


@pytest.mark.parametrize("round_", range(4))
def test_both_begin_in_the_same_moment(servers: tuple[Server, Server], tmp_path: Path, round_: int) -> None:
    folder = fill(tmp_path / "ride", N)
    other = Path(shutil.copytree(folder, tmp_path / "copy")) if round_ % 2 else folder
    with Both(servers, tmp_path) as both:
        ends = [both._threads.submit(c.upload, f) for c, f in ((both.first, folder), (both.second, other))]
        codes = sorted(end.result(60).code for end in ends)
        assert codes in ([0, 0], [0, 9]), codes
        assert both.times() == [1] * N
        assert [m["times"] for m in both.box.received()["manifests"]] == [1, 1]


def test_another_account_has_its_own_turn(servers: tuple[Server, Server], tmp_path: Path) -> None:
    folder = fill(tmp_path / "ride", N)
    other = Path(shutil.copytree(folder, tmp_path / "copy"))
    with Both(servers, tmp_path) as both:
        both.begin(folder, POINTS[1])
        second = both.second.upload(other, env={"MAPILLARY_TOKEN": "somebody"})
        assert second.code == 0 and second.json["upload"]["counts"] == {"uploaded": N}, second
        assert both.end().code == 0
