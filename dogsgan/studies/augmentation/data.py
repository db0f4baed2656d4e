"""Pictures of the augmentation study: a training and a test split, and nested subsets of the one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogsgan.data.cropset import CropSet, is_crop_set, write_crop_set
from dogsgan.data.layouts.layout import parse_split
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError


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
    if is_crop_set(folder) and _holds(kept := CropSet.open(folder), train, chosen):
        return kept
    return write_crop_set(
        folder,
        (train.pictures[index] for index in chosen),
        train.labels[chosen],
        class_names=train.class_names,
        origins=[train.origin(index) for index in chosen.tolist()],
        provenance=train.provenance,
    )


def _holds(kept: CropSet, train: CropSet, chosen: np.ndarray) -> bool:
    """Return whether a set that was written before has the chosen pictures, and not those of other crops."""
    return (
        kept.class_names == train.class_names
        and np.array_equal(kept.labels, train.labels[chosen])
        and kept.size_px == train.size_px
        and all(np.array_equal(a, train.pictures[b]) for a, b in zip(kept.pictures, chosen, strict=True))
    )
