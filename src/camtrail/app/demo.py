"""The whole story on a made collection: what each verb does, against stand-ins of the services on this machine.

Nothing of the user's own is touched: accounts, ledger, cache and state lie in the demo's folder.
"""

from __future__ import annotations

import csv
import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from camtrail.app import demo_sample as sample
from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.sandbox import Running, Sandbox, SandboxOptions, start
from camtrail.app.state import FOLDER, absolute
from camtrail.core.errors import (
    CamtrailError,
    MissingDependency,
    SafetyRefusal,
    StorageError,
    UnreadableFile,
    failure_of,
    worst,
)
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.core.options import opt
from camtrail.core.secrets import Secret
from camtrail.metadata import safeio

__all__ = ["DemoOptions", "Step", "Story", "demo"]

_MARK = ".camtrail-demo"
_MARK_TEXT = b"A demo of camtrail lies here; camtrail demo makes it anew.\n"
_OWN = ".own"  # what would be the user's: ledger, accounts, cache
_TOKEN = "demo"  # noqa: S105 - any is good at a stand-in, which takes it for the user's name
_HOOK_DATA = '{"plan": "plus"}'
_DOWNLOADED, _DOWNLOADS = "downloaded", 12
_WATCH_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What becomes of the demo's pages."""

    open: bool = opt(False, "show the pages in a browser at the end")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story, as it came out."""

    about: str  # what it does, in words
    commands: tuple[str, ...]  # that a user would type
    said: str  # what it came to, one line
    verdict: str = "ok"  # or left out, failed
    outputs: tuple[str, ...] = ()
    elapsed_s: float = 0.0


@dataclass(slots=True)
class Story:
    """What a demo came to."""

    folder: str  # as typed
    result: Result
    steps: list[Step] = field(default_factory=list)

    @property
    def pages(self) -> list[str]:
        """The pages that there are to look at, in the order of their making."""
        return [path for step in self.steps for path in step.outputs if path.endswith(".html")]

    def exit_code(self) -> int:
        """0, or that of the gravest failure."""
        return worst({f.exit_code for f in self.result.failures})


class _Unexpected(CamtrailError):
    """A step that came out otherwise than it always does."""


def demo(
    folder: str, environment: Mapping[str, str], context: Context, tell: Callable[[Step], None]
) -> Story:
    """Makes the sample in a folder, and runs the story on it.

    Parameters
    ----------
    folder : must be missing, empty, or an earlier demo, which is made anew
    environment : for hooks, which run in a process of their own; what it says of services does not count
    tell : is told of each step when it is over

    Raises
    ------
    SafetyRefusal
        The folder has something else in it.
    StorageError
        It cannot be made.
    """
    _claim(folder, context)
    start_s = context.clock.monotonic_s()
    context = replace(context, data_dir=f"{absolute(folder)}/{_OWN}")
    story = Story(folder, Result("demo", paths=[folder]))
    with ExitStack() as stack:
        run = _Run(folder.rstrip("/") or folder, environment, context, stack)
        for about, step in run.steps():
            done = _done(about, step, story, context)
            story.steps.append(done)
            story.result.outputs += done.outputs
            tell(done)
    story.result.elapsed_s = context.clock.monotonic_s() - start_s
    return story


def _claim(folder: str, context: Context) -> None:
    """Makes the folder ours. Its own state is made, too, so that none of a folder above counts."""
    try:
        context.fs.make_folder(folder)
        names = {entry.name for entry in context.fs.entries(folder)}
        if names and _MARK not in names:
            raise SafetyRefusal(
                f"{shown(folder)}: has something else in it", "name a folder that is empty or missing"
            )
        safeio.put(
            context.fs, f"{folder}/{_MARK}", [_MARK_TEXT]
        )  # first, so that a run that is ended can go on
        _forget(folder, context.fs)
        context.fs.make_folder(f"{folder}/{FOLDER}")
        context.fs.make_folder(f"{folder}/{_OWN}", private=True)
    except OSError as e:
        raise StorageError(f"{shown(folder)}: cannot be made ({e.strerror})", "name another folder") from e


def _forget(folder: str, fs: FileSystem) -> None:
    """Takes away what an earlier demo knew and downloaded; all else it replaces. Raises OSError."""
    downloaded = f"{folder}/{_DOWNLOADED}"
    fetched = _fetched(downloaded, fs)
    for path in _files(downloaded, fs):
        with fs.source(path) as source:
            is_fetched = hashlib.sha256(source.read_at(0, source.size)).hexdigest() in fetched
        if is_fetched:
            safeio.remove(fs, path)
    for known in (f"{downloaded}/{FOLDER}", f"{folder}/{FOLDER}", f"{folder}/{_OWN}"):
        for path in _files(known, fs):
            safeio.remove(fs, path)


def _fetched(downloaded: str, fs: FileSystem) -> set[str]:
    """SHA-256 of the pictures that a demo downloaded, by the table that it wrote beside them."""
    try:
        with fs.source(f"{downloaded}/manifest.csv") as source:
            table = source.read_at(0, source.size).decode("utf-8", "replace")
    except UnreadableFile:
        return set()
    return {row.get("sha256") or "" for row in csv.DictReader(table.splitlines())}


def _files(folder: str, fs: FileSystem) -> Iterator[str]:
    """Those below a folder; links are not followed."""
    try:
        found = fs.entries(folder) if fs.status(folder).kind == "folder" else []
    except FileNotFoundError:
        return
    for entry in found:
        if entry.kind == "folder":
            yield from _files(entry.path, fs)
        elif entry.kind == "file":
            yield entry.path


_Said = tuple[str, str, tuple[str, ...]]
"""Commands, a line each, what they came to, and files that they wrote."""


def _done(about: str, step: Callable[[], _Said], story: Story, context: Context) -> Step:
    """A step, carried out; what goes wrong in it does not end the story."""
    start_s = context.clock.monotonic_s()
    try:
        command, said, outputs = step()
        verdict = "ok"
    except MissingDependency as e:
        command, said, outputs, verdict = "", str(e), (), "left out"
    except Exception as e:  # noqa: BLE001 - a defect of one step costs that step only
        if isinstance(e, SafetyRefusal):
            e.hint = "move it away"  # a demo takes no --force
        story.result.failures.append(failure_of(about, e))
        command, said, outputs, verdict = "", shown(str(e)), (), "failed"
    return Step(
        about, tuple(command.splitlines()), said, verdict, outputs, context.clock.monotonic_s() - start_s
    )


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise _Unexpected(what, "this is a defect of camtrail; please report it")


def _command(*words: str) -> str:
    return shlex.join(["camtrail", *map(shown, words)])


_ADDRESSES = {
    "mapillary": ("CAMTRAIL_MAPILLARY_URL",),
    "inaturalist": ("CAMTRAIL_INATURALIST_URL",),
    "camio": ("CAMIO_SERVER_URL", "CAMIO_BOX_URL"),
}
"""Variables that commands are sent to a stand-in by."""


class _Run:
    """The steps, with what they leave to one another."""

    def __init__(
        self, folder: str, environment: Mapping[str, str], context: Context, stack: ExitStack
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._context = context
        self._stack = stack
        self._services: Running
        self._job = ""

    def steps(self) -> Iterator[tuple[str, Callable[[], _Said]]]:
        """(what it does, the step), in their order."""
        yield "make a collection: a ride, a walk, pictures of a chat, videos", self._sample
        yield "place, order and explain all photos", self._process
        yield "start stand-ins of the services on this machine", self._sandboxes
        yield "send the ride to Mapillary's stand-in", self._upload
        yield "send it again: nothing is sent twice", self._again
        yield "take back what was written into the photos", self._undo
        yield "download images of the area", self._download
        yield "find which photos are on iNaturalist, and write that into them", self._match
        yield "list the places of the walk and the ride", self._places
        yield "find copies among the photos of the walk and the chat", self._similar
        yield "find when the pictures of the chat were taken, by their names", self._dates
        yield "rehearse an import of the videos into nothing", self._rehearse
        yield "import the videos into Camio's stand-in", self._import
        yield "fetch the labels of what it saw in them", self._labels

    def _at(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _command(self, service: str, *words: str) -> str:
        """A command, with the address of the stand-in that it goes to in front: without it, it goes to the service."""
        variables = self._services.boxes[service].environment()
        return " ".join([*(f"{v}={variables[v]}" for v in _ADDRESSES[service]), _command(*words)])

    # ---- photos

    def _sample(self) -> _Said:
        made = sample.make(self._context.fs, self._folder)
        said = f"{made.photos} photos, a track and {made.videos} videos in {shown(self._folder)}"
        if not made.is_playable:
            said += "; videos with pictures in them need pip install 'camtrail[video]'"
        return _command("demo", self._folder), said, ()

    def _process(self) -> _Said:
        from camtrail.app.process import process
        from camtrail.app.report import check_page, write

        track, page = self._at(sample.TRACK), self._at("report.html")
        check_page(page, False, self._context)
        options = self._options(track)
        result = process([self._folder], options, self._context)
        write(result, page, self._context, max_gap_s=options.join.max_gap_s)
        counts = result.counts()
        _expect(counts.get("located", 0) > 100, f"{counts} photos came out so")
        said = ", ".join(f"{n} {outcome.replace('_', ' ')}" for outcome, n in counts.items())
        command = _command("process", self._folder, "--track", track, "--report", page)
        return command, f"{said}; {result.sequences} sequences", (page,)

    def _options(self, *tracks: str) -> ProcessOptions:
        from camtrail.app.feeds import SourceOptions

        return ProcessOptions(sources=SourceOptions(track=tracks))

    def _places(self) -> _Said:
        from camtrail.app.places import build
        from camtrail.app.places_options import BuildOptions
        from camtrail.app.scan import ScanOptions
        from camtrail.steps.places import PlaceOptions

        paths, table = [self._at("walk"), self._at("ride")], self._at("location_mapping.csv")
        done = build(paths, ScanOptions(), PlaceOptions(), BuildOptions(output=table), self._context)
        count = len(done.stays.count)
        _expect(count > 0, "there are no places")
        photos = int(done.stays.count.sum())
        return (
            _command("places", "build", *paths, "-o", table),
            f"{count} places of {photos} photos",
            (table,),
        )

    def _similar(self) -> _Said:
        from camtrail.app.scan import ScanOptions
        from camtrail.app.similar import similar
        from camtrail.app.similar_options import SimilarOptions
        from camtrail.app.similar_page import check_outputs, write_outputs

        paths, page = [self._at("walk"), self._at("chat")], self._at("similar.html")
        check_outputs([page], False, self._context)
        done = similar(paths, ScanOptions(), SimilarOptions(), self._context)
        write_outputs(done, [page], self._context)
        _expect(len(done.groups) == 3, f"{len(done.groups)} groups of copies were found, not 3")
        said = f"{len(done.groups)} of the chat's pictures are smaller copies of photos of the walk"
        return _command("similar", *paths, "-o", page), said, (page,)

    def _dates(self) -> _Said:
        from camtrail.app.dates import dates
        from camtrail.app.dates_options import DatesOptions
        from camtrail.app.write_options import ChangeOptions

        paths = [self._at("chat")]
        to = ChangeOptions(write="exif", dry_run=True)
        done = dates(paths, ProcessOptions(), DatesOptions(), to, self._context)
        counts = done.counts()
        _expect(counts.get("dated", 0) == 4, f"{counts} pictures came out so, not 4 dated")
        return (
            _command("dates", *paths, "--write", "exif", "--dry-run"),
            f"{counts['dated']} pictures get a date by their names; without --dry-run it is written into them",
            (),
        )

    # ---- services

    def _sandboxes(self) -> _Said:
        # One service at a time: each has data of its own.
        data = {"mapillary": self._at("ride"), "inaturalist": self._at(sample.ONLINE), "camio": ""}
        boxes: dict[str, Sandbox] = {}
        for name, of in data.items():
            running = self._stack.enter_context(start([name], SandboxOptions(data=of)))
            boxes |= running.boxes
        self._services = Running(boxes)
        said = ", ".join(f"{name} at {box.url}" for name, box in boxes.items())
        commands = [_command("sandbox", name, *(["--data", of] if of else [])) for name, of in data.items()]
        return "\n".join(commands), said, ()

    def _tool(self) -> tuple[Any, Any]:
        """(access, options) of Mapillary's tools."""
        from camtrail.app.accounts import Accounts
        from camtrail.app.mapillary import Access
        from camtrail.app.mapillary_options import AccountOptions, ToolOptions, UploadOptions

        url = self._services.boxes["mapillary"].url
        accounts = Accounts(
            f"{self._context.data_dir}/config.toml", url, environment_token=Secret(_TOKEN), keyring=False,
            fs=self._context.fs,
        )  # fmt: skip
        options = ToolOptions(
            process=self._options(self._at(sample.TRACK)),
            account=AccountOptions(user_name=sample.LOGIN),
            upload=UploadOptions(ledger=f"{self._context.data_dir}/ledger.sqlite"),
        )
        return Access(accounts, url), options

    def _upload(self) -> _Said:
        from camtrail.app.mapillary import process_and_upload

        access, options = self._tool()
        ride, track = self._at("ride"), self._at(sample.TRACK)
        self._before = self._digests(ride)
        done = process_and_upload([ride], options, access, self._context)
        for failure in done.result.failures:
            raise _Unexpected(f"{failure.item}: {failure.message}", failure.hint)
        assert done.uploaded is not None and done.written is not None
        sent = done.uploaded.counts["uploaded"]
        _expect(sent > 90, f"{sent} photos were sent")
        said = (
            f"{sent} photos sent in {len(done.uploaded.sequences)} sequences; places, headings and descriptions "
            f"written into {done.written.counts.get('written', 0)}"
        )
        words = ["mapillary", "process_and_upload", ride, "--track", track, "--user_name", sample.LOGIN]
        return self._command("mapillary", *words), said, ()

    def _again(self) -> _Said:
        from camtrail.app.mapillary import upload

        access, options = self._tool()
        ride = self._at("ride")
        done = upload([ride], options, access, self._context)
        assert done.uploaded is not None
        sent, before = (done.uploaded.counts[what] for what in ("uploaded", "already_uploaded"))
        _expect(sent == 0 and before > 90, f"{sent} photos were sent again, {before} were not")
        said = f"{sent} sent, {before} were there already"
        words = ["mapillary", "upload", ride, "--user_name", sample.LOGIN]
        return self._command("mapillary", *words), said, ()

    def _undo(self) -> _Said:
        from camtrail.app.scan import ScanOptions
        from camtrail.app.undo import UndoOptions, undo

        ride = self._at("ride")
        done = undo([ride], ScanOptions(), UndoOptions(), self._context)
        _expect(self._digests(ride) == self._before, "photos are not what they were")
        return _command("undo", ride), f"{len(done.restored)} photos are byte for byte what they were", ()

    def _digests(self, folder: str) -> dict[str, bytes]:
        found = {}
        for entry in self._context.fs.entries(folder):
            if entry.kind == "file":
                with self._context.fs.source(entry.path) as source:
                    found[entry.name] = hashlib.sha256(source.read_at(0, source.size)).digest()
        return found

    def _download(self) -> _Said:
        from camtrail.app.download import Service, download_images
        from camtrail.app.download_options import AreaOptions
        from camtrail.app.mapillary_service import open_client, open_pictures

        url, target, clock = (
            self._services.boxes["mapillary"].url,
            self._at(_DOWNLOADED),
            self._context.clock,
        )
        options = AreaOptions(output=target, max_results=_DOWNLOADS)
        with (
            closing(open_client(url, Secret(_TOKEN), clock, options.connections)) as client,
            open_pictures(url, clock, options.connections) as pictures,
        ):
            done = download_images(sample.WALK_BOX, options, Service(client, pictures, url), self._context)
        there = done.counts["fetched"] + done.counts["there_before"]
        _expect(there == _DOWNLOADS, f"{there} images were downloaded, not {_DOWNLOADS}")
        edges = [f"{edge:g}" for edge in sample.WALK_BOX]
        words = ["mapillary", "download_images", *edges, "-o", target, "--max_results", str(_DOWNLOADS)]
        said = f"{there} images with place and time in {shown(target)}, manifest.csv tells of each"
        return self._command("mapillary", *words), said, (f"{target}/manifest.csv",)

    def _match(self) -> _Said:
        from camtrail.app.inaturalist import match
        from camtrail.app.inaturalist_options import MatchOptions
        from camtrail.app.inaturalist_page import write_page
        from camtrail.app.inaturalist_service import open_cache, open_client
        from camtrail.app.report import check_page
        from camtrail.app.write_options import ChangeOptions

        context, paths, page = self._context, [self._at("walk")], self._at("inaturalist.html")
        check_page(page, False, context)
        url = self._services.boxes["inaturalist"].url
        options = MatchOptions(user=sample.LOGIN, logfile=page)
        with open_cache(context, f"{context.data_dir}/inaturalist") as cache:
            done = match(
                paths, ProcessOptions(), options, ChangeOptions(),
                lambda: open_client(url, None, cache, context.clock), context,
            )  # fmt: skip
            write_page(done, paths, page, context)
        found = [pair for pair in done.pairs if pair.verdict in ("matched", "known")]
        _expect(len(found) == 4, f"{len(found)} photos were found, not 4")
        names = ", ".join(dict.fromkeys(pair.online.text for pair in found))
        words = ["inaturalist", "match", *paths, "--user", sample.LOGIN, "--logfile", page]
        return self._command("inaturalist", *words), f"{len(found)} photos found: {shown(names)}", (page,)

    # ---- videos

    def _imported(self, hooks: str) -> Any:
        from camtrail.app.video import data_of, hooks_of, import_videos
        from camtrail.app.video_options import BoxOptions, ImportOptions

        box = self._services.boxes["camio"].environment()
        at = urlsplit(box["CAMIO_BOX_URL"])
        others = {k: v for k, v in self._environment.items() if not k.upper().startswith("CAMIO_")}
        environment = {**others, **box, "CAMIO_OAUTH_TOKEN": _TOKEN}
        address = (at.hostname, str(at.port)) if hooks == "camio" else (None, None)
        box_options = BoxOptions(hook_data_json=_HOOK_DATA)
        data = data_of(box_options, self._context)
        done = import_videos(
            self._at("videos"), hooks_of(hooks), data, address, ImportOptions(box=box_options), environment,
            self._context,
        )  # fmt: skip
        for failure in done.result.failures:
            raise _Unexpected(f"{failure.item}: {failure.message}", failure.hint)
        return done

    def _rehearse(self) -> _Said:
        done = self._imported("null")
        said = ", ".join(f"{n} {outcome}" for outcome, n in done.counts.items())
        cameras = ", ".join(sorted({v["camera"] for v in done.videos if v.get("camera")}))
        said += f"; nothing left this machine{f'; cameras {shown(cameras)}' if cameras else ''}"
        return _command("video", "import", self._at("videos"), "null"), said, ()

    def _import(self) -> _Said:
        done = self._imported("camio")
        _expect(done.counts["sent"] == 2 and bool(done.jobs), f"{dict(done.counts)} videos came out so")
        self._job = done.jobs[0]
        said = f"{done.counts['sent']} videos sent, job {shown(self._job)}"
        words = ["video", "import", self._at("videos"), "camio", "-d", _HOOK_DATA]
        return self._command("camio", *words), said, ()

    def _labels(self) -> _Said:
        from camtrail.app.camio_service import connected
        from camtrail.app.labels_options import LabelsOptions
        from camtrail.app.video_labels import check_outputs, labels, outputs_of, own_videos, write

        _expect(bool(self._job), "there is no job")
        url, target = self._services.boxes["camio"].url, self._at("labels.json")
        options = LabelsOptions(watch=True, timeout_s=_WATCH_S)
        outputs = outputs_of(self._job, target, options)
        check_outputs(outputs, False, self._context)
        own = own_videos(self._job, options, url, self._context)
        with connected(url, Secret(_TOKEN), self._context.clock) as client:
            done = labels(self._job, options, client, self._context, own=own)
        write(done, outputs, options, self._context)
        counts = done.counts()
        _expect(counts["labels"] > 0, "there are no labels")
        said = f"{counts['labels']} labels of {counts['events']} events of {counts['cameras']} cameras"
        return self._command("camio", "video", "labels", self._job, target, "--watch"), said, (target,)
