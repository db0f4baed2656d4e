"""Mean and covariance of features: what the Fréchet distance compares."""

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


def statistics_of(features: np.ndarray | torch.Tensor, *, rows_at_once: int = 4096) -> Statistics:
    """Return `numpy.mean` and `numpy.cov(rowvar=False)` of features, N×D, in float64.

    The mean comes first, so that a large common offset costs no digits. Memory beyond the features: D×D
    numbers and a block of rows.

    Raises:
        DogsganError: there are fewer than two rows, so that there is no covariance.
    """
    count, dimension = features.shape
    if count < 2:
        raise DogsganError(f"{count} picture(s): a covariance needs at least 2; give more pictures")
    blocks = torch.as_tensor(features).cpu().split(rows_at_once)
    mean = sum(block.double().sum(dim=0) for block in blocks) / count
    scatter = torch.zeros(dimension, dimension, dtype=torch.float64)
    for block in blocks:
        centred = block.double() - mean
        scatter.addmm_(centred.T, centred)
    return Statistics(mean=mean.numpy(), covariance=(scatter / (count - 1)).numpy(), count=count)
