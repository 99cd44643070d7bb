"""The built-in hook `null`: takes every video and sends nothing, for rehearsals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from camtrail.services.camio.wire import local_camera_id
from camtrail.transfer.hooks import Hook, Video

__all__ = ["NullHook"]


class NullHook(Hook):
    """An import into nothing."""

    def register_camera(self, name: str, host: str | None, port: str | None) -> Mapping[str, Any]:
        """An id made of the name."""
        return {"name": name, "camera_id": f"null:{local_camera_id(name)}"}

    def submit(self, video: Video, camera_id: str | None, host: str | None, port: str | None) -> None:
        """Nothing."""

    def origin(self) -> str | None:
        """A service of its own, so that what went nowhere does not count as sent."""
        return "null:"
