"""What exiftool says of a file before and after: the written tags differ, and nothing else does."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from headers import read

from camtrail.core.bytes import MemoryBytes
from camtrail.metadata.write import NewTags, Values, carried, new_head, tags_of
from photos import exif, gps_tags, jpeg, segment

pytestmark = pytest.mark.exiftool

DATA = Path(__file__).parents[2].parent / "shared" / "data"
JFIF = segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0")
_NAMES = {
    "first": {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0112: "Orientation"},
    "exif": {0x9000: "ExifVersion", 0x9003: "DateTimeOriginal", 0x9011: "OffsetTimeOriginal", 0x9291: "SubSecTimeOriginal"},
    "gps": {
        0: "GPSVersionID", 1: "GPSLatitudeRef", 2: "GPSLatitude", 3: "GPSLongitudeRef", 4: "GPSLongitude",
        5: "GPSAltitudeRef", 6: "GPSAltitude", 7: "GPSTimeStamp", 16: "GPSImgDirectionRef", 17: "GPSImgDirection",
        29: "GPSDateStamp", 31: "GPSHPositioningError",
    },
}  # fmt: skip
_GROUPS = {"first": "IFD0", "exif": "ExifIFD", "gps": "GPS"}


def exiftool(*arguments: str | Path) -> bytes:
    done = subprocess.run(["exiftool", *map(str, arguments)], capture_output=True, timeout=120)
    return done.stdout


def dumps(paths: Sequence[Path], *options: str) -> list[list[tuple[str, str]]]:
    """Every tag of every file, in the order of the files: names with their groups, and values."""
    out = exiftool("-a", "-G1", "-s", "-u", "-n", "--System:all", *options, "--", *paths).decode(
        "utf-8", "replace"
    )
    files: list[list[tuple[str, str]]] = []
    for line in out.splitlines():
        if line.startswith("========"):
            files.append([])
        elif m := re.match(r"\[(.+?)\] +(\S+) +: ?(.*)", line):
            files[-1].append((f"{m[1]}:{m[2]}", m[3]))
    assert len(files) == len(paths)
    return files


def intended(new: NewTags) -> set[str]:
    """Names of the tags that may differ; what exiftool computes of them is no tag of the file."""
    return {f"{_GROUPS[part]}:{_NAMES[part][tag]}" for part in _NAMES for tag in getattr(new, part)} | {
        "GPS:GPSVersionID",
        "ExifIFD:ExifVersion",
    }


def same_but(before: list[tuple[str, str]], after: list[tuple[str, str]], names: set[str]) -> None:
    def rest(tags: list[tuple[str, str]]) -> list[tuple[str, str]]:
        # The order of entries is that of their numbers, which a camera may not have kept. Positions of other
        # pictures in the file are computed; the file says them as distances.
        skipped = {
            *names,
            "File:ExifByteOrder",
            "MPImage1:MPImageStart",
            "MPImage2:MPImageStart",
            "ExifTool:Warning",
        }
        return sorted(tag for tag in tags if tag[0] not in skipped and not tag[0].startswith("Composite:"))

    assert rest(after) == rest(before)


def warnings(dump: list[tuple[str, str]]) -> set[str]:
    return {value for name, value in dump if name == "ExifTool:Warning"}


def values_of(seed: int) -> Values:
    draw = random.Random(seed)

    def maybe(value: Any, absent: Any = float("nan")) -> Any:
        return value if draw.random() < 0.7 else absent

    return Values(
        lat_deg=draw.uniform(-90, 90), lon_deg=draw.uniform(-180, 180), alt_m=maybe(draw.uniform(-400, 8000)),
        time_s=maybe(draw.uniform(5e8, 2e9)), heading_deg=maybe(draw.uniform(0, 359.99)), error_m=maybe(draw.uniform(0, 50)),
        local_s=maybe(draw.uniform(5e8, 2e9)), offset_s=maybe(draw.randrange(-56, 57) * 900.0), make=maybe("Máde", None),
        model=maybe("Model Ü", None), orientation=maybe(draw.randint(1, 8), None), description=maybe('{"MAPLatitude": 1}', None),
    )  # fmt: skip


_REQUIRED_FIRST = {0x011A: (5, 72), 0x011B: (5, 72), 0x0128: (3, 2), 0x0213: (3, 1)}
_REQUIRED_EXIF = {
    0x9000: (7, b"0232"),
    0x9101: (7, b"\1\2\3\0"),
    0xA000: (7, b"0100"),
    0xA001: (3, 1),
    0xA002: (3, 16),
    0xA003: (3, 16),
}


def photo_of(seed: int) -> bytes:
    """A photo that no validator complains of, or one without EXIF."""
    draw = random.Random(seed + 10_000)
    block = b""
    if seed % 5:
        first: dict[int, Any] = {
            **_REQUIRED_FIRST,
            0x0131: (2, "some program"),
            0x010E: (2, "a caption"),
            0x010F: (2, "Made"),
        }
        when = datetime(2000, 1, 1) + timedelta(seconds=draw.randrange(10**9))
        rest: dict[int, Any] = {
            **_REQUIRED_EXIF, 0x9003: (2, when.strftime("%Y:%m:%d %H:%M:%S")), 0xA431: (2, "SN-1"), 0x9291: (2, "75"),
            0x927C: (7, bytes(range(1, 200))), 0xA434: (2, "a lens"),
        }  # fmt: skip
        gps = gps_tags(
            draw.uniform(-90, 90), draw.uniform(-180, 180), alt_m=draw.choice((None, 400.0)), heading_deg=draw.choice((None, 17.0)),
            time=draw.choice((None, when.replace(tzinfo=UTC))), t11=(5, 3), t27=(7, b"ASCII\0\0\0GPS"),
        ) if draw.random() < 0.7 else None  # fmt: skip
        block = exif(
            first,
            rest,
            gps,
            order="<>"[seed % 2],
            gap=draw.choice((0, 3, 30_000)),
            thumbnail=draw.choice((b"", jpeg())),
        )
    extra = [segment(0xFE, b"a comment")]
    trailing = draw.choice((b"", b"\0" * 20))
    data = (
        jpeg(block, xmp=draw.choice((b"", b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')), extra=extra) + trailing
    )
    return data[:2] + JFIF + data[2:] if draw.random() < 0.5 else data


def rewritten(data: bytes, new: NewTags, before: NewTags | None = None) -> bytes:
    head, at = new_head(MemoryBytes(data, "a.jpg"), new, before)
    return head + data[at:]


def agrees(values: Values, data: bytes, told: dict[str, str]) -> None:
    """exiftool and our reader say what was written."""
    row = read(data)

    def near(name: str, tag: str, ours: float, within: float, sign: float = 1.0) -> None:
        wanted = getattr(values, name)
        if wanted == wanted:
            assert abs(sign * float(told[tag]) - wanted) <= within, (tag, told[tag], wanted)
            assert abs(ours - wanted) <= within, (name, ours, wanted)

    near("lat_deg", "GPS:GPSLatitude", row.lat_deg, 1e-8, -1 if told["GPS:GPSLatitudeRef"] == "S" else 1)
    near("lon_deg", "GPS:GPSLongitude", row.lon_deg, 1e-8, -1 if told["GPS:GPSLongitudeRef"] == "W" else 1)
    if values.alt_m == values.alt_m:
        near("alt_m", "GPS:GPSAltitude", row.alt_m, 6e-4, -1 if told["GPS:GPSAltitudeRef"] == "1" else 1)
    near("heading_deg", "GPS:GPSImgDirection", row.heading_deg, 5.1e-3)
    near("error_m", "GPS:GPSHPositioningError", row.error_m, 6e-4)
    for seconds, tag in ((values.time_s, "gps"), (values.local_s, "local")):
        if seconds == seconds:
            if tag == "gps":
                text = f"{told['GPS:GPSDateStamp']} {told['GPS:GPSTimeStamp']}"
            else:
                text = f"{told['ExifIFD:DateTimeOriginal']}.{told.get('ExifIFD:SubSecTimeOriginal', '0')}"
            when = datetime.strptime(text if "." in text else text + ".0", "%Y:%m:%d %H:%M:%S.%f")
            assert abs((when - datetime(1970, 1, 1)).total_seconds() - seconds) <= 2e-6
    for name, tag in (
        ("make", "Make"),
        ("model", "Model"),
        ("description", "ImageDescription"),
        ("orientation", "Orientation"),
    ):
        wanted = getattr(values, name)
        if wanted is not None:
            assert told[f"IFD0:{tag}"] == str(wanted) and getattr(row, name) == wanted


def test_made_photos(tmp_path: Path) -> None:
    seeds = range(60)
    old, new = [tmp_path / f"{i:02d}a.jpg" for i in seeds], [tmp_path / f"{i:02d}b.jpg" for i in seeds]
    for i in seeds:
        data = photo_of(i)
        old[i].write_bytes(data)
        new[i].write_bytes(rewritten(data, tags_of(values_of(i))))
    before, after = dumps(old), dumps(new)
    for i in seeds:
        same_but(before[i], after[i], intended(tags_of(values_of(i))))
        agrees(values_of(i), new[i].read_bytes(), dict(after[i]))
        assert not warnings(after[i]) - warnings(before[i])
        if i % 5:
            thumbnail = (
                [exiftool("-b", "-ThumbnailImage", path) for path in (old[i], new[i])]
                if i < 12
                else [b"", b""]
            )
            assert thumbnail[0] == thumbnail[1]
    before, after = dumps(old, "-validate", "-warning"), dumps(new, "-validate", "-warning")
    for i in seeds:
        added = warnings(after[i]) - warnings(before[i])
        # A file without EXIF has none of the tags that a camera must write, and we do not make them up.
        assert not added if i % 5 else all(text.startswith("Missing required JPEG") for text in added), added


def test_a_second_addition(tmp_path: Path) -> None:
    for i in range(8):
        data = photo_of(i)
        first = rewritten(data, tags_of(values_of(i)))
        kept = carried(MemoryBytes(data), MemoryBytes(first))
        last = replace(values_of(i + 100), make="Last")
        paths = [tmp_path / f"{i}{name}.jpg" for name in "abc"]
        for path, content in zip(paths, (data, first, rewritten(data, tags_of(last), kept)), strict=True):
            path.write_bytes(content)
        before, middle, after = dumps(paths)
        same_but(middle, after, intended(tags_of(last)))
        agrees(last, paths[2].read_bytes(), dict(after))
        before, middle, after = dumps(paths, "-validate", "-warning")
        assert warnings(after) <= warnings(middle) | warnings(before)


@pytest.mark.data
def test_real_photos(tmp_path: Path) -> None:
    found = sorted([*DATA.glob("photos/*/*.[jJ]*"), *DATA.glob("broken/*.jpg")])
    assert len(found) >= 10
    values = replace(values_of(1), alt_m=-12.5, heading_deg=271.5, error_m=4.5, time_s=1.5e9, local_s=1.6e9 + 0.25, offset_s=7200.0,
                     make=None, model=None, orientation=6, description="a caption")  # fmt: skip
    old, new = [], []
    for i, path in enumerate(found):
        data = path.read_bytes()
        old.append(tmp_path / f"{i}a.jpg")
        new.append(tmp_path / f"{i}b.jpg")
        old[-1].write_bytes(data)
        new[-1].write_bytes(rewritten(data, tags_of(values)))
    for options in ((), ("-validate", "-warning"), ("-ee",)):
        for path, before, after in zip(found, dumps(old, *options), dumps(new, *options), strict=True):
            same_but(before, after, intended(tags_of(values)) | {"ExifTool:Validate"})
            agrees(values, new[found.index(path)].read_bytes(), dict(after)) if not options else None
            added = warnings(after) - warnings(before)
            # The offset is of Exif 2.31; the version that a camera wrote is its own.
            assert all("requires ExifVersion 0231" in text or "Missing required" in text for text in added), (
                path,
                added,
            )
    pictures = (
        "-b",
        "-U",
        "-ThumbnailImage",
        "-PreviewImage",
        "-MPImage2",
        "-MakerNotes:all",
        "-MakerNoteSony",
        "-ICC_Profile",
    )
    for a, b in zip(old, new, strict=True):
        assert exiftool(*pictures, a) == exiftool(*pictures, b), a
    assert sum(len(exiftool("-b", "-ThumbnailImage", path)) > 1000 for path in new) >= 2


@pytest.mark.data
def test_another_make_leaves_a_maker_note_readable(tmp_path: Path) -> None:
    data = (DATA / "photos" / "street" / "DSC00001.JPG").read_bytes()
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    new = tags_of(Values(make="Test"))
    for path, content in zip(paths, (data, rewritten(data, new)), strict=True):
        path.write_bytes(content)
    before, after = dumps(paths)
    same_but(before, after, intended(new))
    assert dict(after)["IFD0:Make"] == "Test" and len(after) > 150
