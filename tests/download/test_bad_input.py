"""What cannot be downloaded is said in one clear line, and nothing half-written stands under a last name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from camtrail.core.fs import RealFileSystem
from camtrail.services.mapillary import sandbox_images
from camtrail.services.mapillary.sandbox import MapillarySandbox

from .folders import Ended, Folder, Run, ids_of, state_of

ID = ids_of(0, 1)[0]


def one_line(done: Ended, code: int, *said: str) -> None:
    """One failure, of one line, that says this."""
    assert done.code == code, done
    (failure,) = done.failures
    line = f"{failure.item}: {failure.message}; {failure.hint}"
    assert failure.message and failure.hint and "\n" not in line and failure.code != "bug", line
    for part in said:
        assert part in line, line


LISTS = {
    "wrong columns": ("a,b,c\n1,2,3\n", "line 1: has 3 columns"),
    "one column too many": (f"Sequence-00,{ID},1,2\nSequence-00,{ID},1,2,3\n", "line 2: has 5 columns"),
    "an amount for an id": ("Sequence-00,1.23457E+15,1,2\n", "save the column as text"),
    "a path for a sequence": (f"../../etc,{ID},1,2\n", "no sequence id"),
    "a path for an image": ("Sequence-00,../../../x,1,2\n", "no image id"),
    "an absolute path": (f"/etc/passwd,{ID},1,2\n", "no sequence id"),
    "a device": (f"con,{ID},1,2\n", "no sequence id"),
    "a drive": (f"C:evil,{ID},1,2\n", "no sequence id"),
    "off the globe": (f"Sequence-00,{ID},95,2\n", "line 1"),
    "empty": ("", "no line with an id"),
    "headings alone": ("image_id\n", "no line with an id"),
    "a letter in a place": (f"Sequence-00,{ID},x,2\n", "line 1"),
    "two sequences of one image": (f"Sequence-00,{ID},1,2\nSequence-01,{ID},1,2\n", "is of sequence Sequence-01 here"),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_that_are_none(box: MapillarySandbox, tmp_path: Path, name: str) -> None:
    text, said = LISTS[name]
    (tmp_path / "list.txt").write_text(text)
    done = Run(box).lists(tmp_path / "list.txt", tmp_path / "out")
    one_line(done, 4, str(tmp_path / "list.txt"), said)
    assert done.requests == [] and not (tmp_path / "out").exists()


def test_bytes_that_are_no_list(box: MapillarySandbox, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(bytes(range(256)))
    one_line(Run(box).lists(tmp_path / "list.txt", tmp_path / "out"), 4, "is no UTF-8 text")
    one_line(Run(box).lists(tmp_path / "other.txt", tmp_path / "out"), 4, "is not there")
    (tmp_path / "empty").mkdir()
    one_line(Run(box).lists(tmp_path / "empty", tmp_path / "out"), 4, "has no list in it")
    assert not (tmp_path / "out").exists()


def test_ids_that_are_not_there_are_named_each(box: MapillarySandbox, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"11111111111\n{ID}\n22222222222\n")
    for quirk in ("absent", "error"):
        box.set_quirks(missing=quirk)
        folder = Folder(tmp_path / quirk)
        done = Run(box).lists(tmp_path / "list.txt", folder.path)
        assert done.code == 3 and done.counts == {"fetched": 1, "unknown": 2}, done
        assert sorted(f.item for f in done.failures) == ["image 11111111111", "image 22222222222"]
        assert [Path(name).name for name in folder.files()] == [f"{ID}.jpg"]
        assert state_of(folder.path)["11111111111"] == ("missing", "the service does not know it")
        folder.is_consistent()


def test_a_sequence_that_is_not_there(box: MapillarySandbox, tmp_path: Path) -> None:
    one_line(
        Run(box).lists("No-such-sequence", tmp_path / "out"), 3, "sequence No-such-sequence", "knows no such sequence"
    )  # fmt: skip


def test_a_sequence_of_a_list_that_is_not_there_is_not_said_to_be_no_file(
    box: MapillarySandbox, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("No-such-sequence\n")
    for names, is_typed in ((tmp_path / "list.txt", False), ("No-such-sequence", True)):
        (failure,) = Run(box).lists(names, tmp_path / "out").failures
        assert failure.hint.startswith("check the id") and ("file or folder" in failure.hint) == is_typed


def test_look_ups_that_fail_alike_are_one_failure(box: MapillarySandbox, lists: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join([*ids_of(0, 50), *ids_of(1, 30)]))
    box.set_faults(["status=422,origin=api"])
    (failure,) = Run(box).lists(tmp_path / "list.txt", tmp_path / "out").failures
    assert failure.item == "80 images" and "50" not in failure.message


def test_a_sequence_that_cannot_be_asked_for_does_not_stop_the_others(
    box: MapillarySandbox, one_list: Path, tmp_path: Path
) -> None:
    box.set_faults(["status=422,path=/image_ids"])
    done = Run(box).lists([str(one_list), "Sequence-99"], tmp_path / "out", picture_size="1024")
    one_line_of = [f for f in done.failures if f.item == "sequence Sequence-99"]
    assert done.code == 3 and len(one_line_of) == len(done.failures) == 1 and done.counts == {"fetched": 50}


EDGES = [
    ((45.1, 45.0, -122.6, -122.5), "not below"),
    ((45.0, 45.1, -122.5, -122.6), "not below"),
    ((91.0, 92.0, 0.0, 1.0), "no latitude"),
    ((45.0, 45.1, 0.0, 181.0), "no longitude"),
    ((float("nan"), 45.1, 0.0, 1.0), "no latitude"),
    ((45.0, float("inf"), 0.0, 1.0), "no latitude"),
    ((45.0, 45.0, 0.0, 1.0), "not below"),
]


@pytest.mark.parametrize(("edges", "said"), EDGES)
def test_areas_that_are_none(
    made_box: MapillarySandbox, tmp_path: Path, edges: tuple[float, ...], said: str
) -> None:
    done = Run(made_box).area(edges, tmp_path / "out")
    one_line(done, 2, said)
    assert done.requests == [] and not (tmp_path / "out").exists()


class TestNamesOfTheService:
    """What the service says may not lead out of the folder."""

    EVIL = ("../x", "..", "/etc", "a/b", "con", "x" * 300, "\x1b[31m", "", "-", "a\x00b", 7, None, ["x"])

    @pytest.mark.parametrize("name", EVIL, ids=repr)
    def test_sequences(
        self, made_box: MapillarySandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
    ) -> None:
        monkeypatch.setitem(sandbox_images._FIELDS, "sequence", lambda i: name)
        folder = Folder(tmp_path / "deep" / "out")
        done = Run(made_box).area((45.0, 45.1, -122.6, -122.5), folder.path, max_results=3)
        assert done.code == 0, done
        assert {Path(path).parent.as_posix() for path in folder.files()} == {"unknown"}
        assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"] and folder.leftovers() == []
        folder.is_consistent()
        assert b"\x1b" not in folder.tables()["manifest.csv"]

    @pytest.mark.parametrize("name", ["../x", "..", "a/b", "/etc/x", "\x1b[31m", "", None, -1, 1.5, ["x"], "a.b", "con", "abc"], ids=repr)  # fmt: skip
    def test_images(
        self, made_box: MapillarySandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
    ) -> None:
        monkeypatch.setitem(sandbox_images._FIELDS, "id", lambda i: name)
        folder = Folder(tmp_path / "deep" / "out")
        done = Run(made_box).area((45.0, 45.1, -122.6, -122.5), folder.path, max_results=3)
        one_line(done, 5, "an image without an id")
        assert not folder.files() and folder.leftovers() == []
        assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]

    @pytest.mark.parametrize("url", [
        "file:///etc/passwd", "ftp://127.0.0.1/x", "//x", "http://user:pw@127.0.0.1/x", "https://", "x",
        "http://127.0.0.1:99999/", "http://127.0.0.1/\r\nX: y", None, 5,
    ], ids=repr)  # fmt: skip
    def test_addresses(
        self, box: MapillarySandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: Any
    ) -> None:
        monkeypatch.setattr(box._service._images._files, "url", lambda image, size: url)
        (tmp_path / "list.txt").write_text(f"{ID}\n")
        done = Run(box).lists(tmp_path / "list.txt", tmp_path / "out")
        one_line(done, 3, f"image {ID}")
        assert Folder(tmp_path / "out").files() == {} and Folder(tmp_path / "out").leftovers() == []


def test_one_address_that_leads_astray_does_not_stop_the_others(
    box: MapillarySandbox, one_list: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = box._service._images._files
    url = files.url
    monkeypatch.setattr(
        files, "url", lambda i, size: "http://user:hidden@127.0.0.1/x" if i.id == ID else url(i, size)
    )
    done = Run(box).lists(one_list, tmp_path / "out", picture_size="1024")
    one_line(done, 3, f"image {ID}", "points to")
    assert "hidden" not in str(done)
    assert done.counts == {"fetched": 49, "failed": 1}


class TestTheFolder:
    def test_is_a_file(self, box: MapillarySandbox, one_list: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        done = Run(box).lists(one_list, tmp_path / "out")
        one_line(done, 2, "is no folder", "-o")
        assert (tmp_path / "out").read_text() == "mine" and not done.requests

    def test_lies_in_a_file(self, box: MapillarySandbox, one_list: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        one_line(Run(box).lists(one_list, tmp_path / "file" / "out"), 7, "cannot be made", "-o")

    @pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet", "pairs.csv", "sequences.csv"])
    def test_has_a_table_of_somebody_else(
        self, box: MapillarySandbox, lists: Path, one_list: Path, tmp_path: Path, name: str
    ) -> None:
        if name == "pairs.csv":
            one_list = lists  # else there is no such table
        out = tmp_path / "out"
        out.mkdir()
        (out / name).write_text("mine,yours\n1,2\n")
        done = Run(box).lists(one_list, out, picture_size="1024")
        one_line(done, 11, name, "not written by camtrail", "--force")
        assert (out / name).read_text() == "mine,yours\n1,2\n" and not done.requests
        assert [p.name for p in out.iterdir()] == [name]
        assert Run(box).lists(one_list, out, picture_size="1024", force=True).code == 0
        assert Run(box).lists(one_list, out, picture_size="1024").code == 0

    def test_has_a_table_that_nobody_writes(
        self, box: MapillarySandbox, one_list: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "pairs.csv").write_text("mine")
        assert Run(box).lists(one_list, out, picture_size="1024").code == 0
        assert (out / "pairs.csv").read_text() == "mine"

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
    def test_is_read_only(self, box: MapillarySandbox, one_list: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir(mode=0o500)
        one_line(Run(box).lists(one_list, out), 7, "cannot be made or written")


class _Full(RealFileSystem):
    """A disk that is full after so many writes of files."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def create(self, path: str, private: bool = False) -> Any:
        made = super().create(path, private)
        write = made.write

        class Out:
            def write(inner, data: bytes) -> None:
                self.left -= 1
                if self.left < 0:
                    raise OSError(28, "No space left on device")
                write(data)

            def __getattr__(inner, name: str) -> Any:
                return getattr(made, name)

        return Out()


@pytest.mark.parametrize("writes", [0, 1, 40, 101])
def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    box: MapillarySandbox, one_list: Path, tmp_path: Path, writes: int
) -> None:
    folder = Folder(tmp_path / "out")
    done = Run(box, fs=_Full(writes)).lists(one_list, folder.path, picture_size="1024")
    assert done.code == 7 and any("the disk is full" in f.message for f in done.failures), done
    assert all(f.code != "bug" for f in done.failures)
    last = Run(box).lists(one_list, folder.path, picture_size="1024")
    assert last.code == 0 and len(folder.files()) == 50 and folder.leftovers() == [], last
    folder.is_consistent()
