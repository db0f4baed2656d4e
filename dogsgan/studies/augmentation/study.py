"""Augmentation study: do a GAN's pictures help a classifier, beside classic augmentation?

A conditional GAN is trained on a subset of the training pictures and makes labelled ones; the same classifier
is then trained on real, distorted and generated pictures in several mixtures, for several sizes of the subset
and several seeds, each seed another subset, GAN and classifier.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.grids import save_grid
from dogsgan.device import pick_device
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, holds, read_json, write_json
from dogsgan.models import outline_networks
from dogsgan.number_text import fixed
from dogsgan.progress import optional_file, say
from dogsgan.stages import recipe_of_set
from dogsgan.studies.augmentation.classifier import (
    BATCH,
    Feed,
    Labelled,
    accuracy,
    build_classifier,
    steps_for,
    train_classifier,
)
from dogsgan.studies.augmentation.parts import (
    REGIMES,
    RUN_FOLDER,
    WITH_GAN,
    Outcome,
    Part,
    Signs,
    Splits,
    feeds_of,
    prepared_splits,
    sample,
    subset,
    subset_crops,
    variety,
)
from dogsgan.studies.grid import Study, StudyReport, endings
from dogsgan.studies.runs import (
    Settings,
    finish_training,
    keeping_one_checkpoint,
    kept_training,
    seeds_of,
    with_seed,
)
from dogsgan.studies.table import CONFIDENCE, Line, Row, Spread, as_text, save_lines, spread_of
from dogsgan.tensors import load_file, save_file

NAME = "augmentation"
HEADINGS = {"real_pictures": "real pictures", **REGIMES, "seeds_done": "seeds"}
GAN_HEADINGS = {
    "real_pictures": "GAN of",
    "gan_images_seen": "images seen",
    "gan_seconds": "s",
    "agreement": "labels confirmed",
    "variety": "variety",
    "gan_ended": "ended by",
}
_GRID_ROWS = 8
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
    splits, settings = prepared_splits(
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


class Size(NamedTuple):
    """A number of real training pictures, the study's variants."""

    pictures: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"n-{self.pictures}"

    def recipe(self, base: Recipe, *, seed: int) -> Recipe:
        """Return the recipe of the GAN."""
        return with_seed(base, seed)


class Accuracy(Spread):
    """A spread of accuracies, shown in percent with its interval."""

    def text(self) -> str:
        """Return `97.31 ± 0.24`."""
        mean = fixed(100 * self.mean, 2)
        if self.half_width is None:
            return f"{mean} (1 seed)"
        return f"{mean} ± {fixed(100 * self.half_width, 2)}"


@dataclass(frozen=True, kw_only=True)
class AugmentationStudy(Study[Size, Part]):
    """Subsets of the training pictures, each with a GAN and a classifier for each regime."""

    name = NAME
    files = "tables, plot, samples"
    headings = HEADINGS

    splits: Splits
    train: Labelled
    test: Labelled
    reference: nn.Module  # a classifier of all real training pictures
    reference_accuracy: float | None
    gan_images: int
    classifier_images: int
    generated: int  # pictures of each GAN that classifiers choose from
    shared_pictures: int  # test pictures with a twin among the training pictures
    device: str

    def kept(self, variant: Size, seed: int) -> Part:
        """Return what is finished of a part."""
        folder = self.folder(variant, seed)
        return Part.kept(folder, kept_training(folder / RUN_FOLDER, images=self.gan_images))

    def make(self, variant: Size, seed: int, kept: Part | None) -> Iterator[Part]:
        """Make what is missing of a part; a GAN that makes no pictures is noted."""
        part = kept or self.kept(variant, seed)
        folder = part.folder
        chosen = subset(self.splits.train, variant.pictures, seed=seed)
        real = self.train.part(torch.from_numpy(chosen))
        yield from self._classifiers(part, real, None, seed=seed)
        say("GAN")
        gan = finish_training(
            folder / RUN_FOLDER,
            variant.recipe(self.base, seed=seed),
            subset_crops(self.splits.train, chosen, folder / "real"),
            images=self.gan_images,
            device=self.device,
        )
        # Read again: a GAN whose note was lost may turn out to be the one that classifiers had pictures of.
        part = Part.kept(folder, gan)
        try:
            pictures, labels = sample(folder, count=self.generated, device=self.device)
        except DogsganError as error:  # NaN: the tables say so, and the others are not left out for it
            part.note_signs(Signs(None, None, str(error)))
            for regime in WITH_GAN:
                part.note_outcome(regime, Outcome(None, str(error), 0, 0.0, gan.generator))
            yield part
            return
        classes = self.splits.class_count
        with optional_file(self.grid(variant, seed)):  # each class in a column of its own
            save_grid(pictures[: _GRID_ROWS * classes], self.grid(variant, seed), columns=classes)
        channels, device = self.train.pictures.shape[3], self.train.labels.device
        generated = Labelled.of(pictures, labels, channels=channels, device=device)
        part.note_signs(Signs(accuracy(self.reference, generated), variety(generated, self.train)))
        yield part
        yield from self._classifiers(part, real, generated, seed=seed)

    def _classifiers(
        self, part: Part, real: Labelled, generated: Labelled | None, *, seed: int
    ) -> Iterator[Part]:
        """Try the missing regimes: those with generated pictures if there are any, else the others."""
        for regime, heading in REGIMES.items():
            if regime in part.outcomes or (regime in WITH_GAN) != (generated is not None):
                continue
            say(heading)
            began = time.monotonic()
            network = train_classifier(
                feeds_of(regime, real, generated),
                class_count=self.splits.class_count,
                images=self.classifier_images,
                seed=seed,
            )
            share = accuracy(network, self.test)
            outcome = Outcome(
                accuracy=share,
                problem="the classifier diverged" if share is None else None,
                images_seen=steps_for(self.classifier_images) * BATCH,
                seconds=round(time.monotonic() - began, 2),
                generator=part.gan.generator if part.gan and generated else None,
            )
            part.note_outcome(regime, outcome)
            yield part

    def is_complete(self) -> bool:
        """Return whether every classifier gave an accuracy, and no GAN ran out of memory."""
        return super().is_complete() and not any(
            outcome.problem for part in self.results.values() for outcome in part.outcomes.values()
        )

    def caption(self) -> str:
        """Return what the numbers are."""
        lines = [
            f"accuracy in % on {len(self.test):,} test pictures that nothing was trained or chosen by; "
            f"± is half of the mean's {CONFIDENCE:.0%} interval over seeds",
            f"each classifier saw {self.classifier_images:,} pictures, each GAN ({self.base.name}) "
            f"{self.gan_images:,}; {self.generated:,} pictures of each GAN; "
            "in a mixture half of every batch is generated",
        ]
        if self.shared_pictures:
            lines.append(f"{self.shared_pictures:,} test pictures are also training pictures")
        return "\n".join(lines)

    def text(self, rows: Sequence[Row]) -> str:
        """Return the table of accuracies, that of the GANs, and a line for what the means do without."""
        share = self.reference_accuracy
        lines = [
            super().text(rows),
            "",
            f"labels confirmed: share of generated pictures that a classifier of all {len(self.train):,} "
            f"real ones ({'–' if share is None else f'{share:.2%}'} on the test pictures) gives their label; "
            "variety: variance within a class, that of real pictures is 1",
            as_text(rows, GAN_HEADINGS),
        ]
        for size in self.variants:
            lines += [
                f"not in the means: {size.pictures:,} real pictures, seed {seed}, {REGIMES[regime]}: "
                f"{outcome.problem}"
                for seed, part in self.done(size).items()
                for regime, outcome in part.outcomes.items()
                if outcome.problem
            ]
        return "\n".join(lines)

    def about(self) -> dict[str, Any]:
        """Return what is compared, with what effort."""
        return {
            "preset": self.base.name,
            "class_count": self.splits.class_count,
            "train_pictures": len(self.train),
            "test_pictures": len(self.test),
            "shared_pictures": self.shared_pictures,
            "sizes": [size.pictures for size in self.variants],
            "seeds": self.seeds(self.variants[0]),
            "gan_images": self.gan_images,
            "classifier_images": self.classifier_images,
            "generated": self.generated,
            "reference_accuracy": self.reference_accuracy,
            "confidence": CONFIDENCE,
            "regimes": REGIMES,
        }

    def run_as_json(self, variant: Size, seed: int, result: Part) -> dict[str, Any]:
        """Return every classifier and GAN as plain values."""
        return {
            "real_pictures": variant.pictures,
            "seed": seed,
            "classifiers": {name: asdict(outcome) for name, outcome in result.outcomes.items()},
            "gan": asdict(result.gan) if result.gan else None,
            "signs": asdict(result.signs) if result.signs else None,
        }

    def row(self, variant: Size) -> Row:
        """Return the accuracies with a number of real pictures, and how its GANs are."""
        done = self.done(variant).values()
        gans = [part.gan for part in done if part.gan]
        signs = [part.signs for part in done if part.signs]
        accuracies = {regime: spread_of(_accuracies(regime, done)) for regime in REGIMES}
        return {
            "real_pictures": variant.pictures,
            **{regime: spread and Accuracy(**vars(spread)) for regime, spread in accuracies.items()},
            "seeds_done": f"{sum(part.is_final for part in done)} of {len(self.seeds(variant))}",
            "gan_images_seen": [gan.images_seen for gan in gans],
            "gan_seconds": spread_of(gan.seconds for gan in gans),
            "agreement": spread_of(sign.agreement for sign in signs),
            "variety": spread_of(sign.variety for sign in signs),
            "gan_ended": endings(
                (gan.stopped_by for gan in gans), sum(sign.problem is not None for sign in signs)
            ),
        }

    def draw(self, path: Path) -> None:
        """Draw errors rather than accuracies: on a logarithmic axis those near 1% can be told apart."""
        lines = []
        for regime, label in REGIMES.items():
            shares = {size.pictures: _accuracies(regime, self.done(size).values()) for size in self.variants}
            lines.append(
                Line(label, {n: [100 * (1 - share) for share in of_n] for n, of_n in shares.items()})
            )
        save_lines(
            path,
            lines,
            title=f"one classifier, {self.classifier_images:,} pictures seen, GAN {self.base.name}",
            x_label="real training pictures",
            y_label="wrong of the test pictures (%)",
            places=[size.pictures for size in self.variants],
            bars="half_width",
            log_x=True,
            log_y_floor=100 * 0.5 / len(self.test),  # half a picture: below any error but 0
        )


def _accuracies(regime: str, done: Iterable[Part]) -> list[float]:
    outcomes = [part.outcomes[regime] for part in done if regime in part.outcomes]
    return [outcome.accuracy for outcome in outcomes if outcome.accuracy is not None]
