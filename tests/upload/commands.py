"""The command line in processes of their own, quick to start and easy to stop, and a sandbox that stops them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrail.services.mapillary.sandbox import MapillarySandbox
from crashpoints import Server

from .rides import fill

__all__ = ["Command", "Said", "Stopper", "served"]


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote on both its streams."""

    code: int
    text: str
    elapsed_s: float

    @property
    def json(self) -> Any:
        """The one object among the lines."""
        found = [line for line in self.text.splitlines() if line.startswith("{")]
        assert len(found) == 1, self
        return json.loads(found[0])


class Stopper(MapillarySandbox):
    """A sandbox that calls back where one of its faults waits: within a stall, a delay, or a body that is read slowly."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.when: Callable[[], object] = lambda: None
        self._server._waits = lambda seconds: self.when()


@dataclass(slots=True)
class Command:
    """Runs commands; one at a time."""

    server: Server
    home: Path
    box: MapillarySandbox
    said: str = "said"
    pid: int = 0

    def environment(self) -> dict[str, str]:
        """What a command needs to find its home and the sandbox."""
        home = {"HOME": str(self.home), "CAMTRAIL_KEYRING": "off", "MAPILLARY_TOKEN": "tester", "TZ": "UTC"}
        return {**home, **self.box.environment()}

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        started: Callable[[], object] = lambda: None,
    ) -> Said:
        self.home.mkdir(parents=True, exist_ok=True)
        said = self.home / self.said
        self.pid = self.server.start(
            [str(a) for a in arguments], str(self.home), {**self.environment(), **(env or {})}, str(said)
        )
        started()
        began = time.monotonic()
        code = self.server.go()
        ended = time.monotonic()
        return Said(code, said.read_text(errors="replace"), ended - began)

    def upload(self, *paths: Path, more: Sequence[str] = (), **options: Any) -> Said:
        """All stages and the upload."""
        line = ("mapillary", "process_and_upload", *paths, "--user_name", "tester", "--json", *more)
        return self(*line, **options)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal to the command that runs, and returns when it is dead, if it dies of it."""
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(self.pid, number)
        until = time.monotonic() + 5
        while number == signal.SIGKILL and time.monotonic() < until:
            try:
                stat = Path(f"/proc/{self.pid}/stat").read_text()
            except OSError:
                return
            if stat.rpartition(")")[2].split()[0] == "Z":
                return


@contextmanager
def served(home: Path) -> Iterator[Server]:
    """A server of commands that has everything loaded that an upload needs."""
    fill(home / "warm", 4)
    with MapillarySandbox() as box:
        warm = {
            **box.environment(),
            "HOME": str(home),
            "MAPILLARY_TOKEN": "tester",
            "CAMTRAIL_KEYRING": "off",
            "TZ": "UTC",
        }
        before = {name: os.environ.get(name) for name in warm}
        os.environ.update(warm)
        try:
            server = Server(
                [["mapillary", "process_and_upload", str(home / "warm"), "--user_name", "tester", "--json"]]
            )
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        assert len(box.received()["images"]) == 4
    with server:
        yield server
