"""The progress of a run as a bar: how far it is, how fast, and how long it will take."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from camtrail.app.context import Transfer
from camtrail.core.clock import Clock, RealClock

__all__ = ["Bar", "Pace", "is_drawable", "is_plain"]

_QUIET_START_S = 0.7
_LEAST_BETWEEN_S = 0.1
_WINDOW_S = 30.0
_STALE_S = 1.0
_LONGEST = 26  # characters of what goes on: the rest of 80 is for numbers
_ROOM = 4
_DUMB = ("dumb", "unknown")
_TRANSFER = "transfer"  # one row, whatever is sent at the moment


def is_drawable(stream: IO[str], environment: Mapping[str, str]) -> bool:
    """Whether a bar can be drawn on a stream and taken away again: it is a terminal that can move its cursor."""
    return stream.isatty() and environment.get("TERM", "").lower() not in _DUMB


def is_plain(environment: Mapping[str, str]) -> bool:
    """Whether no colours are wanted (https://no-color.org)."""
    return bool(environment.get("NO_COLOR"))


class Pace:
    """How fast something is, as of the last half minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, done: int) -> None:
        """So much is done by now. Whoever begins anew is measured anew."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now_s, done))
        while len(self._seen) > 2 and self._seen[0][0] < now_s - _WINDOW_S:
            self._seen.popleft()

    @property
    def per_s(self) -> float | None:
        """None where nothing can be said yet."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s and last > first else None

    def left_s(self, total: int) -> float | None:
        """How long the rest of a total takes; None where nothing can be said."""
        per_s = self.per_s
        return None if per_s is None else max(0, total - self._seen[-1][1]) / per_s


@dataclass(slots=True)
class _Row:
    """One thing that goes on."""

    pace: Pace = field(default_factory=Pace)
    told_s: float = -math.inf
    is_done: bool = False
    number: Any = None  # of its row on the screen; None while it has none


class Bar:
    """A progress bar on stderr that comes up only when a run takes its time. It may be told from threads.

    Parameters
    ----------
    plain : whether it is drawn without colours
    """

    def __init__(self, *, plain: bool | None = None, clock: Clock | None = None) -> None:
        self._plain = is_plain(os.environ) if plain is None else plain
        self._clock = clock or RealClock()
        self._start_s = self._clock.monotonic_s()
        self._lock = threading.Lock()
        self._shown: Any = None
        self._rows: dict[str, _Row] = {}
        self._is_over = False

    def step(self, what: str, done: int, total: int) -> None:
        """So many of all items are done."""
        self._tell(what, done, total, f"{done:,}/{total:,}", what)

    def transfer(self, now: Transfer) -> None:
        """So many items and bytes went over the network."""
        items = f"{now.items:,}/{now.all_items:,}"
        if now.all_bytes:
            amount = f"{items}, {now.size_bytes / 1e6:,.1f}/{now.all_bytes / 1e6:,.1f} MB"
            self._tell(_TRANSFER, now.size_bytes, now.all_bytes, amount, now.what, is_bytes=True)
        else:
            amount = f"{items}, {now.size_bytes / 1e6:,.1f} MB"
            self._tell(_TRANSFER, now.items, now.all_items, amount, now.what)

    def pause(self) -> None:
        """Takes it off the screen; it comes up again when what follows takes its time."""
        with self._lock:
            self._start_s = self._clock.monotonic_s()
            self._rows.clear()
            if self._shown is not None:
                self._shown.stop()
                self._shown = None

    def end(self) -> None:
        """Takes it off the screen; nothing is drawn any more."""
        self._is_over = True
        self.pause()

    def _tell(
        self, key: str, done: int, total: int, amount: str, what: str, *, is_bytes: bool = False
    ) -> None:
        with self._lock:
            now_s = self._clock.monotonic_s()
            row = self._rows.setdefault(key, _Row())
            is_due = done >= total or now_s - row.told_s >= _LEAST_BETWEEN_S
            if self._is_over or not is_due:
                return
            row.told_s, row.is_done = now_s, done >= total
            row.pace.add(now_s, done)
            if self._shown is None:
                if now_s - self._start_s < _QUIET_START_S or row.is_done:
                    return
                self._shown = _drawn(self._plain)
            said = {"amount": amount, "rate": _rate(row.pace, is_bytes), "left": _left(row.pace, total)}
            if row.number is None:
                self._clear(now_s)
                row.number = self._shown.add_task(_short(what), total=total, completed=done, **said)
            else:
                self._shown.update(row.number, description=_short(what), total=total, completed=done, **said)

    def _clear(self, now_s: float) -> None:
        """Takes rows away that are done, or that nobody tells of any more."""
        for row in self._rows.values():
            if row.number is not None and (row.is_done or now_s - row.told_s > _STALE_S):
                self._shown.remove_task(row.number)
                row.number = None


def _drawn(plain: bool) -> Any:
    """A bar on the screen, drawn at most ten times a second; what is written to stderr meanwhile goes above it."""
    from rich.console import Console, Group, RenderableType
    from rich.constrain import Constrain
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, color_system=None if plain else "auto", highlight=False)

    class Narrow(Progress):
        """Leaves room for the ^C that a terminal shows, which would else begin a new line."""

        def get_renderable(self) -> RenderableType:
            return Constrain(Group(*self.get_renderables()), console.width - _ROOM)

    fields = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("amount", "rate", "left")]
    shown = Narrow(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        *fields,
        console=console,
        refresh_per_second=1 / _LEAST_BETWEEN_S,
        transient=True,
        redirect_stdout=False,
        expand=True,
    )
    shown.start()
    return shown


def _short(what: str) -> str:
    """The same in as many characters as there is room for."""
    return what if len(what) <= _LONGEST else f"{what[: _LONGEST // 2]}…{what[1 - _LONGEST // 2 :]}"


def _rate(pace: Pace, is_bytes: bool) -> str:
    per_s = pace.per_s
    if per_s is None:
        return ""
    if is_bytes:
        return f"{per_s / 1e6:,.1f} MB/s"
    return f"{per_s:,.0f}/s" if per_s >= 10 else f"{per_s:.1f}/s"


def _left(pace: Pace, total: int) -> str:
    left_s = pace.left_s(total)
    if left_s is None:
        return ""
    minutes, seconds = divmod(round(left_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"
