"""What places can be told; apart from the workflows, so that help loads quickly."""

from __future__ import annotations

from dataclasses import dataclass

from camtrail.app.write_options import ChangeOptions
from camtrail.core.options import opt

__all__ = ["MAPPING", "ApplyOptions", "BuildOptions"]

MAPPING = "location_mapping.csv"
"""The table's name where none is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Where the table of places goes."""

    output: str = opt(
        "", f"table to write, - for standard output ({MAPPING} where none is given)",
        flag="--output", aliases=("-o", "--to"),
    )  # fmt: skip
    copy_groups: str = opt("", "folder for copies of the photos, named by their place: 1_NAME.jpg")
    force: bool = opt(False, "replace a table that camtrail did not write")
    dry_run: bool = opt(False, "print what would be written, and write nothing")
    wait: bool = opt(False, "wait for another run that owns the folder to end")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions(ChangeOptions):
    """Where places come from, and where they go."""

    mapping: str = opt("", "table of places, as `places build` or the older notebooks write it")
    rolls: tuple[str, ...] = opt(
        (),
        "folder of photos that have places, in place of a table; may be given several times",
        flag="--from",
    )
    set_dates: bool = opt(
        False, "photos without capture time get the date of their file, also into DateTimeOriginal"
    )
    output: str = opt("", "folder for copies of all photos", flag="--output", aliases=("-o", "--to"))
