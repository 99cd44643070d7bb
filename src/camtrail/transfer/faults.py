"""Faults of a stand-in server as data, and the language that they are written in."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from camtrail.core.errors import UsageError
from camtrail.core.options import quantity

__all__ = ["ACTIONS", "LANGUAGE", "Fault", "parse"]

LANGUAGE = """\
A fault is ACTION[=VALUE][,KEY=VALUE...]. Of several faults the first that
applies to a request is carried out.

Instead of an answer:
  status=503         this status; more keys: retry-after=TEXT, body=TEXT,
                     type=CONTENT-TYPE, and early=yes, which answers before
                     the body was read, and hangs up
  reset=N            resets the connection after N bytes of the request's
                     body, before the end; what came is kept unless keep=no;
                     0 resets before anything is read
  stall=SECONDS      says nothing for so long, then hangs up
  redirect=URL       307 to there; status=301 and so on
  raw=TEXT           these bytes, then hangs up
  html               200 with a page of HTML, as a hotel's login page;
                     status=, body=
  json=JSON          200 with this JSON; status=

The request is carried out, and the answer suffers:
  lost               the connection is reset in place of the answer
  delay=SECONDS      the answer comes so much later
  drip=BYTES_PER_S   the answer drips
  truncate=N         the last N bytes of the answer's body are missing, and
                     the connection ends
  length=DELTA       Content-Length is wrong by so much; the connection stays
                     open
  slow=BYTES_PER_S   the request's body is read slowly

Which requests: method=POST, path=GLOB (without the query), origin=NAME; of
those nth=2, nth=1-3 or nth=5- by their number, rate=5% by chance (seed=N for
other chances; the same each time), times=N at most so often.

A comma separates only where one of these keys and = follow it; elsewhere it
belongs to the text. In texts (not in json=) \\n, \\r, \\t, \\\\, \\, and \\xNN are
what they are in C.
"""

_NUMBERS = ("status", "reset", "stall", "delay", "drip", "truncate", "length", "slow")
_TEXTS = ("redirect", "raw", "json")
_BARE = ("html", "lost")
ACTIONS = (*_NUMBERS, *_TEXTS, *_BARE)
_KEYS = (
    *("method", "path", "origin", "nth", "rate", "seed", "times"),
    *("status", "retry-after", "body", "type", "keep", "early"),
)
_OF_ACTION = {
    "status": {"retry-after", "body", "type", "early"},
    "reset": {"keep"},
    "redirect": {"status"},
    "html": {"status", "body"},
    "json": {"status"},
}
_SELECTING = set(_KEYS[:7])
_NEXT_KEY = "(?=(?:" + "|".join(_KEYS) + ")=)"
_SPLIT = re.compile(r"(?<!\\)," + _NEXT_KEY)
_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|.|$)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of misbehaviour, and the requests that meet it; `LANGUAGE` says what each field does."""

    action: str
    amount: float = 0.0  # of actions that take a number: a status, bytes, seconds or bytes a second
    text: str = ""  # of redirect, raw and json
    status: int | None = None
    retry_after: str | None = None
    body: str | None = None
    type: str | None = None
    keep: bool = True
    early: bool = False
    method: str | None = None
    path: str | None = None
    origin: str | None = None
    nth: tuple[int, int | None] | None = None  # first and last number; None: no end
    rate: float | None = None  # 0 to 1
    seed: int = 0
    times: int | None = None

    def spec(self) -> str:
        """The text that `parse` reads as this fault."""
        parts = [self.action]
        if self.action in _NUMBERS:
            parts = [f"{self.action}={_number(self.amount)}"]
        elif self.action in _TEXTS:
            parts = [
                f"{self.action}={_json_shown(self.text) if self.action == 'json' else _shown(self.text)}"
            ]
        if self.status is not None:
            parts.append(f"status={self.status}")
        for key in ("retry-after", "body", "type", "method", "path", "origin"):
            value = getattr(self, key.replace("-", "_"))
            if value is not None:
                parts.append(f"{key}={_shown(value)}")
        if not self.keep:
            parts.append("keep=no")
        if self.early:
            parts.append("early=yes")
        if self.nth is not None:
            first, last = self.nth
            parts.append(f"nth={first}" + ("" if last == first else f"-{'' if last is None else last}"))
        if self.rate is not None:
            parts.append(f"rate={_number(self.rate)}")
        if self.seed:
            parts.append(f"seed={self.seed}")
        if self.times is not None:
            parts.append(f"times={self.times}")
        return ",".join(parts)

    def concerns(self, origin: str, method: str, path: str) -> bool:
        """Whether a request is among those that this fault counts."""
        return (
            (self.origin is None or self.origin == origin)
            and (self.method is None or self.method == method)
            and (self.path is None or fnmatchcase(path, self.path))
        )

    def hits(self, number: int) -> bool:
        """Whether the request with this number, from 1, among those that it counts meets the fault."""
        if self.nth is not None:
            first, last = self.nth
            if number < first or (last is not None and number > last):
                return False
        if self.rate is None:
            return True
        drawn = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < self.rate * 2**64


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _shown(text: str) -> str:
    out = []
    for c in text:
        if c in "\\,":
            out.append("\\x5c" if c == "\\" else "\\,")
        elif c in "\n\r\t":
            out.append({"\n": "\\n", "\r": "\\r", "\t": "\\t"}[c])
        elif c < " ":
            out.append(f"\\x{ord(c):02x}")
        elif "\udc80" <= c <= "\udcff":
            out.append(f"\\x{ord(c) - 0xDC00:02x}")
        else:
            out.append(c)
    return "".join(out)


def _json_shown(text: str) -> str:
    return re.sub("," + _NEXT_KEY, r"\\,", text)


def _json_read(text: str) -> str:
    text = re.sub(r"\\," + _NEXT_KEY, ",", text)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as e:
        raise UsageError(f"{text!r} is no JSON", "body=TEXT sends any text") from e
    return text


def _read(text: str) -> str:
    def one(m: re.Match[str]) -> str:
        what = m[1]
        if what[:1] == "x" and len(what) == 3:
            code = int(what[1:], 16)
            return chr(code if code < 0x80 else 0xDC00 + code)  # a byte, not a character
        if what in ("n", "r", "t", "\\", ","):
            return {"n": "\n", "r": "\r", "t": "\t"}.get(what, what)
        raise UsageError(f"\\{what} means nothing in a text", "a backslash is written \\\\")

    return _ESCAPED.sub(one, text)


def parse(spec: str) -> Fault:
    """The fault that a text describes, in the language of `LANGUAGE`.

    Raises
    ------
    UsageError
        It describes none.
    """
    try:
        return _parse(spec)
    except UsageError as e:
        raise UsageError(
            f"fault {spec!r}: {e.message}", e.hint or "camtrail sandbox --help explains faults"
        ) from e


def _parse(spec: str) -> Fault:
    first, *rest = _SPLIT.split(spec)
    action, given, value = first.partition("=")
    if action not in ACTIONS:
        raise UsageError(f"there is no action {action!r}", f"actions are {', '.join(ACTIONS)}")
    if bool(given) != (action not in _BARE):
        raise UsageError(f"{action} takes no value" if given else f"{action} needs a value")
    fields: dict[str, Any] = {"action": action}
    if action in _NUMBERS:
        fields["amount"] = _amount(action, value)
    elif action in _TEXTS:
        fields["text"] = _json_read(value) if action == "json" else _read(value)
    allowed = _SELECTING | _OF_ACTION.get(action, set())
    for part in rest:
        key, _, value = part.partition("=")
        name = key.replace("-", "_")
        if key not in allowed:
            raise UsageError(f"{action} takes no {key}=")
        if name in fields:
            raise UsageError(f"{key}= is there twice")
        fields[name] = _field(key, value)
    return Fault(**fields)


def _amount(action: str, value: str) -> float:
    if action == "status":
        return _status(value)
    if action in ("stall", "delay"):
        amount = quantity(value, "_s")
    elif action in ("drip", "slow"):
        amount = quantity(value, "")
        if amount <= 0:
            raise UsageError(f"{value!r} is no speed")
    elif action == "length":
        return _whole(value, least=-(2**62))
    else:
        return _whole(value)
    if amount < 0:
        raise UsageError(f"{value!r} is below 0")
    return amount


def _whole(value: str, least: int = 0) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
        raise UsageError(f"{value!r} is no whole number")
    if int(value) < least:
        raise UsageError(f"{value!r} is below {least}")
    return int(value)


def _status(value: str) -> int:
    if not re.fullmatch(r"[1-9]\d\d", value, re.ASCII):
        raise UsageError(f"{value!r} is no HTTP status")
    return int(value)


def _field(key: str, value: str) -> Any:
    if key == "status":
        return _status(value)
    if key in ("keep", "early"):
        if value not in ("yes", "no"):
            raise UsageError(f"{key}= is yes or no")
        return value == "yes"
    if key == "nth":
        m = re.fullmatch(r"(\d{1,18})(?:(-)(\d{1,18})?)?", value, re.ASCII)
        if m is None or int(m[1]) < 1 or (m[3] and int(m[3]) < int(m[1])):
            raise UsageError(f"nth={value} is no number from 1 on", "write nth=2, nth=1-3 or nth=5-")
        return int(m[1]), int(m[3]) if m[3] else None if m[2] else int(m[1])
    if key == "rate":
        share = quantity(value.removesuffix("%"), "") / (100 if value.endswith("%") else 1)
        if not 0 <= share <= 1:
            raise UsageError(f"rate={value} is no share", "write rate=5% or rate=0.05")
        return share
    if key in ("seed", "times"):
        return _whole(value)
    if key == "method":
        if not re.fullmatch("[A-Za-z]+", value):
            raise UsageError(f"{value!r} is no method")
        return value.upper()
    return _read(value)
