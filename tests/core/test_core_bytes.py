"""Bytes of files and of memory are read alike."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core import bytes as module
from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.core.errors import UnreadableFile

DATA = bytes(range(256)) * 40
# Offsets and lengths as a damaged file may claim them: 64 bits and more.
near = st.integers(0, len(DATA) + 20)
far = near | st.integers(0, 2**70) | st.sampled_from([2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("bytes") / "data"
    file.write_bytes(DATA)
    return str(file)


@pytest.fixture(params=["pread", "seek"])
def way(request, monkeypatch):
    """With os.pread, and without as on Windows."""
    if request.param == "seek":
        monkeypatch.setattr(module, "_PREAD", None)
    elif module._PREAD is None:
        pytest.skip("this system has no pread")
    return request.param


def test_file_and_memory_give_the_same_for_any_offset_and_length(path, way):
    with FileBytes(path) as file:

        @given(st.lists(st.tuples(far, far), min_size=1, max_size=5))
        def same(reads):
            memory = MemoryBytes(DATA)
            assert file.size == memory.size
            for offset, n in reads:
                assert file.read_at(offset, n) == memory.read_at(offset, n) == DATA[offset : offset + n]

        same()


def test_reads_that_come_back_short_are_completed(path, way, monkeypatch):
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, n: read(fd, min(n, 7)))
    if module._PREAD:
        pread = os.pread
        monkeypatch.setattr(module, "_PREAD", lambda fd, n, offset: pread(fd, min(n, 7), offset))
    with FileBytes(path) as file:
        assert file.read_at(3, 100) == DATA[3:103]
        assert file.read_at(len(DATA) - 10, 100) == DATA[-10:]


def test_nothing_is_opened_before_the_first_read_and_closing_gives_it_back(path, monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda *a, **k: opened.append(a[0]) or real(*a, **k))
    with FileBytes(path) as file:
        assert file.size == len(DATA)
        assert opened == []
        assert file.read_at(0, 2) == DATA[:2]
        file.read_at(5, 5)
        assert opened == [path]
    file.close()  # twice is fine
    assert file.read_at(1, 1) == DATA[1:2]  # and reading opens it again
    file.close()


def test_a_size_that_is_known_is_not_asked_for(path, monkeypatch):
    monkeypatch.setattr(os, "stat", lambda *a, **k: pytest.fail("asked"))
    assert FileBytes(path, 12).size == 12


def test_a_file_that_grew_since_its_size_was_noted_is_read_to_its_end(path):
    with FileBytes(path, 5) as file:
        assert file.read_at(0, 2**40) == DATA


@pytest.mark.parametrize("ask", [lambda f: f.read_at(0, 1), lambda f: f.size])
def test_a_missing_file(ask, tmp_path):
    with pytest.raises(UnreadableFile, match=r"gone.jpg: is not there; check the name") as e:
        ask(FileBytes(str(tmp_path / "gone.jpg")))
    assert e.value.retryable


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
@pytest.mark.parametrize("ask", [lambda f: f.read_at(0, 1), lambda f: f.size])
def test_a_name_that_no_file_can_have(ask, name):
    if name == "\ud800" and os.name == "nt":
        pytest.skip("a file can have it")
    with pytest.raises(UnreadableFile, match="has a name that no file can have") as e:
        ask(FileBytes(name))
    assert not e.value.retryable and e.value.hint


@pytest.mark.skipif(os.name == "nt", reason="a folder may not be opened there")
def test_a_folder(tmp_path, way):
    with FileBytes(str(tmp_path)) as file, pytest.raises(UnreadableFile, match="is a folder; name a file"):
        file.read_at(0, 1)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "may not be read; give yourself the right"),
        (errno.EIO, "cannot be read .*; check the disk"),
        (errno.ESTALE, "cannot be read"),
    ],
)
def test_what_the_system_refuses(number, reason, path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableFile, match=reason) as e:
        FileBytes(path).read_at(0, 1)
    assert e.value.retryable and isinstance(e.value.__cause__, OSError)


def test_an_error_in_the_middle(path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with FileBytes(path) as file:
        file.read_at(0, 1)
        monkeypatch.setattr(module, "_PREAD", fail)
        with pytest.raises(UnreadableFile, match="Input/output error"):
            file.read_at(0, 1)


def test_memory_has_a_name():
    assert MemoryBytes(b"abc").name == "<memory>"
    assert MemoryBytes(b"abc", "x.gpx").name == "x.gpx"
