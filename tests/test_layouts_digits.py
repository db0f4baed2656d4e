"""MNIST as a source: the right set under its many names, with its own labels, and no pixel changed."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_layouts_idx import digits, idx
from test_sources import jpeg, lay_out, zip_up

from dogsgan.config import DataRecipe
from dogsgan.data.cropping import cut_opened
from dogsgan.data.cropset import CropSet
from dogsgan.data.pictures import add_border, decode_picture
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError

TRAIN, TEST = digits(6, seed=1), digits(3, seed=2)
TRAIN_LABELS, TEST_LABELS = np.array([5, 0, 4, 1, 9, 2], np.uint8), np.array([7, 2, 1], np.uint8)
FILES = {
    "train-images-idx3-ubyte": idx(TRAIN),
    "train-labels-idx1-ubyte": idx(TRAIN_LABELS),
    "t10k-images-idx3-ubyte": idx(TEST),
    "t10k-labels-idx1-ubyte": idx(TEST_LABELS),
}


def packed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()}


def pixels(source: Source) -> np.ndarray:
    """Return every picture as others read it, N×H×W; grey must come widened to three equal channels."""
    read = np.stack([np.asarray(decode_picture(source.read(i), i.name)) for i in source.images])
    assert (read == read[..., :1]).all()
    return read[..., 0]


LAYOUTS = {
    "plain": FILES,
    "packed": packed(FILES),
    "both, as torchvision leaves them": {f"MNIST/raw/{k}": v for k, v in (FILES | packed(FILES)).items()},
    "Kaggle": {f"{k}/{k}": v for k, v in FILES.items()}
    | {k.replace("-idx", ".idx"): v for k, v in FILES.items()},
    "with other files": FILES | {"README.md": b"x", "samples/digits.png": jpeg()},
}


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_training_digits_are_found_and_the_test_digits_when_asked(
    layout: str, as_zip: bool, tmp_path: Path
) -> None:
    files = LAYOUTS[layout]
    path = zip_up(tmp_path / "x.zip", files) if as_zip else lay_out(tmp_path / "x", files)
    source = open_source(path)
    assert source.kind == "mnist"
    assert np.array_equal(pixels(source), TRAIN)
    assert [image.class_name for image in source.images] == ["5", "0", "4", "1", "9", "2"]
    assert "6 grey pictures of 28×28 px, 6 classes" in source.description
    strangers = ["README.md", "samples/digits.png"] if layout == "with other files" else []
    assert [item.name for item in source.skipped] == strangers
    test = open_source(path.with_name(path.name + "@test"))
    assert np.array_equal(pixels(test), TEST)
    assert [image.class_name for image in test.images] == ["7", "2", "1"]
    assert test.fingerprint() != source.fingerprint()


def test_a_single_file_is_the_split_it_is_named_after(tmp_path: Path) -> None:
    lay_out(tmp_path, packed(FILES))
    training = open_source(tmp_path / "train-images-idx3-ubyte.gz")
    assert [image.class_name for image in training.images] == ["5", "0", "4", "1", "9", "2"]
    source = open_source(tmp_path / "t10k-images-idx3-ubyte.gz")
    assert np.array_equal(pixels(source), TEST)
    assert [image.class_name for image in source.images] == ["7", "2", "1"]
    assert source.fingerprint() == open_source(tmp_path.with_name(tmp_path.name + "@test")).fingerprint()


def test_without_labels_there_are_no_classes_and_that_is_said(tmp_path: Path) -> None:
    lay_out(tmp_path, {"train-images-idx3-ubyte": idx(TRAIN), "digits.bin": idx(TEST)})
    for path, expected in ((tmp_path, TRAIN), (tmp_path / "digits.bin", TEST)):
        source = open_source(path)
        assert np.array_equal(pixels(source), expected)
        assert {image.class_name for image in source.images} == {None}
        assert "no labels" in source.description


def test_labels_of_two_digits_sort_as_numbers(tmp_path: Path) -> None:
    labels = np.array([10, 2, 46, 0, 1, 9], np.uint8)
    lay_out(tmp_path, FILES | {"train-labels-idx1-ubyte": idx(labels)})
    crop_set = prepare(tmp_path, tmp_path / "set", DataRecipe(size_px=28)).crop_set
    assert crop_set.class_names == ("00", "01", "02", "09", "10", "46")
    assert crop_set.labels.tolist() == [4, 2, 5, 0, 1, 3]


@pytest.mark.parametrize("as_zip", [False, True])
def test_emnist_is_turned_upright_and_that_is_said(as_zip: bool, tmp_path: Path) -> None:
    files = {f"emnist-letters-{k}": v for k, v in FILES.items() if k.startswith("train")}
    path = zip_up(tmp_path / "x.zip", files) if as_zip else lay_out(tmp_path / "x", files)
    source = open_source(path)
    assert np.array_equal(pixels(source), TRAIN.swapaxes(1, 2))
    assert "turned upright, because EMNIST stores each transposed" in source.description
    lay_out(tmp_path / "mnist", FILES)
    assert "upright" not in open_source(tmp_path / "mnist").description


def test_a_name_without_end_is_not_repeated_for_every_digit(tmp_path: Path) -> None:
    path = zip_up(tmp_path / "x.zip", {"a" * 60_000 + "-train-images-idx3-ubyte": idx(TRAIN)})
    assert all(len(image.name) < 100 for image in open_source(path).images)


def test_pictures_above_the_idx_files_win(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a.jpg": jpeg(), **{f"old/{k}": v for k, v in FILES.items()}})
    assert open_source(tmp_path).kind == "pictures"


REFUSED = {
    "mismatched labels": (
        FILES | {"train-labels-idx1-ubyte": idx(TEST_LABELS)},
        "",
        "6 pictures but train-labels-idx1-ubyte 3 labels",
    ),
    "labels for pictures": (
        FILES | {"train-images-idx3-ubyte": idx(TRAIN_LABELS)},
        "",
        "train-images-idx3-ubyte",
    ),
    "pictures for labels": (FILES | {"train-labels-idx1-ubyte": idx(TRAIN)}, "", "train-labels-idx1-ubyte"),
    "cut": (
        {"train-images-idx3-ubyte.gz": gzip.compress(idx(TRAIN))[:-30]},
        "",
        "train-images-idx3-ubyte.gz",
    ),
    "broken labels": (FILES | {"train-labels-idx1-ubyte": b"hello"}, "", "train-labels-idx1-ubyte"),
    "two sets": (
        {f"{d}/{k}": v for d in ("mnist", "fashion") for k, v in FILES.items()},
        "",
        "more than one",
    ),
    "no such split": (FILES, "@valid", "no split 'valid'"),
    "only labels": ({"train-labels-idx1-ubyte": idx(TRAIN_LABELS)}, "", "no pictures"),
    "no test split": (
        {k: v for k, v in FILES.items() if "train" in k},
        "@test",
        "holds train-images-idx3-ubyte",
    ),
    "the labels' file": (FILES, "/t10k-labels-idx1-ubyte", "give the file with the images"),
    "a split of a file": (FILES, "/t10k-images-idx3-ubyte@train", "no splits"),
    "too wide": ({"train-images-idx3-ubyte": idx(digits(1, height=1, width=1100))}, "", "1024 px"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    files, asked, said = REFUSED[case]
    lay_out(tmp_path / "mnist", files)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(DogsganError) as caught:
        open_source(Path(f"{tmp_path}/mnist{asked}"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@settings(deadline=None, max_examples=60)
@given(
    file=st.sampled_from(sorted(FILES)),
    at=st.integers(0, 400),
    junk=st.binary(max_size=5),
    cut=st.booleans(),
    as_gzip=st.booleans(),
)
def test_damaged_files_raise_nothing_but_one_line(
    file: str, at: int, junk: bytes, cut: bool, as_gzip: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("digits")
    files = packed(FILES) if as_gzip else dict(FILES)
    file += ".gz" * as_gzip
    content = files[file]
    files[file] = content[:at] + junk + (b"" if cut else content[at + len(junk) :])
    try:
        source = open_source(zip_up(folder / "x.zip", files))
        assert len(pixels(source)) == len(source.images)
    except DogsganError as error:
        assert "train-" in str(error)  # noqa: PT017 (it may also be no error at all)


def test_a_source_that_broke_leaves_the_set_that_was_made_of_it(tmp_path: Path) -> None:
    lay_out(tmp_path / "mnist", FILES)
    made = prepare(tmp_path / "mnist", tmp_path / "set", DataRecipe(size_px=32)).crop_set
    lay_out(tmp_path / "mnist", {"train-labels-idx1-ubyte": idx(TEST_LABELS)})
    with pytest.raises(DogsganError):
        prepare(tmp_path / "mnist", tmp_path / "set", DataRecipe(size_px=32))
    kept = CropSet.open(tmp_path / "set")
    kept.verify()
    assert kept.fingerprint == made.fingerprint


@pytest.mark.parametrize("policy", ["square", "center", "whole", "context"])
def test_digits_are_neither_blurred_nor_moved(policy: str, tmp_path: Path) -> None:
    lay_out(tmp_path / "mnist", FILES)
    same = prepare(tmp_path / "mnist", tmp_path / "28", DataRecipe(size_px=28, policy=policy)).crop_set
    assert np.array_equal(same.pictures, TRAIN[..., None].repeat(3, axis=3))
    framed = prepare(tmp_path / "mnist", tmp_path / "32", DataRecipe(size_px=32, policy=policy)).crop_set
    assert np.array_equal(framed.pictures[:, 2:30, 2:30], same.pictures)
    assert int(framed.pictures.sum()) == int(same.pictures.sum())  # and black around
    assert framed.class_names == ("0", "1", "2", "4", "5", "9")
    assert framed.labels.tolist() == [4, 0, 3, 1, 5, 2]
    assert framed.origin(0).rectangle == (0, 0, 28, 28)


def test_other_sizes_are_resized_with_the_border_of_32(tmp_path: Path) -> None:
    full = np.full((1, 28, 28), 255, np.uint8)
    lay_out(tmp_path / "mnist", {"train-images-idx3-ubyte": idx(full)})
    for size_px, margin in ((16, 0), (27, 0), (64, 4), (128, 8)):
        picture = prepare(
            tmp_path / "mnist", tmp_path / str(size_px), DataRecipe(size_px=size_px)
        ).crop_set.pictures[0]
        bright = np.flatnonzero(picture[size_px // 2, :, 0] > 128)
        assert (bright[0], bright[-1]) == (margin, size_px - 1 - margin)


def test_an_audit_sees_digits_as_training_does(tmp_path: Path) -> None:
    lay_out(tmp_path / "mnist", FILES)
    source = open_source(tmp_path / "mnist")
    trained_on = prepare(source, tmp_path / "set", DataRecipe(size_px=32)).crop_set.pictures[3]
    image = source.images[3]
    [(view, _)] = cut_opened(source, image, source.open(image), ("whole", "square", "center"), size_px=32)
    assert np.array_equal(view, trained_on)


def test_a_border_is_black_even_and_at_most_an_eighth() -> None:
    bright = np.full((28, 20, 3), 9, np.uint8)
    assert add_border(bright, 8) is bright
    assert add_border(bright, 30).shape == (30, 23, 3)  # 20 × 8 / 7, rounded up
    assert add_border(bright, 500).shape == (32, 23, 3)
    framed = add_border(bright, 32)
    assert (framed[2:30, 1:21] == 9).all()
    assert framed.sum() == bright.sum()


def test_the_real_digits(shared_data: Path, tmp_path: Path) -> None:
    test = open_source(shared_data / "mnist/t10k-images-idx3-ubyte.gz")
    assert [image.class_name for image in test.images[:10]] == list("7210414959")  # as everybody knows them
    assert Counter(image.class_name for image in test.images)["1"] == 1135
    training = open_source(shared_data / "mnist")
    assert len(training.images) == 60_000
    counts = Counter(image.class_name for image in training.images)
    assert [counts[str(digit)] for digit in range(10)] == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    for image in training.images[::9999]:
        read = np.asarray(decode_picture(training.read(image), image.name))
        assert training.storage is not None
        assert np.array_equal(read[..., 0], training.storage.digits.pictures[int(image.name[6:11])])  # type: ignore[attr-defined]
    crop_set = prepare(test, tmp_path / "set", DataRecipe(size_px=32)).crop_set
    assert round(float(crop_set.pictures[:, 2:30, 2:30].mean()), 3) == 33.791  # 0.1325 of 255, as published
    assert not crop_set.pictures[:, :2].any()
