"""The built-in hook `camio`: cameras and jobs in Camio's cloud, videos to a Box, lists of them to the storage.

It is there in both forms: `CamioHook`, and the five functions of a hook file over one such hook.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

from camtrail import __version__
from camtrail.app.camio_jobs import Jobs, Record
from camtrail.app.camio_service import connected, server_of, token_of
from camtrail.app.hook_data import check_camio, redacted, unseen
from camtrail.core.bytes import ByteSource
from camtrail.core.clock import Clock, RealClock
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    InputError,
    QuotaExceeded,
    Rejected,
    SafetyRefusal,
    ServiceError,
    UsageError,
)
from camtrail.core.fs import FileSystem, RealFileSystem
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.services.camio import wire
from camtrail.services.camio.client import Box, Client, Storage
from camtrail.services.camio.wire import IMAGE_KEYS, Item, local_camera_id
from camtrail.transfer.hooks import Check, Hook, Permanent, Retry, Video
from camtrail.transfer.http import Body, Http, origin_of
from camtrail.transfer.pace import Pace
from camtrail.transfer.retry import Backoff, patiently

__all__ = [
    "CamioHook",
    "assign_job_ids",
    "check",
    "post_video_content",
    "register_camera",
    "register_jobs",
    "service_origin",
    "set_hook_data",
]

log = logging.getLogger(__name__)

R = TypeVar("R")

_PIECE_BYTES = 1 << 20
_VISIBLE_S = 15.0  # until a camera that was registered is seen
_SKEW_S = 5.0
_CALLS = 6
_CALL_BACKOFF = Backoff(first_s=1.0, most_s=30.0)
_CALL_PAUSES_S = 60.0
_POSTS = 8
_POST_BACKOFF = Backoff(first_s=2.0, most_s=240.0)
_POST_PAUSES_S = 1500.0  # with those between tries half an hour, which is what a hook has for a video
_CODECS = (None, "h264")
_CONTAINERS = (None, "mp4", "m4v")
_ENGINE_KEYS = ("logger", "registered_cameras")


class _Over(Exception):
    """Nothing more is to be asked in this run."""

    def __init__(self, error: CamtrailError) -> None:
        super().__init__(str(error))
        self.error = error


class CamioHook(Hook):
    """An import into Camio.

    Parameters
    ----------
    environment : has what the hook data leave open: CAMIO_OAUTH_TOKEN, CAMIO_BOX_DEVICE_ID, CAMIO_SERVER_URL,
        CAMIO_BOX_URL
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        fs: FileSystem | None = None,
        random: Random | None = None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._clock = clock or RealClock()
        self._fs = fs or RealFileSystem()
        self._random = random or Random()  # noqa: S311 - spreads waits, hides nothing
        self._data: dict[str, Any] = {}
        self._open = ExitStack()
        self._client: Client | None = None
        self._has_told_of_plans = False
        self._jobs: Jobs | None = None
        self._boxes: dict[str, Box] = {}
        self._storages: dict[str, Storage] = {}
        self._device_id = ""
        self._entries: dict[str, dict[str, Any]] | None = None  # by local id; None until the cloud was asked
        self._pace = Pace(self._clock)

    def close(self) -> None:
        """Ends its connections."""
        self._open.close()

    # ---- what a hook does

    def configure(self, data: Mapping[str, Any]) -> None:
        """Settings, added to those before. Raises UsageError for what Camio cannot take."""
        settings = {key: value for key, value in data.items() if key not in _ENGINE_KEYS}
        for warning in check_camio(settings):
            log.warning("%s", warning)
        if settings:
            log.debug("hook data: %s", redacted(settings))
        self._data |= settings
        registered = data.get("registered_cameras")
        if isinstance(registered, list):
            names = [c["name"] for c in registered if isinstance(c, dict) and isinstance(c.get("name"), str)]
            for warning in unseen(self._data, names):
                log.warning("%s", warning)

    def register_camera(self, name: str, host: str | None, port: str | None) -> Mapping[str, Any]:
        """The cloud's entry of a camera, which has its `camera_id`."""
        wanted = wire.camera(self._device(), name, self._plan(name), self._sizes_px(name))
        local_id = local_camera_id(name)
        entry = self._known_cameras().get(local_id)
        if entry is None or not _is_same(entry, wanted):
            client = self._cloud()
            self._patiently(lambda: client.put_cameras({local_id: wanted}))
            self._entries = None
            entry = self._known_cameras().get(local_id)
            if entry is None:
                self._clock.sleep(_VISIBLE_S)
                self._entries = None
                entry = self._known_cameras().get(local_id)
        if entry is None:
            raise ServiceError(
                f"camera {shown(name)} was registered, but Camio does not know it", "run again in a minute"
            )
        if not isinstance(entry.get("camera_id"), str) or not entry["camera_id"]:
            raise BadAnswer(f"Camio's entry of camera {shown(name)} has no camera_id", "run again later")
        return entry

    def assign(self, videos: Sequence[Video], all: Mapping[str, Video]) -> str | None:
        """Gives the videos a job; those that no Box takes get none. Returns its id, or that of one not yet done."""
        jobs = self._jobs_of()
        jobs.keep({key: video.record for key, video in all.items()})
        new = [v.record for v in videos if not v.record.get("job_id") and not _unsupported(v.record)]
        return jobs.deal(new) if new else jobs.open_job

    def submit(self, video: Video, camera_id: str | None, host: str | None, port: str | None) -> None:
        """Gives the Box a video, and the storage the lists that are due.

        Raises
        ------
        Permanent
            This video will not be taken, however often it is offered.
        Retry
            Later it may be.
        AuthError, NoBox
            No video will be taken.
        """
        jobs = self._jobs_of()
        jobs.add(video.record)
        try:
            self._put_due(jobs)
            self._submit(video.record, camera_id, host, port)
        except (Permanent, InputError) as e:
            jobs.settle(video.record, refused=e.message)
            raise
        jobs.settle(video.record)

    def finish(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Puts the lists that are left. Raises Retry where one waits for videos that were not sent yet."""
        waiting = self._jobs_of().put_last()
        if waiting:
            raise Retry(f"the job waits for {waiting} videos that are not sent yet; run again")

    def origin(self) -> str | None:
        """What the cloud is known by. Raises UsageError."""
        return origin_of(self._server())

    def check(self, host: str | None, port: str | None) -> list[Check]:
        """Whether token, device, Box and clock are good; nothing is sent."""
        checks = []
        for name, what in (
            ("token", self._check_token),
            ("device", self._check_device),
            ("box", lambda: self._check_box(host, port)),
            ("clock", self._check_clock),
        ):
            try:
                is_good, message = what()
            except CamtrailError as e:
                is_good, message = False, str(e)
            checks.append(Check(name, is_good, message))
        return checks

    # ---- places

    def _server(self) -> str:
        given = self._data.get("server_url") or self._environment.get("CAMIO_SERVER_URL", "").strip()
        return server_of(bool(self._data.get("test")) and not given, given)

    def _cloud(self) -> Client:
        if self._client is None:
            said = self._data.get("access_token") or self._environment.get("CAMIO_OAUTH_TOKEN", "")
            token = token_of("", said)
            self._client = self._open.enter_context(connected(self._server(), token, self._clock))
        return self._client

    def _device(self) -> str:
        """The id of the Box. Raises UsageError where it is not said and there is none or more than one."""
        given = self._data.get("device_id") or self._environment.get("CAMIO_BOX_DEVICE_ID", "").strip()
        if not given and not self._device_id:
            found = self._patiently(self._cloud().devices)
            if not found:
                raise UsageError(
                    "this account has no Camio Box", "set one up at camio.com/box, then run again"
                )
            if len(found) > 1:
                listed = ", ".join(f"{shown(d.id)} ({shown(d.name)})"[:200] for d in found)
                raise UsageError(
                    f"this account has {len(found)} Boxes: {listed}",
                    "choose one: device_id in the hook data, or CAMIO_BOX_DEVICE_ID",
                )
            self._device_id = found[0].id
        return given or self._device_id

    def _box(self, host: str | None, port: str | None) -> Box:
        url = self._box_url(host, port)
        if url not in self._boxes:
            self._boxes[url] = Box(self._http(url), url, Secret(self._device()))
        return self._boxes[url]

    def _box_url(self, host: str | None, port: str | None) -> str:
        of_environment = self._environment.get("CAMIO_BOX_URL", "").strip()
        named = host or self._data.get("box_url") or self._data.get("ip_address")
        if not named and of_environment and not port:
            return _address(of_environment, None, "")
        named = named or urlsplit(of_environment).hostname
        if not named:
            client, device_id = self._cloud(), self._device()
            named = self._patiently(lambda: client.device_address(device_id))
        if not named:
            raise UsageError(
                "Camio does not say where the Box is",
                "give its address: HOST, or ip_address in the hook data",
            )
        return _address(named, port, of_environment)

    def _storage(self, url: str) -> Storage:
        """The storage at an address of the cloud's choice. Raises SafetyRefusal for one where none has to be."""
        try:
            origin = origin_of(url.partition("#")[0])
        except UsageError as e:
            raise BadAnswer("the cloud gives no address for the list of a shard", "run again later") from e
        there, cloud = urlsplit(origin), urlsplit(self._server())
        is_open = there.scheme == "http" and cloud.scheme != "http"
        if is_open or "#" in url or (_is_near(there.hostname) and not _is_near(cloud.hostname)):
            raise SafetyRefusal(f"Camio points to {shown(origin)[:200]}, where no storage has reason to be")
        if origin not in self._storages:
            self._storages[origin] = Storage(self._http(url))
        return self._storages[origin]

    def _http(self, url: str) -> Http:
        http = Http((origin_of(url),), user_agent=f"camtrail/{__version__}", clock=self._clock)
        return self._open.enter_context(http)

    def _patiently(self, call: Callable[[], R]) -> R:
        return patiently(
            call,
            clock=self._clock,
            random=self._random,
            attempts=_CALLS,
            backoff=_CALL_BACKOFF,
            most_wait_s=_CALL_PAUSES_S,
        )

    # ---- cameras and jobs

    def _known_cameras(self) -> dict[str, dict[str, Any]]:
        if self._entries is None:
            self._entries = self._patiently(self._cloud().cameras)
        return self._entries

    def _setting(self, camera: str, key: str) -> Any:
        """A camera's own value, or that for all where it has none."""
        own = (self._data.get("cameras") or {}).get(camera) or {}
        return own.get(key) or self._data.get(key)

    def _plan(self, camera: str) -> str:
        plan = self._setting(camera, "plan")
        if not plan:
            if not self._has_told_of_plans:
                log.warning(
                    "camera %s: no plan is given; PLUS is taken, for it and others like it", shown(camera)
                )
            self._has_told_of_plans = True
        return str(plan or "plus").upper()

    def _sizes_px(self, camera: str) -> dict[str, int]:
        sizes_px = {key: int(self._setting(camera, key) or 0) for key in IMAGE_KEYS}
        # Pictures smaller than what is made of them would only be blown up.
        heights_px = (sizes_px[key] for key in ("img_y_size_extraction", "img_y_size", "img_y_size_cover"))
        sizes_px["img_y_size_extraction"] = max(heights_px)
        return {key: size_px for key, size_px in sizes_px.items() if size_px}

    def _jobs_of(self) -> Jobs:
        if self._jobs is None:
            self._jobs = Jobs(
                self._cloud(),
                self._storage,
                self._patiently,
                self._request,
                self._clock,
                full_paths=bool(self._data.get("full_paths")),
            )
            self._jobs.keep({key: video.record for key, video in self.videos.items()})
        return self._jobs

    def _request(self, records: Sequence[Record], items: Sequence[Item]) -> dict[str, Any]:
        names = dict.fromkeys(str(r["camera"]) for r in records)
        known = self._known_cameras()
        cameras = [known.get(local_camera_id(name), {"name": name}) for name in names]
        spans = [(str(r["timestamp"]), r.get("duration")) for r in records]
        return wire.job_request(self._device(), items, spans, cameras)

    def _put_due(self, jobs: Jobs) -> None:
        try:
            jobs.put_due()
        except AuthError:
            raise
        except CamtrailError as e:  # no fault of the video that is to be sent
            log.warning("%s; it is tried again later", e)

    # ---- videos

    def _submit(self, record: Record, camera_id: str | None, host: str | None, port: str | None) -> None:
        if reason := _unsupported(record):
            raise _permanent(reason, "unsupported_for_backend")
        box, name = self._box(host, port), str(record["camera"])
        entry_id = camera_id or self._known_cameras().get(local_camera_id(name), {}).get("camera_id")
        if not entry_id:
            raise ServiceError(f"Camio does not know camera {shown(name)}", "run again")
        size_bytes, sha1 = int(record["size"]), str(record["key"])
        if record.get("in_doubt") and self._has(record):
            log.info("Camio has %s already", shown(str(record["filename"])))
            return
        with self._fs.source(str(record["filename"])) as source:
            if source.size != size_bytes:
                raise _changed()
            body = Body(size_bytes, lambda: _pieces(source, size_bytes, sha1))
            self._posted(
                lambda: box.post_content(
                    local_camera_id=local_camera_id(name),
                    camera_id=str(entry_id),
                    sha1=sha1,
                    timestamp=str(record["timestamp"]),
                    body=body,
                )
            )

    def _has(self, record: Record) -> bool:
        """Whether Camio has made events of a video. It may have the video and no event yet: the Box then gets it
        again, and knows it by its hash."""
        sha1, client = str(record["key"]), self._cloud()
        try:
            page = client.search(sha1, f"{record['timestamp']}+00:00", 1)
        except AuthError:
            raise
        except ServiceError as e:
            log.info("Camio does not say whether it has a video: %s", e)
            return False
        return any(sha1 in image.labels for image in page.images)

    def _posted(self, call: Callable[[], None]) -> None:
        def once() -> None:
            try:
                self._pace.wait()
            except CamtrailError as e:
                raise _Over(e) from e
            try:
                call()
            except QuotaExceeded:
                raise  # a Box that is busy is there
            except ServiceError as e:
                if e.retryable:
                    self._pace.failed(e.message)
                raise
            self._pace.succeeded()

        try:
            patiently(
                once,
                clock=self._clock,
                random=self._random,
                attempts=_POSTS,
                backoff=_POST_BACKOFF,
                most_wait_s=_POST_PAUSES_S,
            )
        except _Over as over:
            raise over.error from over
        except Rejected as e:
            raise _permanent(e.message, e.code) from e
        except ServiceError as e:
            if not e.retryable:
                raise
            after_s = e.retry_after_s if isinstance(e, QuotaExceeded) else None
            raise Retry(e.message, after_s) from e

    # ---- whether all is well

    def _check_token(self) -> tuple[bool, str]:
        count = len(self._cloud().devices())
        return True, f"{self.origin()} takes it; {count} Box{'' if count == 1 else 'es'}"

    def _check_device(self) -> tuple[bool, str]:
        device_id = self._device()
        found = next((d for d in self._cloud().devices() if d.id == device_id), None)
        if found is None:
            return False, "the account has no Box of this id; check device_id and CAMIO_BOX_DEVICE_ID"
        return True, f"{shown(found.name)[:60] or 'the chosen Box'} is of this account"

    def _check_box(self, host: str | None, port: str | None) -> tuple[bool, str]:
        url = self._box_url(host, port)
        if self._box(host, port).settings().get("device_id") != self._device():
            return False, f"{url} is another Box than the chosen one; check the address, or device_id"
        return True, f"{url} is the chosen one"

    def _check_clock(self) -> tuple[bool, str]:
        client = self._cloud()
        if client.skew_s is None:
            client.devices()
        if client.skew_s is None:
            return True, "Camio does not tell its own"
        if abs(client.skew_s) <= _SKEW_S:
            return True, "goes with Camio's"
        return (
            False,
            f"{abs(client.skew_s):.0f} s {'behind' if client.skew_s > 0 else 'ahead of'} Camio's; set it",
        )


def _address(text: str, port: str | None, of_environment: str) -> str:
    """The address of a Box. Raises UsageError.

    Parameters
    ----------
    text : a host, a host and its port, or a URL
    port : its port where the text has none
    of_environment : a URL whose port is that of its host; where nothing says it, it is 8080
    """
    try:
        is_bare = ip_address(text).version == 6
    except ValueError:
        is_bare = False
    url = text if "://" in text else f"http://[{text}]" if is_bare else f"http://{text}"
    base = wire.base_of(url)
    parts = urlsplit(url)
    if parts.port is not None:
        return base
    like = urlsplit(of_environment)
    number = port or (like.port if like.hostname == parts.hostname else None)
    if number is None and parts.scheme == "https":
        return base
    return wire.base_of(f"{parts.scheme}://{parts.netloc}:{number or wire.BOX_PORT}{parts.path}")


def _is_near(host: str | None) -> bool:
    """Whether an address is one of this machine or its network, as far as it shows."""
    try:
        return host == "localhost" or not ip_address(host or "").is_global
    except ValueError:
        return False


def _is_same(entry: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a camera is registered as it should be."""
    return all(entry.get(key) == wanted[key] for key in ("name", "actual_values", "default_values"))


def _unsupported(record: Mapping[str, Any]) -> str:
    """Why no Box takes a video; "" where one does, or may."""
    codec, container = record.get("codec"), record.get("container")
    if codec in _CODECS and container in _CONTAINERS:
        return ""
    made = " in ".join(shown(str(v))[:40] for v in (codec, container) if v is not None)
    return f"a Camio Box takes H.264 in MP4, and this is {made}"


def _permanent(reason: str, code: str) -> Permanent:
    error = Permanent(reason)
    error.code = code  # type: ignore[misc]
    return error


def _changed() -> Permanent:
    return _permanent("changed since it was read; run again", "changed")


def _pieces(source: ByteSource, size_bytes: int, sha1: str) -> Iterator[bytes]:
    """A file from its beginning; the last piece only where the whole is what was read before.

    Raises Permanent where it is another. A thread that hashes ahead is no gain: SHA-1 takes half a millisecond for a
    piece, less than a network of 10 Gbit/s, and what was sent goes on in the meantime.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    for at in range(0, size_bytes, _PIECE_BYTES):
        piece = source.read_at(at, _PIECE_BYTES)
        digest.update(piece)
        if at + _PIECE_BYTES >= size_bytes and digest.hexdigest() != sha1:
            raise _changed()
        yield piece


# ---- the form of a hook file

_hook = CamioHook()
_by_path: dict[str, Record] = {}  # what `assign_job_ids` was told, which `post_video_content` is not


def set_hook_data(data: Mapping[str, Any]) -> None:
    """Settings, added to those before."""
    _hook.configure(data)


def register_camera(camera_name: str, host: str | None = None, port: str | None = None) -> dict[str, Any]:
    """The cloud's entry of a camera, which has its `camera_id`."""
    return dict(_hook.register_camera(camera_name, host, port))


def assign_job_ids(
    importer: Any, db: MutableMapping[str, Record], unscheduled: Sequence[Record]
) -> str | None:
    """Gives the videos without a job one, and writes it into their records; returns its id."""
    job_id = _hook.assign([Video(record) for record in unscheduled], _videos(db))
    for record in unscheduled:
        db[str(record["key"])] = record
    _by_path.update({str(record["filename"]): record for record in db.values()})
    return job_id


def post_video_content(
    host: str | None,
    port: str | None,
    camera_name: str,
    camera_id: str | None,
    filepath: str,
    timestamp: str,
    location: tuple[float, float] | None = None,
) -> bool:
    """Gives the Box a video; the place goes nowhere. Raises what `CamioHook.submit` does."""
    record = _by_path.get(filepath) or _read(filepath, camera_name, timestamp)
    _hook.submit(Video(record), camera_id, host, port)
    return True


def register_jobs(importer: Any, db: MutableMapping[str, Record], jobs: Sequence[tuple[str, str]]) -> bool:
    """Puts the lists of shards that are left. Raises what `CamioHook.finish` does."""
    _hook.assign([], _videos(db))
    _hook.finish(list(jobs))
    return True


def service_origin() -> str | None:
    """What the cloud is known by."""
    return _hook.origin()


def check(host: str | None = None, port: str | None = None) -> list[Check]:
    """Whether token, device, Box and clock are good; nothing is sent."""
    return _hook.check(host, port)


def _videos(db: Mapping[str, Record]) -> dict[str, Video]:
    return {key: Video(record) for key, record in db.items()}


def _read(path: str, camera: str, timestamp: str) -> Record:
    """What `submit` needs of a video that nobody told of before."""
    digest = hashlib.sha1(usedforsecurity=False)
    with RealFileSystem().source(path) as source:
        for at in range(0, source.size, _PIECE_BYTES):
            digest.update(source.read_at(at, _PIECE_BYTES))
        return {
            "key": digest.hexdigest(),
            "camera": camera,
            "timestamp": timestamp,
            "filename": path,
            "size": source.size,
        }
