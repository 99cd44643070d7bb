"""Downloads in processes of their own, quick to start and easy to stop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from camtrail.services.mapillary.sandbox import MapillarySandbox
from crashpoints import Server
from upload.commands import Command, Said, Stopper

from .folders import write_lists

__all__ = ["Loader", "Said", "Stopper", "served"]


@dataclass(slots=True)
class Loader(Command):
    """Runs `camtrail mapillary download_…`; one at a time."""

    def lists(self, names: Path | str, to: Path, *more: str, **options: Any) -> Said:
        return self("mapillary", "download_sequences", names, "-o", to, "--json", *more, **options)

    def verify(self, folder: Path, **options: Any) -> Said:
        return self("mapillary", "verify", folder, "--json", **options)


@contextmanager
def served(home: Path) -> Iterator[Server]:
    """A server of commands that has everything loaded that a download needs."""
    lists = write_lists(home / "warm", 2, 4)
    with MapillarySandbox(data=str(lists)) as box:
        warm = {
            **box.environment(), "HOME": str(home), "MAPILLARY_TOKEN": "tester", "CAMTRAIL_KEYRING": "off", "TZ": "UTC",
        }  # fmt: skip
        line = ["mapillary", "download_sequences", str(lists), "-o", str(home / "out"), "--json"]
        with patch.dict(os.environ, warm):
            server = Server([line, ["mapillary", "verify", str(home / "out"), "--json"]])
    assert len(list((home / "out").glob("*/*.jpg"))) == 8
    with server:
        yield server
