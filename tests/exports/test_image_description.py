"""The JSON in the EXIF ImageDescription: its keys, and that it is the same each time."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from camtrail.core.bytes import MemoryBytes
from camtrail.core.model import Item, Placement
from camtrail.exports import description
from camtrail.exports.image_description import DescriptionExtras, image_description, import_date_ms, settled
from camtrail.sources import json as json_source

NOTHING = DescriptionExtras()
KINDS = {"strings": str, "doubles": (int, float), "longs": int, "dates": int, "booleans": bool}
KEYS = {
    "MAPAltitude": float, "MAPCaptureTime": str, "MAPCompassHeading": dict, "MAPDeviceMake": str,
    "MAPDeviceModel": str, "MAPGPSAccuracyMeters": float, "MAPLatitude": float, "MAPLongitude": float,
    "MAPMetaTags": dict, "MAPOrganizationKey": str, "MAPOrientation": int, "MAPPhotoUUID": str, "MAPPrivate": bool,
    "MAPSequenceUUID": str, "MAPSettingsUserKey": str, "MAPSettingsUsername": str,
}  # fmt: skip
FULL = DescriptionExtras(
    user_name="jürgen",
    user_key="key1",
    organization_key="org1",
    is_private=False,
    orientation=8,
    make="Maker",
    model="Model 2",
    accuracy_m=2.5,
    original_file_name="day 1/ä.jpg",
    import_date_ms=1700000000123,
    meta_tags={
        "strings": [{"key": "who", "value": "me"}],
        "doubles": [{"key": "d", "value": 1.5}, {"key": "e", "value": 2}],
        "longs": [{"key": "l", "value": 3}],
        "dates": [{"key": "t", "value": 4}],
        "booleans": [{"key": "b", "value": True}],
    },
    photo_key="sha256:ab",
)


def described(item: Item, more: DescriptionExtras = NOTHING) -> dict[str, Any]:
    """The JSON, once its form is found right."""
    text = image_description(item, more)
    assert text.isascii() and "\n" not in text and "\0" not in text
    made = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert text == json.dumps(made, sort_keys=True, separators=(",", ":"))
    text.encode().decode("ascii").encode("utf-8")
    assert set(made) <= set(KEYS)
    assert {key: type(value) for key, value in made.items()} == {key: KEYS[key] for key in made}
    assert uuid.UUID(made["MAPPhotoUUID"]).version == 5
    for kind, tags in made.get("MAPMetaTags", {}).items():
        assert tags
        for tag in tags:
            assert set(tag) == {"key", "value"} and isinstance(tag["value"], KINDS[kind])
    return made


def test_all_of_it(make) -> None:
    item = make(heading_deg=12.34567, alt_m=400.56749, order_s=1700000000.57)
    assert described(item, FULL) == {
        "MAPAltitude": 400.567,
        "MAPCaptureTime": "2023_11_14_22_13_20_570",
        "MAPCompassHeading": {"MagneticHeading": 12.346, "TrueHeading": 12.346},
        "MAPDeviceMake": "Maker",
        "MAPDeviceModel": "Model 2",
        "MAPGPSAccuracyMeters": 2.5,
        "MAPLatitude": 47.1234567,
        "MAPLongitude": 8.2,
        "MAPMetaTags": {
            "booleans": [{"key": "b", "value": True}],
            "dates": [{"key": "t", "value": 4}, {"key": "import_date", "value": 1700000000123}],
            "doubles": [{"key": "d", "value": 1.5}, {"key": "e", "value": 2}],
            "longs": [{"key": "l", "value": 3}],
            "strings": [
                {"key": "who", "value": "me"},
                {"key": "original_file_name", "value": "day 1/ä.jpg"},
            ],
        },
        "MAPOrganizationKey": "org1",
        "MAPOrientation": 8,
        "MAPPhotoUUID": "f1ee53ea-cef5-50bf-93fa-fff430b93b4c",
        "MAPPrivate": False,
        "MAPSequenceUUID": "seq-1",
        "MAPSettingsUserKey": "key1",
        "MAPSettingsUsername": "jürgen",
    }


def test_without_extras_it_is_what_the_photo_knows(make) -> None:
    made = described(make())
    del made["MAPPhotoUUID"]
    assert made == {
        "MAPAltitude": 400.5,
        "MAPCaptureTime": "2023_11_14_22_13_20_000",
        "MAPCompassHeading": {"MagneticHeading": 90.0, "TrueHeading": 90.0},
        "MAPDeviceMake": "Make",
        "MAPDeviceModel": "Model",
        "MAPLatitude": 47.1234567,
        "MAPLongitude": 8.2,
        "MAPOrientation": 6,
        "MAPSequenceUUID": "seq-1",
    }


def test_nothing_known_is_nothing_but_a_name(make) -> None:
    assert set(described(make.bare())) == {"MAPPhotoUUID"}


def test_it_says_the_same_as_the_description_file(make) -> None:
    item = make(lat_deg=-0.00000004, lon_deg=179.99999996, heading_deg=359.9996, alt_m=-0.0001, order_s=1700000000.0005,
                sequence="a b/ü", make="M\n")  # fmt: skip
    (entry,) = json.loads(b"".join(description.write([item], False)))
    made = described(item)
    shared = set(made) & set(entry)
    assert shared >= set(made) - {"MAPPhotoUUID"}
    assert {key: made[key] for key in shared} == {key: entry[key] for key in shared}


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"lat_deg": math.nan}, {"MAPLatitude", "MAPLongitude"}),
        ({"lon_deg": 180.5}, {"MAPLatitude", "MAPLongitude"}),
        ({"alt_m": math.nan}, {"MAPAltitude"}),
        ({"time_s": math.nan, "order_s": math.nan}, {"MAPCaptureTime"}),
        ({"heading_deg": math.nan}, {"MAPCompassHeading"}),
        ({"sequence": None}, {"MAPSequenceUUID"}),
        ({"make": None}, {"MAPDeviceMake"}),
        ({"model": ""}, {"MAPDeviceModel"}),
        ({"orientation": math.nan}, {"MAPOrientation"}),
        ({"orientation": 2.0}, {"MAPOrientation"}),
    ],
)
def test_what_is_unknown_is_absent(make, changes: dict[str, Any], absent: set[str]) -> None:
    assert set(described(make())) - set(described(make(**changes))) == absent


@pytest.mark.parametrize("accuracy", [None, math.nan, math.inf])
def test_an_accuracy_is_never_made_up(make, accuracy: float | None) -> None:
    made = described(make(error_m=3.0, dop=1.0), DescriptionExtras(accuracy_m=accuracy))
    assert "MAPGPSAccuracyMeters" not in made


def test_zero_and_false_are_values(make) -> None:
    item = make(lat_deg=0.0, lon_deg=-0.0, alt_m=-0.0, heading_deg=0.0, order_s=0.0)
    text = image_description(item, DescriptionExtras(accuracy_m=0.0, import_date_ms=0, is_private=False))
    made = json.loads(text)
    assert "-0" not in text.replace(made["MAPPhotoUUID"], "")
    assert (made["MAPLatitude"], made["MAPLongitude"], made["MAPAltitude"]) == (0.0, 0.0, 0.0)
    assert made["MAPCompassHeading"] == {"MagneticHeading": 0.0, "TrueHeading": 0.0}
    assert made["MAPCaptureTime"] == "1970_01_01_00_00_00_000"
    assert (made["MAPGPSAccuracyMeters"], made["MAPPrivate"]) == (0.0, False)
    assert made["MAPMetaTags"] == {"dates": [{"key": "import_date", "value": 0}]}


def test_every_extra_is_told(make) -> None:
    item = make()
    whole = image_description(item, FULL)
    for field in fields(DescriptionExtras):
        nothing: Any = {} if field.name == "meta_tags" else None
        assert image_description(item, replace(FULL, **{field.name: nothing})) != whole, field.name


def test_the_path_of_the_home_is_not_told(make) -> None:
    item = make(root="/home/someone/photos", file="/home/someone/photos/day 1/a.jpg")
    assert "someone" not in image_description(item, DescriptionExtras(original_file_name=item.path))


def test_options_win_over_given_tags_of_the_same_key(make) -> None:
    given_tags = {
        "strings": [{"key": "original_file_name", "value": "old"}, {"key": "a", "value": "b"}],
        "dates": [],
    }
    more = DescriptionExtras(meta_tags=given_tags, original_file_name="new.jpg")
    for _ in range(2):  # nothing is added to what was given
        assert described(make(), more)["MAPMetaTags"] == {
            "strings": [{"key": "a", "value": "b"}, {"key": "original_file_name", "value": "new.jpg"}]
        }
    assert given_tags["strings"][0]["value"] == "old" and len(given_tags["strings"]) == 2


def test_names_that_are_no_unicode_can_be_read_again(make) -> None:
    more = DescriptionExtras(original_file_name="a\udcff\n.jpg", user_name="\udcfe", photo_key="\udcff",
                             meta_tags={"strings": [{"key": "\udcff", "value": "\ud800"}]})  # fmt: skip
    made = described(make(file="/p/\udcff.jpg", make="\udcff", sequence="\udcff"), more)
    json.dumps(made, ensure_ascii=False).encode()  # no half of a pair
    assert made["MAPMetaTags"]["strings"] == [
        {"key": "\\xff", "value": "\\ud800"}, {"key": "original_file_name", "value": "a\\xff\n.jpg"}
    ]  # fmt: skip


def test_a_photo_is_named_by_its_key(make) -> None:
    more = DescriptionExtras(photo_key="k")
    other = make(path="b.jpg", time_s=5.0, order_s=5.0, make="Other", serial=None)
    one, two = described(make(), more)["MAPPhotoUUID"], described(other, more)["MAPPhotoUUID"]
    assert one == two != described(other, DescriptionExtras(photo_key="l"))["MAPPhotoUUID"]


def test_the_name_is_for_ever(make) -> None:
    """Ids of photos that are out in the world must not change with a release."""
    assert described(make())["MAPPhotoUUID"] == "2739091e-13f8-5b74-9924-7bbf5857f866"
    assert (
        described(make(), DescriptionExtras(photo_key="sha256:ab"))["MAPPhotoUUID"]
        == "f1ee53ea-cef5-50bf-93fa-fff430b93b4c"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "day 1/b.jpg"},
        {"time_s": 1700000001.0},
        {"time_s": math.nan},
        {"make": "Other"},
        {"model": None},
        {"serial": "SN 2"},
    ],
)
def test_without_a_key_another_photo_has_another_name(make, changes: dict[str, Any]) -> None:
    assert described(make(**changes))["MAPPhotoUUID"] != described(make())["MAPPhotoUUID"]


def test_without_a_key_the_name_outlives_what_a_run_changes(make) -> None:
    name = described(make())["MAPPhotoUUID"]
    moved = make(lat_deg=1.0, order_s=1700000000.5, root="/q", file="/q/elsewhere/a.jpg", path="elsewhere/a.jpg",
                 sequence=None, size_bytes=99, heading_deg=math.nan)  # fmt: skip
    assert described(moved)["MAPPhotoUUID"] == name
    assert described(make(time_s=1700000000.25))["MAPPhotoUUID"] == name
    # What an option put into the file is the photo's own in the next run.
    first = described(make(), DescriptionExtras(make="Test"))
    assert (
        first == described(make(make="Test"), DescriptionExtras(make="Test")) == described(make(make="Test"))
    )


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        ({"orientation": 90}, "orientation"),
        ({"orientation": 0}, "orientation"),
        ({"accuracy_m": -1.0}, "accuracy"),
        ({"meta_tags": {"texts": []}}, "texts"),
        ({"meta_tags": [{"key": "a", "value": "b"}]}, "strings"),
        ({"meta_tags": {"strings": 5}}, "strings"),
        ({"meta_tags": {"strings": ""}}, "strings"),
        ({"meta_tags": {"strings": "ab"}}, "strings"),
        ({"meta_tags": {"strings": {"key": "a"}}}, "strings"),
        ({"meta_tags": {"strings": ["ab"]}}, "strings"),
        ({"meta_tags": {"strings": [{"key": "a"}]}}, "strings"),
        ({"meta_tags": {"strings": [{"key": 1, "value": "a"}]}}, "strings"),
        ({"meta_tags": {"strings": [{"key": "a", "value": 1}]}}, "a in strings"),
        ({"meta_tags": {"doubles": [{"key": "a", "value": "1"}]}}, "a in doubles"),
        ({"meta_tags": {"doubles": [{"key": "a", "value": math.nan}]}}, "a in doubles"),
        ({"meta_tags": {"doubles": [{"key": "a", "value": True}]}}, "a in doubles"),
        ({"meta_tags": {"longs": [{"key": "a", "value": 1.0}]}}, "a in longs"),
        ({"meta_tags": {"longs": [{"key": "a", "value": True}]}}, "a in longs"),
        ({"meta_tags": {"dates": [{"key": "a", "value": "2020"}]}}, "a in dates"),
        ({"meta_tags": {"booleans": [{"key": "a", "value": 1}]}}, "a in booleans"),
    ],
)
def test_what_is_no_extra(extras: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DescriptionExtras(**extras)


def test_our_reader_reads_it(make) -> None:
    item = make(alt_m=-3.25, heading_deg=12.5, order_s=1700000000.25)
    data = MemoryBytes(b'{"a.jpg":%b}' % image_description(item, FULL).encode())
    assert json_source.accepts(data.read_at(0, 4096))
    (placement,) = json_source.read(data, json_source.JsonOptions())
    assert isinstance(placement, Placement)
    assert (placement.file, placement.lat_deg, placement.lon_deg) == ("a.jpg", 47.1234567, 8.2)
    assert (placement.alt_m, placement.heading_deg, placement.time_s) == (-3.25, 12.5, 1700000000.25)


texts = (
    st.none()
    | st.text(st.characters(exclude_categories=()))
    | st.text('a"\\\0\n\x7f\x80\udcff\ud800 ', max_size=5)
)
keyed = {
    "strings": st.text(st.characters(exclude_categories=())),
    "doubles": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "longs": st.integers(),
    "dates": st.integers(),
    "booleans": st.booleans(),
}
tags = st.fixed_dictionaries(
    {},
    optional={
        kind: st.lists(st.fixed_dictionaries({"key": st.text(), "value": value}), max_size=3)
        for kind, value in keyed.items()
    },
)
some_extras = st.builds(
    DescriptionExtras, user_name=texts, user_key=texts, organization_key=texts, is_private=st.none() | st.booleans(),
    orientation=st.sampled_from((None, 1, 3, 6, 8)), make=texts, model=texts,
    accuracy_m=st.none() | st.just(math.nan) | st.floats(min_value=0.0), original_file_name=texts,
    import_date_ms=st.none() | st.integers(), meta_tags=tags, photo_key=texts,
)  # fmt: skip


@st.composite
def some_items(draw: st.DrawFn) -> dict[str, Any]:
    """Changes to an Item: anything at all in what the description looks at."""
    names = ("lat_deg", "lon_deg", "alt_m", "heading_deg", "orientation", "time_s", "order_s", "error_m")
    changes: dict[str, Any] = {name: draw(st.floats() | st.floats(-400, 2e9)) for name in names}
    words = {name: draw(texts) for name in ("make", "model", "serial", "sequence")}
    return changes | words | {"file": "/p/" + draw(st.text(st.characters(exclude_categories=()), min_size=1))}


@given(changes=some_items(), more=some_extras)
@example(changes={}, more=FULL)
def test_whatever_is_known_is_json_that_comes_back(changes: dict[str, Any], more: DescriptionExtras) -> None:
    item = ITEM._replace(**changes)
    made = described(item, more)
    assert image_description(item, replace(more)) == image_description(item, more)
    json.dumps(made, ensure_ascii=False).encode()
    has_place = abs(item.lat_deg) <= 90 and abs(item.lon_deg) <= 180
    assert ("MAPLatitude" in made) == has_place == ("MAPLongitude" in made)
    if has_place:
        assert made["MAPLatitude"] == pytest.approx(item.lat_deg, abs=6e-8)
        assert made["MAPLongitude"] == pytest.approx(item.lon_deg, abs=6e-8)
    assert ("MAPAltitude" in made) == math.isfinite(item.alt_m)
    assert made.get("MAPPrivate") == more.is_private
    if more.orientation is not None:
        assert made["MAPOrientation"] == more.orientation


ITEM = Item(
    "a.jpg", "/p", "/p/a.jpg", 1700000000.0, 1700000000.0, math.nan, "gps", 47.1, 8.2, 400.5, "exif", 90.0, "exif", "T",
    math.nan, math.nan, math.nan, "s", 0, None, "located", None, "Make", "Model", None, 6.0, 4000.0, 3000.0, 1234, 1.0,
    None, None,
)  # fmt: skip


class TestSettled:
    """A description over the one that is there."""

    def text(self, more: DescriptionExtras | None = None, **changes: Any) -> str:
        key = replace(more or DescriptionExtras(), photo_key="k")
        return image_description(ITEM._replace(**changes), key)

    def test_the_same_but_for_rounding_is_the_old_text(self) -> None:
        old = json.dumps(json.loads(self.text()), indent=2)
        near = self.text(lat_deg=47.1 + 9e-8, alt_m=400.51, heading_deg=90.04, order_s=1700000000.001)
        assert near != self.text() and settled(old, near) == old

    def test_what_differs_is_new(self) -> None:
        for changes in ({"lat_deg": 47.1 + 1e-6}, {"alt_m": 401.0}, {"heading_deg": 91.0}, {"order_s": 1.7e9 + 1},
                        {"sequence": "t"}, {"make": "Other"}, {"orientation": 3.0}):  # fmt: skip
            assert settled(self.text(), self.text(**changes)) == self.text(**changes)

    def test_a_derived_heading_does_not_replace_one_that_is_there(self) -> None:
        assert settled(self.text(), self.text(heading_deg=5.0), is_derived=True) == self.text()
        none = self.text(heading_deg=math.nan)
        assert settled(none, self.text(heading_deg=5.0), is_derived=True) == self.text(heading_deg=5.0)

    def test_what_earlier_runs_knew_stays(self) -> None:
        first = self.text(
            DescriptionExtras(accuracy_m=2.0, user_name="u", original_file_name="a", import_date_ms=5)
        )
        made = json.loads(settled(first, self.text(DescriptionExtras(original_file_name="b"))))
        assert (made["MAPGPSAccuracyMeters"], made["MAPSettingsUsername"]) == (2.0, "u")
        assert made["MAPMetaTags"]["dates"] == [{"key": "import_date", "value": 5}]
        assert made["MAPMetaTags"]["strings"] == [{"key": "original_file_name", "value": "b"}]
        assert import_date_ms(first) == 5

    def test_what_was_anothers_does_not_stay(self) -> None:
        first = self.text(
            DescriptionExtras(
                accuracy_m=2.0, user_name="u", user_key="1", organization_key="o", is_private=True
            )
        )
        made = json.loads(settled(first, self.text(DescriptionExtras(user_name="v"))))
        assert {key for key in made if key.startswith(("MAPSettings", "MAPOrg", "MAPPriv"))} == {
            "MAPSettingsUsername"
        }
        assert (made["MAPSettingsUsername"], made["MAPGPSAccuracyMeters"]) == ("v", 2.0)

    @pytest.mark.parametrize(
        "old",
        [
            None,
            "",
            "a caption",
            "[1]",
            '{"MAPPhotoUUID": "other", "MAPGPSAccuracyMeters": 1}',
            "[" * 100000,
            "5",
        ],
    )
    def test_what_counts_for_nothing(self, old: str | None) -> None:
        assert settled(old, self.text()) == self.text()
        assert import_date_ms(old) is None

    def test_addresses_and_hashes_of_old_tools_do_not_stay(self) -> None:
        old = json.loads(self.text()) | {"MAPSettingsEmail": "a@b", "MAPSettingsUploadHash": "c"}
        assert settled(json.dumps(old), self.text()) == self.text()

    @given(old=some_items(), new=some_items(), one=some_extras, two=some_extras)
    def test_settled_is_settled(
        self, old: dict[str, Any], new: dict[str, Any], one: DescriptionExtras, two: DescriptionExtras
    ) -> None:
        before, after = self.text(one, **old), self.text(two, **new)
        made = settled(before, after)
        assert settled(made, after) == made and settled(before, before) == before
