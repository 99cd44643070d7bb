"""What iNaturalist answers, as values: users, observations, their photos and taxa, and where photos are fetched.

Notes
-----
API v1 (https://api.inaturalist.org/v1/docs) as its server, `inaturalist/iNaturalistAPI`, answers. Whatever is missing
or null there is absent here; a value of another type costs the observation that it stands in, never the others.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from camtrail.core.errors import BadAnswer, Rejected, UsageError
from camtrail.core.names import plain, shown
from camtrail.transfer.http import Answer, origin_of

__all__ = [
    "SIZES",
    "Endpoints",
    "Observation",
    "ObservationPhoto",
    "Page",
    "Skipped",
    "Taxon",
    "User",
    "identification",
    "identification_parts",
    "observation_in",
    "page_in",
    "user_in",
]

T = TypeVar("T")

SIZES = {"original": 2048, "large": 1024, "medium": 500, "small": 240, "thumb": 100, "square": 75}
"""The sizes that a photo can be had in, and the most pixels of a side; `square` is cropped to one."""

_API = "https://api.inaturalist.org"
# Photos under a free licence lie in the second place, and move when their licence changes.
_PHOTO_ORIGINS = ("https://static.inaturalist.org", "https://inaturalist-open-data.s3.amazonaws.com")
_PHOTO = re.compile(
    r"(?P<before>https?://[^/?#\s]+/(?:[^?#\s]*/)?photos/(?P<id>[0-9]{1,18})/)"
    rf"(?:{'|'.join(SIZES)})(?P<behind>\.[A-Za-z0-9]{{1,8}}(?:\?[0-9]{{1,20}})?)"
)
_HIDING = ("obscured", "private", "obscured_private")
_LOGIN_PAGE = "if this network has a login page, log in there and run again"
_MOST = 4096  # characters of a text
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the service is."""

    api: str  # URL of API v1, without a slash at the end
    origin: str  # what budgets and what is kept belong to
    is_own: bool  # whether it is the service itself, no sandbox

    @classmethod
    def of(cls, base_url: str | None) -> Endpoints:
        """The service's own; or one below a base URL, such as a sandbox's. Raises UsageError."""
        if not base_url:
            return cls(f"{_API}/v1", _API, True)
        origin = origin_of(base_url)
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/")
        if parts.query or parts.fragment or "?" in base_url or not all("!" <= c <= "~" for c in path):
            raise UsageError(
                f"{shown(origin)}: the address of a service has no query", "give https://HOST/PATH"
            )
        return cls(f"{origin}{path}/v1", origin, origin == _API)

    def photo_at(self, url: str) -> tuple[str, str]:
        """The origin of a photo's URL, if photos may be fetched there, and the path behind.

        Of the service itself these are its two hosts; of a sandbox any port of the machine that it is on.

        Raises
        ------
        Rejected
            Another place.
        """
        try:
            origin = origin_of(url)
        except UsageError:
            origin = ""
        ours, theirs = urlsplit(self.origin), urlsplit(origin)
        is_near = theirs.hostname == ours.hostname and theirs.scheme in (ours.scheme, "https")
        if origin in _PHOTO_ORIGINS if self.is_own else origin and is_near:
            return origin, url.split("/", 3)[3]
        raise Rejected(
            f"its address leads to {shown(urlsplit(origin).hostname or 'nowhere')[:200]}, where iNaturalist keeps "
            "no photos, so it was not asked for"
        )


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has observations."""

    id: int
    login: str
    observation_count: int | None  # as of some time ago; None where the service does not say


@dataclass(frozen=True, slots=True)
class Taxon:
    """A group of organisms."""

    id: int
    name: str  # scientific
    rank: str  # lower case; "" where unknown
    common_name: str  # as the service has it; "" where there is none
    ancestors: tuple[Taxon, ...] = ()  # from the root, without itself; none where the answer names none


@dataclass(frozen=True, slots=True)
class ObservationPhoto:
    """A photo in its place in an observation."""

    id: int  # of the observation photo
    uuid: str  # of the observation photo; "" where the service does not say
    photo_id: int
    position: int  # in its observation, from 0
    url: str  # as the service has it; "" where there is none
    width_px: int | None  # of the original
    height_px: int | None
    file_name: str | None  # that it was uploaded with; only its owner is told
    license_code: str  # "" where all rights are reserved
    attribution: str

    def url_of(self, size: str) -> str | None:
        """Where the photo lies in one of `SIZES`; None for a placeholder, which is in place of a photo taken down."""
        if size not in SIZES:
            raise ValueError(f"{size!r} is none of {', '.join(SIZES)}")
        m = _PHOTO.fullmatch(self.url)
        if m is None or not (self.url.isascii() and self.url.isprintable()):
            return None
        url = f"{m['before']}{size}{m['behind']}"
        https = "https" + url[4:]
        return https if url.startswith("http://") and https.startswith(_PHOTO_ORIGINS) else url


@dataclass(frozen=True, slots=True)
class Observation:
    """An encounter with an organism, and its photos."""

    id: int
    uuid: str  # "" where the service does not say
    date: str | None  # YYYY-MM-DD where it was made
    local_s: (
        float  # wall clock where it was made, seconds as if it were UTC; NaN where only the date is known
    )
    time_s: float  # POSIX seconds; NaN where unknown. The zone of some observations is wrong, their wall clock is not
    has_seconds: bool  # False where they are 0: iNaturalist's web page cuts them off
    lat_deg: float  # WGS 84; NaN where there is no place, or a private one
    lon_deg: float
    is_obscured: bool  # the place is a random one in a cell of 0.2 degrees, or hidden
    accuracy_m: float  # NaN where unknown
    taxon: Taxon | None
    photos: tuple[ObservationPhoto, ...]  # in their order; without those that are gone
    url: str
    identified: tuple[Taxon, ...] = ()  # all that somebody took it for, also formerly; those that can be read


@dataclass(frozen=True, slots=True)
class Skipped:
    """An observation that could not be read."""

    id: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the observations that were asked for."""

    total: int  # of those that were asked for, these included
    ids: tuple[int, ...]  # of all on the page, in their order; of those without one, none
    observations: tuple[Observation, ...]
    skipped: tuple[Skipped, ...]


def user_in(answer: Answer) -> User:
    """The user that was asked for. Raises BadAnswer; Rejected where there is none."""
    results = _results(_object(answer))
    if not results:
        raise Rejected("iNaturalist knows no such user")
    try:
        found = _Reader(results[0], "user")
        return User(found.id("id"), found.text("login"), found.optional("observations_count", found.count))
    except _Unreadable as e:
        raise BadAnswer(f"iNaturalist's answer holds no user: {e}", "run again later") from e


def page_in(answer: Answer) -> Page:
    """Observations. Raises BadAnswer where the answer is no list of any."""
    value = _object(answer)
    total = value.get("total_results")
    if type(total) is not int or total < 0:
        raise BadAnswer("iNaturalist's answer does not say how many there are", "run again later")
    ids: list[int] = []
    observations: list[Observation] = []
    skipped: list[Skipped] = []
    for result in _results(value):
        number = result.get("id") if isinstance(result, dict) else None
        number = number if type(number) is int and number > 0 else None
        if number is not None:
            ids.append(number)
        try:
            observations.append(observation_in(result))
        except ValueError as e:
            skipped.append(Skipped(number, str(e)))
    return Page(total, tuple(ids), tuple(observations), tuple(skipped))


def observation_in(value: Any) -> Observation:
    """An observation out of JSON. Raises ValueError that says what is wrong with it."""
    found = _Reader(value, "observation")
    number = found.id("id")
    moment, has_time = _moment(found.text("time_observed_at"))
    local = moment.replace(tzinfo=UTC).timestamp() if moment and has_time else _NAN
    aware = moment is not None and has_time and moment.tzinfo is not None
    lat_deg, lon_deg, is_exact = _place(found)
    return Observation(
        id=number,
        uuid=found.text("uuid"),
        date=_date(found) or (moment.date().isoformat() if moment else None),
        local_s=local,
        time_s=moment.timestamp() if moment is not None and aware else _NAN,
        has_seconds=moment is not None and has_time and (moment.second, moment.microsecond) != (0, 0),
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        is_obscured=not is_exact and _is_hidden(found),
        accuracy_m=found.optional("positional_accuracy", found.number, _NAN),
        taxon=_taxon(found),
        photos=_photos(found),
        url=f"https://www.inaturalist.org/observations/{number}",
        identified=tuple(_identified(found.get("identifications"))),
    )


def identification(taxon: Taxon | None) -> str:
    """`Common Name (Scientific name)`, or the scientific name alone; "" without a taxon."""
    return "".join(text for text, _ in identification_parts(taxon))


def identification_parts(taxon: Taxon | None) -> tuple[tuple[str, bool], ...]:
    """The identification in pieces, each with whether it is written in italics; joined they are the whole.

    Notes
    -----
    Names of subspecies and varieties have `ssp.` and `var.` before the last word, genera `sp.` behind; those
    abbreviations stand upright. Each word of a common name begins with a capital.
    """
    if taxon is None:
        return ()
    pieces = tuple(
        (piece, not piece.isspace() and not piece.endswith("."))
        for piece in re.split(r"(\s+)", _scientific(taxon))
        if piece
    )
    if not taxon.common_name:
        return pieces
    common = re.sub(r"(^|[-\s])(\w)", lambda m: m[1] + m[2].upper(), taxon.common_name)
    return ((f"{common} (", False), *pieces, (")", False))


def _scientific(taxon: Taxon) -> str:
    before, space, last = taxon.name.rpartition(" ")
    mark = {"subspecies": "ssp.", "variety": "var."}.get(taxon.rank)
    if mark and space:
        return f"{before} {mark} {last}"
    return f"{taxon.name} sp." if taxon.rank == "genus" else taxon.name


class _Unreadable(ValueError):
    """A value that is not what it should be."""


class _Reader:
    """The values of a JSON object; null is the same as missing."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise _Unreadable(f"the {what} is {_kind(value)}")
        self.value = value
        self._what = what

    def get(self, key: str) -> Any:
        return self.value.get(key)

    def optional(self, key: str, read: Callable[[str], T], absent: Any = None) -> Any:
        """What a method reads; `absent` where there is nothing."""
        return absent if self.get(key) is None else read(key)

    def id(self, key: str) -> int:
        number = self.get(key)
        if type(number) is not int or number <= 0:
            raise self.wrong(key)
        return number

    def count(self, key: str) -> int:
        number = self.get(key)
        if type(number) is not int or number < 0:
            raise self.wrong(key)
        return number

    def number(self, key: str) -> float:
        number = self.get(key)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise self.wrong(key)
        try:
            number = float(number)
        except OverflowError as e:
            raise self.wrong(key) from e
        if not math.isfinite(number):
            raise self.wrong(key)
        return number

    def text(self, key: str) -> str:
        text = self.get(key)
        if text is None:
            return ""
        if not isinstance(text, str) or len(text) > _MOST:
            raise self.wrong(key)
        return plain(text)  # JSON may hold halves of characters, which no file takes

    def flag(self, key: str) -> bool | None:
        flag = self.get(key)
        if flag is not None and not isinstance(flag, bool):
            raise self.wrong(key)
        return flag

    def items(self, key: str) -> list[Any]:
        items = self.get(key)
        if items is None:
            return []
        if not isinstance(items, list):
            raise self.wrong(key)
        return items

    def wrong(self, key: str) -> _Unreadable:
        return _Unreadable(f"{key} of the {self._what} is {_kind(self.get(key))}")


def _kind(value: object) -> str:
    """What a value is, short enough for a message."""
    names = {dict: "an object", list: "a list", type(None): "missing"}
    if type(value) in names:
        return names[type(value)]
    text = json.dumps(value)
    return shown(text if len(text) <= 60 else text[:59] + "…")


def _object(answer: Answer) -> dict[str, Any]:
    value = answer.json()
    if not isinstance(value, dict):
        raise BadAnswer(f"iNaturalist answers {_kind(value)}", _LOGIN_PAGE)
    return value


def _results(value: dict[str, Any]) -> list[Any]:
    results = value.get("results")
    if not isinstance(results, list):
        raise BadAnswer("iNaturalist's answer holds no results", _LOGIN_PAGE)
    return results


def _moment(text: str) -> tuple[datetime | None, bool]:
    """A time as ISO 8601, and whether it has a time of day; None for no text."""
    if not text:
        return None, False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as e:
        raise _Unreadable(f"time_observed_at of the observation is {_kind(text)}") from e
    return moment, len(text) > len("YYYY-MM-DD")


def _date(found: _Reader) -> str | None:
    details = found.get("observed_on_details")
    text = details.get("date") if isinstance(details, dict) else None
    if not isinstance(text, str):
        text = found.text("observed_on")[: len("YYYY-MM-DD")]
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as e:
        raise _Unreadable(f"observed_on of the observation is {_kind(text)}") from e


def _place(found: _Reader) -> tuple[float, float, bool]:
    """Latitude, longitude, and whether its owner is told where it was."""
    for key in ("private_location", "location"):
        if not (text := found.text(key)):
            continue
        try:
            lat_deg, lon_deg = map(float, text.split(","))
        except ValueError as e:
            raise found.wrong(key) from e
        if not (abs(lat_deg) <= 90 and abs(lon_deg) <= 180):
            raise found.wrong(key)
        return lat_deg, lon_deg, key == "private_location"
    return _NAN, _NAN, False


def _is_hidden(found: _Reader) -> bool:
    obscured = found.flag("obscured")
    if obscured is not None:
        return obscured
    return any(found.text(key) in _HIDING for key in ("geoprivacy", "taxon_geoprivacy"))


def _taxon(found: _Reader) -> Taxon | None:
    value = found.get("taxon")
    if value is None:
        return None
    taxon = _Reader(value, "taxon")
    number = taxon.id("id")
    if not (name := taxon.text("name")):
        raise taxon.wrong("name")
    ancestors = _ancestors(value, number) or _known_ancestors(found.get("identifications"), number)
    rank, common = taxon.text("rank").lower(), taxon.text("preferred_common_name")
    return Taxon(number, name, rank, common, ancestors)


def _identified(identifications: Any) -> Iterator[Taxon]:
    """The taxa that identifications name, and those that the observation had before them."""
    for identification in identifications if isinstance(identifications, list) else ():
        for key in ("taxon", "previous_observation_taxon"):
            value = identification.get(key) if isinstance(identification, dict) else None
            try:
                taxon = _Reader(value, "taxon")
                name, common = taxon.text("name"), taxon.text("preferred_common_name")
                if name:
                    yield Taxon(taxon.id("id"), name, taxon.text("rank").lower(), common)
            except _Unreadable:
                continue


def _known_ancestors(identifications: Any, number: int) -> tuple[Taxon, ...]:
    """The ancestors of a taxon as identifications name them; observations themselves have only their ids."""
    for identification in identifications if isinstance(identifications, list) else ():
        named = identification.get("taxon") if isinstance(identification, dict) else None
        if found := _ancestors(named, number):
            return found
    return ()


def _ancestors(taxon: Any, number: int) -> tuple[Taxon, ...]:
    """Those that an object names before a taxon; none where it is not about that taxon, or one of them is unreadable."""
    listed = taxon.get("ancestors") if isinstance(taxon, dict) else None
    if not isinstance(listed, list):
        return ()
    made: list[Taxon] = []
    try:
        for value in listed:
            found = _Reader(value, "taxon")
            if found.id("id") == number:
                return tuple(made)
            common = found.text("preferred_common_name")
            made.append(Taxon(found.id("id"), found.text("name"), found.text("rank").lower(), common))
    except _Unreadable:
        return ()
    return tuple(made) if taxon.get("id") == number else ()


def _photos(found: _Reader) -> tuple[ObservationPhoto, ...]:
    made: list[tuple[tuple[int, int], ObservationPhoto]] = []
    for value in found.items("observation_photos"):
        place = _Reader(value, "observation photo")
        if place.get("photo") is None:
            continue
        photo = _Reader(place.get("photo"), "photo")
        position = place.optional("position", place.count)
        # As the service's own pages have them: those without a position come last, by their ids.
        order = (1 << 62 if position is None else position, place.id("id"))
        made.append((order, _photo(place, photo)))
    made.sort(key=lambda pair: pair[0])
    return tuple(replace(photo, position=i) for i, (_, photo) in enumerate(made))


def _photo(place: _Reader, photo: _Reader) -> ObservationPhoto:
    width_px = height_px = None
    if photo.get("original_dimensions") is not None:
        size = _Reader(photo.get("original_dimensions"), "photo's size")
        width_px, height_px = (size.optional(key, size.count) or None for key in ("width", "height"))
    return ObservationPhoto(
        id=place.id("id"),
        uuid=place.text("uuid"),
        photo_id=photo.id("id"),
        position=0,
        url=photo.text("url"),
        width_px=width_px,
        height_px=height_px,
        file_name=photo.text("original_filename") or None,
        license_code=photo.text("license_code"),
        attribution=photo.text("attribution"),
    )
