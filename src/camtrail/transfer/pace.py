"""How fast a service may be asked: pauses that hold for every worker, a rate, and when to give up for now."""

from __future__ import annotations

import threading
from typing import Protocol

from camtrail.core.clock import Clock
from camtrail.core.errors import CamtrailError, QuotaExceeded, Unreachable

__all__ = ["Budget", "Pace"]

_FREE_ROW = 6  # failures in a row before everybody slows down
_FIRST_S = 0.5
_MOST_S = 10.0
_LEAST_S = 0.001  # a shorter time may be none by the clock, and then waiting would never end


class Budget(Protocol):
    """How much may be asked of a service in a minute or a day, by all runs together."""

    def take(self) -> float:
        """0 where one more request may go out, which is then counted; else seconds to wait, then ask again.

        Raises QuotaExceeded where that would be too long for a run.
        """
        ...


class Pace:
    """The pace at which one host is asked; shared by all workers.

    Parameters
    ----------
    per_s : requests a second at most; None for any number. As many as that may go out at once
    longest_s : pauses in all that the service may ask for; a longer one ends the run
    limit, patience_s : so many failures in a row without any success between, over at least that time, are taken
        for a service that is not there
    budget : what all runs share; a run ends where it is used up

    Notes
    -----
    From the seventh failure in a row on, all workers pause, 0.5 s at first and twice as long each time up to 10 s:
    with a host that refuses at once the twelfth comes after some 30 s, so that a run ends within about a minute,
    and a connection that is away for 20 s costs no item its attempts.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        per_s: float | None = None,
        longest_s: float = 900.0,
        limit: int = 12,
        patience_s: float = 45.0,
        budget: Budget | None = None,
    ) -> None:
        self._clock = clock
        self._per_s = per_s
        self._longest_s = longest_s
        self._limit = limit
        self._patience_s = patience_s
        self._budget = budget
        self._lock = threading.Lock()
        self._until_s = clock.monotonic_s()  # nobody asks before
        self._paused_s = 0.0
        self._row = 0
        self._row_since_s = 0.0
        self._ended: CamtrailError | None = None
        self._tokens = self._most_tokens = max(1.0, per_s or 1.0)
        self._counted_s = self._until_s

    @property
    def ended(self) -> CamtrailError | None:
        """Why nothing more is to be asked in this run; None as long as there is hope."""
        return self._ended

    def start(self) -> float:
        """0 where a request may go out now, which takes its place in the rate; else seconds to wait, then ask again."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if now_s < self._until_s:
                return self._until_s - now_s
            wait_s = 0.0 if self._per_s is None else self._rate_s(now_s, self._per_s)
            if not wait_s and self._budget is not None:
                wait_s = self._budget_s(self._budget)
            if not wait_s and self._per_s is not None:
                self._tokens -= 1.0
            return wait_s

    def _rate_s(self, now_s: float, per_s: float) -> float:
        gained = (now_s - self._counted_s) * per_s
        self._tokens = min(self._most_tokens, self._tokens + gained)
        self._counted_s = now_s
        return max(_LEAST_S, (1.0 - self._tokens) / per_s) if self._tokens < 1.0 else 0.0

    def _budget_s(self, budget: Budget) -> float:
        try:
            return budget.take()
        except QuotaExceeded as e:
            self._ended = self._ended or e
            return e.retry_after_s or _MOST_S

    def wait(self) -> None:
        """Returns when a request may go out. Raises what `ended` has."""
        while True:
            if self._ended is not None:
                raise self._ended
            if not (wait_s := self.start()):
                return
            if self._ended is None:
                self._clock.sleep(wait_s)

    def pause(self, seconds: float) -> bool:
        """Nobody asks for so long, as the service wishes; False where that is more than may be waited in all."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            until_s = now_s + max(0.0, seconds)
            more_s = until_s - max(self._until_s, now_s)
            if more_s > 0:
                if self._paused_s + more_s > self._longest_s:
                    self._ended = self._ended or QuotaExceeded(
                        f"the service asks for pauses of more than {self._longest_s:g} s in all",
                        "run again later; what was done is kept",
                    )
                    return False
                self._paused_s += more_s
                self._until_s = until_s
            return self._ended is None

    def succeeded(self) -> None:
        """The service did something that was asked of it."""
        self._row = 0  # no lock: a failure at the same moment may be counted either way

    def failed(self, said: str = "") -> None:
        """A failure that may be the service's or the network's, whichever item it met.

        Parameters
        ----------
        said : what is known of it, for the message of `ended`
        """
        with self._lock:
            now_s = self._clock.monotonic_s()
            if not self._row:
                self._row_since_s = now_s
            self._row += 1
            if self._row >= self._limit and now_s - self._row_since_s >= self._patience_s:
                because = f" ({said})" if said else ""
                self._ended = self._ended or Unreachable(
                    f"nothing succeeds any more{because}",
                    "check the connection and run again; what was done is kept",
                )
            elif self._row > _FREE_ROW:
                slow_s = min(_MOST_S, _FIRST_S * 2.0 ** min(self._row - _FREE_ROW - 1, 16))
                self._until_s = max(self._until_s, now_s + slow_s)
