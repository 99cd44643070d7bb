"""Downloads that are killed at any time, and interrupted, and then go on."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pytest

from camtrail.core import geo
from crashpoints import Server

from .commands import Loader, Said, Stopper
from .folders import CONNECTIONS, Folder, Run, fetched_by, of_lists

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9 and no fork")

VPR = Path(__file__).parents[3] / "shared" / "data" / "vpr" / "sequences_ids"


@dataclass(slots=True)
class Killed:
    """What so many kills came to."""

    kills: int = 0
    again: int = 0  # pictures asked for again
    last: Said | None = None


def killed_again_and_again(
    command: Loader, lists: Path, to: Path, kills: int, longest_s: float, seed: int
) -> Killed:
    """The same command, killed so many times at random moments, then left alone."""
    chance, found = random.Random(seed), Killed()
    asked: Counter[str] = Counter()
    ready: set[str] = set()
    for n in range(kills + 1):
        before = len(command.box.requests())
        is_last = n == kills
        # The rest that is to be fetched becomes shorter from run to run.
        timer = threading.Timer(3600 if is_last else chance.uniform(0.05, longest_s), command.kill)
        found.last = command.lists(lists, to, started=timer.start)
        timer.cancel()
        timer.join()
        new = fetched_by(command.box.requests()[before:])
        assert not ready & set(new), "what is whole is not fetched again"
        found.again += sum(asked[id] > 0 for id in new)
        asked += new
        ready |= whole_in(to)
        if found.last.code == -signal.SIGKILL:
            found.kills += 1
        elif not is_last:
            assert found.last.code == 0, found.last
    return found


def whole_in(folder: Path) -> set[str]:
    """The images that are in a folder, ready to be, or have come whole."""
    parts = folder / ".camtrail" / "parts"
    staged = {p.name.partition("_")[0] for p in parts.glob("*.ready")}
    come = {p.name.partition("_")[0] for p in parts.glob("*.jpg") if p.read_bytes().endswith(b"\xff\xd9")}
    return {p.stem for p in folder.glob("*/*.jpg") if p.parent.name != ".camtrail"} | staged | come


def is_complete(folder: Folder, ids: Sequence[str], box: Stopper, found: Killed) -> None:
    """What must be true at the end: each image once, and each fetched once, but for those under way at a kill."""
    assert found.last is not None and found.last.code == 0, found.last
    rows = folder.manifest()
    assert sorted(rows) == sorted(ids)
    folder.is_consistent()
    assert len(folder.files()) == len(ids) and folder.leftovers() == []
    assert {row["state"] for row in rows.values()} == {"fetched"}
    asked = fetched_by(box.requests())
    assert set(asked) == set(ids)
    assert sum(asked.values()) - len(ids) <= CONNECTIONS * found.kills
    assert box.received()["tokens_at_images"] == 0
    table = geopandas.read_parquet(folder.path / "manifest.parquet")
    assert sorted(table["image_id"]) == sorted(ids) and table.geometry.notna().all()
    assert table["sha256"].tolist() == [rows[id]["sha256"] for id in table["image_id"]]


def test_killed_twenty_times(server: Server, tmp_path: Path) -> None:
    lists, ids = of_lists(tmp_path, 6, 50)
    folder = Folder(tmp_path / "out")
    with Stopper(data=str(lists)) as box:
        command = Loader(server, tmp_path / "home", box)
        usual = command.lists(lists, tmp_path / "usual")
        expected = Folder(tmp_path / "usual").files()
        assert usual.code == 0 and len(expected) == len(ids)
    with Stopper(data=str(lists)) as box:
        # Each picture takes a little, so that a kill finds some under way.
        box.set_faults(["delay=0.05,origin=images"])
        box.when = lambda: threading.Event().wait(0.05)
        command = Loader(server, tmp_path / "home", box)
        found = killed_again_and_again(command, lists, folder.path, 20, 0.35, 20261120)
        is_complete(folder, ids, box, found)
        assert folder.files() == expected
        assert found.kills >= 15, found
        checked = command.verify(folder.path)
        assert checked.code == 0 and checked.json["counts"] == {"whole": len(ids)}
    print(f"{found.kills} kills, {found.again} pictures asked for again")


@pytest.mark.data
def test_the_published_lists_killed_twenty_times(server: Server, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    lists = Path(shutil.copytree(VPR, tmp_path / "lists"))
    with Stopper(data=str(lists)) as box:
        command = Loader(server, tmp_path / "home", box)
        found = killed_again_and_again(command, lists, folder.path, 20, 0.45, 7)
        with (folder.path / "manifest.csv").open(newline="") as file:
            ids = [row["image_id"] for row in csv.DictReader(file)]
        assert len(ids) == 3844 and found.kills >= 15, found
        is_complete(folder, ids, box, found)
        checked = command.verify(folder.path)
        assert checked.code == 0 and checked.json["counts"] == {"whole": 3844}
    are_the_lists(folder, lists)
    print(f"{found.kills} kills, {found.again} pictures asked for again")


def are_the_lists(folder: Folder, lists: Path) -> None:
    """The layout that evaluation reads, for every row of every list; and the distances of the lists' pairs."""
    pairs: dict[tuple[str, str], tuple[float, ...]] = {}
    for path in sorted(lists.rglob("*.txt")):
        for line in path.read_text().splitlines():
            cells = line.split(",")
            if len(cells) == 4 and cells[1].isdigit():
                assert (folder.path / cells[0] / f"{cells[1]}.jpg").is_file(), line
            elif len(cells) == 8 and cells[2].isdigit():
                assert (folder.path / cells[0] / f"{cells[2]}.jpg").is_file(), line
                assert (folder.path / cells[1] / f"{cells[3]}.jpg").is_file(), line
                pairs.setdefault((cells[2], cells[3]), tuple(map(float, cells[4:])))
    with (folder.path / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2140 == len(pairs)
    places = np.array([pairs[row["image_database"], row["image_query"]] for row in rows])
    said = np.array([float(row["distance_m"]) for row in rows])
    assert np.abs(said - geo.on_sphere_m(*places.T)).max() < 0.001


def test_a_large_picture_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    noisy(photos / "noise.jpg")
    home, out = tmp_path / "home", Folder(tmp_path / "out")
    with Stopper(data=str(photos)) as box:
        command = Loader(server, home, box)
        (image,) = box_images(box)
        (tmp_path / "id.txt").write_text(image + "\n")
        kills = 0
        box.set_faults(["drip=10000000,origin=images"])  # what is sent in 50 ms are 0.5 MB
        for _ in range(3):
            ticks = iter(range(10_000))

            def when(ticks: Iterator[int] = ticks) -> None:
                threading.Event().wait(0.03)
                if next(ticks) == 2:
                    command.kill()

            box.when = when
            kills += command.lists(tmp_path / "id.txt", out.path).code == -signal.SIGKILL
        box.when = lambda: None
        box.set_faults([])
        last = command.lists(tmp_path / "id.txt", out.path, "--raw")
        ranges = [r.range for r in box.requests() if r.origin == "images"]
        assert last.code == 0 and kills >= 2, last
    offsets = [int(r.removeprefix("bytes=").removesuffix("-")) for r in ranges if r]
    assert len(offsets) >= 2 and offsets == sorted(offsets) and offsets[0] >= 1 << 19, ranges
    assert out.leftovers() == [] and len(out.files()) == 1
    out.is_consistent()


def test_a_picture_that_comes_on_with_each_attempt_is_not_given_up(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    noisy(photos / "noise.jpg")
    out = Folder(tmp_path / "out")
    with Stopper(data=str(photos)) as box:
        (image,) = box_images(box)
        (tmp_path / "id.txt").write_text(image + "\n")
        cuts = range(3_000_000, 0, -300_000)
        box.set_faults([f"truncate={cut},origin=images,nth={n}" for n, cut in enumerate(cuts, 1)])
        done = Run(box).lists(tmp_path / "id.txt", out.path, max_attempts=2)
        offsets = [int(r.range[6:-1]) for r in done.requests if r.range]
        assert done.code == 0 and done.counts == {"fetched": 1}, done
        assert len(offsets) >= 8 and offsets == sorted(set(offsets))
        assert box.received()["tokens_at_images"] == 0
    out.is_consistent()
    assert out.leftovers() == []


def noisy(path: Path) -> None:
    """A photo of 3 MB or more with a place."""
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (1600, 2400, 3), np.uint8)
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0), 3: "E", 4: (2.0, 15.0, 0.0)})
    Image.fromarray(pixels).save(path, "JPEG", quality=92, exif=exif)
    assert path.stat().st_size > 3_000_000


def box_images(box: Stopper) -> list[str]:
    return [image.id for image in box._service._images._collection]


class TestInterrupted:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize(
        "fault",
        ["stall=9,origin=api,nth=1", "stall=9,origin=api,nth=3", "stall=9,origin=images,nth=60", "drip=200,origin=images,nth=90"],
    )  # fmt: skip
    def test_ends_soon_and_goes_on(
        self, server: Server, lists: Path, undisturbed: dict[str, str], tmp_path: Path, number: int, code: int, fault: str
    ) -> None:  # fmt: skip
        folder = Folder(tmp_path / "out")
        with Stopper(data=str(lists), faults=[fault]) as box:
            command = Loader(server, tmp_path, box)
            ended, signalled = threading.Event(), threading.Event()

            def when() -> None:
                if not signalled.is_set():
                    signalled.set()
                    command.kill(number)
                ended.wait(9)

            box.when = when
            done = command.lists(lists, folder.path, "--image-size", "1024")
            ended.set()
            assert done.code == code and done.elapsed_s < 5, done
            assert "what was done is kept" in done.text and "Traceback" not in done.text, done
            there = folder.files()
            assert there.items() <= undisturbed.items()
            box.set_faults([])
            before = len(box.requests())
            last = command.lists(lists, folder.path, "--image-size", "1024")
            assert last.code == 0 and folder.files() == undisturbed and folder.leftovers() == []
            assert last.json["counts"].get("there_before", 0) >= len(there)
            asked = sum(fetched_by(box.requests()[before:]).values())
            assert asked == last.json["counts"].get("fetched", 0)


def test_interrupted_at_any_time(
    server: Server, lists: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    chance = random.Random(20261121)
    interrupted = 0
    with Stopper(data=str(lists)) as box:
        command = Loader(server, tmp_path, box)
        for n in range(12):
            folder = Folder(tmp_path / f"out{n // 4}")
            number, code = ((signal.SIGINT, 130), (signal.SIGTERM, 143))[n % 2]
            before, ended = len(box.requests()), threading.Event()

            def interrupt(number: int, wait_s: float, before: int, ended: threading.Event) -> None:
                while len(box.requests()) == before and not ended.wait(0.002):
                    pass
                if not ended.wait(wait_s):
                    command.kill(number)

            asked = (number, chance.uniform(0.0, 0.3), before, ended)
            thread = threading.Thread(target=interrupt, args=asked)
            done = command.lists(lists, folder.path, "--image-size", "1024", started=thread.start)
            ended.set()
            thread.join()
            assert done.code in (0, code) and done.elapsed_s < 5, done
            assert "defect" not in done.text and "Traceback" not in done.text, done
            interrupted += done.code == code
            assert folder.files().items() <= undisturbed.items()
        for n in range(3):
            folder = Folder(tmp_path / f"out{n}")
            assert command.lists(lists, folder.path, "--image-size", "1024").code == 0
            assert folder.files() == undisturbed and folder.leftovers() == []
            folder.is_consistent()
    print(f"{interrupted} interrupts at any time")
    assert interrupted >= 5


def test_another_run_in_the_folder(server: Server, lists: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with (
        Stopper(data=str(lists), faults=["stall=9,origin=images,nth=60"]) as box,
        Stopper(data=str(lists)) as other,
    ):
        with_second: list[Said] = []
        first, second = Loader(server, tmp_path, box), None
        ended, begun = threading.Event(), threading.Event()

        def when() -> None:
            begun.set()
            ended.wait(9)

        box.when = when

        def intrude() -> None:
            assert begun.wait(20)
            with_second.append(run_apart(lists, folder, other, tmp_path))
            with_second.append(run_apart(None, folder, other, tmp_path))
            ended.set()

        thread = threading.Thread(target=intrude)
        thread.start()
        done = first.lists(lists, folder, "--image-size", "1024")
        thread.join()
        assert second is None and done.code == 0, done
    for said in with_second:
        assert said.code == 9 and "another run downloads into it" in said.text, said
        assert said.elapsed_s < 5  # of which a second is waiting, the rest starting Python
    Folder(folder).is_consistent()


def run_apart(lists: Path | None, folder: Path, box: Stopper, home: Path) -> Said:
    import subprocess
    import sys
    import time

    words = (
        ["download_sequences", str(lists), "-o", str(folder), "--image-size", "1024"]
        if lists
        else ["verify", str(folder)]
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "camtrail", "mapillary", *words], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **box.environment(), "HOME": str(home), "MAPILLARY_TOKEN": "tester"},
    )  # fmt: skip
    return Said(done.returncode, done.stdout + done.stderr, time.monotonic() - began)
