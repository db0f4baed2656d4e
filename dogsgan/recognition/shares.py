"""Recognition: how often a classifier of ImageNet's classes sees in a picture what it should show.

The guesses come from the features that the score has anyway, by the network's last layer. A figure of
generated pictures means something beside the same figure of real crops of their size, so both are given.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from dogsgan.features.timm_networks import Classifier
from dogsgan.metrics.distances import parts_of
from dogsgan.number_text import percent
from dogsgan.recognition.imagenet import DOGS, ClassSet

AMONG = 5


class Guesses(NamedTuple):
    """The classes that a network takes N pictures for."""

    best: np.ndarray
    """N×5 int64: the most likely classes, the likeliest first."""
    probability: np.ndarray
    """N float32: that of the class a picture is of, or of the class set."""


@dataclass(frozen=True)
class Shares:
    """What a classifier makes of some pictures."""

    pictures: int
    in_classes: float
    """The share whose first guess is in the class set."""
    labelled: int = 0
    """How many are of a class that ImageNet has."""
    first: float | None = None
    """Of the labelled ones, the share whose class is the first guess; None where there are none."""
    among_five: float | None = None
    """The share whose class is among the first five guesses."""
    by_index: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    """Of each of ImageNet's classes here: how many pictures, and `first` and `among_five` of them."""

    def to_json(self) -> dict[str, Any]:
        """Return the shares of the whole as plain values."""
        return {
            "pictures": self.pictures,
            "in_classes": self.in_classes,
            "labelled": self.labelled,
            "first": self.first,
            "among_five": self.among_five,
        }


@dataclass(frozen=True, eq=False)
class Recognition:
    """How a classifier recognises generated pictures, and real crops beside them."""

    classes: ClassSet
    generated: Shares
    real: Shares | None
    """None where the real side is a statistics file, or no crop of it can be had."""
    real_crops: str
    """In words: which real crops these are."""
    indices: Mapping[str, int]
    """Of each class's name: the index of ImageNet's class."""
    probability: Mapping[str, float]
    """Of each generated picture by name: how likely its class is to the network, or the class set."""

    def ordered(self) -> list[str]:
        """Return the names of the generated pictures, the best recognised first."""
        return sorted(self.probability, key=lambda name: (-self.probability[name], name))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values: the shares of the generated pictures, and those of real crops."""
        return {
            "classes": self.classes.name,
            "class_indices": list(self.classes.indices),
            "in_classes": self.generated.in_classes,
            "first": self.generated.first,
            "among_five": self.generated.among_five,
            "generated": self.generated.to_json(),
            "real": self.real.to_json() if self.real else None,
            "real_crops": self.real_crops,
        }

    def summary(self) -> str:
        """Return it in a line or two for people."""
        lines = [
            f"first guess one of {self.classes.name}: {percent(self.generated.in_classes)} of the generated "
            f"pictures{self._beside('in_classes')}"
        ]
        if self.generated.labelled:
            lines.append(
                f"their class is the first guess: {percent(self.generated.first)}{self._beside('first')}; "
                f"among five: {percent(self.generated.among_five)}{self._beside('among_five')}"
            )
        if self.real is not None:
            lines.append(f"(real: {self.real.pictures:,} {self.real_crops})")
        return "\n".join(lines)

    def _beside(self, figure: str) -> str:
        value = getattr(self.real, figure) if self.real is not None else None
        return "" if value is None else f" (real {percent(value)})"


def guesses_of(
    features: np.ndarray, classifier: Classifier, *, classes: ClassSet, own: Sequence[int | None]
) -> Guesses:
    """Return a classifier's guesses from features, N×D.

    The probability is that of the picture's own class (index in 0..999) where `own` has one, else the sum
    over the class set.
    """
    best, probability = [], []
    in_set = torch.zeros(len(classifier.bias), dtype=torch.bool)
    in_set[list(classes.indices)] = True
    truth = torch.tensor([-1 if index is None else index for index in own], dtype=torch.long)
    for rows in parts_of(len(features)):
        with torch.inference_mode():
            chances = classifier.logits(torch.as_tensor(features[rows])).softmax(dim=1)  # R×C
        best.append(chances.topk(AMONG, dim=1).indices)
        of_own = chances.gather(1, truth[rows].clamp(min=0)[:, None])[:, 0]
        probability.append(torch.where(truth[rows] >= 0, of_own, chances[:, in_set].sum(dim=1)))
    if not best:
        return Guesses(np.zeros((0, AMONG), dtype=np.int64), np.zeros(0, dtype=np.float32))
    return Guesses(torch.cat(best).numpy(), torch.cat(probability).numpy())


def best_guesses(features: np.ndarray, classifier: Classifier) -> np.ndarray:
    """Return the classes that a classifier takes pictures for, N×5, from features, N×D."""
    return guesses_of(features, classifier, classes=DOGS, own=[None] * len(features)).best


def shares_of(best: np.ndarray, *, classes: ClassSet, own: Sequence[int | None]) -> Shares:
    """Return the shares of guesses, N×5, that are in the class set and right; `own` has N classes or None."""
    truth = np.array([-1 if index is None else index for index in own])
    hits = best == truth[:, None]  # a class of −1 is never guessed
    first, among_five = hits[:, 0], hits.any(axis=1)
    labelled = truth >= 0
    rows: dict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(labelled).tolist():
        rows[int(truth[row])].append(row)
    some = bool(labelled.any())
    return Shares(
        pictures=len(best),
        in_classes=float(np.isin(best[:, 0], classes.indices).mean()),
        labelled=int(labelled.sum()),
        first=float(first[labelled].mean()) if some else None,
        among_five=float(among_five[labelled].mean()) if some else None,
        by_index={
            index: (len(own_rows), float(first[own_rows].mean()), float(among_five[own_rows].mean()))
            for index, own_rows in rows.items()
        },
    )
