"""The only code that opens a file for writing in a folder of the user.

So far it writes whole new files of ours (exports, reports); it changes no photo.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from camtrail.core.errors import StorageError
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown

__all__ = ["put"]


def put(fs: FileSystem, path: str, chunks: Iterable[bytes]) -> None:
    """Writes a whole file: the new bytes are complete and durable at `path`, or what was there stays.

    Raises
    ------
    StorageError
        The disk is full, the folder is missing or may not be written.
    """
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".camtrail-{os.getpid()}-{name[-60:]}.partial")
    try:
        fs.remove(partial)  # of a run that was killed and had our process number
        out = fs.create(partial)
        try:
            try:
                for chunk in chunks:
                    out.write(chunk)
                out.sync()
            finally:
                out.close()
            fs.rename(partial, path)
        except BaseException:
            fs.remove(partial)
            raise
        fs.sync_folder(folder)
    except OSError as e:
        raise _storage_error(path, e) from e


def _storage_error(path: str, error: OSError) -> StorageError:
    if error.errno == errno.ENOSPC:
        return StorageError(
            f"{shown(path)}: the disk is full", "make room and run again; nothing was replaced"
        )
    if isinstance(error, FileNotFoundError):
        return StorageError(f"{shown(path)}: its folder is not there", "make the folder or name another one")
    if isinstance(error, IsADirectoryError):
        return StorageError(f"{shown(path)}: is a folder", "name a file in it")
    reason = error.strerror or type(error).__name__
    return StorageError(f"{shown(path)}: cannot be written ({reason})", "name a place that you may write to")
