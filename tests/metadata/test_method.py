"""How a position was found is written with it, read back, and goes when another position comes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from camtrail.core.bytes import MemoryBytes
from camtrail.metadata.method import ESTIMATE, position_method
from camtrail.metadata.read import header
from camtrail.metadata.sidecar import sidecar, values_of
from camtrail.metadata.write import Values, carried, differs, new_head, tags_of
from photos import exif, gps_tags, jpeg

HERE = Values(lat_deg=-33.86, lon_deg=151.21, error_m=250.0, method=ESTIMATE)


def of(data: bytes) -> MemoryBytes:
    return MemoryBytes(data, "a.jpg")


def written(data: bytes, values: Values) -> bytes:
    head, tail_at = new_head(of(data), tags_of(values))
    return head + data[tail_at:]


@pytest.mark.parametrize("order", ["<", ">"])
def test_it_is_written_with_the_position_and_read_back(order: str) -> None:
    data = jpeg(exif({0x0110: (2, "M")}, {}, gps_tags(t11=(5, Fraction(2))), order=order))
    assert position_method(of(data)) is None
    now = written(data, differs(header(of(data)), HERE))
    assert position_method(of(now)) == ESTIMATE
    assert not differs(header(of(now)), HERE)


def test_another_position_takes_method_and_error_of_ours_away() -> None:
    data = jpeg(exif({0x0110: (2, "M")}))
    now = written(data, HERE)
    kept = carried(of(data), of(now))
    head, tail_at = new_head(of(data), tags_of(Values(lat_deg=47.0, lon_deg=8.0)), kept)
    real = head + data[tail_at:]
    assert position_method(of(real)) is None
    row = header(of(real))
    assert row[3:5] == (47.0, 8.0) and row[10] != row[10]
    head, tail_at = new_head(of(data), tags_of(Values(heading_deg=90.0)), kept)
    assert position_method(of(head + data[tail_at:])) == ESTIMATE


@pytest.mark.parametrize(
    ("raw", "method"),
    [(b"ASCII\0\0\0GPS\0\0", "GPS"), (bytes(8) + b"CELLID", "CELLID"), (b"UNICODE\0G\0P\0S\0", None),
     (b"ASCII\0\0\0", None), (b"GPS", None), (b"ASCII\0\0\0\0\0", None), (b"ASCII\0\0\0\xff", "\ufffd")],
)  # fmt: skip
def test_methods_of_cameras(raw: bytes, method: str | None) -> None:
    data = jpeg(exif({0x0110: (2, "M")}, {}, gps_tags(1.0, 2.0, t27=(7, raw))))
    assert position_method(of(data)) == method


@pytest.mark.parametrize("data", [b"", b"no photo", b"\xff\xd8\xff", jpeg(), jpeg(b"MM\0*\0\0\0\x08")])
def test_what_has_none_says_none(data: bytes) -> None:
    assert position_method(of(data)) is None


def test_sidecars_say_it_too() -> None:
    read = values_of(sidecar(HERE))
    assert read is not None and (read.method, read.error_m) == (ESTIMATE, 250.0)
    assert b"GPSProcessingMethod" not in sidecar(Values(method=ESTIMATE))
