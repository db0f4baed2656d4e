"""Nearest rows by Euclidean distance: proposed by a matrix product in float64, then measured exactly."""

from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.blockwise import blockwise
from dogsgan.errors import DogsganError
from dogsgan.metrics.distances import (
    Array,
    Frame,
    checked_features,
    checked_pair,
    exact_squared,
    parts_of,
)

_SPARE = 6
"""Rows proposed beyond those asked for, so that rounding seldom leaves a doubt which are the nearest."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest rows of each of N rows, nearest first."""

    squared: np.ndarray
    """Squared distances, N×k float64."""
    indices: np.ndarray
    """Which rows, N×k."""

    @property
    def distances(self) -> np.ndarray:
        """Distances, N×k float64."""
        return np.sqrt(self.squared)


def nearest_rows(
    generated: Array, real: Array, *, count: int = 1, description: str | None = None
) -> Neighbours:
    """Return the `count` rows of `real`, M×D, that are nearest to each row of `generated`, N×D.

    `description` heads a progress bar; None shows none. Distances are exact to float64's rounding. Where two
    rows tie but for 1e-13 of the features' variance, either may be named. Memory beyond the features: see
    `blockwise`; at 4032 features about 200 MB for each core at work.

    Raises:
        DogsganError: `real` has fewer than `count` rows, sizes differ, or a feature is NaN or infinite.
    """
    rows, others = checked_pair(generated, real)
    _refuse_few(len(others), count)
    return _nearest(rows, others, count=count, leave_one_out=False, description=description)


def nearest_others(
    features: Array, *, count: int = 1, side: str = "real", description: str | None = None
) -> Neighbours:
    """Return the `count` rows nearest to each row of `features`, N×D, itself left out: see `nearest_rows`.

    A row that stands twice has the other one at distance 0. `side` names the pictures in an error.
    """
    rows = checked_features(features, side)
    _refuse_few(len(rows) - 1, count)
    return _nearest(rows, rows, count=count, leave_one_out=True, description=description)


def _nearest(
    rows: torch.Tensor, others: torch.Tensor, *, count: int, leave_one_out: bool, description: str | None
) -> Neighbours:
    frame = Frame(others)
    proposed = min(count + _SPARE, len(others) - leave_one_out)

    def search(part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        block = frame.block(rows, part)
        best = torch.full((len(block[0]), proposed), torch.inf, dtype=torch.float64)
        indices = torch.zeros_like(best, dtype=torch.long)
        for other_part in parts_of(len(others)):
            squared = frame.squared(block, frame.block(others, other_part))  # n×m
            if leave_one_out and part == other_part:
                squared.fill_diagonal_(torch.inf)
            columns = torch.arange(other_part.start, other_part.stop).expand_as(squared)
            best, kept = torch.cat([best, squared], dim=1).topk(proposed, dim=1, largest=False)
            indices = torch.cat([indices, columns], dim=1).gather(1, kept)
        return _refined(rows, others, part, indices, count=count)

    found = [each for _, each in blockwise(search, parts_of(len(rows)), description=description)]
    if not found:
        return Neighbours(np.zeros((0, count)), np.zeros((0, count), dtype=np.int64))
    squared, indices = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    return Neighbours(squared=squared, indices=indices)


def _refined(
    rows: torch.Tensor, others: torch.Tensor, part: slice, proposals: torch.Tensor, *, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the `count` nearest proposals by exact distance: squared distances and indices, n×count."""
    indices = proposals.sort(dim=1).values  # of rows equally far the first one is named
    row_of = torch.arange(part.start, part.stop).repeat_interleave(indices.shape[1])
    exact = exact_squared(rows, others, row_of, indices.flatten()).reshape(indices.shape)
    squared, order = exact.sort(dim=1, stable=True)
    return squared[:, :count].clone(), indices.gather(1, order)[:, :count].clone()


def _refuse_few(available: int, count: int) -> None:
    if available < count:
        raise DogsganError(
            f"the {count} nearest pictures are asked for and there are {available}: give more pictures"
        )
