"""The page of a match: both pictures of each pair side by side, and what stays without a partner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from camtrail.reports.bundle import style
from camtrail.reports.page import Column, Markup, Part, element, image, joined, page, section, table

__all__ = ["MOST_PICTURES", "VERDICTS", "MatchRow", "match_page"]

MOST_PICTURES = 500
"""Rows of a page that have pictures, of some 20 kB each; the first in the order of VERDICTS."""

_MOST_ROWS = 2000  # of a table


@dataclass(frozen=True, slots=True)
class MatchRow:
    """One row: a pair, or one picture alone. What is absent is None or ""."""

    verdict: str  # matched, known, ambiguous, different, no_online_photo, no_local_photo
    local_name: str = ""
    local_url: str | None = None  # relative, or None where it cannot be linked
    local_jpeg: bytes | None = None
    keywords: tuple[str, ...] = ()
    online_jpeg: bytes | None = None
    online_url: str | None = None  # of the full picture
    position: str = ""  # 2nd photo
    observation_url: str | None = None
    identification: tuple[tuple[str, bool], ...] = ()  # pieces, and whether in italics
    seconds: str = ""
    distance: str = ""
    similarity: str = ""
    is_below: bool = False  # the likeness does not reach the threshold
    how: str = ""


VERDICTS = {
    "matched": "the same",
    "ambiguous": "ambiguous, not written",
    "known": "known before",
    "no_online_photo": "not on iNaturalist",
    "no_local_photo": "no local photo",
    "different": "too different",
}
"""What the verdicts are called, in the order in which the page has them."""

_HEADINGS = {
    "matched": ("pairs", "Found"),
    "ambiguous": ("ambiguous", "Ambiguous"),
    "known": ("known", "Known before"),
    "no_online_photo": ("local", "Local photos without a partner"),
    "no_local_photo": ("online", "iNaturalist photos without a partner"),
    "different": ("different", "Too different"),
}
_COLUMNS = (
    Column("Local file", "name"),
    Column("iNaturalist photo", "name"),
    Column("Observation", "name"),
    Column("Verdict"),
    Column("Time from observation [seconds]", "number"),
    Column("Distance to observation [meters]", "number"),
    Column("Structural similarity", "number"),
)


def match_page(title: str, rows: Sequence[MatchRow], summary: Sequence[str]) -> Iterator[bytes]:
    """A self-contained page, in chunks; it opens from disk without a network.

    Parameters
    ----------
    rows : pairs and lone pictures; those of one verdict stay in their order
    summary : sentences above the tables
    """
    groups = [
        (*_HEADINGS[verdict], found)
        for verdict in VERDICTS
        if (found := [row for row in rows if row.verdict == verdict]) or verdict == "matched"
    ]

    def parts() -> Iterator[Part]:
        yield section("summary", "Summary", *(element("p", line) for line in summary))
        for ident, heading, found in groups:
            body = _table(found) if found else element("p", "None.")
            if ident == "different":  # they are many, and hardly any is worth a look
                body = element(
                    "details", element("summary", "Pairs that were compared and are not the same"), body
                )
            yield section(ident, f"{heading} ({len(found):,})", body)

    links = [element("li", element("a", heading, href=f"#{ident}")) for ident, heading, _ in groups]
    way = element("nav", element("ul", *links), aria_label="Sections of this page")
    yield from page(title, parts(), lead=[way], styles=[style("pictures")])


def _table(rows: Sequence[MatchRow]) -> Markup:
    caption = f"{len(rows):,} row{'' if len(rows) == 1 else 's'}"
    if len(rows) > _MOST_ROWS:
        caption += f"; the first {_MOST_ROWS:,}"
    return element("div", table(caption, _COLUMNS, map(_cells, rows[:_MOST_ROWS])), class_="pairs")


def _cells(row: MatchRow) -> list[Part]:
    name = joined([element("em" if is_italic else "span", text) for text, is_italic in row.identification])
    score = element("span", row.similarity, class_="low" if row.is_below else None)
    how: list[Part] = [" ", element("span", row.how, class_="quiet")] if row.how else []
    return [
        _picture(row.local_jpeg, row.local_name, row.local_url, ", ".join(row.keywords) or "no caption"),
        _picture(row.online_jpeg, row.position, row.online_url, ""),
        joined([_link(name if row.identification else "no identification", row.observation_url)]),
        VERDICTS.get(row.verdict, row.verdict),
        row.seconds,
        row.distance,
        joined([score, *how]),
    ]


def _picture(jpeg: bytes | None, name: str, url: str | None, caption: str) -> Markup:
    if not name:
        return element("span", "–", class_="quiet")
    shown = [image(jpeg, name, "pic")] if jpeg else []
    below: list[Part] = [element("br"), element("em", caption)] if caption else []
    return joined([_link(joined([*shown, name]), url), *below])


def _link(content: Part, url: str | None) -> Part:
    return content if url is None else element("a", content, href=url)
