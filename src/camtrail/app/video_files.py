"""The videos of a folder: found in order, named, hashed and looked into, several at once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from camtrail.app.context import Context
from camtrail.app.state import Workspace
from camtrail.catalog.imports import HashedFile, Imports
from camtrail.core.bytes import ByteSource
from camtrail.core.errors import Failure, InputError, MissingDependency, UnreadableFile, failure_of
from camtrail.core.fs import Entry, Status
from camtrail.core.names import shown
from camtrail.metadata import isobmff
from camtrail.metadata.isobmff import ISOBMFF_SUFFIXES, VIDEO_SUFFIXES
from camtrail.steps.video_names import Name
from camtrail.vision.probe import Prober

__all__ = ["Found", "Read", "VideoFile", "Walk", "read_all", "walk"]

_PIECE_BYTES = 1 << 20
_GROUP = 256  # files whose hashes are written down together
_LOOKUP = 500


@dataclass(frozen=True, slots=True)
class VideoFile:
    """One file with a video's suffix."""

    path: str  # absolute
    relative: str  # to the folder that is imported
    typed: str  # as people know it
    entry: Entry


@dataclass(slots=True)
class Walk:
    """What lies in a folder."""

    files: list[VideoFile] = field(default_factory=list)  # by the bytes of their relative names
    failures: list[Failure[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """A video whose name says enough."""

    file: VideoFile
    name: Name


@dataclass(frozen=True, slots=True)
class Read:
    """A video that was read, or why it could not be."""

    found: Found
    content: HashedFile | None = None
    failure: Failure[str] | None = None


def walk(space: Workspace, context: Context) -> Walk:
    """Every video below a folder. Hidden names are passed over, links to folders not followed.

    Raises
    ------
    InputError
        The folder itself cannot be listed.
    """
    root = space.roots[0]
    done = Walk()
    links: list[str] = []
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = context.fs.entries(folder)
        except InputError as e:
            typed = space.as_typed(space.relative(folder))
            if folder == root:
                raise InputError(typed, e.reason, e.hint) from e
            done.failures.append(Failure(typed, e.code, e.reason, e.hint, e.retryable))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.kind == "folder":
                waiting.append(entry.path)
            elif entry.kind == "link":
                links.append(space.as_typed(space.relative(entry.path)))
            elif os.path.splitext(entry.name)[1].lower() in VIDEO_SUFFIXES:
                relative = entry.path[len(root.rstrip("/")) + 1 :]
                typed = space.as_typed(space.relative(entry.path))
                done.files.append(VideoFile(entry.path, relative, typed, entry))
    done.files.sort(key=lambda f: os.fsencode(f.relative))
    if links:
        few = ", ".join(map(shown, links[:3])) + (f" and {len(links) - 3} more" if len(links) > 3 else "")
        done.notes.append(f"{few}: links to folders are not followed; import what they point to by itself")
    return done


def read_all(
    found: Iterable[Found], imports: Imports, workers: int, context: Context
) -> Generator[Read, None, None]:
    """Content and probe of each video, in their order; some are read ahead. What is known already is not read again."""
    with _Reader(imports, context) as reader, ThreadPoolExecutor(workers, "videos") as pool:
        ahead: deque[Future[Read]] = deque()
        try:
            for item, known in reader.known(found):
                ahead.append(pool.submit(reader.read, item, known))
                if len(ahead) > 4 * workers:
                    yield reader.kept(ahead.popleft().result())
            while ahead:
                yield reader.kept(ahead.popleft().result())
        finally:
            for future in ahead:
                future.cancel()
            reader.end()


class _Reader:
    """Reads videos in threads; what is found out is written down in groups."""

    def __init__(self, imports: Imports, context: Context) -> None:
        self._imports = imports
        self._fs = context.fs
        self._new: list[tuple[str, HashedFile]] = []
        self._old: set[str] = set()
        self._prober = Prober()
        self._probing = threading.Lock()
        self._is_ended = threading.Event()

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep()

    def end(self) -> None:
        """Has the threads end soon: what they read is nobody's any more."""
        self._is_ended.set()
        self._prober.close()

    def known(self, found: Iterable[Found]) -> Iterator[tuple[Found, HashedFile | None]]:
        """Each video with what is known of its file."""
        group: list[Found] = []
        for item in found:
            group.append(item)
            if len(group) == _LOOKUP:
                yield from self._looked_up(group)
                group = []
        yield from self._looked_up(group)

    def _looked_up(self, group: list[Found]) -> Iterator[tuple[Found, HashedFile | None]]:
        known = self._imports.files([item.file.relative for item in group])
        for item in group:
            yield item, known.get(item.file.relative)

    def kept(self, read: Read) -> Read:
        """The same; its hash is written down with the next group."""
        if read.content is not None and read.found.file.relative not in self._old:
            self._new.append((read.found.file.relative, read.content))
            if len(self._new) >= _GROUP:
                self._keep()
        return read

    def _keep(self) -> None:
        rows, self._new = self._new, []
        self._imports.put_files(rows)

    def read(self, item: Found, known: HashedFile | None) -> Read:
        """One video, in a thread."""
        try:
            return Read(item, self._content(item.file, known))
        except Exception as e:  # noqa: BLE001 - one file never ends a run
            return Read(item, failure=failure_of(item.file.typed, e))

    def _content(self, file: VideoFile, known: HashedFile | None) -> HashedFile:
        entry = file.entry
        if entry.kind == "broken":
            raise UnreadableFile(
                file.path, "is a link that leads nowhere", "mend or remove the link", retryable=True
            )
        if entry.kind == "other":  # a pipe, a socket: reading it may never end
            raise UnreadableFile(file.path, "is no ordinary file", "move it out of the folder")
        before = self._status(file)
        if known is not None and _is_same(known, before):
            self._old.add(file.relative)
            return known
        if not before.size_bytes:
            raise UnreadableFile(file.path, "is empty", "copy it again from the camera")
        with self._fs.source(file.path, before.size_bytes) as source:
            probe = self._probe(file, source)
            sha1 = self._sha1(file, source, before.size_bytes)
        if self._status(file)[:4] != before[:4]:
            raise _changing(file)
        return HashedFile(before.size_bytes, before.mtime_ns, before.inode, sha1, probe)

    def _status(self, file: VideoFile) -> Status:
        try:
            status = self._fs.status(file.path)
            return self._fs.status(self._fs.real(file.path)) if status.kind == "link" else status
        except OSError as e:
            raise UnreadableFile(file.path, "is not there any more", "run again", retryable=True) from e

    def _sha1(self, file: VideoFile, source: ByteSource, size_bytes: int) -> str:
        digest = hashlib.sha1(usedforsecurity=False)  # what the service tells files apart by
        for offset in range(0, size_bytes, _PIECE_BYTES):
            self._check(file)
            piece = source.read_at(offset, _PIECE_BYTES)
            if len(piece) < min(_PIECE_BYTES, size_bytes - offset):
                raise _changing(file)
            digest.update(piece)
        return digest.hexdigest()

    def _probe(self, file: VideoFile, source: ByteSource) -> dict[str, Any]:
        """What the video says of itself. Raises UnreadableFile for one that nobody can play."""
        if os.path.splitext(file.entry.name)[1].lower() in ISOBMFF_SUFFIXES:
            video = isobmff.probe(source)
            if video.is_truncated:
                raise UnreadableFile(
                    file.path, "ends before its pictures do: it is still being copied, or was cut off",
                    "copy it again, then run again", retryable=True,
                )  # fmt: skip
            if video.duration_s is not None:
                return _plain(video)
        try:
            with self._probing:
                self._check(file)
                video = self._prober.probe(file.path)
        except MissingDependency:
            return {}
        return _plain(video)

    def _check(self, file: VideoFile) -> None:
        if self._is_ended.is_set():
            raise UnreadableFile(file.path, "was not read to its end", "run again", retryable=True)


def _is_same(known: HashedFile, now: Status) -> bool:
    return (known.size_bytes, known.mtime_ns, known.inode) == (now.size_bytes, now.mtime_ns, now.inode)


def _changing(file: VideoFile) -> UnreadableFile:
    return UnreadableFile(
        file.path, "changed while it was read", "run again when it is complete", retryable=True
    )


def _plain(video: isobmff.Video) -> dict[str, Any]:
    """What is known of a video, as it is kept."""
    names = ("container", "codec", "duration_s", "creation_s", "width_px", "height_px", "rotation_deg", "fps")
    return {name: value for name in names if (value := getattr(video, name)) is not None}
