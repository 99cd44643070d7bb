"""What every option promises: one name, one meaning, one flag, and help for it."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections import defaultdict

import pytest

import camtrail.app
import camtrail.sources
import camtrail.steps
from camtrail.core.options import PRESETS, UNITS, Option, options_of


def _classes():
    for package in (camtrail.app, camtrail.steps, camtrail.sources):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for value in vars(module).values():
                own = isinstance(value, type) and value.__module__ == module.__name__
                if own and dataclasses.is_dataclass(value) and options_of(value):
                    yield value


CLASSES = list(_classes())
OPTIONS = [(cls, o) for cls in CLASSES for o in options_of(cls)]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=[c.__name__ for c in CLASSES])
each_option = pytest.mark.parametrize(
    ("cls", "option"), OPTIONS, ids=[f"{c.__name__}-{o.name}" for c, o in OPTIONS]
)
# What every verb has, and what is read beside the options.
TAKEN = {
    "--help",
    "--json",
    "--verbose",
    "--quiet",
    "--no-progress",
    "--fail-on",
    "--version",
    "-h",
    "-v",
    "-q",
}
TAKEN_VARIABLES = {"CAMTRAIL_CONFIG"}


def folded(flag):
    """The form in which `-`, `_` and case are the same; short ones keep their case."""
    return flag if not flag.startswith("--") else "--" + flag[2:].replace("_", "-").casefold()


def test_there_are_some():
    assert {"ScanOptions", "SplitOptions", "CsvOptions", "ExportOptions"} <= {c.__name__ for c in CLASSES}


@each_class
def test_every_field_is_an_option_or_holds_options(cls):
    declared = {o.name for o in options_of(cls)}
    for f in dataclasses.fields(cls):
        assert f.name in declared or dataclasses.is_dataclass(f.default_factory), f.name
    assert cls.__doc__ and not cls.__doc__.startswith(cls.__name__ + "(")


@each_class
def test_every_option_has_a_default_and_the_values_are_frozen(cls):
    made = cls()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, options_of(cls)[0].name, None)
    with pytest.raises(TypeError):
        cls(no_such_option=1)


@each_option
def test_every_option_has_help_of_one_line(cls, option: Option):
    assert option.help and option.help.isprintable()
    assert not option.help.endswith(".")
    assert option.help[0].islower() or option.help[:3].isupper()  # an abbreviation


@each_option
def test_flags_are_spelled_as_flags(cls, option: Option):
    for flag in (option.flag, *option.aliases):
        assert len(flag) > 3 if flag.startswith("--") else flag[0] == "-" and len(flag) == 2, flag
    assert option.flag.startswith("--")


@each_option
def test_units_end_the_name_and_the_kinds_fit(cls, option: Option):
    assert option.kind in (bool, int, float, str)
    if option.kind is float:
        assert option.unit in UNITS, "a number says its unit"
    else:
        assert not option.unit
    if option.kind is bool:
        assert option.default is False or option.presets  # a flag turns something on
    if option.default is not None and not option.many:
        assert type(option.default) is option.kind
        if option.kind is not bool and option.default != "":
            assert option.value(str(option.default)) == option.default
    if option.many:
        assert isinstance(option.default, tuple) and option.env == ""


@each_option
def test_a_preset_sets_it_for_every_preset_or_for_none(cls, option: Option):
    if option.presets:
        assert set(option.presets) == set(PRESETS) and option.default is None
        for value in option.presets.values():
            assert option.value(str(value)) == value


def _by(key):
    found = defaultdict(set)
    for _, o in OPTIONS:
        for k in key(o):
            found[k].add(o.name)
    return found


def test_the_same_name_means_the_same_everywhere():
    meanings = defaultdict(set)
    for _, o in OPTIONS:
        meanings[o.name].add(
            (o.flag, o.kind, o.many, o.default, o.unit, o.env, o.choices, o.aliases, tuple(o.presets.items()))
        )
    assert {name: m for name, m in meanings.items() if len(m) > 1} == {}


def test_no_two_options_share_a_flag_in_any_spelling():
    shared = _by(lambda o: set() if o.local else {folded(flag) for flag in (o.flag, *o.aliases)})
    assert {flag: names for flag, names in shared.items() if len(names) > 1} == {}


def test_no_option_takes_a_flag_that_every_verb_has():
    flags = {folded(flag) for _, o in OPTIONS for flag in (o.flag, *o.aliases)}
    assert flags & TAKEN == set()


def test_no_two_options_share_a_variable():
    shared = _by(lambda o: {o.env} - {""})
    assert {env: names for env, names in shared.items() if len(names) > 1} == {}
    assert not shared.keys() & TAKEN_VARIABLES


def test_a_local_option_is_set_by_the_command_line_alone():
    """Its flags may mean something else elsewhere, so that a variable or a key of that name would be ambiguous."""
    assert [o.name for _, o in OPTIONS if o.local and o.env.startswith("CAMTRAIL_")] == []


def test_keys_of_the_configuration_are_their_own():
    """A key is a name, with or without its unit, or a flag: it must not mean two options."""

    def keys(o):
        if o.local:
            return set()
        spelled = (o.name, o.flag[2:], *(a.lstrip("-") for a in o.aliases))
        return {key.replace("-", "_").casefold() for key in spelled}

    assert {key: names for key, names in _by(keys).items() if len(names) > 1} == {}
