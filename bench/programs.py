"""Whole programs against stand-ins of services, which run in processes of their own and start empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

__all__ = ["CAMTRAIL", "asked", "done", "environment", "sandbox"]

CAMTRAIL = str(Path(sys.executable).with_name("camtrail"))
"""The program."""


@contextmanager
def sandbox(service: str, faults: Sequence[str] = (), data: Path | None = None) -> Iterator[dict[str, Any]]:
    """The stand-in of a service: `url`, and `env` for its clients."""
    words = [word for fault in faults for word in ("--fault", fault)]
    words += ["--data", str(data)] if data else []
    with subprocess.Popen(
        [CAMTRAIL, "sandbox", service, "--json", *words], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())[service]
        finally:
            process.terminate()


def asked(url: str, what: str = "received") -> Any:
    """What a stand-in tells of itself."""
    with urllib.request.urlopen(f"{url}/_sandbox/{what}") as answer:
        return json.load(answer)


def environment(home: Path, box: Mapping[str, Any] | None = None, **more: str) -> dict[str, str]:
    """Of a program that knows nothing of who runs the benchmark."""
    return {
        **os.environ,
        **(box["env"] if box else {}),
        "HOME": str(home),
        "CAMTRAIL_CONFIG": str(home / "config.toml"),
        "CAMTRAIL_KEYRING": "off",
        **more,
    }


def done(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds of a program. Raises RuntimeError with its last words."""
    start = perf_counter()
    ended = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    seconds = perf_counter() - start
    if ended.returncode:
        last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"{Path(command[0]).name} ended {ended.returncode}: {last[0]}")
    return seconds
