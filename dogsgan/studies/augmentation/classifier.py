"""Classifier of the augmentation study, the batches it is trained on, and classic augmentation of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from dogsgan.device import repeatable
from dogsgan.training.batches import in_grey

BATCH = 64
WIDTHS = (16, 32, 64)
LARGEST_LR = 3e-3
WARMUP = 0.1  # of the steps, in which the rate rises to its largest
_MAP_PX = 4
_TEST_BATCH = 1000
_BLUR_RADIUS = 3  # pixels on either side that a blur takes in


@dataclass(frozen=True)
class ClassicRanges:
    """How far a picture is distorted at most. Every amount is drawn uniformly, none included."""

    rotation_degrees: float = 15.0
    """Turned about its centre, either way."""
    translation: float = 0.08
    """Moved by up to this share of its side, in each direction."""
    scale: float = 0.15
    """Made larger or smaller by up to this share."""
    blur_px: float = 0.8
    """Largest standard deviation of a Gaussian blur, in pixels; `_BLUR_RADIUS` bears up to about 1."""


CLASSIC = ClassicRanges()


def distort(pictures: Tensor, *, random: Generator, ranges: ClassicRanges = CLASSIC) -> Tensor:
    """Rotate, translate, scale and blur each picture by amounts of its own.

    What comes in from outside is the nearest border pixel's colour. Labels stay true as long as the classes
    tell apart upright pictures: nothing is mirrored.

    Args:
        pictures: float N×C×H×W.
        random: draws the amounts, on the CPU, so that every device gets the same ones.
    """
    moved = _move(pictures, random=random, ranges=ranges)
    return _blur(moved, random=random, blur_px=ranges.blur_px)


def _move(pictures: Tensor, *, random: Generator, ranges: ClassicRanges) -> Tensor:
    count = len(pictures)
    turn, grow, right, down = (2 * torch.rand(4, count, generator=random) - 1).unbind()
    angle, scale = turn * math.radians(ranges.rotation_degrees), 1 + grow * ranges.scale
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    # From each place of the result to where it comes from; the grid's unit is half a side.
    shift = 2 * ranges.translation * torch.stack((right, down), dim=1)  # N×2
    linear = torch.stack((cosine, sine, -sine, cosine), dim=1).view(count, 2, 2)
    offset = -(linear @ shift[:, :, None])  # N×2×1
    affine = torch.cat((linear, offset), dim=2).to(pictures)  # N×2×3
    grid = F.affine_grid(affine, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _blur(pictures: Tensor, *, random: Generator, blur_px: float) -> Tensor:
    """Blur each picture with a Gaussian of its own width: rows, then columns, as sums of shifted copies."""
    deviation = (blur_px * torch.rand(len(pictures), 1, generator=random)).clamp(min=1e-3)
    offsets = torch.arange(_BLUR_RADIUS + 1)
    weights = torch.exp(-0.5 * (offsets / deviation).square())  # N×(radius + 1), of one side
    weights = weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])
    columns = weights.to(pictures).t()[:, :, None, None, None]  # (radius + 1)×N×1×1×1
    for dimension in (2, 3):
        pictures = _blur_along(pictures, columns, dimension=dimension)
    return pictures


def _blur_along(pictures: Tensor, weights: Tensor, *, dimension: int) -> Tensor:
    side = pictures.shape[dimension]
    margin = (_BLUR_RADIUS, _BLUR_RADIUS)
    padded = F.pad(pictures, (0, 0, *margin) if dimension == 2 else (*margin, 0, 0), mode="replicate")
    result = pictures * weights[0]
    for offset in range(1, _BLUR_RADIUS + 1):
        before = padded.narrow(dimension, _BLUR_RADIUS - offset, side)
        after = padded.narrow(dimension, _BLUR_RADIUS + offset, side)
        result = torch.addcmul(result, before + after, weights[offset])
    return result


@dataclass(frozen=True)
class Labelled:
    """Pictures with their classes, on the device that trains."""

    pictures: Tensor  # N×H×W×C uint8
    labels: Tensor  # N int64

    @classmethod
    def of(
        cls, pictures: np.ndarray, labels: np.ndarray, *, channels: int, device: torch.device
    ) -> "Labelled":
        """Take N×H×W×3 (or C) uint8 pictures, in grey where `channels` is 1 and they are not."""
        loaded = np.asarray(pictures)
        if channels == 1 and loaded.shape[3] == 3:
            loaded = in_grey(loaded)
        targets = torch.from_numpy(np.array(labels, dtype=np.int64))
        return cls(torch.from_numpy(np.array(loaded)).to(device), targets.to(device))

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, chosen: Tensor) -> "Labelled":
        """Return the chosen ones alone."""
        chosen = chosen.to(self.labels.device)
        return Labelled(self.pictures[chosen], self.labels[chosen])

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chosen pictures, N×C×H×W in [−1, 1], and their classes."""
        chosen = chosen.to(self.labels.device)
        pictures = self.pictures[chosen].permute(0, 3, 1, 2)  # N×C×H×W, channels last as it lies
        return pictures.float().div_(127.5).sub_(1.0), self.labels[chosen]


@dataclass(frozen=True)
class Feed:
    """One of the sources of every batch; several share it equally."""

    data: Labelled
    distorted: bool = False
    """Whether each picture is distorted as by `distort`, anew each time it is taken."""


def build_classifier(*, channels: int, class_count: int, seed: int) -> nn.Module:
    """Return three convolutions that halve the side, with batch norm and ReLU, and a linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for index, width in enumerate(WIDTHS):
            before = WIDTHS[index - 1] if index else channels
            side = 3 if index else 5
            layers += [
                nn.Conv2d(before, width, side, stride=2, padding=side // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
        # Pictures of 25 to 32 px have this size by now: the pooling is for others.
        layers += [nn.AdaptiveAvgPool2d(_MAP_PX), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(WIDTHS[-1] * _MAP_PX**2, class_count))


def steps_for(images: int) -> int:
    """Return how many batches show at least `images` pictures."""
    return math.ceil(images / BATCH)


def train_classifier(feeds: Sequence[Feed], *, class_count: int, images: int, seed: int) -> nn.Module:
    """Train a fresh classifier on `images` pictures, repeated or not, rounded up to whole batches.

    Every batch takes an equal part from each feed (half real and half generated with two), and its size, the
    number of steps and the rate are the same whatever the feeds are. Adam, cross-entropy; the rate rises for
    a tenth of the steps and falls as a cosine. The same seed gives the same weights on the same device.

    Returns:
        The network in evaluation mode.
    """
    first = feeds[0].data.pictures
    network = build_classifier(channels=first.shape[3], class_count=class_count, seed=seed)
    network = network.to(first.device).to(memory_format=torch.channels_last)
    steps = steps_for(images)
    optimizer = torch.optim.Adam(network.parameters(), lr=LARGEST_LR)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    with repeatable():
        for pictures, labels in _batches(feeds, steps=steps, seed=seed):
            loss = F.cross_entropy(network(pictures), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _rate(step: int, steps: int) -> float:
    """Return the share of the largest rate that step `step` of `steps` takes."""
    position = (step + 0.5) / steps
    if position < WARMUP:
        return position / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (position - WARMUP) / (1 - WARMUP)))


def _batches(feeds: Sequence[Feed], *, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `steps` batches of `BATCH` pictures, an equal part from each feed."""
    random = torch.Generator().manual_seed(seed)
    parts = [BATCH // len(feeds) + (index < BATCH % len(feeds)) for index in range(len(feeds))]
    orders = [
        _endless_order(len(feed.data), part, random=random) for feed, part in zip(feeds, parts, strict=True)
    ]
    for _ in range(steps):
        drawn = [feed.data.batch(next(order)) for feed, order in zip(feeds, orders, strict=True)]
        pictures = [
            distort(batch, random=random) if feed.distorted else batch
            for feed, (batch, _) in zip(feeds, drawn, strict=True)
        ]
        mixed = torch.cat(pictures).contiguous(memory_format=torch.channels_last)
        yield mixed, torch.cat([labels for _, labels in drawn])


def _endless_order(count: int, part: int, *, random: torch.Generator) -> Iterator[Tensor]:
    """Yield `part` indices at a time, of one shuffled pass over `count` after the other."""
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < part:
            waiting = torch.cat((waiting, torch.randperm(count, generator=random)))
        yield waiting[:part]
        waiting = waiting[part:]


def accuracy(network: nn.Module, data: Labelled) -> float | None:
    """Return the share of pictures whose class `network` gives right; None where it answers NaN."""
    right = []
    with torch.inference_mode(), repeatable():
        for chosen in torch.arange(len(data)).split(_TEST_BATCH):
            pictures, labels = data.batch(chosen)
            logits = network(pictures.contiguous(memory_format=torch.channels_last))
            if not bool(torch.isfinite(logits).all()):
                return None
            right.append((logits.argmax(dim=1) == labels).cpu())
    return float(torch.cat(right).double().mean())
