"""What runs changed comes back, byte for byte, and nothing else does."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from camtrail.app.context import Context
from camtrail.app.process import ProcessOptions, process
from camtrail.app.scan import ScanOptions
from camtrail.app.status import status
from camtrail.app.undo import Undone, UndoOptions, undo
from camtrail.app.write import run
from camtrail.app.write_options import ImportMetaOptions, WriteOptions
from camtrail.core.errors import UsageError

from .conftest import items

NAMES = ("a.jpg", "b.jpg", "day 2/c.jpg", "day 2/d.jpg")


def written(*paths: Path | str, make: str = "Test", state: str = "", context: Any = None, **to: Any) -> None:
    options = ProcessOptions(scan=ScanOptions(state_dir=state))
    mode = WriteOptions(**{"write": "exif", **to})
    _, done = run(
        process,
        [str(p) for p in paths],
        options,
        mode,
        ImportMetaOptions(device_make=make),
        context or Context(),
    )
    assert not done.failures


def taken_back(*paths: Path | str, state: str = "", context: Any = None, **options: Any) -> Undone:
    return undo(
        [str(p) for p in paths], ScanOptions(state_dir=state), UndoOptions(**options), context or Context()
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".camtrail" not in p.parts
    }


class At:
    """A clock that stands."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError


@pytest.fixture
def photos(put, root) -> Path:
    start = datetime(2026, 5, 9, 10, tzinfo=UTC)
    for k, name in enumerate(NAMES):
        at = (start + timedelta(seconds=7 * k)).strftime("%Y:%m:%d %H:%M:%S")
        put(name, local=at, lat_deg=47.0 + k / 1e4, lon_deg=8.0, serial=str(k % 2))
    return root


@pytest.fixture
def states(photos) -> list[dict[str, bytes]]:
    """The photos before and after each of three runs."""
    found = [tree(photos)]
    for make in ("One", "Two", "Three"):
        written(photos, make=make)
        found.append(tree(photos))
    return found


class TestWhichRuns:
    def test_the_newest_one_by_one(self, photos, states):
        for before in reversed(states[:-1]):
            done = taken_back(photos)
            assert done.restored == [f"{photos}/{n}" for n in reversed(NAMES)] and not done.failures
            assert tree(photos) == before
        assert taken_back(photos).restored == []

    def test_all(self, photos, states):
        assert len(taken_back(photos, all=True).restored) == 4
        assert tree(photos) == states[0]

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_run_and_the_later_ones_on_its_files(self, photos, states, number):
        taken_back(photos, run=number)
        assert tree(photos) == states[number - 1]
        with pytest.raises(UsageError, match=f"run {number} changed nothing"):
            taken_back(photos, run=number)

    def test_later_runs_on_other_files_stay(self, photos):
        before = tree(photos)
        written(photos / "a.jpg"), written(photos / "b.jpg")
        taken_back(photos, run=1)
        assert {n for n, data in tree(photos).items() if data != before[n]} == {"b.jpg"}

    def test_of_one_photo_or_one_folder(self, photos, states):
        assert taken_back(photos / "a.jpg").restored == [str(photos / "a.jpg")]
        done = taken_back(photos / "day 2", photos / "a.jpg", all=True)
        assert sorted(done.restored) == [f"{photos}/{n}" for n in ("a.jpg", "day 2/c.jpg", "day 2/d.jpg")]
        now = tree(photos)
        assert {n for n in NAMES if now[n] == states[0][n]} == {"a.jpg", "day 2/c.jpg", "day 2/d.jpg"}

    def test_several_paths_are_one_question(self, photos):
        """The newest run on any of them, not the newest of each."""
        written(photos / "a.jpg", photos / "b.jpg", make="One")
        one = tree(photos)
        written(photos / "b.jpg", make="Two")
        assert taken_back(photos / "a.jpg", photos / "b.jpg").restored == [str(photos / "b.jpg")]
        assert tree(photos) == one

    def test_there_is_no_such_run(self, photos):
        with pytest.raises(UsageError, match="there is no run 1"):
            taken_back(photos, run=1)
        assert taken_back(photos).restored == [] and not (photos / ".camtrail").exists()

    @pytest.mark.parametrize(
        "options",
        [
            {"run": 1, "all": True},
            {"forget": True, "all": True},
            {"forget": True, "run": 1},
            {"older_than_s": 5.0},
        ],
    )
    def test_contradictions(self, photos, options):
        with pytest.raises(UsageError):
            taken_back(photos, **options)


class TestWhatWasChangedSince:
    def test_is_left_alone_and_named(self, photos, states):
        path = photos / "b.jpg"
        path.write_bytes(path.read_bytes() + b"more")
        for options in ({}, {"all": True}):
            done = taken_back(photos, **options)
            assert [(f.item, f.code) for f in done.failures] == [(str(path), "refused")]
            assert done.exit_code() == 3 and len(done.restored) == 3
        assert {**tree(photos), "b.jpg": b""} == {**states[0], "b.jpg": b""}
        assert tree(photos)["b.jpg"] == states[3]["b.jpg"] + b"more"

    def test_force_takes_our_part_out(self, photos, states):
        path = photos / "b.jpg"
        path.write_bytes(path.read_bytes() + b"more")
        assert not taken_back(photos, all=True, force=True).failures
        assert tree(photos) == {**states[0], "b.jpg": states[0]["b.jpg"] + b"more"}

    def test_a_photo_that_is_not_there(self, photos, states):
        (photos / "b.jpg").rename(photos / "moved.jpg")
        done = taken_back(photos, all=True)
        assert [(f.item, f.exit_code) for f in done.failures] == [(str(photos / "b.jpg"), 3)]
        (photos / "moved.jpg").rename(photos / "b.jpg")
        assert not taken_back(photos, all=True).failures and tree(photos) == states[0]

    def test_a_dry_run_says_so_and_changes_nothing(self, photos, states):
        (photos / "b.jpg").write_bytes(b"other")
        before = tree(photos)
        done = taken_back(photos, all=True, dry_run=True)
        assert (len(done.restored), len(done.failures), done.exit_code()) == (3, 1, 3)
        assert tree(photos) == before


class TestWhatRunsMade:
    def test_sidecars_go_and_come_back(self, photos):
        before = tree(photos)
        written(photos, write="sidecar")
        one = tree(photos)
        written(photos, write="sidecar", make="Two")
        taken_back(photos / "a.jpg")
        assert tree(photos)["a.jpg.xmp"] == one["a.jpg.xmp"] and tree(photos)["b.jpg.xmp"] != one["b.jpg.xmp"]
        taken_back(photos)
        assert tree(photos) == one
        taken_back(photos)
        assert tree(photos) == before

    def test_copies_of_one_photo_of_a_folder_of_all(self, photos, tmp_path):
        out = tmp_path / "out"
        written(photos, write="copy", output=str(out))
        assert taken_back(photos / "a.jpg").restored == [str(out / "a.jpg")]
        assert set(tree(out)) == set(NAMES[1:])
        taken_back(photos / "day 2")
        assert set(tree(out)) == {"b.jpg"}
        (out / "b.jpg").write_bytes(b"edited")
        assert taken_back(photos).exit_code() == 3 and set(tree(out)) == {"b.jpg"}

    def test_a_copy_that_was_written_again(self, photos, tmp_path):
        out = tmp_path / "out"
        written(photos, write="copy", output=str(out), make="One")
        one = tree(out)
        written(photos, write="copy", output=str(out), make="Two")
        assert tree(out) != one
        taken_back(photos)
        assert tree(out) == one
        taken_back(photos)
        assert tree(out) == {}


class TestWhereItLives:
    def test_a_collection_that_moved(self, photos, states, tmp_path):
        moved = tmp_path / "elsewhere" / "ph"
        moved.parent.mkdir()
        photos.rename(moved)
        assert not taken_back(moved / "day 2", all=True).failures
        assert not taken_back(moved, all=True).failures
        assert tree(moved) == states[0]

    def test_a_collection_reached_through_a_link(self, photos, tmp_path):
        before = tree(photos)
        link = tmp_path / "link"
        link.symlink_to(photos)
        written(link)
        assert taken_back(link / "a.jpg").restored == [str(link / "a.jpg")]
        link.unlink()
        photos.rename(tmp_path / "moved")
        assert not taken_back(tmp_path / "moved").failures and tree(tmp_path / "moved") == before

    def test_a_state_elsewhere(self, photos, tmp_path):
        before = tree(photos)
        state = str(tmp_path / "state")
        written(photos, state=state)
        assert not (photos / ".camtrail").exists()
        assert taken_back(photos / "a.jpg", state=state).restored == [str(photos / "a.jpg")]
        assert not taken_back(photos, state=state).failures and tree(photos) == before

    def test_a_copied_collection_has_an_undo_of_its_own(self, photos, states, tmp_path):
        shutil.copytree(photos, tmp_path / "second")
        assert not taken_back(tmp_path / "second", all=True).failures
        assert tree(tmp_path / "second") == states[0] and tree(photos) == states[3]

    def test_process_answers_as_before(self, photos):
        first = items(process([str(photos)], ProcessOptions(), Context()))
        written(photos, description=True, fix_time=True)
        taken_back(photos)
        again = items(process([str(photos)], ProcessOptions(), Context()))
        assert repr(first) == repr(again)


class TestForget:
    def test_all_of_it(self, photos, states):
        assert taken_back(photos, forget=True, dry_run=True).forgotten == 12
        assert taken_back(photos, forget=True).forgotten == 12
        assert taken_back(photos, all=True).restored == [] and tree(photos) == states[3]

    def test_what_is_old(self, photos):
        day = 86400.0
        start = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
        written(photos, make="One", context=Context(clock=At(start)))
        one = tree(photos)
        written(photos, make="Two", context=Context(clock=At(start + 80 * day)))
        later = Context(clock=At(start + 100 * day))
        assert taken_back(photos, forget=True, older_than_s=90 * day, context=later).forgotten == 4
        assert len(taken_back(photos, all=True).restored) == 4 and tree(photos) == one

    def test_not_for_a_part_of_the_collection(self, photos, states):
        with pytest.raises(UsageError, match="for all of"):
            taken_back(photos / "day 2", forget=True)


def test_status_lists_the_runs(photos, states):
    taken_back(photos)
    (known,) = status([str(photos)], ScanOptions(), Context())
    assert [(r.number, r.command, r.states) for r in known.written] == [
        (3, "process", {"undone": 4}), (2, "process", {"done": 4}), (1, "process", {"done": 4})
    ]  # fmt: skip
    assert known.undo_bytes == (photos / ".camtrail/journal.sqlite").stat().st_size
    (photos / ".camtrail/catalog.sqlite").unlink()
    (known,) = status([str(photos)], ScanOptions(), Context())
    assert len(known.written) == 3 and known.state is not None
