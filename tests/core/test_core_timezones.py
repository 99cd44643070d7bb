"""Clock readings and instants, against the standard library one by one."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from camtrail.core import timezones
from camtrail.core.errors import MissingDependency, UsageError
from camtrail.core.timezones import AMBIGUOUS, SKIPPED, instants, machine_instants, named, zones_at

EPOCH = datetime(1970, 1, 1)
NAN = float("nan")
# Newfoundland changed at 0:01, Lord Howe changes by 30 minutes, Monrovia left -0:44:30 in 1972,
# Apia skipped a day, Morocco goes back for a month, Kathmandu went on by 15 minutes.
ZONES = (
    "Europe/Berlin America/St_Johns Australia/Lord_Howe Africa/Monrovia Pacific/Apia Africa/Casablanca "
    "Asia/Kathmandu America/New_York Asia/Gaza America/Caracas Pacific/Chatham UTC"
).split()


def seconds(*ymdhms):
    return (datetime(*ymdhms) - EPOCH).total_seconds()


def obvious(local_s, zone):
    """One reading: PEP 495 in the words of the standard library."""
    if math.isnan(local_s):
        return NAN, 0
    t = (EPOCH + timedelta(seconds=math.floor(local_s))).replace(tzinfo=zone)
    first, second = (t.replace(fold=f).utcoffset().total_seconds() for f in (0, 1))
    return local_s - first, 0 if first == second else AMBIGUOUS if first > second else SKIPPED


def changes(zone):
    """Clock readings just before and after each change of a zone since 1970."""

    def ahead(at):
        return datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset().total_seconds()

    found = []
    for day in range(0, 86400 * 365 * 60, 86400 * 7):
        low, high = day, day + 86400 * 7
        if ahead(low) == ahead(high):
            continue
        while high - low > 1:  # as if there were one change a week
            middle = (low + high) // 2
            low, high = (middle, high) if ahead(middle) == ahead(low) else (low, middle)
        found += [high + ahead(low), high + ahead(high)]
    return found or [0.0]


CHANGES = {zone: changes(zone) for zone in ZONES}
readings = st.floats(seconds(1970, 1, 2), seconds(2060, 1, 1))


@given(st.data())
@settings(max_examples=200)
def test_instants_agree_with_zoneinfo(data):
    name = data.draw(st.sampled_from(ZONES))
    around = st.builds(
        lambda at, off: at + off, st.sampled_from(CHANGES[name]), st.integers(-1800, 1800) | st.floats(-1, 1)
    )
    local = data.draw(st.lists(readings | around | st.just(NAN), max_size=20))
    zone = ZoneInfo(name)
    utc, odd = instants(np.array(local, float), zone)
    expected = [obvious(s, zone) for s in local]
    np.testing.assert_allclose(utc, [e[0] for e in expected], rtol=0, atol=1e-6)
    assert odd.tolist() == [e[1] for e in expected]


@pytest.mark.parametrize(
    ("zone", "local", "ahead_h", "odd"),
    [
        ("Europe/Berlin", (2024, 3, 31, 1, 59, 59), 1, 0),
        ("Europe/Berlin", (2024, 3, 31, 2), 1, SKIPPED),
        ("Europe/Berlin", (2024, 3, 31, 2, 59, 59), 1, SKIPPED),
        ("Europe/Berlin", (2024, 3, 31, 3), 2, 0),
        ("Europe/Berlin", (2024, 10, 27, 2), 2, AMBIGUOUS),
        ("Europe/Berlin", (2024, 10, 27, 3), 1, 0),
        ("America/St_Johns", (2005, 4, 3, 0, 0, 59), -3.5, 0),
        ("America/St_Johns", (2005, 4, 3, 0, 1), -3.5, SKIPPED),
        ("America/St_Johns", (2005, 4, 3, 1, 5), -2.5, 0),
        ("America/St_Johns", (2005, 10, 29, 23, 0, 59), -2.5, 0),
        ("America/St_Johns", (2005, 10, 29, 23, 1), -2.5, AMBIGUOUS),
        ("America/St_Johns", (2005, 10, 30, 0, 1), -3.5, 0),
        ("Australia/Lord_Howe", (2024, 4, 7, 1, 45), 11, AMBIGUOUS),
        ("Pacific/Apia", (2011, 12, 30, 12), -10, SKIPPED),
        ("Asia/Kolkata", (2024, 1, 1), 5.5, 0),
    ],
)
def test_readings_around_changes(zone, local, ahead_h, odd):
    reading = seconds(*local)
    for offset in (0.0, 0.25, 0.9999997):
        utc, found = instants(np.array([reading + offset]), ZoneInfo(zone))
        assert (reading + offset - utc[0], found.tolist()) == (ahead_h * 3600, [odd])


def test_instants_of_nothing():
    utc, odd = instants(np.array([]), UTC)
    assert len(utc) == len(odd) == 0
    utc, odd = instants(np.array([NAN, NAN]), ZoneInfo("Europe/Berlin"))
    assert np.isnan(utc).all() and odd.tolist() == [0, 0]


FARTHEST = [seconds(1, 1, 1), seconds(1, 1, 1, 0, 1), seconds(9999, 12, 31, 23, 59, 59)]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
def test_the_first_and_the_last_date_of_a_calendar(zone, monkeypatch):
    local = np.array(FARTHEST)
    utc, _ = instants(local, ZoneInfo(zone))
    assert (np.abs(utc - local) < 86400).all()
    if hasattr(time, "tzset"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
    utc, _ = machine_instants(local)
    assert (np.abs(utc - local) < 86400).all()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a running program is fixed there")
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "UTC", "Pacific/Apia"])
def test_the_machine_s_zone_is_like_the_same_zone_by_name(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    local = [s + off for s in CHANGES.get(zone, [0.0]) for off in range(-7200, 7200, 293)]
    local = np.array([s for s in local if s > 86400] + [NAN, seconds(2024, 7, 1), seconds(1999, 1, 1)])
    by_name, by_machine = instants(local, ZoneInfo(zone)), machine_instants(local)
    np.testing.assert_array_equal(by_machine[0], by_name[0])
    np.testing.assert_array_equal(by_machine[1], by_name[1])


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a running program is fixed there")
def test_a_zone_that_is_a_rule(monkeypatch):
    monkeypatch.setenv("TZ", "XXX-3:20")
    time.tzset()
    utc, odd = machine_instants(np.array([seconds(2024, 1, 1), 0.0]))
    assert (np.array([seconds(2024, 1, 1), 0.0]) - utc).tolist() == [12000.0, 12000.0]
    assert odd.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("lat", "lon", "zone"),
    [
        (52.52, 13.405, "Europe/Berlin"),
        (40.7128, -74.006, "America/New_York"),
        (28.6139, 77.209, "Asia/Kolkata"),
        (-33.8688, 151.2093, "Australia/Sydney"),
        (47.5615, -52.7126, "America/St_Johns"),
        (-18.1248, 178.4501, "Pacific/Fiji"),
        (64.1466, -21.9426, "Atlantic/Reykjavik"),
    ],
)
def test_zones_at_known_places(lat, lon, zone):
    assert zones_at(np.array([lat]), np.array([lon])).tolist() == [zone]


@given(
    st.lists(
        st.tuples(
            st.floats(-90, 90) | st.just(NAN) | st.just(math.inf),
            st.floats(-180, 180) | st.just(NAN),
        ),
        max_size=8,
    )
)
@example([(90.0, 0.0), (-90.0, 180.0), (0.0, -180.0)])
def test_zones_are_names_that_can_be_used_and_absent_where_there_is_no_place(places):
    lat, lon = (np.array([p[i] for p in places], float) for i in range(2))
    out = zones_at(lat, lon)
    assert len(out) == len(places)
    for (y, x), name in zip(places, out.tolist()):
        if not (math.isfinite(y) and math.isfinite(x)):
            assert name is None
        else:
            assert name is None or named(name) is not None
            assert zones_at(np.array([y]), np.array([x])).tolist() == [name]  # alone as among others


def test_no_places_need_no_data(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tzfpy", None)  # importing it would fail
    assert zones_at(np.array([NAN]), np.array([1.0])).tolist() == [None]
    assert len(zones_at(np.array([]), np.array([]))) == 0


@given(st.integers(0, 14), st.integers(0, 59), st.sampled_from("+-"))
def test_offsets_in_their_spellings(hours, minutes, sign):
    ahead = timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
    for text in (f"{sign}{hours:02}:{minutes:02}", f"{sign}{hours:02}{minutes:02}", f"{sign}{hours}:{minutes:02}",
                 f"UTC{sign}{hours:02}:{minutes:02}", f" gmt {sign}{hours}{minutes:02} "):  # fmt: skip
        assert named(text) == timezone(ahead), text
    assert named(f"{sign}{hours}") == timezone(timedelta(hours=int(f"{sign}{hours}")))


@pytest.mark.parametrize("text", ["UTC", "utc", "Z", "z", "GMT", " UTC "])
def test_utc(text):
    assert named(text) == UTC


def test_names():
    assert named("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert named(" Europe/Berlin ") == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "text", ["", " ", "Europe", "Mars/Base", "../../etc/passwd", "/etc/localtime", "a" * 5000, "a\0b", "\ud800",
             "+15:00", "+02:75", "+2:", "+-2", "2", "+", "zone.tab", "tzdata.zi", "+999"],
)  # fmt: skip
def test_what_is_no_zone(text):
    with pytest.raises(UsageError) as e:
        named(text)
    assert e.value.hint and "\n" not in str(e.value)
    str(e.value).encode()


def test_a_machine_without_zones(monkeypatch):
    monkeypatch.setattr(timezones, "available_timezones", set)
    with pytest.raises(MissingDependency, match="pip install tzdata"):
        named("Mars/Base")
