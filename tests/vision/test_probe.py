"""Videos of every format say what they are; one that breaks the decoder costs itself alone."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.core.bytes import FileBytes
from camtrail.core.errors import CamtrailError, MissingDependency, UnreadableFile
from camtrail.metadata import isobmff
from camtrail.vision.probe import Prober

RATE, FRAMES = 25, 40
CREATED = "2016-10-09T12:02:37Z"
TAKEN_S = 1476014557.0


def made(path: Path, kind: str, codec: str, **options: str) -> Path:
    """A video of 1.6 s."""
    with av.open(str(path), "w", format=kind, options=options) as container:
        container.metadata["creation_time"] = CREATED
        stream: Any = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        noise = np.random.default_rng(1)  # large pictures: a format writes a time for each pack of 2 KiB
        for _ in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, 256, (72, 64), np.uint8), "yuv420p")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def shared() -> Iterator[Prober]:
    prober = Prober()
    yield prober
    prober.close()


@pytest.fixture
def prober() -> Iterator[Prober]:
    prober = Prober()
    yield prober
    prober.close()


def customized(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Code that runs at the begin of every Python from now on."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(textwrap.dedent(code))
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize(
    ("kind", "suffix", "codec", "container"),
    [
        ("avi", ".avi", "mjpeg", "avi"),
        ("avi", ".avi", "mpeg4", "avi"),
        ("matroska", ".mkv", "mpeg4", "mkv"),
        ("mpegts", ".mts", "mpeg2video", "mpegts"),
        ("mpegts", ".ts", "mpeg4", "mpegts"),
        ("mpeg", ".mpg", "mpeg1video", "mpeg"),
        ("flv", ".flv", "flv", "flv"),
        ("asf", ".wmv", "wmv2", "asf"),
        ("mp4", ".mp4", "mpeg4", "mp4"),
        ("mov", ".mov", "mjpeg", "mp4"),
    ],
)
def test_every_format_is_described(
    shared: Prober, tmp_path: Path, kind: str, suffix: str, codec: str, container: str
) -> None:
    path = made(tmp_path / f"a{suffix}", kind, codec)
    video = shared.probe(str(path))
    assert (video.container, video.width_px, video.height_px) == (container, 64, 48)
    assert video.codec == {"flv": "flv1"}.get(codec, codec)
    assert video.duration_s == pytest.approx(FRAMES / RATE, abs=1.5 / RATE)
    assert video.fps == pytest.approx(RATE)
    assert video.rotation_deg is None and not video.is_truncated and suffix in isobmff.VIDEO_SUFFIXES
    if kind in ("matroska", "mp4", "mov", "flv"):
        assert video.creation_s == TAKEN_S
    else:
        assert video.creation_s is None


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_boxes_and_decoder_say_the_same(shared: Prober, tmp_path: Path, codec: str) -> None:
    path = str(made(tmp_path / "a.mp4", "mp4", codec))
    with FileBytes(path) as source:
        ours = isobmff.probe(source)
    theirs = shared.probe(path)
    for name in ("container", "brand", "width_px", "height_px", "duration_s", "fps", "creation_s"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_a_length_that_no_header_has_is_counted(shared: Prober, tmp_path: Path) -> None:
    path = made(tmp_path / "a.mkv", "matroska", "mpeg4", live="1")
    with av.open(str(path)) as container:
        assert container.duration is None and container.streams.video[0].duration is None
    assert shared.probe(str(path)).duration_s == pytest.approx(FRAMES / RATE, abs=1 / RATE)


@pytest.mark.parametrize(
    "name", ["käfer 冫.avi", "-a.avi", "a:b.avi", "concat:a.avi", "%d.avi", "a'b\nc.avi", b"a\xff.avi"]
)
def test_every_name_is_a_file_s(shared: Prober, tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    made(tmp_path / "plain.avi", "avi", "mjpeg").rename(path)
    assert shared.probe(str(path)).codec == "mjpeg"


@pytest.mark.parametrize("name", ["list.avi", "list.ts"])
@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile plain.avi\n", "#EXTM3U\n#EXTINF:2,\nplain.ts\n"]
)
def test_no_file_names_others(shared: Prober, tmp_path: Path, name: str, text: str) -> None:
    made(tmp_path / "plain.avi", "avi", "mjpeg")
    made(tmp_path / "plain.ts", "mpegts", "mpeg4")
    (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableFile, match="cannot be read as a video"):
        shared.probe(str(tmp_path / name))


@pytest.mark.parametrize(
    "data", [b"", b"text", b"RIFF\xff\xff\xff\xffAVI LIST", bytes(5000), b"\x1aE\xdf\xa3" + b"\xff" * 99]
)
def test_what_is_no_video_is_said_to_be_none(shared: Prober, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(data)
    with pytest.raises(UnreadableFile) as e:
        shared.probe(str(path))
    assert e.value.path == str(path) and e.value.hint


def test_a_file_that_is_gone_or_a_folder_is_said_to_be(shared: Prober, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is not there") as e:
        shared.probe(str(tmp_path / "gone.avi"))
    assert e.value.retryable
    with pytest.raises(UnreadableFile, match="is a folder"):
        shared.probe(str(tmp_path))


def test_sound_alone_is_no_video(shared: Prober, tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w", format="avi") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UnreadableFile, match="has no pictures in it"):
        shared.probe(str(path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = made(tmp_path_factory.mktemp("whole") / "a.avi", "avi", "mjpeg")
    return path.with_name("damaged.avi"), path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=5),
    st.integers(0, 1 << 16),
)
def test_damage_costs_a_message_at_most(
    shared: Prober, whole: tuple[Path, bytes], changes: list[tuple[int, bytes]], length: int
) -> None:
    path, base = whole
    data = bytearray(base)
    for at, raw in changes:
        data[at : at + len(raw)] = raw
    path.write_bytes(data[:length])
    try:
        video = shared.probe(str(path))
    except UnreadableFile:
        return
    for value in (video.width_px, video.height_px, video.fps, video.duration_s):
        assert value is None or value > 0


def test_a_crash_costs_its_file_alone(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customized(
        tmp_path / "site", monkeypatch,
        """
        import os, signal
        import av
        opened = av.open
        def crash(file, *args, **kwargs):
            if file.endswith("crash.avi"):
                os.kill(os.getpid(), signal.SIGSEGV)
            return opened(file, *args, **kwargs)
        av.open = crash
        """,
    )  # fmt: skip
    good, bad = made(tmp_path / "a.avi", "avi", "mjpeg"), tmp_path / "crash.avi"
    bad.write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(UnreadableFile, match=r"made the decoder crash.*SIGSEGV") as e:
            prober.probe(str(bad))
        assert e.value.path == str(bad) and not e.value.retryable
        assert prober.probe(str(good)).width_px == 64


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_hang_costs_its_file_alone(prober: Prober, tmp_path: Path) -> None:
    good, bad = made(tmp_path / "a.avi", "avi", "mjpeg"), tmp_path / "pipe.avi"
    os.mkfifo(bad)  # opening it waits for a writer, and nobody writes
    assert prober.probe(str(good)).width_px == 64
    with pytest.raises(UnreadableFile, match=r"made the decoder hang: no answer in 0\.3 s") as e:
        prober.probe(str(bad), timeout_s=0.3)
    assert e.value.path == str(bad)
    assert prober.probe(str(good)).width_px == 64


def test_an_exception_that_nobody_foresaw_costs_its_file_alone(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customized(
        tmp_path / "site",
        monkeypatch,
        "import av\ndef fail(*_, **__): raise KeyError('odd')\nav.open = fail\n",
    )
    with pytest.raises(UnreadableFile, match=r"made the decoder fail.*KeyError"):
        prober.probe(str(tmp_path / "a.avi"))


def test_without_pyav_the_extra_is_named(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customized(tmp_path / "site", monkeypatch, "import sys\nsys.modules['av'] = None\n")
    with pytest.raises(MissingDependency) as e:
        prober.probe(str(tmp_path / "a.avi"))
    assert "camtrail[video]" in e.value.hint


def test_pyav_is_not_loaded_here() -> None:
    code = "import sys; from camtrail.vision.probe import Prober; Prober(); sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_may_be_closed_and_asked_again(prober: Prober, tmp_path: Path) -> None:
    path = str(made(tmp_path / "a.avi", "avi", "mjpeg"))
    prober.close()
    assert prober.probe(path) == prober.probe(path)
    prober.close()
    prober.close()
    with pytest.raises(CamtrailError):
        prober.probe(str(tmp_path / "gone.avi"))
