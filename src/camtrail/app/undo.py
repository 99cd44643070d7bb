"""What runs changed comes back, byte for byte."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from camtrail.app.context import Context
from camtrail.app.scan import ScanOptions
from camtrail.app.state import Workspace, existing
from camtrail.app.write import copied_from, journal_in, locked, read_again, settle
from camtrail.catalog.journal import JournalRun, SqliteJournal
from camtrail.core.errors import CamtrailError, Failure, SafetyRefusal, UsageError, worst
from camtrail.core.journal import Change
from camtrail.core.names import shown
from camtrail.core.options import opt
from camtrail.metadata import safeio

__all__ = ["UndoOptions", "Undone", "journal_of", "undo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoOptions:
    """Which runs are taken back."""

    run: int | None = opt(None, "take back this run, and later ones on the same files", least=1)
    all: bool = opt(False, "take back all runs")
    forget: bool = opt(
        False, "drop what undo needs, and take nothing back; with --older-than: of older runs only"
    )
    older_than_s: float | None = opt(None, "how old runs are that --forget drops, as 90d", least=0)
    force: bool = opt(False, "take our part back also out of files that were changed since")
    dry_run: bool = opt(False, "print what would be taken back, and change nothing")
    wait: bool = opt(False, "wait for another run that owns the folder to end")


@dataclass(slots=True)
class Undone:
    """What was taken back."""

    restored: list[str] = field(default_factory=list)  # as typed
    forgotten: int = 0  # changes whose undo data was dropped
    failures: list[Failure[str]] = field(default_factory=list)
    elapsed_s: float = 0.0

    def exit_code(self) -> int:
        """0, 3 where a file was left alone, or that of the gravest failure."""
        return worst({f.exit_code for f in self.failures})


def undo(paths: Sequence[str], state: ScanOptions, options: UndoOptions, context: Context) -> Undone:
    """Takes back the newest run that changed files at PATHs, or those that the options name.

    A file that was changed since is left alone and named; files that a run made are removed, their folders stay.

    Raises
    ------
    UsageError
        There is no such run, or options contradict each other.
    FolderBusy
        Another run owns the folder.
    """
    _check(options)
    started = context.clock.monotonic_s()
    done = Undone()
    spaces = _spaces(paths, state, context)
    if options.run is not None and not spaces:
        raise UsageError(
            f"{shown(paths[0])}: there is no run {options.run}", "camtrail status lists the runs"
        )
    with locked([] if options.dry_run else spaces, options.wait, context):
        for space in spaces:
            _undo_in(space, state, options, done, context)
    done.elapsed_s = context.clock.monotonic_s() - started
    return done


def _check(options: UndoOptions) -> None:
    if options.run is not None and options.all:
        raise UsageError("--run and --all contradict each other", "leave one out")
    if options.forget and (options.run is not None or options.all or options.force):
        raise UsageError(
            "--forget takes nothing back, so --run, --all and --force contradict it", "leave it out"
        )
    if options.older_than_s is not None and not options.forget:
        raise UsageError("--older-than says what --forget drops", "add --forget, or leave it out")


def _spaces(paths: Sequence[str], state: ScanOptions, context: Context) -> list[Workspace]:
    """PATHs that have something written, those of one state together."""
    found: dict[str, Workspace] = {}
    for path in paths:
        space = existing(context.fs, path, state.state_dir)
        if space is not None and space.has_journal(context.fs):
            first = found.setdefault(space.state, replace(space, roots=(), given=()))
            found[space.state] = replace(
                first, roots=first.roots + space.roots, given=first.given + space.given
            )
    return list(found.values())


def _undo_in(
    space: Workspace, state: ScanOptions, options: UndoOptions, done: Undone, context: Context
) -> None:
    if not options.dry_run:
        settle(space, context)
    with journal_in(space, context) as journal:
        if options.forget:
            done.forgotten += _forget(space, state, options, journal, context)
            return
        files = _Files(space, context)
        chosen = _chosen(journal.changes(("done",)), files, options)
        if not options.dry_run:
            _sweep([*space.roots, *{os.path.dirname(c.path) for _, c in chosen if c.kind == "new"}], context)
        restored: list[str] = []
        stuck: set[str] = set()  # a file whose newer change stays keeps the older ones, too
        for count, (number, change) in enumerate(chosen, 1):
            if change.path not in stuck:
                if options.dry_run:
                    failure = _would_fail(change, change.path in restored, options, context)
                else:
                    (failure,) = safeio.restore(context.fs, journal, [(number, change)], force=options.force)
                if failure is None:
                    restored.append(change.path)
                else:
                    stuck.add(change.path)
                    exit_code = 3 if failure.exit_code == SafetyRefusal.exit_code else failure.exit_code
                    done.failures.append(
                        dataclasses.replace(failure.at(files.typed(change.path)), exit_code=exit_code)
                    )
            context.progress("undo", count, len(chosen))
        done.restored += [files.typed(p) for p in dict.fromkeys(restored)]
        if not options.dry_run and space.has_catalog(context.fs):
            read_again(space, [p for p in map(files.relative, dict.fromkeys(restored)) if p], context)


def _forget(
    space: Workspace, state: ScanOptions, options: UndoOptions, journal: SqliteJournal, context: Context
) -> int:
    """Drops undo data of the whole state; returns of how many changes."""
    if not state.state_dir and space.base not in space.roots:
        raise UsageError(
            f"{shown(space.given[0])}: what undo needs is kept, and dropped, for all of {shown(space.base)}",
            "name that folder",
        )
    now_s = context.clock.now_s()
    before_s = math.inf if options.older_than_s is None else now_s - options.older_than_s
    if options.dry_run:
        old = {run.number for run in journal.runs() if run.at_s < before_s}
        return sum(run in old for _, run, _ in journal.changes(("done", "begun", "undone")))
    return journal.forget(before_s)


def _would_fail(
    change: Change, has_newer: bool, options: UndoOptions, context: Context
) -> Failure[str] | None:
    """What a dry run can tell: only the newest change of a file shows in it."""
    if has_newer or options.force:
        return None
    state = safeio.now(context.fs, change)
    if state in ("new", "old"):
        return None
    words = "is not there any more" if state == "gone" else "was changed since, so it would be left alone"
    return Failure(change.path, "refused", f"{shown(change.path)}: {words}", "keep it, or give --force")


class _Files:
    """Which files of the journal, whose paths have all links resolved, belong to PATHs, and what they are called."""

    def __init__(self, space: Workspace, context: Context) -> None:
        self._space = space
        self._base = context.fs.real(space.base).rstrip("/") + "/"
        self._roots = [context.fs.real(root) for root in space.roots]
        self._is_all = self._base.rstrip("/") in [root.rstrip("/") for root in self._roots]

    def relative(self, path: str) -> str:
        """Relative to the state's base; "" for a file elsewhere."""
        return path.removeprefix(self._base) if path.startswith(self._base) else ""

    def typed(self, path: str) -> str:
        """As the user has typed it."""
        for root, given in zip(self._roots, self._space.given):
            if path == root:
                return given
            if path.startswith(root.rstrip("/") + "/"):
                return f"{given.rstrip('/')}/{path[len(root.rstrip('/')) + 1 :]}"
        return path

    def has(self, change: Change) -> bool:
        """Whether a file lies at a PATH, is the sidecar of one, or a copy of what lies there."""
        if self._is_all:
            return True
        source = copied_from(change)
        path = change.path if source is None else self._base + source
        return any(
            path in (root, f"{root}.xmp") or path.startswith(root.rstrip("/") + "/") for root in self._roots
        )


def _chosen(
    changes: Sequence[tuple[int, int, Change]], files: _Files, options: UndoOptions
) -> list[tuple[int, Change]]:
    """The changes to be taken back, the newest first."""
    here = [(number, run, change) for number, run, change in changes if files.has(change)]
    if options.all:
        return [(number, change) for number, _, change in here]
    if options.run is not None:
        paths = {change.path for _, run, change in here if run == options.run}
        if not paths:
            raise UsageError(
                f"run {options.run} changed nothing there that could be taken back",
                "camtrail status lists the runs",
            )
        return [(number, c) for number, run, c in here if run >= options.run and c.path in paths]
    newest = max((run for _, run, _ in here), default=None)
    return [(number, change) for number, run, change in here if run == newest]


def _sweep(roots: Sequence[str], context: Context) -> None:
    """Removes what killed runs left beside the files."""
    waiting = list(roots)
    while waiting:
        try:
            entries = context.fs.entries(waiting.pop())
        except CamtrailError:
            continue  # a file, or a folder that may not be read
        for entry in entries:
            if safeio.is_partial(entry.name):
                safeio.remove(context.fs, entry.path)
            elif entry.kind == "folder" and not entry.name.startswith("."):
                waiting.append(entry.path)


def journal_of(path: str, state: ScanOptions, context: Context) -> tuple[list[JournalRun], int]:
    """The runs that changed files at a PATH, the newest first, and the bytes of what undo needs."""
    space = existing(context.fs, path, state.state_dir)
    if space is None or not space.has_journal(context.fs):
        return [], 0
    with journal_in(space, context) as journal:
        return journal.runs(), context.fs.entry(space.journal).size_bytes
