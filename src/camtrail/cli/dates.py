"""`dates`: capture times out of file names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from camtrail.app.dates_options import DatesOptions
from camtrail.app.process import ProcessOptions
from camtrail.app.scan import ScanOptions
from camtrail.app.write_options import ChangeOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, show, verb
from camtrail.cli.write import as_data, in_words
from camtrail.core.names import plain, shown

__all__ = ["dates"]

_MOST_ROWS = 20
_EPOCH = datetime(1970, 1, 1)
# What a person may have to look at stands first.
_ORDER = ("impossible", "kept", "no_date", "unsupported", "dated")


@verb(
    "dates",
    "Find when photos at PATHs were taken by their names, Google Takeout and folders (WhatsApp, Signal, Telegram, "
    "phones, screenshots, …) where EXIF does not say. Changes nothing without -o DIR (copies) or --write "
    "exif|sidecar. A name that tells only the day gives its midnight, 00:00:00.",
    DatesOptions,
    ChangeOptions,
    ScanOptions,
)
def dates(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Names and times."""
    from camtrail.app import dates as app

    options, to = build(DatesOptions, values), build(ChangeOptions, values)
    scan = ProcessOptions(scan=build(ScanOptions, values))
    done = app.dates(paths, scan, options, to, run.context)
    result = done.result
    result.failures += done.written.failures
    more: dict[str, Any] = as_data(done.written) if done.written.mode != "none" else {}
    lines = [f"{count:9,}  {outcome.replace('_', ' ')}" for outcome, count in done.counts().items()]
    summary = "\n".join([*(lines or ["        0  photos"]), *_table(done.rows)]) + in_words(done.written)
    show(
        run, result, rest="--json lists all", summary=summary, is_brief=True,
        **more, counts=done.counts(), dates=[_data(row) for row in done.rows] if run.json else [],
    )  # fmt: skip
    return done.exit_code()


def _table(rows: list[Any]) -> list[str]:
    """At most 20 lines, those that need a look first."""
    told = [
        row for row in rows if row.outcome in _ORDER and (row.outcome != "kept" or row.reason != "has a date")
    ]
    told.sort(key=lambda row: _ORDER.index(row.outcome))
    lines = [_line(row) for row in told[:_MOST_ROWS]]
    if len(told) > _MOST_ROWS:
        lines.append(f"… and {len(told) - _MOST_ROWS:,} more; --json lists all")
    return ["", *lines] if lines else []


def _line(row: Any) -> str:
    what = f"{row.outcome.replace('_', ' ')}: {shown(row.path)}: "
    if row.outcome != "dated":
        return f"{what}{row.reason}"
    by = f"{row.source} {row.rule}" if row.source == "name" else row.source
    why = f"; {row.reason}" if row.reason else ""
    return f"{what}{_iso(row, ' ')} ({row.precision}, {row.meaning}, by {by}){why}"


def _iso(row: Any, between: str) -> str:
    """The wall clock, with what it is ahead of UTC where that is known."""
    spec = "milliseconds" if row.precision == "millisecond" else "seconds"
    moment: datetime = _EPOCH + timedelta(seconds=row.local_s)
    return f"{moment.isoformat(between, spec)}{_offset(row.offset_s)}"


def _offset(offset_s: float) -> str:
    if offset_s != offset_s:
        return ""
    minutes = round(abs(offset_s) / 60)
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _data(row: Any) -> dict[str, Any]:
    """One photo for programs; null where absent."""
    has_time, has_place = row.local_s == row.local_s, row.lat_deg == row.lat_deg
    had = _EPOCH + timedelta(seconds=row.had_s) if row.had_s == row.had_s else None
    instant = _EPOCH + timedelta(seconds=row.time_s) if row.time_s == row.time_s else None
    return {
        "path": plain(row.path), "outcome": row.outcome, "reason": plain(row.reason) or None,
        "source": row.source or None, "rule": row.rule or None, "meaning": row.meaning or None,
        "precision": row.precision or None, "zone": row.zone or None, "zone_source": row.zone_source or None,
        "local_time": _iso(row, "T") if has_time else None,
        "time": None if instant is None else instant.isoformat(timespec="milliseconds") + "Z",
        "had_local_time": None if had is None else had.isoformat(),
        "lat_deg": row.lat_deg if has_place else None, "lon_deg": row.lon_deg if has_place else None,
        "position_source": "takeout" if has_place else None,
    }  # fmt: skip
