"""What the map is drawn from: places, links, gaps, tracks."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from urllib.parse import quote, unquote_to_bytes

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from camtrail.core.model import Track
from camtrail.core.names import shown
from camtrail.reports.map import Recording, Ride, colour, photo_data, track_data, west_deg

NAN = math.nan
LON = st.floats(-180, 180)


def track(time_s, lat_deg, lon_deg) -> Track:
    none = np.full(len(time_s), NAN)
    columns = (np.asarray(c, float) for c in (time_s, lat_deg, lon_deg))
    return Track(*columns, none, none, none, none)


@pytest.fixture(scope="session")
def columns(make, unpack):
    def of(items, rides=(), folder="/p"):
        outcomes = list(dict.fromkeys(i.outcome for i in items))
        return unpack(photo_data(items, rides, outcomes, west_deg(items, ()), folder))

    return of


@pytest.fixture(scope="session")
def tracks(unpack):
    def of(*found, gap_s=math.inf):
        recordings = [Recording(f"{n}.gpx", tracks) for n, tracks in enumerate(found)]
        return unpack(track_data(recordings, west_deg((), recordings), gap_s))

    return of


def test_places_times_and_headings(make, columns) -> None:
    items = [
        make(path="a", lat_deg=-47.1234567, lon_deg=8.2, time_s=1.7e9 + 0.125, heading_deg=359.7),
        make(path="b", lat_deg=NAN, lon_deg=NAN, time_s=NAN, local_s=1.6e9, heading_deg=NAN),
        make(path="c", time_s=NAN, local_s=NAN, heading_deg=12.4, heading_ref="M"),
    ]
    found = columns(items)
    assert (found["degree"], found["second"]) == (1_000_000, 1000)
    assert found["lat"] == [-47123457, -47123457, 47123457], "where there is none, that of the row before"
    assert found["time"] == [1_700_000_000_125, 1_600_000_000_000, 1_600_000_000_000]
    assert found["flags"] == [1 | 2, 2 | 4, 1 | 4 | 8]
    assert found["heading"] == [0, 360, 12]


@given(st.lists(st.tuples(st.floats(-90, 90), LON), min_size=1, max_size=8))
def test_places_come_back_within_a_hand(make, columns, places) -> None:
    items = [make(path=str(i), lat_deg=lat, lon_deg=lon) for i, (lat, lon) in enumerate(places)]
    found = columns(items)
    for (lat, lon), row_lat, row_lon in zip(places, found["lat"], found["lon"]):
        assert abs(row_lat / 1e6 - lat) <= 6e-7
        turns = (row_lon / 1e6 - lon) / 360
        assert abs(turns - round(turns)) * 360 <= 6e-7


@given(st.lists(LON, min_size=1, max_size=8))
def test_places_lie_in_the_narrowest_band(make, columns, lons) -> None:
    items = [make(path=str(i), lon_deg=lon) for i, lon in enumerate(lons)]
    found = [lon / 1e6 for lon in columns(items)["lon"]]
    around = sorted(lon % 360 for lon in lons)
    widest = max(b - a for a, b in pairwise([*around, around[0] + 360]))
    assert max(found) - min(found) <= 360 - widest + 2e-6
    assert min(found) >= -180 - 1e-6


def test_a_ride_across_180_is_one_line(make, columns) -> None:
    items = [make(path=str(i), lon_deg=lon) for i, lon in enumerate((179.99, 180.0, -180.0, -179.99))]
    assert columns(items)["lon"] == [179990000, 180000000, 180000000, 180010000]


def test_tracks_and_photos_share_a_band(make, unpack) -> None:
    items = [make(lon_deg=-179.9)]
    recordings = [Recording("a.gpx", [track([0, 1], [1, 1], [179.9, -179.95])])]
    west = west_deg(items, recordings)
    assert unpack(photo_data(items, (), ["located"], west, None))["lon"] == [180100000]
    assert unpack(track_data(recordings, west, math.inf))["lon"] == [179900000, 180050000]


NAMES = st.text(
    st.characters(exclude_characters="/\0") | st.sampled_from("é ?#%&'()*!~\u202e\udcff"),
    min_size=1,
    max_size=6,
)


@given(st.lists(NAMES, min_size=1, max_size=3), st.sampled_from(["/p", "/p/sub", "/q"]))
def test_a_link_leads_to_its_file(make, columns, parts, folder) -> None:
    path = "/".join(parts)
    assume(not any(p in (".", "..") for p in parts))
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:
        raw = None
    found = columns([make(path=path, root="/p", file=f"/p/{path}")], folder=folder)
    url = found["urls"].get(0, found["roots"][0]["url"] + quote(found["names"][0], safe="/"))
    assert found["names"] == [shown(path)]
    if raw is None:
        assert url is None
    else:
        assert url.startswith("./")
        leads = os.path.normpath(os.path.join(os.fsencode(folder), unquote_to_bytes(url)))
        assert leads == os.path.normpath(b"/p/" + raw)


def test_no_folder_no_links(make, columns) -> None:
    found = columns([make(path="\n")], folder=None)
    assert found["roots"][0]["url"] is None and found["urls"] == {}


def ride(make, name, t0, lat0, n=3, **more) -> Ride:
    photos = [
        make(
            path=f"d/{name}{i}", time_s=t0 + i, order_s=t0 + i, lat_deg=lat0 + i * 1e-5, sequence=name, **more
        )
        for i in range(n)
    ]
    return Ride(name, photos, photos, 0.0)


@pytest.mark.parametrize(
    ("t0", "lat0", "changes", "is_gap"),
    [
        (4.0, 47.00003, {}, False),  # the sequence was full
        (60.0, 47.00003, {}, True),  # a pause
        (4.0, 47.01, {}, True),  # a jump
        (90000.0, 47.00003, {}, False),  # another day
        (60.0, 47.00003, {"serial": "other"}, False),  # another camera
    ],
)
def test_gaps_between_sequences(make, columns, t0, lat0, changes, is_gap) -> None:
    rides = [ride(make, "a", 0.0, 47.0), ride(make, "b", t0, lat0, **changes)]
    items = [p for r in rides for p in r.photos]
    assert columns(items, rides)["gaps"] == ([[2, 3]] if is_gap else [])


def test_gaps_of_tracks(tracks) -> None:
    one = track([0, 10, 500, 510], [1, 2, 3, 4], [5, 6, 7, 8])
    two = track([600, 610], [4, 5], [8, 9])
    found = tracks([one, two], gap_s=100)
    assert found["gaps"] == [[1, 2], [3, 4]], "within a track, and between two of one file; the longest first"
    assert tracks([one, two])["gaps"] == [[3, 4]]
    assert tracks([one], [two])["gaps"] == [], "two files are two receivers"
    assert found["starts"] == [0, 4] and found["of"] == [0, 0] and found["names"] == ["0.gpx"]
    assert found["lat"] == [v * 1_000_000 for v in (1, 2, 3, 4, 4, 5)]
    assert found["time"] == [v * 1000 for v in (0, 10, 500, 510, 600, 610)]


def test_nothing_has_columns_too(columns, tracks) -> None:
    assert columns([])["lat"] == [] and tracks()["lat"] == []


def test_a_million_fixes_are_three_megabytes() -> None:
    some = np.random.default_rng(1)
    n = 1_000_000
    way = np.cumsum(some.normal(0, 0.1, n))  # a car that turns, with a receiver's noise of a decimetre
    north, east = np.cumsum(8 * np.cos(way)), np.cumsum(8 * np.sin(way))
    lat = 47 + (north + some.normal(0, 0.1, n)) / 111_000
    lon = 8 + (east + some.normal(0, 0.1, n)) / 76_000
    found = track_data([Recording("a.gpx", [track(1.7e9 + np.arange(n), lat, lon)])], 8.0, 1800.0)
    assert found["lat"]["n"] == n
    assert sum(len(found[name]["z"]) for name in ("lat", "lon", "time")) < 3_000_000


def test_more_than_a_million_are_thinned_but_never_the_ends(unpack) -> None:
    n = 1_100_000
    long = track(np.arange(n, dtype=float), np.linspace(1, 2, n), np.linspace(3, 4, n))
    short = track([2e7, 2e7 + 1], [5, 6], [7, 8])
    found = track_data([Recording("a.gpx", [long, short])], 3.0, 1800.0)
    assert 500_000 < found["lat"]["n"] <= 1_000_000
    starts = unpack(found["starts"])
    lat = unpack(found["lat"])
    assert lat[starts[1] - 1] == 200_000 and lat[starts[1] :] == [500_000, 600_000]


def test_colours_repeat_with_dashes() -> None:
    assert [colour(i) for i in (0, 9, 10, 20, 30)] == ["c0", "c9", "c0 dash1", "c0 dash2", "c0"]
