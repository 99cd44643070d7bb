"""Secrets show themselves to nobody who does not ask by name."""

from __future__ import annotations

import logging
import pickle

import pytest

from camtrail.core.secrets import Redaction, Secret, redacted


def test_a_secret_is_three_stars_wherever_it_is_printed():
    secret = Secret("CANARY-1234")
    assert f"{secret} {secret!r} {secret!s} {[secret]}" == "*** *** *** [***]"
    assert secret.reveal() == "CANARY-1234" and secret == Secret("CANARY-1234") != Secret("other")
    assert not Secret("") and bool(secret)


def test_it_does_not_leave_its_process():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("CANARY-1234"))


def test_it_is_blanked_out_of_texts_also_where_one_begins_another():
    short, long = "CANARY-aaaa", "CANARY-aaaa-bbbb"
    Secret(short), Secret(long)
    assert redacted(f"x{long}y{short}z") == "x***y***z"


def test_the_log_has_none(caplog):
    Secret("CANARY-log-9")
    logger = logging.getLogger("camtrail.test")
    caplog.handler.addFilter(filter_ := Redaction())
    try:
        try:
            raise ValueError("token CANARY-log-9")
        except ValueError:
            logger.warning("sent %s", "CANARY-log-9", exc_info=True)
    finally:
        caplog.handler.removeFilter(filter_)
    assert "CANARY-log-9" not in caplog.text and "sent ***" in caplog.text
