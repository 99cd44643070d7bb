"""Where tokens are kept: in the system's keyring, else in a file that only its owner may read.

A token is kept under the origin it was got for, and handed out for no other one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from camtrail.core.errors import StorageError, UsageError
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.metadata import safeio

__all__ = ["Keyring", "TokenFile", "guarded", "system_keyring"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_UNREAL = ("keyring.backends.fail", "keyring.backends.null")


def guarded(fs: FileSystem, path: str) -> bool:
    """Whether a file of tokens, or its folder, is there; others may not read it any more afterwards.

    Raises
    ------
    UsageError
        It belongs to somebody else: whoever that is could have tokens of ours sent, or have us use theirs.
    """
    try:
        access = fs.access(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as e:
        reason = e.strerror or type(e).__name__
        raise StorageError(f"{shown(path)}: cannot be looked at ({reason})", "check its folder") from e
    if not access.is_ours:
        raise UsageError(
            f"{shown(path)}: belongs to somebody else, so no token is taken from it",
            "move it away, or make it your own",
        )
    if not access.is_private:
        try:
            safeio.make_private(fs, path)
            log.warning("%s: others on this machine could read it; now only you can", shown(path))
        except StorageError as e:
            log.warning(
                "%s: others on this machine can read it, and that cannot be changed: %s", shown(path), e
            )
    return True


class TokenFile:
    """Tokens in a file of JSON, `{origin: {profile: token}}`, for its owner only, in a folder for its owner only.

    Every call raises UsageError where file or folder belongs to somebody else or the file is damaged,
    UnreadableFile or StorageError where the disk does not give or take it.
    """

    def __init__(self, fs: FileSystem, folder: str) -> None:
        self._fs = fs
        self._folder = folder
        self.path = f"{folder}/tokens.json"

    def get(self, origin: str, profile: str) -> Secret | None:
        """The token of a profile at an origin; None where there is none."""
        token = self._read().get(origin, {}).get(profile)
        return Secret(token) if token else None

    def names(self, origin: str) -> set[str]:
        """The profiles that have a token at an origin."""
        return set(self._read().get(origin, {}))

    def put(self, origin: str, profile: str, token: Secret) -> None:
        """Keeps a token, durably."""
        tokens = self._read()
        tokens.setdefault(origin, {})[profile] = token.reveal()
        self._write(tokens)

    def remove(self, origin: str, profile: str) -> bool:
        """Forgets a token; whether there was one."""
        tokens = self._read()
        if tokens.get(origin, {}).pop(profile, None) is None:
            return False
        self._write({o: of for o, of in tokens.items() if of})
        return True

    def _read(self) -> dict[str, dict[str, str]]:
        if not guarded(self._fs, self._folder) or not guarded(self._fs, self.path):
            return {}
        with self._fs.source(self.path) as source:
            data = source.read_at(0, source.size)
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not _is_tokens(found):
            raise UsageError(
                f"{shown(self.path)}: is damaged",
                "move it away and run camtrail mapillary authenticate again",
            )
        tokens: dict[str, dict[str, str]] = found
        return tokens

    def _write(self, tokens: dict[str, dict[str, str]]) -> None:
        try:
            self._fs.make_folder(self._folder, private=True)
        except OSError as e:
            reason = e.strerror or type(e).__name__
            raise StorageError(
                f"{shown(self._folder)}: cannot be made ({reason})", "name another place with CAMTRAIL_CONFIG"
            ) from e
        guarded(self._fs, self._folder)
        data = json.dumps(tokens, indent=1, sort_keys=True, ensure_ascii=True).encode()
        safeio.put(self._fs, self.path, [data, b"\n"], private=True)


def _is_tokens(found: Any) -> bool:
    return isinstance(found, dict) and all(
        isinstance(of, dict) and all(isinstance(token, str) for token in of.values()) for of in found.values()
    )


class Keyring:
    """Tokens in the system's keyring.

    No call raises: where the extra is not installed, no keyring is running or it refuses, the answer is None
    or False, and the log says why.
    """

    def __init__(self, backend: Any = None) -> None:
        self._backend = backend
        self._is_asked = backend is not None

    def get(self, origin: str, profile: str) -> Secret | None:
        """The token of a profile at an origin; None where there is none."""
        found = self._ask(lambda b: b.get_password(_service(origin), profile))
        return Secret(found) if isinstance(found, str) and found else None

    def put(self, origin: str, profile: str, token: Secret) -> bool:
        """Keeps a token; whether the keyring took it."""

        def kept(backend: Any) -> bool:
            backend.set_password(_service(origin), profile, token.reveal())
            return bool(backend.get_password(_service(origin), profile) == token.reveal())

        return self._ask(kept) is True

    def remove(self, origin: str, profile: str) -> bool:
        """Forgets a token; whether it is surely gone."""

        def gone(backend: Any) -> bool:
            if backend.get_password(_service(origin), profile) is not None:
                backend.delete_password(_service(origin), profile)
            return backend.get_password(_service(origin), profile) is None

        return self._ask(gone) is True

    def _ask(self, do: Callable[[Any], T]) -> T | None:
        if not self._is_asked:
            self._backend, self._is_asked = system_keyring(), True
        if self._backend is None:
            return None
        try:
            return do(self._backend)
        except Exception as e:  # noqa: BLE001 - a backend raises what its system does
            log.info("the keyring does not answer (%s)", type(e).__name__)
            return None


def _service(origin: str) -> str:
    return f"camtrail {origin}"


def system_keyring() -> Any:
    """The keyring of this machine; None where there is none that keeps anything."""
    try:
        import keyring

        backend = keyring.get_keyring()
    except Exception as e:  # noqa: BLE001 - a backend that is set up wrongly raises what it likes
        log.info("there is no keyring (%s)", type(e).__name__)
        return None
    module = type(backend).__module__
    chained = getattr(backend, "backends", None) if module == "keyring.backends.chainer" else True
    return None if module in _UNREAL or not chained else backend
