"""What answers mean, whatever a service says beside them."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    InputError,
    QuotaExceeded,
    Rejected,
    Unreachable,
    failure_of,
)
from camtrail.core.secrets import Secret
from camtrail.transfer.http import Answer
from camtrail.transfer.retry import (
    LONGEST_WAIT_S,
    Backoff,
    BadOffset,
    Gone,
    Throttled,
    TooMuch,
    WrongOffset,
    error_of,
    patiently,
)
from clocks import FakeClock


def answer(status=400, body=b"", **headers):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return Answer(status, {k.replace("_", "-"): v for k, v in headers.items()}, body)


def graph(**error):
    return {"error": error}


def upload(**debug):
    return {"debug_info": debug}


@pytest.mark.parametrize(
    ("status", "body", "expected", "retryable", "exit_code"),
    [
        (400, b"", Rejected, False, 3),
        (422, b"no", Rejected, False, 3),
        (413, b"", Rejected, False, 3),
        (405, b"[]", Rejected, False, 3),
        (404, b"", Gone, False, 3),
        (410, b"", Gone, False, 3),
        (401, b"", AuthError, False, 6),
        (403, b"", AuthError, False, 6),
        (400, upload(type="NotAuthorizedError"), AuthError, False, 6),
        (400, graph(code=190), AuthError, False, 6),
        (500, graph(code=190, message="no token"), AuthError, False, 6),
        (404, upload(type="NotAuthorizedError"), Gone, False, 3),
        (408, b"", Unreachable, True, 5),
        (425, b"", Unreachable, True, 5),
        (500, b"", Unreachable, True, 5),
        (502, b"<html>", Unreachable, True, 5),
        (503, b"", Unreachable, True, 5),
        (504, b"", Unreachable, True, 5),
        (599, b"", Unreachable, True, 5),
        (500, graph(code=2), Unreachable, True, 5),
        (400, graph(code=2), Unreachable, True, 5),
        (400, graph(is_transient=True), Unreachable, True, 5),
        (400, graph(is_transient="yes"), Rejected, False, 3),
        (500, graph(code=1, message="Please reduce the amount of data you're asking for"), TooMuch, False, 3),
        (500, graph(code=1, message="An unknown error occurred"), Unreachable, True, 5),
        (400, graph(code=4), Throttled, True, 5),
        (500, graph(code=4), Throttled, True, 5),
        (429, b"", Throttled, True, 5),
        (400, upload(type="RequestRateLimitedError"), Throttled, True, 5),
        (400, upload(retriable=True), Unreachable, True, 5),
        (400, upload(retriable=1), Rejected, False, 3),
        (400, upload(retriable=False), Rejected, False, 3),
        (409, b"", WrongOffset, True, 5),
        (412, upload(retriable=True, type="OffsetInvalidError"), WrongOffset, True, 5),
        (412, b"", WrongOffset, True, 5),
        (302, b"", BadAnswer, True, 5),
        (304, b"", BadAnswer, True, 5),
        (103, b"", BadAnswer, True, 5),
    ],
)
def test_the_table(status, body, expected, retryable, exit_code):
    error = error_of(answer(status, body), "the upload")
    assert type(error) is expected
    failure = failure_of("a.jpg", error)
    assert (failure.retryable, failure.exit_code) == (retryable, exit_code)
    assert failure.message.startswith("the upload: ")
    assert str(status) in failure.message


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_success_is_no_error(status):
    assert error_of(answer(status, graph(code=190)), "it") is None


@pytest.mark.parametrize(
    "body", [graph(code=True), graph(code="190"), graph(code=190.0), [190], {"error": [190]}, 190]
)
def test_what_only_looks_like_a_code_is_none(body):
    assert type(error_of(answer(400, body), "it")) is Rejected


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "error code message error_user_msg is_transient debug_info type retriable backoff offset h".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    status=st.integers(100, 599), body=any_json.map(lambda v: json.dumps(v).encode()) | st.binary(max_size=60)
)
def test_no_body_is_too_odd(status, body):
    error = error_of(answer(status, body), "the upload")
    assert (error is None) == (200 <= status < 300)
    assert error is None or (isinstance(error, CamtrailError) and error.code != "bug")


@given(body=any_json, text=st.text(max_size=40), date=st.text(max_size=40))
def test_a_pause_is_never_negative_nor_longer_than_five_minutes(body, text, date):
    error = error_of(answer(429, body, retry_after=text, date=date), "it", now_s=0.0)
    assert isinstance(error, QuotaExceeded | AuthError)
    if isinstance(error, QuotaExceeded):
        assert error.retry_after_s is None or 0 <= error.retry_after_s <= LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("body", "headers", "now_s", "expected"),
    [
        ({"backoff": 13000}, {}, None, 13.0),
        ({"backoff": 13000}, {"retry_after": "20"}, None, 13.0),
        ({"backoff": 0.5}, {}, None, 0.0005),
        ({"backoff": -5}, {}, None, 0.0),
        ({"backoff": 10**30}, {}, None, 300.0),
        ({"backoff": True}, {"retry_after": "20"}, None, 20.0),
        ({"backoff": "foo"}, {"retry_after": "20"}, None, 20.0),
        ({"backoff": [1]}, {}, None, None),
        (b'{"backoff": NaN}', {}, None, None),
        (b'{"backoff": Infinity}', {"retry_after": "2"}, None, 2.0),
        (b"", {}, None, None),
        (b"", {"retry_after": "0"}, None, 0.0),
        (b"", {"retry_after": "-1"}, None, 0.0),
        (b"", {"retry_after": " 7 "}, None, 7.0),
        (b"", {"retry_after": "2.5"}, None, 2.5),
        (b"", {"retry_after": "86400"}, None, 300.0),
        (b"", {"retry_after": "9" * 5000}, None, 300.0),
        (b"", {"retry_after": "soon"}, None, None),
        (b"", {"retry_after": "1e400"}, None, 300.0),
        (b"", {"retry_after": "12 monkeys"}, None, None),
        (b"", {"retry_after": "Fri, 20 Nov 2026 10:00:20 GMT"}, None, None),
        (b"", {"retry_after": "Fri, 20 Nov 2026 10:00:20 GMT"}, 1795168800.0, 20.0),
        (
            b"",
            {"retry_after": "Fri, 20 Nov 2026 10:00:20 GMT", "date": "Fri, 20 Nov 2026 10:00:05 GMT"},
            0.0,
            15.0,
        ),
        (
            b"",
            {"retry_after": "Thu, 19 Nov 2026 10:00:20 GMT", "date": "Fri, 20 Nov 2026 10:00:05 GMT"},
            None,
            0.0,
        ),
        (b"", {"retry_after": "Fri, 99 Nov 2026 10:00:20 GMT", "date": "Fri, 20 Nov 2026"}, None, None),
    ],
)
def test_how_long_to_wait(body, headers, now_s, expected):
    error = error_of(answer(429, body, **headers), "it", now_s)
    assert isinstance(error, QuotaExceeded)
    assert error.retry_after_s == expected


def test_the_message_is_the_services_on_one_short_line():
    said = "line one\nline two \x1b[31m\u202egnp " + "x" * 500
    error = error_of(answer(400, graph(message=said)), "the upload")
    assert "\n" not in error.message
    assert "\x1b" not in error.message and "\u202e" not in error.message
    assert "line one line two" in error.message
    assert len(error.message) < 250


def test_what_is_meant_for_the_user_comes_first():
    error = error_of(answer(400, graph(message="(#100) x", error_user_msg="This album is full")), "it")
    assert "This album is full" in error.message and "#100" not in error.message
    assert "Session is closed" in error_of(answer(400, upload(message="Session is closed")), "it").message


def test_a_token_that_is_said_back_is_blanked():
    token = Secret("MLY|1234|abcdef-canary")
    error = error_of(answer(401, graph(message=f"Malformed access token {token.reveal()}", code=190)), "it")
    assert "canary" not in str(error)
    assert "***" in error.message


@given(attempt=st.integers(-3, 10_000), seed=st.integers())
def test_waits_grow_up_to_thirty_seconds(attempt, seed):
    wait_s = Backoff().delay_s(attempt, Random(seed))
    assert 0 <= wait_s <= min(30.0, 0.2 * 2.0 ** min(max(attempt - 1, 0), 64))


@given(attempt=st.integers(1, 10_000), seed=st.integers())
def test_waits_may_begin_lower_and_grow_faster(attempt, seed):
    wait_s = Backoff(first_s=0.005, factor=4.0).delay_s(attempt, Random(seed))
    assert 0 <= wait_s <= min(30.0, 0.005 * 4.0 ** min(attempt - 1, 64))


def test_waits_are_spread_over_all_of_the_time():
    random = Random(1)
    waits = [Backoff().delay_s(20, random) for _ in range(2000)]
    assert min(waits) < 1 and max(waits) > 29
    assert 14 < sum(waits) / len(waits) < 16


class Flaky:
    """Raises errors, then returns."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_a_harmless_call_is_made_until_it_succeeds():
    clock = FakeClock()
    call = Flaky(Unreachable("gone"), BadAnswer("odd"), QuotaExceeded("slow", retry_after_s=20))
    assert patiently(call, clock=clock, random=Random(1)) == "done"
    assert call.calls == 4
    assert len(clock.slept) == 3
    assert clock.slept[2] >= 20


def test_people_hear_once_why_they_wait(caplog):
    call = Flaky(*[Unreachable("the Box does not answer")] * 7)
    assert (
        patiently(call, clock=FakeClock(), random=Random(1), attempts=8, backoff=Backoff(first_s=4)) == "done"
    )
    assert [r.getMessage() for r in caplog.records] == [
        "the Box does not answer; trying again, up to 8 times"
    ]


@pytest.mark.parametrize("error", [AuthError("no"), Rejected("no"), InputError("a", "no", retryable=True)])
def test_what_cannot_change_is_not_asked_twice(error):
    call = Flaky(error)
    with pytest.raises(type(error)):
        patiently(call, clock=FakeClock(), random=Random(1))
    assert call.calls == 1


def test_patience_ends():
    clock = FakeClock()
    call = Flaky(*[QuotaExceeded("slow", retry_after_s=86400)] * 50)
    with pytest.raises(QuotaExceeded):
        patiently(call, clock=clock, random=Random(1), attempts=4)
    assert call.calls == 4
    assert clock.slept == [300.0] * 3


def test_a_wrong_offset_is_told_from_an_answer_without_sense():
    assert issubclass(BadOffset, BadAnswer) and not issubclass(WrongOffset, BadAnswer)
