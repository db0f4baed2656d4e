"""Do a GAN's pictures help a classifier, beside classic augmentation, and from how many real pictures on?

A conditional GAN is trained on a part of the training pictures and makes labelled ones; the same classifier
is then trained on real, distorted and generated pictures in several mixtures, for several sizes of the part
and several seeds, each seed another part, GAN and classifier.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.sources import Source
from dogsgan.device import pick_device
from dogsgan.errors import DogsganError
from dogsgan.files import holds
from dogsgan.models import outline_networks
from dogsgan.progress import say
from dogsgan.stages import crops_of, recipe_of_set
from dogsgan.studies.augmentation.cells import Bench, finish_cell, kept_results
from dogsgan.studies.augmentation.classifier import Labelled
from dogsgan.studies.augmentation.data import Splits, open_splits, subset
from dogsgan.studies.augmentation.reference import reference_classifier
from dogsgan.studies.augmentation.table import NAME, Cell, Plan, write_study
from dogsgan.studies.settings import check_settings, keep_settings, seeds_of

VERSION = 1  # to be raised when the same settings give other numbers
GAN_IMAGES = 120_000
CLASSIFIER_IMAGES = 100_000
GENERATED = 10_000
SIZES: tuple[int | None, ...] = (100, 500, 1000, 5000, None)


@dataclass(frozen=True)
class AugmentationReport:
    """What the study found."""

    out: Path
    table: str
    """The tables as text."""
    content: dict[str, Any]
    """The same as JSON, with every classifier and GAN."""
    complete: bool
    """Whether every classifier gave an accuracy, and no GAN ran out of memory."""

    def to_json(self) -> dict[str, Any]:
        """Return the study's JSON, and where it lies."""
        return {**self.content, "out": str(self.out), "complete": self.complete}

    def summary(self) -> str:
        """Return the tables, and where the rest is."""
        return f"{self.table}\ntables, plot, samples and every run are in {self.out}"


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """Read numbers of real pictures, separated by commas; `all` becomes None.

    Raises:
        DogsganError: a part is neither.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part == "all" or (part.isdecimal() and int(part) > 0) for part in parts):
        raise DogsganError(f"--sizes {text!r}: write numbers of real pictures, or all, as in 100,1000,all")
    return tuple(None if part == "all" else int(part) for part in parts)


@holds("out")
def study_augmentation(
    source: Path,
    out: Path,
    *,
    recipe: Recipe,
    test: Path | None = None,
    sizes: Sequence[int | None] = SIZES,
    seeds: int = 3,
    gan_images: int = GAN_IMAGES,
    classifier_images: int = CLASSIFIER_IMAGES,
    generated: int = GENERATED,
    device: str = "auto",
) -> AugmentationReport:
    """Train the GANs and classifiers that are not there yet, and write tables, plot and samples into `out`.

    Every size of a seed comes before the next seed, and the tables are written anew after every classifier,
    so that a study that was stopped shows what there is. The same call goes on where it stopped; more seeds
    or other sizes add to it.

    Args:
        source: a labelled source with training and test pictures; see `open_source` for `SOURCE@test`.
        test: the test pictures, where the source has no such split.
        sizes: numbers of real training pictures, None for all.
        gan_images: real images that each GAN sees.
        classifier_images: pictures that each classifier sees, whatever they are.
        generated: pictures of each GAN that classifiers choose from, as many of each class.

    Raises:
        DogsganError: the source lacks labels or a test split, the recipe's GAN takes no classes or cannot be
            built, sizes, seeds or `generated` make no sense, or the folder was begun with other settings.
        KeyboardInterrupt: a signal asked to stop.
    """
    if not recipe.model.conditional:
        raise DogsganError(
            f"the GAN of {recipe.name} knows no classes, so its pictures have no labels: "
            "take a conditional preset, or --set model.conditional=true"
        )
    base = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, keep_checkpoints=1))
    seed_list = seeds_of(base, seeds)
    effort = {
        "gan_images": gan_images,
        "classifier_images": classifier_images,
        "generated": generated,
        "version": VERSION,
    }
    splits, fixed = _prepared_splits(source, out, base, test=test, effort=effort)
    numbers = _numbers(sizes, splits.train)
    _refuse_uneven(generated, classes=splits.class_count)
    trained = recipe_of_set(base, splits.train)
    outline_networks(trained, class_count=splits.class_count)  # refuses what cannot be built
    keep_settings(out, study=NAME, recipe=base, fixed=fixed)
    bench, reference_accuracy = _bench(
        out,
        trained,
        splits,
        gan_images=gan_images,
        classifier_images=classifier_images,
        generated=generated,
        device=device,
    )
    plan = Plan(
        preset=recipe.name,
        class_count=splits.class_count,
        train_pictures=len(splits.train),
        test_pictures=len(splits.test),
        shared_pictures=splits.shared_pictures(),
        sizes=numbers,
        seeds=seed_list,
        gan_images=gan_images,
        classifier_images=classifier_images,
        generated=generated,
        reference_accuracy=reference_accuracy,
    )
    return _all_cells(bench, plan)


def _numbers(sizes: Sequence[int | None], train: CropSet) -> list[int]:
    """Return the sizes without None and repetition, and refuse what cannot be drawn, before anything runs."""
    numbers = sorted({len(train) if size is None else size for size in sizes})
    for number in numbers:
        subset(train, number, seed=0)
    return numbers


def _refuse_uneven(generated: int, *, classes: int) -> None:
    if generated % classes:
        raise DogsganError(
            f"{generated:,} generated pictures are not as many of each of the {classes} classes: "
            f"take a --count that is a multiple of {classes}"
        )


def _prepared_splits(
    source: Path, out: Path, base: Recipe, *, test: Path | None, effort: dict[str, int]
) -> tuple[Splits, dict[str, str | int]]:
    """Return both splits as prepared sets, and what tells the study from others.

    Nothing is written that binds a later call: whether networks can be built of the recipe is not known yet.

    Raises:
        DogsganError: the folder was begun with others or with other settings, or they are no two splits.
    """
    train_source, test_source = open_splits(source, test)
    fixed: dict[str, str | int] = {
        **effort,
        _contents_of("train_source", train_source): train_source.fingerprint(),
        _contents_of("test_source", test_source): test_source.fingerprint(),
    }
    check_settings(out, study=NAME, recipe=base, fixed=fixed)  # before crops replace those that are there
    splits = Splits(
        train=crops_of(train_source, out / "train", base.data)[0],
        test=crops_of(test_source, out / "test", base.data)[0],
    )
    return splits, fixed


def _contents_of(name: str, source: Source) -> str:
    """Return the name of the setting: `name` alone once held names, sizes and times of change of files."""
    return f"contents_of_{name}" if source.crop_set is None else name


def _bench(
    out: Path,
    recipe: Recipe,
    splits: Splits,
    *,
    gan_images: int,
    classifier_images: int,
    generated: int,
    device: str,
) -> tuple[Bench, float | None]:
    """Return what all parts work with, and the reference's accuracy."""
    train, test = (
        Labelled.of(split.pictures, split.labels, channels=recipe.data.channels, device=pick_device(device))
        for split in (splits.train, splits.test)
    )
    reference = reference_classifier(
        out, train, test, class_count=splits.class_count, images=classifier_images
    )
    bench = Bench(
        out=out,
        recipe=recipe,
        splits=splits,
        train=train,
        test=test,
        reference=reference.network,
        gan_images=gan_images,
        classifier_images=classifier_images,
        generated=generated,
        device=device,
    )
    return bench, reference.accuracy


def _all_cells(bench: Bench, plan: Plan) -> AugmentationReport:
    """Finish every part that is not finished, seed by seed."""
    cells = [Cell(size, seed) for seed in plan.seeds for size in plan.sizes]
    results = {cell: kept_results(bench, cell) for cell in cells}
    text, content = write_study(bench.out, plan, results)
    for number, cell in enumerate(cells, start=1):
        if results[cell].is_complete:
            continue
        for step in finish_cell(bench, cell, results[cell]):
            write_study(bench.out, plan, results)
            say(f"part {number} of {len(cells)}, {cell.size:,} real pictures, seed {cell.seed}: {step}")
        text, content = write_study(bench.out, plan, results)
    outcomes = [outcome for found in results.values() for outcome in found.outcomes.values()]
    complete = all(found.is_complete for found in results.values())
    return AugmentationReport(
        bench.out, text, content, complete and all(outcome.accuracy is not None for outcome in outcomes)
    )
