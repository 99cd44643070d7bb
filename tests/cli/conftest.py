"""The command line, called as a program calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from photos import Shot


@dataclass(frozen=True)
class Ended:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


Camtrail = Callable[..., Ended]


@pytest.fixture
def camtrail(tmp_path: Path) -> Camtrail:
    """Runs `camtrail ARGUMENTS` in the test's folder, as a process of its own."""

    def call(*arguments: str | Path, env: dict[str, str] | None = None, raw: bool = False) -> Ended:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "camtrail", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out = done.stdout.decode("latin-1" if raw else "utf-8")
        return Ended(done.returncode, out, done.stderr.decode())

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos: one with everything, one without a place, one that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    full = Shot(local="2026:05:09 10:00:00", offset="+02:00", lat_deg=47.37, lon_deg=8.54)
    (folder / "full.jpg").write_bytes(full.bytes())
    (folder / "bare.jpg").write_bytes(Shot(local="2026:05:09 10:00:07", offset="+02:00").bytes())
    (folder / "none.jpg").write_bytes(b"")
    return folder


GPX = (
    '<gpx version="1.1"><trk><trkseg>'
    '<trkpt lat="47.0" lon="8.0"><time>2026-05-09T08:00:00Z</time></trkpt>'
    '<trkpt lat="47.0" lon="8.1"><time>2026-05-09T08:00:20Z</time></trkpt>'
    "</trkseg></trk></gpx>"
)


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """A track that holds the time of `bare.jpg`."""
    path = tmp_path / "ride.gpx"
    path.write_text(GPX)
    return path
