"""Times as files write them -> seconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

__all__ = ["Times", "epoch", "gps_instant"]

_DAY_1970 = date(1970, 1, 1).toordinal()
_LAST = 253402300800.0  # the end of the year 9999
_WRITTEN = re.compile(
    r"(?P<date>\d{4}([-:/.]?)\d\d\2\d\d)(?:\s+|T)?(?P<hour>\d\d)(:?)(?P<minute>\d\d)"
    r"(?:\4(?P<second>\d\d(?:[.,]\d+)?))?\s*(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_MAPILLARY = re.compile(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{1,6})", re.ASCII)
_CACHED = 8192


class Times:
    """Reads written times; what neighbours share is worked out once.

    Attributes
    ----------
    minutes : `2025-03-14T07:00:` -> POSIX seconds
    tails : `12.5Z` or `12.5+01:00` -> seconds to add
    naive : the tails that name no zone

    Notes
    -----
    ISO 8601 (`T` or blank between date and time, fractions of any length, `Z` or an offset), EXIF 2.32
    (`YYYY:MM:DD HH:MM:SS`), and Mapillary's `YYYY_MM_DD_HH_MM_SS_mmm`, which is UTC. Consecutive fixes
    share the minute, so that two look-ups read most times.
    """

    __slots__ = ("minutes", "naive", "tails")

    def __init__(self) -> None:
        self.minutes: dict[str, float] = {}
        self.tails: dict[str, float] = {}
        self.naive: set[str] = set()

    def read(self, text: str) -> tuple[float, bool]:
        """Seconds, and whether the text names a zone (POSIX seconds) or not (as if the clock were UTC).

        Raises ValueError for what is no time.
        """
        tail = text[17:]
        try:
            return self.minutes[text[:17]] + self.tails[tail], tail not in self.naive
        except KeyError:
            return self._parse(text.strip())

    def _parse(self, text: str) -> tuple[float, bool]:
        if m := _MAPILLARY.fullmatch(text):
            *whole, fraction = m.groups()
            return datetime(*map(int, whole), tzinfo=UTC).timestamp() + float("0." + fraction), True  # type: ignore[misc,arg-type]
        m = _WRITTEN.fullmatch(text)
        if m is None:
            raise ValueError(f"{text[:40]!r} is no time")
        digits = re.sub(r"\D", "", m["date"])
        hour, minute, second = int(m["hour"]), int(m["minute"]), float((m["second"] or "0").replace(",", "."))
        if hour > 23 or minute > 59 or second >= 61:  # 60 is a leap second
            raise ValueError(f"{text!r} is no time of a day")
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).toordinal() - _DAY_1970
        start = day * 86400.0 + hour * 3600.0 + minute * 60.0
        rest = second - _ahead(m["zone"])
        if m.start("second") == 17:
            self._remember(text, start, rest, m["zone"] is None)
        return start + rest, m["zone"] is not None

    def _remember(self, text: str, start: float, rest: float, is_naive: bool) -> None:
        if len(self.minutes) + len(self.tails) > _CACHED:
            self.minutes.clear()
            self.tails.clear()
            self.naive.clear()
        self.minutes[text[:17]] = start
        self.tails[text[17:]] = rest
        if is_naive:
            self.naive.add(text[17:])


def _ahead(zone: str | None) -> float:
    """Seconds that a zone is ahead of UTC. Raises ValueError."""
    if zone is None or zone[0] not in "+-":
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(f"{zone} is no offset from UTC")
    return (-1 if zone[0] == "-" else 1) * (hours * 3600.0 + minutes * 60.0)


def epoch(value: float) -> float:
    """POSIX seconds from seconds, or from milliseconds where that is what the size says (1e10 and more).

    Raises ValueError outside the years 1..9999.
    """
    seconds = value / 1000.0 if abs(value) >= 1e10 else value
    if not -62135596800.0 <= seconds < _LAST:
        raise ValueError(f"{value} is no time")
    return seconds


_GPS_START = 315964800.0  # 1980-01-06
_LEAP = tuple(
    datetime(year, month, 1, tzinfo=UTC).timestamp()
    for year, month in (
        (1981, 7), (1982, 7), (1983, 7), (1985, 7), (1988, 1), (1990, 1), (1991, 1), (1992, 7), (1993, 7),
        (1994, 7), (1996, 1), (1997, 7), (1999, 1), (2006, 1), (2009, 1), (2012, 7), (2015, 7), (2017, 1),
    )
)  # fmt: skip


def gps_instant(seconds: float, week: float = 0.0) -> float:
    """POSIX seconds from seconds of GPS time since 1980-01-06, or of a GPS week.

    Raises ValueError for what no receiver has counted.

    Notes
    -----
    GPS time has no leap seconds; since 1980 it has come to be ahead of UTC by one second for each that
    IERS Bulletin C announced, 18 since 2017-01-01.
    """
    utc = _GPS_START + week * 604800.0 + seconds
    if not _GPS_START <= utc < _LAST:
        raise ValueError(f"{seconds} is no GPS time")
    # In the leap second itself both readings are right; the later count is taken.
    leap = sum(utc >= at + n for n, at in enumerate(_LEAP, 1))
    return utc - leap
