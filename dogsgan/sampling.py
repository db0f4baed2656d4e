"""An averaged generator to batches of uint8 pictures."""

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dogsgan.config import ModelRecipe, Recipe
from dogsgan.data.class_names import distinct
from dogsgan.device import pick_device, repeatable, synchronize
from dogsgan.errors import DogsganError
from dogsgan.models import on_device, outline_networks
from dogsgan.models.noise import draw_noise
from dogsgan.training.checkpoint import GENERATOR_FILE, read_generator_file
from dogsgan.training.ema import RECOLLECT_BATCH, to_uint8, with_own_statistics

BATCH = 64  # fixed: another batch size may round convolutions differently
STATISTICS_IMAGES = 4096
REHEARSAL_S = 3.0  # of measuring, where two rounds take less


@dataclass(frozen=True)
class Sampler:
    """A generator ready to sample: averaged weights, its own batch-norm statistics, evaluation mode."""

    generator: nn.Module
    recipe: Recipe
    class_names: tuple[str, ...]
    images_seen: int
    device: torch.device

    def batches(self, count: int, *, seed: int = 0, truncation: float = 1.0) -> Iterator[np.ndarray]:
        """Yield uint8 batches, B×H×W×C, `count` pictures in all, their classes in turn (balanced within one).

        The same seed gives the same bytes on the same device.

        Args:
            truncation: see `draw_truncated`.
        """
        z = draw_truncated(count, self.recipe.model, seed=seed, truncation=truncation)
        labels = balanced_labels(count, len(self.class_names))
        for start in range(0, count, BATCH):
            chosen = slice(start, start + BATCH)
            with torch.inference_mode(), repeatable():
                pictures = self.generator(z[chosen].to(self.device), labels[chosen].to(self.device))
            if not bool(torch.isfinite(pictures).all()):
                raise DogsganError(
                    "the generator makes NaN pictures: its run diverged; sample an earlier checkpoint"
                )
            yield to_uint8(pictures).numpy()


def draw_truncated(count: int, model: ModelRecipe, *, seed: int, truncation: float = 1.0) -> Tensor:
    """Return z of count×Z from the recipe's noise, the same for the same seed on every device.

    With `truncation` below 1, components of normal noise beyond twice its value are drawn again until none is
    left (the truncation trick of BigGAN, arXiv 1809.11096, whose released code bounds z the same way). 1
    leaves the distribution whole.

    Raises:
        DogsganError: `truncation` is not within 0.05 and 1, or the noise is bounded anyway.
    """
    model.check_truncation(truncation)
    random = torch.Generator().manual_seed(seed)
    z = draw_noise(count, model, random=random)
    while truncation < 1 and bool((beyond := z.abs() > 2 * truncation).any()):
        z[beyond] = torch.randn(int(beyond.sum()), generator=random)
    return z


def balanced_labels(count: int, class_count: int) -> Tensor:
    """Return `count` class indices in turn; zeros without classes."""
    return torch.arange(count) % max(class_count, 1)


def load_sampler(path: Path, *, device: str = "auto") -> Sampler:
    """Open the generator of a run folder, or a generator file.

    Raises:
        DogsganError: there is none, or the file is damaged or of something else.
    """
    file = path / GENERATOR_FILE if path.is_dir() else path
    weights, described = read_generator_file(file)
    recipe = Recipe.from_json(described.get("recipe"))
    names = [str(name) for name in described["class_names"]]
    class_names = distinct(names, names)  # earlier versions gave two classes one name
    generator = _build_generator(recipe, weights, class_count=len(class_names), where=file)
    target = pick_device(device)
    generator = on_device(generator, target)
    with repeatable():
        ready = with_own_statistics(
            generator, model=recipe.model, class_count=len(class_names), images=STATISTICS_IMAGES
        )
    return Sampler(ready, recipe, class_names, int(described.get("images_seen", 0)), target)


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


def rehearse_sampling(
    generator: nn.Module, *, model: ModelRecipe, class_count: int, count: int
) -> tuple[float, np.ndarray]:
    """Measure what `load_sampler` and `count` pictures will take with this generator on its device.

    Returns:
        The seconds, and the uint8 batch that was sampled to find out, B×H×W×C.
    """
    device = next(generator.parameters()).device
    z = draw_truncated(BATCH, model, seed=0).to(device)
    labels = balanced_labels(BATCH, class_count).to(device)
    measured: list[tuple[float, float]] = []
    started = time.monotonic()
    # What only the first forward costs is not counted a hundred times, nor is one that others disturbed.
    while len(measured) < 2 or (len(measured) < 6 and time.monotonic() - started < REHEARSAL_S):
        synchronize(device)
        began = time.monotonic()
        ready = with_own_statistics(generator, model=model, class_count=class_count, images=RECOLLECT_BATCH)
        synchronize(device)
        collected = time.monotonic()
        with torch.inference_mode():
            pictures = to_uint8(ready(z, labels)).numpy()
        measured.append((collected - began, time.monotonic() - collected))
    statistics_s, batch_s = (statistics.median(seconds) for seconds in zip(*measured[1:], strict=True))
    batches = math.ceil(count / BATCH)
    return statistics_s * math.ceil(STATISTICS_IMAGES / RECOLLECT_BATCH) + batch_s * batches, pictures
