"""`camtrail mapillary download_images`, `download_sequences` and `verify`, as a user calls them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.sandbox_collection import made_up

Camtrail = Callable[..., Any]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[MapillarySandbox]:
    """A sandbox that the environment names, and a token."""
    with MapillarySandbox() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("MAPILLARY_CLIENT_TOKEN")
        monkeypatch.setenv("MAPILLARY_TOKEN", "tester")
        yield running
        assert running.received()["tokens_at_images"] == 0


@pytest.fixture
def ids(tmp_path: Path) -> list[str]:
    """Three images, in `ids.txt`."""
    known = [image.id for image in made_up()][:3]
    (tmp_path / "ids.txt").write_text("\n".join(known))
    return known


def verb(camtrail: Camtrail, name: str, *more: str, **options: dict[str, str]) -> Any:
    return camtrail("mapillary", name, *more, **options)


def test_the_documented_line(camtrail: Camtrail, box: MapillarySandbox, tmp_path: Path) -> None:
    line = "mapillary download_images 45.0 45.1 -122.6 -122.5 --max_results=5 --image_size=1024"
    done = camtrail(*line.split())
    assert done.code == 0 and done.out.startswith("        5  fetched\n"), done
    assert "note: the area has 5 images or more" in done.out and "wrote " in done.out
    assert len(list((tmp_path / "downloaded").glob("*/*.jpg"))) == 5
    with (tmp_path / "downloaded" / "manifest.csv").open(newline="") as file:
        assert [row["image_size"] for row in csv.DictReader(file)] == ["1024"] * 5
    again = camtrail(*line.split())
    assert again.code == 0 and again.out.startswith("        5  there before\n"), again
    checked = verb(camtrail, "verify", "downloaded")
    assert (checked.code, checked.out, checked.err) == (0, "        5  whole\n", "")


@pytest.mark.parametrize(
    "edges", ["-33.9 -33.85 151.15 151.25", "--max-results 5 -33.9 -33.85 151.15 151.25 -o x"]
)
def test_a_southern_area_needs_no_dashes(camtrail: Camtrail, box: MapillarySandbox, edges: str) -> None:
    done = verb(
        camtrail, "download_images", *edges.split(), "--image-size", "320", "--json", "--max_results", "5"
    )
    assert done.code == 0 and done.json["counts"] == {"fetched": 5}, done


def test_the_json(camtrail: Camtrail, box: MapillarySandbox, ids: list[str], tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join([*ids, "12345"]))
    done = verb(camtrail, "download_sequences", "ids.txt", "--json")
    folder = tmp_path / "downloads"
    assert done.code == 3 and done.err == "", done
    assert done.json.keys() == {
        "command",
        "counts",
        "failures",
        "outputs",
        "notes",
        "elapsed_s",
        "folder",
        "bytes",
    }
    assert done.json["command"] == "mapillary download_sequences"
    assert done.json["counts"] == {"fetched": 3, "unknown": 1} and done.json["bytes"] > 100_000
    assert done.json["folder"] == str(folder)
    assert done.json["failures"] == [{
        "path": "image 12345", "code": "unknown", "message": "the service does not know it",
        "hint": "it may have been deleted", "retryable": False,
    }]  # fmt: skip
    assert done.json["outputs"] == [
        str(folder / n) for n in ("manifest.csv", "manifest.parquet", "sequences.csv")
    ]
    checked = verb(camtrail, "verify", "downloads", "--json")
    assert checked.code == 3 and checked.json["command"] == "mapillary verify"
    assert checked.json["counts"] == {"whole": 3, "not_fetched": 1}
    assert [f["path"] for f in checked.json["failures"]] == ["image 12345"]


def test_verify_names_what_is_damaged(
    camtrail: Camtrail, box: MapillarySandbox, ids: list[str], tmp_path: Path
) -> None:
    verb(camtrail, "download_sequences", "ids.txt", "-o", "out")
    (victim,) = (tmp_path / "out").glob(f"*/{ids[1]}.jpg")
    victim.write_bytes(victim.read_bytes()[:-5] + b"other")
    done = verb(camtrail, "verify", "out")
    assert done.code == 3 and done.out == "        2  whole\n        1  damaged\n", done
    name = victim.relative_to(tmp_path)
    assert done.err == f"camtrail: {name}: has other bytes than were written; run the download again\n"


ENDS = [
    (("download_sequences", "ids.txt"), {"MAPILLARY_TOKEN": ""}, 6, "there is no token for Mapillary; set MAPILLARY_TOKEN"),
    (("download_images", "45", "46", "x", "-122"), {}, 2, "x: is no number of degrees"),
    (("download_images", "45", "46", "-122"), {}, 2, "an area has 4 edges, and 3 are given"),
    (("download_images", "46", "45", "-122", "-121"), {}, 2, "is not below the greatest"),
    (("download_images", "45", "46", "-122", "-121", "--image_size", "333"), {}, 2, "'333' is not one of"),
    (("download_images", "45", "46", "-122", "-121", "--max_results", "0"), {}, 2, "is below 1"),
    (("download_sequences", "nothing.txt"), {}, 4, "nothing.txt: is not there"),
    (("download_sequences", "empty"), {}, 4, "empty: has no list in it"),
    (("download_sequences", "wrong.txt"), {"MAPILLARY_TOKEN": ""}, 4, "wrong.txt: line 1: has 3 columns"),
    (("download_sequences", "ids.txt", "-o", "wrong.txt"), {}, 2, "wrong.txt: is no folder"),
    (("download_sequences", "ids.txt", "-o", "foreign"), {}, 11, "was not written by camtrail"),
    (("download_sequences", "ids.txt"), {"CAMTRAIL_MAPILLARY_URL": "http://127.0.0.1:9"}, 5, "cannot be reached"),
    (("verify", "empty"), {}, 4, "empty: has no downloads in it"),
    (("verify", "nothing"), {}, 4, "nothing: has no downloads in it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "env", "code", "said"), ENDS, ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_one_clear_line(
    camtrail: Camtrail, box: MapillarySandbox, ids: list[str], tmp_path: Path, words: tuple[str, ...],
    env: dict[str, str], code: int, said: str,
) -> None:  # fmt: skip
    (tmp_path / "wrong.txt").write_text("a,b,c\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "manifest.csv").write_text("mine\n")
    if code == 5:
        env = {**env, "MAX_ATTEMPTS": "2"}
    done = verb(camtrail, *words, env=env)
    assert done.code == code and said in done.err and "Traceback" not in done.err, done
    told = [line for line in done.err.splitlines() if not line.startswith(("Usage", "   ", "Try"))]
    assert len([line for line in told if line]) == (3 if code == 5 else 1), done
    assert not list(tmp_path.glob("**/*.jpg"))


def test_force_and_wait(camtrail: Camtrail, box: MapillarySandbox, ids: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.csv").write_text("mine\n")
    done = verb(
        camtrail, "download_sequences", "ids.txt", "-o", "out", "--force", "--wait", "--raw", "--json"
    )
    assert done.code == 0 and done.json["counts"] == {"fetched": 3}
    assert (tmp_path / "out" / "manifest.csv").read_text().startswith("image_id,")


def test_the_token_is_never_said(
    camtrail: Camtrail, box: MapillarySandbox, ids: list[str], tmp_path: Path
) -> None:
    token = "MLY|4242|canary-of-the-test"
    box.set_faults([f'json={{"error": {{"code": 190, "message": "bad token {token}"}}}},status=401'])
    done = verb(camtrail, "download_sequences", "ids.txt", "-v", env={"MAPILLARY_TOKEN": token})
    assert done.code == 6 and "get a new token" in done.err, done
    assert "canary" not in done.out + done.err
    there = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert there and not any(b"canary" in p.read_bytes() for p in there)


@pytest.mark.parametrize("name", ["download_images", "download_sequences", "verify"])
def test_help(camtrail: Camtrail, name: str) -> None:
    done = verb(camtrail, name, "--help")
    assert done.code == 0 and done.out.startswith(f"Usage: camtrail mapillary {name}"), done
    for flag in ("--image-size", "--raw", "--connections", "--max-attempts", "--force", "--wait"):
        assert (flag in done.out) == (name != "verify")
    assert ("--max-results" in done.out) == (name == "download_images")
