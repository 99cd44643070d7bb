"""One library, one task on pictures, one process: times it and prints JSON.

Run by the interpreter that has the library: `python -P worker_similar.py TASK ARGUMENT`. All cores.
"""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Callable
from time import perf_counter

import numpy as np


def described(folder: str) -> dict[str, object]:
    """camtrail's descriptions of all pictures of a folder, by its processes."""
    from functools import partial

    from camtrail.app.similar_pictures import describe_one
    from camtrail.core.fs import RealFileSystem
    from camtrail.executors.processes import Processes

    files = sorted(f"{folder}/{name}" for name in os.listdir(folder))
    start = perf_counter()
    made = list(Processes(os.cpu_count() or 1, 4).map(partial(describe_one, RealFileSystem()), files))
    seconds = perf_counter() - start
    assert all(isinstance(text, str) for text in made)
    return {"items": len(made), "seconds": seconds}


def imagededup(folder: str) -> dict[str, object]:
    """imagededup's perceptual hashes of the same, by its processes. Its networks, and PyTorch, are left out."""
    for name, missing in (("imagededup.methods.cnn", "CNN"), ("imagededup.utils.models", "CustomModel")):
        module = types.ModuleType(name)
        setattr(module, missing, None)
        sys.modules[name] = module
    from imagededup.methods import PHash  # type: ignore[import-not-found]

    encoder = PHash(verbose=False)
    start = perf_counter()
    made = encoder.encode_images(folder)
    seconds = perf_counter() - start
    return {"items": len(made), "seconds": seconds}


def pairs(words: str, most_bits: str) -> dict[str, object]:
    """All near pairs of 100,000 hashes of 64 bits a word, of which a tenth are near to others."""
    from camtrail.vision.neighbours import pairs_within

    n, most = 100_000, int(most_bits)
    random = np.random.default_rng(1)
    hashes = random.integers(0, 1 << 64, (n, int(words)), dtype=np.uint64)
    bits = np.unpackbits(hashes[: n // 10].view(np.uint8), axis=1)
    for row, count in zip(bits, random.integers(0, most + 1, n // 10)):
        row[random.choice(bits.shape[1], count, replace=False)] ^= 1
    hashes[-(n // 10) :] = np.packbits(bits, axis=1).view(np.uint64)
    start = perf_counter()
    found = pairs_within(hashes, most)
    seconds = perf_counter() - start
    assert len(found.first) >= n // 10
    return {"items": n, "seconds": seconds}


TASKS: dict[str, Callable[..., dict[str, object]]] = {
    "described": described, "imagededup": imagededup, "pairs": pairs,
}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*sys.argv[2:])))
