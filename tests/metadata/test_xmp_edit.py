"""An edit changes what it names and nothing else, and the second time it changes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.parsers import expat

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from packets import NAMES, RDF, Made, described, made, packet, texts, tree

from camtrail.core.errors import SafetyRefusal, UnreadableFile
from camtrail.metadata.xmp_edit import Edit, NewItems, NewText, Removed, edited
from camtrail.metadata.xmp_packet import (
    NAMESPACES,
    Item,
    Name,
    Property,
    attribute_spans,
    named,
    parsed,
    properties,
)

SUBJECT, TITLE = named("dc:subject"), named("dc:title")
PHOTO, OBSERVATION = named("iNaturalist:photo"), named("iNaturalist:observation")
TAGS = named("lr:hierarchicalSubject")


@st.composite
def changes(draw: st.DrawFn) -> list[Edit]:
    """One to four changes of properties that a made packet may have."""

    def change(name: Name) -> Edit:
        kind = draw(st.sampled_from(["text", "default", "removed", "items", "items"]))
        if kind in ("text", "default"):
            return NewText(name, draw(texts), kind == "default")
        if kind == "removed":
            return Removed(name)
        shuffled = draw(
            st.permutations(["a", "b", "c d", "Coyote (Canis latrans)", "<&>\"'", "new", "\u00fc\U0001f98a"])
        )
        news = st.sampled_from(shuffled[:4])
        olds = st.sampled_from(shuffled[4:])
        pairs = draw(st.lists(st.tuples(olds, news), max_size=2, unique_by=lambda p: p[0]))
        return NewItems(
            name, draw(st.lists(news, max_size=3)), draw(st.lists(olds, max_size=2)), pairs, draw(st.sampled_from(["Bag", "Seq"]))
        )  # fmt: skip

    return [
        change(name) for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4))
    ]


def items_after(items: Sequence[str | None], change: NewItems) -> list[str | None]:
    """The slow, obvious version."""
    result: list[str | None] = [i for i in items if i is None or i not in change.remove]
    for old, new in change.replace:
        while old in result:
            at = result.index(old)
            if new in result:
                del result[at]
            else:
                result[at] = new
    for text in change.add:
        if text not in result:
            result.append(text)
    return result


def wanted(there: Made, change: Edit) -> Property | str | None:
    """What a property says after a change; None where it is gone; "refused" where it cannot be made to."""
    said = there.said.get(change.name)
    before = None if said is None else said.value
    if isinstance(change, Removed):
        return None
    if isinstance(change, NewText):
        default = Property("Alt", None, (Item(change.text, "x-default"),))
        if before is None:
            return default if change.in_any_language else Property("text", change.text)
        if before.form != "Alt" and before.text == change.text:
            return before
        if before.form == "Alt" and change.in_any_language:
            # A made packet has the same language on all items; the first is the default.
            return Property("Alt", None, default.items + before.items[1:])
        if before.form != "text":
            return "refused"
        is_uri = said is not None and not said.is_simple
        if change.in_any_language:
            return "refused" if is_uri else default
        return Property("text", change.text)
    if before is None:
        before = Property("Bag")
    if before.form in ("Alt", "other"):
        return "refused"
    texts_there = list(before.texts) if before.form == "text" else [i.text for i in before.items]
    after = items_after(texts_there, change)
    if after == texts_there:
        return before if said is not None else None
    if before.form == "text" and said is not None and not said.is_simple and after:
        return "refused"
    return Property(change.kind, None, tuple(map(Item, after)))


def skeleton(data: bytes, names: set[Name]) -> bytes:
    """A packet without the properties that change, the prefixes that are declared, and blanks."""
    taken = parsed(data)
    cuts: list[tuple[int, int, bytes]] = []
    for name, places in taken.places.items():
        for place in places:
            if name not in names:
                continue
            if place.element is not None:
                cuts.append((place.element.at, place.element.end, b""))
                continue
            for raw, at, _, end in attribute_spans(taken.data, place.description):
                prefix, _, local = raw.rpartition(":")
                if prefix not in ("", "xmlns") and (place.description.namespace(prefix), local) == name:
                    cuts.append((at, end, b""))
    for d in taken.descriptions:
        cuts += [
            (at, end, b"") for raw, at, _, end in attribute_spans(taken.data, d) if raw.startswith("xmlns:")
        ]
        if d.close_at == d.end:
            cuts.append((d.end - 2, d.end, b"></%b>" % d.raw.encode()))
    out, at = b"", 0
    for start, end, new in sorted(cuts):
        out += taken.data[at:start] + new
        at = end
    out += taken.data[at:]
    if not taken.descriptions:  # one is made
        out = re.sub(rb"<[^<]*Description[^<]*>\s*</[^<]*Description>", b"", out)
        out = re.sub(rb"(<[^<\s]*RDF[^<>]*)/>", rb"\1></RDF>", out)
    return re.sub(rb"\s+", b"", out)


def check_well_formed(data: bytes) -> None:
    for parser in (expat.ParserCreate(), expat.ParserCreate(namespace_separator=" ")):
        parser.Parse(data, True)


@given(made(), changes())
def test_what_is_named_changes_and_nothing_else(there: Made, edits: list[Edit]) -> None:
    outcome = {edit.name: wanted(there, edit) for edit in edits}
    if "refused" in outcome.values():
        with pytest.raises(SafetyRefusal, match="nothing was written"):
            edited(there.data, edits)
        return
    after = edited(there.data, edits)
    check_well_formed(after)
    expected = {name: said.value for name, said in there.said.items()} | outcome
    found = properties(after)
    for name, said in expected.items():
        if isinstance(said, Property) and said.form in ("Bag", "Seq") and not said.items:
            # An empty array is gone, unless there is something in it that is no item.
            assert found.get(name) in (None, said, there.said.get(name) and there.said[name].value), name
        else:
            assert found.get(name) == said, name
    assert not found.keys() - expected.keys()
    changed = {f"{{{name[0]}}}{name[1]}" for name in outcome}
    before_tree, after_tree = tree(there.data), tree(after)
    assert {k: v for k, v in before_tree.items() if k not in changed} == {
        k: v for k, v in after_tree.items() if k not in changed
    }
    assert skeleton(there.data, set(outcome)) == skeleton(after, set(outcome))
    assert edited(after, edits) == after


@given(made(), changes())
def test_an_edit_in_another_encoding_is_the_same_edit(there: Made, edits: list[Edit]) -> None:
    try:
        after = edited(there.data, edits).decode()
    except SafetyRefusal:
        assume(False)
    assume("<?xpacket" not in after)  # there are fewer blanks for the same bytes
    for codec, mark in (("utf-16-le", ""), ("utf-16-be", "\ufeff"), ("utf-32-be", ""), ("utf-8", "\ufeff")):
        assert edited((mark + there.text).encode(codec), edits).decode(codec) == mark + after


@given(changes())
def test_a_new_packet_says_what_it_is_to_say(edits: list[Edit]) -> None:
    after = edited(None, edits)
    outcome = {edit.name: wanted(Made("", {}), edit) for edit in edits}
    expected = {name: said for name, said in outcome.items() if said is not None}
    if not expected:
        assert after == b""
        return
    check_well_formed(after)
    assert properties(after) == expected
    assert after.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert after.endswith(b'<?xpacket end="w"?>')
    assert edited(after, edits) == after
    for blank in (b"", b"  \n", bytes(12)):
        assert edited(blank, edits) == after


@given(made(), changes(), st.data())
def test_a_damaged_packet_is_changed_or_refused(there: Made, edits: list[Edit], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(there.data)))
    end = data.draw(st.integers(at, len(there.data)))
    damaged = there.data[:at] + there.data[end:]
    try:
        check_well_formed(edited(damaged, edits))
    except SafetyRefusal as e:
        assert "\n" not in str(e)
    except expat.ExpatError:
        assert edited(damaged, edits) == damaged == b""


LAYOUT = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Image::ExifTool 12.57">
<rdf:RDF xmlns:rdf='{RDF}'>

 <!-- mine -->
 <rdf:Description rdf:about=''
  xmlns:dc='http://purl.org/dc/elements/1.1/'>
  <dc:subject>
   <rdf:Seq>
    <rdf:li>a</rdf:li>
    <!-- between -->
    <rdf:li>b</rdf:li>
   </rdf:Seq>
  </dc:subject>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='r'?>"""


def test_the_whole_of_an_edit() -> None:
    after = edited(
        LAYOUT.encode(),
        [NewText(PHOTO, "1"), NewItems(SUBJECT, add=("c",), remove=("b",)), NewText(OBSERVATION, "2")],
    )
    assert after.decode() == (
        LAYOUT.replace("dc/elements/1.1/'>", "dc/elements/1.1/'\n  xmlns:iNaturalist=\"https://inaturalist.org/ns/1.0/\">")
        .replace("rdf:Seq", "rdf:Bag")
        .replace("    <rdf:li>b</rdf:li>\n", "    <rdf:li>c</rdf:li>\n")
        .replace(
            "  </dc:subject>\n",
            "  </dc:subject>\n  <iNaturalist:photo>1</iNaturalist:photo>\n  <iNaturalist:observation>2</iNaturalist:observation>\n",
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("inside", "change", "after"),
    [
        ("<dc:title>a</dc:title>", NewText(TITLE, "b"), "<dc:title>b</dc:title>"),
        ("<dc:title/>", NewText(TITLE, "b"), "<dc:title>b</dc:title>"),
        ("<dc:title />", NewText(TITLE, "b"), "<dc:title >b</dc:title>"),
        ("<dc:title xml:lang='de'>a</dc:title>", NewText(TITLE, "b"), "<dc:title xml:lang='de'>b</dc:title>"),
        ("<dc:title>a<!-- c --><![CDATA[d]]></dc:title>", NewText(TITLE, "b"), "<dc:title>b<!-- c --></dc:title>"),
        ("<dc:title rdf:resource='a'/>", NewText(TITLE, "b"), '<dc:title rdf:resource="b"/>'),
        ("<dc:title>a</dc:title>", NewText(TITLE, "a", True), "<dc:title>a</dc:title>"),
        ("<dc:title>a</dc:title>", NewText(TITLE, "b", True),
         '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">b</rdf:li></rdf:Alt></dc:title>'),
        ('<dc:title><rdf:Alt><rdf:li xml:lang="de">a</rdf:li></rdf:Alt></dc:title>', NewText(TITLE, "b", True),
         '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">b</rdf:li><rdf:li xml:lang="de">a</rdf:li></rdf:Alt></dc:title>'),
        ('<dc:title><rdf:Alt><rdf:li xml:lang="X-Default">a</rdf:li></rdf:Alt></dc:title>', NewText(TITLE, "b", True),
         '<dc:title><rdf:Alt><rdf:li xml:lang="X-Default">b</rdf:li></rdf:Alt></dc:title>'),
        ("<dc:title><rdf:Alt/></dc:title>", NewText(TITLE, "b", True),
         '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">b</rdf:li></rdf:Alt></dc:title>'),
        ("<dc:title>a</dc:title><dc:subject/>", Removed(TITLE), "<dc:subject/>"),
        ("<dc:title rdf:parseType='Resource'><dc:a/></dc:title>", Removed(TITLE), ""),
        ("<dc:subject>a</dc:subject>", NewItems(SUBJECT, add=("a",)), "<dc:subject>a</dc:subject>"),
        ("<dc:subject>a</dc:subject>", NewItems(SUBJECT, add=("b",)),
         "<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>"),
        ("<dc:subject>\n</dc:subject>", NewItems(SUBJECT, add=("b",)),
         "<dc:subject><rdf:Bag><rdf:li>b</rdf:li></rdf:Bag></dc:subject>"),
        ("<dc:subject>a</dc:subject>", NewItems(SUBJECT, remove=("a",)), ""),
        ("<dc:subject><rdf:Seq/></dc:subject>", NewItems(SUBJECT, add=("b",)),
         "<dc:subject><rdf:Bag><rdf:li>b</rdf:li></rdf:Bag></dc:subject>"),
        ("<dc:subject><rdf:Seq><rdf:li>a</rdf:li></rdf:Seq></dc:subject>", NewItems(SUBJECT, add=("a",)),
         "<dc:subject><rdf:Seq><rdf:li>a</rdf:li></rdf:Seq></dc:subject>"),
        ("<dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag></dc:subject>", NewItems(SUBJECT, add=("b",), kind="Seq"),
         "<dc:subject><rdf:Seq><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Seq></dc:subject>"),
        ("<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li xml:lang='de'>b</rdf:li></rdf:Bag></dc:subject>",
         NewItems(SUBJECT, replace=[("b", "c")]),
         "<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li xml:lang='de'>c</rdf:li></rdf:Bag></dc:subject>"),
        ("<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>",
         NewItems(SUBJECT, replace=[("a", "b"), ("x", "y")]),
         "<dc:subject><rdf:Bag><rdf:li>b</rdf:li></rdf:Bag></dc:subject>"),
        ("<dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag></dc:subject><dc:title/>", NewItems(SUBJECT, remove=("a",)),
         "<dc:title/>"),
        ("<dc:subject><rdf:Bag><!-- c --><rdf:li>a</rdf:li></rdf:Bag></dc:subject>", NewItems(SUBJECT, remove=("a",)),
         "<dc:subject><rdf:Bag><!-- c --></rdf:Bag></dc:subject>"),
        ("<dc:subject><rdf:Bag><rdf:li rdf:parseType='Resource'><rdf:value>a</rdf:value></rdf:li><rdf:li>b</rdf:li></rdf:Bag>"
         "</dc:subject>", NewItems(SUBJECT, add=("a",), remove=("b",)),
         "<dc:subject><rdf:Bag><rdf:li rdf:parseType='Resource'><rdf:value>a</rdf:value></rdf:li></rdf:Bag></dc:subject>"),
        ("<dc:subject xmlns:r='" + RDF + "'><r:Seq><r:li>a</r:li></r:Seq></dc:subject>", NewItems(SUBJECT, add=("b",)),
         "<dc:subject xmlns:r='" + RDF + "'><r:Bag><r:li>a</r:li><r:li>b</r:li></r:Bag></dc:subject>"),
        ("<dc:subject><Seq xmlns='" + RDF + "'><li>a</li></Seq></dc:subject>", NewItems(SUBJECT, add=("b",)),
         "<dc:subject><Bag xmlns='" + RDF + "'><li>a</li><li>b</li></Bag></dc:subject>"),
        ("<dc:subject xmlns:rdf='urn:a'>a</dc:subject>", NewItems(SUBJECT, add=("b",)),
         f'<dc:subject xmlns:rdf=\'urn:a\'><rdf:Bag xmlns:rdf="{RDF}"><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>'),
        ("", NewItems(TAGS, add=("A|B",)),
         "<lr:hierarchicalSubject><rdf:Bag><rdf:li>A|B</rdf:li></rdf:Bag></lr:hierarchicalSubject>"),
        ("", NewItems(TAGS, remove=("a",), replace=[("b", "c")]), ""),
        ("", NewText(TITLE, "<a b=\"1\">&'\r\n]]>"),
         "<dc:title>&lt;a b=&quot;1&quot;&gt;&amp;&#39;&#13;\n]]&gt;</dc:title>"),
    ],
)  # fmt: skip
def test_one_change_of_an_element(inside: str, change: Edit, after: str) -> None:
    assert edited(described(inside), [change]) == described(after)


@pytest.mark.parametrize(
    ("attributes", "change", "after", "inside"),
    [
        ("dc:title='a'", NewText(TITLE, "b"), 'dc:title="b"', ""),
        ("dc:title = 'a' dc:a='1'", NewText(TITLE, '"\t\n'), 'dc:title = "&quot;&#9;&#10;" dc:a=\'1\'', ""),
        ("dc:a='1' dc:title='a' dc:b='2'", Removed(TITLE), "dc:a='1' dc:b='2'", ""),
        ("dc:subject='a'", NewItems(SUBJECT, add=("a",)), "dc:subject='a'", ""),
        ("dc:a='1' dc:subject='a'", NewItems(SUBJECT, add=("b",)), "dc:a='1'",
         "<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>"),
        ("dc:a='1' dc:title='a'", NewText(TITLE, "b", True), "dc:a='1'",
         '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">b</rdf:li></rdf:Alt></dc:title>'),
        ("dc:title='a'", NewText(TITLE, "a", True), "dc:title='a'", ""),
        ("dc:a='1' dc:subject='a'", NewItems(SUBJECT, remove=("a",)), "dc:a='1'", ""),
    ],
)  # fmt: skip
def test_one_change_of_an_attribute(attributes: str, change: Edit, after: str, inside: str) -> None:
    assert edited(described("", attributes=attributes), [change]) == described(inside, attributes=after)


TITLED = "<dc:title>a</dc:title>"


@pytest.mark.parametrize(
    ("data", "after"),
    [
        (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', f'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n <rdf:RDF xmlns:dc="{NAMESPACES["dc"]}" '
         f'xmlns:rdf="{RDF}">\n  <rdf:Description rdf:about="">\n   {TITLED}\n  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>'),
        (packet("", frame=False), packet(f'\n <rdf:Description rdf:about="" xmlns:dc="{NAMESPACES["dc"]}">\n  {TITLED}\n '
                                         "</rdf:Description>", frame=False).decode()),
        (f'<r:RDF xmlns:r="{RDF}"/>'.encode(), f'<r:RDF xmlns:r="{RDF}">\n <r:Description r:about="" xmlns:dc="{NAMESPACES["dc"]}">\n'
         f"  {TITLED}\n </r:Description>\n</r:RDF>"),
        (f'<RDF xmlns="{RDF}"><Description/></RDF>'.encode(),
         f'<RDF xmlns="{RDF}"><Description xmlns:dc="{NAMESPACES["dc"]}">{TITLED}</Description></RDF>'),
        (f'<RDF xmlns="{RDF}"/>'.encode(), f'<RDF xmlns="{RDF}">\n <rdf:Description rdf:about="" xmlns:dc="{NAMESPACES["dc"]}" '
         f'xmlns:rdf="{RDF}">\n  {TITLED}\n </rdf:Description>\n</RDF>'),
        (packet('<rdf:Description xmlns:dc="urn:a" xmlns:dc1="urn:b"/>'),
         packet(f'<rdf:Description xmlns:dc="urn:a" xmlns:dc1="urn:b" xmlns:dc2="{NAMESPACES["dc"]}"><dc2:title>a</dc2:title>'
                "</rdf:Description>").decode()),
        (packet(f'<rdf:Description xmlns:D="{NAMESPACES["dc"]}"/>'),
         packet(f'<rdf:Description xmlns:D="{NAMESPACES["dc"]}"><D:title>a</D:title></rdf:Description>').decode()),
    ],
)  # fmt: skip
def test_where_a_new_property_goes(data: bytes, after: str) -> None:
    assert edited(data, [NewText(TITLE, "a")]) == after.encode()


def test_a_namespace_without_a_usual_prefix() -> None:
    after = edited(None, [NewText(("urn:a'\"<&", "a"), "1"), NewText(("urn:b", "a"), "2")])
    assert b"<ns:a>1</ns:a>" in after and b"<ns1:a>2</ns1:a>" in after


@pytest.mark.parametrize("padding", [0, 63, 64, 200, 2000])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-32-be"])
def test_blanks_at_the_end_are_used_up(padding: int, codec: str) -> None:
    inside = f'<rdf:Description xmlns:dc="{NAMESPACES["dc"]}" dc:a="{"a" * 40}"/>'
    data = packet(inside, marks="w", padding=padding, codec=codec)
    longer = edited(data, [NewText(TITLE, "b" * 100)])
    shorter = edited(data, [Removed(named("dc:a"))])
    assert (len(longer) == len(data)) == (padding >= 200)
    assert (len(shorter) == len(data)) == (padding >= 64)
    for new in (longer, shorter):
        assert new.decode(codec).endswith(' <?xpacket end="w"?>' if padding else '><?xpacket end="w"?>')
    read_only = packet(inside, marks="r", padding=padding, codec=codec)
    assert (
        edited(read_only, [NewText(TITLE, "b" * 100)])
        .decode(codec)
        .endswith(" " * padding + '<?xpacket end="r"?>')
    )


STRUCTURE = '<dc:title rdf:parseType="Resource"><dc:a>1</dc:a></dc:title>'


@pytest.mark.parametrize(
    ("data", "change", "says"),
    [
        (described("<dc:title>a</dc:title>", attributes="dc:title='a'"), NewText(TITLE, "a"), "says title 2 times"),
        (described("<dc:title>a</dc:title><dc:title>a</dc:title>"), Removed(TITLE), "says title 2 times"),
        (described(STRUCTURE), NewText(TITLE, "a"), "a structure as title, where a text"),
        (described(STRUCTURE), NewText(TITLE, "a", True), "a structure as title, where a text"),
        (described(STRUCTURE), NewItems(TITLE, add=("a",)), "a structure as title, where a list"),
        (described("<dc:title><rdf:Bag/></dc:title>"), NewText(TITLE, "a"), "a list as title, where a text"),
        (described("<dc:title><rdf:Seq/></dc:title>"), NewText(TITLE, "a", True), "a list as title, where a text"),
        (described("<dc:title><rdf:Alt/></dc:title>"), NewText(TITLE, "a"), "texts in several languages as title"),
        (described("<dc:title><rdf:Alt/></dc:title>"), NewItems(TITLE, add=("a",)), "texts in several languages as"),
        (described("<dc:title rdf:ID='a'>b</dc:title>"), NewText(TITLE, "a"), "title with qualifiers"),
        (described("<dc:title xml:lang='de'>b</dc:title>"), NewItems(TITLE, add=("a",)), "title with qualifiers"),
        (described("<dc:title rdf:resource='b'/>"), NewText(TITLE, "a", True), "title with qualifiers"),
        (described("<dc:title><rdf:Bag><rdf:li rdf:value='a' dc:b='1'/></rdf:Bag></dc:title>"),
         NewItems(TITLE, replace=[("a", "b")]), "title with qualifiers"),
        (b"<!DOCTYPE a><a/>", NewText(TITLE, "a"), "DOCTYPE"),
        (described("<dc:title>"), NewText(TITLE, "a"), "damaged"),
        (described("") + b"x", NewText(TITLE, "a"), "damaged"),
        (b"<html/>", NewText(TITLE, "a"), "no XMP"),
    ],
)  # fmt: skip
def test_what_is_refused_in_words(data: bytes, change: Edit, says: str) -> None:
    with pytest.raises(SafetyRefusal, match=says) as caught:
        edited(data, [change], name="a\n.jpg", advice="do this")
    assert str(caught.value).startswith("a\\x0a.jpg: ")
    assert caught.value.hint == "do this" and "nothing was written" in caught.value.message
    assert not isinstance(caught.value, UnreadableFile)


def test_texts_that_xml_has_no_way_to_write() -> None:
    change = NewText(TITLE, "a\0b\udc80\ud800\ufffe\x0b")
    after = edited(None, [change, NewItems(SUBJECT, add=("\x01", "\ufffd"))])
    assert properties(after)[TITLE].text == "a\ufffdb\\x80\\ud800\ufffd\ufffd"
    assert properties(after)[SUBJECT].texts == ("\ufffd",)
    assert edited(after, [change]) == after


def test_no_text_looks_like_a_property_to_a_reader_that_searches() -> None:
    from camtrail.metadata.xmp import position

    text = "a:GPSLatitude=\"1\" b:GPSLongitude='2' <c:GPSLatitude>1</c:GPSLatitude>"
    after = edited(None, [NewText(TITLE, text), NewItems(SUBJECT, add=(text,)), NewText(PHOTO, text, True)])
    assert position(after) == pytest.approx((float("nan"),) * 4, nan_ok=True)


def test_changes_that_contradict_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="two changes"):
        edited(None, [NewText(TITLE, "a"), Removed(TITLE)])
    for more in (
        {"add": ("a",), "remove": ("a",)},
        {"replace": [("a", "b"), ("b", "c")]},
        {"remove": ("b",), "replace": [("a", "b")]},
    ):
        with pytest.raises(ValueError, match="to be there and to be gone"):
            NewItems(SUBJECT, **more)  # type: ignore[arg-type]
    for name in (("", "a"), (RDF, "li"), ("urn:a", "a b"), ("urn:a", ""), ("urn:a", "a:b"), ("urn:\0", "a")):
        for make in (lambda n: NewText(n, "a"), Removed, NewItems):
            with pytest.raises(ValueError, match="no name"):
                make(name)
    assert NewItems(SUBJECT, replace=[("a", "a")], add=("a",)).replace == ()


HUGE = 4 << 20
_D = f'<rdf:Description xmlns:dc="{NAMESPACES["dc"]}"'

_ATTRIBUTES = " ".join(f"dc:a{i}=''" for i in range(60000))
_PREFIXES = " ".join(f"xmlns:a{i}='b'" for i in range(60000))
_BINDING = "<a1:a xmlns:b='c'/>"


@pytest.mark.parametrize(
    "data",
    [
        packet("", marks="w", padding=HUGE),
        packet(" " * HUGE),
        packet(f"{_D}>{'<!---->' * (HUGE // 7)}</rdf:Description>"),
        packet(f"{_D}><dc:title>{'a<!---->' * (HUGE // 8)}</dc:title></rdf:Description>"),
        packet(f"{_D}><dc:title>{'&amp;' * (HUGE // 5)}</dc:title></rdf:Description>"),
        packet(f'{_D} dc:a="{"a" * HUGE}"/>'),
        packet(f"{_D} {_ATTRIBUTES}/>"),
        packet(f"{_D} {_PREFIXES}>{_BINDING * 60000}</rdf:Description>"),
        packet(f"{_D}><dc:subject><rdf:Bag>{'<rdf:li/>' * 200000}</rdf:Bag></dc:subject></rdf:Description>"),
        packet(_D + ">" + "<a>" * 40 + "<b/>" * 100000 + "</a>" * 40 + "</rdf:Description>"),
    ],
    ids=["padding", "blanks", "comments", "pieces", "entities", "long", "attributes", "prefixes", "items", "depth"],
)  # fmt: skip
def test_hostile_packets_take_seconds_at_most(data: bytes) -> None:
    start = time.process_time()
    try:
        check_well_formed(edited(data, [NewText(TITLE, "a"), NewItems(SUBJECT, add=("b",))]))
    except SafetyRefusal as e:
        assert "\n" not in str(e)
    assert time.process_time() - start < 20.0


def test_the_result_is_xml_that_others_read() -> None:
    after = edited(described("<dc:title>\u00fc</dc:title>"), [NewItems(SUBJECT, add=("Anna's <b>",))])
    assert "Anna's <b>" in [e.text for e in ElementTree.fromstring(after.decode()).iter()]
