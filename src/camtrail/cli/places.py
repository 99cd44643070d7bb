"""`places build` and `places apply`: photos grouped by place and time, and places for photos that have none."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from camtrail.app.places_options import ApplyOptions, BuildOptions
from camtrail.app.scan import ScanOptions
from camtrail.cli.main import SETTINGS, Verbs
from camtrail.cli.options import build as built_of
from camtrail.cli.terminal import Run, VerdictOptions, show, verb
from camtrail.core.errors import UsageError
from camtrail.core.names import plain, shown
from camtrail.steps.places import PlaceOptions

__all__ = ["apply", "build", "places"]

places = Verbs(
    "places",
    verbs={
        "build": ("camtrail.cli.places:build", "put photos that have a place together to stays, as a table"),
        "apply": ("camtrail.cli.places:apply", "give photos without a place that of others taken then"),
    },
    help="Places by time. Start with: camtrail places build FOLDER -o location_mapping.csv",
    context_settings=SETTINGS,
)

_MOST_ROWS = 8


@verb(
    "build",
    "Put photos at PATHs together that were taken at one place and time, and write a table of the places.",
    PlaceOptions,
    BuildOptions,
    ScanOptions,
    VerdictOptions,
)
def build(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Photos to places."""
    from camtrail.app import places as app

    options = built_of(BuildOptions, values)
    to_stdout = options.output == "-"
    if to_stdout and run.json:
        raise UsageError("--json and -o - both want standard output", "name a file, or leave --json out")
    done = app.build(
        paths, built_of(ScanOptions, values), built_of(PlaceOptions, values), options, run.context
    )
    fail_on = built_of(VerdictOptions, values).fail_on
    if to_stdout:
        run.end()
        sys.stdout.buffer.write(done.data)
        return done.result.exit_code(fail_on)
    rows = _stays(done.stays)
    lines = [f"{len(rows):9,}  place{'' if len(rows) == 1 else 's'}", *_counts(done.written.counts)]
    more = [_stay_line(number, row) for number, row in enumerate(rows, 1)]
    _show(run, done.result, lines, more, places=rows, written=done.written.counts)
    return done.result.exit_code(fail_on)


def _stays(stays: Any) -> list[dict[str, Any]]:
    """Places as `--json` has them."""
    from camtrail.app.places_table import clock_text
    from camtrail.exports.values import iso

    return [
        {
            "start": clock_text(start) or None, "end": clock_text(end) or None, "lat": lat, "long": lon,
            "n_pics": count, "start_utc": iso(start_s), "end_utc": iso(end_s),
            "radius_m": _rounded(radius), "cameras": cameras, "ids": [plain(i) for i in ids],
        }
        for start, end, lat, lon, count, start_s, end_s, radius, cameras, ids in zip(
            *(c.tolist() for c in (
                stays.start_local_s, stays.end_local_s, stays.lat_deg, stays.lon_deg, stays.count, stays.start_s,
                stays.end_s, stays.radius_m, stays.cameras, stays.ids,
            ))
        )
    ]  # fmt: skip


def _rounded(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


def _stay_line(number: int, row: dict[str, Any]) -> str:
    n = row["n_pics"]
    return (
        f"place {number}: {row['start']} to {row['end']}, {row['lat']:.5f}, {row['long']:.5f}, "
        f"{n} photo{'' if n == 1 else 's'} within {row['radius_m']:.0f} m"
    )


@verb(
    "apply",
    "Give photos at PATHs that have no position the place of photos taken at that time. Changes no photo without "
    "-o or --write.",
    PlaceOptions,
    ApplyOptions,
    ScanOptions,
    VerdictOptions,
)
def apply(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Places to photos."""
    from camtrail.app import places as app

    options = built_of(ApplyOptions, values)
    done = app.apply(
        paths, built_of(ScanOptions, values), built_of(PlaceOptions, values), options, run.context
    )
    lines = _counts(done.written.counts)
    if done.dated:
        lines.append(f"{len(done.dated):9,}  dated by their files")
    estimates = [f"estimated: {shown(e.typed)}: {_where(e)}" for e in done.estimates]
    _show(
        run, done.result, lines, [*_unplaced(done.result), *estimates],
        estimates=[_estimate(e) for e in done.estimates], dated=[plain(p) for p in done.dated],
        written=done.written.counts,
        changes=[{"path": plain(path), "what": words.split()} for path, words in done.written.changes],
    )  # fmt: skip
    return done.result.exit_code(built_of(VerdictOptions, values).fail_on)


def _where(e: Any) -> str:
    off = "within it" if not e.outside_s else f"{e.outside_s:.0f} s outside of it"
    return f"{e.lat_deg:.5f}, {e.lon_deg:.5f} to {e.error_m:.0f} m, by {e.start} to {e.end}, {off}"


def _estimate(e: Any) -> dict[str, Any]:
    return {
        "path": plain(e.typed), "lat": e.lat_deg, "long": e.lon_deg, "error_m": e.error_m,
        "radius_m": _rounded(e.radius_m), "start": e.start, "end": e.end, "seconds_outside": round(e.outside_s, 3),
        "seconds_to_photo": round(e.photo_s, 3), "by": e.by, "date_of_file": e.is_dated_by_file,
    }  # fmt: skip


def _unplaced(result: Any) -> list[str]:
    """Photos that have no place, each with its reason."""
    lines: list[str] = []
    for space, c in zip(result.spaces, result.collections):
        rows = np.flatnonzero([o in ("no_place", "no_time") for o in c.places.outcome.tolist()])
        for i in rows.tolist():
            name = shown(space.as_typed(str(c.photos.path[i])))
            lines.append(f"{c.places.outcome[i].replace('_', ' ')}: {name}: {c.places.reason[i] or ''}")
    return lines


def _counts(written: dict[str, int]) -> list[str]:
    return [f"{count:9,}  {what}" for what, count in written.items()]


def _show(run: Run, result: Any, lines: list[str], rows: list[str], **more: Any) -> None:
    """Counts, a few rows and how many there are, for people; all of it as JSON."""
    counts = [f"{count:9,}  {outcome.replace('_', ' ')}" for outcome, count in result.counts().items()]
    lines = [*(counts or ["        0  photos"]), *lines, *rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        lines.append(f"… and {len(rows) - _MOST_ROWS:,} more; --json lists all")
    show(run, result, rest="--json lists all", summary="\n".join(lines), is_brief=True, **more)
