"""What looking for similar pictures can be told; apart from the workflow, so that help loads quickly."""

from __future__ import annotations

from dataclasses import dataclass

from camtrail.core.options import opt

__all__ = ["METHODS", "SimilarOptions"]

METHODS = ("hash", "cosine", "approximate", "nearest_neighbors")
"""`nearest_neighbors` is the old name of `approximate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarOptions:
    """What counts as similar."""

    method: str = opt(
        "hash",
        "hash: copies of one picture; cosine: pictures of one scene; approximate (nearest_neighbors): the same, of "
        "large sets by an index",
        choices=METHODS,
    )
    threshold_ratio: float = opt(
        0.95, "least cosine of two pictures of one scene", flag="--threshold", least=-1, most=1
    )
    neighbours: int = opt(
        10, "similar pictures named of each, at most, with cosine and approximate", aliases=("--neighbors",),
        least=1, most=10_000,
    )  # fmt: skip
    max_distance_bits: int = opt(
        8, "bits of 64 by which the hashes of copies may differ", flag="--max-distance", least=0, most=24
    )
    embedder: str = opt(
        "", "model that makes the vectors that cosine and approximate compare, as onnx:FILE or torch:FILE"
    )
    force: bool = opt(False, "replace a file that camtrail did not write")
