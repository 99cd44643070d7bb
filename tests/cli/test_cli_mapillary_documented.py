"""The lines that the manuals of Mapillary's tools print, run as printed in an empty home, and what each of them does."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camtrail.app.accounts import Accounts
from camtrail.app.context import Context
from camtrail.app.mapillary import Access, geotag_process, sequence_process, user_process
from camtrail.app.mapillary_options import AccountOptions, ToolOptions
from camtrail.core.bytes import MemoryBytes
from camtrail.core.model import Photos
from camtrail.core.secrets import Secret
from camtrail.metadata import read
from camtrail.services.mapillary.sandbox import MapillarySandbox
from photos import Shot

USER = "username_at_mapilary"
ALL_OPTIONS = (
    '--add_file_name --add_import_date --device_make Apple --device_model "iPhone SE" --GPS_accuracy 1.5 '
    "--cutoff_distance 50 --cutoff_time 120 --interpolate_directions --offset_angle 10 --flag_duplicates "
    "--duplicate_distance 2 --duplicate_angle 45"
)
LINES = (
    f"camtrail mapillary process path --user_name {USER} --verbose",
    f"camtrail mapillary process path --user_name {USER} {ALL_OPTIONS}",
    f"camtrail mapillary process path --user_name {USER} --skip_sequence_processing",
    f"camtrail mapillary user_process path --user_name {USER}",
    f"camtrail mapillary upload_params_process path --user_name {USER}",
    "camtrail mapillary import_metadata_process path",
    "camtrail mapillary import_metadata_process path --add_file_name --add_import_date --import_meta_source exif",
    'camtrail mapillary import_metadata_process path --import_meta_source json import_meta_source_path "path/to/file.json"',
    f"camtrail mapillary geotag_process path --user_name {USER}",
    f"camtrail mapillary geotag_process path --user_name {USER} --offset_angle 90 --geotag_source csv "
    '--geotag_source_path "path/to/file.csv"',
    f"camtrail mapillary sequence_process path --user_name {USER}",
    f"camtrail mapillary sequence_process path --user_name {USER} --cutoff_distance 1000 --cutoff_time 30 "
    "--flag_duplicates",
    "camtrail mapillary insert_EXIF_ImageDescription path",
    "NUMBER_THREADS=2 MAX_ATTEMPTS=100 camtrail mapillary upload path",
    f"camtrail mapillary process_and_upload path --user_name {USER} {ALL_OPTIONS}",
    "camtrail mapillary edit_config",
    "camtrail mapillary edit_config path",
)
TOOLS = tuple(dict.fromkeys(line.partition("camtrail ")[2].split()[1] for line in LINES[:15]))
STAGES = ("user_process", "geotag_process", "sequence_process", "insert_EXIF_ImageDescription")

HEADINGS = "filename,latitude,longitude,heading\n"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def box() -> Iterator[MapillarySandbox]:
    with MapillarySandbox(keep=True) as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Five photos to the north, a second and 10 m apart, the camera to the west; the fourth where the third is.

    Beside them the files that the lines name.
    """
    folder = tmp_path / "path"
    (folder / "to").mkdir(parents=True)
    for n in range(5):
        place = 47.37 + (2 if n == 3 else n) * 1e-4
        shot = Shot(
            local=f"2026:05:09 10:00:0{n}", offset="+02:00", make="Sony", model="AS300", lat_deg=place, lon_deg=8.54,
            heading_deg=270.0, colour=lambda x, y, n=n: (9 * n, 7, 9),
        )  # fmt: skip
        (folder / f"IMG_{n}.jpg").write_bytes(shot.bytes())
    (folder / "to" / "file.json").write_text(
        json.dumps({"MAPDeviceModel": "X1", "IMG_2.jpg": {"MAPOrientation": 6}})
    )
    (folder / "to" / "file.csv").write_text(
        HEADINGS + "".join(f"IMG_{n}.jpg,46.5{n},7.5,{10 * n}\n" for n in range(5))
    )
    return folder


@pytest.fixture
def run(tmp_path: Path, path: Path, box: MapillarySandbox) -> Run:
    """Runs a line as it is printed, in the folder that holds `path`, with a token in the environment."""

    def call(line: str, *more: str, typed: str = "", token: str = USER) -> subprocess.CompletedProcess[str]:
        words = shlex.split(line)
        env = {**os.environ, **box.environment(), "MAPILLARY_TOKEN": token}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            env[name] = value
        assert words.pop(0) == "camtrail"
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "camtrail", *words, *more],
            cwd=tmp_path, env=env, input=typed, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return call


@pytest.fixture
def ready(path: Path) -> Path:
    """The same folder behind user_process, geotag_process and sequence_process."""
    options = ToolOptions(account=AccountOptions(user_name=USER))
    access = Access(Accounts("config.toml", environment_token=Secret(USER)))
    user_process([str(path)], options, access, Context())
    geotag_process([str(path)], options, Context())
    sequence_process([str(path)], options, Context())
    return path


def done(ended: subprocess.CompletedProcess[str]) -> str:
    """What a line that went well printed."""
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def stages(run: Run, *names: str) -> None:
    """Stages by themselves, each as it comes."""
    for name in names:
        done(run(f"camtrail mapillary {name} path --user_name {USER}"))


def row(photo: Path) -> Photos:
    """What a photo says."""
    return Photos.of_rows([("", 0, 0, *read.header(MemoryBytes(photo.read_bytes())), None, None, None)])


def described(photo: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row(photo).description[0])
    return found


def bytes_of(path: Path) -> list[bytes]:
    return [photo.read_bytes() for photo in sorted(path.glob("*.jpg"))]


def kept(path: Path, stage: str) -> dict[str, Any]:
    with sqlite3.connect(path / ".camtrail" / "catalog.sqlite") as db:
        found = db.execute("SELECT path, value FROM kept WHERE stage = ?", (stage,)).fetchall()
    return {os.fsdecode(p): json.loads(value) for p, value in found}


class TestProcess:
    def test_process(self, run: Run, path: Path) -> None:
        out = done(run(LINES[0]))
        assert "5  written" in out and "5  ready to upload" in out
        assert described(path / "IMG_0.jpg")["MAPSettingsUsername"] == USER

    def test_process_with_all_options(self, run: Run, path: Path) -> None:
        out = done(run(LINES[1]))
        assert "1  duplicate" in out and "cut after 50 m, 120 s" in out
        found = described(path / "IMG_4.jpg")
        assert (found["MAPDeviceMake"], found["MAPDeviceModel"]) == ("Apple", "iPhone SE")
        assert found["MAPGPSAccuracyMeters"] == 1.5
        assert found["MAPCompassHeading"]["TrueHeading"] == pytest.approx(
            10.0, abs=0.1
        )  # to the north, and 10° more
        tags = found["MAPMetaTags"]
        assert tags["strings"] == [{"key": "original_file_name", "value": "IMG_4.jpg"}]
        assert [tag["key"] for tag in tags["dates"]] == ["import_date"]
        again = bytes_of(path)
        done(run(LINES[1]))
        assert bytes_of(path) == again

    def test_process_without_sequences(self, run: Run, path: Path) -> None:
        before = bytes_of(path)
        out = done(run(LINES[2]))
        assert "5  not ready to upload: no sequence" in out and bytes_of(path) == before

    def test_process_without_sequences_says_nothing_of_limits(self, run: Run) -> None:
        done(run(LINES[1]))
        out = done(run(LINES[2]))
        assert "sequence of an earlier run" in out and "cut after" not in out


class TestStages:
    def test_user_process(self, run: Run, path: Path) -> None:
        out = done(run(LINES[3]))
        assert out == f"        5  photos of {USER}\n"
        assert kept(path, "user")[""]["user_name"] == USER

    def test_upload_params_process(self, run: Run, path: Path, ready: Path, box: MapillarySandbox) -> None:
        out = done(run(LINES[4]))
        assert f"5  ready to upload for {USER} (" in out and "1 sequence)" in out and box.requests() == []
        params = kept(path, "upload_params")
        assert [params[f"IMG_{n}.jpg"]["index"] for n in range(5)] == [0, 1, 2, 3, 4]

    def test_import_metadata_process(self, run: Run) -> None:
        assert done(run(LINES[5])) == "        5  photos: nothing is said beside their EXIF\n"

    def test_import_metadata_process_with_tags(self, run: Run, path: Path) -> None:
        assert done(run(LINES[6])) == "        5  photos\n        5  with MAPMetaTags\n"
        tags = kept(path, "import_meta")["IMG_1.jpg"]["MAPMetaTags"]
        assert tags["strings"][0]["value"] == "IMG_1.jpg" and tags["dates"][0]["key"] == "import_date"

    def test_import_metadata_process_of_a_file(self, run: Run, path: Path) -> None:
        ended = run(LINES[7])
        assert (
            done(ended)
            == "        5  photos\n        5  with MAPDeviceModel\n        1  with MAPOrientation\n"
        )
        assert "import_meta_source_path is taken as --import_meta_source_path" in ended.stderr
        stages(run, *STAGES)
        assert described(path / "IMG_2.jpg")["MAPOrientation"] == 6
        assert described(path / "IMG_1.jpg")["MAPDeviceModel"] == "X1"

    def test_geotag_process(self, run: Run) -> None:
        assert done(run(LINES[8])) == "        5  located\n"

    def test_geotag_process_with_an_angle(self, run: Run, path: Path) -> None:
        assert done(run(LINES[9])) == "        5  located\n"
        stages(run, "sequence_process", "insert_EXIF_ImageDescription")
        found = row(path / "IMG_2.jpg")
        assert found.lat_deg[0] == pytest.approx(46.52) and found.heading_deg[0] == pytest.approx(110.0)

    def test_sequence_process(self, run: Run, ready: Path) -> None:
        out = done(run(LINES[10]))
        assert "1  sequence (preset classic: cut after 600 m, 60 s, 500 images)" in out

    def test_sequence_process_with_limits(self, run: Run, ready: Path) -> None:
        out = done(run(LINES[11]))
        assert "1  duplicate" in out and "cut after 1000 m, 30 s" in out

    def test_insert_exif_image_description(self, run: Run, path: Path, ready: Path) -> None:
        assert "5  written" in done(run(LINES[12]))
        assert described(path / "IMG_0.jpg")["MAPSettingsUsername"] == USER


class TestUpload:
    def test_upload(self, run: Run, ready: Path, box: MapillarySandbox) -> None:
        out = done(run(LINES[13]))
        assert "5  uploaded" in out and "1  sequence of an earlier run" in out
        assert [image["times"] for image in box.received()["images"]] == [1] * 5

    @pytest.mark.parametrize("setting", ["NUMBER_THREADS=0", "NUMBER_THREADS=many", "MAX_ATTEMPTS=-1"])
    def test_upload_with_settings_that_are_none(self, run: Run, box: MapillarySandbox, setting: str) -> None:
        ended = run(f"{setting} camtrail mapillary upload path")
        assert ended.returncode == 2 and setting.partition("=")[0] in ended.stderr and box.requests() == []

    def test_process_and_upload(self, run: Run, path: Path, box: MapillarySandbox) -> None:
        out = done(run(LINES[14]))
        assert "4  uploaded" in out and "1  duplicate" in out
        (manifest,) = box.received()["manifests"]
        assert len(manifest["images"]) == 4 and manifest["times"] == 1
        assert "0  uploaded" in done(run(LINES[14]))


class TestEditConfig:
    def test_edit_config(self, run: Run, clean: Path) -> None:
        out = done(run(LINES[15], typed=f"{USER}\nMAPSettingsEmail\nme@example.org\nd\n"))
        config = out.rpartition(" in ")[2].strip()
        assert "me@example.org" in Path(config).read_text() and config.startswith(str(clean))

    def test_edit_config_of_a_file(self, run: Run, tmp_path: Path, path: Path) -> None:
        path.rename(tmp_path / "photos")
        done(run(LINES[16], typed=f"{USER}\nMAPSettingsEmail\nme@example.org\nd\n"))
        assert (tmp_path / "path").read_text() == f"[{USER}]\nMAPSettingsEmail = me@example.org\n"

    def test_edit_config_without_an_answer_changes_nothing(self, run: Run, clean: Path) -> None:
        ended = run(LINES[15])
        assert (
            ended.returncode == 2
            and "nothing to set" in ended.stderr
            and not list(clean.rglob("config.toml"))
        )


class TestEveryTool:
    def test_help_has_the_names_of_the_manuals(self, run: Run) -> None:
        shown = done(run("camtrail mapillary --help")).split()
        assert not set(TOOLS) - set(shown) and "edit_config" in shown

    def test_help_is_given_in_spite_of_a_broken_configuration(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "broken.toml").write_text("[options")
        env = f"CAMTRAIL_CONFIG={shlex.quote(str(tmp_path / 'broken.toml'))}"
        assert "--user-name" in done(run(f"{env} camtrail mapillary upload --help"))
        ended = run(f"{env} camtrail mapillary upload path")
        assert ended.returncode == 2 and "broken.toml: cannot be used" in ended.stderr

    def test_json_of_a_run_that_fails_names_the_tool(self, run: Run) -> None:
        ended = run("camtrail mapillary upload-params-process path --json")
        assert ended.returncode == 4
        assert json.loads(ended.stdout)["command"] == "mapillary upload_params_process"

    @pytest.mark.parametrize("tool", TOOLS)
    def test_a_path_that_is_not_there(self, run: Run, tool: str) -> None:
        ended = run(f"camtrail mapillary {tool} nowhere --user_name {USER}")
        assert ended.returncode == 4 and ended.stdout == ""
        assert ended.stderr.splitlines()[-1] == "camtrail: nowhere: is not there; check the name"

    @pytest.mark.parametrize("line", LINES[:15])
    def test_json_is_one_object_that_names_the_tool(self, run: Run, ready: Path, line: str) -> None:
        ended = run(line, "--json")
        found = json.loads(done(ended))
        tool = shlex.split(line.partition("camtrail ")[2])[1]
        assert found["command"] == f"mapillary {tool}" and found["failures"] == [] and found["elapsed_s"] > 0

    @pytest.mark.parametrize("tool", ["user_process", "import_metadata_process", "process_and_upload"])
    def test_quiet_says_nothing_where_all_is_well(self, run: Run, ready: Path, tool: str) -> None:
        ended = run(f"camtrail mapillary {tool} path --user_name {USER} --quiet")
        assert done(ended) == ended.stderr == ""


class TestWhatIsTold:
    def test_a_photo_that_is_cut_off_is_told_once(self, run: Run, path: Path) -> None:
        whole = (path / "IMG_4.jpg").read_bytes()
        (path / "IMG_4.jpg").write_bytes(whole[:-2])
        ended = run(LINES[0])
        assert ended.returncode == 3
        assert ended.stderr.count("IMG_4.jpg") == 1 and ": its picture has no end" in ended.stderr

    def test_what_befalls_many_alike_is_one_line(self, run: Run, path: Path, box: MapillarySandbox) -> None:
        box.set_faults(["status=400,method=POST,path=/mapillary_public_uploads/*.jpg"])
        ended = run(LINES[14])
        assert ended.returncode == 3
        (line,) = [text for text in ended.stderr.splitlines() if "answered 400" in text]
        assert line.startswith("camtrail: path/IMG_") and " and 3 more: " in line
        assert len(json.loads(run(LINES[14], "--json").stdout)["failures"]) == 4

    def test_the_time_of_an_upload_is_that_of_all_of_it(self, run: Run, box: MapillarySandbox) -> None:
        box.set_faults(["delay=0.5,path=/me"])
        assert json.loads(done(run(LINES[14], "--json")))["elapsed_s"] >= 0.5

    def test_a_dry_run_lists_and_a_failed_run_does_not(self, run: Run, box: MapillarySandbox) -> None:
        assert "path/IMG_0.jpg: " in done(run(LINES[14], "--dry-run"))
        box.set_faults(["status=401,path=/me"])
        ended = run(LINES[14])
        assert ended.returncode == 6 and "path/IMG_0.jpg: " not in ended.stdout
