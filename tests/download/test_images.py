"""Images of an area: which they are, what their files hold, in which size."""

from __future__ import annotations

import hashlib
import io
import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from camtrail.core import geo
from camtrail.services.mapillary import sandbox_files
from camtrail.services.mapillary.sandbox import MapillarySandbox
from camtrail.services.mapillary.sandbox_collection import Served, made_up
from camtrail.steps.tiling import Box, area

from .folders import Ended, Folder, Run, fetched_by, manifest

NORTH = (45.0, 45.1, -122.6, -122.5)
SOUTH = (-33.9, -33.85, 151.15, 151.25)
SPOT = (45.0440, 45.0455, -122.5560, -122.5540)  # 2,600 images, more than a search gives


def within(edges: tuple[float, float, float, float]) -> list[str]:
    return sorted(i.id for box in area(*edges) for i in made_up().within(box))


def served(image: str, size: str) -> bytes:
    """The picture as it is served."""
    found = made_up().get(image)
    assert found is not None
    return sandbox_files._picture(found, size)


def known(image: str) -> Served:
    found = made_up().get(image)
    assert found is not None
    return found


class TestWhich:
    def test_a_few_of_an_area(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        folder = Folder(tmp_path)
        done = Run(made_box).area(NORTH, tmp_path, max_results=5)
        assert done.code == 0 and done.counts == {"fetched": 5}, done
        assert set(folder.manifest()) < set(within(NORTH)) and len(folder.files()) == 5
        assert done.notes == ["the area has 5 images or more; --max_results says how many are taken"]
        folder.is_consistent()
        again = Run(made_box).area(NORTH, tmp_path, max_results=5)
        assert again.counts == {"there_before": 5} and not fetched_by(again.requests)

    def test_all_of_a_southern_area(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        done = Run(made_box).area(SOUTH, tmp_path, max_results=1000, picture_size="320")
        assert done.code == 0 and sorted(manifest(tmp_path)) == within(SOUTH) and not done.notes
        assert len(within(SOUTH)) == 400
        rows = manifest(tmp_path).values()
        assert all(-33.91 < float(r["lat_deg"]) < -33.84 and 151 < float(r["lon_deg"]) < 152 for r in rows)

    def test_nothing(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        done = Run(made_box).area((1.0, 1.02, 1.0, 1.02), tmp_path)
        assert (
            done.code == 0 and done.counts == {} and done.notes == ["the service has no images in this area"]
        )
        assert manifest(tmp_path) == {} and Folder(tmp_path).leftovers() == []

    def test_a_box_with_more_than_a_search_gives_is_cut(
        self, made_box: MapillarySandbox, tmp_path: Path
    ) -> None:
        done = found_without_pictures(made_box, SPOT, tmp_path)
        assert sorted(manifest(tmp_path)) == within(SPOT) and len(within(SPOT)) > 2000
        assert 5 <= sum(r.path == "/images" for r in done.requests) <= 30
        assert not any("vtp" in r.path for r in done.requests)

    def test_where_searches_are_refused_tiles_tell(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        street = (45.005, 45.0115, -122.58, -122.57)
        made_box.set_quirks(dense_cells=[[-123, 44, -122, 46]])
        done = found_without_pictures(made_box, street, tmp_path)
        assert sorted(manifest(tmp_path)) == within(street) and within(street)
        tiles = [r.path for r in done.requests if "vtp" in r.path]
        assert 1 <= len(tiles) <= 8 * len(set(tiles)), "a tile is not asked for at each of its parts"

    def test_a_dense_cell_among_others(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        made_box.set_quirks(dense_cells=[[-122.582, 45.0075, -122.58, 45.0085]])
        street = (45.005, 45.0115, -122.6, -122.57)
        found_without_pictures(made_box, street, tmp_path)
        assert sorted(manifest(tmp_path)) == within(street)

    def test_no_more_is_asked_for_than_is_wanted(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        done = Run(made_box).area(SPOT, tmp_path, max_results=30)
        assert done.counts == {"fetched": 30}
        assert sum(r.path == "/images" for r in done.requests) == 1

    def test_an_area_of_the_whole_world_does_not_fill_the_memory(
        self, made_box: MapillarySandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        made_box.set_faults(["status=401,path=/images,nth=5-"])
        done = Run(made_box).area((-90.0, 90.0, -180.0, 180.0), tmp_path)
        assert done.code == 6 and "searches" in caplog.text

    def test_an_interrupted_search_says_what_to_do(
        self, made_box: MapillarySandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def interrupt(what: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Run(made_box, progress=interrupt).area(NORTH, tmp_path / "out")
        assert "begins anew" in caplog.text and "--max_results" in caplog.text
        assert Run(made_box).area(NORTH, tmp_path / "out", max_results=2).code == 0

    def test_across_the_date_line(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        done = Run(made_box).area((0.0, 0.01, 179.995, -179.995), tmp_path)
        assert done.code == 0 and sum(r.path == "/images" for r in done.requests) == 4


def found_without_pictures(box: MapillarySandbox, edges: tuple[float, ...], to: Path) -> Ended:
    """A run that finds images and gets no picture: it is about which they are."""
    box.set_faults(["status=422,origin=images"])
    done = Run(box).area(edges, to, max_results=100_000)
    assert done.code == 3, done
    return done


class TestSizes:
    @pytest.mark.parametrize(("size", "from_"), [
        ("320", "1024"), ("640", "1024"), ("1024", ""), ("2048", ""), ("original", ""),
    ])  # fmt: skip
    def test_each(self, made_box: MapillarySandbox, tmp_path: Path, size: str, from_: str) -> None:
        folder = Folder(tmp_path)
        done = Run(made_box).area(NORTH, tmp_path, max_results=3, picture_size=size)
        assert done.code == 0, done
        for id, row in folder.manifest().items():
            assert (row["image_size"], row["scaled_from"]) == (size, from_)
            whole = known(id)
            width = whole.width_px if size == "original" else int(size)
            with Image.open(tmp_path / row["path"]) as picture:
                assert picture.size == (width, whole.height_px * width // whole.width_px)
                picture.load()
            assert (row["original_width_px"], row["original_height_px"]) == (
                str(whole.width_px),
                str(whole.height_px),
            )
            data = served(id, from_ or size)
            assert row["served_sha256"] == hashlib.sha256(data).hexdigest()
            assert row["served_bytes"] == str(len(data))
        folder.is_consistent()

    @pytest.mark.parametrize("size", ["1024", "2048", "original"])
    def test_the_picture_is_not_encoded_again(
        self, made_box: MapillarySandbox, tmp_path: Path, size: str
    ) -> None:
        Run(made_box).area(NORTH, tmp_path, max_results=4, picture_size=size)
        for id, row in manifest(tmp_path).items():
            data = served(id, size)
            assert (tmp_path / row["path"]).read_bytes().endswith(data[data.index(b"\xff\xdb") :])

    def test_the_default_is_1024(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        Run(made_box).area(NORTH, tmp_path, max_results=1)
        assert {row["image_size"] for row in manifest(tmp_path).values()} == {"1024"}

    def test_raw_is_what_is_served(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        Run(made_box).area(NORTH, tmp_path, max_results=4, picture_size="2048", raw=True)
        for id, row in manifest(tmp_path).items():
            assert (tmp_path / row["path"]).read_bytes() == served(id, "2048")
            assert row["sha256"] == row["served_sha256"] and row["bytes"] == row["served_bytes"]
            assert row["lat_deg"]

    def test_raw_and_scaled_has_pixels_alone(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        Run(made_box).area(NORTH, tmp_path, max_results=1, picture_size="320", raw=True)
        (path,) = Folder(tmp_path).files()
        with Image.open(tmp_path / path) as picture:
            assert picture.width == 320 and not picture.getexif()

    def test_another_size_into_the_same_folder(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        folder, run = Folder(tmp_path), Run(made_box)
        run.area(NORTH, tmp_path, max_results=4, picture_size="1024")
        large = folder.files()
        second = run.area(NORTH, tmp_path, max_results=4, picture_size="320")
        assert second.counts == {"fetched": 4} and len(folder.files()) == 4
        assert {row["image_size"] for row in folder.manifest().values()} == {"320"}
        folder.is_said()
        third = run.area(NORTH, tmp_path, max_results=4, picture_size="1024")
        assert third.counts == {"fetched": 4} and folder.files() == large and folder.leftovers() == []
        assert not any("in this folder, too" in note for done in (second, third) for note in done.notes)

    def test_two_sizes_in_one_folder_are_told(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        run = Run(made_box)
        run.area(NORTH, tmp_path, max_results=4, picture_size="1024")
        done = run.area(NORTH, tmp_path, max_results=2, picture_size="320")
        (note,) = [note for note in done.notes if "in this folder, too" in note]
        assert "2 of size 1024" in note and "size 320 alone" in note


class TestWhatStandsInThem:
    def tags(self, paths: list[Path]) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["exiftool", "-json", "-n", "-G0", *map(str, paths)], capture_output=True, check=True
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    @pytest.mark.exiftool
    def test_place_time_heading_and_sequence(self, made_box: MapillarySandbox, tmp_path: Path) -> None:
        edges = (45.007, 45.009, -122.6, -122.5)  # the first street, below the sea, of panoramas
        Run(made_box).area(edges, tmp_path, max_results=400)
        rows = manifest(tmp_path)
        assert len(rows) > 100
        paths = [tmp_path / row["path"] for row in rows.values()]
        for (id, row), tags in zip(rows.items(), self.tags(paths)):
            image = known(id)
            computed = not math.isnan(image.computed_lat_deg)
            lat, lon = (
                (image.computed_lat_deg, image.computed_lon_deg)
                if computed
                else (image.lat_deg, image.lon_deg)
            )
            assert row["position_source"] == ("computed" if computed else "original")
            assert geo_m(lat, lon, float(row["lat_deg"]), float(row["lon_deg"])) < 0.01
            assert geo_m(lat, lon, tags["Composite:GPSLatitude"], tags["Composite:GPSLongitude"]) < 0.05
            heading = image.computed_heading_deg if computed else image.heading_deg
            assert tags["EXIF:GPSImgDirection"] == pytest.approx(heading, abs=0.01)
            assert float(row["heading_deg"]) == heading
            assert row["heading_source"] == ("computed" if computed else "original")
            alt_m = image.computed_alt_m if computed else image.alt_m
            alt_m -= 2.0**32 if alt_m > 2.0**31 else 0
            assert tags["Composite:GPSAltitude"] == pytest.approx(alt_m, abs=0.01)
            assert float(row["alt_m"]) == alt_m
            assert image.captured_ms is not None
            at = f"{image.captured_ms // 1000}"
            when = subprocess.run(
                ["date", "-u", "-d", f"@{at}", "+%Y:%m:%d %H:%M:%S"], capture_output=True, text=True, check=True
            ).stdout.strip() if id == next(iter(rows)) else None  # fmt: skip
            assert when is None or tags["EXIF:DateTimeOriginal"] == when
            said = json.loads(tags["EXIF:ImageDescription"])
            assert said == {"MAPSequenceUUID": image.sequence, "mapillary_id": id}
            assert row["path"] == f"{image.sequence}/{id}.jpg"
            assert (row["is_pano"], row["camera_type"]) == (
                ("true", "spherical") if image.is_pano else ("false", "perspective")
            )
            assert tags.get("XMP:ProjectionType") == ("equirectangular" if image.is_pano else None)
            if image.is_pano:
                assert (tags["XMP:FullPanoWidthPixels"], tags["XMP:FullPanoHeightPixels"]) == (1024, 512)
        assert any(known(id).alt_m > 2.0**31 for id in rows), "as the service has what lies below the sea"
        panoramas = {row["is_pano"] for row in rows.values()}
        assert panoramas == {"true", "false"} and {r["position_source"] for r in rows.values()} == {
            "computed",
            "original",
        }

    def test_what_the_service_does_not_say_is_absent(
        self, made_box: MapillarySandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from camtrail.services.mapillary import sandbox_images

        for name in sandbox_images._FIELDS:
            if name != "id":
                monkeypatch.setitem(sandbox_images._FIELDS, name, lambda i: None)
        folder = Folder(tmp_path)
        done = Run(made_box).area(NORTH, tmp_path, max_results=2)
        assert done.code == 0, done
        folder.is_consistent()
        for id, row in folder.manifest().items():
            assert row["path"] == f"unknown/{id}.jpg"
            empty = {k for k, v in row.items() if not v}
            assert empty >= {
                "lat_deg",
                "lon_deg",
                "position_source",
                "alt_m",
                "heading_deg",
                "time",
                "is_pano",
                "make",
            }
            with Image.open(io.BytesIO((tmp_path / row["path"]).read_bytes())) as picture:
                assert not picture.getexif().get_ifd(0x8825)


def geo_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    import numpy as np

    return float(geo.on_sphere_m(*(np.array([v]) for v in (lat, lon, other_lat, other_lon)))[0])


def test_progress_is_told(made_box: MapillarySandbox, tmp_path: Path) -> None:
    searched: list[tuple[str, int, int]] = []
    edges = (44.9, *NORTH[1:])  # with nothing in its southern half
    done = Run(made_box, progress=lambda *now: searched.append(now)).area(edges, tmp_path, max_results=20)
    counts = [n for _, n, _ in searched]
    assert counts == sorted(counts) and counts[0] == 0 and 0 < counts[-1] < 20
    assert {(what, total) for what, _, total in searched} == {("searching", 20)}
    assert [t.items for t in done.told] == list(range(1, 21)) and {t.all_items for t in done.told} == {20}
    assert all(0 < t.size_bytes <= t.all_bytes for t in done.told)
    assert done.done is not None
    assert done.told[-1].size_bytes == done.told[-1].all_bytes == done.done.size_bytes


def test_no_box_is_left_out() -> None:
    """The made-up collection has images in every part that the tests above speak of."""
    assert len(within(NORTH)) > 4000 and Box(45.0, 45.1, -122.6, -122.5) == area(*NORTH)[0]
