"""What a stand-in for Camio sees in videos: events made up from a video's hash, or replayed from bookmarks.

Times are whole milliseconds since 1970, UTC.
"""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from camtrail.core import json_text
from camtrail.core.bytes import FileBytes
from camtrail.core.errors import InputError

__all__ = [
    "HASH",
    "Bookmark",
    "Bookmarks",
    "Event",
    "Image",
    "bookmarks",
    "event",
    "milliseconds",
    "scripted",
    "stamp",
]

HASH = re.compile(r"[0-9a-f]{40}")

_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ?(?:Z|([-+]?)(\d\d):?(\d\d))?", re.ASCII
)
_YEARS = range(1970, 2200)  # in which anything was recorded
_GAP_MS = 8_000
_STEP_MS = 980  # between the images of an event
_LATEST_MS = 4_000  # that an event begins after it could: who knows no duration may look no farther
_UNKNOWN_S = 60.0  # a video's duration where its bytes do not tell
_MOST_S = 86_400.0
_MOST_FILE_BYTES = 1 << 28
_COLORS = ("black", "white", "gray", "red", "green", "cyan", "blue", "magenta")
_SEEN = ("_ml_approaching", "_ml_departing", "_ml_human", "_ml_vehicle")


def milliseconds(text: str) -> int | None:
    """The moment that a text names; None where it names none.

    Without an offset it is UTC. A blank may stand for the `+` of the offset: forms decode one to the other.
    """
    m = _STAMP.fullmatch(text.strip())
    if m is None:
        return None
    day, time, fraction, sign, hours, minutes = m.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}+00:00")
    except ValueError:
        return None
    if moment.year not in _YEARS:
        return None
    offset_s = (int(hours) * 60 + int(minutes)) * 60 if hours else 0
    seconds = int(moment.timestamp()) + (offset_s if sign == "-" else -offset_s)
    return seconds * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def stamp(ms: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmm-0000`, as the service writes times."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19]}.{ms % 1000:03d}-0000"


@dataclass(slots=True, eq=False)
class Image:
    """One picture of an event."""

    id: str
    date_ms: int
    labels: list[str]


@dataclass(slots=True, eq=False)
class Event:
    """What happened in front of a camera, as pictures in the order of time; at least one."""

    id: str
    camera: str  # its name
    sha1: str  # of the video that it was cut from; "" where there is none
    images: list[Image]

    @property
    def start_ms(self) -> int:
        """Time of the first picture."""
        return self.images[0].date_ms

    @property
    def end_ms(self) -> int:
        """Time of the last picture."""
        return self.images[-1].date_ms

    @property
    def labels(self) -> list[str]:
        """All labels of its pictures, sorted."""
        return sorted({label for image in self.images for label in image.labels})

    @property
    def order(self) -> tuple[int, str, str]:
        """What events are sorted by."""
        return self.start_ms, self.camera, self.id


def event(camera: str, sha1: str, number: int, images: Iterable[tuple[int, Iterable[str]]]) -> Event:
    """An event of a video, whose images have these times and labels, and the video's hash as one more."""
    made = hashlib.sha256(f"event {sha1} {camera} {number}".encode()).hexdigest()[:32]
    return Event(
        made,
        camera,
        sha1,
        [
            Image(f"{made}-{i}", ms, sorted({*labels, *([sha1] if sha1 else [])}))
            for i, (ms, labels) in enumerate(images)
        ],
    )


def scripted(sha1: str, camera: str, start_ms: int, duration_s: float | None) -> list[Event]:
    """One to three events of a video, always the same for the same one."""
    drawn = hashlib.sha256(f"script {sha1}".encode()).digest()
    span_ms = round(min(duration_s or _UNKNOWN_S, _MOST_S) * 1000)
    count = min(1 + drawn[0] % 3, max(1, span_ms // 10_000))
    part_ms = span_ms // count
    return [
        event(camera, sha1, i, _script(start_ms + i * part_ms, part_ms, drawn[1 + 4 * i : 5 + 4 * i]))
        for i in range(count)
    ]


def _script(start_ms: int, part_ms: int, drawn: bytes) -> Iterator[tuple[int, list[str]]]:
    late = int.from_bytes(drawn[1:3], "big")
    first_ms = start_ms + (min(part_ms // 4, _LATEST_MS) * late >> 16)
    for k in range(1 + drawn[0] % 5):
        ms = first_ms + k * _STEP_MS
        if k and ms >= start_ms + part_ms:
            return
        seen = [label for i, label in enumerate(_SEEN) if drawn[3] >> i & 1]
        yield ms, ["_color_" + _COLORS[(drawn[2] + k // 2) % len(_COLORS)], *seen]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """One entry of a file of bookmarks."""

    date_ms: int
    camera: str
    labels: tuple[str, ...]


@dataclass(slots=True)
class Bookmarks:
    """Entries of files of bookmarks, to be replayed."""

    by_hash: dict[str, list[Bookmark]] = field(default_factory=dict)
    by_camera: dict[str, list[Bookmark]] = field(default_factory=dict)  # those that carry no hash, by time

    def events(self, sha1: str, camera: str, start_ms: int, duration_s: float | None) -> list[Event]:
        """What is known of a video: entries with its hash, and those of its camera that fall into its time."""
        found = self.by_hash.get(sha1, [])
        placed = self.by_camera.get(camera, [])
        end_ms = start_ms + round(min(duration_s or _UNKNOWN_S, _MOST_S) * 1000)
        first = bisect_left(placed, start_ms, key=_date)
        last = bisect_left(placed, end_ms, key=_date)
        labels: dict[int, set[str]] = {}
        for b in (*found, *placed[first:last]):
            labels.setdefault(b.date_ms, set()).update(b.labels)
        groups: list[list[tuple[int, set[str]]]] = []
        for ms, those in sorted(labels.items()):
            if not groups or ms - groups[-1][-1][0] > _GAP_MS:
                groups.append([])
            groups[-1].append((ms, those))
        return [event(camera, sha1, i, images) for i, images in enumerate(groups)]


def _date(bookmark: Bookmark) -> int:
    return bookmark.date_ms


def bookmarks(folder: str) -> Bookmarks:
    """The bookmarks of all `*.json` of a folder that have any. Raises InputError."""
    made = Bookmarks()
    try:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".json"))
    except OSError as e:
        raise InputError(folder, "is no folder that can be read", "name a folder with bookmarks") from e
    for name in names:
        for one, hashes in _entries(_document(f"{folder.rstrip('/')}/{name}")):
            for sha1 in hashes:
                made.by_hash.setdefault(sha1, []).append(one)
            if not hashes:
                made.by_camera.setdefault(one.camera, []).append(one)
    if not made.by_hash and not made.by_camera:
        raise InputError(
            folder, "has no bookmarks", "put files there as `camtrail video labels` writes them, *.json"
        )
    for entries in made.by_camera.values():
        entries.sort(key=_date)
    return made


def _document(path: str) -> Any:
    with FileBytes(path) as source:
        data = source.read_at(0, _MOST_FILE_BYTES)
    try:
        return json_text.loads(data.decode())[0]
    except ValueError as e:
        raise InputError(path, f"is no JSON ({e})", "take it away, or mend it") from e


def _entries(document: Any) -> Iterator[tuple[Bookmark, frozenset[str]]]:
    """The entries of a document, one for each camera, and the hashes that each carries."""
    found = document.get("labels") if isinstance(document, dict) else None
    for date, entry in found.items() if isinstance(found, dict) else ():
        ms = milliseconds(date)
        if ms is None or not isinstance(entry, dict):
            continue
        for camera, labels, source in _by_camera(entry):
            named = source.get("hash") if isinstance(source, dict) else None
            hashes = frozenset(t for t in (*labels, named) if isinstance(t, str) and HASH.fullmatch(t))
            yield Bookmark(ms, camera, labels), hashes


def _by_camera(entry: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Camera, labels and source of each part of an entry."""
    split, several, single = (entry.get(key) for key in ("by_camera", "cameras", "camera"))
    if isinstance(split, dict) and split:
        for name, part in split.items():
            own = part if isinstance(part, dict) else {}
            yield name, _texts(own.get("labels")), own.get("source")
        return
    names = list(several) if isinstance(several, dict) else []
    if not names and isinstance(single, dict) and isinstance(single.get("name"), str):
        names = [single["name"]]
    for name in names or [""]:
        yield name, _texts(entry.get("labels")), entry.get("source")


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
