"""Changes to an XMP packet as splices of its bytes: what is not to change stays as it is, byte for byte.

Comments, layout, prefixes, properties of programs that nobody knows: nothing is written anew that was there, so
nothing can be lost. Format: ISO 16684-1 (XMP part 1), section 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeAlias

from camtrail.core.errors import SafetyRefusal, UnreadableFile
from camtrail.core.names import plain, shown
from camtrail.metadata.xmp_packet import (
    NAMESPACES,
    Element,
    Item,
    Name,
    Packet,
    Place,
    Property,
    attribute_spans,
    is_item,
    item_at,
    parsed,
    property_at,
)

__all__ = ["Edit", "NewItems", "NewText", "Removed", "edited"]


@dataclass(frozen=True, slots=True)
class NewText:
    """A property is to have this text; captions, titles and rights have it `in_any_language` (an `rdf:Alt`).

    What they say in other languages stays. Raises ValueError for a name that is none.
    """

    name: Name
    text: str
    in_any_language: bool = False

    def __post_init__(self) -> None:
        _check(self.name)
        object.__setattr__(self, "text", _writable(self.text))


@dataclass(frozen=True, slots=True)
class Removed:
    """A property is to be gone, whatever it is. Raises ValueError for a name that is none."""

    name: Name

    def __post_init__(self) -> None:
        _check(self.name)


@dataclass(frozen=True, slots=True)
class NewItems:
    """Items of an array: `remove` them, `replace` them (old, new) where they stand, `add` them at the end.

    What is there already is not added; what is to be replaced and is not there is passed over. Where anything changes,
    the array becomes the `kind` that it should be; a lone text becomes its first item. An array of which nothing is
    left is gone.

    Raises ValueError for a name that is none, and where one text is to be there and to be gone.
    """

    name: Name
    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    replace: Sequence[tuple[str, str]] = ()
    kind: Literal["Bag", "Seq"] = "Bag"

    def __post_init__(self) -> None:
        _check(self.name)
        object.__setattr__(self, "add", tuple(map(_writable, self.add)))
        object.__setattr__(self, "remove", tuple(map(_writable, self.remove)))
        pairs = tuple((_writable(old), _writable(new)) for old, new in self.replace)
        object.__setattr__(self, "replace", tuple(pair for pair in pairs if pair[0] != pair[1]))
        there = {*self.add, *(new for _, new in self.replace)}
        gone = {*self.remove, *(old for old, _ in self.replace)}
        if there & gone:
            raise ValueError(f"{self.name[1]}: is to be there and to be gone: {sorted(there & gone)}")


Edit: TypeAlias = NewText | Removed | NewItems
"""A change to one property."""

_RDF, _XML = NAMESPACES["rdf"], "http://www.w3.org/XML/1998/namespace"
_LANG, _RESOURCE = (_XML, "lang"), (_RDF, "resource")
_PREFIXES = {uri: prefix for prefix, uri in NAMESPACES.items()}
_LOCAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# XML 1.0, 2.2, has no way to write these; the surrogates are gone by then.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# A carriage return would be read as a newline (2.11). A text needs no escaped quotes, but with them none looks like
# a property to a reader that searches the packet without parsing it.
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;", '"': "&quot;", "'": "&#39;"}
_IN_TEXT = str.maketrans(_ESCAPES)
_IN_QUOTES = str.maketrans({**_ESCAPES, "\n": "&#10;", "\t": "&#9;"})
_DEFAULT = "x-default"
_KEPT = 64  # new packets
_LEAST_PADDING = 64  # fewer blanks are layout
_NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="camtrail">\n'
    f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
    '  <rdf:Description rdf:about="">\n'
    "  </rdf:Description>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>'
).encode()


def _check(name: Name) -> None:
    uri, local = name
    if not uri or uri in (_RDF, _XML) or not _LOCAL.fullmatch(local) or _NO_XML.search(uri):
        raise ValueError(f"no name of a property: {name}")


def _writable(text: str) -> str:
    """The text as XML can hold it: bytes that are no UTF-8 become `\\xNN`, what XML has not U+FFFD."""
    return _NO_XML.sub("\ufffd", plain(text))


def edited(
    packet: bytes | None,
    changes: Sequence[Edit],
    *,
    name: str = "the XMP packet",
    advice: str = "let the program that wrote it save it again, or use a sidecar",
) -> bytes:
    """The packet with changes; the same bytes where it says all of it already, none where it would say nothing.

    What is not to change stays as it is, byte for byte. Blanks at the end, which programs leave for this, are used up,
    so that the size stays.

    Parameters
    ----------
    packet : as it stands in the file; None or blank where there is none
    changes : one for each property
    name, advice : what messages call the packet, and what they say is to be done

    Raises
    ------
    SafetyRefusal
        It cannot be changed without loss: it is damaged, says a property twice, or has a structure where a text or an
        array should be.
    ValueError
        Two changes of one property.

    Notes
    -----
    A property that is an attribute or an element is changed where it stands; a new one is put behind the others of
    the first `rdf:Description`. The mark `end="r"` asks programs that do not know the file around the packet to leave
    it alone; it stays, and so do all blanks before it. 0.2 ms, half of which reads the result back.
    """
    if len({change.name for change in changes}) != len(changes):
        raise ValueError("two changes of one property")
    try:
        if packet is None or not packet.strip(b" \t\r\n\0\xef\xbb\xbf\xfe\xff"):
            new = _of_nothing(tuple(changes))
        else:
            new = _changed(parsed(packet, name), changes, name)
    except UnreadableFile as e:
        raise SafetyRefusal(f"{shown(name)}: {e.reason}, so nothing was written into it", advice) from e
    except _Unsure as e:
        raise SafetyRefusal(f"{shown(name)}: {e}, so nothing was written into it", advice) from e
    return new or packet or b""


@lru_cache(maxsize=_KEPT)
def _of_nothing(changes: tuple[Edit, ...]) -> bytes:
    """A new packet: many files are told the same. None where it would say nothing."""
    return _changed(parsed(_NEW, "a new packet"), changes, "a new packet")


def _changed(before: Packet, changes: Sequence[Edit], name: str) -> bytes:
    """The packet with changes; nothing where it says all of it."""
    after = _Editor(before).edited(changes)
    if after == before.data:
        return b""
    new = before.whole(_padded(before, after))
    _verify(before, parsed(new, name), changes)
    return new


class _Unsure(Exception):
    """Why a packet cannot be changed without loss."""


_END = re.compile(rb"<\?xpacket\s+end\s*=\s*[\"']w[\"']")


def _padded(packet: Packet, data: bytes) -> bytes:
    """The data with so many blanks before its end mark that it is as long as before, where there are enough."""
    end = data.rfind(b"<?xpacket")
    blanks = end - len(data[: max(end, 0)].rstrip(b" \t\r\n"))
    if blanks < _LEAST_PADDING or not _END.match(data, end):
        return data
    more = (len(packet.whole(data)) - len(packet.whole(packet.data))) // len(" ".encode(packet.codec))
    if more <= 0:
        return data[:end] + b" " * -more + data[end:]
    return data[: end - more] + data[end:] if more < blanks else data


def _verify(before: Packet, after: Packet, changes: Sequence[Edit]) -> None:
    """What was to stay is there as it was, and what was to change is as it was to be."""
    changed = {change.name for change in changes}

    def rest(packet: Packet) -> dict[Name, list[Property]]:
        return {k: list(map(property_at, v)) for k, v in packet.places.items() if k not in changed}

    if rest(before) != rest(after) or _Editor(after).edited(changes) != after.data:
        raise _Unsure("its XMP would not read back as it was written")


@dataclass(slots=True)
class _Editor:
    """Splices that carry out changes."""

    packet: Packet
    splices: list[tuple[int, int, bytes]] = field(default_factory=list)
    new: list[Callable[[Element, str], bytes]] = field(default_factory=list)  # properties, for a description
    declared: dict[str, str] = field(default_factory=dict)  # prefixes that it gets

    def edited(self, changes: Sequence[Edit]) -> bytes:
        """The packet's data with changes."""
        for change in changes:
            places = self.packet.places.get(change.name, ())
            if len(places) > 1:
                raise _Unsure(f"its XMP says {change.name[1]} {len(places)} times")
            place = places[0] if places else None
            if isinstance(change, NewItems):
                self._items(change, place)
            elif isinstance(change, NewText):
                self._text(change, place)
            elif place is not None:
                self._remove(place)
        self._add()
        return self._spliced()

    def _spliced(self) -> bytes:
        data, at = self.packet.data, 0
        parts: list[bytes] = []
        for start, end, new in sorted(self.splices, key=lambda s: s[:2]):
            assert start >= at
            parts += (data[at:start], new)
            at = end
        return b"".join((*parts, data[at:]))

    # Texts.

    def _text(self, change: NewText, place: Place | None) -> None:
        there = None if place is None else property_at(place)
        if there is not None and there.form != "Alt" and there.text == change.text:
            return
        if there is not None and there.form not in ("text", "Alt" if change.in_any_language else "text"):
            raise _Unsure(f"its XMP has {_kind(there)} as {change.name[1]}, where a text should be")
        if change.in_any_language:
            self._language(change, place, there)
        elif place is None:
            self._new(change.name, lambda e, layout: _escaped(change.text))
        elif place.element is None:
            self._set_attribute(place.description, place.name, change.text)
        else:
            self._set_text(place.element, change.name, change.text)

    def _set_text(self, e: Element, name: Name, text: str) -> None:
        """Another text for an element that has no children."""
        keys = e.attributes.keys() - {_LANG}
        if keys == {_RESOURCE} and not e.text.strip():
            self._set_attribute(e, _RESOURCE, text)
        elif keys or e.children:
            raise _Unsure(f"its XMP has {name[1]} with qualifiers")
        else:
            self._fill(e, _escaped(text))

    def _language(self, change: NewText, place: Place | None, there: Property | None) -> None:
        """The text of those in several languages that counts where none is asked for."""
        items = [(change.text, _DEFAULT)]
        if place is None or place.element is None:
            if place is not None:
                self._remove(place)
            self._new(change.name, lambda e, layout: _array("Alt", items, self._rdf(e), layout))
        elif there is not None and there.form == "Alt":
            self._set_default(change, place.element.children[0])
        else:
            self._fill_with_array(place.element, change.name, "Alt", items)

    def _set_default(self, change: NewText, array: Element) -> None:
        items = [c for c in array.children if is_item(c)]
        for li in items:
            if li.attributes.get(_LANG, "").lower() == _DEFAULT:
                if item_at(li).text != change.text:
                    self._set_text(li, change.name, change.text)
                return
        new = _li(_prefix_of(array), change.text, _DEFAULT)
        if items:  # it comes first
            self.splices.append((items[0].at, items[0].at, new + self._layout(items[0]).encode()))
        else:
            self._append(array, [new], array.raw)

    # Arrays.

    def _items(self, change: NewItems, place: Place | None) -> None:
        there = Property("Bag") if place is None else property_at(place)
        if there.form in ("other", "Alt"):
            raise _Unsure(f"its XMP has {_kind(there)} as {change.name[1]}, where a list should be")
        items = there.items if there.form != "text" else tuple(Item(text) for text in there.texts)
        wanted = _applied(change, items)
        if [(i, item.text) for i, item in enumerate(items)] == wanted:
            return
        if place is not None and place.element is not None and there.form != "text":
            self._change_array(change, place, place.element.children[0], wanted)
            return
        texts = [(text, None) for _, text in wanted if text is not None]
        if place is not None and place.element is not None and texts:
            self._fill_with_array(place.element, change.name, change.kind, texts)
            return
        if place is not None:
            self._remove(place)
        if texts:
            self._new(change.name, lambda e, layout: _array(change.kind, texts, self._rdf(e), layout))

    def _fill_with_array(
        self, e: Element, name: Name, kind: str, items: Sequence[tuple[str, str | None]]
    ) -> None:
        """An array for an element that had a text."""
        if e.attributes or e.children:
            raise _Unsure(f"its XMP has {name[1]} with qualifiers")
        bound = next((p for p in ("rdf", *e.prefixes()) if e.namespace(p) == _RDF), None)
        prefix = "rdf:" if bound is None else bound and f"{bound}:"
        more = f" xmlns:rdf={_quoted(_RDF)}" if bound is None else ""
        self._fill(e, _array(kind, items, prefix, self._layout(e), more))

    def _change_array(
        self, change: NewItems, place: Place, array: Element, wanted: Sequence[tuple[int | None, str | None]]
    ) -> None:
        if not wanted and self._is_only_items(place, array):
            self._remove(place)
            return
        items = [c for c in array.children if is_item(c)]
        kept = {i: text for i, text in wanted if i is not None}
        for i, li in enumerate(items):
            if i not in kept:
                self.splices.append((li.at - len(self._layout(li)), li.end, b""))
            elif (text := kept[i]) is not None and text != item_at(li).text:
                self._set_text(li, change.name, text)
        new = [_li(_prefix_of(array), text) for i, text in wanted if i is None and text is not None]
        self._append(array, new, self._renamed(array, change.kind))

    def _is_only_items(self, place: Place, array: Element) -> bool:
        """Whether nothing is lost with an array but its items."""
        e, data = place.element, self.packet.data
        if e is None or e.attributes or array.attributes or not all(map(is_item, array.children)):
            return False
        rest = [data[e.open_end : array.at], data[array.end : e.close_at]]
        at = array.open_end
        for li in array.children:
            rest.append(data[at : li.at])
            at = li.end
        return not b"".join([*rest, data[at : array.close_at]]).strip()

    def _renamed(self, array: Element, kind: str) -> str:
        """Has an array be of another kind; its name as it is to be written."""
        new = _prefix_of(array) + kind
        if new != array.raw:
            length = len(array.raw.encode())
            self.splices.append((array.at + 1, array.at + 1 + length, new.encode()))
            if array.close_at < array.end:
                self.splices.append((array.close_at + 2, array.close_at + 2 + length, new.encode()))
        return new

    def _append(self, array: Element, new: Sequence[bytes], raw: str) -> None:
        """Puts items behind the others of an array."""
        if not new:
            return
        if array.children:
            last = array.children[-1]
            layout = self._layout(last).encode()
            self.splices.append((last.end, last.end, b"".join(layout + li for li in new)))
            return
        outer = self._layout(array)
        layout = (outer + " " if outer else "").encode()
        inner = b"".join(layout + li for li in new)
        if array.close_at == array.end:
            self._open_up(array, inner + outer.encode(), raw)
        else:
            self.splices.append((array.open_end, array.open_end, inner))

    # New properties.

    def _new(self, name: Name, content: Callable[[Element, str], bytes]) -> None:
        """Plans a property; its content is made for the element it will stand in, and its white space."""

        def make(e: Element, layout: str) -> bytes:
            written = f"{self._prefix(name[0], e)}:{name[1]}".encode()
            return b"<%b>%b</%b>" % (written, content(e, layout), written)

        self.new.append(make)

    def _add(self) -> None:
        """Puts new properties behind the others of the first description, or into one that it makes."""
        if not self.new:
            return
        if not self.packet.descriptions:
            self._add_description()
            return
        e = self.packet.descriptions[0]
        outer = self._layout(e)
        if e.children:
            at, layout = e.children[-1].end, self._layout(e.children[-1])
        else:
            at, layout = e.open_end, outer + " " if outer else ""
        inner = b"".join(layout.encode() + make(e, layout) for make in self.new)
        self._declare(e)
        if e.close_at == e.end:
            self._open_up(e, inner + outer.encode(), e.raw)
        else:
            self.splices.append((at, at, inner))

    def _add_description(self) -> None:
        """A description with its graph, where a packet has none."""
        outer = self.packet.graphs[0] if self.packet.graphs else self.packet.root
        base = self._layout(outer) or "\n"
        prefix = self._prefix(_RDF, outer)
        depth = base + (" " if self.packet.graphs else "  ")
        inner = b"".join(depth.encode() + b" " + make(outer, depth + " ") for make in self.new)
        bound = "".join(f" xmlns:{p}={_quoted(uri)}" for p, uri in sorted(self.declared.items()))
        if self.packet.graphs:
            start, end = f'{depth}<{prefix}:Description {prefix}:about=""{bound}>', ""
        else:
            start = f'{base} <{prefix}:RDF{bound}>{depth}<{prefix}:Description {prefix}:about="">'
            end = f"{base} </{prefix}:RDF>"
        text = start.encode() + inner + f"{depth}</{prefix}:Description>{end}".encode()
        if outer.close_at == outer.end:
            self._open_up(outer, text + base.encode(), outer.raw)
        else:
            at = outer.children[-1].end if outer.children else outer.open_end
            self.splices.append((at, at, text))

    def _rdf(self, within: Element) -> str:
        return self._prefix(_RDF, within) + ":"

    def _prefix(self, uri: str, within: Element) -> str:
        """A prefix that stands for a namespace in an element, or will."""
        usual = _PREFIXES.get(uri, "ns")
        inside = [usual, *within.prefixes()]
        for prefix in inside:
            if prefix and within.namespace(prefix) == uri:
                return prefix
        for prefix, bound in self.declared.items():
            if bound == uri:
                return prefix
        taken = {*within.prefixes(), *self.declared}
        prefix, n = usual, 0
        while prefix in taken:
            n += 1
            prefix = f"{usual}{n}"
        self.declared[prefix] = uri
        return prefix

    def _declare(self, e: Element) -> None:
        """Has a description's start tag say what the new prefixes stand for."""
        if not self.declared:
            return
        spans = list(attribute_spans(self.packet.data, e))
        at = spans[-1][3] if spans else e.at + 1 + len(e.raw.encode())
        m = _SPACE.match(self.packet.data, spans[-1][1]) if spans else None
        space = b" " if m is None else m[0]
        text = b"".join(
            space + f"xmlns:{p}={_quoted(uri)}".encode() for p, uri in sorted(self.declared.items())
        )
        self.splices.append((at, at, text))

    # Bytes.

    def _layout(self, e: Element) -> str:
        """The white space that puts an element on a line of its own; empty where it stands on none."""
        m = _LINE.search(self.packet.data, max(0, e.at - _WIDEST), e.at)
        return "" if m is None else m[0].decode()

    def _set_attribute(self, e: Element, name: Name, text: str) -> None:
        _, value_at, end = self._span(e, name)
        self.splices.append((value_at, end, _quoted(text).encode()))

    def _span(self, e: Element, name: Name) -> tuple[int, int, int]:
        """Where an attribute begins with its white space, where its value does, and where it ends."""
        for raw, at, value_at, end in attribute_spans(self.packet.data, e):
            prefix, _, local = raw.rpartition(":")
            if local == name[1] and prefix not in ("", "xmlns") and e.namespace(prefix) == name[0]:
                return at, value_at, end
        raise AssertionError(name)

    def _remove(self, place: Place) -> None:
        if place.element is None:
            at, _, end = self._span(place.description, place.name)
            self.splices.append((at, end, b""))
        else:
            e = place.element
            self.splices.append((e.at - len(self._layout(e)), e.end, b""))

    def _fill(self, e: Element, content: bytes) -> None:
        """Another content for an element without children; comments in it stay."""
        old = self.packet.data[e.open_end : e.close_at]
        kept = b"".join(m[0] for m in _ASIDES.finditer(old) if not m[0].startswith(b"<![CDATA["))
        if e.close_at == e.end:
            self._open_up(e, content, e.raw)
        else:
            self.splices.append((e.open_end, e.close_at, content + kept))

    def _open_up(self, e: Element, content: bytes, raw: str) -> None:
        """Gives an empty-element tag a content."""
        self.splices.append((e.open_end - 2, e.open_end, b">%b</%b>" % (content, raw.encode())))


_WIDEST = 200  # white space of a layout that is taken up
_LINE = re.compile(rb"\r?\n[ \t]*\Z")
_SPACE = re.compile(rb"\s{1,200}")
_ASIDES = re.compile(rb"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>", re.DOTALL)


def _applied(change: NewItems, items: Sequence[Item]) -> list[tuple[int | None, str | None]]:
    """The items as they are to be: where each stands now, and its text; None: nowhere, and a structure."""
    renamed: Mapping[str, str] = dict(change.replace)
    gone = set(change.remove)
    present = {item.text for item in items} - gone - renamed.keys()
    wanted: list[tuple[int | None, str | None]] = []
    for i, item in enumerate(items):
        if item.text in gone:
            continue
        if item.text is not None and (new := renamed.get(item.text)) is not None:
            if new not in present:
                wanted.append((i, new))
                present.add(new)
            continue
        wanted.append((i, item.text))
    for text in dict.fromkeys(change.add):
        if text not in present:
            wanted.append((None, text))
    return wanted


def _array(
    kind: str, items: Sequence[tuple[str, str | None]], prefix: str, layout: str, more: str = ""
) -> bytes:
    """An array as the content of an element that stands on a line of its own, or on none."""
    line, inner = (layout + " ", layout + "  ") if layout else ("", "")
    lis = b"".join(inner.encode() + _li(prefix, text, lang) for text, lang in items)
    return f"{line}<{prefix}{kind}{more}>".encode() + lis + f"{line}</{prefix}{kind}>{layout}".encode()


def _li(prefix: str, text: str, lang: str | None = None) -> bytes:
    said = "" if lang is None else f" xml:lang={_quoted(lang)}"
    return f"<{prefix}li{said}>".encode() + _escaped(text) + f"</{prefix}li>".encode()


def _prefix_of(e: Element) -> str:
    """As it is written, with its colon; empty in the default namespace."""
    return e.raw[: len(e.raw) - len(e.name[1])]


def _escaped(text: str) -> bytes:
    return text.translate(_IN_TEXT).encode()


def _quoted(text: str) -> str:
    return f'"{text.translate(_IN_QUOTES)}"'


def _kind(there: Property) -> str:
    return {"text": "a text", "Alt": "texts in several languages", "other": "a structure"}.get(
        there.form, "a list"
    )
