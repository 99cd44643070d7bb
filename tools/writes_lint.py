"""Originals are sacred: only `metadata/safeio.py`, through `core/fs.py`, opens a file for writing.

Usage: python tools/writes_lint.py src/camtrail

Prints each call elsewhere that may open a file for writing, put one elsewhere, or change the file system.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

WRITERS = frozenset({"core/fs.py", "metadata/safeio.py"})
_CHANGING = frozenset(
    "create rename remove open_device open_end keep_attributes set_mtime make_private".split()
)
_METHODS = frozenset(
    "write_text write_bytes touch truncate ftruncate mkstemp copyfileobj NamedTemporaryFile TemporaryFile "
    "hardlink_to symlink_to".split()
)
_OPENERS = frozenset("open io.open gzip.open bz2.open lzma.open codecs.open os.fdopen".split())
_MOVERS = frozenset(f"shutil.{n}" for n in ("copy", "copy2", "copyfile", "copytree", "move", "rmtree"))
_MOVERS |= frozenset(
    f"os.{n}" for n in ("rename", "replace", "remove", "unlink", "utime", "truncate", "link")
)
_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "flags")


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(dotted name, the call) of each call; of methods of values, the name begins with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            parts, f = [], node.func
            while isinstance(f, ast.Attribute):
                parts.append(f.attr)
                f = f.value
            parts.append(f.id if isinstance(f, ast.Name) else "")
            yield ".".join(reversed(parts)), node


def _mode(call: ast.Call, position: int) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == "mode":
            return keyword.value
    return call.args[position] if len(call.args) > position else None


def writes(name: str, call: ast.Call) -> bool:
    """Whether a call may open a file for writing, put one elsewhere, or change the file system."""
    before, _, last = name.rpartition(".")
    if name in _OPENERS:
        mode = _mode(call, 1)
    elif last == "open" and name not in ("os.open", "Image.open") and not name.startswith("os."):
        mode = _mode(call, 0)  # Path.open
    elif name == "os.open":
        flags = ast.unparse(call.args[1]) if len(call.args) > 1 else ""
        return any(f in flags for f in _FLAGS)
    else:
        on_fs = before == "fs" or before.endswith(".fs")
        return last in _METHODS or name in _MOVERS or (on_fs and last in _CHANGING)
    if mode is None:
        return False
    return not (
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and not set("wax+") & set(mode.value)
    )


def violations(file: str, tree: ast.AST) -> Iterator[str]:
    """What a file, named from the package's folder, does that only the writers may."""
    if file in WRITERS:
        return
    for name, call in calls(tree):
        ours = "os.devnull" in ast.unparse(call) or (file.startswith("catalog/") and name == "os.replace")
        ours |= name == "av.open" and ast.unparse(call.args[0]) == "memory"  # a video that is made in memory
        if writes(name, call) and not ours:  # the catalog puts its own damaged file aside
            yield f"line {call.lineno}: {name}"


def main(root: str) -> int:
    """Prints what it finds; 1 where there is anything."""
    found = 0
    for path in sorted(Path(root).rglob("*.py")):
        for what in violations(path.relative_to(root).as_posix(), ast.parse(path.read_text("utf-8"))):
            print(f"{path}: {what}: only metadata/safeio.py writes files")
            found = 1
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
