"""Every step of an import at Camio meets every fault: nothing is taken for done that is not, and the same command
makes it good."""

from __future__ import annotations

import pytest

from camtrail.app.context import Context
from camtrail.app.video import rows_of
from camtrail.core.errors import worst
from camtrail.services.camio.sandbox import CamioSandbox

from .conftest import TOKEN, codes, environment, fill, name_of, outcomes, sha1, times, video

STEPS = {
    "cameras": "origin=cloud,path=/api/cameras/discovered",
    "job": "origin=cloud,method=PUT,path=/api/jobs",
    "content": "origin=box,method=POST,path=/box/content",
    "manifest": "origin=storage,method=PUT",
}
FAULTS = {
    "400": "status=400",
    "401": "status=401",
    "403": "status=403",
    "404": "status=404",
    "429": "status=429",
    "500": "status=500",
    "503": "status=503,retry-after=7",
    "reset": "reset=40",
    "hang": "stall=0.02",
    "lost": "lost",
    "short": "truncate=5",
    "redirect": "redirect=http://127.0.0.1:9/elsewhere",
    "login page": "html",
    "nonsense": "json=[1,2]",
}
FINE = 0  # the step is carried out, and what is wrong with the answer does not matter
CODES = {
    "cameras": (3, 6, 6, 3, 5, 5, 5, 5, 5, 5, 5, 11, 5, 5),
    "job": (3, 6, 6, 3, 5, 5, 5, 5, 5, FINE, FINE, 11, 5, 5),  # that it was made is seen in the list of jobs
    "content": (3, 6, 6, 5, 5, 5, 5, 5, 5, 5, FINE, 11, 5, None),
    "manifest": (
        3,
        5,
        5,
        3,
        5,
        5,
        5,
        5,
        5,
        5,
        FINE,
        11,
        5,
        None,
    ),  # an address that is refused is no lack of rights
}
"""The exit code of each fault that lasts; None where a 200 means by the protocol that all is well."""
TABLE = [
    (step, fault, code) for step, row in CODES.items() for fault, code in zip(FAULTS, row) if code is not None
]


def settled(box: CamioSandbox, wanted: set[str], *, most: int = 1) -> None:
    """Each content was accepted, not more often than that, and is in exactly one list of a job that has all."""
    told = box.received()
    assert set(times(box)) == wanted
    assert max(times(box).values()) <= most
    listed = [key for m in told["manifests"] for key in m["hashes"]]
    assert sorted(listed) == sorted(wanted)
    for job in told["jobs"]:
        statuses = {s["status"] for s in job["shard_map"].values()}
        assert "missing" not in statuses or statuses == {"missing"}
    assert told["leaks"] == []


@pytest.mark.parametrize(("step", "fault", "code"), TABLE)
def test_a_fault_that_lasts_and_the_same_command_after_it(step, fault, code, quick, folder, imported, camio):
    box = camio(f"{FAULTS[fault]},{STEPS[step]}")
    env = environment(box)
    done = imported(quick, env=env)
    assert worst(codes(done)) == code
    assert all(f.message and "\n" not in f.message for f in done.result.failures)
    told = box.received()
    registered = {key for m in told["manifests"] for key in m["hashes"]}
    assert sum(done.counts.values()) == len(done.videos) == 3, "each video has an outcome"
    assert {v["sha1"] for v in done.videos if v["outcome"] == "sent"} <= set(times(box))
    known = {row.record["key"] for _, _, row in rows_of(done.storage, Context()) if row.state == "registered"}
    assert known <= set(times(box)) & registered, "nothing counts that is not there"
    assert told["leaks"] == []
    box.set_faults([])
    after = imported(quick, env=env)
    assert after.result.failures == [] and set(outcomes(after).values()) <= {"sent", "sent before"}
    wanted = {sha1(video(n)) for n in range(3)}
    lost = fault == "lost" and step == "content"  # the Box has it each time, and says so to nobody
    settled(box, wanted, most=100 if lost else 1)
    states = {row.record["key"]: row.state for _, _, row in rows_of(after.storage, Context())}
    assert states == dict.fromkeys(wanted, "registered")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ["429", "503", "reset"])
def test_a_fault_that_passes_costs_nothing(step, fault, quick, folder, imported, camio):
    box = camio(f"{FAULTS[fault]},{STEPS[step]},times=3")
    done = imported(quick, env=environment(box))
    assert (dict(done.counts), done.result.failures) == ({"sent": 3}, [])
    settled(box, {sha1(video(n)) for n in range(3)})
    waits_s = [seconds for (seconds,) in quick.calls("sleep")]
    assert len(waits_s) == 3
    if fault == "503":
        assert min(waits_s) >= 7, "as the service asks"


@pytest.mark.parametrize("fault", ["400", "reset", "lost", "short"])
def test_one_answer_in_four_is_wrong_and_runs_until_all_is_well(fault, quick, folder, imported, camio):
    fill(folder, 8)
    box = camio(
        f"{FAULTS[fault]},rate=25%,seed=3,origin=box", f"{FAULTS[fault]},rate=25%,seed=5,origin=storage"
    )
    env = environment(box)
    for _ in range(12):
        done = imported(quick, env=env)
        assert {v["sha1"] for v in done.videos if v["outcome"].startswith("sent")} <= set(times(box))
        if not done.result.failures:
            break
    assert done.result.failures == []
    settled(box, {sha1(video(n)) for n in range(8)}, most=100 if fault == "lost" else 1)


SEARCH = "origin=cloud,path=/api/search"


@pytest.mark.parametrize(
    ("fault", "is_posted", "code"),
    [(None, False, 0), (f"status=500,{SEARCH}", True, 0), (f"html,{SEARCH}", True, 0), (f"status=401,{SEARCH}", False, 6)],
)  # fmt: skip
def test_a_video_whose_answer_was_lost_is_looked_for_before_it_is_posted(
    fault, is_posted, code, quick, folder, imported, camio
):
    box = camio("lost,origin=box", state_s=0.0)
    env = environment(box)
    assert codes(imported(quick, env=env)) == {5}
    before = times(box)
    assert len(before) == 2
    box.set_faults([fault] if fault else [])
    done = imported(quick, env=env)
    assert worst(codes(done)) == code
    after = times(box)
    assert [after[key] - before[key] for key in before] == [int(is_posted)] * 2
    if not code:
        assert dict(done.counts) == {"sent": 3}
        settled(box, {sha1(video(n)) for n in range(3)}, most=100)


@pytest.mark.parametrize(("status", "code"), [(400, 3), (413, 3), (415, 3), (422, 3)])
def test_a_video_that_the_box_refuses_costs_itself(status, code, quick, folder, imported, camio):
    box = camio(f"status={status},origin=box,nth=2")
    done = imported(quick, env=environment(box))
    assert outcomes(done) == {name_of(0): "sent", name_of(1): "failed", name_of(2): "sent"}
    assert codes(done) == {code} and f"answered {status}" in done.result.failures[0].message
    (listed,) = box.received()["manifests"]
    assert sorted(listed["hashes"]) == sorted([sha1(video(0)), sha1(video(2))])
    after = imported(quick, env=environment(box))
    assert dict(after.counts) == {"sent": 1, "sent before": 2} and after.result.failures == []
    settled(box, {sha1(video(n)) for n in range(3)})


def test_the_clouds_token_goes_to_the_cloud_alone(quick, folder, imported, camio):
    box = camio()
    imported(quick, env=environment(box))
    told = [(r.origin == "cloud", r.authorization) for r in box.requests()]
    assert (True, True) in told and (False, False) in told
    assert {is_cloud == has_token for is_cloud, has_token in told} == {True}
    assert not any(TOKEN in r.path or r.cookie for r in box.requests())
    assert box.received()["leaks"] == []
