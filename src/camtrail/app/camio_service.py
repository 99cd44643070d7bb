"""Camio's client, put together: the server, the token, one HTTP session."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from camtrail import __version__
from camtrail.app.mapillary_service import is_guarded
from camtrail.core.clock import Clock
from camtrail.core.errors import AuthError
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.services.camio.client import DEFAULT_SERVER, TEST_SERVER, Client
from camtrail.transfer.http import Http, origin_of

__all__ = ["ATTEMPTS", "connected", "server_of", "token_of"]

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a question is asked before its error counts."""


def server_of(testing: bool, given_url: str) -> str:
    """The address of the cloud.

    Parameters
    ----------
    testing : whether the test server is meant
    given_url : an address that wins, such as that of a stand-in; "" for none. A rehearsal never leaves it.
    """
    if given_url and testing:
        log.warning("%s is asked in place of the test server", shown(given_url))
    return given_url or (TEST_SERVER if testing else DEFAULT_SERVER)


def token_of(typed: str, of_environment: str) -> Secret:
    """The token to use: the one of the command line, else that of the environment.

    Raises
    ------
    AuthError
        There is none, or what is given cannot be one.
    """
    if typed:
        log.warning(
            "what stands on the command line can be seen by others on this machine and stays in the shell's history; "
            "CAMIO_OAUTH_TOKEN is the safe way"
        )
    text = typed.strip() or of_environment.strip()
    if not text:
        raise AuthError("there is no token for Camio", "set CAMIO_OAUTH_TOKEN")
    token = Secret(text)
    if not (text.isascii() and text.isprintable()):
        raise AuthError(
            "the token has characters that no token has", "set CAMIO_OAUTH_TOKEN to the token alone"
        )
    return token


@contextmanager
def connected(server_url: str, token: Secret, clock: Clock) -> Iterator[Client]:
    """Calls at a server in the name of a token's owner, as long as it is open. Raises UsageError for no address."""
    origin = origin_of(server_url)
    if not is_guarded(origin):
        log.warning("%s: what is sent there, the token included, can be read on the way", shown(origin))
    with Http((origin,), user_agent=f"camtrail/{__version__}", clock=clock) as http:
        yield Client(http, server_url, token, clock)
