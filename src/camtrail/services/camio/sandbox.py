"""Camio's cloud, Box and storage, as its batch importer's documentation and code show them, on this machine.

Notes
-----
The batch protocol of CamioCam/examples, 2017. Where that is silent: a job is `running` once all its manifests are
there, and `complete` once all videos that they list have events; a manifest that is sent again replaces the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from email.utils import formatdate
from typing import Any

from camtrail.core.clock import Clock, RealClock
from camtrail.services.camio.sandbox_box import Box, Storage
from camtrail.services.camio.sandbox_cloud import Cloud
from camtrail.services.camio.sandbox_events import bookmarks
from camtrail.services.camio.sandbox_hooks import Hooks
from camtrail.services.camio.sandbox_state import Quirks, Refused, SandboxClock, State, asked, device_id
from camtrail.transfer.faultserver import App, Fault, FaultServer, Reply, Request, StandIn, json_reply

__all__ = ["CamioSandbox", "Quirks"]


class CamioSandbox(StandIn):
    """A running stand-in for Camio; use it in a `with`.

    The names of its three origins, for faults, are `cloud`, `box` and `storage`. The user is who the token names.
    Each video has one event at least, with the video's SHA-1 among the labels of every image, a moment after it was
    posted. `GET /_sandbox/received` tells what arrived, `GET|POST /_sandbox/clock` tells the time and moves it by
    `{"advance_s": N}`, `GET|POST /_sandbox/quirks` tells and changes `Quirks`; on each origin.

    Parameters
    ----------
    token : the only token that is good; "" for any
    faults : in the language of `camtrail.transfer.faults`
    port : of the cloud, Box and storage have the next ones; 0 takes free ones
    data : a folder with files of bookmarks, `*.json`, as `camtrail video labels` writes them: their entries are the
        events of the videos whose hash they carry, or, without one, of the videos of their camera that cover their
        time; "" for events made up from a video's hash and duration
    virtual_clock : whether the time stands still until it is moved
    quirks : how it differs from the usual
    keep : whether the bytes of videos are kept in memory
    clock : the time of day

    Raises
    ------
    UsageError
        A port is taken, or a fault is none.
    InputError
        There are no bookmarks in `data`.
    """

    def __init__(
        self,
        *,
        token: str = "",
        faults: Iterable[str | Fault] = (),
        port: int = 0,
        data: str = "",
        virtual_clock: bool = False,
        quirks: Quirks | None = None,
        keep: bool = False,
        clock: Clock | None = None,
    ) -> None:
        moved = SandboxClock(clock or RealClock(), virtual_clock)
        replayed = bookmarks(data) if data else None
        self._state = State(moved, quirks or Quirks(), token, replayed, keep)
        self._hooks = Hooks(self._state)
        origins: dict[str, Callable[[Request], Reply]] = {
            "cloud": Cloud(self._state, self._hooks).answer,
            "box": Box(self._state).answer,
            "storage": Storage(self._state).answer,
        }
        server = FaultServer(
            {name: self._answering(answer) for name, answer in origins.items()}, port=port, faults=faults
        )
        super().__init__(server)
        self.url = self._state.cloud_url = server.url("cloud")
        self.box_url = server.url("box")
        self.storage_url = self._state.storage_url = server.url("storage")

    def environment(self) -> dict[str, str]:
        """The variables that send clients here."""
        return {
            "CAMIO_SERVER_URL": self.url,
            "CAMIO_BOX_URL": self.box_url,
            "CAMIO_BOX_DEVICE_ID": device_id(0),
        }

    def received(self) -> dict[str, Any]:
        """What `GET /_sandbox/received` tells.

        `videos` are `{"name", "bytes", "sha256", "sha1", "camera_id", "timestamp", "times", "state"}`, one for each
        content that was accepted; the name is what a manifest says, None before; `times` counts accepted posts.
        `manifests` are `{"job_id", "shard_id", "item_count", "hashes", "times"}`, as they were sent last; `times`
        counts accepted ones. `jobs` are as the service describes them, `cameras` by local id. `interactions`,
        `hooks` and `calls` have what was recorded. `leaks` has every request with an Authorization that came to the
        Box or the storage.
        """
        with self._state.lock:
            return {**self._state.received(), **self._hooks.received()}

    def advance(self, seconds: float) -> None:
        """Moves the clock."""
        with self._state.lock:
            self._state.clock.advance({"advance_s": seconds})

    def set_quirks(self, **changed: Any) -> None:
        """Changes some quirks. Raises ValueError."""
        try:
            self._change_quirks(changed)
        except Refused as e:
            raise ValueError(e.reason) from e

    def content(self, sha1: str) -> bytes | None:
        """The bytes of a video; None where they were not kept."""
        with self._state.lock:
            video = self._state.videos.get(sha1)
            return video.content if video else None

    def close(self) -> None:
        """Ends it; may be called again."""
        self._hooks.close()
        super().close()

    def _answering(self, answer: App) -> App:
        def reply(request: Request) -> Reply:
            told = self._told if request.path.startswith("/_sandbox/") else answer
            try:
                made = told(request)
            except Refused as e:
                made = e.reply()
            date = formatdate(self._state.clock.now_s(), usegmt=True)
            return Reply(made.status, made.body, {"Date": date, **made.headers})

        return reply

    def _told(self, request: Request) -> Reply:
        what = request.path.removeprefix("/_sandbox/")
        if request.method == "POST" and what == "clock":
            said = asked(request)
            with self._state.lock:
                self._state.clock.advance(said)
        elif request.method == "POST" and what == "quirks":
            self._change_quirks(asked(request))
        elif request.method != "GET":
            raise Refused(404, "there is no such thing here")
        if what == "received":
            return json_reply(self.received())
        if what == "clock":
            return json_reply(self._state.clock.told())
        if what == "quirks":
            return json_reply(asdict(self._state.quirks))
        raise Refused(404, "there is no such thing here")

    def _change_quirks(self, said: Any) -> None:
        with self._state.lock:
            self._state.quirks = self._state.quirks.changed(said)
