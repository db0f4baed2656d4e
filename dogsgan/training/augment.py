"""Differentiable augmentation of what the discriminator sees (DiffAugment: Zhao et al., arXiv 2006.10738).

Pictures are N×C×H×W in [−1, 1]. Every random number comes from the generator that is passed in, which draws
for the whole batch where the pictures are a share of it.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from dogsgan.training.share import WHOLE, RowDraws, Share


def flip_half(pictures: Tensor, *, random: Generator, share: Share = WHOLE) -> Tensor:
    """Mirror each picture with probability one half."""
    mirrored = RowDraws(random, share=share).uniform(pictures) < 0.5
    return torch.where(mirrored, pictures.flip(3), pictures)


def diffaugment(
    pictures: Tensor,
    kinds: str,
    *,
    random: Generator,
    share: Share = WHOLE,
    parts: int = 1,
    probability: float = 1.0,
) -> Tensor:
    """Apply each kind of `color,translation,cutout` that `kinds` names; none for an empty text.

    Args:
        share, parts: what the pictures are of the batch (`RowDraws`).
        probability: of each kind for each picture.
    """
    draws = RowDraws(random, share=share, parts=parts)
    for kind in filter(None, kinds.split(",")):
        augmented = _KINDS[kind](pictures, draws)
        if probability < 1:
            augmented = torch.where(draws.uniform(pictures) < probability, augmented, pictures)
        pictures = augmented
    return pictures


def _color(x: Tensor, draws: RowDraws) -> Tensor:
    """Brightness ±0.5, saturation ×0..2, contrast ×0.5..1.5."""
    x = x + (draws.uniform(x) - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (2 * draws.uniform(x))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * (0.5 + draws.uniform(x))


def _translation(x: Tensor, draws: RowDraws) -> Tensor:
    """Shift by up to an eighth of the side each way, black where nothing moves in."""
    n, _, side, _ = x.shape
    reach = max(1, round(side / 8))
    shifts = draws.positions(x, -reach, reach + 1)  # 2×N×1
    positions = torch.arange(side, device=x.device)[None]
    padded = F.pad(x, (1, 1, 1, 1), value=-1.0)
    rows = (positions + shifts[0] + 1).clamp(0, side + 1)  # N×H
    columns = (positions + shifts[1] + 1).clamp(0, side + 1)  # N×W
    picture = torch.arange(n, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(x: Tensor, draws: RowDraws) -> Tensor:
    """Grey out a square of half the side around a random centre."""
    side = x.shape[-1]
    half = side // 4
    centres = draws.positions(x, 0, side)  # 2×N×1
    near = (torch.arange(side, device=x.device)[None] - centres).abs() <= half  # 2×N×side
    covered = near[0][:, :, None] & near[1][:, None, :]  # N×H×W
    return x.masked_fill(covered[:, None], 0.0)


_KINDS = {"color": _color, "translation": _translation, "cutout": _cutout}
