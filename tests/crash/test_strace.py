"""Every file-changing system call of a write, a sidecar, copies and an undo is killed and failed once.

Nothing is sampled: all calls on photos, copies, sidecars, temporaries, folders, lock, journal and catalog. A run
is a process forked from one that has camtrail loaded already; the calls are those of the command itself.
"""

from __future__ import annotations

import collections
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from crashpoints import TRACE_ALL, Point, Server, calls, injection, points

from .conftest import afresh, fill, sums, temporaries

pytestmark = pytest.mark.strace

FAULTS = ("KILL", "ENOSPC", "EIO")
EXIF = ("write", "photos", "--write", "exif", "--device-make", "Test")
ALL_BACK = ("undo", "photos", "--all")


@dataclass(frozen=True)
class Job:
    """A command, what went before it, and the least number of its points (a log that was misread has none)."""

    arguments: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    least: int = 100


JOBS = {
    "exif": Job(EXIF),
    "again": Job(
        (*EXIF[:-1], "Else"), before=(EXIF,), least=60
    ),  # takes the first addition back: the compaction
    "sidecar": Job(("write", "photos", "--write", "sidecar", "--device-make", "Test")),
    "copy": Job(("write", "photos", "--write", "copy", "-o", "out", "--device-make", "Test")),
    "undo": Job(("undo", "photos"), before=(EXIF,), least=60),
}


class Bench:
    """Two places with a server each, in which runs take turns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        fill(root / "warm" / "photos", 2)
        self._free = [self._server(root / f"w{i}") for i in range(2)]
        self._all = [server for _, server in self._free]
        self._lock = threading.Lock()

    def _server(self, place: Path) -> tuple[Path, Server]:
        afresh(self.root / "warm", place)
        warm = [EXIF, ALL_BACK, JOBS["sidecar"].arguments, ALL_BACK, JOBS["copy"].arguments]
        return place, Server(warm, str(place))

    def take(self) -> tuple[Path, Server]:
        with self._lock:
            return self._free.pop()

    def give(self, pair: tuple[Path, Server]) -> None:
        with self._lock:
            self._free.append(pair)

    def close(self) -> None:
        for server in self._all:
            server.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("crash").resolve())
    yield made
    made.close()


def files(place: Path) -> dict[str, str]:
    return sums(place / "photos", place / "out")


class Runs:
    """The runs of one job: what it starts from, where it ends, and what is wrong with one that was hit."""

    def __init__(self, bench: Bench, name: str, n: int = 2) -> None:
        self.bench, self.job, self.name = bench, JOBS[name], name
        self.base = bench.root / f"base-{name}"
        fill(self.base / "photos", n)
        place, server = bench.take()
        try:
            self.first = files(self.base)
            self._prepare(place, server)
            self.old = files(place)
            self.log = str(bench.root / f"log-{name}")
            assert self.run(place, server, self.job.arguments, strace=TRACE_ALL, log=self.log) == 0
            self.folder = str(place)
            self.points = points(self.log, self.folder)
            self.new = files(place)
        finally:
            bench.give((place, server))

    def _prepare(self, place: Path, server: Server) -> None:
        afresh(self.base, place)
        for arguments in self.job.before:
            assert self.run(place, server, arguments) == 0
        if self.job.before:
            afresh(place, self.base)

    def run(self, place: Path, server: Server, arguments, **strace) -> int:
        home = str(place / "home")
        env = {"HOME": home, "XDG_DATA_HOME": f"{home}/data", "XDG_CONFIG_HOME": f"{home}/config"}
        return server.run(arguments, str(place), env, f"{place}.said", **strace)

    def hit(self, point: Point, fault: str) -> tuple[str, list[str]]:
        """The verdict of one run with a fault, and what is wrong with it."""
        place, server = self.bench.take()
        try:
            afresh(self.base, place)
            log = f"{place}.log"
            code = self.run(
                place, server, self.job.arguments, strace=injection(point, str(place), fault), log=log
            )
            said = Path(f"{place}.said").read_text(errors="replace").strip()
            verdict, wrong = self._verdict(place, point, fault, code, Path(log).read_text())
            wrong += self._recovered(place, server)
            return verdict, [f"{point} {fault}: {w} (exit {code}: {said})" for w in wrong]
        finally:
            self.bench.give((place, server))

    def _verdict(self, place: Path, point: Point, fault: str, code: int, log: str) -> tuple[str, list[str]]:
        if fault == "KILL":
            if code != -9:
                return "missed", ["was not killed"]
        elif "(INJECTED)" not in log:
            return "missed", ["the call did not come again"]
        wrong: list[str] = []
        now = {k: v for k, v in files(place).items() if "/.camtrail" not in k}
        for path in {*self.old, *self.new, *now}:
            if now.get(path) not in (self.old.get(path), self.new.get(path)):
                wrong.append(f"LOST {path}")
        is_done = now == self.new
        if fault != "KILL":
            if code == 0 and not is_done:
                wrong.append("ended well and did not do it")
            if code not in (0, 3, 5, 7, 8, 9):
                wrong.append("ended as a defect")
            if point.name != "unlink":
                wrong += [f"left {p}" for p in temporaries(place / "photos", place / "out")]
        return "LOST" if wrong else "new" if is_done else "old" if now == self.old else "some", wrong

    def _recovered(self, place: Path, server: Server) -> list[str]:
        wrong: list[str] = []
        for arguments, wanted in ((self.job.arguments, self.new), (ALL_BACK, self.first)):
            code = self.run(place, server, arguments)
            said = Path(f"{place}.said").read_text(errors="replace").strip()
            if code != 0:
                wrong.append(f"then {arguments[0]} ended with {code}: {said}")
            if files(place) != wanted:
                wrong.append(f"then {arguments[0]} did not bring the files to what they should be")
            wrong += [f"then {arguments[0]} left {p}" for p in temporaries(place / "photos", place / "out")]
        return wrong


@pytest.mark.parametrize("name", JOBS)
def test_whichever_call_is_killed_or_fails_no_file_is_lost(bench, name):
    runs = Runs(bench, name)
    assert len(runs.points) >= runs.job.least, [str(p) for p in runs.points]
    with ThreadPoolExecutor(2) as threads:
        jobs = [(f, threads.submit(runs.hit, p, f)) for p in runs.points for f in FAULTS]
        found = [(fault, *job.result()) for fault, job in jobs]
    table = collections.Counter((fault, verdict) for fault, verdict, _ in found)
    print(f"{name}: {len(runs.points)} calls", {f"{f} {v}": n for (f, v), n in sorted(table.items())})
    wrong = [w for _, _, each in found for w in each]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(found)} runs:", *wrong[:40]])


_CHANGES = ("write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range", "ftruncate", "fallocate")
_ATTRIBUTES = ("chmod", "fchmod", "fchmodat", "chown", "fchown", "utimensat", "setxattr", "fsetxattr")
_SYNCS = ("fsync", "fdatasync")


def lint(log: str, root: str, finals: set[str]) -> list[str]:
    """What a power cut could take: where the order written - durable - journalled - named - durable is broken.

    `finals`: files of the user, and those that the command makes for them.
    """
    wrong: list[str] = []
    events = [c for c in calls(log) if c.path.startswith(root) and c.result >= 0]
    renames = [c for c in events if c.name.startswith("rename")]
    if {c.to for c in renames} != finals:
        wrong.append(f"renamed to {sorted(c.to for c in renames)}, not {sorted(finals)}")

    def synced(path: str, after: int, before: float) -> bool:
        return any(
            c.name in _SYNCS and c.path == path and c.began > after and c.ended < before for c in events
        )

    for c in events:
        if c.path in finals and (c.opens_for_writing or c.name in _CHANGES + _ATTRIBUTES):
            wrong.append(f"{c.name} of a file of the user: {c.path}")
        if c.name in ("mkdir", "mkdirat") and not synced(
            os.path.dirname(c.path), c.ended, renames[0].began if ".camtrail" in c.path else float("inf")
        ):
            wrong.append(f"the name of a new folder is not durable in time: {c.path}")
    for rename in renames:
        changed = [c.ended for c in events if c.path == rename.path and c.name in _CHANGES + _ATTRIBUTES]
        if not any(c.name in _CHANGES and c.path == rename.path for c in events):
            wrong.append(f"nothing was written before the rename to {rename.to}")
        elif not synced(rename.path, max(changed), rename.began):
            wrong.append(f"renamed before its bytes were durable: {rename.to}")
        if not synced(os.path.dirname(rename.to), rename.ended, float("inf")):
            wrong.append(f"the folder of {rename.to} was not made durable")
        rows = [
            c
            for c in events
            if c.path.endswith("/journal.sqlite") and c.name == "pwrite64" and c.ended < rename.began
        ]
        if not rows:
            wrong.append(f"no row of the journal before {rename.to}")
        elif not synced(rows[-1].path, rows[-1].ended, rename.began):
            wrong.append(f"renamed before the journal was durable: {rename.to}")
    return wrong


@pytest.mark.parametrize("name", ["exif", "again", "sidecar", "copy"])
def test_a_power_cut_takes_nothing_either(bench, name):
    runs = Runs(bench, name, n=3)
    finals = {f"{runs.folder}/{path}" for path, now in runs.new.items() if runs.old.get(path) != now}
    assert len(finals) == 3
    assert lint(runs.log, runs.folder, finals) == []


def test_nor_of_an_undo(bench):
    runs = Runs(bench, "undo", n=3)
    finals = {f"{runs.folder}/{path}" for path in runs.new}
    wrong = lint(runs.log, runs.folder, finals)
    # The rows that undo goes by are durable since the write.
    assert [w for w in wrong if "journal" not in w] == []
    ended = [c for c in calls(runs.log) if c.path.endswith("/journal.sqlite") and c.name == "pwrite64"]
    named = [c for c in calls(runs.log) if c.name.startswith("rename")]
    assert min(c.began for c in ended) > named[0].ended


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        (r" fsync\(.*\.new>", "before its bytes were durable"),
        (r" fsync\(\d+<[^>]*/photos>", "the folder of"),
        (r" fdatasync\(\d+<[^>]*/journal\.sqlite>", "before the journal was durable"),
    ],
)
def test_the_lint_sees_what_is_missing(bench, tmp_path, left_out, said):
    runs = Runs(bench, "exif")
    lines = Path(runs.log).read_text().splitlines(keepends=True)
    short = tmp_path / "log"
    short.write_text("".join(line for line in lines if not re.search(left_out, line)))
    finals = {f"{runs.folder}/{path}" for path in runs.new}
    assert any(said in w for w in lint(str(short), runs.folder, finals))


def test_the_lint_sees_a_file_written_in_place(bench, tmp_path):
    runs = Runs(bench, "exif")
    path = f"{runs.folder}/photos/IMG_0000.jpg"
    more = tmp_path / "log"
    more.write_text(
        Path(runs.log).read_text() + f'9 openat(AT_FDCWD</x>, "{path}", O_WRONLY|O_TRUNC) = 3<{path}>\n'
    )
    assert any("of a file of the user" in w for w in lint(str(more), runs.folder, {path}))
