"""What the three origins of a stand-in for Camio know together: its clock, cameras, jobs, videos and events."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import threading
from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from camtrail.core.clock import Clock
from camtrail.services.camio.sandbox_events import Bookmarks, Event, scripted
from camtrail.transfer.faultserver import Reply, Request, json_reply

__all__ = [
    "Camera",
    "Job",
    "Quirks",
    "Refused",
    "SandboxClock",
    "Shard",
    "State",
    "Video",
    "asked",
    "device_id",
    "signature",
]

_MOST_JSON_BYTES = 1 << 27
_SHARD_BYTES = 1 << 20
_KEY = b"opens nothing but a sandbox"
_STATES = ("received", "segmenting", "events_ready", "submitted")


class Refused(Exception):
    """A request that ends with a reason."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})

    def reply(self) -> Reply:
        """The reply that says so."""
        return json_reply({"error": self.reason}, self.status, self.headers)


def asked(request: Request) -> Any:
    """The JSON value that a request carries. Raises Refused."""
    try:
        return json.loads(request.body.read(_MOST_JSON_BYTES))
    except (ValueError, RecursionError) as e:
        raise Refused(400, "the body is no JSON") from e


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How the stand-in differs from the usual."""

    devices: int = 1  # of the account; the first is the Box that listens
    address_missing: int = 0  # calls that ask for a Box's address and are told none
    camera_delay_s: float = 0.0  # until a camera that was registered is listed
    shard_items: int | None = None  # of one shard; None: as many as 1 MiB of manifest holds
    url_life_s: float = 1200.0  # of the addresses for manifests
    fresh_urls: bool = False  # asking for a job gives addresses of full life
    queue_items: int | None = None  # that the Box works on at once, 429 beyond; None: no limit
    retry_after_s: int | None = None  # that a 429 names; None: it names none
    state_s: float = 0.5  # a video's time in each of received, segmenting and events_ready
    lagging_status: bool = False  # a job is shards_missing while any of its shards is not complete
    more_results: bool = False  # always true in answers to searches
    beyond_range: bool = False  # each search also gives an event of an hour before
    empty_labels: bool = False  # each image has a label that is ""
    bodyless: bool = False  # answers whose body says nothing new are 204 without one

    def changed(self, said: Any) -> Quirks:
        """The same with those that a JSON object names. Raises Refused."""
        if not isinstance(said, dict):
            raise Refused(400, "what was sent is no JSON object")
        kinds = {f.name: str(f.type) for f in fields(self)}
        for name, value in said.items():
            if name not in kinds:
                raise Refused(400, f"there is no quirk {name!r}; there are {', '.join(kinds)}")
            if not _fits(kinds[name], value):
                raise Refused(400, f"{name} takes {kinds[name]}, from 0 on")
        return replace(self, **said)


def _fits(kind: str, value: Any) -> bool:
    if value is None:
        return kind.endswith("None")
    if kind == "bool":
        return isinstance(value, bool)
    is_number = type(value) is int or (kind == "float" and type(value) is float)
    return is_number and 0 <= value <= 1e9


class SandboxClock:
    """The stand-in's time of day: the machine's, or one that stands still until it is moved."""

    def __init__(self, clock: Clock, is_virtual: bool) -> None:
        self.is_virtual = is_virtual
        self._clock = clock
        self._start_s = clock.now_s()
        self._ahead_s = 0.0

    def now_s(self) -> float:
        """POSIX seconds."""
        return (self._start_s if self.is_virtual else self._clock.now_s()) + self._ahead_s

    def advance(self, said: Any) -> None:
        """Moves it by what a JSON object has under `advance_s`. Raises Refused."""
        if not isinstance(said, dict) or not _fits("float", said.get("advance_s")):
            raise Refused(400, 'what was sent is no {"advance_s": seconds}, from 0 on')
        self._ahead_s += said["advance_s"]

    def told(self) -> dict[str, Any]:
        """What `GET /_sandbox/clock` tells."""
        now_s = self.now_s()
        shown = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
        return {"now_s": now_s, "now": shown, "is_virtual": self.is_virtual}


@dataclass(slots=True, eq=False)
class Camera:
    """A camera that was registered."""

    owner: str
    id: str
    document: dict[str, Any]
    since_s: float


@dataclass(slots=True, eq=False)
class Video:
    """A video that the Box has taken."""

    sha1: str
    sha256: str
    size_bytes: int
    camera: Camera
    timestamp: str  # as it was posted
    start_ms: int
    duration_s: float | None
    since_s: float
    content: bytes | None  # None where it was not kept
    times: int = 1
    is_submitted: bool = False


@dataclass(slots=True, eq=False)
class Shard:
    """A part of a job, with its own manifest."""

    job_id: str
    id: str
    item_count: int
    expires_s: int
    files: dict[str, Any] | None = None  # of the last manifest, by hash; None before the first
    times: int = 0
    is_complete: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """What was announced."""

    id: str
    owner: str
    request: dict[str, Any]
    shards: list[Shard]


@dataclass(slots=True, eq=False)
class State:
    """All of it. Hold `lock` while using anything but `clock`, `token` and `keep`."""

    clock: SandboxClock
    quirks: Quirks
    token: str
    bookmarks: Bookmarks | None
    keep: bool
    cloud_url: str = ""
    storage_url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    cameras: dict[tuple[str, str], Camera] = field(default_factory=dict)  # by owner and local id
    jobs: dict[str, Job] = field(default_factory=dict)
    videos: dict[str, Video] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)  # by owner, in their order
    leaks: list[dict[str, str]] = field(default_factory=list)
    interactions: list[Any] = field(default_factory=list)
    changes: int = 0  # grows with whatever may complete a job or has an event
    _queue: deque[Video] = field(default_factory=deque)
    _by_camera_id: dict[str, Camera] = field(default_factory=dict)

    def device_ids(self) -> list[str]:
        """Those of the account's Boxes."""
        return [device_id(i) for i in range(self.quirks.devices)]

    def leaked(self, request: Request) -> bool:
        """Whether a request has an Authorization that should not have come here; it is noted."""
        if "authorization" not in request.headers:
            return False
        with self.lock:
            self.leaks.append({"origin": request.origin, "method": request.method, "path": request.path})
        return True

    def put_camera(self, owner: str, local_id: str, document: dict[str, Any]) -> None:
        """Takes a camera, or what is new of one."""
        known = self.cameras.get((owner, local_id))
        mac = "".join(c for c in document["mac_address"] if c in "0123456789abcdefABCDEF")
        made = f"{owner}:{mac}:{local_id}"
        base = known.document if known else {"tags": []}
        full = {**base, **document, "user_id": owner, "mac_address": mac, "camera_id": made}
        camera = Camera(owner, made, full, known.since_s if known else self.clock.now_s())
        self.cameras[owner, local_id] = self._by_camera_id[made] = camera

    def listed_cameras(self, owner: str) -> dict[str, dict[str, Any]]:
        """The cameras of an account that are seen already, by local id."""
        latest_s = self.clock.now_s() - self.quirks.camera_delay_s
        return {
            local_id: camera.document
            for (whose, local_id), camera in self.cameras.items()
            if whose == owner and camera.since_s <= latest_s
        }

    def camera(self, camera_id: str, local_id: str) -> Camera | None:
        """The camera with both; None where there is none."""
        found = self._by_camera_id.get(camera_id)
        return found if found and found.document["local_camera_id"] == local_id else None

    def add_video(self, video: Video) -> None:
        """Queues a video. Raises Refused where the queue is full."""
        self.settle()
        known = self.videos.get(video.sha1)
        if known is not None:
            known.times += 1
            return
        most, wait_s = self.quirks.queue_items, self.quirks.retry_after_s
        if most is not None and len(self._queue) >= most:
            raise Refused(429, "the queue is full", {} if wait_s is None else {"Retry-After": str(wait_s)})
        self.videos[video.sha1] = video
        self._queue.append(video)

    def settle(self) -> None:
        """Gives the videos whose time has come their events."""
        latest_s = self.clock.now_s() - 3 * self.quirks.state_s
        while self._queue and self._queue[0].since_s <= latest_s:
            video = self._queue.popleft()
            video.is_submitted = True
            self.changes += 1
            found = self.events.setdefault(video.camera.owner, [])
            for one in self._seen(video):
                insort(found, one, key=_order)

    def queued(self) -> int:
        """How many videos the Box works on."""
        self.settle()
        return len(self._queue)

    def _seen(self, video: Video) -> list[Event]:
        name = video.camera.document["name"]
        if self.bookmarks is not None:
            return self.bookmarks.events(video.sha1, name, video.start_ms, video.duration_s)
        return scripted(video.sha1, name, video.start_ms, video.duration_s)

    def add_job(self, owner: str, request: dict[str, Any]) -> Job:
        """A new job, with its items dealt to shards."""
        said = json.dumps(request, sort_keys=True)
        made = hashlib.sha256(f"job {len(self.jobs)} {owner} {said}".encode()).hexdigest()[:32]
        most = self.quirks.shard_items or max(1, _SHARD_BYTES // request["item_average_size_bytes"])
        left: int = request["item_count"]
        expires_s = self._expiry_s()
        shards = [
            Shard(made, str(i), min(most, left - i * most), expires_s) for i in range(math.ceil(left / most))
        ]
        self.jobs[made] = Job(made, owner, request, shards)
        return self.jobs[made]

    def renew(self, job: Job) -> None:
        """Gives a job's addresses their full life."""
        for shard in job.shards:
            shard.expires_s = self._expiry_s()

    def _expiry_s(self) -> int:
        return math.ceil(self.clock.now_s() + self.quirks.url_life_s)

    def put_manifest(self, shard: Shard, files: dict[str, Any]) -> None:
        """Takes a manifest, in place of the one before."""
        if files.keys() != (shard.files or {}).keys():
            shard.is_complete = False
        shard.files = files
        shard.times += 1
        self.changes += 1

    def status_of(self, shard: Shard) -> str:
        """missing until there is a manifest, complete once all that it lists was submitted."""
        if shard.files is None:
            return "missing"
        if not shard.is_complete:
            videos = map(self.videos.get, shard.files)
            shard.is_complete = all(v is not None and v.is_submitted for v in videos)
        return "complete" if shard.is_complete else "running"

    def told_job(self, job: Job) -> dict[str, Any]:
        """A job as the service describes it."""
        self.settle()
        statuses = {shard.id: self.status_of(shard) for shard in job.shards}
        is_missing = "missing" in statuses.values()
        is_running = "running" in statuses.values()
        status = "running" if is_running else "complete"
        if is_missing or (is_running and self.quirks.lagging_status):
            status = "shards_missing"
        return {
            "job_id": job.id,
            "request": job.request,
            "shard_map": {s.id: self._told_shard(s, statuses[s.id]) for s in job.shards},
            "status": status,
        }

    def _told_shard(self, shard: Shard, status: str) -> dict[str, Any]:
        return {
            "item_count": shard.item_count,
            "job_id": shard.job_id,
            "shard_id": shard.id,
            "status": status,
            "upload_url": self._upload_url(shard),
        }

    def _upload_url(self, shard: Shard) -> str:
        path = f"/storage/bij-{shard.job_id}-{shard.id}"
        signed = quote(signature(path, str(shard.expires_s)), safe="")
        return f"{self.storage_url}{path}?GoogleAccessId=sandbox&Expires={shard.expires_s}&Signature={signed}"

    def received(self) -> dict[str, Any]:
        """What arrived; `CamioSandbox.received` says how it is told."""
        self.settle()
        manifests = [s for job in self.jobs.values() for s in job.shards if s.files is not None]
        files = {sha1: entry for s in manifests for sha1, entry in (s.files or {}).items()}
        return {
            "videos": [
                {"name": files.get(v.sha1, {}).get("original_filename"), **self._told_video(v)}
                for v in self.videos.values()
            ],
            "manifests": [_told_manifest(s) for s in manifests],
            "jobs": [self.told_job(job) for job in self.jobs.values()],
            "cameras": {local_id: camera.document for (_, local_id), camera in self.cameras.items()},
            "interactions": self.interactions,
            "leaks": self.leaks,
        }

    def _told_video(self, video: Video) -> dict[str, Any]:
        passed = (self.clock.now_s() - video.since_s) / (self.quirks.state_s or 1)
        state = _STATES[3 if video.is_submitted else max(0, min(int(passed), 2))]
        return {
            "bytes": video.size_bytes,
            "sha256": video.sha256,
            "sha1": video.sha1,
            "camera_id": video.camera.id,
            "timestamp": video.timestamp,
            "times": video.times,
            "state": state,
        }


def _order(event: Event) -> tuple[int, str, str]:
    return event.order


def _told_manifest(shard: Shard) -> dict[str, Any]:
    files = shard.files or {}
    return {
        "job_id": shard.job_id,
        "shard_id": shard.id,
        "item_count": len(files),
        "hashes": list(files),
        "times": shard.times,
    }


def device_id(number: int) -> str:
    """The id of a Box."""
    return hashlib.sha256(f"device {number}".encode()).hexdigest()[:32]


def signature(path: str, expires: str) -> str:
    """What an address for a manifest is signed with."""
    made = hmac.new(_KEY, f"PUT\n{expires}\n{path}".encode(), hashlib.sha256)
    return base64.b64encode(made.digest()).decode()
