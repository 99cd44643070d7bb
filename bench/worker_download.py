"""One way to download images, one process: times it and prints JSON. Called as `worker.py` is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

_CONNECTIONS = 8
_AT_ONCE = 50  # images of one look-up
_URL = "thumb_original_url"
_FIELDS = f"id,sequence,geometry,computed_geometry,compass_angle,{_URL}"


def _rows(listed: str) -> list[list[str]]:
    """Sequence, image, latitude and longitude of each."""
    return [line.split(",") for line in Path(listed).read_text().splitlines()]


def camtrail(listed: str, out: str) -> dict[str, object]:
    """The workflow of `camtrail mapillary download_sequences`, its tables included."""
    from contextlib import ExitStack

    from camtrail.app import download
    from camtrail.app.context import Context
    from camtrail.app.download_options import DownloadOptions
    from camtrail.app.mapillary_service import open_client, open_pictures, origin_of
    from camtrail.core.secrets import Secret

    url, token = os.environ["CAMTRAIL_MAPILLARY_URL"], Secret(os.environ["MAPILLARY_TOKEN"])
    options, context = DownloadOptions(output=out, connections=_CONNECTIONS), Context()
    start = perf_counter()
    with ExitStack() as stack:
        client = open_client(url, token, context.clock, _CONNECTIONS)
        stack.callback(client.close)
        pictures = stack.enter_context(open_pictures(url, context.clock, _CONNECTIONS))
        service = download.Service(client, pictures, origin_of(url))
        done = download.download_sequences([listed], options, service, context)
    seconds = perf_counter() - start
    assert not done.result.failures, done.result.failures
    return {"items": done.counts["fetched"], "seconds": seconds}


def bare(listed: str, out: str) -> dict[str, object]:
    """The least that fetches as many at a time: looked up in batches, and written as they are."""
    from queue import Empty, SimpleQueue
    from threading import Thread

    import urllib3

    graph, token = os.environ["CAMTRAIL_MAPILLARY_URL"], os.environ["MAPILLARY_TOKEN"]
    rows = _rows(listed)
    folders = {image: f"{out}/{sequence}" for sequence, image, *_ in rows}
    todo: SimpleQueue[Callable[[], None]] = SimpleQueue()
    pool = urllib3.PoolManager(maxsize=_CONNECTIONS)

    def got(url: str, **headers: str) -> bytes:
        answer = pool.request("GET", url, headers=headers)
        assert answer.status == 200, answer.status
        return answer.data

    def look_up(ids: list[str]) -> None:
        url = f"{graph}/?ids={','.join(ids)}&fields={_FIELDS}"
        found = json.loads(got(url, Authorization=f"OAuth {token}"))
        for image in ids:
            todo.put(lambda image=image: fetch(image, found[image][_URL]))  # type: ignore[misc]

    def fetch(image: str, url: str) -> None:
        Path(f"{folders[image]}/{image}.jpg").write_bytes(got(url))

    def work() -> None:
        while True:
            try:
                step = todo.get_nowait()
            except Empty:
                return
            step()

    start = perf_counter()
    for folder in set(folders.values()):
        os.makedirs(folder)
    ids = list(folders)
    for at in range(0, len(ids), _AT_ONCE):
        todo.put(lambda part=ids[at : at + _AT_ONCE]: look_up(part))  # type: ignore[misc]
    threads = [Thread(target=work) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"items": len(ids), "seconds": perf_counter() - start}


def script(listed: str, out: str) -> dict[str, object]:
    """The way that is published with the lists: image after image, looked up, fetched, decoded and saved again."""
    import io

    import requests
    from PIL import Image

    graph = os.environ["CAMTRAIL_MAPILLARY_URL"]
    headers = {"Authorization": f"OAuth {os.environ['MAPILLARY_TOKEN']}"}
    rows = _rows(listed)
    start = perf_counter()
    with requests.Session() as session:
        for sequence, image, *_ in rows:
            os.makedirs(f"{out}/{sequence}", exist_ok=True)
            asked = f"{graph}/{image}?fields={_URL},geometry,computed_compass_angle"
            said: Any = session.get(asked, headers=headers).json()
            answer = session.get(said[_URL])
            Image.open(io.BytesIO(answer.content)).save(f"{out}/{sequence}/{image}.jpg")
    return {"items": len(rows), "seconds": perf_counter() - start}


_WAYS: dict[str, Callable[[str, str], dict[str, object]]] = {
    task.__name__: task for task in (camtrail, bare, script)
}


def timed(way: str, listed: str, out: str, first: str) -> dict[str, object]:
    """One of them, after another list that warms it up."""
    _WAYS[way](first, f"{out}-first")
    return _WAYS[way](listed, out)


if __name__ == "__main__":
    task: Callable[..., dict[str, object]] = _WAYS.get(sys.argv[1], timed)
    print(json.dumps(task(*sys.argv[2:])))
