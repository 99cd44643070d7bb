"""`scan`, `geotag` and `sequence`: the parts of the main job, one by one."""

from __future__ import annotations

from typing import Any

from camtrail.app import process as app
from camtrail.app.feeds import SourceOptions
from camtrail.app.process import PresetOptions
from camtrail.app.scan import ScanOptions
from camtrail.cli.process import rest, run_job, summary
from camtrail.cli.terminal import Run, show, source_classes, verb
from camtrail.steps.clock import TimeOptions
from camtrail.steps.direction import DirectionOptions
from camtrail.steps.duplicates import DuplicateOptions
from camtrail.steps.interpolate import JoinOptions
from camtrail.steps.sequences import SplitOptions

__all__ = ["geotag", "scan", "sequence"]


@verb("scan", "Read what is new or changed at PATHs.", ScanOptions, fail_on=True)
def scan(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The first part of the main job."""
    result, _ = run_job(run, paths, values, app.scan)
    show(run, result, rest=rest(paths))
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
    result, _ = run_job(run, paths, values, app.geotag)
    show(run, result, rest=rest(paths))
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
    result, options = run_job(run, paths, values, app.sequence)
    show(
        run, result, rest=rest(paths), summary=summary(result, options),
        sequences=result.sequences, preset=options.preset.preset,
    )  # fmt: skip
    return result.exit_code(run.fail_on)
