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
    "Place, order and explain the photos at PATHs (folders, photos, tracks). Changes no photo.",
    ProcessOptions,
    PageOptions,
    VerdictOptions,
    *source_classes(),
)
def process(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The main job."""
    page = build(PageOptions, values)
    if page.report:
        from camtrail.app.report import check_page, write

        check_page(page.report, page.force, run.context)
    result, options = run_job(run, paths, values, app.process)
    where = rest(result, options)
    if page.report:
        write(result, page.report, run.context)
        where = f"{shown(page.report)} lists all"
    show(
        run, result, rest=where, summary=summary(result, options),
        sequences=result.sequences, preset=options.preset.preset,
    )  # fmt: skip
    return ended(result, values)
