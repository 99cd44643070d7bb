"""A made collection to try things on: a ride, a walk, what goes wrong, pictures of a chat, and two videos.

The same files each time, as long as the libraries that encode pictures and videos are the same.
"""

from __future__ import annotations

import io
import json
import math
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from camtrail.core.errors import StorageError
from camtrail.core.fs import FileSystem
from camtrail.core.names import shown
from camtrail.metadata import safeio
from camtrail.vision.encode import jpeg_of

__all__ = ["LOGIN", "ONLINE", "TRACK", "WALK_BOX", "Sample", "make"]

LOGIN = "demo"
"""Whose observations and uploads they are."""

TRACK = "ride/ride.gpx"
"""The recorded track, in the sample's folder."""

ONLINE = ".services/inaturalist"
"""What a stand-in for iNaturalist serves, in the sample's folder."""

_RIDE_START = datetime(2026, 5, 9, 8, 0, 0, tzinfo=UTC)
_WALK_START = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
_LAT_DEG, _LON_DEG = 47.3686, 8.5392
_PHONE, _ACTION, _WALK = 40, 60, 24  # photos
_RIDE_PX, _WALK_PX, _CHAT_PX = (320, 240), (800, 600), (480, 360)
_VIDEO_PX, _VIDEO_FRAMES, _VIDEO_RATE = (320, 240), 40, 10
_MP4_EPOCH_S = 2_082_844_800  # of 1904, before that of 1970
_JPEG_QUALITY = 85

WALK_BOX = (47.30, 47.38, 8.53, 8.58)
"""Least and greatest latitude, least and greatest longitude of all that has a place, degrees."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was made."""

    photos: int
    videos: int
    is_playable: bool  # whether the videos have pictures in them


def make(fs: FileSystem, folder: str) -> Sample:
    """Writes the collection into a folder, which is made; files of these names are replaced.

    Notes
    -----
    Without the extra `video` the two videos are containers that no player shows anything of.

    Raises
    ------
    StorageError
        The disk does not take it.
    """
    files = {**_ride(), **_walk(), **_odd(), **_chat()}
    photos = sum(not name.endswith(".gpx") for name in files)
    videos, is_playable = _videos()
    for name, data in {**files, **videos, **_online()}.items():
        path = f"{folder.rstrip('/')}/{name}"
        try:
            fs.make_folder(path.rpartition("/")[0])
        except OSError as e:
            raise StorageError(
                f"{shown(folder)}: cannot be made ({e.strerror})", "name another folder"
            ) from e
        safeio.put(fs, path, [data])
    return Sample(photos, len(videos), is_playable)


# Pictures.


def _landscape(seed: int, along: float, size_px: tuple[int, int]) -> Pixels:
    """Hills below a sky; `seed` gives their kind, `along` how far one has gone past them."""
    width, height = size_px
    rng = np.random.default_rng(seed)
    x = np.linspace(0.0, 1.0, width)
    y = np.linspace(0.0, 1.0, height)[:, None]
    sky = np.array([96, 150, 220]) + np.array([110, 70, 20]) * y[..., None]
    pixels = np.broadcast_to(sky, (height, width, 3)).copy()
    for depth in range(3):
        waves = rng.uniform((3.0, 0.0), (11.0, 2 * math.pi), (4, 2))
        ridge = 0.42 + 0.16 * depth
        for number, (wide, turn) in enumerate(waves):
            ridge = ridge + 0.06 / (1 + number) * np.sin(wide * (x + along * (1 + depth)) + turn)
        colour = np.array([120, 135, 125]) - depth * np.array([28, 12, 38]) + rng.integers(-18, 19, 3)
        pixels = np.where((y > ridge)[..., None], colour, pixels)
    is_sky = np.all(pixels == sky, axis=2, keepdims=True)
    shade = _texture(rng, size_px) * np.where(is_sky, 0.3, 1.0)
    return np.clip(pixels + shade, 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, size_px: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Light and shade of grass and stone, of shape (h, w, 1)."""
    from PIL import Image

    grain = rng.integers(0, 256, (18, 24), np.uint8)
    fine = Image.fromarray(grain).resize(size_px, Image.Resampling.BICUBIC)
    return 0.28 * (np.asarray(fine, float)[..., None] - 128.0)


def _walk_pixels(number: int) -> Pixels:
    return _landscape(1000 + number, 0.0, _WALK_PX)


def _smaller(pixels: Pixels, size_px: tuple[int, int]) -> Pixels:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size_px, Image.Resampling.LANCZOS))


def _photo(
    pixels: Pixels, first: Mapping[int, Any], exif: Mapping[int, Any], gps: Mapping[int, Any]
) -> bytes:
    """A JPEG with EXIF as cameras write it."""
    from PIL import Image

    tags = Image.Exif()
    tags.update(first)
    if exif:
        tags.get_ifd(0x8769).update(exif)
    if gps:
        tags.get_ifd(0x8825).update({0: b"\2\3\0\0", **gps})
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=_JPEG_QUALITY, exif=tags)
    return out.getvalue()


def _camera(model: str) -> dict[int, Any]:
    return {0x010F: "Made", 0x0110: model, 0x0112: 1}


def _clock(moment: datetime, hours: float, **more: str) -> dict[int, Any]:
    """The reading of a clock that is so much ahead of UTC; `x9291="003"` adds tag 0x9291."""
    local = (moment + timedelta(hours=hours)).strftime("%Y:%m:%d %H:%M:%S")
    return {0x9003: local, **{int(name[1:], 16): value for name, value in more.items()}}


def _place(
    lat_deg: float, lon_deg: float, alt_m: float | None = None, at: datetime | None = None
) -> dict[int, Any]:
    found: dict[int, Any] = {
        1: "S" if lat_deg < 0 else "N", 2: _dms(lat_deg), 3: "W" if lon_deg < 0 else "E", 4: _dms(lon_deg)
    }  # fmt: skip
    if alt_m is not None:
        found |= {5: b"\0", 6: round(alt_m, 1)}
    if at is not None:
        found |= {7: (at.hour, at.minute, at.second), 29: at.strftime("%Y:%m:%d")}
    return found


def _dms(degrees: float) -> tuple[Fraction, Fraction, Fraction]:
    minutes, seconds = divmod(round(abs(degrees) * 3600 * 10_000), 60 * 10_000)
    return Fraction(minutes // 60), Fraction(minutes % 60), Fraction(seconds, 10_000)


# The ride: a phone that knows where it is, an action camera that does not and started before the recorder.


def _on_ride(seconds: float) -> tuple[float, float, float]:
    """Where the bicycle is: along a lake shore, 5 m/s, slightly winding."""
    along = 5.0 * seconds
    lat = _LAT_DEG - along * 0.85 / 111_200 + 0.0004 * math.sin(seconds / 40)
    lon = _LON_DEG + along * 0.55 / (111_320 * math.cos(math.radians(lat))) + 0.0003 * math.cos(seconds / 55)
    return lat, lon, 408 + 4 * math.sin(seconds / 90)


def _ride() -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for i in range(_PHONE):
        seconds = 10.0 * i + 3
        moment = _RIDE_START + timedelta(seconds=seconds)
        lat, lon, alt = _on_ride(seconds)
        clock = _clock(moment, 2, x9291=f"{37 * i % 1000:03d}", x9011="+02:00")
        made[f"ride/PHONE_{i + 1:04d}.jpg"] = _photo(
            _landscape(7, i / 30, _RIDE_PX), _camera("Phone"), clock, _place(lat, lon, alt, moment)
        )
    for i in range(_ACTION):
        moment = _RIDE_START + timedelta(seconds=6.0 * i - 13)
        made[f"ride/ACT{i + 1:05d}.JPG"] = _photo(
            _landscape(8, i / 45, _RIDE_PX), _camera("Action"), _clock(moment, 2, xA431="A-1701"), {}
        )
    made[TRACK] = _gpx()
    return made


def _gpx() -> bytes:
    points = "".join(
        f'<trkpt lat="{lat:.7f}" lon="{lon:.7f}"><ele>{alt:.1f}</ele>'
        f"<time>{(_RIDE_START + timedelta(seconds=s)).strftime('%Y-%m-%dT%H:%M:%SZ')}</time></trkpt>\n"
        for s in range(0, 371, 5)
        for lat, lon, alt in [_on_ride(s)]
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="sample" '
        f'xmlns="http://www.topografix.com/GPX/1/1"><trk><name>ride</name><trkseg>\n{points}</trkseg></trk></gpx>\n'
    ).encode()


# The walk in the hills above: no offset, no GPS time; the zone is that of the place.


def _on_walk(i: int) -> tuple[float, float, datetime]:
    lat = 47.3555 - i * 0.0004 + 0.0003 * math.sin(i / 2)
    return lat, 8.5660 + i * 0.0002, _WALK_START + timedelta(seconds=45 * i)


def _walk() -> dict[str, bytes]:
    made = {}
    for i in range(_WALK):
        lat, lon, moment = _on_walk(i)
        made[f"walk/IMG_{i + 1}.JPG"] = _photo(
            _walk_pixels(i + 1), _camera("Compact"), _clock(moment, 1), _place(lat, lon, 560.0 + 3 * i)
        )
    return made


def _odd() -> dict[str, bytes]:
    """What goes wrong in real folders."""
    noon = datetime(2026, 5, 9, 12, tzinfo=UTC)

    def shot(seed: int, exif: Mapping[int, Any], gps: Mapping[int, Any]) -> bytes:
        return _photo(_landscape(seed, 0.0, (160, 120)), _camera("Compact"), exif, gps)

    return {
        "odd/no-place.jpg": shot(31, _clock(noon, 0), {}),
        "odd/no-time.jpg": shot(32, {}, _place(47.36, 8.54)),
        "odd/null-island.jpg": shot(33, _clock(noon + timedelta(seconds=5), 0), _place(0.0, 0.0)),
        "odd/cut-off.jpg": shot(34, _clock(noon + timedelta(seconds=10), 0), _place(47.36, 8.54))[:-200],
        "odd/no-exif.jpg": jpeg_of(_landscape(35, 0.0, (160, 120))),
    }


def _chat() -> dict[str, bytes]:
    """What came back by messengers: smaller copies of the walk's photos, and all EXIF is gone."""
    names = {
        "IMG-20260314-WA0003.jpg": 5,
        "IMG-20260314-WA0004.jpg": 9,
        "signal-2026-03-14-10-38-15-120.jpg": 12,
    }
    made = {
        f"chat/{name}": jpeg_of(_smaller(_walk_pixels(number), _CHAT_PX), quality=70)
        for name, number in names.items()
    }
    made["chat/PXL_20260509_081512345.jpg"] = jpeg_of(_landscape(41, 0.0, _CHAT_PX), quality=70)
    return made


# What is on iNaturalist: three observations of the walk, and a photo that is not in it.

_OBSERVED = (
    (2001, (42076, "Vulpes vulpes", "species", "Red Fox"), ((900101, 4), (900102, 5))),
    (2002, (55563, "Bellis perennis", "species", "common daisy"), ((900201, 9),)),
    (2003, (54227, "Fagus sylvatica", "species", "European Beech"), ((900301, 16), (900302, 0))),
)  # photo id, number of the photo in the walk; 0 for one that is not in it


def _online() -> dict[str, bytes]:
    made = {
        f"{ONLINE}/observations.json": json.dumps([_observation(*o) for o in _OBSERVED], indent=1).encode()
    }
    for _, _, photos in _OBSERVED:
        for photo_id, number in photos:
            pixels = _walk_pixels(number or 500)
            made[f"{ONLINE}/photos/{photo_id}.jpg"] = jpeg_of(pixels, quality=90)
    return made


def _observation(
    number: int, taxon: tuple[int, str, str, str], photos: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    lat, lon, moment = _on_walk(photos[0][1] - 1)
    local = moment + timedelta(hours=1)
    listed = [_observed_photo(photo_id) for photo_id, _ in photos]
    return {
        "id": number,
        "uuid": _uuid(f"observation {number}"),
        "observed_on": local.date().isoformat(),
        "observed_on_details": {"date": local.date().isoformat()},
        "observed_on_string": f"{local:%Y-%m-%d %H:%M:%S}",
        "time_observed_at": f"{local:%Y-%m-%dT%H:%M:%S}+01:00",
        "observed_time_zone": "Europe/Zurich",
        "time_zone_offset": "+01:00",
        "location": f"{lat:.6f},{lon:.6f}",
        "positional_accuracy": 8,
        "obscured": False,
        "quality_grade": "research",
        "uri": f"https://www.inaturalist.org/observations/{number}",
        "user": {"id": 7, "login": LOGIN, "name": "A walker"},
        "taxon": dict(zip(("id", "name", "rank", "preferred_common_name"), taxon)),
        "observation_photos": [
            {"id": 10 * photo["id"], "uuid": _uuid(f"photo {photo['id']}"), "position": k, "photo": photo}
            for k, photo in enumerate(listed)
        ],
        "photos": listed,
    }


def _observed_photo(photo_id: int) -> dict[str, Any]:
    width, height = _WALK_PX
    return {
        "id": photo_id,
        "url": f"https://inaturalist-open-data.s3.amazonaws.com/photos/{photo_id}/square.jpg",
        "license_code": "cc-by-nc",
        "original_dimensions": {"width": width, "height": height},
    }


def _uuid(of: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"camtrail sample {of}"))


# The videos: their names tell camera and time.


def _videos() -> tuple[dict[str, bytes], bool]:
    """Two of them, and whether they have pictures in them."""
    first_s = int(_RIDE_START.timestamp())
    names = {"videos/dock-north-": first_s, "videos/gate-east-": first_s + 90}
    try:
        import av  # noqa: F401
    except ImportError:
        return {f"{name}{at_s}.mp4": _bare_video(at_s) for name, at_s in names.items()}, False
    return {f"{name}{at_s}.mp4": _video(k) for k, (name, at_s) in enumerate(names.items())}, True


def _video(seed: int) -> bytes:
    """Something that moves in front of a landscape; H.264, or MPEG-4 where there is no encoder for it."""
    import av
    import cv2

    width, height = _VIDEO_PX
    background = _landscape(51 + seed, 0.0, _VIDEO_PX)
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as file:
        stream: Any = (
            # Without its look ahead x264 makes the same bytes of the same pictures each time.
            file.add_stream("libx264", rate=_VIDEO_RATE, options={"qp": "26"})
            if "libx264" in av.codecs_available
            else file.add_stream("mpeg4", rate=_VIDEO_RATE)
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1  # the same bytes wherever it runs
        for n in range(_VIDEO_FRAMES):
            picture = background.copy()
            left = n * (width - 40) // _VIDEO_FRAMES
            picture[height // 2 : height // 2 + 60, left : left + 40] = (220, 60, 40)
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, _VIDEO_RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return memory.getvalue()


def _bare_video(at_s: int) -> bytes:
    """The boxes of an MP4 of H.264 around frames that are none (ISO/IEC 14496-12, 14496-15)."""
    width, height = _VIDEO_PX
    scale, step, n = _VIDEO_RATE, 1, _VIDEO_FRAMES
    frame = 16
    made = at_s + _MP4_EPOCH_S
    head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomavc1mp41")
    data = _box(b"mdat", bytes(frame * n))
    times = struct.pack(">4I", made, made, scale, n * step)
    unity = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    movie = _box(
        b"mvhd", bytes(4), times, struct.pack(">iH", 0x10000, 0x100), bytes(10), unity, bytes(24),
        struct.pack(">I", 2),
    )  # fmt: skip
    track = _box(
        b"tkhd", struct.pack(">I", 7), struct.pack(">5I", made, made, 1, 0, n * step), bytes(16), unity,
        struct.pack(">2I", width << 16, height << 16),
    )  # fmt: skip
    handler = _box(b"hdlr", bytes(8), b"vide", bytes(12), b"video\0")
    sets = b"\1\x42\xc0\x1e\xff\xe0\0"  # baseline, level 3, no parameter sets
    entry = _box(
        b"avc1", bytes(6), struct.pack(">H", 1), bytes(16), struct.pack(">2H", width, height),
        struct.pack(">3I", 0x480000, 0x480000, 0), struct.pack(">H", 1), bytes(32), struct.pack(">Hh", 24, -1),
        _box(b"avcC", sets),
    )  # fmt: skip
    table = _box(
        b"stbl",
        _box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        _box(b"stts", bytes(4), struct.pack(">3I", 1, n, step)),
        _box(b"stsc", bytes(4), struct.pack(">4I", 1, 1, n, 1)),
        _box(b"stsz", bytes(4), struct.pack(">2I", frame, n)),
        _box(b"stco", bytes(4), struct.pack(">2I", 1, len(head) + 8)),
    )
    reference = _box(b"dref", bytes(4), struct.pack(">I", 1), _box(b"url ", struct.pack(">I", 1)))
    media = _box(
        b"mdia",
        _box(b"mdhd", bytes(4), times, struct.pack(">2H", 0x55C4, 0)),
        handler,
        _box(b"minf", _box(b"vmhd", struct.pack(">I", 1), bytes(8)), _box(b"dinf", reference), table),
    )
    return head + data + _box(b"moov", movie, _box(b"trak", track, media))


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body
