"""Bands: the luminance of pictures between two scales, with even contrast, which copies keep.

Light, contrast, hue and slow shading fall away with the coarse scales, noise and JPEG's traces with the fine
ones; what is left differs so much between two photographs that a copy stands out. All of it is linear but for
the even contrast, so that windows of a picture cost a matrix product.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from dogsgan.blockwise import blocks

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
LARGEST_PX = 64
_PICTURES_AT_ONCE = 256
_FLAT = 4.0  # squared grey levels: contrast below two grey levels is noise and is not raised


class Window(NamedTuple):
    """A square part of a picture, in coordinates −1..1 from edge to edge; `turn` is in radians."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    turn: float = 0.0

    def matrix(self) -> np.ndarray:
        """Return the 3×3 matrix from coordinates −1..1 in the window to those in the picture."""
        cosine, sine = self.scale * math.cos(self.turn), self.scale * math.sin(self.turn)
        return np.array([[cosine, -sine, self.x], [sine, cosine, self.y], [0.0, 0.0, 1.0]])


def luminance(pictures: np.ndarray) -> torch.Tensor:
    """Return the luminance, N×1×S×S float32, of square pictures N×S×S×3 with values 0..255.

    Larger pictures are scaled down to `LARGEST_PX`: no band is finer than that.
    """
    weights = torch.tensor(_LUMINANCE)
    parts = []
    for part in blocks(len(pictures), _PICTURES_AT_ONCE):
        light = torch.from_numpy(pictures[part].astype(np.float32)) @ weights
        light = light[:, None]
        if light.shape[-1] > LARGEST_PX:
            light = functional.adaptive_avg_pool2d(light, LARGEST_PX)
        parts.append(light)
    return torch.cat(parts)


def band(light: torch.Tensor, *, size_px: int, sigma: float) -> torch.Tensor:
    """Return the band of N×1×H×W luminance at `size_px`, N×1×size×size, its contrast evened out.

    `sigma`, in px of the result, is the coarse end: what varies more slowly is taken away.
    """
    small = functional.adaptive_avg_pool2d(light, size_px)
    small = small - _blurred(small, sigma)
    return small / (_blurred(small * small, sigma) + _FLAT).sqrt()


def window_bands(
    light: torch.Tensor, windows: tuple[Window, ...], *, size_px: int, sigma: float
) -> torch.Tensor:
    """Return the bands of windows of N×1×H×W luminance as unit rows, windows×N×size².

    Windows are sampled from the picture at 4/3 of `size_px`, which is as fine as the result can show.
    """
    source_px = size_px * 4 // 3
    small = functional.adaptive_avg_pool2d(light, source_px).flatten(1)  # N×source²
    sample, blur = _window_matrices(windows, source_px, size_px, sigma)
    sample, blur = sample.to(light.device), blur.to(light.device)
    bands = (small @ sample.T).view(len(small), len(windows), size_px * size_px)
    bands = bands - bands @ blur.T
    bands = bands / ((bands * bands) @ blur.T + _FLAT).sqrt()
    bands = bands - bands.mean(2, keepdim=True)
    return functional.normalize(bands, dim=2).transpose(0, 1).contiguous()


def _blurred(pictures: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur N×1×S×S by a Gaussian of `sigma` px, edges repeated; two matrix products, which is fastest."""
    blur = _blur_matrix(pictures.shape[-1], sigma).to(pictures.device)
    return blur @ (pictures @ blur.T)


@functools.lru_cache(maxsize=8)
def _blur_matrix(size_px: int, sigma: float) -> torch.Tensor:
    """Return the S×S matrix that blurs a line of S values, the outermost repeated beyond the ends."""
    reach = round(3 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma * sigma))
    matrix = np.zeros((size_px, size_px))
    for offset, weight in zip(range(-reach, reach + 1), weights / weights.sum(), strict=True):
        source = np.clip(np.arange(size_px) + offset, 0, size_px - 1)
        matrix[np.arange(size_px), source] += weight
    return torch.from_numpy(matrix).float()


@functools.lru_cache(maxsize=8)
def _window_matrices(
    windows: tuple[Window, ...], source_px: int, size_px: int, sigma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the matrices that sample the windows, (windows·size²)×source², and that blur, size²×size²."""
    basis = torch.eye(source_px * source_px).view(1, -1, source_px, source_px)
    sampled = []
    for window in windows:
        theta = torch.tensor(window.matrix()[None, :2], dtype=torch.float32)
        grid = functional.affine_grid(theta, [1, 1, size_px, size_px], align_corners=False)
        values = functional.grid_sample(basis, grid, padding_mode="border", align_corners=False)
        sampled.append(values[0].flatten(1).T)  # size²×source²
    pixels = torch.eye(size_px * size_px).view(-1, 1, size_px, size_px)
    return torch.cat(sampled), _blurred(pixels, sigma).flatten(1).T.contiguous()
