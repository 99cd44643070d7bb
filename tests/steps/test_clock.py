"""The time rule."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core import timezones
from camtrail.core.model import texts
from camtrail.steps import clock

NAN = float("nan")
H = 3600.0


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def found(local, gps, *, zone="UTC", body=None, offset=None):
    """Instants with a clock read in one zone."""
    local, gps = np.array(local, float), np.array(gps, float)
    body = np.zeros(len(local), np.int64) if body is None else np.array(body)
    offset = np.full(len(local), np.nan) if offset is None else np.array(offset, float)
    reading = clock.readings(local, offset, texts([None] * len(local)), None, None, timezones.named(zone))
    outing = clock.outings(local, body)
    return clock.instants(local, gps, reading, outing), outing


T = seconds("2026-05-09T10:00:00")


def test_with_fewer_than_five_fixes_each_photos_own_gps_time_holds():
    local = [T, T + 10, T + 20]
    answer, _ = found(local, [T + 1, NAN, T + 21], zone="UTC")
    assert answer.time_s.tolist() == [T + 1, T + 10, T + 21]
    assert answer.source.tolist() == [clock.GPS, clock.MACHINE, clock.GPS]


def test_from_five_fixes_on_the_corrected_clock_dates_every_photo():
    # 90 s slow; the third fix is 200 s old; the last photo has none.
    true = [T + 90 + 10 * i for i in range(7)]
    gps = [*true]
    gps[2] -= 200
    gps[6] = NAN
    answer, _ = found([t - 90 for t in true], gps)
    assert answer.time_s.tolist() == true
    assert set(answer.source.tolist()) == {clock.GPS}
    assert answer.stale_s[2] == 200
    assert np.isnan(np.delete(answer.stale_s, 2)).all()
    np.testing.assert_allclose(answer.error_s, 90)


def test_a_clock_with_sub_seconds_is_kept_where_it_is_right_within_a_second():
    local = [T + i + 0.25 for i in range(6)]
    answer, _ = found(local, [T + i for i in range(6)])
    assert answer.time_s.tolist() == local


def test_a_clock_with_whole_seconds_yields_to_gps_time_within_a_second():
    local = [T + 10 * i for i in range(6)]
    gps = [T + 10 * i + (1 if i % 2 else 0) for i in range(6)]
    answer, _ = found(local, gps)
    assert answer.time_s.tolist() == gps


def test_a_zone_between_clock_and_gps_time_is_no_error():
    # The clock is in summer time, the machine in UTC.
    true = [T + 60 * i for i in range(6)]
    answer, _ = found([t + 2 * H for t in true], true)
    assert answer.time_s.tolist() == true
    assert answer.zone_s.tolist() == [-2 * H] * 6
    np.testing.assert_allclose(answer.error_s, 0)


def test_after_a_flight_each_photo_without_a_fix_takes_its_neighbours_zone():
    # A phone: its clock jumps by three hours on landing (a pause of less than 4 h on the clock).
    true = [T + 600 * i for i in range(12)]
    zone = [0 if i < 6 else -3 * H for i in range(12)]
    gps = [t if i not in (2, 9) else NAN for i, t in enumerate(true)]
    answer, outing = found([t + z for t, z in zip(true, zone)], gps)
    assert answer.time_s.tolist() == true
    assert len(set(outing.tolist())) == 1


def test_errors_near_half_a_quarter_hour_do_not_fall_apart():
    true = [T + 30 * i for i in range(8)]
    wobble = [0, 1, -1, 2, 0, 1, -2, 0]
    answer, _ = found([t - 450 + w for t, w in zip(true, wobble)], true)
    assert np.max(np.abs(answer.time_s - np.array(true))) <= 4


def test_a_week_counter_that_rolled_over_is_put_right():
    true = seconds("2026-05-09T10:00:00")
    answer, _ = found([true + 2 * H], [true - 1024 * 7 * 86400])
    assert answer.time_s.tolist() == [true]


def test_a_photo_without_a_clock_has_its_gps_time_and_one_without_both_has_none():
    answer, outing = found([NAN, NAN], [T, NAN])
    assert answer.time_s[0] == T
    assert np.isnan(answer.time_s[1])
    assert answer.source.tolist() == [clock.GPS, clock.NOTHING]
    assert outing.tolist() == [-1, -1]


@given(st.integers(5, 40), st.integers(-400, 400), st.integers(-48, 56), st.integers(0, 2**32 - 1))
def test_any_clock_error_and_zone_is_found(n, error, quarters, seed):
    rng = np.random.default_rng(seed)
    true = T + np.sort(rng.choice(7200, n, replace=False)).astype(float)
    gps = true.copy()
    gps[rng.random(n) < 0.2] = np.nan
    if np.isfinite(gps).sum() < 5:
        return
    answer, _ = found(true - error + quarters * 900.0, gps)
    assert np.max(np.abs(answer.time_s - true)) <= 1.0
    assert (np.diff(answer.time_s) > 0).all()


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_instants_do_not_depend_on_the_order_of_the_photos(steps, random):
    local = np.cumsum(np.array(steps, float) * 7 + 1) + T
    gps = np.where(np.arange(len(local)) % 3, local + 31, np.nan)
    one, _ = found(local, gps)
    order = list(range(len(local)))
    random.shuffle(order)
    two, _ = found(local[order], gps[order])
    np.testing.assert_array_equal(two.time_s, one.time_s[order])


def test_outings_end_at_a_pause_and_at_another_body():
    local = np.array([T, T + 60, T + 60 + 4 * H + 1, T + 30, NAN])
    assert clock.outings(local, np.array([0, 0, 0, 1, 0])).tolist() == [0, 0, 1, 2, -1]


def test_a_photo_without_place_takes_the_zone_of_its_neighbour_in_the_outing():
    local = np.array([T, T + 100, T + 190, T + 200, T + 90000])
    zones = texts(["Asia/Tokyo", None, None, "Asia/Seoul", None])
    outing = clock.outings(local, np.zeros(5, np.int64))
    assert clock.fill_zones(zones, outing, local).tolist() == [
        "Asia/Tokyo", "Asia/Tokyo", "Asia/Seoul", "Asia/Seoul", None,
    ]  # fmt: skip


class TestReadings:
    local = np.array([T])

    def test_the_users_zone_wins_over_the_tag_the_tag_over_the_place_the_place_over_the_machine(self):
        tag, place = np.array([2 * H]), texts(["Asia/Tokyo"])
        none, nowhere = np.array([NAN]), texts([None])
        option, machine = timezones.named("-05:00"), timezones.named("America/Lima")
        for arguments, hours, source in (
            ((tag, place, option), -5, clock.OPTION),
            ((tag, place, None), 2, clock.OFFSET),
            ((none, place, None), 9, clock.PLACE),
            ((none, nowhere, None), -5, clock.MACHINE),
        ):
            answer = clock.readings(self.local, *arguments, None, machine)
            assert answer.time_s[0] == T - hours * H
            assert answer.source[0] == source

    def test_of_an_hour_that_occurs_twice_the_first_is_taken_and_it_is_said(self):
        local = np.array([seconds("2026-10-25T02:30:00")])
        answer = clock.readings(local, np.array([NAN]), texts(["Europe/Zurich"]), None)
        assert answer.time_s[0] == seconds("2026-10-25T00:30:00")
        assert answer.odd[0] == timezones.AMBIGUOUS

    def test_of_an_hour_that_is_skipped_standard_time_is_taken_and_it_is_said(self):
        local = np.array([seconds("2026-03-29T02:30:00")])
        answer = clock.readings(local, np.array([NAN]), texts(["Europe/Zurich"]), None)
        assert answer.time_s[0] == seconds("2026-03-29T01:30:00")
        assert answer.odd[0] == timezones.SKIPPED


@pytest.mark.parametrize(
    ("local", "offset", "gps", "wanted"),
    [
        ([T], [NAN], [NAN], [True]),
        ([T], [0.0], [NAN], [False]),
        ([T], [NAN], [T], [False]),
        ([T, T + 1], [NAN, NAN], [T, NAN], [True, True]),
        ([T + i for i in range(6)], [NAN] * 6, [T + i for i in range(5)] + [NAN], [False] * 6),
        ([NAN], [NAN], [NAN], [False]),
    ],
)
def test_a_zone_is_asked_for_only_where_it_decides(local, offset, gps, wanted):
    local, offset, gps = (np.array(c, float) for c in (local, offset, gps))
    outing = clock.outings(local, np.zeros(len(local), np.int64))
    assert clock.in_need_of_zone(local, offset, gps, outing).tolist() == wanted
