"""The GANs of the augmentation study: trained as any other run, sampled, and looked at for collapse."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, sha256_of, write_json
from dogsgan.sampling import balanced_labels, load_sampler
from dogsgan.stages import train_within
from dogsgan.studies.classifier import Labelled, classify
from dogsgan.studies.runs import SIGNALS, seconds_per_thousand_images
from dogsgan.training.checkpoint import GENERATOR_FILE
from dogsgan.training.loop import DIVERGED

RECORD_FILE = "gan.json"
SIGNS_FILE = "signs.json"
RUN_FOLDER = "gan"
SAMPLES_SEED = 0


@dataclass(frozen=True)
class GanRecord:
    """How a GAN's training went."""

    images_seen: int
    stopped_by: str
    """As in a TrainReport."""
    rollbacks: int
    seconds: float | None
    """By the rates in the run's log: sample grids and checkpoints do not count."""
    generator: str
    """The sha256 of the averaged generator."""


@dataclass(frozen=True)
class Signs:
    """What tells whether a generator collapsed."""

    agreement: float | None
    """Share of generated pictures to which a classifier of all real training pictures gives their label."""
    variety: float | None
    """Variance of the pictures of a class over that of real ones, a mean of the classes: 0 is collapse."""
    problem: str | None = None
    """Why there are no pictures."""


def finish_gan(folder: Path, recipe: Recipe, crop_set: CropSet, *, images: int, device: str) -> GanRecord:
    """Train the GAN in `folder` to its length, go on with it, or return what is known of it.

    A diverged run counts as it is, with its last good generator; one that ran out of memory is tried again
    the next time.

    Raises:
        KeyboardInterrupt: a signal asked to stop; the run goes on with the next call.
        DogsganError: the run belongs to another recipe or set, or cannot be trained.
    """
    if kept := kept_record(folder):
        return kept
    run = folder / RUN_FOLDER
    report = train_within(recipe, crop_set, run, images=images, budget_s=None, device=device)
    if report.stopped_by in SIGNALS:
        raise KeyboardInterrupt
    rate = seconds_per_thousand_images(run)
    record = GanRecord(
        images_seen=report.images_seen,
        stopped_by=report.stopped_by,
        rollbacks=report.rollbacks,
        seconds=None if rate is None else round(rate * report.images_seen / 1000, 1),
        generator=sha256_of(run / GENERATOR_FILE),
    )
    write_json(folder / RECORD_FILE, dataclasses.asdict(record))
    return record


def kept_record(folder: Path) -> GanRecord | None:
    """Return what is noted of the GAN in `folder`, if it is finished and the generator there is that one."""
    path, generator = folder / RECORD_FILE, folder / RUN_FOLDER / GENERATOR_FILE
    if not path.exists() or not generator.is_file():
        return None
    saved: Any = read_json(path)
    try:
        record = GanRecord(**saved)
    except TypeError:
        return None  # another version's: a run that is at its end ends at once
    usable = record.stopped_by in ("images", DIVERGED) and record.generator == sha256_of(generator)
    return record if usable else None


def kept_signs(folder: Path, *, generator: str) -> Signs | None:
    """Return the signs noted of that generator."""
    path = folder / SIGNS_FILE
    if not path.exists():
        return None
    saved: Any = read_json(path)
    try:
        return Signs(**saved["signs"]) if saved["generator"] == generator else None
    except (KeyError, TypeError):
        return None


def note_signs(folder: Path, signs: Signs, *, generator: str) -> Signs:
    """Keep the signs of a generator in its folder."""
    write_json(folder / SIGNS_FILE, {"signs": dataclasses.asdict(signs), "generator": generator})
    return signs


def sample(folder: Path, *, count: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` generated pictures, N×H×W×C uint8, and their classes, as many of each.

    Raises:
        DogsganError: the generator makes NaN.
    """
    sampler = load_sampler(folder / RUN_FOLDER, device=device)
    if not sampler.class_names:
        raise DogsganError(
            "this recipe's GAN knows no classes, so its pictures have no labels: set model.conditional=true"
        )
    pictures = np.concatenate(list(sampler.batches(count, seed=SAMPLES_SEED)))
    return pictures, balanced_labels(count, len(sampler.class_names)).numpy()


def signs_of(generated: Labelled, real: Labelled, reference: nn.Module) -> Signs:
    """Return the signs of a generator's pictures; `reference` classifies real ones well."""
    given = classify(reference, generated)
    agreement = None if given is None else float((given == generated.labels.cpu()).double().mean())
    return Signs(agreement=agreement, variety=variety(generated, real))


def variety(generated: Labelled, real: Labelled) -> float | None:
    """Return the pixels' variance within a class, generated over real, averaged over the classes of both.

    None where no class has two pictures that differ.
    """
    ratios = []
    for label in real.labels.unique():
        ours, theirs = (_variance(data.pictures[data.labels == label]) for data in (generated, real))
        if ours is not None and theirs:
            ratios.append(ours / theirs)
    return float(np.mean(ratios)) if ratios else None


def _variance(pictures: torch.Tensor) -> float | None:
    if len(pictures) < 2:
        return None
    return float(pictures.float().var(dim=0).mean())
