"""Embeddings by a model of one's own: ONNX by onnxruntime, TorchScript or an exported program by PyTorch."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from camtrail.core.bytes import ByteSource, FileBytes
from camtrail.core.errors import InputError, MissingDependency, UnreadableFile, UsageError
from camtrail.core.names import shown
from camtrail.vision.decode import Pixels, resized

__all__ = ["Model", "Preparation", "load_model", "prepared"]

_KINDS = ("onnx", "torch")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, as torchvision's models want it
_MOST_BYTES = 1 << 20  # of a file beside a model
_CHUNK_BYTES = 1 << 20
_MOST_SIDE_PX = 4096

Batch: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a model wants its pictures to be like."""

    size_px: int = 224  # of the square that it sees
    resize_px: int = 256  # shorter side before the middle is cut out
    mean: tuple[float, ...] = _MEAN  # of each colour, 0 to 1
    std: tuple[float, ...] = _STD


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model that was loaded."""

    name: str  # as it was asked for
    digest: (
        str  # of its file and of what its pictures are like: embeddings of others are no use beside its own
    )
    preparation: Preparation
    run: Callable[[Batch], Batch]

    def embed(self, pictures: Sequence[Pixels]) -> Batch:
        """(n, d) one vector of each picture, of length 1.

        Parameters
        ----------
        pictures : (h, w, 3), upright

        Raises
        ------
        InputError
            The model does not take such pictures, or answers something that is no vector.
        """
        batch = np.stack([prepared(p, self.preparation) for p in pictures])
        try:
            answer = np.asarray(self.run(batch), np.float32)
        except Exception as e:  # whatever the library raises for a model that wants something else
            raise _unusable(self.name, f"cannot be run on pictures of {batch.shape[1:]} ({_said(e)})") from e
        if answer.ndim < 2 or len(answer) != len(batch) or not np.isfinite(answer).all():
            raise _unusable(
                self.name, f"answers {answer.shape} for {len(batch)} pictures, which are no vectors"
            )
        vectors = answer.reshape(len(batch), -1)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0))


def prepared(pixels: Pixels, preparation: Preparation) -> Batch:
    """(3, size, size) the middle of a picture as a model takes it.

    Notes
    -----
    The transforms of torchvision's models: the shorter side brought to `resize_px`, the middle cut out, each colour
    0 to 1, less its mean, divided by its deviation.
    """
    h, w = pixels.shape[:2]
    size = preparation.size_px
    scale = max(preparation.resize_px, size) / min(h, w)
    pixels = resized(pixels, max(size, round(w * scale)), max(size, round(h * scale)))
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    middle = pixels[top : top + size, left : left + size].astype(np.float32) / 255
    mean, std = (np.array(v, np.float32) for v in (preparation.mean, preparation.std))
    made = (middle - mean) / std
    return np.ascontiguousarray(made.transpose(2, 0, 1))


def load_model(name: str) -> Model:
    """The model that `onnx:FILE` or `torch:FILE` names.

    A file `FILE.json` beside it may say what its pictures are like: `{"size": 224, "resize": 256, "mean": [r, g, b],
    "std": [r, g, b]}`; what it leaves out is as for models trained on ImageNet.

    Raises
    ------
    UsageError
        The name has another form.
    MissingDependency
        The library is not installed.
    InputError
        There is no such file, or it is no such model.

    Notes
    -----
    PyTorch's files of Python objects are not loaded: they can hold programs that do anything.
    """
    kind, _, path = name.partition(":")
    if kind not in _KINDS or not path:
        raise UsageError(f"{name!r} names no model", "write onnx:FILE or torch:FILE")
    runs = _onnx_library() if kind == "onnx" else _torch_library()
    with FileBytes(path) as source:
        digest = _digest(source)
    preparation = _preparation(path)
    try:
        run, size_px = runs(path)
    except Exception as e:  # the libraries raise whatever their code meets
        raise _unusable(path, f"is no model that {kind} can load ({_said(e)})") from e
    if size_px and not os.path.exists(path + ".json"):
        preparation = Preparation(size_px, round(size_px * 256 / 224))
    whole = hashlib.sha256(f"{digest} {preparation}".encode()).hexdigest()
    return Model(name, whole, preparation, run)


_Loaded: TypeAlias = tuple[Callable[[Batch], Batch], int]
"""What runs it, and the side of the pictures that it wants; 0 where it does not say."""


def _onnx_library() -> Callable[[str], _Loaded]:
    try:
        import onnxruntime
    except ImportError as e:
        raise MissingDependency("--embedder onnx needs onnxruntime", "pip install 'camtrail[onnx]'") from e

    def load(path: str) -> _Loaded:
        quiet = onnxruntime.SessionOptions()
        quiet.log_severity_level = 4
        session = onnxruntime.InferenceSession(path, quiet, providers=["CPUExecutionProvider"])
        first = session.get_inputs()[0]
        side = first.shape[-1] if len(first.shape) == 4 and first.shape[-1] == first.shape[-2] else 0
        is_single = isinstance(first.shape[0], int) and first.shape[0] == 1

        def run(batch: Batch) -> Batch:
            parts = [batch[i : i + 1] for i in range(len(batch))] if is_single else [batch]
            return np.concatenate([session.run(None, {first.name: part})[0] for part in parts])

        return run, side if isinstance(side, int) else 0

    return load


def _torch_library() -> Callable[[str], _Loaded]:
    try:
        import torch
    except ImportError as e:
        raise MissingDependency("--embedder torch needs PyTorch", "pip install 'camtrail[gpu]'") from e

    def load(path: str) -> _Loaded:
        library: Any = torch
        if path.lower().endswith(".pt2"):
            module = library.export.load(path).module()
        else:
            module = library.jit.load(path, map_location="cpu").eval()

        def run(batch: Batch) -> Batch:
            with library.no_grad():
                return np.asarray(module(library.from_numpy(batch)).cpu().numpy(), np.float32)

        return run, 0

    return load


def _digest(source: ByteSource) -> str:
    digest = hashlib.sha256()
    for at in range(0, source.size, _CHUNK_BYTES):
        digest.update(source.read_at(at, _CHUNK_BYTES))
    return digest.hexdigest()


def _preparation(path: str) -> Preparation:
    """What the file beside a model says; as for ImageNet where there is none."""
    beside = path + ".json"
    if not os.path.exists(beside):
        return Preparation()
    with FileBytes(beside) as source:
        data = source.read_at(0, _MOST_BYTES)
    try:
        found = json.loads(data)
        size = _side(found.get("size", 224))
        return Preparation(
            size,
            _side(found.get("resize", round(size * 256 / 224))),
            _colours(found.get("mean", _MEAN), least=-math.inf),
            _colours(found.get("std", _STD), least=0.0),
        )
    except (ValueError, TypeError, AttributeError) as e:
        raise UnreadableFile(
            beside,
            f"does not say what pictures a model wants ({_said(e)})",
            'write {"size": 224, "resize": 256, "mean": [r, g, b], "std": [r, g, b]}',
        ) from e


def _side(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= _MOST_SIDE_PX:
        raise ValueError(f"{value!r} is no side of a picture")
    return value


def _colours(value: Any, least: float) -> tuple[float, ...]:
    found = tuple(float(v) for v in value)
    if len(found) != 3 or not all(math.isfinite(v) and v > least for v in found):
        raise ValueError(f"{value!r} are no values of three colours")
    return found


def _unusable(path: str, reason: str) -> InputError:
    return InputError(path, reason, "name a model that takes (n, 3, h, w) and answers (n, d)")


def _said(e: Exception) -> str:
    return (shown(str(e).split("\n")[0])[:160] or type(e).__name__).strip()
