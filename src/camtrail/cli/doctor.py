"""`doctor`: a look over the installation."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import click

from camtrail.app.doctor import Check, Surroundings
from camtrail.cli.options import config_path, configured
from camtrail.cli.progress import is_drawable, is_plain
from camtrail.cli.terminal import Run, all_classes, as_json, say, verb
from camtrail.core.names import plain
from camtrail.core.options import Option, options_of
from camtrail.core.secrets import redacted

__all__ = ["doctor"]

_NAME = 21  # columns that names have
_INDENT = 7 + _NAME


@verb(
    "doctor",
    "Look over the installation: versions, extras and programs, time zones, configuration, folders, tokens, clock and "
    "terminal; with PATHs also where their state lies. Nothing is changed, and nothing goes to the network. Ends with "
    "0 unless something keeps camtrail from its work.",
    metavar="[PATH]",
    required=False,
    is_configured=False,
)
def doctor(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """A verdict a line."""
    from camtrail.app import doctor as app

    done = app.doctor(paths, _around(), run.context)
    run.end()
    if run.json:
        checks = [_data(check) for check in done.checks]
        click.echo(as_json(done.result, counts=done.counts(), checks=checks))
        return done.exit_code()
    for check in done.checks:
        if check.verdict == "NO" or not run.quiet:
            _say(check, err=run.quiet)
    if not run.quiet:
        bad = done.counts()["NO"]
        click.echo(f"{bad} thing{'' if bad == 1 else 's'} to be put right" if bad else "camtrail is ready")
    return done.exit_code()


def _around() -> Surroundings:
    def configure() -> int:
        return len(configured(lambda: (o for c in all_classes(()) for o in options_of(c))))

    return Surroundings(
        os.environ,
        config_path(),
        configure,
        encoding=sys.stdout.encoding,
        is_terminal=sys.stdout.isatty(),
        columns=shutil.get_terminal_size().columns,
        has_colours=is_drawable(sys.stdout, os.environ) and not is_plain(os.environ),
        options=_options,
    )


def _options() -> Iterator[Option]:
    """Those of all verbs."""
    from camtrail.app.demo import DemoOptions
    from camtrail.app.inaturalist_options import MatchOptions
    from camtrail.cli.process import PageOptions

    return (o for c in all_classes((DemoOptions, MatchOptions, PageOptions)) for o in options_of(c))


def _say(check: Check, *, err: bool) -> None:
    hint = f"; {check.hint}" if check.hint else ""
    line = redacted(f"{check.verdict:>4}  {check.name:{_NAME}} {check.said}{hint}")
    say(line, err=err, indent=_INDENT)


def _data(check: Check) -> dict[str, Any]:
    values = dataclasses.asdict(check)
    values.pop("exit_code")
    return {name: plain(value) for name, value in values.items()}
