"""Hooks of users: found, refused, loaded, called in both forms; what goes wrong in them stays the error of one call."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import sys
import textwrap
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core.child import ChildEnded, ChildFailed, ChildTimedOut
from camtrail.core.errors import AuthError, QuotaExceeded, Rejected, SafetyRefusal, UsageError
from camtrail.transfer.hookchild import Records
from camtrail.transfer.hooks import (
    Check,
    Hooks,
    HookSpec,
    Permanent,
    Retry,
    Video,
    WrongAnswer,
    is_secret,
    resolve,
    scrubbed,
)

BUILTINS = {"camio": "camtrail.app.camio_hook:CamioHook", "null": "camtrail.app.null_hook:NullHook"}
CAMERA = "def register_camera(camera_name, host=None, port=None): return {'camera_id': 'id-' + camera_name}\n"
POST = "def post_video_content(camera_name, camera_id, filepath, timestamp, location=None, host=None, port=None): return True\n"
posix = pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")


def record(key="a" * 40, **more):
    return {
        "camera": "C2_Hi", "timestamp": "2016-10-09T12:02:37.000", "lat": 1.5, "lng": -2.25,
        "filename": "/v/C2_Hi-1476014557.mp4", "duration": 60.5, "key": key, "given_name": "g",
        "discovered_on": "d", "uploaded_on": None, "confirmed_on": None, "job_id": None, "shard_id": None, "size": 10,
        "relative_name": "C2_Hi-1476014557.mp4",
    } | more  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "hooks"
    folder.mkdir(mode=0o755)
    return folder


def write(folder, text, name="my_hooks.py"):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    path.chmod(0o644)
    return str(path)


@contextmanager
def loaded(path, **options):
    hooks = Hooks(path if isinstance(path, HookSpec) else resolve(str(path), BUILTINS), **options)
    try:
        yield hooks
    finally:
        hooks.close()


def post(hooks, given=None, camera_id="cam", host="192.168.1.57", port="8080", timeout_s=20.0):
    return hooks.post_video_content(record() if given is None else given, camera_id, host, port, timeout_s)


# ---- which hooks


@pytest.mark.parametrize("text", ["camio", "Camio", "CAMIO"])
def test_a_built_in_is_known_by_its_name_in_any_case(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camio").write_text("raise RuntimeError")  # what lies about in a folder takes no one's place
    assert resolve(text, BUILTINS) == HookSpec("camio", BUILTINS["camio"])


def test_a_file_is_known_by_its_stem_and_its_bytes(folder):
    path = write(folder, CAMERA + POST)
    spec = resolve(path, BUILTINS)
    assert spec == HookSpec("my_hooks", path, path, hashlib.sha256((CAMERA + POST).encode()).hexdigest(), ())


def test_a_file_without_the_suffix_is_one(folder, monkeypatch):
    write(folder, CAMERA + POST, "hooks_of_mine")
    monkeypatch.chdir(folder)
    spec = resolve("hooks_of_mine", BUILTINS)
    assert (spec.name, spec.path) == ("hooks_of_mine", str(folder / "hooks_of_mine"))
    with loaded(spec) as hooks:
        assert hooks.start().functions == {"register_camera", "post_video_content"}


@posix
def test_a_link_is_followed_and_gives_the_name(folder, tmp_path):
    write(folder, CAMERA + "from helper import answer\n" + POST.replace("True", "answer"))
    write(folder, "answer = True\n", "helper.py")
    link = tmp_path / "current.py"
    link.symlink_to(folder / "my_hooks.py")
    spec = resolve(str(link), BUILTINS)
    assert (spec.name, spec.path) == ("current", str(folder / "my_hooks.py"))
    with loaded(spec) as hooks:
        assert post(hooks).ok


def test_a_module_and_an_object_are_known_by_their_dotted_names():
    assert resolve("json.tool:main", BUILTINS) == HookSpec("json.tool.main", "json.tool:main")
    assert resolve("json.tool", BUILTINS) == HookSpec("json.tool", "json.tool")


@pytest.mark.parametrize(
    "text",
    [
        "nothing_of_that_name",
        "no/such.py",
        "no_such.py",
        "a b",
        "",
        "json:",
        ":main",
        "json.tool:9",
        "a\0b.py",
        "__main__x:y",
    ],
)
def test_what_is_not_there_is_a_wrong_use(text):
    with pytest.raises(UsageError) as caught:
        resolve(text, BUILTINS)
    assert caught.value.hint.startswith("name a Python file")


def test_a_folder_is_no_hooks(folder):
    with pytest.raises(UsageError, match="is no file"):
        resolve(str(folder), BUILTINS)


@pytest.mark.parametrize(
    "old",
    [
        'print "x"\n',
        "print >>log, x\nprint x\n",
        'def f():\n\tprint "posted", path\n        return 1\n',
        'raise ValueError, "x"\n',
        'exec "x"\n',
        pytest.param(
            "try:\n    pass\nexcept Exception, e:\n    pass\n",
            marks=pytest.mark.skipif(sys.version_info >= (3, 14), reason="a form of Python 3.14 too"),
        ),
    ],
)
def test_python_2_is_named_with_the_way_out(folder, old):
    with pytest.raises(UsageError, match="is Python 2") as caught:
        resolve(write(folder, old), BUILTINS)
    assert "use the built-in hook camio" in caught.value.hint
    assert caught.value.exit_code == 2


def test_another_error_of_syntax_names_its_line(folder):
    with pytest.raises(UsageError, match=r"my_hooks\.py: line 3: invalid syntax") as caught:
        resolve(write(folder, "x = 1\n\ndef f(:\n"), BUILTINS)
    assert "camio" not in caught.value.hint


@pytest.mark.parametrize("data", [b"\0\0\0\x18ftypmp42", b"\xff\xfe\xfd", b"x = '\xe9'\n", b"(" * 100_000])
def test_what_is_no_python_is_said_to_be_none(folder, data):
    (folder / "v.py").write_bytes(data)
    with pytest.raises(UsageError, match=r"v\.py"):
        resolve(str(folder / "v.py"), BUILTINS)


def test_a_video_is_not_read_whole_to_be_no_python(folder):
    path = folder / "video.mp4"
    with path.open("wb") as f:
        f.truncate(1 << 40)
    with pytest.raises(UsageError, match="more than 10 MiB"):
        resolve(str(path), BUILTINS)


@posix
@pytest.mark.parametrize("mode", [0o646, 0o666, 0o777])
def test_a_file_that_everybody_may_change_is_refused(folder, mode):
    path = write(folder, CAMERA + POST)
    os.chmod(path, mode)
    with pytest.raises(SafetyRefusal, match="everybody on this machine may change it") as caught:
        resolve(path, BUILTINS)
    assert caught.value.exit_code == 11
    assert caught.value.hint.startswith("chmod go-w ")


@posix
def test_a_folder_that_everybody_may_change_is_refused_unless_sticky(folder):
    path = write(folder, CAMERA + POST)
    folder.chmod(0o777)
    with pytest.raises(SafetyRefusal, match="another file in its place"):
        resolve(path, BUILTINS)
    folder.chmod(0o1777)
    assert resolve(path, BUILTINS).warnings == ()


@posix
def test_the_folder_of_a_link_counts_too(folder, tmp_path):
    path = write(folder, CAMERA + POST)
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    (open_folder / "link.py").symlink_to(path)
    open_folder.chmod(0o777)
    with pytest.raises(SafetyRefusal, match="another file in its place"):
        resolve(str(open_folder / "link.py"), BUILTINS)


@posix
def test_a_file_that_its_group_may_change_is_warned_of(folder):
    path = write(folder, CAMERA + POST)
    os.chmod(path, 0o664)
    (warning,) = resolve(path, BUILTINS).warnings
    assert "group may change it" in warning


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="giving a file away takes root")
def test_a_file_of_another_user_is_warned_of(folder):
    path = write(folder, CAMERA + POST)
    os.chown(path, 12345, 12345)
    (warning,) = resolve(path, BUILTINS).warnings
    assert "belongs to another user" in warning


def test_resolving_runs_nothing(folder):
    mark = folder / "ran"
    resolve(write(folder, f"open({str(mark)!r}, 'w')\n"), BUILTINS)
    assert not mark.exists()


# ---- loading


def test_only_the_bytes_that_were_looked_at_are_loaded(folder):
    path = write(folder, CAMERA + POST)
    spec = resolve(path, BUILTINS)
    write(folder, CAMERA + POST + "# more\n")
    with loaded(spec) as hooks, pytest.raises(SafetyRefusal, match="was changed after it was looked at"):
        hooks.start()


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (POST, "has no register_camera"),
        (CAMERA, "has no post_video_content"),
        ("", "has no register_camera and no post_video_content"),
        (CAMERA + "post_video_content = 3\n", "has no post_video_content"),
    ],
)
def test_what_hooks_lack_is_named(folder, text, lacks):
    with loaded(write(folder, text)) as hooks, pytest.raises(UsageError, match=lacks) as caught:
        hooks.start()
    assert caught.value.hint == "hooks need register_camera and post_video_content"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("import urllib2\n", "there is no module urllib2", "use the built-in hook camio"),
        ("import nothing_of_that_name\n", "there is no module nothing_of_that_name", "pip install"),
        ("1 / 0\n", "ZeroDivisionError: division by zero, while it was loaded", "mend"),
        ("import sys; sys.exit(1)\n", "SystemExit: 1, while it was loaded", "mend"),
        ("import old\n", "old.py: line 1: is Python 2", "use the built-in hook camio"),
        ("import new\n", "new.py: line 1: invalid syntax", "mend"),
    ],
)
def test_what_goes_wrong_while_loading_is_said(folder, text, said, hint):
    write(folder, 'print "x"\n', "old.py")
    write(folder, "def f(:\n", "new.py")
    with loaded(write(folder, text)) as hooks, pytest.raises(UsageError) as caught:
        hooks.start()
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_hooks_that_end_the_process_while_loading_are_an_error(folder):
    with (
        loaded(write(folder, "import os; os._exit(4)\n")) as hooks,
        pytest.raises(ChildEnded, match="status 4"),
    ):
        hooks.start()


def test_what_they_offer_is_told(folder):
    more = "def set_hook_data(d): pass\ndef service_origin(): return 'https://x.example'\n"
    with loaded(write(folder, CAMERA + POST + more)) as hooks:
        info = hooks.start()
        assert hooks.start() == info
    assert info.functions == {"register_camera", "post_video_content", "set_hook_data", "service_origin"}
    assert (info.origin, info.is_api2) == ("https://x.example", False)


def test_without_an_origin_there_is_none(folder):
    with loaded(write(folder, CAMERA + POST)) as hooks:
        assert hooks.start().origin is None
        assert hooks.origin() is None


@pytest.mark.parametrize("name", ["json.py", "queue.py", "logging.py", "camtrail.py", "random.py"])
def test_a_file_named_as_a_module_of_pythons_own_hides_none(folder, name):
    text = """
        import json, logging, queue, random, camtrail.core.errors
        def register_camera(camera_name, host=None, port=None):
            import base64, json
            return json.loads('{"camera_id": "%d"}' % random.randint(5, 5))
    """
    with loaded(write(folder, textwrap.dedent(text) + POST, name)) as hooks:
        assert hooks.register_camera("a", None, None) == {"camera_id": "5"}


def test_modules_beside_the_file_are_found_at_any_time(folder):
    write(folder, "VALUE = 'early'\n", "early_helper.py")
    (folder / "package").mkdir()
    write(folder / "package", "from .inner import VALUE\n", "__init__.py")
    write(folder / "package", "VALUE = 'late'\n", "inner.py")
    (folder / "numpy_of_mine").mkdir()  # without __init__: no module
    text = """
        import early_helper
        def register_camera(camera_name, host=None, port=None):
            import package
            return {"camera_id": early_helper.VALUE + package.VALUE}
    """
    path = write(folder, textwrap.dedent(text) + POST)
    before = set(sys.path), set(sys.modules)
    with loaded(path) as hooks:
        assert hooks.register_camera("a", None, None) == {"camera_id": "earlylate"}
    assert (set(sys.path), set(sys.modules)) == before
    assert not (folder / "__pycache__").exists()


@posix
def test_modules_beside_the_file_that_others_may_change_are_left_alone(folder):
    os.chmod(write(folder, "", "helper.py"), 0o666)
    records = []
    path = write(folder, "import helper\n" + CAMERA + POST)
    with (
        loaded(path, on_log=lambda *r: records.append(r)) as hooks,
        pytest.raises(UsageError, match="no module helper"),
    ):
        hooks.start()
    assert any("left alone" in r[2] for r in records)


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="names of any bytes")
def test_a_path_that_is_no_utf_8_is_loaded(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder, 0o755)
    path = os.fsdecode(folder + b"/h\xff\n.py")
    with open(path, "w") as f:
        f.write("import beside\n" + CAMERA + POST.replace("True", "beside.x + repr(__file__) + __name__"))
    with open(os.fsdecode(folder + b"/beside.py"), "w") as f:
        f.write("x = 'x'\n")
    spec = resolve(path, BUILTINS)
    assert (spec.name, spec.path) == (os.fsdecode(b"h\xff\n"), path)
    with loaded(spec) as hooks:
        assert post(hooks, record(filename=path)).ok


@pytest.mark.skipif(sys.platform != "linux", reason="a system that limits address space")
def test_memory_has_a_limit(folder):
    text = CAMERA + "def post_video_content(**kw): return len(bytearray(5 << 30)) > 0\n"
    with loaded(write(folder, text)) as hooks, pytest.raises(ChildFailed, match="MemoryError"):
        post(hooks)


# ---- the published functions


PUBLISHED = [
    "camera_name, camera_id, filepath, timestamp, location=None, host=None, port=None",
    "host, port, camera_name, camera_id, filepath, timestamp, location=None",
    "host, port, camera_name, camera_id, filepath, timestamp, latlng",
    "host, port, camera_name, camera_id, filepath, timestamp, latlng=None, tries=3",
    "camera_name, camera_id, filepath, timestamp, latlng=None, host=None, port=None",
    "camera, camera_id, path, when, location, host, port",
    "name, ident, path, when, /, location=None, *, host=None, port=None",
    "host, port, name, ident, path, when, latlng, /",
    "camera_name, *rest, **more",
    "*args, **kwargs",
    "**kwargs",
    "camera_name, camera_id, *, timestamp, filepath, **more",
]


@pytest.mark.parametrize("parameters", PUBLISHED)
def test_arguments_are_bound_by_their_names(folder, parameters):
    text = f"""
        import json
        def post_video_content({parameters}):
            seen = sorted(json.dumps(v) for v in flat(locals()))
            assert seen == sorted(json.dumps(v) for v in WANTED), seen
            return True
        def flat(names):
            for name, value in names.items():
                if name in ("args", "rest"): yield from value
                elif name in ("kwargs", "more"):
                    assert set(value) <= {{"camera_name", "camera_id", "filepath", "timestamp", "location", "host", "port"}}
                    yield from value.values()
                elif name != "tries": yield value
                for fixed, expected in EXACT.items():
                    if name == fixed or name in ("kwargs", "more") and fixed in value:
                        assert (value[fixed] if name in ("kwargs", "more") else value) == expected, fixed
        EXACT = dict(camera_name="C2_Hi", camera="C2_Hi", name="C2_Hi", camera_id="cam", ident="cam",
            filepath="/v/C2_Hi-1476014557.mp4", path="/v/C2_Hi-1476014557.mp4", timestamp="2016-10-09T12:02:37.000",
            when="2016-10-09T12:02:37.000", location=(1.5, -2.25), latlng=(1.5, -2.25), host="192.168.1.57", port="8080")
        WANTED = ["C2_Hi", "cam", "/v/C2_Hi-1476014557.mp4", "2016-10-09T12:02:37.000", (1.5, -2.25), "192.168.1.57", "8080"]
    """
    with loaded(write(folder, CAMERA + textwrap.dedent(text))) as hooks:
        assert post(hooks).ok


def test_fewer_parameters_get_fewer_arguments(folder):
    text = (
        "def register_camera(c): return {'camera_id': c}\ndef post_video_content(filepath): return filepath\n"
    )
    with loaded(write(folder, text)) as hooks:
        assert hooks.register_camera("front", "h", "1") == {"camera_id": "front"}
        assert post(hooks).ok


def test_a_parameter_that_nothing_is_known_for_is_named_at_the_start(folder):
    text = POST.replace("location=None", "location, colour")
    with (
        loaded(write(folder, CAMERA + text.replace("host=None, port=None", "host, port"))) as hooks,
        pytest.raises(UsageError, match="nothing is known for the parameter colour of post_video_content"),
    ):
        hooks.start()


@pytest.mark.parametrize(("lat", "lng"), [(None, None), (1.0, None), (None, 1.0)])
def test_an_unknown_place_is_none(folder, lat, lng):
    with loaded(write(folder, CAMERA + POST.replace("True", "location is None"))) as hooks:
        assert post(hooks, record(lat=lat, lng=lng)).ok


def test_a_decorated_function_is_bound_as_what_it_wraps(folder):
    text = """
        import functools
        def traced(f):
            @functools.wraps(f)
            def inner(*args, **kwargs): return f(*args, **kwargs)
            return inner
        @traced
        def post_video_content(host, port, camera_name, camera_id, filepath, timestamp, latlng=None):
            return (host, camera_name, latlng) == ("192.168.1.57", "C2_Hi", (1.5, -2.25))
    """
    with loaded(write(folder, CAMERA + textwrap.dedent(text))) as hooks:
        assert post(hooks).ok


@pytest.mark.parametrize(("value", "ok"), [("True", True), ("'id'", True), ("1", True), ("{1}", True), ("False", False),
                                           ("None", False), ("0", False), ("''", False)])  # fmt: skip
def test_a_falsy_answer_is_not_stored(folder, value, ok):
    text = CAMERA + POST.replace("True", value) + f"def register_jobs(importer, db, jobs): return {value}\n"
    with loaded(write(folder, text)) as hooks:
        assert post(hooks).ok is ok
        assert hooks.register_jobs([("j", "0")], 20).ok is ok


def test_without_register_jobs_there_is_nothing_to_fail(folder):
    with loaded(write(folder, CAMERA + POST)) as hooks:
        assert hooks.register_jobs([("j", "0")], 20).ok
        answer = hooks.assign_job_ids({"k": record("k")}, ["k"])
        assert (answer.job_id, answer.changed) == (None, {})


@pytest.mark.parametrize("answer", ["None", "[]", "'id'", "7"])
def test_register_camera_must_answer_a_dictionary(folder, answer):
    text = POST + f"def register_camera(camera_name, host=None, port=None): return {answer}\n"
    with (
        loaded(write(folder, text)) as hooks,
        pytest.raises(WrongAnswer, match="register_camera must answer a dictionary, not ") as caught,
    ):
        hooks.register_camera("a", None, None)
    assert caught.value.exit_code == 3


def test_an_answer_that_is_no_json_is_an_error(folder):
    text = POST + "def register_camera(camera_name, host=None, port=None): return {'camera_id': object()}\n"
    with (
        loaded(write(folder, text)) as hooks,
        pytest.raises(ChildFailed, match="register_camera returned what is no JSON: Object of type object"),
    ):
        hooks.register_camera("a", None, None)


@pytest.mark.parametrize(
    ("answer", "job"), [("'j1'", "j1"), ("17", "17"), ("None", None), ("''", None), ("False", None)]
)
def test_a_job_is_text_or_none(folder, answer, job):
    text = CAMERA + POST + f"def assign_job_ids(importer, db, unscheduled): return {answer}\n"
    with loaded(write(folder, text)) as hooks:
        assert hooks.assign_job_ids({}, []).job_id == job


def test_a_job_that_is_no_text_is_an_error(folder):
    text = CAMERA + POST + "def assign_job_ids(importer, db, unscheduled): return ['j']\n"
    with (
        loaded(write(folder, text)) as hooks,
        pytest.raises(WrongAnswer, match="assign_job_ids must answer the text"),
    ):
        hooks.assign_job_ids({}, [])


@pytest.mark.parametrize("kind", ["async def", "generator"])
def test_a_function_that_did_not_run_is_no_success(folder, kind):
    text = "async def post_video_content(filepath): return True\n"
    if kind == "generator":
        text = "def post_video_content(filepath):\n    yield True\n"
    with loaded(write(folder, CAMERA + text)) as hooks, pytest.raises(WrongAnswer, match="did not run"):
        post(hooks)


JOBS = """
    import logging
    data = {}
    def set_hook_data(data_dict):
        data.update(data_dict)
        assert isinstance(data["logger"], logging.Logger)
        data["logger"].info("told %s", sorted(k for k in data if k != "logger"))
    def assign_job_ids(importer, db, unscheduled):
        assert importer.db is db and importer.args.anything is None
        assert len(importer.records) == len(db)
        for n, record in enumerate(unscheduled):
            assert db[record["key"]] is record
            record["job_id"] = "job"
            record["shard_id"] = str(n % 2)
        db.sync()
        importer.logger.warning("made")
        return "job"
    def register_jobs(importer, db, jobs):
        assert jobs == {("job", "0"), ("job", "1")}, jobs
        return sum(r["job_id"] == "job" for r in db.values()) == 3
"""


def test_jobs_are_made_and_their_records_come_back(folder):
    records = {k: record(k) for k in "abc"} | {"old": record("old", job_id="before")}
    said = []
    with loaded(
        write(folder, CAMERA + POST + textwrap.dedent(JOBS)), on_log=lambda *r: said.append(r)
    ) as hooks:
        assert "assign_job_ids" in hooks.start().functions
        hooks.set_hook_data({"plan": "PLUS"})
        hooks.set_hook_data({"registered_cameras": [{"camera_id": "x"}]})
        answer = hooks.assign_job_ids(records, ["a", "b", "c"])
        assert answer.job_id == "job"
        assert answer.changed == {
            k: record(k, job_id="job", shard_id=str(n % 2)) for n, k in enumerate("abc")
        }
        assert post(hooks, answer.changed["a"]).changed == {}
        assert hooks.register_jobs([("job", "0"), ("job", "1")], 20).changed == {}
    assert [r[2] for r in said if r[1] == "camtrail.hook"] == [
        "told ['plan']", "told ['plan', 'registered_cameras']", "made"
    ]  # fmt: skip


def test_changes_inside_a_record_and_puts_come_back(folder):
    text = """
        held = None
        def assign_job_ids(importer, db, unscheduled):
            global held
            held = db
            db["a"]["tags"]["deep"].append(3)
            db["b"] = {**db["b"], "own": (1, 2)}
            db["new"] = {"key": "new"}
        def post_video_content(camera_name, camera_id, filepath, timestamp, location=None, host=None, port=None):
            held["c"]["seen"] = filepath         # the one that is posted
            held["put"] = {"key": "put"}
            held["a"]["quiet"] = True            # another one, in place
            return True
        def register_jobs(importer, db, jobs): return True
    """
    records = {k: record(k, tags={"deep": [1, 2]}) for k in "abcd"}
    with loaded(write(folder, CAMERA + textwrap.dedent(text))) as hooks:
        first = hooks.assign_job_ids(records, [])
        assert first.changed == {
            "a": record("a", tags={"deep": [1, 2, 3]}),
            "b": record("b", tags={"deep": [1, 2]}, own=[1, 2]),
            "new": {"key": "new"},
        }
        second = post(hooks, records["c"])
        assert second.changed["c"]["seen"] == records["c"]["filename"]
        assert second.changed["put"] == {"key": "put"}
        assert set(second.changed) == {"c", "put"}
        third = hooks.register_jobs([], 20)
        assert third.changed["a"] == record("a", tags={"deep": [1, 2, 3]}, quiet=True)
        assert "d" not in third.changed


def test_register_jobs_sees_the_records_as_they_are_by_then(folder):
    text = "def register_jobs(importer, db, jobs): return all(r['uploaded_on'] for r in db.values())\n"
    with loaded(write(folder, CAMERA + POST + text)) as hooks:
        hooks.assign_job_ids({"a": record("a")}, ["a"])
        assert not hooks.register_jobs([("j", "0")], 20).ok
        assert hooks.register_jobs([("j", "0")], 20, {"a": record("a", uploaded_on="now")}).ok


def test_what_a_call_changed_before_it_raised_is_not_lost(folder):
    path = write(
        folder,
        CAMERA
        + POST
        + """
def register_jobs(importer, db, jobs):
    db["a" * 40]["registered_on"] = "now"
    raise ValueError("the second one failed")
""",
    )
    with loaded(path) as hooks:
        hooks.start()
        hooks.assign_job_ids({"a" * 40: record()}, [])
        with pytest.raises(ChildFailed, match="the second one failed"):
            hooks.register_jobs([("J", "0")], 20.0)
        assert hooks.changes() == {"a" * 40: record(registered_on="now")}
        assert hooks.changes() == {}


def test_a_process_that_has_ended_has_changed_nothing(folder):
    path = write(folder, CAMERA + "def post_video_content(*a, **k):\n    import os\n    os._exit(3)\n")
    with loaded(path) as hooks:
        hooks.start()
        with pytest.raises(ChildEnded):
            post(hooks)
        assert hooks.changes() == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("db['a']['when'] = object()", "the record a of db has a value that is no JSON: a object"),
        (
            "db['a']['when'] = {1: 2}",
            "the record a of db has a value that is no JSON: a dictionary whose keys",
        ),
        ("db['a'] = 3", "TypeError: db takes dictionaries by text"),
        ("db[1] = {}", "TypeError: db takes dictionaries by text"),
        ("del db['a']", "TypeError: records cannot be deleted from db"),
    ],
)
def test_what_db_does_not_take_is_said(folder, line, said):
    text = CAMERA + POST + f"def assign_job_ids(importer, db, unscheduled):\n    {line}\n"
    with loaded(write(folder, text)) as hooks, pytest.raises((WrongAnswer, ChildFailed)) as caught:
        hooks.assign_job_ids({"a": record("a")}, ["a"])
    assert caught.value.message.startswith(said)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
many_records = st.dictionaries(st.text(max_size=4), st.dictionaries(st.text(), json_values), max_size=5)


@given(many_records, many_records)
def test_what_the_parent_is_told_makes_it_know_all(before, after):
    db = Records()
    db.know(json.loads(json.dumps(before)))
    for key, value in after.items():
        if key in db:
            db[key].clear()
            db[key].update(value)
        else:
            db[key] = value
    changed = db.changed()
    assert {**before, **changed} == {**before, **after}
    assert all(before.get(k) != r for k, r in changed.items())
    assert db.changed() == {}


def test_thousands_of_records_pass_quickly(folder):
    text = """
        def assign_job_ids(importer, db, unscheduled):
            for record in unscheduled:
                record["job_id"], record["shard_id"] = "j", "0"
            return "j"
    """
    records = {f"{n:040x}": record(f"{n:040x}") for n in range(25_000)}
    with loaded(write(folder, CAMERA + POST + textwrap.dedent(text))) as hooks:
        hooks.start()
        start = time.perf_counter()
        answer = hooks.assign_job_ids(records, list(records))
        assert time.perf_counter() - start < 2
        assert len(answer.changed) == 25_000
        starts = []
        for key in list(records)[:300]:
            start = time.perf_counter()
            post(hooks, answer.changed[key])
            starts.append(time.perf_counter() - start)
    assert sorted(starts)[75] < 1e-3


# ---- what goes wrong in them


BAD = """
    import os, signal, sys, threading, time
    count = 0
    told = {}
    def set_hook_data(data): told.update({k: v for k, v in data.items() if k != "logger"})
    def register_camera(camera_name, host=None, port=None):
        return {"camera_id": camera_name, "told": told}
    db_of_mine = None
    def assign_job_ids(importer, db, unscheduled):
        global db_of_mine
        db_of_mine = db
        return "j"
    def register_jobs(importer, db, jobs):
        return sorted(db) == ["a", "b"] and db["a"].get("marked")
    def post_video_content(camera_name, camera_id, filepath, timestamp, location=None, host=None, port=None):
        if db_of_mine is not None:
            db_of_mine["a"]["marked"] = True
        eval(compile(filepath, "case", "exec"), globals())
        return True
"""


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("raise KeyError('k')", ChildFailed, "KeyError: 'k'"),
        ("sys.exit(1)", ChildFailed, "SystemExit: 1"),
        ("raise KeyboardInterrupt", ChildFailed, "KeyboardInterrupt: "),
        ("os._exit(3)", ChildEnded, "post_video_content ended its process with exit status 3"),
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            ChildEnded,
            "post_video_content ended its process by SIGSEGV",
        ),
        ("while True: pass", ChildTimedOut, "post_video_content gave no answer within 0.5 s and was ended"),
        ("input()", ChildFailed, "EOFError: EOF when reading a line"),
    ],
)
def test_a_failing_hook_is_the_error_of_one_video(folder, code, kind, said):
    with loaded(write(folder, BAD)) as hooks:
        hooks.start()
        with pytest.raises(kind) as caught:
            post(hooks, record(filename=code), timeout_s=0.5)
        assert caught.value.message == said
        assert caught.value.exit_code == 3
        assert post(hooks, record(filename="pass")).ok


@pytest.mark.parametrize(
    "code",
    [
        "print('x' * 1000)",
        "os.write(1, b'{}' + bytes([10]))",
        "sys.stderr.write('e' * 5_000_000)",
        "sys.stdin.read()",
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        "os.close(0)",
        "os.close(1)",
    ],
)
def test_a_noisy_hook_disturbs_nothing(folder, code):
    with loaded(write(folder, BAD)) as hooks:
        for _ in range(3):
            assert post(hooks, record(filename=f"try:\n    {code}\nexcept OSError: pass")).ok


def test_after_a_crash_they_are_told_all_again(folder):
    with loaded(write(folder, BAD)) as hooks:
        hooks.start()
        hooks.set_hook_data({"plan": "PLUS", "n": 1})
        hooks.set_hook_data({"registered_cameras": [1]})
        hooks.set_hook_data({"registered_cameras": [1, 2]})
        hooks.assign_job_ids({k: record(k) for k in "ab"}, ["a"])
        posted = post(hooks, record("a", filename="pass"))
        assert posted.changed["a"]["marked"]
        with pytest.raises(ChildEnded):
            post(hooks, record("b", filename="os._exit(1)"))
        told = hooks.register_camera("c", None, None)["told"]
        assert told == {"plan": "PLUS", "n": 1, "registered_cameras": [1, 2]}
        with pytest.raises(ChildEnded):
            post(hooks, record("b", filename="os._exit(1)"))
        assert hooks.register_jobs([("j", "0")], 20).ok


def test_hooks_that_cannot_be_told_again_are_not_called_half_told(folder):
    text = """
        import os
        def set_hook_data(data):
            assert not os.path.exists(__file__ + ".stop")
        def register_camera(camera_name, host=None, port=None): os._exit(1)
    """
    path = write(folder, textwrap.dedent(text) + POST)
    with loaded(path) as hooks:
        hooks.set_hook_data({"a": 1})
        with pytest.raises(ChildEnded):
            hooks.register_camera("a", None, None)
        (folder / "my_hooks.py.stop").touch()
        for _ in range(2):
            with pytest.raises(ChildFailed, match="AssertionError"):
                post(hooks)
        (folder / "my_hooks.py.stop").unlink()
        assert post(hooks).ok


def test_secrets_of_settings_do_not_reach_the_log(folder):
    text = """
        def set_hook_data(data): data["logger"].info("with %s", data)
    """
    said = []
    path = write(folder, textwrap.dedent(text) + CAMERA + POST)
    with loaded(path, on_log=lambda *r: said.append(r)) as hooks:
        hooks.set_hook_data({"access_token": "t0ken-of-mine", "cameras": {"a": {"device_id": "d3vice-id"}}})
    assert len(said) == 1
    assert "t0ken" not in said[0][2]
    assert "d3vice" not in said[0][2]


# ---- the class


CLASS = """
    import os
    from camtrail.core.errors import AuthError
    from camtrail.transfer.hooks import Check, Hook, Permanent, Retry

    class Mine(Hook):
        def __init__(self):
            self.data = {}
        def configure(self, data):
            self.data.update(data)
        def register_camera(self, name, host, port):
            return {"camera_id": name + self.data.get("plan", ""), "address": [host, port]}
        def assign(self, videos, all):
            for video in videos:
                assert all[video.key].record is video.record
                video.job_id, video.shard_id = "job", "0"
            self.logger.info("%d of %d", len(videos), len(self.videos))
            return "job" if videos else None
        def submit(self, video, camera_id, host, port):
            if video.path == "never": raise Permanent("too small", "record longer")
            if video.path == "later": raise Retry("busy", 30.0)
            if video.path == "token": raise AuthError("who are you", "log in")
            if video.path == "crash": os._exit(1)
            video.upload_url = "https://u.example"
            video.record["own"] = [video.lat_deg, video.lon_deg, video.duration_s, video.size_bytes]
        def finish(self, jobs):
            assert jobs == [("job", "0")] and all(v.job_id == "job" for v in self.videos.values())
        def origin(self):
            return self.data.get("server")
        def check(self, host, port):
            return [Check("address", host is not None, "is %s" % host), Check("token", True, "is good")]
"""


@pytest.fixture
def importable(folder):
    write(folder, CLASS, "module_of_mine.py")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize("target", ["module_of_mine:Mine", "module_of_mine"])
def test_a_class_answers_the_same_calls(importable, target):
    said = []
    spec = HookSpec("mine", target)
    with loaded(spec, env=importable, on_log=lambda *r: said.append(r[2])) as hooks:
        info = hooks.start()
        assert info.is_api2
        assert "assign_job_ids" in info.functions
        assert info.origin is None
        hooks.set_hook_data({"plan": "PLUS", "server": "https://s.example"})
        assert hooks.origin() == "https://s.example"
        assert hooks.register_camera("c", "h", "1") == {"camera_id": "cPLUS", "address": ["h", "1"]}
        answer = hooks.assign_job_ids({"a": record("a")}, ["a"])
        assert (answer.job_id, answer.changed) == ("job", {"a": record("a", job_id="job", shard_id="0")})
        posted = post(hooks, answer.changed["a"])
        assert posted.ok
        assert posted.changed["a"]["own"] == [1.5, -2.25, 60.5, 10]
        assert posted.changed["a"]["upload_url"] == "https://u.example"
        assert hooks.register_jobs([("job", "0")], 20).ok
        assert hooks.check("h", None) == [Check("address", True, "is h"), Check("token", True, "is good")]
    assert said == ["1 of 1"]


def test_what_a_class_raises_keeps_its_meaning(importable):
    with loaded(HookSpec("mine", "module_of_mine:Mine"), env=importable) as hooks:
        with pytest.raises(Permanent) as never:
            post(hooks, record(filename="never"))
        assert (never.value.message, never.value.hint) == ("too small", "record longer")
        assert isinstance(never.value, Rejected) and not never.value.retryable
        with pytest.raises(Retry) as later:
            post(hooks, record(filename="later"))
        assert isinstance(later.value, QuotaExceeded) and later.value.retryable
        assert (later.value.message, later.value.retry_after_s) == ("busy", 30.0)
        with pytest.raises(AuthError) as token:
            post(hooks, record(filename="token"))
        assert token.value.exit_code == 6


def test_a_class_is_told_all_again_after_a_crash(importable):
    with loaded(HookSpec("mine", "module_of_mine:Mine"), env=importable) as hooks:
        hooks.set_hook_data({"plan": "PLUS"})
        hooks.assign_job_ids({"a": record("a")}, ["a"])
        with pytest.raises(ChildEnded):
            post(hooks, record("a", filename="crash", job_id="job", shard_id="0"))
        assert hooks.register_camera("c", None, None)["camera_id"] == "cPLUS"
        assert hooks.register_jobs([("job", "0")], 20).ok


def test_a_file_may_define_a_class(folder):
    with loaded(write(folder, CLASS)) as hooks:
        assert hooks.start().is_api2
        assert post(hooks).ok


def test_what_a_class_does_not_override_is_not_offered(folder):
    text = """
        from camtrail.transfer.hooks import Hook
        class Small(Hook):
            def register_camera(self, name, host, port): return {}
            def submit(self, video, camera_id, host, port): pass
        instance = Small()
        class Half(Hook):
            def submit(self, video, camera_id, host, port): pass
    """
    write(folder, text, "small_hooks.py")
    env = {**os.environ, "PYTHONPATH": str(folder)}
    with loaded(HookSpec("small", "small_hooks:instance"), env=env) as hooks:
        info = hooks.start()
        assert info.functions == {"register_camera", "post_video_content"}
        assert hooks.check(None, None) == []
        assert hooks.assign_job_ids({}, []).job_id is None
        assert hooks.register_jobs([], 20).ok
    with (
        loaded(HookSpec("half", "small_hooks:Half"), env=env) as hooks,
        pytest.raises(UsageError, match="small_hooks:Half has no register_camera"),
    ):
        hooks.start()
    with (
        loaded(HookSpec("none", "small_hooks:Nobody"), env=env) as hooks,
        pytest.raises(UsageError, match="Nobody"),
    ):
        hooks.start()


def test_a_module_of_the_current_folder_is_not_taken(folder, monkeypatch):
    write(folder, CLASS, "module_of_mine.py")
    monkeypatch.chdir(folder)
    with (
        loaded(HookSpec("mine", "module_of_mine")) as hooks,
        pytest.raises(UsageError, match="there is no module module_of_mine"),
    ):
        hooks.start()


@pytest.mark.parametrize(
    ("body", "checks"),
    [
        ("return [('token', True, 'good'), {'name': 'box', 'ok': False, 'message': 'gone'}]",
         [Check("token", True, "good"), Check("box", False, "gone")]),
        ("return None", []),
    ],
)  # fmt: skip
def test_checks_of_functions(folder, body, checks):
    with loaded(write(folder, CAMERA + POST + f"def check(host, port): {body}\n")) as hooks:
        assert hooks.check("h", "1") == checks


@pytest.mark.parametrize("value", ["True", "'fine'", "[1]", "[('a', 'yes', 'b')]"])
def test_checks_of_another_shape_are_an_error(folder, value):
    with (
        loaded(write(folder, CAMERA + POST + f"def check(host, port): return {value}\n")) as hooks,
        pytest.raises(WrongAnswer, match="check must answer"),
    ):
        hooks.check("h", "1")


def test_an_origin_is_text(folder):
    with (
        loaded(write(folder, CAMERA + POST + "def service_origin(): return 7\n")) as hooks,
        pytest.raises(WrongAnswer, match="service_origin must answer text"),
    ):
        hooks.start()


def test_a_video_is_a_view_of_its_record():
    given = record(other=1)
    video = Video(given)
    video.job_id = "j"
    assert (given["job_id"], video.job_id, video.lon_deg, video.upload_url) == ("j", "j", -2.25, None)


# ---- the environment


@given(st.dictionaries(st.text(st.characters(categories=["Lu", "Ll", "Nd", "Pc"])), st.text()))
def test_of_an_environment_only_secrets_of_others_are_left_out(env):
    kept = scrubbed(env)
    assert kept.items() <= env.items()
    assert all(
        is_secret(n) or n.upper().startswith(("AWS_", "INAT_", "MAPILLARY_"))
        for n in env.keys() - kept.keys()
    )
    assert scrubbed(kept) == kept


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("PATH", True), ("HOME", True), ("PYTHONPATH", True), ("LANG", True), ("CAMTRAIL_KEYRING", True),
        ("CAMIO_OAUTH_TOKEN", True), ("CAMIO_BOX_DEVICE_ID", True), ("CAMIO_SERVER_URL", True),
        ("CAMTRAIL_MAPILLARY_URL", True), ("CAMTRAIL_MAPILLARY_TOKEN", False), ("CAMTRAIL_INAT_PASSWORD", False),
        ("MAPILLARY_TOKEN", False), ("MAPILLARY_X", False), ("INAT_TOKEN", False), ("AWS_PROFILE", False),
        ("AWS_SECRET_ACCESS_KEY", False), ("GITHUB_TOKEN", False), ("OPENAI_API_KEY", False), ("api_key", False),
        ("MY_SECRETS", False), ("DB_PASSWD", False), ("GOOGLE_APPLICATION_CREDENTIALS", False), ("SSH_KEYS", False),
    ],
)  # fmt: skip
def test_which_variables_hooks_get(name, stays):
    assert (name in scrubbed({name: "x"})) is stays


def test_hooks_see_the_environment_that_they_are_given(folder):
    text = (
        POST + "import os\ndef register_camera(camera_name, host=None, port=None): return dict(os.environ)\n"
    )
    env = scrubbed(
        {**os.environ, "MAPILLARY_TOKEN": "secret-of-others", "CAMIO_OAUTH_TOKEN": "token-of-camio"}
    )
    with loaded(write(folder, text), env=env) as hooks:
        seen = hooks.register_camera("a", None, None)
    assert seen["CAMIO_OAUTH_TOKEN"] == "token-of-camio"
    assert "MAPILLARY_TOKEN" not in seen


def test_hooks_log_by_the_logger_that_they_are_given(folder, caplog):
    text = "def set_hook_data(data): data['logger'].warning('from the child')\n"
    with caplog.at_level(logging.INFO), loaded(write(folder, CAMERA + POST + text)) as hooks:
        hooks.set_hook_data({})
    assert ("camtrail.hook", logging.WARNING, "from the child") in caplog.record_tuples


def test_the_file_is_left_as_it_was(folder):
    path = write(folder, CAMERA + POST)
    before = os.stat(path)
    with loaded(path) as hooks:
        hooks.start()
    after = os.stat(path)
    assert (after.st_mtime_ns, after.st_size, stat.S_IMODE(after.st_mode)) == (
        before.st_mtime_ns, before.st_size, stat.S_IMODE(before.st_mode)
    )  # fmt: skip
    assert os.listdir(folder) == ["my_hooks.py"]
