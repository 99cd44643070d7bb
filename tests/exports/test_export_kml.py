from __future__ import annotations

import math
from xml.etree import ElementTree

from camtrail.exports.kml import write

NS = "{http://www.opengis.net/kml/2.2}"


def parsed(items, several_roots=False) -> ElementTree.Element:
    return ElementTree.fromstring(b"".join(write(items, several_roots)))


def test_folders(make) -> None:
    root = parsed(
        [
            make(path="b.jpg", order_s=2.0),
            make(path="a.jpg", order_s=1.0),
            make(path="c.jpg", sequence=None),
            make.bare(path="nowhere.jpg"),
        ]
    )
    folders = root.findall(f"{NS}Document/{NS}Folder")
    assert [f.findtext(NS + "name") for f in folders] == ["Photos outside of sequences", "seq-1"]
    assert [p.findtext(NS + "name") for p in folders[1].findall(NS + "Placemark")] == [
        "seq-1",
        "a.jpg",
        "b.jpg",
    ]
    assert root.findtext(f".//{NS}TimeStamp/{NS}when") == "2023-11-14T22:13:20Z"
    assert root.findtext(f".//{NS}Point/{NS}coordinates") == "8.2,47.1234567,400.5"


def test_one_photo_has_no_line(make) -> None:
    assert parsed([make()]).find(f".//{NS}LineString") is None


def test_a_description_is_text_for_a_viewer_that_reads_html(make) -> None:
    text = parsed([make(path="<img src=x>&.jpg", reason='"q"')]).findtext(f".//{NS}Point/../{NS}description")
    assert text == "&lt;img src=x&gt;&amp;.jpg<br>heading 90°<br>located<br>&quot;q&quot;"


def test_root_is_named_with_several(make) -> None:
    assert "<br>/p<br>" in (parsed([make()], True).findtext(f".//{NS}description") or "")


def test_a_line_over_180_is_cut_there(make) -> None:
    places = [(10.0, 179.0), (11.0, -179.0), (12.0, 179.5)]
    root = parsed([make(path=f"{i}.jpg", order_s=i, lat_deg=a, lon_deg=b) for i, (a, b) in enumerate(places)])
    lines = [e.findtext(NS + "coordinates") for e in root.iter(NS + "LineString")]
    assert lines == [
        "179,10,400.5 180,10.5",
        "-180,10.5 -179,11,400.5 -180,11.6666667",
        "180,11.6666667 179.5,12,400.5",
    ]


def test_photos_of_one_second_have_times_of_their_own(make) -> None:
    burst = [make(path=f"{i}.jpg", order_s=1700000000 + i / 4) for i in range(3)]
    whens = [e.text for e in parsed([*burst, make(order_s=math.nan)]).iter(NS + "when")]
    seconds = ["20", "20.25", "20.5", "20"]
    assert whens == [f"2023-11-14T22:13:{s}Z" for s in seconds]
