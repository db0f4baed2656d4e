"""Precision, recall, density and coverage of generated features: how much of each set lies within the other.

Around every picture a ball reaches to its k-th nearest neighbour in its own set; the balls of a set stand for
where its distribution has mass (Kynkäänniemi et al. 2019; Naeem et al. 2020).
"""

from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.blockwise import blockwise
from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.distances import Array, Frame, checked_pair, exact_squared, nearest_others, parts_of

NEIGHBOURS = 5
"""k: the neighbour that a ball reaches to."""


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """The four numbers and what each picture adds to them."""

    neighbours: int
    """k."""
    real_balls: np.ndarray
    """In how many real pictures' balls each generated picture lies, N integers."""
    recalled: np.ndarray
    """Whether each real picture lies in some generated picture's ball, M booleans."""
    covered: np.ndarray
    """Whether each real picture's ball holds some generated picture, M booleans."""

    @property
    def precision(self) -> float:
        """The share of generated pictures within the real distribution, 0..1."""
        return float((self.real_balls > 0).mean())

    @property
    def recall(self) -> float:
        """The share of real pictures within the generated distribution, 0..1."""
        return float(self.recalled.mean())

    @property
    def density(self) -> float:
        """How crowded by real pictures the places are where generated ones lie: about 1 for real ones."""
        return float(self.real_balls.mean() / self.neighbours)

    @property
    def coverage(self) -> float:
        """The share of real pictures with a generated one nearer than their k-th real neighbour, 0..1."""
        return float(self.covered.mean())


def precision_recall(
    generated: Array, real: Array, *, neighbours: int = NEIGHBOURS, description: str | None = None
) -> PrecisionRecall:
    """Return precision, recall, density and coverage of features, generated N×D and real M×D.

    As the authors' own package `prdc` has them: Euclidean distances, the k-th neighbour counted without the
    picture itself, strict inequalities (a picture exactly on a ball's surface is outside). Every comparison
    holds to float64's rounding; equal distances compare as equal. `description` heads a progress bar for each
    of the three stages; None shows none. Memory beyond the features: see `nearest_rows`.

    Raises:
        DogsganError: a side has fewer than `neighbours` + 1 pictures, sizes differ, or a feature is NaN or
            infinite.
    """
    stages = [
        f"{description}: {stage}" if description else None
        for stage in ("real neighbours", "generated neighbours", "overlap")
    ]
    of_real = nearest_others(real, count=neighbours, side="real", description=stages[0])
    of_generated = nearest_others(generated, count=neighbours, side="generated", description=stages[1])
    return overlap(
        generated,
        real,
        generated_squared=of_generated.squared,
        real_squared=of_real.squared,
        description=stages[2],
    )


def _metric(name: str, meaning: str) -> Metric:
    return Metric(
        name=name,
        title=name,
        measure=lambda generated, real: Measured(getattr(precision_recall(generated, real), name)),
        lower_is_better=False,
        meaning=meaning,
        quick=False,
    )


METRICS = (
    _metric("precision", "The share of generated pictures within the real distribution, 0..1."),
    _metric("recall", "The share of real pictures within the generated distribution, 0..1."),
    _metric("density", "How crowded by real pictures the places of generated ones are; 1 for real ones."),
    _metric("coverage", "The share of real pictures with a generated one among their nearest, 0..1."),
)


def overlap(
    generated: Array,
    real: Array,
    *,
    generated_squared: np.ndarray,
    real_squared: np.ndarray,
    description: str | None = None,
) -> PrecisionRecall:
    """Return the four numbers, given each side's squared distances to its k nearest others, N×k and M×k.

    For who needs those distances for something else too; `precision_recall` says the rest.
    """
    rows, others = checked_pair(generated, real)
    frame = Frame(others)
    limits = (
        torch.as_tensor(side[:, -1].copy(), device=rows.device) for side in (generated_squared, real_squared)
    )
    generated_limits, real_limits = limits

    def compare(pair: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part, other_part = pair
        left, right = frame.block(rows, part), frame.block(others, other_part)
        squared, error = frame.squared(left, right), frame.error(left, right)  # n×m

        def nearer_than(limit: torch.Tensor) -> torch.Tensor:
            margin = squared - limit
            nearer = margin < 0
            row_of, other_of = (margin.abs() < error).nonzero(as_tuple=True)
            exact = exact_squared(rows, others, row_of + part.start, other_of + other_part.start)
            nearer[row_of, other_of] = exact < limit.expand_as(squared)[row_of, other_of]
            return nearer

        in_real = nearer_than(real_limits[None, other_part])
        in_generated = nearer_than(generated_limits[part, None])
        counts = in_real.sum(dim=1), in_real.any(dim=0), in_generated.any(dim=0)
        return counts[0].cpu().numpy(), counts[1].cpu().numpy(), counts[2].cpu().numpy()

    real_balls = np.zeros(len(rows), dtype=np.int64)
    recalled, covered = np.zeros((2, len(others)), dtype=bool)
    parts, other_parts = (parts_of(len(side), rows.device) for side in (rows, others))
    pairs = [(part, other_part) for part in parts for other_part in other_parts]
    for (part, other_part), found in blockwise(compare, pairs, description=description, device=rows.device):
        real_balls[part] += found[0]
        covered[other_part] |= found[1]
        recalled[other_part] |= found[2]
    return PrecisionRecall(
        neighbours=real_squared.shape[1], real_balls=real_balls, recalled=recalled, covered=covered
    )
