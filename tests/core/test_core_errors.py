"""The tree of errors, and failures as data."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core import errors
from camtrail.core.errors import (
    CamtrailError,
    CatalogError,
    Failure,
    InputError,
    StorageError,
    UnreadableFile,
    UsageError,
    failure_of,
    worst,
)

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, CamtrailError)]
RETRYABLE = {"BadAnswer", "FolderBusy", "QuotaExceeded", "Unreachable"}
CODES = {
    "ServiceError": 5, "Unreachable": 5, "BadAnswer": 5, "QuotaExceeded": 5, "Rejected": 3, "AuthError": 6,
    "CamtrailError": 1, "UsageError": 2, "InputError": 4, "UnreadableFile": 4, "UnusableDescription": 4,
    "StorageError": 7, "CatalogError": 8, "FolderBusy": 9, "MissingDependency": 10, "SafetyRefusal": 11,
}  # fmt: skip
plain = st.text(st.characters(exclude_categories=("Cs",)))


def test_the_exit_codes_are_those_of_the_manual():
    assert {c.__name__: c.exit_code for c in CLASSES} == CODES
    assert {c.__name__ for c in CLASSES if c.retryable} == RETRYABLE


@pytest.mark.parametrize("kind", CLASSES)
@given(message=plain, hint=plain, retryable=st.booleans())
def test_every_error_survives_a_pickle(kind, message, hint, retryable):
    if issubclass(kind, InputError):
        error = kind("a\udcff/b", message, hint, retryable=retryable)
    else:
        error = kind(message, hint)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert failure_of(1, again) == failure_of(1, error)


@given(plain.filter(bool), plain)
def test_the_text_is_what_is_wrong_and_what_to_do(message, hint):
    assert str(UsageError(message)) == message
    assert str(UsageError(message, hint)) == (f"{message}; {hint}" if hint else message)
    assert str(UnreadableFile("a\nb", message, hint)).startswith("a\\x0ab: " + message)


def test_failures_of_errors_on_purpose():
    gone = UnreadableFile("a.jpg", "is not there", "look elsewhere", retryable=True)
    assert failure_of(7, gone) == Failure(7, "unreadable", "is not there", "look elsewhere", True, 3, "")
    assert failure_of(7, StorageError("full", "make room")) == Failure(
        7, "storage", "full", "make room", False, 7, ""
    )
    assert failure_of(7, CatalogError("old")).exit_code == 8


def test_a_foreign_exception_is_a_defect_with_its_traceback():
    def buggy():
        return 1 / 0

    try:
        buggy()
    except ZeroDivisionError as e:
        found = failure_of("item", e)
    assert (found.code, found.exit_code, found.retryable) == ("bug", 1, False)
    assert found.message == "ZeroDivisionError: division by zero"
    assert "in buggy" in found.detail and found.detail.startswith("Traceback")
    assert found.hint


def test_the_message_of_a_defect_is_one_line_without_controls():
    found = failure_of(1, ValueError("first\nsecond \x1b[31m \udcff"))
    assert found.message == "ValueError: first\\x0asecond \\x1b[31m \\xff"


def test_an_exception_that_cannot_even_be_printed_is_a_failure():
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no")

    found = failure_of(1, Unprintable())
    assert found.code == "bug" and found.message.startswith("Unprintable")


def test_a_failure_survives_a_pickle_and_a_renaming():
    failure = Failure(("a", 1), "bug", "m", "h", True, 1, "d")
    assert pickle.loads(pickle.dumps(failure)) == failure
    other = failure.at("b")
    assert other.item == "b"
    for f in fields(Failure):
        assert f.name == "item" or getattr(other, f.name) == getattr(failure, f.name)


@given(st.sets(st.sampled_from([0, 1, 3, 5, 6, 7, 8])))
def test_the_worst_code_wins(codes):
    order = [1, 7, 6, 8, 5, 3, 0]
    assert worst(codes) == min(codes | {0}, key=order.index)


@pytest.mark.parametrize(
    ("codes", "expected"), [(set(), 0), ({0}, 0), ({0, 9}, 9), ({8, 6, 3}, 6), ({4}, 4), ({3, 7, 1}, 1)]
)
def test_worst(codes, expected):
    assert worst(codes) == expected
