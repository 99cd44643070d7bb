"""GPX as programs write it, and as it comes out of broken devices."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.core.model import Note, Track
from camtrail.sources import gpx

NAN = math.nan
START = datetime(2024, 5, 1, 10, tzinfo=UTC)

Point = tuple[int | None, float, float, float | None]
points = st.tuples(
    st.none() | st.integers(0, 40),
    st.floats(-95, 95) | st.sampled_from([0.0, NAN, math.inf]),
    st.floats(-185, 185) | st.sampled_from([0.0, 180.0]),
    st.none() | st.floats(-400, 9000),
)
segments = st.lists(st.lists(points, max_size=12), max_size=4)


def _read(raw: bytes) -> tuple[list[Track], dict[str, int]]:
    answers = list(gpx.read(MemoryBytes(raw, "ride.gpx"), gpx.GpxOptions()))
    return (
        [a for a in answers if isinstance(a, Track)],
        {a.reason: a.count for a in answers if isinstance(a, Note)},
    )


def _written(drawn: list[list[Point]], prefix: str = "", gap: str = "\n", zone: int | None = 0) -> str:
    def tag(name: str, inner: str, attributes: str = "") -> str:
        return f"<{prefix}{name}{attributes}>{gap}{inner}{gap}</{prefix}{name}>"

    def point(p: Point) -> str:
        second, lat, lon, alt = p
        inner = "" if alt is None else f"<{prefix}ele>{alt!r}</{prefix}ele>{gap}"
        if second is not None:
            t = START + timedelta(seconds=second)
            text = t.isoformat() if zone == 0 else (t + timedelta(minutes=zone or 0)).isoformat()[:19]
            if zone:
                text += f"{'+' if zone > 0 else '-'}{abs(zone) // 60:02d}:{abs(zone) % 60:02d}"
            inner += f"<{prefix}time>{gap}{text}</{prefix}time>"
        return tag("trkpt", inner, f' lat="{lat!r}" lon="{lon!r}"')

    space = f' xmlns{":" if prefix else ""}{prefix[:-1]}="http://www.topografix.com/GPX/1/1"'
    return tag("gpx", tag("trk", gap.join(tag("trkseg", gap.join(map(point, s))) for s in drawn)), space)


def _slow(drawn: list[list[Point]]) -> list[list[tuple[float, float, float, float]]]:
    tracks = []
    for segment in drawn:
        kept: dict[float, tuple[float, float, float, float]] = {}
        for second, lat, lon, alt in segment:
            if second is None or not (abs(lat) <= 90 and abs(lon) <= 180) or (lat == 0 and lon == 0):
                continue
            t = START.timestamp() + second
            kept.setdefault(t, (t, lat, lon, NAN if alt is None else alt))
        if kept:
            tracks.append([kept[t] for t in sorted(kept)])
    return tracks


def _same(tracks: list[Track], expected: list[list[tuple[float, float, float, float]]]) -> None:
    assert len(tracks) == len(expected)
    for track, rows in zip(tracks, expected):
        found = np.stack([track.time_s, track.lat_deg, track.lon_deg, track.alt_m], axis=1)
        np.testing.assert_array_equal(found, np.array(rows))


@given(
    segments,
    st.sampled_from(["", "g:", "gpx-1.x:"]),
    st.sampled_from(["", "\n  ", "<!-- <trkpt> -->", "\t"]),
    st.sampled_from([0, None, 330, -570]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.integers(1, 300),
)
@settings(deadline=None)
def test_agrees_with_the_slow_way(
    drawn: list[list[Point]], prefix: str, gap: str, zone: int | None, encoding: str, chunk: int
) -> None:
    raw = _written(drawn, prefix, gap, zone).encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpx, "_CHUNK", chunk)
        tracks, notes = _read(raw)
    _same(tracks, _slow(drawn))
    # Each point is in a track or in a note, once.
    assert sum(len(t.time_s) for t in tracks) + sum(notes.values()) == sum(map(len, drawn))


@settings(deadline=None)
@given(segments.filter(lambda s: any(s)), st.data())
def test_what_stands_before_a_cut_is_used(drawn: list[list[Point]], draw: st.DataObject) -> None:
    raw = _written(drawn).encode()
    cut = draw.draw(st.integers(raw.index(b"</trkpt>") + 8, len(raw) - 1))
    tracks, notes = _read(raw[:cut])
    whole = raw[:cut].count(b"</trkpt>")
    left: list[list[Point]] = []
    for segment in drawn:
        left.append(segment[:whole])
        whole -= len(left[-1])
    _same(tracks, _slow(left))
    assert [n for n in notes if "damaged, line" in n]


def _one(inner: str, attributes: str = 'lat="1" lon="2"') -> bytes:
    return f"<gpx><trk><trkseg><trkpt {attributes}>{inner}</trkpt></trkseg></trk></gpx>".encode()


TIME = "<time>2024-05-01T10:00:00Z</time>"


def test_times_of_other_elements_are_not_the_points() -> None:
    decoy = "<x><time>1999-01-01T00:00:00Z</time></x>"
    for inner in (
        f"<extensions>{decoy}<time>1999-01-01T00:00:00Z</time></extensions>{TIME}",
        f"{TIME}<extensions>{decoy}</extensions>",
        f"{TIME}<link><time>1999-01-01T00:00:00Z</time></link>{decoy}",
    ):
        (track,), _ = _read(_one(inner))
        assert track.time_s.tolist() == [START.timestamp()]
    tracks, notes = _read(_one(f"<extensions>{decoy}</extensions>"))
    assert not tracks and notes == {"points without time": 1}


def test_speed_and_course_from_extensions() -> None:
    own = "<speed>2</speed>"
    ext = "<extensions><a:TPX><a:speed>3</a:speed><a:course>10</a:course><a:hr>99</a:hr></a:TPX></extensions>"
    for inner, speed in ((TIME + ext, 3.0), (own + ext + TIME, 2.0)):
        (track,), notes = _read(_one(inner))
        assert (track.speed_mps[0], track.course_deg[0]) == (speed, 10.0)
        assert math.isnan(track.hdop[0]) and not notes


def test_a_text_in_pieces_is_one_text() -> None:
    (track,), _ = _read(
        _one("<time>2024-05-<!-- x -->01T10:&#48;0:00<![CDATA[Z]]></time><ele>1<!-- -->2</ele>")
    )
    assert track.time_s.tolist() == [START.timestamp()] and track.alt_m.tolist() == [12.0]


def test_speed_of_some_points_stays_with_them() -> None:
    parts = [f'<trkpt lat="1" lon="{i}"><time>2024-05-01T10:00:0{i}Z</time>' for i in range(1, 6)]
    parts[1] += "<speed>2</speed>"
    parts[3] += "<speed>4</speed><speed>9</speed>"
    (track,), _ = _read(
        ("<gpx><trk><trkseg>" + "</trkpt>".join([*parts, ""]) + "</trkseg></trk></gpx>").encode()
    )
    np.testing.assert_array_equal(track.speed_mps, [NAN, 2, NAN, 4, NAN])


@pytest.mark.parametrize("attributes", ['lat="1"', 'lat="" lon=""', 'lat="x" lon="1"', 'lat="nan" lon="1"'])
def test_a_point_without_position_is_counted(attributes: str) -> None:
    assert _read(_one(TIME, attributes)) == ([], {"points with no possible position": 1})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is empty"),
        (b" \n\0\0", "is empty"),
        (b"\x89PNG\r\n", "no XML"),
        (b"<kml><Document/></kml>", "<kml>"),
        (b"<!DOCTYPE gpx [<!ENTITY a 'b'>]><gpx>&a;</gpx>", "DOCTYPE"),
        (b'<?xml version="1.0" encoding="klingon"?><gpx/>', "encoding"),
        (b"<gpx><trk>", "line 1"),
        (b"<gpx>" + b"<a>" * 5000, "nested"),
    ],
)
def test_what_is_no_gpx_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason) as caught:
        _read(raw)
    assert caught.value.path == "ride.gpx" and caught.value.hint


def test_a_tag_without_end_is_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpx, "_LONGEST_TAG", 1000)
    monkeypatch.setattr(gpx, "_CHUNK", 100)
    with pytest.raises(UnreadableFile, match="has no end"):
        _read(b"<gpx><trk name='" + b"x" * 5000)


@pytest.mark.parametrize(
    "raw",
    [
        b'\n\n<?xml version="1.0"?>' + _one(TIME),  # a blank line first
        b'<?xml version="1.0" encoding="utf-16"?>' + _one(TIME),  # .NET, saved as UTF-8
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-16"?>' + _one(TIME),
        b'<?xml version="1.0" encoding="windows-1252"?>'
        + _one(TIME + "<name>\u00fc</name>").decode().encode("cp1252"),
    ],
)
def test_known_faults_of_exporters(raw: bytes) -> None:
    tracks, notes = _read(raw)
    assert len(tracks) == 1 and not notes


def test_zeros_after_the_end_lose_nothing() -> None:
    tracks, notes = _read(_one(TIME) + b"\0" * 100)
    assert len(tracks) == 1 and len(notes) == 1


REAL = Path(__file__).parents[3] / "shared" / "data" / "tracks"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "fixes", "left"),
    [
        (
            "cerknicko-without-times.gpx",
            [5],
            {"waypoints, which belong to no track": 7, "points without time": 291},
        ),
        ("gpx1.1_with_all_fields.gpx", [1], None),
        ("gpx_with_garmin_extension.gpx", [], {"waypoints, which belong to no track": 1}),
        ("sf_30km_h.gpx", [49], {}),
        ("track-with-empty-segment.gpx", [9], {}),
        ("track-with-less-sec-time.gpx", [2], {}),
        ("track_with_speed.gpx", [3], {}),
        ("unicode_with_bom_noencoding.gpx", [], {"waypoints, which belong to no track": 1}),
    ],
)
def test_real_files(name: str, fixes: list[int], left: Any) -> None:
    if not REAL.is_dir():
        pytest.skip("the folder of real tracks is not here")
    with FileBytes(str(REAL / name)) as data:
        answers = list(gpx.read(data, gpx.GpxOptions()))
    assert sum(len(a.time_s) for a in answers if isinstance(a, Track)) == sum(fixes)
    if left is not None:
        assert {a.reason: a.count for a in answers if isinstance(a, Note)} == left
