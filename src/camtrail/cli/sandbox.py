"""`sandbox`: stand-in services that serve until they are interrupted."""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import Any

import click

from camtrail.app.sandbox import SANDBOXES, Running, SandboxOptions, start
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, verb
from camtrail.core.secrets import Secret
from camtrail.transfer.faults import LANGUAGE

__all__ = ["sandbox"]

_TICK_S = 1.0  # Windows hears of no interrupt inside a wait


@verb(
    "sandbox",
    "Serve stand-ins of the services NAMEd (mapillary, inaturalist, camio), or of all, on this machine until "
    "interrupted. They answer as the services' documentation says, keep nothing on disk, and go wrong when told to. "
    "GET /_sandbox/received tells what arrived, GET /_sandbox/requests what was asked, and POST /_sandbox/faults "
    "takes a JSON list of other faults.",
    SandboxOptions,
    metavar="[NAME]",
)
def sandbox(run: Run, names: tuple[str, ...], values: dict[str, Any]) -> int:
    """Serves until SIGINT or SIGTERM, which are how it is meant to end."""
    options = build(SandboxOptions, values)
    Secret(options.token)  # keeps it out of the log
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with start([name.lower() for name in names], options) as running:
        if run.json:
            click.echo(json.dumps(_plain(running)))
        elif not run.quiet:
            _said(running)
        sys.stdout.flush()
        while not ended.wait(_TICK_S):
            pass
    return 0


sandbox.params[0].required = False  # without names all are served
sandbox.epilog = "\n\n".join("\b\n" + part for part in ("Faults\n\n" + LANGUAGE).strip().split("\n\n"))


def _plain(running: Running) -> dict[str, Any]:
    return {name: {"url": box.url, "env": box.environment()} for name, box in running.boxes.items()}


def _said(running: Running) -> None:
    for name, box in running.boxes.items():
        click.echo(f"{name} is at {box.url}; send a client there with\n")
        for variable, value in box.environment().items():
            click.echo(f"    export {variable}='{value}'")
        click.echo(f"    export {SANDBOXES[name].token_variable}=anything\n")
    click.echo("Ctrl-C ends it")
