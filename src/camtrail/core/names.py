"""Names of files as people may read them, and as they are compared.

A name is `str` with the bytes that are no UTF-8 kept as lone surrogates (`os.fsdecode`), so that every
file can be opened again. What people read goes through `shown`, names in files of data through `plain`.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["folded", "natural", "plain", "shown"]

# C0, DEL, C1, line and paragraph separators, the marks that turn the direction of writing, and the
# surrogates that stand for bytes.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"(\d+)")
_MOST_DIGITS = 600  # Python may refuse to convert more than 640


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    if 0xDC80 <= point <= 0xDCFF:
        return f"\\x{point - 0xDC00:02x}"
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


def shown(name: str) -> str:
    """The name with control characters, direction marks and bytes that are no UTF-8 escaped.

    A byte that is no UTF-8 becomes `\\xNN`; a newline `\\x0a`. The result is one line of valid Unicode.
    """
    return name if name.isascii() and name.isprintable() else _ODD.sub(_escape, name)


def plain(name: str) -> str:
    """The name as a value in a file of data: valid Unicode, with every character that a name may have.

    A byte that is no UTF-8 becomes `\\xNN`; a newline stays one, so that it is not taken for four letters.
    """
    return name if name.isascii() else _LONE.sub(_escape, name)


def folded(name: str) -> str:
    """The form in which two spellings of one name are equal (composed and decomposed accents)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts `IMG_9` before `IMG_10`."""
    return tuple(
        (0, int(part) if len(part) <= _MOST_DIGITS else _rounded(part), part)
        if part.isdecimal()
        else (1, 0, part)
        for part in _DIGITS.split(name)
        if part
    )


def _rounded(digits: str) -> int:
    # Its size and first digits; the text behind it in the key decides about the others.
    return int(digits[:_MOST_DIGITS]) * int(10 ** (len(digits) - _MOST_DIGITS))
