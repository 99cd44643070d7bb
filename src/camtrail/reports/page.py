"""The one base page: content policy, escaping, light and dark, tables, figures.

A page is made of parts. A `str` is text and is escaped wherever it lands; only the functions of this module
make `Markup`, from tags and attributes of a fixed list. So a name of a file, a camera's model or a caption
cannot become a tag, an attribute, a link or a script. Should that fail, the page's own policy still allows
nothing but its own style and scripts (by their hash) and pictures from the disk: no page asks the network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, urlsplit

from camtrail.core.names import shown
from camtrail.reports.bundle import style

__all__ = [
    "MARK",
    "Column",
    "Markup",
    "Part",
    "element",
    "figure",
    "file_url",
    "image",
    "joined",
    "page",
    "section",
    "table",
    "tile_origin",
]

MARK = b'<meta name="generator" content="camtrail">'
"""Stands within the first 512 bytes of each page; a file without it is not replaced."""


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML that this module made. Any other text is a `str`."""

    text: str


Part: TypeAlias = str | Markup


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a table's column: names are wide, numbers flush right, a line (times, single words) never breaks."""

    title: str
    kind: Literal["text", "name", "number", "line"] = "text"


_TAGS = frozenset(
    [
        "a",
        "abbr",
        "article",
        "aside",
        "b",
        "br",
        "button",
        "canvas",
        "caption",
        "circle",
        "code",
        "col",
        "colgroup",
        "dd",
        "desc",
        "details",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "g",
        "h2",
        "h3",
        "h4",
        "hr",
        "img",
        "input",
        "kbd",
        "label",
        "li",
        "line",
        "mark",
        "nav",
        "ol",
        "option",
        "output",
        "p",
        "path",
        "polyline",
        "pre",
        "rect",
        "section",
        "select",
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "svg",
        "table",
        "tbody",
        "td",
        "text",
        "tfoot",
        "th",
        "thead",
        "time",
        "title",
        "tr",
        "ul",
    ]
)
_VOID = frozenset(["br", "col", "hr", "img", "input"])
_ATTRIBUTES = frozenset(
    [
        "alt",
        "checked",
        "class",
        "colspan",
        "cx",
        "cy",
        "d",
        "datetime",
        "decoding",
        "dir",
        "disabled",
        "for",
        "height",
        "hidden",
        "href",
        "id",
        "lang",
        "loading",
        "max",
        "min",
        "name",
        "open",
        "placeholder",
        "points",
        "r",
        "role",
        "rowspan",
        "rx",
        "scope",
        "src",
        "step",
        "tabindex",
        "text-anchor",
        "title",
        "transform",
        "type",
        "value",
        "viewBox",
        "width",
        "x",
        "x1",
        "x2",
        "y",
        "y1",
        "y2",
    ]
)
_CELL = {"text": "", "name": ' class="w"', "number": ' class="n"', "line": ' class="l"'}
_HREF = re.compile(r"\./|#|https?://")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_FIELD = re.compile(r"\{[^}]*\}")
_TILE_PATH = re.compile(r"/(?:[A-Za-z0-9_.~!$&()*+=:@%?/-]|\{[xyz]\})*")
# What ends an inline element, or what a parser changes, so that the hash would not fit.
_NOT_INLINE = re.compile(r"</(?:script|style)|<!--|\r|\0", re.IGNORECASE)


def element(tag: str, *parts: Part, **attributes: str | int | float | bool | None) -> Markup:
    """An element with its content.

    Parameters
    ----------
    tag : of HTML or SVG
    parts : content; a `str` is escaped
    attributes : `class_` is class, `aria_label` is aria-label; True is a bare attribute, None and False none

    Raises
    ------
    ValueError : a tag or attribute that is not on the list, or a link that is not relative or http(s)
    """
    if tag not in _TAGS:
        raise ValueError(f"no tag of a page: {tag}")
    head = tag
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        if name not in _ATTRIBUTES and not name.startswith(("aria-", "data-")):
            raise ValueError(f"no attribute of a page: {name}")
        if (name == "href" and not _HREF.match(str(value))) or (
            name == "src" and not str(value).startswith("./")
        ):
            raise ValueError(f"no link of a page: {value}")
        head += f" {name}" if value is True else f' {name}="{_html(str(value))}"'
    if tag in _VOID:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{''.join(map(_html, parts))}</{tag}>")


def joined(parts: Iterable[Part], between: Part = "") -> Markup:
    """The parts in a row."""
    return Markup(_html(between).join(map(_html, parts)))


def section(ident: str, heading: str, *parts: Part) -> Markup:
    """A section under a second-level heading; `#ident` leads to it."""
    title = element("h2", heading, id=f"{ident}-heading")
    return element("section", title, *parts, id=ident, aria_labelledby=f"{ident}-heading")


def figure(caption: Part, *parts: Part) -> Markup:
    """A figure with its caption below."""
    return element("figure", *parts, element("figcaption", caption))


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Part]]) -> Markup:
    """A table that scrolls sideways where it must; the first cell of a row is its heading.

    Raises
    ------
    ValueError : a row has more or fewer cells than there are columns
    """
    # Written without `element`: ten thousand rows of ten cells are most of a page.
    opening = [f"<td{_CELL[c.kind]}>" for c in columns]
    opening[0] = f'<th scope="row"{_CELL[columns[0].kind]}>'
    closing = ["</th>"] + ["</td>"] * (len(columns) - 1)
    heads = "".join(f'<th scope="col" data-kind="{c.kind}">{_html(c.title)}</th>' for c in columns)
    body = "\n".join(
        "<tr>"
        + "".join([a + _html(cell) + z for a, cell, z in zip(opening, row, closing, strict=True)])
        + "</tr>"
        for row in rows
    )
    return Markup(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{_html(caption)}"><table>'
        f"<caption>{_html(caption)}</caption><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
    )


def image(jpeg: bytes, alt: str, class_: str | None = None) -> Markup:
    """A JPEG as part of the page; its words in brackets where the bytes are no JPEG."""
    if not jpeg.startswith(b"\xff\xd8\xff"):
        return element("span", f"[{alt}]", class_=class_)
    data = base64.b64encode(jpeg).decode()
    of_class = f' class="{_html(class_)}"' if class_ else ""
    return Markup(f'<img{of_class} alt="{_html(alt)}" decoding="async" src="data:image/jpeg;base64,{data}">')


def file_url(path: str, folder: str) -> str | None:
    """Relative URL of a file for a page in a folder; None where there is none (another drive).

    Parameters
    ----------
    path, folder : absolute, with the bytes that are no UTF-8 as lone surrogates

    Notes
    -----
    RFC 3986. Every byte but letters, digits and `_ . - ~ /` is percent-encoded, and `./` stands before, so
    that no name is taken for a scheme.
    """
    try:
        way = os.path.relpath(path, folder)
        return "./" + quote(os.fsencode(way.replace(os.sep, "/")), safe="/")
    except ValueError:  # another drive, or a name that cannot be one on this system
        return None


def page(
    title: str,
    parts: Iterable[Part],
    *,
    lead: Sequence[Part] = (),
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    tiles: str = "",
) -> Iterator[bytes]:
    """A document that stands alone, in chunks; it opens from disk without a network.

    Parameters
    ----------
    title : its name and first heading
    parts : the content of its main landmark
    lead : what follows the first heading: an introduction, the way to the sections
    styles : style sheets beside the base's own
    scripts : run after the content; they find `data` by its keys as ids
    data : JSON values for the scripts, in inert `<script type="application/json" id=KEY>`
    tiles : address of map tiles whose host pictures may come from as well, see `tile_origin`; empty: none

    Raises
    ------
    ValueError : a style or script that would end its own element, NaN in the data, no address of tiles

    Notes
    -----
    Content Security Policy Level 3: everything is forbidden but inline style and script by their SHA-256,
    and pictures that are part of the page or on the disk.
    """
    sheets = [style("base"), *styles]
    origin = tile_origin(tiles) if tiles else ""
    for text in (*sheets, *scripts):
        if _NOT_INLINE.search(text):
            raise ValueError("a style or script must not hold </script, </style, <!--, CR or NUL")
    yield (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n{MARK.decode()}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(sheets, scripts, origin)}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{_html(title)}</title>\n{''.join(f'<style>{s}</style>' for s in sheets)}</head>\n"
        '<body><a class="skip" href="#main">Skip to the content</a>\n'
        f"<header><h1>{_html(title)}</h1>{''.join(map(_html, lead))}</header>\n"
        '<main id="main">\n'
    ).encode()
    for part in parts:
        yield _html(part).encode()
    inert = "".join(
        f'<script type="application/json" id="{_html(key)}">{_json(value)}</script>\n'
        for key, value in (data or {}).items()
    )
    asks = (
        f"asks {urlsplit(origin).netloc} for maps only if you turn them on"
        if origin
        else "asks nothing of the network"
    )
    yield (
        f"\n</main>\n<footer><p>Made by camtrail. This page is one file and {_html(asks)}.</p></footer>\n"
        f"{inert}{''.join(f'<script>{s}</script>' for s in scripts)}</body></html>\n"
    ).encode()


def _html(part: Part) -> str:
    if isinstance(part, Markup):
        return part.text
    return html.escape(shown(part), quote=True)


def tile_origin(template: str) -> str:
    """Scheme and host of an address of map tiles, such as `https://tile.example.org/{z}/{x}/{y}.png`.

    Raises
    ------
    ValueError : it is none: not http(s), no plain host, not each of {z} {x} {y} once in its path, a further brace
    """
    try:
        parts = urlsplit(template)
        is_host = bool(_HOST.fullmatch(parts.netloc)) and parts.port != 0
    except ValueError:  # a port that is none
        is_host = False
    path = template[len(f"{parts.scheme}://{parts.netloc}") :] if is_host else ""
    fields = sorted(_FIELD.findall(path))
    if not is_host or parts.scheme not in ("http", "https") or fields != ["{x}", "{y}", "{z}"]:
        raise ValueError(f"no address of map tiles: {template}")
    if not _TILE_PATH.fullmatch(path):
        raise ValueError(f"no address of map tiles: {template}")
    return f"{parts.scheme}://{parts.netloc}"


def _policy(styles: Sequence[str], scripts: Sequence[str], origin: str) -> str:
    def allowed(texts: Sequence[str]) -> str:
        return " ".join(f"'sha256-{_hash(t)}'" for t in texts) or "'none'"

    return (
        f"default-src 'none'; img-src data: file:{origin and f' {origin}'}; style-src {allowed(styles)}; script-src {allowed(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """ASCII JSON without `<`, so that nothing in it ends the element or starts a comment."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
