"""Pictures of the augmentation study, and what is made of a subset of them: a GAN and classifiers."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.data.layouts.layout import parse_split
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, write_json
from dogsgan.models.sampling import Sampler
from dogsgan.stages import crops_of
from dogsgan.studies.augmentation.classifier import Feed, Labelled
from dogsgan.studies.runs import Settings, Trained

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
_SIGNS_FILE = "signs.json"
_SAMPLES_SEED = 0

T = TypeVar("T")


@dataclass(frozen=True)
class Splits:
    """What is trained on, and what only counts right and wrong answers."""

    train: CropSet
    test: CropSet

    def __post_init__(self) -> None:
        if not self.train.class_names:
            raise DogsganError(f"{_source(self.train)} has no classes: the study needs labelled pictures")
        if self.train.class_names != self.test.class_names:
            raise DogsganError(
                f"{_source(self.test)} has {len(self.test.class_names)} classes and {_source(self.train)} "
                f"{len(self.train.class_names)}, not the same ones: give two splits of one data set"
            )
        if self.train.fingerprint == self.test.fingerprint:
            raise DogsganError(
                f"{_source(self.test)} and {_source(self.train)} are the same pictures: give a test split"
            )

    @property
    def class_count(self) -> int:
        """How many classes both splits have."""
        return len(self.train.class_names)

    def shared_pictures(self) -> int:
        """Return how many test pictures have a twin, equal in every pixel, among the training pictures."""
        seen = {picture.tobytes() for picture in self.train.pictures}
        return sum(picture.tobytes() in seen for picture in self.test.pictures)


def _source(crop_set: CropSet) -> str:
    return str(crop_set.provenance.get("source", crop_set.path))


def open_splits(path: Path, test: Path | None) -> tuple[Source, Source]:
    """Open the training split at `path`, and the test split at `test` or else at `path@test`.

    Raises:
        DogsganError: one of them cannot be used, or the source has no test split of its own.
    """
    train = open_source(path)
    if test is not None:
        return train, open_source(test)
    place = parse_split(Path(path)).path.resolve()
    try:
        return train, open_source(place.with_name(f"{place.name}@test"))
    except DogsganError as error:
        raise DogsganError(
            f"no test pictures beside those of {path}: name them with --test ({error})"
        ) from error


def prepared_splits(
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


def nested_order(labels: np.ndarray, *, seed: int) -> np.ndarray:
    """Return all indices in an order whose every beginning has the classes in the shares of the whole.

    Each class is shuffled and spread evenly over the order, so that of the first n pictures every class has
    its share of n, give or take one. The first n of a seed are therefore part of its first m > n.
    """
    random = np.random.default_rng(seed)
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        position[random.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((random.random(len(labels)), position))


def subset(train: CropSet, size: int, *, seed: int) -> np.ndarray:
    """Return the indices of `size` training pictures, stratified by class, drawn with `seed`.

    Raises:
        DogsganError: there are not as many, or they are too few for every class to be among them.
    """
    if size > len(train):
        raise DogsganError(
            f"{size:,} training pictures asked for, there are {len(train):,}: take fewer, or all"
        )
    chosen = nested_order(train.labels, seed=seed)[:size]
    if len(np.unique(train.labels[chosen])) < len(train.class_names):
        raise DogsganError(
            f"{size:,} training pictures do not hold all {len(train.class_names)} classes: take more"
        )
    return chosen


def subset_crops(train: CropSet, chosen: np.ndarray, folder: Path) -> CropSet:
    """Return the chosen training pictures as a prepared set for a GAN: written to `folder` unless all are."""
    if len(chosen) == len(train):
        return train
    return write_crop_set(
        folder,
        (train.pictures[index] for index in chosen),
        train.labels[chosen],
        class_names=train.class_names,
        origins=[train.origin(index) for index in chosen.tolist()],
        provenance=train.provenance,
    )


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
    """What is finished of a subset, and noted in its folder."""

    folder: Path
    gan: Trained | None = None
    signs: Signs | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by regime

    @classmethod
    def kept(cls, folder: Path, gan: Trained | None) -> "Part":
        """Return what is noted in a folder of the classifiers, and of the generator that is there."""
        part = cls(folder, gan)
        for regime in REGIMES:
            if regime not in WITH_GAN or gan is not None:
                generator = gan.generator if gan and regime in WITH_GAN else None
                path = part._outcome_file(regime)
                if outcome := _kept(path, lambda saved: Outcome(**saved), generator=generator):
                    part.outcomes[regime] = outcome
        if gan is not None:
            path = folder / _SIGNS_FILE
            part.signs = _kept(path, lambda saved: Signs(**saved["signs"]), generator=gan.generator)
        return part

    @property
    def is_final(self) -> bool:
        """Whether every regime was tried, with a GAN that will not change any more."""
        return self.gan is not None and self.gan.is_final and self.outcomes.keys() == REGIMES.keys()

    def note_signs(self, signs: Signs) -> None:
        """Keep the signs of the generator."""
        assert self.gan is not None
        content = {"signs": dataclasses.asdict(signs), "generator": self.gan.generator}
        write_json(self.folder / _SIGNS_FILE, content)
        self.signs = signs

    def note_outcome(self, regime: str, outcome: Outcome) -> None:
        """Keep the outcome of a regime."""
        write_json(self._outcome_file(regime), dataclasses.asdict(outcome))
        self.outcomes[regime] = outcome

    def _outcome_file(self, regime: str) -> Path:
        return self.folder / "classifiers" / f"{regime}.json"


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


def sample(folder: Path, *, count: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` pictures of a part's GAN, N×H×W×C uint8, and their classes, as many of each.

    Raises:
        DogsganError: the generator makes NaN.
    """
    sampler = Sampler.open(folder / RUN_FOLDER, device=device)
    pictures, labels = zip(*sampler.batches(count, seed=_SAMPLES_SEED), strict=True)
    return np.concatenate(pictures), np.concatenate(labels)


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
