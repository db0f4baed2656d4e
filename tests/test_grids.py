"""A grid shows every picture, in order, with white between them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.utils import make_grid

from dogsgan.data.grids import save_grid


def pictures(count: int, height: int, width: int, channels: int) -> np.ndarray:
    size = (count, height, width, channels)
    return np.random.RandomState(0).randint(0, 256, size).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(2, 13),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    columns=st.integers(1, 15),
)
def test_it_is_torchvisions_grid(
    tmp_path_factory: pytest.TempPathFactory, count: int, height: int, width: int, channels: int, columns: int
) -> None:
    path = tmp_path_factory.mktemp("grid") / "grid.png"
    batch = pictures(count, height, width, channels)
    save_grid(batch, path, columns=columns)
    expected = make_grid(torch.from_numpy(batch).permute(0, 3, 1, 2), nrow=columns, padding=2, pad_value=255)
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), expected.permute(1, 2, 0).numpy())


def test_scale_enlarges_every_pixel_to_a_square(tmp_path: Path) -> None:
    batch = pictures(1, 3, 2, 3)
    save_grid(batch, tmp_path / "grid.png", scale=4)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (2 + 12 + 2, 2 + 8 + 2, 3)
    np.testing.assert_array_equal(grid[2:-2, 2:-2][::4, ::4], batch[0])
    np.testing.assert_array_equal(grid[5:-2, 5:-2][::4, ::4], batch[0])


def test_a_tensor_and_an_array_give_the_same_bytes(tmp_path: Path) -> None:
    batch = pictures(5, 4, 4, 3)
    save_grid(batch, tmp_path / "array.png")
    save_grid(torch.from_numpy(batch), tmp_path / "tensor.png")
    assert (tmp_path / "array.png").read_bytes() == (tmp_path / "tensor.png").read_bytes()


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3), (2, 3, 4, 4)])
def test_what_is_no_batch_of_pictures_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected N×H×W×C"):
        save_grid(np.zeros(shape, np.uint8), tmp_path / "grid.png")
    with pytest.raises(ValueError, match="float32"):
        save_grid(np.zeros((2, 4, 4, 3), np.float32), tmp_path / "grid.png")
    assert list(tmp_path.iterdir()) == []


def test_preparing_and_its_contact_sheet_do_without_torch() -> None:
    code = "import sys, dogsgan.data.prepare; sys.exit(any(name.startswith('torch') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
