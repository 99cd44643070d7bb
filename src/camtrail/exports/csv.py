"""CSV (RFC 4180): one row for every photo.

Positions are decimal degrees on WGS 84, times ISO 8601 in UTC (`local_time` without zone), absent values
empty cells. A spreadsheet takes a text that starts with `=`, `+`, `-`, `@`, a tab or a line break for a
formula, so such a text gets a leading `'`, and so does one that starts like that behind `'`. That includes
names of files: `-1.jpg` is written `'-1.jpg`, and `'-1.jpg` is `''-1.jpg`. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

from camtrail.core.model import Item
from camtrail.core.names import plain, shown
from camtrail.core.plugins import Export
from camtrail.exports.values import decimal, has_place, heading_deg, iso

__all__ = ["PLUGIN", "inert", "write"]

_COLUMNS = (
    "time", "local_time", "time_source", "lat_deg", "lon_deg", "alt_m", "position_source", "heading_deg",
    "heading_source", "heading_ref", "sequence", "sequence_index", "duplicate_of", "outcome", "reason",
    "seconds_to_fix", "fix_before_s", "fix_after_s", "error_m", "make", "model",
)  # fmt: skip
# Spreadsheets of East Asian locales read the full-width forms as the plain ones.
_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")


class _Line:
    """A file of one line: the writer's `writerow` gives back what it wrote."""

    def write(self, text: str) -> str:
        return text


def write(items: Iterable[Item], several_roots: bool) -> Iterator[bytes]:
    """A header and one row an item, in the order of the items; UTF-8, lines end with CR LF.

    Parameters
    ----------
    items : photos with what is known of them
    several_roots : whether there is a column with the `root` that a path is relative to

    Notes
    -----
    RFC 4180. Formulas: OWASP, "CSV Injection". Holds one item at a time.
    """
    row = csv.writer(_Line(), lineterminator="\r\n").writerow
    names = ("path", "root") if several_roots else ("path",)
    yield str(row(names + _COLUMNS)).encode()
    for item in items:
        files = (item.path, item.root) if several_roots else (item.path,)
        yield str(row([*map(_name, files), *_cells(item)])).encode()


def _cells(item: Item) -> tuple[str, ...]:
    known = has_place(item)
    heading = heading_deg(item)
    return (
        iso(item.time_s) or "",
        iso(item.local_s, "") or "",
        _text(item.time_source),
        decimal(item.lat_deg, 7) if known else "",
        decimal(item.lon_deg, 7) if known else "",
        decimal(item.alt_m, 3),
        _text(item.position_source),
        "" if heading is None else decimal(heading, 3),
        _text(item.heading_source),
        item.heading_ref or "",
        _text(item.sequence),
        str(item.sequence_index) if item.sequence_index >= 0 else "",
        _name(item.duplicate_of),
        item.outcome,
        _text(item.reason),
        decimal(item.seconds_to_fix, 3),
        decimal(item.fix_before_s, 3),
        decimal(item.fix_after_s, 3),
        decimal(item.error_m, 3),
        _text(item.make),
        _text(item.model),
    )


def _text(value: str | None) -> str:
    return inert(shown(value)) if value else ""


def _name(value: str | None) -> str:
    return inert(plain(value)) if value else ""


def inert(text: str) -> str:
    """The text, with `'` before what a spreadsheet takes for a formula."""
    return "'" + text if _FORMULA.match(text) else text


PLUGIN = Export(
    name="csv",
    about="CSV, one row a photo",
    suffixes=frozenset({".csv"}),
    write=write,
    mark=",".join(_COLUMNS[:8]).encode(),
)
