"""`camtrail completion`: a shell completes verbs, groups, options and choices, and does so quickly."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time

import pytest

from camtrail.cli import main as cli

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(os.name == "nt" or BASH is None, reason="there is no bash")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A folder with `camtrail` in it, first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "camtrail"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m camtrail "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def asked(camtrail, line: str):
    """What the program answers to bash for a line whose last word is incomplete; "" for a new one."""
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_CAMTRAIL_COMPLETE": "bash_complete"}
    return camtrail(env=env)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("camtrail pro", ["plain,process"]),
        ("camtrail MAPI", ["plain,mapillary"]),
        ("camtrail mapillary user", ["plain,user_process"]),
        ("camtrail mapillary user-p", ["plain,user_process"]),
        ("camtrail places ", ["plain,build", "plain,apply"]),
        ("camtrail video import --dry", ["plain,--dry-run"]),
        ("camtrail --ver", ["plain,--version"]),
        ("camtrail process --preset ", ["plain,classic", "plain,modern"]),
        ("camtrail process --preset m", ["plain,modern"]),
        ("camtrail process ~/Pict", ["file,~/Pict"]),
        ("camtrail process --track ri", ["file,ri"]),
        ("camtrail process --cutoff-time ", [""]),
        ("camtrail completion z", ["plain,zsh"]),
        ("camtrail nonsense ", None),
        ("camtrail process track ", ["file,"]),
    ],
)
def test_what_may_follow(camtrail, line, expected):
    ended = asked(camtrail, line)
    assert ended.err == ""
    if expected is not None:
        assert ended.code == 0 and ended.out.splitlines() == expected


def test_every_verb_is_offered(camtrail):
    assert asked(camtrail, "camtrail ").out.splitlines() == [f"plain,{name}" for name in cli.VERBS]


def test_a_configuration_that_cannot_be_used_is_no_matter(camtrail, tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text("[options]\nnonsense = 1\n")
    monkeypatch.setenv("CAMTRAIL_CONFIG", str(tmp_path / "config.toml"))
    ended = asked(camtrail, "camtrail process --pres")
    assert (ended.out, ended.err) == ("plain,--preset\n", "")


def test_names_of_verbs_cost_no_import_of_any():
    program = """
import sys
from camtrail.cli.main import cli
try:
    cli.main(prog_name="camtrail")
finally:
    print([m for m in sys.modules if m.startswith("camtrail.cli.")] + [m for m in ("numpy", "rich") if m in sys.modules])
"""
    env = {**os.environ, "COMP_WORDS": "camtrail s", "COMP_CWORD": "1", "_CAMTRAIL_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "['camtrail.cli.main']", done.stderr
    assert "plain,similar" in done.stdout


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o nosort"), ("zsh", "compdef"), ("fish", "complete ")]
)
def test_the_script_of_a_shell(camtrail, shell, word):
    ended = camtrail("completion", shell)
    assert ended.code == 0 and word in ended.out and "_CAMTRAIL_COMPLETE" in ended.out
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n"], input=ended.out, text=True, check=False).returncode == 0


def test_help_says_how_it_is_turned_on(camtrail):
    said = camtrail("completion", "--help").out
    assert """echo 'eval "$(camtrail completion bash)"' >> ~/.bashrc""" in said
    assert camtrail("completion", "csh").code == 2 and camtrail("completion").code == 2


@needs_bash
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (b"camtrail inat\t", "camtrail inaturalist "),
        (b"camtrail mapillary auth\t", "camtrail mapillary authenticate "),
        (b"camtrail process --pres\t", "camtrail process --preset "),
        (b"camtrail status rid\t", "camtrail status ride/"),
    ],
)
def test_the_tab_key_in_bash(path, tmp_path, typed, completed):
    import pty

    (tmp_path / "ride").mkdir()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.environ.update(PS1="READY>", TERM="dumb", INPUTRC="/dev/null")
        os.execv(BASH, [BASH, "--norc", "--noprofile", "-i"])
    try:
        until(terminal, "READY>")
        os.write(terminal, b'eval "$(camtrail completion bash)"; echo turned""on\n')
        until(terminal, "turnedon\r\nREADY>")
        os.write(terminal, typed)
        until(terminal, completed)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def until(terminal: int, text: str) -> None:
    """Reads a terminal until a text was on it."""
    seen, end = "", time.monotonic() + 30
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{text!r} is not in {seen!r}"
        seen += os.read(terminal, 4096).decode()
