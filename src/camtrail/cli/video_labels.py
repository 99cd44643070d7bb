"""`video jobs` and `video labels`: what a video service makes of an import."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from camtrail.app.labels_options import JobsOptions, LabelsOptions, ServerOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, show, verb
from camtrail.core.errors import UsageError
from camtrail.core.secrets import redacted

if TYPE_CHECKING:
    from camtrail.services.camio.client import Client

__all__ = ["jobs", "labels"]

_LIST = "job_list.json"
_TOKEN = click.Option(
    ["-a", "--access_token"],
    metavar="TOKEN",
    help="the account's token; others can see a command line, so CAMIO_OAUTH_TOKEN is the better way",
)
_Body = Callable[[Run, tuple[str, ...], dict[str, Any]], int]


def _job_verb(name: str, about: str, metavar: str, *classes: type[Any]) -> Callable[[_Body], click.Command]:
    """A command that needs no argument."""

    def made(body: _Body) -> click.Command:
        command = verb(name, about, *classes, ServerOptions, metavar=metavar, required=False)(body)
        argument = command.params[0]
        assert isinstance(argument, click.Argument)
        argument.metavar = metavar
        command.params.insert(1, _TOKEN)
        return command

    return made


@_job_verb("jobs", "List the jobs of the account, or show how far JOB_ID is.", "[JOB_ID]", JobsOptions)
def jobs(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """All jobs, or one."""
    from camtrail.app.process import Result
    from camtrail.app.video_jobs import find_job, lines_of

    if len(paths) > 1:
        raise UsageError("there is more than one JOB_ID", "give one, or none for the list")
    options = build(JobsOptions, values)
    if not paths:
        return _listed(run, "video jobs", values, options.output_file, options.force)
    if options.output_file:
        raise UsageError("--output_file is for the list of jobs", "leave JOB_ID out, or give --json")
    clock = run.context.clock
    start_s = clock.monotonic_s()
    with _client(run, values) as client:
        job = find_job(client, paths[0], clock)
    result = Result("video jobs", elapsed_s=clock.monotonic_s() - start_s)
    run.end()
    show(run, result, rest="", summary="\n".join(lines_of(job)), is_brief=True, job=dict(job.document))
    return 0


@_job_verb(
    "labels",
    "Write the labels of JOB_ID to OUT, JOB_ID_results.json by default. Without JOB_ID the jobs are listed.",
    "[JOB_ID] [OUT]",
    LabelsOptions,
)
def labels(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Labels as JSON, CSV or XML."""
    from camtrail.app import video_labels as app

    options = build(LabelsOptions, values)
    if len(paths) > 2:
        raise UsageError("there are more than JOB_ID and OUT", "give a name with blanks in quotes")
    if not paths:
        if options.as_csv or options.as_xml or options.watch:
            raise UsageError("--csv, --xml and --watch need a JOB_ID", "camtrail video jobs lists them")
        return _listed(run, "video labels", values, options.output_file or _LIST, options.force)
    job_id, out = paths[0], paths[1] if len(paths) > 1 else ""
    outputs = app.outputs_of(job_id, out, options)
    is_piped = "-" in outputs.values()
    if is_piped and run.json:
        raise UsageError("--json and - both want standard output", "give a file for one of them")
    app.check_outputs(outputs, options.force, run.context)
    server_url = _server(values)
    own = app.own_videos(job_id, options, server_url, run.context)

    def say(text: str) -> None:
        if not run.quiet:
            click.echo(f"camtrail: {text}", err=True)

    with _client(run, values, server_url) as client:
        done = app.labels(job_id, options, client, run.context, own=own, say=say)
    app.write(done, outputs, options, run.context)
    run.end()
    if is_piped:
        for kind in outputs:
            _pipe(run, b"".join(app.rendered(done, kind, options)), done.result.notes)
    counts = done.counts()
    summary = "\n".join(f"{n:9,}  {what}" for what, n in counts.items())
    show(
        run, done.result, rest="", summary=summary, is_brief=True, counts=counts, job_id=job_id,
        complete=done.found.is_complete,
    )  # fmt: skip
    return done.result.exit_code()


def _pipe(run: Run, data: bytes, notes: list[str]) -> None:
    """A document on standard output, alone; what is to be said besides goes to standard error."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    if not run.quiet:
        for note in notes:
            click.echo(redacted(f"camtrail: note: {note}"), err=True)
    run.quiet = True


def _listed(run: Run, command: str, values: dict[str, Any], out: str, force: bool) -> int:
    """The jobs as a table, and as the documented object in a file where one is given."""
    from camtrail.app.process import Result
    from camtrail.app.video_jobs import document_of, find_jobs, summary_of, table_of
    from camtrail.app.video_labels import check_outputs
    from camtrail.metadata import safeio

    if out == "-" and run.json:
        raise UsageError("--json and - both want standard output", "give a file for one of them")
    if out:
        check_outputs({"list": out}, force, run.context)
    clock = run.context.clock
    start_s = clock.monotonic_s()
    with _client(run, values) as client:
        found = find_jobs(client, clock)
    result = Result(command, elapsed_s=clock.monotonic_s() - start_s)
    if out and out != "-":
        safeio.put(run.context.fs, out, [document_of(found)])
        result.outputs.append(out)
    run.end()
    if out == "-":
        _pipe(run, document_of(found), [])
    summary = "\n".join(table_of(found)) if found else "there are no jobs"
    listed = [{"job_id": job.id, **summary_of(job)} for job in found]
    show(run, result, rest="", summary=summary, is_brief=True, jobs=listed)
    return 0


@contextmanager
def _client(run: Run, values: dict[str, Any], server_url: str = "") -> Iterator[Client]:
    """The service at an address, or the one that options and environment name."""
    from camtrail.app.camio_service import connected, token_of

    token = token_of(values["access_token"] or "", os.environ.get("CAMIO_OAUTH_TOKEN", ""))
    with connected(server_url or _server(values), token, run.context.clock) as client:
        yield client


def _server(values: dict[str, Any]) -> str:
    from camtrail.app.camio_service import server_of

    return server_of(build(ServerOptions, values).testing, os.environ.get("CAMIO_SERVER_URL", "").strip())
