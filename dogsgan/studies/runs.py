"""Runs of a study, trained to their length, and the settings that its folder is bound to."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, sha256_of, write_json
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.stages import crops_of, train_within
from dogsgan.training.deadline import Deadline
from dogsgan.training.interrupts import STOP_SIGNALS
from dogsgan.training.loop import DIVERGED
from dogsgan.training.run_folder import PROCESSOR_S, checkpoints, read_log

RESULT_FILE = "result.json"
SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class Trained:
    """How the training of a run went."""

    images: int | None  # what it was to see; None where only its processor time was given
    images_seen: int
    stopped_by: str  # as in a TrainReport
    rollbacks: int
    seconds_per_thousand_images: float | None  # by its log: neither pauses between calls nor grids count
    generator: str  # the sha256 of the averaged generator that it left
    budget_s: float | None = None  # the processor seconds that it was given
    processor_s: float | None = None  # those that it used; None in files of earlier versions

    @property
    def is_final(self) -> bool:
        """Whether training it again would change nothing: out of memory may be another matter next time."""
        return self.stopped_by in ("images", "budget", DIVERGED)

    @property
    def seconds(self) -> float | None:
        """What the training took by its rate."""
        rate = self.seconds_per_thousand_images
        return None if rate is None else round(rate * self.images_seen / 1000, 1)


def read_result(run: Path) -> dict[str, Any]:
    """Return what is noted of a run; {} where nothing is."""
    path = run / RESULT_FILE
    saved = read_json(path) if path.exists() else {}
    return saved if isinstance(saved, dict) else {}


def kept_training(run: Path, *, images: int | None, budget_s: float | None = None) -> Trained | None:
    """Return what is noted of a training that is final, of that length, and of the generator there."""
    try:
        trained = Trained(**read_result(run)["trained"])
    except (KeyError, TypeError):
        return None  # nothing there, or another version's: a run that is at its end ends at once
    file = run / GENERATOR_FILE
    same_length = (trained.images, trained.budget_s) == (images, budget_s)
    if not same_length or not trained.is_final or not file.is_file():
        return None
    return trained if sha256_of(file) == trained.generator else None


def finish_training(
    run: Path,
    recipe: Recipe,
    crop_set: CropSet,
    *,
    images: int | None,
    budget_s: float | None = None,
    device: str,
) -> Trained:
    """Train a run to its length, go on with it, or return what is known of it.

    `budget_s` are processor seconds of training, over all calls together: a run that was stopped goes on with
    what its last checkpoint left of them.

    A diverged run counts as it is, with its last good generator; one that ran out of memory is tried again
    the next time.

    Raises:
        KeyboardInterrupt: a signal asked to stop; the run goes on with the next call.
        DogsganError: the folder holds a run of another recipe or set, or it cannot be trained.
    """
    if kept := kept_training(run, images=images, budget_s=budget_s):
        return kept
    left_s = None if budget_s is None else budget_s - processor_seconds(run)
    deadline = Deadline(left_s, clock=None if budget_s is None else time.process_time)
    report = train_within(recipe, crop_set, run, images=images, deadline=deadline, device=device)
    if report.stopped_by in STOP_SIGNALS:
        raise KeyboardInterrupt
    trained = Trained(
        images=images,
        images_seen=report.images_seen,
        stopped_by=report.stopped_by,
        rollbacks=report.rollbacks,
        seconds_per_thousand_images=seconds_per_thousand_images(run),
        generator=sha256_of(run / GENERATOR_FILE),
        budget_s=budget_s,
        processor_s=processor_seconds(run),
    )
    write_json(run / RESULT_FILE, {"trained": dataclasses.asdict(trained)})
    return trained


def processor_seconds(run: Path) -> float:
    """Return the processor seconds that a run used up to its last checkpoint, by its log."""
    saved = checkpoints(run)
    images_seen = int(saved[-1].name) if saved else 0
    return max(
        (
            float(line.get(PROCESSOR_S) or 0)
            for line in read_log(run, between=True)
            if line["images_seen"] <= images_seen
        ),
        default=0.0,
    )


def seconds_per_thousand_images(run: Path) -> float | None:
    """Return what a thousand images cost by the rates in a run's log; None where it logged none."""
    seconds, before = 0.0, 0
    for line in read_log(run):
        if rate := line.get("images_per_second"):
            seconds += (line["images_seen"] - before) / rate
            before = line["images_seen"]
    return 1000 * seconds / before if before else None


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


def crops_for(source: Path | Source, out: Path, settings: Settings) -> tuple[CropSet, Settings]:
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
