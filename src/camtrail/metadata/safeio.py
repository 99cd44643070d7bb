"""The only code that opens a file for writing in a folder of the user.

So far it writes whole new files of ours (exports, reports); it changes no photo.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from camtrail.core.errors import StorageError, UnreadableFile
from camtrail.core.fs import FileSystem, NewFile
from camtrail.core.names import shown

__all__ = ["put"]


def put(fs: FileSystem, path: str, chunks: Iterable[bytes]) -> None:
    """Writes a whole file: the new bytes are complete and durable at `path`, or what was there stays.

    Where `path` is a link, what it points to is replaced and the link stays. A pipe or a device is written into.

    Raises
    ------
    StorageError
        The disk is full, the folder is missing or may not be written.
    """
    try:
        whole = fs.real(path)
        if _is_device(fs, whole):
            _write(fs.open_device(whole), chunks, sync=False)
            return
        folder, name = os.path.split(whole)
        # A name of 255 bytes has no room for more; 40 characters are 160 bytes at most.
        partial = os.path.join(folder, f".camtrail-{os.getpid()}-{name[-40:]}.partial")
        fs.remove(partial)  # of a run that was killed and had our process number
        try:
            _write(fs.create(partial), chunks, sync=True)
            fs.rename(partial, whole)
        except BaseException:
            fs.remove(partial)
            raise
    except OSError as e:
        raise _storage_error(path, e) from e
    try:
        fs.sync_folder(folder)
    except OSError as e:
        reason = e.strerror or type(e).__name__
        raise StorageError(
            f"{shown(path)}: is written, but the disk did not confirm its name ({reason})",
            "check the disk, run again",
        ) from e


def _is_device(fs: FileSystem, path: str) -> bool:
    try:
        return fs.entry(path).kind == "other"
    except UnreadableFile:
        return False


def _write(out: NewFile, chunks: Iterable[bytes], *, sync: bool) -> None:
    try:
        for chunk in chunks:
            out.write(chunk)
        if sync:
            out.sync()
    finally:
        out.close()


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
