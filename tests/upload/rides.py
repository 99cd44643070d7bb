"""Rides to upload, the run that uploads them, and what must be true after any run, whatever went wrong in it."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camtrail.app.accounts import Accounts
from camtrail.app.context import Context
from camtrail.app.mapillary import Access, Done, process, process_and_upload, upload
from camtrail.app.mapillary_options import AccountOptions, ToolOptions, UploadOptions
from camtrail.app.mapillary_service import origin_of
from camtrail.core.errors import CamtrailError, Failure, failure_of
from camtrail.core.fs import FileSystem, RealFileSystem
from camtrail.core.secrets import Secret
from camtrail.services.mapillary.client import Client
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.wire import Endpoints
from camtrail.transfer.faultserver import Logged
from camtrail.transfer.http import Http
from photos import Shot, segment

__all__ = ["IMAGES", "SEQUENCES", "Clock", "Ended", "Ride", "fill", "finishes", "heavy", "photo"]

SEQUENCES = 3
IMAGES = 12


class Clock:
    """Sleeping returns at once, and it is later."""

    def __init__(self) -> None:
        self.at_s = 1_800_000_000.0
        self.slept_s = 0.0
        self._lock = threading.Lock()

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.at_s += seconds
            self.slept_s += seconds


def photo(n: int, **more: Any) -> bytes:
    """The n-th photo of a day with a ride of four photos an hour, each picture another one."""
    given: dict[str, Any] = {
        "local": f"2026:05:09 1{n // 4 % 10}:{n // 40:02}:{n % 4:02}", "offset": "+02:00", "make": "Sony",
        "lat_deg": 47.37 + n * 1e-4, "lon_deg": 8.54,
        "colour": lambda x, y: (40 * (n >> (x + 4 * y) & 1), 90, 30), "size": (4, 3),
    }  # fmt: skip
    return Shot(**{**given, **more}).bytes()


def heavy(n: int, times_65_kb: int = 50) -> bytes:
    """The n-th photo with other data behind its EXIF: 3.2 MB."""
    data = photo(n)
    at = 4 + int.from_bytes(data[4:6], "big")
    return data[:at] + segment(0xEF, b"x" * 65_000) * times_65_kb + data[at:]


def fill(folder: Path, n: int = IMAGES, **more: Any) -> Path:
    """A folder with `n` photos, `n` / 4 sequences."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / f"IMG_{i:03}.jpg").write_bytes(photo(i, **more))
    return folder


@dataclass(slots=True)
class Ended:
    """How a run ended."""

    code: int
    failures: list[Failure[str]]
    done: Done | None
    requests: list[Logged]  # of this run
    slept_s: float  # by the clock that it was given
    calls: list[tuple[str, str]]  # (handle of a sequence's list, what the call for its publication came to)

    @property
    def counts(self) -> Counter[str]:
        """What became of the images; nothing where the run ended before."""
        if self.done is None or self.done.uploaded is None:
            return Counter()
        return Counter({what: n for what, n in self.done.uploaded.counts.items() if n})

    def __str__(self) -> str:
        said = "\n".join(
            f"  {f.item}: [{f.code}, {f.exit_code}] {f.message}; {f.hint}" for f in self.failures
        )
        return (
            f"code {self.code}, {dict(self.counts)}, {len(self.requests)} requests, "
            f"slept {self.slept_s:.0f} s\n{said}\n  calls {self.calls}"
        )


class _Watched(Client):
    """A client whose publications are noted."""

    def __init__(self, http: Http, endpoints: Endpoints, token: Secret, calls: list[tuple[str, str]]) -> None:
        super().__init__(http, endpoints, token)
        self._calls = calls

    def finish(self, handle: str, organization_id: str | None) -> str:
        said = "BaseException"
        try:
            found = super().finish(handle, organization_id)
            said = "published"
            return found
        except Exception as e:
            said = type(e).__name__ + (" unheard" if getattr(e, "is_unheard", False) else "")
            raise
        finally:
            self._calls.append((handle, said))


@dataclass(frozen=True, slots=True)
class _Access(Access):
    """Access whose watchdog is as quick as one likes, and whose publications are noted."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    stall_s: float = 20.0

    def client(self, token: Secret, context: Context, connections: int = 1) -> Client:
        at = Endpoints.of(self.base_url)
        http = Http(
            at.origins, connections=connections, user_agent="test", clock=context.clock, connect_s=10, stall_s=self.stall_s,
            least_bytes_per_s=4000,
        )  # fmt: skip
        return _Watched(http, at, token, self.calls)


@dataclass(slots=True)
class Ride:
    """A folder of photos, an account, a ledger, and the sandbox that it is uploaded to."""

    folder: Path
    box: MapillarySandbox
    home: Path
    fs: FileSystem = field(default_factory=RealFileSystem)
    clock: Clock = field(default_factory=Clock)
    token: str = "tester"
    base_url: str = ""  # of the sandbox, where nothing else is said
    images: int = IMAGES
    sequences: int = SEQUENCES
    stall_s: float = 20.0  # a request that moves less than 4,000 bytes a second for so long fails

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.home / "data" / "ledger.sqlite"

    def options(self, **more: Any) -> ToolOptions:
        """Options of a run; `more` are those of the upload."""
        return ToolOptions(
            account=AccountOptions(user_name="tester"),
            upload=UploadOptions(**{"ledger": str(self.ledger), **more}),
        )

    def run(
        self,
        tool: Callable[..., Done] = upload,
        *,
        paths: Sequence[Path | str] = (),
        options: ToolOptions | None = None,
        transferred: Callable[[Any], None] = lambda t: None,
        **more: Any,
    ) -> Ended:
        """One run; an exception ends it as it ends the command line."""
        base_url = self.base_url or self.box.url
        accounts = Accounts(
            str(self.home / "config.toml"), origin_of(base_url), environment_token=Secret(self.token), keyring=False,
            fs=self.fs,
        )  # fmt: skip
        access = _Access(accounts, base_url, stall_s=self.stall_s)
        context = Context(fs=self.fs, clock=self.clock, transferred=transferred)
        before, slept_s = len(self.box.requests()), self.clock.slept_s
        done: Done | None = None
        try:
            named = [str(p) for p in paths or (self.folder,)]
            done = tool(named, options or self.options(**more), access, context)
            code = done.exit_code()
            failures = [*done.result.failures]
            for part in (done.written, done.uploaded if done.uploaded else done.settled):
                failures += part.failures if part else []
        except CamtrailError as e:
            code, failures = e.exit_code, [failure_of("", e)]
        asked = self.box.requests()[before:]
        return Ended(code, failures, done, asked, self.clock.slept_s - slept_s, access.calls)

    def ready(self) -> None:
        """Runs all stages but the upload."""
        processed(self.folder, self.home)

    def sums(self, photos: Iterable[Path] = ()) -> set[str]:
        """SHA-256 of photos; of all where none is named."""
        return {hashlib.sha256(p.read_bytes()).hexdigest() for p in photos or self.folder.rglob("*.jpg")}

    def times(self) -> list[int]:
        """How often each image arrived or was published, whatever is more."""
        return [image["times"] for image in self.box.received()["images"]]

    def published(self) -> Counter[str]:
        """How often each image was published, by the name of its upload."""
        made: Counter[str] = Counter()
        for manifest in self.box.received()["manifests"]:
            made.update({name: manifest["times"] for name in manifest["images"] if manifest["times"]})
        return made


def finishes(requests: Sequence[Logged]) -> list[Logged]:
    """The calls that publish."""
    return [r for r in requests if r.path == "/finish_upload"]


@contextmanager
def prepared(template: Path, home: Path, **more: Any) -> Iterator[Ride]:
    """A ride whose photos are a copy of those of a folder, state included."""
    folder = home / "ride"
    shutil.copytree(template, folder)
    with MapillarySandbox(**more) as box:
        yield Ride(folder, box, home)


def processed(folder: Path, home: Path) -> None:
    """Runs all stages on a folder, so that its photos are ready."""
    accounts = Accounts(str(home / "config.toml"), environment_token=Secret("tester"), keyring=False)
    options = ToolOptions(
        account=AccountOptions(user_name="tester"), upload=UploadOptions(ledger=str(home / "none.sqlite"))
    )
    made = process([str(folder)], options, Access(accounts), Context())
    assert made.exit_code() == 0, (made.result.failures, made.written)


__all__ += ["prepared", "process_and_upload", "processed", "upload"]
