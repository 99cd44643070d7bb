"""Matching where it is hard: bursts, crops, turns, edits, clocks, dates, and strangers on both sides."""

from __future__ import annotations

import json
import os
from pathlib import Path

from camtrail.app.context import Context
from camtrail.app.inaturalist import match
from camtrail.app.inaturalist_options import MatchOptions
from camtrail.app.inaturalist_service import open_cache, open_client
from camtrail.app.process import ProcessOptions
from camtrail.app.write_options import ChangeOptions
from camtrail.services.inaturalist.sandbox import InaturalistSandbox
from inaturalist_hard import LOGIN, make


def test_nothing_is_wrong_and_hardly_anything_is_missed(tmp_path: Path) -> None:
    make(tmp_path, 0.4)
    told = json.loads((tmp_path / "truth.json").read_text())
    context = Context()
    with (
        InaturalistSandbox(data=str(tmp_path / "data")) as box,
        open_cache(context, str(tmp_path / "cache")) as cache,
    ):
        done = match(
            [str(tmp_path / "local")], ProcessOptions(), MatchOptions(user=LOGIN), ChangeOptions(write="none"),
            lambda: open_client(box.url, None, cache, context.clock), context,
        )  # fmt: skip
    pairs = {
        os.path.basename(p.local.typed): p.online.photo.photo_id for p in done.pairs if p.verdict == "matched"
    }
    assert {name: photo for name, photo in pairs.items() if told["pairs"].get(name) != photo} == {}
    assert len(pairs) >= 0.98 * len(told["pairs"]), sorted(set(told["pairs"]) - set(pairs))
    doubtful = {os.path.basename(p.local.typed) for p in done.pairs if p.verdict == "ambiguous"}
    assert doubtful == set(told["ambiguous"])
    assert abs(done.clock_s - 180) <= 31
