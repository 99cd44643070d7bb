"""Pictures out of files: every kind that cameras and services write, upright, and nothing worse than one error."""

from __future__ import annotations

import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scenes import REAL_DATA, encoded, fit, image, scene

from camtrail.core.bytes import FileBytes, MemoryBytes
from camtrail.core.errors import UnreadableFile
from camtrail.vision.decode import MOST_PIXELS, decode, luminance, resized
from camtrail.vision.ssim import ssim_tiles

SMALL = scene(1, 90, 60)
GREY = SMALL[..., 0]
GREY_16 = (GREY.astype(np.uint16) << 8) | 77
SEE_THROUGH = np.dstack([SMALL, np.tile(np.linspace(0, 255, 90).astype(np.uint8), (60, 1))])
OVER_WHITE = (
    SMALL.astype(float) * (SEE_THROUGH[..., 3:] / 255) + 255 * (1 - SEE_THROUGH[..., 3:] / 255)
).round()

EXIF = 0x0112


def read(data, most_px=None, **options):
    return decode(MemoryBytes(data, "made"), most_px, **options)


def rgb(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def palette(transparent=False):
    made = image(SMALL).quantize(64)
    if transparent:
        made.info["transparency"] = made.getpixel((0, 0))
    return made


def over_white(made):
    over = made.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", made.size, "white"), over).convert("RGB"))


STRETCHED = ((GREY.astype(float) - GREY.min()) / (GREY.max() - GREY.min()) * 255).round()
# Name -> the file, what its pixels are, how far they may be off.
KINDS = {
    "jpeg": (encoded(SMALL, quality=95), SMALL, 60),
    "jpeg progressive": (encoded(SMALL, quality=95, progressive=True), SMALL, 60),
    "jpeg without subsampling": (encoded(SMALL, quality=98, subsampling=0), SMALL, 8),
    "jpeg grey": (encoded(GREY, quality=95), rgb(GREY), 12),
    "jpeg cmyk": (encoded(image(SMALL).convert("CMYK"), quality=98, subsampling=0), SMALL, 12),
    "png": (encoded(SMALL, "PNG"), SMALL, 0),
    "png grey": (encoded(GREY, "PNG"), rgb(GREY), 0),
    "png black and white": (
        encoded(image(GREY).convert("1"), "PNG"),
        rgb(np.asarray(image(GREY).convert("1").convert("L"))),
        0,
    ),
    "png palette": (encoded(palette(), "PNG"), np.asarray(palette().convert("RGB")), 0),
    "png palette, a colour transparent": (
        encoded(palette(True), "PNG", transparency=palette(True).info["transparency"]),
        over_white(palette(True)),
        0,
    ),
    "png transparent": (encoded(SEE_THROUGH, "PNG"), OVER_WHITE, 1),
    "png grey, transparent": (
        encoded(Image.merge("LA", [image(GREY), image(np.ascontiguousarray(SEE_THROUGH[..., 3]))]), "PNG"),
        (rgb(GREY) * (SEE_THROUGH[..., 3:] / 255) + 255 * (1 - SEE_THROUGH[..., 3:] / 255)).round(),
        1,
    ),
    "png, a colour transparent": (
        encoded(np.dstack([GREY // 128 * 200] * 3), "PNG", transparency=(0, 0, 0)),
        np.where(rgb(GREY) >= 128, 200, 255),
        0,
    ),
    "png 16 bit": (encoded(image(GREY_16), "PNG"), rgb(GREY), 0),
    "webp": (encoded(SMALL, "WEBP", quality=95), SMALL, 60),
    "webp exact": (encoded(SMALL, "WEBP", lossless=True), SMALL, 0),
    "webp transparent": (encoded(SEE_THROUGH, "WEBP", lossless=True, exact=True), OVER_WHITE, 1),
    "gif": (encoded(palette(), "GIF"), np.asarray(palette().convert("RGB")), 0),
    "gif of several": (
        encoded(palette(), "GIF", save_all=True, append_images=[image(255 - SMALL).quantize(64)]),
        np.asarray(palette().convert("RGB")),
        0,
    ),
    "tiff": (encoded(SMALL, "TIFF"), SMALL, 0),
    "tiff lzw": (encoded(SMALL, "TIFF", compression="tiff_lzw"), SMALL, 0),
    "tiff jpeg": (encoded(SMALL, "TIFF", compression="jpeg", quality=95), SMALL, 60),
    "tiff grey": (encoded(GREY, "TIFF"), rgb(GREY), 0),
    "tiff cmyk": (encoded(image(SMALL).convert("CMYK"), "TIFF"), SMALL, 1),
    "tiff 16 bit": (encoded(image(GREY_16), "TIFF"), rgb(GREY), 0),
    "tiff 32 bit": (encoded(Image.fromarray(GREY.astype(np.int32) * 1000), "TIFF"), rgb(STRETCHED), 1),
    "tiff of fractions": (encoded(Image.fromarray(GREY.astype(np.float32) / 99), "TIFF"), rgb(STRETCHED), 1),
    "tiff transparent": (encoded(SEE_THROUGH, "TIFF"), OVER_WHITE, 1),
}
EACH = pytest.mark.parametrize("kind", KINDS)
FORMATS = ["jpeg", "jpeg progressive", "png", "webp exact", "gif", "tiff", "tiff lzw"]


@EACH
def test_every_kind_of_picture(kind):
    data, expected, off = KINDS[kind]
    found = read(data)
    assert found.pixels.shape == (60, 90, 3)
    assert found.pixels.dtype == np.uint8
    assert (found.width_px, found.height_px) == (90, 60)
    assert np.abs(found.pixels.astype(int) - expected).max() <= off
    assert not found.pixels.flags.writeable


@EACH
def test_what_is_stored_without_colour_says_so(kind):
    words = ("grey", "16 bit", "32 bit", "fractions", "black and white")
    assert read(KINDS[kind][0]).is_gray == any(word in kind for word in words)


def test_cmyk_that_is_coded_as_light_and_colour():
    # YCCK of Adobe: the inks' complements as YCC, stored inverted; its mark is the last byte of APP14.
    inks = np.asarray(image(255 - SMALL).convert("YCbCr"))
    stored = 255 - np.dstack([inks, np.full((60, 90, 1), 255, np.uint8)])
    data = encoded(_cmyk(stored), quality=98, subsampling=0)
    at = data.index(b"Adobe") + 11
    data = data[:at] + b"\x02" + data[at + 1 :]
    assert np.abs(read(data).pixels.astype(int) - SMALL).max() <= 12


def _cmyk(planes):
    return Image.merge("CMYK", [image(np.ascontiguousarray(planes[..., i])) for i in range(4)])


@given(st.integers(1, 130), st.integers(1, 130), st.integers(1, 140), st.sampled_from(["JPEG", "PNG"]))
def test_no_side_is_longer_than_asked_for_and_nothing_is_enlarged(width, height, most, kind):
    found = read(encoded(np.zeros((height, width, 3), np.uint8), kind), most)
    h, w = found.pixels.shape[:2]
    assert max(w, h) == min(most, max(width, height))
    scale = max(w, h) / max(width, height)
    assert abs(w - width * scale) < 1
    assert abs(h - height * scale) < 1
    assert (found.width_px, found.height_px) == (width, height)


@pytest.mark.parametrize("most", [32, 100, 240, 333, 500, 512, 700, 1024])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_decoded_smaller_is_what_others_make_of_it(most, progressive):
    large = scene(7, 2016, 1512)
    found = read(encoded(large, quality=92, progressive=progressive), most).pixels
    assert ssim_tiles(found, fit(large, most, Image.Resampling.BICUBIC)) > 0.97


@pytest.mark.parametrize("kind", FORMATS)
def test_size_is_that_of_the_whole_picture_however_small_the_pixels(kind):
    found = read(KINDS[kind][0], 9)
    assert found.pixels.shape == (6, 9, 3)
    assert (found.width_px, found.height_px) == (90, 60)


@EACH
def test_every_kind_of_picture_made_smaller(kind):
    data, expected, _ = KINDS[kind]
    found = read(data, 45).pixels
    assert np.abs(found - resized(expected.astype(np.uint8), 45, 30).astype(float)).mean() < 7


def upright(pixels, orientation):
    """By the words of the standard: where the stored rows and columns begin."""
    turn = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: p[::-1].swapaxes(0, 1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: p[:, ::-1].swapaxes(0, 1),
    }
    return turn[orientation](pixels)


def tagged(kind, orientation):
    exif = Image.Exif()
    exif[EXIF] = orientation
    options = (
        {"quality": 98, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    )
    return encoded(SMALL, kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
class TestOrientation:
    def test_the_file_says_it(self, kind, orientation):
        found = read(tagged(kind, orientation))
        expected = upright(SMALL, orientation)
        assert found.pixels.shape == expected.shape
        assert np.abs(found.pixels.astype(int) - expected).max() <= 8
        assert (found.height_px, found.width_px) == expected.shape[:2]

    @pytest.mark.parametrize("own", [1, 3, 5, 6, 8])
    def test_what_is_given_wins(self, kind, orientation, own):
        found = read(tagged(kind, own), 45, orientation=orientation)
        expected = upright(np.asarray(resized(SMALL, 45, 30)), orientation)
        assert found.pixels.shape == expected.shape
        assert np.abs(found.pixels.astype(int) - expected).max() <= 8
        assert (found.height_px, found.width_px) == upright(SMALL, orientation).shape[:2]


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(value):
    for kind in ("JPEG", "PNG", "WEBP"):
        assert read(tagged(kind, value)).pixels.shape == (60, 90, 3)


@pytest.mark.parametrize("given", [0, 9, -1])
def test_nonsense_is_a_mistake_of_the_caller(given):
    with pytest.raises(ValueError):
        read(KINDS["png"][0], orientation=given)
    with pytest.raises(ValueError):
        read(KINDS["png"][0], min(given, 0))


def test_metadata_of_a_jpeg_do_not_matter():
    plain = encoded(SMALL, quality=90)
    bodies = (
        (0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
        (0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
        (0xE2, b"ICC_PROFILE\0\1\1x"),
        (0xED, b"Photoshop 3.0\x008BIM"),
        (0xFE, b"\xff\xda"),
    )
    nonsense = b"".join(struct.pack(">BBH", 0xFF, m, len(body) + 2) + body for m, body in bodies)
    assert (read(plain[:2] + nonsense + plain[2:]).pixels == read(plain).pixels).all()


class TestHostile:
    @given(st.sampled_from(FORMATS), st.floats(0, 1), st.sampled_from([None, 40, 9]))
    def test_a_picture_that_is_cut_off_is_whole_or_refused(self, kind, share, most):
        data = KINDS[kind][0]
        cut = data[: int(share * (len(data) - 1))]
        try:
            found = read(cut, most)
        except UnreadableFile as e:
            assert e.path == "made"
            assert e.hint
        else:
            assert (found.pixels == read(data, most).pixels).all()

    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_it_says_that_it_is_cut_off(self, kind, share):
        data = KINDS[kind][0]
        with pytest.raises(UnreadableFile, match="cut off"):
            read(data[: int(share * len(data))])

    @given(st.sampled_from(list(KINDS)), st.data(), st.sampled_from([None, 20]))
    def test_damage_is_one_error_or_a_picture(self, kind, data, most):
        made = bytearray(KINDS[kind][0])
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, min(len(made) - 1, data.draw(st.sampled_from([40, 700, 10**6])))))
            made[at] = data.draw(st.integers(0, 255))
        try:
            found = read(bytes(made), most)
        except UnreadableFile as e:
            assert len(str(e)) < 400
            assert str(e).isprintable()
        else:
            assert found.pixels.ndim == 3
            assert found.width_px * found.height_px <= MOST_PIXELS

    def png(self, width, height):
        from zlib import crc32

        head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        idat = b"IDAT" + KINDS["png"][0][60:80]
        chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", crc32(c)) for c in (head, idat)]
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

    def jpeg(self, width, height):
        data = encoded(SMALL)
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]

    def gif(self, width, height):
        data = KINDS["gif"][0]
        at = data.index(b"\x2c\0\0\0\0")
        size = struct.pack("<HH", width, height)
        return data[:6] + size + data[10 : at + 5] + size + data[at + 9 :]

    def tiff(self, width, height):
        data = KINDS["tiff"][0]
        for tag, value in ((256, width), (257, height)):
            at = data.index(struct.pack("<H", tag), int.from_bytes(data[4:8], "little"))
            data = data[: at + 2] + struct.pack("<HII", 4, 1, value) + data[at + 12 :]
        return data

    def webp(self, width, height):
        body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0"
        body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body

    @pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff"])
    def test_a_bomb_is_refused_before_it_is_decoded(self, kind):
        with pytest.raises(UnreadableFile, match="65000 x 65000 pixels, more than the 200 million"):
            read(getattr(self, kind)(65000, 65000), 64)

    def test_a_webp_bomb_is_refused(self):
        with pytest.raises(UnreadableFile):
            read(self.webp(16000, 16000), 64)

    def test_a_jpeg_of_endless_scans_is_refused(self):
        data = KINDS["jpeg progressive"][0]
        scans = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
        last = data[scans[-1] : -2]
        with pytest.raises(UnreadableFile, match="more scans"):
            read(data[:-2] + last * 300 + data[-2:])
        assert [b - a > 0 for a, b in pairwise(scans)]

    def test_a_jpeg_of_endless_segments_ends(self):
        with pytest.raises(UnreadableFile):
            read(b"\xff\xd8" + b"\xff\xe5\0\x02" * 200_000)

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "is empty"), (b"hello, world", "is no picture"), (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
            (encoded(SMALL, "BMP"), "is no picture"), (encoded(SMALL, "ICO"), "is no picture"), (b"\xff\xd8\xff", "cut off"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is no picture"), (b"\x89PNG\r\n\x1a\n", "cut off"), (b"II*\0", "decoded"),
        ],
    )  # fmt: skip
    def test_what_is_no_picture(self, data, why):
        with pytest.raises(UnreadableFile, match=why):
            read(data)

    def test_a_file_that_is_not_there(self):
        with pytest.raises(UnreadableFile, match="is not there"), FileBytes("/nowhere/a.jpg") as source:
            decode(source)

    def test_a_source_that_fails_in_the_middle_says_so_itself(self):
        class Failing(MemoryBytes):
            def read_at(self, offset, n):
                if offset > 2000:
                    raise UnreadableFile(self.name, "cannot be read (Input/output error)", retryable=True)
                return super().read_at(offset, min(n, 2500 - offset))

        for kind in ("jpeg", "png", "webp exact", "tiff"):
            with pytest.raises(UnreadableFile, match="Input/output") as caught:
                decode(Failing(KINDS[kind][0], "card"))
            assert caught.value.retryable


def test_threads_share_nothing():
    names = list(KINDS) * 4
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda kind: read(KINDS[kind][0], 50).pixels, names))
    assert all((p == read(KINDS[kind][0], 50).pixels).all() for kind, p in zip(names, found))
    assert list(warnings.filters) == before


@given(st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_resized(width, height, is_grey):
    p = GREY if is_grey else SMALL
    found = resized(p, width, height)
    assert found.shape == (height, width, *p.shape[2:])
    assert resized(p, 90, 60) is p
    assert (resized(np.full_like(p, 7), width, height) == 7).all()


def test_luminance():
    assert luminance(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)).tolist() == [
        [76, 150, 29, 9]
    ]
    assert luminance(GREY) is GREY


@pytest.mark.data
@pytest.mark.parametrize("name", ["dcsf0118", "dcsf0119", "dcsf0119_crop", "dcsf0123", "dcsf0124"])
@pytest.mark.parametrize(("most", "least"), [(240, 0.985), (500, 0.985), (1024, 0.99)])
def test_real_photos_are_what_pillow_makes_of_all_their_pixels(name, most, least):
    path = REAL_DATA / "photos" / "nature" / f"{name}.jpg"
    full = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
    most = min(most, max(full.shape))
    with FileBytes(str(path)) as source:
        found = decode(source, most)
    assert ssim_tiles(found.pixels, fit(full, most, Image.Resampling.BICUBIC)) > least
    assert (found.height_px, found.width_px) == full.shape[:2]


@pytest.mark.data
@pytest.mark.parametrize("name", ["corrupt_exif.jpg", "corrupt_exif_large_thumbnail.jpg"])
def test_a_picture_stands_whatever_its_exif_is(name):
    with FileBytes(str(REAL_DATA / "broken" / name)) as source:
        assert decode(source, 16).pixels.shape[2] == 3
