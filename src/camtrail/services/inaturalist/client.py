"""Calls of iNaturalist's API v1, and its photos: kept, paced, and tried again where that can help."""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from random import Random
from typing import TypeVar
from urllib.parse import quote, urlencode

from camtrail.catalog.cache import Cache, Limit, Meter
from camtrail.core.bytes import MemoryBytes
from camtrail.core.clock import Clock
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    Failure,
    QuotaExceeded,
    Rejected,
    ServiceError,
    Unreachable,
    failure_of,
)
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.metadata import jpeg
from camtrail.services.inaturalist import wire
from camtrail.services.inaturalist.wire import Endpoints, Observation, ObservationPhoto, Page, Skipped, User
from camtrail.transfer.http import Answer, Http
from camtrail.transfer.pace import Pace
from camtrail.transfer.queue import Again, Queue
from camtrail.transfer.retry import LONGEST_WAIT_S, SHORTEST_QUOTA_S, Backoff, Gone, error_of

__all__ = ["ANSWER_AGE_S", "API_LIMITS", "PHOTO_LIMITS", "Client", "ranges"]

R = TypeVar("R")

log = logging.getLogger(__name__)

ANSWER_AGE_S = 300.0
"""How long an answer of the API counts: the service itself lets its answers be kept for that long."""

API_LIMITS = (
    Limit(60, 60, "the 60 requests that iNaturalist asks for in a minute"),
    Limit(10_000, 86_400, "the 10,000 requests that iNaturalist asks for in a day"),
)
"""Requests, as https://www.inaturalist.org/pages/api+recommended+practices asks for."""

PHOTO_LIMITS = (
    Limit(5 * 10**9, 3_600, "the 5 GB of photos that iNaturalist allows in an hour"),
    Limit(24 * 10**9, 86_400, "the 24 GB of photos that iNaturalist allows in a day"),
)
"""Bytes of photos, from the same page."""

_PER_PAGE = 200
_ATTEMPTS = 5
_MOST_JSON_BYTES = 1 << 26
_MOST_PHOTO_BYTES = 30 * 10**6
_TOKEN_PAGE = "get a new one at https://www.inaturalist.org/users/api_token; it is good for 24 hours"  # noqa: S105
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_NO_PICTURE = "no picture (JPEG, PNG or GIF)"


class Client:
    """What may be asked of the service; use it in a `with`. Threads may share it.

    Parameters
    ----------
    connect : a session with one origin; the API's and that of each place with photos are made when they are needed
    cache : keeps answers and photos, and counts what was asked
    token : of the user whose observations are asked for; it goes to the API and to no place with photos

    Notes
    -----
    All calls raise what the cache's meters raise; QuotaExceeded where a day's budget is spent; Unreachable
    after five attempts, and offline for what is not kept; AuthError for a token that is no longer good.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        connect: Callable[[str], Http],
        cache: Cache,
        clock: Clock,
        token: Secret | None = None,
        *,
        random: Random | None = None,
        per_page: int = _PER_PAGE,
    ) -> None:
        self._endpoints = endpoints
        self._connect = connect
        self._cache = cache
        self._clock = clock
        self._headers: Mapping[str, str | Secret] = {"Authorization": token} if token else {}
        # Only its owner is told some things: what a token was told is kept for that token.
        self._whose = hashlib.sha256(token.reveal().encode()).hexdigest()[:16] if token else ""
        self._random = random or Random()  # noqa: S311 - spreads waits
        self._per_page = per_page
        self._backoff = Backoff()
        self._asks = Pace(clock, budget=cache.meter(f"{endpoints.origin} requests", API_LIMITS))
        self._photo_bytes: Meter = cache.meter(f"{endpoints.origin} photo bytes", PHOTO_LIMITS)
        self._fetches = Pace(clock, budget=self._photo_bytes)
        self._lock = threading.Lock()
        self._sessions: dict[str, Http] = {}

    def close(self) -> None:
        """Ends the connections; calls under way raise Unreachable."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def user(self, login: str) -> User:
        """The user of a login. Raises Rejected where there is none."""
        try:
            path = f"users/{quote(login, safe='', errors='replace')}"
            return self._asked(path, f"user {shown(login)[:60]}", wire.user_in)
        except Rejected as e:
            raise Rejected(
                f"'{shown(login)[:60]}' is not an iNaturalist user login", "check the spelling of --user"
            ) from e

    def me(self) -> User:
        """Whom the token belongs to. Raises AuthError without one."""
        if not self._headers:
            raise AuthError("there is no token for iNaturalist", _TOKEN_PAGE)
        return self._asked("users/me", "the owner of the token", wire.user_in)

    def observations(
        self,
        user: User,
        first_date: str,
        last_date: str,
        skipped: Callable[[Skipped], object] | None = None,
    ) -> Iterator[Observation]:
        """A user's observations with photos, by the dates where they were made, in the order of their ids.

        Parameters
        ----------
        first_date, last_date : YYYY-MM-DD, both included
        skipped : is told of each observation that could not be read; it is logged as well

        Raises
        ------
        BadAnswer
            The service's pages do not lead to an end; what was yielded is then not all.

        Notes
        -----
        Asks page after page for ids above the last one, so that observations that come or go meanwhile shift
        nothing. Each page must name fewer than the one before, and has ids that were not there yet.
        """
        above, left = 0, None
        while True:
            page = self._page(user, first_date, last_date, above, left)
            for skip in page.skipped:
                which = "" if skip.id is None else f" {skip.id}"
                log.warning("observation%s cannot be read and is left out: %s", which, skip.reason)
                if skipped is not None:
                    skipped(skip)
            yield from page.observations
            read = len(page.observations) + len(page.skipped)
            if page.total <= read:
                return
            above, left = page.ids[-1], page.total

    def photo(self, photo: ObservationPhoto, size: str) -> bytes:
        """A photo's file in one of `wire.SIZES`.

        Raises
        ------
        Rejected
            It is gone, or was never there.
        """
        if (kept := self._kept_photo(photo, size)) is not None:
            return kept
        return self._patiently(self._fetches, lambda: self._fetched(photo, size))

    def photos(
        self, photos: Iterable[ObservationPhoto], size: str, workers: int = 4
    ) -> Iterator[tuple[ObservationPhoto, bytes | Failure[ObservationPhoto]]]:
        """The files of several photos, those that are kept first, the others as they arrive.

        One that cannot be had is a Failure; what everybody would meet as well (a spent budget, a service that is
        gone) makes Failures of all that are left.
        """
        missing: list[_Fetch] = []
        for photo in photos:
            try:
                kept = self._kept_photo(photo, size)
            except CamtrailError as e:
                yield photo, failure_of(photo, e)
                continue
            if kept is None:
                missing.append(_Fetch(photo))
            else:
                yield photo, kept
        if not missing:
            return
        queue: Queue[_Fetch, bytes] = Queue(
            lambda fetch: self._step(fetch, size),
            workers=min(workers, len(missing)),
            clock=self._clock,
            pace=self._fetches,
            tasks=missing,
        )
        for fetch, end in queue:
            yield fetch.photo, end.at(fetch.photo) if isinstance(end, Failure) else end

    def _page(self, user: User, first_date: str, last_date: str, above: int, left: int | None) -> Page:
        query = {
            "user_login": user.login,
            "photos": "true",
            "d1": _day(first_date),
            "d2": _day(last_date),
            "order_by": "id",
            "order": "asc",
            "per_page": self._per_page,
            "id_above": above,
        }

        def read(answer: Answer) -> Page:
            page = wire.page_in(answer)
            _check(page, above, left)
            return page

        return self._asked(f"observations?{urlencode(query)}", "the observations", read)

    def _asked(self, path: str, what: str, read: Callable[[Answer], R]) -> R:
        url = f"{self._endpoints.api}/{path}"
        key = f"GET {url}" + (f" as {self._whose}" if self._whose else "")
        if (kept := self._cache.get(key, ANSWER_AGE_S)) is not None:
            try:
                return read(Answer(200, {}, kept))
            except BadAnswer:  # what an earlier camtrail kept
                pass
        self._refuse_offline(what)

        def attempt() -> R:
            session = self._session(self._endpoints.origin)
            answer = session.request("GET", url, headers=self._headers, most_bytes=_MOST_JSON_BYTES)
            if error := _error_of(answer, what):
                raise error
            value = read(answer)
            self._cache.put(key, answer.body, ".json")
            return value

        return self._patiently(self._asks, attempt)

    def _patiently(self, pace: Pace, call: Callable[[], R]) -> R:
        """What a call returns, made again where that can help, at a pace that all callers share."""
        for attempt in itertools.count(1):
            pace.wait()
            try:
                value = call()
            except ServiceError as e:
                if isinstance(e, Rejected):
                    pace.succeeded()
                if not e.retryable:
                    raise
                if isinstance(e, QuotaExceeded):
                    pace.pause(_asked_s(e))
                else:
                    pace.failed(e.message)
                if attempt >= _ATTEMPTS:
                    raise
                self._clock.sleep(self._backoff.delay_s(attempt, self._random) or 0.001)
            else:
                pace.succeeded()
                return value
        raise AssertionError  # counting has no end

    def _step(self, fetch: _Fetch, size: str) -> bytes | Again:
        try:
            return self._fetched(fetch.photo, size)
        except ServiceError as e:
            fetch.failures += 1
            if not e.retryable or fetch.failures >= _ATTEMPTS:
                raise
            pause_s = _asked_s(e) if isinstance(e, QuotaExceeded) else 0.0
            return Again(self._backoff.delay_s(fetch.failures, self._random), pause_s, e)

    def _kept_photo(self, photo: ObservationPhoto, size: str) -> bytes | None:
        kept = self._cache.get(self._photo_key(photo, size))
        if kept is None:
            self._refuse_offline(f"photo {photo.photo_id} ({size})")
        return kept

    def _photo_key(self, photo: ObservationPhoto, size: str) -> str:
        # The place of a photo changes with its licence; the number behind ? when it was turned.
        version = photo.url.partition("?")[2]
        return f"photo {self._endpoints.origin} {photo.photo_id} {size} {version}".strip()

    def _fetched(self, photo: ObservationPhoto, size: str) -> bytes:
        """One attempt at a photo."""
        what = f"photo {photo.photo_id} ({size})"
        url = photo.url_of(size)
        if url is None:
            raise Gone(f"{what}: iNaturalist has no picture of it any more")
        try:
            origin, path = self._endpoints.photo_at(url)
        except Rejected as e:
            raise Rejected(f"{what}: {e.message}") from e
        answer = self._session(origin).request("GET", f"{origin}/{path}", most_bytes=_MOST_PHOTO_BYTES)
        if answer.body:
            self._photo_bytes.add(len(answer.body))
        if answer.status in (403, 404, 410):  # where they lie, a photo that is missing is forbidden
            raise Gone(f"{what}: is not there any more")
        if error := error_of(answer, what):
            raise error
        if fault := _fault(answer.body):
            raise BadAnswer(
                f"{what}: what was answered is {fault}", "run again; log in if this network wants that"
            )
        self._cache.put(
            self._photo_key(photo, size), answer.body, "." + url.partition("?")[0].rpartition(".")[2]
        )
        return answer.body

    def _session(self, origin: str) -> Http:
        with self._lock:
            if origin not in self._sessions:
                self._sessions[origin] = self._connect(origin)
            return self._sessions[origin]

    def _refuse_offline(self, what: str) -> None:
        if self._cache.offline:
            raise Unreachable(f"{what}: is not kept, and this run is offline", "run again without --offline")


class _Fetch:
    """A photo on its way."""

    __slots__ = ("failures", "photo")

    def __init__(self, photo: ObservationPhoto) -> None:
        self.photo = photo
        self.failures = 0


def ranges(dates: Iterable[str], gap_days: int = 30) -> list[tuple[str, str]]:
    """Spans of dates to ask for, (first, last), ascending: one request serves days that lie close together.

    Parameters
    ----------
    dates : YYYY-MM-DD, in any order
    gap_days : days without a date that a span may bridge
    """
    found: list[tuple[date, date]] = []
    for day in sorted({date.fromisoformat(text) for text in dates}):
        if found and (day - found[-1][1]).days <= gap_days + 1:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return [(first.isoformat(), last.isoformat()) for first, last in found]


def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _asked_s(error: QuotaExceeded) -> float:
    asked_s = SHORTEST_QUOTA_S if error.retry_after_s is None else error.retry_after_s
    return min(max(asked_s, 0.0), LONGEST_WAIT_S)


def _check(page: Page, above: int, left: int | None) -> None:
    """Raises BadAnswer for a page from which there is no way to the end."""
    if any(a >= b for a, b in itertools.pairwise((above, *page.ids))):
        raise BadAnswer("iNaturalist answers with observations that it had listed before", "run again later")
    if left is not None and page.total >= left:
        raise BadAnswer("iNaturalist's list of observations does not come to an end", "run again later")
    if page.total > len(page.observations) + len(page.skipped) and not page.ids:
        raise BadAnswer(
            f"iNaturalist says that there are {page.total} more observations, and names none",
            "run again later",
        )


def _error_of(answer: Answer, what: str) -> CamtrailError | None:
    """What an answer of the API says went wrong; its own words stand in `error`."""
    if answer.status == 401:
        return AuthError(f"{what}: iNaturalist does not take the token", _TOKEN_PAGE)
    if answer.status == 403:
        return ServiceError(
            f"{what}: iNaturalist answers this machine no more (403)",
            "it shuts out who asks too much for a day or longer; run again then",
        )
    return error_of(answer, what)


def _fault(data: bytes) -> str | None:
    """What keeps bytes from being a whole picture."""
    cut = "a picture that is cut off"
    if data[:3] == b"\xff\xd8\xff":
        source = MemoryBytes(data)
        at = jpeg.head(source, data[: jpeg.WINDOW_BYTES]).picture_at
        return None if at >= 0 and jpeg.is_whole(source, at) else cut
    if data.startswith(_PNG):
        return None if _PNG_END in data[-64:] else cut
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return None if data.rstrip(b"\0").endswith(b";") else cut
    return _NO_PICTURE if data else "nothing"
