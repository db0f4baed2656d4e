"""Panel of judges of a run: distances by several networks to two halves of the crops, and recognition."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import LITE0
from dogsgan.recognition.imagenet import DOGS, imagenet_indices, wnids_of
from dogsgan.recognition.shares import Shares, best_guesses, shares_of
from dogsgan.studies.judge import Figures, Judge

CHOOSING, REPORTING = 0, 1


@dataclass(frozen=True)
class RecipeFigures:
    """What is said of a generator's pictures."""

    choosing: dict[str, Figures]  # by network, against the half of the crops that verdicts come from
    reporting: dict[str, Figures]  # by network, against the other half, which the table shows
    dogs: float | None  # share whose first guess is a dog; None where no network has a classifier
    first: float | None  # share whose first guess is the class asked for; None where ImageNet has none


class Panel:
    """Several judges, each with a network of its own, of the same pictures of each run.

    Each judges by two halves of the crops. `conditional` says that generated pictures are of the set's
    classes in turn.

    Raises:
        DogsganError: a network is named twice, or a half has too few crops.
    """

    def __init__(self, judges: Sequence[Judge], *, conditional: bool) -> None:
        self.networks = [judge.network for judge in judges]
        names = [network.name for network in self.networks]
        if len(set(names)) < len(names):
            raise DogsganError(f"--network: each network once, not {', '.join(names)}")
        self._judges = {
            judge.network.name: [dataclasses.replace(judge, half=half) for half in (CHOOSING, REPORTING)]
            for judge in judges
        }
        self.crop_set, self.count = judges[0].crop_set, judges[0].count
        self.real_count = self._judges[names[0]][REPORTING].real_count  # of each half
        self._class_names = self.crop_set.class_names if conditional else ()
        with_classes = [network for network in self.networks if network.classifier is not None]
        self.recognising = min(with_classes, key=lambda network: network.name != LITE0, default=None)

    @property
    def key(self) -> dict[str, Any]:
        """What decides the figures beside the generator."""
        recognising = self.recognising.name if self.recognising else None
        keys = {name: [judge.key for judge in pair] for name, pair in self._judges.items()}
        return {"judges": keys, "recognising": recognising}

    def figures(self, pictures: np.ndarray) -> RecipeFigures:
        """Return the figures of generated pictures, N×H×W×C uint8, of the set's classes in turn."""
        choosing, reporting, shares = {}, {}, None
        for name, pair in self._judges.items():
            features = pair[CHOOSING].features(pictures)
            choosing[name] = pair[CHOOSING].compare(features)
            reporting[name] = pair[REPORTING].compare(features)
            if self.recognising is not None and name == self.recognising.name:
                shares = self._shares(features, self._own(len(pictures)))
        dogs, first = (shares.in_classes, shares.first) if shares else (None, None)
        return RecipeFigures(choosing, reporting, dogs, first)

    def restored(self, saved: dict[str, Any]) -> RecipeFigures:
        """Return figures that were saved as plain values."""
        choosing, reporting = (
            {name: Figures(**saved[half][name]) for name in self._judges}
            for half in ("choosing", "reporting")
        )
        return RecipeFigures(choosing, reporting, dogs=saved["dogs"], first=saved["first"])

    @cached_property
    def real_dogs(self) -> float | None:
        """The share of the real crops of the reporting half that are recognised as dogs."""
        if self.recognising is None:
            return None
        features = self._judges[self.recognising.name][REPORTING].real_features
        return self._shares(features, [None] * len(features)).in_classes

    def _shares(self, features: np.ndarray, own: Sequence[int | None]) -> Shares:
        assert self.recognising is not None
        assert self.recognising.classifier is not None
        best = best_guesses(features, self.recognising.classifier)
        return shares_of(best, classes=DOGS, own=own)

    def _own(self, count: int) -> list[int | None]:
        """Return ImageNet's index of the class of each generated picture, None where it has none."""
        names = self._class_names
        return [self._indices.get(names[place % len(names)]) if names else None for place in range(count)]

    @cached_property
    def _indices(self) -> dict[str, int]:
        wnids = wnids_of(open_source(self.crop_set.path))
        return imagenet_indices(self._class_names, wnids=wnids, within=DOGS)
