"""The average forgets at the stated half-life, and gets statistics of its own."""

import dataclasses

import pytest
import torch
from tiny import RECIPE

from dogsgan.config import TrainingRecipe
from dogsgan.training.state import AveragedGenerator, ema_decay


@pytest.mark.parametrize("batch_size", [8, 32, 128])
def test_half_is_forgotten_after_the_halflife_whatever_the_batch(batch_size):
    recipe = TrainingRecipe(batch_size=batch_size, ema_halflife_images=12_800)
    kept, seen = 1.0, 10**7
    for _ in range(12_800 // batch_size):
        seen += batch_size
        kept *= ema_decay(seen, recipe)
    assert kept == pytest.approx(0.5, rel=1e-9)


def test_early_weights_are_forgotten_sooner():
    recipe = TrainingRecipe(batch_size=10, ema_halflife_images=10**6, ema_rampup=0.1)
    assert ema_decay(1000, recipe) == pytest.approx(0.5 ** (10 / 100))
    assert ema_decay(0, recipe) == 0.0


def test_no_halflife_is_no_average():
    assert ema_decay(10**6, TrainingRecipe(ema_halflife_images=0)) == 0.0


def test_the_average_moves_by_the_decay():
    recipe = dataclasses.replace(RECIPE.training, ema_halflife_images=8, ema_rampup=1.0)
    generator = torch.nn.Linear(2, 2)
    averaged = AveragedGenerator(generator, recipe)
    before = averaged.module.weight.clone()
    torch.nn.init.ones_(generator.weight)
    averaged.update(generator, images_seen=1000)
    decay = 0.5 ** (4 / 8)
    torch.testing.assert_close(averaged.module.weight, decay * before + (1 - decay))
