"""What a run leaves on disk is whole, and read back to the last bit."""

import shutil

import pytest
import torch
from safetensors.torch import save_file
from tiny import RECIPE, crop_set

from dogsgan.errors import DogsganError
from dogsgan.files import read_json, write_json
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.models.sampling import Sampler
from dogsgan.training import checkpoint
from dogsgan.training.checkpoint_manager import restore_latest
from dogsgan.training.loop import train
from dogsgan.training.losses import build_loss
from dogsgan.training.run_folder import check_same_recipe, checkpoints, save_recipe
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step

CPU = torch.device("cpu")


@pytest.fixture
def state(tmp_path):
    return TrainingState(RECIPE, crop_set(tmp_path / "set"), CPU)


def weights_of(state: TrainingState) -> dict[str, torch.Tensor]:
    players = {**state.networks(), "averaged": state.averaged.module}
    return {f"{p}.{n}": t.clone() for p, network in players.items() for n, t in network.state_dict().items()}


def test_a_step_after_loading_is_the_step_that_would_have_been(state, tmp_path):
    loss = build_loss(RECIPE.training)
    for _ in range(2):
        train_step(state, loss)
    folder = checkpoint.save_checkpoint(state, tmp_path / "run")
    other = TrainingState(RECIPE, crop_set(tmp_path / "set2"), CPU)
    train_step(other, loss)  # leaves it somewhere else
    checkpoint.load_checkpoint(folder, other)
    assert (other.images_seen, other.steps) == (state.images_seen, state.steps)
    ours, theirs = train_step(state, loss), train_step(other, loss)
    assert torch.equal(ours, theirs)
    expected, found = weights_of(state), weights_of(other)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_only_the_last_checkpoints_are_kept(state, tmp_path):
    for images in (0, 16, 32, 48):
        state.images_seen = images
        checkpoint.save_checkpoint(state, tmp_path / "run")
    kept = [folder.name for folder in checkpoints(tmp_path / "run")]
    assert kept == ["000000032", "000000048"]


@pytest.mark.parametrize("file", [checkpoint.WEIGHTS, checkpoint.STATE, GENERATOR_FILE])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(state, tmp_path, file, capsys):
    run = tmp_path / "run"
    for images in (16, 32):
        state.images_seen = images
        newest = checkpoint.save_checkpoint(state, run)
    content = (newest / file).read_bytes()
    (newest / file).write_bytes(content[: len(content) // 2])
    restore_latest(state, run)
    assert state.images_seen == 16
    assert str(newest) in capsys.readouterr().err


def test_what_was_passed_over_is_neither_published_nor_counted(state, tmp_path):
    recipe = RECIPE.with_overrides(["training.keep_checkpoints=1", "training.checkpoint_images=4"])
    run, data = tmp_path / "run", crop_set(tmp_path / "data")
    train(recipe.with_overrides(["training.keep_checkpoints=5"]), data, run, images=16)
    newest = checkpoints(run)[-1]
    (newest / GENERATOR_FILE).write_bytes(b"half")
    report = train(recipe.with_overrides(["training.keep_checkpoints=5"]), data, run, images=20)
    assert report.images_seen == 20
    assert newest.with_suffix(".damaged").is_dir()
    assert Sampler.open(run, device="cpu").images_seen == 20


def test_a_run_goes_on_on_another_kind_of_device(state, tmp_path, capsys):
    folder = checkpoint.save_checkpoint(state, tmp_path / "run")
    saved = torch.load(folder / checkpoint.STATE, weights_only=True)
    saved |= {"device": "cuda", "random": torch.zeros(16, dtype=torch.uint8)}  # as a GPU's generator has it
    torch.save(saved, folder / checkpoint.STATE)
    checkpoint.load_checkpoint(folder, state)
    assert "not bit for bit" in capsys.readouterr().err


def test_leftovers_of_a_killed_process_are_swept(state, tmp_path):
    run = tmp_path / "run"
    checkpoint.save_checkpoint(state, run)
    (run / "checkpoints" / ".000000016.abcd1234.partial").mkdir()
    (run / ".log.jsonl.abcd1234.partial").write_text("half")
    checkpoint.sweep(run)
    assert [path.name for path in run.iterdir()] == ["checkpoints"]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["000000000"]


def test_without_a_readable_checkpoint_the_run_is_refused(state, tmp_path):
    folder = checkpoint.save_checkpoint(state, tmp_path / "run")
    (folder / checkpoint.STATE).unlink()
    with pytest.raises(DogsganError, match="no checkpoint"):
        restore_latest(state, tmp_path / "run")


def test_a_half_written_checkpoint_is_none(state, tmp_path, monkeypatch):
    run = tmp_path / "run"
    checkpoint.save_checkpoint(state, run)

    def fail(*_, **__):
        raise KeyboardInterrupt

    state.images_seen = 16
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_checkpoint(state, run)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["000000000"]


def test_the_average_is_sampled_from_a_run_a_checkpoint_or_a_file(state, tmp_path):
    run = tmp_path / "run"
    folder = checkpoint.save_checkpoint(state, run)
    checkpoint.publish_generator(folder, run, state.averaged, state)
    shutil.copy(run / GENERATOR_FILE, tmp_path / "alone.safetensors")
    grids = [
        next(Sampler.open(path, device="cpu").batches(4)).pictures
        for path in (run, folder, tmp_path / "alone.safetensors")
    ]
    assert grids[0].shape == (4, 32, 32, 3)
    assert (grids[0] == grids[1]).all()
    assert (grids[0] == grids[2]).all()


def test_a_file_of_something_else_is_no_generator(tmp_path):
    save_file({"x": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"\x00" * 99)
    for name in ("other.safetensors", "noise.safetensors", "missing.safetensors"):
        with pytest.raises(DogsganError, match=name):
            Sampler.open(tmp_path / name)


def test_weights_that_do_not_fit_their_recipe_are_refused(state, tmp_path):
    state.recipe = RECIPE.with_overrides(["model.generator_width=1024"])
    folder = checkpoint.save_checkpoint(state, tmp_path / "run")
    with pytest.raises(DogsganError, match="do not fit"):
        Sampler.open(folder)


def test_a_128_px_run_from_before_the_identity_skip_goes_on_as_it_was(tmp_path):
    data = crop_set(tmp_path / "set", size_px=128, count=8)
    recipe, run = RECIPE.with_overrides(["data.size_px=128"]), tmp_path / "run"
    begun = TrainingState(recipe.with_overrides(["model.discriminator_identity_skip=false"]), data, CPU)
    folder = checkpoint.save_checkpoint(begun, run)
    save_recipe(run, begun.recipe, fingerprint=data.fingerprint)
    saved = read_json(run / "recipe.json")
    del saved["model"]["discriminator_identity_skip"]  # as it was written then
    write_json(run / "recipe.json", saved)

    kept = check_same_recipe(run, recipe, fingerprint=data.fingerprint)
    resumed = TrainingState(kept, data, CPU)
    checkpoint.load_checkpoint(folder, resumed)
    skip = resumed.discriminator.blocks[5].skip.parametrizations.weight.original
    assert torch.equal(skip, begun.discriminator.blocks[5].skip.parametrizations.weight.original)
    assert isinstance(TrainingState(recipe, data, CPU).discriminator.blocks[5].skip, torch.nn.Identity)
