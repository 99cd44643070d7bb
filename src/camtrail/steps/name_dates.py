"""Capture time out of file names: WhatsApp, Signal, Telegram, phones, cameras, screenshots, and one's own patterns.

One table has a row for each form of name, the longest and most specific first. A number counts only where no letter
and no digit touches it, or behind a prefix that a row names: digits inside of an id are no date.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from camtrail.core.errors import UsageError
from camtrail.core.names import shown

__all__ = [
    "RULES",
    "Impossible",
    "NameDate",
    "Rule",
    "compiled",
    "date_in",
    "folder_date",
    "own_date",
    "read",
]

_NAN = float("nan")
_DAY_S = 86400.0
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_YEAR = 1980
_FIRST_S = (date(_FIRST_YEAR, 1, 1).toordinal() - _EPOCH_DAY) * _DAY_S


@dataclass(frozen=True, slots=True)
class NameDate:
    """The time that a name tells.

    zone : `local`, a wall clock somewhere; `offset`, one with what it is ahead of UTC; `utc` and `epoch`, an instant
    precision : `day`, `minute`, `second` or `millisecond`; what is finer is 0
    meaning : `taken`, `sent`, `received` or `saved`
    rule : the row of RULES; `pattern` for one's own, `folder` for a folder's name
    """

    clock_s: float  # what the name says, seconds as if it were UTC
    zone: str
    precision: str
    meaning: str
    rule: str
    offset_s: float = _NAN  # what the clock is ahead of UTC; NaN where the name does not say

    @property
    def is_day(self) -> bool:
        """Whether it is a day of the calendar and no more."""
        return self.precision == "day"

    @property
    def local_s(self) -> float:
        """The wall clock, seconds as if it were UTC; NaN where the name tells an instant. A day is one everywhere."""
        return self.clock_s if self.is_day or self.zone in ("local", "offset") else _NAN

    @property
    def time_s(self) -> float:
        """The instant, POSIX seconds; NaN where the name does not tell one."""
        if self.is_day or self.zone == "local":
            return _NAN
        return self.clock_s - self.offset_s if self.zone == "offset" else self.clock_s


@dataclass(frozen=True, slots=True)
class Impossible:
    """A name that has the form of a date which is none."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One form of names.

    Groups of the pattern: year month day hour minute second fraction half epoch offset. `is_plain`: other names have
    this form by chance, so an impossible date is no date at all. `since`: no such name is older.
    """

    name: str
    regex: str
    meaning: str
    zone: str
    examples: tuple[tuple[str, str], ...]  # name, and what it tells as ISO 8601 down to its precision
    is_plain: bool = False
    since: int = _FIRST_YEAR


# Parts of the patterns. `_` is a border, too.
_B, _E = r"(?<![^\W_])", r"(?![^\W_])"
_NO_DIGIT = "(?![0-9])"
_Y, _M, _D = r"(?P<year>(?:19|20)[0-9]{2})", r"(?P<month>[0-9]{2})", r"(?P<day>[0-9]{2})"
_H, _MI, _S = r"(?P<hour>[0-9]{2})", r"(?P<minute>[0-9]{2})", r"(?P<second>[0-9]{2})"
_F3 = r"(?P<fraction>[0-9]{3})"
_D8, _T6 = _Y + _M + _D, _H + _MI + _S
_DASHED, _TIME_DASHED = f"{_Y}-{_M}-{_D}", f"{_H}-{_MI}-{_S}"
_DAY = rf"{_Y}(?P<between>[-._ ]){_M}(?P=between){_D}"
# `at`, `um`, `a las`, `kl.` and what else systems put between day and time.
_AT = r"(?:[-_. T]|[-_\s]+(?:[^\W\d_]{1,4}\.?[-_\s]+){1,2})"
_TIME = (
    rf"(?P<hour>[0-9]{{1,2}})(?P<colon>[-._:：꞉]){_MI}(?P=colon){_S}"
    r"(?:[.,](?P<fraction>[0-9]{3,6})(?![0-9]))?(?:\s?(?P<half>[ap])\.?m(?![^\W_])\.?)?"
)
_ISO = _DAY + _AT + _TIME
_EPOCH_MS = r"(?P<epoch>1[0-9]{12})" + _NO_DIGIT
_SCREEN = (
    r"(?:screen[ _-]?shots?|screen[ _-]?record(?:ing|er)?|screencast|bildschirm(?:foto|aufnahme)|"
    r"capture|captura|schermata|schermafbeelding|sk[äa]rm(?:avbild|bild|dump)|zrzut|снимок|скриншот|"
    r"スクリーンショット|截图|截屏|屏幕截图)[^0-9]*"
)
_OFFSET = r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})" + _NO_DIGIT
_ID = "\0"  # what stands for an id in a name

RULES: tuple[Rule, ...] = (
    Rule(
        "whatsapp", rf"{_B}(?:IMG|VID|AUD|PTT|STK|DOC)-{_D8}-WA[0-9]{{4,}}{_E}", "received", "local",
        (
            ("IMG-20230408-WA0001.jpg", "2023-04-08"), ("VID-20230408-WA0001.mp4", "2023-04-08"),
            ("STK-20230408-WA00012.webp", "2023-04-08"), ("IMG-20230408-WA0001(1).jpg", "2023-04-08"),
        ),
    ),
    Rule(
        "whatsapp-desktop", rf"^.*whatsapp.*?{_B}{_ISO}{_E}", "received", "local",
        (
            ("WhatsApp Image 2024-08-18 at 21.19.13.jpeg", "2024-08-18T21:19:13"),
            ("WhatsApp Image 2024-08-18 at 21.19.13 (1).jpeg", "2024-08-18T21:19:13"),
            ("WhatsApp Image 2024-08-18 at 9.19.13 PM.jpeg", "2024-08-18T21:19:13"),
            ("WhatsApp Image 2024-08-18 at 12.19.13 AM.jpeg", "2024-08-18T00:19:13"),
            ("WhatsApp Video 2024-08-18 at 21.19.13.mp4", "2024-08-18T21:19:13"),
            ("WhatsApp Image 2024-08-18 at 21.19.13_d3f4a5b6.jpg", "2024-08-18T21:19:13"),
            ("WhatsApp Bild 2024-08-18 um 21.19.13.jpg", "2024-08-18T21:19:13"),
            ("Imagen de WhatsApp 2024-08-18 a las 21.19.13.jpg", "2024-08-18T21:19:13"),
        ),
    ),
    Rule(
        "whatsapp-export", rf"{_B}(?:PHOTO|VIDEO|GIF|AUDIO|STICKER)-{_DASHED}-{_TIME_DASHED}{_E}", "sent", "local",
        (
            ("00000003-PHOTO-2022-12-31-14-17-51.jpg", "2022-12-31T14:17:51"),
            ("00000004-VIDEO-2022-12-31-14-17-51.mp4", "2022-12-31T14:17:51"),
            ("00000005-GIF-2022-12-31-14-17-51.mp4", "2022-12-31T14:17:51"),
            ("PHOTO-2022-12-31-14-17-51.jpg", "2022-12-31T14:17:51"),
        ),
    ),
    Rule(
        "signal", rf"{_B}signal-{_DASHED}-{_H}-?{_MI}-?{_S}(?:-?{_F3})?{_NO_DIGIT}", "saved", "local",
        (
            ("signal-2026-05-23-16-41-08-903.jpg", "2026-05-23T16:41:08.903"),
            ("signal-2026-05-23-16-41-08-903-1.jpg", "2026-05-23T16:41:08.903"),
            ("signal-2020-10-26-163832.jpg", "2020-10-26T16:38:32"),
            ("signal-2020-10-26-163832_001.jpeg", "2020-10-26T16:38:32"),
        ),
    ),
    Rule(
        "telegram", rf"{_B}(?:photo|video|gif|sticker|audio|voice|file|document)_{_DASHED}_{_TIME_DASHED}{_E}",
        "sent", "local",
        (
            ("photo_2023-04-15_14-30-22.jpg", "2023-04-15T14:30:22"),
            ("photo_2023-04-15_14-30-22 (2).jpg", "2023-04-15T14:30:22"),
            ("video_2023-04-15_14-30-22.mp4", "2023-04-15T14:30:22"),
        ),
    ),
    Rule(
        "telegram-export", rf"@{_D}-{_M}-{_Y}_{_TIME_DASHED}{_E}", "sent", "local",
        (
            ("photo_1@15-04-2023_14-30-22.jpg", "2023-04-15T14:30:22"),
            ("photo_1@03-04-2023_14-30-22_thumb.jpg", "2023-04-03T14:30:22"),
            ("video_12@15-04-2023_14-30-22.mp4", "2023-04-15T14:30:22"),
        ),
    ),
    Rule(
        "pixel", rf"{_B}PXL_{_D8}_{_T6}{_F3}?{_NO_DIGIT}", "taken", "utc",
        tuple(
            (f"PXL_20231026_210642603{rest}", "2023-10-26T21:06:42.603")
            for rest in (
                ".jpg", ".MP.jpg", ".NIGHT.jpg", ".PORTRAIT.jpg", ".PANO.jpg", ".TS.mp4", ".RAW-01.COVER.jpg",
                ".MOTION-02.ORIGINAL.jpg", ".LONG_EXPOSURE-01.COVER.jpg", ".dng", ".mp4", "~2.jpg",
            )
        ),
    ),
    Rule(
        "burst", rf"BURST{_D8}{_T6}{_F3}?{_NO_DIGIT}", "taken", "local",
        (
            ("00015IMG_00015_BURST20171111030039_COVER.jpg", "2017-11-11T03:00:39"),
            ("00015IMG_00015_BURST20171111030039123_COVER.jpg", "2017-11-11T03:00:39.123"),
            ("DSC_0001_BURST20190101120000123.JPG", "2019-01-01T12:00:00.123"),
        ),
    ),
    Rule(
        "burst-epoch", rf"BURST{_EPOCH_MS}", "taken", "epoch",
        (("00000IMG_00000_BURST1513530498123_COVER.jpg", "2017-12-17T17:08:18.123"),),
    ),
    Rule(
        "facebook", rf"{_B}FB_(?:IMG|VID)_{_EPOCH_MS}", "saved", "epoch",
        (("FB_IMG_1681562400000.jpg", "2023-04-15T12:40:00.000"),),
    ),
    Rule(
        "wechat", rf"{_B}(?:mmexport|wx_camera_|microMsg\.){_EPOCH_MS}", "saved", "epoch",
        (("mmexport1681562400123.jpg", "2023-04-15T12:40:00.123"),),
    ),
    # Other numbers of that form are ids: the service is younger than the numbers of nine digits.
    Rule(
        "snapchat", rf"{_B}Snapchat-(?P<epoch>[0-9]{{9,10}}){_NO_DIGIT}", "saved", "epoch",
        (("Snapchat-1681562400.jpg", "2023-04-15T12:40:00"),), is_plain=True, since=2011,
    ),
    Rule(
        "snapchat-export", rf"^{_DASHED}_{_ID}", "taken", "utc",
        (
            ("2021-05-27_7a1b3c4d-1234-4abc-8def-0123456789ab-main.jpg", "2021-05-27"),
            ("2021-05-27_7A1B3C4D-1234-4ABC-8DEF-0123456789AB-overlay.png", "2021-05-27"),
        ),
    ),
    Rule(
        "screen-recording", rf"{_B}RPReplay[_-]?Final(?P<epoch>1[0-9]{{9}}){_NO_DIGIT}", "taken", "epoch",
        (("RPReplay_Final1681562400.MP4", "2023-04-15T12:40:00"),),
    ),
    Rule(
        "screenshot", rf"{_SCREEN}{_D8}[-_ ]?{_T6}(?:[-_]?{_F3})?{_NO_DIGIT}", "taken", "local",
        (
            ("Screenshot_20230415-143022.png", "2023-04-15T14:30:22"),
            ("Screenshot_20230415_143022_App.jpg", "2023-04-15T14:30:22"),
        ),
    ),
    Rule(
        "screenshot", rf"{_SCREEN}{_ISO.replace('[.,]', '[-.,]')}{_E}", "taken", "local",
        (
            ("Screenshot_2019-04-16-11-19-37-232_com.x.png", "2019-04-16T11:19:37.232"),
            ("Screenshot from 2022-12-17 19-45-43.png", "2022-12-17T19:45:43"),
            ("Screenshot 2022-02-23 at 2.59.39 PM.png", "2022-02-23T14:59:39"),
            ("Screenshot 2022-02-23 at 2.59.39\u202fPM.png", "2022-02-23T14:59:39"),
            ("Bildschirmfoto 2023-04-15 um 14.30.22.png", "2023-04-15T14:30:22"),
            ("Screen Shot 2021-03-04 at 10.11.12.png", "2021-03-04T10:11:12"),
            ("Screen Recording 2021-03-04 at 10.11.12.mov", "2021-03-04T10:11:12"),
            ("Capture d’écran 2023-04-15 à 14.30.22.png", "2023-04-15T14:30:22"),
            ("Skärmavbild 2023-04-15 kl. 14.30.22.png", "2023-04-15T14:30:22"),
        ),
    ),
    Rule(
        "windows", rf"{_B}(?:WIN|WP)_{_D8}_{_H}_{_MI}_{_S}{_E}", "taken", "local",
        (
            ("WIN_20230408_12_34_56_Pro.jpg", "2023-04-08T12:34:56"),
            ("WP_20150408_12_34_56_Pro.jpg", "2015-04-08T12:34:56"),
        ),
    ),
    Rule(
        "dji", rf"{_B}DJI_{_D8}{_T6}{_E}", "taken", "local",
        (
            ("DJI_20230408123456_0001_D.JPG", "2023-04-08T12:34:56"),
            ("DJI_20230408123456_0002_T.JPG", "2023-04-08T12:34:56"),
        ),
    ),
    Rule(
        "dji-app", rf"{_B}dji_(?:fly|mimo|export|go)_{_D8}_{_T6}{_E}", "taken", "local",
        (("dji_fly_20230408_123456_0001_1680953696000_photo.jpg", "2023-04-08T12:34:56"),),
    ),
    Rule(
        "phone",
        rf"{_B}(?:[0-9]{{5}})?(?:IMG|VID|MVIMG|PANO|LRV|PORTRAIT|TRIM|MOV|DSC)_?{_D8}_?{_T6}{_F3}?{_NO_DIGIT}",
        "taken", "local",
        (
            ("IMG_20190509_154733.jpg", "2019-05-09T15:47:33"),
            ("IMG_20190221_112112042.jpg", "2019-02-21T11:21:12.042"),
            ("VID_20190509_154733.mp4", "2019-05-09T15:47:33"),
            ("MVIMG_20190509_154733.jpg", "2019-05-09T15:47:33"),
            ("PANO_20190509_154733.vr.jpg", "2019-05-09T15:47:33"),
            ("IMG20230408123456.jpg", "2023-04-08T12:34:56"),
            ("IMG_20190509_154733_HDR.jpg", "2019-05-09T15:47:33"),
            ("IMG_20190509_154733_BURST001_COVER.jpg", "2019-05-09T15:47:33"),
            ("IMG_20190509_154733-edited.jpg", "2019-05-09T15:47:33"),
            ("IMG_20190509_154733~2.jpg", "2019-05-09T15:47:33"),
            ("VID_20220110_121609_00_657.insv", "2022-01-10T12:16:09"),
            ("LRV_20220110_121609_01_657.insv", "2022-01-10T12:16:09"),
            ("IMG_20220110_121609_00_657.insp", "2022-01-10T12:16:09"),
        ),
    ),
    Rule(
        "dashcam", rf"{_B}(?:NO|EV|PA|LA){_D8}-{_T6}{_E}", "taken", "local",
        (("NO20230408-123456-000001F.MP4", "2023-04-08T12:34:56"),),
    ),
    Rule(
        "dashcam", rf"{_B}{_Y}_{_M}{_D}_{_T6}{_E}", "taken", "local",
        (("2023_0408_123456_001.MP4", "2023-04-08T12:34:56"),),
    ),
    Rule(
        "date-time-zone", rf"{_B}{_D8}T?{_T6}{_OFFSET}", "taken", "offset",
        (
            ("Bebop2_20180719194940+0200.mp4", "2018-07-19T19:49:40+02:00"),
            ("20221109T203000Z.jpg", "2022-11-09T20:30:00+00:00"),
            ("20221109T203000-0330.jpg", "2022-11-09T20:30:00-03:30"),
        ),
        is_plain=True,
    ),
    Rule(
        "date-time-zone", rf"{_B}{_DASHED}T{_H}(?P<colon>[-.:]){_MI}(?P=colon){_S}{_OFFSET}", "taken", "offset",
        (("2022-11-09T20:30:00+01:00.jpg", "2022-11-09T20:30:00+01:00"),), is_plain=True,
    ),
    Rule(
        "date-time", rf"{_B}{_D8}[-_ T.]{_T6}{_F3}?{_E}", "taken", "local",
        (
            ("20230408_123456.jpg", "2023-04-08T12:34:56"), ("20230408_123456(0).jpg", "2023-04-08T12:34:56"),
            ("20231207_101605_001.jpg", "2023-12-07T10:16:05"), ("20221109T203000.jpg", "2022-11-09T20:30:00"),
            ("20230408_123456_NF.mp4", "2023-04-08T12:34:56"),
            ("B612_20190509_154733_123.jpg", "2019-05-09T15:47:33"),
            ("InShot_20230408_123456789.jpg", "2023-04-08T12:34:56.789"),
        ),
    ),
    Rule(
        "date-time", rf"{_B}{_ISO}{_E}", "taken", "local",
        (
            ("2023-04-08 12.34.56.jpg", "2023-04-08T12:34:56"), ("2023-04-08 12.34.56-1.jpg", "2023-04-08T12:34:56"),
            ("2016_01_30_11_49_15.mp4", "2016-01-30T11:49:15"),
            ("2022-11-09T20:30:00.jpg", "2022-11-09T20:30:00"),
            ("2022-11-09 20.30.00.125.jpg", "2022-11-09T20:30:00.125"),
        ),
    ),
    Rule(
        "date-time", rf"{_B}{_D8}{_T6}{_F3}?{_E}", "taken", "local",
        (
            ("AR_EFFECT_20141126193511.mp4", "2014-11-26T19:35:11"),
            ("20230408123456_000001.MP4", "2023-04-08T12:34:56"),
        ),
        is_plain=True,
    ),
    Rule(
        "date-time", rf"{_B}{_DAY}[-_ T]{_T6}{_E}", "taken", "local",
        (("2023-04-08_123456.jpg", "2023-04-08T12:34:56"),), is_plain=True,
    ),
    Rule(
        "scan", rf"{_B}scan(?:s|ned|bild)?[ _-]*{_Y}[-_.]?{_M}[-_.]?{_D}{_E}", "saved", "local",
        (("scan_20230408.jpg", "2023-04-08"), ("Scan 2023-04-08.jpg", "2023-04-08")), is_plain=True,
    ),
    Rule(
        "date", rf"{_B}{_DAY}{_E}", "taken", "local",
        (("2023-04-08.jpg", "2023-04-08"), ("Berlin 2022.11.09 (3).jpg", "2022-11-09")),
    ),
    Rule(
        "date", rf"{_B}{_D8}{_E}", "taken", "local",
        (("IMG_0001_20230408.jpg", "2023-04-08"), ("WP_20150408_003.jpg", "2015-04-08")), is_plain=True,
    ),
    Rule(
        "epoch", rf"^{_EPOCH_MS}{_E}", "saved", "epoch",
        (("1681562400123.jpg", "2023-04-15T12:40:00.123"),), is_plain=True,
    ),
)  # fmt: skip
"""Every form of names that is known, in the order in which they are tried."""

_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)
_FACEBOOK_ID = re.compile(r"^[0-9]+_[0-9]+_[0-9]+_[a-z](?:\.|$)")
_DIGIT = re.compile("[0-9]")
_LEAST_DIGITS = 8
_GROUPS = frozenset("year month day hour minute second fraction epoch offset".split())


@cache
def _matcher(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.IGNORECASE)


def compiled(regex: str) -> re.Pattern[str]:
    """One's own pattern for names, searched anywhere in them.

    Its groups: `epoch` (seconds, milliseconds or microseconds), or `year`, `month`, `day` and perhaps `hour`,
    `minute`, `second`, `fraction`, `offset` (+02:00, +0200, +02 or Z).

    Raises
    ------
    UsageError
        It is no regular expression, has other groups, or has too few.
    """
    try:
        pattern = re.compile(regex)
    except re.error as e:
        raise UsageError(
            f"--pattern {shown(regex)!r}: is no regular expression ({e})",
            "correct it, or quote it in the shell",
        ) from e
    groups = set(pattern.groupindex)
    if strange := sorted(groups - _GROUPS):
        raise UsageError(
            f"--pattern {shown(regex)!r}: has a group {strange[0]!r}, which means nothing here",
            f"groups are {', '.join(sorted(_GROUPS))}",
        )
    if why := _too_few(groups):
        raise UsageError(
            f"--pattern {shown(regex)!r}: {why}",
            "write it as (?P<year>\\d{4})(?P<month>\\d\\d)(?P<day>\\d\\d)",
        )
    return pattern


def _too_few(groups: set[str]) -> str:
    if "epoch" in groups:
        return ""
    missing = [g for g in ("year", "month", "day") if g not in groups]
    if missing:
        return f"has no group {missing[0]!r}, and no group 'epoch'"
    for finer, coarser in (("minute", "hour"), ("hour", "minute"), ("second", "minute"), ("fraction", "second"),
                           ("offset", "hour")):  # fmt: skip
        if finer in groups and coarser not in groups:
            return f"has a group {finer!r}, and no group {coarser!r}"
    return ""


def date_in(name: str, *, patterns: Sequence[re.Pattern[str]] = (), now_s: float) -> NameDate | None:
    """The time that the name of a file tells; None where it tells none, or an impossible one.

    Parameters
    ----------
    name : with or without the suffix; of a path only the last part
    patterns : of one's own, from `compiled`; tried first, in their order
    now_s : POSIX seconds; what lies more than a day behind is no time of a photo
    """
    own = own_date(name, patterns, now_s=now_s)
    if isinstance(own, NameDate):
        return own
    found = read(name, now_s=now_s)
    return found if isinstance(found, NameDate) else None


def own_date(name: str, patterns: Sequence[re.Pattern[str]], *, now_s: float) -> NameDate | Impossible | None:
    """What one's own patterns find in a name: of the first that finds a date; None where none matches."""
    wrong: Impossible | None = None
    for pattern in patterns:
        for m in pattern.finditer(name):
            found = _time_of(m, "pattern", "taken", "local", now_s)
            if isinstance(found, NameDate):
                return found
            wrong = wrong or found
    return wrong


def read(name: str, *, now_s: float) -> NameDate | Impossible | None:
    """What the rules find in a name; an Impossible where it has the form of a date and is none.

    Notes
    -----
    15 to 30 µs a name.
    """
    if len(_DIGIT.findall(name)) < _LEAST_DIGITS:
        return None
    text = _UUID.sub(_ID, unicodedata.normalize("NFC", name))
    if _FACEBOOK_ID.match(text):
        return None
    for rule in RULES:
        wrong: Impossible | None = None
        for m in _matcher(rule.regex).finditer(text):
            found = _time_of(m, rule.name, rule.meaning, rule.zone, now_s)
            if isinstance(found, Impossible):
                wrong = wrong or found
            elif found.clock_s >= (date(rule.since, 1, 1).toordinal() - _EPOCH_DAY) * _DAY_S:
                return found
        if wrong is not None and not rule.is_plain:
            return wrong
    return None


def folder_date(folders: str, *, now_s: float) -> NameDate | None:
    """The day that the folders of a file tell, the nearest first: `2022/2022.11/2022.11.09`, `20221109`, `2022/11/09`.

    None where they tell none, or a folder tells two (a journey of several days).

    Parameters
    ----------
    folders : the path without the file's name, `/` between folders
    """
    parts = [part for part in folders.split("/") if part]
    for i in range(len(parts) - 1, -1, -1):
        days = _days_in(parts[i], now_s)
        if not days and i >= 2:
            days = (
                _days_in("-".join(parts[i - 2 : i + 1]), now_s)
                if _is_year_month_day(parts[i - 2 : i + 1])
                else set()
            )
        if len(days) > 1:
            return None
        if days:
            return NameDate(days.pop(), "local", "day", "taken", "folder")
    return None


def _is_year_month_day(parts: Sequence[str]) -> bool:
    return [len(p) for p in parts] == [4, 2, 2] and all(p.isascii() and p.isdigit() for p in parts)


def _days_in(text: str, now_s: float) -> set[float]:
    """Midnights of all days that a folder's name tells."""
    found: set[float] = set()
    masked = _UUID.sub(_ID, text)
    for regex in (rf"{_B}{_DAY}{_E}", rf"{_B}{_D8}{_E}"):
        for m in _matcher(regex).finditer(masked):
            day = _time_of(m, "folder", "taken", "local", now_s)
            if isinstance(day, NameDate):
                found.add(day.clock_s)
    return found


def _time_of(m: re.Match[str], rule: str, meaning: str, zone: str, now_s: float) -> NameDate | Impossible:
    """The time in the groups of a match."""
    given = {name: text for name, text in m.groupdict().items() if text}
    try:
        if "epoch" in given:
            zone = "epoch"
            clock_s, precision = _epoch(given)
        else:
            clock_s, precision = _calendar(given)
        offset_s = _NAN
        if "offset" in given and zone != "epoch":
            zone, offset_s = "offset", _offset_s(given["offset"])
        if clock_s < _FIRST_S:
            raise ValueError(f"{_said(clock_s)} is before {_FIRST_YEAR}")
        if clock_s > now_s + _DAY_S:
            raise ValueError(f"{_said(clock_s)} has not come yet")
    except KeyError as e:
        return Impossible(rule, f"the group {e} matched nothing")
    except (ValueError, OverflowError) as e:
        return Impossible(rule, str(e))
    return NameDate(clock_s, zone, precision, meaning, rule, offset_s)


def _said(clock_s: float) -> str:
    try:
        return date.fromordinal(_EPOCH_DAY + int(clock_s // _DAY_S)).isoformat()
    except (ValueError, OverflowError):
        return f"the second {clock_s:.0f}"


def _epoch(given: dict[str, str]) -> tuple[float, str]:
    """Of that number of digits, seconds, milliseconds or microseconds since 1970."""
    number = int(given["epoch"])
    if number >= 10**14:
        return number // 1000 / 1000.0, "millisecond"
    if number >= 10**11:
        return number / 1000.0, "millisecond"
    if "fraction" in given:
        return number + float(f"0.{given['fraction']}"), "millisecond"
    return float(number), "second"


def _calendar(given: dict[str, str]) -> tuple[float, str]:
    """Raises ValueError with the reason where calendar or clock has no such time."""
    year, month, day = (int(given[part]) for part in ("year", "month", "day"))
    if len(given["year"]) == 2:
        year += 1900 if year >= 80 else 2000
    try:
        start_s = (date(year, month, day).toordinal() - _EPOCH_DAY) * _DAY_S
    except ValueError:
        raise ValueError(f"{year:04d}-{month:02d}-{day:02d} is no day of the calendar") from None
    if "hour" not in given:
        return start_s, "day"
    hour, minute, second = int(given["hour"]), int(given["minute"]), int(given.get("second", "0"))
    half = given.get("half", "").lower()
    if hour > 23 or minute > 59 or second > 59 or (half and not 1 <= hour <= 12):
        said = f"{hour:02d}:{minute:02d}:{second:02d}" + (f" {half}m" if half else "")
        raise ValueError(f"{said} is no time of day")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    clock_s = start_s + hour * 3600 + minute * 60 + second
    if "fraction" in given:
        return clock_s + float(f"0.{given['fraction']}"), "millisecond"
    return clock_s, "second" if "second" in given else "minute"


def _offset_s(text: str) -> float:
    """`+02:00`, `-0330`, `+02` or `Z` in seconds. Raises ValueError where no zone has it."""
    if text.upper() == "Z":
        return 0.0
    m = re.fullmatch(r"([+-])([0-9]{2}):?([0-9]{2})?", text)
    if m is None or int(m[2]) > 14 or int(m[3] or "0") % 15 or int(m[3] or "0") > 45:
        raise ValueError(f"{text} is no offset of a zone")
    seconds = int(m[2]) * 3600.0 + int(m[3] or "0") * 60.0
    return -seconds if m[1] == "-" else seconds
