"""Option dataclasses -> click parameters, and back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from camtrail.core.errors import UsageError
from camtrail.core.options import Option, options_of

__all__ = ["build", "config_path", "configured", "leaves", "parameters"]

T = TypeVar("T")

_WIDEST = 50  # characters of choices that fit beside an option's name


class _Value(click.ParamType[Any]):
    """A value that the option's declaration reads."""

    def __init__(self, option: Option) -> None:
        self.option = option
        unit = option.unit.removeprefix("_")
        self.name = "|".join(option.choices) or unit or {int: "n", float: "number"}.get(option.kind, "text")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Its choices; names of files for a text, which is one more often than not."""
        if self.option.choices:
            return [CompletionItem(choice) for choice in self.option.choices if choice.startswith(incomplete)]
        return [CompletionItem(incomplete, type="file")] if self.option.kind is str else []

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value of a text. Fails as a usage error."""
        if not isinstance(value, str) or value == self.option.default:
            return value
        try:
            return self.option.value(value)
        except UsageError as e:
            self.fail(str(e), param, ctx)


def leaves(cls: type[Any]) -> list[type[Any]]:
    """The option dataclasses inside a dataclass of them, itself included, in their order."""
    inner = _inner(cls).values()
    return [cls, *(leaf for c in inner for leaf in leaves(c))]


def _inner(cls: type[Any]) -> dict[str, type[Any]]:
    """The fields of a dataclass that are dataclasses themselves: their default factories are their types."""
    return {
        f.name: cast("type[Any]", f.default_factory)
        for f in dataclasses.fields(cls)
        if dataclasses.is_dataclass(f.default_factory)
    }


def parameters(*classes: type[Any]) -> list[click.Parameter]:
    """One click option for each option that the classes, and the dataclasses in them, declare."""
    made: dict[str, click.Parameter] = {}
    for cls in classes:
        for leaf in leaves(cls):
            for o in options_of(leaf):
                made.setdefault(o.name, _parameter(o))
    return list(made.values())


def _parameter(o: Option) -> click.Option:
    text = o.help
    if o.presets:
        text += " [default: " + ", ".join(f"{k} {_plain(v)}" for k, v in o.presets.items()) + "]"
    more: dict[str, Any] = {"is_flag": True} if o.kind is bool else {"type": _Value(o), "multiple": o.many}
    if o.kind is not bool:
        more["show_default"] = o.default not in (None, "", ())
        choices = _Value(o).name if o.choices else ""
        is_long = len(choices) > _WIDEST
        more["metavar"] = "WORD" if is_long else None if choices else _Value(o).name.upper()
        if is_long:
            text += ": " + ", ".join(o.choices)
    more["show_envvar"] = bool(o.env) and not o.env.startswith("CAMTRAIL_")  # a name that people cannot guess
    return click.Option(
        [o.name, o.flag, *o.aliases], default=o.default, envvar=o.env or None, help=text, **more
    )


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def build(cls: type[T], values: dict[str, Any]) -> T:
    """An instance of a dataclass, with the dataclasses in it, from the values of a command line."""
    given: dict[str, Any] = {}
    for o in options_of(cls):
        if o.name in values:
            given[o.name] = tuple(values[o.name]) if o.many else values[o.name]
    for name, kind in _inner(cls).items():
        given[name] = build(kind, values)
    return cls(**given)


def configured(known: Callable[[], Iterable[Option]]) -> dict[str, Any]:
    """Defaults out of the user's `config.toml`, by field name.

    `[options]` holds them: keys are names of options, with or without their unit.

    Raises
    ------
    UsageError
        The file is no TOML, or has a key that no verb knows.
    """
    path = config_path()
    if not os.path.isfile(path):
        return {}
    import tomllib

    try:
        with open(path, "rb") as file:
            table = tomllib.load(file).get("options", {})
    except (tomllib.TOMLDecodeError, OSError) as e:
        raise UsageError(f"{path}: cannot be used ({e})", "correct it or move it away") from e
    if not isinstance(table, dict):
        raise UsageError(f"{path}: options is no table", "write [options] above the options")
    by_key: dict[str, Option] = {}
    for o in known():
        for key in () if o.local else (o.name, o.flag[2:], *(a.lstrip("-") for a in o.aliases)):
            by_key[key.replace("-", "_").lower()] = o
    out: dict[str, Any] = {}
    for key, value in table.items():
        option = by_key.get(key.replace("-", "_").lower())
        if option is None:
            raise UsageError(f"{path}: there is no option {key!r}", "camtrail VERB --help lists them")
        out[option.name] = _configured(option, value, f"{path}: {key}")
    return out


def _configured(option: Option, value: Any, where: str) -> Any:
    if option.many:
        if isinstance(value, list):
            return tuple(_configured(dataclasses.replace(option, many=False), v, where) for v in value)
        raise UsageError(f"{where}: must be a list")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        if option.kind is bool and isinstance(value, bool):
            return value
        raise UsageError(f"{where}: {value!r} cannot be its value")
    try:
        return option.value(str(value))
    except UsageError as e:
        raise UsageError(f"{where}: {e.message}", e.hint) from e


def config_path() -> str:
    """Where the user's configuration lies: `CAMTRAIL_CONFIG`, else the system's place for it."""
    if path := os.environ.get("CAMTRAIL_CONFIG"):
        return path
    from platformdirs import user_config_dir

    return os.path.join(user_config_dir("camtrail", appauthor=False), "config.toml")
