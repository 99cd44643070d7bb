"""Values that must not be seen: tokens and passwords."""

from __future__ import annotations

import logging

__all__ = ["Redaction", "Secret", "redacted"]

_known: set[str] = set()
_SHORTEST = 6  # what is shorter occurs in ordinary words


class Secret:
    """A text that shows itself only to who asks for it by name.

    `str`, `repr`, f-strings and tracebacks have `***`. Every secret that was made is blanked out of the log.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) >= _SHORTEST:
            _known.add(text)

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a secret does not leave its process")


class Redaction(logging.Filter):
    """Blanks every secret out of what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True; the record's text has `***` in place of secrets."""
        text = record.getMessage()
        clean = redacted(text)
        if clean != text:
            record.msg, record.args = clean, ()
        if record.exc_info:
            record.exc_text = redacted(
                record.exc_text or logging.Formatter().formatException(record.exc_info)
            )
        return True


def redacted(text: str) -> str:
    """The text with `***` in place of every secret that was made."""
    for secret in sorted(_known, key=len, reverse=True):  # one may be the beginning of another
        if secret in text:
            text = text.replace(secret, "***")
    return text
