"""Mapillary image description, the JSON that `mapillary_tools process` writes and `upload` reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from camtrail.core.model import Item
from camtrail.core.names import shown
from camtrail.core.plugins import Export
from camtrail.exports.values import capture_time, has_place, heading_deg, rounded, sequence_id

__all__ = ["PLUGIN", "write"]

# The format has no room for a name, and JSON allows white space anywhere: nobody else begins like this.
_MARK = b"[ \t\n"

_ERRORS = {
    "no_place": "MapillaryGeoTaggingError",
    "no_time": "MapillaryGeoTaggingError",
    "outside_track": "MapillaryOutsideGPXTrackError",
    "in_gap": "MapillaryOutsideGPXTrackError",
    "duplicate": "MapillaryDuplicationError",
    "unreadable": "MapillaryMetadataValidationError",
    "unsupported": "MapillaryMetadataValidationError",
}
_MESSAGES = {
    "no_place": "The photo has no position",
    "no_time": "The photo has no capture time",
    "outside_track": "The photo was taken before or after the track",
    "in_gap": "The photo was taken in a gap of the track",
    "duplicate": "The photo is a duplicate of its neighbour",
    "unreadable": "The file cannot be read",
    "unsupported": "The file is of no supported kind",
}
_NO_SERIAL = re.compile(r"[^A-Za-z0-9]")


def write(items: Iterable[Item], several_roots: bool) -> Iterator[bytes]:
    """A JSON array with one compact object a line, in the order of the items.

    A photo that has place and time and is located or estimated is an image; any other an entry that says
    what is wrong, which `mapillary_tools` passes over. So is a photo whose name is not UTF-8, since
    `mapillary_tools` cannot open it.

    Parameters
    ----------
    items : photos with what is known of them
    several_roots : makes no difference; the names are absolute

    Notes
    -----
    Schema: `ImageDescriptionFileSchema` of mapillary_tools 0.14.7. Holds one item at a time.
    """
    encode = msgspec.json.Encoder(order="sorted").encode
    yield _MARK
    before = b""
    for item in items:
        yield before + encode(_entry(item))
        before = b",\n"
    yield b"\n]\n"


def _entry(item: Item) -> dict[str, Any]:
    if item.outcome not in ("located", "estimated"):
        message = item.reason or item.message or _MESSAGES.get(item.outcome, item.outcome)
        return _error(item, _ERRORS.get(item.outcome, "MapillaryMetadataValidationError"), message)
    if not _is_unicode(item.file):
        return _error(item, _ERRORS["unreadable"], "The name of the file is not UTF-8: rename it")
    if not has_place(item):
        return _error(item, _ERRORS["no_place"], _MESSAGES["no_place"])
    time = capture_time(item)
    if time is None:
        return _error(item, _ERRORS["no_time"], _MESSAGES["no_time"])
    return _image(item, time)


def _image(item: Item, time: str) -> dict[str, Any]:
    heading = heading_deg(item)
    optional = {
        "MAPAltitude": rounded(item.alt_m, 3),
        "MAPCompassHeading": None
        if heading is None
        else {"TrueHeading": heading, "MagneticHeading": heading},
        "MAPSequenceUUID": sequence_id(item),
        "MAPDeviceMake": shown(item.make) if item.make else None,
        "MAPDeviceModel": shown(item.model) if item.model else None,
        "MAPCameraUUID": _NO_SERIAL.sub("", item.serial) or None if item.serial else None,
        "MAPOrientation": int(item.orientation) if 1 <= item.orientation <= 8 else None,
    }
    return {
        "filename": item.file,
        "filetype": "image",
        "filesize": item.size_bytes,
        "md5sum": None,  # the uploader computes it
        "MAPFilename": item.file.rpartition("/")[2],
        "MAPLatitude": rounded(item.lat_deg, 7),
        "MAPLongitude": rounded(item.lon_deg, 7),
        "MAPCaptureTime": time,
        **{key: value for key, value in optional.items() if value is not None},
    }


def _error(item: Item, kind: str, message: str) -> dict[str, Any]:
    return {
        "error": {"type": kind, "message": shown(message)},
        "filename": item.file if _is_unicode(item.file) else shown(item.file),
        "filetype": "image",
    }


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


PLUGIN = Export(
    name="description",
    about="Mapillary image description",
    suffixes=frozenset({".json"}),
    write=write,
    mark=_MARK,
)
