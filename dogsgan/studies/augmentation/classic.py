"""Classic augmentation of labelled pictures: turned, moved, scaled and blurred a little, each time anew."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

_BLUR_RADIUS = 3  # pixels on either side that a blur takes in


@dataclass(frozen=True)
class ClassicRanges:
    """How far a picture is distorted at most. Every amount is drawn uniformly, none included."""

    rotation_degrees: float = 15.0
    """Turned about its centre, either way."""
    translation: float = 0.08
    """Moved by up to this share of its side, in each direction."""
    scale: float = 0.15
    """Made larger or smaller by up to this share."""
    blur_px: float = 0.8
    """Largest standard deviation of a Gaussian blur, in pixels; `_BLUR_RADIUS` bears up to about 1."""


CLASSIC = ClassicRanges()


def distort(pictures: Tensor, *, random: Generator, ranges: ClassicRanges = CLASSIC) -> Tensor:
    """Rotate, translate, scale and blur each picture by amounts of its own.

    What comes in from outside is the nearest border pixel's colour. Labels stay true as long as the classes
    tell apart upright pictures: nothing is mirrored.

    Args:
        pictures: float N×C×H×W.
        random: draws the amounts, on the CPU, so that every device gets the same ones.
    """
    moved = _move(pictures, random=random, ranges=ranges)
    return _blur(moved, random=random, blur_px=ranges.blur_px)


def _move(pictures: Tensor, *, random: Generator, ranges: ClassicRanges) -> Tensor:
    count = len(pictures)
    turn, grow, right, down = (2 * torch.rand(4, count, generator=random) - 1).unbind()
    angle, scale = turn * math.radians(ranges.rotation_degrees), 1 + grow * ranges.scale
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    # From each place of the result to where it comes from; the grid's unit is half a side.
    shift = 2 * ranges.translation * torch.stack((right, down), dim=1)  # N×2
    linear = torch.stack((cosine, sine, -sine, cosine), dim=1).view(count, 2, 2)
    offset = -(linear @ shift[:, :, None])  # N×2×1
    affine = torch.cat((linear, offset), dim=2).to(pictures)  # N×2×3
    grid = F.affine_grid(affine, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _blur(pictures: Tensor, *, random: Generator, blur_px: float) -> Tensor:
    """Blur each picture with a Gaussian of its own width: rows, then columns, as sums of shifted copies."""
    deviation = (blur_px * torch.rand(len(pictures), 1, generator=random)).clamp(min=1e-3)
    offsets = torch.arange(_BLUR_RADIUS + 1)
    weights = torch.exp(-0.5 * (offsets / deviation).square())  # N×(radius + 1), of one side
    weights = weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])
    columns = weights.to(pictures).t()[:, :, None, None, None]  # (radius + 1)×N×1×1×1
    for dimension in (2, 3):
        pictures = _blur_along(pictures, columns, dimension=dimension)
    return pictures


def _blur_along(pictures: Tensor, weights: Tensor, *, dimension: int) -> Tensor:
    side = pictures.shape[dimension]
    margin = (_BLUR_RADIUS, _BLUR_RADIUS)
    padded = F.pad(pictures, (0, 0, *margin) if dimension == 2 else (*margin, 0, 0), mode="replicate")
    result = pictures * weights[0]
    for offset in range(1, _BLUR_RADIUS + 1):
        before = padded.narrow(dimension, _BLUR_RADIUS - offset, side)
        after = padded.narrow(dimension, _BLUR_RADIUS + offset, side)
        result = torch.addcmul(result, before + after, weights[offset])
    return result
