"""Parts of the augmentation study: a subset of the pictures, its GAN, its classifiers, and their notes."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from dogsgan.files import read_json, write_json
from dogsgan.models.sampling import Sampler
from dogsgan.studies.augmentation.classifier import (
    BATCH,
    Feed,
    Labelled,
    accuracy,
    classify,
    steps_for,
    train_classifier,
)
from dogsgan.studies.runs import Trained

REGIMES = {
    "real": "real only",
    "classic": "real + classic",
    "gan": "real + GAN",
    "both": "real + both",
    "gan-only": "GAN only",
}
"""Name and heading of each. Classic: every real picture is distorted anew whenever it is shown. With a GAN:
half of every batch is generated, half real. GAN only: never a real picture (the classification accuracy score
of Ravuri and Vinyals, arXiv 1905.10887)."""
WITH_GAN = ("gan", "both", "gan-only")

RUN_FOLDER = "gan"
_SAMPLES_SEED = 0

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """How one classifier did."""

    accuracy: float | None  # share of the test pictures that it names right
    problem: str | None  # why there is no accuracy
    images_seen: int
    seconds: float
    generator: str | None  # the sha256 of the generator it had pictures of


@dataclass(frozen=True)
class Signs:
    """Signs of a generator's collapse."""

    agreement: float | None  # share of generated pictures that the reference classifier gives their label
    variety: float | None  # variance within a class over that of real pictures: 0 is collapse
    problem: str | None = None  # why there are no pictures


@dataclass
class Part:
    """What is finished of a subset."""

    gan: Trained | None = None
    signs: Signs | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by regime

    @property
    def is_final(self) -> bool:
        """Whether every regime was tried, with a GAN that will not change any more."""
        return self.gan is not None and self.gan.is_final and self.outcomes.keys() == REGIMES.keys()


def kept_part(folder: Path, gan: Trained | None) -> Part:
    """Return what is noted in a folder of the classifiers, and of the generator that is there."""
    part = Part(gan)
    generator = gan.generator if gan else None
    for regime in REGIMES:
        if regime in WITH_GAN and generator is None:
            continue
        of = generator if regime in WITH_GAN else None
        if outcome := _kept(_outcome_file(folder, regime), lambda saved: Outcome(**saved), generator=of):
            part.outcomes[regime] = outcome
    if generator is not None:
        part.signs = _kept(_signs_file(folder), lambda saved: Signs(**saved["signs"]), generator=generator)
    return part


def note_signs(folder: Path, signs: Signs, *, generator: str) -> Signs:
    """Keep the signs of a generator."""
    write_json(_signs_file(folder), {"signs": dataclasses.asdict(signs), "generator": generator})
    return signs


def note_outcome(folder: Path, regime: str, outcome: Outcome) -> Outcome:
    """Keep the outcome of a regime."""
    write_json(_outcome_file(folder, regime), dataclasses.asdict(outcome))
    return outcome


def _signs_file(folder: Path) -> Path:
    return folder / "signs.json"


def _outcome_file(folder: Path, regime: str) -> Path:
    return folder / "classifiers" / f"{regime}.json"


def _kept(path: Path, build: Callable[[Any], T], *, generator: str | None) -> T | None:
    """Return what is noted of that generator; None for a note of another or of another version."""
    if not path.exists():
        return None
    saved = read_json(path)
    try:
        return build(saved) if saved["generator"] == generator else None
    except (KeyError, TypeError):
        return None


def feeds_of(regime: str, real: Labelled, generated: Labelled | None) -> Sequence[Feed]:
    """Return what every batch of a regime is made of. `generated` may be None where it has no part."""
    feeds = [] if regime == "gan-only" else [Feed(real, distorted=regime in ("classic", "both"))]
    if regime in WITH_GAN:
        assert generated is not None
        feeds.append(Feed(generated))
    return feeds


def try_regime(
    folder: Path,
    regime: str,
    *,
    feeds: Sequence[Feed],
    test: Labelled,
    class_count: int,
    images: int,
    seed: int,
    generator: str | None,
) -> Outcome:
    """Train the classifier of a regime, count its right answers, and note them in `folder`."""
    began = time.monotonic()
    network = train_classifier(feeds, class_count=class_count, images=images, seed=seed)
    share = accuracy(network, test)
    outcome = Outcome(
        accuracy=share,
        problem="the classifier diverged" if share is None else None,
        images_seen=steps_for(images) * BATCH,
        seconds=round(time.monotonic() - began, 2),
        generator=generator,
    )
    return note_outcome(folder, regime, outcome)


def sample(folder: Path, *, count: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` pictures of a part's GAN, N×H×W×C uint8, and their classes, as many of each.

    Raises:
        DogsganError: the generator makes NaN.
    """
    sampler = Sampler.open(folder / RUN_FOLDER, device=device)
    pictures, labels = zip(*sampler.batches(count, seed=_SAMPLES_SEED), strict=True)
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
