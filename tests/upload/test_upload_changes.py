"""Photos and files that change on this side while they are uploaded."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from camtrail.catalog import ledger as ledger_module
from camtrail.catalog.ledger import Ledger
from camtrail.core.fs import RealFileSystem, Status

from .rides import IMAGES, Ride, finishes, heavy, process_and_upload

ONE = "IMG_005.jpg"


class Meddling(RealFileSystem):
    """Somebody changes a photo after it was settled what goes, and before it goes."""

    def __init__(self, name: str, do: Callable[[], object]) -> None:
        self._name = name
        self._do: Callable[[], object] | None = do

    def status(self, path: str) -> Status:
        if path.endswith(self._name) and self._do is not None:
            do, self._do = self._do, None
            do()
        return super().status(path)


def _deleted(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _another_picture(path: Path) -> None:
    """The same size, another colour."""
    data = bytearray(path.read_bytes())
    data[-8] ^= 4
    path.write_bytes(data)


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def _replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES = [_deleted, _cut, _emptied, _another_picture, _longer, _replaced_by_a_folder]


@pytest.mark.parametrize("do", CHANGES)
@pytest.mark.parametrize("when", ["while it is settled", "before it is sent", "while it is sent"])
def test_a_photo_that_changes(ride: Ride, do: Callable[[Path], None], when: str) -> None:
    """Two are sent at a time at most, and the first ones are `IMG_000.jpg` and `IMG_001.jpg`."""
    path = ride.folder / ("IMG_000.jpg" if when == "while it is sent" else ONE)
    if when == "while it is settled":
        ride.fs = Meddling(ONE, lambda: do(path))
        ended = ride.run()
    else:
        ended = ride.run(transferred=once(lambda: do(path)), number_threads=1)
    report = f"{do.__name__} {when}: {ended}"
    assert ended.code == 3, report
    was_left_out = ended.counts == {"uploaded": 11, "failed": 1}
    assert was_left_out or ended.counts == {"uploaded": 8, "held": 3, "failed": 1}, report
    assert not was_left_out or when == "while it is settled", report
    (failure,) = ended.failures
    assert failure.item == str(path) and failure.hint, report

    ride.fs = RealFileSystem()
    is_photo = do in (_another_picture, _longer)
    again = ride.run(process_and_upload)
    report += f"; again: {again}"
    assert again.code == (3 if path.is_file() and not is_photo else 0), report
    assert again.counts["uploaded"] == is_photo + (0 if was_left_out else 3), report
    assert set(ride.published().values()) == {1} and len(ride.published()) == IMAGES - 1 + is_photo, report
    # What is published is what stands in the files.
    names = ride.published()
    arrived = {i["sha256"] for i in ride.box.received()["images"] if i["name"] in names}
    left = [p for p in ride.folder.glob("*.jpg") if p.is_file() and (p != path or is_photo)]
    assert arrived == ride.sums(left), report


def once(do: Callable[[], object]) -> Callable[[Any], None]:
    """A watcher of transfers that does something at its first call."""
    lock = threading.Lock()

    def watch(transfer: Any) -> None:
        if transfer.size_bytes and lock.acquire(blocking=False):
            do()

    return watch


@pytest.mark.parametrize("do", [_cut, _deleted, _another_picture])
def test_a_large_photo_that_changes_while_it_is_sent(
    tmp_path: Path, ride: Ride, do: Callable[[Path], None]
) -> None:
    for path in ride.folder.glob("*.jpg"):
        path.unlink()
    large = ride.folder / "large.jpg"
    large.write_bytes(heavy(0))
    ride.ready()
    if do is _cut:
        ended = ride.run(transferred=once(lambda: os.truncate(large, 1_500_000)))
    else:
        ended = ride.run(transferred=once(lambda: do(large)))
    assert ended.code == 3 and ended.counts == {"failed": 1}, ended
    assert ended.failures[0].item == str(large) and "changed" in ended.failures[0].message, ended
    assert not finishes(ended.requests) and not ride.published()


def test_a_photo_that_was_only_touched_is_sent_once(ride: Ride) -> None:
    ride.fs = Meddling(ONE, lambda: os.utime(ride.folder / ONE, ns=(1, 1)))
    assert ride.run().code == 3
    again = ride.run(process_and_upload)
    assert again.code == 0 and ride.times() == [1] * IMAGES, again


class TestLedger:
    def test_damaged(self, ride: Ride) -> None:
        assert ride.run().code == 0
        before = ride.ledger.read_bytes()
        ride.ledger.write_bytes(b"\xff" * 40 + before[40:])
        ended = ride.run(reupload=True)
        assert ended.code == 8 and "backup" in ended.failures[0].hint, ended
        assert [r.path for r in ended.requests] == ["/me"]
        ride.ledger.write_bytes(before)
        again = ride.run()
        assert again.code == 0 and again.counts == {"already_uploaded": IMAGES}

    def test_another_programs_file(self, ride: Ride) -> None:
        ride.ledger.parent.mkdir()
        ride.ledger.write_text("dear diary\n" * 100)
        ended = ride.run()
        assert ended.code == 8 and not ride.times() and ride.ledger.read_text().startswith("dear diary"), (
            ended
        )

    def test_locked(self, ride: Ride, monkeypatch: pytest.MonkeyPatch) -> None:
        assert ride.run().code == 0
        monkeypatch.setattr(ledger_module, "_WAIT_S", 0.3)
        with sqlite3.connect(ride.ledger, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            ended = ride.run()
            other.execute("ROLLBACK")
        other.close()
        assert ended.code == 8 and "wait for the other run" in ended.failures[0].hint, ended
        assert ride.run().code == 0 and ride.times() == [1] * IMAGES

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place that takes no files")
    def test_where_nothing_can_be_written(self, ride: Ride) -> None:
        for path in (
            "/proc/ledger.sqlite",
            "/proc/self/deeper/ledger.sqlite",
            f"{ride.folder}/{ONE}/ledger.sqlite",
        ):
            ended = ride.run(ledger=path)
            assert ended.code == 7 and "--ledger" in ended.failures[0].hint, ended
            assert len(ended.failures) == 1 and not ride.times()
        assert ride.run().code == 0

    def test_lost_it_is_made_anew_and_what_the_service_has_is_not_sent_twice(self, ride: Ride) -> None:
        ride.box.set_faults(["status=503,path=/finish_upload"])
        assert ride.run(max_attempts=1).code == 5
        ride.ledger.unlink()
        ride.box.set_faults([])
        again = ride.run()
        assert again.code == 0 and ride.times() == [1] * IMAGES, again
        assert sum(r.body_bytes for r in again.requests if r.path.endswith(".jpg")) == 0


def _two_free_ports() -> int:
    """The first of two that follow each other: a stand-in has a second origin."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


def test_what_the_service_forgot_is_sent_again(ride: Ride) -> None:
    """It keeps what is not published for two days, as people say; the ledger believes it has it still."""
    from camtrail.services.mapillary.sandbox import MapillarySandbox

    ride.box.close()
    port = _two_free_ports()
    ride.box = MapillarySandbox(port=port, faults=["status=503,path=/finish_upload"])
    assert ride.run(max_attempts=1).counts == {"held": IMAGES}
    ride.box.close()
    with MapillarySandbox(port=port) as fresh:
        ride.box = fresh
        ended = ride.run()
        assert ended.code == 3 and ended.counts == {"held": IMAGES}, ended
        assert all("run again" in f.hint for f in ended.failures), ended
        again = ride.run()
        assert again.code == 0 and ride.times() == [1] * IMAGES, again


@pytest.mark.parametrize("fault", ["lost,path=/finish_upload,nth=2", "status=500,path=/finish_upload,nth=2"])
def test_who_looked_can_say_what_became_of_it(ride: Ride, fault: str) -> None:
    ride.box.set_faults([fault])
    assert ride.run().counts == {"uploaded": 8, "uncertain": 4}
    ride.box.set_faults([])
    assert ride.run(retry_uncertain=True, accept_uncertain=True).code == 2
    was_published = fault.startswith("lost")
    ended = ride.run(accept_uncertain=was_published, retry_uncertain=not was_published)
    expected = {"already_uploaded": 12} if was_published else {"already_uploaded": 8, "uploaded": 4}
    assert ended.code == 0 and ended.counts == expected, ended
    last = ride.run()
    assert last.code == 0 and last.counts == {"already_uploaded": IMAGES}, last
    assert ride.times() == [1] * IMAGES and set(ride.published().values()) == {1}
    with Ledger(str(ride.ledger)) as ledger:
        (counts,) = ledger.counts().values()
    assert (counts.published, counts.stored, counts.uncertain) == (IMAGES, 0, 0)


def test_many_publications_without_an_answer_end_publishing(tmp_path: Path, ride: Ride) -> None:
    from .rides import fill

    for path in ride.folder.glob("*.jpg"):
        path.unlink()
    fill(ride.folder, 40)
    ride.box.set_faults(["lost,path=/finish_upload"])
    ended = ride.run(process_and_upload, number_threads=1)
    assert ended.code == 5 and ended.counts["uncertain"] <= 16 and ended.counts["held"] >= 24, ended
    assert len(finishes(ended.requests)) <= 4
    ride.box.set_faults([])
    again = ride.run()
    assert again.code == 5 and again.counts["uploaded"] == ended.counts["held"], again


def test_a_photo_that_was_edited_stays_in_its_sequence(ride: Ride) -> None:
    """It carries its description; only what was found of it before counts no more."""
    data = bytearray((ride.folder / ONE).read_bytes())
    data[-8] ^= 4
    (ride.folder / ONE).write_bytes(data)
    ended = ride.run()
    assert ended.code == 0 and ended.counts == {"uploaded": IMAGES}, ended
    assert [len(m["images"]) for m in ride.box.received()["manifests"]] == [4, 4, 4]


def test_a_second_upload_on_purpose_is_a_list_of_its_own(ride: Ride) -> None:
    assert ride.run().code == 0
    for n in (2, 3):
        ride.clock.sleep(1.0)
        ended = ride.run(reupload=True)
        assert ended.code == 0 and ended.counts == {"uploaded": IMAGES}, ended
        assert [m["times"] for m in ride.box.received()["manifests"]] == [1] * 3 * n
    assert ride.run().counts == {"already_uploaded": IMAGES}
