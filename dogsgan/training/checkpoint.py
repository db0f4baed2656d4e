"""Checkpoints of a run, to go on from, and the averaged generator, to sample from.

A checkpoint is a folder `checkpoints/<images seen>` with `weights.safetensors` (both players),
`generator.safetensors` (the average; the run's own file of that name is a copy of the newest) and `state.pt`
(the rest, read with `weights_only`). It appears under its name only when complete.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError

from dogsgan.errors import DogsganError, first_line
from dogsgan.files import atomic_path
from dogsgan.files import sweep as sweep_folder
from dogsgan.models.generator_file import GENERATOR_FILE, read_generator, save_generator
from dogsgan.tensors import load_file, save_file
from dogsgan.training.run_folder import CHECKPOINTS, checkpoints, folder_of
from dogsgan.training.state import AveragedGenerator, TrainingState

WEIGHTS, STATE = "weights.safetensors", "state.pt"


def save_checkpoint(state: TrainingState, run: Path) -> Path:
    """Write the whole state, drop checkpoints beyond the last K, and return the new one's folder.

    Raises:
        DogsganError: the disk is full or cannot be written to; nothing is left of the attempt.
    """
    folder = folder_of(run, state.images_seen)
    weights = {
        f"{prefix}.{name}": tensor.detach().cpu().contiguous()
        for prefix, network in state.networks().items()
        for name, tensor in network.state_dict().items()
    }
    with _explained(folder), atomic_path(folder) as partial:
        partial.mkdir()
        save_file(weights, partial / WEIGHTS)
        torch.save(state.state_dict(), partial / STATE)
        for average in state.averages:
            _save_generator(partial / _average_file(average, state), average, state)
    drop_old_checkpoints(run, keep=state.recipe.training.keep_checkpoints)
    return folder


def drop_old_checkpoints(run: Path, *, keep: int) -> None:
    """Remove all but the newest checkpoints."""
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)  # what stays is the oldest, and is tried again


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what both libraries hide in errors of their own: the disk is full or cannot be written to."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        raise DogsganError(f"cannot write {path} ({first_line(error)}): free some space") from error


def _average_file(average: AveragedGenerator, state: TrainingState) -> str:
    """Return the name of an average's file in a checkpoint."""
    return GENERATOR_FILE if average is state.averaged else f"average-{average.halflife_images}.safetensors"


def _save_generator(path: Path, average: AveragedGenerator, state: TrainingState) -> None:
    save_generator(
        path,
        average.module,
        recipe=state.recipe,
        class_names=tuple(state.class_names),
        images_seen=state.images_seen,
        halflife_images=average.halflife_images,
    )


def publish_generator(folder: Path, run: Path, average: AveragedGenerator, state: TrainingState) -> None:
    """Make an averaged generator of a checkpoint the one that the run is sampled by."""
    with atomic_path(run / GENERATOR_FILE) as partial:
        shutil.copyfile(folder / _average_file(average, state), partial)


def save_averaged(state: TrainingState, target: Path) -> None:
    """Write the averaged generator of `state` by itself: a tenth of a checkpoint.

    Raises:
        DogsganError: the disk has no room even for that; `target` is what it was.
    """
    with _explained(target), atomic_path(target) as partial:
        _save_generator(partial, state.averaged, state)


def sweep(run: Path) -> None:
    """Remove what a killed process left half-written in a run."""
    for folder in (run, run / CHECKPOINTS, run / "samples"):
        sweep_folder(folder)


def load_checkpoint(folder: Path, state: TrainingState) -> None:
    """Bring `state` to what `folder` holds.

    Raises:
        DogsganError: a file is missing, damaged, or of other networks.
    """
    remedy = "remove this checkpoint to go on from the one before"
    try:
        weights, _ = load_file(folder / WEIGHTS)
        for prefix, network in state.networks().items():
            own = {
                name.removeprefix(f"{prefix}."): t
                for name, t in weights.items()
                if name.startswith(f"{prefix}.")
            }
            network.load_state_dict(own)
        for average in state.averages:
            averaged, _ = read_generator(folder / _average_file(average, state))
            average.module.load_state_dict(averaged)
        state.load_state_dict(torch.load(folder / STATE, map_location="cpu", weights_only=True))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DogsganError(
            f"checkpoint {folder} is not one of this package ({first_line(error)}): {remedy}"
        ) from error
    except Exception as error:  # a damaged pickle raises anything
        raise DogsganError(f"checkpoint {folder} cannot be read ({first_line(error)}): {remedy}") from error
