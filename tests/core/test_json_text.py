"""JSON as people write it."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.json_text import BadJson, loads

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 0, 2, 7]), st.booleans(), st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value, indent, ascii, bom):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert loads("\ufeff" * bom + text) == (json.loads(text), [])


@given(values, st.sampled_from(["", " ", "\n\n  ", "\t"]))
def test_a_comma_before_each_closing_bracket_changes_nothing_but_the_warnings(value, blank):
    def written(v):
        if isinstance(v, list):
            return "[" + "".join(written(x) + "," + blank for x in v) + "]"
        if isinstance(v, dict):
            pairs = (json.dumps(k) + ":" + written(x) + "," + blank for k, x in v.items())
            return "{" + "".join(pairs) + "}"
        return json.dumps(v)

    def slips(v):
        inner = v.values() if isinstance(v, dict) else v if isinstance(v, list) else ()
        return bool(v and isinstance(v, dict | list)) + sum(map(slips, inner))

    found, warnings = loads(written(value))
    assert found == value
    assert len(warnings) == slips(value)


@given(st.text(alphabet='[]{},:" \\\n1aetN-.\ufeff', max_size=40))
def test_whatever_is_read_gives_a_value_or_says_where_it_is_none(text):
    try:
        value, warnings = loads(text)
    except BadJson as e:
        lines = text.removeprefix("\ufeff").split("\n")
        assert 1 <= e.line <= len(lines)
        assert 1 <= e.column <= len(lines[e.line - 1]) + 2
        assert f"(line {e.line}, column {e.column})" in str(e)
    else:
        json.dumps(value, allow_nan=False)
        assert warnings or json.loads(text.removeprefix("\ufeff")) == value


def test_the_warning_names_line_and_column():
    value, warnings = loads('{\n  "a": [1, 2],\n  "b": {"c": "},]",},\n}')
    assert value == {"a": [1, 2], "b": {"c": "},]"}}
    assert warnings == [
        "a comma too many was passed over (line 3, column 19)",
        "a comma too many was passed over (line 3, column 21)",
    ]


def test_braces_too_many_at_the_end_are_passed_over():
    value, warnings = loads('{"labels": {}\n}\n  }\n}\n')
    assert value == {"labels": {}}
    assert warnings == ["a closing brace too many was passed over (line 3, column 3)"]


def test_of_a_key_that_is_there_twice_the_last_value_counts():
    value, warnings = loads('{"plan": 1, "plan": 2, "x": {"plan": 3}}')
    assert value == {"plan": 2, "x": {"plan": 3}}
    assert warnings == ['the key "plan" is there twice; the last one counts']


def test_a_key_that_is_there_twice_is_said_once_also_beside_a_comma_too_many():
    _, warnings = loads('{"a": 1, "a": 2,}')
    assert len(warnings) == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("", 1, 1, "expecting value"),
        (" \n ", 2, 2, "expecting value"),
        ("[1,,2]", 1, 4, "expecting value"),
        ("[,]", 1, 2, "expecting value"),
        ("{,}", 1, 2, "expecting property name"),
        ('{"a":,}', 1, 6, "expecting value"),
        ('{"a": 1]', 1, 8, "expecting ',' delimiter"),
        ("[1]\n ]", 2, 2, "something follows"),
        ("{} x", 1, 4, "something follows"),
        ('["NaN", NaN]', 1, 9, "NaN is no number"),
        ("[1,\n-Infinity]", 2, 1, "-Infinity is no number"),
        ('{"1e999": 1e999}', 1, 11, "1e999 is no number"),
        ("[" + "9" * 5000 + "]", 1, 2, "too many digits"),
        ('["a\tb"]', 1, 4, "invalid control character"),
        ("'a'", 1, 1, "expecting value"),
        ("[1 // no\n]", 1, 4, "expecting ',' delimiter"),
        ("[" * 100_000, 1, 201, "more than 200 brackets"),
        ('{"a":' * 100_000, 1, 1001, "more than 200 brackets"),
        ("[" * 201 + "]" * 201, 1, 201, "more than 200 brackets"),
    ],
)
def test_what_is_no_json_is_refused_where_it_stands(text, line, column, said):
    with pytest.raises(BadJson) as e:
        loads(text)
    assert (e.value.line, e.value.column) == (line, column)
    assert said in str(e.value)


def test_brackets_in_texts_have_no_depth():
    text = json.dumps(["[{" * 1000] * 3)
    assert loads(text) == (json.loads(text), [])
    assert loads("[" * 200 + "]" * 200)[1] == []


@pytest.mark.parametrize(
    "text", ['["' + '\\"' * 100_000, "[1" + ", " * 100_000, "[" + " " * 200_000, '[1,"' * 50_000]
)
def test_a_long_text_that_is_none_is_refused_soon(text):
    start_s = time.perf_counter()
    with pytest.raises(BadJson):
        loads(text)
    assert time.perf_counter() - start_s < 2


def test_numbers_keep_their_kind():
    value, _ = loads("[1, 1.0, -0.0, 1e3]")
    assert [type(v) for v in value] == [int, float, float, float]
    assert math.copysign(1, value[2]) == -1
