"""What the tests of the pages share."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

import numpy as np
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


def unpacked(value: Any) -> Any:
    """JSON with the columns of `reports.columns` as lists, as a slow reader of their description makes them."""
    if isinstance(value, list):
        return [unpacked(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "z" not in value:
        made = {k: unpacked(v) for k, v in value.items()}
        return [made["lines"][i] for i in made["row"]] if set(made) == {"lines", "row"} else made
    raw = zlib.decompress(base64.b64decode(value["z"], validate=True))
    if "width" not in value:
        assert raw.count(b"\n") == max(0, value["n"] - 1)
        return raw.decode().split("\n") if value["n"] else []
    planes = [raw[k * value["n"] : (k + 1) * value["n"]] for k in range(value["width"])]
    folded = [sum(byte << 8 * k for k, byte in enumerate(column)) for column in zip(*planes)]
    return np.cumsum([-(f + 1) // 2 if f % 2 else f // 2 for f in folded], dtype=np.int64).tolist()


class Reader(HTMLParser):
    """Tags with their attributes, and the text, of a page; fails where tags do not close in order."""

    def __init__(self, document: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self._goes_on = False  # the parser hands out a script in pieces
        self.feed(document.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        self._goes_on = False
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br", "hr", "input", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._goes_on = False
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._goes_on:
            self.texts[-1] = (self.texts[-1][0], self.texts[-1][1] + data)
        elif data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))
            self._goes_on = True

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("style", "script"))

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]

    @property
    def data(self) -> dict[str, Any]:
        """The values for the scripts of the page, by their ids, packed columns unpacked."""
        ids = [a["id"] for a in self.all("script") if a.get("type") == "application/json"]
        return {str(i): unpacked(json.loads(text)) for i, text in zip(ids, self.inline("script"))}

    def inline(self, name: str) -> list[str]:
        return [text for tag, text in self.texts if tag == name]


@pytest.fixture(scope="session")
def unpack():
    return unpacked


@pytest.fixture(scope="session")
def make():
    return make_item


@pytest.fixture(scope="session")
def read():
    def of(chunks: Iterable[bytes]) -> Reader:
        return Reader(b"".join(chunks))

    return of
