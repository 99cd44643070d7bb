"""What pages of the documentation find in their folder, by the names in `<!-- with: NAME, NAME -->`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from camtrail.app.sandbox import SANDBOXES, SandboxOptions, start
from inaturalist_example import make
from photos import Shot

TOKENS = {"mapillary": "rider", "inaturalist": "tokenofthenaturalist", "camio": "tokenofthereviewer"}
_START = datetime(2026, 5, 9, 8, 0, 0, tzinfo=UTC)


def _at(seconds: float) -> tuple[float, float]:
    return 47.3686 - 3e-5 * seconds, 8.5392 + 4e-5 * seconds


def _local(seconds: float) -> str:
    return f"{_START + timedelta(hours=2, seconds=seconds):%Y:%m:%d %H:%M:%S}"


def _colour(n: int) -> Callable[[int, int], tuple[int, int, int]]:
    return lambda x, y: ((37 * n + 20 * x) % 256, (53 * n + 30 * y) % 256, (11 * n) % 256)


def ride(folder: Path) -> None:
    """A bicycle ride: a phone that knows where it is, an action camera that does not, and a recorded track.

    The phone stands still for three of its photos; the action camera was on before the recorder.
    """
    target = folder / "ride"
    target.mkdir()
    for n in range(12):
        seconds = 10.0 * n + 3
        lat, lon = _at(min(seconds, 83) if n < 11 else seconds)
        shot = Shot(
            local=_local(seconds), offset="+02:00", lat_deg=lat, lon_deg=lon, alt_m=408.0,
            gps_time=_START + timedelta(seconds=seconds), heading_deg=130.0, make="Made", model="Phone",
            size=(8, 6), colour=_colour(n),
        )  # fmt: skip
        (target / f"PHONE_{n + 1:04d}.jpg").write_bytes(shot.bytes())
    for n in range(20):
        shot = Shot(
            local=_local(6.0 * n - 13),
            make="Made",
            model="Action",
            size=(8, 6),
            order=">",
            colour=_colour(n + 40),
        )
        (target / f"ACT{n + 1:05d}.JPG").write_bytes(shot.bytes())
    points = "".join(
        f'<trkpt lat="{lat:.7f}" lon="{lon:.7f}"><ele>408</ele>'
        f"<time>{_START + timedelta(seconds=s):%Y-%m-%dT%H:%M:%SZ}</time></trkpt>\n"
        for s in range(0, 121, 5)
        for lat, lon in [_at(s)]
    )
    text = f'<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>\n{points}</trkseg></trk></gpx>\n'
    (target / "ride.gpx").write_text(text)


def path(folder: Path) -> None:
    """Five photos of one camera that know place, time and direction, as most examples of manuals have them."""
    target = folder / "path"
    target.mkdir()
    for n in range(5):
        lat, lon = _at(10.0 * n)
        shot = Shot(
            local=_local(10.0 * n), offset="+02:00", lat_deg=lat, lon_deg=lon, heading_deg=140.0, size=(8, 6),
            colour=_colour(n),
        )  # fmt: skip
        (target / f"IMG_{n + 1}.jpg").write_bytes(shot.bytes())


def album(folder: Path) -> None:
    """Pictures of a family: a camera roll, what messengers left, and one copy of a picture."""
    roll, messages = folder / "camera-roll", folder / "whatsapp"
    roll.mkdir()
    messages.mkdir()
    for n, (hour, lat, lon) in enumerate(((9, 41.3851, 2.1734), (9, 41.3853, 2.1737), (15, 41.2300, 1.8100))):
        shot = Shot(
            local=f"2026:05:09 {hour:02d}:0{n}:00", offset="+02:00", lat_deg=lat, lon_deg=lon, make="Made",
            model="Phone", size=(24, 18), colour=_colour(n),
        )  # fmt: skip
        (roll / f"IMG_{n + 1}.jpg").write_bytes(shot.bytes())
    bare = Shot(make=None, model=None, orientation=None, size=(24, 18), colour=_colour(9)).bytes()
    (messages / "WhatsApp Image 2026-05-09 at 09.07.00.jpeg").write_bytes(bare)
    (messages / "IMG-20260509-WA0001.jpg").write_bytes(bare)
    (messages / "holiday.jpg").write_bytes(bare)


@cache
def _scene(seed: int) -> Any:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((1024, 768), 3)
    fine = Image.fromarray(random.integers(0, 256, (96, 128, 3), np.uint8)).resize((1024, 768), 3)
    return Image.blend(coarse, fine, 0.35)


def nature(folder: Path) -> None:
    """Five photos of an outing, of two observations, and what iNaturalist has of them in `inaturalist-data`."""
    from PIL import Image

    target = folder / "nature"
    target.mkdir()
    for name, seed, moment in (
        ("dcsf0118", 1, "2021:02:01 10:35:07"), ("dcsf0119", 2, "2021:02:01 10:35:58"),
        ("dcsf0119_crop", 2, "2021:02:01 10:35:58"), ("dcsf0123", 3, "2021:02:01 11:00:12"),
        ("dcsf0124", 4, "2021:02:01 11:00:18"),
    ):  # fmt: skip
        picture = _scene(seed)
        if name.endswith("crop"):
            picture = picture.crop((150, 120, 898, 640))
        tags = Image.Exif()
        tags.get_ifd(0x8769)[0x9003] = moment
        lat = 37.4103 if moment < "2021:02:01 11" else 37.4059
        tags.get_ifd(0x8825).update(
            {1: "N", 2: _dms(lat), 3: "W", 4: _dms(121.79 if lat > 37.41 else 121.7795)}
        )
        picture.save(target / f"{name}.jpg", quality=92, exif=tags)
    make(target, folder / "inaturalist-data")


def _dms(degrees: float) -> tuple[float, float, float]:
    whole, rest = divmod(degrees * 60, 60)[0], math.fmod(degrees * 60, 60)
    return whole, math.floor(rest), round((rest % 1) * 60, 3)


@cache
def _footage(seed: int) -> bytes:
    import av
    import numpy as np

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream: Any = file.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(10):
            picture = np.full((48, 64, 3), (40 * seed + 9 * n) % 255, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


def videos(folder: Path) -> None:
    """Four videos of two cameras, named by camera and time, one of them twice."""
    target = folder / "videos"
    target.mkdir()
    for seed, name in enumerate(("CAM1-1476014557", "CAM1-1476014617", "CAM2-1476014557")):
        (target / f"{name}.mp4").write_bytes(_footage(seed))
    (target / "CAM2-1476014617.mp4").write_bytes(_footage(2))


def lists(folder: Path) -> None:
    """Lists of a place recognition data set: two sequences along one street, and their pairs."""
    target = folder / "lists"
    database, query = "DAYsequence000000000aa", "NIGHTsequence0000000bb"
    for name, first, shift in ((database, 1_000_000_000_001, 0.0), (query, 2_000_000_000_001, 2e-5)):
        (target / name).mkdir(parents=True)
        lines = [f"{name},{first + n},{50.84 + 1e-4 * n:.7f},{4.341 + shift:.7f}\n" for n in range(6)]
        (target / name / f"{name}_cured_data.txt").write_text("".join(lines))
    pairs = [
        f"{database},{query},{1_000_000_000_001 + n},{2_000_000_000_001 + n},{50.84 + 1e-4 * n:.7f},4.3410000,"
        f"{50.84 + 1e-4 * n:.7f},4.3410200\n"
        for n in range(6)
    ]
    (target / f"{database}_{query}_cured_data_pair_sequence.txt").write_text("".join(pairs))


_MADE: dict[str, Callable[[Path], None]] = {
    "ride": ride, "path": path, "album": album, "nature": nature, "videos": videos, "lists": lists
}  # fmt: skip
_DATA = {"inaturalist": "inaturalist-data", "mapillary": "lists"}


@contextmanager
def prepared(names: list[str], folder: Path) -> Iterator[dict[str, str]]:
    """Makes what is named; the variables that lead to the sandboxes among them, while they serve.

    `sandbox NAME` is one, `sandbox NAME FAULT` one that goes wrong; it serves what lies in the folder for it.
    """
    env: dict[str, str] = {}
    running = []
    try:
        for name in names:
            kind, _, rest = name.partition(" ")
            if kind != "sandbox":
                _MADE[name](folder)
                continue
            service, _, fault = rest.partition(" ")
            data = folder / _DATA.get(service, "-")
            options = SandboxOptions(
                faults=(fault,) if fault else (), data=str(data) if data.is_dir() else ""
            )
            running.append(start([service], options))
            env |= running[-1].boxes[service].environment()
            env[SANDBOXES[service].token_variable] = TOKENS[service]
        yield env
    finally:
        for one in running:
            one.close()
