"""Flow and tables of the augmentation study: its subsets, their accuracies, the state of the GANs, a plot."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.grids import save_grid
from dogsgan.errors import DogsganError
from dogsgan.number_text import fixed
from dogsgan.progress import optional_file, say
from dogsgan.studies.augmentation.classifier import Labelled
from dogsgan.studies.augmentation.data import Splits, subset, subset_crops
from dogsgan.studies.augmentation.parts import (
    REGIMES,
    RUN_FOLDER,
    WITH_GAN,
    Outcome,
    Part,
    Signs,
    feeds_of,
    kept_part,
    note_outcome,
    note_signs,
    sample,
    signs_of,
    try_regime,
)
from dogsgan.studies.grid import Study, endings
from dogsgan.studies.plot import Line, save_lines
from dogsgan.studies.runs import finish_training, kept_training
from dogsgan.studies.settings import with_seed
from dogsgan.studies.table import CONFIDENCE, Row, Spread, as_text, spread_of

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


Parts = Mapping[tuple[Size, int], Part]


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
        return kept_part(folder, kept_training(folder / RUN_FOLDER, images=self.gan_images))

    def make(self, variant: Size, seed: int, kept: Part | None) -> Iterator[Part]:
        """Make what is missing of a part; a GAN that makes no pictures is noted."""
        folder, part = self.folder(variant, seed), kept or Part()
        chosen = subset(self.splits.train, variant.pictures, seed=seed)
        real = self.train.part(torch.from_numpy(chosen))
        yield from self._classifiers(folder, part, real, None, seed=seed)
        say("GAN")
        gan = finish_training(
            folder / RUN_FOLDER,
            variant.recipe(self.base, seed=seed),
            subset_crops(self.splits.train, chosen, folder / "real"),
            images=self.gan_images,
            device=self.device,
        )
        # Read again: a GAN whose note was lost may turn out to be the one that classifiers had pictures of.
        part = kept_part(folder, gan)
        try:
            pictures, labels = sample(folder, count=self.generated, device=self.device)
        except (
            DogsganError
        ) as error:  # NaN: what the tables are to say, and no reason to leave out the others
            part.signs = note_signs(folder, Signs(None, None, str(error)), generator=gan.generator)
            for regime in WITH_GAN:
                failed = Outcome(None, str(error), 0, 0.0, gan.generator)
                part.outcomes[regime] = note_outcome(folder, regime, failed)
            yield part
            return
        classes = self.splits.class_count
        with optional_file(self.grid(variant, seed)):  # each class in a column of its own
            save_grid(pictures[: _GRID_ROWS * classes], self.grid(variant, seed), columns=classes)
        channels, device = self.train.pictures.shape[3], self.train.labels.device
        generated = Labelled.of(pictures, labels, channels=channels, device=device)
        signs = signs_of(generated, self.train, self.reference)
        part.signs = note_signs(folder, signs, generator=gan.generator)
        yield part
        yield from self._classifiers(folder, part, real, generated, seed=seed)

    def _classifiers(
        self, folder: Path, part: Part, real: Labelled, generated: Labelled | None, *, seed: int
    ) -> Iterator[Part]:
        """Try the regimes that are missing: those with generated pictures where these are given, else the
        others."""
        for regime, heading in REGIMES.items():
            if regime in part.outcomes or (regime in WITH_GAN) != (generated is not None):
                continue
            say(heading)
            part.outcomes[regime] = try_regime(
                folder,
                regime,
                feeds=feeds_of(regime, real, generated),
                test=self.test,
                class_count=self.splits.class_count,
                images=self.classifier_images,
                seed=seed,
                generator=part.gan.generator if part.gan and generated else None,
            )
            yield part

    def is_complete(self, results: Parts) -> bool:
        """Return whether every classifier gave an accuracy, and no GAN ran out of memory."""
        return super().is_complete(results) and not any(
            outcome.problem for part in results.values() for outcome in part.outcomes.values()
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

    def text(self, rows: Sequence[Row], results: Parts) -> str:
        """Return the table of accuracies, that of the GANs, and a line for what the means do without."""
        share = self.reference_accuracy
        lines = [
            super().text(rows, results),
            "",
            f"labels confirmed: share of generated pictures that a classifier of all {len(self.train):,} "
            f"real ones ({'–' if share is None else f'{share:.2%}'} on the test pictures) gives their label; "
            "variety: variance within a class, that of real pictures is 1",
            as_text(rows, GAN_HEADINGS),
        ]
        for size in self.variants:
            for seed in self.seeds(size):
                part = results.get((size, seed), Part())
                where = f"{size.pictures:,} real pictures, seed {seed}"
                lines += [
                    f"not in the means: {where}, {REGIMES[regime]}: {outcome.problem}"
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

    def row(self, variant: Size, done: Sequence[Part], results: Parts) -> Row:
        """Return the accuracies with a number of real pictures, and how its GANs are."""
        gans = [part.gan for part in done if part.gan]
        signs = [part.signs for part in done if part.signs]
        accuracies = {regime: spread_of(_accuracies(regime, done)) for regime in REGIMES}
        return {
            "real_pictures": variant.pictures,
            **{regime: spread and Accuracy(**vars(spread)) for regime, spread in accuracies.items()},
            "seeds_done": f"{sum(part.is_final for part in done)} of {len(self.seeds(variant))}",
            "gan_images_seen": [gan.images_seen for gan in gans],
            "gan_seconds": spread_of(gan.seconds for gan in gans if gan.seconds is not None),
            "agreement": spread_of(sign.agreement for sign in signs if sign.agreement is not None),
            "variety": spread_of(sign.variety for sign in signs if sign.variety is not None),
            "gan_ended": endings(
                (gan.stopped_by for gan in gans), sum(sign.problem is not None for sign in signs)
            ),
        }

    def draw(self, path: Path, results: Parts) -> None:
        """Draw errors rather than accuracies: on a logarithmic axis those near 1% can be told apart."""
        lines = []
        for regime, label in REGIMES.items():
            values: dict[float | str, list[float]] = {
                size.pictures: [100 * (1 - share) for share in _accuracies(regime, self.done(size, results))]
                for size in self.variants
            }
            if any(values.values()):
                lines.append(Line(label, values))
        if lines:
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


def _accuracies(regime: str, done: Sequence[Part]) -> list[float]:
    outcomes = [part.outcomes[regime] for part in done if regime in part.outcomes]
    return [outcome.accuracy for outcome in outcomes if outcome.accuracy is not None]
