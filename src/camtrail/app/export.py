"""What is known, written in the formats of other programs."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import camtrail.exports
from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, Result, known
from camtrail.app.scan import suffix_of
from camtrail.core.errors import InputError, SafetyRefusal, UsageError
from camtrail.core.model import Collection, Item
from camtrail.core.names import shown
from camtrail.core.options import opt
from camtrail.core.plugins import Export, discover
from camtrail.metadata import safeio

__all__ = [
    "ExportOptions",
    "check_target",
    "export",
    "format_of",
    "is_ours",
    "items",
    "known_exports",
    "render",
]

_HEAD_BYTES, _TAIL_BYTES = 512, 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Where to, and in which format."""

    output: str = opt("", "file to write, - for standard output", flag="--output", aliases=("-o", "--to"))
    format: str = opt(
        "", "format, where the file's suffix does not say it: geojson, gpx, kml, csv, geoparquet, description"
    )
    force: bool = opt(False, "replace a file that camtrail did not write")


@functools.cache
def known_exports() -> dict[str, Export]:
    """Every registered format, by name."""
    return discover(camtrail.exports)


def format_of(options: ExportOptions) -> Export:
    """The format by name, else by the output's suffix. Raises UsageError."""
    formats = known_exports()
    if options.format:
        name = options.format.lower().lstrip(".")
        for made in formats.values():
            if name == made.name or f".{name}" in made.suffixes:
                return made
        raise UsageError(f"there is no format {options.format!r}", f"there are {', '.join(formats)}")
    if not options.output:
        raise UsageError("no file to write is given", "give -o FILE, or -o - with --format")
    if options.output == "-":
        raise UsageError(
            "standard output has no suffix that names a format", f"give --format {'|'.join(formats)}"
        )
    suffix = suffix_of(options.output)
    for made in formats.values():
        if suffix in made.suffixes:
            return made
    suffixes = " ".join(sorted(s for made in formats.values() for s in made.suffixes))
    raise UsageError(
        f"{shown(options.output)}: no format has this suffix", f"use one of {suffixes}, or give --format"
    )


def check_target(
    path: str, mark: bytes, force: bool, context: Context, *, is_mark_last: bool = False
) -> None:
    """Raises SafetyRefusal where a file would be replaced that camtrail did not write.

    A recording may be called `ride.gpx`, too.
    """
    try:
        entry = context.fs.entry(path)
    except InputError:
        return
    if entry.kind == "folder":
        raise UsageError(f"{shown(path)}: is a folder", "name a file in it")
    if force or not entry.size_bytes:
        return
    if entry.kind != "other" and not _has_mark(path, mark, is_mark_last, context):
        raise SafetyRefusal(
            f"{shown(path)}: is there already and was not written by camtrail",
            "name another file, or give --force to replace it",
        )


def _has_mark(path: str, mark: bytes, is_last: bool, context: Context) -> bool:
    with context.fs.source(path) as old:
        at, most = (max(0, old.size - _TAIL_BYTES), _TAIL_BYTES) if is_last else (0, _HEAD_BYTES)
        return mark in old.read_at(at, most)


def is_ours(path: str, context: Context) -> bool:
    """Whether a file was written by `export`. Raises UnreadableFile."""
    return any(
        suffix_of(path) in e.suffixes and _has_mark(path, e.mark, e.is_mark_last, context)
        for e in known_exports().values()
    )


def items(collections: Sequence[Collection]) -> Iterator[Item]:
    """All photos of all collections."""
    for c in collections:
        yield from c.items()


def render(result: Result, made: Export) -> Iterator[bytes]:
    """The bytes of a file in a format."""
    roots = {r for c in result.collections for r in c.roots}
    return made.write(items(result.collections), len(roots) > 1)


def export(paths: Sequence[str], options: ProcessOptions, to: ExportOptions, context: Context) -> Result:
    """Writes what is known of the photos at PATHs to a file; with `-` only the result says what there is.

    Raises
    ------
    UsageError
        No format is named.
    SafetyRefusal
        The file is there and is none of camtrail's.
    """
    made = format_of(to)
    if to.output != "-":
        check_target(to.output, made.mark, to.force, context, is_mark_last=made.is_mark_last)
    result = known("export", paths, options, context)
    if to.output != "-":
        safeio.put(context.fs, to.output, render(result, made))
        result.outputs.append(os.fspath(to.output))
    return result
