"""Stand-in services on this machine, to rehearse with and to test against."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from camtrail.core.errors import UsageError
from camtrail.core.names import shown
from camtrail.core.options import opt

__all__ = ["SANDBOXES", "Kind", "Running", "Sandbox", "SandboxOptions", "start"]


@dataclass(frozen=True, slots=True)
class Kind:
    """The stand-in of one service."""

    where: str  # module:class
    token_variable: str  # that clients take the user's token from
    ports: int = 1  # that it listens on
    takes_clock: bool = False  # whether its clock can be made to stand still


SANDBOXES = {
    "mapillary": Kind("camtrail.services.mapillary.sandbox:MapillarySandbox", "MAPILLARY_TOKEN", ports=2),
    "inaturalist": Kind("camtrail.services.inaturalist.sandbox:InaturalistSandbox", "INAT_TOKEN", ports=2),
    "camio": Kind(
        "camtrail.services.camio.sandbox:CamioSandbox", "CAMIO_OAUTH_TOKEN", ports=3, takes_clock=True
    ),
}
"""The stand-ins there are, by the service's name."""


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
    data: str = opt(
        "",
        "folder with what the one service named serves; for mapillary geotagged photos, and id lists of images, for "
        "which pictures are made up, in it and in folders below it; for inaturalist observations.json, a list as the "
        "API has it under results, and photos/ID.jpg; for camio files of bookmarks, *.json, as `video labels` writes them; "
        "without it something made up",
        env="",
    )
    virtual_clock: bool = opt(
        False, 'camio\'s time stands still until POST /_sandbox/clock moves it by {"advance_s": N}', env=""
    )


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
        There is no such service, a port is taken, a fault is none, data are given to several, or a clock to who takes
        none.
    InputError
        The data cannot be used.
    """
    for name in names:
        if name not in SANDBOXES:
            raise UsageError(f"there is no sandbox {shown(name)!r}", f"there are {', '.join(SANDBOXES)}")
    wanted = list(dict.fromkeys(names or SANDBOXES))
    if options.data and len(wanted) > 1:
        raise UsageError("--data is for one service", f"name it: {', '.join(wanted)}")
    if options.virtual_clock and not any(SANDBOXES[name].takes_clock for name in wanted):
        raise UsageError(f"{' and '.join(wanted)} cannot be given --virtual-clock", "leave it out")
    boxes: dict[str, Sandbox] = {}
    running = Running(boxes)
    port = options.port
    try:
        for name in wanted:
            boxes[name] = _made(SANDBOXES[name], options, port)
            port += SANDBOXES[name].ports if port else 0
    except BaseException:
        running.close()
        raise
    return running


def _made(kind: Kind, options: SandboxOptions, port: int) -> Sandbox:
    module, _, attribute = kind.where.partition(":")
    make: Any = getattr(importlib.import_module(module), attribute)
    more = {"virtual_clock": options.virtual_clock} if kind.takes_clock else {}
    made: Sandbox = make(token=options.token, faults=options.faults, port=port, data=options.data, **more)
    return made
