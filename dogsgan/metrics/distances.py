"""Squared Euclidean distances between features, in blocks of float64.

`|a|² + |b|² − 2ab` is a matrix product, and loses digits exactly where two rows are close, which is where
copies are. So whatever lies within its error of a decision is computed anew as `|a − b|²`.
"""

from typing import TypeAlias

import numpy as np
import torch
from torch.nn import functional

from dogsgan.blockwise import blocks
from dogsgan.errors import DogsganError

Array: TypeAlias = np.ndarray | torch.Tensor
Device: TypeAlias = torch.device | str
Block: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Some rows, n×D, in a frame, and their squared norms, n."""

_ROWS_AT_ONCE = 2048
_VALUES_AT_ONCE = 2 * 1024 * 1024
"""Features of one side whose exact distances are computed at once: 16 MB."""


class Frame:
    """Rows moved to a common centre.

    Distances do not change when everything is moved; rounding errors do, as they grow with the rows' norms.
    """

    def __init__(self, references: torch.Tensor) -> None:
        """Centre the frame on the mean of `references`, M×D."""
        total = torch.zeros(references.shape[1], dtype=torch.float64)
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


def parts_of(length: int) -> list[slice]:
    """Return slices that cover `length` rows, each of as many as are worked on at once."""
    return list(blocks(length, _ROWS_AT_ONCE))


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
    found = torch.empty(len(row_of), dtype=torch.float64)
    for chosen in blocks(len(row_of), step):
        difference = rows[row_of[chosen]].double() - others[other_of[chosen]].double()
        found[chosen] = difference.square_().sum(dim=1)
    return found


def checked_pair(
    generated: Array, real: Array, *, side: str = "generated", device: Device = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both sides' features, N×D and M×D, as tensors on a device; `side` names the first in errors.

    Raises:
        DogsganError: sizes differ, or a feature is NaN or infinite.
    """
    sides = checked_features(generated, side, device), checked_features(real, "real", device)
    if sides[0].shape[1] != sides[1].shape[1]:
        raise DogsganError(
            f"{side} pictures have {sides[0].shape[1]} features and real ones {sides[1].shape[1]}: "
            "both sides need the same network"
        )
    return sides


def checked_features(features: Array, side: str, device: Device = "cpu") -> torch.Tensor:
    """Return features, N×D, as a tensor of float32 or float64 on a device.

    Raises:
        DogsganError: they are not N×D, or one is NaN or infinite; the picture is named by its index.
    """
    rows = torch.as_tensor(features).detach().to(device)
    if rows.ndim != 2:
        raise DogsganError(f"{side} features have {rows.ndim} dimensions, expected 2 (pictures × features)")
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.to(torch.float32 if rows.is_floating_point() else torch.float64)
    for part in parts_of(len(rows)):
        finite = torch.isfinite(rows[part]).all(dim=1)
        if not finite.all():
            first = part.start + int((~finite).nonzero()[0])
            raise DogsganError(
                f"the features of {side} picture {first} are NaN or infinite: no distance is defined"
            )
    return rows
