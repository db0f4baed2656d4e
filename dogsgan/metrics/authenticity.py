"""AuthPct: how many generated pictures are not suspiciously near to one training picture."""

from dataclasses import dataclass

import numpy as np

from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.distances import Array
from dogsgan.metrics.nearest import Neighbours, nearest_others, nearest_rows


@dataclass(frozen=True, eq=False)
class Authenticity:
    """Which generated pictures are authentic."""

    authentic: np.ndarray
    """One boolean for each generated picture, N."""

    @property
    def percent(self) -> float:
        """AuthPct: the share of generated pictures that are authentic, 0..100."""
        return float(100 * self.authentic.mean())


def authenticity(generated: Array, real: Array, *, description: str | None = None) -> Authenticity:
    """Return which generated pictures are authentic, by Euclidean distance of features, N×D and M×D.

    A generated picture is authentic if it lies farther from its nearest training picture than that picture
    lies from its own nearest other one (Alaa et al. 2022, "How faithful is your synthetic data?"). `real` is
    the set that was trained on: a held-out set of the same distribution gives another number. A training
    picture that stands twice has its twin at distance 0, so that only an exact copy of it is not authentic:
    leave the twins out.

    `description` heads a progress bar for each of the two stages; None shows none.

    Raises:
        DogsganError: there is no generated or fewer than two real pictures, sizes differ, or a feature is NaN
            or infinite.
    """
    stages = [
        f"{description}: {stage}" if description else None
        for stage in ("generated to real", "real neighbours")
    ]
    return authenticity_of(
        nearest_rows(generated, real, description=stages[0]),
        nearest_others(real, description=stages[1]),
    )


METRICS = (
    Metric(
        name="authenticity",
        title="AuthPct",
        measure=lambda generated, real: Measured(authenticity(generated, real).percent),
        lower_is_better=False,
        meaning="The percentage of generated pictures that are farther from the nearest real one than that "
        "one is from its own nearest.",
        quick=False,
    ),
)


def authenticity_of(to_real: Neighbours, among_real: Neighbours) -> Authenticity:
    """Return the same from distances at hand: generated to real, N×k, and real to other real, M×k."""
    nearest = to_real.indices[:, 0]
    return Authenticity(authentic=among_real.squared[nearest, 0] < to_real.squared[:, 0])


def authenticity_of_unseen(among_real: Neighbours) -> Authenticity:
    """Return which training pictures would be authentic, M: what an honest generator comes to.

    Each takes its turn as a generated picture, with the others as the training set (leave-one-out).
    `among_real` holds distances of real to other real pictures, M×k. The picture itself need not be left out
    of its nearest one's neighbours: where it is the nearest of those, it is not authentic with or without.
    """
    return authenticity_of(among_real, among_real)
