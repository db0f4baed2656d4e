"""A recipe and a crop set small enough to train in a test."""

from pathlib import Path

import numpy as np

from dogsgan.config import DataRecipe, ModelRecipe, Recipe, TrainingRecipe
from dogsgan.data.cropset import CropSet, write_crop_set

RECIPE = Recipe(
    name="tiny",
    data=DataRecipe(size_px=32),
    model=ModelRecipe(
        z_dim=16,
        generator_width=8,
        discriminator_width=8,
        generator_attention_px=(16,),
        discriminator_attention_px=(16,),
    ),
    training=TrainingRecipe(
        batch_size=4,
        tick_images=16,
        checkpoint_images=16,
        diffaugment="color,translation,cutout",
        ema_halflife_images=100,
        ema_rampup=0.5,
    ),
)


def crop_set(path: Path, *, count: int = 30, classes: int = 3, size_px: int = 32) -> CropSet:
    """Write a set of noise with a bright square that tells the class."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 80, (count, size_px, size_px, 3), dtype=np.uint8)
    labels = np.arange(count) % classes
    for picture, label in zip(pictures, labels, strict=True):
        picture[8:16, 8 * label : 8 * label + 8] = 250
    write_crop_set(path, pictures, labels, class_names=[f"class {i}" for i in range(classes)])
    return CropSet.open(path)
