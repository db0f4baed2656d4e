"""Augmentation study: do a GAN's pictures help a classifier, beside classic augmentation?

A conditional GAN is trained on a subset of the training pictures and makes labelled ones; the same classifier
is then trained on real, distorted and generated pictures in several mixtures, for several sizes of the subset
and several seeds, each seed another subset, GAN and classifier.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.sources import Source
from dogsgan.device import pick_device
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, holds, read_json, write_json
from dogsgan.models import outline_networks
from dogsgan.stages import crops_of, recipe_of_set
from dogsgan.studies.augmentation.classifier import (
    Feed,
    Labelled,
    accuracy,
    build_classifier,
    train_classifier,
)
from dogsgan.studies.augmentation.data import Splits, open_splits, subset
from dogsgan.studies.augmentation.grid import NAME, AugmentationStudy, Size
from dogsgan.studies.grid import StudyReport
from dogsgan.studies.settings import Settings, keeping_one_checkpoint, seeds_of
from dogsgan.tensors import load_file, save_file

VERSION = 1  # to be raised when the same settings give other numbers


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
    sizes: Sequence[int | None] = (100, 500, 1000, 5000, None),
    seeds: int = 3,
    gan_images: int = 120_000,
    classifier_images: int = 100_000,
    generated: int = 10_000,
    device: str = "auto",
) -> StudyReport:
    """Train the GANs and classifiers that are not there yet, and write tables, plot and samples into `out`.

    Every size of a seed comes before the next seed, and the tables are written anew after every classifier,
    so that a study that was stopped shows what there is. The same call goes on where it stopped; more seeds
    or other sizes add to it.

    Args:
        source: labelled pictures, of which the training split is taken.
        test: the test pictures; by default the test split of `source`.
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
    recipe = keeping_one_checkpoint(recipe)
    seed_list = seeds_of(recipe, seeds)
    effort = {"gan_images": gan_images, "classifier_images": classifier_images, "generated": generated}
    splits, settings = _prepared_splits(
        source, out, Settings(NAME, recipe, {**effort, "version": VERSION}), test=test
    )
    numbers = sorted({len(splits.train) if size is None else size for size in sizes})
    for number in numbers:
        subset(splits.train, number, seed=0)  # refuses what cannot be drawn, before anything runs
    if generated % splits.class_count:
        raise DogsganError(
            f"{generated:,} generated pictures are not as many of each of the {splits.class_count} classes: "
            f"take a --count that is a multiple of {splits.class_count}"
        )
    base = recipe_of_set(recipe, splits.train)
    outline_networks(base, class_count=splits.class_count)  # refuses what cannot be built
    settings.keep(out)
    train, held_out = (
        Labelled.of(split.pictures, split.labels, channels=base.data.channels, device=pick_device(device))
        for split in (splits.train, splits.test)
    )
    reference, reference_accuracy = _reference(
        out, train, held_out, class_count=splits.class_count, images=classifier_images
    )
    study = AugmentationStudy(
        out=out,
        settings=settings,
        base=base,
        runs=[(Size(number), seed) for seed in seed_list for number in numbers],
        splits=splits,
        train=train,
        test=held_out,
        reference=reference,
        reference_accuracy=reference_accuracy,
        device=device,
        shared_pictures=splits.shared_pictures(),
        gan_images=gan_images,
        classifier_images=classifier_images,
        generated=generated,
    )
    return study.finish()


def _prepared_splits(
    source: Path, out: Path, settings: Settings, *, test: Path | None
) -> tuple[Splits, Settings]:
    """Return both splits as prepared sets, and settings that tell them from others, not written yet.

    Raises:
        DogsganError: the folder was begun with others or with other settings, or they are no two splits.
    """
    train_source, test_source = open_splits(source, test)
    settings = settings.with_fixed(
        **{
            _contents_of("train_source", train_source): train_source.fingerprint(),
            _contents_of("test_source", test_source): test_source.fingerprint(),
        }
    )
    settings.check(out)  # before crops replace those that are there
    train, _ = crops_of(train_source, out / "train", settings.recipe.data)
    held_out, _ = crops_of(test_source, out / "test", settings.recipe.data)
    return Splits(train, held_out), settings


def _contents_of(name: str, source: Source) -> str:
    """Return the name of the setting: `name` alone once held names, sizes and times of change of files."""
    return f"contents_of_{name}" if source.crop_set is None else name


def _reference(
    folder: Path, train: Labelled, test: Labelled, *, class_count: int, images: int
) -> tuple[nn.Module, float | None]:
    """Train a classifier on all real training pictures, or open the one in `folder`; return its accuracy too.

    It says whether generated pictures show what they should.
    """
    weights, record = folder / "reference.safetensors", folder / "reference.json"
    if not (weights.exists() and record.exists()):
        network = train_classifier([Feed(train)], class_count=class_count, images=images, seed=0)
        share = accuracy(network, test)
        with atomic_path(weights) as partial:
            save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)
        write_json(record, {"accuracy": share})
        return network, share
    network = build_classifier(channels=train.pictures.shape[3], class_count=class_count, seed=0)
    try:
        network.load_state_dict(load_file(weights)[0])
        share = read_json(record)["accuracy"]
    except Exception as error:  # what a damaged file makes of it is anything
        raise DogsganError(f"{weights} is damaged ({error}): remove it, it will be made again") from error
    return network.to(train.pictures.device).eval(), share
