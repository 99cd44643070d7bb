"""People's own hooks: files as the documentation prints them, and what a fault of theirs costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from camtrail.app.context import Context
from camtrail.app.video import rows_of
from camtrail.catalog.imports import Imports
from camtrail.core.errors import CamtrailError, SafetyRefusal, UsageError

from .conftest import QUIET, TWO, codes, fill, hook_file, name_of, outcomes, sha1, video

DOCUMENTED = """
def set_hook_data(data_dict):
    note("set_hook_data", sorted(data_dict))
    global registered
    registered = data_dict.get("registered_cameras")

def register_camera(camera_name, host=None, port=None):
    note("register_camera", camera_name, host, port)
    return {"camera_id": "id-" + camera_name}

def assign_job_ids(importer, db, unscheduled):
    note("assign_job_ids", len(db), [r["filename"].split("/")[-1] for r in unscheduled])
    for record in unscheduled:
        record["job_id"], record["shard_id"] = "job-1", "0"
        record["upload_url"] = "https://storage.example/bij-job-1-0"
        db[record["key"]] = record
    return "job-1" if unscheduled else None

def post_video_content(%s):
    note("post_video_content", camera_name, camera_id, os.path.basename(filepath), timestamp, %s, host, port)
    return True

def register_jobs(importer, db, jobs):
    note("register_jobs", sorted(map(list, jobs)), sorted(r["uploaded_on"] is not None for r in db.values()))
    return True
"""
ORDERS = {
    "documented": ("host, port, camera_name, camera_id, filepath, timestamp, latlng=None", "latlng"),
    "of the importer": (
        "camera_name, camera_id, filepath, timestamp, location=None, host=None, port=None", "location",
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_the_five_functions_are_called_as_documented(order, hooks, folder, imported):
    file = hooks(DOCUMENTED % ORDERS[order])
    done = imported(file, address=("192.168.1.57", "8080"), data={"plan": "plus"})
    names = [name_of(n) for n in range(3)]
    assert file.calls() == [
        ["set_hook_data", ["logger", "plan"]],
        ["register_camera", "CAM", "192.168.1.57", "8080"],
        ["set_hook_data", ["registered_cameras"]],
        ["assign_job_ids", 3, names],
        *(
            [
                "post_video_content", "CAM", "id-CAM", name, f"2016-10-09T12:0{n + 2}:37.000", None,
                "192.168.1.57", "8080",
            ]
            for n, name in enumerate(names)
        ),
        ["register_jobs", [["job-1", "0"]], [True, True, True]],
    ]  # fmt: skip
    assert (dict(done.counts), done.jobs, done.result.failures) == ({"sent": 3}, ["job-1"], [])
    assert {v["job_id"] for v in done.videos} == {"job-1"}


def test_hooks_are_told_of_their_settings_where_there_are_none(hooks, imported):
    file = hooks(DOCUMENTED % ORDERS["documented"])
    imported(file)
    assert file.calls("set_hook_data") == [[["logger"]], [["registered_cameras"]]]


def test_a_place_in_the_name_reaches_the_hooks(hooks, tmp_path, imported):
    (tmp_path / "placed").mkdir()
    (tmp_path / "placed" / "CAM_47.5_-8.25_1476014557.mp4").write_bytes(video())
    file = hooks(TWO + QUIET)
    regex = r".*/(?P<camera>\w+?)_(?P<lat>[\d.-]+)_(?P<lng>[\d.-]+)_(?P<epoch>\d+)\.mp4"
    assert imported(file, of=tmp_path / "placed", names={"regex": regex}).counts == {"sent": 1}
    assert file.calls("post_video_content")[0][3] == [47.5, -8.25]


def test_two_functions_are_enough_and_make_no_job(hooks, imported):
    file = hooks(TWO + QUIET)
    done = imported(file)
    assert file.posted() == [name_of(n) for n in range(3)]
    assert (done.jobs, done.has_jobs, dict(done.counts)) == ([], False, {"sent": 3})


def test_what_was_sent_is_not_sent_again(hooks, imported):
    file = hooks(TWO + QUIET)
    imported(file)
    file.forget()
    done = imported(file)
    assert file.posted() == [] and file.calls("register_camera") == []
    assert dict(done.counts) == {"sent before": 3}


def test_another_storage_starts_afresh(hooks, imported, tmp_path):
    file = hooks(TWO + QUIET)
    imported(file)
    file.forget()
    new = str(tmp_path / "state" / "of mine.sqlite")
    assert dict(imported(file, storage=new).counts) == {"sent": 3}
    assert len(file.posted()) == 3
    assert dict(imported(file, storage=new).counts) == {"sent before": 3}
    assert imported(file, storage=new).storage == new


def test_other_hooks_and_other_places_have_their_own_state(hooks, imported):
    first, second = hooks(TWO + QUIET), hooks(TWO + QUIET, "others.py")
    imported(first, address=("a", "8080"))
    assert dict(imported(second, address=("a", "8080")).counts) == {"sent": 3}
    assert dict(imported(first, address=("b", "8080")).counts) == {"sent": 3}
    assert dict(imported(first, address=("a", "8080")).counts) == {"sent before": 3}


def test_the_service_that_hooks_name_counts_not_the_address(hooks, imported):
    text = TWO + QUIET + "def service_origin(): return 'https://service.example'\n"
    file = hooks(text)
    imported(file, address=("a", "8080"))
    assert dict(imported(file, address=("b", "9090")).counts) == {"sent before": 3}


def test_a_content_under_two_names_is_sent_once_and_both_are_told(hooks, folder, imported):
    (folder / "sub").mkdir()
    (folder / "sub" / name_of(9)).write_bytes(video(1))
    file = hooks(TWO + QUIET)
    done = imported(file)
    assert len(file.posted()) == 3
    assert dict(done.counts) == {"sent": 3, "duplicate": 1}
    (copy,) = [v for v in done.videos if v["outcome"] == "duplicate"]
    assert copy["path"].endswith(f"sub/{name_of(9)}") and copy["duplicate_of"].endswith(name_of(1))
    assert copy["sha1"] == sha1(video(1))
    assert dict(imported(file).counts) == {"sent before": 3, "duplicate": 1}


def test_a_video_that_was_renamed_or_moved_is_not_sent_again(hooks, folder, imported):
    file = hooks(TWO + QUIET)
    imported(file)
    (folder / "deep").mkdir()
    (folder / name_of(0)).rename(folder / "deep" / name_of(7, "OTHER"))
    file.forget()
    assert dict(imported(file).counts) == {"sent before": 3}
    assert file.posted() == []


# ---- faults of one call

TROUBLES = {
    "crash": ("os.kill(os.getpid(), 11)", "child_ended", "SIGSEGV"),
    "ends": ("os._exit(7)", "child_ended", "exit status 7"),
    "sys.exit": ("raise SystemExit(3)", "child_failed", "SystemExit"),
    "exception": ("raise ValueError('bad\\nvideo')", "child_failed", "ValueError: bad"),
    "hang": ("__import__('time').sleep(60)", "child_timeout", "no answer within"),
    "interrupt": ("raise KeyboardInterrupt", "child_failed", "KeyboardInterrupt"),
    "recursion": ("trouble(name)", "child_failed", "RecursionError"),
    "memory": ("bytearray(1 << 40)", "child_failed", "MemoryError"),
    "falsy": ("pass", "hook", "could not post"),
}


def troubled(which: str, wanted: str = name_of(1)) -> str:
    """Hooks whose post of one video goes wrong as long as `trouble` is switched on."""
    text = TWO.replace(
        'note("taken", name)', 'if is_switched("trouble") and name == WANTED: return False\n    note("taken", name)'
    ) if which == "falsy" else TWO  # fmt: skip
    code, *_ = TROUBLES[which]
    return (
        f"{text}\nWANTED = {wanted!r}\n"
        f"def trouble(name):\n    if is_switched('trouble') and name == WANTED:\n        {code}\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("which", TROUBLES)
def test_a_fault_costs_one_video_and_the_next_run_sends_just_that_one(which, hooks, imported):
    file = hooks(troubled(which))
    file.switch("trouble")
    done = imported(file, box={"hook_timeout_s": 1.0})
    assert outcomes(done) == {name_of(0): "sent", name_of(1): "failed", name_of(2): "sent"}
    (failure,) = done.result.failures
    assert failure.item.endswith(name_of(1)) and failure.exit_code == 3
    assert failure.code == TROUBLES[which][1] and TROUBLES[which][2] in failure.message
    assert "\n" not in failure.message
    assert file.posted() == [name_of(0), name_of(2)]
    file.forget()
    file.switch("trouble", on=False)
    assert outcomes(imported(file)) == {
        name_of(0): "sent before", name_of(1): "sent", name_of(2): "sent before",
    }  # fmt: skip
    assert file.posted() == [name_of(1)]
    file.forget()
    assert dict(imported(file).counts) == {"sent before": 3} and file.posted() == []


def test_after_a_crash_the_hooks_know_what_they_were_told(hooks, imported):
    file = hooks(
        """
        told = {}
        def set_hook_data(data): told.update(data)
        def register_camera(camera_name): return {"camera_id": "id-" + camera_name, "name": camera_name}
        def assign_job_ids(importer, db, unscheduled):
            for r in unscheduled: r["job_id"], r["shard_id"] = "j", "0"
            return "j"
        def post_video_content(camera_name, camera_id, filepath, timestamp):
            if is_switched("trouble") and filepath.endswith("4617.mp4"): os._exit(1)
            note("post", told["mine"], [c["name"] for c in told["registered_cameras"]])
            return True
        def register_jobs(importer, db, jobs):
            note("jobs", sorted(db), sorted(map(list, jobs)))
            return True
        """
    )
    file.switch("trouble")
    done = imported(file, data={"mine": 5})
    assert outcomes(done)[name_of(1)] == "failed"
    assert file.calls("post") == [[5, ["CAM"]]] * 2
    assert file.calls("jobs") == [[sorted(sha1(video(n)) for n in range(3)), [["j", "0"]]]]
    file.switch("trouble", on=False)
    assert dict(imported(file, data={"mine": 5}).counts) == {"sent": 1, "sent before": 2}


@pytest.mark.parametrize("what", ["raise ValueError('no')", "os._exit(1)", "return None", "return 'text'"])
def test_a_camera_that_is_not_registered_costs_its_own_videos(what, hooks, folder, imported):
    (folder / name_of(5, "OTHER")).write_bytes(video(5))
    file = hooks(
        TWO.replace(
            '    return {"camera_id"',
            f'    if camera_name == "OTHER" and is_switched("trouble"): {what}\n    return {{"camera_id"',
        )
        + QUIET
    )
    file.switch("trouble")
    done = imported(file)
    assert outcomes(done)[name_of(5, "OTHER")] == "failed"
    assert dict(done.counts) == {"sent": 3, "failed": 1} and codes(done) == {3}
    assert done.result.failures[0].item.endswith(name_of(5, "OTHER"))
    file.switch("trouble", on=False)
    assert dict(imported(file).counts) == {"sent": 1, "sent before": 3}


WITH_JOBS = """
def trouble(what):
    if is_switched(what): raise ValueError(what)
def set_hook_data(data):
    if "registered_cameras" in data: trouble("told")
def register_camera(camera_name):
    trouble("camera")
    return {"camera_id": "id"}
def assign_job_ids(importer, db, unscheduled):
    trouble("assign")
    for r in unscheduled: r["job_id"], r["shard_id"] = "j", "0"
    note("assigned", len(unscheduled))
    return "j"
def post_video_content(camera_name, camera_id, filepath, timestamp):
    trouble("post")
    note("taken", os.path.basename(filepath))
    return True
def register_jobs(importer, db, jobs):
    trouble("register")
    note("registered", len(jobs))
    return not is_switched("refuse")
"""


@pytest.mark.parametrize("what", ["camera", "told", "assign", "post", "register", "refuse"])
def test_whatever_step_fails_the_same_command_makes_it_good(what, hooks, imported):
    file = hooks(WITH_JOBS)
    file.switch(what)
    done = imported(file)
    assert codes(done) == {3}
    assert sum(done.counts.values()) == len(done.videos) == 3, "each video has an outcome"
    file.switch(what, on=False)
    assert codes(imported(file)) == set()
    assert sorted(file.posted()) == [name_of(n) for n in range(3)]
    assert file.calls("registered")[-1] == [1]
    assert sum(count for (count,) in file.calls("assigned")) == 3
    assert dict(imported(file).counts) == {"sent before": 3}


def test_records_that_hooks_change_are_there_in_the_next_run(hooks, imported):
    file = hooks(
        WITH_JOBS.replace('r["job_id"], r', 'r["mine"] = {"n": [1, None]}; r["job_id"], r').replace(
            'note("registered", len(jobs))', 'note("registered", [r.get("mine") for r in db.values()])'
        )
    )
    file.switch("refuse")
    imported(file)
    file.switch("refuse", on=False)
    imported(file)
    assert file.calls("registered") == [[[{"n": [1, None]}] * 3]] * 2


@pytest.mark.parametrize(
    "bad",
    [
        "r['key'] = 'x'",
        "del r['key']",
        "r.clear()",
        "r['job_id'] = [1]",
        "r['size'] = 'big'; r['camera'] = 5",
    ],
)
def test_hooks_that_spoil_records_spoil_no_state(bad, hooks, imported, folder):
    text = WITH_JOBS.replace('r["job_id"], r["shard_id"] = "j", "0"', f'r["job_id"] = "j"; {bad}')
    file = hooks(text)
    imported(file)
    done = imported(file)
    assert dict(done.counts) == {"sent before": 3} and done.result.failures == []
    assert sorted(file.posted()) == [name_of(n) for n in range(3)]
    stored = {row.record["key"]: row.record for _, _, row in rows_of(done.storage, Context())}
    assert stored.keys() == {sha1(video(n)) for n in range(3)}
    assert all(r["size"] == len(video()) and r["camera"] == "CAM" for r in stored.values())


def test_a_job_whose_id_is_a_number_is_one(hooks, imported):
    file = hooks(WITH_JOBS.replace('"j", "0"', "17, 0").replace('return "j"', "return 17"))
    done = imported(file)
    assert done.jobs == ["17"] and done.result.failures == []


def test_jobs_are_registered_under_the_ids_that_the_hooks_gave(hooks, imported):
    """A hook compares them with what it wrote into the records."""
    given = WITH_JOBS.replace('"j", "0"', "7, unscheduled.index(r) // 2")
    file = hooks(given.replace("len(jobs)", "sorted(map(list, jobs))"))
    assert imported(file).result.failures == []
    assert file.calls("registered") == [[[[7, 0], [7, 1]]]]


def test_hooks_of_the_same_name_elsewhere_have_their_own_state(hooks, imported, tmp_path):
    file = hooks(TWO + QUIET)
    imported(file)
    (tmp_path / "elsewhere").mkdir()
    other = hook_file(tmp_path / "elsewhere", TWO + QUIET)
    assert dict(imported(other).counts) == {"sent": 3}


def test_the_job_of_this_run_is_told_last(hooks, imported, folder):
    text = WITH_JOBS.replace('"j", "0"', 'job, "0"').replace('return "j"', "return job")
    file = hooks(text.replace('trouble("assign")', 'job = "a" if is_switched("second") else "z"'))
    assert imported(file).jobs == ["z"]
    file.switch("second")
    (folder / name_of(7)).write_bytes(video(7))
    assert imported(file).jobs == ["z", "a"]


# ---- hooks that cannot be used


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def register_camera(c): pass", "post_video_content"),
        ("def post_video_content(a, b, c, d): pass", "register_camera"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("raise ValueError('no')", "while it was loaded"),
        ("def f(:", "line"),
        ("print 'hello'", "Python 2"),
    ],
)
def test_hooks_that_cannot_be_loaded_end_the_run_before_anything(text, said, hooks, imported):
    with pytest.raises(UsageError, match=said) as raised:
        imported(hooks(text))
    assert raised.value.exit_code == 2 and raised.value.hint


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_a_file_that_everybody_may_change_is_refused(hooks, imported):
    file = hooks(TWO + QUIET)
    file.path.chmod(0o646)
    with pytest.raises(SafetyRefusal) as raised:
        imported(file)
    assert raised.value.exit_code == 11 and file.calls() == []


def test_settings_that_the_hooks_do_not_take_end_the_run(hooks, imported):
    file = hooks(TWO + QUIET + "def set_hook_data(data): raise KeyError('plan')\n")
    with pytest.raises(CamtrailError, match="plan"):
        imported(file)
    assert file.posted() == []


def test_a_class_is_as_good_as_functions(hooks, imported):
    file = hooks(
        """
        from camtrail.transfer.hooks import Hook, Permanent, Retry

        class Mine(Hook):
            def register_camera(self, name, host, port): return {"camera_id": name}
            def assign(self, videos, all):
                for v in videos: v.job_id, v.shard_id = "j", "0"
                return "j"
            def submit(self, video, camera_id, host, port):
                n = video.path[-8:-4]
                if n == "4557" and is_switched("trouble"): raise Permanent("is too dark", "take another")
                if n == "4617" and is_switched("trouble"): raise Retry("is busy", 5.0)
                note("taken", n)
            def finish(self, jobs): note("finish", jobs)
        """
    )
    file.switch("trouble")
    done = imported(file)
    assert [(f.message, f.exit_code, f.retryable) for f in done.result.failures] == [
        ("is too dark", 3, False),
        ("is busy", 5, True),
    ]
    assert {row.state for *_, row in rows_of(done.storage, Context())} == {"refused", "failed", "registered"}
    file.switch("trouble", on=False)
    assert dict(imported(file).counts) == {"sent": 2, "sent before": 1}
    assert file.posted() == ["4677", "4557", "4617"]


def test_two_failures_of_the_service_in_a_row_end_the_run(hooks, imported, folder):
    wanted = fill(folder, 60)
    file = hooks(
        """
        from camtrail.transfer.hooks import Hook, Retry
        class Mine(Hook):
            def register_camera(self, name, host, port): return {"camera_id": name}
            def submit(self, video, camera_id, host, port):
                note("tried", video.relative_name)
                raise Retry("is busy")
        """
    )
    done = imported(file, workers=1)
    assert len(file.calls("tried")) == 2
    assert dict(done.counts) == {"failed": 2, "left for the next run": 58} and codes(done) == {5}
    assert any("58 videos left for the next run" in note for note in done.result.notes)
    assert set(outcomes(done)) == set(wanted)
    with Imports(done.storage) as imports:
        assert len(imports.files(list(wanted))) < 20, "what is not sent is not read"


def test_a_rehearsal_sends_nothing_and_counts_nothing(hooks, imported):
    file = hooks(DOCUMENTED % ORDERS["documented"])
    done = imported(file, dry_run=True)
    assert dict(done.counts) == {"to send": 3}
    assert {name for name, *_ in file.calls()} == {"set_hook_data"}
    assert rows_of(done.storage, Context()) == []
    assert dict(imported(file).counts) == {"sent": 3}
    assert dict(imported(file, dry_run=True).counts) == {"sent before": 3}


def test_the_null_hook_takes_all_and_counts_for_itself(hooks, imported):
    assert dict(imported("null").counts) == {"sent": 3}
    assert dict(imported("NULL").counts) == {"sent before": 3}
    file = hooks(TWO + QUIET)
    assert dict(imported(file).counts) == {"sent": 3}


def test_hooks_see_no_token_of_another_service(hooks, imported):
    file = hooks(TWO + QUIET + "note('env', sorted(n for n in os.environ if 'TOKEN' in n))\n")
    env = {"CAMIO_OAUTH_TOKEN": "a", "INAT_TOKEN": "b", "MAPILLARY_TOKEN": "c", "GITHUB_TOKEN": "d"}
    imported(file, env=env)
    assert file.calls("env") == [[["CAMIO_OAUTH_TOKEN"]]]


def test_no_videos_is_no_failure(hooks, imported, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    file = hooks(DOCUMENTED % ORDERS["documented"])
    done = imported(file, of=tmp_path / "empty")
    assert (dict(done.counts), done.videos, done.jobs, done.result.failures) == ({}, [], [], [])
    assert {name for name, *_ in file.calls()} == {"set_hook_data"}
