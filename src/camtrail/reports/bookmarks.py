"""Bookmarks of a video job: what was seen when, by which camera; as JSON, CSV or XML.

The JSON has the form that older readers know, an object `labels` keyed by time, and more beside it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

from camtrail.exports.csv import inert

__all__ = ["SCHEMAS", "Bookmark", "Bookmarks", "csv_of", "json_of", "kind_of", "xml_of"]

SCHEMAS = ("classic", "head", "full")
"""Forms of the JSON: as documented for the older downloader, as it wrote them, and with all that is known."""

_COLUMNS = (
    "job_id", "timestamp", "camera_name", "camera_id", "event_id", "source_hash", "source_filename", "label",
    "label_kind", "probability",
)  # fmt: skip
_SOURCE = re.compile(r"[0-9a-fA-F]{40}")
_PREFIXES = {"_ml_": "ml", "_color_": "color", "_motion_": "motion"}
# XML 1.0 section 2.2: what is no Char.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTED = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What one camera saw at one moment. Times are written as the service wrote them."""

    time: str
    time_s: float  # POSIX seconds
    camera: str
    camera_id: str | None
    event_id: str | None
    earliest: str  # of its event
    latest: str
    labels: tuple[str, ...]  # sorted, none of them empty
    source_hash: str | None  # SHA-1 of the video, hex
    source_name: str | None
    scores: Mapping[str, float] = field(default_factory=dict)  # label -> probability, where one is known


@dataclass(frozen=True, slots=True)
class Bookmarks:
    """All bookmarks of a job."""

    job_id: str
    earliest: str | None  # of the job, as the service has it
    latest: str | None
    marks: Sequence[Bookmark]
    is_complete: bool = True

    def in_order(self) -> list[Bookmark]:
        """By time, then camera."""
        return sorted(self.marks, key=lambda m: (m.time_s, m.time, m.camera))


def kind_of(label: str) -> str:
    """What a label speaks of: ml, color, motion, source (the SHA-1 of a video) or custom."""
    if _SOURCE.fullmatch(label):
        return "source"
    return next((kind for prefix, kind in _PREFIXES.items() if label.startswith(prefix)), "custom")


def json_of(found: Bookmarks, schema: str = "full") -> bytes:
    """The JSON document: UTF-8, a final newline, entries by time.

    Cameras that share a time share an entry; with schema `full` its `by_camera` tells them apart.
    A document that lacks what the service could not be asked for has `"complete": false`.
    """
    document: dict[str, Any] = {
        "job_id": found.job_id, "earliest_date": found.earliest, "latest_date": found.latest,
    }  # fmt: skip
    if schema == "full" or not found.is_complete:
        document["complete"] = found.is_complete
    document["labels"] = {
        time: _entry(list(marks), schema) for time, marks in groupby(found.in_order(), lambda m: m.time)
    }
    # A lone surrogate, which UTF-8 has no bytes for, becomes the escape that JSON has for it.
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode(errors="backslashreplace")


def _entry(marks: list[Bookmark], schema: str) -> dict[str, Any]:
    first = marks[0]
    labels = sorted({label for m in marks for label in m.labels})
    if schema == "head":
        return {"camera": {"name": first.camera}, "labels": labels}
    cameras = {m.camera: {"name": m.camera, "camera_id": m.camera_id} for m in marks}
    if schema == "classic":
        return {"cameras": cameras, "labels": labels}
    entry = {"camera": cameras[first.camera], "cameras": cameras, **_full(first), "labels": labels}
    if len(marks) > 1:
        scores: dict[str, float] = {}
        for m in marks:
            for label, score in m.scores.items():
                scores[label] = max(score, scores.get(label, score))
        entry |= {"scores": scores, "by_camera": {m.camera: _full(m) for m in marks}}
    return entry


def _full(m: Bookmark) -> dict[str, Any]:
    return {
        "camera_id": m.camera_id,
        "camera_name": m.camera,
        "earliest_date": m.earliest,
        "latest_date": m.latest,
        "event_id": m.event_id,
        "source": {"hash": m.source_hash, "filename": m.source_name},
        "labels": list(m.labels),
        "scores": dict(m.scores),
    }


class _Line:
    """A file of one line: the writer's `writerow` gives back what it wrote."""

    def write(self, text: str) -> str:
        return text


def csv_of(found: Bookmarks, *, is_safe: bool = False) -> Iterator[bytes]:
    """RFC 4180 with LF: a header, then one row for each label of each camera at each time.

    Parameters
    ----------
    is_safe : whether `'` is put before what a spreadsheet would take for a formula
    """
    # Python quotes a line break only where the line's own end has it.
    writer = csv.writer(_Line(), lineterminator="\r\n")

    def row(cells: Iterable[str]) -> bytes:
        line = str(writer.writerow(cells)).removesuffix("\r\n")
        return f"{line}\n".encode(errors="backslashreplace")

    guarded = inert if is_safe else str
    yield row(_COLUMNS)
    for m in found.in_order():
        start = (found.job_id, m.time, m.camera, m.camera_id, m.event_id, m.source_hash, m.source_name)
        cells = [guarded(cell or "") for cell in start]
        for label in m.labels:
            score = m.scores.get(label)
            end = [guarded(label), kind_of(label), "" if score is None else str(score)]
            yield row(cells + end)


def xml_of(found: Bookmarks) -> Iterator[bytes]:
    """XML 1.0 in UTF-8, one `bookmark` a camera and time. Characters that XML does not allow are left out."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    about = {
        "job_id": found.job_id, "earliest_date": found.earliest, "latest_date": found.latest,
        "count": str(len(found.marks)), "complete": None if found.is_complete else "false",
    }  # fmt: skip
    yield f"<bookmarks{_attributes(about)}>\n".encode()
    for m in found.in_order():
        yield "".join(_bookmark(m)).encode()
    yield b"</bookmarks>\n"


def _bookmark(m: Bookmark) -> Iterable[str]:
    own = {"timestamp": m.time, "camera": m.camera, "camera_id": m.camera_id, "event_id": m.event_id}
    yield f"  <bookmark{_attributes(own)}>"
    if m.source_hash or m.source_name:
        yield f"<source{_attributes({'hash': m.source_hash, 'filename': m.source_name})}/>"
    for label in m.labels:
        score = m.scores.get(label)
        about = {"kind": kind_of(label), "probability": None if score is None else str(score)}
        yield f"<label{_attributes(about)}>{escape(_NO_XML.sub('', label), {chr(13): '&#13;'})}</label>"
    yield "</bookmark>\n"


def _attributes(values: Mapping[str, str | None]) -> str:
    """Those that there are, each with a blank before it."""
    return "".join(
        f' {name}="{escape(_NO_XML.sub("", value), _QUOTED)}"'
        for name, value in values.items()
        if value is not None
    )
