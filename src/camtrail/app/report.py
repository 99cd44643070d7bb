"""What is known, as one page for people."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from camtrail.app.context import Context
from camtrail.app.export import check_target, items
from camtrail.app.feeds import Feed, SourceOptions, feeds, is_track
from camtrail.app.process import ProcessOptions, Result, known
from camtrail.app.scan import suffix_of
from camtrail.app.state import absolute
from camtrail.core.errors import UnreadableFile, UsageError
from camtrail.core.model import Item
from camtrail.core.names import shown
from camtrail.core.options import opt
from camtrail.metadata import safeio
from camtrail.metadata.thumbnail import thumbnail
from camtrail.reports import collection
from camtrail.reports.map import Recording
from camtrail.reports.page import MARK, tile_origin

__all__ = ["ReportOptions", "check_page", "report", "write"]

_MOST_THUMBNAILS = 500  # of some 9 kB each; beyond that the page would be slow to open
_MOST_BYTES = 9_000_000  # of all thumbnails: the page is a third larger
_MOST_OWN_BYTES = _MOST_BYTES // _MOST_THUMBNAILS  # where the file's own thumbnail is larger, one is made
_SIDE_PX, _QUALITY = 160, 70  # of those that are made: some 5 kB
_THREADS = min(os.cpu_count() or 1, 8)
_GROUP = 16  # pictures between two words about how far it is


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Where the page goes."""

    output: str = opt("", "page to write, as report.html", flag="--output", aliases=("-o", "--to"))
    force: bool = opt(False, "replace a file that camtrail did not write")
    track: tuple[str, ...] = opt((), "a track to draw on the map")
    tiles: str = opt(
        "",
        "online map tiles that the page's reader may turn on: your provider's address, as "
        "https://tiles.example.org/{z}/{x}/{y}.png",
    )


def check_page(path: str, force: bool, context: Context, tiles: str = "") -> None:
    """Raises UsageError or SafetyRefusal where a page cannot go to a file, or has no such tiles."""
    if not path:
        raise UsageError("no page to write is given", "give -o FILE.html")
    if suffix_of(path) not in (".html", ".htm"):
        raise UsageError(f"{shown(path)}: a page is an HTML file", "give it the suffix .html")
    if tiles:
        try:
            tile_origin(tiles)
        except ValueError as e:
            hint = "give an http or https address with {z}, {x} and {y} in its path"
            if "{s}" in tiles:
                hint = (
                    "it has {s}, which stands for one of several servers: write one of them there, such as a"
                )
            raise UsageError(f"{shown(tiles)}: is no address of map tiles", hint) from e
    check_target(path, MARK, force, context)


def report(paths: Sequence[str], options: ProcessOptions, to: ReportOptions, context: Context) -> Result:
    """Writes what is known of the photos at PATHs as one self-contained page.

    A PATH with a track's suffix counts as `--track`: it is drawn, and places no photo.

    Raises
    ------
    UsageError, SafetyRefusal
        The page cannot go to that file.
    InputError
        A track cannot be used.
    """
    check_page(to.output, to.force, context, to.tiles)
    tracks = [p for p in paths if is_track(p, context)]
    drawn, failures = feeds(SourceOptions(track=to.track), tracks, {}, context)
    result = known("report", [p for p in paths if p not in tracks], options, context)
    result.feeds += drawn
    result.failures += failures
    write(result, to.output, context, max_gap_s=options.join.max_gap_s, tiles=to.tiles)
    return result


def write(result: Result, path: str, context: Context, *, max_gap_s: float, tiles: str = "") -> None:
    """Writes a result as a page, and adds it to the result's outputs.

    Parameters
    ----------
    max_gap_s : longest time between two fixes of a track that is no gap
    tiles : address of online map tiles that the reader may turn on; empty: none
    """
    found = list(items(result.collections))
    names = [c.roots[0].rpartition("/")[2] for c in result.collections]
    title = "Report on " + (", ".join(names[:3]) or "no photos")
    notes = [*result.notes, *(f"{f.item}: {f.message}" for f in result.failures if f.code != "unreadable")]
    thumbnails = _thumbnails(found, context) if len(found) <= _MOST_THUMBNAILS else {}
    page = collection.report(
        title,
        found,
        notes,
        page_path=absolute(path),
        thumbnails=thumbnails,
        recordings=_recordings(result.feeds),
        max_gap_s=max_gap_s,
        tiles=tiles,
    )
    safeio.put(context.fs, path, page)
    result.outputs.append(path)


def _recordings(found: Sequence[Feed]) -> list[Recording]:
    """Tracks under the names of their files."""
    return [
        Recording(", ".join(map(os.path.basename, feed.files)), feed.tracks) for feed in found if feed.tracks
    ]


def _thumbnails(found: Sequence[Item], context: Context) -> dict[str, bytes]:
    """Those of the first photos, as many as leave the page small enough to open at once."""
    seen = [item for item in found if item.outcome not in ("unreadable", "unsupported")]
    made: dict[str, bytes] = {}
    room = _MOST_BYTES
    threads = ThreadPoolExecutor(_THREADS)
    try:
        answers = threads.map(lambda item: _small(item, context), seen)
        for done, (item, data) in enumerate(zip(seen, answers), 1):
            if done % _GROUP == 0 or done == len(seen):
                context.progress("thumbnails", done, len(seen))
            if data is not None and len(data) <= room:
                made[item.file] = data
                room -= len(data)
    finally:
        threads.shutdown(cancel_futures=True)  # who interrupts does not wait for the others
    return made


def _small(item: Item, context: Context) -> bytes | None:
    """The thumbnail inside the file, else one that is made as the picture is stored; None where there is no picture."""
    from camtrail.vision.decode import decode
    from camtrail.vision.encode import jpeg_of

    own = None
    try:
        with context.fs.source(item.file, item.size_bytes) as source:
            own = thumbnail(source)
            if own is not None and len(own) <= _MOST_OWN_BYTES:
                return own
            return jpeg_of(decode(source, _SIDE_PX, orientation=1).pixels, _QUALITY)
    except (
        UnreadableFile
    ):  # damaged, of a kind that is not decoded, or gone meanwhile; the page can do without
        return own
