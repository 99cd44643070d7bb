"""Collections of made photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, Result, process
from camtrail.core.model import Item
from photos import Shot

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a made photo (or given bytes) into the collection and returns its path."""

    def put(name: str, data: bytes | None = None, **shot: Any) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Shot(**shot).bytes() if data is None else data)
        return path

    return put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that `put` writes into."""
    (tmp_path / "photos").mkdir(exist_ok=True)
    return tmp_path / "photos"


def items(result: Result) -> dict[str, Item]:
    """The photos of a result by their paths."""
    return {item.path: item for c in result.collections for item in c.items()}


def processed(
    *paths: Path | str, options: ProcessOptions | None = None, context: Context | None = None
) -> Result:
    """The main job on paths."""
    return process([str(p) for p in paths], options or ProcessOptions(), context or Context())


def gpx(*fixes: tuple[str, float, float]) -> str:
    """A GPX file with one segment."""
    points = "".join(f'<trkpt lat="{lat}" lon="{lon}"><time>{t}</time></trkpt>' for t, lat, lon in fixes)
    return f'<gpx version="1.1"><trk><trkseg>{points}</trkseg></trk></gpx>'
