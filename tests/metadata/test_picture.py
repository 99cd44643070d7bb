"""The identity of a picture."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.bytes import MemoryBytes
from camtrail.metadata.picture import picture_sha256, scan_at
from camtrail.metadata.write import Values, new_head, tags_of
from photos import Shot, segment

DATA = Shot(local="2026:05:09 10:00:00").bytes()


def test_it_is_that_of_the_first_scan_to_the_end() -> None:
    at = scan_at(MemoryBytes(DATA))
    assert DATA[at : at + 2] == b"\xff\xda" and at == DATA.rindex(b"\xff\xda")
    assert picture_sha256(MemoryBytes(DATA)) == hashlib.sha256(DATA[at:]).digest()


def test_tags_do_not_change_it() -> None:
    head, tail_at = new_head(MemoryBytes(DATA), tags_of(Values(make="Other", lat_deg=1.0, lon_deg=2.0)))
    assert picture_sha256(MemoryBytes(head + DATA[tail_at:])) == picture_sha256(MemoryBytes(DATA))
    assert picture_sha256(MemoryBytes(DATA + b"\0")) != picture_sha256(MemoryBytes(DATA))


def test_segments_and_fill_bytes_in_front_of_the_scan() -> None:
    at = scan_at(MemoryBytes(DATA))
    more = DATA[:at] + segment(0xFE, b"\xff\xda" * 9) + b"\xff\xff" + DATA[at:]
    assert picture_sha256(MemoryBytes(more)) == picture_sha256(MemoryBytes(DATA))


@pytest.mark.parametrize("data", [b"", b"no JPEG", DATA[:200], b"\xff\xd8\xff\xd9"])
def test_without_a_scan_there_is_none(data: bytes) -> None:
    assert picture_sha256(MemoryBytes(data)) is None


@given(st.binary(max_size=64), st.integers(0, len(DATA)))
def test_whatever_the_bytes_are_it_ends(noise: bytes, at: int) -> None:
    picture_sha256(MemoryBytes(DATA[:at] + noise + DATA[at + len(noise) :]))
