"""The nearest rows by Euclidean distance, with float64's digits at about the cost of a float32 product."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from dogsgan.blockwise import blockwise
from dogsgan.errors import DogsganError
from dogsgan.metrics.euclidean import (
    Array,
    Frame,
    checked_features,
    checked_pair,
    exact_squared,
    parts_of,
)

_SPARE = 6
"""Rows proposed beyond those asked for, so that rounding seldom leaves a doubt which are the nearest."""

_MANY = 0.1
"""The share of rows from which on searching them again has a bar of its own."""


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


_Nearest: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Squared distances, n×c, and the indices of the rows that are so far away."""


class _Proposals:
    """The rows that came nearest so far, by approximate distance."""

    def __init__(self, length: int, count: int) -> None:
        self.count = count
        self.squared = torch.full((length, count), torch.inf, dtype=torch.float64)
        self.indices = torch.zeros(length, count, dtype=torch.long)

    def take(self, part: slice, nearest: _Nearest) -> None:
        """Take in candidates for the rows in `part`."""
        squared = torch.cat([self.squared[part], nearest[0]], dim=1)
        indices = torch.cat([self.indices[part], nearest[1]], dim=1)
        self.squared[part], kept = squared.topk(self.count, dim=1, largest=False)  # ascending
        self.indices[part] = indices.gather(1, kept)


def _nearest(
    rows: torch.Tensor, others: torch.Tensor, *, count: int, leave_one_out: bool, description: str | None
) -> Neighbours:
    """Propose in float32; propose again in float64 for those rows where that leaves a doubt."""
    own = torch.arange(len(rows)) if leave_one_out else None
    available = len(others) - leave_one_out
    frame = Frame(others)
    proposals = _Proposals(len(rows), min(count + _SPARE, available))
    _propose(proposals, frame, rows, others, own=own, symmetric=leave_one_out, description=description)
    squared, indices = _refined(proposals, rows, others, count=count)
    doubtful = _doubtful(proposals, frame, rows, kth=squared[:, -1])
    if proposals.count < available and len(doubtful):
        again = _Proposals(len(doubtful), proposals.count)
        own = doubtful if leave_one_out else None
        many = len(doubtful) > _MANY * len(rows)
        more = f"{description}, more exactly" if description and many else None
        _propose(again, Frame(others, torch.float64), rows[doubtful], others, own=own, description=more)
        squared[doubtful], indices[doubtful] = _refined(again, rows[doubtful], others, count=count)
    return Neighbours(squared=squared.numpy(), indices=indices.numpy())


def _propose(
    proposals: _Proposals,
    frame: Frame,
    rows: torch.Tensor,
    others: torch.Tensor,
    *,
    own: torch.Tensor | None,
    symmetric: bool = False,
    description: str | None = None,
) -> None:
    """Compare all with all; where `symmetric`, each block serves its rows and its columns.

    `own` are the indices, N, of each row among `others`, which it is not compared with.
    """

    def compare(pair: tuple[slice, slice]) -> tuple[_Nearest, _Nearest | None]:
        part, other_part = pair
        squared = frame.squared(frame.block(rows, part), frame.block(others, other_part))  # n×m
        if own is not None:
            column = own[part] - other_part.start
            inside = ((column >= 0) & (column < squared.shape[1])).nonzero().squeeze(1)
            squared[inside, column[inside]] = torch.inf
        of_rows = _nearest_in(squared, count=proposals.count, start=other_part.start)
        if not symmetric or part == other_part:
            return of_rows, None
        return of_rows, _nearest_in(squared.T.contiguous(), count=proposals.count, start=part.start)

    pairs = list(_block_pairs(len(rows), len(others), symmetric=symmetric))
    for (part, other_part), (of_rows, of_columns) in blockwise(compare, pairs, description=description):
        proposals.take(part, of_rows)
        if of_columns is not None:
            proposals.take(other_part, of_columns)


def _nearest_in(squared: torch.Tensor, *, count: int, start: int) -> _Nearest:
    """Return the smallest of each row of distances, n×m, to m rows of which the first has index `start`."""
    best, position = squared.topk(min(count, squared.shape[1]), dim=1, largest=False)
    return best.double(), position + start


def _block_pairs(rows: int, others: int, *, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    for part in parts_of(rows):
        for other_part in parts_of(others):
            if not symmetric or other_part.start >= part.start:
                yield part, other_part


def _refined(
    proposals: _Proposals, rows: torch.Tensor, others: torch.Tensor, *, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the `count` nearest proposals by exact distance: squared distances and indices, N×count."""
    indices = proposals.indices.sort(dim=1).values  # of rows equally far the first one is named
    row_of = torch.arange(len(indices)).repeat_interleave(proposals.count)
    exact = exact_squared(rows, others, row_of, indices.flatten()).reshape(indices.shape)
    squared, order = exact.sort(dim=1, stable=True)
    return squared[:, :count].clone(), indices.gather(1, order)[:, :count].clone()


def _doubtful(proposals: _Proposals, frame: Frame, rows: torch.Tensor, *, kth: torch.Tensor) -> torch.Tensor:
    """Return the indices of rows that could have a nearer neighbour than `kth`, N, among those not proposed.

    What was not proposed is approximately at least as far as the last proposal, v. As |b|² ≤ 2|a|² + 2d²,
    the error's bound gives d² ≥ (v − 6γ|a|²) / (1 + 4γ).
    """
    error = frame.relative_error
    norms = torch.zeros(len(rows), dtype=torch.float64)
    for part in parts_of(len(rows)):
        norms[part] = frame.block(rows, part)[1].double()
    nearest_left = (proposals.squared[:, -1] - 6 * error * norms) / (1 + 4 * error)
    return ((nearest_left < kth) & (kth > 0)).nonzero().squeeze(1)


def _refuse_few(available: int, count: int) -> None:
    if available < count:
        raise DogsganError(
            f"the {count} nearest pictures are asked for and there are {available}: give more pictures"
        )
