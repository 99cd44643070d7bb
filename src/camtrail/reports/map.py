"""A map without tiles: lines, dots and directions as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from camtrail.core.geo import EARTH_RADIUS_M
from camtrail.core.model import Item
from camtrail.reports.page import Markup, element, joined

__all__ = ["COLOURS", "STYLE", "Drawing", "colour", "draw"]

COLOURS = 10
"""Colours there are; the eleventh line takes the first again, dashed."""

_LIGHT = [
    "#0065b3",
    "#c44a00",
    "#00795a",
    "#a8327e",
    "#7d6200",
    "#5a4fb0",
    "#00798c",
    "#b3263a",
    "#4d7a1f",
    "#6b4a3a",
]
_DARK = [
    "#5cb0f5",
    "#ff9a52",
    "#3fcf9f",
    "#f285c9",
    "#dcc04a",
    "#ada4ff",
    "#4ecbe0",
    "#ff8090",
    "#a6d668",
    "#cfa793",
]

STYLE = (
    ":root{--dot:#5b6570;"
    + "".join(f"--c{i}:{c};" for i, c in enumerate(_LIGHT))
    + "}\n@media (prefers-color-scheme:dark){:root{--dot:#9aa5b1;"
    + "".join(f"--c{i}:{c};" for i, c in enumerate(_DARK))
    + "}}\n"
    + "".join(f".c{i}{{--c:var(--c{i})}}" for i in range(COLOURS))
    + """
.alone{--c:var(--dot)}
.map{display:block;width:100%;height:auto;background:var(--soft);border:1px solid var(--edge);border-radius:6px}
.map .way{fill:none;stroke:var(--c);stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round;opacity:.65}
.map .dash1,.swatch.dash1 .way{stroke-dasharray:7 5}
.map .dash2,.swatch.dash2 .way{stroke-dasharray:1 5}
.map .looks{fill:none;stroke:var(--c);stroke-width:1.3}
.map circle{fill:var(--c);stroke:var(--soft);stroke-width:1}
.map circle.unsure{fill:var(--soft);stroke:var(--c);stroke-width:2}
.map .dense circle{stroke:none}
.map .dense circle.unsure{fill:var(--soft);stroke:var(--c);stroke-width:1}
.map .dense .looks{stroke-width:1;opacity:.55}
.map circle:hover{stroke:var(--fg);stroke-width:3}
.map text{fill:var(--fg);font:13px system-ui,sans-serif}
.map .scale{fill:none;stroke:var(--fg);stroke-width:1.5}
.map .north{fill:var(--fg)}
.swatch{width:26px;height:10px;vertical-align:middle}
.swatch .way{fill:none;stroke:var(--c);stroke-width:4}
"""
)

_WIDTH, _MOST, _LEAST = 1000.0, 640.0, 220.0  # of the drawing, in its own units
_EDGE, _FOOT = 28.0, 40.0  # room around, and below for the scale
_DOTS = 2000  # what a browser draws without pause
_NEAR = 0.7  # corners of a line closer than this are one
_CROWD = 400  # from here on dots and ticks are drawn smaller
_DEGREE_M = math.radians(EARTH_RADIUS_M)
_SMALLEST_M = 60.0  # a single place is shown with this much around it

XY = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The map, how many photos have a place, and how many of them are drawn as dots."""

    svg: Markup
    placed: int
    dots: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a position lands: equirectangular, true to scale at the middle latitude."""

    west_deg: float
    north_deg: float
    squeeze: float
    scale: float  # units per degree of latitude
    left: float
    top: float
    height: float
    turn: float  # units in 360 degrees of longitude

    def xy(self, item: Item) -> XY:
        east = (item.lon_deg - self.west_deg) % 360.0
        if east > 359.999999:  # the westernmost place itself, a hair off by rounding
            east = 0.0
        x = self.left + east * self.squeeze * self.scale
        return x, self.top + (self.north_deg - item.lat_deg) * self.scale


def draw(
    lines: Sequence[Sequence[Item]], alone: Sequence[Item], words: Callable[[Item], str], about: str
) -> Drawing:
    """The photos of sequences as coloured lines with dots, the others as grey dots.

    Parameters
    ----------
    lines : the photos of each sequence in order, all with a place
    alone : photos with a place outside of sequences
    words : what the tooltip of a photo says
    about : what the map shows, for those who do not see it

    Notes
    -----
    The widest band of longitudes without a photo lies outside the drawing, so a ride across 180° stays in
    one piece. Beyond 2,000 photos only every k-th has a dot; the ends of lines always have one.
    """
    placed = [*(item for line in lines for item in line), *alone]
    frame = _frame(placed)
    kept = _kept(lines, len(placed))
    is_dense = len(kept) > _CROWD
    drawn: list[Markup] = []
    dots: list[Markup] = []
    start = 0
    for number, line in enumerate(lines):
        places = [frame.xy(item) for item in line]
        drawn += _way(places, colour(number), frame.turn)
        chosen = [i for i in range(len(line)) if start + i in kept]
        start += len(line)
        # The dashes belong to the line alone.
        plain = colour(number).partition(" ")[0]
        dots.append(_dots([line[i] for i in chosen], [places[i] for i in chosen], plain, words, is_dense))
    chosen = [i for i in range(len(alone)) if start + i in kept]
    dots.append(
        _dots([alone[i] for i in chosen], [frame.xy(alone[i]) for i in chosen], "alone", words, is_dense)
    )
    svg = element(
        "svg",
        *drawn,
        *dots,
        *_scale(frame),
        _north(frame),
        class_="map",
        role="img",
        aria_label=about,
        viewBox=f"0 0 {_WIDTH:.0f} {frame.height:.0f}",
    )
    return Drawing(svg, len(placed), len(kept))


def colour(number: int) -> str:
    """Classes of the n-th sequence: one of ten colours, and dashes from the eleventh on."""
    dash = number // COLOURS % 3
    return f"c{number % COLOURS}" + (f" dash{dash}" if dash else "")


def _frame(placed: Sequence[Item]) -> _Frame:
    lat = np.array([item.lat_deg for item in placed])
    lon = np.sort(np.array([item.lon_deg for item in placed]) % 360.0)
    gaps = np.diff(lon, append=lon[:1] + 360.0)
    widest = int(np.argmax(gaps))
    west, wide = float(lon[(widest + 1) % len(lon)]), 360.0 - float(gaps[widest])
    south, north = float(lat.min()), float(lat.max())
    squeeze = max(math.cos(math.radians((south + north) / 2)), 0.02)  # a pole has no width
    least = _SMALLEST_M / _DEGREE_M
    across, up = max(wide * squeeze, least), max(north - south, least)
    scale = min((_WIDTH - 2 * _EDGE) / across, (_MOST - 2 * _EDGE) / up)
    inner = max(up * scale + 2 * _EDGE, _LEAST)
    return _Frame(
        west_deg=west,
        north_deg=north,
        squeeze=squeeze,
        scale=scale,
        left=(_WIDTH - wide * squeeze * scale) / 2,
        top=(inner - (north - south) * scale) / 2,
        height=inner + _FOOT,
        turn=360.0 * squeeze * scale,
    )


def _kept(lines: Sequence[Sequence[Item]], count: int) -> set[int]:
    """Rows, counted through all lines and what follows, that get a dot."""
    kept = set(range(0, count, max(1, math.ceil(count / _DOTS))))
    start = 0
    for line in lines:
        kept |= {start, start + len(line) - 1}
        start += len(line)
    return kept


def _way(places: Sequence[XY], of_class: str, turn: float) -> Iterator[Markup]:
    """The line of a sequence, in pieces where it leaves the drawing on one side and comes in on the other."""
    piece = [places[0]]
    for a, b in pairwise(places):
        if abs(b[0] - a[0]) > turn / 2:
            yield from _piece(piece, of_class)
            piece = []
        piece.append(b)
    yield from _piece(piece, of_class)


def _piece(places: Sequence[XY], of_class: str) -> Iterator[Markup]:
    if len(places) < 2:
        return
    corners = [places[0]]
    for place in places[1:-1]:
        if abs(place[0] - corners[-1][0]) + abs(place[1] - corners[-1][1]) >= _NEAR:
            corners.append(place)
    corners.append(places[-1])
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    yield element("polyline", class_=f"way {of_class}", points=points)


def _dots(
    photos: Sequence[Item], places: Sequence[XY], of_class: str, words: Callable[[Item], str], is_dense: bool
) -> Markup:
    """A tick where each photo looks, and above all ticks a dot for each with its tooltip."""
    if not photos:
        return joined(())
    ticks = "".join(_ticks(photos, places, 7.0 if is_dense else 12.0))
    looks = [element("path", class_="looks", d=ticks)] if ticks else []
    dots = [
        element(
            "circle",
            element("title", words(item)),
            class_=None if item.outcome == "located" else "unsure",
            cx=f"{x:.1f}",
            cy=f"{y:.1f}",
            r=2 if is_dense else 4,
        )
        for item, (x, y) in zip(photos, places)
    ]
    return element("g", *looks, *dots, class_=f"{of_class} dense" if is_dense else of_class)


def _ticks(photos: Iterable[Item], places: Iterable[XY], length: float) -> Iterator[str]:
    for item, (x, y) in zip(photos, places):
        if math.isfinite(item.heading_deg):
            way = math.radians(item.heading_deg)
            yield f"M{x:.1f} {y:.1f}l{length * math.sin(way):.1f} {-length * math.cos(way):.1f}"


def _scale(frame: _Frame) -> Iterator[Markup]:
    """A bar of 1, 2 or 5 times a power of ten metres, right at the middle latitude."""
    unit_m = _DEGREE_M / frame.scale
    longest_m = 200.0 * unit_m
    power = 10.0 ** math.floor(math.log10(longest_m))
    length_m = next(n * power for n in (5, 2, 1) if n * power <= longest_m)
    length, y = length_m / unit_m, frame.height - 14
    yield element("path", class_="scale", d=f"M{_EDGE:.0f} {y - 5:.1f}v5h{length:.1f}v-5")
    said = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    yield element("text", said, x=f"{_EDGE + length + 8:.1f}", y=f"{y:.1f}")


def _north(frame: _Frame) -> Markup:
    x, y = _WIDTH - _EDGE, frame.height - 32
    arrow = element("path", class_="north", d=f"M{x:.0f} {y:.0f}l6 18l-6 -4l-6 4z")
    return element("g", arrow, element("text", "N", x=f"{x - 14:.0f}", y=f"{y + 18:.0f}", text_anchor="end"))
