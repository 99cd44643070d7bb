"""`mapillary download_images`, `download_sequences` and `verify`: images of the service in a folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from camtrail.app.download_options import AreaOptions, DownloadOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, show, verb
from camtrail.core.errors import AuthError, UsageError, worst
from camtrail.core.names import plain, shown

if TYPE_CHECKING:
    from camtrail.app.download import Service
    from camtrail.app.download_folder import Downloaded

__all__ = ["download_images", "download_sequences", "verify"]

_EDGES = "MIN_LAT MAX_LAT MIN_LON MAX_LON"


@verb(
    "download_images",
    "Download images of the area between two latitudes and two longitudes, in degrees. They lie in DIR as "
    "SEQUENCE/IMAGE.jpg, and manifest.csv tells what is known of each.",
    AreaOptions,
    metavar=_EDGES,
    takes_numbers=True,
)
def download_images(run: Run, words: tuple[str, ...], values: dict[str, Any]) -> int:
    """Images of an area."""
    from camtrail.app import download as app

    options = build(AreaOptions, values)
    edges = [_number(word) for word in words]
    if len(edges) != 4:
        raise UsageError(
            f"an area has 4 edges, and {len(edges)} are given",
            f"give {_EDGES}, as in 45.0 45.1 -122.6 -122.5",
        )
    return _run(run, options, lambda service: app.download_images(edges, options, service, run.context))


download_images.params[0].metavar = _EDGES


@verb(
    "download_sequences",
    "Download the images that lists name: files of ids, folders of such files, or ids of sequences. Lists with places "
    "and pairs, as of place recognition, also get tables of pairs and sequences.",
    DownloadOptions,
    metavar="FILE_OR_FOLDER",
)
def download_sequences(run: Run, names: tuple[str, ...], values: dict[str, Any]) -> int:
    """Images of lists."""
    from camtrail.app import download as app

    options = build(DownloadOptions, values)
    app.lists_of(names, run.context)  # a list that is none is told before anybody is asked for a token
    return _run(run, options, lambda service: app.download_sequences(names, options, service, run.context))


@verb(
    "verify",
    "Read all downloaded images at DIR again, and name what is missing or damaged.",
    many=False,
    metavar="DIR",
)
def verify(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Whether files are what was written."""
    from camtrail.app import download_tables as app

    done = app.verify(paths[0], run.context)
    counts = dict(done.counts)
    show(run, done.result, rest="--json lists all", summary=_summary(counts), is_brief=True, counts=counts)
    return worst({f.exit_code for f in done.result.failures})


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError as e:
        raise UsageError(f"{shown(word)}: is no number of degrees", f"give {_EDGES}") from e


def _run(run: Run, options: DownloadOptions, body: Callable[[Service], Downloaded]) -> int:
    """One download, and what it came to."""
    with ExitStack() as stack:
        done = body(_service(run, options, stack))
    counts = dict(done.counts)
    show(
        run, done.result, rest="manifest.csv lists all", summary=_summary(counts), is_brief=True, counts=counts,
        folder=plain(done.folder), bytes=done.size_bytes,
    )  # fmt: skip
    return worst({f.exit_code for f in done.result.failures})


def _summary(counts: dict[str, int]) -> str:
    lines = [f"{n:9,}  {what.replace('_', ' ')}" for what, n in counts.items()]
    return "\n".join(lines) or "        0  images"


def _service(run: Run, options: DownloadOptions, stack: ExitStack) -> Service:
    """The service as environment and configuration say it. Raises AuthError where there is no token."""
    from camtrail.app.download import Service
    from camtrail.app.mapillary_service import open_client, open_pictures
    from camtrail.cli.accounts import access_of_environment

    accounts, base_url, client_token = access_of_environment()
    profile = accounts.find(options.user_name) if options.user_name else accounts.only()
    token = accounts.token(profile, accounts.origin) or client_token
    if token is None:
        raise AuthError(
            "there is no token for Mapillary", "set MAPILLARY_TOKEN, or run camtrail mapillary authenticate"
        )
    client = open_client(base_url, token, run.context.clock, options.connections)
    stack.callback(client.close)
    pictures = stack.enter_context(open_pictures(base_url, run.context.clock, options.connections))
    return Service(client, pictures, accounts.origin)
