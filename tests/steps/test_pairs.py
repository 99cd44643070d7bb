"""Pairs of pictures of one place, and the way that sequences cover."""

from __future__ import annotations

import math
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from camtrail.core import geo
from camtrail.steps.id_lists import parse
from camtrail.steps.pairs import coverage, measured

NAN = math.nan
REAL_DATA = Path(__file__).parents[3] / "shared" / "data"
# A street, the date line and a pole; steps of some 11 m, so that pictures meet.
grid = st.sampled_from([0.0, 0.0001, 0.0002, 0.00021, 0.0004, 0.0009])
corners = st.sampled_from([(47.0, 8.0), (-33.9, 151.2), (0.0, 179.9998), (89.9995, 0.0), (-90.0, 10.0)])
# The published table: pairs, median, 95th percentile and greatest distance in m, pairs within 25 m, km of both.
PUBLISHED = {
    "JhXV7GKUIpaAi9jZlWSvsq": (3, 2.98, 3.62, 3.62, 3, 0.016, 0.016),
    "FAPGX6yCUNBJknfriRKeOz": (175, 8.08, 19.1, 26.0, 174, 4.95, 4.94),
    "9ax8up9b5cptf92ueyowam": (720, 6.99, 22.1, 29.9, 707, 12.16, 12.08),
    "i2PZwEzhAWag8tl9xJcQXo": (65, 4.36, 10.3, 29.2, 64, 0.79, 0.74),
    "w9e18WNtvRsxKL5noJ3fhI": (241, 4.11, 11.7, 27.9, 240, 2.29, 2.25),
    "v5alNyCdc3P2F7IfhYg10n": (158, 2.13, 11.9, 29.2, 156, 1.81, 1.75),
    "1a1vWkPJjtJ8fBxVJhFKDw": (499, 4.42, 10.0, 29.8, 497, 5.03, 5.03),
    "5u6ffmp08ymli80jx0assa": (279, 13.62, 25.3, 28.6, 264, 12.85, 12.86),
}


@st.composite
def streets(draw, most=14):
    """Latitudes and longitudes of pictures at one place on the globe; some have none."""
    lat, lon = draw(corners)
    n = draw(st.integers(0, most))
    places = [(lat + draw(grid), lon + draw(grid)) for _ in range(n)]
    places = [(a, b - 360.0 if b > 180.0 else b) if draw(st.integers(0, 9)) else (NAN, b) for a, b in places]
    return np.array([min(a, 90.0) if a == a else a for a, _ in places], float), np.array(
        [b for _, b in places], float
    )


degrees = st.just(NAN) | st.floats(0, 360, exclude_max=True)


@given(streets(), st.data())
def test_differences_are_of_the_two_pictures(street, data):
    lat, lon = street
    n = len(lat)
    time_s = np.array(data.draw(st.lists(st.just(NAN) | st.floats(0, 2e9), min_size=n, max_size=n)), float)
    heading = np.array(data.draw(st.lists(degrees, min_size=n, max_size=n)), float)
    row = st.integers(0, max(n - 1, 0))
    rows = data.draw(st.lists(st.tuples(row, row), max_size=8)) if n else []
    a, b = np.array(rows, np.int64).reshape(-1, 2).T
    pairs, back = (measured(*two, lat, lon, time_s, heading) for two in ((a, b), (b, a)))
    assert pairs.database.tolist() == a.tolist() and pairs.query.tolist() == b.tolist()
    np.testing.assert_array_equal(pairs.distance_m, back.distance_m)
    np.testing.assert_array_equal(pairs.time_s, -back.time_s)
    np.testing.assert_array_equal(pairs.turn_deg, back.turn_deg)
    told = np.isfinite(heading[a]) & np.isfinite(heading[b])
    assert (np.isfinite(pairs.turn_deg) == told).all() and not (pairs.turn_deg > 180).any()
    ahead = heading[a] + pairs.turn_deg - heading[b], heading[a] - pairs.turn_deg - heading[b]
    off = np.minimum(*(np.abs((v + 180) % 360 - 180) for v in ahead))
    assert (off[told] < 1e-9).all()


def test_named_differences():
    lat, lon = np.array([47.0, 47.0001, NAN]), np.array([8.0, 8.0, 8.0])
    pairs = measured(
        np.array([0, 1, 0]),
        np.array([1, 0, 2]),
        lat,
        lon,
        np.array([10.0, 70.0, 5.0]),
        np.array([350.0, 10.0, 180.0]),
    )
    assert pairs.distance_m[:2] == pytest.approx([11.12, 11.12], abs=0.005) and math.isnan(
        pairs.distance_m[2]
    )
    assert pairs.time_s.tolist() == [60.0, -60.0, -5.0]
    assert pairs.turn_deg.tolist() == [20.0, 20.0, 170.0]


def way_km(places):
    steps = [geo.on_sphere_m(*map(np.array, (*a, *b))) for a, b in pairwise(places)]
    return sum(map(float, steps)) / 1000.0


@given(
    streets(),
    st.lists(st.integers(0, 3), min_size=14, max_size=14),
    st.lists(st.integers(0, 5), min_size=14, max_size=14),
)
@example((np.zeros(0), np.zeros(0)), [0] * 14, [0] * 14)
def test_coverage_is_counted_for_each_sequence(street, labels, images):
    lat, lon = street
    label, image = (np.array(v[: len(lat)], np.int64) for v in (labels, images))
    found = coverage(label, image, lat, lon)
    assert (
        len(found.rows) == len(found.images) == len(found.covered_km) == max(label.tolist(), default=-1) + 1
    )
    for k in range(len(found.rows)):
        mine = [i for i in range(len(lat)) if label[i] == k]
        assert found.rows[k] == len(mine)
        assert found.images[k] == len({images[i] for i in mine})
        placed = [(lat[i], lon[i]) for i in mine if lat[i] == lat[i]]
        assert found.covered_km[k] == pytest.approx(way_km(placed), abs=1e-12)


@pytest.mark.data
def test_the_published_table(tmp_path):
    folder = tmp_path / "lists"
    shutil.copytree(REAL_DATA / "vpr" / "sequences_ids", folder)
    names = sorted(folder.glob("*_pair_sequence.txt"))
    table = {}
    for name in names:
        listed = parse(name.read_bytes(), str(name))
        unknown = np.full(len(listed), NAN)
        pairs = measured(listed.database, listed.query, listed.lat_deg, listed.lon_deg, unknown, unknown)
        sequence = listed.sequence[listed.row]
        assert listed.sequence[listed.database].tolist() == [name.name[:22]] * len(pairs.distance_m)
        label = (sequence != name.name[:22]).astype(np.int64)
        of_row = (listed.lat_deg[listed.row], listed.lon_deg[listed.row])
        covered = coverage(label, listed.row, *of_row)
        assert covered.rows.tolist() == [len(pairs.distance_m)] * 2
        far = np.sort(pairs.distance_m)
        middle, high = (float(far[int(len(far) * share)]) for share in (0.5, 0.95))
        numbers = (middle, high, float(far[-1]))
        table[name.name[:22]] = (len(far), *numbers, int((far <= 25).sum()), *covered.covered_km.tolist())
    assert sum(row[0] for row in table.values()) == 2140
    assert table.keys() == PUBLISHED.keys()
    for key, (count, middle, high, most, near, *way_km) in PUBLISHED.items():
        mine = table[key]
        assert (mine[0], round(mine[1], 2), mine[4]) == (count, middle, near), key
        assert mine[2:4] == pytest.approx((high, most), abs=0.056), key  # the table was rounded twice
        assert mine[5:] == pytest.approx(tuple(way_km), abs=0.005), key
