"""Puts every photo and video where and when it was taken, in order, and into the right hands."""

TYPE_CHECKING = False  # type checkers take it for True; importing it would cost more than all the rest

__version__ = "0.1.0"
__all__ = [
    "EmbeddingRetriever",
    "ImageEmbedder",
    "ImageProcessor",
    "__version__",
    "create_exif_map",
    "map_images",
]

if TYPE_CHECKING:
    from camtrail.notebook import (
        EmbeddingRetriever,
        ImageEmbedder,
        ImageProcessor,
        create_exif_map,
        map_images,
    )
else:

    def __getattr__(name: str) -> object:
        """The calls of the older notebooks load when somebody asks for them, so that commands start quickly."""
        if name in __all__:
            from camtrail import notebook

            return getattr(notebook, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
