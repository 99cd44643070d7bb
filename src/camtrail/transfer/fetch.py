"""One file from an address, gone on with where the attempt before it stopped; each call is one attempt.

A part is only ever gone on with where the server proves that it still speaks of the same bytes; else it begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import BadAnswer, CamtrailError, StorageError, UnreadableFile
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.metadata.safeio import Part
from camtrail.transfer.http import Answer, Http
from camtrail.transfer.retry import Gone, error_of

__all__ = ["TAG", "Damaged", "Fetched", "discard", "fetch"]

_MOST_BYTES = 1 << 30
_WORTH_BYTES = 1 << 20  # of what is at least so long, a kill in the middle is worth a file to go on from
_CHUNK_BYTES = 1 << 20
_MOST_TAG_BYTES = 4096
TAG = ".tag"
"""Stands behind the name of a part, in that of the file that proves what it is a part of."""
_STRONG = re.compile(
    r'"[!#-~]{1,256}"'
).fullmatch  # RFC 9110 section 8.8.3; a weak one proves nothing of bytes
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII).fullmatch
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
_PAGES = ("text/", "application/json", "application/xhtml")
_LOGIN = "if this network has a login page, log in there and run again"
_AGAIN = "run again; it begins anew"


class Damaged(BadAnswer):
    """Bytes that came whole and are not what was asked for: this one file's trouble, not the service's."""

    exit_code = 3
    code = "damaged"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is whole."""

    size: int  # bytes
    sha256: str  # hexadecimal
    resumed_bytes: int  # of those, so many had come before this attempt


@dataclass(frozen=True, slots=True)
class _Tag:
    """What tells that a server still speaks of the same bytes."""

    size: int | None  # of the whole, in bytes; None where the server does not say
    etag: str | None  # a strong one
    modified: str | None  # the header Last-Modified
    sha256: str | None = None  # of the whole, hexadecimal; known when its last byte is

    @property
    def is_proof(self) -> bool:
        return self.etag is not None or (
            self.size is not None and (self.modified is not None or self.sha256 is not None)
        )


def fetch(
    http: Http,
    url: str,
    fs: FileSystem,
    path: str,
    *,
    damage: Callable[[ByteSource], str | None],
    most_bytes: int = _MOST_BYTES,
) -> Fetched:
    """The file at an address, whole, at `path`: one attempt, which goes on where the one before it stopped.

    Parameters
    ----------
    path : of the part while it comes, and of the whole; what gives it a better name makes it durable before.
        `path` + ".tag" stands beside it where it is worth to be gone on with, and where it is whole: such a one is
        not asked for again. Nobody else writes there at the same time
    damage : why bytes that came whole are not what was asked for; None where they are

    Raises
    ------
    Gone
        The server does not give it (401, 403, 404, 410): the address may be too old.
    BadAnswer
        What came is something else, no continuation, or (Damaged) not whole; `retryable`. Where a part is of no use any more,
        it is gone.
    StorageError, UnreadableFile
        The part cannot be written, or read back.
    CamtrailError
        As `Http.request` and `error_of`; what came is kept for the next attempt.
    """
    growing = _Growing(fs, path, most_bytes)
    if not growing.is_whole:
        try:
            answer = http.request(
                "GET", url, headers=growing.asks(), most_bytes=most_bytes, sink=growing.sink
            )
        except BaseException as e:
            with contextlib.suppress(StorageError):  # what is told is why it ended
                growing.leave(is_damaged=isinstance(e, BadAnswer) and growing.is_taken)
            raise
        if not growing.is_taken:
            growing.leave()
            raise _refusal(answer)
    return growing.end(damage)


def discard(fs: FileSystem, path: str) -> None:
    """Takes away what attempts left at a path, if anything. Raises StorageError."""
    for name in (path + TAG, path):  # in this order: a tag must not outlive what it belongs to
        Part(fs, name).remove()


class _Growing:
    """A part, what is known about it, and the answer that makes it longer."""

    def __init__(self, fs: FileSystem, path: str, most_bytes: int) -> None:
        self._fs = fs
        self._path = path
        self._part = Part(fs, path)
        self._tag: _Tag | None = None
        self._has_tag = False  # beside the part, as a file
        self._hash = hashlib.sha256()
        self._resumed_bytes = 0
        self._is_useless = False
        self.is_taken = False  # the answer's body is what was asked for
        there_bytes = _size(fs, path)
        if _size(fs, path + TAG) is None:
            return
        self._has_tag = True
        tag = _read_tag(fs, path + TAG)
        if tag and there_bytes and there_bytes <= min(most_bytes, tag.size or most_bytes):
            self._resumed_bytes = self._hashed(there_bytes)
            if there_bytes == tag.size and tag.sha256 not in (None, self._hash.hexdigest()):
                self._resumed_bytes = 0
            self._tag = tag if self._resumed_bytes else None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self._tag is not None and self._tag.size == self._resumed_bytes

    def asks(self) -> Mapping[str, str]:
        """The headers that ask for what is missing."""
        if not self._resumed_bytes or self._tag is None:
            return {}
        asked = {"Range": f"bytes={self._resumed_bytes}-"}
        return asked | ({"If-Range": self._tag.etag} if self._tag.etag else {})

    def sink(self, status: int, headers: Mapping[str, str]) -> Callable[[bytes], object] | None:
        """Who takes an answer's body; None for one that is not the file. Raises BadAnswer, StorageError."""
        if status not in (200, 206) and not (status == 416 and self._resumed_bytes):
            return None
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if status != 416 and kind.startswith(_PAGES):
            raise BadAnswer(f"the server gives {shown(kind)[:60]} in place of a file", _LOGIN)
        if status != 416 and not {"content-length", "transfer-encoding"} & headers.keys():
            raise BadAnswer(
                "the server does not say where its answer ends", _AGAIN
            )  # a cut could not be told
        if status == 200:
            self._begin(_tag_of(headers, headers.get("content-length")))
        else:
            self._go_on(headers if status == 206 else {})
        self.is_taken = True
        return self._take

    def _begin(self, tag: _Tag) -> None:
        self._hash = hashlib.sha256()
        self._resumed_bytes = 0
        if self._has_tag:  # before the part changes: a kill must not leave a new part with an old tag
            Part(self._fs, self._path + TAG).remove()
            self._has_tag = False
        self._part.begin()
        self._tag = tag
        if (tag.size or 0) >= _WORTH_BYTES:
            self._keep_tag()

    def _go_on(self, headers: Mapping[str, str]) -> None:
        start = self._resumed_bytes
        found = _RANGE(headers.get("content-range", ""))
        first, last, size = map(int, found.groups()) if found else (-1, -1, -1)
        tag = _tag_of(headers, str(size))
        if not (first == start and last == size - 1 and _agree(self._tag, tag)):
            self._is_useless = start > 0
            raise BadAnswer("the server does not go on where the part that is here ends", _AGAIN)
        self._tag = tag
        self._part.resume()

    def _take(self, piece: bytes) -> None:
        self._hash.update(piece)
        if not self._has_tag and self._tag and self._tag.size == self._part.size + len(piece):
            # Before the last bytes: at no instant does a whole part lack what says that it is whole.
            self._tag = replace(self._tag, sha256=self._hash.hexdigest())
            self._keep_tag()
        self._part.write(piece)

    def leave(self, *, is_damaged: bool = False) -> None:
        """Closes the part, and keeps of it what the next attempt can use. Raises StorageError."""
        self._part.close()
        if is_damaged or self._is_useless:
            discard(self._fs, self._path)
        elif self.is_taken and not self._has_tag:
            if self._part.size and self._tag is not None and self._tag.is_proof:
                self._keep_tag()
            else:
                self._part.remove()

    def end(self, damage: Callable[[ByteSource], str | None]) -> Fetched:
        """The whole file; its tag stays. Raises Damaged for one that is not what it should be."""
        self._part.close()
        size = self._part.size if self.is_taken else self._resumed_bytes
        said: str | None = None
        if self._tag is not None and self._tag.size not in (None, size):
            said = f"has {size} bytes in place of {self._tag.size}"
        else:
            with self._fs.source(self._path, size) as source:
                said = damage(source)
        if said is not None:
            discard(self._fs, self._path)
            raise Damaged(f"what came is not what was asked for: {said}", _AGAIN)
        if not self._has_tag:  # where the server did not say how long it would be
            self._tag = _Tag(size, None, None, self._hash.hexdigest())
            self._keep_tag()
        return Fetched(size, self._hash.hexdigest(), self._resumed_bytes)

    def _hashed(self, size: int) -> int:
        """Takes what is there into the hash; returns its size, or 0 where it cannot be read."""
        try:
            with self._fs.source(self._path, size) as source:
                for at in range(0, size, _CHUNK_BYTES):
                    self._hash.update(source.read_at(at, min(_CHUNK_BYTES, size - at)))
        except UnreadableFile:
            self._hash = hashlib.sha256()
            return 0
        return size

    def _keep_tag(self) -> None:
        assert self._tag is not None
        tag = Part(self._fs, self._path + TAG)
        tag.begin()
        try:
            tag.write(json.dumps(asdict(self._tag)).encode())
        finally:
            tag.close()
        self._has_tag = True


def _tag_of(headers: Mapping[str, str], size: str | None) -> _Tag:
    etag = headers.get("etag", "")
    modified = headers.get("last-modified", "")[:64]
    return _Tag(
        int(size) if size is not None and _LENGTH(size) else None,
        etag if _STRONG(etag) else None,
        modified or None,
    )


def _agree(kept: _Tag | None, said: _Tag) -> bool:
    """Whether the rest that a server begins belongs to the part that is kept."""
    if kept is None or kept.size not in (None, said.size):
        return False
    if kept.etag is not None or said.etag is not None:
        return kept.etag == said.etag
    return kept.size is not None and kept.modified is not None and kept.modified == said.modified


def _read_tag(fs: FileSystem, path: str) -> _Tag | None:
    """A tag that was kept; None where there is none that is whole."""
    try:
        with fs.source(path) as source:
            value: Any = json.loads(source.read_at(0, _MOST_TAG_BYTES))
    except (UnreadableFile, ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    size, etag, modified, digest = (value.get(name) for name in ("size", "etag", "modified", "sha256"))
    tag = _Tag(
        size if type(size) is int and size >= 0 else None,
        etag if isinstance(etag, str) and _STRONG(etag) else None,
        modified if isinstance(modified, str) else None,
        digest if isinstance(digest, str) else None,
    )
    return tag if tag.is_proof else None


def _size(fs: FileSystem, path: str) -> int | None:
    try:
        status = fs.status(path)
    except OSError:
        return None
    return status.size_bytes if status.kind == "file" else None


def _refusal(answer: Answer) -> CamtrailError:
    """Why there is no file in an answer."""
    if answer.status in (401, 403, 404, 410):
        return Gone(f"the address of a file is not good, or no longer ({answer.status})", "ask for a new one")
    error = error_of(answer, "a file")
    return error or BadAnswer(f"the server answers {answer.status} in place of a file", _LOGIN)
