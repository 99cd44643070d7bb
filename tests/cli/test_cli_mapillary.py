"""`camtrail mapillary TOOL`: the documented lines, one by one, against the stand-in server."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox
from photos import Shot

TOOLS = (
    "user_process", "import_metadata_process", "geotag_process", "sequence_process", "upload_params_process",
    "insert_EXIF_ImageDescription", "process", "upload", "process_and_upload",
)  # fmt: skip
DOCUMENTED = (
    "--add_file_name", "--add_import_date", "--device_make", "Apple", "--device_model", "iPhone SE",
    "--GPS_accuracy", "1.5", "--cutoff_distance", "50", "--cutoff_time", "120", "--interpolate_directions",
    "--offset_angle", "10", "--flag_duplicates", "--duplicate_distance", "2", "--duplicate_angle", "45",
)  # fmt: skip


@pytest.fixture
def box() -> Iterator[MapillarySandbox]:
    with MapillarySandbox(keep=True) as running:
        yield running


@pytest.fixture
def env(box: MapillarySandbox) -> dict[str, str]:
    """What points a command at the sandbox, with a token."""
    return {**box.environment(), "MAPILLARY_TOKEN": "tester"}


def shot(n: int, **more: Any) -> bytes:
    """The n-th photo of a ride to the north, a second and 10 m apart."""
    given: dict[str, Any] = {
        "local": f"2026:05:09 10:{n // 60:02}:{n % 60:02}", "offset": "+02:00", "make": "Sony", "model": "AS300",
        "lat_deg": 47.37 + n * 1e-4, "lon_deg": 8.54, "colour": lambda x, y: (5 * n, 7, 9),
    }  # fmt: skip
    return Shot(**{**given, **more}).bytes()


@pytest.fixture
def ride(tmp_path: Path) -> Path:
    """Six photos of one ride; the fourth stands where the third was taken."""
    folder = tmp_path / "ride"
    folder.mkdir()
    for n in range(6):
        place = {"lat_deg": 47.37 + 2e-4} if n == 3 else {}
        (folder / f"IMG_{n}.jpg").write_bytes(shot(n, **place))
    return folder


def times(box: MapillarySandbox) -> list[int]:
    return [image["times"] for image in box.received()["images"]]


def tree(folder: Path) -> dict[str, str]:
    found = sorted(p for p in folder.rglob("*.jpg"))
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def described(photo: Path) -> dict[str, Any]:
    from camtrail.core.bytes import MemoryBytes
    from camtrail.core.model import Photos
    from camtrail.metadata import read

    row = ("", 0, 0, *read.header(MemoryBytes(photo.read_bytes())), None, None, None)
    found = json.loads(Photos.of_rows([row]).description[0])
    assert isinstance(found, dict)
    return found


class TestProcessAndUpload:
    def test_each_image_once_and_nothing_the_second_time(self, camtrail, ride, box, env):
        line = ("mapillary", "process_and_upload", ride, "--user_name", "tester", *DOCUMENTED, "--json")
        first = camtrail(*line, env=env)
        assert first.code == 0, first.err
        assert first.json["upload"]["counts"] == {"uploaded": 5, "duplicate": 1}
        assert times(box) == [1] * 5
        (manifest,) = box.received()["manifests"]
        assert manifest["times"] == 1 and len(manifest["images"]) == 5
        written = tree(ride)
        again = camtrail(*line, env=env)
        assert again.code == 0
        assert again.json["upload"]["counts"] == {"uploaded": 0, "already_uploaded": 5, "duplicate": 1}
        assert times(box) == [1] * 5 and tree(ride) == written

    def test_what_arrives_is_the_file_with_its_description(self, camtrail, ride, box, env):
        camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=env)
        sent = {image["sha256"] for image in box.received()["images"]}
        assert sent == set(tree(ride).values())
        text = described(ride / "IMG_0.jpg")
        assert text["MAPSettingsUsername"] == "tester" and text["MAPSequenceUUID"]
        assert "MAPSettingsEmail" not in text and "MAPSettingsUploadHash" not in text

    def test_dry_run_sends_and_writes_nothing(self, camtrail, ride, box, env):
        before = tree(ride)
        line = ("mapillary", "process_and_upload", ride, "--user_name", "tester", "--dry-run", "--json")
        done = camtrail(*line, env=env)
        assert done.code == 0 and done.json["upload"]["counts"] == {"ready": 6}
        assert tree(ride) == before and box.received()["images"] == [] and box.requests() == []

    def test_a_moved_and_copied_folder_is_not_sent_again(self, camtrail, ride, tmp_path, box, env):
        camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=env)
        elsewhere = tmp_path / "copy"
        shutil.copytree(ride, elsewhere, ignore=shutil.ignore_patterns(".camtrail"))
        line = ("mapillary", "process_and_upload", elsewhere, "--user_name", "tester", "--offset_angle", "90")
        done = camtrail(*line, "--json", env=env)
        assert done.code == 0 and done.json["upload"]["counts"] == {"uploaded": 0, "already_uploaded": 6}

    def test_reupload_sends_again(self, camtrail, ride, box, env):
        camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=env)
        done = camtrail("mapillary", "upload", ride, "--reupload", "--json", env=env)
        assert done.code == 0, done.err
        assert done.json["upload"]["counts"] == {"uploaded": 6}
        assert sum(m["times"] for m in box.received()["manifests"]) == 2

    def test_another_service_counts_by_itself(self, camtrail, ride, box, env):
        camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=env)
        with MapillarySandbox() as other:
            done = camtrail("mapillary", "upload", ride, "--json", env={**env, **other.environment()})
            assert done.json["upload"]["counts"] == {"uploaded": 6}

    def test_files_that_were_never_written_carry_their_description(self, camtrail, ride, box, env):
        before = tree(ride)
        camtrail("mapillary", "process", ride, "--user_name", "tester", "--skip_insert_EXIF", env=env)
        assert tree(ride) == before
        assert camtrail("mapillary", "upload", ride, env=env).code == 0
        (first, *_) = box.received()["images"]
        content = box.content(first["name"])
        assert content is not None and b"MAPLatitude" in content and tree(ride) == before

    def test_images_of_the_app_need_no_stage(self, camtrail, ride, tmp_path, box, env):
        camtrail("mapillary", "process", ride, "--user_name", "app-user", env=env)
        app = tmp_path / "app"
        shutil.copytree(ride, app, ignore=shutil.ignore_patterns(".camtrail"))
        done = camtrail("mapillary", "upload", app, "--json", env=env)
        assert done.code == 0, done.err
        assert done.json["upload"]["counts"] == {"uploaded": 6} and done.json["user_name"] == "app-user"
        assert {i["sha256"] for i in box.received()["images"]} == set(tree(app).values())


class TestStages:
    def test_one_after_the_other_is_process(self, camtrail, ride, tmp_path, env):
        whole = tmp_path / "whole"
        shutil.copytree(ride, whole)
        assert (
            camtrail("mapillary", "process", whole, "--user_name", "tester", *DOCUMENTED, env=env).code == 0
        )
        for tool in TOOLS[:6]:
            done = camtrail("mapillary", tool, ride, "--user_name", "tester", *DOCUMENTED, env=env)
            assert done.code == 0, (tool, done.err)
        for one in ride.glob("*.jpg"):
            other = whole / one.name
            if one.name == "IMG_3.jpg":  # flagged: it gets no description
                continue
            a, b = described(one), described(other)
            for found in (a, b):
                found["MAPMetaTags"]["dates"][0]["value"] = 0
            assert a == b

    @pytest.mark.parametrize(
        ("tool", "missing"),
        [
            ("sequence_process", "geotag_process"),
            ("upload_params_process", "sequence_process"),
            ("insert_EXIF_ImageDescription", "geotag_process"),
        ],
    )
    def test_a_stage_that_lacks_another_refuses(self, camtrail, ride, env, tool, missing):
        done = camtrail("mapillary", tool, ride, "--user_name", "tester", env=env)
        assert done.code == 4 and f"{missing} has not run here" in done.err

    def test_without_sequences_nothing_is_ready(self, camtrail, ride, env):
        before = tree(ride)
        line = ("mapillary", "process", ride, "--user_name", "tester", "--skip_sequence_processing")
        done = camtrail(*line, env=env)
        assert done.code == 0 and tree(ride) == before
        assert "6  not ready to upload: no sequence" in done.out and done.out.count("passed over") == 1
        assert camtrail(*line, "--json", env=env).json["upload"] == {
            "counts": {"not_ready": 6}, "not_ready": {"no sequence": 6}
        }  # fmt: skip

    def test_a_skipped_stage_gives_what_was_kept(self, camtrail, ride, env):
        camtrail("mapillary", "process", ride, "--user_name", "tester", "--cutoff_time", "0.5", "--skip_insert_EXIF",
                 env=env)  # fmt: skip
        line = ("mapillary", "process", ride, "--user_name", "tester", "--skip_sequence_processing", "--json")
        done = camtrail(*line, env=env)
        assert done.code == 0 and done.json["sequences"] == 6 and done.json["written"]["written"] == 6

    def test_skipping_every_stage_changes_nothing(self, camtrail, ride, env):
        before = tree(ride)
        skips = (
            "--skip_user_processing", "--skip_import_meta_processing", "--skip_geotagging",
            "--skip_sequence_processing", "--skip_upload_params_processing", "--skip_insert_EXIF",
        )  # fmt: skip
        done = camtrail("mapillary", "process", ride, "--user_name", "tester", *skips, env=env)
        assert done.code == 0 and tree(ride) == before

    def test_import_metadata_is_kept_for_the_description(self, camtrail, ride, tmp_path, env):
        meta = tmp_path / "file.json"
        meta.write_text(json.dumps({"MAPDeviceModel": "X1", "IMG_2.jpg": {"MAPOrientation": 6}}))
        # As it is printed: without its dashes.
        line = ("mapillary", "import_metadata_process", ride, "--import_meta_source", "json",
                "import_meta_source_path", meta)  # fmt: skip
        done = camtrail(*line, env=env)
        assert done.code == 0 and "import_meta_source_path is taken as --import_meta_source_path" in done.err
        for tool in ("geotag_process", "sequence_process", "insert_EXIF_ImageDescription"):
            assert camtrail("mapillary", tool, ride, env=env).code == 0
        text = described(ride / "IMG_2.jpg")
        assert text["MAPDeviceModel"] == "X1" and text["MAPOrientation"] == 6
        assert "MAPOrientation" not in described(ride / "IMG_1.jpg") or text["MAPOrientation"] == 6

    def test_the_import_date_is_set_once(self, camtrail, ride, env):
        for _ in range(2):
            camtrail("mapillary", "process", ride, "--user_name", "tester", "--add_import_date", env=env)
            dates = described(ride / "IMG_1.jpg")["MAPMetaTags"]["dates"]
        first = tree(ride)
        camtrail(
            "mapillary", "process", ride, "--user_name", "tester", "--add_import_date", "--rerun", env=env
        )
        assert described(ride / "IMG_1.jpg")["MAPMetaTags"]["dates"] == dates and tree(ride) == first

    def test_upload_params_send_nothing(self, camtrail, ride, box, env):
        for tool in ("user_process", "geotag_process", "sequence_process", "upload_params_process"):
            done = camtrail("mapillary", tool, ride, "--user_name", "tester", "--json", env=env)
            assert done.code == 0, done.err
        images = done.json["upload"]["images"]
        assert [image["index"] for image in images] == list(range(6)) and box.requests() == []
        camtrail("mapillary", "upload", ride, env=env)
        assert {image["name"] for image in box.received()["images"]} == {i["session"] for i in images}

    @pytest.mark.parametrize("tool", TOOLS)
    def test_every_tool_takes_every_option(self, camtrail, ride, tool):
        done = camtrail("mapillary", tool, "--help")
        skips = ("--skip-user-processing", "--skip-import-meta-processing", "--skip-geotagging",
                 "--skip-sequence-processing", "--skip-upload-params-processing", "--skip-insert-exif")  # fmt: skip
        words = done.out.lower()
        named = [w.lower().replace("_", "-") for w in DOCUMENTED if w.startswith("--")]
        for option in (
            *named,
            *skips,
            "--rerun",
            "--user-name",
            "--geotag-source",
            "--orientation",
            "--verbose",
        ):
            assert option in words, option


class TestOlderOptions:
    def test_the_path_as_an_option_and_photos_for_an_organisation_alone(self, camtrail, ride, env):
        line = ("mapillary", "process", "--import_path", ride, "--user_name", "tester", "--private")
        done = camtrail(*line, "--organization_name", "acme", "--local_time", env=env)
        assert done.code == 0 and "--local_time has no effect" in done.err
        text = described(ride / "IMG_1.jpg")
        assert text["MAPPrivate"] is True and text["MAPOrganizationKey"] == "acme"
        again = camtrail("mapillary", "insert_EXIF_ImageDescription", ride, env=env)
        assert again.code == 0 and described(ride / "IMG_1.jpg") == text

    def test_no_path_at_all(self, camtrail, env):
        done = camtrail("mapillary", "process", "--user_name", "tester", env=env)
        assert done.code == 2 and "no PATH" in done.err


class TestAccounts:
    def test_without_a_token_photos_are_prepared_and_upload_ends_6(self, camtrail, ride, box):
        env = box.environment()
        done = camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=env)
        assert done.code == 6 and "authenticate" in done.err
        assert described(ride / "IMG_1.jpg")["MAPSettingsUsername"] == "tester"
        assert camtrail("mapillary", "upload", ride, env=env).code == 6
        assert camtrail("mapillary", "process", ride, "--user_name", "tester", env=env).code == 0

    def test_whose_the_token_of_a_rehearsal_is_can_be_read(self, camtrail, ride, env):
        ended = camtrail("mapillary", "process_and_upload", ride, "--user_name", "rider",
                         env=env | {"MAPILLARY_TOKEN": "anything"})  # fmt: skip
        assert ended.code == 0
        assert "the token belongs to sandbox, not to rider: images go to sandbox" in ended.err

    def test_a_token_that_is_refused_ends_6(self, camtrail, ride, tmp_path):
        with MapillarySandbox(token="right") as box:
            env = {**box.environment(), "MAPILLARY_TOKEN": "wrong-token"}
            done = camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=env)
            assert done.code == 6 and "wrong-token" not in done.err + done.out

    def test_process_needs_a_user_name(self, camtrail, ride, env):
        done = camtrail("mapillary", "process", ride, env=env)
        assert done.code == 2 and "--user_name" in done.err

    def test_upload_says_which_profiles_there_are(self, camtrail, ride, box):
        env = box.environment()
        for name in ("anna", "bert"):
            made = camtrail(
                "mapillary", "edit_config", "--user_name", name, "user_upload_token=t-" + name, env=env
            )
            assert made.code == 0, made.err
        camtrail("process", ride)
        done = camtrail("mapillary", "upload", ride, env=env)
        assert done.code == 2 and "anna" in done.err and "bert" in done.err

    def test_the_only_profile_is_taken(self, camtrail, ride, box):
        env = box.environment()
        camtrail("mapillary", "edit_config", "--user_name", "anna", "user_upload_token=anna", env=env)
        camtrail("process", ride)
        done = camtrail("mapillary", "upload", ride, "--json", env=env)
        assert done.code == 0, done.err
        assert done.json["user_name"] == "anna" and done.json["upload"]["counts"] == {"uploaded": 6}


class TestTrouble:
    def test_one_rejected_image_holds_its_own_sequence(self, camtrail, tmp_path, box, env):
        folder = tmp_path / "three"
        folder.mkdir()
        for n in range(12):
            (folder / f"IMG_{n:02}.jpg").write_bytes(shot(n, local=f"2026:05:09 1{n // 4}:00:{n:02}"))
        box.set_faults(["status=400,method=POST,path=/mapillary_public_uploads/*.jpg,nth=2"])
        line = ("mapillary", "process_and_upload", folder, "--user_name", "tester", "--json")
        done = camtrail(*line, env=env)
        assert done.code == 3, done.err
        assert done.json["upload"]["counts"] == {"uploaded": 8, "held": 3, "failed": 1}
        assert len(box.received()["images"]) == 11 and len(box.received()["manifests"]) == 2
        again = camtrail(*line, env=env)
        assert again.code == 0 and again.json["upload"]["counts"] == {"uploaded": 4, "already_uploaded": 8}
        assert times(box) == [1] * 12

    def test_a_lost_answer_to_the_publication_is_not_repeated(self, camtrail, ride, box, env):
        box.set_faults(["lost,path=/finish_upload"])
        line = ("mapillary", "process_and_upload", ride, "--user_name", "tester", "--json")
        done = camtrail(*line, env=env)
        assert done.code == 5 and done.json["upload"]["counts"] == {"uploaded": 0, "uncertain": 6}
        box.set_faults([])
        again = camtrail(*line, env=env)
        assert again.code == 5 and again.json["upload"]["counts"] == {"uploaded": 0, "uncertain": 6}
        assert [m["times"] for m in box.received()["manifests"]] == [1]
        forced = camtrail(*line, "--retry-uncertain", env=env)
        assert forced.code == 0 and forced.json["upload"]["counts"] == {"uploaded": 6}

    def test_an_unreachable_service_ends_5_and_keeps_what_was_done(self, camtrail, ride, box, env):
        gone = {**env, "CAMTRAIL_MAPILLARY_URL": "http://127.0.0.1:9"}
        done = camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=gone)
        assert done.code == 5
        assert camtrail("mapillary", "upload", ride, env=env).code == 0
        assert times(box) == [1] * 6

    def test_a_redirect_is_not_followed(self, camtrail, ride, box, env):
        with MapillarySandbox() as other:
            box.set_faults([f"redirect={other.url}/x,path=/mapillary_public_uploads/*"])
            done = camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", env=env)
            assert done.code == 11 and other.requests() == []

    def test_a_cut_off_picture_is_left_out(self, camtrail, ride, box, env):
        whole = (ride / "IMG_5.jpg").read_bytes()
        (ride / "IMG_5.jpg").write_bytes(whole[:-2])
        done = camtrail("mapillary", "process_and_upload", ride, "--user_name", "tester", "--json", env=env)
        assert done.code == 3 and done.json["upload"]["counts"] == {"uploaded": 5, "failed": 1}
