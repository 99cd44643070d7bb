"""What the tests of the pages share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

import pytest

from camtrail.core.model import Item

_PLAIN = Item(
    "day 1/a.jpg", "/p", "/p/day 1/a.jpg", 1700000000.0, 1700000000.0, 1700003600.0, "gps", 47.1234567, 8.2, 400.5,
    "exif", 90.0, "exif", "T", math.nan, math.nan, math.nan, "seq-1", 0, None, "located", None, "Make", "Model", "SN 1-2",
    1.0, 4000.0, 3000.0, 1234, 1.0, None, None,
)  # fmt: skip


def make_item(**changes: Any) -> Item:
    """An Item that differs from a plain one in what is named."""
    if "path" in changes:
        changes.setdefault("file", f"{changes.get('root', '/p')}/{changes['path']}")
    return _PLAIN._replace(**changes)


class Reader(HTMLParser):
    """Tags with their attributes, and the text, of a page; fails where tags do not close in order."""

    def __init__(self, document: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(document.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br", "hr", "input", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("style", "script"))

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]

    def inline(self, name: str) -> list[str]:
        return [text for tag, text in self.texts if tag == name]


@pytest.fixture
def make():
    return make_item


@pytest.fixture
def read():
    def of(chunks: Iterable[bytes]) -> Reader:
        return Reader(b"".join(chunks))

    return of
