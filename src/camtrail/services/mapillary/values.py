"""Single values of Mapillary's answers and tiles; what is not what it should be is absent."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["captured_s", "heading_deg", "is_name", "number", "within"]

_NAN = float("nan")
_YEAR_10000_S = 253402300800.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII).fullmatch


def is_name(value: Any) -> bool:
    """Whether a value is an id that a file or a folder may be named for."""
    return isinstance(value, str) and _NAME(value) is not None


def number(value: Any) -> float:
    """A number; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _NAN
    try:
        return float(value)
    except OverflowError:
        return _NAN


def within(value: float, least: float, most: float) -> float:
    """A number between two others; NaN for one outside."""
    return value if least <= value <= most else _NAN


def captured_s(value: Any) -> float:
    """POSIX seconds of a time in milliseconds; NaN where it is none."""
    return within(number(value) / 1000, 0.0, _YEAR_10000_S)


def heading_deg(value: Any) -> float:
    """0 to less than 360; NaN where it is no direction."""
    return within(number(value), 0.0, 360.0) % 360.0
