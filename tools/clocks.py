"""A clock that nobody waits for."""

from __future__ import annotations

import threading


class FakeClock:
    """Sleeping returns at once, and it is later."""

    def __init__(self, at_s: float = 1_000_000.0) -> None:
        self.at_s = at_s
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.slept.append(seconds)
            self.at_s += seconds
