"""`inaturalist match`: which local photo is which online photo, in the words of the script that people know."""

from __future__ import annotations

import csv
import io
import os
import re
from typing import TYPE_CHECKING, Any

from camtrail.app.inaturalist_options import MatchOptions
from camtrail.app.process import ProcessOptions
from camtrail.app.scan import ScanOptions
from camtrail.app.write_options import ChangeOptions
from camtrail.cli.main import SETTINGS, Verbs
from camtrail.cli.options import build
from camtrail.cli.terminal import Run, say, show, verb
from camtrail.core.errors import InputError, StorageError, UsageError
from camtrail.core.names import plain, shown
from camtrail.core.secrets import Secret

if TYPE_CHECKING:
    from camtrail.app.context import Context

__all__ = ["inaturalist", "match"]

inaturalist = Verbs(
    "inaturalist",
    verbs={
        "match": (
            "camtrail.cli.inaturalist:match",
            "find which photos are on iNaturalist and write that into them",
        )
    },
    help="iNaturalist. Start with: camtrail inaturalist match FOLDER --user LOGIN --logfile log.html",
    context_settings=SETTINGS,
)

_COLUMNS = (
    "path", "verdict", "photo", "observation", "observation_photo", "position", "identification", "seconds",
    "distance_m", "similarity", "margin", "how", "url",
)  # fmt: skip


@verb(
    "match",
    "Find which photos at PATHs are photos of a user's observations, and write ids and identification into them.",
    MatchOptions,
    ChangeOptions,
    ScanOptions,
)
def match(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
    """Local photos and observations."""
    from camtrail.app import inaturalist as app
    from camtrail.app.inaturalist_service import open_cache, open_client
    from camtrail.metadata import safeio

    options = build(MatchOptions, values)
    _check_outputs(options, run.context)
    base_url, token = os.environ.get("CAMTRAIL_INATURALIST_URL", ""), _token()
    scan = ProcessOptions(scan=build(ScanOptions, values))
    with open_cache(
        run.context, options.cache_dir, bypass=options.bypass_cache, offline=options.offline
    ) as cache:
        done = app.match(
            paths, scan, options, build(ChangeOptions, values),
            lambda: open_client(base_url, token, cache, run.context.clock), run.context,
        )  # fmt: skip
        if options.logfile:
            from camtrail.app.inaturalist_page import write_page

            write_page(done, paths, options.logfile, run.context)
            done.result.outputs.append(options.logfile)
    if options.csv:
        safeio.put(run.context.fs, options.csv, [_csv(done).encode()])
        done.result.outputs.append(options.csv)
    done.result.failures += [*done.failures, *done.written.failures]
    run.end()
    if not (run.json or run.quiet):
        for line in _lines(done):
            say(line)
    show(run, done.result, rest="--json lists all", summary=_summary(done), is_brief=True, **_data(done))
    return done.exit_code()


def _check_outputs(options: MatchOptions, context: Context) -> None:
    """Looks, before any photo is changed, whether page and table can be written."""
    from camtrail.app.export import check_target
    from camtrail.app.report import check_page
    from camtrail.app.state import absolute

    if options.csv == "-":
        raise UsageError("-: the table goes to a file", "name one, or give --json")
    if options.logfile:
        check_page(options.logfile, options.force, context)
    if options.csv:
        check_target(options.csv, b"path,verdict,photo", options.force, context)
    outputs = [output for output in (options.logfile, options.csv) if output]
    if len({absolute(output) for output in outputs}) < len(outputs):
        raise UsageError(f"{shown(options.csv)}: page and table cannot be one file", "give them two names")
    for output in outputs:
        try:
            context.fs.entry(os.path.dirname(absolute(output)))
        except InputError as e:
            raise StorageError(
                f"{shown(output)}: its folder is not there", "make the folder or name another one"
            ) from e


def _token() -> Secret | None:
    text = os.environ.get("INAT_TOKEN", "").strip()
    if text and not text.isprintable():
        raise UsageError("INAT_TOKEN: has lines in it, so it is no token", "give the token alone")
    return Secret(text) if text else None


def _s(n: int) -> str:
    return "" if n == 1 else "s"


def _lines(done: Any) -> list[str]:
    """What is found, day by day and pair by pair."""
    n = sum(len(c) for c in done.result.collections)
    lines = [f"Loaded {n} local photo{_s(n)} in {done.loaded_s:.1f} secs."]
    for day in done.days:
        lines.append(_day(day.date, day.online, day.local) + ".")
        if (day.online_left, day.local_left) != (day.online, day.local):
            lines.append(
                _day(day.date, day.online_left, day.local_left) + " left after excluding known associations."
            )
    if done.clock_s:
        way = "ahead" if done.clock_s > 0 else "behind"
        lines.append(
            f"The camera's clock is {way} by {abs(done.clock_s):.0f} secs; that was taken into account."
        )
    lines += [_pair(pair) for pair in done.pairs if pair.verdict != "known"]
    lines += [
        f"{shown(pair.local.typed)}: Updating subject from '{shown(former) or None}' to '{shown(text)}'."
        for pair, former, text in done.changes
    ]
    for local in done.lone_local:
        caption = local.known.keywords[0] if local.known.keywords else ""
        said = f", caption '{shown(caption)}'" if caption else ""
        lines.append(f"Not associated with an iNaturalist photo: '{shown(local.typed)}'{said}.")
    for online in done.lone_online:
        lines.append(
            f"Not associated with a local picture: photo id {online.photo.photo_id}, {_position(online)} of "
            f"observation {online.observation.url}, '{shown(online.text) or 'unknown'}'."
        )
    return lines


def _day(day: str, online: int, local: int) -> str:
    return f"{day}: {online} iNat picture{_s(online)} and {local} local picture{_s(local)}"


def _position(online: Any) -> str:
    """`only photo`, `1st photo`, `22nd photo`."""
    if len(online.observation.photos) == 1:
        return "only photo"
    n = online.photo.position + 1
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending} photo"


def _pair(pair: Any) -> str:
    where = f"'{shown(pair.local.typed)}'"
    number, text = pair.online.photo.photo_id, shown(pair.online.text) or "unknown"
    keywords = pair.local.known.keywords
    if pair.verdict == "different":
        start = f"{where} differs from photo id {number}; '{text}'"
    elif pair.verdict == "ambiguous":
        why = "shows too little to be sure" if pair.margin != pair.margin else "another one may be as well"
        start = f"{where} may be photo id {number}, but {why}; not written; '{text}'"
    elif not keywords:
        start = f"{where} without caption found for photo id {number}; '{text}'"
    elif _scientific(pair.online.text) in map(_scientific, keywords):
        start = f"{where} caption contains identification for photo id {number}"
    else:
        start = f"{where} found for photo id {number}; identification '{text}', current caption '{shown(keywords[0])}'"
    return f"{start}{_measures(pair)}."


_SCIENTIFIC = re.compile(r"[A-Z]\S*( [a-z]\S*( (var\.|ssp\.) [a-z]\S*)?)?")


def _scientific(caption: str) -> str:
    """The scientific name in a caption, as `Coyote (Canis latrans)` has it; the caption where it has none."""
    name = caption[caption.index("(") + 1 : -1] if "(" in caption and caption.endswith(")") else caption
    return name if _SCIENTIFIC.fullmatch(name) else caption


def _measures(pair: Any) -> str:
    seconds = "" if pair.seconds != pair.seconds else f", time from observation {pair.seconds:.0f} secs"
    if pair.similarity != pair.similarity:
        return (
            f"{seconds}, {_distance(pair)}, by its name"
            if pair.how == "name"
            else f"{seconds}, {_distance(pair)}"
        )
    return f"{seconds}, {_distance(pair)}, similarity {100 * pair.similarity:.1f}%"


def _distance(pair: Any) -> str:
    if pair.online.observation.is_obscured:
        return "obscured"
    d = pair.distance_m
    return "n/a" if d != d else f"distance from observation {d:.2f} meters"


def _summary(done: Any) -> str:
    """The last line, and what was written."""
    c = done.counts
    added, modified = c["annotations_added"], c["annotations_modified"]
    new, changed = c["identifications_added"], c["identifications_modified"]
    words = f"Summary: {added} iNaturalist annotation{_s(added)} added, {modified} modified"
    if new or changed:
        words += f"; {new} identification{_s(new)} added, {changed} modified"
    words += f" in {done.result.elapsed_s:.0f} seconds."
    local, online = done.unknown()
    if local or online:
        words += f" {local} local photo{_s(local)} and {online} iNaturalist photo{_s(online)} without known association."
    if "to be written" in done.written.counts:
        words += f" {done.written.counts['to be written']} would be written."
    return words


def _rows(done: Any) -> list[dict[str, Any]]:
    rows = [_row(pair) for pair in done.pairs]
    rows += [
        {**dict.fromkeys(_COLUMNS), "path": plain(x.typed), "verdict": "no_online_photo"} for x in done.lone_local
        if all(p.local is not x for p in done.pairs)
    ]  # fmt: skip
    rows += [{**dict.fromkeys(_COLUMNS), "path": plain(x.typed), "verdict": "stale"} for x in done.stale]
    rows += [{**dict.fromkeys(_COLUMNS), **_online(x), "verdict": "no_local_photo"} for x in done.lone_online]
    return rows


def _online(online: Any) -> dict[str, Any]:
    return {
        "photo": online.photo.photo_id, "observation": online.observation.id, "observation_photo": online.photo.id,
        "position": online.photo.position + 1, "identification": plain(online.text) or None,
        "url": online.observation.url,
    }  # fmt: skip


def _row(pair: Any) -> dict[str, Any]:
    margin = pair.margin if pair.margin == pair.margin and pair.margin != float("inf") else None
    return {
        **dict.fromkeys(_COLUMNS),
        **_online(pair.online),
        "path": plain(pair.local.typed),
        "verdict": pair.verdict,
        "seconds": _number(pair.seconds, 0),
        "distance_m": _number(pair.distance_m, 2),
        "similarity": _number(pair.similarity, 4),
        "margin": None if margin is None else round(margin, 4),
        "how": pair.how or None,
    }


def _number(value: float, digits: int) -> float | int | None:
    if value != value:
        return None
    return round(value, digits) if digits else round(value)


def _data(done: Any) -> dict[str, Any]:
    changes = [{"path": plain(path), "what": words.split()} for path, words in done.written.changes]
    return {
        "matches": _rows(done), "annotations": dict(done.counts), "clock_offset_s": done.clock_s,
        "written": done.written.counts, "changes": changes,
    }  # fmt: skip


def _csv(done: Any) -> str:
    """A table; cells that a spreadsheet would take for a formula begin with a quote."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(done):
        writer.writerow({k: _cell(v) for k, v in row.items()})
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
