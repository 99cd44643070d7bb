"""The only code that opens a file for writing in a folder of the user.

A photo is replaced in this order: its new self is written beside it, made durable, read back and compared; the
journal has what brings the old bytes back, durably; then the name moves over, at once; then the folder is made
durable. Whatever stops the program, at each instant the name holds the whole old or the whole new file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from camtrail.core.errors import (
    CamtrailError,
    Failure,
    SafetyRefusal,
    StorageError,
    UnreadableFile,
    failure_of,
)
from camtrail.core.fs import FileSystem, NewFile, Status
from camtrail.core.journal import Change, Journal, Undo, back, undo_of
from camtrail.core.names import shown

__all__ = [
    "Part",
    "Splice",
    "is_partial",
    "left_by_put",
    "make_private",
    "now",
    "put",
    "remove",
    "replace",
    "restore",
    "settle",
    "sha256",
]

_CHUNK_BYTES = 1 << 20
_BEFORE, _BEHIND = ".camtrail-", ".new"
_PUT = re.compile(r"\.camtrail-[0-9]+-(.+)\.partial", re.ASCII).fullmatch
_GROUP = 32  # files that share a commit of the journal, and are made durable side by side
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Splice:
    """A new file: `head`, then another file from `tail_at` on.

    `path` is replaced where it is the `source` itself; else it must not be there yet.
    """

    path: str  # absolute, links resolved
    head: bytes
    tail_at: int
    source: str  # the file whose tail it takes; "" for none
    tags: str = ""
    seen: Status | None = (
        None  # of the source before `head` was made of it: refused where it is another one now
    )
    mtime_ns: int | None = None  # of a new file; None: as its source


@dataclass(slots=True)
class _Staged:
    """A file that is written beside its place."""

    splice: Splice
    partial: str
    old: Status | None  # None: there is no file yet
    source: Status | None
    change: Change | None = None


def replace(
    fs: FileSystem,
    journal: Journal,
    splices: Sequence[Splice],
    *,
    keep_mtime: bool = True,
    break_links: bool = False,
    durable: bool = True,
    done: Callable[[int], None] = lambda n: None,
) -> list[Change | Failure[str]]:
    """Replaces or makes files; one answer for each, in their order.

    Parameters
    ----------
    keep_mtime : whether a replaced file keeps its time
    break_links : whether a file of several names may be replaced under this one
    durable : False leaves out waiting for the disk: after a power cut a file may be damaged
    done : told how many are finished, after each group

    Raises
    ------
    StorageError
        The disk is full or the journal cannot be written; the files of earlier groups have changed, of this
        one none.
    """
    once = list({s.path: s for s in reversed(splices)}.values())[::-1]  # the first of each path
    groups = [
        _Group(fs, journal, once[start : start + _GROUP], keep_mtime, break_links, durable)
        for start in range(0, len(once), _GROUP)
    ]
    answers: dict[str, Change | Failure[str]] = {}
    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            # While one group gets its names, the next one is copied and compared.
            for group, following in zip(groups, [*groups[1:], None]):
                group.start(threads)
                group.wait()
                if following is not None:
                    following.start(threads)
                answers |= group.finish()
                done(len(answers))
    finally:
        for group in groups:
            group.discard()
    first = {s.path: s for s in once}
    return [answers[s.path] if s == first[s.path] else _twice(s.path) for s in splices]


def _twice(path: str) -> Failure[str]:
    error = SafetyRefusal(
        f"{shown(path)}: two names lead to this file, and each wants something else of it",
        "name only one of them, or run again",
    )
    return failure_of(path, error)


class _Group:
    """Files that are written side by side, share a commit of the journal, and get their names one after the other."""

    def __init__(
        self,
        fs: FileSystem,
        journal: Journal,
        splices: Sequence[Splice],
        keep_mtime: bool,
        break_links: bool,
        durable: bool,
    ) -> None:
        self._fs = fs
        self._journal = journal
        self._splices = splices
        self._keep_mtime = keep_mtime
        self._break_links = break_links
        self._durable = durable
        self._staged: dict[str, _Staged] = {}
        self._answers: dict[str, Change | Failure[str]] = {}
        self._running: list[Future[None]] = []

    def start(self, threads: ThreadPoolExecutor) -> None:
        """Begins to write the files beside their places; once is enough."""
        if not self._running:
            self._running = [threads.submit(self._prepare, splice) for splice in self._splices]

    def _prepare(self, splice: Splice) -> None:
        with _item(splice.path, self._answers):
            made = _begin(self._fs, splice, self._keep_mtime, self._break_links)
            self._staged[splice.path] = made
            if self._durable:
                self._fs.sync_file(made.partial)
            made.change = _compared(self._fs, made)

    def wait(self) -> None:
        """Returns when all are written and compared; the first trouble that ends a run is raised."""
        for future in self._running:
            if future.exception() is not None:
                for other in self._running:
                    other.cancel()
            future.result()

    def finish(self) -> dict[str, Change | Failure[str]]:
        """Writes the journal and gives the files their names."""
        fs, journal, answers = self._fs, self._journal, self._answers
        staged = [
            self._staged[s.path] for s in self._splices if s.path in self._staged and s.path not in answers
        ]
        ready = [s for s in staged if s.change is not None]
        ids = journal.begin([s.change for s in ready if s.change is not None])
        renamed: list[int] = []
        for s, number in zip(ready, ids):
            with _item(s.splice.path, answers):
                # Others of the group were written since it was compared: one more look.
                if s.source is not None and fs.status(s.splice.source) != s.source:
                    raise _changed(s.splice.source)
                fs.rename(s.partial, s.splice.path)
                assert s.change is not None
                answers[s.splice.path] = s.change
                renamed.append(number)
        if self._durable:
            _sync_folders(fs, [s.splice.path for s in ready])
        journal.end(renamed, "done")
        touched = [i for i, s in zip(ids, ready) if _is_refused(answers.get(s.splice.path))]
        journal.end(touched, "dropped")
        # A rename that failed may have happened all the same, as on a network drive whose answer was lost.
        known = {*renamed, *touched}
        left = [(i, s.change) for i, s in zip(ids, ready) if s.change is not None and i not in known]
        settle(fs, journal, left)
        return answers

    def discard(self) -> None:
        """Takes away what was written beside its place and did not get its name."""
        for path, s in self._staged.items():
            if not isinstance(self._answers.get(path), Change):
                _discard(self._fs, s.partial)


def _is_refused(answer: Change | Failure[str] | None) -> bool:
    return isinstance(answer, Failure) and answer.code == SafetyRefusal.code


class _item:
    """The boundary of one file: its trouble becomes its answer; a full disk ends the run."""

    def __init__(self, path: str, answers: dict[str, Change | Failure[str]]) -> None:
        self._path = path
        self._answers = answers

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: object) -> bool:
        if isinstance(e, OSError):
            if e.errno in _FULL:
                raise _storage_error(self._path, e) from e
            e = _storage_error(self._path, e)
            self._answers[self._path] = Failure(self._path, "unwritable", e.message, e.hint, retryable=True)
            return True
        if isinstance(e, CamtrailError):
            self._answers[self._path] = failure_of(self._path, e)
            return True
        return False


_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


def _begin(fs: FileSystem, splice: Splice, keep_mtime: bool, break_links: bool) -> _Staged:
    """Writes the new file beside its place."""
    in_place = splice.source == splice.path
    source = fs.status(splice.source) if splice.source else None
    if splice.seen is not None and splice.seen != source:
        raise _changed(splice.source)
    if in_place:
        assert source is not None
        _may_be_replaced(splice.path, source, break_links)
    elif _is_there(fs, splice.path):
        raise SafetyRefusal(f"{shown(splice.path)}: is there already", "move it away or name another folder")
    partial = _beside(splice.path)
    fs.remove(partial)  # of a run that was killed; the lock says that it is none of another one
    staged = _Staged(splice, partial, source if in_place else None, source)
    out = fs.create(partial)
    try:
        try:
            tail_bytes = source.size_bytes - splice.tail_at if source is not None else 0
            out.reserve(len(splice.head) + tail_bytes)
            out.write(splice.head)
            if tail_bytes:
                out.copy_from(splice.source, splice.tail_at, tail_bytes)
        finally:
            out.close()
        if splice.source:
            fs.keep_attributes(splice.source, partial, mtime=keep_mtime or not in_place)
        if splice.mtime_ns is not None:
            fs.set_mtime(partial, splice.mtime_ns)
    except BaseException:
        _discard(fs, partial)
        raise
    return staged


def _beside(path: str) -> str:
    """Where the new self of a file is written: the same name each time, so that a killed run's is found."""
    folder, name = os.path.split(path)
    # A name of 255 bytes has no room for more; 40 characters are 160 bytes at most.
    return os.path.join(folder, f"{_BEFORE}{name[-40:]}-{zlib.crc32(os.fsencode(name)):08x}{_BEHIND}")


def is_partial(name: str) -> bool:
    """Whether a file was left behind by a run that was killed while it replaced another one."""
    return name.startswith(_BEFORE) and name.endswith(_BEHIND)


def left_by_put(name: str) -> str | None:
    """The name, or its last 40 characters, of the file that a run was `put`ting when it was killed; else None."""
    found = _PUT(name)
    return found[1] if found else None


def _may_be_replaced(path: str, status: Status, break_links: bool) -> None:
    if status.kind != "file":
        raise SafetyRefusal(f"{shown(path)}: is no ordinary file", "name the file itself")
    if status.is_read_only:
        raise SafetyRefusal(
            f"{shown(path)}: is read-only", "allow writing to it, or use --write sidecar or copy"
        )
    if status.links > 1 and not break_links:
        raise SafetyRefusal(
            f"{shown(path)}: has {status.links} names (hard links), of which only one would change",
            "use --write sidecar or copy, or --break-hardlinks",
        )


def _is_there(fs: FileSystem, path: str) -> bool:
    try:
        fs.status(path)
    except FileNotFoundError:
        return False
    return True


def _compared(fs: FileSystem, s: _Staged) -> Change:
    """Reads the new file back and compares it with what it is made of; what undo needs of the old one."""
    splice = s.splice
    old_hash, old_head = hashlib.sha256(), b""
    with fs.source(s.partial) as new:
        if new.read_at(0, len(splice.head)) != splice.head:
            raise StorageError(
                f"{shown(splice.path)}: was read back otherwise than written", "check the disk"
            )
        new_at = len(splice.head)
        if s.source is not None:
            size = s.source.size_bytes
            with fs.source(splice.source, size) as old:
                old_head = old.read_at(0, splice.tail_at)
                old_hash.update(old_head)
                at = splice.tail_at
                while at < size:
                    data = old.read_at(at, _CHUNK_BYTES)
                    if not data or new.read_at(new_at, len(data)) != data:
                        raise _changed(splice.source)
                    old_hash.update(data)
                    at, new_at = at + len(data), new_at + len(data)
        if new.read_at(new_at, 1):
            raise StorageError(
                f"{shown(splice.path)}: was read back otherwise than written", "check the disk"
            )
    if s.source is not None and fs.status(splice.source) != s.source:
        raise _changed(splice.source)
    if s.old is None:
        whole = _sha256(fs, s.partial) if s.source is not None else sha256(splice.head)
        return Change(splice.path, "new", Undo((), 0, b""), 0, b"", new_at, new_at, whole, 0, splice.tags)
    return Change(
        splice.path,
        "patch",
        undo_of(old_head, splice.head),
        s.old.size_bytes,
        old_hash.digest(),
        new_at,
        len(splice.head),
        sha256(splice.head),
        s.old.mtime_ns,
        splice.tags,
    )


def _changed(path: str) -> SafetyRefusal:
    return SafetyRefusal(
        f"{shown(path)}: changed while it was worked on", "run again when nobody else writes it"
    )


def sha256(data: bytes) -> bytes:
    """The digest that the journal has of a head."""
    return hashlib.sha256(data).digest()


def _sha256(fs: FileSystem, path: str, most: int | None = None) -> bytes:
    digest = hashlib.sha256()
    for data in _pieces(fs, path, most):
        digest.update(data)
    return digest.digest()


def _pieces(fs: FileSystem, path: str, most: int | None) -> Iterator[bytes]:
    with fs.source(path) as source:
        at, end = 0, source.size if most is None else most
        while at < end and (data := source.read_at(at, min(_CHUNK_BYTES, end - at))):
            yield data
            at += len(data)


def now(fs: FileSystem, change: Change) -> str:
    """Which bytes the file of a change holds: "new", "old", "gone", or "other" where somebody changed it since.

    "new" is judged by size and head, "old" by all bytes.
    """
    try:
        size = fs.status(change.path).size_bytes
    except (FileNotFoundError, NotADirectoryError):
        return "old" if change.kind == "new" else "gone"
    most = None if change.kind == "new" else change.head_bytes
    if size == change.new_size and _sha256(fs, change.path, most) == change.new_sha256:
        return "new"
    if change.kind == "patch" and size == change.old_size and _sha256(fs, change.path) == change.old_sha256:
        return "old"
    return "other"


def settle(fs: FileSystem, journal: Journal, begun: Sequence[tuple[int, Change]]) -> None:
    """Finds out what became of files that a run which was stopped had begun to replace.

    What undo needs is dropped only where the old bytes are there; a file that cannot be read now is asked again
    the next time.
    """
    for number, change in begun:
        try:
            state = now(fs, change)
        except (OSError, UnreadableFile):
            continue
        journal.end([number], "dropped" if state == "old" else "done")
        _discard(fs, _beside(change.path))


def restore(
    fs: FileSystem, journal: Journal, changes: Sequence[tuple[int, Change]], *, force: bool = False
) -> list[Failure[str] | None]:
    """Takes changes back, byte for byte; None for each that is back, in their order.

    A file that was changed since is left alone and is a Failure, unless `force`: then our part of it is
    taken back where that can be told apart. The time of a file comes back, too.

    Raises
    ------
    StorageError
        The disk is full or the journal cannot be written.
    """
    answers: list[Failure[str] | None] = []
    for number, change in changes:
        found: dict[str, Change | Failure[str]] = {}
        with _item(change.path, found):
            _take_back(fs, change, force)
        failure = found.get(change.path)
        if isinstance(failure, Failure):
            answers.append(failure)
        else:
            journal.end([number], "undone")
            answers.append(None)
    return answers


def _take_back(fs: FileSystem, change: Change, force: bool) -> None:
    state = now(fs, change)
    if state == "old":
        return
    if state == "gone":
        raise SafetyRefusal(f"{shown(change.path)}: is not there any more", "bring it back and undo again")
    if change.kind == "new":
        if state != "new" and not force:
            raise _touched(change.path)
        fs.remove(change.path)
        fs.sync_folder(os.path.dirname(change.path))
        return
    status = fs.status(change.path)
    with fs.source(change.path, status.size_bytes) as source:
        head = source.read_at(0, change.head_bytes)
    if sha256(head) != change.new_sha256:
        raise _touched(change.path)
    splice = Splice(change.path, back(head, change.undo), change.head_bytes, change.path)
    staged = _begin(fs, splice, True, True)
    try:
        fs.set_mtime(staged.partial, change.old_mtime_ns)
        fs.sync_file(staged.partial)
        _compared(fs, staged)
        if _sha256(fs, staged.partial) != change.old_sha256 and not force:
            raise _touched(change.path)
        fs.rename(staged.partial, change.path)
    except BaseException:
        _discard(fs, staged.partial)
        raise
    fs.sync_folder(os.path.dirname(change.path))


def _touched(path: str) -> SafetyRefusal:
    return SafetyRefusal(
        f"{shown(path)}: was changed since, so it was left alone",
        "keep it, or give --force to take our part back",
    )


def remove(fs: FileSystem, path: str) -> None:
    """Takes a file of ours away. Raises StorageError."""
    try:
        fs.remove(path)
    except OSError as e:
        raise _storage_error(path, e) from e


def _discard(fs: FileSystem, partial: str) -> None:
    with contextlib.suppress(OSError):  # else the next run removes it
        fs.remove(partial)


def _sync_folders(fs: FileSystem, paths: Iterable[str]) -> None:
    for folder in sorted({os.path.dirname(p) for p in paths}):
        try:
            fs.sync_folder(folder)
        except OSError as e:
            raise StorageError(
                f"{shown(folder)}: files in it are replaced, but the disk did not confirm it "
                f"({e.strerror or type(e).__name__})",
                "check the disk, run again",
            ) from e


def make_private(fs: FileSystem, path: str) -> None:
    """Takes the rights of everybody but its owner to a file or folder away. Raises StorageError."""
    try:
        fs.make_private(path)
    except OSError as e:
        raise _storage_error(path, e) from e


def put(fs: FileSystem, path: str, chunks: Iterable[bytes], *, private: bool = False) -> None:
    """Writes a whole file: the new bytes are complete and durable at `path`, or what was there stays.

    Where `path` is a link, what it points to is replaced and the link stays. A pipe or a device is written into.
    A `private` file may be read by its owner only, whatever the one before it allowed.

    Raises
    ------
    StorageError
        The disk is full, the folder is missing or may not be written.
    """
    try:
        whole = fs.real(path)
        if _is_device(fs, whole):
            _write(fs.open_device(whole), chunks, sync=False)
            return
        folder, name = os.path.split(whole)
        # A name of 255 bytes has no room for more; 40 characters are 160 bytes at most.
        partial = os.path.join(folder, f".camtrail-{os.getpid()}-{name[-40:]}.partial")
        fs.remove(partial)  # of a run that was killed and had our process number
        try:
            _write(fs.create(partial, private), chunks, sync=True)
            fs.rename(partial, whole)
        except BaseException:
            fs.remove(partial)
            raise
    except OSError as e:
        raise _storage_error(path, e) from e
    try:
        fs.sync_folder(folder)
    except OSError as e:
        reason = e.strerror or type(e).__name__
        raise StorageError(
            f"{shown(path)}: is written, but the disk did not confirm its name ({reason})",
            "check the disk, run again",
        ) from e


class Part:
    """A file of ours that comes piece by piece, over several runs where one is stopped.

    What was written stays when the program is killed; nothing of it is durable before whoever gives the file its
    last name makes it so. All methods raise StorageError.

    Attributes
    ----------
    size : bytes that it has
    """

    __slots__ = ("_fs", "_out", "path", "size")

    def __init__(self, fs: FileSystem, path: str) -> None:
        self.path = path
        self.size = 0
        self._fs = fs
        self._out: NewFile | None = None

    def begin(self) -> None:
        """Puts an empty file in place of what was there."""
        self.close()
        try:
            self._fs.remove(self.path)
            self._out = self._fs.create(self.path)
        except OSError as e:
            raise _storage_error(self.path, e) from e
        self.size = 0

    def resume(self) -> None:
        """What is written from now on stands behind what is there."""
        try:
            self._out = self._fs.open_end(self.path)
            self.size = self._fs.status(self.path).size_bytes
        except OSError as e:
            raise _storage_error(self.path, e) from e

    def write(self, data: bytes) -> None:
        """More bytes, after `begin` or `resume`."""
        assert self._out is not None
        try:
            self._out.write(data)
        except OSError as e:
            raise _storage_error(self.path, e) from e
        self.size += len(data)

    def close(self) -> None:
        """Gives the file back; it stays."""
        out, self._out = self._out, None
        try:
            if out is not None:
                out.close()
        except OSError as e:  # some file systems tell here that they are full
            raise _storage_error(self.path, e) from e

    def place(self, path: str) -> None:
        """Gives it its last name, in place of what was there, all at once; after a power cut it may be neither."""
        self.close()
        try:
            self._fs.rename(self.path, path)
        except OSError as e:
            raise _storage_error(path, e) from e

    def remove(self) -> None:
        """Takes the file away; one that is not there is fine."""
        self.close()
        remove(self._fs, self.path)


def _is_device(fs: FileSystem, path: str) -> bool:
    try:
        return fs.entry(path).kind == "other"
    except UnreadableFile:
        return False


def _write(out: NewFile, chunks: Iterable[bytes], *, sync: bool) -> None:
    try:
        for chunk in chunks:
            out.write(chunk)
        if sync:
            out.sync()
    finally:
        out.close()


def _storage_error(path: str, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return StorageError(
            f"{shown(path)}: the disk is full", "make room and run again; nothing was replaced"
        )
    if isinstance(error, FileNotFoundError):
        return StorageError(f"{shown(path)}: its folder is not there", "make the folder or name another one")
    if isinstance(error, IsADirectoryError):
        return StorageError(f"{shown(path)}: is a folder", "name a file in it")
    reason = error.strerror or type(error).__name__
    return StorageError(f"{shown(path)}: cannot be written ({reason})", "name a place that you may write to")
