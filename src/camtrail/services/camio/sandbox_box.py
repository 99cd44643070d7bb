"""The Box and the storage of a stand-in for Camio."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

from camtrail.services.camio.sandbox_ends import Ends
from camtrail.services.camio.sandbox_events import HASH, milliseconds
from camtrail.services.camio.sandbox_state import Camera, Refused, State, Video, asked, device_id, signature
from camtrail.transfer.faultserver import Reply, Request, json_reply

__all__ = ["Box", "Storage"]

_ARGUMENTS = ("local_camera_id", "camera_id", "hash", "timestamp")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_MANIFEST = re.compile(r"/storage/bij-([0-9a-z]+)-([0-9]+)")


class Box:
    """Takes videos, in the local network."""

    def __init__(self, state: State) -> None:
        self._state = state

    def answer(self, request: Request) -> Reply:
        """The reply to a request. Raises Refused."""
        self._state.leaked(request)
        if request.path == "/box/settings" and request.method == "GET":
            return json_reply({"device_id": device_id(0), "user-agent": "sandbox"})
        if request.path != "/box/content":
            raise Refused(404, "there is no such thing here")
        if request.method != "POST":
            raise Refused(405, "content is posted")
        return self._content(request)

    def _content(self, request: Request) -> Reply:
        given = request.parameters()
        token = given.get("access_token", "")
        if not token:
            raise Refused(401, "access_token is missing")
        if not hmac.compare_digest(token.encode(), device_id(0).encode()):
            raise Refused(403, "access_token is not this Box's device id")
        for name in _ARGUMENTS:
            if not given.get(name):
                raise Refused(400, f"{name} is missing")
        sha1 = given["hash"].lower()
        start_ms = milliseconds(given["timestamp"]) if _TIMESTAMP.fullmatch(given["timestamp"]) else None
        if start_ms is None:
            raise Refused(400, "timestamp is no YYYY-MM-DDTHH:MM:SS.mmm")
        if not HASH.fullmatch(sha1):
            raise Refused(400, "hash is no SHA-1")
        with self._state.lock:
            camera = self._state.camera(given["camera_id"], given["local_camera_id"])
        if camera is None:
            raise Refused(400, "the camera is not known")
        video = self._taken(request, camera, sha1, given["timestamp"], start_ms)
        with self._state.lock:
            self._state.add_video(video)
        return Reply(204)

    def _taken(self, request: Request, camera: Camera, sha1: str, timestamp: str, start_ms: int) -> Video:
        """The video that the body is. Raises Refused."""
        first, second = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
        ends = Ends()
        kept: list[bytes] = []
        for piece in request.body:
            first.update(piece)
            second.update(piece)
            ends.add(piece)
            if self._state.keep:
                kept.append(bytes(piece))
        if not ends.size:
            raise Refused(400, "the body is empty")
        if first.hexdigest() != sha1:
            raise Refused(400, "the hash does not match the body")
        return Video(
            sha1,
            second.hexdigest(),
            ends.size,
            camera,
            timestamp,
            start_ms,
            ends.duration_s(),
            self._state.clock.now_s(),
            b"".join(kept) if self._state.keep else None,
        )


class Storage:
    """Takes manifests, at addresses that are signed and expire."""

    def __init__(self, state: State) -> None:
        self._state = state

    def answer(self, request: Request) -> Reply:
        """The reply to a request. Raises Refused."""
        if self._state.leaked(request):
            raise Refused(400, "an Authorization has no business here")
        m = _MANIFEST.fullmatch(request.path)
        if m is None:
            raise Refused(404, "there is no such thing here")
        if request.method != "PUT":
            raise Refused(403, "the address is signed for PUT")
        given = request.parameters()
        expires = given.get("Expires", "")
        signed = signature(request.path, expires)
        if not hmac.compare_digest(given.get("Signature", "").encode(), signed.encode()):
            raise Refused(403, "the signature is wrong")
        if self._state.clock.now_s() >= int(expires):
            raise Refused(403, "the address has expired")
        self._put(m[1], m[2], asked(request))
        return Reply(204) if self._state.quirks.bodyless else Reply(200)

    def _put(self, job_id: str, shard_id: str, said: Any) -> None:
        files = said.get("hash_map") if isinstance(said, dict) else None
        if not isinstance(files, dict) or not files:
            raise Refused(400, "there is no hash_map")
        if said.get("job_id") != job_id or str(said.get("shard_id")) != shard_id:
            raise Refused(400, "job_id and shard_id are not those of the address")
        if said.get("item_count") != len(files):
            raise Refused(400, "item_count is not what hash_map has")
        for sha1, entry in files.items():
            if not HASH.fullmatch(sha1) or not isinstance(entry, dict):
                raise Refused(400, f"{json.dumps(sha1)[:60]} in hash_map is no SHA-1 with an object")
        with self._state.lock:
            job = self._state.jobs[job_id]  # the signature was ours
            self._state.put_manifest(job.shards[int(shard_id)], files)
