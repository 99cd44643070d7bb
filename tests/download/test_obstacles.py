"""What lies in a folder of downloads and is not ours stays as it is; the images that it is in the way of are named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox

from .folders import Ended, Folder, Run, fetched_by, ids_of, sequence_of

NAMED = [f"{sequence_of(0)}/{id}.jpg" for id in ids_of(0, 50)]


def fetched(box: MapillarySandbox, one_list: Path, folder: Folder, **options: Any) -> Ended:
    return Run(box).lists(one_list, folder.path, picture_size="1024", **options)


def write_mine(folder: Folder, names: list[str]) -> None:
    for name in names:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_bytes(b"mine " + name.encode())


def is_mine(folder: Folder, name: str) -> bool:
    return (folder.path / name).read_bytes() == b"mine " + name.encode()


class TestFilesOfSomebodyElse:
    @pytest.mark.parametrize("n", [1, 3, 50])
    def test_stay_and_are_not_asked_for(
        self, box: MapillarySandbox, one_list: Path, tmp_path: Path, n: int
    ) -> None:
        folder, mine = Folder(tmp_path / "out"), NAMED[:n]
        write_mine(folder, mine)
        done = fetched(box, one_list, folder)
        assert done.code == 3 and done.counts["failed"] == n and done.counts.get("fetched", 0) == 50 - n, done
        assert all(is_mine(folder, name) for name in mine)
        assert not set(fetched_by(done.requests)) & {Path(name).stem for name in mine}
        assert {f.message for f in done.failures} == {"is there already and was not written by camtrail"}
        assert all("-o" in f.hint and "--force" in f.hint for f in done.failures)
        assert [f.item for f in done.failures] == (
            ["50 images"] if n == 50 else [f"image {Path(name).stem}" for name in mine]
        )
        rows = folder.manifest()
        assert all(rows[Path(name).stem]["state"] == "failed" for name in mine)
        again = fetched(box, one_list, folder)
        assert again.code == 3 and again.counts["failed"] == n and all(is_mine(folder, name) for name in mine)

    def test_are_replaced_where_that_is_asked_for(
        self, box: MapillarySandbox, one_list: Path, undisturbed: dict[str, str], tmp_path: Path
    ) -> None:
        folder = Folder(tmp_path / "out")
        write_mine(folder, NAMED[:2])
        done = fetched(box, one_list, folder, force=True)
        assert done.code == 0 and done.counts == {"fetched": 50}
        assert folder.files().items() <= undisturbed.items() and len(folder.files()) == 50
        assert fetched(box, one_list, folder).counts == {"there_before": 50}

    def test_ours_are_ours_in_every_size_and_however_they_end(
        self, box: MapillarySandbox, one_list: Path, tmp_path: Path
    ) -> None:
        folder = Folder(tmp_path / "out")
        assert fetched(box, one_list, folder).code == 0
        (folder.path / NAMED[4]).write_bytes(b"cut")
        box.set_faults(["status=500,origin=images"])
        assert fetched(box, one_list, folder, max_attempts=1).code != 0
        box.set_faults([])
        assert Run(box).lists(one_list, folder.path, picture_size="320").counts == {"fetched": 50}
        assert fetched(box, one_list, folder).counts == {"fetched": 50}


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
class TestLinksThatLeadOut:
    def test_of_a_folder(self, box: MapillarySandbox, one_list: Path, tmp_path: Path) -> None:
        folder, away = Folder(tmp_path / "out"), tmp_path / "away"
        folder.path.mkdir()
        away.mkdir()
        (folder.path / sequence_of(0)).symlink_to(away)
        done = fetched(box, one_list, folder)
        (failure,) = done.failures
        assert done.code == 3 and done.counts == {"failed": 50} and not fetched_by(done.requests)
        assert failure.item == "50 images" and "leads out of the folder" in failure.message
        assert not list(away.iterdir())

    def test_of_a_folder_that_was_moved_away(
        self, box: MapillarySandbox, one_list: Path, tmp_path: Path
    ) -> None:
        folder, away = Folder(tmp_path / "out"), tmp_path / "away"
        assert fetched(box, one_list, folder).code == 0
        (folder.path / sequence_of(0)).rename(away)
        (folder.path / sequence_of(0)).symlink_to(away)
        before = {p.name: p.read_bytes() for p in away.iterdir()}
        done = fetched(box, one_list, folder)
        assert done.code == 3 and done.counts == {"failed": 50} and not done.requests
        assert {p.name: p.read_bytes() for p in away.iterdir()} == before
        (folder.path / sequence_of(0)).unlink()
        away.rename(folder.path / sequence_of(0))
        assert fetched(box, one_list, folder).counts == {"there_before": 50}

    def test_of_a_picture(self, box: MapillarySandbox, one_list: Path, tmp_path: Path) -> None:
        folder, away = Folder(tmp_path / "out"), tmp_path / "away.jpg"
        away.write_bytes(b"mine")
        (folder.path / NAMED[7]).parent.mkdir(parents=True)
        (folder.path / NAMED[7]).symlink_to(away)
        for force in (False, True):
            done = fetched(box, one_list, folder, force=force)
            (failure,) = done.failures
            assert (
                done.code == 3
                and failure.item == f"image {Path(NAMED[7]).stem}"
                and "link" in failure.message
            )
            assert away.read_bytes() == b"mine" and (folder.path / NAMED[7]).is_symlink()

    def test_within_it_is_as_any_folder(self, box: MapillarySandbox, one_list: Path, tmp_path: Path) -> None:
        folder = Folder(tmp_path / "out")
        (folder.path / "in").mkdir(parents=True)
        (folder.path / sequence_of(0)).symlink_to("in")
        assert fetched(box, one_list, folder).code == 0
        assert len(list((folder.path / "in").iterdir())) == 50


@pytest.mark.parametrize("mine", [sequence_of(0), f"{sequence_of(0)}/{ids_of(0, 1)[0]}.jpg/notes"])
def test_a_file_or_folder_of_that_name_stops_its_images_alone(
    box: MapillarySandbox, lists: Path, tmp_path: Path, mine: str
) -> None:
    folder = Folder(tmp_path / "out")
    write_mine(folder, [mine])
    done = Run(box).lists(lists, folder.path, picture_size="1024")
    n = 1 if mine.endswith("notes") else 50
    assert done.code == 3 and done.counts == {"fetched": 200 - n, "failed": n}, done
    assert is_mine(folder, mine) and {f.code for f in done.failures} == {"refused"}
    assert {"manifest.csv", "pairs.csv", "sequences.csv"} <= folder.tables().keys()
    assert sum(row["state"] == "failed" for row in folder.manifest().values()) == n
    (folder.path / mine).unlink()
    if n == 1:
        (folder.path / mine).parent.rmdir()
    assert Run(box).lists(lists, folder.path, picture_size="1024").counts == {
        "fetched": n,
        "there_before": 200 - n,
    }
