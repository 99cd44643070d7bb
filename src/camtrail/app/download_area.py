"""Which images lie in an area, asked for box by box."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from camtrail.services.mapillary.client import MOST_AT_ONCE, MOST_IN_BOX, Client
from camtrail.services.mapillary.images import Image
from camtrail.services.mapillary.tiles import TileImage
from camtrail.steps import tiling
from camtrail.steps.tiling import Box
from camtrail.transfer.retry import TooMuch

__all__ = ["Asked", "found_in"]

R = TypeVar("R")

log = logging.getLogger(__name__)

_SMALLEST_DEG = 0.0006  # of a box that is cut further
_TILE_ERROR_DEG = 2e-5  # what tiles say of a place is good to a metre
_MANY = 2000  # searches, of which a user is told before


class Asked(Protocol):
    """What a call returns that may be made several times."""

    def __call__(self, call: Callable[[], R]) -> R: ...


def found_in(
    boxes: Sequence[Box],
    most: int,
    size: str,
    client: Client,
    asked: Asked,
    progress: Callable[[int], object],
) -> list[Image]:
    """Images of an area, each once, box by box from its south-west, until there are `most`.

    Parameters
    ----------
    size : of the pictures that `Image.url` leads to
    progress : is told how many there are

    Notes
    -----
    A box with more images than one search gives is cut in four, again and again; where even a small one is refused,
    vector tiles tell what is there.
    """
    searches = sum(_searches(box) for box in boxes)
    if searches > _MANY:
        log.warning("the area may take %s searches before there are enough images", f"{searches:,}")
    search = _Search(most, size, client, asked)
    for whole in boxes:
        for box in tiling.boxes(whole):
            for image in search.within(box):
                search.found.setdefault(image.id, image)
                if len(search.found) >= most:
                    return list(search.found.values())
            progress(len(search.found))
    return list(search.found.values())


def _searches(box: Box) -> int:
    return math.ceil((box.max_lat_deg - box.min_lat_deg) / tiling.SIDE_DEG) * math.ceil(
        (box.max_lon_deg - box.min_lon_deg) / tiling.SIDE_DEG
    )


class _Search:
    """A search that goes on."""

    def __init__(self, most: int, size: str, client: Client, asked: Asked) -> None:
        self.found: dict[str, Image] = {}
        self._most = most
        self._size = size
        self._client = client
        self._asked = asked
        self._tiles: dict[tuple[int, int, int], list[TileImage]] = {}

    def within(self, box: Box) -> Iterator[Image]:
        """Images of a box that one search may ask for; some may come twice."""
        # Of those found before some may come again, on an edge: so many are enough in any case.
        limit = min(self._most, MOST_IN_BOX)
        try:
            yield from self._asked(partial(self._client.images_in, box, self._size, limit))
        except TooMuch:
            if box.max_lat_deg - box.min_lat_deg > _SMALLEST_DEG:
                for quarter in tiling.quarters(box):
                    yield from self.within(quarter)
            else:
                yield from self._shown(box)

    def _shown(self, box: Box) -> Iterator[Image]:
        """What vector tiles show of a box of which the service gives no list."""
        names = list(dict.fromkeys(i.id for i in self._on_tiles(_wider(box)) if i.id not in self.found))
        for at in range(0, len(names), MOST_AT_ONCE):
            part = names[at : at + MOST_AT_ONCE]
            images = self._asked(partial(self._client.images, part, self._size))
            yield from (images[name] for name in part if name in images and _is_in(images[name], box))

    def _on_tiles(self, box: Box) -> Iterator[TileImage]:
        for at in tiling.tiles(box):
            if at not in self._tiles:
                if len(self._tiles) >= 4:  # as many as can touch a box
                    del self._tiles[next(iter(self._tiles))]
                self._tiles[at] = self._asked(partial(self._client.tile, *at))
            yield from (image for image in self._tiles[at] if _is_in(image, box))


def _wider(box: Box) -> Box:
    by = _TILE_ERROR_DEG
    return Box(box.min_lat_deg - by, box.max_lat_deg + by, box.min_lon_deg - by, box.max_lon_deg + by)


def _is_in(image: Image | TileImage, box: Box) -> bool:
    """Whether it lies in a box. One whose place the service keeps to itself, though it shows it on a map, does."""
    if math.isnan(image.lat_deg):
        return True
    is_between = box.min_lat_deg <= image.lat_deg <= box.max_lat_deg
    return is_between and box.min_lon_deg <= image.lon_deg <= box.max_lon_deg
