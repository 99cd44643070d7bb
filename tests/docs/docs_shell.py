"""A small shell for the commands of the documentation: `camtrail` runs in its one process, all else in bash.

`talking` starts one and `done` has it do a step. Run as a program it reads one command a line from standard input, as JSON, and answers each with one line,
`[exit code, what was printed]`.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_EXPANDED = re.compile(r"""[*?$`~{\\]""")


@dataclass(frozen=True)
class Step:
    """Something that a page has its reader do."""

    kind: str  # command, file, python
    text: str
    name: str = ""
    shown: str | None = None  # output; None where the page shows none
    code: int = 0


@contextmanager
def talking(folder: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A shell in a folder, with variables beside those that there are."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        [sys.executable, "-W", "error", __file__],
        cwd=folder, env={**os.environ, **env, "PATH": path, "COLUMNS": "100"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    ) as child:  # fmt: skip
        yield child
        assert child.stdin is not None
        child.stdin.close()


def done(child: subprocess.Popen[str], step: Step, folder: Path) -> tuple[int, str]:
    """Exit code and output of a step."""
    if step.kind == "file":
        (folder / "at" / step.name).write_text(step.text, "utf-8")
        return 0, ""
    command = step.text
    if step.kind == "python":
        (folder / "step.py").write_text(step.text, "utf-8")
        command = f'python -W error "{folder / "step.py"}"'
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(json.dumps(command) + "\n")
    child.stdin.flush()
    code, printed = json.loads(child.stdout.readline())
    return code, printed


def words_of(command: str) -> list[str] | None:
    """The words of a command that needs no shell; None where it needs one."""
    lexer = shlex.shlex(command, posix=False, punctuation_chars=True)
    lexer.whitespace_split = True
    for token in lexer:
        unquoted = re.sub(r"'[^']*'|\"[^\"$`]*\"", "", token)
        if _EXPANDED.search(unquoted) or (unquoted and not unquoted.strip("();<>|&")):
            return None
    return shlex.split(command)


def run(command: str) -> tuple[int, str]:
    """Exit code and what was printed, standard error among it, of a command in the present folder."""
    words = words_of(command)
    if words is None:
        return _bash(command)
    if words[0] == "cd":
        os.chdir(words[1])
        return 0, ""
    if words[0] == "export":
        os.environ.update(word.split("=", 1) for word in words[1:])
        return 0, ""
    before = dict(os.environ)
    try:
        while found := _ASSIGNMENT.fullmatch(words[0]):
            os.environ[found[1]] = found[2]
            words = words[1:]
        return _camtrail(words) if words[0] == "camtrail" else _bash(command)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _bash(command: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def _camtrail(words: list[str]) -> tuple[int, str]:
    from camtrail.cli.main import main

    data = io.BytesIO()
    printed = io.TextIOWrapper(data, "utf-8", write_through=True)
    sys.argv, sys.stdin = words, io.StringIO()
    code: object = 0
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            main()
        except SystemExit as e:
            code = e.code
    return int(str(code or 0)), data.getvalue().decode()


def _serve() -> None:
    commands = sys.stdin
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what is printed past sys.stdout spoils no answer
        for line in commands:
            answers.write(json.dumps(run(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    _serve()
