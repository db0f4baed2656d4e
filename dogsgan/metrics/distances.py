"""Euclidean distances between features and nearest rows, in blocks of float64.

`|a|² + |b|² − 2ab` is a matrix product, and loses digits exactly where two rows are close, which is where
copies are. So whatever lies within its error of a decision is computed anew as `|a − b|²`.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch.nn import functional

from dogsgan.blockwise import CPU, at_once, blocks, blockwise
from dogsgan.errors import DogsganError

Array: TypeAlias = np.ndarray | torch.Tensor
Block: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Some rows, n×D, in a frame, and their squared norms, n."""

_ROWS_AT_ONCE = 2048
_ROW_BYTES = 100_000  # of 2,048 rows with as many others, at 4032 features
_VALUES_AT_ONCE = 2 * 1024 * 1024
"""Features of one side whose exact distances are computed at once: 16 MB."""
_SPARE = 6
"""Rows proposed beyond those asked for, so that rounding seldom leaves a doubt which are the nearest."""


class Frame:
    """Rows moved to a common centre.

    Distances do not change when everything is moved; rounding errors do, as they grow with the rows' norms.
    """

    def __init__(self, references: torch.Tensor) -> None:
        """Centre the frame on the mean of `references`, M×D."""
        total = torch.zeros(references.shape[1], dtype=torch.float64, device=references.device)
        for part in references.split(_ROWS_AT_ONCE):
            total += part.sum(dim=0, dtype=torch.float64)
        self._centre = total / max(1, len(references))
        self._relative_error = (len(total) + 32) * float(torch.finfo(torch.float64).eps) / 2

    def block(self, rows: torch.Tensor, part: slice) -> Block:
        """Return `rows[part]`, n×D float64, in this frame, with their squared norms, n."""
        moved = rows[part].double() - self._centre
        return moved, torch.linalg.vector_norm(moved, dim=1).square_()

    def squared(self, left: Block, right: Block) -> torch.Tensor:
        """Return approximate squared distances, n×m, between two blocks; rounding can make them negative."""
        (a, a_norms), (b, b_norms) = left, right
        return torch.addmm(b_norms[None, :], a, b.T, alpha=-2).add_(a_norms[:, None])  # n×m

    def error(self, left: Block, right: Block) -> torch.Tensor:
        """Return by how much `squared` may be wrong, n×m: 2γ(|a|² + |b|²) (Higham 2002, section 3.1)."""
        scale = 2 * self._relative_error
        return (scale * left[1])[:, None] + (scale * right[1])[None, :]


def parts_of(length: int, device: torch.device = CPU) -> list[slice]:
    """Return slices that cover `length` rows, each of as many as are worked on at once."""
    return list(blocks(length, at_once(_ROWS_AT_ONCE, row_bytes=_ROW_BYTES, device=device)))


def unit_rows(rows: torch.Tensor) -> torch.Tensor:
    """Return rows, n×D, in float64 with length 1; one of zeros stays as it is."""
    return functional.normalize(rows.double(), dim=1, eps=float(torch.finfo(torch.float64).tiny))


def exact_squared(
    rows: torch.Tensor, others: torch.Tensor, row_of: torch.Tensor, other_of: torch.Tensor
) -> torch.Tensor:
    """Return `|a − b|²` in float64 for each pair of `rows[row_of[i]]` and `others[other_of[i]]`.

    A pair of rows gives the same bits wherever they are stored and in either order, so that equal distances
    compare as equal.
    """
    step = max(1, _VALUES_AT_ONCE // max(1, rows.shape[1]))
    found = torch.empty(len(row_of), dtype=torch.float64, device=rows.device)
    for chosen in blocks(len(row_of), step):
        difference = rows[row_of[chosen]].double() - others[other_of[chosen]].double()
        found[chosen] = difference.square_().sum(dim=1)
    return found


def checked_pair(
    generated: Array, real: Array, *, side: str = "generated", device: torch.device | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both sides' features, N×D and M×D, as tensors on a device, by default that of the first.

    `side` names the first in errors.

    Raises:
        DogsganError: sizes differ, or a feature is NaN or infinite.
    """
    rows = checked_features(generated, side, device)
    others = checked_features(real, "real", rows.device)
    if rows.shape[1] != others.shape[1]:
        raise DogsganError(
            f"{side} pictures have {rows.shape[1]} features and real ones {others.shape[1]}: "
            "both sides need the same network"
        )
    return rows, others


def checked_features(features: Array, side: str, device: torch.device | None = None) -> torch.Tensor:
    """Return features, N×D, as a tensor of float32 or float64 on a device, by default where they are.

    Raises:
        DogsganError: they are not N×D, or one is NaN or infinite; the picture is named by its index.
    """
    rows = torch.as_tensor(features, device=device).detach()
    if rows.ndim != 2:
        raise DogsganError(f"{side} features have {rows.ndim} dimensions, expected 2 (pictures × features)")
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.to(torch.float32 if rows.is_floating_point() else torch.float64)
    for part in parts_of(len(rows), rows.device):
        finite = torch.isfinite(rows[part]).all(dim=1)
        if not finite.all():
            first = part.start + int((~finite).nonzero()[0])
            raise DogsganError(
                f"the features of {side} picture {first} are NaN or infinite: no distance is defined"
            )
    return rows


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
        best = block[1].new_full((len(block[0]), proposed), torch.inf)
        indices = torch.zeros_like(best, dtype=torch.long)
        for other_part in parts_of(len(others), others.device):
            squared = frame.squared(block, frame.block(others, other_part))  # n×m
            if leave_one_out and part == other_part:
                squared.fill_diagonal_(torch.inf)
            columns = torch.arange(other_part.start, other_part.stop, device=best.device).expand_as(squared)
            best, kept = torch.cat([best, squared], dim=1).topk(proposed, dim=1, largest=False)
            indices = torch.cat([indices, columns], dim=1).gather(1, kept)
        return _refined(rows, others, part, indices, count=count)

    parts = blockwise(search, parts_of(len(rows), rows.device), description=description, device=rows.device)
    found = [each for _, each in parts]
    if not found:
        return Neighbours(np.zeros((0, count)), np.zeros((0, count), dtype=np.int64))
    squared, indices = (torch.cat(each).cpu().numpy() for each in zip(*found, strict=True))
    return Neighbours(squared=squared, indices=indices)


def _refined(
    rows: torch.Tensor, others: torch.Tensor, part: slice, proposals: torch.Tensor, *, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the `count` nearest proposals by exact distance: squared distances and indices, n×count."""
    indices = proposals.sort(dim=1).values  # of rows equally far the first one is named
    row_of = torch.arange(part.start, part.stop, device=rows.device).repeat_interleave(indices.shape[1])
    exact = exact_squared(rows, others, row_of, indices.flatten()).reshape(indices.shape)
    squared, order = exact.sort(dim=1, stable=True)
    return squared[:, :count].clone(), indices.gather(1, order)[:, :count].clone()


def _refuse_few(available: int, count: int) -> None:
    if available < count:
        raise DogsganError(
            f"the {count} nearest pictures are asked for and there are {available}: give more pictures"
        )
