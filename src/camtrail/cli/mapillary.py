"""`mapillary TOOL`: Mapillary's own names for the stages, and the upload."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from camtrail.app import mapillary as app
from camtrail.app.mapillary import Access, Done
from camtrail.app.mapillary_options import ToolOptions
from camtrail.app.process import Result
from camtrail.app.settle import Settled
from camtrail.app.upload import Uploaded
from camtrail.app.write import Written
from camtrail.cli.main import SETTINGS, Verbs
from camtrail.cli.options import build
from camtrail.cli.process import rest, summary
from camtrail.cli.terminal import Run, VerdictOptions, show, source_classes, source_options, verb
from camtrail.cli.write import as_data, in_words
from camtrail.core.errors import Failure, UsageError
from camtrail.core.names import plain, shown
from camtrail.core.secrets import Secret

__all__ = [
    "geotag_process",
    "import_metadata_process",
    "insert_exif_image_description",
    "mapillary",
    "process",
    "process_and_upload",
    "sequence_process",
    "upload",
    "upload_params_process",
    "user_process",
]

_MOST_ROWS = 20
_BRIEF = ("mapillary user_process", "mapillary import_metadata_process")  # have nothing to do with places
_ALIKE = 3  # failures of the same words that are told as one
_HERE = "camtrail.cli.mapillary"

TOOLS = {
    "process": (f"{_HERE}:process", "all stages: places, sequences, descriptions written into the photos"),
    "upload": (f"{_HERE}:upload", "send the photos that are ready; none twice"),
    "process_and_upload": (f"{_HERE}:process_and_upload", "process, then upload"),
    "user_process": (f"{_HERE}:user_process", "settle whose photos they are"),
    "import_metadata_process": (f"{_HERE}:import_metadata_process", "settle camera, orientation, file name, import date"),
    "geotag_process": (f"{_HERE}:geotag_process", "find when and where each photo was taken"),
    "sequence_process": (f"{_HERE}:sequence_process", "put photos into sequences, flag duplicates, derive headings"),
    "upload_params_process": (f"{_HERE}:upload_params_process", "settle what an upload would send, and send nothing"),
    "insert_EXIF_ImageDescription": (
        f"{_HERE}:insert_exif_image_description",
        "write what was found, and the description, into the photos",
    ),
    "download_images": ("camtrail.cli.download:download_images", "download the images of an area"),
    "download_sequences": ("camtrail.cli.download:download_sequences", "download images by lists of ids"),
    "verify": ("camtrail.cli.download:verify", "read all downloaded images again and name what is damaged"),
    "authenticate": ("camtrail.cli.accounts:authenticate", "get and keep a token"),
    "edit_config": ("camtrail.cli.accounts:edit_config", "edit profiles, or a configuration file of the older tools"),
}  # fmt: skip

mapillary = Verbs(
    "mapillary",
    verbs=TOOLS,
    help="Mapillary's tools. Start with: camtrail mapillary process_and_upload FOLDER --user_name NAME",
    context_settings=SETTINGS,
)

_WITHOUT_EFFECT = (
    "skip_qc", "skip_validate_project", "master_upload", "project", "project_key", "advanced", "manual_done",
    "local_time", "sub_second_interval_s",
)  # fmt: skip

_Body = Callable[[tuple[str, ...], ToolOptions, Access, Run], Done]


def _tool(name: str, about: str) -> Callable[[_Body], click.Command]:
    """A command out of a tool; all of them take all options."""

    def made(body: _Body) -> click.Command:
        def call(run: Run, paths: tuple[str, ...], values: dict[str, Any]) -> int:
            for option in _WITHOUT_EFFECT:
                if values.get(option):
                    click.echo(
                        f"camtrail: warning: --{option.removesuffix('_s')} has no effect any more", err=True
                    )
            options = build(ToolOptions, values)
            paths = (*paths, *options.stages.import_path)
            if not paths:
                raise UsageError("no PATH is given", f"camtrail mapillary {name} FOLDER")
            options = dataclasses.replace(
                options, process=dataclasses.replace(options.process, of_sources=source_options(values))
            )
            start_s = run.context.clock.monotonic_s()
            done = body(paths, options, _access(run), run)
            done.result.command = f"mapillary {name}"
            done.result.elapsed_s = run.context.clock.monotonic_s() - start_s
            code = done.exit_code(build(VerdictOptions, values).fail_on)
            _show(run, done, options)
            return code

        return verb(name, about, ToolOptions, VerdictOptions, *source_classes(), required=False)(call)

    return made


def _access(run: Run) -> Access:
    """Accounts and service as the environment and the configuration say it."""
    from camtrail.cli.accounts import access_of_environment

    accounts, base_url, client_token = access_of_environment()
    can_ask = sys.stdin.isatty() and sys.stderr.isatty() and not run.json
    return Access(accounts, base_url, client_token, _ask if can_ask else None)


def _ask(name: str) -> tuple[str, Secret] | None:
    """E-mail and password of a user, at the terminal; None where nothing was typed."""
    click.echo(f"there is no token for {shown(name)} yet (an empty line goes on without)", err=True)
    email = click.prompt("e-mail", default="", show_default=False, err=True)
    if not email:
        return None
    return email, Secret(click.prompt("password", hide_input=True, err=True))


@_tool(
    "process", "Run all stages on the photos at PATHs and write what they found into the photos. Undoable."
)
def process(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """All stages."""
    return app.process(paths, options, access, run.context)


@_tool("upload", "Send the photos at PATHs that are ready; none twice.")
def upload(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """The upload."""
    return app.upload(paths, options, access, run.context)


@_tool("process_and_upload", "Run all stages on the photos at PATHs, then send those that are ready.")
def process_and_upload(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """All stages and the upload."""
    return app.process_and_upload(paths, options, access, run.context)


@_tool("user_process", "Settle whose photos those at PATHs are.")
def user_process(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """The first stage."""
    return app.user_process(paths, options, access, run.context)


@_tool(
    "import_metadata_process",
    "Settle camera, orientation, accuracy, file name and import date of the photos at PATHs.",
)
def import_metadata_process(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """The second stage."""
    return app.import_metadata_process(paths, options, run.context)


@_tool("geotag_process", "Find when and where each photo at PATHs was taken.")
def geotag_process(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """The third stage."""
    return app.geotag_process(paths, options, run.context)


@_tool("sequence_process", "Put the photos at PATHs into sequences, by the places that geotag_process found.")
def sequence_process(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """The fourth stage."""
    return app.sequence_process(paths, options, run.context)


@_tool("upload_params_process", "Settle what an upload of the photos at PATHs would send, and send nothing.")
def upload_params_process(paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run) -> Done:
    """The fifth stage."""
    return app.upload_params_process(paths, options, access, run.context)


@_tool(
    "insert_EXIF_ImageDescription",
    "Write what the stages found, and the description, into the photos at PATHs. Undoable.",
)
def insert_exif_image_description(
    paths: tuple[str, ...], options: ToolOptions, access: Access, run: Run
) -> Done:
    """The sixth stage."""
    return app.insert_exif_image_description(paths, options, run.context)


def _show(run: Run, done: Done, options: ToolOptions) -> None:
    result = done.result
    is_brief = result.command in _BRIEF
    words = _stage_words(done) if is_brief else [_order(done, options)]
    data: dict[str, Any] = {"sequences": result.sequences, "user_name": done.user_name or None}
    if done.organization_key:
        data["organization_key"] = done.organization_key
    if done.import_meta is not None:
        data["import_meta"] = dict(done.import_meta)
    if done.passed_over:
        data["passed_over"] = done.passed_over
    if done.written is not None:
        _join(result, done.written)
        data |= as_data(done.written)
        words.append(in_words(done.written).lstrip("\n"))
    if done.uploaded is not None:
        _join(result, done.uploaded)
        data["upload"] = _upload_data(done.uploaded)
        words += _upload_words(done.uploaded)
    elif done.settled is not None:
        _join(result, done.settled)
        data["upload"] = _settled_data(done.settled)
        is_asked = options.to.dry_run and result.command.endswith("upload")
        words += _settled_words(done, done.settled, is_listed=is_asked)
    elif done.not_ready:
        data["upload"] = {
            "counts": {"not_ready": sum(done.not_ready.values())},
            "not_ready": dict(done.not_ready),
        }
        words += _not_ready(done.not_ready)
    if not run.json:
        result.failures = _grouped(result.failures)
    listed = rest(result, options.process)
    show(
        run,
        result,
        rest=listed,
        rest_of_failures="--json lists all",
        summary="\n".join(w for w in words if w),
        is_brief=is_brief,
        **data,
    )


def _stage_words(done: Done) -> list[str]:
    """What a stage settled that is not about places."""
    counts = done.result.counts()
    photos = sum(n for outcome, n in counts.items() if outcome not in ("unreadable", "unsupported"))
    if done.import_meta is None:
        return [_counted(photos, f"photo{'' if photos == 1 else 's'} of {shown(done.user_name)}")]
    said = [_counted(n, f"with {key}") for key, n in done.import_meta.items()]
    return [
        _counted(
            photos,
            f"photo{'' if photos == 1 else 's'}" + ("" if said else ": nothing is said beside their EXIF"),
        ),
        *said,
    ]


def _order(done: Done, options: ToolOptions) -> str:
    """How many sequences there are; by which limits, where this run has found them."""
    if done.has_sequenced:
        return summary(done.result, options.process)
    count = done.result.sequences
    return _counted(count, f"sequence{'' if count == 1 else 's'} of an earlier run") if count else ""


def _join(result: Result, part: Written | Settled | Uploaded) -> None:
    """Failures and notes of a part; that a picture is cut off is told once."""
    named = {f.item for f in result.failures}
    result.failures += [f for f in part.failures if f.code != "cut" or f.item not in named]
    result.notes += part.notes


def _grouped(failures: Sequence[Failure[str]]) -> list[Failure[str]]:
    """The same for people: what befell many photos alike is one line."""
    alike: dict[Failure[str], list[Failure[str]]] = {}
    for f in failures:
        alike.setdefault(f.at(""), []).append(f)
    found: list[Failure[str]] = []
    for same in alike.values():
        first = same[0]
        found += same if len(same) < _ALIKE else [first.at(f"{shown(first.item)} and {len(same) - 1:,} more")]
    return found


def _counted(n: int, what: str) -> str:
    return f"{n:9,}  {what}"


def _not_ready(reasons: Mapping[str, int]) -> list[str]:
    return [_counted(n, f"not ready to upload: {why}") for why, n in reasons.items()]


def _settled_words(done: Done, settled: Settled, *, is_listed: bool) -> list[str]:
    """What would go; one line an image where an upload was asked for."""
    images = list(settled.images())
    size = sum(image.size_bytes for image in images)
    count = len(settled.sequences)
    whose = f" for {shown(done.user_name)}" if done.user_name else ""
    whose += f", organisation {shown(done.organization_key)}," if done.organization_key else ""
    how_much = f"{size / 1e6:,.1f} MB, {count} sequence{'' if count == 1 else 's'}"
    words = [_counted(len(images), f"ready to upload{whose} ({how_much})")]
    words += [_counted(n, f"left out: {what.replace('_', ' ')}") for what, n in settled.left.items() if n]
    words += _not_ready(settled.not_ready)
    if is_listed:
        words += [f"{shown(image.typed)}: {image.size_bytes:,} bytes" for image in images[:_MOST_ROWS]]
        if len(images) > _MOST_ROWS:
            words.append(f"… and {len(images) - _MOST_ROWS:,} more; --json lists all")
    return words


def _settled_data(settled: Settled) -> dict[str, Any]:
    return {
        "counts": settled.counts(),
        "not_ready": dict(settled.not_ready),
        "images": [
            {"path": plain(image.typed), "bytes": image.size_bytes, "session": image.session,
             "picture": image.picture.hex(), "sequence": image.item.sequence, "index": index}
            for images in settled.sequences.values() for index, image in enumerate(images)
        ],
    }  # fmt: skip


_UPLOAD_WORDS = {
    "uploaded": "uploaded",
    "already_uploaded": "uploaded before, left out",
    "duplicate": "duplicates, left out",
    "held": "sent, and not published yet",
    "uncertain": "sent, and nobody knows whether they were published",
    "failed": "not sent: failed",
}


def _upload_words(done: Uploaded) -> list[str]:
    words = [_counted(done.counts.get(what, 0), said) for what, said in _UPLOAD_WORDS.items()
             if done.counts.get(what) or what == "uploaded"]  # fmt: skip
    words += _not_ready(done.not_ready)
    if done.size_bytes and done.elapsed_s > 0:
        words.append(f"{done.size_bytes / 1e6:,.1f} MB in {done.elapsed_s:,.1f} s")
    return words


def _upload_data(done: Uploaded) -> dict[str, Any]:
    counts = {what: n for what, n in done.counts.items() if n}
    counts["uploaded"] = done.counts.get("uploaded", 0)
    if done.not_ready:
        counts["not_ready"] = sum(done.not_ready.values())
    return {
        "counts": counts,
        "not_ready": dict(done.not_ready),
        "sequences": [dataclasses.asdict(s) for s in done.sequences],
        "bytes": done.size_bytes,
    }
