"""What every verb shares: its common options, the log, progress, and how a result is shown."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TextIO

import click
import numpy as np
from click.shell_completion import CompletionItem

from camtrail.app.context import Context
from camtrail.app.process import Result
from camtrail.app.scan import known_sources
from camtrail.cli.main import SETTINGS, fold
from camtrail.cli.options import build, configured, leaves, parameters
from camtrail.cli.progress import Bar, is_drawable
from camtrail.core.errors import CamtrailError, Failure, InputError, UsageError, failure_of
from camtrail.core.model import OUTCOMES
from camtrail.core.names import plain, shown
from camtrail.core.options import opt, options_of
from camtrail.core.secrets import Redaction, redacted

__all__ = [
    "Run",
    "VerdictOptions",
    "all_classes",
    "as_json",
    "failure_data",
    "problems",
    "say",
    "show",
    "source_classes",
    "source_options",
    "verb",
]

_MOST_ROWS = 20
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at the moment: a bar takes its place as long as it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


class Run:
    """One call of a verb: its common options, and the world it runs in."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.json: bool = values.pop("as_json")
        self.quiet: bool = values.pop("quiet")
        verbose: bool = values.pop("verbose")
        wanted = not values.pop("no_progress") and not self.quiet and is_drawable(sys.stderr, os.environ)
        self._bar = Bar() if wanted else None
        logging.basicConfig(
            format="camtrail: %(levelname)s: %(message)s",
            level=logging.DEBUG if verbose else logging.ERROR if self.quiet else logging.WARNING,
            handlers=[_ToStderr()],
            force=True,
        )
        logging.getLogger().handlers[0].addFilter(Redaction())
        logging.addLevelName(logging.WARNING, "warning")
        bar = self._bar
        self.context = Context(progress=bar.step, transferred=bar.transfer) if bar else Context()

    def pause(self) -> None:
        """Takes the bar off the screen while something is printed."""
        if self._bar:
            self._bar.pause()

    def end(self) -> None:
        """Takes the bar off the screen."""
        if self._bar:
            self._bar.end()


_COMMON = [
    click.Option(
        ["as_json", "--json"], is_flag=True, help="print the result as one JSON object on standard output"
    ),
    click.Option(["-v", "--verbose"], is_flag=True, help="say more on standard error"),
    click.Option(["-q", "--quiet"], is_flag=True, help="say errors only"),
    click.Option(["--no-progress"], is_flag=True, help="draw no progress bar"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictOptions:
    """When a verdict counts as a failure."""

    fail_on: tuple[str, ...] = opt(
        (), "end with 3 when a photo comes out as this; may be given several times", choices=OUTCOMES
    )


def source_classes() -> list[type[Any]]:
    """The options of every source that has some."""
    return [s.options for s in known_sources().values() if s.options]


def source_options(values: dict[str, Any]) -> dict[str, Any]:
    """The options of single sources, by the source's name."""
    return {s.name: build(s.options, values) for s in known_sources().values() if s.options}


def verb(
    name: str,
    about: str,
    *classes: type[Any],
    many: bool = True,
    metavar: str = "PATH",
    required: bool = True,
    takes_numbers: bool = False,
    is_configured: bool = True,
) -> Callable[[Callable[[Run, tuple[str, ...], dict[str, Any]], int]], click.Command]:
    """A command out of a function of (run, paths, values) that returns the exit code.

    `takes_numbers`: a word such as `-122.6` is an argument, no option. `is_configured`: the user's configuration
    sets its defaults, and has to be in order for that.
    """

    def made(body: Callable[[Run, tuple[str, ...], dict[str, Any]], int]) -> click.Command:
        def call(**values: Any) -> int:
            paths = values.pop("path")
            run = Run(values)
            try:
                code = body(run, paths if many else (paths,), values)
                sys.stdout.flush()
                return code
            except BrokenPipeError:  # the reader of a pipe has enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 0
            except CamtrailError as e:
                if run.json:
                    failed = failure_of(e.path if isinstance(e, InputError) else "", e)
                    click.echo(as_json(Result(_spelled(), failures=[failed])))
                raise
            finally:
                run.end()

        argument = click.Argument(
            ["path"], nargs=-1 if many else 1, required=required, metavar=metavar + ("…" if many else ""),
            shell_complete=_files,
        )  # fmt: skip
        command = _Verb(
            name,
            callback=call,
            help=about,
            short_help=about,
            params=[argument, *parameters(*classes), *_COMMON],
            context_settings=SETTINGS,
        )
        command.classes, command.takes_numbers = classes, takes_numbers
        command.is_configured = is_configured
        return command

    return made


def _files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leaves it to the shell, which knows the names of files."""
    return [CompletionItem(incomplete, type="file")]


def _spelled() -> str:
    """The verb that is running, with the group it belongs to."""
    names: list[str] = []
    at: click.Context | None = click.get_current_context()
    while at is not None and at.parent is not None:
        names.insert(0, at.command.name or "")
        at = at.parent
    return " ".join(names)


class _Verb(click.Command):
    """A command whose defaults the user's configuration may set."""

    classes: tuple[type[Any], ...] = ()
    takes_numbers = False
    is_configured = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        is_asked_only = extra.get("resilient_parsing")  # by a shell, how a line may go on
        if is_asked_only or not self.is_configured:
            return super().make_context(info_name, args, parent, **extra)
        try:
            found = configured(lambda: (o for c in all_classes(self.classes) for o in options_of(c)))
        except UsageError as e:
            if not set(SETTINGS["help_option_names"]) & set(args):
                raise click.UsageError(str(e)) from e
            found = {}  # who asks for help gets it
        args = self._with_dashes(args)
        own = {p.name for p in self.params}
        extra["default_map"] = {name: value for name, value in found.items() if name in own}
        return super().make_context(info_name, args, parent, **extra)

    def _with_dashes(self, args: list[str]) -> list[str]:
        """The arguments with a bare word that is the name of an option taken as that option, with a warning.

        Old manuals print such lines. A path that is there, and the value of the option before it, stay what they
        are.
        """
        takes_value = {
            fold(name): not getattr(p, "is_flag", False)
            for p in self.params
            if isinstance(p, click.Option)
            for name in (*p.opts, *p.secondary_opts)
        }
        made: list[str] = []
        numbers: list[str] = []
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                return [*made, arg, *numbers, *rest]
            if self.takes_numbers and _NUMBER.fullmatch(arg):
                numbers.append(arg)
                continue
            option = fold(arg.partition("=")[0]) if arg.startswith("--") else arg
            if (
                not arg.startswith("-")
                and takes_value.get(f"--{fold(arg)}") is not None
                and not os.path.lexists(arg)
            ):
                click.echo(f"camtrail: warning: {arg} is taken as --{arg}", err=True)
                option = f"--{fold(arg)}"
                arg = f"--{arg}"
            made.append(arg)
            if takes_value.get(option) and "=" not in arg and (value := next(rest, None)) is not None:
                made.append(value)
        return [*made, "--", *numbers] if numbers else made


def all_classes(mine: Iterable[type[Any]]) -> list[type[Any]]:
    """Every option dataclass of every verb: what a configuration may set."""
    from camtrail.app.dates_options import DatesOptions
    from camtrail.app.download_options import AreaOptions
    from camtrail.app.export import ExportOptions
    from camtrail.app.inaturalist_options import MatchOptions
    from camtrail.app.labels_options import JobsOptions, LabelsOptions, ServerOptions
    from camtrail.app.mapillary_options import ToolOptions
    from camtrail.app.places_options import ApplyOptions, BuildOptions
    from camtrail.app.process import ProcessOptions
    from camtrail.app.report import ReportOptions
    from camtrail.app.similar_options import SimilarOptions
    from camtrail.app.undo import UndoOptions
    from camtrail.app.video_options import ImportOptions
    from camtrail.app.write_options import ImportMetaOptions, WriteOptions
    from camtrail.steps.places import PlaceOptions

    written = (
        DatesOptions,
        AreaOptions,
        MatchOptions,
        WriteOptions,
        ImportMetaOptions,
        UndoOptions,
        ToolOptions,
        PlaceOptions,
        BuildOptions,
        ApplyOptions,
        SimilarOptions,
        ImportOptions,
        JobsOptions,
        LabelsOptions,
        ServerOptions,
    )
    every = (ProcessOptions, ExportOptions, ReportOptions, VerdictOptions, *written, *source_classes(), *mine)
    return [leaf for c in every for leaf in leaves(c)]


def as_json(result: Result, **more: Any) -> str:
    """The one JSON object of a run (DESIGN: `--json`)."""
    return json.dumps(
        {
            "command": result.command,
            "counts": result.counts(),
            "failures": [failure_data(f) for f in result.failures],
            "outputs": [plain(o) for o in result.outputs],
            "notes": result.notes,
            "elapsed_s": round(result.elapsed_s, 3),
            **more,
        },
        allow_nan=False,
    )


def failure_data(f: Failure[str]) -> dict[str, Any]:
    """A failure as `--json` has it."""
    return {
        "path": plain(f.item), "code": f.code, "message": redacted(_message(f)), "hint": redacted(f.hint),
        "retryable": f.retryable,
    }  # fmt: skip


def _message(f: Failure[str]) -> str:
    """Its message without the name of the item, which stands before it."""
    message = f.message
    for name in (f.item, os.path.abspath(f.item)) if f.item else ():
        message = message.removeprefix(f"{shown(name)}: ")
    return message


def show(
    run: Run,
    result: Result,
    *,
    rest: str,
    rest_of_failures: str = "",
    summary: str = "",
    is_brief: bool = False,
    **more: Any,
) -> None:
    """A result for people: counts, at most 20 problems, where the rest is; or as JSON.

    `rest_of_failures`: where the rest of the failures is, if it is elsewhere.
    `is_brief`: of the counts and problems of places nothing, which this verb is not about.
    """
    run.end()
    if run.json:
        click.echo(as_json(result, **more))
        return
    if not run.quiet:
        counts = {} if is_brief else result.counts()
        for outcome, count in counts.items():
            click.echo(f"{count:9,}  {outcome.replace('_', ' ')}")
        if not counts and not is_brief:
            click.echo("        0  photos")
        if summary:
            say(summary)
    for failure in result.failures[:_MOST_ROWS]:
        hint = f"; {failure.hint}" if failure.hint else ""
        say(redacted(f"camtrail: {shown(failure.item)}: {_message(failure)}{hint}"), err=True)
    if len(result.failures) > _MOST_ROWS:
        left = len(result.failures) - _MOST_ROWS
        click.echo(f"camtrail: … and {left:,} more failures; {rest_of_failures or rest}", err=True)
    if run.quiet:
        return
    for note in result.notes:
        say(f"note: {note}")
    if not is_brief:
        problems(result, rest)
    for output in result.outputs:
        click.echo(f"wrote {shown(output)}")


def say(text: str, *, err: bool = False, indent: int = 4) -> None:
    """Prints lines for people: on a terminal folded to its width, elsewhere as they are, each in one piece.

    `indent`: how much farther right than the first part of a line its other parts stand.
    """
    if (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_folded(line, width, indent) for line in text.split("\n"))
    click.echo(text, err=err)


def _folded(line: str, width: int, indent: int) -> str:
    if len(line) <= width:
        return line
    start = " " * (len(line) - len(line.lstrip()) + indent)
    return textwrap.fill(line, width, subsequent_indent=start, break_long_words=False, break_on_hyphens=False)


_FINE = ("located", "estimated", "unreadable")  # what cannot be read stands among the failures


def problems(result: Result, rest: str) -> None:
    """At most 20 photos that are not placed, each with its reason."""
    several = sum(len(c.roots) for c in result.collections) > 1
    count = 0
    lines: list[str] = []
    for c in result.collections:
        rows = np.flatnonzero([outcome not in _FINE for outcome in c.outcomes().tolist()])
        count += len(rows)
        for item in c.items(rows[: _MOST_ROWS - len(lines)]):
            name = shown(f"{item.root.rstrip('/')}/{item.path}" if several else item.path)
            lines.append(f"{item.outcome.replace('_', ' ')}: {name}: {item.reason or ''}")
    if lines:
        click.echo("")
    for line in lines:
        say(line)
    if count > len(lines):
        click.echo(f"… and {count - len(lines):,} more; {rest}")
