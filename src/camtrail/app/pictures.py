"""Identities of pictures, which no change of tags touches; remembered, because finding one reads the whole file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from camtrail.app.context import Context
from camtrail.app.state import Workspace
from camtrail.catalog.store import Catalog
from camtrail.core.errors import Failure, UnreadableFile, failure_of
from camtrail.core.model import Photos
from camtrail.metadata import picture

__all__ = ["STAGE", "carry", "digests"]

STAGE = "picture"
_THREADS = min(os.cpu_count() or 1, 4)
_GROUP = 64  # photos between two words about how far it is
_MOST_LOST = 1024  # photos that a run which is killed may have read in vain


def digests(
    space: Workspace, photos: Photos, rows: Iterable[int], context: Context
) -> tuple[dict[str, bytes | None], list[Failure[str]]]:
    """The digest of the picture of each of these photos, by path; None where a file has no picture.

    Those of files that have neither size nor mtime changed since are remembered.

    Returns
    -------
    digests by path relative to the state's base; failures of files that cannot be read, named as typed
    """
    names, sizes, times = photos.path, photos.size_bytes, photos.mtime_ns
    seen = {names[i]: f"{sizes[i]} {times[i]} " for i in rows}
    with Catalog(space.catalog) as catalog:
        kept = catalog.kept(STAGE)
    found: dict[str, bytes | None] = {}
    for path, mark in seen.items():
        if (value := kept.get(path, "")).startswith(mark):
            found[path] = bytes.fromhex(value[len(mark) :]) or None
    missing = [path for path in seen if path not in found]
    failures: list[Failure[str]] = []
    made: dict[str, str] = {}

    def keep() -> None:
        if made:
            with Catalog(space.catalog) as catalog:
                catalog.keep(STAGE, made)
            made.clear()

    threads = ThreadPoolExecutor(_THREADS)
    try:
        answers = threads.map(lambda path: _digest(space.absolute(path), context), missing)
        for n, (path, answer) in enumerate(zip(missing, answers), 1):
            if n % _GROUP == 0 or n == len(missing):
                context.progress("pictures", n, len(missing))
            if isinstance(answer, Failure):
                failures.append(answer.at(space.as_typed(path)))
                continue
            found[path] = answer
            made[path] = seen[path] + (answer or b"").hex()
            if len(made) == _MOST_LOST:
                keep()
    finally:
        threads.shutdown(cancel_futures=True)  # who interrupts does not wait for the others
        keep()
    return found, failures


def _digest(path: str, context: Context) -> bytes | Failure[str] | None:
    try:
        with context.fs.source(path) as source:
            return picture.picture_sha256(source)
    except UnreadableFile as e:
        return failure_of(path, e)


def carry(space: Workspace, paths: Sequence[str], known: Mapping[str, bytes | None]) -> None:
    """Remembers the digests of photos whose tags we have just written: the pictures are what they were.

    Parameters
    ----------
    paths : relative to the state's base; the catalog has read them again since
    known : digests by those paths
    """
    with Catalog(space.catalog) as catalog:
        rows = catalog.photos()
        catalog.keep(
            STAGE,
            {
                p: f"{rows[p][1]} {rows[p][2]} {(known[p] or b'').hex()}"
                for p in paths
                if p in rows and p in known
            },
        )
