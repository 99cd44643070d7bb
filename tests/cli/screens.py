"""Programs on a terminal of their own, and what is to be seen on it at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
_COLOUR = re.compile(r"\x1b\[[0-9;]+m")
_LONGEST_S = 60


@dataclass
class Screen:
    """What a program did to a terminal."""

    columns: int
    code: int = 0
    written: str = ""
    drawn: list[tuple[float, str]] = field(default_factory=list)  # when, and what

    @property
    def has_colours(self) -> bool:
        return bool(_COLOUR.search(self.written))

    @property
    def lines(self) -> list[str]:
        """What is to be seen at the end, blank lines at the end left out."""
        return self._seen()[0]

    @property
    def has_wrapped(self) -> bool:
        """Whether a line was wider than the terminal."""
        return self._seen()[1]

    def _seen(self) -> tuple[list[str], bool]:
        rows, row, column, has_wrapped = [""], 0, 0, False
        at = 0
        while at < len(self.written):
            if m := _SEQUENCE.match(self.written, at):
                n = int(m[1]) if m[1].isdigit() else 1
                if m[2] == "A":
                    row = max(0, row - n)
                elif m[2] == "K":
                    assert m[1] == "2", m[0]
                    rows[row] = ""
                else:
                    assert m[2] in "mhl", m[0]
                at = m.end()
                continue
            c = self.written[at]
            at += 1
            if c == "\r":
                column = 0
                continue
            if c == "\n" or column == self.columns:
                row += 1
                rows += [""] * (row + 1 - len(rows))
            if c == "\n":
                continue
            assert c.isprintable(), repr(c)
            if column == self.columns:
                column, has_wrapped = 0, True
            rows[row] = rows[row][:column].ljust(column) + c + rows[row][column + 1 :]
            column += 1
        while rows and not rows[-1].strip():
            rows.pop()
        return [r.rstrip() for r in rows], has_wrapped

    @property
    def has_cursor(self) -> bool:
        """Whether the cursor is to be seen at the end."""
        return self.written.rfind("\x1b[?25h") >= self.written.rfind("\x1b[?25l")


def on_terminal(
    arguments: Sequence[str | Path],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    *,
    columns: int = 80,
    seen: Callable[[str, int], None] = lambda text, terminal: None,
) -> Screen:
    """Runs a program on a terminal of its own; `seen` is told of all that is on it so far, and may type."""
    size = struct.pack("HHHH", 24, columns, 0, 0)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        given = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        fcntl.ioctl(0, termios.TIOCSWINSZ, size)
        # Not execv: readline puts a width into the process's environment that os.environ does not know of.
        os.execve(
            str(arguments[0]), [str(a) for a in arguments], {**given, "TERM": "xterm-256color", **(env or {})}
        )
    screen, end, raw = Screen(columns), time.monotonic() + _LONGEST_S, b""
    try:
        while True:
            ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"it does not end; {screen.written[-500:]!r}"
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # Linux says so where the other end is closed
                break
            if not piece:
                break
            raw += piece
            screen.written = raw.decode("utf-8", "ignore")
            screen.drawn.append((time.monotonic(), piece.decode("utf-8", "ignore")))
            seen(screen.written, terminal)
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
        screen.code = os.waitstatus_to_exitcode(status)
    return screen
