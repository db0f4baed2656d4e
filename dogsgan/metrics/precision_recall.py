"""Precision, recall, density and coverage of generated features: how much of each set lies within the other.

Around every picture a ball reaches to its k-th nearest neighbour in its own set; the balls of a set stand for
where its distribution has mass (Kynkäänniemi et al. 2019; Naeem et al. 2020).
"""

from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.blockwise import blockwise
from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.euclidean import Array, Frame, checked_pair, exact_squared, parts_of
from dogsgan.metrics.nearest import nearest_others

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

    def compare(pair: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part, other_part = pair
        comparison = _Comparison(frame, rows, others, part=part, other_part=other_part)
        in_real = comparison.nearer_than(real_squared[None, other_part, -1])  # n×m
        in_generated = comparison.nearer_than(generated_squared[part, -1:])  # n×m
        return np.count_nonzero(in_real, axis=1), np.any(in_real, axis=0), np.any(in_generated, axis=0)

    real_balls = np.zeros(len(rows), dtype=np.int64)
    recalled, covered = np.zeros((2, len(others)), dtype=bool)
    pairs = [(part, other_part) for part in parts_of(len(rows)) for other_part in parts_of(len(others))]
    for (part, other_part), found in blockwise(compare, pairs, description=description):
        real_balls[part] += found[0]
        covered[other_part] |= found[1]
        recalled[other_part] |= found[2]
    return PrecisionRecall(
        neighbours=real_squared.shape[1], real_balls=real_balls, recalled=recalled, covered=covered
    )


class _Comparison:
    """The distances between a block of rows and a block of others, to be compared with limits."""

    def __init__(
        self, frame: Frame, rows: torch.Tensor, others: torch.Tensor, *, part: slice, other_part: slice
    ) -> None:
        self._rows, self._others = rows, others
        self._starts = part.start, other_part.start
        left, right = frame.block(rows, part), frame.block(others, other_part)
        self._squared = frame.squared(left, right).numpy()  # n×m
        self._error = frame.error(left, right).numpy()  # n×m

    def nearer_than(self, limits: np.ndarray) -> np.ndarray:
        """Return which squared distances are below `limits`, n×1 or 1×m, as n×m booleans."""
        # NumPy: on busy cores torch's threads wait for each other longer than these passes take.
        margin = self._squared - limits.astype(self._squared.dtype)
        nearer = margin < 0
        row_of, other_of = np.divmod(
            np.flatnonzero(np.abs(margin, out=margin) < self._error), margin.shape[1]
        )
        if len(row_of):
            exact = exact_squared(
                self._rows,
                self._others,
                torch.from_numpy(row_of + self._starts[0]),
                torch.from_numpy(other_of + self._starts[1]),
            ).numpy()
            nearer[row_of, other_of] = exact < np.broadcast_to(limits, margin.shape)[row_of, other_of]
        return nearer
