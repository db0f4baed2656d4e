"""Mean and covariance of features, in a stream: what the Fréchet distance compares."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.errors import DogsganError


@dataclass(frozen=True, eq=False)
class Statistics:
    """A Gaussian fitted to features: `mean`, D, and `covariance`, D×D (over N − 1), in float64."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int | None
    """How many pictures; None where a statistics file does not say."""

    @property
    def dimension(self) -> int:
        """The number of features, D."""
        return len(self.mean)


class RunningStatistics:
    """Gathers mean and covariance batch by batch in float64, holding D×D numbers and one batch.

    Batches are merged by their means and scatter matrices (Chan, Golub & LeVeque 1983), so neither the
    order of the batches nor a large common offset costs digits.
    """

    def __init__(self, dimension: int) -> None:
        self.count = 0
        self._mean = torch.zeros(dimension, dtype=torch.float64)
        self._scatter = torch.zeros(dimension, dimension, dtype=torch.float64)  # sum of (x − mean)(x − mean)ᵀ

    def add(self, features: np.ndarray | torch.Tensor) -> None:
        """Take in a batch of features, N×D."""
        batch = torch.as_tensor(features).to("cpu", torch.float64)
        if batch.ndim != 2 or batch.shape[1] != len(self._mean):
            shape = "×".join(map(str, batch.shape))
            raise ValueError(f"features of shape {shape}, expected N×{len(self._mean)}")
        if len(batch) == 0:
            return
        mean = batch.mean(dim=0)
        centred = batch - mean
        total = self.count + len(batch)
        shift = mean - self._mean
        self._scatter += centred.T @ centred
        self._scatter.addr_(shift, shift, alpha=self.count * len(batch) / total)
        self._mean += shift * (len(batch) / total)
        self.count = total

    def finish(self) -> Statistics:
        """Return the statistics of everything gathered.

        Raises:
            DogsganError: fewer than two rows were added, so that there is no covariance.
        """
        if self.count < 2:
            raise DogsganError(f"{self.count} picture(s): a covariance needs at least 2; give more pictures")
        covariance = self._scatter / (self.count - 1)
        return Statistics(mean=self._mean.numpy().copy(), covariance=covariance.numpy(), count=self.count)


def statistics_of(features: np.ndarray | torch.Tensor, *, rows_at_once: int = 4096) -> Statistics:
    """Return `numpy.mean` and `numpy.cov(rowvar=False)` of features, N×D, in float64."""
    return statistics_of_batches(
        (features[start : start + rows_at_once] for start in range(0, len(features), rows_at_once)),
        dimension=features.shape[1],
    )


def statistics_of_batches(batches: Iterable[np.ndarray | torch.Tensor], *, dimension: int) -> Statistics:
    """Return the statistics of a stream of feature batches, each N×D."""
    running = RunningStatistics(dimension)
    for batch in batches:
        running.add(batch)
    return running.finish()
