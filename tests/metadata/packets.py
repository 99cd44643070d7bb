"""XMP packets as programs write them, and as they might: what each says is known before it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from hypothesis import strategies as st

from camtrail.metadata.xmp_packet import NAMESPACES, Item, Name, Property

RDF = NAMESPACES["rdf"]
X = "adobe:ns:meta/"
URIS = (
    NAMESPACES["dc"],
    NAMESPACES["iNaturalist"],
    NAMESPACES["lr"],
    "urn:one",
    "urn:t\u00f6",
    "http://a.b/?c=d&e#",
)
LOCALS = ("subject", "photo", "a", "A-1.b", "_x")
NAMES = [(uri, local) for uri in URIS for local in LOCALS]
_PREFIXES = ("dc", "iNaturalist", "lr", "rdf1", "n", "ns", "a.b-c", "\u00e9", "x1", "dc1")

characters = st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\t\n \"'<>&]")
texts = st.text(characters.filter(lambda c: c not in "\ufffe\uffff"), max_size=12)
words = st.sampled_from(["a", "b", "c d", "Coyote (Canis latrans)", "<&>\"'", "\u00fc\U0001f98a"])


def packet(
    inside: str, *, frame: bool = True, marks: str = "", padding: int = 0, codec: str = "utf-8"
) -> bytes:
    """A packet around what stands in its `rdf:RDF`; `marks`: "w" or "r" for a packet with marks."""
    text = f'<rdf:RDF xmlns:rdf="{RDF}">{inside}</rdf:RDF>'
    text = f'<x:xmpmeta xmlns:x="{X}" x:xmptk="Some Toolkit 1.0">{text}</x:xmpmeta>' if frame else text
    if marks:
        text = f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{text}{" " * padding}<?xpacket end="{marks}"?>'
    return text.encode(codec)


def described(inside: str, declared: str = "", attributes: str = "") -> bytes:
    """A packet of one description; dc, lr and iNaturalist are declared."""
    known = " ".join(f'xmlns:{p}="{NAMESPACES[p]}"' for p in ("dc", "lr", "iNaturalist"))
    return packet(f'<rdf:Description rdf:about="" {known} {declared} {attributes}>{inside}</rdf:Description>')


def tree(data: bytes) -> dict[str, list[Any]]:
    """What stands in a packet by the name of each property, as a parser of XML sees it, in full depth."""
    text = data.decode("utf-8-sig").rstrip("\0")
    found: dict[str, list[Any]] = {}

    def whole(e: ElementTree.Element) -> Any:
        return e.tag, sorted(e.attrib.items()), e.text, [(whole(c), c.tail) for c in e]

    root = ElementTree.fromstring(text)
    graph = f"{{{RDF}}}RDF"
    for d in [d for e in root.iter(graph) for d in e.findall(f"{{{RDF}}}Description")]:
        for key, value in d.attrib.items():
            found.setdefault(key, []).append(value)
        for e in d:
            found.setdefault(e.tag, []).append(whole(e))
    return found


@dataclass(frozen=True)
class Said:
    """One property of a made packet: what it says, and whether it can become another text or list."""

    value: Property
    is_simple: bool


@dataclass(frozen=True)
class Made:
    """A made packet."""

    text: str
    said: dict[Name, Said]

    @property
    def data(self) -> bytes:
        """In UTF-8."""
        return self.text.encode()


@st.composite
def made(draw: st.DrawFn) -> Made:
    """A packet with any prefixes, layout, comments, CDATA and entities, in one to three descriptions."""
    line = draw(st.sampled_from(["", "\n  ", "\r\n\t", " "]))
    rdf = draw(st.sampled_from(["rdf", "r", "RDF.1"]))
    chosen = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    prefixes = dict(zip(URIS, draw(st.permutations(_PREFIXES))))
    aside = st.sampled_from(["", "", "", "<!-- a <b> -->", "<?a b?>", line])
    count = draw(st.integers(1, 3))
    attributes: list[str] = [""] * count
    elements: list[list[str]] = [[] for _ in range(count)]
    said: dict[Name, Said] = {}

    def written(text: str) -> str:
        """The characters in one of the ways that XML has for them."""
        way = draw(st.sampled_from(["plain", "plain", "cdata", "numbers"]))
        if way == "cdata" and "]]>" not in text and text:
            return f"<![CDATA[{text}]]>"
        if way == "numbers":
            return "".join(f"&#{ord(c)};" if i % 2 else f"&#x{ord(c):x};" for i, c in enumerate(text))
        return escape(text)

    def quoted(text: str) -> str:
        quote = draw(st.sampled_from("\"'"))
        inner = escape(text, {quote: "&#34;" if quote == '"' else "&apos;", "\n": "&#10;", "\t": "&#9;"})
        return f"{quote}{inner}{quote}"

    for name in chosen:
        at = draw(st.integers(0, count - 1))
        raw = f"{prefixes[name[0]]}:{name[1]}"
        way = draw(
            st.sampled_from(
                ["attribute", "element", "empty", "uri", "array", "array", "qualified", "structure"]
            )
        )
        text = draw(texts)
        if way == "attribute":
            attributes[at] += f"{line or ' '}{raw}{draw(st.sampled_from(['=', ' = ']))}{quoted(text)}"
            said[name] = Said(Property("text", text), True)
        elif way == "element":
            elements[at].append(f"<{raw}>{written(text)}</{raw}>")
            said[name] = Said(Property("text", text), True)
        elif way == "empty":
            elements[at].append(f"<{raw}/>")
            said[name] = Said(Property("text", ""), True)
        elif way == "uri":
            elements[at].append(f"<{raw} {rdf}:resource={quoted(text)}/>")
            said[name] = Said(Property("text", text), False)
        elif way == "array":
            form = draw(st.sampled_from(["Bag", "Seq", "Alt"]))
            items = draw(st.lists(words | texts, max_size=4))
            lang = ' xml:lang="x-default"' if form == "Alt" else ""
            lis = "".join(f"{line}{draw(aside)}<{rdf}:li{lang}>{written(i)}</{rdf}:li>" for i in items)
            if not items and draw(st.booleans()):
                elements[at].append(f"<{raw}>{draw(aside)}<{rdf}:{form}/></{raw}>")
            else:
                elements[at].append(
                    f"<{raw}>{line}<{rdf}:{form}>{lis}{draw(aside)}</{rdf}:{form}>{line}</{raw}>"
                )
            value = Property(form, None, tuple(Item(i, "x-default" if lang else None) for i in items))
            said[name] = Said(value, True)
        elif way == "qualified":
            inner = f"<{rdf}:value>{escape(text)}</{rdf}:value><{raw}>{written(text)}</{raw}>"
            elements[at].append(f'<{raw} {rdf}:parseType="Resource">{inner}</{raw}>')
            said[name] = Said(Property("other", text), False)
        else:
            inner = f'<{raw}>{written(text)}</{raw}><q:b xmlns:q="urn:q">{draw(aside)}<{raw}/></q:b>'
            elements[at].append(f"<{raw}><{rdf}:Description>{inner}</{rdf}:Description></{raw}>")
            said[name] = Said(Property("other"), False)
    declared = "".join(f'{line or " "}xmlns:{p}="{escape(uri)}"' for uri, p in prefixes.items())
    outer = draw(st.booleans())
    body = ""
    for more, inside in zip(attributes, elements):
        start = f"{line}<{rdf}:Description {rdf}:about=''{'' if outer else declared}{more}"
        if inside or draw(st.booleans()):
            body += f"{start}>{''.join(line + draw(aside) + e for e in inside)}{line}{draw(aside)}</{rdf}:Description>"
        else:
            body += f"{start}/>"
    text = f'<{rdf}:RDF xmlns:{rdf}="{RDF}"{declared if outer else ""}>{body}{draw(aside)}</{rdf}:RDF>'
    if draw(st.booleans()):
        text = f'{draw(aside)}<x:xmpmeta xmlns:x="{X}">{line}{text}{line}</x:xmpmeta>'
    if draw(st.booleans()):
        mark, blanks = draw(st.sampled_from("wr")), " " * draw(st.sampled_from([0, 20, 100, 2000]))
        text = f'<?xpacket begin="\ufeff" id="W5M0"?>{text}{blanks}<?xpacket end="{mark}"?>'
    order = {n: i for i, n in enumerate(said)}
    return Made(text, dict(sorted(said.items(), key=lambda s: order[s[0]])))
