"""Generators and discriminators, built from a recipe.

A generator maps z of N×Z and N class indices to pictures of N×C×H×W in [−1, 1]; a discriminator maps those
to N logits.
Each architecture is one builder in `ARCHITECTURES`.
"""

from typing import NamedTuple, Protocol

import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.models import sagan


class Networks(NamedTuple):
    """The two players."""

    generator: nn.Module
    discriminator: nn.Module


class Builder(Protocol):
    """Builds both networks of one architecture; raises DogsganError for a recipe it cannot build."""

    def __call__(self, recipe: Recipe, *, class_count: int) -> Networks: ...


def _build_sagan(recipe: Recipe, *, class_count: int) -> Networks:
    model, size_px = recipe.model, recipe.data.size_px
    if size_px < 32 or size_px & (size_px - 1):
        raise DogsganError(
            f"recipe: architecture sagan makes pictures of 32, 64, 128, … px, not data.size_px={size_px}"
        )
    generator_maps = sagan.generator_maps(size_px, model.generator_width)
    _check_attention("generator", model.generator_attention_px, generator_maps)
    discriminator_maps = sagan.discriminator_maps(size_px, model.discriminator_width)
    _check_attention("discriminator", model.discriminator_attention_px, discriminator_maps)
    generator = sagan.Generator(
        size_px=size_px,
        channels=recipe.data.channels,
        z_dim=model.z_dim,
        width=model.generator_width,
        class_count=class_count,
        attention_px=model.generator_attention_px,
        use_spectral_norm=model.generator_spectral_norm,
    )
    discriminator = sagan.Discriminator(
        size_px=size_px,
        channels=recipe.data.channels,
        width=model.discriminator_width,
        class_count=class_count,
        attention_px=model.discriminator_attention_px,
        use_spectral_norm=model.discriminator_spectral_norm,
    )
    return Networks(generator, discriminator)


def _check_attention(network: str, attention_px: tuple[int, ...], maps: dict[int, int]) -> None:
    """Refuse attention at a size that is not among `maps` (px to channels), or where it is too narrow."""
    for px in attention_px:
        if px not in maps:
            listed = ", ".join(map(str, maps))
            raise DogsganError(
                f"recipe: model.{network}_attention_px={px}: the {network} has no such map; it has {listed}"
            )
        if maps[px] < 8:
            raise DogsganError(
                f"recipe: model.{network}_width leaves {maps[px]} channels at {px} px; attention needs 8"
            )


ARCHITECTURES: dict[str, Builder] = {"sagan": _build_sagan}


def build_networks(recipe: Recipe, *, class_count: int) -> Networks:
    """Build generator and discriminator with weights from torch's global random state.

    Args:
        class_count: classes of the data; ignored by an unconditional recipe.

    Raises:
        DogsganError: an unknown architecture, or a recipe that it cannot build.
    """
    if recipe.model.architecture not in ARCHITECTURES:
        raise DogsganError(
            f"recipe: unknown model.architecture {recipe.model.architecture!r}; "
            f"known: {', '.join(ARCHITECTURES)}"
        )
    if recipe.model.conditional and class_count == 0:
        raise DogsganError(
            "recipe: model.conditional=true needs class labels and the data has none; "
            "add --set model.conditional=false"
        )
    build = ARCHITECTURES[recipe.model.architecture]
    return build(recipe, class_count=class_count if recipe.model.conditional else 0)


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to `device` with its convolutions channels last, which both CPUs and GPUs prefer."""
    return network.to(device).to(memory_format=torch.channels_last)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())
