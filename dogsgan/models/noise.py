"""Noise that a generator starts from."""

import torch
from torch import Generator, Tensor

from dogsgan.config import ModelRecipe


def draw_noise(count: int, model: ModelRecipe, *, random: Generator) -> Tensor:
    """Return z of count×Z on the device of `random`: N(0, 1), or uniform from −1 to 1."""
    shape = (count, model.z_dim)
    if model.noise == "normal":
        return torch.randn(shape, device=random.device, generator=random)
    return torch.rand(shape, device=random.device, generator=random).mul_(2).sub_(1)
