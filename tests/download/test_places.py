"""Places of a later list: they are remembered, and stand in the files that were there, none of which is fetched again."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from PIL import Image

from camtrail.app.context import Context
from camtrail.app.download_tables import verify
from camtrail.core.fs import RealFileSystem
from camtrail.services.mapillary.sandbox import MapillarySandbox

from .folders import Folder, Run, ids_of, sequence_of

N = 12


def write_list(path: Path, lat_deg: float, places: int = N) -> Path:
    """N images of which the first few have a place."""
    lines = []
    for i, id in enumerate(ids_of(0, N)):
        at = f"{lat_deg + i * 1e-4:.6f},{7.5:.6f}" if i < places else ","
        lines.append(f"{sequence_of(0)},{id},{at}\n")
    path.write_text("".join(lines))
    return path


def content(folder: Folder) -> dict[str, object]:
    """All tags and pixels of each picture, by its path, whatever the order of its bytes."""
    found: dict[str, object] = {}
    for path in folder.files():
        with Image.open(folder.path / path) as picture:
            exif = picture.getexif()
            parts = [dict(part) for part in (exif, exif.get_ifd(0x8825), exif.get_ifd(0x8769))]
            for tag in (0x8825, 0x8769):  # where in the file the others stand
                parts[0].pop(tag, None)
            found[path] = (parts, picture.info.get("xmp"), picture.tobytes())
    return found


def places(folder: Folder) -> list[tuple[str, str, str]]:
    return [(id, row["lat_deg"], row["list_lat_deg"]) for id, row in folder.manifest().items()]


@pytest.fixture
def fresh(box: MapillarySandbox, tmp_path: Path) -> Folder:
    """What a run with the second list makes of an empty folder."""
    folder = Folder(tmp_path / "fresh")
    done = Run(box).lists(write_list(tmp_path / "second.txt", -12.0), folder.path, picture_size="1024")
    assert done.code == 0
    return folder


@pytest.mark.parametrize("placed", [0, 5, N])
def test_files_are_as_if_fetched_with_them(
    box: MapillarySandbox, fresh: Folder, tmp_path: Path, placed: int
) -> None:
    folder, run = Folder(tmp_path / "out"), Run(box)
    assert run.lists(write_list(tmp_path / "1.txt", 48.0, placed), folder.path, picture_size="1024").code == 0
    assert content(folder) != content(fresh)
    moved = run.lists(tmp_path / "second.txt", folder.path, picture_size="1024")
    assert moved.code == 0 and moved.counts == {"there_before": N} and moved.requests == []
    assert f"the lists have other places than before: written into {N} files that were there" in moved.notes
    assert content(folder) == content(fresh) and places(folder) == places(fresh)
    assert folder.leftovers() == [] and verify(str(folder.path), Context()).counts == {"whole": N}
    again = run.lists(tmp_path / "second.txt", folder.path, picture_size="1024")
    assert again.counts == {"there_before": N} and "other places" not in str(again.notes)


def test_a_list_that_has_none_changes_none(box: MapillarySandbox, fresh: Folder, tmp_path: Path) -> None:
    before = fresh.files(), fresh.tables()
    done = Run(box).lists(write_list(tmp_path / "none.txt", 0.0, 0), fresh.path, picture_size="1024")
    assert done.code == 0 and (fresh.files(), fresh.tables()) == before


def test_files_as_they_were_served_stay_so(box: MapillarySandbox, tmp_path: Path) -> None:
    folder, run = Folder(tmp_path / "out"), Run(box)
    run.lists(write_list(tmp_path / "1.txt", 48.0), folder.path, picture_size="1024", raw=True)
    before = folder.files()
    done = run.lists(write_list(tmp_path / "2.txt", -12.0), folder.path, picture_size="1024", raw=True)
    assert done.code == 0 and done.requests == [] and folder.files() == before
    assert all(row["list_lat_deg"].startswith("-1") for row in folder.manifest().values())


def test_pairs_have_the_new_ones(box: MapillarySandbox, tmp_path: Path) -> None:
    a, b = ids_of(0, 1)[0], ids_of(1, 1)[0]
    for n, lat in enumerate((48.0, -12.0)):
        line = f"{sequence_of(0)},{sequence_of(1)},{a},{b},{lat},7.5,{lat + 0.001},7.5\n"
        (tmp_path / f"{n}.txt").write_text(line)
        assert Run(box).lists(tmp_path / f"{n}.txt", tmp_path / "out").code == 0
    with (tmp_path / "out" / "pairs.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["lat_database"], row["lat_query"]) == ("-12.0", "-11.999")


def test_a_file_that_is_not_what_was_written_is_fetched_again(
    box: MapillarySandbox, fresh: Folder, tmp_path: Path
) -> None:
    folder, run = Folder(tmp_path / "out"), Run(box)
    run.lists(write_list(tmp_path / "1.txt", 48.0), folder.path, picture_size="1024")
    victim = folder.path / next(iter(folder.files()))
    data = victim.read_bytes()
    victim.write_bytes(data[:-9] + bytes(7) + data[-2:])
    done = run.lists(tmp_path / "second.txt", folder.path, picture_size="1024")
    assert done.counts == {"fetched": 1, "there_before": N - 1} and content(folder) == content(fresh)


@pytest.mark.parametrize("at", range(0, 2 * N, 3))
def test_a_run_that_is_stopped_in_between_goes_on(
    box: MapillarySandbox, fresh: Folder, tmp_path: Path, at: int
) -> None:
    """Each file is renamed twice: when it is ready, and to its last name."""

    class Stops(RealFileSystem):
        left = at

        def rename(self, old: str, new: str) -> None:
            Stops.left -= 1
            if Stops.left < 0:
                raise OSError(5, os.strerror(5))
            super().rename(old, new)

    folder = Folder(tmp_path / "out")
    run = Run(box)
    run.lists(write_list(tmp_path / "1.txt", 48.0), folder.path, picture_size="1024")
    assert Run(box, fs=Stops()).lists(tmp_path / "second.txt", folder.path, picture_size="1024").code == 7
    done = run.lists(tmp_path / "second.txt", folder.path, picture_size="1024")
    assert done.code == 0 and done.counts == {"there_before": N} and done.requests == []
    assert content(folder) == content(fresh) and folder.leftovers() == []
    folder.is_consistent()


@pytest.mark.parametrize("first", [True, False])
def test_files_that_stay_the_other_way_are_told(box: MapillarySandbox, tmp_path: Path, first: bool) -> None:
    folder, run = Folder(tmp_path / "out"), Run(box)
    names = write_list(tmp_path / "1.txt", 48.0)
    run.lists(names, folder.path, picture_size="1024", raw=first)
    before = folder.files()
    done = run.lists(names, folder.path, picture_size="1024", raw=not first)
    how = "as they were served" if first else "with place and time in them"
    (note,) = [n for n in done.notes if "stay" in n]
    assert f"{N} files that were there stay {how}" in note and "-o" in note and folder.files() == before
    assert not [n for n in run.lists(names, folder.path, picture_size="1024", raw=first).notes if "stay" in n]
