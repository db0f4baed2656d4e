"""Sampling: an averaged generator to batches of uint8 pictures with their classes."""

import copy
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Generator, Tensor, nn

from dogsgan.config import ModelRecipe, Recipe
from dogsgan.data.class_names import class_index, distinct
from dogsgan.device import pick_device, repeatable, synchronize
from dogsgan.errors import DogsganError
from dogsgan.models import on_device, outline_networks
from dogsgan.models.generator_file import KeptStatistics, generator_file_of, read_generator
from dogsgan.progress import optional


def draw_noise(count: int, model: ModelRecipe, *, random: Generator) -> Tensor:
    """Return z of count×Z on the device of `random`: N(0, 1), or uniform from −1 to 1."""
    shape = (count, model.z_dim)
    if model.noise == "normal":
        return torch.randn(shape, device=random.device, generator=random)
    return torch.rand(shape, device=random.device, generator=random).mul_(2).sub_(1)


BATCH = 64  # fixed: another batch size may round convolutions differently
STATISTICS_IMAGES = 4096
REHEARSAL_S = 3.0  # of measuring, where two rounds take less


class Batch(NamedTuple):
    """Generated pictures, B×H×W×C uint8, and their class indices, B int64 (zeros without classes)."""

    pictures: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Sampler:
    """A generator ready to sample: averaged weights, its own batch-norm statistics, evaluation mode."""

    generator: nn.Module
    recipe: Recipe
    class_names: tuple[str, ...]
    images_seen: int
    truncation: float = 1.0

    @classmethod
    def of(
        cls,
        generator: nn.Module,
        recipe: Recipe,
        class_names: tuple[str, ...],
        *,
        images_seen: int = 0,
        truncation: float = 1.0,
        statistics_images: int | None = None,
    ) -> Self:
        """Return a sampler of a generator, which stays as it is.

        Args:
            truncation: see `draw_truncated`; the batch-norm statistics are collected with it, too.

        Raises:
            DogsganError: `truncation` cannot be used.
        """
        ready = recalibrated_batch_norm_copy(
            generator,
            model=recipe.model,
            class_count=len(class_names),
            images=statistics_images or STATISTICS_IMAGES,
            truncation=truncation,
        )
        return cls(ready, recipe, class_names, images_seen, truncation)

    @classmethod
    def open(
        cls, path: Path, *, device: str = "auto", truncation: float = 1.0, keep_statistics: bool = False
    ) -> Self:
        """Open the generator of a run folder, the one that a model card names, or a generator file.

        Args:
            keep_statistics: whether to write the batch-norm statistics that are collected here beside the
                file, where the next call finds them (`KeptStatistics`).

        Raises:
            DogsganError: there is none, the file is damaged or of something else, or as `of`.
        """
        file = generator_file_of(Path(path))
        weights, described = read_generator(file)
        recipe = Recipe.from_json(described.get("recipe"))
        recipe.model.check_truncation(truncation)
        names = [str(name) for name in described["class_names"]]
        class_names = distinct(names, names)  # earlier versions gave two classes one name
        chosen, images_seen = pick_device(device), int(described.get("images_seen", 0))
        generator = on_device(
            _build_generator(recipe, weights, class_count=len(class_names), where=file), chosen
        )
        kept = KeptStatistics(
            file, {"images": STATISTICS_IMAGES, "truncation": truncation, "device": chosen.type}
        )
        if kept.load_into(generator):
            ready = generator.eval().requires_grad_(False)
            return cls(ready, recipe, class_names, images_seen, truncation)
        with repeatable():
            sampler = cls.of(generator, recipe, class_names, images_seen=images_seen, truncation=truncation)
        if keep_statistics:
            with optional("the generator's batch-norm statistics"):
                kept.save(sampler.generator)
        return sampler

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.generator.parameters()).device

    def sample(
        self, count: int = 1, *, breed: str | None = None, seed: int = 0, seeds: Sequence[int] = ()
    ) -> np.ndarray:
        """Return pictures, N×H×W×C uint8; arguments and errors as for `batches`."""
        batches = self.batches(count, breed=breed, seed=seed, seeds=seeds)
        return np.concatenate([batch.pictures for batch in batches])

    def batches(
        self, count: int, *, breed: str | None = None, seed: int = 0, seeds: Sequence[int] = ()
    ) -> Iterator[Batch]:
        """Yield batches, `count` pictures in all, their classes in turn (balanced within one).

        The same seed gives the same bytes on the same device.

        Args:
            breed: the class that all are of, as `class_index` finds it.
            seeds: one picture for each, instead of `count` pictures of `seed`. Each depends on its own seed
                alone: its noise, and its class (the seed modulo the number of classes).

        Raises:
            DogsganError: the generator makes NaN, or knows no such class.
        """
        labels = balanced_labels(count, len(self.class_names))
        if seeds:
            z = torch.cat([self.noise(1, each) for each in seeds])
            labels = torch.tensor([each % max(len(self.class_names), 1) for each in seeds])
        else:
            z = self.noise(count, seed)
        if breed is not None:
            labels = torch.full_like(labels, class_index(breed, self.class_names))
        for part, of_part in zip(z.split(BATCH), labels.split(BATCH), strict=True):
            with repeatable():
                yield Batch(self.pictures(part, of_part), of_part.numpy())

    def noise(self, count: int, seed: int) -> Tensor:
        """Return the noise that `batches` starts from, count×Z."""
        random = torch.Generator().manual_seed(seed)
        return draw_truncated(count, self.recipe.model, random=random, truncation=self.truncation)

    def pictures(self, z: Tensor, labels: Tensor) -> np.ndarray:
        """Return the pictures of z, B×Z, and class indices, B: B×H×W×C uint8.

        Raises:
            DogsganError: the generator makes NaN.
        """
        with torch.inference_mode():
            pictures = self.generator(z.to(self.device), labels.to(self.device))
        if not bool(torch.isfinite(pictures).all()):
            raise DogsganError(
                "the generator makes NaN pictures: its run diverged; sample an earlier checkpoint"
            )
        return to_uint8(pictures)


def draw_truncated(
    count: int, model: ModelRecipe, *, random: torch.Generator, truncation: float = 1.0
) -> Tensor:
    """Return z of count×Z from the recipe's noise, the same for the same seed on every device.

    With `truncation` below 1, components of normal noise beyond twice its value are drawn again until none is
    left (the truncation trick of BigGAN, arXiv 1809.11096, whose released code bounds z the same way). 1
    leaves the distribution whole.

    Raises:
        DogsganError: `truncation` is not within 0.05 and 1, or the noise is bounded anyway.
    """
    model.check_truncation(truncation)
    z = draw_noise(count, model, random=random)
    while truncation < 1 and bool((beyond := z.abs() > 2 * truncation).any()):
        z[beyond] = torch.randn(int(beyond.sum()), generator=random)
    return z


def balanced_labels(count: int, class_count: int) -> Tensor:
    """Return `count` class indices in turn; zeros without classes."""
    return torch.arange(count) % max(class_count, 1)


@torch.no_grad()
def recalibrated_batch_norm_copy(
    generator: nn.Module,
    *,
    model: ModelRecipe,
    class_count: int,
    images: int,
    seed: int = 0,
    truncation: float = 1.0,
) -> nn.Module:
    """Return a copy in evaluation mode whose batch-norm statistics were collected from its own pictures.

    The running statistics of training belong to the trained weights, not to their average. The copy is run
    in training mode, with cumulative statistics, over `images` pictures of random z and classes in turn; that
    also brings the spectral norms up to date. Batch size and seed are fixed, so the same weights give the
    same copy.
    """
    device = next(generator.parameters()).device
    generator = copy.deepcopy(generator).train()
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    random = torch.Generator().manual_seed(seed)
    for start in range(0, max(images, BATCH), BATCH):
        z = draw_truncated(BATCH, model, random=random, truncation=truncation)
        labels = torch.arange(start, start + BATCH) % max(class_count, 1)
        generator(z.to(device), labels.to(device))
    return generator.eval().requires_grad_(False)


def to_uint8(pictures: Tensor) -> np.ndarray:
    """Turn N×C×H×W in [−1, 1] into uint8 N×H×W×C in memory, rounding to the nearest value."""
    scaled = pictures.float().add(1).mul(127.5).round().clamp(0, 255)
    array: np.ndarray = scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


def measured_sampling(
    generator: nn.Module, *, model: ModelRecipe, class_count: int, count: int
) -> tuple[float, np.ndarray]:
    """Measure what `Sampler.of` and `count` pictures will take with this generator on its device.

    Returns:
        The seconds, and the uint8 batch that was sampled to find out, B×H×W×C.
    """
    device = next(generator.parameters()).device
    z = draw_noise(BATCH, model, random=torch.Generator().manual_seed(0)).to(device)
    labels = balanced_labels(BATCH, class_count).to(device)
    measured: list[tuple[float, float]] = []
    started = time.monotonic()
    # What only the first forward costs is not counted a hundred times, nor is one that others disturbed.
    while len(measured) < 2 or (len(measured) < 6 and time.monotonic() - started < REHEARSAL_S):
        synchronize(device)
        began = time.monotonic()
        ready = recalibrated_batch_norm_copy(generator, model=model, class_count=class_count, images=BATCH)
        synchronize(device)
        collected = time.monotonic()
        with torch.inference_mode():
            pictures = to_uint8(ready(z, labels))
        measured.append((collected - began, time.monotonic() - collected))
    statistics_s, batch_s = (statistics.median(seconds) for seconds in zip(*measured[1:], strict=True))
    rounds, batches = math.ceil(STATISTICS_IMAGES / BATCH), math.ceil(count / BATCH)
    return statistics_s * rounds + batch_s * batches, pictures


def _build_generator(
    recipe: Recipe, weights: dict[str, Tensor], *, class_count: int, where: Path
) -> nn.Module:
    """Build a generator around weights. The file is untrusted: nothing of the size it claims is allocated."""
    generator = outline_networks(recipe, class_count=class_count).generator
    refusal = f"the weights in {where} do not fit their own recipe: name the file of another run"
    types = {name: tensor.dtype for name, tensor in generator.state_dict().items()}
    if any(types.get(name) != tensor.dtype for name, tensor in weights.items()):
        raise DogsganError(refusal)
    try:
        generator.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise DogsganError(refusal) from error
    return generator
