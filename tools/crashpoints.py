"""Stops a command at each of its file-changing system calls, or lets that call fail. Linux with strace only.

Usage: python tools/crashpoints.py FOLDER ARGUMENTS...

lists the calls by which `camtrail ARGUMENTS` changes something below FOLDER, numbered as strace counts them. The
tests in `tests/crash` fail and kill them one by one. A `Server` imports camtrail once and forks for each run:
that takes 60 ms with strace instead of 500.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CALLS = (
    "openat", "open", "creat", "write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range", "ioctl",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir",
    "truncate", "ftruncate", "fallocate", "mkdir", "mkdirat", "fsync", "fdatasync", "sync_file_range", "close",
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utimensat", "setxattr", "lsetxattr",
    "fsetxattr", "removexattr",
)  # fmt: skip
_OPENS = ("openat", "open", "creat")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_FD = re.compile(r"\d+<([^<>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_RESULT = re.compile(r"= (-?\d+)(?:<[^<>]*>)?(?: (\w+))?")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call of a log."""

    thread: int
    name: str
    arguments: str
    path: str  # the file that it is about; of a rename the old name
    to: str  # the new name of a rename
    began: int  # number of the line
    ended: int
    result: int
    error: str

    @property
    def opens_for_writing(self) -> bool:
        """Whether it is a call that makes, empties or opens a file for writing."""
        flags = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")
        return self.name in _OPENS and any(f in self.arguments for f in flags)


@dataclass(frozen=True, slots=True)
class Point:
    """A call that can be hit again in another run: the n-th of its name on its path, in a thread."""

    name: str
    path: str  # relative to the folder
    nth: int

    def __str__(self) -> str:
        return f"{self.name} {self.path} #{self.nth}"


def calls(log: str) -> list[Call]:
    """What strace wrote with `-f -y`."""
    found: list[Call] = []
    pending: dict[tuple[int, str], int] = {}
    with open(log, encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines):
            if resumed := _RESUMED.match(line):
                at = pending.pop((int(resumed[1]), resumed[2]), -1)
                if at >= 0:
                    found[at] = _ended(found[at], resumed[3], number)
                continue
            entered = _LINE.match(line)
            if not entered:
                continue
            thread, name, rest = int(entered[1]), entered[2], entered[3]
            paths = _paths(name, rest)
            call = Call(thread, name, rest, paths[0], paths[1], number, number, -1, "unfinished")
            if "<unfinished" in rest:
                pending[thread, name] = len(found)
                found.append(call)
            else:
                found.append(_ended(call, rest, number))
    return found


def _paths(name: str, rest: str) -> tuple[str, str]:
    if name in ("copy_file_range", "sendfile", "ioctl"):  # (from, offset, to, …); sendfile(to, from, …)
        described = _FD.findall(rest)
        target = described[1:2] if name == "copy_file_range" else described[:1]
        return (target[0] if target else "", "")
    first = rest.split(",")[0]
    is_relative = name in ("openat", "unlinkat", "mkdirat", "renameat", "renameat2") or (
        name.endswith("at") and '"' in rest
    )
    if (fd := _FD.match(first)) and not is_relative:
        return fd[1], ""
    named = _TEXT.findall(rest)
    return (named[0] if named else "", named[1] if name.startswith("rename") and len(named) > 1 else "")


def _ended(call: Call, rest: str, number: int) -> Call:
    results = _RESULT.findall(rest)
    result, error = results[-1] if results else ("-1", "killed")
    return Call(
        call.thread, call.name, call.arguments, call.path, call.to, call.began, number, int(result), error
    )


def points(log: str, folder: str) -> list[Point]:
    """The calls of a run that change something below a folder.

    A file that was only read is left out when it is closed, too.
    """
    below = folder.rstrip("/") + "/"
    counts: collections.Counter[tuple[int, str, str]] = collections.Counter()
    found: dict[Point, None] = {}
    written: set[str] = set()
    for call in calls(log):
        if not call.path.startswith(below):
            continue
        counts[call.thread, call.name, call.path] += 1
        if call.name in _OPENS:
            if not call.opens_for_writing:
                continue
            written.add(call.path)
        elif call.name == "close" and call.path not in written:
            continue
        point = Point(call.name, call.path[len(below) :], counts[call.thread, call.name, call.path])
        found.setdefault(point)
    return list(found)


def injection(point: Point, folder: str, fault: str) -> list[str]:
    """Arguments of strace that let a call kill its process (`KILL`) or fail (`ENOSPC`, `EIO` …)."""
    what = "signal=KILL" if fault == "KILL" else f"error={fault}"
    path = f"{folder.rstrip('/')}/{point.path}"
    return ["-P", path, "-e", f"trace={point.name}", "-e", f"inject={point.name}:{what}:when={point.nth}"]


TRACE_ALL = ("-e", f"trace={','.join(CALLS)}")


class Server:
    """A process that has camtrail loaded and forks for each command.

    Parameters
    ----------
    warm : commands that are run once in the process itself, so that all their modules are loaded
    """

    def __init__(self, warm: Iterable[Sequence[str]] = (), cwd: str = ".") -> None:
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--serve"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd, text=True,
        )  # fmt: skip
        self._asked({"warm": [list(w) for w in warm], "cwd": cwd})

    def _asked(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(self, arguments: Sequence[str], cwd: str, env: Mapping[str, str], said: str) -> int:
        """Forks for a command, which waits for `go`; returns the process number."""
        pid: int = self._asked(
            {"argv": ["camtrail", *arguments], "cwd": cwd, "env": dict(env), "said": said}
        )["pid"]
        return pid

    def go(self) -> int:
        """Lets the command run; its exit code, or minus the signal that ended it."""
        code: int = self._asked({"go": True})["code"]
        return code

    def run(
        self, arguments: Sequence[str], cwd: str, env: Mapping[str, str], said: str = os.devnull,
        strace: Sequence[str] = (), log: str = "",
    ) -> int:  # fmt: skip
        """Runs a command, under strace where arguments for it are given. `said`: where its output goes."""
        pid = self.start(arguments, cwd, env, said)
        if not strace:
            return self.go()
        with subprocess.Popen(
            ["strace", "-f", "-y", "-s", "0", "-o", log, *strace, "-p", str(pid)],
            stderr=subprocess.PIPE, text=True,
        ) as tracer:  # fmt: skip
            assert tracer.stderr is not None
            first = tracer.stderr.readline()
            code = self.go()
            rest = tracer.stderr.read()
        if "attached" not in first:
            raise RuntimeError(f"strace: {first}{rest}")
        return code

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_ANYBODY_MAY_TRACE = 0x59616D61  # PR_SET_PTRACER


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    from camtrail.cli.main import main

    def ended(argv: list[str]) -> int:
        sys.argv = argv
        try:
            main()
        except SystemExit as e:
            return int(e.code or 0)
        return 0

    go = -1
    child = -1
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any] = {}
        if "warm" in asked:
            for argv in asked["warm"]:
                ended(["camtrail", *argv])
        elif "go" in asked:
            with contextlib.suppress(BrokenPipeError):  # it was killed before it began
                os.write(go, b".")
            os.close(go)
            _, status = os.waitpid(child, 0)
            answer["code"] = os.waitstatus_to_exitcode(status)
        else:
            ready, go = os.pipe()
            child = os.fork()
            if not child:
                code = 1
                try:
                    os.close(go)
                    os.dup2(nothing, 0)
                    said = os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                    os.dup2(said, 1)
                    os.dup2(said, 2)
                    os.close(said)
                    os.chdir(asked["cwd"])
                    os.environ.update(asked["env"])
                    ctypes.CDLL(None).prctl(_ANYBODY_MAY_TRACE, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
                    os.read(ready, 1)
                    os.close(ready)
                    code = ended(asked["argv"])
                    sys.stdout.flush()
                    sys.stderr.flush()
                finally:
                    os._exit(code)
            os.close(ready)
            answer["pid"] = child
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        _serve()
    elif len(sys.argv) < 3:
        sys.exit(__doc__)
    else:
        with tempfile.TemporaryDirectory() as scratch, Server() as server:
            ended = server.run(sys.argv[2:], os.getcwd(), {}, "/dev/stderr", TRACE_ALL, f"{scratch}/log")
            for point in points(f"{scratch}/log", os.path.realpath(sys.argv[1])):
                print(point)
            sys.exit(ended)
