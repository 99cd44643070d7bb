"""`camtrail inaturalist match`, in the words that are documented."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from camtrail.cli.inaturalist import _pair, _position, _scientific
from camtrail.services.inaturalist.sandbox import InaturalistSandbox
from inaturalist_example import LOGIN, make

NATURE = Path(__file__).parents[3] / "shared" / "data" / "photos" / "nature"
TABLE = {  # file: photo, observation, observation photo, position, identification, seconds, metres
    "dcsf0118.jpg": (111827898, 68980359, 104339085, 4, "Coyote (Canis latrans)", 7, 72.38),
    "dcsf0119.jpg": (111827912, 68980359, 104339084, 3, "Coyote (Canis latrans)", 58, 0.0),
    "dcsf0119_crop.jpg": (111827921, 68980359, 104339082, 1, "Coyote (Canis latrans)", 58, 0.0),
    "dcsf0123.jpg": (111753544, 68939822, 104269804, 2, "Milkmaids (Cardamine californica)", 12, 0.0),
    "dcsf0124.jpg": (111753559, 68939822, 104269803, 1, "Milkmaids (Cardamine californica)", 18, 0.0),
}
FOREIGN = {111827935, 111827888}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that lead to the documented example."""
    folder = tmp_path_factory.mktemp("example")
    make(NATURE, folder)
    with InaturalistSandbox(data=str(folder)) as box:
        yield box.environment()


@pytest.fixture
def nature(tmp_path: Path) -> Path:
    """The five photos."""
    folder = tmp_path / "nature"
    folder.mkdir()
    for name in TABLE:
        shutil.copyfile(NATURE / name, folder / name)
    return folder


def shas(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.jpg")}


@pytest.mark.data
class TestTheDocumentedExample:
    def test_the_table_the_second_run_and_the_way_back(self, camtrail, nature, example):
        before = shas(nature)
        done = camtrail(
            "inaturalist", "match", "nature", "--user", LOGIN, "--logfile", "log.html", "--csv", "t.csv", "--json",
            env=example,
        )  # fmt: skip
        assert (done.code, done.err) == (0, "")
        rows = {Path(r["path"] or "").name: r for r in done.json["matches"] if r["verdict"] == "matched"}
        found = {
            name: (
                r["photo"], r["observation"], r["observation_photo"], r["position"], r["identification"],
                r["seconds"], round(r["distance_m"], 2),
            )
            for name, r in rows.items()
        }  # fmt: skip
        assert found == TABLE
        assert all(r["similarity"] > 0.96 for r in rows.values())
        lone = {r["photo"] for r in done.json["matches"] if r["verdict"] == "no_local_photo"}
        assert lone == FOREIGN and len(done.json["matches"]) == 7
        with (nature.parent / "t.csv").open(newline="") as f:
            assert sum(r["verdict"] == "matched" for r in csv.DictReader(f)) == 5
        page = (nature.parent / "log.html").read_text()
        assert page.count("data:image/jpeg") == 12 and "<em>Cardamine</em>" in page
        written = shas(nature)
        again = camtrail("inaturalist", "match", "nature", "-u", LOGIN, env=example)
        assert again.code == 0 and shas(nature) == written
        assert (
            "2021-02-01: 2 iNat pictures and 0 local pictures left after excluding known associations.\n"
            in again.out
        )
        assert re.search(
            "Summary: 0 iNaturalist annotations added, 0 modified in [0-9]+ seconds. 0 local photos and 2 iNaturalist "
            "photos without known association.\n",
            again.out,
        )
        known = camtrail(
            "inaturalist", "match", "nature", "-u", LOGIN, "-q", "--logfile", "log.html", env=example
        )
        page = (nature.parent / "log.html").read_text()
        assert known.code == 0 and "5 of 5 photos were found on iNaturalist" in page
        assert camtrail("undo", "nature").code == 0 and shas(nature) == before

    def test_what_is_printed(self, camtrail, nature, example):
        done = camtrail(
            "inaturalist", "match", "-u", LOGIN, "-r", "--cluster_threshold", "180", "--ssim_threshold", "95%",
            "--bypass_cache", "nature/dcsf0124.jpg", "--dry-run", env=example,
        )  # fmt: skip
        assert done.code == 0
        first, *lines = done.out.splitlines()
        assert first.startswith("Loaded 1 local photo in ") and first.endswith(" secs.")
        assert lines[0] == "2021-02-01: 7 iNat pictures and 1 local picture."
        assert lines[1].startswith(
            "'nature/dcsf0124.jpg' without caption found for photo id 111753559; 'Milkmaids (Cardamine californica)', "
            "time from observation 18 secs, distance from observation 0.00 meters, similarity 97."
        )
        assert (
            lines[2]
            == "nature/dcsf0124.jpg: Updating subject from 'None' to 'Milkmaids (Cardamine californica)'."
        )
        assert (
            "Not associated with a local picture: photo id 111827935, 2nd photo of observation "
            "https://www.inaturalist.org/observations/68980359, 'Coyote (Canis latrans)'."
        ) in lines
        summary = next(line for line in lines if line.startswith("Summary"))
        assert summary.startswith(
            "Summary: 1 iNaturalist annotation added, 0 modified; 1 identification added, 0 modified in "
        )
        assert "0 local photos and 6 iNaturalist photos without known association." in summary

    @pytest.mark.parametrize(
        "options",
        [
            ("--image-size", "small", "--ssim_threshold", "0.8"),
            ("--image-size", "small"),
            ("--image-size", "medium"),
            ("--image-size", "original"),
        ],
        ids=" ".join,
    )
    def test_each_size_finds_the_same(self, camtrail, nature, example, options):
        done = camtrail(
            "inaturalist", "match", "nature", "-u", LOGIN, "--write", "none", "--json", *options, env=example
        )
        rows = {Path(r["path"]).name: r["photo"] for r in done.json["matches"] if r["verdict"] == "matched"}
        assert rows == {name: row[0] for name, row in TABLE.items()}

    @pytest.mark.exiftool
    def test_exiftool_reads_what_is_documented(self, camtrail, nature, example):
        assert camtrail("inaturalist", "match", "nature", "-u", LOGIN, env=example).code == 0
        tags = ["observation", "observationPhoto", "photo"]
        command = ["exiftool", "-j", *(f"-XMP-iNaturalist:{t}" for t in tags), "-Subject", "."]
        answer = subprocess.run(command, cwd=nature, capture_output=True, text=True, check=True).stdout
        found = {Path(r["SourceFile"]).name: r for r in json.loads(answer)}
        for name, (photo, observation, place, _, text, _, _) in TABLE.items():
            said = found[name]
            assert (said["Observation"], said["ObservationPhoto"], said["Photo"]) == (
                observation,
                place,
                photo,
            )
            assert said["Subject"] == text

    @pytest.mark.exiftool
    def test_exiftool_knows_trees_and_darwin_core_by_their_names(self, camtrail, nature, example):
        options = ("--keywords", "hierarchical", "--dwc")
        assert camtrail("inaturalist", "match", "nature", "-u", LOGIN, *options, env=example).code == 0
        command = ["exiftool", "-j", "-G1", "-XMP:all", "dcsf0118.jpg"]
        answer = subprocess.run(command, cwd=nature, capture_output=True, text=True, check=True).stdout
        found = json.loads(answer)[0]
        assert found["XMP-dwc:ScientificName"] == "Canis latrans"
        assert found["XMP-dwc:OccurrenceID"] == "https://www.inaturalist.org/observations/68980359"
        assert found["XMP-lr:HierarchicalSubject"] == "iNaturalist|Coyote (Canis latrans)"
        assert found["XMP-digiKam:TagsList"] == "iNaturalist/Coyote (Canis latrans)"

    def test_places_and_ids_live_together_and_all_goes_back(self, camtrail, nature, example):
        before = shas(nature)
        write = ("process", "nature", "--write", "exif", "--time-zone", "America/Los_Angeles")
        assert camtrail(*write).code == 0
        assert camtrail("inaturalist", "match", "nature", "-u", LOGIN, env=example).code == 0
        both = shas(nature)
        assert all(both[name] != before[name] for name in before)
        assert camtrail(*write).code == 0 and shas(nature) == both
        again = camtrail("inaturalist", "match", "nature", "-u", LOGIN, "--json", env=example)
        assert [r["verdict"] for r in again.json["matches"]].count("known") == 5 and shas(nature) == both
        assert camtrail("undo", "nature", "--all").code == 0 and shas(nature) == before


class TestExitCodes:
    def test_a_user_is_needed(self, camtrail, photos):
        assert camtrail("inaturalist", "match", "photos").code == 2

    def test_an_unknown_user_is_a_wrong_option(self, camtrail, photos):
        with InaturalistSandbox() as box:
            done = camtrail("inaturalist", "match", "photos", "-u", "nobody", env=box.environment())
        assert done.code == 2 and "'nobody' is not an iNaturalist user login" in done.err

    def test_offline_without_anything_kept_is_unreachable(self, camtrail, photos):
        done = camtrail("inaturalist", "match", "photos", "-u", "anna", "--offline")
        assert done.code == 5 and "offline" in done.err

    @pytest.mark.parametrize("option", [("--cluster_threshold", "59"), ("--ssim_threshold", "1.5")])
    def test_limits_of_options(self, camtrail, photos, option):
        assert camtrail("inaturalist", "match", "photos", "-u", "anna", *option).code == 2

    @pytest.mark.parametrize(
        "outputs, code",
        [
            (("--csv", "-"), 2),
            (("--csv", "one.html", "--logfile", "./one.html"), 2),
            (("--csv", "nowhere/table.csv"), 7),
            (("--logfile", "nowhere/log.html"), 7),
        ],
    )
    def test_outputs_that_cannot_be_end_before_photos_are_changed(self, camtrail, photos, outputs, code):
        with InaturalistSandbox() as box:
            done = camtrail(
                "inaturalist", "match", "photos", "-u", "naturalist", *outputs, env=box.environment()
            )
            assert not box.requests()
        assert done.code == code and not done.out
        assert sorted(p.name for p in photos.parent.iterdir()) == ["photos"]

    def test_a_page_is_called_by_its_folder(self, camtrail, photos):
        with InaturalistSandbox() as box:
            command = ("inaturalist", "match", "photos/.", "-u", "naturalist", "--logfile", "log.html")
            assert camtrail(*command, env=box.environment()).code == 3  # one of the photos is empty
        assert "<h1>photos</h1>" in (photos.parent / "log.html").read_text()

    def test_somebody_elses_page_is_not_replaced(self, camtrail, photos):
        (photos.parent / "log.html").write_text("<html>mine</html>")
        done = camtrail("inaturalist", "match", "photos", "-u", "anna", "--logfile", "log.html")
        assert done.code in (2, 11) and (photos.parent / "log.html").read_text() == "<html>mine</html>"


@pytest.mark.parametrize(
    "n, word",
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"),
     (22, "22nd"), (23, "23rd"), (101, "101st"), (111, "111th")],
)  # fmt: skip
def test_positions_in_words(n, word):
    photo = SimpleNamespace(position=n - 1)
    online = SimpleNamespace(photo=photo, observation=SimpleNamespace(photos=[photo] * max(2, n)))
    assert _position(online) == f"{word} photo"
    online.observation.photos = [photo]
    assert _position(online) == "only photo"


@pytest.mark.parametrize(
    "caption, name",
    [
        ("Coyote (Canis latrans)", "Canis latrans"),
        ("Canis latrans", "Canis latrans"),
        ("Cougar (Puma concolor ssp. couguar)", "Puma concolor ssp. couguar"),
        ("My dog (not a coyote)", "My dog (not a coyote)"),
        ("Quercus", "Quercus"),
        ("holiday", "holiday"),
    ],
)
def test_scientific_names_in_captions(caption, name):
    assert _scientific(caption) == name


@pytest.mark.parametrize(
    "keywords, words",
    [
        ((), "without caption found for photo id 7; 'Coyote (Canis latrans)'"),
        (("Zoo", "Coyote (Canis latrans)"), "caption contains identification for photo id 7"),
        (("Canis latrans",), "caption contains identification for photo id 7"),
        (
            ("Zoo", "Holiday"),
            "found for photo id 7; identification 'Coyote (Canis latrans)', current caption 'Zoo'",
        ),
    ],
)
def test_what_is_said_of_captions(keywords, words):
    nan = float("nan")
    pair = SimpleNamespace(
        verdict="matched", seconds=nan, similarity=nan, distance_m=nan, how="", margin=1.0,
        local=SimpleNamespace(typed="a.jpg", known=SimpleNamespace(keywords=keywords)),
        online=SimpleNamespace(
            text="Coyote (Canis latrans)", photo=SimpleNamespace(photo_id=7),
            observation=SimpleNamespace(is_obscured=False),
        ),
    )  # fmt: skip
    assert _pair(pair) == f"'a.jpg' {words}, n/a."
