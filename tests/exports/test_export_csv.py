from __future__ import annotations

import csv
import io
import os

import pytest

from camtrail.exports.csv import write


def rows(items, several_roots=False) -> list[dict[str, str]]:
    text = b"".join(write(items, several_roots)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_columns(make) -> None:
    head = b"".join(write([], False))
    assert head == (
        b"path,time,local_time,time_source,lat_deg,lon_deg,alt_m,position_source,heading_deg,heading_source,heading_ref,"
        b"sequence,sequence_index,duplicate_of,outcome,reason,seconds_to_fix,fix_before_s,fix_after_s,error_m,"
        b"make,model\r\n"
    )
    assert b"".join(write([], True)).startswith(b"path,root,time,")


def test_values(make) -> None:
    (row,) = rows([make(alt_m=-3.25, lon_deg=-8.5, fix_before_s=1.0, fix_after_s=4.0)], True)
    assert row == {
        "path": "day 1/a.jpg", "root": "/p", "time": "2023-11-14T22:13:20Z", "local_time": "2023-11-14T23:13:20",
        "time_source": "gps", "lat_deg": "47.1234567", "lon_deg": "-8.5", "alt_m": "-3.25",
        "position_source": "exif", "heading_deg": "90", "heading_source": "exif", "heading_ref": "T", "sequence": "seq-1",
        "sequence_index": "0", "duplicate_of": "", "outcome": "located", "reason": "", "seconds_to_fix": "1",
        "fix_before_s": "1", "fix_after_s": "4", "error_m": "", "make": "Make", "model": "Model",
    }  # fmt: skip


def test_absent_is_empty(make) -> None:
    (row,) = rows([make.bare(path="x.jpg")])
    assert {k for k, v in row.items() if v} == {"path", "outcome"}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1.jpg", "@SUM(A1)", "＝1", '=HYPERLINK("http://x")'])
def test_formulas_are_quoted(make, name: str) -> None:
    (row,) = rows([make(path=name, make=name, model=f" {name}")])
    assert row["path"] == row["make"] == "'" + name
    assert row["model"] == f" {name}"


def test_tab_and_line_break_start_no_cell(make) -> None:
    (row,) = rows([make(path="\t=1", duplicate_of="\n=1", make="\r=1")])
    assert (row["path"], row["duplicate_of"], row["make"]) == ("'\t=1", "'\n=1", "\\x0d=1")


def test_different_files_have_different_paths(make) -> None:
    names = ["=1", "'=1", "''=1", "a\nb", "a\\x0ab", "a\rb", "'a", "\t=1", "\\x09=1"]
    read = rows([make(path=name, root="/" + name, duplicate_of=name) for name in names], True)
    assert len({row["path"] for row in read}) == len(names)
    assert len({row["root"] for row in read}) == len(names)
    assert [row["duplicate_of"] for row in read] == [row["path"] for row in read]


def test_a_name_that_is_not_utf8(make) -> None:
    (row,) = rows([make(path=os.fsdecode(b"caf\xe9\n.jpg"))])
    assert row["path"] == "caf\\xe9\n.jpg"


def test_magnetic_north_is_told(make) -> None:
    assert [row["heading_ref"] for row in rows([make(heading_ref="M"), make.bare()])] == ["M", ""]


def test_quotes_commas_and_lines(make) -> None:
    data = b"".join(write([make(path='a"b,c\nd.jpg', model="x\ny")], False)).decode()
    assert data.split("\r\n")[1].startswith('"a""b,c\nd.jpg",')
    assert data.count("\r\n") == 2 and data.count("\n") == 3
    assert data.endswith(",x\\x0ay\r\n")
