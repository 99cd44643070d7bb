"""What goes to Mapillary and comes back, as values: addresses, lists, answers.

Notes
-----
Graph API v4 and resumable uploads as the vendor's own uploader (mapillary_tools 0.14) speaks them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from camtrail.core.errors import BadAnswer, UsageError
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.transfer.http import Answer, origin_of
from camtrail.transfer.retry import BadOffset

__all__ = [
    "Account",
    "Endpoints",
    "Login",
    "Organization",
    "account_in",
    "cluster_in",
    "handle_in",
    "login_in",
    "manifest",
    "offset_in",
    "organization_in",
]

_UPLOADS = "mapillary_public_uploads"
_MOST = 4096  # characters of a handle, a token, an id
_LOGIN = "if this network has a login page, log in there and run again"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the service is; URLs without a slash at the end."""

    graph: str
    upload: str
    tiles: str
    origin: str  # what the ledger and tokens know the service by

    @classmethod
    def of(cls, base_url: str | None) -> Endpoints:
        """The service's own; or all below one base URL, such as a sandbox's. Raises UsageError."""
        if base_url is None:
            graph = "https://graph.mapillary.com"
            return cls(
                graph, f"https://rupload.facebook.com/{_UPLOADS}", "https://tiles.mapillary.com", graph
            )
        origin = origin_of(base_url)
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/")
        if parts.query or parts.fragment or "?" in base_url or not all("!" <= c <= "~" for c in path):
            raise UsageError(
                f"{shown(origin)}: the address of a service has no query", "give https://HOST/PATH"
            )
        base = origin + path
        return cls(base, f"{base}/{_UPLOADS}", base, origin)

    @property
    def origins(self) -> tuple[str, ...]:
        """All that an `Http` may speak with for it."""
        return tuple(dict.fromkeys(map(origin_of, (self.graph, self.upload, self.tiles))))


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a token belongs to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Login:
    """What a login gave."""

    token: Secret
    user_id: str


@dataclass(frozen=True, slots=True)
class Organization:
    """One that images can be uploaded for."""

    id: str
    slug: str
    name: str


def manifest(handles: Sequence[str]) -> bytes:
    """The list of one sequence's images, in order."""
    value = {"image_handles": list(handles), "upload_type": "images", "version": "1"}
    return json.dumps(value, separators=(",", ":")).encode()


def offset_in(answer: Answer) -> int:
    """How many bytes of an upload the service says that it has. Raises BadAnswer; BadOffset for what is no integer."""
    offset = _object(answer, "an offset").get("offset")
    if type(offset) is not int:
        raise BadOffset(f"the service names no offset but {_kind(offset)}", "run again later")
    return offset


def handle_in(answer: Answer) -> str:
    """The handle of an upload that is whole. Raises BadAnswer."""
    return _text(_object(answer, "a handle"), "h", "a handle")


def cluster_in(answer: Answer) -> str:
    """The number of what was published. Raises BadAnswer."""
    return _id(_object(answer, "a cluster"), "cluster_id", "a cluster")


def account_in(answer: Answer) -> Account:
    """Whom the token belongs to. Raises BadAnswer."""
    value = _object(answer, "an account")
    return Account(_id(value, "id", "an account"), _text(value, "username", "an account"))


def login_in(answer: Answer) -> Login:
    """The token of a login. Raises BadAnswer."""
    value = _object(answer, "a token")
    return Login(Secret(_text(value, "access_token", "a token")), _id(value, "user_id", "a user"))


def organization_in(answer: Answer) -> Organization:
    """An organization. Raises BadAnswer."""
    value = _object(answer, "an organization")
    slug, name = value.get("slug"), value.get("name")
    slug = slug if isinstance(slug, str) else ""
    return Organization(_id(value, "id", "an organization"), slug, name if isinstance(name, str) else slug)


def _object(answer: Answer, what: str) -> dict[str, Any]:
    value = answer.json()
    if not isinstance(value, dict):
        raise BadAnswer(f"the service answers {_kind(value)} in place of {what}", _LOGIN)
    return value


def _text(value: dict[str, Any], key: str, what: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text or len(text) > _MOST:
        raise BadAnswer(f"the service's answer holds no {key}, and so not {what}", "run again later")
    return text


def _id(value: dict[str, Any], key: str, what: str) -> str:
    number = value.get(key)
    if type(number) is int and number > 0:
        return str(number)
    return _text(value, key, what)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
