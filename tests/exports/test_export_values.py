from __future__ import annotations

import math

import pytest

from camtrail.exports.values import decimal, heading_deg, in_order, iso, rounded, xml


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1700000000.0, "2023-11-14T22:13:20Z"),
        (1700000000.5, "2023-11-14T22:13:20.5Z"),
        (1700000000.123456, "2023-11-14T22:13:20.123456Z"),
        (1700000000.57, "2023-11-14T22:13:20.57Z"),
        (1699999999.9999999, "2023-11-14T22:13:20Z"),
        (-0.25, "1969-12-31T23:59:59.75Z"),
        (-62135596800.0, "0001-01-01T00:00:00Z"),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (1e18, None),
        (253402300800.0, None),
    ],
)
def test_iso(seconds: float, text: str | None) -> None:
    assert iso(seconds) == text


def test_iso_of_a_clock_has_no_zone() -> None:
    assert iso(1700000000.25, "") == "2023-11-14T22:13:20.25"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.0, 7, "1"), (-0.00000001, 7, "0"), (1e-7, 7, "0.0000001"), (100.0, 0, "100"), (-180.0, 0, "-180"),
     (math.nan, 3, ""), (math.inf, 3, ""), (12.3456, 3, "12.346")],
)  # fmt: skip
def test_decimal(value: float, digits: int, text: str) -> None:
    assert decimal(value, digits) == text


def test_rounded_has_no_negative_zero() -> None:
    assert str(rounded(-0.0, 3)) == "0.0" == str(rounded(-1e-9, 3))
    assert rounded(math.nan, 3) is None


def test_a_heading_stays_below_360(make) -> None:
    assert heading_deg(make(heading_deg=359.99996)) == 0.0
    assert heading_deg(make(heading_deg=359.999)) == 359.999
    assert heading_deg(make(heading_deg=math.nan)) is None


def test_order_is_by_instant_and_photos_without_one_come_last(make) -> None:
    shuffled = [make(path="c", order_s=math.nan), make(path="b", order_s=2.0), make(path="a", order_s=1.0)]
    assert [i.path for i in in_order(shuffled)] == ["a", "b", "c"]


def test_xml_has_no_character_that_xml_cannot_carry() -> None:
    assert xml("<a&\"b'\0\n\ud800\udcff\ufffe") == "&lt;a&amp;&quot;b&#39;\\x00\\x0a\\ud800\\xff\ufffd"
