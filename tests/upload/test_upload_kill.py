"""Uploads that are killed, at chosen requests and bytes and at any time, and then go on; and those that are interrupted."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from crashpoints import Server

from .commands import Command, Said, Stopper
from .rides import fill, heavy

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9 and no fork")

N = 20  # photos, four a sequence


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos as the camera left them."""
    return fill(tmp_path_factory.mktemp("base") / "ride", N)


@pytest.fixture(scope="module")
def undisturbed(usual: tuple[dict[str, str], float]) -> dict[str, str]:
    """The photos after a run that nobody disturbed."""
    return usual[0]


@pytest.fixture(scope="module")
def usual_s(usual: tuple[dict[str, str], float]) -> float:
    """How long such a run takes."""
    return usual[1]


@pytest.fixture(scope="module")
def usual(
    server: Server, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], float]:
    home = tmp_path_factory.mktemp("undisturbed")
    folder = Path(shutil.copytree(base, home / "ride"))
    with Stopper() as box:
        done = Command(server, home, box).upload(folder)
        assert done.code == 0, done
        assert [i["times"] for i in box.received()["images"]] == [1] * N
    return sums(folder), done.elapsed_s


def sums(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.jpg"))}


def calls(home: Path) -> int:
    """How many publications the ledger knows of."""
    with closing(sqlite3.connect(home / ".local/share/camtrail/ledger.sqlite", timeout=10)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM calls").fetchone()[0])


def sent_bytes(box: Stopper) -> int:
    return sum(r.body_bytes for r in box.requests() if r.path.endswith(".jpg"))


def is_right_after(
    box: Stopper, folder: Path, last: Said, undisturbed: dict[str, str], in_doubt: int, kills: int
) -> None:
    """What must be true after any number of kills, when the same command has ended by itself."""
    images = box.received()["images"]
    assert [i["times"] for i in images] == [1] * N, last
    assert sums(folder) == undisturbed, last
    assert {i["sha256"] for i in images} == set(undisturbed.values()), last
    lists = [m for m in box.received()["manifests"] if m["times"]]
    assert [m["times"] for m in lists] == [1] * len(lists), last
    published = sum(len(m["images"]) for m in lists)
    counts = last.json["upload"]["counts"]
    doubtful = counts.get("uncertain", 0)
    assert doubtful % 4 == 0 and doubtful // 4 <= in_doubt, (last, in_doubt)
    assert N - doubtful <= published <= N, last
    assert last.code == (5 if doubtful else 0), last
    assert counts["uploaded"] + counts.get("already_uploaded", 0) + doubtful == N, last
    if doubtful:
        assert "--retry-uncertain" in last.text, last
    # A photo that was on its way is sent again from where the service has it.
    whole = sum(i["bytes"] for i in images)
    assert sent_bytes(box) <= whole + kills * 4 * max(i["bytes"] for i in images)


# A fault, which of the requests it meets in the first run and how many later in each further one, and at which
# of its waits the command is killed.
CHAINS = [
    (*chain, threads)
    for threads in (1, 4)
    for chain in (
        ("stall=1,nth={}", 1, 2, 1),  # before the service does anything
        ("stall=1,nth={}", 2, 5, 1),
        ("delay=1,nth={}", 1, 3, 1),  # after it did it, before its answer
        ("delay=1,nth={}", 4, 4, 1),
        ("slow=400,path=*.jpg,method=POST,nth={}", 1, 1, 30),  # in the middle of a photo
        ("slow=400,path=*.jpg,method=POST,nth={}", 3, 2, 3),
        ("slow=400,path=*.json,method=POST,nth={}", 1, 0, 4),  # in the middle of a list
        ("stall=1,path=/finish_upload,nth={}", 1, 0, 1),  # at a publication
        ("delay=1,path=/finish_upload,nth={}", 2, 0, 1),
    )
]


@pytest.mark.parametrize(("fault", "first", "step", "tick", "threads"), CHAINS)
def test_killed_again_and_again(
    server: Server,
    base: Path,
    undisturbed: dict[str, str],
    tmp_path: Path,
    fault: str,
    first: int,
    step: int,
    tick: int,
    threads: int,
) -> None:
    """The same command, killed in each run, until a run has no such point any more."""
    folder = Path(shutil.copytree(base, tmp_path / "ride"))
    kills = in_doubt = 0
    with Stopper() as box:
        command = Command(server, tmp_path, box)
        ticks = 0

        def when() -> None:
            nonlocal ticks
            ticks += 1
            if ticks == tick:
                command.kill()

        box.when = when
        for run in range(40):
            box.set_faults([fault.format(first + step * run)])
            ticks, before = 0, len(box.requests())
            last = command.upload(folder, more=("--number-threads", str(threads)))
            if last.code != -signal.SIGKILL:
                break
            kills += 1
            # Of several threads others may have been about to publish.
            asked = [r for r in box.requests()[before:] if r.path == "/finish_upload" and r.fault]
            in_doubt += len(asked) if threads == 1 else threads
        assert kills >= 1 and last.code in (0, 5), (kills, last)
        is_right_after(box, folder, last, undisturbed, in_doubt, kills)
        doubtful = last.json["upload"]["counts"].get("uncertain", 0)
        assert threads > 1 or doubtful == 4 * in_doubt, (doubtful, in_doubt, last)
        print(f"{fault}, {threads} threads: {kills} kills, {in_doubt} in doubt")


def test_killed_at_any_time(
    server: Server, base: Path, undisturbed: dict[str, str], tmp_path: Path, usual_s: float
) -> None:
    chance = random.Random(20261120)
    total = 0
    for number in range(30):
        if total >= 24:
            break
        home = tmp_path / str(number)
        folder = Path(shutil.copytree(base, home / "ride"))
        with Stopper() as box:
            command = Command(server, home, box)
            kills = 0
            for n in range(60):
                timer = threading.Timer(chance.uniform(0.0, usual_s * (0.5 + 0.05 * n)), command.kill)
                last = command.upload(folder, started=timer.start)
                timer.cancel()
                timer.join()
                if last.code != -signal.SIGKILL:
                    break
                kills += 1
            is_right_after(box, folder, last, undisturbed, 4 * kills, kills)  # four are sent at a time
            total += kills
    print(f"{total} kills at any time")
    assert total >= 5


def test_a_large_photo_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "ride"
    folder.mkdir()
    (folder / "large.jpg").write_bytes(heavy(0, 100))
    kills = 0
    with Stopper() as box:
        command = Command(server, tmp_path, box)
        box.when = command.kill
        for n in (1, 2, 3, 4):
            # 50 ms worth of 20 MB/s are a chunk of 1 MB.
            box.set_faults(["slow=20000000,path=*.jpg,method=POST"])
            if command.upload(folder).code == -signal.SIGKILL:
                kills += 1
        box.when = lambda: None
        box.set_faults([])
        last = command.upload(folder)
        assert kills >= 2 and last.code == 0, last
        (image,) = box.received()["images"]
        assert image["times"] == 1 and sent_bytes(box) <= image["bytes"] + kills * (1 << 20)


class TestInterrupted:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize(
        ("fault", "doubtful"),
        [
            ("stall=9,nth=1", 0),
            ("stall=9,path=*.jpg,nth=5", 0),
            ("slow=400,path=*.jpg,method=POST,nth=3", 0),
            ("stall=9,path=*.json,nth=1", 0),
            ("stall=9,path=/finish_upload,nth=2", 4),
        ],
    )
    def test_ends_soon_and_goes_on(
        self, server: Server, base: Path, undisturbed: dict[str, str], tmp_path: Path, number: int, code: int, fault: str,
        doubtful: int,
    ) -> None:  # fmt: skip
        folder = Path(shutil.copytree(base, tmp_path / "ride"))
        with Stopper(faults=[fault]) as box:
            command = Command(server, tmp_path, box)
            ended = threading.Event()
            signalled = threading.Event()

            def when() -> None:
                if not signalled.is_set():
                    signalled.set()
                    command.kill(number)
                ended.wait(9)

            box.when = when
            done = command.upload(folder)
            ended.set()
            assert done.code == code and done.elapsed_s < 5, done
            assert "what was done is kept" in done.text and "Traceback" not in done.text, done
            box.set_faults([])
            last = command.upload(folder)
            is_right_after(box, folder, last, undisturbed, doubtful // 4, 1)
            assert last.json["upload"]["counts"].get("uncertain", 0) == doubtful, last

    def test_a_publication_that_is_answered_in_time_is_known(
        self, server: Server, base: Path, undisturbed: dict[str, str], tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(base, tmp_path / "ride"))
        with Stopper(faults=["delay=1,path=/finish_upload,nth=1"]) as box:
            command = Command(server, tmp_path, box)
            box.when = lambda: command.kill(signal.SIGINT)
            done = command.upload(folder)
            assert done.code == 130, done
            box.set_faults([])
            last = command.upload(folder)
            is_right_after(box, folder, last, undisturbed, 0, 1)

    def test_nothing_is_in_doubt_while_the_service_asks_for_a_pause(
        self, server: Server, base: Path, undisturbed: dict[str, str], tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(base, tmp_path / "ride"))
        with Stopper(faults=["status=429,retry-after=300,path=/finish_upload"]) as box:
            command = Command(server, tmp_path, box)

            def wait_and_kill(number: int) -> None:
                while not any(r.path == "/finish_upload" and r.status for r in box.requests()[before:]):
                    pass
                while calls(tmp_path):
                    pass
                command.kill(number)

            for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
                before = len(box.requests())
                killer = threading.Thread(target=wait_and_kill, args=(number,))
                killer.start()
                done = command.upload(folder, more=("--number-threads", "1"))
                killer.join()
                assert done.code == code, done
            box.set_faults([])
            last = command.upload(folder)
            is_right_after(box, folder, last, undisturbed, 0, 2)
