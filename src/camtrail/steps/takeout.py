"""Google Takeout: which JSON file beside a photo or video is its own, and what that says.

Format: nowhere specified; as Google Photos exports it since 2018. The name of a JSON file is that of the medium, perhaps
`.supplemental-metadata`, and `.json`, cut to 51 characters in front of the suffix; the number of a copy moves to its
end; edited pictures and the videos of live photos have none of their own.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Told", "matched", "parsed"]

_NAN = float("nan")
_SUPPLEMENT = "supplemental-metadata"
_CUT = 46  # 51 without `.json`
_NUMBERED = re.compile(r"(.*?)(\([0-9]+\))", re.DOTALL)
_EDITED = tuple(
    unicodedata.normalize("NFC", f"-{word}").casefold()
    for word in (
        "edited", "bearbeitet", "modifié", "editado", "ha editado", "editada", "bewerkt", "modificato",
        "edytowane", "編集済み", "effects", "smile", "mix",
    )
)  # fmt: skip
_LIVE = frozenset((".mp4", ".mov", ".mp", ".mv", ""))


@dataclass(frozen=True, slots=True)
class Told:
    """What a JSON file says of its medium; NaN and "" where it does not."""

    title: str  # the name that the medium had
    taken_s: float  # POSIX seconds
    lat_deg: float
    lon_deg: float
    alt_m: float


def parsed(data: bytes) -> Told | None:
    """What the file says; None where it is no description of a medium."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("photoTakenTime"), dict):
        return None
    lat, lon, alt = _place(found)
    title = found.get("title")
    return Told(
        title if isinstance(title, str) else "",
        _number(found["photoTakenTime"].get("timestamp")),
        lat,
        lon,
        alt,
    )


def _place(found: Mapping[str, Any]) -> tuple[float, float, float]:
    """0, 0 is how Google writes that there is none."""
    for key in ("geoData", "geoDataExif"):
        geo = found.get(key)
        if not isinstance(geo, dict):
            continue
        lat, lon, alt = (_number(geo.get(k)) for k in ("latitude", "longitude", "altitude"))
        if abs(lat) <= 90.0 and abs(lon) <= 180.0 and (lat or lon):
            return lat, lon, alt if alt else _NAN
    return _NAN, _NAN, _NAN


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return _NAN
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return _NAN
    return number if number - number == 0 else _NAN


def matched(media: list[str], sidecars: Mapping[str, Told]) -> dict[str, str]:
    """The JSON file of each medium of one folder; media without one are left out.

    Of several that a name fits, the one whose title is the medium's name; where none or more are, and they tell
    different times, none.

    Parameters
    ----------
    media : names of photos and videos, without the folder
    sidecars : what the JSON files of the folder say, by their names
    """
    by_key: dict[tuple[str, str], list[str]] = defaultdict(list)
    by_stem: dict[tuple[str, str], list[str]] = defaultdict(list)
    by_title: dict[str, list[str]] = defaultdict(list)
    for name, told in sidecars.items():
        bare = _folded(name)
        bare = bare.removesuffix(".json")
        for key, number in _described(bare):
            by_key[key, number].append(name)
            by_stem[_parts(key)[0], number].append(name)
        if not _NUMBERED.fullmatch(bare) and told.title:
            by_title[_folded(told.title)].append(name)
    found: dict[str, str] = {}
    for medium in media:
        for names in _candidates(_folded(medium), by_key, by_stem, by_title):
            if names:
                chosen = _chosen(_folded(medium), names, sidecars)
                if chosen:
                    found[medium] = chosen
                break
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _parts(name: str) -> tuple[str, str]:
    """Stem and suffix with its dot."""
    at = name.rfind(".")
    return (name[:at], name[at:]) if at > 0 else (name, "")


def _described(bare: str) -> Iterator[tuple[str, str]]:
    """Names of media, and numbers of copies, that a JSON file without `.json` may belong to."""
    yield bare, ""
    m = _NUMBERED.fullmatch(bare)
    base, number = (m[1], m[2]) if m else (bare, "")
    if m:
        yield base, number
    head, dot, tail = base.rpartition(".")
    if dot and _SUPPLEMENT.startswith(tail):
        yield head, number


def _candidates(
    name: str,
    by_key: Mapping[tuple[str, str], list[str]],
    by_stem: Mapping[tuple[str, str], list[str]],
    by_title: Mapping[str, list[str]],
) -> Iterator[list[str]]:
    """JSON files that fit, the surest first."""
    names = list(_names(name))
    for wanted in names:
        yield _at(wanted, by_key)
    for key, number in names:
        stem, suffix = _parts(key)
        if suffix in _LIVE:  # the picture of a live photo, or a medium without suffix
            yield by_stem.get((stem, number), []) or by_stem.get((key, number), [])
    for key, number in names:
        if not number:
            yield by_title.get(key, [])


def _at(wanted: tuple[str, str], by_key: Mapping[tuple[str, str], list[str]]) -> list[str]:
    key, number = wanted
    whole = by_key.get((key, number), [])
    if whole or len(key) <= _CUT - len(number):
        return whole
    # The limit holds with the number or without it.
    return by_key.get((key[:_CUT], number), []) or by_key.get((key[: _CUT - len(number)], number), [])


def _names(name: str) -> Iterator[tuple[str, str]]:
    """The name itself, as a numbered copy, and the same of what it was edited from."""
    stem, suffix = _parts(name)
    while True:
        yield stem + suffix, ""
        m = _NUMBERED.fullmatch(stem)
        if m:
            yield m[1] + suffix, m[2]
        original, number = (m[1], m[2]) if m else (stem, "")
        edited = next((e for e in _EDITED if original.endswith(e) and len(original) > len(e)), None)
        if edited is None:
            return
        stem = original.removesuffix(edited) + number


def _chosen(name: str, names: list[str], sidecars: Mapping[str, Told]) -> str:
    unique = list(dict.fromkeys(names))
    if len(unique) > 1:
        titled = [n for n in unique if _folded(sidecars[n].title) == name]
        unique = titled or unique
    if len({repr(sidecars[n]) for n in unique}) > 1 and len({sidecars[n].taken_s for n in unique}) > 1:
        return ""
    return unique[0]
