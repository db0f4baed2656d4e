"""Same seed, same bytes; classes in turn; truncation by drawing again."""

import time

import numpy as np
import pytest
import torch
from scipy import stats
from tiny import RECIPE, crop_set

from dogsgan import sampling
from dogsgan.config import ModelRecipe
from dogsgan.errors import DogsganError
from dogsgan.sampling import balanced_labels, draw_truncated, load_sampler
from dogsgan.training.loop import train

MODEL = ModelRecipe(z_dim=100)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampling")
    train(RECIPE, crop_set(folder / "set"), folder / "run", images=16)
    return folder / "run"


@pytest.fixture
def sampler(run, monkeypatch):
    monkeypatch.setattr(sampling, "STATISTICS_IMAGES", 64)
    return load_sampler(run, device="cpu")


def pictures(sampler, count, **settings):
    return np.concatenate(list(sampler.batches(count, **settings)))


def test_any_count_comes_as_uint8_of_the_recipe_s_size(sampler):
    made = pictures(sampler, 70)
    assert made.shape == (70, 32, 32, 3)
    assert made.dtype == np.uint8


def test_same_seed_same_bytes_other_seed_others(run, sampler):
    once = pictures(sampler, 8, seed=3)
    assert (once == pictures(load_sampler(run, device="cpu"), 8, seed=3)).all()
    assert (once != pictures(sampler, 8, seed=4)).any()


@pytest.mark.parametrize(("count", "classes"), [(10_000, 120), (7, 3), (2, 5)])
def test_classes_are_balanced(count, classes):
    counts = torch.bincount(balanced_labels(count, classes), minlength=classes)
    assert counts.max() - counts.min() <= 1
    assert counts.sum() == count


def test_without_truncation_noise_is_normal():
    assert stats.kstest(draw_truncated(200, MODEL, seed=0).flatten().numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("truncation", [0.25, 0.5, 0.9])
def test_truncated_noise_is_the_normal_distribution_between_its_bounds(truncation):
    z = draw_truncated(200, MODEL, seed=0, truncation=truncation).flatten().numpy()
    bound = 2 * truncation
    assert np.abs(z).max() <= bound
    assert stats.kstest(z, stats.truncnorm(-bound, bound).cdf).pvalue > 1e-3


@pytest.mark.parametrize("truncation", [0, -1, 1e-9, 1.5, float("nan"), float("inf")])
def test_a_senseless_truncation_is_refused(truncation):
    with pytest.raises(DogsganError, match="truncation"):
        draw_truncated(1, MODEL, seed=0, truncation=truncation)


def test_uniform_noise_is_uniform_and_not_truncated():
    uniform = ModelRecipe(z_dim=100, noise="uniform")
    z = draw_truncated(200, uniform, seed=0).flatten().numpy()
    assert stats.kstest(z, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    with pytest.raises(DogsganError, match="for normal noise"):
        draw_truncated(200, uniform, seed=0, truncation=0.5)


def test_a_generator_of_nan_is_refused(sampler):
    sampler.generator.to_picture.bias.data.fill_(float("nan"))
    with pytest.raises(DogsganError, match="NaN"):
        pictures(sampler, 4)


def test_one_disturbed_round_does_not_count(sampler, monkeypatch):
    calls = []
    collect = sampling.with_own_statistics

    def disturbed(*arguments, **settings):
        calls.append(1)
        if len(calls) == 2:
            time.sleep(0.5)  # the first round is never counted, the second would be
        return collect(*arguments, **settings)

    monkeypatch.setattr(sampling, "with_own_statistics", disturbed)
    model = sampler.recipe.model
    seconds, _ = sampling.rehearse_sampling(sampler.generator, model=model, class_count=3, count=64)
    assert len(calls) >= 4
    assert seconds < 0.5
