"""What a photo carries itself. The scan has read it, so there is nothing to parse here."""

from __future__ import annotations

from camtrail.core.plugins import Source

__all__ = ["PLUGIN"]

PLUGIN = Source(
    name="exif",
    about="position, time and direction that the photo itself carries (EXIF, XMP)",
    suffixes=frozenset({".jpg", ".jpeg", ".jpe"}),
    read=None,
)
