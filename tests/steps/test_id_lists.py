"""Lists of ids: images with places, pairs, plain ids; what is no list says why and in which line."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import InputError
from camtrail.steps.id_lists import is_image_id, is_sequence_id, joined, parse

REAL_DATA = Path(__file__).parents[3] / "shared" / "data"
SEQUENCES = [
    "i2PZwEzhAWag8tl9xJcQXo",
    "gsOUFN18HjZlzKIhm4C7EX",
    "-_-_-_-_-_-_-_-_-_-_-_",
    "5u6ffmp08ymli80jx0assa",
]
A, B = SEQUENCES[:2]
HEADINGS = {
    4: [["sequence_id", "Sequence", "sequenceKey"], ["image_id", "IMAGE", "id"], ["lat", "Latitude", "lat_deg"],
        ["lon", "longitude", "lng"]],
    8: [["sequence_id_database", "db_sequence"], ["sequence_id_query", "Sequence Query"], ["image_id_database", "image db"],
        ["image_id_query", "query image"], ["lat_db", "latitude-database"], ["lon_db", "lng database"],
        ["lat_query", "lat_q"], ["lon_query", "q_longitude"]],
}  # fmt: skip


def rows_of(listed):
    """Each line's image as the list has it."""
    columns = (listed.sequence, listed.image, listed.lat_deg, listed.lon_deg)
    table = list(zip(*(c.tolist() for c in columns)))
    return [table[i] for i in listed.row.tolist()]


def pairs_of(listed):
    return list(zip(listed.image[listed.database].tolist(), listed.image[listed.query].tolist()))


def one(text, name="ids.txt"):
    return parse(text.encode(), name)


numbers = st.integers(0, 10**20 - 1).map(str) | st.integers(10**15, 10**15 + 5).map(str)
images = st.lists(
    st.tuples(st.sampled_from(SEQUENCES), numbers, st.floats(-90, 90), st.floats(-180, 180)),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[1],
).filter(lambda rows: all(lat or lon for _, _, lat, lon in rows))


@st.composite
def tables(draw, width):
    """(images of each line or both sides of each pair, the bytes of a list that says so)."""
    known = draw(images)
    picked = st.sampled_from(known)
    rows = draw(st.lists(picked if width == 4 else st.tuples(picked, picked), min_size=1, max_size=12))
    flat = [
        [*row] if width == 4 else [v for pair in zip(*((s, i, (a, b)) for s, i, a, b in row)) for v in pair]
        for row in rows
    ]
    cells = [[c for v in row for c in (v if isinstance(v, tuple) else (v,))] for row in flat]
    separator = draw(st.sampled_from(",;\t"))
    comma = "," if separator != "," and draw(st.booleans()) else "."
    lines = [[str(c).replace(".", comma) for c in row] for row in cells]
    if draw(st.booleans()):
        lines.insert(0, [draw(st.sampled_from(names)) for names in HEADINGS[width]])
        order = draw(st.permutations(range(width)))
        further = draw(st.booleans())
        lines = [[row[i] for i in order] + ["more"] * further for row in lines]
    quoted = draw(st.booleans())
    text = [separator.join(f'"{c}"' if quoted else f" {c} " for c in row) for row in lines]
    for _ in range(draw(st.integers(0, 3))):
        text.insert(
            draw(st.integers(0, len(text))), draw(st.sampled_from(["", "  ", "# said, so", separator * 3]))
        )
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    bom = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return rows, bom + end.join(text).encode() + (end.encode() if draw(st.booleans()) else b"")


@given(tables(4))
def test_what_was_written_with_four_columns_is_read(table):
    rows, data = table
    listed = parse(data, "a.csv")
    assert rows_of(listed) == rows
    assert listed.image.tolist() == list(dict.fromkeys(key for _, key, _, _ in rows))
    assert not len(listed.database) and not len(listed.whole) and listed.notes == ()


@given(tables(8))
def test_what_was_written_with_eight_columns_is_read(table):
    rows, data = table
    listed = parse(data, "a.csv")
    assert pairs_of(listed) == [(a[1], b[1]) for a, b in rows]
    assert rows_of(listed) == [a for a, _ in rows] + [b for _, b in rows]
    assert Counter(listed.image.tolist()).most_common(1)[0][1] == 1 and listed.notes == ()


@given(st.lists(st.sampled_from(SEQUENCES) | numbers, min_size=1, max_size=9), st.sampled_from(["", "id\n"]))
def test_plain_ids_are_images_where_they_are_numbers(ids, head):
    listed = one(head + "\n".join(ids))
    assert listed.image.tolist() == list(dict.fromkeys(i for i in ids if i.isdigit()))
    assert listed.whole.tolist() == list(dict.fromkeys(i for i in ids if not i.isdigit()))
    assert listed.sequence.tolist() == [None] * len(listed)
    assert np.isnan(listed.lat_deg).all() and np.isnan(listed.lon_deg).all()


def test_ids_stay_text():
    listed = one(f"{A},00123456789012345678,1,2")
    assert listed.image.tolist() == ["00123456789012345678"]


def test_the_heading_says_what_one_column_holds():
    assert one("sequence_id\n12345\n").whole.tolist() == ["12345"]
    assert one("image_id\n12345\n").image.tolist() == ["12345"]
    with pytest.raises(InputError, match=r"line 2, column 1: .* is no image id"):
        one(f"image_id\n{A}\n")


def test_columns_that_are_missing_are_not_known():
    listed = one(f"image,sequence,note\n1,{A},x\n2,,\n")
    assert listed.sequence.tolist() == [A, None] and np.isnan(listed.lat_deg).all()
    listed = one("image db,image query,lat db,lon db,lat query,lon query\n1,2,3,4,5,6\n1,3,,,7,8\n")
    assert pairs_of(listed) == [("1", "2"), ("1", "3")]
    assert listed.lat_deg.tolist() == [3.0, 5.0, 7.0] and listed.sequence.tolist() == [None] * 3


def test_a_line_may_lack_the_place_and_another_have_it():
    listed = one(f"{A},1,,\n{A},1,5,6\n{A},2,,\n")
    assert listed.lat_deg[0] == 5.0 and math.isnan(listed.lat_deg[1]) and listed.notes == ()


def test_the_first_place_counts_and_the_others_are_told():
    listed = one(f"{A},1,5,6\n{A},1,5,7\n{A},1,5,6\n")
    assert listed.lon_deg.tolist() == [6.0]
    assert [(n.count, n.reason[:24]) for n in listed.notes] == [(1, "lines that give an image")]


def test_zero_zero_is_no_place():
    listed = one(f"{A},1,0,0.0\n{A},2,0,5\n{A},3,1,-0\n")
    assert np.isnan(listed.lat_deg).tolist() == [True, False, False]
    assert [n.count for n in listed.notes] == [1]


def test_empty_columns_behind_the_last_do_not_count():
    assert rows_of(one(f"{A},1,5,6,,\n{A},2,5,6\n")) == [(A, "1", 5.0, 6.0), (A, "2", 5.0, 6.0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no line with an id"),
        ("\n# nothing\n,,\n", "has no line with an id"),
        ("sequence,image,lat,lon\n", "below its headings"),
        (f"{A},1\n", f"line 1: has 2 columns: {A}, 1"),
        (f"\n#\n{A},1,5\n", "line 3: has 3 columns"),
        (f"{A},1,5,6,7\n", "line 1: has 5 columns"),
        (f"{A},1,5,6\n{A},2,5\n", "line 2: has 3 columns, not 4"),
        (f"{A},1,5,6\n{A},2,5,6,7\n", "line 2: has 5 columns, not 4"),
        ("image,lat,lon\n1,2\n", "line 2: has 2 columns, not 3"),
        ("lat,lon,name\n5,6,x\n", "line 1: names no column of images: lat, lon, name"),
        ("image,lat\n1,5\n", "line 1: lacks a latitude or a longitude"),
        ("image db,image query,lat db,lon db,lon q\n1,2,3,4,5\n", "line 1: lacks a latitude or a longitude"),
        (f"{A},{B},5,6\n", f"line 1, column 2: '{B}' is no image id"),
        (f"{A},1.5E+15,5,6\n", "line 1, column 2: '1.5E.15' is no image id.*spreadsheet"),
        (f"{A},{'1' * 21},5,6\n", "line 1, column 2: .* is no image id"),
        (f"{A},,5,6\n", "line 1, column 2: '' is no image id"),
        (f"{A},٣,5,6\n", "line 1, column 2"),
        (f"{A},1,95,6\n", "line 1, column 3: '95' is no latitude"),
        (f"{A},1,5,180.1\n", "line 1, column 4: '180.1' is no longitude"),
        (f"{A},1,nan,6\n", "line 1, column 3: 'nan' is no latitude"),
        (f"{A},1,5,east\n", "line 1, column 4: 'east' is no longitude"),
        (f"{A},1,5,\n", "line 1, column 4: '' is half a place"),
        (f"{A},1,5,6\n{B},1,5,6\n", f"line 2: image 1 is of sequence {B} here and of {A} in line 1"),
        (f'{A},"1,5,6\n', "line 1: is no CSV"),
    ],
)  # fmt: skip
def test_what_is_no_list_says_where_and_what_is_expected(text, said):
    with pytest.raises(InputError, match=said) as e:
        one(text)
    assert e.value.path == "ids.txt" and e.value.hint and e.value.exit_code == 4
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["../x", "a/b", "C:", "C:abc", "..", ".", "abc\\def", "abc\0def", "NUL", "com1", "~root",
                                  "/etc/passwd", "a" * 65, "caf\u00e9s", "abcde\u202e", "x.jpg", "abcd ef"])  # fmt: skip
def test_names_that_would_leave_the_folder_are_refused(name):
    with pytest.raises(InputError, match=r"line 2, column 1: .* is no id"):
        one(f"{A}\n{name}\n")
    with pytest.raises(InputError, match=r"line 2, column 1: .* is no sequence id") as e:
        one(f"{A},1,2,3\n{name},2,5,6\n")
    assert str(e.value).isprintable()
    with pytest.raises(InputError, match=r"line 2, column 2: .* is no image id"):
        one(f"{A},1,2,3\n{A},{name},5,6\n")
    assert not is_sequence_id(name) and not is_image_id(name)


def test_what_is_no_text_is_refused():
    with pytest.raises(InputError, match="is no UTF-8 text"):
        parse(b"\xff\xd8\xff\xe0\0\x10JFIF", "a.jpg")


def test_ids_may_end_no_line():
    assert not is_image_id("1\n") and not is_sequence_id(A + "\n")


def test_lists_are_joined():
    first = one(f"{A},1,,\n{A},2,5,6\n{A},1,,\n", "a")
    second = one(f"1\n2\n3\n{B}\n", "b")
    third = one(f"{A},{B},1,4,7,8,9,9\n{A},{B},1,3,7,8,9,8\n{A},{B},1,4,7,8,9,9\n", "c")
    both = joined([first, second, third, third])
    assert both.image.tolist() == ["1", "2", "3", "4"] and both.sequence.tolist() == [A, A, B, B]
    assert both.lat_deg.tolist() == [7.0, 5.0, 9.0, 9.0] and both.whole.tolist() == [B]
    assert both.image[both.row].tolist() == ["1", "2", "1", "3", "4", "4"]
    assert pairs_of(both) == [("1", "4"), ("1", "3"), ("1", "4")]


def test_lists_that_contradict_each_other_say_which():
    with pytest.raises(InputError, match=f"^b: image 1 is of sequence {B} here and of {A} in a") as e:
        joined([one(f"{A},1,5,6", "a"), one(f"{B},1,5,6", "b")])
    assert e.value.path == "b"


@given(tables(4))
def test_joining_a_list_with_itself_changes_nothing(table):
    listed = parse(table[1], "a.csv")
    for lists in ([listed], [listed, listed]):
        again = joined(lists)
        assert rows_of(again) == rows_of(listed) and again.image.tolist() == listed.image.tolist()


def test_of_no_lists_nothing_is_joined():
    assert len(joined([])) == 0 == len(joined([]).database)


@pytest.mark.data
def test_the_published_lists(tmp_path):
    folder = tmp_path / "lists"
    shutil.copytree(REAL_DATA / "vpr" / "sequences_ids", folder)
    lists = [parse(f.read_bytes(), str(f)) for f in sorted(folder.rglob("*.txt"))]
    assert len(lists) == 24
    paired = [one for one in lists if len(one.database)]
    assert [sum(len(one.row) for one in some) for some in (paired, lists)] == [4280, 8560]
    for some in (lists, paired, [one for one in lists if not len(one.database)]):
        all_of_them = joined(some)
        assert len(all_of_them) == 3844 and len(all_of_them.row) == 4280 and all_of_them.notes == ()
        assert len(set(all_of_them.sequence.tolist())) == 16
    assert len(joined(lists).database) == 2140
    for one in paired:  # the database's images are unique, and so is each pair
        assert len(set(one.database.tolist())) == len(one.database)
    assert sum(len(set(one.query.tolist())) for one in paired) == 1704
