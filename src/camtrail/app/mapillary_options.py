"""What Mapillary's tools can be told; apart from the tools themselves, so that help and a plain run load quickly."""

from __future__ import annotations

from dataclasses import dataclass, field

from camtrail.app.process import ProcessOptions
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.core.options import opt

__all__ = ["AccountOptions", "StageOptions", "ToolOptions", "UploadOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOptions:
    """Whose photos they are."""

    user_name: str = opt("", "user name at Mapillary, or the name of a profile")
    organization_key: str = opt(
        "", "organisation that the photos are for: its key or short name", aliases=("--organization-name",)
    )
    private: bool = opt(False, "the photos are for members of the organisation only")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """Which stages a run passes over."""

    skip_user_processing: bool = opt(False, "take the user of an earlier run")
    skip_import_meta_processing: bool = opt(False, "take the import metadata of an earlier run")
    skip_geotagging: bool = opt(False, "take the places of an earlier run")
    skip_sequence_processing: bool = opt(False, "take the sequences of an earlier run")
    skip_upload_params_processing: bool = opt(False, "do not look at what an upload would send")
    skip_insert_exif: bool = opt(False, "write nothing into the photos", flag="--skip-insert-EXIF")
    import_path: tuple[str, ...] = opt((), "PATH, told as an option")
    skip_qc: bool = opt(False, "without effect; accepted for old scripts", flag="--skip-QC")
    skip_validate_project: bool = opt(False, "without effect; accepted for old scripts")
    master_upload: bool = opt(False, "without effect; accepted for old scripts")
    project: str = opt("", "without effect; accepted for old scripts")
    project_key: str = opt("", "without effect; accepted for old scripts")
    advanced: bool = opt(False, "without effect; accepted for old scripts")
    manual_done: bool = opt(False, "without effect; accepted for old scripts")
    local_time: bool = opt(
        False, "without effect; accepted for old scripts: --time-zone says the camera's zone"
    )
    sub_second_interval_s: float = opt(0.0, "without effect; accepted for old scripts", least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """How photos are sent."""

    number_threads: int = opt(4, "images that are sent at a time", env="NUMBER_THREADS", least=1, most=64)
    max_attempts: int = opt(
        10, "attempts for each image without any progress", env="MAX_ATTEMPTS", least=1, most=100_000
    )
    max_wait_s: float = opt(900.0, "longest pause in all that the service may ask for", least=0)
    reupload: bool = opt(False, "send images again that were uploaded before")
    retry_uncertain: bool = opt(
        False, "publish sequences again of which nobody knows whether they were published"
    )
    accept_uncertain: bool = opt(
        False, "take sequences of which nobody knows whether they were published as published"
    )
    ledger: str = opt("", "file that remembers what was uploaded, in place of the one in your data folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """Everything that any of the tools can be told; each takes what it needs."""

    process: ProcessOptions = field(default_factory=ProcessOptions)
    to: WriteOptions = field(default_factory=WriteOptions)
    meta: ImportMetaOptions = field(default_factory=ImportMetaOptions)
    account: AccountOptions = field(default_factory=AccountOptions)
    stages: StageOptions = field(default_factory=StageOptions)
    upload: UploadOptions = field(default_factory=UploadOptions)
