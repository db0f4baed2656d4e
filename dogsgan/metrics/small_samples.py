"""The bias of a Fréchet distance of few pictures, measured and in words."""

import math

import numpy as np
import torch

from dogsgan.metrics.distances import Array
from dogsgan.metrics.frechet import frechet_distance_between
from dogsgan.metrics.statistics import Statistics, statistics_of
from dogsgan.progress import optional


def small_sample_bias(features: Array, other: Statistics, *, whole: float) -> float:
    """Return by how much `features` (N×D) being so few raises `whole`, their Fréchet distance to `other`.

    A Fréchet distance falls with 1/N as pictures are added (Chong & Forsyth 2020), so going from N/2 to N
    takes away as much as is still to come. Measured so: the mean distance of the two halves less the
    distance of the whole. With N below D the law is only beginning to hold, and this is a lower bound.
    """
    values = torch.as_tensor(features)
    halves = [frechet_distance_between(statistics_of(values[start::2]), other) for start in (0, 1)]
    return max(0.0, sum(halves) / 2 - whole)


def few_pictures(
    name: str, own: Statistics, features: np.ndarray | None, other: Statistics, *, fid: float
) -> list[str]:
    """Say of a side with fewer pictures than features by how much that raises the Fréchet distance `fid`.

    `name` is the side's, generated or real. The list is empty where there are enough.
    """
    if own.count is None or own.count >= own.dimension:
        return []
    line = f"{own.count:,} {name} pictures are fewer than the network's {own.dimension:,} features"
    if features is not None and own.count >= 4:
        with optional("the bias of small samples"):
            line += _raised_by(small_sample_bias(features, other, whole=fid), fid)
    else:
        line += ": the Fréchet distance is far too high"
    return [line]


def _raised_by(bias: float, fid: float) -> str:
    """Say what a bias of small samples means for a Fréchet distance, which is never negative."""
    if fid <= 1e-6 * bias or bias < 1e-9:  # the two sides are the same pictures, or all are alike
        return ": a Fréchet distance of so few says little"
    if bias >= fid:
        return ": all of the Fréchet distance may come from that"
    return f": the Fréchet distance is too high by about {_rough(bias)} or more"


def _rough(value: float) -> str:
    """Return a positive number with two digits."""
    return "0" if value == 0 else f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"
