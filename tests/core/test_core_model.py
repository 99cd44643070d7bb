"""Columns and the items made of them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.model import Collection, Item, Photos, Places, Ranks, distinct, texts

NAN = float("nan")
CELLS = {
    "Texts": st.none() | st.text(max_size=5),
    "Ints": st.integers(-(2**63), 2**63 - 1),
    "Floats": st.floats() | st.none(),
}


def rows_of(cls):
    return st.lists(st.tuples(*(CELLS[str(f.type)] for f in fields(cls))), max_size=6)


def same(a, b):
    return a == b or ((a is None or a != a) and b != b)


@pytest.mark.parametrize("cls", [Photos, Places, Ranks])
@given(data=st.data())
def test_rows_become_columns_of_their_types(cls, data):
    rows = data.draw(rows_of(cls))
    table = cls.of_rows(rows)
    assert len(table) == len(rows)
    kinds = {"Texts": np.object_, "Ints": np.int64, "Floats": np.float64}
    for i, f in enumerate(fields(cls)):
        column = getattr(table, f.name)
        assert column.dtype == kinds[str(f.type)] and column.shape == (len(rows),)
        assert all(same(row[i], value) for row, value in zip(rows, column.tolist()))


@given(rows_of(Photos), st.data())
def test_taking_rows(rows, data):
    photos = Photos.of_rows(rows)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    by_mask, by_index = photos.take(mask), photos.take(np.flatnonzero(mask)[::-1])
    assert by_mask.path.tolist() == [r[0] for r, m in zip(rows, mask) if m]
    assert by_index.size_bytes.tolist() == [r[1] for r, m in zip(rows, mask) if m][::-1]
    assert len(by_mask) == len(by_index) == mask.sum()


@given(st.lists(st.floats() | st.sampled_from([0.0, -0.0, 1.0, NAN, math.inf])))
def test_distinct_agrees_with_numpy(values):
    values = np.array(values, float)
    cells, back = distinct(values)
    expected, inverse = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(cells, expected)
    np.testing.assert_array_equal(back, inverse)
    assert back.dtype == np.int64


@given(st.lists(st.none() | st.text()))
def test_texts_keep_every_value(values):
    out = texts(values)
    assert out.dtype == np.object_ and out.shape == (len(values),) and out.tolist() == values


@given(st.floats(0, 1e6) | st.just(NAN), st.floats(0, 1e6) | st.just(NAN))
def test_seconds_to_the_nearer_fix(before, after):
    known = [s for s in (before, after) if s == s]
    blank = dict.fromkeys(Item._fields)
    out = Item(**(blank | {"fix_before_s": before, "fix_after_s": after})).seconds_to_fix
    assert out == min(known) if known else out != out


def collection(base, photos, roots=None, duplicate_of=None, outcomes=None):
    """Photos (path, number of root) of a base, with nothing else known."""
    roots = roots or (base,)
    n = len(photos)
    blank = {"Texts": None, "Ints": 0, "Floats": NAN}
    rows = [(path, *(blank[str(f.type)] for f in fields(Photos)[1:])) for path, _ in photos]
    places = [[blank[str(f.type)] for f in fields(Places)] for _ in photos]
    for row, outcome in zip(places, outcomes or ["located"] * n):
        row[-2:] = outcome, f"why {outcome}"
    places = Places.of_rows([tuple(p) for p in places])
    ranks = Ranks.none(places)
    if duplicate_of:
        why = texts([d and f"too near {d}" for d in duplicate_of])
        ranks = dataclasses.replace(ranks, duplicate_of=texts(duplicate_of), reason=why)
    number = np.array([r for _, r in photos], np.int64)
    return Collection(base, tuple(roots), number, Photos.of_rows(rows), places, ranks)


def named(*args, **kw):
    return [(i.path, i.root, i.file) for i in collection(*args, **kw).items()]


def test_names_below_the_base():
    assert named("/b", [("x.jpg", 0), ("a/y.jpg", 0)]) == [
        ("x.jpg", "/b", "/b/x.jpg"), ("a/y.jpg", "/b", "/b/a/y.jpg")
    ]  # fmt: skip


def test_names_below_nested_roots():
    photos = [("a/x.jpg", 0), ("a/c/y.jpg", 1), ("a/c/d/z.jpg", 1)]
    assert named("/b", photos, ("/b/a", "/b/a/c")) == [
        ("x.jpg", "/b/a", "/b/a/x.jpg"),
        ("y.jpg", "/b/a/c", "/b/a/c/y.jpg"),
        ("d/z.jpg", "/b/a/c", "/b/a/c/d/z.jpg"),
    ]


def test_the_top_of_the_file_system_as_base():
    assert named("/", [("x.jpg", 0), ("a/y.jpg", 1)], ("/", "/a")) == [
        ("x.jpg", "/", "/x.jpg"), ("y.jpg", "/a", "/a/y.jpg")
    ]  # fmt: skip
    assert named("C:/", [("a/y.jpg", 0)], ("C:/a",)) == [("y.jpg", "C:/a", "C:/a/y.jpg")]


component = st.text(
    st.characters(exclude_characters="/\0") | st.sampled_from("\\ \n.\udcff"), min_size=1
).filter(lambda name: name not in (".", ".."))


@given(
    st.lists(component, max_size=2),
    st.lists(component, max_size=2),
    st.lists(component, min_size=1, max_size=3),
)
def test_names_with_any_character(base, root, path):
    """A base, a root in it, a photo in that; `\\` is a character like any other."""
    top = "/" + "/".join(base)
    whole = "/".join([*base, *root])
    inner = "/".join([*root, *path])
    file = "/" + "/".join([*base, *root, *path])
    assert named(top, [(inner, 0)], ("/" + whole,)) == [("/".join(path), "/" + whole, file)]


def test_a_duplicate_is_one_whatever_its_place_came_out_as():
    outcomes = ["located", "estimated", "no_time"]
    items = list(
        collection(
            "/b", [("a", 0), ("b", 0), ("c", 0)], duplicate_of=[None, "a", None], outcomes=outcomes
        ).items()
    )
    assert [i.outcome for i in items] == ["located", "duplicate", "no_time"]
    assert [i.reason for i in items] == ["why located", "too near a", "why no_time"]
    assert [i.duplicate_of for i in items] == [None, "a", None]


def test_no_photos():
    empty = collection("/b", [])
    assert len(empty) == 0 and list(empty.items()) == []


def test_items_are_plain_python():
    (item,) = collection("/b", [("a", 0)]).items()
    assert {type(v) for v in item} <= {str, int, float, type(None)}
    assert item.sequence_index == -1 and item.sequence is None
