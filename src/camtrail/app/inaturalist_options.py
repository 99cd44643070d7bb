"""What matching with iNaturalist can be told; apart from the workflow, so that help loads quickly."""

from __future__ import annotations

from dataclasses import dataclass

from camtrail.core.options import opt

__all__ = ["MatchOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchOptions:
    """How photos and observations are put together."""

    user: str = opt("", "login of the user whose observations they are", aliases=("-u",))
    cluster_threshold_s: float = opt(
        180.0, "photos and observations in chains of at most this pause may belong together", least=60
    )
    ssim_threshold_ratio: float | None = opt(
        None, "least likeness of two pictures that are one, 0.95 or 95% (default: by --image-size)",
        flag="--ssim-threshold", least=0, most=1,
    )  # fmt: skip
    min_margin_ratio: float = opt(
        0.01, "a pair that is not better than its best rival by this is reported and not written",
        flag="--min-margin", least=0, most=1,
    )  # fmt: skip
    image_size: str = opt(
        "large", "size of the online pictures that are compared: 240, 500, 1024 or 2048 pixels",
        choices=("small", "medium", "large", "original"),
    )  # fmt: skip
    recompute: bool = opt(False, "match photos again that carry ids already", aliases=("-r",))
    bypass_cache: bool = opt(False, "ask the service anew, whatever was kept")
    offline: bool = opt(False, "take only what was kept; ask nobody")
    keywords: str = opt(
        "flat", "flat: the identification as one keyword; hierarchical: also as a tree for Lightroom and digiKam",
        choices=("flat", "hierarchical"),
    )  # fmt: skip
    dwc: bool = opt(False, "also write Darwin Core terms")
    device: str = opt("cpu", "where pictures are compared; cuda needs the extra gpu", choices=("cpu", "cuda"))
    cache_dir: str = opt("", "folder of what was kept of answers and pictures")
    logfile: str = opt("", "page with all pairs side by side")
    csv: str = opt("", "table of all pairs")
    force: bool = opt(False, "replace a page that camtrail did not write")
