"""Resumable uploads against services that lose, lie, refuse and hang up: an end always comes, and success is real."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    Failure,
    QuotaExceeded,
    Rejected,
    SafetyRefusal,
    ServiceError,
    Unreachable,
    UnreadableFile,
)
from camtrail.transfer.http import Body
from camtrail.transfer.pace import Pace
from camtrail.transfer.queue import Again, Queue
from camtrail.transfer.resume import Resumable, RetryPolicy
from camtrail.transfer.retry import LONGEST_WAIT_S, Backoff, BadOffset, Gone, WrongOffset
from clocks import FakeClock

CHUNK = 1 << 16


def content(size, seed=0):
    return Random(seed).randbytes(size)


def body_of(data):
    def body_from(offset):
        rest = memoryview(data)[offset:]
        return Body(len(rest), lambda: (rest[at : at + CHUNK] for at in range(0, len(rest), CHUNK)))

    return body_from


class Service:
    """Keeps what arrives; each call first does the next thing of a list, which may be to fail."""

    def __init__(self, *plan):
        self.plan = list(
            plan
        )  # what the next attempts at an upload meet: an error, or a function of (self, key)
        self.stored = {}
        self.sent_bytes = 0
        self.asked = 0

    def _meet(self, kinds, key):
        if self.plan and isinstance(self.plan[0], kinds):
            fault = self.plan.pop(0)
            return fault(self, key) if callable(fault) else fault
        return None

    def offset(self, key):
        self.asked += 1
        fault = self._meet((Offset, OffsetError), key)
        if isinstance(fault, OffsetError):
            raise fault.error
        return len(self.stored.get(key, b"")) if fault is None else fault.value

    def send(self, key, offset, body):
        data = self.stored.setdefault(key, bytearray())
        fault = self._meet((Send,), key)
        if offset != len(data):
            raise WrongOffset("another offset")
        for chunk in body.chunks():
            if (
                fault is not None
                and fault.after_bytes is not None
                and len(data) - offset >= fault.after_bytes
            ):
                raise fault.error
            data += chunk
            self.sent_bytes += len(chunk)
        if fault is not None:
            if isinstance(fault.error, BaseException):
                raise fault.error
            return fault.error
        return f"handle of {key}"


class Offset:
    """An answer about the offset."""

    def __init__(self, value):
        self.value = value


class OffsetError:
    """A failure when the offset is asked for."""

    def __init__(self, error):
        self.error = error


class Send:
    """A failure, or an odd handle, when bytes are sent; where `after_bytes` is given, after so many."""

    def __init__(self, error, after_bytes=None):
        self.error = error
        self.after_bytes = after_bytes


def machine(service, data, *, key="k", random=None, **policy):
    return Resumable(
        key,
        len(data),
        body_of(data),
        service,
        RetryPolicy(**policy),
        random or Random(1),
        lambda n: f"{key}_{n}",
    )


def driven(upload, most=10_000):
    """The handle, or the error; and the Agains before."""
    agains = []
    for _ in range(most):
        try:
            answer = upload.step()
        except CamtrailError as e:
            return e, agains
        if not isinstance(answer, Again):
            return answer, agains
        agains.append(answer)
    raise AssertionError("no end")


DOWN = Unreachable("it hung up")


class TestTheOrdinary:
    @pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
    def test_upload_is_one_step(self, size):
        service, data = Service(), content(size)
        assert machine(service, data).step() == "handle of k"
        assert service.stored["k"] == data
        assert service.asked == 1

    @pytest.mark.parametrize("there", [1, 70_000, 99_999])
    def test_upload_goes_on_where_it_was(self, there):
        service, data = Service(), content(100_000)
        service.stored["k"] = bytearray(data[:there])
        assert machine(service, data).step() == "handle of k"
        assert service.stored["k"] == data
        assert service.sent_bytes == 100_000 - there

    def test_upload_that_is_there_gives_its_handle(self):
        service, data = Service(), content(100_000)
        service.stored["k"] = bytearray(data)
        assert machine(service, data).step() == "handle of k"
        assert service.sent_bytes == 0

    def test_upload_whose_answer_was_lost_is_not_sent_again(self):
        service, data = Service(Send(DOWN)), content(100_000)
        answer, agains = driven(machine(service, data))
        assert answer == "handle of k"
        assert service.sent_bytes == 100_000
        assert len(agains) == 1


class TestTransientTrouble:
    @pytest.mark.parametrize(
        "fault",
        [OffsetError(DOWN), Send(DOWN), Send(DOWN, 0), OffsetError(BadAnswer("a page")), Send(BadAnswer("a page")), Send(""),
         Send(None), Send(7), Send(b"bytes"), Send(True)],
    )  # fmt: skip
    def test_is_tried_ten_times(self, fault):
        service = Service(*[fault] * 1000)
        error, agains = driven(machine(service, content(1000)))
        assert isinstance(error, ServiceError) and error.retryable and error.exit_code == 5
        # What was whole at the service is progress once; whether it then gives a handle is not.
        assert len(agains) in (9, 10)
        assert all(0 <= a.after_s <= 30 and a.error is not None for a in agains)

    def test_waits_longer_each_time_at_most_half_a_minute(self):
        class Most(Random):
            def uniform(self, a, b):
                return b

        _, agains = driven(
            machine(Service(*[OffsetError(DOWN)] * 50), content(10), random=Most(), attempts=12)
        )
        assert [a.after_s for a in agains] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0]

    def test_is_forgiven_for_what_more_the_service_has(self):
        data = content(CHUNK * 40)
        service = Service(*[Send(DOWN, CHUNK)] * 1000)
        answer, agains = driven(machine(service, data))
        assert answer == "handle of k" or isinstance(answer, Unreachable)
        assert service.stored["k"] == data
        assert len(agains) > 30

    def test_is_not_forgiven_for_a_byte_at_a_time(self):
        data = content(CHUNK * 40)

        class Miser(Service):
            def send(self, key, offset, body):
                stored = self.stored.setdefault(key, bytearray())
                stored += bytes(next(body.chunks())[:100])
                raise DOWN

        service = Miser()
        error, agains = driven(machine(service, data))
        assert error is DOWN
        assert len(agains) == 9

    def test_is_not_forgiven_where_the_service_loses_and_finds_the_same(self):
        data = content(CHUNK * 4)

        class Forgetful(Service):
            def offset(self, key):
                self.asked += 1
                self.stored[key] = bytearray(data[: CHUNK * 2 if self.asked % 2 else 0])
                return len(self.stored[key])

            def send(self, key, offset, body):
                raise DOWN

        error, agains = driven(machine(Forgetful(), data))
        assert error is DOWN
        assert len(agains) <= 10

    def test_progress_is_told(self):
        data = content(CHUNK * 3)
        _, agains = driven(machine(Service(Send(DOWN, CHUNK), Send(DOWN, 0), Send(DOWN, CHUNK)), data))
        assert [a.gained for a in agains] == [False, True, False]


class TestPauses:
    @pytest.mark.parametrize(
        ("asked_s", "pause_s"), [(None, 10), (0, 0), (20, 20), (86_400, LONGEST_WAIT_S), (-5, 0), (300, 300)]
    )
    def test_are_the_services(self, asked_s, pause_s):
        quota = QuotaExceeded("slow", retry_after_s=asked_s)
        _, agains = driven(machine(Service(Send(quota)), content(10)))
        assert [a.pause_s for a in agains] == [pause_s]
        assert agains[0].error is quota

    def test_have_an_end(self):
        error, agains = driven(
            machine(Service(*[OffsetError(QuotaExceeded("slow", retry_after_s=0))] * 999), content(10))
        )
        assert isinstance(error, QuotaExceeded) and error.retryable
        assert len(agains) == 9


class TestOffsets:
    def test_that_are_wrong_are_asked_for_at_once(self):
        service = Service(*[Send(WrongOffset("no"), 0)] * 5)
        answer, agains = driven(machine(service, content(10)))
        assert answer == "handle of k"
        assert [a.after_s for a in agains] == [0.0] * 5

    def test_that_stay_wrong_have_an_end(self):
        error, agains = driven(machine(Service(*[Send(WrongOffset("no"), 0)] * 999), content(10)))
        assert isinstance(error, WrongOffset) and error.exit_code == 5 and error.retryable
        assert len(agains) == 5

    def test_that_stay_wrong_among_other_trouble_have_one_too(self):
        plan = [Send(WrongOffset("no")), OffsetError(DOWN)] * 500
        _, agains = driven(machine(Service(*plan), content(10)))
        assert len(agains) <= 15

    @pytest.mark.parametrize("junk", [-1, 11, 10**30, True, False, None, "5", 5.0, float("nan"), [5], {}])
    def test_without_sense_open_one_new_session(self, junk):
        service = Service(Offset(junk))
        service.stored["k"] = bytearray(b"what else is there")
        answer, agains = driven(machine(service, content(10)))
        assert answer == "handle of k_1"
        assert service.stored["k_1"] == content(10)
        assert len(agains) == 1

    @pytest.mark.parametrize("junk", [Offset(-1), Offset("5"), OffsetError(BadOffset("no offset"))])
    def test_without_sense_twice_are_the_end(self, junk):
        error, agains = driven(machine(Service(*[junk] * 999), content(10)))
        assert isinstance(error, BadOffset) and error.exit_code == 5
        assert len(agains) == 1


class TestSessionsThatAreGone:
    @pytest.mark.parametrize("fault", [OffsetError, Send])
    def test_start_over(self, fault):
        data = content(CHUNK * 3)
        service = Service(Send(DOWN, CHUNK), *[fault(Gone("expired"))] * 3)
        answer, agains = driven(machine(service, data))
        assert answer == "handle of k"
        assert service.stored["k"] == data
        assert len(agains) == 4

    @pytest.mark.parametrize("fault", [OffsetError, Send])
    def test_start_over_three_times_at_most(self, fault):
        error, agains = driven(machine(Service(*[fault(Gone("expired"))] * 999), content(10)))
        assert isinstance(error, Gone) and error.exit_code == 3
        assert len(agains) == 3

    def test_count_progress_anew(self):
        data = content(CHUNK * 8)

        def forget(service, key):
            service.stored[key] = bytearray()
            return OffsetError(Gone("expired"))

        class Forget(OffsetError):
            def __init__(self):
                pass

            __call__ = staticmethod(forget)

        plan = [
            *[Send(DOWN, CHUNK * 7), Send(DOWN, 0)],
            *[OffsetError(DOWN)] * 7,
            Forget(),
            *[Send(DOWN, CHUNK * 2), Send(DOWN, 0)],
            *[OffsetError(DOWN)] * 8,
        ]
        answer, _ = driven(machine(Service(*plan), data))
        assert answer == "handle of k"


@pytest.mark.parametrize(
    "error",
    [
        AuthError("no"),
        SafetyRefusal("elsewhere"),
        Rejected("413"),
        UnreadableFile("a", "gone", retryable=True),
        ValueError("defect"),
    ],
)
@pytest.mark.parametrize("fault", [OffsetError, Send])
def test_what_cannot_get_better_comes_through_at_once(error, fault):
    service = Service(fault(error))
    with pytest.raises(type(error)) as e:
        machine(service, content(10)).step()
    assert e.value is error


def test_a_file_that_cannot_be_read_is_not_tried_again():
    def body_from(offset):
        raise UnreadableFile("a.jpg", "is not there", retryable=True)

    upload = Resumable("k", 10, body_from, Service(), RetryPolicy(), Random(1), str)
    with pytest.raises(UnreadableFile):
        upload.step()


class Adversary:
    """A service that does at each call whatever comes to its mind; what it has is its own business."""

    def __init__(self, random, data, honest_after):
        self.random = random
        self.data = data
        self.stored = {}
        self.calls = 0
        self.honest_after = honest_after
        self.handles = {}  # handle -> what was there when it was given

    def _evil(self, key):
        self.calls += 1
        if self.calls > self.honest_after or self.random.random() < 0.4:
            return
        roll = self.random.random()
        stored = self.stored.setdefault(key, bytearray())
        if roll < 0.15:
            del stored[self.random.randint(0, len(stored)) :]
        elif roll < 0.2:
            stored.clear()
            raise Gone("expired")
        elif roll < 0.22:
            raise self.random.choice([AuthError("401"), Rejected("413"), SafetyRefusal("redirect")])
        elif roll < 0.4:
            raise QuotaExceeded("429", retry_after_s=self.random.choice([None, 0, 1, 86_400]))
        elif roll < 0.5:
            raise BadAnswer("a page")
        elif roll < 0.55:
            raise WrongOffset("412")
        elif roll < 0.8:
            raise Unreachable("503")

    def offset(self, key):
        self._evil(key)
        true = len(self.stored.get(key, b""))
        if self.calls <= self.honest_after and self.random.random() < 0.05:
            return self.random.choice([-1, len(self.data) + 1, "7", True, None, true // 2, len(self.data)])
        return true

    def send(self, key, offset, body):
        self._evil(key)
        stored = self.stored.setdefault(key, bytearray())
        if offset != len(stored):
            raise WrongOffset("412")
        assert body.size == len(self.data) - offset
        takes = (
            body.size
            if self.calls > self.honest_after
            else self.random.choice([0, 1, CHUNK, body.size, body.size])
        )
        for chunk in body.chunks():
            stored += chunk[:takes]
            takes -= min(takes, len(chunk))
        if len(stored) < len(self.data):
            raise Unreachable("it hung up")
        if self.calls <= self.honest_after and self.random.random() < 0.2:
            return self.random.choice(["", None, 5, [], True])
        handle = f"h{len(self.handles)}"
        self.handles[handle] = bytes(stored)
        return handle


def most_steps(size, policy):
    """More attempts than this no upload may take, whatever the service does."""
    sessions = policy.restarts + 2
    gains = size // CHUNK + 2
    return sessions * (gains * (policy.attempts + policy.wrong_offsets + 1) + 2)


@settings(max_examples=400)
@given(
    seed=st.integers(0, 2**32),
    size=st.sampled_from([0, 1, 1000, CHUNK, CHUNK * 3 + 5]),
    honest_after=st.sampled_from([0, 5, 20, 10**9]),
)
def test_whatever_a_service_does(seed, size, honest_after):
    random = Random(seed)
    data = content(size, seed)
    service = Adversary(random, data, honest_after)
    policy = RetryPolicy()
    upload = machine(service, data, random=random)
    answer, agains = driven(upload)
    assert all(data.startswith(bytes(stored)) for stored in service.stored.values())
    assert len(agains) < most_steps(size, policy)
    assert all(0 <= a.after_s <= 30 and 0 <= a.pause_s <= LONGEST_WAIT_S for a in agains)
    if isinstance(answer, str):
        assert answer and service.handles[answer] == data
    else:
        assert isinstance(answer, CamtrailError) and answer.code != "bug"
    if honest_after == 0:
        assert answer == "h0" and agains == []


class Uploads(RuleBasedStateMachine):
    """One upload after the other of the same bytes, by clients that die, to a service that has its days."""

    @initialize(size=st.sampled_from([0, 1, CHUNK - 1, CHUNK * 2, CHUNK * 5 + 1]))
    def begin(self, size):
        self.data = content(size, 7)
        self.service = Service()
        self.second = machine(self.service, self.data)
        self.steps_left = 0
        self.restart()

    @rule()
    def restart(self):
        """The client is killed, and run again."""
        self.upload = machine(self.service, self.data)
        self.done = None
        self.steps_left = most_steps(len(self.data), RetryPolicy())

    @rule(error=st.sampled_from([DOWN, BadAnswer("x"), QuotaExceeded("x", retry_after_s=1), WrongOffset("x"), Gone("x"), AuthError("x")]),
          asked=st.booleans(), after_bytes=st.none() | st.sampled_from([0, CHUNK, CHUNK * 2]))  # fmt: skip
    def trouble(self, error, asked, after_bytes):
        self.service.plan.append(OffsetError(error) if asked else Send(error, after_bytes))

    @rule(n=st.integers(0, CHUNK * 6))
    def drops(self, n):
        for stored in self.service.stored.values():
            del stored[max(0, len(stored) - n) :]

    @rule()
    def another_client(self):
        try:
            if isinstance(self.second.step(), str):
                self.second = machine(self.service, self.data)
        except CamtrailError:
            self.second = machine(self.service, self.data)

    @precondition(lambda self: self.done is None)
    @rule()
    def step(self):
        self.steps_left -= 1
        try:
            answer = self.upload.step()
        except CamtrailError as e:
            self.done = e
            return
        if isinstance(answer, Again):
            assert 0 <= answer.after_s <= 30 and answer.pause_s <= LONGEST_WAIT_S
        else:
            assert answer == "handle of k" and self.service.stored["k"] == self.data
            self.done = answer

    @invariant()
    def what_is_there_is_the_beginning(self):
        if hasattr(self, "service"):
            assert all(self.data.startswith(bytes(s)) for s in self.service.stored.values())
            assert self.steps_left >= 0

    def teardown(self):
        if hasattr(self, "service"):
            self.service.plan.clear()
            assert driven(machine(self.service, self.data))[0] == "handle of k"


TestUploads = Uploads.TestCase
TestUploads.settings = settings(max_examples=60, stateful_step_count=40)


class TestManyAtOnce:
    def test_with_five_in_a_hundred_that_fail_all_arrive_and_hardly_anybody_waits(self):
        clock, random = FakeClock(), Random(5)
        data = content(1000)

        class Flaky(Service):
            def offset(self, key):
                if random.random() < 0.05:
                    raise DOWN
                return super().offset(key)

            def send(self, key, offset, body):
                if random.random() < 0.05:
                    raise DOWN
                return super().send(key, offset, body)

        service = Flaky()
        begun_s = clock.at_s
        uploads = [machine(service, data, key=f"k{i}") for i in range(500)]
        with Queue(Resumable.step, workers=4, clock=clock, pace=Pace(clock), tasks=uploads) as queue:
            answers = [answer for _, answer in queue]
        assert len(answers) == 500 and all(isinstance(a, str) for a in answers)
        assert all(bytes(stored) == data for stored in service.stored.values())
        assert clock.at_s - begun_s < 5

    def test_with_a_service_that_is_away_for_a_while_all_arrive(self):
        clock = FakeClock()
        back_s = clock.at_s + 30

        class Away(Service):
            def offset(self, key):
                if clock.at_s < back_s:
                    raise DOWN
                return super().offset(key)

        uploads = [machine(Away(), content(100), key=f"k{i}") for i in range(200)]
        with Queue(Resumable.step, workers=4, clock=clock, pace=Pace(clock), tasks=uploads) as queue:
            assert all(isinstance(answer, str) for _, answer in queue)

    def test_with_a_service_that_is_not_there_nobody_waits_for_hours(self):
        clock = FakeClock()
        begun_s = clock.at_s
        service = Service(*[OffsetError(DOWN)] * 100_000)
        uploads = [machine(service, content(100), key=f"k{i}") for i in range(1000)]
        with Queue(Resumable.step, workers=4, clock=clock, pace=Pace(clock), tasks=uploads) as queue:
            answers = [answer for _, answer in queue]
        assert len(answers) == 1000
        assert all(isinstance(a, Failure) and (a.exit_code, a.retryable) == (5, True) for a in answers)
        assert clock.at_s - begun_s < 80
        assert service.asked < 60

    def test_a_service_that_asks_for_pauses_is_given_what_may_be_waited(self):
        clock = FakeClock()
        begun_s = clock.at_s
        service = Service(*[OffsetError(QuotaExceeded("429", retry_after_s=86_400))] * 100_000)
        uploads = [machine(service, content(100), key=f"k{i}") for i in range(100)]
        with Queue(
            Resumable.step, workers=4, clock=clock, pace=Pace(clock, longest_s=600), tasks=uploads
        ) as queue:
            answers = [answer for _, answer in queue]
        assert {(a.code, a.exit_code, a.retryable) for a in answers} == {("quota", 5, True)}
        assert clock.at_s - begun_s <= 640
        assert max(clock.slept) <= LONGEST_WAIT_S


def test_a_policy_says_how_often():
    policy = RetryPolicy(attempts=3, backoff=Backoff(first_s=1, most_s=2))
    upload = Resumable("k", 1, body_of(b"x"), Service(*[OffsetError(DOWN)] * 9), policy, Random(1), str)
    _, agains = driven(upload)
    assert len(agains) == 2
    assert all(a.after_s <= 2 for a in agains)
