"""A small collection for a sandbox that was given none: what is ordinary, and what programs stumble over.

Places, times and ids are made up; so are the pictures, each the same each time.
"""

from __future__ import annotations

import io
import uuid
from typing import Any

__all__ = ["LOGIN", "observations", "picture"]

LOGIN = "naturalist"
"""Whose observations they are."""

_PLACE = "https://inaturalist-open-data.s3.amazonaws.com/photos"
_WIDTH_PX, _HEIGHT_PX = 1600, 1200
_COYOTE = (42051, "Canis latrans", "species", "Coyote")
_COUGAR = (1001, "Puma concolor couguar", "subspecies", "north american cougar")
_OAK = (1002, "Quercus", "genus", "oaks")
_POPPY = (1003, "Eschscholzia californica maritima", "variety", None)


def observations() -> list[dict[str, Any]]:
    """What the API would list, as an owner sees it: file names and private places included."""
    return [
        _observation(1001, "2026-05-02T09:14:00+02:00", _COYOTE, [100101, 100102, 100103]),
        _observation(1002, "2026-05-02T09:40:31+02:00", _COUGAR, [100201], obscured=True),
        _observation(1003, "2026-05-02T11:05:00+02:00", _OAK, [100301, 100302], private=True),
        _observation(1004, "2026-05-03T08:00:00+02:00", None, [100401]),
        _observation(1005, None, _POPPY, [100501]),
        _observation(1006, "2026-05-03T17:21:00+02:00", _COYOTE, [100601], ending="JPG?1714750000"),
        _observation(1007, "2026-05-03T17:30:00+02:00", _OAK, [100701], ending="png"),
        _with_gaps(_observation(1008, "2026-05-04T07:12:00+02:00", _COYOTE, [100801, 100802, 100803])),
    ]


def picture(photo_id: int) -> bytes:
    """A JPEG of 1600 x 1200 px that no other photo looks like."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(photo_id).integers(0, 256, (9, 12, 3), np.uint8)
    image = Image.fromarray(noise).resize((_WIDTH_PX, _HEIGHT_PX), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


def _observation(
    number: int,
    moment: str | None,
    taxon: tuple[int, str, str, str | None] | None,
    photo_ids: list[int],
    *,
    ending: str = "jpg",
    obscured: bool = False,
    private: bool = False,
) -> dict[str, Any]:
    day = moment[:10] if moment else "2026-05-03"
    place = f"47.{number},8.{number}"
    return {
        "id": number,
        "uuid": _uuid("observation", number),
        "observed_on": day,
        "observed_on_details": {"date": day},
        "observed_on_string": moment or day,
        "time_observed_at": moment,
        "observed_time_zone": "Europe/Zurich",
        "time_zone_offset": "+01:00",
        "location": None if private else "47.1234,8.4321" if obscured else place,
        "private_location": place if private or obscured else None,
        "positional_accuracy": 8,
        "obscured": obscured or private,
        "geoprivacy": "private" if private else None,
        "taxon_geoprivacy": "obscured" if obscured else None,
        "quality_grade": "needs_id",
        "uri": f"https://www.inaturalist.org/observations/{number}",
        "user": {"id": 7, "login": LOGIN, "name": "A naturalist"},
        "taxon": taxon and dict(zip(("id", "name", "rank", "preferred_common_name"), taxon)),
        "observation_photos": [
            {
                "id": 10 * photo_id,
                "uuid": _uuid("observation photo", photo_id),
                "position": position,
                "photo": _photo(photo_id, ending),
            }
            for position, photo_id in enumerate(photo_ids)
        ],
        "photos": [_photo(photo_id, ending) for photo_id in photo_ids],
    }


def _photo(photo_id: int, ending: str) -> dict[str, Any]:
    return {
        "id": photo_id,
        "url": f"{_PLACE}/{photo_id}/square.{ending}",
        "license_code": "cc-by-nc",
        "attribution": "(c) A naturalist, some rights reserved (CC BY-NC)",
        "original_dimensions": {"width": _WIDTH_PX, "height": _HEIGHT_PX},
        "original_filename": f"IMG_{photo_id}.jpg",
    }


def _with_gaps(observation: dict[str, Any]) -> dict[str, Any]:
    """One photo was taken down, one is gone, and of the last nobody knows the position."""
    first, second, third = observation["observation_photos"]
    first["photo"]["url"] = "https://www.inaturalist.org/assets/copyright-infringement-square.png"
    second["photo"] = None
    third["position"] = None
    return observation


def _uuid(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"camtrail sandbox {kind} {number}"))
