"""Options as data: the field of one dataclass is the default, the flag, the config key and the manual."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypeVar, cast

from camtrail.core.errors import UsageError

__all__ = ["PRESETS", "Option", "by_preset", "opt", "options_of", "quantity", "resolve"]

T = TypeVar("T")

PRESETS = ("classic", "modern")

UNITS: Mapping[str, Mapping[str, float]] = {
    "_s": {"": 1.0, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "_m": {"": 1.0, "m": 1.0, "km": 1000.0},
    "_km": {"": 1.0, "km": 1.0},
    "_deg": {"": 1.0, "deg": 1.0, "°": 1.0},
    "_ratio": {"": 1.0, "%": 0.01},
}
"""What may stand behind a number, by the unit that ends the field's name. `m` is always metres."""


@dataclass(frozen=True, slots=True)
class _Spec:
    help: str
    flag: str | None
    aliases: tuple[str, ...]
    env: str | None
    choices: tuple[str, ...]
    presets: Mapping[str, Any]
    least: float | None = None
    most: float | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option, as the command line and the configuration need it."""

    name: str  # of the field, with its unit
    kind: type  # bool, int, float or str
    many: bool  # may be given several times
    default: Any
    help: str
    flag: str
    aliases: tuple[str, ...]
    env: str  # the environment variable that sets it; "" where there is none
    choices: tuple[str, ...]
    presets: Mapping[str, Any]  # preset -> default, where a preset sets it
    unit: str  # a key of UNITS, or ""
    least: float | None = None  # of a number
    most: float | None = None
    local: bool = False  # its flags mean this in its own verbs only, and no configuration sets it

    def value(self, text: str) -> Any:
        """The value that a text stands for. Raises UsageError."""
        value = self._value(text)
        if self.least is not None and value < self.least:
            raise UsageError(f"{text!r} is below {self.least:g}")
        if self.most is not None and value > self.most:
            raise UsageError(f"{text!r} is above {self.most:g}")
        return value

    def _value(self, text: str) -> Any:
        if self.kind is bool:
            if text.strip().lower() in ("1", "true", "yes", "on"):
                return True
            if text.strip().lower() in ("0", "false", "no", "off", ""):
                return False
            raise UsageError(f"{text!r} is neither true nor false", "write true or false")
        if self.kind is float:
            return quantity(text, self.unit)
        if self.kind is int:
            try:
                return int(text)
            except ValueError as e:
                raise UsageError(f"{text!r} is no whole number") from e
        if self.choices:
            return _choice(text, self.choices)
        return text


def opt(
    default: T,
    help: str,
    *,
    flag: str | None = None,
    aliases: tuple[str, ...] = (),
    env: str | None = None,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    local: bool = False,
) -> T:
    """A field that is an option. Without `flag` it is the field's name without its unit.

    `local` is for flags that other verbs use for something else, since both are documented so: nothing but the
    command line of its own verbs sets such an option, unless it has an `env`.
    """
    spec = _Spec(help, flag, aliases, env, choices, {}, least, most, local)
    return field(default=default, metadata={"opt": spec})


def by_preset(
    help: str,
    values: Mapping[str, T],
    *,
    flag: str | None = None,
    aliases: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    least: float | None = None,
) -> T | None:
    """A field that is None until `resolve` fills it from the preset in use."""
    spec = _Spec(help, flag, aliases, None, choices, values, least)
    return cast("T | None", field(default=None, metadata={"opt": spec}))


def _choice(text: str, choices: tuple[str, ...]) -> str:
    for choice in choices:
        if choice.casefold().replace("-", "_") == text.strip().casefold().replace("-", "_"):
            return choice
    raise UsageError(f"{text!r} is not one of {', '.join(choices)}")


def quantity(text: str, unit: str) -> float:
    """`90`, `90s`, `2min`, `1.5km` in the unit asked for (`_s`, `_m`, `_deg`, or "" for a bare number).

    Raises UsageError for what is no number, not finite, or has another unit.
    """
    m = re.fullmatch(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s]*)\s*", text)
    units = UNITS.get(unit, {"": 1.0})
    if m is None or m[2].lower() not in units:
        known = ", ".join(u for u in units if u)
        raise UsageError(f"{text!r} is no number" + (f" (units: {known})" if known else ""))
    value = float(m[1]) * units[m[2].lower()]
    if value - value != 0:  # infinite
        raise UsageError(f"{text!r} is too large")
    return value


_declared: dict[type[Any], tuple[Option, ...]] = {}  # type hints are texts, and slow to read


def options_of(cls: type[Any]) -> tuple[Option, ...]:
    """The options that a dataclass declares, in its order."""
    if cls not in _declared:
        _declared[cls] = tuple(_options(cls))
    return _declared[cls]


def _options(cls: type[Any]) -> list[Option]:
    hints = typing.get_type_hints(cls)
    made = []
    for f in dataclasses.fields(cls):
        spec: _Spec | None = f.metadata.get("opt")
        if spec is None:
            continue
        unit = next((u for u in UNITS if f.name.endswith(u)), "")
        kind, many = _kind(hints[f.name])
        flag = spec.flag or "--" + f.name.removesuffix(unit).replace("_", "-")
        env = (
            spec.env
            if spec.env is not None
            else ""
            if many or spec.local
            else "CAMTRAIL_" + flag[2:].replace("-", "_").upper()
        )
        made.append(
            Option(
                f.name,
                kind,
                many,
                f.default,
                spec.help,
                flag,
                spec.aliases,
                env,
                spec.choices,
                spec.presets,
                unit,
                spec.least,
                spec.most,
                spec.local,
            )
        )
    return made


def _kind(hint: Any) -> tuple[type, bool]:
    args = [a for a in typing.get_args(hint) if a not in (type(None), Ellipsis)]
    if typing.get_origin(hint) is tuple:
        return args[0], True
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return args[0], False
    return cast(type, hint), False


def resolve(options: T, preset: str) -> T:
    """The same options with what a preset sets filled in, where the user set nothing."""
    filled = {
        o.name: o.presets[preset]
        for o in options_of(type(options))
        if o.presets and getattr(options, o.name) is None
    }
    return dataclasses.replace(cast(Any, options), **filled) if filled else options
