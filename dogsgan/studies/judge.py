"""Judge of runs: how near generated pictures come to those the generator was shown."""

import hashlib
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from dogsgan.data.cropset import CropSet
from dogsgan.data.pictures import in_colour
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork, features_of, features_of_stream
from dogsgan.features.sides import Side, load_cached, save_statistics
from dogsgan.metrics.frechet import frechet_distance_between, statistics_of
from dogsgan.metrics.precision_recall import NEIGHBOURS, precision_recall
from dogsgan.progress import optional
from dogsgan.reports.evaluation import crops_as_trained

VERSION = 1  # to be raised when the same crops are shown to a network otherwise
SEED = 0  # of the real pictures that are compared with


F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)


class Judging(Protocol[F_co]):
    """Turns the pictures of a run into figures, which are a dataclass."""

    @property
    def count(self) -> int:
        """How many pictures it takes."""

    @property
    def key(self) -> dict[str, Any]:
        """What decides the figures beside the generator, as plain values."""

    def figures(self, pictures: np.ndarray) -> F_co:
        """Return the figures of N×H×W×C uint8 pictures."""

    def restored(self, saved: dict[str, Any]) -> F_co:
        """Return figures that were saved as plain values; raise KeyError or TypeError if they are others."""


@dataclass(frozen=True)
class Figures:
    """What is said of a generator's pictures."""

    frechet_distance: float
    precision: float
    recall: float


@dataclass
class Judge:
    """A network, and crops of a prepared set as a recipe with `channels` shows them.

    The real side is the crops themselves, since a study asks how well their distribution was learned; that is
    not the competition's score, which compares with whole pictures. Precision and recall compare `count`
    generated pictures with as many real ones, for both depend on the numbers.

    Raises:
        DogsganError: the network takes another size, or there are too few pictures on either side.
    """

    crop_set: CropSet
    network: FeatureNetwork
    _: KW_ONLY
    channels: int
    count: int  # generated pictures to judge each run by
    real_count: int  # crops to compare with, drawn by chance, the same for all runs; at most all
    cache_dir: Path  # where the real side's features are kept
    half: int | None = None  # 0 or 1 for one of two halves of the crops, which share none; None for all

    def __post_init__(self) -> None:
        self.network.refuse_other_size(self.crop_set.size_px)
        order = np.random.default_rng(SEED).permutation(len(self.crop_set))
        self._crops = order if self.half is None else order[self.half :: 2]
        self.real_count = min(self.real_count, len(self._crops))
        if min(self.count, self.real_count) <= NEIGHBOURS:
            raise DogsganError(
                f"{self.count} generated and {self.real_count} real pictures: precision and recall need "
                f"{NEIGHBOURS + 1} of each"
            )

    @property
    def key(self) -> dict[str, Any]:
        """What decides the figures beside the generator: figures of another key are of something else."""
        return {
            "network": self.network.name,
            "identity": self.network.identity,
            "real": self.crop_set.fingerprint,
            "channels": self.channels,
            "count": self.count,
            "real_count": self.real_count,
            **({} if self.half is None else {"half": self.half}),
        }

    def figures(self, pictures: np.ndarray) -> Figures:
        """Return the figures of generated pictures, N×H×W×C uint8."""
        return self.compare(self.features(pictures))

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """Return the network's features, N×D, of pictures N×H×W×C uint8."""
        return features_of(in_colour(pictures), self.network, show_progress=True)

    def compare(self, features: np.ndarray) -> Figures:
        """Return the figures of generated pictures by their features, N×D."""
        found = precision_recall(features, self.real_features[: self.count])
        return Figures(
            frechet_distance=frechet_distance_between(statistics_of(features), self._real.statistics),
            precision=found.precision,
            recall=found.recall,
        )

    def restored(self, saved: dict[str, Any]) -> Figures:
        """Return figures that were saved as plain values."""
        return Figures(**saved)

    @cached_property
    def _real(self) -> Side:
        self.crop_set.verify()
        decisive = (VERSION, SEED, self.network.identity, self.crop_set.fingerprint, self.channels)
        half = () if self.half is None else (f"half {self.half}",)
        identity = "\n".join(map(str, (*decisive, self.real_count, *half)))
        cached = self.cache_dir / f"{hashlib.sha256(identity.encode()).hexdigest()}.npz"
        side = load_cached(cached, self.network)
        if side is None:
            features = features_of_stream(
                self._real_pictures(), self.network, total=self.real_count, description="real"
            )
            side = Side(statistics_of(features), features)
            with optional(f"the cache {cached}"):
                save_statistics(cached, side)
        return side

    @property
    def real_features(self) -> np.ndarray:
        """The features of the real pictures, N×D."""
        assert self._real.features is not None
        return self._real.features

    def _real_pictures(self) -> Iterator[tuple[str, np.ndarray]]:
        return crops_as_trained(self.crop_set, self._crops[: self.real_count], channels=self.channels)
