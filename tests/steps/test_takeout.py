"""Which JSON file of Google Takeout belongs to which medium."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camtrail.steps.takeout import Told, matched, parsed

NAN = float("nan")


def told(title="", taken_s=1.0):
    return Told(title, taken_s, NAN, NAN, NAN)


@pytest.mark.parametrize(
    ("medium", "sidecar"),
    [
        ("IMG.jpg", "IMG.jpg.json"),
        ("IMG.jpg", "IMG.jpg.supplemental-metadata.json"),
        ("IMG.jpg", "IMG.jpg.supplemental-me.json"),
        ("IMG.jpg", "IMG.jpg.s.json"),
        ("IMG.jpg", "IMG.jpg..json"),
        ("IMG(1).jpg", "IMG.jpg(1).json"),
        ("IMG(1).jpg", "IMG.jpg.supplemental-metadata(1).json"),
        ("IMG(1).jpg", "IMG(1).jpg.json"),
        *[
            (f"IMG{edited}.jpg", "IMG.jpg.supplemental-metadata.json")
            for edited in (
                "-edited", "-bearbeitet", "-modifié", "-modifie\u0301", "-editado", "-ha editado", "-bewerkt",
                "-modificato", "-edytowane", "-編集済み", "-effects", "-smile", "-mix", "-effects-edited",
            )
        ],
        ("IMG-edited(1).jpg", "IMG.jpg.supplemental-metadata(1).json"),
        ("IMG_1234.MP4", "IMG_1234.HEIC.supplemental-metadata.json"),
        ("PXL_20231026_210642603.MP", "PXL_20231026_210642603.MP.jpg.supplemental-meta.json"),
        ("IMG_1234", "IMG_1234.json"),
        ("IMG_1234", "IMG_1234.jpg.supplemental-metadata.json"),
        ("b" * 47 + ".jpg", "b" * 46 + ".json"),
        ("b" * 41 + ".jpg", "b" * 41 + ".jpg..json"),
        ("b" * 44 + ".jpg", "b" * 44 + ".j.json"),
    ],
)  # fmt: skip
def test_forms_of_names(medium, sidecar):
    assert matched([medium], {sidecar: told(), "other.jpg.json": told(taken_s=9.0)}) == {medium: sidecar}


def test_numbers_of_copies_keep_them_apart():
    sidecars = {"IMG.jpg.json": told("IMG.jpg", 1.0), "IMG.jpg(1).json": told("IMG.jpg", 2.0)}
    both = {"IMG.jpg": "IMG.jpg.json", "IMG(1).jpg": "IMG.jpg(1).json"}
    assert matched(["IMG.jpg", "IMG(1).jpg"], sidecars) == both
    assert matched(["IMG.jpg"], {"IMG.jpg(1).json": told("IMG.jpg")}) == {}
    assert matched(["IMG(1).jpg"], {"IMG.jpg.json": told("IMG.jpg")}) == {}


def test_the_title_breaks_a_tie_and_stands_in_for_a_changed_name():
    sidecars = {"a.jpg.json": told("b.jpg", 1.0), "a.jpg.supplemental-metadata.json": told("a.jpg", 2.0)}
    assert matched(["a.jpg"], sidecars) == {"a.jpg": "a.jpg.supplemental-metadata.json"}
    torn = {name: told("c.jpg", t) for t, name in enumerate(sidecars)}
    assert matched(["a.jpg"], torn) == {}
    assert matched(["Q_A.jpg"], {"Q%A.jpg.json": told("Q_A.jpg")}) == {"Q_A.jpg": "Q%A.jpg.json"}


@given(st.text("ab (1)._-é", min_size=1, max_size=60).filter(str.strip), st.integers(0, 22))
def test_what_google_cuts_is_found_again(stem, n):
    medium = f"{stem}.jpg"
    sidecar = f"{medium}.supplemental-metadata"[:46] + ".json"
    assert matched([medium], {sidecar: told()}) == {medium: sidecar} or len(medium) > 46
    if len(medium) <= 46:
        whole = medium + ".supplemental-metadata"[:n] + ".json"
        assert matched([medium], {whole: told()}) == {medium: whole}


def test_what_a_file_says():
    said = {
        "title": "a.jpg", "photoTakenTime": {"timestamp": "1681562400", "formatted": "…"},
        "geoData": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0},
        "geoDataExif": {"latitude": 52.5, "longitude": 13.4, "altitude": 30.0},
    }  # fmt: skip
    assert parsed(json.dumps(said).encode()) == Told("a.jpg", 1681562400.0, 52.5, 13.4, 30.0)
    del said["geoDataExif"]
    found = parsed(json.dumps(said).encode())
    assert found.lat_deg != found.lat_deg and found.alt_m != found.alt_m


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"photoTakenTime": 3}', b"[" * 100_000])
def test_what_is_none(data):
    assert parsed(data) is None


def test_nonsense_is_absent():
    found = parsed(
        b'{"title": 3, "photoTakenTime": {"timestamp": "x"}, "geoData": {"latitude": 91, "longitude": 1}}'
    )
    assert found.title == "" and found.taken_s != found.taken_s and found.lat_deg != found.lat_deg
