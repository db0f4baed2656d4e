"""The settings that a study was begun with: the same folder goes on only with the same ones."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
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


def keeping_one_checkpoint(recipe: Recipe) -> Recipe:
    """Return the recipe of a study's runs, which are many: each keeps one checkpoint."""
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, keep_checkpoints=1))


@dataclass(frozen=True)
class Settings:
    """What a folder is bound to. Anything that is not among them may change freely."""

    study: str
    recipe: Recipe
    fixed: Mapping[str, str | int] = field(default_factory=dict)
    growing: Mapping[str, int] = field(default_factory=dict)  # these may grow and never shrink

    def with_fixed(self, **fixed: str | int) -> "Settings":
        """Return these settings and more that may not change."""
        return dataclasses.replace(self, fixed={**self.fixed, **fixed})

    def keep(self, folder: Path) -> None:
        """Write the settings into a study's folder, once `check` finds nothing against them."""
        saved = self.check(folder)
        new = {"study": self.study, "recipe": self.recipe.to_json()}
        merged = {**new, **saved, **self.fixed, **self.growing}
        if saved != merged:
            write_json(folder / SETTINGS_FILE, merged)

    def check(self, folder: Path) -> dict[str, Any]:
        """Compare with the settings that a folder was begun with and return those; {} where it is new.

        Of `fixed`, a name that only one side knows is not compared, and both are kept.

        Raises:
            DogsganError: naming each difference.
        """
        path = folder / SETTINGS_FILE
        if not path.exists():
            return {}
        saved: dict[str, Any] = read_json(path)
        if not isinstance(saved, dict) or "recipe" not in saved:
            raise DogsganError(f"{path} is not the settings of a study: remove it, or choose another --out")
        if saved.get("study") != self.study:
            raise DogsganError(f"{folder} holds the study {saved.get('study')!r}: choose another --out")
        differences = Recipe.from_json(saved["recipe"]).differences(self.recipe)
        for name, value in {**self.fixed, **self.growing}.items():
            before = saved.get(name, value)
            if before != value and not (name in self.growing and value > before):
                differences.append(f"{name}: {before} -> {value}")
        if differences:
            raise DogsganError(
                f"{folder} was begun with other settings ({'; '.join(differences)}): "
                "use the same to go on with it, or choose another --out"
            )
        return saved


def crops_for(source: Path, out: Path, settings: Settings) -> tuple[CropSet, Settings]:
    """Return the crops of a study's source, cut into `out` unless it is a prepared set; and the settings.

    The settings returned tell these crops from others. They are not written yet: whether the networks of
    every variant can be built is not known.

    Raises:
        DogsganError: the folder was begun with other settings, the source cannot be used, or a prepared set
            has another size than the recipe.
    """
    opened = open_source(source)
    if opened.crop_set is None:
        # Under `source` earlier versions kept names, sizes and times of change.
        settings = settings.with_fixed(contents_of_source=opened.fingerprint())
    settings.check(out)  # before another source's crops replace those that are there
    crop_set, _ = crops_of(opened, out / "crops", settings.recipe.data)
    settings = settings.with_fixed(crops=crop_set.fingerprint)
    settings.check(out)
    return crop_set, settings
