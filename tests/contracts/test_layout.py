"""Rules of the house that no linter knows, read off the source itself."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
from pathlib import Path
from types import FunctionType

import pytest

import camtrail
from writes_lint import calls, violations, writes

ROOT = Path(camtrail.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {str(f.relative_to(ROOT)).replace(os.sep, "/"): ast.parse(f.read_text("utf-8")) for f in FILES}
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(camtrail.__path__, "camtrail.")
    if not m.ispkg and not any(part.startswith("_") for part in m.name.split("."))
)
each_module = pytest.mark.parametrize("name", MODULES)
each_file = pytest.mark.parametrize("file", TREES)


def defined(module):
    """Public classes and functions that a module defines itself."""
    for name, value in vars(module).items():
        made_here = getattr(value, "__module__", None) == module.__name__
        public = not name.startswith("_") and type(value).__name__ != "TypeVar"
        if public and made_here and callable(value):
            yield name, value


@each_module
def test_all_names_what_is_public(name):
    module = importlib.import_module(name)
    assert isinstance(getattr(module, "__all__", None), list), "has no __all__"
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, n) and not n.startswith("_") for n in module.__all__)
    public = {n for n, _ in defined(module)} | ({"PLUGIN"} if hasattr(module, "PLUGIN") else set())
    missing = {f"{name}.{n}" for n in public - {"PLUGIN"} - set(module.__all__)}
    assert missing == set()


@each_module
def test_everything_public_says_what_it_is(name):
    module = importlib.import_module(name)
    assert module.__doc__
    silent = []
    for n, value in defined(module):
        generated = f"{n}("  # what a dataclass or a NamedTuple makes up
        doc = inspect.getdoc(value) if not inspect.isclass(value) else value.__doc__
        if not doc or doc.startswith(generated):
            silent.append(n)
        if inspect.isclass(value):
            for m, member in vars(value).items():
                member = getattr(member, "__func__", getattr(member, "fget", member))
                own = isinstance(member, FunctionType) and member.__module__ == name
                inherited = any(getattr(getattr(b, m, None), "__doc__", None) for b in value.__mro__[1:])
                if own and not m.startswith("_") and not member.__doc__ and not inherited:
                    silent.append(f"{n}.{m}")
    assert silent == []


@each_file
def test_files_are_written_in_one_place_only(file):
    assert list(violations(file, TREES[file])) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open(p)", False), ("open(p, 'rb')", False), ("open(p, mode='r')", False), ("open(p, 'w')", True),
        ("open(p, 'r+b')", True), ("open(p, mode='xb')", True), ("open(p, how)", True), ("io.open(p, 'a')", True),
        ("path.open('wb')", True), ("path.open()", False), ("Path(p).write_text('')", True),
        ("x.y.write_bytes(b'')", True), ("os.open(p, os.O_RDONLY)", False), ("os.open(p, _READ)", False),
        ("os.open(p, os.O_WRONLY | os.O_CREAT)", True), ("shutil.move(a, b)", True), ("shutil.which(a)", False),
        ("out.write(b'')", False), ("fs.rename(a, b)", True), ("context.fs.create(p)", True), ("fs.entry(p)", False),
        ("self.fs.remove(p)", True), ("names.remove(p)", False),
    ],
)  # fmt: skip
def test_the_rule_about_writing_sees(code, expected):
    ((name, call),) = ((n, c) for n, c in calls(ast.parse(code)) if n != "Path")
    assert writes(name, call) is expected


def test_the_writers_are_found_by_the_rule():
    assert any(writes(name, call) for name, call in calls(TREES["core/fs.py"]))


@each_file
def test_nothing_prints(file):
    assert [call.lineno for name, call in calls(TREES[file]) if name in ("print", "pprint.pprint")] == []


POSIX_MODULES = {"fcntl", "grp", "posix", "pwd", "resource", "termios", "tty", "pty", "syslog"}
POSIX_NAMES = {
    "os": "pread pwrite preadv pwritev fork forkpty chown lchown fchown fchmod getuid geteuid getgid getegid setuid "
          "mkfifo mknod statvfs fstatvfs posix_fadvise posix_fallocate sendfile copy_file_range getxattr setxattr "
          "listxattr removexattr O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NOATIME O_SYNC O_DSYNC uname killpg getpgid "
          "setsid nice getloadavg sched_getaffinity memfd_create".split(),
    "signal": "SIGKILL SIGHUP SIGALRM SIGUSR1 SIGUSR2 SIGPIPE SIGCHLD SIGQUIT alarm setitimer pause".split(),
    "time": ["tzset"],
    "socket": ["AF_UNIX"],
}  # fmt: skip
TESTS = ("os.name", "hasattr(", "sys.platform", "ImportError", "ModuleNotFoundError", "AttributeError")


def unguarded(tree):
    """Uses of what only POSIX has, outside of an `if`, a conditional or a `try` that asks for it."""
    found = []

    def walk(node, guarded):
        for child in ast.iter_child_nodes(node):
            inside = guarded
            if isinstance(child, ast.If | ast.IfExp):
                inside = guarded or any(t in ast.unparse(child.test) for t in TESTS)
            elif isinstance(child, ast.Try):
                caught = " ".join(ast.unparse(h.type) for h in child.handlers if h.type)
                inside = guarded or any(t in caught for t in TESTS)
            if not inside:
                if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name):
                    if child.attr in POSIX_NAMES.get(child.value.id, ()):
                        found.append(f"line {child.lineno}: {ast.unparse(child)}")
                elif isinstance(child, ast.Import):
                    found.extend(
                        f"line {child.lineno}: {a.name}" for a in child.names if a.name in POSIX_MODULES
                    )
                elif isinstance(child, ast.ImportFrom):
                    names = POSIX_NAMES.get(child.module or "", ())
                    if child.module in POSIX_MODULES or any(a.name in names for a in child.names):
                        found.append(f"line {child.lineno}: from {child.module}")
            # Behind `if os.name == "nt": return` the rest of a block is guarded.
            walk(child, inside)
            leaves = isinstance(child, ast.If) and isinstance(
                child.body[-1], ast.Return | ast.Raise | ast.Continue
            )
            if leaves and any(t in ast.unparse(child.test) for t in TESTS):
                guarded = True

    walk(tree, False)
    return found


@each_file
def test_what_only_posix_has_is_asked_for_first(file):
    assert unguarded(TREES[file]) == []


@pytest.mark.parametrize(
    ("code", "n"),
    [
        ("os.pread(1, 2, 3)", 1), ("getattr(os, 'pread', None)", 0), ("import fcntl", 1), ("from os import fork", 1),
        ("if os.name != 'nt':\n    import fcntl", 0), ("try:\n    import fcntl\nexcept ImportError:\n    pass", 0),
        ("x = os.getuid() if hasattr(os, 'getuid') else 0", 0), ("try:\n    os.fork()\nexcept OSError:\n    pass", 1),
        ("def f():\n    if os.name == 'nt':\n        return\n    os.chown(1)", 0),
        ("def f():\n    os.chown(1)\n    if os.name == 'nt':\n        return", 1), ("os.read(1, 2)", 0),
    ],
)  # fmt: skip
def test_the_rule_about_posix_sees(code, n):
    assert len(unguarded(ast.parse(code))) == n
