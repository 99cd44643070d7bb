"""A day of photos matched with iNaturalist: decoding, comparing and putting together, without the network."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.rows import Measure, Pair, Room, Row, Size

__all__ = ["ROWS"]

_DAY = Size(200, 20)


def _day(room: Room) -> Pair:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
    from camtrail.app.context import Context
    from camtrail.app.inaturalist import Matched, match
    from camtrail.app.inaturalist_options import MatchOptions
    from camtrail.app.inaturalist_service import open_cache, open_client
    from camtrail.app.process import ProcessOptions
    from camtrail.app.write_options import ChangeOptions
    from camtrail.services.inaturalist.sandbox import InaturalistSandbox
    from inaturalist_hard import LOGIN, make_day

    folder, n = room.folder / "match-day", room.of(_DAY)
    make_day(folder, n)
    context = Context()

    def run(url: str, offline: bool) -> Matched:
        with open_cache(context, str(folder / "cache"), offline=offline) as cache:
            return match(
                [str(folder / "local")], ProcessOptions(), MatchOptions(user=LOGIN), ChangeOptions(write="none"),
                lambda: open_client(url, None, cache, context.clock), context,
            )  # fmt: skip

    with InaturalistSandbox(data=str(folder / "data")) as box:
        url = box.url
        run(url, False)

    def ours() -> Measure:
        started = time.perf_counter()
        done = run(url, True)
        seconds = time.perf_counter() - started
        if sum(p.verdict == "matched" for p in done.pairs) != n:
            raise RuntimeError("not all pairs were found")
        return Measure(n, seconds)

    return Pair(ours)


ROWS = (
    Row(
        "match-day",
        "`inaturalist match`, {n} photos of 12 megapixels and as many online at 1024 pixels, answers and pictures kept",
        "",
        _day,
        within_s=20.0,
        size=_DAY,
    ),
)
