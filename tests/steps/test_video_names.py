"""Camera, time and place out of names of videos, the same on every machine."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import UsageError
from camtrail.steps.video_names import ClockRule, Name, compiled, given_name, parse, wire_time

DEFAULT = r".*/(?P<camera>\w+?)\-.*\-(?P<epoch>\d+)\.mp4"
SHORT = r".*/(?P<camera>\w+?)\-(?P<epoch>\d+)\.mp4"
EXAMPLE = r".*/(?P<camera>.*_\D+)\d+\-.*\-(?P<epoch>\d+)\.mp4"
WINDOWS = r".*[\\](?P<camera>.*_\D+)\d+\-.*\-(?P<epoch>\d+)\.mp4"
STAMP = r".*/(?P<camera>\w+?)-(?P<timestamp>.+)\.mp4"
TAKEN_S = 1476014557.0
PLAIN = ClockRule()
BERLIN = "Europe/Berlin"


def of(relative: str, regex: str = DEFAULT, rule: ClockRule = PLAIN, folder: str = "/data/in") -> Name:
    """What the name of a file below a folder tells."""
    return parse(f"{folder}/{relative}", relative, compiled(regex), rule)


def stamp(text: str, **rule: Any) -> Name:
    return of(f"cam-{text}.mp4", STAMP, ClockRule(**rule))


@pytest.fixture(params=["America/Los_Angeles", "UTC", "Asia/Kolkata"])
def zone_of_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TZ", request.param)
    if hasattr(time, "tzset"):
        time.tzset()
    return str(request.param)


# ---- documented names

FRONT, HI, OFFICE, SUB = (
    "CAMERA_FRONT-rand-1475973147.mp4", "C2_Hi20161009-120237-1476014557.mp4", "office_street-1495068758.mp4",
    "sub-dir/x-1.mp4",
)  # fmt: skip


@pytest.mark.parametrize(
    ("regex", "name", "camera", "epoch"),
    [
        (DEFAULT, FRONT, "CAMERA_FRONT", 1475973147),
        (DEFAULT, HI, "C2_Hi20161009", 1476014557),
        (DEFAULT, OFFICE, None, None),
        (DEFAULT, SUB, "sub", 1),
        (SHORT, FRONT, None, None),
        (SHORT, HI, None, None),
        (SHORT, OFFICE, "office_street", 1495068758),
        (SHORT, SUB, "x", 1),
        (EXAMPLE, FRONT, None, None),
        (EXAMPLE, HI, "C2_Hi", 1476014557),
        (EXAMPLE, OFFICE, None, None),
        (EXAMPLE, SUB, None, None),
        (WINDOWS, FRONT, None, None),
        (WINDOWS, HI, "C2_Hi", 1476014557),
    ],
)
@pytest.mark.usefixtures("zone_of_machine")
def test_documented_patterns_find_what_is_documented(
    regex: str, name: str, camera: str | None, epoch: int | None
) -> None:
    for folder in ("/data/in", r"C:\data\in"):
        found = of(name.replace("/", "\\") if "\\" in folder else name, regex, folder=folder)
        assert (found.camera, found.time_s) == (camera, epoch)
        assert found.time_source == ("epoch" if epoch else None)
        assert found.matched == ("path" if camera else None)


def test_documented_constants() -> None:
    assert hashlib.sha1(b"C2_Hi").hexdigest() == "5f72bf2d11034854c0ff34ff54b8b0b74b138e50"
    assert wire_time(1476014557) == "2016-10-09T12:02:37.000"
    assert wire_time(1476018757) == "2016-10-09T13:12:37.000"
    start_s = stamp("2016-10-09T06:12:37.000", time_zone="UTC").time_s
    assert start_s is not None and wire_time(start_s + 599.993) == "2016-10-09T06:22:36.993"
    sha1 = "81219708c6fe2a5eb9cb35896b8ed78610ce9c6f"
    assert hashlib.sha1(b"C2_Hi20161009").hexdigest() == sha1
    assert given_name("C2_Hi", wire_time(TAKEN_S), sha1) == f"C2_Hi.2016-10-09T12:02:37.000.{sha1}.mp4"


# ---- the pattern


def test_a_pattern_that_is_none_is_refused_with_its_place() -> None:
    with pytest.raises(UsageError, match=r"--regex.*missing \), unterminated subpattern, at character 3"):
        compiled(".*(?P<camera>x")
    with pytest.raises(UsageError, match="is no regular expression"):
        compiled(r"(?P<camera>x{99999999999999999999})")
    with pytest.raises(UsageError, match="has no group 'camera'"):
        compiled(r".*/(?P<epoch>\d+)\.mp4")
    with pytest.raises(UsageError, match="is no regular expression"):
        compiled("(" * 5000)


def test_a_group_that_means_nothing_gets_a_warning_that_lists_those_that_do() -> None:
    (warning,) = compiled(r".*/(?P<camera>\w+)-(?P<when>\d+)").warnings
    assert "'when'" in warning and "camera_name" in warning and "epoch" in warning
    assert not compiled(DEFAULT).warnings


def test_python_s_own_warnings_are_not_the_user_s() -> None:
    assert compiled(r".*/(?P<camera>[[a-z]+)-(?P<epoch>\d+)").regex.groups == 2


@pytest.mark.parametrize("camera", ["camera", "camera_name"])
@pytest.mark.parametrize("lat", ["lat", "latitude"])
@pytest.mark.parametrize("lng", ["lng", "lon", "longitude"])
def test_groups_have_other_names(camera: str, lat: str, lng: str) -> None:
    number = r"-?\d+(?:\.\d+)?"
    regex = rf".*/(?P<{camera}>\w+)_(?P<{lat}>{number})_(?P<{lng}>{number})_(?P<alt>{number})_(?P<sequence>\w+)\.mp4"
    found = of("cam_-33.5_151.25_-12.5_007.mp4", regex)
    assert (found.camera, found.lat_deg, found.lng_deg, found.alt_m) == ("cam", -33.5, 151.25, -12.5)
    assert found.sequence == "007" and found.time_s is None and not found.problems


@pytest.mark.parametrize(
    ("lat", "lng", "problem"),
    [
        ("90.1", "0", "its latitude is none"), ("0", "181", "its longitude is none"), ("nan", "0", "latitude"),
        ("x", "1", "its latitude is none"), ("inf", "1", "latitude"), ("5", "", "has one half of a place"),
    ],
)  # fmt: skip
def test_a_place_that_there_cannot_be_is_absent(lat: str, lng: str, problem: str) -> None:
    found = of(f"cam_{lat}_{lng}.mp4", r".*/(?P<camera>\w+?)_(?P<lat>[^_]*)_(?P<lng>[^_]*)\.mp4")
    assert (found.lat_deg, found.lng_deg) == (None, None)
    assert any(problem in p for p in found.problems) and found.camera == "cam"


def test_absent_is_none_and_never_0() -> None:
    found = of("cam.mp4", r".*/(?P<camera>\w+)(?:-(?P<epoch>\d+))?(?:_(?P<lat>\d+)_(?P<lng>\d+))?\.mp4")
    assert found == Name("cam", matched="path")


# ---- where it matches


def test_a_camera_of_a_folder_s_part_is_taken_with_a_problem() -> None:
    found = of(SUB)
    assert found.camera == "sub" and "its camera is a part of a folder's name" in found.problems


def test_a_camera_of_a_part_of_a_folder_above_is_none() -> None:
    found = of(OFFICE, folder="/mnt/disk-1/in")
    assert found.camera is None and "folders above" in found.problems[0]


def test_the_file_s_own_name_wins_over_a_folder() -> None:
    regex = r"/(?:[^/]+/)*?(?P<camera>\w+?)-.*?(?P<epoch>\d+)\.mp4"  # takes the first folder that fits
    found = of("garden-a/yard-1476014557.mp4", regex)
    assert (found.camera, found.matched, found.problems) == ("yard", "name", ())


@pytest.mark.parametrize("folder", ["/data/in", "/data/CAM1"])
def test_a_camera_of_a_folder_s_whole_name_is_meant(folder: str) -> None:
    regex = r".*/(?P<camera>CAM\d)/.*?(?P<epoch>\d+)\.mp4"
    found = of("2016/1476014557.mp4" if "CAM" in folder else "CAM1/2016/1476014557.mp4", regex, folder=folder)
    assert (found.camera, found.time_s, found.problems) == ("CAM1", TAKEN_S, ())


def test_a_pattern_may_be_written_for_the_relative_path_or_the_name() -> None:
    assert of("a/cam-1476014557.mp4", r"/a/(?P<camera>\w+)-(?P<epoch>\d+)").matched == "relative"
    assert of("a/cam-1476014557.mp4", r"/(?P<camera>\w+)-(?P<epoch>\d+)").matched == "name"
    assert of("cam-1476014557.mp4", r"/data/in/(?P<camera>\w+)-(?P<epoch>\d+)").matched == "path"


def test_no_match_is_said() -> None:
    found = of("holiday.mp4")
    assert found.camera is None and found.problems == ("its name does not match --regex",)


def test_more_may_follow_behind_the_pattern() -> None:
    assert of("cam-x-1476014557.mp4.bak").camera == "cam"


# ---- epochs


@given(st.integers(631152000, 4102444799), st.integers(0, 999_999_999))
def test_digits_tell_the_unit_of_an_epoch(second: int, nano: int) -> None:
    regex = r".*/(?P<camera>\w+?)-(?P<epoch>[\d.,]+)\.mp4"
    for text, parts in (
        (f"{second}", 1), (f"{second}{nano // 10**6:03}", 10**3), (f"{second}{nano // 10**3:06}", 10**6),
        (f"{second}{nano:09}", 10**9), (f"{second}.{nano:09}", 10**9), (f"{second},{nano // 10**6:03}", 10**3),
        (f"{second}{nano // 10**6:03}.{nano % 10**6:06}", 10**9),
    ):  # fmt: skip
        if len(str(second)) < 10 and len(text.partition(".")[0].partition(",")[0]) > 10:
            continue  # before 2001-09-09 finer epochs have a digit less
        expected = second + nano * parts // 10**9 / parts
        assert of(f"cam-{text}.mp4", regex).time_s == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("digits", range(1, 10))
def test_short_epochs_are_seconds_and_get_a_problem(digits: int) -> None:
    found = of(f"cam-{10 ** (digits - 1)}.mp4", SHORT)
    assert found.time_s == 10 ** (digits - 1) and found.time_source == "epoch"
    assert found.problems == ("its time is before 1990 or after 2099",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("14760145570", "digits"), ("147601455700000000000", "digits"), ("0", "is 0"), ("0000000000", "is 0"),
        ("12.3.4", "no number"), ("-5", "no number"), ("1" * 5000, "digits"),
    ],
)  # fmt: skip
def test_an_epoch_that_is_none_is_absent_and_others_may_stand_in(text: str, problem: str) -> None:
    found = of(f"cam_{text}.mp4", r".*/(?P<camera>[a-z]+)_(?P<epoch>.*)\.mp4")
    assert found.time_s is None and problem in found.problems[0] and not found.blocks


def test_digits_of_other_scripts_count() -> None:
    assert of("cam-١٤٧٦٠١٤٥٥٧.mp4", SHORT).time_s == TAKEN_S


# ---- wall clocks


@pytest.mark.parametrize(
    "text",
    [
        "2016-10-09T14:02:37", "2016-10-09 14:02:37", "2016-10-09T14-02-37", "2016-10-09_14.02.37", "20161009T140237",
        "20161009-140237", "20161009_140237", "20161009140237", "20161009_140237.000", "2016-10-09T14:02:37,0",
        "2016-10-09T12:02:37Z", "2016-10-09T14:02:37+02:00", "20161009T050237-0700", "2016-10-09T17:32:37+05:30",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("zone_of_machine")
def test_a_timestamp_is_read_as_it_is_written(text: str) -> None:
    found = stamp(text, time_zone=BERLIN)
    assert (found.time_s, found.time_source, found.problems) == (TAKEN_S, "timestamp", ())


@given(
    st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)),
    st.sampled_from((BERLIN, "America/St_Johns", "UTC")),
)
def test_a_wall_clock_is_read_in_its_zone(moment: datetime, zone: str) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    there = moment.astimezone(ZoneInfo(zone))
    text = there.strftime("%Y%m%d_%H%M%S") + f".{there.microsecond // 1000:03}"
    found = stamp(text, time_zone=zone, dst_fold="second" if there.fold else "first")
    assert found.time_s == pytest.approx(moment.timestamp(), abs=1e-6)
    assert wire_time(found.time_s) == moment.isoformat(timespec="milliseconds")[:-6]


def test_a_wall_clock_needs_a_zone_and_nothing_stands_in_for_it() -> None:
    found = stamp("20161009_140237")
    assert found.time_s is None and found.blocks
    assert found.problems == ("needs --timezone: its time is a wall clock's",)
    assert stamp("2016-10-09T12:02:37Z").time_s == TAKEN_S


@pytest.mark.parametrize(
    "text",
    ["20161309_140237", "20160230_000000", "2016-10-09T25:00:00", "2016-10-09", "140237", "20161009_1402371"],
)
def test_a_timestamp_that_is_none_is_absent_and_others_may_stand_in(text: str) -> None:
    found = stamp(text, time_zone=BERLIN)
    assert found.time_s is None and not found.blocks
    assert found.problems == ("its timestamp is no date with a time of day",)


@pytest.mark.parametrize("group", ["tz", "offset"])
@pytest.mark.parametrize(
    ("text", "ahead_h"), [("Z", 0), ("+0200", 2), ("-07", -7), ("+05:30", 5.5), ("UTC", 0)]
)
def test_the_name_s_own_offset_wins(group: str, text: str, ahead_h: float) -> None:
    regex = rf".*/(?P<camera>\w+?)-(?P<datetime>\d+_\d+)(?P<{group}>.*)\.mp4"
    found = of(f"cam-20161009_120237{text}.mp4", regex, ClockRule(BERLIN))
    assert found.time_s == TAKEN_S - ahead_h * 3600
    found = of("cam-20161009_120237nowhere.mp4", regex, ClockRule(BERLIN))
    assert found.time_s is None and found.blocks and "nowhere" in found.problems[0]


def test_date_and_time_may_be_two_groups() -> None:
    regex = r".*/(?P<camera>\w+)_(?P<date>[\d.]*)_(?P<time>[\d-]*)\.mp4"
    assert of("cam_20161009_140237.mp4", regex, ClockRule(BERLIN)).time_s == TAKEN_S
    german = ClockRule(BERLIN, "%d.%m.%Y %H-%M-%S")
    assert of("cam_09.10.2016_14-02-37.mp4", regex, german).time_s == TAKEN_S
    assert of("cam_20161009_.mp4", regex, ClockRule(BERLIN)).problems == (
        "has a date or a time of day, not both",
    )


@pytest.mark.usefixtures("zone_of_machine")
def test_a_format_of_one_s_own() -> None:
    assert (
        stamp("09.10.2016 14h02m37", time_zone=BERLIN, timestamp_format="%d.%m.%Y %Hh%Mm%S").time_s == TAKEN_S
    )
    assert stamp("2016-10-09 05.02.37 -0700", timestamp_format="%Y-%m-%d %H.%M.%S %z").time_s == TAKEN_S
    wrong = stamp("20161009_140237", time_zone=BERLIN, timestamp_format="%d.%m.%Y")
    assert wrong.time_s is None and wrong.problems == ("its timestamp is not as --timestamp-format has it",)


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        (BERLIN, "20161030_023000", {"first": "2016-10-30T00:30:00.000", "second": "2016-10-30T01:30:00.000"}),
        ("America/Los_Angeles", "20161106_013000", {"first": "2016-11-06T08:30:00.000", "second": "2016-11-06T09:30:00.000"}),
        (BERLIN, "20160327_023000", {"first": "2016-03-27T01:30:00.000", "second": "2016-03-27T00:30:00.000"}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("zone_of_machine")
def test_an_hour_that_occurs_twice_or_not_at_all(zone: str, text: str, expected: dict[str, str]) -> None:
    for fold, said in expected.items():
        found = stamp(text, time_zone=zone, dst_fold=fold)
        assert found.time_s is not None and wire_time(found.time_s) == said and not found.problems
    found = stamp(text, time_zone=zone)
    assert found.time_s is None and found.blocks and "give --dst-fold" in found.problems[0]
    assert stamp(f"{text}Z", time_zone=zone).problems == ()


# ---- both, and the camera's clock


def test_where_both_are_given_the_epoch_wins_and_more_than_a_second_is_told() -> None:
    regex = r".*/(?P<camera>\w+?)-(?P<timestamp>\d+T\d+Z?)-(?P<epoch>\d+)\.mp4"
    for second, told in ((37, False), (38, False), (36, False), (39, True), (35, True)):
        found = of(f"cam-20161009T1202{second}Z-1476014557.mp4", regex)
        assert (found.time_s, found.time_source) == (TAKEN_S, "epoch")
        assert ("epoch and timestamp disagree; the epoch is taken" in found.problems) == told
    found = of("cam-20161009T120237-1476014557.mp4", regex)
    assert found.time_s == TAKEN_S and not found.problems and not found.blocks
    found = of("cam-20161009T120237Z-0.mp4", regex)
    assert (found.time_s, found.time_source) == (TAKEN_S, "timestamp")


@pytest.mark.parametrize(
    ("said", "offset_s"),
    [
        ("+00:01:30", 90), ("-01:00:00.5", -3600.5), ("00:00", 0), ("+02:00", 7200), (90, 90), (-1.5, -1.5),
        (" +00:00:01 ", 1), (None, 0),
    ],
)  # fmt: skip
def test_a_camera_s_clock_is_put_right(said: object, offset_s: float) -> None:
    rule = ClockRule(
        cameras={"C2_Hi20161009": {"clock_offset": said, "name": "x"}, "other": {"clock_offset": 5}}
    )
    assert of(HI, DEFAULT, rule).time_s == TAKEN_S + offset_s
    assert of(FRONT, DEFAULT, rule).time_s == 1475973147


def test_a_camera_has_a_zone_of_its_own() -> None:
    cameras = {"cam": {"timezone": "America/Los_Angeles", "clock_offset": "+00:00:03"}, "other": "a text"}
    assert stamp("20161009_050237", time_zone=BERLIN, cameras=cameras).time_s == TAKEN_S + 3
    assert of("other-20161009_140237.mp4", STAMP, ClockRule(BERLIN, cameras=cameras)).time_s == TAKEN_S
    assert stamp("20161009_050237", cameras=cameras).time_s == TAKEN_S + 3


def test_a_camera_s_settings_stand_under_the_name_that_it_gets() -> None:
    cameras = {"cam2016": {"clock_offset": 10}, "garden2016": {"clock_offset": 20}}
    rule = ClockRule(cameras=cameras, default_camera="garden", camera_name_suffix="2016")
    regex = r".*/(?P<camera>[a-z]*)-?(?P<epoch>\d+)\.mp4"
    assert of("cam-1476014557.mp4", regex, rule).time_s == TAKEN_S + 10
    found = of("1476014557.mp4", regex, rule)
    assert found.time_s == TAKEN_S + 20 and found.camera is None
    assert found.problems == ("the group camera matched nothing",)
    assert found.of_camera("garden2016").camera == "garden2016"


@pytest.mark.parametrize(
    "settings",
    [
        {"dst_fold": "third"}, {"time_zone": "Europe/Atlantis"}, {"timestamp_format": "%Q"}, {"timestamp_format": "%"},
        {"timestamp_format": "%Y %Y"}, {"cameras": {"a": {"timezone": "Nowhere/At_All"}}}, {"cameras": {"a": {"timezone": 5}}},
        {"cameras": {"a": {"clock_offset": "soon"}}}, {"cameras": {"a": {"clock_offset": True}}},
        {"cameras": {"a": {"clock_offset": float("nan")}}},
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as e:
        ClockRule(**settings)
    assert "cameras" not in settings or e.value.message.startswith("camera a: ")


# ---- any name


@given(
    st.text(max_size=60),
    st.sampled_from((DEFAULT, SHORT, EXAMPLE, WINDOWS, STAMP, r"(?P<camera>.*)(?P<epoch>.{9})")),
)
def test_any_name_is_read_without_an_error(name: str, regex: str) -> None:
    found = parse(f"/data/{name}", name, compiled(regex), ClockRule(BERLIN))
    assert found.camera != "" and (found.time_s is None) == (found.time_source is None)
    assert (found.matched is None) <= (found.camera is None)


@given(st.floats(-4e9, 4e9))
def test_times_go_out_in_milliseconds(time_s: float) -> None:
    text = wire_time(time_s)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", text)
    back = (datetime.fromisoformat(text) - datetime(1970, 1, 1)) / timedelta(seconds=1)
    assert abs(back - time_s) <= 0.000501


def test_a_second_is_rounded_and_not_cut() -> None:
    assert wire_time(1476014557.9996) == "2016-10-09T12:02:38.000"
    assert wire_time(1476014557.123456) == "2016-10-09T12:02:37.123"
