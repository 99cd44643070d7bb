"""Makes a sample collection: a ride with two cameras and a recorded track, a walk, and what goes wrong.

Usage: python tools/sample.py FOLDER

The same files each time; `camtrail demo` makes them, too. `make run` runs the main job on them.
"""

from __future__ import annotations

import sys

from camtrail.app import demo_sample
from camtrail.core.fs import RealFileSystem


def make(folder: str) -> None:
    """Writes the collection."""
    demo_sample.make(RealFileSystem(), folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(sys.argv[1])
