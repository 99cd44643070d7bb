"""What dating by names can be told; apart from the workflow, so that help loads quickly."""

from __future__ import annotations

from dataclasses import dataclass

from camtrail.core.options import opt

__all__ = ["DatesOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatesOptions:
    """Where capture times come from, and where they go."""

    output: str = opt(
        "",
        "folder for copies of all photos that get a date or have one",
        flag="--output",
        aliases=("-o", "--to"),
    )
    pattern: tuple[str, ...] = opt(
        (), "regular expression for names of one's own, with the groups year month day hour minute second fraction "
        "offset, or epoch; wins over all else; may be given several times",
    )  # fmt: skip
    time_zone: str = opt(
        "", "zone of the wall clock, as Europe/Berlin or +02:00 (default: that of the photo's place; for names in UTC "
        "else this machine's)",
    )  # fmt: skip
    ignore_takeout: bool = opt(False, "leave the JSON files of Google Takeout beside the photos alone")
    ignore_folders: bool = opt(False, "take no day from the names of folders")
    positions: bool = opt(False, "also write the position that Google Takeout tells, where a photo has none")
    replace: bool = opt(
        False, "also date photos whose own date is more than a day from that of the name; a name that tells only the "
        "day replaces no time of day",
    )  # fmt: skip
