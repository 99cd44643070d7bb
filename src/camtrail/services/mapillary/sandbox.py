"""Mapillary's side of uploads and downloads, as its public client and documentation show it, on this machine.

Notes
-----
Where the documentation is silent: a manifest that is finished twice is accepted twice, and counted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from camtrail.core.clock import Clock, RealClock
from camtrail.services.mapillary.sandbox_collection import made_up, number, of_folder
from camtrail.services.mapillary.sandbox_files import Files
from camtrail.services.mapillary.sandbox_images import Images, Refused, graph_error
from camtrail.services.mapillary.sandbox_quirks import QuirksInForce
from camtrail.transfer.faultserver import Body, Fault, FaultServer, Reply, Request, StandIn, json_reply

__all__ = ["MapillarySandbox"]

_ANY = "anything"  # the token that people are told to give, whoever they are
_CLIENT_TOKEN = "MLY|sandbox|sandbox"  # noqa: S105 - opens nothing but a sandbox
_MANIFEST = "mly_bundle_manifest"
_KINDS = {"zip": "archives", "mly_camm_video": "videos", "mly_blackvue_video": "videos"}
_SUFFIXES = {"zip": "archives", "mp4": "videos", "json": "manifests"}
_UPLOADS = "/mapillary_public_uploads/"
_MOST_JSON_BYTES = 1 << 26


class MapillarySandbox(StandIn):
    """A running stand-in for Mapillary; use it in a `with`.

    It has `POST /login`, `GET /me`, `GET /{organisation}`, `POST /finish_upload`, `POST /logging` and
    `GET|POST /mapillary_public_uploads/{key}`. The password `wrong` is refused. The user is who the token names: a
    token that looks like a name is one. `GET /_sandbox/received` tells what arrived whole, and
    `GET /_sandbox/received/{key}` gives the bytes of an upload, as far as they were kept.

    For downloads there are `GET /{image}`, `/?ids=`, `/images`, `/image_ids` and
    `/maps/vtp/{mly1_public|mly1_computed_public}/2/{z}/{x}/{y}`; searches and tiles of the former go by the original
    position. Image files are at a second origin, behind addresses that expire. `GET|POST /_sandbox/quirks` tells and
    sets in which ways the service is odd (`Quirks`). The names of the origins, for faults, are `api` and `images`.
    What is uploaded is not served again.

    Parameters
    ----------
    token : the only user token that is good; "" for any
    faults : in the language of `camtrail.transfer.faults`
    port : of the API, image files have the next one; 0 takes free ones
    data : a folder of geotagged photos or of id lists for place recognition, whose pictures are made up; "" for a
        made-up collection (`sandbox_collection.made_up`)
    keep : whether the bytes of all uploads are kept in memory; those of manifests always are

    Raises
    ------
    UsageError
        A port is taken, or a fault is none.
    InputError
        There are no images in `data`.
    """

    def __init__(
        self,
        *,
        token: str = "",
        faults: Iterable[str | Fault] = (),
        port: int = 0,
        data: str = "",
        keep: bool = False,
        clock: Clock | None = None,
    ) -> None:
        collection = of_folder(data) if data else made_up()
        self._quirks = QuirksInForce()
        files = Files(collection, self._quirks, clock or RealClock())
        images = Images(collection, token, files, self._quirks)
        self._service = _Service(token, keep, images, files, self._quirks)
        server = FaultServer({"api": self._service.answer, "images": files.answer}, port=port, faults=faults)
        super().__init__(server)
        self.url = server.url("api")
        self.image_url = files.base_url = server.url("images")

    def set_quirks(self, **values: Any) -> None:
        """Changes some of `Quirks`, in the form that JSON has for them. Raises UsageError."""
        self._quirks.change(values)

    def environment(self) -> dict[str, str]:
        """The variables that send clients here: our own, and those of the public uploader."""
        return {
            "CAMTRAIL_MAPILLARY_URL": self.url,
            "MAPILLARY_GRAPH_API_ENDPOINT": self.url,
            "MAPILLARY_UPLOAD_ENDPOINT": self.url + _UPLOADS.rstrip("/"),
            "MAPILLARY_CLIENT_TOKEN": _CLIENT_TOKEN,
        }

    def received(self) -> dict[str, Any]:
        """What `GET /_sandbox/received` tells.

        `images`, `videos` and `archives` are lists of `{"name", "bytes", "sha256", "times"}`, one for each content
        that arrived whole. `times` says how often: in how many upload sessions, or, where that is more, in how many
        accepted calls of finish_upload it was published. `manifests` are
        `{"name", "images", "organization_id", "times", "cluster_id"}`: the names of the images in order, and how
        often it was finished, 0 for never. `logins` counts good ones, `events` those sent to /logging,
        `tokens_at_images` requests that took a token to the origin of image files.
        """
        return self._service.received()

    def content(self, key: str) -> bytes | None:
        """The bytes of an upload; None where they were not kept."""
        return self._service.content(key)


def _upload_error(status: int, kind: str, message: str, *, retriable: bool) -> Refused:
    info = {"retriable": retriable, "type": kind, "message": message}
    return Refused(json_reply({"debug_info": info}, status))


@dataclass(slots=True, eq=False)
class _Session:
    """One upload session."""

    account: str
    key: str
    kind: str  # images, videos, archives or manifests
    handle: str
    keep: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    size_bytes: int = 0
    hash: Any = field(default_factory=hashlib.sha256)
    data: bytearray = field(default_factory=bytearray)  # where it is kept
    writer: object = None  # the request that may append
    whole: bool = False  # a request ended as it should, and the handle was given
    finishes: int = 0  # accepted calls that published it
    organization_id: Any = None
    images: list[_Session] = field(default_factory=list)  # of a finished manifest

    def append(self, offset: int, body: Body) -> None:
        """Takes a body from an offset on; what comes before a cut is kept."""
        writer = object()
        with self.lock:
            if offset != self.size_bytes:
                raise _wrong_offset()
            self.writer = writer  # whoever sent before has given up
        for piece in body:
            with self.lock:
                if self.writer is not writer:
                    raise _wrong_offset()
                self.whole = False
                self.hash.update(piece)
                self.size_bytes += len(piece)
                if self.keep:
                    self.data += piece
        with self.lock:
            if self.writer is not writer:
                raise _wrong_offset()
            self.whole = True


def _wrong_offset() -> Refused:
    return _upload_error(412, "OffsetInvalidError", "Request starting offset is invalid", retriable=True)


class _Service:
    """What the stand-in knows, and its answers."""

    def __init__(self, token: str, keep: bool, images: Images, files: Files, quirks: QuirksInForce) -> None:
        self._images = images
        self._files = files
        self._quirks = quirks
        self._token = token
        self._keep = keep
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._handles: dict[tuple[str, str], _Session] = {}
        self._name = _name(token)  # of the one token's user
        self._logins = 0
        self._events = 0

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        try:
            if request.path.startswith("/_sandbox/"):
                return self._told(request)
            if request.path.startswith(_UPLOADS):
                return self._upload(request)
            return self._images.answer(request) or self._graph(request)
        except Refused as e:
            return e.reply

    def _told(self, request: Request) -> Reply:
        if request.path == "/_sandbox/quirks" and request.method in ("GET", "POST"):
            return self._quirks.answer(request)
        path = request.path.removeprefix("/_sandbox/received")
        if request.method == "GET" and path == "":
            return json_reply(self.received())
        if request.method == "GET" and path.startswith("/") and path != request.path:
            data = self.content(unquote(path[1:]))
            if data is not None:
                return Reply(200, data, {"Content-Type": "application/octet-stream"})
        return json_reply({"error": "there is no such thing here"}, 404)

    def _upload(self, request: Request) -> Reply:
        account = self._account(request, uploading=True)
        key = unquote(request.path.removeprefix(_UPLOADS))
        if not key:
            raise _upload_error(404, "InvalidRequestError", "There is no session key", retriable=False)
        session = self._session(account, key)
        if request.method == "GET":
            with session.lock:
                return json_reply({"offset": session.size_bytes})
        if request.method != "POST":
            raise _upload_error(405, "InvalidRequestError", "Method not allowed", retriable=False)
        offset = request.headers.get("offset", "0")
        if not re.fullmatch(r"\d{1,18}", offset, re.ASCII):
            raise _upload_error(400, "InvalidRequestError", "Offset is no number", retriable=False)
        session.append(int(offset), request.body)
        return json_reply({"h": session.handle})

    def _session(self, account: str, key: str) -> _Session:
        with self._lock:
            session = self._sessions.get((account, key))
            if session is None:
                kind = _SUFFIXES.get(key.rpartition(".")[2].lower(), "images")
                handle = _handle(account, key)
                session = _Session(account, key, kind, handle, self._keep or kind == "manifests")
                self._sessions[account, key] = self._handles[account, handle] = session
            return session

    def _graph(self, request: Request) -> Reply:
        path = unquote(request.path).strip("/")
        if request.method == "POST" and path == "login":
            return self._login(request)
        if request.method == "POST" and path == "logging":
            self._account(request, client=True)
            _object(request)
            with self._lock:
                self._events += 1
            return json_reply({"success": True})
        name = self._account(request)
        if request.method == "POST" and path == "finish_upload":
            return self._finish(name, _object(request))
        if request.method == "GET" and path == "me":
            return _fields(request, {"id": number(f"user {name}"), "username": name})
        if request.method == "GET" and re.fullmatch(r"[1-9]\d{0,19}", path, re.ASCII):
            known = {"slug": f"sandbox_{path}", "name": f"Sandbox {path}", "description": "Made up"}
            return _fields(request, {"id": path, **known})
        raise graph_error(
            400,
            100,
            f"Unsupported {request.method.lower()} request. Object with ID '{path}' does not exist",
            "GraphMethodException",
            error_subcode=33,
        )

    def _account(self, request: Request, *, client: bool = False, uploading: bool = False) -> str:
        """Who asks. With `client` the token of a program is enough."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("oauth", "bearer"):
            token = ""
        token = token.strip() or request.parameters().get("access_token", "")
        if not token or (self._token and not client and token != self._token):
            said = "Invalid OAuth access token - Cannot parse access token"
            if uploading:
                raise _upload_error(401, "NotAuthorizedError", said, retriable=False)
            raise graph_error(401, 190, said)
        return self._name if self._token else _name(token)

    def _login(self, request: Request) -> Reply:
        self._account(request, client=True)
        asked = _object(request)
        email, password = asked.get("email"), asked.get("password")
        if not isinstance(email, str) or not isinstance(password, str) or not email or not password:
            raise graph_error(400, 100, "Invalid parameter: email and password")
        if password == "wrong":  # noqa: S105 - the one that is refused
            raise graph_error(
                400,
                100,
                "Invalid username or password",
                error_subcode=1348028,
                error_user_title="Incorrect Password",
                error_user_msg="The password that you've entered is incorrect.",
                is_transient=False,
            )
        name = re.sub(r"[^A-Za-z0-9_.+-]", "_", email.partition("@")[0])[:32] or "sandbox"
        with self._lock:
            self._logins += 1
            self._name = name
        return json_reply({"access_token": self._token or name, "user_id": number(f"user {name}")})

    def _finish(self, account: str, asked: dict[str, Any]) -> Reply:
        handle, kind = asked.get("file_handle"), asked.get("file_type")
        if not isinstance(kind, str) or (kind != _MANIFEST and kind not in _KINDS):
            raise graph_error(400, 100, "Invalid parameter: file_type")
        session = self._handles.get((account, handle)) if isinstance(handle, str) else None
        if session is None or not session.whole:
            raise graph_error(400, 100, "Invalid parameter: file_handle is not known")
        images = self._listed(account, session) if kind == _MANIFEST else []
        with self._lock:
            session.kind = _KINDS.get(kind, "manifests")
            session.images = images
            session.organization_id = asked.get("organization_id")
            session.finishes += 1
            for image in set(images):
                image.finishes += 1
        return json_reply({"cluster_id": number(f"cluster {session.handle}")})

    def _listed(self, account: str, manifest: _Session) -> list[_Session]:
        """The images that a manifest lists, in its order."""
        try:
            said = json.loads(bytes(manifest.data))
        except (ValueError, RecursionError) as e:
            raise graph_error(400, 100, "Invalid parameter: the manifest is no JSON") from e
        handles = said.get("image_handles") if isinstance(said, dict) else None
        if not isinstance(handles, list) or not handles or said.get("upload_type") != "images":
            raise graph_error(400, 100, "Invalid parameter: the manifest lists no images")
        if said.get("version") != "1":
            raise graph_error(400, 100, "Invalid parameter: the manifest has no known version")
        images = [self._handles.get((account, h)) if isinstance(h, str) else None for h in handles]
        found = [i for i in images if i is not None and i.whole]
        if len(found) < len(handles):
            lacking = len(handles) - len(found)
            raise graph_error(400, 100, f"Invalid parameter: {lacking} image handles are not known")
        return found

    def received(self) -> dict[str, Any]:
        """What arrived whole; `MapillarySandbox.received` says how it is told."""
        with self._lock:
            whole = [s for s in self._sessions.values() if s.whole]
            told: dict[str, Any] = {
                kind: _contents(s for s in whole if s.kind == kind)
                for kind in ("images", "videos", "archives")
            }
            told["manifests"] = [
                {
                    "name": s.key,
                    "images": [i.key for i in s.images],
                    "organization_id": s.organization_id,
                    "times": s.finishes,
                    "cluster_id": number(f"cluster {s.handle}") if s.finishes else None,
                }
                for s in whole
                if s.kind == "manifests"
            ]
            counts = {"logins": self._logins, "events": self._events, "tokens_at_images": self._files.tokens}
            return {**told, **counts}

    def content(self, key: str) -> bytes | None:
        """The bytes of an upload; None where they were not kept."""
        with self._lock:
            found = [s for s in self._sessions.values() if s.key == key and s.keep]
        if not found:
            return None
        with found[0].lock:
            return bytes(found[0].data)


def _contents(sessions: Iterable[_Session]) -> list[dict[str, Any]]:
    """One entry for each content, in the order of arrival."""
    by_hash: dict[str, list[_Session]] = {}
    for s in sessions:
        by_hash.setdefault(s.hash.hexdigest(), []).append(s)
    return [
        {
            "name": same[0].key,
            "bytes": same[0].size_bytes,
            "sha256": digest,
            "times": max(len(same), sum(s.finishes for s in same)),
        }
        for digest, same in by_hash.items()
    ]


def _object(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries."""
    try:
        asked = json.loads(request.body.read(_MOST_JSON_BYTES))
    except (ValueError, RecursionError) as e:
        raise graph_error(400, 100, "Invalid parameter: no JSON") from e
    if not isinstance(asked, dict):
        raise graph_error(400, 100, "Invalid parameter: no JSON object")
    return asked


def _fields(request: Request, known: dict[str, Any]) -> Reply:
    """`id` and the fields that were asked for."""
    asked = {"id", *request.parameters().get("fields", "").split(",")}
    return json_reply({name: value for name, value in known.items() if name in asked})


def _name(token: str) -> str:
    """The user that a token stands for; a name that is the token itself is blanked out of what is said of it."""
    is_name = token != _ANY and re.fullmatch(r"[A-Za-z0-9_.+-]{1,32}", token)
    return token if is_name else "sandbox"


def _handle(account: str, key: str) -> str:
    digest = hashlib.sha256(f"{account}\0{key}".encode()).digest()
    return "2:" + base64.urlsafe_b64encode(digest[:24]).decode()
