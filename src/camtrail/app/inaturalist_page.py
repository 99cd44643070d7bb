"""The page of a match with iNaturalist: thumbnails made, rows filled."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from camtrail.app.context import Context
from camtrail.app.inaturalist import Local, Matched, Online, Pair
from camtrail.app.state import absolute
from camtrail.core.errors import UnreadableFile
from camtrail.core.names import shown
from camtrail.metadata import safeio
from camtrail.reports.match import MOST_PICTURES, VERDICTS, MatchRow, match_page
from camtrail.reports.page import file_url
from camtrail.services.inaturalist.wire import identification_parts
from camtrail.vision.decode import decode
from camtrail.vision.encode import jpeg_of

__all__ = ["write_page"]

_SIDE_PX = 256


def write_page(done: Matched, paths: Sequence[str], path: str, context: Context) -> None:
    """Writes all pairs, and what stays without a partner, as one page.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    folder = os.path.dirname(absolute(path))
    seen = {id(pair.local) for pair in done.pairs}
    makers: list[tuple[str, Callable[[bool], MatchRow]]] = [
        *((pair.verdict, partial(_pair, pair, done, folder, context)) for pair in done.pairs),
        *(
            ("no_online_photo", partial(_local, x, folder, context))
            for x in done.lone_local
            if id(x) not in seen
        ),
        *(("no_local_photo", partial(_online, x, done)) for x in done.lone_online),
    ]
    order = list(VERDICTS)
    makers.sort(key=lambda made: order.index(made[0]))
    rows = [make(n < MOST_PICTURES) for n, (_, make) in enumerate(makers)]
    summary = [
        f"{sum(r.verdict in ('matched', 'known') for r in rows)} of {sum(len(c) for c in done.result.collections)} "
        f"photos were found on iNaturalist; pictures count as the same from a similarity of {100 * done.threshold:.1f}% on."
    ]
    if len(rows) > MOST_PICTURES:
        summary.append(
            f"The first {MOST_PICTURES} rows have pictures, those of photos that were found before others."
        )
    summary += done.result.notes
    title = " and ".join(shown(os.path.basename(absolute(p)) or p) for p in paths)
    safeio.put(context.fs, path, match_page(title, rows, summary))


def _pair(pair: Pair, done: Matched, folder: str, context: Context, has_pictures: bool) -> MatchRow:
    online = pair.online
    alone, other = _local(pair.local, folder, context, has_pictures), _online(online, done, has_pictures)
    distance = "obscured" if online.observation.is_obscured else "n/a"
    if pair.distance_m == pair.distance_m:
        distance = f"{pair.distance_m:.2f}"
    return MatchRow(
        verdict=pair.verdict,
        local_name=alone.local_name,
        local_url=alone.local_url,
        local_jpeg=alone.local_jpeg,
        keywords=alone.keywords,
        online_jpeg=other.online_jpeg,
        online_url=other.online_url,
        position=other.position,
        observation_url=other.observation_url,
        identification=other.identification,
        seconds="n/a" if pair.seconds != pair.seconds else f"{pair.seconds:.0f}",
        distance=distance,
        similarity="" if pair.similarity != pair.similarity else f"{100 * pair.similarity:.1f}%",
        is_below=pair.verdict == "different" or pair.similarity < done.threshold,
        how="" if pair.how == "whole" else pair.how,
    )


def _local(local: Local, folder: str, context: Context, has_picture: bool) -> MatchRow:
    jpeg = None
    if has_picture:
        with (
            suppress(UnreadableFile),  # it stands among the failures
            context.fs.source(local.item.file) as source,
        ):
            jpeg = jpeg_of(decode(source, _SIDE_PX).pixels)
    return MatchRow(
        "no_online_photo",
        local_name=shown(local.typed),
        local_url=file_url(local.item.file, folder),
        local_jpeg=jpeg,
        keywords=tuple(map(shown, local.known.keywords)),
    )


def _online(online: Online, done: Matched, has_picture: bool) -> MatchRow:
    parts = identification_parts(online.observation.taxon)
    return MatchRow(
        "no_local_photo",
        online_jpeg=done.thumbnails.get(online.photo.photo_id) if has_picture else None,
        online_url=online.photo.url_of("original"),
        position=f"photo {online.photo.position + 1} of {len(online.observation.photos)}",
        observation_url=online.observation.url,
        identification=tuple((shown(text), is_italic) for text, is_italic in parts),
    )
