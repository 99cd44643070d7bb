"""What downloads can be told; apart from the workflow, so that help loads quickly."""

from __future__ import annotations

from dataclasses import dataclass

from camtrail.core.options import opt

__all__ = ["SIZES", "AreaOptions", "DownloadOptions"]

SIZES = ("320", "640", "1024", "2048", "original")


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """What is downloaded, and how."""

    output: str = opt(
        "",
        "folder that the images go to (default: downloaded, or downloads for lists)",
        flag="--output",
        aliases=("-o", "--to"),
    )
    picture_size: str = opt(
        "", "width of the pictures in pixels (default: 1024 of an area, original of lists)",
        flag="--image-size", choices=SIZES, local=True,
    )  # fmt: skip
    raw: bool = opt(False, "leave the files as they are served, without place and time in them")
    connections: int = opt(8, "images that are fetched at a time", least=1, most=64)
    max_attempts: int = opt(
        10, "attempts for each image without any progress", env="MAX_ATTEMPTS", least=1, most=100_000
    )
    max_wait_s: float = opt(900.0, "longest pause in all that the service may ask for", least=0)
    user_name: str = opt("", "user name at Mapillary, or the name of a profile")
    force: bool = opt(False, "replace a file that camtrail did not write")
    wait: bool = opt(False, "wait for another run that owns the folder to end")


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaOptions(DownloadOptions):
    """The same of an area."""

    max_results: int = opt(400, "images of the area at most", least=1)
