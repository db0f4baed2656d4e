"""TensorFlow 1's bilinear resize, pixel by pixel against a plain loop and against torch-fidelity's."""

import numpy as np
import pytest
import torch

from dogsgan.pictures import tf1_resize, tf1_resize_batch

interpolation = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
tensorflow_resize = interpolation.interpolate_bilinear_2d_like_tensorflow1x

SIZES = [
    (64, 64, 299),
    (500, 375, 64),
    (64, 64, 331),
    (7, 1, 64),
    (333, 500, 331),
    (299, 299, 299),
    (65, 63, 64),
]


def by_the_book(picture: np.ndarray, size: int) -> np.ndarray:
    """One output pixel after the other, from the four input pixels around i · input / output."""
    height, width, _ = picture.shape
    result = np.empty((size, size, picture.shape[2]))
    for row in range(size):
        y = float(np.float32(row) * np.float32(height / size))
        top, down = min(int(y), height - 1), y - int(y)
        bottom = min(top + 1, height - 1)
        for column in range(size):
            x = float(np.float32(column) * np.float32(width / size))
            left, across = min(int(x), width - 1), x - int(x)
            right = min(left + 1, width - 1)
            upper = picture[top, left] * (1 - across) + picture[top, right] * across
            lower = picture[bottom, left] * (1 - across) + picture[bottom, right] * across
            result[row, column] = upper * (1 - down) + lower * down
    return result


@pytest.mark.parametrize(("height", "width", "size"), [(16, 16, 37), (31, 20, 13), (64, 64, 64), (3, 1, 8)])
def test_every_pixel_is_by_the_book(height: int, width: int, size: int) -> None:
    picture = np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)
    np.testing.assert_allclose(tf1_resize(picture, size), by_the_book(picture.astype(float), size), atol=1e-3)


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_agrees_with_torch_fidelity(height: int, width: int, size: int) -> None:
    picture = np.random.RandomState(1).randint(0, 256, (height, width, 3)).astype(np.uint8)
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    expected = tensorflow_resize(batch, size=(size, size), align_corners=False)
    torch.testing.assert_close(tf1_resize_batch(batch, size), expected, rtol=0, atol=2e-4)
    single = torch.from_numpy(tf1_resize(picture, size)).permute(2, 0, 1)[None]
    torch.testing.assert_close(single, expected, rtol=0, atol=2e-4)


def test_shrinking_averages_nothing() -> None:
    """A checkerboard halved keeps one of its two colours: the resize is not antialiased."""
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    assert set(np.unique(tf1_resize(board, 4))) == {0.0}


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_a_batch_is_bit_for_bit_what_each_picture_is(height: int, width: int, size: int) -> None:
    """TensorFlow rounds after the difference, the product and the sum; `torch.lerp` does not."""
    pictures = np.random.RandomState(2).randint(0, 256, (2, height, width, 3)).astype(np.uint8)
    batch = tf1_resize_batch(torch.from_numpy(pictures).permute(0, 3, 1, 2).float(), size)
    expected = np.stack([tf1_resize(picture, size) for picture in pictures])
    np.testing.assert_array_equal(batch.permute(0, 2, 3, 1).numpy(), expected)
