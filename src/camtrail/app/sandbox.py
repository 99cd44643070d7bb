"""Stand-in services on this machine, to rehearse with and to test against."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from camtrail.core.errors import UsageError
from camtrail.core.names import shown
from camtrail.core.options import opt

__all__ = ["SANDBOXES", "Running", "Sandbox", "SandboxOptions", "start"]

SANDBOXES = {"mapillary": "camtrail.services.mapillary.sandbox:MapillarySandbox"}
"""Where each service has its stand-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Where stand-ins listen, and how they misbehave."""

    port: int = opt(
        0, "first port to listen on, further ones follow; 0 takes free ones", env="", least=0, most=65535
    )
    faults: tuple[str, ...] = opt(
        (), "what goes wrong, in the language below; may be given several times", flag="--fault"
    )
    token: str = opt("", "the only user token that is good; any is, unless this is given", env="")


class Sandbox(Protocol):
    """What every service's stand-in has."""

    url: str

    def environment(self) -> dict[str, str]:
        """The variables that send clients to it."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class Running:
    """Stand-ins that serve until they are closed; use it in a `with`."""

    def __init__(self, boxes: dict[str, Sandbox]) -> None:
        self.boxes = boxes

    def close(self) -> None:
        """Ends them; may be called again."""
        for box in self.boxes.values():
            box.close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(names: Sequence[str], options: SandboxOptions) -> Running:
    """The stand-ins of the services named, or of all, serving.

    Raises
    ------
    UsageError
        There is no such service, a port is taken, or a fault is none.
    """
    for name in names:
        if name not in SANDBOXES:
            raise UsageError(f"there is no sandbox {shown(name)!r}", f"there are {', '.join(SANDBOXES)}")
    boxes: dict[str, Sandbox] = {}
    running = Running(boxes)
    try:
        for name in dict.fromkeys(names or SANDBOXES):
            module, _, attribute = SANDBOXES[name].partition(":")
            make = getattr(importlib.import_module(module), attribute)
            port = options.port + len(boxes) if options.port else 0
            boxes[name] = make(token=options.token, faults=options.faults, port=port)
    except BaseException:
        running.close()
        raise
    return running
