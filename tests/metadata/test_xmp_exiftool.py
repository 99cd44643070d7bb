"""What exiftool reads of packets before and after an edit: what was named differs, and nothing else does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from packets import described, packet

from camtrail.core.bytes import MemoryBytes
from camtrail.metadata.sidecar import edited_sidecar, sidecar
from camtrail.metadata.write import Values
from camtrail.metadata.xmp_edit import Edit, NewItems, NewText, Removed
from camtrail.metadata.xmp_jpeg import new_xmp_head
from camtrail.metadata.xmp_packet import NAMESPACES, named
from photos import exif, gps_tags, jpeg

pytestmark = pytest.mark.exiftool

DATA = Path(__file__).parents[2].parent / "shared" / "data"
RDF = NAMESPACES["rdf"]
IDENTIFICATION = "Coyote (Canis latrans) \u2013 Anna's <&>"
CHANGES: list[Edit] = [
    NewText(named("iNaturalist:observation"), "68980359"),
    NewText(named("iNaturalist:observationPhoto"), "104339085"),
    NewText(named("iNaturalist:photo"), "111827898"),
    NewItems(named("dc:subject"), add=(IDENTIFICATION,), remove=("Wolf",)),
    NewItems(named("lr:hierarchicalSubject"), add=("iNaturalist|Coyote",)),
    NewItems(named("digiKam:TagsList"), add=("iNaturalist/Coyote",), kind="Seq"),
    NewText(named("dwc:scientificName"), "Canis latrans"),
    NewText(named("dcterms:references"), "https://www.inaturalist.org/observations/68980359"),
    NewText(named("dc:rights"), "\u00a9 me", True),
    Removed(named("dc:source")),
]
TOLD = {
    "XMP-iNaturalist:Observation": "68980359",
    "XMP-iNaturalist:ObservationPhoto": "104339085",
    "XMP-iNaturalist:Photo": "111827898",
}

DIGIKAM = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:iNaturalist="https://inaturalist.org/ns/1.0/"
   digiKam:PickLabel="0"
   xmp:Rating="3"
   iNaturalist:observation="1"
   iNaturalist:photo="2">
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>Places/Home</rdf:li>
     <rdf:li>Animals</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Home</rdf:li>
     <rdf:li>Wolf</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
{"".join(" " * 100 + chr(10) for _ in range(20))}<?xpacket end="w"?>"""

NATURTAG = f"""\
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2"> <rdf:RDF xmlns:rdf="{RDF}"> <rdf:Description \
rdf:about="" xmlns:dc="{NAMESPACES["dc"]}" xmlns:dwc="{NAMESPACES["dwc"]}" xmlns:lr="{NAMESPACES["lr"]}" \
xmlns:digiKam="{NAMESPACES["digiKam"]}" dwc:scientificName="Canis lupus" dwc:taxonID="42051" dc:source="there"> <dc:subject> \
<rdf:Seq> <rdf:li>taxonomy:genus=Canis</rdf:li> <rdf:li>inat:taxon_id=42051</rdf:li> <rdf:li>Wolf</rdf:li> </rdf:Seq> \
</dc:subject> <lr:hierarchicalSubject> <rdf:Seq> <rdf:li>Animalia|Chordata</rdf:li> </rdf:Seq> </lr:hierarchicalSubject> \
<digiKam:TagsList> <rdf:Seq> <rdf:li>Animalia/Chordata</rdf:li> </rdf:Seq> </digiKam:TagsList> </rdf:Description> </rdf:RDF> \
</x:xmpmeta>"""

LIGHTROOM = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00        ">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:dc="{NAMESPACES["dc"]}" xmlns:lr="{NAMESPACES["lr"]}"
   xmp:CreatorTool="Adobe Lightroom"
   xmpMM:DocumentID="xmp.did:1"
   xmpMM:InstanceID="xmp.iid:2">
   <xmpMM:History>
    <rdf:Seq>
     <rdf:li stEvt:action="saved" stEvt:when="2021-02-01T10:34:53-08:00" stEvt:changed="/"/>
     <rdf:li rdf:parseType="Resource"><stEvt:action>derived</stEvt:action></rdf:li>
    </rdf:Seq>
   </xmpMM:History>
   <dc:rights>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">theirs</rdf:li>
     <rdf:li xml:lang="de">deren</rdf:li>
    </rdf:Alt>
   </dc:rights>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Wolf</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>Animals|Wolf</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

PACKETS = {
    "none": b"",
    "empty": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
    "digikam": DIGIKAM.encode(),
    "naturtag": NATURTAG.encode(),
    "lightroom": LIGHTROOM.encode(),
    "utf16": b"\xff\xfe" + DIGIKAM.encode("utf-16-le"),
    "attributes": packet(f'<rdf:Description rdf:about="" xmlns:d="{NAMESPACES["dc"]}" d:subject="Wolf" d:source="a" d:format="b"/>'),
    "prefixes": packet(
        f'<rdf:Description rdf:about="" xmlns:digiKam="urn:else" digiKam:a="9"/><rdf:Description rdf:about="" '
        f'xmlns:lr="{NAMESPACES["dc"]}"><lr:title><rdf:Alt><rdf:li xml:lang="x-default">t</rdf:li></rdf:Alt></lr:title></rdf:Description>'
    ),
    "text": described("<!-- c --><dc:subject>Home</dc:subject><dc:creator><rdf:Seq><rdf:li>me</rdf:li></rdf:Seq></dc:creator>"),
}  # fmt: skip


def exiftool(*arguments: str | Path) -> str:
    done = subprocess.run(["exiftool", *map(str, arguments)], capture_output=True, timeout=120)
    return done.stdout.decode("utf-8", "replace")


def dumps(paths: Sequence[Path], *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        exiftool("-j", "-G1", "-a", "-struct", "-n", *options, "--", *paths)
    )
    for tags in found:
        del tags["SourceFile"]
    return found


def rewritten(data: bytes, changes: Sequence[Edit] = CHANGES) -> bytes:
    head, at = new_xmp_head(MemoryBytes(data, "a.jpg"), changes)
    return head + data[at:]


def check(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Exactly the named properties are other ones, and they are as they were to be."""
    changed = {
        *TOLD,
        "XMP-dc:Subject",
        "XMP-lr:HierarchicalSubject",
        "XMP-digiKam:TagsList",
        "XMP-dc:Rights",
        "XMP-dc:Source",
    }
    # exiftool has tables for other namespaces of these, and calls what is in none "tmp0" and the like.
    elsewhere = (":ScientificName", ":References")

    def rest(tags: dict[str, Any]) -> dict[str, Any]:
        # The toolkit is told where there was no packet.
        return {
            k: v for k, v in tags.items() if k not in changed and not k.endswith((*elsewhere, ":XMPToolkit"))
        }

    assert rest(before) == rest(after)
    for tag, text in TOLD.items():
        assert str(after[tag]) == text

    def listed(tags: dict[str, Any], tag: str) -> list[str]:
        value = tags.get(tag, [])
        return value if isinstance(value, list) else [value]

    assert listed(after, "XMP-dc:Subject") == [
        *(t for t in listed(before, "XMP-dc:Subject") if t != "Wolf"),
        IDENTIFICATION,
    ]
    for tag, text in (
        ("XMP-lr:HierarchicalSubject", "iNaturalist|Coyote"),
        ("XMP-digiKam:TagsList", "iNaturalist/Coyote"),
    ):
        assert listed(after, tag) == [*listed(before, tag), text]
    assert after["XMP-dc:Rights"] == "\u00a9 me" and "XMP-dc:Source" not in after
    assert sorted(v for k, v in after.items() if k.endswith(elsewhere)) == [
        "Canis latrans",
        "https://www.inaturalist.org/observations/68980359",
    ]


def warnings(paths: Sequence[Path]) -> list[set[str]]:
    """What exiftool's validation complains of in each file."""
    found: list[set[str]] = []
    for line in exiftool("-a", "-s", "-validate", "-warning", "-error", "--", *paths).splitlines():
        if line.startswith("========"):
            found.append(set())
        elif line.startswith(("Warning", "Error")):
            found[-1].add(line.partition(": ")[2])
    assert len(found) == len(paths)
    return found


def test_packets_of_other_programs_in_a_jpeg_and_beside_it(tmp_path: Path) -> None:
    block = exif({0x010F: (2, "Made")}, {0x9003: (2, "2020:01:02 03:04:05")}, gps_tags(1.5, 2.5))
    old: list[Path] = []
    new: list[Path] = []
    for name, data in PACKETS.items():
        for suffix, before, after in (
            (".jpg", jpeg(block, xmp=data), rewritten(jpeg(block, xmp=data))),
            (".xmp", data, edited_sidecar(data, CHANGES)),
        ):
            if not before:  # exiftool reads no file without bytes
                continue
            for paths, content in ((old, before), (new, after)):
                paths.append(tmp_path / f"{name}{len(paths)}{'ab'[paths is new]}{suffix}")
                paths[-1].write_bytes(content)
    assert len(old) == 2 * len(PACKETS) - 1
    for before, after in zip(dumps(old, "-XMP:all"), dumps(new, "-XMP:all")):
        check(before, after)
    for before, after in zip(dumps(old), dumps(new)):
        kept = {k: v for k, v in before.items() if k.startswith(("IFD0:", "ExifIFD:", "GPS:"))}
        assert kept.items() <= after.items()
    told = warnings([*old, *new])
    assert any(told)
    for before, after in zip(told[: len(old)], told[len(old) :]):
        assert after <= before


def test_packets_that_exiftool_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    exiftool(
        "-overwrite_original", "-XMP-dc:Subject=Wolf", "-XMP-dc:Subject=Home", "-XMP-dc:Title=t", "-XMP-dc:Title-de=u",
        "-XMP-lr:HierarchicalSubject=Animals|Wolf", "-XMP-exif:GPSLatitude=12.5", "-XMP-dc:Source=there",
        "-XMP-iptcCore:CreatorContactInfo={CiAdrCity=x,CiEmailWork=y}", "-XMP-digiKam:TagsList=a/b", "-XMP-dwc:TaxonID=1", path,
    )  # fmt: skip
    after = tmp_path / "b.jpg"
    after.write_bytes(rewritten(path.read_bytes()))
    assert len(after.read_bytes()) == len(path.read_bytes())  # it leaves blanks for this
    check(*dumps([path, after], "-XMP:all"))
    assert exiftool("-s3", "-XMP-iNaturalist:observation", after) == "68980359\n"
    # And it takes what we wrote for good enough to write into it itself.
    exiftool("-overwrite_original", "-XMP-dc:Format=other", after)
    (tags,) = dumps([after], "-XMP:all")
    assert tags.pop("XMP-dc:Format") == "other"
    check(*dumps([path], "-XMP:all"), tags)


def test_a_sidecar_of_ours_and_a_new_one(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.xmp" for i in range(3)]
    ours = sidecar(Values(lat_deg=1.5, lon_deg=2.5, description="caption"))
    for path, data in zip(paths, (ours, edited_sidecar(ours, CHANGES), edited_sidecar(None, CHANGES))):
        path.write_bytes(data)
    before, after, new = dumps(paths, "-XMP:all")
    check(before, after)
    check({}, new)


@pytest.mark.data
def test_real_photos(tmp_path: Path) -> None:
    found = sorted(DATA.glob("photos/*/*.[jJ]*"))
    assert len(found) >= 6
    new = []
    for i, path in enumerate(found):
        new.append(tmp_path / f"{i}.jpg")
        new[-1].write_bytes(rewritten(path.read_bytes()))
    for before, after in zip(dumps(found, "-XMP:all"), dumps(new, "-XMP:all")):
        check(before, after)
    skipped = ("System:", "File:", "XMP-", "Composite:", "ExifTool:", "MPImage")
    for before, after in zip(dumps(found, "-u"), dumps(new, "-u")):
        kept = {k: v for k, v in before.items() if not k.startswith(skipped)}
        assert kept == {k: v for k, v in after.items() if not k.startswith(skipped)}
    for before, after in zip(warnings(found), warnings(new)):
        assert after <= before
