"""iNaturalist's API and its photos, as its documentation and its server's source show them, on this machine.

Notes
-----
API v1 and v2 of `inaturalist/iNaturalistAPI`. Where nothing says otherwise: a token belongs to the user whose login it
is, else to the first user of the collection.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from camtrail.core.bytes import FileBytes
from camtrail.core.clock import Clock, RealClock
from camtrail.core.errors import InputError, UnreadableFile
from camtrail.services.inaturalist import sample
from camtrail.services.inaturalist.wire import SIZES
from camtrail.transfer.faultserver import Fault, FaultServer, Reply, Request, StandIn, json_reply

__all__ = ["InaturalistSandbox"]

_MOST_WINDOW = 10_000
_MOST_PER_PAGE = 200
_PER_MINUTE = 100
_MOST_FILE_BYTES = 1 << 30
_MOST_BODY_BYTES = 1 << 24
_MOST_SCALED_BYTES = 1 << 28
_PHOTO_PATH = re.compile(rf"/photos/([0-9]{{1,18}})/({'|'.join(SIZES)})\.([A-Za-z0-9]{{1,8}})")
_PHOTO_URL = re.compile(r"https?://[^/]+(/[^\s]*)")
_KINDS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "gif": "GIF"}
_OWNERS = ("private_location", "private_geojson")
_ORDERS = ("id", "created_at", "observed_on", "updated_at")
_AGE = {"Cache-Control": "public, max-age=300"}


class InaturalistSandbox(StandIn):
    """A running stand-in for iNaturalist; use it in a `with`.

    Its API has `GET /v1/observations`, `/v1/observations/{ids}`, `/v1/users/{login}` and `/v1/users/me`, and
    `GET|POST /v2/observations` with `fields`. Photos are at a second origin, `GET /photos/{id}/{size}.{ext}`, scaled
    when they are asked for. The names of the origins, for faults, are `api` and `photos`.

    Parameters
    ----------
    data : a folder with `observations.json`, a list of what the API has under `results`, as its owner sees it, and
        `photos/<photo id>.jpg`; None or "" for a small collection, and pictures for any id, that are made up.
        An observation without a user is anybody's
    token : the only token that is good; "" for any
    faults : in the language of `camtrail.transfer.faults`
    port : of the API, photos have the next one; 0 takes free ones
    limit : whether more than 100 requests a minute are refused

    Raises
    ------
    UsageError
        A port is taken, or a fault is none.
    InputError
        There is no collection in `data`.
    """

    def __init__(
        self,
        *,
        data: str | None = None,
        token: str = "",
        faults: Iterable[str | Fault] = (),
        port: int = 0,
        limit: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._photos = _Photos(data or None)
        self._service = _Service(token, limit, clock or RealClock())
        self._service.fill(_collection(data) if data else sample.observations())
        server = FaultServer(
            {"api": self._service.answer, "photos": self._photos.answer}, port=port, faults=faults
        )
        super().__init__(server)
        self.url = server.url("api")
        self.photo_url = self._service.photo_url = server.url("photos")

    def environment(self) -> dict[str, str]:
        """The variables that send clients here."""
        return {"CAMTRAIL_INATURALIST_URL": self.url}

    def fill(self, observations: Iterable[Mapping[str, Any]]) -> None:
        """Puts observations in place of those that are there; each needs an id."""
        self._service.fill(observations)

    def delete(self, *ids: int) -> None:
        """Takes observations away, as their owner may at any time."""
        self._service.delete(ids)


def _collection(folder: str) -> list[dict[str, Any]]:
    """The observations of a data folder."""
    path = f"{folder.rstrip('/')}/observations.json"
    with FileBytes(path) as source:
        data = source.read_at(0, _MOST_FILE_BYTES)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise InputError(path, "is no JSON", "put the list there that the API has under results") from e
    if not isinstance(found, list) or not all(_is_numbered(o) for o in found):
        raise InputError(
            path,
            "is no list of observations that have an id each",
            "put the list there that the API has under results",
        )
    return found


def _is_numbered(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("id")) is int and value["id"] > 0


class _Refused(Exception):
    """A request that ends with an error of the service."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})

    def reply(self, is_second: bool) -> Reply:
        value: Any = {"error": self.message, "status": self.status}
        if is_second:
            error = {"errorCode": str(self.status), "message": self.message}
            value = {"status": self.status, "errors": [error]}
        return json_reply(value, self.status, self.headers)


@dataclass(slots=True)
class _Asked:
    """A request, and who asks."""

    parameters: dict[str, str]
    viewer: Any = None  # the login of who asks; None for anybody
    fields: Any = None  # of v2


class _Service:
    """What the stand-in knows, and its answers."""

    def __init__(self, token: str, limit: bool, clock: Clock) -> None:
        self.photo_url = ""
        self._token = token
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._observations: tuple[dict[str, Any], ...] = ()  # ascending by id
        self._times_s: deque[float] = deque()  # of the requests of the last minute

    def fill(self, observations: Iterable[Mapping[str, Any]]) -> None:
        made = {o["id"]: dict(o) for o in observations}
        with self._lock:
            self._observations = tuple(made[number] for number in sorted(made))

    def delete(self, ids: Iterable[int]) -> None:
        gone = set(ids)
        with self._lock:
            self._observations = tuple(o for o in self._observations if o["id"] not in gone)

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        if request.path == "/_sandbox/received":
            return json_reply({"images": []})
        is_second = request.path.startswith("/v2/")
        try:
            self._count()
            return self._answer(request)
        except _Refused as e:
            return e.reply(is_second)

    def _count(self) -> None:
        if not self._limit:
            return
        with self._lock:
            now_s = self._clock.monotonic_s()
            while self._times_s and now_s - self._times_s[0] >= 60:
                self._times_s.popleft()
            if len(self._times_s) >= _PER_MINUTE:
                wait_s = int(60 - (now_s - self._times_s[0])) + 1
                raise _Refused(429, "Too Many Requests", {"Retry-After": str(wait_s)})
            self._times_s.append(now_s)

    def _answer(self, request: Request) -> Reply:
        path = unquote(request.path)
        asked = _Asked(request.parameters(), self._viewer(request))
        if path == "/v1/observations" and request.method == "GET":
            return self._listed(asked)
        if path == "/v2/observations":
            _read_second(request, asked)
            return self._listed(asked)
        if request.method == "GET" and path == "/v1/users/me":
            if asked.viewer is None:
                raise _Refused(401, "Unauthorized")
            return json_reply(_results([self._user(asked.viewer)], 1, 1, 1))
        if request.method == "GET" and (m := re.fullmatch("/v1/users/([^/]+)", path)):
            return json_reply(_results([self._user(m[1])], 1, 1, 10), headers=_AGE)
        if request.method == "GET" and (m := re.fullmatch("/v1/observations/([0-9,]+)", path)):
            wanted = set(m[1].split(","))
            found = [self._seen(o, asked.viewer) for o in self._observations if str(o["id"]) in wanted]
            return json_reply(_results(found, len(found), 1, len(found)), headers=_AGE)
        raise _Refused(404, "Not Found")

    def _viewer(self, request: Request) -> Any:
        """The login that a token stands for; None without one."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not given:
            return None
        if self._token and given != self._token:
            raise _Refused(401, "Unauthorized")
        logins = self._logins()
        return given if given in logins else next(iter(logins), "")

    def _logins(self) -> dict[str, dict[str, Any]]:
        """The users of the collection, by login, in the order of their observations."""
        users = (o.get("user") for o in self._observations)
        return {u["login"]: u for u in users if isinstance(u, dict) and isinstance(u.get("login"), str)}

    def _user(self, login: str) -> dict[str, Any]:
        for name, user in self._logins().items():
            if login in (name, str(user.get("id"))):
                count = sum(_is_of(o, {name}) for o in self._observations)
                return {
                    "id": user.get("id"),
                    "login": name,
                    "name": user.get("name"),
                    "observations_count": count,
                }
        if not self._logins() and self._observations:
            return {"id": 1, "login": login, "name": None, "observations_count": len(self._observations)}
        raise _Refused(404, "User does not exist")

    def _listed(self, asked: _Asked) -> Reply:
        found = _filtered(self._observations, asked.parameters)
        per_page = _number(asked.parameters, "per_page", 30, least=0, most=_MOST_PER_PAGE)
        page = _number(asked.parameters, "page", 1, least=1)
        if page * per_page > _MOST_WINDOW:
            raise _Refused(
                403, "Result window is too large, page * per_page must be less than or equal to 10000"
            )
        part = found[(page - 1) * per_page : page * per_page]
        if asked.parameters.get("only_id") == "true":
            shown_part: list[Any] = [{"id": o["id"]} for o in part]
        else:
            shown_part = [self._seen(o, asked.viewer) for o in part]
            if asked.fields is not None:
                shown_part = [_picked(o, asked.fields) for o in shown_part]
        return json_reply(_results(shown_part, len(found), page, per_page), headers=_AGE)

    def _seen(self, observation: dict[str, Any], viewer: Any) -> dict[str, Any]:
        """An observation as somebody sees it: with photos of this machine, private things for their owner only."""
        user = observation.get("user")
        is_owner = viewer is not None and (
            not user or (isinstance(user, dict) and user.get("login") == viewer)
        )
        seen = {k: v for k, v in observation.items() if is_owner or k not in _OWNERS}
        if isinstance(places := seen.get("observation_photos"), list):
            seen["observation_photos"] = [self._seen_place(p, is_owner) for p in places]
        if isinstance(photos := seen.get("photos"), list):
            seen["photos"] = [self._seen_photo(p, is_owner) for p in photos]
        return seen

    def _seen_place(self, place: Any, is_owner: bool) -> Any:
        if not isinstance(place, dict) or "photo" not in place:
            return place
        return {**place, "photo": self._seen_photo(place["photo"], is_owner)}

    def _seen_photo(self, photo: Any, is_owner: bool) -> Any:
        if not isinstance(photo, dict):
            return photo
        seen = {k: v for k, v in photo.items() if is_owner or k != "original_filename"}
        url = seen.get("url")
        if isinstance(url, str) and (m := _PHOTO_URL.fullmatch(url)):
            seen["url"] = self._url(m[1], seen.get("id"))
        return seen

    def _url(self, path: str, number: Any) -> str:
        # Data may have been listed by a sandbox before, below another path.
        m = re.search(r"/photos/[0-9]+/[a-z]+\.", path)
        return self.photo_url + (path[m.start() :] if m and type(number) is int else path)


def _results(results: list[Any], total: int, page: int, per_page: int) -> dict[str, Any]:
    return {"total_results": total, "page": page, "per_page": per_page, "results": results}


def _number(
    parameters: Mapping[str, str], name: str, usual: int, *, least: int, most: int | None = None
) -> int:
    text = parameters.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", text):
        return usual
    return max(least, int(text) if most is None else min(int(text), most))


def _filtered(observations: tuple[dict[str, Any], ...], asked: Mapping[str, str]) -> list[dict[str, Any]]:
    """Those that were asked for, in the order that was asked for."""
    found: Iterable[dict[str, Any]] = observations
    for name in ("user_login", "user_id"):
        if names := _words(asked.get(name)):
            found = [o for o in found if _is_of(o, names)]
    if ids := _words(asked.get("id")):
        found = [o for o in found if str(o["id"]) in ids]
    if asked.get("photos") in ("true", "false"):
        wants = asked["photos"] == "true"
        found = [o for o in found if bool(o.get("observation_photos") or o.get("photos")) == wants]
    if asked.get("id_above", "").isdecimal():
        found = [o for o in found if o["id"] > int(asked["id_above"])]
    if asked.get("id_below", "").isdecimal():
        found = [o for o in found if o["id"] < int(asked["id_below"])]
    first, last = asked.get("d1", "")[:10], asked.get("d2", "")[:10]
    if first or last:
        found = [o for o in found if (day := _day(o)) and first <= day and (not last or day <= last)]
    if on := asked.get("observed_on", "")[:10]:
        found = [o for o in found if _day(o) == on]
    for name, part in (("year", slice(0, 4)), ("month", slice(5, 7)), ("day", slice(8, 10))):
        if numbers := {n.lstrip("0") for n in _words(asked.get(name))}:
            found = [o for o in found if _day(o)[part].lstrip("0") in numbers]
    order = asked.get("order_by", "created_at")
    order = order if order in _ORDERS else "created_at"
    return sorted(
        found,
        key=lambda o: (str(o.get(order) or "") if order != "id" else "", o["id"]),
        reverse=asked.get("order", "desc") != "asc",
    )


def _words(text: str | None) -> set[str]:
    return {word for word in (text or "").split(",") if word}


def _is_of(observation: dict[str, Any], names: set[str]) -> bool:
    user = observation.get("user", {})
    return user == {} or (
        isinstance(user, dict) and bool({str(user.get("login")), str(user.get("id"))} & names)
    )


def _day(observation: dict[str, Any]) -> str:
    """The date where it was made; "" where there is none."""
    details = observation.get("observed_on_details")
    day = details.get("date") if isinstance(details, dict) else None
    day = day or observation.get("observed_on") or observation.get("time_observed_at")
    return day[:10] if isinstance(day, str) else ""


def _read_second(request: Request, asked: _Asked) -> None:
    """What version 2 takes: fields, and parameters in the body of a POST that stands for a GET."""
    fields: Any = asked.parameters.get("fields", "")
    if request.method == "POST":
        if request.headers.get("x-http-method-override", "").upper() != "GET":
            raise _Refused(401, "Unauthorized")
        try:
            body = json.loads(request.body.read(_MOST_BODY_BYTES) or b"{}")
        except (ValueError, RecursionError) as e:
            raise _Refused(400, "the body is no JSON") from e
        if not isinstance(body, dict):
            raise _Refused(400, "the body is no JSON object")
        fields = body.pop("fields", fields)
        asked.parameters |= {k: _plain(v) for k, v in body.items() if v is not None}
    elif request.method != "GET":
        raise _Refused(404, "Not Found")
    asked.fields = _fields(fields)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _fields(asked: Any) -> Any:
    """What was asked for: True for all, else a dict of names to more of the same."""
    if isinstance(asked, str):
        if asked == "all":
            return True
        asked = _rison(asked) if asked.startswith("(") else dict.fromkeys(_words(asked), True)
    if not isinstance(asked, dict):
        raise _Refused(422, "fields are neither a list of names nor an object")
    return asked


def _picked(value: Any, fields: Any, *, top: bool = True) -> Any:
    """What is left of a value; of things that were asked for without their fields, what names them."""
    if fields == "all" or (fields is True and top):
        return value
    if isinstance(value, list):
        return [_picked(v, fields, top=False) for v in value]
    if not isinstance(value, dict):
        return value
    names = {"uuid"} if top else {"id"} & value.keys() or {"uuid"}
    wanted = fields if isinstance(fields, dict) else {}
    names |= {name for name, inner in wanted.items() if inner}
    return {k: _picked(v, wanted.get(k, True), top=False) for k, v in value.items() if k in names}


_RISON = re.compile(r"\(|\)|,|:|!t|!f|[A-Za-z_][A-Za-z0-9_]*")


def _rison(text: str) -> dict[str, Any]:
    """An object of flags and objects, as `(id:!t,taxon:(name:!t))`; all of RISON that fields need."""
    tokens = _RISON.findall(text)
    if "".join(tokens) != text:
        raise _Refused(422, "fields cannot be read")
    tokens.reverse()
    made = _rison_object(tokens)
    if tokens:
        raise _Refused(422, "fields cannot be read")
    return made


def _rison_object(tokens: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    try:
        before = tokens.pop()
        while before != ")":
            name, colon = tokens.pop(), tokens.pop()
            if before not in "(," or colon != ":" or not name[0].isidentifier():
                raise _Refused(422, "fields cannot be read")
            if tokens[-1] == "(":
                made[name] = _rison_object(tokens)
            else:
                made[name] = {"!t": True, "!f": False}[tokens.pop()]
            before = tokens.pop()
    except (IndexError, KeyError, RecursionError) as e:
        raise _Refused(422, "fields cannot be read") from e
    return made


@dataclass(slots=True)
class _Photos:
    """Pictures in all their sizes, made when they are asked for."""

    folder: str | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: dict[tuple[int, str, str], bytes] = field(default_factory=dict)
    made_bytes: int = 0

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        if "authorization" in request.headers:
            return _xml(400, "InvalidArgument", "Unsupported Authorization Type")
        m = _PHOTO_PATH.fullmatch(request.path)
        kind = _KINDS.get(m[3].lower()) if m else None
        if request.method not in ("GET", "HEAD") or m is None or kind is None:
            return _xml(403, "AccessDenied", "Access Denied")
        data = self._file(int(m[1]), m[2], kind)
        if data is None:
            return _xml(403, "AccessDenied", "Access Denied")
        headers = {"Content-Type": f"image/{kind.lower()}", "Cache-Control": "public, max-age=86400"}
        return Reply(200, data, headers)

    def _file(self, number: int, size: str, kind: str) -> bytes | None:
        with self.lock:
            key = (number, size, kind)
            if key not in self.made:
                source = self._source(number)
                if source is None:
                    return None
                try:
                    data = _scaled(source, size, kind)
                except OSError:  # what lies there is no picture
                    return None
                if self.made_bytes > _MOST_SCALED_BYTES:
                    self.made.clear()
                    self.made_bytes = 0
                self.made[key] = data
                self.made_bytes += len(data)
            return self.made[key]

    def _source(self, number: int) -> bytes | None:
        if self.folder is None:
            return sample.picture(number)
        try:
            with FileBytes(f"{self.folder.rstrip('/')}/photos/{number}.jpg") as source:
                return source.read_at(0, source.size)
        except UnreadableFile:
            return None


def _xml(status: int, code: str, message: str) -> Reply:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, body.encode(), {"Content-Type": "application/xml"})


def _scaled(data: bytes, size: str, kind: str) -> bytes:
    """A picture as the service keeps it: upright, without metadata, no side longer than the size allows."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    side_px = SIZES[size]
    if size == "square":
        image = ImageOps.fit(image, (side_px, side_px), Image.Resampling.LANCZOS)
    else:
        image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    # A fresh image has no metadata to keep.
    Image.frombytes("RGB", image.size, image.tobytes()).save(
        out, kind, **({"quality": 90} if kind == "JPEG" else {})
    )
    return out.getvalue()
