"""`scan`, `geotag` and `sequence`: the parts of the main job, one by one."""

from __future__ import annotations

from typing import Any

from camtrail.app import process as app
from camtrail.app.feeds import SourceOptions
from camtrail.app.process import PresetOptions
from camtrail.app.scan import ScanOptions
from camtrail.cli.process import ended, rest, run_job, summary
from camtrail.cli.terminal import Run, VerdictOptions, show, source_classes, verb
from camtrail.steps.clock import TimeOptions
from camtrail.steps.direction import DirectionOptions
from camtrail.steps.duplicates import DuplicateOptions
from camtrail.steps.interpolate import JoinOptions
from camtrail.steps.sequences import SplitOptions

__all__ = ["geotag", "scan", "sequence"]


@verb("scan", "Read what is new or changed at PATHs.", ScanOptions, VerdictOptions)
def scan(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The first part of the main job."""
    result, options = run_job(run, paths, values, app.scan)
    show(run, result, rest=rest(result, options))
    return ended(result, values)


@verb(
    "geotag",
    "Find when and where each photo at PATHs was taken. Changes no photo.",
    ScanOptions,
    SourceOptions,
    TimeOptions,
    JoinOptions,
    VerdictOptions,
    *source_classes(),
)
def geotag(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The second part of the main job."""
    result, options = run_job(run, paths, values, app.geotag)
    show(run, result, rest=rest(result, options))
    return ended(result, values)


@verb(
    "sequence",
    "Put the photos at PATHs into sequences, by the places that geotag found. Changes no photo.",
    ScanOptions,
    PresetOptions,
    SplitOptions,
    DirectionOptions,
    DuplicateOptions,
    VerdictOptions,
)
def sequence(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """The third part of the main job."""
    result, options = run_job(run, paths, values, app.sequence)
    show(
        run, result, rest=rest(result, options), summary=summary(result, options),
        sequences=result.sequences, preset=options.preset.preset,
    )  # fmt: skip
    return ended(result, values)
