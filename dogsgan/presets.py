"""Every named recipe, as plain values."""

from dataclasses import dataclass, replace
from typing import Any

from dogsgan.config import DataRecipe, ModelRecipe, Recipe, TrainingRecipe
from dogsgan.errors import DogsganError

DOG_BREEDS, DIGITS = 120, 10


@dataclass(frozen=True)
class Preset:
    """A recipe and where it comes from."""

    recipe: Recipe
    source: str
    class_count: int = DOG_BREEDS
    """Classes of the data that it is made for; of no account where the recipe is unconditional."""


_MNIST_32PX = DataRecipe(size_px=32, channels=1, policy="whole")
_MNIST_DCGAN = ModelRecipe(
    architecture="dcgan",
    z_dim=100,
    generator_width=128,
    discriminator_width=128,
    conditional=False,
    generator_attention_px=(),
    discriminator_attention_px=(),
    generator_spectral_norm=False,
    discriminator_spectral_norm=False,
    discriminator_batch_norm=True,
    discriminator_slope=0.01,
)
_MNIST_DCGAN_TRAINING = TrainingRecipe(
    loss="bce",
    generator_lr=2e-4,
    discriminator_lr=2e-4,
    beta1=0.5,
    beta2=0.999,
    batch_size=64,
    ema_halflife_images=20_000,
    flip=False,
)


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
            name="dogs-best",
            data=DataRecipe(policy="whole:0.5,context:0.5"),
            model=ModelRecipe(generator_upsampling="smooth"),
            training=TrainingRecipe(
                generator_lr=2e-4,
                beta2=0.99,
                batch_size=64,
                shared_fakes=True,
                lecam=0.3,
                diffaugment="color,translation",
                diffaugment_overfitting=0.5,
                held_out=0.02,
                lr_decay=0.3,
                ema_halflife_images=200_000,
                further_halflives_images=(50_000, 800_000),
                tick_images=50_000,
                checkpoint_images=100_000,
            ),
        ),
        "for nine hours of two T4: crops near the score's pictures, against overfitting (docs/recipe.md)",
    ),
    Preset(
        Recipe(
            name="dogs-best-cpu",
            model=ModelRecipe(
                generator_width=16,
                discriminator_width=16,
                generator_attention_px=(16,),
                discriminator_attention_px=(16,),
                generator_upsampling="smooth",
            ),
            training=TrainingRecipe(
                generator_lr=4e-4,
                discriminator_lr=8e-4,
                beta2=0.99,
                shared_fakes=True,
                held_out=0.02,
                ema_halflife_images=20_000,
                ema_rampup=0.1,
                precision="bfloat16",
                tick_images=10_000,
                checkpoint_images=10_000,
            ),
        ),
        "for an hour or more of two CPU cores: dogs-sagan-cpu, 1.5 times as fast a step (docs/recipe.md)",
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
                checkpoint_images=1_000,
            ),
        ),
        "a small SAGAN for the demo and for a first look at any crop set",
    ),
    Preset(
        Recipe(
            name="celeba-sagan",
            data=DataRecipe(policy="center-160"),
            model=ModelRecipe(
                architecture="dcgan",
                z_dim=100,
                conditional=False,
                generator_attention_px=(16,),
                discriminator_attention_px=(8,),
                discriminator_batch_norm=True,
                discriminator_slope=0.2,
            ),
            training=TrainingRecipe(loss="bce", gradient_penalty=10.0, beta1=0.5, beta2=0.999, batch_size=64),
        ),
        "CelebA SAGAN (IVUS 2024): five layers each, spectral and batch norm, attention between 3 and 4",
    ),
    Preset(
        Recipe(
            name="mnist-gan",
            data=DataRecipe(size_px=28, channels=1, policy="whole"),
            model=ModelRecipe(
                architecture="dcgan-5x5",
                z_dim=100,
                noise="uniform",
                conditional=False,
                generator_attention_px=(),
                discriminator_attention_px=(),
                generator_spectral_norm=False,
                discriminator_spectral_norm=False,
                generator_slope=0.3,
                discriminator_slope=0.3,
                discriminator_dropout=0.3,
            ),
            training=TrainingRecipe(
                loss="bce",
                generator_lr=1e-4,
                discriminator_lr=1e-4,
                beta1=0.9,
                beta2=0.999,
                batch_size=256,
                ema_halflife_images=20_000,
                flip=False,
            ),
        ),
        "MNIST GAN (Hanoi): dense 7×7×256, 5×5 kernels, uniform noise, dropout; theirs saw 3,000,000 images",
        class_count=DIGITS,
    ),
    Preset(
        Recipe(name="mnist-dcgan", data=_MNIST_32PX, model=_MNIST_DCGAN, training=_MNIST_DCGAN_TRAINING),
        "MNIST DCGAN (San José State): 512, 256, 128 channels, batch norm in both, 32 px",
        class_count=DIGITS,
    ),
    Preset(
        Recipe(
            name="mnist-sagan",
            data=_MNIST_32PX,
            model=replace(_MNIST_DCGAN, generator_attention_px=(16,), discriminator_attention_px=(4,)),
            training=_MNIST_DCGAN_TRAINING,
        ),
        "MNIST SAGAN (San José State): mnist-dcgan with attention on 128 and 512 channels",
        class_count=DIGITS,
    ),
    Preset(
        Recipe(
            name="mnist-cgan",
            data=_MNIST_32PX,
            model=replace(
                _MNIST_DCGAN,
                conditional=True,
                generator_width=16,
                discriminator_width=16,
                discriminator_spectral_norm=True,
                discriminator_batch_norm=False,
                discriminator_slope=0.1,
            ),
            training=TrainingRecipe(
                generator_lr=1e-3,
                discriminator_lr=1e-3,
                beta2=0.99,
                batch_size=32,
                ema_halflife_images=5_000,
                ema_rampup=0.2,
                flip=False,
                tick_images=30_000,
                checkpoint_images=30_000,
            ),
        ),
        "conditional GAN of the augmentation study (San José State): labels by batch norm and projection",
        class_count=DIGITS,
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


def choose_presets(device: str, *, digits: bool = False, labelled: bool = True) -> tuple[str, ...]:
    """Return the presets that suit data and device where nobody names one: the best first, the fastest last.

    Args:
        device: its type, `cpu` or `cuda`.
        digits: grey pictures of 28 or 32 px.
        labelled: whether the pictures have classes.
    """
    if digits:
        by_labels = ("mnist-cgan", "mnist-dcgan") if labelled else ("mnist-dcgan", "mnist-cgan")
        return (*by_labels, "mnist-gan")
    if device == "cpu":
        return ("dogs-best-cpu", "demo")
    return ("dogs-best", "dogs-best-cpu", "demo")


def describe_presets() -> list[dict[str, Any]]:
    """Return name, source and parameter counts of every preset, conditional ones with their classes."""
    from dogsgan.models import outline_networks, parameter_count  # only here: torch takes seconds

    rows = []
    for name, item in PRESETS.items():
        networks = outline_networks(item.recipe, class_count=item.class_count)
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
