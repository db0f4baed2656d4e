"""Folder of a run: the names of its files, its checkpoints, and the recipe that it is trained by.

It needs no torch, so that a process that only supervises can read a run.
"""

from pathlib import Path

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, write_json

RECIPE_FILE = "recipe.json"
REALS_FILE, INIT_FILE = "reals.png", "init.png"
CHECKPOINTS = "checkpoints"
"""The folder with a folder for each checkpoint, whose name is the images seen."""


def checkpoints(run: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    folders = [path for path in (run / CHECKPOINTS).glob("*") if path.name.isdecimal()]
    return sorted(folders, key=lambda folder: int(folder.name))


def newest_checkpoint(run: Path) -> Path | None:
    """Return a run's newest complete checkpoint; None without one."""
    return next(reversed(checkpoints(run)), None)


def folder_of(run: Path, images_seen: int) -> Path:
    """Return where the checkpoint of that place is."""
    return run / CHECKPOINTS / f"{images_seen:09d}"


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
