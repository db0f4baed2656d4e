"""JPEGs as TensorFlow 1.15 decodes them, which is how the competition's scorer read the real pictures."""

import base64
import dataclasses
import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from copied import training_views
from PIL import Image

from dogsgan import pictures
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.sides import real_side_of
from dogsgan.pictures import PictureReader, decode, read_generated, tf1_resize, tf1_resize_batch, whole_at
from dogsgan.scoring import score

GOLDEN = "golden/tf115_decode.npz"
MINI = "generative-dog-images-mini/all-dogs/all-dogs"


def photo(width: int = 90, height: int = 60, *, seed: int = 0) -> Image.Image:
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 9, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 85, **options})
    return buffer.getvalue()


def pillows(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def rotated(content: bytes, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, "JPEG", exif=exif, quality="keep")
    return buffer.getvalue()


def test_the_pixels_are_those_of_tensorflow_1_15(shared_data: Path) -> None:
    golden = np.load(shared_data / GOLDEN)
    for name, digest, shape in zip(golden["names"], golden["raw_sha256"], golden["raw_shape"], strict=True):
        decoded = decode((shared_data / MINI / str(name)).read_bytes(), str(name))
        assert decoded.pixels.shape == tuple(shape)
        assert hashlib.sha256(decoded.pixels.tobytes()).hexdigest() == digest
        assert not decoded.by_pillow


def test_the_resized_pictures_are_those_of_tensorflow_1_15(shared_data: Path) -> None:
    golden = np.load(shared_data / GOLDEN)
    for name, expected in zip(golden["names"], golden["resized_64"], strict=True):
        pixels = decode((shared_data / MINI / str(name)).read_bytes(), str(name)).pixels
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        np.testing.assert_array_equal(tf1_resize(pixels, 64), expected)
        np.testing.assert_array_equal(tf1_resize_batch(batch, 64)[0].permute(1, 2, 0).numpy(), expected)


def test_score_and_audit_are_given_those_pixels(shared_data: Path, tmp_path: Path) -> None:
    golden = np.load(shared_data / GOLDEN)
    source = open_source(shared_data / MINI)
    by_name = {image.name: image for image in source.images}
    chosen = [by_name[str(name)] for name in golden["names"]]
    some = dataclasses.replace(source, images=chosen)
    pictures = np.stack([seen for _, seen in PictureReader(some).stream(whole_at(some, 64))])
    np.testing.assert_array_equal(pictures, golden["resized_64"])
    views = training_views(some, size_px=64, folder=tmp_path)
    for view, image in zip(views.pictures[views.form == 0], chosen, strict=True):
        whole = Image.fromarray(decode(some.read(image), image.name).pixels)
        np.testing.assert_array_equal(view, whole.resize((64, 64), Image.Resampling.LANCZOS))


# A 16×16 JPEG, 4:2:0, whose fast and accurate DCT differ, and what the fast one makes of it.
SMALL = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxO"
    "UlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT0//wAARCAAQABADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABQME/8QAHxAAAgIBBAMAAAAAAAAAAAAAAQID"
    "EQAEBRIhExRR/8QAFQEBAQAAAAAAAAAAAAAAAAAAAgP/xAAdEQABBAIDAAAAAAAAAAAAAAADAAEEIQJREiOh/9oADAMBAAIRAxEA"
    "PwBLUBYomjjYMHFWMwbXoRtMjyBg3kN9ZHa5mLcHPK/uMeiYaZmLcu6wEmlsGV8vVCeSNHfrtt6X/9k="
)
SMALL_SHA256 = "6566270536c309701c9fe524264f443ee543a50ee663ad2a0ec59774218e48c4"


def test_a_small_jpeg_is_decoded_by_the_fast_dct() -> None:
    decoded = decode(SMALL, "small.jpg")
    assert hashlib.sha256(decoded.pixels.tobytes()).hexdigest() == SMALL_SHA256
    assert (decoded.pixels != pillows(SMALL)).any()


@pytest.mark.parametrize(
    "content",
    [
        jpeg(photo(), progressive=True),
        jpeg(photo(), subsampling="4:4:4"),
        jpeg(photo(), keep_rgb=True),
        jpeg(photo().convert("L")),
        jpeg(photo(1, 1)),
        jpeg(photo()) + b"something after the end",
    ],
    ids=["progressive", "4:4:4", "rgb", "grey", "one pixel", "longer"],
)
def test_every_kind_that_tensorflow_reads_is_read_like_it(content: bytes) -> None:
    decoded = decode(content, "x.jpg")
    assert not decoded.by_pillow
    expected = pillows(content)
    assert decoded.pixels.shape == expected.shape
    assert np.abs(decoded.pixels.astype(int) - expected).mean() < 3


def test_cmyk_is_left_to_pillow_and_counted(tmp_path: Path) -> None:
    content = jpeg(photo().convert("CMYK"))
    decoded = decode(content, "x.jpg")
    assert decoded.by_pillow
    np.testing.assert_array_equal(decoded.pixels, pillows(content))
    for side, count in (("generated", 6), ("real", 5)):
        (tmp_path / side).mkdir()
        for index in range(count):
            image = photo(64, 64, seed=index)
            first = index < {"generated": 1, "real": 2}[side]
            (tmp_path / side / f"{index}.jpg").write_bytes(jpeg(image.convert("CMYK" if first else "RGB")))
    sides = tmp_path / "generated", tmp_path / "real"
    for _ in range(2):  # the second time the real side comes from the cache
        result = score(*sides, network="stand-in", device="cpu", cache_dir=tmp_path / "c")
        assert result.to_json()["jpegs_by_pillow"] == 3
        assert "3 JPEG(s) that the competition's decoder cannot read" in result.summary()


def test_nothing_is_said_where_no_jpeg_fell_back(tmp_path: Path) -> None:
    for index in range(5):
        photo(64, 64, seed=index).save(tmp_path / f"{index}.png")
    result = score(tmp_path, tmp_path, network="stand-in", device="cpu", cache_dir=tmp_path / "c")
    assert result.jpegs_by_pillow == 0
    assert "Pillow" not in result.summary()


def test_a_jpeg_that_is_cut_short_is_refused_and_damage_within_is_not() -> None:
    content = jpeg(photo(400, 300))
    for end in (len(content) // 2, len(content) - 100):
        with pytest.raises(DogsganError, match=r"a-dog\.jpg cannot be decoded"):
            decode(content[:end], "a-dog.jpg")
    middle = len(content) // 2
    damaged = content[:middle] + b"\x12\xff\xd0\x34" + content[middle + 4 :]
    assert not decode(damaged, "x.jpg").by_pillow


def test_scored_pictures_are_not_turned_and_audited_ones_are(tmp_path: Path) -> None:
    """TensorFlow ignores EXIF's orientation; what a generator was shown is upright."""
    content = rotated(jpeg(photo(90, 60)), 6)
    stored = decode(content, "x.jpg").pixels
    assert stored.shape == (60, 90, 3)
    opened = decode(content, "x.jpg").upright("x.jpg")
    upright, reduction = opened.decode(min_size=(8, 8))
    assert opened.size == upright.size == (60, 90)
    assert reduction == 1
    np.testing.assert_array_equal(np.asarray(upright), np.rot90(stored, -1))
    (tmp_path / "a.jpg").write_bytes(rotated(jpeg(photo(64, 64)), 6))
    (tmp_path / "b.jpg").write_bytes(rotated(jpeg(photo(64, 64)), 6))
    source = open_source(tmp_path)
    pictures = read_generated(source).pixels
    assert pictures.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(pictures[0], decode(rotated(jpeg(photo(64, 64)), 1), "x.jpg").pixels)


def test_a_png_is_what_it_is_with_exif_or_without(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    image = photo(20, 10)
    image.save(tmp_path / "x.png", exif=exif)
    decoded = decode((tmp_path / "x.png").read_bytes(), "x.png")
    np.testing.assert_array_equal(decoded.pixels, np.asarray(image))
    assert not decoded.by_pillow


def test_other_decoders_make_other_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier version decoded otherwise is not found in the cache."""
    from dogsgan.features import networks, sides

    for index in range(3):
        (tmp_path / f"{index}.jpg").write_bytes(jpeg(photo(seed=index)))
    source, network = open_source(tmp_path), networks.open_network("stand-in", device="cpu")
    kept, _ = real_side_of(source, network, size_px=64, cache_dir=tmp_path)
    found = sides.load_cached(sides.feature_file(tmp_path, source, network, size_px=64).path(), network)
    np.testing.assert_array_equal(found.features, kept.features)
    assert f"decoding {pictures.DECODING_VERSION}," in sides.PIXELS
    monkeypatch.setattr(sides, "PIXELS", sides.PIXELS.replace("decoding ", "decoding 1"))
    assert not sides.feature_file(tmp_path, source, network, size_px=64).is_likely()


def test_a_kernel_needs_no_simplejpeg() -> None:
    """Kaggle's image may lack it: what prepares, trains, generates and checks never imports it."""
    modules = "dogsgan.stages, dogsgan.data.prepare, dogsgan.submission, dogsgan.kernel.main"
    program = f"import sys; sys.modules['simplejpeg'] = None; import {modules}; print('fine')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
