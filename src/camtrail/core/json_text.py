"""JSON as people write it: strict, but for the few slips that have one meaning only."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from camtrail.core.names import shown

__all__ = ["BadJson", "loads"]

_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_COMMA = re.compile(_STRING + r"|(,)(?=[ \t\r\n]*+[}\]])", re.DOTALL)
_BRACKET = re.compile(_STRING + r"|([\[{])|([\]}])", re.DOTALL)
_BLANK = " \t\r\n"
_REST = re.compile(r"[ \t\r\n}]*")
_DEEPEST = 200  # brackets within brackets; documents that mean something have ten


class BadJson(ValueError):
    """A text that is no JSON.

    Parameters
    ----------
    reason : what is wrong
    line, column : where, both from 1; a mark of byte order counts for nothing
    """

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"{reason} (line {line}, column {column})")
        self.reason = reason
        self.line = line
        self.column = column


def loads(text: str) -> tuple[Any, list[str]]:
    """The value of a JSON text, and a sentence on each slip that was passed over.

    A comma before a closing bracket and braces too many at the end are passed over; of a key that is there twice
    the last value counts. NaN, infinite numbers and more than 200 brackets within each other are refused.

    Raises
    ------
    BadJson
        Anything else that is no JSON (RFC 8259).
    """
    text = text.removeprefix("\ufeff")
    _check_depth(text)
    warnings: list[str] = []
    try:
        value, end = _decoded(text, warnings)
    except BadJson:
        commas = _surplus_commas(text)
        if not commas:
            raise
        warnings = [_slip("a comma too many", text, at) for at in commas]
        value, end = _decoded(_blanked(text, commas), warnings)
    rest = _REST.match(text, end)
    assert rest is not None
    if rest.end() < len(text):
        raise _bad("something follows behind the end", text, rest.end())
    if "}" in rest[0]:
        warnings.append(_slip("a closing brace too many", text, text.index("}", end)))
    return value, warnings


class _Refused(ValueError):
    """A word of the text that is no number."""


def _decoded(text: str, warnings: list[str]) -> tuple[Any, int]:
    """The value at the beginning, and where it ends."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    warnings.append(f'the key "{shown(key)[:60]}" is there twice; the last one counts')
                seen.add(key)
        return made

    decoder = json.JSONDecoder(object_pairs_hook=object_of, parse_constant=_refused, parse_float=_finite)
    start = len(text) - len(text.lstrip(_BLANK))
    try:
        return decoder.raw_decode(text, start)
    except json.JSONDecodeError as e:
        raise BadJson(e.msg[:1].lower() + e.msg[1:], e.lineno, e.colno) from e
    except _Refused as e:
        word = str(e)
        raise _bad(f"{word[:40]} is no number that JSON knows", text, _outside(text, re.escape(word))) from e
    except ValueError as e:  # more digits than Python converts
        raise _bad("a number has too many digits", text, _outside(text, r"\d{640}")) from e


def _refused(word: str) -> NoReturn:
    raise _Refused(word)


def _finite(word: str) -> float:
    number = float(word)
    if math.isinf(number):
        raise _Refused(word)
    return number


def _outside(text: str, pattern: str) -> int:
    """Where something is that is no part of a string."""
    for found in re.finditer(f"{_STRING}|({pattern})", text, re.DOTALL):
        if found[1]:
            return found.start()
    return 0


def _surplus_commas(text: str) -> list[int]:
    """Where commas stand between a value and a closing bracket."""
    found = [m.start() for m in _COMMA.finditer(text) if m[1]]
    return [at for at in found if _before(text, at) not in "[{,:"]


def _before(text: str, at: int) -> str:
    """The last character before a place that is no blank; a comma where there is none."""
    at -= 1
    while at >= 0 and text[at] in _BLANK:
        at -= 1
    return text[at] if at >= 0 else ","


def _blanked(text: str, places: list[int]) -> str:
    pieces, done = [], 0
    for at in places:
        pieces += [text[done:at], " "]
        done = at + 1
    return "".join(pieces) + text[done:]


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= _DEEPEST:
        return
    depth = 0
    for found in _BRACKET.finditer(text):
        if found[1]:
            depth += 1
            if depth > _DEEPEST:
                raise _bad(f"more than {_DEEPEST} brackets within each other", text, found.start())
        elif found[2]:
            depth -= 1


def _bad(reason: str, text: str, at: int) -> BadJson:
    return BadJson(reason, *_line_and_column(text, at))


def _slip(what: str, text: str, at: int) -> str:
    line, column = _line_and_column(text, at)
    return f"{what} was passed over (line {line}, column {column})"


def _line_and_column(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
