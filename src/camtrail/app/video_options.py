"""What importing videos can be told; apart from the workflow, so that help loads quickly."""

from __future__ import annotations

from dataclasses import dataclass, field

from camtrail.core.options import opt

__all__ = ["DEFAULT_REGEX", "BoxOptions", "ImportOptions", "NameOptions"]

DEFAULT_REGEX = r".*/(?P<camera>\w+?)\-.*\-(?P<epoch>\d+)\.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameOptions:
    """How camera and time are read out of a video's name."""

    regex: str = opt(
        DEFAULT_REGEX, "regular expression of a path, with groups such as camera and epoch, or timestamp",
        aliases=("-r",), local=True,
    )  # fmt: skip
    regex_test: bool = opt(False, "print what the regular expression makes of the first 20 videos, and end")
    camera_name_suffix: str = opt("", "text put behind each camera's name, to tell runs apart")
    default_camera: str = opt("", "camera of videos whose name has none (default: they are left out)")
    timezone: str = opt("", "zone of wall-clock times in names, as Europe/Berlin or +02:00")
    timestamp_format: str = opt(
        "", "how the group timestamp is written, as %d.%m.%Y_%H.%M.%S (default: ISO 8601, or only digits)"
    )
    dst_fold: str = opt(
        "error", "of an hour that occurs twice: the first, the second, or leave the video out",
        choices=("first", "second", "error"),
    )  # fmt: skip
    allow_mtime: bool = opt(False, "take the file's own date where neither name nor video tell a time")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOptions:
    """Where hooks send videos."""

    host: str = opt("", "where the hooks send videos: HOST, HOST:PORT or http://HOST:PORT", env="")
    box_port: int = opt(0, "its port, where the host has none", flag="--port", aliases=("-p",), local=True, least=0, most=65535)  # fmt: skip
    hooks_module: str = opt(
        "", "hooks: a Python file, module:object, or camio, local or null", aliases=("--hook-module",), env=""
    )
    hook_data_json: str = opt("", "settings for the hooks as a JSON object", aliases=("-d",), local=True)
    hook_data_json_file: str = opt(
        "", "file with settings for the hooks, a JSON object", aliases=("-f",), local=True
    )
    hook_timeout_s: float = opt(
        1800.0, "how long the hooks may take over one video, and 1 s more for each MB", least=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How videos are imported."""

    storage: str = opt(
        "", "file that remembers what was sent (default: .camtrail/import.sqlite of the folder)",
        aliases=("-s",), local=True,
    )  # fmt: skip
    print_csv: bool = opt(
        False,
        "print what was imported so far as CSV, and import nothing",
        flag="--csv",
        aliases=("-c",),
        local=True,
    )
    check: bool = opt(False, "try the hooks' token, device, address and clock, and send nothing")
    dry_run: bool = opt(False, "print what would be sent, and send nothing")
    workers: int = opt(0, "threads that read videos; 0: as many as pay off", least=0, most=64)
    wait: bool = opt(False, "wait for another run that owns the storage to end")
    names: NameOptions = field(default_factory=NameOptions)
    box: BoxOptions = field(default_factory=BoxOptions)
