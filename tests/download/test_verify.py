"""A look at every file tells what is missing or damaged, and the next download brings it back."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from camtrail.app.context import Context
from camtrail.app.download_tables import Verified, verify
from camtrail.core.errors import FolderBusy, InputError, StorageError, worst
from camtrail.core.fs import RealFileSystem
from camtrail.services.mapillary.sandbox import MapillarySandbox

from .folders import Folder, Run, fetched_by


def checked(folder: Folder) -> Verified:
    return verify(str(folder.path), Context())


def code(done: Verified) -> int:
    return worst({f.exit_code for f in done.result.failures})


@pytest.fixture
def full(box: MapillarySandbox, one_list: Path, tmp_path: Path) -> Folder:
    """A folder with all 50 images."""
    folder = Folder(tmp_path / "out")
    assert Run(box).lists(one_list, folder.path, picture_size="1024").code == 0
    return folder


def test_what_is_whole_is_whole(full: Folder) -> None:
    before, tables = full.files(), full.tables()
    done = checked(full)
    assert done.counts == {"whole": 50} and not done.result.failures and code(done) == 0
    assert full.files() == before and full.tables() == tables


def harm(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "removed":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-1])
    elif how == "longer":
        path.write_bytes(data + b"\0")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "one bit":
        at = len(data) // 2
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    elif how == "a folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["removed", "cut", "longer", "empty", "one bit"])
def test_what_is_not_is_named_and_comes_back(
    full: Folder, box: MapillarySandbox, one_list: Path, how: str
) -> None:
    before, tables = full.files(), full.tables()
    victims = [list(before)[at] for at in (0, 20, 49)]
    for name in victims:
        harm(full.path / name, how)
    done = checked(full)
    kind = "missing" if how == "removed" else "damaged"
    assert done.counts == {"whole": 47, kind: 3} and code(done) == 3
    assert sorted(f.item for f in done.result.failures) == sorted(f"{full.path}/{name}" for name in victims)
    assert all(f.message and f.hint == "run the download again" for f in done.result.failures)
    again = checked(full)
    if how == "removed":
        assert again.counts == done.counts and again.result.failures == done.result.failures
    else:
        assert again.counts == {"whole": 47, "not_fetched": 3} and code(again) == 3
        assert {f.message for f in again.result.failures} == {
            f"its file {f.message}" for f in done.result.failures
        }

    repaired = Run(box).lists(one_list, full.path, picture_size="1024")
    assert repaired.code == 0 and repaired.counts == {"fetched": 3, "there_before": 47}, repaired
    assert set(fetched_by(repaired.requests)) == {Path(name).stem for name in victims}
    assert full.files() == before and full.tables() == tables and full.leftovers() == []
    assert checked(full).counts == {"whole": 50}


@pytest.mark.parametrize("how", ["removed", "cut", "longer", "empty"])
def test_a_download_sees_other_sizes_by_itself(
    full: Folder, box: MapillarySandbox, one_list: Path, how: str
) -> None:
    before = full.files()
    victim = list(before)[5]
    harm(full.path / victim, how)
    repaired = Run(box).lists(one_list, full.path, picture_size="1024")
    assert repaired.counts == {"fetched": 1, "there_before": 49}, repaired
    assert full.files() == before


def test_a_folder_where_a_picture_was_is_told(full: Folder, box: MapillarySandbox, one_list: Path) -> None:
    victim = full.path / list(full.files())[5]
    harm(victim, "a folder")
    done = checked(full)
    assert done.counts == {"whole": 49, "unread": 1} and code(done) == 3
    told = Run(box).lists(one_list, full.path, picture_size="1024")
    assert told.code == 3 and told.counts == {"failed": 1, "there_before": 49}, told
    assert [f.item for f in told.failures] == [f"image {victim.stem}"]
    victim.rmdir()
    assert Run(box).lists(one_list, full.path, picture_size="1024").code == 0
    assert checked(full).counts == {"whole": 50} and full.leftovers() == []


def test_unknown_images_stay_unknown(box: MapillarySandbox, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("12345678901\n")
    folder = Folder(tmp_path / "out")
    assert Run(box).lists(tmp_path / "ids.txt", folder.path).code == 3
    done = checked(folder)
    (failure,) = done.result.failures
    assert done.counts == {"not_fetched": 1} and failure.item == "image 12345678901"
    assert failure.message == "the service does not know it" and not failure.retryable


def test_images_that_are_there_in_another_size_are_not_missed(
    full: Folder, box: MapillarySandbox, one_list: Path
) -> None:
    small = Run(box).lists(one_list, full.path, picture_size="320")
    assert small.counts == {"fetched": 50}
    assert checked(full).counts == {"whole": 50}
    full.is_said()


def test_a_folder_without_downloads(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match="no downloads"):
            verify(str(name), Context())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_away_for_a_while_costs_nothing(
    full: Folder, box: MapillarySandbox, one_list: Path, tmp_path: Path
) -> None:
    sequence = full.path / one_list.stem
    before = full.files()
    sequence.rename(tmp_path / "unmounted")
    sequence.mkdir()
    for _ in range(2):
        assert checked(full).counts == {"missing": 50}
    sequence.rmdir()
    (tmp_path / "unmounted").rename(sequence)
    victim = sequence / Path(next(iter(before))).name
    harm(victim, "one bit")
    done = checked(full)  # what proves them is still there
    assert done.counts == {"whole": 49, "damaged": 1}
    assert [f.item for f in done.result.failures] == [str(victim)]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_that_leads_out_is_not_followed(full: Folder, one_list: Path, tmp_path: Path) -> None:
    sequence = full.path / one_list.stem
    sequence.rename(tmp_path / "away")
    sequence.symlink_to(tmp_path / "away")
    done = checked(full)
    assert done.counts == {"unread": 50} and code(done) == 3
    assert {"leads out of the folder" in f.message for f in done.result.failures} == {True}


@pytest.mark.skipif(os.name == "nt", reason="modes of folders mean something else there")
def test_a_folder_that_cannot_be_written(full: Folder) -> None:
    """As on a disk that is mounted for reading."""

    class ReadOnly(RealFileSystem):
        def lock(self, path: str, wait_s: float) -> AbstractContextManager[bool]:
            raise StorageError(f"{path}: cannot be locked (Read-only file system)", "another disk")

    victim = full.path / next(iter(full.files()))
    harm(victim, "one bit")
    state = full.path / ".camtrail" / "downloads.sqlite"
    before = state.read_bytes()
    for _ in range(2):
        done = verify(str(full.path), Context(fs=ReadOnly()))
        assert done.counts == {"whole": 49, "damaged": 1} and "cannot be written" in done.result.notes[0]
    assert state.read_bytes() == before


@pytest.mark.parametrize("how", ["removed", "cut", "longer", "empty", "one bit"])
def test_the_manifest_is_looked_at_too(full: Folder, box: MapillarySandbox, one_list: Path, how: str) -> None:
    before = full.tables()
    harm(full.path / "manifest.csv", how)
    done = checked(full)
    (failure,) = done.result.failures
    assert done.counts == {"whole": 50} and code(done) == 3
    assert failure.item == f"{full.path}/manifest.csv" and failure.hint == "run the download again"
    if how != "removed":  # what does not look like ours is not replaced
        (full.path / "manifest.csv").unlink()
    assert Run(box).lists(one_list, full.path, picture_size="1024").code == 0
    assert full.tables() == before and checked(full).result.failures == []


def test_a_sequence_leads_to_the_folder_that_is_meant(full: Folder, one_list: Path) -> None:
    with pytest.raises(InputError, match="no downloads") as e:
        verify(str(full.path / one_list.stem), Context())
    assert str(full.path) in e.value.hint


@pytest.mark.skipif(os.name == "nt", reason="locks of one process exclude it nowhere else")
def test_a_folder_that_another_run_works_in(full: Folder) -> None:
    with Context().fs.lock(f"{full.path}/.camtrail/downloads.sqlite.lock", 1.0), pytest.raises(FolderBusy):
        checked(full)
