"""What runs changed comes back, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from camtrail.app.context import Context
from camtrail.app.scan import ScanOptions
from camtrail.app.state import Workspace, existing
from camtrail.app.write import locked, read_again
from camtrail.catalog.journal import JournalRun, SqliteJournal
from camtrail.core.errors import CamtrailError, Failure, UsageError, worst
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

    A file that was changed since is left alone and named; files that a run made are removed.

    Raises
    ------
    UsageError
        There is no such run.
    FolderBusy
        Another run owns the folder.
    """
    started = context.clock.monotonic_s()
    done = Undone()
    spaces = [(path, existing(context.fs, path, state.state_dir)) for path in paths]
    found = [space for _, space in spaces if space is not None]
    with locked(list({s.state: s for s in found}.values()), options.wait, context):
        for path, space in spaces:
            if space is None or not space.has_journal(context.fs):
                if options.run is not None:
                    raise UsageError(
                        f"{shown(path)}: there is no run {options.run}", "camtrail status lists the runs"
                    )
                continue
            _undo_in(space, options, done, context)
    done.elapsed_s = context.clock.monotonic_s() - started
    return done


def _undo_in(space: Workspace, options: UndoOptions, done: Undone, context: Context) -> None:
    with SqliteJournal(space.journal, space.base) as journal:
        if options.forget:
            age_s = 0.0 if options.older_than_s is None else options.older_than_s
            done.forgotten += journal.forget(context.clock.now_s() - age_s)
            return
        if not options.dry_run:
            safeio.settle(context.fs, journal, [(n, c) for n, _, c in journal.changes(("begun",))])
        chosen = _chosen(journal.changes(("done",)), space, options)
        names = {change.path: space.as_typed(space.relative(change.path)) for _, change in chosen}
        if options.dry_run:
            done.restored += list(dict.fromkeys(names[c.path] for _, c in chosen))
            return
        _sweep([c for _, c in chosen], context)
        restored: list[str] = []
        stuck: set[str] = set()  # a file whose newer change stays keeps the older ones, too
        for number, change in chosen:
            if change.path in stuck:
                continue
            (failure,) = safeio.restore(context.fs, journal, [(number, change)], force=options.force)
            if failure is None:
                restored.append(change.path)
            else:
                stuck.add(change.path)
                exit_code = 3 if failure.exit_code == 11 else failure.exit_code
                done.failures.append(
                    Failure(
                        names[change.path],
                        failure.code,
                        failure.message,
                        failure.hint,
                        failure.retryable,
                        exit_code,
                    )
                )
            context.progress("undo", len(restored) + len(stuck), len(chosen))
        done.restored += list(dict.fromkeys(names[p] for p in restored))
        read_again(space, [p for p in dict.fromkeys(restored) if _is_file(p, context)], context)


def _is_file(path: str, context: Context) -> bool:
    try:
        return context.fs.status(path).kind == "file"
    except OSError:
        return False


def _chosen(
    changes: Sequence[tuple[int, int, Change]], space: Workspace, options: UndoOptions
) -> list[tuple[int, Change]]:
    """The changes to be taken back, the newest first."""
    here = [(number, run, change) for number, run, change in changes if _is_at(change.path, space)]
    if options.all:
        return [(number, change) for number, _, change in here]
    if options.run is not None:
        files = {change.path for _, run, change in here if run == options.run}
        if not files:
            raise UsageError(
                f"{shown(space.given[0])}: run {options.run} changed nothing here that could be taken back",
                "camtrail status lists the runs",
            )
        return [(number, c) for number, run, c in here if run >= options.run and c.path in files]
    newest = max((run for _, run, _ in here), default=None)
    return [(number, change) for number, run, change in here if run == newest]


def _is_at(path: str, space: Workspace) -> bool:
    """Whether a changed file belongs to what PATH names: lies there, or is what a run made elsewhere."""
    root = space.roots[0]
    if root == space.base or not path.startswith(space.base.rstrip("/") + "/"):
        return True
    return path == root or path.startswith(root.rstrip("/") + "/") or path == f"{root}.xmp"


def _sweep(changes: Sequence[Change], context: Context) -> None:
    """Removes what killed runs left beside the files."""
    for folder in sorted({os.path.dirname(c.path) for c in changes}):
        try:
            entries = context.fs.entries(folder)
        except CamtrailError:
            continue
        for entry in entries:
            if safeio.is_partial(entry.name):
                safeio.remove(context.fs, entry.path)


def journal_of(path: str, state: ScanOptions, context: Context) -> tuple[list[JournalRun], int]:
    """The runs that changed files at a PATH, the newest first, and the bytes of what undo needs."""
    space = existing(context.fs, path, state.state_dir)
    if space is None or not space.has_journal(context.fs):
        return [], 0
    with SqliteJournal(space.journal, space.base) as journal:
        return journal.runs(), context.fs.entry(space.journal).size_bytes
