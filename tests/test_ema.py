"""The average forgets at the stated half-life, and gets statistics of its own."""

import dataclasses

import pytest
import torch
from tiny import RECIPE

from dogsgan.config import TrainingRecipe
from dogsgan.models import build_networks
from dogsgan.training.ema import AveragedGenerator, ema_decay, to_uint8, with_own_statistics


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


def test_statistics_are_those_of_the_pictures_that_are_made():
    torch.manual_seed(0)
    generator = build_networks(RECIPE, class_count=3).generator
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(100.0)  # of other weights
    ready = with_own_statistics(generator, model=RECIPE.model, class_count=3, images=640)
    again = with_own_statistics(generator, model=RECIPE.model, class_count=3, images=640)
    seen = {}
    ready.bn.norm.register_forward_hook(lambda _, inputs, __: seen.update(x=inputs[0]))
    z = torch.randn(512, 16)
    labels = torch.arange(512) % 3
    pictures = ready(z, labels)
    torch.testing.assert_close(ready.bn.norm.running_mean, seen["x"].mean((0, 2, 3)), atol=0.05, rtol=0.1)
    torch.testing.assert_close(ready.bn.norm.running_var, seen["x"].var((0, 2, 3)), atol=0.05, rtol=0.1)
    assert torch.equal(pictures, again(z, labels))
    assert not ready.training
    assert generator.training
    assert generator.bn.norm.running_mean[0] == 100.0  # the original is left alone


def test_statistics_are_collected_from_the_recipe_s_noise():
    drawn = []
    generator = build_networks(RECIPE, class_count=3).generator
    generator.register_forward_pre_hook(lambda _, inputs: drawn.append(inputs[0]))
    uniform = dataclasses.replace(RECIPE.model, noise="uniform")
    with_own_statistics(generator, model=uniform, class_count=3, images=128)
    z = torch.cat(drawn)
    assert z.shape == (128, RECIPE.model.z_dim)
    assert z.abs().max() <= 1
    assert z.min() < 0 < z.max()


def test_pictures_round_to_the_nearest_grey_level():
    x = torch.tensor([-1.0, 1.0, 0.0, 1.7, -3.0, (200.4 / 127.5) - 1]).view(1, 1, 1, 6)
    assert to_uint8(x).flatten().tolist() == [0, 255, 128, 255, 0, 200]
