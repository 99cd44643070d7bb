"""`demo`: the whole story on a made collection."""

from __future__ import annotations

import dataclasses
import os
import webbrowser
from pathlib import Path
from typing import Any

import click

from camtrail.app.demo import DemoOptions, Step
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, say, show, verb
from camtrail.core.errors import UsageError
from camtrail.core.names import plain, shown
from camtrail.core.secrets import redacted

__all__ = ["demo"]

_FOLDER = "camtrail-demo"
_LATER = (
    "The commands with an address in front went to stand-ins that are gone now. Typed without it they go to the real "
    "services; start camtrail sandbox first, which prints what sends them to new ones."
)


@verb(
    "demo",
    f"Make a sample collection in DIR, {_FOLDER} by default, and run the whole story on it: places, a report, an "
    "upload that is taken back, a download, matches, copies, dates, videos. The services are stand-ins on this machine; "
    "nothing goes to the network, and nothing of yours is touched. DIR must be missing, empty, or an earlier demo.",
    DemoOptions,
    metavar="[DIR]",
    required=False,
)
def demo(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Each step as it comes out, and the pages at the end."""
    from camtrail.app import demo as app

    if len(paths) > 1:
        raise UsageError("a demo has one folder", "give one DIR")
    options = build(DemoOptions, values)
    folder = paths[0] if paths else _FOLDER

    def tell(step: Step) -> None:
        if not (run.json or run.quiet):
            run.pause()
            _say(step)

    story = app.demo(folder, os.environ, run.context, tell)
    pages = [Path(page).absolute().as_uri() for page in story.pages]
    steps = [_data(step) for step in story.steps]
    if not run.json:
        story.result.outputs.clear()  # each step has named its own
    show(run, story.result, rest="", is_brief=True, steps=steps, pages=[plain(p) for p in story.pages])
    if not (run.json or run.quiet):
        say(f"\n{_LATER}", indent=0)
        click.echo(f"\nAll of it took {story.result.elapsed_s:.0f} s. Look at")
        for page in story.pages:
            click.echo(f"  {shown(page)}")
    if options.open:
        for page in pages:
            webbrowser.open_new_tab(page)
    return story.exit_code()


demo.params[0].metavar = "[DIR]"


def _say(step: Step) -> None:
    click.echo(f"\n{step.about}")
    for command in step.commands:
        click.echo(f"  $ {command}")
    said = step.said if step.verdict == "ok" else f"{step.verdict}: {step.said}"
    say(redacted(f"  {said}"), indent=0)


def _data(step: Step) -> dict[str, Any]:
    values = dataclasses.asdict(step)
    return {
        **values,
        "commands": list(step.commands),
        "outputs": [plain(o) for o in step.outputs],
        "elapsed_s": round(step.elapsed_s, 3),
    }
