"""`status` and `why`: what is known, and where it comes from."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click

from camtrail.app.process import ProcessOptions
from camtrail.app.scan import ScanOptions
from camtrail.app.status import Known, iso
from camtrail.app.status import status as find
from camtrail.app.status import why as explain
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, say, verb
from camtrail.core.names import plain, shown

__all__ = ["status", "why"]


@verb("status", "Show what is known of the photos at PATHs, and which runs there were.", ScanOptions)
def status(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Reads the catalog only."""
    found = find(paths, build(ScanOptions, values), run.context)
    if run.json:
        counts: Counter[str] = Counter()
        for known in found:
            counts.update(known.counts)
        answer = {"command": "status", "counts": counts, "failures": [], "outputs": [], "elapsed_s": 0.0}
        click.echo(json.dumps({**answer, "collections": [_plain(known) for known in found]}))
        return 0
    for k in found:
        say(shown(k.path))
        if k.state is None:
            say(f"    nothing is known yet; run: camtrail process {shown(k.path)}")
            continue
        say(f"    state in {shown(k.state)} ({k.size_bytes / 1e6:.1f} MB)")
        say(f"    {k.photos:,} photos scanned" + "".join(f", {n:,} {o}" for o, n in k.counts.items()))
        for run_of in k.written[:10]:
            said = ", ".join(f"{n:,} {state}" for state, n in run_of.states.items())
            say(f"    run {run_of.number}: {iso(run_of.at_s)}  {run_of.command}: {said}")
        if k.written:
            say(f"    {k.undo_bytes / 1e6:.1f} MB of undo data; camtrail undo takes the newest run back")
        for at, command, n in k.runs[:10]:
            said = ", ".join(f"{v:,} {o}" for o, v in n.items()) or "no photos"
            say(f"    {at}  {command}: {said}")
    return 0


def _plain(k: Known) -> dict[str, Any]:
    return {
        "path": plain(k.path),
        "state": None if k.state is None else plain(k.state),
        "photos": k.photos,
        "counts": k.counts,
        "size_bytes": k.size_bytes,
        "runs": [{"at": at, "command": command, "counts": n} for at, command, n in k.runs],
        "written": [
            {"run": r.number, "at": iso(r.at_s), "command": r.command, "files": r.states} for r in k.written
        ],
        "undo_bytes": k.undo_bytes,
    }


@verb(
    "why",
    "Show everything known of PHOTO, and where it comes from.",
    ScanOptions,
    many=False,
    metavar="PHOTO",
)
def why(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """One photo, explained."""
    result, facts = explain(paths[0], build(ProcessOptions, values), run.context)
    if run.json:
        from camtrail.cli.terminal import as_json

        click.echo(as_json(result, facts=dict(facts)))
        return result.exit_code()
    wide = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name:<{wide}}  {value}")
    return result.exit_code()
