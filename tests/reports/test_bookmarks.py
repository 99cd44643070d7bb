"""Bookmarks as JSON, CSV and XML: what goes in comes out again, in one order, whatever labels hold."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.reports.bookmarks import Bookmark, Bookmarks, csv_of, json_of, kind_of, xml_of

HASH = "5f72bf2d11034854c0ff34ff54b8b0b74b138e50"
AT = "2016-10-09T05:02:42.081-0000"


def mark(time=AT, camera="C2_Hi", labels=("_ml_human",), **more):
    known = {
        "time_s": 1475989362.081, "camera_id": "u:c2:1", "event_id": "e1", "earliest": time, "latest": time,
        "source_hash": None, "source_name": None,
    }  # fmt: skip
    return Bookmark(time=time, camera=camera, labels=tuple(sorted(labels)), **{**known, **more})


def job(*marks, **more):
    return Bookmarks("J", "2016-10-09T05:02:37.000", "2016-10-09T06:22:36.993000", marks, **more)


def cells(found, **options):
    text = b"".join(csv_of(found, **options)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


texts = st.text(min_size=1, max_size=12)
ids = st.none() | texts
marks = st.builds(
    mark,
    time=st.sampled_from([AT, "2016-10-09T05:02:42.082-0000", "2016-10-09T05:02:43.000-0000"]),
    camera=texts,
    labels=st.sets(texts, max_size=4),
    camera_id=ids,
    event_id=ids,
    source_hash=st.none() | st.just(HASH),
    source_name=ids,
).map(lambda m: replace(m, time_s=1475989320 + float(m.time[17:23])))
several = st.lists(marks, max_size=8, unique_by=lambda m: (m.time, m.camera)).map(lambda found: job(*found))


class TestJson:
    @given(several)
    def test_no_label_is_lost_and_none_changes_its_camera(self, found):
        entries = json.loads(json_of(found))["labels"]
        back = {
            (time, name): part["labels"]
            for time, entry in entries.items()
            for name, part in entry.get("by_camera", {entry["camera_name"]: entry}).items()
        }
        assert back == {(m.time, m.camera): list(m.labels) for m in found.marks}

    @given(several, st.randoms())
    def test_the_order_of_what_is_given_does_not_matter(self, found, chance: random.Random):
        other = list(found.marks)
        chance.shuffle(other)
        shuffled = replace(found, marks=other)
        for schema in ("full", "classic", "head"):
            assert json_of(found, schema) == json_of(shuffled, schema)
        assert list(csv_of(found)) == list(csv_of(shuffled))
        assert list(xml_of(found)) == list(xml_of(shuffled))

    @given(several)
    def test_entries_stand_by_time(self, found):
        times = list(json.loads(json_of(found))["labels"])
        assert times == sorted({m.time for m in found.marks})

    def test_the_documented_form(self):
        assert json_of(job(mark(labels=["b", "a"])), "classic").decode() == (
            '{\n  "job_id": "J",\n  "earliest_date": "2016-10-09T05:02:37.000",\n'
            '  "latest_date": "2016-10-09T06:22:36.993000",\n  "labels": {\n'
            f'    "{AT}": {{\n      "cameras": {{\n        "C2_Hi": {{\n          "name": "C2_Hi",\n'
            '          "camera_id": "u:c2:1"\n        }\n      },\n      "labels": [\n        "a",\n        "b"\n'
            "      ]\n    }\n  }\n}\n"
        )

    def test_the_form_of_the_older_program(self):
        entry = json.loads(json_of(job(mark()), "head"))["labels"][AT]
        assert entry == {"camera": {"name": "C2_Hi"}, "labels": ["_ml_human"]}

    def test_the_full_form_has_both_and_all_that_is_known(self):
        known = mark(
            labels=["_ml_human", HASH], source_hash=HASH, latest="2016-10-09T05:02:50.000-0000", scores={"_ml_human": 0.9}
        )  # fmt: skip
        document = json.loads(json_of(job(known)))
        assert document.pop("labels")[AT] == {
            "camera": {"name": "C2_Hi", "camera_id": "u:c2:1"},
            "cameras": {"C2_Hi": {"name": "C2_Hi", "camera_id": "u:c2:1"}},
            "camera_id": "u:c2:1",
            "camera_name": "C2_Hi",
            "earliest_date": AT,
            "latest_date": "2016-10-09T05:02:50.000-0000",
            "event_id": "e1",
            "source": {"hash": HASH, "filename": None},
            "labels": [HASH, "_ml_human"],
            "scores": {"_ml_human": 0.9},
        }
        assert document == {
            "job_id": "J", "earliest_date": "2016-10-09T05:02:37.000", "latest_date": "2016-10-09T06:22:36.993000",
            "complete": True,
        }  # fmt: skip

    def test_two_cameras_of_one_moment_share_an_entry_and_stay_apart_in_it(self):
        both = job(
            mark(camera="rear", labels=["a", "b"], event_id="e2", camera_id="r", scores={"a": 0.2, "b": 0.3}),
            mark(camera="front", labels=["a"], camera_id="f", scores={"a": 0.5}),
        )
        entry = json.loads(json_of(both))["labels"][AT]
        assert (entry["camera"]["name"], entry["camera_id"], entry["event_id"]) == ("front", "f", "e1")
        assert entry["labels"] == ["a", "b"]
        assert entry["scores"] == {"a": 0.5, "b": 0.3}
        assert {name: c["camera_id"] for name, c in entry["cameras"].items()} == {"front": "f", "rear": "r"}
        split = {n: (p["event_id"], p["labels"], p["scores"]) for n, p in entry["by_camera"].items()}
        assert split == {"front": ("e1", ["a"], {"a": 0.5}), "rear": ("e2", ["a", "b"], {"a": 0.2, "b": 0.3})}

    @pytest.mark.parametrize("schema", ["classic", "head", "full"])
    def test_what_is_incomplete_says_so_in_every_form(self, schema):
        assert json.loads(json_of(job(mark(), is_complete=False), schema))["complete"] is False

    def test_it_is_utf_8_and_half_a_character_survives(self):
        data = json_of(job(mark(camera="Kamera 冫", labels=["\ud800"])))
        assert "Kamera 冫".encode() in data
        assert json.loads(data)["labels"][AT]["labels"] == ["\ud800"]


class TestCsv:
    @given(several)
    def test_there_is_a_row_for_each_label(self, found):
        rows = cells(found)
        assert len(rows) == sum(len(m.labels) for m in found.marks)
        back = {(r["timestamp"], r["camera_name"], r["label"]) for r in rows}
        assert back == {(m.time, m.camera, label) for m in found.marks for label in m.labels}

    def test_a_row(self):
        known = mark(labels=["_ml_human"], source_hash=HASH, scores={"_ml_human": 0.25})
        assert b"".join(csv_of(job(known))).decode() == (
            "job_id,timestamp,camera_name,camera_id,event_id,source_hash,source_filename,label,label_kind,probability\n"
            f"J,{AT},C2_Hi,u:c2:1,e1,{HASH},,_ml_human,ml,0.25\n"
        )

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x"])
    def test_formulas_are_texts_where_that_is_asked_for(self, text):
        found = job(mark(camera=text, labels=[text]))
        assert cells(found)[0]["label"] == text
        safe = cells(found, is_safe=True)[0]
        assert (safe["label"], safe["camera_name"], safe["event_id"]) == (f"'{text}", f"'{text}", "e1")

    def test_half_a_character_does_not_stop_it(self):
        assert cells(job(mark(labels=["\ud800"])))[0]["label"] == "\\ud800"
        assert cells(job(mark(camera="\ud800")))[0]["camera_name"] == "\\ud800"


_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


class TestXml:
    @given(several)
    def test_any_reader_has_it_back_less_what_xml_cannot_say(self, found):
        root = ET.fromstring(b"".join(xml_of(found)))
        back = [
            (b.get("timestamp"), b.get("camera"), b.get("camera_id"), b.get("event_id"), [x.text or "" for x in b.iter("label")])
            for b in root
        ]  # fmt: skip

        def legal(text):
            return None if text is None else _ILLEGAL.sub("", text)

        def key(row):
            return [str(part) for part in row]

        want = [
            (m.time, legal(m.camera), legal(m.camera_id), legal(m.event_id), [legal(x) for x in m.labels])
            for m in found.marks
        ]
        assert sorted(back, key=key) == sorted(want, key=key)
        assert root.get("count") == str(len(found.marks))

    def test_a_document(self):
        known = mark(
            camera='a"b',
            labels=["x<冫>&\x00"],
            source_hash=HASH,
            source_name="a.mp4",
            scores={"x<冫>&\x00": 0.5},
        )
        assert b"".join(xml_of(job(known, is_complete=False))).decode() == (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<bookmarks job_id="J" earliest_date="2016-10-09T05:02:37.000" latest_date="2016-10-09T06:22:36.993000" '
            'count="1" complete="false">\n'
            f'  <bookmark timestamp="{AT}" camera="a&quot;b" camera_id="u:c2:1" event_id="e1">'
            f'<source hash="{HASH}" filename="a.mp4"/>'
            '<label kind="custom" probability="0.5">x&lt;冫&gt;&amp;</label></bookmark>\n</bookmarks>\n'
        )


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("_ml_human", "ml"), ("_color_red", "color"), ("_motion_left", "motion"), (HASH, "source"),
        (HASH.upper(), "source"), (HASH[1:], "custom"), ("dog", "custom"), ("ml_human", "custom"), ("", "custom"),
    ],
)  # fmt: skip
def test_a_label_says_what_it_speaks_of(label, kind):
    assert kind_of(label) == kind
