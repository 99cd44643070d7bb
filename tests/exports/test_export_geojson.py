from __future__ import annotations

import json
import math
import os
import shutil
import subprocess

import pytest

from camtrail.exports.geojson import PLUGIN, write


def features(items, several_roots=False):
    return json.loads(b"".join(write(items, several_roots)))["features"]


def test_all_that_is_known(make) -> None:
    item = make(fix_before_s=2.0, fix_after_s=0.5004, error_m=3.21987, position_source="gpx", reason="near")
    (feature,) = features([item])
    assert feature == {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [8.2, 47.1234567, 400.5]},
        "properties": {
            "path": "day 1/a.jpg",
            "time": "2023-11-14T22:13:20Z",
            "local_time": "2023-11-14T23:13:20",
            "time_source": "gps",
            "position_source": "gpx",
            "alt_m": 400.5,
            "heading_deg": 90.0,
            "heading_source": "exif",
            "heading_ref": "T",
            "sequence": "seq-1",
            "sequence_index": 0,
            "duplicate_of": None,
            "outcome": "located",
            "reason": "near",
            "seconds_to_fix": 0.5,
            "fix_before_s": 2.0,
            "fix_after_s": 0.5,
            "error_m": 3.22,
        },
    }


def test_nothing_known_is_null_and_the_photo_is_there(make) -> None:
    (feature,) = features([make.bare(path="x.jpg")])
    known = {key for key, value in feature["properties"].items() if value is not None}
    assert feature["geometry"] is None
    assert known == {"path", "outcome"}


def test_root_only_with_several(make) -> None:
    assert "root" not in features([make()])[0]["properties"]
    assert features([make()], True)[0]["properties"]["root"] == "/p"


def test_a_name_that_is_not_utf8(make) -> None:
    (feature,) = features([make(path=os.fsdecode(b"caf\xe9\n.jpg"))])
    assert feature["properties"]["path"] == "caf\\xe9\n.jpg"


def test_different_files_have_different_paths(make) -> None:
    names = ["a\nb", "a\\x0ab", "a\u2028b", "a\\u2028b", "a\u202eb"]
    data = b"".join(write([make(path=name, root="/" + name, duplicate_of=name) for name in names], True))
    assert data.count(b"\n") == 2 + len(names)
    properties = [f["properties"] for f in json.loads(data)["features"]]
    assert [(p["path"], p["root"], p["duplicate_of"]) for p in properties] == [(n, "/" + n, n) for n in names]


def test_magnetic_north_is_told(make) -> None:
    of = [make(heading_ref="M"), make.bare()]
    assert [f["properties"]["heading_ref"] for f in features(of)] == ["M", None]


def test_half_a_position_is_none(make) -> None:
    assert features([make(lat_deg=math.nan)])[0]["geometry"] is None


def test_one_feature_a_line(make) -> None:
    lines = b"".join(write([make(), make(path="b.jpg")], False)).decode().splitlines()
    assert len(lines) == 4
    assert PLUGIN.mark in lines[0].encode()
    assert json.loads(lines[1].rstrip(","))["properties"]["path"] == "day 1/a.jpg"


@pytest.mark.gdal
@pytest.mark.parametrize("suffix", ["geojson", "gpx", "kml", "csv"])
def test_gdal_reads_it(make, tmp_path, suffix: str) -> None:
    import camtrail.exports
    from camtrail.core.plugins import discover

    ogrinfo = shutil.which("ogrinfo")
    if ogrinfo is None:
        if os.environ.get("CAMTRAIL_REQUIRE_TOOLS") == "1":
            pytest.fail("ogrinfo is required here and missing")
        pytest.skip("ogrinfo (GDAL) is not installed")
    rides = [
        make(path=f"{i}<&>.jpg", order_s=float(i), lon_deg=8 + i / 1000, reason='né, "so"') for i in range(5)
    ]
    of = [*rides, make(path="single.jpg", sequence=None), make.bare(path="nowhere.jpg")]
    export = next(e for e in discover(camtrail.exports).values() if f".{suffix}" in e.suffixes)
    name = tmp_path / f"out.{suffix}"
    name.write_bytes(b"".join(export.write(of, False)))
    # Without -ro and a driver of its own GDAL may look for sidecars; the answer is the same.
    told = subprocess.run([ogrinfo, "-ro", "-al", str(name)], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert "ERROR" not in told.stderr
    if suffix == "geojson":
        assert "Feature Count: 7" in told.stdout
        assert "POINT Z (8.004 47.1234567 400.5)" in told.stdout
        assert "time (DateTime)" in told.stdout
    elif suffix == "gpx":
        assert "Layer name: waypoints" in told.stdout
        assert told.stdout.count("track_seg_point_id (Integer) =") == 5
    elif suffix == "kml":
        assert "POINT Z (8.004 47.1234567 400.5)" in told.stdout
        assert "Photos outside of sequences" in told.stdout
    else:
        assert "Feature Count: 7" in told.stdout
