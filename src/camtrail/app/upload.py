"""Photos to Mapillary: each by itself, then the list of a sequence, then its publication, which happens once."""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from camtrail.app.context import Context, Transfer
from camtrail.app.mapillary_options import UploadOptions
from camtrail.app.process import Result
from camtrail.app.settle import Ready, Settled, session_of
from camtrail.app.state import absolute, owned
from camtrail.catalog.ledger import Call, Ledger, Stored
from camtrail.core.bytes import ByteSource, MemoryBytes, SplicedBytes, unreadable
from camtrail.core.errors import (
    AuthError,
    CamtrailError,
    Failure,
    FolderBusy,
    QuotaExceeded,
    SafetyRefusal,
    ServiceError,
    StorageError,
    Unreachable,
    UnreadableFile,
    failure_of,
)
from camtrail.core.fs import Status
from camtrail.core.names import plain, shown
from camtrail.services.mapillary import wire
from camtrail.services.mapillary.client import Client
from camtrail.transfer.http import Body
from camtrail.transfer.pace import Pace
from camtrail.transfer.queue import Again, Queue
from camtrail.transfer.resume import Resumable, RetryPolicy
from camtrail.transfer.retry import SHORTEST_QUOTA_S, Backoff

__all__ = ["NEW_TOKEN", "SequenceSent", "Uploaded", "ledger_of", "ledger_path", "send", "uncertain_calls"]

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_GROUP = 64  # handles that are written down together, or more:
_GROUP_S = 0.2  # not sooner than that after the last ones, so that a quick line never waits for the disk
# Most of what fails succeeds at once when it is sent again; ten attempts still take as long as by twos from 0.2 s.
_BACKOFF = Backoff(first_s=0.005, factor=4.0)
_NAMES = uuid.uuid5(uuid.NAMESPACE_OID, "camtrail upload")
_MOST_UNCERTAIN = 3  # publications in a row whose outcome nobody knows: no further one is made
_LAST_WORDS_S = 2.0  # that publications under way get when the run is ended
_LONG_S = 5.0  # a pause that people are told of
_FAILURES = 12  # in a row, whichever image they meet: the service is taken for gone

NEW_TOKEN = "run camtrail mapillary authenticate for a new token, or set MAPILLARY_TOKEN"  # noqa: S105 - a hint
"""What to do where the service does not take a token."""


@dataclass(frozen=True, slots=True)
class SequenceSent:
    """What became of one sequence."""

    sequence: str
    images: int
    state: str  # published, held, uncertain
    answer: str = ""  # the service's number of it
    photos: tuple[str, ...] = ()  # as typed, of one that is not published


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
    StorageError, CatalogError
        The ledger cannot be made, read or written.
    """
    path = ledger_path(options)
    folder = path.rpartition("/")[0]
    try:
        context.fs.make_folder(folder)
    except OSError as e:
        raise StorageError(f"{shown(folder)}: cannot be made ({e.strerror})", "give --ledger FILE") from e
    name = sha256(f"{origin}\n{account}".encode()).hexdigest()[:16]
    with ExitStack() as stack:
        try:
            busy = "another run uploads to this account"
            stack.enter_context(owned(f"{path}-{name}.lock", wait, busy, context.fs))
        except FolderBusy:
            raise
        except StorageError as e:
            raise StorageError(e.message, "give --ledger FILE, on a disk that takes it") from e
        yield stack.enter_context(Ledger(path))


def send(
    result: Result,
    settled: Settled,
    ledger: Ledger,
    client: Client,
    origin: str,
    account: str,
    organization_id: str | None,
    options: UploadOptions,
    context: Context,
) -> Uploaded:
    """Sends what was settled; the caller owns the folders and the account's part of the ledger.

    One image that is rejected holds its own sequence only. A sequence is published by one call, which is written
    down before it is made; where nobody knows what became of it, it is not made again by itself. Where the ledger
    cannot be written the run ends: nothing is published that is not written down.
    """
    return _Sending(result, settled, ledger, client, origin, account, organization_id, options, context).run()


@dataclass(slots=True)
class _Sequence:
    """One sequence on its way."""

    name: str
    images: list[Ready]
    handles: dict[str, str] = field(default_factory=dict)  # session -> handle
    failed: set[str] = field(default_factory=set)  # sessions
    waiting: int = 0  # images that are not through yet
    publication: _Publication | None = None
    has_ended: bool = False

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


class _Uncertain(ServiceError):
    """Nobody knows what became of a publication."""

    code = "uncertain"


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
        options: UploadOptions,
        context: Context,
    ) -> None:
        self.result, self.settled, self.ledger, self.client = result, settled, ledger, client
        self.origin, self.account, self.organization_id = origin, account, organization_id
        self.options, self.context = options, context
        self.random = random.Random()  # noqa: S311 - spreads waiting, keeps no secret
        # Who asks for more attempts than usual knows that the service or the line goes away for longer.
        patience = max(_FAILURES, options.max_attempts)
        self.pace = Pace(context.clock, longest_s=options.max_wait_s, limit=patience)
        self.sequences = [_Sequence(name, images) for name, images in settled.sequences.items()]
        self.queue: Queue[_Task, object] = Queue(
            self._step,
            workers=options.number_threads,
            clock=context.clock,
            pace=self.pace,
            tasks=self._images(),  # lists and publications come before further ones
            on_stop=self._cut,
        )
        self.publishing = 0  # calls under way
        self.published = threading.Condition()
        self.unanswered = 0  # publications in a row whose outcome nobody knows
        self._paused_until_s = 0.0
        self.done = Uploaded(
            settled.left.copy(), settled.not_ready, [], list(settled.failures), list(settled.notes)
        )
        self.rows: list[tuple[bytes, Stored]] = []
        self.kept_s = context.clock.monotonic_s()
        self.folders: dict[str, str] = {}  # as they are called -> where they are
        self.progress = _Progress(settled, context)

    def run(self) -> Uploaded:
        """Everything, until nothing is left to do."""
        started = self.context.clock.monotonic_s()
        try:
            self._run()
        except StorageError as e:
            self._left(e)
        self.done.elapsed_s = self.context.clock.monotonic_s() - started
        return self.done

    def _run(self) -> None:
        try:
            for sequence in self.sequences:
                self._begin(sequence)
            for task, answer in self.queue:
                self._end(task, answer)
                if len(self.rows) >= _GROUP and self.context.clock.monotonic_s() >= self.kept_s + _GROUP_S:
                    self._keep()
        finally:
            self.queue.stop()
            self._keep()

    def _step(self, task: _Task) -> object:
        """One attempt at a task, in one of the threads."""
        answer = task.step()
        if isinstance(answer, Again) and answer.pause_s >= _LONG_S:
            with self.published:
                now_s = self.context.clock.monotonic_s()
                is_news, self._paused_until_s = now_s >= self._paused_until_s, now_s + answer.pause_s
            if is_news:
                log.warning("the service asks for a pause of %.0f s", answer.pause_s)
        return answer

    def _cut(self) -> None:
        """Ends what is under way; calls that publish are heard out for a moment."""
        with self.published:
            self.published.wait_for(lambda: not self.publishing, _LAST_WORDS_S)
        self.client.close()

    def _left(self, error: StorageError) -> None:
        """What had not ended when the ledger could no longer be written."""
        failure = failure_of("", error)
        self.done.failures.append(failure.at(ledger_path(self.options)))
        later = replace(failure, message=f"left for the next run: {error.message}", retryable=True)
        for sequence in self.sequences:
            if sequence.has_ended:
                continue
            publication = sequence.publication
            if publication is not None and (publication.outcome is not None or publication.is_uncertain):
                self._published(sequence, publication.outcome or later)
                continue
            for image in sequence.images:
                if image.session not in sequence.handles and image.session not in sequence.failed:
                    self._failed(sequence, image, later)
            self._held(sequence)

    def found(self, file: str) -> tuple[str, Status]:
        """Where a photo is, with all links resolved, and what it is there; a folder is looked up once. Raises OSError."""
        fs = self.context.fs
        folder, _, name = file.rpartition("/")
        if folder not in self.folders:
            self.folders[folder] = fs.real(folder or "/").rstrip("/")
        path = f"{self.folders[folder]}/{name}"
        status = fs.status(path)
        if status.kind == "link":
            path = fs.real(path)
            status = fs.status(path)
        return path, status

    def _keep(self) -> None:
        rows, self.rows = self.rows, []
        if rows:
            self.ledger.put_stored(self.origin, self.account, rows)
            self.kept_s = self.context.clock.monotonic_s()

    def _begin(self, sequence: _Sequence) -> None:
        for image in sequence.images:
            if image.stored is not None:
                sequence.handles[image.session] = image.stored.handle
                self.progress.passed(image)
        sequence.waiting = len(sequence.images) - len(sequence.handles)
        if sequence.is_whole:
            self._list(sequence)

    def _images(self) -> Iterator[_Task]:
        """What is to be sent, in order."""
        for sequence in self.sequences:
            for image in sequence.images:
                if image.stored is None:
                    yield _Task(sequence, _Photo(image, self).step, image)

    def _end(self, task: _Task, answer: object) -> None:
        """What follows from the end of one task."""
        if task.kind == "image":
            self._image_ended(task, answer)
        elif task.kind == "manifest":
            if isinstance(answer, Failure):
                self._refused(task.sequence, answer)
            else:
                self._publish(task.sequence, str(answer))
        else:
            self._published(task.sequence, answer)

    def _image_ended(self, task: _Task, answer: object) -> None:
        sequence, image = task.sequence, task.image
        assert image is not None
        sequence.waiting -= 1
        if isinstance(answer, Failure):
            self._failed(sequence, image, answer)
        else:
            sequence.handles[image.session] = str(answer)
            self.rows.append((image.picture, Stored(image.session, str(answer), self.context.clock.now_s())))
            self.done.size_bytes += image.size_bytes
        self.progress.passed(image)
        if sequence.is_whole:
            self._list(sequence)
        elif not sequence.waiting:
            self._held(sequence)

    def _failed(self, sequence: _Sequence, image: Ready, failure: Failure[Any]) -> None:
        if failure.code in ("rejected", "gone") and not failure.hint:
            hint = "run again; where that does not help, move it away, so that its sequence can be published"
            failure = replace(failure, hint=hint)
        sequence.failed.add(image.session)
        self.done.counts["failed"] += 1
        self.done.failures.append(_hinted(failure).at(image.typed))

    def _held(self, sequence: _Sequence, failure: Failure[Any] | None = None) -> None:
        """A sequence that is not published in this run; what was sent of it is kept."""
        if failure is not None:
            self.done.failures.append(_hinted(failure).at(f"sequence {_name(sequence)}"))
        self.done.counts["held"] += len(sequence.handles)
        self._ended(sequence, "held")

    def _ended(self, sequence: _Sequence, state: str, answer: str = "") -> None:
        sequence.has_ended = True
        photos = () if state == "published" else tuple(plain(image.typed) for image in sequence.images)
        self.done.sequences.append(SequenceSent(_name(sequence), len(sequence.images), state, answer, photos))

    def _refused(self, sequence: _Sequence, failure: Failure[Any]) -> None:
        """A sequence whose list, or publication, the service does not take."""
        if failure.code in ("rejected", "gone"):
            # It may have forgotten the images: from so long ago, the next run asks it for each.
            self.rows += [
                (i.picture, Stored(i.session, sequence.handles[i.session], 0.0)) for i in sequence.images
            ]
            failure = replace(failure, hint=failure.hint or "run again")
        self._held(sequence, failure)

    def _list(self, sequence: _Sequence) -> None:
        """Sends the list of a sequence's images."""
        self._keep()
        data = wire.manifest([sequence.handles[image.session] for image in sequence.images])
        again = self.context.clock.now_s() if self.options.reupload else 0.0
        # By what stands in it: the service may give other handles for the same images later.
        key = f"uuid_{uuid.uuid5(_NAMES, f'{self.account} {again:.3f} {sha256(data).hexdigest()}').hex}.json"
        machine = _resumable(
            self, key, len(data), lambda offset: Body(len(data) - offset, lambda: iter([data[offset:]]))
        )
        self.queue.add(_Task(sequence, machine.step, kind="manifest"))

    def _publish(self, sequence: _Sequence, handle: str) -> None:
        sequence.publication = _Publication(handle, sequence, self)
        self.queue.add(_Task(sequence, sequence.publication.step, kind="publish"))

    def _published(self, sequence: _Sequence, answer: object) -> None:
        """A sequence that is published, or not, or perhaps."""
        if not isinstance(answer, Failure):
            self.done.counts["uploaded"] += len(sequence.images)
            self._ended(sequence, "published", str(answer))
        elif sequence.publication is not None and sequence.publication.is_uncertain:
            self.done.counts["uncertain"] += len(sequence.images)
            names = [image.typed for image in sequence.images]
            self.done.failures.append(_uncertain(f"sequence {_name(sequence)}", names, answer.message))
            if answer.code != _Uncertain.code:  # it was made, and then something else went wrong
                self.done.failures.append(answer.at(ledger_path(self.options)))
            self._ended(sequence, "uncertain")
        else:
            self._refused(sequence, answer)


def _uncertain(what: str, names: Sequence[str], said: str) -> Failure[str]:
    """What to do about photos of which nobody knows whether they were published."""
    which = ""
    if names:
        last = f" to {shown(names[-1].rpartition('/')[2])}" if len(names) > 1 else ""
        which = f" ({shown(names[0])}{last})"
    return Failure(
        what,
        _Uncertain.code,
        f"nobody knows whether its {len(names)} images{which} were published: {said}",
        "look at your uploads on the service's site; run again with --retry-uncertain where they are missing, with "
        "--accept-uncertain where they are there",
        exit_code=_Uncertain.exit_code,
    )


def uncertain_calls(calls: Iterable[tuple[Call, Sequence[str]]]) -> list[Failure[str]]:
    """The failures of calls of earlier runs whose outcome nobody knows; each with its photos, as typed."""
    found = []
    for call, names in calls:
        when = datetime.fromtimestamp(call.at_s, UTC)
        said = call.answer or "the run ended in the middle of it"
        found.append(_uncertain(f"upload of {when:%Y-%m-%d %H:%M} UTC", names, said))
    return found


def _hinted(failure: Failure[Any]) -> Failure[Any]:
    return replace(failure, hint=NEW_TOKEN) if failure.code == AuthError.code else failure


def _name(sequence: _Sequence) -> str:
    return sequence.name.split(" ", 1)[1]


def _resumable(sending: _Sending, key: str, size: int, body_from: Callable[[int], Body]) -> Resumable:
    stem, _, suffix = key.rpartition(".")
    return Resumable(
        key,
        size,
        body_from,
        sending.client,
        RetryPolicy(attempts=sending.options.max_attempts, backoff=_BACKOFF),
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
        photos, row = sending.result.collections[image.collection].photos, image.row
        try:
            self._file, seen = sending.found(image.item.file)
            self._seen = seen
            if (seen.size_bytes, seen.mtime_ns) != (photos.size_bytes[row], photos.mtime_ns[row]):
                raise _changed(image)  # its picture, which is not read again, may be another one
            if not image.is_as_it_is:
                assert sending.settled.forms is not None
                self._head, self._tail_at = sending.settled.forms.of(image.collection, image.row, image.item)
        except OSError as e:
            raise unreadable(image.typed, e) from e
        except SafetyRefusal as e:  # it could be described when it was settled
            raise _changed(image) from e
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
            while offset < self.image.size_bytes:
                data = whole.read_at(offset, min(_CHUNK_BYTES, self.image.size_bytes - offset))
                if not data:
                    raise _changed(self.image)
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
    return UnreadableFile(image.typed, "was changed in the middle of the upload", "run again", retryable=True)


class _Publication:
    """The call that publishes a sequence, written down before and after. Made again only where the service surely
    did nothing.
    """

    def __init__(self, handle: str, sequence: _Sequence, sending: _Sending) -> None:
        self.is_uncertain = False  # nobody knows what became of it
        self.outcome: object = None  # as the queue has it; None where there is none yet
        self._handle = handle
        self._sequence = sequence
        self._sending = sending
        self._attempt = 0
        self._backoff = Backoff()

    def step(self) -> str | Again:
        """The service's number of what was published, after one attempt.

        Raises
        ------
        ServiceError
            The service refused it, or nobody knows what became of it.
        StorageError
            It cannot be written down; where it was made, nobody will know what became of it.
        """
        sending = self._sending
        with sending.published:
            sending.publishing += 1
        try:
            made = self._made()
        except Exception as e:
            self.outcome = failure_of(None, e)
            raise
        else:
            self.outcome = None if isinstance(made, Again) else made
            return made
        finally:
            with sending.published:
                sending.publishing -= 1
                sending.published.notify_all()

    def _made(self) -> str | Again:
        sending = self._sending
        if sending.unanswered >= _MOST_UNCERTAIN:
            said = f"not published in this run: nobody knows what became of the last {sending.unanswered}"
            raise Unreachable(said, "run again later")
        options, now_s = sending.options, sending.context.clock.now_s()
        pictures = [image.picture for image in self._sequence.images]
        call = sending.ledger.begin(
            sending.origin, sending.account, "publish", self._handle, pictures, now_s,
            again=options.reupload or options.retry_uncertain,
        )  # fmt: skip
        self.is_uncertain = True
        try:
            answer = sending.client.finish(self._handle, sending.organization_id)
        except CamtrailError as e:
            if e.retryable and not getattr(e, "is_unheard", False):
                sending.unanswered += 1
                sending.ledger.end(call, "uncertain", e.message)
                raise _Uncertain(e.message) from e
            sending.ledger.end(call, "dropped")
            self.is_uncertain = False
            self._attempt += 1
            if not e.retryable or self._attempt >= options.max_attempts:
                raise
            return Again(self._backoff.delay_s(self._attempt, sending.random), _asked_s(e), e)
        except Exception:
            sending.ledger.end(call, "uncertain")
            raise
        sending.unanswered = 0
        sending.ledger.end(call, "done", answer)
        self.is_uncertain = False
        return answer


def _asked_s(error: CamtrailError) -> float:
    """How long the service asks everybody to wait."""
    if not isinstance(error, QuotaExceeded):
        return 0.0
    return SHORTEST_QUOTA_S if error.retry_after_s is None else error.retry_after_s


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
