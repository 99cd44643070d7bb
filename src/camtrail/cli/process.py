"""`process`: the main job."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from camtrail.app import process as app
from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, Result
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, show, source_classes, source_options, verb
from camtrail.core.names import shown
from camtrail.core.options import opt, resolve

__all__ = ["process", "rest", "run_job", "summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The page of a run."""

    report: str = opt("", "also write the result as one HTML page", flag="--report")


_Job = Callable[[Sequence[str], ProcessOptions, Context], Result]


def run_job(
    run: Run, paths: tuple[str, ...], values: dict[str, Any], job: _Job
) -> tuple[Result, ProcessOptions]:
    options = dataclasses.replace(build(ProcessOptions, values), of_sources=source_options(values))
    return job(paths, options, run.context), options


def rest(paths: tuple[str, ...]) -> str:
    return f"camtrail export {shown(paths[0])} -o problems.csv lists all"


def summary(result: Result, options: ProcessOptions) -> str:
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
    ReportOptions,
    *source_classes(),
    fail_on=True,
)
def process(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The main job."""
    page = values.get("report") or ""
    if page:
        from camtrail.app.report import check_page, write

        check_page(page, False, run.context)
    result, options = run_job(run, paths, values, app.process)
    where = rest(paths)
    if page:
        write(result, page, run.context)
        where = f"{shown(page)} lists all"
    show(
        run, result, rest=where, summary=summary(result, options),
        sequences=result.sequences, preset=options.preset.preset,
    )  # fmt: skip
    return result.exit_code(run.fail_on)
