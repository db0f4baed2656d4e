"""The crop set on the training device: gathered, mirrored and normalised there."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dogsgan.training.augment import flip_half
from dogsgan.training.share import WHOLE, Share

GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
GREY_PART = 4096


def in_grey(pictures: np.ndarray) -> np.ndarray:
    """Turn uint8 N×H×W×3 into N×H×W×1 (ITU-R 601 weights, as Pillow's mode L), a part at a time."""
    grey = np.empty((*pictures.shape[:3], 1), dtype=np.uint8)
    for start in range(0, len(pictures), GREY_PART):  # as floats a part takes twelve times its place
        part = slice(start, start + GREY_PART)
        grey[part, ..., 0] = (pictures[part] @ GREY_WEIGHTS).round()
    return grey


class Batches:
    """An endless, resumable stream of shuffled batches.

    The pictures lie on the device as uint8, and so does their order. Each pass over the set is a fresh
    permutation, drawn on the CPU so that it is the same for every device; a batch may span two passes.

    Args:
        pictures: uint8 N×H×W×3.
        labels: N class indices.
        channels: 3, or 1 to have them in grey.
        batch_size: of the whole batch, a multiple of the shares.
        flip: mirror half of the pictures.
        random: draws the mirroring, on the device.
        seed: of the permutations.
        share: the rows of each batch that `next` returns; the place in the data is the whole batch's.
        held_out: the share of the pictures that `next` never returns, chosen by `seed`; at least one.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        labels: np.ndarray,
        *,
        channels: int = 3,
        batch_size: int,
        flip: bool,
        device: torch.device,
        random: torch.Generator,
        seed: int,
        share: Share = WHOLE,
        held_out: float = 0.0,
    ) -> None:
        loaded = np.array(pictures)
        if channels == 1:
            loaded = in_grey(loaded)
        self.pictures = torch.from_numpy(loaded).to(device)
        self.labels = torch.from_numpy(np.array(labels, dtype=np.int64)).to(device)
        self._trained_on, self._held_out = _split(len(loaded), held_out=held_out, seed=seed)
        self.batch_size, self.flip, self.random, self.share = batch_size, flip, random, share
        self._shuffler = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64, device=device)
        self._position = 0

    def next(self) -> tuple[Tensor, Tensor]:
        """Return N×C×H×W pictures in [−1, 1], channels last, and N labels."""
        batch, labels = self._at(self.share.of(self._next_indices()))
        if self.flip:
            batch = flip_half(batch, random=self.random, share=self.share)
        return batch, labels

    @property
    def holds_out(self) -> bool:
        """Whether any pictures are held out."""
        return len(self._held_out) > 0

    def held_out(self, count: int) -> tuple[Tensor, Tensor]:
        """Return up to `count` of the pictures that are held out, and their labels."""
        return self._at(self._held_out[:count].to(self.pictures.device))

    def trained_on(self, count: int) -> tuple[Tensor, Tensor]:
        """Return up to `count` of the other pictures, always the same, and their labels."""
        return self._at(self._trained_on[:count].to(self.pictures.device))

    def _at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        batch = self.pictures[indices].permute(0, 3, 1, 2)  # N×C×H×W, channels last as it lies
        return batch.float().div_(127.5).sub_(1.0), self.labels[indices]

    def _next_indices(self) -> Tensor:
        parts, missing = [], self.batch_size
        while missing:
            if self._position == len(self._order):
                order = torch.randperm(len(self._trained_on), generator=self._shuffler)
                self._order = self._trained_on[order].to(self.pictures.device, non_blocking=True)
                self._position = 0
            part = self._order[self._position : self._position + missing]
            self._position += len(part)
            missing -= len(part)
            parts.append(part)
        return torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the data."""
        return {
            "shuffler": self._shuffler.get_state(),
            "order": self._order.cpu(),
            "position": self._position,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a saved place in the data."""
        self._shuffler.set_state(state["shuffler"])
        self._order = state["order"].clone().to(self.pictures.device)
        self._position = int(state["position"])


def _split(count: int, *, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the pictures that are trained on, and of those that are held out."""
    if not held_out or count < 2:
        return torch.arange(count), torch.empty(0, dtype=torch.int64)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(seed + 1))
    kept_back = math.ceil(held_out * count)
    return shuffled[kept_back:], shuffled[:kept_back]
