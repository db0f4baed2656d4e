"""Of several averages the one that looks most like real pictures to the discriminator is kept."""

import pytest
import torch
from safetensors.torch import load_file
from same_run import assert_same_run
from tiny import RECIPE, crop_set

from dogsgan.errors import DogsganError
from dogsgan.metrics.kid import kernel_distance as score_s_kernel_distance
from dogsgan.models.generator_file import GENERATOR_FILE, read_generator
from dogsgan.training import averages
from dogsgan.training.averages import average_distances, chosen_average, kernel_distance
from dogsgan.training.checkpoint import load_checkpoint
from dogsgan.training.loop import train
from dogsgan.training.run_folder import checkpoints
from dogsgan.training.state import TrainingState

CPU = torch.device("cpu")
SEVERAL = RECIPE.with_overrides(["training.further_halflives_images=0,1000"])


@pytest.fixture
def data(tmp_path):
    return crop_set(tmp_path / "set")


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    monkeypatch.setattr(averages, "PICTURES", 64)


def test_the_kernel_distance_is_kid_s():
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 8, generator=random) + shift for n, shift in ((30, 0.0), (20, 0.5)))
    expected = score_s_kernel_distance(a.numpy(), b.numpy())
    assert kernel_distance(a, b) == pytest.approx(expected.value, rel=1e-9)


def test_the_best_average_is_chosen_whichever_it_is(data, monkeypatch, capsys):
    state = TrainingState(SEVERAL, data, CPU)
    assert [average.halflife_images for average in state.averages] == [100, 0, 1000]
    for best, distances in enumerate(([0.1, 0.2, 0.3], [0.3, -0.1, 0.2], [3.0, 2.0, 1.0])):
        monkeypatch.setattr(averages, "average_distances", lambda _, values=distances: values)
        assert chosen_average(state) is state.averages[best]
    assert "half-life 1,000 images is kept" in capsys.readouterr().err


def test_an_average_that_makes_noise_is_further_away(tmp_path):
    data = crop_set(tmp_path / "set", count=128)
    lengths = ["training.tick_images=200", "training.checkpoint_images=200"]
    recipe = SEVERAL.with_overrides([*lengths, "training.generator_lr=2e-3"])
    train(recipe, data, tmp_path / "run", images=100)
    state = TrainingState(recipe, data, CPU)
    load_checkpoint(checkpoints(tmp_path / "run")[-1], state)
    before = average_distances(state)
    with torch.no_grad():
        for parameter in state.averages[1].module.to_picture.parameters():
            parameter.copy_(torch.randn_like(parameter))
    after = average_distances(state)
    assert after[1] > before[1]
    assert (after[0], after[2]) == (before[0], before[2])


def test_every_average_is_in_the_checkpoint_and_resuming_changes_no_bit(data, tmp_path):
    train(SEVERAL, data, tmp_path / "straight", images=32)
    for images in (20, 32):
        train(SEVERAL, data, tmp_path / "resumed", images=images)
    assert_same_run(tmp_path / "straight", tmp_path / "resumed")
    ours, theirs = (checkpoints(tmp_path / name)[-1] for name in ("straight", "resumed"))
    for halflife in (0, 1000):
        a, b = (load_file(folder / f"average-{halflife}.safetensors") for folder in (ours, theirs))
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_chosen_average_is_sampled_and_the_recipe_s_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr(averages, "average_distances", lambda _: [3.0, 1.0, 2.0])
    train(SEVERAL, data, tmp_path, images=16)
    published, described = read_generator(tmp_path / GENERATOR_FILE)
    assert described["halflife_images"] == 0
    folder = checkpoints(tmp_path)[-1]
    chosen, own = load_file(folder / "average-0.safetensors"), load_file(folder / GENERATOR_FILE)
    assert all(torch.equal(published[name], chosen[name]) for name in chosen)
    assert any(not torch.equal(published[name], own[name]) for name in own)


def test_no_half_life_is_named_twice():
    for named in ("100", "5,5", "-1"):
        with pytest.raises(DogsganError, match="further_halflives_images"):
            RECIPE.with_overrides([f"training.further_halflives_images={named}"])
