"""What writing can be told; apart from the writer itself, so that help and a plain run load quickly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from camtrail.core.options import opt

__all__ = ["MODES", "ChangeOptions", "ImportMetaOptions", "Owner", "Told", "WriteOptions"]

MODES = ("none", "exif", "sidecar", "copy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions:
    """How files are changed."""

    write: str = opt(
        "", "none, exif: into the photos; sidecar: NAME.jpg.xmp beside them; copy: into copies below -o DIR",
        choices=MODES,
    )  # fmt: skip
    break_hardlinks: bool = opt(False, "write files of several names (hard links) under this name only")
    touch: bool = opt(False, "let written files take the time of writing")
    dry_run: bool = opt(False, "print what would be written or sent, and do nothing of it")
    wait: bool = opt(False, "wait for another run that owns the folder to end")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions(ChangeOptions):
    """Where the answers go."""

    output: str = opt("", "folder for the copies of --write copy", flag="--output", aliases=("-o", "--to"))
    description: bool = opt(
        False, "also write the Mapillary description into ImageDescription (in place of a caption)"
    )
    fix_time: bool = opt(False, "also write the corrected clock into DateTimeOriginal")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMetaOptions:
    """What is known of the camera and the import beside time and place."""

    device_make: str = opt("", "camera make, in place of what the photos say")
    device_model: str = opt("", "camera model, in place of what the photos say")
    orientation: str = opt(
        "",
        "degrees that the picture is to be turned clockwise for display",
        choices=("0", "90", "180", "270"),
    )
    gps_accuracy_m: float | None = opt(None, "error of the positions, metres", flag="--GPS-accuracy", least=0)
    add_file_name: bool = opt(False, "put the file's name into the description")
    add_import_date: bool = opt(
        False, "put the date of the import into the description; it is kept once it is set"
    )
    import_meta_source: str = opt(
        "exif", "where make, model, orientation come from", choices=("exif", "json")
    )
    import_meta_source_path: str = opt("", "JSON file of --import-meta-source json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose photos they are, as their descriptions say it; empty where unknown."""

    user_name: str = ""
    user_key: str = ""
    organization_key: str = ""
    is_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What earlier stages found out beside time and place."""

    owner: Owner = field(default_factory=Owner)
    meta: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # MAP keys, by absolute path
    digests: Mapping[str, bytes | None] = field(default_factory=dict)  # of pictures, by absolute path
    values: Mapping[str, Any] = field(default_factory=dict)  # Values in place of what is known, by path
