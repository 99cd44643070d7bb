"""Similar pictures: copies of one, or pictures of one scene; in groups, the best of each first. Changes no photo."""

from __future__ import annotations

import base64
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from camtrail.app.context import Context
from camtrail.app.process import Result
from camtrail.app.scan import ScanOptions
from camtrail.app.scan import scan as find_photos
from camtrail.app.similar_copies import KINDS, Copies, copies
from camtrail.app.similar_options import SimilarOptions
from camtrail.app.similar_pictures import Shot, described
from camtrail.catalog.store import Catalog
from camtrail.core.errors import Failure, UnreadableFile, failure_of
from camtrail.core.model import Ints
from camtrail.steps.groups import grouped, numbered
from camtrail.vision.decode import Pixels, decode
from camtrail.vision.descriptors import light_hashes
from camtrail.vision.models import Model, load_model
from camtrail.vision.neighbours import Vectors, has_index, nearest

__all__ = ["Alike", "Group", "Member", "similar"]

_THREADS = min(os.cpu_count() or 1, 4)
_BATCH = 16  # pictures that a model sees at a time
_SHARPER = 2  # a model's pictures are decoded to this times the side that it wants
_VECTORS = "embedding"  # stage of the catalog
_ROUNDED = 1e-6  # of a cosine: what single precision loses


@dataclass(frozen=True, slots=True)
class Member:
    """One picture of a group."""

    row: int  # of `Alike.shots`
    kind: str  # how it is like the best: best, one of `similar_copies.KINDS`, or scene
    bits: int  # of 64 by which its hash differs from that of the best
    cosine: float  # of its embedding and that of the best


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that belong together, the best first."""

    kind: str  # the weakest of its members'
    members: tuple[Member, ...]


@dataclass(slots=True, eq=False)
class Alike:
    """What a run came to; lists have one entry for each picture."""

    result: Result
    shots: list[Shot] = field(default_factory=list)  # by the names that users know
    embedding: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (n, d)
    similar: list[list[int]] = field(default_factory=list)  # rows, the most similar first
    groups: list[Group] = field(default_factory=list)  # by their first names
    threshold: float = math.nan  # least cosine, or most bits

    def counts(self) -> dict[str, int]:
        """Pictures, groups, and members of each kind that are not the best of theirs."""
        kinds = Counter(m.kind for g in self.groups for m in g.members if m.kind != "best")
        order = [k for k in (*KINDS, "scene") if kinds[k]]
        return {"pictures": len(self.shots), "groups": len(self.groups)} | {k: kinds[k] for k in order}


def similar(paths: Sequence[str], scan: ScanOptions, options: SimilarOptions, context: Context) -> Alike:
    """The similar ones among the pictures at PATHs.

    Raises
    ------
    InputError
        A PATH is not there, or a model cannot be used.
    UsageError, MissingDependency
        The embedder is none, or its library is not installed.
    """
    started = context.clock.monotonic_s()
    model = load_model(options.embedder) if options.embedder else None
    shots, failures, notes = described(find_photos(paths, scan, context), scan, context)
    done = Alike(Result("similar", paths=list(paths), failures=failures, notes=notes), shots)
    if model:
        shots, done.embedding, failed = _embedded(shots, model, scan.rerun, context)
        done.shots = shots
        done.result.failures += failed
    elif shots:
        done.embedding = _of_length_one(np.stack([s.about.embedding for s in shots]))
    if not shots:
        notes.append("there are no pictures")
    if options.method == "hash":
        _find_copies(done, options, context)
    else:
        _find_scenes(done, options)
    done.result.elapsed_s = context.clock.monotonic_s() - started
    return done


def _find_copies(done: Alike, options: SimilarOptions, context: Context) -> None:
    found = copies(done.shots, options.max_distance_bits, context)
    done.threshold = options.max_distance_bits

    def kind(row: int, best: int) -> str:
        return _kind(done.shots, found, row, best)

    def rank(row: int) -> tuple[float, ...]:
        return _copy_rank(done.shots[row], found.parts.get(int(found.upright[row]), ""))

    _group(done, found.label, kind, rank)
    done.similar = [[] for _ in done.shots]
    for group in done.groups:
        rows = [m.row for m in group.members]
        for row in rows:
            done.similar[row] = [other for other in rows if other != row]


def _find_scenes(done: Alike, options: SimilarOptions) -> None:
    least = options.threshold_ratio - _ROUNDED  # so that equal pictures have a cosine of 1
    is_approximate = options.method != "cosine"
    found = nearest(done.embedding, options.neighbours, least, approximate=is_approximate)
    if is_approximate:
        exact = "all pictures were compared with all" + ("" if has_index() else "; large sets need faiss-cpu")
        done.result.notes.append(
            exact if found.is_exact else "neighbours are approximate, by an index of FAISS"
        )
    done.threshold = options.threshold_ratio
    done.similar = [[] for _ in done.shots]
    for row, neighbour in zip(found.row.tolist(), found.neighbour.tolist()):
        done.similar[row].append(neighbour)
    vectors = done.embedding

    def agrees(i: int, j: int) -> bool:
        return float(vectors[i] @ vectors[j]) >= least

    first, second = np.minimum(found.row, found.neighbour), np.maximum(found.row, found.neighbour)
    label = grouped(len(done.shots), first, second, found.cosine.astype(np.float64), agrees)

    def kind(row: int, best: int) -> str:
        return "same_bytes" if _is_same_file(done.shots[row], done.shots[best]) else "scene"

    _group(done, label, kind, lambda row: _scene_rank(done.shots[row]))


def _group(
    done: Alike, label: Ints, kind: Callable[[int, int], str], rank: Callable[[int], tuple[float, ...]]
) -> None:
    """Puts the groups of two and more into the result."""
    for rows in numbered(label):
        names = {row: os.fsencode(done.shots[row].typed) for row in rows}
        rows.sort(key=lambda row: (rank(row), len(names[row]), names[row]))  # "a.jpg" before "a (1).jpg"
        light = np.stack([done.shots[row].about.light for row in rows])
        hashes = [int(h) for h in light_hashes(light)[:, 0]]
        cosines = (done.embedding[rows] @ done.embedding[rows[0]]).clip(-1, 1).tolist()
        members = tuple(
            Member(row, kind(row, rows[0]) if k else "best", (h ^ hashes[0]).bit_count(), cosine)
            for k, (row, h, cosine) in enumerate(zip(rows, hashes, cosines))
        )
        order = (*KINDS, "scene")
        done.groups.append(Group(max((m.kind for m in members[1:]), key=order.index), members))


def _copy_rank(shot: Shot, part: str) -> tuple[float, ...]:
    """The best copy: whole, large, with its capture time, compressed least, and to look at."""
    has_no_time = shot.local_s != shot.local_s
    return (part == "crop", -shot.pixels, has_no_time, -shot.size_bytes, -shot.about.quality.score)


def _scene_rank(shot: Shot) -> tuple[float, ...]:
    """The best picture of a scene: sharp and well exposed, then large."""
    return (-shot.about.quality.score, -shot.pixels, -shot.size_bytes)


def _is_same_file(a: Shot, b: Shot) -> bool:
    return (a.about.picture, a.about.head) == (b.about.picture, b.about.head)


def _kind(shots: Sequence[Shot], found: Copies, row: int, best: int) -> str:
    a, b = shots[row], shots[best]
    if _is_same_file(a, b):
        return "same_bytes"
    is_same_size = (a.about.width_px, a.about.height_px) == (b.about.width_px, b.about.height_px)
    is_same_light = bool((a.about.light == b.about.light).all())
    if a.about.picture == b.about.picture and is_same_size and is_same_light:
        return "same_pixels"
    if row in found.pixels and found.pixels[row] == found.pixels.get(best):
        return "same_pixels"
    ours, theirs = int(found.upright[row]), int(found.upright[best])
    return "copy" if ours == theirs else found.parts.get(ours) or found.parts.get(theirs) or "copy"


def _embedded(
    shots: Sequence[Shot], model: Model, rerun: bool, context: Context
) -> tuple[list[Shot], Vectors, list[Failure[str]]]:
    """The pictures that a model could see, and its vectors, which are remembered."""
    kept: dict[str, dict[str, str]] = {}
    for shot in shots:
        if shot.space.catalog not in kept:
            with Catalog(shot.space.catalog) as catalog:
                kept[shot.space.catalog] = {} if rerun else catalog.kept(_VECTORS)
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    for i, shot in enumerate(shots):
        text = kept[shot.space.catalog].get(shot.path, "")
        if text.startswith(mark := _mark(shot, model)):
            vectors[i] = np.frombuffer(base64.b64decode(text[len(mark) :]), "<f4")
    failures: list[Failure[str]] = []
    missing = [i for i in range(len(shots)) if i not in vectors]
    with ThreadPoolExecutor(_THREADS) as threads:
        for start in range(0, len(missing), _BATCH):
            rows = missing[start : start + _BATCH]
            seen: list[tuple[int, Pixels]] = []
            for i, answer in zip(rows, threads.map(lambda i: _pixels(shots[i], model, context), rows)):
                if isinstance(answer, Failure):
                    failures.append(answer)
                else:
                    seen.append((i, answer))
            if seen:
                made = model.embed([pixels for _, pixels in seen])
                vectors |= {i: vector for (i, _), vector in zip(seen, made)}
                _keep(shots, [i for i, _ in seen], vectors, model)
            context.progress("embeddings", min(start + _BATCH, len(missing)), len(missing))
    known = sorted(vectors)
    whole = _of_length_one(np.stack([vectors[i] for i in known])) if known else np.zeros((0, 0), np.float32)
    return [shots[i] for i in known], whole, failures


def _of_length_one(vectors: Vectors) -> Vectors:
    """The vectors without what rounding did to their length; those of length 0 stay."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


def _mark(shot: Shot, model: Model) -> str:
    return f"{model.digest[:24]} {shot.size_bytes} {shot.mtime_ns} "


def _keep(
    shots: Sequence[Shot], rows: Sequence[int], vectors: dict[int, npt.NDArray[np.float32]], model: Model
) -> None:
    for space in {shots[i].space.catalog: shots[i].space for i in rows}.values():
        with Catalog(space.catalog) as catalog:
            catalog.keep(
                _VECTORS,
                {
                    shots[i].path: _mark(shots[i], model)
                    + base64.b64encode(vectors[i].astype("<f4").tobytes()).decode()
                    for i in rows
                    if shots[i].space.catalog == space.catalog
                },
            )


def _pixels(shot: Shot, model: Model, context: Context) -> Pixels | Failure[str]:
    want = model.preparation
    longer, shorter = sorted((shot.about.width_px, shot.about.height_px), reverse=True)
    most_px = math.ceil(_SHARPER * max(want.size_px, want.resize_px) * longer / max(1, shorter))
    try:
        with context.fs.source(shot.file) as source:
            return decode(source, most_px).pixels
    except UnreadableFile as e:
        return failure_of(shot.typed, e)
