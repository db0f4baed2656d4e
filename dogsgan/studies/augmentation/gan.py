"""The GANs of the augmentation study, once they are trained: sampled, and looked at for collapse."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dogsgan.errors import DogsganError
from dogsgan.files import read_json, write_json
from dogsgan.models.sampling import Sampler
from dogsgan.studies.augmentation.classifier import Labelled, classify

SIGNS_FILE = "signs.json"
RUN_FOLDER = "gan"
SAMPLES_SEED = 0


@dataclass(frozen=True)
class Signs:
    """What tells whether a generator collapsed."""

    agreement: float | None
    """Share of generated pictures to which a classifier of all real training pictures gives their label."""
    variety: float | None
    """Variance of the pictures of a class over that of real ones, a mean of the classes: 0 is collapse."""
    problem: str | None = None
    """Why there are no pictures."""


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
    sampler = Sampler.open(folder / RUN_FOLDER, device=device)
    if not sampler.class_names:
        raise DogsganError(
            "this recipe's GAN knows no classes, so its pictures have no labels: set model.conditional=true"
        )
    pictures, labels = zip(*sampler.batches(count, seed=SAMPLES_SEED), strict=True)
    return np.concatenate(pictures), np.concatenate(labels)


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
