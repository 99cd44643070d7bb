"""Written times, against the slow way to read them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camtrail.sources._times import Times, epoch, gps_instant

zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.none() | st.just(UTC) | zones)


def _slow(t: datetime) -> tuple[float, bool]:
    aware = t if t.tzinfo else t.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1), t.tzinfo is not None


@settings(deadline=None)
@given(st.lists(st.tuples(moments, st.sampled_from(["T", " "]), st.booleans()), min_size=1, max_size=20))
def test_iso_agrees_with_datetime(written: list[tuple[datetime, str, bool]]) -> None:
    times = Times()  # one for all: what is remembered must not change what is read
    for t, between, is_exif in written:
        text = t.isoformat(between)
        if is_exif:
            text = text[:10].replace("-", ":") + text[10:]
        seconds, is_instant = times.read(text)
        expected, is_zoned = _slow(t)
        assert seconds == pytest.approx(expected, abs=1e-6) and is_instant == is_zoned
        assert times.read(text) == Times().read(f" {text}\n")


@settings(deadline=None)
@given(st.text(max_size=30))
def test_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        Times().read(text)


NOON = 1577880000.0  # 2020-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds", "is_instant"),
    [
        ("2020-01-01T12:00:00Z", NOON, True),
        ("2020-01-01T12:00:00.123456789Z", NOON + 0.123456789, True),
        ("2020-01-01T12:00:00,5z", NOON + 0.5, True),
        ("2020-01-01T14:00:00+02", NOON, True),
        ("2020-01-01T14:00:00+0200", NOON, True),
        ("2020-01-01T07:30:00.5-04:30", NOON + 0.5, True),
        ("20200101T120000Z", NOON, True),
        ("2020-01-01T12:00", NOON, False),
        ("2020/01/01 12:00:00 UTC", NOON, True),
        ("2020:01:01 12:00:00.25", NOON + 0.25, False),
        ("2020_01_01_12_00_00_250", NOON + 0.25, True),
        ("2016-12-31T23:59:60Z", 1483228800.0, True),  # a leap second
    ],
)
def test_forms(text: str, seconds: float, is_instant: bool) -> None:
    times = Times()
    assert times.read(text) == times.read(text) == (seconds, is_instant)


@pytest.mark.parametrize(
    "text",
    ["", "2020-01-01", "2020-13-01T00:00:00Z", "2020-02-30T00:00:00Z", "2020-01-01T24:00:00Z", "12:00:00",
     "2020-01-01T12:60:00Z", "2020-01-01T12:00:61Z", "2020-01-01T12:00:00+25:00", "0000:00:00 00:00:00",
     "2020_01_01_12_00_00", "2020_01_01_25_00_00_000", "٢٠٢٠-01-01T12:00:00Z"],
)  # fmt: skip
def test_no_times(text: str) -> None:
    times = Times()
    times.read("2020-01-01T12:00:00Z")
    with pytest.raises(ValueError):
        times.read(text)


def test_memory_is_bounded() -> None:
    times = Times()
    for i in range(40_000):
        t = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=61.37 * i)
        assert times.read(t.isoformat())[0] == pytest.approx(t.timestamp(), abs=1e-6)
    assert len(times.minutes) + len(times.tails) < 10_000


@pytest.mark.parametrize(
    ("gps", "week", "utc"),
    [
        (0.0, 0.0, datetime(1980, 1, 6)),
        (46828800.0, 0.0, datetime(1981, 6, 30, 23, 59, 59) + timedelta(seconds=1)),
        (1167264018.0, 0.0, datetime(2017, 1, 1)),
        (1167264000.0 + 15.0, 0.0, datetime(2016, 12, 31, 23, 59, 58)),
        (259218.0, 2086.0, datetime(2020, 1, 1)),
    ],
)
def test_gps_time(gps: float, week: float, utc: datetime) -> None:
    assert gps_instant(gps, week) == pytest.approx(
        utc.replace(tzinfo=UTC).timestamp(), abs=1.0 if utc.year == 1981 else 0
    )


@settings(deadline=None)
@given(st.floats(0, 3e9), st.floats(0, 1e6))
def test_gps_time_never_runs_back_by_more_than_a_leap_second(at: float, later: float) -> None:
    assert gps_instant(at + later) >= gps_instant(at) - 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1e300, 2.6e14])
def test_epoch_outside_the_calendar(value: float) -> None:
    with pytest.raises(ValueError):
        epoch(value)


def test_epoch_in_milliseconds() -> None:
    assert epoch(1577880000) == epoch(1577880000000) == NOON
    assert epoch(9_999_999_999) == 9_999_999_999
