"""The page of a match: both pictures of each pair side by side, and what stays without a partner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from camtrail.reports.bundle import style
from camtrail.reports.page import Column, Markup, Part, element, image, joined, page, section, table

__all__ = ["MatchRow", "match_page"]


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


_VERDICTS = {
    "matched": "the same",
    "known": "known before",
    "ambiguous": "ambiguous, not written",
    "different": "too different",
    "no_online_photo": "not on iNaturalist",
    "no_local_photo": "no local photo",
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
    rows : pairs and lone pictures
    summary : sentences above the tables
    """
    pairs = [r for r in rows if r.verdict in ("matched", "ambiguous", "different")]
    known = [r for r in rows if r.verdict == "known"]
    local = [r for r in rows if r.verdict == "no_online_photo"]
    online = [r for r in rows if r.verdict == "no_local_photo"]
    groups = [
        ("pairs", "Pairs", pairs),
        ("known", "Known before", known),
        ("local", "Local photos without a partner", local),
        ("online", "iNaturalist photos without a partner", online),
    ]

    def parts() -> Iterator[Part]:
        yield section("summary", "Summary", *(element("p", line) for line in summary))
        for ident, heading, found in groups:
            if found or ident == "pairs":
                body = (
                    table(f"{len(found):,} row{'' if len(found) == 1 else 's'}", _COLUMNS, map(_cells, found))
                    if found
                    else element("p", "None.")
                )
                yield section(ident, f"{heading} ({len(found):,})", element("div", body, class_="pairs"))

    links = [
        element("li", element("a", heading, href=f"#{ident}")) for ident, heading, found in groups if found
    ]
    way = element("nav", element("ul", *links), aria_label="Sections of this page")
    yield from page(title, parts(), lead=[way], styles=[style("pictures")])


def _cells(row: MatchRow) -> list[Part]:
    name = joined([element("em" if is_italic else "span", text) for text, is_italic in row.identification])
    score = element("span", row.similarity, class_="low" if row.is_below else None)
    how: list[Part] = [" ", element("span", row.how, class_="quiet")] if row.how else []
    return [
        _picture(row.local_jpeg, row.local_name, row.local_url, ", ".join(row.keywords) or "no caption"),
        _picture(row.online_jpeg, row.position, row.online_url, ""),
        joined([_link(name if row.identification else "no identification", row.observation_url)]),
        _VERDICTS.get(row.verdict, row.verdict),
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
