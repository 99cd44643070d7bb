"""Names of files, as people read them and as they are compared."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.names import folded, natural, plain, shown

# Any str that Python can hold, the odd ones often.
any_text = st.text(
    st.characters()
    | st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp"))
    | st.sampled_from("\n\r\x1b\x00\x85\u202e\u2066\ufeff\udc80\udcff\ud800 aé\\")
)
BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


@given(any_text)
def test_any_name_is_shown_as_one_line_of_valid_unicode_without_controls(name):
    out = shown(name)
    out.encode("utf-8")
    assert len(out.splitlines()) <= 1
    for c in out:
        assert unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(c) not in BIDI
        assert c not in "\u061c\u200e\u200f\ufeff"


@given(any_text)
def test_what_is_shown_is_shown_the_same_again(name):
    assert shown(shown(name)) == shown(name)


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_what_can_be_read_is_left_as_it_is(name):
    assert shown(name) == name


@pytest.mark.skipif(os.name == "nt", reason="names are not bytes there")
@given(st.binary())
def test_bytes_that_are_no_utf_8_are_hexadecimal(raw):
    out = shown(os.fsdecode(raw))
    expected = raw.decode("utf-8", "backslashreplace")  # writes \xNN as well
    assert out == shown(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\nb", "a\\x0ab"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\udcffb", "a\\xffb"),
        ("a\ud800b", "a\\ud800b"),
        ("exe\u202egpj", "exe\\u202egpj"),
        ("\u2028", "\\u2028"),
        ("\x85", "\\x85"),
        ("grüße 写真 👩‍🚀 العربية", "grüße 写真 👩‍🚀 العربية"),
        ("", ""),
    ],
)
def test_shown(name, expected):
    assert shown(name) == expected


@given(any_text)
def test_a_plain_name_is_valid_unicode_and_differs_in_lone_surrogates_alone(name):
    plain(name).encode("utf-8")
    lone = [c for c in name if "\ud800" <= c <= "\udfff"]
    rest = plain(name)
    for c in lone:
        rest = rest.replace(shown(c), "", 1)
    assert len(plain(name)) == len(name) - len(lone) + sum(len(shown(c)) for c in lone)
    assert lone or rest == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\nb\t\x1b\u202e\ufeffé.jpg", "a\nb\t\x1b\u202e\ufeffé.jpg"),
        ("a\udcff\nb", "a\\xff\nb"),
        ("a\ud800b", "a\\ud800b"),
        ("", ""),
    ],
)
def test_plain(name, expected):
    assert plain(name) == expected


@given(any_text)
def test_folded_is_one_form_for_both_spellings(name):
    decomposed = unicodedata.normalize("NFD", name)
    assert folded(decomposed) == folded(unicodedata.normalize("NFC", decomposed))
    assert folded(folded(name)) == folded(name)


def test_folded_accents():
    assert folded("Ü") == folded("U\u0308")
    assert folded("a") != folded("A")  # two files on most systems


@given(st.lists(any_text))
def test_natural_keys_are_comparable_and_keep_names_apart(names):
    sorted(names, key=natural)
    assert len({natural(n) for n in names}) == len(set(names))


@given(st.text(st.characters(exclude_categories=("Nd", "No", "Cs"))), st.integers(0), st.integers(0))
def test_natural_counts(prefix, a, b):
    assert (natural(f"{prefix}{a}.jpg") < natural(f"{prefix}{b}.jpg")) == (a < b)


def test_natural_order():
    names = ["IMG_10.jpg", "IMG_9.jpg", "IMG_09.jpg", "a/2/10.jpg", "a/10/2.jpg", "IMG_٣.jpg"]
    assert sorted(names, key=natural) == [
        "IMG_٣.jpg",
        "IMG_09.jpg",
        "IMG_9.jpg",
        "IMG_10.jpg",
        "a/2/10.jpg",
        "a/10/2.jpg",
    ]


def test_natural_of_more_digits_than_python_converts():
    assert natural("9" * 5000) < natural("1" + "0" * 5000)
    assert natural("1") < natural("9" * 5000) < natural("a")
