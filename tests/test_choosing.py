"""Which recipe a run gets where nobody names one, and what cannot be sampled in time, before it starts."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import RECIPE, crop_set

from dogsgan import choosing
from dogsgan.choosing import choose_recipe, refuse_too_slow
from dogsgan.cli import main
from dogsgan.config import DataRecipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.presets import PRESETS, choose_presets
from dogsgan.training.deadline import Deadline
from dogsgan.training.loop import train
from dogsgan.training.run_folder import save_recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SECONDS = {"dogs-best": 800.0, "dogs-best-cpu": 90.0, "demo": 30.0, "mnist-cgan": 20.0, "mnist-dcgan": 70.0}


@pytest.fixture
def on(monkeypatch):
    """Choose on a device on which sampling 10,000 pictures takes SECONDS."""
    monkeypatch.setattr(
        choosing,
        "finishing_reserve_s",
        lambda recipe, classes, count, device: 2.0 + SECONDS[recipe.name] * count / 10_000,
    )

    def on(device):
        monkeypatch.setattr(choosing, "pick_device", lambda name: device)

    on(CPU)
    return on


@pytest.fixture(scope="module")
def dogs(tmp_path_factory):
    return open_source(draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=6, seed=1))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return draw_digits(tmp_path_factory.mktemp("drawn") / "digits", images=20)


def pictures(folder, *, size, grey, count=4):
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for index in range(count):
        shape = size if grey else (*size, 3)
        Image.fromarray(random.integers(0, 255, shape, dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("device", "left_s", "name"),
    [
        (GPU, None, "dogs-best"),
        (GPU, 9 * 3600.0, "dogs-best"),
        (GPU, 600.0, "dogs-best-cpu"),
        (CPU, None, "dogs-best-cpu"),
        (CPU, 9 * 3600.0, "dogs-best-cpu"),
        (CPU, 185.0, "dogs-best-cpu"),
        (CPU, 183.0, "demo"),
        (CPU, 10.0, "demo"),  # the fastest: what follows refuses it
    ],
)
def test_device_and_budget_choose(dogs, tmp_path, on, capsys, device, left_s, name):
    on(device)
    recipe = choose_recipe(dogs, tmp_path / "run", left_s=left_s, count=10_000)
    assert recipe == PRESETS[name].recipe
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"recipe: {name}, for pictures with ")
    assert "--preset" in line


def test_data_choose(digits, tmp_path, on):
    def chosen(path):
        return choose_recipe(open_source(path), tmp_path / "run", left_s=3600.0, count=10_000)

    assert chosen(digits).name == "mnist-cgan"
    assert chosen(pictures(tmp_path / "digits", size=(32, 32), grey=True)).name == "mnist-dcgan"
    for size in ((64, 64), (28, 30)):
        grey = chosen(pictures(tmp_path / f"grey-{size[1]}", size=size, grey=True))
        assert grey.name == "dogs-best-cpu"
    unlabelled = chosen(pictures(tmp_path / "colour", size=(28, 28), grey=False))
    assert unlabelled.name == "dogs-best-cpu"
    assert unlabelled.model.conditional is False


def test_a_prepared_set_is_trained_in_its_size(dogs, digits, tmp_path, on):
    for size, source, name in (
        (28, digits, "mnist-gan"),
        (32, digits, "mnist-cgan"),
        (32, dogs, "dogs-best-cpu"),
    ):
        made = prepare(source, tmp_path / f"{name}-{size}", DataRecipe(size_px=size, policy="whole")).crop_set
        recipe = choose_recipe(open_source(made.path), tmp_path / "run", count=10)
        assert (recipe.name, recipe.data.size_px) == (name, size)


def test_settings_change_what_is_chosen(dogs, tmp_path, on):
    settings = ["training.batch_size=8", "model.z_dim=7"]
    recipe = choose_recipe(dogs, tmp_path / "run", settings=settings, count=10)
    assert (recipe.training.batch_size, recipe.model.z_dim) == (8, 7)


def test_a_run_keeps_its_recipe_whatever_the_budget(dogs, tmp_path, on, capsys):
    save_recipe(tmp_path, RECIPE, fingerprint="crops")
    for left_s in (None, 10.0, 9 * 3600.0):
        assert choose_recipe(dogs, tmp_path, left_s=left_s, count=10_000) == RECIPE
    assert capsys.readouterr().err.startswith(f"recipe: tiny, that of {tmp_path}")


def test_what_cannot_be_sampled_in_time_is_refused_with_what_can(dogs, tmp_path, on):
    def refuse(left_s, name="dogs-best"):
        refuse_too_slow(PRESETS[name].recipe, dogs, tmp_path, left_s=left_s, count=10_000)

    refuse(803.0)
    refuse(None)
    with pytest.raises(
        DogsganError, match=r"dogs-best needs about 802 s on this cpu .* has 120 s: "
    ) as error:
        refuse(120.0)
    remedies = str(error.value).partition(": ")[2]
    assert "--budget 27m" in remedies
    assert "--count 700" in remedies  # (60 − 2) / 0.08
    assert "--preset demo" in remedies
    with pytest.raises(DogsganError) as error:
        refuse(40.0)
    assert "--preset" not in str(error.value)
    with pytest.raises(DogsganError) as error:
        refuse(3.0, "demo")
    assert "--count" not in str(error.value)


def test_a_trained_run_is_not_refused(dogs, tmp_path, on, capsys):
    (tmp_path / GENERATOR_FILE).touch()
    refuse_too_slow(PRESETS["demo"].recipe, dogs, tmp_path, left_s=3.0, count=10_000)
    assert "nothing more is trained" in capsys.readouterr().err


def test_the_time_is_measured_and_the_random_state_left_alone():
    before = torch.random.get_rng_state()
    few, many = (choosing.finishing_reserve_s(RECIPE, 3, count, CPU) for count in (10, 100_000))
    assert many > 5 * few > 2.0
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("digits", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_every_choice_is_a_preset(device, digits, labelled):
    names = choose_presets(device, digits=digits, labelled=labelled)
    assert set(names) <= PRESETS.keys()
    assert all((PRESETS[name].recipe.data.channels == 1) == digits for name in names)


def test_train_chooses_refuses_and_calls_an_untrained_run_so(tmp_path, capsys, monkeypatch):
    data, run_folder = tmp_path / "set", tmp_path / "run"
    crop_set(data)
    arguments = ["train", "--data", str(data), "--run", str(run_folder), "--device", "cpu"]
    assert main([*arguments, "--budget", "1s"]) == 2
    assert "demo needs about" in capsys.readouterr().err.splitlines()[-1]
    assert not run_folder.exists()
    train(RECIPE, crop_set(data), run_folder, deadline=Deadline(0.01))
    assert main([*arguments, "--budget", "1s"]) == 1  # begun: nothing to refuse, and nothing was trained
    captured = capsys.readouterr()
    assert captured.out.startswith("NOTHING WAS TRAINED: 0 images")
    assert "recipe: tiny" in captured.err
    zip_path = tmp_path / "images.zip"
    assert main(["generate", str(run_folder), "--out", str(zip_path), "--count", "4"]) == 1
    assert "WORTHLESS: the generator is untrained" in capsys.readouterr().out
