"""Every command of the documentation runs, in the order of its page, and prints what the page shows.

A page prepares its folder by a comment, `<!-- with: ride, sandbox mapillary -->`. Blocks marked `console` run; what
stands below a command is its whole output, with `…` for anything. A command is expected to end with 0 unless
`$ echo $?` follows it. `<!-- file: NAME -->` above a block writes it into the folder, `<!-- python -->` runs it, and
`<!-- not run: REASON -->` leaves it alone.

Usage: python tests/docs/test_pages.py PAGE…    prints what the commands of pages print
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docs_prepared import prepared
from docs_shell import Step, done, talking

ROOT = Path(__file__).parents[2]
DOCS = Path(os.environ.get("CAMTRAIL_DOCS", ROOT / "docs"))
PAGES = sorted(p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md"))
_BLOCK = re.compile(
    r"(?:^<!-- (?P<said>[^\n]*) -->\n)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_WITH = re.compile(r"^<!-- with: (.*) -->$", re.MULTILINE)

NOT_RUN = {
    "sandboxes.md": 1,  # it serves until it is interrupted
}
"""How many blocks of commands a page shows that no test runs."""


def steps(page: str) -> Iterator[Step]:
    """What a page does, in its order."""
    for found in _BLOCK.finditer((DOCS / page).read_text("utf-8")):
        said, text = found["said"] or "", found["text"]
        if said.startswith("file: "):
            yield Step("file", text, said.removeprefix("file: "))
        elif said == "python":
            yield Step("python", text)
        elif found["kind"] == "console" and not said.startswith("not run: "):
            yield from _commands(text)


def _commands(text: str) -> Iterator[Step]:
    blocks = re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)
    assert not blocks[0].strip(), f"output before the first command: {blocks[0]}"
    for at, block in enumerate(blocks[1:], 1):
        command, _, shown = block.partition("\n")
        if command == "echo $?":
            continue
        following = blocks[at + 1] if at + 1 < len(blocks) else ""
        code = int(following.split()[2]) if following.startswith("echo $?\n") else 0
        yield Step("command", command, shown=shown if shown.strip() else None, code=code)


@contextmanager
def shell(page: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in a folder that has what the page needs."""
    found = _WITH.search((DOCS / page).read_text("utf-8"))
    names = [name.strip() for name in found[1].split(", ")] if found else []
    (folder / "at").mkdir()
    with prepared(names, folder / "at") as env, talking(folder / "at", env) as child:
        yield child


def is_shown(shown: str, printed: str) -> bool:
    """Whether a page's text is the whole of what was printed; `…` stands for anything."""
    lines = "\n".join(line.rstrip() for line in shown.strip("\n").splitlines())
    told = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    pattern = re.escape(lines).replace("…", ".*")
    return re.fullmatch(pattern, told, re.DOTALL) is not None


def _marked(page: str) -> object:
    uses_exiftool = any(step.text.startswith("exiftool ") for step in steps(page))
    return pytest.param(page, marks=pytest.mark.exiftool if uses_exiftool else ())


@pytest.mark.parametrize("page", [_marked(page) for page in PAGES if list(steps(page))])
def test_commands_do_what_the_page_says(page: str, tmp_path: Path) -> None:
    with shell(page, tmp_path) as child:
        for step in steps(page):
            code, printed = done(child, step, tmp_path)
            if code != step.code:
                pytest.fail(f"{page}: {step.text}\nended with {code}:\n{printed}", pytrace=False)
            if step.shown is not None and not is_shown(step.shown, printed):
                shown = f"{page}: {step.text}\nthe page shows:\n{step.shown}"
                pytest.fail(f"{shown}\nit printed:\n{printed}", pytrace=False)


def test_few_commands_are_not_run() -> None:
    counts = {page: (DOCS / page).read_text("utf-8").count("<!-- not run: ") for page in PAGES}
    assert {page: count for page, count in counts.items() if count} == NOT_RUN


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("3  located\n…\nwrote a.html\n", "3  located\n1 no time\nwrote a.html\n", True),
        ("took … s\n", "took 0.3 s\n", True),
        ("3  located\n", "3  located\n1  no time\n", False),
        ("a\nb\n", "b\na\n", False),
    ],
)
def test_what_counts_as_shown(shown: str, printed: str, same: bool) -> None:
    assert is_shown(shown, printed) is same


def _transcript(page: str) -> None:
    with tempfile.TemporaryDirectory() as name, shell(page, Path(name)) as child:
        for step in steps(page):
            code, printed = done(child, step, Path(name))
            ok = code == step.code and (step.shown is None or is_shown(step.shown, printed))
            print(f"{'   ' if ok else '***'} [{code}] {step.kind} {step.text.strip()}\n{printed}")


if __name__ == "__main__":
    os.environ |= {"HOME": tempfile.mkdtemp(), "TZ": "UTC", "CAMTRAIL_KEYRING": "off"}
    for one in sys.argv[1:]:
        _transcript(one)
