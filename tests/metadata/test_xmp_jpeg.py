"""The XMP of a JPEG changes; every other byte of the file keeps its value and its order."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from headers import CountedBytes
from hypothesis import given
from hypothesis import strategies as st
from packets import described, made, packet

from camtrail.core.bytes import MemoryBytes, SplicedBytes
from camtrail.core.errors import CamtrailError, SafetyRefusal
from camtrail.metadata import read
from camtrail.metadata.write import Values, new_head, tags_of
from camtrail.metadata.xmp_edit import Edit, NewItems, NewText, Removed, edited
from camtrail.metadata.xmp_jpeg import composed, new_xmp_head, read_xmp
from camtrail.metadata.xmp_packet import named, properties
from photos import exif, gps_tags, jpeg, segment

DATA = Path(__file__).parents[2].parent / "shared" / "data"
JFIF = segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0")
MPF = segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + bytes(40))
ICC = segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(500))
BLOCK = exif({0x010F: (2, "Made")}, {0x9003: (2, "2020:01:02 03:04:05")}, gps_tags(1.5, 2.5))
EXIF = segment(0xE1, b"Exif\0\0" + BLOCK)
SUBJECT, PHOTO = named("dc:subject"), named("iNaturalist:photo")
CHANGES: list[Edit] = [NewText(PHOTO, "123"), NewItems(SUBJECT, add=("Coyote (Canis latrans)",))]
THERE = described("<dc:subject>mine</dc:subject>")


def xmp(data: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + data)


def extended(data: bytes, parts: int = 2) -> list[bytes]:
    digest = hashlib.md5(data).hexdigest().upper().encode()
    step = -(-len(data) // parts)
    return [
        segment(
            0xE1,
            b"http://ns.adobe.com/xmp/extension/\0"
            + digest
            + struct.pack(">II", len(data), at)
            + data[at : at + step],
        )
        for at in range(0, len(data), step)
    ]


def file_of(*segments: bytes) -> bytes:
    plain = jpeg()
    return plain[:2] + b"".join(segments) + plain[2:]


def rewritten(data: bytes, changes: list[Edit] = CHANGES) -> bytes:
    head, at = new_xmp_head(MemoryBytes(data, "a.jpg"), changes)
    return head + data[at:]


def refusal(data: bytes, changes: list[Edit] = CHANGES) -> str:
    with pytest.raises(SafetyRefusal) as caught:
        new_xmp_head(MemoryBytes(data, "a.jpg"), changes)
    assert caught.value.message.startswith("a.jpg: ") and "nothing was written" in caught.value.message
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "behind"),
    [([], []), ([], [ICC]), ([JFIF], [ICC]), ([EXIF], [MPF, ICC]), ([JFIF, EXIF], [MPF]), ([ICC, EXIF], []),
     ([JFIF, segment(0xE0, b"JFXX\0\x13"), ICC, EXIF], []), ([b"\xff" + EXIF], [ICC])],
)  # fmt: skip
def test_a_new_packet_goes_behind_the_exif(before: list[bytes], behind: list[bytes]) -> None:
    data = file_of(*before, *behind)
    new = edited(None, CHANGES)
    assert read_xmp(MemoryBytes(data)) is None
    assert rewritten(data) == file_of(*before, xmp(new), *behind)
    assert read_xmp(MemoryBytes(rewritten(data))) == new
    assert rewritten(rewritten(data)) == rewritten(data)
    assert new_xmp_head(MemoryBytes(rewritten(data)), CHANGES) == (b"", 0)


@pytest.mark.parametrize(
    ("before", "behind"),
    [([], []), ([EXIF], [ICC, MPF]), ([], [EXIF]), ([ICC, EXIF], [segment(0xFE, b"a comment")])],
)
def test_a_packet_is_changed_where_it_stands(before: list[bytes], behind: list[bytes]) -> None:
    data = file_of(*before, xmp(THERE), *behind)
    assert read_xmp(MemoryBytes(data)) == THERE
    assert rewritten(data) == file_of(*before, xmp(edited(THERE, CHANGES)), *behind)
    assert rewritten(rewritten(data)) == rewritten(data)


def test_nothing_to_say_changes_nothing() -> None:
    for data in (file_of(EXIF), file_of(xmp(THERE)), file_of(xmp(b""))):
        for changes in ([], [Removed(PHOTO)], [NewItems(SUBJECT, remove=("a",))]):
            assert new_xmp_head(MemoryBytes(data), changes) == (b"", 0)  # type: ignore[arg-type]


def test_only_the_head_is_read() -> None:
    source = CountedBytes(file_of(EXIF, xmp(THERE)) + bytes(1 << 20) + b"\xff\xd9")
    assert read_xmp(source) == THERE and source.total < 17_000
    large = described(f"<dc:title>{'a' * 40000}</dc:title>")
    assert read_xmp(MemoryBytes(file_of(EXIF, xmp(large)))) == large
    new_xmp_head(source, CHANGES)
    assert source.total < 100_000
    assert read_xmp(MemoryBytes(b"\x89PNG" + bytes(100))) is None
    assert read_xmp(MemoryBytes(b"")) is None


def test_a_packet_that_outgrows_its_segment() -> None:
    room = 65504 - len(edited(described("<dc:title/>"), CHANGES))
    fits = described(f"<dc:title>{'a' * (room - 11)}</dc:title>")
    while len(edited(fits, CHANGES)) < 65504:
        fits = fits.replace(b"<dc:title>", b"<dc:title>a")
    assert len(edited(fits, CHANGES)) == 65504
    assert read_xmp(MemoryBytes(rewritten(file_of(xmp(fits))))) == edited(fits, CHANGES)
    said = refusal(file_of(xmp(fits.replace(b"<dc:title>", b"<dc:title>a"))))
    assert "would grow to 65,505 bytes" in said and "--write sidecar" in said


def test_extended_xmp_is_kept_and_not_contradicted() -> None:
    note = 'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="0123"'
    more = extended(packet('<rdf:Description xmlns:a="urn:a" a:photo2="1"/>' + " " * 4000, frame=False))
    data = file_of(EXIF, xmp(described("", note)), *more, ICC)
    new = edited(described("", note), CHANGES)
    assert rewritten(data) == file_of(EXIF, xmp(new), *more, ICC)
    assert b'HasExtendedXMP="0123"' in new
    for inside in ("<b:photo xmlns:b='urn:b'>1</b:photo>", "<photo\n xmlns='urn:b'/>"):
        for parts in (1, 2, 7):
            more = extended(described(inside + " " * 400), parts)
            assert "photo in a part that only some programs read" in refusal(
                file_of(xmp(described("", note)), *more[::-1])
            )
            assert "photo in a part" in refusal(file_of(xmp(described("", note)), *more), [Removed(PHOTO)])


def test_of_several_packets_the_first_is_changed() -> None:
    other = described("<dc:title>other</dc:title>")
    data = file_of(xmp(THERE), EXIF, xmp(other))
    assert rewritten(data) == file_of(xmp(edited(THERE, CHANGES)), EXIF, xmp(other))
    for codec in ("utf-8", "utf-16"):
        second = described("<dc:subject>theirs</dc:subject>").decode().encode(codec)
        assert "subject in a part" in refusal(file_of(xmp(THERE), EXIF, xmp(second)))


def test_an_index_of_previews_that_moved_bytes_would_break() -> None:
    assert "in front of the XMP" in refusal(file_of(EXIF, MPF, xmp(THERE)))
    assert "in front of the XMP" in refusal(file_of(MPF, EXIF))
    padded = packet("<rdf:Description/>", marks="w", padding=2000)
    data = file_of(MPF, EXIF, xmp(padded))
    assert len(rewritten(data)) == len(data) and read_xmp(MemoryBytes(rewritten(data))) == edited(
        padded, CHANGES
    )
    assert rewritten(file_of(EXIF, xmp(THERE), MPF)) == file_of(EXIF, xmp(edited(THERE, CHANGES)), MPF)


def test_files_in_which_something_is_found_by_its_distance() -> None:
    assert "AFCP" in refusal(file_of(EXIF) + b"AXS!" + bytes(8))
    thumbnail = exif({0x010F: (2, "Made")}, None, None, thumbnail=jpeg())
    at = thumbnail.index(jpeg())
    beyond = thumbnail[:at].replace(struct.pack("<I", len(jpeg())), struct.pack("<I", 5000)) + jpeg()
    assert "thumbnail reaches beyond" in refusal(
        file_of(segment(0xE1, b"Exif\0\0" + beyond)) + bytes(9000) + b"\xff\xd9"
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no JPEG"),
        (b"\x89PNG" + bytes(30), "is no JPEG"),
        (jpeg()[:30], "cut off"),
        (file_of(xmp(THERE))[:60], "cut off"),
        (jpeg()[:-2], "no end"),
        (b"\xff\xd8\xff\xd9", "cut off"),
        (b"\xff\xd8\xff\xd9\0\0\0\0", "no picture"),
        (b"\xff\xd8\xff\xe1\0\0" + bytes(10), "wrong length"),
        (b"\xff\xd8\xff\xe1\0\x04\0\0\0\0\0\0", "wrong length"),
        (b"\xff\xd8" + b"\xff\xe2\0\x02" * 5000, "more segments"),
        (file_of(*[segment(0xE2, bytes(65000))] * 17, xmp(THERE)), "behind 1,105,070 bytes"),
        (file_of(xmp(b"<a>")), "damaged"),
        (file_of(xmp(b"<!DOCTYPE a><a/>")), "DOCTYPE"),
        (jpeg().replace(b"\xff\xda", xmp(THERE) + b"\xff\xda"), "behind the begin of its picture"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_refused_in_words(data: bytes, says: str) -> None:
    assert says in refusal(data)


@given(st.data())
def test_a_damaged_file_is_changed_or_refused(data: st.DataObject) -> None:
    there = data.draw(
        st.sampled_from(
            [file_of(EXIF, xmp(THERE), ICC), file_of(JFIF, EXIF), file_of(xmp(THERE), *extended(THERE))]
        )
    )
    at = data.draw(st.integers(0, len(there)))
    damaged = (
        there[:at]
        + data.draw(st.binary(max_size=6))
        + there[data.draw(st.integers(at, min(at + 8, len(there)))) :]
    )
    read_xmp(MemoryBytes(damaged))
    try:
        head, tail_at = new_xmp_head(MemoryBytes(damaged, "a.jpg"), CHANGES)
    except CamtrailError as e:
        assert "\n" not in str(e)
        return
    after = head + damaged[tail_at:]
    assert new_xmp_head(MemoryBytes(after), CHANGES) == (b"", 0)
    assert properties(read_xmp(MemoryBytes(after)) or b"")[PHOTO].text == "123"


@given(made(), st.sampled_from([[EXIF], [JFIF, EXIF], [JFIF], []]), st.booleans())
def test_the_exif_and_the_xmp_are_written_as_one(there, before: list[bytes], is_first: bool) -> None:  # type: ignore[no-untyped-def]
    data = file_of(xmp(there.data), *before) if is_first else file_of(*before, xmp(there.data))
    source = MemoryBytes(data, "a.jpg")
    first = new_head(source, tags_of(Values(make="Other", lat_deg=12.5, lon_deg=-7.25)))
    then = SplicedBytes(source, *first)
    try:
        second = new_xmp_head(then, CHANGES)
    except SafetyRefusal:
        return
    head, tail_at = composed(first, second)
    after = head + data[tail_at:]
    row = read.header(MemoryBytes(after))
    assert "Other" in row and 12.5 in row
    found = read_xmp(MemoryBytes(after))
    assert found == edited(there.data, CHANGES) and properties(found)[PHOTO].text == "123"
    assert after.endswith(jpeg()[2:])


spans = st.tuples(st.binary(max_size=30), st.integers(0, 100))


@given(st.binary(min_size=20, max_size=60), spans, spans)
def test_two_changes_as_one(data: bytes, first: tuple[bytes, int], second: tuple[bytes, int]) -> None:
    first = first[0], min(first[1], len(data))
    middle = first[0] + data[first[1] :]
    second = second[0], min(second[1], len(middle))
    head, tail_at = composed(first, second)
    assert head + data[tail_at:] == second[0] + middle[second[1] :]
    assert composed((b"", 0), second) == second and composed(first, (b"", 0)) == first


@pytest.mark.data
def test_real_photos() -> None:
    for path in sorted(DATA.glob("photos/*/*.[jJ]*")):
        data = path.read_bytes()
        after = rewritten(data)
        found = properties(read_xmp(MemoryBytes(after)) or b"")
        assert found[PHOTO].text == "123" and "Coyote (Canis latrans)" in found[SUBJECT].texts
        there = read_xmp(MemoryBytes(data))
        old, new = (b"" if x is None else xmp(x) for x in (there, read_xmp(MemoryBytes(after))))
        assert after.replace(new, old) == data and after.count(new) == 1
        if there is not None:
            kept = {k: v for k, v in properties(there).items() if k not in (PHOTO, SUBJECT)}
            assert kept and kept == {k: v for k, v in found.items() if k not in (PHOTO, SUBJECT)}
