"""AuthPct: how many generated pictures are not suspiciously near to one training picture."""

import numpy as np

from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.distances import Array
from dogsgan.metrics.nearest import Neighbours, nearest_others, nearest_rows


def authentic(generated: Array, real: Array) -> np.ndarray:
    """Return which generated pictures are authentic, N booleans, from features, N×D and M×D.

    A generated picture is authentic if it lies farther, by Euclidean distance, from its nearest training
    picture than that picture lies from its own nearest other one (Alaa et al. 2022, "How faithful is your
    synthetic data?"). `real` is the set that was trained on: a held-out set of the same distribution gives
    another number. A training picture that stands twice has its twin at distance 0, so that only an exact
    copy of it is not authentic: leave the twins out.

    Raises:
        DogsganError: there is no generated or fewer than two real pictures, sizes differ, or a feature is NaN
            or infinite.
    """
    return authentic_of(nearest_rows(generated, real), nearest_others(real))


METRICS = (
    Metric(
        name="authenticity",
        title="AuthPct",
        measure=lambda generated, real: Measured(float(100 * authentic(generated, real).mean())),
        lower_is_better=False,
        meaning="The percentage of generated pictures that are farther from the nearest real one than that "
        "one is from its own nearest.",
        quick=False,
    ),
)


def authentic_of(to_real: Neighbours, among_real: Neighbours) -> np.ndarray:
    """Return the same from distances at hand: generated to real, N×k, and real to other real, M×k.

    Training pictures that each take a turn as a generated one, with the others as the training set
    (leave-one-out), give what an honest generator comes to: `among_real` is then both. The picture itself
    need not be left out of its nearest one's neighbours: where it is the nearest of those, it is not
    authentic with or without.
    """
    nearest = to_real.indices[:, 0]
    return among_real.squared[nearest, 0] < to_real.squared[:, 0]
