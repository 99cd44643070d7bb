"""Whatever happens to folder and services between runs: in the end each video is there once and in one list."""

from __future__ import annotations

import shutil

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import environment, name_of, sha1, times, video

NUMBERS = st.integers(0, 5)
FAULTS = st.sampled_from(
    [
        "status=500,origin=box", "status=400,origin=box,nth=2", "status=400,origin=box", "status=401,origin=box",
        "status=429,origin=box,nth=2-", "reset=100,origin=box,nth=1-3", "status=503,origin=storage",
        "status=403,origin=storage", "status=403,origin=storage,times=1", "reset=0,origin=storage,nth=2-",
        "status=500,origin=cloud,method=PUT", "lost,origin=cloud,method=PUT,times=1", "status=401,origin=cloud,nth=3-",
        "reset=0,origin=cloud", "html,origin=cloud,nth=2-4", "status=404,origin=cloud,path=/api/jobs/*",
    ]
)  # fmt: skip
STEPS = st.one_of(
    st.tuples(st.just("add"), NUMBERS),
    st.tuples(st.just("remove"), NUMBERS),
    st.tuples(st.just("rename"), NUMBERS),
    st.tuples(st.just("run"), st.lists(FAULTS, max_size=2)),
    st.tuples(st.just("run"), st.lists(FAULTS, min_size=1, max_size=2)),
    st.tuples(st.just("shards"), st.sampled_from([1, 2, None])),
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=9))
def test_every_content_ends_in_one_list(steps, quick, tmp_path, imported, camio):
    folder = tmp_path / "any"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / name_of(0)).write_bytes(video(0))
    here = {0: folder / name_of(0)}
    with camio() as box:
        env = environment(box)
        for what, value in steps:
            if what == "add" and value not in here:
                here[value] = folder / name_of(value)
                here[value].write_bytes(video(value))
            elif what == "remove" and value in here:
                here.pop(value).unlink()
            elif what == "rename" and value in here:
                new = folder / "moved" / name_of(value)
                new.parent.mkdir(exist_ok=True)
                here[value] = here[value].rename(new)
            elif what == "shards":
                box.set_quirks(shard_items=value)
            elif what == "run":
                box.set_faults(value)
                done = imported(quick, of=folder, env=env)
                assert {v["sha1"] for v in done.videos if v["outcome"] == "sent"} <= set(times(box))
                assert len(done.videos) == len(here)
        box.set_faults([])
        imported(quick, of=folder, env=env)  # names what is gone
        last = imported(quick, of=folder, env=env)
        assert last.result.failures == []
        assert {v["outcome"] for v in last.videos} <= {"sent before"}
        accepted = times(box)
        told = box.received()
    assert {sha1(video(n)) for n in here} <= set(accepted)
    assert set(accepted.values()) <= {1}
    listed = [key for m in told["manifests"] for key in m["hashes"]]
    assert sorted(listed) == sorted(accepted), "each in one list, and nothing else"
    assert told["leaks"] == []
