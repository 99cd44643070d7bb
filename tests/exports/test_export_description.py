"""The description against the rules of `ImageDescriptionFileSchema` (mapillary_tools 0.14.7), written out."""

from __future__ import annotations

import json
import math
import os
import re
from datetime import datetime

import pytest

from camtrail.exports.description import write

NUMBERS = {"MAPLatitude", "MAPLongitude", "MAPAltitude", "MAPGPSAccuracyMeters", "filesize"}
TEXTS = {"MAPCaptureTime", "MAPSequenceUUID", "MAPDeviceMake", "MAPDeviceModel", "MAPCameraUUID", "MAPFilename",
         "filename", "filetype"}  # fmt: skip
REQUIRED = {"MAPLatitude", "MAPLongitude", "MAPCaptureTime", "filename", "filetype"}


def entries(*items) -> list:
    return json.loads(b"".join(write(items, False)))


def check(entry: dict) -> None:
    """Raises AssertionError where `mapillary_tools upload` would refuse the entry."""
    assert entry["filename"].startswith("/")
    assert entry["filetype"] == "image"
    if "error" in entry:
        assert set(entry) == {"error", "filename", "filetype"}
        assert set(entry["error"]) <= {"type", "message", "vars"}
        assert re.fullmatch(r"Mapillary\w+Error", entry["error"]["type"])
        assert entry["error"]["message"]
        return
    assert set(entry) >= REQUIRED
    assert set(entry) <= NUMBERS | TEXTS | {"MAPCompassHeading", "MAPOrientation", "md5sum"}
    assert all(type(entry[k]) in (int, float) for k in NUMBERS & set(entry))
    assert all(type(entry[k]) is str for k in TEXTS & set(entry))
    assert abs(entry["MAPLatitude"]) <= 90 and abs(entry["MAPLongitude"]) <= 180
    assert re.fullmatch(r"\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d_\d{3}", entry["MAPCaptureTime"])
    datetime.strptime(entry["MAPCaptureTime"], "%Y_%m_%d_%H_%M_%S_%f")
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", entry.get("MAPSequenceUUID", "0"))
    assert type(entry.get("MAPOrientation", 1)) is int
    assert entry["md5sum"] is None
    heading = entry.get("MAPCompassHeading", {"TrueHeading": 0.0, "MagneticHeading": 0.0})
    assert set(heading) == {"TrueHeading", "MagneticHeading"}
    assert 0 <= heading["TrueHeading"] == heading["MagneticHeading"] < 360


def test_an_image(make) -> None:
    (entry,) = entries(make(heading_deg=12.34567, alt_m=400.50049))
    check(entry)
    assert list(entry) == sorted(entry)
    assert entry == {
        "MAPAltitude": 400.5,
        "MAPCameraUUID": "SN12",
        "MAPCaptureTime": "2023_11_14_22_13_20_000",
        "MAPCompassHeading": {"MagneticHeading": 12.346, "TrueHeading": 12.346},
        "MAPDeviceMake": "Make",
        "MAPDeviceModel": "Model",
        "MAPFilename": "a.jpg",
        "MAPLatitude": 47.1234567,
        "MAPLongitude": 8.2,
        "MAPOrientation": 6,
        "MAPSequenceUUID": "seq-1",
        "filename": "/p/day 1/a.jpg",
        "filesize": 1234,
        "filetype": "image",
        "md5sum": None,
    }


def test_only_what_is_known(make) -> None:
    bare = make.bare(outcome="estimated", lat_deg=0.0, lon_deg=8.0, time_s=0.0)
    (entry,) = entries(bare)
    check(entry)
    assert set(entry) == REQUIRED | {"MAPFilename", "filesize", "md5sum"}
    assert entry["MAPCaptureTime"] == "1970_01_01_00_00_00_000"


@pytest.mark.parametrize(
    ("order_s", "tail"),
    [
        (1700000000.5, "20_500"),
        (1700000000.57, "20_570"),  # stored as .5699999332
        (1700000000.999999, "20_999"),
        (1700000000.3333333, "20_333"),
        (1699999999.9999999, "20_000"),
        (-0.25, "59_750"),
    ],
)
def test_milliseconds_are_cut_off(make, order_s: float, tail: str) -> None:
    assert entries(make(order_s=order_s))[0]["MAPCaptureTime"].endswith(tail)


def test_any_millisecond_comes_back(make) -> None:
    wanted = [*range(0, 4_000_000_000_000, 33_333_331_337), *range(1_700_000_000_000, 1_700_000_003_000)]
    back = [
        datetime.strptime(entry["MAPCaptureTime"], "%Y_%m_%d_%H_%M_%S_%f") - datetime(1970, 1, 1)
        for entry in entries(*(make(order_s=ms / 1000) for ms in wanted))
    ]
    assert [round(b.total_seconds() * 1000) for b in back] == wanted


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("no_place", "MapillaryGeoTaggingError"),
        ("no_time", "MapillaryGeoTaggingError"),
        ("outside_track", "MapillaryOutsideGPXTrackError"),
        ("in_gap", "MapillaryOutsideGPXTrackError"),
        ("duplicate", "MapillaryDuplicationError"),
        ("unreadable", "MapillaryMetadataValidationError"),
        ("unsupported", "MapillaryMetadataValidationError"),
    ],
)
def test_errors(make, outcome: str, kind: str) -> None:
    told, silent = entries(make(outcome=outcome, reason="because"), make(outcome=outcome))
    check(told)
    check(silent)
    assert told["error"] == {"type": kind, "message": "because"}
    assert silent["error"]["type"] == kind


def test_located_without_time_or_place_is_an_error(make) -> None:
    for item in (make(time_s=math.nan, order_s=math.nan), make(lat_deg=math.nan)):
        (entry,) = entries(item)
        check(entry)
        assert entry["error"]["type"] == "MapillaryGeoTaggingError"


def test_a_name_that_is_not_utf8_is_an_error(make) -> None:
    (entry,) = entries(make(path=os.fsdecode(b"caf\xe9.jpg")))
    check(entry)
    assert entry["filename"] == "/p/caf\\xe9.jpg"
    assert "not UTF-8" in entry["error"]["message"]


def test_a_name_with_odd_characters_stays_the_name(make) -> None:
    name = 'a\n"\u202e<é>.jpg'
    (entry,) = entries(make(path=name))
    assert (entry["filename"], entry["MAPFilename"]) == ("/p/" + name, name)


def test_ids_have_the_characters_of_the_schema(make) -> None:
    (entry,) = entries(make(sequence="a b/ü", serial="é-/_", orientation=9.0))
    check(entry)
    assert entry["MAPSequenceUUID"] == "a_b__"
    assert "MAPCameraUUID" not in entry and "MAPOrientation" not in entry
