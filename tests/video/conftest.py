"""Small videos that are real, hooks that write down how they are called, and imports of both."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from camtrail.app.context import Context
from camtrail.app.hook_data import hook_data
from camtrail.app.video import Imported, hooks_of, import_videos
from camtrail.app.video_options import BoxOptions, ImportOptions, NameOptions
from camtrail.core.fs import RealFileSystem
from camtrail.services.camio.sandbox import CamioSandbox, Quirks

REGEX = r".*/(?P<camera>\w+?)\-(?P<epoch>\d+)\.mp4"
"""The one that the documentation prints."""

START_S = 1_476_014_557  # 2016-10-09T12:02:37Z
TOKEN = "tokenthatnobodysees"
SECONDS = 2


@cache
def footage(codec: str = "libx264", container: str = "mp4", pix_fmt: str = "yuv420p") -> bytes:
    """Two seconds of moving pictures."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for n in range(SECONDS * 5):
            picture = np.full((48, 64, 3), n * 9 % 255, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


def video(n: int = 0) -> bytes:
    """A video of H.264 in MP4 whose bytes are no other number's."""
    return footage() + (16).to_bytes(4, "big") + b"free" + n.to_bytes(8, "big")


def sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def name_of(n: int, camera: str = "CAM") -> str:
    return f"{camera}-{START_S + 60 * n}.mp4"


def fill(folder: Path, count: int = 3, camera: str = "CAM") -> dict[str, str]:
    """Videos of one camera, a minute apart; their SHA-1 by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for n in range(count):
        (folder / name_of(n, camera)).write_bytes(video(n))
        made[name_of(n, camera)] = sha1(video(n))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three videos of one camera."""
    fill(tmp_path / "videos")
    return tmp_path / "videos"


# ---- hooks


NOTES = """
import json, os

def note(*what):
    with open(os.environ["HOOK_CALLS"], "a") as f:
        f.write(json.dumps(what) + "\\n")

def is_switched(what):
    return os.path.exists(os.path.join(os.environ["HOOK_SWITCHES"], what))
"""


@dataclass(frozen=True)
class HookFile:
    """A file of hooks, and what it is told."""

    path: Path
    calls_path: Path
    switches: Path

    @property
    def env(self) -> dict[str, str]:
        return {"HOOK_CALLS": str(self.calls_path), "HOOK_SWITCHES": str(self.switches)}

    def calls(self, name: str = "") -> list[list[Any]]:
        """Of one function, without its name; or of all."""
        if not self.calls_path.exists():
            return []
        told = [json.loads(line) for line in self.calls_path.read_text().splitlines()]
        return [call[1:] for call in told if call[0] == name] if name else told

    def forget(self) -> None:
        self.calls_path.unlink(missing_ok=True)

    def switch(self, what: str, on: bool = True) -> None:
        """What the hooks see with `is_switched`."""
        if on:
            (self.switches / what).touch()
        else:
            (self.switches / what).unlink(missing_ok=True)

    def posted(self) -> list[str]:
        """Names of the videos that were taken, in their order."""
        return [call[0] for call in self.calls("taken")]


def hook_file(folder: Path, text: str, name: str = "my_hooks.py") -> HookFile:
    """Writes a file of hooks; `note` and `is_switched` are there for it."""
    switches = folder / "switches"
    switches.mkdir(exist_ok=True)
    (folder / "hooks").mkdir(mode=0o755, exist_ok=True)
    path = folder / "hooks" / name
    path.write_text(NOTES + textwrap.dedent(text))
    path.chmod(0o644)
    return HookFile(path, folder / "calls.jsonl", switches)


@pytest.fixture
def hooks(tmp_path: Path) -> Callable[..., HookFile]:
    """Writes files of hooks."""
    return lambda *arguments: hook_file(tmp_path, *arguments)


TWO = """
def register_camera(camera_name, host=None, port=None):
    note("register_camera", camera_name, host, port)
    return {"camera_id": "id-" + camera_name}

def post_video_content(camera_name, camera_id, filepath, timestamp, location=None, host=None, port=None):
    name = os.path.basename(filepath)
    note("post_video_content", name, camera_id, timestamp, location, host, port)
    trouble(name)
    note("taken", name)
    return True
"""
"""The two functions that must be there."""

QUIET = "def trouble(name): pass\n"


# ---- imports


@pytest.fixture
def imported(folder: Path, tmp_path: Path) -> Callable[..., Imported]:
    """Imports the folder in this process; the hooks have their own."""

    def call(
        hook: str | Path | HookFile,
        *,
        of: Path = folder,
        env: Mapping[str, str] | None = None,
        data: Mapping[str, Any] | None = None,
        address: tuple[str | None, str | None] = (None, None),
        names: Mapping[str, Any] | None = None,
        box: Mapping[str, Any] | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> Imported:
        given = dict(env or {})
        if isinstance(hook, HookFile):
            given |= hook.env
            hook = hook.path
        path = {
            k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TZ", "PYTHONPATH", "SYSTEMROOT")
        }
        return import_videos(
            str(of),
            hooks_of(str(hook)),
            hook_data(json.dumps(data) if data else None, None, RealFileSystem()),
            address,
            ImportOptions(
                names=NameOptions(**{"regex": REGEX, **(names or {})}),
                box=BoxOptions(**(box or {})),
                **options,
            ),
            {**path, **given},
            context or Context(),
        )

    return call


def codes(done: Imported) -> set[int]:
    return {f.exit_code for f in done.result.failures}


def outcomes(done: Imported) -> dict[str, str]:
    """What became of each video, by its name."""
    return {os.path.basename(v["path"]): v["outcome"] for v in done.videos}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "camtrail", *map(str, arguments)]


@pytest.fixture
def camtrail(tmp_path: Path) -> Callable[..., Ended]:
    """Runs `camtrail ARGUMENTS` in the test's folder, as a process of its own."""

    def call(*arguments: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 120) -> Ended:
        done = subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return call


def kill(process: subprocess.Popen[Any]) -> None:
    """Ends a process that a test may have left behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(30)


# ---- Camio


@pytest.fixture
def camio() -> Iterator[Callable[..., CamioSandbox]]:
    """Starts stand-ins for Camio."""
    made: list[CamioSandbox] = []

    def start(*faults: str, **quirks: Any) -> CamioSandbox:
        made.append(CamioSandbox(token=TOKEN, faults=faults, quirks=Quirks(**quirks)))
        return made[-1]

    yield start
    for sandbox in made:
        sandbox.close()


QUICK = '''
"""The built-in hook for Camio with a clock on which no wait takes time."""

import time
from camtrail.app.camio_hook import CamioHook
from camtrail.core.clock import RealClock


class Hurried(RealClock):
    ahead_s = 0.0

    def monotonic_s(self):
        return super().monotonic_s() + self.ahead_s

    def sleep(self, seconds):
        note("sleep", seconds)
        self.ahead_s += seconds


class Quick(CamioHook):
    def __init__(self):
        super().__init__(clock=Hurried())
'''


@pytest.fixture
def quick(hooks: Callable[..., HookFile]) -> HookFile:
    """The built-in hook camio, as a file, without its waits."""
    return hooks(QUICK, "camio.py")


def environment(sandbox: CamioSandbox) -> dict[str, str]:
    return {**sandbox.environment(), "CAMIO_OAUTH_TOKEN": TOKEN}


def times(sandbox: CamioSandbox) -> dict[str, int]:
    """How often each content was accepted."""
    return {v["sha1"]: v["times"] for v in sandbox.received()["videos"]}
