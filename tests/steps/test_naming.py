"""The join by name."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from camtrail.steps.naming import NO_PHOTO, SEVERAL_PHOTOS, find

PATHS = ["/p/a/IMG_1.jpg", "/p/b/IMG_1.jpg", "/p/b/IMG_10.jpg", "/p/x.jpg"]


def found(*names: str, paths=PATHS, folders=("/p",)):
    return find(list(names), paths, list(folders)).tolist()


def test_by_whole_path_absolute_or_relative_to_a_folder():
    assert found("/p/b/IMG_1.jpg", "b/IMG_1.jpg", "./a/IMG_1.jpg", "a\\IMG_1.jpg", "x.jpg") == [1, 1, 0, 0, 3]


def test_the_first_folder_that_fits_wins():
    assert found("IMG_1.jpg", folders=["/p/b", "/p/a"]) == [1]


def test_by_base_name_where_one_photo_alone_has_it():
    assert found("IMG_10.jpg", "C:\\card\\IMG_10.jpg", "/other/x.jpg") == [2, 2, 3]
    assert found("IMG_1.jpg", "q/IMG_1.jpg") == [SEVERAL_PHOTOS, SEVERAL_PHOTOS]


def test_never_by_a_part_of_a_name():
    assert found("IMG_1", "MG_10.jpg", "IMG_10.jpg.bak", "img_10.jpg") == [NO_PHOTO] * 4


def test_composed_and_decomposed_accents_are_the_same():
    name = "Zürich é.jpg"
    for one, two in (("NFC", "NFD"), ("NFD", "NFC")):
        paths = ["/p/" + unicodedata.normalize(one, name)]
        assert found(unicodedata.normalize(two, name), paths=paths) == [0]


@given(
    st.lists(
        st.text(min_size=1).filter(lambda s: "/" not in s and "\\" not in s),
        unique_by=lambda s: unicodedata.normalize("NFC", s),
    )
)
def test_every_photo_is_found_by_its_own_path(names):
    paths = ["/p/" + n for n in names]
    assert find(paths, paths, []).tolist() == list(range(len(paths)))
