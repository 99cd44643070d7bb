"""The page of similar pictures: each group side by side, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from camtrail.reports.bundle import style
from camtrail.reports.page import Markup, Part, element, figure, image, joined, page, section

__all__ = ["SimilarCard", "SimilarGroup", "similar_page"]


@dataclass(frozen=True, slots=True)
class SimilarCard:
    """One picture of a group. What is absent is None or ""."""

    name: str
    url: str | None = None  # relative, or None where it cannot be linked
    jpeg: bytes | None = None  # small
    kind: str = ""  # best, or how it is like the best
    lines: tuple[str, ...] = ()  # size, quality, distance


@dataclass(frozen=True, slots=True)
class SimilarGroup:
    """One group, the best first."""

    kind: str  # of its weakest member
    cards: tuple[SimilarCard, ...]


_KINDS = {
    "best": "the best",
    "same_bytes": "the same file",
    "same_pixels": "the same pixels",
    "copy": "a copy: saved again, resized or with another tone",
    "turned": "turned or mirrored",
    "crop": "cropped",
    "scene": "the same scene",
}


def similar_page(
    title: str, groups: Sequence[SimilarGroup], summary: Sequence[str], *, left_out: int = 0
) -> Iterator[bytes]:
    """A self-contained page, in chunks; it opens from disk without a network.

    Parameters
    ----------
    groups : in the order in which they are shown
    summary : sentences above the groups
    left_out : groups that are not among them
    """

    def parts() -> Iterator[Part]:
        yield section("summary", "Summary", *(element("p", line) for line in summary))
        for number, group in enumerate(groups, 1):
            cards = [_card(card) for card in group.cards]
            yield section(
                f"group-{number}",
                f"Group {number}: {len(cards)} pictures",
                element("div", *cards, class_="pics"),
            )
        if left_out:
            more = f"{left_out:,} more groups are not shown here; the tables have all."
            yield section("more", "More", element("p", more))

    yield from page(title, parts(), styles=[style("pictures")])


def _card(card: SimilarCard) -> Markup:
    said = _KINDS.get(card.kind, card.kind)
    how = element("strong", said) if card.kind == "best" else element("span", said)
    lines = [part for line in card.lines for part in (element("br"), element("span", line, class_="quiet"))]
    name: Part = card.name if card.url is None else element("a", card.name, href=card.url)
    shown = [image(card.jpeg, card.name, "pic")] if card.jpeg else []
    made = figure(joined([name, element("br"), how, *lines]), *shown)
    return element("div", made) if card.kind != "best" else element("div", made, class_="best")
