"""`video`: the batch importer, and what became of its jobs."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from camtrail.app.video_options import BoxOptions, ImportOptions
from camtrail.cli.main import SETTINGS, Verbs
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, say, show, verb
from camtrail.core.errors import UsageError, worst
from camtrail.core.names import plain, shown

if TYPE_CHECKING:
    from camtrail.app.video import Imported

__all__ = ["address_of", "import_", "video"]

video = Verbs(
    "video",
    verbs={
        "import": ("camtrail.cli.video:import_", "send the videos of a folder to a service, by hooks"),
        "jobs": ("camtrail.cli.video_labels:jobs", "list import jobs, or show one with its shards"),
        "labels": ("camtrail.cli.video_labels:labels", "the labels of a job as JSON, CSV or XML"),
    },
    help="Batches of videos. Start with: camtrail video import FOLDER camio",
    context_settings=SETTINGS,
)

_BOX_PORT = "8080"
_HOST = re.compile(r"[\w.:%-]+")  # a name, IPv4 or IPv6
_TESTED = 20
_MOST_ROWS = 20


@verb(
    "import",
    "Send every video of FOLDER by the hooks of HOOK_MODULE: a Python file with the documented functions, "
    "module:object, or camio, local or null. What was sent is remembered and never sent twice. HOST is where hooks "
    "send videos, where they need one.",
    ImportOptions,
    metavar="FOLDER HOOK_MODULE [HOST]",
)
def import_(run: Run, words: tuple[str, ...], values: dict[str, Any]) -> int:
    """Videos to a service."""
    from camtrail.app import video as app

    options = build(ImportOptions, values)
    if options.print_csv:
        return _printed(run, words[0], options)
    if options.names.regex_test:
        return _tested(run, words[0], options)
    folder, module, host = _words(words, options.box)
    address = address_of(host or options.box.host, options.box.box_port, os.environ.get("CAMIO_BOX_URL", ""))
    spec = app.hooks_of(module)
    if spec.path is not None and not run.quiet:
        click.echo(f"camtrail: hooks of {shown(spec.path)}, sha256 {spec.sha256}", err=True)
    data = app.data_of(options.box, run.context)
    if options.check:
        return _checked(run, app.check(spec, data, address, os.environ))
    done = app.import_videos(folder, spec, data, address, options, os.environ, run.context)
    _said(run, done, options)
    return worst({f.exit_code for f in done.result.failures})


import_.params[0].metavar = "FOLDER HOOK_MODULE [HOST]"


def _words(words: tuple[str, ...], box: BoxOptions) -> tuple[str, str, str]:
    """Folder, hooks and host. Raises UsageError."""
    folder, *rest = words
    module = box.hooks_module or (rest.pop(0) if rest else "")
    if not module:
        raise UsageError(
            "HOOK_MODULE is missing", "name a Python file with hooks, or camio, or null to rehearse"
        )
    host = rest.pop(0) if rest else ""
    if rest:
        raise UsageError(f"{shown(rest[0])}: is one word too many", "give FOLDER HOOK_MODULE [HOST]")
    if host and box.host and host != box.host:
        raise UsageError(f"two hosts: {shown(host)} and {shown(box.host)}", "give one")
    return folder, module, host


def address_of(host: str, port: int, box_url: str) -> tuple[str | None, str | None]:
    """Host and port for the hooks, as text; None where the command line has none.

    Parameters
    ----------
    host : HOST, HOST:PORT or http://HOST:PORT
    port : of the option; 0 for none
    box_url : an address that the environment has; its port counts where its host is the same

    Raises
    ------
    UsageError
        The host is none, or there are two ports.
    """
    if not host:
        return None, str(port) if port else None
    name, own = _split(host, "the host")
    if own and port and own != port:
        raise UsageError(f"two ports: {own} and {port}", "give one")
    if not (own or port) and box_url:
        there, its = _split(box_url, "CAMIO_BOX_URL")
        own = its if there == name else None
    return name, str(own or port or _BOX_PORT)


def _split(text: str, what: str) -> tuple[str, int | None]:
    text = text.strip()
    with suppress(ValueError):
        text = f"[{text}]" if ip_address(text).version == 6 else text
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or not _HOST.fullmatch(host)
        or port == 0
        or not text.isprintable()
        or parts.scheme not in ("", "http")
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        said = (
            f"{what} is no address of a Box"
            if "@" in text
            else f"{shown(text)}: {what} is no address of a Box"
        )
        raise UsageError(said, "give HOST, HOST:PORT or http://HOST:PORT")
    return host, port


def _printed(run: Run, folder: str, options: ImportOptions) -> int:
    """All that the storage knows, as CSV."""
    from camtrail.app import video as app

    if run.json:
        raise UsageError("--csv and --json both print", "give one")
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        "FILENAME CAMERA GIVEN_NAME CREATED_ON DISCOVERED_ON UPLOADED_ON STATE REASON JOB_ID SHARD_ID SHA1 HOOK SERVICE".split()
    )
    for hook, origin, row in app.rows_of(app.storage_path(folder, options, run.context), run.context):
        names = ("filename", "camera", "given_name", "timestamp", "discovered_on", "uploaded_on")
        cells = [*(row.record.get(name) for name in names), row.state, row.reason]
        cells += [row.record.get("job_id"), row.record.get("shard_id"), row.record.get("key"), hook, origin]
        table.writerow("" if cell is None else plain(str(cell)) for cell in cells)
    sys.stdout.write(out.getvalue())
    return 0


def _tested(run: Run, folder: str, options: ImportOptions) -> int:
    """What the regular expression makes of the first videos."""
    from camtrail.app import video as app

    rows, warnings = app.parsed(
        folder, options.names, app.data_of(options.box, run.context), run.context, _TESTED
    )
    for warning in warnings:
        click.echo(f"camtrail: warning: {warning}", err=True)
    run.end()
    if run.json:
        from camtrail.app.process import Result
        from camtrail.cli.terminal import as_json

        click.echo(as_json(Result("video import"), counts={}, names=[_row(r) for r in rows]))
        return 0
    for row in map(_row, rows):
        click.echo(shown(row["path"]))
        click.echo(
            f"    camera {shown(row['camera'] or '-')}, time {row['time'] or '-'} ({row['matched'] or 'no match'})"
        )
        for problem in row["problems"]:
            click.echo(f"    {problem}")
    if not rows:
        click.echo("no videos")
    return 0


def _row(parsed: Any) -> dict[str, Any]:
    from camtrail.steps.video_names import wire_time

    name = parsed.name
    return {
        "path": plain(parsed.file.typed),
        "camera": None if name.camera is None else plain(name.camera),
        "time": None if name.time_s is None else f"{wire_time(name.time_s)}Z",
        "lat": name.lat_deg,
        "lng": name.lng_deg,
        "matched": name.matched,
        "problems": list(name.problems),
    }


def _checked(run: Run, checks: list[Any]) -> int:
    """What the hooks say of themselves."""
    run.end()
    if run.json:
        from camtrail.app.process import Result
        from camtrail.cli.terminal import as_json

        told = [{"name": c.name, "ok": c.ok, "message": c.message} for c in checks]
        click.echo(as_json(Result("video import"), counts={}, checks=told))
    else:
        for c in checks:
            click.echo(f"{'ok' if c.ok else 'NO':>4}  {c.name}: {shown(c.message)}")
        if not checks:
            click.echo("the hooks are fine; they have no check of their own")
    failed = {c.name for c in checks if not c.ok}
    return 6 if "token" in failed else 5 if failed else 0


def _said(run: Run, done: Imported, options: ImportOptions) -> None:
    """Counts, failures, and the documented last line."""
    counts = "\n".join(f"{n:9,}  {outcome}" for outcome, n in done.counts.items()) or "        0  videos"
    if options.dry_run and not (run.json or run.quiet):
        rows = [v for v in done.videos if v["outcome"] == "to send"]
        for v in rows[:_MOST_ROWS]:
            say(f"would send {v['path']} of camera {shown(v['camera'])}, {v['time']}")
        if len(rows) > _MOST_ROWS:
            click.echo(f"… and {len(rows) - _MOST_ROWS:,} more; --json lists all")
    show(
        run, done.result, rest="--json lists all", summary=counts, is_brief=True,
        counts=dict(done.counts), jobs=done.jobs, videos=done.videos, storage=plain(done.storage),
    )  # fmt: skip
    if run.json:
        return
    for job in done.jobs:
        click.echo(f"Job ID: {shown(job)}")
    if not done.jobs and done.has_jobs and done.counts["sent"]:
        click.echo("camtrail: warning: there is no job id", err=True)
