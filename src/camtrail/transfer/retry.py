"""What an answer means for whoever asked: one table of statuses and of what services say beside them.

Whether trying again can help stands in the error (`retryable`); how long to wait before, here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any, TypeVar

from camtrail.core.clock import Clock
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    QuotaExceeded,
    Rejected,
    ServiceError,
    Unreachable,
)
from camtrail.core.names import shown
from camtrail.core.secrets import redacted
from camtrail.transfer.http import Answer

__all__ = [
    "LONGEST_WAIT_S",
    "SHORTEST_QUOTA_S",
    "Backoff",
    "BadOffset",
    "Gone",
    "Throttled",
    "TooMuch",
    "WrongOffset",
    "error_of",
    "patiently",
]

R = TypeVar("R")

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 300.0  # whatever a service asks for at once
SHORTEST_QUOTA_S = 10.0  # where it names no time
_MOST_SAID = 200
_SILENT_S = 2.0  # that attempts may take in all before people are told why they wait
_AUTH_CODE = 190
_RUN_AGAIN = "run again later; what was done is kept"


class WrongOffset(ServiceError):
    """The service has another number of bytes than the request supposed; asking for it anew helps."""

    code = "offset"
    retryable = True


class BadOffset(BadAnswer):
    """An answer that ought to say how much of an upload is there, and says what no number of bytes can be."""


class Gone(Rejected):
    """What was asked for is not there, or no longer."""

    code = "gone"


class TooMuch(Rejected):
    """A question with too long an answer: ask for less at once."""

    code = "too_much"


class Throttled(QuotaExceeded):
    """The service asks for a pause and did nothing of what it was asked for."""

    is_unheard = True


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow, spread at random so that many do not come back at once."""

    first_s: float = 0.2
    most_s: float = 30.0
    factor: float = 2.0

    def delay_s(self, attempt: int, random: Random) -> float:
        """How long to wait after the n-th failed attempt, n from 1: anything up to `first_s` · `factor`ⁿ⁻¹."""
        longest_s = self.first_s * self.factor ** min(max(attempt - 1, 0), 64)
        return random.uniform(0.0, min(self.most_s, longest_s))


def error_of(answer: Answer, what: str, now_s: float | None = None) -> CamtrailError | None:
    """What an answer's status and body say went wrong; None for one between 200 and 299.

    Parameters
    ----------
    what : what was asked for, as the message is to name it
    now_s : POSIX seconds, for a date in Retry-After where the answer has no Date

    Notes
    -----
    Bodies as in the Graph API (`error.code`, `error.message`, …) and in resumable uploads (`debug_info.type`,
    `debug_info.retriable`, `backoff` in ms). Nothing of a body is trusted to have the type that it should.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    body = _object(answer)
    error, debug = _inner(body, "error"), _inner(body, "debug_info")
    code = error.get("code")
    code = code if type(code) is int else None
    said = _said(error, debug)
    text = f"{what}: answered {status}" + (f" ({said})" if said else "")
    if (
        status in (401, 403)
        or code == _AUTH_CODE
        or (status == 400 and debug.get("type") == "NotAuthorizedError")
    ):
        return AuthError(text, "get a new token")
    asked_s = _retry_after_s(answer, body, now_s)
    if status == 429 or code == 4 or debug.get("type") == "RequestRateLimitedError":
        return Throttled(text, _RUN_AGAIN, retry_after_s=asked_s)
    if status == 503 and asked_s is not None:  # RFC 9110 section 15.6.4: it will be back by then
        return Throttled(text, _RUN_AGAIN, retry_after_s=asked_s)
    if code == 1 and "reduce the amount" in said.lower():
        return TooMuch(text, "ask for less at once")
    if status in (408, 425) or status >= 500 or code == 2 or error.get("is_transient") is True:
        return Unreachable(text, _RUN_AGAIN)
    if status in (409, 412):
        return WrongOffset(text, "run again")
    if status in (404, 410):
        return Gone(text)
    if status >= 400:
        return Unreachable(text, _RUN_AGAIN) if debug.get("retriable") is True else Rejected(text)
    return BadAnswer(text, "if this network has a login page, log in there and run again")


def _object(answer: Answer) -> dict[str, Any]:
    try:
        value = answer.json()
    except BadAnswer:
        return {}
    return value if isinstance(value, dict) else {}


def _inner(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _said(error: dict[str, Any], debug: dict[str, Any]) -> str:
    for text in (error.get("error_user_msg"), error.get("message"), debug.get("message")):
        if isinstance(text, str) and text.strip():
            # A service may repeat the token that it does not like.
            clean = shown(redacted(" ".join(text.split())))
            return clean if len(clean) <= _MOST_SAID else clean[: _MOST_SAID - 1] + "…"
    return ""


def _retry_after_s(answer: Answer, body: dict[str, Any], now_s: float | None) -> float | None:
    """How long to wait, 0 to 300 s; None where nothing usable is said."""
    backoff = body.get("backoff")
    if isinstance(backoff, int | float) and not isinstance(backoff, bool) and math.isfinite(backoff):
        return min(max(backoff / 1000, 0.0), LONGEST_WAIT_S)
    text = answer.headers.get("retry-after", "").strip()
    if text[:1].isdigit() or text[:1] == "-":
        try:
            seconds = float(text[:32])
        except ValueError:
            return None
        return min(max(seconds, 0.0), LONGEST_WAIT_S)
    until, now = _http_date_s(text), _http_date_s(answer.headers.get("date", ""))
    now = now if now is not None else now_s
    return None if until is None or now is None else min(max(until - now, 0.0), LONGEST_WAIT_S)


def _http_date_s(text: str) -> float | None:
    try:
        when: datetime = parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def patiently(
    call: Callable[[], R],
    *,
    clock: Clock,
    random: Random,
    attempts: int = 5,
    backoff: Backoff = Backoff(),
    most_wait_s: float = math.inf,
) -> R:
    """What a call returns that may be made several times without harm, made until it succeeds.

    Parameters
    ----------
    attempts : most of them in all
    most_wait_s : longest pause in all that the service may ask for

    Raises
    ------
    CamtrailError
        That of the last attempt, or the first that trying again cannot help.
    """
    attempt, paused_s, waited_s = 0, 0.0, 0.0
    while True:
        try:
            return call()
        except ServiceError as e:
            attempt += 1
            if not e.retryable or attempt >= attempts:
                raise
            wait_s = backoff.delay_s(attempt, random)
            if isinstance(e, QuotaExceeded):
                asked_s = SHORTEST_QUOTA_S if e.retry_after_s is None else e.retry_after_s
                asked_s = min(asked_s, LONGEST_WAIT_S)
                paused_s += asked_s
                if paused_s > most_wait_s:
                    raise
                wait_s = max(wait_s, asked_s)
                if asked_s > SHORTEST_QUOTA_S:
                    log.warning("the service asks for a pause of %.0f s", asked_s)
            if waited_s < _SILENT_S <= waited_s + wait_s:
                log.warning("%s; trying again, up to %d times", e.message, attempts)
            waited_s += wait_s
        clock.sleep(wait_s)
