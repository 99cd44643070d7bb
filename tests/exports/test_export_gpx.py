from __future__ import annotations

import math
from xml.etree import ElementTree

from camtrail.core.bytes import MemoryBytes
from camtrail.core.model import Track
from camtrail.exports.gpx import write
from camtrail.sources.gpx import GpxOptions, read

NS = "{http://www.topografix.com/GPX/1/1}"


def parsed(items) -> ElementTree.Element:
    return ElementTree.fromstring(b"".join(write(items, False)))


def test_tracks_by_time_after_waypoints(make) -> None:
    root = parsed(
        [
            make(path="x/2.jpg", order_s=2.0, sequence="s"),
            make(path="x/1.jpg", order_s=1.0, sequence="s"),
            make(path="x/0.jpg", sequence=None),
            make.bare(path="nowhere.jpg"),
        ]
    )
    assert root.get("creator") == "camtrail" and root.get("version") == "1.1"
    assert [child.tag for child in root] == [NS + "wpt", NS + "trk"]
    assert [e.text for e in root.iter(NS + "name")] == ["0.jpg", "s", "1.jpg", "2.jpg"]
    assert root.findtext(f"{NS}trk/{NS}desc") == "2 photos, 1.jpg to 2.jpg"


def test_children_stand_in_the_order_of_the_schema(make) -> None:
    point = parsed([make(sequence=None)])[0]
    assert [child.tag.removeprefix(NS) for child in point] == ["ele", "time", "name"]
    assert point.attrib == {"lat": "47.1234567", "lon": "8.2"}
    assert [child.text for child in point] == ["400.5", "2023-11-14T22:13:20Z", "a.jpg"]


def test_what_is_absent_is_left_out(make) -> None:
    point = parsed([make(alt_m=math.nan, time_s=math.nan, order_s=math.nan, sequence=None)])[0]
    assert [child.tag.removeprefix(NS) for child in point] == ["name"]


def test_a_burst_is_read_again_whole(make) -> None:
    burst = [make(path=f"{i}.jpg", order_s=1700000000 + i / 4, lat_deg=47 + i / 1e5) for i in range(4)]
    (track,) = read(MemoryBytes(b"".join(write(burst, False))), GpxOptions())
    assert isinstance(track, Track)
    assert track.time_s.tolist() == [item.order_s for item in burst]
    assert track.lat_deg.tolist() == [round(item.lat_deg, 7) for item in burst]


def test_the_capture_time_where_nothing_was_ordered(make) -> None:
    (point,) = parsed([make(order_s=math.nan, sequence=None)])
    assert point.findtext(NS + "time") == "2023-11-14T22:13:20Z"


def test_east_180_is_written_as_west(make) -> None:
    """The schema's longitudeType ends before 180."""
    root = parsed([make(lon_deg=lon, sequence=None) for lon in (180.0, 179.99999999, 179.9999999)])
    assert [p.get("lon") for p in root] == ["-180", "-180", "179.9999999"]


def test_a_sequence_without_a_name_takes_its_first_photo(make) -> None:
    assert parsed([make(sequence="")]).findtext(f"{NS}trk/{NS}name") == "a.jpg"
