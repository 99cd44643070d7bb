"""Times that names tell: every form, every border, and nothing out of ids."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from camtrail.core.errors import UsageError
from camtrail.steps.name_dates import (
    RULES,
    Impossible,
    NameDate,
    compiled,
    date_in,
    folder_date,
    own_date,
    read,
)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
NOW_S = NOW.timestamp()
FIRST = datetime(1980, 1, 1)


def said(found) -> str:
    """What was found, as ISO 8601 down to its precision."""
    assert isinstance(found, NameDate), found
    moment = datetime(1970, 1, 1) + timedelta(seconds=found.clock_s)
    if found.precision == "day":
        return moment.date().isoformat()
    zone = ""
    if found.zone == "offset":
        minutes = round(abs(found.offset_s) / 60)
        zone = f"{'-' if found.offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    spec = {"minute": "minutes", "second": "seconds", "millisecond": "milliseconds"}[found.precision]
    return moment.isoformat(timespec=spec) + zone


EXAMPLES = [(rule, name, text) for rule in RULES for name, text in rule.examples]


@pytest.mark.parametrize(("rule", "name", "text"), EXAMPLES, ids=[e[1] for e in EXAMPLES])
def test_each_example_of_each_rule(rule, name, text):
    found = read(name, now_s=NOW_S)
    assert said(found) == text
    assert (found.rule, found.zone, found.meaning) == (rule.name, rule.zone, rule.meaning)
    assert date_in(name, now_s=NOW_S) == found or found.offset_s != found.offset_s
    stem = name.rpartition(".")[0]
    assert said(date_in(stem, now_s=NOW_S)) == text


def test_every_rule_has_examples():
    assert all(rule.examples for rule in RULES)


FORMS = [
    ("IMG-20230408-WA0001.jpg", "2023-04-08", "local", "received"),
    ("VID-20230408-WA0001.mp4", "2023-04-08", "local", "received"),
    ("AUD-20230408-WA0001.opus", "2023-04-08", "local", "received"),
    ("PTT-20230408-WA0001.opus", "2023-04-08", "local", "received"),
    ("STK-20230408-WA0001.webp", "2023-04-08", "local", "received"),
    ("IMG-20230408-WA0001(1).jpg", "2023-04-08", "local", "received"),
    ("IMG-20230408-WA012345.jpg", "2023-04-08", "local", "received"),
    ("WhatsApp Image 2024-08-18 at 21.19.13.jpeg", "2024-08-18T21:19:13", "local", "received"),
    ("WhatsApp Image 2024-08-18 at 21.19.13 (1).jpeg", "2024-08-18T21:19:13", "local", "received"),
    ("WhatsApp Image 2024-08-18 at 9.19.13 PM.jpeg", "2024-08-18T21:19:13", "local", "received"),
    ("WhatsApp Video 2024-08-18 at 21.19.13.mp4", "2024-08-18T21:19:13", "local", "received"),
    ("00000003-PHOTO-2022-12-31-14-17-51.jpg", "2022-12-31T14:17:51", "local", "sent"),
    ("PHOTO-2022-12-31-14-17-51.jpg", "2022-12-31T14:17:51", "local", "sent"),
    ("signal-2026-05-23-16-41-08-903.jpg", "2026-05-23T16:41:08.903", "local", "saved"),
    ("signal-2020-10-26-163832.jpg", "2020-10-26T16:38:32", "local", "saved"),
    ("photo_2023-04-15_14-30-22.jpg", "2023-04-15T14:30:22", "local", "sent"),
    ("photo_2023-04-15_14-30-22 (2).jpg", "2023-04-15T14:30:22", "local", "sent"),
    ("photo_1@15-04-2023_14-30-22.jpg", "2023-04-15T14:30:22", "local", "sent"),
    ("photo_1@03-04-2023_14-30-22.jpg", "2023-04-03T14:30:22", "local", "sent"),
    ("PXL_20231026_210642603.jpg", "2023-10-26T21:06:42.603", "utc", "taken"),
    ("PXL_20231026_210642603.MP.jpg", "2023-10-26T21:06:42.603", "utc", "taken"),
    ("PXL_20231026_210642603.RAW-01.COVER.jpg", "2023-10-26T21:06:42.603", "utc", "taken"),
    ("PXL_20231026_210642603.dng", "2023-10-26T21:06:42.603", "utc", "taken"),
    ("IMG_20190509_154733.jpg", "2019-05-09T15:47:33", "local", "taken"),
    ("IMG_20190221_112112042.jpg", "2019-02-21T11:21:12.042", "local", "taken"),
    ("VID_20190509_154733.mp4", "2019-05-09T15:47:33", "local", "taken"),
    ("IMG20230408123456.jpg", "2023-04-08T12:34:56", "local", "taken"),
    ("IMG_20190509_154733~2.jpg", "2019-05-09T15:47:33", "local", "taken"),
    ("00015IMG_00015_BURST20171111030039_COVER.jpg", "2017-11-11T03:00:39", "local", "taken"),
    ("DSC_0001_BURST20190101120000123.JPG", "2019-01-01T12:00:00.123", "local", "taken"),
    ("00000IMG_00000_BURST1513530498123_COVER.jpg", "2017-12-17T17:08:18.123", "epoch", "taken"),
    ("20230408_123456.jpg", "2023-04-08T12:34:56", "local", "taken"),
    ("20230408_123456(0).jpg", "2023-04-08T12:34:56", "local", "taken"),
    ("20231207_101605_001.jpg", "2023-12-07T10:16:05", "local", "taken"),
    ("Screenshot_20230415-143022.png", "2023-04-15T14:30:22", "local", "taken"),
    ("Screenshot_20230415_143022_App.jpg", "2023-04-15T14:30:22", "local", "taken"),
    ("Screenshot_2019-04-16-11-19-37-232_com.x.png", "2019-04-16T11:19:37.232", "local", "taken"),
    ("Screenshot from 2022-12-17 19-45-43.png", "2022-12-17T19:45:43", "local", "taken"),
    ("Screenshot 2022-02-23 at 2.59.39 PM.png", "2022-02-23T14:59:39", "local", "taken"),
    ("RPReplay_Final1681562400.MP4", "2023-04-15T12:40:00", "epoch", "taken"),
    ("2023-04-08 12.34.56.jpg", "2023-04-08T12:34:56", "local", "taken"),
    ("2023-04-08 12.34.56-1.jpg", "2023-04-08T12:34:56", "local", "taken"),
    ("FB_IMG_1681562400000.jpg", "2023-04-15T12:40:00.000", "epoch", "saved"),
    ("Snapchat-1681562400.jpg", "2023-04-15T12:40:00", "epoch", "saved"),
    ("2021-05-27_7a1b3c4d-1234-4abc-8def-0123456789ab-main.jpg", "2021-05-27", "utc", "taken"),
    ("WIN_20230408_12_34_56_Pro.jpg", "2023-04-08T12:34:56", "local", "taken"),
    ("WP_20150408_12_34_56_Pro.jpg", "2015-04-08T12:34:56", "local", "taken"),
    ("DJI_20230408123456_0001_D.JPG", "2023-04-08T12:34:56", "local", "taken"),
    ("dji_fly_20230408_123456_0001.jpg", "2023-04-08T12:34:56", "local", "taken"),
    ("VID_20220110_121609_00_657.insv", "2022-01-10T12:16:09", "local", "taken"),
    ("20230408_123456_NF.mp4", "2023-04-08T12:34:56", "local", "taken"),
    ("2023_0408_123456_001.MP4", "2023-04-08T12:34:56", "local", "taken"),
    ("20230408123456_000001.MP4", "2023-04-08T12:34:56", "local", "taken"),
    ("scan_20230408.jpg", "2023-04-08", "local", "saved"),
    ("2016_01_30_11_49_15.mp4", "2016-01-30T11:49:15", "local", "taken"),
    ("20221109T203000.jpg", "2022-11-09T20:30:00", "local", "taken"),
    ("AR_EFFECT_20141126193511.mp4", "2014-11-26T19:35:11", "local", "taken"),
    ("Bebop2_20180719194940+0200.mp4", "2018-07-19T19:49:40+02:00", "offset", "taken"),
    ("IMG_0001_20230408.jpg", "2023-04-08", "local", "taken"),
    ("Skärmavbild 2023-04-15 kl. 14.30.22.png", "2023-04-15T14:30:22", "local", "taken"),  # decomposed
]


@pytest.mark.parametrize(("name", "text", "zone", "meaning"), FORMS, ids=[f[0] for f in FORMS])
def test_forms_of_names_with_their_zones(name, text, zone, meaning):
    found = date_in(name, now_s=NOW_S)
    assert (said(found), found.zone, found.meaning) == (text, zone, meaning)


@pytest.mark.parametrize(
    "name",
    [
        "", "IMG_1234.HEIC", "IMG_1234.PNG", "DJI_0001.JPG", "GX011234.MP4", "GH010034.MP4", "GOPR0002.JPG",
        "GS010001.360", "received_123456789.jpeg", "received_1681562400000.jpeg", "98a200921.jpg", "DSC01234.JPG",
        "3f7a98a200921.jpg", "12345678.jpg", "20100812_10150123456_1234567_n.jpg", "Snapchat-987654321.jpg",
        "Snapchat-12345678901.jpg", "1681562400.jpg", "20190509-1234-4abc-8def-0123456789ab.jpg", "x20230408.jpg",
        "20230408x.jpg", "202304081.jpg", "é20230408.jpg", "v2.0.20230.jpg",
    ],
)  # fmt: skip
def test_names_without_a_date(name):
    assert read(name, now_s=NOW_S) is None and date_in(name, now_s=NOW_S) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("signal-2026-05-23-164190.jpeg", "16:41:90 is no time of day"),
        ("IMG_20190231_112112.jpg", "2019-02-31 is no day"),
        ("IMG-20230229-WA0001.jpg", "2023-02-29 is no day"),
        ("PXL_20231026_240642603.jpg", "24:06:42 is no time"),
        ("WhatsApp Image 2024-08-18 at 13.19.13 PM.jpeg", "13:19:13 pm is no time"),
        ("photo_1@15-13-2023_14-30-22.jpg", "2023-13-15 is no day"),
        ("2023-13-45.jpg", "2023-13-45 is no day"),
        ("1979-12-31 12.00.00.jpg", "before 1980"),
        ("IMG_20261122_000001.jpg", "has not come yet"),
        ("FB_IMG_1999999999999.jpg", "has not come yet"),
    ],
)
def test_impossible_dates_are_refused_with_the_reason(name, reason):
    found = read(name, now_s=NOW_S)
    assert isinstance(found, Impossible) and reason in found.reason
    assert date_in(name, now_s=NOW_S) is None


def test_tomorrow_is_possible_for_a_clock_ahead():
    assert date_in("IMG_20261120_235959.jpg", now_s=NOW_S) is not None


MADE = {
    "IMG-%Y%m%d-WA0007.jpg": "day", "WhatsApp Image %Y-%m-%d at %H.%M.%S.jpeg": "second",
    "WhatsApp Image %Y-%m-%d at %I.%M.%S %p.jpeg": "second", "PHOTO-%Y-%m-%d-%H-%M-%S.jpg": "second",
    "signal-%Y-%m-%d-%H%M%S.jpg": "second", "signal-%Y-%m-%d-%H-%M-%S-{ms}.jpg": "millisecond",
    "photo_%Y-%m-%d_%H-%M-%S.jpg": "second", "photo_3@%d-%m-%Y_%H-%M-%S.jpg": "second",
    "PXL_%Y%m%d_%H%M%S{ms}.jpg": "millisecond", "IMG_%Y%m%d_%H%M%S.jpg": "second", "IMG%Y%m%d%H%M%S.jpg": "second",
    "VID_%Y%m%d_%H%M%S{ms}.mp4": "millisecond", "%Y%m%d_%H%M%S.jpg": "second",
    "Screenshot_%Y%m%d-%H%M%S.png": "second", "Screenshot_%Y-%m-%d-%H-%M-%S-{ms}_com.x.png": "millisecond",
    "Screenshot %Y-%m-%d at %I.%M.%S %p.png": "second", "%Y-%m-%d %H.%M.%S.jpg": "second",
    "WIN_%Y%m%d_%H_%M_%S_Pro.jpg": "second", "DJI_%Y%m%d%H%M%S_0001_D.JPG": "second",
    "%Y_%m%d_%H%M%S_001.MP4": "second", "AR_EFFECT_%Y%m%d%H%M%S.mp4": "second", "%Y%m%dT%H%M%S.jpg": "second",
    "scan_%Y%m%d.jpg": "day", "%Y_%m_%d_%H_%M_%S.mp4": "second", "%Y.%m.%d.jpg": "day",
    "0BURST%Y%m%d%H%M%S{ms}.jpg": "millisecond",
}  # fmt: skip
moments = st.datetimes(FIRST, NOW.replace(tzinfo=None)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)


@given(moments, st.sampled_from(sorted(MADE)), st.sampled_from(["", " (1)", "(2)", "~3", "-edited", "_x"]))
def test_a_name_made_of_a_date_gives_that_date_back(moment, form, more):
    assume(not (more == "-edited" and "{ms}_" in form))
    text = moment.strftime(form).replace("{ms}", f"{moment.microsecond // 1000:03d}")
    stem, dot, suffix = text.rpartition(".")
    found = date_in(stem + more + dot + suffix, now_s=NOW_S)
    precision = MADE[form]
    wanted = {
        "day": moment.replace(hour=0, minute=0, second=0, microsecond=0),
        "second": moment.replace(microsecond=0),
        "millisecond": moment,
    }[precision]
    assert found is not None and found.precision == precision
    assert found.clock_s == pytest.approx((wanted - datetime(1970, 1, 1)).total_seconds(), abs=1e-6)


@given(st.integers(1_293_840_000_000, int(NOW_S * 1000)), st.sampled_from(["FB_IMG_%d", "%d", "mmexport%d"]))
def test_epochs_give_their_instant_back(ms, form):
    found = date_in(form % ms + ".jpg", now_s=NOW_S)
    assert found.zone == "epoch" and found.time_s == pytest.approx(ms / 1000, abs=1e-6)
    assert found.local_s != found.local_s


@given(st.uuids(), st.sampled_from(["", "IMG_", "signal-attachment-"]), st.booleans())
@example(__import__("uuid").UUID("20190509-1234-4abc-8def-012345678901"), "", False)
def test_ids_never_give_a_date(uuid, start, is_bare):
    name = start + (uuid.hex if is_bare else str(uuid)) + ".jpg"
    assert read(name, now_s=NOW_S) is None


@given(st.text(string.ascii_letters + "éßñ_-. ", max_size=60))
def test_letters_never_give_a_date(name):
    assert read(name, now_s=NOW_S) is None


@given(st.text("0123456789abcdef", min_size=18, max_size=64))
def test_hex_never_gives_a_date(name):
    assert read(name + ".jpg", now_s=NOW_S) is None


@given(st.text(max_size=60))
def test_no_name_raises(name):
    found = read(name, now_s=NOW_S)
    assert found is None or isinstance(found, (NameDate, Impossible))
    folder_date(name, now_s=NOW_S)


@pytest.mark.parametrize(
    ("folders", "text"),
    [
        ("2022/2022.11/2022.11.09", "2022-11-09"), ("20221109", "2022-11-09"), ("a/2022/11/09", "2022-11-09"),
        ("2022-11-09 Berlin/raw", "2022-11-09"), ("2021-01-01/2022_11_09", "2022-11-09"),
        ("2022/11", None), ("2022-11-01 - 2022-11-09", None), ("2022-02-31", None), ("", None), ("IMG_1234", None),
    ],
)  # fmt: skip
def test_folders_tell_days(folders, text):
    found = folder_date(folders, now_s=NOW_S)
    assert found is None if text is None else (said(found), found.is_day) == (text, True)


@pytest.mark.parametrize(
    ("regex", "name", "text"),
    [
        (r"^f(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)", "f230408x.jpg", "2023-04-08"),
        (r"(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d{4})-(?P<hour>\d\d)(?P<minute>\d\d)", "08042023-1234.jpg",
         "2023-04-08T12:34"),
        (r"T(?P<epoch>\d+)", "T1681562400.jpg", "2023-04-15T12:40:00"),
        (r"T(?P<epoch>\d+)", "T1681562400123.jpg", "2023-04-15T12:40:00.123"),
        (r"T(?P<epoch>\d+)\.(?P<fraction>\d+)", "T1681562400.5.jpg", "2023-04-15T12:40:00.500"),
        (r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
         r"(?P<offset>[+-]\d\d)", "20230408123456-07.jpg", "2023-04-08T12:34:56-07:00"),
    ],
)  # fmt: skip
def test_own_patterns(regex, name, text):
    assert said(date_in(name, patterns=[compiled(regex)], now_s=NOW_S)) == text


def test_own_patterns_win_and_what_they_do_not_match_is_left_to_the_rules():
    own = compiled(r"(?P<day>\d\d)-(?P<month>\d\d)-(?P<year>\d{4})")
    assert said(date_in("2023-01-01 03-04-2022.jpg", patterns=[own], now_s=NOW_S)) == "2022-04-03"
    assert said(date_in("IMG_20190509_154733.jpg", patterns=[own], now_s=NOW_S)) == "2019-05-09T15:47:33"
    wrong = own_date("99-04-2022.jpg", [own], now_s=NOW_S)
    assert isinstance(wrong, Impossible) and "2022-04-99" in wrong.reason


def test_an_own_pattern_with_a_part_that_matched_nothing():
    own = compiled(r"(?P<year>\d{4})-(?P<month>\d\d)?-(?P<day>\d\d)")
    found = own_date("2022--01.jpg", [own], now_s=NOW_S)
    assert isinstance(found, Impossible) and "month" in found.reason
    assert isinstance(own_date("x.jpg", [compiled("(?P<epoch>.+)")], now_s=NOW_S), Impossible)


@pytest.mark.parametrize(
    ("regex", "reason"),
    [
        ("(", "no regular expression"), (r"(?P<year>\d+)", "no group 'month'"), (r"\d+", "no group 'year'"),
        (r"(?P<epoch>\d+)(?P<camera>\w)", "'camera'"),
        (r"(?P<year>\d+)(?P<month>\d)(?P<day>\d)(?P<hour>\d)", "no group 'minute'"),
        (r"(?P<year>\d+)(?P<month>\d)(?P<day>\d)(?P<fraction>\d)", "no group 'second'"),
    ],
)  # fmt: skip
def test_a_bad_pattern_says_why(regex, reason):
    with pytest.raises(UsageError, match=re.escape(reason)):
        compiled(regex)
