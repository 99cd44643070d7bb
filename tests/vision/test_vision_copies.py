"""What is kept of a picture stays when it is saved again, and a closer look tells copies from another frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import again, encoded, fit, lit, scene

from camtrail.core.bytes import MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.vision.copies import DIFFERENT, is_copy, look
from camtrail.vision.descriptors import TURNS, Description, describe, light_hashes, turned
from camtrail.vision.embedding import EMBEDDING_SIZE, embedding
from camtrail.vision.hashes import perceptual_hashes
from camtrail.vision.quality import quality

COPIES = {
    "half": lambda p: fit(p, 400),
    "quarter": lambda p: fit(p, 200),
    "q50": lambda p: again(p, 50),
    "darker": lambda p: again(lit(p, gamma=1.25)),
    "lighter": lambda p: again(lit(p, gamma=0.8)),
    "messenger": lambda p: again(fit(p, 533), 70),
}
each_copy = pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
SEEDS = range(6)


def picture(seed):
    return scene(seed, 800, 600)


def described(pixels, **options):
    return describe(MemoryBytes(encoded(pixels, **options), "a.jpg"))


class TestDescription:
    @each_copy
    def test_hash_and_embedding_of_copies_are_near(self, change):
        for seed in SEEDS:
            a, b = (described(p, quality=90) for p in (picture(seed), change(picture(seed))))
            first, second = light_hashes(np.stack([a.light, b.light]))[:, 0].tolist()
            assert (first ^ second).bit_count() <= 8
            assert a.embedding @ b.embedding > 0.98

    def test_others_are_far(self):
        made = [described(picture(seed)) for seed in SEEDS]
        vectors = np.stack([m.embedding for m in made])
        alike = vectors @ vectors.T - np.eye(len(made))
        assert alike.max() < 0.7

    def test_as_text_it_is_what_it_was(self):
        made = described(picture(0))
        back = Description.of_text(made.text())
        assert back is not None
        assert (back.light == made.light).all() and (back.embedding == made.embedding).all()
        assert back.quality == pytest.approx(made.quality, rel=1e-6)
        assert (back.picture, back.head, back.width_px) == (made.picture, made.head, made.width_px)

    @given(st.text())
    def test_another_text_is_none(self, text):
        assert Description.of_text(text) is None

    def test_a_text_of_another_version_is_none(self):
        text = described(picture(0)).text()
        assert Description.of_text("/" + text[1:]) is None
        assert Description.of_text(text[:-4]) is None

    def test_tags_do_not_change_the_picture(self):
        data = encoded(picture(0))
        tagged = data[:2] + b"\xff\xfe\x00\x07hello" + data[2:]
        a, b = (describe(MemoryBytes(d, "a.jpg")) for d in (data, tagged))
        assert a.picture == b.picture and a.head != b.head

    def test_hashes_are_those_of_imagehash(self):
        light = np.stack([described(picture(seed)).light for seed in SEEDS])
        assert light_hashes(light)[:, 0].tolist() == perceptual_hashes(light).tolist()
        assert light_hashes(light, 16).shape == (len(light), 4)

    def test_what_was_turned_is_the_turned_picture(self):
        light = np.arange(12, dtype=np.uint8).reshape(3, 4)
        assert (
            len({turned(light, turn).tobytes() + bytes(turned(light, turn).shape) for turn in range(TURNS)})
            == 8
        )
        assert (turned(light, 1) == np.rot90(light)).all()
        assert (turned(turned(light, 1), 3) == light).all()
        assert all((turned(turned(light, turn), turn) == light).all() for turn in (4, 5, 6, 7))

    def test_what_is_no_picture_is_told(self):
        with pytest.raises(UnreadableFile):
            describe(MemoryBytes(b"\xff\xd8\xff", "a.jpg"))


class TestEmbedding:
    @pytest.mark.parametrize("shape", [(1, 1, 3), (7, 300, 3), (64, 64), (500, 20)])
    @pytest.mark.parametrize("value", [0, 128, 255])
    def test_it_has_length_1_for_any_picture(self, shape, value):
        vector = embedding(np.full(shape, value, np.uint8))
        assert vector.shape == (EMBEDDING_SIZE,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)

    def test_colour_counts(self):
        red, blue = (np.zeros((64, 64, 3), np.uint8) for _ in range(2))
        red[..., 0] = blue[..., 2] = 200
        assert embedding(red) @ embedding(blue) < 0.5


class TestLook:
    @each_copy
    def test_copies_are_copies(self, change):
        for seed in SEEDS:
            assert is_copy(look(picture(seed), change(picture(seed))))
            assert is_copy(look(change(picture(seed)), picture(seed)))

    def test_others_are_none(self):
        for seed in SEEDS:
            assert not is_copy(look(picture(seed), picture(seed + 1)))

    def test_a_frame_in_which_something_moved_is_none(self):
        for seed in SEEDS:
            moved = picture(seed).copy()
            moved[200:260, 300:360] = picture(seed)[400:460, 500:560]
            assert not is_copy(look(picture(seed), moved))

    def test_a_frame_that_is_shifted_is_none(self):
        for seed in SEEDS:
            assert not is_copy(look(picture(seed)[:-12, :-16], picture(seed)[12:, 16:]))

    def test_another_shape_is_another_picture(self):
        stretched = np.asarray(__import__("PIL.Image").Image.fromarray(picture(0)).resize((700, 600)))
        assert look(picture(0), stretched) == DIFFERENT

    def test_plain_pictures_are_no_copies_of_each_other(self):
        grey = np.full((60, 80, 3), 90, np.uint8)
        assert not is_copy(look(grey, np.full((60, 80, 3), 160, np.uint8)))

    def test_smooth_pictures_are_fitted_to_no_other_colours(self):
        ramp = np.tile(np.linspace(0, 255, 80).astype(np.uint8)[None, :, None], (60, 1, 3))
        other = ramp.copy()
        other[..., 0] //= 4
        assert not is_copy(look(ramp, other))
        assert is_copy(look(ramp, fit(ramp, 40)))


class TestQuality:
    def test_blur_lowers_it(self):
        assert quality(fit(fit(picture(0), 100), 800)).score < quality(picture(0)).score

    @pytest.mark.parametrize("change", [{"gamma": 3.0}, {"gain": 3.0}])
    def test_so_do_dark_and_burnt_out_light(self, change):
        assert quality(lit(picture(1), **change)).exposure < quality(picture(1)).exposure

    def test_plain_black_has_none(self):
        assert quality(np.zeros((10, 10), np.uint8)).score == pytest.approx(0, abs=1e-9)
