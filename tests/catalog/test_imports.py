"""What the importer of videos remembers: by hooks, service and content, whatever was in a record, however a run ended."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camtrail.catalog.imports import IN_DOUBT, STATES, HashedFile, Imports, JobIndex, Stored
from camtrail.core.errors import CatalogError, StorageError

TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
KEYS = st.binary(min_size=20, max_size=20).map(bytes.hex)
STORED = st.builds(
    lambda key, more, state, reason: Stored(state, {**more, "key": key}, reason),
    KEYS, st.dictionaries(TEXTS, VALUES, max_size=4) | st.fixed_dictionaries({"job_id": VALUES}),
    st.sampled_from(STATES), st.text(max_size=20),
)  # fmt: skip
SERVICES = st.tuples(st.sampled_from(["camio", "null", "my_hooks", "h\udce9"]), TEXTS)
FILES = st.builds(
    HashedFile,
    st.integers(0, 2**62), st.integers(-(2**62), 2**62), st.integers(0, 2**64 - 1), KEYS,
    st.dictionaries(TEXTS, VALUES, max_size=3),
)  # fmt: skip
PATHS = st.binary(min_size=1, max_size=30).map(os.fsdecode)
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

_count = iter(range(10**9))


@pytest.fixture
def path(tmp_path):
    """A file that is not there yet; another one at each call."""
    return lambda: str(tmp_path / f"import-{next(_count)}.sqlite")


def row(n: int, state: str = "planned", **more) -> Stored:
    return Stored(state, {"key": f"{n:040x}", "filename": f"/v/{n:03}.mp4", "camera": "C", **more})


# ---- what was put is there


@FEW
@given(rows=st.lists(STORED, max_size=6), service=SERVICES)
def test_records_come_back_as_they_were_put_the_last_of_each_content(path, rows, service):
    name = path()
    with Imports(name) as imports:
        number = imports.service(*service)
        imports.put(number, rows, 5.0)
    with Imports(name) as imports:
        assert imports.service(*service) == number
        assert imports.videos(number) == {r.record["key"]: r for r in rows}


@FEW
@given(puts=st.lists(st.tuples(SERVICES, STORED), max_size=8))
def test_each_service_has_its_own_state_of_a_content(path, puts):
    model: dict[int, dict[str, Stored]] = {}
    with Imports(path()) as imports:
        for service, stored in puts:
            number = imports.service(*service)
            model.setdefault(number, {})[stored.record["key"]] = stored
            imports.put(number, [stored], 1.0)
        for number, known in model.items():
            assert imports.videos(number) == known
        assert len(imports.rows()) == sum(map(len, model.values()))


@FEW
@given(files=st.dictionaries(PATHS, FILES, max_size=6), asked=st.lists(PATHS, max_size=3))
def test_files_come_back_by_names_of_any_bytes(path, files, asked):
    name = path()
    with Imports(name) as imports:
        imports.put_files(files.items())
    with Imports(name) as imports:
        assert imports.files([*files, *asked]) == files


def test_more_files_than_one_question_takes(path):
    files = {f"{n}.mp4": HashedFile(n, n, n, f"{n:040x}", {}) for n in range(1203)}
    with Imports(path()) as imports:
        imports.put_files(files.items())
        assert imports.files([*files, "other.mp4"]) == files


def test_a_rehearsal_does_not_count_for_the_service(path):
    with Imports(path()) as imports:
        rehearsal = imports.service("camio", "http://127.0.0.1:8000")
        real = imports.service("camio", "https://www.camio.com")
        own = imports.service("my_hooks", "https://www.camio.com")
        imports.put(rehearsal, [row(1, "registered")], 1.0)
        assert imports.videos(real) == imports.videos(own) == {}
        assert imports.videos(rehearsal)[f"{1:040x}"].state == "registered"


def test_rows_are_by_file_name_and_say_whose_they_are(path):
    with Imports(path()) as imports:
        first, second = imports.service("camio", "a"), imports.service("null", "b")
        imports.put(first, [row(3), row(1, IN_DOUBT)], 1.0)
        imports.put(second, [row(2, "refused")], 1.0)
        told = [(hook, origin, r.record["filename"], r.state) for hook, origin, r in imports.rows()]
    assert told == [
        ("camio", "a", "/v/001.mp4", "sending"),
        ("null", "b", "/v/002.mp4", "refused"),
        ("camio", "a", "/v/003.mp4", "planned"),
    ]


@FEW
@given(job=TEXTS, other=TEXTS)
def test_the_contents_of_a_job_are_found_by_its_id(path, job, other):
    with Imports(path()) as imports:
        number = imports.service("camio", "a")
        imports.put(number, [row(1, job_id=job), row(2, job_id=other), row(3)], 1.0)
        wanted = {f"{1:040x}"} | ({f"{2:040x}"} if other == job else set())
        assert imports.videos_of_job(job).keys() == wanted


def test_nothing_is_put_where_there_is_nothing(path):
    with Imports(path()) as imports:
        imports.put(imports.service("camio", "a"), [], 1.0)
        imports.put_files([])
        assert imports.rows() == [] and imports.files([]) == {}


# ---- what goes wrong


def test_a_new_file_knows_nothing(path):
    with Imports(path()) as imports:
        assert imports.rows() == []


@pytest.mark.parametrize("n", [1, 100, 4096])
def test_a_damaged_file_is_no_state_and_stays_as_it_is(path, n):
    name = path()
    with Imports(name) as imports:
        imports.put(imports.service("camio", "a"), [row(i) for i in range(200)], 1.0)
    with open(name, "r+b") as f:
        f.truncate(n)
    with open(name, "rb") as f:
        before = f.read()
    with pytest.raises(CatalogError) as raised, Imports(name) as imports:
        imports.rows()
    assert raised.value.exit_code == 8 and "--storage" in raised.value.hint
    with open(name, "rb") as f:
        assert f.read() == before


@pytest.mark.parametrize("text", ["[1]", "{", "", None, 5])
def test_a_record_that_is_none_is_damage(path, text):
    name = path()
    with Imports(name) as imports:
        number = imports.service("camio", "a")
        imports.put(number, [row(1)], 1.0)
        imports.put_files([("a.mp4", HashedFile(1, 1, 1, "00" * 20, {}))])
    with sqlite3.connect(name) as db:
        db.execute("UPDATE videos SET record = ?", ("" if text is None else text,))
        db.execute("UPDATE files SET probe = ?", ("" if text is None else text,))
    db.close()
    with Imports(name) as imports:
        for ask in (lambda: imports.videos(number), imports.rows, lambda: imports.files(["a.mp4"])):
            with pytest.raises(CatalogError) as raised:
                ask()
            assert raised.value.exit_code == 8


@pytest.mark.parametrize("column", ["sha1 = 'x'", "sha1 = 5", "state = x'00'", "reason = x'00'"])
def test_a_value_of_another_type_is_damage(path, column):
    name = path()
    with Imports(name) as imports:
        number = imports.service("camio", "a")
        imports.put(number, [row(1)], 1.0)
    with sqlite3.connect(name) as db:
        db.execute(f"UPDATE videos SET {column}")
    db.close()
    with Imports(name) as imports, pytest.raises(CatalogError):
        imports.videos(number)


def test_a_file_of_a_newer_camtrail_is_left_alone(path):
    name = path()
    Imports(name).close()
    with sqlite3.connect(name) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(CatalogError, match="newer"):
        Imports(name)


def test_another_programs_file_is_left_alone(path):
    name = path()
    with sqlite3.connect(name) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    with pytest.raises(CatalogError, match="another program"):
        Imports(name)


def test_a_folder_is_no_state(tmp_path):
    with pytest.raises(StorageError):
        Imports(str(tmp_path))


def test_two_processes_lose_nothing_of_each_other(path, tmp_path):
    name = path()
    Imports(name).close()
    code = textwrap.dedent(
        """
        import sys
        from camtrail.catalog.imports import Imports, Stored
        name, first = sys.argv[1], int(sys.argv[2])
        with Imports(name) as imports:
            number = imports.service("camio", "a")
            for n in range(first, first + 40):
                imports.put(number, [Stored("planned", {"key": f"{n:040x}"})], 1.0)
                imports.put(number, [Stored("uploaded", {"key": f"{n:040x}"})], 2.0)
        """
    )
    both = [subprocess.Popen([sys.executable, "-c", code, name, str(first)]) for first in (0, 40)]
    assert [process.wait(60) for process in both] == [0, 0]
    with Imports(name) as imports:
        known = imports.videos(imports.service("camio", "a"))
    assert {key: stored.state for key, stored in known.items()} == {
        f"{n:040x}": "uploaded" for n in range(80)
    }


def test_what_was_put_outlives_a_killed_process(path):
    name = path()
    code = (
        "import os, sys\n"
        "from camtrail.catalog.imports import Imports, Stored\n"
        "imports = Imports(sys.argv[1])\n"
        "imports.put(imports.service('camio', 'a'), [Stored('sending', {'key': '00' * 20})], 1.0)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, name], timeout=60, check=False).returncode != 0
    with Imports(name) as imports:
        assert imports.videos(imports.service("camio", "a"))["00" * 20].state == IN_DOUBT


# ---- where jobs are known


@FEW
@given(origin=TEXTS, job=TEXTS, storage=PATHS)
def test_the_storage_of_a_job_is_found_again(path, origin, job, storage):
    name = path()
    with JobIndex(name) as index:
        index.put(origin, [job, job + "2"], storage)
    with JobIndex(name) as index:
        assert index.storage(origin, job) == index.storage(origin, job + "2") == storage
        assert index.storage(origin + "x", job) is None


def test_a_damaged_index_of_jobs_is_made_anew(path):
    name = path()
    with open(name, "wb") as f:
        f.write(b"no database" * 100)
    with JobIndex(name) as index:
        assert index.storage("a", "j") is None
        index.put("a", ["j"], "/s.sqlite")
        assert index.storage("a", "j") == "/s.sqlite"


def test_records_are_kept_as_json_that_any_program_reads(path):
    name = path()
    with Imports(name) as imports:
        imports.put(imports.service("camio", "a"), [row(1, camera="Tür")], 1.0)
    with sqlite3.connect(name) as db:
        ((text,),) = db.execute("SELECT record FROM videos").fetchall()
    db.close()
    assert json.loads(text)["camera"] == "Tür"
