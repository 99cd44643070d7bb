"""Mapillary's client, put together: its addresses, one HTTP session, and what is asked before there is a profile."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from random import Random
from urllib.parse import urlsplit

from camtrail import __version__
from camtrail.core.clock import Clock
from camtrail.core.secrets import Secret
from camtrail.services.mapillary.client import Client
from camtrail.services.mapillary.wire import Endpoints
from camtrail.transfer.http import Http
from camtrail.transfer.retry import patiently

__all__ = ["is_guarded", "login_of", "me_of", "open_client", "open_pictures", "origin_of"]

_ATTEMPTS = 4  # somebody waits for the answer


def origin_of(base_url: str) -> str:
    """The origin that tokens and uploads of an address belong to; "" is the real service. Raises UsageError."""
    return Endpoints.of(base_url or None).origin


def is_guarded(origin: str) -> bool:
    """Whether nobody on the way can read what is sent to an origin: it is https, or on this machine."""
    parts = urlsplit(origin)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def open_client(base_url: str, token: Secret, clock: Clock, connections: int = 1) -> Client:
    """Calls at an address ("" for the real service) in the name of a token's owner. Raises UsageError."""
    return Client(_session(base_url, clock, connections), Endpoints.of(base_url or None), token)


def open_pictures(base_url: str, clock: Clock, connections: int) -> Http:
    """Requests to wherever the service's answers say that its pictures are; no secret goes there. Raises UsageError."""
    return Http(
        (),
        pointed_by=Endpoints.of(base_url or None).graph,
        connections=connections,
        user_agent=f"camtrail/{__version__}",
        clock=clock,
    )


def _session(base_url: str, clock: Clock, connections: int) -> Http:
    at = Endpoints.of(base_url or None)
    return Http(
        (at.graph, at.upload, at.tiles),
        connections=connections,
        user_agent=f"camtrail/{__version__}",
        clock=clock,
    )


def me_of(base_url: str, clock: Clock) -> Callable[[Secret], tuple[str, str]]:
    """A function that asks the service who a token belongs to: (id, user name).

    It raises AuthError where the service does not know the token, Unreachable where there is no service.
    """

    def me(token: Secret) -> tuple[str, str]:
        with _session(base_url, clock, 1) as http:
            client = Client(http, Endpoints.of(base_url or None), token)
            account = patiently(client.me, clock=clock, random=Random(), attempts=_ATTEMPTS)  # noqa: S311
        return account.id, account.name

    return me


def login_of(
    base_url: str, client_token: Secret, clock: Clock
) -> Callable[[str, Secret], tuple[Secret, str]]:
    """A function that gets (token, id) for an e-mail and a password, by the token of an app.

    It raises AuthError with the service's own words where the password is wrong.
    """

    def login(email: str, password: Secret) -> tuple[Secret, str]:
        with _session(base_url, clock, 1) as http:
            client = Client(http, Endpoints.of(base_url or None), client_token)
            found = patiently(
                lambda: client.login(email, password, client_token),
                clock=clock,
                random=Random(),  # noqa: S311
                attempts=_ATTEMPTS,
            )
        return found.token, found.user_id

    return login
