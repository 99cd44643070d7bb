"""Columns of a page: every number and word comes back."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.reports.columns import lines, numbers, words

WHOLE = st.integers(-(2**47), 2**47)


@given(st.lists(WHOLE | st.integers(-3, 3), max_size=40))
def test_numbers_come_back(unpack, values) -> None:
    packed = json.loads(json.dumps(numbers(np.array(values, np.int64))))
    assert unpack(packed) == values
    assert packed["n"] == len(values)


@given(st.lists(st.text(max_size=9), max_size=20))
def test_texts_come_back_as_they_are_shown(unpack, texts) -> None:
    assert unpack(lines(texts)) == [shown(t) for t in texts]
    assert unpack(words(texts)) == [shown(t) for t in texts]


def test_words_are_kept_once() -> None:
    assert words(["a", "b", "a", "a"])["lines"]["n"] == 2


def test_a_secret_is_blanked_out(unpack) -> None:
    Secret("hunter2hunter2")
    assert unpack(lines(["x hunter2hunter2.jpg"])) == ["x ***.jpg"]


def test_the_same_values_are_the_same_letters() -> None:
    values = np.arange(1000) ** 2
    assert numbers(values) == numbers(values.copy())
