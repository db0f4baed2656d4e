"""A disk without room for a checkpoint: it is not tried at every step, and what is trained can be sampled."""

import shutil
from pathlib import Path

import pytest
import torch
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.errors import DogsganError
from dogsgan.models.generator_file import GENERATOR_FILE, read_generator
from dogsgan.supervise.driver import Job, Training
from dogsgan.supervise.session import Clock, Session, Terminal
from dogsgan.training import checkpoint
from dogsgan.training.checkpoint_manager import CheckpointManager
from dogsgan.training.deadline import Deadline
from dogsgan.training.loop import train
from dogsgan.training.run_folder import checkpoints
from dogsgan.training.state import TrainingState

SMALL = {
    "data.size_px": 32,
    "model.z_dim": 16,
    "model.generator_width": 8,
    "model.discriminator_width": 8,
    "model.generator_attention_px": 16,
    "model.discriminator_attention_px": 16,
    "training.batch_size": 4,
}
INTERVAL = RECIPE.training.checkpoint_images


@pytest.fixture
def state(tmp_path):
    return TrainingState(RECIPE, crop_set(tmp_path / "set"), torch.device("cpu"))


@pytest.fixture
def manager(state, tmp_path):
    manager = CheckpointManager(state, tmp_path / "run", Deadline(None))
    manager.save()
    return manager


def test_a_checkpoint_that_somebody_removed_is_written_again(manager, tmp_path):
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / GENERATOR_FILE).unlink()
    manager.save()
    assert [folder.name for folder in checkpoints(tmp_path / "run")] == ["000000000"]
    assert (tmp_path / "run" / GENERATOR_FILE).is_file()


def test_a_log_that_cannot_be_cut_costs_no_rollback(manager, tmp_path, capsys):
    (tmp_path / "run" / "log.jsonl").mkdir()
    manager.restore()
    assert "the removal of later lines from the log is left out" in capsys.readouterr().err


@pytest.fixture
def full_disk(monkeypatch):
    """Files whose path holds one of the names find no room; every attempt to write one is noted."""
    tried = []

    def fill_up(*names: str) -> None:
        save_file, save_generator, save = checkpoint.save_file, checkpoint.save_generator, torch.save

        def saves(writes, path):
            tried.append(Path(path).name)
            if any(name in str(path) for name in names):
                raise RuntimeError(f"{path}: No space left on device")
            writes()

        monkeypatch.setattr(
            checkpoint, "save_file", lambda t, path, **o: saves(lambda: save_file(t, path, **o), path)
        )
        monkeypatch.setattr(
            checkpoint,
            "save_generator",
            lambda path, *g, **o: saves(lambda: save_generator(path, *g, **o), path),
        )
        monkeypatch.setattr(torch, "save", lambda value, path: saves(lambda: save(value, path), path))

    fill_up.tried = tried
    return fill_up


def published(run: Path) -> int:
    return read_generator(run / GENERATOR_FILE)[1]["images_seen"]


def test_what_finds_no_room_is_tried_again_at_the_next_interval_and_not_before(state, manager, full_disk):
    full_disk(checkpoint.WEIGHTS)
    due = []
    for images in range(0, 4 * INTERVAL, 4):
        state.images_seen = images
        if manager.is_due():
            due.append(images)
            manager.save()
    assert due == [INTERVAL, 2 * INTERVAL, 3 * INTERVAL]
    assert full_disk.tried.count(checkpoint.WEIGHTS) == 3


def test_the_generator_alone_is_published_where_only_that_fits(state, manager, full_disk, tmp_path, capsys):
    full_disk(checkpoint.WEIGHTS)
    state.images_seen = INTERVAL
    manager.save()
    run = tmp_path / "run"
    assert published(run) == INTERVAL
    assert [folder.name for folder in checkpoints(run)] == ["000000000"]
    said = capsys.readouterr().err
    assert "16 images not written" in said
    assert "(its generator is)" in said


def test_without_room_for_either_the_one_before_stays(
    state, manager, full_disk, tmp_path, capsys, monkeypatch
):
    full_disk(checkpoint.WEIGHTS, GENERATOR_FILE)
    state.images_seen = INTERVAL
    manager.save()
    assert published(tmp_path / "run") == 0
    assert "(nor is its generator)" in capsys.readouterr().err
    assert len(manager.failed) == 1
    monkeypatch.undo()
    manager.save()
    assert manager.failed == ()


def test_training_that_leaves_an_older_generator_ends_with_an_error(tmp_path, monkeypatch, capsys):
    """What it learned is lost: a script must not go on to sample noise."""
    for name in ("save_checkpoint", "save_averaged"):
        writes = getattr(checkpoint, name)

        def full_but_for_the_first(state, run, writes=writes):
            if state.images_seen:
                raise DogsganError("the disk is full: free some space")
            writes(state, run)

        monkeypatch.setattr(checkpoint, name, full_but_for_the_first)
    crop_set(tmp_path / "set")
    settings = [f"--set={name}={value}" for name, value in SMALL.items()]
    run = tmp_path / "run"
    command = [
        "train",
        f"--data={tmp_path / 'set'}",
        f"--run={run}",
        "--images=8",
        "--device=cpu",
        "--preset=demo",
    ]
    assert main([*command, *settings]) == 2
    printed = capsys.readouterr()
    assert "trained 8 images" in printed.out
    assert (
        "error: checkpoint at 8 images not written: the disk is full: free some space (nor is" in printed.err
    )
    assert published(run) == 0


def test_without_anything_to_sample_a_full_disk_is_an_error(state, full_disk, tmp_path):
    full_disk(checkpoint.WEIGHTS)
    with pytest.raises(DogsganError, match="free some space"):
        CheckpointManager(state, tmp_path / "run", Deadline(None)).save()


def test_a_checkpoint_comes_again_once_there_is_room(state, manager, full_disk, tmp_path, monkeypatch):
    with monkeypatch.context():
        full_disk(checkpoint.WEIGHTS)
        state.images_seen = INTERVAL
        manager.save()
    monkeypatch.undo()
    state.images_seen = 2 * INTERVAL
    assert manager.is_due()
    manager.save()
    assert checkpoints(tmp_path / "run")[-1].name == "000000032"
    assert not manager.is_due()


def test_a_return_to_the_last_checkpoint_makes_the_next_one_due_as_before(state, manager, full_disk):
    full_disk(checkpoint.WEIGHTS)
    state.images_seen = 2 * INTERVAL
    manager.save()
    manager.restore()
    assert state.images_seen == 0
    state.images_seen = INTERVAL
    assert manager.is_due()


def test_a_kernel_samples_what_was_published_last(full_disk, tmp_path):
    """The run's own generator is then newer than every checkpoint."""

    data, run = crop_set(tmp_path / "set"), tmp_path / "run-1"
    train(RECIPE, data, run, images=INTERVAL)
    job = Job(RECIPE, data.path, run=run, zip_path=tmp_path / "images.zip")
    training = Training(Session(Clock(0.0, 1.0), Terminal()), job)
    assert training.generators()[0] == run / GENERATOR_FILE
    assert training.generators()[1].parent.name == f"{INTERVAL:09d}"
    full_disk(checkpoint.WEIGHTS)
    report = train(RECIPE, data, run, images=3 * INTERVAL)
    assert report.images_seen == published(run) == 3 * INTERVAL
    assert training.generators()[0] == run / GENERATOR_FILE
    assert training.generators()[1].parent.name == f"{INTERVAL:09d}"
