"""`write` and `undo`: what is known goes into the files, and comes out again."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import click

from camtrail.app.process import ProcessOptions, known
from camtrail.app.scan import ScanOptions
from camtrail.app.undo import UndoOptions
from camtrail.app.undo import undo as take_back
from camtrail.app.write import Written
from camtrail.app.write import run as run_and_write
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, failure_data, show, verb
from camtrail.core.names import plain, shown

__all__ = ["as_data", "in_words", "undo", "write"]

_MOST_ROWS = 20


def in_words(written: Written) -> str:
    """Lines for people: how many files, and of a dry run what would go into them."""
    lines = [f"\n{count:9,}  {what}" for what, count in written.counts.items()]
    if "to be written" in written.counts:
        lines += [f"\n{shown(path)}: {words}" for path, words in written.changes[:_MOST_ROWS]]
        if len(written.changes) > _MOST_ROWS:
            lines.append(f"\n… and {len(written.changes) - _MOST_ROWS:,} more; --json lists all")
    return "".join(lines)


def as_data(written: Written) -> dict[str, Any]:
    """The same for programs."""
    changes = [{"path": plain(path), "what": words.split()} for path, words in written.changes]
    return {"written": written.counts, "changes": changes}


@verb(
    "write",
    "Write what is known of the photos at PATHs: into them (exif), into sidecars, or into copies. Undoable.",
    ScanOptions,
    WriteOptions,
    ImportMetaOptions,
)
def write(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Answers into files."""
    to = build(WriteOptions, values)
    if to.write == "":
        to = dataclasses.replace(to, write="exif")
    meta = build(ImportMetaOptions, values)
    job = functools.partial(known, "write")
    result, written = run_and_write(
        job, paths, build(ProcessOptions, values), to, meta, run.context, fresh=False
    )
    result.failures += written.failures
    result.notes += written.notes
    show(run, result, rest="--json lists all", summary=in_words(written).lstrip("\n"), **as_data(written))
    return result.exit_code()


@verb(
    "undo", "Take back, byte for byte, the newest run that changed files at PATHs.", ScanOptions, UndoOptions
)
def undo(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Old bytes again."""
    options = build(UndoOptions, values)
    done = take_back(paths, build(ScanOptions, values), options, run.context)
    run.end()
    if run.json:
        answer = {
            "command": "undo", "counts": {}, "failures": [failure_data(f) for f in done.failures], "outputs": [],
            "elapsed_s": round(done.elapsed_s, 3), "restored": [plain(p) for p in done.restored],
            "forgotten": done.forgotten,
        }  # fmt: skip
        click.echo(json.dumps(answer))
        return done.exit_code()
    for failure in done.failures[:_MOST_ROWS]:
        click.echo(f"camtrail: {failure.message}; {failure.hint}", err=True)
    if len(done.failures) > _MOST_ROWS:
        click.echo(
            f"camtrail: … and {len(done.failures) - _MOST_ROWS:,} more failures; --json lists all", err=True
        )
    if not run.quiet:
        if options.forget:
            could = "would no longer be" if options.dry_run else "can no longer be"
            click.echo(f"{done.forgotten:,} changes {could} taken back")
        elif options.dry_run:
            click.echo(f"{len(done.restored):,} files would be taken back")
        else:
            click.echo(f"{len(done.restored):,} files taken back")
    return done.exit_code()
