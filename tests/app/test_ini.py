"""INI files of accounts: read as the older programs read them, and edited without touching anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.app.ini import edited, sections
from camtrail.core.errors import UsageError

WORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2000, exclude_categories=["Cc", "Zs"]), min_size=1
)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9 _.@-]{0,10}[a-z]", fullmatch=True)
VALUES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
TABLES = st.dictionaries(NAMES, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4)
OLD = """# made by hand
[rob]
MAPSettingsUsername = rob
; the token of 2018
user_upload_token = old%token
mapsettingsusername = another key

[ann]
user_upload_token: ann's
"""


def text_of(tables):
    return "".join(
        f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in table.items()) + "\n"
        for name, table in tables.items()
    )


@given(TABLES, NAMES, st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.booleans())
def test_what_is_set_is_read_again_and_the_rest_stays(tables, section, values, windows):
    text = text_of(tables).replace("\n", "\r\n" if windows else "\n")
    new = edited(text, section, values)
    assert sections(new) == {**tables, section: {**tables.get(section, {}), **values}}
    assert edited(new, section, values) == new


@given(TABLES, KEYS)
def test_what_is_taken_away_is_gone_and_the_rest_stays(tables, key):
    for name, table in tables.items():
        left = {k: v for k, v in table.items() if k != key}
        assert sections(edited(text_of(tables), name, {key: ""})) == {**tables, name: left}


def test_comments_order_and_case_stay():
    new = edited(OLD, "rob", {"user_upload_token": "new%(x)s", "organization_key": "7"})
    assert new == OLD.replace("old%token", "new%(x)s").replace(
        "another key\n", "another key\norganization_key = 7\n"
    )
    assert sections(new)["rob"]["mapsettingsusername"] == "another key"


def test_a_value_of_several_lines_goes_as_a_whole():
    text = "[rob]\na = 1\n  2\n  3\nb = 4\na = 5\n"
    assert edited(text, "rob", {"a": "6"}) == "[rob]\na = 6\nb = 4\n"


def test_a_new_section_stands_behind_all():
    assert edited(OLD.rstrip(), "new", {"a": "b"}) == OLD.rstrip() + "\n\n[new]\na = b\n"
    assert edited("", "new", {"a": "b"}) == "[new]\na = b\n"
    assert edited("\ufeff[new]\n", "new", {"a": "b"}) == "\ufeff[new]\na = b\n"


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("a]b\n", {"k": "v"}), ("rob", {"k": "v\n[x]"}), ("rob", {"k=": "v"}), ("rob", {"# k": "v"}), ("rob", {"k": " v"}),
        ("rob", {"k": "v\r"}), ("DEFAULT", {"k": "v"}), ("rob", {"[k]": "v"}),
    ],
)  # fmt: skip
def test_what_would_be_read_otherwise_is_refused(section, values):
    with pytest.raises(UsageError):
        edited(OLD, section, values)


@pytest.mark.parametrize(
    ("text", "line"), [("SECRET = 1\n", 1), ("[a]\nSECRET\n", 2), ("[a]\nk = 1\nSECRET\n", 3)]
)
def test_what_is_no_ini_file_is_said_without_its_text(text, line):
    for call in (lambda: sections(text), lambda: edited(text, "a", {"k": "v"})):
        with pytest.raises(ValueError, match=f"line {line} ") as e:
            call()
        assert "SECRET" not in str(e.value) and e.value.__cause__ is None


def test_values_that_all_sections_share():
    text = "[DEFAULT]\nk = 1\n[a]\nx = 2\n"
    assert sections(text) == {"a": {"k": "1", "x": "2"}}
    assert sections(edited(text, "b", {"y": "3"}))["b"] == {"k": "1", "y": "3"}
