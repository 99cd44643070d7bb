"""Options as data."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.errors import UsageError
from camtrail.core.options import PRESETS, UNITS, by_preset, opt, options_of, quantity, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    cutoff_time_s: float = opt(60.0, "a pause")
    cutoff_distance_m: float | None = by_preset("a jump", {"classic": 600.0, "modern": 100.0})
    offset_angle_deg: float = opt(0.0, "a turn")
    max_images: int | None = by_preset(
        "most", {"classic": 500, "modern": 1000}, flag="--most", aliases=("-n",)
    )
    flag_duplicates: bool = opt(False, "flag them")
    time_source: str = opt("gps", "which", choices=("gps", "Clock"), env="TIME")
    track: tuple[str, ...] = opt((), "tracks")
    column: int | None = opt(None, "number", env="")
    plain: int = 3


BY_NAME = {o.name: o for o in options_of(Sample)}


def test_the_fields_are_the_options_in_their_order():
    assert [o.name for o in options_of(Sample)] == [
        f.name for f in dataclasses.fields(Sample) if f.name != "plain"
    ]
    assert options_of(Sample) is options_of(Sample)  # reading type hints is slow
    assert {o.name: o.default for o in options_of(Sample)} == {
        name: getattr(Sample(), name) for name in BY_NAME
    }


@pytest.mark.parametrize(
    ("name", "flag", "kind", "many", "unit", "env"),
    [
        ("cutoff_time_s", "--cutoff-time", float, False, "_s", "CAMTRAIL_CUTOFF_TIME"),
        ("cutoff_distance_m", "--cutoff-distance", float, False, "_m", "CAMTRAIL_CUTOFF_DISTANCE"),
        ("offset_angle_deg", "--offset-angle", float, False, "_deg", "CAMTRAIL_OFFSET_ANGLE"),
        ("max_images", "--most", int, False, "", "CAMTRAIL_MOST"),
        ("flag_duplicates", "--flag-duplicates", bool, False, "", "CAMTRAIL_FLAG_DUPLICATES"),
        ("time_source", "--time-source", str, False, "", "TIME"),
        ("track", "--track", str, True, "", ""),
        ("column", "--column", int, False, "", ""),
    ],
)
def test_what_a_field_becomes(name, flag, kind, many, unit, env):
    o = BY_NAME[name]
    assert (o.flag, o.kind, o.many, o.unit, o.env) == (flag, kind, many, unit, env)
    assert o.help


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("90", "_s", 90), ("90s", "_s", 90), ("2min", "_s", 120), ("2 min", "_s", 120), ("1.5h", "_s", 5400),
        ("250ms", "_s", 0.25), ("1d", "_s", 86400), ("-5", "_s", -5), ("+5", "_s", 5), ("1e3", "_s", 1000),
        (".5", "_s", 0.5), ("5.", "_s", 5), (" 7 SEC ", "_s", 7),
        ("600", "_m", 600), ("600m", "_m", 600), ("1.5km", "_m", 1500), ("1KM", "_m", 1000),
        ("90", "_deg", 90), ("90deg", "_deg", 90), ("-3.5°", "_deg", -3.5), ("0", "", 0),
    ],
)  # fmt: skip
def test_quantities(text, unit, value):
    assert quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("unit", [*UNITS, ""])
@pytest.mark.parametrize(
    "text", ["", " ", "nan", "NaN", "inf", "-inf", "infinity", "1e999", "-1e999", "1,5", "0x10", "1_000", "--1", "1 2",
             "five", "1s2", "s", "1e", "1\n2", "½", "1 parsec"],
)  # fmt: skip
def test_what_is_no_quantity(text, unit):
    with pytest.raises(UsageError):
        quantity(text, unit)


@pytest.mark.parametrize(
    ("text", "unit"), [("5m", "_s"), ("5s", "_m"), ("5km", "_deg"), ("5m", ""), ("5min", "_m")]
)
def test_a_unit_of_something_else(text, unit):
    with pytest.raises(UsageError):
        quantity(text, unit)


def test_m_is_always_metres():
    assert all("m" not in units or name == "_m" for name, units in UNITS.items())
    assert UNITS["_m"]["m"] == 1.0


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([*UNITS, ""]))
def test_a_number_that_was_printed_is_read_again(value, unit):
    assert quantity(repr(value), unit) == value
    for name, factor in UNITS.get(unit, {}).items():
        if math.isfinite(value * factor):
            assert quantity(f"{value!r}{name}", unit) == value * factor


@given(st.text(), st.sampled_from(list(BY_NAME)))
def test_any_text_is_a_value_or_a_usage_error(text, name):
    o = BY_NAME[name]
    try:
        value = o.value(text)
    except UsageError as e:
        assert e.message and "\n" not in str(e) and str(e).isprintable()
    else:
        assert type(value) is o.kind
        assert o.kind is not float or math.isfinite(value)
        assert not o.choices or value in o.choices


@given(st.integers(-(10**18), 10**18))
def test_whole_numbers(n):
    assert BY_NAME["max_images"].value(str(n)) == n


@pytest.mark.parametrize("text", ["1.5", "", "x", "1e3", "9" * 5000])
def test_what_is_no_whole_number(text):
    with pytest.raises(UsageError, match="no whole number"):
        BY_NAME["max_images"].value(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("Yes", True), ("on", True), ("TRUE", True), ("0", False), ("off", False),
                        (" no ", False), ("", False)],
)  # fmt: skip
def test_truth(text, value):
    assert BY_NAME["flag_duplicates"].value(text) is value


def test_what_is_neither():
    with pytest.raises(UsageError, match="neither true nor false; write true or false"):
        BY_NAME["flag_duplicates"].value("perhaps")


def test_choices_in_any_case():
    assert BY_NAME["time_source"].value(" CLOCK ") == "Clock"
    with pytest.raises(UsageError, match="not one of gps, Clock"):
        BY_NAME["time_source"].value("sun")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_what_the_user_left_open(preset):
    filled = resolve(Sample(), preset)
    assert (filled.cutoff_distance_m, filled.max_images) == {
        "classic": (600.0, 500),
        "modern": (100.0, 1000),
    }[preset]
    assert resolve(filled, preset) == filled
    assert resolve(filled, "modern") == filled  # what is set stays
    assert dataclasses.replace(filled, cutoff_distance_m=None, max_images=None) == Sample()


def test_what_the_user_set_stays():
    mine = Sample(cutoff_distance_m=0.0, max_images=0)
    assert resolve(mine, "modern") is mine


def test_options_without_presets_are_the_same_object():
    @dataclass(frozen=True)
    class Plain:
        force: bool = opt(False, "force")

    plain = Plain()
    assert resolve(plain, "classic") is plain
