"""Mapillary's tools as functions: what a stage keeps for the next one, and what none of them does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from camtrail.app import mapillary as app
from camtrail.app.accounts import REAL_ORIGIN, Accounts, Profile
from camtrail.app.context import Context
from camtrail.app.mapillary import Access
from camtrail.app.mapillary_options import AccountOptions, StageOptions, ToolOptions
from camtrail.app.process import ProcessOptions
from camtrail.app.process import process as process_alone
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.catalog.store import Catalog
from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import InputError, UsageError
from camtrail.core.model import Photos
from camtrail.core.secrets import Secret
from camtrail.metadata import read
from camtrail.steps.direction import DirectionOptions
from photos import Shot

EXIF_DEG = 270.0

Tools = Callable[..., None]


@pytest.fixture
def ride(tmp_path: Path) -> Path:
    """Three photos to the north, the camera to the west."""
    folder = tmp_path / "ride"
    folder.mkdir()
    for n in range(3):
        (folder / f"IMG_{n}.jpg").write_bytes(shot(n))
    return folder


def shot(n: int) -> bytes:
    return Shot(
        local=f"2026:05:09 10:00:0{n}", offset="+02:00", lat_deg=47.37 + n * 1e-4, lon_deg=8.54,
        heading_deg=EXIF_DEG, colour=lambda x, y: (9 * n, 7, 9),
    ).bytes()  # fmt: skip


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(Accounts(str(tmp_path / "config.toml"), environment_token=Secret("somebody")))


def options(
    *, angle: float = 0.0, derived: bool = False, user: str = "tester", write: str = "", dry_run: bool = False,
    make: str = "", json_file: str = "", **skip: bool,
) -> ToolOptions:  # fmt: skip
    turn = DirectionOptions(offset_angle_deg=angle, interpolate_directions=derived)
    return ToolOptions(
        process=ProcessOptions(turn=turn),
        to=WriteOptions(write=write, dry_run=dry_run),
        meta=ImportMetaOptions(
            device_make=make,
            import_meta_source="json" if json_file else "exif",
            import_meta_source_path=json_file,
        ),
        account=AccountOptions(user_name=user),
        stages=StageOptions(**skip),
    )


def geotag(folder: Path, **more: Any) -> None:
    app.geotag_process([str(folder)], options(**more), Context())


def sequence(folder: Path, **more: Any) -> None:
    app.sequence_process([str(folder)], options(**more), Context())


def insert(folder: Path, **more: Any) -> app.Done:
    return app.insert_exif_image_description([str(folder)], options(**more), Context())


def says(photo: Path) -> Photos:
    return Photos.of_rows([("", 0, 0, *read.header(MemoryBytes(photo.read_bytes())), None, None, None)])


def inserted_deg(folder: Path) -> float:
    insert(folder)
    return float(says(folder / "IMG_0.jpg").heading_deg[0])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.jpg")}


class TestOffsetAngle:
    """Told to whichever stage, it is added once."""

    def test_to_the_first_stage(self, ride):
        for _ in range(3):
            geotag(ride, angle=30)
            sequence(ride)
            assert inserted_deg(ride) == pytest.approx(300.0)
        geotag(ride)  # what was written stands
        sequence(ride)
        assert inserted_deg(ride) == pytest.approx(300.0)

    def test_to_the_second_stage(self, ride):
        geotag(ride)
        sequence(ride, angle=30)
        assert inserted_deg(ride) == pytest.approx(300.0)

    def test_to_both_and_again(self, ride):
        for _ in range(3):
            geotag(ride, angle=30)
            sequence(ride, angle=30)
            assert inserted_deg(ride) == pytest.approx(300.0)

    def test_the_second_stage_has_the_last_word(self, ride):
        geotag(ride, angle=30)
        sequence(ride, angle=-20)
        assert inserted_deg(ride) == pytest.approx(250.0)

    def test_is_added_to_the_way_where_that_is_asked_for(self, ride):
        geotag(ride, angle=30)
        sequence(ride, derived=True)
        assert inserted_deg(ride) == pytest.approx(30.0, abs=0.1)

    def test_two_cameras_in_two_folders(self, ride):
        sides = {"left": -90.0, "right": 90.0}
        for side in sides:
            (ride / side).mkdir()
            (ride / side / "a.jpg").write_bytes(shot(0))
        geotag(ride)
        for side, angle in sides.items():
            geotag(ride / side, angle=angle)
        sequence(ride)
        assert inserted_deg(ride) == pytest.approx(EXIF_DEG)
        found = [float(says(ride / side / "a.jpg").heading_deg[0]) for side in sides]
        assert found == [pytest.approx(180.0), pytest.approx(0.0)]

    def test_is_gone_where_places_are_found_without_it(self, ride):
        geotag(ride, angle=30)
        geotag(ride)
        sequence(ride)
        assert inserted_deg(ride) == pytest.approx(EXIF_DEG)

    def test_is_not_added_to_a_heading_that_has_it(self, ride, access):
        app.process([str(ride)], options(angle=30), access, Context())
        process_alone([str(ride)], ProcessOptions(), Context())  # finds the heading that was written
        sequence(ride)
        assert inserted_deg(ride) == pytest.approx(300.0)

    def test_of_a_process_whose_places_are_taken_again(self, ride, access):
        geotag(ride, angle=30)
        app.process([str(ride)], options(skip_geotagging=True), access, Context())
        assert says(ride / "IMG_0.jpg").heading_deg[0] == pytest.approx(300.0)


class TestNothingIsWritten:
    @pytest.mark.parametrize(
        "more",
        [{"write": "none"}, {"skip_insert_exif": True}, {"dry_run": True}],
        ids=lambda m: next(iter(m)),
    )
    @pytest.mark.parametrize("tool", ["insert", "process"])
    def test_where_an_option_says_so(self, ride, access, tool, more):
        geotag(ride)
        sequence(ride)
        before = tree(ride)
        if tool == "insert":
            done = insert(ride, **more)
        else:
            done = app.process([str(ride)], options(**more), access, Context())
        assert tree(ride) == before and not (ride / ".camtrail" / "journal.sqlite").exists()
        assert done.written is None or "written" not in done.written.counts

    def test_and_an_insertion_says_so(self, ride):
        geotag(ride)
        sequence(ride)
        (note,) = insert(ride, write="none").result.notes
        assert "nothing is written" in note

    def test_the_journal_names_the_tool(self, ride):
        geotag(ride)
        sequence(ride)
        assert insert(ride).result.command == "insert_EXIF_ImageDescription"


class TestBeforeAnythingIsDone:
    @pytest.mark.parametrize("tool", [app.process, app.process_and_upload])
    def test_a_file_of_import_metadata_that_is_not_there(self, ride, access, tool):
        with pytest.raises(InputError, match="is not there"):
            tool([str(ride)], options(json_file=str(ride / "nowhere.json")), access, Context())
        assert not (ride / ".camtrail").exists()

    @pytest.mark.parametrize("tool", [app.process, app.process_and_upload, app.user_process])
    def test_a_user_name_that_is_not_given(self, ride, access, tool):
        with pytest.raises(UsageError, match="no user name"):
            tool([str(ride)], options(user=""), access, Context())
        assert not (ride / ".camtrail").exists()

    def test_without_the_stage_of_the_user_none_is_needed(self, ride, access):
        done = app.process([str(ride)], options(user="", skip_user_processing=True), access, Context())
        assert done.written is not None and done.written.counts == {"written": 3}


class TestWhose:
    def params(self, paths: list[Path], access: Access, **more: Any) -> app.Done:
        return app.upload_params_process(list(map(str, paths)), options(**more), access, Context())

    def two(self, ride: Path, access: Access) -> list[Path]:
        """Two folders of one rider each."""
        other = ride.parent / "other"
        other.mkdir()
        (other / "a.jpg").write_bytes(shot(7))
        for folder, name in ((ride, "anna"), (other, "bert")):
            app.user_process([str(folder)], options(user=name), access, Context())
            geotag(folder)
            sequence(folder)
        return [ride, other]

    def test_folders_of_two_users_are_not_one_users(self, ride, access):
        paths = self.two(ride, access)
        with pytest.raises(UsageError, match="several users: anna, bert"):
            self.params(paths, access, user="")
        assert self.params(paths[1:], access, user="").user_name == "bert"
        assert self.params(paths, access, user="anna").user_name == "anna"

    def test_nor_are_descriptions_of_two_users(self, ride, access):
        (other, *_) = sorted(ride.glob("*.jpg"))
        for photo, name in ((other, "anna"), (ride / "IMG_1.jpg", "bert")):
            app.process([str(photo)], options(user=name), access, Context())
        shutil.rmtree(ride / ".camtrail")
        process_alone([str(ride)], ProcessOptions(), Context())
        with pytest.raises(UsageError, match="several users: anna, bert"):
            self.params([ride], access, user="")

    def test_what_an_upload_needs_is_kept(self, ride, access):
        geotag(ride)
        sequence(ride)
        done = self.params([ride], access)
        assert done.settled is not None
        with Catalog(str(ride / ".camtrail" / "catalog.sqlite")) as catalog:
            kept = {path: json.loads(value) for path, value in catalog.kept("upload_params").items()}
        assert kept.pop("")["user_name"] == "tester"
        (images,) = done.settled.sequences.values()
        assert [kept[image.item.path] for image in images] == [
            {
                "sequence": image.item.sequence, "index": index, "session": image.session,
                "bytes": image.size_bytes, "picture": image.picture.hex(),
            }
            for index, image in enumerate(images)
        ]  # fmt: skip

    def test_what_is_kept_of_other_folders_stays(self, ride, access):
        (ride / "later").mkdir()
        (ride / "later" / "a.jpg").write_bytes(shot(8))
        geotag(ride)
        sequence(ride)
        for folder in (ride, ride / "later"):
            self.params([folder], access)
        with Catalog(str(ride / ".camtrail" / "catalog.sqlite")) as catalog:
            assert set(catalog.kept("upload_params")) == {
                "",
                "IMG_0.jpg",
                "IMG_1.jpg",
                "IMG_2.jpg",
                "later/a.jpg",
            }

    def test_a_rehearsal_leaves_no_id_behind(self, ride, tmp_path):
        config = str(tmp_path / "config.toml")
        ids = []
        for origin in ("http://127.0.0.1:7", REAL_ORIGIN):
            accounts = Accounts(config, origin, keyring=False)
            accounts.put(Profile("tester", "tester", f"id at {origin}", origin=origin), Secret("a-token"))
            base_url = "" if origin == REAL_ORIGIN else origin
            app.process([str(ride)], options(), Access(accounts, base_url), Context())
            ids.append(json.loads(says(ride / "IMG_0.jpg").description[0]).get("MAPSettingsUserKey"))
        assert ids == [None, f"id at {REAL_ORIGIN}"]


class TestImportMetadata:
    def test_how_many_photos_have_what(self, ride):
        done = app.import_metadata_process([str(ride)], options(make="Canon"), Context())
        assert done.import_meta == {"MAPDeviceMake": 3}

    def test_a_skipped_stage_takes_what_was_kept_and_no_option(self, ride, access):
        app.import_metadata_process([str(ride)], options(make="Canon"), Context())
        app.process([str(ride)], options(make="Nikon", skip_import_meta_processing=True), access, Context())
        photo = says(ride / "IMG_0.jpg")
        assert photo.make[0] == "Canon" and json.loads(photo.description[0])["MAPDeviceMake"] == "Canon"

    def test_an_upload_is_foretold_by_what_is_kept(self, ride, access):
        geotag(ride)
        sequence(ride)
        sizes = []
        for make in ("", "A make with a long name"):
            done = app.upload_params_process([str(ride)], options(make=make), access, Context())
            assert done.settled is not None
            sizes.append([image.size_bytes for image in done.settled.images()])
        assert sizes[0] == sizes[1]
