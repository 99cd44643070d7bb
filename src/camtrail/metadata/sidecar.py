"""XMP sidecars: what is known of a photo in a file of its own beside it, `NAME.jpg.xmp`.

Format: Adobe XMP specification part 1 (ISO 16684-1) section 7 and part 3, 2.1 (no packet wrapper in a file of
its own), part 2, 3.5 (exif and tiff namespaces); CIPA DC-010 (Exif 2.31 metadata for XMP).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from xml.sax.saxutils import escape, unescape

from camtrail.core.names import plain
from camtrail.metadata.write import Values
from camtrail.metadata.xmp_edit import Edit, NewText, edited
from camtrail.metadata.xmp_packet import named

__all__ = ["changes_of", "edited_sidecar", "is_ours", "sidecar", "values_of"]

# The mark is the name of the toolkit: every program that writes the file anew puts its own there.
_START = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="camtrail">\n'
_BEFORE = """\
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/">
"""
_AFTER = """\
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
_BLANK = """\
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="">
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
_ADVICE = "let the program that wrote it save it again, or move it away"
_IN_ANY_LANGUAGE = frozenset(("dc:description",))
_METHOD = "exif:GPSProcessingMethod"
_EPOCH = datetime(1970, 1, 1)  # without zone: plain arithmetic
_FIRST_S, _LAST_S = -62135596800.0, 253402300800.0  # years 1 to 9999
_PARTS_OF_MINUTE = 10**8  # 1.7e-10 of a degree
_MOST = 10**5  # the denominator of a fraction: 0.01 mm, or of a degree
_LARGEST = 2**31 - 1  # what programs read of a numerator
# XML 1.0, 2.2, which has no way to write these; the surrogates are gone by then.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# A carriage return would be read as a newline (2.11). The quotes need it not, but then no text looks like a
# property to a reader that searches the packet without parsing it.
_ALT_BEFORE, _ALT_AFTER = '<rdf:Alt><rdf:li xml:lang="x-default">', "</rdf:li></rdf:Alt>"
_ESCAPES = {'"': "&quot;", "'": "&#39;", "\r": "&#13;"}


def sidecar(values: Values) -> bytes:
    """The sidecar's bytes, UTF-8; the same for the same values.

    What the format has no room for is left out: half a position or one off the globe, a negative error of the
    position, a time outside of the years 1 to 9999, an orientation that is none. An offset with seconds, or of
    a day and more, is left out, its clock is not. Of texts, bytes that are no UTF-8 become `\\xNN` and
    characters that XML has not U+FFFD.

    Notes
    -----
    Places to 1e-9 of a degree, altitudes and errors to 1e-5 m, headings (0 <= h < 360) to 1e-5 of a degree, times
    to the microsecond.
    """
    lines = (f"   <{name}>{_as_xml(name, text)}</{name}>\n" for name, text in _properties(values))
    return _START + (_BEFORE + "".join(lines) + _AFTER).encode()


def changes_of(values: Values) -> list[Edit]:
    """What has a sidecar of any program say these values, too; what `sidecar` leaves out is left out here."""
    return [NewText(named(name), text, name in _IN_ANY_LANGUAGE) for name, text in _properties(values)]


def edited_sidecar(existing: bytes | None, changes: Sequence[Edit], name: str = "the sidecar") -> bytes:
    """A sidecar with changes: of whatever program it is, all that it says of other properties stays as it is.

    Parameters
    ----------
    existing : its bytes; None where there is none, and a new one is made, unless it would say nothing
    changes : one for each property
    name : what messages call it

    Returns
    -------
    The same bytes where it says all of it already; none where there was none and nothing is to be said.

    Raises
    ------
    SafetyRefusal
        It is damaged, says a property twice, or cannot be changed without loss.
    """
    if existing is not None and existing.strip(b" \t\r\n\0"):
        return edited(existing, changes, name=name, advice=_ADVICE)
    blank = _START + _BLANK.encode()
    new = edited(blank, changes, name=name)
    return existing or b"" if new == blank else new


def is_ours(data: bytes) -> bool:
    """Whether a sidecar is as `sidecar` wrote it, and not one of another program, or that one has changed.

    An edit by hand does not show.
    """
    return data.startswith(_START)


def values_of(data: bytes) -> Values | None:
    """What a sidecar of ours says; None where it is not as `sidecar` wrote it, down to the last byte.

    So nothing that another program or a person put there is ever taken for ours and lost.
    """
    if not is_ours(data):
        return None
    try:
        found = {m[1]: m[2] for m in _PROPERTY.finditer(data.decode())}
        values = _values(found)
        return values if sidecar(values) == data else None
    except (ValueError, ArithmeticError, KeyError, TypeError):
        return None


_PROPERTY = re.compile(r"^   <([a-z]+:[A-Za-z]+)>(.*?)</\1>\n", re.MULTILINE | re.DOTALL)
_READABLE = {entity: character for character, entity in _ESCAPES.items()}


def _values(found: dict[str, str]) -> Values:
    """Values out of properties. Raises ValueError and its like where they are none of ours."""
    known: dict[str, Any] = {}
    for name, tag in (
        ("make", "tiff:Make"),
        ("model", "tiff:Model"),
        ("method", _METHOD),
        ("description", "dc:description"),
    ):
        if tag in found:
            text = found[tag].removeprefix(_ALT_BEFORE).removesuffix(_ALT_AFTER)
            known[name] = unescape(text, _READABLE)
    if "tiff:Orientation" in found:
        known["orientation"] = int(found["tiff:Orientation"])
    if "exif:DateTimeOriginal" in found:
        clock = datetime.fromisoformat(found["exif:DateTimeOriginal"])
        ahead = clock.utcoffset()
        known["local_s"] = (clock.replace(tzinfo=None) - _EPOCH) / timedelta(seconds=1)
        if ahead is not None:
            known["offset_s"] = ahead.total_seconds()
    if "exif:GPSTimeStamp" in found:
        clock = datetime.fromisoformat(found["exif:GPSTimeStamp"])
        known["time_s"] = (clock.replace(tzinfo=None) - _EPOCH) / timedelta(seconds=1)
    if "exif:GPSLatitude" in found:
        known["lat_deg"] = _degrees(found["exif:GPSLatitude"])
        known["lon_deg"] = _degrees(found["exif:GPSLongitude"])
    for name, tag in (
        ("alt_m", "exif:GPSAltitude"),
        ("heading_deg", "exif:GPSImgDirection"),
        ("error_m", "exif:GPSHPositioningError"),
    ):
        if tag in found:
            known[name] = float(Fraction(found[tag]))
    if found.get("exif:GPSAltitudeRef") == "1":
        known["alt_m"] = -known["alt_m"]
    return Values(**known)


def _degrees(text: str) -> float:
    whole, minutes = text[:-1].split(",")
    parts = int(whole) * 60 * _PARTS_OF_MINUTE + int(minutes.replace(".", ""))
    return parts / (60 * _PARTS_OF_MINUTE) * (-1.0 if text[-1] in "SW" else 1.0)


def _properties(values: Values) -> Iterator[tuple[str, str]]:
    """Names and their values."""
    return ((name, text) for name, text in _told(values) if text is not None)


def _told(values: Values) -> Iterator[tuple[str, str | None]]:
    yield "tiff:Make", values.make
    yield "tiff:Model", values.model
    yield "tiff:Orientation", str(values.orientation) if values.orientation in range(1, 9) else None
    yield "exif:DateTimeOriginal", _date(values.local_s, _zone(values.offset_s))
    if abs(values.lat_deg) <= 90.0 and abs(values.lon_deg) <= 180.0:
        yield "exif:GPSVersionID", "2.3.0.0"
        yield "exif:GPSMapDatum", "WGS-84"
        yield "exif:GPSLatitude", _angle(values.lat_deg, "N", "S")
        yield "exif:GPSLongitude", _angle(values.lon_deg, "E", "W")
        yield _METHOD, values.method
    altitude, heading = _fraction(abs(values.alt_m)), _fraction(values.heading_deg % 360.0)
    if altitude is not None:
        yield "exif:GPSAltitude", _rational(altitude)
        yield "exif:GPSAltitudeRef", "1" if values.alt_m < 0.0 and altitude else "0"
    if heading is not None:
        yield "exif:GPSImgDirection", _rational(heading % 360)  # 359.9999999 rounds up to 360
        yield "exif:GPSImgDirectionRef", "T"
    error = _fraction(values.error_m)
    yield "exif:GPSHPositioningError", None if error is None else _rational(error)
    yield "exif:GPSTimeStamp", _date(values.time_s, "Z")
    yield "dc:description", values.description


def _angle(degrees: float, positive: str, negative: str) -> str:
    """`DDD,MM.mmmmmmmmK`."""
    parts = round(abs(degrees) * (60 * _PARTS_OF_MINUTE))
    whole, rest = divmod(parts, 60 * _PARTS_OF_MINUTE)
    minutes, fraction = divmod(rest, _PARTS_OF_MINUTE)
    return f"{whole},{minutes:02}.{fraction:08}{negative if degrees < 0.0 and parts else positive}"


def _fraction(value: float) -> Fraction | None:
    """The nearest that fits; None where the value is not a number, negative or too large."""
    if not 0.0 <= value <= _LARGEST - 1:
        return None
    return Fraction(value).limit_denominator(min(_MOST, int(_LARGEST / (value + 1.0))))


def _rational(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _date(seconds: float, zone: str) -> str | None:
    """ISO 8601 to the microsecond, fractions only where there are any; None where there is no time."""
    if not _FIRST_S <= seconds < _LAST_S:
        return None
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    return (text.rstrip("0") if "." in text else text) + zone


def _zone(offset_s: float) -> str:
    """`+hh:mm`; empty where it is unknown or cannot be written so."""
    minutes, seconds = divmod(abs(offset_s), 60.0)
    if seconds != 0.0 or not minutes < 24 * 60:
        return ""
    return f"{'-' if offset_s < 0.0 else '+'}{int(minutes) // 60:02}:{int(minutes) % 60:02}"


def _as_xml(name: str, text: str) -> str:
    inner = escape(_NO_XML.sub("\ufffd", plain(text)), _ESCAPES)
    return f"{_ALT_BEFORE}{inner}{_ALT_AFTER}" if name in _IN_ANY_LANGUAGE else inner
