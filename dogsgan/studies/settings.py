"""What a study was begun with: the same folder goes on only with the same settings."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, write_json
from dogsgan.stages import crops_of

SETTINGS_FILE = "settings.json"


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """Return the recipe of the run that has this seed; nothing else differs."""
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, seed=seed))


def seeds_of(recipe: Recipe, count: int) -> list[int]:
    """Return `count` seeds from the recipe's own on.

    Raises:
        DogsganError: one of them is out of range, which hours of runs with the others should not precede.
    """
    first = recipe.training.seed
    return [with_seed(recipe, seed).training.seed for seed in range(first, first + count)]


def crops_for(
    source: Path,
    out: Path,
    *,
    study: str,
    recipe: Recipe,
    fixed: Mapping[str, str | int] | None = None,
    growing: Mapping[str, int] | None = None,
) -> tuple[CropSet, dict[str, str | int]]:
    """Return the crops of a study's source, cut into `out` unless it is a prepared set; and what is fixed.

    That is `fixed` with what tells these crops from others. Nothing is written that binds a later call:
    whether networks can be built of the recipe is not known yet.

    Raises:
        DogsganError: the folder was begun with others or with other settings, or their size is not the
            recipe's.
    """
    opened = open_source(source)
    known = dict(fixed or {})
    if opened.crop_set is None:
        # Under `source` earlier versions kept names, sizes and times of change.
        known["contents_of_source"] = opened.fingerprint()
    # Before another source's crops replace those that are there, and again when the crops are known.
    check_settings(out, study=study, recipe=recipe, fixed=known, growing=growing)
    crop_set, _ = crops_of(opened, out / "crops", recipe.data)
    known["crops"] = crop_set.fingerprint
    check_settings(out, study=study, recipe=recipe, fixed=known, growing=growing)
    return crop_set, known


def keep_settings(
    folder: Path,
    *,
    study: str,
    recipe: Recipe,
    fixed: Mapping[str, str | int],
    growing: Mapping[str, int] | None = None,
) -> None:
    """Write the settings of a study into its folder, once `check_settings` finds nothing against them."""
    saved = check_settings(folder, study=study, recipe=recipe, fixed=fixed, growing=growing)
    merged = {"study": study, "recipe": recipe.to_json(), **saved, **fixed, **(growing or {})}
    if saved != merged:
        write_json(folder / SETTINGS_FILE, merged)


def check_settings(
    folder: Path,
    *,
    study: str,
    recipe: Recipe,
    fixed: Mapping[str, str | int],
    growing: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Compare settings with those that a folder was begun with, and return the latter; {} where it is new.

    What is not among the settings may change freely. Of `fixed`, a name that only one side knows is not
    compared, and both are kept; `growing` may grow and never shrink.

    Raises:
        DogsganError: naming each difference.
    """
    path = folder / SETTINGS_FILE
    if not path.exists():
        return {}
    given = {**fixed, **(growing or {})}
    saved: dict[str, Any] = read_json(path)
    if not isinstance(saved, dict) or "recipe" not in saved:
        raise DogsganError(f"{path} is not the settings of a study: remove it, or choose another --out")
    if saved.get("study") != study:
        raise DogsganError(f"{folder} holds the study {saved.get('study')!r}: choose another --out")
    differences = Recipe.from_json(saved["recipe"]).differences(recipe)
    for name, value in given.items():
        before = saved.get(name, value)
        if before != value and not (name in (growing or {}) and value > before):
            differences.append(f"{name}: {before} -> {value}")
    if differences:
        raise DogsganError(
            f"{folder} was begun with other settings ({'; '.join(differences)}): "
            "use the same to go on with it, or choose another --out"
        )
    return saved
