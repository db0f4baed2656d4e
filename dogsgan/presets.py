"""Every named recipe, as plain values."""

from dataclasses import dataclass
from typing import Any

from dogsgan.config import DataRecipe, ModelRecipe, Recipe, TrainingRecipe
from dogsgan.errors import DogsganError

DOG_BREEDS = 120


@dataclass(frozen=True)
class Preset:
    """A recipe and where it comes from."""

    recipe: Recipe
    source: str


_PRESETS = (
    Preset(
        Recipe(
            name="dogs-sagan",
            training=TrainingRecipe(tick_images=50_000, checkpoint_images=100_000),
        ),
        "SAGAN (Zhang et al., arXiv 1805.08318) on box crops of Stanford Dogs, 64 px",
    ),
    Preset(
        Recipe(
            name="dogs-sagan-cpu",
            model=ModelRecipe(generator_width=16, discriminator_width=16),
            training=TrainingRecipe(
                generator_lr=2e-4,
                discriminator_lr=8e-4,
                beta2=0.99,
                ema_halflife_images=20_000,
                ema_rampup=0.1,
                precision="bfloat16",
                tick_images=7_000,
                checkpoint_images=7_000,
                keep_checkpoints=50,
            ),
        ),
        "dogs-sagan at a quarter of its width: an hour or two of two CPU cores",
    ),
    Preset(
        Recipe(
            name="demo",
            data=DataRecipe(size_px=64, policy="square", min_box_px=16),
            model=ModelRecipe(
                z_dim=64,
                generator_width=8,
                discriminator_width=8,
                generator_attention_px=(16,),
                discriminator_attention_px=(16,),
            ),
            training=TrainingRecipe(
                generator_lr=5e-4,
                discriminator_lr=1e-3,
                beta2=0.99,
                batch_size=16,
                ema_halflife_images=3_000,
                ema_rampup=0.1,
                tick_images=2_500,
                checkpoint_images=2_500,
            ),
        ),
        "a small SAGAN for the demo and for a first look at any crop set",
    ),
)

PRESETS: dict[str, Preset] = {preset.recipe.name: preset for preset in _PRESETS}


def preset(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises:
        DogsganError: there is none.
    """
    if name not in PRESETS:
        raise DogsganError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name].recipe


def describe_presets() -> list[dict[str, Any]]:
    """Return name, source and parameter counts of every preset; with 120 classes where conditional."""
    import torch  # only where it is needed

    from dogsgan.models import build_networks, parameter_count

    rows = []
    for name, item in PRESETS.items():
        with torch.device("meta"):  # shapes only
            networks = build_networks(item.recipe, class_count=DOG_BREEDS)
        rows.append(
            {
                "name": name,
                "source": item.source,
                "generator_parameters": parameter_count(networks.generator),
                "discriminator_parameters": parameter_count(networks.discriminator),
                "recipe": item.recipe.to_json(),
            }
        )
    return rows
