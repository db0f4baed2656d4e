"""The one place that draws grids of pictures."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.utils import make_grid

from dogsgan.files import atomic_path


def save_grid(pictures: np.ndarray | torch.Tensor, path: Path, *, columns: int = 10, scale: int = 1) -> None:
    """Write uint8 pictures, N×H×W×C with C of 1 or 3, as one PNG with `columns` pictures a row.

    `scale` enlarges each pixel to a square of that side.
    """
    batch = torch.as_tensor(np.asarray(pictures)).permute(0, 3, 1, 2)  # N×C×H×W
    if scale > 1:
        batch = batch.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    grid = make_grid(batch, nrow=columns, padding=2, pad_value=255)  # 3×H×W
    with atomic_path(path) as partial:
        Image.fromarray(grid.permute(1, 2, 0).numpy()).save(partial, format="PNG", compress_level=1)
