"""Every line that the manuals of the older programs print works as it is printed, with `camtrail GROUP VERB` in front.

Where a line has a placeholder it gets a real folder, file, address or id. Rules that need more than a line are proved by
the tests that `PROVED` names.
"""

from __future__ import annotations

import ast
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from docs_prepared import prepared
from docs_shell import Step, done, talking

import reference

ROOT = Path(__file__).parents[2]
VERBS = dict(reference.verbs())

_USER = "--user_name username_at_mapilary"
_ALL = (
    '--add_file_name --add_import_date --device_make Apple --device_model "iPhone SE" --GPS_accuracy 1.5 '
    "--cutoff_distance 50 --cutoff_time 120 --interpolate_directions --offset_angle 10 --flag_duplicates "
    "--duplicate_distance 2 --duplicate_angle 45"
)
_STAGES = tuple(
    f"camtrail mapillary {stage} path {_USER}"
    for stage in ("user_process", "geotag_process", "sequence_process")
)
_IMPORT = (
    r'CAMIO_OAUTH_TOKEN="…" camtrail video import --regex ".*/(?P<camera>\w+?)\-(?P<epoch>\d+)\.mp4" '
    "--hook_data_json_file ~/examples/batch_import/samples/sample_hook_data.json ~/input_videos "
    '~/examples/batch_import/camio_hooks.py "192.168.1.57"'
)
_JOB_ID = "python -c \"import json, sys; print(json.load(sys.stdin)['jobs'][0]['job_id'])\""
_A_JOB = (
    "cp -r ~/input_videos videos",
    r'camtrail video import --regex ".*/(?P<camera>\w+?)\-(?P<epoch>\d+)\.mp4" videos camio',
    f"camtrail video jobs --json | {_JOB_ID} > job",
    "camtrail video labels $(cat job) first.json --watch",
)
_MATCH = "camtrail inaturalist match"


@dataclass(frozen=True)
class Line:
    """A line of a manual."""

    printed: str
    says: str  # what is in its output
    before: tuple[str, ...] = ()
    runs: str = ""  # the line with its placeholders filled in; the same where it has none
    has: tuple[str, ...] = ("path",)
    makes: str = ""  # a file


LINES = (
    Line(f"camtrail mapillary process path {_USER} --verbose", "5  ready to upload"),
    Line(f"camtrail mapillary process path {_USER} {_ALL}", "cut after 50 m, 120 s"),
    Line(f"camtrail mapillary process path {_USER} --skip_sequence_processing", "not ready to upload: no sequence"),
    Line(f"camtrail mapillary user_process path {_USER}", "5  photos of username_at_mapilary"),
    Line(f"camtrail mapillary upload_params_process path {_USER}", "5  ready to upload", _STAGES),
    Line("camtrail mapillary import_metadata_process path", "nothing is said beside their EXIF"),
    Line(
        "camtrail mapillary import_metadata_process path --add_file_name --add_import_date --import_meta_source exif",
        "5  with MAPMetaTags",
    ),
    Line(
        'camtrail mapillary import_metadata_process path --import_meta_source json import_meta_source_path "path/to/file.json"',
        "import_meta_source_path is taken as --import_meta_source_path",
    ),
    Line(f"camtrail mapillary geotag_process path {_USER}", "5  located"),
    Line(
        f"camtrail mapillary geotag_process path {_USER} --offset_angle 90 --geotag_source csv --geotag_source_path "
        '"path/to/file.csv"',
        "5  located",
    ),
    Line(f"camtrail mapillary sequence_process path {_USER}", "cut after 600 m, 60 s", _STAGES),
    Line(
        f"camtrail mapillary sequence_process path {_USER} --cutoff_distance 1000 --cutoff_time 30 --flag_duplicates",
        "cut after 1000 m, 30 s",
        _STAGES,
    ),
    Line("camtrail mapillary insert_EXIF_ImageDescription path", "5  written", _STAGES),
    Line("NUMBER_THREADS=2 MAX_ATTEMPTS=100 camtrail mapillary upload path", "5  uploaded", _STAGES),
    Line(f"camtrail mapillary process_and_upload path {_USER} {_ALL}", "5  uploaded"),
    Line(
        "camtrail mapillary download_images 45.0 45.1 -122.6 -122.5 --max_results=5 --image_size=1024",
        "5  fetched",
        makes="downloaded/manifest.csv",
    ),
    Line(
        "camtrail mapillary edit_config",
        "set MAPSettingsEmail of rider",
        runs=r"printf 'rider\nMAPSettingsEmail\nme@example.org\nd\n' | camtrail mapillary edit_config",
    ),
    Line(
        "camtrail mapillary edit_config path",
        "set MAPSettingsEmail of rider",
        ("mv path photos",),
        r"printf 'rider\nMAPSettingsEmail\nme@example.org\nd\n' | camtrail mapillary edit_config path",
        makes="path",
    ),
    Line(
        _IMPORT, "Job ID: ", runs=_IMPORT.replace('="…"', "=atoken").replace("192.168.1.57", "BOX"), has=("videos",)
    ),
    Line(
        "camtrail video labels [-h] [-a|--access_token ACCESS_TOKEN] [-c|--csv] [-x|--xml] [-t|--testing] "
        "[-v|--verbose] [-q|--quiet] [job_id] [output_file]",
        "",
        _A_JOB,
        "camtrail video labels -h && camtrail video labels -a TOKEN -c -x -t -v $(cat job) out.csv && "
        "camtrail video labels --access_token TOKEN --csv --testing -q $(cat job) && "
        "camtrail video labels --xml --verbose --force $(cat job) out.xml && camtrail video labels",
        ("videos",),
        "job_list.json",
    ),
    Line(
        "camtrail video labels -v SjksdkjoowlkjlSDFifajoijerWE231dsdf /home/me/outputfile.json",
        "wrote outputfile.json",
        _A_JOB,
        "camtrail video labels -v $(cat job) outputfile.json",
        ("videos",),
        "outputfile.json",
    ),
    Line(
        f"{_MATCH} [-h] -u|--user USER [--cluster_threshold 180] [--ssim_threshold 0.95|95%] [--bypass_cache] "
        "[-r|--recompute] [--logfile LOGFILE] file/directory [file/directory ...]",
        "wrote log.html",
        (),
        f"{_MATCH} -h && {_MATCH} -u joergmlpts --ssim_threshold 95% nature && {_MATCH} --user joergmlpts "
        "--cluster_threshold 180 --ssim_threshold 0.95 --bypass_cache -r --logfile log.html nature/dcsf0118.jpg "
        f"nature/dcsf0119.jpg && {_MATCH} -u joergmlpts --recompute nature",
        ("nature",),
        "log.html",
    ),
    Line(
        f"{_MATCH} --user joergmlpts --logfile mylogfile.html ./example_pictures",
        "5 iNaturalist annotations added",
        ("mv nature example_pictures",),
        has=("nature",),
        makes="mylogfile.html",
    ),
    Line(
        "exiftool -XMP-iNaturalist:observation -XMP-iNaturalist:observationPhoto -XMP-iNaturalist:photo -Subject *.jpg",
        "Coyote (Canis latrans)",
        (f"{_MATCH} --user joergmlpts nature", "cd nature"),
        has=("nature",),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [pytest.param(x, marks=pytest.mark.exiftool if x.printed.startswith("exiftool") else ()) for x in LINES],
    ids=lambda line: line.printed.replace("/", " ")[:70],
)
def test_a_line_works_as_it_is_printed(line: Line, tmp_path: Path, clean: Path) -> None:
    services = {"path": "mapillary", "videos": "camio", "nature": "inaturalist"}
    names = [*line.has, *(f"sandbox {services[name]}" for name in line.has)]
    folder = tmp_path / "at"
    folder.mkdir()
    with prepared(names, folder) as env:
        if "mapillary" in names[-1]:
            env["MAPILLARY_TOKEN"] = "username_at_mapilary"
            _placeholders(folder / "path" / "to")
        if "camio" in names[-1]:
            shutil.copytree(ROOT / "examples", clean / "examples")
            (folder / "videos").rename(clean / "input_videos")
        command = (line.runs or line.printed).replace("BOX", env.get("CAMIO_BOX_URL", "").partition("//")[2])
        command = command.replace(" TOKEN ", f" {env.get('CAMIO_OAUTH_TOKEN')} ")
        with talking(folder, env) as child:
            for before in line.before:
                code, printed = done(child, Step("command", before), tmp_path)
                assert code == 0, f"{before}\n{printed}"
            code, printed = done(child, Step("command", command), tmp_path)
    assert code == 0 and "Traceback" not in printed, printed
    assert line.says in printed
    assert not line.makes or (folder / line.makes).is_file()


def _placeholders(folder: Path) -> None:
    folder.mkdir()
    (folder / "file.json").write_text('{"IMG_2.jpg": {"MAPOrientation": 6}}')
    rows = "".join(f"IMG_{n}.jpg,46.5{n},7.5,{10 * n}\n" for n in range(1, 6))
    (folder / "file.csv").write_text("filename,latitude,longitude,heading\n" + rows)


# ---- rules of the options

TOOLS = (
    "process", "upload", "process_and_upload", "user_process", "import_metadata_process", "geotag_process",
    "sequence_process", "upload_params_process", "insert_EXIF_ImageDescription",
)  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "--user_name": None, "--skip_user_processing": False, "--skip_import_meta_processing": False,
    "--skip_geotagging": False, "--skip_sequence_processing": False, "--skip_upload_params_processing": False,
    "--skip_insert_EXIF": False, "--orientation": None, "--device_make": None, "--device_model": None,
    "--GPS_accuracy": None, "--add_file_name": False, "--add_import_date": False, "--import_meta_source": "exif",
    "--import_meta_source_path": None, "--geotag_source": (), "--geotag_source_path": (), "--offset_angle": 0.0,
    "--cutoff_distance": 600.0, "--cutoff_time": 60.0, "--interpolate_directions": False, "--flag_duplicates": False,
    "--duplicate_distance": 0.1, "--duplicate_angle": 5.0, "--duplicate_time": None, "--number_threads": 4,
    "--max_attempts": 10,
}  # fmt: skip
"""The documented options of the mapillary tools; where a preset sets a default, that of `classic`."""


def _options(verb: str) -> dict[str, click.Option]:
    return {
        name.lower().replace("_", "-"): parameter
        for parameter in VERBS[verb].params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_takes_every_option_with_its_default(tool: str) -> None:
    options = _options(f"mapillary {tool}")
    found = {}
    for name in DEFAULTS:
        option = options[name.lower().replace("_", "-")]
        preset = (option.help or "").partition("[default: classic ")[2].partition(",")[0]
        default = float(preset) if preset else option.default
        found[name] = None if default == "" else default
    assert found == DEFAULTS


def test_the_page_for_their_users_has_them_all() -> None:
    told = (ROOT / "docs/coming-from/mapillary-2018.md").read_text("utf-8")
    assert [name for name in DEFAULTS if f"`{name}`" not in told] == []


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool != "upload"])  # which asks for an account
def test_who_needs_a_user_name_says_so(tool: str, tmp_path: Path) -> None:
    (tmp_path / "at").mkdir()
    with prepared(["path"], tmp_path / "at"), talking(tmp_path / "at", {}) as child:
        for stage in ("geotag_process", "sequence_process", tool):
            code, printed = done(child, Step("command", f"camtrail mapillary {stage} path"), tmp_path)
    needs = tool in ("user_process", "upload_params_process", "process", "process_and_upload")
    assert (code == 2 and "give --user_name NAME" in printed) is needs


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "completion"])  # which prints a script
def test_short_options_mean_the_same_everywhere(verb: str) -> None:
    options = _options(verb)
    assert options["-v"].name == "verbose" and options["-q"].name == "quiet"
    with click.Context(VERBS[verb], **VERBS[verb].context_settings) as context:
        assert set(context.help_option_names) == {"-h", "--help"}


def test_letters_that_single_verbs_document() -> None:
    found = {(verb, letter): _options(verb)[letter].opts for verb, letter in (
        ("inaturalist match", "-u"), ("inaturalist match", "-r"), ("video import", "-r"), ("video labels", "-a"),
        ("video labels", "-c"), ("video labels", "-x"), ("video labels", "-t"),
    )}  # fmt: skip
    assert [max(names, key=len).lstrip("-").replace("-", "_") for names in found.values()] == [
        "user", "recompute", "regex", "access_token", "csv", "xml", "testing",
    ]  # fmt: skip


def test_spellings_of_the_importer_and_the_matcher() -> None:
    importer, matcher = _options("video import"), _options("inaturalist match")
    assert {"--hooks-module", "--hook-module", "--hook-data-json", "--hook-data-json-file"} <= set(importer)
    assert matcher["--image-size"].default == "large" and "--device" in matcher


@pytest.mark.parametrize(
    ("before", "command", "is_option"),
    [
        ("true", "camtrail mapillary import_metadata_process path add_file_name", True),
        ("mkdir add_file_name", "camtrail mapillary import_metadata_process path add_file_name", False),
        ("true", "camtrail mapillary import_metadata_process path --device_make add_file_name", False),
    ],
    ids=["a word", "a path that is there", "a value"],
)
def test_a_bare_word_is_an_option_unless_it_is_something_else(
    before: str, command: str, is_option: bool, tmp_path: Path
) -> None:
    (tmp_path / "at").mkdir()
    with prepared(["path"], tmp_path / "at"), talking(tmp_path / "at", {}) as child:
        done(child, Step("command", before), tmp_path)
        code, printed = done(child, Step("command", command), tmp_path)
    assert code == 0
    assert ("warning: add_file_name is taken as --add_file_name" in printed) is is_option
    assert ("with MAPMetaTags" in printed) is is_option


# ---- what is proved elsewhere

PROVED = {
    "images of the app need no processing": "cli/test_cli_mapillary.py::test_images_of_the_app_need_no_stage",
    "uploaded images and duplicates are left out": "cli/test_cli_mapillary_documented.py::test_process_and_upload",
    "an angle is added exactly once": "app/test_mapillary.py::test_to_both_and_again",
    "and to an interpolated heading": "app/test_mapillary.py::test_is_added_to_the_way_where_that_is_asked_for",
    "derived directions win over the source": (
        "app/test_process.py::test_headings_are_recomputed_only_when_asked_and_turned_once"
    ),
    "the last kept one counts": "steps/test_duplicates.py::test_it_is_the_last_kept_one_that_counts_not_the_one_before",
    "of its own sequence": "steps/test_duplicates.py::test_never_across_sequences",
    "a limit in time is off": "steps/test_duplicates.py::test_the_time_limit_is_off_unless_given",
    "make, model, accuracy, orientation win": "app/test_write.py::test_make_model_orientation_and_accuracy_by_options",
    "calls of the notebooks": "notebook/test_calls.py::test_signatures_are_those_that_are_printed",
    "directory_path": "notebook/test_calls.py::test_create_exif_map_by_position_by_keyword_and_by_its_old_name",
    "limits are kilometres and seconds": "notebook/test_calls.py::test_limits_are_kilometres_and_seconds",
    "five functions of hooks": "video/test_hook_files.py::test_the_five_functions_are_called_as_documented",
    "two functions are enough": "video/test_hook_files.py::test_two_functions_are_enough_and_make_no_job",
    "arguments of hooks are bound by name": "transfer/test_hooks.py::test_arguments_are_bound_by_their_names",
}
"""Rules of the manuals that a test of their own holds."""


@pytest.mark.parametrize("rule", PROVED)
def test_the_proof_is_there(rule: str) -> None:
    file, _, name = PROVED[rule].partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
