"""Pictures: every format and colour mode comes out as upright RGB, everything broken as one line."""

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from dogsgan.data.pictures import MAX_PIXELS, decode_picture, has_picture_suffix, open_picture
from dogsgan.errors import DogsganError

RNG = np.random.default_rng(0)
SMOOTH = np.kron(RNG.integers(0, 256, (6, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8)  # 120×160×3


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


PHOTO = Image.fromarray(SMOOTH)
JPEG = encoded(PHOTO, "JPEG", quality=95)


def pixels(content: bytes) -> np.ndarray:
    image = decode_picture(content, "x.jpg")
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def test_a_plain_picture_is_itself() -> None:
    assert (pixels(encoded(PHOTO, "PNG")) == SMOOTH).all()


def test_grey_has_three_equal_channels() -> None:
    grey = pixels(encoded(PHOTO.convert("L"), "JPEG"))
    assert (grey[..., 0] == grey[..., 2]).all()
    assert abs(grey[..., 0] - np.asarray(PHOTO.convert("L"))).mean() < 4


def test_cmyk_keeps_its_colours() -> None:
    assert abs(pixels(encoded(PHOTO.convert("CMYK"), "JPEG", quality=95)) - SMOOTH).mean() < 12


def test_transparency_is_laid_over_white() -> None:
    rgba = np.dstack([SMOOTH, np.zeros(SMOOTH.shape[:2], np.uint8)])
    rgba[:60, :, 3] = 255
    out = pixels(encoded(Image.fromarray(rgba), "PNG"))
    assert (out[:60] == SMOOTH[:60]).all()
    assert (out[60:] == 255).all()


def test_palette_with_and_without_transparency() -> None:
    palette = PHOTO.quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    assert (pixels(encoded(palette, "PNG")) == expected).all()
    assert (pixels(encoded(palette, "GIF")) == expected).all()
    clear = int(np.asarray(palette)[0, 0])
    out = pixels(encoded(palette, "PNG", transparency=clear))
    assert (out[np.asarray(palette) == clear] == 255).all()


def test_sixteen_bits_are_scaled_rather_than_clipped() -> None:
    ramp = np.linspace(0, 65535, 160 * 120).reshape(120, 160).astype(np.uint16)
    out = pixels(encoded(Image.fromarray(ramp), "PNG"))
    assert (out[..., 1] == ramp >> 8).all()


def test_a_png_named_jpg_is_read_by_its_content() -> None:
    assert (np.asarray(decode_picture(encoded(PHOTO, "PNG"), "n1.jpg")) == SMOOTH).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposes, which undo the orientation
    stored = PHOTO if orientation == 1 else PHOTO.transpose(Image.Transpose(inverse[orientation]))
    content = encoded(stored, "PNG", exif=exif)
    assert open_picture(content, "x").size == PHOTO.size
    assert (pixels(content) == SMOOTH).all()


def test_reduced_decoding_is_never_smaller_than_asked_and_close_to_scaling() -> None:
    large = PHOTO.resize((1003, 751), Image.Resampling.BICUBIC)
    content = encoded(large, "JPEG", quality=95)
    for wanted in ((100, 75), (126, 94), (127, 94), (500, 300), (502, 376), (1003, 751)):
        picture, reduction = open_picture(content, "x").decode(min_size=wanted)
        assert picture.width >= wanted[0]
        assert picture.height >= wanted[1]
        assert picture.width == -(-1003 // reduction)
    small = decode_picture(content, "x", min_size=(120, 90))
    assert small.width < 130
    scaled = large.resize(small.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(scaled)).mean() < 4


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "0 bytes"),
        (b"hello", "no format"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (encoded(PHOTO, "PNG")[:300], "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no format"),
        (encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "floating-point"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_picture(content: bytes, why: str) -> None:
    with pytest.raises(DogsganError, match="n02_7") as caught:
        decode_picture(content, "n02_7.jpg")
    assert why in str(caught.value)


@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    assert side * side > MAX_PIXELS
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    content += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(DogsganError, match="million pixels"):
        open_picture(content, "bomb.png")


@given(at=st.integers(0, len(JPEG) - 1), junk=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_damaged_pictures_raise_nothing_but_one_line(at: int, junk: bytes, cut: bool) -> None:
    damaged = JPEG[:at] + junk + (b"" if cut else JPEG[at + len(junk) :])
    with contextlib.suppress(DogsganError):
        assert decode_picture(damaged, "x.jpg", min_size=(20, 20)).mode == "RGB"


def test_suffixes() -> None:
    assert has_picture_suffix("a/b.JPG")
    assert not has_picture_suffix("a.jpg/b.txt")


def test_every_real_picture_opens(shared_data: Path) -> None:
    files = sorted((shared_data / "generative-dog-images-mini/all-dogs/all-dogs").iterdir())
    assert len(files) == 510
    for file in files[::10]:
        assert decode_picture(file.read_bytes(), file.name, min_size=(64, 64)).mode == "RGB"


def tiff(orientation: int, **options: object) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = orientation
    return encoded(PHOTO, "TIFF", tiffinfo=tags, **options)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_as_large_as_its_header_says(orientation: int, compression: str | None) -> None:
    """Pillow turns TIFF by itself; up to version 10 the header's size was that before the turn."""
    picture = open_picture(tiff(orientation, compression=compression), "x.tif")
    assert picture.size == (PHOTO.size if orientation < 5 else PHOTO.size[::-1])
    assert picture.decode()[0].size == picture.size


def test_pixels_of_another_size_than_the_header_says_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dogsgan.data.pictures._as_rgb", lambda image: image.resize((3, 3)))
    with pytest.raises(DogsganError, match="3×3 px, not"):
        decode_picture(JPEG, "x.jpg")


@pytest.mark.parametrize("suffix", ["pgm", "ppm", "pbm", "pnm", "PGM", "JPEG", "Tif", "apng", "WebP", "bmp"])
def test_what_others_take_is_a_picture_here(suffix: str) -> None:
    assert has_picture_suffix(f"a.{suffix}")


@pytest.mark.parametrize(("mode", "header"), [("L", b"P5"), ("RGB", b"P6"), ("1", b"P4")])
def test_portable_maps_are_read(mode: str, header: bytes) -> None:
    content = encoded(PHOTO.convert(mode), "PPM")
    assert content.startswith(header)
    assert (pixels(content) == np.asarray(PHOTO.convert(mode).convert("RGB"))).all()
    plain = b"P2 2 1 255 7 200"
    assert pixels(plain)[0, :, 0].tolist() == [7, 200]


def test_what_pillow_warns_of_is_nobody_elses_business() -> None:
    """Importing the package changes no filter of the process; a warning turned into an error is a refusal."""
    program = (
        "import warnings, PIL.Image, dogsgan.data.pictures; "
        "print(any(f[2] is PIL.Image.DecompressionBombWarning for f in warnings.filters))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.filterwarnings("error")
def test_a_bomb_is_called_too_large_where_warnings_are_errors() -> None:
    test_a_bomb_is_refused_before_it_is_decoded(10_000)
