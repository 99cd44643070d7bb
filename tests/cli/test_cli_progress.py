"""Progress, colours and width: what a terminal shows while a run goes on, and what is left on it afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.app.context import Context, Transfer
from camtrail.app.process import ProcessOptions, scan
from camtrail.app.scan import ScanOptions
from camtrail.app.similar import similar
from camtrail.app.similar_options import SimilarOptions
from camtrail.app.write import run as run_and_write
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.cli import main as cli
from camtrail.cli.main import Verbs
from camtrail.cli.progress import Pace, is_drawable, is_plain
from camtrail.core.fs import RealFileSystem
from camtrail.services.mapillary.sandbox import MapillarySandbox
from photos import Shot

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such terminals")

if os.name != "nt":
    from screens import Screen, on_terminal

CAMTRAIL = [sys.executable, "-W", "error", "-m", "camtrail"]

BUSY = '''
"""`camtrail busy HOW`: goes on for a while, and then ends in one way or the other."""

import logging, sys, time

from camtrail.app.context import Transfer
from camtrail.cli.main import cli, main
from camtrail.cli.terminal import verb
from camtrail.core.errors import StorageError

@verb("busy", "Goes on for a while.", metavar="HOW")
def busy(run, paths, values):
    end, n = time.monotonic() + 1.6, 0
    while time.monotonic() < end:
        n += 1
        if paths[0] == "transfer":
            run.context.transferred(Transfer("sending", n // 1000, 10**7, 1000 * n, 10**12))
        elif paths[0] == "unknown":
            run.context.transferred(Transfer("downloading", n // 1000, 10**7, 1000 * n, 0))
        else:
            run.context.progress("scan", n, 10**9)
        if n == 1000:
            logging.getLogger("busy").warning("a warning")
    logging.getLogger("busy").warning("another")
    if paths[0] == "fails":
        raise StorageError("the disk is full", "make room")
    if paths[0] == "breaks":
        raise ZeroDivisionError("by nothing")
    if paths[0] == "waits":
        while True:
            run.context.progress("scan", n, 10**9)
    run.pause()
    print("done")
    return 0

cli._folded["busy"] = ("__main__:busy", "")
main()
'''


@pytest.fixture
def busy(tmp_path):
    """Runs `camtrail busy HOW` on a terminal."""
    program = tmp_path / "busy.py"
    program.write_text(BUSY)

    def call(how: str, *options: str, env=None, columns=80, seen=lambda text, terminal: None) -> Screen:
        arguments = [sys.executable, "-W", "error", program, "busy", how, *options]
        return on_terminal(arguments, tmp_path, env, columns=columns, seen=seen)

    return call


WARNED = ["camtrail: warning: a warning", "camtrail: warning: another"]


# ---- what is drawn


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("items", r"scan ━.* [\d,]+/1,000,000,000 +[\d,]+/s +[\d:]+ left"),
        ("transfer", r"sending ━.* [\d,]+/10,000,000, [\d,.]+/1,000,000.0 MB +[\d,.]+ MB/s +[\d:]+ left"),
        ("unknown", r"downloading ━.* [\d,]+/10,000,000, [\d,.]+ MB +[\d,.]+/s +[\d:]+ left"),
    ],
)
def test_how_far_how_fast_and_how_long(busy, how, words):
    screen = busy(how)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.written)
    assert re.search(words, plain.replace("╸", "━").replace("╺", "━")), plain[-2000:]
    assert screen.has_colours
    assert screen.lines == [*WARNED, "done"]
    assert screen.has_cursor and screen.code == 0


def test_it_is_drawn_at_most_ten_times_a_second(busy):
    screen = busy("items")
    times = [at for at, what in screen.drawn if "scan" in what]
    assert len(times) >= 3
    # One for when it comes up, one for when it goes.
    assert len(times) <= 10 * (times[-1] - times[0]) + 3


@pytest.mark.parametrize(
    ("options", "env"),
    [(["--no-progress"], {}), (["-q"], {}), ([], {"TERM": "dumb"}), ([], {"TERM": "unknown"})],
)
def test_where_nothing_is_drawn(busy, options, env):
    screen = busy("items", *options, env=env)
    assert "scan" not in screen.written and "\x1b" not in screen.written
    assert screen.lines == (["done"] if "-q" in options else [*WARNED, "done"])


def test_without_colours(busy):
    screen = busy("items", env={"NO_COLOR": "1"})
    assert "/1,000,000,000" in screen.written and not screen.has_colours
    assert screen.lines == [*WARNED, "done"]


def test_elsewhere_than_on_a_terminal_nothing_is_drawn(tmp_path):
    (tmp_path / "busy.py").write_text(BUSY)
    done = subprocess.run(
        [sys.executable, tmp_path / "busy.py", "busy", "items"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("done\n", "".join(f"{line}\n" for line in WARNED))


def test_what_is_piped_on_is_not_mixed_with_it(busy, tmp_path):
    program = tmp_path / "busy.py"
    program.write_text(BUSY)
    line = f'"{sys.executable}" "{program}" busy items > "{tmp_path}/out"'
    screen = on_terminal(["/bin/sh", "-c", line], tmp_path)
    assert "/1,000,000,000" in screen.written and screen.lines == WARNED
    assert (tmp_path / "out").read_text() == "done\n"


# ---- nothing is left behind


@pytest.mark.parametrize(
    ("how", "code", "last"),
    [
        ("fails", 7, "camtrail: the disk is full; make room"),
        ("breaks", 1, "camtrail: a defect: ZeroDivisionError"),
    ],
)
def test_after_an_error_it_is_gone(busy, how, code, last):
    screen = busy(how)
    assert screen.code == code and "/1,000,000,000" in screen.written
    assert screen.lines[:2] == WARNED and screen.lines[2].startswith(last)
    assert screen.has_cursor


def test_after_ctrl_c_it_is_gone(busy):
    def interrupt(text: str, terminal: int) -> None:
        if "/s" in text and "another" in text and "\x03" not in typed:
            typed.append("\x03")
            os.write(terminal, b"\x03")

    typed: list[str] = []
    screen = busy("waits", seen=interrupt)
    assert screen.code == 130 and screen.has_cursor
    assert screen.lines[:2] == WARNED
    assert screen.lines[-1] == "camtrail: interrupted; what was done is kept, the same command goes on"
    assert "/1,000,000,000" not in "".join(screen.lines)


def test_it_fits_narrow_terminals(busy):
    screen = busy("transfer", columns=50)
    assert screen.lines == [*WARNED, "done"] and not screen.has_wrapped


def test_an_upload_that_takes_its_time(tmp_path):
    folder = tmp_path / "ride"
    folder.mkdir()
    for n in range(12):
        shot = Shot(
            local=f"2026:05:09 10:00:{4 * n:02d}", offset="+02:00", lat_deg=47.37 + n / 5000, lon_deg=8.54,
            size=(30, 20), colour=lambda x, y, n=n: (x * 8, y * 12, n * 20),
        )  # fmt: skip
        (folder / f"{n}.jpg").write_bytes(shot.bytes())
    seen: list[str] = []

    def interrupt(text: str, terminal: int) -> None:
        if "upload" in text and not seen:
            seen.append(text)
            os.write(terminal, b"\x03")

    with MapillarySandbox(faults=["slow=3000"]) as box:
        env = {**box.environment(), "MAPILLARY_TOKEN": "me", "HOME": str(tmp_path)}
        words = ["mapillary", "process_and_upload", "ride", "--user_name", "me", "--number_threads", "2"]
        screen = on_terminal([*CAMTRAIL, *words], tmp_path, env, seen=interrupt)
    assert screen.code == 130 and seen and screen.has_cursor
    assert screen.lines[-1] == "camtrail: interrupted; what was done is kept, the same command goes on"
    assert not any("upload" in line for line in screen.lines)


# ---- how fast and how long


@given(st.floats(0.01, 1e6), st.integers(1, 10**6), st.integers(2, 200), st.integers(0, 10**9))
def test_a_steady_pace_is_told_as_it_is(every_s, amount, steps, more):
    pace = Pace()
    assert pace.per_s is None and pace.left_s(10) is None
    for n in range(steps + 1):
        pace.add(1e3 + n * every_s, n * amount)
    assert pace.per_s == pytest.approx(amount / every_s, rel=1e-6)
    total = steps * amount + more
    assert pace.left_s(total) == pytest.approx(more / amount * every_s, rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 10**9)), max_size=50), st.integers(0, 10**9))
def test_a_pace_is_never_negative_nor_absurd(told, total):
    pace, now_s = Pace(), 0.0
    for past_s, done in told:
        now_s += past_s
        pace.add(now_s, done)
        assert pace.per_s is None or pace.per_s > 0
        left_s = pace.left_s(total)
        assert left_s is None or left_s >= 0


def test_what_was_long_ago_does_not_count():
    pace = Pace()
    for second in range(100):
        pace.add(float(second), 10 * second)
    for second in range(100, 140):
        pace.add(float(second), 990 + (second - 99))
    assert pace.per_s == pytest.approx(1.0)


class Stream:
    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "env", "expected"),
    [
        (True, {}, True), (True, {"TERM": "xterm"}, True), (True, {"TERM": "dumb"}, False), (True, {"TERM": "DUMB"}, False),
        (True, {"NO_COLOR": "1"}, True), (False, {"TERM": "xterm"}, False),
    ],
)  # fmt: skip
def test_where_a_bar_can_be_drawn(is_terminal, env, expected):
    assert is_drawable(Stream(is_terminal), env) is expected


def test_who_wants_no_colours():
    assert is_plain({"NO_COLOR": "1"}) and not is_plain({"NO_COLOR": ""}) and not is_plain({})


# ---- that workflows tell


def told_by(workflow) -> dict[str, list[tuple[int, int]]]:
    """What a workflow tells a context of its progress."""
    told: dict[str, list[tuple[int, int]]] = {}

    def step(what: str, done: int, total: int) -> None:
        told.setdefault(what, []).append((done, total))

    def transferred(now: Transfer) -> None:
        told.setdefault(now.what, []).append((now.items, now.all_items))

    workflow(Context(progress=step, transferred=transferred))
    return told


@pytest.fixture
def many(tmp_path) -> Path:
    """Sixty photos without a GPS time that writing adds."""
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(60):
        shot = Shot(
            local=f"2026:05:09 10:{n:02d}:00", offset="+02:00", lat_deg=47.0, lon_deg=8.0 + n / 1000,
            colour=lambda x, y, n=n: (4 * n, 90 * x, 90 * y),
        )  # fmt: skip
        (folder / f"{n}.jpg").write_bytes(shot.bytes())
    return folder


def steady(told: list[tuple[int, int]], total: int) -> bool:
    """Whether progress only grows, was told several times, and of the same total."""
    done = [d for d, _ in told]
    return len(told) >= 3 and done == sorted(done) and {t for _, t in told} == {total}


def test_scan_and_write_tell_how_far_they_are(many):
    told = told_by(lambda context: scan([str(many)], ProcessOptions(), context))
    assert set(told) == {"scan"} and steady(told["scan"], 60) and told["scan"][-1] == (60, 60)
    to = WriteOptions(write="exif")
    told = told_by(
        lambda context: run_and_write(scan, [str(many)], ProcessOptions(), to, ImportMetaOptions(), context)
    )
    assert steady(told["plan"], 60) and told["write"] == [(32, 60), (60, 60)]


def test_similar_tells_how_far_it_is(many):
    told = told_by(lambda context: similar([str(many)], ScanOptions(), SimilarOptions(), context))
    assert steady(told["pictures"], 60) and told["pictures"][-1] == (60, 60)


# ---- colours and width of everything else


def verbs(group: Verbs, *names: str):
    """The words of every verb, with those of groups."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            yield (*names, name)
            if isinstance(found, Verbs):
                yield from verbs(found, *names, name)


ALL = list(verbs(cli.cli))


def test_help_has_no_colours_and_fits(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for words in [(), *ALL]:
        with pytest.raises(SystemExit, match="0"):
            cli.cli.main([*words, "--help"], prog_name="camtrail")
        out = capsys.readouterr().out
        assert out.isprintable() or "\x1b" not in out
        wide = [line for line in out.splitlines() if len(line) > 80]
        assert wide == [], words


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """A folder with the sample in it."""
    from camtrail.app import demo_sample

    folder = tmp_path_factory.mktemp("here")
    demo_sample.make(RealFileSystem(), str(folder / "s"))
    return folder


RUNS = [
    "process s --track s/ride/ride.gpx --report s/r.html",
    "status s",
    "why s/walk/IMG_4.JPG",
    "dates s/chat",
    "similar s/walk s/chat",
    "places build s/walk -o s/p.csv",
    "video import s/videos null --dry-run",
    "export s -o s/x.csv",
]


@pytest.mark.parametrize("line", RUNS)
def test_what_is_printed_fits_a_terminal_and_is_plain_in_a_pipe(camtrail, sample, line):
    screen = on_terminal([*CAMTRAIL, *line.split()], sample, {"NO_COLOR": "1"})
    assert screen.code == 0 and screen.lines
    assert not screen.has_wrapped and not screen.has_colours
    done = subprocess.run([*CAMTRAIL, *line.split()], cwd=sample, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr
    assert " ".join(done.stdout.split()) == " ".join(" ".join(screen.lines).split()) or line.startswith(
        "status"
    )
