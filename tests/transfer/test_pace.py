"""Pauses that hold for everybody, a rate, and when a service is given up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import QuotaExceeded, Unreachable
from camtrail.transfer.pace import Pace
from clocks import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


class TestPauses:
    def test_hold_for_who_asks_next(self, clock):
        pace = Pace(clock)
        assert pace.start() == 0
        assert pace.pause(20)
        assert pace.start() == 20
        clock.sleep(15)
        assert pace.start() == 5
        clock.sleep(5)
        assert pace.start() == 0

    def test_at_the_same_time_are_one(self, clock):
        pace = Pace(clock, longest_s=30)
        assert all(pace.pause(20) for _ in range(10))
        assert pace.start() == 20
        assert pace.pause(5)
        assert pace.start() == 20
        assert pace.pause(30)
        assert pace.start() == 30

    @given(
        pauses=st.lists(st.tuples(st.floats(0, 300), st.floats(0.01, 100)), max_size=50),
        longest_s=st.floats(0, 1000),
    )
    def test_in_all_are_not_longer_than_may_be(self, pauses, longest_s):
        clock = FakeClock()
        pace = Pace(clock, longest_s=longest_s)
        waited_s = 0.0
        for pause_s, work_s in pauses:
            goes_on = pace.pause(pause_s)
            assert goes_on == (pace.ended is None)
            if not goes_on:
                break
            if wait_s := pace.start():
                clock.sleep(wait_s)
                waited_s += wait_s
            clock.sleep(work_s)
        assert waited_s <= longest_s + 1e-6

    def test_that_are_too_long_end_the_run(self, clock):
        pace = Pace(clock, longest_s=100)
        assert pace.pause(90)
        clock.sleep(90)
        assert not pace.pause(20)
        assert isinstance(pace.ended, QuotaExceeded)
        assert not pace.pause(0)
        with pytest.raises(QuotaExceeded, match="100 s"):
            pace.wait()

    def test_of_nothing_are_none(self, clock):
        pace = Pace(clock, longest_s=0)
        assert pace.pause(0) and pace.pause(-5)
        assert pace.start() == 0


class TestARate:
    @given(per_s=st.floats(0.1, 50), work=st.lists(st.floats(0.001, 3), max_size=80))
    def test_is_kept(self, per_s, work):
        clock = FakeClock()
        pace = Pace(clock, per_s=per_s)
        times = []
        for work_s in work:
            pace.wait()
            times.append(clock.at_s)
            clock.sleep(work_s)
        most = max(1.0, per_s)
        for i, start in enumerate(times):
            for j in range(i, len(times)):
                assert j - i + 1 <= most + (times[j] - start) * per_s + 1e-3

    def test_lets_some_go_at_once(self, clock):
        pace = Pace(clock, per_s=5)
        assert [pace.start() for _ in range(5)] == [0.0] * 5
        assert pace.start() == pytest.approx(0.2)

    def test_none_is_any(self, clock):
        pace = Pace(clock)
        assert not any(pace.start() for _ in range(1000))


class TestGivingUp:
    def test_takes_many_failures_over_some_time(self, clock):
        pace = Pace(clock)
        for _ in range(11):
            pace.failed("it hung up")
        clock.sleep(60)
        assert pace.ended is None
        pace.failed("it hung up")
        assert isinstance(pace.ended, Unreachable)
        assert "it hung up" in str(pace.ended)
        assert pace.ended.exit_code == 5

    def test_is_not_done_in_the_first_moment(self, clock):
        pace = Pace(clock)
        for _ in range(500):
            pace.failed()
        assert pace.ended is None

    def test_is_off_after_any_success(self, clock):
        pace = Pace(clock)
        for _ in range(200):
            for _ in range(11):
                pace.failed()
            clock.sleep(30)
            pace.succeeded()
        assert pace.ended is None

    def test_a_few_failures_slow_nobody_down(self, clock):
        pace = Pace(clock)
        for _ in range(6):
            pace.failed()
        assert pace.start() == 0
        pace.failed()
        assert pace.start() == 0.5

    def test_comes_within_about_a_minute_where_nothing_answers(self, clock):
        pace = Pace(clock)
        begun_s = clock.at_s
        asked = 0
        while pace.ended is None:
            if wait_s := pace.start():
                assert wait_s <= 10
                clock.sleep(wait_s)
            else:
                asked += 1
                pace.failed()
        assert 45 <= clock.at_s - begun_s <= 75
        assert asked < 30
