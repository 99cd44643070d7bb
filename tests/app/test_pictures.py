"""Digests of pictures: read once, whatever becomes of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrail.app import pictures
from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, scan
from camtrail.catalog.store import Catalog
from photos import Shot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine photos."""
    for n in range(9):
        (tmp_path / f"{n}.jpg").write_bytes(Shot(colour=lambda x, y, n=n: (9 * n, 7, 9)).bytes())
    return tmp_path


def test_what_was_read_before_an_interruption_is_kept(folder, monkeypatch):
    monkeypatch.setattr(pictures, "_GROUP", 1)
    monkeypatch.setattr(pictures, "_MOST_LOST", 2)
    result = scan([str(folder)], ProcessOptions(), Context())
    (space,), (c,) = result.spaces, result.collections

    def interrupted(what: str, done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pictures.digests(space, c.photos, range(9), Context(progress=interrupted))
    with Catalog(space.catalog) as catalog:
        assert len(catalog.kept(pictures.STAGE)) == 5
    left: list[int] = []
    found, failures = pictures.digests(
        space, c.photos, range(9), Context(progress=lambda what, done, total: left.append(total))
    )
    assert len(found) == 9 and failures == [] and set(left) == {4}
