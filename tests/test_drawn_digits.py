"""Drawn digits: MNIST's own files, repeatable bytes, placed as MNIST's are, each like its own kind."""

from pathlib import Path

import numpy as np
import pytest

from dogsgan.data.drawn.digits import SIDE_PX, draw_digits
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_digits(tmp_path_factory.mktemp("drawn") / "digits", images=600, seed=1)


def pictures_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    source = open_source(path)
    digits = source.storage.digits  # type: ignore[union-attr]
    return digits.pictures, digits.labels


def test_they_are_mnist_s_four_files(drawn: Path) -> None:
    assert sorted(path.name for path in drawn.iterdir()) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    for path, count in ((drawn, 600), (Path(f"{drawn}@test"), 100)):
        source = open_source(path)
        assert source.kind == "mnist"
        assert len(source.images) == count
        assert source.skipped == []
        assert {image.class_name for image in source.images} == set("0123456789")


def test_every_digit_is_there_as_often_and_in_any_order(drawn: Path) -> None:
    _, labels = pictures_of(drawn)
    assert np.bincount(labels).tolist() == [60] * 10
    assert (np.diff(labels.astype(int)) < 0).mean() > 0.3


def test_no_digit_is_drawn_twice(drawn: Path) -> None:
    training, test = pictures_of(drawn)[0], pictures_of(Path(f"{drawn}@test"))[0]
    assert len({picture.tobytes() for picture in (*training, *test)}) == 700


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    def contents(name: str, seed: int) -> list[bytes]:
        folder = draw_digits(tmp_path / name, images=30, seed=seed)
        return [path.read_bytes() for path in sorted(folder.iterdir())]

    first = contents("a", 5)
    assert contents("b", 5) == first
    assert contents("c", 6)[2] != first[2]


def test_a_digit_is_placed_as_mnist_s_are(drawn: Path) -> None:
    """20 px at its longer side, the middle of its ink in the middle, hardly any cut off."""
    pictures, _ = pictures_of(drawn)
    assert pictures.dtype == np.uint8
    assert pictures.shape[1:] == (SIDE_PX, SIDE_PX)
    places = np.arange(SIDE_PX)
    for picture in pictures:
        rows, columns = np.nonzero(picture > 127)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22
        down = np.average(places, weights=picture.sum(axis=1))
        across = np.average(places, weights=picture.sum(axis=0))
        assert abs(down - 13.5) < 1.2
        assert abs(across - 13.5) < 1.2
    border = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], axis=1)
    assert (border.max(axis=1) > 127).mean() < 0.02  # as of MNIST's own, 1.2%


def test_as_much_of_a_picture_is_ink_as_of_mnist_s(drawn: Path, shared_data: Path) -> None:
    genuine = pictures_of(shared_data / "mnist")[0]
    for measured in (np.mean, lambda pictures: np.mean((pictures > 12) & (pictures < 243))):
        ours, theirs = measured(pictures_of(drawn)[0]), measured(genuine)
        assert 0.75 < ours / theirs < 1.3


def test_a_digit_looks_like_those_of_its_kind(drawn: Path) -> None:
    """The nearest drawn training digit names nine of ten test digits: kinds differ, and are not one shape."""
    training, labels = pictures_of(drawn)
    test, wanted = pictures_of(Path(f"{drawn}@test"))
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (test, training))
    distances = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    assert (labels[distances.argmin(axis=1)] == wanted).mean() > 0.9
    for label in range(10):
        assert training[labels == label].std(axis=0).max() > 60


def test_people_who_read_mnist_read_these(drawn: Path, shared_data: Path) -> None:
    """Among genuine digits the nearest to a drawn one is mostly of the same kind."""
    genuine, kinds = (part[:6000] for part in pictures_of(shared_data / "mnist"))
    pictures, labels = (part[:300] for part in pictures_of(drawn))
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (pictures, genuine))
    distances = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    assert (kinds[distances.argmin(axis=1)] == labels).mean() > 0.8


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match="9 digits cannot be drawn"):
        draw_digits(tmp_path / "a", images=9)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("precious")
    with pytest.raises(DogsganError, match="not an empty folder"):
        draw_digits(tmp_path / "mine", images=10)
    assert (tmp_path / "mine/file").read_text() == "precious"
