"""Prepared sets: what is written is what opens, at once; broken or half ones are refused."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dogsgan.crops import Box, Rectangle
from dogsgan.data.cropset import CropSet, Origin, crop_set_writer, write_crop_set
from dogsgan.errors import DogsganError

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def written(tmp_path: Path) -> CropSet:
    return write_crop_set(tmp_path / "set", PICTURES, [0, 1, 1, 0, 1], class_names=["a", "b"])


def test_what_is_written_is_what_opens(written: CropSet) -> None:
    opened = CropSet.open(written.path)
    assert isinstance(opened.pictures, np.memmap)
    assert (opened.pictures == PICTURES).all()
    assert opened.labels.tolist() == [0, 1, 1, 0, 1]
    assert opened.labels.dtype == np.int64
    assert (opened.class_names, len(opened), opened.size_px) == (("a", "b"), 5, 16)
    assert opened.fingerprint == written.fingerprint
    opened.verify()


def test_grey_pictures_without_classes(tmp_path: Path) -> None:
    crop_set = write_crop_set(tmp_path / "set", PICTURES[..., 0])
    assert crop_set.pictures.shape == (5, 16, 16, 3)
    assert (crop_set.pictures[..., 2] == PICTURES[..., 0]).all()
    assert (crop_set.labels == -1).all()
    assert crop_set.class_names == ()


def test_origins_are_kept(tmp_path: Path) -> None:
    origins = [
        Origin("n1/a.jpg", Box(1, 2, 3, 4), Rectangle(0, 0, 9, 9), "square"),
        Origin("ü.png", None, Rectangle(1, 1, 5, 5), "whole"),
    ]
    with crop_set_writer(tmp_path / "set", size_px=16) as writer:
        for picture, origin in zip(PICTURES, origins, strict=False):
            writer.add(picture, origin=origin)
        writer.finish([-1, -1])
    crop_set = CropSet.open(tmp_path / "set")
    assert [crop_set.origin(index) for index in range(2)] == origins
    assert crop_set.origins["box"].tolist() == [[1, 2, 3, 4], [-1, -1, -1, -1]]


def test_the_fingerprint_is_of_pictures_labels_and_names(tmp_path: Path) -> None:
    names = ["a", "b"]
    other = PICTURES.copy()
    other[4, 15, 15, 2] ^= 1
    variants = [
        (PICTURES, [0, 0, 0, 0, 1], names),
        (PICTURES, [0, 0, 0, 0, 0], names),
        (PICTURES, [0, 0, 0, 0, 1], ["a", "c"]),
        (other, [0, 0, 0, 0, 1], names),
    ]
    prints = [write_crop_set(tmp_path / "s", p, y, class_names=n).fingerprint for p, y, n in variants]
    assert len(set(prints)) == 4
    again = write_crop_set(
        tmp_path / "s", PICTURES, [0, 0, 0, 0, 1], class_names=names, provenance={"from": "x"}
    )
    assert again.fingerprint == prints[0]


def test_a_large_set_opens_in_milliseconds(tmp_path: Path) -> None:
    write_crop_set(
        tmp_path / "set", np.zeros((20_000, 8, 8, 3), np.uint8), range(20_000), class_names=["x"] * 20_000
    )
    best = min(_seconds_to_open(tmp_path / "set") for _ in range(5))
    assert best < 0.1


def _seconds_to_open(path: Path) -> float:
    start = time.perf_counter()
    CropSet.open(path)
    return time.perf_counter() - start


@pytest.mark.parametrize("name", ["pictures.npy", "labels.npy", "origins.npy", "set.json"])
@pytest.mark.parametrize("harm", ["removed", "cut", "emptied", "noise"])
def test_broken_and_half_sets_are_refused_in_one_line(written: CropSet, name: str, harm: str) -> None:
    file = written.path / name
    content = file.read_bytes()
    if harm == "removed":
        file.unlink()
    else:
        file.write_bytes(
            {"cut": content[: len(content) // 2], "emptied": b"", "noise": b"\x80noise" * 40}[harm]
        )
    with pytest.raises(DogsganError, match="set") as caught:
        CropSet.open(written.path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"crops": 4},
        {"class_names": ["a"]},
        {"class_names": 3},
        {"provenance": None},
        {"size_px": "x"},
        {"fingerprint": 5},
    ],
)
def test_a_manifest_that_disagrees_is_refused(written: CropSet, change: dict[str, object]) -> None:
    manifest = json.loads((written.path / "set.json").read_text())
    (written.path / "set.json").write_text(json.dumps(manifest | change))
    with pytest.raises(DogsganError):
        CropSet.open(written.path)


def test_a_changed_picture_is_found_by_verify(written: CropSet) -> None:
    file = written.path / "pictures.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(DogsganError, match="changed"):
        CropSet.open(written.path).verify()


def test_an_interrupted_writer_leaves_nothing_and_keeps_the_old_set(written: CropSet) -> None:
    def pictures() -> Iterator[np.ndarray]:
        yield PICTURES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_crop_set(written.path, pictures())
    assert [path.name for path in written.path.parent.iterdir()] == ["set"]
    CropSet.open(written.path).verify()


def test_other_peoples_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/mine.txt").write_text("precious")
    with pytest.raises(DogsganError, match="no prepared set"):
        write_crop_set(tmp_path / "photos", PICTURES)
    assert (tmp_path / "photos/mine.txt").read_text() == "precious"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_impossible_places_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DogsganError):
        write_crop_set(tmp_path / name, PICTURES)
    with pytest.raises(DogsganError):
        CropSet.open(tmp_path / name)


def test_there_is_no_set_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match="dogsgan prepare"):
        CropSet.open(tmp_path / "nowhere")
    with pytest.raises(DogsganError, match=r"set\.json"):
        CropSet.open(tmp_path)


@pytest.mark.parametrize(
    ("labels", "names"),
    [([0, 1], ["a", "b"]), ([0, 0, 0, 0, 2], ["a", "b"]), ([0] * 5, []), ([-1] * 5, ["a"])],
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], names: list[str], tmp_path: Path) -> None:
    with pytest.raises(DogsganError):
        write_crop_set(tmp_path / "set", PICTURES, labels, class_names=names)
    assert not (tmp_path / "set").exists()


def test_no_pictures_are_no_set(tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match="no pictures"):
        write_crop_set(tmp_path / "set", PICTURES[:0])


def test_a_set_can_be_moved(written: CropSet, tmp_path: Path) -> None:
    shutil.move(written.path, tmp_path / "elsewhere")
    CropSet.open(tmp_path / "elsewhere").verify()
