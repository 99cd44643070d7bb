"""Each call of the older notebooks as its documentation prints it, and the faults that must not come back."""

from __future__ import annotations

import ast
import inspect
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

import camtrail
from camtrail import EmbeddingRetriever, ImageEmbedder, ImageProcessor, create_exif_map, map_images
from camtrail.app.context import Context
from camtrail.app.scan import ScanOptions
from camtrail.app.undo import UndoOptions, undo
from camtrail.core.bytes import FileBytes
from camtrail.core.errors import InputError, MissingDependency, SafetyRefusal, UnreadableFile, UsageError
from camtrail.metadata.read import header
from photos import Shot, jpeg

# Barcelona, San José (W), Sydney (S).
TRIPS = {
    "bcn": (41.3851, 2.1734, "2023:04:08"),
    "sjo": (9.9281, -84.0907, "2023:04:20"),
    "syd": (-33.8688, 151.2093, "2023:05:02"),
}
NOON = datetime(2023, 4, 8, 12)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The folder in which names without a folder are."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name, data=None, **shot):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Shot(**shot).bytes() if data is None else data)
    return path


@pytest.fixture
def roll():
    """Three photos of each trip, some metres and five minutes after each other."""
    for name, (lat, lon, day) in TRIPS.items():
        for k in range(3):
            put(f"roll/{name}{k}.jpg", local=f"{day} 12:{5 * k:02}:00", lat_deg=lat + k * 1e-5, lon_deg=lon)


def tree(folder):
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file() and ".camtrail" not in p.parts
    }


def read(path):
    """Clock reading, latitude and longitude of a photo."""
    row = header(FileBytes(str(path)))
    return row[0], row[3], row[4]


def clock(path):
    return datetime(1970, 1, 1) + timedelta(seconds=read(path)[0])


# How the names are had.


def test_the_names_load_when_they_are_asked_for():
    code = (
        "import sys, camtrail; before = set(sys.modules); assert 'create_exif_map' in dir(camtrail); "
        "assert not {'numpy', 'pandas', 'camtrail.notebook', 'camtrail.app'} & before; "
        "from camtrail import *; assert callable(create_exif_map) and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nonsense"):
        camtrail.nonsense


def test_the_command_does_not_load_them():
    code = (
        "import sys\nfrom camtrail.cli.main import main\nsys.argv = ['camtrail', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nassert 'camtrail.notebook' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


PRINTED = {
    create_exif_map:
        "path, min_gps_threshold_similar=3, min_seconds_threshold_similar=1800, output_exif_map='location_mapping.csv', "
        "name_filters_l=['.jpg', '.jpeg'], copy_grouped_pics_path=None",
    map_images: "path, output_image_path, name_filters_l=['.jpg', '.jpeg'], location_mapping_csv='location_mapping.csv'",
    ImageProcessor: "",
    ImageProcessor.get_filename_from_path: "self, file_path",
    ImageProcessor.list_pic_files_in_folder: "self, folder_path, filters=['jpg', 'jpeg']",
    ImageProcessor.extract_datetime_from_title: "self, filename, filter_extensions=None",
    ImageProcessor.clone_and_save_with_exif: "self, original_filename, output_filename, datetime_obj",
    ImageProcessor.process_images_with_exif: "self, folder_path, folder_path_exif, filters",
    ImageEmbedder: "",
    ImageEmbedder.get_embedding: "self, image_path, save_embedding=True",
    ImageEmbedder.save_embeddings: "self, save_path",
    EmbeddingRetriever: "embeddings_df",
    EmbeddingRetriever.find_similar_embeddings: "self, input_value, method='cosine', N=10, threshold=0.95",
    EmbeddingRetriever.update_similar_images:
        "self, method='cosine', N=10, threshold=0.95, output_file='data/similar_images.parquet'",
}  # fmt: skip


@pytest.mark.parametrize("call", PRINTED, ids=lambda call: call.__qualname__)
def test_signatures_are_those_that_are_printed(call):
    expected = ast.parse(f"def f({PRINTED[call]}): ...").body[0].args
    found = list(inspect.signature(call).parameters.values())
    assert [p.name for p in found] == [a.arg for a in expected.args]
    assert {p.kind for p in found} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    defaults = [p.default for p in found if p.default is not p.empty]
    printed = [ast.literal_eval(d) for d in expected.defaults]
    assert [list(d) if isinstance(d, tuple) else d for d in defaults] == printed
    assert not any(isinstance(d, list | dict | set) for d in defaults)


# create_exif_map


def test_create_exif_map_of_all_hemispheres(roll):
    before = tree("roll")
    df = create_exif_map("roll")
    assert list(df)[:7] == ["start", "end", "lat", "long", "n_pics", "lat_dms", "long_dms"]
    assert list(pandas.read_csv("location_mapping.csv")) == list(df)
    assert df["start"].tolist() == [f"{day} 12:00:00" for _, _, day in TRIPS.values()]
    assert df["end"].tolist() == [f"{day} 12:10:00" for _, _, day in TRIPS.values()]
    assert df["n_pics"].tolist() == [3, 3, 3]
    assert df["lat"].tolist() == pytest.approx([lat + 1e-5 for lat, _, _ in TRIPS.values()], abs=1e-7)
    assert df["long"].tolist() == pytest.approx([lon for _, lon, _ in TRIPS.values()], abs=1e-7)
    assert all(isinstance(dms, tuple) and len(dms) == 3 and min(dms) >= 0 for dms in df["lat_dms"])
    assert df["ids"].tolist()[0] == ["bcn0.jpg", "bcn1.jpg", "bcn2.jpg"]
    assert tree("roll") == before


def test_create_exif_map_by_position_by_keyword_and_by_its_old_name(roll, tmp_path):
    first = create_exif_map("roll", 3, 1800, "one.csv", [".jpg", ".jpeg"], None)
    second = create_exif_map(
        path=tmp_path / "roll", min_gps_threshold_similar=3, min_seconds_threshold_similar=1800,
        output_exif_map=tmp_path / "two.csv", name_filters_l=[".jpg", ".jpeg"], copy_grouped_pics_path=None,
    )  # fmt: skip
    third = create_exif_map(directory_path="roll/")
    assert first.equals(second) and first.equals(third)
    assert Path("one.csv").read_bytes() == Path("two.csv").read_bytes()
    with pytest.raises(UsageError, match="two names"):
        create_exif_map("roll", directory_path="roll")


def test_limits_are_kilometres_and_seconds():
    put("roll/a.jpg", local="2023:04:08 12:00:00", lat_deg=41.0, lon_deg=2.0)
    put("roll/b.jpg", local="2023:04:08 12:05:00", lat_deg=41.018, lon_deg=2.0)  # 2 km away
    put(
        "roll/c.jpg", local="2023:04:10 12:10:00", lat_deg=41.018, lon_deg=2.0
    )  # two days and five minutes later
    assert create_exif_map("roll")["n_pics"].tolist() == [2, 1]
    assert create_exif_map("roll", min_gps_threshold_similar=1.9)["n_pics"].tolist() == [1, 1, 1]
    assert create_exif_map("roll", min_seconds_threshold_similar=3 * 86400)["n_pics"].tolist() == [3]
    with pytest.raises(UsageError, match="min_gps_threshold_similar is -1"):
        create_exif_map("roll", -1)


def test_copies_of_groups_are_named_by_their_place(roll):
    before = tree("roll")
    for _ in range(2):
        create_exif_map("roll", copy_grouped_pics_path="groups")
        names = [f"{k}_{name}{i}.jpg" for k, name in enumerate(TRIPS, 1) for i in range(3)]
        assert list(tree("groups")) == names
    assert Path("groups/2_sjo1.jpg").read_bytes() == Path("roll/sjo1.jpg").read_bytes()
    assert tree("roll") == before
    with pytest.raises(UsageError, match="among the photos"):
        create_exif_map("roll", copy_grouped_pics_path="roll/groups")


def test_filters_are_suffixes_in_any_case():
    for name in ("a.JPG", "b.jpeg", "c.jpg.png", "d.jpg.jpeg"):
        put(f"roll/{name}", local="2023:04:08 12:00:00", lat_deg=41.0, lon_deg=2.0)
    put("roll/below/e.jpg", local="2023:04:08 12:00:00", lat_deg=41.0, lon_deg=2.0)
    assert create_exif_map("roll")["n_pics"].tolist() == [3]
    assert create_exif_map("roll", name_filters_l=[".jpg"])["ids"].tolist() == [["a.JPG"]]
    assert create_exif_map("roll", name_filters_l="JPEG")["n_pics"].tolist() == [2]
    with pytest.raises(InputError, match=r"no photo whose name ends in '\.heic'"):
        create_exif_map("roll", name_filters_l=[".heic"])


def test_photos_without_place_or_time_and_an_empty_folder_are_no_error():
    put("roll/a.jpg", jpeg())
    put("roll/b.jpg", lat_deg=41.0, lon_deg=2.0)
    df = create_exif_map("roll")
    assert len(df) == 0 and list(df)[:3] == ["start", "end", "lat"]
    Path("empty").mkdir()
    assert len(create_exif_map("empty")) == 0
    with pytest.raises(InputError, match="nowhere"):
        create_exif_map("nowhere")


def test_one_bad_photo_is_said_and_the_others_count(roll, caplog):
    put("roll/bad.jpg", b"no picture")
    with caplog.at_level(logging.WARNING):
        assert create_exif_map("roll")["n_pics"].tolist() == [3, 3, 3]
    assert "roll/bad.jpg" in caplog.text


def test_a_table_of_somebody_else_stays(roll):
    Path("location_mapping.csv").write_text("start,end\n")
    with pytest.raises(SafetyRefusal, match="another output_exif_map"):
        create_exif_map("roll")
    assert Path("location_mapping.csv").read_text() == "start,end\n"


# map_images


@pytest.fixture
def whatsapp(roll):
    """A photo of each trip without a place, one between them, and one that has nothing but the date of its file."""
    for name, (_, _, day) in TRIPS.items():
        put(f"wa/{name}.jpg", local=f"{day} 12:07:00")
    put("wa/between.jpg", local="2023:04:08 12:11:00")
    put("wa/own.jpg", local="2023:04:08 12:07:00", lat_deg=48.0, lon_deg=11.0)
    bare = put("wa/bare.jpeg", jpeg())
    sent_s = datetime(2023, 5, 2, 12, 3, tzinfo=UTC).timestamp()
    os.utime(bare, (sent_s, sent_s))
    create_exif_map("roll")


@pytest.mark.parametrize("how", ["position", "keyword"])
def test_map_images(whatsapp, how):
    before = tree("wa")
    if how == "position":
        done = map_images("wa", "out", [".jpg", ".jpeg"], "location_mapping.csv")
    else:
        done = map_images(
            path="wa", output_image_path="out", name_filters_l=[".jpg", ".jpeg"],
            location_mapping_csv="location_mapping.csv",
        )  # fmt: skip
    assert done is None and tree("wa") == before
    assert sorted(tree("out")) == sorted(before)
    for name, (lat, lon, day) in TRIPS.items():
        assert read(f"out/{name}.jpg")[1:] == pytest.approx((lat + 1e-5, lon), abs=1e-6)
        assert f"{clock(f'out/{name}.jpg'):%Y:%m:%d %H:%M}" == f"{day} 12:07"
    assert np.isnan(read("out/between.jpg")[1])  # a minute outside of the span
    assert read("out/own.jpg")[1:] == pytest.approx((48.0, 11.0), abs=1e-6)
    assert clock("out/bare.jpeg") == datetime(2023, 5, 2, 12, 3)
    assert read("out/bare.jpeg")[1:] == pytest.approx((-33.86879, 151.2093), abs=1e-6)
    copies = tree("out")
    map_images("wa", "out")
    assert tree("out") == copies


def test_tables_of_the_older_notebooks_are_read():
    put("wa/a.jpg", local="2023:04:08 12:07:00")
    row = '2023:04:08 12:00:00,2023:04:08 12:10:00,41.385,2.1734,2,"(41, 23, 6.0)","(2, 10, 24.2)"'
    Path("old.csv").write_text(f"start,end,lat,long,n_pics,lat_dms,long_dms\n{row}\n")
    map_images("wa", "out", location_mapping_csv="old.csv")
    assert read("out/a.jpg")[1:] == pytest.approx((41.385, 2.1734), abs=1e-6)


def test_copies_replace_nothing(whatsapp, caplog):
    for out in ("wa", "wa/", "wa/out", "./wa"):
        with pytest.raises(UsageError, match="among the photos"):
            map_images("wa", out)
    mine = put("out/bcn.jpg", b"mine")
    with caplog.at_level(logging.WARNING):
        map_images("wa", "out")
    assert mine.read_bytes() == b"mine" and Path("out/sjo.jpg").exists()
    assert [r.getMessage() for r in caplog.records] == [
        "wa/bcn.jpg: out/bcn.jpg: is there already and is another file"
    ]


def test_map_images_without_a_table_or_a_match(roll):
    with pytest.raises(InputError, match=r"location_mapping\.csv"):
        map_images("roll", "out")
    create_exif_map("roll")
    map_images("roll", "out", name_filters_l=["BCN1.jpg"])
    assert list(tree("out")) == ["bcn1.jpg"]


def test_copies_can_be_taken_back(whatsapp):
    map_images("wa", "out")
    assert not undo(["wa"], ScanOptions(), UndoOptions(), Context()).failures
    assert tree("out") == {}


# ImageProcessor


def test_names_and_lists_of_files():
    for name in ("b.JPG", "a.jpeg", "c.png", "xjpg", ".hidden.jpg"):
        put(f"pics/{name}", b"")
    Path("pics/folder.jpg").mkdir()
    processor = ImageProcessor()
    assert processor.get_filename_from_path(file_path="some/folder/a.jpg") == "a.jpg"
    assert processor.get_filename_from_path("a.jpg") == "a.jpg"
    expected = [os.path.join("pics", n) for n in (".hidden.jpg", "a.jpeg", "b.JPG")]
    assert processor.list_pic_files_in_folder("pics", ["jpg", "jpeg"]) == expected
    assert processor.list_pic_files_in_folder(folder_path="pics") == expected
    assert processor.list_pic_files_in_folder("pics", filters=[".png"]) == [os.path.join("pics", "c.png")]
    with pytest.raises(InputError, match="nowhere"):
        processor.list_pic_files_in_folder("nowhere")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG-20230408-WA0001.jpg", datetime(2023, 4, 8)),
        ("IMG-20230408-WA0001(1).JPEG", datetime(2023, 4, 8)),
        ("folder/IMG-20230408-WA0001.jpg", datetime(2023, 4, 8)),
        ("WhatsApp Image 2024-08-18 at 21.19.13 (1).jpeg", datetime(2024, 8, 18, 21, 19, 13)),
        ("WhatsApp Image 2024-08-18 at 9.19.13 PM.jpeg", datetime(2024, 8, 18, 21, 19, 13)),
        ("signal-2022-05-23-16-41-08-903.jpg", datetime(2022, 5, 23, 16, 41, 8, 903000)),
        ("20180719194940+0200.jpg", datetime(2018, 7, 19, 19, 49, 40)),
        ("IMG-20231408-WA0001.jpg", None),
        ("IMG_1234.jpg", None),
        ("IMG-20230408-WA0001.png", None),
        ("", None),
    ],
)
def test_dates_in_names(name, expected):
    processor = ImageProcessor()
    assert processor.extract_datetime_from_title(name) == expected
    assert processor.extract_datetime_from_title(filename=name, filter_extensions=None) == expected


def test_dates_in_names_of_the_suffixes_that_are_asked_for():
    find = ImageProcessor().extract_datetime_from_title
    assert find("IMG-20230408-WA0001.PNG", ["png"]) == datetime(2023, 4, 8)
    assert find("IMG-20230408-WA0001.jpg", filter_extensions=["png"]) is None
    assert find("IMG-20230408-WA0001.jpg", []) is None


def test_names_in_utc_tell_the_time_of_this_machine(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    if not hasattr(time, "tzset"):
        pytest.skip("the zone cannot be changed here")
    time.tzset()
    found = ImageProcessor().extract_datetime_from_title("PXL_20231026_210642603.jpg")
    assert found == datetime(2023, 10, 26, 23, 6, 42, 603000) and found.tzinfo is None


def test_a_clone_has_the_date():
    put("in/a.jpg", jpeg())
    before = tree("in")
    processor = ImageProcessor()
    for _ in range(2):
        assert processor.clone_and_save_with_exif("in/a.jpg", "new/folder/b.jpg", NOON) is None
    assert clock("new/folder/b.jpg") == NOON and tree("in") == before
    assert Path("new/folder/b.jpg").stat().st_mtime == NOON.timestamp()
    assert Path("new/folder/b.jpg").read_bytes().endswith(before["a.jpg"][0][2:])
    aware = datetime(2023, 4, 8, 12, tzinfo=timezone(timedelta(hours=2)))
    processor.clone_and_save_with_exif(
        original_filename="in/a.jpg", output_filename="c.jpg", datetime_obj=aware
    )
    assert header(FileBytes("c.jpg"))[:2] == ((NOON - datetime(1970, 1, 1)).total_seconds(), 7200.0)
    assert not undo(["in"], ScanOptions(), UndoOptions(), Context()).failures
    assert not Path("c.jpg").exists()


def test_a_clone_takes_no_name_that_is_taken():
    put("in/a.jpg", local="2020:01:01 00:00:00")
    mine = put("mine.jpg", b"mine")
    os.symlink("in/a.jpg", "link.jpg")
    os.link("in/a.jpg", "hard.jpg")
    before = tree("in")
    clone = ImageProcessor().clone_and_save_with_exif
    for output in ("in/a.jpg", "./in/../in/a.jpg", "link.jpg", "hard.jpg", "mine.jpg"):
        with pytest.raises(SafetyRefusal, match=r"is the original|is there already"):
            clone("in/a.jpg", output, NOON)
    assert tree("in") == before and mine.read_bytes() == b"mine"


def test_a_clone_of_nothing_or_at_no_time():
    clone = ImageProcessor().clone_and_save_with_exif
    put("a.jpg", jpeg())
    put("a.png", b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"gone\.jpg"):
        clone("gone.jpg", "out.jpg", NOON)
    with pytest.raises(InputError, match=r"a\.png"):
        clone("a.png", "out.png", NOON)
    for nothing in (None, pandas.NaT):
        with pytest.raises(UsageError, match="no datetime"):
            clone("a.jpg", "out.jpg", nothing)
    with pytest.raises(UsageError, match="no photo was taken"):
        clone("a.jpg", "out.jpg", datetime(1066, 10, 14))
    assert not Path("out.jpg").exists()


def test_a_folder_gets_the_dates_of_its_names(caplog):
    put("in/IMG-20230408-WA0001.jpg", jpeg())
    put("in/WhatsApp Image 2024-08-18 at 21.19.13.JPEG", jpeg())
    put("in/IMG-20230409-WA0002.jpg", local="2023:04:09 08:15:00")
    put("in/holiday.jpg", jpeg())
    put("in/below/IMG-20230408-WA0003.jpg", jpeg())
    before = tree("in")
    processor = ImageProcessor()
    with caplog.at_level(logging.WARNING):
        assert processor.process_images_with_exif("in", "out", ["jpg", "jpeg"]) is None
    assert "holiday.jpg" in caplog.text and tree("in") == before
    assert {name: clock(f"out/{name}") for name in tree("out")} == {
        "IMG-20230408-WA0001.jpg": datetime(2023, 4, 8),
        "IMG-20230409-WA0002.jpg": datetime(2023, 4, 9, 8, 15),
        "WhatsApp Image 2024-08-18 at 21.19.13.JPEG": datetime(2024, 8, 18, 21, 19, 13),
    }
    copies = tree("out")
    processor.process_images_with_exif(folder_path="in", folder_path_exif="out", filters=["jpg", "jpeg"])
    assert tree("out") == copies
    processor.process_images_with_exif("in", "few", ["jpeg"])
    assert list(tree("few")) == ["WhatsApp Image 2024-08-18 at 21.19.13.JPEG"]
    with pytest.raises(UsageError, match="among the photos"):
        processor.process_images_with_exif("in", "in", ["jpg", "jpeg"])


# ImageEmbedder and EmbeddingRetriever


def picture(name, seed, size=(320, 240), **how):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, **how)
    return name


@pytest.fixture
def embedder():
    """A picture, an exact copy, a smaller one, and two others."""
    made = ImageEmbedder()
    picture("p/a.jpg", 1)
    Path("p/a_copy.jpg").write_bytes(Path("p/a.jpg").read_bytes())
    picture("p/a_small.jpg", 1, (160, 120), quality=60)
    picture("p/b.jpg", 2)
    picture("p/c.png", 3)
    for name in ("a.jpg", "a_copy.jpg", "a_small.jpg", "b.jpg", "c.png"):
        made.get_embedding(f"p/{name}")
    return made


def test_embeddings_are_kept_and_saved(embedder):
    vector = embedder.get_embedding(image_path="p/b.jpg", save_embedding=True)
    assert isinstance(vector, np.ndarray) and vector.shape == (225,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-3)
    again = embedder.get_embedding("p/b.jpg", False)
    vector[:] = 0
    df = embedder.embeddings_df
    assert list(df) == ["filepath", "embedding"]
    assert df["filepath"].tolist() == [
        f"p/{n}" for n in ("a.jpg", "a_copy.jpg", "a_small.jpg", "b.jpg", "c.png")
    ]
    assert np.array_equal(df["embedding"][3], again)
    for _ in range(2):
        embedder.save_embeddings("data/e.parquet")
    embedder.save_embeddings(save_path="data/e.parquet")
    back = pandas.read_parquet("data/e.parquet")
    assert list(back) == ["filepath", "embedding"] and np.array_equal(back["embedding"][3], again)
    assert EmbeddingRetriever(back).find_similar_embeddings(0)[0][0] == "p/a_copy.jpg"


def test_an_embedding_that_is_not_kept_has_no_row():
    embedder = ImageEmbedder()
    picture("a.jpg", 1)
    embedder.get_embedding("a.jpg", save_embedding=False)
    assert len(embedder.embeddings_df) == 0 and len(ImageEmbedder().embeddings_df) == 0
    embedder.save_embeddings("none.parquet")
    assert list(pandas.read_parquet("none.parquet")) == ["filepath", "embedding"]
    put("bad.jpg", b"no picture")
    with pytest.raises(UnreadableFile, match=r"bad\.jpg"):
        embedder.get_embedding("bad.jpg")


def test_a_picture_is_seen_as_it_is_displayed():
    picture("upright.png", 1)
    image = Image.open("upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save("lying.jpg", exif=exif, quality=95)
    one, other = (ImageEmbedder().get_embedding(name) for name in ("upright.png", "lying.jpg"))
    assert one @ other > 0.99


@pytest.mark.parametrize("method", ["cosine", "nearest_neighbors"])
@pytest.mark.parametrize("query", [0, np.int64(0), "p/a.jpg", Path("p/a.jpg")])
def test_similar_ones_are_found(embedder, method, query):
    retriever = EmbeddingRetriever(embedder.embeddings_df)
    found = retriever.find_similar_embeddings(query, method, 10, 0.95)
    assert [path for path, _, _ in found] == ["p/a_copy.jpg", "p/a_small.jpg"]
    assert found[0][1] == pytest.approx(1.0, abs=1e-6) and 0.95 <= found[1][1] <= 1.0
    assert all(isinstance(e, np.ndarray) for _, _, e in found)
    named = retriever.find_similar_embeddings(input_value=query, method=method, N=1, threshold=0.95)
    assert [path for path, _, _ in named] == ["p/a_copy.jpg"]
    exact = retriever.find_similar_embeddings(query, method=method, threshold=1.0)
    assert [path for path, _, _ in exact] == ["p/a_copy.jpg"]
    every = retriever.find_similar_embeddings(query, method=method, threshold=-1.0)
    assert len(every) == 4 and [s for _, s, _ in every] == sorted((s for _, s, _ in every), reverse=True)
    assert retriever.find_similar_embeddings(query, N=0) == []


def test_vectors_of_any_length_are_compared_by_their_direction():
    df = pandas.DataFrame({"filepath": list("abcd"), "embedding": [[1, 0], [9, 0.1], [0, 5], [0, 0]]})
    found = EmbeddingRetriever(df).find_similar_embeddings("a")
    assert [path for path, _, _ in found] == ["b"] and list(found[0][2]) == [9, 0.1]
    assert EmbeddingRetriever(df).find_similar_embeddings("d") == []


@pytest.mark.parametrize("method", ["cosine", "nearest_neighbors"])
def test_the_table_of_similar_ones(embedder, method):
    df = embedder.embeddings_df
    retriever = EmbeddingRetriever(df)
    made = retriever.update_similar_images(method)
    assert list(made) == ["filepath", "embedding", "similar_images", "threshold"]
    assert list(df) == ["filepath", "embedding"]  # the one that was given stays as it is
    assert made["similar_images"].tolist() == [
        ["p/a_copy.jpg", "p/a_small.jpg"], ["p/a.jpg", "p/a_small.jpg"], ["p/a.jpg", "p/a_copy.jpg"], [], [],
    ]  # fmt: skip
    assert made["threshold"].tolist() == [0.95] * 5
    for row, similar in enumerate(made["similar_images"]):
        one = retriever.find_similar_embeddings(row, method)
        assert [path for path, _, _ in one] == similar
    back = pandas.read_parquet("data/similar_images.parquet")
    assert list(back) == list(made)
    assert [list(s) for s in back["similar_images"]] == made["similar_images"].tolist()
    few = retriever.update_similar_images(method=method, N=1, threshold=0.95, output_file="d/e/f.parquet")
    assert few["similar_images"].map(len).tolist() == [1, 1, 1, 0, 0] and Path("d/e/f.parquet").exists()


def test_rows_of_one_path_are_one_picture():
    df = pandas.DataFrame({"filepath": ["a", "a", "b"], "embedding": [np.ones(3)] * 3})
    retriever = EmbeddingRetriever(df)
    assert [path for path, _, _ in retriever.find_similar_embeddings(1, N=1)] == ["b"]
    assert retriever.update_similar_images(N=1)["similar_images"].tolist() == [["b"], ["b"], ["a"]]


def test_an_empty_table_has_nothing_similar():
    df = pandas.DataFrame({"filepath": [], "embedding": []})
    assert len(EmbeddingRetriever(df).update_similar_images()) == 0


def test_what_cannot_be_asked_is_said(embedder):
    retriever = EmbeddingRetriever(embedder.embeddings_df)
    find = retriever.find_similar_embeddings
    for ask, said in (
        (lambda: find(5), "no row 5"),
        (lambda: find(-1), "no row -1"),
        (lambda: find("q.jpg"), "not in the table"),
        (lambda: find(0, "euclid"), "cosine, nearest_neighbors"),
        (lambda: find(0, threshold=95), "threshold is 95"),
        (lambda: find(0, N=-1), "N is -1"),
        (lambda: retriever.update_similar_images("hash"), "no method"),
        (lambda: EmbeddingRetriever(pandas.DataFrame({"filepath": []})), "no column embedding"),
        (
            lambda: EmbeddingRetriever(
                pandas.DataFrame({"filepath": ["a", "b"], "embedding": [[1.0], [1, 2]]})
            ),
            "differ in their length",
        ),
    ):
        with pytest.raises(UsageError, match=said):
            ask()


def test_parquet_of_somebody_else_stays(embedder):
    embedder.embeddings_df.to_parquet("theirs.parquet")
    Path("notes.parquet").write_bytes(b"notes")
    for name in ("theirs.parquet", "notes.parquet"):
        before = Path(name).read_bytes()
        with pytest.raises(SafetyRefusal, match="was not written by camtrail"):
            embedder.save_embeddings(name)
        with pytest.raises(SafetyRefusal, match="was not written by camtrail"):
            EmbeddingRetriever(embedder.embeddings_df).update_similar_images(output_file=name)
        assert Path(name).read_bytes() == before


@pytest.mark.parametrize("module", ["pandas", "pyarrow"])
def test_what_is_not_installed_is_named(roll, embedder, monkeypatch, module):
    retriever = EmbeddingRetriever(embedder.embeddings_df)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.parquet", None)
    calls = [lambda: embedder.save_embeddings("e.parquet"), lambda: retriever.update_similar_images()]
    if module == "pandas":
        calls += [lambda: create_exif_map("roll"), lambda: embedder.embeddings_df]
        assert embedder.get_embedding("p/a.jpg").shape == (225,)
        assert len(retriever.find_similar_embeddings(0)) == 2
    for call in calls:
        with pytest.raises(MissingDependency, match=rf"{module}.*camtrail\[tables\]"):
            call()
    assert not Path("location_mapping.csv").exists() and not Path("data").exists()
