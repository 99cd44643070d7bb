"""One tree of errors. The exit code and whether trying again can help stand in the class.

A verdict about a photo (no time, outside the track) is a value and never comes through here.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

__all__ = [
    "AuthError",
    "BadAnswer",
    "CamtrailError",
    "CatalogError",
    "Failure",
    "FolderBusy",
    "InputError",
    "MissingDependency",
    "QuotaExceeded",
    "Rejected",
    "SafetyRefusal",
    "ServiceError",
    "StorageError",
    "Unreachable",
    "UnreadableFile",
    "UnusableDescription",
    "UsageError",
    "failure_of",
    "worst",
]

T = TypeVar("T")
U = TypeVar("U")


class CamtrailError(Exception):
    """Base of everything camtrail raises on purpose.

    Parameters
    ----------
    message : what is wrong, one line
    hint : what to do about it, one line; empty where nothing can be said
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "bug"
    retryable: bool = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(CamtrailError):
    """A wrong option, or options that contradict each other."""

    exit_code = 2
    code = "usage"


class InputError(CamtrailError):
    """An input that cannot be used.

    Parameters
    ----------
    path : the input's name as the user knows it
    reason : what is wrong with it
    hint : what to do about it
    retryable : whether the same file may be readable later (a busy disk, a missing right)
    """

    exit_code = 4
    code = "input"

    def __init__(self, path: str, reason: str, hint: str = "", *, retryable: bool = False) -> None:
        super().__init__(reason, hint)
        self.path = path
        self.reason = reason
        self.retryable = retryable

    def __reduce__(self) -> tuple[Any, ...]:
        return _input_error, (type(self), self.path, self.reason, self.hint, self.retryable)

    def __str__(self) -> str:
        # Lazily: names need escaping before a terminal sees them, and errors are raised in workers.
        from camtrail.core.names import shown

        return f"{shown(self.path)}: {super().__str__()}"


def _input_error(cls: type[InputError], path: str, reason: str, hint: str, retryable: bool) -> InputError:
    return cls(path, reason, hint, retryable=retryable)


class UnreadableFile(InputError):
    """A file that cannot be read, or whose bytes are not what its kind promises."""

    code = "unreadable"


class UnusableDescription(InputError):
    """A description file that does not say what it must."""

    code = "description"


class ServiceError(CamtrailError):
    """A service that does not do what was asked; what was done before is kept, and the same command goes on."""

    exit_code = 5
    code = "service"


class Unreachable(ServiceError):
    """No answer, half an answer, or one that says to come again later."""

    code = "unreachable"
    retryable = True


class BadAnswer(ServiceError):
    """An answer that is not what the service's documentation promises, such as the login page of a hotel."""

    code = "answer"
    retryable = True


class QuotaExceeded(ServiceError):
    """The service asks for a pause.

    Parameters
    ----------
    retry_after_s : how long, as the service says it; None where it does not
    """

    code = "quota"
    retryable = True

    def __init__(self, message: str, hint: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class Rejected(ServiceError):
    """One item that the service will not take, however often it is asked."""

    exit_code = 3
    code = "rejected"


class AuthError(ServiceError):
    """A token that is missing, wrong or no longer good."""

    exit_code = 6
    code = "auth"


class StorageError(CamtrailError):
    """Local storage that does not take or give what is ours: full, read-only, gone."""

    exit_code = 7
    code = "storage"


class CatalogError(StorageError):
    """Catalog, journal or ledger damaged, locked or written by a newer camtrail."""

    exit_code = 8
    code = "catalog"


class FolderBusy(StorageError):
    """Another run owns this folder."""

    exit_code = 9
    code = "busy"
    retryable = True


class MissingDependency(CamtrailError):
    """An extra or a program that is not installed; the hint says how to get it."""

    exit_code = 10
    code = "missing"


class SafetyRefusal(CamtrailError):
    """Refused, because what would be lost cannot be brought back."""

    exit_code = 11
    code = "refused"


@dataclass(frozen=True, slots=True)
class Failure(Generic[T]):
    """What an executor yields for an item that raised; plain data, made where it happened.

    `code` is `bug` for an exception that nobody foresaw; `detail` then holds its traceback.
    """

    item: T
    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    exit_code: int = 3
    detail: str = ""

    def at(self, item: U) -> Failure[U]:
        """The same failure of an item under another name."""
        return Failure(item, self.code, self.message, self.hint, self.retryable, self.exit_code, self.detail)


def failure_of(item: T, error: Exception) -> Failure[T]:
    """The plain-data form of an exception that hit one item."""
    if isinstance(error, InputError):
        return Failure(item, error.code, error.reason, error.hint, error.retryable)
    if isinstance(error, CamtrailError):
        return Failure(item, error.code, error.message, error.hint, error.retryable, error.exit_code)
    from camtrail.core.names import shown

    try:
        said = shown(f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - its __str__ is a defect of its own
        said = type(error).__name__
    return Failure(
        item,
        "bug",
        said,
        "this is a defect of camtrail; please report it with the log of --verbose",
        exit_code=1,
        detail="".join(traceback.format_exception(error)),
    )


_RANK = (1, 7, 6, 8, 5, 3)  # the order in which several causes win


def worst(codes: set[int]) -> int:
    """The exit code of a run that met several kinds of trouble; 0 where there was none."""
    codes = codes - {0}
    return next((c for c in _RANK if c in codes), max(codes, default=0))
