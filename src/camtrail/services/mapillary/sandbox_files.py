"""Image files of a stand-in, at an origin of their own, behind signed addresses that expire."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import threading

from camtrail.core.clock import Clock
from camtrail.core.errors import UnreadableFile
from camtrail.services.mapillary import sandbox_pictures
from camtrail.services.mapillary.sandbox_collection import Collection, Served
from camtrail.services.mapillary.sandbox_quirks import QuirksInForce
from camtrail.transfer.faultserver import Reply, Request

__all__ = ["SIZES", "Files"]

_WIDTHS_PX = {"256": 256.0, "1024": 1024.0, "2048": 2048.0, "original": math.inf}
SIZES = tuple(_WIDTHS_PX)
"""In which each image is served, by width."""

_KEY = b"of a sandbox, where there is nothing to protect"
_PATH = re.compile(rf"/v/([1-9]\d{{0,19}})_({'|'.join(SIZES)})\.jpg", re.ASCII)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Files:
    """What is served there, and under which addresses."""

    def __init__(self, collection: Collection, quirks: QuirksInForce, clock: Clock) -> None:
        self.base_url = ""  # of the origin
        self._collection = collection
        self._quirks = quirks
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = 0

    @property
    def tokens(self) -> int:
        """How many requests brought a token, which is nobody's business here."""
        with self._lock:
            return self._tokens

    def url(self, image: Served, size: str) -> str:
        """An address of an image in one of SIZES, good for as long as the quirks say."""
        path = f"/v/{image.id}_{size}.jpg"
        until_ms = round((self._clock.now_s() + self._quirks.now().url_life_s) * 1000)
        return f"{self.base_url}{path}?oe={until_ms:x}&oh={_signature(path, f'{until_ms:x}')}"

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        asked = request.parameters()
        if "authorization" in request.headers or "access_token" in asked:
            with self._lock:
                self._tokens += 1
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "Method not allowed")
        found = _PATH.fullmatch(request.path)
        image = self._collection.get(found[1]) if found else None
        if found is None or image is None:
            return _plain(404, "Not found")
        until, signature = asked.get("oe", ""), asked.get("oh", "")
        if not hmac.compare_digest(_signature(request.path, until).encode(), signature.encode()):
            return _plain(403, "URL signature mismatch")
        if self._clock.now_s() * 1000 >= int(until, 16):
            return _plain(403, "URL signature expired")
        try:
            return self._part(request, _picture(image, found[2]))
        except UnreadableFile:  # the photo has gone since
            return _plain(404, "Not found")

    def _part(self, request: Request, data: bytes) -> Reply:
        """A file, or the part of it that was asked for (RFC 9110, section 14)."""
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {"Content-Type": "image/jpeg", "ETag": tag, "Cache-Control": "max-age=1209600"}
        if self._quirks.now().ignores_range:
            return Reply(200, data, headers)
        headers["Accept-Ranges"] = "bytes"
        part = _part_of(request.headers.get("range", ""), len(data))
        if part is None or request.headers.get("if-range", tag) != tag:
            return Reply(200, data, headers)
        if part.start >= len(data):
            return Reply(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(data)}"
        return Reply(206, data[part.start : part.stop], headers)


def _part_of(asked: str, size: int) -> range | None:
    """The bytes that a header Range names; None where it names none, or more than one part."""
    match = _RANGE.fullmatch(asked)
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        return range(size - min(int(match[2]), size), size)
    first = int(match[1])
    if match[2] and int(match[2]) < first:
        return None
    return range(first, min(int(match[2]) + 1, size) if match[2] else size)


def _plain(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), {"Content-Type": "text/plain"})


def _signature(path: str, until: str) -> str:
    return hmac.new(_KEY, f"{path} {until}".encode(), hashlib.sha256).hexdigest()[:32]


def _picture(image: Served, size: str) -> bytes:
    """The file of an image in one of its sizes; a photo is never enlarged."""
    width_px = int(min(_WIDTHS_PX[size], image.width_px))
    if image.path is not None:
        return sandbox_pictures.of_photo(image.path, width_px)
    return sandbox_pictures.of_id(image.id, width_px, image.height_px * width_px // image.width_px)
