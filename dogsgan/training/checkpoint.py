"""Files of a run: checkpoints to go on from, and the averaged generator to sample from.

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

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, read_json, write_json
from dogsgan.files import sweep as sweep_folder
from dogsgan.models.generator_file import GENERATOR_FILE, read_generator, save_generator
from dogsgan.tensors import load_file, save_file
from dogsgan.training.ema import AveragedGenerator
from dogsgan.training.state import TrainingState

WEIGHTS, STATE = "weights.safetensors", "state.pt"
RECIPE_FILE = "recipe.json"


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
    for old in checkpoints(run)[: -state.recipe.training.keep_checkpoints]:
        shutil.rmtree(old, ignore_errors=True)  # what stays is the oldest, and is tried again
    return folder


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what both libraries hide in errors of their own: the disk is full or cannot be written to."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        raise DogsganError(f"cannot write {path} ({_first_line(error)}): free some space") from error


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


def publish_without_checkpoint(state: TrainingState, run: Path) -> None:
    """Make the averaged generator of `state` the one that the run is sampled by: a tenth of a checkpoint.

    Raises:
        DogsganError: the disk has no room even for that; the run's generator is the one it was.
    """
    target = run / GENERATOR_FILE
    with _explained(target), atomic_path(target) as partial:
        _save_generator(partial, state.averaged, state)


def sweep(run: Path) -> None:
    """Remove what a killed process left half-written in a run."""
    for folder in (run, run / "checkpoints", run / "samples"):
        sweep_folder(folder)


def checkpoints(run: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    return sorted(path for path in (run / "checkpoints").glob("*") if path.name.isdigit())


def folder_of(run: Path, images_seen: int) -> Path:
    """Return where the checkpoint of that place is."""
    return run / "checkpoints" / f"{images_seen:09d}"


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
            f"checkpoint {folder} is not one of this package ({_first_line(error)}): {remedy}"
        ) from error
    except Exception as error:  # a damaged pickle raises anything
        raise DogsganError(f"checkpoint {folder} cannot be read ({_first_line(error)}): {remedy}") from error


def save_recipe(run: Path, recipe: Recipe, *, fingerprint: str) -> None:
    """Write the recipe, and which data it is trained on, into the run."""
    write_json(run / RECIPE_FILE, {**recipe.to_json(), "crop_set": fingerprint})


def read_recipe(run: Path) -> tuple[Recipe, str | None] | None:
    """Return a run's recipe and the fingerprint of the crops it is trained on; None where no run is begun.

    Raises:
        DogsganError: the file is damaged.
    """
    if not (run / RECIPE_FILE).exists():
        return None
    saved = read_json(run / RECIPE_FILE)
    fingerprint = saved.pop("crop_set", None) if isinstance(saved, dict) else None
    return Recipe.from_json(saved), fingerprint


def check_same_recipe(run: Path, recipe: Recipe, *, fingerprint: str) -> Recipe:
    """Refuse to go on with a run under another recipe or on other data.

    Returns:
        The recipe to go on with: `recipe`, with what the run is older than left as it was then.

    Raises:
        DogsganError: naming each difference.
    """
    saved = read_recipe(run)
    if saved is None:
        return recipe
    differences = saved[0].differences(recipe)
    if saved[1] != fingerprint:
        differences.append("the crop set is another one")
    if differences:
        raise DogsganError(
            f"{run} was begun with another recipe ({'; '.join(differences)}): "
            "use the same settings to resume it, or another --run folder"
        )
    return recipe.as_old_as(saved[0])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
