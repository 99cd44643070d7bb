"""`process`, and its parts `scan`, `geotag`, `sequence`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from camtrail.app import process as app
from camtrail.app.context import Context
from camtrail.app.feeds import SourceOptions
from camtrail.app.process import PresetOptions, ProcessOptions, Result
from camtrail.app.scan import ScanOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, show, source_classes, source_options, verb
from camtrail.core.names import shown
from camtrail.core.options import opt, resolve
from camtrail.steps.clock import TimeOptions
from camtrail.steps.direction import DirectionOptions
from camtrail.steps.duplicates import DuplicateOptions
from camtrail.steps.interpolate import JoinOptions
from camtrail.steps.sequences import SplitOptions

__all__ = ["geotag", "process", "scan", "sequence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The page of a run."""

    report: str = opt("", "also write the result as one HTML page", flag="--report")


_Job = Callable[[Sequence[str], ProcessOptions, Context], Result]


def _run(
    run: Run, paths: tuple[str, ...], values: dict[str, Any], job: _Job
) -> tuple[Result, ProcessOptions]:
    options = dataclasses.replace(build(ProcessOptions, values), of_sources=source_options(values))
    return job(paths, options, run.context), options


def _rest(paths: tuple[str, ...]) -> str:
    return f"camtrail export {shown(paths[0])} -o problems.csv lists all"


def _summary(result: Result, options: ProcessOptions) -> str:
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
    result, options = _run(run, paths, values, app.process)
    rest = _rest(paths)
    if page:
        write(result, page, run.context)
        rest = f"{shown(page)} lists all"
    show(
        run, result, rest=rest, summary=_summary(result, options),
        sequences=result.sequences, preset=options.preset.preset,
    )  # fmt: skip
    return result.exit_code(run.fail_on)


@verb("scan", "Read what is new or changed at PATHs.", ScanOptions, fail_on=True)
def scan(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The first part of the main job."""
    result, _ = _run(run, paths, values, app.scan)
    show(run, result, rest=_rest(paths))
    return result.exit_code(run.fail_on)


@verb(
    "geotag",
    "Find when and where each photo at PATHs was taken. Changes no photo.",
    ScanOptions,
    SourceOptions,
    TimeOptions,
    JoinOptions,
    *source_classes(),
    fail_on=True,
)
def geotag(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The second part of the main job."""
    result, _ = _run(run, paths, values, app.geotag)
    show(run, result, rest=_rest(paths))
    return result.exit_code(run.fail_on)


@verb(
    "sequence",
    "Put the photos at PATHs into sequences, by the places that geotag found. Changes no photo.",
    ScanOptions,
    PresetOptions,
    SplitOptions,
    DirectionOptions,
    DuplicateOptions,
    fail_on=True,
)
def sequence(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The third part of the main job."""
    result, options = _run(run, paths, values, app.sequence)
    show(
        run, result, rest=_rest(paths), summary=_summary(result, options),
        sequences=result.sequences, preset=options.preset.preset,
    )  # fmt: skip
    return result.exit_code(run.fail_on)
