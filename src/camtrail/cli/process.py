"""`process`: the main job."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from camtrail.app import process as app
from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, VerdictOptions, show, source_classes, source_options, verb
from camtrail.core.names import shown
from camtrail.core.options import opt, resolve

__all__ = ["PageOptions", "ended", "process", "rest", "run_job", "summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """The page of a run."""

    report: str = opt("", "also write the result as one HTML page", flag="--report")
    force: bool = opt(False, "replace a page that camtrail did not write")
    tiles: str = opt(
        "",
        "online map tiles that the page's reader may turn on: your provider's address, as "
        "https://tiles.example.org/{z}/{x}/{y}.png",
    )


_Job = Callable[[Sequence[str], ProcessOptions, Context], Result]


def run_job(
    run: Run, paths: tuple[str, ...], values: dict[str, Any], job: _Job
) -> tuple[Result, ProcessOptions]:
    """One of the workflows of `app.process`, with the options of the command line."""
    options = dataclasses.replace(build(ProcessOptions, values), of_sources=source_options(values))
    return job(paths, options, run.context), options


def rest(result: Result, options: ProcessOptions) -> str:
    """The command that lists all of a result."""
    words = ["camtrail", "export", *map(shown, result.paths), "-o", "problems.csv"]
    if options.scan.state_dir:
        words += ["--state-dir", shown(options.scan.state_dir)]
    return f"{shlex.join(words)} lists all"


def ended(result: Result, values: dict[str, Any]) -> int:
    """The exit code of a result, with the verdicts that count as failures."""
    return result.exit_code(build(VerdictOptions, values).fail_on)


def summary(result: Result, options: ProcessOptions) -> str:
    """How many sequences there are, and by which limits."""
    preset = options.preset.preset
    split = resolve(options.split, preset)
    count = result.sequences
    return (
        f"{count:9,}  sequence{'' if count == 1 else 's'} (preset {preset}: cut after {split.cutoff_distance_m:g} m, "
        f"{split.cutoff_time_s:g} s, {split.max_images} images)"
    )


@verb(
    "process",
    "Place, order and explain the photos at PATHs (folders, photos, tracks). Changes no photo without --write.",
    ProcessOptions,
    WriteOptions,
    ImportMetaOptions,
    PageOptions,
    VerdictOptions,
    *source_classes(),
)
def process(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The main job."""
    page = build(PageOptions, values)
    if page.report:
        from camtrail.app.report import check_page
        from camtrail.app.report import write as write_page

        check_page(page.report, page.force, run.context, page.tiles)
    options = dataclasses.replace(build(ProcessOptions, values), of_sources=source_options(values))
    to = build(WriteOptions, values)
    data: dict[str, Any] = {}
    words = ""
    if to.write in ("", "none") and not to.output:
        result = app.process(paths, options, run.context)
    else:
        from camtrail.app.write import run as run_and_write
        from camtrail.cli.write import as_data, in_words

        meta = build(ImportMetaOptions, values)
        result, written = run_and_write(app.process, paths, options, to, meta, run.context)
        result.failures += written.failures
        result.notes += written.notes
        data, words = as_data(written), in_words(written)
    where = rest(result, options)
    if page.report:
        gap_s = options.join.max_gap_s
        write_page(result, page.report, run.context, max_gap_s=gap_s, tiles=page.tiles)
        where = f"{shown(page.report)} lists all"
    show(
        run, result, rest=where, summary=summary(result, options) + words,
        sequences=result.sequences, preset=options.preset.preset, **data,
    )  # fmt: skip
    return ended(result, values)
