"""A child process answers, crashes, hangs and misbehaves; its parent learns what happened and goes on."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.core import child as child_module
from camtrail.core.child import Child, ChildEnded, ChildFailed, ChildTimedOut
from camtrail.core.errors import CamtrailError, InputError, QuotaExceeded, UsageError

CHILD = """
import ctypes, json, logging, os, signal, subprocess, sys, threading, time
from camtrail.core.child import limit_memory, serve
from camtrail.core.errors import CamtrailError, InputError, QuotaExceeded, UsageError
from camtrail.core.secrets import Secret

class Own(CamtrailError):
    exit_code = 6
    code = "own"
    retryable = True

def echo(value): return value
def fail(): raise KeyError("x")
def usage(): raise UsageError("wrong", "do it right")
def unreadable(): raise InputError("a\\udcff.mp4", "is cut off", "copy it again", retryable=True)
def quota(): raise QuotaExceeded("later", retry_after_s=2.5)
def own(): raise Own("mine", "yours")
def leave(code): sys.exit(code)
def end(code): print("last words", file=sys.stderr); os._exit(code)
def kill(number): os.kill(os.getpid(), number)
def spin():
    print("spinning", file=sys.stderr)
    while True: pass
def hold():
    print("holding", file=sys.stderr, flush=True)
    ctypes.PyDLL(None).sleep(100)  # C code that keeps the interpreter
def say(text): print(text); os.write(1, b"raw\\n"); subprocess.run(["echo", "program"], check=True)
def read(): return sys.stdin.read()
def ask(): return input("? ")
def shout(lines):
    for n in range(lines): sys.stderr.write("x" * 99 + "\\n")
    return lines
def long_line(n): os.write(2, b"y" * n); os.write(2, b"\\nend\\n")
def note(level, text): logging.getLogger("hook.own").log(level, text)
def note_error():
    try: 1 / 0
    except ZeroDivisionError: logging.getLogger("hook").exception("went wrong")
def secret():
    text = Secret("s3cr3t-token").reveal()
    logging.getLogger("hook").info("token %s", text)
    raise RuntimeError("with " + text)
def no_json(): return {1, 2}
def circle(): a = []; a.append(a); return a
def deep():
    a = []
    for _ in range(100_000): a = [a]
    return a
def strange():
    class Strange(Exception):
        def __str__(self): raise ValueError
    raise Strange
def thread():
    threading.Thread(target=lambda: threading.Event().wait(60)).start()
    return "started"
def fork_and_end():
    if os.fork() == 0:
        time.sleep(60); os._exit(0)
    os._exit(7)
def grandchild(path):
    p = subprocess.Popen(["sleep", "60"]); return p.pid
def scribble():
    for fd in range(3, 20):
        try: os.write(fd, b"[not json\\n")
        except OSError: pass
def huge(n): return "z" * n
def memory(limit, wanted):
    limit_memory(limit)
    return len(bytearray(wanted))
def pid(): return os.getpid()
def env(): return dict(os.environ)
def limits():
    import resource
    return resource.getrlimit(resource.RLIMIT_AS)[0]

if __name__ == "__main__":
    serve({k: v for k, v in globals().items() if callable(v) and k not in ("serve",)})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    (folder / "some_child.py").write_text(CHILD)
    (folder / "broken_child.py").write_text("import nothing_of_that_name\n")
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.fixture
def records():
    return []


@pytest.fixture
def child(folder, records):
    child = Child("some_child", env=environment(folder), on_log=lambda *record: records.append(record))
    yield child
    child.close()


@pytest.fixture(scope="module")
def shared(folder):
    child = Child("some_child", env=environment(folder))
    yield child
    child.close()


def eventually(condition, most_s=10.0):
    """Whether a condition comes true; asked again and again, for what another process does."""
    end = time.monotonic() + most_s
    while not (done := condition()) and time.monotonic() < end:
        threading.Event().wait(0.01)
    return done


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_values_come_through_unchanged(shared, value):
    assert shared.call("echo", {"value": value}, 20) == value


def test_a_name_whose_bytes_are_no_utf_8_comes_through(child):
    name = os.fsdecode(b"caf\xe9\n\xff.mp4")
    assert child.call("echo", {"value": name}, 20) == name


def test_one_process_serves_all_calls(child):
    assert child.starts == 0
    pids = {child.call("pid", {}, 20) for _ in range(5)}
    assert len(pids) == 1
    assert child.starts == 1


def test_after_close_a_call_starts_another_one(child):
    first = child.call("pid", {}, 20)
    child.close()
    child.close()
    assert not is_running(first)
    assert child.call("pid", {}, 20) != first
    assert child.starts == 2


def test_a_call_takes_less_than_a_millisecond(child):
    def one():
        start = time.perf_counter()
        child.call("echo", {"value": 1}, 20)
        return time.perf_counter() - start

    assert sorted(one() for _ in range(300))[75] < 1e-3


def test_threads_wait_for_each_other(child):
    answers = {}

    def work(n):
        answers[n] = [child.call("echo", {"value": [n, i]}, 20) for i in range(50)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == {n: [[n, i] for i in range(50)] for n in range(4)}
    assert child.starts == 1


def test_an_exception_is_named_and_the_process_goes_on(child):
    with pytest.raises(ChildFailed) as caught:
        child.call("fail", {}, 20)
    assert caught.value.message == "KeyError: 'x'"
    assert "in fail" in caught.value.trace
    assert child.call("echo", {"value": 1}, 20) == 1
    assert child.starts == 1


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("leave", {"code": 1}, "SystemExit: 1"),
        ("strange", {}, "Strange: "),
        ("absent", {}, "KeyError: 'absent'"),
        ("echo", {}, "TypeError: echo() missing 1 required positional argument: 'value'"),
        ("ask", {}, "EOFError: EOF when reading a line"),
        ("no_json", {}, "no_json returned what is no JSON: Object of type set is not JSON serializable"),
        ("circle", {}, "circle returned what is no JSON: Circular reference detected"),
        ("deep", {}, "deep returned what is no JSON: maximum recursion depth exceeded"),
    ],
)
def test_what_goes_wrong_in_a_handler_is_said(child, name, arguments, said):
    with pytest.raises(ChildFailed) as caught:
        child.call(name, arguments, 20)
    assert caught.value.message.startswith(said)
    assert (caught.value.exit_code, caught.value.code, caught.value.retryable) == (3, "child_failed", False)
    assert child.call("echo", {"value": 1}, 20) == 1
    assert child.starts == 1


def test_errors_of_the_tree_keep_their_class_and_what_they_say(child):
    with pytest.raises(UsageError) as caught:
        child.call("usage", {}, 20)
    assert (caught.value.message, caught.value.hint) == ("wrong", "do it right")
    with pytest.raises(InputError) as unreadable:
        child.call("unreadable", {}, 20)
    e = unreadable.value
    assert (e.path, e.reason, e.hint, e.retryable) == ("a\udcff.mp4", "is cut off", "copy it again", True)
    with pytest.raises(QuotaExceeded) as quota:
        child.call("quota", {}, 20)
    assert quota.value.retry_after_s == 2.5
    assert quota.value.retryable


def test_an_error_of_an_unknown_class_keeps_its_codes(child):
    with pytest.raises(CamtrailError) as caught:
        child.call("own", {}, 20)
    e = caught.value
    assert (e.code, e.exit_code, e.retryable, e.message, e.hint) == ("own", 6, True, "mine", "yours")


def test_an_exit_is_named_with_the_last_words(child):
    with pytest.raises(ChildEnded) as caught:
        child.call("end", {"code": 5}, 20)
    assert caught.value.message == "end ended its process with exit status 5: last words"
    assert (caught.value.exit_code, caught.value.code) == (3, "child_ended")
    assert child.call("echo", {"value": 1}, 20) == 1
    assert child.starts == 2


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_a_crash_is_named(child, name):
    import signal

    with pytest.raises(ChildEnded, match=f"kill ended its process by {name}"):
        child.call("kill", {"number": int(getattr(signal, name))}, 20)
    assert child.call("echo", {"value": 1}, 20) == 1


def test_a_crash_between_calls_is_no_ones_error(child):
    pid = child.call("pid", {}, 20)
    os.kill(pid, 9)
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())  # nor is it waited for any more
    assert child.call("pid", {}, 20) != pid
    assert child.starts == 2


@pytest.mark.parametrize("name", ["spin", "hold"])
def test_a_hang_ends_after_its_time(child, name):
    pid = child.call("pid", {}, 20)
    start = time.monotonic()
    with pytest.raises(ChildTimedOut) as caught:
        child.call(name, {}, 0.2)
    assert time.monotonic() - start < 5
    assert caught.value.message == f"{name} gave no answer within 0.2 s and was ended"
    assert (caught.value.exit_code, caught.value.code) == (3, "child_timeout")
    assert not is_running(pid)
    assert child.call("echo", {"value": 1}, 20) == 1


def test_an_interrupted_call_leaves_no_answer_for_the_next(child, monkeypatch):
    child.call("pid", {}, 20)
    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):

        def interrupted(self, timeout_s):
            raise KeyboardInterrupt

        m.setattr(child_module._Process, "receive", interrupted)
        child.call("echo", {"value": "old"}, 20)
    assert child.call("echo", {"value": "new"}, 20) == "new"
    assert child.starts == 2


def test_close_ends_a_hanging_call_of_another_thread(child):
    child.call("pid", {}, 20)
    errors = []

    def work():
        try:
            child.call("spin", {}, 60)
        except ChildEnded as e:
            errors.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(lambda: child._process is not None and child._process.is_waiting)
    child.close()
    thread.join(10)
    assert len(errors) == 1


def test_prints_go_to_stderr_and_stdin_is_empty(child, records):
    assert child.call("say", {"text": "printed \udcff"}, 20) is None
    assert child.call("read", {}, 20) == ""
    child.close()
    lines = [message for level, name, message in records if (level, name) == (logging.DEBUG, "some_child")]
    assert lines == ["printed \\udcff", "raw", "program"]


def test_megabytes_on_stderr_block_nothing(child, records):
    assert child.call("shout", {"lines": 50_000}, 60) == 50_000
    child.close()
    assert len(records) == 50_000


def test_of_a_long_line_on_stderr_the_beginning_is_kept(child, records):
    child.call("long_line", {"n": 3_000_000}, 60)
    child.close()
    assert [r[2] for r in records] == ["y" * 2000, "end"]


def test_log_records_arrive_before_the_answer(child, records):
    child.call("note", {"level": logging.WARNING, "text": "two\nlines \x1b[31m"}, 20)
    assert records == [(logging.WARNING, "hook.own", "two\nlines \\x1b[31m")]


def test_debug_records_arrive_where_the_parent_logs_them(child, records, caplog):
    child.call("note", {"level": logging.DEBUG, "text": "quiet"}, 20)
    assert records == []
    with caplog.at_level(logging.DEBUG, "camtrail"):
        child.call("note", {"level": logging.DEBUG, "text": "loud"}, 20)
    assert records == [(logging.DEBUG, "hook.own", "loud")]


def test_a_logged_traceback_arrives(child, records):
    child.call("note_error", {}, 20)
    level, name, message = records[0]
    assert (level, name) == (logging.ERROR, "hook")
    assert message.splitlines()[0] == "went wrong"
    assert message.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_without_a_taker_records_go_to_the_loggers_of_their_names(folder, caplog):
    child = Child("some_child", env=environment(folder))
    with caplog.at_level(logging.INFO, "hook.own"):
        child.call("note", {"level": logging.INFO, "text": "100 %s"}, 20)
    child.close()
    assert ("hook.own", logging.INFO, "100 %s") in caplog.record_tuples


def test_a_taker_that_raises_stops_nothing(folder, caplog):
    def refuse(*record):
        raise RuntimeError

    child = Child("some_child", env=environment(folder), on_log=refuse)
    child.call("note", {"level": logging.INFO, "text": "x"}, 20)
    assert child.call("echo", {"value": 1}, 20) == 1
    child.close()
    assert any("could not be passed on" in r.getMessage() for r in caplog.records)


def test_secrets_of_the_child_do_not_leave_it(child, records):
    with pytest.raises(ChildFailed) as caught:
        child.call("secret", {}, 20)
    assert caught.value.message == "RuntimeError: with ***"
    assert "s3cr3t" not in caught.value.trace
    assert [r[2] for r in records] == ["token ***"]


def test_a_thread_that_goes_on_does_not_keep_the_process(child):
    assert child.call("thread", {}, 20) == "started"
    pid = child.call("pid", {}, 20)
    child.close()
    assert not is_running(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_fork_that_goes_on_does_not_hide_the_end(child):
    start = time.monotonic()
    with pytest.raises(ChildEnded, match="exit status 7"):
        child.call("fork_and_end", {}, 30)
    assert time.monotonic() - start < 10


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_programs_of_the_child_end_with_it(child):
    pid = child.call("grandchild", {"path": ""}, 20)
    child.close()
    assert eventually(lambda: not is_running(pid))


def test_scribbling_on_the_pipe_is_an_error(child):
    with pytest.raises(ChildFailed, match="scribble wrote what is no answer, and was ended"):
        child.call("scribble", {}, 20)
    assert child.call("echo", {"value": 1}, 20) == 1
    assert child.starts == 2


def test_a_large_answer_arrives(child):
    assert len(child.call("huge", {"n": 20_000_000}, 60)) == 20_000_000
    assert len(child.call("echo", {"value": "x" * 5_000_000}, 60)) == 5_000_000


def test_an_answer_beyond_the_limit_ends_the_process(child, monkeypatch):
    monkeypatch.setattr(child_module, "_MOST_ANSWER_BYTES", 1 << 20)
    with pytest.raises(ChildFailed, match="huge answered more than 1 MiB, and was ended"):
        child.call("huge", {"n": 3_000_000}, 60)
    assert child.call("echo", {"value": 1}, 20) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="a system that limits address space")
def test_memory_can_be_limited(child):
    with pytest.raises(ChildFailed, match="MemoryError"):
        child.call("memory", {"limit": 2 << 30, "wanted": 3 << 30}, 60)
    assert child.call("memory", {"limit": 4 << 30, "wanted": 1000}, 20) == 1000
    assert child.call("limits", {}, 20) == 2 << 30  # what is limited is not widened again


def test_arguments_that_are_no_json_are_the_callers_mistake(child):
    with pytest.raises(TypeError):
        child.call("echo", {"value": {1}}, 20)
    assert child.starts == 0


def test_a_module_that_does_not_start_says_why(folder):
    child = Child("broken_child", env=environment(folder))
    with pytest.raises(ChildEnded) as caught:
        child.call("echo", {}, 20)
    child.close()
    assert caught.value.message == (
        "the process for echo did not start, it ended with exit status 1: "
        "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    )


def test_the_environment_is_what_was_given(folder, monkeypatch):
    monkeypatch.setenv("NOT_FOR_THE_CHILD", "1")
    child = Child("some_child", env={"PYTHONPATH": str(folder), "FOR_THE_CHILD": "2"})
    env = child.call("env", {}, 20)
    child.close()
    assert env["FOR_THE_CHILD"] == "2"
    assert "NOT_FOR_THE_CHILD" not in env


def test_modules_of_the_current_folder_are_not_taken(folder, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise RuntimeError('taken')\n")
    monkeypatch.chdir(tmp_path)
    child = Child("some_child", env=environment(folder))
    assert child.call("echo", {"value": 1}, 20) == 1
    child.close()


PARENT = """
    import sys, threading
    from camtrail.core.child import Child
    child = Child("some_child", on_log=lambda level, name, line: print(line, flush=True))
    def work():
        print(child.call("pid", {}, 20), flush=True)
    t = threading.Thread(target=work)   # a thread that ends before the child does
    t.start(); t.join()
    if sys.argv[1] == "idle":
        assert child.call("echo", {"value": 1}, 20) == 1
        sys.stdin.read()
    elif sys.argv[1] == "leave":
        sys.exit(0)
    else:
        child.call(sys.argv[1], {}, 100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("doing", ["idle", "spin", "hold", "leave"])
def test_no_child_outlives_its_parent(folder, doing):
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), doing],
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        pid = int(parent.stdout.readline())
        if doing in ("spin", "hold"):
            assert parent.stdout.readline()  # the call is under way
        if doing != "leave":
            assert is_running(pid)
            parent.kill()
        parent.wait(20)
        assert eventually(lambda: not is_running(pid))


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to a group")
def test_ctrl_c_reaches_the_parent_alone(folder):
    import signal

    script = textwrap.dedent(
        """
        import os, signal
        from camtrail.core.child import Child
        child = Child("some_child")
        pid = child.call("pid", {}, 20)
        try:
            os.killpg(0, signal.SIGINT)
            signal.pause()
        except KeyboardInterrupt:
            assert child.call("pid", {}, 20) == pid
            child.close()
            print("closed")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.stdout == "closed\n", done.stderr
