"""The join by name."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from camtrail.steps.naming import NO_ROW, SEVERAL_PHOTOS, SEVERAL_ROWS, join

PATHS = ["/p/a/IMG_1.jpg", "/p/b/IMG_1.jpg", "/p/b/IMG_10.jpg", "/p/x.jpg"]


def rows(*names: str, paths=PATHS, folders=("/p",)):
    return join(list(names), paths, list(folders))[0].tolist()


def test_by_whole_path_absolute_or_relative_to_a_folder():
    assert rows("/p/b/IMG_1.jpg", "./a/IMG_1.jpg", "x.jpg") == [1, 0, NO_ROW, 2]
    assert rows("a\\IMG_1.jpg") == [0, NO_ROW, NO_ROW, NO_ROW]


def test_the_first_folder_that_fits_wins():
    assert rows("IMG_1.jpg", folders=["/p/b", "/p/a"]) == [NO_ROW, 0, NO_ROW, NO_ROW]


def test_by_base_name_where_one_photo_alone_has_it():
    assert rows("IMG_10.jpg", "/other/x.jpg") == [NO_ROW, NO_ROW, 0, 1]
    assert rows("C:\\card\\IMG_10.jpg") == [NO_ROW, NO_ROW, 0, NO_ROW]
    assert rows("IMG_1.jpg") == [SEVERAL_PHOTOS, SEVERAL_PHOTOS, NO_ROW, NO_ROW]


def test_a_path_wins_over_a_base_name_whichever_row_comes_first():
    paths = ["/p/2020/IMG_1.jpg"]
    for names in (["2019/IMG_1.jpg", "2020/IMG_1.jpg"], ["2020/IMG_1.jpg", "2019/IMG_1.jpg"]):
        assert rows(*names, paths=paths) == [names.index("2020/IMG_1.jpg")]
        assert rows(*names, paths=paths, folders=["/p/2020"]) == [SEVERAL_ROWS]


def test_two_rows_of_one_base_name_and_none_with_the_path():
    assert rows("2018/x.jpg", "2019/x.jpg") == [NO_ROW, NO_ROW, NO_ROW, SEVERAL_ROWS]
    assert rows("x.jpg", "x.jpg") == [NO_ROW, NO_ROW, NO_ROW, 0]


def test_never_by_a_part_of_a_name():
    assert rows("IMG_1", "MG_10.jpg", "IMG_10.jpg.bak") == [NO_ROW] * 4


def test_capitals_only_where_nothing_else_fits():
    assert rows("img_10.JPG") == [NO_ROW, NO_ROW, 0, NO_ROW]
    assert rows("X.JPG", "x.jpg") == [NO_ROW, NO_ROW, NO_ROW, 1]
    assert rows("img_1.jpg") == [SEVERAL_PHOTOS, SEVERAL_PHOTOS, NO_ROW, NO_ROW]


def test_how_many_photos_a_row_reached():
    assert join(["x.jpg", "IMG_1.jpg", "none.jpg", "x.jpg"], PATHS, ["/p"])[1].tolist() == [1, 2, 0, 1]


def test_composed_and_decomposed_accents_are_the_same():
    name = "Zürich é.jpg"
    for one, two in (("NFC", "NFD"), ("NFD", "NFC")):
        paths = ["/p/" + unicodedata.normalize(one, name)]
        assert rows(unicodedata.normalize(two, name), paths=paths) == [0]


names_of_files = st.lists(
    st.text(min_size=1).filter(lambda s: "/" not in s and "\\" not in s),
    unique_by=lambda s: unicodedata.normalize("NFC", s),
)


@given(names_of_files, st.data())
def test_every_photo_is_found_by_its_own_path_in_any_order(names, data):
    paths = ["/p/" + n for n in names]
    order = data.draw(st.permutations(range(len(paths))))
    assert [order[r] for r in rows(*(paths[i] for i in order), paths=paths)] == list(range(len(paths)))


def test_a_name_that_fits_below_two_roots_fits_several_photos():
    paths = ["/a/x.jpg", "/b/x.jpg", "/b/y.jpg"]
    assert join(["x.jpg", "y.jpg"], paths, [], ["/a", "/b"])[0].tolist() == [
        SEVERAL_PHOTOS,
        SEVERAL_PHOTOS,
        1,
    ]
    assert join(["x.jpg"], paths, ["/b"], ["/a", "/b"])[0].tolist() == [NO_ROW, 0, NO_ROW]
