"""`camtrail video import` as it is typed: its options, what it prints, how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import time

import pytest

from camtrail.cli.video import address_of
from camtrail.core.errors import UsageError
from video.conftest import (
    REGEX,
    TWO,
    HookFile,
    command,
    fill,
    footage,
    hook_file,
    kill,
    name_of,
    sha1,
    video,
)

JOBS = """
def set_hook_data(data): note("data", {k: v for k, v in data.items() if k != "logger"})
def register_camera(camera_name, host=None, port=None):
    note("camera", camera_name, host, port)
    return {"camera_id": "id"}
def assign_job_ids(importer, db, unscheduled):
    for r in unscheduled: r["job_id"], r["shard_id"] = "job/1", "0"
    return "job/1"
def post_video_content(camera_name, camera_id, filepath, timestamp):
    print("hooks that print")
    note("taken", os.path.basename(filepath))
    return True
"""


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path / "videos")
    return tmp_path / "videos"


@pytest.fixture
def file(tmp_path) -> HookFile:
    return hook_file(tmp_path, JOBS)


@pytest.fixture
def run(camtrail, folder, file):
    """`camtrail video import -r REGEX ARGUMENTS`, with the hooks' environment."""

    def call(*arguments, env=None, raw=False):
        made = ("video", "import", "--regex", REGEX, *arguments)
        return camtrail(*made, env={**file.env, **(env or {})}, raw=raw)

    return call


# ---- what it prints


def test_the_last_line_names_the_job(run, folder, file):
    ended = run(folder, file.path)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == ["        3  sent", "Job ID: job/1"]
    assert f"hooks of {file.path}, sha256 " in ended.err
    again = run(folder, file.path)
    assert again.code == 0 and again.out.splitlines() == ["        3  sent before", "Job ID: job/1"]
    assert file.posted() == [name_of(n) for n in range(3)]


def test_quiet_leaves_the_job(run, folder, file):
    ended = run(folder, file.path, "-q")
    assert (ended.code, ended.out, ended.err) == (0, "Job ID: job/1\n", "")


def test_json_is_one_object_with_each_video(run, folder, file):
    (folder / "copy").mkdir()
    (folder / "copy" / name_of(8)).write_bytes(video(0))
    (folder / "noname.mp4").write_bytes(video(4))
    (folder / name_of(6)).write_bytes(b"")
    ended = run(folder, file.path, "--json")
    assert ended.code == 3
    said = ended.json
    assert said["command"] == "video import"
    assert said["counts"] == {"sent": 3, "duplicate": 1, "failed": 2}
    assert said["jobs"] == ["job/1"] and said["storage"] == str(folder / ".camtrail" / "import.sqlite")
    assert said["outputs"] == [] and isinstance(said["elapsed_s"], float)
    assert [f["path"] for f in said["failures"]] == [str(folder / "noname.mp4"), str(folder / name_of(6))]
    assert all(f["code"] and f["message"] and f["hint"] for f in said["failures"])
    by_name = {os.path.relpath(v["path"], folder): v for v in said["videos"]}
    assert list(by_name) == sorted(by_name) and len(by_name) == 6
    sent = by_name[name_of(0)]
    assert sent == {
        "path": str(folder / name_of(0)), "outcome": "duplicate", "reason": sent["reason"],
        "sha1": sha1(video(0)), "duplicate_of": str(folder / "copy" / name_of(8)),
    } or sent["outcome"] == "sent"  # fmt: skip
    assert by_name[name_of(1)] == {
        "path": str(folder / name_of(1)), "outcome": "sent", "reason": "", "sha1": sha1(video(1)),
        "camera": "CAM", "time": "2016-10-09T12:03:37.000Z", "time_source": "epoch", "job_id": "job/1",
        "shard_id": "0",
    }  # fmt: skip
    assert by_name["noname.mp4"]["outcome"] == "failed" and by_name["noname.mp4"]["sha1"] is None


def test_csv_prints_what_is_known_and_imports_nothing(run, folder, file):
    assert run(folder, "--csv").out.count("\n") == 1
    run(folder, file.path)
    file.forget()
    ended = run(folder, file.path, "-c", "-q")
    assert ended.code == 0 and file.calls() == []
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["FILENAME"] for row in rows] == [str(folder / name_of(n)) for n in range(3)]
    assert rows[0] | {"DISCOVERED_ON": "", "UPLOADED_ON": ""} == {
        "FILENAME": str(folder / name_of(0)), "CAMERA": "CAM",
        "GIVEN_NAME": f"CAM.2016-10-09T12:02:37.000.{sha1(video(0))}.mp4",
        "CREATED_ON": "2016-10-09T12:02:37.000", "DISCOVERED_ON": "", "UPLOADED_ON": "",
        "STATE": "registered", "REASON": "", "JOB_ID": "job/1", "SHARD_ID": "0", "SHA1": sha1(video(0)),
        "HOOK": "my_hooks", "SERVICE": str(file.path),
    }  # fmt: skip
    assert all(row["DISCOVERED_ON"].endswith("+00:00") and row["UPLOADED_ON"] for row in rows)


def test_regex_test_prints_what_names_tell(run, folder, file):
    (folder / "noname.mp4").write_bytes(b"")
    ended = run(folder, "--regex-test")
    assert ended.code == 0 and file.calls() == []
    assert ended.out.splitlines() == [
        str(folder / name_of(0)), "    camera CAM, time 2016-10-09T12:02:37.000Z (path)",
        str(folder / name_of(1)), "    camera CAM, time 2016-10-09T12:03:37.000Z (path)",
        str(folder / name_of(2)), "    camera CAM, time 2016-10-09T12:04:37.000Z (path)",
        str(folder / "noname.mp4"), "    camera -, time - (no match)", "    its name does not match --regex",
    ]  # fmt: skip
    names = run(folder, "--regex-test", "--json").json["names"]
    assert [n["camera"] for n in names] == ["CAM", "CAM", "CAM", None]
    assert not (folder / ".camtrail" / "import.sqlite").exists()


def test_regex_test_shows_the_cameras_that_an_import_would_have(run, folder):
    (folder / "clip.mp4").write_bytes(b"")
    regex = r".*/(?P<camera>CAM)?.*?(?P<epoch>\d+)?\.mp4"
    names = run(
        folder, "--regex-test", "--json", "-r", regex, "--default-camera", "Z", "--camera_name_suffix", "_s"
    ).json["names"]
    assert {row["path"].rpartition("/")[2]: row["camera"] for row in names}["clip.mp4"] == "Z_s"
    assert {row["camera"] for row in names} == {"Z_s", "CAM_s"}


def test_regex_test_looks_at_twenty_and_says_when_there_is_none(run, folder, tmp_path):
    fill(folder, 30)
    assert len(run(folder, "--regex-test", "--json").json["names"]) == 20
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", "--regex-test").out == "no videos\n"


def test_the_default_regular_expression_is_the_documented_one(camtrail, tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "CAMERA_FRONT-rand-1475973147.mp4").write_bytes(video())
    ended = camtrail("video", "import", "v", "null", "--json")
    assert [(v["camera"], v["time"]) for v in ended.json["videos"]] == [
        ("CAMERA_FRONT", "2016-10-09T00:32:27.000Z")
    ]


def test_dry_run_says_what_would_be_sent(run, folder, file):
    ended = run(folder, file.path, "--dry-run")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        *(
            f"would send {folder / name_of(n)} of camera CAM, 2016-10-09T12:0{n + 2}:37.000Z"
            for n in range(3)
        ),
        "        3  to send",
    ]
    assert file.posted() == [] and file.calls("camera") == []
    assert run(folder, file.path).out.splitlines()[0] == "        3  sent"


def test_dry_run_of_many_names_twenty(run, folder, file):
    fill(folder, 25)
    lines = run(folder, file.path, "--dry-run").out.splitlines()
    assert len(lines) == 22 and lines[20] == "… and 5 more; --json lists all"


def test_check_asks_the_hooks_and_sends_nothing(run, folder, file, tmp_path):
    assert run(folder, "null", "--check").out == "the hooks are fine; they have no check of their own\n"
    text = (
        JOBS
        + 'def check(host, port): return [("token", True, "is good"), ("box", GOOD, host + ":" + port)]\n'
    )
    good = hook_file(tmp_path, text.replace("GOOD", "True"))
    ended = run(folder, good.path, "192.168.1.57", "--check")
    assert (ended.code, ended.out) == (0, "  ok  token: is good\n  ok  box: 192.168.1.57:8080\n")
    bad = hook_file(tmp_path, text.replace("GOOD", "False"))
    ended = run(folder, bad.path, "192.168.1.57", "--check", "--json")
    assert ended.code == 5
    assert ended.json["checks"] == [
        {"name": "token", "ok": True, "message": "is good"},
        {"name": "box", "ok": False, "message": "192.168.1.57:8080"},
    ]
    assert file.posted() == [] and not (folder / ".camtrail" / "import.sqlite").exists()


def test_names_whose_bytes_are_no_utf8_are_escaped(run, folder, file):
    if os.name == "nt":
        pytest.skip("names are UTF-16 there")
    os.mkdir(os.fsencode(folder) + b"/caf\xe9")
    os.rename(folder / name_of(0), os.fsencode(folder) + b"/caf\xe9/CAM-1476014557.mp4")
    ended = run(folder, file.path, "--json")
    assert ended.code == 0, ended.err
    assert any(v["path"].endswith(r"caf\xe9/CAM-1476014557.mp4") for v in ended.json["videos"])
    assert run(folder, "--csv").code == 0


def test_secrets_of_the_settings_are_in_no_log(run, folder, file):
    data = json.dumps({"access_token": "sEcReTvAlUe", "device_id": "dEvIcEsEcReT"})
    text = file.path.read_text().replace(
        "def register", 'def trouble(): raise ValueError("sEcReTvAlUe dEvIcEsEcReT")\ndef register'
    )
    file.path.write_text(text.replace("print(", "trouble() or print("))
    ended = run(folder, file.path, "-d", data, "-v")
    assert ended.code == 3
    assert "sEcReTvAlUe" not in ended.out + ended.err and "dEvIcEsEcReT" not in ended.out + ended.err


def test_what_names_and_hooks_say_cannot_write_to_the_terminal(run, folder, file):
    os.rename(folder / name_of(0), folder / "a\x1b[31m-1476014557.mp4")
    file.path.write_text(file.path.read_text().replace('"job/1"', '"job\\x1b[0m"'))
    ended = run(folder, file.path, "-v")
    assert "\x1b" not in ended.out + ended.err and r"Job ID: job\x1b[0m" in ended.out


# ---- what it is told


def test_settings_of_the_command_line_win_over_the_file(run, folder, file, tmp_path):
    (tmp_path / "data.json").write_text('{"plan": "pro", "mine": {"a": 1}, "b": 2,}')
    ended = run(folder, file.path, "-f", tmp_path / "data.json", "-d", '{"plan": "basic", "c": 3}')
    assert ended.code == 0
    assert file.calls("data")[0] == [{"plan": "basic", "mine": {"a": 1}, "b": 2, "c": 3}]
    assert "data.json: a comma too many was passed over (line 1, column 41)" in ended.err


@pytest.mark.parametrize("option", ["--hooks_module", "--hook_module", "--hooks-module"])
def test_the_hooks_may_be_an_option(run, folder, file, option):
    assert run(folder, option, file.path, "10.0.0.7").code == 0
    assert file.calls("camera") == [["CAM", "10.0.0.7", "8080"]]


@pytest.mark.parametrize(
    ("arguments", "env", "address"),
    [
        ((), {}, [None, None]),
        (("10.0.0.7",), {}, ["10.0.0.7", "8080"]),
        (("10.0.0.7:81",), {}, ["10.0.0.7", "81"]),
        (("http://10.0.0.7:81/",), {}, ["10.0.0.7", "81"]),
        (("10.0.0.7", "-p", "82"), {}, ["10.0.0.7", "82"]),
        (("--host", "10.0.0.7", "--port", "82"), {}, ["10.0.0.7", "82"]),
        (("-p", "82"), {}, [None, "82"]),
        (("10.0.0.7",), {"CAMIO_BOX_URL": "http://10.0.0.7:83"}, ["10.0.0.7", "83"]),
        (("10.0.0.8",), {"CAMIO_BOX_URL": "http://10.0.0.7:83"}, ["10.0.0.8", "8080"]),
    ],
)
def test_the_host_reaches_the_hooks(run, folder, file, arguments, env, address):
    assert run(folder, file.path, *arguments, env=env).code == 0
    assert file.calls("camera") == [["CAM", *address]]


@pytest.mark.parametrize(
    ("host", "port", "box_url", "address"),
    [
        ("", 0, "", (None, None)),
        ("", 81, "", (None, "81")),
        ("", 0, "http://box:83", (None, None)),
        ("box", 0, "", ("box", "8080")),
        ("box", 81, "", ("box", "81")),
        ("box:81", 0, "", ("box", "81")),
        ("box:81", 81, "", ("box", "81")),
        ("http://box", 0, "", ("box", "8080")),
        ("HTTP://Box:81/", 0, "", ("box", "81")),
        ("box", 0, "http://box:83/", ("box", "83")),
        ("BOX", 0, "http://box:83", ("box", "83")),
        ("box:81", 0, "http://box:83", ("box", "81")),
        ("box", 81, "http://box:83", ("box", "81")),
        ("box", 0, "http://other:83", ("box", "8080")),
        ("box", 0, "http://box", ("box", "8080")),
        ("[::1]", 0, "", ("::1", "8080")),
        ("[::1]:81", 0, "", ("::1", "81")),
        ("::1", 0, "", ("::1", "8080")),
        ("fe80::1:2", 81, "", ("fe80::1:2", "81")),
        ("http://[::1]:81", 0, "", ("::1", "81")),
        ("::1", 0, "http://[::1]:83", ("::1", "83")),
        (" 192.168.1.57 ", 0, "", ("192.168.1.57", "8080")),
        ("192.168.1.57/", 0, "", ("192.168.1.57", "8080")),
    ],
)
def test_forms_of_a_host(host, port, box_url, address):
    assert address_of(host, port, box_url) == address


@pytest.mark.parametrize(
    "host",
    [
        "https://box", "ftp://box", "box:x", "box:99999", "box:0", "box:-1", ":81", "http://", "//", "box/path",
        "http://box/path", "http://box?x=1", "me@box", "http://me:secret@box", "a b", "box\n:81", "[::1", "::1]",
        "box:81:82", "http://box#part", "b\u202eox",
    ],
)  # fmt: skip
def test_what_is_no_host(host):
    with pytest.raises(UsageError) as raised:
        address_of(host, 0, "")
    assert raised.value.hint and "secret" not in raised.value.message


@pytest.mark.parametrize("box_url", ["https://box:8443", "http://box:x", "box/path"])
def test_an_address_of_the_environment_that_is_none_is_said(box_url):
    with pytest.raises(UsageError, match="CAMIO_BOX_URL"):
        address_of("box", 0, box_url)
    assert address_of("box:81", 0, box_url) == ("box", "81")
    assert address_of("", 0, box_url) == (None, None), "the hooks say what they make of it"


def test_two_ports_are_one_too_many():
    with pytest.raises(UsageError, match="two ports"):
        address_of("box:81", 82, "")


# ---- what cannot be done


def test_what_is_wrong_is_said_with_its_code(run, folder, file, tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "bad.json").write_text('{"a": }')
    (tmp_path / "old.py").write_text("print 'a'\n")
    (tmp_path / "damaged.sqlite").write_bytes(b"no database" * 500)
    for bad in (tmp_path / "old.py", tmp_path):
        bad.chmod(0o755)
    good = file.path
    table = [
        ((), 2, "FOLDER"),
        ((folder,), 2, "HOOK_MODULE is missing"),
        ((tmp_path / "none", good), 4, "none"),
        ((good, good), 4, "is no folder"),
        ((folder, tmp_path / "none.py"), 2, "none.py"),
        ((folder, "nohooks"), 2, "no such hooks"),
        ((folder, tmp_path / "old.py"), 2, "use the built-in hook camio"),
        ((folder, "local"), 10, "local is not there yet"),
        ((folder, "LOCAL", "--json"), 10, "local is not there yet"),
        ((folder, good, "box", "more"), 2, "one word too many"),
        ((folder, good, "box", "--host", "other"), 2, "two hosts"),
        ((folder, good, "box/x"), 2, "no address"),
        ((folder, good, "box:81", "-p", "82"), 2, "two ports"),
        ((folder, good, "-p", "x"), 2, "port"),
        ((folder, good, "-p", "99999"), 2, "port"),
        ((folder, good, "-r", "("), 2, "is no regular expression"),
        ((folder, good, "-r", "x"), 2, "has no group 'camera'"),
        ((folder, "--regex-test", "-r", "("), 2, "is no regular expression"),
        ((folder, good, "--timezone", "Mars/Base"), 2, "Mars/Base"),
        ((folder, good, "--dst-fold", "third"), 2, "third"),
        ((folder, good, "-d", "{"), 2, "--hook_data_json is no JSON"),
        ((folder, good, "-d", "[]"), 2, "no JSON object"),
        ((folder, good, "-f", tmp_path / "none.json"), 4, "none.json"),
        ((folder, good, "-f", tmp_path / "bad.json"), 4, "is no JSON"),
        ((folder, good, "-f", tmp_path / "list.json"), 4, "no JSON object"),
        ((folder, good, "-s", tmp_path), 7, str(tmp_path)),
        ((folder, good, "-s", tmp_path / "list.json" / "a.sqlite"), 7, "list.json"),
        ((folder, good, "-s", tmp_path / "damaged.sqlite"), 8, "damaged"),
        ((folder, good, "-c", "-s", tmp_path / "damaged.sqlite"), 8, "damaged"),
        ((folder, "--csv", "--json"), 2, "--csv and --json"),
        ((folder, good, "--hook-timeout", "0"), 2, "hook-timeout"),
        ((folder, good, "--workers", "-1"), 2, "workers"),
    ]
    for arguments, code, said in table:
        ended = run(*arguments)
        assert (ended.code, said in ended.err) == (code, True), (arguments, ended)
        assert "Traceback" not in ended.err and file.posted() == []


def test_csv_of_a_folder_without_state_makes_none(run, folder, tmp_path):
    assert run(folder, "--csv", "-s", tmp_path / "new.sqlite").code == 0
    assert not (tmp_path / "new.sqlite").exists() and not (folder / ".camtrail" / "import.sqlite").exists()


# ---- two runs, and runs that are ended

SLOW = TWO + "def trouble(name):\n    while not is_switched('go'): __import__('time').sleep(0.01)\n"


@pytest.fixture
def slow(tmp_path) -> HookFile:
    return hook_file(tmp_path, SLOW, "slow.py")


def started(folder, file, *more, env=None):
    return subprocess.Popen(
        command("video", "import", "--regex", REGEX, folder, file.path, *more),
        env={**os.environ, **file.env, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(what, process):
    until = time.monotonic() + 30
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_second_run_with_a_storage_ends_at_once(folder, slow, run):
    process = started(folder, slow)
    try:
        wait_for(lambda: slow.calls("post_video_content"), process)
        began = time.monotonic()
        assert run(folder, "--csv").code == 0, "looking is no second run"
        start_s = time.monotonic() - began
        second = run(folder, slow.path, env=slow.env)
        took_s = time.monotonic() - began - start_s
        assert second.code == 9 and "another run imports" in second.err
        assert took_s < start_s + 2.0
        slow.switch("go")
        assert process.wait(30) == 0
    finally:
        kill(process)
        process.communicate()
    assert len(slow.posted()) == 3


def test_a_run_that_waits_goes_on_when_the_other_ends(folder, slow):
    first = started(folder, slow)
    second = None
    try:
        wait_for(lambda: slow.calls("post_video_content"), first)
        second = started(folder, slow, "--wait")
        assert b"waiting for its end" in second.stderr.readline() + second.stderr.readline()
        slow.switch("go")
        assert (first.wait(30), second.wait(30)) == (0, 0)
    finally:
        for process in (first, second):
            if process is not None:
                kill(process)
                process.communicate()
    assert len(slow.posted()) == 3


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_reads_large_videos_can_be_interrupted(folder, file, number, code, run):
    large = folder / name_of(9)
    size = 1 << 36  # of zeros that take no room
    with large.open("wb") as f:
        f.write(footage() + (1).to_bytes(4, "big") + b"free" + (size - len(footage())).to_bytes(8, "big"))
        f.truncate(size)
    process = started(folder, file)
    try:
        wait_for(lambda: file.calls("data"), process)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code and time.monotonic() - began < 5.0
        assert b"Traceback" not in err
    finally:
        kill(process)
    large.unlink()
    assert run(folder, file.path).code == 0
    assert sorted(file.posted()) == [name_of(n) for n in range(3)]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_decoder_that_hangs_does_not_hold_up_an_interrupt(folder, file, tmp_path):
    for n in range(20, 24):
        (folder / f"{name_of(n)}.mkv").write_bytes(b"asks the decoder")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "av.py").write_text(
        "import os, time\nopen(os.environ['HANGS'], 'w')\ntime.sleep(60)\n"
    )
    env = {"PYTHONPATH": str(tmp_path / "path"), "HANGS": str(tmp_path / "hangs")}
    process = started(folder, file, env=env)
    try:
        wait_for((tmp_path / "hangs").exists, process)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130 and time.monotonic() - began < 5.0
        assert b"Traceback" not in err
    finally:
        kill(process)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("is_stubborn", [False, True])
def test_an_interrupted_run_ends_soon_and_the_same_command_goes_on(
    folder, slow, number, code, is_stubborn, run
):
    if is_stubborn:
        text = slow.path.read_text()
        slow.path.write_text(
            text + "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n"
        )  # fmt: skip
    slow.switch("go")
    text = slow.path.read_text()
    slow.path.write_text(
        text.replace("def trouble(name):", f"def trouble(name):\n    if name != {name_of(1)!r}: return")
    )
    slow.switch("go", on=False)
    process = started(folder, slow)
    try:
        wait_for(lambda: len(slow.calls("post_video_content")) == 2, process)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code and time.monotonic() - began < 5.0
        assert b"Traceback" not in err
    finally:
        kill(process)
    assert slow.posted() == [name_of(0)]
    rows = csv.DictReader(io.StringIO(run(folder, "--csv").out))
    assert {row["FILENAME"][-14:]: row["STATE"] for row in rows} == {
        name_of(0)[-14:]: "uploaded", name_of(1)[-14:]: "sending",
    }  # fmt: skip
    slow.switch("go")
    assert run(folder, slow.path, env=slow.env).code == 0
    assert slow.posted() == [name_of(n) for n in range(3)]


def test_a_run_that_cannot_write_its_state_ends_with_7(folder, file, run):
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("needs a user whom rights hold back")
    (folder / ".camtrail").mkdir()
    (folder / ".camtrail" / "import.sqlite").touch(mode=0o400)
    assert run(folder, file.path).code == 7
    assert file.posted() == []


def test_help_names_the_documented_options(camtrail):
    text = camtrail("video", "import", "--help").out
    for option in "--csv --port --host --camera-name-suffix --regex --storage --hook-data-json --hook-data-json-file".split():
        assert option in text
    assert "FOLDER HOOK_MODULE [HOST]" in text


def test_a_video_of_another_codec_still_goes_to_hooks_of_ones_own(folder, file, run):
    (folder / name_of(7)).write_bytes(footage("mpeg4"))
    ended = run(folder, file.path, "--json")
    assert ended.code == 0 and ended.json["counts"] == {"sent": 4}
