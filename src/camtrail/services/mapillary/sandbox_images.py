"""Mapillary's side of reading: look-ups, searches and vector tiles.

Notes
-----
Graph API v4 as its documentation and those who used it in 2026 describe it.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import numpy as np

from camtrail.core.geo import distance_m
from camtrail.services.mapillary import sandbox_tiles
from camtrail.services.mapillary.sandbox_collection import CREATOR, Collection, Served, drawn, number
from camtrail.services.mapillary.sandbox_files import SIZES, Files
from camtrail.services.mapillary.sandbox_quirks import QuirksInForce
from camtrail.steps.tiling import Box
from camtrail.transfer.faultserver import Reply, Request, json_reply

__all__ = ["Images", "Refused", "graph_error"]

_MOST_IDS = 50
_MOST_ROWS = 2000
_MOST_SIDE_DEG = 0.01
_MOST_RADIUS_M = 50.0
_ZOOM = 14
_LEAST_LINES_ZOOM = 6
_NUMERIC = re.compile(r"[1-9]\d{0,19}", re.ASCII)
_CLIENT_TOKEN = re.compile(r"MLY\|[^|\s]+\|[^|\s]+")
_TILE = re.compile(r"maps/vtp/(mly1_public|mly1_computed_public)/2/(\d{1,2})/(\d{1,9})/(\d{1,9})", re.ASCII)
_NESTED = re.compile(r"\{[^{}]*\}|\([^()]*\)")


class Refused(Exception):
    """A call that ends with an error of the service."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def graph_error(
    status: int,
    code: int,
    message: str,
    kind: str = "OAuthException",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Refused:
    """An error in the form that the graph has for all of them."""
    error = {"message": message, "type": kind, "code": code, **more, "fbtrace_id": "sandbox"}
    return Refused(json_reply({"error": error}, status, headers))


def _wrong(message: str) -> Refused:
    return graph_error(400, 100, f"Invalid parameter: {message}")


def _unknown(image_id: str) -> Refused:
    return graph_error(
        400,
        100,
        f"Unsupported get request. Object with ID '{image_id}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation",
        "GraphMethodException",
        error_subcode=33,
    )


def _point(lat_deg: float, lon_deg: float) -> dict[str, Any] | None:
    return None if math.isnan(lat_deg) else {"type": "Point", "coordinates": [lon_deg, lat_deg]}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


_FIELDS: dict[str, Callable[[Served], Any]] = {
    "id": lambda i: i.id,
    "captured_at": lambda i: i.captured_ms,
    "geometry": lambda i: _point(i.lat_deg, i.lon_deg),
    "computed_geometry": lambda i: _point(i.computed_lat_deg, i.computed_lon_deg),
    "compass_angle": lambda i: _known(i.heading_deg),
    "computed_compass_angle": lambda i: _known(i.computed_heading_deg),
    "altitude": lambda i: _known(i.alt_m),
    "computed_altitude": lambda i: _known(i.computed_alt_m),
    "camera_type": lambda i: "spherical" if i.is_pano else "perspective",
    "camera_parameters": lambda i: [] if i.is_pano else [0.85, 0.0, 0.0],
    "computed_rotation": lambda i: None if math.isnan(i.computed_lat_deg) else [0.0, 0.0, 0.0],
    "atomic_scale": lambda i: None if math.isnan(i.computed_lat_deg) else 1.0,
    "merge_cc": lambda i: int(number(f"merge {i.sequence}")),
    "make": lambda i: i.make,
    "model": lambda i: i.model,
    "exif_orientation": lambda i: 1,
    "width": lambda i: i.width_px,
    "height": lambda i: i.height_px,
    "is_pano": lambda i: i.is_pano,
    "quality_score": lambda i: drawn(f"quality {i.id}") % 1001 / 1000,
    "sequence": lambda i: i.sequence,
    "creator": lambda i: {"id": number(f"user {CREATOR}"), "username": CREATOR},
    # What the service has for some images, and the stand-in for none.
    **dict.fromkeys(("organization", "mesh", "sfm_cluster", "detections"), lambda i: None),
}
_URL_FIELDS = {f"thumb_{size}_url": size for size in SIZES}
_ORGANIZATION_FIELDS = {"id", "slug", "name", "description"}


class Images:
    """What the stand-in knows of images, and its answers.

    Parameters
    ----------
    token : the only user token that is good; "" for any
    """

    def __init__(self, collection: Collection, token: str, files: Files, quirks: QuirksInForce) -> None:
        self._collection = collection
        self._token = token
        self._files = files
        self._quirks = quirks

    def answer(self, request: Request) -> Reply | None:
        """The reply to a call of the graph or of tiles; None where it asks for something else."""
        call = self._call(request) if request.method == "GET" else None
        if call is None:
            return None
        self._admit(request)
        return call()

    def _call(self, request: Request) -> Callable[[], Reply] | None:
        path, asked = unquote(request.path).strip("/"), request.parameters()
        if path == "" and "ids" in asked:
            return lambda: self._several(asked)
        if path == "images":
            return lambda: self._search(asked)
        if path == "image_ids":
            return lambda: self._sequence(asked)
        if tile := _TILE.fullmatch(path):
            return lambda: self._tile(tile, request)
        if _NUMERIC.fullmatch(path) and (
            self._collection.get(path) or not _names(asked) <= _ORGANIZATION_FIELDS
        ):
            return lambda: self._one(path, asked)
        return None

    def _admit(self, request: Request) -> None:
        """Lets a call in. Raises Refused."""
        given, in_query = request.headers.get("authorization"), request.parameters().get("access_token")
        if not given and not in_query:
            raise graph_error(
                500, 190, "An access token is required to request this resource.", "MLYApiException"
            )
        token = in_query or ""
        if given:
            scheme, _, token = given.partition(" ")
            token = token.strip() if scheme.lower() in ("oauth", "bearer") else ""
        if not token or not token.isprintable():
            raise graph_error(401, 190, "Invalid OAuth access token - Cannot parse access token")
        if self._token and token != self._token and not _CLIENT_TOKEN.fullmatch(token):
            raise graph_error(401 if given else 400, 190, "Error validating access token: it was not issued")
        if self._quirks.is_over_limit():
            usage = json.dumps({"call_volume": 100, "total_time": 12, "total_cputime": 12})
            raise graph_error(429, 4, "Application request limit reached", headers={"x-app-usage": usage})

    def _there(self, images: Iterable[Served | None]) -> list[Served]:
        """Those images that are still there."""
        gone = self._quirks.now().gone
        return [i for i in images if i is not None and i.id not in gone]

    def _named(self, ids: str) -> list[Served]:
        """Images by their ids, as far as they are there."""
        return self._there(map(self._collection.get, dict.fromkeys(ids.split(","))))

    def _one(self, image_id: str, asked: Mapping[str, str]) -> Reply:
        shown_fields = _checked(asked)
        found = self._named(image_id)
        if not found:
            raise _unknown(image_id)
        return json_reply(self._shown(found[0], shown_fields))

    def _several(self, asked: Mapping[str, str]) -> Reply:
        ids = list(dict.fromkeys(asked["ids"].split(",")))
        if len(ids) > _MOST_IDS:
            raise graph_error(400, 100, f"Too many IDs. Maximum: {_MOST_IDS}. Provided: {len(ids)}.")
        shown_fields = _checked(asked)
        found = {i.id: self._shown(i, shown_fields) for i in self._named(asked["ids"])}
        if len(found) < len(ids) and self._quirks.now().missing == "error":
            raise _unknown(next(i for i in ids if i not in found))
        return json_reply(found)

    def _sequence(self, asked: Mapping[str, str]) -> Reply:
        if not asked.get("sequence_id"):
            raise _wrong("sequence_id is required")
        images = self._there(self._collection.sequence(asked["sequence_id"]))
        return json_reply({"data": [{"id": i.id} for i in images]})

    def _search(self, asked: Mapping[str, str]) -> Reply:
        shown_fields = _checked(asked)
        limit = asked.get("limit", str(_MOST_ROWS))
        if not re.fullmatch(r"\d{1,9}", limit, re.ASCII) or int(limit) < 1:
            raise _wrong("limit")
        is_wanted = _filter(asked)
        found = [i for i in self._there(self._candidates(asked)) if is_wanted(i)]
        rows = found[: min(int(limit), _MOST_ROWS)]
        return json_reply({"data": [self._shown(i, shown_fields) for i in rows]})

    def _candidates(self, asked: Mapping[str, str]) -> list[Served]:
        """The images among which a search looks."""
        if asked.get("image_ids"):
            return self._named(asked["image_ids"])
        if asked.get("sequence_ids"):
            return [
                i
                for s in dict.fromkeys(asked["sequence_ids"].split(","))
                for i in self._collection.sequence(s)
            ]
        if "bbox" in asked:
            return self._within(_box(asked["bbox"]))
        if asked.keys() >= {"lat", "lng", "radius"}:
            return self._near(*(_number(name, asked[name]) for name in ("lat", "lng", "radius")))
        raise _wrong("one of bbox, image_ids, sequence_ids, or lat, lng and radius is required")

    def _within(self, box: Box) -> list[Served]:
        if any(_touch(box, cell) for cell in self._quirks.now().dense_cells):
            raise graph_error(
                500, 1, "Please reduce the amount of data you're asking for, then retry your request"
            )
        return self._collection.within(box)

    def _near(self, lat_deg: float, lon_deg: float, radius_m: float) -> list[Served]:
        if radius_m > _MOST_RADIUS_M:
            raise graph_error(400, 100, "radius must be at most 50", "MLYApiException")
        lats, lons = self._collection.positions(computed=False)
        way_m = distance_m(lats, lons, np.array([lat_deg]), np.array([lon_deg]))
        return self._collection.at(np.flatnonzero(way_m <= radius_m).tolist())

    def _shown(self, image: Served, names: list[str]) -> dict[str, Any]:
        """The fields of an image that were asked for, as far as there are such."""
        made: dict[str, Any] = {}
        for name in names:
            size = _URL_FIELDS.get(name)
            value = self._files.url(image, size) if size else _FIELDS[name](image)
            if value is not None:
                made[name] = value
        return made

    def _tile(self, tile: re.Match[str], request: Request) -> Reply:
        z, x, y = (int(part) for part in tile.group(2, 3, 4))
        if z > _ZOOM or max(x, y) >= 2**z:
            raise graph_error(404, 100, "There is no such tile", "MLYApiException")
        headers = {"Content-Type": "application/x-protobuf"}
        if z != _ZOOM:
            return Reply(200, b"", headers)
        computed = tile[1] == "mly1_computed_public"
        east, south = sandbox_tiles.place(*self._collection.positions(computed=computed), z)
        rows = np.flatnonzero((np.floor(east) == x) & (np.floor(south) == y))
        images = self._collection.at(rows.tolist())
        there = {i.id for i in self._there(images)}
        across = ((east[rows] - x) * sandbox_tiles.EXTENT).astype(int).tolist()
        down = ((south[rows] - y) * sandbox_tiles.EXTENT).astype(int).tolist()
        points = [(a, d, _told(i)) for a, d, i in zip(across, down, images) if i.id in there]
        if not points:
            return Reply(404, b"", headers)
        # Tiles are kept compressed, and go out so to whoever asks; only who can read that is told.
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        return Reply(200, gzip.compress(sandbox_tiles.layer("image", points), 6, mtime=0), headers)


def _told(image: Served) -> dict[str, sandbox_tiles.Value]:
    """The properties of an image in a tile."""
    made: dict[str, sandbox_tiles.Value] = {"id": int(image.id), "sequence_id": image.sequence}
    if image.captured_ms is not None:
        made["captured_at"] = image.captured_ms
    if not math.isnan(image.heading_deg):
        made["compass_angle"] = image.heading_deg
    return {**made, "creator_id": int(number(f"user {CREATOR}")), "is_pano": image.is_pano}


def _names(asked: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in _NESTED.sub("", asked.get("fields", "")).split(",")} - {""}


def _checked(asked: Mapping[str, str]) -> list[str]:
    """The fields to show, `id` always among them. Raises Refused for one that images do not have."""
    names = _names(asked)
    for name in sorted(names):
        if name not in _FIELDS and name not in _URL_FIELDS:
            raise graph_error(
                400, 100, f"Tried accessing nonexisting field ({name}) on node type (MapillaryImage)"
            )
    return [name for name in (*_FIELDS, *_URL_FIELDS) if name in names or name == "id"]


def _number(name: str, text: str) -> float:
    """A finite number. Raises Refused."""
    try:
        value = float(text)
    except ValueError as e:
        raise _wrong(name) from e
    if not math.isfinite(value):
        raise _wrong(name)
    return value


def _box(text: str) -> Box:
    edges = text.split(",")
    if len(edges) != 4:
        raise _wrong("bbox")
    west, south, east, north = (_number("bbox", edge) for edge in edges)
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise _wrong("bbox")
    # 45.01 - 45.0 is a little less than 0.01.
    if max(east - west, north - south) > _MOST_SIDE_DEG - 1e-9:
        raise graph_error(
            400, 100, "The bounding box is too large: it must be smaller than 0.01 degrees", "MLYApiException"
        )
    return Box(south, north, west, east)


def _touch(a: Box, b: Box) -> bool:
    return (
        a.min_lat_deg <= b.max_lat_deg
        and b.min_lat_deg <= a.max_lat_deg
        and a.min_lon_deg <= b.max_lon_deg
        and b.min_lon_deg <= a.max_lon_deg
    )


def _filter(asked: Mapping[str, str]) -> Callable[[Served], bool]:
    """Whether a search wants an image, by everything but its place. Raises Refused."""
    first_ms, last_ms = _moment(asked, "start_captured_at"), _moment(asked, "end_captured_at")
    pano = {"true": True, "1": True, "false": False, "0": False}.get(asked.get("is_pano", "").lower())
    exact = {name: asked[name] for name in ("make", "model") if name in asked}
    is_nobodys = asked.get("creator_username", CREATOR) != CREATOR or "organization_id" in asked

    def is_wanted(image: Served) -> bool:
        at_ms = image.captured_ms
        if (first_ms is not None or last_ms is not None) and at_ms is None:
            return False
        return (
            not is_nobodys
            and (pano is None or image.is_pano == pano)
            and (first_ms is None or at_ms is None or at_ms >= first_ms)
            and (last_ms is None or at_ms is None or at_ms <= last_ms)
            and all(getattr(image, name) == value for name, value in exact.items())
        )

    return is_wanted


def _moment(asked: Mapping[str, str], name: str) -> int | None:
    """A time in milliseconds; None where it is not asked for."""
    text = asked.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as e:
        raise _wrong(name) from e
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
