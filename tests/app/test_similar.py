"""Copies are grouped with their original and nothing else; a second run decodes nothing."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from camtrail.app import similar_copies, similar_pictures
from camtrail.app.context import Context
from camtrail.app.scan import ScanOptions
from camtrail.app.similar import similar
from camtrail.app.similar_options import SimilarOptions
from camtrail.app.similar_page import check_outputs, group_data, write_outputs
from camtrail.core.errors import InputError, MissingDependency, SafetyRefusal, UsageError

sys.path.insert(0, str(Path(__file__).parents[1] / "vision"))
from onnx_model import mean_model

DATA = Path(__file__).parents[3] / "shared" / "data" / "photos"


def scene(seed: int, width: int = 640, height: int = 480) -> Image.Image:
    """Light at all scales, and some shapes."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for size in (3, 6, 12, 24, 48):
        noise = random.normal(0, 1, (size, size, 3)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = (picture * 22 + 125).clip(0, 255).astype(np.uint8)
    for _ in range(25):
        x, y, r = (
            int(v) for v in (random.integers(0, width), random.integers(0, height), random.integers(6, 40))
        )
        cv2.circle(picture, (x, y), r, tuple(int(v) for v in random.integers(0, 256, 3)), -1, cv2.LINE_AA)
    return Image.fromarray(picture)


def gamma(image: Image.Image, value: float) -> Image.Image:
    return image.point([round(255 * (i / 255) ** value) for i in range(256)] * 3)


def copies_of(image: Image.Image, folder: Path, name: str, sent_px: int = 448) -> None:
    """Every kind of copy that must be found; one with a longer side of `sent_px`."""
    w, h = image.size
    image.resize((w // 2, h // 2), Image.Resampling.LANCZOS).save(folder / f"{name}half.jpg", quality=90)
    image.resize((w // 4, h // 4), Image.Resampling.LANCZOS).save(folder / f"{name}quarter.jpg", quality=90)
    image.save(folder / f"{name}q50.jpg", quality=50)
    gamma(image, 0.8).save(folder / f"{name}light.jpg", quality=90)
    gamma(image, 1.25).save(folder / f"{name}dark.jpg", quality=90)
    side = sent_px / max(w, h)
    image.resize((round(w * side), round(h * side))).save(folder / f"{name}sent.jpg", quality=70)


def run(folder: Path, context: Context | None = None, **options):
    return similar([str(folder)], ScanOptions(workers=1), SimilarOptions(**options), context or Context())


def names(done, group):
    return [Path(done.shots[m.row].typed).name for m in group.members]


def kinds(done):
    return {Path(done.shots[m.row].typed).name: m.kind for g in done.groups for m in g.members}


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for seed in range(12):
        scene(seed).save(folder / f"s{seed:02}.jpg", quality=92)
    return folder


class TestCopies:
    def test_each_is_with_its_original_and_nothing_else(self, album: Path):
        for seed in range(3):
            copies_of(scene(seed), album, f"s{seed:02}-")
        done = run(album)
        assert [sorted({n[:3] for n in names(done, g)}) for g in done.groups] == [["s00"], ["s01"], ["s02"]]
        assert [len(g.members) for g in done.groups] == [7, 7, 7]
        assert done.counts() == {"pictures": 30, "groups": 3, "copy": 18}
        assert not done.result.failures

    def test_the_best_is_the_original(self, album: Path):
        copies_of(scene(0), album, "s00-")
        (group,) = run(album).groups
        assert group.members[0].kind == "best"
        assert names(run(album), group)[0] == "s00.jpg"

    def test_equal_pixels_are_told(self, album: Path):
        shutil.copy(album / "s00.jpg", album / "s00 (1).jpg")
        data = (album / "s00.jpg").read_bytes()
        (album / "tagged.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x07hello" + data[2:])
        assert kinds(run(album)) == {
            "tagged.jpg": "best", "s00.jpg": "same_pixels", "s00 (1).jpg": "same_pixels",
        }  # fmt: skip
        Image.open(album / "s00.jpg").save(album / "lossless.png")
        found = kinds(run(album))
        assert found.pop("lossless.png") == "best" and set(found.values()) == {"same_pixels"}

    def test_equal_files_are_told(self, album: Path):
        shutil.copy(album / "s00.jpg", album / "s00 (1).jpg")
        assert kinds(run(album)) == {"s00.jpg": "best", "s00 (1).jpg": "same_bytes"}

    def test_frames_of_a_burst_are_none(self, album: Path):
        frame = np.asarray(scene(0, 660, 495))
        for n, (x, y) in enumerate([(0, 0), (7, 5), (14, 3)]):
            Image.fromarray(frame[y : y + 480, x : x + 640]).save(album / f"burst{n}.jpg", quality=92)
        assert run(album).groups == []

    def test_turned_and_mirrored_ones_are_found(self, album: Path):
        scene(0).rotate(90, expand=True).resize((240, 320)).save(album / "turned.jpg")
        scene(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((320, 240)).save(album / "mirrored.jpg")
        assert kinds(run(album)) == {
            "s00.jpg": "best", "turned.jpg": "turned", "s01.jpg": "best", "mirrored.jpg": "turned",
        }  # fmt: skip

    def test_a_crop_of_the_same_name_is_found(self, album: Path):
        scene(0).crop((80, 60, 560, 420)).save(album / "s00_crop.jpg")
        assert kinds(run(album)) == {"s00.jpg": "best", "s00_crop.jpg": "crop"}

    def test_plain_pictures_of_other_light_are_no_copies(self, tmp_path: Path):
        for n, value in enumerate((20, 20, 90, 160)):
            Image.new("RGB", (64, 48), (value,) * 3).save(tmp_path / f"{n}.png")
        assert [names(run(tmp_path), g) for g in run(tmp_path).groups] == [["0.png", "1.png"]]

    def test_with_no_bits_only_equal_hashes_are_looked_at(self, album: Path):
        copies_of(scene(0), album, "s00-")
        strict, usual = run(album, max_distance_bits=0), run(album)
        assert strict.counts().get("copy", 0) <= usual.counts()["copy"]

    @pytest.mark.data
    def test_copies_of_real_photos(self, tmp_path: Path):
        photos = sorted(DATA.glob("*/*"))
        for path in photos:
            with Image.open(path) as image:
                copies_of(ImageOps.exif_transpose(image).convert("RGB"), tmp_path, f"{path.stem}-", 1600)
            shutil.copy(path, tmp_path / f"{path.stem}.jpg")
        done = run(tmp_path)
        originals = [sorted({Path(n).stem.split("-")[0] for n in names(done, g)}) for g in done.groups]
        alone = {path.stem for path in photos} - {"dcsf0119", "dcsf0119_crop"}
        assert sorted(originals) == sorted([["dcsf0119", "dcsf0119_crop"], *([stem] for stem in alone)])
        assert sum(len(g.members) for g in done.groups) == 7 * len(photos) == len(done.shots)


class TestTurned:
    @pytest.fixture
    def lying(self, tmp_path: Path) -> Path:
        """One picture as it is, shown turned by its tag, turned, mirrored, and saved again."""
        picture, tag = scene(0), Image.Exif()
        picture.save(tmp_path / "a.jpg", quality=92)
        tag[0x0112] = 6
        picture.save(tmp_path / "b.jpg", quality=92, exif=tag)
        picture.rotate(90, expand=True).save(tmp_path / "r90.jpg", quality=85)
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mir.jpg", quality=85)
        picture.save(tmp_path / "q50.jpg", quality=50)
        return tmp_path

    def test_all_ways_to_lie_are_one_group(self, lying: Path):
        assert kinds(run(lying)) == {
            "b.jpg": "best", "a.jpg": "turned", "r90.jpg": "turned", "mir.jpg": "turned", "q50.jpg": "turned",
        }  # fmt: skip

    def test_a_crop_comes_along(self, lying: Path):
        scene(0).crop((80, 60, 560, 420)).save(lying / "a_crop.jpg")
        (group,) = (done := run(lying)).groups
        assert len(group.members) == 6 and kinds(done)["a_crop.jpg"] == "crop"

    def test_other_pictures_stay_apart(self, lying: Path, album: Path):
        (album / "s00.jpg").unlink()  # the one that lies in all ways
        for path in list(album.glob("*.jpg")):
            Image.open(path).rotate(90, expand=True).save(album / f"{path.stem}-turned.jpg")
        done = run(lying)
        found = sorted(sorted({n[:3] for n in names(done, g)}) for g in done.groups)
        assert found == [["a.j", "b.j", "mir", "q50", "r90"], *([f"s{seed:02}"] for seed in range(1, 12))]


class TestPlain:
    def test_copies_of_a_plain_picture_are_found(self, tmp_path: Path):
        for name, colour in (("black", (1, 1, 1)), ("red", (250, 2, 2))):
            picture = Image.new("RGB", (32, 28), colour)
            picture.save(tmp_path / f"{name}.jpg")
            picture.save(tmp_path / f"{name}.png")
            copies_of(picture, tmp_path, f"{name}-", 1600)
        done = run(tmp_path)
        found = [{Path(n).stem.split("-")[0] for n in names(done, g)} for g in done.groups]
        assert found == [{"black"}, {"red"}] and [len(g.members) for g in done.groups] == [8, 8]

    def test_other_colours_and_shapes_are_other_pictures(self, tmp_path: Path):
        colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (250, 0, 0), (0, 128, 0), (120, 120, 120)]
        for n, colour in enumerate(colours):
            Image.new("RGB", (64, 48), colour).save(tmp_path / f"{n}.jpg")
        for n, size in enumerate([(64, 64), (640, 440), (48, 64)]):
            Image.new("RGB", size, (0, 0, 0)).save(tmp_path / f"shape{n}.jpg")
        assert run(tmp_path).groups == []

    def test_equal_greys_of_other_colours_are_no_copies(self, tmp_path: Path):
        for n, colour in enumerate([(76, 76, 76), (255, 0, 0), (0, 130, 0)]):  # luminance 76
            Image.new("RGB", (64, 48), colour).save(tmp_path / f"{n}.png")
        assert run(tmp_path).groups == []

    def test_faint_pictures_are_no_plain_ones(self, tmp_path: Path):
        for seed in range(3):
            picture = np.full((480, 640, 3), 240, np.uint8)
            cv2.putText(picture, f"page {seed}", (40 + 90 * seed, 90 + 120 * seed), 0, 0.8, (0, 0, 0), 1)
            Image.fromarray(picture).save(tmp_path / f"{seed}.png")
        assert run(tmp_path).groups == []

    def test_sizes_are_no_same_pixels(self, tmp_path: Path):
        for side in (8, 16):  # coded alike
            Image.new("RGB", (side, side)).save(tmp_path / f"{side}.jpg")
        assert kinds(run(tmp_path)) == {"16.jpg": "best", "8.jpg": "copy"}


class TestScenes:
    def test_frames_of_a_burst_are_one_scene(self, album: Path):
        frame = np.asarray(scene(50, 646, 484))
        for n in range(3):
            Image.fromarray(frame[n : n + 480, 2 * n : 2 * n + 640]).save(album / f"burst{n}.jpg", quality=92)
        for method in ("cosine", "approximate", "nearest_neighbors"):
            done = run(album, method=method, threshold_ratio=0.9)
            assert [sorted(names(done, g)) for g in done.groups] == [
                ["burst0.jpg", "burst1.jpg", "burst2.jpg"]
            ]
            assert kinds(done)["burst0.jpg"] in ("best", "scene")
            assert done.threshold == 0.9

    def test_no_more_neighbours_than_asked_for(self, album: Path):
        done = run(album, method="cosine", threshold_ratio=-1.0, neighbours=3)
        assert {len(rows) for rows in done.similar} == {3}
        assert all(row not in rows for row, rows in enumerate(done.similar))

    def test_the_cosine_of_equal_pictures_is_1(self, album: Path):
        for path in list(album.glob("*.jpg")):
            shutil.copy(path, album / f"{path.stem} (1).jpg")
        for method in ("cosine", "approximate"):
            for _ in range(2):  # the second time from what was kept
                done = run(album, method=method, threshold_ratio=1.0)
                assert [len(g.members) for g in done.groups] == [2] * 12
                cosines = [m.cosine for g in done.groups for m in g.members]
                assert max(cosines) <= 1 and min(cosines) == pytest.approx(1, abs=1e-6)
                assert done.threshold == 1.0

    def test_which_search_was_used_is_said(self, album: Path):
        assert any("compared with all" in n for n in run(album, method="approximate").result.notes)


class TestRuns:
    def test_a_second_run_decodes_only_what_is_new(self, album: Path, monkeypatch):
        copies_of(scene(0), album, "s00-")
        first = run(album)
        seen: list[str] = []
        one = similar_pictures.describe_one
        monkeypatch.setattr(
            similar_pictures,
            "describe_one",
            lambda fs, path: (seen.append(Path(path).name), one(fs, path))[1],
        )
        monkeypatch.setattr(similar_copies, "decode", None)  # no closer look either
        assert group_data(run(album)) == group_data(first)
        assert seen == []
        scene(99).save(album / "new.jpg")
        run(album)
        assert seen == ["new.jpg"]

    def test_processes_find_the_same(self, album: Path):
        copies_of(scene(0), album, "s00-")
        alone = run(album)
        shutil.rmtree(album / ".camtrail")
        several = similar([str(album)], ScanOptions(workers=2), SimilarOptions(), Context())
        assert group_data(several) == group_data(alone)

    def test_what_cannot_be_read_is_a_failure_and_the_rest_goes_on(self, album: Path):
        data = (album / "s00.jpg").read_bytes()
        (album / "cut.jpg").write_bytes(data[: len(data) // 3])
        (album / "empty.jpg").write_bytes(b"")
        shutil.copy(album / "s01.jpg", album / "again.jpg")
        done = run(album)
        assert sorted(Path(f.item).name for f in done.result.failures) == ["cut.jpg", "empty.jpg"]
        assert done.result.exit_code() == 3
        assert [sorted(names(done, g)) for g in done.groups] == [["again.jpg", "s01.jpg"]]

    @pytest.mark.parametrize("n", [0, 1])
    @pytest.mark.parametrize("method", ["hash", "cosine", "approximate"])
    def test_few_pictures_are_no_trouble(self, tmp_path: Path, n, method):
        for seed in range(n):
            scene(seed).save(tmp_path / f"{seed}.jpg")
        done = run(tmp_path, method=method)
        assert done.groups == [] and len(done.shots) == n and done.result.exit_code() == 0
        assert ("there are no pictures" in done.result.notes) == (n == 0)

    def test_videos_are_counted_and_left(self, album: Path):
        (album / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
        done = run(album)
        assert any("1 videos" in n for n in done.result.notes) and not done.result.failures

    def test_a_model_makes_the_vectors_and_they_are_remembered(self, album: Path, tmp_path: Path):
        runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        assert runtime
        model = tmp_path / "mean.onnx"
        model.write_bytes(mean_model())
        options = {"method": "cosine", "embedder": f"onnx:{model}", "threshold_ratio": 0.5}
        first = run(album, **options)
        assert first.embedding.shape == (12, 3)
        assert (run(album, **options).embedding == first.embedding).all()

    def test_a_model_that_is_none_is_told(self, album: Path, tmp_path: Path):
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        (tmp_path / "bad.onnx").write_bytes(b"none")
        with pytest.raises(InputError, match="no model"):
            run(album, embedder=f"onnx:{tmp_path / 'bad.onnx'}")


class TestFiles:
    def test_the_rows_are_those_of_the_older_notebook(self, album: Path, tmp_path: Path):
        shutil.copy(album / "s00.jpg", album / "again.jpg")
        done = run(album)
        made = [str(tmp_path / f"out{s}") for s in (".csv", ".json", ".html")]
        check_outputs(made, False, Context())
        write_outputs(done, made, Context())
        table = json.loads((tmp_path / "out.json").read_text())
        assert list(table[0])[:4] == ["filepath", "embedding", "similar_images", "threshold"]
        by_name = {Path(row["filepath"]).name: row for row in table}
        assert by_name["again.jpg"]["similar_images"] == [str(album / "s00.jpg")]
        assert by_name["s01.jpg"]["similar_images"] == [] and by_name["s01.jpg"]["group"] is None
        assert len(by_name["s01.jpg"]["embedding"]) == 225
        with open(tmp_path / "out.csv", newline="") as f:
            rows = list(csv.DictReader(f))
        assert [json.loads(r["similar_images"]) for r in rows] == [r["similar_images"] for r in table]
        page = (tmp_path / "out.html").read_text()
        assert "the same file" in page and page.count("data:image/jpeg") == 2
        check_outputs(made, False, Context())  # they are ours, and may be replaced

    def test_parquet_has_lists(self, album: Path, tmp_path: Path):
        parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
        out = str(tmp_path / "out.parquet")
        write_outputs(run(album), [out], Context())
        table = parquet.read_table(out)
        assert table.num_rows == 12
        assert table.column("similar_images").to_pylist() == [[]] * 12
        assert len(table.column("embedding")[0].as_py()) == 225
        check_outputs([out], False, Context())

    @pytest.mark.parametrize("name", ["a.txt", "a", "a.jpg", "-"])
    def test_another_suffix_is_misuse(self, name):
        with pytest.raises(UsageError):
            check_outputs([name], False, Context())

    def test_one_file_is_named_once(self, tmp_path: Path):
        with pytest.raises(UsageError, match="twice"):
            check_outputs([str(tmp_path / "a.csv")] * 2, False, Context())

    @pytest.mark.parametrize("suffix", [".csv", ".json", ".html", ".parquet"])
    def test_the_files_of_others_stay(self, tmp_path: Path, suffix):
        if suffix == ".parquet":
            pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        path = tmp_path / f"mine{suffix}"
        path.write_text("my own")
        with pytest.raises(SafetyRefusal):
            check_outputs([str(path)], False, Context())
        check_outputs([str(path)], True, Context())

    def test_without_pyarrow_the_extra_is_named(self, tmp_path: Path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        with pytest.raises(MissingDependency, match="tables"):
            check_outputs([str(tmp_path / "a.parquet")], False, Context())


def test_a_burst_of_one_second_costs_no_search_for_crops(album: Path, monkeypatch):
    frame = np.asarray(scene(0, 660, 495))
    tags = Image.Exif()
    tags.get_ifd(0x8769)[0x9003] = "2026:05:09 10:00:00"
    for n, x in enumerate((0, 9, 18)):
        Image.fromarray(frame[:480, x : x + 640]).save(album / f"burst{n}.jpg", exif=tags)
    monkeypatch.setattr(similar_copies, "compare", None)
    assert run(album).groups == []
