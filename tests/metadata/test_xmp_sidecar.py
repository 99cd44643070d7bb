"""A sidecar of any program takes changes and keeps the rest; a new one is as small as it can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from packets import Made, described, made

from camtrail.core.errors import SafetyRefusal
from camtrail.metadata.sidecar import changes_of, edited_sidecar, is_ours, sidecar
from camtrail.metadata.write import Values
from camtrail.metadata.xmp import position
from camtrail.metadata.xmp_edit import Edit, NewItems, NewText, Removed
from camtrail.metadata.xmp_packet import Item, Property, named, parsed, properties

SUBJECT, PHOTO = named("dc:subject"), named("iNaturalist:photo")
CHANGES: list[Edit] = [NewText(PHOTO, "123"), NewItems(SUBJECT, add=("Coyote",))]
VALUES = Values(
    lat_deg=-12.5, lon_deg=45.25, alt_m=-3.5, time_s=1.5e9, heading_deg=90.0, local_s=1.5e9, offset_s=3600.0, make="M & S",
    orientation=6, description="a <caption>",
)  # fmt: skip
DARKTABLE = b'<?xml version="1.0" encoding="UTF-8"?>\n' + described(
    "<dc:subject><rdf:Seq><rdf:li>darktable|style</rdf:li></rdf:Seq></dc:subject>",
    'xmlns:darktable="http://darktable.sf.net/" xmlns:exif="http://ns.adobe.com/exif/1.0/"',
    'darktable:xmp_version="4" exif:GPSLatitude="1,30.0N" exif:GPSLongitude="2,30.0E"',
)


def test_a_new_one() -> None:
    new = edited_sidecar(None, CHANGES)
    assert new.decode() == (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="camtrail">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:iNaturalist="https://inaturalist.org/ns/1.0/">\n'
        "   <iNaturalist:photo>123</iNaturalist:photo>\n"
        "   <dc:subject>\n"
        "    <rdf:Bag>\n"
        "     <rdf:li>Coyote</rdf:li>\n"
        "    </rdf:Bag>\n"
        "   </dc:subject>\n"
        "  </rdf:Description>\n"
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
    )
    assert edited_sidecar(new, CHANGES) == new == edited_sidecar(b"\n", CHANGES)
    assert is_ours(new)


def test_nothing_to_say() -> None:
    assert edited_sidecar(None, []) == edited_sidecar(None, [Removed(PHOTO)]) == b""
    assert edited_sidecar(b" \n", []) == b" \n" and edited_sidecar(DARKTABLE, []) == DARKTABLE


def test_one_of_another_program_keeps_what_it_says() -> None:
    after = edited_sidecar(DARKTABLE, [*CHANGES, *changes_of(VALUES)])
    found = properties(after)
    assert found[SUBJECT] == Property("Bag", None, (Item("darktable|style"), Item("Coyote")))
    assert found[("http://darktable.sf.net/", "xmp_version")].text == "4"
    assert position(after)[:2] == pytest.approx((-12.5, 45.25))
    assert parsed(after).data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta')
    assert edited_sidecar(after, [*CHANGES, *changes_of(VALUES)]) == after


def test_values_are_merged_as_they_are_written() -> None:
    whole = sidecar(VALUES)
    assert edited_sidecar(whole, changes_of(VALUES)) == whole
    assert properties(edited_sidecar(None, changes_of(VALUES))) == properties(whole)
    assert changes_of(Values()) == []
    moved = edited_sidecar(edited_sidecar(whole, CHANGES), changes_of(Values(lat_deg=1.5, lon_deg=2.5)))
    assert position(moved)[:3] == pytest.approx((1.5, 2.5, -3.5)) and properties(moved)[PHOTO].text == "123"


@given(made())
def test_any_packet_may_be_a_sidecar(there: Made) -> None:
    try:
        after = edited_sidecar(there.data, CHANGES)
    except SafetyRefusal:
        assert SUBJECT in there.said or PHOTO in there.said
        return
    kept = {k: v for k, v in properties(after).items() if k not in (SUBJECT, PHOTO)}
    assert kept == {k: said.value for k, said in there.said.items() if k not in (SUBJECT, PHOTO)}


def test_a_damaged_one_is_left_alone() -> None:
    with pytest.raises(SafetyRefusal, match=r"a\.xmp: has XMP that is damaged.*move it away"):
        edited_sidecar(DARKTABLE[:-20], CHANGES, "a.xmp")
