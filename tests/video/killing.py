"""Runs commands of camtrail one after the other, each killed at one commit of the import's state.

A line on standard input is ``{"arguments", "at", "when"}``: kill -9 just before or after the commit of that number,
from 1; 0 never kills. The answer is ``{"code", "commits"}``; a kill is the code -9.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import Connection

from camtrail.app import video  # noqa: F401 - imported once, for all runs
from camtrail.catalog.database import Database
from camtrail.cli.main import main


def arm(at: int, when: str) -> None:
    """Kills this process at a commit; the number of commits so far goes to descriptor 9."""
    whole = Database.writing
    count = 0

    @contextmanager
    def writing(self: Database) -> Iterator[Connection]:
        nonlocal count
        count += 1
        os.pwrite(9, str(count).encode(), 0)
        if (count, "before") == (at, when):
            os.kill(os.getpid(), signal.SIGKILL)
        with whole(self) as db:
            yield db
        if (count, "after") == (at, when):
            os.kill(os.getpid(), signal.SIGKILL)

    Database.writing = writing  # type: ignore[method-assign]


def answers() -> None:
    counter = os.memfd_create("commits")
    os.dup2(counter, 9)
    for line in sys.stdin:
        said = json.loads(line)
        os.ftruncate(9, 0)
        if not (pid := os.fork()):
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1):
                os.dup2(null, descriptor)
            arm(said["at"], said["when"])
            sys.argv[1:] = said["arguments"]
            try:
                main()
            except SystemExit as e:
                os._exit(int(e.code or 0))
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"code": code, "commits": int(os.pread(9, 20, 0) or b"0")}), flush=True)


if __name__ == "__main__":
    answers()
