"""Calls of Mapillary's API v4; each is one attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from camtrail.core.errors import AuthError, BadAnswer, CamtrailError, Unreachable
from camtrail.core.names import shown
from camtrail.core.secrets import Secret, redacted
from camtrail.services.mapillary import images, tiles, wire
from camtrail.services.mapillary.images import Image
from camtrail.services.mapillary.tiles import TileImage
from camtrail.services.mapillary.wire import Account, Endpoints, Login, Organization
from camtrail.steps.tiling import Box
from camtrail.transfer.http import Answer, Body, Http
from camtrail.transfer.retry import Gone, Throttled, TooMuch, error_of

__all__ = ["MOST_AT_ONCE", "MOST_IN_BOX", "Client"]

MOST_AT_ONCE = 50
"""Images that one look-up may name."""
MOST_IN_BOX = 2000
"""Images that one search gives; there is no second page."""

_MOST_BYTES = 1 << 20
_MOST_LIST_BYTES = (
    1 << 26
)  # 2,000 images with long addresses are some 4 MiB, the tile of a city's centre 10 MiB
# The service's word for a wrong name or password, and for a second factor that it wants first.
_NOT_THERE = (100, 33)  # code and subcode
_LOGIN_REFUSED = frozenset({1348028, 1348092, 3404005, 1348131})


class Client:
    """What one account may ask of the service.

    Parameters
    ----------
    http : made for `endpoints.origins`
    token : of a user, or of a program where nothing but reading is asked; it goes to the graph, the tiles and the
        upload, nowhere else

    Notes
    -----
    All calls raise what `Http.request` and `transfer.retry.error_of` do, and BadAnswer for an answer that is not
    what was asked for.
    """

    def __init__(self, http: Http, endpoints: Endpoints, token: Secret) -> None:
        self._http = http
        self._endpoints = endpoints
        self._headers: Mapping[str, str | Secret] = {"Authorization": Secret(f"OAuth {token.reveal()}")}

    def close(self) -> None:
        """Ends its connections; calls under way fail."""
        self._http.close()

    def me(self) -> Account:
        """Whom the token belongs to."""
        return wire.account_in(self._asked(f"{self._endpoints.graph}/me?fields=id,username", "the account"))

    def organization(self, key: str) -> Organization:
        """An organization by its key."""
        url = f"{self._endpoints.graph}/{quote(key, safe='')}?fields=slug,description,name"
        return wire.organization_in(self._asked(url, f"organization {shown(key)[:60]}"))

    def login(self, email: str, password: Secret, client_token: Secret) -> Login:
        """The token of a user, for an e-mail and a password. Raises AuthError where they are refused."""
        value = {"email": email, "password": password.reveal(), "locale": "en_US"}
        answer = self._http.request(
            "POST",
            f"{self._endpoints.graph}/login",
            headers={
                "Authorization": Secret(f"OAuth {client_token.reveal()}"),
                "Content-Type": "application/json",
            },
            body=json.dumps(value).encode(),
        )
        if refusal := _login_refusal(answer):
            raise refusal
        _check(answer, "the login")
        return wire.login_in(answer)

    def offset(self, key: str) -> int:
        """How many bytes of an upload the service has."""
        return wire.offset_in(self._asked(self._session(key), "the offset"))

    def send(self, key: str, offset: int, body: Body) -> str:
        """The handle of an upload, after its bytes from `offset` on were sent."""
        answer = self._http.request(
            "POST",
            self._session(key),
            headers={**self._headers, "Offset": str(offset), "X-Entity-Name": key},
            body=Body(body.size, body.chunks, chunked=True),
        )
        _check(answer, "the upload")
        return wire.handle_in(answer)

    def finish(self, handle: str, organization_id: str | None) -> str:
        """Publishes a sequence by the handle of its list; returns its number.

        After an error that is `retryable` nobody knows whether it was published, unless the error says
        `is_unheard`.
        """
        value = {"file_handle": handle, "file_type": "mly_bundle_manifest"}
        if organization_id is not None:
            value["organization_id"] = organization_id
        answer = self._http.request(
            "POST",
            f"{self._endpoints.graph}/finish_upload",
            headers={**self._headers, "Content-Type": "application/json"},
            body=json.dumps(value).encode(),
        )
        if error := error_of(answer, "the publication"):
            if (
                answer.status == 503 and type(error) is Unreachable
            ):  # RFC 9110 section 15.6.4: it did not begin
                raise Throttled(error.message, error.hint)
            raise error
        return wire.cluster_in(answer)

    def images(self, ids: Sequence[str], size: str) -> dict[str, Image]:
        """Images by their ids, at most `MOST_AT_ONCE`; those that the service does not know are left out.

        Parameters
        ----------
        size : of the picture that `Image.url` is to lead to, one of `images.SIZES`

        Notes
        -----
        One attempt, and one request unless the service refuses all because of one that it does not know; then
        halves are asked for.
        """
        names = list(dict.fromkeys(ids))
        if len(names) > MOST_AT_ONCE:
            raise ValueError(f"{len(names)} images at once, {MOST_AT_ONCE} are possible")
        if not names:
            return {}
        listed = ",".join(quote(name, safe="") for name in names)
        url = f"{self._endpoints.graph}/?ids={listed}&fields={images.fields(size)}"
        try:
            answer = self._listed(url, "a look-up of images")
        except Gone:
            if len(names) == 1:
                return {}
            half = len(names) // 2
            return self.images(names[:half], size) | self.images(names[half:], size)
        return images.images_by_id(answer, frozenset(names), size)

    def image(self, id: str, size: str) -> Image:
        """One image. Raises Gone where the service does not know it."""
        url = f"{self._endpoints.graph}/{quote(id, safe='')}?fields={images.fields(size)}"
        return images.image_of(self._listed(url, f"image {shown(id)[:60]}"), id, size)

    def image_ids(self, sequence_id: str) -> list[str]:
        """The images of a sequence, in its order; [] where the service knows none."""
        url = f"{self._endpoints.graph}/image_ids?sequence_id={quote(sequence_id, safe='')}"
        try:
            return images.ids_in(self._listed(url, f"sequence {shown(sequence_id)[:60]}"))
        except Gone:
            return []

    def images_in(self, box: Box, size: str, limit: int = MOST_IN_BOX) -> list[Image]:
        """Images of an area. Where there are more than `limit`, those of one edge of it.

        Raises
        ------
        TooMuch
            The area is too large, or holds more than the service gives at once: ask for parts of it. Where a part
            is refused however small it is, its tiles say what is there.
        """
        url = f"{self._endpoints.graph}/images?bbox={_bbox(box)}&limit={limit}&fields={images.fields(size)}"
        found = images.images_in(self._listed(url, "the images of an area", is_area=True), size)
        if len(found) >= MOST_IN_BOX:
            raise TooMuch(f"an area holds {MOST_IN_BOX} images or more", "ask for parts of it")
        return found[:limit]

    def tile(self, z: int, x: int, y: int) -> list[TileImage]:
        """Images of a vector tile, of which only those of zoom 14 have any; positions are good to a metre."""
        url = f"{self._endpoints.tiles}/maps/vtp/mly1_public/2/{z}/{x}/{y}"
        answer = self._http.request("GET", url, headers=self._headers, most_bytes=_MOST_LIST_BYTES, gzip=True)
        error = error_of(answer, f"tile {z}/{x}/{y}")
        if isinstance(error, Gone):
            return []
        if error:
            raise error
        return tiles.images_of(answer.body, z, x, y)

    def _listed(self, url: str, what: str, *, is_area: bool = False) -> Answer:
        answer = self._http.request("GET", url, headers=self._headers, most_bytes=_MOST_LIST_BYTES)
        if error := _reading_error(answer, what, is_area):
            raise error
        return answer

    def _session(self, key: str) -> str:
        return f"{self._endpoints.upload}/{quote(key, safe='')}"

    def _asked(self, url: str, what: str) -> Answer:
        answer = self._http.request("GET", url, headers=self._headers, most_bytes=_MOST_BYTES)
        _check(answer, what)
        return answer


def _bbox(box: Box) -> str:
    """West, south, east, north, degrees."""
    edges = (box.min_lon_deg, box.min_lat_deg, box.max_lon_deg, box.max_lat_deg)
    return ",".join(f"{edge:.10f}".rstrip("0").rstrip(".") for edge in edges)


def _check(answer: Answer, what: str) -> None:
    if error := error_of(answer, what):
        raise error


def _reading_error(answer: Answer, what: str, is_area: bool) -> CamtrailError | None:
    """What went wrong, where what is asked for may not be there, or be too much."""
    error = error_of(answer, what)
    said = _graph_error(answer) if error and answer.status == 400 and not isinstance(error, AuthError) else {}
    if said.get("code") == _NOT_THERE[0] and said.get("error_subcode") == _NOT_THERE[1]:
        return Gone(f"{what}: the service does not know it, or no longer")
    if is_area and error and said.get("type") == "MLYApiException":
        return TooMuch(error.message, "ask for parts of it")
    return error


def _graph_error(answer: Answer) -> dict[str, Any]:
    """The service's own account of an error; {} where there is none."""
    try:
        value: Any = answer.json()
    except BadAnswer:
        return {}
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else {}


def _login_refusal(answer: Answer) -> AuthError | None:
    """What the service says to a person whose login it refuses; None for any other answer."""
    if not 400 <= answer.status < 500:
        return None
    error = _graph_error(answer)
    subcode = error.get("error_subcode")
    if type(subcode) is not int or subcode not in _LOGIN_REFUSED:
        return None
    said = [error.get(k) for k in ("error_user_title", "error_user_msg")]
    text = ": ".join(shown(redacted(s))[:200] for s in said if isinstance(s, str) and s)
    return AuthError(text or "the service refuses this e-mail and password", "check them and try again")
