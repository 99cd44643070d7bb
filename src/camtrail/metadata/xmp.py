"""Position in an XMP packet, as Adobe's programs, phones and panorama tools write it.

Format: Adobe XMP specification part 2, 3.5 (exif namespace): `DDD,MM.mmmmK`, `DDD,MM,SSK`; decimal degrees,
which many write against the specification, are read, too. The packet is searched, not parsed as XML: it may
be cut off, and nothing in it can refer to anything.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import NamedTuple

__all__ = ["XmpPosition", "angle", "position"]

_NAN = float("nan")
# As an attribute, name="value", or as an element, <name>value</name>, with any prefix; only the prefix's last
# letter is looked at, so that a packet of nothing but letters costs no more than any other.
_FIELD = re.compile(
    rb"(?<=[\w.-]):(GPSLatitude|GPSLongitude|GPSAltitude|GPSAltitudeRef|GPSImgDirection)"
    rb"(?:\s*=\s*[\"']([^\"']{0,64})|>\s*([^<]{0,64}))"
)
_ANGLE = re.compile(r"([-+]?)(\d+(?:\.\d*)?)(?:,(\d+(?:\.\d*)?))?(?:,(\d+(?:\.\d*)?))?\s*([NSEWnsew]?)")


class XmpPosition(NamedTuple):
    """NaN where absent."""

    lat_deg: float
    lon_deg: float
    alt_m: float
    heading_deg: float


def angle(text: str) -> float:
    """Degrees of `0,4.216S`, `34,22,54.9E`, `-12.5` or `12.5S`; the letter wins over the sign. NaN if none."""
    m = _ANGLE.fullmatch(text.strip())
    if m is None:
        return _NAN
    value = float(m[2]) + float(m[3] or 0) / 60 + float(m[4] or 0) / 3600
    negative = m[5].upper() in ("S", "W") if m[5] else m[1] == "-"
    return -value if negative else value


def _number(text: str) -> float:
    """`12.5` or `125/10`; NaN where it is neither, or infinite."""
    over, _, under = text.strip().partition("/")
    try:
        value = float(over) / float(under or 1)
    except (ValueError, ZeroDivisionError):
        return _NAN
    return value if isfinite(value) else _NAN


def position(packet: bytes) -> XmpPosition:
    """What the packet says of the place; the first value of each name counts."""
    found: dict[bytes, str] = {}
    for m in _FIELD.finditer(packet):
        found.setdefault(m[1], (m[2] if m[2] is not None else m[3]).decode("utf-8", "replace"))
    alt = _number(found.get(b"GPSAltitude", ""))
    if found.get(b"GPSAltitudeRef", "").strip() == "1":
        alt = -abs(alt)
    return XmpPosition(
        angle(found.get(b"GPSLatitude", "")),
        angle(found.get(b"GPSLongitude", "")),
        alt,
        _number(found.get(b"GPSImgDirection", "")),
    )
