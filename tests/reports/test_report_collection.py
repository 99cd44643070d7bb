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
    assert facts["Photos"] == "11" and facts["Located"] == "3" and facts["Sequences"] == "1"
    assert facts["Covered"] == "0.2 km"
    assert facts["First photo"] == "2023-11-14 22:13:20 UTC"
    assert facts["Cameras"] == "Make Model (11)"
    assert "8 photos that are not located, and what to do" in seen.text
    assert "A note." in seen.text
    assert len(seen.all("circle")) == 3 and len(seen.all("polyline")) == 1


def test_nothing(read) -> None:
    seen = read(of([]))
    assert "No photo has a place." in seen.text
    assert seen.all("svg") == []


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
    assert seen.all("script") == []
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


def corners(seen) -> list[list[tuple[float, float]]]:
    lines = [a["points"].split() for a in seen.all("polyline")]
    return [[tuple(map(float, corner.split(","))) for corner in line] for line in lines]


def test_the_map_is_north_up_and_true_to_scale(make, read) -> None:
    square = [(60.0, 10.0), (60.01, 10.0), (60.01, 10.02), (60.0, 10.02)]  # at 60° north as wide as high
    ((a, b, c, _),) = corners(read(of(ride(make, square))))
    assert b[1] < a[1] and b[0] == a[0], "north is up"
    assert c[0] > b[0] and c[1] == b[1], "east is right"
    assert (c[0] - b[0]) == pytest.approx(a[1] - b[1], rel=1e-3)


def test_the_scale_bar_is_right(make, read) -> None:
    seen = read(of(ride(make, [(0.0, 0.0), (0.0, 0.01)])))
    ((a, b),) = corners(seen)
    (bar,) = [p["d"] for p in seen.all("path") if p["class"] == "scale"]
    length = float(re.search(r"h([\d.]+)", bar)[1])
    (said,) = [text for tag, text in seen.texts if tag == "text" and text.endswith(" m")]
    assert float(said[:-2]) / length == pytest.approx(1111.95 / (b[0] - a[0]), rel=0.01)


def test_a_ride_across_180_is_one_line(make, read) -> None:
    lines = corners(read(of(ride(make, [(0.0, 179.99), (0.0, 180.0), (0.0, -180.0), (0.0, -179.99)]))))
    assert len(lines) == 1
    assert [x for x, _ in lines[0]] == sorted(x for x, _ in lines[0])


def test_a_line_round_the_globe_stays_in_the_drawing(make, read) -> None:
    places = [(10.0, lon) for lon in (0, 60, 120, 180, -120, -60, 0)]
    for line in corners(read(of(ride(make, places)))):
        assert all(0 <= x <= 1000 for x, _ in line)


@pytest.mark.parametrize(
    "places",
    [[(0.0, 0.0)], [(47.0, 8.0)] * 3, [(90.0, 0.0), (90.0, 180.0)], [(-90.0, 5.0), (90.0, -175.0)],
     [(0.0, -180.0), (0.0, 180.0)], [(5.0, -1e-17), (5.0, 1e-17)]],
)  # fmt: skip
def test_odd_places_stay_in_the_drawing(make, read, places) -> None:
    seen = read(of(ride(make, places)))
    (box,) = [
        a["viewBox"] if "viewBox" in a else a["viewbox"] for a in seen.all("svg") if a["class"] == "map"
    ]
    _, _, width, height = map(float, box.split())
    assert len(seen.all("circle")) == len(places)
    for dot in seen.all("circle"):
        assert 0 <= float(dot["cx"]) <= width and 0 <= float(dot["cy"]) <= height


def test_many_dots_are_thinned_but_never_the_ends(make, read) -> None:
    items = []
    for n in range(7):
        items += ride(
            make, [(47 + n / 100, 8 + i / 10000) for i in range(1001)], f"ride{n}", 1.7e9 + 5000 * n
        )
    seen = read(of(items))
    dots = len(seen.all("circle"))
    assert 1000 < dots <= 2000 + 14
    tips = [text for tag, text in seen.texts if tag == "title"]
    for n in range(7):
        assert any(t.startswith(f"ride{n}/0.jpg ") for t in tips)
        assert any(t.startswith(f"ride{n}/1000.jpg ") for t in tips)
    assert len(corners(seen)) == 7
    assert f"{dots:,} of them are drawn as dots" in seen.text


def test_ticks_show_where_the_lens_looks(make, read) -> None:
    seen = read(of([make(heading_deg=90.0)]))
    (looks,) = [a["d"] for a in seen.all("path") if a["class"] == "looks"]
    assert looks.endswith("l12.0 -0.0")
    assert not [a for a in read(of([make(heading_deg=NAN)])).all("path") if a["class"] == "looks"]


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
    size = sum(map(len, of(items)))
    assert size < 5e6
    assert time.process_time() - start < 4, "measured: 0.3 s"


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
    assert seen.all("script") == []
    assert len(seen.all("th")) >= len(items)
