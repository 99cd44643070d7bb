"""A small shell for the commands of the documentation: `camtrail` runs in this one process, all else in bash.

Run as a program it reads one command a line from standard input, as JSON, and answers each with one line,
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
from contextlib import redirect_stderr, redirect_stdout

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_EXPANDED = re.compile(r"""[*?$`~{\\]""")


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
    sys.argv = words
    code: object = 0
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            main()
        except SystemExit as e:
            code = e.code
    return int(str(code or 0)), data.getvalue().decode()


def _serve() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what is printed past sys.stdout spoils no answer
        for line in sys.stdin:
            answers.write(json.dumps(run(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    _serve()
