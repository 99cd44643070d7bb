"""How the values of an Item are written in text formats: instants, numbers, places, XML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from camtrail.core.model import Item
from camtrail.core.names import shown

__all__ = [
    "FIRST_S",
    "LAST_S",
    "capture_time",
    "decimal",
    "has_place",
    "heading_deg",
    "in_order",
    "instant_s",
    "iso",
    "rounded",
    "sequence_id",
    "text_of",
    "xml",
]

_EPOCH = datetime(1970, 1, 1)  # without zone: plain arithmetic, `iso` writes the zone
FIRST_S, LAST_S = -62135596800.0, 253402300799.0
"""Of the years 1 to 9999, which ISO 8601 writes with four digits."""

_NO_ID = re.compile(r"[^A-Za-z0-9_-]")


def iso(seconds: float, zone: str = "Z") -> str | None:
    """ISO 8601 to the microsecond, fractions only where there are any; None where there is no time.

    Parameters
    ----------
    seconds : POSIX seconds, or those of a clock without zone; NaN where absent
    zone : what stands behind it; empty for a clock without zone
    """
    if not FIRST_S <= seconds < LAST_S:
        return None
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    return (text.rstrip("0") if "." in text else text) + zone


def rounded(value: float, digits: int) -> float | None:
    """The value to so many decimals, never -0.0; None where it is not a number."""
    return round(value, digits) + 0.0 if math.isfinite(value) else None


def decimal(value: float, digits: int) -> str:
    """The value without exponent and trailing zeros; empty where it is not a number."""
    if not math.isfinite(value):
        return ""
    text = f"{value:.{digits}f}"
    if digits:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def has_place(item: Item) -> bool:
    """Whether the item has a position that is one on the globe."""
    return -90.0 <= item.lat_deg <= 90.0 and -180.0 <= item.lon_deg <= 180.0


def instant_s(item: Item) -> float:
    """The instant that orders the photo, POSIX seconds: those of a burst share `time_s` and differ in this."""
    return item.time_s if math.isnan(item.order_s) else item.order_s


def heading_deg(item: Item) -> float | None:
    """Where the lens looks, 0 <= h < 360 to 3 decimals; None where unknown."""
    heading = rounded(item.heading_deg, 3)
    return 0.0 if heading == 360.0 else heading  # 359.9996 rounds up to 360


def text_of(value: str | None) -> str | None:
    """One line of valid Unicode, see `names.shown`; None where absent."""
    return None if value is None else shown(value)


def in_order(items: Iterable[Item]) -> list[Item]:
    """The photos of one sequence by their instant; those without time last."""
    return sorted(items, key=_rank)


def _rank(item: Item) -> tuple[bool, float, int]:
    order_s = item.order_s
    return (True, 0.0, item.sequence_index) if order_s != order_s else (False, order_s, item.sequence_index)


def xml(text: str) -> str:
    """Text for the content or a quoted attribute of an XML 1.0 document, on one line.

    Notes
    -----
    XML 1.0 §2.2 has no way to write most control characters, nor U+FFFE and U+FFFF: the first are shown as
    `\\xNN`, the other two become U+FFFD.
    """
    line = shown(text)
    if not line.isascii():
        line = line.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    return escape(line, {'"': "&quot;", "'": "&#39;"})


def capture_time(item: Item) -> str | None:
    """`YYYY_MM_DD_HH_MM_SS_mmm` in UTC, milliseconds cut off; None where there is no time."""
    seconds = instant_s(item)
    if iso(seconds) is None:
        return None
    # Rounded to the microsecond first: .57 s is stored as .5699999 and would be cut to 569 ms.
    t = _EPOCH + timedelta(seconds=seconds)
    date = f"{t.year:04}_{t.month:02}_{t.day:02}"
    return f"{date}_{t.hour:02}_{t.minute:02}_{t.second:02}_{t.microsecond // 1000:03}"


def sequence_id(item: Item) -> str | None:
    """The sequence's id in the characters that Mapillary's tools take; None outside of all."""
    return _NO_ID.sub("_", item.sequence) if item.sequence else None
