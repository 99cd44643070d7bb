"""Mapillary's description of one photo, the JSON that its tools put into the EXIF ImageDescription.

The file that describes many photos is `description`.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from camtrail.core.model import Item
from camtrail.core.names import plain, shown
from camtrail.exports.values import capture_time, has_place, heading_deg, rounded, sequence_id

__all__ = ["DescriptionExtras", "image_description", "import_date_ms", "settled"]

_NAMES = uuid.uuid5(uuid.NAMESPACE_OID, "camtrail photo")
_ORIENTATIONS = (1, 3, 6, 8)  # the mirrored ones are none that Mapillary knows


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


_KINDS: dict[str, Callable[[object], bool]] = {
    "strings": lambda value: isinstance(value, str),
    "doubles": _is_number,
    "longs": _is_whole,
    "dates": _is_whole,  # milliseconds since 1970
    "booleans": lambda value: isinstance(value, bool),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionExtras:
    """What the description says beside what an Item knows; absent where None, NaN or empty.

    Raises ValueError for an orientation that is none of the four, a negative accuracy, and meta tags of another
    shape.
    """

    user_name: str | None = None
    user_key: str | None = None
    organization_key: str | None = None
    is_private: bool | None = None
    orientation: int | None = None  # 1, 3, 6 or 8; instead of the photo's own, as are the next two
    make: str | None = None
    model: str | None = None
    accuracy_m: float | None = None  # of the GPS receiver
    original_file_name: str | None = None  # relative to the PATH it was found under: says nothing of the home
    import_date_ms: int | None = None  # since 1970; set once and kept
    meta_tags: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Of any of strings, doubles, longs, dates (milliseconds since 1970), booleans: lists of {key, value}."""
    photo_key: str | None = None  # identity of the picture, which names it for ever

    def __post_init__(self) -> None:
        if self.orientation is not None and self.orientation not in _ORIENTATIONS:
            raise ValueError(f"an orientation is 1, 3, 6 or 8, not {self.orientation}")
        if self.accuracy_m is not None and self.accuracy_m < 0.0:
            raise ValueError(f"an accuracy is 0 or more, not {self.accuracy_m:g}")
        if not isinstance(self.meta_tags, Mapping):
            raise ValueError(f"meta tags are an object with lists of {', '.join(_KINDS)}")
        for kind, tags in self.meta_tags.items():
            if kind not in _KINDS:
                raise ValueError(f"meta tags are {', '.join(_KINDS)}, not {shown(str(kind))}")
            for tag in tags if isinstance(tags, list | tuple) else (None,):
                _check(kind, tag)


def _check(kind: str, tag: object) -> None:
    if not isinstance(tag, Mapping) or set(tag) != {"key", "value"} or not isinstance(tag["key"], str):
        raise ValueError(f"the meta tags in {kind} are no list of objects with key and value")
    if not _KINDS[kind](tag["value"]):
        raise ValueError(f"the meta tag {shown(tag['key'])} in {kind} has a value of another type")


def image_description(item: Item, more: DescriptionExtras) -> str:
    """Compact JSON in ASCII, sorted by key, with what is known and nothing else.

    Position, altitude, direction, time and sequence are the item's, rounded as in the description file. The
    e-mail address and the hash of the upload token, which the first tools put there, have no place in it.

    Notes
    -----
    Keys: mapillary_tools of 2018. MAPPhotoUUID is uuid5 of `photo_key`; without one of the file's name, the
    second of its capture and the camera, so that writing it again changes nothing. MAPCaptureTime is UTC.
    MAPOrientation is left out where it is mirrored. One heading stands for both norths, as in Mapillary's own.
    """
    heading = heading_deg(item)
    place = (item.lat_deg, item.lon_deg) if has_place(item) else (math.nan, math.nan)
    make, model = more.make or item.make, more.model or item.model
    orientation = item.orientation if more.orientation is None else more.orientation
    known: dict[str, Any] = {
        "MAPAltitude": rounded(item.alt_m, 3),
        "MAPCaptureTime": capture_time(item),
        "MAPCompassHeading": None
        if heading is None
        else {"TrueHeading": heading, "MagneticHeading": heading},
        "MAPDeviceMake": shown(make) if make else None,
        "MAPDeviceModel": shown(model) if model else None,
        "MAPGPSAccuracyMeters": None if more.accuracy_m is None else rounded(more.accuracy_m, 3),
        "MAPLatitude": rounded(place[0], 7),
        "MAPLongitude": rounded(place[1], 7),
        "MAPMetaTags": _meta_tags(more) or None,
        "MAPOrganizationKey": plain(more.organization_key) if more.organization_key else None,
        "MAPOrientation": int(orientation) if orientation in _ORIENTATIONS else None,
        "MAPPhotoUUID": _photo_id(item, make, model, more.photo_key),
        "MAPPrivate": more.is_private,
        "MAPSequenceUUID": sequence_id(item),
        "MAPSettingsUserKey": plain(more.user_key) if more.user_key else None,
        "MAPSettingsUsername": plain(more.user_name) if more.user_name else None,
    }
    present = {key: value for key, value in known.items() if value is not None}
    return json.dumps(present, sort_keys=True, separators=(",", ":"), allow_nan=False)


# What one run knows of a photo and the next one need not be told again.
_USER = "MAPSettingsUsername"
_OF_ANYBODY = ("MAPGPSAccuracyMeters",)
_LASTING = (*_OF_ANYBODY, "MAPOrganizationKey", "MAPPrivate", "MAPSettingsUserKey", _USER)
# How far apart two values are that differ in nothing but their last digits, and those of a heading.
_WITHIN = {"MAPLatitude": 1.5e-7, "MAPLongitude": 1.5e-7, "MAPAltitude": 0.011}
_TURN_DEG = 0.05
_TIME_S = 0.002


def import_date_ms(description: str | None) -> int | None:
    """The date of the import that a description has, milliseconds since 1970; None where it has none."""
    for tag in _tags_in(_parsed(description), "dates"):
        if tag["key"] == "import_date" and _is_whole(tag["value"]):
            return int(tag["value"])
    return None


def settled(old: str | None, new: str, *, is_derived: bool = False) -> str:
    """The description to be written over an old one: `new`, with what earlier runs knew and this one was not told.

    The old text itself, where nothing but last digits differ: places come back from EXIF rounded, and what is
    computed from them with them. So writing twice is writing once.

    Parameters
    ----------
    old : what the file says now; a caption, or the description of another picture, counts for nothing, and of
        another user's what is that user's
    is_derived : whether the new heading was derived from the sequence alone: one that is there wins over it
    """
    before, after = _parsed(old), json.loads(new)
    if before.get("MAPPhotoUUID") != after["MAPPhotoUUID"]:
        return new
    is_same_user = after.get(_USER) in (None, before.get(_USER))
    lasting = _LASTING if is_same_user else _OF_ANYBODY
    made = {key: before[key] for key in lasting if key in before} | after
    tags = {kind: list(_tags_in(before, kind)) for kind in _KINDS}
    for kind, given in after.get("MAPMetaTags", {}).items():
        keys = {tag["key"] for tag in given}
        tags[kind] = [tag for tag in tags[kind] if tag["key"] not in keys] + given
    if tags := {kind: sorted(found, key=lambda tag: tag["key"]) for kind, found in tags.items() if found}:
        made["MAPMetaTags"] = tags
    for key, within in _WITHIN.items():
        if _is_number(before.get(key)) and key in made and abs(before[key] - made[key]) <= within:
            made[key] = before[key]
    was, heading = _heading_in(before), _heading_in(made)
    if was is not None and (is_derived or (heading is not None and _turn(was, heading) <= _TURN_DEG)):
        made["MAPCompassHeading"] = before["MAPCompassHeading"]
    if _seconds_apart(before.get("MAPCaptureTime"), made.get("MAPCaptureTime")) <= _TIME_S:
        made["MAPCaptureTime"] = before["MAPCaptureTime"]
    if old is not None and _in_order(made) == _in_order(before):
        return old
    return json.dumps(made, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _in_order(description: Mapping[str, Any]) -> dict[str, Any]:
    """With the meta tags in the order of their keys, which says nothing."""
    tags = {
        kind: sorted(found, key=lambda tag: tag["key"])
        for kind in _KINDS
        if (found := _tags_in(description, kind))
    }
    return {**description, "MAPMetaTags": tags}


def _parsed(description: str | None) -> dict[str, Any]:
    """A description as it was written; empty where it is a caption."""
    try:
        found = json.loads(description or "")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _tags_in(description: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    tags = description.get("MAPMetaTags")
    found = tags.get(kind) if isinstance(tags, dict) else None
    try:
        for tag in found or ():
            _check(kind, tag)
    except (ValueError, TypeError):
        return []
    return list(found or ())


def _heading_in(description: Mapping[str, Any]) -> float | None:
    both = description.get("MAPCompassHeading")
    heading = both.get("TrueHeading") if isinstance(both, dict) else None
    return float(heading) if isinstance(heading, int | float) and _is_number(heading) else None


def _turn(a_deg: float, b_deg: float) -> float:
    return abs((a_deg - b_deg + 180.0) % 360.0 - 180.0)


def _seconds_apart(one: object, other: object) -> float:
    """Of two capture times; infinite where one is none."""
    try:
        a, b = (datetime.strptime(f"{t}000", "%Y_%m_%d_%H_%M_%S_%f") for t in (one, other))
    except ValueError:
        return math.inf
    return abs((a - b).total_seconds())


def _photo_id(item: Item, make: str | None, model: str | None, photo_key: str | None) -> str:
    """uuid5 of what names the photo."""
    if photo_key is not None:
        return str(uuid.uuid5(_NAMES, plain(photo_key)))
    # The whole second: fractions of it are spread over a burst, and depend on the photos beside it.
    second = str(math.floor(round(item.time_s, 3))) if math.isfinite(item.time_s) else ""
    # The camera as it will stand in the file, so that the next run finds the same.
    parts = (item.file.rpartition("/")[2], second, make, model, item.serial)
    return str(uuid.uuid5(_NAMES, "\n".join(shown(part or "") for part in parts)))


def _meta_tags(more: DescriptionExtras) -> dict[str, list[dict[str, Any]]]:
    """Those given, and those of the options, which win over tags of the same key."""
    made = {
        kind: [{"key": plain(tag["key"]), "value": _value(tag["value"])} for tag in tags]
        for kind, tags in more.meta_tags.items()
    }
    for kind, key, value in (
        ("strings", "original_file_name", more.original_file_name),
        ("dates", "import_date", more.import_date_ms),
    ):
        if value is not None:
            others = [tag for tag in made.get(kind, ()) if tag["key"] != key]
            made[kind] = [*others, {"key": key, "value": _value(value)}]
    return {kind: tags for kind, tags in made.items() if tags}


def _value(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value
