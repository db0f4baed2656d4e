"""pictures ─▶ images.zip: the right pixels, the same bytes on any day, nothing half-written."""

import errno
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

from dogsgan.errors import DogsganError
from dogsgan.submission import write_submission, writing


def pictures(count: int, *, size: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def batches(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (array[first : first + size] for first in range(0, len(array), size))


def read_back(path: Path) -> list[Image.Image]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return [Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()]


def test_names_count_in_order_and_the_report_says_what_is_there(tmp_path: Path) -> None:
    report = write_submission(batches(pictures(150), 40), tmp_path / "images.zip", count=150)
    with zipfile.ZipFile(report.path) as archive:
        assert archive.namelist() == [f"{index:05d}.png" for index in range(150)]
    assert report.bytes == report.path.stat().st_size
    assert report.seconds > 0
    assert {"count", "path", "seconds"} <= report.to_json().keys()
    assert report.to_json()["path"] == str(report.path)
    assert "150 pictures" in report.summary()


def test_pillow_and_torchvision_read_the_same_pixels(tmp_path: Path) -> None:
    array = pictures(70, size=64)
    path = write_submission([array], tmp_path / "images.zip", count=70).path
    images = read_back(path)
    assert {(image.format, image.mode, image.size) for image in images} == {("PNG", "RGB", (64, 64))}
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in images]), array)
    with zipfile.ZipFile(path) as archive:
        raw = bytearray(archive.read("00069.png"))
    decoded = decode_image(torch.frombuffer(raw, dtype=torch.uint8), ImageReadMode.UNCHANGED)  # 3×H×W
    np.testing.assert_array_equal(decoded.permute(1, 2, 0).numpy(), array[69])


@given(
    array=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3])),
        elements=st.integers(0, 255),
        fill=st.integers(0, 255),
    ),
    batch=st.integers(1, 5),
    workers=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_any_shape_comes_back(
    array: np.ndarray, batch: int, workers: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("zip") / "images.zip"
    write_submission(batches(array, batch), path, count=len(array), workers=workers)
    images = read_back(path)
    assert {image.mode for image in images} == {"L" if array.shape[3] == 1 else "RGB"}
    back = np.stack([np.asarray(image).reshape(array.shape[1:]) for image in images])
    np.testing.assert_array_equal(back, array)


def test_bytes_depend_on_the_pictures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = pictures(200)
    first = write_submission(batches(array, 7), tmp_path / "a.zip", count=200, workers=1).path.read_bytes()
    monkeypatch.setattr("time.localtime", lambda *_: (2031, 5, 6, 7, 8, 9, 0, 1, 0))
    second = write_submission(batches(array, 200), tmp_path / "b.zip", count=200, workers=4).path.read_bytes()
    assert first == second


def test_a_batch_that_the_generator_fills_anew_is_not_garbled(tmp_path: Path) -> None:
    array = pictures(320)

    def reusing_one_buffer() -> Iterator[np.ndarray]:
        buffer = np.empty((4, 8, 8, 3), np.uint8)
        for first in range(0, 320, 4):
            buffer[:] = array[first : first + 4]
            yield buffer

    path = write_submission(reusing_one_buffer(), tmp_path / "images.zip", count=320, workers=2).path
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in read_back(path)]), array)


def test_strided_batches_and_tensors_are_taken(tmp_path: Path) -> None:
    tensor = torch.from_numpy(pictures(6)).permute(0, 3, 1, 2).contiguous()  # N×C×H×W, as a generator has it
    path = write_submission([tensor.permute(0, 2, 3, 1).numpy()], tmp_path / "images.zip", count=6).path
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in read_back(path)]), pictures(6))


def test_more_than_99999_pictures_still_sort_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "encode_png", lambda picture: b"")
    array = np.zeros((100_001, 1, 1, 1), np.uint8)
    path = write_submission([array], tmp_path / "images.zip", count=len(array)).path
    with zipfile.ZipFile(path) as archive:  # a zip64, as 65,535 entries is all that a plain one holds
        names = archive.namelist()
    assert names[0] == "000000.png"
    assert names[-1] == "100000.png"
    assert names == sorted(names)


def failing(error: BaseException) -> Iterator[np.ndarray]:
    yield pictures(100)
    raise error


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt(), SystemExit(1)])
def test_an_interruption_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "images.zip"
    target.write_bytes(b"yesterday's")
    with pytest.raises(type(error)):
        write_submission(failing(error), target, count=200)
    assert target.read_bytes() == b"yesterday's"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("given_pictures", "reason"),
    [
        ([pictures(9)], "9 of 10"),
        ([pictures(5), pictures(6)], "more than 10"),
        ([], "0 of 10"),
        ([pictures(10).astype(np.float32)], "float32 10×8×8×3"),
        ([pictures(10)[0]], "uint8 8×8×3"),
        ([pictures(10, channels=4)], "uint8 10×8×8×4"),
        ([np.empty((10, 0, 8, 3), np.uint8)], "uint8 10×0×8×3"),
        ([pictures(5), pictures(5, size=9)], "mixed"),
    ],
)
def test_a_wrong_stream_is_one_line_and_no_file(
    tmp_path: Path, given_pictures: list[np.ndarray], reason: str
) -> None:
    with pytest.raises(DogsganError, match=reason) as caught:
        write_submission(given_pictures, tmp_path / "images.zip", count=10)
    assert str(tmp_path / "images.zip") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_endless_stream_ends(tmp_path: Path) -> None:
    def endless() -> Iterator[np.ndarray]:
        while True:
            yield pictures(4)

    with pytest.raises(DogsganError, match="more than 10"):
        write_submission(endless(), tmp_path / "images.zip", count=10)


def test_a_full_disk_is_one_line_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(DogsganError, match="disk is full"):
        write_submission([pictures(10)], tmp_path / "images.zip", count=10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("count", "workers"), [(0, 1), (-1, 1), (1, 0)])
def test_senseless_numbers_are_refused(tmp_path: Path, count: int, workers: int) -> None:
    with pytest.raises(DogsganError, match="at least 1"):
        write_submission([pictures(1)], tmp_path / "images.zip", count=count, workers=workers)


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "images.zip").mkdir()
    with pytest.raises(DogsganError, match="in the way"):
        write_submission([pictures(1)], tmp_path / "images.zip", count=1)
    assert [path.name for path in tmp_path.iterdir()] == ["images.zip"]
