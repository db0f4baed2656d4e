"""Alignment: a training view moved, turned, scaled and slanted until it fits a picture.

Gauss-Newton steps on the bands of both (the inverse compositional form of Baker and Matthews, "Lucas-Kanade
20 Years On", 2004), coarse to fine. Transforms are 3×3 matrices from the picture's coordinates to the view's,
both −1..1 from edge to edge.
"""

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from dogsgan.audit.copies.bands import band

COARSE_PX, FINE_PX = 16, 32
_SIGMA = {COARSE_PX: 2.0, FINE_PX: 2.5}
_DETAIL_SIGMA = 1.5
_COARSE_STEPS, _FINE_STEPS = 10, 6
_DAMPING = 0.02
_LONGEST_STEP = 0.1  # of a coordinate; the linearisation does not reach further
_ALIKE = 0.8  # two views that correlate more are one picture, whatever their names
OVERLAP = 0.4  # of the picture that the view has to cover
_SMALLEST, _LARGEST, _UNEVEN = 0.4, 1.7, 1.6  # scales of a transform, and the ratio of its two


class Aligned(NamedTuple):
    """M views laid on M pictures."""

    transform: torch.Tensor
    """M×3×3."""
    similarity: torch.Tensor
    """M: correlation of the bands where the view covers the picture; 0 where it covers too little."""
    band: torch.Tensor
    """M×size²: the band of the moved view, at `FINE_PX` or the pictures' own size where that is smaller."""
    covered: torch.Tensor
    """M×size² bool: where the view covers the picture."""


def turned(transform: torch.Tensor, radians: float) -> torch.Tensor:
    """Return transforms with the picture turned about its centre first."""
    turn = torch.eye(3, device=transform.device)
    turn[0, 0] = turn[1, 1] = math.cos(radians)
    turn[0, 1], turn[1, 0] = -math.sin(radians), math.sin(radians)
    return transform @ turn


def shifted(transform: torch.Tensor, across: float, down: float) -> torch.Tensor:
    """Return transforms that end that much further on the view, in coordinates −1..1."""
    moved = transform.clone()
    moved[:, 0, 2] += across
    moved[:, 1, 2] += down
    return moved


def picture_bands(light: torch.Tensor) -> dict[int, torch.Tensor]:
    """Return the bands that `refine` and `compare` take, by their size, of M×1×S×S luminance.

    None is larger than S: pictures of 28 px stretched to 32 would be pulled about by up to half a pixel.
    """
    most = light.shape[-1]
    return {size: band(light, size_px=min(size, most), sigma=sigma) for size, sigma in _SIGMA.items()}


def refine(
    picture: dict[int, torch.Tensor], view: dict[int, torch.Tensor], transform: torch.Tensor, *, size_px: int
) -> torch.Tensor:
    """Return better transforms, M×3×3, by Gauss-Newton steps on the bands of `size_px`.

    A transform that leaves what a copy may be (half to nearly twice the size, little slant) is given back as
    it came.
    """
    steps = _COARSE_STEPS if size_px == COARSE_PX else _FINE_STEPS
    moved = _descend(picture[size_px], view[size_px], transform, steps)
    return torch.where(_plausible(moved)[:, None, None], moved, transform)


def compare(
    picture: dict[int, torch.Tensor], light_of_view: torch.Tensor, transform: torch.Tensor
) -> Aligned:
    """Lay views (M×1×H×W luminance) on pictures by `transform` and correlate the fine bands."""
    moved, inside = lay(light_of_view, transform)
    size = picture[FINE_PX].shape[-1]
    covered = functional.adaptive_avg_pool2d(inside, size).flatten(1) > 0.99
    bands = band(moved, size_px=size, sigma=_SIGMA[FINE_PX]).flatten(1)
    similarity = correlation(picture[FINE_PX].flatten(1), bands, covered)
    enough = covered.float().mean(1) > OVERLAP
    return Aligned(transform, torch.where(enough, similarity, 0.0), bands, covered)


def lay(light_of_view: torch.Tensor, transform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return M×1×S×S views moved by `transform`, and where they reach (1, else 0).

    Beyond that their outermost pixels go on, so that no edge is there which the picture has not: a margin of
    the mean grey around a digit, white on black, hid that it was a copy.
    """
    size = light_of_view.shape[-1]
    moved = warp(light_of_view, transform, size, beyond="border")
    return moved, (warp(torch.ones_like(light_of_view), transform, size) > 0.999).float()


def detail(light: torch.Tensor) -> torch.Tensor:
    """Return the finest band of M×1×S×S luminance, M×S²: it tells copies best from look-alikes."""
    return band(light, size_px=light.shape[-1], sigma=_DETAIL_SIGMA).flatten(1)


def warp(
    pictures: torch.Tensor, transform: torch.Tensor, size_px: int, *, beyond: str = "zeros"
) -> torch.Tensor:
    """Return what M×C×H×W pictures show at the transformed coordinates, M×C×size×size.

    Outside there are `zeros`, or what is at the `border`.
    """
    x, y = _coordinates(size_px, pictures.device)
    row = transform[
        :, :2, :, None, None
    ]  # M×2×3×1×1; affine_grid's many tiny products take ten times as long
    grid = row[:, :, 0] * x + row[:, :, 1] * y + row[:, :, 2]  # M×2×S×S
    return functional.grid_sample(
        pictures, grid.permute(0, 2, 3, 1), padding_mode=beyond, align_corners=False
    )


def _coordinates(size_px: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x and y, −1..1, of the centres of S×S pixels."""
    line = (torch.arange(size_px, device=device) + 0.5) / size_px * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y


def correlation(a: torch.Tensor, b: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the correlation of rows of M×n values over the places that M×n `where` marks."""
    a, b = _centred(a, where), _centred(b, where)
    return (a * b).sum(1) / ((a * a).sum(1) * (b * b).sum(1)).sqrt().clamp(min=1e-6)


def multiple_correlation(
    picture: torch.Tensor, a: torch.Tensor, b: torch.Tensor, where: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how well sums of a and b fit pictures: the multiple correlation, M, and both weights, M×2.

    All three are M×n. Weights are in standard deviations. 0 where a and b are too much alike to tell apart,
    or cover too little of the picture.
    """
    r_a, r_b, r_ab = correlation(picture, a, where), correlation(picture, b, where), correlation(a, b, where)
    left = (1 - r_ab * r_ab).clamp(min=1e-3)
    weights = torch.stack([r_a - r_b * r_ab, r_b - r_a * r_ab], dim=1) / left[:, None]
    squared = (weights * torch.stack([r_a, r_b], dim=1)).sum(1).clamp(0, 1)
    usable = (r_ab.abs() < _ALIKE) & (where.float().mean(1) > OVERLAP)
    return torch.where(usable, squared.sqrt(), 0.0), weights


def _centred(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    weight = where.float()
    mean = (values * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    return (values - mean) * weight


def _descend(picture: torch.Tensor, view: torch.Tensor, transform: torch.Tensor, steps: int) -> torch.Tensor:
    """Take Gauss-Newton steps on M×1×S×S bands; the picture's slopes serve for all of them."""
    count, size = len(picture), picture.shape[-1]
    slopes = _slopes(picture)  # M×6×n
    template = picture.flatten(1)
    whole = torch.ones_like(view)
    identity = torch.eye(3, device=picture.device)
    damping = _DAMPING * torch.eye(6, device=picture.device)
    for _ in range(steps):
        moved = warp(view, transform, size).flatten(1)
        inside = warp(whole, transform, size).flatten(1) > 0.5
        target, source = _centred(template, inside), _centred(moved, inside)
        gain = (target * source).sum(1) / (source * source).sum(1).clamp(min=1e-6)
        error = gain.clamp(0.2, 5.0)[:, None] * source - target
        visible = slopes * inside[:, None]
        hessian = visible @ slopes.transpose(1, 2)  # M×6×6
        scale = hessian.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-3
        step = torch.linalg.solve(hessian + scale * damping, (visible @ error[..., None])[..., 0])
        change = identity.expand(count, 3, 3).clone()
        change[:, :2] += step.clamp(-_LONGEST_STEP, _LONGEST_STEP).view(count, 2, 3)
        transform = transform @ torch.linalg.inv(change)
    return transform


def _slopes(picture: torch.Tensor) -> torch.Tensor:
    """Return how M×1×S×S values change with each of the six numbers of an affine transform, M×6×n."""
    size = picture.shape[-1]
    x, y = _coordinates(size, picture.device)
    down, across = torch.gradient(picture[:, 0], spacing=2 / size, dim=(1, 2))
    return torch.stack([across * x, across * y, across, down * x, down * y, down], dim=1).flatten(2)


def _plausible(transform: torch.Tensor) -> torch.Tensor:
    """Return whether transforms are those of a copy, M bool.

    The two scales come from the 2×2 part's invariants.
    """
    a, b, c, d = (transform[:, i, j] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    determinant = a * d - b * c
    half_sum = (a * a + b * b + c * c + d * d) / 2
    spread = (half_sum * half_sum - determinant * determinant).clamp(min=0).sqrt()
    large, small = (half_sum + spread).sqrt(), (half_sum - spread).clamp(min=0).sqrt()
    fits = (determinant > 0) & (large < _LARGEST) & (small > _SMALLEST) & (large < _UNEVEN * small)
    return fits & torch.isfinite(transform).all(dim=2).all(dim=1)
