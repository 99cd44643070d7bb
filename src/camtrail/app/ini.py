"""INI files of the older upload programs: a section for each account, keys spelled as they are."""

from __future__ import annotations

import configparser
from collections.abc import Mapping

from camtrail.core.errors import UsageError
from camtrail.core.names import shown

__all__ = ["edited", "sections"]

_BOM = "\ufeff"


def sections(text: str) -> dict[str, dict[str, str]]:
    """The keys and values of each section.

    Raises
    ------
    ValueError
        It is no INI file; the message has none of its text, which may be secret.

    Notes
    -----
    As `configparser` reads them, without interpolation: a `%` is a `%`. Keys keep their case.
    """
    parser = _parsed(text)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _parsed(text: str) -> _Parser:
    parser = _Parser(strict=False)
    try:
        parser.read_string(text.removeprefix(_BOM))
    except configparser.Error as e:
        raise ValueError(_where(e)) from None
    return parser


class _Parser(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _where(error: configparser.Error) -> str:
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno} stands above the first [section]"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return f"line {error.errors[0][0]} is no key = value"
    return "it is no INI file"


def edited(text: str, section: str, values: Mapping[str, str]) -> str:
    """The text with the values set in a section; all else, comments included, stays as it is.

    An empty value takes its key away.

    Raises
    ------
    ValueError
        The text is no INI file.
    UsageError
        A section, key or value cannot be written so that it is read again as it was meant.
    """
    expected = sections(text)
    expected.setdefault(section, dict(_parsed(text).defaults()))
    if section == configparser.DEFAULTSECT:
        raise UsageError(f"{section} is no user's name", "give --user_name")
    lines = text.split("\n")
    for key, value in values.items():
        lines = _set(lines, section, key, value)
        if value:
            expected[section][key] = value
        else:
            expected[section].pop(key, None)
    new = "\n".join(lines)
    if _read_again(new) != expected:
        names = ", ".join(map(shown, values))
        raise UsageError(f"{names}: cannot be set in [{shown(section)}] of this file", "edit it by hand")
    return new


def _read_again(text: str) -> dict[str, dict[str, str]] | None:
    try:
        return sections(text)
    except ValueError:
        return None


def _set(lines: list[str], section: str, key: str, value: str) -> list[str]:
    """The lines with one value set: where the key stands, else at the end of its section, else behind all."""
    end = "\r" if any(line.endswith("\r") for line in lines) else ""
    entry = [f"{key} = {value}{end}"] if value else []
    out: list[str] = []
    inside = is_set = continues = False
    at = -1  # behind the last line of the section that is not blank
    for line in lines:
        header = _Parser.SECTCRE.match(line.removeprefix(_BOM))
        if header:
            inside = header["header"] == section
        elif continues and line[:1].isspace() and line.strip():
            continue
        continues = inside and not header and _key(line) == key
        if continues:
            if not is_set:
                out += entry
                is_set = True
            continue
        out.append(line)
        if inside and line.strip():
            at = len(out)
    if is_set:
        return out
    if at >= 0:
        return [*out[:at], *entry, *out[at:]]
    while out and not out[-1].strip():
        out.pop()
    return [*out, *([end] if out else []), f"[{section}]{end}", *entry, ""]


def _key(line: str) -> str:
    found = _Parser.OPTCRE.match(line)
    return found["option"].rstrip() if found and not line[:1].isspace() else ""
