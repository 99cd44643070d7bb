"""Small collections of photos that are written, and what is left of them afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from photos import Shot


def photo(n: int, **more) -> bytes:
    """A photo with a place and a time."""
    values = {
        "local": f"2026:05:09 10:{n // 60:02d}:{n % 60:02d}",
        "offset": "+02:00",
        "lat_deg": 47.0,
        "lon_deg": 8.0 + n / 1000,
        "model": f"Sample {n}",
        "size": (8, 8),
    }
    return Shot(**{**values, **more}).bytes()


def fill(folder: Path, n: int, **more) -> None:
    """Puts photos of a time long ago into a folder, every third in a folder below."""
    for i in range(n):
        path = folder / ("sub" if i % 3 == 2 else ".") / f"IMG_{i:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(i, **more))
        os.utime(path, ns=(1_700_000_000_123_456_789 + i,) * 2)


def sums(*folders: Path) -> dict[str, str]:
    """sha256 of every file, by its path below the parent of its folder; the state left out."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder.parent))
            if path.is_file() and ".camtrail/" not in name:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def temporaries(*folders: Path) -> list[str]:
    """Files that a run left half done."""
    return [
        str(p)
        for folder in folders
        for p in folder.rglob("*")
        if p.name.startswith(".camtrail") and p.is_file()
    ]


def afresh(base: Path, target: Path) -> None:
    """Makes a folder the copy of another one, times included."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(base, target)


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder `photos` with so many of them."""

    def make(n: int = 3, **more) -> Path:
        folder = tmp_path / "photos"
        fill(folder, n, **more)
        return folder

    return make
