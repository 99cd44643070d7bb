"""What an XMP packet says: every property by its name, however the packet is written.

Format: ISO 16684-1 (XMP part 1), section 7; a packet stands in UTF-8, UTF-16 or UTF-32 with or without a byte
order mark, between `<?xpacket?>` marks or not, in `x:xmpmeta` (once `x:xapmeta`) or as a bare `rdf:RDF`. A property
is an attribute or an element of an `rdf:Description`. The XML is read by expat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias
from xml.parsers import expat

from camtrail.core.errors import UnreadableFile
from camtrail.core.names import shown

__all__ = [
    "NAMESPACES",
    "Element",
    "Form",
    "Item",
    "Name",
    "Packet",
    "Place",
    "Property",
    "attribute_spans",
    "is_item",
    "item_at",
    "named",
    "parsed",
    "properties",
    "property_at",
]

Name: TypeAlias = tuple[str, str]
"""The URI of a namespace and the name in it; what prefix stands for the URI is each packet's own affair."""

Form: TypeAlias = Literal["text", "Bag", "Seq", "Alt", "other"]
"""How a value stands in a packet: as one text, as an array of one of three kinds, or as a structure."""

NAMESPACES: Mapping[str, str] = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "dwc": "http://rs.tdwg.org/dwc/index.htm",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "iNaturalist": "https://inaturalist.org/ns/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
}
"""Prefixes that programs use, and what they stand for.

ExifTool and exiv2 know Darwin Core by the address of its guide, not by that of its terms.
"""

_RDF = NAMESPACES["rdf"]
_XML = "http://www.w3.org/XML/1998/namespace"
_LANG, _RESOURCE, _VALUE, _PARSE_TYPE = (
    (_XML, "lang"),
    (_RDF, "resource"),
    (_RDF, "value"),
    (_RDF, "parseType"),
)
_DESCRIPTION, _LI = (_RDF, "Description"), (_RDF, "li")
_FRAMES = frozenset((("adobe:ns:meta/", "xmpmeta"), ("adobe:ns:meta/", "xapmeta")))
_ARRAYS: Mapping[Name, Form] = {(_RDF, "Bag"): "Bag", (_RDF, "Seq"): "Seq", (_RDF, "Alt"): "Alt"}
_NUMBERED = re.compile(r"_\d+")
# The syntax of RDF; with them, an element without content is no text.
_NO_QUALIFIERS = frozenset((_LANG, _RESOURCE, (_RDF, "ID"), (_RDF, "datatype"), (_RDF, "nodeID")))

_MOST_BYTES = 1 << 24
_MOST_LEVELS = 64
_MOST_PARTS = 1 << 18  # elements and attributes: Lightroom writes some thousands into a sidecar
_SAVE_AGAIN = "let the program that wrote it save it again"


def named(name: str) -> Name:
    """`dc:subject` with one of our prefixes, as the name that it is in every packet.

    Raises ValueError for a prefix that is none of NAMESPACES.
    """
    prefix, _, local = name.partition(":")
    if prefix not in NAMESPACES:
        raise ValueError(f"no prefix of ours: {name}")
    return NAMESPACES[prefix], local


class Item(NamedTuple):
    """One of an array; `text` is None for a structure, `lang` where no language is named."""

    text: str | None
    lang: str | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """One value of a packet, without the white space of its layout.

    `text` is None unless the form is "text", or a structure that stands for a text with qualifiers. `items` is
    empty for what is no array.
    """

    form: Form
    text: str | None = None
    items: tuple[Item, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is text: the items of an array, else the one text; blank ones are none."""
        found = (self.text, *(item.text for item in self.items))
        return tuple(text for text in found if text is not None and text.strip())


@dataclass(slots=True, eq=False)
class Element:
    """An element and where it stands in the packet's UTF-8 form, in bytes."""

    raw: str  # the name as it is written, prefix and all
    name: Name
    attributes: Mapping[Name, str]
    declared: Mapping[str, str]  # prefix -> URI, here; "" is the default namespace
    parent: Element | None
    at: int
    open_end: int  # behind the start tag
    close_at: int = -1  # of the end tag; an empty-element tag has none, and this is `open_end`
    end: int = -1
    text: str = ""  # in front of, between and behind the children
    children: list[Element] = field(default_factory=list)

    def namespace(self, prefix: str) -> str | None:
        """What a prefix stands for in this element; None where it stands for nothing."""
        at: Element | None = self
        while at is not None:
            if prefix in at.declared:
                return at.declared[prefix] or None
            at = at.parent
        return _XML if prefix == "xml" else None

    def prefixes(self) -> Iterator[str]:
        """The prefixes in use here, those of outer elements last."""
        at: Element | None = self
        while at is not None:
            yield from at.declared
            at = at.parent


class Place(NamedTuple):
    """Where a property stands: `element` is None for an attribute of the description."""

    description: Element
    name: Name
    element: Element | None


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """A packet taken apart; `start + data in its codec + rest` are its bytes."""

    codec: str
    start: bytes  # the byte order mark
    data: bytes  # UTF-8, whatever the packet is in
    rest: bytes  # zeros behind its end
    root: Element
    graphs: tuple[Element, ...]  # rdf:RDF, hardly ever more than one
    descriptions: tuple[Element, ...]
    places: Mapping[Name, list[Place]]  # in the order of the packet

    def whole(self, data: bytes) -> bytes:
        """The bytes of a packet like this one with other data, UTF-8."""
        return self.start + (data if self.codec == "utf-8" else data.decode().encode(self.codec)) + self.rest


def properties(packet: bytes, name: str = "the XMP packet") -> dict[Name, Property]:
    """What the packet says, in its order; of a property that it says twice, the first.

    Parameters
    ----------
    packet : as it stands in the file
    name : what messages call it

    Raises
    ------
    UnreadableFile
        It is no XML, no XMP, or larger than any program writes.

    Notes
    -----
    Structures are named, but their fields are not told. 60 µs for six properties.
    """
    taken = parsed(packet, name)
    return {key: property_at(places[0]) for key, places in taken.places.items()}


def parsed(packet: bytes, name: str = "the XMP packet") -> Packet:
    """The packet taken apart, for those who change it. Parameters and errors are those of `properties`."""
    if len(packet) > _MOST_BYTES:
        raise _damaged(name, f"has {len(packet):,} bytes of XMP, more than any program writes")
    codec, start = _encoding(packet)
    try:
        text = packet[len(start) :].decode(codec)
    except UnicodeDecodeError as e:
        raise _damaged(name, f"has XMP that is damaged: it is no {codec.upper()}") from e
    data = text.rstrip("\0").encode()
    rest = packet[len(packet) - (len(text) - len(text.rstrip("\0"))) * len("\0".encode(codec)) :]
    if (declared := _DECLARATION.match(data)) and not _is_of(declared[1].decode(), codec):
        raise _damaged(name, "has XMP in an encoding that the format does not know")
    root = _Reader(data, name).root()
    graphs = tuple(found for found in (root, *root.children) if found.name == (_RDF, "RDF"))
    if not graphs and root.name not in _FRAMES:
        raise _damaged(name, f"has XML that is no XMP: it begins with <{shown(root.raw[:40])}>")
    descriptions = tuple(d for graph in graphs for d in graph.children if d.name == _DESCRIPTION)
    places: dict[Name, list[Place]] = {}
    for description in descriptions:
        for key in description.attributes:
            if key[0] not in ("", _RDF, _XML):
                places.setdefault(key, []).append(Place(description, key, None))
        for inner in description.children:
            if inner.name[0] not in ("", _RDF, _XML):
                places.setdefault(inner.name, []).append(Place(description, inner.name, inner))
    return Packet(codec, start, data, rest, root, graphs, descriptions, places)


_MARKS = (
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xef\xbb\xbf", "utf-8"),
)
_DECLARATION = re.compile(rb"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)")


def _encoding(packet: bytes) -> tuple[str, bytes]:
    """The codec, and the mark that says it; without one, the first character is of ASCII (XML 1.0, appendix F)."""
    for mark, codec in _MARKS:
        if packet.startswith(mark):
            return codec, mark
    zeros = [i for i, byte in enumerate(packet[:4]) if byte == 0]
    kinds = {(0, 1, 2): "utf-32-be", (1, 2, 3): "utf-32-le", (0, 2): "utf-16-be", (1, 3): "utf-16-le"}
    return kinds.get(tuple(zeros), "utf-8"), b""


def _is_of(declared: str, codec: str) -> bool:
    """Whether an XML declaration agrees with the bytes; `utf-16` before UTF-8 is a habit of .NET programs."""
    plain = declared.lower().replace("_", "-")
    return plain.startswith(("utf-", "utf8", "utf16", "utf32", "ucs-", "iso-10646-ucs")) or (
        codec == "utf-8" and plain == "us-ascii"
    )


_TAG = re.compile(rb"<[^>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^>\"']*)*>")
_NAME = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"(\s+)([^\s=]+)\s*=\s*(\"[^\"]*\"|'[^']*')")


def attribute_spans(data: bytes, element: Element) -> Iterator[tuple[str, int, int, int]]:
    """Each attribute of a start tag as it is written, declarations of prefixes too.

    Its name; where the white space before it begins; where its value begins, at the quote; where it ends.
    """
    m = _NAME.match(data, element.at)
    assert m is not None
    at = m.end()
    while (m := _ATTRIBUTE.match(data, at)) is not None:
        yield m[2].decode(), at, m.start(3), m.end()
        at = m.end()


class _Reader:
    """Elements from what expat tells; all that it takes for well-formed, and no more."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._parts = 0
        self._declared: dict[str, str] = {}
        self._open: list[Element] = []
        self._texts: list[list[str]] = []  # of the open elements
        self._root: Element | None = None
        # The separator is a character that the URI of a namespace cannot have; expat refuses those that do.
        self._parser = parser = expat.ParserCreate("utf-8", "\n")
        parser.namespace_prefixes = True
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text

    def root(self) -> Element:
        """The outermost element. Raises UnreadableFile."""
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as e:
            what = expat.ErrorString(e.code)
            raise _damaged(self._name, f"has XMP that is damaged: {what} at line {e.lineno}") from e
        assert self._root is not None
        return self._root

    def _doctype(self, *_: object) -> None:
        raise _damaged(self._name, "has XMP with a DOCTYPE, which no program needs")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""
        self._count(1)

    def _start(self, name: str, flat: list[str]) -> None:
        at = self._parser.CurrentByteIndex
        self._count(1 + len(flat) // 2)
        if len(self._open) >= _MOST_LEVELS:
            raise _damaged(self._name, f"has XMP nested deeper than {_MOST_LEVELS} levels")
        raw, key = _split(name)
        tag = _TAG.match(self._data, at)
        assert tag is not None
        parent = self._open[-1] if self._open else None
        attributes = {_split(a)[1]: value for a, value in zip(flat[::2], flat[1::2])}
        element = Element(raw, key, attributes, self._declared, parent, at, tag.end())
        self._declared = {}
        if parent is None:
            self._root = element
        else:
            parent.children.append(element)
        self._open.append(element)
        self._texts.append([])

    def _end(self, name: str) -> None:
        element = self._open.pop()
        element.text = "".join(self._texts.pop())
        if self._data[element.open_end - 2] == 0x2F:  # a slash
            element.close_at = element.end = element.open_end
        else:
            element.close_at = self._parser.CurrentByteIndex
            element.end = self._data.index(b">", element.close_at) + 1

    def _text(self, text: str) -> None:
        self._texts[-1].append(text)

    def _count(self, n: int) -> None:
        self._parts += n
        if self._parts > _MOST_PARTS:
            raise _damaged(self._name, "has XMP with more values than any program writes")


def _split(name: str) -> tuple[str, Name]:
    """The written name, and what it stands for, of expat's `URI, name, prefix`."""
    parts = name.split("\n")
    if len(parts) == 3:
        return f"{parts[2]}:{parts[1]}", (parts[0], parts[1])
    return (parts[1], (parts[0], parts[1])) if len(parts) == 2 else (name, ("", name))


def _damaged(name: str, reason: str) -> UnreadableFile:
    return UnreadableFile(name, reason, _SAVE_AGAIN)


def property_at(place: Place) -> Property:
    """What stands at a place."""
    if place.element is None:
        return Property("text", place.description.attributes[place.name])
    return _value(place.element)


def _value(e: Element) -> Property:
    """A text, a list of texts, or that it is something else."""
    if e.text.strip():
        return Property("text", e.text) if not e.children else Property("other")
    if len(e.children) == 1 and (form := _ARRAYS.get(e.children[0].name)) is not None:
        return Property(form, None, tuple(item_at(li) for li in e.children[0].children if is_item(li)))
    text = _text_of(e)
    return (
        Property("other", text)
        if e.children or text is None or _VALUE in e.attributes
        else Property("text", text)
    )


def is_item(e: Element) -> bool:
    """Whether a child of an array is one of its items; older programs number them."""
    return e.name == _LI or (e.name[0] == _RDF and _NUMBERED.fullmatch(e.name[1]) is not None)


def item_at(li: Element) -> Item:
    """What an item says."""
    return Item(_text_of(li), li.attributes.get(_LANG))


def _text_of(e: Element) -> str | None:
    """The text of a simple value, also where qualifiers stand beside it; None for others."""
    if e.children:
        if e.text.strip():
            return None
        inner = e.children[0] if len(e.children) == 1 and e.children[0].name == _DESCRIPTION else e
        if inner is not e and _VALUE in inner.attributes:
            return inner.attributes[_VALUE]
        values = [c for c in inner.children if c.name == _VALUE]
        return _text_of(values[0]) if len(values) == 1 else None
    if _RESOURCE in e.attributes:
        return e.attributes[_RESOURCE]
    if _VALUE in e.attributes:
        return e.attributes[_VALUE]
    is_structure = _PARSE_TYPE in e.attributes or any(key not in _NO_QUALIFIERS for key in e.attributes)
    return None if is_structure else e.text
