"""One library, one task, one process: times it and prints JSON.

Run by the interpreter that has the library: `python -P worker.py TASK ARGUMENT…`. Needs nothing else of this
package, so that the peers' environment stays theirs. Single thread, but for uploads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import gmtime, perf_counter, strftime
from typing import Any, TypeAlias

Place: TypeAlias = tuple[float | None, float | None, float | None]
"""Latitude, longitude, GPS time (else the clock as if it were UTC)."""

_BATCH = 100
_TAGS = (
    "GPSLatitude", "GPSLongitude", "GPSAltitude", "GPSDateTime", "DateTimeOriginal", "SubSecTimeOriginal",
    "OffsetTimeOriginal", "GPSImgDirection", "GPSTrack", "GPSSpeed", "GPSDOP", "GPSHPositioningError", "Make",
    "Model", "Orientation", "ImageWidth", "ImageHeight", "SerialNumber", "LensModel", "ImageDescription",
)  # fmt: skip


class Camtrail:
    """What scan reads of a photo."""

    def __init__(self) -> None:
        from dataclasses import fields

        from camtrail.core.bytes import FileBytes
        from camtrail.core.model import Photos
        from camtrail.metadata.read import header

        self._open, self._header = FileBytes, header
        names = [f.name for f in fields(Photos)]
        self._columns = names[names.index("local_s") :]

    def read(self, files: Sequence[str]) -> Iterable[Any]:
        """The rows."""
        header, source = self._header, self._open
        for file in files:
            with source(file) as s:
                yield header(s)

    def place(self, found: Any) -> Place:
        """Of a row."""
        row = dict(zip(self._columns, found, strict=False))
        time_s = row["gps_time_s"] if row["gps_time_s"] == row["gps_time_s"] else row["local_s"]
        return row["lat_deg"], row["lon_deg"], time_s


class ExifRead:
    """exifread, without maker notes and thumbnails."""

    def __init__(self) -> None:
        import exifread  # type: ignore[import-not-found]

        self._process = exifread.process_file

    def read(self, files: Sequence[str]) -> Iterable[Any]:
        """Its dictionaries."""
        process = self._process
        for file in files:
            with open(file, "rb") as f:
                yield process(f, details=False)

    def place(self, found: Any) -> Place:
        """Of a dictionary of tags."""
        stamp, day = found.get("GPS GPSTimeStamp"), found.get("GPS GPSDate")
        if stamp and day:
            hour, minute, second = (float(v.num) / float(v.den) for v in stamp.values)
            time_s = _utc(f"{day.values} 00:00:00") + hour * 3600 + minute * 60 + second
        else:
            time_s = _utc(str(found["EXIF DateTimeOriginal"]))
        return self._angle(found, "Latitude", "S"), self._angle(found, "Longitude", "W"), time_s

    def _angle(self, found: Any, name: str, negative: str) -> float:
        degrees, minutes, seconds = (float(v.num) / float(v.den) for v in found[f"GPS GPS{name}"].values)
        sign = -1 if found[f"GPS GPS{name}Ref"].values == negative else 1
        return sign * (degrees + minutes / 60 + seconds / 3600)


class Mapillary:
    """What the EXIF source of mapillary_tools reads of a photo."""

    def __init__(self) -> None:
        from mapillary_tools.geotag.image_extractors import exif  # type: ignore[import-not-found]

        self._extractor = exif.ImageEXIFExtractor

    def read(self, files: Sequence[str]) -> Iterable[Any]:
        """Its metadata objects."""
        extractor = self._extractor
        for file in files:
            yield extractor(Path(file)).extract()

    def place(self, found: Any) -> Place:
        """Of its metadata; a time without zone has become one of the machine's (TZ is UTC here)."""
        return found.lat, found.lon, found.time


class ExifTool:
    """One exiftool that stays open, asked for `_BATCH` files at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["exiftool", "-stay_open", "True", "-@", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # "100 image files read"
        )

    def read(self, files: Sequence[str]) -> Iterable[Any]:
        """Its JSON objects."""
        for start in range(0, len(files), _BATCH):
            ask = ["-j", "-n", "-fast2", *(f"-{t}" for t in _TAGS), *files[start : start + _BATCH]]
            yield from json.loads(b"".join(self.ask(ask)))

    def ask(self, arguments: Sequence[str]) -> list[bytes]:
        """The lines of its answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\n".join([*arguments, "-execute", ""]).encode())
        self._process.stdin.flush()
        lines = []
        while (line := self._process.stdout.readline()).strip() != b"{ready}":
            if not line:
                raise RuntimeError("exiftool ended")
            lines.append(line)
        return lines

    def place(self, found: Any) -> Place:
        """Of a JSON object."""
        time_s = _utc(str(found.get("GPSDateTime") or found["DateTimeOriginal"]))
        return found["GPSLatitude"], found["GPSLongitude"], time_s


READERS: dict[str, Callable[[], Camtrail | ExifRead | Mapillary | ExifTool]] = {
    "camtrail": Camtrail,
    "exifread": ExifRead,
    "mapillary_tools": Mapillary,
    "exiftool": ExifTool,
}

Job: TypeAlias = tuple[str, float, float, float, float, float]
"""A file and its new latitude, longitude, altitude, GPS time and true direction."""


class CamtrailWriter:
    """The safe writer, with its journal in the folder of the photos."""

    durable = False

    def __init__(self, folder: Path) -> None:
        from camtrail.catalog.journal import SqliteJournal
        from camtrail.core.fs import RealFileSystem
        from camtrail.metadata import safeio, write

        state = folder / ".state"
        state.mkdir()
        self._journal = SqliteJournal(str(state / "journal.db"), str(folder), "write")
        self._fs, self._safeio, self._write = RealFileSystem(), safeio, write

    def write(self, jobs: Sequence[Job]) -> int:
        """Returns how many were written."""
        values, tags_of, new_head = self._write.Values, self._write.tags_of, self._write.new_head
        splices = []
        for path, lat, lon, alt, time_s, heading in jobs:
            new = tags_of(values(lat_deg=lat, lon_deg=lon, alt_m=alt, time_s=time_s, heading_deg=heading))
            with self._fs.source(path) as source:
                head, tail_at = new_head(source, new)
            splices.append(
                self._safeio.Splice(path, head, tail_at, path, "position altitude gps-time heading")
            )
        answers = self._safeio.replace(self._fs, self._journal, splices, durable=self.durable)
        return sum(hasattr(a, "undo") for a in answers)

    def undo(self, jobs: Sequence[Job]) -> int:
        """Takes the newest changes of these files back, as the verb does: one by one."""
        paths = {job[0] for job in jobs}
        n = 0
        for number, _, change in self._journal.changes():
            if change.path in paths:
                (failure,) = self._safeio.restore(self._fs, self._journal, [(number, change)])
                n += failure is None
        return n


class DurableCamtrailWriter(CamtrailWriter):
    """The same, and waits for the disk."""

    durable = True


class MapillaryWriter:
    """mapillary_tools' way: all of the EXIF read, and written anew into the file."""

    def __init__(self, folder: Path) -> None:
        from mapillary_tools.exif_write import ExifEdit  # type: ignore[import-not-found]

        self._edit = ExifEdit

    def write(self, jobs: Sequence[Job]) -> int:
        """Returns how many were written."""
        from datetime import UTC, datetime

        for path, lat, lon, alt, time_s, heading in jobs:
            edit = self._edit(Path(path))
            edit.add_lat_lon(lat, lon)
            edit.add_altitude(alt)
            edit.add_direction(heading)
            edit.add_gps_datetime(datetime.fromtimestamp(time_s, UTC))
            edit.write(Path(path))
        return len(jobs)


class PiexifWriter:
    """piexif as its manual says."""

    def __init__(self, folder: Path) -> None:
        import piexif  # type: ignore[import-not-found]

        self._piexif = piexif

    def write(self, jobs: Sequence[Job]) -> int:
        """Returns how many were written."""
        piexif = self._piexif
        for path, lat, lon, alt, time_s, heading in jobs:
            found = piexif.load(path)
            day, clock = _stamps(time_s)
            found["GPS"] |= {
                1: "N" if lat >= 0 else "S",
                2: _sexagesimal(lat),
                3: "E" if lon >= 0 else "W",
                4: _sexagesimal(lon),
                5: int(alt < 0),
                6: (round(abs(alt) * 1000), 1000),
                7: tuple((int(part), 1) for part in clock.split(":")),
                16: "T",
                17: (round(heading * 100), 100),
                29: day,
            }
            piexif.insert(piexif.dump(found), path)
        return len(jobs)


class ExifToolWriter:
    """One exiftool that stays open, with a command for each photo."""

    def __init__(self, folder: Path) -> None:
        self._tool = ExifTool()

    def write(self, jobs: Sequence[Job]) -> int:
        """Returns how many were written."""
        n = 0
        for path, lat, lon, alt, time_s, heading in jobs:
            day, clock = _stamps(time_s)
            ask = [
                "-n",
                "-overwrite_original",
                f"-GPSLatitude={abs(lat)!r}",
                f"-GPSLatitudeRef={'N' if lat >= 0 else 'S'}",
                f"-GPSLongitude={abs(lon)!r}",
                f"-GPSLongitudeRef={'E' if lon >= 0 else 'W'}",
                f"-GPSAltitude={abs(alt)!r}",
                f"-GPSAltitudeRef={int(alt < 0)}",
                f"-GPSDateStamp={day}",
                f"-GPSTimeStamp={clock}",
                f"-GPSImgDirection={heading!r}",
                "-GPSImgDirectionRef=T",
                path,
            ]
            n += b"1 image files updated" in b"".join(self._tool.ask(ask))
        return n


class Floor:
    """A new file by the kernel's copy, made durable, under the old name."""

    def __init__(self, folder: Path) -> None:
        pass

    def write(self, jobs: Sequence[Job]) -> int:
        """Returns how many were replaced."""
        for path, *_ in jobs:
            old = os.open(path, os.O_RDONLY)
            new = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            left = os.fstat(old).st_size
            while left:
                left -= os.copy_file_range(old, new, left)
            os.fsync(new)
            os.close(new)
            os.close(old)
            os.replace(path + ".new", path)
        return len(jobs)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "camtrail": CamtrailWriter,
    "camtrail-durable": DurableCamtrailWriter,
    "mapillary_tools": MapillaryWriter,
    "piexif": PiexifWriter,
    "exiftool": ExifToolWriter,
    "floor": Floor,
}


def _sexagesimal(degrees: float) -> tuple[tuple[int, int], ...]:
    minutes, micro = divmod(round(abs(degrees) * 3.6e9), 60_000_000)
    return (minutes // 60, 1), (minutes % 60, 1), (micro, 1_000_000)


def _stamps(time_s: float) -> tuple[str, str]:
    """Date and time of whole seconds, UTC."""
    day, _, clock = strftime("%Y:%m:%d %H:%M:%S", gmtime(time_s)).partition(" ")
    return day, clock


def _utc(text: str) -> float:
    from datetime import UTC, datetime

    whole, _, part = text.removesuffix("Z").partition(".")
    stamp = datetime.strptime(whole, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    return stamp.timestamp() + (float(f"0.{part}") if part else 0.0)


def _drained(found: Iterable[Any]) -> int:
    n = 0
    for _ in found:
        n += 1
    return n


def headers(reader: str, listed: str) -> dict[str, object]:
    """Reads every header once to warm up, then once against the clock."""
    files = Path(listed).read_text().splitlines()
    made = READERS[reader]()
    _drained(made.read(files))
    start = perf_counter()
    n = _drained(made.read(files))
    return {"items": n, "seconds": perf_counter() - start}


def places(reader: str, listed: str) -> dict[str, object]:
    """Latitude, longitude and time of every photo."""
    made = READERS[reader]()
    found = made.read(Path(listed).read_text().splitlines())
    return {"places": [made.place(f) for f in found]}


def write(writer: str, listed: str) -> dict[str, object]:
    """Writes into every photo; the first one to warm up."""
    jobs: list[Job] = [tuple(job) for job in json.loads(Path(listed).read_text())]
    made = WRITERS[writer](Path(jobs[0][0]).parent)
    made.write(jobs[:1])
    start = perf_counter()
    n = made.write(jobs[1:])
    return {"items": n, "seconds": perf_counter() - start}


def undo(writer: str, listed: str) -> dict[str, object]:
    """Writes into every photo, then takes it back; the first one to warm up."""
    jobs: list[Job] = [tuple(job) for job in json.loads(Path(listed).read_text())]
    made = WRITERS[writer](Path(jobs[0][0]).parent)
    made.write(jobs)
    if hasattr(os, "sync"):
        os.sync()
    made.undo(jobs[:1])
    start = perf_counter()
    n = made.undo(jobs[1:])
    return {"items": n, "seconds": perf_counter() - start}


def track(reader: str, file: str) -> dict[str, object]:
    """Parses a GPX file, points to numbers with their times."""
    if reader == "gpxpy":
        import gpxpy  # type: ignore[import-not-found]

        start = perf_counter()
        with open(file, encoding="utf-8") as f:
            parsed = gpxpy.parse(f)
        points = [
            (p.time.timestamp(), p.latitude, p.longitude, p.elevation)
            for t in parsed.tracks
            for s in t.segments
            for p in s.points
            if p.time
        ]
        return {"items": len(points), "seconds": perf_counter() - start}
    from camtrail.core.bytes import FileBytes
    from camtrail.core.model import Track
    from camtrail.sources.gpx import GpxOptions, read

    start = perf_counter()
    with FileBytes(file) as source:
        n = sum(len(t.time_s) for t in read(source, GpxOptions()) if isinstance(t, Track))
    return {"items": n, "seconds": perf_counter() - start}


_GROUP = 1000  # photos of one camera in one folder


def _rides(n: int) -> tuple[Any, Any, Any, Any, Any]:
    """Group, time, latitude, longitude and heading of n photos in random order.

    A photo each two seconds and 14 m, whole seconds; one in fifty shares its second with the one before, and
    so does one in fifty its place.
    """
    import numpy as np

    random = np.random.default_rng(7)
    group, i = np.divmod(np.arange(n), _GROUP)
    time_s = 1.7e9 + 5000.0 * group + 2.0 * (i - (random.random(n) < 0.02))
    along = i - (random.random(n) < 0.02)
    lat, lon = 45.0 + 0.01 * (group % 997) + 1e-4 * along, 7.0 + 1e-4 * along
    shuffled = random.permutation(n)
    return tuple(c[shuffled] for c in (group, time_s, lat, lon, np.full(n, 37.0)))  # type: ignore[return-value]


def join(points: str, photos: str) -> dict[str, object]:
    """Places photos, in random order, on one track with a point a second."""
    import numpy as np

    from camtrail.core.model import Floats, Track
    from camtrail.steps.interpolate import JoinOptions
    from camtrail.steps.interpolate import join as joined

    m, n = int(points), int(photos)
    random = np.random.default_rng(7)
    along: Floats = np.cumsum(random.random(m)) * 1e-4
    lat: Floats = np.sin(along) + 45.0
    lon: Floats = np.cos(along) + 7.0
    absent = np.full(m, np.nan)
    fix_s: Floats = np.arange(1.7e9, 1.7e9 + m)
    line = Track(fix_s, lat, lon, absent, absent, absent, absent)
    time_s = random.random(n) * (m - 1) + 1.7e9
    start = perf_counter()
    answer = joined([line], time_s, JoinOptions())
    seconds = perf_counter() - start
    assert not answer.verdict.any() and len(answer.verdict) == n
    return {"items": n, "seconds": seconds}


def sequence(photos: str) -> dict[str, object]:
    """Puts photos in order, spreads those of one second, cuts and numbers the sequences."""
    from camtrail.core.names import natural
    from camtrail.core.options import resolve
    from camtrail.steps import sequences

    n = int(photos)
    group, time_s, lat, lon, _ = _rides(n)
    names = [f"IMG_{i:07d}.JPG" for i in range(n)]
    options = resolve(sequences.SplitOptions(), "classic")
    start = perf_counter()
    order = sequences.in_order(group, time_s, lambda row: natural(names[row]))
    group, time_s, lat, lon = group[order], time_s[order], lat[order], lon[order]
    spread = sequences.spread(group, time_s)
    label = sequences.split(group, spread, lat, lon, options)
    label, index = sequences.index_in(label, options.max_images)
    seconds = perf_counter() - start
    assert len(index) == n and label[-1] + 1 == 2 * -(-n // _GROUP)
    return {"items": n, "seconds": seconds}


def duplicates(photos: str) -> dict[str, object]:
    """Compares each photo with the last kept one of its sequence; each sequence has some duplicates."""
    import numpy as np

    from camtrail.core.options import resolve
    from camtrail.steps.duplicates import DuplicateOptions, flag

    n = int(photos)
    group, time_s, lat, lon, heading = _rides(n)
    order = np.lexsort((time_s, group))
    columns = (group[order], time_s[order], lat[order], lon[order], heading[order])
    options = resolve(DuplicateOptions(flag_duplicates=True), "classic")
    start = perf_counter()
    kept = flag(*columns, options)
    seconds = perf_counter() - start
    assert 0.01 * n < (kept >= 0).sum() < 0.03 * n
    return {"items": n, "seconds": seconds}


_CONNECTIONS = 4


def upload(url: str, folder: str, ledger: str) -> dict[str, object]:
    """The workflow of `camtrail mapillary upload`. The clock runs while photos are read, hashed and sent."""
    from camtrail.app import mapillary
    from camtrail.app.accounts import Accounts
    from camtrail.app.context import Context
    from camtrail.app.mapillary_options import ToolOptions, UploadOptions
    from camtrail.core.secrets import Secret

    accounts = Accounts(f"{ledger}.toml", url, environment_token=Secret("bench"), keyring=False)
    options = ToolOptions(upload=UploadOptions(number_threads=_CONNECTIONS, ledger=ledger))
    done = mapillary.upload([folder], options, mapillary.Access(accounts, url), Context())
    assert done.uploaded is not None and done.exit_code() == 0, done
    return {"items": done.uploaded.counts["uploaded"], "seconds": done.uploaded.elapsed_s}


def bare(url: str, listed: str) -> dict[str, object]:
    """The same requests by the least that makes them: the bytes that are there, the bytes, their list, its publication."""
    import threading
    from hashlib import sha256
    from http.client import HTTPConnection
    from queue import Empty, SimpleQueue
    from urllib.parse import urlsplit

    files = Path(listed).read_text().splitlines()
    host = urlsplit(url).netloc
    handles = [""] * len(files)
    todo: SimpleQueue[int] = SimpleQueue()
    for i in range(len(files)):
        todo.put(i)

    def asked(line: HTTPConnection, method: str, path: str, body: bytes | None, **headers: str) -> Any:
        line.request(method, path, body, {"Authorization": "OAuth bench", **headers})
        answer = line.getresponse()
        data = answer.read()
        assert answer.status == 200, answer.status
        return json.loads(data)

    def sent(line: HTTPConnection, data: bytes, suffix: str) -> str:
        path = f"/mapillary_public_uploads/{sha256(data).hexdigest()}{suffix}"
        offset = asked(line, "GET", path, None)["offset"]
        return str(asked(line, "POST", path, data[offset:], Offset=str(offset))["h"])

    def work() -> None:
        line = HTTPConnection(host)
        while True:
            try:
                i = todo.get_nowait()
            except Empty:
                return line.close()
            handles[i] = sent(line, Path(files[i]).read_bytes(), ".jpg")

    start = perf_counter()
    threads = [threading.Thread(target=work) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    line = HTTPConnection(host)
    images = {"image_handles": handles, "upload_type": "images", "version": "1"}
    call = {
        "file_handle": sent(line, json.dumps(images).encode(), ".json"),
        "file_type": "mly_bundle_manifest",
    }
    asked(line, "POST", "/finish_upload", json.dumps(call).encode())
    seconds = perf_counter() - start
    line.close()
    return {"items": len(files), "seconds": seconds}


def dumped(description: str) -> dict[str, object]:
    """SHA-256 of what mapillary_tools makes of each photo before it sends it, sorted."""
    from hashlib import sha256

    from mapillary_tools.serializer.description import (  # type: ignore[import-not-found]
        DescriptionJSONSerializer,
    )
    from mapillary_tools.uploader import CachedImageUploader  # type: ignore[import-not-found]

    found = DescriptionJSONSerializer.deserialize(Path(description).read_bytes())
    return {"sums": sorted(sha256(CachedImageUploader.dump_image_bytes(m)).hexdigest() for m in found)}


TASKS: dict[str, Callable[..., dict[str, object]]] = {
    task.__name__: task
    for task in (headers, places, write, undo, upload, bare, dumped, track, join, sequence, duplicates)
}


if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*sys.argv[2:])))
