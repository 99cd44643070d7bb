"""A resumable upload by offsets, one attempt at a time: the service says how much it has, the rest is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from camtrail.core.errors import BadAnswer, QuotaExceeded, ServiceError
from camtrail.transfer.http import Body
from camtrail.transfer.queue import Again
from camtrail.transfer.retry import LONGEST_WAIT_S, SHORTEST_QUOTA_S, Backoff, BadOffset, Gone, WrongOffset

__all__ = ["Resumable", "RetryPolicy", "Session"]

_BACKOFF = Backoff()
_PROGRESS_BYTES = 1 << 16  # less than that more is no progress: a service could ask for a byte at a time


class Session(Protocol):
    """What a service offers for one upload; every call is one attempt."""

    def offset(self, key: str) -> int:
        """How many bytes of it the service has. Raises ServiceError."""
        ...

    def send(self, key: str, offset: int, body: Body) -> str:
        """The handle of the whole, after the bytes from `offset` on were sent. Raises ServiceError."""
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often one upload is tried."""

    attempts: int = 10  # failures in a row without the service having more than ever before
    wrong_offsets: int = 5  # that the service corrects, in a row without progress
    restarts: int = 3  # of sessions that the service no longer knows
    backoff: Backoff = _BACKOFF


class Resumable:
    """One upload on its way.

    Parameters
    ----------
    key : the session's name at the service
    size : bytes of the whole
    body_from : the bytes from an offset on
    new_key : another name for the same bytes, for the n-th new session, n from 1

    Notes
    -----
    Only the service's own word counts as progress, and each way to fail has an end: `attempts` for the whole,
    started anew when at least 64 KiB more than ever are acknowledged; `wrong_offsets`; `restarts`; one new session
    where an offset makes no sense.
    """

    def __init__(
        self,
        key: str,
        size: int,
        body_from: Callable[[int], Body],
        session: Session,
        policy: RetryPolicy,
        random: Random,
        new_key: Callable[[int], str],
    ) -> None:
        self.key = key
        self.size = size
        self._body_from = body_from
        self._session = session
        self._policy = policy
        self._random = random
        self._new_key = new_key
        self._failures = 0
        self._wrong = 0
        self._restarts = 0
        self._is_renewed = False
        self._most_bytes = 0  # that the service ever acknowledged
        self._gained = False

    def step(self) -> str | Again:
        """One attempt: the handle, or when to come for the next.

        Raises
        ------
        ServiceError
            Trying again cannot help, or was done often enough; `retryable` says whether another run may.
        CamtrailError
            What `body_from` raises.
        """
        self._gained = False
        try:
            return self._attempt()
        except WrongOffset as e:
            self._wrong += 1
            if self._wrong > self._policy.wrong_offsets:
                raise
            return Again(0.0, error=e, gained=self._gained)
        except Gone as e:
            self._restarts += 1
            if self._restarts > self._policy.restarts:
                raise
            self._most_bytes = 0
            return Again(self._delay_s(self._restarts), error=e, gained=self._gained)
        except ServiceError as e:
            if not e.retryable or isinstance(e, BadOffset):  # the new session for the latter was had
                raise
            self._failures += 1
            if self._failures >= self._policy.attempts:
                raise
            return Again(self._delay_s(self._failures), _pause_s(e), e, self._gained)

    def _attempt(self) -> str | Again:
        try:
            offset = self._session.offset(self.key)
        except BadOffset as e:
            return self._renewed(e)
        if type(offset) is not int or not 0 <= offset <= self.size:
            said = f"the service says that it has {offset!r:.40} of {self.size} bytes"
            return self._renewed(BadOffset(said, "run again later"))
        if offset - self._most_bytes >= _PROGRESS_BYTES or self._most_bytes < offset == self.size:
            self._most_bytes = offset
            self._failures = self._wrong = 0
            self._gained = True
        handle = self._session.send(self.key, offset, self._body_from(offset))
        if not isinstance(handle, str) or not handle:
            raise BadAnswer("the service took an upload and gave no handle for it", "run again later")
        return handle

    def _renewed(self, error: BadOffset) -> Again:
        """One new session where the service says an offset that cannot be."""
        if self._is_renewed:
            raise error
        self._is_renewed = True
        self.key = self._new_key(1)
        self._most_bytes = 0
        return Again(0.0, error=error)

    def _delay_s(self, attempt: int) -> float:
        return self._policy.backoff.delay_s(attempt, self._random)


def _pause_s(error: ServiceError) -> float:
    """How long everybody is to wait for the sake of this error."""
    if not isinstance(error, QuotaExceeded):
        return 0.0
    asked_s = SHORTEST_QUOTA_S if error.retry_after_s is None else error.retry_after_s
    return min(max(asked_s, 0.0), LONGEST_WAIT_S)
