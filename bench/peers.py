"""The peers in an environment of their own, and how to call them.

`python -m bench.peers` makes it and prints the versions.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from bench.corpus import CACHE

__all__ = ["WORKER", "environment", "exiftool", "mapillary_tools", "python", "versions", "work"]

PACKAGES = ("exifread", "mapillary_tools", "gpxpy", "Pillow", "SSIM-PIL", "scikit-image")
_HOME = CACHE / "peers-venv"
_DONE = _HOME / "packages.txt"
_SCRIPTS = "Scripts" if os.name == "nt" else "bin"
WORKER = Path(__file__).with_name("worker.py")


def environment() -> Path:
    """The folder of the peers' programs; installed with pip where it is missing."""
    wanted = " ".join(PACKAGES)
    if not _DONE.exists() or _DONE.read_text() != wanted:
        print(f"installing {', '.join(PACKAGES)} into {_HOME}", file=sys.stderr)
        venv.create(_HOME, with_pip=True, clear=True)
        subprocess.run(
            [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
            check=True,
        )
        _DONE.write_text(wanted)
    return _HOME / _SCRIPTS


def python() -> str:
    """The interpreter that has the peers."""
    return str(_HOME / _SCRIPTS / "python")


def mapillary_tools() -> str:
    """The program."""
    return str(environment() / "mapillary_tools")


def exiftool() -> str | None:
    """The program, or None where it is not installed."""
    return shutil.which("exiftool")


def work(
    interpreter: str, *arguments: str, worker: Path = WORKER, env: Mapping[str, str] | None = None
) -> dict[str, object]:
    """What the worker prints, run by that interpreter. Raises RuntimeError with its last words."""
    # -P: the worker's own folder stays out of the way of the libraries.
    command = [interpreter, "-P", str(worker), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"{arguments[0]}: {last[0]}")
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def versions() -> dict[str, str]:
    """Name -> version of camtrail, the peers and the interpreters."""
    environment()
    found = {
        "camtrail": _version(sys.executable, "camtrail"),
        "Python": platform.python_version(),
        "numpy": _version(sys.executable, "numpy"),
    }
    found |= {name: _version(python(), name) for name in PACKAGES}
    program = exiftool()
    found["exiftool"] = _output([program, "-ver"]) if program else "not installed"
    return found


def _version(interpreter: str, package: str) -> str:
    return _output(
        [interpreter, "-c", f"from importlib.metadata import version; print(version({package!r}))"]
    )


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    for name, version in versions().items():
        print(f"{name:>16}  {version}")
