"""Pictures: decoding and comparing, one core."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from bench import peers
from bench.rows import Pair, Room, Row, measured

__all__ = ["ROWS"]

_WORKER = Path(__file__).with_name("worker_vision.py")
_LARGE = (4032, 3024)  # 12 megapixels, as phones take them
_ONLINE_PX = 1024  # the `large` of iNaturalist
_AGREE = 1e-6


_run = partial(measured, worker=_WORKER)


def _photo(room: Room) -> Path:
    """A JPEG of 12 megapixels that costs as much to decode as a photo: light at all scales, and noise."""
    import numpy as np
    from PIL import Image

    path = room.folder / "photo.jpg"
    if not path.exists():
        random = np.random.default_rng(7)
        width, height = _LARGE
        picture = np.full((height, width, 3), 128.0, np.float32)
        side = 4
        while side <= 1024:
            coarse = random.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8)
            smooth = Image.fromarray(coarse).resize(_LARGE, Image.Resampling.BICUBIC)
            picture += (np.asarray(smooth, np.float32) - 128) * 0.3
            side *= 4
        picture += random.normal(0, 3, (height, width, 1))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=92)
    return path


def _pair(room: Room) -> tuple[str, str]:
    """The photo at the size of the service, and what it makes of it."""
    from PIL import Image

    one, two = room.folder / "one.png", room.folder / "two.jpg"
    if not two.exists():
        with Image.open(_photo(room)) as image:
            small = image.resize((_ONLINE_PX, _ONLINE_PX * 3 // 4), Image.Resampling.LANCZOS)
        small.save(one)
        small.save(two, quality=85)
    return str(one), str(two)


def _ssim(ours: str, library: str, room: Room) -> Pair:
    files = _pair(room)
    values = [
        float(str(peers.work(interpreter, "ssim", name, *files, "1", worker=_WORKER)["value"]))
        for interpreter, name in ((sys.executable, ours), (peers.python(), library))
    ]
    if abs(values[0] - values[1]) > _AGREE:
        raise RuntimeError(f"{ours} answers {values[0]}, {library} {values[1]}")
    return Pair(
        partial(_run, sys.executable, "ssim", ours, *files, "100"),
        partial(_run, peers.python(), "ssim", library, *files, "2"),
    )


def _decode(library: str, most_px: int, room: Room) -> Pair:
    arguments = (str(_photo(room)), str(most_px), "10")
    return Pair(
        partial(_run, sys.executable, "decode", "camtrail", *arguments),
        partial(_run, peers.python(), "decode", library, *arguments),
    )


ROWS = (
    Row(
        "ssim-pil",
        "`vision.ssim.ssim_tiles`, two pictures of 1024 x 768; `SSIM_PIL.compare_ssim` on the CPU, the same number",
        "kilopixels",
        partial(_ssim, "tiles", "SSIM-PIL"),
        ratio=20,
    ),
    Row(
        "ssim-skimage",
        "`vision.ssim.ssim_windows`, the same two; scikit-image's `structural_similarity`, the same number",
        "kilopixels",
        partial(_ssim, "windows", "scikit-image"),
        ratio=5,
    ),
    Row(
        "decode-pillow",
        "`vision.decode.decode`, a JPEG of 12 megapixels to 1024 px; `Image.open(f).convert('RGB').resize(…)`",
        "photos",
        partial(_decode, "plain", _ONLINE_PX),
        ratio=2,
    ),
    Row(
        "decode-thumbnail",
        "the same; `Image.open(f).thumbnail((1024, 1024))`, which decodes at a half, too",
        "photos",
        partial(_decode, "thumbnail", _ONLINE_PX),
    ),
    Row(
        "decode-small",
        "the same to 32 px; `Image.open(f).thumbnail((32, 32))`",
        "photos",
        partial(_decode, "thumbnail", 32),
    ),
)
