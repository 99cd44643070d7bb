"""The catalog: rows survive, damage is put aside, and faults of the disk have names."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from camtrail.catalog import store
from camtrail.catalog.store import Catalog
from camtrail.core.errors import CatalogError, StorageError
from camtrail.core.model import Photos, Places, Ranks

NAN = float("nan")
BLANK = {"Texts": None, "Ints": 0, "Floats": NAN}
CELLS = {
    "Texts": st.none()
    | st.text(max_size=6)
    | st.sampled_from(["'\"; DROP TABLE photos; --", "a\0b", "\udcff", "\ud800 x", "\n", ""]),
    "Ints": st.integers(-(2**63), 2**63 - 1),
    "Floats": st.floats(allow_nan=True) | st.none(),
}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "catalog.sqlite")


def row(path, **known):
    return (path, *(known.get(f.name, BLANK[str(f.type)]) for f in fields(Photos)[1:]))


def answers(n, cls, **known):
    one = tuple(known.get(f.name, BLANK[str(f.type)]) for f in fields(cls))
    return cls.of_rows([one] * n)


def plain(rows):
    """NaN and None are one: both say that nothing is known."""
    return {key: tuple(None if v != v else v for v in values) for key, values in rows.items()}


names = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0") | st.sampled_from("\udc80/'\"%_")
)
names = names.filter(bool)


@settings(max_examples=25)
@given(st.data())
def test_rows_of_photos_places_and_ranks_survive(tmp_path_factory, data):
    path = str(tmp_path_factory.mktemp("c") / "catalog.sqlite")
    paths = data.draw(st.lists(names, unique_by=os.fsencode, max_size=2))

    def some(cls):
        cells = [names | st.none() if f.name == "duplicate_of" else CELLS[str(f.type)] for f in fields(cls)]
        return [data.draw(st.tuples(*cells)) for _ in paths]

    photos = [(p, *r[1:]) for p, r in zip(paths, some(Photos))]
    places, ranks = some(Places), some(Ranks)
    with Catalog(path) as catalog:
        catalog.put_photos(photos)
        catalog.put_answers(paths, Places.of_rows(places), Ranks.of_rows(ranks))
    with Catalog(path) as catalog:
        assert plain(catalog.photos()) == plain({r[0]: r for r in photos})
        assert plain(catalog.places()) == plain(dict(zip(paths, places)))
        assert plain(catalog.ranks()) == plain(dict(zip(paths, ranks)))
        assert len(Photos.of_rows(list(catalog.photos().values()))) == len(paths)


@given(
    st.lists(st.sampled_from(["a", "a/x", "a/x/y", "ab", "ab/x", "a-b", "a.jpg", "a0", "A/x", "\udcff/x", "a\udcff"]), unique=True),
    st.sampled_from(["", "a", "a/x", "ab", "A", "\udcff", "nothing"]),
)  # fmt: skip
@settings(max_examples=40)
@example(["ab/x", "a-b", "a0", "a"], "a")
def test_a_folder_is_itself_and_what_is_below_and_nothing_else(tmp_path_factory, paths, folder):
    with Catalog(str(tmp_path_factory.mktemp("c") / "catalog.sqlite")) as catalog:
        catalog.put_photos([row(p) for p in paths])
        catalog.put_answers(paths, answers(len(paths), Places), answers(len(paths), Ranks))
        expected = {p for p in paths if not folder or p == folder or p.startswith(folder + "/")}
        for found in (catalog.photos(folder), catalog.places(folder), catalog.ranks(folder)):
            assert found.keys() == expected


def filled(catalog, paths=("a", "b")):
    catalog.put_photos([row(p, size_bytes=1) for p in paths])
    catalog.put_answers(list(paths), answers(len(paths), Places, time_s=1.0), answers(len(paths), Ranks))


def test_a_changed_photo_loses_its_answers_and_only_that(path):
    with Catalog(path) as catalog:
        filled(catalog)
        catalog.put_photos([row("a", size_bytes=2), row("c", size_bytes=3)], ["a"])
        assert {p: r[1] for p, r in catalog.photos().items()} == {"a": 2, "b": 1, "c": 3}
        assert catalog.places().keys() == catalog.ranks().keys() == {"b"}


def test_forgetting(path):
    with Catalog(path) as catalog:
        filled(catalog, ("a", "a/b", "c"))
        catalog.forget(iter(["a", "never known"]))
        assert catalog.photos().keys() == catalog.places().keys() == catalog.ranks().keys() == {"a/b", "c"}
        catalog.forget([])


def test_answers_without_ranks_drop_the_old_ones(path):
    with Catalog(path) as catalog:
        filled(catalog)
        catalog.put_answers(["a"], answers(1, Places, time_s=5.0), None)
        assert catalog.places()["a"][0] == 5.0
        assert catalog.ranks().keys() == {"b"}
        catalog.put_ranks(["a"], answers(1, Ranks, sequence="s", sequence_index=4))
        assert catalog.ranks()["a"][3:5] == ("s", 4)


@settings(max_examples=25)
@given(st.dictionaries(names | st.just(""), CELLS["Texts"].filter(lambda v: v is not None), max_size=4))
@example({"": "{}", "a": "\udcff", "\udcff": "a\0b"})
def test_what_a_stage_keeps_comes_back(tmp_path_factory, values):
    path = str(tmp_path_factory.mktemp("c") / "catalog.sqlite")
    with Catalog(path) as catalog:
        catalog.keep("hashes", dict.fromkeys(values, "old"))
        catalog.keep("hashes", values)
        catalog.keep("motion", dict.fromkeys(values, "of another"))
    with Catalog(path) as catalog:
        assert catalog.kept("hashes") == values
        assert catalog.kept("motion") == dict.fromkeys(values, "of another")
        assert catalog.kept("never ran") == {}


def test_what_is_kept_of_a_folder_and_of_the_whole_state(path):
    with Catalog(path) as catalog:
        catalog.keep("s", {p: p for p in ("", "a", "a/x", "a/x/y", "ab", "a-b", "b/a")})
        catalog.keep("t", {"a": "other"})
        assert catalog.kept("s", "a").keys() == {"a", "a/x", "a/x/y"}
        assert catalog.kept("s")[""] == ""
        assert catalog.photos() == {}


def test_what_is_kept_of_a_photo_goes_with_it_and_not_with_its_answers(path):
    with Catalog(path) as catalog:
        filled(catalog, ("a", "b"))
        for stage in ("s", "t"):
            catalog.keep(stage, {"": "whole", "a": "1", "b": "2", "unknown": "3"})
        catalog.put_photos([row("a", size_bytes=2)], ["a"])
        catalog.drop_ranks(["a"])
        assert catalog.kept("s")["a"] == "1"
        catalog.forget(["a"])
        assert catalog.kept("s") == catalog.kept("t") == {"": "whole", "b": "2", "unknown": "3"}


def test_dropping_what_a_stage_kept(path):
    with Catalog(path) as catalog:
        for stage in ("s", "t"):
            catalog.keep(stage, {"": "whole", "a": "1", "b": "2"})
        catalog.drop_kept("s", [])
        catalog.drop_kept("s", iter(["a", "never known"]))
        assert catalog.kept("s").keys() == {"", "b"}
        catalog.drop_kept("s")
        assert catalog.kept("s") == {} and catalog.kept("t").keys() == {"", "a", "b"}
        catalog.keep("s", {})
        assert catalog.kept("s") == {}


def test_a_kept_value_that_is_noise_is_damage(path, caplog):
    with Catalog(path) as catalog:
        catalog.keep("s", {"a": "1"})
        catalog._file._db.execute("UPDATE kept SET value = x'00'")
        assert catalog.kept("s") == {}
    assert asides(path) and "is damaged" in caplog.text
    works(path)


def test_the_newest_hundred_runs_are_kept(path):
    with Catalog(path) as catalog:
        assert catalog.runs() == []
        for i in range(103):
            catalog.add_run(float(i), "scan", "{}")
        runs = catalog.runs()
        assert [r[1] for r in runs] == [float(i) for i in range(102, 2, -1)]
        assert runs[0][2:] == ("scan", "{}")


def test_a_catalog_that_is_opened_again_is_not_written(path):
    with Catalog(path) as catalog:
        filled(catalog)
    before = (os.stat(path).st_mtime_ns, open_bytes(path))
    with Catalog(path) as catalog:
        assert catalog.photos().keys() == {"a", "b"}
    assert (os.stat(path).st_mtime_ns, open_bytes(path)) == before


def open_bytes(path):
    with open(path, "rb") as f:
        return f.read()


def asides(path):
    folder, name = os.path.split(path)
    return [f for f in os.listdir(folder) if f.startswith(name + ".corrupt-")]


def works(path):
    with Catalog(path) as catalog:
        filled(catalog, ("new",))
        assert "new" in catalog.photos()
        assert catalog.runs() is not None


GARBAGE = {
    "noise": random.Random(1).randbytes(20_000),
    "text": b"This is a letter, and no catalog.\n" * 50,
    "header only": b"SQLite format 3\0",
    "header and noise": b"SQLite format 3\0" + random.Random(2).randbytes(8176),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_catalog_is_kept_aside(path, kind, caplog):
    with open(path, "wb") as f:
        f.write(GARBAGE[kind])
    with open(path + "-journal", "wb") as f:
        f.write(b"of the other")
    works(path)
    (aside,) = (a for a in asides(path) if not a.endswith("-journal"))
    assert open_bytes(os.path.join(os.path.dirname(path), aside)) == GARBAGE[kind]
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert "is damaged" in warning and aside in warning and "\n" not in warning


@pytest.mark.parametrize("start", [b"", b"x"])  # SQLite counts neither as a page
def test_an_empty_file_is_a_new_catalog(path, start):
    with open(path, "wb") as f:
        f.write(start)
    works(path)
    assert not asides(path)


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    file = tmp_path_factory.mktemp("big") / "catalog.sqlite"
    with Catalog(str(file)) as catalog:
        filled(catalog, [f"folder/{i:05}.jpg" for i in range(400)])
        catalog.add_run(1.0, "scan", "{}")
        catalog.keep("s", {f"folder/{i:05}.jpg": "value" for i in range(400)})
    return file


def used(path):
    """What a run does, of a catalog that may be damaged; again after an error, as the message says."""
    for attempt in range(3):
        try:
            with Catalog(path) as catalog:
                photos = catalog.photos()
                catalog.places("folder")
                catalog.ranks()
                catalog.kept("s", "folder")
                catalog.put_photos([row("new")], list(photos)[:5])
                catalog.add_run(2.0, "scan", "{}")
                catalog.forget(list(photos)[5:50])
                catalog.runs()
        except CatalogError as e:
            assert e.hint and e.exit_code == 8
        else:
            return attempt
    raise AssertionError("never works again")


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_kept_aside(path, big, part):
    with open(path, "wb") as f:
        f.write(big.read_bytes()[: int(os.path.getsize(big) * part)])
    used(path)
    assert asides(path)
    works(path)


@settings(max_examples=150)
@given(seed=st.integers(0, 10_000), n=st.sampled_from([8, 512, 4096]))
@example(seed=143, n=512)  # a row of more than a gigabyte, it says
@example(seed=176, n=8)  # SQLite quotes bytes of the damaged schema that are no text
def test_noise_in_the_file_never_stops_it_for_good(tmp_path_factory, big, seed, n):
    path = str(tmp_path_factory.mktemp("noise") / "catalog.sqlite")
    noise = random.Random(seed)
    raw = bytearray(big.read_bytes())
    at = noise.randrange(len(raw) // n) * n
    raw[at : at + n] = noise.randbytes(n)
    with open(path, "wb") as f:
        f.write(raw)
    used(path)
    with contextlib.suppress(CatalogError):  # what `used` did not touch may be damaged as well
        works(path)
    works(path)


def test_damage_found_while_reading_runs(path, caplog):
    with Catalog(path) as catalog:
        catalog.add_run(1.0, "scan", "{}")
        (root,) = catalog._file._db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'runs'"
        ).fetchone()
    with open(path, "r+b") as f:
        f.seek((root - 1) * 4096)
        f.write(b"\xff" * 4096)
    with Catalog(path) as catalog:
        assert catalog.runs() == []
    assert asides(path) and "is damaged" in caplog.text
    works(path)


def test_damage_found_while_writing_is_kept_aside_and_the_next_run_works(path, caplog):
    with Catalog(path) as catalog:
        (root,) = catalog._file._db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'runs'"
        ).fetchone()
    with open(path, "r+b") as f:
        f.seek((root - 1) * 4096)
        f.write(b"\xff" * 4096)
    with Catalog(path) as catalog, pytest.raises(CatalogError, match=r"damaged.*run again") as e:
        catalog.add_run(1.0, "scan", "{}")
    assert e.value.exit_code == 8
    assert asides(path)
    works(path)


def test_tables_of_another_program_are_kept_aside(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE photos (x)")
        db.execute(f"PRAGMA user_version={store._LAYOUT.version}")
    with Catalog(path) as catalog:
        assert catalog.photos() == {}
    works(path)


def test_a_newer_catalog_is_not_touched(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE photos (x)")
        db.execute(f"PRAGMA user_version={store._LAYOUT.version + 1}")
    before = open_bytes(path)
    with pytest.raises(CatalogError, match="written by a newer camtrail; update camtrail") as e:
        Catalog(path)
    assert e.value.exit_code == 8
    assert open_bytes(path) == before and os.listdir(os.path.dirname(path)) == ["catalog.sqlite"]


def test_an_older_catalog_is_made_anew(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE photos (x)")
    works(path)
    assert not asides(path)


@contextlib.contextmanager
def held(path, how="EXCLUSIVE"):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        if how == "DEFERRED":
            other.execute("SELECT * FROM photos").fetchall()  # a reader
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(store, "_WAIT_S", 0.01)


def test_a_catalog_that_another_program_holds(path, impatient):
    Catalog(path).close()
    with held(path), pytest.raises(CatalogError, match="another program has held it") as e:
        Catalog(path)
    assert e.value.exit_code == 8 and "wait for the other run" in e.value.hint
    with Catalog(path) as catalog:
        filled(catalog)
        with held(path):
            for ask in (
                catalog.photos, catalog.places, catalog.ranks, catalog.runs,
                lambda: catalog.put_photos([row("c")]), lambda: catalog.forget(["a"]),
                lambda: catalog.add_run(1.0, "scan", "{}"),
                lambda: catalog.put_ranks(["a"], answers(1, Ranks)),
            ):  # fmt: skip
                with pytest.raises(CatalogError, match="another program has held it"):
                    ask()
        assert catalog.photos().keys() == {"a", "b"}
    assert not asides(path)


def test_another_program_that_only_reads_lets_the_next_write_through(path, impatient):
    with Catalog(path) as catalog:
        filled(catalog)
        with held(path, "DEFERRED"), pytest.raises(CatalogError, match="another program has held it"):
            catalog.put_photos([row("c")])
        catalog.put_photos([row("d")])
        assert catalog.photos().keys() == {"a", "b", "d"}


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(StorageError, match=r"cannot be opened.*; .*--state-dir DIR") as e:
        Catalog(str(tmp_path / "none" / "catalog.sqlite"))
    assert e.value.exit_code == 7 and type(e.value) is StorageError


def test_a_folder_in_its_place(path):
    os.mkdir(path)
    with pytest.raises(StorageError, match="cannot be opened"):
        Catalog(path)


def test_a_catalog_that_may_not_be_written(path):
    with Catalog(path) as catalog:
        filled(catalog)
        catalog._file._db.execute("PRAGMA query_only=ON")  # what SQLite says of a read-only file as well
        with pytest.raises(StorageError, match=r"cannot be written .*readonly") as e:
            catalog.put_photos([row("c")])
        assert e.value.exit_code == 7
        assert catalog.photos().keys() == {"a", "b"}


def test_a_full_disk_is_named_and_nothing_is_lost(path):
    with Catalog(path) as catalog:
        filled(catalog)
        (pages,) = catalog._file._db.execute("PRAGMA page_count").fetchone()
        catalog._file._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageError, match=r"full.*; free some space") as e:
            catalog.put_photos([row(f"{i:05}") for i in range(2000)])
        assert e.value.exit_code == 7
        assert catalog.photos().keys() == {"a", "b"}
        catalog._file._db.execute("PRAGMA max_page_count=100000")
        catalog.put_photos([row("c")])
        assert catalog.photos().keys() == {"a", "b", "c"}


def test_a_damaged_catalog_that_cannot_be_put_aside(path, monkeypatch):
    with open(path, "wb") as f:
        f.write(GARBAGE["noise"])

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match=r"damaged.*Permission denied"):
        Catalog(path)


def test_an_error_in_the_rows_takes_the_whole_group_back(path):
    with Catalog(path) as catalog:
        filled(catalog)
        with pytest.raises(OverflowError):
            catalog.put_photos([row("c"), row("d", size_bytes=2**70)], ["a"])
        assert catalog.photos().keys() == catalog.places().keys() == {"a", "b"}


def test_a_defect_of_ours_does_not_cost_the_catalog(path):
    with Catalog(path) as catalog:
        filled(catalog)
        with pytest.raises(RuntimeError, match="statement of the catalog is wrong"):
            catalog.put_photos([("c", 1)])  # columns are missing
        assert catalog.photos().keys() == {"a", "b"}
    assert not asides(path)


WRITER = """
import os, sys
from camtrail.catalog.store import Catalog
from dataclasses import fields
from camtrail.core.model import Photos
catalog = Catalog(sys.argv[1])
catalog._file._db.execute("PRAGMA cache_size=10")  # pages go to the disk in the middle of a group
n = len(fields(Photos)) - 3
def group(k):
    for i in range(3000):
        if k and i == 2500:
            print("now", flush=True)
            sys.stdin.read()
        yield (f"{k}/{i}", 1, 1, *[None] * n)
catalog.put_photos(list(group(0)))
catalog.put_photos(group(1))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_a_kill_in_the_middle_of_a_write_leaves_what_was_committed(path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with writer:
        assert writer.stdout.readline().strip() == b"now"
        writer.kill()
    assert os.path.getsize(path + "-journal") > 0  # it was in the middle
    with Catalog(path) as catalog:
        assert catalog.photos().keys() == {f"0/{i}" for i in range(3000)}
        assert catalog._file._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not asides(path)


def test_columns_come_back_as_columns(path):
    with Catalog(path) as catalog:
        catalog.put_photos([row("a", lat_deg=1.5, make="Ünï")])
        photos = Photos.of_rows(list(catalog.photos().values()))
    assert photos.lat_deg.tolist() == [1.5] and np.isnan(photos.lon_deg).all()
    assert photos.make.tolist() == ["Ünï"] and photos.model.tolist() == [None]
