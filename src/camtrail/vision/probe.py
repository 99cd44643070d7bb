"""What a video of any format says of itself, by FFmpeg's demuxers in a process of their own.

What a file does to them, a crash or a hang, costs that file only.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime
from typing import Any

from camtrail.core.bytes import unreadable
from camtrail.core.child import Child, ChildEnded, ChildFailed, ChildTimedOut, limit_memory, serve
from camtrail.core.errors import MissingDependency, UnreadableFile
from camtrail.core.names import shown
from camtrail.metadata.isobmff import Video

__all__ = ["Prober"]

_HINT = "see whether another program plays it"
_FORMATS = "avi,mov,mp4,matroska,webm,mpegts,mpeg,mpegvideo,flv,asf,asf_o"
_CONTAINERS = {"mov": "mp4", "matroska": "mkv"}  # FFmpeg's first name of a family -> ours
_EARLIEST_S, _LATEST_S = 631152000.0, 4102444800.0  # 1990-01-01 and 2100-01-01
_LONGEST_S = 366 * 86400.0
_MOST_MEMORY_BYTES = 4 << 30


class Prober:
    """Asks a process about videos; it is started at the first question, and again after a crash."""

    def __init__(self) -> None:
        self._child = Child("camtrail.vision.probe")

    def probe(self, path: str, timeout_s: float = 30.0) -> Video:
        """What a video says of itself.

        Parameters
        ----------
        path : of a local file
        timeout_s : after it the file counts as one that nobody can read

        Raises
        ------
        UnreadableFile
            It is no video, is damaged, or made the decoder crash or hang.
        MissingDependency
            PyAV is not installed.

        Notes
        -----
        The duration is the video stream's, else the container's, else frames by rate, else the time of the last
        packet, for which the whole file is read. No frame is decoded, so `rotation_deg` stays None. A creation
        time without a zone is none.
        """
        try:
            return Video(**self._child.call("probe", {"path": path}, timeout_s))
        except ChildEnded as e:
            raise UnreadableFile(path, f"made the decoder crash ({e.message})", _HINT) from e
        except ChildTimedOut as e:
            raise UnreadableFile(path, f"made the decoder hang: no answer in {timeout_s:g} s", _HINT) from e
        except ChildFailed as e:
            raise UnreadableFile(path, f"made the decoder fail ({e.message})", _HINT) from e

    def close(self) -> None:
        """Ends the process."""
        self._child.close()


# ---- the child's side


def _probe(path: str) -> dict[str, Any]:
    try:
        import av
    except ImportError as e:
        raise MissingDependency(
            "reading this kind of video needs PyAV", "pip install 'camtrail[video]'"
        ) from e
    try:
        # No name is an address here, and no file may name others.
        with av.open(
            f"file:{os.path.abspath(path)}", mode="r", options={"format_whitelist": _FORMATS}
        ) as container:
            if not container.streams.video:
                raise UnreadableFile(path, "has no pictures in it", "check what kind of file it is")
            return asdict(_described(container, container.streams.video[0]))
    except (FileNotFoundError, PermissionError, IsADirectoryError) as e:
        raise unreadable(path, e) from e
    except (av.error.FFmpegError, OSError) as e:
        reason = shown(e.strerror or type(e).__name__)
        raise UnreadableFile(path, f"cannot be read as a video ({reason})", _HINT) from e


def _described(container: Any, stream: Any) -> Video:
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate
    family = container.format.name.split(",")[0]
    brand = container.metadata.get("major_brand", "").strip()
    return Video(
        _CONTAINERS.get(family, family),
        shown(brand) or None,
        context.codec.canonical_name if context is not None else None,
        (context.width or None) if context is not None else None,
        (context.height or None) if context is not None else None,
        None,
        float(rate) if rate else None,
        _duration_s(container, stream, rate),
        _creation_s(container.metadata.get("creation_time", "")),
    )


def _duration_s(container: Any, stream: Any, rate: Any) -> float | None:
    said = (
        float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0,
        container.duration / 1e6 if container.duration else 0.0,
        float(stream.frames / rate) if stream.frames and rate else 0.0,
    )
    for seconds in said:
        if 0 < seconds <= _LONGEST_S:
            return seconds
    return _demuxed_s(container, stream)


def _demuxed_s(container: Any, stream: Any) -> float | None:
    """From the first packet's begin to the last one's end; None where packets have no times."""
    first = last = None
    for packet in container.demux(stream):
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            first = packet.pts if first is None else min(first, packet.pts)
            last = end if last is None else max(last, end)
    if first is None or last is None or not stream.time_base:
        return None
    seconds = float((last - first) * stream.time_base)
    return seconds if 0 < seconds <= _LONGEST_S else None


def _creation_s(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    seconds = moment.timestamp()
    return seconds if _EARLIEST_S <= seconds < _LATEST_S else None


if __name__ == "__main__":
    limit_memory(_MOST_MEMORY_BYTES)
    serve({"probe": _probe})
