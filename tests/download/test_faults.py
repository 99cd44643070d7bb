"""What can go wrong between here and the service, case by case, and what must be true after each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox

from .folders import CONNECTIONS, Folder, Run, fetched_by, ids_of, state_of

ALL = 200
API = "origin=api,path=/"
PICTURES = "origin=images"
LIMIT = "retry-after=5"
BAD = "77"  # what the ids of a few images end with
FINE = ALL - sum(id.endswith(BAD) for k in range(4) for id in ids_of(k, 50))


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong, and how a run ends in which it does."""

    name: str
    faults: tuple[str, ...]
    code: int = 0
    least: int = ALL  # pictures that are fetched all the same
    most: int = 260  # requests for pictures
    said: str = ""  # in one of the failures
    slept_s: float = 0.0  # at least, where the service asks for it
    stall_s: float = 20.0
    options: dict[str, Any] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)


def once() -> list[Case]:
    """What is over at the next attempt costs nothing but the attempt."""
    actions = {
        "408": "status=408",
        "425": "status=425",
        "500": "status=500",
        "502": "status=502",
        "503": "status=503",
        "504": "status=504",
        "reset": "reset=0",
        "answer lost": "lost",
        "truncated": "truncate=50",
        "truncated to nothing": "truncate=9999999",
        "longer than it says": "length=-30",
        "garbage": "raw=SSH-2.0-OpenSSH_9\\r\\n",
        "nothing": "raw=",
        "login page": "html",
        "a list": "json=[]",
        "null": "json=null",
    }
    cases = []
    for name, action in actions.items():
        for place, where in (("look-up", API), ("picture", PICTURES)):
            cases.append(Case(f"{name} once, {place}", (f"{action},{where},nth=2",)))
    for name, action in {"429": f"status=429,{LIMIT}", "503 with a time": f"status=503,{LIMIT}"}.items():
        for place, where in (("look-up", API), ("picture", PICTURES)):
            cases.append(Case(f"{name}, {place}", (f"{action},{where},nth=2-4",), slept_s=5))
    for status in (401, 403, 404, 410):
        cases.append(Case(f"{status} once, picture", (f"status={status},{PICTURES},nth=7",)))
    return cases


def often() -> list[Case]:
    """A bad day: some of all requests fail, and nothing is lost for good."""
    cases = []
    for action in ("status=500", "reset=0", "lost", "truncate=2000", "html", "length=-9", "raw=?", "json={}"):
        cases.append(Case(f"{action} of 20 %", (f"{action},{PICTURES},rate=20%,seed=3",), most=330))
    cases.append(Case("all kinds at once", tuple(
        f"{action},rate=5%,seed={seed}" for seed, action in enumerate(("status=502", "lost", "truncate=700", "html"))
    ), most=330))  # fmt: skip
    cases.append(Case("ranges ignored, cut", (f"truncate=999,{PICTURES},rate=20%",), most=330, quirks={"ignores_range": True}))  # fmt: skip
    return cases


def slow() -> list[Case]:
    """What does not move is given up, which takes real time: 0.3 s each here."""
    return [
        Case("stall, look-up", (f"stall=2,{API},nth=1",), stall_s=0.3),
        Case("stall, picture", (f"stall=2,{PICTURES},nth=3",), stall_s=0.3),
        Case("drip, picture", (f"drip=100,{PICTURES},nth=3",), stall_s=0.3),
        Case("drip, look-up", (f"drip=100,{API},nth=1",), stall_s=0.3),
        Case("shorter than it says, picture", (f"length=9,{PICTURES},nth=3",), stall_s=0.3),
    ]


def lasting() -> list[Case]:
    """What does not end: the run does, soon and with the right code, and keeps what it has."""
    later = f"{PICTURES},nth=101-"
    fast = {"most": 700, "least": 80}
    return [
        Case("token refused at once", (f"status=401,{API}",), 6, 0, 0, "new token"),
        Case("token refused later", (f"status=401,{API},nth=3-",), 6, 0),
        Case("token refused in the graph's words", (
            f'json={{"error": {{"code": 190, "message": "expired"}}}},status=400,{API}',
        ), 6, 0, 0, "expired"),
        Case("service away", ("status=500",), 5, 0, 0),
        Case("service is a login page", ("html",), 5, 0, 0, "text/html"),
        Case("pictures are a login page", (f"html,{PICTURES}",), 5, 0, 2500, "in place of a file"),
        Case("pictures away later", (f"reset=0,{later}",), 5, **fast),
        Case("pictures 500 later", (f"status=500,{later}",), 5, **fast),
        Case("pictures truncated later", (f"truncate=60,{later}",), 5, **fast),
        Case("pictures point elsewhere later", (f"redirect=http://127.0.0.1:9/x,{later}",), 3, 100, 200, "points to"),
        Case("no picture is given", (f"status=403,{PICTURES}",), 3, 0, 4 * ALL, "gives no picture of it"),
        Case("no picture is there", (f"status=404,{PICTURES}",), 3, 0, 4 * ALL, "gives no picture of it"),
        Case("addresses expire at once", (), 3, 0, 4 * ALL, "gives no picture of it", quirks={"url_life_s": 0}),
        Case("quota for ever", (f"status=429,retry-after=60,{API}",), 5, 0, 0, "pauses", slept_s=60),
        Case("quota of pictures for ever", (f"status=429,retry-after=60,{PICTURES}",), 5, 0, slept_s=60),
        Case("one picture is always cut", (f"truncate=60,{PICTURES},path=/v/*{BAD}_1024.jpg",), 5, FINE, 300),
        Case("one picture is always a page", (f"html,{PICTURES},path=/v/*{BAD}_1024.jpg",), 5, FINE, 300, "text/html"),
        Case("one picture is no picture", (f"status=200,body=GIF89a,type=image/gif,{PICTURES},path=/v/*{BAD}_1024.jpg",), 3,
             FINE, 300, "no JPEG"),
        Case("one picture is empty", (f"status=200,body=,type=image/jpeg,{PICTURES},path=/v/*{BAD}_1024.jpg",), 3, FINE, 300,
             "it is empty"),
    ]  # fmt: skip


CASES = [*once(), *often(), *slow(), *lasting()]


def test_there_are_enough() -> None:
    assert ALL - 10 < FINE < ALL
    assert len(CASES) >= 60 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_is_corrupt_nothing_is_lost(
    case: Case, box: MapillarySandbox, lists: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    box.set_faults(case.faults)
    box.set_quirks(**case.quirks)
    folder, run = Folder(tmp_path / "out"), Run(box, stall_s=case.stall_s)
    first = run.lists(lists, folder.path, picture_size="1024", **case.options)

    assert first.code == case.code, first
    assert case.least <= first.counts.get("fetched", 0), first
    asked = fetched_by(first.requests)
    assert sum(asked.values()) <= case.most, (sum(asked.values()), first)
    assert any(case.said in f"{f.message}; {f.hint}" for f in first.failures) or not case.said, first
    assert case.slept_s <= first.slept_s <= 1200, first
    assert all(f.code != "bug" for f in first.failures), first
    assert sum(first.counts.values()) == ALL, first
    there = folder.files()
    assert there.items() <= undisturbed.items(), first
    assert len(there) == first.counts.get("fetched", 0)
    folder.is_consistent()
    if case.code == 0:
        assert folder.leftovers() == [] and not first.failures, first

    box.set_faults([])
    box.set_quirks(url_life_s=3600)
    second = run.lists(lists, folder.path, picture_size="1024")
    assert second.code == 0, second
    assert second.counts.get("there_before", 0) == len(there), second
    assert sum(fetched_by(second.requests).values()) == ALL - len(there), second
    assert folder.files() == undisturbed and folder.leftovers() == []
    assert {state for state, _ in state_of(folder.path).values()} == {"fetched"}
    folder.is_consistent()


def test_an_address_that_expires_while_others_are_fetched_is_renewed(
    box: MapillarySandbox, lists: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    box.set_quirks(url_life_s=0.15)
    box.set_faults(["delay=0.005,origin=images"])  # so that a batch takes longer than that
    folder = Folder(tmp_path / "out")
    done = Run(box).lists(lists, folder.path, picture_size="1024", connections=1)
    assert done.code == 0 and folder.files() == undisturbed, done
    renewed = [r for r in done.requests if r.origin == "api" and r.path != "/"]
    assert renewed and len(renewed) == sum(r.status == 403 for r in done.requests if r.origin == "images")


def test_an_image_that_is_deleted_before_its_picture_is_fetched_is_unknown(
    box: MapillarySandbox, lists: Path, tmp_path: Path
) -> None:
    box.set_quirks(url_life_s=0)
    box.set_faults(['status=400,body={"error": {"code": 100\\, "error_subcode": 33}},path=/1*,origin=api'])
    folder = Folder(tmp_path / "out")
    done = Run(box).lists(lists, folder.path, picture_size="1024")
    assert done.code == 3 and done.counts == {"unknown": ALL}, done
    assert {f.code for f in done.failures} == {"unknown"} and folder.leftovers() == []
    assert {state for state, _ in state_of(folder.path).values()} == {"missing"}


@pytest.mark.parametrize("most", [1, 3])
def test_attempts_are_counted_for_each_image(
    box: MapillarySandbox, lists: Path, tmp_path: Path, most: int
) -> None:
    box.set_faults([f"truncate=60,{PICTURES},path=/v/*{BAD}_1024.jpg"])
    done = Run(box).lists(lists, tmp_path / "out", picture_size="1024", max_attempts=most)
    asked = fetched_by(done.requests)
    assert {n for id, n in asked.items() if id.endswith(BAD)} == {most}
    assert {n for id, n in asked.items() if not id.endswith(BAD)} == {1}
    assert done.code == 5 and len(done.failures) == ALL - FINE


def test_a_run_that_is_cut_leaves_at_most_what_was_under_way(
    box: MapillarySandbox, lists: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    """What came before is not asked for again: nine tenths of all bytes are saved, and more."""
    box.set_faults([f"reset=0,{PICTURES},nth=191-"])
    folder = Folder(tmp_path / "out")
    first = Run(box).lists(lists, folder.path, picture_size="1024", max_attempts=1)
    assert first.code == 5 and first.counts["fetched"] >= 190 - CONNECTIONS, first
    box.set_faults([])
    second = Run(box).lists(lists, folder.path, picture_size="1024")
    assert second.code == 0 and folder.files() == undisturbed
    assert second.done is not None and first.done is not None
    assert second.done.size_bytes <= 0.1 * (first.done.size_bytes + second.done.size_bytes)
