"""A ledger that cannot be written, at each of its writes: nothing is published that is not written down first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from camtrail.app import upload as upload_app
from camtrail.app.mapillary_options import AccountOptions, ToolOptions
from camtrail.catalog.ledger import Ledger
from camtrail.core.errors import StorageError
from crashpoints import TRACE_ALL, Server, injection, points

from .commands import Command, Stopper
from .rides import IMAGES, Ride, fill, prepared

WRITES = ("put_account", "put_stored", "begin", "end")


class _Full:
    """Lets the k-th write of a ledger fail, before it was done or, as on a network drive, after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, is_done: bool) -> None:
        self.k = 0
        self.is_done = is_done
        self.made: list[str] = []

        class Failing(Ledger):
            pass

        for name in WRITES:
            setattr(Failing, name, self._failing(name, getattr(Ledger, name)))
        monkeypatch.setattr(upload_app, "Ledger", Failing)

    def _failing(self, name: str, write: Any) -> Any:
        def call(ledger: Ledger, *args: Any, **more: Any) -> Any:
            self.made.append(f"{name} {args[1]}" if name == "end" else name)
            fails = len(self.made) >= self.k > 0
            if fails and not self.is_done:
                raise StorageError("ledger.sqlite: cannot be written (disk is full)", "free some space")
            answer = write(ledger, *args, **more)
            if fails:
                raise StorageError("ledger.sqlite: cannot be written (input/output error)", "free some space")
            return answer

        return call


@pytest.mark.parametrize("is_done", [False, True])
def test_whichever_write_fails(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    full = _Full(monkeypatch, is_done)
    with prepared(template, tmp_path / "clean") as ride:
        assert ride.run(number_threads=1).code == 0
    clean = full.made
    assert clean.count("begin") == clean.count("end done") == 3 and clean.count("put_stored") >= 3
    in_doubt: list[str] = []
    for k in range(1, len(clean) + 1):
        with prepared(template, tmp_path / str(k)) as ride:
            full.k, full.made = k, []
            ended = ride.run(number_threads=1)
            failed = full.made[k - 1 :]  # the disk stays full
            report = f"{failed}, {'after they were done' if is_done else 'not done'}: {ended}"
            assert failed and ended.code == 7, report
            assert k == 1 or sum(ended.counts.values()) == IMAGES, report
            assert any("ledger.sqlite" in f.message for f in ended.failures), report
            # At most the one whose turn it was is published and not written down.
            assert ended.counts["uncertain"] == 4 * ("end done" in failed), report
            assert len(ended.calls) * 4 == ended.counts["uploaded"] + ended.counts["uncertain"], report

            full.k = 0
            again = ride.run(number_threads=1)
            report += f"; again: {again}"
            assert ride.times() == [1] * IMAGES and set(ride.published().values()) <= {1}, report
            # What is written down as sent is in doubt, even where it was never made.
            expected = ("begin" if is_done else "end done") in failed
            assert again.counts["uncertain"] == 4 * expected, report
            assert again.code == (5 if expected else 0), report
            in_doubt += failed[:1] if expected else []
    assert in_doubt


@pytest.mark.strace
@pytest.mark.skipif(os.name == "nt", reason="Linux only")
def test_a_disk_that_is_full(server: Server, tmp_path: Path) -> None:
    """The same by the system's own calls: some of those that write the ledger fail as on a full disk."""
    base = fill(tmp_path / "base" / "ride", 8)
    data = ".local/share/camtrail"
    folder = tmp_path / "clean" / "ride"
    shutil.copytree(base, folder)
    log = str(tmp_path / "log")
    with Stopper() as box:
        command = Command(server, tmp_path / "clean", box)
        line = ["mapillary", "process_and_upload", "ride", "--user_name", "tester", "--number-threads", "1"]
        home = str(tmp_path / "clean")
        assert server.run(line, home, command.environment(), strace=TRACE_ALL, log=log) == 0
    found = [
        p for p in points(log, f"{home}/{data}") if p.name in ("pwrite64", "write", "fdatasync", "fsync")
    ]
    assert len(found) > 10
    wrong = []
    for number, point in enumerate(found[:: max(1, len(found) // 8)]):
        here = tmp_path / str(number)
        shutil.copytree(base, here / "ride")
        with Stopper() as box:
            command = Command(server, here, box)
            faulty = injection(point, str(here / data), "ENOSPC")
            code = server.run(line, str(here), command.environment(), str(here / "said"), faulty, log)
            again = server.run(line, str(here), command.environment(), str(here / "again"))
            lists = [m["times"] for m in box.received()["manifests"]]
            images = [i["times"] for i in box.received()["images"]]
            doubtful = "nobody knows" in (here / "again").read_text()
            if code not in (7, 0) or again != (5 if doubtful else 0) or images != [1] * 8 or max(lists) > 1:
                wrong.append(
                    f"{point}: {code}, then {again}: {lists}, {images}; {(here / 'said').read_text()}"
                )
    assert not wrong, "\n".join(wrong)


def test_the_ledger_is_the_users_own_where_nothing_is_said(ride: Ride, tmp_path: Path) -> None:
    ended = ride.run(options=ToolOptions(account=AccountOptions(user_name="tester")))
    assert ended.code == 0 and not ride.ledger.exists()
    assert list(Path(os.environ["HOME"]).rglob("ledger.sqlite"))
