"""Where the state of PATHs lives: the nearest `.camtrail/` at or above, as git does."""

from __future__ import annotations

import errno
import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from camtrail.core.errors import FolderBusy, InputError, StorageError
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown

__all__ = ["FOLDER", "Workspace", "absolute", "existing", "owned", "workspaces"]

log = logging.getLogger(__name__)

FOLDER = ".camtrail"
CATALOG = "catalog.sqlite"
JOURNAL = "journal.sqlite"


@dataclass(frozen=True, slots=True)
class Workspace:
    """PATHs that share one state; their photos are one collection."""

    base: str  # absolute folder that paths in the state are relative to
    state: str  # absolute folder of the state
    roots: tuple[str, ...]  # absolute PATHs, sorted
    given: tuple[str, ...]  # the same as the user typed them

    @property
    def catalog(self) -> str:
        """The catalog's file."""
        return f"{self.state}/{CATALOG}"

    @property
    def journal(self) -> str:
        """The journal's file."""
        return f"{self.state}/{JOURNAL}"

    def has_catalog(self, fs: FileSystem) -> bool:
        """Whether something was kept already."""
        return _is_file(fs, self.catalog)

    def has_journal(self, fs: FileSystem) -> bool:
        """Whether something was ever written."""
        return _is_file(fs, self.journal)

    def relative(self, path: str) -> str:
        """An absolute path as the state has it; "" for the base itself."""
        return path[len(self.base.rstrip("/")) + 1 :]

    def absolute(self, path: str) -> str:
        """A path of the state as an absolute one."""
        return f"{self.base.rstrip('/')}/{path}"

    def as_typed(self, path: str) -> str:
        """A path relative to the base in the words of the user."""
        whole = self.absolute(path) if path else self.base
        for root, given in zip(self.roots, self.given):
            if whole == root:
                return given
            if whole.startswith(root.rstrip("/") + "/"):
                return f"{given.rstrip('/')}/{whole[len(root.rstrip('/')) + 1 :]}"
        return whole


def _is_file(fs: FileSystem, path: str) -> bool:
    try:
        return fs.entry(path).kind == "file"
    except InputError:
        return False


def absolute(path: str) -> str:
    """An absolute path with `/` between folders. Links are not resolved: names stay as people know them."""
    whole = os.path.abspath(path)
    return whole.replace("\\", "/") if os.name == "nt" else whole


def workspaces(
    fs: FileSystem, paths: Sequence[str], state_dir: str = "", *, flat: bool = False
) -> list[Workspace]:
    """PATHs grouped by the state they belong to; a state folder that is missing is made.

    Parameters
    ----------
    paths : as typed; folders or files. Of two names for one place the first counts
    state_dir : a folder for the state in place of `.camtrail`; paths in it are then absolute
    flat : folders are not walked into, so that one PATH does not cover another below it

    Raises
    ------
    InputError
        A PATH is not there.
    """
    roots: dict[str, tuple[str, str, bool]] = {}  # real path -> absolute, as typed, whether a folder
    for given in paths:
        try:
            entry = fs.entry(given)
        except InputError as e:
            raise InputError(given, e.reason, e.hint) from e
        roots.setdefault(fs.real(given), (absolute(given), given, entry.kind == "folder"))
    whole = [] if flat else [real.rstrip("/") + "/" for real, (_, _, is_folder) in roots.items() if is_folder]
    made: dict[tuple[str, str], list[tuple[str, str]]] = {}
    # A folder's state is made before that of its parts.
    for real, (root, given, is_folder) in sorted(roots.items(), key=lambda r: (r[0].count("/"), r[0])):
        if any(real.startswith(folder) and real + "/" != folder for folder in whole):
            continue
        folder = root if is_folder else root.rpartition("/")[0] or "/"
        key = _given_state(fs, folder, state_dir) if state_dir else _own_state(fs, folder)
        made.setdefault(key, []).append((root, given))
    return [
        Workspace(base, state, tuple(r for r, _ in sorted(rs)), tuple(g for _, g in sorted(rs)))
        for (base, state), rs in made.items()
    ]


def _given_state(fs: FileSystem, folder: str, state_dir: str) -> tuple[str, str]:
    state = absolute(state_dir)
    try:
        fs.make_folder(state)
    except OSError as e:
        raise StorageError(
            f"{shown(state_dir)}: cannot be made ({e.strerror})", "give another --state-dir"
        ) from e
    drive = os.path.splitdrive(folder)[0].replace("\\", "/")
    return f"{drive}/", state


def _own_state(fs: FileSystem, folder: str) -> tuple[str, str]:
    if found := _found_state(fs, folder):
        return found
    ours = _user_state(folder)
    if _is_file(fs, f"{ours}/{JOURNAL}"):
        return folder, ours  # made while the folder could not be written: what undo needs is there
    state = f"{folder.rstrip('/')}/{FOLDER}"
    try:
        fs.make_folder(state)
        if fs.is_writable_folder(state) and fs.is_writable_file(f"{state}/{CATALOG}"):
            return folder, state
    except OSError as e:
        if e.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                f"{shown(state)}: cannot be made ({e.strerror})", "check the disk, run again"
            ) from e
    # A card that is locked, somebody else's folder: the state goes to the user's own.
    try:
        fs.make_folder(ours)
    except OSError as e:
        raise StorageError(
            f"{shown(folder)}: cannot be written, and neither can {shown(ours)}", "give --state-dir DIR"
        ) from e
    return folder, ours


def _found_state(fs: FileSystem, folder: str) -> tuple[str, str] | None:
    """The nearest folder with a state at or above one, and the state."""
    above = folder
    while True:
        state = f"{above.rstrip('/')}/{FOLDER}"
        if fs.is_writable_folder(state) and fs.is_writable_file(f"{state}/{CATALOG}"):
            return above, state
        parent = above.rpartition("/")[0] or "/"
        if parent == above or parent.endswith(":"):
            return None
        above = parent


def _user_state(folder: str) -> str:
    """The state, in the user's data folder, of a folder that cannot be written."""
    from platformdirs import user_data_dir

    name = uuid.uuid5(uuid.NAMESPACE_URL, os.fsencode(folder).hex()).hex
    return absolute(f"{user_data_dir('camtrail', appauthor=False)}/states/{name}")


@contextmanager
def owned(path: str, wait: bool, busy: str, fs: FileSystem) -> Iterator[None]:
    """What a lock file stands for, ours alone while the block runs.

    Parameters
    ----------
    wait : until another run that owns it has ended; else 1 s
    busy : what is said where another run owns it

    Raises
    ------
    FolderBusy
        Another run owns it.
    StorageError
        There can be no lock.
    """
    with ExitStack() as stack:
        for seconds in (1.0, 86400.0) if wait else (1.0,):
            if stack.enter_context(fs.lock(path, seconds)):
                yield
                return
            if wait:
                log.warning("%s; waiting for its end", busy)
        raise FolderBusy(busy, "let it end, or give --wait")


def existing(fs: FileSystem, path: str, state_dir: str = "") -> Workspace | None:
    """The workspace of one PATH where it has a state already; nothing is made. Raises InputError."""
    entry = fs.entry(path)
    root = absolute(path)
    folder = root if entry.kind == "folder" else root.rpartition("/")[0] or "/"
    if state_dir:
        state = absolute(state_dir)
        base = f"{os.path.splitdrive(folder)[0]}/"
        return Workspace(base, state, (root,), (path,)) if fs.is_writable_folder(state) else None
    found = _found_state(fs, folder) or (folder, _user_state(folder))
    return Workspace(*found, (root,), (path,)) if fs.is_writable_folder(found[1]) else None
