"""Uploads to the stand-in for Mapillary, which runs in a process of its own and starts empty for each run.

After the clock has stopped, the server must have every photo once, published once, with the right SHA-256.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bench import jpeg, peers
from bench.cameras import SHAPES, Fix, Shape, photo
from bench.programs import CAMTRAIL, asked, done, environment, sandbox
from bench.rows import Measure, Pair, Room, Row, Size, measured

__all__ = ["ROWS"]

_USER = "bench"
_FIX = Fix(1_718_040_000.0, -7 * 3600, 45.5169, -122.5727, 70.0, 0.0, 5.5)
_PACE_S, _PACE_DEG = 2.0, 1e-4  # to the north, 11 m
_UPLOADS = "path=/mapillary_public_uploads/*"
_SHARE = 1.7  # percent, of each of three faults: 5 % of the requests meet one


@dataclass(frozen=True, slots=True)
class _Kind:
    """Photos of one size."""

    name: str
    size: Size
    shape: Shape
    detail: int  # coefficients a block; 0 for grey bands
    half_bytes: int  # of a photo


_LARGE = _Kind("3 MB", Size(100, 20), replace(SHAPES[8], width_px=3888, height_px=2916), 14, 1_500_000)
_SMALL = _Kind("50 kB", Size(1000, 200), replace(SHAPES[6], width_px=2976, height_px=2232), 0, 25_000)
_FEW = replace(_SMALL, size=Size(200, 200))  # for who pauses for seconds


@dataclass(frozen=True, slots=True)
class _Ride:
    """A folder of photos that camtrail has processed: its state, and descriptions in the photos."""

    folder: Path
    files: list[str]
    sums: list[str]  # SHA-256 of each, sorted


def _check(url: str, sums: list[str]) -> None:
    """Raises RuntimeError where the server does not have exactly these photos, each once and published once."""
    got = asked(url)
    images, lists = got["images"], got["manifests"]
    names = sorted(name for m in lists for name in m["images"])
    if sorted(i["sha256"] for i in images) != sums or any(i["times"] != 1 for i in images):
        raise RuntimeError(f"{len(sums)} photos were to be uploaded once, {len(images)} others arrived")
    if names != sorted(i["name"] for i in images) or any(m["times"] != 1 for m in lists):
        raise RuntimeError("not every photo was published once")


def _environment(home: Path, box: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Of both programs."""
    return environment(
        home,
        box,
        MAPILLARY_TOKEN=_USER,
        MAPILLARY_TOOLS_PROMPT_DISABLED="YES",
        MAPILLARY_CONFIG_PATH=str(home / "mapillary"),
        MAPILLARY_UPLOAD_HISTORY_PATH=str(home / "history"),
        MAPILLARY_TOOLS_UPLOAD_CACHE_DIR=str(home / "cache"),
    )


def _ride(room: Room, kind: _Kind) -> _Ride:
    """Made where an earlier row has not made it."""
    n = room.of(kind.size)
    folder = room.folder / f"upload-{n}"
    if not folder.exists():
        making = folder.with_suffix(".part")
        _make(making, kind, n)
        with tempfile.TemporaryDirectory(dir=room.folder) as home:
            line = ("mapillary", "process", str(making), "--user_name", _USER)
            done([CAMTRAIL, *line], _environment(Path(home)))
        making.rename(folder)
    files = sorted(str(p) for p in folder.glob("*.JPG"))
    return _Ride(folder, files, sorted(hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in files))


def _make(folder: Path, kind: _Kind, n: int) -> None:
    """A ride of one camera. The picture is the same but for bytes behind its end, which make it another one."""
    folder.mkdir()
    random, shape = Random(f"camtrail upload {kind.name}"), kind.shape
    body = jpeg.noise(random, shape.width_px, shape.height_px, kind.detail) if kind.detail else None
    small = jpeg.thumbnail(random, shape.detail)
    for i in range(n):
        fix = replace(_FIX, time_s=_FIX.time_s + _PACE_S * i, lat_deg=_FIX.lat_deg + _PACE_DEG * i)
        data, _ = photo(shape, fix, i, random, small, body)
        assert 1.8 * kind.half_bytes < len(data) < 2.2 * kind.half_bytes, len(data)
        (folder / f"{shape.prefix}{i:05d}.JPG").write_bytes(data + f"photo {i:5d}".encode())


def _faults(kind: _Kind, *, truncated: bool = True) -> list[str]:
    """What 5 % of the requests for uploads meet, the same ones each time."""
    made = ["status=503", f"reset={kind.half_bytes}", *(["truncate=5"] if truncated else [])]
    share = 3 * _SHARE / len(made)
    return [f"{fault},rate={share:g}%,seed={seed},{_UPLOADS}" for seed, fault in enumerate(made)]


# One run each.


def _sent(room: Room, ride: _Ride, faults: Sequence[str] = ()) -> Measure:
    """The transfer of `camtrail mapillary upload`."""
    with tempfile.TemporaryDirectory(dir=room.folder) as home, sandbox("mapillary", faults) as box:
        ledger = str(Path(home) / "ledger.sqlite")
        measure = measured(sys.executable, "upload", box["url"], str(ride.folder), ledger)
        _check(box["url"], ride.sums)
    return measure


def _bare(room: Room, ride: _Ride) -> Measure:
    with sandbox("mapillary") as box:
        measure = measured(sys.executable, "bare", box["url"], room.listed(ride.files))
        _check(box["url"], ride.sums)
    return measure


def _program(room: Room, ride: _Ride, faults: Sequence[str] = ()) -> Measure:
    with tempfile.TemporaryDirectory(dir=room.folder) as home, sandbox("mapillary", faults) as box:
        line = ("mapillary", "upload", str(ride.folder), "--ledger", f"{home}/ledger.sqlite")
        seconds = done([CAMTRAIL, *line], _environment(Path(home), box))
        _check(box["url"], ride.sums)
    return Measure(len(ride.files), seconds)


def _mapillary(
    room: Room, ride: _Ride, description: Path, sums: list[str], faults: Sequence[str] = ()
) -> Measure:
    program = peers.mapillary_tools()
    with tempfile.TemporaryDirectory(dir=room.folder) as home, sandbox("mapillary", faults) as box:
        env = _environment(Path(home), box)
        done([program, "authenticate", "--user_name", _USER, "--jwt", _USER], env)
        seconds = done([program, "upload", str(ride.folder), "--desc_path", str(description)], env)
        _check(box["url"], sums)
    return Measure(len(ride.files), seconds)


# The rows.


def _beside_bare(kind: _Kind, room: Room) -> Pair:
    ride = _ride(room, kind)
    return Pair(partial(_sent, room, ride), partial(_bare, room, ride))


def _beside_itself(kind: _Kind, room: Room) -> Pair:
    ride = _ride(room, kind)
    return Pair(partial(_sent, room, ride, _faults(kind)), partial(_sent, room, ride))


def _beside_mapillary(kind: _Kind, faults: Sequence[str], room: Room) -> Pair:
    ride = _ride(room, kind)
    description = room.folder / f"{ride.folder.name}.json"
    if not description.exists():
        with tempfile.TemporaryDirectory(dir=room.folder) as home:
            line = ("process", str(ride.folder), "--desc_path", str(description))
            done([peers.mapillary_tools(), *line], _environment(Path(home)))
    sums = peers.work(peers.python(), "dumped", str(description))["sums"]
    assert isinstance(sums, list)
    return Pair(
        partial(_program, room, ride, faults), partial(_mapillary, room, ride, description, sums, faults)
    )


_BARE = "a bare client, as many connections: `http.client` in threads, `hashlib`, no retries, nothing written down"
_MET = "the same, 5 % of the requests for uploads met by"


def _rows(kind: _Kind, name: str, few: _Kind) -> tuple[Row, ...]:
    return (
        Row(
            f"upload-{name}",
            f"{{n}} photos of {kind.name}: transfer of `camtrail mapillary upload`, 4 connections; {_BARE}",
            "photos",
            partial(_beside_bare, kind),
            ratio=0.9,
            size=kind.size,
        ),
        Row(
            f"upload-{name}-faults",
            f"{_MET} a 503, a reset or a truncated answer; camtrail without faults",
            "photos",
            partial(_beside_itself, kind),
            ratio=0.85,
            size=kind.size,
        ),
        Row(
            f"upload-{name}-mapillary",
            f"{{n}} photos of {kind.name}, processed before: `camtrail mapillary upload DIR`; `mapillary_tools upload "
            "DIR`; whole programs",
            "photos",
            partial(_beside_mapillary, kind, ()),
            ratio=1.5,
            size=kind.size,
        ),
        Row(
            f"upload-{name}-mapillary-faults",
            f"{_MET} a 503 or a reset (a truncated answer ends mapillary_tools), {{n}} photos",
            "photos",
            partial(_beside_mapillary, few, _faults(few, truncated=False)),
            ratio=2,
            size=few.size,
        ),
    )


ROWS = (*_rows(_LARGE, "large", _LARGE), *_rows(_SMALL, "small", _FEW))
