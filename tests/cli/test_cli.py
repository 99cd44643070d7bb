"""What people type, what they read, and the exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from camtrail import __version__
from camtrail.cli import main as cli


class TestProcess:
    def test_counts_failures_and_the_exit_code(self, camtrail, photos):
        ended = camtrail("process", photos, "--json")
        assert ended.code == 3
        answer = ended.json
        assert answer["command"] == "process"
        assert answer["counts"] == {"located": 1, "no_place": 1, "unreadable": 1}
        assert answer["failures"] == [
            {
                "path": f"{photos}/none.jpg", "code": "unreadable", "message": "is empty",
                "hint": "copy it again from the card or a backup", "retryable": False,
            }
        ]  # fmt: skip
        assert answer["outputs"] == []
        assert answer["elapsed_s"] >= 0
        assert list(answer)[:4] == ["command", "counts", "failures", "outputs"]

    def test_for_people(self, camtrail, photos):
        ended = camtrail("process", "photos")
        assert "1  located" in ended.out
        assert "no place: bare.jpg: its EXIF has no position; give --track FILE" in " ".join(
            ended.out.split()
        )
        assert "preset classic" in ended.out
        assert ended.err == ("camtrail: photos/none.jpg: is empty; copy it again from the card or a backup\n")
        assert len([line for line in ended.out.splitlines() if line.startswith("no place: ")]) == 1

    def test_at_most_twenty_problems_and_where_the_rest_is(self, camtrail, photos):
        for i in range(30):
            (photos / f"{i}.jpg").write_bytes((photos / "bare.jpg").read_bytes())
        ended = camtrail("process", "photos")
        assert ended.out.count("no place: ") == 20
        assert "… and 11 more; camtrail export photos -o problems.csv lists all" in ended.out
        assert all(line.count("no place: ") <= 1 for line in ended.out.splitlines())

    def test_a_track_as_a_path_or_an_option(self, camtrail, photos, track):
        for arguments in ([photos, track], [photos, "--track", track]):
            assert camtrail("process", *arguments, "--json").json["counts"]["located"] == 2

    def test_a_report(self, camtrail, photos, tmp_path):
        ended = camtrail("process", photos, "--report", "r.html", "--json")
        assert ended.json["outputs"] == ["r.html"]
        assert "Content-Security-Policy" in (tmp_path / "r.html").read_text()
        assert camtrail("process", photos, "--report", "r.html").code == 3  # our own page is replaced

    def test_an_error_is_an_object_too(self, camtrail, photos):
        ended = camtrail("process", photos, "--track", "gone.gpx", "--json")
        assert ended.code == 4
        assert ended.json["failures"] == [
            {
                "path": "gone.gpx", "code": "unreadable", "message": "is not there", "hint": "check the name",
                "retryable": True,
            }
        ]  # fmt: skip
        assert "gone.gpx: is not there" in ended.err

    def test_a_page_of_somebody_else_is_replaced_only_by_force(self, camtrail, photos, tmp_path):
        (tmp_path / "r.html").write_text("mine")
        assert camtrail("process", photos, "--report", "r.html").code == 11
        assert camtrail("process", photos, "--report", "r.html", "--force").code == 3

    def test_fail_on_makes_a_verdict_a_failure(self, camtrail, photos):
        (photos / "none.jpg").unlink()
        assert camtrail("process", photos).code == 0
        assert camtrail("process", photos, "--fail-on", "no_place").code == 3
        assert camtrail("process", photos, "--fail-on", "in-gap").code == 0

    def test_quiet_says_failures_only(self, camtrail, photos):
        ended = camtrail("process", photos, "-q")
        assert ended.out == ""
        assert ended.err.count("\n") == 1

    @pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
    def test_names_that_are_no_utf8(self, camtrail, photos):
        os.rename(photos / "none.jpg", os.fsencode(photos) + b"/caf\xe9\n.jpg")
        assert camtrail("process", "photos", "--json").json["failures"][0]["path"] == "photos/caf\\xe9\n.jpg"
        assert "photos/caf\\xe9\\x0a.jpg: is empty" in camtrail("process", "photos").err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["process"], 2, "Missing argument"),
        (["process", "nowhere"], 4, "nowhere: is not there; check the name"),
        (["process", "photos", "--bogus"], 2, "No such option"),
        (["process", "photos", "--cutoff-time", "soon"], 2, "'soon' is no number (units: ms, s, sec, min, h, d)"),
        (["process", "photos", "--cutoff-time", "nan"], 2, "'nan' is no number"),
        (["process", "photos", "--preset", "new"], 2, "'new' is not one of classic, modern"),
        (["process", "photos", "--time-zone", "Mars/Base"], 2, "no time zone 'Mars/Base'"),
        (["process", "photos", "--geotag_source", "foo"], 2, "there is no source 'foo'"),
        (["process", "photos", "--geotag_source", "gpx"], 2, "has nothing to read"),
        (["process", "photos", "--track", "bad.gpx"], 4, "bad.gpx"),
        (["process", "photos", "--report", "r.txt"], 2, "a page is an HTML file"),
        (["process", "photos", "--report", "mine.html"], 11, "was not written by camtrail"),
        (["export", "photos"], 2, "give -o FILE"),
        (["export", "photos", "-o", "x.foo"], 2, "no format has this suffix"),
        (["export", "photos", "-o", "-"], 2, "give --format"),
        (["export", "photos", "-o", "-", "--format", "csv", "--json"], 2, "both want standard output"),
        (["export", "photos", "-o", "ride.gpx"], 11, "ride.gpx: is there already and was not written by camtrail"),
        (["export", "photos", "-o", "missing/x.csv"], 7, "its folder is not there"),
        (["nonsense"], 2, "No such command"),
        (["why", "photos/gone.jpg"], 4, "is not there"),
        (["why", "photos"], 2, "is a folder; name one photo"),
        (["status", "ride.gpx"], 2, "is a track"),
        (["process", "photos", "--max-images", "0"], 2, "'0' is below 1"),
        (["process", "photos", "--workers", "-1"], 2, "'-1' is below 0"),
        (["process", "photos", "--offset-time", "1e20"], 2, "'1e20' is above 1e+10"),
        (["process", "photos", "--duplicate-rule", "foo"], 2, "'foo' is not one of strict, loose"),
        (["process", "photos", "--fail-on", "foo"], 2, "'foo' is not one of located"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_in_one_line(camtrail, photos, track, tmp_path, arguments, code, words):
    (tmp_path / "bad.gpx").write_text("<!DOCTYPE gpx><gpx/>")
    (tmp_path / "mine.html").write_text("<html>my own</html>")
    ended = camtrail(*arguments)
    assert ended.code == code
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


class TestExport:
    @pytest.mark.parametrize("suffix", ["geojson", "gpx", "kml", "csv", "json"])
    def test_by_suffix(self, camtrail, photos, tmp_path, suffix):
        ended = camtrail("export", photos, "-o", f"x.{suffix}", "--json")
        assert ended.code == 0
        assert ended.json["outputs"] == [f"x.{suffix}"]
        assert (tmp_path / f"x.{suffix}").stat().st_size > 0
        again = camtrail("export", photos, "--to", f"x.{suffix}")
        assert (again.code, again.out) == (0, f"wrote 3 photos to x.{suffix}\n")

    def test_geojson_has_a_feature_for_each_photo(self, camtrail, photos, track):
        camtrail("process", photos, track)
        ended = camtrail("export", photos, "-o", "-", "--format", "geojson")
        features = {f["properties"]["path"]: f for f in json.loads(ended.out)["features"]}
        assert features["full.jpg"]["geometry"] == {"type": "Point", "coordinates": [8.54, 47.37]}
        assert features["bare.jpg"]["properties"]["position_source"] == "gpx"
        assert features["bare.jpg"]["properties"]["seconds_to_fix"] == 7
        assert features["none.jpg"]["geometry"] is None
        assert features["none.jpg"]["properties"]["outcome"] == "unreadable"

    def test_several_paths_have_roots(self, camtrail, photos, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        (other / "full.jpg").write_bytes((photos / "full.jpg").read_bytes())
        ended = camtrail("export", photos, other, "-o", "-", "--format", "geojson")
        found = {
            (f["properties"]["root"], f["properties"]["path"]) for f in json.loads(ended.out)["features"]
        }
        assert (str(other), "full.jpg") in found
        assert len(found) == 4

    def test_it_changes_nothing_that_process_found(self, camtrail, photos, track):
        camtrail("process", photos, track, "--offset-angle", "90")
        one = camtrail("export", photos, "-o", "-", "--format", "csv").out
        assert camtrail("export", photos, "-o", "-", "--format", "csv").out == one
        assert "gpx" in one

    def test_the_recording_of_a_ride_is_not_replaced(self, camtrail, photos, track):
        before = track.read_bytes()
        assert camtrail("export", photos, "-o", track).code == 11
        assert track.read_bytes() == before
        assert camtrail("export", photos, "-o", track, "--force").code == 0
        assert track.read_bytes() != before

    def test_into_a_pipe_that_closes(self, photos):
        done = subprocess.run(
            f'"{sys.executable}" -m camtrail export "{photos}" -o - --format kml | head -c 1; exit "${{PIPESTATUS[0]}}"',
            shell=True, executable="/bin/bash", capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"<", b"")

    @pytest.mark.skipif(os.name == "nt", reason="pipes and links of POSIX")
    def test_into_a_pipe_and_through_a_link(self, camtrail, photos, tmp_path):
        os.mkfifo(tmp_path / "pipe.csv")
        with subprocess.Popen(["cat", tmp_path / "pipe.csv"], stdout=subprocess.PIPE) as reader:
            assert camtrail("export", photos, "-o", "pipe.csv").code == 0
            assert reader.communicate(timeout=10)[0].startswith(b"path,")
        (tmp_path / "target.csv").write_bytes(b"")
        (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
        assert camtrail("export", photos, "-o", "link.csv").code == 0
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "target.csv").read_bytes().startswith(b"path,")

    def test_json_is_a_name_of_the_description(self, camtrail, photos):
        one = camtrail("export", photos, "-o", "-", "--format", "json")
        assert one.out == camtrail("export", photos, "-o", "-", "--format", "description").out


class TestOtherVerbs:
    def test_status_before_and_after(self, camtrail, photos):
        assert "nothing is known yet" in camtrail("status", photos).out
        assert not (photos / ".camtrail").exists()
        camtrail("process", photos)
        answer = camtrail("status", photos, "--json").json["collections"][0]
        assert (answer["photos"], answer["counts"]["located"]) == (3, 1)
        assert answer["runs"][0]["command"] == "process"
        assert "3 photos scanned" in camtrail("status", photos).out

    def test_why(self, camtrail, photos, track):
        camtrail("process", photos, track)
        ended = camtrail("why", "photos/bare.jpg")
        assert ended.code == 0
        assert "place         47.000" in ended.out
        assert "(from gpx)" in ended.out
        assert camtrail("why", "photos/bare.jpg", "--json").json["facts"]["outcome"] == "located"
        assert "is empty" in camtrail("why", "photos/none.jpg").out

    def test_scan_geotag_sequence_report(self, camtrail, photos, tmp_path):
        for name in ("scan", "geotag", "sequence"):
            answer = camtrail(name, photos, "--json").json
            assert (answer["command"], sum(answer["counts"].values())) == (name, 3)
        assert camtrail("report", photos, "-o", "page.html").out == "wrote 3 photos to page.html\n"
        assert "full.jpg" in (tmp_path / "page.html").read_text()

    def test_version_and_help(self, camtrail):
        assert camtrail("--version").out == f"camtrail, version {__version__}\n"
        for name in cli.VERBS:
            assert name in camtrail("--help").out
        assert "--cutoff-distance" in camtrail("process", "-h").out


class TestSpelling:
    @pytest.mark.parametrize("flag", ["--cutoff-time", "--cutoff_time", "--CUTOFF_Time"])
    def test_dashes_underlines_and_case_are_the_same(self, camtrail, photos, flag):
        assert camtrail("process", photos, flag, "2min").code == 3

    def test_verbs_too(self, camtrail, photos):
        assert camtrail("PROCESS", photos).code == 3

    def test_units_and_negative_numbers(self, camtrail, photos):
        assert camtrail("process", photos, "--offset-time", "-90s", "--cutoff-distance", "1.5km").code == 3


class TestConfiguration:
    def run(self, camtrail, photos, text, tmp_path, *more, env=None):
        (tmp_path / "config.toml").write_text(text)
        env = {"CAMTRAIL_CONFIG": str(tmp_path / "config.toml"), **(env or {})}
        return camtrail("process", photos, "--json", *more, env=env)

    def test_option_over_environment_over_file_over_default(self, camtrail, photos, tmp_path):
        file = '[options]\npreset = "modern"\n'
        assert self.run(camtrail, photos, file, tmp_path).json["preset"] == "modern"
        env = {"CAMTRAIL_PRESET": "classic"}
        assert self.run(camtrail, photos, file, tmp_path, env=env).json["preset"] == "classic"
        assert (
            self.run(camtrail, photos, file, tmp_path, "--preset", "modern", env=env).json["preset"]
            == "modern"
        )
        assert self.run(camtrail, photos, "", tmp_path).json["preset"] == "classic"

    def test_lists_units_and_names_with_or_without_unit(self, camtrail, photos, track, tmp_path):
        file = f'[options]\ntrack = ["{track.as_posix()}"]\ncutoff_time = "2min"\ncutoff_distance_m = 50\n'
        assert self.run(camtrail, photos, file, tmp_path).json["counts"]["located"] == 2

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[options]\nbogus = 1\n", "there is no option 'bogus'"),
            ("[options\n", "cannot be used"),
            ("options = 3\n", "options is no table"),
            ('[options]\ncutoff_time = "soon"\n', "cutoff_time: 'soon' is no number"),
            ('[options]\ntrack = "x.gpx"\n', "track: must be a list"),
            ("[options]\npreset = true\n", "cannot be its value"),
        ],
    )
    def test_what_is_wrong_in_it(self, camtrail, photos, tmp_path, text, words):
        ended = self.run(camtrail, photos, text, tmp_path)
        assert ended.code == 2
        assert words in ended.err

    def test_repeatable_options_are_set_in_the_file(self, camtrail, photos, tmp_path):
        (photos / "none.jpg").unlink()
        assert self.run(camtrail, photos, '[options]\nfail_on = ["no-place"]\n', tmp_path).code == 3

    def test_an_option_of_another_verb_is_fine(self, camtrail, photos, tmp_path):
        (tmp_path / "config.toml").write_text('[options]\nformat = "csv"\n')
        env = {"CAMTRAIL_CONFIG": str(tmp_path / "config.toml")}
        assert camtrail("status", photos, env=env).code == 0


class TestEnding:
    def test_ctrl_c_and_a_defect(self, monkeypatch, capsys):
        for raised, code, words in (
            (KeyboardInterrupt(), 130, "interrupted; what was done is kept"),
            (cli._Terminated(), 143, "ended from outside"),
            (ZeroDivisionError("x"), 1, "a defect: ZeroDivisionError: x"),
            (click.Abort(), 130, "interrupted"),
        ):

            def raising(*_, raised=raised, **__):
                raise raised

            monkeypatch.setattr(cli.cli, "main", raising)
            assert cli._ended() == code
            assert words in capsys.readouterr().err

    @pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_in_the_middle_of_a_run(self, camtrail, photos, number, code):
        import sqlite3

        camtrail("process", photos)
        held = sqlite3.connect(photos / ".camtrail" / "catalog.sqlite", isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        with subprocess.Popen(
            [sys.executable, "-m", "camtrail", "process", str(photos)],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as run:  # fmt: skip
            assert run.stderr is not None
            assert "another program holds it; waiting" in run.stderr.readline()
            run.send_signal(number)
            _, err = run.communicate(timeout=5)
        held.close()
        assert run.returncode == code
        assert "what was done is kept" in err

    def test_a_catalog_that_is_held_ends_with_8(self, photos, camtrail, monkeypatch):
        import sqlite3

        from camtrail.app.context import Context
        from camtrail.app.process import ProcessOptions, process
        from camtrail.catalog import store
        from camtrail.core.errors import CatalogError

        process([str(photos)], ProcessOptions(), Context())
        held = sqlite3.connect(photos / ".camtrail" / "catalog.sqlite", isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(store, "_WAIT_S", 0.1)
        with pytest.raises(CatalogError) as raised:
            process([str(photos)], ProcessOptions(), Context())
        assert raised.value.exit_code == 8
        held.close()

    def test_start_up_imports_nothing_heavy(self):
        loaded = subprocess.run(
            [sys.executable, "-c", "import sys, camtrail.cli.main; print(*sys.modules)"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        assert not {"numpy", "sqlite3", "rich", "msgspec", "tzfpy"} & set(loaded)


def sums(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and ".camtrail" not in p.parts
    }


@pytest.mark.data
def test_the_main_job_on_real_photos(camtrail, tmp_path):
    import shutil

    real = Path(__file__).parents[3] / "shared" / "data"
    folder = tmp_path / "real"
    shutil.copytree(real / "photos", folder, copy_function=shutil.copyfile)
    before = sums(folder)
    ended = camtrail("process", folder, "--json")
    assert ended.code == 0
    assert ended.json["counts"] == {"located": 8}
    assert camtrail("export", folder, "-o", "x.geojson").code == 0
    features = {
        f["properties"]["path"]: f for f in json.loads((tmp_path / "x.geojson").read_text())["features"]
    }
    first = features["street/DSC00001.JPG"]
    assert first["geometry"]["coordinates"] == [-122.572765, 45.5169031, 70.3]
    assert first["properties"]["time"] == "2018-06-08T20:24:11Z"
    assert first["properties"]["time_source"] == "gps"
    assert features["street/adobe_coords.jpg"]["geometry"]["coordinates"][:2] == [34.3819352, -0.0702668]
    assert sum(f["geometry"] is not None for p, f in features.items() if p.startswith("nature/")) == 5
    assert sums(folder) == before


@pytest.mark.data
def test_photos_on_a_real_track(camtrail, tmp_path):
    from photos import Shot

    real = Path(__file__).parents[3] / "shared" / "data"
    folder = tmp_path / "on-track"
    folder.mkdir()
    for name, clock in (("in", "07:00:45"), ("late", "07:02:07"), ("early", "06:59:30")):
        (folder / f"{name}.jpg").write_bytes(Shot(local=f"2025:03:14 {clock}", offset="+00:00").bytes())
    track = real / "tracks" / "sf_30km_h.gpx"
    ended = camtrail("geotag", folder, "--geotag_source", "gpx", "--geotag_source_path", track, "--json")
    assert ended.json["counts"] == {"located": 1, "outside_track": 2}
    said = camtrail("export", folder, "-o", "-", "--format", "csv").out
    assert "outside the track by 33 s, after its end" in said
    assert "outside the track by 30 s, before its start" in said


def test_the_sample_of_make_run(camtrail, tmp_path):
    import sample

    sample.make(str(tmp_path / "sample"))
    once = sums(tmp_path / "sample")
    sample.make(str(tmp_path / "again"))
    assert sums(tmp_path / "again") == once
    ended = camtrail("process", "sample", "--track", "sample/ride/ride.gpx", "--json")
    assert ended.code == 0
    assert ended.json["counts"]["located"] > 100
