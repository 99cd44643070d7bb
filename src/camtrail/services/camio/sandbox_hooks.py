"""What calls back in a stand-in for Camio: events that match a query, and jobs that are complete."""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import json
import logging
import operator
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from camtrail.core.clock import RealClock
from camtrail.core.errors import CamtrailError
from camtrail.services.camio.sandbox_events import Event, Image, stamp
from camtrail.services.camio.sandbox_state import Refused, State
from camtrail.transfer.http import Http, origin_of

__all__ = ["Hooks", "matches"]

LOG = logging.getLogger(__name__)

_TYPES = ("query_match", "job_completed")
_HERE = ("127.0.0.1", "localhost")
_TICK_S = 0.05
_STALL_S = 5.0  # that a call may stand still, and the end of the stand-in wait for it
_LONGEST_QUERY = 2000
_SIZE_PX = (64, 36)
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_NAMES = ("camera", "labels", "date")
_PARTS = ("year", "month", "day", "hour", "minute", "second", "microsecond")


@dataclass(slots=True, eq=False)
class _Hook:
    """Somebody who wants to be called."""

    owner: str
    document: dict[str, Any]
    told: set[str] = field(default_factory=set)  # ids of what it was called about
    changes: int = -1  # of the state, when it was last looked at


class Hooks:
    """The registry, and the thread that calls; only addresses of this machine are called.

    The thread starts with the first registration. A new hook is called about what is there already, too.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._hooks: dict[str, _Hook] = {}
        self._calls: list[dict[str, Any]] = []
        self._number = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, owner: str, said: Any) -> dict[str, Any]:
        """The document of a new hook. Raises Refused."""
        url = said.get("callback_url") if isinstance(said, dict) else None
        if not isinstance(url, str):
            raise Refused(400, "callback_url is missing")
        try:
            origin_of(url)
        except CamtrailError as e:
            raise Refused(400, "callback_url is no address") from e
        if said.get("type") not in _TYPES:
            raise Refused(400, f"type is none of {', '.join(_TYPES)}")
        query = said.get("parsed_query", "1==1")
        if not isinstance(query, str) or len(query) > _LONGEST_QUERY:
            raise Refused(400, "parsed_query is no text")
        _check(query)
        with self._lock:
            self._number += 1
            made = hashlib.sha256(f"hook {self._number} {owner}".encode()).hexdigest()[:16]
            document = {"id": made, "type": said["type"], "parsed_query": query, "callback_url": url}
            self._hooks[made] = _Hook(owner, document)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="sandbox hooks", daemon=True)
                self._thread.start()
        return document

    def listed(self, owner: str) -> list[dict[str, Any]]:
        """The hooks of an account."""
        with self._lock:
            return [hook.document for hook in self._hooks.values() if hook.owner == owner]

    def remove(self, owner: str, hook_id: str) -> bool:
        """Takes a hook away; whether it was there."""
        with self._lock:
            hook = self._hooks.get(hook_id)
            if hook is None or hook.owner != owner:
                return False
            del self._hooks[hook_id]
            return True

    def received(self) -> dict[str, Any]:
        """The hooks there are, and the calls that were made: `{"id", "about", "status"}`, None for no answer."""
        with self._lock:
            return {"hooks": [h.document for h in self._hooks.values()], "calls": list(self._calls)}

    def close(self) -> None:
        """Ends the thread; may be called again."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                hooks = list(self._hooks.values())
            for hook in hooks:
                for about, payload in self._due(hook):
                    if self._ended.is_set():
                        return
                    self._call(hook, about, payload)

    def _due(self, hook: _Hook) -> list[tuple[str, dict[str, Any]]]:
        """What a hook was not called about yet, and what it is told."""
        state = self._state
        with state.lock:
            state.settle()
            if hook.changes == state.changes:
                return []
            hook.changes = state.changes
            made = self._matched(hook) if hook.document["type"] == "query_match" else self._completed(hook)
        due = [(about, payload) for about, payload in made if about not in hook.told]
        hook.told.update(about for about, _ in due)
        return due

    def _matched(self, hook: _Hook) -> list[tuple[str, dict[str, Any]]]:
        query = hook.document["parsed_query"]
        return [
            (event.id, self._event(hook.owner, event))
            for event in self._state.events.get(hook.owner, [])
            if event.id not in hook.told and matches(query, _values(event))
        ]

    def _event(self, owner: str, event: Event) -> dict[str, Any]:
        return {
            "user_id": owner,
            "camera": event.camera,
            "callback_url": f"{self._state.cloud_url}/hookreply/{event.id}",
            "images": [_image(image) for image in event.images],
        }

    def _completed(self, hook: _Hook) -> list[tuple[str, dict[str, Any]]]:
        told = (self._state.told_job(j) for j in self._state.jobs.values() if j.owner == hook.owner)
        return [
            (job["job_id"], {"type": "job_completed", "user_id": hook.owner, "job_id": job["job_id"]})
            for job in told
            if job["status"] == "complete"
        ]

    def _call(self, hook: _Hook, about: str, payload: Mapping[str, Any]) -> None:
        url: str = hook.document["callback_url"]
        if urlsplit(url).hostname not in _HERE:
            return
        status = None
        try:
            kind = {"Content-Type": "application/json"}
            with Http(
                [origin_of(url)], user_agent="camtrail-sandbox", clock=RealClock(), stall_s=_STALL_S
            ) as http:
                status = http.request("POST", url, headers=kind, body=json.dumps(payload).encode()).status
        except (CamtrailError, ValueError) as e:
            LOG.debug("the hook %s was not called: %s", hook.document["id"], e)
        with self._lock:
            self._calls.append({"id": hook.document["id"], "about": about, "status": status})


def _values(event: Event) -> dict[str, Any]:
    date = datetime.fromtimestamp(event.start_ms / 1000, UTC)
    return {"camera": event.camera, "labels": event.labels, "date": date}


def _image(image: Image) -> dict[str, Any]:
    from PIL import Image as Picture

    drawn = hashlib.sha256(image.id.encode()).digest()
    out = io.BytesIO()
    Picture.new("RGB", _SIZE_PX, (drawn[0], drawn[1], drawn[2])).save(out, "JPEG")
    encoded = base64.b64encode(out.getvalue()).decode()
    return {
        "type": "image/jpeg",
        "size": list(_SIZE_PX),
        "timestamp": stamp(image.date_ms),
        "image_b64": encoded,
    }


def _check(query: str) -> None:
    """Raises Refused for what is no query."""
    try:
        tree = ast.parse(query.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        raise Refused(400, "parsed_query cannot be read") from e
    for node in ast.walk(tree):
        if not _is_known(node):
            raise Refused(400, f"parsed_query may not have a {type(node).__name__}")


_KNOWN = (ast.Expression, ast.BoolOp, ast.boolop, ast.Not, ast.Compare, ast.List, ast.Tuple, ast.expr_context)


def _is_known(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Name):
        return node.id in _NAMES
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "date" and node.attr in _PARTS
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | int | float)
    return isinstance(node, _KNOWN) or type(node) in _COMPARE


def matches(query: str, values: Mapping[str, Any]) -> bool:
    """Whether values meet a query that `_check` let pass; what cannot be compared does not."""
    try:
        return bool(_value(ast.parse(query.strip(), mode="eval").body, values))
    except TypeError:
        return False


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp(op=ast.And()):
            return all(_value(part, values) for part in node.values)
        case ast.BoolOp():
            return any(_value(part, values) for part in node.values)
        case ast.UnaryOp():
            return not _value(node.operand, values)
        case ast.Compare():
            return _compared(node, values)
        case ast.Name():
            return values[node.id]
        case ast.Attribute(value=ast.Name(id=name)):
            return getattr(values[name], node.attr)
        case ast.List() | ast.Tuple():
            return [_value(part, values) for part in node.elts]
        case ast.Constant():
            return node.value
    raise TypeError


def _compared(node: ast.Compare, values: Mapping[str, Any]) -> bool:
    left = _value(node.left, values)
    for op, right in zip(node.ops, node.comparators, strict=True):
        other = _value(right, values)
        if not _COMPARE[type(op)](left, other):
            return False
        left = other
    return True
