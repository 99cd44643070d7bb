"""Photos to Mapillary: each by itself, then the list of a sequence, then its publication, which happens once."""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from camtrail.app.context import Context, Transfer
from camtrail.app.mapillary_options import UploadOptions
from camtrail.app.process import Result
from camtrail.app.settle import Ready, Settled, session_of
from camtrail.app.state import absolute
from camtrail.app.write import SentForms
from camtrail.catalog.ledger import Call, Ledger, Stored
from camtrail.core.bytes import ByteSource, MemoryBytes, SplicedBytes
from camtrail.core.errors import (
    CamtrailError,
    Failure,
    FolderBusy,
    QuotaExceeded,
    StorageError,
    UnreadableFile,
)
from camtrail.core.fs import Status
from camtrail.core.names import shown
from camtrail.services.mapillary import wire
from camtrail.services.mapillary.client import Client
from camtrail.transfer.http import Body
from camtrail.transfer.pace import Pace
from camtrail.transfer.queue import Again, Queue
from camtrail.transfer.resume import Resumable, RetryPolicy
from camtrail.transfer.retry import Backoff

__all__ = ["SequenceSent", "Uploaded", "ledger_of", "ledger_path", "send"]

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_GROUP = 64  # handles that are written down together
_NAMES = uuid.uuid5(uuid.NAMESPACE_OID, "camtrail upload")


@dataclass(frozen=True, slots=True)
class SequenceSent:
    """What became of one sequence."""

    sequence: str
    images: int
    state: str  # published, held, uncertain
    answer: str = ""  # the service's number of it


@dataclass(slots=True)
class Uploaded:
    """What an upload came to."""

    counts: Counter[str] = field(default_factory=Counter)  # uploaded, held, uncertain, failed, …
    not_ready: Counter[str] = field(default_factory=Counter)  # reason -> photos
    sequences: list[SequenceSent] = field(default_factory=list)
    failures: list[Failure[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    size_bytes: int = 0  # of the images that were sent
    elapsed_s: float = 0.0


def ledger_path(options: UploadOptions) -> str:
    """The file that remembers what was uploaded."""
    if options.ledger:
        return absolute(options.ledger)
    from platformdirs import user_data_dir

    return absolute(f"{user_data_dir('camtrail', appauthor=False)}/ledger.sqlite")


@contextmanager
def ledger_of(
    options: UploadOptions, origin: str, account: str, context: Context, *, wait: bool = False
) -> Iterator[Ledger]:
    """The ledger, with one account's part of it ours alone while the block runs.

    Raises
    ------
    FolderBusy
        Another run uploads to this account.
    """
    path = ledger_path(options)
    folder = path.rpartition("/")[0]
    try:
        context.fs.make_folder(folder)
    except OSError as e:
        raise StorageError(f"{shown(folder)}: cannot be made ({e.strerror})", "give --ledger FILE") from e
    name = sha256(f"{origin}\n{account}".encode()).hexdigest()[:16]
    with context.fs.lock(f"{path}-{name}.lock", 86400.0 if wait else 1.0) as held:
        if not held:
            raise FolderBusy("another run uploads to this account", "let it end, or give --wait")
        with Ledger(path) as ledger:
            yield ledger


def send(
    result: Result,
    settled: Settled,
    ledger: Ledger,
    client: Client,
    origin: str,
    account: str,
    organization_id: str | None,
    forms: SentForms,
    options: UploadOptions,
    context: Context,
) -> Uploaded:
    """Sends what was settled; the caller owns the folders and the account's part of the ledger.

    One image that is rejected holds its own sequence only. A sequence is published by one call, which is written
    down before it is made; where nobody knows what became of it, it is not made again by itself.

    Raises
    ------
    StorageError, CatalogError
        The ledger cannot be written; nothing is published that is not written down.
    """
    return _Sending(
        result, settled, ledger, client, origin, account, organization_id, forms, options, context
    ).run()


@dataclass(slots=True)
class _Sequence:
    """One sequence on its way."""

    name: str
    images: list[Ready]
    handles: dict[str, str] = field(default_factory=dict)  # session -> handle
    failed: int = 0
    waiting: int = 0  # images that are not through yet
    call: int = 0  # its number in the ledger

    @property
    def is_whole(self) -> bool:
        return len(self.handles) == len(self.images)


@dataclass(slots=True, eq=False)
class _Task:
    """Something of a sequence that is to be done."""

    sequence: _Sequence
    step: Callable[[], object]
    image: Ready | None = None
    kind: str = "image"  # image, manifest, publish


@dataclass(frozen=True, slots=True)
class _Published:
    """What is known of a publication after the call for it."""

    state: str  # done, uncertain, dropped
    answer: str = ""
    error: CamtrailError | None = None


class _Sending:
    def __init__(
        self,
        result: Result,
        settled: Settled,
        ledger: Ledger,
        client: Client,
        origin: str,
        account: str,
        organization_id: str | None,
        forms: SentForms,
        options: UploadOptions,
        context: Context,
    ) -> None:
        self.result, self.settled, self.ledger, self.client = result, settled, ledger, client
        self.origin, self.account, self.organization_id = origin, account, organization_id
        self.forms, self.options, self.context = forms, options, context
        self.random = random.Random()  # noqa: S311 - spreads waiting, keeps no secret
        self.pace = Pace(context.clock, longest_s=options.max_wait_s)
        self.queue: Queue[_Task, object] = Queue(
            lambda task: task.step(), workers=options.number_threads, clock=context.clock, pace=self.pace
        )
        self.done = Uploaded(
            settled.left.copy(), settled.not_ready, [], list(settled.failures), list(settled.notes)
        )
        self.rows: list[tuple[bytes, Stored]] = []
        self.progress = _Progress(settled, context)

    def run(self) -> Uploaded:
        """Everything, until nothing is left to do."""
        started = self.context.clock.monotonic_s()
        for name, images in self.settled.sequences.items():
            self._add(_Sequence(name, images))
        try:
            for task, answer in self.queue:
                self._end(task, answer)
                if len(self.rows) >= _GROUP:
                    self._keep()
        finally:
            self.queue.stop()
            self._keep()
        self.done.elapsed_s = self.context.clock.monotonic_s() - started
        return self.done

    def _keep(self) -> None:
        rows, self.rows = self.rows, []
        if rows:
            self.ledger.put_stored(self.origin, self.account, rows)

    def _add(self, sequence: _Sequence) -> None:
        for image in sequence.images:
            if image.stored is not None:
                sequence.handles[image.session] = image.stored.handle
                self.progress.passed(image)
                continue
            sequence.waiting += 1
            photo = _Photo(image, self)
            self.queue.add(_Task(sequence, photo.step, image))
        if sequence.is_whole:
            self._list(sequence)

    def _end(self, task: _Task, answer: object) -> None:
        """What follows from the end of one task."""
        if task.kind == "image":
            self._image_ended(task, answer)
        elif task.kind == "manifest":
            if isinstance(answer, Failure):
                self._held(task.sequence, answer)
            else:
                self._publish(task.sequence, str(answer))
        else:
            self._published(task.sequence, answer)

    def _image_ended(self, task: _Task, answer: object) -> None:
        sequence, image = task.sequence, task.image
        assert image is not None
        sequence.waiting -= 1
        if isinstance(answer, Failure):
            sequence.failed += 1
            self.done.counts["failed"] += 1
            self.done.failures.append(answer.at(image.typed))
        else:
            sequence.handles[image.session] = str(answer)
            self.rows.append((image.picture, Stored(image.session, str(answer), self.context.clock.now_s())))
            self.done.size_bytes += image.size_bytes
        self.progress.passed(image)
        if sequence.is_whole:
            self._list(sequence)
        elif not sequence.waiting:
            self._held(sequence)

    def _held(self, sequence: _Sequence, failure: Failure[_Task] | None = None) -> None:
        """A sequence that is not published in this run; what was sent of it is kept."""
        if failure is not None:
            self.done.failures.append(failure.at(f"sequence {_name(sequence)}"))
        self.done.counts["held"] += len(sequence.handles)
        self.done.sequences.append(SequenceSent(_name(sequence), len(sequence.images), "held"))

    def _list(self, sequence: _Sequence) -> None:
        """Sends the list of a sequence's images."""
        self._keep()
        data = wire.manifest([sequence.handles[image.session] for image in sequence.images])
        again = self.context.clock.now_s() if self.options.reupload else 0.0
        words = "\n".join([self.account, *(image.session for image in sequence.images), f"{again:g}"])
        key = f"uuid_{uuid.uuid5(_NAMES, words).hex}.json"
        machine = _resumable(
            self, key, len(data), lambda offset: Body(len(data) - offset, lambda: iter([data[offset:]]))
        )
        self.queue.add(_Task(sequence, machine.step, kind="manifest"))

    def _publish(self, sequence: _Sequence, handle: str) -> None:
        """Publishes a sequence, after that was written down."""
        pictures = [image.picture for image in sequence.images]
        again = self.options.reupload or self.options.retry_uncertain
        try:
            sequence.call = self.ledger.begin(
                self.origin,
                self.account,
                "publish",
                handle,
                pictures,
                self.context.clock.now_s(),
                again=again,
            )
        except FolderBusy as e:
            self._held(
                sequence, Failure(_Task(sequence, lambda: None), e.code, e.message, e.hint, True, e.exit_code)
            )
            return
        finish = _Publication(handle, self)
        self.queue.add(_Task(sequence, finish.step, kind="publish"))

    def _published(self, sequence: _Sequence, answer: object) -> None:
        if isinstance(answer, Failure):  # it was never called: the run was stopped before
            outcome = _Published("dropped")
            failure: Failure[object] | None = answer
        else:
            assert isinstance(answer, _Published)
            outcome, failure = answer, None
        self.ledger.end(sequence.call, outcome.state, outcome.answer)
        name, n = _name(sequence), len(sequence.images)
        if outcome.state == "done":
            self.done.counts["uploaded"] += n
            self.done.sequences.append(SequenceSent(name, n, "published", outcome.answer))
            return
        if outcome.state == "uncertain":
            said = outcome.error.message if outcome.error else ""
            self.done.counts["uncertain"] += n
            self.done.failures.append(uncertain_failure(name, n, said))
            self.done.sequences.append(SequenceSent(name, n, "uncertain"))
            return
        if outcome.error is not None:
            e = outcome.error
            failure = Failure(None, e.code, e.message, e.hint, e.retryable, e.exit_code)
        if failure is not None:
            self.done.failures.append(failure.at(f"sequence {name}"))
        self.done.counts["held"] += n
        self.done.sequences.append(SequenceSent(name, n, "held"))


def uncertain_failure(name: str, images: int, said: str) -> Failure[str]:
    """What to do about a sequence of which nobody knows whether it was published."""
    because = f" ({said})" if said else ""
    return Failure(
        f"sequence {name}",
        "uncertain",
        f"nobody knows whether its {images} images were published{because}",
        "look at your uploads on the service's site; where they are missing, run again with --retry-uncertain",
        exit_code=5,
    )


def uncertain_calls(calls: list[Call]) -> list[Failure[str]]:
    """The same for calls of earlier runs that died in the middle of them."""
    return [
        uncertain_failure(call.key[:16], len(call.items), "an earlier run ended in the middle of it")
        for call in calls
    ]


def _name(sequence: _Sequence) -> str:
    return sequence.name.split(" ", 1)[1].removeprefix("carried ")


def _resumable(sending: _Sending, key: str, size: int, body_from: Callable[[int], Body]) -> Resumable:
    stem, _, suffix = key.rpartition(".")
    return Resumable(
        key,
        size,
        body_from,
        sending.client,
        RetryPolicy(attempts=sending.options.max_attempts),
        sending.random,
        lambda n: f"{stem}_{n}.{suffix}",
    )


class _Photo:
    """One photo on its way; opened only while it is sent."""

    def __init__(self, image: Ready, sending: _Sending) -> None:
        self.image = image
        self._sending = sending
        self._machine: Resumable | None = None
        self._file = ""
        self._head = b""
        self._tail_at = 0
        self._seen: Status | None = None
        self._whole = b""  # of a small photo, as it was checked; not while it waits

    def step(self) -> object:
        """One attempt: the handle, or Again."""
        if self._machine is None:
            self._prepare()
        assert self._machine is not None
        answer = self._machine.step()
        self._whole = b""
        if not isinstance(answer, Again):
            self._check_same()
        return answer

    def _prepare(self) -> None:
        image, sending = self.image, self._sending
        fs = sending.context.fs
        self._file = fs.real(image.item.file)
        self._seen = fs.status(self._file)
        if not image.is_as_it_is:
            self._head, self._tail_at = sending.forms.of(image.collection, image.row, image.item)
        with self._opened() as opened:
            whole = opened
            if image.size_bytes <= _CHUNK_BYTES:
                self._whole = opened.read_at(0, image.size_bytes + 1)
                whole = MemoryBytes(self._whole, opened.name)
            if whole.size != image.size_bytes or session_of(whole, image.picture) != image.session:
                raise _changed(image)
        self._machine = _resumable(sending, image.session, image.size_bytes, self._body)

    @contextmanager
    def _opened(self) -> Iterator[ByteSource]:
        with self._sending.context.fs.source(self._file) as source:
            yield SplicedBytes(source, self._head, self._tail_at) if self._head else source

    def _body(self, offset: int) -> Body:
        return Body(self.image.size_bytes - offset, lambda: self._chunks(offset))

    def _chunks(self, offset: int) -> Iterator[bytes]:
        if self._whole:
            yield self._whole[offset:]
            self._sending.progress.moved(self.image, len(self._whole))
            return
        with self._opened() as whole:
            while data := whole.read_at(offset, _CHUNK_BYTES):
                offset += len(data)
                yield data
                self._sending.progress.moved(self.image, offset)

    def _check_same(self) -> None:
        """Raises UnreadableFile where the file was changed while it was sent."""
        try:
            now = self._sending.context.fs.status(self._file)
        except OSError:
            now = None
        if now != self._seen:
            raise _changed(self.image)


def _changed(image: Ready) -> UnreadableFile:
    return UnreadableFile(image.typed, "was changed while it was sent", "run again", retryable=True)


class _Publication:
    """The call that publishes a sequence. Made again only where the service surely did nothing."""

    def __init__(self, handle: str, sending: _Sending) -> None:
        self._handle = handle
        self._sending = sending
        self._attempt = 0
        self._backoff = Backoff()

    def step(self) -> _Published | Again:
        """What is known after one attempt."""
        sending = self._sending
        try:
            return _Published("done", sending.client.finish(self._handle, sending.organization_id))
        except CamtrailError as e:
            if not e.retryable:
                return _Published("dropped", error=e)
            if not getattr(e, "is_unheard", False):
                return _Published("uncertain", error=e)
            self._attempt += 1
            if self._attempt >= sending.options.max_attempts:
                return _Published("dropped", error=e)
            asked_s = (e.retry_after_s or 0.0) if isinstance(e, QuotaExceeded) else 0.0
            return Again(self._backoff.delay_s(self._attempt, sending.random), asked_s, e)


class _Progress:
    """Bytes and images that are through, told to who watches."""

    def __init__(self, settled: Settled, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._images = sum(map(len, settled.sequences.values()))
        self._bytes = sum(image.size_bytes for image in settled.images())
        self._at: dict[str, int] = {}  # session -> bytes of images that are being sent
        self._through = 0
        self._through_bytes = 0

    def moved(self, image: Ready, offset: int) -> None:
        """Bytes of an image left this machine."""
        with self._lock:
            self._at[image.session] = offset
            self._tell()

    def passed(self, image: Ready) -> None:
        """An image is through, or given up."""
        with self._lock:
            self._at.pop(image.session, None)
            self._through += 1
            self._through_bytes += image.size_bytes
            self._tell()

    def _tell(self) -> None:
        moved = self._through_bytes + sum(self._at.values())
        self._context.transferred(Transfer("upload", self._through, self._images, moved, self._bytes))
