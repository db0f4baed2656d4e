"""Share of each batch that a process trains on, so that several processes make one run.

A batch is always the recipe's. Every process draws the random numbers of the whole batch from the same random
state and keeps the rows of its own pictures. So the same batches and noise are seen whatever the number of
processes is, every process has the same random states, and those of one are a checkpoint of all.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Share:
    """The `rank`-th of `size` equal, contiguous shares of a batch."""

    rank: int = 0
    size: int = 1

    def whole(self, own: int) -> int:
        """Return the rows of all shares together, of which `own` are this one's."""
        return own * self.size

    def of(self, x: Tensor, *, dim: int = 0, parts: int = 1) -> Tensor:
        """Return this share's rows of `x` along `dim`; of each of `parts` batches that lie there in turn."""
        if self.size == 1:
            return x
        by_share = x.unflatten(dim, (parts, self.size, -1))
        return by_share.select(dim + 1, self.rank).flatten(dim, dim + 1)


WHOLE = Share()


class RowDraws:
    """Random numbers for the pictures at hand, drawn for the whole batch.

    Args:
        random: in the same state in every process; moves on by the draws of the whole batch.
        share: what the pictures at hand are of the batch.
        parts: batches concatenated in the pictures, such as the real and the generated ones.
    """

    def __init__(self, random: Generator, *, share: Share = WHOLE, parts: int = 1) -> None:
        self.random, self.share, self.parts = random, share, parts

    def uniform(self, pictures: Tensor) -> Tensor:
        """Return N×1×1×1 in [0, 1)."""
        shape = (self.share.whole(len(pictures)), 1, 1, 1)
        drawn = torch.rand(shape, device=pictures.device, generator=self.random)
        return self.share.of(drawn, parts=self.parts)

    def positions(self, pictures: Tensor, low: int, high: int) -> Tensor:
        """Return 2×N×1 whole numbers from `low` to below `high`: for rows, and for columns."""
        shape = (2, self.share.whole(len(pictures)), 1)
        drawn = torch.randint(low, high, shape, device=pictures.device, generator=self.random)
        return self.share.of(drawn, dim=1, parts=self.parts)
