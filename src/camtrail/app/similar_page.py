"""Similar pictures as tables for programs, and as a page for people."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from camtrail.app.context import Context
from camtrail.app.export import check_target
from camtrail.app.report import check_page
from camtrail.app.scan import suffix_of
from camtrail.app.similar import Alike, Member
from camtrail.app.state import absolute
from camtrail.core.errors import UnreadableFile, UsageError
from camtrail.core.names import plain, shown
from camtrail.exports.geoparquet import libraries
from camtrail.metadata import safeio
from camtrail.reports.page import file_url
from camtrail.reports.similar import SimilarCard, SimilarGroup, similar_page
from camtrail.vision.decode import decode
from camtrail.vision.encode import jpeg_of

__all__ = ["check_outputs", "group_data", "group_lines", "rows", "write_outputs"]

_SIDE_PX = 240
_MOST_GROUPS, _MOST_CARDS = 500, 24  # of one page, which some 10 kB a picture make large
_CSV_MARK, _JSON_MARK = b"filepath,embedding,similar_images,threshold", b'[\n{"filepath": '
_PARQUET_MARK = b"camtrail"


def check_outputs(outputs: Sequence[str], force: bool, context: Context) -> None:
    """Looks, before there is any work, whether the files can be written.

    Raises
    ------
    UsageError
        A suffix is none of .csv, .parquet, .json, .html.
    SafetyRefusal
        A file is there that camtrail did not write.
    MissingDependency
        A .parquet needs pyarrow.
    """
    for output in outputs:
        suffix = suffix_of(output)
        if suffix in (".html", ".htm"):
            check_page(output, force, context)
        elif suffix == ".csv":
            check_target(output, _CSV_MARK, force, context)
        elif suffix == ".json":
            check_target(output, _JSON_MARK, force, context)
        elif suffix == ".parquet":
            libraries()
            check_target(output, _PARQUET_MARK, force, context, is_mark_last=True)
        else:
            raise UsageError(
                f"{shown(output)}: similar pictures are written as .csv, .parquet, .json or .html",
                "give the file one of these suffixes",
            )
    if len({absolute(o) for o in outputs}) < len(outputs):
        raise UsageError("an output is given twice", "name it once")


def rows(done: Alike) -> Iterator[dict[str, Any]]:
    """One row of each picture: `filepath embedding similar_images threshold`, then what else is known.

    `group` counts from 1; it, `kind`, `distance` (bits of 64) and `cosine` to the best of the group are None for a
    picture that is alone. `quality` is 0 to 1.
    """
    of = {m.row: (number, m) for number, g in enumerate(done.groups, 1) for m in g.members}
    names = [plain(s.typed) for s in done.shots]
    for row, shot in enumerate(done.shots):
        number, member = of.get(row, (None, None))
        yield {
            "filepath": names[row],
            "embedding": [round(float(v), 6) for v in done.embedding[row]],
            "similar_images": [names[other] for other in done.similar[row]],
            "threshold": done.threshold,
            "group": number,
            "kind": member and member.kind,
            "distance": member and member.bits,
            "cosine": member and round(member.cosine, 4),
            "quality": round(shot.about.quality.score, 4),
            "width_px": shot.about.width_px,
            "height_px": shot.about.height_px,
            "size_bytes": shot.size_bytes,
        }


def group_data(done: Alike) -> list[dict[str, Any]]:
    """The groups as `--json` has them."""

    def data(member: Member) -> dict[str, Any]:
        shot = done.shots[member.row]
        return {
            "path": plain(shot.typed),
            "kind": member.kind,
            "distance": member.bits,
            "cosine": round(member.cosine, 4),
            "quality": round(shot.about.quality.score, 4),
            "width_px": shot.about.width_px,
            "height_px": shot.about.height_px,
            "size_bytes": shot.size_bytes,
        }

    return [
        {
            "kind": g.kind,
            "best": plain(done.shots[g.members[0].row].typed),
            "images": [data(m) for m in g.members],
        }
        for g in done.groups
    ]


def write_outputs(done: Alike, outputs: Sequence[str], context: Context) -> None:
    """Writes the files, each as its suffix says, and adds them to the result's outputs.

    Raises
    ------
    StorageError
        One cannot be written.
    """
    for output in outputs:
        suffix = suffix_of(output)
        if suffix in (".html", ".htm"):
            _write_page(done, output, context)
        else:
            safeio.put(context.fs, output, _FORMATS[suffix](done))
        done.result.outputs.append(output)


_COLUMNS = (
    "filepath", "embedding", "similar_images", "threshold", "group", "kind", "distance", "cosine", "quality",
    "width_px", "height_px", "size_bytes",
)  # fmt: skip


def _csv(done: Alike) -> Iterator[bytes]:
    """Lists as JSON in their cells."""
    yield (",".join(_COLUMNS) + "\n").encode()
    for row in rows(done):
        line = io.StringIO()
        csv.DictWriter(line, _COLUMNS, lineterminator="\n").writerow(
            {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
        )
        yield line.getvalue().encode()


def _json(done: Alike) -> Iterator[bytes]:
    """A list, one row a line."""
    between = b"[\n"
    for row in rows(done):
        yield between + json.dumps(row, allow_nan=False).encode()
        between = b",\n"
    yield b"\n]\n" if done.shots else b"[]\n"


def _parquet(done: Alike) -> Iterator[bytes]:
    arrow, parquet = libraries()
    kinds = {
        "embedding": arrow.list_(arrow.float32()), "similar_images": arrow.list_(arrow.string()),
        "threshold": arrow.float64(), "cosine": arrow.float64(), "quality": arrow.float64(),
        "filepath": arrow.string(), "kind": arrow.string(),
    }  # fmt: skip
    schema = arrow.schema(
        [(name, kinds.get(name, arrow.int64())) for name in _COLUMNS], metadata={b"writer": _PARQUET_MARK}
    )
    out = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(list(rows(done)), schema), out)
    yield out.getvalue()


_FORMATS: dict[str, Callable[[Alike], Iterator[bytes]]] = {".csv": _csv, ".json": _json, ".parquet": _parquet}


def _write_page(done: Alike, path: str, context: Context) -> None:
    folder = os.path.dirname(absolute(path))
    groups = [
        SimilarGroup(g.kind, tuple(_card(done, m, folder, context) for m in g.members[:_MOST_CARDS]))
        for g in done.groups[:_MOST_GROUPS]
    ]
    title = "Similar pictures in " + " and ".join(
        shown(os.path.basename(p.rstrip("/")) or p) for p in done.result.paths[:3]
    )
    summary = [_summary(done), *done.result.notes]
    if any(len(g.members) > _MOST_CARDS for g in done.groups):
        summary.append(f"Of a group at most {_MOST_CARDS} pictures are shown.")
    left_out = max(0, len(done.groups) - _MOST_GROUPS)
    safeio.put(context.fs, path, similar_page(title, groups, summary, left_out=left_out))


def _summary(done: Alike) -> str:
    grouped = sum(len(g.members) for g in done.groups)
    return (
        f"{grouped:,} of {len(done.shots):,} pictures are in {len(done.groups):,} groups. The first of each is the "
        "best: the largest copy, or the sharpest and best exposed picture of a scene. No photo was changed."
    )


def _card(done: Alike, member: Member, folder: str, context: Context) -> SimilarCard:
    shot = done.shots[member.row]
    try:
        with context.fs.source(shot.file) as source:
            jpeg = jpeg_of(decode(source, _SIDE_PX).pixels)
    except UnreadableFile:  # it went away meanwhile
        jpeg = None
    lines = [
        f"{shot.about.width_px} × {shot.about.height_px}, {shot.size_bytes / 1000:,.0f} kB",
        f"quality {shot.about.quality.score:.2f}, sharpness {shot.about.quality.sharpness:.0f}",
    ]
    if member.kind != "best":
        lines.append(f"hash differs in {member.bits} bits, cosine {member.cosine:.3f}")
    return SimilarCard(shown(shot.typed), file_url(shot.file, folder), jpeg, member.kind, tuple(lines))


def group_lines(done: Alike, most: int) -> Iterator[str]:
    """The first groups for people, a picture a line."""
    for number, group in enumerate(done.groups[:most], 1):
        yield f"group {number}:"
        yield from (_line(done, member) for member in group.members)
    if len(done.groups) > most:
        yield f"… and {len(done.groups) - most:,} more groups"


def _line(done: Alike, member: Member) -> str:
    shot = done.shots[member.row]
    return f"  {member.kind.replace('_', ' '):12} {shown(shot.typed)}  {shot.about.width_px} x {shot.about.height_px}"
