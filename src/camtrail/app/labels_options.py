"""What listing jobs and fetching their labels can be told; apart from the workflows, so that help loads quickly."""

from __future__ import annotations

from dataclasses import dataclass

from camtrail.core.options import opt

__all__ = ["JobsOptions", "LabelsOptions", "ServerOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Which of Camio's servers is asked."""

    testing: bool = opt(
        False, "ask the test server; CAMIO_SERVER_URL names another one", aliases=("-t",), local=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsOptions:
    """Where a list of jobs goes."""

    output_file: str = opt("", "file to write, - for standard output", aliases=("-o",), local=True)
    force: bool = opt(False, "replace a file that camtrail did not write")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsOptions:
    """Which labels of a job are wanted, and in which form."""

    as_csv: bool = opt(False, "write CSV in place of JSON", flag="--csv", aliases=("-c",), local=True)
    as_xml: bool = opt(False, "write XML in place of JSON", flag="--xml", aliases=("-x",), local=True)
    output_file: str = opt("", "file to write, - for standard output", aliases=("-o",), local=True)
    schema: str = opt(
        "full", "form of the JSON: all that is known, or as older readers want it",
        choices=("classic", "head", "full"), local=True,
    )  # fmt: skip
    label_white_list: str = opt(
        "", "keep only what has one of these labels, a JSON array of texts", aliases=("-w",), local=True
    )
    label_white_list_file: str = opt(
        "", "file with such an array; both together count as one list", aliases=("-f",), local=True
    )
    white_list_mode: str = opt(
        "images", "keep all labels of a picture that has one of the list, or only those of the list",
        choices=("images", "labels"), local=True,
    )  # fmt: skip
    no_filter: bool = opt(
        False, "keep also what lies outside the job's time or belongs to other imports", local=True
    )
    strip_source_labels: bool = opt(
        False, "leave the SHA-1 of the video out of the labels; it stands beside them", local=True
    )
    csv_safe: bool = opt(
        False, "put ' before what a spreadsheet would take for a formula in the CSV", local=True
    )
    storage: str = opt(
        "", "file of the import that made the job (default: the one that is known to)",
        aliases=("-s",), local=True,
    )  # fmt: skip
    watch: bool = opt(
        False, "wait until the service has seen all of the job", aliases=("--wait",), local=True
    )
    timeout_s: float | None = opt(
        None, "wait no longer than this (default: as long as it takes)", least=0, local=True
    )
    force: bool = opt(False, "replace a file that camtrail did not write")
