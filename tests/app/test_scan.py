"""Files -> columns: what is read, what is remembered, what cannot be read."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, process
from camtrail.app.scan import ScanOptions, scan
from camtrail.core.bytes import FileBytes
from camtrail.core.errors import InputError
from camtrail.core.fs import RealFileSystem

from .conftest import items, processed


@dataclass
class CountingFileSystem(RealFileSystem):
    """The real one; notes which files are read."""

    read: list[str] = field(default_factory=list)

    def source(self, path: str, size: int = -1) -> FileBytes:
        self.read.append(os.path.basename(path))
        return super().source(path, size)


def names(fs: CountingFileSystem) -> list[str]:
    out, fs.read = sorted(fs.read), []
    return out


def run(*paths: Path, fs: CountingFileSystem | None = None, **options):
    context = Context(fs=fs) if fs else Context()
    return scan([str(p) for p in paths], ScanOptions(**options), context)


def test_a_second_scan_reads_no_photo_again(put, root):
    for name in ("a.jpg", "b/c.JPG", "zero.jpg"):
        put(name, b"" if "zero" in name else None)
    fs = CountingFileSystem()
    run(root, fs=fs)
    assert names(fs) == ["a.jpg", "c.JPG", "zero.jpg"]
    again = run(root, fs=fs)
    assert names(fs) == []
    assert again[0].photos.path.tolist() == ["a.jpg", "b/c.JPG", "zero.jpg"]
    assert [f.message for f in again[0].failures] == ["is empty"]


def test_a_changed_file_is_read_again_and_loses_its_old_answers(put, root):
    put("a.jpg", local="2026:01:01 00:00:00", lat_deg=1.0, lon_deg=2.0)
    put("b.jpg")
    processed(root)
    put("a.jpg", local="2026:01:01 00:00:00", lat_deg=10.0, lon_deg=20.0, description="longer than before")
    fs = CountingFileSystem()
    process([str(root)], ProcessOptions(), Context(fs=fs))
    assert names(fs) == ["a.jpg"]
    assert items(processed(root))["a.jpg"].lat_deg == 10


def test_what_is_gone_is_forgotten_but_only_below_what_was_walked(put, root):
    a, b = put("a/1.jpg"), put("b/2.jpg")
    run(root)
    b.unlink()
    run(root / "a")
    with sqlite3.connect(root / ".camtrail" / "catalog.sqlite") as db:
        assert {p for (p,) in db.execute("SELECT path FROM photos")} == {b"a/1.jpg", b"b/2.jpg"}
    db.close()
    run(root)
    a.unlink()
    assert run(root)[0].photos.path.tolist() == []


def test_the_state_is_the_nearest_at_or_above_and_paths_are_one_collection(put, root):
    put("trip/day1/1.jpg"), put("trip/day2/2.jpg")
    run(root / "trip")
    below = run(root / "trip" / "day1", root / "trip" / "day1" / "1.jpg", root / "trip")
    assert len(below) == 1
    assert below[0].space.state == str(root / "trip" / ".camtrail")
    assert below[0].photos.path.tolist() == ["day1/1.jpg", "day2/2.jpg"]
    assert not (root / "trip" / "day1" / ".camtrail").exists()


def test_a_folder_and_a_folder_in_it_given_at_once_have_one_state_in_either_order(put, root):
    put("a/b/1.jpg")
    both = [root / "a", root / "a" / "b"]
    assert len(run(*both)) == 1
    shutil.rmtree(root / "a" / ".camtrail")
    assert len(run(*reversed(both))) == 1


def test_each_photo_once_whatever_the_names_of_the_paths(put, root, tmp_path):
    put("n/sub/1.jpg"), put("n/2.jpg")
    run(root / "n" / "sub")
    result = processed(root / "n", root / "n" / "sub", root / "n" / "2.jpg")
    assert sum(result.counts().values()) == 2
    assert any("has a state of its own" in n for n in result.notes)
    try:
        (tmp_path / "alias").symlink_to(root / "n", target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links here")
    assert sum(processed(root / "n", tmp_path / "alias").counts().values()) == 2


def test_a_photo_named_by_itself_is_below_its_folder(put, root):
    item = items(processed(put("sub/a.jpg")))["a.jpg"]
    assert (item.root, item.file) == (str(root / "sub"), str(root / "sub" / "a.jpg"))


def test_links_to_folders_are_pointed_out(put, root):
    put("a/1.jpg")
    try:
        (root / "link").symlink_to(root / "a", target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links here")
    assert any("link: links to folders are not followed" in n for n in processed(root).notes)


def test_a_path_that_may_not_be_listed(root):
    class Locked(RealFileSystem):
        def entries(self, folder):
            from camtrail.core.bytes import unreadable

            raise unreadable(folder, PermissionError(13, "no"))

    with pytest.raises(InputError, match="may not be read") as raised:
        scan([str(root)], ScanOptions(), Context(fs=Locked()))
    assert raised.value.exit_code == 4


def test_what_is_known_of_a_folder_that_cannot_be_listed_stays(put, root):
    put("a.jpg"), put("b/c.jpg")
    run(root)

    class Locked(RealFileSystem):
        def entries(self, folder):
            if folder.endswith("/b"):
                from camtrail.core.bytes import unreadable

                raise unreadable(folder, PermissionError(13, "no"))
            return super().entries(folder)

    scan([str(root)], ScanOptions(), Context(fs=Locked()))
    fs = CountingFileSystem()
    run(root, fs=fs)
    assert names(fs) == []
    shutil.rmtree(root / "b")
    run(root)
    with sqlite3.connect(root / ".camtrail" / "catalog.sqlite") as db:
        assert {p for (p,) in db.execute("SELECT path FROM photos")} == {b"a.jpg"}
    db.close()


def test_a_catalog_that_cannot_be_written_is_left_alone(put, root, clean):
    put("a.jpg")
    run(root)

    class ReadOnly(RealFileSystem):
        def is_writable_file(self, path):
            return not path.startswith(str(root))

    assert scan([str(root)], ScanOptions(), Context(fs=ReadOnly()))[0].space.state.startswith(str(clean))


def test_a_photo_by_itself_has_its_state_in_its_folder(put, root):
    photo = put("a.jpg")
    put("b.jpg")
    assert run(photo)[0].photos.path.tolist() == ["a.jpg"]
    assert (root / ".camtrail").is_dir()


def test_the_collection_moves_with_its_state(put, root, tmp_path):
    put("sub/a.jpg")
    run(root)
    moved = tmp_path / "elsewhere"
    root.rename(moved)
    fs = CountingFileSystem()
    assert run(moved, fs=fs)[0].photos.path.tolist() == ["sub/a.jpg"]
    assert names(fs) == []


def test_a_state_elsewhere(put, root, tmp_path):
    put("a.jpg", local="2026:01:01 00:00:00", lat_deg=1.0, lon_deg=2.0)
    beside = processed(root)
    shutil.rmtree(root / ".camtrail")
    elsewhere = processed(root, options=ProcessOptions(scan=ScanOptions(state_dir=str(tmp_path / "state"))))
    assert not (root / ".camtrail").exists()
    assert repr(items(elsewhere)) == repr(items(beside))


def test_where_the_folder_cannot_be_written_the_state_goes_to_the_user(put, root, clean):
    put("a.jpg")

    class ReadOnly(RealFileSystem):
        def make_folder(self, path: str) -> None:
            if path.startswith(str(root)):
                raise PermissionError(13, "read-only", path)
            super().make_folder(path)

    result = scan([str(root)], ScanOptions(), Context(fs=ReadOnly()))
    assert result[0].space.state.startswith(str(clean))
    assert not (root / ".camtrail").exists()


def test_hidden_names_and_the_state_are_passed_over(put, root):
    for name in (".hidden.jpg", ".git/a.jpg", ".camtrail/b.jpg", "._a.jpg", "seen.jpg"):
        put(name)
    assert run(root)[0].photos.path.tolist() == ["seen.jpg"]


def test_links_to_folders_are_not_followed_and_loops_survived(put, root):
    put("a.jpg")
    try:
        (root / "up").symlink_to(root, target_is_directory=True)
        (root / "self.jpg").symlink_to(root / "self.jpg")
        (root / "gone.jpg").symlink_to(root / "nothing")
        (root / "again.jpg").symlink_to(root / "a.jpg")
    except OSError:
        pytest.skip("no symbolic links here")
    found = run(root)[0]
    assert found.photos.path.tolist() == ["a.jpg", "again.jpg", "gone.jpg", "self.jpg"]
    assert [f.message for f in found.failures] == ["is a link that leads nowhere"] * 2


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_odd_names(put, root):
    odd = ["new\nline.jpg", "-dash.jpg", os.fsdecode(b"caf\xe9.jpg"), 'quo"te.jpg', "a:b.jpg", "é.jpg"]
    for name in odd:
        put(name, local="2026:01:01 00:00:00", lat_deg=1.0, lon_deg=2.0)
    result = processed(root)
    assert result.counts() == {"located": len(odd)}
    assert sorted(items(result)) == sorted(odd)
    assert items(processed(root)).keys() == items(result).keys()


def test_skip_subfolders(put, root):
    put("a.jpg"), put("b/c.jpg")
    run(root)
    assert run(root, skip_subfolders=True)[0].photos.path.tolist() == ["a.jpg"]
    assert run(root)[0].photos.path.tolist() == ["a.jpg", "b/c.jpg"]


def test_a_path_that_is_not_there():
    with pytest.raises(InputError, match="nowhere: is not there"):
        scan(["nowhere"], ScanOptions(), Context())


def test_a_folder_that_cannot_be_listed_costs_only_itself(put, root):
    put("a.jpg"), put("locked/b.jpg")

    class Locked(RealFileSystem):
        def entries(self, folder):
            if folder.endswith("locked"):
                from camtrail.core.bytes import unreadable

                raise unreadable(folder, PermissionError(13, "no"))
            return super().entries(folder)

    found = scan([str(root)], ScanOptions(), Context(fs=Locked()))[0]
    assert found.photos.path.tolist() == ["a.jpg"]
    assert [(os.path.basename(f.item), f.message) for f in found.failures] == [("locked", "may not be read")]


def test_a_file_that_could_not_be_read_is_tried_again(put, root):
    put("a.jpg")

    class Broken(RealFileSystem):
        def source(self, path, size=-1):
            class Failing(FileBytes):
                def read_at(self, offset, n):
                    from camtrail.core.bytes import unreadable

                    raise unreadable(self.name, OSError(5, "Input/output error"))

            return Failing(path, size)

    found = scan([str(root)], ScanOptions(), Context(fs=Broken()))[0]
    assert [(f.code, f.retryable) for f in found.failures] == [("unreadable", True)]
    assert not run(root)[0].failures


def test_other_kinds_of_photos_and_videos_are_named_and_left_alone(put, root):
    put("a.HEIC", b"x"), put("b.mp4", b""), put("notes.txt", b"x")
    result = processed(root)
    assert result.counts() == {"unsupported": 2}
    assert result.exit_code() == 0
    assert "video" in items(result)["b.mp4"].reason


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_columns_whoever_reads(put, root, workers):
    for i in range(30):
        put(
            f"{i}.jpg",
            None if i % 7 else b"no",
            local=f"2026:01:01 00:00:{i:02d}",
            lat_deg=i / 3,
            lon_deg=1.0,
        )
    found = run(root, workers=workers)[0]
    assert found.photos.path.tolist() == sorted(f"{i}.jpg" for i in range(30))
    assert len(found.failures) == 5
    assert found.photos.lat_deg[found.photos.path.tolist().index("8.jpg")] == pytest.approx(8 / 3, abs=1e-7)


def test_a_damaged_catalog_is_set_aside_and_made_anew(put, root, caplog):
    put("a.jpg")
    run(root)
    catalog = root / ".camtrail" / "catalog.sqlite"
    catalog.write_bytes(b"no database" * 1000)
    assert run(root)[0].photos.path.tolist() == ["a.jpg"]
    assert len(list(catalog.parent.glob("*.corrupt-*[0-9]"))) == 1
    assert "damaged" in caplog.text


def test_nothing_but_the_state_is_made_and_no_photo_changes(put, root):
    put("a.jpg", local="2026:01:01 00:00:00", lat_deg=1.0, lon_deg=2.0), put("b/c.jpg", b"")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}
    processed(root)
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}
    made = {p for p in after if p not in before}
    assert all(after[p] == before[p] for p in before)
    assert {p.relative_to(root).parts[0] for p in made} == {".camtrail"}
