"""What only a GPU can show. `DOGSGAN_TEST_DEVICE=cpu` runs the same tests without one, to try the tests."""

import dataclasses
import os

import numpy as np
import pytest
import torch
from copied import training_clouds, views_of
from tiny import RECIPE, crop_set

from dogsgan.audit.search import find_candidates
from dogsgan.device import works
from dogsgan.features.networks import open_network
from dogsgan.metrics.memorization import memorization_distance
from dogsgan.models.sampling import Sampler
from dogsgan.training import loop
from dogsgan.training.checkpoint import load_checkpoint
from dogsgan.training.loop import train
from dogsgan.training.losses import build_loss
from dogsgan.training.run_folder import checkpoints, read_log
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step


@pytest.fixture
def device() -> torch.device:
    """The GPU, or what the environment names; without either the test skips."""
    named = os.environ.get("DOGSGAN_TEST_DEVICE")
    if named is None and not (torch.cuda.is_available() and works(torch.device("cuda"))):
        pytest.skip("no GPU")
    return torch.device(named or "cuda")


@pytest.fixture
def data(tmp_path):
    return crop_set(tmp_path / "set")


def with_training(**changes):
    return dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **changes))


def test_gradients_are_those_of_the_cpu(data, device):
    """With the same weights and pictures; noise differs between devices, so none is drawn there."""
    recipe = with_training(precision="float32", diffaugment="")
    found = {}
    for where in (torch.device("cpu"), device):
        state = TrainingState(recipe, data, where)
        random = torch.Generator().manual_seed(0)
        z = torch.randn(4, recipe.model.z_dim, generator=random).to(where)
        labels = torch.arange(4, device=where) % 3
        fake = state.generator(z, labels)
        logits = state.discriminator(torch.cat([state.batches.trained_on(4)[0], fake]), labels.repeat(2))
        logits.square().mean().backward()
        gradients = {
            name: parameter.grad.cpu()
            for network in state.networks().values()
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        }
        found[where.type] = (logits.detach().cpu(), gradients)
    (logits, gradients), (expected, theirs) = found[device.type], found["cpu"]
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    for name, gradient in gradients.items():
        scale = theirs[name].abs().max().clamp_min(1e-6)
        assert (gradient - theirs[name]).abs().max() / scale < 1e-2, name


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_a_resumed_run_is_close_to_one_that_was_not_stopped(data, tmp_path, device, precision):
    """To the last bit on the CPU (`test_loop.py`). On a GPU sums are in no fixed order."""
    recipe = with_training(precision=precision)
    train(recipe, data, tmp_path / "straight", images=32, device=str(device))
    for images in (16, 32):
        train(recipe, data, tmp_path / "resumed", images=images, device=str(device))
    states = []
    for run in ("straight", "resumed"):
        states.append(TrainingState(recipe, data, device))
        load_checkpoint(checkpoints(tmp_path / run)[-1], states[-1])
    ours, theirs = (
        torch.cat([parameter.detach().flatten().cpu() for parameter in state.averaged.module.parameters()])
        for state in states
    )
    off = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    print(f"{precision}: the resumed run's average is off by {off:.1e}")
    assert off < 5e-2
    assert torch.equal(states[0].random.get_state(), states[1].random.get_state())
    assert (states[0].steps, states[0].images_seen) == (states[1].steps, states[1].images_seen)


def test_the_step_waits_for_nothing(data, device):
    state = TrainingState(with_training(precision="float16"), data, device)
    loss = build_loss(state.recipe.training)
    train_step(state, loss)  # optimisers build their state
    if device.type != "cuda":
        train_step(state, loss)
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step(state, loss)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_numbers_that_break_lead_back_to_the_last_checkpoint(data, tmp_path, device, monkeypatch):
    honest, taken = loop.train_step, 0

    def breaking(state, loss):
        nonlocal taken
        taken += 1
        if taken == 6:
            next(state.generator.parameters()).data.fill_(torch.nan)
        return honest(state, loss)

    monkeypatch.setattr(loop, "train_step", breaking)
    report = train(RECIPE, data, tmp_path / "run", images=48, device=str(device))
    assert (report.images_seen, report.rollbacks, report.stopped_by) == (48, 1, "images")
    assert all(np.isfinite(line["generator_loss"]) for line in read_log(tmp_path / "run"))


def test_running_out_of_memory_ends_with_a_generator(data, tmp_path, device, monkeypatch):
    honest, taken = loop.train_step, 0

    def greedy(state, loss):
        nonlocal taken
        taken += 1
        if taken == 6:
            torch.empty(2**45, dtype=torch.uint8, device=state.device)  # 35 TB
        return honest(state, loss)

    monkeypatch.setattr(loop, "train_step", greedy)
    report = train(RECIPE, data, tmp_path / "run", images=48, device=str(device))
    assert report.stopped_by == "out-of-memory"
    batch = next(Sampler.open(tmp_path / "run", device=str(device)).batches(4))
    assert batch.pictures.shape == (4, 32, 32, 3)


def test_pictures_of_a_generator_are_those_of_the_cpu(data, tmp_path, device):
    train(RECIPE, data, tmp_path / "run", images=16, device="cpu")
    ours, theirs = (
        next(Sampler.open(tmp_path / "run", device=where).batches(16)).pictures.astype(int)
        for where in (str(device), "cpu")
    )
    assert np.abs(ours - theirs).max() <= 2


def test_features_and_distances_are_those_of_the_cpu(device):
    pictures = training_clouds()
    found = {}
    for where in (str(device), "cpu"):
        network = open_network("stand-in", device=where)
        features = network.features(pictures)
        distance = memorization_distance(features[:8].to(where), features[8:].to(where))
        found[where] = (features, distance)
    (ours, our_distance), (theirs, distance) = found[str(device)], found["cpu"]
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert our_distance == pytest.approx(distance, rel=1e-3)


def test_the_search_in_pixels_finds_what_the_cpu_finds(device):
    training = training_clouds()
    ours, theirs = (
        find_candidates(training[:12], views_of(training), coarse=5, fine=2, device=where)
        for where in (device, torch.device("cpu"))
    )
    assert (ours.view[:, 0] == theirs.view[:, 0]).all()
    np.testing.assert_allclose(ours.transform[:, 0], theirs.transform[:, 0], atol=1e-4)
