"""Whole programs, from their start to their end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from bench import peers
from bench.corpus import gpx
from bench.rows import Measure, Missing, Pair, Room, Row, Size

__all__ = ["ROWS"]

_CAMTRAIL = str(Path(sys.executable).with_name("camtrail"))
_GEOTAGGED = Size(500, 100)
_POINTS = 10_000


def _timed(command: Sequence[str], items: int) -> tuple[Measure, bytes]:
    """Seconds of a command and what it printed. Raises RuntimeError with its last words."""
    start = perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = perf_counter() - start
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"{Path(command[0]).name} ended {done.returncode}: {last[0]}")
    return Measure(items, seconds), done.stdout


def _run(room: Room, items: int, *arguments: str) -> Measure:
    """One run of camtrail with a state of its own; every photo must have come out placed or as a duplicate."""
    with tempfile.TemporaryDirectory(dir=room.folder) as state:
        measure, printed = _timed([_CAMTRAIL, *arguments, "--json", "--state-dir", state], items)
    counts = json.loads(printed)["counts"]
    placed = counts.get("located", 0) + counts.get("estimated", 0) + counts.get("duplicate", 0)
    if placed != items:
        raise RuntimeError(f"camtrail {arguments[0]}: {items} photos went in, {counts} came out")
    return measure


def _process(room: Room) -> Pair:
    n, folder = len(room.corpus.files), str(room.corpus.folder)

    def peer() -> Measure:
        described = room.folder / "described.json"
        command = [peers.mapillary_tools(), "process", folder, "--skip_process_errors"]
        measure, _ = _timed([*command, "--desc_path", str(described)], n)
        if len(json.loads(described.read_text())) != n:
            raise RuntimeError("mapillary_tools process: not every photo is described")
        return measure

    ours = partial(_run, room, n, "process", folder, "--flag-duplicates")
    for file in room.corpus.files:  # into memory, as for the readers: the disk is not measured
        Path(file).read_bytes()
    ours()
    return Pair(ours, peer)


def _version(room: Room) -> Pair:
    return Pair(lambda: _timed([_CAMTRAIL, "--version"], 1)[0])


def _geotag(room: Room) -> Pair:
    program = peers.exiftool()
    if program is None:
        raise Missing("exiftool is not installed")
    # The first ride is the one that the track goes along; its camera writes its offset, -07:00.
    first = [f for f in room.corpus.files if Path(f).parent.name.startswith("ride-001-")]
    first = first[: room.of(_GEOTAGGED)]
    assert len(first) == room.of(_GEOTAGGED)
    copies = room.folder / "geotag"
    track = str(gpx(_POINTS))

    def fresh() -> None:
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        for file in first:
            shutil.copy2(file, copies)

    def ours() -> Measure:
        fresh()
        source = ("--geotag_source", "gpx", "--geotag_source_path", track)
        return _run(room, len(first), "geotag", str(copies), *source)

    def peer() -> Measure:
        fresh()
        command = [str(program), "-q", "-n", "-overwrite_original", "-geotag", track]
        clock = "-Geotime<${DateTimeOriginal}-07:00"
        return _timed([*command, clock, str(copies)], len(first))[0]

    return Pair(ours, peer)


ROWS = (
    Row(
        "process",
        "`camtrail process DIR --flag-duplicates --json`, new state; `mapillary_tools process DIR "
        "--skip_process_errors`, which flags them unasked",
        "",
        _process,
        ratio=8,
    ),
    Row(
        "geotag-exiftool",
        "`camtrail geotag DIR --geotag_source gpx`, places into its catalog; `exiftool -geotag`, which also "
        f"writes the places into the photos; {{n}} photos, {_POINTS:,} points, start of the program included",
        "photos",
        _geotag,
        size=_GEOTAGGED,
    ),
    Row("version", "`camtrail --version`", "", _version, within_s=0.15),
)
