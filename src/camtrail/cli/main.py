"""`camtrail VERB`: verbs load when they are called, so that `--version` and `--help` are quick."""

from __future__ import annotations

import importlib
import io
import logging
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from camtrail import __version__
from camtrail.core.secrets import redacted

__all__ = ["PROGRAM", "SETTINGS", "Verbs", "cli", "fold", "main"]


def fold(token: str) -> str:
    """The form in which spellings of a verb or a long option are one: `-`, `_` and case are the same."""
    return token if len(token) == 1 else token.replace("_", "-").lower()


PROGRAM = "camtrail"
"""What people type, however it was started."""

SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": fold,
    "max_content_width": 100,
}

VERBS = {
    "process": (
        "camtrail.cli.process:process",
        "place, order and explain the photos of folders (the main job)",
    ),
    "scan": ("camtrail.cli.parts:scan", "read what is new or changed"),
    "geotag": ("camtrail.cli.parts:geotag", "find when and where each photo was taken"),
    "sequence": (
        "camtrail.cli.parts:sequence",
        "put photos into sequences, flag duplicates, derive headings",
    ),
    "write": (
        "camtrail.cli.write:write",
        "write what is known into the photos, sidecars or copies; undoable",
    ),
    "undo": ("camtrail.cli.write:undo", "take back, byte for byte, what a run wrote"),
    "dates": ("camtrail.cli.dates:dates", "find capture times in file names, for copies or photos"),
    "export": (
        "camtrail.cli.export:export",
        "write what is known as GeoJSON, GPX, KML, CSV or a description",
    ),
    "report": ("camtrail.cli.export:report", "write what is known as one HTML page"),
    "status": ("camtrail.cli.status:status", "what is known of folders, and which runs there were"),
    "why": ("camtrail.cli.status:why", "everything known of one photo, and where it comes from"),
    "places": ("camtrail.cli.places:places", "places by time, as a table; photos without one get theirs"),
    "similar": ("camtrail.cli.similar:similar", "find copies of pictures, and pictures of one scene"),
    "mapillary": ("camtrail.cli.mapillary:mapillary", "Mapillary's tools: stages, accounts, upload"),
    "inaturalist": ("camtrail.cli.inaturalist:inaturalist", "match photos with observations on iNaturalist"),
    "video": ("camtrail.cli.video:video", "batches of videos to a service, by hooks; jobs and labels"),
    "doctor": ("camtrail.cli.doctor:doctor", "look over the installation: versions, extras, folders, clock"),
    "completion": ("camtrail.cli.completion:completion", "have bash, zsh or fish complete verbs and options"),
    "sandbox": ("camtrail.cli.sandbox:sandbox", "stand-in services on this machine, to rehearse with"),
    "demo": ("camtrail.cli.demo:demo", "make a sample collection and run the whole story on it"),
}


class Verbs(click.Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, *args: Any, verbs: dict[str, tuple[str, str]], **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._verbs = verbs
        self._folded = {fold(name): found for name, found in verbs.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, however it is spelled."""
        found = self._folded.get(fold(cmd_name))
        if found is None:
            return None
        module, _, attribute = found[0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin so, and the group's own options; no verb is imported for that."""
        begun = fold(incomplete)
        names = [
            CompletionItem(name, help=about)
            for name, (_, about) in self._verbs.items()
            if fold(name).startswith(begun)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of verbs, without importing any."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, about) for name, (_, about) in self._verbs.items()])


@click.command(cls=Verbs, verbs=VERBS, context_settings=SETTINGS)
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Puts every photo and video where and when it was taken, and in order.

    Start with: camtrail process FOLDER
    """


class _Terminated(BaseException):
    """SIGTERM arrived."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a console that has not all characters shows escapes
            reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_ended())


def _ended() -> int:
    try:
        result = cli.main(prog_name=PROGRAM, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.ClickException as e:
        page = io.StringIO()
        e.show(page)
        click.echo(redacted(page.getvalue()), err=True, nl=False)
        return e.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ncamtrail: interrupted; what was done is kept, the same command goes on", err=True)
        return 130
    except _Terminated:
        click.echo("camtrail: ended from outside; what was done is kept, the same command goes on", err=True)
        return 143
    except Exception as e:
        if isinstance(e, ModuleNotFoundError) and not (e.name or "camtrail").startswith("camtrail"):
            hint = "pip install --force-reinstall camtrail"
            click.echo(f"camtrail: {e.name} is not installed, and camtrail needs it; {hint}", err=True)
            return 10
        code = getattr(e, "exit_code", None)
        if code is None:
            logging.getLogger("camtrail").debug("a defect", exc_info=True)
            said = redacted(f"{type(e).__name__}: {e}")
            click.echo(f"camtrail: a defect: {said}; run again with -v and report it", err=True)
            return 1
        click.echo(redacted(f"camtrail: {e}"), err=True)
        return int(code)
