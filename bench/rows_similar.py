"""Similar pictures: descriptions beside imagededup's hashes, and all near pairs of many hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from bench.corpus import CACHE
from bench.rows import Measure, Missing, Pair, Room, Row, Size

__all__ = ["ROWS"]

_WORKER = Path(__file__).with_name("worker_similar.py")
_HOME = CACHE / "imagededup-venv"
_PYTHON = _HOME / ("Scripts" if os.name == "nt" else "bin") / "python"
_NEEDS = ("scikit-learn", "scipy", "Pillow", "PyWavelets", "tqdm", "matplotlib")
_PICTURES = Size(120, 24)


def _work(interpreter: str, *arguments: str) -> Measure:
    done = subprocess.run(
        [interpreter, "-P", str(_WORKER), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return Measure(answer["items"], answer["seconds"])


def _peer() -> str:
    """The interpreter that has imagededup, without PyTorch, which its hashing does not use."""
    if not (_HOME / "done").exists():
        venv.create(_HOME, with_pip=True, clear=True)
        install = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for packages in (["--no-deps", "imagededup"], list(_NEEDS)):
            if subprocess.run([*install, *packages], check=False).returncode:
                raise Missing("imagededup could not be installed")
        (_HOME / "done").touch()
    return str(_PYTHON)


def _pictures(n: int) -> str:
    """A folder of photos of 12 megapixels and of as many of 1600 x 1200, as messengers send them."""
    folder = CACHE / f"pictures-{n}"
    if not (CACHE / f"pictures-{n}.done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            width, height = ((4000, 3000), (1600, 1200))[i % 2]
            random = np.random.default_rng(i)
            picture = np.zeros((height, width, 3), np.float32)
            for size in (4, 16, 64, 256, 1024):
                noise = random.normal(0, 14, (size, size, 3)).astype(np.float32)
                picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
            quality = (90, 75)[i % 2]
            made = (picture + 120).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{i:04}.jpg"), made, [cv2.IMWRITE_JPEG_QUALITY, quality])
        (CACHE / f"pictures-{n}.done").touch()
    return str(folder)


def _descriptions(room: Room) -> Pair:
    folder = _pictures(room.of(_PICTURES))
    return Pair(
        partial(_work, sys.executable, "described", folder), partial(_work, _peer(), "imagededup", folder)
    )


def _pairs(words: int, most_bits: int) -> Pair:
    return Pair(partial(_work, sys.executable, "pairs", str(words), str(most_bits)))


ROWS = (
    Row(
        "similar-imagededup",
        "`vision.descriptors.describe` (hashes, embedding, quality, digests) of {n} pictures of 12 and 2 megapixels on "
        "all cores; imagededup's `PHash.encode_images` of the same",
        "pictures",
        _descriptions,
        ratio=3.0,
        size=_PICTURES,
    ),
    Row(
        "hash-pairs-64",
        "`vision.neighbours.pairs_within`, 100,000 hashes of 64 bits, all pairs within 5",
        "",
        lambda room: _pairs(1, 5),
        within_s=0.5,
    ),
    Row(
        "hash-pairs-256",
        "`vision.neighbours.pairs_within`, 100,000 hashes of 256 bits, all pairs within 24",
        "",
        lambda room: _pairs(4, 24),
        within_s=10.0,
    ),
)
