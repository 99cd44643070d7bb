"""What a packet says is what was written, in every form that the standard allows and programs use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import Made, described, made, packet

from camtrail.core.errors import UnreadableFile
from camtrail.metadata.xmp_packet import NAMESPACES, Item, Property, named, properties

SUBJECT, TITLE = named("dc:subject"), named("dc:title")
PHOTO, OBSERVATION = named("iNaturalist:photo"), named("iNaturalist:observation")
CODECS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@given(made(), st.sampled_from(CODECS), st.sampled_from([b"", bytes(4), bytes(400)]))
def test_what_was_written_is_read(there: Made, codec: str, rest: bytes) -> None:
    found = properties(there.text.encode(codec) + rest)
    assert found == {name: said.value for name, said in there.said.items()}


@given(made(), st.data())
def test_a_packet_that_is_cut_off_or_changed_is_read_or_refused(there: Made, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(there.data)))
    end = data.draw(st.integers(at, len(there.data)))
    for cut in (there.data[:at], there.data[:at] + there.data[end:]):
        try:
            properties(cut)
        except UnreadableFile as e:
            assert "\n" not in str(e)


pieces = st.sampled_from(
    [b"<rdf:RDF", b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"', b">", b"/>", b"<rdf:Description", b"</", b"<rdf:li>",
     b"</rdf:RDF>", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"&#0;", b"&#xd800;", b"&a;", b"<!DOCTYPE a>", b"<![CDATA[", b"]]>",
     b"<?xml version='1.0' encoding='", b"utf-7", b"'?>", b"<!--", b"-->", b"<a", b" b='", b"xmlns:a=''", b"a:b"]
)  # fmt: skip


@given(st.lists(pieces | st.binary(max_size=6), max_size=20).map(b"".join))
def test_any_bytes_are_read_or_refused(packet: bytes) -> None:
    try:
        properties(packet)
    except UnreadableFile as e:
        assert "\n" not in str(e)


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<dc:subject>a</dc:subject>", Property("text", "a")),
        ("<dc:subject> a\n b </dc:subject>", Property("text", " a\n b ")),
        ("<dc:subject>a<!-- b -->c<![CDATA[<d>]]>&amp;&#x65;</dc:subject>", Property("text", "ac<d>&e")),
        ("<dc:subject/>", Property("text", "")),
        ('<dc:subject xml:lang="en">a</dc:subject>', Property("text", "a")),
        ('<dc:subject rdf:resource="http://a.b/"/>', Property("text", "http://a.b/")),
        ("<dc:subject><rdf:Bag/></dc:subject>", Property("Bag")),
        ("<dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag></dc:subject>", Property("Bag", None, (Item("a"),))),
        ("<dc:subject><rdf:Seq><rdf:li>a</rdf:li></rdf:Seq></dc:subject>", Property("Seq", None, (Item("a"),))),
        ("<dc:subject><rdf:Seq><rdf:_1>a</rdf:_1><rdf:_2>b</rdf:_2></rdf:Seq></dc:subject>",
         Property("Seq", None, (Item("a"), Item("b")))),
        ('<dc:subject><rdf:Alt><rdf:li xml:lang="x-default">a</rdf:li><rdf:li xml:lang="de">b</rdf:li></rdf:Alt></dc:subject>',
         Property("Alt", None, (Item("a", "x-default"), Item("b", "de")))),
        ('<dc:subject><rdf:Bag><rdf:li rdf:parseType="Resource"><lr:a>1</lr:a></rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>',
         Property("Bag", None, (Item(None), Item("b")))),
        ('<dc:subject><rdf:Bag><rdf:li rdf:parseType="Resource"><rdf:value>a</rdf:value><lr:q>1</lr:q></rdf:li></rdf:Bag></dc:subject>',
         Property("Bag", None, (Item("a"),))),
        ('<dc:subject rdf:parseType="Resource"><lr:a>1</lr:a></dc:subject>', Property("other")),
        ('<dc:subject lr:a="1"/>', Property("other")),
        ('<dc:subject rdf:value="a" lr:q="1"/>', Property("other", "a")),
        ("<dc:subject><rdf:Description><rdf:value>a</rdf:value><lr:q>1</lr:q></rdf:Description></dc:subject>",
         Property("other", "a")),
        ('<dc:subject><rdf:Description rdf:value="a" lr:q="1"/></dc:subject>', Property("other", "a")),
        ("<dc:subject>a<rdf:Bag/></dc:subject>", Property("other")),
    ],
)  # fmt: skip
def test_a_value_in_each_of_its_forms(inside: str, said: Property) -> None:
    assert properties(described(inside)) == {SUBJECT: said}


def test_several_descriptions_and_graphs_are_one() -> None:
    dc, lr = NAMESPACES["dc"], NAMESPACES["lr"]
    found = properties(
        packet(
            f'<rdf:Description rdf:about="" xmlns:a="{dc}" a:title="1"/><rdf:Description rdf:about=""><b:photo xmlns:b="{lr}">2'
            f'</b:photo></rdf:Description></rdf:RDF><rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}"><rdf:Description><subject xmlns="{dc}">'
            "3</subject></rdf:Description>"
        )
    )
    assert {name[1]: said.text for name, said in found.items()} == {
        "title": "1",
        "photo": "2",
        "subject": "3",
    }


def test_of_a_property_that_is_said_twice_the_first_counts() -> None:
    found = properties(described("<dc:title>b</dc:title><dc:title>c</dc:title>", attributes='dc:title="a"'))
    assert found == {TITLE: Property("text", "a")}


def test_the_texts_of_any_form() -> None:
    assert Property("Bag", None, (Item("a"), Item(None), Item(" "), Item("b"))).texts == ("a", "b")
    assert Property("text", "a").texts == ("a",) and Property("other", "a").texts == ("a",)
    assert Property("text", " \n").texts == () and Property("other").texts == ()


def test_older_frames_and_no_frame() -> None:
    for data in (
        packet("", frame=False),
        packet("").replace(b"xmpmeta", b"xapmeta"),
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
    ):
        assert properties(data) == {}


def test_a_declaration_that_is_wrong_about_utf() -> None:
    data = described("<dc:title>\u00fc</dc:title>")
    for declared in (b"utf-16", b"UTF-8", b"utf8"):
        assert properties(b'<?xml version="1.0" encoding="%b"?>' % declared + data)[TITLE].text == "\u00fc"
    for declared in (b"iso-8859-1", b"windows-1252", b"x"):
        with pytest.raises(UnreadableFile, match="encoding"):
            properties(b'<?xml version="1.0" encoding="%b"?>' % declared + data)


NESTED = 70
BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no element"),
        (BOMB, "DOCTYPE"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "DOCTYPE"),
        (described("<dc:a>" * NESTED + "</dc:a>" * NESTED), "deeper than 64"),
        (described("<dc:a>1"), "mismatched"),
        (described("<dc:a>&b;</dc:a>"), "undefined entity"),
        (described("<dc:a>&#0;</dc:a>"), "invalid character number"),
        (described("<dc:a>&#xd800;</dc:a>"), "invalid character number"),
        (described("<nobody:a>1</nobody:a>"), "unbound prefix"),
        (described("", attributes='dc:a="1" dc:a="2"'), "duplicate attribute"),
        (
            described("", 'xmlns:dc2="http://purl.org/dc/elements/1.1/"', 'dc:a="1" dc2:a="2"'),
            "duplicate attribute",
        ),
        (described("<dc:a>1</dc:a>").replace(b">1<", b">\xed\xa0\x80<"), "is no UTF-8"),
        (described("<dc:a>1</dc:a>").replace(b">1<", b">\xff<"), "is no UTF-8"),
        (b"\xff\xfe<\0a\0/\0>", "is no UTF-16-LE"),
        (b"\xff\xfe" + "<a>\ud800</a>".encode("utf-16-le", "surrogatepass"), "is no UTF-16-LE"),
        (b"<html/>", "no XMP: it begins with <html>"),
        (b"a" * ((1 << 24) + 1), "bytes of XMP, more than"),
        (described("<dc:a/>" * (1 << 18)), "more values than"),
    ],
    ids=range(18),
)
def test_what_is_no_packet_is_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableFile, match=says) as caught:
        properties(data, "a.jpg")
    assert str(caught.value).startswith("a.jpg: has ") and caught.value.hint


def test_a_name_by_its_usual_prefix() -> None:
    assert named("dwc:taxonID") == ("http://rs.tdwg.org/dwc/index.htm", "taxonID")
    for name in ("subject", "nobody:subject"):
        with pytest.raises(ValueError, match=name):
            named(name)
