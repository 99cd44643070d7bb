"""What pages bring along: style sheets, scripts, the map library and the outlines of countries."""

from __future__ import annotations

import functools
import json
import re
from importlib.resources import files
from typing import Any

__all__ = ["script", "style", "world"]

_REPORT = (
    "codec",
    "dom",
    "model",
    "world",
    "marks",
    "layer",
    "list",
    "panel",
    "main",
)  # each after what it imports
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|let|class)", re.MULTILINE)
_MAP_OF_SOURCE = re.compile(r"\n//# sourceMappingURL=.*\s*\Z")  # a browser would look for that file


@functools.cache
def _text(name: str) -> str:
    text = (files("camtrail.reports") / "assets" / name).read_text("utf-8")
    return text.replace("\r\n", "\n")


@functools.cache
def style(*names: str) -> str:
    """One style sheet out of those in `assets`, named without their suffix."""
    return "\n".join(_text(f"{name}.css") for name in names)


@functools.cache
def script() -> tuple[str, str]:
    """The map library, and the report's own modules as one script that shares no name with anything else.

    Notes
    -----
    Leaflet's licence asks that its text goes with each copy, and each page is one.
    """
    library = _MAP_OF_SOURCE.sub("\n", _text("leaflet/leaflet.js"))
    licence = f"/*!\n{_text('leaflet/LICENSE')}*/\n"
    modules = (_EXPORT.sub("", _IMPORT.sub("", _text(f"report/{name}.js"))) for name in _REPORT)
    return licence + library, '"use strict";\n(() => {\n' + "\n".join(modules) + "})();\n"


@functools.cache
def world() -> dict[str, Any]:
    """Outlines of all countries, as TopoJSON (Natural Earth 1:110m)."""
    made: dict[str, Any] = json.loads(_text("world-atlas/countries-110m.json"))
    made["licence"] = _text("world-atlas/LICENSE")
    return made
