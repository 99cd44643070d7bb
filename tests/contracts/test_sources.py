"""What every source promises; a new one inherits all of it with its first sample.

Run as a program, it writes the expected result of each sample that has none.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camtrail.exports
import camtrail.sources
from camtrail.core.bytes import ByteSource, FileBytes, MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.core.model import Item, Note, Placement, Track
from camtrail.core.options import options_of
from camtrail.core.plugins import Source, discover

FOLDER = Path(__file__).parents[1] / "data" / "sources"
SOURCES: dict[str, Source] = discover(camtrail.sources)
READ = [source for source in SOURCES.values() if source.read is not None]
COLUMNS = [field.name for field in dataclasses.fields(Track)]


def _samples() -> Iterator[tuple[Source, Path]]:
    for source in READ:
        for file in sorted((FOLDER / source.name).glob("*")):
            if not file.name.endswith((".expected.json", ".options.json")):
                yield source, file


SAMPLES = list(_samples())
each_sample = pytest.mark.parametrize(
    ("source", "file"), SAMPLES, ids=[f"{source.name}-{file.name}" for source, file in SAMPLES]
)
each_source = pytest.mark.parametrize("source", READ, ids=[source.name for source in READ])


def _options(source: Source, file: Path) -> Any:
    told = file.with_name(file.name + ".options.json")
    assert source.options is not None
    return source.options(**(json.loads(told.read_text()) if told.exists() else {}))


def _answers(source: Source, data: ByteSource, options: Any) -> list[Track | Placement | Note]:
    assert source.read is not None
    return list(source.read(data, options))


def _plain(answer: Track | Placement | Note) -> dict[str, Any]:
    """An answer as JSON has it, NaN as null."""
    if isinstance(answer, Track):
        values: dict[str, Any] = {name: getattr(answer, name).tolist() for name in COLUMNS}
    else:
        values = dataclasses.asdict(answer)

    def known(value: Any) -> Any:
        if isinstance(value, list):
            return [known(v) for v in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    return {type(answer).__name__.lower(): {key: known(value) for key, value in values.items()}}


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_close, a, b))
    if isinstance(a, float) and isinstance(b, int | float):
        return abs(a - b) <= 1e-9
    return bool(a == b)


def _check(answers: list[Track | Placement | Note]) -> None:
    for fault, count in Counter(a.fault for a in answers if isinstance(a, Placement) and a.fault).items():
        assert count <= sum(a.count for a in answers if isinstance(a, Note) and a.reason.startswith(fault))
    for answer in answers:
        if isinstance(answer, Track):
            columns = [getattr(answer, name) for name in COLUMNS]
            assert {column.dtype for column in columns} == {np.dtype(np.float64)}
            assert {column.shape for column in columns} == {(len(answer.time_s),)}
            assert len(answer.time_s) > 0
            assert np.isfinite(answer.time_s).all()
            assert (np.diff(answer.time_s) > 0).all()
            assert (np.abs(answer.lat_deg) <= 90).all()
            assert (np.abs(answer.lon_deg) <= 180).all()
            assert not ((answer.lat_deg == 0) & (answer.lon_deg == 0)).any()
            assert not np.isinf(answer.alt_m).any()
            course = answer.course_deg[~np.isnan(answer.course_deg)]
            assert ((course >= 0) & (course < 360)).all()
            assert not (answer.speed_mps < 0).any() and not (answer.hdop <= 0).any()
        elif isinstance(answer, Placement):
            assert answer.file and isinstance(answer.file, str)
            if answer.fault:
                assert math.isnan(answer.lat_deg) and math.isnan(answer.lon_deg)
                assert "\n" not in answer.fault
            else:
                assert abs(answer.lat_deg) <= 90 and abs(answer.lon_deg) <= 180
                assert (answer.lat_deg, answer.lon_deg) != (0, 0)
            assert not any(math.isinf(v) for v in (answer.alt_m, answer.time_s, answer.local_s))
            assert math.isnan(answer.heading_deg) or 0 <= answer.heading_deg < 360
        else:
            assert isinstance(answer, Note)
            assert type(answer.count) is int and answer.count > 0
            assert answer.reason and "\n" not in answer.reason


def _survives(source: Source, raw: bytes, options: Any) -> None:
    """Answers that keep the promises, or UnreadableFile with something to do; nothing else."""
    try:
        answers = _answers(source, MemoryBytes(raw, "sample"), options)
    except UnreadableFile as e:
        assert e.path == "sample" and e.reason and e.hint
    else:
        _check(answers)


@each_source
def test_declares_itself(source: Source) -> None:
    assert source.about and source.suffixes
    assert all(s.startswith(".") and s == s.lower() for s in source.suffixes)
    assert source.options is not None
    source.options()  # every option has a default
    assert [o.name for o in options_of(source.options)] == [
        f.name for f in dataclasses.fields(source.options)
    ]


def test_names_of_options_are_their_own() -> None:
    names = [name for s in READ if s.options for o in options_of(s.options) for name in (o.flag, *o.aliases)]
    assert len(names) == len(set(names))


@each_source
def test_has_a_sample(source: Source) -> None:
    assert any(of is source for of, _ in SAMPLES)


@each_sample
def test_sample_gives_what_is_expected(source: Source, file: Path) -> None:
    assert file.suffix in source.suffixes
    answers = _answers(source, MemoryBytes(file.read_bytes(), file.name), _options(source, file))
    _check(answers)
    expected = json.loads(file.with_name(file.name + ".expected.json").read_text())
    plain = [_plain(answer) for answer in answers]
    assert _close(plain, expected), json.dumps(plain, indent=1)


@each_sample
def test_file_and_memory_give_the_same(source: Source, file: Path) -> None:
    options = _options(source, file)
    with FileBytes(str(file)) as data:
        from_file = _answers(source, data, options)
    from_memory = _answers(source, MemoryBytes(file.read_bytes()), options)
    assert [_plain(a) for a in from_file] == [_plain(a) for a in from_memory]


@each_sample
def test_accepts_its_sample(source: Source, file: Path) -> None:
    assert source.accepts is None or source.accepts(file.read_bytes()[:4096])


@each_sample
def test_every_truncation_is_answered(source: Source, file: Path) -> None:
    raw, options = file.read_bytes(), _options(source, file)
    for n in range(len(raw)):
        _survives(source, raw[:n], options)


@each_sample
@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_every_mutation_is_answered(source: Source, file: Path, draw: st.DataObject) -> None:
    raw = bytearray(file.read_bytes())
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(raw)))
        cut = draw.draw(st.integers(0, 8))
        raw[at : at + cut] = draw.draw(
            st.binary(max_size=6)
            | st.sampled_from(
                [b'"', b"\n", b",", b";", b"<", b"&", b"\0", b"-", b"1e999", b"NaN", b"\xff\xfe", b"[" * 50]
            )
        )
    _survives(source, bytes(raw), _options(source, file))


@each_source
@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=400))
def test_any_bytes_are_answered(source: Source, raw: bytes) -> None:
    assert source.options is not None
    _survives(source, raw, source.options())


@each_source
def test_a_missing_file_is_unreadable(source: Source, tmp_path: Path) -> None:
    assert source.options is not None
    with pytest.raises(UnreadableFile, match="is not there"):
        _answers(source, FileBytes(str(tmp_path / "none")), source.options())


places = st.tuples(
    st.text(
        st.characters(exclude_categories=("Cs",), exclude_characters="\0/")
        | st.sampled_from("\n\r\t'=+-@\uff1d\\x0a,;\""),
        min_size=1,
        max_size=8,
    ).filter(lambda name: name == name.strip()),
    st.integers(-899, 899).filter(bool).map(lambda n: n / 10),
    st.integers(-1799, 1799).filter(bool).map(lambda n: n / 10),
    st.none() | st.integers(1, 2**41).map(lambda ms: ms / 1000),
    st.none() | st.integers(0, 3599).map(lambda n: n / 10),
)


@pytest.mark.parametrize(("export", "source"), [("csv", "csv"), ("geojson", "json")])
@settings(deadline=None)
@given(drawn=st.lists(places, max_size=5))
def test_what_camtrail_exports_is_read_again(export: str, source: str, drawn: list[Any]) -> None:
    blank = {name: None if "str" in str(kind) else math.nan for name, kind in Item.__annotations__.items()}
    items = [
        Item(**(blank | {
            "path": path, "root": "/", "file": "/" + path, "lat_deg": lat, "lon_deg": lon, "sequence_index": -1,
            "time_s": math.nan if time_s is None else time_s, "outcome": "located",
            "heading_deg": math.nan if heading is None else heading, "size_bytes": 1,
        }))
        for path, lat, lon, time_s, heading in drawn
    ]  # fmt: skip
    raw = b"".join(discover(camtrail.exports)[export].write(items, False))
    plugin = SOURCES[source]
    assert plugin.options is not None
    found = [_plain(a).get("placement", {}) for a in _answers(plugin, MemoryBytes(raw), plugin.options())]
    wanted = ("file", "lat_deg", "lon_deg", "time_s", "heading_deg")
    assert _close([[a.get(key) for key in wanted] for a in found], [list(row) for row in drawn])


if __name__ == "__main__":
    for _source, _file in SAMPLES:
        _to = _file.with_name(_file.name + ".expected.json")
        if not _to.exists():
            _found = _answers(_source, MemoryBytes(_file.read_bytes(), _file.name), _options(_source, _file))
            _to.write_text("[\n" + ",\n".join(json.dumps(_plain(a)) for a in _found) + "\n]\n")
            sys.stderr.write(f"wrote {_to}\n")
