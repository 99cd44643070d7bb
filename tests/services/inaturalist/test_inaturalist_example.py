"""The documented example of matching, served by the sandbox."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camtrail.services.inaturalist.sandbox import InaturalistSandbox
from camtrail.services.inaturalist.wire import identification
from inaturalist_example import COYOTE, DATE, LOGIN, MILKMAIDS, make

pytestmark = pytest.mark.data
NATURE = Path(__file__).parents[4] / "shared" / "data" / "photos" / "nature"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    make(NATURE, folder)
    with InaturalistSandbox(data=str(folder)) as box:
        yield box


def test_what_is_listed(example, connect):
    client = connect(url=example.url)
    user = client.user(LOGIN)
    assert (user.login, user.observation_count) == (LOGIN, 2)
    milkmaids, coyote = client.observations(user, DATE, DATE)
    assert (milkmaids.id, coyote.id) == (68939822, 68980359)
    assert identification(coyote.taxon) == "Coyote (Canis latrans)"
    assert identification(milkmaids.taxon) == "Milkmaids (Cardamine californica)"
    for o, rows, hour, minute in ((coyote, COYOTE, 10, 35), (milkmaids, MILKMAIDS, 11, 0)):
        assert [(p.photo_id, p.id, p.position) for p in o.photos] == [
            (a, b, i) for i, (a, b, _) in enumerate(rows)
        ]
        assert o.local_s == datetime(2021, 2, 1, hour, minute, tzinfo=UTC).timestamp() and o.date == DATE
        assert not o.has_seconds and not o.is_obscured


def taken(name: str) -> tuple[float, float, float]:
    """Wall clock and place of one of the photos."""
    with Image.open(NATURE / name) as image:
        exif = image.getexif()
    clock, gps = exif.get_ifd(0x8769)[0x9003], exif.get_ifd(0x8825)
    degrees = [float(d + m / 60 + s / 3600) for d, m, s in (gps[2], gps[4])]
    moment = datetime.strptime(clock, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp(), degrees[0], -degrees[1]


def on_a_sphere_m(*degrees: float) -> float:
    """As the example was measured: haversine, on a sphere of 6371 km."""
    lat1, lon1, lat2, lon2 = map(math.radians, degrees)
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * 6_371_000 * math.asin(math.sqrt(half))


@pytest.mark.parametrize(
    ("name", "seconds", "metres"),
    [
        ("dcsf0118.jpg", 7, 72.38), ("dcsf0119.jpg", 58, 0.0), ("dcsf0119_crop.jpg", 58, 0.0),
        ("dcsf0123.jpg", 12, 0.0), ("dcsf0124.jpg", 18, 0.0),
    ],
)  # fmt: skip
def test_times_and_distances_of_the_example(example, connect, name, seconds, metres):
    client = connect(url=example.url)
    found = list(client.observations(client.user(LOGIN), DATE, DATE))
    photo_id = next(a for a, _, b in COYOTE + MILKMAIDS if b == name)
    o = next(o for o in found for p in o.photos if p.photo_id == photo_id)
    local_s, lat_deg, lon_deg = taken(name)
    assert abs(local_s - o.local_s) == seconds
    assert round(on_a_sphere_m(o.lat_deg, o.lon_deg, lat_deg, lon_deg), 2) == metres


def test_pictures_are_the_local_ones_and_two_others(example, connect):
    client = connect(url=example.url)
    photos = [p for o in client.observations(client.user(LOGIN), DATE, DATE) for p in o.photos]
    small = {
        p.photo_id: np.asarray(_opened(client.photo(p, "small")).resize((64, 48)), float) for p in photos
    }
    for photo_id, _, name in COYOTE + MILKMAIDS:
        for other_id, picture in small.items():
            if name is None:
                continue
            local = np.asarray(Image.open(NATURE / name).convert("RGB").resize((64, 48)), float)
            off = float(np.abs(local - picture).mean())
            assert off < 6 if other_id == photo_id else off > 12, (name, other_id, off)


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")
