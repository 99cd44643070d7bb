"""One task on videos, one process: times it and prints JSON. Called as `worker.py` is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

_PIECE_BYTES = 1 << 20
_SAMPLE_S = 0.01


def _videos(folder: str) -> list[str]:
    return sorted(f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".mp4"))


def _sha1(path: str) -> str:
    from hashlib import sha1

    digest, piece = sha1(usedforsecurity=False), memoryview(bytearray(_PIECE_BYTES))
    with open(path, "rb", buffering=0) as file:
        while n := file.readinto(piece):
            digest.update(piece[:n])
    return digest.hexdigest()


def hashed(who: str, folder: str, storage: str) -> dict[str, object]:
    """SHA-1 of every video: as the importer reads them, with what they say of themselves, or by `hashlib` alone."""
    read = _reader(storage) if who == "camtrail" else lambda files: list(map(_sha1, files))
    files = _videos(folder)
    start = perf_counter()
    sums = read(files)
    seconds = perf_counter() - start
    return {"items": sum(map(os.path.getsize, files)) / 1e6, "seconds": seconds, "sums": sums}


def _reader(storage: str) -> Callable[[list[str]], list[str]]:
    from camtrail.app.context import Context
    from camtrail.app.video_files import Found, VideoFile, read_all
    from camtrail.catalog.imports import Imports
    from camtrail.core.fs import RealFileSystem
    from camtrail.steps.video_names import Name

    def read(files: list[str]) -> list[str]:
        fs = RealFileSystem()
        found = [Found(VideoFile(f, os.path.basename(f), f, fs.entry(f)), Name()) for f in files]
        with Imports(storage) as imports:
            reads = list(read_all(found, imports, min(4, os.cpu_count() or 1), Context()))
        return [r.content.sha1 if r.content else str(r.failure) for r in reads]

    return read


def probed(who: str, folder: str, times: str) -> dict[str, object]:
    """How long each video is, asked so many times; the first time, to warm up, is not counted."""
    files = _videos(folder)
    ask = {"camtrail": _box_walk, "av": _av, "ffprobe": _ffprobe}[who]()
    lengths_s = [ask(file) for file in files]
    start = perf_counter()
    for _ in range(int(times)):
        for file in files:
            ask(file)
    seconds = perf_counter() - start
    return {"items": int(times) * len(files), "seconds": seconds, "lengths_s": lengths_s}


def _box_walk() -> Callable[[str], float]:
    from camtrail.core.bytes import FileBytes
    from camtrail.metadata.isobmff import probe

    def ask(file: str) -> float:
        with FileBytes(file) as source:
            found = probe(source)
        assert found.codec == "h264" and found.duration_s is not None, found
        return found.duration_s

    return ask


def _av() -> Callable[[str], float]:
    import av

    def ask(file: str) -> float:
        with av.open(file) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264" and stream.duration and stream.time_base
            return float(stream.duration * stream.time_base)

    return ask


def _ffprobe() -> Callable[[str], float]:
    asks = "ffprobe -v error -select_streams v:0 -show_entries stream=codec_name,duration -of json"

    def ask(file: str) -> float:
        told = subprocess.run([*asks.split(), file], capture_output=True, check=True).stdout
        (stream,) = json.loads(told)["streams"]
        assert stream["codec_name"] == "h264"
        return float(stream["duration"])

    return ask


def imported(folder: str, storage: str) -> dict[str, object]:
    """The workflow of `camtrail video import FOLDER camio`, from the start of its hooks to the end of the job."""
    from camtrail.app import video
    from camtrail.app.context import Context
    from camtrail.app.video_options import BoxOptions, ImportOptions

    hooks, data, context = video.hooks_of("camio"), video.data_of(BoxOptions(), Context()), Context()
    options = ImportOptions(storage=storage)
    start = perf_counter()
    done = video.import_videos(folder, hooks, data, (None, None), options, os.environ, context)
    seconds = perf_counter() - start
    assert not done.result.failures, done.result.failures
    return {"items": done.size_bytes / 1e6, "seconds": seconds}


def bare(folder: str, camera: str, start_s: str) -> dict[str, object]:
    """The least that a Box can be given: each video's SHA-1, then the video. Its camera is known before."""
    from datetime import UTC, datetime
    from hashlib import sha1
    from http.client import HTTPConnection
    from urllib.parse import urlencode, urlsplit

    local_id = sha1(camera.encode(), usedforsecurity=False).hexdigest()
    camera_id = _registered(camera, local_id)
    line = HTTPConnection(urlsplit(os.environ["CAMIO_BOX_URL"]).netloc, blocksize=_PIECE_BYTES)
    files, sent_bytes = _videos(folder), 0
    start = perf_counter()
    for number, file in enumerate(files):
        taken = datetime.fromtimestamp(float(start_s) + number, UTC)
        query = {
            "access_token": os.environ["CAMIO_BOX_DEVICE_ID"], "local_camera_id": local_id, "camera_id": camera_id,
            "hash": _sha1(file), "timestamp": taken.strftime("%Y-%m-%dT%H:%M:%S.000"),
        }  # fmt: skip
        size_bytes = os.path.getsize(file)
        with open(file, "rb") as body:
            length = {"Content-Length": str(size_bytes)}
            line.request("POST", f"/box/content?{urlencode(query)}", body, length)
        answer = line.getresponse()
        answer.read()
        assert answer.status == 204, answer.status
        sent_bytes += size_bytes
    seconds = perf_counter() - start
    line.close()
    return {"items": sent_bytes / 1e6, "seconds": seconds}


def _registered(camera: str, local_id: str) -> str:
    """The id that the cloud has for a camera."""
    from urllib.request import Request, urlopen

    url = f"{os.environ['CAMIO_SERVER_URL']}/api/cameras/discovered"
    headers = {
        "Authorization": f"token {os.environ['CAMIO_OAUTH_TOKEN']}",
        "Content-Type": "application/json",
    }
    plan = {"plan": {"is_multiselect": False, "options": [{"name": "Plan", "value": "PLUS"}]}}
    said = {
        "device_id_discovering": os.environ["CAMIO_BOX_DEVICE_ID"], "acquisition_method": "batch",
        "local_camera_id": local_id, "name": camera, "mac_address": camera, "is_authenticated": True, "should_config": True,
        "actual_values": plan, "default_values": plan,
    }  # fmt: skip
    urlopen(Request(url, json.dumps({local_id: said}).encode(), headers)).close()
    with urlopen(Request(url, headers=headers)) as answer:
        cameras: Any = json.load(answer)
    return str(cameras[local_id]["camera_id"])


def peak(*command: str) -> dict[str, object]:
    """Megabytes that a program and the processes that it starts take at most, together; Linux alone tells."""
    most_bytes: dict[int, int] = {}
    start = perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for number in _family(process.pid):
                most_bytes[number] = max(most_bytes.get(number, 0), _resident_bytes(number))
            sleep(_SAMPLE_S)
    seconds = perf_counter() - start
    assert process.returncode == 0, process.returncode
    return {"items": sum(most_bytes.values()) / 1e6, "seconds": seconds}


def _family(number: int) -> Sequence[int]:
    """A process and those below it."""
    found = [number]
    for parent in found:
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{thread}/children").read_text().split())
        except OSError:
            pass
    return found


def _resident_bytes(number: int) -> int:
    """The most that a process has had in memory so far; 0 where it has ended."""
    try:
        told = Path(f"/proc/{number}/status").read_text()
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in told.splitlines())
    return int(lines.get("VmHWM", "0 kB").split()[0]) * 1024


TASKS: dict[str, Callable[..., dict[str, object]]] = {
    task.__name__: task for task in (hashed, probed, imported, bare, peak)
}


if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*sys.argv[2:])))
