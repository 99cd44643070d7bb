"""Puts every photo and video where and when it was taken, in order, and into the right hands."""

__version__ = "0.1.0"
__all__ = ["__version__"]
