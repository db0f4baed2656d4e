"""The one place that draws grids of pictures. It does without torch, whose import takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dogsgan.files import atomic_path

if TYPE_CHECKING:
    import torch

_GAP_PX = 2


def save_grid(pictures: np.ndarray | torch.Tensor, path: Path, *, columns: int = 10, scale: int = 1) -> None:
    """Write uint8 pictures, N×H×W×C with C of 1 or 3, as one PNG with `columns` pictures a row.

    `scale` enlarges each pixel to a square of that side. A white gap surrounds every picture; places that the
    last row leaves empty are white. A tensor must be on the CPU.
    """
    batch = np.asarray(pictures)
    if batch.ndim != 4 or not len(batch) or batch.shape[3] not in (1, 3) or batch.dtype != np.uint8:
        raise ValueError(f"pictures of shape {batch.shape} and type {batch.dtype}, expected N×H×W×C in uint8")
    if scale > 1:
        batch = batch.repeat(scale, axis=1).repeat(scale, axis=2)
    grid = _grid(batch, columns=min(columns, len(batch)))
    with atomic_path(path) as partial:
        Image.fromarray(grid).save(partial, format="PNG", compress_level=1)


def _grid(batch: np.ndarray, *, columns: int) -> np.ndarray:
    """Return pictures, N×H×W×C, side by side, as one of height×width×3."""
    count, height, width, _ = batch.shape
    rows = -(-count // columns)
    down, across = height + _GAP_PX, width + _GAP_PX
    grid = np.full((rows * down + _GAP_PX, columns * across + _GAP_PX, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(batch):
        top, left = index // columns * down + _GAP_PX, index % columns * across + _GAP_PX
        grid[top : top + height, left : left + width] = picture
    return grid
