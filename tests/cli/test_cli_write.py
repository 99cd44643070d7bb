"""`process --write`, `write` and `undo` as people and programs call them."""

from __future__ import annotations

import fcntl
import json

import pytest


def tree(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".camtrail" not in p.parts
    }


def test_process_write_again_undo(camtrail, photos, track):
    before = tree(photos)
    line = ("process", photos, "--track", track, "--write", "exif", "--device-make", "Test", "--json")
    first = camtrail(*line)
    assert first.code == 3  # none.jpg is none
    assert first.json["written"] == {"written": 2}
    assert first.json["changes"] == [
        {"path": str(photos / "bare.jpg"), "what": ["position", "gps-time", "make"]},
        {"path": str(photos / "full.jpg"), "what": ["gps-time", "make"]},
    ]
    after = tree(photos)
    assert camtrail(*line).json["written"] == {"unchanged": 2} and tree(photos) == after
    assert camtrail("write", photos, "--json").json["written"] == {"unchanged": 2}
    ended = camtrail("undo", photos, "--json")
    assert (ended.code, ended.json["restored"]) == (0, [str(photos / n) for n in ("full.jpg", "bare.jpg")])
    assert tree(photos) == before
    assert "0 files taken back" in camtrail("undo", photos).out


def test_a_dry_run_lists_what_it_would_write(camtrail, photos, track):
    before = tree(photos)
    ended = camtrail("process", photos, "--track", track, "--write", "sidecar", "--dry-run")
    assert "2  to be written" in ended.out and "bare.jpg.xmp: position gps-time" in ended.out
    assert tree(photos) == before
    camtrail("process", photos, "--write", "exif")
    ended = camtrail("undo", photos, "--dry-run")
    assert "1 files would be taken back" in ended.out and tree(photos) != before


def test_write_takes_what_process_found(camtrail, photos, track):
    before = tree(photos)
    camtrail("process", photos, "--track", track)
    assert tree(photos) == before
    assert camtrail("write", photos, "--json").json["written"] == {"written": 2}
    assert camtrail("status", photos).out.count("write: 2 done") == 1
    camtrail("undo", photos)
    assert tree(photos) == before
    out = photos.parent / "out"
    assert camtrail("write", photos, "--write", "copy", "-o", out, "--json").json["written"] == {"written": 2}
    assert set(tree(out)) == {"full.jpg", "bare.jpg"} and tree(photos) == before


def test_where_to_write_by_environment_and_file(camtrail, photos, tmp_path):
    ended = camtrail("process", photos, "--json", env={"CAMTRAIL_WRITE": "sidecar"})
    assert ended.json["written"] == {"unchanged": 1, "written": 1} and (photos / "full.jpg.xmp").exists()
    config = tmp_path / "config.toml"
    config.write_text('[options]\nwrite = "exif"\ndevice-make = "Set"\n')
    env = {"CAMTRAIL_CONFIG": str(config)}
    assert camtrail("process", photos, "--json", env=env).json["written"] == {"written": 2}
    before = tree(photos)
    for more in (("--write", "none"), ()):
        ended = camtrail("process", photos, "--json", *more, env={**env, "CAMTRAIL_WRITE": "none"})
        assert "written" not in ended.json or not ended.json["written"]
    assert tree(photos) == before


@pytest.mark.parametrize(
    "line",
    [
        ("process", "--write", "copy"),
        ("process", "-o", "out"),
        ("write", "-o", "out"),
        ("write", "--write", "both"),
        ("write", "--orientation", "45"),
        ("write", "--GPS-accuracy=-1"),
        ("write", "--import-meta-source", "json"),
        ("undo", "--all", "--run", "1"),
        ("undo", "--older-than", "90d"),
        ("undo", "--run", "7"),
    ],
    ids=" ".join,
)
def test_contradictions_end_with_2(camtrail, photos, line):
    before = tree(photos)
    ended = camtrail(line[0], photos, *line[1:])
    assert ended.code == 2 and tree(photos) == before


def test_what_is_refused_ends_with_3_and_the_reason(camtrail, photos):
    (photos / "none.jpg").unlink()
    (photos / "full.jpg").chmod(0o444)
    ended = camtrail("process", photos, "--write", "exif", "--json")
    (failure,) = ended.json["failures"]
    assert (ended.code, failure["path"], failure["code"]) == (3, str(photos / "full.jpg"), "refused")
    assert "read-only" in failure["message"] and failure["hint"]


def test_import_metadata_that_is_none_ends_with_4(camtrail, photos, tmp_path):
    (tmp_path / "meta.json").write_text('{"MAPOrientation": 90}')
    line = ("write", photos, "--import_meta_source", "json", "--import_meta_source_path")
    ended = camtrail(*line, tmp_path / "meta.json", "--json")
    assert (ended.code, ended.json["failures"][0]["path"]) == (4, str(tmp_path / "meta.json"))
    assert camtrail(*line, tmp_path / "missing.json").code == 4


def test_a_folder_that_another_run_owns_ends_with_9(camtrail, photos):
    camtrail("process", photos)
    before = tree(photos)
    with open(photos / ".camtrail/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for line in (("process", "--write", "exif"), ("write",)):
            ended = camtrail(line[0], photos, *line[1:])
            assert ended.code == 9 and "another run owns this folder" in ended.err
        assert camtrail("process", photos).code == 3  # only none.jpg, which is none
        assert camtrail("write", photos, "--dry-run").code == 3
    assert tree(photos) == before
    assert camtrail("write", photos).code == 3 and tree(photos) != before


def test_names_that_are_no_unicode(camtrail, photos, tmp_path):
    import os

    (photos / "none.jpg").unlink()
    name = os.fsdecode(b"\xff \n.jpg")
    (photos / "full.jpg").rename(photos / name)
    out = tmp_path / "out"
    ended = camtrail("write", photos, "--write", "copy", "-o", out, "--json")
    assert (ended.code, ended.json["written"]) == (0, {"written": 2})
    assert (out / name).exists()
    assert camtrail("undo", photos / name).code == 0 and not (out / name).exists()


def test_the_documented_line(camtrail, photos):
    (photos / "none.jpg").unlink()
    line = (
        "process", photos, "--write", "exif", "--description", "--add_file_name", "--add_import_date", "--device_make",
        "Apple", "--device_model", "iPhone SE", "--GPS_accuracy", "1.5", "--cutoff_distance", "50", "--cutoff_time",
        "120", "--interpolate_directions", "--offset_angle", "10", "--flag_duplicates", "--duplicate_distance", "2",
        "--duplicate_angle", "45", "--json",
    )  # fmt: skip
    assert camtrail(*line).code == 0
    from camtrail.core.bytes import MemoryBytes
    from camtrail.metadata.read import header

    description = json.loads(header(MemoryBytes((photos / "full.jpg").read_bytes()))[-2])
    assert description["MAPDeviceModel"] == "iPhone SE" and description["MAPGPSAccuracyMeters"] == 1.5
    assert description["MAPMetaTags"]["strings"] == [{"key": "original_file_name", "value": "full.jpg"}]
    assert camtrail(*line).json["written"] == {"unchanged": 2}
