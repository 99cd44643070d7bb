"""The first and last bytes of what streams by, as far as a video's duration needs them."""

from __future__ import annotations

from collections import deque

from camtrail.core.errors import UnreadableFile
from camtrail.metadata import isobmff

__all__ = ["Ends"]

_KEPT_BYTES = 1 << 20


class Ends:
    """A source of the first and the last MiB of what was added; what lies between reads as zeros."""

    __slots__ = ("_head", "_tail", "_tail_bytes", "name", "size")

    def __init__(self) -> None:
        self.name = "<content>"
        self.size = 0
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0

    def add(self, piece: memoryview) -> None:
        """Takes what comes next."""
        self.size += len(piece)
        room = _KEPT_BYTES - len(self._head)
        self._head += piece[:room]
        if len(piece) <= room:
            return
        self._tail.append(bytes(piece[max(room, len(piece) - _KEPT_BYTES) :]))
        self._tail_bytes += len(self._tail[-1])
        while self._tail_bytes - len(self._tail[0]) >= _KEPT_BYTES:
            self._tail_bytes -= len(self._tail.popleft())

    def read_at(self, offset: int, n: int) -> bytes:
        """At most `n` bytes from `offset`; fewer only at the end."""
        n = max(0, min(n, self.size - offset))
        data = bytes(self._head[offset : offset + n])
        tail = b"".join(self._tail)
        gap = max(0, min(n, self.size - len(tail) - offset) - len(data))
        data += bytes(gap)
        start = offset + len(data) - (self.size - len(tail))
        return data + tail[start : start + n - len(data)] if len(data) < n else data

    def duration_s(self) -> float | None:
        """How long the video runs that was added; None where that cannot be told."""
        try:
            return isobmff.probe(self).duration_s
        except UnreadableFile:
            return None
