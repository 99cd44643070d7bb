from __future__ import annotations

import math
import re
import time
from itertools import pairwise
from typing import get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.core.model import OUTCOMES, Item
from camtrail.core.names import shown
from camtrail.reports.collection import report

NAN = math.nan
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "javascript:alert(1)",
    "</table></svg></style><!--",
    "{{7*7}}${7*7}<%= 7 %>",
    "\x1b[31mred\x07\n",
    "\u202egpj.exe",
    "caf\udce9",
]
TEXTS = [
    n for n, t in Item.__annotations__.items() if "str" in str(t) and n not in ("outcome", "root", "file")
]


SCRIPTS = [("application/json", "report"), ("application/json", "world"), (None, None), (None, None)]


def every_text(value) -> str:
    """All texts in JSON."""
    if isinstance(value, dict):
        return "".join(map(every_text, value.values()))
    return (
        value
        if isinstance(value, str)
        else "".join(map(every_text, value))
        if isinstance(value, list)
        else ""
    )


def ride(make, places, name="r", t0=1.7e9, **changes):
    return [
        make(path=f"{name}/{i}.jpg", lat_deg=a, lon_deg=b, time_s=t0 + i, order_s=t0 + i, sequence=name,
             sequence_index=i, **changes)
        for i, (a, b) in enumerate(places)
    ]  # fmt: skip


def lost(make, outcome="no_place", /, **changes):
    nothing = {"lat_deg": NAN, "lon_deg": NAN, "heading_deg": NAN, "sequence": None, "sequence_index": -1}
    return make(**{**nothing, "outcome": outcome, **changes})


def of(items, title="Report", notes=(), page_path="/p/report.html", **more):
    return report(title, items, list(notes), page_path=page_path, **more)


def test_every_photo_is_named_and_the_counts_are_right(make, read) -> None:
    items = ride(make, [(47.0, 8.0), (47.001, 8.0), (47.002, 8.0)])
    items += [lost(make, o, path=f"{o}.jpg", reason=f"why {o}") for o in OUTCOMES[1:]]
    seen = read(of(items, notes=["A note."]))
    for item in items:
        assert item.path in seen.text
    for outcome in OUTCOMES[1:]:
        assert seen.text.count(f"why {outcome}") == 2, "in the problems and in the table of all"
    words = iter(t for tag, t in seen.texts if tag in ("dt", "dd"))
    facts = dict(zip(words, words))
    assert facts["Photos"] == "11" and facts["Located"] == "3 (27 %)" and facts["Sequences"] == "1"
    assert facts["Covered"] == "0.2 km"
    assert facts["First photo"] == "2023-11-14 22:13:20 UTC"
    assert facts["Cameras"] == "Make Model (11)"
    assert "8 photos that are not located, and what to do" in seen.text
    assert "A note." in seen.text
    photos = seen.data["report"]["photos"]
    assert photos["names"] == sorted(photos["names"]) and set(photos["names"]) == {i.path for i in items}
    assert [photos["names"][row] for row in photos["order"]] == ["r/0.jpg", "r/1.jpg", "r/2.jpg"]
    outcomes = seen.data["report"]["outcomes"]
    assert outcomes == [{"name": o.replace("_", " "), "photos": 3 if o == "located" else 1} for o in OUTCOMES]
    found = dict(zip(photos["names"], (outcomes[k]["name"] for k in photos["outcome"])))
    assert found == {i.path: i.outcome.replace("_", " ") for i in items}


def rows(seen) -> dict[str, list[str]]:
    """Rows of the tables that say what to do, by the photo's name."""
    texts = [t for tag, t in seen.texts if tag in ("a", "th", "td", "code", "caption")]
    return {t: texts[i + 1 : i + 4] for i, t in reversed(list(enumerate(texts))) if t.endswith(".jpg")}


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("the picture has no end, the file is cut off: copy it again", "Copy it again from the card"),
        ("its own GPS time is 2 h old (a stale fix)", "its place may be that of another time"),
        ("its clock is 34 s slow against GPS time", "Check its time"),
        ("its position has no N/S or E/W letter", "Check its place and time before you rely on them"),
    ],
)
def test_what_is_odd_about_a_located_photo_is_told(make, read, reason, advice) -> None:
    seen = read(of([make(path="odd.jpg", reason=reason), make(path="plain.jpg")]))
    assert rows(seen)["odd.jpg"][0] == reason and advice in "".join(rows(seen)["odd.jpg"][1:])
    assert "1 photo is located, with something odd about it" in seen.text
    assert "Every photo has its place and time." in seen.text
    photos = seen.data["report"]["photos"]
    assert photos["why"] == [reason, ""] and photos["advice"][1] == "" and advice in photos["advice"][0]
    assert "#warnings" in [a["href"] for a in seen.all("a")]


def test_where_nothing_is_odd_there_are_no_warnings(make, read) -> None:
    seen = read(of([make(path="a.jpg"), lost(make, path="b.jpg", reason="nothing")]))
    assert "Warnings" not in seen.text and "#warnings" not in [a["href"] for a in seen.all("a")]


def test_many_warnings_end_somewhere_and_say_so(make, read) -> None:
    seen = read(of([make(path=f"{i}.jpg", reason="a stale fix") for i in range(300)]))
    assert "300 photos are located, with something odd about them; the first 200" in seen.text


@pytest.mark.parametrize(
    ("changes", "why", "advice"),
    [
        ({"outcome": "no_time", "reason": "has a place and no capture time"}, None, "camtrail dates"),
        ({"outcome": "no_place", "reason": "the EXIF's GPS directory is cut off; its EXIF has no position"}, None, "Copy it again"),
        ({"outcome": "no_place", "reason": "its EXIF has no position"}, None, "Give a track"),
        ({"outcome": "unsupported", "message": "is a video", "hint": "it was left alone", "reason": "is a video; it was left alone"},
         "is a video", "it was left alone"),
    ],
)  # fmt: skip
def test_reasons_and_advice_fit_each_other(make, read, changes, why, advice) -> None:
    seen = read(of([make(path="a.jpg", **changes)]))
    photos = seen.data["report"]["photos"]
    assert photos["why"] == [why or changes["reason"]]
    assert advice in photos["advice"][0]


def test_nothing(read) -> None:
    seen = read(of([]))
    assert "No photo has a place." in seen.text and "There are no photos." in seen.text
    assert seen.data["report"]["photos"]["lat"] == []


def test_all_but_one_are_not_all(make, read) -> None:
    seen = read(of([make(path=f"{i}.jpg") for i in range(999)] + [lost(make)]))
    assert "999 (99 %)" in seen.text


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_becomes_markup(make, read, attack: str) -> None:
    def everything(text: str):
        items = []
        for field in TEXTS:
            name = f"{field}.jpg"
            items.append(make(**{"path": name, field: text, "file": "/p/" + text, "sequence_index": 0}))
            items.append(lost(make, "no_place", **{"path": name, field: text, "file": "/p/" + text}))
        items.append(make(path="a", root="/r/" + text, file=f"/r/{text}/a"))
        pictures = {item.file: b"\xff\xd8\xff" for item in items}
        return items, read(of(items, text, [text], thumbnails=pictures))

    _, plain = everything("x")
    items, seen = everything(attack)
    assert {(tag, *sorted(a)) for tag, a in seen.tags} == {(tag, *sorted(a)) for tag, a in plain.tags}
    assert [(a.get("type"), a.get("id")) for a in seen.all("script")] == SCRIPTS
    assert set(seen.data["report"]["photos"]["names"]) == {shown(item.path) for item in items}
    assert seen.inline("script")[2:] == plain.inline("script")[2:], "the scripts that run are the same"
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", every_text(seen.data["report"]))
    for attributes in seen.all("a"):
        assert re.fullmatch(r"\./[A-Za-z0-9_.~%/-]+|#[a-z]+", attributes["href"])
    for attributes in seen.all("img"):
        assert attributes["src"].startswith("data:image/jpeg;base64,")
        assert attributes["alt"].startswith("Thumbnail of ")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", seen.text)
    assert all(shown(item.path) in seen.text for item in items)


def test_links_are_relative_to_the_page(make, read) -> None:
    item = make(path="x/a b.jpg")
    assert "./photos/x/a%20b.jpg" not in [a["href"] for a in read(of([item])).all("a")]
    links = [a["href"] for a in read(of([item], page_path="/p/out/report.html")).all("a")]
    assert "./../x/a%20b.jpg" in links
    assert all(a["href"].startswith("#") for a in read(of([item], page_path=None)).all("a"))


def test_thumbnails(make, read) -> None:
    items = [make(path="a.jpg"), make(path="b.jpg", orientation=6.0), make(path="c.jpg")]
    seen = read(of(items, thumbnails={"/p/a.jpg": b"\xff\xd8\xff\xd9", "/p/b.jpg": b"\xff\xd8\xff\xd9"}))
    assert [a["class"] for a in seen.all("img")] == ["thumb", "thumb o6"]
    assert [a["alt"] for a in seen.all("img")] == ["Thumbnail of a.jpg", "Thumbnail of b.jpg"]
    assert read(of(items)).all("img") == []


def test_same_items_same_bytes(make) -> None:
    items = ride(make, [(1, 2), (3, 4)]) + ride(make, [(1, 2), (3, 4)], "s", 1.8e9)
    assert b"".join(of(items)) == b"".join(of(items))


def test_serial_numbers_stay_private(make, read) -> None:
    seen = read(of([make(path="a.jpg", serial="SECRET1"), make(path="b.jpg", serial="SECRET2")]))
    assert "SECRET" not in seen.text
    assert "Make Model (2 in 2 bodies)" in seen.text


def test_a_clock_without_zone_is_named_one(make, read) -> None:
    seen = read(of([lost(make, "no_time", path="a.jpg", time_s=NAN, order_s=NAN, local_s=1.7e9)]))
    assert "2023-11-14 22:13:20 (camera's clock)" in seen.text


def test_several_roots_are_told_apart(make, read) -> None:
    seen = read(of([make(path="a.jpg", root="/one"), make(path="a.jpg", root="/two")]))
    assert "/one" in seen.text and "/two" in seen.text


def test_a_magnetic_heading_is_called_one(make, read) -> None:
    def headings(**changes):
        seen = read(of([make(heading_deg=90.0, **changes)]))
        return [text for tag, text in seen.texts if tag == "td" and "°" in text]

    assert headings(heading_ref="M") == ["90° magnetic"]
    assert headings(heading_ref="T") == headings(heading_ref=None) == ["90°"]


def test_headings_of_the_page_do_not_skip_a_level(make, read) -> None:
    seen = read(of([make()], notes=["n"]))
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in seen.all("a") if a["href"].startswith("#")}
    assert targets <= set(ids)
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in seen.all("svg"))


def test_ten_thousand_photos_are_a_page_of_a_few_megabytes(make) -> None:
    items = ride(make, [(47 + i / 1e5, 8 + i / 1e5) for i in range(10_000)])
    start = time.process_time()
    document = b"".join(of(items))
    assert len(document) < 2e6
    assert time.process_time() - start < 4, "measured: 0.3 s"
    assert document.count(b'<tr><th scope="row"') == 501, "500 photos and a sequence"


def test_tables_end_somewhere_and_say_so(make, read) -> None:
    seen = read(of([lost(make, o, path=f"{o}/{i}.jpg") for i in range(300) for o in ("no_place", "in_gap")]))
    assert "600 photos that are not located, and what to do; at most 200 of each outcome" in seen.text
    assert "The first 500 of 600 photos by name; the list beside the map has all" in seen.text
    assert len(seen.all("tr")) == (1 + 2) + (1 + 400) + (1 + 500)


def test_the_page_says_when_it_needs_the_photos(make, read) -> None:
    items = [make(path="a.jpg"), make(path="b.jpg")]
    small = {i.file: b"\xff\xd8\xff\xd9" for i in items}
    needs = "this page needs them where they are now"
    assert needs in read(of(items)).text
    assert needs in read(of(items, thumbnails={items[0].file: small[items[0].file]})).text
    assert needs not in read(of(items, thumbnails=small)).text
    assert needs not in read(of(items, page_path=None)).text
    assert needs not in read(of([*items, lost(make, "unreadable", path="c.jpg")], thumbnails=small)).text


def test_without_a_script_it_says_what_is_there(make, read) -> None:
    seen = read(of([make()]))
    assert "The map and the list of all photos need JavaScript" in seen.text
    assert {"id": "bench", "hidden": None} in seen.all("div")


def test_tiles_are_allowed_only_where_asked_for(make, read) -> None:
    def policy(**more):
        seen = read(of([make()], **more))
        (meta,) = [a for a in seen.all("meta") if a.get("http-equiv")]
        return meta["content"], seen

    plain, seen = policy()
    assert "img-src data: file:;" in plain and "http" not in plain
    assert seen.data["report"]["tiles"] == "" and "asks nothing of the network" in seen.text
    address = "https://tile.example.org:8443/a/{z}/{x}/{y}.png?k=1"
    asked, seen = policy(tiles=address)
    assert "img-src data: file: https://tile.example.org:8443;" in asked
    assert seen.data["report"]["tiles"] == address
    assert "asks tile.example.org:8443 for maps only if you turn them on" in seen.text
    with pytest.raises(ValueError, match="map tiles"):
        policy(tiles="https://x/{z}; script-src *")


def any_item():
    """Items with any value of a field's type, places on the globe or none."""
    names = st.text(st.sampled_from("<>&\"'\0\n\x1b\u202e\ud800\udcff/é:%") | st.characters(), max_size=8)
    values = {float: st.floats(), int: st.integers(-1, 9), str: names, str | None: st.none() | names}
    kinds = {name: values[kind] for name, kind in get_type_hints(Item).items()}
    places = {"lat_deg": st.just(NAN) | st.floats(-90, 90), "lon_deg": st.just(NAN) | st.floats(-180, 180)}
    files = {
        "file": names.map("/".__add__),
        "root": names.map("/".__add__),
        "outcome": st.sampled_from(OUTCOMES),
    }
    return st.builds(Item, **{**kinds, **places, **files})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(any_item(), max_size=5), title=st.text(max_size=5))
def test_any_items_make_a_page(read, items, title: str) -> None:
    seen = read(of(items, title))
    assert [(a.get("type"), a.get("id")) for a in seen.all("script")] == SCRIPTS
    assert len(seen.all("th")) >= len(items)
    assert len(seen.data["report"]["photos"]["names"]) == len(items)
