"""What an upload needs, settled without sending anything: which photos go, as which bytes, in which order."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from camtrail.app.context import Context
from camtrail.app.pictures import digests
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.write import SentForms
from camtrail.app.write_options import ImportMetaOptions, Told
from camtrail.catalog.ledger import Call, Ledger, Stored
from camtrail.core.bytes import ByteSource, SplicedBytes
from camtrail.core.errors import CamtrailError, Failure, InputError, failure_of
from camtrail.core.model import Item
from camtrail.core.names import natural, shown
from camtrail.metadata import jpeg, picture

__all__ = ["Ready", "Sent", "Settled", "carried", "is_nothing_there", "session_of", "settle"]

_MOST_NAMED = 3
_HANDLES_LAST_S = 36 * 3600.0  # the service keeps what was sent and not published for two days


class Sent(NamedTuple):
    """What the ledger knows of pictures of one account."""

    done: frozenset[bytes]
    uncertain: Mapping[bytes, Call]
    stored: Mapping[bytes, Stored]


@dataclass(frozen=True, slots=True)
class Ready:
    """One photo that can be sent."""

    collection: int  # number of its collection in the result
    row: int
    item: Item
    typed: str
    picture: bytes  # digest of the picture: names it for ever
    session: str  # names the bytes that are sent
    size_bytes: int  # of those bytes
    is_as_it_is: bool = False  # the file carries its description already
    stored: Stored | None = None  # the service has it already, and it is not published yet


@dataclass(slots=True)
class Settled:
    """What goes and what is left out, and why."""

    sequences: dict[str, list[Ready]] = field(default_factory=dict)  # in the order of the sequence
    left: Counter[str] = field(default_factory=Counter)  # already_uploaded, duplicate, uncertain, failed
    not_ready: Counter[str] = field(default_factory=Counter)  # reason -> photos
    uncertain: dict[int, tuple[Call, list[str]]] = field(default_factory=dict)  # calls whose outcome nobody
    # knows, by their numbers, each with those of its photos that are here, as typed
    failures: list[Failure[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    forms: SentForms | None = None  # makes the bytes of photos whose files lack their descriptions

    def images(self) -> Iterator[Ready]:
        """Every photo that goes."""
        for found in self.sequences.values():
            yield from found

    def counts(self) -> dict[str, int]:
        """How many photos are ready, and how many are left out as what."""
        made = {
            "ready": sum(map(len, self.sequences.values())),
            **self.left,
            "not_ready": sum(self.not_ready.values()),
        }
        return {what: n for what, n in made.items() if n}


def carried(description: str | None) -> dict[str, Any] | None:
    """A description that needs no stage: with place, time and sequence, as Mapillary's app writes it; else None."""
    if not description or not description.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(description)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    lat, lon = found.get("MAPLatitude"), found.get("MAPLongitude")
    if not (_is_within(lat, 90.0) and _is_within(lon, 180.0)):
        return None
    texts = (found.get("MAPCaptureTime"), found.get("MAPSequenceUUID"))
    return found if all(isinstance(t, str) and t for t in texts) else None


def _is_within(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.fabs(value) <= most


def settle(
    result: Result,
    ledger: Ledger | None,
    origin: str,
    account: str,
    meta: ImportMetaOptions,
    told: Told,
    context: Context,
    *,
    options: ProcessOptions | None = None,
    reupload: bool = False,
    retry_uncertain: bool = False,
) -> Settled:
    """What an upload of the photos of a result is: every photo is in it or counted as left out.

    Parameters
    ----------
    ledger : what was sent before; None where nothing ever was
    origin, account : of the service, as the ledger has them
    options : by which the result was found; None where that is not known
    reupload : what was uploaded before goes again
    retry_uncertain : what may have been published, and may not, goes again
    """
    settled = Settled()
    candidates = list(_candidates(result, settled))
    found: dict[str, bytes | None] = {}
    for number, (space, collection) in enumerate(zip(result.spaces, result.collections)):
        rows = [c.row for c in candidates if c.collection == number]
        own, failures = digests(space, collection.photos, rows, context)
        settled.failures += failures
        found |= {space.absolute(path): digest for path, digest in own.items()}
    told = Told(owner=told.owner, meta=told.meta, digests={**told.digests, **found})
    sent = _known(ledger, origin, account, [d for d in found.values() if d is not None], context)
    settled.forms = forms = SentForms(result, meta, context, told, options)
    taken: dict[bytes, str] = {}
    copies: list[tuple[str, str]] = []
    for c in candidates:
        if c.item.file not in found:
            settled.left["failed"] += 1
            continue
        digest = found[c.item.file]
        try:
            if digest is None:
                raise InputError(c.typed, "has no picture", "take the photo again from the camera")
            if what := _left_out(digest, sent, reupload=reupload, retry_uncertain=retry_uncertain):
                settled.left[what] += 1
                if what == "uncertain":
                    call = sent.uncertain[digest]
                    settled.uncertain.setdefault(call.number, (call, []))[1].append(c.typed)
                continue
            if digest in taken:
                settled.left["duplicate"] += 1
                copies.append((c.typed, taken[digest]))
                continue
            ready = _ready(c, digest, sent.stored.get(digest), forms, context)
        except CamtrailError as e:
            settled.left["failed"] += 1
            failure = failure_of(c.typed, e)
            settled.failures.append(Failure(c.typed, failure.code, failure.message, failure.hint))
            continue
        taken[digest] = c.typed
        settled.sequences.setdefault(c.sequence, []).append(ready)
    for images in settled.sequences.values():
        images.sort(key=lambda r: _order(r.item))
    settled.notes += _told_of_copies(copies)
    if settled.not_ready["no sequence"]:
        settled.notes.append("camtrail mapillary process puts photos into sequences")
    return settled


def _told_of_copies(copies: list[tuple[str, str]]) -> list[str]:
    said = [f"{shown(name)}: is the same picture as {shown(other)}" for name, other in copies[:_MOST_NAMED]]
    if len(copies) > _MOST_NAMED:
        said.append(f"{len(copies) - _MOST_NAMED:,} more photos are the same pictures as others")
    return said


def is_nothing_there(result: Result) -> bool:
    """Whether none of the photos of a result can be sent, as far as is known without looking into them."""
    return next(_candidates(result, Settled()), None) is None


@dataclass(frozen=True, slots=True)
class _Candidate:
    collection: int
    row: int
    item: Item
    typed: str
    sequence: str
    is_as_it_is: bool  # its file carries its description, and nobody here found another


def _candidates(result: Result, settled: Settled) -> Iterator[_Candidate]:
    for number, (space, c) in enumerate(zip(result.spaces, result.collections)):
        columns = (c.photos.path.tolist(), c.photos.note.tolist(), c.photos.description.tolist())
        for row, (item, path, note, description) in enumerate(zip(c.items(), *columns)):
            typed = space.as_typed(path)
            if item.outcome == "duplicate":
                settled.left["duplicate"] += 1
            elif item.outcome == "unreadable":
                settled.left["failed"] += 1  # it stands among the failures of the scan
            elif item.outcome == "unsupported":
                settled.not_ready["no JPEG"] += 1
            elif note is not None and jpeg.CUT_IN_PICTURE in note:
                settled.left["failed"] += 1
                settled.failures.append(
                    Failure(typed, "cut", "the picture has no end", "take it again from the camera")
                )
            elif item.sequence is not None and item.outcome in ("located", "estimated"):
                yield _Candidate(number, row, item, typed, f"{number} {item.sequence}", False)
            elif (own := carried(description)) is not None:
                yield _Candidate(number, row, item, typed, f"{number} {own['MAPSequenceUUID']}", True)
            elif item.outcome in ("located", "estimated"):
                settled.not_ready["no sequence"] += 1
            else:
                settled.not_ready[item.outcome.replace("_", " ")] += 1


def _order(item: Item) -> tuple[bool, float, tuple[tuple[int, int, str], ...]]:
    time_s = item.order_s if item.order_s == item.order_s else item.time_s
    return time_s != time_s, time_s if time_s == time_s else 0.0, natural(item.path)


def _known(ledger: Ledger | None, origin: str, account: str, pictures: list[bytes], context: Context) -> Sent:
    if ledger is None or not account:
        return Sent(frozenset(), {}, {})
    now_s = context.clock.now_s()
    stored = ledger.stored(origin, account, pictures)
    return Sent(
        frozenset(ledger.done(origin, account, pictures)),
        ledger.uncertain(origin, account, pictures),
        {d: s for d, s in stored.items() if now_s - s.at_s < _HANDLES_LAST_S},
    )


def _left_out(digest: bytes, sent: Sent, *, reupload: bool, retry_uncertain: bool) -> str:
    """As what a picture is left out; empty where it goes."""
    if reupload:
        return ""
    if digest in sent.done:
        return "already_uploaded"
    return "uncertain" if digest in sent.uncertain and not retry_uncertain else ""


def _ready(c: _Candidate, digest: bytes, stored: Stored | None, forms: SentForms, context: Context) -> Ready:
    head, tail_at = (b"", 0) if c.is_as_it_is else forms.of(c.collection, c.row, c.item)
    with context.fs.source(c.item.file) as source:
        whole: ByteSource = SplicedBytes(source, head, tail_at) if head else source
        session, size = session_of(whole, digest), whole.size
    if stored is not None and stored.session != session:
        stored = None  # its tags have changed since
    return Ready(c.collection, c.row, c.item, c.typed, digest, session, size, not head, stored)


def session_of(whole: ByteSource, digest: bytes) -> str:
    """The name of a session: a digest of all bytes that are sent.

    Notes
    -----
    SHA-256 of what lies before the picture, then of that and the digest of the picture, which is known already.
    """
    before = hashlib.sha256(whole.read_at(0, picture.scan_at(whole))).digest()
    return f"camtrail_{hashlib.sha256(before + digest).hexdigest()}.jpg"
