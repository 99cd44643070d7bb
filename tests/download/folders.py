"""Lists of images, the runs that download them, and what must be true of a folder whatever went wrong in it."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camtrail.app.context import Context, Transfer
from camtrail.app.download import Service, download_images, download_sequences
from camtrail.app.download_folder import Downloaded
from camtrail.app.download_options import AreaOptions, DownloadOptions
from camtrail.core.errors import CamtrailError, Failure, InputError, failure_of, worst
from camtrail.core.fs import FileSystem, RealFileSystem
from camtrail.core.secrets import Secret
from camtrail.services.mapillary.client import Client
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.sandbox_collection import drawn
from camtrail.services.mapillary.wire import Endpoints
from camtrail.transfer.faultserver import Logged
from camtrail.transfer.http import Http
from upload.rides import Clock

__all__ = [
    "Ended", "Folder", "Run", "fetched_by", "ids_of", "manifest", "of_lists", "sequence_of", "state_of",
    "write_lists",
]  # fmt: skip

CONNECTIONS = 8


def sequence_of(k: int) -> str:
    """The id of the k-th sequence of lists."""
    return f"Sequence-{k:02}_of-the-test"


def ids_of(k: int, n: int) -> list[str]:
    """The ids of the first n images of the k-th sequence."""
    return [str(10**15 + drawn(f"{k} {i}") % 10**15) for i in range(n)]


def write_lists(folder: Path, sequences: int, images: int) -> Path:
    """A list for each sequence, and one of pairs for each two that follow each other."""
    folder.mkdir(parents=True, exist_ok=True)

    def at(k: int, i: int) -> tuple[str, str]:
        return f"{48 + i * 1e-4 + k * 1e-5:.6f}", f"{-3.5 + k * 1e-5:.6f}"

    for k in range(sequences):
        rows = [(sequence_of(k), id, *at(k, i)) for i, id in enumerate(ids_of(k, images))]
        (folder / f"{sequence_of(k)}.txt").write_text("".join(",".join(row) + "\n" for row in rows))
    for k in range(0, sequences - 1, 2):
        lines = []
        for i, (a, b) in enumerate(zip(ids_of(k, images), ids_of(k + 1, images))):
            lines.append((sequence_of(k), sequence_of(k + 1), a, b, *at(k, i), *at(k + 1, i)))
        (folder / f"pairs_{k}.txt").write_text("".join(",".join(line) + "\n" for line in lines))
    return folder


@dataclass(slots=True)
class Ended:
    """How a run ended."""

    code: int
    failures: list[Failure[str]]
    done: Downloaded | None  # None where it ended before
    requests: list[Logged]  # of this run
    slept_s: float  # by its own clock
    told: list[Transfer]

    @property
    def counts(self) -> dict[str, int]:
        return {} if self.done is None else dict(self.done.counts)

    @property
    def notes(self) -> list[str]:
        return [] if self.done is None else self.done.result.notes

    def __str__(self) -> str:
        said = "\n".join(
            f"  {f.item}: [{f.code}, {f.exit_code}] {f.message}; {f.hint} {f.detail}"
            for f in self.failures[:8]
        )
        return f"code {self.code}, {self.counts}, {len(self.requests)} requests, slept {self.slept_s:.0f} s\n{said}"


@dataclass(slots=True)
class Run:
    """Downloads from a sandbox, in this process, by a clock that nobody waits for."""

    box: MapillarySandbox
    clock: Clock = field(default_factory=Clock)
    fs: FileSystem = field(default_factory=RealFileSystem)
    stall_s: float = 20.0
    transferred: Callable[[Transfer], object] = lambda transfer: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None

    def _service(self, stack: ExitStack) -> Service:
        at = Endpoints.of(self.box.url)
        more: dict[str, Any] = {
            "connections": CONNECTIONS, "user_agent": "test", "clock": self.clock, "stall_s": self.stall_s,
            "least_bytes_per_s": 4000,
        }  # fmt: skip
        api = stack.enter_context(Http(at.origins, **more))
        pictures = stack.enter_context(Http((), pointed_by=at.graph, **more))
        return Service(Client(api, at, Secret("tester")), pictures, at.origin)

    def _ended(self, call: Callable[[Service, Context], Downloaded]) -> Ended:
        before, slept_s = len(self.box.requests()), self.clock.slept_s
        told: list[Transfer] = []

        def transferred(transfer: Transfer) -> None:
            told.append(transfer)
            self.transferred(transfer)

        context = Context(fs=self.fs, clock=self.clock, transferred=transferred, progress=self.progress)
        done, failures = None, []
        with ExitStack() as stack:
            try:
                done = call(self._service(stack), context)
                failures = done.result.failures
                code = worst({f.exit_code for f in failures})
            except CamtrailError as e:
                failures = [failure_of(e.path if isinstance(e, InputError) else "", e)]
                code = e.exit_code
        return Ended(code, failures, done, self.box.requests()[before:], self.clock.slept_s - slept_s, told)

    def lists(self, names: Path | str | Sequence[str], to: Path, **options: Any) -> Ended:
        """`download_sequences`."""
        given = [str(names)] if isinstance(names, Path | str) else [str(n) for n in names]
        chosen = DownloadOptions(output=str(to), **options)
        return self._ended(lambda service, context: download_sequences(given, chosen, service, context))

    def area(self, edges: Sequence[float], to: Path, **options: Any) -> Ended:
        """`download_images`."""
        chosen = AreaOptions(output=str(to), **options)
        return self._ended(lambda service, context: download_images(edges, chosen, service, context))


def fetched_by(requests: Sequence[Logged]) -> Counter[str]:
    """How often each image was asked for at the origin of image files."""
    return Counter(r.path.removeprefix("/v/").partition("_")[0] for r in requests if r.origin == "images")


def manifest(folder: Path) -> dict[str, dict[str, str]]:
    """The manifest's rows by image; an empty cell is an empty text."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row["image_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def state_of(folder: Path) -> dict[str, tuple[str, str]]:
    """State and message of each image, as the folder knows them itself."""
    with closing(sqlite3.connect(folder / ".camtrail/downloads.sqlite", timeout=10)) as db:
        return {i: (s, m) for i, s, m in db.execute("SELECT image, state, message FROM images")}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of downloads."""

    path: Path

    def files(self) -> dict[str, str]:
        """SHA-256 of each picture, by its path in the folder."""
        return {
            p.relative_to(self.path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(self.path.glob("*/*.jpg"))
            if p.parent.name != ".camtrail"
        }

    def leftovers(self) -> list[str]:
        """What is there that is neither a picture nor a table nor the state."""
        known = {"manifest.csv", "manifest.parquet", "pairs.csv", "sequences.csv"}
        known |= {f".camtrail/downloads.sqlite{s}" for s in ("", "-journal", "-wal", "-shm", ".lock")}
        there = (p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())
        return sorted(set(there) - known - set(self.files()))

    def manifest(self) -> dict[str, dict[str, str]]:
        return manifest(self.path)

    def tables(self) -> dict[str, bytes]:
        """The bytes of all tables, by name."""
        return {p.name: p.read_bytes() for p in self.path.iterdir() if p.is_file()}

    def is_consistent(self) -> None:
        """What the manifest says of files is what is there, and what the state says of images is what it says."""
        self.is_said()
        rows = self.manifest()
        assert {i: s for i, (s, _) in state_of(self.path).items()} == {i: r["state"] for i, r in rows.items()}

    def is_said(self) -> None:
        """What the manifest says of files is what is there."""
        rows = self.manifest()
        said = {r["path"]: r["sha256"] for r in rows.values() if r["state"] == "fetched"}
        assert self.files() == said
        for row in rows.values():
            assert (row["state"] == "fetched") == bool(row["path"]), row
            assert row["state"] in ("fetched", "failed", "missing", "wanted"), row
            if row["path"]:
                assert int(row["bytes"]) == (self.path / row["path"]).stat().st_size


def of_lists(tmp: Path, sequences: int, images: int) -> tuple[Path, list[str]]:
    """Lists in a folder of their own, and all ids in them."""
    lists = write_lists(tmp / "lists", sequences, images)
    return lists, [id for k in range(sequences) for id in ids_of(k, images)]
