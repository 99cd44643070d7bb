"""What is in the way of a picture in a folder of downloads: somebody else's file or folder, a link that leads away."""

from __future__ import annotations

import os

from camtrail.core.errors import Failure, InputError
from camtrail.core.fs import FileSystem

__all__ = ["Obstacles"]

_ELSEWHERE = "name another folder with -o"
_AWAY = "is a link that leads out of the folder"


class Obstacles:
    """Looks at places in a folder of downloads; at each folder in it once, as they do not change while a run owns it.

    Parameters
    ----------
    folder : absolute
    """

    def __init__(self, fs: FileSystem, folder: str) -> None:
        self._fs = fs
        self._folder = folder
        self._real = fs.real(folder)
        self._known: dict[str, Failure[str] | None] = {}

    def before(self, path: str) -> Failure[str] | None:
        """Why what lies at a path in the folder is not to be touched; None where it is, or nothing lies there.

        A file is not to be touched where a link to somewhere else is in its place, or in that of its folder.
        """
        above = os.path.dirname(path)
        if above not in self._known:
            self._known[above] = self._of_folder(above)
        return self._known[above] or self._of_file(path)

    def is_file(self, path: str) -> bool:
        """Whether a file, or a link, has this path already."""
        return self._kind(path) is not None

    def _of_folder(self, path: str) -> Failure[str] | None:
        kind = self._kind(path)
        if kind is None or kind == "folder":
            return None
        if kind == "link" and self._leads_away(path):
            return _failure(f"the folder of its sequence {_AWAY}", "take the link away")
        if kind == "link" and self._leads_to_folder(path):
            return None
        return _failure("what has the name of its sequence's folder is no folder", "move it away")

    def _of_file(self, path: str) -> Failure[str] | None:
        kind = self._kind(path)
        if kind == "link" and self._leads_away(path):
            return _failure(f"its file {_AWAY}", "take the link away")
        if kind == "folder":
            return _failure("a folder has the name of its file", "move it away")
        return None

    def _kind(self, path: str) -> str | None:
        try:
            return self._fs.status(f"{self._folder}/{path}").kind
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _leads_away(self, path: str) -> bool:
        real = self._fs.real(f"{self._folder}/{path}")
        return not real.startswith(self._real.rstrip("/") + "/")

    def _leads_to_folder(self, path: str) -> bool:
        try:
            return self._fs.entry(f"{self._folder}/{path}").kind == "folder"
        except InputError:
            return False


def _failure(message: str, hint: str) -> Failure[str]:
    return Failure("", "refused", message, f"{hint}, or {_ELSEWHERE}")
