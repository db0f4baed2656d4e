"""One part of the augmentation study: a subset of the training pictures, its GAN, and its classifiers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.grids import save_grid
from dogsgan.studies.augmentation.classifier import Labelled
from dogsgan.studies.augmentation.data import Splits, subset, subset_crops
from dogsgan.studies.augmentation.gan import RUN_FOLDER, Signs, kept_signs, note_signs, sample, signs_of
from dogsgan.studies.augmentation.regimes import (
    REGIMES,
    WITH_GAN,
    Outcome,
    feeds_of,
    kept_outcome,
    no_pictures,
    try_regime,
)
from dogsgan.studies.augmentation.table import Cell, CellResults
from dogsgan.studies.runs import Trained, finish_training, kept_training
from dogsgan.studies.settings import with_seed

_GRID_ROWS = 8


@dataclass(frozen=True)
class Bench:
    """What all parts of a study work with."""

    out: Path
    recipe: Recipe
    splits: Splits
    train: Labelled
    test: Labelled
    reference: nn.Module
    gan_images: int
    classifier_images: int
    generated: int
    device: str

    def folder(self, cell: Cell) -> Path:
        """Return where everything of a part is kept."""
        return self.out / f"n-{cell.size}" / f"seed-{cell.seed}"

    def recipe_of(self, cell: Cell) -> Recipe:
        """Return the recipe of a part's GAN."""
        return with_seed(self.recipe, cell.seed)


def kept_results(bench: Bench, cell: Cell) -> CellResults:
    """Return what is finished of a part."""
    folder = bench.folder(cell)
    gan = kept_training(folder / RUN_FOLDER, images=bench.gan_images)
    found = CellResults(gan=gan, signs=kept_signs(folder, generator=gan.generator) if gan else None)
    for regime in REGIMES:
        outcome = _kept(folder, regime, gan)
        if outcome is not None:
            found.outcomes[regime] = outcome
    return found


def _kept(folder: Path, regime: str, gan: Trained | None) -> Outcome | None:
    if regime not in WITH_GAN:
        return kept_outcome(folder, regime, generator=None)
    return kept_outcome(folder, regime, generator=gan.generator) if gan else None


def finish_cell(bench: Bench, cell: Cell, found: CellResults) -> Iterator[str]:
    """Make what is missing of a part, add it to `found`, and yield the name of each step as it begins.

    Raises:
        KeyboardInterrupt: a signal asked to stop.
        DogsganError: something else than a diverged GAN stands in the way.
    """
    folder = bench.folder(cell)
    chosen = subset(bench.splits.train, cell.size, seed=cell.seed)
    real = bench.train.part(torch.from_numpy(chosen))
    for regime in REGIMES:
        if regime not in found.outcomes and regime not in WITH_GAN:
            yield REGIMES[regime]
            found.outcomes[regime] = _tried(bench, cell, regime, real=real, generated=None, generator=None)
    yield "GAN"
    crop_set = subset_crops(bench.splits.train, chosen, folder / "real")
    gan = finish_training(
        folder / RUN_FOLDER, bench.recipe_of(cell), crop_set, images=bench.gan_images, device=bench.device
    )
    found.gan = gan
    for regime in WITH_GAN:  # a GAN whose note is lost may turn out to be the one they had pictures of
        if kept := _kept(folder, regime, gan):
            found.outcomes[regime] = kept
    try:
        generated = _sampled(bench, cell)
    except DogsganError as error:  # NaN: what the tables are to say, and no reason to leave out the others
        found.signs = note_signs(folder, Signs(None, None, str(error)), generator=gan.generator)
        for regime in WITH_GAN:
            found.outcomes[regime] = no_pictures(folder, regime, problem=str(error), generator=gan.generator)
        return
    found.signs = note_signs(
        folder, signs_of(generated, bench.train, bench.reference), generator=gan.generator
    )
    for regime in WITH_GAN:
        if regime not in found.outcomes:
            yield REGIMES[regime]
            found.outcomes[regime] = _tried(
                bench, cell, regime, real=real, generated=generated, generator=gan.generator
            )


def _tried(
    bench: Bench,
    cell: Cell,
    regime: str,
    *,
    real: Labelled,
    generated: Labelled | None,
    generator: str | None,
) -> Outcome:
    return try_regime(
        bench.folder(cell),
        regime,
        feeds=feeds_of(regime, real, generated),
        test=bench.test,
        class_count=bench.splits.class_count,
        images=bench.classifier_images,
        seed=cell.seed,
        generator=generator,
    )


def _sampled(bench: Bench, cell: Cell) -> Labelled:
    """Return the generated pictures of a part, and draw some of each class in a column of its own."""
    pictures, labels = sample(bench.folder(cell), count=bench.generated, device=bench.device)
    classes = bench.splits.class_count
    grid = bench.out / "samples" / f"n-{cell.size}-seed-{cell.seed}.png"
    save_grid(pictures[: _GRID_ROWS * classes], grid, columns=classes)
    channels, device = bench.train.pictures.shape[3], bench.train.labels.device
    return Labelled.of(pictures, labels, channels=channels, device=device)
