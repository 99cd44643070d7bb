"""Images of lists and of whole sequences: each once, where evaluation looks for it, and what becomes of each is told."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.core.fs import RealFileSystem
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.sandbox_collection import made_up

from .folders import Folder, Run, fetched_by, ids_of, manifest, sequence_of, state_of, write_lists


def test_every_row_of_every_list_has_its_file(
    box: MapillarySandbox, lists: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "out")
    done = Run(box).lists(lists, folder.path, picture_size="1024")
    assert done.code == 0 and folder.files() == undisturbed and folder.leftovers() == []
    for path in lists.glob("Sequence*"):
        for line in path.read_text().splitlines():
            sequence, image, lat, lon = line.split(",")
            assert (folder.path / sequence / f"{image}.jpg").is_file()
            row = folder.manifest()[image]
            assert (row["list_lat_deg"], row["list_lon_deg"]) == (str(float(lat)), str(float(lon)))
            assert (row["lat_deg"], row["lon_deg"]) == (str(float(lat)), str(float(lon)))
            assert row["position_source"] == "list" and row["original_lat_deg"] and row["computed_lat_deg"]


def test_a_second_run_changes_no_byte(box: MapillarySandbox, lists: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    Run(box).lists(lists, folder.path, picture_size="1024")
    files, tables = folder.files(), folder.tables()
    times = {p: p.stat().st_mtime_ns for p in folder.path.glob("*/*.jpg")}
    again = Run(box).lists(lists, folder.path, picture_size="1024")
    assert again.counts == {"there_before": 200} and again.requests == []
    assert folder.files() == files and folder.tables() == tables
    assert {p: p.stat().st_mtime_ns for p in folder.path.glob("*/*.jpg")} == times


def test_the_default_is_the_original(box: MapillarySandbox, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(ids_of(0, 1)[0])
    Run(box).lists(tmp_path / "ids.txt", tmp_path / "out")
    assert [row["image_size"] for row in manifest(tmp_path / "out").values()] == ["original"]


def test_a_sequence_by_its_id(made_box: MapillarySandbox, tmp_path: Path) -> None:
    collection = made_up()
    sequence = next(iter(collection)).sequence
    images = [i.id for i in collection.sequence(sequence)]
    folder = Folder(tmp_path / "out")
    done = Run(made_box).lists(sequence, folder.path, picture_size="320")
    assert done.code == 0 and list(folder.manifest()) == images
    assert set(folder.files()) == {f"{sequence}/{id}.jpg" for id in images}
    assert sum(r.path == "/image_ids" for r in done.requests) == 1


def test_a_folder_that_is_called_as_a_sequence_is_the_folder(box: MapillarySandbox, tmp_path: Path) -> None:
    name = tmp_path / sequence_of(0)
    name.mkdir()
    (name / "ids.csv").write_text("image_id\n" + ids_of(1, 1)[0])
    (name / ".hidden.txt").write_text("no list at all, at all")
    (name / "readme.md").write_text("no list")
    done = Run(box).lists(name, tmp_path / "out", picture_size="320")
    assert done.counts == {"fetched": 1}


def test_ids_alone_get_the_sequence_that_the_service_says(box: MapillarySandbox, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(ids_of(2, 3)))
    Run(box).lists(tmp_path / "ids.txt", tmp_path / "out", picture_size="320")
    rows = manifest(tmp_path / "out")
    assert [row["path"] for row in rows.values()] == [f"{sequence_of(2)}/{id}.jpg" for id in ids_of(2, 3)]
    assert {row["position_source"] for row in rows.values()} == {"computed"}
    assert not any(row["list_lat_deg"] for row in rows.values())


def test_a_list_decides_the_folder(box: MapillarySandbox, tmp_path: Path) -> None:
    id = ids_of(2, 1)[0]
    (tmp_path / "list.txt").write_text(f"My-own-sequence,{id},10.5,20.25\n")
    Run(box).lists(tmp_path / "list.txt", tmp_path / "out", picture_size="320")
    row = manifest(tmp_path / "out")[id]
    assert (row["path"], row["sequence_id"]) == (f"My-own-sequence/{id}.jpg", "My-own-sequence")


@pytest.mark.exiftool
def test_the_place_of_the_list_stands_in_the_file(box: MapillarySandbox, tmp_path: Path) -> None:
    a, b = ids_of(2, 2)
    (tmp_path / "list.txt").write_text(f"My-own-sequence,{a},-10.5,-20.25\nMy-own-sequence,{b},0,0\n")
    Run(box).lists(tmp_path / "list.txt", tmp_path / "out", picture_size="1024")
    rows = manifest(tmp_path / "out")
    assert [row["position_source"] for row in rows.values()] == ["list", "computed"]
    for id, row in rows.items():
        done = subprocess.run(
            ["exiftool", "-json", "-n", str(tmp_path / "out" / row["path"])], capture_output=True, check=True
        )
        (tags,) = json.loads(done.stdout)
        assert tags["GPSLatitude"] == pytest.approx(float(row["lat_deg"]), abs=1e-6)
        assert tags["GPSLongitude"] == pytest.approx(float(row["lon_deg"]), abs=1e-6)
        assert id in tags["ImageDescription"]


def test_each_image_is_fetched_once_however_often_it_is_named(box: MapillarySandbox, tmp_path: Path) -> None:
    ids = ids_of(0, 4)
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text("\n".join(ids[n:] + ids[:n] + ids))
    done = Run(box).lists(
        [str(tmp_path / f"{n}.txt") for n in (2, 0, 1, 0)], tmp_path / "out", picture_size="320"
    )
    assert done.counts == {"fetched": 4} and set(fetched_by(done.requests).values()) == {1}


def test_lists_of_several_runs_come_together_in_one_manifest(box: MapillarySandbox, tmp_path: Path) -> None:
    for k in range(2):
        (tmp_path / f"{k}.txt").write_text("\n".join(ids_of(k, 5)))
        Run(box).lists(tmp_path / f"{k}.txt", tmp_path / "out", picture_size="320")
    assert list(manifest(tmp_path / "out")) == ids_of(0, 5) + ids_of(1, 5)
    Folder(tmp_path / "out").is_consistent()


def test_an_origin_has_its_own_state(
    box: MapillarySandbox, one_list: Path, lists: Path, tmp_path: Path
) -> None:
    """A rehearsal's pictures are none of the real service's."""
    folder = Folder(tmp_path / "out")
    Run(box).lists(one_list, folder.path, picture_size="320")
    with MapillarySandbox(data=str(lists)) as other:
        done = Run(other).lists(one_list, folder.path, picture_size="320")
    assert done.counts == {"fetched": 50}
    folder.is_said()


def test_what_a_power_cut_took_is_fetched_again(
    box: MapillarySandbox, one_list: Path, tmp_path: Path
) -> None:
    """Files that have their name and size, and not their bytes: they were ready, and not yet on the disk."""

    class Stops(RealFileSystem):
        def rename(self, old: str, new: str) -> None:
            if new.endswith(f"{ids_of(0, 4)[3]}.jpg"):
                raise OSError(5, "Input/output error")
            super().rename(old, new)

    folder = Folder(tmp_path / "out")
    assert Run(box, fs=Stops()).lists(one_list, folder.path, picture_size="1024").code == 7
    ready = sorted((folder.path / ".camtrail" / "parts").glob("*.ready"))
    assert ready
    image = ready[0].name.partition("_")[0]
    for path in (folder.path / ".camtrail" / "parts").glob(f"{image}_*"):
        if path.suffix in (".jpg", ".ready"):
            path.write_bytes(bytes(path.stat().st_size))
    done = Run(box).lists(one_list, folder.path, picture_size="1024")
    assert done.code == 0 and folder.leftovers() == []
    assert image in fetched_by(done.requests)
    assert all(p.read_bytes().startswith(b"\xff\xd8\xff") for p in folder.path.glob("Seq*/*.jpg"))
    folder.is_consistent()


def test_bytes_are_durable_before_a_row_vouches_for_them(
    box: MapillarySandbox, one_list: Path, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "out")
    durable: set[str] = set()

    class Watching(RealFileSystem):
        def sync_file(self, path: str) -> None:
            if path.endswith(".ready"):
                image = Path(path).name.partition("_")[0]
                assert state_of(folder.path)[image][0] == "wanted"
                durable.add(path)
            super().sync_file(path)

        def rename(self, old: str, new: str) -> None:
            if old.endswith(".ready"):
                assert old in durable and state_of(folder.path)[Path(new).stem][0] == "fetched"
            super().rename(old, new)

    done = Run(box, fs=Watching()).lists(one_list, folder.path, picture_size="1024")
    assert done.code == 0 and len(durable) == 50 == len(folder.files()), done


def test_a_disk_that_does_not_confirm_ends_the_run(
    box: MapillarySandbox, one_list: Path, tmp_path: Path
) -> None:
    class Failing(RealFileSystem):
        def sync_file(self, path: str) -> None:
            raise OSError(5, "Input/output error")

    folder = Folder(tmp_path / "out")
    done = Run(box, fs=Failing()).lists(one_list, folder.path, picture_size="1024")
    assert done.code == 7 and "did not confirm" in done.failures[0].message, done
    assert folder.files() == {} and {state for state, _ in state_of(folder.path).values()} == {"wanted"}
    last = Run(box).lists(one_list, folder.path, picture_size="1024")
    assert last.code == 0 and len(folder.files()) == 50 and folder.leftovers() == []


KNOWN = [(k, id) for k in range(3) for id in ids_of(k, 12)]
FAULTS = ("status=500,origin=images,rate=30%,seed={}", "truncate=200,origin=images,rate=30%,seed={}", "lost,rate=10%,seed={}",
          "status=404,origin=images,rate=20%,seed={}", "html,origin=images,rate=10%,seed={}")  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lists(tmp_path_factory.mktemp("small") / "lists", 3, 12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    wanted=st.lists(st.lists(st.sampled_from(KNOWN), max_size=12), min_size=1, max_size=4),
    unknown=st.sets(st.integers(1, 10**6), max_size=6),
    gone=st.sets(st.sampled_from(KNOWN), max_size=6),
    missing=st.sampled_from(["absent", "error"]),
    faults=st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(0, 99)), max_size=2),
    columns=st.sampled_from([1, 4]),
)
def test_the_manifest_has_what_is_wanted(
    small: Path, tmp_path: Path, wanted: list[list[tuple[int, str]]], unknown: set[int], gone: set[tuple[int, str]],
    missing: str, faults: list[tuple[str, int]], columns: int,
) -> None:  # fmt: skip
    """Whatever lists name, whatever is not there and whatever goes wrong: one row for each, in the right state."""
    base = tmp_path / "drawn"
    shutil.rmtree(base, ignore_errors=True)
    (base / "lists").mkdir(parents=True)
    for n, rows in enumerate([*wanted, [(0, str(u)) for u in unknown]]):
        lines = [id if columns == 1 else f"{sequence_of(k)},{id},1.5,{k}" for k, id in rows]
        if lines:
            (base / "lists" / f"{n}.txt").write_text("\n".join(lines))
    if not list((base / "lists").iterdir()):
        return
    there = {id for rows in wanted for _, id in rows} - {id for _, id in gone}
    not_there = {id for rows in wanted for _, id in rows} - there | {str(u) for u in unknown}
    folder = Folder(base / "out")
    with MapillarySandbox(data=str(small)) as box:
        box.set_quirks(gone=[id for _, id in gone], missing=missing)
        box.set_faults([fault.format(seed) for fault, seed in faults])
        first = Run(box).lists(base / "lists", folder.path, picture_size="320")
        assert all(f.code != "bug" for f in first.failures), first
        states = {id: state for id, (state, _) in state_of(folder.path).items()}
        assert set(folder.manifest()) == there | not_there == set(states)
        folder.is_consistent()
        box.set_faults([])
        second = Run(box).lists(base / "lists", folder.path, picture_size="320")
        assert second.code == (3 if not_there else 0), second
        states = {id: state for id, (state, _) in state_of(folder.path).items()}
        assert states == dict.fromkeys(there, "fetched") | dict.fromkeys(not_there, "missing")
        assert sorted(f.item for f in second.failures) == sorted(f"image {id}" for id in not_there)
        assert folder.leftovers() == [] and {Path(p).stem for p in folder.files()} == there
        folder.is_consistent()
        assert box.received()["tokens_at_images"] == 0
