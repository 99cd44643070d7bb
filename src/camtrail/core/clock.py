"""The time of day as a value, so that tests need not wait for it."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "RealClock"]


class Clock(Protocol):
    """What camtrail asks of a clock."""

    def now_s(self) -> float:
        """POSIX seconds; may jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns after that many seconds."""
        ...


class RealClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        """POSIX seconds."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Returns after that many seconds."""
        time.sleep(seconds)
