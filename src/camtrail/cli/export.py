"""`export` and `report`: what is known, for other programs and for people."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import click

from camtrail.app import export as app
from camtrail.app.export import ExportOptions
from camtrail.app.process import ProcessOptions
from camtrail.app.report import ReportOptions
from camtrail.app.report import report as make_report
from camtrail.app.scan import ScanOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, show, verb
from camtrail.core.names import shown

__all__ = ["export", "report"]


@verb(
    "export",
    "Write what is known of the photos at PATHs to a file. Changes no photo.",
    ScanOptions,
    ExportOptions,
)
def export(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """One file in one format."""
    to = build(ExportOptions, values)
    if run.json and to.output == "-":
        raise click.UsageError("--json and -o - both want standard output; give a file for one of them")
    result = app.export(paths, build(ProcessOptions, values), to, run.context)
    if to.output == "-":
        run.end()
        for chunk in app.render(result, app.format_of(to)):
            sys.stdout.buffer.write(chunk)
        return 0
    _said(run, result)
    return 0


@verb("report", "Write what is known of the photos at PATHs as one HTML page.", ScanOptions, ReportOptions)
def report(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """One self-contained page."""
    options = dataclasses.replace(build(ReportOptions, values))
    if options.output == "-":
        raise click.UsageError("a page is written to a file; give -o FILE.html")
    _said(run, make_report(paths, build(ProcessOptions, values), options, run.context))
    return 0


def _said(run: Run, result: Any) -> None:
    if run.json:
        show(run, result, rest="")
    elif not run.quiet:
        run.end()
        photos = sum(result.counts().values())
        for output in result.outputs:
            click.echo(f"wrote {photos:,} photos to {shown(output)}")
