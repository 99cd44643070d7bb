"""A pace with a budget waits for a little, and ends the run for a lot."""

from __future__ import annotations

import pytest

from camtrail.core.errors import QuotaExceeded
from camtrail.transfer.pace import Pace


class Clock:
    """A clock that nobody waits for."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now_s(self) -> float:
        return sum(self.slept)

    def monotonic_s(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Budget:
    """Says what it was told to say."""

    def __init__(self, *answers: float | QuotaExceeded) -> None:
        self.answers = list(answers)

    def take(self) -> float:
        answer = self.answers.pop(0)
        if isinstance(answer, QuotaExceeded):
            raise answer
        return answer


def test_it_waits_as_long_as_the_budget_says():
    clock, budget = Clock(), Budget(0.0, 12.0, 3.0, 0.0)
    pace = Pace(clock, budget=budget)
    pace.wait()
    pace.wait()
    assert clock.slept == [12.0, 3.0] and budget.answers == [] and pace.ended is None


def test_a_budget_that_is_spent_ends_it_at_once():
    clock, spent = Clock(), QuotaExceeded("spent", retry_after_s=9000.0)
    pace = Pace(clock, budget=Budget(0.0, spent))
    assert pace.start() == 0
    with pytest.raises(QuotaExceeded) as e:
        pace.wait()
    assert e.value is spent is pace.ended and clock.slept == []


def test_only_what_the_rate_lets_through_is_counted():
    clock, budget = Clock(), Budget(0.0, 0.0)
    pace = Pace(clock, per_s=1.0, budget=budget)
    assert pace.start() == 0 and pace.start() > 0 and len(budget.answers) == 1
    clock.sleep(1.0)
    assert pace.start() == 0 and budget.answers == []


def test_nothing_is_counted_in_a_pause():
    clock, budget = Clock(), Budget(0.0)
    pace = Pace(clock, budget=budget)
    pace.pause(30.0)
    assert pace.start() == 30.0 and len(budget.answers) == 1
