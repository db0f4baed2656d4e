"""The cost of a step: counted from shapes, it is that of a real step and of a count by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import RECIPE, crop_set
from torch.profiler import ProfilerActivity, profile

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.kernel import rehearse
from dogsgan.kernel.prediction import Card, Prediction, Range, images_per_second
from dogsgan.models import parameter_count
from dogsgan.presets import preset
from dogsgan.training.cost import ALLOWANCE_BYTES, StepCost, check_fits, step_cost
from dogsgan.training.losses import build_loss
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step

ADAM_BYTES = 8  # of two moments of a weight


def with_batch(recipe: Recipe, batch: int, **changes) -> Recipe:
    return replace(recipe, training=replace(recipe.training, batch_size=batch, **changes))


def measured_bytes(recipe: Recipe, folder) -> int:
    """Return the most that torch's allocator holds within two steps beyond weights and moments."""
    state = TrainingState(recipe, crop_set(folder), torch.device("cpu"))
    loss = build_loss(recipe.training)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        train_step(state, loss)
        train_step(state, loss)
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    weights = sum(parameter_count(network) for network in state.networks().values())
    return int(np.cumsum([event.nbytes() for event in events]).max()) - ADAM_BYTES * weights


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "float32"},
        {"precision": "float32", "shared_fakes": True, "lecam": 0.3, "discriminator_steps": 2},
        {"precision": "float32", "gradient_penalty": 10.0},
        {"precision": "bfloat16"},  # the CPU's attention is in float32
    ],
)
def test_the_memory_of_a_step_is_that_of_a_real_one(tmp_path, changes):
    recipe = with_batch(RECIPE, 16, **changes)
    measured = measured_bytes(recipe, tmp_path / "set")
    assert step_cost(recipe, class_count=3).step_bytes == pytest.approx(measured, rel=0.15)


def test_a_prediction_names_the_allowance_that_it_contains(monkeypatch):
    monkeypatch.setattr("dogsgan.training.cost.ALLOWANCE_BYTES", 2.5e9)
    one = Range(1.0, 2.0)
    prediction = Prediction(
        "tiny", one, one, {"T4": one}, 1.0, 1.0, gpu_memory_bytes=3 * 10**9, reserve_s=60.0
    )
    assert "tiny takes 3.0 GB on one GPU, with 2.5 GB for what cannot be counted" in prediction.summary()


def test_weights_averages_and_moments_are_kept():
    cost = step_cost(with_batch(RECIPE, 4, further_halflives_images=(50, 200)), class_count=3)
    state_less = step_cost(with_batch(RECIPE, 4), class_count=3)
    generator_bytes = (cost.kept_bytes - state_less.kept_bytes) // 2
    assert state_less.kept_bytes == 3 * state_less.gradient_bytes + generator_bytes
    assert cost.peak_bytes - state_less.peak_bytes == 2 * generator_bytes


def test_operations_are_those_of_a_count_by_hand():
    dcgan = preset("mnist-dcgan")
    model = replace(dcgan.model, z_dim=10, generator_width=8, discriminator_width=8)
    recipe = with_batch(replace(dcgan, data=replace(dcgan.data, size_px=16), model=model), 2)
    first_up, first_down = 10 * 16 * 16, 8 * 8 * 8 * 16  # multiplications: 1×1 to 4×4, 16×16 to 8×8
    generator = first_up + 4 * 4 * 16 * 8 * 16 + 8 * 8 * 8 * 16
    discriminator = first_down + 4 * 4 * 8 * 16 * 16 + 256
    # Forward, gradients of the weights, gradients of the maps but for the first layer's input.
    discriminators_step = generator + 2 * (3 * discriminator - first_down)
    generators_step = 3 * generator - first_up + 2 * discriminator
    by_hand = 2 * recipe.training.batch_size * (discriminators_step + generators_step)
    assert step_cost(recipe).flops == by_hand


def test_a_recipe_that_does_not_fit_is_refused_with_the_batch_that_does():
    recipe = with_batch(RECIPE, 64)
    peaks = {batch: step_cost(with_batch(RECIPE, batch)).peak_bytes / 1e9 for batch in (64, 16)}
    check_fits(recipe, memory_gb=peaks[64])
    with pytest.raises(DogsganError, match=r"batch_size = 64 takes .* add --set training\.batch_size=16,"):
        check_fits(recipe, memory_gb=peaks[16])
    with pytest.raises(DogsganError, match="no batch fits: take smaller widths"):
        check_fits(recipe, memory_gb=ALLOWANCE_BYTES / 1e9)


def test_the_range_is_that_of_the_shares_of_the_peaks():
    card = Card(100e12, 100e12, 10e12, 1e12)
    cost = StepCost(
        kept_bytes=0,
        step_bytes=0,
        data_bytes=0,
        gradient_bytes=550_000_000,
        flops=6_000_000_000_000,
        moved_bytes=400_000_000_000,
        operations=10,
        images=32,
    )
    one = images_per_second(card, cost, precision="float16")
    assert one == pytest.approx(Range(32 / (0.4 + 0.8), 32 / (0.15 + 0.5)))
    assert one.low < 32 / (6 / 27.5 + 0.4 / 0.65) < one.high
    two = images_per_second(card, cost, precision="float16", cards=2)
    assert two == pytest.approx(Range(64 / (1.2 + 0.11), 64 / 0.65))
    started = images_per_second(card, replace(cost, operations=1_000_000), precision="float16")
    assert started == pytest.approx(Range(32 / (100 / 7), 32 / 5))
    plain = images_per_second(card, cost, precision="float32")
    assert plain == pytest.approx(Range(32 / (4 + 0.8), 32 / (1.5 + 0.5)))


def test_a_rehearsal_reports_memory_and_range_of_the_recipe_for_a_gpu():
    told = {"seconds": 1700.0, "train": {"images_seen": 24, "seconds": 100.0}}
    predicted = rehearse._predicted(told, {"RECIPE": RECIPE.to_json()})
    assert predicted is not None
    assert predicted.reserve_s == 1600
    assert predicted.gpu_memory_bytes == step_cost(RECIPE).peak_bytes
    assert 0 < predicted.images.low < predicted.images.high
    assert f"tiny takes {predicted.gpu_memory_bytes / 1e9:.1f} GB on one GPU" in predicted.summary()
    assert json.loads(json.dumps(predicted.to_json()))["one_card"].keys() == {"T4", "L4", "A100", "H100"}
    assert rehearse._predicted({}, {"RECIPE": RECIPE.to_json()}) is None
