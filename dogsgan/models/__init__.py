"""Generators and discriminators, built from a recipe.

A generator maps z of N×Z and N class indices to pictures of N×C×H×W in [−1, 1]; a discriminator maps those
to N logits, and is told of how many batches they are (`parts`) where it is shown real and generated ones at
once. Each architecture is one entry of `ARCHITECTURES`.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.models import dcgan, sagan
from dogsgan.models.layers import LEAST_CHANNELS, iterate_together


class Networks(NamedTuple):
    """The two players."""

    generator: nn.Module
    discriminator: nn.Module


class Builder(Protocol):
    """Builds both networks of one architecture; raises DogsganError for a recipe it cannot build."""

    def __call__(self, recipe: Recipe, *, class_count: int) -> Networks: ...


class Maps(NamedTuple):
    """The maps that each network can attend to: side in px to channels."""

    generator: dict[int, int]
    discriminator: dict[int, int]


class Architecture(NamedTuple):
    """One family of networks. Both functions raise DogsganError for a size that it does not make."""

    build: Builder
    maps: Callable[[Recipe], Maps]


def _sagan_maps(recipe: Recipe) -> Maps:
    model, size_px = recipe.model, recipe.data.size_px
    if size_px < 32 or size_px & (size_px - 1):
        raise _wrong_size(recipe, "32, 64, 128, …")
    return Maps(
        sagan.generator_maps(size_px, model.generator_width),
        sagan.discriminator_maps(size_px, model.discriminator_width),
    )


def _build_sagan(recipe: Recipe, *, class_count: int) -> Networks:
    model = recipe.model
    for name in (
        "generator_slope",
        "discriminator_slope",
        "discriminator_batch_norm",
        "discriminator_dropout",
    ):
        if getattr(model, name):
            raise DogsganError(
                f"recipe: model.{name} = {getattr(model, name)!r}: architecture sagan has ReLU, and neither "
                "batch norm nor dropout in its discriminator; leave it out, or take architecture dcgan"
            )
    generator = sagan.Generator(
        size_px=recipe.data.size_px,
        channels=recipe.data.channels,
        z_dim=model.z_dim,
        width=model.generator_width,
        class_count=class_count,
        attention_px=model.generator_attention_px,
        is_smooth=model.generator_upsampling == "smooth",
        use_spectral_norm=model.generator_spectral_norm,
        use_batch_norm=model.generator_batch_norm,
    )
    discriminator = sagan.Discriminator(
        size_px=recipe.data.size_px,
        channels=recipe.data.channels,
        width=model.discriminator_width,
        class_count=class_count,
        attention_px=model.discriminator_attention_px,
        identity_skip=model.discriminator_identity_skip,
        use_spectral_norm=model.discriminator_spectral_norm,
    )
    return Networks(generator, discriminator)


def _family(recipe: Recipe) -> dcgan.Family:
    size_px = recipe.data.size_px
    if recipe.model.architecture == "dcgan":
        family, sizes = dcgan.family_4x4(size_px), "16, 32, 64, …"
    else:
        family, sizes = dcgan.family_5x5(size_px), "28, 32, 36, … (multiples of 4)"
    if family is None:
        raise _wrong_size(recipe, sizes)
    return family


def _dcgan_maps(recipe: Recipe) -> Maps:
    model, family = recipe.model, _family(recipe)
    return Maps(
        dict(family.generator_maps(model.generator_width)),
        dict(family.discriminator_maps(model.discriminator_width)),
    )


def _build_dcgan(recipe: Recipe, *, class_count: int) -> Networks:
    model, family = recipe.model, _family(recipe)
    generator = dcgan.Generator(
        family,
        channels=recipe.data.channels,
        z_dim=model.z_dim,
        width=model.generator_width,
        class_count=class_count,
        attention_px=model.generator_attention_px,
        slope=model.generator_slope,
        use_spectral_norm=model.generator_spectral_norm,
        use_batch_norm=model.generator_batch_norm,
    )
    discriminator = dcgan.Discriminator(
        family,
        channels=recipe.data.channels,
        width=model.discriminator_width,
        class_count=class_count,
        attention_px=model.discriminator_attention_px,
        slope=model.discriminator_slope,
        dropout=model.discriminator_dropout,
        use_spectral_norm=model.discriminator_spectral_norm,
        use_batch_norm=model.discriminator_batch_norm,
    )
    return Networks(generator, discriminator)


def _wrong_size(recipe: Recipe, sizes: str) -> DogsganError:
    return DogsganError(
        f"recipe: architecture {recipe.model.architecture} makes pictures of {sizes} px, "
        f"not data.size_px={recipe.data.size_px}"
    )


ARCHITECTURES: dict[str, Architecture] = {
    "sagan": Architecture(_build_sagan, _sagan_maps),
    "dcgan": Architecture(_build_dcgan, _dcgan_maps),
    "dcgan-5x5": Architecture(_build_dcgan, _dcgan_maps),
}


def attention_maps(recipe: Recipe) -> Maps:
    """Return the sizes at which each network of a recipe can have self-attention.

    Raises:
        DogsganError: a size that the architecture does not make.
    """
    return ARCHITECTURES[recipe.model.architecture].maps(recipe)


def _check_attention(network: str, attention_px: tuple[int, ...], maps: dict[int, int]) -> None:
    """Refuse attention at a size that is not among `maps` (px to channels), or where it is too narrow."""
    for px in attention_px:
        if px not in maps:
            listed = ", ".join(map(str, maps))
            raise DogsganError(
                f"recipe: model.{network}_attention_px={px}: the {network} has no such map; it has {listed}"
            )
        if maps[px] < LEAST_CHANNELS:
            raise DogsganError(
                f"recipe: model.{network}_width leaves {maps[px]} channels at {px} px; "
                f"attention needs {LEAST_CHANNELS}"
            )


def build_networks(recipe: Recipe, *, class_count: int) -> Networks:
    """Build generator and discriminator with weights from torch's global random state.

    Args:
        class_count: classes of the data; ignored by an unconditional recipe.

    Raises:
        DogsganError: a recipe that the architecture cannot build.
    """
    architecture = ARCHITECTURES[recipe.model.architecture]
    if recipe.model.conditional and class_count == 0:
        raise DogsganError(
            "recipe: model.conditional=true needs class labels and the data has none; "
            "add --set model.conditional=false"
        )
    maps = architecture.maps(recipe)
    _check_attention("generator", recipe.model.generator_attention_px, maps.generator)
    _check_attention("discriminator", recipe.model.discriminator_attention_px, maps.discriminator)
    networks = architecture.build(recipe, class_count=class_count if recipe.model.conditional else 0)
    for network in networks:
        iterate_together(network)
    return networks


def outline_networks(recipe: Recipe, *, class_count: int) -> Networks:
    """Build both networks as shapes, without memory for their weights.

    Raises:
        DogsganError: as `build_networks`.
    """
    with torch.device("meta"):
        return build_networks(recipe, class_count=class_count)


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to `device` with its convolutions channels last, which both CPUs and GPUs prefer."""
    return network.to(device).to(memory_format=torch.channels_last)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())
