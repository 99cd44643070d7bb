"""Camera, time and place out of the name of a video, by one's own regular expression."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np

from camtrail.core import timezones
from camtrail.core.errors import UsageError
from camtrail.core.names import shown

__all__ = ["CameraClock", "ClockRule", "Name", "Pattern", "compiled", "given_name", "parse", "wire_time"]

_ROLES = {
    "camera": ("camera", "camera_name"),
    "epoch": ("epoch",),
    "timestamp": ("timestamp", "datetime"),
    "date": ("date",),
    "time": ("time",),
    "zone": ("tz", "offset"),
    "lat": ("lat", "latitude"),
    "lng": ("lng", "lon", "longitude"),
    "alt": ("alt",),
    "sequence": ("sequence",),
}
_GROUPS = tuple(name for names in _ROLES.values() for name in names)
_FOLDS = ("error", "first", "second")

_EPOCH = datetime(1970, 1, 1)
_EARLIEST_S, _LATEST_S = 631152000.0, 4102444800.0  # 1990-01-01 and 2100-01-01
_UNITS = {13: 10**3, 16: 10**6, 19: 10**9}  # digits of an epoch that counts finer than seconds
_LAST_DIGITS_S = 10
_APART_S = 1.0
_ISO = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})[-_T ]?([0-9]{2})[-:._]?([0-9]{2})"
    r"(?:[-:._]?([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_BEHIND = re.compile(r"([+-]?)([0-9]{1,4}):([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]+)?))?")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression for names."""

    regex: re.Pattern[str]
    warnings: tuple[str, ...]  # groups that mean nothing
    groups: Mapping[str, tuple[str, ...]]  # what is looked for -> the groups that may hold it


@dataclass(frozen=True, slots=True)
class CameraClock:
    """The clock of one camera."""

    zone: tzinfo | None = None  # None: as of the others
    offset_s: float = 0.0  # added to what it says


@dataclass(frozen=True, slots=True)
class ClockRule:
    """How the times in names are understood. Raises UsageError for settings that mean nothing.

    Parameters
    ----------
    time_zone : of wall clocks, as `Europe/Berlin` or `+02:00`; empty where not known
    timestamp_format : of `datetime.strptime`; date and time from two groups have a blank between them. Empty:
        ISO 8601, or digits alone
    dst_fold : what to take of an hour that occurs twice or not at all: `error`, `first` or `second`
    cameras : settings of single cameras: `timezone`, and `clock_offset`, text ±HH:MM:SS or seconds; others are
        passed over
    default_camera, camera_name_suffix : of a name without camera, and behind each: by which `cameras` are found
    """

    time_zone: str = ""
    timestamp_format: str = ""
    dst_fold: str = "error"
    cameras: Mapping[str, Any] = field(default_factory=dict)
    default_camera: str = ""
    camera_name_suffix: str = ""
    zone: tzinfo | None = field(init=False)
    clocks: Mapping[str, CameraClock] = field(init=False)

    def __post_init__(self) -> None:
        if self.dst_fold not in _FOLDS:
            raise UsageError(f"--dst-fold {shown(self.dst_fold)!r} is none of {', '.join(_FOLDS)}")
        _check_format(self.timestamp_format)
        object.__setattr__(self, "zone", _zone(self.time_zone) if self.time_zone else None)
        clocks = {
            name: _clock(name, said) for name, said in self.cameras.items() if isinstance(said, Mapping)
        }
        object.__setattr__(self, "clocks", clocks)

    def of(self, camera: str | None) -> CameraClock:
        """The clock of one camera, which has the zone of all where it has none of its own."""
        name = camera or self.default_camera
        clock = self.clocks.get(name + self.camera_name_suffix) or self.clocks.get(name) or _PLAIN
        return clock if clock.zone is not None else replace(clock, zone=self.zone)


_PLAIN = CameraClock()


@dataclass(frozen=True, slots=True)
class Name:
    """What a name tells; None where it does not.

    time_s : POSIX seconds, with the camera's `clock_offset` added
    time_source : `epoch` or `timestamp`
    matched : what the regular expression matched: `path`, `relative` (the path below the folder) or `name`
    problems : for people; the same words for every file with the same trouble
    blocks : it tells a time that cannot be made an instant, and nothing else is to be taken in its place
    """

    camera: str | None = None
    time_s: float | None = None
    time_source: str | None = None
    lat_deg: float | None = None
    lng_deg: float | None = None
    alt_m: float | None = None
    sequence: str | None = None
    matched: str | None = None
    problems: tuple[str, ...] = ()
    blocks: bool = False

    def of_camera(self, camera: str) -> Name:
        """The same with another camera."""
        return replace(self, camera=camera)


def compiled(regex: str) -> Pattern:
    """One's own pattern, matched from the begin of a path with `/` between folders; behind it more may follow.

    Its groups: `camera`; `epoch`, or `timestamp`, or `date` and `time`, perhaps `tz`; `lat` and `lng`, `alt`;
    `sequence`. Others get a warning.

    Raises
    ------
    UsageError
        It is no regular expression, or has no group for the camera.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about [[, of which people see nothing
            found = re.compile(regex)
    except (re.error, OverflowError, RecursionError) as e:
        at = getattr(e, "pos", None)
        place = "" if at is None else f", at character {at + 1}"
        raise UsageError(
            f"--regex {shown(regex)!r}: is no regular expression: {shown(getattr(e, 'msg', str(e)))}{place}",
            "correct it, or quote it in the shell",
        ) from e
    groups = {
        role: tuple(name for name in names if name in found.groupindex) for role, names in _ROLES.items()
    }
    if not groups["camera"]:
        raise UsageError(
            f"--regex {shown(regex)!r}: has no group 'camera'",
            r"write it as .*/(?P<camera>\w+)-(?P<epoch>\d+)\.mp4",
        )
    strange = tuple(
        f"--regex: a group {shown(name)!r} means nothing; groups are {', '.join(_GROUPS)}"
        for name in found.groupindex
        if name not in _GROUPS
    )
    return Pattern(found, strange, groups)


def parse(path: str, relative: str, pattern: Pattern, clock: ClockRule) -> Name:
    """What the name of a video tells.

    Parameters
    ----------
    path : absolute
    relative : the same below the folder that is imported
    pattern : tried with the absolute path, the relative one and the name alone, each with `/` before it, then
        with `\\` between folders. The first whose camera stands in the file's own name counts
    clock : how times are understood

    Notes
    -----
    A camera out of a part of a folder's name is a pattern that slipped: it is taken with a problem, and from
    above the imported folder not at all. A folder's whole name is as good as the file's. Some 10 µs a name.
    """
    found = _match(path, relative, pattern)
    if isinstance(found, str):
        return Name(problems=(found,))
    m, matched, problem = found
    said = {
        role: next((text for name in names if (text := m[name])), "")
        for role, names in pattern.groups.items()
    }
    problems = [problem] if problem else []
    camera = said["camera"] or None
    if camera is None:
        problems.append("the group camera matched nothing")
    time_s, source, blocks = _time(said, clock, clock.of(camera), problems)
    lat_deg, lng_deg = _place(said, problems)
    return Name(
        camera, time_s, source, lat_deg, lng_deg, _number(said["alt"], 1e5, "altitude", problems),
        said["sequence"] or None, matched, tuple(problems), blocks,
    )  # fmt: skip


def wire_time(time_s: float) -> str:
    """`2016-10-09T12:02:37.000`: UTC, rounded to milliseconds."""
    return (_EPOCH + timedelta(milliseconds=round(time_s * 1000))).isoformat(timespec="milliseconds")


def given_name(camera: str, timestamp: str, sha1: str) -> str:
    """What a video is called by camera, `wire_time` and the SHA-1 of its bytes in hexadecimal."""
    return f"{camera}.{timestamp}.{sha1}.mp4"


# ---- the settings


@lru_cache(256)
def _zone(text: str) -> tzinfo:
    return timezones.named(text)


def _check_format(form: str) -> None:
    try:
        datetime.strptime("", form)
    except (ValueError, re.error) as e:
        if form and ("directive" in str(e) or "stray" in str(e) or isinstance(e, re.error)):
            raise UsageError(
                f"--timestamp-format {shown(form)!r}: {shown(str(e))}", "write it as %Y-%m-%d_%H.%M.%S"
            ) from e


def _clock(name: str, said: Mapping[str, Any]) -> CameraClock:
    zone, offset = said.get("timezone"), said.get("clock_offset")
    try:
        if zone is not None and not isinstance(zone, str):
            raise UsageError("its timezone is no text", "give a name such as Europe/Berlin")
        return CameraClock(_zone(zone) if zone else None, _offset_s(offset))
    except UsageError as e:
        raise UsageError(f"camera {shown(name)}: {e.message}", e.hint) from e


def _offset_s(said: object) -> float:
    if said is None:
        return 0.0
    if isinstance(said, int | float) and not isinstance(said, bool) and isfinite(said):
        return float(said)
    m = _BEHIND.fullmatch(said.strip()) if isinstance(said, str) else None
    if m is None:
        raise UsageError("its clock_offset is no time", "give it as +HH:MM:SS, or in seconds")
    seconds = int(m[2]) * 3600 + int(m[3]) * 60 + float(m[4] or 0)
    return -seconds if m[1] == "-" else seconds


# ---- the match


def _match(path: str, relative: str, pattern: Pattern) -> tuple[re.Match[str], str, str] | str:
    """The match, what was matched, and what is wrong with it; or why there is none."""
    second: tuple[re.Match[str], str, str] | None = None
    trouble = "its name does not match --regex"
    for matched, text, name_at, folder_at in _candidates(path, relative):
        m = pattern.regex.match(text)
        if m is None:
            continue
        start, end = next((m.span(name) for name in pattern.groups["camera"] if m[name]), (name_at, name_at))
        if start >= name_at:
            return m, matched, ""
        if text[start - 1 : start] in _SEPARATORS and text[end : end + 1] in _SEPARATORS:
            second = second or (m, matched, "")
        elif start >= folder_at:
            second = second or (m, matched, "its camera is a part of a folder's name")
        else:
            trouble = "--regex finds a camera only in the names of folders above"
    return second or trouble


_SEPARATORS = frozenset("/\\")


def _candidates(path: str, relative: str) -> Iterator[tuple[str, str, int, int]]:
    """What to match, in order: what it is, the text, where in it the file's name and the relative path begin."""
    whole, below = path.replace("\\", "/"), relative.replace("\\", "/")
    name = len(below) - below.rfind("/") - 1
    texts = (
        ("path", whole),
        ("relative", f"/{below}"),
        ("name", f"/{below[len(below) - name :]}"),
    )
    for separator in "/\\":
        for matched, text in texts:
            yield (
                matched, text if separator == "/" else text.replace("/", separator), len(text) - name,
                max(0, len(text) - len(below)),
            )  # fmt: skip


# ---- the time


def _time(
    said: Mapping[str, str], rule: ClockRule, clock: CameraClock, problems: list[str]
) -> tuple[float | None, str | None, bool]:
    """The instant, where it is from, and whether a wall clock stands in the way of other sources."""
    epoch_s = _epoch_s(said["epoch"], problems) if said["epoch"] else None
    ours: list[str] = []
    stamp_s, blocks = _stamp_s(said, rule, clock, ours)
    if epoch_s is not None:
        time_s, source, blocks = epoch_s, "epoch", False
        if stamp_s is not None and abs(stamp_s - epoch_s) > _APART_S:
            problems.append("epoch and timestamp disagree; the epoch is taken")
    elif stamp_s is not None:
        time_s, source = stamp_s, "timestamp"
        problems += ours
    else:
        problems += ours
        return None, None, blocks
    time_s += clock.offset_s
    if not _EARLIEST_S <= time_s < _LATEST_S:
        problems.append("its time is before 1990 or after 2099")
    return time_s, source, blocks


def _epoch_s(text: str, problems: list[str]) -> float | None:
    """Seconds of an epoch in s, ms, µs or ns, by its number of digits."""
    whole, _, fraction = text.replace(",", ".").partition(".")
    if not whole.isdecimal() or not (not fraction or fraction.isdecimal()):
        problems.append("its epoch is no number")
        return None
    unit = 1 if len(whole) <= _LAST_DIGITS_S else _UNITS.get(len(whole))
    if unit is None:
        problems.append("its epoch has none of 10, 13, 16 and 19 digits (s, ms, µs and ns)")
        return None
    seconds = int(whole) / unit + (float(f"0.{fraction[:18]}") / unit if fraction else 0.0)
    if not seconds:
        problems.append("its epoch is 0: the camera did not know the time")
        return None
    return seconds


def _stamp_s(
    said: Mapping[str, str], rule: ClockRule, clock: CameraClock, problems: list[str]
) -> tuple[float | None, bool]:
    """The instant of a date in words, and whether there is one that cannot be made an instant."""
    text = said["timestamp"]
    if not text and (said["date"] or said["time"]):
        if not (said["date"] and said["time"]):
            problems.append("has a date or a time of day, not both")
            return None, False
        text = f"{said['date']}{' ' if rule.timestamp_format else 'T'}{said['time']}"
    if not text:
        return None, False
    try:
        local_s, ahead_s = _reading(text, rule.timestamp_format)
        if ahead_s is not None:
            return local_s - ahead_s, False
        zone = _zone(said["zone"]) if said["zone"] else clock.zone
    except ValueError:
        problems.append(
            "its timestamp is not as --timestamp-format has it"
            if rule.timestamp_format
            else "its timestamp is no date with a time of day"
        )
        return None, False
    except UsageError as e:
        problems.append(e.message)
        return None, True
    if zone is None:
        problems.append("needs --timezone: its time is a wall clock's")
        return None, True
    return _instant(local_s, zone, rule.dst_fold, problems)


def _reading(text: str, form: str) -> tuple[float, float | None]:
    """What a clock says, seconds as if it were UTC, and what it is ahead of UTC where the text says so."""
    if form:
        moment = datetime.strptime(text, form)
        ahead = moment.utcoffset()
        local_s = (moment.replace(tzinfo=None) - _EPOCH) / timedelta(seconds=1)
        return local_s, None if ahead is None else ahead.total_seconds()
    m = _ISO.fullmatch(text.strip())
    if m is None:
        raise ValueError("no date")
    day = datetime(int(m[1]), int(m[2]), int(m[3]), int(m[4]), int(m[5]), int(m[6] or 0))
    local_s = (day - _EPOCH) / timedelta(seconds=1) + float(f"0.{m[7] or 0}")
    return local_s, None if m[8] is None else _ahead_s(m[8])


def _ahead_s(text: str) -> float:
    ahead = _zone(text).utcoffset(None)
    return ahead.total_seconds() if ahead is not None else 0.0


def _instant(local_s: float, zone: tzinfo, fold: str, problems: list[str]) -> tuple[float | None, bool]:
    moments, odd = timezones.instants(np.array([local_s]), zone)
    if not odd[0] or fold == "first":
        return float(moments[0]), False
    if fold == "error":
        problems.append(
            "its time occurs twice, as the clock was put back: give --dst-fold"
            if odd[0] == timezones.AMBIGUOUS
            else "its time does not occur, as the clock was put forward: give --dst-fold"
        )
        return None, True
    there = (_EPOCH + timedelta(seconds=local_s)).replace(tzinfo=zone, fold=1)
    return local_s - (there.utcoffset() or timedelta()).total_seconds(), False


# ---- the place


def _place(said: Mapping[str, str], problems: list[str]) -> tuple[float | None, float | None]:
    lat_deg = _number(said["lat"], 90.0, "latitude", problems)
    lng_deg = _number(said["lng"], 180.0, "longitude", problems)
    if lat_deg is None or lng_deg is None:
        if lat_deg is not None or lng_deg is not None:
            problems.append("has one half of a place")
        return None, None
    return lat_deg, lng_deg


def _number(text: str, most: float, what: str, problems: list[str]) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = np.inf
    if not abs(value) <= most:
        problems.append(f"its {what} is none")
        return None
    return value
