"""Every test starts without the user's home, environment and zone, and fails when something logs an error."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# In CI the same examples each time, so that a change is judged by what it changes; elsewhere new ones.
settings.register_profile("camtrail", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("camtrail")

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
_READ = ("CAMIO_", "CAMTRAIL_", "XDG_", "MAPILLARY_", "INAT_TOKEN", "NUMBER_THREADS", "MAX_ATTEMPTS")
_PROGRAMS = {"exiftool": "exiftool", "gdal": "ogrinfo", "strace": "strace", "chromium": "chromium"}


@pytest.fixture(autouse=True)
def clean(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, UTC, and no variable that camtrail would read."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(_READ) and name != "CAMTRAIL_REQUIRE_TOOLS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CAMTRAIL_KEYRING", "off")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("LOCALAPPDATA", str(home))
    monkeypatch.setenv("TZ", "UTC")
    if hasattr(time, "tzset"):
        time.tzset()
    yield home
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


@pytest.fixture(autouse=True)
def no_error_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, camtrail logs no ERROR in it."""
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs a program or the real data says so when it is skipped; CI forbids the former."""
    for marker, program in _PROGRAMS.items():
        if item.get_closest_marker(marker) and not shutil.which(program):
            if os.environ.get("CAMTRAIL_REQUIRE_TOOLS") == "1":
                pytest.fail(f"{program} is not installed, and CAMTRAIL_REQUIRE_TOOLS forbids to skip")
            pytest.skip(f"{program} is not installed")
    if item.get_closest_marker("data") and not REAL_DATA.is_dir():
        pytest.skip(f"no real photos at {REAL_DATA}")
