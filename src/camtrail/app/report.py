"""What is known, as one page for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from camtrail.app.context import Context
from camtrail.app.export import check_target, items
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
from camtrail.reports.page import MARK

__all__ = ["ReportOptions", "check_page", "report", "write"]

_MOST_THUMBNAILS = 500  # of some 9 kB each; beyond that the page would be slow to open


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Where the page goes."""

    output: str = opt("", "page to write, as report.html", flag="--output", aliases=("-o", "--to"))
    force: bool = opt(False, "replace a file that camtrail did not write")


def check_page(path: str, force: bool, context: Context) -> None:
    """Raises UsageError or SafetyRefusal where a page cannot go to a file."""
    if not path:
        raise UsageError("no page to write is given", "give -o FILE.html")
    if suffix_of(path) not in (".html", ".htm"):
        raise UsageError(f"{shown(path)}: a page is an HTML file", "give it the suffix .html")
    check_target(path, MARK, force, context)


def report(paths: Sequence[str], options: ProcessOptions, to: ReportOptions, context: Context) -> Result:
    """Writes what is known of the photos at PATHs as one self-contained page.

    Raises
    ------
    UsageError, SafetyRefusal
        The page cannot go to that file.
    """
    check_page(to.output, to.force, context)
    result = known("report", paths, options, context)
    write(result, to.output, context)
    return result


def write(result: Result, path: str, context: Context) -> None:
    """Writes a result as a page, and adds it to the result's outputs."""
    found = list(items(result.collections))
    names = [c.roots[0].rpartition("/")[2] for c in result.collections]
    title = "Photos of " + (", ".join(names[:3]) or "nowhere")
    notes = [*result.notes, *(f"{f.item}: {f.message}" for f in result.failures if f.code != "unreadable")]
    thumbnails = _thumbnails(found, context) if len(found) <= _MOST_THUMBNAILS else {}
    page = collection.report(title, found, notes, page_path=absolute(path), thumbnails=thumbnails)
    safeio.put(context.fs, path, page)
    result.outputs.append(path)


def _thumbnails(found: Sequence[Item], context: Context) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for item in found:
        if item.outcome in ("unreadable", "unsupported"):
            continue
        try:
            with context.fs.source(item.file, item.size_bytes) as source:
                data = thumbnail(source)
        except UnreadableFile:  # it went away meanwhile; the page can do without
            continue
        if data is not None:
            made[item.file] = data
    return made
