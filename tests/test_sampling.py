"""Same seed, same bytes; classes in turn; truncation by drawing again."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats
from tiny import RECIPE, crop_set

from dogsgan.config import ModelRecipe
from dogsgan.errors import DogsganError
from dogsgan.models import build_networks, sampling
from dogsgan.models.sampling import (
    Sampler,
    balanced_labels,
    draw_truncated,
    recalibrated_batch_norm_copy,
    to_uint8,
)
from dogsgan.training.loop import train

MODEL = ModelRecipe(z_dim=100)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampling")
    train(RECIPE, crop_set(folder / "set"), folder / "run", images=16)
    return folder / "run"


@pytest.fixture
def sampler(run):
    return Sampler.open(run, device="cpu")


def pictures(sampler, count, **settings):
    return np.concatenate([batch.pictures for batch in sampler.batches(count, **settings)])


def test_any_count_comes_as_uint8_of_the_recipe_s_size(sampler):
    made = pictures(sampler, 70)
    assert made.shape == (70, 32, 32, 3)
    assert made.dtype == np.uint8


def test_same_seed_same_bytes_other_seed_others(run, sampler):
    once = pictures(sampler, 8, seed=3)
    assert (once == pictures(Sampler.open(run, device="cpu"), 8, seed=3)).all()
    assert (once != pictures(sampler, 8, seed=4)).any()


@pytest.mark.parametrize(("count", "classes"), [(10_000, 120), (7, 3), (2, 5)])
def test_classes_are_balanced(count, classes):
    counts = torch.bincount(balanced_labels(count, classes), minlength=classes)
    assert counts.max() - counts.min() <= 1
    assert counts.sum() == count


def test_a_batch_carries_its_labels(sampler):
    batches = list(sampler.batches(70))
    assert [len(batch.labels) for batch in batches] == [64, 6]
    assert np.concatenate([batch.labels for batch in batches]).tolist() == [i % 3 for i in range(70)]


def noise(count, model=MODEL, **settings):
    return draw_truncated(count, model, random=torch.Generator().manual_seed(0), **settings)


def test_without_truncation_noise_is_normal():
    assert stats.kstest(noise(200).flatten().numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("truncation", [0.25, 0.5, 0.9])
def test_truncated_noise_is_the_normal_distribution_between_its_bounds(truncation):
    z = noise(200, truncation=truncation).flatten().numpy()
    bound = 2 * truncation
    assert np.abs(z).max() <= bound
    assert stats.kstest(z, stats.truncnorm(-bound, bound).cdf).pvalue > 1e-3


@pytest.mark.parametrize("truncation", [0, -1, 1e-9, 1.5, float("nan"), float("inf")])
def test_a_senseless_truncation_is_refused(truncation):
    with pytest.raises(DogsganError, match="truncation"):
        noise(1, truncation=truncation)


def test_uniform_noise_is_uniform_and_not_truncated():
    uniform = ModelRecipe(z_dim=100, noise="uniform")
    z = noise(200, uniform).flatten().numpy()
    assert stats.kstest(z, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    with pytest.raises(DogsganError, match="for normal noise"):
        noise(200, uniform, truncation=0.5)


def test_a_generator_of_nan_is_refused(sampler):
    sampler.generator.to_picture.bias.data.fill_(float("nan"))
    with pytest.raises(DogsganError, match="NaN"):
        pictures(sampler, 4)


def test_one_disturbed_round_does_not_count(sampler, monkeypatch):
    now, calls = [0.0], []
    collect, finish = sampling.recalibrated_batch_norm_copy, sampling.to_uint8

    def collected(*arguments, **settings):
        calls.append(1)
        now[0] += 500.0 if len(calls) == 1 else 50.0 if len(calls) == 3 else 0.25
        return collect(*arguments, **settings)

    def finished(pictures):
        now[0] += 0.125
        return finish(pictures)

    monkeypatch.setattr(sampling.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sampling, "REHEARSAL_S", 1_000.0)
    monkeypatch.setattr(sampling, "recalibrated_batch_norm_copy", collected)
    monkeypatch.setattr(sampling, "to_uint8", finished)
    model, batches = sampler.recipe.model, 10
    seconds, _ = sampling.measured_sampling(
        sampler.generator, model=model, class_count=3, count=batches * sampling.BATCH
    )
    rounds = math.ceil(sampling.STATISTICS_IMAGES / sampling.BATCH)
    assert len(calls) == 6
    assert seconds == rounds * 0.25 + batches * 0.125


def test_truncated_pictures_come_with_statistics_of_truncated_noise(run):
    shown = []
    sampler = Sampler.open(run, device="cpu")
    sampler.generator.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    Sampler.of(sampler.generator, sampler.recipe, sampler.class_names, truncation=0.3, statistics_images=64)
    assert 0.3 < torch.cat(shown).abs().max() <= 0.6
    next(Sampler.open(run, device="cpu", truncation=0.3).batches(4))


def test_statistics_are_those_of_the_pictures_that_are_made():
    torch.manual_seed(0)
    generator = build_networks(RECIPE, class_count=3).generator
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(100.0)  # of other weights
    ready = recalibrated_batch_norm_copy(generator, model=RECIPE.model, class_count=3, images=640)
    again = recalibrated_batch_norm_copy(generator, model=RECIPE.model, class_count=3, images=640)
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
    recalibrated_batch_norm_copy(generator, model=uniform, class_count=3, images=128)
    z = torch.cat(drawn)
    assert z.shape == (128, RECIPE.model.z_dim)
    assert z.abs().max() <= 1
    assert z.min() < 0 < z.max()


def test_pictures_round_to_the_nearest_grey_level():
    x = torch.tensor([-1.0, 1.0, 0.0, 1.7, -3.0, (200.4 / 127.5) - 1]).view(1, 1, 1, 6)
    assert to_uint8(x).ravel().tolist() == [0, 255, 128, 255, 0, 200]
