"""A process for code that may crash or hang: one call at a time, JSON lines over pipes.

What it keeps away are faults. It is no sandbox: the code in it may do whatever its user may do.

A line to the child is ``{"id", "call", "arguments", "level"}``; a line from it ``{"ready"}`` once,
``{"log": [level, logger, message]}``, and one ``{"id", "value"}`` or ``{"id", "error"}`` for each call. Text is
ASCII with escapes, so that names whose bytes are no UTF-8 come through unchanged.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import IO, Any

from camtrail.core.errors import CamtrailError
from camtrail.core.names import shown
from camtrail.core.secrets import Redaction, redacted

__all__ = ["Child", "ChildEnded", "ChildFailed", "ChildTimedOut", "OnLog", "limit_memory", "serve"]

Json = dict[str, Any]
OnLog = Callable[[int, str, str], None]
"""Takes (level, logger's name, message)."""

_START_S = 60.0  # imports of a cold disk
_END_S = 2.0  # what a child may still do when it was told to end
_MOST_ANSWER_BYTES = 256 << 20
_MOST_STDERR_BYTES = 2000  # of one line
_MOST_SAID_CHARS = 300  # of the last line, in an error
_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGNALS = {int(s): s.name for s in signal.Signals}
# A group of its own, which Ctrl-C does not reach; on Windows (CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW) no window.
_APART: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {"creationflags": 0x08000200}

log = logging.getLogger(__name__)


class ChildEnded(CamtrailError):
    """The process ended before it answered; the next call starts another one."""

    exit_code = 3
    code = "child_ended"


class ChildTimedOut(CamtrailError):
    """No answer within the call's time; the process was ended, the next call starts another one."""

    exit_code = 3
    code = "child_timeout"


class ChildFailed(CamtrailError):
    """An exception in the child that is none of camtrail's own, or an answer that is no JSON.

    Parameters
    ----------
    message : ``TypeName: message``, one line
    trace : the child's traceback as text; empty where there is none
    """

    exit_code = 3
    code = "child_failed"

    def __init__(self, message: str, hint: str = "", *, trace: str = "") -> None:
        super().__init__(message, hint)
        self.trace = trace


# ---- the parent's side


class Child:
    """One child process that answers calls one at a time.

    It is started at the first call, and again at the first one after a crash or a hang. It ends with its
    parent, however that ends. Calls may come from several threads; one waits for the other.

    Parameters
    ----------
    module : what ``python -m`` runs; it calls `serve`. The current folder is not searched for it
    env : the process's whole environment; None inherits
    on_log : gets (level, logger's name, message) of each log record of the child, and each line of its stderr
        as DEBUG of the module's name, on a thread of its own; by default they go to the loggers of those names.
        Below INFO only what this process logs too
    """

    def __init__(
        self, module: str, *, env: Mapping[str, str] | None = None, on_log: OnLog | None = None
    ) -> None:
        self.starts = 0
        self._module = module
        self._env = None if env is None else dict(env)
        self._on_log = on_log or _log
        self._calls = 0
        self._turn = threading.Lock()
        self._process: _Process | None = None

    def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        """What the child's handler of that name returns, as JSON brings it.

        Parameters
        ----------
        name : one of the handlers
        arguments : its keyword arguments; JSON values
        timeout_s : time for the answer; starting the process is not counted

        Raises
        ------
        ChildEnded, ChildTimedOut, ChildFailed, and the CamtrailError that the handler raised: of the same class
        where this process knows it, else with the same code, message, hint, exit code and `retryable`
        TypeError, ValueError
            Arguments that are no JSON.
        """
        with self._turn:
            self._calls += 1
            level = min(logging.INFO, logging.getLogger("camtrail").getEffectiveLevel())
            request = {"id": self._calls, "call": name, "arguments": dict(arguments), "level": level}
            line = json.dumps(request).encode("ascii") + b"\n"
            process = self._running(name)
            try:
                process.send(line)
                answer = process.receive(timeout_s)
            except queue.Empty:
                raise ChildTimedOut(f"{name} gave no answer within {timeout_s:g} s and was ended") from None
            finally:
                if process.is_waiting:  # also where Ctrl-C came: what it answers later is nobody's
                    process.kill()
            return _value(name, answer, self._calls, process)

    def close(self) -> None:
        """Ends the process, by force where it does not end by itself; a later call starts another one."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _running(self, name: str) -> _Process:
        if self._process is None or not self._process.is_alive:
            self.close()
            process = _Process(self._module, self._env, self._on_log)
            self.starts += 1
            self._process = process
            try:
                ready = process.receive(_START_S)
            except queue.Empty:
                raise ChildTimedOut(
                    f"the process for {name} was not ready after {_START_S:g} s and was ended"
                ) from None
            finally:
                if process.is_waiting:
                    process.kill()
            if ready != {"ready": True}:
                process.kill()
                raise process.ended(f"the process for {name} did not start, it ended")
        return self._process


def _value(name: str, answer: Json | None, number: int, process: _Process) -> Any:
    if answer is None:
        raise process.ended(f"{name} ended its process")
    if answer.get("id") == number and "value" in answer:
        return answer["value"]
    error = _error(answer["error"]) if answer.get("id") == number and "error" in answer else None
    if error is None:
        process.kill()
        raise ChildFailed(f"{name} {answer.get('wrong', 'wrote what is no answer')}, and was ended")
    raise error


class _Process:
    """One run of the child, with a thread for each of its pipes."""

    def __init__(self, module: str, env: dict[str, str] | None, on_log: OnLog) -> None:
        self.is_waiting = True
        self._module = module
        self._on_log = on_log
        self._last_line = ""
        self._killed = False
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._popen: subprocess.Popen[bytes]
        started: Future[None] = Future()
        self._keeper = threading.Thread(target=self._keep, args=(started, env), daemon=True)
        self._keeper.start()
        try:
            started.result()
        except OSError as e:
            raise ChildEnded(f"no process could be started: {e.strerror or e}") from e

    @property
    def is_alive(self) -> bool:
        return not self._killed and self._popen.poll() is None

    def send(self, line: bytes) -> None:
        self.is_waiting = True
        self._outbox.put(line)

    def receive(self, timeout_s: float) -> Json | None:
        """The next answer, or None where the process ended; queue.Empty after that time."""
        answer = self._inbox.get(timeout=min(timeout_s, threading.TIMEOUT_MAX))
        self.is_waiting = False
        return answer

    def kill(self) -> None:
        """Ends the process and those that it started."""
        self._killed = True
        if self._popen.poll() is None:
            self._signal()
        self._outbox.put(None)
        self._keeper.join(_END_S)

    def end(self) -> None:
        self._outbox.put(None)
        self._keeper.join(_END_S)
        self.kill()

    def ended(self, what: str) -> ChildEnded:
        """The error that says how it ended."""
        code = self._popen.wait()
        how = f"with exit status {code}" if code >= 0 else f"by {_SIGNALS.get(-code, f'signal {-code}')}"
        return ChildEnded(f"{what} {how}{f': {self._last_line}' if self._last_line else ''}")

    def _keep(self, started: Future[None], env: dict[str, str] | None) -> None:
        # Linux ends a child with the thread that started it: this one stays for as long as the child does.
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - a module that the caller names
                [sys.executable, "-P", "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                **_APART,
            )
        except BaseException as e:  # noqa: BLE001 - it is raised by who waits for the process
            started.set_exception(e)
            return
        started.set_result(None)
        pipes = [threading.Thread(target=w, daemon=True) for w in (self._write, self._read, self._listen)]
        for thread in pipes:
            thread.start()
        self._popen.wait()
        self._signal()  # what it started would hold its pipes open
        self._outbox.put(None)
        for thread in pipes:
            thread.join(_END_S)
        self._inbox.put(None)

    def _signal(self) -> None:
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(self._popen.pid, signal.SIGKILL)
            else:
                self._popen.kill()

    def _listen(self) -> None:
        assert self._popen.stderr is not None
        with self._popen.stderr as pipe:
            for line in _short_lines(pipe):
                self._last_line = line[:_MOST_SAID_CHARS]
                self._deliver(logging.DEBUG, self._module, line)

    def _write(self) -> None:
        assert self._popen.stdin is not None
        with suppress(OSError), self._popen.stdin as pipe:  # a broken pipe is told by the reader
            while (line := self._outbox.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as pipe:
            while line := pipe.readline(_MOST_ANSWER_BYTES):
                said = _parsed(line)
                if isinstance(record := said.get("log"), list):
                    self._log(record)
                else:
                    self._inbox.put(said)
        self._inbox.put(None)

    def _log(self, record: list[Any]) -> None:
        if [type(v) for v in record] == [int, str, str]:
            level, name, message = record
            self._deliver(level, shown(name), "\n".join(shown(line) for line in message.splitlines()))

    def _deliver(self, level: int, name: str, message: str) -> None:
        try:
            self._on_log(level, name, message)
        except Exception:  # the pipe must be read on, or the child waits for ever
            log.warning("what a child process logged could not be passed on", exc_info=True)


def _log(level: int, name: str, message: str) -> None:
    logging.getLogger(name).log(level, "%s", message)


def _short_lines(pipe: IO[bytes]) -> Iterator[str]:
    """Lines that are not blank, for people; of a long one the beginning."""
    whole = True
    while line := pipe.readline(_MOST_STDERR_BYTES):
        text = line.decode("utf-8", "replace").rstrip()
        if whole and text:
            yield shown(text)
        whole = line.endswith(b"\n")


def _parsed(line: bytes) -> Json:
    if len(line) == _MOST_ANSWER_BYTES and not line.endswith(b"\n"):
        return {"wrong": f"answered more than {_MOST_ANSWER_BYTES >> 20} MiB"}
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {}


def _known(cls: type[CamtrailError]) -> Iterator[type[CamtrailError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _known(sub)


def _error(said: Any) -> CamtrailError | None:
    """The error that the child described; None where it is no description."""
    try:
        state = dict(said["state"])
        name = (said["module"], said["class"])
        cls = next(
            (c for c in _known(CamtrailError) if (c.__module__, c.__qualname__) == name), CamtrailError
        )
        error = cls.__new__(cls)
        CamtrailError.__init__(error, str(said["message"]), str(said["hint"]))
        if cls is CamtrailError:
            state |= {"code": str(said["code"]), "exit_code": int(said["exit_code"])}
        vars(error).update(state)
    except (KeyError, TypeError, ValueError):
        return None
    return error


# ---- the child's side


def serve(handlers: Mapping[str, Callable[..., Any]]) -> None:
    """Answers calls until the parent closes its pipe: the main loop of a child.

    Each handler gets its arguments by keyword and returns a JSON value. What it prints, and what its libraries
    and programs print, goes to stderr; its stdin is empty; its log records go to the parent.
    """
    _end_with_parent()
    line = _Line(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # prints at once, and names that are no UTF-8 too
    forward = _Forward(line)
    forward.addFilter(Redaction())
    logging.getLogger().handlers[:] = [forward]
    line.send(json.dumps({"ready": True}))
    while (request := line.receive()) is not None:
        logging.getLogger().setLevel(request["level"])
        line.send(_answered(handlers, request))


def limit_memory(most_bytes: int) -> None:
    """Limits the address space of this process, where the system can; what needs more gets a MemoryError."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [v for v in (most_bytes, soft, hard) if v != resource.RLIM_INFINITY]
    with suppress(ValueError, OSError):  # a system that has the call and not the limit
        resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))


def _end_with_parent() -> None:
    # The thread that reads the pipe sees the parent's end too, but not while C code holds the interpreter.
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)


class _Line:
    """The pipes to the parent."""

    def __init__(self, from_parent: int, to_parent: int) -> None:
        self._to_parent = to_parent
        self._writing = threading.Lock()
        self._busy = False
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(from_parent,), daemon=True).start()

    def send(self, text: str) -> None:
        data = memoryview(text.encode("ascii") + b"\n")
        with self._writing:
            while data:
                data = data[os.write(self._to_parent, data) :]

    def receive(self) -> Json | None:
        self._busy = False
        request = self._requests.get()
        self._busy = request is not None
        return None if request is None else json.loads(request)

    def _read(self, from_parent: int) -> None:
        with os.fdopen(from_parent, "rb") as pipe:
            for request in pipe:
                self._requests.put(request)
        # Nobody is left who could want an answer.
        self._requests.put(None)
        if not self._busy:
            threading.Event().wait(_END_S)  # time for what the program does at its end
        os._exit(0)


class _Forward(logging.Handler):
    """Log records to the parent."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._line.send(json.dumps({"log": [record.levelno, record.name, self.format(record)]}))
        except OSError:  # the parent is gone
            pass
        except Exception:  # noqa: BLE001 - a record that cannot be formatted
            self.handleError(record)


def _answered(handlers: Mapping[str, Callable[..., Any]], request: Json) -> str:
    name, number = request["call"], request["id"]
    try:
        value = handlers[name](**request["arguments"])
    except CamtrailError as e:
        return json.dumps({"id": number, "error": _described(e)})
    except BaseException as e:  # noqa: BLE001 - sys.exit too is an answer, and the next call is still served
        failed = _failed(f"{type(e).__name__}: {_said(e)}", e)
        return json.dumps({"id": number, "error": _described(failed)})
    try:
        return json.dumps({"id": number, "value": value})
    except (TypeError, ValueError, RecursionError, MemoryError) as e:
        failed = _failed(f"{name} returned what is no JSON: {_said(e)}", e)
        return json.dumps({"id": number, "error": _described(failed)})


def _failed(message: str, error: BaseException) -> ChildFailed:
    try:
        trace = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - its __str__ is a defect of its own
        trace = ""
    return ChildFailed(message, trace=trace)


def _said(error: BaseException) -> str:
    try:
        return shown(str(error))
    except Exception:  # noqa: BLE001 - its __str__ is a defect of its own
        return ""


def _described(error: CamtrailError) -> Json:
    state = {k: _clean(v) for k, v in vars(error).items() if isinstance(v, str | int | float | None)}
    return {
        "module": type(error).__module__,
        "class": type(error).__qualname__,
        "code": error.code,
        "exit_code": error.exit_code,
        "message": _clean(error.message),
        "hint": _clean(error.hint),
        "state": state | {"retryable": bool(error.retryable)},
    }


def _clean(value: Any) -> Any:
    return redacted(value) if isinstance(value, str) else value
