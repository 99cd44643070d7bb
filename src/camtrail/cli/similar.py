"""`similar`: copies of one picture, or pictures of one scene, as groups and tables."""

from __future__ import annotations

from typing import Any

import click

from camtrail.app.scan import ScanOptions
from camtrail.app.similar_options import SimilarOptions
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, show, verb

__all__ = ["similar"]

_MOST_GROUPS = 10


@verb(
    "similar",
    "Find copies among the pictures at PATHs, or pictures of one scene. Changes no photo.",
    SimilarOptions,
    ScanOptions,
)
def similar(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Groups of similar pictures."""
    from camtrail.app import similar as app
    from camtrail.app.similar_page import check_outputs, group_data, group_lines, write_outputs

    outputs: tuple[str, ...] = values.pop("outputs")
    options = build(SimilarOptions, values)
    check_outputs(outputs, options.force, run.context)
    done = app.similar(paths, build(ScanOptions, values), options, run.context)
    write_outputs(done, outputs, run.context)
    counts = done.counts()
    run.end()
    if not (run.json or run.quiet):
        for line in group_lines(done, _MOST_GROUPS):
            click.echo(line)
    summary = "\n".join(f"{n:9,}  {what.replace('_', ' ')}" for what, n in counts.items())
    show(
        run, done.result, rest="--json lists all", summary=summary, is_brief=True, counts=counts,
        groups=group_data(done),
    )  # fmt: skip
    return done.result.exit_code()


similar.params.insert(
    1,
    click.Option(
        ["outputs", "-o", "--output", "--to"],
        multiple=True,
        metavar="FILE",
        help="file to write: .csv, .parquet, .json or .html; may be given several times",
    ),
)
