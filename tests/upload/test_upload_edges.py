"""Uploads as people meet them: few photos, odd ones, copies, edits, folders that may not be written."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camtrail.core.fs import NewFile, RealFileSystem
from camtrail.services.mapillary.sandbox import MapillarySandbox
from crashpoints import Server
from photos import Shot

from .commands import Command, Said
from .rides import Ride, fill, photo, process_and_upload


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Ride]:
    """A ride without photos."""
    (tmp_path / "ride").mkdir()
    with MapillarySandbox() as box:
        yield Ride(tmp_path / "ride", box, tmp_path)


def put(ride: Ride, name: str, data: bytes) -> Path:
    path = ride.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def lists(ride: Ride) -> list[int]:
    """How many images each sequence has that is published, longest first."""
    return sorted((len(m["images"]) for m in ride.box.received()["manifests"] if m["times"]), reverse=True)


class TestFew:
    def test_no_photo(self, empty: Ride) -> None:
        for tool in (None, process_and_upload):
            ended = empty.run(tool) if tool else empty.run()
            assert ended.code == 0 and not ended.counts and not ended.requests, ended

    def test_none_that_is_ready_needs_neither_network_nor_token(self, empty: Ride) -> None:
        for n in range(3):
            put(empty, f"{n}.jpg", Shot(colour=lambda x, y, n=n: (80 * n, 0, 0)).bytes())  # type: ignore[misc]
        empty.box.close()
        ended = empty.run(process_and_upload)
        assert ended.code == 0 and ended.done is not None and ended.done.not_ready == {"no place": 3}, ended

    def test_not_processed_yet_says_what_to_do(self, empty: Ride) -> None:
        fill(empty.folder, 4)
        ended = empty.run()
        assert ended.code == 0 and ended.done is not None and ended.done.uploaded is not None
        assert ended.done.not_ready == {"no sequence": 4} and not ended.requests
        assert any("camtrail mapillary process" in note for note in ended.done.uploaded.notes)

    def test_one(self, empty: Ride) -> None:
        fill(empty.folder, 1)
        assert empty.run(process_and_upload).counts == {"uploaded": 1}
        assert empty.times() == [1] and lists(empty) == [1]

    def test_one_of_several_as_path_and_then_the_folder(self, empty: Ride) -> None:
        fill(empty.folder, 4)
        ended = empty.run(process_and_upload, paths=[empty.folder / "IMG_002.jpg"])
        assert ended.code == 0 and ended.counts == {"uploaded": 1}, ended
        ended = empty.run(process_and_upload)
        assert ended.code == 0 and ended.counts == {"uploaded": 3, "already_uploaded": 1}, ended
        assert empty.times() == [1] * 4

    def test_a_path_that_is_not_there(self, empty: Ride) -> None:
        ended = empty.run(paths=[empty.folder / "none"])
        assert ended.code == 4 and not ended.requests, ended


class TestSeveral:
    def test_paths(self, empty: Ride) -> None:
        first = fill(empty.folder / "first", 4)
        second = empty.folder / "second"
        for n in range(4, 8):
            put(empty, f"second/{n}.jpg", photo(n))
        ended = empty.run(process_and_upload, paths=[first, second])
        assert ended.code == 0 and ended.counts == {"uploaded": 8} and lists(empty) == [4, 4], ended
        ended = empty.run(process_and_upload, paths=[second, first, second / "5.jpg"])
        assert ended.code == 0 and ended.counts == {"already_uploaded": 8}, ended

    def test_the_same_pictures_in_two_paths_with_a_state_of_their_own(
        self, empty: Ride, tmp_path: Path
    ) -> None:
        first = fill(tmp_path / "first", 4)
        second = Path(shutil.copytree(first, tmp_path / "second"))
        ended = empty.run(process_and_upload, paths=[first, second])
        assert ended.code == 0 and ended.counts == {"uploaded": 4, "duplicate": 4}, ended
        assert empty.times() == [1] * 4

    def test_cameras(self, empty: Ride) -> None:
        for n in range(4):
            put(empty, f"a{n}.jpg", photo(n, model="One"))
            put(empty, f"b{n}.jpg", photo(n + 100, local=f"2026:05:09 10:00:0{n}", model="Two"))
        ended = empty.run(process_and_upload)
        assert ended.code == 0 and ended.counts == {"uploaded": 8} and lists(empty) == [4, 4], ended

    @pytest.mark.parametrize("is_first_in_order", [False, True])
    def test_a_copy_inside_the_folder(self, empty: Ride, is_first_in_order: bool) -> None:
        fill(empty.folder, 8)
        inner = "AAA" if is_first_in_order else "backup"
        shutil.copytree(empty.folder, empty.home / "other")
        shutil.copytree(empty.home / "other", empty.folder / inner)
        ended = empty.run(process_and_upload)
        assert ended.code == 0 and ended.counts == {"uploaded": 8, "duplicate": 8}, ended
        assert empty.times() == [1] * 8 and lists(empty) == [4, 4]
        assert ended.done is not None and ended.done.uploaded is not None
        notes = ended.done.uploaded.notes
        assert len(notes) == 4 and "same picture" in notes[0] and notes[3].startswith("5 more"), notes
        ended = empty.run(process_and_upload)
        assert ended.code == 0 and ended.counts == {"already_uploaded": 16}, ended


class TestEdited:
    def test_tags_only_is_not_sent_again(self, ride: Ride) -> None:
        assert ride.run().code == 0
        path = ride.folder / "IMG_001.jpg"
        path.write_bytes(path.read_bytes().replace(b"Sony\0", b"Nyso\0"))
        ended = ride.run(process_and_upload)
        assert ended.code == 0 and ended.counts == {"already_uploaded": 12}, ended
        assert ride.times() == [1] * 12

    def test_the_picture_is_sent(self, ride: Ride) -> None:
        assert ride.run().code == 0
        data = bytearray((ride.folder / "IMG_001.jpg").read_bytes())
        data[-8] ^= 4
        (ride.folder / "IMG_001.jpg").write_bytes(data)
        ended = ride.run(process_and_upload)
        assert ended.code == 0 and ended.counts == {"already_uploaded": 11, "uploaded": 1}, ended
        assert ride.times() == [1] * 13

    def test_tags_between_a_failed_run_and_the_next(self, ride: Ride) -> None:
        """Half of it is at the service; the changed one goes with its new tags."""
        ride.box.set_faults(["status=503,path=/finish_upload"])
        assert ride.run(max_attempts=1).counts == {"held": 12}
        path = ride.folder / "IMG_001.jpg"
        path.write_bytes(path.read_bytes().replace(b"Sony\0", b"Nyso\0"))
        ride.box.set_faults([])
        ended = ride.run(process_and_upload)
        assert ended.code == 0 and ended.counts == {"uploaded": 12}, ended
        published = ride.published()
        assert {i["sha256"] for i in ride.box.received()["images"] if i["name"] in published} == ride.sums()

    def test_moved_and_renamed_is_not_sent_again(self, ride: Ride) -> None:
        assert ride.run().code == 0
        other = ride.folder.rename(ride.home / "moved")
        (other / "IMG_000.jpg").rename(other / "first.jpg")
        ended = ride.run(process_and_upload, paths=[other])
        assert ended.code == 0 and ended.counts == {"already_uploaded": 12}, ended


class Locked(RealFileSystem):
    """A card whose switch is on: nothing below a folder can be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def _check(self, path: str) -> None:
        if path.startswith(self._folder):
            raise OSError(30, "Read-only file system", path)

    def make_folder(self, path: str, private: bool = False) -> None:
        self._check(path)
        super().make_folder(path, private)

    def create(self, path: str, private: bool = False) -> NewFile:
        self._check(path)
        return super().create(path, private)

    def is_writable_folder(self, path: str) -> bool:
        return not path.startswith(self._folder) and super().is_writable_folder(path)


class TestLockedCard:
    def test_is_uploaded_and_stays_as_it_is(self, empty: Ride) -> None:
        fill(empty.folder, 4)
        before = empty.sums()
        empty.fs = Locked(empty.folder)
        options = empty.options()
        unwritten = dataclasses.replace(options, to=dataclasses.replace(options.to, write="none"))
        ended = empty.run(process_and_upload, options=unwritten)
        assert ended.code == 0 and ended.counts == {"uploaded": 4}, ended
        assert not (empty.folder / ".camtrail").exists() and empty.sums() == before
        content = {i["sha256"] for i in empty.box.received()["images"]}
        assert not content & before  # the description went with them
        ended = empty.run(process_and_upload, options=unwritten)
        assert ended.code == 0 and ended.counts == {"already_uploaded": 4}, ended

    def test_says_that_descriptions_could_not_be_written(self, empty: Ride) -> None:
        fill(empty.folder, 4)
        empty.fs = Locked(empty.folder)
        ended = empty.run(process_and_upload)
        assert ended.code in (3, 7) and ended.counts == {"uploaded": 4}, ended
        assert {Path(f.item).name for f in ended.failures} == {f"IMG_00{n}.jpg" for n in range(4)}, ended


ODD = {
    b"zero.jpg": b"", b"text.jpg": b"hello, world\n" * 20, b"png.jpg": b"\x89PNG\r\n\x1a\n" + bytes(60),
    b"cut.jpg": photo(30)[:-40],
}  # fmt: skip
FINE = (b"plain.jpg", b"new\nline.jpg", b"n\xff\xfe.jpg", "\u202egpj.exe.jpg".encode(), b"-rf.jpg", b"--json.jpg",
        b"<b>x.jpg", "e\u0301.jpg".encode(), "\u00e9.jpg".encode(), b"tab\there.jpg", b"$(id).jpg", b"a'b\"c.jpg")  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="needs fork, and names that Windows has not")
class TestCommand:
    @pytest.fixture
    def command(self, server: Server, tmp_path: Path) -> Iterator[Command]:
        with MapillarySandbox() as box:
            yield Command(server, tmp_path, box)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return fill(tmp_path / "ride", 8)

    def test_odd_files_and_names(self, command: Command, tmp_path: Path) -> None:
        folder = tmp_path / "ride"
        folder.mkdir()
        for n, name in enumerate(FINE):
            with open(os.fsencode(folder) + b"/" + name, "wb") as file:
                file.write(photo(n, local=f"2026:05:09 10:00:{n:02}"))
        for name, data in ODD.items():
            with open(os.fsencode(folder) + b"/" + name, "wb") as file:
                file.write(data)
        done = command.upload(Path("ride"))
        assert done.code == 3, done
        counts = done.json["upload"]["counts"]
        assert counts == {"uploaded": len(FINE), "failed": len(ODD)}, done
        named = {failure["path"] for failure in done.json["failures"]}
        assert named == {f"ride/{name.decode()}" for name in ODD}, done
        assert all(f["message"] and f["hint"] and "\n" not in f["message"] for f in done.json["failures"]), (
            done
        )
        assert [i["times"] for i in command.box.received()["images"]] == [1] * len(FINE)
        again = command.upload(Path("ride"))
        assert again.code == 3 and again.json["upload"]["counts"]["already_uploaded"] == len(FINE), again

    def test_names_are_one_line_for_people(self, command: Command, tmp_path: Path) -> None:
        folder = tmp_path / "ride"
        folder.mkdir()
        for n, name in enumerate((b"new\nline.jpg", b"n\xff\x1b[31m.jpg", "\u202egpj.jpg".encode())):
            with open(os.fsencode(folder) + b"/" + name, "wb") as file:
                file.write(photo(n, local=f"2026:05:09 10:00:{n:02}"))
        command.box.set_faults(["lost,path=/finish_upload"])
        done = command("mapillary", "process_and_upload", "ride", "--user_name", "tester")
        assert done.code == 5 and "nobody knows" in done.text, done
        assert not set("\x1b\u202e") & set(done.text) and "new\nline" not in done.text, done
        for line in (("mapillary", "upload", "ride"), ("mapillary", "upload", "ride", "--dry-run")):
            done = command(*line)
            assert not set("\x1b\u202e") & set(done.text) and "new\nline" not in done.text, done

    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            ("nothing", 0), ("status=401", 6), ("status=500", 5), ("redirect=http://example.com/", 11), ("html", 5),
            ("status=400,method=POST,path=*.jpg", 3), ("status=401,path=*.jpg", 6), ("lost,path=/finish_upload", 5),
            ("status=500,path=*.jpg", 5), ("status=429,retry-after=300,path=/map*", 5),
        ],
    )  # fmt: skip
    def test_json_is_one_object_that_names_every_photo_that_was_not_sent(
        self, command: Command, folder: Path, fault: str, code: int
    ) -> None:
        command.box.set_faults([fault] if fault != "nothing" else [])
        more = ("--max-attempts", "1", "--max-wait", "0.2")
        done = command.upload(Path("ride"), more=more)
        assert done.code == code, done
        found = is_right(done)
        counts = found["upload"]["counts"]
        named = [f["path"] for f in found["failures"] if f["path"].endswith(".jpg")]
        assert len(named) == len(set(named)) == counts.get("failed", 0), done
        if "ready" not in counts:
            of_sequences = [s for s in found["upload"]["sequences"] if s["state"] != "published"]
            assert all(len(s["photos"]) == s["images"] for s in of_sequences), done
            told = {p for s in of_sequences for p in s["photos"]} | set(named)
            assert len(told) == 8 - counts["uploaded"], done
        else:
            assert counts == {"ready": 8} and [f["path"] for f in found["failures"]] == ["upload"], done

    @pytest.mark.parametrize(
        ("line", "code"),
        [
            (("upload", "none"), 4), (("upload", "ride", "--ledger", "/proc/none/ledger.sqlite"), 7),
            (("process_and_upload", "ride"), 2), (("sequence_process", "ride"), 4),
        ],
    )  # fmt: skip
    def test_json_is_one_object_where_nothing_could_begin(
        self, command: Command, folder: Path, line: tuple[str, ...], code: int
    ) -> None:
        if "--ledger" in line:
            assert command("mapillary", "process", "ride", "--user_name", "tester").code == 0
        done = command("mapillary", *line, "--json")
        assert done.code == code and len(is_right(done)["failures"]) == 1, done

    def test_a_service_that_is_not_there(self, command: Command, folder: Path) -> None:
        env = {"CAMTRAIL_MAPILLARY_URL": "http://127.0.0.1:9"}
        done = command.upload(folder, env=env)
        assert done.code == 5, done
        (failure,) = is_right(done)["failures"]
        assert failure["retryable"] and "cannot be reached" in failure["message"], done
        assert done.json["written"] == {"written": 8}  # prepared all the same
        again = command.upload(folder)
        assert again.code == 0 and again.json["upload"]["counts"] == {"uploaded": 8}, again

    def test_an_organization_that_is_none(self, command: Command, folder: Path) -> None:
        done = command.upload(folder, more=("--organization_key", "nobody"))
        assert done.code == 2 and "--organization_key" in is_right(done)["failures"][0]["hint"], done
        done = command.upload(folder, more=("--organization_key", "1234"))
        assert done.code == 0, done
        assert {m["organization_id"] for m in command.box.received()["manifests"]} == {"1234"}


def is_right(done: Said) -> dict[str, Any]:
    """The object, after a look at what every such object has."""
    found = done.json
    assert isinstance(found, dict)
    assert {"command", "counts", "failures", "outputs", "elapsed_s"} <= found.keys()
    for failure in found["failures"]:
        assert {"path", "code", "message", "hint", "retryable"} == failure.keys()
        assert failure["message"] and failure["hint"] and "\n" not in failure["message"] + failure["hint"], (
            done
        )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found
