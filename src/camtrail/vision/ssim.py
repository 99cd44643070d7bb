"""Structural similarity of two pictures of one size, as the two libraries that people quote compute it.

All sums over a window are of integers and exact, so that nothing is lost where a picture is bright and flat;
a window's score is then one division.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from camtrail.core.errors import MissingDependency, UsageError
from camtrail.core.model import Floats
from camtrail.vision.decode import Pixels

__all__ = [
    "SIDE_PX",
    "TileScore",
    "score_tiles",
    "ssim_tiles",
    "ssim_tiles_batch",
    "ssim_windows",
    "ssim_windows_batch",
]

SIDE_PX = 7
"""Of a window; a picture must be as large."""

_N = SIDE_PX * SIDE_PX
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_BAND_TILES = 16  # rows of tiles at a time: their sums stay in the second-level cache
_BAND_ROWS = 48
_DETAIL = 20.0  # variance from which on a tile shows something; noise and the blocks of JPEG stay below
_LEAST_DETAIL = 0.01
_CHUNK = 1 << 24  # values that go to another device at a time: some 2 GB of its memory


class TileScore(NamedTuple):
    """What the tiles of two pictures say."""

    ssim: float  # the mean of all
    detail: float  # the mean of those in which at least one of both pictures shows something
    share: float  # of such tiles; below 0.01 `detail` is NaN


def ssim_tiles(a: Pixels, b: Pixels, *, device: str = "cpu") -> float:
    """The mean SSIM of tiles of 7 x 7 pixels that do not overlap; 1 for equal pictures.

    Parameters
    ----------
    a, b : (h, w, c) or (h, w) of one shape, h and w at least 7
    device : `cpu`, or as PyTorch names one: `cuda`, `cuda:1`

    Raises
    ------
    MissingDependency
        PyTorch, or the device, is not there.

    Notes
    -----
    Wang, Bovik, Sheikh, Simoncelli (2004), with a plain window and its population variance, for each channel:
    what `compare_ssim` of SSIM-PIL answers, to 1e-12. Tiles begin at the upper left; what is left over at the
    right and below counts nothing. 2 ms for 1024 x 768 RGB.
    """
    return float(ssim_tiles_batch(a[None], b[None], device=device)[0])


def ssim_tiles_batch(a: Pixels, b: Pixels, *, device: str = "cpu") -> Floats:
    """(n,) `ssim_tiles` of n pairs.

    Parameters
    ----------
    a, b : (n, h, w, c) or (n, h, w) of one shape
    """
    a, b = _checked(a, b)
    if device != "cpu":
        return _pooled(a, b, SIDE_PX, device)
    return np.array([_score_tiles(p, q).ssim for p, q in zip(a, b)])


def score_tiles(a: Pixels, b: Pixels, *, device: str = "cpu") -> TileScore:
    """`ssim_tiles`, and the same without the tiles in which neither picture shows anything.

    Parameters and errors as `ssim_tiles`.

    Two photos of one white wall, or of two insects on white paper, have a high SSIM whatever else they show;
    of the tiles that show something hardly any is alike.

    Notes
    -----
    A tile shows something where the mean variance of both pictures is at least 20 (a deviation of 4.5 of 255).
    """
    a, b = _checked(a[None], b[None])
    if device == "cpu":
        return _score_tiles(a[0], b[0])
    score, variance = (v.cpu().numpy() for v in _pool(_torch(device), a, b, SIDE_PX, device))
    shows = variance >= 2 * _DETAIL
    return _tile_score(score.sum(), score.sum(where=shows), score.size, shows.sum())


def ssim_windows(a: Pixels, b: Pixels, *, device: str = "cpu") -> float:
    """The mean SSIM of the windows of 7 x 7 pixels around each pixel; 1 for equal pictures.

    Parameters and errors as `ssim_tiles`.

    Notes
    -----
    What `skimage.metrics.structural_similarity(a, b, channel_axis=-1, data_range=255)` answers, to 1e-6:
    sample variances, and no windows that reach over the border. 15 ms for 1024 x 768 RGB.
    """
    return float(ssim_windows_batch(a[None], b[None], device=device)[0])


def ssim_windows_batch(a: Pixels, b: Pixels, *, device: str = "cpu") -> Floats:
    """(n,) `ssim_windows` of n pairs.

    Parameters
    ----------
    a, b : (n, h, w, c) or (n, h, w) of one shape
    """
    a, b = _checked(a, b)
    if device != "cpu":
        return _pooled(a, b, 1, device)
    return np.array([_windows(p, q) for p, q in zip(a, b)])


def _checked(a: Pixels, b: Pixels) -> tuple[Pixels, Pixels]:
    """Both as (n, h, w, c). Raises ValueError, TypeError."""
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise TypeError("pixels are bytes")
    if a.shape != b.shape or a.ndim not in (3, 4):
        raise ValueError(f"pictures of shapes {a.shape[1:]} and {b.shape[1:]} cannot be compared")
    if min(a.shape[1:3]) < SIDE_PX:
        raise ValueError(f"a picture has at least {SIDE_PX} x {SIDE_PX} pixels")
    return (a[..., None], b[..., None]) if a.ndim == 3 else (a, b)


def _score_tiles(a: Pixels, b: Pixels) -> TileScore:
    """Of (h, w, c), band by band of rows of tiles."""
    down, across, channels = a.shape[0] // SIDE_PX, a.shape[1] // SIDE_PX, a.shape[2]
    rows = (down, SIDE_PX, across * SIDE_PX * channels)
    a, b = (p[: down * SIDE_PX, : across * SIDE_PX].reshape(rows) for p in (a, b))
    # Adds up the pixels of a row of a tile, channel by channel: a product with ones and zeros.
    gather = np.tile(np.eye(channels, dtype=np.float32), (SIDE_PX, 1))
    total = detailed = 0.0
    count = 0
    for start in range(0, down, _BAND_TILES):
        band = slice(start, start + _BAND_TILES)
        score, variance = _tiles(a[band], b[band], gather)
        shows = variance >= 2 * _DETAIL
        total += float(score.sum())
        detailed += float(score.sum(where=shows))
        count += int(shows.sum())
    return _tile_score(total, detailed, down * across * channels, count)


def _tile_score(total: float, detailed: float, tiles: int, count: int) -> TileScore:
    share = float(count / tiles)
    detail = float(detailed / count) if share >= _LEAST_DETAIL else float("nan")
    return TileScore(float(total / tiles), detail, share)


def _tiles(a: Pixels, b: Pixels, gather: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """SSIM and sum of both variances of tiles; `a`, `b` (k, 7, w * c)."""
    wide_a, wide_b = a.astype(np.uint16), b.astype(np.uint16)
    product = wide_a * wide_b
    square = wide_a - wide_b  # wraps; its square is right again
    np.multiply(square, square, out=square)
    # Up to 49 * 255² < 2²⁴: float32 has each of these integers.
    sums = (
        np.add.reduce(values, axis=1, dtype=kind).astype(np.float32).reshape(-1, len(gather)) @ gather
        for values, kind in zip(
            (a, b, product, square), (np.uint16, np.uint16, np.uint32, np.uint32), strict=True
        )
    )
    sum_a, sum_b, sum_ab, sum_square = (s.astype(np.float64) for s in sums)
    mean_ab = sum_a * sum_b / _N**2
    squares = (sum_a * sum_a + sum_b * sum_b) / _N**2
    variance = (sum_square + 2 * sum_ab) / _N - squares
    covariance = sum_ab / _N - mean_ab
    score = (2 * mean_ab + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variance + _C2))
    return score, variance


def _windows(a: Pixels, b: Pixels) -> float:
    """Of (h, w, c), band by band of rows."""
    rows, columns, channels = a.shape
    edge = SIDE_PX // 2
    total = 0.0
    for start in range(0, rows - 2 * edge, _BAND_ROWS):
        band = slice(start, min(start + _BAND_ROWS, rows - 2 * edge) + 2 * edge)
        total += _band(np.ascontiguousarray(a[band]), np.ascontiguousarray(b[band]), edge)
    windows: int = (rows - 2 * edge) * (columns - 2 * edge) * channels
    return total / windows


def _band(a: Pixels, b: Pixels, edge: int) -> float:
    """The sum of the scores of the windows inside."""

    def summed(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        box = cv2.boxFilter(values, cv2.CV_32S, (SIDE_PX, SIDE_PX), normalize=False)
        return np.asarray(box, np.int32).reshape(a.shape)[edge:-edge, edge:-edge]

    wide_a, wide_b = a.astype(np.uint16), b.astype(np.uint16)
    square = wide_a - wide_b
    np.multiply(square, square, out=square)
    sum_a, sum_b, sum_ab, both = summed(a), summed(b), summed(wide_a * wide_b), summed(square)
    # Integers up to 49 * 2 * 49 * 255² < 2²⁹, exact; single precision from the division on.
    means = sum_a * sum_b
    means *= 2
    covariance = sum_ab * (2 * _N)
    covariance -= means
    both += sum_ab
    both += sum_ab
    both *= _N
    sum_a *= sum_a
    sum_b *= sum_b
    sum_a += sum_b
    both -= sum_a
    sample = _N / (_N - 1)
    score = _plus(means, _C1 * _N**2)
    score *= _plus(covariance, _C2 * _N**2 / sample)
    score /= _plus(sum_a, _C1 * _N**2)
    score /= _plus(both, _C2 * _N**2 / sample)
    return float(score.sum(dtype=np.float64))


def _plus(values: npt.NDArray[np.int32], constant: float) -> npt.NDArray[np.float32]:
    return np.asarray(np.add(values, np.float32(constant), dtype=np.float32))


def _pooled(a: Pixels, b: Pixels, step: int, device: str) -> Floats:
    """(n,) SSIM by PyTorch: tiles where the step is 7, windows where it is 1."""
    torch = _torch(device)
    n, h, w, c = a.shape
    most = max(1, _CHUNK // (h * w * c))
    means = []
    for i in range(0, n, most):
        score, _ = _pool(torch, a[i : i + most], b[i : i + most], step, device)
        means.append(score.mean(dim=(1, 2, 3)).cpu().numpy())
    return np.concatenate([*means, np.zeros(0)])


def _pool(torch: Any, a: Pixels, b: Pixels, step: int, device: str) -> tuple[Any, Any]:
    """(n, c, h', w') scores and sums of both variances."""
    # Sums of integers below 2²⁴: exact in single precision, in whatever order a device adds.
    x, y = (torch.tensor(p, device=device).permute(0, 3, 1, 2).to(torch.float32) for p in (a, b))
    pool = torch.nn.functional.avg_pool2d

    def summed(values: Any) -> Any:
        return pool(values, SIDE_PX, step, divisor_override=1).to(torch.float64)

    sum_a, sum_b, sum_ab, square = summed(x), summed(y), summed(x * y), summed((x - y) ** 2)
    sample = 1.0 if step == SIDE_PX else _N / (_N - 1)
    mean_ab = sum_a * sum_b / _N**2
    squares = (sum_a * sum_a + sum_b * sum_b) / _N**2
    variance = ((square + 2 * sum_ab) / _N - squares) * sample
    covariance = (sum_ab / _N - mean_ab) * sample
    score = (2 * mean_ab + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variance + _C2))
    return score, variance


def _torch(device: str) -> Any:
    try:
        import torch
    except ImportError as e:
        raise MissingDependency(f"device {device} needs PyTorch", "pip install 'camtrail[gpu]'") from e
    try:
        kind = torch.device(device).type
    except RuntimeError as e:
        raise UsageError(f"there is no device called {device!r}", "name cpu, cuda or cuda:1") from e
    if kind == "cuda" and not torch.cuda.is_available():
        raise MissingDependency(
            f"PyTorch finds no device {device}", "install the GPU's driver and a PyTorch for it, or use cpu"
        )
    return torch
