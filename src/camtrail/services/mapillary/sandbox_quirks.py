"""How a stand-in behaves oddly on demand, as values."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from camtrail.core.errors import UsageError
from camtrail.core.names import shown
from camtrail.steps.tiling import Box
from camtrail.transfer.faultserver import Reply, Request, json_reply

__all__ = ["Quirks", "QuirksInForce"]

_MOST_JSON_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """The ways in which the service is odd; each can be set on its own."""

    url_life_s: float = 3600.0  # of the address of an image file
    dense_cells: tuple[Box, ...] = ()  # searches that touch one end with "reduce the amount of data"
    gone: frozenset[str] = frozenset()  # ids of images that were deleted
    missing: str = "absent"  # or "error": what a look-up of several images does where one is not there
    over_limit: int = 0  # so many calls from now on are too many
    ignores_range: bool = False  # image files come whole, whatever part is asked for

    def changed(self, values: Mapping[str, Any]) -> Quirks:
        """These with others in place of some, given as JSON has them. Raises UsageError."""
        known = [f.name for f in fields(self)]
        made = {}
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"there is no quirk {shown(name)!r}", f"there are {', '.join(known)}")
            made[name] = _READ[name](value)
            if made[name] is None:
                raise UsageError(f"{json.dumps(value)[:80]} is no {name}")
        return replace(self, **made)

    def told(self) -> dict[str, Any]:
        """What `changed` takes, with the values of now."""
        cells = [[b.min_lon_deg, b.min_lat_deg, b.max_lon_deg, b.max_lat_deg] for b in self.dense_cells]
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "dense_cells": cells, "gone": sorted(self.gone)}


class QuirksInForce:
    """The quirks of a running stand-in; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Quirks()

    def now(self) -> Quirks:
        """Those in force."""
        with self._lock:
            return self._now

    def change(self, values: Mapping[str, Any]) -> None:
        """Changes some. Raises UsageError."""
        with self._lock:
            self._now = self._now.changed(values)

    def is_over_limit(self) -> bool:
        """Whether one more call is too many; it is counted."""
        with self._lock:
            left = self._now.over_limit
            self._now = replace(self._now, over_limit=max(left - 1, 0))
            return left > 0

    def answer(self, request: Request) -> Reply:
        """The reply to a GET, or to a POST of a JSON object of those to change."""
        if request.method == "POST":
            try:
                values = json.loads(request.body.read(_MOST_JSON_BYTES))
                if not isinstance(values, dict):
                    raise UsageError("what was sent is no JSON object")
                self.change(values)
            except UsageError as e:
                return json_reply({"error": str(e)}, 400)
            except (ValueError, RecursionError):
                return json_reply({"error": "what was sent is no JSON"}, 400)
        return json_reply(self.now().told())


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _cells(value: Any) -> tuple[Box, ...] | None:
    """Boxes as a search has them: least longitude and latitude, greatest longitude and latitude."""
    if not isinstance(value, list) or not all(isinstance(c, list) and len(c) == 4 for c in value):
        return None
    if not all(_is_number(edge) for cell in value for edge in cell):
        return None
    return tuple(Box(float(c[1]), float(c[3]), float(c[0]), float(c[2])) for c in value)


def _ids(value: Any) -> frozenset[str] | None:
    is_list = isinstance(value, list) and all(isinstance(v, str) for v in value)
    return frozenset(value) if is_list else None


_READ: dict[str, Callable[[Any], Any]] = {
    "url_life_s": lambda v: float(v) if _is_number(v) and v >= 0 else None,
    "dense_cells": _cells,
    "gone": _ids,
    "missing": lambda v: v if v in ("absent", "error") else None,
    "over_limit": lambda v: v if type(v) is int and v >= 0 else None,
    "ignores_range": lambda v: v if isinstance(v, bool) else None,
}
