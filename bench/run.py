"""Runs the rows, each side in turn, and prints the table."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median

from bench import (
    agree,
    peers,
    rows_download,
    rows_match,
    rows_places,
    rows_program,
    rows_read,
    rows_similar,
    rows_steps,
    rows_upload,
    rows_video,
    rows_vision,
    rows_write,
)
from bench.corpus import CACHE, Corpus, corpus
from bench.rows import Measure, Missing, Pair, Room, Row

__all__ = ["ROWS", "main"]

ROWS = (
    *rows_read.ROWS,
    *rows_program.ROWS,
    *rows_steps.ROWS,
    *rows_similar.ROWS,
    *rows_places.ROWS,
    *rows_write.ROWS,
    *rows_upload.ROWS,
    *rows_download.ROWS,
    *rows_video.ROWS,
    *rows_vision.ROWS,
    *rows_match.ROWS,
)

_PAGE = Path(__file__).resolve().parent.parent / "BENCHMARKS.md"
_ROUNDS = 5
_SLOW_S, _SLOW_ROUNDS = 20.0, 3
_PHOTOS, _QUICK = 10_000, 1_000
_HEAD = "| row | camtrail; peer | camtrail | peer | ratio | target | met |\n|---|---|---|---|---|---|---|"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where a target is missed or a row fails."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="camtrail beside its peers")
    parser.add_argument("--only", action="append", metavar="ROW", help="a row, or several: 'write*'")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK:,} photos in place of {_PHOTOS:,}")
    parser.add_argument("--rounds", type=int, help=f"runs of each side; {_ROUNDS}, or fewer for slow peers")
    parser.add_argument("--write", action="store_true", help="put the table into BENCHMARKS.md")
    chosen = parser.parse_args(arguments)
    if chosen.write and (chosen.only or chosen.quick):
        parser.error("--write is for all rows on the whole corpus")
    wanted = [r for r in ROWS if any(fnmatchcase(r.name, o) for o in chosen.only or ["*"])]
    for only in chosen.only or []:
        if not any(fnmatchcase(r.name, only) for r in ROWS):
            parser.error(f"no row is named {only}; there are {', '.join(r.name for r in ROWS)}")

    os.environ["TZ"] = "UTC"  # times without zone mean the same to every reader
    made = corpus(_QUICK if chosen.quick else _PHOTOS)
    lines = [*_machine(), _described(made)]
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        room = Room(made, Path(folder), chosen.quick)
        lines.append(f"Checked first: {agree.check(room)}.")
        print("\n\n".join(lines), f"\n\n{_HEAD}", flush=True)
        cells, missed = [], False
        for row in wanted:
            line, met = _row(row, room, chosen.rounds)
            print(line, flush=True)
            cells.append(line)
            missed |= not met
    if chosen.write:
        _write("\n\n".join(lines) + f"\n\n{_HEAD}\n" + "\n".join(cells))
    return int(missed)


def _row(row: Row, room: Room, rounds: int | None) -> tuple[str, bool]:
    """A line of the table, and whether nothing is amiss."""
    what = row.shown(room)
    try:
        ours, theirs = _measured(row.prepare(room), rounds)
    except Missing as e:
        return f"| {row.name} | {what} | | {e} | | {_target(row)} | — |", True
    except Exception as e:  # one row that fails leaves the others
        print(f"{row.name}: {type(e).__name__}: {e}", file=sys.stderr)
        return f"| {row.name} | {what} | failed | | | {_target(row)} | no |", False
    ratios = [_rate(a) / _rate(b) for a, b in zip(ours, theirs)]
    met = _met(row, ours, ratios)
    cells = (
        row.name,
        what,
        _shown(row, ours),
        _shown(row, theirs) if theirs else "",
        _spread([_times(r) for r in sorted(ratios)], f"**{_times(median(ratios))} ×**") if ratios else "",
        _target(row),
        "—" if met is None else "yes" if met else "**no**",
    )
    return f"| {' | '.join(cells)} |", met is not False


def _measured(pair: Pair, rounds: int | None) -> tuple[list[Measure], list[Measure]]:
    """Ours, theirs, ours, theirs …: what slows the machine slows both."""
    ours: list[Measure] = []
    theirs: list[Measure] = []
    wanted = rounds or _ROUNDS
    while len(ours) < wanted:
        ours.append(pair.ours())
        if pair.peer:
            theirs.append(pair.peer())
            if rounds is None and theirs[0].seconds > _SLOW_S:
                wanted = _SLOW_ROUNDS
    return ours, theirs


def _rate(measure: Measure) -> float:
    return measure.items / measure.seconds


def _met(row: Row, ours: list[Measure], ratios: list[float]) -> bool | None:
    if row.ratio is not None:
        return median(ratios) >= row.ratio
    if row.rate is not None:
        return median(map(_rate, ours)) >= row.rate
    if row.within_s is not None:
        return median(m.seconds for m in ours) < row.within_s
    if row.least is not None:
        return median(m.items for m in ours) >= row.least
    if row.most is not None:
        return median(m.items for m in ours) <= row.most
    return None


def _target(row: Row) -> str:
    if row.ratio is not None:
        return f"≥ {row.ratio:g} ×"
    if row.rate is not None:
        return f"≥ {row.rate:,.0f} {row.unit}/s"
    if row.within_s is not None:
        return f"< {row.within_s:g} s"
    if row.least is not None:
        return f"≥ {row.least:g} {row.amount}"
    return f"≤ {row.most:g} {row.amount}" if row.most is not None else ""


def _shown(row: Row, measures: list[Measure]) -> str:
    """Median, least and most."""
    if row.amount:
        amounts = sorted(m.items for m in measures)
        return _spread([f"{a:.3g}" for a in amounts], f"{median(amounts):.3g} {row.amount}")
    if row.unit:
        rates = sorted(map(_rate, measures))
        return _spread([f"{r:,.0f}" for r in rates], f"{median(rates):,.0f} {row.unit}/s")
    seconds = sorted(m.seconds for m in measures)
    return _spread([f"{s:.3g}" for s in seconds], f"{median(seconds):.3g} s")


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"


def _spread(values: list[str], middle: str) -> str:
    return f"{middle} ({values[0]}–{values[-1]})" if len(values) > 1 else middle


def _machine() -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in peers.versions().items())
    today = datetime.datetime.now(datetime.UTC).date()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [f"{today}, {_processor()}, {cores} cores, {platform.system()}. {versions}."]


def _processor() -> str:
    try:
        names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _described(made: Corpus) -> str:
    s = made.summary
    tags, note, size = (s[k] for k in ("tags", "maker_note_bytes", "file_bytes"))
    return (
        f"Corpus: {s['photos']:,} photos of {s['cameras']} cameras on {s['rides']} rides, "
        f"{s['big_endian']:.0%} big-endian; tags {_range(tags, 1)}; maker note {_range(note, 1000)} kB; file "
        f"{_range(size, 1000)} kB; the GPS directory of {s['gps_past_32_kb']:.0%} lies past 32 KiB. "
        "Ranges are least–median–most."
    )


def _range(values: object, unit: float) -> str:
    assert isinstance(values, list)
    return "–".join(f"{v / unit:.0f}" for v in values)


def _write(table: str) -> None:
    page = _PAGE.read_text(encoding="utf-8")
    new = re.sub(
        r"(?s)<!-- table -->.*<!-- /table -->", lambda _: f"<!-- table -->\n{table}\n<!-- /table -->", page
    )
    _PAGE.write_text(new, encoding="utf-8")
