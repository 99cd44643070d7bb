"""One library, one task on pictures, one process: times it and prints JSON. Called as `worker.py` is."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any


def _timed(work: Callable[[], Any], times: int) -> tuple[Any, float]:
    """What it answers, and seconds for all times; the first one, to warm up, is not counted."""
    answer = work()
    start = perf_counter()
    for _ in range(times):
        work()
    return answer, perf_counter() - start


def ssim(library: str, a: str, b: str, times: str) -> dict[str, object]:
    """The structural similarity of two files of one size, decoded before the clock starts."""
    from PIL import Image

    one, two = Image.open(a).convert("RGB"), Image.open(b).convert("RGB")
    work: Callable[[], Any]
    if library == "SSIM-PIL":
        from SSIM_PIL import compare_ssim  # type: ignore[import-not-found]

        warnings.simplefilter("ignore")  # of the way in which it reads pixels
        work = lambda: compare_ssim(one, two, GPU=False)  # noqa: E731
    else:
        import numpy as np

        p, q = np.asarray(one), np.asarray(two)
        if library == "scikit-image":
            from skimage.metrics import structural_similarity  # type: ignore[import-not-found]

            work = lambda: structural_similarity(p, q, channel_axis=-1, data_range=255)  # noqa: E731
        else:
            import cv2

            from camtrail.vision import ssim as ours

            cv2.setNumThreads(1)
            score = {"tiles": ours.ssim_tiles, "windows": ours.ssim_windows}[library]
            work = lambda: score(p, q)  # noqa: E731
    value, seconds = _timed(work, int(times))
    kilopixels = one.width * one.height // 1000
    return {"items": int(times) * kilopixels, "seconds": seconds, "value": float(value)}


def decode(library: str, file: str, most_px: str, times: str) -> dict[str, object]:
    """A file down to so many pixels on its longer side, as RGB."""
    most = int(most_px)
    work: Callable[[], Any]
    if library == "camtrail":
        from camtrail.core.bytes import FileBytes
        from camtrail.vision.decode import decode as ours

        def work() -> int:
            with FileBytes(file) as source:
                return max(ours(source, most).pixels.shape)

    else:
        from PIL import Image

        def work() -> int:
            with Image.open(file) as image:
                if library == "thumbnail":
                    image.thumbnail((most, most))
                    return max(image.convert("RGB").size)
                scale = most / max(image.size)
                size = round(image.width * scale), round(image.height * scale)
                return max(image.convert("RGB").resize(size).size)

    side, seconds = _timed(work, int(times))
    assert side == most
    return {"items": int(times), "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps({"ssim": ssim, "decode": decode}[sys.argv[1]](*sys.argv[2:])))
