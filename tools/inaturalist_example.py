"""The documented example of matching photos with iNaturalist, as data for its sandbox.

Usage: python tools/inaturalist_example.py PHOTOS DIR

PHOTOS holds dcsf0118.jpg, dcsf0119.jpg, dcsf0119_crop.jpg, dcsf0123.jpg and dcsf0124.jpg. DIR becomes what
`camtrail sandbox inaturalist --data DIR` serves: two observations of one day with seven photos, two of which are
none of those five. Ids, positions, places and times are those of the example, except for the ids of taxa and for
the uuids, which are made up.
"""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

LOGIN = "joergmlpts"
DATE = "2021-02-01"

# Photo id, id of the observation photo, local file; None where there is none. In their order.
COYOTE = [
    (111827921, 104339082, "dcsf0119_crop.jpg"),
    (111827935, 104339083, None),
    (111827912, 104339084, "dcsf0119.jpg"),
    (111827898, 104339085, "dcsf0118.jpg"),
    (111827888, 104339086, None),
]
MILKMAIDS = [(111753559, 104269803, "dcsf0124.jpg"), (111753544, 104269804, "dcsf0123.jpg")]
_PHOTOS = "https://static.inaturalist.org/photos"


def observations() -> list[dict[str, Any]]:
    """What the API lists of the example's day."""
    return [
        _observation(
            68939822, f"{DATE}T11:00:00-08:00", "37.4058777778,-121.7794611111",
            (50811, "Cardamine californica", "milkmaids"), MILKMAIDS,
        ),
        _observation(
            68980359, f"{DATE}T10:35:00-08:00", "37.4103055556,-121.7899666667",
            (42051, "Canis latrans", "Coyote"), COYOTE,
        ),
    ]  # fmt: skip


def make(photos: Path, folder: Path) -> None:
    """Makes the data of the sandbox from the five photos."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    (folder / "observations.json").write_text(json.dumps(observations(), indent=1), encoding="utf-8")
    for photo_id, _, name in COYOTE + MILKMAIDS:
        target = folder / "photos" / f"{photo_id}.jpg"
        if name is not None:
            shutil.copyfile(photos / name, target)
        else:
            _unrelated(photo_id, target)


def _unrelated(seed: int, path: Path) -> None:
    """A picture of nothing in particular."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(seed).integers(0, 256, (18, 24, 3), np.uint8)
    Image.fromarray(noise).resize((2048, 1536), Image.Resampling.BICUBIC).save(path, quality=90)


def _observation(
    number: int,
    moment: str,
    location: str,
    taxon: tuple[int, str, str],
    photos: list[tuple[int, int, str | None]],
) -> dict[str, Any]:
    size = {"dcsf0119_crop.jpg": (748, 520), None: (2048, 1536)}
    places = []
    for position, (photo_id, place_id, name) in enumerate(photos):
        width_px, height_px = size.get(name, (2048, 1536))
        photo = {
            "id": photo_id,
            "url": f"{_PHOTOS}/{photo_id}/square.jpg",
            "license_code": None,
            "attribution": f"(c) {LOGIN}, all rights reserved",
            "original_dimensions": {"width": width_px, "height": height_px},
            "original_filename": name or f"other{photo_id}.jpg",
        }
        places.append(
            {
                "id": place_id,
                "uuid": _uuid(place_id),
                "position": position,
                "photo_id": photo_id,
                "photo": photo,
            }
        )
    return {
        "id": number,
        "uuid": _uuid(number),
        "observed_on": DATE,
        "observed_on_details": {"date": DATE, "year": 2021, "month": 2, "day": 1, "hour": int(moment[11:13])},
        "observed_on_string": moment,
        "time_observed_at": moment,
        "observed_time_zone": "America/Los_Angeles",
        "time_zone_offset": "-08:00",
        "location": location,
        "positional_accuracy": None,
        "obscured": False,
        "geoprivacy": None,
        "taxon_geoprivacy": None,
        "quality_grade": "research",
        "uri": f"https://www.inaturalist.org/observations/{number}",
        "user": {"id": 1, "login": LOGIN},
        "taxon": {
            "id": taxon[0],
            "name": taxon[1],
            "rank": "species",
            "preferred_common_name": taxon[2],
        },
        "observation_photos": places,
        "photos": [place["photo"] for place in places],
    }


def _uuid(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"camtrail example {number}"))


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
