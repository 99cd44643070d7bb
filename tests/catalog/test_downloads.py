"""Downloads of a folder: what is known of an image stays known, whatever ends the run."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from camtrail.catalog import downloads as module
from camtrail.catalog.downloads import STATES, Download, Downloads
from camtrail.core.errors import CatalogError, StorageError

HERE = ("https://service", "1024")
KINDS = [HERE, ("https://service", "original"), ("http://127.0.0.1:1", "1024")]
IDS = ["1", "22", "333", "4444"]
PATHS = ["s/1.jpg", "s/22.jpg", os.fsdecode(b"caf\xe9/1.jpg")]


def digest(name):
    return hashlib.sha256(str(name).encode()).digest()


def fetched(image, **more):
    """A download that is done."""
    known = {"path": f"seq/{image}.jpg", "size_bytes": 30, "sha256": digest(image), "served_bytes": 20,
             "served_sha256": digest((image, "served"))}  # fmt: skip
    return Download(image=image, state="fetched", **(known | more))


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "downloads.sqlite")


def same(a, b):
    """Whether two rows are equal; NaN is NaN."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(Download)]
    return all(x == y or (x != x and y != y) for x, y in pairs)


def all_same(found, wanted):
    return len(found) == len(wanted) and all(map(same, found, wanted))


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=4) | st.just("a\0'\"")
ids = st.sampled_from(IDS)
degrees = st.just(math.nan) | st.floats(-90, 90)
open_rows = st.builds(
    Download,
    image=ids,
    sequence=st.none() | texts,
    lat_deg=degrees,
    lon_deg=degrees,
    state=st.sampled_from(["wanted", "failed", "missing"]),
    said=texts,
    message=texts,
)
done_rows = st.builds(
    fetched, ids, path=st.sampled_from(PATHS), size_bytes=st.integers(0, 2**40), said=texts, lat_deg=degrees
)


class Model(RuleBasedStateMachine):
    """The file beside plain dicts."""

    folder = None  # set by the test
    runs = 0

    def __init__(self):
        super().__init__()
        Model.runs += 1
        self.path = str(Model.folder / f"{Model.runs}.sqlite")
        self.downloads = Downloads(self.path)
        self.known = {}  # (kind, image) -> Download, in the order in which they were named

    def demote(self, kind, row):
        for key, other in self.known.items():
            if row.state == "fetched" and other.path == row.path and key != (kind, row.image):
                state = "wanted" if other.state == "fetched" else other.state
                self.known[key] = replace(other, state=state, path=None, size_bytes=None, sha256=None,
                                          served_bytes=None, served_sha256=None)  # fmt: skip

    @rule(
        kind=st.sampled_from(KINDS),
        images=st.lists(st.tuples(ids, st.none() | texts, degrees, degrees), max_size=4),
    )
    def want(self, kind, images):
        self.downloads.want(*kind, iter(images))
        for image, sequence, lat, lon in images:
            old = self.known.get((kind, image), Download(image=image))
            self.known[kind, image] = replace(
                old,
                sequence=old.sequence if sequence is None or old.state == "fetched" else sequence,
                lat_deg=old.lat_deg if lat != lat else lat,
                lon_deg=old.lon_deg if lon != lon else lon,
            )

    @rule(
        kind=st.sampled_from(KINDS),
        rows=st.lists(open_rows | done_rows, max_size=4, unique_by=lambda r: r.image),
    )
    def put(self, kind, rows):
        self.downloads.put(*kind, rows)
        for row in rows:
            before = self.known.get((kind, row.image), row)
            self.known[kind, row.image] = replace(row, path=row.path or before.path)
            self.demote(kind, row)

    @rule()
    def reopen(self):
        self.downloads.close()
        self.downloads = Downloads(self.path)

    @invariant()
    def agrees(self):
        counts = {}
        for kind in KINDS:
            mine = [row for (k, _), row in self.known.items() if k == kind]
            assert all_same(list(self.downloads.rows(*kind)), mine)
            assert all_same(
                list(self.downloads.rows(*kind, ["failed", "wanted"])),
                [row for row in mine if row.state in ("failed", "wanted")],
            )
            found = self.downloads.found(*kind, [*IDS, "5"])
            assert found.keys() == {row.image for row in mine}
            assert all(same(found[row.image], row) for row in mine)
            for row in mine:
                states = counts.setdefault(kind, {})
                states[row.state] = states.get(row.state, 0) + 1
        assert self.downloads.counts() == counts and list(self.downloads.counts()) == sorted(counts)

    def teardown(self):
        self.downloads.close()


def test_it_is_what_plain_dicts_would_be(tmp_path):
    Model.folder, Model.runs = tmp_path, 0
    run_state_machine_as_test(Model, settings=settings(max_examples=30, stateful_step_count=15))


def test_of_two_files_of_one_name_in_one_group_the_last_is_there(path):
    with Downloads(path) as downloads:
        downloads.put(*HERE, [fetched("1", path="s/x.jpg"), fetched("2", path="s/x.jpg"), fetched("3")])
        assert [row.state for row in downloads.rows(*HERE)] == ["wanted", "fetched", "fetched"]
        downloads.put(*KINDS[1], [fetched("2", path="s/x.jpg")])  # another size of it, in the same file
        assert downloads.counts() == {HERE: {"fetched": 1, "wanted": 2}, KINDS[1]: {"fetched": 1}}


def test_what_was_fetched_stays_where_it_is_and_gets_the_place_of_a_later_list(path):
    with Downloads(path) as downloads:
        downloads.put(*HERE, [fetched("1", lat_deg=1.0, lon_deg=2.0)])
        downloads.want(*HERE, [("1", "other", 5.0, 6.0)])
        (row,) = downloads.rows(*HERE)
        assert same(row, fetched("1", lat_deg=5.0, lon_deg=6.0))


def test_a_file_of_ours_stays_ours_whatever_becomes_of_its_image(path):
    with Downloads(path) as downloads:
        downloads.put(*HERE, [fetched("1", path="s/1.jpg"), fetched("2", path="s/2.jpg")])
        downloads.put(*HERE, [Download(image="1"), Download(image="2", state="failed", message="why")])
        downloads.put(*KINDS[1], [fetched("2", path="s/2.jpg")])  # another size of it, in the same file
        assert downloads.written(["s/1.jpg", "s/2.jpg", "s/3.jpg"]) == {"s/1.jpg", "s/2.jpg"}
        assert [(row.state, row.path) for row in downloads.rows(*HERE)] == [
            ("wanted", "s/1.jpg"),
            ("failed", None),
        ]


def test_more_than_a_page_comes_in_its_order(path, monkeypatch):
    many = [str(10**15 + i * 7 % 1203) for i in range(1203)]  # more than one statement takes
    with Downloads(path) as downloads:
        downloads.want(*HERE, [(image, None, math.nan, math.nan) for image in many])
        assert downloads.found(*HERE, many[:700]).keys() == set(many[:700])
        monkeypatch.setattr(module, "_PAGE", 100)
        assert [row.image for row in downloads.rows(*HERE)] == many
        seen = []
        for row in downloads.rows(*HERE, ["wanted"]):  # rows that are put meanwhile disturb nothing
            seen.append(row.image)
            if len(seen) % 60 == 0:
                downloads.put(*HERE, [fetched(image) for image in seen[-60:]])
        assert seen == many and downloads.counts() == {HERE: {"fetched": 1200, "wanted": 3}}


def test_misuse_changes_nothing(path):
    with Downloads(path) as downloads:
        for wrong in (
            Download(image="1", state="sent"),
            Download(image="1", state="fetched"),
            fetched("1", sha256=None),
            fetched("1", path=None),
            fetched("1", served_sha256=b"short"),
            Download(image="1", sha256=b""),
        ):
            with pytest.raises(ValueError):
                downloads.put(*HERE, [fetched("2"), wrong])
        assert downloads.counts() == {}
        downloads.put(*HERE, [])
        assert downloads.counts() == {}


def test_text_that_is_no_unicode_is_escaped(path):
    with Downloads(path) as downloads:
        downloads.want(*HERE, [("1", "\udce9", math.nan, math.nan)])
        downloads.put(*HERE, [replace(fetched("2"), said="\udcff", message="\ud800")])
        rows = list(downloads.rows(*HERE))
        assert [(r.sequence, r.said) for r in rows] == [("\\xe9", ""), (None, "\\xff")]


RUN = """
import sys
from camtrail.catalog.downloads import Download, Downloads
with Downloads(sys.argv[1]) as downloads:
    downloads.want("https://service", "1024", [(str(i), None, 1.0, 2.0) for i in range(10000)])
    for at in range(0, 10000, 20):
        rows = [Download(image=str(i), state="fetched", path=f"s/{i}", size_bytes=1, sha256=bytes(32), served_bytes=1,
                         served_sha256=bytes(32)) for i in range(at, at + 20)]
        downloads.put("https://service", "1024", rows)
        print(at + 20, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_a_killed_run_leaves_whole_groups_and_none_is_lost(path):
    with subprocess.Popen([sys.executable, "-c", RUN, path], stdout=subprocess.PIPE, text=True) as run:
        told = [int(run.stdout.readline()) for _ in range(5)]
        run.kill()
        told += [int(line) for line in run.stdout]
    with Downloads(path) as downloads:
        done = [int(row.image) for row in downloads.rows(*HERE, ["fetched"])]
        assert done == list(range(len(done))) and len(done) % 20 == 0
        assert told[-1] <= len(done) <= told[-1] + 20
        assert len(list(downloads.rows(*HERE))) == 10000


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """The bytes of a file with some rows."""
    path = str(tmp_path_factory.mktemp("big") / "downloads.sqlite")
    with Downloads(path) as downloads:
        downloads.want(*HERE, [(str(i), "seq", 1.0, 2.0) for i in range(300)])
        downloads.put(*HERE, [fetched(str(i)) for i in range(100)])
    with open(path, "rb") as f:
        return f.read()


def used(path):
    """Everything that a run does with it."""
    with Downloads(path) as downloads:
        downloads.want(*HERE, [("7", "seq", 1.0, 2.0), ("new", None, 3.0, 4.0)])
        downloads.put(*HERE, [fetched("7"), fetched("250")])
        rows = list(downloads.rows(*HERE))
        found = downloads.found(*HERE, ["7", "250"])
        assert all(row.state in STATES for row in rows)
        downloads.counts()
        return found


@pytest.mark.parametrize("cut", [16, 1000, -5000, -1], ids=str)
def test_a_damaged_one_is_an_error_and_stays_as_it_is(path, big, cut):
    for data in (big[:cut], random.Random(1).randbytes(20_000), b"x"):
        with open(path, "wb") as f:
            f.write(data)
        with pytest.raises(CatalogError, match="is damaged") as e:
            used(path)
        assert e.value.exit_code == 8 and "fetched anew" in e.value.hint and "\n" not in str(e.value)
        with open(path, "rb") as f:
            assert f.read() == data


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.sampled_from([8, 512, 4096]))
def test_noise_in_the_file_is_an_error_and_nothing_else(tmp_path_factory, big, seed, n):
    path = str(tmp_path_factory.mktemp("noise") / "downloads.sqlite")
    noise = random.Random(seed)
    raw = bytearray(big)
    at = noise.randrange(len(raw) // n) * n
    raw[at : at + n] = noise.randbytes(n)
    with open(path, "wb") as f:
        f.write(raw)
    try:
        assert used(path).keys() <= {"7", "250"}
    except StorageError as e:
        assert e.exit_code in (7, 8) and e.hint


@pytest.mark.parametrize(
    ("column", "value"),
    [("state", "sent"), ("size_bytes", b"1"), ("path", "text"), ("lat_deg", "north"), ("said", b"")],
)
def test_a_value_that_was_never_put_is_damage(path, column, value):
    with Downloads(path) as downloads:
        downloads.put(*HERE, [fetched("1")])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE images SET {column} = ?", (value,))
        db.commit()
    with Downloads(path) as downloads:
        with pytest.raises(CatalogError, match="is damaged"):
            list(downloads.rows(*HERE))
        with pytest.raises(CatalogError, match="is damaged"):
            downloads.found(*HERE, ["1"])


def test_a_newer_one_is_not_touched(path, big):
    with open(path, "wb") as f:
        f.write(big)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={module._LAYOUT.version + 1}")
    with pytest.raises(CatalogError, match="written by a newer camtrail; update camtrail"):
        Downloads(path)


def test_a_full_disk_puts_nothing(path):
    with Downloads(path) as downloads:
        (pages,) = downloads._file._db.execute("PRAGMA page_count").fetchone()
        downloads._file._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageError, match=r"full.*; free some space") as e:
            downloads.put(*HERE, [fetched(str(i)) for i in range(2000)])
        assert e.value.exit_code == 7 and downloads.counts() == {}
