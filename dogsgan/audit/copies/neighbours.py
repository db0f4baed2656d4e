"""The training pictures nearest to each generated one by the network's features, mirrored or not."""

from typing import NamedTuple

import numpy as np
import torch

from dogsgan.blockwise import blocks, blockwise
from dogsgan.errors import DogsganError
from dogsgan.metrics.distances import checked_pair, unit_rows

NOBODY = -1
_FAR = 2.0  # farther than any distance
ROWS_AT_ONCE = 512
_STEP = 1e-12  # distances that differ by less are equal


class Neighbours(NamedTuple):
    """The k nearest training pictures of each row, every array N×k, nearest first.

    A row has fewer than k where it may match fewer pictures, and none where its features sum to 0; what is
    missing has view −1 and distance infinity.
    """

    view: np.ndarray
    """Which training view, int64."""
    flipped: np.ndarray
    """Whether the mirrored generated picture is the nearer one, bool."""
    distance: np.ndarray
    """`1 − |cos|` in float64, 0..1."""


def nearest_pictures(
    generated: np.ndarray,
    flipped: np.ndarray,
    training: np.ndarray,
    *,
    views: np.ndarray,
    k: int,
    own_group: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    description: str | None = None,
) -> Neighbours:
    """Find the k training pictures nearest to each generated one or to its mirror image.

    `generated` and `flipped` are the features of N pictures and of their mirror images, N×D; `training`, M×D,
    those of different training pictures, by the `views`, M, that show them. A row never matches a picture of
    its own group, by `own_group`, N, and `groups`, M: itself and its duplicates, where real pictures are
    compared with the rest. `description` heads a progress bar.

    Features that sum to 0 take no part, as in the memorization distance. At equal distance the earlier one
    comes first, and the picture before its mirror image. Memory beyond the features: all of them in float64,
    and two blocks of products.

    Raises:
        DogsganError: a feature is NaN or infinite, sizes differ, or every row of a side sums to 0.
    """
    named = (("generated", generated), ("flipped", flipped))
    sides = [_Unit.of(features, training, name) for name, features in named]
    others = _Unit.of(training, training, "training")
    if not (others.usable.any() and any(side.usable.any() for side in sides)):
        who = "generated" if others.usable.any() else "training"
        raise DogsganError(
            f"every {who} picture has features that sum to 0: this network cannot compare them"
        )

    def nearest(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        barred = ~others.usable[None]
        if own_group is not None and groups is not None:
            barred = barred | torch.as_tensor(own_group[rows, None] == groups[None])
        plain, mirrored = (
            (1 - (side.rows[rows] @ others.rows.T).abs())
            .clamp_(min=0)
            .masked_fill_(barred | ~side.usable[rows, None], _FAR)
            for side in sides
        )
        distance = torch.minimum(plain, mirrored)
        order = (distance / _STEP).round_().long() * len(training) + torch.arange(len(training))
        index = order.topk(min(k, len(training)), dim=1, largest=False).indices
        distance, plain, mirrored = (values.gather(1, index) for values in (distance, plain, mirrored))
        found = distance < _FAR
        view = np.where(found, views[index], NOBODY)
        flipped = (mirrored < plain - _STEP) & found
        return view, flipped.numpy(), distance.masked_fill(~found, torch.inf).numpy()

    every = blockwise(nearest, list(blocks(len(generated), ROWS_AT_ONCE)), description=description)
    found = [np.concatenate(part) for part in zip(*(part for _, part in every), strict=True)]
    missing = ((0, 0), (0, max(0, k - found[0].shape[1])))
    fills = (NOBODY, False, np.inf)
    return Neighbours(
        *(np.pad(values, missing, constant_values=fill) for values, fill in zip(found, fills, strict=True))
    )


class _Unit(NamedTuple):
    """Features as rows of length 1 in float64."""

    rows: torch.Tensor
    usable: torch.Tensor
    """Which rows do not sum to 0."""

    @classmethod
    def of(cls, features: np.ndarray, training: np.ndarray, side: str) -> "_Unit":
        rows, _ = checked_pair(np.array(features, dtype=np.float64), np.array(training[:0]), side=side)
        return cls(unit_rows(rows), rows.sum(dim=1) != 0)
