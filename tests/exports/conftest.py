"""What the tests of the formats share."""

from __future__ import annotations

import math
from typing import Any

import pytest

from camtrail.core.model import Item

_PLAIN = Item(
    "day 1/a.jpg", "/p", "/p/day 1/a.jpg", 1700000000.0, 1700000000.0, 1700003600.0, "gps", 47.1234567, 8.2, 400.5,
    "exif", 90.0, "exif", "T", math.nan, math.nan, math.nan, "seq-1", 0, None, "located", None, "Make", "Model", "SN 1-2",
    6.0, 4000.0, 3000.0, 1234, 1.0, None, None,
)  # fmt: skip


class Items:
    """Makes Items that differ from a plain one in what is named."""

    def __call__(self, **changes: Any) -> Item:
        if "path" in changes:
            changes.setdefault("file", "/p/" + changes["path"])
        return _PLAIN._replace(**changes)

    def bare(self, **changes: Any) -> Item:
        """An Item of which nothing is known but its name."""
        unknown = {
            name: math.nan if isinstance(value, float) else None
            for name, value in _PLAIN._asdict().items()
            if isinstance(value, float)
            or name in ("time_source", "position_source", "heading_source", "heading_ref")
        }
        none = {"sequence": None, "sequence_index": -1, "make": None, "model": None, "serial": None}
        return self(**{**unknown, **none, "outcome": "no_place", **changes})


@pytest.fixture
def make() -> Items:
    return Items()
