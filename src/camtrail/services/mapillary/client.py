"""Calls of Mapillary's API v4; each is one attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from camtrail.core.errors import AuthError, BadAnswer, Unreachable
from camtrail.core.names import shown
from camtrail.core.secrets import Secret, redacted
from camtrail.services.mapillary import wire
from camtrail.services.mapillary.wire import Account, Endpoints, Login, Organization
from camtrail.transfer.http import Answer, Body, Http
from camtrail.transfer.retry import Throttled, error_of

__all__ = ["Client"]

_MOST_BYTES = 1 << 20
# The service's word for a wrong name or password, and for a second factor that it wants first.
_LOGIN_REFUSED = frozenset({1348028, 1348092, 3404005, 1348131})


class Client:
    """What one account may ask of the service.

    Parameters
    ----------
    http : made for `endpoints.origins`
    token : of a user; it goes to the graph and to the upload, nowhere else

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

    def _session(self, key: str) -> str:
        return f"{self._endpoints.upload}/{quote(key, safe='')}"

    def _asked(self, url: str, what: str) -> Answer:
        answer = self._http.request("GET", url, headers=self._headers, most_bytes=_MOST_BYTES)
        _check(answer, what)
        return answer


def _check(answer: Answer, what: str) -> None:
    if error := error_of(answer, what):
        raise error


def _login_refusal(answer: Answer) -> AuthError | None:
    """What the service says to a person whose login it refuses; None for any other answer."""
    if not 400 <= answer.status < 500:
        return None
    try:
        value: Any = answer.json()
    except BadAnswer:
        return None
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return None
    subcode = error.get("error_subcode")
    if type(subcode) is not int or subcode not in _LOGIN_REFUSED:
        return None
    said = [error.get(k) for k in ("error_user_title", "error_user_msg")]
    text = ": ".join(shown(redacted(s))[:200] for s in said if isinstance(s, str) and s)
    return AuthError(text or "the service refuses this e-mail and password", "check them and try again")
