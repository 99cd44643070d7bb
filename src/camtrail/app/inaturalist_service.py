"""iNaturalist's client, put together: its address, its sessions, and the cache in the user's folder."""

from __future__ import annotations

from camtrail import __version__
from camtrail.app.context import Context
from camtrail.app.state import absolute
from camtrail.catalog.cache import MOST_BYTES, Cache
from camtrail.core.clock import Clock
from camtrail.core.secrets import Secret
from camtrail.services.inaturalist.client import Client
from camtrail.services.inaturalist.wire import Endpoints
from camtrail.transfer.http import Http

__all__ = ["USER_AGENT", "open_cache", "open_client"]

USER_AGENT = f"camtrail/{__version__} (photo organizer; matches a user's own photos to their observations)"
"""How it names itself, as the service asks for."""


def open_cache(
    context: Context,
    folder: str = "",
    *,
    most_bytes: int = MOST_BYTES,
    bypass: bool = False,
    offline: bool = False,
) -> Cache:
    """The cache in a folder; "" for the user's own. Raises as `Cache` does."""
    if not folder:
        from platformdirs import user_cache_dir

        folder = f"{user_cache_dir('camtrail', appauthor=False)}/inaturalist"
    return Cache(
        absolute(folder), context.fs, context.clock, most_bytes=most_bytes, bypass=bypass, offline=offline
    )


def open_client(base_url: str, token: Secret | None, cache: Cache, clock: Clock) -> Client:
    """Calls at an address ("" for the real service), with the token of the user or without. Raises UsageError.

    Parameters
    ----------
    cache : stays the caller's, who closes it after the client
    """

    def connect(origin: str) -> Http:
        return Http((origin,), user_agent=USER_AGENT, clock=clock)

    return Client(Endpoints.of(base_url or None), connect, cache, clock, token)
